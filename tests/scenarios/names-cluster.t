#!/usr/bin/perl

# A cluster whose servers announce names: in its map, in MOVED and in ASK.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Gate qw(:DEFAULT decided);
use Names;
use Servers;
use Test::More;
use Time::HiRes qw(sleep);

use constant DEVICES => 60;

my %ip = map { ("$_.test" => '127.0.0.1') } qw(a b c);
my $dns = dns(%ip);
my @options = qw(--cluster-preferred-endpoint-type hostname
                 --cluster-require-full-coverage no);
my @masters = cluster(3, @options);
my ($one, $two, $three) = @masters;

plan skip_all => 'this redis does not know cluster-announce-hostname'
    if !eval { $one->do(qw(CONFIG SET cluster-announce-hostname a.test)) };

$two->do(qw(CONFIG SET cluster-announce-hostname B.Test));
$three->do(qw(CONFIG SET cluster-announce-hostname c.test));
ok(announced($two, 'a.test') && announced($one, 'B.Test', 'c.test'),
   'names are announced');

$one->device("d$_") for 0 .. DEVICES - 1;

my $resolver = "resolver 127.0.0.1:$dns ipv6=off; resolver_timeout 500ms;";

gate(http => http($resolver, $one->at));
ok(wait_for(sub { right(0 .. DEVICES - 1) }), 'each device is found');
ok(wait_for(sub { trusted('r') == 2 }), '... and all masters tell of changes');
is_deeply(addresses(), [ sort map { $_->at } @masters ], '... three of them');
cmp_ok(asked_for("^$_\\.test\$"), '>', 0, "... $_.test was looked up")
    for qw(a b c);


# a slot moves to one that the gate knows, and asks for

my $n = (grep { owner($_) == $one } 0 .. DEVICES - 1)[0];
my $slot = slot($n);

prepare($one, $two, $slot);
like(refusal($one, $n), qr/ASK $slot B\.Test:$two->{port}/, 'ASK tells a name');
is(decided("d$n"), 'allow secured_enough', '... which is followed');
finish($one, $two, $slot);
like(refusal($one, $n), qr/MOVED $slot B\.Test:$two->{port}/,
     'MOVED tells a name');
is(decided("d$n"), 'allow secured_enough', '... which is followed');


# ... and to one that it does not know yet

my $four = server('--cluster-enabled', 'yes', @options,
                  '--cluster-announce-hostname', 'd.test');

$four->{id} = $four->do('CLUSTER', 'MYID');
$four->do('CLUSTER', 'MEET', '127.0.0.1', $one->{port});
known(@masters, $four);
ok(announced($four, 'a.test', 'B.Test', 'c.test') && announced($two, 'd.test'),
   'a fourth master');
names(%ip, 'd.test' => '127.0.0.1');
prepare($two, $four, $slot);
is(decided("d$n"), 'allow secured_enough', '... a slot is on its way to it');
is(scalar @{ addresses() }, 3, '... but it is none yet');
finish($two, $four, $slot);
is(decided("d$n"), 'allow secured_enough', '... the slot is there');
ok(wait_for(sub { @{ addresses() } == 4 && trusted('r') == 2 }),
   '... and it has joined');


# one that has no name: its address stands beside it

$four->do(qw(CONFIG SET cluster-announce-hostname), '');
ok(wait_for(sub { $one->do('CLUSTER', 'SLOTS')
                  and grep { $_->[2][0] eq '?' } @{ $one->do('CLUSTER', 'SLOTS') } },
            20), 'one has no name');
gate_fresh(http => http($resolver, $one->at));
ok(wait_for(sub { right(0 .. DEVICES - 1) && trusted('r') == 2 }),
   '... and is found nonetheless');
is_deeply(addresses(), [ sort map { $_->at } @masters, $four ], '... all of them');

with_names(sub {
    is(mtdctl('device', 'set', "d$n", 'os=x'), 0, '... by mtdctl, too');
});


# MOVED to "?" on the host that was asked; and back to a name

my $k = (grep { owner($_) == $one } 0 .. DEVICES - 1)[0];

prepare($one, $four, slot($k));
finish($one, $four, slot($k));
like(refusal($one, $k), qr/MOVED ${\ slot($k) } \?:$four->{port}/,
     'MOVED to one without a name');
is(decided("d$k"), 'allow secured_enough', '... is followed at once');
with_names(sub {
    is(mtdctl('device', 'set', "d$k", 'os=x'), 0, '... by mtdctl, too');
});
$four->do(qw(CONFIG SET cluster-announce-hostname d.test));
ok(announced($one, 'd.test'), 'it has a name again');


# a name that leads nowhere: the devices of this master only

names(map { $_ => $ip{$_} } qw(a.test b.test));
gate_fresh(http => http($resolver, $one->at));
ok(wait_for(sub { decided('d' . (grep { owner($_) == $two } 0 .. DEVICES - 1)[0])
                  eq 'allow secured_enough' }), 'others are found');

my @lost = grep { owner("x$_") == $three } 0 .. 60;

ok(wait_for(sub { decided("x$lost[0]") eq 'block store_unavailable' }),
   '... those of whom has no address are refused');
ok(wait_for(sub { error_log() =~ /c\.test could not be resolved \(3: / }),
   '... it is logged');

# by how often another store tries a server that is away, which takes no name

my ($asked, $tried) = (asked_for('^c\.test$'), attempts());

ok(wait_for(sub { attempts() - $tried >= 200 }, 60), '... 200 attempts later');
cmp_ok(asked_for('^c\.test$') - $asked, '<', 50,
       '... it was not asked for at each');
names(%ip, 'd.test' => '127.0.0.1');
ok(wait_for(sub { decided("x$lost[0]") eq 'block unknown_device'
                  && trusted('r') == 2 }), '... until it has one');


# nobody to ask

gate_fresh(http => http('', $one->at));
ok(wait_for(sub { error_log() =~ /\[error\].*redis c\.test:$three->{port} is unavailable \(data\): without a "resolver".*: c\.test/ }),
   'without a resolver: logged');
is(decided("x$lost[0]"), 'block store_unavailable', '... and refused');

is(alerts(), '', 'nothing is wrong');

done_testing();


sub http {
    my ($resolver, @seeds) = @_;
    my $servers = join ' ', map { "server $_;" } @seeds;

    return "$resolver\n"
           . "mtd_redis away { server unix:$dir/nobody.sock; zone 256k; }\n"
           . gated("cluster on; $servers zone 1m; fresh 1ms; stale 2ms; ttl 1d;"
                   . ' unknown 1ms; timeout 2s;');
}


sub announced {
    my ($node, @names) = @_;

    return wait_for(sub {
        my $nodes = $node->do('CLUSTER', 'NODES');
        return !grep { $nodes !~ /\Q$_\E/ } @names;
    }, 20);
}


sub attempts { return status()->{stores}{away}{counters}{failures} }
sub right { return !grep { decided("d$_") ne 'allow secured_enough' } @_ }


sub slot {
    my ($n) = @_;

    return $one->do('CLUSTER', 'KEYSLOT', 'mtd:alias:serial:'
                                          . ($n =~ /^x/ ? $n : "d$n"));
}


sub owner {
    my $slot = slot($_[0]);

    for my $range (@{ $one->do('CLUSTER', 'SLOTS') }) {
        return (grep { $_->{port} == $range->[2][1] } @masters, $four || ())[0]
            if $slot >= $range->[0] && $slot <= $range->[1];
    }
}


sub refusal {
    my ($node, $n) = @_;

    eval { $node->do('GET', "mtd:alias:serial:d$n") };
    return $@;
}


sub prepare {
    my ($from, $to, $slot) = @_;

    $to->do(qw(CLUSTER SETSLOT), $slot, 'IMPORTING', $from->{id});
    $from->do(qw(CLUSTER SETSLOT), $slot, 'MIGRATING', $to->{id});
    $from->do('MIGRATE', '127.0.0.1', $to->{port}, $_, 0, 5000)
        for @{ $from->do(qw(CLUSTER GETKEYSINSLOT), $slot, 100) };
}


sub finish {
    my ($from, $to, $slot) = @_;

    $_->do(qw(CLUSTER SETSLOT), $slot, 'NODE', $to->{id})
        for $to, $from, grep { $_ != $from && $_ != $to } @masters;
}


sub addresses {
    return [ sort map { $_->{address} || () }
             @{ status()->{stores}{r}{nodes} } ];
}


sub mtdctl {
    my $rc = system("$ENV{MTDCTL} --cluster --redis ${\ $one->at } @_"
                    . " >$dir/mtdctl.out 2>&1");

    $rc and diag(slurp("$dir/mtdctl.out"));
    return $rc;
}
