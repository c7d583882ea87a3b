#!/usr/bin/perl

# What servers call a name and is none is not looked up, in a map, in MOVED, by
# a Sentinel, or in its messages; and does no other harm.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Gate;
use IO::Select;
use IO::Socket::INET;
use IO::Socket::UNIX;
use Names;
use Scripted;
use Servers;
use Test::More;

my $long = join '.', ('x' x 63) x 3, 'y' x 61;         # 253

my %hostile = (
    'a blank' => 'a b.test', 'a line' => "a.test\r\nx", 'a NUL' => "a\0.test",
    'an empty part' => 'a..test', 'a dot before' => '.a.test',
    'two dots behind' => 'a.test..', 'a hyphen before' => '-a.test',
    'a hyphen behind' => 'a.test-', 'a long part' => 'x' x 64 . '.test',
    'a long name' => "x.$long", 'a byte more' => "${long}y",
    'a cut name' => "$long.cut", 'a path' => '../a.test',
    'a socket' => 'unix:/tmp/a', 'a port' => 'a.test:1', 'a URL' => 'a.test/x',
    'a variable' => '$a.test', 'a percent sign' => '%2e.test',
    'another alphabet' => "\xc3\xa4.test", 'brackets' => '[::1]',
    'an old address' => '127.1', 'a hexadecimal one' => '0x7f.0x1',
    'one number' => '2130706433', 'an address with a dot' => '127.0.0.1.',
    'a number behind' => 'a.7', 'a format' => '%s%n.test', 'a dot' => '.',
    'a megabyte' => 'a' x 60000
);
my %legal = ('a.test' => 'a.test', 'Upper.Test' => 'upper.test',
             'under_score.test' => 'under_score.test', 'dot.test.' => 'dot.test',
             'single' => 'single', '3f2a9c' => '3f2a9c', '7.test' => '7.test',
             "$long." => $long);

my $dns = dns();

scripted_start();
script('rule CLUSTER INFO * reply ' . bulk('cluster_current_epoch:1'),
       'rule INFO * * reply ' . bulk("run_id:${\ ('a1' x 20) }\r\nrole:master\r\n"));
gate(workers => 1, http => <<"END");
resolver 127.0.0.1:$dns ipv6=off;
mtd_redis cluster { cluster on; server unix:$dir/redis.sock; unknown 1ms; timeout 2s; }
mtd_redis sentinel { sentinel m unix:$dir/redis.sock; }
mtd_policy p { }
server {
    listen unix:$dir/gate.sock;
    mtd p store=cluster; mtd_profile generic; mtd_identify value;
    mtd_value \$arg_device kind=serial;
    add_header X-Is "\$mtd_decision \$mtd_reason" always;
    location / { empty_gif; }
    location /s { mtd p store=sentinel; empty_gif; }
    location = /status { mtd_status; }
}
END

my ($worker) = wait_for(sub { (workers())[0] });
my $devices = 0;
my $relay = relay();


# in a map

for my $what (sort keys %hostile) {
    ok(!looked_up(sub { slots($hostile{$what}) }, 'SLOTS'),
       "$what in a map is not looked up");
}

like(error_log(), qr/does not tell where each master is/, '... but logged');
ok(looked_up(sub { slots($_) }, 'SLOTS', $legal{$_}),
   substr($_, 0, 20) . ' in a map is') for sort keys %legal;
is(told('/x'), 'block store_unavailable', '... and nobody is let in');


# "?" with something else than an address beside it, and with nothing

ok(!looked_up(sub { slots('?', '*2' . crlf() . one('ip') . one($_)) },
              'SLOTS'), '"?" beside ' . substr $_, 0, 10)
    for 'a b', '', '?', '127.1';
ok(!looked_up(sub { slots('?') }, 'SLOTS'), '"?" alone');
ok(!looked_up(sub { slots('?', '*1' . crlf() . one('ip')) }, 'SLOTS'),
   '"?" and half of more');


# by a Sentinel

for my $what (sort keys %hostile) {
    ok(!looked_up(sub { sentinel_says($hostile{$what}) },
                  'GET-MASTER'),
       "$what by a Sentinel is not looked up");
}

ok(looked_up(sub { sentinel_says($_) }, 'GET-MASTER', $legal{$_}),
   substr($_, 0, 20) . ' by a Sentinel is') for sort keys %legal;
is(told('/s'), 'block store_unavailable', '... and nobody is let in');
ok(!looked_up(sub { sentinel_says('port.test', $_) },
              'GET-MASTER'), "port \"$_\"")
    for 0, 65536, -1, 'x', '';


# in the messages of a Sentinel, and in redirections, once there is a server

for my $what (grep { length $hostile{$_} < 4000 } sort keys %hostile) {
    sentinel_says('127.0.0.1', $relay);
    push_it("m old.test 1 $hostile{$what} 1");
}

unlike(error_log(), qr/the master is now at/, 'no message is believed');
push_it('m old.test 1 new.test 1');
ok(wait_for(sub { error_log() =~ /the master is now at new\.test:1/ }),
   '... but one');

script('clear');
rules();
slots('127.0.0.1', undef, $relay);
ok(wait_for(sub { told('/x') eq 'block unknown_device' }), 'a server is asked');

for my $what (grep { !/line|megabyte/ } sort keys %hostile) {
    ok(!looked_up(sub { moved($_, $hostile{$what}) }), "$what in $_")
        for qw(MOVED ASK);
}

ok(!looked_up(sub { moved($_, '?') }), "\"?\" in $_") for qw(MOVED ASK);
unlike(error_log(), qr/redis 127\.0\.0\.1:1 is/, '... leads nowhere');
ok(looked_up(sub { moved('MOVED', 'moved.test') }, undef, 'moved.test'),
   'a name in MOVED is looked up');
ok(looked_up(sub { moved('ASK', 'ask.test') }, undef, 'ask.test'),
   'a name in ASK is, too');


# guests are not more than masters

# on a busy machine one may fall into a pause of the breaker

my $guests = 0;

for (1 .. 1000) {
    $guests++ if eval { moved('ASK', "guest$_.test"); 1 };
    last if $guests == 300;
}

is($guests, 300, 'there are many guests');
ok(wait_for(sub { guests_asked_for() >= 250 }), '... that are looked up');
cmp_ok(guests_asked_for(), '<=', 256, '... up to a number');

is((workers())[0], $worker, 'the worker is the same');
is(alerts(), '', 'nothing is wrong');

done_testing();


sub crlf { return "\r\n" }
sub one { return '$' . length($_[0]) . "\r\n$_[0]\r\n" }
sub bulk { return escaped(one($_[0])) }


sub rules {
    script('rule CLUSTER INFO * reply ' . bulk('cluster_current_epoch:1'),
           'rule INFO * * reply '
           . bulk("run_id:${\ ('a1' x 20) }\r\nrole:master\r\n"));
}


# a map with one master

sub slots {
    my ($host, $more, $port) = @_;

    $port //= 1;
    script('clear');
    rules();
    script('rule CLUSTER SLOTS * reply '
           . escaped("*1\r\n*3\r\n:0\r\n:16383\r\n*" . ($more ? 4 : 3) . "\r\n"
                     . one($host) . ":$port\r\n" . one('id') . ($more // '')));
}


sub sentinel_says {
    my ($host, $port) = @_;

    $port //= 1;
    script('clear');
    rules();
    script('rule SENTINEL GET-* * reply '
           . escaped("*2\r\n" . one($host) . one($port)),
           'rule SENTINEL MASTER * reply '
           . escaped("*2\r\n" . one('config-epoch') . one(1)));
}


sub push_it {
    script('push ' . escaped("*3\r\n" . one('message') . one('+switch-master')
                             . one($_[0])));
}


sub moved {
    my ($word, $host) = @_;

    script('clear');
    rules();
    script('rule CLUSTER SLOTS * silence',
           'rule GET * * reply ' . escaped("-$word 1 $host:1\r\n"));

    my $count = journalled("\tGET\t");

    told('/x');
    journalled("\tGET\t") > $count or die 'it was not asked';
}


# the name is asked for; without one: nothing new is, though it was answered

sub looked_up {
    my ($code, $command, $name) = @_;

    return looked_up_now($code, $name) if $name;

    my %seen = seen_names();

    $code->();

    if ($command) {
        my $count = journalled("\t$command");

        wait_for(sub { journalled("\t$command") >= $count + 2 })
            or die "$command is not asked";
    }

    my %now = seen_names();

    return grep { !$seen{$_} && !/^(?:moved|ask|guest\d+)\.test$/ } keys %now;
}


sub looked_up_now {
    my ($code, $name) = @_;
    my $count = asked_for("^\Q$name\E\$");

    $code->();

    return wait_for(sub { asked_for("^\Q$name\E\$") > $count });
}


sub guests_asked_for { my %seen = seen_names(); grep { /^guest/ } keys %seen }


sub seen_names { return map { $_ => 1 } split /\n/, slurp("$dir/asked") }


sub told {
    my ($path) = @_;
    my $answer = get("$path?device=x" . ++$devices) or return 'no answer';

    return $answer->{'x-is'};
}


# a port that leads to the socket

sub relay {
    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
                                       Listen => 64) or die $!;

    child(sub {
        my $select = IO::Select->new($listen);
        my %peer;

        for (;;) {
            for my $from ($select->can_read) {

                if ($from == $listen) {
                    my $one = $listen->accept or next;
                    my $two = IO::Socket::UNIX->new("$dir/redis.sock") or next;

                    @peer{$one, $two} = ($two, $one);
                    $select->add($one, $two);

                } elsif (!sysread $from, my $text, 65536) {
                    $select->remove($from);
                    shutdown $peer{$from}, 1;

                } else {
                    syswrite $peer{$from}, $text;
                }
            }
        }
    });

    return $listen->sockport;
}
