use lib 't/lib';
use Test::Nginx::Socket 'no_plan';
use MTD;
use JWT;
use MIME::Base64;

# the device must be the user's

write_keys('jwks.json', rsa => 'rsa');

our %token = (
    alice   => token(upn => 'Alice@Example.com'),
    bob     => token(upn => 'bob@example.com'),
    nobody  => token(deviceid => undef, upn => undef),
    none    => token(deviceid => undef, upn => 'alice@example.com'),
    other   => token(deviceid => undef, upn => 'bob@example.com'),
    expired => token(exp => time - 70, upn => 'bob@example.com'),
    gone    => token(exp => time - 70, upn => 'alice@example.com'),
    kid     => token(_kid => 'new', upn => 'alice@example.com'),
);

sub basic {
    my ($user) = @_;
    return 'Authorization: Basic ' . encode_base64("$user:secret", '');
}

sub bearer { return "Authorization: Bearer $token{$_[0]}" }

sub by {
    my ($device, @headers) = @_;
    return http('GET', '/x', "X-Device: $device", @headers)->{'x-is'};
}

add_block_preprocessor(sub {
    my ($block) = @_;
    my $more = $block->more || '';

    $block->set_value(policy => 'bind_user on;') if !defined $block->policy;
    $block->set_value(gate => <<"END");
mtd_profile generic; mtd_identify bearer value;
mtd_value \$http_x_device kind=serial;
mtd_bearer jwks=\$TEST_NGINX_KEYS/jwks.json issuer=$issuer audience=$audience;
$more
END
    $block->set_value(device => <<"END");
d1 threat=secured compliance=compliant user=Alice\@Example.com alias=entra:$guid
d2 threat=secured compliance=compliant
END
    $block->set_value(request => 'GET /x') if !defined $block->request;
    $block->set_value(more_headers => 'X-Device: d1');
    $block->set_value(response_headers => 'X-Is: allow secured_enough');
});

repeat_each(2);
run_tests();

__DATA__

=== TEST 1: Basic
--- then
is by('d1', basic('alice@example.com')), 'allow secured_enough', 'hers';
is by('d1', basic('ALICE@EXAMPLE.COM')), 'allow secured_enough', 'in capitals';
is by('d1', basic('bob@example.com')), 'block identity_mismatch', 'not his';
is by('d1', basic('bob@example.com')), 'block identity_mismatch',
   'from the zone';
is by('d1', basic('alice@example.org')), 'block identity_mismatch',
   'another domain';
is by('d2', basic('alice@example.com')), 'block identity_mismatch',
   'the device is nobody\'s';
is by('new', basic('bob@example.com')), 'block unknown_device',
   'not known at all';
like error_log(), qr/mtd block: identity_mismatch, the device is not the user's,/,
     'the log says why';
unlike error_log(), qr/bob/, 'and not who';

=== TEST 2: what no user can be seen in
--- then
is by('d1'), 'allow secured_enough', 'no credential';
is by('d2'), 'allow secured_enough', 'nobody\'s';
is by('d1', 'Authorization: Negotiate YII='), 'allow secured_enough',
   'Negotiate';
is by('d1', 'Authorization: NTLM TlRMTVNTUAAB'), 'allow secured_enough',
   'NTLM';

=== TEST 3: what cannot be read is not taken for nobody
--- then
for my $value ('Basic', 'Basic YWxpY2U', "Basic\tYWxpY2U6", 'Basic YWxpY2U=',
               'Basic  ' . encode_base64('alice@example.com:x', ''),
               'Basic ' . encode_base64("bob\0:x", ''),
               'Basic ' . encode_base64('bob:x', ''),
               'Basic ' . encode_base64('CORP\\alice:x', ''),
               'Basic ' . encode_base64('alice@example.com@example.com:x', ''))
{
    is by('d1', "Authorization: $value"), 'block identity_mismatch', $value;
}

=== TEST 4: the domains that users write
--- more: mtd_user_domain CORP=Example.com *=example.com; mtd_user_domain corp.local=example.com;
--- then
for my $user ('CORP\\alice', 'corp\\Alice', 'alice', 'alice@corp.local',
              'alice@CORP', 'alice@example.com')
{
    is by('d1', basic($user)), 'allow secured_enough', $user;
}
for my $user ('CORP\\bob', 'OTHER\\alice', 'bob', '.\\alice',
              'alice@other.local')
{
    is by('d1', basic($user)), 'block identity_mismatch', $user;
}

=== TEST 5: a token
--- then
is by('d1', bearer('alice')), 'allow secured_enough', 'hers';
is by('d1', bearer('bob')), 'block identity_mismatch', 'his';
is by('d1', bearer('none')), 'allow secured_enough', 'without a device';
is by('d1', bearer('other')), 'block identity_mismatch',
   '... and of another user';
is by('d1', bearer('gone')), 'allow secured_enough', 'hers, expired';
is by('d1', bearer('expired')), 'block identity_mismatch', 'his, expired';
is by('d1', bearer('nobody')), 'block identity_mismatch',
   'of an application';
is by('d1', bearer('kid')), 'block identity_mismatch', 'of an unknown key';
like error_log(),
     qr/identity_mismatch, the user of the request cannot be read,/,
     'the log says why';

=== TEST 6: off, which is the default
--- policy: bind_user off;
--- then
is by('d1', basic('bob@example.com')), 'allow secured_enough', 'Basic';
is by('d1', bearer('bob')), 'allow secured_enough', 'Bearer';
is by('d1', 'Authorization: Basic x'), 'allow secured_enough', 'no Basic';

=== TEST 7: the default
--- policy:
--- then
is by('d1', basic('bob@example.com')), 'allow secured_enough', 'Basic';

=== TEST 8: no policy turns that into an allow
--- policy: bind_user on; unknown_device allow; unidentified allow; missing_threat allow; store_failure allow; unenrolled allow;
--- then
is by('d1', basic('bob@example.com')), 'block identity_mismatch', 'another';
is by('d1', 'Authorization: Basic x'), 'block identity_mismatch', 'unreadable';

=== TEST 9: a change of the record
--- then
trusted();
redis('HSET', key('device:d1'), 'user', 'alice@example.com');
ok until_true(sub { by('d1', basic('bob@example.com'))
                    eq 'block identity_mismatch' }), 'hers';
redis('HSET', key('device:d1'), 'user', 'bob@example.com');
ok until_true(sub { by('d1', basic('bob@example.com'))
                    eq 'allow secured_enough' }), 'his';
is by('d1', basic('alice@example.com')), 'block identity_mismatch',
   'hers no more';

=== TEST 10: whose a damaged record is cannot be told, and it never allows
--- policy: bind_user on; missing_threat allow;
--- init
my %whole = (threat => 'secured', compliance => 'compliant',
             user => 'alice@example.com');
for (
    [ word => threat => 'nonsense' ],
    [ user => user => 'a' x 1025 ],
    [ admin => user => "alice\r\n", action => 'block' ],
) {
    my ($id, %fields) = @$_;

    MTD::device($id, %whole, %fields);
    redis('SET', key("alias:serial:$id"), $id);
}
--- then
for my $user ('alice@example.com', 'bob@example.com') {
    is by($_, basic($user)), 'block threat_missing', "$_, $user"
        for qw(word user);
    is by('admin', basic($user)), 'block admin_block', "a block, $user";
}
is by('word', 'Authorization: Basic x'), 'block threat_missing',
   'a user that cannot be read';
