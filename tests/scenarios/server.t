#!/usr/bin/perl

# A redis that is not next door: its name resolved at run time, its answers
# late, its address leading to another server.

use strict;
use warnings;

use FindBin;
use IO::Select;
use IO::Socket::INET;
use IO::Socket::UNIX;
use lib "$FindBin::Bin/../lib";
use Gate qw(:DEFAULT told);
use Servers qw(child server);
use Test::More;
use Time::HiRes qw(sleep time);

use constant LATENCY => 0.03;

redis_start(sub {
    device('good');
    device('bad', threat => 'highSeverity');
    device($_) for map { "d$_" } 0 .. 63;
});


# late answers: a pipeline that is never empty is no silence

my $late = relay("$dir/late.sock", "$dir/redis.sock", LATENCY);

gate(workers => 1, http => http("unix:$dir/late.sock", 'timeout 250ms; fresh 1ms;'));
ok(wait_for(sub { told('good') eq 'allow secured_enough MISS' }),
   'late, but there');

my $before = status()->{stores}{r}{counters};

for my $n (1 .. 3) {
    spew("$dir/lines$n", join '', map { "$_\t/x?device=d$_\n" }
                                      16 * $n .. 16 * $n + 15);
    client_start("load$n", 'gate', '-c', 8, '-f', "$dir/lines$n", '-k', 'X-Is');
    sleep 0.6 * LATENCY;        # one after the other, so that never all wait
}

ok(wait_for(sub { status()->{stores}{r}{counters}{lookups}
                  >= $before->{lookups} + 600 }, 30), '600 questions');
my @loads = map { client_stop("load$_") } 1 .. 3;
my $after = status()->{stores}{r}{counters};

is($after->{failures} - $before->{failures}, 0,
   'no connection was lost');
cmp_ok(total($_, ' 200 allow secured_enough'), '>', 30, 'all went on')
    for @loads;
is(total($_, 'stale_allowed|store_unavailable'), 0, '... with answers')
    for @loads;


# another server behind the address, with other records

symlink "$dir/redis.sock", "$dir/now.sock" or die $!;
gate(reload => 1, http => http("unix:$dir/now.sock", 'fresh 1h;'));
ok(wait_for(sub { status()->{stores}{r}{trusted}
                  && told('good') eq 'allow secured_enough HIT' }),
   'known, and believed for an hour');

my $other = server('--unixsocket', "$dir/other.sock", '--unixsocketperm', 777);

$other->device('good', threat => 'highSeverity');
symlink "$dir/other.sock", "$dir/new.sock" or die $!;
rename "$dir/new.sock", "$dir/now.sock" or die $!;

gate_reload(http => http("unix:$dir/now.sock", 'fresh 1h;'));
ok(wait_for(sub { status()->{stores}{r}{data} eq 'up' }), '... and connected');
is(told('good'), 'remediate threat_level MISS',
   'what the other server says counts');


# two servers behind one address, of which the one is asked and the other tells
# of changes: the right one is looked for, but not in circles

my $began = time;

router("$dir/two.sock", "$dir/redis.sock", "$dir/other.sock");
gate(reload => 1, workers => 1, http => http("unix:$dir/two.sock", ''));
ok(wait_for(sub { (-s "$dir/routed" // 0) >= 3 }),
   'two servers: it connects anew, again');
cmp_ok(-s "$dir/routed", '<=', 2 + time - $began, '... once a second at most');
ok(wait_for(sub { told('good') =~ /^allow secured_enough/ }),
   '... and answers meanwhile');


# a name, asked for at run time; the answer takes longer than no time

my $tcp = server();
my $dns = dns();

$tcp->device('tcp');

gate(reload => 1, main => '', http => "resolver 127.0.0.1:$dns ipv6=off;"
     . http("redis.test:$tcp->{port}", ''));
ok(wait_for(sub { my @w = workers(); @w && told('tcp') eq
                  'allow secured_enough HIT' }), 'found by its name');
unlike(error_log(), qr/could not be resolved/, 'at the first try');

is(alerts(), '', 'nothing is wrong');

done_testing();


sub http {
    my ($server, $more) = @_;

    return gated("server $server; zone 1m; $more");
}


# connections to $at are passed on to $to, both ways that much later

sub relay {
    my ($at, $to, $late) = @_;
    my $listen = IO::Socket::UNIX->new(Local => $at, Listen => 64) or die $!;

    chmod 0777, $at;

    child(sub {
        my $select = IO::Select->new($listen);
        my (%peer, @queue);

        for (;;) {
            my $wait = @queue ? $queue[0][0] - time : 1;

            for my $from ($select->can_read($wait > 0 ? $wait : 0)) {

                if ($from == $listen) {
                    my $one = $listen->accept or next;
                    my $two = IO::Socket::UNIX->new($to) or next;

                    @peer{$one, $two} = ($two, $one);
                    $select->add($one, $two);
                    next;
                }

                my $n = sysread $from, my $text, 65536;

                push @queue, [time + $late, $peer{$from}, $text];
                $select->remove($from) if !$n;
            }

            while (@queue && $queue[0][0] <= time) {
                my (undef, $link, $text) = @{ shift @queue };

                length $text ? syswrite $link, $text : shutdown $link, 1;
            }
        }
    });
}


# connections that ask go to $data, those that listen to $link; of each that
# asks a byte is written

sub router {
    my ($at, $data, $link) = @_;
    my $listen = IO::Socket::UNIX->new(Local => $at, Listen => 64) or die $!;

    chmod 0777, $at;

    child(sub {
        my $select = IO::Select->new($listen);
        my (%peer, %text);

        open my $routed, '>', "$dir/routed" or die $!;
        $routed->autoflush(1);

        for (;;) {
            for my $from ($select->can_read) {

                if ($from == $listen) {
                    $select->add(scalar $listen->accept);
                    next;
                }

                my $n = sysread $from, my $text, 65536;

                if (!$n) {
                    $select->remove($from);
                    shutdown $peer{$from}, 1 if $peer{$from};
                    next;
                }

                if (!$peer{$from}) {
                    $text = $text{$from} = ($text{$from} // '') . $text;
                    $text =~ /PING|CLIENT/ or next;

                    my $asks = $text !~ /CLIENT/;
                    my $to = IO::Socket::UNIX->new($asks ? $data : $link)
                        or next;

                    print $routed '.' if $asks;
                    @peer{$from, $to} = ($to, $from);
                    $select->add($to);
                }

                syswrite $peer{$from}, $text;
            }
        }
    });
}


# one that says 127.0.0.1 to everything, after a while

sub dns {
    my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
                                       Proto => 'udp') or die $!;
    child(sub {
        for (;;) {
            my $from = recv($socket, my $ask, 512, 0) // next;
            my ($id) = unpack 'n', $ask;
            my $question = substr $ask, 12;

            sleep LATENCY;
            send $socket, pack('n6', $id, 0x8180, 1, 1, 0, 0) . $question
                 . pack('n3 N n C4', 0xc00c, 1, 1, 1, 4, 127, 0, 0, 1),
                 0, $from;
        }
    });

    return $socket->sockport;
}
