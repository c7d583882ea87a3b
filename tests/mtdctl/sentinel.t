#!/usr/bin/perl

# mtdctl by Sentinel: the master is found, also after a failover, and what is
# no master is not written to.

use strict;
use warnings;

use FindBin;
use IO::Socket::INET;
use POSIX ();
use lib "$FindBin::Bin/lib";
use Mtdctl;
use Servers;
use Test::More;

my ($first, $second, $sentinel) = ports(3);
my ($rc, $out, $err);

server($first);
server($second, '--replicaof', '127.0.0.1', $first);
ok(until_true(sub { cli($second, 'INFO', 'replication')
                    =~ /master_link_status:up/ }), 'a replica');

sentinel($sentinel, <<"END");
sentinel monitor mymaster 127.0.0.1 $first 1
sentinel down-after-milliseconds mymaster 1000
sentinel failover-timeout mymaster 3000
END

my @at = ('--sentinel', "mymaster=127.0.0.1:1,127.0.0.1:$sentinel");

($rc, $out, $err) = run(@at, 'device', 'set', 'd1', 'threat=secured',
                        'alias=eas:d1');
is("$rc|$err", '0|', 'written, though the first Sentinel is not there');
is(cli($first, 'HGET', 'mtd:device:d1', 'threat'), 'secured', 'to the master');
is((run(@at, '--database', 3, 'device', 'set', 'd3', 'os=x'))[0], 0,
   'another database');
is((run(@at, acl($first), 'device', 'set', 'd1', 'os=x'))[0], 0,
   'with the user of redis.acl');

my $silent = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 5)
             or die $!;
my @silent = ('--timeout', '3s', '--sentinel', 'mymaster=127.0.0.1:'
              . $silent->sockport . ",127.0.0.1:$sentinel");

($rc, $out, $err) = run(@silent, 'device', 'set', 'd1', 'os=y');
is("$rc|$err", '0|', 'written, though the first Sentinel says nothing');
is(cli($first, 'HGET', 'mtd:device:d1', 'os'), 'y', '...');
is((run(@at, '--sentinel-password-file', file('s', "x\n", 0600), 'device',
        'get', 'd1'))[0], 3, 'a password that the Sentinel does not know');


# wrong

for (
    [ 2, qr/"mymaster" is not NAME=HOST:PORT/, '--sentinel', 'mymaster' ],
    [ 2, qr/is not NAME=HOST:PORT/, '--sentinel', 'mymaster=' ],
    [ 2, qr/is not NAME=HOST:PORT/, '--sentinel', '=a:1' ],
    [ 2, qr/is not NAME=HOST:PORT/, '--sentinel', 'm=,a:1' ],
    [ 2, qr/does not go together with --redis/, @at, '--redis', 'a:1' ],
    [ 2, qr/does not go together with --redis or --cluster/, @at,
      '--cluster' ],
    [ 2, qr/--sentinel-password-file is of no use without --sentinel/,
      '--sentinel-password-file', file('p', "x\n", 0600) ],
    [ 3, qr/Sentinel at 127\.0\.0\.1:$sentinel knows no master "other"/,
      '--sentinel', "other=127.0.0.1:$sentinel" ],
    [ 3, qr/Redis at 127\.0\.0\.1:1: Connection refused/,
      '--sentinel', 'mymaster=127.0.0.1:1' ],
) {
    my ($status, $like, @args) = @$_;

    ($rc, $out, $err) = run(@args, 'device', 'get', 'd1');
    is($rc, $status, "@args");
    like($err, $like, 'message');
}


# one that names what is no server

for my $is ([ 'unix:' . dir() . '/a.sock', 1 ], [ 'a..b', 1 ], [ '127.1', 1 ],
            [ 'x' x 64, 1 ], [ 'x.' x 126 . 'xx', 1 ], [ 'a b', 1 ],
            [ '', 1 ], [ '127.0.0.1', 0 ], [ '127.0.0.1', 65536 ],
            [ '127.0.0.1', "${first}x" ])
{
    my ($pid, $port) = liar(@$is);

    ($rc, $out, $err) = run('--sentinel', "mymaster=127.0.0.1:$port", 'device',
                            'get', 'd1');
    is($rc, 3, "named: \"@$is\"");
    like($err, qr/Redis at 127\.0\.0\.1:$port: strange answer to SENTINEL/,
         'message');
    kill KILL => $pid;
    waitpid $pid, 0;
}


# failover

ok(until_true(sub { cli($sentinel, 'SENTINEL', 'FAILOVER', 'mymaster')
                    eq 'OK' }), 'a failover');
ok(until_true(sub { cli($second, 'ROLE') =~ /^master/ }), 'another master');
ok(until_true(sub { cli($sentinel, 'SENTINEL', 'GET-MASTER-ADDR-BY-NAME',
                        'mymaster') =~ /$second/ }), '... that it knows');
is((run(@at, 'device', 'set', 'd2', 'threat=secured'))[0], 0, 'written');
is(cli($second, 'HGET', 'mtd:device:d2', 'threat'), 'secured', 'to that one');


# one that Sentinel still takes for the master, but is not

signal($sentinel, 'STOP');
my ($lie) = ports(1);
sentinel($lie, "sentinel monitor mymaster 127.0.0.1 $second 5\n");
cli($second, 'REPLICAOF', '127.0.0.1', $first);
($rc, $out, $err) = run('--sentinel', "mymaster=127.0.0.1:$lie", 'device',
                        'set', 'd4', 'threat=secured');
is($rc, 3, 'no master');
like($err, qr/Redis at 127\.0\.0\.1:$second is not the master that a Sentinel/,
     'message');

done_testing();


# a Sentinel that names this server

sub liar {
    my ($host, $port) = @_;
    my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 5)
                 or die $!;
    my $pid = fork() // die $!;

    return ($pid, $socket->sockport) if $pid;

    while (my $link = $socket->accept) {
        sysread $link, my $command, 4096;
        print {$link} "*2\r\n", map { '$' . length($_) . "\r\n$_\r\n" }
                                $host, $port;
        close $link;
    }

    POSIX::_exit(0);
}
