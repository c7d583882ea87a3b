#!/usr/bin/perl

# A zone that is far too small: entries give way all the time, in two servers
# and over reloads, and each request is decided as redis has it; so it is
# when there is no room for texts, on which the policy depends.

use strict;
use warnings;

use Digest::SHA qw(hmac_sha256_hex);
use FindBin;
use lib "$FindBin::Bin/../lib";
use Gate;
use Test::More;

use constant { DEVICES => chaos(12_000, 200_000), SECRET => 'a secret of the test' };

my %conf = (prefix => 'plain:', more => '');
my %right = (
    good => '200 allow secured_enough',
    bad => '403 remediate threat_level',
    vip => '200 allow secured_enough',
    staff => '403 remediate threat_level',
    none => '403 block unknown_device'
);
my @classes = sort keys %right;

spew("$dir/secret", SECRET . "\n");
chmod 0600, "$dir/secret";
spew("$dir/lines", join '', map { class($_) . "\t/x?device=d$_\n" }
                                0 .. DEVICES - 1);

redis_start(sub { fill() });

for my $secret (0, 1) {
    my $name = $secret ? 'pseudonyms' : 'plain';

    if ($secret) {
        redis('FLUSHALL');
        $conf{prefix} = 'secret:';
        $conf{more} = "key_secret file:$dir/secret;";
        fill();
    }

    gate(reload => $secret, http => http());
    ok(wait_for(sub { trusted('r', 'one') == 2
                      && told('d' . index_of('good')) =~ /allow/ }),
       "$name: both workers hear of changes") or last;

    client_start($_ => $_, '-c', 4, '-d', 8, '-r', '-f', "$dir/lines", '-k',
                 'X-Is') for qw(one two);

    for my $reload (1 .. 3) {
        my %old = map { $_ => 1 } workers();
        my $before = decided();

        wait_for(sub { decided() > $before + DEVICES }, 60) or last;
        gate(reload => 1, http => http());
        ok(wait_for(sub {
            my @now = workers();
            @now == 2 && !grep { $old{$_} } @now;
        }, 30), "reload $reload");
    }

    my %load = map { $_ => client_stop($_) } qw(one two);

    for my $at (sort keys %load) {
        my $load = $load{$at};

        is($load->{unanswered} + $load->{lost}, 0, "$at: all are answered");
        is(total($load, "^$_ "), total($load, "^$_ $right{$_}\$"),
           "... $_ is $right{$_}") or diag(explain($load->{counts}))
            for @classes;
    }

    my $store = status('one')->{stores}{r};

    cmp_ok($store->{counters}{evicted}, '>', DEVICES, 'entries gave way');
    cmp_ok($store->{zone}{$_}{used}, '<=', $store->{zone}{$_}{capacity},
           "... and there are no more $_ than there is room for")
        for qw(devices aliases unknown);

    diag(sprintf '%s: %d requests of %d devices in room for %d, %d gave way',
         $name, $load{one}{answered} + $load{two}{answered}, DEVICES,
         $store->{zone}{devices}{capacity}, $store->{counters}{evicted});
}

is(alerts(), '', 'nothing is wrong');

done_testing();


sub http {
    my $servers = join '', map { <<"END" } qw(one two);
server {
    listen unix:$dir/$_.sock backlog=4096;
    mtd \$by_group; mtd_profile generic; mtd_identify value;
    mtd_value \$arg_device kind=serial;
    add_header X-Is "\$mtd_decision \$mtd_reason" always;
    location / { empty_gif; }
    location = /status { mtd_status; }
}
END

    return <<"END";
access_log off;
mtd_redis r { server unix:$dir/redis.sock; zone 256k; timeout 30s;
              prefix $conf{prefix}; $conf{more} }
mtd_policy strict { max_threat low; }
mtd_policy lax { max_threat high; }
map \$mtd_groups \$by_group { ~^vip lax; default strict; }
$servers
END
}


sub class { return $classes[$_[0] % @classes] }


sub index_of {
    my ($class) = @_;
    return (grep { $classes[$_] eq $class } 0 .. $#classes)[0];
}


# each of the last two has a text of its own

sub fill {
    my ($i, @alias) = 0;
    my %fields = (
        good => sub { (threat => 'secured') },
        bad => sub { (threat => 'highSeverity') },
        vip => sub { (threat => 'mediumSeverity', groups => "vip,$_[0]") },
        staff => sub { (threat => 'mediumSeverity', groups => "staff,$_[0]") }
    );
    my $key = sub {
        my ($name) = @_;
        my ($domain, $text) = $name =~ /^(.*:)(.*)/;

        return $conf{prefix} . $domain
            . ($conf{more} ? substr hmac_sha256_hex($name, SECRET), 0, 32
                           : $text);
    };

    redis_load(sub {
        return splice @alias if @alias;
        $i++ while $i < DEVICES && class($i) eq 'none';
        return if $i == DEVICES;

        my $id = "d$i";
        my @fields = $fields{class($i)}->($i);

        $i++;

        @alias = ('SET', $key->("alias:serial:$id"), $id);
        return 'HSET', $key->("device:$id"), @fields, compliance => 'compliant';
    });
}


sub told {
    my ($device) = @_;
    my $answer = get("/x?device=$device", at => 'one') or return 'nothing';

    return "$answer->{status} $answer->{'x-is'}";
}


sub decided {
    my $status = status('one') or return 0;
    my $reasons = $status->{stores}{r}{reasons};

    return $reasons->{secured_enough} + $reasons->{threat_level};
}
