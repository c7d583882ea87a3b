#!/usr/bin/perl

# A refused device that comes again and again is asked to wait, longer each
# time, has a few lines in the log, and costs redis nothing; all of its
# refusals are counted.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Gate;
use Test::More;
use Time::HiRes qw(sleep time);

my $secret = 'x' x 16;

redis_start(sub {
    device('bad', threat => 'highSeverity');
    device('evil', action => 'block');
    device('good');
    device('slow', threat => 'highSeverity');
    device("early$_", threat => 'highSeverity') for 1 .. 40;
    redis('ACL', 'SETUSER', 'deaf', 'on', ">$secret", '~*', '+@all',
          '-client|tracking');
});

spew("$dir/password", $secret);
chmod 0600, "$dir/password";

gate(workers => 1, http => <<"END");
mtd_redis r { server unix:$dir/redis.sock; zone 1m; }
mtd_redis deaf { server unix:$dir/redis.sock; zone 1m; timeout 10s;
                 user deaf; password file:$dir/password; }
mtd_policy p { }
map \$mtd_threat \$by_threat { default p; }
server {
    listen unix:$dir/gate.sock;
    mtd p store=r; mtd_profile exchange; mtd_identify eas value;
    mtd_value \$http_x_device kind=serial;
    add_header X-Is "\$mtd_decision \$mtd_reason \$mtd_lookup" always;
    location / { empty_gif; }
    location = /status { mtd_status; }
}
server {
    listen unix:$dir/deaf.sock;
    mtd \$by_threat store=deaf; mtd_profile generic; mtd_identify value;
    mtd_value \$http_x_device kind=serial;
    add_header X-Is "\$mtd_decision \$mtd_reason \$mtd_lookup" always;
    location / { empty_gif; }
}
END

ok(wait_for(sub { (values %{ stores('r') })[0]{trusted} }), 'the gate is up');


# how long to wait: nothing for ten, then twice as long each time, less what
# sets devices apart

my @expected = ((0) x 10, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300);
my @waits = map { get('/owa', headers => ['X-Device: bad']) } @expected;

is(scalar(grep { $_->{'x-is'} =~ /^remediate threat_level / } @waits),
   scalar @expected, 'a device is refused again and again');

for my $n (0 .. $#expected) {
    my $wait = $waits[$n]{'retry-after'} // 0;
    my $least = $expected[$n] - int($expected[$n] / 2);

    ok($least <= $wait && $wait <= $expected[$n],
       sprintf 'refusal %d asks to wait for %d to %d s', $n + 1, $least,
               $expected[$n]) or diag($wait);
}

is(get('/owa', headers => ['X-Device: good'])->{'retry-after'}, undef,
   'others are not');
is(get('/owa', headers => ['X-Device: evil'])->{'retry-after'}, undef,
   '... nor is another one that is refused');


# ActiveSync says it beside its own answer

my @eas = map { sync('evil') } 1 .. 12;

is($eas[-1]{status}, 200, 'ActiveSync is answered as ever');
like($eas[-1]{body}, qr/129/, '... with its status');
like($eas[-1]{'retry-after'}, qr/^[1-4]$/, '... and asked to wait');

is(get('/ews/x', headers => ['X-Device: evil'])->{status}, 403, 'EWS');


# one without a record, by its id

my @unknown = map { sync('nobody') } 1 .. 11;

is($unknown[-1]{'retry-after'}, 1, 'an unknown device is asked to wait');
is(sync('somebody')->{'retry-after'}, undef, '... and not the next one');


# lines of the log, and counters

get('/metrics') for 1 .. 100;
get('/owa') for 1 .. 20;

# a flood of ids does not drive out the client that they come from

my $flood = 6000;

get('/owa', headers => ["X-Device: flood$_"]) for 1 .. $flood;

# ... nor do they have lines of their own, each coming more than ten times

for my $n (1 .. 100) {
    get('/owa', headers => ["X-Device: many$n"]) for 1 .. 12;
}

my %lines = lines();

is($lines{bad}, 10, 'ten lines of a device');
ok($lines{refused} == 60 || $lines{refused} > 60 && $lines{next} >= 59,
   'sixty in a minute of a client that is not known') or diag(explain(\%lines));

my $counters = (values %{ stores('r') })[0];

is($counters->{counters}{remediated}, @expected, 'all are counted');
is($counters->{reasons}{admin_block}, 14, '... by reason');
is($counters->{reasons}{path_refused}, 100, '... also without a device');
is($counters->{reasons}{unidentified}, 20, '... at all');
is($counters->{reasons}{unknown_device}, 12 + $flood + 1200,
   '... and by it');
is($counters->{counters}{blocked}, 146 + $flood + 1200, '... in sum');


# in another store it is another device

my $other = deaf('bad');

is($other->{'x-is'}, 'remediate threat_level MISS', 'a device of two stores');
is($other->{'retry-after'}, undef, '... waits for one of them only');


# redis is not asked about one that does not wait, though nobody is told of
# changes there and what is known is old within 100 ms

is(deaf('good')->{'x-is'}, 'allow secured_enough MISS', 'nobody is told');
deaf('slow') for 1 .. 25;

my $start = time;
my ($refused, $asked) = (0, 0);
my $before = commands();

while (time - $start < 1) {
    my $answer = deaf('slow');

    $asked++ if $answer->{'x-is'} !~ / HIT$/;
    $refused++ if $answer->{'x-is'} =~ /^remediate threat_level /;
    sleep 0.02;
}

my $after = commands();

cmp_ok($refused, '>', 1, "$refused refusals");
is($asked, 0, '... none waits for redis');
is($after->{hmget} - $before->{hmget}, 0, '... redis hears nothing of them');
is(deaf('good')->{'x-is'}, 'allow secured_enough MISS',
   'one that is not refused is asked about');

redis('HSET', 'mtd:device:slow', 'threat', 'secured');

ok(wait_for(sub { deaf('slow')->{'x-is'} =~ /^allow / }, 20),
   'one that is well again passes before its time is over');

redis('HSET', 'mtd:device:slow', 'threat', 'highSeverity');

ok(wait_for(sub { deaf('slow')->{'x-is'} =~ /^remediate / }, 20),
   '... and one that is not is refused');


# who waits as long as it was told to is looked up again, though others were
# told to wait longer

my ($early, $told, $when) = (0, 0);

while ($told != 2 && $early < 40) {
    $early++;
    $told = deaf("early$early")->{'retry-after'} // 0 for 1 .. 13;
    $when = time;
}

is($told, 2, 'a device is told to wait for 2 s of at most 4');

wait_for(sub { time >= $when + $told });
is(deaf("early$early")->{'x-is'}, 'remediate threat_level MISS',
   '... and after these redis is asked');


# those without a line get one together, at the latest when the worker ends

my $old = (workers())[0];

gate_signal('HUP');
ok(wait_for(sub { !alive($old) }), 'the worker ends');

my $log = error_log();
my ($device) = $log =~ /mtd remediate: threat_level, reference: \w+, device: (\w+)/;

like($log, qr/mtd: 12 more refusals of this device in the last minute, device: $device\n/,
     'how many there were of a device');

my $more = 0;
$more += $1 while $log =~ /mtd: (\d+) more refusals of this client/g;

my %now = lines();

is($now{refused} + $more, 100 + 20 + 12 + $flood + 1200,
   'none of a client is lost');
cmp_ok(scalar(() = $log =~ /more refusals of this device/g), '<', 60,
       'ids that it has thought of have no lines');
is(alerts(), '', 'nothing is wrong');

done_testing();


sub sync {
    my ($id) = @_;
    my $link = IO::Socket::UNIX->new("$dir/gate.sock") or die $!;

    return ask($link, "POST /Microsoft-Server-ActiveSync?Cmd=Sync&User=u"
               . "&DeviceId=$id&DeviceType=t HTTP/1.1\r\nHost: a\r\n"
               . "MS-ASProtocolVersion: 16.1\r\nContent-Length: 0\r\n"
               . "Connection: close\r\n\r\n");
}


sub deaf {
    return get('/x', at => 'deaf', headers => ["X-Device: $_[0]"]);
}


# how many; next: seconds from the first of a client to the 61st

sub lines {
    my %lines = (bad => 0, refused => 0);
    my $first;

    for (split /\n/, error_log()) {
        $lines{bad}++ if /mtd remediate: threat_level/;
        next if !/mtd block: (?:path_refused|unidentified|unknown_device)/;

        my $second = (/ (\d\d):(\d\d):(\d\d) / ? $1 * 3600 + $2 * 60 + $3 : 0);

        $first //= $second;
        $lines{next} = ($second - $first) % 86400 if ++$lines{refused} == 61;
    }

    return %lines;
}
