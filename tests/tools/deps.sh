#!/bin/bash

# Installs what is missing of the Debian packages that the build and the
# tests need.  Says what it does; does nothing when all are there.

set -euo pipefail

packages=(
    # build
    gcc make libc6-dev nginx nginx-dev libhiredis-dev libpcre2-dev libssl-dev
    zlib1g-dev libjansson-dev

    # demo and tests
    redis-server redis-tools curl openssl procps psmisc cppcheck dpkg-dev
    ca-certificates libcmocka-dev apache2-utils libxml2-utils
    libwbxml2-utils libsoap-lite-perl cadaver libfaketime

    # what Test::Nginx needs
    perl libtest-base-perl libtest-longstring-perl liblist-moreutils-perl
    libtext-diff-perl liburi-perl libwww-perl libhttp-message-perl
    libipc-run-perl libfilter-perl
)

packages+=("$@")

if ! command -v dpkg-query >/dev/null; then
    echo "deps: not a Debian, the build takes what is installed"
    exit 0
fi

missing=()

for package in "${packages[@]}"; do
    state=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true)

    if [ "$state" != "install ok installed" ]; then
        missing+=("$package")
    fi
done

if [ ${#missing[@]} -eq 0 ]; then
    exit 0
fi

echo "deps: apt-get install ${missing[*]}"

root=()

if [ "$(id -u)" -ne 0 ]; then

    if ! command -v sudo >/dev/null; then
        echo "deps: neither root nor sudo, please install them" >&2
        exit 1
    fi

    root=(sudo)
fi

apt=("${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y
     -o Acquire::Retries=3 -o Dpkg::Use-Pty=0)
log=$(mktemp)
trap 'rm -f "$log"' EXIT

if ! { "${apt[@]}" update \
       && "${apt[@]}" install --no-install-recommends "${missing[@]}"; } \
     >"$log" 2>&1
then
    tail -n 30 "$log" >&2
    exit 1
fi
