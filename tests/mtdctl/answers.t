#!/usr/bin/perl

# A server that answers with what Redis does not: mtdctl says so, and neither
# crashes nor takes it for done.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Answers;
use Mtdctl;
use Test::More;

my %wrong = (
    nil => "\$-1\r\n",
    'nil array' => "*-1\r\n",
    integer => ":7\r\n",
    status => "+strange\r\n",
    string => bulk('strange'),
    error => "-ERR strange\r\n",
    'empty array' => array(),
    'short array' => array(bulk('0')),
    'array of nil' => array("\$-1\r\n", "\$-1\r\n"),
    'array of integers' => array(":0\r\n", ":0\r\n"),
    'array of errors' => array("-ERR a\r\n", "-ERR b\r\n"),
    'nested array' => array(array(bulk('0')), array()),
    'deeper array' => array(bulk('0'), array(array(bulk('0')))),
    'array with a hole' => array(bulk('0'), array("\$-1\r\n")),
);

# what Redis may well answer, and so mtdctl's own tests of it are elsewhere

my %right = (
    (map { $_ => 'status' } qw(ASKING AUTH MULTI QUEUED SELECT UNWATCH WATCH)),
    (map { $_ => 'integer' } qw(DEL EXPIRE HDEL HSET SADD SREM TTL)),
    CLUSTER => 'empty array',
    EXEC => 'nil|nil array',
    GET => 'nil|nil array|string',
    HGETALL => 'empty array',
    SENTINEL => 'nil|nil array',
    SET => 'status|nil|nil array',
    TYPE => 'status',
    XADD => 'string',
);

my $csv = file('rows.csv', "id,threat,alias:eas,user\n"
               . "d1,secured,e1,v\@example.com\nd3,secured,e3,\n");
my @server = ('--redis', '127.0.0.1:PORT');
my @commands = (
    [ 'device', 'set', 'd1', 'threat=secured' ],
    [ '--force', 'device', 'set', 'd1', 'user=v@example.com', 'alias=eas:e1' ],
    [ 'device', 'get', 'd1' ],
    [ 'device', 'get', 'eas:e1' ],
    [ 'device', 'list' ],
    [ 'device', 'erase', 'd1' ],
    [ '--force', 'alias', 'set', 'eas', 'e2', 'd1' ],
    [ 'alias', 'get', 'eas', 'e1' ],
    [ 'alias', 'erase', 'eas', 'e1' ],
    [ 'alias', 'list', 'd1' ],
    [ '--force', 'import', $csv ],
    [ '--force', 'import', '--strict', $csv ],
    [ 'bypass', '30m', '--why', 'x' ],
    [ 'bypass', 'end' ],
    [ '--database', '1', '--password-file', file('p', "x\n", 0600), 'device',
      'get', 'd1' ],
);


for my $command (@commands) {
    answers(@server, @$command);
}

answers(@server, '--cluster', @{ $commands[$_] }) for 1, 4, 6, 9, 13;
answers('--sentinel', 'm=127.0.0.1:PORT', 'device', 'get', 'd1');

endless();

done_testing();


# each command that it asks is answered with each of the wrong ones

sub answers {
    my @args = @_;
    my ($rc, $out, $err, @asked) = answered({}, @args);

    is("$rc|$err", '0|', "@args");

    for my $name (@asked) {
        for my $kind (sort keys %wrong) {
            next if $right{$name} && $kind =~ /^(?:$right{$name})$/;

            strange($name, $kind, @args);
        }
    }
}


# SCAN ends when its cursor is 0, and there are servers whose never is

sub endless {
    my $n = 0;
    my @device = bulk('mtd:device:d1');

    for (['the same cursor', sub { 7 }, 'goes in circles'],
         ['a cycle of cursors', sub { 5 + $n++ % 9 }, 'goes in circles'],
         ['the same cursor after others', sub { ++$n < 3000 ? $n : 3000 },
          'goes in circles'],
         ['ever new cursors', sub { ++$n }, 'has no end, with 7 keys there'])
    {
        my ($kind, $cursor, $said) = @$_;
        my $scan = sub { array(bulk($cursor->()), array(@device)) };

        $n = 0;
        my ($rc, $out, $err) = answered({ SCAN => $scan, DBSIZE => ":7\r\n" },
                                        @server, 'device', 'list');

        is($rc, 3, "SCAN, $kind: exit status");
        like($err, qr/^mtdctl: Redis at \S+: SCAN $said$/, 'message');
        is(scalar(() = $out =~ /^d1 /gm), 1, '... the device is there once');
    }

    # as many calls as a large server may need

    $n = 0;
    my $scan = sub { array(bulk(++$n % 12_000), array(@device)) };
    my ($rc, $out, $err) = answered({ SCAN => $scan,
                                      DBSIZE => ":200000\r\n" },
                                    @server, 'device', 'list');

    is("$rc|$err", '0|', 'SCAN of many calls');

    # an answer to DBSIZE, which is asked for then

    for my $kind (sort keys %wrong) {
        next if $kind eq 'integer';

        $n = 0;
        $scan = sub { array(bulk(++$n), array()) };
        ($rc, $out, $err) = answered({ SCAN => $scan,
                                       DBSIZE => $wrong{$kind} },
                                     @server, 'device', 'list');

        is($rc, 3, "DBSIZE, $kind: exit status");
        like($err, qr/Redis at \S+(?:: strange answer to DBSIZE| refused: ERR)/,
             'message');
    }
}


sub strange {
    my ($name, $kind, @args) = @_;
    my ($rc, $out, $err) = answered({ $name => $wrong{$kind} }, @args);
    my $it = $name =~ /^(?:EXEC|QUEUED)$/ ? qr/[A-Z]+/ : "(?:$name|EXEC)";
    my $said = '| refused: ERR | is not the master ';

    # in a transaction any answer that a command may have is one

    if ($rc eq '0' && $wrong{$kind} !~ /^(?:-|\*\d)/
        && $name =~ /^(?:DEL|EXPIRE|HDEL|HSET|SADD|SET|SREM|XADD)$/)
    {
        return;
    }

    is($rc, 3, "$name, $kind: exit status of @args");
    like($err, qr/^mtdctl: .*\bRedis at \S+(?:: strange answer to $it\b$said)/,
         'message');
}
