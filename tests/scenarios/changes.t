#!/usr/bin/perl

# Whatever changes a key is heard of by both workers, and whatever an
# administrator does to Redis has nobody served by what was there before.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Gate qw(:DEFAULT told);
use Test::More;
use Time::HiRes qw(sleep time);

my $good = 'allow secured_enough';
my $bad = 'remediate threat_level';
my $missing = 'remediate threat_missing';
my $unknown = 'block unknown_device';

redis_start();
gate(http => http());
ok(wait_for(sub { trusted('r') == 2 }), 'both workers hear of changes');

my @workers = sort(workers());
my %at = per_worker();

# DEVICE and ALIAS are the keys of the ID; each case has a device of its own,
# as one that is refused again and again would have to wait

my $id = 'd0';

for (['renamed', $unknown, [qw(RENAME DEVICE mtd:device:x)]],
     ['renamed to it', $bad, [qw(COPY mtd:device:bad mtd:device:y)],
      [qw(RENAME mtd:device:y DEVICE)]],
     ['copied to it', $bad, [qw(COPY mtd:device:bad DEVICE REPLACE)]],
     ['moved', $unknown, [qw(MOVE DEVICE 1)]],
     ['restored', $bad, sub { redis('RESTORE', "mtd:device:$id", 0,
                              redis(qw(DUMP mtd:device:bad)), 'REPLACE') }],
     ['unlinked', $unknown, [qw(UNLINK DEVICE)]],
     ['by a script', $bad, ['EVAL', "return redis.call('hset', KEYS[1],"
                            . " 'threat', 'highSeverity')", 1, 'DEVICE']],
     ['in a transaction', $bad, ['MULTI'],
      [qw(HSET DEVICE threat highSeverity)], ['EXEC']],
     ['expired before', $unknown, [qw(EXPIREAT DEVICE 1)]],
     ['expires', $unknown, [qw(PEXPIRE DEVICE 10)]],
     ['of another type', $missing, [qw(SET DEVICE x)]],
     ['without its field', $missing, [qw(HDEL DEVICE threat)]],
     ['counted up', $missing, [qw(HINCRBY DEVICE grace_until -5)]],
     ['alias points elsewhere', $bad, [qw(SET ALIAS bad)]],
     ['alias is taken', $unknown, [qw(GETDEL ALIAS)]],
     ['alias is longer', $unknown, [qw(APPEND ALIAS x)]],
     ['alias is damaged', $missing, ['SETRANGE', 'ALIAS', 2, "\0bad"]],
     ['in another database, too', $good, [qw(SELECT 1)],
      [qw(HSET DEVICE threat highSeverity)], [qw(SELECT 0)]],

     # what is done to redis itself, and then a change

     ['links are killed', $bad, [qw(CLIENT KILL TYPE pubsub)], \&revoke],
     ['swapped, and links are killed', $bad, [qw(SELECT 5)],
      [qw(HSET DEVICE threat highSeverity compliance compliant)],
      [qw(SET ALIAS ID)], [qw(SELECT 0)], [qw(SWAPDB 0 5)],
      [qw(CLIENT KILL TYPE pubsub)]],
     ['lookups are killed', $bad, [qw(CLIENT KILL TYPE normal SKIPME yes)],
      \&revoke],
     ['links are slow', $bad,
      [qw(CONFIG SET client-output-buffer-limit), 'pubsub 1 1 1'], \&revoke,
      [qw(CONFIG SET client-output-buffer-limit), 'pubsub 32mb 8mb 60']],
     ['loaded again', $bad, [qw(DEBUG RELOAD)], \&revoke],
     ['rights are lost', $bad, [qw(ACL SETUSER default -hmget)], \&revoke,
      \&refused, [qw(ACL SETUSER default +@all)]],
     ['a password', $bad, [qw(CONFIG SET requirepass secret)],
      [qw(CLIENT KILL TYPE pubsub)],
      [qw(CLIENT KILL TYPE normal SKIPME yes)], \&revoke, \&refused,
      ['CONFIG', 'SET', 'requirepass', '']],
     ['writes pause', $bad, [qw(CLIENT PAUSE 200 WRITE)], \&revoke],
     ['all pauses', $bad, [qw(CLIENT PAUSE 700 ALL)], \&revoke],
     ['a replica of nobody', $bad, [qw(REPLICAOF 127.0.0.1 1)],
      [qw(REPLICAOF NO ONE)], \&revoke],
     ['evicted', $unknown, [qw(CONFIG SET maxmemory-policy allkeys-lru)],
      [qw(CONFIG SET maxmemory 1)], sub { eval { redis('SET', 'x', 'y') } },
      [qw(CONFIG SET maxmemory 0)]],
     ['flushed', $unknown, [qw(FLUSHALL ASYNC)]])
{
    my ($name, $expected, @steps) = @$_;

    $id++;
    device($id);
    device('bad', threat => 'highSeverity');
    ok(wait_for(sub { 2 == grep { told($id, $_) eq "$good HIT" }
                                @at{@workers} }),
       "$name: known by both");

    for my $step (@steps) {
        my %key = (DEVICE => "mtd:device:$id", ID => $id,
                   ALIAS => "mtd:alias:serial:$id");

        ref $step eq 'CODE' ? $step->() : redis(map { $key{$_} // $_ } @$step);
    }

    ok(wait_for(sub { 2 == grep { told($id, $_) =~ /^\Q$expected\E / }
                                @at{@workers} }, 3),
       "... then: $expected")
        or diag(map { told($id, $_) . "\n" } @at{@workers});
}

is_deeply([sort(workers())], \@workers, 'no worker has ended');
device("damaged$_", threat => '?') for @workers;
is(told("damaged$_", $at{$_}), "$missing MISS", 'damaged') for @workers;
is(scalar(() = error_log() =~ /only counted for a minute/g), 1,
   'both workers had one warning between them');
is(alerts(), '', 'nothing is wrong');
unlike(error_log(), qr/secret/, 'no password is told');

done_testing();


sub revoke { redis('HSET', "mtd:device:$id", 'threat', 'highSeverity') }


# redis does not say: what was known may be served, never more than that

sub refused {
    my $start = time;

    while (time - $start < 0.3) {
        for my $pid (@workers) {
            my $is = told('none', $at{$pid});

            next if $is =~ /^block (?:store_unavailable|unknown_device) /;
            fail("is $is");
            return;
        }
    }
}


sub http {
    return gated("server unix:$dir/redis.sock; zone 1m; fresh 1h;"
                 . ' unknown 100ms;', policy => 'store_failure block;');
}
