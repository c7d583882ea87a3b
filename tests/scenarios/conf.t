#!/usr/bin/perl

# The configurations of conf/ as an admin would use them: nginx takes them,
# and with the users of redis.acl the gate has all the rights that it needs
# and no others.  What is written in them is changed in addresses, paths and
# passwords only.

use strict;
use warnings;

use FindBin;
use File::Temp qw(tempdir);
use IO::Socket::INET;
use Test::More;
use Time::HiRes qw(sleep time);

use constant DEVICE => '7f3d2c10-58b4-4e0a-9c61-2a8f40d5e1b7';

my $top = "$FindBin::Bin/../..";
my $module = "$top/build/ngx_http_mtd_module.so";
my $mtdctl = $ENV{MTDCTL} || "$top/build/tools/mtdctl";
my $nginx = qx(sh -c 'command -v nginx') || '/usr/sbin/nginx';

chomp $nginx;

my $dir = tempdir(CLEANUP => 1);
my %pid;

$SIG{INT} = $SIG{TERM} = sub { exit 1 };

END {
    my $status = $?;

    for my $pid (values %pid) {
        kill TERM => $pid;
        waitpid $pid, 0;
    }

    $? = $status;
}

# workers of root are somebody else

chmod 0755, $dir;
mkdir "$dir/$_" for qw(conf.d temp);

my ($exchange, $status) = ports(2);
my $sharepoint = $exchange;
my $socket = "$dir/redis.sock";
my %password = map { $_ => sprintf '%s-%08x%08x', $_, rand 2**32, rand 2**32 }
    qw(gate mtdctl);

certificates();
configurations();


# nginx takes each alone, and both

for my $set ([qw(mtd exchange)], [qw(mtd sharepoint)],
             [qw(exchange mtd sharepoint)], [qw(graduated mtd exchange)])
{
    my $out = qx("$nginx" -t -p "$dir" -e stderr -c "@{[main(@$set)]}" 2>&1);

    is($?, 0, "nginx takes @$set") or diag($out);
    unlike($out, qr/\[(?:warn|error|emerg|alert)\]/, '... without a word');
}


# without the gate's user, and with it

start_redis();

my $gate = main(qw(graduated exchange mtd sharepoint), 'backend');

start(nginx => $nginx, '-p', $dir, '-e', "$dir/error.log", '-c', $gate,
      '-g', 'daemon off;');

ok(wait_for(sub { workers() == 2 }), 'both workers hear of changes')
    or diag(slurp("$dir/error.log"));

my $alias = 'eas:ApplTEST0001';

set("alias=$alias", 'enrolled=mdm', 'threat=secured', 'compliance=compliant',
    'vendor=lookout', 'reported_at=now');

is(eas('ApplTEST0001'), '200 backend', 'a secure phone passes');
is(eas('ApplTEST0001', '-u', 'anna:x'), '200 backend Basic YW5uYTp4',
   '... with Basic');
is(eas('ApplTEST0001', '-H', 'Authorization: NTLM TlRMTVNTUAAB'),
   '200 backend', '... without NTLM');
is(eas('ApplTEST0001', '-H', 'Authorization: negotiate TlRMTVNTUAAB'),
   '200 backend', '... also where Negotiate has it inside');
is(eas('ApplTEST0001', '-H', 'Authorization: negotiate YII'),
   '200 backend negotiate YII', '... with Kerberos');

set('threat=highSeverity', 'vendor=lookout', 'reported_at=now');

like(eas('ApplTEST0001'), qr/^200 .*129/, 'a threat is obeyed');
like(eas('ApplTEST0002'), qr/^200 .*129/, 'a strange phone is refused');
is(request($sharepoint, 'sharepoint.example.com', '/sites/team'), '403 ',
   'SharePoint asks for a device');

# the log tells neither device nor user

my $log = slurp("$dir/mtd.log");

like($log, qr/"reason":"threat_level"/, 'the log says why');
unlike($log, qr/appltest|anna/i, '... and not who');


# of another name, or of none, nobody is a client; ports that are shared stay as
# the servers have them

for (['another name', '-servername', 'evil.example'],
     ['... that looks alike', '-servername', 'mail.example.com.evil.example'],
     ['no name', '-noservername'])
{
    my ($what, @options) = @$_;

    like(tls(@options), qr/unrecognized name/, "$what is refused");
    unlike(tls(@options), qr/BEGIN CERTIFICATE|CN *= *test/,
           '... no certificate is shown');
}

for my $host (qw(mail autodiscover sharepoint onedrive)) {
    my @name = ('-servername', "$host.example.com");

    like(tls(@name), qr/^New, TLSv1\.3,/m, "$host is served");
    like(tls(@name, '-tls1_2'), qr/^New, TLSv1\.2,/m, '... in TLS 1.2');
    like(tls(@name, '-tls1_1', '-cipher', 'ALL:@SECLEVEL=0'),
         qr/alert protocol version/, '... not in TLS 1.1');

    for my $version ('-tls1_2', '-tls1_3') {
        tls(@name, $version, '-sess_out', "$dir/session");
        like(tls(@name, $version, '-sess_in', "$dir/session"), qr/^Reused, /m,
             "... a session of $version is resumed");
    }
}

my ($attack) = slurp("$top/tests/corpus/attacks.tsv")
    =~ /^INJ-007\t[^\t]*\t([^\t]*)/m;

for my $name (qw(mail sharepoint)) {
    like(tls('-servername', "$name.example.com", \$attack),
         qr{^HTTP/1\.1 421 (?!.*^Location)}ms, "by the name of $name, INJ-007");
}

unlike(slurp("$dir/mtd.log"), qr/"host":"[^"]*evil[^}]*"decision":"[^"]/,
       'and the gate is not asked');

is(qx(curl -s -m 5 http://127.0.0.1:$status/mtd/health), "serving\n",
   'a balancer asks elsewhere');


# break glass

mtdctl('bypass', '5m', '--why', 'test');
ok(wait_for(sub { eas('ApplTEST0002') eq '200 backend' }),
   'a bypass lets a strange phone pass');
mtdctl('bypass', 'status');
mtdctl('bypass', 'end');
ok(wait_for(sub { eas('ApplTEST0002') =~ /^200 .*129/ }), 'and ends');


# what has no device: the load balancer, other servers, and Autodiscover

my %servers = (
    monitor => [ $exchange, 'mail', '/OWA/HealthCheck.htm',
                 '/microsoft-server-activesync/healthcheck.htm',
                 '/rpc/healthcheck.htm', '/mapi/healthcheck.htm',
                 '/autodiscover/healthcheck.htm' ],
    hybrid => [ $exchange, 'mail', '/EWS/mrsproxy.svc',
                '/ews/Exchange.asmx/WSSecurity/x',
                '/autodiscover/autodiscover.svc/wssecurity',
                '/autodiscover/metadata/json/1' ],
    wopi => [ $sharepoint, 'sharepoint', '/_vti_bin/wopi.ashx/files/1',
              '/sites/a/b/_VTI_BIN/Wopi.ashx/files/1' ],
    trust => [ $sharepoint, 'sharepoint', '/_layouts/15/metadata/json/1',
               '/sites/a/_layouts/16/metadata/json/1' ]
);

is_deeply([servers()], ['403 ', 0], 'no server comes from here');

reload($_, 's/allow  192\.0\.2\.\d+/allow  127.0.0.1/g')
    for qw(exchange sharepoint);

is_deeply([servers()], ['200 backend', 0], 'they do from where they are');

like(request($sharepoint, 'sharepoint.example.com', "/_api/web/f('"
             . "/_vti_bin/wopi.ashx/x')"), qr/^403 .*Unauthorized/,
     'no path that looks alike');

my %limited = (200 => 0, 503 => 0);

for (1 .. 60) {
    my ($code) = request($exchange, 'autodiscover.example.com',
        '/Autodiscover/Autodiscover.xml', '-d', 'x') =~ /^(\d+)/;

    $limited{$code}++;
}

cmp_ok($limited{200}, '>=', 21, "Autodiscover is open: $limited{200} times");
cmp_ok($limited{503}, '>', 0, "... and no more than that: $limited{503} not");


# exemptions: this machine as a server, and its service account

reload('mtd', 's/10\.30\.0\.5/127.0.0.1/');

is(eas('ApplTEST0002', '-u', 'svc-crm:x'), '200 backend Basic c3ZjLWNybTp4',
   'a service account on its server is exempt');
like(eas('ApplTEST0002', '-u', 'anna:x'), qr/^200 .*129/,
   'others on that server are not');

reload('mtd', 's/(127\.0\.0\.1\/32\s+)servers;/$1rooms;/');

is(eas('ApplTEST0002'), '200 backend', 'a room system is exempt');


# graduated: less for a medium threat

reload('mtd', 's/127\.0\.0\.1\/32/10.30.0.5\/32/',
       's/default     phones;/default     \$gate_graduated;/');

set("alias=intune:@{[DEVICE]}", 'threat=mediumSeverity', 'vendor=lookout',
    'reported_at=now');

my @cert = ('--cert', "$dir/device.crt", '--key', "$dir/device.key");
my @pages = (
    'GET' => '200 backend', 'HEAD' => '200 ', 'PROPFIND' => '200 backend',
    'OPTIONS' => '200 backend', 'POST' => '403', 'PUT' => '403',
    'DELETE' => '403', 'MOVE' => '403', 'LOCK' => '403', 'PROPPATCH' => '403'
);

is(command('Sync'), '200 backend', 'Sync passes');
is(command('Ping'), '200 backend', 'Ping passes');
is(command('FolderSync'), '200 backend', 'FolderSync passes');
like(command('ItemOperations'), qr/^200 .*129/, 'ItemOperations does not');
like(command('Search'), qr/^200 .*129/, 'nor Search');
like(command('SmartForward'), qr/^200 .*129/, 'nor SmartForward');
is(command('GetAttachment'), '403 ', 'nor GetAttachment');

for my $path ('/sites/a/b.docx', '/_api/web') {
    my @list = @pages;

    while (my ($method, $answer) = splice @list, 0, 2) {
        next if $path eq '/_api/web' && $method =~ /^(?:PROP|MOVE|LOCK)/;

        like(sharepoint($path, $method eq 'HEAD' ? '-I' : ('-X', $method)),
             qr/^\Q$answer\E/, "$method $path: $answer");
    }
}

like(sharepoint('/_api/web', '-X', 'POST', '-H', 'X-HTTP-Method: MERGE'),
     qr/^403/, 'nor a method in the header');
like(sharepoint('/_api/web', '-H', 'X-HTTP-Method: DELETE'), qr/^403/,
     '... whatever the first line says');
like(sharepoint('/_vti_bin/client.svc/ProcessQuery', '-X', 'POST'),
     qr/^200 .*UnauthorizedAccess/, 'nor CSOM');
like(sharepoint('/_vti_bin/lists.asmx'), qr/^403/, 'nor SOAP');

is(owa('/owa/'), '200 backend', 'OWA can be read');
is(owa('/owa/service.svc?action=GetItem&ID=1'), '200 backend', '... an item');
like(owa($_), qr/^403/, "... not $_")
    for '/owa/service.svc/s/GetFileAttachment?id=x',
        '/owa/service.svc?action=GetAttachment',
        '/owa/service.svc?action=%47etAttachment',
        '/owa/service.svc?x=1&action=GetItem', '/owa/attachment.ashx?id=x';
is(owa('/owa/service.svc?action=GetItem', '-H', 'Action: GetItem'),
   '200 backend', '... an item that a header asks for, too');
like(owa($_, '-H', 'Action: GetAttachment'), qr/^403/, "... not $_ with that")
    for '/owa/service.svc?action=GetItem', '/owa/service.svc';
like(request($exchange, 'mail.example.com', '/ews/exchange.asmx', @cert, '-d',
             'x'), qr/^500 .*ErrorAccessDenied/, 'EWS as a whole is closed');

set('threat=lowSeverity', 'vendor=lookout', 'reported_at=now');
is(command('ItemOperations'), '200 backend', 'a low threat has all');

set('threat=highSeverity', 'vendor=lookout', 'reported_at=now');
like(command('Sync'), qr/^200 .*129/, 'a high one nothing');


# a device that is known by its protected app only

set('enrolled=app', 'threat=secured', 'compliance=noncompliant',
    'vendor=lookout', 'reported_at=now');
is(command('Sync'), '200 backend', 'the threat of an app\'s device counts');

set('threat=lowSeverity', 'vendor=lookout', 'reported_at=now');
like(command('Sync'), qr/^200 .*129/, '... by a policy of its own');

for my $action (qw(block wipe)) {
    set("action=$action", 'threat=secured', 'vendor=lookout',
        'reported_at=now');
    like(command('Sync'), qr/^200 .*129/, "$action is obeyed");
    like(sharepoint('/sites/a'), qr/^403/, '... everywhere');
}

like(slurp("$dir/mtd.log"), qr/"reason":"$_",[^}]*"policy":"apps"/,
     "$_ by that policy") for qw(threat_level admin_block wipe_pending);
like(slurp("$dir/mtd.log"), qr/"reason":"secured_enough",[^}]*"policy":"$_"/,
     "allowed by $_") for qw(limited apps phones);


# the gate has asked for nothing that it may not have

is(redis(undef, 'ACL', 'LOG'), '', 'no user was refused anything');

for my $no (['SET', 'mtd:device:x', 1], ['GET', 'other'], ['GET', 'mtd:other'],
            ['HSET', 'mtd:device:x', 'threat', 'secured'], ['KEYS', '*'],
            ['DEL', 'mtd:device:x'], ['FLUSHALL'], ['CONFIG', 'GET', '*'],
            ['EVAL', 'return 1', 0], ['PUBLISH', '__redis__:invalidate', 'x'],
            ['SUBSCRIBE', 'other'], ['CLIENT', 'LIST'], ['SCAN', 0],
            ['CLIENT', 'KILL', 'TYPE', 'normal'], ['MONITOR'])
{
    like(redis('gate', @$no), qr/^(?:NOPERM|ERR)/, "gate may not @$no");
}

for my $no (['GET', 'other'], ['FLUSHALL'], ['EVAL', 'return 1', 0],
            ['CONFIG', 'GET', '*'], ['PUBLISH', '__redis__:invalidate', 'x'])
{
    like(redis('mtdctl', @$no), qr/^NOPERM/, "mtdctl may not @$no");
}

like(qx(redis-cli -s "$socket" --user default --pass x PING 2>&1),
     qr/WRONGPASS/, 'the default user is off');

done_testing();


sub ports {
    my ($n) = @_;

    my @listen = map { IO::Socket::INET->new(Listen => 1,
        LocalAddr => '127.0.0.1') or die "listen: $!" } 1 .. $n;

    return map { $_->sockport() } @listen;
}


sub certificates {
    my $names = join ',', map { "DNS:$_.example.com" }
        qw(mail autodiscover sharepoint onedrive);

    system('openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256'
           . " -nodes -days 2 -batch -subj /CN=test -addext"
           . " subjectAltName=$names -keyout $dir/exchange.key"
           . " -out $dir/exchange.crt 2>$dir/openssl.err") == 0
        or die slurp("$dir/openssl.err");

    spew("$dir/device.ext", 'subjectAltName=URI:IntuneDeviceId://' . DEVICE);

    system('openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'
           . " -batch -subj /CN=device -keyout $dir/device.key"
           . " -out $dir/device.csr 2>$dir/openssl.err && openssl x509 -req"
           . " -in $dir/device.csr -CA $dir/exchange.crt"
           . " -CAkey $dir/exchange.key -set_serial 7 -days 2"
           . " -extfile $dir/device.ext -out $dir/device.crt"
           . " 2>>$dir/openssl.err") == 0
        or die slurp("$dir/openssl.err");

    link "$dir/exchange.key", "$dir/sharepoint.key" or die $!;
    link "$dir/exchange.crt", "$dir/$_.crt" or die $!
        for qw(sharepoint devices-ca backend-ca);
}


sub configurations {
    for my $name (qw(mtd exchange sharepoint graduated)) {
        my $text = slurp("$top/conf/$name.conf");
        $text =~ s{/etc/nginx/mtd/}{$dir/}g;
        $text =~ s{/var/log/nginx/}{$dir/}g;
        $text =~ s{127\.0\.0\.1:6379}{unix:$socket};
        $text =~ s{listen 127\.0\.0\.1:8090}{listen 127.0.0.1:$status};
        $text =~ s{listen 443 ssl}{listen 127.0.0.1:$exchange ssl};
        $text =~ s{server 192\.0\.2\.10:443}{server unix:$dir/backend.sock};
        $text =~ s{server 192\.0\.2\.20:443}{server unix:$dir/backend.sock};
        $text =~ s{^\s*server 192\.0\.2\.\d+:443;\n}{}gm;

        spew("$dir/conf.d/$name.conf", $text);
    }

    spew("$dir/conf.d/backend.conf", <<"BACKEND");
server {
    listen unix:$dir/backend.sock ssl;
    ssl_certificate $dir/exchange.crt;
    ssl_certificate_key $dir/exchange.key;
    access_log off;

    if (\$http_connection != "close") {
        return 500 "kept alive";
    }

    if (\$http_host !~ "^(?:mail|autodiscover|sharepoint)\\.example\\.com\$") {
        return 500 "host";
    }

    set \$both "\$http_host\$http_front_end_https";

    if (\$both !~ "^(?:sh.*On|[^s].*com)\$") {
        return 500 "https";
    }

    location / {
        return 200 "backend \$http_authorization";
    }
}
BACKEND

    spew("$dir/redis.password", "$password{gate}\n");
    spew("$dir/mtdctl.password", "$password{mtdctl}\n");
    chmod 0600, "$dir/redis.password", "$dir/mtdctl.password";
}


# the name of a main configuration with these files

sub main {
    my @temp = map { "${_}_temp_path $dir/temp/$_;" }
        qw(client_body proxy fastcgi uwsgi scgi);

    spew("$dir/nginx.conf", <<"MAIN");
load_module $module;
worker_processes 2;
pid $dir/nginx.pid;
error_log $dir/error.log;
events {
}
http {
    @temp
    @{[map { "include $dir/conf.d/$_.conf;" } @_]}
}
MAIN

    return "$dir/nginx.conf";
}


sub start_redis {
    my $acl = slurp("$top/conf/redis.acl");

    $acl =~ s/CHANGE-THE-PASSWORD-OF-\U$_/$password{$_}/
        or die "no password of $_ in redis.acl" for qw(gate mtdctl);

    spew("$dir/mtd.acl", $acl);
    spew("$dir/redis.conf", <<"REDIS");
port 0
unixsocket $socket
unixsocketperm 777
dir $dir
save ""
include $dir/mtd.acl
user test on nopass ~* &* +\@all
REDIS

    start(redis => 'redis-server', "$dir/redis.conf");

    wait_for(sub { -S $socket && redis(undef, 'PING') eq 'PONG' })
        or die slurp("$dir/redis.log");
}


sub start {
    my ($name, @command) = @_;

    my $pid = fork() // die "fork: $!";

    if ($pid == 0) {
        open STDOUT, '>', "$dir/$name.log";
        open STDERR, '>&', \*STDOUT;
        exec @command or exit 127;
    }

    $pid{$name} = $pid;
}


sub reload {
    my ($name, @changes) = @_;

    my $text = slurp("$dir/conf.d/$name.conf");
    my %old = map { $_ => 1 } pids();

    for my $change (@changes) {
        eval "\$text =~ $change" or die "no such text: $change";
    }

    spew("$dir/conf.d/$name.conf", $text);
    kill HUP => $pid{nginx};

    wait_for(sub { workers() == 2 && !grep { $old{$_} } pids() })
        or die 'the reload has no effect: ' . slurp("$dir/error.log");
}


sub wait_for {
    my ($test) = @_;
    my $end = time + 10;

    while (time < $end) {
        return 1 if $test->();
        sleep 0.02;
    }

    return 0;
}


# some of the workers, of which one may take all of these connections

sub states {
    return map { qx(curl -s -m 5 http://127.0.0.1:$status/mtd/status) }
        1 .. 12;
}


sub pids {
    return map { /"pid":(\d+)/ ? $1 : () } states();
}


# how many have redis tell them of changes, as redis sees it

sub workers {
    return 0 if grep { !/"trusted":true/ } states();

    my @tracking = grep { /\buser=gate\b/ && /\bflags=\w*t/ }
        split /\n/, redis(undef, 'CLIENT', 'LIST');

    return scalar @tracking;
}


sub set { mtdctl('device', 'set', DEVICE, @_) }


sub mtdctl {
    my @out = qx("$mtdctl" --redis "unix:$socket" --user mtdctl \\
                 --password-file "$dir/mtdctl.password" @_ 2>&1);

    is($?, 0, "mtdctl may: $_[0] $_[1]") or diag(@out);
}


sub redis {
    my ($user, @command) = @_;

    local $ENV{REDISCLI_AUTH} = $user ? $password{$user} : 'x';

    $user //= 'test';

    open my $out, '-|', 'timeout', '5', 'redis-cli', '-s', $socket, '--user',
        $user, @command or die $!;

    local $/;
    my $text = <$out> // '';
    close $out;

    $text =~ s/\s+$//;
    return $text;
}


sub request {
    my ($port, $host, $path, @options) = @_;

    open my $in, '-|', 'curl', '-s', '-m', '5', '--cacert',
        "$dir/exchange.crt", '--resolve', "$host:$port:127.0.0.1",
        '-H', "Host: $host", '-w', '\n%{http_code}', @options,
        "https://$host:$port$path" or die $!;

    local $/;
    my $text = <$in>;
    close $in;

    my ($body, $code) = $text =~ /^(.*)\n(\d+)$/s;

    $body =~ s/[^ -~]//g;
    $body = '' if $body =~ /^<html>/;
    $body =~ s/ $//;

    return "$code $body";
}


# what openssl has to say of a connection, and the answer to a request on it,
# which is written as in the corpus

sub tls {
    my (@options) = @_;
    my ($request) = map { $$_ } grep { ref } @options,
                                             \'HEAD / HTTP/1.0\r\n\r\n';

    open my $out, '-|', 'sh', '-c', 'printf %b "$0" |'
        . ' timeout 5 openssl s_client -ign_eof "$@" 2>&1', $request,
        '-connect', "127.0.0.1:$exchange", grep { !ref } @options or die $!;

    local $/;
    return scalar <$out>;
}


sub eas {
    my ($id, @options) = @_;

    return request($exchange, 'mail.example.com',
        "/Microsoft-Server-ActiveSync?Cmd=Sync&User=anna&DeviceId=$id"
        . '&DeviceType=iPhone', '-X', 'POST', '-H',
        'MS-ASProtocolVersion: 16.1', @options);
}


sub command {
    my ($command) = @_;

    return request($exchange, 'mail.example.com',
        "/Microsoft-Server-ActiveSync?Cmd=$command&User=anna"
        . '&DeviceId=ApplTEST0001&DeviceType=iPhone', '-X', 'POST', '-H',
        'MS-ASProtocolVersion: 16.1');
}


sub owa {
    my ($path, @options) = @_;
    return request($exchange, 'mail.example.com', $path, @cert, @options);
}


sub sharepoint {
    my ($path, @options) = @_;
    return request($sharepoint, 'sharepoint.example.com', $path, @cert,
                   @options);
}


# the answer that all paths of servers get, and how many get another

sub servers {
    my %answers;

    for my $list (values %servers) {
        my ($port, $host, @paths) = @$list;

        $answers{ request($port, "$host.example.com", $_) }++ for @paths;
    }

    my ($most) = sort { $answers{$b} <=> $answers{$a} } keys %answers;
    delete $answers{$most};

    return ($most, scalar keys %answers);
}


sub slurp {
    my ($file) = @_;

    open my $in, '<', $file or return '';
    local $/;
    return scalar(<$in>) // '';
}


sub spew {
    my ($file, $text) = @_;

    open my $out, '>', $file or die "$file: $!";
    print $out $text;
    close $out or die "$file: $!";
}
