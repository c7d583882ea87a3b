#!/usr/bin/perl

# 10,000 requests for one key that nobody knows yet, at once: redis is asked
# once by each worker.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Gate;
use Test::More;

use constant N => $ENV{MTD_HERD} || 10000;

redis_start();
device('cold');
device('warm');

gate(connections => 20000, main => 'worker_rlimit_nofile 20000;',
     http => gated("server unix:$dir/redis.sock; zone 1m; timeout 60s;",
                   listen => 'backlog=16384',
                   more => 'location = /waiting { mtd off; stub_status; }'));

ok(wait_for(sub { 2 == grep { $_->{trusted} } values %{ stores('r') } }),
   'both workers hear of changes');

redis('CONFIG', 'RESETSTAT');

# nobody gets an answer before all have asked

redis_signal('STOP');
client_start(herd => 'gate', '-c', N, '-n', N, '-t', '/?device=cold&',
             '-k', 'X-Is');

my $waiting = wait_for(sub {
    my ($n) = (get('/waiting') || return)->{body} =~ /Writing: (\d+)/;
    $n > N && $n;
}, 60);

cmp_ok($waiting || 0, '>', N, 'all have asked, none has an answer');
redis_signal('CONT');

my $herd = client_stop('herd', 1);
my $n = commands();

is($herd->{counts}{'- 200 allow secured_enough'}, N, 'all are allowed')
    or diag(explain($herd));
is($herd->{unanswered} + $herd->{lost}, 0, '... and answered');

cmp_ok($n->{get}, '<=', 2, 'one question for the alias per worker');
cmp_ok($n->{hmget}, '<=', 2, '... and one for the device');
cmp_ok($n->{get}, '>=', 1, '... and they were counted');
is(alerts(), '', 'nothing is wrong');

diag(N . " requests, $n->{get} GET, $n->{hmget} HMGET, all answered in"
     . " $herd->{ms} ms");

done_testing();
