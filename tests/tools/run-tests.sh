#!/bin/bash

# Everything that `make test` runs, in the order from fast to slow; stops at
# the first step that fails.  Output is kept in build/test.

set -euo pipefail

cd "$(dirname "$0")/../.."

if [ -z "${MTD_REDIS_SOCKET:-}" ]; then
    exec tests/tools/with-redis.sh "$0" "$@"
fi

top=$PWD
out=$top/build/test
gate=$top/build/ngx_http_mtd_module.so
example=$top/build/ngx_http_mtd_example_module.so
debian=$(command -v nginx || echo /usr/sbin/nginx)
asan=$top/build/asan/nginx

rm -rf "$out"
mkdir -p "$out/asan"

lib=$(tests/tools/test-nginx.sh)
export PERL5LIB=$lib${PERL5LIB:+:$PERL5LIB}
PROMTOOL=$(tests/tools/promtool.sh)
export MTDCTL=$top/build/tools/mtdctl PROMTOOL
export TEST_NGINX_BINARY=$debian TEST_NGINX_LOAD_MODULES="$gate $example"
export TEST_NGINX_RANDOMIZE=1 TEST_NGINX_FAST_SHUTDOWN=1

passed=0 failed=0 summary=


# step NAME CMD...: what CMD prints counts where it is of prove, of cmocka, or
# "N passed, N failed"; no set -e in CMD, its status is tested

step() {
    local name=$1 log=$out/${1//[^a-z0-9]/-}.log
    local rc=0 start=$SECONDS ok bad
    shift

    printf '\n== %s\n' "$name"

    "$@" >"$log" 2>&1 || rc=$?

    # lines that no block expected, see check_error_logs in Test::Nginx

    if [ $rc -eq 0 ] && grep -E '^WARNING: .*\[(alert|emerg)\]' "$log"; then
        echo "an alert that no test expects"
        rc=1
    fi

    read -r ok bad < <(tests/tools/counts.sh "$log")

    if [ $rc -ne 0 ] && [ "$bad" -eq 0 ]; then
        bad=1
    fi

    if [ $rc -eq 0 ] && [ "$bad" -eq 0 ] && [ "$ok" -eq 0 ]; then
        ok=1
    fi

    passed=$((passed + ok)) failed=$((failed + bad))
    summary+=$(printf '%-28s %7d passed %5d failed %5d s' "$name" "$ok" \
                      "$bad" $((SECONDS - start)))$'\n'

    if [ $rc -ne 0 ]; then
        cat "$log"
        printf '\n== what failed\n'
        grep -E -A 6 '^# +Failed test|^not ok|\[  FAILED  \]' "$log" || true
        finish 1
    fi

    tail -n 1 "$log"
}

finish() {
    printf '\n== summary, logs are in build/test\n%s' "$summary"

    if [ -n "${missing:-}" ]; then
        echo "NOT RUN, no such files:$missing"
    fi

    echo "$passed passed, $failed failed"
    exit "$1"
}


# suite NAME DIR CMD...: a step that needs test files in DIR

missing=

suite() {
    local name=$1 dir=$2
    shift 2

    if ! find "$dir" -name '*.t' 2>/dev/null | grep -q .; then
        printf '\n== %s: NOT RUN, NO SUCH FILES: %s/*.t\n' "$name" "$dir"
        missing+=" $dir/*.t"
        return
    fi

    step "$name" "$@"
}


unit() {
    make --no-print-directory -C tests/unit check \
    && grep -h '\[  PASSED  \]' build/unit/*.log
}

load() {
    local dir rc=0
    dir=$(mktemp -d)
    printf '%s\n' "$@" 'error_log stderr;' "pid $dir/pid;" 'events {}' \
        'http { server { listen 127.0.0.1:1; } }' >"$dir/nginx.conf"

    "$debian" -t -p "$dir" -e stderr -c "$dir/nginx.conf" || rc=1
    rm -rf "$dir"
    return $rc
}

# handlers of a phase run in the reverse order of their modules

limits_before_gate() {
    grep -ho '&ngx_http_[a-z_]*' build/asan/nginx-*/objs/ngx_modules.c \
    | grep -A1 'mtd_module$' | grep -q 'limit_conn_module$'
}

modules() {
    load "load_module $gate;" \
    && load "load_module $gate;" "load_module $example;" \
    && load "load_module $example;" "load_module $gate;" \
    && limits_before_gate \
    && echo "4 passed, 0 failed"
}


# nginx alone leaks what it had when it refuses to start, and its own core
# is not ours to mend: only reports that name the rest count

export LSAN_OPTIONS=suppressions=$out/lsan.supp:print_suppressions=0
export UBSAN_OPTIONS=print_stacktrace=1:log_path=$out/asan/report

cat >"$out/lsan.supp" <<'END'
leak:ngx_event_process_init
leak:ngx_set_environment
leak:ngx_process_options
leak:ngx_save_argv
leak:ngx_regex_malloc
END

sanitized() {
    local rc=0

    export ASAN_OPTIONS=detect_leaks=1:log_path=$out/asan/report
    export TEST_NGINX_BINARY=$asan TEST_NGINX_LOAD_MODULES=
    export TEST_NGINX_TIMEOUT=10

    prove -j2 -r t || rc=$?
    tests/tools/sanitizer-reports.pl "$out"/asan || rc=1
    return $rc
}


# a short run, so that targets and kept inputs stay in order

fuzz() {
    make --no-print-directory fuzz FUZZ=check \
    && echo "$(grep -c '0 findings' "$out/fuzz.log") passed, 0 failed"
}


step  "lint" prove tests/lint
step  "unit" unit
suite "mtdctl" tests/mtdctl prove -r tests/mtdctl
step  "modules load" modules
suite "t" t prove -j2 -r t
suite "t under reload" t env TEST_NGINX_USE_HUP=1 prove -j2 -r t
suite "t with sanitizers" t sanitized
step  "fuzz" fuzz
suite "corpus" tests/corpus prove -r tests/corpus
suite "scenarios" tests/scenarios prove -r tests/scenarios

finish 0
