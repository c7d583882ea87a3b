use lib 't/lib';
use Test::Nginx::Socket 'no_plan';
use MTD;
use JWT;

# clients that come by a cloud service

our $app = '00000002-0000-0ff1-ce00-000000000000';

write_keys('jwks.json', rsa => 'rsa');

keys_file('cloud.txt', <<'END');
# where the cloud asks from
192.0.2.0/24
2001:db8:1::/48   # and there
	
198.51.100.7
END

our %token = (
    cloud   => token(deviceid => undef, appid => uc $app),
    azp     => token(deviceid => undef, azp => $app),
    app     => token(deviceid => undef, appid => $guid),
    none    => token(deviceid => undef),
    expired => token(deviceid => undef, appid => $app, exp => time - 70),
    forged  => token(deviceid => undef, appid => $app, _key => 'other',
                     _kid => 'rsa'),
    aud     => token(deviceid => undef, appid => $app, aud => 'x'),
    device  => token(appid => $app),
);


sub eas {
    my ($from, $token, $device) = @_;

    return http('POST', '/Microsoft-Server-ActiveSync?Cmd=Sync&User=u'
                . '&DeviceType=Outlook&DeviceId=' . ($device || 'outlook'),
                "X-From: $from",
                $token ? "Authorization: Bearer $token{$token}" : ())
           ->{'x-is'};
}

add_block_preprocessor(sub {
    my ($block) = @_;

    $block->set_value(cloud => "app=$app") if !defined $block->cloud;

    my $hooks = $block->hooks || 'eas bearer';
    my $identify = $hooks eq 'inherited' ? '' : "mtd_identify $hooks;";

    $block->set_value(gate => <<"END");
mtd_profile exchange;
$identify
set_real_ip_from 127.0.0.1; real_ip_header X-From;
mtd_bearer jwks=\$TEST_NGINX_KEYS/jwks.json issuer=$issuer audience=$audience;
@{[ $block->cloud =~ /off/ ? '' : 'mtd_cloud ranges=$TEST_NGINX_KEYS/cloud.txt '
                                  . $block->cloud . ';' ]}
END
    $block->set_value(device => <<"END");
d1 threat=compromised compliance=compliant user=alice\@example.com alias=entra:$guid
END
    $block->set_value(request => 'GET /mapi/nspi');
    $block->set_value(error_code => 403);
    $block->set_value(response_headers => 'X-Is: block unidentified');
});

repeat_each(2);
run_tests();

__DATA__

=== TEST 1: from the cloud, with a token
--- then
is eas('192.0.2.7', 'cloud'), 'allow deferred_cloud', 'a range';
is eas('192.0.2.255', 'cloud'), 'allow deferred_cloud', 'its end';
is eas('198.51.100.7', 'cloud'), 'allow deferred_cloud', 'an address';
is eas('2001:db8:1::5', 'cloud'), 'allow deferred_cloud', 'IPv6';
is eas('::ffff:192.0.2.9', 'cloud'), 'allow deferred_cloud', 'mapped';
is eas('192.0.2.7', 'azp'), 'allow deferred_cloud', 'azp';
is eas('192.0.2.7', 'cloud', 'd1'), 'allow deferred_cloud',
   'no device is looked up';
is eas('192.0.2.7', 'device'), 'allow deferred_cloud', 'nor the token\'s';
my $answer = http('POST', '/Microsoft-Server-ActiveSync?Cmd=Sync&User=u'
                  . '&DeviceType=Outlook&DeviceId=outlook',
                  'X-From: 192.0.2.1', "Authorization: Bearer $token{cloud}");
is $answer->{'x-lookup'}, undef, 'nothing was looked up';
is http('GET', '/ews/exchange.asmx', 'X-From: 192.0.2.1',
        "Authorization: Bearer $token{cloud}")->{'x-is'},
   'allow deferred_cloud', 'not of ActiveSync only';

=== TEST 2: one of the two is not enough
--- then
for my $from ('192.0.3.1', '198.51.100.8', '2001:db8:2::5', '127.0.0.1',
              '::ffff:192.0.3.9')
{
    is eas($from, 'cloud'), 'block unknown_device', "from $from";
}
is eas('192.0.2.7', undef), 'block unknown_device', 'no token';
is eas('192.0.2.7', 'expired'), 'block unknown_device', 'expired';
is eas('192.0.2.7', 'aud'), 'block unknown_device', 'another audience';
is eas('192.0.2.7', 'app'), 'block unknown_device', 'another application';
is eas('192.0.2.7', 'none'), 'block unknown_device', 'no application';
is eas('192.0.2.7', 'forged'), 'block malformed', 'forged';
is eas('192.0.2.7', 'cloud', 'a%2500'), 'block malformed', 'a malformed query';
is eas('192.0.3.1', 'cloud', 'd1'), 'remediate compromised',
   'a device that is known';

=== TEST 3: the order of the hooks does not matter
--- hooks: bearer eas
--- then
is eas('192.0.2.7', 'cloud'), 'allow deferred_cloud', 'from the cloud';
is eas('192.0.2.7', 'cloud', 'a%2500'), 'block malformed', 'a malformed query';
is eas('192.0.3.1', 'cloud'), 'block unknown_device', 'from elsewhere';

=== TEST 4: any application
--- cloud:
--- then
is eas('192.0.2.7', 'none'), 'allow deferred_cloud', 'none';
is eas('192.0.2.7', 'app'), 'allow deferred_cloud', 'another';
is eas('192.0.3.7', 'app'), 'block unknown_device', 'from elsewhere';

=== TEST 5: not configured
--- cloud: off
--- then
is eas('192.0.2.7', 'cloud'), 'block unknown_device', 'a token from there';

=== TEST 6: hooks that the server inherits
--- hooks: inherited
--- http: mtd_identify eas bearer;
--- then
is eas('192.0.2.7', 'cloud'), 'allow deferred_cloud', 'from the cloud';
