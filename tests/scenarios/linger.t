#!/usr/bin/perl

# A reload while Redis is slow to take the new worker's link: the old worker
# listens on until it is there, so that what is known stays known and no
# change is missed; and leaves if it never comes.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Gate qw(:DEFAULT told);
use Scripted;
use Test::More;

scripted_start();
scripted_device('known');

gate(workers => 1, http => http());
ok(wait_for(sub { trusted('r') == 1 }), 'the worker hears of changes');
knows('known');

# until the new link is there; should that take too long here, once more

my ($old, $n) = (undef, 0);

while (++$n <= 10) {
    knows("turns$n", "early$n");

    $old = reload_held();
    ok(lingers(), 'the old worker listens');
    script(map { "hset mtd:device:$_$n threat highSeverity" } qw(turns early));
    ok(turned("turns$n"), '... a change is seen');

    last if alive($old);
    release();
}

ok(alive($old), '... and stays');
release();
ok(wait_for(sub { !alive($old) }), '... until there is a new link');
is(told('known'), 'allow secured_enough HIT', 'what it has heard of is believed');
is(told("early$n"), 'remediate threat_level MISS',
   '... and so is what has changed');

script('hset mtd:device:known threat highSeverity');
ok(turned('known'), 'the new one hears of changes');

# no link, ever

knows(qw(late missed));

$old = reload_held();
ok(lingers(), 'the old worker listens');
script('hset mtd:device:late threat highSeverity');
ok(turned('late'), '... a change is seen');
ok(wait_for(sub { !alive($old) }), '... but in the end it leaves');
cmp_ok(script('held'), '>', 0, '... though there is no new link');

is(script('hset mtd:device:missed threat highSeverity'), 0,
   'a change that nobody is told of');
release();
ok(turned('missed'), '... is seen, for nothing from before is believed');

is(alerts(), '', 'nothing is wrong');

done_testing();


sub http {
    return gated("server unix:$dir/redis.sock; zone 1m; timeout 20s; fresh 1h;");
}


# returns the old worker, when the new one serves and its link is held

sub reload_held {
    my ($pid) = workers();

    script('rule CLIENT-TRACKING * * hold');
    gate(reload => 1, workers => 1, http => http());

    ok(wait_for(sub {
        my @now = workers();
        @now == 1 && $now[0] != $pid && script('held');
    }), 'the new worker has no link yet');

    return $pid;
}


sub release {
    script('clear', 'release');
    ok(wait_for(sub { trusted('r') == 1 }), 'the new link is there');
}


# a link that is not there yet does not ask whether Redis is alive

sub lingers {
    my $before = script('count PING');

    return wait_for(sub { script('count PING') > $before + 2 });
}


# devices that are new, and believed for an hour

sub knows {
    for (@_) {
        scripted_device($_);
        is(told($_), 'allow secured_enough MISS', "$_ is asked for");
        is(told($_), 'allow secured_enough HIT', '... and known');
    }
}


sub turned {
    my ($device) = @_;
    return wait_for(sub { told($device) =~ /^remediate threat_level / });
}
