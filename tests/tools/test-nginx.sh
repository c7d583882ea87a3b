#!/bin/bash

# Prints the directory to put into PERL5LIB for Test::Nginx, empty if it is
# installed; else takes the package that TEST_NGINX_DEB names, else fetches
# Debian's from a newer suite.  All of it stays in build/test-nginx.

set -euo pipefail

cd "$(dirname "$0")/../.."
dir=$PWD/build/test-nginx
lib=$dir/usr/share/perl5

works() {
    perl ${1:+"-I$1"} -MTest::Nginx::Socket -e1 >/dev/null 2>&1
}

if works ""; then
    exit 0
fi

if works "$lib"; then
    echo "$lib"
    exit 0
fi

fetch() (
    tests/tools/private-apt.sh "$dir/apt-$1" deb "$1" \
    && export APT_CONFIG=$dir/apt-$1/apt.conf \
    && cd "$dir" \
    && apt-get -q update \
    && apt-get -q download libtest-nginx-perl
)

mkdir -p "$dir"

if [ -z "${TEST_NGINX_DEB:-}" ]; then

    for wait in 0 5 15; do
        sleep $wait

        if fetch forky || fetch sid; then
            break
        fi

    done >"$dir/apt.log" 2>&1

    TEST_NGINX_DEB=$(find "$dir" -maxdepth 1 -name '*.deb' | tail -n 1)

    if [ -z "$TEST_NGINX_DEB" ]; then
        tail -n 20 "$dir/apt.log" >&2
        echo "Test::Nginx is not installed and cannot be fetched;" \
             "install it, or set TEST_NGINX_DEB to libtest-nginx-perl's" \
             ".deb" >&2
        exit 1
    fi
fi

dpkg -x "$TEST_NGINX_DEB" "$dir"

if ! works "$lib"; then
    perl "-I$lib" -MTest::Nginx::Socket -e1 >&2 || true
    echo "Test::Nginx of $TEST_NGINX_DEB does not load" >&2
    exit 1
fi

echo "$lib"
