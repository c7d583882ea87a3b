use lib 't/lib';
use Test::Nginx::Socket 'no_plan';
use MTD;

# headers that only a proxy may send do not come from a client

our $echo = join '|', map { "\$http_$_" }
    qw(x_one x_original_url x_two x_rewrite_url x_three x_client_cert
       x_http_method_override x_mtd_reason cookie user_agent);

add_block_preprocessor(sub {
    my ($block) = @_;
    $block->set_value(backend => "return 200 \"$echo\\n\";");
    $block->set_value(policy => 'unidentified allow;');
    $block->set_value(location => 'proxy_set_header Connection "";');
});

repeat_each(2);
run_tests();

__DATA__

=== TEST 1: between others
--- request
GET /x
--- more_headers
X-One: 1
X-Original-URL: /evil
X-Two: 2
--- response_body
1||2|||||||

=== TEST 2: several in a row
--- request
GET /x
--- more_headers
X-One: 1
X-Original-URL: /evil
X-Rewrite-Url: /evil
X-Client-Cert: evil
X-HTTP-Method-Override: DELETE
X-MTD-Reason: none
X-Two: 2
X-Three: 3
--- response_body
1||2||3|||||

=== TEST 3: first and last
--- raw_request eval
"GET /x HTTP/1.1\r
X-Original-URL: /evil\r
X-Rewrite-URL: /evil\r
Host: localhost\r
X-One: 1\r
Connection: close\r
X-Two: 2\r
X-Client-Cert: evil\r
X-Original-URL: /evil\r
\r
"
--- response_body
1||2|||||||

=== TEST 4: every second one
--- request
GET /x
--- more_headers
X-Original-URL: /evil
X-One: 1
X-Rewrite-URL: /evil
X-Two: 2
X-Client-Cert: evil
X-Three: 3
X-MTD-Reason: none
--- response_body
1||2||3|||||

=== TEST 5: more than one part of nginx's list of headers
--- request
GET /x
--- more_headers eval
CORE::join "\n", "X-One: 1", (map { ("X-Original-URL: $_", "X-N$_: $_") } 1 .. 45),
           "X-Two: 2", (map { "X-Rewrite-URL: $_" } 1 .. 45), "X-Three: 3"
--- response_body
1||2||3|||||

=== TEST 6: all of them
--- raw_request eval
"GET /x HTTP/1.0\r\n"
. CORE::join('', map { "X-Original-URL: $_\r\n" } 1 .. 60) . "\r\n"
--- response_body
|||||||||

=== TEST 7: none of them
--- request
GET /x
--- more_headers
X-One: 1
Cookie: a=b
User-Agent: test
X-Original-URLs: /evil
--- response_body
1||||||||a=b|test

=== TEST 8: letter case does not matter
--- request
GET /x
--- more_headers
x-oRIGINAL-url: /evil
X-Two: 2
--- response_body
||2|||||||

=== TEST 9: an underscore is a hyphen to who stands behind
--- server: underscores_in_headers on;
--- request
GET /x
--- more_headers
X_Original_URL: /evil
X-Rewrite_URL: /evil
X_Two: 2
--- response_body
||2|||||||

=== TEST 10: by default nginx leaves those out
--- request
GET /x
--- more_headers
X_Original_URL: /evil
X-Two: 2
--- response_body
||2|||||||

=== TEST 11: invalid headers that are let in
--- server: ignore_invalid_headers off;
--- request
GET /x
--- more_headers
X_Original_URL: /evil
X-Two: 2
--- response_body
||2|||||||

=== TEST 12: what exchange would trust
--- gate: mtd_profile exchange; mtd_identify value; mtd_value $http_x_device kind=serial;
--- server
location /owa { proxy_pass http://unix:$TEST_NGINX_SERVER_ROOT/html/own.sock; }
--- http
server {
    listen unix:$TEST_NGINX_SERVER_ROOT/html/own.sock;
    return 200 "$http_x_commonaccesstoken|$http_x_http_method|$http_msexchproxyuri|$http_x_backendcookie|$http_x_one\n";
}
--- request
GET /owa/a
--- more_headers
X-CommonAccessToken: a
X-HTTP-Method: DELETE
msExchProxyUri: /evil
X-BackEndCookie: a
X-One: 1
--- response_body
||||1

=== TEST 13: SharePoint's clients say MERGE in a header
--- gate: mtd_profile sharepoint; mtd_identify value; mtd_value $http_x_device kind=serial;
--- server
location /_api { proxy_pass http://unix:$TEST_NGINX_SERVER_ROOT/html/own.sock; }
--- http
server {
    listen unix:$TEST_NGINX_SERVER_ROOT/html/own.sock;
    return 200 "$http_x_http_method|$http_x_sp_externalip|$http_x_one\n";
}
--- request
POST /_api/web
--- more_headers
X-HTTP-Method: MERGE
X-SP-ExternalIP: 10.0.0.1
X-One: 1
--- response_body
MERGE||1

=== TEST 14: a location that is off does not let them in, a server that is off does
--- server
location /off { mtd off; proxy_pass http://unix:$TEST_NGINX_SERVER_ROOT/html/backend.sock; }
--- request
GET /off
--- more_headers
X-Original-URL: /evil
X-Two: 2
--- response_body
||2|||||||

=== TEST 15: the identity is read from what is left
--- gate: mtd_profile generic; mtd_identify value; mtd_value $http_x_client_cert kind=serial;
--- policy
--- device
d1 threat=compromised
--- request
GET /x
--- more_headers
X-Client-Cert: d1
--- response_headers
X-Is: allow unidentified
