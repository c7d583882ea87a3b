#!/bin/bash

# What matrix.sh runs in a chroot, as its root, where the tree is /src.
#
# Each step is a row of /log/table: nginx, redis, name, passed, failed, and
# how many tests it has at least: a step that ran fewer has failed, since a
# suite that skips what it cannot do looks like one that does it.

set -euo pipefail

cd "$(dirname "$0")/../.."

out=/log
rm -rf $out
mkdir -p $out

# in the chroot of an empty system nothing of the caller's is there

export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export HOME=/root LC_ALL=C.UTF-8 TMPDIR=/tmp

unset PERL5LIB MTD_NGINX MTD_MODULE MTD_REDIS_SERVER MAKEFLAGS MAKELEVEL MFLAGS

tests/tools/deps.sh >$out/deps.log 2>&1 || { cat $out/deps.log; exit 1; }

nginx=$(nginx -v 2>&1 | sed -E 's,.*/([0-9.]+).*,\1,')
redis=$(redis-server --version \
        | sed -nE 's/^(Redis|Valkey) server v=([0-9.]+).*/\L\1\E \2/p')
failed=0

echo "nginx $nginx, $redis, $(gcc --version | head -n 1)"

export PERL5LIB=/test-nginx TEST_NGINX_BINARY=/usr/sbin/nginx
export TEST_NGINX_RANDOMIZE=1 TEST_NGINX_FAST_SHUTDOWN=1
export MTDCTL=$PWD/build/tools/mtdctl
export TEST_NGINX_LOAD_MODULES="$PWD/build/ngx_http_mtd_module.so
                                $PWD/build/ngx_http_mtd_example_module.so"


# step NAME LEAST CMD...

step() {
    local name=$1 least=$2 log=$out/$1.log rc=0 ok bad start=$SECONDS
    shift 2

    "$@" >"$log" 2>&1 || rc=$?

    read -r ok bad < <(tests/tools/counts.sh "$log")

    if [ $rc -ne 0 ] && [ "$bad" -eq 0 ]; then
        bad=1
    fi

    if [ "$ok" -lt "$least" ] && [ "$bad" -eq 0 ]; then
        echo "$name: $ok tests, there are $least at least" | tee -a "$log"
        bad=1
    fi

    printf '%s\t%s\t%s\t%d\t%d\t%d\n' "$nginx" "$redis" "$name" "$ok" \
        "$bad" "$least" >>$out/table
    printf '%-8s %5d passed %5d failed %5d s\n' "$name" "$ok" "$bad" \
        $((SECONDS - start))

    if [ "$bad" -ne 0 ]; then
        tail -n 40 "$log"
        failed=1
        return 1
    fi
}

# that warnings are errors is up to nginx's configure, which Debian may patch

build() {
    local flags flag

    make all build/ngx_http_mtd_example_module.so || return 1

    flags=$(grep '^CFLAGS' build/ngx_http_mtd_module/objs/Makefile)

    for flag in -Wall '-W(extra)?' -Werror; do
        grep -qE -- " $flag( |$)" <<<"$flags" \
            || { echo "built without $flag:$flags"; return 1; }
    done

    echo "3 passed, 0 failed"
}

unit() {
    make unit && grep -h '\[  PASSED  \]' build/unit/*.log
}

# from 1.29.7 on all of it is done once more, with an upstream of no options

ntlm=58

if printf '%s\n' 1.29.7 "$nginx" | sort -CV; then
    ntlm=114
fi

step build 3 build || exit 1
step unit 93 unit || true
step ntlm $ntlm prove tests/scenarios/ntlm.t || true
step t 4800 tests/tools/with-redis.sh prove -j2 -r t || true

exit $failed
