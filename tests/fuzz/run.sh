#!/bin/bash

# run.sh -t SECONDS | -n RUNS  TARGET...
#
# Runs the fuzz targets, as many at a time as there are CPUs, from the kept
# inputs on; stops at the first that finds something.  What they find on
# their way stays in build/fuzz/run/TARGET/found for merge.sh, logs beside it.

set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
build=${BUILD:-$here/../../build/fuzz}

export here build
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
export ASAN_OPTIONS=detect_leaks=1:allocator_may_return_null=1


# as long as asked, or from the same seed as many inputs

limits=()

while getopts t:n: option; do

    case $option in
        t) limits=(-max_total_time="$OPTARG") ;;
        n) limits=(-runs="$OPTARG" -seed=1) ;;
        *) exit 2 ;;
    esac
done

shift $((OPTIND - 1))

if [ ${#limits[@]} -eq 0 ] || [ $# -eq 0 ]; then
    sed -n '3s/^# /usage: /p' "$0" >&2
    exit 2
fi


one() {
    local name=$1 dir=$build/run/$1 rc=0
    shift

    mkdir -p "$dir/found"
    rm -rf "$dir/kept" "$dir"/crash-* "$dir"/leak-* "$dir"/timeout-*
    "$here/corpus.pl" unpack "$here/corpus/$name.txt" "$dir/kept"

    # a whole request is a hundred times the work of a parser

    if [ "$name" = request ]; then
        set -- "${@/#-runs=*/-runs=3000}"
    fi

    "$build/fuzz_$name" -dict="$here/dict/$name.dict" -max_len=4096 \
        -timeout=10 -rss_limit_mb=1024 -artifact_prefix="$dir/" \
        -print_final_stats=1 "$@" "$dir/found" "$dir/kept" \
        >"$dir/log" 2>&1 || rc=$?

    if [ $rc -ne 0 ]; then
        tail -n 40 "$dir/log"
        echo "$name: FOUND SOMETHING, see $dir"
        return 255
    fi

    sed -nE "s/^stat::number_of_executed_units: */$name: /p" "$dir/log" \
    | sed "s/\$/ inputs, 0 findings/"
}

export -f one

printf '%s\n' "$@" \
| xargs -P "$(nproc)" -I{} bash -c 'one "$@"' one {} "${limits[@]}"
