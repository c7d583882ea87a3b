use lib 't/lib';
use Test::Nginx::Socket 'no_plan';
use MTD;

# where the servers of mtd_redis are: what is not taken

run_tests();

__DATA__

=== TEST 1: no server
--- http: mtd_redis s { }
--- must_die
--- error_log
mtd_redis "s" has no "server", and no "sentinel" that knows where it is in

=== TEST 2: several servers
--- http: mtd_redis s { server a:1; server b:1; }
--- must_die
--- error_log
mtd_redis "s" has more than one "server", but no "cluster on" in

=== TEST 3: server and sentinel
--- http: mtd_redis s { server 127.0.0.1:1; sentinel m 127.0.0.1:2; }
--- must_die
--- error_log
mtd_redis "s" has both "server" and "sentinel", but the Sentinels tell where its server is in

=== TEST 4: a sentinel without an address
--- http: mtd_redis s { sentinel m; }
--- must_die
--- error_log
"sentinel" in mtd_redis takes two values or more: the master's name and the host:port of each Sentinel in

=== TEST 5: a sentinel without anything
--- http: mtd_redis s { sentinel; }
--- must_die
--- error_log
"sentinel" in mtd_redis takes two values or more: the master's name and

=== TEST 6: sentinel twice
--- http: mtd_redis s { sentinel m 127.0.0.1:1; sentinel n 127.0.0.1:1; }
--- must_die
--- error_log
"n" of "sentinel" in mtd_redis is duplicate; it must be the master's name and the host:port of each Sentinel in

=== TEST 7: the same Sentinel twice
--- http: mtd_redis s { sentinel m 127.0.0.1:1 127.0.0.1:2 127.0.0.1:1; }
--- must_die
--- error_log
"127.0.0.1:1" of "sentinel" in mtd_redis is duplicate; it must be the master's name

=== TEST 8: an empty name of the master
--- http: mtd_redis s { sentinel "" 127.0.0.1:1; }
--- must_die
--- error_log
"" of "sentinel" in mtd_redis is empty; it must be the master's name

=== TEST 9: a space in the name of the master
--- http: mtd_redis s { sentinel "a b" 127.0.0.1:1; }
--- must_die
--- error_log
"a b" of "sentinel" in mtd_redis is invalid; it must be the master's name

=== TEST 10: a Sentinel with no port
--- http: mtd_redis s { sentinel m 127.0.0.1:port; }
--- must_die
--- error_log
invalid sentinel "127.0.0.1:port" in mtd_redis "s": invalid port; it must be host:port or unix:path in

=== TEST 11: a Sentinel that nobody knows
--- http: mtd_redis s { sentinel m no.such.host.invalid:1; }
--- gate: mtd p store=s; mtd_profile generic; mtd_identify value; mtd_value $http_x_device kind=serial;
--- must_die
--- error_log
sentinel "no.such.host.invalid:1" of mtd_redis "s" cannot be resolved: host not found; with a "resolver" in http {} it is looked up at run time

=== TEST 12: many Sentinels
--- http: mtd_redis s { sentinel m 127.0.0.1:1 127.0.0.1:2 127.0.0.1:3 127.0.0.1:4 127.0.0.1:5 127.0.0.1:6 127.0.0.1:7 127.0.0.1:8 127.0.0.1:9 127.0.0.1:10 127.0.0.1:11 127.0.0.1:12 127.0.0.1:13 127.0.0.1:14 127.0.0.1:15 127.0.0.1:16 127.0.0.1:17; }
--- must_die
--- error_log
mtd_redis "s" has more than 16 Sentinels in

=== TEST 13: a login for no Sentinel
--- http: mtd_redis s { server 127.0.0.1:1; sentinel_user u; }
--- must_die
--- error_log
mtd_redis "s" has a login for Sentinels, but no "sentinel" in

=== TEST 14: a user for Sentinels without a password
--- http: mtd_redis s { sentinel m 127.0.0.1:1; sentinel_user u; }
--- must_die
--- error_log
mtd_redis "s" has a "sentinel_user" but no "sentinel_password" in

=== TEST 15: sentinel_user twice
--- http: mtd_redis s { sentinel_user u; sentinel_user u; }
--- must_die
--- error_log
"u" of "sentinel_user" in mtd_redis is duplicate; it must be printable characters without spaces in

=== TEST 16: a password of Sentinels in the configuration
--- http: mtd_redis s { sentinel_password hunter2; }
--- must_die
--- error_log
"sentinel_password" must be file:PATH of a file that holds the secret, which does not belong here in

=== TEST 17: read from anything
--- http: mtd_redis s { read any; }
--- must_die
--- error_log
"any" of "read" in mtd_redis is invalid; it must be master or replica in

=== TEST 18: read twice
--- http: mtd_redis s { read master; read master; }
--- must_die
--- error_log
"master" of "read" in mtd_redis is duplicate; it must be master or replica in

=== TEST 19: read from a replica of nobody knows whom
--- http: mtd_redis s { server 127.0.0.1:1; read replica; }
--- must_die
--- error_log
mtd_redis "s" has "read replica", but no "sentinel" that knows its replicas; "server" may be one in

=== TEST 20: sentinel_password twice
--- post_setup_server_root: MTD::write_file('secret', "x" x 32, 0600);
--- http: mtd_redis s { sentinel_password file:$TEST_NGINX_SERVER_ROOT/secret; sentinel_password file:$TEST_NGINX_SERVER_ROOT/secret; }
--- must_die
--- error_log
" of "sentinel_password" in mtd_redis is duplicate; it must be file:PATH of a file that holds it in

=== TEST 21: Sentinels that are not there: nginx starts
--- http: mtd_redis s { sentinel m 127.0.0.1:1 unix:/none; read replica; connect_timeout 100ms; }
--- gate: mtd p store=s; mtd_profile generic; mtd_identify value; mtd_value $http_x_device kind=serial;
--- request
GET /x
--- more_headers
X-Device: d1
--- error_code: 503
--- response_headers
X-Is: block store_unavailable
--- error_log
redis m is unavailable (data): no Sentinel tells where it is
redis 127.0.0.1:1 is unavailable (sentinel)
redis unix:/none is unavailable (sentinel)

=== TEST 22: cluster and sentinel
--- http: mtd_redis s { cluster on; sentinel m 127.0.0.1:1; }
--- must_die
--- error_log
mtd_redis "s" has both "sentinel" and "cluster on", but a cluster does without Sentinels in

=== TEST 23: a cluster with a database
--- http: mtd_redis s { cluster on; server 127.0.0.1:1; database 1; }
--- must_die
--- error_log
mtd_redis "s" has a "database", but a cluster has database 0 only in

=== TEST 24: a cluster's replicas
--- http: mtd_redis s { cluster on; server 127.0.0.1:1; read replica; }
--- must_die
--- error_log
mtd_redis "s" has both "cluster on" and "read replica", but in a cluster masters are read in

=== TEST 25: a cluster without a server
--- http: mtd_redis s { cluster on; }
--- must_die
--- error_log
mtd_redis "s" has no "server", and no "sentinel" that knows where it is in

=== TEST 26: a cluster that is neither on nor off
--- http: mtd_redis s { cluster yes; }
--- must_die
--- error_log
"yes" of "cluster" in mtd_redis is invalid; it must be on or off in

=== TEST 27: cluster twice
--- http: mtd_redis s { cluster on; cluster on; }
--- must_die
--- error_log
"on" of "cluster" in mtd_redis is duplicate; it must be on or off in

=== TEST 28: the same server of a cluster twice
--- http: mtd_redis s { cluster on; server a:1; server b:1; server a:1; }
--- must_die
--- error_log
"a:1" of "server" in mtd_redis is duplicate; it must be host:port or unix:path in

=== TEST 29: an invalid server of a cluster
--- http: mtd_redis s { cluster on; server 127.0.0.1:1; server 127.0.0.1:x; }
--- must_die
--- error_log
invalid server "127.0.0.1:x" in mtd_redis "s": invalid port; it must be host:port or unix:path in

=== TEST 30: many servers of a cluster
--- http: mtd_redis s { cluster on; server 127.0.0.1:1; server 127.0.0.1:2; server 127.0.0.1:3; server 127.0.0.1:4; server 127.0.0.1:5; server 127.0.0.1:6; server 127.0.0.1:7; server 127.0.0.1:8; server 127.0.0.1:9; server 127.0.0.1:10; server 127.0.0.1:11; server 127.0.0.1:12; server 127.0.0.1:13; server 127.0.0.1:14; server 127.0.0.1:15; server 127.0.0.1:16; server 127.0.0.1:17; server 127.0.0.1:18; server 127.0.0.1:19; server 127.0.0.1:20; server 127.0.0.1:21; server 127.0.0.1:22; server 127.0.0.1:23; server 127.0.0.1:24; server 127.0.0.1:25; server 127.0.0.1:26; server 127.0.0.1:27; server 127.0.0.1:28; server 127.0.0.1:29; server 127.0.0.1:30; server 127.0.0.1:31; server 127.0.0.1:32; server 127.0.0.1:33; server 127.0.0.1:34; server 127.0.0.1:35; server 127.0.0.1:36; server 127.0.0.1:37; server 127.0.0.1:38; server 127.0.0.1:39; server 127.0.0.1:40; server 127.0.0.1:41; server 127.0.0.1:42; server 127.0.0.1:43; server 127.0.0.1:44; server 127.0.0.1:45; server 127.0.0.1:46; server 127.0.0.1:47; server 127.0.0.1:48; server 127.0.0.1:49; server 127.0.0.1:50; server 127.0.0.1:51; server 127.0.0.1:52; server 127.0.0.1:53; server 127.0.0.1:54; server 127.0.0.1:55; server 127.0.0.1:56; server 127.0.0.1:57; server 127.0.0.1:58; server 127.0.0.1:59; server 127.0.0.1:60; server 127.0.0.1:61; server 127.0.0.1:62; server 127.0.0.1:63; server 127.0.0.1:64; server 127.0.0.1:65; server 127.0.0.1:66; server 127.0.0.1:67; server 127.0.0.1:68; server 127.0.0.1:69; server 127.0.0.1:70; server 127.0.0.1:71; server 127.0.0.1:72; server 127.0.0.1:73; server 127.0.0.1:74; server 127.0.0.1:75; server 127.0.0.1:76; server 127.0.0.1:77; server 127.0.0.1:78; server 127.0.0.1:79; server 127.0.0.1:80; server 127.0.0.1:81; server 127.0.0.1:82; server 127.0.0.1:83; server 127.0.0.1:84; server 127.0.0.1:85; server 127.0.0.1:86; server 127.0.0.1:87; server 127.0.0.1:88; server 127.0.0.1:89; server 127.0.0.1:90; server 127.0.0.1:91; server 127.0.0.1:92; server 127.0.0.1:93; server 127.0.0.1:94; server 127.0.0.1:95; server 127.0.0.1:96; server 127.0.0.1:97; server 127.0.0.1:98; server 127.0.0.1:99; server 127.0.0.1:100; server 127.0.0.1:101; server 127.0.0.1:102; server 127.0.0.1:103; server 127.0.0.1:104; server 127.0.0.1:105; server 127.0.0.1:106; server 127.0.0.1:107; server 127.0.0.1:108; server 127.0.0.1:109; server 127.0.0.1:110; server 127.0.0.1:111; server 127.0.0.1:112; server 127.0.0.1:113; server 127.0.0.1:114; server 127.0.0.1:115; server 127.0.0.1:116; server 127.0.0.1:117; server 127.0.0.1:118; server 127.0.0.1:119; server 127.0.0.1:120; server 127.0.0.1:121; server 127.0.0.1:122; server 127.0.0.1:123; server 127.0.0.1:124; server 127.0.0.1:125; server 127.0.0.1:126; server 127.0.0.1:127; server 127.0.0.1:128; server 127.0.0.1:129; server 127.0.0.1:130; server 127.0.0.1:131; server 127.0.0.1:132; server 127.0.0.1:133; server 127.0.0.1:134; server 127.0.0.1:135; server 127.0.0.1:136; server 127.0.0.1:137; server 127.0.0.1:138; server 127.0.0.1:139; server 127.0.0.1:140; server 127.0.0.1:141; server 127.0.0.1:142; server 127.0.0.1:143; server 127.0.0.1:144; server 127.0.0.1:145; server 127.0.0.1:146; server 127.0.0.1:147; server 127.0.0.1:148; server 127.0.0.1:149; server 127.0.0.1:150; server 127.0.0.1:151; server 127.0.0.1:152; server 127.0.0.1:153; server 127.0.0.1:154; server 127.0.0.1:155; server 127.0.0.1:156; server 127.0.0.1:157; server 127.0.0.1:158; server 127.0.0.1:159; server 127.0.0.1:160; server 127.0.0.1:161; server 127.0.0.1:162; server 127.0.0.1:163; server 127.0.0.1:164; server 127.0.0.1:165; server 127.0.0.1:166; server 127.0.0.1:167; server 127.0.0.1:168; server 127.0.0.1:169; server 127.0.0.1:170; server 127.0.0.1:171; server 127.0.0.1:172; server 127.0.0.1:173; server 127.0.0.1:174; server 127.0.0.1:175; server 127.0.0.1:176; server 127.0.0.1:177; server 127.0.0.1:178; server 127.0.0.1:179; server 127.0.0.1:180; server 127.0.0.1:181; server 127.0.0.1:182; server 127.0.0.1:183; server 127.0.0.1:184; server 127.0.0.1:185; server 127.0.0.1:186; server 127.0.0.1:187; server 127.0.0.1:188; server 127.0.0.1:189; server 127.0.0.1:190; server 127.0.0.1:191; server 127.0.0.1:192; server 127.0.0.1:193; server 127.0.0.1:194; server 127.0.0.1:195; server 127.0.0.1:196; server 127.0.0.1:197; server 127.0.0.1:198; server 127.0.0.1:199; server 127.0.0.1:200; server 127.0.0.1:201; server 127.0.0.1:202; server 127.0.0.1:203; server 127.0.0.1:204; server 127.0.0.1:205; server 127.0.0.1:206; server 127.0.0.1:207; server 127.0.0.1:208; server 127.0.0.1:209; server 127.0.0.1:210; server 127.0.0.1:211; server 127.0.0.1:212; server 127.0.0.1:213; server 127.0.0.1:214; server 127.0.0.1:215; server 127.0.0.1:216; server 127.0.0.1:217; server 127.0.0.1:218; server 127.0.0.1:219; server 127.0.0.1:220; server 127.0.0.1:221; server 127.0.0.1:222; server 127.0.0.1:223; server 127.0.0.1:224; server 127.0.0.1:225; server 127.0.0.1:226; server 127.0.0.1:227; server 127.0.0.1:228; server 127.0.0.1:229; server 127.0.0.1:230; server 127.0.0.1:231; server 127.0.0.1:232; server 127.0.0.1:233; server 127.0.0.1:234; server 127.0.0.1:235; server 127.0.0.1:236; server 127.0.0.1:237; server 127.0.0.1:238; server 127.0.0.1:239; server 127.0.0.1:240; server 127.0.0.1:241; server 127.0.0.1:242; server 127.0.0.1:243; server 127.0.0.1:244; server 127.0.0.1:245; server 127.0.0.1:246; server 127.0.0.1:247; server 127.0.0.1:248; server 127.0.0.1:249; server 127.0.0.1:250; server 127.0.0.1:251; server 127.0.0.1:252; server 127.0.0.1:253; server 127.0.0.1:254; server 127.0.0.1:255; server 127.0.0.1:256; server 127.0.0.1:257; }
--- must_die
--- error_log
mtd_redis "s" has more than 256 servers in

=== TEST 31: a cluster that is not there: nginx starts
--- http: mtd_redis s { cluster on; server 127.0.0.1:1; server 127.0.0.1:2; connect_timeout 100ms; }
--- gate: mtd p store=s; mtd_profile generic; mtd_identify value; mtd_value $http_x_device kind=serial;
--- request
GET /x
--- more_headers
X-Device: d1
--- error_code: 503
--- response_headers
X-Is: block store_unavailable
--- error_log
redis 127.0.0.1:1,127.0.0.1:2 is unavailable (cluster): nobody tells who has which slots
--- no_error_log
alert

=== TEST 32: a server that is no cluster
--- http: mtd_redis s { cluster on; server unix:$TEST_NGINX_REDIS; }
--- gate: mtd p store=s; mtd_profile generic; mtd_identify value; mtd_value $http_x_device kind=serial;
--- request
GET /x
--- more_headers
X-Device: d1
--- error_code: 503
--- response_headers
X-Is: block store_unavailable
--- error_log
refused CLUSTER INFO: ERR This instance has cluster support disabled

=== TEST 33: a seed that has no name, with TLS
--- post_setup_server_root
certificates();
--- http: mtd_redis s { cluster on; server unix:/no/where; ssl on; ssl_trusted_certificate $TEST_NGINX_CERTS/ca.crt; }
--- must_die
--- error_log
"unix:/no/where" of an mtd_redis with "ssl on" needs "ssl_name", because a socket has no name
