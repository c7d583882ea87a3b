use lib 't/lib';
use Test::Nginx::Socket 'no_plan';
use MTD;
use JWT;
use MIME::Base64;

# the claims challenge, and who gets none

write_keys('jwks.json', rsa => 'rsa');

our %token = (
    cp1    => token(xms_cc => [ 'x', 'cp1' ], iat => time - 600),
    fresh  => token(xms_cc => [ 'cp1' ], iat => time - 60),
    timeless => token(xms_cc => [ 'cp1' ], iat => undef, nbf => undef),
    plain  => token(),
    other  => token(xms_cc => [ 'CP1', 'cp12' ]),
    nobody => token(xms_cc => [ 'cp1' ], deviceid => undef,
                    iat => time - 600),
    old    => token(xms_cc => [ 'cp1' ], exp => time - 70),
    early  => token(xms_cc => [ 'cp1' ], nbf => time + 1800,
                    exp => time + 3600),
    forged => token(xms_cc => [ 'cp1' ], exp => time - 70, _key => 'other',
                    _kid => 'rsa'),
);

our $uri = 'https://login.example/authorize';


sub ask {
    my ($token, $target, @headers) = @_;
    return http('POST', $target || '/ews/exchange.asmx',
                "Authorization: Bearer $token{$token}", @headers);
}

add_block_preprocessor(sub {
    my ($block) = @_;
    my $challenge = $block->off ? '' : "authorization_uri=$uri";

    $block->set_value(gate => <<"END");
mtd_profile exchange; mtd_identify bearer eas;
mtd_bearer jwks=\$TEST_NGINX_KEYS/jwks.json issuer=$issuer audience=$audience
           $challenge;
END
    my $fields = $block->record || 'threat=compromised';
    $block->set_value(device => "d1 compliance=compliant alias=entra:$guid $fields");
    $block->set_value(request => 'GET /mapi/nspi');
    $block->set_value(error_code => 403);
    $block->set_value(response_headers => "X-Is: block unidentified\nWWW-Authenticate:")
        if !defined $block->response_headers;
});

repeat_each(2);
run_tests();

__DATA__

=== TEST 1: a client that understands it, refused for its device
--- then
my $before = time;
my $answer = ask('cp1');
is $answer->{status}, 401, 'a challenge';
is $answer->{'x-is'}, 'remediate compromised', 'for the device';
is $answer->{body}, '', 'no body';
ok $answer->{'x-mtd-reference'}, 'a reference';
is $answer->{'cache-control'}, 'no-store', 'not to be stored';
my ($head, $claims) = $answer->{'www-authenticate'} =~ /^(.*, claims=)"(.*)"$/;
is $head, qq(Bearer realm="", authorization_uri="$uri", )
          . 'error="insufficient_claims", claims=', 'the header';
my $json = JSON::PP::decode_json(decode_base64($claims));
my $nbf = $json->{access_token}{nbf};
ok $nbf->{essential}, 'essential';
like $nbf->{value}, qr/^\d+$/, 'a time, as text';
cmp_ok $nbf->{value}, '>=', $before, 'of now';
$answer = ask('cp1', '/Microsoft-Server-ActiveSync?Cmd=Sync&User=u'
                     . '&DeviceType=t&DeviceId=d1');
is $answer->{status}, 401, 'in ActiveSync, too';

=== TEST 2: others get the refusal of their protocol
--- then
for my $token (qw(plain other fresh timeless)) {
    my $answer = ask($token);
    is $answer->{status}, 500, "$token: a SOAP fault";
    is $answer->{'www-authenticate'}, undef, "$token: no challenge";
}
my $answer = ask('nobody');
is $answer->{'x-is'}, 'block unidentified', 'no device';
is $answer->{'www-authenticate'}, undef, '... no challenge';
$answer = ask('old');
is $answer->{'x-is'}, 'block unidentified', 'expired';
is $answer->{status}, 401, '... get another token';
is $answer->{'www-authenticate'},
   qq(Bearer realm="", authorization_uri="$uri", error="invalid_token"),
   '... is all that is said';
$answer = ask('old', '/Microsoft-Server-ActiveSync?Cmd=Ping&User=u'
                     . '&DeviceType=t&DeviceId=d1');
is $answer->{'x-is'}, 'remediate compromised', 'expired, with ActiveSync';
is $answer->{status}, 403, '... no challenge';

=== TEST 3: not configured
--- off: 1
--- then
my $answer = ask('cp1');
is $answer->{status}, 500, 'a SOAP fault';
is $answer->{'www-authenticate'}, undef, 'no challenge';
$answer = ask('old');
is $answer->{'www-authenticate'}, 'Bearer realm="", error="invalid_token"',
   'expired';
is ask('nobody')->{status}, 500, 'valid, of no device';

=== TEST 4: an unknown device
--- then
redis('DEL', key('device:d1'));
ok until_true(sub { ask('cp1')->{'x-is'} eq 'block unknown_device' }), 'is it';
is ask('cp1')->{status}, 401, 'a challenge';

=== TEST 5: an admin's word is not argued about
--- record: threat=secured action=block
--- then
my $answer = ask('cp1');
is $answer->{'x-is'}, 'block admin_block', 'blocked';
is $answer->{'www-authenticate'}, undef, 'no challenge';

=== TEST 6: redis does not answer
--- store: server unix:$TEST_NGINX_SERVER_ROOT/no.sock;
--- then
my $answer = ask('cp1');
is $answer->{'x-is'}, 'block store_unavailable', 'it does not';
is $answer->{status}, 503, 'later';
is $answer->{'www-authenticate'}, undef, 'no challenge';

=== TEST 7: an allowed one
--- record: threat=secured
--- then
my $answer = ask('cp1');
is $answer->{status}, 200, 'allowed';
is $answer->{'www-authenticate'}, undef, 'no challenge';

=== TEST 8: only one that has expired is to be replaced
--- then
my $answer = ask('early');
is $answer->{'x-is'}, 'block unidentified', 'not valid yet';
is $answer->{status}, 500, '... a SOAP fault';
is $answer->{'www-authenticate'}, undef, '... another one would be no better';
$answer = ask('forged');
is $answer->{'x-is'}, 'block malformed', 'with the signature of another key';
is $answer->{status}, 400, '... refused';
is $answer->{'www-authenticate'}, undef, '... its sender is told nothing';
