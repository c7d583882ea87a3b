use lib 't/lib';
use Test::Nginx::Socket 'no_plan';
use MTD;

# which policy, and which store, a request is decided with

our $value = 'mtd_profile generic; mtd_identify value; '
             . 'mtd_value $http_x_device kind=serial;';

repeat_each(2);
run_tests();

__DATA__

=== TEST 1: a map on the groups of the device
--- http
mtd_policy open { max_threat high; }
map $mtd_groups $mine { ~\bvip\b open; default p; }
--- gate eval
"mtd \$mine;\n$main::value"
--- device
d1 threat=highSeverity compliance=compliant groups=staff,vip
d2 threat=highSeverity compliance=compliant groups=staff
d3 threat=highSeverity compliance=compliant
--- request
GET /x
--- more_headers
X-Device: d1
--- response_headers
X-Is: allow secured_enough
--- then
is told('d2'), 'remediate threat_level', 'another group';
is told('d3'), 'remediate threat_level', 'no group';
is told('d1'), 'allow secured_enough', 'from the zone';

=== TEST 2: off for a network
--- http
geo $mine { 127.0.0.0/8 off; default p; }
--- gate eval
"mtd \$mine;\n$main::value"
--- request
GET /x
--- response_headers
X-Is: allow exempt

=== TEST 3: off does not open what the profile refuses
--- gate
mtd $http_x_policy;
mtd_profile exchange; mtd_identify value; mtd_value $http_x_device kind=serial;
--- request
GET /powershell
--- more_headers
X-Policy: off
--- error_code: 403
--- response_headers
X-Is: block path_refused
--- then
is http('GET', '/a%5cb', 'X-Policy: off')->{status}, 400, 'nor a bad path';
is http('GET', '/owa/', 'X-Policy: off')->{'x-is'}, 'allow exempt', 'else';

=== TEST 4: by the user of a device
--- http
map $mtd_vendor $mine { mine off; default p; }
--- gate eval
"mtd \$mine;\n$main::value"
--- device
d1 threat=highSeverity vendor=mine
d2 threat=highSeverity vendor=other
--- request
GET /x
--- more_headers
X-Device: d1
--- response_headers
X-Is: allow exempt
--- then
is told('d2'), 'remediate threat_level', 'another';

=== TEST 5: another policy for a location
--- http: mtd_policy open { max_threat high; }
--- server
location /open { mtd open; proxy_pass http://unix:$TEST_NGINX_SERVER_ROOT/html/backend.sock; }
--- device
d1 threat=highSeverity compliance=compliant
--- request
GET /open
--- more_headers
X-Device: d1
--- response_headers
X-Is: allow secured_enough
--- then
is told('d1'), 'remediate threat_level', 'elsewhere';

=== TEST 6: off is inherited, and logged at start
--- server
location /rooms {
    mtd off;
    location /rooms/a { proxy_pass http://unix:$TEST_NGINX_SERVER_ROOT/html/backend.sock; }
}
--- request
GET /rooms/a
--- response_headers
X-Is: allow exempt
--- then
is http('GET', '/other')->{'x-is'}, 'block unidentified', 'elsewhere';
like error_log(), qr{mtd is off in location "/rooms"}, 'logged';

=== TEST 7: a location of an exempt one may be gated again
--- server
location /rooms {
    mtd off;
    location /rooms/a { mtd p; proxy_pass http://unix:$TEST_NGINX_SERVER_ROOT/html/backend.sock; }
}
--- request
GET /rooms/a
--- error_code: 403
--- response_headers
X-Is: block unidentified

=== TEST 8: two stores
--- http: mtd_redis s { server unix:$TEST_NGINX_REDIS; prefix s-$TEST_NGINX_PREFIX; zone 1m; }
--- gate eval
"mtd p store=r;\n$main::value"
--- server
location /s { mtd p store=s; proxy_pass http://unix:$TEST_NGINX_SERVER_ROOT/html/backend.sock; }
--- device
d1 threat=secured compliance=compliant
--- init
redis('SET', 's-' . key('alias:serial:d1'), 'd1', 'EX', 600);
redis('HSET', 's-' . key('device:d1'), threat => 'compromised');
--- request
GET /x
--- more_headers
X-Device: d1
--- response_headers
X-Is: allow secured_enough
--- then
is http('GET', '/s', 'X-Device: d1')->{'x-is'}, 'remediate compromised',
   'the other store';
is join(' ', sort keys %{ status()->{stores} }), 'r s', 'both in the status';

=== TEST 9: all of it in http, for every server
--- http eval
"mtd p; $main::value"
--- config
add_header X-Is "$mtd_decision $mtd_reason" always;
location / { proxy_pass http://unix:$TEST_NGINX_SERVER_ROOT/html/backend.sock; }
--- request
GET /x
--- error_code: 403
--- response_headers
X-Is: block unidentified

=== TEST 10: a server that says off is not gated
--- http eval
"mtd p; $main::value"
--- config
mtd off;
add_header X-Is "a$mtd_decision" always;
location / { proxy_pass http://unix:$TEST_NGINX_SERVER_ROOT/html/backend.sock; }
--- request
GET /x
--- response_headers
X-Is: a
--- response_body
GET /x

=== TEST 11: a map of a map, with what is known of the device
--- http
mtd_policy open { max_threat high; }
map $mtd_groups $tier { ~\bvip\b vip; default staff; }
map $tier $mine { vip p; default open; }
--- gate eval
"mtd \$mine;\n$main::value"
--- device
d1 threat=highSeverity compliance=compliant groups=vip
d2 threat=highSeverity compliance=compliant groups=staff
--- request
GET /x
--- more_headers
X-Device: d1
--- error_code: 403
--- response_headers
X-Is: remediate threat_level
--- then
is told('d2'), 'allow secured_enough', 'the other';

=== TEST 12: ... which something has asked for before, is not believed
--- http
mtd_policy open { max_threat high; }
map $mtd_groups $tier { ~\bvip\b vip; default staff; }
map $tier $mine { vip p; default open; }
--- gate eval
"mtd \$mine;\n$main::value"
--- server: set $early $mine;
--- device
d1 threat=highSeverity compliance=compliant groups=vip
--- request
GET /x
--- more_headers
X-Device: d1
--- error_code: 403
--- response_headers
X-Is: block policy_error
--- then
like error_log(), qr/policy_error, a variable of the device was used before/,
     'it says why';
