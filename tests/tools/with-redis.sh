#!/bin/bash

# with-redis.sh CMD...
#
# Runs CMD with a redis of its own on the unix socket MTD_REDIS_SOCKET.

set -euo pipefail

dir=$(mktemp -d)
export MTD_REDIS_SOCKET=$dir/redis.sock
export TEST_NGINX_REDIS_SOCKET=$MTD_REDIS_SOCKET

redis-server --port 0 --unixsocket "$MTD_REDIS_SOCKET" --dir "$dir" \
             --save '' --appendonly no >"$dir/redis.log" 2>&1 &
pid=$!

stop() {
    kill $pid 2>/dev/null || true
    wait $pid 2>/dev/null || true
    rm -rf "$dir"
}

trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# each try waits a little longer, 10 seconds in all

for try in {1..100}; do

    if [ "$(redis-cli -s "$MTD_REDIS_SOCKET" ping 2>/dev/null)" = PONG ]; then
        break
    fi

    if [ "$try" = 100 ] || ! kill -0 $pid 2>/dev/null; then
        cat "$dir/redis.log" >&2
        echo "redis-server does not answer" >&2
        exit 1
    fi

    read -rt "0.$(printf %03d $((try * 2)))" <> <(:) || true
done

"$@"
