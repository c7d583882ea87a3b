#!/usr/bin/perl

# Reloads and a new binary under load, with two gated servers: no request is
# without an answer, the zone keeps what it knows, another prefix empties it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Gate;
use Test::More;

use constant EARLY => 40;

my %conf = (prefix => 'mtd:', policy => '');

redis_start(sub {
    device('good');
    device('bad', threat => 'highSeverity');
    device("early$_") for 0 .. EARLY;
    device('later');
});

gate(http => http());
ok(wait_for(\&both), 'both workers hear of changes');

spew("$dir/lines", join '', map { "$_\t/x?device=$_\n" } qw(good bad none));

is(told('good'), '200 allow secured_enough MISS', 'good is asked for once');
is(told('good'), '200 allow secured_enough HIT', '... and known');
told("early$_") for 0 .. EARLY;

for my $at (qw(one two)) {
    client_start($at => $at, '-c', 4, '-r', '-f', "$dir/lines", '-k', 'X-Is');
}

# three reloads

for my $reload (1 .. 3) {
    reloads();
    is(told('good', $_), '200 allow secured_enough HIT',
       "reload $reload: known to $_") for qw(one two);
}

# a new worker first trusts what itself was told, and what the old ones pass on
# some milliseconds later; each is asked for once, since it is known afterwards

my @early = map { "early$_" } 1 .. EARLY;

ok(wait_for(sub {
    !@early || told(shift @early) eq '200 allow secured_enough HIT'
}) && @early, 'what nobody asks for is kept, too');

# with redis away the zone is all there is

redis_stop();
reloads(1);

like(told('good', $_), qr/^200 allow (?:secured_enough HIT|stale_allowed STALE)$/,
     "reload without redis: known to $_") for qw(one two);
like(told('early0'), qr/^200 allow (?:secured_enough HIT|stale_allowed STALE)$/,
     '... what nobody asks for, too');
is(told('later'), '503 block store_unavailable ERROR',
   '... what is not known fails');

redis_start(sub {
    device('good');
    device('bad', threat => 'highSeverity');
});
ok(wait_for(\&both), 'redis is back');
ok(wait_for(sub { told('good') eq '200 allow secured_enough HIT' }),
   '... and confirms');

my %load = map { $_ => client_stop($_) } qw(one two);

# a new binary, with requests that go on

for my $at (qw(one two)) {
    client_start($at => $at, '-c', 4, '-r', '-f', "$dir/lines", '-k', 'X-Is');
}

my $old = master();

gate_signal('USR2');

my $new = wait_for(sub {
    -e "$dir/nginx.pid.oldbin" && (my $pid = master()) or return;
    $pid != $old && workers($pid) == 2 && $pid;
}, 20);

ok($new, 'a new binary has started');

# back, and there again: the old one's workers go, come, and go for good

kill WINCH => $old;
ok(wait_for(sub { !workers($old) }, 20), '... its workers serve alone');
kill HUP => $old;
ok(wait_for(sub { workers($old) == 2 }, 20), '... the old ones are back');
kill WINCH => $old;
ok(wait_for(sub { !workers($old) }, 20), '... and have gone again');
kill QUIT => $old;
ok(wait_for(sub { !alive($old) }, 20), '... and the old one has ended');
ok(wait_for(\&both), 'both workers hear of changes');
is(told('bad'), '403 remediate threat_level HIT', '... and decide')
    if wait_for(sub { told('bad') =~ /HIT/ });

$load{"$_ again"} = client_stop($_) for qw(one two);

for my $name (sort keys %load) {
    my $result = $load{$name};

    is($result->{unanswered} + $result->{lost}, 0,
       "$name: no request without an answer");
    is(total($result, '^good 200 allow (?:secured_enough|stale_allowed)$')
       + total($result, '^bad 403 remediate threat_level$')
       + total($result, '^none 403 block unknown_device$')
       + total($result, '^(?:none|good|bad) 503 block store_unavailable$'),
       $result->{answered}, '... and each is right')
        or diag(explain($result->{counts}));
    diag("$name: $result->{answered} requests, $result->{retried} again"
         . " because a worker had closed, max $result->{max} ms");
}

# another prefix

$conf{prefix} = 'other:';
redis('SET', 'other:alias:serial:good', 'good');
redis('HSET', 'other:device:good', 'threat', 'highSeverity');
reloads();

is(told('good'), '403 remediate threat_level MISS', 'a new prefix: asked anew');
is(told('bad'), '403 block unknown_device NEGATIVE', '... and nothing is kept');

is(alerts(), '', 'nothing is wrong');

done_testing();


sub http {
    my $servers = join '', map { <<"END" } qw(one two);
server {
    listen unix:$dir/$_.sock backlog=4096;
    mtd p; mtd_profile generic; mtd_identify value;
    mtd_value \$arg_device kind=serial;
    add_header X-Is "\$mtd_decision \$mtd_reason" always;
    add_header X-Lookup "\$mtd_lookup" always;
    location / { empty_gif; }
    location = /status { mtd_status; }
}
END

    return <<"END";
mtd_redis r {
    server unix:$dir/redis.sock; zone 1m; prefix $conf{prefix};
    timeout 10s;
}
mtd_policy p { }
$servers
END
}


# until all workers are new; they hear of changes, unless redis is away

sub reloads {
    my ($away) = @_;

    gate_reload(http => http());
    ok(wait_for(\&both), 'the workers are new, and hear of changes') if !$away;
}


sub both {
    return 2 == grep { $_->{trusted} } values %{ stores('r', 'one') };
}


sub told {
    my ($device, $at) = @_;
    my $answer = get("/x?device=$device", at => $at || 'one')
        or return 'nothing';

    return "$answer->{status} $answer->{'x-is'} $answer->{'x-lookup'}";
}
