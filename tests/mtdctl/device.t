#!/usr/bin/perl

# device set, get, list, erase: what is written, what is refused.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Mtdctl;
use Test::More;

Mtdctl::start();

my $id = '5d2b0a3e-3f6c-4f0c-9f0e-0a1b2c3d4e5f';
my $key = "mtd:device:$id";
my ($rc, $out, $err);


# a record, whole

($rc, $out, $err) = ctl('device', 'set', uc $id, 'threat=SECURED',
    'compliance=compliant', 'enrolled=mdm', 'os=Windows Phone',
    'user=Alice@Example.com', 'groups=a b,c', 'grace_until=1790000000',
    'reported_at=2026-11-24T08:30:00.25+01:00', 'vendor=Lookout',
    'alias=eas:AndroidC1', 'alias=vendor.lookout:x:1');

is("$rc|$out|$err", '0||', 'device set says nothing');
is_deeply(hash($key), {
    id => $id, threat => 'secured', compliance => 'compliant',
    enrolled => 'mdm', os => 'Windows Phone', user => 'alice@example.com',
    groups => 'a b,c', grace_until => 1790000000,
    reported_at => 1795505400250, vendor => 'lookout',
    aliases => 'eas:androidc1 vendor.lookout:x:1',
}, 'its record');
is(redis('GET', 'mtd:alias:eas:androidc1'), $id, 'its alias');
is(redis('GET', 'mtd:alias:vendor.lookout:x:1'), $id,
   'its alias with a colon');
is_deeply(redis('SMEMBERS', 'mtd:user:alice@example.com'), [ $id ],
          'its user has it');
is(scalar(grep { redis('TTL', $_) <= 2591990 } @{ redis('KEYS', '*') }), 0,
   'every key lives for 30 days');

my $audit = redis('XRANGE', 'mtd:audit', '-', '+');
my %entry = @{ $audit->[0][1] };

is(@$audit, 1, 'one line of audit');
is_deeply([ @entry{qw(what id)} ], [ 'device set', $id ], 'it says what');
like($entry{who}, qr/^\w+@.+/, 'it says who');


# a change of some fields

ctl('--ttl', '1h', 'device', 'set', $id, 'threat=highSeverity', 'os=',
    'user=bob@example.com');
is(hash($key)->{threat}, 'highSeverity', 'a field is changed');
is(hash($key)->{os}, undef, 'a field is removed');
is(hash($key)->{compliance}, 'compliant', 'another one stays');
is(redis('EXISTS', 'mtd:user:alice@example.com'), 0, 'no longer its user');
is_deeply(redis('SMEMBERS', 'mtd:user:bob@example.com'), [ $id ],
          'its new user');
cmp_ok(redis('TTL', $_), '<=', 3600, "--ttl holds for $_")
    for $key, 'mtd:alias:eas:androidc1', 'mtd:user:bob@example.com';
cmp_ok(redis('TTL', 'mtd:audit'), '>', 3600, 'but not for the audit');

redis('DEL', 'mtd:alias:eas:androidc1');
ctl('--ttl', '10m', 'device', 'set', 'other', 'user=bob@example.com');
cmp_ok(redis('TTL', 'mtd:user:bob@example.com'), '>', 600,
       'a device does not shorten the life of its user');
ctl('device', 'set', $id, 'action=block');
is(redis('GET', 'mtd:alias:eas:androidc1'), $id, 'a lost alias is repaired');
ctl('device', 'set', $id, 'action=');
is(hash($key)->{action}, undef, 'an action is taken back');
ctl('device', 'erase', 'other');

my $before = time;

ctl('device', 'set', $id, 'reported_at=now', 'grace_until=now');
cmp_ok(abs(hash($key)->{reported_at} / 1000 - $before), '<', 60,
       'reported_at=now is in milliseconds');
cmp_ok(abs(hash($key)->{grace_until} - $before), '<', 60,
       'grace_until=now is in seconds');


# vendors

ctl('device', 'set', 'v', 'threat:lookout=secured',
    'reported_at:lookout=1790000000000', 'threat:zimperium=highSeverity',
    'reported_at:zimperium=1790000000001');
is_deeply([ @{ hash('mtd:device:v') }{qw(threat reported_at vendor)} ],
          [ 'highSeverity', '1790000000001', 'zimperium' ],
          'threat is the worst, reported_at the newest of the vendors');
ctl('device', 'set', 'v', 'threat:zimperium=secured');
is(hash('mtd:device:v')->{threat}, 'secured', 'it follows them');
ctl('device', 'set', 'v', 'threat:zimperium=unresponsive');
is(hash('mtd:device:v')->{threat}, 'unresponsive',
   'what is not known is worse than what is good');
ctl('device', 'set', 'v', 'threat:zimperium=lowSeverity',
    'threat=compromised');
is(hash('mtd:device:v')->{threat}, 'compromised', 'what is said stands');
ctl('device', 'set', 'v', 'threat:zimperium=', 'threat:lookout=');
is(hash('mtd:device:v')->{threat}, 'unknown',
   'without any vendor nothing is known');
ctl('device', 'erase', 'v');


# what is refused writes nothing

redis('FLUSHALL');

my @bad = (
    [ qr/field "threat": unknown word "hihg" \(allowed: unknown activated/,
      'threat=hihg' ],
    [ qr/field "threat:lookout": unknown word "x"/, 'threat:lookout=x' ],
    [ qr/"compliance": unknown word .*inGracePeriod/, 'compliance=yes' ],
    [ qr/"enrolled": unknown word "x" \(allowed: mdm app\)/, 'enrolled=x' ],
    [ qr/"action": unknown word "x" \(allowed: allow block wipe\)/,
      'action=x' ],
    [ qr/"grace_until": "1790000000000" is no time/,
      'grace_until=1790000000000' ],
    [ qr/"grace_until": "-1" is no time/, 'grace_until=-1' ],
    [ qr/"reported_at": "1790000000" is no time \(Unix milli/,
      'reported_at=1790000000' ],
    [ qr/"reported_at": "9999999999999999" is no/,
      'reported_at=9999999999999999' ],
    (map { [ qr/"reported_at": "\Q$_\E" is no time/, "reported_at=$_" ] }
        '2026-02-29T00:00:00Z', '2026-13-01T00:00:00Z',
        '2026-01-01T24:00:00Z', '2026-01-01T00:00:00', '2026-01-01',
        '2026-01-01T00:00:00.Z', '2026-01-01T00:00:00+1:00',
        '2026-01-01T00:00:00Zx'),
    [ qr/unknown field "thread" \(allowed: threat compliance/, 'thread=x' ],
    [ qr/unknown field "threat:"/, 'threat:=secured' ],
    [ qr/unknown field "threat:a\.b"/, 'threat:a.b=secured' ],
    [ qr/unknown field "id"/, 'id=x' ],
    [ qr/unknown field "aliases"/, 'aliases=eas:x' ],
    [ qr/"secured" is not of the form field=value/, 'secured' ],
    [ qr/unknown alias kind "mac" \(allowed: eas entra/, 'alias=mac:x' ],
    [ qr/not of the form alias=KIND:VALUE/, 'alias=eas' ],
    [ qr/field "alias:eas": empty/, 'alias=eas:' ],
    [ qr/field "alias:eas": "a b" has a space/, 'alias=eas:a b' ],
    [ qr/field "alias:eas": longer than 128/, 'alias=eas:' . 'x' x 129 ],
    [ qr/field "os": longer than 64 bytes/, 'os=' . 'x' x 65 ],
    [ qr/field "os": "a\?b" has a control/, "os=a\nb" ],
    [ qr/field "os": not in UTF-8/, "os=\xff" ],
    [ qr/field "user": "a b" has a space/, 'user=a b' ],
    [ qr/field "vendor": "a\.b" is no vendor/, 'vendor=a.b' ],
    [ qr/field "threat": given twice/, 'threat=secured', 'threat=secured' ],
);

for (@bad) {
    my ($like, @args) = @$_;

    ($rc, $out, $err) = ctl('device', 'set', 'x', 'alias=udid:x', @args);

    my $name = substr "@args", 0, 40;

    $name =~ s/[^ -~]/?/g;
    is($rc, 2, "$name: exit status");
    like($err, $like, "$name: message");
}

for (
    [ qr/field "id": empty/, '' ],
    [ qr/field "id": "a b" has a space/, 'a b' ],
    [ qr/field "id": "eas:x" reads as an alias/, 'eas:x' ],
    [ qr/field "id": longer than 128/, 'x' x 129 ],
) {
    my ($like, $bad) = @$_;

    ($rc, $out, $err) = ctl('device', 'set', $bad, 'os=ios');
    is($rc, 2, 'bad id: exit status');
    like($err, $like, 'bad id: message');
}

is(keys_of(), '', 'nothing of this was written');


# get and list

ctl('device', 'set', $id, 'threat=secured', 'user=alice@example.com',
    'grace_until=0', 'alias=eas:a1', 'alias=eas:a2', 'alias=serial:s1');

($rc, $out, $err) = ctl('device', 'get', $id);
is($rc, 0, 'device get');
is($out, <<"", 'as a table');
id           $id
aliases      eas:a1 eas:a2 serial:s1
grace_until  0
threat       secured
user         alice\@example.com

is((ctl('device', 'get', 'EAS:A2'))[1], $out, 'by an alias');
is((ctl('device', 'get', uc $id))[1], $out, 'in capital letters');

is((ctl('--json', 'device', 'get', $id))[1],
   qq({"id":"$id","threat":"secured","user":"alice\@example.com",)
   . qq("grace_until":0,"aliases":{"eas":["a1","a2"],"serial":["s1"]}}\n),
   'as JSON');

is((ctl('device', 'get', 'nobody'))[0], 1, 'no such device');
is((ctl('device', 'get', 'eas:nobody'))[0], 1, 'no such alias');

redis('HSET', 'mtd:device:raw', 'threat', "a\e[31mb", 'os', "\xff", 'x', '');
($rc, $out, $err) = ctl('device', 'get', 'raw');
like($out, qr/^threat  a\?\[31mb$/m, 'a terminal gets no control character');
is((ctl('--json', 'device', 'get', 'raw'))[1],
   qq({"id":"raw","threat":"a\\u001B[31mb","os":"?","x":""}\n),
   'JSON is UTF-8');
redis('DEL', 'mtd:device:raw');

ctl('device', 'set', "d$_", 'threat=secured', "alias=eas:e$_") for 1 .. 3;
redis('SET', 'mtd2:device:y', 'of another prefix');
redis('HSET', 'xmtd:device:y', 'id', 'y');

($rc, $out, $err) = ctl('device', 'list');
is($rc, 0, 'device list');
is(scalar(() = $out =~ /\n/g), 5, 'a header and four devices');
like($out, qr/^d2 +secured +- +- +- +-$/m, 'as a table');

($rc, $out, $err) = ctl('device', 'list', '--json');
is(join(' ', sort $out =~ /"id":"([^"]+)"/g), "$id d1 d2 d3", 'as JSON');

# what is listed can be imported, and is the same then

my $list = join "\n", sort split /\n/, $out;
my $dump = file('dump.jsonl', $out);

redis('FLUSHALL');
($rc, $out, $err) = ctl('import', $dump);
is("$rc|$out|$err", "0|imported 4, skipped 0, unchanged 0\n|",
   'a list can be imported');
($rc, $out, $err) = ctl('device', 'list', '--json');
is(join("\n", sort split /\n/, $out), $list, 'and is the same then');

redis('SET', 'mtd:device:wrong', 'x');
($rc, $out, $err) = ctl('device', 'list', '--json');
is($rc, 2, 'a key that is no record is no success');
like($err, qr/"mtd:device:wrong" in Redis holds another type/, 'is named');
is(scalar(() = $out =~ /\n/g), 4, 'and the others are there');
redis('DEL', 'mtd:device:wrong');

ctl('--prefix', 'a*[b]:', 'device', 'set', 'p1', 'threat=secured');
redis('HSET', 'axb:device:p2', 'id', 'p2');
is((ctl('--prefix', 'a*[b]:', '--json', 'device', 'list'))[1],
   qq({"id":"p1","threat":"secured"}\n), 'a prefix is no pattern');


# erase

redis('FLUSHALL');
ctl('device', 'set', $id, 'threat=secured', 'user=alice@example.com',
    'alias=eas:a1', 'alias=imei:1');
ctl('device', 'set', 'other', 'user=alice@example.com', 'alias=eas:a3');
redis('HSET', "mtd:apps:$id", 'com.example', '{}');
redis('SET', 'mtd:alias:imei:1', $id =~ tr/5/6/r);

($rc, $out, $err) = ctl('device', 'erase', $id);
is("$rc|$out|$err", '0||', 'device erase');
is(keys_of(), 'mtd:alias:eas:a3 mtd:alias:imei:1 mtd:audit mtd:device:other'
   . ' mtd:user:alice@example.com', 'only what belongs to others stays');
is_deeply(redis('SMEMBERS', 'mtd:user:alice@example.com'), [ 'other' ],
          'in the set of the user, too');
is((ctl('device', 'erase', $id))[0], 1, 'it is gone');
redis('DEL', 'mtd:alias:imei:1');
ctl('device', 'erase', 'other');
is(keys_of(), 'mtd:audit', 'nothing is left but the audit');

done_testing();
