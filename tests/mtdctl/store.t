#!/usr/bin/perl

# The way to redis, what it refuses, pseudonyms, options and usage.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Mtdctl;
use Test::More;

Mtdctl::start();

my ($rc, $out, $err);


# usage

for (
    [ 0, qr/^usage: mtdctl \[options\] COMMAND.*Exit status:/s, '--help' ],
    [ 0, qr/^usage: mtdctl \[options\] device set ID.*Fields: threat/s,
      'device', 'set', '--help' ],
    [ 0, qr/device erase ID(?!.*alias get)/s, 'device', '--help' ],
    [ 0, qr/^usage: mtdctl \[options\] import.*alias:KIND/s, 'import',
      '--help' ],
    [ 0, qr/^mtdctl \d+\.\d+\.\d+\n\z/, '--version' ],
) {
    my ($want, $like, @args) = @$_;

    ($rc, $out, $err) = ctl(@args);
    is($rc, $want, "@args");
    like($out, $like, 'output');
}

my $readable = file('readable', "0123456789abcdef\n", 0644);
my $short = file('short', "0123456789abcde\n", 0600);
my $empty = file('empty', "\n", 0600);
my $none = dir() . '/none';

for (
    [ qr/no command, it must be one of device alias import bypass name; / ],
    [ qr/unknown command "foo", it must be one of device alias import bypass/,
      'foo' ],
    [ qr/unknown command "help", .*; see mtdctl --help/, 'help', 'device' ],
    [ qr/device what\? It must be one of set get list erase; see mtdctl device/,
      'device' ],
    [ qr/alias what\? It must be one of set get erase list; see mtdctl alias/,
      'alias' ],
    [ qr/name what\? It must be one of device alias user; see mtdctl name/,
      'name' ],
    [ qr/unknown command "device foo", it must be one of set get list erase;/,
      'device', 'foo' ],
    [ qr/unknown command "alias add", it must be one of set get erase list;/,
      'alias', 'add', 'eas', 'x', 'y' ],
    [ qr/unknown command "name key", it must be one of device alias user;/,
      'name', 'key' ],
    map({ my ($usage, @few) = @$_;
          map { [ qr/usage: mtdctl \Q$usage\E/, split ' ' ] } @few }
        [ 'device get ID|KIND:VALUE', 'device get', 'device get x y' ],
        [ 'device set ID FIELD=VALUE', 'device set', 'device set x' ],
        [ 'device list', 'device list x' ],
        [ 'device erase ID', 'device erase', 'device erase x y' ],
        [ 'alias set KIND VALUE ID', 'alias set', 'alias set eas x',
          'alias set eas x y z' ],
        [ 'alias get KIND VALUE', 'alias get', 'alias get eas:x',
          'alias get eas x y' ],
        [ 'alias erase KIND VALUE', 'alias erase', 'alias erase eas',
          'alias erase eas x y' ],
        [ 'alias list ID', 'alias list', 'alias list x y' ],
        [ 'import [--strict] [--format csv|jsonl] FILE|-', 'import',
          'import x y' ],
        [ 'name device ID', 'name device', 'name device x y' ],
        [ 'name alias KIND VALUE', 'name alias eas', 'name alias eas x y' ],
        [ 'name user UPN', 'name user', 'name user x y' ]),
    map({ [ qr/--force is of no use but with device set, alias set and import/,
            '--force', split ' ' ] } 'device get x', 'device list',
        'device erase x', 'alias get eas x', 'bypass 5m', 'name user x'),
    map({ [ qr/--strict and --format are of no use but with import/,
            split ' ' ] } '--strict device list', '--format csv device list',
        '--strict device set x threat=secured'),
    [ qr/see mtdctl --help/, '--foo' ],
    [ qr/--ttl: "0" is no time/, '--ttl', '0', 'device', 'list' ],
    [ qr/--ttl: "1w" is no time/, '--ttl', '1w', 'device', 'list' ],
    [ qr/--ttl: "1dd" is no time/, '--ttl', '1dd', 'device', 'list' ],
    [ qr/--ttl: "99999d" is no/, '--ttl', '99999d', 'device', 'list' ],
    [ qr/--timeout: "" is no time/, '--timeout', '', 'device', 'list' ],
    [ qr/--database: "x" is no/, '--database', 'x', 'device', 'list' ],
    [ qr/--prefix: longer than 64/, '--prefix', 'x' x 65, 'device', 'list' ],
    [ qr/neither unix:PATH nor HOST:PORT/, '--redis', 'a:b', 'device',
      'list' ],
    [ qr/neither unix:PATH nor HOST:PORT/, '--redis', '/a', 'device',
      'list' ],
    [ qr/neither unix:PATH nor HOST:PORT/, '--redis', '[::1', 'device',
      'list' ],
    [ qr/--user is of no use without/, '--user', 'x', 'device', 'list' ],
    [ qr/--password-file: "\S+" is open to everybody: chmod 600 it/,
      '--password-file', $readable, 'device', 'list' ],
    [ qr/--password-file: "\S+" is empty/, '--password-file', $empty,
      'device', 'list' ],
    [ qr/--password-file: "\S+" has more than one line/, '--password-file',
      file('lines', "new\nold\n", 0600), 'device', 'list' ],
    [ qr/--password-file: cannot open "\S+": No such/, '--password-file',
      $none, 'device', 'list' ],
    [ qr/--key-secret-file: "\S+" is open to everybody: chmod 600/,
      '--key-secret-file', $readable, 'device', 'list' ],
    [ qr/--key-secret-file: the secret in "\S+" must have 16 to 256/,
      '--key-secret-file', $short, 'device', 'list' ],
) {
    my ($like, @args) = @$_;

    ($rc, $out, $err) = ctl(@args);
    is("$rc|$out", '2|', "wrong usage: @args");
    like($err, $like, 'message');
    unlike($err, qr/0123456789abcde/, 'no secret');
}


# redis is not there, is silent, refuses

($rc, $out, $err) = ctl('--redis', "unix:$none", 'device', 'list');
is($rc, 3, 'no such socket');
like($err, qr/Redis at unix:\S+none: No such file/, 'message');
($rc, $out, $err) = ctl('--redis', '127.0.0.1:1', 'device', 'list');
is($rc, 3, 'nobody listens');
like($err, qr/Redis at 127\.0\.0\.1:1: Connection refused/, 'message');
is((ctl('--redis', '[::1]:1', 'device', 'list'))[0], 3, 'over IPv6');

redis('CLIENT', 'PAUSE', '3000', 'ALL');
($rc, $out, $err) = ctl('--timeout', '1s', 'device', 'list', '--json');
is($rc, 3, 'no answer');
like($err, qr/no answer in 1 seconds/, 'message');
redis('CLIENT', 'UNPAUSE');

my $password = 'a long enough passphrase';
my $right = file('right', "$password\n", 0600);
my $wrong = file('wrong', "not $password\n", 0600);

redis('ACL', 'SETUSER', 'admin', 'on', ">$password", '~*', '+@all');
redis('ACL', 'SETUSER', 'reader', 'on', ">$password", '~*', '+@read',
      '+watch', '+unwatch', '+multi', '+exec', '+type');
is((ctl('--user', 'admin', '--password-file', $right, 'device', 'set', 'x',
        'threat=secured'))[0], 0, 'the right password');
($rc, $out, $err) = ctl('--user', 'admin', '--password-file', $wrong,
                        'device', 'get', 'x');
is("$rc|$out", '3|', 'a wrong one');
like($err, qr/Redis at \S+ refused: WRONGPASS/, 'message');
unlike($err, qr/passphrase/, 'no secret');

($rc, $out, $err) = ctl('--user', 'reader', '--password-file', $right,
                        'device', 'set', 'x', 'threat=compromised',
                        'alias=eas:x');
is($rc, 3, 'a user who may not write');
like($err, qr/refused: NOPERM/, 'message');
is(hash('mtd:device:x')->{threat}, 'secured', 'writes nothing');

redis('CONFIG', 'SET', 'requirepass', $password);
($rc, $out, $err) = ctl('device', 'get', 'x');
is($rc, 3, 'no password');
like($err, qr/refused: NOAUTH/, 'message');
is((ctl('--password-file', $right, 'device', 'get', 'x'))[0], 0,
   'a password without a user');
redis('CONFIG', 'SET', 'requirepass', '');

redis('CONFIG', 'SET', 'maxmemory', '1mb');
($rc, $out, $err) = ctl('device', 'set', 'y', 'threat=secured',
                        'alias=eas:y');
is($rc, 3, 'no memory');
like($err, qr/refused: OOM/, 'message');
redis('CONFIG', 'SET', 'maxmemory', '0');
is(keys_of('*y'), '', 'nothing is half-written');

is((ctl('--database', '3', 'device', 'set', 'd3', 'os=x'))[0], 0,
   'another database');
is(redis('EXISTS', 'mtd:device:d3'), 0, 'not in the first');
is((ctl('--database', '3', 'device', 'get', 'd3'))[0], 0, 'but there');
($rc, $out, $err) = ctl('--database', '999', 'device', 'get', 'x');
is($rc, 3, 'no such database');
like($err, qr/refused: ERR DB index/, 'message');


# wrong types: found before anything is written

redis('FLUSHALL');

for my $bad (qw(mtd:device:w mtd:alias:eas:w mtd:user:w)) {
    redis('FLUSHALL');
    redis($bad =~ /alias/ ? ('SADD', $bad, 'x') : ('SET', $bad, 'x'));

    ($rc, $out, $err) = ctl('device', 'set', 'w', 'user=w', 'alias=eas:w');
    is($rc, 2, "$bad of the wrong type");
    like($err, qr/key "$bad" in Redis holds another type/, 'message');

    my $csv = file('w.csv', "id,user,alias:eas\nok,o,o\nw,w,w\n");

    ($rc, $out, $err) = ctl('import', $csv);
    is("$rc|$out", "2|imported 1, skipped 1, unchanged 0\n", 'in an import');
    like($err, qr/w\.csv:3: key "$bad" in Redis/, 'message');
    is(keys_of('*w'), $bad, 'nothing is half-written');
}

redis('FLUSHALL');
redis('SET', 'mtd:audit', 'x');
($rc, $out, $err) = ctl('device', 'set', 'w', 'os=x');
is($rc, 3, 'the audit of the wrong type');
like($err, qr/"mtd:audit" in Redis is to be a stream, but holds a string/,
     'message');
is(keys_of(), 'mtd:audit', 'nothing is written');


# pseudonyms: the names are those of tests/unit/test_key.c

redis('FLUSHALL');

my @secret = ('--key-secret-file', file('secret', "sixteen byte key\n", 0600));
my $id = '5d2b0a3e-3f6c-4f0c-9f0e-0a1b2c3d4e5f';
my $device = 'mtd:device:4db33bd05e8b975b7167ec6c0c21c408';
my $alias = 'mtd:alias:eas:f9b2d2f307536ca651604fcc0cd1c330';
my $user = 'mtd:user:8dc0fc5b8f030b63aa76cbdaaca81f1d';

is((ctl(@secret, 'name', 'device', uc $id))[1], "$device\n", 'name device');
is((ctl(@secret, 'name', 'alias', 'eas', 'AndroidC1234567'))[1], "$alias\n",
   'name alias');
is((ctl(@secret, 'name', 'user', 'AndroidC1234567'))[1], "$user\n",
   'name user');
is((ctl('--redis', "unix:$none", 'name', 'device', 'X'))[1],
   "mtd:device:x\n", 'name without a secret and without Redis');
is((ctl('name', 'alias', 'mac', 'x'))[0], 2, 'name of no kind');

ctl(@secret, 'device', 'set', $id, 'threat=secured', 'user=AndroidC1234567',
    'alias=eas:AndroidC1234567');
is(keys_of(), join(' ', sort $device, $alias, $user, 'mtd:audit'),
   'the keys have these names');
is(redis('GET', $alias), $id, 'an alias has the plain id');
like((ctl(@secret, 'device', 'list'))[1], qr/^\Q$id\E  secured/m,
     'a list has plain ids');
is((ctl(@secret, 'device', 'get', 'eas:AndroidC1234567'))[0], 0,
   'found by its alias');
is((ctl('device', 'get', $id))[0], 1, 'not found without the secret');
unlike(join(' ', map { @{ $_->[1] } } @{ redis('XRANGE', 'mtd:audit', '-',
                                              '+') }),
       qr/\Q$id\E/, 'the audit has the pseudonym alone');
ctl(@secret, 'device', 'erase', $id);
is(keys_of(), 'mtd:audit', 'erase leaves nothing but the audit');

done_testing();
