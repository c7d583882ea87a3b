use lib 't/lib';
use Test::Nginx::Socket 'no_plan';
use MTD;

# what changes in redis is enforced, without a time that has to pass

repeat_each(2);
run_tests();

__DATA__

=== TEST 1: a record that is served from the zone, and then changes
--- device
d1 threat=secured compliance=compliant
--- request
GET /x
--- more_headers
X-Device: d1
--- then
trusted();
my ($hit, $said, $asked);
until_true(sub {
    my $lookups = status()->{stores}{r}{counters}{lookups};
    $hit = http('GET', '/x', 'X-Device: d1')->{'x-lookup'};
    $said = told('d1');
    $asked = status()->{stores}{r}{counters}{lookups} - $lookups;
    $hit eq 'HIT' && $asked == 0;
});
is $hit, 'HIT', 'a hit';
is $said, 'allow secured_enough', 'and another';
is $asked, 0, 'without redis';
redis('HSET', key('device:d1'), 'threat', 'highSeverity');
until_told('d1', 'remediate threat_level');
redis('HSET', key('device:d1'), 'threat', 'secured');
until_told('d1', 'allow secured_enough');

=== TEST 2: a record that is deleted, and comes back
--- device
d1 threat=secured compliance=compliant
--- request
GET /x
--- more_headers
X-Device: d1
--- then
trusted();
until_told('d1', 'allow secured_enough');
redis('DEL', key('device:d1'));
until_told('d1', 'block unknown_device');
MTD::device('d1', threat => 'secured', compliance => 'compliant');
until_told('d1', 'allow secured_enough');

=== TEST 3: a record that expires
# redis does not look for what has expired, and so does not tell of it
--- post_setup_server_root
$server = redis_server('expire', '--enable-debug-command', 'yes');
redis_at($server->{path}, 'DEBUG', 'SET-ACTIVE-EXPIRE', 0);
$ENV{TEST_NGINX_OWN_REDIS} = $server->{path};
--- store: server unix:$TEST_NGINX_OWN_REDIS;
--- init
$fill = sub {
    redis_at($server->{path}, 'SET', key('alias:serial:d1'), 'd1');
    redis_at($server->{path}, 'HSET', key('device:d1'),
             qw(threat secured compliance compliant));
};
$fill->();
--- request
GET /x
--- more_headers
X-Device: d1
--- then
trusted();
until_told('d1', 'allow secured_enough');
redis_at($server->{path}, 'PEXPIRE', key('device:d1'), 50);
until_told('d1', 'block unknown_device');
$fill->();
until_told('d1', 'allow secured_enough');

=== TEST 4: an alias that moves to another device
--- device
d1 threat=secured compliance=compliant
d2 threat=compromised
--- request
GET /x
--- more_headers
X-Device: d1
--- then
trusted();
redis('SET', key('alias:serial:d1'), 'd1');
until_told('d1', 'allow secured_enough');
redis('SET', key('alias:serial:d1'), 'd2');
until_told('d1', 'remediate compromised');
redis('SET', key('alias:serial:d1'), 'd1');
until_told('d1', 'allow secured_enough');

=== TEST 5: an unknown device is enrolled
--- store: unknown 1h;
--- request
GET /x
--- more_headers
X-Device: d1
--- error_code: 403
--- response_headers
X-Is: block unknown_device
--- then
trusted();
my $lookup;
until_true(sub {
    ($lookup = http('GET', '/x', 'X-Device: d1')->{'x-lookup'}) eq 'NEGATIVE'
});
is $lookup, 'NEGATIVE', 'believed';
MTD::devices('d1 threat=secured compliance=compliant');
until_told('d1', 'allow secured_enough');
redis('DEL', key('alias:serial:d1'));
until_told('d1', 'block unknown_device');

=== TEST 6: a negative answer is not asked for again
--- store: unknown 1h;
--- request
GET /x
--- more_headers
X-Device: nobody
--- error_code: 403
--- then
my $before = status()->{stores}{r}{counters};
is told('nobody'), 'block unknown_device', 'again' for 1 .. 5;
my $after = status()->{stores}{r}{counters};
is $after->{lookups}, $before->{lookups}, 'no lookup';
is $after->{negative}, $before->{negative} + 5, 'five more';

=== TEST 7: a negative answer is asked for again after its time
--- store: unknown 50ms;
--- request
GET /x
--- more_headers
X-Device: nobody
--- error_code: 403
--- then
my $before = status()->{stores}{r}{counters}{lookups};
ok until_true(sub {
    told('nobody');
    status()->{stores}{r}{counters}{lookups} >= $before + 2;
}), 'asked';

=== TEST 8: a record is asked for again after its time
--- store: fresh 50ms;
--- device
d1 threat=secured compliance=compliant
--- request
GET /x
--- more_headers
X-Device: d1
--- then
trusted();
my $before = status()->{stores}{r}{counters}{lookups};
ok until_true(sub {
    told('d1');
    status()->{stores}{r}{counters}{lookups} >= $before + 4;
}), 'asked';

=== TEST 9: FLUSHALL
--- post_setup_server_root
$server = redis_server('flush');
$ENV{TEST_NGINX_OWN_REDIS} = $server->{path};
--- store: server unix:$TEST_NGINX_OWN_REDIS;
--- init
$fill = sub {
    redis_at($server->{path}, 'SET', key('alias:serial:d1'), 'd1');
    redis_at($server->{path}, 'HSET', key('device:d1'),
             qw(threat secured compliance compliant));
};
$fill->();
--- request
GET /x
--- more_headers
X-Device: d1
--- response_headers
X-Is: allow secured_enough
--- then
trusted();
until_told('d1', 'allow secured_enough');
redis_at($server->{path}, 'FLUSHALL');
until_told('d1', 'block unknown_device');
$fill->();
until_told('d1', 'allow secured_enough');

=== TEST 10: keys beside ours are nothing to us
--- device
d1 threat=secured compliance=compliant
--- request
GET /x
--- more_headers
X-Device: d1
--- then
trusted();
until_told('d1', 'allow secured_enough');
my $before = status()->{stores}{r}{counters};
redis('SET', "other-$ENV{TEST_NGINX_PREFIX}$_", $_, 'EX', 60) for 1 .. 100;
redis('SET', key('alias:serial:new'), 'd1', 'EX', 60);
ok until_true(sub { status()->{stores}{r}{counters}{invalidations}
                    > $before->{invalidations} }), 'one of ours came';
ok status()->{stores}{r}{counters}{invalidations}
   < $before->{invalidations} + 50, 'the others did not';
redis('DEL', key('alias:serial:new'));
