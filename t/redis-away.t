use lib 't/lib';
use Test::Nginx::Socket 'no_plan';
use MTD;

# a redis that is absent, comes, stops, is silent

run_tests();

__DATA__

=== TEST 1: absent at start, there later
--- post_setup_server_root
$ENV{TEST_NGINX_OWN_REDIS} = MTD::temp() . '/late.sock';
--- store: server unix:$TEST_NGINX_OWN_REDIS;
--- request
GET /x
--- more_headers
X-Device: d1
--- error_code: 503
--- response_headers
X-Is: block store_unavailable
--- then
my $server = redis_server('late');
redis_at($server->{path}, 'SET', key('alias:serial:d1'), 'd1');
redis_at($server->{path}, 'HSET', key('device:d1'),
         qw(threat secured compliance compliant));
until_told('d1', 'allow secured_enough');
trusted();
is status()->{stores}{r}{data}, 'up', 'the status says so';
is status()->{stores}{r}{breaker}, 'closed', '... and of the breaker';
like error_log(), qr/mtd_redis "r" is refusing: no device is known/,
    'the log says what it meant';
like error_log(), qr/redis \S+ is back \(data\) after \d+ms, breaker is closed/,
    '... and that it is over';
like error_log(), qr/mtd_redis "r" is serving: redis is asked/, '... for all';
MTD::stop($server);

=== TEST 2: a known record serves on, an unknown one does not
--- post_setup_server_root
$server = redis_server('goes');
$ENV{TEST_NGINX_OWN_REDIS} = $server->{path};
--- store: server unix:$TEST_NGINX_OWN_REDIS;
--- init
redis_at($server->{path}, 'SET', key('alias:serial:d1'), 'd1');
redis_at($server->{path}, 'HSET', key('device:d1'),
         qw(threat secured compliance compliant));
redis_at($server->{path}, 'SET', key('alias:serial:d2'), 'd2');
redis_at($server->{path}, 'HSET', key('device:d2'), qw(threat compromised));
--- request
GET /x
--- more_headers
X-Device: d1
--- response_headers
X-Is: allow secured_enough
--- then
until_told('d2', 'remediate compromised');
MTD::stop($server);
until_told('d1', 'allow stale_allowed');
is http('GET', '/x', 'X-Device: d1')->{'x-lookup'}, 'STALE', 'it says so';
like status()->{stores}{r}{breaker}, qr/^(?:half_)?open$/, 'the breaker is open';
my $breaker = metrics()->{mtd_breaker}{value};
is $breaker->{'mtd_breaker{store="r",state="closed"}'}, 0, 'in the metrics, too';
is $breaker->{'mtd_breaker{store="r",state="open"}'}
   + $breaker->{'mtd_breaker{store="r",state="half_open"}'}, 1, '...';
like error_log(), qr/redis \S+ is unavailable \(data\): it closed the connection, breaker is open/,
    'the log says so';
like error_log(), qr/\[warn\] .*mtd_redis "r" is stale: devices that are known are served/,
    '... and what it means';
is told('d2'), 'remediate compromised', 'a refusal stays one';
is told('d3'), 'block store_unavailable', 'unknown';
my $again = redis_server('goes');
until_told('d1', 'block unknown_device', 'an empty redis came');
MTD::stop($again);

=== TEST 3: a known record serves for as long as stale only
--- post_setup_server_root
$server = redis_server('short');
$ENV{TEST_NGINX_OWN_REDIS} = $server->{path};
--- store: server unix:$TEST_NGINX_OWN_REDIS; fresh 100ms; stale 500ms;
--- init
redis_at($server->{path}, 'SET', key('alias:serial:d1'), 'd1');
redis_at($server->{path}, 'HSET', key('device:d1'),
         qw(threat secured compliance compliant));
--- request
GET /x
--- more_headers
X-Device: d1
--- response_headers
X-Is: allow secured_enough
--- then
MTD::stop($server);
until_told('d1', 'block store_unavailable');
ok until_true(sub { error_log() =~ /\[error\] .*mtd_redis "r" is refusing: no device is known that is young/ }),
    'the log says so';
is scalar(() = error_log() =~ /mtd_redis "r" is stale/g), 1, 'once';
is scalar(() = error_log() =~ /mtd_redis "r" is refusing/g), 1, '...';

=== TEST 4: a redis that does not answer
--- post_setup_server_root
$server = redis_server('silent');
$ENV{TEST_NGINX_OWN_REDIS} = $server->{path};
--- store: server unix:$TEST_NGINX_OWN_REDIS; timeout 100ms; connect_timeout 200ms;
--- init
redis_at($server->{path}, 'SET', key('alias:serial:d1'), 'd1');
redis_at($server->{path}, 'HSET', key('device:d1'),
         qw(threat secured compliance compliant));
--- request
GET /x
--- more_headers
X-Device: d1
--- response_headers
X-Is: allow secured_enough
--- then
trusted();
kill STOP => $server->{pid};
is told('d2'), 'block store_unavailable', 'asked, not answered';
is http('GET', '/x', 'X-Device: d2')->{'status'}, 503, 'again';
ok status()->{stores}{r}{counters}{failures} >= 1, 'counted';
kill CONT => $server->{pid};
until_told('d2', 'block unknown_device');
until_told('d1', 'allow secured_enough');
MTD::stop($server);
