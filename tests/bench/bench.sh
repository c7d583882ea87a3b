#!/bin/bash

# Measures the gate beside nginx alone and its peers, in one interleaved run
# on one machine; see README.md.  QUICK=1 takes about three minutes.

set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)

ROUNDS=${ROUNDS:-$([ "${QUICK:-}" ] && echo 2 || echo 5)}
SECONDS_EACH=${SECONDS_EACH:-$([ "${QUICK:-}" ] && echo 2 || echo 5)}
SECONDS_COUNT=${SECONDS_COUNT:-$([ "${QUICK:-}" ] && echo 3 || echo 8)}
MANY=${MANY:-$([ "${QUICK:-}" ] && echo 100000 || echo 1000000)}
DEVICES=1000

VARIANTS="alone hit miss auth lua"
declare -A PORT=([alone]=0 [hit]=1 [miss]=2 [auth]=3 [lua]=4 [many]=5
                 [bearer]=6)
BASE=${BASE:-18700}

missing=
for tool in nginx:nginx wrk:wrk valgrind:valgrind strace:strace \
            redis-server:redis-server cc:gcc openssl:openssl
do
    command -v "${tool%%:*}" >/dev/null || missing+=" ${tool##*:}"
done
[ -e /usr/lib/nginx/modules/ngx_http_lua_module.so ] \
    || missing+=" libnginx-mod-http-lua"
[ -e /usr/include/hiredis/hiredis.h ] || missing+=" libhiredis-dev"

if [ "$missing" ]; then
    echo "installing:$missing"
    sudo=$([ "$(id -u)" -eq 0 ] || echo sudo)
    $sudo env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi

work=$(mktemp -d)
chmod 755 "$work"
mkdir -p "$work/logs"

finish() {
    local file pid
    for file in "$work"/*.pid; do
        [ -s "$file" ] || continue
        pid=$(cat "$file")
        kill "$pid" $(pgrep -P "$pid") 2>/dev/null || true
    done
    rm -rf "$work"
}
trap finish EXIT

# shellcheck source=tests/bench/lib.sh
. "$here/lib.sh"

cc -O2 -Wall -Wextra -Werror -o "$work/auth_service" "$here/auth_service.c" \
    -lhiredis
cc -O2 -Wall -Wextra -Werror -o "$work/client" "$here/client.c"

start_redis
start_backend
fill "$DEVICES"

for v in $VARIANTS; do
    configure "$v"
done

start_auth
for v in $VARIANTS; do
    start "$v"
    check "$v"
done

echo "$(nginx -v 2>&1), $(redis-server --version | cut -d' ' -f1-3)," \
     "$(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1)," \
     "$(nproc) cores, $DEVICES devices, $ROUNDS rounds of ${SECONDS_EACH}s"
echo

for ((round = 0; round < ROUNDS; round++)); do
    for v in $VARIANTS; do
        load "$v"
    done
done

for v in $VARIANTS; do
    stop "$v"
done
stop_auth

for v in $VARIANTS; do
    count "$v"
done

table
syscalls
one_by_one
by_token
many
verdict
