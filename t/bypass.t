use lib 't/lib';
use Test::Nginx::Socket 'no_plan';
use MTD;

# a bypass: what passes, and what does not

run_tests();

__DATA__

=== TEST 1: what is held against a device passes
--- policy: max_age 1d; unenrolled block; missing_threat block;
--- init
my $now = time . '000';
MTD::devices(<<"END");
good threat=secured compliance=compliant reported_at=$now
high threat=highSeverity compliance=compliant reported_at=$now
rooted threat=compromised compliance=compliant reported_at=$now
silent compliance=compliant reported_at=$now
old threat=secured compliance=compliant reported_at=1000
loose threat=secured compliance=noncompliant reported_at=$now
over threat=secured compliance=inGracePeriod grace_until=1 reported_at=$now
app threat=secured enrolled=app reported_at=$now
damaged threat=nonsense
lucky threat=compromised action=allow
blocked threat=secured compliance=compliant reported_at=$now action=block
wiped threat=secured compliance=compliant reported_at=$now action=wipe
END
--- request
GET /x
--- more_headers
X-Device: high
--- error_code: 403
--- response_headers
X-Is: remediate threat_level
--- then
trusted();
bypass(600);
until_told('high', 'allow bypass');
is told($_), 'allow bypass', $_
    for qw(rooted silent old loose over app stranger);
is told('damaged'), 'block threat_missing', 'which may have been a block';
is http('GET', '/x')->{'x-is'}, 'allow bypass', 'no identity';
is told('good'), 'allow secured_enough', 'what passes anyway keeps its reason';
is told('lucky'), 'allow admin_allow', '... this, too';
is told('blocked'), 'block admin_block', 'the admin said so';
is told('wiped'), 'block wipe_pending', '... or so';
redis('DEL', key('bypass'));
until_told('high', 'remediate threat_level');
is told('stranger'), 'block unknown_device', 'it is over for all';
is http('GET', '/x')->{'x-is'}, 'block unidentified', '... also for these';

=== TEST 2: what is wrong with the request does not
--- gate
mtd_profile exchange; mtd_identify eas value;
mtd_value $http_x_device kind=serial;
--- device
d1 threat=secured compliance=compliant
d2 threat=secured compliance=compliant
--- init
bypass(600);
--- request
GET /owa/
--- more_headers
X-Device: stranger
--- then
trusted();
until_true(sub { http('GET', '/owa/')->{'x-is'} eq 'allow bypass' });
my $eas = '/Microsoft-Server-ActiveSync?Cmd=Sync&User=u&DeviceType=t&DeviceId=';
is http('GET', '/owa/')->{'x-is'}, 'allow bypass', 'it holds';
is http('POST', $eas . 'd1')->{'x-is'}, 'allow secured_enough', 'one device';
is http('POST', $eas . 'd1', 'X-Device: d2')->{'x-is'},
    'block identity_mismatch', 'two devices';
is http('GET', '/owa/', 'X-Device: d1', 'X-Device: d2')->{'x-is'},
    'block ambiguous', 'ambiguous';
is http('GET', '/powershell')->{'x-is'}, 'block path_refused', 'the path';
is http('POST', $eas . 'd%00')->{'x-is'}, 'block malformed', 'malformed';

=== TEST 3: a policy that is not bypassed
--- policy: bypass off;
--- http
mtd_policy q { bypass on; }
--- server
location /q { mtd q; empty_gif; }
--- init
bypass(600);
--- request
GET /x
--- more_headers
X-Device: stranger
--- error_code: 403
--- then
trusted();
until_true(sub { http('GET', '/q')->{'x-is'} eq 'allow bypass' });
is http('GET', '/q')->{'x-is'}, 'allow bypass', 'one is';
is told('stranger'), 'block unknown_device', 'one is not';

=== TEST 4: a policy that does not exist
--- gate
mtd $arg_policy; mtd_profile generic; mtd_identify value;
mtd_value $http_x_device kind=serial;
--- init
bypass(600);
--- request
GET /status
--- then
until_true(sub { http('GET', '/x?policy=p')->{'x-is'} eq 'allow bypass' });
is http('GET', '/x?policy=p')->{'x-is'}, 'allow bypass', 'one does';
is http('GET', '/x?policy=q')->{'x-is'}, 'block policy_error', 'one does not';

=== TEST 5: it ends by itself
--- init
bypass(600);
--- request
GET /status
--- then
until_told('stranger', 'allow bypass');
bypass(2);
until_told('stranger', 'block unknown_device');
until_true(sub { error_log() =~ /mtd bypass by redis \S+ (?:is over|was ended), until/ });
like error_log(), qr/\[notice\] .*mtd bypass by redis \S+ (?:is over|was ended), until \S+Z, by me\@here: a test/,
    'and tells so';

=== TEST 6: the error log and the status
--- init
bypass(600, why => "Redis \"m\x{c3}\x{bc}de\"");
--- request
GET /status
--- then
until_told('stranger', 'allow bypass');
my $b = status()->{stores}{r}{bypass};
is $b->{by}, 'me@here', 'by whom';
is $b->{why}, "Redis \"m\x{fc}de\"", 'why';
is $b->{until} - $b->{since}, 600, 'how long';
my $left = metrics()->{mtd_bypass}{value}{'mtd_bypass{store="r"}'};
cmp_ok $left, '>', 500, 'the metric';
cmp_ok $left, '<=', 600, '...';
like error_log(), qr/\[warn\] .*mtd bypass by redis \S+ begins until \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ, by me\@here: Redis "m/,
    'it begins';
bypass(900, by => "you\nthere", why => "bad\xff");
until_true(sub { status()->{stores}{r}{bypass}{by} =~ /^you/ });
$b = status()->{stores}{r}{bypass};
is "$b->{by} $b->{why}", 'you?there bad?', 'bytes that are none of a text';
like error_log(), qr/\[warn\] .*mtd bypass by redis \S+ is changed until \S+Z, by you\?there: bad\?/,
    'it is changed';
redis('HSET', key('bypass'), 'until', time - 1);
until_told('stranger', 'block unknown_device');
like error_log(), qr/\[notice\] .*mtd bypass by redis \S+ was ended, until \S+Z, by you\?there: bad\?/,
    'it is ended';
is status()->{stores}{r}{bypass}, undef, 'none in the status';
is metrics()->{mtd_bypass}{value}{'mtd_bypass{store="r"}'}, 0, 'nor the metrics';

=== TEST 7: what is no bypass
--- request
GET /status
--- then
trusted();
for (
    [ 'it has the wrong type', sub { redis('SET', key('bypass'), 'x') } ],
    [ 'it has no TTL', sub { bypass(600); redis('PERSIST', key('bypass')) } ],
    [ 'until', sub { bypass(600, until => 'tomorrow') } ],
    [ 'it is longer than 64k', sub { bypass(600, why => 'x' x 70000) } ],
) {
    my ($why, $do) = @$_;
    redis('DEL', key('bypass'));
    until_told('stranger', 'block unknown_device');
    $do->();
    ok until_true(sub { error_log() =~ /the bypass in redis \S+ cannot be read: $why/ }), $why;
    until_told('stranger', 'block unknown_device') if $why ne 'it has no TTL';
}
trusted();
my $failures = status()->{stores}{r}{counters}{connects};
redis('DEL', key('bypass'));
bypass(600);
until_told('stranger', 'allow bypass', 'one that can be read');
cmp_ok status()->{stores}{r}{counters}{connects}, '<=', $failures + 1,
    'the oversize one was asked for once';

=== TEST 8: not longer than redis keeps it, and not longer than a day
--- request
GET /status
--- then
trusted();
bypass(600, until => time + 9000);
until_told('stranger', 'allow bypass');
cmp_ok status()->{stores}{r}{bypass}{until}, '<=', time + 601, 'its TTL';
bypass(999999);
until_true(sub { status()->{stores}{r}{bypass}{until} > time + 700 });
cmp_ok status()->{stores}{r}{bypass}{until}, '<=', time + 86401, 'a day';

=== TEST 9: a user who may not read it
--- post_setup_server_root
MTD::write_file('secret', "pass word\n", 0600);
redis('ACL', 'SETUSER', "u$$", 'reset', 'on', '>pass word',
      "~$ENV{TEST_NGINX_PREFIX}device:*", "~$ENV{TEST_NGINX_PREFIX}alias:*",
      '&*', '-@all', '+auth', '+get', '+hmget', '+pttl', '+info',
      '+client|id', '+client|tracking', '+subscribe', '+ping');
$ENV{TEST_NGINX_USER} = "u$$";
--- store: user $TEST_NGINX_USER; password file:$TEST_NGINX_SERVER_ROOT/secret;
--- device
d1 threat=secured compliance=compliant
--- request
GET /x
--- more_headers
X-Device: d1
--- response_headers
X-Is: allow secured_enough
--- then
trusted();
--- error_log
the bypass in redis
cannot be read: redis refused HMGET
