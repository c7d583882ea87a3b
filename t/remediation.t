use lib 't/lib';
use Test::Nginx::Socket 'no_plan';
use MTD;

# where mtd_remediation sends

add_block_preprocessor(sub {
    my ($block) = @_;
    $block->set_value(device => 'd1 threat=highSeverity compliance=compliant');
    $block->set_value(more_headers => "X-Device: d1\nAccept: text/html\n"
                      . ($block->more_headers || ''));
});

repeat_each(2);
run_tests();

__DATA__

=== TEST 1: a path
--- server: mtd_remediation /remediate;
--- request
GET /a/b?c
--- error_code: 302
--- response_headers_like
Location: (?:http://localhost:\d+)?/remediate

=== TEST 2: variables
--- server: mtd_remediation https://$http_x_host/?reason=$mtd_reason&ref=$mtd_reference&d=$mtd_decision;
--- more_headers
X-Host: portal.example
--- request
GET /a
--- error_code: 302
--- response_headers_like
Location: https://portal\.example/\?reason=threat_level&ref=[0-9a-f]{16}&d=remediate
--- then
my $answer = http('GET', '/a', 'X-Device: d1', 'Accept: text/html',
                  'X-Host: portal.example');
like $answer->{location}, qr/ref=\Q$answer->{'x-mtd-reference'}\E&/,
     'the same reference';

=== TEST 3: a variable cannot split the header
--- http
map $http_x_host $url { "a" "https://a/\r\nX-Evil: 1"; "b" "https://b/ c"; default ""; }
--- server: mtd_remediation $url;
--- more_headers
X-Host: a
--- request
GET /a
--- error_code: 403
--- response_headers
! Location
! X-Evil
--- then
is http('GET', '/a', 'X-Device: d1', 'Accept: text/html',
        "X-Host: $_")->{status}, 403, "'$_'" for 'b', 'c';

=== TEST 4: no circles
--- server: mtd_remediation /remediate?from=gate;
--- request
GET /remediate?from=gate
--- error_code: 403
--- response_headers
! Location
--- then
is http('GET', '/Remediate', 'X-Device: d1', 'Accept: text/html')->{status},
   302, 'another path';

=== TEST 5: a page of ours outside of the gate
--- server
mtd_remediation /remediate;
location = /remediate { mtd off; proxy_pass http://unix:$TEST_NGINX_SERVER_ROOT/html/backend.sock; }
--- request
GET /remediate
--- response_headers
X-Is: allow exempt
--- then
like http('GET', '/x', 'X-Device: d1', 'Accept: text/html')->{location},
     qr{/remediate$}, 'others are sent there';

=== TEST 6: one for a location
--- server: mtd_remediation /server;
--- location: mtd_remediation /location;
--- request
GET /a
--- error_code: 302
--- response_headers_like
Location: (?:http://localhost:\d+)?/location

=== TEST 7: one for all servers
--- http: mtd_remediation https://all.example/;
--- request
GET /a
--- error_code: 302
--- response_headers
Location: https://all.example/
