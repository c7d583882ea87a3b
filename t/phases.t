use lib 't/lib';
use Test::Nginx::Socket 'no_plan';
use MTD;

# beside other modules: what runs before the gate, and what cannot undo it

add_block_preprocessor(sub {
    my ($block) = @_;
    $block->set_value(device => "bad threat=highSeverity compliance=compliant\n"
                                . "ok threat=secured compliance=compliant");
});

repeat_each(2);
run_tests();

__DATA__

=== TEST 1: limit_req runs before the gate, no lookup for what it rejects
--- http: limit_req_zone $http_x_limit zone=l:32k rate=1r/m;
--- location: limit_req zone=l; limit_req_status 429;
--- request
GET /x
--- more_headers
X-Device: ok
--- then
my $key = 'X-Limit: ' . ++$n;
is http('GET', '/x', 'X-Device: one', $key)->{status}, 403, 'the first';
my $before = status()->{stores}{r};
is http('GET', '/x', 'X-Device: two', $key)->{status}, 429, 'the second';
my $after = status()->{stores}{r};
is $after->{counters}{lookups}, $before->{counters}{lookups}, 'no lookup';
is_deeply $after->{reasons}, $before->{reasons}, 'no decision';

=== TEST 2: limit_conn, too
--- http: limit_conn_zone $http_x_limit zone=c:32k;
--- location: limit_conn c 1; limit_conn_status 429; proxy_read_timeout 5s;
--- backend: limit_rate 1; return 200 "0123456789012345678901234567890123456789";
--- request
GET /x
--- more_headers
X-Device: bad
--- error_code: 403
--- then
trusted();
until_told('ok', 'allow secured_enough');
my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                   PeerPort => server_port());
print $socket "GET /x HTTP/1.0\r\nX-Device: ok\r\nX-Limit: a\r\n\r\n";
ok until_true(sub {
    http('GET', '/x', 'X-Device: new', 'X-Limit: a')->{status} == 429
}), 'limited';
my $lookups = status()->{stores}{r}{counters}{lookups};
is http('GET', '/x', 'X-Device: newer', 'X-Limit: a')->{status}, 429, 'again';
is status()->{stores}{r}{counters}{lookups}, $lookups, 'no lookup';
close $socket;

=== TEST 3: satisfy any does not overrule a refusal
--- location: satisfy any; allow all;
--- request
GET /x
--- more_headers
X-Device: bad
--- error_code: 403
--- response_headers
X-Is: remediate threat_level

=== TEST 4: an allow does not overrule others
--- location: deny all;
--- request
GET /x
--- more_headers
X-Device: ok
--- error_code: 403
--- response_headers
X-Is: allow secured_enough

=== TEST 5: auth_request beside it
--- server
location = /auth { internal; proxy_pass http://unix:$TEST_NGINX_SERVER_ROOT/html/backend.sock; }
--- backend: if ($http_x_auth = "") { return 401; } return 200 "$request_uri\n";
--- location: auth_request /auth;
--- request
GET /x
--- more_headers
X-Device: ok
X-Auth: 1
--- response_headers
X-Is: allow secured_enough
--- response_body
/x
--- then
is http('GET', '/x', 'X-Device: ok')->{status}, 401, 'not by auth_request';
is http('GET', '/x', 'X-Device: bad', 'X-Auth: 1')->{status}, 403,
   'not by the gate';

=== TEST 6: subrequests are not decided on
--- server
location = /auth { internal; proxy_pass http://unix:$TEST_NGINX_SERVER_ROOT/html/backend.sock; }
--- location: auth_request /auth;
--- request
GET /x
--- more_headers
X-Device: ok
--- then
my $before = status()->{stores}{r}{reasons};
is told('ok'), 'allow secured_enough', 'one';
my $after = status()->{stores}{r}{reasons};
is $after->{secured_enough}, $before->{secured_enough} + 1, 'counted once';
is $after->{$_}, $before->{$_}, "not: $_" for qw(exempt unidentified);

=== TEST 7: error_page does not run into an allow
--- server
error_page 403 /allowed;
location = /allowed { mtd off; proxy_pass http://unix:$TEST_NGINX_SERVER_ROOT/html/backend.sock; }
--- request
GET /x
--- more_headers
X-Device: bad
--- error_code: 403
--- response_headers
X-Is: remediate threat_level
--- response_headers_like
X-MTD-Reference: [0-9a-f]{16}

=== TEST 8: error_page to a page for all is shown, and stays a refusal
--- server
error_page 403 /page;
location = /page { internal; root html; }
--- user_files
>>> page
sorry
--- request
GET /x
--- more_headers
X-Device: bad
--- error_code: 403
--- response_headers
X-Is: remediate threat_level

=== TEST 9: error_page 403 = does not make it another's answer
--- server
error_page 403 = /x?again;
--- request
GET /x
--- more_headers
X-Device: bad
--- error_code: 403
--- response_headers
X-Is: remediate threat_level

=== TEST 10: a named location stays refused
--- server
error_page 403 = @named;
location @named { proxy_pass http://unix:$TEST_NGINX_SERVER_ROOT/html/backend.sock; }
--- request
GET /x
--- more_headers
X-Device: bad
--- error_code: 403
--- response_headers
X-Is: remediate threat_level
--- response_body_unlike: GET /x

=== TEST 11: a refusal is counted once, whatever error_page does
--- server
error_page 403 = /other;
--- request
GET /x
--- more_headers
X-Device: bad
--- error_code: 403
--- then
my $before = status()->{stores}{r};
is told('bad'), 'remediate threat_level', 'one';
my $after = status()->{stores}{r};
is $after->{reasons}{threat_level}, $before->{reasons}{threat_level} + 1,
   'counted once';
is $after->{counters}{remediated}, $before->{counters}{remediated} + 1,
   'here, too';

=== TEST 12: rewrite into what is refused
--- gate: mtd_profile exchange; mtd_identify value; mtd_value $http_x_device kind=serial;
--- server: rewrite ^/owa/shell /powershell;
--- request
GET /owa/shell
--- more_headers
X-Device: ok
--- error_code: 403
--- response_headers
X-Is: block path_refused

=== TEST 13: rewrite into what is open
--- gate: mtd_profile exchange; mtd_identify value; mtd_value $http_x_device kind=serial;
--- location: rewrite ^/owa/logon /owa/auth/logon.aspx break;
--- request
GET /owa/logon
--- response_headers
X-Is: allow open_endpoint
--- response_body
GET /owa/auth/logon.aspx

=== TEST 14: rewrite out of what is open
--- gate: mtd_profile exchange; mtd_identify value; mtd_value $http_x_device kind=serial;
--- server: rewrite ^/owa/auth/in /owa/inbox;
--- request
GET /owa/auth/in
--- error_code: 403
--- response_headers
X-Is: block unidentified

=== TEST 15: X-Accel-Redirect is decided on again
--- gate: mtd_profile exchange; mtd_identify value; mtd_value $http_x_device kind=serial;
--- backend: if ($uri = /owa/auth/go) { add_header X-Accel-Redirect /owa/inbox; return 200; } return 200 "$request_uri\n";
--- request
GET /owa/auth/go
--- error_code: 403
--- response_headers
X-Is: block unidentified
--- then
my $answer = http('GET', '/owa/auth/go', 'X-Device: ok');
is "$answer->{status} $answer->{'x-is'}", '200 allow secured_enough',
   'with a device';

=== TEST 16: X-Accel-Redirect out of a location that is off
--- server
location /off { mtd off; proxy_pass http://unix:$TEST_NGINX_SERVER_ROOT/html/backend.sock; }
--- backend: if ($uri = /off) { add_header X-Accel-Redirect /inside; return 200; } return 200 "$request_uri\n";
--- request
GET /off
--- error_code: 403
--- response_headers
X-Is: block unidentified

=== TEST 17: what is decided on is what arrives
--- request
GET /a/./b/../c%41?x=%2e%2E
--- more_headers
X-Device: ok
--- response_headers
X-Is: allow secured_enough
--- response_body_like: ^GET /a/cA\?x=%2e%2E$

=== TEST 18: try_files and index do not get around it
--- server
location /files { root html; index index.html; try_files $uri $uri/ =404; }
--- user_files
>>> files/index.html
secret
--- request
GET /files/
--- more_headers
X-Device: bad
--- error_code: 403
--- response_headers
X-Is: remediate threat_level
--- response_body_unlike: secret
--- then
like http('GET', '/files/', 'X-Device: ok')->{body}, qr/secret/, 'allowed';

=== TEST 19: HTTP/1.0
--- request
GET /x HTTP/1.0
--- more_headers
X-Device: ok
--- response_headers
X-Is: allow secured_enough

=== TEST 20: a refusal is logged as one, whatever error_page does
--- http: log_format told '$status $mtd_decision $mtd_reason';
--- server
access_log logs/told.log told;
error_page 403 /blocked;
location = /blocked { return 403 "no: $mtd_reason"; }
--- request
GET /x
--- more_headers
X-Device: bad
--- error_code: 403
--- response_body: no: threat_level
--- then
my $told;
until_true(sub {
    open my $in, '<', MTD::server_root() . '/logs/told.log' or return;
    ($told) = reverse <$in>;
    defined $told;
});
is $told, "403 remediate threat_level\n", 'in the access log';
