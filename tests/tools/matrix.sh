#!/bin/bash

# matrix.sh [SUITE...]
#
# The module built and tested on other Debians, each in a chroot below build/:
# 13 (trixie), and the next one (forky), whose nginx keeps connections to the
# servers behind if it is not told otherwise.  All suites are run, whatever
# the first one says; a table at the end says what was run on each.  Logs are
# in build/matrix/SUITE-log.

set -euo pipefail

cd "$(dirname "$0")/../.."

if [ "$(id -u)" -ne 0 ]; then
    exec sudo --preserve-env=TEST_NGINX_DEB "$0" "$@"
fi

top=$PWD
matrix=$top/build/matrix


# the chroot, and in it what tests/tools/matrix-suite.sh says

one() {
    local suite=$1 lib promtool mirror script

    root=$matrix/$1
    lib=$(tests/tools/test-nginx.sh)
    [ -n "$lib" ] || lib=$(dirname "$(perl -MTest::Nginx::Socket \
                            -e 'print $INC{"Test/Nginx/Util.pm"}')")/../..

    promtool=$(tests/tools/promtool.sh)

    tests/tools/deps.sh debootstrap
    mkdir -p "$root"

    if [ ! -f "$root/ready" ]; then
        echo "matrix: debootstrap $suite"

        tests/tools/private-apt.sh "$matrix/apt" deb "$suite"
        mirror=$(awk '{ for (i = 1; i <= NF; i++)
                            if ($i ~ /:\/\//) print $i }' \
                 "$matrix/apt/sources.list" | head -n 1)

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

    trap 'umount "$root/dev" "$root/proc" 2>/dev/null || true' EXIT
    mount -t proc proc "$root/proc"
    mount --bind /dev "$root/dev"

    cp /etc/resolv.conf "$root/etc/resolv.conf"
    rm -rf "$root/src" "$root/test-nginx"
    mkdir -p "$root/src"
    tar --exclude=./build --exclude=./.git -cf - . \
    | tar -C "$root/src" -xf -
    mkdir -p "$root/test-nginx/Test"
    cp -a "$lib"/Test/Nginx* "$root/test-nginx/Test/"
    cp "$promtool" "$root/usr/local/bin/promtool"

    chroot "$root" /src/tests/tools/matrix-suite.sh
}


if [ "${1:-}" = --one ]; then
    one "$2"
    exit
fi

mkdir -p "$matrix"
failed=0 table=

[ $# -gt 0 ] || set -- trixie forky

for suite; do
    printf '\n== %s\n' "$suite"
    rm -rf "$matrix/$suite/log" "$matrix/$suite-log"

    "$0" --one "$suite" || { failed=1; echo "matrix: $suite failed"; }

    if [ -d "$matrix/$suite/log" ]; then
        cp -a "$matrix/$suite/log" "$matrix/$suite-log"
    fi

    # of a suite that did not come that far there is a row, too

    if [ -s "$matrix/$suite-log/table" ]; then
        table+=$(sed "s/^/$suite\t/" "$matrix/$suite-log/table")$'\n'

    else
        table+="$suite"$'\t-\t-\tnothing was run\t0\t1\t-\n'
    fi
done

printf '\n== matrix, logs are in build/matrix/SUITE-log\n'

{
    printf 'suite\tnginx\tserver\tstep\tpassed\tfailed\tat least\n'
    printf '%s' "$table"
} | column -t -s $'\t'

exit $failed
