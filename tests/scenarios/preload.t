#!/usr/bin/perl

# Warm start: one worker asks for all that is in redis before anybody comes,
# and what changes meanwhile counts.  With MTD_MILLION=1 a million devices.

use strict;
use warnings;

use Digest::SHA qw(hmac_sha256_hex);
use FindBin;
use lib "$FindBin::Bin/../lib";
use Gate qw(:DEFAULT told);
use Test::More;
use Time::HiRes qw(time);

use constant N => 3000;
use constant MANY => $ENV{MTD_MILLION} ? 1_000_000 : 50_000;
use constant SECRET => 'a secret of the test';

my (%conf, %threat);

spew("$dir/secret", SECRET . "\n");
chmod 0600, "$dir/secret";


for my $secret (0, 1) {
    my $name = $secret ? 'pseudonyms' : 'plain';
    my $prefix = $secret ? 'mtd:' : 'm*[t]?\\\\d:';
    my $kind = $secret ? "key_secret file:$dir/secret;" : '';

    %conf = (prefix => $prefix, secret => $secret,
             more => "prefix '$prefix'; preload on; fresh 1h; zone 2m; $kind");
    $conf{prefix} =~ s/\\\\/\\/;

    redis_start(sub { fill(N) });

    # not of the prefix, though its pattern would match; no key of a device

    redis('HSET', 'mat?Xd:device:decoy', threat => 'secured') if !$secret;
    redis('SET', "$conf{prefix}alias:unheard:x", 'd1');
    redis('SADD', "$conf{prefix}user:someone", 'd1');
    redis('SET', "$conf{prefix}device:0wrong", 'type');

    gate(http => http());
    ok(preloaded('done'), "$name: it is done") or diag(error_log());

    my $preload = preload();

    is($preload->{keys}, 2 * N + 1, 'all keys were seen');
    is($preload->{asked}, 2 * N + 1, '... and asked for');

    # a name is not a value

    if ($secret) {
        is(told(pseudonym('alias:serial:00000001')),
           'block unknown_device NEGATIVE',
           'whoever has read the name of a key is nobody');
    }

    my $before = asked();
    my $all = all(N);

    is(total($all, 'HIT$'), N, 'each device is known')
        or diag(explain($all->{counts}));
    is(total($all, '200 allow secured_enough'), N - N / 10, '... and passes');
    is(total($all, '403 remediate threat_level'), N / 10, '... or does not');
    is(asked(), $before, 'redis was not asked');

    # a change of what came by it

    redis('HSET', device_key('d00000001'), threat => 'highSeverity');
    ok(wait_for(sub { told('00000001') =~ /remediate threat_level/ }),
       'a device has changed');
    redis('SET', alias_key('00000001'), 'd00000002');
    ok(wait_for(sub { told('00000001') =~ /allow secured_enough/ }),
       '... and its alias');
    redis('DEL', alias_key('00000003'));
    ok(wait_for(sub { told('00000003') =~ /unknown_device/ }),
       '... and another is gone');

    # nobody has come with these so far, then the alias changes

    redis('SET', alias_key('new'), 'd00000002');
    reloads();
    ok(preloaded('done'), 'reloaded');

    my $scans = scans();

    reloads() for 1 .. 3;
    is(scans(), $scans, 'a reload that keeps the zone asks for nothing');
    like(told('00000007'), qr/HIT$/, '... what was known is');

    # flushed

    redis('FLUSHALL');
    ok(wait_for(sub { my $p = preload(); $p && $p->{state} eq 'done'
                      && $p->{keys} == 0 }),
       'flushed: it has begun again, and found nothing');
    is(told('00000007'), 'block unknown_device NEGATIVE', 'nobody is known');

    # another prefix, where others write all the time

    $conf{more} =~ s/prefix '.*?'/prefix 'other:'/;
    $conf{prefix} = 'other:';
    fill(N);
    renewed();

    my $changes = 0;

    while (preload()->{state} ne 'done' && $changes < 100_000) {
        change() for 1 .. 20;
        $changes += 20;
    }

    ok(preloaded('done'), "it is done, with $changes changes");

    my $wrong = 0;

    for my $n (0 .. N - 1) {
        my $id = sprintf '%08d', $n;
        my $is = told($id);
        my $right = ($threat{$id} // ($n % 10 ? 'secured' : 'highSeverity'))
                    eq 'secured' ? 'allow secured_enough'
                                 : 'remediate threat_level';

        $wrong++ if $is !~ /^$right/;
    }

    is($wrong, 0, 'each device is decided on as redis has it');
    %threat = ();
    stop();
}


# many; its connection is killed now and then, and the state is written

mkdir "$dir/state", 0700;
%conf = (prefix => 'mtd:', secret => 0,
         more => "preload on; fresh 1h; state $dir/state/known; zone "
                 . ($ENV{MTD_MILLION} ? '190m;' : '20m;'));

redis_stop();
redis_start(sub { fill(MANY) });
gate(http => http());
ok(wait_for(sub { told('00000001') =~ /HIT/ }), 'one is known');

client_start('load', 'gate', '-c', 2, '-q', 2000, '-f', lines(), '-k', 'X-Is');

my ($kills, $begun) = (0, time);

while (preload()->{state} ne 'done' && time < $begun + 900) {
    for (split /\n/, redis('CLIENT', 'LIST')) {
        next if $kills == 5 || !/^id=(\d+) .* cmd=scan /;
        $kills++ if eval { redis('CLIENT', 'KILL', 'ID', $1) };
    }
    select undef, undef, undef, 0.05;
}

my %load = (preload => client_stop('load'));
my $preload = preload();

is($preload->{state}, 'done', 'it is done');
cmp_ok($kills, '>', 0, "its connection was killed $kills times");
cmp_ok($preload->{keys}, '>=', 2 * MANY, 'all keys were seen');

is(status()->{stores}{r}{zone}{$_}{used}, MANY, "all $_ are in the zone")
    for qw(devices aliases);

# what changes is written, as a whole

client_start('load', 'gate', '-c', 2, '-q', 2000, '-f', lines(), '-k', 'X-Is');
redis('HSET', device_key('d00000002'), os => 'iOS');
ok(wait_for(sub { told('00000002') =~ /^allow secured_enough/
                  && status()->{stores}{r}{state}{devices} == MANY }, 300),
   'the state is written');
$load{state} = client_stop('load');

my $slice = status()->{stores}{r}{state}{slice};

client_start('load', 'gate', '-c', 2, '-q', 2000, '-f', lines(), '-k', 'X-Is');
wait_for(sub { 0 }, 3);
$load{nothing} = client_stop('load');

for (sort keys %load) {
    my $load = $load{$_};

    is($load->{lost} + $load->{unanswered}, 0, "$_: no request was lost");
    is(total($load, '200 allow secured_enough'), $load->{answered},
       '... and each is right');
    diag("$load->{answered} hits during $_: p50 $load->{p50}, p99 $load->{p99},"
         . " max $load->{max} ms");
}

diag(sprintf '%d devices in %d ms, %d/s; state: %d bytes, longest slice %d us',
     MANY, $preload->{ms}, 1000 * MANY / $preload->{ms},
     -s "$dir/state/known", $slice);

# started again, while redis is away: all of them

my $from = time;

stop();
redis_stop();
my $ended = time;
my (undef, undef, @cpu) = times;
gate(http => http());
my $started = time;
my $cpu = (times)[2] + (times)[3] - $cpu[0] - $cpu[1];

is(status()->{stores}{r}{state}{loaded}, MANY, 'all are out of the file');
ok(wait_for(sub { told(sprintf '%08d', MANY - 1)
                  eq 'allow stale_allowed STALE' }), '... and known');
diag(sprintf 'ended in %.2f s, started in %.2f s, of which %.2f at work',
     $ended - $from, $started - $ended, $cpu);
stop();


# more than there is room for

$conf{more} = 'preload on; zone 256k;';
redis_start(sub { fill(20_000) });
gate(http => http());
ok(preloaded('full'), 'the zone is full');
like(error_log(), qr/\[warn\].*preload of redis .* is full: \d+ keys/,
     '... as the log says');

my @told = map { told(sprintf '%08d', $_) } 19_900 .. 19_999;

is(scalar(grep { !/^allow secured_enough (?:HIT|MISS)$/ } @told), 0,
   'all are decided on');
ok(scalar(grep { /MISS/ } @told), '... who is not in it is asked for');
stop();


# a key that is longer than all that is read of one

redis('SET', 'mtd:device:' . 'x' x 70_000, '');
$conf{more} = 'preload on; zone 4m;';
gate(http => http());
ok(preloaded('refused'), 'a key is too long');
is(scalar(grep { told(sprintf '%08d', $_) !~ /^allow secured_enough/ } 1 .. 200),
   0, '... requests are served');

my $refusals = () = error_log() =~ /preload of redis .* is refused/g;

is($refusals, 1, '... there is no second try');
redis('DEL', 'mtd:device:' . 'x' x 70_000);
stop();


# the rights that the gate has, and the one that it needs

my ($rights) = slurp("$FindBin::Bin/../../conf/redis.acl")
    =~ /^user gate on >\S+ (.*)$/m;

redis('ACL', 'SETUSER', 'gate', 'on', '>pass', split ' ', $rights);
spew("$dir/pass", 'pass');
chmod 0600, "$dir/pass";
$conf{more} = "preload on; user gate; password file:$dir/pass;";
gate(http => http());
ok(preloaded('refused'), 'redis does not let it');
like(error_log(), qr/refused SCAN: NOPERM.*; there is no preload/,
     '... as the log says');
like(told('00000001'), qr/^allow secured_enough/, 'requests are served');
stop();

redis('ACL', 'SETUSER', 'gate', '+scan');
redis('ACL', 'LOG', 'RESET');
$conf{more} .= ' zone 4m;';
gate(http => http());
ok(preloaded('done'), 'now it does');
is_deeply(redis('ACL', 'LOG'), [], '... and that was all it needed');
stop();


# no connection can be made for longer than it waits, but the link lives

gate(http => http());
ok(wait_for(sub { 2 == trusted('r') }), 'push is up');
redis('ACL', 'SETUSER', 'gate', '-info');

for (split /\n/, redis('CLIENT', 'LIST')) {
    redis('CLIENT', 'KILL', 'ID', $1) if /^id=(\d+) .* sub=0 .* user=gate/;
}

isnt(preload()->{state}, 'done', 'redis is away before it is done');
wait_for(sub { 0 }, 3);
isnt(preload()->{state}, 'done', '... and stays away');
redis('ACL', 'SETUSER', 'gate', '+info');
ok(preloaded('done'), 'it is back: it is done');
unlike(error_log(), qr/unavailable \(push\)/, '... and the link was there');

is(alerts(), '', 'nothing is wrong');

done_testing();


sub http {
    return gated("server unix:$dir/redis.sock; timeout 10s; $conf{more}");
}


sub pseudonym { return substr hmac_sha256_hex($_[0], SECRET), 0, 32 }


sub device_key {
    my ($id) = @_;
    return "$conf{prefix}device:" . ($conf{secret} ? pseudonym("device:$id") : $id);
}


sub alias_key {
    my ($value) = @_;
    return "$conf{prefix}alias:serial:"
        . ($conf{secret} ? pseudonym("alias:serial:$value") : $value);
}


# every tenth has a threat, unless there are many

sub fill {
    my ($n) = @_;
    my ($i, @alias) = 0;

    redis_load(sub {
        return splice @alias if @alias;
        return if $i == $n;

        my $id = sprintf '%08d', $i;
        my $threat = $i++ % 10 || $n > N ? 'secured' : 'highSeverity';

        @alias = ('SET', alias_key($id), "d$id");
        return 'HSET', device_key("d$id"), threat => $threat,
            compliance => 'compliant';
    });
}


sub change {
    my $n = int rand N;
    my $id = sprintf '%08d', $n;
    my $was = $threat{$id} // ($n % 10 ? 'secured' : 'highSeverity');

    $threat{$id} = $was eq 'secured' ? 'highSeverity' : 'secured';
    redis('HSET', device_key("d$id"), threat => $threat{$id});
}


sub all {
    my ($n) = @_;
    return client('gate', '-c', 8, '-n', $n, '-t', '/x?device=', '-k', 'X-Is',
                  '-k', 'X-Lookup');
}


sub lines {
    spew("$dir/lines", "-\t/x?device=00000001\n");
    return "$dir/lines";
}


sub preload {
    my $status = status() or return { state => 'no answer' };
    return $status->{stores}{r}{preload};
}


sub preloaded {
    my ($state) = @_;
    return wait_for(sub { preload()->{state} eq $state }, 120);
}


sub asked {
    my $commands = commands();
    return $commands->{get} + $commands->{hmget};
}


sub scans {
    my ($n) = redis('INFO', 'commandstats') =~ /cmdstat_scan:calls=(\d+)/;
    return $n // 0;
}


sub renewed {
    my @old = gate_reload(http => http());

    wait_for(sub { !grep { alive($_) } @old }) or die 'the old ones stay';
}


sub reloads {
    renewed();
    wait_for(sub { 2 == grep { $_->{trusted} } values %{ stores('r') } })
        or die 'push is not up';
    wait_for(sub { told('00000007') =~ /HIT/ });
}


sub stop {
    my $pid = master();

    kill QUIT => $pid;
    wait_for(sub { !alive($pid) }) or die 'nginx does not end';
    unlink "$dir/nginx.pid", "$dir/gate.sock";
    spew("$dir/logs/error.log", '');
}
