use lib 't/lib';
use Test::Nginx::Socket 'no_plan';
use MTD;

# several hooks for one request

add_block_preprocessor(sub {
    my ($block) = @_;
    $block->set_value(gate => <<'END') if !defined $block->gate;
mtd_profile exchange; mtd_identify value eas; mtd_value $http_x_device kind=serial;
END
    $block->set_value(device => <<'END');
d1 threat=secured compliance=compliant alias=eas:phone
d2 threat=secured compliance=compliant
END
});

our @eas = ('POST', '/Microsoft-Server-ActiveSync?Cmd=Sync&User=u'
                    . '&DeviceType=t&DeviceId=');

sub both {
    my ($eas, @headers) = @_;
    return http('POST', '/Microsoft-Server-ActiveSync?Cmd=Sync&User=u'
                . "&DeviceType=t&DeviceId=$eas", @headers)->{'x-is'};
}

repeat_each(2);
run_tests();

__DATA__

=== TEST 1: two identities of one device
--- request
POST /Microsoft-Server-ActiveSync?Cmd=Sync&User=u&DeviceId=phone&DeviceType=t
--- more_headers
X-Device: d1
--- response_headers
X-Is: allow secured_enough

=== TEST 2: two devices
--- request
POST /Microsoft-Server-ActiveSync?Cmd=Sync&User=u&DeviceId=phone&DeviceType=t
--- more_headers
X-Device: d2
--- error_code: 403
--- response_headers
X-Is: block identity_mismatch
--- then
is both('phone', 'X-Device: d2'), 'block identity_mismatch', 'from the zone';

=== TEST 3: the second is not known
--- request
POST /Microsoft-Server-ActiveSync?Cmd=Sync&User=u&DeviceId=new&DeviceType=t
--- more_headers
X-Device: d1
--- response_headers
X-Is: allow secured_enough

=== TEST 4: the first is not known
--- request
POST /Microsoft-Server-ActiveSync?Cmd=Sync&User=u&DeviceId=phone&DeviceType=t
--- more_headers
X-Device: new
--- error_code: 403
--- response_headers
X-Is: block unknown_device

=== TEST 5: only one of the hooks finds something
--- request
POST /Microsoft-Server-ActiveSync?Cmd=Sync&User=u&DeviceId=phone&DeviceType=t
--- response_headers
X-Is: allow secured_enough

=== TEST 6: what one of them cannot read, refuses
--- request
POST /Microsoft-Server-ActiveSync?Cmd=Sync&User=u&DeviceId=a&DeviceId=b&DeviceType=t
--- more_headers
X-Device: d1
--- error_code: 400
--- response_headers
X-Is: block malformed
--- then
is both('phone', 'X-Device: d1', 'X-Device: d2'), 'block ambiguous',
   'the other one';

=== TEST 7: no policy turns that into an allow
--- policy: unknown_device allow; unidentified allow; missing_threat allow; store_failure allow; unenrolled allow;
--- request
POST /Microsoft-Server-ActiveSync?Cmd=Sync&User=u&DeviceId=phone&DeviceType=t
--- more_headers
X-Device: d2
--- error_code: 403
--- response_headers
X-Is: block identity_mismatch
--- then
is both('phone', 'X-Device: d1', 'X-Device: d2'), 'block ambiguous',
   'ambiguous';
is both('a%2500', 'X-Device: d1'), 'block malformed', 'malformed';

=== TEST 8: the order counts
--- gate: mtd_profile exchange; mtd_identify eas value; mtd_value $http_x_device kind=serial;
--- request
POST /Microsoft-Server-ActiveSync?Cmd=Sync&User=u&DeviceId=new&DeviceType=t
--- more_headers
X-Device: d1
--- error_code: 403
--- response_headers
X-Is: block unknown_device

=== TEST 9: a hook of another module
--- gate: mtd_profile generic; mtd_identify example;
--- init
redis('SET', key('alias:vendor.example:mine'), 'd1');
--- server: add_header X-Audited "a$mtd_example_audited";
--- request
GET /x
--- more_headers
X-Example-Device: Mine
--- response_headers
X-Is: allow secured_enough
--- response_headers_like
X-Audited: a\d+
--- then
is http('GET', '/x', 'X-Example-Device: d2')->{'x-is'}, 'block unknown_device',
   'another kind';
my ($first) = http('GET', '/x', 'X-Example-Device: mine')->{'x-audited'} =~ /(\d+)/;
my ($then) = http('GET', '/x', 'X-Example-Device: mine')->{'x-audited'} =~ /(\d+)/;
is $then, $first + 1, 'each is audited once';

=== TEST 10: the first is not known and would be allowed, the second is known
--- policy: unknown_device allow;
--- request
POST /Microsoft-Server-ActiveSync?Cmd=Sync&User=u&DeviceId=phone&DeviceType=t
--- more_headers
X-Device: new
--- response_headers
X-Is: allow secured_enough
--- then
redis('HSET', key('device:d1'), 'threat', 'compromised');
until_true(sub { both('phone', 'X-Device: new') ne 'allow secured_enough' });
is both('phone', 'X-Device: new'), 'remediate compromised', 'it may refuse';
is both('phone', 'X-Device: new'), 'remediate compromised', 'from the zone';
is both('phone'), 'remediate compromised', 'as if it were the only one';
is both('other', 'X-Device: new'), 'allow unknown_device', 'none is known';
redis('HSET', key('device:d1'), 'threat', 'secured');
until_true(sub { both('phone', 'X-Device: new') eq 'allow secured_enough' });
