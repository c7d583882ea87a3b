use lib 't/lib';
use Test::Nginx::Socket 'no_plan';
use MTD;

# mtd_value: identities out of variables

our $identify = "mtd_profile generic; mtd_identify value;\n";

add_block_preprocessor(sub {
    my ($block) = @_;
    $block->set_value(gate => $identify . $block->value) if $block->value;
    $block->set_value(device => <<'END');
d1 threat=secured compliance=compliant alias=entra:e1 alias=vendor.x:v1
d2 threat=compromised
END
});

repeat_each(2);
run_tests();

__DATA__

=== TEST 1: a pattern with a group
--- value: mtd_value $http_user_agent kind=serial "pattern=^Agent/[0-9.]+ \(id=(\w+)\)$";
--- request
GET /x
--- more_headers
User-Agent: Agent/1.0 (id=D1)
--- response_headers
X-Is: allow secured_enough

=== TEST 2: a pattern without a group
--- value: mtd_value $http_x_device kind=serial "pattern=d\d";
--- request
GET /x
--- more_headers
X-Device: this is d1.
--- response_headers
X-Is: allow secured_enough

=== TEST 3: a pattern that does not match
--- value: mtd_value $http_x_device kind=serial "pattern=^(d\d)$";
--- request
GET /x
--- more_headers
X-Device: d1x
--- error_code: 403
--- response_headers
X-Is: block unidentified

=== TEST 4: a pattern that gives up
--- policy: unidentified allow; unknown_device allow; store_failure allow;
--- value: mtd_value $http_x_device kind=serial "pattern=^(?:a+)+$";
--- request eval
"GET /x"
--- more_headers eval
"X-Device: " . ("a" x 16) . "!"
--- error_code: 400
--- response_headers
X-Is: block malformed
--- error_log
pattern of mtd_value gave up

=== TEST 5: an argument
--- value: mtd_value $arg_device kind=serial;
--- request
GET /x?device=d1
--- response_headers
X-Is: allow secured_enough

=== TEST 6: a variable of set is not one of a header
--- value: mtd_value $device kind=serial; set $device $http_x_first;
--- request
GET /x
--- more_headers
X-First: d1
--- response_headers
X-Is: allow secured_enough

=== TEST 7: the first that is there
--- value: mtd_value $http_x_entra kind=entra; mtd_value $http_x_vendor kind=vendor.x; mtd_value $http_x_device kind=serial;
--- request
GET /x
--- more_headers
X-Vendor: V1
X-Device: d2
--- response_headers
X-Is: allow secured_enough
--- then
is http('GET', '/x', 'X-Entra: e1')->{'x-is'}, 'allow secured_enough', 'entra';
is told('d2'), 'remediate compromised', 'the last';
is http('GET', '/x', 'X-Entra: d1')->{'x-is'}, 'block unknown_device',
   'a value of another kind';

=== TEST 8: two of one kind have to agree
--- value: mtd_value $http_x_device kind=serial; mtd_value $arg_device kind=serial;
--- request
GET /x?device=d1
--- more_headers
X-Device: d2
--- error_code: 403
--- response_headers
X-Is: block ambiguous
--- then
is http('GET', '/x?device=D1', 'X-Device: d1')->{'x-is'},
   'allow secured_enough', 'they do';

=== TEST 9: each occurrence of a header is seen
--- value: mtd_value $http_x_device kind=serial;
--- request
GET /x
--- more_headers
X-Device: d1
X-Other: 1
x-device: d2
--- error_code: 403
--- response_headers
X-Is: block ambiguous
--- then
is http('GET', '/x', 'X-Device: d1', 'X-Device: d1')->{'x-is'},
   'allow secured_enough', 'the same twice';
is http('GET', '/x', 'X-Device: d1, d2')->{'x-is'}, 'block ambiguous',
   'a list';
is http('GET', '/x', 'X-Device: d1', 'X-Device:')->{'x-is'},
   'block ambiguous', 'one is empty';
is http('GET', '/x', 'X-Device:')->{'x-is'}, 'block unidentified', 'empty';

=== TEST 10: bytes that no id has
--- value: mtd_value $http_x_device kind=serial;
--- request
GET /x
--- more_headers
X-Device: d1/../d2
--- error_code: 400
--- response_headers
X-Is: block malformed
--- then
is http('GET', '/x', "X-Device: $_")->{'x-is'}, 'block malformed', "'$_'"
    for 'd 1', 'd1;', "d1\xc3\xa9", 'd1*', 'd1%00', 'a' x 129;
is http('GET', '/x', 'X-Device: ' . 'a' x 128)->{'x-is'},
   'block unknown_device', 'the longest';

=== TEST 11: underscores are hyphens where they are let in
--- value: mtd_value $http_x_device kind=serial; underscores_in_headers on;
--- request
GET /x
--- more_headers
X-Device: d1
X_Device: d2
--- error_code: 403
--- response_headers
X-Is: block ambiguous

=== TEST 12: others in a location
--- value: mtd_value $http_x_device kind=serial;
--- location: mtd_value $http_x_other kind=serial;
--- request
GET /x
--- more_headers
X-Device: d2
X-Other: d1
--- response_headers
X-Is: allow secured_enough
