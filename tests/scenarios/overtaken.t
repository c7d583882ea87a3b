#!/usr/bin/perl

# Replies and invalidations in another order than they were made in, between
# two workers that share a zone: what an invalidation, read by either of them,
# has overtaken is not believed.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Gate qw(:DEFAULT told);
use Scripted;
use Test::More;

scripted_start();
scripted_device('d');

gate(http => http());
ok(wait_for(sub { trusted('r') == 2 }), 'both workers hear of changes');

my %links = per_worker();
my ($one, $two) = sort keys %links;

is(told('d', $links{$one}), 'allow secured_enough MISS', 'asked for');
is(told('d', $links{$two}), 'allow secured_enough HIT', '... and known to both');

# the reply to one is on its way when the device changes, and comes when the
# change has been heard of by both, by itself, by the other alone; or what
# changes is the alias

for my $case (map { my $key = $_; map { [$key, $_] } 'all', $one, $two }
              'device:d', 'alias:serial:d')
{
    my ($key, $hears) = @$case;
    my $command = $key eq 'device:d' ? 'HMGET' : 'GET';
    my $who = $hears eq 'all' ? 'each' : $hears eq $one ? 'who asked' : 'the other';

    script('to all', 'clear', 'hset mtd:device:d threat secured',
           'set mtd:alias:serial:d d',
           'hset mtd:device:e threat highSeverity compliance compliant',
           "rule $command mtd:$key 1 hold");

    my $voided = counter('voided');

    asks($one);
    ok(wait_for(sub { script('held') == 1 }), "the reply to $command is held");

    my $heard = counter('invalidations');

    $heard += script("to $hears", $key eq 'device:d'
                                  ? "hset mtd:$key threat highSeverity"
                                  : "set mtd:$key e");
    ok(wait_for(sub { counter('invalidations') == $heard }),
       "... of the change $who knows");
    is(told('d', $links{$two}), 'remediate threat_level MISS',
       '... the other asks')
        if $hears ne $one;

    script('release');

    is(answer($links{$one})->{'x-is'}, 'remediate threat_level',
       '... the reply that comes then is void');
    like(told('d', $links{$_}), qr/^remediate threat_level (?:HIT|MISS)$/,
         '... and not kept') for $one, $two, $one;
    is(counter('voided'), $voided + 1, '... which is counted');
}

# each reply is overtaken: who waited before the last was asked for has it,
# who came after the change has not

script('to all', 'clear', 'hset mtd:device:d threat secured',
       'set mtd:alias:serial:d d');
is(told('d', $links{$_}),
   'allow secured_enough ' . ($_ eq $one ? 'MISS' : 'HIT'), 'known')
    for $one, $two;
script('rule GET mtd:alias:serial:d * hold', 'tell mtd:alias:serial:d');

my $late = IO::Socket::UNIX->new("$dir/gate.sock");

for (1 .. 500) {
    last if ask($late, "GET /x?device=none HTTP/1.1\r\n"
                       . "Host: mail.example.com\r\n\r\n")->{'x-pid'} eq $one;
    $late = IO::Socket::UNIX->new("$dir/gate.sock");
}

asks($one);

for my $ask (1 .. 3) {
    ok(wait_for(sub { script('held') == 1 }), "ask $ask");

    my $heard = counter('invalidations');

    $heard += script('set mtd:alias:serial:d ' . ($ask == 3 ? 'e' : 'd'));
    ok(wait_for(sub { counter('invalidations') == $heard }), '... overtaken');
    script('release') if $ask < 3;
}

print $late "GET /x?device=d HTTP/1.1\r\nHost: mail.example.com\r\n\r\n";
$late->flush;
ok(wait_for(sub { waiting() == 2 }), 'another one comes, and waits');

script('release');
is(answer($links{$one})->{'x-is'}, 'allow secured_enough', 'before the change');
ok(wait_for(sub { script('held') == 1 }), 'asked for once more');
script('release');
is(answer($late)->{'x-is'}, 'remediate threat_level', 'after the change');

script('clear');

is(journalled(qr{\thold$}), 10, 'ten replies were held');
is(alerts(), '', 'nothing is wrong');

done_testing();


sub http {
    return gated("server unix:$dir/redis.sock; zone 1m; timeout 20s; fresh 1h;",
                 more => 'location = /waiting { mtd off; stub_status; }');
}


sub asks {
    my ($pid) = @_;

    print { $links{$pid} } "GET /x?device=d HTTP/1.1\r\n"
                           . "Host: mail.example.com\r\n\r\n";
    $links{$pid}->flush;
}


sub waiting {
    my ($n) = get('/waiting')->{body} =~ /Writing: (\d+)/;
    return $n - 1;
}


sub counter { return status()->{stores}{r}{counters}{ $_[0] } }
