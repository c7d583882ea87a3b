#!/usr/bin/perl

# alias set, get, erase, list; two writers of one device.

use strict;
use warnings;

use FindBin;
use POSIX ();
use lib "$FindBin::Bin/lib";
use Mtdctl;
use Test::More;

Mtdctl::start();

my ($rc, $out, $err);

ctl('device', 'set', 'a', 'threat=secured');
ctl('device', 'set', 'b', 'threat=secured');

is((ctl('alias', 'set', 'EAS', 'X1', 'a'))[0], 0, 'alias set');
is((ctl('alias', 'set', 'eas', 'x1', 'a'))[0], 0, 'once more');
ctl('alias', 'set', 'vendor.lookout', 'y', 'a');
is(hash('mtd:device:a')->{aliases}, 'eas:x1 vendor.lookout:y',
   'the record lists it once');

is((ctl('alias', 'get', 'eas', 'X1'))[1], "a\n", 'alias get');
is((ctl('--json', 'alias', 'get', 'eas', 'X1'))[1],
   qq({"kind":"eas","value":"x1","id":"a"}\n), 'as JSON');
is((ctl('alias', 'list', 'a'))[1], "eas       x1\nvendor.lookout  y\n",
   'alias list');
is((ctl('--json', 'alias', 'list', 'a'))[1],
   qq({"kind":"eas","value":"x1"}\n{"kind":"vendor.lookout","value":"y"}\n),
   'as JSON');
is((ctl('alias', 'list', 'nobody'))[0], 1, 'of no device');
is((ctl('alias', 'get', 'eas', 'nobody'))[0], 1, 'no such alias');

($rc, $out, $err) = ctl('alias', 'set', 'eas', 'z', 'nobody');
is($rc, 1, 'an alias of no device is refused');
like($err, qr/no device "nobody"/, 'message');
is(redis('EXISTS', 'mtd:alias:eas:z'), 0, 'and not written');

($rc, $out, $err) = ctl('alias', 'set', 'mac', 'z', 'a');
is($rc, 2, 'no such kind');
like($err, qr/unknown alias kind "mac"/, 'message');

($rc, $out, $err) = ctl('alias', 'set', 'eas', 'x1', 'b');
is($rc, 2, 'of another device');
like($err, qr/alias eas:x1 belongs to device "a" \(--force/, 'message');
is(redis('GET', 'mtd:alias:eas:x1'), 'a', 'it stays there');
is(hash('mtd:device:b')->{aliases}, undef, 'and is not listed');

is((ctl('--force', 'alias', 'set', 'eas', 'x1', 'b'))[0], 0, '--force');
is(redis('GET', 'mtd:alias:eas:x1'), 'b', 'takes it');
is(hash('mtd:device:a')->{aliases}, 'vendor.lookout:y', 'from one');
is(hash('mtd:device:b')->{aliases}, 'eas:x1', 'to the other');

is((ctl('alias', 'erase', 'eas', 'X1'))[0], 0, 'alias erase');
is(redis('EXISTS', 'mtd:alias:eas:x1'), 0, 'it is gone');
is(hash('mtd:device:b')->{aliases}, undef, 'from the record, too');
is((ctl('alias', 'erase', 'eas', 'x1'))[0], 1, 'it was gone');

redis('SET', 'mtd:alias:eas:w', 'ghost');
is((ctl('alias', 'erase', 'eas', 'w'))[0], 0, 'one that leads nowhere');
is(redis('EXISTS', 'mtd:device:ghost'), 0, 'makes no record');

redis('SADD', 'mtd:alias:eas:w', 'x');
($rc, $out, $err) = ctl('alias', 'set', 'eas', 'w', 'a');
is($rc, 2, 'an alias of the wrong type');
like($err, qr/"mtd:alias:eas:w" in Redis holds another type/, 'message');


# no device has more aliases than a record can list

my @many = map { "alias=imei:$_" } 1 .. 64;

is((ctl('device', 'set', 'm', @many))[0], 0, '64 aliases');
($rc, $out, $err) = ctl('alias', 'set', 'imei', '65', 'm');
is($rc, 2, 'one more');
like($err, qr/more than 64 aliases/, 'message');
is((ctl('device', 'set', 'n', @many, 'alias=imei:0'))[0], 2, '65 at once');
is(redis('EXISTS', 'mtd:device:n'), 0, 'write nothing');


# two writers that have read the same record: no alias of either is lost;
# a pause holds back what writes, EXEC with it

ctl('device', 'set', 's', 'threat=secured');
redis('CLIENT', 'PAUSE', '500', 'WRITE');

my @both = map { ctl_start("both-$_", 'alias', 'set', 'eas', $_, 's') }
    qw(one two);

for (@both) {
    waitpid $_, 0;
    is($?, 0, 'a writer is done');
}

is(join(' ', sort split / /, hash('mtd:device:s')->{aliases}),
   'eas:one eas:two', 'both aliases are listed');

# two that want the same alias: one gets it

ctl('device', 'set', 't', 'threat=secured');
redis('CLIENT', 'PAUSE', '500', 'WRITE');

@both = map { ctl_start("both-$_", 'alias', 'set', 'eas', 'three', $_) }
    qw(s t);

my @rc = map { waitpid $_, 0; $? >> 8 } @both;

is(join(' ', sort @rc), '0 2', 'one is refused');

my $has = $rc[0] ? 't' : 's';

is(redis('GET', 'mtd:alias:eas:three'), $has, 'one has it');
is(scalar(grep { (hash("mtd:device:$_")->{aliases} // '') =~ /eas:three/ }
          qw(s t)), 1, 'one lists it');


# many in turn

ctl('device', 'set', 'r', 'threat=secured');

my @pid = map {
    my $kind = $_;
    my $pid = fork() // die $!;

    if (!$pid) {
        for my $n (1 .. 30) {
            my $child = ctl_start("race-$kind", 'alias', 'set', $kind, $n,
                                  'r');

            waitpid $child, 0;
            POSIX::_exit(1) if $?;
        }

        POSIX::_exit(0);
    }

    $pid;
} qw(eas serial);

for (@pid) {
    waitpid $_, 0;
    is($?, 0, 'a writer is done');
}

my %listed = map { $_ => 1 } split / /, hash('mtd:device:r')->{aliases};

is(keys %listed, 60, 'all aliases are listed');
is(scalar(grep { (redis('GET', "mtd:alias:$_") // '') eq 'r' } keys %listed),
   60, 'and are there');

done_testing();
