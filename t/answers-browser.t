use lib 't/lib';
use Test::Nginx::Socket 'no_plan';
use MTD;

# what a refused browser gets

add_block_preprocessor(sub {
    my ($block) = @_;
    $block->set_value(device => "d1 threat=highSeverity compliance=compliant\n"
                                . 'd2 action=block');
    $block->set_value(gate => <<'END');
mtd_profile exchange; mtd_identify value; mtd_value $http_x_device kind=serial;
END
    $block->set_value(server => 'mtd_remediation https://portal.example/;')
        if !defined $block->server;
});

repeat_each(2);
run_tests();

__DATA__

=== TEST 1: a page that may be remediated
--- request
GET /owa/
--- more_headers
X-Device: d1
Accept: text/html,application/xhtml+xml
--- error_code: 302
--- response_headers
X-Is: remediate threat_level
Location: https://portal.example/
Cache-Control: no-store
--- response_headers_like
X-MTD-Reference: [0-9a-f]{16}

=== TEST 2: a HEAD of it
--- request
HEAD /owa/
--- more_headers
X-Device: d1
Accept: text/html
Sec-Fetch-Mode: navigate
--- error_code: 302
--- response_headers
Location: https://portal.example/

=== TEST 3: a page that is blocked
--- request
GET /owa/
--- more_headers
X-Device: d2
Accept: text/html
--- error_code: 403
--- response_headers
X-Is: block admin_block
! Location
Content-Type: text/html; charset=utf-8
Cache-Control: no-store
--- response_body_like: Reference: <b>[0-9a-f]{16}</b></p>\n<p>Reason: <b>admin_block</b>
--- then
my $answer = http('GET', '/owa/', 'X-Device: d2', 'Accept: text/html');
like $answer->{body}, qr/\Q$answer->{'x-mtd-reference'}\E/, 'the same number';

=== TEST 4: nobody is told why
--- location: mtd_disclose off;
--- request
GET /owa/
--- more_headers
X-Device: d2
Accept: text/html
--- error_code: 403
--- response_headers
! X-MTD-Reason
--- response_body_unlike: admin_block|Reason

=== TEST 5: no remediation is given
--- server: add_header X-Other 1;
--- request
GET /owa/
--- more_headers
X-Device: d1
Accept: text/html
--- error_code: 403
--- response_headers
! Location
--- response_body_like: Access blocked

=== TEST 6: a form is not sent elsewhere
--- request
POST /owa/
--- more_headers
X-Device: d1
Accept: text/html
--- error_code: 403
--- response_headers
X-Is: remediate threat_level
! Location

=== TEST 7: scripts get JSON
--- request
GET /owa/x
--- more_headers
X-Device: d1
Accept: text/html
X-Requested-With: XMLHttpRequest
--- error_code: 403
--- response_headers
! Location
--- response_headers_like
Content-Type: application/json.*
--- response_body_like: ^\{"error":\{"code":"ErrorAccessDenied","message":"[^"]+","reference":"[0-9a-f]{16}"\}\}$
--- then
my @d1 = ('X-Device: d1', 'Accept: text/html');
for my $path ('service.svc', 'ev.owa2', 'plt1.ashx', 'SessionData.ashx',
              'lang.owa')
{
    my $answer = http('GET', "/owa/$path", @d1);
    is $answer->{status}, 403, $path;
    like $answer->{'content-type'}, qr{^application/json}, 'JSON';
    is JSON::PP::decode_json($answer->{body})->{error}{reference},
       $answer->{'x-mtd-reference'}, 'its reference';
}
for my $mode ('cors', 'same-origin', 'websocket') {
    my $answer = http('GET', '/owa/', @d1, "Sec-Fetch-Mode: $mode");
    like $answer->{'content-type'}, qr{^application/json}, $mode;
}
my $answer = http('GET', '/owa/', 'X-Device: d1', 'Accept: application/json');
like $answer->{'content-type'}, qr{^application/json}, 'who asks for it';

=== TEST 8: an image is not a page
--- request
GET /owa/a.png
--- more_headers
X-Device: d1
Accept: text/html
Sec-Fetch-Mode: no-cors
--- error_code: 403
--- response_headers
! Location

=== TEST 9: who accepts no page gets none
--- request
GET /owa/
--- more_headers
X-Device: d1
Accept: */*
--- error_code: 403
--- response_headers
X-Is: remediate threat_level
! Location

=== TEST 10: a protocol without pages
--- request
GET /ews/exchange.asmx
--- more_headers
X-Device: d1
Accept: text/html
--- error_code: 403
--- response_headers
X-Is: remediate threat_level
Cache-Control: no-store
! Location
--- response_headers_like
X-MTD-Reference: [0-9a-f]{16}
