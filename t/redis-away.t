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
