use lib 't/lib';
use Test::Nginx::Socket 'no_plan';
use MTD;

# mtd_status

repeat_each(2);
run_tests();

__DATA__

=== TEST 1: it is JSON
--- request
GET /status
--- response_headers_like
Content-Type: application/json.*
--- response_body_like: ^\{"version":"\d+\.\d+\.\d+","nginx":"\d+\.\d+\.\d+","pid":\d+,"stores":\{"r":\{.*\}\}\}$
--- then
my $status = status();
my $store = $status->{stores}{r};
ok until_true(sub { status()->{stores}{r}{data} eq 'up' }), 'up';
unlike JSON::PP::encode_json({ map { %{ $store->{$_} } } qw(reasons counters) }),
       qr/:"/, 'numbers are numbers';
is $store->{zone}{size}, 1048576, 'the size of the zone';
ok $store->{zone}{$_}{capacity} > 0, "room for $_"
    for qw(devices aliases unknown);
is scalar(keys %{ $store->{reasons} }), 24, 'every reason';

=== TEST 2: it counts
--- device
d1 threat=secured compliance=compliant
d2 threat=highSeverity compliance=compliant
d3 action=block
--- request
GET /status
--- then
trusted();
my $before = status()->{stores}{r};
told($_) for qw(d1 d1 d2 d3 d4 d4);
http('GET', '/x');
my $after = status()->{stores}{r};
my %more = map { $_ => $after->{reasons}{$_} - $before->{reasons}{$_} }
           keys %{ $after->{reasons} };
is_deeply { map { $more{$_} ? ($_ => $more{$_}) : () } keys %more },
    { secured_enough => 2, threat_level => 1, admin_block => 1,
      unknown_device => 2, unidentified => 1 }, 'reasons';
%more = map { $_ => $after->{counters}{$_} - $before->{counters}{$_} }
        qw(blocked remediated hit miss negative);
is $more{blocked}, 4, 'blocked';
is $more{remediated}, 1, 'remediated';
is $more{negative}, 2, 'negative';
is $more{hit} + $more{miss}, 4, 'hits and misses';
is $after->{zone}{devices}{used}, 3, 'devices';
is $after->{zone}{aliases}{used}, 3, 'aliases';
is $after->{zone}{unknown}{used}, 1, 'unknown';

=== TEST 3: HEAD
--- request
HEAD /status
--- response_body

=== TEST 4: nothing is posted to it
--- request
POST /status
--- error_code: 405

=== TEST 5: it is outside of the gate, and asks for nothing
--- request
GET /status
--- response_headers
X-Is: allow exempt
--- then
my $lookups = status()->{stores}{r}{counters}{lookups};
is status()->{stores}{r}{counters}{lookups}, $lookups, 'no lookup';

=== TEST 6: access is as elsewhere
--- server
location = /closed { mtd_status; deny all; }
--- request
GET /closed
--- error_code: 403

=== TEST 7: of a redis that is away
--- store: server unix:$TEST_NGINX_SERVER_ROOT/no"\/.sock;
--- request
GET /status
--- then
ok until_true(sub { status()->{stores}{r}{data} eq 'down' }), 'down';
is status()->{stores}{r}{push}, 'down', 'push, too';
ok !status()->{stores}{r}{trusted}, 'not trusted';
like status()->{stores}{r}{server}, qr/no"/, 'the name is escaped';

=== TEST 8: a location below it is gated
--- server
location /st {
    mtd_status;
    location /st/gate { proxy_pass http://unix:$TEST_NGINX_SERVER_ROOT/html/backend.sock; }
}
--- request
GET /st/gate
--- error_code: 403
--- response_headers
X-Is: block unidentified
