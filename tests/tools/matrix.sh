#!/bin/bash

# matrix.sh [SUITE...]
#
# The module built and tested on other Debians, each in a chroot below build/:
# 13 (trixie), and the next one (forky), whose nginx keeps connections to the
# servers behind if it is not told otherwise.

set -euo pipefail

cd "$(dirname "$0")/../.."

if [ "$(id -u)" -ne 0 ]; then
    exec sudo --preserve-env=TEST_NGINX_DEB "$0" "$@"
fi

if [ $# -ne 1 ]; then

    for suite in ${@:-trixie forky}; do
        "$0" "$suite"
    done

    exit
fi

suite=$1
top=$PWD
root=$top/build/matrix/$suite

lib=$(tests/tools/test-nginx.sh)
[ -n "$lib" ] || lib=$(dirname "$(perl -MTest::Nginx::Socket \
                        -e 'print $INC{"Test/Nginx/Util.pm"}')")/../..

promtool=$(tests/tools/promtool.sh)

tests/tools/deps.sh debootstrap
mkdir -p "$root"

if [ ! -f "$root/ready" ]; then
    echo "matrix: debootstrap $suite"

    tests/tools/private-apt.sh "$top/build/matrix/apt" deb "$suite"
    mirror=$(awk '{ for (i = 1; i <= NF; i++) if ($i ~ /:\/\//) print $i }' \
             "$top/build/matrix/apt/sources.list" | head -n 1)

    # an old debootstrap does not know the newest by name

    script=/usr/share/debootstrap/scripts/$suite
    [ -e "$script" ] || script=/usr/share/debootstrap/scripts/sid

    debootstrap --variant=minbase "$suite" "$root" "$mirror" "$script" \
        >"$root.log" 2>&1 || { tail -n 20 "$root.log" >&2; exit 1; }

    # no daemon starts there

    printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
    chmod +x "$root/usr/sbin/policy-rc.d"

    echo 'Acquire::Check-Valid-Until "false";' \
        >"$root/etc/apt/apt.conf.d/99matrix"
    touch "$root/ready"
fi

leave() {
    umount "$root/dev" "$root/proc" 2>/dev/null || true
}

trap leave EXIT
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"

cp /etc/resolv.conf "$root/etc/resolv.conf"
rm -rf "$root/src" "$root/test-nginx"
mkdir -p "$root/src"
tar --exclude=./build --exclude=./.git -cf - . | tar -C "$root/src" -xf -
mkdir -p "$root/test-nginx/Test"
cp -a "$lib"/Test/Nginx* "$root/test-nginx/Test/"
cp "$promtool" "$root/usr/local/bin/promtool"

chroot "$root" /bin/bash -euc '
    cd /src
    tests/tools/deps.sh >/var/log/deps.log 2>&1 || { cat /var/log/deps.log; exit 1; }
    nginx -v
    make all build/ngx_http_mtd_example_module.so
    export PERL5LIB=/test-nginx TEST_NGINX_BINARY=/usr/sbin/nginx
    export TEST_NGINX_RANDOMIZE=1 TEST_NGINX_FAST_SHUTDOWN=1
    export MTDCTL=/src/build/tools/mtdctl
    export TEST_NGINX_LOAD_MODULES="/src/build/ngx_http_mtd_module.so
                                    /src/build/ngx_http_mtd_example_module.so"
    prove tests/scenarios/ntlm.t
    tests/tools/with-redis.sh prove -j2 -r t

    # the newest cmocka deprecates what the others have
    [ "$1" = forky ] || make unit
' bash "$suite"
