#!/usr/bin/perl

# As many devices with aliases as the zone is meant for: each is asked for
# once, then all are there.  A tenth of what operations.md says, or with
# MTD_MILLION=1 all of it.

use strict;
use warnings;

use Digest::SHA qw(hmac_sha256_hex);
use FindBin;
use lib "$FindBin::Bin/../lib";
use Gate;
use Test::More;

use constant N => $ENV{MTD_MILLION} ? 1_000_000 : 100_000;
use constant ZONES => $ENV{MTD_MILLION} ? (190, 200) : (19, 20);
use constant SECRET => 'a secret of the test';

spew("$dir/secret", SECRET . "\n");
chmod 0600, "$dir/secret";

redis_start();

for my $secret (0, 1) {
    my $name = $secret ? 'pseudonyms' : 'plain';

    my $zone = (ZONES)[$secret];

    diag(sprintf '%s: %d devices in %dm', $name, N, $zone);
    fill($secret);

    my $kind = $secret ? "key_secret file:$dir/secret;" : '';

    gate(reload => $secret, http => <<"END");
access_log off;
mtd_redis r { server unix:$dir/redis.sock; zone ${zone}m; prefix $name:;
              timeout 30s; fresh 4h; $kind }
mtd_policy p { }
server {
    listen unix:$dir/$name.sock backlog=4096;
    mtd p; mtd_profile generic; mtd_identify value;
    mtd_value \$arg_device kind=serial;
    add_header X-Is "\$mtd_decision \$mtd_reason" always;
    add_header X-Lookup "\$mtd_lookup" always;
    location / { empty_gif; }
    location = /status { mtd_status; }
}
END

    ok(wait_for(sub {
        2 == grep { $_->{trusted} } values %{ stores('r', $name) };
    }), "$name: both workers hear of changes");

    my $first = all($name);

    is(total($first, 'allow secured_enough'), N, 'each passes')
        or diag(explain($first));

    my $store = status($name)->{stores}{r};

    for my $part (qw(devices aliases)) {
        cmp_ok($store->{zone}{$part}{used}, '>=', 0.999 * N,
               "99.9% of $part are in the zone");
    }

    my $second = all($name);

    is(total($second, 'allow secured_enough'), N, 'each passes again');
    cmp_ok(total($second, 'HIT'), '>=', 0.999 * N, '... 99.9% are known')
        or diag(explain($second));

    diag(sprintf 'miss: %d/s, hit: %d/s; devices %d of %d, aliases %d of %d,'
         . ' evicted %d', 1000 * N / $first->{ms}, 1000 * N / $second->{ms},
         map({ @{ $store->{zone}{$_} }{qw(used capacity)} }
             qw(devices aliases)), $store->{counters}{evicted});
}

is(alerts(), '', 'nothing is wrong');

done_testing();


sub all {
    my ($at) = @_;
    my $result = client($at, '-c', 8, '-d', 32, '-n', N, '-t', '/x?device=',
                        '-k', 'X-Is', '-k', 'X-Lookup');

    is($result->{unanswered} + $result->{lost}, 0, 'all are answered');

    return $result;
}


sub fill {
    my ($secret) = @_;
    my ($prefix, $n) = ($secret ? 'pseudonyms' : 'plain', 0);
    my @alias;

    my $key = sub {
        my ($name) = @_;
        return substr hmac_sha256_hex($name, SECRET), 0, 32 if $secret;
        return $name =~ s/.*://r;
    };

    redis('FLUSHALL');

    redis_load(sub {
        if (@alias) {
            my @command = @alias;
            @alias = ();
            return @command;
        }

        return if $n == N;

        # the alias is what is asked for, the device has an id of its own

        my $id = sprintf 'd%08d', $n;
        my $serial = sprintf '%08d', $n++;

        @alias = ('SET', "$prefix:alias:serial:"
                  . $key->("alias:serial:$serial"), $id);

        return 'HSET', "$prefix:device:" . $key->("device:$id"),
            'threat', 'secured', 'compliance', 'compliant';
    });
}
