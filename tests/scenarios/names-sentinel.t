#!/usr/bin/perl

# Sentinels that tell names: they are resolved with nginx's resolver, again at
# each connect, and nobody waits for that.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Gate qw(:DEFAULT decided);
use Names;
use Servers;
use Test::More;
use Time::HiRes qw(sleep time);

my %ip = ('one.test' => '127.0.0.1', 'two.test' => '127.0.0.1');
my $dns = dns(%ip);
my ($one, $two, $sentinel);

with_names(sub {
    $one = server('--replica-announce-ip', 'one.test');
    $two = server('--replica-announce-ip', 'two.test',
                  '--replicaof', "one.test $one->{port}");
    $sentinel = sentinel(1, 500, mymaster => { name => 'one.test',
                                               port => $one->{port} },
                         conf => "sentinel resolve-hostnames yes\n"
                                 . "sentinel announce-hostnames yes\n");
});

my $resolver = "resolver 127.0.0.1:$dns ipv6=off; resolver_timeout 500ms;";

$one->device('good');
ok(wait_for(sub { replicas('two.test') }, 30), 'the Sentinel knows the replica');
is_deeply($sentinel->do(qw(SENTINEL GET-MASTER-ADDR-BY-NAME mymaster)),
          [ 'one.test', $one->{port} ], '... and tells names');

gate(http => http($resolver, ''));
ok(wait_for(sub { decided('good') eq 'allow secured_enough' }), 'it is found');
ok(wait_for(sub { trusted('r') == 2 }), '... and tells of changes');
is(node()->{role}, 'master', '... the master');
is(node()->{address}, $one->at, '... by its address');
cmp_ok(asked_for('^one\.test$'), '>', 0, '... which the DNS server told');


# connected as before, whatever the name leads to now; and not found any more

my $connects = counter('connects');

names();
sleep 6;
is(counter('connects'), $connects, 'what is connected is left alone');
$one->do(qw(CLIENT KILL TYPE normal SKIPME yes));
ok(wait_for(sub { decided('stranger') eq 'block store_unavailable' }),
   'no such name: unknown devices are refused');
like(decided('good'), qr/^allow /, '... known ones are known');
ok(wait_for(sub { error_log()
                  =~ /one\.test could not be resolved \(3: Host not found\)/ }),
   '... logged');

# asked for with a growing pause: by how often another store tries a server
# that is away, which takes no name

my ($asked, $tried) = (asked_for('^one\.test$'), attempts());

ok(wait_for(sub { attempts() - $tried >= 200 }, 60), '... 200 attempts later');
cmp_ok(asked_for('^one\.test$') - $asked, '<', 50,
       '... it was not asked for at each');
cmp_ok(scalar(() = error_log() =~ /could not be resolved/g), '<=', 2,
       '... of which not each is logged');
names('one.test' => 'silent');
sleep 0.5;

my $start = time;

is(decided('stranger'), 'block store_unavailable', 'no answer');
like(decided('good'), qr/^allow /, '...');
cmp_ok(time - $start, '<', 0.3, '... is not waited for');
names(%ip);
ok(wait_for(sub { decided('stranger') eq 'block unknown_device' }),
   'it is back, and found');
ok(wait_for(sub { trusted('r') == 2 }), '... and trusted');


# a failover, from name to name

ok(wait_for(sub { replicas('two.test') }, 30), 'the replica is there');
ok(wait_for(sub { eval { $sentinel->do(qw(SENTINEL FAILOVER mymaster)) } }, 30),
   'a failover');
ok(wait_for(sub { node() && node()->{address} eq $two->at
                  && decided('good') eq 'allow secured_enough' }, 30),
   '... is followed');
like(error_log(), qr/the master is now at two\.test:$two->{port}, says/,
     '... by its name');
$two->do('HSET', 'mtd:device:good', 'threat', 'highSeverity');
ok(wait_for(sub { decided('good') eq 'remediate threat_level' }),
   '... and believed');
ok(wait_for(sub { trusted('r') == 2 }), '... and tells of changes');


# a replica, and the master while the replica's name leads nowhere

ok(wait_for(sub { replicas('one.test') }, 30), 'the other one is the replica');
gate_fresh(http => http($resolver, 'read replica;'));
ok(wait_for(sub { node()->{role} eq 'replica'
                  && decided('good') eq 'remediate threat_level' }),
   'the replica is read');
is(node()->{address}, $one->at, '... by its name');
names('two.test' => '127.0.0.1');
gate_fresh(http => http($resolver, 'read replica;'));
ok(wait_for(sub { node()->{role} eq 'master'
                  && node()->{address} eq $two->at }),
   'its name is gone: the master is read');
names(%ip);


# nobody to ask: said once for each worker, refused, and no harm done

gate_fresh(http => http('', ''));
ok(wait_for(sub { decided('stranger') eq 'block store_unavailable' }),
   'without a resolver: refused');
sleep 1;
is(decided('stranger'), 'block store_unavailable', '... still');

my @lines = error_log() =~ /^.*\[error\].*without a "resolver".*$/mg;

is(scalar @lines, 2, '... each worker says why, once');
like($lines[0], qr/redis mymaster is unavailable \(data\): .*: two\.test/,
     '... with the name');


# the same, though something else was wrong before

$sentinel->signal('STOP');
gate_fresh(http => http('', ''));
ok(wait_for(sub { error_log() =~ /no Sentinel tells where it is/ }),
   'no Sentinel answers');
$sentinel->signal('CONT');
ok(wait_for(sub { error_log() =~ /\[error\].*without a "resolver"/ }),
   '... then one does, and is not understood: it is said');


# mtdctl

with_names(sub {
    is(system("$ENV{MTDCTL} --sentinel mymaster=${\ $sentinel->at } device set"
              . " new threat=secured >$dir/mtdctl.out 2>&1"), 0, 'mtdctl')
        or diag(slurp("$dir/mtdctl.out"));
});
is($two->do('HGET', 'mtd:device:new', 'threat'), 'secured',
   '... writes to the master');

is(alerts(), '', 'nothing is wrong');

done_testing();


sub http {
    my ($resolver, $more) = @_;

    return "$resolver\n"
           . "mtd_redis away { server unix:$dir/nobody.sock; zone 256k; }\n"
           . gated("sentinel mymaster ${\ $sentinel->at }; zone 1m; fresh 1h;"
                   . " stale 2h; unknown 1ms; timeout 2s; $more");
}


sub node { return status()->{stores}{r}{nodes}[0] }
sub counter { return status()->{stores}{r}{counters}{$_[0]} }
sub attempts { return status()->{stores}{away}{counters}{failures} }


# the Sentinel knows this one as a healthy replica

sub replicas {
    my ($name) = @_;

    return scalar grep {
        my %is = @$_;
        $is{ip} eq $name && $is{flags} eq 'slave'
        && $is{'master-link-status'} eq 'ok';
    } @{ $sentinel->do(qw(SENTINEL REPLICAS mymaster)) };
}
