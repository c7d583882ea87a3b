use lib 't/lib';
use Test::Nginx::Socket 'no_plan';
use MTD;

# AUTH and SELECT

run_tests();

__DATA__

=== TEST 1: user and password
--- post_setup_server_root
MTD::write_file('secret', "pass word\n", 0600);
redis('ACL', 'SETUSER', "u$$", 'reset', 'on', '>pass word', '~*', '&*',
      '-@all', '+auth', '+get', '+hmget', '+pttl', '+info', '+client|id',
      '+client|tracking', '+subscribe', '+ping', '+select', '+hello', '+client|setname');
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

=== TEST 2: another password is not a missing device
--- post_setup_server_root
MTD::write_file('secret', "wrong\n", 0600);
redis('ACL', 'SETUSER', "u$$", 'reset', 'on', '>pass word', '~*', '&*', '+@all');
$ENV{TEST_NGINX_USER} = "u$$";
--- store: user $TEST_NGINX_USER; password file:$TEST_NGINX_SERVER_ROOT/secret;
--- device
d1 threat=secured compliance=compliant
--- request
GET /x
--- more_headers
X-Device: d1
--- error_code: 503
--- response_headers
X-Is: block store_unavailable
--- error_log eval
qr/\[crit\] .*: redis \S+ is unavailable \(data\): .*WRONGPASS/
--- no_error_log
wrong

=== TEST 3: a password only
--- post_setup_server_root
MTD::write_file('secret', "quo\"ted", 0600);
$server ||= redis_server('auth', '--requirepass', 'quo"ted');
$ENV{TEST_NGINX_OWN_REDIS} = $server->{path};
--- store: server unix:$TEST_NGINX_OWN_REDIS; password file:$TEST_NGINX_SERVER_ROOT/secret;
--- init
redis_at($server->{path}, 'AUTH', 'quo"ted');
redis_at($server->{path}, 'SET', key('alias:serial:d1'), 'd1');
redis_at($server->{path}, 'HSET', key('device:d1'),
         qw(threat secured compliance compliant));
--- request
GET /x
--- more_headers
X-Device: d1
--- response_headers
X-Is: allow secured_enough

=== TEST 4: a redis that wants a password and gets none
--- post_setup_server_root
$server ||= redis_server('auth', '--requirepass', 'quo"ted');
$ENV{TEST_NGINX_OWN_REDIS} = $server->{path};
--- store: server unix:$TEST_NGINX_OWN_REDIS;
--- request
GET /x
--- more_headers
X-Device: d1
--- error_code: 503
--- response_headers
X-Is: block store_unavailable
--- error_log eval
qr/\[crit\] .*: redis \S+ is unavailable \(data\): .*NOAUTH/

=== TEST 5: a database of its own
--- store: database 5;
--- init
MTD::devices('d1 threat=compromised');
redis('SELECT', 5);
MTD::devices('d1 threat=secured compliance=compliant');
redis('SELECT', 0);
--- request
GET /x
--- more_headers
X-Device: d1
--- response_headers
X-Is: allow secured_enough
--- then
trusted();
until_told('d1', 'allow secured_enough');
redis('SELECT', 5);
redis('HSET', key('device:d1'), 'threat', 'compromised');
until_told('d1', 'remediate compromised');
redis('HSET', key('device:d1'), 'threat', 'secured');
redis('SELECT', 0);
until_told('d1', 'allow secured_enough');

=== TEST 6: a database that redis does not have
--- store: database 9999;
--- request
GET /x
--- more_headers
X-Device: d1
--- error_code: 503
--- response_headers
X-Is: block store_unavailable
--- error_log
DB index is out of range
