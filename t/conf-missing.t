use lib 't/lib';
use Test::Nginx::Socket 'no_plan';
use MTD;

# hooks without what they need, and what is of no use without its hook

certificates();

add_block_preprocessor(sub {
    my ($block) = @_;

    if (defined $block->error_log) {
        $block->set_value(must_die => '');
        return;
    }

    $block->set_value(request => 'GET /x') if !defined $block->request;
    $block->set_value(more_headers => 'X-Device: nobody');
    $block->set_value(error_code => 403);
    $block->set_value(response_headers => 'X-Is: block unknown_device')
        if !defined $block->response_headers;
});

run_tests();

__DATA__

=== TEST 1: value without a mtd_value
--- gate: mtd_profile generic; mtd_identify value;
--- error_log eval
qr/"value" of "mtd_identify" in .*nginx\.conf:\d+ would never find a device in the server in .*nginx\.conf:\d+, it needs "mtd_value" there, in one of its locations or in http \{\}/

=== TEST 2: ... beside a hook that is of use
--- gate: mtd_profile exchange; mtd_identify eas value;
--- error_log
"value" of "mtd_identify" in
would never find a device in the server in

=== TEST 3: value of http {}, and no mtd_value anywhere
--- http: mtd_identify value;
--- gate: mtd_profile generic;
--- error_log
"value" of "mtd_identify" in
it needs "mtd_value" there, in one of its locations or in http {}

=== TEST 4: mtd_value in a location is enough
--- gate: mtd_profile generic; mtd_identify value;
--- location: mtd_value $http_x_device kind=serial;

=== TEST 5: ... and so it is in http {}
--- http: mtd_value $http_x_device kind=serial;
--- gate: mtd_profile generic; mtd_identify value;

=== TEST 6: ... and the other way round
--- http: mtd_identify value;
--- gate: mtd_profile generic; mtd_value $http_x_device kind=serial;

=== TEST 7: another server's mtd_value does not help
--- http
server {
    listen unix:$TEST_NGINX_SERVER_ROOT/html/other.sock;
    mtd p; mtd_profile generic; mtd_identify value;
    mtd_value $http_x_device kind=serial;
}
--- gate: mtd_profile generic; mtd_identify value;
--- error_log
"value" of "mtd_identify" in

=== TEST 8: a server that is not gated is not asked
--- http
server {
    listen unix:$TEST_NGINX_SERVER_ROOT/html/other.sock;
    mtd_profile generic; mtd_identify value bearer client_cert eas;
}

=== TEST 9: ... nor is what it says of a hook that it does not name
--- http
server {
    listen unix:$TEST_NGINX_SERVER_ROOT/html/other.sock;
    mtd_profile generic; mtd_identify bearer;
    mtd_value $http_x_device kind=serial;
    mtd_client_cert san_uri;
}

=== TEST 10: bearer without a mtd_bearer
--- gate: mtd_profile generic; mtd_identify bearer;
--- error_log
"bearer" of "mtd_identify" in
would never find a device in the server in
it needs "mtd_bearer" there or in http {}

=== TEST 11: client_cert, and nothing is asked for
--- gate: mtd_profile generic; mtd_identify client_cert;
--- error_log
"client_cert" of "mtd_identify" in
would never find a device in the server in
it needs "ssl_verify_client" on, optional or optional_no_ca

=== TEST 12: client_cert with ssl_verify_client off over that of http {}
--- http: ssl_verify_client optional; ssl_client_certificate $TEST_NGINX_CERTS/ca.crt;
--- gate: mtd_profile generic; mtd_identify client_cert; ssl_verify_client off;
--- error_log
it needs "ssl_verify_client" on, optional or optional_no_ca

=== TEST 13: client_cert with that of http {}
--- http: ssl_verify_client optional; ssl_client_certificate $TEST_NGINX_CERTS/ca.crt;
--- gate: mtd_profile generic; mtd_identify client_cert;
--- response_headers
X-Is: block unidentified

=== TEST 14: eas where nothing speaks ActiveSync
--- gate: mtd_profile sharepoint; mtd_identify eas;
--- error_log
"eas" of "mtd_identify" in
it needs "mtd_profile exchange" or an "mtd_endpoint" of eas

=== TEST 15: ... where it is refused
--- gate: mtd_profile generic; mtd_identify eas; mtd_endpoint /sync eas refused;
--- error_log
it needs "mtd_profile exchange" or an "mtd_endpoint" of eas

=== TEST 16: ... where an endpoint does
--- gate: mtd_profile generic; mtd_identify eas; mtd_endpoint /sync eas;
--- response_headers
X-Is: block unidentified

=== TEST 17: hooks of http {}: one is of use here, the other elsewhere
--- http
mtd_identify eas value;
server {
    listen unix:$TEST_NGINX_SERVER_ROOT/html/other.sock;
    mtd p; mtd_profile exchange;
}
--- gate: mtd_profile sharepoint; mtd_value $http_x_device kind=serial;

=== TEST 18: ... one is of use nowhere
--- http
mtd_identify eas value client_cert;
server {
    listen unix:$TEST_NGINX_SERVER_ROOT/html/other.sock;
    mtd p; mtd_profile exchange;
}
--- gate: mtd_profile sharepoint; mtd_value $http_x_device kind=serial;
--- error_log
"client_cert" of "mtd_identify" in
would never find a device

=== TEST 19: ... none is of use here
--- http
mtd_identify eas value;
server {
    listen unix:$TEST_NGINX_SERVER_ROOT/html/other.sock;
    mtd p; mtd_profile exchange;
    mtd_value $http_x_device kind=serial;
}
--- gate: mtd_profile sharepoint;
--- error_log
"eas" of "mtd_identify" in

=== TEST 20: mtd_value without value
--- gate: mtd_profile exchange; mtd_identify eas; mtd_value $http_x_device kind=serial;
--- error_log eval
qr/"mtd_value" in the server in .*nginx\.conf:\d+ would never apply, "mtd_identify" in .*nginx\.conf:\d+ must name "value"/

=== TEST 21: ... in a location
--- gate: mtd_profile exchange; mtd_identify eas;
--- location: mtd_value $http_x_device kind=serial;
--- error_log
"mtd_value" in the server in

=== TEST 22: ... in http {}, for other servers
--- http: mtd_value $http_x_device kind=serial;
--- gate: mtd_profile exchange; mtd_identify eas;
--- request
GET /owa/
--- response_headers
X-Is: block unidentified

=== TEST 23: mtd_client_cert without client_cert
--- gate: mtd_profile exchange; mtd_identify eas; mtd_client_cert san_uri;
--- error_log
"mtd_client_cert" in the server in
must name "client_cert"

=== TEST 24: mtd_user_domain, and no policy binds users
--- server: mtd_user_domain CORP=example.com;
--- error_log eval
qr/"mtd_user_domain" in .*nginx\.conf:\d+ would never apply, an mtd_policy must say "bind_user on"/

=== TEST 25: ... one does
--- http: mtd_policy other { bind_user on; }
--- server: mtd_user_domain CORP=example.com;
