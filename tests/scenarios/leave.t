#!/usr/bin/perl

# Clients that leave while redis is asked, which it answers late, while the
# server behind is waited for, while a change ends what is open: others that
# stay have the right answers, and nothing is left of those who left.
# MTD_CHAOS=1 is the long form.

use strict;
use warnings;

use FindBin;
use IO::Select;
use IO::Socket::INET;
use IO::Socket::UNIX;
use lib "$FindBin::Bin/../lib";
use Gate;
use Servers qw(child port);
use Socket qw(SOL_SOCKET SO_LINGER IPPROTO_TCP TCP_NODELAY);
use Test::More;

use constant { CLIENTS => 4, REQUESTS => chaos(2_000, 250_000) };

redis_start(sub {
    device("good$_") for 0 .. 99;
    device("bad$_", threat => 'highSeverity') for 0 .. 99;
});

# one that takes connections and never answers

my $silent = IO::Socket::UNIX->new(Local => "$dir/silent.sock", Listen => 4096)
    or die $!;
chmod 0777, "$dir/silent.sock";

my ($one, $two) = (port(), port());

gate(connections => 8192, http => http());
ok(wait_for(sub { trusted('r') == 2 }), 'both workers hear of changes');

my @workers = workers();
my $before = descriptors();


# redis answers late, now and then, and tells of changes all the time

my $busy = child(sub {
    my $n = 0;

    for (;;) {
        redis('DEBUG', 'SLEEP', 0.02);
        redis('HSET', "mtd:device:good$_", os => 'os' . $n++) for 0 .. 99;
        redis('HSET', 'mtd:device:turn', threat => $n % 2 ? 'secured'
                                                          : 'highSeverity');
    }
});
redis('SET', 'mtd:alias:serial:turn', 'turn');
redis('HSET', 'mtd:device:turn', compliance => 'compliant');

my @clients = map { my $n = $_; child(sub { leaves($n) }) } 1 .. CLIENTS;
my %sum;

for my $pid (@clients) {
    waitpid $pid, 0;
    ok($? == 0, 'a client has come to its end') or diag($?);
}

for (map { split /\n/, slurp("$dir/client.$_") } 1 .. CLIENTS) {
    my ($name, $n) = /^(\w+) (\d+)$/ or next;
    $sum{$name} += $n;
}

kill KILL => $busy;
waitpid $busy, 0;

is($sum{wrong} // 0, 0, 'who stayed had the right answer')
    or diag(grep { /^wrong:/ } map { slurp("$dir/client.$_") } 1 .. CLIENTS);
cmp_ok($sum{left}, '>', CLIENTS * REQUESTS / 3, 'many have left');
cmp_ok($sum{right}, '>', CLIENTS * REQUESTS / 10, '... and many have not');
is(join(' ', sort { $a <=> $b } workers()),
   join(' ', sort { $a <=> $b } @workers), 'the workers are the same');

# what waits for a server that is silent ends when that is gone

close $silent;
unlink "$dir/silent.sock";

ok(wait_for(sub { descriptors() <= $before }, 60), 'no descriptor is left')
    or diag("$before before, " . descriptors());

for my $n (0 .. 99) {
    my ($good, $bad) = map { get("/x?device=$_$n") } qw(good bad);

    $sum{odd}++ if $good->{status} ne '200' || $bad->{status} ne '403';
}

is($sum{odd} // 0, 0, 'all are decided as redis has it');
is(alerts(), '', 'nothing is wrong');

diag("$sum{left} have left, $sum{right} have been answered");

done_testing();


sub http {
    my $servers = '';

    for ([$one, 'generic', 'value', 'mtd_value $arg_device kind=serial;'],
         [$two, 'exchange', 'eas', ''])
    {
        my ($port, $profile, $hook, $value) = @$_;

        $servers .= <<"END";
server {
    listen 127.0.0.1:$port backlog=4096;
    listen unix:$dir/$hook.sock;
    mtd p; mtd_profile $profile; mtd_identify $hook;
    $value
    add_header X-Is "\$mtd_decision \$mtd_reason" always;
    location / { empty_gif; error_page 405 =200 /x; }
    location /wait { proxy_read_timeout 1h; proxy_pass http://unix:$dir/silent.sock; }
    location /Microsoft-Server-ActiveSync {
        proxy_pass http://unix:$dir/silent.sock; proxy_read_timeout 1h;
    }
}
END
    }

    return <<"END";
access_log off;
mtd_redis r { server unix:$dir/redis.sock; zone 1m; timeout 30s; fresh 1s; }
mtd_policy p { }
$servers
server {
    listen unix:$dir/gate.sock;
    mtd p; mtd_profile generic; mtd_identify value;
    mtd_value \$arg_device kind=serial;
    location / { empty_gif; }
    location = /status { mtd_status; }
}
END
}


# sockets and all else that the workers have open

sub descriptors {
    my $n = 0;

    $n += () = glob "/proc/$_/fd/*" for @workers;
    return $n;
}


sub leaves {
    my ($seed) = @_;
    my (%n, @notes) = (left => 0, right => 0, wrong => 0);

    srand $seed;

    for (1 .. REQUESTS) {
        my ($port, $text, $right) = request();
        my $link = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                         PeerPort => $port) or next;

        setsockopt $link, IPPROTO_TCP, TCP_NODELAY, 1;

        if (!$right || rand() < 0.6) {

            # a part, or all and then some time; most by a reset

            my $len = rand() < 0.5 ? length $text : int rand length $text;

            syswrite $link, $text, $len;
            select undef, undef, undef, rand 0.004 if rand() < 0.3;
            setsockopt $link, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0
                if rand() < 0.8;
            close $link;
            $n{left}++;
            next;
        }

        # in two parts

        my $len = int rand length $text;

        syswrite $link, $text, $len;
        syswrite $link, substr $text, $len;

        my ($all, $select) = ('', IO::Select->new($link));

        while ($select->can_read(30)) {
            sysread $link, $all, 65536, length $all or last;
        }

        if ($all =~ $right) {
            $n{right}++;

        } else {
            $n{wrong}++;
            push @notes, "wrong: $text $all\n" if @notes < 3;
        }
    }

    spew("$dir/client.$seed", join '', map({ "$_ $n{$_}\n" } keys %n), @notes);
}


# a request, and its answer if it has one; a third is for ids never heard of

sub request {
    my $kind = int rand 8;
    my $n = int rand 100;
    my $close = "Host: mail.example.com\r\nConnection: close\r\n\r\n";
    my $random = sprintf 'r%x', int rand 2 ** 40;

    return ($one, "GET /x?device=good$n HTTP/1.1\r\n$close",
            qr/^HTTP\/1.1 200 .*X-Is: allow secured_enough/s) if $kind == 0;
    return ($one, "GET /x?device=bad$n HTTP/1.1\r\n$close",
            qr/^HTTP\/1.1 403 .*X-Is: remediate threat_level/s) if $kind == 1;
    return ($one, "GET /x?device=$random HTTP/1.1\r\n$close",
            qr/^HTTP\/1.1 403 .*X-Is: block unknown_device/s) if $kind < 4;
    return ($one, "GET /wait?device=good$n HTTP/1.1\r\n$close", undef)
        if $kind == 4;
    return ($one, "GET /wait?device=turn HTTP/1.1\r\n$close", undef)
        if $kind == 5;

    my $eas = sub {
        my ($id, $body) = @_;
        return "POST /Microsoft-Server-ActiveSync?Cmd=Sync&User=u&DeviceId=$id"
            . "&DeviceType=t HTTP/1.1\r\nMS-ASProtocolVersion: 16.1\r\n"
            . 'Content-Length: ' . length($body) . "\r\n$close$body";
    };

    return ($two, $eas->("bad$n", 'x' x rand 5000),
            qr/^HTTP\/1.1 \d+ .*X-Is: remediate threat_level/s) if $kind == 6;
    return ($two, $eas->("good$n", 'x' x rand 5000), undef);
}
