use lib 't/lib';
use Test::Nginx::Socket 'no_plan';
use MTD;

# what refused clients of EWS, MAPI and RPC over HTTP get

add_block_preprocessor(sub {
    my ($block) = @_;
    $block->set_value(device => "d1 threat=highSeverity compliance=compliant\n"
                                . 'd2 threat=secured compliance=compliant');
    $block->set_value(gate => <<'END');
mtd_profile exchange; mtd_identify value; mtd_value $http_x_device kind=serial;
END
    $block->set_value(server => 'mtd_remediation https://portal.example/;')
        if !defined $block->server;
});

repeat_each(2);
run_tests();

__DATA__

=== TEST 1: EWS: a SOAP fault, as a reader of XML sees it
--- request
POST /EWS/Exchange.asmx
<x/>
--- more_headers
X-Device: d1
Content-Type: text/xml
--- error_code: 500
--- response_headers
X-Is: remediate threat_level
Content-Type: text/xml; charset=utf-8
Cache-Control: no-store
! Location
! WWW-Authenticate
--- response_headers_like
X-MTD-Reference: [0-9a-f]{16}
--- then
my $answer = http('POST', '/EWS/Exchange.asmx', 'X-Device: d1');
my $soap = 'http://schemas.xmlsoap.org/soap/envelope/';
my $errors = 'http://schemas.microsoft.com/exchange/services/2006/errors';
my $fault = "/*[local-name()='Envelope' and namespace-uri()='$soap']"
            . "/*[local-name()='Body']/*[local-name()='Fault']";
is xpath($answer->{body}, "name($fault/faultstring)"), 'faultstring',
   'unqualified, as SOAP 1.1 has it';
like xpath($answer->{body}, "string($fault/faultcode)"),
     qr/^a:ErrorAccessDenied$/, 'code';
my $detail = "$fault/detail/*[namespace-uri()='$errors'";
is xpath($answer->{body}, "string($detail and local-name()='ResponseCode'])"),
   'ErrorAccessDenied', 'ResponseCode';
is xpath($answer->{body}, "string($detail and local-name()='Message'])"),
   "Access is blocked for this device. Reference: "
   . "$answer->{'x-mtd-reference'}. Reason: threat_level", 'Message';

=== TEST 2: EWS: nobody is told why
--- location: mtd_disclose off;
--- request
POST /EWS/Exchange.asmx
--- more_headers
X-Device: d1
--- error_code: 500
--- response_headers
! X-MTD-Reason
--- response_body_unlike: Reason

=== TEST 3: EWS: no SOAP was asked
--- request
GET /EWS/Exchange.asmx
--- more_headers
X-Device: d1
--- error_code: 403
--- response_headers
X-Is: remediate threat_level

=== TEST 4: EWS: what is malformed is no fault of the device
--- request
POST /EWS/Exchange.asmx%2f..
--- more_headers
X-Device: d1
--- error_code: 400
--- response_body_unlike: Fault

=== TEST 5: EWS: the store is away
--- store: server unix:/nowhere;
--- request
POST /EWS/Exchange.asmx
--- more_headers
X-Device: d1
--- error_code: 503
--- response_headers
X-Is: block store_unavailable
--- response_headers_like
Retry-After: \d+
--- response_body_unlike: Fault

=== TEST 6: MAPI: a code, and the client's own headers
--- request
POST /mapi/emsmdb/?MailboxId=x@example.com
--- more_headers
X-Device: d1
X-RequestType: Connect
X-RequestId: {C715155F-2BE8-44E0-BD34-2960067874C8}:1
X-ClientInfo: {2EF33C39-49C8-421C-B876-CDF7F2AC3AA0}:123
X-Other: not this one
--- error_code: 200
--- response_headers
X-Is: remediate threat_level
X-ResponseCode: 11
X-RequestType: Connect
X-RequestId: {C715155F-2BE8-44E0-BD34-2960067874C8}:1
X-ClientInfo: {2EF33C39-49C8-421C-B876-CDF7F2AC3AA0}:123
! X-Other
Content-Type: text/html
Cache-Control: no-store
--- response_body_like: Reference: [0-9a-f]{16}. Reason: threat_level

=== TEST 7: MAPI: the address book, without the headers
--- request
POST /mapi/nspi/
--- more_headers
X-Device: d1
--- error_code: 200
--- response_headers
X-ResponseCode: 11
! X-RequestId

=== TEST 8: MAPI: the store is away
--- store: server unix:/nowhere;
--- request
POST /mapi/emsmdb/
--- more_headers
X-Device: d1
--- error_code: 503
--- response_headers
! X-ResponseCode

=== TEST 9: RPC over HTTP: both channels
--- request
RPC_IN_DATA /rpc/rpcproxy.dll?server:6001
--- more_headers
X-Device: d1
Accept: application/rpc
--- error_code: 503
--- response_headers
X-Is: remediate threat_level
! Retry-After
--- raw_response_headers_like: ^HTTP/1.1 503 RPC Error: 5\r\n
--- then
like raw("RPC_OUT_DATA /rpc/rpcproxy.dll?server:6001", 'X-Device: d1',
         'Accept: application/rpc'),
     qr/^HTTP\/1.1 503 RPC Error: 5\r\n/, 'the other one';
like raw("RPC_OUT_DATA /rpc/rpcproxy.dll?server:6001", 'X-Device: d1'),
     qr/^HTTP\/1.1 403 /, 'who does not accept RPC is no client of it';

=== TEST 10: RPC over HTTP: the store is away, which is no refusal
--- store: server unix:/nowhere;
--- request
RPC_IN_DATA /rpc/rpcproxy.dll?server:6001
--- more_headers
X-Device: d1
Accept: application/rpc
--- error_code: 503
--- response_headers_like
Retry-After: \d+
--- raw_response_headers_unlike: RPC Error

=== TEST 11: who may, gets the server behind
--- request
POST /EWS/Exchange.asmx
--- more_headers
X-Device: d2
--- error_code: 200
--- response_headers
X-Is: allow secured_enough
