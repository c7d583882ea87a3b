use lib 't/lib';
use Test::Nginx::Socket 'no_plan';
use MTD;

use Digest::SHA 'hmac_sha256_hex';

# pseudonyms in the names of keys

our $secret = 'a secret of thirty-two bytes....';

sub hidden {
    my ($domain, $text) = @_;
    return key($domain
               . substr hmac_sha256_hex("$domain$text", $secret), 0, 32);
}

add_block_preprocessor(sub {
    my ($block) = @_;
    $block->set_value(post_setup_server_root =>
                      'MTD::write_file("secret", "$secret\n", 0600)');
    $block->set_value(store => 'key_secret file:$TEST_NGINX_SERVER_ROOT/secret;'
                               . ($block->store // ''));
});

repeat_each(2);
run_tests();

__DATA__

=== TEST 1: names are hidden, and a change is pushed
--- init
redis('SET', hidden('alias:serial:', 'd1'), 'd1', 'EX', 600);
redis('HSET', hidden('device:', 'd1'), qw(threat secured compliance compliant));
redis('EXPIRE', hidden('device:', 'd1'), 600);
--- request
GET /x
--- more_headers
X-Device: D1
--- response_headers
X-Is: allow secured_enough
--- then
trusted();
until_told('d1', 'allow secured_enough');
until_true(sub { http('GET', '/x', 'X-Device: d1')->{'x-lookup'} eq 'HIT' });
redis('HSET', hidden('device:', 'd1'), 'threat', 'compromised');
until_told('d1', 'remediate compromised');
redis('HSET', hidden('device:', 'd1'), 'threat', 'secured');
until_told('d1', 'allow secured_enough');
redis('DEL', hidden('alias:serial:', 'd1'));
until_told('d1', 'block unknown_device');
redis('SET', hidden('alias:serial:', 'd1'), 'd1', 'EX', 600);
until_told('d1', 'allow secured_enough');

=== TEST 2: a name that is not hidden is not a device
--- device
d1 threat=secured compliance=compliant
--- request
GET /x
--- more_headers
X-Device: d1
--- error_code: 403
--- response_headers
X-Is: block unknown_device

=== TEST 3: a pseudonym that a client sends is not a device
--- init
redis('SET', hidden('alias:serial:', 'd1'), 'd1', 'EX', 600);
redis('HSET', hidden('device:', 'd1'), qw(threat secured compliance compliant));
--- request
GET /x
--- more_headers eval
'X-Device: ' . substr Digest::SHA::hmac_sha256_hex('alias:serial:d1', $::secret), 0, 32
--- error_code: 403
--- response_headers
X-Is: block unknown_device

=== TEST 4: an id that is unknown for an hour, and then is not
--- store: unknown 1h;
--- request
GET /x
--- more_headers
X-Device: d1
--- error_code: 403
--- then
trusted();
until_true(sub { http('GET', '/x', 'X-Device: d1')->{'x-lookup'} eq 'NEGATIVE' });
redis('HSET', hidden('device:', 'd1'), qw(threat secured compliance compliant));
redis('SET', hidden('alias:serial:', 'd1'), 'd1', 'EX', 600);
until_told('d1', 'allow secured_enough');
redis('DEL', hidden('device:', 'd1'));
until_told('d1', 'block unknown_device');
redis('HSET', hidden('device:', 'd1'), qw(threat secured compliance compliant));
until_told('d1', 'allow secured_enough');
redis('DEL', hidden('alias:serial:', 'd1'), hidden('device:', 'd1'));
until_told('d1', 'block unknown_device');
