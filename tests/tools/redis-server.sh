#!/bin/bash

# redis-server.sh redis6|valkey: prints the path of that server, of another
# Debian suite, unpacked into build/servers: installed, it would start, and
# stand in for the machine's own.

set -euo pipefail

cd "$(dirname "$0")/../.."

case ${1:-} in
    redis6)
        suite=bullseye binary=redis-server
        packages=(redis-server redis-tools liblua5.1-0 lua-cjson lua-bitop
                  libssl1.1)
        ;;
    valkey)
        suite=$(. /etc/os-release; echo "$VERSION_CODENAME")-backports
        binary=valkey-server
        packages=(valkey-server valkey-tools)
        ;;
    *)
        echo "usage: redis-server.sh redis6|valkey" >&2
        exit 1
        ;;
esac

dir=$PWD/build/servers/$1
run=$dir/run

fetch() (
    rm -rf "$dir"
    mkdir -p "$dir"
    tests/tools/private-apt.sh "$dir/apt" deb "$suite" \
    && export APT_CONFIG=$dir/apt/apt.conf \
    && cd "$dir" \
    && apt-get -q update \
    && apt-get -q -o Dir::State::status=/dev/null download "${packages[@]}" \
    && for package in *.deb; do dpkg -x "$package" root || exit 1; done
)

if [ ! -x "$run" ]; then
    mkdir -p "$dir"

    if ! fetch >"$dir.log" 2>&1; then
        tail -n 20 "$dir.log" >&2
        echo "$1 cannot be fetched from Debian's $suite" >&2
        exit 1
    fi

    libs=$(find "$dir/root" -name '*.so*' -printf '%h\n' | sort -u | paste -sd:)

    printf '#!/bin/sh\nLD_LIBRARY_PATH=%s exec %s "$@"\n' "$libs" \
        "$dir/root/usr/bin/$binary" >"$run.new"
    chmod +x "$run.new"

    if ! "$run.new" --version >>"$dir.log" 2>&1; then
        tail -n 20 "$dir.log" >&2
        echo "$1 does not run here" >&2
        exit 1
    fi

    mv "$run.new" "$run"
fi

echo "$run"
