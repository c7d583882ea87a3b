#!/usr/bin/perl

# What a server says behind ASKING is believed as long as any other reply is,
# and is kept by nobody: a change that passes it is not missed, and who comes
# when it has been under way for a while asks himself.  The server is one that
# the gate is told of changes by, or one that it is not.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Gate;
use Names;
use Scripted;
use Servers qw(port);
use Test::More;
use Time::HiRes qw(sleep);

my $dns = dns('guest.test' => '127.0.0.1');
my $port = port();
my %asks = map { $_ => "-ASK 1 $_:$port\\r\\n" } '127.0.0.1', 'guest.test';

my @cases = (['HMGET', 'device:d', 'hset mtd:device:d threat highSeverity'],
             ['GET', 'alias:serial:d', 'set mtd:alias:serial:d e']);

scripted_start($port);
scripted_cluster($port);
scripted_device('d');
scripted_device('e', threat => 'highSeverity');

gate(workers => 1, http => http());
ok(wait_for(sub { trusted('r') == 1 }), 'the worker hears of changes');
is(told(), 'allow secured_enough MISS', 'asked for');
is(told(), 'allow secured_enough HIT', '... and known');


# the server tells of changes

for my $case (@cases) {
    my ($command, $key, $change) = @$case;

    again();
    hold($command, $key, '127.0.0.1');

    my $voided = counter('voided');
    my $waits = asks();

    ok(wait_for(sub { script('held') == 1 }), "the reply to $command is held");
    changes($change);
    script('release');
    is(is_told($waits), 'remediate threat_level',
       '... who waited is not let in by what was before');
    is(counter('voided'), $voided + 1, '... which is counted');
}


# it does not, and is connected to

again();
script("rule GET mtd:alias:serial:d 1 reply $asks{'guest.test'}");
is(told(), 'allow secured_enough MISS', 'there is another server');

for my $case (@cases) {
    my ($command, $key, $change) = @$case;

    again();
    hold($command, $key, 'guest.test');

    my $first = asks();

    ok(wait_for(sub { script('held') == 1 }), "its reply to $command is held");
    script('to none', $change, 'to all');

    # nothing but time makes it too old

    sleep 0.15;

    is(told(), 'remediate threat_level MISS', '... who comes later asks himself');
    is(script('held'), 1, '... and did not wait for it');
    script('release');
    is(is_told($first), 'allow secured_enough',
       '... which is right for who came before');
}

is(alerts(), '', 'nothing is wrong');

done_testing();


sub http {
    return "resolver 127.0.0.1:$dns ipv6=off;\n"
           . gated("cluster on; server 127.0.0.1:$port; zone 1m; timeout 20s;"
                   . ' fresh 1h;');
}


# the device is secured, and nobody knows of it

sub again {
    script('clear');
    scripted_cluster($port);
    changes('hset mtd:device:d threat secured', 'set mtd:alias:serial:d d');
}


# lines of one key each, of which the worker has heard then

sub changes {
    my (@lines) = @_;
    my $heard = counter('invalidations');

    $heard += script($_) for @lines;
    ok(wait_for(sub { counter('invalidations') == $heard }), '... is changed');
}


# the reply to what is asked with ASKING, there

sub hold {
    my ($command, $key, $host) = @_;

    script("rule $command mtd:$key 1 reply $asks{$host}",
           "rule $command mtd:$key 2 hold");
}


# a request on a connection of its own, and its answer

sub asks {
    my $link = IO::Socket::UNIX->new("$dir/gate.sock") or die $!;

    print $link "GET /x?device=d HTTP/1.1\r\nHost: mail.example.com\r\n\r\n";
    $link->flush;

    return $link;
}


sub is_told { return answer($_[0])->{'x-is'} }


sub told {
    my $answer = get('/x?device=d') or return 'no answer';

    return "$answer->{'x-is'} $answer->{'x-lookup'}";
}


sub counter { return status()->{stores}{r}{counters}{$_[0]} }
