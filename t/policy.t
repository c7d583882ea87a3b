use lib 't/lib';
use Test::Nginx::Socket 'no_plan';
use MTD;

# the parameters of mtd_policy, with other values than the default

repeat_each(2);
run_tests();

__DATA__

=== TEST 1: max_threat secured
--- policy: max_threat secured;
--- device
low threat=lowSeverity compliance=compliant
--- request
GET /x
--- more_headers
X-Device: low
--- error_code: 403
--- response_headers
X-Is: remediate threat_level

=== TEST 2: max_threat high
--- policy: max_threat high;
--- device
d1 threat=highSeverity compliance=compliant
d2 threat=compromised compliance=compliant
--- request
GET /x
--- more_headers
X-Device: d1
--- response_headers
X-Is: allow secured_enough
--- then
is told('d2'), 'remediate compromised', 'worse than high';

=== TEST 3: max_threat medium
--- policy: max_threat medium;
--- device
d1 threat=mediumSeverity compliance=compliant
d2 threat=highSeverity compliance=compliant
--- request
GET /x
--- more_headers
X-Device: d1
--- response_headers
X-Is: allow secured_enough
--- then
is told('d2'), 'remediate threat_level', 'high';

=== TEST 4: compliance ignored
--- policy: compliance ignored;
--- device
d1 threat=secured compliance=noncompliant
--- request
GET /x
--- more_headers
X-Device: d1
--- response_headers
X-Is: allow secured_enough

=== TEST 5: grace off
--- policy: grace off;
--- init
MTD::devices("d1 threat=secured compliance=inGracePeriod grace_until="
             . (time() + 600));
--- request
GET /x
--- more_headers
X-Device: d1
--- error_code: 403
--- response_headers
X-Is: remediate grace_over

=== TEST 6: missing_threat block
--- policy: missing_threat block;
--- device
d1 compliance=compliant
--- request
GET /x
--- more_headers
X-Device: d1
--- error_code: 403
--- response_headers
X-Is: block threat_missing

=== TEST 7: missing_threat allow looks at the rest
--- policy: missing_threat allow;
--- device
d1 compliance=compliant
d2 compliance=noncompliant
--- request
GET /x
--- more_headers
X-Device: d1
--- response_headers
X-Is: allow secured_enough
--- then
is told('d2'), 'remediate noncompliant', 'd2';

=== TEST 8: unknown_device remediate
--- policy: unknown_device remediate;
--- request
GET /x
--- more_headers
X-Device: nobody
--- error_code: 403
--- response_headers
X-Is: remediate unknown_device

=== TEST 9: unknown_device allow
--- policy: unknown_device allow;
--- request
GET /x
--- more_headers
X-Device: nobody
--- response_headers
X-Is: allow unknown_device

=== TEST 10: unidentified remediate
--- policy: unidentified remediate;
--- request
GET /x
--- error_code: 403
--- response_headers
X-Is: remediate unidentified

=== TEST 11: unidentified allow
--- policy: unidentified allow;
--- request
GET /x
--- response_headers
X-Is: allow unidentified

=== TEST 12: unenrolled remediate
--- policy: unenrolled remediate;
--- device
d1 threat=secured enrolled=app
--- request
GET /x
--- more_headers
X-Device: d1
--- error_code: 403
--- response_headers
X-Is: remediate not_enrolled

=== TEST 13: on_threat block
--- policy: on_threat block;
--- device
d1 threat=highSeverity compliance=compliant
d2 threat=compromised compliance=compliant
--- request
GET /x
--- more_headers
X-Device: d1
--- error_code: 403
--- response_headers
X-Is: block threat_level
--- then
is told('d2'), 'block compromised', 'd2';

=== TEST 14: on_noncompliant block
--- policy: on_noncompliant block;
--- device
d1 threat=secured compliance=noncompliant
d2 threat=secured compliance=inGracePeriod
--- request
GET /x
--- more_headers
X-Device: d1
--- error_code: 403
--- response_headers
X-Is: block noncompliant
--- then
is told('d2'), 'block grace_over', 'd2';

=== TEST 15: an empty policy has a default for everything
--- http: mtd_policy empty { }
--- gate
mtd empty;
mtd_profile generic; mtd_identify value; mtd_value $http_x_device kind=serial;
--- device
d1 threat=secured compliance=compliant
--- request
GET /x
--- more_headers
X-Device: d1
--- response_headers
X-Is: allow secured_enough
