#!/usr/bin/perl

# import: both formats, each kind of bad row, --strict, unchanged rows.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Mtdctl;
use Test::More;
use Time::HiRes qw(time);

Mtdctl::start();

my ($rc, $out, $err);


# CSV as spreadsheets write it

my $csv = file('a.csv', "\xef\xbb\xbfID,Threat,os,groups,Alias:EAS,alias:eas,"
    . "alias:serial,reported_at:Lookout\r\n"
    . qq(A1,SECURED,"i""OS","a,b",E1,E2,S1,2026-11-24T00:00:00Z\r\n)
    . qq(\r\n"a2","",,,,,,\r\n)
    . qq(a3,compromised,x,,,e3,,now));

($rc, $out, $err) = ctl('import', $csv);
is("$rc|$out|$err", "0|imported 3, skipped 0, unchanged 0\n|", 'CSV');
is_deeply(hash('mtd:device:a1'), {
    id => 'a1', threat => 'secured', os => 'i"OS', groups => 'a,b',
    aliases => 'eas:e1 eas:e2 serial:s1', vendor => 'lookout',
    'reported_at:lookout' => '1795478400000', reported_at => '1795478400000',
}, 'a whole row');
is_deeply(hash('mtd:device:a2'), { id => 'a2' }, 'an empty row');
is(redis('GET', 'mtd:alias:eas:e3'), 'a3', 'the last row, without a newline');
is(redis('XLEN', 'mtd:audit'), 3, 'each is in the audit');


# what is there already is left alone

redis('DEL', 'mtd:audit');
ctl('import', file('same.csv', "id,threat,alias:eas\na1,secured,e1\n"));
is((ctl('import', file('same.csv', "id,threat,alias:eas\nA1,Secured,E1\n")))[1],
   "imported 0, skipped 0, unchanged 1\n", 'an unchanged row');
is(redis('EXISTS', 'mtd:audit'), 0, 'is not written');

redis('EXPIRE', 'mtd:device:a1', 14 * 24 * 3600);
is((ctl('import', dir() . '/same.csv'))[1],
   "imported 1, skipped 0, unchanged 0\n", 'until half of its TTL is over');
cmp_ok(redis('TTL', 'mtd:device:a1'), '>', 29 * 24 * 3600, 'then it lives on');

redis('PERSIST', 'mtd:device:a1');
is((ctl('import', dir() . '/same.csv'))[1],
   "imported 1, skipped 0, unchanged 0\n", 'a key without TTL gets one');

redis('DEL', 'mtd:alias:eas:e1');
is((ctl('import', dir() . '/same.csv'))[1],
   "imported 1, skipped 0, unchanged 0\n", 'a lost alias comes back');
is(redis('GET', 'mtd:alias:eas:e1'), 'a1', 'to its device');

ctl('import', file('empty.csv', "id,threat\na1,\n"));
is(hash('mtd:device:a1')->{threat}, undef, 'an empty cell removes');
is(hash('mtd:device:a1')->{os}, 'i"OS', 'an absent column does not');


# JSON Lines

redis('FLUSHALL');

my $jsonl = file('a.jsonl', <<'END');
{"id": "J1", "threat": "secured", "grace_until": 0, "aliases": {"eas": "X"}}

{"id": "j2", "reported_at": 1790000000000, "aliases": {"eas": ["y", "z"]}}
{"id": "j3", "os": null, "user": "\u00e4@example.com"}
END

($rc, $out, $err) = ctl('import', $jsonl);
is("$rc|$out|$err", "0|imported 3, skipped 0, unchanged 0\n|", 'JSON Lines');
is_deeply(hash('mtd:device:j1'), { id => 'j1', threat => 'secured',
          grace_until => 0, aliases => 'eas:x' }, 'a number');
is(hash('mtd:device:j2')->{aliases}, 'eas:y eas:z', 'an array of aliases');
is(hash('mtd:device:j3')->{user}, "\xc3\xa4\@example.com", 'UTF-8');

$ENV{MTDCTL_STDIN} = $jsonl;
is((ctl('import', '-', '--format', 'jsonl'))[1],
   "imported 0, skipped 0, unchanged 3\n", 'from standard input');
is((ctl('import', '--strict', '-', '--format', 'jsonl'))[1],
   "imported 0, skipped 0, unchanged 3\n", 'with --strict');
($rc, $out, $err) = ctl('import', '-');
is($rc, 2, 'it has no name that tells its format');
like($err, qr/say --format csv or --format jsonl/, 'message');
delete $ENV{MTDCTL_STDIN};


# bad rows, each between two good ones

my $long = 'x' x 65536;

my @csv = (
    [ 'b,hihg,,',    qr/field "threat": unknown word "hihg" \(allowed: / ],
    [ 'b,secured,,,', qr/5 fields, the header has 4/ ],
    [ 'b,secured',   qr/2 fields, the header has 4/ ],
    [ ',secured,,',  qr/field "id": empty/ ],
    [ 'b c,,,',      qr/field "id": "b c" has a space/ ],
    [ 'eas:b,,,',    qr/field "id": "eas:b" reads as an alias/ ],
    [ 'b,,a b,',     qr/field "alias:eas": "a b" has a space/ ],
    [ "b,,\0,",      qr/a NUL byte/ ],
    [ 'b,a"b,,',     qr/a quote inside of a field without quotes/ ],
    [ 'b,"a"b,,',    qr/text after a closing quote/ ],
    [ "b,,,$long",   qr/longer than 65536 bytes/ ],
    [ "b,,,\xff",    qr/field "os": not in UTF-8/ ],
    [ "b,,,\"a\nnew,secured,inj,x\nz\"", qr/field "os": .* has a control/ ],
    [ 'b,' . ',' x 200, qr/too many columns/ ],
    [ 'first,compromised,,', qr/"first" is in line 2, too, with other/ ],
    [ 'b,,f1,',      qr/"alias:eas": "f1" is another device's in line 2/ ],
    [ 'b,,taken,',   qr/alias eas:taken belongs to device "owner"/ ],
);

for my $i (0 .. $#csv) {
    my ($row, $like) = @{ $csv[$i] };

    redis('FLUSHALL');
    ctl('device', 'set', 'owner', 'alias=eas:taken');

    my $name = substr $row, 0, 24;
    my $path = file('bad.csv', "id,threat,alias:eas,os\n"
                    . "first,secured,f1,x\n$row\nlast,secured,l1,x\n");

    $name =~ s/[^ -~]/?/g;
    ($rc, $out, $err) = ctl('import', '--strict', $path);
    is($rc, 2, "CSV $name: --strict");
    is(keys_of('mtd:device:*'), 'mtd:device:owner', 'writes nothing');
    like($err, qr/bad rows, nothing was written/, 'and says so');

    ($rc, $out, $err) = ctl('import', $path);
    is("$rc|$out", "2|imported 2, skipped 1, unchanged 0\n", 'else a skip');
    like($err, qr/^\Q$path\E:3: /, 'the line is named');
    like($err, $like, 'and the field');
    is(keys_of(), 'mtd:alias:eas:f1 mtd:alias:eas:l1 mtd:alias:eas:taken'
       . ' mtd:audit mtd:device:first mtd:device:last mtd:device:owner',
       'the other rows are whole');
}

my $deep = '[' x 1000 . ']' x 1000;

my @jsonl = (
    [ '{"id": "b", "threat": "hihg"}', qr/"threat": unknown word "hihg"/ ],
    [ '{"id": "b", "threat": 1}',      qr/"threat": unknown word "1"/ ],
    [ '{"id": "b", "threat": true}',   qr/"threat": neither a text nor/ ],
    [ '{"id": "b", "reported_at": 1.5e12}', qr/"reported_at": neither a/ ],
    [ '{"id": "b", "grace_until": 99999999999999999999}', qr/no JSON object/ ],
    [ '{"id": "b", "id": "c"}',        qr/no JSON object: duplicate/ ],
    [ '{"id": "b"} x',                 qr/no JSON object/ ],
    [ '{"id": "b"',                    qr/no JSON object/ ],
    [ '["b"]',                         qr/no JSON object/ ],
    [ '{"threat": "secured"}',         qr/field "id": missing/ ],
    [ '{"id": ["b"]}',                 qr/field "id": neither/ ],
    [ '{"id": "b", "thread": "x"}',    qr/unknown field "thread"/ ],
    [ '{"id": "b", "aliases": "x"}',   qr/field "aliases": no object/ ],
    [ '{"id": "b", "aliases": {"mac": "x"}}', qr/unknown alias kind "mac"/ ],
    [ '{"id": "b", "aliases": {"eas": [["x"]]}}', qr/nested too deeply/ ],
    [ '{"id": "b", "aliases": {"eas": ["f1"]}}', qr/another device's in/ ],
    [ qq({"id": "b", "os": $deep}),    qr/nested too deeply/ ],
    [ qq({"id": "b", "os": "\xff"}),   qr/no JSON object/ ],
    [ '{"id": "b", "os": "a\u0000b"}', qr/no JSON object/ ],
    [ '{"id": "b", "os": "a\u001bb"}', qr/"os": "a\?b" has a control/ ],
    [ qq({"id": "b"}\0),               qr/a NUL byte/ ],
    [ qq({"id": "b", "os": "$long"}),  qr/longer than 65536 bytes/ ],
    [ '{"id": "first"}',               qr/"first" is in line 1, too/ ],
);

for (@jsonl) {
    my ($row, $like) = @$_;

    redis('FLUSHALL');

    my $name = substr $row, 0, 40;
    my $path = file('bad.jsonl',
                    qq({"id": "first", "aliases": {"eas": "f1"}}\n)
                    . qq($row\n{"id": "last", "threat": "secured"}\n));

    $name =~ s/[^ -~]/?/g;
    is((ctl('import', '--strict', $path))[0], 2, "JSON $name: --strict");
    is(keys_of(), '', 'writes nothing');

    ($rc, $out, $err) = ctl('import', $path);
    is("$rc|$out", "2|imported 2, skipped 1, unchanged 0\n", 'else a skip');
    like($err, qr/^\Q$path\E:2: .*$like/, 'the line and the field are named');
    is(keys_of(), 'mtd:alias:eas:f1 mtd:audit mtd:device:first'
       . ' mtd:device:last', 'the other rows are whole');
}


# a file that is wrong as a whole

redis('FLUSHALL');

for (
    [ '',                      qr/no header line/ ],
    [ "threat\nsecured\n",     qr/the header has no column "id"/ ],
    [ "id,thread\na,secured\n", qr/unknown field "thread" \(allowed/ ],
    [ "id,alias:mac\na,b\n",   qr/unknown alias kind "mac"/ ],
    [ "id,os,os\na,b,c\n",     qr/column "os" is there twice/ ],
    [ "id,id\na,b\n",          qr/column "id" is there twice/ ],
    [ "\xef\xbbid\na\n",       qr/not in UTF-8/ ],
) {
    my $path = file('whole.csv', $_->[0]);

    ($rc, $out, $err) = ctl('import', $path);
    is($rc, 2, 'a bad header: exit status');
    like($err, qr/^\Q$path\E:1: .*$_->[1]/, 'message');
}

($rc, $out, $err) = ctl('import', dir() . '/none.csv');
is($rc, 2, 'no file');
like($err, qr/cannot open .*No such file/, 'message');
($rc, $out, $err) = ctl('import', '--format', 'csv', dir());
is($rc, 3, 'a directory');
like($err, qr/cannot be read to its end/, 'message');
($rc, $out, $err) = ctl('import', '--format', 'xml', $csv);
is($rc, 2, 'no such format');
like($err, qr/"xml" is neither csv nor jsonl/, 'message');

($rc, $out, $err) = ctl('import', file('open.csv',
    "id,threat,os\na,secured,x\nb,secured,\"x\nc,secured,x\n"));
is("$rc|$out", "2|imported 1, skipped 1, unchanged 0\n",
   'a quote that is never closed');
like($err, qr/open\.csv:3: a quote is not closed/, 'message');
is(keys_of('*device*'), 'mtd:device:a', 'nothing behind it is a row');

($rc, $out, $err) = ctl('import', file('twice.csv',
    "id,threat,os\na,secured,y\na,Secured,y\n"));
is("$rc|$out", "0|imported 1, skipped 0, unchanged 1\n",
   'the same row twice');

ctl('device', 'set', 'owner', 'alias=eas:taken', 'alias=eas:kept');
($rc, $out, $err) = ctl('import', '--force', file('force.csv',
    "id,alias:eas\nowner,new\nthief,taken\n"));
is("$rc|$out", "0|imported 2, skipped 0, unchanged 0\n", '--force');
is(hash('mtd:device:owner')->{aliases}, 'eas:kept eas:new', 'one has less');
is(hash('mtd:device:thief')->{aliases}, 'eas:taken', 'one has more');


# many

redis('FLUSHALL');

my $many = file('many.csv', join '', "id,threat,alias:eas,user\n",
    map { "dev$_,secured,e$_,user" . $_ % 1000 . "\@example.com\n" }
    1 .. 100_000);
my $start = time;

($rc, $out, $err) = ctl('import', $many);
is("$rc|$out|$err", "0|imported 100000, skipped 0, unchanged 0\n|",
   sprintf '100,000 devices in %.1f s', time - $start);
is(redis('DBSIZE'), 201_001, 'all are there');

$start = time;
($rc, $out, $err) = ctl('import', $many);
is("$rc|$out|$err", "0|imported 0, skipped 0, unchanged 100000\n|",
   sprintf 'once more in %.1f s', time - $start);

done_testing();
