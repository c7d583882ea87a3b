use lib 't/lib';
use Test::Nginx::Socket 'no_plan';
use MTD;

# what mtd_policy does not take

run_tests();

__DATA__

=== TEST 1: unknown parameter
--- policy: report_only on;
--- must_die
--- error_log
unknown parameter "report_only" in mtd_policy in

=== TEST 2: a parameter without a value
--- policy: grace;
--- must_die
--- error_log
"grace" in mtd_policy takes one value: on or off in

=== TEST 3: the same policy twice
--- http: mtd_policy p { }
--- must_die
--- error_log
duplicate mtd_policy "p" in

=== TEST 4: a policy named off
--- http: mtd_policy off { }
--- must_die
--- error_log
invalid name "off", it must be 1 to 64 letters, digits, "_" and "-", and not "off" in

=== TEST 5: a policy without a name
--- http: mtd_policy { }
--- must_die
--- error_log
invalid number of arguments in "mtd_policy" directive in

=== TEST 6: a block that is not closed
--- http: mtd_policy q { grace on;
--- must_die
--- error_log
unexpected "{" in

=== TEST 7: max_threat compromised
--- policy: max_threat compromised;
--- must_die
--- error_log
"compromised" of "max_threat" in mtd_policy is invalid; it must be secured, low, medium or high in

=== TEST 8: max_threat twice
--- policy: max_threat low; max_threat low;
--- must_die
--- error_log
"low" of "max_threat" in mtd_policy is duplicate; it must be secured, low, medium or high in

=== TEST 9: compliance on
--- policy: compliance on;
--- must_die
--- error_log
"on" of "compliance" in mtd_policy is invalid; it must be required or ignored in

=== TEST 10: compliance twice
--- policy: compliance required; compliance required;
--- must_die
--- error_log
"required" of "compliance" in mtd_policy is duplicate; it must be required or ignored in

=== TEST 11: grace yes
--- policy: grace yes;
--- must_die
--- error_log
"yes" of "grace" in mtd_policy is invalid; it must be on or off in

=== TEST 12: grace twice
--- policy: grace on; grace on;
--- must_die
--- error_log
"on" of "grace" in mtd_policy is duplicate; it must be on or off in

=== TEST 13: missing_threat deny
--- policy: missing_threat deny;
--- must_die
--- error_log
"deny" of "missing_threat" in mtd_policy is invalid; it must be block, remediate or allow in

=== TEST 14: missing_threat twice
--- policy: missing_threat block; missing_threat block;
--- must_die
--- error_log
"block" of "missing_threat" in mtd_policy is duplicate; it must be block, remediate or allow in

=== TEST 15: unknown_device deny
--- policy: unknown_device deny;
--- must_die
--- error_log
"deny" of "unknown_device" in mtd_policy is invalid; it must be block, remediate or allow in

=== TEST 16: unknown_device twice
--- policy: unknown_device block; unknown_device block;
--- must_die
--- error_log
"block" of "unknown_device" in mtd_policy is duplicate; it must be block, remediate or allow in

=== TEST 17: unidentified deny
--- policy: unidentified deny;
--- must_die
--- error_log
"deny" of "unidentified" in mtd_policy is invalid; it must be block, remediate or allow in

=== TEST 18: unidentified twice
--- policy: unidentified block; unidentified block;
--- must_die
--- error_log
"block" of "unidentified" in mtd_policy is duplicate; it must be block, remediate or allow in

=== TEST 19: unenrolled deny
--- policy: unenrolled deny;
--- must_die
--- error_log
"deny" of "unenrolled" in mtd_policy is invalid; it must be block, remediate or allow in

=== TEST 20: unenrolled twice
--- policy: unenrolled block; unenrolled block;
--- must_die
--- error_log
"block" of "unenrolled" in mtd_policy is duplicate; it must be block, remediate or allow in

=== TEST 21: on_threat allow
--- policy: on_threat allow;
--- must_die
--- error_log
"allow" of "on_threat" in mtd_policy is invalid; it must be block or remediate in

=== TEST 22: on_threat twice
--- policy: on_threat block; on_threat block;
--- must_die
--- error_log
"block" of "on_threat" in mtd_policy is duplicate; it must be block or remediate in

=== TEST 23: on_noncompliant allow
--- policy: on_noncompliant allow;
--- must_die
--- error_log
"allow" of "on_noncompliant" in mtd_policy is invalid; it must be block or remediate in

=== TEST 24: on_noncompliant twice
--- policy: on_noncompliant block; on_noncompliant block;
--- must_die
--- error_log
"block" of "on_noncompliant" in mtd_policy is duplicate; it must be block or remediate in

=== TEST 25: store_failure remediate
--- policy: store_failure remediate;
--- must_die
--- error_log
"remediate" of "store_failure" in mtd_policy is invalid; it must be block or allow in

=== TEST 26: store_failure twice
--- policy: store_failure block; store_failure block;
--- must_die
--- error_log
"block" of "store_failure" in mtd_policy is duplicate; it must be block or allow in

=== TEST 27: max_age 0
--- policy: max_age 0;
--- must_die
--- error_log
"0" of "max_age" in mtd_policy is invalid; it must be a time above zero in whole seconds, such as 10s, 4h or 30d in

=== TEST 28: max_age twice
--- policy: max_age 1d; max_age 1d;
--- must_die
--- error_log
"1d" of "max_age" in mtd_policy is duplicate; it must be a time above zero in whole seconds, such as 10s, 4h or 30d in

=== TEST 29: bypass never
--- policy: bypass never;
--- must_die
--- error_log
"never" of "bypass" in mtd_policy is invalid; it must be on or off in

=== TEST 30: bypass twice
--- policy: bypass off; bypass off;
--- must_die
--- error_log
"off" of "bypass" in mtd_policy is duplicate; it must be on or off in

=== TEST 31: bind_user strict
--- policy: bind_user strict;
--- must_die
--- error_log
"strict" of "bind_user" in mtd_policy is invalid; it must be on or off in

=== TEST 32: a report's age, which nobody asks for
--- policy: missing_threat allow; max_age 7d;
--- must_die
--- error_log
"max_age" in mtd_policy "p" would never apply beside "missing_threat allow", one of them must go in

=== TEST 33: grace, where compliance is ignored
--- policy: grace off; compliance ignored;
--- must_die
--- error_log
"grace" in mtd_policy "p" would never apply beside "compliance ignored", one of them must go in

=== TEST 34: ... and what to do without it
--- policy: compliance ignored; on_noncompliant block;
--- must_die
--- error_log
"on_noncompliant" in mtd_policy "p" would never apply beside "compliance ignored", one of them must go in
