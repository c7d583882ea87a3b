#!/bin/bash

# counts.sh LOG: prints how many tests passed and how many failed, where they
# were prove's or cmocka's, or said "N passed, N failed".

set -euo pipefail

log=$1

bad=$(sed -nE 's/.*Tests: [0-9]+ Failed: ([0-9]+)\).*/\1/p
               s/.*\b[0-9]+ passed, ([0-9]+) failed.*/\1/p' "$log" \
      | awk '{ n += $1 } END { print n + 0 }')
ok=$(sed -nE 's/^Files=[0-9]+, Tests=([0-9]+),.*/\1/p
              s/.*\b([0-9]+) passed, [0-9]+ failed.*/\1/p
              s/.*\[  PASSED  \] ([0-9]+) test.*/\1/p' "$log" \
     | awk '{ n += $1 } END { print n + 0 }')

if grep -q '^Files=' "$log"; then
    ok=$((ok - bad))
fi

echo "$ok $bad"
