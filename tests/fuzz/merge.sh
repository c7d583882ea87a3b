#!/bin/bash

# merge.sh TARGET...
#
# Makes corpus/TARGET.txt anew: of what is there and what runs have found, the
# smallest inputs that reach all that these reach.

set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
build=${BUILD:-$here/../../build/fuzz}

for name in "$@"; do
    dir=$build/run/$name
    kept=$here/corpus/$name.txt

    rm -rf "$dir/kept" "$dir/merged"
    mkdir -p "$dir/merged" "$dir/found"

    if [ -f "$kept" ]; then
        "$here/corpus.pl" unpack "$kept" "$dir/kept"
    fi

    mkdir -p "$dir/kept"
    "$build/fuzz_$name" -merge=1 -max_len=4096 "$dir/merged" "$dir/kept" \
        "$dir/found" >"$dir/merge.log" 2>&1

    "$here/corpus.pl" pack "$dir/merged" >"$kept.new"
    mv "$kept.new" "$kept"
    echo "$name: $(wc -l <"$kept") inputs, $(wc -c <"$kept") bytes"
done
