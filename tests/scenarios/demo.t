#!/usr/bin/perl

# The story of `make demo` comes out as it says, in less than 20 seconds, and
# leaves nothing behind.

use strict;
use warnings;

use FindBin;
use File::Temp qw(tempdir);
use Test::More tests => 4;
use Time::HiRes qw(time);

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
