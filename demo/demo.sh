#!/bin/bash

# The story that the gate is for, told by requests to a real nginx and a real
# redis.  Each line is checked against what it says it shows; the decision,
# its reason and the time of the lookup are those of the gate's access log.

set -euo pipefail

. "$(dirname "$0")/lib.sh"

phone=7f3d2c10-58b4-4e0a-9c61-2a8f40d5e1b7
phone_eas=ApplDNPX2QK4HG7J
app=c4a9e6d2-0b17-4f83-b5d0-91e7a36c8f42
app_eas=VMAPP7Q2K4H9X1
step=0 asked=0 line=
bold= red= green= yellow= plain=

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
    bold=$'\e[1m' red=$'\e[31m' green=$'\e[32m' yellow=$'\e[33m' plain=$'\e[m'
fi


step() {
    step=$((step + 1))
    printf '\n%s%2d  %s%s\n' "$bold" $step "$*" "$plain"
}

note() {
    printf '      %s\n' "$*"
}

# seconds with six digits -> microseconds

us() {
    local digits=${1/./}

    if [[ $digits =~ ^[0-9]+$ ]]; then
        echo $((10#$digits))
    else
        echo -
    fi
}

# of the access log's line of this request

logged() {
    line=$(grep -m 1 "\"id\":\"$id\"" "$dir/access.log")
}

field() {
    local value=${line#*"\"$1\":\""}

    value=${value%%'"'*}
    echo "${value:--}"
}


# ask WHAT "STATUS DECISION REASON LOOKUP" CURL-OPTIONS...

ask() {
    local what=$1 expected=$2 id status seconds colour got
    shift 2

    asked=$((asked + 1))
    id=demo-$asked

    read -r status seconds < <(
        curl -s -m 10 -H "X-Request-Id: $id" -D "$dir/head" -o "$dir/body" \
            --cacert "$dir/server.crt" \
            -w '%{http_code} %{time_total}\n' "$@" || true)

    await 2 "no line of \"$what\" in the access log" logged

    case $(field decision) in
    allow) colour=$green ;;
    remediate) colour=$yellow ;;
    *) colour=$red ;;
    esac

    printf '      %-37s %3s  %s%-9s%s  %-17s %-8s %8s %8s\n' "$what" \
        "$status" "$colour" "$(field decision)" "$plain" "$(field reason)" \
        "$(field lookup)" "$(us "$(field lookup_time)")" "$(us "$seconds")"

    got="$status $(field decision) $(field reason) $(field lookup)"

    if [ "${got/-/}" != "${expected/-/}" ]; then
        differs "$what" "$expected" "$got"
    fi
}

differs() {
    printf '\n%sdemo: "%s" should have given\n    %s\nbut gave\n    %s%s\n' \
        "$red" "$1" "$2" "$3" "$plain" >&2
    exit 1
}

# shows TEXT: it must be in the last answer's body or headers

shows() {
    grep -qF -- "$1" "$dir/body" "$dir/head" \
        || differs "the answer" "$1" "$(head -c 600 "$dir/head" "$dir/body")"
}

# element NAME: of the last answer, which is WBXML; all of it without a name

element() {
    local xml
    xml=$("$top/demo/wbxml.pl" decode <"$dir/body")

    if [ $# -eq 0 ]; then
        echo "$xml"
        return
    fi

    xml=${xml#*"<$1>"}
    echo "${xml%%"</$1>"*}"
}

mail_has_come() {
    local subject
    subject=$(element Subject)

    if [ "$subject" != "Lunch on Friday?" ]; then
        differs "the mail" "Lunch on Friday?" "$subject"
    fi

    note "its inbox: \"$subject\" from $(element From)"
}

refused_in_wbxml() {
    if [ "$(element)" != "<Sync><Status>129</Status></Sync>" ]; then
        differs "the refusal" "<Sync><Status>129</Status></Sync>" \
            "$(element)"
    fi

    note "the answer, decoded from WBXML: $(element)"
    note "129 is \"this device is blocked\" since ActiveSync 14.0"
}


eas() {
    local id=$1 command=$2
    shift 2

    set -- "$@" -H "MS-ASProtocolVersion: 16.1" \
        -H "Content-Type: application/vnd.ms-sync.wbxml" \
        -H "User-Agent: Apple-iPhone16C1/2301.345" -X POST
    request=("$@" "$mail/Microsoft-Server-ActiveSync?Cmd=$command&User=anna&\
DeviceId=$id&DeviceType=iPhone")
}

sync() {
    eas "$1" Sync --data-binary "@$dir/pages/answers/sync-request.wbxml"
}

browser=(-H "Accept: text/html" -H "Sec-Fetch-Mode: navigate"
         -H "User-Agent: Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X)")
report() {
    note "> mtdctl device set ${1%%-*}... ${*:2} reported_at=now"
    ctl device set "$@" reported_at=now
}

title() {
    sed -n 's|.*<title>\(.*\)</title>.*|\1|p' "$dir/body"
}


start_all $phone
enrol $phone $phone_eas $app $app_eas
mail=http://127.0.0.1:$exchange mail_tls=https://127.0.0.1:$exchange_tls
site=http://127.0.0.1:$sharepoint site_tls=https://127.0.0.1:$sharepoint_tls

printf '%s' "$bold"
printf '\n      %-37s %3s  %-9s  %-17s %-8s %8s %8s\n' REQUEST HTTP DECISION \
    REASON LOOKUP "redis us" "all us"
printf '%s' "$plain"


step "Anna's phone is managed by the company and secure: her mail flows."
ask "OPTIONS ActiveSync" "200 allow open_endpoint -" \
    -X OPTIONS "$mail/Microsoft-Server-ActiveSync"
shows "MS-ASProtocolVersions: 2.5,12.0,12.1,14.0,14.1,16.0,16.1"
eas $phone_eas Provision
ask "POST Provision" "200 allow secured_enough MISS" "${request[@]}"
eas $phone_eas FolderSync
ask "POST FolderSync" "200 allow secured_enough HIT" "${request[@]}"
sync $phone_eas
ask "POST Sync" "200 allow secured_enough HIT" "${request[@]}"
mail_has_come
ask "GET /owa/ (browser, certificate)" "200 allow secured_enough MISS" \
    "${browser[@]}" --cert "$dir/phone.pem" "$mail_tls/owa/"
ask "GET /sites/team/.../Home.aspx" "200 allow secured_enough HIT" \
    "${browser[@]}" --cert "$dir/phone.pem" \
    "$site_tls/sites/team/SitePages/Home.aspx"


step "Her MTD vendor reports a high threat: the very next request is refused."
report $phone threat=highSeverity vendor=lookout
sync $phone_eas
ask "POST Sync" "200 remediate threat_level MISS" "${request[@]}"
refused_in_wbxml
eas $phone_eas Ping
ask "POST Ping" "403 remediate threat_level HIT" "${request[@]}"


step "Her browser is sent to the page that says what to do."
ask "GET /owa/" "302 remediate threat_level MISS" \
    "${browser[@]}" --cert "$dir/phone.pem" "$mail_tls/owa/"
shows "Location: /remediate"
ask "GET /remediate" "200 allow exempt -" \
    "${browser[@]}" --cert "$dir/phone.pem" "$mail_tls/remediate"
shows "<title>Your device needs attention</title>"
note "the page: \"$(title)\""
ask "GET /sites/team/.../Home.aspx" "302 remediate threat_level HIT" \
    "${browser[@]}" --cert "$dir/phone.pem" \
    "$site_tls/sites/team/SitePages/Home.aspx"


step "The threat is gone: mail flows again, nobody had to do anything here."
report $phone threat=secured vendor=lookout
sync $phone_eas
ask "POST Sync" "200 allow secured_enough MISS" "${request[@]}"
mail_has_come


step "Bo's own phone is not managed, but known by its protected app."
sync $app_eas
ask "POST Sync (the app's ActiveSync id)" "200 allow secured_enough MISS" \
    "${request[@]}"
mail_has_come
ask "GET /sites/team/_api/web (app's id)" "200 allow secured_enough MISS" \
    -H "X-App-Device: $app" -H "Accept: application/json" \
    "$site/sites/team/_api/web"
report $app threat=compromised vendor=lookout
sync $app_eas
ask "POST Sync" "200 remediate compromised MISS" "${request[@]}"
refused_in_wbxml
ask "GET /sites/team/_api/web" "403 remediate compromised MISS" \
    -H "X-App-Device: $app" -H "Accept: application/json" \
    "$site/sites/team/_api/web"
report $app threat=secured vendor=lookout
sync $app_eas
ask "POST Sync" "200 allow secured_enough MISS" "${request[@]}"
mail_has_come


step "A phone that nobody has enrolled gets nothing, and costs little."
sync ApplSTRANGER0001
ask "POST Sync" "200 block unknown_device NEGATIVE" "${request[@]}"
refused_in_wbxml
ask "POST Sync, again" "200 block unknown_device NEGATIVE" "${request[@]}"


step "A browser that says nothing of its device sees why, and whom to ask."
ask "GET /owa/" "403 block unidentified -" "${browser[@]}" "$mail_tls/owa/"
shows "<title>Access blocked</title>"
shows "X-MTD-Reference:"
note "the page: \"$(title)\", reference $(field reference)"


step "What Exchange does not have, or can be read in two ways, is not asked."
ask "GET /phpmyadmin/" "404 block path_refused -" "$mail/phpmyadmin/"
ask "GET /owa/..%5cecp/" "400 block malformed -" --path-as-is \
    "$mail/owa/..%5cecp/"


step "How fast is it? A threat is written, one request follows another."
"$top/demo/effect.pl" "$dir/redis.sock" "mtd:device:$phone" \
    "127.0.0.1:$exchange" "$phone_eas" 200 \
    || differs "each change" "refused within 1 s" "see above"


step "Redis stops: who is known reads on, who is not has to come back."

# a worker that heard late of the last change has dropped the record again

sync $phone_eas
curl -s -m 10 -o "$dir/body" "${request[@]}"
ask "POST Sync (before)" "200 allow secured_enough HIT" "${request[@]}"

redis-cli -s "$dir/redis.sock" shutdown save >/dev/null 2>&1 || true
wait "$redis_pid" 2>/dev/null || true
redis_pid=
await 10 "the gate does not notice that redis is gone" all_workers down

# without pushes a record is still trusted for 100 ms

sleep 0.1
sync $phone_eas
ask "POST Sync (known)" "200 allow stale_allowed STALE" "${request[@]}"
mail_has_come
sync ApplSTRANGER0002
ask "POST Sync (never seen)" "503 block store_unavailable ERROR" \
    "${request[@]}"
shows "Retry-After: "
note "$(tr -d '\r' <"$dir/head" | grep Retry-After)"


step "Redis is back, and so is everything else."
start_redis
await 10 "the gate does not find redis again" all_workers up
sync $phone_eas
ask "POST Sync (known)" "200 allow secured_enough MISS" "${request[@]}"
sync ApplSTRANGER0002
ask "POST Sync (never seen)" "200 block unknown_device NEGATIVE" "${request[@]}"

printf '\n%s%d requests, each decided as it should be.%s  make run keeps it up.\n' \
    "$bold" $asked "$plain"
