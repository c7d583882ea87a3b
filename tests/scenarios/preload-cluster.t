#!/usr/bin/perl

# Warm start from a cluster: the keys of each master are asked for there, one
# master after the other.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Gate;
use Servers;
use Test::More;

use constant DEVICES => 300;

my @masters = cluster(3);

$masters[0]->device("d$_", threat => $_ % 3 ? 'secured' : 'highSeverity')
    for 0 .. DEVICES - 1;

gate_user('conf/redis.acl', @masters);
$_->do('ACL', 'SETUSER', 'gate', '+scan') for @masters;

my $servers = join ' ', map { 'server ' . $_->at . ';' } @masters;

gate(http => gated("cluster on; $servers zone 1m; timeout 10s; fresh 1h;"
                   . " user gate; password file:$dir/password; preload on;"));

ok(wait_for(sub { preload('done') }, 60), 'it is done') or diag(error_log());

my $store = status()->{stores}{r};

is($store->{zone}{devices}{used}, DEVICES, 'all devices are in the zone');
cmp_ok($store->{preload}{keys}, '>=', 2 * DEVICES, '... of all masters');

my ($asked, $wrong) = ($store->{counters}{lookups}, 0);

for my $n (0 .. DEVICES - 1) {
    my $answer = get("/x?device=d$n");
    my $is = "$answer->{'x-is'} $answer->{'x-lookup'}";

    $wrong++ if $is ne ($n % 3 ? 'allow secured_enough HIT'
                               : 'remediate threat_level HIT');
}

is($wrong, 0, 'each device is known');
is(status()->{stores}{r}{counters}{lookups}, $asked, '... nobody was asked');
is(alerts(), '', 'nothing is wrong');

done_testing();


sub preload {
    my ($state) = @_;
    my $status = status() or return;

    return $status->{stores}{r}{preload}{state} eq $state;
}
