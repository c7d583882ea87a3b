#!/usr/bin/perl

# Open requests of a device that may no longer: long polls, streams, tunnels
# are ended when redis tells of it, in both workers, and only then.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Gate;
use MIME::Base64 qw(encode_base64);
use Sink;
use Test::More;
use Time::HiRes qw(CLOCK_MONOTONIC clock_gettime sleep time);

use constant POLLS => $ENV{MTD_POLLS} || 5000;

my @kinds = qw(hang drip tunnel ping);

redis_start(sub {
    device($_) for @kinds;
    device($_) for qw(good mark moved gone other kept late aged
                             brief sent first second);
});

sink();
gate(gate_conf());
ok(wait_for(sub { trusted('r') == 2 }), 'both workers hear of changes');


# one of each kind, refused in its way

$open{$_} = waits($_, "/$_?device=$_") for qw(hang drip tunnel);
$open{ping} = waits('ping', '/Microsoft-Server-ActiveSync?Cmd=Ping&User=u'
                    . '&DeviceId=ping&DeviceType=t',
                    at => 'mail', method => 'POST',
                    headers => ['MS-ASProtocolVersion: 16.1',
                                'Content-Length: 0']);
$open{good} = waits('good', '/hang?device=good');
$open{kept} = waits('kept', '/kept/hang?device=kept');

is(open_at_sink(), 6, 'all wait for the server behind');

changes($_, threat => 'highSeverity') for qw(hang drip tunnel ping kept);

like(rest('hang'), qr{^HTTP/1.1 403 .*X-Is: remediate threat_level}s,
     'before the headers: the refusal');
like(rest('ping'), qr{^HTTP/1.1 403 .*X-MTD-Reference: [0-9a-f]{16}}s,
     'a Ping: that of ActiveSync');

my $drip = rest('drip');
like($drip, qr{^HTTP/1.1 200 .*\r\n\r\n5\r\ndrip\n\r\n\z}s,
     'after the headers: it breaks off, without the last chunk');
like(rest('tunnel'), qr{^HTTP/1.1 101 .*\r\n\r\nhello\z}s,
     'a tunnel breaks off');

ok(wait_for(sub { open_at_sink() == 2 }), 'the server behind was left');
ok(waiting('good'), 'another device stays');
ok(waiting('kept'), 'with mtd_cut off it stays, too');
like(error_log(), qr/mtd remediate: threat_level, an open request was ended/,
     'it is in the log');
is(counter('cut'), 4, '... and counted');


# what leaves the decision as it was

changes('good', os => 'iOS', threat => 'lowSeverity');
changes('good', reported_at => int(time) . '000');

# what was written later has been heard by whoever has these

$open{"mark$_"} = waits("mark$_", '/hang?device=mark') for 1 .. 6;
changes('mark', threat => 'highSeverity');
like(rest("mark$_"), qr/X-Is: remediate threat_level/, "mark $_") for 1 .. 6;
ok(waiting('good'), 'a change that changes nothing');


# alias and device

$open{moved} = waits('moved', '/hang?device=moved');
redis('SET', 'mtd:alias:serial:moved', 'hang');
like(rest('moved'), qr/X-Is: remediate threat_level/, 'the alias moved');

$open{gone} = waits('gone', '/hang?device=gone');
redis('DEL', 'mtd:device:gone');
like(rest('gone'), qr/X-Is: block unknown_device/, 'the device is gone');

$open{other} = waits('other', '/hang?device=other');
redis('DEL', 'mtd:alias:serial:other');
like(rest('other'), qr/X-Is: block unknown_device/, 'its alias is gone');


# two readings of one id, and a device of each

my $id = 'nine2ec7ec0bb54d';

redis('SET', "mtd:alias:eas:$id", 'first');
redis('SET', 'mtd:alias:eas:' . unpack('H*', $id), 'second');

for my $change (qw(first second)) {
    redis('HSET', "mtd:device:$_", threat => 'secured') for qw(first second);

    my $query = encode_base64(pack('CCvC/aC/aC/a', 161, 18, 0x409, $id, '',
                                   't'), '');

    $open{$change} = waits($change, "/Microsoft-Server-ActiveSync?$query",
                           at => 'mail', method => 'POST',
                           headers => ['Content-Length: 0']);
    sleep 0.5;          # no alias changes, so that none is the reason
    changes($change, threat => 'highSeverity');
    like(rest($change), qr/X-Is: remediate threat_level/, "the $change of two");
}


# time

redis('HSET', 'mtd:device:late', compliance => 'inGracePeriod',
      grace_until => int(time) + 2);
$open{late} = waits('late', '/hang?device=late');
like(rest('late'), qr/X-Is: remediate grace_over/, 'its grace is over');

redis('HSET', 'mtd:device:aged', reported_at => (int(time) - 58) * 1000);
$open{aged} = waits('aged', '/aged/hang?device=aged');
like(rest('aged'), qr/X-Is: remediate threat_stale/, 'its report is old');

# the record expires, and redis does not come across it; aliases of others
# change all the time

redis('DEBUG', 'SET-ACTIVE-EXPIRE', 0);
$open{brief} = waits('brief', '/hang?device=brief');
redis('PEXPIRE', 'mtd:device:brief', 1500);
ok(wait_for(sub { redis('SET', 'mtd:alias:serial:churn', 'good');
                  !waiting('brief') }), 'its record has expired');
like(rest('brief'), qr/X-Is: block unknown_device/, '... and it is refused');
redis('DEBUG', 'SET-ACTIVE-EXPIRE', 1);


# an error page without a gate, and a limit that lets the request wait on its
# way there

for (1 .. 2) {
    $open{"sent$_"} = IO::Socket::UNIX->new("$dir/gate.sock");
    print { $open{"sent$_"} } "GET /sent/?device=sent HTTP/1.1\r\n"
        . "Host: mail.example.com\r\n\r\n";
    $open{"sent$_"}->flush;
}

ok(wait_for(sub { error_log() =~ /delaying request/ }), 'one is delayed');
redis('HSET', 'mtd:device:sent', 'threat', 'highSeverity');
like(rest("sent$_"), qr/^HTTP.*X-Is: allow exempt/s, "page $_") for 1 .. 2;


# redis fails, which is no change; what changed meanwhile is

redis_stop();
ok(wait_for(sub { !grep { $_->{data} ne 'down' } values %{ stores('r') } }),
   'redis is away');
sleep 1.2;
ok(waiting('good'), 'which ends nothing');

# ... also where a device that nobody knows was let in meanwhile, and is known
# to be unknown by the time that changes are told of

$open{nobody} = waits('nobody', '/lax/?device=nobody');
redis_start(sub {
    device('good', threat => 'highSeverity');
    device('kept');
    redis('ACL', 'SETUSER', 'default', '-subscribe');
});
ok(wait_for(sub { get('/lax/?device=nobody', headers => ['X-Sink: answers'])
                  ->{'x-is'} eq 'block unknown_device' }),
   'redis is back, without push');
redis('ACL', 'SETUSER', 'default', '+subscribe');
like(rest('nobody'), qr/X-Is: block unknown_device/,
     'what was let in though nobody knows it is ended');
like(rest('good'), qr/X-Is: remediate threat_level/,
     'back, and it says something else');
ok(waiting('kept'), 'and of the other nothing');


# a worker that is to end still hears

ok(wait_for(sub { trusted('r') == 2 }), 'both workers hear again');
redis('HSET', 'mtd:device:kept', threat => 'secured');
$open{old} = waits('old', '/hang?device=kept');
my @old = gate_reload(gate_conf());
ok(waiting('old'), 'its request goes on');
redis('HSET', 'mtd:device:kept', threat => 'highSeverity');
like(rest('old'), qr/X-Is: remediate threat_level/, '... until the change');
close delete $open{kept};

ok(wait_for(sub { !grep { alive($_) } @old }), 'the old workers end');


# many Pings at once

many();

is(alerts(), '', 'nothing is wrong');

done_testing();


sub many {
    redis_load(devices_of(sub {
        my ($n) = @_;
        (['SET', "mtd:alias:eas:p$n", "p$n"],
         ['HSET', "mtd:device:p$n", qw(threat secured compliance compliant)]);
    }));

    my $before = counter('allow', 'secured_enough');
    my $cut = counter('cut');

    client_start('polls', 'pings', '-c', POLLS, '-n', POLLS, '-m', 'POST',
                 '-t', '/Microsoft-Server-ActiveSync?Cmd=Ping&User=u'
                       . '&DeviceType=t&DeviceId=p',
                 '-H', 'Content-Length: 0', '-H', 'MS-ASProtocolVersion: 16.1',
                 '-k', 'X-Is');
    ok(wait_for(sub { counter('allow', 'secured_enough')
                      >= $before + POLLS }, 60), POLLS . ' Pings are open');

    my @cpu = cpu();

    redis_load(devices_of(sub {
        (['HSET', "mtd:device:p$_[0]", 'threat', 'highSeverity'])
    }));
    my $written = clock_gettime(CLOCK_MONOTONIC);

    ok(wait_for(sub { counter('cut') == $cut + POLLS }, 30), 'all are ended');

    my $polls = client_stop('polls', 1);

    is(total($polls, '403 remediate threat_level'), POLLS, 'each by a refusal');
    diag(sprintf '%d Pings of as many devices: the last was answered %.0f ms'
         . ' after the last write, for %s ms of CPU in the workers', POLLS,
         1000 * ($polls->{last} - $written),
         join ' and ', map { $_ - shift @cpu } cpu());
}


# that each worker has used so far, in ms

sub cpu {
    return map {
        my (undef, @field) = split / /, slurp("/proc/$_/stat") =~ s/.*\)//r;
        10 * ($field[11] + $field[12]);
    } sort(workers());
}


sub devices_of {
    my ($of) = @_;
    my ($n, @todo) = 0;

    return sub {
        @todo = $of->(sprintf '%08d', $n++) if !@todo && $n < POLLS;
        return @todo ? @{ shift @todo } : ();
    };
}


sub gate_conf {
    return connections => 16384, main => 'worker_rlimit_nofile 20000;',
        http => http();
}


sub http {
    my $location = <<'END';
proxy_http_version 1.1; proxy_buffering off; proxy_read_timeout 1h;
proxy_set_header Upgrade $http_upgrade;
proxy_set_header Connection $http_connection;
proxy_pass http://sink;
END

    my $server = <<"END";
    add_header X-Is "\$mtd_decision \$mtd_reason" always;
    mtd_disclose on;
    location / { $location }
END

    return <<"END";
mtd_redis r { server unix:$dir/redis.sock; zone 4m; timeout 10s; fresh 1h; }
mtd_policy p { max_threat low; }
mtd_policy young { max_age 1m; }
mtd_policy lax { store_failure allow; }
limit_req_zone \$host zone=sent:32k rate=1r/s;
upstream sink { server unix:$dir/sink.sock; }
upstream many { server unix:$dir/many1.sock; server unix:$dir/many2.sock; }
server {
    listen unix:$dir/gate.sock backlog=4096;
    mtd p; mtd_profile generic; mtd_identify value;
    mtd_value \$arg_device kind=serial;
    $server
    location /kept/ { mtd_cut off; $location }
    location /aged/ { mtd young; $location }
    location /lax/ { mtd lax; $location }
    location /sent/ { error_page 502 /sent.gif; proxy_pass http://unix:$dir/no.sock; }
    location = /sent.gif { mtd off; limit_req zone=sent burst=2; empty_gif; }
    location = /status { mtd_status; }
}
server {
    listen unix:$dir/mail.sock;
    mtd p; mtd_profile exchange; mtd_identify eas;
    $server
}
server {
    listen unix:$dir/pings.sock backlog=4096;
    mtd p; mtd_profile exchange; mtd_identify eas;
    add_header X-Is "\$mtd_decision \$mtd_reason" always;
    location / { proxy_read_timeout 1h; proxy_pass http://many; }
}
END
}


sub changes {
    my ($device, @fields) = @_;
    redis('HSET', "mtd:device:$device", @fields);
}


sub counter {
    my ($name, $reason) = @_;
    my $store = status()->{stores}{r};

    return $reason ? $store->{reasons}{$reason} : $store->{counters}{$name};
}
