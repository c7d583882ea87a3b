#!/usr/bin/perl

# The story of `make demo` comes out as it says, in less than 20 seconds, and
# leaves nothing behind; nor does `make run`, however often it is told to end.

use strict;
use warnings;

use FindBin;
use File::Temp qw(tempdir);
use POSIX qw(WNOHANG);
use Test::More tests => 7;
use Time::HiRes qw(sleep time);

chdir "$FindBin::Bin/../.." or die $!;

local $ENV{TMPDIR} = tempdir(CLEANUP => 1);
my $socket_root = $ENV{TMPDIR};

chmod 0755, $socket_root;

my $start = time;
my $out = qx(demo/demo.sh 2>&1);

is($?, 0, 'the story comes out') or diag($out);
cmp_ok(time - $start, '<', 20, '... in less than 20 seconds');
like($out, qr/requests, each decided as it should be/, '... to its end');
is_deeply([glob "$socket_root/*"], [], '... and leaves nothing behind');


# until it has gone, at each moment of its end

my $pid = open my $run, '-|', 'exec demo/run.sh 2>&1' or die $!;
my ($place, $up);

while (!$up && defined(my $line = <$run>)) {
    $place //= $1 if $line =~ m{(\Q$socket_root\E/mtd-demo\.\w+)};
    $up = $line =~ /^Ctrl-C/;
}

ok($up, 'make run: it is up');

while (kill TERM => $pid) {
    sleep 0.01;
    last if waitpid($pid, WNOHANG) == $pid;
}

is_deeply([glob "$socket_root/*"], [], '... and leaves nothing behind');
is(qx(pgrep -f "^(redis-server|nginx: master).*$place"), '', '... nobody, too');
