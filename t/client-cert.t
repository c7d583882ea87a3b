use lib 't/lib';
use Test::Nginx::Socket 'no_plan';
use MTD;

# the device that a TLS client's certificate was issued to

our $guid = '0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9';
our $other = '11111111-2222-3333-4444-555555555555';

our $tenant = '22222222-3333-4444-5555-666666666666';


# a GUID as Microsoft writes it in bytes, hex

sub bytes {
    my ($hex) = @_;

    $hex =~ tr/-//d;
    $hex =~ s/^(..)(..)(..)(..)(..)(..)(..)(..)/$4$3$2$1$6$5$8$7/;
    return $hex;
}


certificates(
    uri     => [ '/CN=phone', "subjectAltName=URI:IntuneDeviceId://\U$guid" ],
    intune  => [ '/CN=phone', "subjectAltName=URI:ID:Microsoft Endpoint Manager:GUID:$guid" ],
    cn      => [ "/CN=$guid", 'keyUsage=digitalSignature' ],
    two     => [ '/CN=phone', "subjectAltName=URI:IntuneDeviceId://$guid,"
                              . "URI:IntuneDeviceId://$other" ],
    bad     => [ '/CN=phone', 'subjectAltName=URI:IntuneDeviceId://phone' ],
    mdm     => [ '/CN=phone', "1.2.840.113556.5.4=DER:" . bytes($guid)
                              . "\n1.2.840.113556.5.14=DER:0410"
                              . bytes($tenant) ],
    drs     => [ '/CN=phone', "1.2.840.113556.1.5.284.2=DER:048110"
                              . bytes($guid)
                              . "\n1.2.840.113556.1.5.284.5=DER:048110"
                              . bytes($tenant) ],
    theirs  => [ '/CN=phone', "1.2.840.113556.5.4=DER:" . bytes($guid)
                              . "\n1.2.840.113556.5.14=DER:0410"
                              . bytes($other) ],
    alice   => [ '/CN=phone', "subjectAltName=URI:IntuneDeviceId://$guid,"
                 . 'otherName:msUPN;UTF8:Alice@Example.com' ],
    bob     => [ '/CN=phone', "subjectAltName=URI:IntuneDeviceId://$guid,"
                 . 'otherName:msUPN;UTF8:bob@example.com' ],
    nobody  => [ '/CN=phone', 'subjectAltName=otherName:msUPN;UTF8:'
                 . 'bob@example.com' ],
    foreign => [ '/CN=phone', "subjectAltName=URI:IntuneDeviceId://$guid",
                 'other' ],
);

our $dir = $ENV{TEST_NGINX_CERTS};


sub url {
    my $port = $Test::Nginx::Util::RandPorts->{TEST_NGINX_RAND_PORT_1};
    return "https://127.0.0.1:$port/";
}


# decisions of requests on one connection, by the client of this name

sub by {
    my ($name, @options) = @_;
    my @cert = $name ? ('--cert', "$dir/$name.crt", '--key', "$dir/$name.key")
                     : ();
    my $text = curl(@cert, '-i', @options, map { url() . $_ } 'x', 'y');
    return join ', ', $text =~ /^x-is: (.*?)\r$/mig;
}

add_block_preprocessor(sub {
    my ($block) = @_;
    my $sources = $block->sources || '';
    my $listen = $block->h2 ? 'ssl http2' : 'ssl';

    $block->set_value(gate => 'mtd_profile generic; mtd_identify client_cert; '
                              . $sources);
    $block->set_value(server => <<"END");
listen 127.0.0.1:\$TEST_NGINX_RAND_PORT_1 $listen;
ssl_certificate \$TEST_NGINX_CERTS/server.crt;
ssl_certificate_key \$TEST_NGINX_CERTS/server.key;
ssl_client_certificate \$TEST_NGINX_CERTS/ca.crt;
ssl_verify_client optional_no_ca;
END
    $block->set_value(init => "MTD::devices("
        . "'d1 threat=secured compliance=compliant alias=intune:$guid user=alice\@example.com "
        . "alias=entra:$guid alias=cert:1abcd');");
    $block->set_value(request => 'GET /plain');
    $block->set_value(error_code => 403);
    $block->set_value(response_headers => 'X-Is: block unidentified');
});

repeat_each(2);
run_tests();

__DATA__

=== TEST 1: verified, none, and not verified
--- then
is by('uri'), 'allow secured_enough, allow secured_enough', 'IntuneDeviceId://';
is by('intune'), 'allow secured_enough, allow secured_enough', 'ID:...:GUID:';
is by(''), 'block unidentified, block unidentified', 'no certificate';
is by('foreign'), 'block unidentified, block unidentified',
   'of another authority';

=== TEST 2: no source in the certificate
--- then
is by('cn'), 'block unidentified, block unidentified', 'a common name only';

=== TEST 3: it names two devices, or none rightly
--- then
is by('two'), 'block ambiguous, block ambiguous', 'two';
is by('bad'), 'block malformed, block malformed', 'no GUID';

=== TEST 4: the common name
--- sources: mtd_client_cert cn=entra;
--- then
is by('cn'), 'allow secured_enough, allow secured_enough', 'a common name';
is by('uri'), 'block unknown_device, block unknown_device', 'another one';

=== TEST 5: the serial number
--- sources: mtd_client_cert serial=cert;
--- then
is by('cn'), 'allow secured_enough, allow secured_enough', 'its number';

=== TEST 6: the first source that is there
--- sources: mtd_client_cert san_uri cn=entra;
--- then
is by('cn'), 'allow secured_enough, allow secured_enough', 'the second';
is by('uri'), 'allow secured_enough, allow secured_enough', 'the first';
is by('bad'), 'block malformed, block malformed', 'the first is wrong';

=== TEST 7: Microsoft's own, of one tenant
--- sources: mtd_client_cert intune entra serial=serial tenant=22222222-3333-4444-5555-666666666666;
--- then
is by('mdm'), 'allow secured_enough, allow secured_enough',
   'of the MDM device CA';
is by('drs'), 'allow secured_enough, allow secured_enough',
   'of the device registration';
is by('theirs'), 'block malformed, block malformed', 'of another tenant';
is by('cn'), 'block unknown_device, block unknown_device', 'another source';

=== TEST 8: the user of a certificate
--- policy: bind_user on;
--- then
is by('alice'), 'allow secured_enough, allow secured_enough', 'hers';
is by('bob'), 'block identity_mismatch, block identity_mismatch', 'his';
is by('uri'), 'allow secured_enough, allow secured_enough', 'nobody\'s';
is by('alice', '--user', 'alice@example.com:x'),
   'allow secured_enough, allow secured_enough', 'and Basic';
is by('alice', '--user', 'bob@example.com:x'),
   'block identity_mismatch, block identity_mismatch', 'and another of Basic';
is by('alice', '-H', 'Authorization: Bearer of.some.body'),
   'block identity_mismatch, block identity_mismatch',
   'and a token that may be another\'s';
is by('nobody', '--user', 'alice@example.com:x'),
   'block identity_mismatch, block identity_mismatch',
   'two users of no device';
is by('nobody'), 'block unidentified, block unidentified', 'no device';

=== TEST 9: HTTP/2
--- h2
1
--- then
is by('uri', '--http2'), 'allow secured_enough, allow secured_enough',
   'verified';
is by('', '--http2'), 'block unidentified, block unidentified', 'none';
like curl('-I', '--http2', url()), qr{^HTTP/2 403},
     'it was HTTP/2';

=== TEST 10: one connection, and a change between its requests
--- then
trusted();
is curl('-o', '/dev/null', '-o', '/dev/null', '-w', '%{num_connects} ',
        '--cert', "$dir/uri.crt", '--key', "$dir/uri.key",
        url(), url()), '1 0 ',
   'one connection';
redis('HSET', key('device:d1'), 'threat', 'compromised');
ok until_true(sub { by('uri') =~ /remediate compromised/ }), 'refused';
redis('HSET', key('device:d1'), 'threat', 'secured');
ok until_true(sub { by('uri') =~ /allow secured_enough/ }), 'allowed';
