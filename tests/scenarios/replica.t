#!/usr/bin/perl

# Reads from a replica: one that is configured as the server, and those that
# Sentinels name.  What it tells of changes is as good as the master's word,
# until it has lost its master.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Gate qw(:DEFAULT told);
use Servers;
use Test::More;
use Time::HiRes qw(sleep time);

my $master = server();
my @replicas = map { server('--replicaof', "127.0.0.1 $master->{port}") } 1, 2;

$master->device($_) for qw(good one two three four);
ok(wait_for(sub { linked() }), 'two replicas');


# without Sentinels: the server is a replica

gate(http => http("server ${\ $replicas[0]->at };"));

ok(wait_for(sub { told('good') eq 'allow secured_enough HIT' }),
   'a replica is asked');
ok(wait_for(sub { status()->{stores}{r}{trusted} }), '... and believed');
$master->device('good', threat => 'highSeverity');
ok(wait_for(sub { told('good') =~ /^remediate threat_level/ }, 2),
   '... and tells of what the master is told');

# a full resync is a flush

my $flushes = status()->{stores}{r}{counters}{flushes};

ok(wait_for(sub { told('good') eq 'remediate threat_level HIT' }), 'known');
$replicas[0]->do(qw(REPLICAOF NO ONE));
$master->device('one', threat => 'highSeverity');
ok(wait_for(sub { told('one') eq 'allow secured_enough HIT' }),
   'it goes its own way');
$replicas[0]->do('REPLICAOF', '127.0.0.1', $master->{port});
ok(wait_for(sub { told('one') =~ /^remediate threat_level/ }, 20),
   'after a full resync it says what the master does');
cmp_ok(status()->{stores}{r}{counters}{flushes}, '>', $flushes, '... and flushed');
ok(wait_for(sub { linked() }), 'two replicas again');


# with Sentinels

my @sentinels = map { sentinel(2, 500, mymaster => $master) } 1 .. 3;
my $where = "sentinel mymaster @{[ map { $_->at } @sentinels ]}; read replica;";

ok(wait_for(sub { !grep { healthy($_) != 2 } @sentinels }),
   'the Sentinels know them');

gate(reload => 1, http => http($where));
ok(wait_for(sub { one('replica') }), 'all workers read from the same replica');

my ($at) = addresses();
my ($read, $other) = sort { ($a->at ne $at) <=> ($b->at ne $at) } @replicas;

is($read->at, $at, '... which is one of the two');
ok(wait_for(sub { all_trusted() && told('good') eq 'remediate threat_level HIT' }),
   '... and believe it');

my $asked = $master->info('commandstats', 'cmdstat_hmget');

# one that goes, and the other

$read->signal('KILL');
ok(wait_for(sub { one('replica') && (addresses())[0] eq $other->at }),
   'it is gone: the other one');
ok(wait_for(sub { all_trusted() }), '... is told of changes');
ok(wait_for(sub { told('two') eq 'allow secured_enough HIT' }),
   '... and believed');
$master->device('two', threat => 'highSeverity');
ok(wait_for(sub { told('two') =~ /^remediate threat_level/ }, 2), '... and tells');
is($master->info('commandstats', 'cmdstat_hmget'), $asked,
   'the master was not asked');

# frozen: its connections say nothing

$other->signal('STOP');
ok(wait_for(sub { one('master') }, 20), 'none is left: the master');
$master->device('three', threat => 'highSeverity');
ok(wait_for(sub { all_trusted() && told('three') =~ /^remediate threat_level/ }),
   '... is asked and believed');

# one is back

$read->start;
ok(wait_for(sub { one('replica') && (addresses())[0] eq $read->at }, 30),
   'one is back and read');
$other->signal('CONT');

# connections that are lost lead to the same one; one that does not do is left
# for the other, though the Sentinels see nothing wrong with it

ok(wait_for(sub { linked() && !grep { healthy($_) != 2 } @sentinels }, 30),
   'two again');
ok(wait_for(sub { one('replica') && all_trusted() }, 20), '... one of which is read');
($at) = addresses();
($read, $other) = sort { ($a->at ne $at) <=> ($b->at ne $at) } @replicas;

my $connects = connects();

$read->do('CLIENT', 'KILL', 'ID', $_) for gate_clients($read);
ok(wait_for(sub { connects() >= $connects + 2 && one('replica') }),
   'its connections are lost');
is_deeply([ addresses() ], [ $at, $at ], '... and made again');

$read->do(qw(ACL SETUSER default -info));
ok(wait_for(sub { one('replica') && (addresses())[0] eq $other->at }),
   'it refuses: the other one');
$read->do(qw(ACL SETUSER default +info));
ok(wait_for(sub { one('replica') && (addresses())[0] eq $at && all_trusted() },
            20), '... until it does again');


# a replica that has lost its master knows nothing

# who tells the gate is the replica itself

$_->signal('STOP') for @sentinels;
$read->do('REPLICAOF', '127.0.0.1', 1);
ok(wait_for(sub { !grep { $_->{data} eq 'up' } nodes() }, 20),
   'it has lost its master');
$master->device('four', threat => 'highSeverity');
$_->signal('CONT') for @sentinels;
ok(wait_for(sub { told('four') =~ /^remediate threat_level/
                  && !grep { $_ eq $at } addresses() }, 20),
   '... and is left');


# a zone that was read from replicas is not the master's

my $lookups = lookups();

cmp_ok($lookups, '>', 0, 'lookups are counted in the zone');
gate_reload(http => http("$where unknown 2s;"));
cmp_ok(lookups(), '>=', $lookups, '... which a reload keeps');
gate_reload(http => http($where =~ s/read replica/read master/r));
is(lookups(), 0, '... unless another kind of server is read');

is(alerts(), '', 'nothing is wrong');

done_testing();


sub http {
    my ($where) = @_;

    return gated("$where zone 1m; fresh 1h; stale 2h; timeout 2s;");
}


sub linked {
    return !grep {
        eval { $_->info('replication', 'master_link_status') } ne 'up'
    } @replicas;
}


sub healthy {
    my ($sentinel) = @_;

    return scalar grep {
        my %is = @$_;
        $is{flags} eq 'slave' && $is{'master-link-status'} eq 'ok';
    } @{ $sentinel->do(qw(SENTINEL REPLICAS mymaster)) };
}


sub nodes { return map { $_->{nodes}[0] } values %{ stores('r') } }
sub addresses { return map { $_->{address} } nodes() }


# all workers are connected to one and the same server, of this role

sub one {
    my ($role) = @_;
    my @nodes = nodes();
    my %at = map { $_->{address} => 1 } @nodes;

    return @nodes == 2 && keys %at == 1
           && !grep { $_->{role} ne $role || $_->{data} ne 'up' } @nodes;
}


sub connects { return status()->{stores}{r}{counters}{connects} }
sub lookups { return status()->{stores}{r}{counters}{lookups} }


# all but Sentinels, who have names, and the test itself

sub gate_clients {
    my ($server) = @_;
    my $me = $server->do(qw(CLIENT ID));

    return grep { $_ != $me } $server->do(qw(CLIENT LIST TYPE normal))
                              =~ /^id=(\d+) .* name= /mg;
}


sub all_trusted { return !grep { !$_->{trusted} } values %{ stores('r') } }
