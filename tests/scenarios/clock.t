#!/usr/bin/perl

# The clock of the machine is set an hour on, and back: what Redis has said is
# as old as it is, an emergency ends when it was to, and the log goes on.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Temp qw(tempdir);
use Time::HiRes qw(time);

my ($dir_of_clock, $library);

BEGIN {
    $dir_of_clock = tempdir(CLEANUP => 1);
    ($library) = glob '/usr/lib/*/faketime/libfaketime.so.1';

    my $nginx = $ENV{MTD_NGINX} || qx(sh -c 'command -v nginx')
                || '/usr/sbin/nginx';
    chomp $nginx;

    # the clock that counts, and by which timers go, is left alone

    open my $out, '>', "$dir_of_clock/nginx" or die $!;
    print $out <<"END";
#!/bin/sh
LD_PRELOAD=$library FAKETIME_TIMESTAMP_FILE=$dir_of_clock/offset \\
FAKETIME_NO_CACHE=1 FAKETIME_DONT_FAKE_MONOTONIC=1 exec $nginx "\$@"
END
    close $out;
    chmod 0755, $dir_of_clock, "$dir_of_clock/nginx";
    $ENV{MTD_NGINX} = "$dir_of_clock/nginx";
}

use Gate qw(:DEFAULT told);
use Test::More;

die "no libfaketime, tests/tools/deps.sh installs it\n" if !$library;

my $now = int time;

set_clock(0);
redis_start(sub {
    device($_, reported_at => "${now}000") for qw(good other);
    device('bad', threat => 'highSeverity', reported_at => "${now}000");
    device('grace', compliance => 'inGracePeriod', reported_at => "${now}000",
           grace_until => $now + 1800);
    device("damaged$_", threat => '?') for 1, 2;
});
gate(workers => 1, main => join('', map { "env $_;" } qw(
         FAKETIME_TIMESTAMP_FILE FAKETIME_NO_CACHE
         FAKETIME_DONT_FAKE_MONOTONIC)),
     http => http());
ok(wait_for(sub { trusted('r') == 1 }), 'the gate is up');

is(told($_->[0]), $_->[1], $_->[0])
    for ['good', 'allow secured_enough MISS'],
        ['bad', 'remediate threat_level MISS'],
        ['grace', 'allow in_grace MISS'],
        ['none', 'block unknown_device NEGATIVE'],
        ['damaged1', 'remediate threat_missing MISS'];
is(told('good'), 'allow secured_enough HIT', 'known');

for (['an hour on', 3600, 'grace_over'], ['an hour back', -3600, 'in_grace'],
     ['right again', 0, 'in_grace'])
{
    my ($name, $offset, $grace) = @$_;
    my $connects = connects();

    set_clock($offset);
    is(told('good'), 'allow secured_enough HIT', "$name: known");
    is(told('bad'), 'remediate threat_level HIT', '... as a threat');
    like(told('grace'), qr/ $grace HIT$/, '... its grace');
    is(told('none'), 'block unknown_device NEGATIVE', '... or not');
    is(connects(), $connects, '... over the same connection');
}

redis('HSET', 'mtd:device:good', 'threat', 'highSeverity');
ok(wait_for(sub { told('good') =~ /threat_level/ }), 'changes are heard of');

# a minute is one by the clock that counts

set_clock(3600);
is(told('damaged2'), 'remediate threat_missing MISS', 'an hour on: damaged');
set_clock(0);
is(scalar(() = error_log() =~ /cannot be read: threat/g), 1,
   '... and no more than one warning a minute');

# an emergency of seconds does not last for an hour

redis('HSET', 'mtd:bypass', until => int(time) + 3, by => 'x', why => 'y');
redis('EXPIRE', 'mtd:bypass', 3600);
ok(wait_for(sub { told('bad') =~ /^allow bypass/ }), 'devices pass');
set_clock(-3600);
like(told('bad'), qr/^allow bypass/, 'still, with the clock set back');
ok(wait_for(sub { told('bad') =~ /threat_level/ }, 6),
   'they do not when its time is over');

is(alerts(), '', 'nothing is wrong');

done_testing();


# nginx looks when it wakes up

sub set_clock {
    my ($offset) = @_;

    spew("$dir_of_clock/new", sprintf "%+d\n", $offset);
    rename "$dir_of_clock/new", "$dir_of_clock/offset" or die $!;

    return if !master();

    wait_for(sub { abs(date() - time - $offset) < 60 })
        or die 'the clock is not that';
}


sub date {
    my ($h, $m, $s) = get('/x?device=other')->{date} =~ / (\d+):(\d+):(\d+) /;
    my (undef, undef, undef, @day) = gmtime;
    my $seconds = 3600 * $h + 60 * $m + $s - time % 86400;

    # of the same day, or of that before or after

    $seconds -= 86400 if $seconds > 43200;
    $seconds += 86400 if $seconds < -43200;

    return time + $seconds;
}


sub connects { return status()->{stores}{r}{counters}{connects} }


sub http {
    return gated("server unix:$dir/redis.sock; zone 1m; fresh 1h;"
                 . ' unknown 1h;', policy => 'max_age 7d;');
}
