#!/bin/bash

# coverage.sh PARSER...
#
# Prints the lines of each parser (a path from the top of the tree) that the
# unit tests and the kept inputs of the fuzz targets run, and the lines that
# nothing runs; fails if these are more than one in twenty.

set -euo pipefail

cd "$(dirname "$0")/../.."
build=$PWD/build/coverage
min=95

flags="-g -O0 --coverage -fsanitize=address -Wall -Wextra
       -Wno-unused-parameter -Werror"
vars=(BUILD="$build" CC=gcc CFLAGS="${flags//$'\n'/ }")

mkdir -p "$build"
find "$build" -name '*.gcda' -delete

make -s -C tests/unit "${vars[@]}" all
make -s -C tests/fuzz "${vars[@]}" MAIN=tests/fuzz/replay.c replays

for test in tests/unit/test_*.c; do
    name=$(basename "$test" .c)
    (cd tests/unit && exec "$build/$name") >"$build/$name.log" 2>&1 \
        || { cat "$build/$name.log"; exit 1; }
done

for kept in tests/fuzz/corpus/*.txt; do
    name=$(basename "$kept" .txt)
    replay=$build/fuzz_$name

    # the one that is linked with all of nginx is for other lines

    [ -x "$replay" ] || continue

    rm -rf "$build/kept"
    tests/fuzz/corpus.pl unpack "$kept" "$build/kept"
    find "$build/kept" -type f -print0 | xargs -0 "$replay" \
        >"$replay.log" 2>&1 || { cat "$replay.log"; exit 1; }
done

rc=0

for file in "$@"; do
    object=$build/${file%.c}

    (cd "$build" && gcov -o "$object.o" "$OLDPWD/$file") >"$build/gcov.log" \
        2>&1

    awk -F: -v file="$file" -v min=$min '
        $1 ~ /[0-9]/     { lines++ }
        $1 ~ /#####|=====/ { lines++; missed++; at = at " " $2 + 0 }
        END {
            percent = lines ? 100 * (lines - missed) / lines : 0
            printf "%-52s %5d lines %6.1f %%%s\n", file, lines, percent,
                   missed ? ", not:" at : ""
            exit percent < min
        }' "$build/${file##*/}.gcov" || rc=1
done

if [ $rc -ne 0 ]; then
    echo "a parser is covered to less than $min %" >&2
fi

exit $rc
