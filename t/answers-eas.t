use lib 't/lib';
use Test::Nginx::Socket 'no_plan';
use MTD;

# what a refused ActiveSync client gets

our %bodies = (
    Sync              => '454E',
    FolderSync        => '0007564C',
    FolderCreate      => '0007534C',
    FolderDelete      => '0007544C',
    FolderUpdate      => '0007554C',
    Provision         => '000E454B',
    Settings          => '00124546',
    ItemOperations    => '0014454D',
    SendMail          => '00154552',
    SmartForward      => '00154652',
    SmartReply        => '00154752',
    Search            => '000F454C',
    MoveItems         => '0005454B',
    GetItemEstimate   => '0006454E',
    MeetingResponse   => '0008474B',
    ResolveRecipients => '000A4547',
    ValidateCert      => '000B454A',
    Find              => '0019454A',
);

our @base64 = (qw(Sync SendMail SmartForward SmartReply), (undef) x 5,
    qw(FolderSync FolderCreate FolderDelete FolderUpdate MoveItems
       GetItemEstimate MeetingResponse Search Settings), undef,
    qw(ItemOperations Provision ResolveRecipients ValidateCert Find));

our $vdir = '/Microsoft-Server-ActiveSync';

sub wbxml {
    return '03016A00' . $bodies{$_[0]} . '033132390' . '00101';
}

sub blob {
    my ($version, $command) = @_;
    return MIME::Base64::encode_base64(
        pack('CCvC/aC/aC/a', $version, $command, 0x409, 'd1', '', 'SP'), '');
}

add_block_preprocessor(sub {
    my ($block) = @_;
    $block->set_value(gate => "mtd_profile exchange; mtd_identify eas;");
    $block->set_value(device => "d1 threat=highSeverity compliance=compliant\n"
                                . "ok threat=secured compliance=compliant");
});

repeat_each(2);
run_tests();

__DATA__

=== TEST 1: 14.0 and above, each command in its own page
--- request
POST /Microsoft-Server-ActiveSync?Cmd=Sync&User=u&DeviceId=d1&DeviceType=t
--- more_headers
MS-ASProtocolVersion: 14.0
--- error_code: 200
--- response_headers
X-Is: remediate threat_level
Content-Type: application/vnd.ms-sync.wbxml
Content-Length: 13
Cache-Control: no-store
--- response_headers_like
X-MTD-Reference: [0-9a-f]{16}
--- then
for my $command (sort keys %bodies) {
    my $answer = http('POST', "$vdir?User=u&DeviceId=D1&DeviceType=t&Cmd="
                      . $command, 'MS-ASProtocolVersion: 16.1');
    is $answer->{status}, 200, $command;
    is uc unpack('H*', $answer->{body}), wbxml($command), "$command: 129";
}

=== TEST 2: the version is in the query itself
--- request
POST /Microsoft-Server-ActiveSync?jAAJBAJkMQACU1A=
--- error_code: 200
--- response_headers
X-Is: remediate threat_level
--- then
for my $code (grep { defined $base64[$_] } 0 .. $#base64) {
    my $answer = http('POST', "$vdir?" . blob(161, $code));
    is uc unpack('H*', $answer->{body}), wbxml($base64[$code]),
       "$code: $base64[$code]";
}
my $answer = http('POST', "$vdir?" . blob(121, 0),
                  'MS-ASProtocolVersion: 16.1');
is $answer->{status}, 403, 'the byte counts, not the header';

=== TEST 3: 12.1 and below, or no version
--- request
POST /Microsoft-Server-ActiveSync?Cmd=Sync&User=u&DeviceId=d1&DeviceType=t
--- more_headers
MS-ASProtocolVersion: 12.1
--- error_code: 403
--- response_body
--- response_headers
X-Is: remediate threat_level
Content-Length: 0
! Content-Type
--- then
for my $version ('2.5', '12.0', '15.0', '14', '140', '') {
    my $answer = http('POST', "$vdir?Cmd=FolderSync&User=u&DeviceId=d1"
                      . '&DeviceType=t', "MS-ASProtocolVersion: $version");
    is $answer->{status}, 403, "version '$version'";
    is $answer->{body}, '', 'without a body';
}

=== TEST 4: Ping is never answered in WBXML
--- request
POST /Microsoft-Server-ActiveSync?Cmd=Ping&User=u&DeviceId=d1&DeviceType=t
--- more_headers
MS-ASProtocolVersion: 16.1
--- error_code: 403
--- response_body
--- response_headers
X-Is: remediate threat_level

=== TEST 5: nor are an attachment and a mail as it is
--- request
POST /Microsoft-Server-ActiveSync?Cmd=GetAttachment&User=u&DeviceId=d1&DeviceType=t&AttachmentName=a
--- more_headers
MS-ASProtocolVersion: 14.1
--- error_code: 403
--- response_body
--- then
my @mail = ('POST', "$vdir?Cmd=SendMail&User=u&DeviceId=d1&DeviceType=t",
            'MS-ASProtocolVersion: 14.1');
is http(@mail, 'Content-Type: message/rfc822')->{status}, 403, 'a mail';
is http(@mail, 'Content-Type: application/vnd.ms-sync.wbxml')->{status}, 200,
   'a mail in WBXML';

=== TEST 6: an allowed device
--- request
POST /Microsoft-Server-ActiveSync?Cmd=Sync&User=u&DeviceId=OK&DeviceType=t
--- response_headers
X-Is: allow secured_enough
--- response_body
POST /Microsoft-Server-ActiveSync?Cmd=Sync&User=u&DeviceId=OK&DeviceType=t

=== TEST 7: OPTIONS without a query is open, with one it is not
--- request
OPTIONS /Microsoft-Server-ActiveSync
--- response_headers
X-Is: allow open_endpoint
--- then
my $query = '?Cmd=Sync&User=u&DeviceType=t&DeviceId=';
is http('OPTIONS', "$vdir${query}d1")->{status}, 403, 'refused';
is http('OPTIONS', "$vdir${query}ok")->{'x-is'}, 'allow secured_enough',
   'allowed';

=== TEST 8: the body of a refused request is thrown away, the connection stays
--- pipelined_requests eval
["POST /Microsoft-Server-ActiveSync?Cmd=Sync&User=u&DeviceId=d1&DeviceType=t
GET /Microsoft-Server-ActiveSync HTTP/1.1",
"POST /Microsoft-Server-ActiveSync?Cmd=Sync&User=u&DeviceId=ok&DeviceType=t
a body"]
--- more_headers
MS-ASProtocolVersion: 16.1
--- error_code eval
[200, 200]
--- response_headers eval
["X-Is: remediate threat_level", "X-Is: allow secured_enough"]

=== TEST 9: malformed
--- request
POST /Microsoft-Server-ActiveSync?Cmd=Sync&User=u&DeviceId=d1&DeviceId=ok&DeviceType=t
--- more_headers
MS-ASProtocolVersion: 16.1
--- error_code: 400
--- response_headers
X-Is: block malformed
--- then
for my $query ('', '?', '?Cmd=Sync', '?Cmd=Sync&User=u&DeviceType=t',
               '?jAAJ', '?jAAJBAJkMQACU1A=&DeviceId=ok',
               '?Cmd=Sync&User=u&DeviceType=t&DeviceId=a%2500b')
{
    my $answer = http('POST', "$vdir$query");
    is "$answer->{status} $answer->{'x-is'}", '400 block malformed',
       "query '$query'";
}

=== TEST 10: the words for no device
--- request
POST /Microsoft-Server-ActiveSync?Cmd=Sync&User=u&DeviceId=0&DeviceType=t
--- more_headers
MS-ASProtocolVersion: 16.1
--- error_code: 200
--- response_headers
X-Is: block unidentified

=== TEST 11: the store is away: 503, whatever the version
--- store: server unix:$TEST_NGINX_SERVER_ROOT/no.sock;
--- request
POST /Microsoft-Server-ActiveSync?Cmd=Sync&User=u&DeviceId=d1&DeviceType=t
--- more_headers
MS-ASProtocolVersion: 16.1
--- error_code: 503
--- response_headers
X-Is: block store_unavailable
Cache-Control: no-store
--- response_headers_like
Retry-After: (?:[6-9]\d|[12]\d\d|300)

=== TEST 12: never a redirect
--- server: mtd_remediation https://portal.example/;
--- request
POST /Microsoft-Server-ActiveSync?Cmd=Sync&User=u&DeviceId=d1&DeviceType=t
--- more_headers
MS-ASProtocolVersion: 12.1
Accept: text/html
--- error_code: 403
--- response_headers
! Location
