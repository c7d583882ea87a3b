#!/usr/bin/perl

# What mtd_status tells of each server of a cluster, and of the one that
# Sentinels name: which of them is away, and why.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Gate;
use Servers;
use Test::More;

# a name that needs escapes in either format

my $odd = 'a"\\b.sock';
my ($one, $two) = cluster(2, '--cluster-require-full-coverage', 'no');
my @redis = (server());

push @redis, server('--replicaof', "127.0.0.1 $redis[0]{port}");

my $sentinel = sentinel(1, 60_000, mymaster => $redis[0]);

redis_start();
symlink "$dir/redis.sock", "$dir/$odd" or die $!;
gate(workers => 1, http => http());
ok(wait_for(sub { trusted($_) == 1 }, 30), "$_ is trusted") for qw(c s q);

is_deeply(nodes('c'), {
    map { $_->at => { address => $_->at, role => 'master', slots => 8192,
                      data => 'up', data_failures => 0, data_error => '',
                      push => 'up', push_failures => 0, push_error => '' } }
        $one, $two
}, 'the masters of a cluster');
is_deeply(nodes('s'), {
    $redis[0]->at => { address => $redis[0]->at, role => 'master',
                       data => 'up', data_failures => 0, data_error => '',
                       push => 'up', push_failures => 0, push_error => '' }
}, 'the master that a Sentinel names, and no replica');

my %is = metrics();

for my $case (map({ ['c', $_, 'master'] } $one, $two),
              ['s', $redis[0], 'master'])
{
    my ($store, $server, $role) = @$case;
    my $labels = "store=\"$store\",node=\"${\ $server->at }\",role=\"$role\"";

    for (qw(data push)) {
        is($is{"mtd_node_up{$labels,connection=\"$_\"}"}, 1,
           "$store, ${\ $server->at }: $_ is up");
        is($is{"mtd_node_failures{$labels,connection=\"$_\"}"}, 0,
           '... and has not failed');
    }

    is($is{"mtd_node_slots{$labels}"}, $store eq 'c' ? 8192 : undef,
       '... its slots');
}

is($is{qq(mtd_node_up{store="q",node="unix:$dir/a\\"\\\\b.sock",role="any",)
       . 'connection="data"}'}, 1, 'one that is configured');
is_deeply([ keys %{ nodes('q') } ], [ "unix:$dir/$odd" ], '... by its name');
is(scalar(grep { /^mtd_node_up/ } keys %is), 8, 'lines for those alone');

# one of each is away

$_->signal('KILL') for $two, $redis[0];

for (['c', $two], ['s', $redis[0]]) {
    my ($store, $server) = @$_;

    ok(wait_for(sub {
        my $is = nodes($store)->{ $server->at } or return;

        return $is->{data} ne 'up' && $is->{data_failures} > 1
               && $is->{push} ne 'up';
    }), "$store: one is away");
    like(nodes($store)->{ $server->at }{data_error},
         qr/^it (?:closed the connection|cannot be reached)$/, '... and why');

    %is = metrics();

    my $labels = "store=\"$store\",node=\"${\ $server->at }\",role=\"master\"";

    is($is{"mtd_node_up{$labels,connection=\"data\"}"}, 0, '... is not up');
    cmp_ok($is{"mtd_node_failures{$labels,connection=\"data\"}"}, '>', 1,
           '... failed');
    is($is{"mtd_node_slots{$labels}"}, $store eq 'c' ? 8192 : undef,
       '... its slots');
}

is(nodes('c')->{ $one->at }{data}, 'up', 'the other one is not away');

is(alerts(), '', 'nothing is wrong');

done_testing();


sub http {
    return <<"END";
mtd_redis c { cluster on; server ${\ $one->at }; zone 1m; }
mtd_redis s { sentinel mymaster ${\ $sentinel->at }; zone 1m; }
mtd_redis q { server unix:$dir/a"\\\\b.sock; zone 1m; }
mtd_policy p { }
server {
    listen unix:$dir/gate.sock;
    mtd p store=c; mtd_profile generic; mtd_identify value;
    mtd_value \$arg_device kind=serial;
    location / { empty_gif; }
    location = /status { mtd_status; }
}
END
}


# by name

sub nodes {
    return { map { my %is = %$_; (delete $is{name} => \%is) }
             @{ status()->{stores}{ $_[0] }{nodes} } };
}


# values by names, of what Prometheus's own checker finds no fault with

sub metrics {
    my $text = get('/status?format=prometheus')->{body};

    if ($ENV{PROMTOOL}) {
        spew("$dir/metrics", $text);
        is(qx('$ENV{PROMTOOL}' check metrics <'$dir/metrics' 2>&1), '',
           'promtool finds nothing');
    }

    return $text =~ /^(\w+\{.*\}) (\d+)$/mg;
}
