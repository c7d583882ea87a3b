#!/usr/bin/perl

# The break-glass bypass: what is written, what is refused, the audit.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP ();
use Mtdctl;
use Test::More;

Mtdctl::start();

my ($rc, $out, $err);
my $stamp = qr/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/;


# none

($rc, $out, $err) = ctl('bypass', 'status');
is("$rc|$out|$err", "1||mtdctl: there is no bypass\n", 'status of none');
is(keys_of(), '', 'nothing is written');


# usage

for (
    [ qr/usage: mtdctl bypass DURATION --why TEXT/, 'bypass' ],
    [ qr/usage: mtdctl bypass DURATION --why TEXT/, 'bypass', '5m', 'x' ],
    [ qr/usage: mtdctl bypass status/, 'bypass', 'status', 'x' ],
    [ qr/--why TEXT is missing, it is for the audit/, 'bypass', '5m' ],
    [ qr/bypass: "soon" is no time from 1m to 24h/, 'bypass', 'soon', '--why',
      'x' ],
    [ qr/bypass: "0" is no time from 1m to 24h/, 'bypass', '0', '--why', 'x' ],
    [ qr/bypass: "59s" is no time from 1m to 24h/, 'bypass', '59s', '--why',
      'x' ],
    [ qr/bypass: "25h" is no time from 1m to 24h/, 'bypass', '25h', '--why',
      'x' ],
    [ qr/--why: it must be UTF-8 text without/, 'bypass', '5m', '--why',
      '' ],
    [ qr/--why: it must be UTF-8 text without/, 'bypass', '5m', '--why',
      "a\nb" ],
    [ qr/--why: it must be UTF-8 text without/, 'bypass', '5m', '--why',
      "a\xffb" ],
    [ qr/of 1 to 200 bytes/, 'bypass', '5m', '--why', 'x' x 201 ],
    [ qr/--why is of no use but with bypass DURATION/, 'bypass', 'end',
      '--why', 'x' ],
    [ qr/--why is of no use but with bypass DURATION/, 'device', 'list',
      '--why', 'x' ],
) {
    my ($like, @args) = @$_;

    ($rc, $out, $err) = ctl(@args);
    is("$rc|$out", '2|', 'wrong usage: ' . join ' ', @args);
    like($err, $like, 'message');
}

is(keys_of(), '', 'nothing is written');


# one

my $before = redis('TIME')->[0];

($rc, $out, $err) = ctl('bypass', '30m', '--why', "Redis \x{c3}\x{bc}bersiedelt");
is("$rc|$err", '0|', 'bypass');
like($out, qr/^bypass until $stamp\n\z/, 'tells until when');

my $b = hash('mtd:bypass');

is(join(' ', sort keys %$b), 'by since until why', 'its fields');
is($b->{until} - $b->{since}, 1800, 'for as long as was said');
cmp_ok($b->{since}, '>=', $before, 'from now on');
cmp_ok($b->{since}, '<=', redis('TIME')->[0], '...');
like($b->{by}, qr/^\S+@\S+$/, 'by whom');
is($b->{why}, "Redis \x{c3}\x{bc}bersiedelt", 'why');
cmp_ok(redis('TTL', 'mtd:bypass'), '<=', 1800, 'its TTL');
cmp_ok(redis('TTL', 'mtd:bypass'), '>', 1700, '...');

my %entry = @{ redis('XRANGE', 'mtd:audit', '-', '+')->[0][1] };
is_deeply(\%entry, { who => $b->{by}, what => 'bypass',
                     until => $b->{until}, why => $b->{why} }, 'the audit');

($rc, $out, $err) = ctl('bypass', 'status');
like($out, qr/^bypass until $stamp \(\d+m\d\ds left\)\nsince $stamp\n/,
     'status: the times');
like($out, qr/\nby \Q$b->{by}\E\nwhy \Q$b->{why}\E\n\z/, '... by whom, why');
($rc, $out, $err) = ctl('--json', 'bypass', 'status');
my $json = JSON::PP::decode_json($out);
cmp_ok(delete $json->{left}, '>', 1700, 'status --json: left');
utf8::encode($json->{why});
is_deeply($json, $b, '... and all');


# another one, which takes its place

($rc, $out, $err) = ctl('bypass', '--why', 'longer', '24h');
is("$rc|$err", '0|', 'again');
is(hash('mtd:bypass')->{why}, 'longer', 'the new one holds');
cmp_ok(redis('TTL', 'mtd:bypass'), '>', 86000, '... and its TTL');


# the end

($rc, $out, $err) = ctl('bypass', 'end');
is("$rc|$out|$err", '0||', 'end');
is((ctl('bypass', 'status'))[0], 1, 'it is over');

$b = hash('mtd:bypass');
cmp_ok($b->{until}, '<=', redis('TIME')->[0],
       'what is left says that it is over');
cmp_ok(redis('TTL', 'mtd:bypass'), '>', 86000,
       '... for as long as any gate may have one');

%entry = @{ redis('XREVRANGE', 'mtd:audit', '+', '-', 'COUNT', 1)->[0][1] };
is("$entry{who} $entry{what}", "$b->{by} bypass end", 'it is in the audit');
redis('DEL', 'mtd:bypass');
is((ctl('bypass', 'end'))[0], 0, 'where there is none, too');
is(redis('EXISTS', 'mtd:bypass'), 1, '... for a gate that has one');

is((ctl('bypass', '60s', '--why', 'again'))[0], 0, 'and begins again');
is((ctl('bypass', 'status'))[0], 0, '...');


# what else may be there

redis('FLUSHALL');
redis('SET', 'mtd:bypass', 'x');
($rc, $out, $err) = ctl('bypass', 'status');
is($rc, 2, 'the wrong type');
like($err, qr/key "mtd:bypass" in Redis holds another type/, 'message');
is((ctl('bypass', '1m', '--why', 'x'))[0], 0, 'gives way');
is(redis('TYPE', 'mtd:bypass'), 'hash', '...');

redis('FLUSHALL');
redis('SET', 'mtd:audit', 'x');
is((ctl('bypass', '1m', '--why', 'x'))[0], 3, 'without an audit');
is(keys_of(), 'mtd:audit', 'nothing is written');


# other names

redis('FLUSHALL');
my $secret = file('secret', "sixteen byte key\n", 0600);
is((ctl('--prefix', 'x:', '--key-secret-file', $secret, 'bypass', '1m',
        '--why', 'x'))[0], 0, 'another prefix, pseudonyms');
is(keys_of(), 'x:audit x:bypass', 'the keys');

done_testing();
