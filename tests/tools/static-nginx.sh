#!/bin/bash

# Builds build/asan/nginx: Debian's nginx from its source package with the
# gate and the example hook linked in, under ASan and UBSan.

set -euo pipefail

cd "$(dirname "$0")/../.."
top=$PWD
dir=$top/build/asan

# the newest that the archive gives out: its pool may be behind its index

fetch() (
    "$top/tests/tools/private-apt.sh" "$dir/apt" deb-src \
    && export APT_CONFIG=$dir/apt/apt.conf \
    && cd "$dir" \
    && apt-get -q update \
    || exit 1

    for version in $(apt-cache madison nginx | awk '/Sources/ { print $3 }')
    do
        apt-get -q --only-source source "nginx=$version" && exit 0
    done

    exit 1
)

source_dir() {
    find "$dir" -maxdepth 1 -type d -name 'nginx-*' 2>/dev/null | head -n 1
}

mkdir -p "$dir"

if [ -z "$(source_dir)" ]; then

    for wait in 0 5 15; do
        sleep $wait

        if fetch; then
            break
        fi

    done >"$dir/apt.log" 2>&1

    if [ -z "$(source_dir)" ]; then
        tail -n 20 "$dir/apt.log" >&2
        echo "nginx's source package cannot be fetched" >&2
        exit 1
    fi
fi

cd "$(source_dir)"

# NGX_DEBUG_PALLOC: each allocation of a pool is one of malloc's.  nginx
# reads words at any address where the CPU can, and copies nothing from NULL.

cc_opt="-O1 -g -fsanitize=address,undefined -fno-omit-frame-pointer
        -fno-sanitize=nonnull-attribute -DNGX_DEBUG_PALLOC=1
        -DNGX_HAVE_NONALIGNED=0"

modules="http_ssl http_v2 http_realip http_auth_request http_stub_status
         http_sub"

configure=(./configure --prefix=/usr/share/nginx --with-debug --with-compat)

for module in $modules; do
    configure+=("--with-${module}_module")
done

configure+=(
    --with-cc-opt="${cc_opt//$'\n'/ }"
    --with-ld-opt="-fsanitize=address,undefined"
    --add-module="$top"
    --add-module="$top/lua-free-hooks/example"
)

# configured again when a source comes or goes

list=$(sha1sum "$top/config"; ls "$top"/module "$top"/lua-free-hooks/*/*
       printf '%s\n' "${configure[@]}")

if [ "$list" != "$(cat objs/list 2>/dev/null)" ]; then

    if ! ASAN_OPTIONS=detect_leaks=0 "${configure[@]}" >configure.log; then
        tail -n 20 configure.log >&2
        exit 1
    fi

    printf '%s\n' "$list" >objs/list
    echo "building nginx with sanitizers, this takes a minute or two"
fi

make -s -j"$(nproc)" -f objs/Makefile binary
cmp -s objs/nginx "$dir/nginx" || install -m 755 objs/nginx "$dir/nginx"
