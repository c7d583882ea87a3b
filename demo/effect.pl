#!/usr/bin/perl

# effect.pl SOCKET KEY HOST:PORT DEVICE ROUNDS
#
# How long a change takes to be obeyed: writes a threat into redis, and from
# the moment that redis has acknowledged it sends one request after another,
# in turn over connections to all workers, until one is refused.  The time
# is that of its answer's arrival.

use strict;
use warnings;

use IO::Socket::INET;
use IO::Socket::UNIX;
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

my ($path, $key, $gate, $device, $rounds) = @ARGV;

my $redis = IO::Socket::UNIX->new(Peer => $path) or die "$path: $!\n";
my @gates = map { IO::Socket::INET->new(PeerAddr => $gate)
                      or die "$gate: $!\n" } 1 .. 8;

my $request = "POST /Microsoft-Server-ActiveSync?Cmd=Sync&User=anna"
    . "&DeviceId=$device&DeviceType=iPhone HTTP/1.1\r\n"
    . "Host: mail\r\nMS-ASProtocolVersion: 16.1\r\n"
    . "X-Request-Id: effect\r\nContent-Length: 0\r\n\r\n";

my ($turn, $late) = (0, 0);
my @took;

$SIG{ALRM} = sub { die "no answer for 10 seconds\n" };

for (1 .. $rounds) {
    alarm 10;

    write_threat('highSeverity');
    my $start = clock_gettime(CLOCK_MONOTONIC);

    my $passed = 0;
    $passed++ until refused();

    push @took, (clock_gettime(CLOCK_MONOTONIC) - $start) * 1e6;
    $late += $passed;

    write_threat('secured');
    1 while refused();
}

@took = sort { $a <=> $b } @took;

printf "      %d times, from redis's acknowledgement to the refusal in the"
    . " client's hands:\n      %.0f us at best, %.0f us in the middle,"
    . " %.0f us at worst; %d requests slipped through\n",
    scalar @took, $took[0], $took[$#took / 2], $took[-1], $late;

exit($took[-1] < 1e6 ? 0 : 1);


sub write_threat {
    my ($threat) = @_;

    my @args = ('HSET', $key, 'threat', $threat);

    syswrite $redis, join '', '*' . @args . "\r\n",
        map { '$' . length() . "\r\n$_\r\n" } @args;
    sysread $redis, my $reply, 512 or die "redis: $!\n";

    $reply =~ /^:/ or die "redis: $reply\n";
}


# a mail is long, a refusal is not, and says why in a header

sub refused {
    my $to = $gates[$turn++ % @gates];
    my $answer = '';

    syswrite $to, $request or die "the gate: $!\n";

    until ($answer =~ /\r\n\r\n/) {
        sysread $to, $answer, 8192, length $answer or die "the gate: $!\n";
    }

    my ($head, $body) = split /\r\n\r\n/, $answer, 2;
    my ($length) = $head =~ /^Content-Length: (\d+)/mi
        or die "an answer without a length: $head\n";

    while (length $body < $length) {
        sysread $to, $body, 8192, length $body or die "the gate: $!\n";
    }

    return $head =~ /^X-MTD-Reason: threat_level/mi;
}
