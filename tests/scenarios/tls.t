#!/usr/bin/perl

# A redis that speaks TLS and knows its clients by certificate: the gate and
# mtdctl, and a server, or a client, that is not who it should be.

use strict;
use warnings;

use FindBin;
use IO::Select;
use IO::Socket::INET;
use IO::Socket::UNIX;
use lib "$FindBin::Bin/../lib";
use Gate qw(:DEFAULT told);
use POSIX ();
use Servers qw(child);
use Test::More;

my $top = "$FindBin::Bin/../..";
my $mtdctl = $ENV{MTDCTL} || "$top/build/tools/mtdctl";
my ($redis, $port);
our $owner = $$;

END {
    my $status = $?;
    kill KILL => $redis if $redis && $$ == $main::owner;
    $? = $status;
}

certificate('ca', '/CN=ca');
certificate('other-ca', '/CN=other');
certificate('redis', '/CN=x', 'ca', 'DNS:redis.test,IP:127.0.0.1');
certificate('misnamed', '/CN=127.0.0.1', 'ca', 'DNS:elsewhere.test');
certificate('gate', '/CN=gate', 'ca');

redis_tls('redis');


# mtdctl writes, the gate reads and is told of changes

my @login = ('--cert', "$dir/gate.crt", '--key', "$dir/gate.key");
my @ca = ('--cacert', "$dir/ca.crt");

is(ctl(@ca, @login, qw(device set good alias=serial:good threat=secured
                       compliance=compliant)), '', 'mtdctl writes');
like(ctl(@ca, @login, qw(device get serial:good)), qr/secured/, '... reads');

spew("$dir/rows.csv", "id,threat,compliance,alias:serial\n"
     . join '', map { "row$_,secured,compliant,row$_\n" } 1 .. 2000);
like(ctl(@ca, @login, 'import', "$dir/rows.csv"), qr/2000/, '... imports');

my $gate = "ssl on; ssl_trusted_certificate $dir/ca.crt; "
           . "ssl_certificate $dir/gate.crt; "
           . "ssl_certificate_key $dir/gate.key;";

gate(http => http($gate));
is(told('good'), 'allow secured_enough MISS', 'the gate asks with TLS');
ok(wait_for(sub { status()->{stores}{r}{push} eq 'up' }), '... and is told');
ok(wait_for(sub { told('good') eq 'allow secured_enough HIT' }),
   '... and believes');

is(ctl(@ca, @login, qw(device set good threat=highSeverity)), '',
   'the device is a threat');
ok(wait_for(sub { told('good') =~ /^remediate threat_level/ }, 1),
   '... and out');

# larger than a buffer and a TLS record, in both ways

is(total(client_rows(), ' 200 allow secured_enough'), 2000,
   'two thousand devices at once');


# redis goes and comes back

redis_kill();
ok(wait_for(sub { status()->{stores}{r}{data} ne 'up' }), 'redis is gone');
ok(wait_for(sub { told('row1') eq 'allow stale_allowed STALE' }),
   'what was known serves');
redis_tls('redis');
ok(wait_for(sub { status()->{stores}{r}{data} eq 'up' }), '... and is back');


# one that takes nothing for a moment, and more is written than a socket holds

my $slow = IO::Socket::UNIX->new(Local => "$dir/slow.sock", Listen => 8)
    or die $!;
chmod 0777, "$dir/slow.sock";
my $relay = child(\&relay);

gate_reload(http => http("$gate ssl_name redis.test;")
                    =~ s/server \S+ zone 4m; (.*) timeout 2s/server unix:$dir\/slow.sock; zone 3m; $1 timeout 30s/r);
ok(wait_for(sub { trusted('r') == 2 }), 'there is a relay');

my $asked = lookups();
my $long = 'x' x 100;

kill STOP => $relay;

my @waiting = map {
    my $link = IO::Socket::UNIX->new("$dir/gate.sock") or die $!;
    syswrite $link, "GET /x?device=$long$_ HTTP/1.0\r\n\r\n";
    $link;
} 1 .. 600;

ok(wait_for(sub { lookups() >= $asked + 600 }), '... that has come to a halt');
kill CONT => $relay;

is(scalar(grep { (readline($_) // '') =~ / 403 / } @waiting), 600,
   '... and whoever waited for it has an answer');


# who is not who it should be

for (
    [ 'another CA', qr/unable to get (?:local )?issuer|self.signed/,
      "ssl on; ssl_trusted_certificate $dir/other-ca.crt;"
      . "ssl_certificate $dir/gate.crt; ssl_certificate_key $dir/gate.key;" ],
    [ 'another name', qr/for another name/, "$gate ssl_name other.test;" ],
    [ 'another address', qr/for another address/, "$gate ssl_name 10.0.0.1;" ],
    [ 'no client certificate', qr/unavailable/,
      "ssl on; ssl_trusted_certificate $dir/ca.crt;" ],
) {
    my ($name, $log, $conf) = @$_;

    refused($name, $log, $conf);
}

redis_kill();
redis_tls('misnamed');
refused('the common name is not asked', qr/for another address/, $gate);

fresh_gate("$gate ssl_name elsewhere.test;");
ok(told('good') =~ / MISS$/, 'a name of its own');

fresh_gate("$gate ssl_verify off;");
ok(told('good') =~ / MISS$/, 'who does not verify gets any');


# mtdctl is as careful

like(ctl(@ca, @login, qw(device list)), qr/not trusted: (?:IP|hostname)/i,
     'mtdctl: another address');
like(ctl('--cacert', "$dir/other-ca.crt", @login, '--sni', 'elsewhere.test',
         qw(device list)), qr/not trusted: /, 'mtdctl: another CA');
unlike(ctl(@ca, @login, '--sni', 'elsewhere.test', qw(device list)),
       qr/^mtdctl:/, 'mtdctl: a name of its own');
unlike(ctl('--insecure', @login, qw(device list)), qr/^mtdctl:/,
       'mtdctl: --insecure');
like(ctl(@ca, '--sni', 'elsewhere.test', qw(device list)),
     qr/^mtdctl: Redis at .*TLS: .*certificate/m, 'mtdctl: no certificate');
like(ctl('--cacert', "$dir/none", @login, qw(device list)),
     qr/--cacert: no certificates can be read/, 'mtdctl: no file');
like(ctl(@ca, '--cert', "$dir/ca.crt", qw(device list)),
     qr/--cert and --key belong together/, 'mtdctl: a half');
like(ctl(@ca, '--cert', "$dir/gate.crt", '--key', "$dir/ca.key",
         qw(device list)), qr/--key: no key of the certificate/,
     'mtdctl: another key');
like(qx($mtdctl --cacert x device list 2>&1), qr/of no use without --tls/,
     'mtdctl: no --tls');

# a server that does not know TLS

my $plain = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 8);
my $silent = '127.0.0.1:' . $plain->sockport;

like(qx($mtdctl --tls --cacert $dir/ca.crt --timeout 1s --redis $silent device list 2>&1),
     qr/no answer in 1 seconds/, 'mtdctl: silence');

is(alerts(), '', 'nothing is wrong');

done_testing();


sub http {
    my ($ssl) = @_;

    return gated("server 127.0.0.1:$port; zone 4m; fresh 1h; timeout 2s; $ssl");
}


sub lookups { return status()->{stores}{r}{counters}{lookups} }


# what comes at slow.sock goes on to redis

sub relay {
    my $select = IO::Select->new($slow);
    my %other;

    for (;;) {
        for my $from ($select->can_read) {
            if ($from == $slow) {
                my $client = $slow->accept or next;
                my $server = IO::Socket::INET->new("127.0.0.1:$port") or die $!;

                @other{$client, $server} = ($server, $client);
                $select->add($client, $server);

            } elsif (my $to = $other{$from}) {
                my ($n, $at) = (sysread($from, my $text, 65536), 0);

                $at += syswrite($to, $text, $n - $at, $at) || $n
                    while $n && $at < $n;

                if (!$n) {
                    $select->remove($from, $to);
                    delete @other{$from, $to};
                    close $_ for $from, $to;
                }
            }
        }
    }
}


# a zone of another size is a new one

my $fresh = 0;

sub fresh_gate {
    my ($ssl) = @_;

    $fresh++;
    gate_reload(http => http($ssl) =~ s/zone 4m/zone ${\ (4 + $fresh)}m/r);
}


sub refused {
    my ($name, $log, $conf) = @_;
    my $before = length error_log();

    fresh_gate($conf);
    is(told('good'), 'block store_unavailable ERROR', $name);
    like(substr(error_log(), $before), $log, '... the log says so');
}


sub client_rows {
    spew("$dir/lines", join '', map { "$_\t/x?device=row$_\n" } 1 .. 2000);
    return client('gate', '-c', 64, '-n', 2000, '-f', "$dir/lines", '-k',
                  'X-Is');
}


sub ctl {
    my $pid = open my $out, '-|' // die $!;

    if ($pid == 0) {
        open STDERR, '>&', \*STDOUT;
        exec $mtdctl, '--tls', '--redis', "127.0.0.1:$port", @_
            or POSIX::_exit(127);
    }

    local $/;
    my $text = <$out> // '';
    close $out;

    return $text;
}


sub certificate {
    my ($name, $subject, $ca, $san) = @_;
    my $sign = $ca ? "-CA $dir/$ca.crt -CAkey $dir/$ca.key"
                   : '-addext basicConstraints=critical,CA:TRUE';

    $sign .= " -addext subjectAltName=$san" if $san;

    system("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256"
           . " -nodes -days 2 -subj $subject -keyout $dir/$name.key"
           . " -out $dir/$name.crt $sign 2>$dir/openssl.err") == 0
        or die slurp("$dir/openssl.err");
}


sub redis_tls {
    my ($name) = @_;
    my $at = $port || do {
        my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
                                           Listen => 1) or die $!;
        $listen->sockport;
    };

    $redis = fork() // die "fork: $!";

    if ($redis == 0) {
        open STDOUT, '>', "$dir/tls.out";
        exec 'redis-server', '--port', 0, '--tls-port', $at, '--bind',
             '127.0.0.1', '--tls-cert-file', "$dir/$name.crt",
             '--tls-key-file', "$dir/$name.key", '--tls-ca-cert-file',
             "$dir/ca.crt", '--dir', $dir, '--dbfilename', 'tls.rdb',
             '--save', '3600 1'
            or POSIX::_exit(1);
    }

    $port = $at;

    wait_for(sub { qx(redis-cli --tls --cacert $dir/ca.crt --cert $dir/gate.crt --key $dir/gate.key --insecure -p $port PING 2>&1)
                   =~ /PONG/ }) or die slurp("$dir/tls.out");
}


# with its data written, for the next one

sub redis_kill {
    kill TERM => $redis;
    waitpid $redis, 0;
    $redis = undef;
}
