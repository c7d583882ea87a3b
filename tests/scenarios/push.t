#!/usr/bin/perl

# A change in redis is enforced by every worker: none of many is missed, also
# not while the connection that tells of them is down.

use strict;
use warnings;

use FindBin;
use IO::Socket::UNIX;
use lib "$FindBin::Bin/../lib";
use Gate;
use Test::More;
use Time::HiRes qw(time);

use constant { CHANGES => $ENV{MTD_CHANGES} || 2000, KILLS => 50,
               DEVICES => 100 };

redis_start(sub { device("d$_") for 0 .. DEVICES - 1 });

gate(http => <<"END");
access_log off;
error_log $dir/logs/error.log crit;
mtd_redis r { server unix:$dir/redis.sock; zone 1m; timeout 10s; fresh 1h; }
mtd_policy p { }
server {
    listen unix:$dir/gate.sock;
    mtd p; mtd_profile generic; mtd_identify value;
    mtd_value \$arg_device kind=serial;
    add_header X-Is "\$mtd_decision \$mtd_reason" always;
    add_header X-Lookup "\$mtd_lookup" always;
    add_header X-Pid \$pid always;
    location / { empty_gif; }
    location = /status { mtd_status; }
}
END

ok(wait_for(sub { trusted('r') == 2 }), 'both workers hear of changes');

my %links = per_worker();
my @pids = sort keys %links;

is(scalar @pids, 2, 'there are connections to both workers');

# each device is known, and believed for an hour

my %now = map { ("d$_" => 'secured') } 0 .. DEVICES - 1;

for my $device (sort keys %now) {
    told($_, $device) for @pids;
}

is(scalar(grep { told($pids[$_ % 2], "d$_") eq 'allow secured_enough HIT' }
               0 .. DEVICES - 1), DEVICES, 'each device is known');

# changes, one after the other

my (@ms, $missed);

for my $n (1 .. CHANGES) {
    my ($device, $expected) = change($n);
    my $start = time;

    for my $pid ($n % 2 ? @pids : reverse @pids) {
        my $ms = enforced($pid, $device, $expected, $start);
        defined $ms ? push @ms, $ms : $missed++;
    }
}

is($missed || 0, 0, CHANGES . ' changes, none is missed by a worker');
is(scalar @ms, 2 * CHANGES, '... and each was seen by both');

@ms = sort { $a <=> $b } @ms;
diag(sprintf 'from the write to the decision: p50 %.2f, p99 %.2f, max %.2f'
     . ' ms', @ms[$#ms * 0.5, $#ms * 0.99, $#ms]);

# changes while nobody is told

my ($killed, $late, $longest) = (0, 0, 0);

$missed = 0;

for my $n (1 .. KILLS) {
    ok(wait_for(sub { trusted('r') == 2 }), 'both workers hear of changes')
        or last if $n % 10 == 1;

    # known and believed, so that only a push, or its absence, can change it

    my $device = 'd' . $n % DEVICES;

    redis('HSET', "mtd:device:$device", 'threat', 'secured');
    wait_for(sub { told($_, $device) =~ /^allow \S+ HIT/ }) or $missed++
        for @pids;

    $killed += redis('CLIENT', 'KILL', 'TYPE', 'pubsub');
    redis('HSET', "mtd:device:$device", 'threat', 'highSeverity');
    $now{$device} = 'highSeverity';

    my $start = time;

    for my $pid (@pids) {
        my $ms = enforced($pid, $device, 'remediate threat_level', $start);

        $missed++ if !defined $ms;
        $late++ if defined $ms && $ms > 1000;
        $longest = $ms if defined $ms && $ms > $longest;
    }

    # and it stays so

    $missed++ if grep { told($_, $device) !~ /^remediate/ } @pids;
}

cmp_ok($killed, '>=', KILLS, 'connections were killed');
is($missed, 0, '... no change was missed for that');
is($late, 0, '... or believed for more than a second');
diag(sprintf '%d killed, longest %.1f ms', $killed, $longest);

ok(wait_for(sub { trusted('r') == 2 }), 'both workers hear of changes again');

my $wrong = 0;

for my $device (sort keys %now) {
    my $expected = $now{$device} eq 'secured' ? 'allow' : 'remediate';

    $wrong += grep { told($_, $device) !~ /^$expected / } @pids;
}

is($wrong, 0, 'in the end all is as redis has it');
is(alerts(), '', 'nothing is wrong');

done_testing();


sub request {
    my ($link, $device) = @_;

    return ask($link, "GET /x?device=$device HTTP/1.1\r\n"
                      . "Host: mail.example.com\r\n\r\n");
}


sub told {
    my ($pid, $device) = @_;
    my $answer = request($links{$pid}, $device) or die 'no answer';

    return "$answer->{'x-is'} $answer->{'x-lookup'}";
}


# acknowledged by redis when it returns

sub change {
    my ($n) = @_;
    my $device = 'd' . ($n * 7) % DEVICES;
    my $threat = $now{$device} eq 'secured' ? 'highSeverity' : 'secured';

    $now{$device} = $threat;
    redis('HSET', "mtd:device:$device", 'threat', $threat);

    return ($device, $threat eq 'secured' ? 'allow secured_enough'
                                          : 'remediate threat_level');
}


# milliseconds, or nothing if that never comes

sub enforced {
    my ($pid, $device, $expected, $start) = @_;

    return wait_for(sub {
        return told($pid, $device) =~ /^$expected / && 1000 * (time - $start);
    });
}
