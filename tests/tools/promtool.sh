#!/bin/bash

# Prints the path of promtool.  If it is not installed, Debian's package is
# unpacked into build/promtool: installed, it would start a server.

set -euo pipefail

cd "$(dirname "$0")/../.."
dir=$PWD/build/promtool
tool=$dir/usr/bin/promtool

if command -v promtool; then
    exit 0
fi

fetch() (
    tests/tools/private-apt.sh "$dir/apt" deb \
    && export APT_CONFIG=$dir/apt/apt.conf \
    && cd "$dir" \
    && apt-get -q update \
    && apt-get -q download prometheus
)

if [ ! -x "$tool" ]; then
    mkdir -p "$dir"

    if ! fetch >"$dir/apt.log" 2>&1; then
        tail -n 20 "$dir/apt.log" >&2
        echo "promtool is not installed and cannot be fetched" >&2
        exit 1
    fi

    dpkg -x "$dir"/prometheus_*.deb "$dir"
fi

echo "$tool"
