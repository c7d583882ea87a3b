#!/usr/bin/perl

# A cluster of three masters: all slots are moved while requests go on, a
# slot stays halfway, a fourth master joins, one is killed and comes back,
# one is replaced by its replica.
#
# MTD_CHAOS=1: all slots are moved ten times.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Gate;
use JSON::PP ();
use Servers;
use Test::More;
use Time::HiRes qw(sleep time);

use constant {
    DEVICES => 150,
    BATCH => 128,               # slots that are on their way at once
    TIMEOUT => 1000             # ms, cluster-node-timeout
};

my @options = ('--cluster-node-timeout', TIMEOUT,
               '--cluster-require-full-coverage', 'no',
               '--cluster-allow-replica-migration', 'no');
my @masters = cluster(3, @options);
my $rounds = $ENV{MTD_CHAOS} ? 10 : 1;

my %owner = (map { my $i = $_; map { $_ => $masters[$i] }
                   int($i * 16384 / 3) .. int(($i + 1) * 16384 / 3) - 1 } 0 .. 2);

$masters[0]->device("d$_", threat => $_ % 3 ? 'secured' : 'highSeverity')
    for 0 .. DEVICES - 1;

gate_user('conf/redis.acl', @masters);
gate(http => http($masters[1]->at, $masters[2]->at));

my $links = worker_links();

ok(wait_for(sub { right(0 .. DEVICES - 1) }), 'each device is found');
ok(wait_for(sub { all_trusted() }), '... and all masters tell of changes');
is_deeply(addresses('r'), [ sort map { $_->at } @masters ], '... three of them');


# a change, on each master

for my $master (@masters) {
    my ($n) = grep { $_ % 3 && $owner{slot("mtd:device:d$_")} == $master }
              0 .. DEVICES - 1;

    $master->do('HSET', "mtd:device:d$n", 'threat', 'highSeverity');
    ok(wait_for(sub { decided($n, 'remediate threat_level') }, 2),
       "a change on $master->{port} counts");
    $master->do('HSET', "mtd:device:d$n", 'threat', 'secured');
}


# a change that nobody was told of, because the link to that master was cut

for my $master (@masters) {
    my ($n) = grep { $_ % 3 && $owner{slot("mtd:device:d$_")} == $master }
              0 .. DEVICES - 1;

    $master->pipeline([ qw(ACL SETUSER gate -client|tracking) ],
                      [ qw(CLIENT KILL TYPE pubsub) ],
                      [ 'HSET', "mtd:device:d$n", 'threat', 'highSeverity' ]);
    ok(wait_for(sub { decided($n, 'remediate threat_level') }, 2),
       "a change that $master->{port} could not tell counts, too");
    is(status()->{stores}{r}{trusted}, JSON::PP::false, '... others may say more');
    $master->do(qw(ACL SETUSER gate +client|tracking));
    $master->do('HSET', "mtd:device:d$n", 'threat', 'secured');
    ok(wait_for(sub { all_trusted() && decided($n, 'allow secured_enough') }, 20),
       '... and all is as before');
}


# all slots are moved, under load: to two stores, of which one asks each time

spew("$dir/lines", join '', map { my $at = $_;
    map { ($_ % 3 ? 'good' : 'bad') . "\t/$at?device=d$_\n" } 0 .. DEVICES - 1;
} qw(kept asked));

my ($start, $moved) = (time, 0);

client_start('load', 'gate', '-c', 4, '-f', "$dir/lines", '-k', 'X-Is');

for my $round (1 .. $rounds) {
    my %to = map { $masters[$_] => $masters[($_ + $round) % 3] } 0 .. 2;

    for (my $slot = 0; $slot < 16384; $slot += BATCH) {
        my %slots;

        push @{ $slots{$owner{$_}} }, $_
            for grep { $_ < 16384 } $slot .. $slot + BATCH - 1;

        for my $from (@masters) {
            move($from, $masters[($round % 2 ? 1 : 2) - 3 + index_of($from)],
                 @{ $slots{$from} || [] });
        }

        $moved += BATCH;
    }
}

my $took = time - $start;
my $load = client_stop('load');

is($moved, $rounds * 16384, 'all slots are moved');
is(total($load, '^good 200 allow secured_enough$')
   + total($load, '^bad 403 remediate threat_level$'), $load->{sent},
   'each request is decided, and right') or diag(explain($load->{counts}));
is($load->{lost} + $load->{unanswered}, 0, '... and answered');
diag(sprintf '%d slots moved in %.1f s, %d requests, p99 %s, max %s ms',
     $moved, $took, @$load{qw(sent p99 max)});

my $asks = 0;

$asks += ($_->info('commandstats', 'cmdstat_asking') =~ /calls=(\d+)/ ? $1 : 0)
    for @masters;
cmp_ok($asks, '>', 0, "... $asks times with ASKING");
unlike(error_log(), qr/refused/, '... and nobody was refused');
ok(wait_for(sub { all_trusted() && right(0 .. DEVICES - 1) }), 'all is as before');


# a slot that is halfway: what its next owner says is not kept, because
# nobody tells of changes there

my $half = 1;
my $slot = slot("mtd:device:d$half");
my $from = $owner{$slot};
my $to = server('--cluster-enabled', 'yes', @options);

gate_user('conf/redis.acl', $to);
$to->{id} = $to->do('CLUSTER', 'MYID');
$to->do('CLUSTER', 'MEET', '127.0.0.1', $masters[0]{port});
known(@masters, $to);
prepare($from, $to, $slot);
ok(wait_for(sub { decided($half, 'allow secured_enough') }),
   'halfway: it is found');
$to->pipeline([ 'ASKING' ], [ 'HSET', "mtd:device:d$half", 'threat', 'highSeverity' ]);
ok(decided($half, 'remediate threat_level'), '... and not believed any longer');
$to->pipeline([ 'ASKING' ], [ 'HSET', "mtd:device:d$half", 'threat', 'secured' ]);
ok(decided($half, 'allow secured_enough'), '... than for this answer');
is(scalar @{ addresses('r') }, 3, '... of who is no master yet');


# a new master

finish($from, $to, $slot);
push @masters, $to;
ok(wait_for(sub { decided($half, 'allow secured_enough')
                  && @{ addresses('r') } == 4 && all_trusted() }),
   'a fourth master has joined');
$to->do('HSET', "mtd:device:d$half", 'threat', 'highSeverity');
ok(wait_for(sub { decided($half, 'remediate threat_level') }, 2),
   '... and tells of changes');
$to->do('HSET', "mtd:device:d$half", 'threat', 'secured');
ok(wait_for(sub { right(0 .. DEVICES - 1) && all_trusted() }), 'all is right');


# break glass: a key like others, of one of the masters

is(told_of('nobody'), 'block unknown_device', 'no bypass');
cluster_do($masters[0], 'HSET', 'mtd:bypass', 'until', int time + 60, 'by', 'root');
cluster_do($masters[0], 'EXPIRE', 'mtd:bypass', 60);
ok(wait_for(sub { told_of('nobody') eq 'allow bypass' }), 'a bypass');
cluster_do($masters[0], 'HSET', 'mtd:bypass', 'until', int time - 1);
ok(wait_for(sub { told_of('nobody') eq 'block unknown_device' }), '... is over');

# masters that do not tell addresses: the one that was asked is meant

$_->do(qw(CONFIG SET cluster-preferred-endpoint-type unknown-endpoint))
    for @masters;

for my $n (1, 2, 4, 5, 7) {
    my $slot = slot("mtd:device:d$n");

    move($owner{$slot}, $masters[index_of($owner{$slot}) - 1], $slot);
    is(get("/asked?device=d$n")->{'x-is'}, 'allow secured_enough',
       "d$n has moved, to a port");
}

$_->do(qw(CONFIG SET cluster-preferred-endpoint-type ip)) for @masters;


# a bypass whose slot is halfway

$slot = slot('mtd:bypass');
$from = $owner{$slot};
$to = $masters[index_of($from) - 1];
prepare($from, $to, $slot);
$to->pipeline([ 'ASKING' ],
              [ 'HSET', 'mtd:bypass', 'until', int(time) + 3600, 'since',
                int(time), 'by', 'test', 'why', 'test' ],
              [ 'ASKING' ], [ 'EXPIRE', 'mtd:bypass', 3600 ]);
ok(wait_for(sub { decided(0, 'allow bypass') }), 'halfway: the bypass holds');
$to->pipeline([ 'ASKING' ], [ 'DEL', 'mtd:bypass' ]);
ok(wait_for(sub { decided(0, 'remediate threat_level') }), '... and is ended');
finish($from, $to, $slot);
ok(wait_for(sub { right(0 .. DEVICES - 1) && all_trusted() }), 'all is right');


# one is killed: its devices only are decided by what is known, or not at all

my $dead = $masters[1];
my @known = grep { alias_and_device($_, $dead) } 0 .. DEVICES - 1;
my @others = grep { owner("mtd:device:d$_") != $dead
                    && owner("mtd:alias:serial:d$_") != $dead } 0 .. DEVICES - 1;
my @strange = grep { owner("mtd:alias:serial:x$_") == $dead } 0 .. 200;
my @new = grep { owner("mtd:alias:serial:x$_") != $dead } 0 .. 200;

$dead->signal('KILL');
ok(wait_for(sub { !grep { $_ ne 'allow stale_allowed'
                          && $_ ne 'remediate threat_level' }
                  map { told($_) } @known[0 .. 9] }),
   'killed: its devices are known');
ok(wait_for(sub { told_of("x$strange[0]") eq 'block store_unavailable' }),
   '... or refused');
is(scalar(grep { told_of("x$_") ne 'block store_unavailable' } @strange), 0,
   '... each of them');
is(scalar(grep { told($_) ne ($_ % 3 ? 'allow secured_enough'
                                     : 'remediate threat_level') } @others), 0,
   '... others are decided as ever');
is(scalar(grep { told_of("x$_") ne 'block unknown_device' } @new), 0,
   '... and found to be unknown');
is(status()->{stores}{r}{health}, 'stale', '... the health says so');

$dead->start;
gate_user('conf/redis.acl', $dead);
known(@masters);
$dead->device("d$_", threat => $_ % 3 ? 'secured' : 'highSeverity')
    for 0 .. DEVICES - 1;
ok(wait_for(sub { right(0 .. DEVICES - 1) && all_trusted() }, 30),
   'it is back, and all is right');
is(status()->{stores}{r}{health}, 'serving', '... says the health');


# one is replaced by its replica

my $replica = server('--cluster-enabled', 'yes', @options);

gate_user('conf/redis.acl', $replica);
$replica->do('CLUSTER', 'MEET', '127.0.0.1', $masters[0]{port});
ok(wait_for(sub { eval { $replica->do('CLUSTER', 'REPLICATE', $dead->{id}) } }),
   'a replica');
ok(wait_for(sub { $replica->info('replication', 'master_link_status') eq 'up' }),
   '... that is there');
known(@masters, $replica);

$start = time;
$dead->signal('KILL');
ok(wait_for(sub { $replica->info('replication', 'role') eq 'master' }, 20),
   '... and takes over');

my $promoted = time;
my ($one) = @known;

ok(wait_for(sub { eval { $replica->do('HSET', "mtd:device:d$one", 'threat',
                                      'compromised'); 1 } }),
   '... and writes');
ok(wait_for(sub { decided($one, qr/compromised/) }, 5), '... and is believed');
diag(sprintf 'killed to promoted: %.0f ms, to believed: %.0f ms more',
     1000 * ($promoted - $start), 1000 * (time - $promoted));

$replica->do('HSET', "mtd:device:d$one", 'threat',
             $one % 3 ? 'secured' : 'highSeverity');
ok(wait_for(sub { right(0 .. DEVICES - 1) && all_trusted() }), 'all is right');


# a reload keeps what is known; on a machine that is too busy for the old
# worker to say goodbye to all masters, the next one does

my $kept;

for (1 .. 5) {
    my $misses = status()->{stores}{r}{counters}{miss};
    my %old = %$links;

    gate_signal('HUP');
    wait_for(sub { my @w = workers(); @w == 2 && !grep { $old{$_} } @w })
        or die 'the workers are the old ones';
    $links = worker_links();
    wait_for(sub { all_trusted() }) or die 'nobody tells of changes';
    right(0 .. DEVICES - 1) or die 'not right after a reload';
    last if $kept = status()->{stores}{r}{counters}{miss} == $misses;
}

ok($kept, 'a reload keeps what is known');

is(alerts(), '', 'nothing is wrong');

done_testing();


sub http {
    my (@seeds) = @_;
    my $servers = join ' ', map { "server $_;" } @seeds;

    # a server that takes thousands of slots in a row answers late

    my $all = "cluster on; $servers zone 1m; stale 2h; timeout 5s; user gate;"
              . " password file:$dir/password;";

    return <<"END";
mtd_redis r { $all fresh 1h; unknown 1ms; }
mtd_redis s { $all fresh 1ms; }
mtd_policy p { }
server {
    listen unix:$dir/gate.sock;
    mtd p store=r; mtd_profile generic; mtd_identify value;
    mtd_value \$arg_device kind=serial;
    add_header X-Is "\$mtd_decision \$mtd_reason" always;
    location / { empty_gif; }
    location /asked { mtd p store=s; empty_gif; }
    location = /status { mtd_status; }
}
END
}


sub slot { return $masters[0]->do('CLUSTER', 'KEYSLOT', $_[0]) }


# who has it now

sub owner {
    my ($key) = @_;
    my (undef, $node) = cluster_do($masters[0], 'EXISTS', $key);

    return $node;
}


sub alias_and_device {
    my ($n, $node) = @_;

    return owner("mtd:device:d$n") == $node
           && owner("mtd:alias:serial:d$n") == $node;
}


sub index_of {
    my ($node) = @_;
    my ($i) = grep { $masters[$_] == $node } 0 .. $#masters;

    return $i;
}


# slots with their keys; while they are on their way, requests are, too

sub move {
    my ($from, $to, @slots) = @_;

    return if !@slots;

    prepare($from, $to, @slots);
    finish($from, $to, @slots);
}


sub prepare {
    my ($from, $to, @slots) = @_;

    $to->pipeline(map { [ qw(CLUSTER SETSLOT), $_, 'IMPORTING', $from->{id} ] }
                  @slots);
    $from->pipeline(map { [ qw(CLUSTER SETSLOT), $_, 'MIGRATING', $to->{id} ] }
                    @slots);

    my @keys = map { @$_ } $from->pipeline(
        map { [ qw(CLUSTER GETKEYSINSLOT), $_, 1000 ] } @slots);

    $from->pipeline(map { [ 'MIGRATE', '127.0.0.1', $to->{port}, $_, 0, 5000 ] }
                    @keys);
}


sub finish {
    my ($from, $to, @slots) = @_;

    for my $node ($to, $from, grep { $_ != $from && $_ != $to } @masters) {
        $node->pipeline(map { [ qw(CLUSTER SETSLOT), $_, 'NODE', $to->{id} ] }
                        @slots);
    }

    $owner{$_} = $to for @slots;
}


sub told { return told_of("d$_[0]") }


sub told_of {
    my ($device) = @_;
    my ($link) = values %$links;

    return Gate::decided($device, $link);
}


# by each worker

sub decided {
    my ($n, $want) = @_;

    return !grep { Gate::decided("d$n", $_) !~ /^$want$/ } values %$links
        if !ref $want;
    return !grep { Gate::decided("d$n", $_) !~ $want } values %$links;
}


sub right {
    for my $n (@_) {
        return if !decided($n, $n % 3 ? 'allow secured_enough'
                                      : 'remediate threat_level');
    }

    return 1;
}


sub all_trusted {
    my $stores = stores('r');

    return 2 == grep { $_->{trusted} && $_->{data} eq 'up' } values %$stores;
}


# of the masters that both workers ask

sub addresses {
    my %seen;

    $seen{$_->{address}}++ for map { @{ $_->{nodes} } } values %{ stores($_[0]) };

    return [ grep { $seen{$_} == 2 } sort keys %seen ];
}
