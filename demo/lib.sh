# What demo.sh and run.sh share: a redis, the stand-in backend and the gate,
# all of them private, in a folder that goes away with them.  To be sourced.

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
module=$top/build/ngx_http_mtd_module.so
mtdctl=$top/build/tools/mtdctl
nginx=$(command -v nginx || echo /usr/sbin/nginx)

dir=
redis_pid= backend_pid= gate_pid=

say() {
    printf 'demo: %s\n' "$*" >&2
}

die() {
    say "$@"
    exit 1
}

ctl() {
    "$mtdctl" --redis "unix:$dir/redis.sock" "$@"
}

# await SECONDS WHAT CMD...: until CMD succeeds

await() {
    local end=$((SECONDS + $1 + 1)) what=$2
    shift 2

    until "$@"; do

        if [ "$SECONDS" -ge "$end" ]; then
            tail -n 5 "$dir"/*.err "$dir"/*.log >&2 2>/dev/null || true
            die "$what"
        fi

        sleep 0.02
    done
}

redis_answers() {
    [ "$(redis-cli -s "$dir/redis.sock" ping 2>/dev/null)" = PONG ]
}

# all_workers UP|DOWN: redis, as both see it; each answers for itself

all_workers() {
    local try json state
    local -A seen=()

    for try in {1..20}; do
        json=$(curl -s -m 2 "http://127.0.0.1:$exchange/mtd/status") \
            || return 1

        case $json in
        *'"data":"up"'*'"trusted":true'*) state=up ;;
        *'"data":"up"'* | *'"trusted":true'*) state=between ;;
        *) state=down ;;
        esac

        if [ $state != "$1" ]; then
            return 1
        fi

        json=${json#*'"pid":'}
        seen[${json%%,*}]=1

        if [ ${#seen[@]} -eq 2 ]; then
            return 0
        fi
    done

    return 1
}

is_free() {
    ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# four ports in a row, from MTD_DEMO_PORT or 8480 on

find_ports() {
    local port first=${MTD_DEMO_PORT:-8480}

    for ((port = first; port < first + 400; port += 4)); do
        if is_free $port && is_free $((port + 1)) \
           && is_free $((port + 2)) && is_free $((port + 3))
        then
            exchange=$port exchange_tls=$((port + 1))
            sharepoint=$((port + 2)) sharepoint_tls=$((port + 3))
            return
        fi
    done

    die "no four free ports from $first on, set MTD_DEMO_PORT"
}

# fill NAME: demo/NAME.in -> the private folder

fill() {
    sed -e "s|@DIR@|$dir|g" -e "s|@MODULE@|$module|g" -e "s|@USER@|$user|g" \
        -e "s|@EXCHANGE@|$exchange|g" -e "s|@EXCHANGE_TLS@|$exchange_tls|g" \
        -e "s|@SHAREPOINT@|$sharepoint|g" \
        -e "s|@SHAREPOINT_TLS@|$sharepoint_tls|g" \
        "$top/demo/$1.in" >"$dir/$1"
}

# an authority, the gate's certificate and that of the managed phone, as
# Intune gives it: the device's id is a URI

make_certificates() {
    local new=(openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1
               -nodes -days 2 -batch)

    {
        "${new[@]}" -x509 -subj "/CN=demo authority" \
            -keyout "$dir/ca.key" -out "$dir/ca.crt"
        "${new[@]}" -x509 -subj "/CN=localhost" \
            -addext "subjectAltName=DNS:localhost,IP:127.0.0.1" \
            -keyout "$dir/server.key" -out "$dir/server.crt"
        "${new[@]}" -subj "/CN=a phone" \
            -keyout "$dir/phone.key" -out "$dir/phone.csr"
        openssl x509 -req -in "$dir/phone.csr" -out "$dir/phone.crt" -days 2 \
            -CA "$dir/ca.crt" -CAkey "$dir/ca.key" -CAcreateserial \
            -extfile <(echo "subjectAltName=URI:IntuneDeviceId://$1
extendedKeyUsage=clientAuth")
    } 2>"$dir/openssl.err" || die "openssl failed: $(cat "$dir/openssl.err")"

    cat "$dir/phone.crt" "$dir/phone.key" >"$dir/phone.pem"
}

start_redis() {
    redis-server --port 0 --unixsocket "$dir/redis.sock" \
        --unixsocketperm 777 --dir "$dir" --save '' --appendonly no \
        >"$dir/redis.log" 2>&1 &
    redis_pid=$!

    await 10 "redis-server does not answer" redis_answers
}

# stop PID

stop() {
    if [ -n "$1" ]; then
        kill "$1" 2>/dev/null || true
        wait "$1" 2>/dev/null || true
    fi
}

# whoever is impatient may say so twice

stop_all() {
    trap "" INT TERM
    stop "$gate_pid"
    stop "$backend_pid"
    stop "$redis_pid"

    if [ -n "$dir" ]; then
        rm -rf "$dir"
    fi
}

# start_all DEVICE: and its certificate

start_all() {
    local file name

    if [ ! -f "$module" ] || [ ! -x "$mtdctl" ]; then
        die "nothing is built, please type make first"
    fi

    trap stop_all EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM

    umask 022
    dir=$(mktemp -d "${TMPDIR:-/tmp}/mtd-demo.XXXXXX")
    user=

    # root's workers are somebody else, who alone may enter

    if [ "$(id -u)" -eq 0 ]; then
        name=www-data

        if ! id $name >/dev/null 2>&1; then
            name=nobody
        fi

        user="user $name $(id -gn $name);"
        chgrp "$(id -gn $name)" "$dir"
        chmod 710 "$dir"
    fi

    mkdir -p "$dir/temp" "$dir/pages/answers"
    cp "$top"/demo/pages/*.html "$dir/pages"

    for file in "$top"/demo/wbxml/*.xml; do
        name=$(basename "$file" .xml)
        "$top/demo/wbxml.pl" encode <"$file" >"$dir/pages/answers/$name.wbxml"
    done

    find_ports
    make_certificates "$1"
    fill backend.conf
    fill gate.conf
    start_redis

    "$nginx" -p "$dir" -e "$dir/backend.err" -c "$dir/backend.conf" \
        -g 'daemon off;' &
    backend_pid=$!

    "$nginx" -p "$dir" -e "$dir/gate.err" -c "$dir/gate.conf" \
        -g 'daemon off;' &
    gate_pid=$!

    await 10 "the gate does not start" all_workers up
    await 10 "the stand-in backend does not start" \
        test -S "$dir/sharepoint.sock"
}

# devices of the demo; the managed one is $1, with its ActiveSync id $2, the
# app's are $3 and $4

enrol() {
    ctl device set "$1" alias="intune:$1" alias="eas:$2" enrolled=mdm os=iOS \
        user=anna@example.com threat=secured compliance=compliant \
        vendor=lookout reported_at=now

    ctl device set "$3" alias="vendor.lookout:$3" alias="eas:$4" \
        enrolled=app os=Android user=bo@example.com threat=secured \
        compliance=compliant vendor=lookout reported_at=now
}
