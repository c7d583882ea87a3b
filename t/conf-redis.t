use lib 't/lib';
use Test::Nginx::Socket 'no_plan';
use MTD;

# what mtd_redis does not take

run_tests();

__DATA__

=== TEST 1: unknown parameter
--- store: servers a:1;
--- must_die
--- error_log
unknown parameter "servers" in mtd_redis in

=== TEST 2: a parameter without a value
--- store: fresh;
--- must_die
--- error_log
"fresh" in mtd_redis takes one value: a time above zero, such as 200ms, 10s, 10m, 4h or 30d in

=== TEST 3: a parameter with two values
--- store: fresh 1m 2m;
--- must_die
--- error_log
"fresh" in mtd_redis takes one value: a time above zero

=== TEST 4: two servers in one place
--- store: server 127.0.0.1:1 127.0.0.1:2;
--- must_die
--- error_log
"server" in mtd_redis takes one value: host:port or unix:path in

=== TEST 5: no server
--- http: mtd_redis other { }
--- must_die
--- error_log
mtd_redis "other" has no "server", and no "sentinel" that knows where it is in

=== TEST 6: no port
--- store: server 127.0.0.1:port;
--- must_die
--- error_log
invalid server "127.0.0.1:port" in mtd_redis "r": invalid port; it must be host:port or unix:path in

=== TEST 7: a server with a path
--- store: server 127.0.0.1:6379/1;
--- must_die
--- error_log
invalid server "127.0.0.1:6379/1" in mtd_redis "r": invalid host; it must be host:port or unix:path in

=== TEST 8: a name that nobody knows
--- store: server no.such.host.invalid:6379;
--- must_die
--- error_log
server "no.such.host.invalid:6379" of mtd_redis "r" cannot be resolved: host not found; with a "resolver" in http {} it is looked up at run time

=== TEST 9: an empty prefix
--- store: prefix "";
--- must_die
--- error_log
"" of "prefix" in mtd_redis is empty; it must be printable characters without spaces in

=== TEST 10: a space in the prefix
--- store: prefix "a b:";
--- must_die
--- error_log
"a b:" of "prefix" in mtd_redis is invalid; it must be printable characters without spaces in

=== TEST 11: a long prefix
--- store: prefix pppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppp:;
--- must_die
--- error_log
"prefix" of mtd_redis "r" is longer than

=== TEST 12: a user without a password
--- store: user gate;
--- must_die
--- error_log
mtd_redis "r" has a "user" but no "password" in

=== TEST 13: a password in the configuration
--- store: password hunter2;
--- must_die
--- error_log
"password" must be file:PATH of a file that holds the secret, which does not belong here in

=== TEST 14: no file of a password
--- store: password file:$TEST_NGINX_SERVER_ROOT/secret.none;
--- must_die
--- error_log
open() "
secret.none" failed (2: No such file or directory)

=== TEST 15: a password that others can read
--- post_setup_server_root: MTD::write_file('secret', "text\n", 0644);
--- store: password file:$TEST_NGINX_SERVER_ROOT/secret;
--- must_die
--- error_log
is open to everybody, its mode must not give others any right: chmod o= it in

=== TEST 16: an empty password
--- post_setup_server_root: MTD::write_file('secret', "\n\n", 0600);
--- store: password file:$TEST_NGINX_SERVER_ROOT/secret;
--- must_die
--- error_log
must hold a secret of one line in

=== TEST 17: a password of two lines
--- post_setup_server_root: MTD::write_file('secret', "new\nold\n", 0600);
--- store: password file:$TEST_NGINX_SERVER_ROOT/secret;
--- must_die
--- error_log
must hold a secret of one line in

=== TEST 18: a password that is too long, and has its line end where it is cut
--- post_setup_server_root: MTD::write_file('secret', 'a' x 4095 . "\nmore", 0600);
--- store: password file:$TEST_NGINX_SERVER_ROOT/secret;
--- must_die
--- error_log
must hold a secret of one line in

=== TEST 19: a password that is a directory
--- post_setup_server_root: chmod 0750, MTD::server_root() . '/html';
--- store: password file:$TEST_NGINX_SERVER_ROOT/html;
--- must_die
--- error_log
read() "
failed

=== TEST 20: a key_secret in the configuration
--- store: key_secret 0123456789012345678901234567890123456789;
--- must_die
--- error_log
"key_secret" must be file:PATH of a file that holds the secret, which does not belong here in

=== TEST 21: a key_secret that others can read
--- post_setup_server_root: MTD::write_file('secret', "x" x 32, 0604);
--- store: key_secret file:$TEST_NGINX_SERVER_ROOT/secret;
--- must_die
--- error_log
is open to everybody

=== TEST 22: a short key_secret
--- post_setup_server_root: MTD::write_file('secret', "x" x 15, 0600);
--- store: key_secret file:$TEST_NGINX_SERVER_ROOT/secret;
--- must_die
--- error_log
"key_secret" of mtd_redis "r" must have

=== TEST 23: a long key_secret
--- post_setup_server_root: MTD::write_file('secret', "x" x 2000, 0600);
--- store: key_secret file:$TEST_NGINX_SERVER_ROOT/secret;
--- must_die
--- error_log
"key_secret" of mtd_redis "r" must have

=== TEST 24: a database that is no number
--- store: database one;
--- must_die
--- error_log
"one" of "database" in mtd_redis is invalid; it must be a number from 0 to 65535 in

=== TEST 25: a high database
--- store: database 65536;
--- must_die
--- error_log
"65536" of "database" in mtd_redis is invalid; it must be a number from 0 to 65535 in

=== TEST 26: a small zone
--- store: zone 128k;
--- must_die
--- error_log
"128k" of "zone" in mtd_redis is too small; it must be a size of at least 256k, such as 128m in

=== TEST 27: a zone that is no size
--- store: zone big;
--- must_die
--- error_log
"big" of "zone" in mtd_redis is invalid; it must be a size of at least 256k, such as 128m in

=== TEST 28: stale is less than fresh
--- store: fresh 2h; stale 1h;
--- must_die
--- error_log
"stale" (3600000ms) must not be less than "fresh" (7200000ms): a record serves longer, not shorter, while redis is away in

=== TEST 29: stale is more than ttl
--- store: stale 2d; ttl 1d;
--- must_die
--- error_log
"stale" (172800s) must not be more than "ttl" (86400s): a record must not outlive its key in

=== TEST 30: the same store twice
--- http: mtd_redis r { server 127.0.0.1:1; }
--- must_die
--- error_log
duplicate mtd_redis "r" in

=== TEST 31: a store with an odd name
--- http: mtd_redis "a b" { server 127.0.0.1:1; }
--- must_die
--- error_log
invalid name "a b", it must be 1 to 64 letters, digits, "_" and "-", and not "off" in

=== TEST 32: a store named off
--- http: mtd_redis off { server 127.0.0.1:1; }
--- must_die
--- error_log
invalid name "off", it must be 1 to 64 letters

=== TEST 33: server twice
--- store

server unix:/a;
server unix:/a;
--- must_die
--- error_log
"unix:/a" of "server" in mtd_redis is duplicate; it must be 

=== TEST 34: user twice
--- store

server unix:$TEST_NGINX_REDIS;
user a;
user a;
--- must_die
--- error_log
"a" of "user" in mtd_redis is duplicate; it must be 

=== TEST 35: database twice
--- store

server unix:$TEST_NGINX_REDIS;
database 0;
database 0;
--- must_die
--- error_log
"0" of "database" in mtd_redis is duplicate; it must be 

=== TEST 36: prefix twice
--- store

server unix:$TEST_NGINX_REDIS;
prefix a:;
prefix a:;
--- must_die
--- error_log
"a:" of "prefix" in mtd_redis is duplicate; it must be 

=== TEST 37: zone twice
--- store

server unix:$TEST_NGINX_REDIS;
zone 1m;
zone 1m;
--- must_die
--- error_log
"1m" of "zone" in mtd_redis is duplicate; it must be 

=== TEST 38: connect_timeout twice
--- store

server unix:$TEST_NGINX_REDIS;
connect_timeout 1s;
connect_timeout 1s;
--- must_die
--- error_log
"1s" of "connect_timeout" in mtd_redis is duplicate; it must be 

=== TEST 39: timeout twice
--- store

server unix:$TEST_NGINX_REDIS;
timeout 1s;
timeout 1s;
--- must_die
--- error_log
"1s" of "timeout" in mtd_redis is duplicate; it must be 

=== TEST 40: fresh twice
--- store

server unix:$TEST_NGINX_REDIS;
fresh 1m;
fresh 1m;
--- must_die
--- error_log
"1m" of "fresh" in mtd_redis is duplicate; it must be 

=== TEST 41: unknown twice
--- store

server unix:$TEST_NGINX_REDIS;
unknown 1s;
unknown 1s;
--- must_die
--- error_log
"1s" of "unknown" in mtd_redis is duplicate; it must be 

=== TEST 42: stale twice
--- store

server unix:$TEST_NGINX_REDIS;
stale 5h;
stale 5h;
--- must_die
--- error_log
"5h" of "stale" in mtd_redis is duplicate; it must be 

=== TEST 43: ttl twice
--- store

server unix:$TEST_NGINX_REDIS;
ttl 2d;
ttl 2d;
--- must_die
--- error_log
"2d" of "ttl" in mtd_redis is duplicate; it must be 

=== TEST 44: password twice
--- post_setup_server_root: MTD::write_file('secret', "x" x 32, 0600);
--- store: password file:$TEST_NGINX_SERVER_ROOT/secret; password file:$TEST_NGINX_SERVER_ROOT/secret;
--- must_die
--- error_log
" of "password" in mtd_redis is duplicate; it must be file:PATH of a file that holds it in

=== TEST 45: key_secret twice
--- post_setup_server_root: MTD::write_file('secret', "x" x 32, 0600);
--- store: key_secret file:$TEST_NGINX_SERVER_ROOT/secret; key_secret file:$TEST_NGINX_SERVER_ROOT/secret;
--- must_die
--- error_log
" of "key_secret" in mtd_redis is duplicate; it must be file:PATH of a file that holds it in

=== TEST 46: connect_timeout soon
--- store

connect_timeout soon;
--- must_die
--- error_log
"soon" of "connect_timeout" in mtd_redis is invalid; it must be a time above zero, such as 200ms, 10s, 10m, 4h or 30d in

=== TEST 47: connect_timeout 0
--- store

connect_timeout 0;
--- must_die
--- error_log
"0" of "connect_timeout" in mtd_redis is invalid; it must be a time above zero, such as 200ms, 10s, 10m, 4h or 30d in

=== TEST 48: timeout soon
--- store

timeout soon;
--- must_die
--- error_log
"soon" of "timeout" in mtd_redis is invalid; it must be a time above zero, such as 200ms, 10s, 10m, 4h or 30d in

=== TEST 49: timeout 0
--- store

timeout 0;
--- must_die
--- error_log
"0" of "timeout" in mtd_redis is invalid; it must be a time above zero, such as 200ms, 10s, 10m, 4h or 30d in

=== TEST 50: fresh soon
--- store

fresh soon;
--- must_die
--- error_log
"soon" of "fresh" in mtd_redis is invalid; it must be a time above zero, such as 200ms, 10s, 10m, 4h or 30d in

=== TEST 51: fresh 0
--- store

fresh 0;
--- must_die
--- error_log
"0" of "fresh" in mtd_redis is invalid; it must be a time above zero, such as 200ms, 10s, 10m, 4h or 30d in

=== TEST 52: unknown soon
--- store

unknown soon;
--- must_die
--- error_log
"soon" of "unknown" in mtd_redis is invalid; it must be a time above zero, such as 200ms, 10s, 10m, 4h or 30d in

=== TEST 53: unknown 0
--- store

unknown 0;
--- must_die
--- error_log
"0" of "unknown" in mtd_redis is invalid; it must be a time above zero, such as 200ms, 10s, 10m, 4h or 30d in

=== TEST 54: stale soon
--- store

stale soon;
--- must_die
--- error_log
"soon" of "stale" in mtd_redis is invalid; it must be a time above zero, such as 200ms, 10s, 10m, 4h or 30d in

=== TEST 55: stale 0
--- store

stale 0;
--- must_die
--- error_log
"0" of "stale" in mtd_redis is invalid; it must be a time above zero, such as 200ms, 10s, 10m, 4h or 30d in

=== TEST 56: ttl soon
--- store

ttl soon;
--- must_die
--- error_log
"soon" of "ttl" in mtd_redis is invalid; it must be a time above zero in whole seconds, such as 10s, 4h or 30d in

=== TEST 57: ttl 0
--- store

ttl 0;
--- must_die
--- error_log
"0" of "ttl" in mtd_redis is invalid; it must be a time above zero in whole seconds, such as 10s, 4h or 30d in

=== TEST 58: an ssl that is neither on nor off
--- store: ssl yes;
--- must_die
--- error_log
"yes" of "ssl" in mtd_redis is invalid; it must be on or off in

=== TEST 59: TLS without a word on whom to trust
--- store: ssl on;
--- must_die
--- error_log
mtd_redis "r" verifies its server and needs "ssl_trusted_certificate", a file of the CAs that may have signed its certificate in

=== TEST 60: parameters of TLS without TLS
--- store: ssl_name redis.test;
--- must_die
--- error_log
mtd_redis "r" has parameters of TLS, but no "ssl on" in

=== TEST 61: a switch of TLS without TLS
--- store: ssl_verify off;
--- must_die
--- error_log
mtd_redis "r" has parameters of TLS, but no "ssl on" in

=== TEST 62: a certificate without a key
--- store: ssl on; ssl_verify off; ssl_certificate gate.pem;
--- must_die
--- error_log
mtd_redis "r" must have both of "ssl_certificate" and "ssl_certificate_key", or none in

=== TEST 63: a key without a certificate
--- store: ssl on; ssl_verify off; ssl_certificate_key gate.key;
--- must_die
--- error_log
mtd_redis "r" must have both of "ssl_certificate" and "ssl_certificate_key", or none in

=== TEST 64: an ssl_verify that is neither on nor off
--- store: ssl on; ssl_verify optional;
--- must_die
--- error_log
"optional" of "ssl_verify" in mtd_redis is invalid; it must be on or off in

=== TEST 65: ssl twice
--- store: ssl on; ssl on;
--- must_die
--- error_log
"on" of "ssl" in mtd_redis is duplicate; it must be on or off in

=== TEST 66: CAs that are not there
--- store: ssl on; ssl_name x; ssl_trusted_certificate none.pem;
--- must_die
--- error_log
none.pem

=== TEST 67: state without a directory
--- store: state $TEST_NGINX_SERVER_ROOT/none/known;
--- must_die
--- error_log
there is no directory "
none/" for "state" of mtd_redis "r"; it must be there, and belong to the user of the workers in

=== TEST 68: the directory of state is open to everybody
--- post_setup_server_root
chmod 0777, "$Test::Nginx::Util::ServRoot/html" or die $!;
--- store: state $TEST_NGINX_SERVER_ROOT/html/known;
--- must_die
--- error_log
html/", the directory of "state" of mtd_redis "r", is open to everybody, who could put a file there: chmod o-w it in

=== TEST 69: state is a directory
--- store: state $TEST_NGINX_SERVER_ROOT/html;
--- must_die
--- error_log
html", the "state" of mtd_redis "r", is no file; it must be one that the gate alone writes in

=== TEST 70: two stores with one state
--- store: state $TEST_NGINX_SERVER_ROOT/known;
--- http: mtd_redis s { server 127.0.0.1:1; state $TEST_NGINX_SERVER_ROOT/known; }
--- must_die
--- error_log
known" is the "state" of mtd_redis "r" and "s"; each must have a file of its own in

=== TEST 71: state twice
--- store

server unix:$TEST_NGINX_REDIS;
state $TEST_NGINX_SERVER_ROOT/a;
state $TEST_NGINX_SERVER_ROOT/a;
--- must_die
--- error_log
a" of "state" in mtd_redis is duplicate; it must be the path of a file, without spaces in

=== TEST 72: an empty state
--- store: state "";
--- must_die
--- error_log
"" of "state" in mtd_redis is empty; it must be the path of a file, without spaces in

=== TEST 73: a state with a space
--- store: state "a b";
--- must_die
--- error_log
"a b" of "state" in mtd_redis is invalid; it must be the path of a file, without spaces in

=== TEST 74: a preload that is neither on nor off
--- store: preload lazy;
--- must_die
--- error_log
"lazy" of "preload" in mtd_redis is invalid; it must be on or off in

=== TEST 75: preload twice
--- store: preload on; preload on;
--- must_die
--- error_log
"on" of "preload" in mtd_redis is duplicate; it must be on or off in

=== TEST 76: a state where the other is written first
--- store: state $TEST_NGINX_SERVER_ROOT/known;
--- http: mtd_redis s { server 127.0.0.1:1; state $TEST_NGINX_SERVER_ROOT/known.tmp; }
--- must_die
--- error_log
"state" of mtd_redis "r" and "s" differ by ".tmp" only, which is where the file is written first; give one another name in

=== TEST 77: ... in the other order
--- store: state $TEST_NGINX_SERVER_ROOT/known.tmp;
--- http: mtd_redis s { server 127.0.0.1:1; state $TEST_NGINX_SERVER_ROOT/known; }
--- must_die
--- error_log
"state" of mtd_redis "r" and "s" differ by ".tmp" only, which is where the file is written first; give one another name in
