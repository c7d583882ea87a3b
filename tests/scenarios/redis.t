#!/usr/bin/perl

# Redis is absent at start, comes, is killed, restarted, silent and heard
# again, all under load: each request has an answer, and the answer is what
# the policy says.  Client, log and status count the same.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Gate;
use Test::More;
use Time::HiRes qw(time);

# what may be answered, if it is not that of store_failure

my %right = (
    good => qr/^200 allow (?:secured_enough|stale_allowed)/,
    bad => qr/^403 remediate threat_level/,
    none => qr/^403 block unknown_device/,
    cold => qr/^200 allow (?:secured_enough|stale_allowed)/,
);
my %away = (block => qr/^503 block store_unavailable$/,
            allow => qr/^200 allow failure_allowed$/);

my %clients;

start_gate();

my $cold = 2000;
my $line = join '', map { my $n = $_; "good\t/x?device=good\n"
    . "bad\t/x?device=bad\nnone\t/x?device=none$n\n"
    . "cold\t/x?device=cold$n\n" } 0 .. $cold - 1;

spew("$dir/lines", $line);

# absent at start

load();
grows(3000, 'requests are answered without redis');
is(is_told('block', 'good'), '503 block store_unavailable', 'block: 503');
is(is_told('allow', 'good'), '200 allow failure_allowed', 'allow: passes');
like(get('/x?device=good', at => 'block')->{'retry-after'},
     qr/^(?:[6-9]\d|[12]\d\d|300)$/, '... and Retry-After');

# comes

redis_start(\&fill);
back('started');
grows(3000, 'requests go on');

# killed, with what is known and what is not

redis_stop();
grows(6000, 'killed: requests go on');
like(is_told('block', 'good'), qr/^200 allow (?:stale_allowed|secured)/,
     'what is known serves');
is(is_told('block', 'stranger'), '503 block store_unavailable',
   'what is not known: 503');
is(is_told('allow', 'stranger'), '200 allow failure_allowed',
   '... or passes');

redis_start(\&fill);
back('restarted');

# silent

redis_signal('STOP');
ok(wait_for(sub { is_told('block', 'stranger' . rand) =~ /^503/ }),
   'silent: noticed');
grows(2000, '... and requests go on');
redis_signal('CONT');
back('heard again');

# the sums

my (%told, %client, $sent);

for my $policy (sort keys %clients) {
    my $result = client_stop($policy);
    my @wrong;

    is($result->{unanswered} + $result->{lost} + $result->{retried}, 0,
       "$policy: no request without an answer");
    is($result->{answered}, $result->{sent}, '... of ' . $result->{sent});

    for my $key (sort keys %{ $result->{counts} }) {
        my ($class, $told) = split / /, $key, 2;
        my ($code, $is) = $told =~ /^(\d+) (\S+ \S+)/;
        my $answer = "$code $is";

        push @wrong, $key if "$answer" !~ $away{$policy}
            && ($answer !~ $right{$class});
        $client{$answer} += $result->{counts}{$key};
    }

    cmp_ok(total($result, $_), '>', 0, "... $_") for qw(
        good.*secured_enough good.*stale_allowed bad.*threat_level
        none.*unknown_device), $policy eq 'block' ? 'cold.*store_unavailable'
                                                  : 'cold.*failure_allowed';

    is_deeply(\@wrong, [], '... and each is what the policy says')
        or diag(explain($result));
    $sent += $result->{sent};
    diag("$policy: $result->{sent} requests, p50 $result->{p50}, p99"
         . " $result->{p99}, max $result->{max} ms");
}

# those of this test are marked in the log

my $unmarked = 0;

for (split /\n/, access_log()) {
    my ($code, $decision, $reason, $lookup, $mark) = split / /;
    $mark eq 'load' or $unmarked++, next;
    $told{"$code $decision $reason"}++;
}

is_deeply(\%told, \%client, 'the log counts what the clients have');

my $status = status('block')->{stores}{r};
my ($reasons, %sum) = (0);

$reasons += $_ for values %{ $status->{reasons} };
$sum{ (split / /)[2] } += $client{$_} for keys %client;

is($reasons, $sent + $unmarked, 'the status counts all')
    or diag(explain($status));

cmp_ok($status->{reasons}{$_}, '>=', $sum{$_}, "... $_: $sum{$_}")
    for sort keys %sum;

is(alerts(), '', 'nothing is wrong');

done_testing();


sub start_gate {
    my $servers = join '', map { <<"END" } qw(block allow);
server {
    listen unix:$dir/$_.sock;
    mtd $_; mtd_profile generic; mtd_identify value;
    mtd_value \$arg_device kind=serial;
    add_header X-Is "\$mtd_decision \$mtd_reason" always;
    location / { empty_gif; }
    location = /status { mtd_status; access_log off; }
}
END

    gate(http => <<"END");
mtd_redis r { server unix:$dir/redis.sock; zone 4m; }
mtd_policy block { store_failure block; }
mtd_policy allow { store_failure allow; }
$servers
END
}


sub fill {
    device('good');
    device('bad', threat => 'highSeverity');

    my $n = 0;
    my @next;

    redis_load(sub {
        return shift(@next), 'mtd:alias:serial:cold' . ($n - 1), @{ shift @next }
            if @next;
        return if $n == $cold;

        @next = ('SET', ["cold$n"]);
        return 'HSET', 'mtd:device:cold' . $n++, 'threat', 'secured',
            'compliance', 'compliant';
    });
}


sub load {
    for my $policy (qw(block allow)) {
        $clients{$policy} = client_start($policy, $policy, '-c', 8, '-f',
            "$dir/lines", '-H', 'X-Mark: load', '-k', 'X-Is');
    }
}


# no client has stopped, and that many more are answered

sub grows {
    my ($n, $name) = @_;
    my $before = answered();

    ok(wait_for(sub { answered() >= $before + $n }, 30), $name)
        or diag(answered() - $before . ' more');
}


sub answered {
    my $status = status('block') or return 0;
    my $n = 0;

    $n += $_ for values %{ $status->{stores}{r}{reasons} };

    return $n;
}


sub is_told {
    my ($policy, $device) = @_;
    my $answer = get("/x?device=$device", at => $policy) or return 'nothing';

    return "$answer->{status} $answer->{'x-is'}";
}


# both workers decide by redis again

sub back {
    my ($name) = @_;
    my ($start, $n) = (time, 0);

    ok(wait_for(sub {
        2 == grep { $_->{trusted} && $_->{data} eq 'up' }
            values %{ stores('r', 'block') };
    }), "$name: redis is back");

    diag(sprintf '%s: back %d ms after it answered', $name,
         1000 * (time - $start));
    like(is_told('block', "stranger$name" =~ tr/ /-/r),
         qr/^403 block unknown_device/, '... and asked');
}
