use lib 't/lib';
use Test::Nginx::Socket 'no_plan';
use MTD;

# every reason that a record, or its absence, can have

repeat_each(2);
run_tests();

__DATA__

=== TEST 1: secured_enough
--- device
d1 threat=secured compliance=compliant
--- request
GET /x?y=z
--- more_headers
X-Device: d1
--- response_headers
X-Is: allow secured_enough
! X-MTD-Reference
! X-MTD-Reason
--- response_body
GET /x?y=z

=== TEST 2: ids are folded
--- device
d1 threat=secured compliance=compliant
--- request
GET /x
--- more_headers
X-Device: D1
--- response_headers
X-Is: allow secured_enough

=== TEST 3: threat_level
--- device
low threat=lowSeverity compliance=compliant
medium threat=mediumSeverity compliance=compliant
high threat=HIGHSEVERITY compliance=compliant
--- request
GET /x
--- more_headers
X-Device: high
--- error_code: 403
--- response_headers
X-Is: remediate threat_level
X-MTD-Reason: threat_level
--- then
is told('low'), 'allow secured_enough', 'low is the default';
is told('medium'), 'remediate threat_level', 'medium';

=== TEST 4: compromised
--- device
d1 threat=compromised compliance=compliant
--- request
GET /x
--- more_headers
X-Device: d1
--- error_code: 403
--- response_headers
X-Is: remediate compromised

=== TEST 5: threat_missing, without a report or with one that tells nothing
--- device
d1 compliance=compliant
d2 threat=unknown compliance=compliant
d3 threat=activated compliance=compliant
d4 threat=deactivated compliance=compliant
d5 threat=unresponsive compliance=compliant
d6 threat=misconfigured compliance=compliant
--- request
GET /x
--- more_headers
X-Device: d1
--- error_code: 403
--- response_headers
X-Is: remediate threat_missing
--- then
is told("d$_"), 'remediate threat_missing', "d$_" for 2 .. 6;

=== TEST 6: threat_stale
--- policy: max_age 1h;
--- init
my $now = time;
MTD::devices(<<"END");
new threat=secured compliance=compliant reported_at=${now}000
old threat=secured compliance=compliant reported_at=@{[ $now - 3700 ]}000
never threat=secured compliance=compliant
future threat=secured compliance=compliant reported_at=@{[ $now + 9000 ]}000
never-old threat=secured compliance=compliant reported_at=@{[ $now + 90000 ]}000
END
--- request
GET /x
--- more_headers
X-Device: old
--- error_code: 403
--- response_headers
X-Is: remediate threat_stale
--- then
is told('new'), 'allow secured_enough', 'new';
is told('never'), 'remediate threat_stale', 'never';
is told('future'), 'allow secured_enough', 'a clock that is ahead';
is told('never-old'), 'remediate threat_stale', 'no clock is';

=== TEST 7: noncompliant, unless it is said to be compliant
--- device
d1 threat=secured compliance=noncompliant
d2 threat=secured
d3 threat=secured compliance=unknown
d4 threat=secured compliance=conflict
d5 threat=secured compliance=error
d6 threat=secured compliance=configManager
--- request
GET /x
--- more_headers
X-Device: d1
--- error_code: 403
--- response_headers
X-Is: remediate noncompliant
--- then
is told("d$_"), 'remediate noncompliant', "d$_" for 2 .. 6;

=== TEST 8: in_grace and grace_over
--- init
MTD::devices("in threat=secured compliance=inGracePeriod grace_until="
             . (time() + 600) . "\n"
             . "over threat=secured compliance=inGracePeriod grace_until="
             . (time() - 5) . "\n"
             . "none threat=secured compliance=inGracePeriod\n");
--- request
GET /x
--- more_headers
X-Device: in
--- response_headers
X-Is: allow in_grace
--- then
is told('over'), 'remediate grace_over', 'over';
is told('none'), 'remediate grace_over', 'without a time';

=== TEST 9: not_enrolled
--- policy: unenrolled block;
--- device
d1 threat=secured enrolled=app
d2 threat=secured enrolled=mdm compliance=compliant
--- request
GET /x
--- more_headers
X-Device: d1
--- error_code: 403
--- response_headers
X-Is: block not_enrolled
--- then
is told('d2'), 'allow secured_enough', 'one that is';

=== TEST 10: known by its protected app only
--- device
d1 threat=secured enrolled=app compliance=noncompliant
--- request
GET /x
--- more_headers
X-Device: d1
--- response_headers
X-Is: allow secured_enough

=== TEST 11: admin_allow, admin_block and wipe_pending
--- device
d1 threat=compromised action=allow
d2 threat=secured compliance=compliant action=block
d3 threat=secured compliance=compliant action=wipe
d4 threat=secured compliance=compliant action=
--- request
GET /x
--- more_headers
X-Device: d1
--- response_headers
X-Is: allow admin_allow
--- then
is told('d2'), 'block admin_block', 'block';
is told('d3'), 'block wipe_pending', 'wipe';
is told('d4'), 'allow secured_enough', 'empty';

=== TEST 12: unknown_device, without an alias
--- request
GET /x
--- more_headers
X-Device: nobody
--- error_code: 403
--- response_headers
X-Is: block unknown_device
X-Lookup: NEGATIVE

=== TEST 13: unknown_device, behind an alias
--- init
redis('SET', key('alias:serial:d1'), 'gone');
--- request
GET /x
--- more_headers
X-Device: d1
--- error_code: 403
--- response_headers
X-Is: block unknown_device
X-Lookup: NEGATIVE

=== TEST 14: unidentified
--- request
GET /x
--- error_code: 403
--- response_headers
X-Is: block unidentified

=== TEST 15: malformed, by its path
--- request
GET /a%5cb
--- more_headers
X-Device: d1
--- error_code: 400
--- response_headers
X-Is: block malformed
--- response_headers_like
X-MTD-Reference: [0-9a-f]{16}

=== TEST 16: malformed, by what a hook has read
--- request
GET /x
--- more_headers
X-Device: a b
--- error_code: 400
--- response_headers
X-Is: block malformed

=== TEST 17: two hosts in one request are malformed
--- raw_request eval
"GET http://one.example/x HTTP/1.1\r
Host: two.example\r
X-Device: d1\r
Connection: close\r
\r
"
--- error_code: 400
--- response_headers
X-Is: block malformed

=== TEST 18: path_refused with 404
--- gate: mtd_profile exchange; mtd_identify value; mtd_value $http_x_device kind=serial;
--- device
d1 threat=secured compliance=compliant
--- request
GET /nothing/of/exchange
--- more_headers
X-Device: d1
--- error_code: 404
--- response_headers
X-Is: block path_refused

=== TEST 19: path_refused with 403
--- gate: mtd_profile exchange; mtd_identify value; mtd_value $http_x_device kind=serial;
--- device
d1 threat=secured compliance=compliant
--- request
GET /PowerShell
--- more_headers
X-Device: d1
--- error_code: 403
--- response_headers
X-Is: block path_refused

=== TEST 20: path_refused with 405 says what is allowed
--- gate: mtd_profile exchange; mtd_identify value; mtd_value $http_x_device kind=serial;
--- device
d1 threat=secured compliance=compliant
--- request
PUT /ews/exchange.asmx
--- more_headers
X-Device: d1
--- error_code: 405
--- response_headers
X-Is: block path_refused
Allow: GET, HEAD, POST, OPTIONS
X-MTD-Reason: path_refused

=== TEST 21: open_endpoint
--- gate: mtd_profile exchange; mtd_identify value; mtd_value $http_x_device kind=serial;
--- request
GET /owa/auth/logon.aspx
--- response_headers
X-Is: allow open_endpoint
X-Lookup:
--- response_body
GET /owa/auth/logon.aspx

=== TEST 22: ambiguous
--- device
d1 threat=secured compliance=compliant
--- request
GET /x
--- more_headers
X-Device: d1
X-Device: d2
--- error_code: 403
--- response_headers
X-Is: block ambiguous
X-Lookup:

=== TEST 23: identity_mismatch
--- gate: mtd_profile exchange; mtd_identify value eas; mtd_value $http_x_device kind=serial;
--- device
d1 threat=secured compliance=compliant
d2 threat=secured compliance=compliant
--- request
POST /Microsoft-Server-ActiveSync?Cmd=Sync&User=u&DeviceId=d2&DeviceType=t
--- more_headers
X-Device: d1
--- error_code: 403
--- response_headers
X-Is: block identity_mismatch

=== TEST 24: policy_error
--- gate
mtd $http_x_policy;
mtd_profile generic; mtd_identify value; mtd_value $http_x_device kind=serial;
--- device
d1 threat=secured compliance=compliant
--- request
GET /x
--- more_headers
X-Device: d1
X-Policy: q
--- error_code: 403
--- response_headers
X-Is: block policy_error
--- then
is told('d1'), 'block policy_error', 'a variable that is empty';
is told('d1', 'X-Policy: p'), 'allow secured_enough', 'one that names it';
is told('d1', 'X-Policy: off'), 'allow exempt', 'off';

=== TEST 25: exempt, by a location
--- server
location /rooms { mtd off; proxy_pass http://unix:$TEST_NGINX_SERVER_ROOT/html/backend.sock; }
--- request
GET /rooms/1
--- response_headers
X-Is: allow exempt
--- response_body
GET /rooms/1

=== TEST 26: store_unavailable
--- store
server unix:$TEST_NGINX_SERVER_ROOT/no.sock;
--- request
GET /x
--- more_headers
X-Device: d1
--- error_code: 503
--- response_headers
X-Is: block store_unavailable
X-Lookup: ERROR
--- response_headers_like
Retry-After: (?:[6-9]\d|[12]\d\d|300)

=== TEST 27: failure_allowed
--- store
server unix:$TEST_NGINX_SERVER_ROOT/no.sock;
--- policy: store_failure allow;
--- request
GET /x
--- more_headers
X-Device: d1
--- response_headers
X-Is: allow failure_allowed
