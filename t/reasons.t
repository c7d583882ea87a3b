use lib 't/lib';
use Test::Nginx::Socket 'no_plan';
use MTD;

# every reason that a record, or its absence, can have

repeat_each(2);
run_tests();

__DATA__

=== TEST 1: secured_enough
--- device
d1 threat=secured compliance=compliant
--- request
GET /x?y=z
--- more_headers
X-Device: d1
--- response_headers
X-Is: allow secured_enough
! X-MTD-Reference
--- response_body
GET /x?y=z
