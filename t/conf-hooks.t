use lib 't/lib';
use Test::Nginx::Socket 'no_plan';
use MTD;

# what the directives of the hooks do not take

run_tests();

__DATA__

=== TEST 1: no variable
--- gate: mtd_profile generic; mtd_identify value; mtd_value device kind=serial;
--- must_die
--- error_log
invalid variable name "device", it must be "$NAME" in

=== TEST 2: no kind
--- gate: mtd_profile generic; mtd_identify value; mtd_value $http_x_device pattern=a;
--- must_die
--- error_log
"mtd_value" directive needs the parameter "kind=KIND" in

=== TEST 3: no kind of ours
--- gate: mtd_profile generic; mtd_identify value; mtd_value $http_x_device kind=name;
--- must_die
--- error_log
invalid kind of identity "name", it must be eas, entra, intune, serial, imei, cert, udid or vendor.NAME in

=== TEST 4: a vendor without a name
--- gate: mtd_profile generic; mtd_identify value; mtd_value $http_x_device kind=vendor.;
--- must_die
--- error_log
invalid kind of identity "vendor."

=== TEST 5: two kinds
--- gate: mtd_profile generic; mtd_identify value; mtd_value $http_x_device kind=serial kind=imei;
--- must_die
--- error_log
"mtd_value" directive has two parameters "kind" in

=== TEST 6: an empty pattern
--- gate: mtd_profile generic; mtd_identify value; mtd_value $http_x_device kind=serial pattern=;
--- must_die
--- error_log
"mtd_value" directive has an empty "pattern" in

=== TEST 7: a pattern that does not compile
--- gate: mtd_profile generic; mtd_identify value; mtd_value $http_x_device kind=serial pattern=(a;
--- must_die
--- error_log
(*LIMIT_MATCH=5000)(a

=== TEST 8: an unknown parameter
--- gate: mtd_profile generic; mtd_identify value; mtd_value $http_x_device kind=serial match=a;
--- must_die
--- error_log
invalid parameter "match=a", it must be "kind=KIND" or "pattern=REGEX" in

=== TEST 9: the same twice
--- gate: mtd_profile generic; mtd_identify value; mtd_value $http_x_device kind=serial; mtd_value $http_x_device kind=serial;
--- must_die
--- error_log
"mtd_value" directive is duplicate in

=== TEST 10: an unknown variable
--- gate: mtd_profile generic; mtd_identify value; mtd_value $no_such kind=serial;
--- must_die
--- error_log
unknown "no_such" variable

=== TEST 11: client_cert: an unknown source
--- gate: mtd_profile generic; mtd_identify client_cert; mtd_client_cert subject;
--- must_die
--- error_log
invalid source "subject", it must be "san_uri", "cn=KIND", "serial=KIND", "intune", "entra" or one "tenant=GUID" in

=== TEST 12: client_cert: a source twice
--- gate: mtd_profile generic; mtd_identify client_cert; mtd_client_cert cn=entra cn=intune;
--- must_die
--- error_log
duplicate source "cn=intune" in

=== TEST 13: client_cert: no kind of ours
--- gate: mtd_profile generic; mtd_identify client_cert; mtd_client_cert cn=name;
--- must_die
--- error_log
invalid kind of identity "name"

=== TEST 14: client_cert: twice
--- gate: mtd_profile generic; mtd_identify client_cert; mtd_client_cert san_uri; mtd_client_cert san_uri;
--- must_die
--- error_log
"mtd_client_cert" directive is duplicate in

=== TEST 15: a root that all tenants share, and no tenant
--- gate: mtd_profile generic; mtd_identify client_cert; mtd_client_cert intune;
--- must_die
--- error_log
"intune" and "entra" of "mtd_client_cert" need tenant=GUID, because certificates of all tenants have the same root in

=== TEST 16: the other one
--- gate: mtd_profile generic; mtd_identify client_cert; mtd_client_cert san_uri entra;
--- must_die
--- error_log
"intune" and "entra" of "mtd_client_cert" need tenant=GUID

=== TEST 17: a tenant that is no GUID
--- gate: mtd_profile generic; mtd_identify client_cert; mtd_client_cert intune tenant=example.com;
--- must_die
--- error_log
invalid "tenant=example.com" of "mtd_client_cert", it must be the GUID of a tenant in

=== TEST 18: a tenant for nothing
--- gate: mtd_profile generic; mtd_identify client_cert; mtd_client_cert san_uri tenant=11111111-2222-3333-4444-555555555555;
--- must_die
--- error_log
"tenant=11111111-2222-3333-4444-555555555555" of "mtd_client_cert" is for the sources "intune" and "entra" only in

=== TEST 19: a tenant alone
--- gate: mtd_profile generic; mtd_identify client_cert; mtd_client_cert tenant=11111111-2222-3333-4444-555555555555;
--- must_die
--- error_log
"mtd_client_cert" directive names no source in

=== TEST 20: two tenants
--- gate: mtd_profile generic; mtd_identify client_cert; mtd_client_cert intune tenant=11111111-2222-3333-4444-555555555555 tenant=11111111-2222-3333-4444-555555555555;
--- must_die
--- error_log
invalid source "tenant=11111111-2222-3333-4444-555555555555", it must be "san_uri"
