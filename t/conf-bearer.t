use lib 't/lib';
use Test::Nginx::Socket 'no_plan';
use MTD;
use JWT;

# what mtd_bearer, mtd_cloud and mtd_user_domain do not take

write_keys('jwks.json', rsa => 'rsa');

keys_file('two.json', do {
    my $key = JSON::PP::encode_json(JWT::jwk('rsa', 'a'));
    qq({"keys":[$key,$key]});
});
keys_file('none.json', '{"keys":[]}');
keys_file('bad.json', '{"keys":');
keys_file('ranges.txt', "192.0.2.0/24\n");
keys_file('bad.txt', "# a\n192.0.2.0/24\n\n192.0.2.0/33\n");
keys_file('bits.txt', "192.0.2.1/24\n");
keys_file('word.txt', "example.com\n");
keys_file('empty.txt', "# nothing\n\n");
keys_file('long.txt', '#' x 65536);

add_block_preprocessor(sub {
    my ($block) = @_;
    my $bearer = $block->bearer;

    if (!defined $bearer) {
        $bearer = "mtd_bearer jwks=\$TEST_NGINX_KEYS/jwks.json issuer=$issuer "
                  . "audience=$audience " . ($block->more || '') . ';';
    }

    my $identify = $block->identify // 'mtd_identify bearer;';

    $block->set_value(gate => "mtd_profile generic; $identify\n"
                              . "$bearer\n" . ($block->also || ''));
    $block->set_value(must_die => '');
});

run_tests();

__DATA__

=== TEST 1: an unknown parameter
--- more: secret=a
--- error_log
unknown parameter "secret=a" of "mtd_bearer", it must be jwks=, issuer=, audience=, tenant=, algorithms=, leeway=, device_claim=, user_claim=, kind=, cache= or authorization_uri= in

=== TEST 2: no keys
--- bearer: mtd_bearer issuer=i audience=a;
--- error_log
"mtd_bearer" has no jwks=FILE in

=== TEST 3: no issuer
--- bearer: mtd_bearer jwks=$TEST_NGINX_KEYS/jwks.json audience=a;
--- error_log
"mtd_bearer" has no issuer=URL in

=== TEST 4: no audience
--- bearer: mtd_bearer jwks=$TEST_NGINX_KEYS/jwks.json issuer=i;
--- error_log
"mtd_bearer" has no audience=TEXT in

=== TEST 5: no parameters
--- bearer: mtd_bearer;
--- error_log
invalid number of arguments in "mtd_bearer" directive in

=== TEST 6: the same twice
--- more: issuer=b
--- error_log
"issuer=b" of "mtd_bearer" is duplicate; it must be what "iss" of a token says in

=== TEST 7: an empty value
--- more: audience=
--- error_log
"audience=" of "mtd_bearer" is empty; it must be what "aud" of a token says, given at most 8 times in

=== TEST 8: too many audiences
--- more: audience=0 audience=1 audience=2 audience=3 audience=4 audience=5 audience=6 audience=7
--- error_log
"audience=7" of "mtd_bearer" is one too many; it must be what "aud" of a token says, given at most 8 times in

=== TEST 9: the directive twice
--- also: mtd_bearer jwks=$TEST_NGINX_KEYS/jwks.json issuer=i audience=a;
--- error_log
"mtd_bearer" directive is duplicate in

=== TEST 10: a tenant that is no GUID
--- more: tenant=example.com
--- error_log
"tenant=example.com" of "mtd_bearer" is invalid; it must be the GUID of a tenant in

=== TEST 11: algorithms=none
--- more: algorithms=none
--- error_log
"algorithms=none" of "mtd_bearer" is invalid; it must be some of RS256,RS384,RS512,PS256,ES256,ES384 in

=== TEST 12: algorithms=HS256
--- more: algorithms=HS256
--- error_log
"algorithms=HS256" of "mtd_bearer" is invalid; it must be some of RS256,RS384,RS512,PS256,ES256,ES384 in

=== TEST 13: algorithms=RS256,
--- more: algorithms=RS256,
--- error_log
"algorithms=RS256," of "mtd_bearer" is invalid; it must be some of RS256,RS384,RS512,PS256,ES256,ES384 in

=== TEST 14: algorithms=rs256
--- more: algorithms=rs256
--- error_log
"algorithms=rs256" of "mtd_bearer" is invalid; it must be some of RS256,RS384,RS512,PS256,ES256,ES384 in

=== TEST 15: algorithms=RS256,none
--- more: algorithms=RS256,none
--- error_log
"algorithms=RS256,none" of "mtd_bearer" is invalid; it must be some of RS256,RS384,RS512,PS256,ES256,ES384 in

=== TEST 16: leeway=11m
--- more: leeway=11m
--- error_log
"leeway=11m" of "mtd_bearer" is invalid; it must be a time of at most 10m, such as 60s in

=== TEST 17: leeway=-1
--- more: leeway=-1
--- error_log
"leeway=-1" of "mtd_bearer" is invalid; it must be a time of at most 10m, such as 60s in

=== TEST 18: leeway=a
--- more: leeway=a
--- error_log
"leeway=a" of "mtd_bearer" is invalid; it must be a time of at most 10m, such as 60s in

=== TEST 19: an unknown kind
--- more: kind=name
--- error_log
invalid kind of identity "name", it must be eas, entra, intune, serial, imei, cert, udid or vendor.NAME in

=== TEST 20: cache=63
--- more: cache=63
--- error_log
"cache=63" of "mtd_bearer" is invalid; it must be a number of tokens from 64 to 1048576 in

=== TEST 21: cache=1048577
--- more: cache=1048577
--- error_log
"cache=1048577" of "mtd_bearer" is invalid; it must be a number of tokens from 64 to 1048576 in

=== TEST 22: cache=a
--- more: cache=a
--- error_log
"cache=a" of "mtd_bearer" is invalid; it must be a number of tokens from 64 to 1048576 in

=== TEST 23: authorization_uri=http://a/
--- more: authorization_uri=http://a/
--- error_log
"authorization_uri=http://a/" of "mtd_bearer" is invalid; it must be a URL that starts with https:// in

=== TEST 24: authorization_uri=https://
--- more: authorization_uri=https://
--- error_log
"authorization_uri=https://" of "mtd_bearer" is invalid; it must be a URL that starts with https:// in

=== TEST 25: a URL that would end its quotes
--- more: 'authorization_uri=https://a/"b'
--- error_log
is invalid; it must be a URL that starts with https:// in

=== TEST 26: no file
--- bearer: mtd_bearer jwks=$TEST_NGINX_KEYS/no.json issuer=i audience=a;
--- error_log
no.json" cannot be used: it cannot be opened (2: No such file or directory) in

=== TEST 27: a file that is a directory
--- bearer: mtd_bearer jwks=$TEST_NGINX_KEYS issuer=i audience=a;
--- error_log
cannot be used: it is no file of at most 256k in

=== TEST 28: no JSON
--- bearer: mtd_bearer jwks=$TEST_NGINX_KEYS/bad.json issuer=i audience=a;
--- error_log
bad.json" cannot be used: it is no JSON object with an array "keys" in

=== TEST 29: two keys of one name
--- bearer: mtd_bearer jwks=$TEST_NGINX_KEYS/two.json issuer=i audience=a;
--- error_log
two.json" cannot be used: two keys have the same "kid" in

=== TEST 30: no keys in it
--- bearer: mtd_bearer jwks=$TEST_NGINX_KEYS/none.json issuer=i audience=a;
--- error_log
none.json" cannot be used: no key in it fits the algorithms in

=== TEST 31: none that fits
--- more: algorithms=ES256
--- error_log
cannot be used: no key in it fits the algorithms in

=== TEST 32: a key that fits several
--- more: algorithms=RS256,PS256
--- error_log
cannot be used: a key without "alg" fits several of the algorithms in

=== TEST 33: mtd_cloud: no ranges
--- also: mtd_cloud app=00000002-0000-0ff1-ce00-000000000000;
--- error_log
"mtd_cloud" has no ranges=FILE in

=== TEST 34: mtd_cloud: an app that is no GUID
--- also: mtd_cloud ranges=$TEST_NGINX_KEYS/ranges.txt app=outlook;
--- error_log
invalid app "outlook" of "mtd_cloud", it must be the GUID of an application in

=== TEST 35: mtd_cloud: an unknown parameter
--- also: mtd_cloud ranges=$TEST_NGINX_KEYS/ranges.txt user=a;
--- error_log
invalid parameter "user=a" of "mtd_cloud", it must be one ranges=FILE or app=GUID in

=== TEST 36: mtd_cloud: two files
--- also: mtd_cloud ranges=$TEST_NGINX_KEYS/ranges.txt ranges=b;
--- error_log
invalid parameter "ranges=b" of "mtd_cloud", it must be one ranges=FILE or app=GUID in

=== TEST 37: mtd_cloud: twice
--- also: mtd_cloud ranges=$TEST_NGINX_KEYS/ranges.txt; mtd_cloud ranges=$TEST_NGINX_KEYS/ranges.txt;
--- error_log
"mtd_cloud" directive is duplicate in

=== TEST 38: mtd_cloud: no file
--- also: mtd_cloud ranges=$TEST_NGINX_KEYS/no.txt;
--- error_log
no.txt" cannot be read (2: No such file or directory) in

=== TEST 39: mtd_cloud: a mask that is too long
--- also: mtd_cloud ranges=$TEST_NGINX_KEYS/bad.txt;
--- error_log
invalid range "192.0.2.0/33" of "mtd_cloud" in

=== TEST 40: mtd_cloud: ... in which line
--- also: mtd_cloud ranges=$TEST_NGINX_KEYS/bad.txt;
--- error_log
bad.txt:4, it must be a network as 192.0.2.0/24 or 2001:db8::/32, with no bits behind its prefix in

=== TEST 41: mtd_cloud: bits behind the prefix
--- also: mtd_cloud ranges=$TEST_NGINX_KEYS/bits.txt;
--- error_log
invalid range "192.0.2.1/24" of "mtd_cloud" in

=== TEST 42: mtd_cloud: a name
--- also: mtd_cloud ranges=$TEST_NGINX_KEYS/word.txt;
--- error_log
invalid range "example.com" of "mtd_cloud" in

=== TEST 43: mtd_cloud: no range
--- also: mtd_cloud ranges=$TEST_NGINX_KEYS/empty.txt;
--- error_log
no range of "mtd_cloud" in

=== TEST 44: mtd_cloud: a file that is too long
--- also: mtd_cloud ranges=$TEST_NGINX_KEYS/long.txt;
--- error_log
long.txt" are longer than 64k in

=== TEST 45: mtd_cloud: no mtd_bearer
--- bearer:
--- also: mtd_cloud ranges=$TEST_NGINX_KEYS/ranges.txt;
--- error_log
no "mtd_bearer" for the server with "mtd_cloud" in

=== TEST 46: mtd_cloud: no bearer among the hooks
--- identify: mtd_identify eas; mtd_endpoint /a eas;
--- also: mtd_cloud ranges=$TEST_NGINX_KEYS/ranges.txt;
--- error_log
"mtd_cloud ranges=
/ranges.txt" in
would never apply, "mtd_identify" of its server must name "bearer"

=== TEST 47: mtd_cloud: ... which http {} has, and the server has not
--- http: mtd_identify bearer;
--- identify: mtd_identify eas; mtd_endpoint /a eas;
--- also: mtd_cloud ranges=$TEST_NGINX_KEYS/ranges.txt;
--- error_log
would never apply, "mtd_identify" of its server must name "bearer"

=== TEST 48: mtd_cloud: ... where the gate is off
--- identify:
--- also: mtd off; mtd_cloud ranges=$TEST_NGINX_KEYS/ranges.txt;
--- error_log
would never apply, "mtd_identify" of its server must name "bearer"

=== TEST 49: mtd_user_domain CORP
--- also: mtd_user_domain 'CORP';
--- error_log
invalid parameter "CORP" of "mtd_user_domain", it must be NAME=DOMAIN, as CORP=example.com, or *=DOMAIN for users without a domain in

=== TEST 50: mtd_user_domain =example.com
--- also: mtd_user_domain '=example.com';
--- error_log
invalid parameter "=example.com" of "mtd_user_domain", it must be NAME=DOMAIN, as CORP=example.com, or *=DOMAIN for users without a domain in

=== TEST 51: mtd_user_domain CORP=
--- also: mtd_user_domain 'CORP=';
--- error_log
invalid parameter "CORP=" of "mtd_user_domain", it must be NAME=DOMAIN, as CORP=example.com, or *=DOMAIN for users without a domain in

=== TEST 52: mtd_user_domain CORP=a=b
--- also: mtd_user_domain 'CORP=a=b';
--- error_log
invalid parameter "CORP=a=b" of "mtd_user_domain", it must be NAME=DOMAIN, as CORP=example.com, or *=DOMAIN for users without a domain in

=== TEST 53: mtd_user_domain a@b=c
--- also: mtd_user_domain 'a@b=c';
--- error_log
invalid parameter "a@b=c" of "mtd_user_domain", it must be NAME=DOMAIN, as CORP=example.com, or *=DOMAIN for users without a domain in

=== TEST 54: mtd_user_domain CORP\\a=b
--- also: mtd_user_domain 'CORP\\a=b';
--- error_log
invalid parameter "CORP\a=b" of "mtd_user_domain", it must be NAME=DOMAIN, as CORP=example.com, or *=DOMAIN for users without a domain in

=== TEST 55: mtd_user_domain: the same twice
--- also: mtd_user_domain CORP=a corp=b;
--- error_log
duplicate domain in "corp=b" of "mtd_user_domain" in
