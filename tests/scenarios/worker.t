#!/usr/bin/perl

# Workers are killed while they read and write the zone: nothing hangs, the
# others go on, and in the end each device is decided on as redis has it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Gate;
use Test::More;

use constant { KILLS => $ENV{MTD_KILLS} || chaos(20, 1000), DEVICES => 400 };

my %threat;

redis_start(sub {
    for my $n (0 .. DEVICES - 1) {
        device("d$n");
        $threat{"d$n"} = 'secured';
    }
});

gate(http => gated("server unix:$dir/redis.sock; zone 1m; timeout 10s;",
                   listen => 'backlog=4096'));

spew("$dir/lines", join '', map { "-\t/x?device=d$_\n" } 0 .. DEVICES - 1);

ok(wait_for(\&both), 'both workers hear of changes');

client_start(load => 'gate', '-c', 16, '-d', 4, '-r', '-f', "$dir/lines",
             '-k', 'X-Is');

my $new = 0;
my $again = 0;

for my $kill (1 .. KILLS) {
    my @workers = workers();
    my $victim = $workers[rand @workers];
    my $change = "d" . int rand DEVICES;
    my $before = decided();

    # a time that differs, by what happens and not by the clock

    change() for 1 .. 20 + rand 200;
    wait_for(sub { decided() > $before }) and $again++;
    kill KILL => $victim;
    change() for 1 .. 20;

    $new++ if wait_for(sub {
        my %now = map { $_ => 1 } workers();
        !$now{$victim} && keys %now == 2;
    });
}

is($new, KILLS, 'each that was killed has a successor');
is($again, KILLS, '... and requests went on before each');
ok(wait_for(\&both), 'both workers hear of changes again');

my $load = client_stop('load');

is($load->{unanswered}, 0, 'nothing hangs');
is($load->{lost}, 0, '... or is lost but with its connection');
is(total($load, ' (?:200 allow secured_enough|403 remediate threat_level'
                . '|403 remediate compromised)$'),
   $load->{answered}, 'each answer is one of these two')
    or diag(explain($load->{counts}));

# as redis has it, in both workers

for my $round (1 .. 4) {
    my $wrong = 0;

    for my $id (sort keys %threat) {
        my $answer = get("/x?device=$id");
        my $expected = $threat{$id} eq 'secured' ? '200' : '403';

        $wrong++ if !$answer || $answer->{status} ne $expected;
    }

    is($wrong, 0, "each device is decided on as redis has it, $round");
}

my $store = (values %{ stores('r') })[0];

cmp_ok($store->{zone}{$_}{used}, '<=', DEVICES, "no more $_ than there are")
    for qw(devices aliases);

my $killed = () = error_log() =~ /exited on signal 9/g;

is($killed, KILLS, 'the log tells of these workers');
is(alerts(qr/exited on signal 9\b|shared memory zone "mtd:r:[0-9a-f]+" was locked by/), '',
   '... and nothing else is wrong');

diag("$load->{answered} requests, $load->{retried} of them again because a"
     . " worker was killed; recovered: $store->{counters}{recovered}");

done_testing();


sub both {
    return 2 == grep { $_->{trusted} } values %{ stores('r') };
}


sub change {
    my $id = 'd' . int rand DEVICES;

    $threat{$id} = $threat{$id} eq 'secured' ? 'highSeverity' : 'secured';
    redis('HSET', "mtd:device:$id", 'threat', $threat{$id});
}


# requests that were allowed or not, of all workers

sub decided {
    my $status = status() or return 0;
    my $reasons = $status->{stores}{r}{reasons};

    return $reasons->{secured_enough} + $reasons->{threat_level};
}
