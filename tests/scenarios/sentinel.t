#!/usr/bin/perl

# A master, two replicas and three Sentinels: the master is replaced by plan,
# killed, frozen and woken up again, with a Sentinel that knows nothing of it,
# or nothing at all.  Whoever is the master, his word counts, in each worker.
#
# MTD_CHAOS=1: a hundred planned and a hundred forced failovers.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Gate;
use IO::Select;
use IO::Socket::INET;
use POSIX ();
use Servers;
use Test::More;
use Time::HiRes qw(sleep time);

use constant {
    DOWN => 500,                # ms until a Sentinel calls a server down
    LATE => 2,                  # seconds, on a busy machine
};

my $rounds = $ENV{MTD_CHAOS} ? 100 : 2;
my @redis = (server());

push @redis, server('--replicaof', "127.0.0.1 $redis[0]{port}") for 1 .. 2;

my $master = $redis[0];
my %by_port = map { $_->{port} => $_ } @redis;

$master->device('good');

my @sentinels = map { sentinel(2, DOWN, mymaster => $master) } 1 .. 3;
my $liar = liar();
my $sentinels = join ' ', "127.0.0.1:$liar", map { $_->at } @sentinels;

settled() or die 'the Sentinels do not agree';

gate_user('conf/redis.acl', @redis);
gate_user('docs/operations.md', @sentinels);
gate(http => http("sentinel mymaster $sentinels;"));

my $links = worker_links();
my $devices = 0;

ok(wait_for(sub { all_workers('good', 'allow secured_enough') }),
   'the master is found');
ok(wait_for(sub { all_trusted() }), '... and tells of changes');
is(status()->{stores}{r}{nodes}[0]{role}, 'master', '... and is named so');
is(status()->{stores}{r}{nodes}[0]{address}, $master->at, '... with address');


# by plan: nobody is refused for it, and the new master's word counts

my @planned;

for my $round (1 .. $rounds) {
    settled() or die 'the Sentinels do not agree';

    # an old master may go on for seconds, its clients with it, but for word of
    # a new one

    pace(10000);

    my ($watch, $device) = (watch(), known_device());
    my $before = status()->{stores}{r}{reasons}{store_unavailable};

    wait_for(sub { eval { $sentinels[0]->do(qw(SENTINEL FAILOVER mymaster)) } })
        or die 'no failover';
    push @planned, right($watch, $device);
    $rounds > 2 and diag("planned $round: $planned[-1] ms");

    pace(200);

    is(status()->{stores}{r}{reasons}{store_unavailable} - $before, 0,
       "planned $round: nobody is refused");
}

diag('planned, +switch-master to right: ' . held(\@planned));


# killed

my @forced;

for my $round (1 .. $rounds) {
    settled() or die 'the Sentinels do not agree';

    my ($watch, $device, $old) = (watch(), known_device(), $master);

    $old->signal('KILL');
    push @forced, right($watch, $device);
    $rounds > 2 and diag("forced $round: $forced[-1] ms");
    $old->start;
    gate_user('conf/redis.acl', $old);
}

diag('forced, +switch-master to right: ' . held(\@forced));


# frozen, and back as one who believes to be the master, with a Sentinel that
# says so, too; the gate has to connect, again and again, and is reloaded

settled() or die 'the Sentinels do not agree';

my ($watch, $device, $zombie) = (watch(), known_device(), $master);

# each is asked for once: who was refused a moment ago would be so again

my @devices = map { "z$_" } 1 .. 1000;

$zombie->pipeline(map { ([ 'HSET', "mtd:device:$_", qw(threat secured
                                                      compliance compliant) ],
                         [ 'SET', "mtd:alias:serial:$_", $_ ]) } @devices);
$zombie->do('WAIT', 2, 5000);
$_->signal('STOP') for $zombie, $sentinels[0];
my $zombie_right = right($watch, $device);

$master->pipeline(map { [ 'HSET', "mtd:device:$_", qw(threat highSeverity) ] }
                  @devices);
diag(sprintf 'frozen, +switch-master to right: %.1f ms', $zombie_right);

is($zombie->{port} == $master->{port}, '', 'frozen: there is another master');
lie($zombie->{port}, epoch() - 1);
$_->signal('CONT') for $zombie, $sentinels[0];

my ($woken, $asked, $wrong, $cuts, $is_one) = (time, 0, 0, 0, 0);

while (time - $woken < 2.5 && @devices > 4) {

    # such as: who is not told otherwise still believes it

    $is_one++ if eval { $zombie->info('replication', 'role') } eq 'master';

    $master->do(qw(CLIENT KILL TYPE normal SKIPME yes));
    $master->do(qw(CLIENT KILL TYPE pubsub));
    gate_signal('HUP') if $cuts++ == 20;
    $links = worker_links() if $cuts > 20;

    for my $link (values %$links) {
        my $is = Gate::decided(shift @devices, $link);

        $asked++ if $is =~ /^remediate/;

        if ($is =~ /^allow/) {
            $wrong++;
        }
    }

    sleep 0.02;
}

diag("zombie: a master for $is_one of $cuts looks, believed $wrong times, the"
     . " other one $asked times");
cmp_ok($is_one, '>', 0, 'the old master still says that it is one');
is($wrong, 0, '... but nobody believes it');
cmp_ok($asked, '>', 0, '... and the other one is asked');
like(error_log(), qr/Sentinel 127\.0\.0\.1:$liar is behind the others/,
     '... though a Sentinel does');
ok(wait_for(sub { all_trusted() }), 'all are told of changes again');


# a Sentinel that points to a replica

settled() or die 'the Sentinels do not agree';

my ($replica) = grep { $_ != $master } @redis;

lie($replica->{port}, epoch());
$links = worker_links();

for (1 .. 50) {
    last if error_log() =~ /at \Q${\ $replica->at }\E: it is not the master/;
    $master->do(qw(CLIENT KILL TYPE normal SKIPME yes));
    wait_for(sub { status()->{stores}{r}{data} eq 'up' });
}

like(error_log(), qr/at \Q${\ $replica->at }\E: it is not the master/,
     'a replica is not taken for a master');
ok(wait_for(sub { all_workers($device, 'remediate threat_level')
                  && all_trusted() }), '... and the master is found');
is(status()->{stores}{r}{nodes}[0]{address}, $master->at,
   '... and is the one that is asked');


# without any Sentinel what is there serves on

$_->signal('KILL') for @sentinels;
lie(0, 0);
ok(wait_for(sub { error_log() =~ /unavailable \(sentinel\)/ }),
   'no Sentinel: logged');
ok(all_workers('good', 'allow secured_enough'), '... and nobody minds');

is(alerts(), '', 'nothing is wrong');

done_testing();


sub http {
    my ($where) = @_;

    return gated("$where zone 1m; fresh 1h; stale 2h; timeout 2s; user gate;"
                 . " password file:$dir/password; sentinel_user gate;"
                 . " sentinel_password file:$dir/password;");
}


# how often the Sentinels look at the servers, ms

sub pace { $_->do(qw(SENTINEL DEBUG info-period), $_[0]) for @sentinels }


# each Sentinel knows both replicas as healthy, and the others

sub settled {
    return wait_for(sub {
        for my $sentinel (@sentinels) {
            my %is = eval { @{ $sentinel->do(qw(SENTINEL MASTER mymaster)) } }
                or return;
            return if $is{flags} ne 'master' || $is{port} != $master->{port}
                      || $is{'num-other-sentinels'} != 2;

            my @up = grep {
                my %r = @$_;
                $r{flags} eq 'slave' && $r{'master-link-status'} eq 'ok'
                && $r{'master-port'} == $master->{port};
            } @{ $sentinel->do(qw(SENTINEL REPLICAS mymaster)) };

            return if @up != 2;
        }

        return 1;
    }, 60);
}


sub watch {
    my %watch;

    for my $sentinel (@sentinels) {
        my $link = $watch{ $sentinel->{port} } = $sentinel->connect;

        $sentinel->say($link, 'SUBSCRIBE', '+switch-master');
        Gate::reply($link);
    }

    return \%watch;
}


# one that all workers and all servers know as secure

sub known_device {
    my $id = 'k' . ++$devices;

    $master->device($id);
    $master->do('WAIT', 2, 5000);
    wait_for(sub { all_workers($id, 'allow secured_enough') })
        or die 'it is not known';

    return $id;
}


# the device turns bad, as the new master says as soon as it is known;
# milliseconds until each worker refuses it, and never allows it again

sub right {
    my ($watch, $device) = @_;
    my ($port, $told) = seen($watch);
    my $want = 'remediate threat_level';
    my (%right, $back);

    $master = $by_port{$port};

    wait_for(sub { eval {
        $master->do('HSET', "mtd:device:$device", 'threat', 'highSeverity');
        1;
    } }) or die 'the new master does not write';

    while (time - $told < LATE) {
        for my $pid (keys %$links) {
            my $is = Gate::decided($device, $links->{$pid});

            if ($is eq $want) {
                $right{$pid} //= 1000 * (time - $told);

            } elsif ($right{$pid}) {
                $back = $is;
            }
        }

        last if keys %right == keys %$links
                && time - $told > 0.3 + (sort { $b <=> $a } values %right)[0]
                                        / 1000;
    }

    is(scalar keys %right, scalar keys %$links,
       "the master at $port is believed by each worker");
    is($back, undef, '... and nobody else');

    return (sort { $b <=> $a } values %right)[0] // LATE * 1000;
}


sub all_workers {
    my ($device, $want) = @_;

    return !grep { Gate::decided($device, $_) ne $want } values %$links;
}


sub all_trusted {
    return !grep { !$_->{trusted} || $_->{data} ne 'up' }
           values %{ stores('r') };
}


sub epoch {
    my %is = @{ $sentinels[1]->do(qw(SENTINEL MASTER mymaster)) };

    return $is{'config-epoch'};
}


# a Sentinel that names what it is told to

sub lie {
    my ($port, $epoch) = @_;

    spew("$dir/lie.new", "$port $epoch");
    rename "$dir/lie.new", "$dir/lie" or die $!;
}


sub liar {
    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
                                       Listen => 16) or die $!;
    my $bulk = sub { join '', map { '$' . length($_) . "\r\n$_\r\n" } @_ };
    my $answer = sub {
        my ($port, $epoch) = split / /, slurp("$dir/lie");

        return $_[0] eq 'AUTH' ? "+OK\r\n"
             : $_[0] eq 'INFO'
                   ? $bulk->("# Server\r\nrun_id:" . 'a1' x 20 . "\r\n")
             : $_[0] eq 'SUBSCRIBE'
                   ? "*3\r\n" . $bulk->('subscribe', '+switch-master') . ":1\r\n"
             : $_[0] eq 'PING' ? "*2\r\n" . $bulk->('pong', '')
             : !$port ? "*-1\r\n"
             : $_[0] eq 'MASTER'
                   ? "*4\r\n" . $bulk->('config-epoch', $epoch, 'port', $port)
             : "*2\r\n" . $bulk->('127.0.0.1', $port);
    };

    lie($master->{port}, 0);

    child(sub {
        my $select = IO::Select->new($listen);

        for (;;) {
            for my $link ($select->can_read) {

                if ($link == $listen) {
                    $select->add(scalar $listen->accept);
                    next;
                }

                if (!sysread $link, my $text, 65536) {
                    $select->remove($link);
                    close $link;

                } else {
                    syswrite $link, $answer->($1) while $text =~
                        /^(AUTH|INFO|GET-MASTER-ADDR-BY-NAME|MASTER|SUBSCRIBE
                         |PING)\r$/xmg;
                }
            }
        }
    });

    return $listen->sockport;
}
