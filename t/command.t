use lib 't/lib';
use Test::Nginx::Socket 'no_plan';
use MTD;

# $mtd_command, and policies by it

add_block_preprocessor(sub {
    my ($block) = @_;
    $block->set_value(device => "d1 threat=mediumSeverity compliance=compliant")
        if !defined $block->device;
    $block->set_value(gate => 'mtd $by_command; mtd_profile exchange; '
                              . 'mtd_identify eas value; '
                              . 'mtd_value $http_x_device kind=serial;')
        if !defined $block->gate;
    $block->set_value(http => <<'END') if !defined $block->http;
mtd_policy less { max_threat medium; }
map $mtd_command $by_command {
    volatile;
    default p;
    Sync    less;
    Ping    less;
    ""      p;
}
END
    $block->set_value(server => 'add_header X-Command "$mtd_command" always;')
        if !defined $block->server;
});

our $eas = '/Microsoft-Server-ActiveSync';

repeat_each(2);
run_tests();

__DATA__

=== TEST 1: of a plain query, as the protocol spells it
--- request
POST /Microsoft-Server-ActiveSync?cmd=sYNC&User=u&DeviceId=d1&DeviceType=t
--- response_headers
X-Command: Sync
X-Is: allow secured_enough
--- then
for (qw(SendMail SmartForward SmartReply GetAttachment FolderSync FolderCreate
        FolderDelete FolderUpdate MoveItems GetItemEstimate MeetingResponse
        Search Settings Ping ItemOperations Provision ResolveRecipients
        ValidateCert Find GetHierarchy CreateCollection DeleteCollection
        MoveCollection))
{
    my $answer = http('POST', "$::eas?DeviceId=d1&Cmd=\L$_");
    is $answer->{'x-command'}, $_, $_;
    is $answer->{'x-is'}, $_ eq 'Ping' ? 'allow secured_enough'
                                       : 'remediate threat_level',
       '... decides';
}

=== TEST 2: of a base64 query
--- device
v140device threat=mediumSeverity compliance=compliant
--- request
POST /Microsoft-Server-ActiveSync?jAAJBAp2MTQwRGV2aWNlAApTbWFydFBob25l
--- response_headers
X-Command: Sync
X-Is: allow secured_enough

=== TEST 3: ItemOperations in base64
--- device
a81f31e18bc6f962b3674d98788a7c9a threat=mediumSeverity compliance=compliant
--- request
POST /Microsoft-Server-ActiveSync?jBMHBBCoHzHhi8b5YrNnTZh4inyaBAAAAAACV1AHAQI=
--- more_headers
MS-ASProtocolVersion: 14.0
--- response_headers
X-Command: ItemOperations
X-Is: remediate threat_level

=== TEST 4: nothing elsewhere, whatever the query says
--- request
GET /owa/x?Cmd=Sync&DeviceId=d1
--- more_headers
X-Device: d1
--- error_code: 403
--- response_headers
! X-Command
X-Is: remediate threat_level
--- then
is http('POST', "$::eas?Cmd=Sync")->{'x-command'}, undef,
   'one that is malformed';
is http('OPTIONS', $::eas)->{'x-command'}, undef, 'OPTIONS';

=== TEST 5: of what is decided on, after a rewrite
--- server
location /owa/sync { rewrite ^ /Microsoft-Server-ActiveSync?Cmd=Sync&DeviceId=d1? last; }
add_header X-Command "$mtd_command" always;
--- request
GET /owa/sync?Cmd=Search
--- response_headers
X-Command: Sync
X-Is: allow secured_enough
