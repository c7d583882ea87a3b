use lib 't/lib';
use Test::Nginx::Socket 'no_plan';
use MTD;

# an ActiveSync id of 16 bytes has two readings

our $vdir = '/Microsoft-Server-ActiveSync';

add_block_preprocessor(sub {
    my ($block) = @_;
    $block->set_value(gate => "mtd_profile exchange; mtd_identify eas;");
});

our $id = 'Nine2EC7EC0BB54D';
our $hex = lc unpack 'H*', $id;
our $query = MIME::Base64::encode_base64(
    pack('CCvC/aC/aC/a', 161, 0, 0x409, $id, '', 'SP'), '');

repeat_each(2);
run_tests();

__DATA__

=== TEST 1: the stricter of two records wins
--- init
MTD::devices("good threat=secured compliance=compliant alias=eas:\L$id\E\n"
             . "bad threat=highSeverity compliance=compliant alias=eas:$hex");
--- request eval
"POST $::vdir?$::query"
--- response_headers
X-Is: remediate threat_level
--- then
redis('SET', key("alias:eas:\L$id"), 'bad');
redis('SET', key("alias:eas:$hex"), 'good');
trusted();
is http('POST', "$vdir?$query")->{'x-is'}, 'remediate threat_level',
   'the other way round';
redis('HSET', key('device:bad'), 'action', 'block');
ok until_true(sub {
    http('POST', "$vdir?$query")->{'x-is'} eq 'block admin_block'
}), 'block is stricter';
redis('HDEL', key('device:bad'), 'action');

=== TEST 2: one of them is known
--- init
MTD::devices("good threat=secured compliance=compliant alias=eas:\L$id");
--- request eval
"POST $::vdir?$::query"
--- response_headers
X-Is: allow secured_enough
--- then
is http('POST', "$vdir?$query")->{'x-is'}, 'allow secured_enough', 'again';

=== TEST 3: the other one is
--- init
MTD::devices("good threat=secured compliance=compliant alias=eas:$hex");
--- request eval
"POST $::vdir?$::query"
--- response_headers
X-Is: allow secured_enough

=== TEST 4: both name one device
--- init
MTD::devices("good threat=secured compliance=compliant alias=eas:\L$id\E alias=eas:$hex");
--- request eval
"POST $::vdir?$::query"
--- response_headers
X-Is: allow secured_enough

=== TEST 5: none is known
--- request eval
"POST $::vdir?$::query"
--- response_headers
X-Is: block unknown_device

=== TEST 6: one of them cannot be read
--- policy: missing_threat allow;
--- init
MTD::devices("good threat=secured compliance=compliant alias=eas:\L$id\E\n"
             . "bad threat=? alias=eas:$hex");
--- request eval
"POST $::vdir?$::query"
--- response_headers
X-Is: block threat_missing

=== TEST 7: in the plain form it has one
--- init
MTD::devices("good threat=secured compliance=compliant alias=eas:\L$id\E\n"
             . "bad threat=highSeverity compliance=compliant alias=eas:$hex");
--- request eval
"POST $::vdir?Cmd=Sync&User=u&DeviceType=t&DeviceId=$::id"
--- response_headers
X-Is: allow secured_enough
--- then
is http('POST', "$vdir?Cmd=Sync&User=u&DeviceType=t&DeviceId=\U$hex")->{'x-is'},
   'remediate threat_level', 'the hex one';

=== TEST 8: bytes that are no text have one, too
--- init
MTD::devices('good threat=secured compliance=compliant '
             . 'alias=eas:a81f31e18bc6f962b3674d98788a7c9a');
--- request
POST /Microsoft-Server-ActiveSync?jAkHBBCoHzHhi8b5YrNnTZh4inyaBAAAAAACV1A=
--- response_headers
X-Is: allow secured_enough

=== TEST 9: the alias of the policy goes with the record that is decided on
--- http
mtd_policy open { max_threat high; }
map $mtd_groups $mine { vip open; default p; }
--- gate
--- init
MTD::devices("good threat=highSeverity compliance=compliant groups=vip alias=eas:\L$id\E\n"
             . "bad threat=highSeverity compliance=compliant alias=eas:$hex");
--- server
location /Microsoft-Server-ActiveSync {
    mtd $mine;
    proxy_pass http://unix:$TEST_NGINX_SERVER_ROOT/html/backend.sock;
}
--- request eval
"POST $::vdir?$::query"
--- response_headers
X-Is: remediate threat_level
--- then
redis('HSET', key('device:bad'), 'groups', 'vip');
trusted();
ok until_true(sub {
    http('POST', "$vdir?$query")->{'x-is'} eq 'allow secured_enough'
}), 'both are in the group';
redis('HDEL', key('device:bad'), 'groups');
