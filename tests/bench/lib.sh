# Parts of bench.sh, which sets the variables that are used here.

redis() { redis-cli -s "$work/redis.sock" "$@"; }

# await CMD...: until CMD succeeds, for a minute at most

await() {
    local until=$((SECONDS + ${PATIENCE:-60}))
    while ! "$@" >/dev/null 2>&1; do
        if [ $SECONDS -ge $until ]; then
            echo "gave up waiting for: $*" >&2
            tail -n 3 "$work"/logs/*.log >&2
            exit 1
        fi
    done
}

gone() { ! kill -0 "$1"; }

export AUTHORIZATION='Basic dTpw'

url='/Microsoft-Server-ActiveSync?Cmd=Sync&User=u@example.com'


start_redis() {
    redis-server --port 0 --unixsocket "$work/redis.sock" \
        --unixsocketperm 777 --save '' --appendonly no --daemonize yes \
        --pidfile "$work/redis.pid" --dir "$work" >/dev/null
    await redis ping
}

# devices in the key names of the gate and the peers alike: device n has the
# ActiveSync id of 32 digits %032d and is secured; "bad" is not

fill() {
    awk -v n="$1" 'BEGIN {
        for (i = 0; i < n; i++) {
            id = sprintf("%032d", i)
            printf "SET mtd:alias:eas:%s d%d\r\n", id, i
            printf "HSET mtd:device:d%d threat secured compliance compliant" \
                   " enrolled mdm user u%d@example.com reported_at" \
                   " 1790000000000 os iOS vendor lookout\r\n", i, i
        }
    }' | redis --pipe >/dev/null

    redis set mtd:alias:eas:bad bad >/dev/null
    redis hset mtd:device:bad threat highSeverity compliance compliant \
        >/dev/null
}

common() {
    echo "worker_processes 1; daemon off; error_log $work/logs/$1.log error;"
    echo "pid $work/$1.pid; events { worker_connections 1024; }"
    [ "$(id -u)" -ne 0 ] || echo "user root;"
}

http() {
    echo "access_log off; keepalive_requests 100000000; server_tokens off;"
    echo "client_body_temp_path $work/$1-b; proxy_temp_path $work/$1-p;"
    echo "fastcgi_temp_path $work/$1-f; uwsgi_temp_path $work/$1-u;"
    echo "scgi_temp_path $work/$1-s;"
    echo "upstream backend { server unix:$work/backend.sock; keepalive 64; }"
}

proxy() {
    echo 'proxy_pass http://backend; proxy_http_version 1.1;'
    echo 'proxy_set_header Connection "";'
}

start_backend() {
    {
        common backend
        echo "http { $(http backend)"
        echo "server { listen unix:$work/backend.sock; location / {"
        echo "return 200 \"$(printf 'x%.0s' {1..1024})\"; } } }"
    } >"$work/backend.conf"

    nginx -p "$work" -e "$work/logs/backend.log" -c "$work/backend.conf" &
    await test -S "$work/backend.sock"
}

gate() {
    echo "mtd_redis corp { server unix:$work/redis.sock; zone $1; $2"
    echo "timeout 5s; connect_timeout 5s; }"        # valgrind is slow
    echo 'mtd_policy phones { max_threat low; }'
}

gated() {
    echo "mtd phones; mtd_profile exchange; mtd_identify ${1:-eas};"
    echo 'mtd_remediation https://portal.example/; mtd_disclose on;'
}

configure() {
    local v=$1 modules='' main='' server='' location
    location=$(proxy)

    case $v in

    hit)
        modules="load_module $top/build/ngx_http_mtd_module.so;"
        main=$(gate 8m '')
        server=$(gated)
        ;;

    miss)
        modules="load_module $top/build/ngx_http_mtd_module.so;"
        main=$(gate 8m 'fresh 1ms;')
        server=$(gated)
        ;;

    bearer)
        modules="load_module $top/build/ngx_http_mtd_module.so;"
        main=$(gate 8m '')
        server="$(gated bearer)
            mtd_bearer jwks=$work/jwks.json issuer=i audience=a;"
        ;;

    many)
        modules="load_module $top/build/ngx_http_mtd_module.so;"
        main=$(gate 190m 'fresh 10h; stale 10h;')
        server="$(gated) location = /mtd-status { mtd_status; }"
        ;;

    auth)
        main="upstream auth { server unix:$work/auth.sock; keepalive 64; }"
        location="set \$device \$arg_DeviceId; auth_request /auth; $location"
        server="location = /auth { internal; proxy_pass http://auth;
            proxy_http_version 1.1; proxy_set_header Connection \"\";
            proxy_pass_request_body off; proxy_set_header Content-Length \"\";
            proxy_set_header X-Device \$device; }"
        ;;

    lua)
        modules='load_module modules/ndk_http_module.so;
                 load_module modules/ngx_http_lua_module.so;'
        main="lua_package_path \"$here/?.lua;;\";
              init_by_lua_block { gate = require \"gate\" }"
        location="access_by_lua_block { gate(\"$work/redis.sock\") } $location"
        ;;
    esac

    {
        echo "$modules"
        common "$v"
        echo "http { $(http "$v") $main"
        echo "server { listen 127.0.0.1:$((BASE + PORT[$v])); $server"
        echo "location / { $location } } }"
    } >"$work/$v.conf"
}

start() {
    nginx -p /usr/share/nginx -e "$work/logs/$1.log" -c "$work/$1.conf" &
    await test -s "$work/$1.pid"
    await ready "$1"
}

stop() {
    local pid
    pid=$(cat "$work/$1.pid")
    kill -QUIT "$pid"
    await gone "$pid"
}

start_auth() {
    "$work/auth_service" "$work/auth.sock" "$work/redis.sock" &
    echo $! >"$work/auth_service.pid"
    await test -S "$work/auth.sock"
}

stop_auth() {
    kill "$(cat "$work/auth_service.pid")"
    rm -f "$work/auth.sock"
}

ask() {
    curl -s -o /dev/null -w '%{http_code}' -X POST \
        -H "Authorization: $AUTHORIZATION" \
        "http://127.0.0.1:$((BASE + PORT[$1]))$url&DeviceId=$2&DeviceType=x"
}

ready() { [ "$(ask "$1" "$(printf %032d 1)")" = 200 ]; }

# known, blocked and unknown must be answered right before anything is timed

check() {
    local want=(200 403 403) got
    [ "$1" != alone ] || want=(200 200 200)
    got=("$(ask "$1" "$(printf %032d 7)")" "$(ask "$1" bad)" \
         "$(ask "$1" nosuchdevice)")

    if [ "${got[*]}" != "${want[*]}" ]; then
        echo "$1 answers ${got[*]} instead of ${want[*]}" >&2
        exit 1
    fi
}

# the worker, and what else the variant needs besides redis and backend

processes() {
    pgrep -P "$(cat "$work/$1.pid")"
    [ "$1" != auth ] || cat "$work/auth_service.pid"
}

ticks() {
    local pid sum=0
    for pid in $(processes "$1"); do
        sum=$((sum + $(awk '{ print $14 + $15 }' "/proc/$pid/stat")))
    done
    echo "$sum"
}

redis_ticks() { awk '{ print $14 + $15 }' "/proc/$(cat "$work/redis.pid")/stat"; }

load() {
    local v=$1 before after redis_before n

    before=$(ticks "$v") redis_before=$(redis_ticks)

    DEVICES=${2:-$DEVICES} wrk -t1 -c32 -d"${SECONDS_EACH}s" --latency \
        -s "$here/rotate.lua" "http://127.0.0.1:$((BASE + PORT[$v]))" \
        >"$work/wrk"

    after=$(ticks "$v")
    n=$(awk '/requests in/ { print $1 }' "$work/wrk")

    if grep -q 'Non-2xx\|Socket errors' "$work/wrk"; then
        cat "$work/wrk" >&2
        exit 1
    fi

    awk -v n="$n" -v hz="$(getconf CLK_TCK)" -v t=$((after - before)) \
        -v r=$(($(redis_ticks) - redis_before)) '
        function us(s) {
            return s ~ /us$/ ? s + 0 : s ~ /ms$/ ? s * 1000 : s * 1000000
        }
        /Requests\/sec/ { rate = $2 }
        $1 == "50%" { p50 = us($2) }
        $1 == "99%" { p99 = us($2) }
        END { print rate, p50, p99, t * 1e6 / hz / n, r * 1e6 / hz / n }
    ' "$work/wrk" >>"$work/$v.load"
}

median() {
    awk -v c="$2" '{ print $c }' "$work/$1.load" | sort -g \
    | awk '{ a[NR] = $1 } END { print a[int((NR + 1) / 2)] }'
}


# Instructions of a request, in user space, of all processes of the variant
# but redis and the backend.  With instrumentation off until every device has
# been asked for once, so that a hit is one.  16 requests under way are like
# real life; one at a time counts the same on a busy machine.

grind() {
    local v=$1 devices=$2 at_once=$3 n pids files='' file

    sed 's/daemon off;/daemon off; master_process off;/' "$work/$v.conf" \
        >"$work/$v-grind.conf"
    rm -f "$work/$v.pid" "$work"/grind.*

    if [ "$v" = auth ]; then
        callgrind service "$work/auth_service" "$work/auth.sock" \
            "$work/redis.sock"
        await test -S "$work/auth.sock"
    fi

    callgrind nginx nginx -p /usr/share/nginx -e "$work/logs/$v.log" \
        -c "$work/$v-grind.conf"
    await test -s "$work/$v.pid"
    await ready "$v"

    "$work/client" 127.0.0.1 $((BASE + PORT[$v])) "$devices" "$devices" 8

    pids=$(pgrep -f -- "--callgrind-out-file=$work/grind")
    callgrind_control -i on $pids >/dev/null 2>&1
    "$work/client" 127.0.0.1 $((BASE + PORT[$v])) 100 "$devices"
    callgrind_control -z $pids >/dev/null 2>&1

    if [ "$at_once" -eq 1 ]; then
        n=2000
        "$work/client" 127.0.0.1 $((BASE + PORT[$v])) $n "$devices"

    else
        DEVICES=$devices wrk -t1 -c"$at_once" -d"${SECONDS_COUNT}s" \
            --timeout 20s -s "$here/rotate.lua" \
            "http://127.0.0.1:$((BASE + PORT[$v]))" >"$work/wrk"
        n=$(awk '/requests in/ { print $1 }' "$work/wrk")

        if grep -q 'Non-2xx\|Socket errors' "$work/wrk"; then
            cat "$work/wrk" >&2
            exit 1
        fi
    fi

    callgrind_control -d $pids >/dev/null 2>&1

    kill $pids
    for file in $pids; do
        await gone "$file"
    done
    rm -f "$work/auth.sock"

    for file in "$work"/grind.*.1; do
        files+=" $file"
    done

    awk -f "$here/malloc.awk" $files \
    | awk -v n="$n" '{ printf "%.0f\n", $1 / n }' >"$work/$v.malloc"

    sed -n 's/^totals: //p' $files \
    | awk -v n="$n" '{ t += $1 } END { printf "%.0f\n", t / n }'
}

callgrind() {
    local name=$1
    shift
    valgrind --tool=callgrind --instr-atstart=no \
        --callgrind-out-file="$work/grind.$name" "$@" >/dev/null 2>&1 &
}

count() {
    grind "$1" "$DEVICES" 16 >"$work/$1.count"
    mv "$work/$1.malloc" "$work/$1.count.malloc"
}


table() {
    local v rate cpu n

    rate=$(median alone 1) cpu=$(median alone 4) n=$(cat "$work/alone.count")

    printf '%-8s %10s %6s %8s %8s %8s %6s %10s %10s %6s %8s\n' variant \
        req/s x p50us p99us cpu-us x redis-us instr added x

    for v in $VARIANTS; do
        awk -v v="$v" -v r="$(median "$v" 1)" -v r0="$rate" \
            -v p50="$(median "$v" 2)" -v p99="$(median "$v" 3)" \
            -v c="$(median "$v" 4)" -v c0="$cpu" \
            -v rc="$(median "$v" 5)" -v i="$(cat "$work/$v.count")" \
            -v i0="$n" 'BEGIN {
                printf "%-8s %10.0f %6.2f %8.0f %8.0f %8.1f %6.2f %10.1f " \
                       "%10d %6d %8.3f\n", v, r, r / r0, p50, p99, c, c / c0,
                       rc, i, i - i0, i / i0
            }'
    done
}

# system calls of a worker for each request, by strace

calls() {
    local v=$1 pid tracer

    start "$v"
    "$work/client" 127.0.0.1 $((BASE + PORT[$v])) 2000 "$DEVICES"
    pid=$(pgrep -P "$(cat "$work/$v.pid")")

    strace -c -o "$work/strace.$v" -p "$pid" 2>"$work/strace.err" &
    tracer=$!
    await grep -q attached "$work/strace.err"
    "$work/client" 127.0.0.1 $((BASE + PORT[$v])) 2000 "$DEVICES"
    kill -INT $tracer
    wait $tracer || true
    stop "$v"

    awk '$NF == "total" { printf "%.1f\n", $4 / 2000 }' "$work/strace.$v"
}

syscalls() {
    alone_calls=$(calls alone)
    hit_calls=$(calls hit)
    echo
    echo "system calls a request: alone $alone_calls, hit $hit_calls"
}


# what a hit adds, of which malloc's share is chance

added() {
    local v=$1 alone hit

    alone=$(cat "$work/alone.$v") hit=$(cat "$work/hit.$v")

    echo $((hit - alone))
}


# the same, counted where nothing else is

one_by_one() {
    alone_single=$(grind alone "$DEVICES" 1)
    hit_single=$(grind hit "$DEVICES" 1)
    echo "one request at a time: alone $alone_single instructions," \
         "hit $hit_single"
}


# a hit by an access token that was verified before

by_token() {
    local guid=0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9 token

    token=$("$here/token.sh" "$work" $guid)
    redis set "mtd:alias:entra:$guid" d1 >/dev/null
    configure bearer

    alone_token=$(AUTHORIZATION="Bearer $token" grind alone "$DEVICES" 1)
    bearer_token=$(AUTHORIZATION="Bearer $token" grind bearer "$DEVICES" 1)
    echo "a token of ${#token} bytes: alone $alone_token instructions," \
         "verified before $bearer_token"
}


# the same hit with very many devices in the zone

many() {
    echo
    echo "asking once for each of $MANY devices"
    fill "$MANY"
    configure many
    start many

    "$work/client" 127.0.0.1 $((BASE + PORT[many])) "$MANY" "$MANY" 16
    curl -s "http://127.0.0.1:$((BASE + PORT[many]))/mtd-status" \
    | sed 's/.*\("zone":{"size":[0-9]*,"devices":{[^}]*},"aliases":{[^}]*}\).*/\1/'

    # the two in turn: what else the machine does hits both

    start hit
    : >"$work/hit.load"
    for _ in 1 2 3 4 5; do
        load hit
        load many "$MANY"
    done
    stop hit
    stop many

    few=$hit_single few_cpu=$(median hit 4)
    lots=$(grind many "$MANY" 1) lots_cpu=$(median many 4)

    echo "$DEVICES devices: $few instructions, $few_cpu us CPU a hit"
    echo "$MANY devices: $lots instructions, $lots_cpu us CPU a hit"
}


say() { printf '%-4s %s\n' "$([ "$1" -eq 1 ] && echo ok || echo MISS)" "$2"; }

holds() { awk "BEGIN { print ($1) ? 1 : 0 }"; }

verdict() {
    local alone miss auth hit chance

    chance=$(added count.malloc)
    hit=$(($(added count) - chance))

    alone=$(cat "$work/alone.count")
    miss=$(cat "$work/miss.count") auth=$(cat "$work/auth.count")

    echo
    say "$(holds "$hit <= 1400")" \
        "hit adds $hit instructions, 1400 at most, and $chance of malloc"
    say "$(holds "$hit / $alone <= 0.06")" "hit: 1.06 times alone at most"
    say "$(holds "$hit_calls <= $alone_calls + 0.05")" \
        "hit: no system call more than alone"
    say "$(holds "$bearer_token / $alone_token <= 1.12")" \
        "a verified token: 1.12 times alone at most"
    say "$(holds "$miss / $alone <= 1.5")" "miss: 1.50 times alone at most"
    say "$(holds "$miss < $auth && $(median miss 4) < $(median auth 4) \
                  && $(median miss 4) < $(median lua 4)")" \
        "hit and miss are below every peer, lua by CPU"
    say "$(holds "$lots / $few <= 1.1 && $lots_cpu / $few_cpu <= 1.1")" \
        "hit: the same within 10% with $MANY devices"
}
