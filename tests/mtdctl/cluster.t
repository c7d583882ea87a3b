#!/usr/bin/perl

# mtdctl and a cluster of three masters: each key is where it belongs, what
# moves is followed, and what fails in the middle is taken back.

use strict;
use warnings;

use FindBin;
use IO::Socket::INET;
use lib "$FindBin::Bin/lib";
use List::Util qw(first);
use POSIX ();
use Mtdctl;
use Servers;
use Test::More;

my @ports = ports(4);
my ($rc, $out, $err);

server($_, '--cluster-enabled', 'yes', '--cluster-node-timeout', 3000,
       '--cluster-config-file', "nodes.$_", '--cluster-require-full-coverage',
       'no')
    for @ports;

my @three = @ports[0 .. 2];

$out = qx(redis-cli --cluster create @{[map { "127.0.0.1:$_" } @three]} \\
          --cluster-yes 2>&1);
is($?, 0, 'a cluster') or diag($out);
ok(until_true(sub { 3 == grep { cli($_, 'CLUSTER', 'INFO')
                                =~ /cluster_state:ok/ } @three }), '... is up');

my @at = ('--cluster', '--redis', "127.0.0.1:$ports[0]");


# wrong

($rc, $out, $err) = run('--redis', "127.0.0.1:$ports[3]", '--database', 1,
                        '--cluster', 'device', 'list');
is($rc, 2, 'a database');
like($err, qr/a cluster has the database 0 only/, 'message');

my ($one) = ports(1);
server($one);
($rc, $out, $err) = run('--cluster', '--redis', "127.0.0.1:$one", 'device',
                        'list');
is($rc, 3, 'no cluster');
like($err, qr/refused: ERR This instance has cluster support disabled/,
     'message');

($rc, $out, $err) = run('--cluster', '--redis', '127.0.0.1:' . '0' x 300 . $one,
                        'device', 'list');
is($rc, 2, 'a long address');
like($err, qr/"127\.0\.0\.1:0+\.\.\." is longer than 263 bytes/, 'message');

for my $moved ('MOVED', 'MOVED 1', 'MOVED 1 ', 'ASK', 'ASK 1 nowhere',
               map { ("MOVED 1 $_", "ASK 1 $_") }
               'unix:' . dir() . '/a.sock', '127.1:1', 'a..b:1', 'a/b:1',
               'x' x 64 . ':1', 'a:0', 'a:65536', 'a:1x', '?:1')
{
    my ($pid, $port) = liar($moved);

    ($rc, $out, $err) = run('--cluster', '--redis', "127.0.0.1:$port",
                            'device', 'get', 'x');
    is($rc, 3, "a node that says \"$moved\"");
    like($err, qr/^mtdctl: Redis at 127\.0\.0\.1:$port/, 'message');
    kill KILL => $pid;
    waitpid $pid, 0;
}


# each key in its place

my @ids = map { "device$_" } 1 .. 40;

for my $id (@ids) {
    ($rc, $out, $err) = run(@at, 'device', 'set', $id, 'threat=secured',
                            'compliance=compliant', "user=$id\@x",
                            "alias=eas:e$id", "alias=serial:s$id");
    die "$id: $err" if $rc;
}

my %held = map { $_ => scalar(() = cli($_, 'KEYS', 'mtd:device:*')
                                   =~ /^mtd/mg) } @three;

is($held{ $three[0] } + $held{ $three[1] } + $held{ $three[2] }, 40,
   '40 devices');
cmp_ok($held{$_}, '>', 3, "... $held{$_} of them at $_") for @three;

is(scalar(grep { $_ == 0 } map { owned('mtd:alias:eas:edevice' . $_, 'GET') ne
                                 "device$_" ? 0 : 1 } 1 .. 40), 0,
   'their aliases');

($rc, $out, $err) = run(@at, '--json', 'device', 'list');
is("$rc|$err", '0|', 'a list');
is(join(' ', sort $out =~ /"id":"(\w+)"/g), join(' ', sort @ids),
   '... of all masters');
($rc, $out, $err) = run(@at, 'device', 'get', 'eas:edevice7');
like($out, qr/device7/, 'found by its alias');
is((run(@at, 'alias', 'get', 'serial', 'sdevice7'))[1], "device7\n",
   'an alias');
like((run('--redis', "127.0.0.1:$ports[0]", 'device', 'set', 'device' . other(),
          'os=x'))[2], qr/refused: MOVED .*; it is a cluster, see --cluster/,
     'without --cluster');


# changes, moved aliases, erasing

is((run(@at, 'device', 'set', 'device7', 'threat=highSeverity', 'user='))[0],
   0, 'a change');
is(owned('mtd:device:device7', 'HGET', 'threat'), 'highSeverity', '...');
is((run(@at, 'device', 'set', 'device8', 'alias=eas:edevice7'))[0], 2,
   'an alias of another device');
is((run(@at, '--force', 'device', 'set', 'device8', 'alias=eas:edevice7'))[0],
   0, '... by force');
is(owned('mtd:alias:eas:edevice7', 'GET'), 'device8', '... leads there');
is(owned('mtd:device:device7', 'HGET', 'aliases'), 'serial:sdevice7',
   '... and is gone here');
is((run(@at, 'alias', 'erase', 'eas', 'edevice7'))[0], 0, 'alias erase');
is(owned('mtd:alias:eas:edevice7', 'EXISTS'), 0, '...');
is((run(@at, 'device', 'erase', 'device9'))[0], 0, 'device erase');
is(owned("mtd:$_", 'EXISTS'), 0, "... $_")
    for qw(device:device9 alias:eas:edevice9 alias:serial:sdevice9
           user:device9@x);
is((run(@at, 'device', 'erase', 'device9'))[0], 1, 'once');

my $csv = file('many.csv', "id,threat,alias:eas\n"
               . join '', map { "many$_,secured,m$_\n" } 1 .. 50);

is((run(@at, 'import', $csv))[1], "imported 50, skipped 0, unchanged 0\n",
   'import');
is((run(@at, 'import', $csv))[1], "imported 0, skipped 0, unchanged 50\n",
   '... again');
is((run(@at, 'bypass', '5m', '--why', 'x'))[0], 0, 'bypass');
like((run(@at, 'bypass', 'status'))[1], qr/^why x$/m, '... status');
is((run(@at, 'bypass', 'end'))[0], 0, '... end');


# with the rights that conf/redis.acl gives

my @acl = map { acl($_) } @three;

is((run(@at, @acl, 'device', 'set', 'device7', 'threat=secured', 'user=u',
        'alias=eas:edevice7'))[0], 0, 'the user of redis.acl may write');
is((run(@at, @acl, 'device', 'list'))[0], 0, '... list');
is((run(@at, @acl, 'bypass', '5m', '--why', 'x'))[0], 0, '... bypass');
is((run(@at, @acl, 'bypass', 'end'))[0], 0, '... and end it');


# with a password: each node asks for it

my $default = file('default', "the-password\n", 0600);
my %a = map { owner("mtd:device:$_") => $_ } @ids[9 .. 39];

cli($_, 'CONFIG', 'SET', 'requirepass', 'the-password') for @three;

for my $login ([ '--password-file', $default ],
               [ '--user', 'default', '--password-file', $default ], \@acl)
{
    my @failed = map { (run(@at, @$login, 'device', 'set', $_,
                            'os=' . @$login))[2] } @a{@three};

    is("@failed", '  ', "a device of each node, @$login[0 .. 1]");
    ($rc, $out, $err) = run(@at, @$login, 'device', 'list');
    is("$rc|$err", '0|', '... a list');
}

is((run(@at, 'device', 'list'))[0], 3, '... and none without');

qx(redis-cli -p $_ -a the-password CONFIG SET requirepass '' 2>&1) for @three;


# two that write to one device at a time

my @pids = map { ctl_fork(@at, 'device', 'set', 'both', "threat:v$_=secured",
                          "alias=eas:both$_") } 1 .. 8;

is(scalar(grep { waitpid $_, 0; $? } @pids), 0, 'eight writers at a time');
is(scalar(() = (run(@at, 'device', 'get', 'both'))[1] =~ /threat:v\d/g), 8,
   '... of whom none is lost');


# a slot on its way, and moved

my $slot = cli($ports[0], 'CLUSTER', 'KEYSLOT', 'mtd:device:device1');
my $from = owner('mtd:device:device1');
my ($to) = grep { $_ != $from } @three;
my %name = map { $_ => cli($_, 'CLUSTER', 'MYID') } @three;

cli($to, 'CLUSTER', 'SETSLOT', $slot, 'IMPORTING', $name{$from});
cli($from, 'CLUSTER', 'SETSLOT', $slot, 'MIGRATING', $name{$to});
is((run(@at, 'device', 'set', 'device1', 'os=early'))[0], 0,
   'the slot is to move, the key is here');
is(cli($from, 'MIGRATE', '127.0.0.1', $to, 'mtd:device:device1', 0, 5000),
   'OK', 'the key moves');
is((run(@at, 'device', 'get', 'device1'))[0], 0, '... and is found');
($rc, $out, $err) = run(@at, @acl, 'device', 'set', 'device1', 'os=late');
is("$rc|$err", '0|', '... and written');
cli($_, 'CLUSTER', 'SETSLOT', $slot, 'NODE', $name{$to}) for $to, $from;
is(cli($to, 'HGET', 'mtd:device:device1', 'os'), 'late', 'where it went');
is((run('--cluster', '--redis', "127.0.0.1:$_", 'device', 'set', 'device1',
        'os=moved'))[0], 0, "the slot has moved, by $_") for @three;
is(cli($to, 'HGET', 'mtd:device:device1', 'os'), 'moved', '...');


# a write that fails after others have written to the same keys

my $audit = owner('mtd:audit');
my ($stuck) = grep { $_ != $audit } @three;
my $race = first { owner("mtd:alias:eas:race$_") == $stuck
                   && owner("mtd:device:race$_") != $stuck } 1 .. 1000;

for my $new (1, 0) {
    my $threat = $new ? 'secured' : 'activated';

    ($rc, $err) = stuck(
        [ 'device', 'set', "race$race", "threat=$threat",
          "alias=eas:race$race" ],
        sub { owned("mtd:device:race$race", 'HGET', 'threat') eq $threat },
        sub { owned("mtd:device:race$race", 'HSET',
                    $new ? ('action', 'block') : ('threat', 'compromised')) });
    is($rc, 3, $new ? 'a new device is blocked meanwhile' : '... compromised');
    like($err, qr/refused: OOM .*; only a part is done, others have changed/,
         'message');
    is(owned("mtd:device:race$race", 'HGET', $new ? 'action' : 'threat'),
       $new ? 'block' : 'compromised', '... and stays so');
}

is((run(@at, 'device', 'set', "race$race", "alias=eas:race$race"))[0], 0,
   'it is done again');
is(owned("mtd:alias:eas:race$race", 'GET'), "race$race", '...');
is(owned("mtd:device:race$race", 'HGET', 'action'), 'block', '...');

my $take = first { owner("mtd:user:take$_") == $stuck
                   && !grep { $_ == $stuck }
                      map { owner("mtd:$_") } "device:take$_", "device:has$_",
                          "alias:eas:one$_", "alias:eas:two$_" } 1 .. 1000;

is((run(@at, 'device', 'set', "has$take", "alias=eas:two$take",
        "alias=serial:x$take"))[0], 0, 'a device with two aliases');

($rc, $err) = stuck(
    [ '--force', 'device', 'set', "take$take", "user=take$take",
      "alias=eas:one$take", "alias=eas:two$take" ],
    sub { owned("mtd:device:has$take", 'HGET', 'aliases')
          eq "serial:x$take" },
    sub { owned("mtd:alias:eas:one$take", 'SET', 'another');
          owned("mtd:device:has$take", 'HSET', 'aliases', 'serial:y'); });
is($rc, 3, 'a device that takes one, and fails');
like($err, qr/is taken back where that could be done: do it again/,
     'message');
is(owned("mtd:device:take$take", 'EXISTS'), 0, '... is absent');
is(owned("mtd:alias:eas:two$take", 'GET'), "has$take", '... gives it back');
is(owned("mtd:alias:eas:one$take", 'GET'), 'another',
   '... leaves the one that leads elsewhere by now');
is(owned("mtd:device:has$take", 'HGET', 'aliases'), 'serial:y',
   '... and a list that was changed since');


# a master is gone: rows with a key there are absent, or as they were

my ($gone) = grep { $_ != $ports[0] && $_ != owner('mtd:audit') } @three;
my ($n) = grep { owner("mtd:device:new$_") != $gone
                 && owner("mtd:alias:eas:new$_") == $gone } 1 .. 1000;
my ($old) = grep { owner("mtd:device:device$_") != $gone
                   && owner("mtd:alias:eas:more$_") == $gone } 10 .. 40;
my ($right) = grep { owner("mtd:device:new$_") != $gone
                     && owner("mtd:alias:eas:new$_") != $gone } 1 .. 1000;

stop($gone);
ok(until_true(sub { 2 == grep { cli($_, 'CLUSTER', 'NODES') =~ /fail(?!\?)/ }
                        grep { $_ != $gone } @three }), 'a master is gone');

($rc, $out, $err) = run(@at, 'device', 'set', "new$n", 'threat=secured',
                        "alias=eas:new$n");
is($rc, 3, 'a new device with an alias there');
like($err, qr/^mtdctl: Redis at \S+/, 'message');
is(owned("mtd:device:new$n", 'EXISTS'), 0, '... is absent');

my $before = cli(owner("mtd:device:device$old"), 'HGETALL',
                 "mtd:device:device$old");

($rc, $out, $err) = run(@at, 'device', 'set', "device$old",
                        'threat=compromised', "alias=eas:more$old");
is($rc, 3, 'a device that is to have an alias there');
is(cli(owner("mtd:device:device$old"), 'HGETALL', "mtd:device:device$old"),
   $before, '... is as it was');
is((run(@at, 'device', 'set', "new$right", 'threat=secured',
        "alias=eas:new$right"))[0], 0, 'others are written');
is((run('--cluster', '--redis', "127.0.0.1:$gone", 'device', 'list'))[0], 3,
   'it knows of no other node');


# a write that fails in the middle

my ($mid) = grep { owner("mtd:device:mid$_") == $ports[0]
                   && owner("mtd:alias:eas:mid$_") != $ports[0]
                   && owner("mtd:alias:eas:mid$_") != $gone } 1 .. 1000;
my $full = owner("mtd:alias:eas:mid$mid");

cli($full, 'CONFIG', 'SET', 'maxmemory', 1);
($rc, $out, $err) = run(@at, 'device', 'set', "mid$mid", 'threat=secured',
                        "alias=eas:mid$mid");
is($rc, 3, 'the server of the alias refuses');
like($err, qr/refused: OOM .*; what was written is taken back/, 'message');
is(owned("mtd:device:mid$mid", 'EXISTS'), 0, 'the device is gone again');
cli($full, 'CONFIG', 'SET', 'maxmemory', 0);
is((run(@at, 'device', 'set', "mid$mid", 'threat=secured',
        "alias=eas:mid$mid"))[0], 0, 'and is written by another try');

done_testing();


# the number of a device that is not at the first node

sub other { (grep { owner("mtd:device:device$_") != $ports[0] } 1 .. 40)[0] }


sub owner {
    my ($key) = @_;
    my $slot = cli($ports[0], 'CLUSTER', 'KEYSLOT', $key);

    for my $line (split /\n/, cli($ports[0], 'CLUSTER', 'NODES')) {
        my ($port) = $line =~ / 127\.0\.0\.1:(\d+)@/ or next;

        for ($line =~ / (\d+(?:-\d+)?)(?= |$)/g) {
            my ($first, $last) = /^(\d+)-?(\d*)/;
            return $port
                if $line =~ /connected .*\b$_\b/
                   && $slot >= $first && $slot <= ($last || $first);
        }
    }

    die "nobody has $key";
}


sub owned {
    my ($key, $command, @args) = @_;
    return cli(owner($key), $command, $key, @args);
}


# what mtdctl does up to the node that is stuck, what others do then, and how
# it ends when that node refuses

sub stuck {
    my ($args, $reached, $meanwhile) = @_;

    unlink dir() . '/fork.err';
    cli($stuck, 'CLIENT', 'PAUSE', 600_000, 'WRITE');

    my $pid = ctl_fork(@at, '--timeout', '5m', @$args);

    ok(until_true($reached), 'half of it is written');
    $meanwhile->();
    cli($stuck, 'CONFIG', 'SET', 'maxmemory', 1);
    cli($stuck, 'CLIENT', 'UNPAUSE');
    waitpid $pid, 0;

    my $rc = $? >> 8;

    cli($stuck, 'CONFIG', 'SET', 'maxmemory', 0);

    return ($rc, slurp(dir() . '/fork.err'));
}


# has all slots, but sends elsewhere who asks for a key

sub liar {
    my ($moved) = @_;
    my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 5)
                 or die $!;
    my $port = $socket->sockport;
    my $pid = fork() // die $!;

    return ($pid, $port) if $pid;

    while (my $link = $socket->accept) {
        while (my $line = <$link>) {
            my ($n) = $line =~ /^\*(\d+)/ or last;
            my @words = map { scalar <$link> } 1 .. 2 * $n;

            print {$link} $words[1] !~ /^CLUSTER/ ? "-$moved\r\n"
                : "*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n\$9\r\n127.0.0.1\r\n"
                  . ":$port\r\n";
            $link->flush;
        }
    }

    POSIX::_exit(0);
}


sub ctl_fork {
    my @args = @_;
    my $pid = fork() // die $!;

    return $pid if $pid;

    open STDERR, '>>', dir() . '/fork.err';
    exec $ENV{MTDCTL} // Mtdctl::bin(), @args;
    exit 127;
}
