use lib 't/lib';
use Test::Nginx::Socket 'no_plan';
use MTD;
use JWT;

# the device that a token was issued to

write_keys('jwks.json', rsa => 'rsa', ec => 'ec');
write_keys('ps.json', rsa => 'rsa');
write_keys('other.json', rsa => 'other');

our %token = (
    right   => token(),
    folded  => token(deviceid => uc $guid),
    ec      => token(_key => 'ec'),
    list    => token(aud => [ 'x', $audience ]),
    unknown => token(deviceid => $tenant),
    nobody  => token(deviceid => undef),
    expired => token(exp => time - 70),
    early   => token(nbf => time + 86400),
    issuer  => token(iss => 'https://evil.example/'),
    aud     => token(aud => 'https://other.example/'),
    tenant  => token(tid => $guid),
    kid     => token(_kid => 'new'),
    forged  => token(_key => 'other', _kid => 'rsa'),
    none    => token(_alg => 'none'),
    None    => token(_alg => 'NoNe'),
    hs      => token(_alg => 'HS256'),
    jwk     => token(_header => { jwk => JWT::jwk('rsa', 'rsa') }),
    device  => token(deviceid => 'phone'),
    text    => token(exp => '' . (time + 3600)),
    later   => token(iat => time + 86400),
);

our $bearer = 'mtd_bearer jwks=$TEST_NGINX_KEYS/jwks.json '
    . "issuer=$issuer audience=https://a.example/ audience=$audience "
    . "tenant=\U$tenant\E algorithms=RS256,ES256";


sub with {
    my ($name, @more) = @_;
    return http('GET', '/x', "Authorization: Bearer $token{$name}", @more);
}

sub by { return with(@_)->{'x-is'} }

sub eas {
    my ($device, @headers) = @_;
    return http('POST', '/Microsoft-Server-ActiveSync?Cmd=Sync&User=u'
                . "&DeviceType=t&DeviceId=$device", @headers)->{'x-is'};
}

add_block_preprocessor(sub {
    my ($block) = @_;
    my $profile = $block->profile || 'mtd_profile generic; mtd_identify bearer;';
    my $more = $block->more || '';

    chomp $more;
    $block->set_value(gate => "$profile $bearer $more;");
    $block->set_value(device => <<"END");
d1 threat=secured compliance=compliant user=alice\@example.com alias=entra:$guid
d2 threat=highSeverity compliance=compliant
END
    $block->set_value(request => 'GET /x') if !defined $block->request;
    $block->set_value(error_code => 403);
    $block->set_value(response_headers => 'X-Is: block unidentified')
        if !defined $block->response_headers;
});

repeat_each(2);
run_tests();

__DATA__

=== TEST 1: a verified token names the device
--- then
is by('right'), 'allow secured_enough', 'RS256';
is by('right'), 'allow secured_enough', 'once more';
is by('folded'), 'allow secured_enough', 'in capitals';
is by('ec'), 'allow secured_enough', 'ES256';
is by('list'), 'allow secured_enough', 'a list of audiences';
$token{leeway} = token(exp => time - 1);
is by('leeway'), 'allow secured_enough', 'the leeway is a minute';
is by('unknown'), 'block unknown_device', 'another device';
is http('GET', '/x', "Authorization: bearer $token{right}")->{'x-is'},
   'allow secured_enough', 'the scheme in lower case';

=== TEST 2: what names nobody: an answer for the server behind
--- then
is by('nobody'), 'block unidentified', 'no device';
is by('expired'), 'block unidentified', 'expired';
is by('early'), 'block unidentified', 'not valid yet';
is by('later'), 'block unidentified', 'issued later';
is by('issuer'), 'block unidentified', 'another issuer';
is by('aud'), 'block unidentified', 'another audience';
is by('tenant'), 'block unidentified', 'another tenant';
is by('kid'), 'block unidentified', 'a key that is not known';
like error_log(), qr/mtd block: unidentified, the token has expired,/,
     'the log says why';
is http('GET', '/x', 'Authorization: Basic YTpi')->{'x-is'},
   'block unidentified', 'another scheme';

=== TEST 3: what is forged or cannot be read
--- then
for my $name (qw(forged none None hs jwk device text)) {
    my $answer = with($name);
    is $answer->{'x-is'}, 'block malformed', $name;
    is $answer->{status}, 400, "$name: 400";
}
for my $value ("Bearer", "Bearer  $token{right}", "Bearer $token{right}.",
               "Bearer $token{right}=", "Bearer " . substr($token{right}, 0, -1),
               "Bearer $token{right},Bearer $token{right}", "Bearer x.y.z",
               "Bearer .$token{right}", "Bearer\t$token{right}",
               "Bearer " . 'a' x 4000 . ".$token{right}")
{
    is http('GET', '/x', "Authorization: $value")->{'x-is'},
       'block malformed', substr $value, 0, 40;
}
like error_log(), qr/mtd block: malformed, the token's signature is wrong,/,
     'the log says why';

=== TEST 4: two headers: nginx does not take them
--- then
is with('right', "Authorization: Bearer $token{right}")->{status}, 400, 'two';
is with('right', 'Authorization: Basic YTpi')->{status}, 400, 'two schemes';

=== TEST 5: no policy turns that into an allow
--- policy: unknown_device allow; missing_threat allow; store_failure allow; unenrolled allow;
--- then
is by('forged'), 'block malformed', 'forged';
is by('none'), 'block malformed', 'none';
is by('expired'), 'block unidentified', 'expired';

=== TEST 6: with ActiveSync: both must be of one device
--- profile: mtd_profile exchange; mtd_identify bearer eas;
--- request
POST /Microsoft-Server-ActiveSync?Cmd=Sync&User=u&DeviceId=none&DeviceType=t
--- response_headers
X-Is: block unknown_device
--- init
redis('SET', key('alias:eas:mine'), 'd1');
--- then
my @right = "Authorization: Bearer $token{right}";
is eas('mine', @right), 'allow secured_enough', 'one device';
is eas('d2', @right), 'block identity_mismatch', 'two devices';
is eas('d2', @right), 'block identity_mismatch', 'from the zone';
is eas('new', @right), 'allow secured_enough', 'the other is not known';
is eas('mine', "Authorization: Bearer $token{expired}"),
   'allow secured_enough', 'expired: the server behind says so';
is eas('d2', "Authorization: Bearer $token{expired}"),
   'remediate threat_level', 'expired: the other is decided on';
is eas('mine', "Authorization: Bearer $token{forged}"),
   'block malformed', 'forged';

=== TEST 7: with ActiveSync first
--- profile: mtd_profile exchange; mtd_identify eas bearer;
--- request
POST /Microsoft-Server-ActiveSync?Cmd=Sync&User=u&DeviceId=none&DeviceType=t
--- response_headers
X-Is: block unknown_device
--- then
is eas('new', "Authorization: Bearer $token{right}"), 'block unknown_device',
   'the first names the device';
is eas('d2', "Authorization: Bearer $token{right}"),
   'block identity_mismatch', 'two devices';
is eas('d2', "Authorization: Bearer $token{forged}"), 'block malformed',
   'forged';

=== TEST 8: another kind and claim
--- more: device_claim=phone kind=serial leeway=0
--- then
$token{serial} ||= token(phone => 'D1');
is by('serial'), 'allow secured_enough', 'serial';
is http('GET', '/x', 'Authorization: Bearer '
        . token(phone => 'D1', exp => time - 1))->{'x-is'},
   'block unidentified', 'no leeway';
is by('right'), 'block unidentified', 'the other claim does not count';

=== TEST 9: tokens that were verified are found again, and are not mixed up
--- more: cache=64
--- then
my @tokens = map { token(n => $_) } 1 .. 200;
my %is;
$is{http('GET', '/x', "Authorization: Bearer $_")->{'x-is'}}++
    for @tokens, @tokens;
is_deeply \%is, { 'allow secured_enough' => 400 }, 'more than there is room';
(my $half = $tokens[0]) =~ s/\.[^.]+\./.e30./;
is http('GET', '/x', "Authorization: Bearer $half")->{'x-is'},
   'block malformed', 'the same signature';

=== TEST 10: a token is forgotten when it expires
--- more: leeway=0
--- then
my $short = token(exp => time + 2);
is http('GET', '/x', "Authorization: Bearer $short")->{'x-is'},
   'allow secured_enough', 'it is valid';
ok until_true(sub { http('GET', '/x', "Authorization: Bearer $short")->{'x-is'}
                    eq 'block unidentified' }), 'it has expired';

=== TEST 11: keys change while nginx runs
--- then
is by('right'), 'allow secured_enough', 'the key is there';
rename JWT::file('jwks.json'), JWT::file('saved.json');
keys_file('jwks.json', '{"keys":[');
ok until_true(sub { error_log() =~ /cannot be used: it is no JSON object/ }),
   'a bad file is told of';
is by('right'), 'allow secured_enough', '... and the old keys stay';
unlink JWT::file('jwks.json');
ok until_true(sub { error_log() =~ /are gone, those that were read before/ }),
   'so is a file that is gone';
is by('right'), 'allow secured_enough', '... and the old keys stay';
write_keys('jwks.json', new => 'rsa');
ok until_true(sub { by('kid') eq 'allow secured_enough' }), 'a new key';
is by('right'), 'block unidentified', '... and what was verified is forgotten';
rename JWT::file('saved.json'), JWT::file('jwks.json');
ok until_true(sub { by('right') eq 'allow secured_enough' }), 'the old ones';
my $told = () = error_log() =~ /cannot be used: it is no JSON object/g;
is $told, 1, 'told once';

=== TEST 12: its token expires, then its device is a threat: an open request
--- more: leeway=0
--- location: proxy_buffering off;
--- backend: limit_rate_after 300; limit_rate 10; return 200 "........................................................................................................................................................................................................................................................................................................................................................................................................................................................................................................................................................................................................................";
--- then
trusted();
redis('HSET', key('device:d1'), 'threat', 'secured');
ok until_true(sub { http('HEAD', '/x', "Authorization: Bearer $token{right}")
                    ->{'x-is'} eq 'allow secured_enough' }), 'secured';
my $short = 'Authorization: Bearer ' . token(exp => time + 3);
my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                   PeerPort => server_port(), Timeout => 10);
print $socket "GET /x HTTP/1.0\r\nHost: localhost\r\n$short\r\n\r\n";
like scalar(<$socket>), qr/ 200 /, 'allowed, and slow';
ok until_true(sub { http('HEAD', '/x', $short)->{'x-is'}
                    eq 'block unidentified' }), 'the token has expired';
redis('HSET', key('device:d1'), 'threat', 'compromised');
my $text = do { local $/; <$socket> };
my ($body) = $text =~ /\r\n\r\n(.*)/s;
cmp_ok length $body, '<', 600, 'the request is ended';
like error_log(), qr/mtd remediate: compromised, an open request was ended/,
     'the log says so';

=== TEST 13: its key goes, then its device is a threat: an open request
--- location: proxy_buffering off;
--- backend: limit_rate_after 300; limit_rate 10; return 200 "........................................................................................................................................................................................................................................................................................................................................................................................................................................................................................................................................................................................................................";
--- then
trusted();
redis('HSET', key('device:d1'), 'threat', 'secured');
my $right = "Authorization: Bearer $token{right}";
ok until_true(sub { http('HEAD', '/x', $right)->{'x-is'}
                    eq 'allow secured_enough' }), 'secured';
my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                   PeerPort => server_port(), Timeout => 10);
print $socket "GET /x HTTP/1.0\r\nHost: localhost\r\n$right\r\n\r\n";
like scalar(<$socket>), qr/ 200 /, 'allowed, and slow';
rename JWT::file('jwks.json'), JWT::file('saved.json');
write_keys('jwks.json', new => 'rsa');
ok until_true(sub { http('HEAD', '/x', $right)->{'x-is'}
                    eq 'block unidentified' }), 'the key is gone';
redis('HSET', key('device:d1'), 'threat', 'compromised');
my $text = do { local $/; <$socket> };
rename JWT::file('saved.json'), JWT::file('jwks.json');
my ($body) = $text =~ /\r\n\r\n(.*)/s;
cmp_ok length $body, '<', 600, 'the request is ended';
like error_log(), qr/mtd block: unidentified, an open request was ended/,
     'the log says so';
