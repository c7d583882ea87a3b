use lib 't/lib';
use Test::Nginx::Socket 'no_plan';
use MTD;

# a device that is to be wiped is refused everywhere, in each client's own
# form, and nothing tells it to wipe itself: that is for its management or its
# protected app

add_block_preprocessor(sub {
    my ($block) = @_;
    $block->set_value(device => "d1 threat=secured compliance=compliant action=wipe\n"
        . "d2 threat=secured enrolled=app action=wipe\n"
        . 'd3 threat=secured enrolled=app action=block');
    $block->set_value(location => 'mtd_remediation https://remedy.example/;');
});

# [ method, path, headers => status, what is in the answer ]

our @exchange = (
    [ 'POST', '/ews/exchange.asmx' => 500, qr/ErrorAccessDenied/ ],
    [ 'POST', '/mapi/emsmdb/', 'X-RequestType: Connect'
      => 200, qr/x-responsecode: 11/ ],
    [ 'RPC_IN_DATA', '/rpc/rpcproxy.dll', 'Accept: application/rpc'
      => 503, qr/Access is blocked/ ],
    [ 'GET', '/oab/1/oab.xml' => 403 ],
    [ 'GET', '/api/v2.0/me', 'Accept: application/json'
      => 403, qr/ErrorAccessDenied/ ],
    [ 'GET', '/owa/', 'Accept: text/html' => 403, qr/<html/ ],
    [ 'POST', '/owa/service.svc', 'X-Requested-With: x'
      => 403, qr/ErrorAccessDenied/ ],
    [ 'GET', '/ecp/', 'Accept: text/html' => 403, qr/<html/ ],
);

our @sharepoint = (
    [ 'GET', '/sites/a', 'Accept: text/html' => 403, qr/<html/ ],
    [ 'GET', '/_api/web' => 403, qr/UnauthorizedAccessException/ ],
    [ 'POST', '/_vti_bin/client.svc/ProcessQuery'
      => 200, qr/UnauthorizedAccessException/ ],
    [ 'POST', '/_vti_bin/lists.asmx' => 403, qr/x-msdavext_error/ ],
    [ 'OPTIONS', '/sites/a', 'User-Agent: Microsoft Office Word'
      => 403, qr/x-msdavext_error/ ],
    [ 'PROPFIND', '/sites/a' => 403, qr/x-msdavext_error/ ],
    [ 'GET', '/_api/SPFileSync/sync/1' => 403 ],
);

our $refused = sub {
    my ($device, $reason, @list) = @_;

    for (@list) {
        my ($method, $path, @rest) = @$_;
        my $text = ref $rest[-1] ? pop @rest : qr//;
        my $status = pop @rest;
        my $answer = http($method, $path, "X-Device: $device", @rest);
        my $all = join "\n", (map { "$_: $answer->{$_}" } sort keys %$answer);

        is $answer->{status}, $status, "$method $path: $status";
        is $answer->{'x-is'}, "block $reason", '... as such';
        like $all, $text, '... in its form';
        like $answer->{'x-mtd-reference'}, qr/^[0-9a-f]{16}$/,
            '... with a reference';
        unlike $all, qr/remedy\.example|x-forms_based_auth/i,
            '... sent nowhere';
    }
};

repeat_each(2);
run_tests();

__DATA__

=== TEST 1: Exchange
--- gate: mtd_profile exchange; mtd_identify value; mtd_value $http_x_device kind=serial;
--- request
GET /owa/
--- more_headers
X-Device: d1
--- error_code: 403
--- then
$::refused->($_, 'wipe_pending', @::exchange) for qw(d1 d2);
$::refused->('d3', 'admin_block', @::exchange);

=== TEST 2: SharePoint
--- gate: mtd_profile sharepoint; mtd_identify value; mtd_value $http_x_device kind=serial;
--- request
GET /sites/a
--- more_headers
X-Device: d1
--- error_code: 403
--- then
$::refused->($_, 'wipe_pending', @::sharepoint) for qw(d1 d2);
$::refused->('d3', 'admin_block', @::sharepoint);

=== TEST 3: ActiveSync: no status that asks for a wipe, no element of one
--- gate: mtd_profile exchange; mtd_identify eas;
--- request
POST /Microsoft-Server-ActiveSync?Cmd=Provision&User=u&DeviceId=d1&DeviceType=t
--- more_headers
MS-ASProtocolVersion: 16.1
--- response_headers
Content-Type: application/vnd.ms-sync.wbxml
X-Is: block wipe_pending
--- response_body eval
"\x03\x01\x6a\x00\x00\x0e\x45\x4b\x03129\x00\x01\x01"
--- then
for my $version (qw(2.5 12.1 14.1 16.1)) {
    for my $cmd (qw(Sync SendMail SmartForward SmartReply GetAttachment
                    FolderSync FolderCreate FolderDelete FolderUpdate MoveItems
                    GetItemEstimate MeetingResponse Search Settings Ping
                    ItemOperations Provision ResolveRecipients ValidateCert
                    Find))
    {
        my $answer = http('POST', '/Microsoft-Server-ActiveSync?User=u'
            . "&Cmd=$cmd&DeviceId=d2&DeviceType=t",
            "MS-ASProtocolVersion: $version", 'X-MS-PolicyKey: 1');

        is $answer->{'x-is'}, 'block wipe_pending', "$cmd of $version";
        like $answer->{status}, $version < 14 ? qr/^403$/ : qr/^(?:200|403)$/,
            '... neither 449 nor 451 nor 500';
        is $answer->{body}, '', '... empty' if $answer->{status} == 403;
        like $answer->{body}, qr/\x03129\x00/, '... with 129'
            if $answer->{status} == 200;
        unlike $answer->{body}, qr/[\x0c\x3b\x7b]|140/, '... and no wipe';
    }
}
