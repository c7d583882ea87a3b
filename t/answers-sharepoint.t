use lib 't/lib';
use Test::Nginx::Socket 'no_plan';
use MTD;

# what refused clients of SharePoint get: REST, CSOM, Office and WebDAV

add_block_preprocessor(sub {
    my ($block) = @_;
    $block->set_value(device =>
                      'd1 threat=highSeverity compliance=compliant');
    $block->set_value(gate => <<'END');
mtd_profile sharepoint; mtd_identify value; mtd_value $http_x_device kind=serial;
END
    $block->set_value(server => 'mtd_remediation https://portal.example/;')
        if !defined $block->server;
});

our $text = qr/Access is blocked for this device\. Reference: [0-9a-f]{16}\. Reason: threat_level/;
our $code = '-2147024891, System.UnauthorizedAccessException';

repeat_each(2);
run_tests();

__DATA__

=== TEST 1: REST: verbose JSON
--- request
GET /sites/a/_api/web/lists
--- more_headers
X-Device: d1
Accept: application/json;odata=verbose
--- error_code: 403
--- response_headers
X-Is: remediate threat_level
Content-Type: application/json;odata=verbose;charset=utf-8
Cache-Control: no-store
! Location
--- then
my $answer = http('GET', '/_api/web', 'X-Device: d1',
                  'Accept: application/json;odata=verbose');
my $error = JSON::PP::decode_json($answer->{body})->{error};
is $error->{code}, $main::code, 'code';
is $error->{message}{lang}, 'en-US', 'language';
like $error->{message}{value}, qr/^$main::text$/, 'text';

=== TEST 2: REST: JSON light
--- request
POST /_api/web/lists
--- more_headers
X-Device: d1
Accept: application/json
--- error_code: 403
--- response_headers_like
Content-Type: application/json;odata=minimalmetadata.*
--- then
for my $accept ('application/json', 'application/json;odata=nometadata') {
    my $answer = http('GET', '/_api/web', 'X-Device: d1', "Accept: $accept");
    my $error = JSON::PP::decode_json($answer->{body})->{'odata.error'};
    is $error->{code}, $main::code, "$accept: code";
    like $error->{message}{value}, qr/^$main::text$/, 'text';
}

=== TEST 3: REST: XML, which is the default
--- request
GET /_vti_bin/listdata.svc/Tasks
--- more_headers
X-Device: d1
--- error_code: 403
--- response_headers
Content-Type: application/xml;charset=utf-8
--- then
my $answer = http('GET', '/_api/web', 'X-Device: d1',
                  'Accept: application/atom+xml');
my $ns = 'http://schemas.microsoft.com/ado/2007/08/dataservices/metadata';
my $error = "/*[local-name()='error' and namespace-uri()='$ns']";
is xpath($answer->{body}, "string($error/*[local-name()='code'])"),
   $main::code, 'code';
like xpath($answer->{body}, "string($error/*[local-name()='message'])"),
     qr/^$main::text$/, 'text';

=== TEST 4: REST: the store is away
--- store: server unix:/nowhere;
--- request
GET /_api/web
--- more_headers
X-Device: d1
Accept: application/json
--- error_code: 503
--- response_body_unlike: odata

=== TEST 5: CSOM: an ErrorInfo
--- request
POST /sites/a/_vti_bin/client.svc/ProcessQuery
<Request/>
--- more_headers
X-Device: d1
Content-Type: text/xml
--- error_code: 200
--- response_headers
X-Is: remediate threat_level
Content-Type: application/json;charset=utf-8
--- then
my $answer = http('POST', '/_vti_bin/client.svc/processquery', 'X-Device: d1');
my ($first) = @{ JSON::PP::decode_json($answer->{body}) };
is $first->{ErrorInfo}{ErrorCode}, -2147024891, 'code';
is $first->{ErrorInfo}{ErrorTypeName}, 'System.UnauthorizedAccessException',
   'type';
like $first->{ErrorInfo}{ErrorMessage}, qr/^$main::text$/, 'text';

=== TEST 6: Office: the remediation in its own window
--- request
GET /sites/a/Shared%20Documents/x.docx
--- more_headers
X-Device: d1
User-Agent: Microsoft Office Word 2014
Accept: text/html
--- error_code: 403
--- response_headers
X-Is: remediate threat_level
! Location
--- then
my $word = http('GET', '/sites/a/x.docx', 'X-Device: d1', 'Accept: text/html',
                'User-Agent: Microsoft Office Word 2014');
is $word->{'x-forms_based_auth_required'}, 'https://portal.example/', 'page';
is $word->{'x-forms_based_auth_return_url'}, 'http://localhost/', 'way back';
is $word->{'x-forms_based_auth_dialog_size'}, '800x600', 'size';
like $word->{'x-msdavext_error'},
     qr/^917656; Access%20is%20blocked%20for%20this%20device\.%20Reference%3A%20[0-9a-f]{16}\.%20Reason%3A%20threat_level$/,
     'text';
for my $agent ('Microsoft Data Access Internet Publishing Provider DAV 1.1',
               'Microsoft-WebDAV-MiniRedir/10.0.19045',
               'Mozilla/4.0 (compatible; MSOffice 16)',
               'Mozilla/4.0 (compatible; MS FrontPage 15.0)',
               'OneNote non-browser')
{
    my $answer = http('OPTIONS', '/sites/a/', 'X-Device: d1',
                      "User-Agent: $agent");
    is "$answer->{status} $answer->{'x-forms_based_auth_required'}",
       '403 https://portal.example/', $agent;
}

=== TEST 7: Office: nothing to remediate with
--- server: add_header X-Other 1;
--- request
OPTIONS /sites/a/
--- more_headers
X-Device: d1
User-Agent: Microsoft Office Protocol Discovery
--- error_code: 403
--- then
my $answer = http('OPTIONS', '/sites/a/', 'X-Device: d1',
                  'User-Agent: Microsoft Office Protocol Discovery');
is $answer->{"x-forms_based_auth_$_"}, undef, $_ for qw(required return_url);
like $answer->{'x-msdavext_error'}, qr/^917656; /, 'text';

=== TEST 8: Office: a client that says that it takes no forms
--- server: underscores_in_headers on; mtd_remediation https://portal.example/;
--- request
OPTIONS /sites/a/
--- more_headers
X-Device: d1
User-Agent: Microsoft Office Protocol Discovery
X-FORMS_BASED_AUTH_ACCEPTED: f
--- error_code: 403
--- then
my $answer = http('OPTIONS', '/sites/a/', 'X-Device: d1',
                  'User-Agent: Microsoft Office Protocol Discovery',
                  'X-FORMS_BASED_AUTH_ACCEPTED: f');
is $answer->{'x-forms_based_auth_required'}, undef, 'no forms';
$answer = http('OPTIONS', '/sites/a/', 'X-Device: d1',
               'X-FORMS_BASED_AUTH_ACCEPTED: t');
is $answer->{'x-forms_based_auth_required'}, 'https://portal.example/',
   'one that says that it does';

=== TEST 9: WebDAV: by its methods
--- request
PROPFIND /sites/a/Shared%20Documents
--- more_headers
X-Device: d1
User-Agent: davfs2/1.6.1
--- error_code: 403
--- then
for my $method (qw(PROPFIND PUT LOCK MOVE MKCOL DELETE)) {
    my $answer = http($method, '/sites/a/x.docx', 'X-Device: d1',
                      'User-Agent: davfs2/1.6.1');
    like $answer->{'x-msdavext_error'}, qr/^917656; /, $method;
    is $answer->{'x-forms_based_auth_required'}, undef, 'no forms';
}

=== TEST 10: a browser gets a page as before
--- request
GET /sites/a/x.docx
--- more_headers
X-Device: d1
User-Agent: Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X)
Accept: text/html
--- error_code: 302
--- response_headers
Location: https://portal.example/
--- then
my $answer = http('GET', '/sites/a/x.docx', 'X-Device: d1',
                  'Accept: text/html', 'User-Agent: Mozilla/5.0');
is "$answer->{status} " . ($answer->{'x-msdavext_error'} // ''), '302 ',
   'no text for WebDAV';

=== TEST 11: the old service of Office, without a word of itself
--- request
POST /_vti_bin/lists.asmx
--- more_headers
X-Device: d1
--- error_code: 403
--- then
my $answer = http('POST', '/_vti_bin/lists.asmx', 'X-Device: d1');
like $answer->{'x-msdavext_error'}, qr/^917656; /, 'text';
is $answer->{'x-forms_based_auth_required'}, undef, 'no forms';
