#!/usr/bin/perl

# The breaker: redis falls silent, for seconds, under load, and is killed
# again and again.  No request is lost, none waits once the breaker is open,
# each is answered as the policy says, and the log tells of each change once.
# MTD_CHAOS=1 is the long form.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Gate;
use JSON::PP ();
use Test::More;
use Time::HiRes qw(sleep time);

use constant FROZEN => $ENV{MTD_CHAOS} ? 10 : 2;       # seconds
use constant KILLS => $ENV{MTD_CHAOS} ? 200 : 5;
use constant DEVICES => 200;

my %right = (
    good => qr/^200 allow (?:secured_enough|stale_allowed)$/,
    bad => qr/^403 remediate threat_level$/,
    none => qr/^403 block unknown_device$/,
);
my $failure = qr/^503 block store_unavailable$/;

spew("$dir/known", join '', map { "good\t/x?device=good$_\n"
                                  . "bad\t/x?device=bad$_\n" } 1 .. DEVICES);
spew("$dir/all", join '', map { "good\t/x?device=good$_\n"
                                . "bad\t/x?device=bad$_\n"
                                . "none\t/x?device=none$_\n" } 1 .. DEVICES);

# silent from the start: what is sent to a socket that nobody reads is gone

redis_start(\&fill);
redis_signal('STOP');
gate(http => http());
is(told('good1'), '503 block store_unavailable',
   'silent at start: a request waits for its timeout');

my %links = per_worker();

is(breakers(qr/^closed$/), 0, 'then the breaker is open, in both workers');

my $timeouts = sum('timeouts');

is(told('good1'), '503 block store_unavailable', 'the next ones')
    for 1 .. 20;
is(sum('timeouts'), $timeouts, '... do not wait');
is(metric('open') + metric('half_open'), 1, 'the metric says so');

redis_signal('CONT');
ok(wait_for(sub { breakers(qr/^closed$/) == 2 && trusted('r') == 2 }),
   'redis is heard, and the breaker closed');
is(metric('closed'), 1, 'the metric says so');
is(told('good1'), '200 allow secured_enough', 'redis is asked');


# silent under load

my $opened = lines('it did not answer in time, breaker is open');
my $closed = lines('breaker is closed');

run('all', sub {
    my $calm = known();

    redis_signal('STOP');

    # a question to each worker

    my $frozen = time;

    print { $_ } "GET /x?device=new HTTP/1.1\r\nHost: gate\r\n\r\n"
        for values %links;
    $_->flush for values %links;

    is(answer($_)->{'x-is'}, 'block store_unavailable', 'frozen')
        for values %links;
    is(breakers(qr/^closed$/), 0, '... the breaker is open in both workers');
    diag(sprintf 'open %d ms after the first question that was not answered',
         1000 * (time - $frozen));

    my $before = sum('timeouts');
    my $known = known();
    sleep $frozen + FROZEN - time if time < $frozen + FROZEN;

    is(wrong($known), '', 'known devices are decided on by what is known');
    is($known->{answered}, 20000, '... all of them');
    is(sum('timeouts'), $before, '... and nobody waits');
    is(breakers(qr/^(?:open|half_open)$/), 2, 'probes do not close it');
    diag(sprintf 'known devices: %d%% of the rate, %d%% of the CPU time;'
         . ' p99 %s ms, was %s ms', 100 * $calm->{ms} / $known->{ms},
         100 * $known->{cpu} / $calm->{cpu}, $known->{p99}, $calm->{p99});

    my $heard = time;
    redis_signal('CONT');
    ok(wait_for(sub { breakers(qr/^closed$/) == 2 }),
       'heard again: closed in both');
    diag(sprintf 'closed %d ms after redis was heard again',
         1000 * (time - $heard));
});

# a busy machine may silence redis more often

$opened = lines('it did not answer in time, breaker is open') - $opened;
cmp_ok($opened, '>=', 2, 'each worker tells that it is open');
is(lines('breaker is closed') - $closed, $opened,
   '... and that it is closed, once for each time');


# killed

my @back;

my $quiet = run('quiet', sub { answered_more(20000) });
my $killed = run('killed', sub {
    my $n = 0;

    for (1 .. KILLS) {
        redis_stop();
        wait_for(sub { breakers(qr/^closed$/) == 0 }) or last;
        redis_start(\&fill);

        my $start = time;
        wait_for(sub { breakers(qr/^closed$/) == 2 }) or last;
        push @back, 1000 * (time - $start);
        $n++;
    }

    is($n, KILLS, KILLS . ' times killed, noticed, and back');
});

@back = sort { $a <=> $b } @back;
diag(sprintf 'back to used: median %d, longest %d ms; p99 %s ms, without'
     . ' kills %s ms; %d requests', $back[@back / 2], $back[-1],
     $killed->{p99}, $quiet->{p99}, $killed->{answered});

is(alerts(), '', 'nothing is wrong');

done_testing();


sub fill {
    my ($n, $of) = (0, 'good');
    my @next;

    redis_load(sub {
        if (!@next) {
            ($of, $n) = ('bad', 0) if $n == DEVICES && $of eq 'good';
            return if $n++ == DEVICES;

            @next = (['SET', "mtd:alias:serial:$of$n", "$of$n"],
                     ['HSET', "mtd:device:$of$n", 'compliance', 'compliant',
                      'threat', $of eq 'good' ? 'secured' : 'highSeverity']);
        }

        return @{ shift @next };
    });
}


sub http {
    return <<"END";
mtd_redis r { server unix:$dir/redis.sock; zone 4m; unknown 100ms;
    connect_timeout 10s; }
mtd_policy p { }
server {
    listen unix:$dir/gate.sock;
    mtd p; mtd_profile generic; mtd_identify value;
    mtd_value \$arg_device kind=serial;
    add_header X-Pid \$pid always;
    add_header X-Is "\$mtd_decision \$mtd_reason" always;
    location / { empty_gif; }
    location = /status { mtd_status; access_log off; }
}
END
}


# a load of all kinds while something happens: nothing is lost, each answer
# is right

sub run {
    my ($name, $happens) = @_;

    client_start($name, 'gate', '-c', 8, '-f', "$dir/all", '-k', 'X-Is');
    answered_more(2000);
    $happens->();
    answered_more(2000);

    my $result = client_stop($name);

    is($result->{unanswered} + $result->{lost} + $result->{retried}, 0,
       "$name: no request is lost");
    is($result->{answered}, $result->{sent}, "... of $result->{sent}");
    is(wrong($result, $failure), '', '... and each is answered by the policy');

    return $result;
}


sub wrong {
    my ($result, $also) = @_;

    return join ', ', grep {
        my ($class, $told) = split / /, $_, 2;
        $told !~ $right{$class} && (!$also || $told !~ $also);
    } sort keys %{ $result->{counts} };
}


sub answered_more {
    my ($n) = @_;
    my $before = answered();

    wait_for(sub { answered() >= $before + $n }, 30) or die 'no answers';
}


sub answered {
    my $status = status() or return 0;
    my $n = 0;

    $n += $_ for values %{ $status->{stores}{r}{reasons} };

    return $n;
}


# in how many workers it is so

sub breakers {
    my ($state) = @_;
    my $n = 0;

    for my $link (values %links) {
        my $answer = ask($link, "GET /status HTTP/1.1\r\nHost: gate\r\n\r\n");
        my $store = JSON::PP::decode_json($answer->{body})->{stores}{r};

        $n++ if $store->{breaker} =~ $state;
    }

    return $n;
}


sub known {
    my ($cpu, $before) = (cpu(), answered());
    my $result = client('gate', '-c', 8, '-n', 20000, '-f', "$dir/known",
                        '-k', 'X-Is');

    $result->{cpu} = (cpu() - $cpu) / (answered() - $before);

    return $result;
}


# of both workers, in ticks

sub cpu {
    my $ticks = 0;

    for (keys %links) {
        my @stat = split ' ', slurp("/proc/$_/stat") =~ s/^.*\) //sr;
        $ticks += $stat[11] + $stat[12];
    }

    return $ticks;
}


sub sum { return status()->{stores}{r}{counters}{ $_[0] } }


sub metric {
    my ($state) = @_;

    return get('/status?format=prometheus')->{body}
           =~ /^mtd_breaker\{store="r",state="$state"\} ([01])$/m ? $1 : 'none';
}


sub lines {
    my ($what) = @_;
    return scalar(() = error_log() =~ /redis \S+ is \w+ \(data\).* \Q$what\E/g);
}


sub told {
    my ($device) = @_;
    my $answer = get("/x?device=$device") or return 'nothing';

    return "$answer->{status} $answer->{'x-is'}";
}
