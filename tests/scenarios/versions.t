#!/usr/bin/perl

# Changes are pushed alike by the oldest Redis that can and by Valkey: the
# scenario of push.t with each of them.

use strict;
use warnings;

use FindBin;
use Test::More;

my $top = "$FindBin::Bin/../..";

for (['redis6', qr/Redis server v=6\./], ['valkey', qr/Valkey server v=/]) {
    my ($name, $version) = @$_;

    chomp(my $server = qx("$top/tests/tools/redis-server.sh" $name));
    is($?, 0, "$name is there") or next;
    like(qx("$server" --version), $version, '... and is what it should be');

    local $ENV{MTD_REDIS_SERVER} = $server;
    local $ENV{MTD_CHANGES} = 500;
    local $ENV{MTD_KILLS} = 10;

    my $out = qx("$^X" "$FindBin::Bin/push.t" 2>&1);

    is($?, 0, "... changes and lost links") or diag($out);
    diag(map { "$name: $_\n" } $out =~ /^# (from before.*|\d+ killed.*)/gm);
}

done_testing();
