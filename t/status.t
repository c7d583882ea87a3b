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
is scalar(keys %{ $store->{reasons} }), 26, 'every reason';

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

=== TEST 9: as text of Prometheus
--- device
d1 threat=secured compliance=compliant
d3 action=block
--- request
GET /status?format=prometheus
--- response_headers
Content-Type: text/plain; version=0.0.4
Cache-Control: no-store
--- then
promtool();
my $before = metrics();
is $before->{'mtd_build_info'}{type}, 'gauge', 'a gauge';
told($_) for qw(d1 d3 d3);
my $after = metrics();
my $more = sub {
    my ($name) = @_;
    my ($metric) = $name =~ /^(\w+?)(?:_bucket|_sum|_count)?[{]/;
    return $after->{$metric}{value}{$name} - $before->{$metric}{value}{$name};
};
is $more->('mtd_decisions_total{store="r",reason="secured_enough"}'), 1, 'allowed';
is $more->('mtd_decisions_total{store="r",reason="admin_block"}'), 2, 'blocked';
is $more->('mtd_refusals_total{store="r",decision="block"}'), 2, 'refused';
my $time = 'mtd_lookup_duration_seconds';
my $waited = $more->("${time}_count{store=\"r\"}");
ok $waited <= 2, 'at most two have waited';
is $more->("${time}_bucket{store=\"r\",le=\"+Inf\"}"), $waited, 'all are in the last';
my @buckets = map { $after->{$time}{value}{$_} }
              grep { /_bucket/ } @{ $after->{$time}{names} };
is "@buckets", join(' ', sort { $a <=> $b } @buckets), 'buckets add up';
is scalar(@buckets), 10, 'all of them';
my $pushed = until_true(sub {
    metrics()->{mtd_push_duration_seconds}{value}{'mtd_push_duration_seconds_count{store="r"}'}
});
ok $pushed, 'a probe of push was answered';
is $after->{mtd_health}{value}{'mtd_health{store="r",state="serving"}'}, 1, 'serving';
is $after->{mtd_health}{value}{'mtd_health{store="r",state="refusing"}'}, 0, '... and nothing else';

=== TEST 10: a scraper says what it takes
--- request
GET /status
--- more_headers
Accept: application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1
--- response_headers
Content-Type: text/plain; version=0.0.4
--- response_body_like: ^# HELP mtd_build_info

=== TEST 11: what the query says goes before
--- request
GET /status?format=json
--- more_headers
Accept: text/plain
--- response_headers
Content-Type: application/json

=== TEST 12: a format that there is not
--- request
GET /status?format=xml
--- error_code: 400

=== TEST 13: health
--- post_setup_server_root
$server = redis_server('health');
$ENV{TEST_NGINX_OWN_REDIS} = $server->{path};
--- store: server unix:$TEST_NGINX_OWN_REDIS; fresh 100ms; stale 1s;
--- server: location = /health { mtd_health; }
--- init
our $fill = sub {
    redis_at($server->{path}, 'SET', key('alias:serial:d1'), 'd1');
    redis_at($server->{path}, 'HSET', key('device:d1'),
             qw(threat secured compliance compliant));
};
$fill->();
--- request
GET /x
--- more_headers
X-Device: d1
--- response_headers
X-Is: allow secured_enough
--- then
my $health = sub {
    my $answer = http('GET', '/health');
    return "$answer->{status} $answer->{body}";
};
is $health->(), "200 serving\n", 'serving';
MTD::stop($server);
ok until_true(sub { $health->() eq "200 stale\n" }), 'stale';
is status()->{stores}{r}{health}, 'stale', 'the status says the same';
ok until_true(sub { $health->() eq "503 refusing\n" }), 'refusing';
is told('d1'), 'block store_unavailable', '... which is true';
$server = redis_server('health');
$fill->();
ok until_true(sub { $health->() eq "200 serving\n" }), 'serving again';

=== TEST 14: health of a redis that was never there
--- store: server unix:$TEST_NGINX_SERVER_ROOT/no.sock;
--- server: location = /health { mtd_health; }
--- request
GET /health
--- error_code: 503
--- response_headers
Content-Type: text/plain
--- response_body
refusing
--- then
is http('POST', '/health')->{status}, 405, 'nothing is posted to it';

=== TEST 15: how far the preload is
--- device
d1 threat=secured compliance=compliant
--- store: preload on;
--- request
GET /status
--- then
my $state = sub { status()->{stores}{r}{preload}{state} };
ok until_true(sub { $state->() eq 'done' }), 'done' or diag $state->();
promtool();
my $keys = status()->{stores}{r}{preload}{keys};
my $m = metrics();
is $m->{mtd_preload}{value}{'mtd_preload{store="r",state="done"}'}, 1, 'done';
is $m->{mtd_preload}{value}{'mtd_preload{store="r",state="running"}'}, 0, '... and nothing else';
is $m->{mtd_preload_keys}{value}{'mtd_preload_keys{store="r"}'}, $keys, 'keys';
is told('d1'), 'allow secured_enough', 'a device';

=== TEST 16: without preload and state
--- request
GET /status
--- then
my $store = status()->{stores}{r};
ok !exists $store->{preload}, 'no preload';
ok !exists $store->{state}, 'no state';
