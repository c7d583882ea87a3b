#!/usr/bin/perl

# A worker asks for the map of the cluster before it waits for anything, and at
# once when it is redirected to where it cannot follow.  A zone belongs to one
# kind of store.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Gate qw(:DEFAULT decided);
use Servers;
use Test::More;

use constant {
    SOON => 3,                  # seconds; the map is asked for every five
    PERIOD => 20
};

my @masters = cluster(2);
my ($from, $to) = @masters;
my ($n) = grep { $from->do('CLUSTER', 'KEYSLOT', "mtd:alias:serial:d$_") < 8192 }
          0 .. 100;
my $slot = $from->do('CLUSTER', 'KEYSLOT', "mtd:alias:serial:d$n");


# nothing happens in it but that it starts

{
    my $library = "$dir/waits.so";

    system("\${CC:-cc} -O2 -shared -fPIC -o '$library'"
           . " '$FindBin::Bin/../tools/waits.c' -ldl") == 0
        or die "waits.c does not compile\n";

    local $ENV{LD_PRELOAD} = $library;
    local $ENV{MTD_WAITS} = "$dir/waits";

    gate(workers => 1, main => 'env MTD_WAITS;', http => http('cluster on;'));
}

my $worker = wait_for(sub { (workers())[0] });

ok(wait_for(sub { did($worker) =~ /connects/ }), 'the worker asks for the map');
unlike(did($worker), qr/waits/, '... and has waited for nothing before');
ok(wait_for(sub { decided("d$n") eq 'block unknown_device' }), 'the map is used');


# a slot moves to who has no address, as its old owner says; just now the map
# was asked for, and will not be for a while

$to->do(qw(CONFIG SET cluster-announce-hostname), 'to.7');
ok(wait_for(sub { $from->do('CLUSTER', 'NODES') =~ /to\.7/ }),
   'a name is announced');

my $asked = asked();

ok(wait_for(sub { asked() > $asked }, PERIOD), 'the map is asked for again');
$from->do(qw(CONFIG SET cluster-preferred-endpoint-type hostname));
$to->do(qw(CLUSTER SETSLOT), $slot, 'IMPORTING', $from->{id});
$_->do(qw(CLUSTER SETSLOT), $slot, 'NODE', $to->{id}) for $to, $from;
like(eval { $from->do('GET', "mtd:alias:serial:d$n") } // $@,
     qr/MOVED $slot to\.7:/, 'a slot moves to a name');
is(decided("d$n"), 'block store_unavailable', '... which leads nowhere');
ok(wait_for(sub { decided("d$n") eq 'block unknown_device' }, SOON),
   '... but to a new map');


# the same server without a cluster is another store

my $lookups = lookups();

cmp_ok($lookups, '>', 0, 'lookups are counted in the zone');
gate_reload(workers => 1, http => http('cluster on; fresh 2h;'));
cmp_ok(lookups(), '>=', $lookups, '... which a reload keeps');
gate_reload(workers => 1, http => http(''));
is(lookups(), 0, '... unless it is a cluster no more');

is(alerts(), '', 'nothing is wrong');

done_testing();


sub http {
    my ($more) = @_;

    return gated("server ${\ $masters[0]->at }; unknown 1ms; stale 3h; $more");
}


# until it connects

sub did {
    my ($pid) = @_;

    return join ' ', slurp("$dir/waits") =~ /^$pid (\w+)$/mg;
}


# how often any of them was

sub asked {
    my $n = 0;

    $n += ($_->info('commandstats', 'cmdstat_cluster|slots')
           =~ /calls=(\d+)/ ? $1 : 0) for @masters;

    return $n;
}


sub lookups { return status()->{stores}{r}{counters}{lookups} }
