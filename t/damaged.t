use lib 't/lib';
use Test::Nginx::Socket 'no_plan';
use MTD;

# what redis holds and nobody should have written is never an allow

add_block_preprocessor(sub {
    my ($block) = @_;

    # as open as a policy can be

    $block->set_value(policy => <<'END');
max_threat high; compliance ignored; missing_threat allow;
unknown_device allow; unidentified allow; unenrolled allow;
store_failure allow;
END

    # devices that are, all of them, as what cannot be read

    my ($first, @others) = split ' ', $block->refused // '' or return;

    $block->set_value(request => 'GET /x');
    $block->set_value(more_headers => "X-Device: $first");
    $block->set_value(error_code => 403);
    $block->set_value(response_headers => 'X-Is: block threat_missing');
    $block->set_value(then => "is told(\$_), 'block threat_missing', \$_"
                              . " for qw(@others);\n" . ($block->then // ''));
});

repeat_each(2);
run_tests();

__DATA__

=== TEST 1: unknown words
--- device
d1 threat=excellent
d2 threat=secured compliance=yes
d3 threat=secured enrolled=perhaps
d4 threat=secured action=ignore
d5 action=allow compliance=yes
ok threat=secured compliance=compliant
--- refused: d1 d2 d3 d4 d5
--- then
is told('ok'), 'allow secured_enough', 'one that is whole';
is scalar(() = error_log() =~ /\[warn\].*cannot be read/g), 1,
   'one warning for all of them';
is status()->{stores}{r}{counters}{damaged} >= 5, 1, 'each is counted';

=== TEST 2: numbers that are none
--- device
d1 threat=secured compliance=compliant reported_at=yesterday
d2 threat=secured compliance=compliant grace_until=-1
d3 threat=secured compliance=compliant reported_at=99999999999999999999
d4 threat=secured compliance=compliant grace_until=4294967296
--- refused: d1 d2 d3 d4

=== TEST 3: texts that are too long or have control bytes
--- init
my %long = (os => 65, vendor => 65, user => 1025, groups => 8193);
for my $field (keys %long) {
    MTD::devices("$field threat=secured compliance=compliant");
    redis('HSET', key("device:$field"), $field, 'a' x $long{$field});
}
MTD::devices("control threat=secured compliance=compliant");
redis('HSET', key('device:control'), groups => "a\r\nX-Evil: 1");
--- refused: os vendor user groups control

=== TEST 4: wrong types
--- init
redis('SET', key('alias:serial:string'), 'string');
redis('SET', key('device:string'), 'threat=secured');
redis('DEL', key('alias:serial:list'));
redis('RPUSH', key('alias:serial:list'), 'd1');
redis('SET', key('alias:serial:set'), 'set');
redis('SADD', key('device:set'), 'threat');
--- refused: string list set

=== TEST 5: values that would take memory
--- init
redis('SET', key('alias:serial:big'), 'a' x 70000);
redis('SET', key('alias:serial:huge'), 'a' x 20000000);
MTD::devices("field threat=secured compliance=compliant");
redis('HSET', key('device:field'), user => 'a' x 100000);
MTD::devices("ok threat=secured compliance=compliant");
--- refused: big huge field
--- then
is told('ok'), 'allow secured_enough', 'and one that is whole';
trusted();
told('huge');
my $before = status()->{stores}{r}{counters};
is told('huge'), 'block threat_missing', 'again' for 1 .. 5;
is status()->{stores}{r}{counters}{connects}, $before->{connects},
   'it is not asked for each time, and cuts no connection';

=== TEST 6: an alias that names no ID
--- init
redis('SET', key('alias:serial:empty'), '');
redis('SET', key('alias:serial:space'), 'a b');
redis('SET', key('alias:serial:long'), 'a' x 129);
redis('SET', key('alias:serial:split'), "a\r\nFLUSHALL");
--- refused: empty space long split

=== TEST 7: block and wipe stand, whatever else cannot be read
--- device
d1 threat=? action=block
d2 threat=? action=wipe
--- request
GET /x
--- more_headers
X-Device: d1
--- error_code: 403
--- response_headers
X-Is: block admin_block
--- then
is told('d2'), 'block wipe_pending', 'wipe';

=== TEST 8: a field that we do not know is nothing to us
--- device
d1 threat=secured compliance=compliant threat:lookout=? note=text
--- request
GET /x
--- more_headers
X-Device: d1
--- response_headers
X-Is: allow secured_enough

=== TEST 9: words and numbers that are almost ones
--- init
my $n = 0;
for (map({ [threat => $_] } "secured\0", "secured\0highSeverity", "secured\n",
         "\xef\xbb\xbfsecured", '"secured"', '{"risk":"low"}', "\0", 'low',
         'sec', 'secured,highSeverity'),
     map({ [compliance => $_] } 'true', '1', "compliant\0", ' compliant'),
     map({ [grace_until => $_] } '1e10', '4294967295.0', 'Infinity', "\0"),
     map({ [reported_at => $_] } '1e12', '9223372036854775807', ' ',
         "1767225600000\n"),
     map({ [action => $_] } 'allow ', "allow\0", "block\0", 'deny'))
{
    MTD::devices('d' . ++$n . ' threat=secured compliance=compliant');
    redis('HSET', key("device:d$n"), @$_);
}
$almost = $n;
--- refused: d1
--- then
is told("d$_"), 'block threat_missing', "d$_" for 2 .. $almost;

=== TEST 10: an alias is a name and no way to other keys
--- init
my %to = (self => 'self', other => 'alias:serial:good', key => key('device:good'),
          part => 'device:good', any => '*', one => 'goo?', set => '[g]ood',
          up => '../good', tag => '{good}', colon => 'good:', json => '{"id":"good"}',
          wide => "good\xc2\xa0", byte => "good\xff");
MTD::devices('good threat=secured compliance=compliant');
redis('SET', key("alias:serial:$_"), $to{$_}) for keys %to;
@names = sort keys %to;
--- request
GET /x
--- more_headers
X-Device: self
--- response_headers
X-Is: allow unknown_device
--- then
is told('good'), 'allow secured_enough', 'the device itself';
is told($_), 'allow unknown_device', $_ for @names;
isnt told($_), 'allow secured_enough', "in a request: $_"
    for '*', 'goo?', '[g]ood', 'alias:serial:good', '../good', "good\xa0";
