#!/usr/bin/perl

# A change in redis is enforced by every worker: none of many is missed, also
# not while the connection that tells of them is down.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Gate qw(:DEFAULT told);
use Test::More;
use Time::HiRes qw(time);

use constant DEVICES => 100;

my $changes = $ENV{MTD_CHANGES} || chaos(5000, 100_000);
my $kills = $ENV{MTD_KILLS} || chaos(50, 1000);

redis_start(sub { device("d$_") for 0 .. DEVICES - 1 });

my $more = "access_log off; error_log $dir/logs/error.log crit;"
           . " keepalive_timeout 1h;\n";

gate(http => $more . gated("server unix:$dir/redis.sock; zone 1m; timeout 10s;"
                           . ' fresh 1h;'));

ok(wait_for(sub { trusted('r') == 2 }), 'both workers hear of changes');

my %links = per_worker();
my @pids = sort keys %links;

is(scalar @pids, 2, 'there are connections to both workers');

# each device is known, and believed for an hour

my %now = map { ("d$_" => 'secured') } 0 .. DEVICES - 1;

for my $device (sort keys %now) {
    told($device, $links{$_}) for @pids;
}

is(scalar(grep { told("d$_", $links{ $pids[$_ % 2] })
                 eq 'allow secured_enough HIT' } 0 .. DEVICES - 1), DEVICES,
   'each device is known');

# changes, one after the other, under load

spew("$dir/lines", join '', map { "-\t/x?device=d$_\n" } 0 .. DEVICES - 1);
client_start(load => 'gate', '-c', 16, '-q', 2000, '-f', "$dir/lines", '-k',
             'X-Is');

Gate::start(probe => Gate::tool('probe'), "$dir/redis.sock", "$dir/gate.sock",
            $changes, DEVICES);

my $probe = figures('probe', 3600);
my $load = client_stop('load');

is($probe->{writes}, $changes, "$changes changes");
is($probe->{missed}, 0, '... and none is missed by a worker');
is($load->{lost} + $load->{unanswered}, 0, '... under load');
is(total($load, ' 200 allow secured_enough$')
   + total($load, ' 403 remediate threat_level$'), $load->{answered},
   '... that is answered by one or the other') or diag(explain($load));

diag("from before the write to the decision of both: p50 $probe->{p50},"
     . " p99 $probe->{p99}, p99.9 $probe->{p999}, max $probe->{max} ms,"
     . " $probe->{missed} of $changes missed");
diag(sprintf 'meanwhile %.0f requests/s besides the %.0f/s that ask for it',
     1000 * $load->{answered} / $load->{ms},
     1000 * $probe->{asked} / $probe->{ms});

# what the probe has left

$now{"d$_"} = int(($changes - 1 - $_) / DEVICES) % 2 ? 'secured'
                                                     : 'highSeverity'
    for 0 .. DEVICES - 1;

# changes while nobody is told

my ($killed, $missed, $late, $longest) = (0, 0, 0, 0);

for my $n (1 .. $kills) {
    ok(wait_for(sub { trusted('r') == 2 }), 'both workers hear of changes')
        or last if $n % 10 == 1;

    # known and believed, so that only a push, or its absence, can change it

    my $device = 'd' . $n % DEVICES;

    redis('HSET', "mtd:device:$device", 'threat', 'secured');
    wait_for(sub { told($device, $links{$_}) =~ /^allow \S+ HIT/ }) or $missed++
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

    $missed++ if grep { told($device, $links{$_}) !~ /^remediate/ } @pids;
}

cmp_ok($killed, '>=', $kills, 'connections were killed');
is($missed, 0, '... no change was missed for that');
is($late, 0, '... or believed for more than a second');
diag(sprintf '%d killed, longest %.1f ms', $killed, $longest);

ok(wait_for(sub { trusted('r') == 2 }), 'both workers hear of changes again');

my $wrong = 0;

for my $device (sort keys %now) {
    my $expected = $now{$device} eq 'secured' ? 'allow' : 'remediate';

    $wrong += grep { told($device, $links{$_}) !~ /^$expected / } @pids;
}

is($wrong, 0, 'in the end all is as redis has it');
is(alerts(), '', 'nothing is wrong');

done_testing();


# milliseconds, or nothing if that never comes

sub enforced {
    my ($pid, $device, $expected, $start) = @_;

    return wait_for(sub {
        return told($device, $links{$pid}) =~ /^$expected /
               && 1000 * (time - $start);
    });
}
