#!/usr/bin/perl

# mtdctl is killed, or redis is, in the middle of an import: each device is
# whole or absent.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Mtdctl;
use Test::More;
use Time::HiRes qw(sleep);

use constant ROWS => 40_000;

Mtdctl::start();

my $csv = file('many.csv', join '', "id,threat,alias:eas,alias:imei,user\n",
    map { "dev$_,secured,e$_,i$_,user$_\@example.com\n" } 1 .. ROWS);

for my $round (1 .. 5) {
    my $before = $round * 4000;

    redis('FLUSHALL');

    my $pid = ctl_start('crash', 'import', $csv);

    sleep 0.002 while redis('DBSIZE') < $before && kill 0, $pid;
    kill 'KILL', $pid;
    waitpid $pid, 0;

    is($? & 127, 9, 'killed while it wrote');
    whole();
}

my $n = @{ redis('KEYS', 'mtd:device:*') };

is((ctl('import', $csv))[1],
   'imported ' . (ROWS - $n) . ", skipped 0, unchanged $n\n",
   'the next run does the rest');
whole();


# the connection is cut from outside

redis('FLUSHALL');

my $pid = ctl_start('cut', 'import', $csv);

sleep 0.002 while redis('DBSIZE') < 4000;
redis('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
waitpid $pid, 0;

is($? >> 8, 3, 'a lost connection: exit status');
like(slurp(dir() . '/cut.err'), qr/^mtdctl: Redis at unix:\S+: /, 'message');
like(slurp(dir() . '/cut.out'), qr/^imported [1-9]\d*, skipped 0,/,
     'what was done is said');
whole();

done_testing();


sub whole {
    my @devices = @{ redis('KEYS', 'mtd:device:*') };
    my ($torn, $immortal) = (0, 0);

    for my $key (@devices) {
        my $record = hash($key);
        my ($n) = $key =~ /dev(\d+)$/;

        $torn++ unless "@{[ map { qq($_=$record->{$_}) } sort keys %$record ]}"
            eq "aliases=eas:e$n imei:i$n id=dev$n threat=secured"
               . " user=user$n\@example.com"
            && (redis('GET', "mtd:alias:eas:e$n") // '') eq "dev$n"
            && (redis('GET', "mtd:alias:imei:i$n") // '') eq "dev$n"
            && redis('SISMEMBER', "mtd:user:user$n\@example.com", "dev$n");
        $immortal++ if grep { redis('TTL', $_) < 0 } $key,
            "mtd:alias:eas:e$n", "mtd:alias:imei:i$n",
            "mtd:user:user$n\@example.com";
    }

    cmp_ok(scalar @devices, '>', 0, 'some devices are there');
    is($torn, 0, 'each is whole');
    is($immortal, 0, 'and has a TTL');
    is(redis('DBSIZE'), 4 * @devices + 1, 'there is nothing else');
    is(redis('XLEN', 'mtd:audit'), scalar @devices, 'the audit agrees');
}
