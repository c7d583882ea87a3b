#!/usr/bin/perl

# Replies and invalidations of two workers move on by chance, while aliases
# and devices change all the time: whatever is before and behind what, no
# request is told what a worker knew to be old when it was sent.

use strict;
use warnings;

use Digest::SHA qw(hmac_sha256_hex);
use FindBin;
use lib "$FindBin::Bin/../lib";
use Gate;
use Test::More;

use constant { KEYS => 64, DEVICES => 4,
               SECRET => 'a secret of thirty-two bytes....' };

my $wanted = $ENV{MTD_OLD} || chaos(20_000, 1_000_000);
my $seed = $ENV{MTD_SEED} || time;

spew("$dir/secret", SECRET);
chmod 0600, "$dir/secret";

# a tenth of them where names are pseudonyms, which have a table of their own

interleave('plain names', $wanted, '', sub { $_[0] . $_[1] });
interleave('pseudonyms', int($wanted / 10), "key_secret file:$dir/secret;",
           sub { $_[0] . substr hmac_sha256_hex($_[0] . $_[1], SECRET), 0, 32 });

done_testing();


sub interleave {
    my ($what, $wanted, $conf, $name) = @_;

    spew("$dir/names", join '', map { my $key = $_;
        map { 'mtd:' . $name->(@$_) . "\n" } ['alias:serial:', "d$key"],
            map { ['device:', "d$key-$_"] } 0 .. DEVICES - 1 } 0 .. KEYS - 1);

    unlink "$dir/redis.sock";
    Gate::start(interleave => Gate::tool('interleave', map { "interleave_$_" } qw(things redis clients)), "$dir/redis.sock",
                "$dir/gate.sock", $wanted, $seed, "$dir/names");
    wait_for(sub { -S "$dir/redis.sock" }) or die;

    gate(http => http($conf));

    my $n = figures('interleave', 7200);
    my $counters = status()->{stores}{r}{counters};

    cmp_ok($n->{old}, '>=', $wanted,
           "$what: $n->{old} replies were old when they came");
    is($n->{stale}, 0, '... and none has made an answer stale')
        or diag(slurp("$dir/interleave.err"));
    is($n->{answered}, $n->{asked}, '... of which each request has one');
    is($n->{away}, 0, '... from redis');
    cmp_ok($n->{$_}, '>', $wanted / 100, "... known as old to $_: $n->{$_}")
        for qw(both own other none);
    cmp_ok($n->{hits}, '>', 0, '... some was believed');
    cmp_ok($counters->{voided}, '>', 0, '... and some was void');
    is(alerts(), '', 'nothing is wrong');

    diag("$what, seed $seed: $n->{old} of $n->{replies} replies old,"
         . " $n->{changes} changes, $n->{answered} answers, $n->{hits} of"
         . " them hits, $counters->{voided} replies void, $n->{stale} stale,"
         . " $n->{lost} links lost, in $n->{ms} ms");

    gate_stop();
}


sub http {
    my ($conf) = @_;

    return <<"END";
access_log off;
mtd_redis r {
    server unix:$dir/redis.sock; zone 1m; timeout 20s; fresh 1h; $conf
}
mtd_policy p { max_threat high; compliance ignored; missing_threat allow; }
map \$mtd_reason \$is {
    unknown_device     unknown_device;
    store_unavailable  store_unavailable;
    default            "\$mtd_threat \$mtd_compliance \$mtd_os";
}
server {
    listen unix:$dir/gate.sock backlog=4096;
    mtd p; mtd_profile generic; mtd_identify value;
    mtd_value \$arg_device kind=serial;
    add_header X-Is \$is always;
    add_header X-Lookup "\$mtd_lookup" always;
    location / { empty_gif; }
    location = /pid { mtd off; add_header X-Pid \$pid; return 200; }
    location = /status { mtd_status; }
}
END
}
