#!/usr/bin/perl

# Reloads under load, one after the other: no more requests are lost than
# nginx alone loses, the zone is kept, memory and descriptors do not grow.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Gate;
use Test::More;

use constant { DEVICES => 400, CONNECTIONS => 16 };

my $reloads = $ENV{MTD_RELOADS} || chaos(15, 1000);

redis_start(sub { device("d$_") for 0 .. DEVICES - 1 });
spew("$dir/lines", join '', map { "-\t/x?device=d$_\n" } 0 .. DEVICES - 1);

my $stock = soak(stock => 1);
my $gate = soak();

for (['nginx alone', $stock], ['the gate', $gate]) {
    my ($name, $is) = @$_;
    my $load = $is->{load};

    is($is->{reloads}, $reloads, "$name: $reloads reloads");
    is($load->{unanswered}, 0, '... no request waits for ever');
    is(total($load, ' 200$'), $load->{answered}, '... each answer is right')
        or diag(explain($load->{counts}));
    cmp_ok($load->{lost}, '<=', CONNECTIONS * $reloads,
           '... none is lost but by a connection that was closed');

    diag(sprintf '%s: %d reloads in %.0f s, %d requests, %d lost, max %s ms;'
         . ' %d kB and %d descriptors, then %d and %d', $name, $reloads,
         $load->{ms} / 1000, $load->{answered}, $load->{lost}, $load->{max},
         @{ $is->{before} }, @{ $is->{after} });
}

# by chance some more or less, and several at once: few tell nothing

cmp_ok($gate->{load}{lost}, '<=', 1.1 * $stock->{load}{lost},
       'the gate loses no more than nginx alone') if $reloads >= 500;

# a few samples only tell a leak that is large

cmp_ok($gate->{after}[0], '<=', chaos(1.5, 1.02) * $gate->{before}[0],
       'memory is flat');
cmp_ok($gate->{after}[1], '<=', 1.02 * $gate->{before}[1],
       '... and so are descriptors');
is($gate->{links}, 4, '... and connections to redis');

# the new workers' links take over where the old ones' end

my $hits = 100 * $gate->{hits} / $gate->{load}{answered};

cmp_ok($hits, '>', 90, sprintf 'the zone is kept: %.1f%% hits', $hits);
is(alerts(), '', 'nothing is wrong');

done_testing();


sub soak {
    my (%o) = @_;
    my %is = (reloads => 0);

    gate(%o, http => http(%o));
    ok(wait_for(sub { trusted('r') == 2 }), 'both workers hear of changes')
        if !$o{stock};

    # each worker has had its share of everything once

    reloads(%o) for 1 .. 3;
    client('gate', '-c', CONNECTIONS, '-n', 10 * DEVICES, '-f', "$dir/lines");

    my $hits = $o{stock} ? 0 : status()->{stores}{r}{counters}{hit};

    client_start(load => 'gate', '-c', CONNECTIONS, '-q', 2000, '-f',
                 "$dir/lines");

    my @usage;

    for (1 .. $reloads) {
        $is{reloads} += reloads(%o);
        push @usage, [usage()];
    }

    # in the middle of the first, and of the last fifth

    my $fifth = int(($reloads + 4) / 5);

    $is{before} = [map { median($_, @usage[0 .. $fifth - 1]) } 0, 1];
    $is{after} = [map { median($_, @usage[-$fifth .. -1]) } 0, 1];
    $is{load} = client_stop('load');

    if (!$o{stock}) {
        $is{hits} = status()->{stores}{r}{counters}{hit} - $hits;
        wait_for(sub { trusted('r') == 2 });
        $is{links} = () = redis('CLIENT', 'LIST') =~ /cmd=(?!client)/g;
    }

    Gate::gate_stop();

    return \%is;
}


sub http {
    my (%o) = @_;
    my $server = $o{stock} ? '' : <<"END";
    mtd p; mtd_profile generic; mtd_identify value;
    mtd_value \$arg_device kind=serial;
    add_header X-Is "\$mtd_decision \$mtd_reason" always;
    location = /status { mtd_status; access_log off; }
END
    my $store = $o{stock} ? '' : <<"END";
mtd_redis r { server unix:$dir/redis.sock; zone 1m; timeout 10s; fresh 1h; }
mtd_policy p { }
END

    return <<"END";
access_log off;
error_log $dir/logs/error.log warn;
$store
server {
    listen unix:$dir/gate.sock backlog=4096;
    $server
    location / { empty_gif; }
}
END
}


# 1 when all workers are new and the old ones have gone

sub reloads {
    my (%o) = @_;
    my @old = workers();

    gate_signal('HUP');

    return wait_for(sub {
        !grep({ alive($_) } @old) && 2 == (my @now = workers());
    }, 30) ? 1 : 0;
}


sub median {
    my ($i, @of) = @_;
    return (sort { $a <=> $b } map { $_->[$i] } @of)[@of / 2];
}


# kB that are theirs alone, and descriptors

sub usage {
    my ($kb, $fds) = (0, 0);

    for my $pid (master(), workers()) {
        $kb += $1 if slurp("/proc/$pid/smaps_rollup")
                     =~ /^Private_Dirty:\s+(\d+)/m;
        $fds += () = glob "/proc/$pid/fd/*";
    }

    return ($kb, $fds);
}
