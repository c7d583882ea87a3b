use lib 't/lib';
use Test::Nginx::Socket 'no_plan';
use MTD;

# what the directives of the gate do not take

run_tests();

__DATA__

=== TEST 1: no profile
--- gate: mtd_identify value;
--- must_die
--- error_log
no "mtd_profile" for the server with "mtd" in

=== TEST 2: no hooks
--- gate: mtd_profile generic;
--- must_die
--- error_log
no "mtd_identify" for the server with "mtd" in

=== TEST 3: unknown policy
--- gate

mtd phones;
mtd_profile generic; mtd_identify value; mtd_value $http_x_device kind=serial;
--- must_die
--- error_log
unknown policy "phones" of "mtd" in the server in

=== TEST 4: unknown policy in a location
--- location: mtd phones;
--- must_die
--- error_log
unknown policy "phones" of "mtd" in the server in

=== TEST 5: unknown store
--- gate

mtd p store=s;
mtd_profile generic; mtd_identify value; mtd_value $http_x_device kind=serial;
--- must_die
--- error_log
unknown store "s" of "mtd" in the server in

=== TEST 6: two stores and none named
--- http: mtd_redis s { server 127.0.0.1:1; }
--- must_die
--- error_log
no store for "mtd" in the server in
with several mtd_redis it needs store=NAME

=== TEST 7: no store at all
--- http_config: mtd_policy p { }
--- config: mtd p; mtd_profile generic; mtd_identify value; mtd_value $http_x_device kind=serial;
--- must_die
--- error_log
no store for "mtd" in the server in
there is no mtd_redis

=== TEST 8: a parameter that is not store=
--- gate

mtd p stores=r;
mtd_profile generic; mtd_identify value; mtd_value $http_x_device kind=serial;
--- must_die
--- error_log
invalid parameter "stores=r" of "mtd", it must be store=NAME of an mtd_redis in

=== TEST 9: store= without a name
--- gate

mtd p store=;
mtd_profile generic; mtd_identify value; mtd_value $http_x_device kind=serial;
--- must_die
--- error_log
invalid parameter "store=" of "mtd"

=== TEST 10: off with a store
--- gate

mtd off store=r;
mtd_profile generic; mtd_identify value; mtd_value $http_x_device kind=serial;
--- must_die
--- error_log
"mtd" directive with "off" takes no store in

=== TEST 11: mtd twice
--- gate

mtd p;
mtd p;
mtd_profile generic; mtd_identify value; mtd_value $http_x_device kind=serial;
--- must_die
--- error_log
"mtd" directive is duplicate in

=== TEST 12: mtd in a location only
--- gate

mtd off;
mtd_profile generic; mtd_identify value; mtd_value $http_x_device kind=serial;
--- location: mtd p;
--- must_die
--- error_log
"mtd" is on in location "/", but not in its server; the gate is on for a whole server

=== TEST 13: mtd of a variable in a location only
--- gate

mtd off;
mtd_profile generic; mtd_identify value; mtd_value $http_x_device kind=serial;
--- location: mtd $http_x_policy;
--- must_die
--- error_log
"mtd" is on in location "/", but not in its server

=== TEST 14: an unknown variable
--- gate

mtd $nothing_of_the_kind;
mtd_profile generic; mtd_identify value; mtd_value $http_x_device kind=serial;
--- must_die
--- error_log
unknown "nothing_of_the_kind" variable

=== TEST 15: unknown profile
--- gate: mtd_profile exchange2019; mtd_identify value;
--- must_die
--- error_log
unknown profile "exchange2019", it must be exchange, sharepoint or generic in

=== TEST 16: profile twice
--- gate: mtd_profile generic; mtd_profile generic; mtd_identify value;
--- must_die
--- error_log
"mtd_profile" directive is duplicate in

=== TEST 17: unknown hook
--- gate: mtd_profile generic; mtd_identify value cookie;
--- must_die
--- error_log
unknown hook "cookie" in "mtd_identify", it must be eas, client_cert, bearer, value or one of a loaded module in

=== TEST 18: a hook that only answers
--- gate: mtd_profile generic; mtd_identify respond_eas;
--- must_die
--- error_log
unknown hook "respond_eas" in "mtd_identify"

=== TEST 19: a hook that stands twice
--- gate: mtd_profile generic; mtd_identify value eas value;
--- must_die
--- error_log
hook "value" stands twice in "mtd_identify" in

=== TEST 20: too many hooks
--- gate: mtd_profile generic; mtd_identify a b c d e;
--- must_die
--- error_log
"mtd_identify" takes at most 4 hooks in

=== TEST 21: hooks twice
--- gate: mtd_profile generic; mtd_identify value; mtd_identify eas;
--- must_die
--- error_log
"mtd_identify" directive is duplicate in

=== TEST 22: an endpoint that is no path
--- server: mtd_endpoint owa owa;
--- must_die
--- error_log
invalid path "owa" of "mtd_endpoint", it must start with "/" in

=== TEST 23: an endpoint of an unknown protocol
--- server: mtd_endpoint /x imap;
--- must_die
--- error_log
unknown protocol "imap" of "mtd_endpoint", it must be eas, ews, mapi, rpc, oab, owa, ecp, autodiscover, sharepoint_page, sharepoint_rest, office, webdav, onedrive or other in

=== TEST 24: an endpoint with an unknown method
--- server: mtd_endpoint /x other methods=GET,get;
--- must_die
--- error_log
unknown method "get" of "mtd_endpoint", it must be one of HTTP, WebDAV or RPC over HTTP, in capitals in

=== TEST 25: an endpoint with an odd parameter
--- server: mtd_endpoint /x other closed;
--- must_die
--- error_log
invalid parameter "closed" of "mtd_endpoint", it must be gated, open, refused or methods=GET,POST,... in

=== TEST 26: an endpoint twice
--- server: mtd_endpoint /x other; mtd_endpoint /X owa;
--- must_die
--- error_log
duplicate mtd_endpoint "/X" in

=== TEST 27: remediation with another scheme
--- server: mtd_remediation javascript:alert(1);
--- must_die
--- error_log
invalid URL "javascript:alert(1)" of "mtd_remediation", it must be a path or start with https:// in

=== TEST 28: remediation on another host
--- server: mtd_remediation //evil.example/;
--- must_die
--- error_log
invalid URL "//evil.example/" of "mtd_remediation", it must be a path or start with https:// in

=== TEST 29: remediation twice
--- server: mtd_remediation /a; mtd_remediation /b;
--- must_die
--- error_log
"mtd_remediation" directive is duplicate in

=== TEST 30: disclose is neither on nor off
--- location: mtd_disclose yes;
--- must_die
--- error_log
invalid value "yes" in "mtd_disclose" directive, it must be "on" or "off" in

=== TEST 31: log_device is neither on nor off
--- location: mtd_log_device yes;
--- must_die
--- error_log
invalid value "yes" in "mtd_log_device" directive, it must be "on" or "off" in

=== TEST 32: status in a server
--- server: mtd_status;
--- must_die
--- error_log
"mtd_status" directive is not allowed here in

=== TEST 33: status twice
--- location: mtd_status; mtd_status;
--- must_die
--- error_log
"mtd_status" directive is duplicate, or "mtd_status" and "mtd_health" are in one location in

=== TEST 34: profile in a location
--- location: mtd_profile generic;
--- must_die
--- error_log
"mtd_profile" directive is not allowed here in

=== TEST 35: health in a server
--- server: mtd_health;
--- must_die
--- error_log
"mtd_health" directive is not allowed here in

=== TEST 36: status and health in one location
--- location: mtd_status; mtd_health;
--- must_die
--- error_log
"mtd_health" directive is duplicate, or "mtd_status" and "mtd_health" are in one location in

=== TEST 37: health takes nothing
--- location: mtd_health on;
--- must_die
--- error_log
invalid number of arguments in "mtd_health" directive in

=== TEST 38: mtd in a location without a name only
--- gate

mtd off;
mtd_profile generic; mtd_identify value; mtd_value $http_x_device kind=serial;
--- server: location "" { mtd p; }
--- must_die
--- error_log
"mtd" is on in location "", but not in its server

=== TEST 39: an endpoint that is open and refused
--- server: mtd_endpoint /x other open refused;
--- must_die
--- error_log
"refused" of "mtd_endpoint" is duplicate, it must be one of gated, open and refused in

=== TEST 40: ... the same twice
--- server: mtd_endpoint /x other gated gated;
--- must_die
--- error_log
"gated" of "mtd_endpoint" is duplicate

=== TEST 41: an endpoint with two lists of methods
--- server: mtd_endpoint /x other methods=GET methods=POST;
--- must_die
--- error_log
"methods=POST" of "mtd_endpoint" is duplicate, it must be one list with commas in
