use lib 't/lib';
use Test::Nginx::Socket 'no_plan';
use MTD;

# mtd_endpoint, and the endpoints of the profiles

our $value = "mtd_identify value; mtd_value \$http_x_device kind=serial;\n";

add_block_preprocessor(sub {
    my ($block) = @_;
    $block->set_value(device => 'd1 threat=secured compliance=compliant');
    $block->set_value(gate => "mtd_profile exchange; $value")
        if !defined $block->gate;
});

repeat_each(2);
run_tests();

__DATA__

=== TEST 1: a path that the profile does not have
--- server: mtd_endpoint /App ews;
--- request
GET /app/a
--- more_headers
X-Device: d1
--- response_headers
X-Is: allow secured_enough
--- then
is http('GET', '/app')->{status}, 403, 'it is gated';
is http('GET', '/APP/')->{status}, 403, 'letter case does not matter';
is http('GET', '/apps')->{status}, 404, 'another segment';

=== TEST 2: open
--- server: mtd_endpoint /health other open;
--- request
GET /health
--- response_headers
X-Is: allow open_endpoint

=== TEST 3: refused
--- server: mtd_endpoint /owa/admin owa refused;
--- request
GET /owa/admin/a
--- more_headers
X-Device: d1
--- error_code: 403
--- response_headers
X-Is: block path_refused
--- then
is http('GET', '/owa/a', 'X-Device: d1')->{status}, 200, 'beside it';

=== TEST 4: methods
--- server: mtd_endpoint /app other methods=GET,PROPFIND;
--- request
POST /app
--- more_headers
X-Device: d1
--- error_code: 405
--- response_headers
Allow: GET, PROPFIND
--- then
is http('PROPFIND', '/app', 'X-Device: d1')->{status}, 200, 'PROPFIND';
is http('propfind', '/app', 'X-Device: d1')->{status}, 400, 'in small letters';
is http('BREW', '/app', 'X-Device: d1')->{status}, 405, 'BREW';

=== TEST 5: the longest counts
--- server: mtd_endpoint /app other; mtd_endpoint /app/open other open; mtd_endpoint /app/open/not other gated;
--- request
GET /app/open/a
--- response_headers
X-Is: allow open_endpoint
--- then
is http('GET', '/app/a')->{status}, 403, 'above';
is http('GET', '/app/open/not/a')->{status}, 403, 'below';

=== TEST 6: ours counts before the profile's
--- server: mtd_endpoint /owa/auth owa gated;
--- request
GET /owa/auth/logon.aspx
--- error_code: 403
--- response_headers
X-Is: block unidentified

=== TEST 7: ours do not open what the profile refuses anywhere
--- server: mtd_endpoint / other open;
--- request
GET /app
--- response_headers
X-Is: allow open_endpoint

=== TEST 8: one that speaks ActiveSync
--- gate: mtd_profile exchange; mtd_identify eas;
--- server: mtd_endpoint /eas eas;
--- device
--- request
POST /eas?Cmd=Sync&User=u&DeviceId=d1&DeviceType=t
--- response_headers
X-Is: allow secured_enough
--- then
is http('OPTIONS', '/eas')->{'x-is'}, 'allow open_endpoint', 'OPTIONS';
is http('POST', '/eas?Cmd=Sync')->{status}, 400, 'a strict query';

=== TEST 9: for all servers, unless one has its own
--- http: mtd_endpoint /app other open;
--- request
GET /app
--- response_headers
X-Is: allow open_endpoint

=== TEST 10: methods of the profile
--- request
RPC_IN_DATA /rpc/rpcproxy.dll
--- more_headers
X-Device: d1
--- response_headers
X-Is: allow secured_enough
--- then
is http('RPC_IN_DATA', '/owa/a', 'X-Device: d1')->{status}, 405, 'not in owa';
is http('DELETE', '/owa/a', 'X-Device: d1')->{status}, 200, 'DELETE in owa';
is http('DELETE', '/ews/a', 'X-Device: d1')->{status}, 405, 'not in ews';

=== TEST 11: WebDAV of SharePoint
--- gate eval
"mtd_profile sharepoint; $::value"
--- server: add_header X-Protocol "$mtd_protocol" always;
--- request
PROPFIND /sites/a/Shared%20Documents/
--- more_headers
X-Device: d1
--- response_headers
X-Is: allow secured_enough
--- response_body
PROPFIND /sites/a/Shared%20Documents/
--- then
for my $method (qw(LOCK UNLOCK MKCOL COPY MOVE PUT DELETE PROPPATCH)) {
    my $answer = http($method, '/a', 'X-Device: d1');
    is $answer->{status}, 200, $method;
    is $answer->{'x-protocol'}, 'webdav', '... is WebDAV';
    is http($method, '/_api/web', 'X-Device: d1')->{'x-protocol'},
       'sharepoint_rest', '... not of REST';
}
is http($_, '/a', 'X-Device: d1')->{'x-protocol'}, 'sharepoint_page', $_
    for qw(GET POST OPTIONS);
is http('RPC_IN_DATA', '/a', 'X-Device: d1')->{status}, 405, 'RPC_IN_DATA';

=== TEST 12: SharePoint's literals arrive as they are
--- gate eval
"mtd_profile sharepoint; $::value"
--- request
GET /_api/web/GetFolderByServerRelativeUrl('%2Fsites%2Fa%26b')/Files?$top=1
--- more_headers
X-Device: d1
--- response_headers
X-Is: allow secured_enough
--- response_body
GET /_api/web/GetFolderByServerRelativeUrl('%2Fsites%2Fa%26b')/Files?$top=1

=== TEST 13: an admin's service of SharePoint
--- gate eval
"mtd_profile sharepoint; $::value"
--- request
GET /sites/a/_vti_adm/admin.asmx
--- more_headers
X-Device: d1
--- error_code: 403
--- response_headers
X-Is: block path_refused

=== TEST 14: the query of Autodiscover is read strictly
--- request
GET /autodiscover/autodiscover.json?Email=a@b.example&Protocol=activesync
--- response_headers
X-Is: allow open_endpoint
--- then
is http('GET', "/autodiscover/autodiscover.json?$_")->{status}, 400, $_
    for '@evil/owa/?&Email=autodiscover/autodiscover.json%3f@evil',
        'Email=a&Email=b';

=== TEST 15: a login page is open, a site of its name is not
--- gate eval: "mtd_profile sharepoint; $::value"
--- request
GET /_login/default.aspx
--- response_headers
X-Is: allow open_endpoint
--- then
for ('/_login/_api/web/lists', '/_forms/x/_vti_bin/lists.asmx',
     '/_layouts/15/images/_api/web')
{
    is http('GET', $_)->{status}, 403, "$_ is gated";
}
