use lib 't/lib';
use Test::Nginx::Socket 'no_plan';
use MTD;

# each refusal has a reference, and a reason only where it may be told

add_block_preprocessor(sub {
    my ($block) = @_;
    $block->set_value(device => "d1 action=block\n"
                                . join('', map { "n$_ action=block\n" } 1 .. 20)
                                . 'ok threat=secured compliance=compliant');
});

repeat_each(2);
run_tests();

__DATA__

=== TEST 1: off
--- location: mtd_disclose off;
--- request
GET /x
--- more_headers
X-Device: d1
--- error_code: 403
--- response_headers
! X-MTD-Reason
Cache-Control: no-store
--- response_headers_like
X-MTD-Reference: [0-9a-f]{16}
--- response_body_unlike: admin_block

=== TEST 2: on
--- location: mtd_disclose on;
--- request
GET /x
--- more_headers
X-Device: d1
--- error_code: 403
--- response_headers
X-MTD-Reason: admin_block

=== TEST 3: each reference is another, and in the log
--- request
GET /x
--- more_headers
X-Device: d1
--- error_code: 403
--- error_log
[error]
mtd block: admin_block, reference: 
--- then
my %seen;
for (1 .. 20) {
    my $reference = http('GET', '/x', "X-Device: n$_")->{'x-mtd-reference'};
    $seen{$reference} = 1;
    like error_log(), qr/reference: $reference, device: [0-9a-f]{16}, threat: unknown, compliance: unknown, policy: p, protocol: other,/,
         'in the log';
}
is keys %seen, 20, 'each once';

=== TEST 4: with every kind of refusal
--- gate: mtd_profile exchange; mtd_identify value; mtd_value $http_x_device kind=serial;
--- request
GET /unknown
--- error_code: 404
--- response_headers
Cache-Control: no-store
--- response_headers_like
X-MTD-Reference: [0-9a-f]{16}
--- then
for ([ 400, 'GET', '/a%5cb' ], [ 403, 'GET', '/powershell' ],
     [ 405, 'PUT', '/ews' ], [ 403, 'GET', '/owa/' ],
     [ 403, 'GET', '/owa/', 'X-Device: d1' ])
{
    my ($status, @request) = @$_;
    my $answer = http(@request);
    is $answer->{status}, $status, "@request";
    like $answer->{'x-mtd-reference'}, qr/^[0-9a-f]{16}$/, 'a reference';
    is $answer->{'cache-control'}, 'no-store', 'not to be stored';
}

=== TEST 5: an allowed request has none
--- request
GET /x
--- more_headers
X-Device: ok
--- response_headers
! X-MTD-Reference
! X-MTD-Reason
! Cache-Control

=== TEST 6: neither the device nor the request line are in our lines
--- request
GET /secret-path
--- more_headers
X-Device: d1
Cookie: a=secret-cookie
Authorization: Basic secret
--- error_code: 403
--- then
my @lines = grep { /\] \d+#\d+: \*?\d* ?mtd / } split /\n/, error_log();
ok scalar(@lines), 'there are lines';
unlike "@lines", qr/secret|\bd1\b/, 'without it';
