use lib 't/lib';
use Test::Nginx::Socket 'no_plan';
use MTD;

# what the variables say

our $all = join '|', map { "\$mtd_$_" }
    qw(decision reason threat compliance enrolled os groups protocol identity
       vendor policy);

add_block_preprocessor(sub {
    my ($block) = @_;
    $block->set_value(server => qq{add_header X-All "$all" always;\n}
        . qq{add_header X-Device "\$mtd_device" always;\n}
        . qq{add_header X-User "\$mtd_user" always;\n}
        . qq{add_header X-Time "\$mtd_lookup_time" always;\n}
        . qq{add_header X-Reference "\$mtd_reference" always;\n}
        . ($block->server || ''));
});

repeat_each(2);
run_tests();

__DATA__

=== TEST 1: all of a record
--- device
d1 threat=lowSeverity compliance=compliant enrolled=mdm os=iOS groups=a,b user=Ann@Example.com vendor=lookout
--- request
GET /x
--- more_headers
X-Device: d1
--- response_headers
X-All: allow|secured_enough|lowSeverity|compliant|mdm|iOS|a,b|other|value|lookout|p
--- response_headers_like
X-Device: [0-9a-f]{16}
X-User: [0-9a-f]{16}
X-Lookup: (?:MISS|HIT)
X-Time: 0\.\d{6}
X-Reference: [0-9a-f]{16}

=== TEST 2: a record that says little
--- device
d1 threat=activated
--- request
GET /x
--- more_headers
X-Device: d1
--- error_code: 403
--- response_headers
X-All: remediate|threat_missing|activated|unknown|mdm|||other|value||p
X-User:

=== TEST 3: of a device that is only known by its app
--- device
d1 threat=secured enrolled=app
--- request
GET /x
--- more_headers
X-Device: d1
--- response_headers
X-All: allow|secured_enough|secured|unknown|app|||other|value||p

=== TEST 4: no such device
--- request
GET /x
--- more_headers
X-Device: d1
--- error_code: 403
--- response_headers
X-All: block|unknown_device||||||other|value||p
X-User:
X-Lookup: NEGATIVE
--- response_headers_like
X-Device: [0-9a-f]{16}

=== TEST 5: no identity
--- request
GET /x
--- error_code: 403
--- response_headers
X-All: block|unidentified||||||other|||p
X-Device:
X-Lookup:
X-Time:

=== TEST 6: outside of the gate
--- server: location /out { mtd off; proxy_pass http://unix:$TEST_NGINX_SERVER_ROOT/html/backend.sock; }
--- request
GET /out
--- more_headers
X-Device: d1
--- response_headers
X-All: allow|exempt||||||other|||
X-Device:

=== TEST 7: the protocol and the hook
--- gate: mtd_profile exchange; mtd_identify value eas; mtd_value $http_x_device kind=serial;
--- device
d1 threat=secured compliance=compliant
--- request
POST /Microsoft-Server-ActiveSync?Cmd=Sync&User=u&DeviceId=d1&DeviceType=t
--- response_headers
X-All: allow|secured_enough|secured|compliant|mdm|||eas|eas||p
--- then
my %protocols = ('/ews/a' => 'ews', '/mapi/emsmdb' => 'mapi',
                 '/rpc/a' => 'rpc', '/oab/a' => 'oab', '/owa/a' => 'owa',
                 '/ecp/a' => 'ecp', '/api/a' => 'other',
                 '/autodiscover/autodiscover.xml' => 'autodiscover');
for (sort keys %protocols) {
    is((split /\|/, http('GET', $_)->{'x-all'})[7], $protocols{$_}, $_);
}

=== TEST 8: protocols of SharePoint
--- gate: mtd_profile sharepoint; mtd_identify value; mtd_value $http_x_device kind=serial;
--- request
GET /sites/a/page.aspx
--- error_code: 403
--- response_headers
X-All: block|unidentified||||||sharepoint_page|||p
--- then
my %protocols = ('/_api/web' => 'sharepoint_rest',
                 '/sites/a/_vti_bin/lists.asmx' => 'office',
                 '/_api/SPFileSync/sync/a' => 'onedrive');
for (sort keys %protocols) {
    is((split /\|/, http('GET', $_)->{'x-all'})[7], $protocols{$_}, $_);
}

=== TEST 9: the device is a pseudonym unless the admin wants it
--- location: mtd_log_device on;
--- device
d1 threat=secured compliance=compliant
--- request
GET /x
--- more_headers
X-Device: D1
--- response_headers
X-Device: serial:d1

=== TEST 10: one device, one pseudonym
--- device
d1 threat=secured compliance=compliant alias=serial:other
d2 threat=secured compliance=compliant
--- request
GET /x
--- more_headers
X-Device: d1
--- then
my ($one, $same, $two) = map { http('GET', '/x', "X-Device: $_")->{'x-device'} }
                         qw(d1 other d2);
is $one, $same, 'by another alias';
isnt $one, $two, 'another device';

=== TEST 11: one user, one pseudonym, letter case ignored
--- device
d1 threat=secured compliance=compliant user=Ann@Example.com
d2 threat=secured compliance=compliant user=ann@example.COM
d3 threat=secured compliance=compliant user=bob@example.com
--- request
GET /x
--- more_headers
X-Device: d1
--- then
my ($one, $same, $two) = map { http('GET', '/x', "X-Device: $_")->{'x-user'} }
                         qw(d1 d2 d3);
is $one, $same, 'folded';
isnt $one, $two, 'another user';

=== TEST 12: in the access log
--- device
d1 threat=secured compliance=compliant
--- http: log_format mtd "$request_uri is $mtd_decision $mtd_reason $mtd_threat";
--- location: access_log logs/access.log mtd;
--- request
GET /x
--- more_headers
X-Device: d1
--- access_log
/x is allow secured_enough secured

=== TEST 13: before there is a decision they are empty
--- http: map "$mtd_decision$mtd_reason$mtd_threat" $early { "" none; default some; }
--- location: set $seen $early; add_header X-Early $seen always;
--- device
d1 threat=secured compliance=compliant
--- request
GET /x
--- more_headers
X-Device: d1
--- response_headers
X-Early: none

=== TEST 14: a server without a gate
--- server
--- config
location / { add_header X-All "a$mtd_decision$mtd_reason$mtd_device$mtd_lookup$mtd_reference$mtd_policy"; return 200; }
--- request
GET /x
--- response_headers
X-All: a
