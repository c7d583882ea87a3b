#!/usr/bin/perl

# Half of the requests are reset by their clients, at any byte, some of them
# while redis is asked: the nginx with sanitizers has nothing to report, and
# the others have their answers.

use strict;
use warnings;

use FindBin;
use IO::Socket::INET;
use Test::More;

my $top = "$FindBin::Bin/../..";

BEGIN {
    my $asan = "$FindBin::Bin/../../build/asan/nginx";

    die "there is no $asan, `make static` builds it\n" if !-x $asan;

    $ENV{MTD_NGINX} = $asan;
    $ENV{MTD_MODULE} = '';
}

use lib "$FindBin::Bin/../lib";
use Gate;

my $n = $ENV{MTD_ABORTS} || chaos(20_000, 1_000_000);
my $seed = $ENV{MTD_SEED} || time;

# without an nginx that runs, its own leaks at the end are known

mkdir "$dir/reports";
chmod 0777, "$dir/reports";
spew("$dir/supp", join '', map { "leak:$_\n" } qw(ngx_event_process_init
     ngx_set_environment ngx_process_options ngx_save_argv ngx_regex_malloc));
$ENV{ASAN_OPTIONS} = "detect_leaks=1:log_path=$dir/reports/report";
$ENV{UBSAN_OPTIONS} = "print_stacktrace=1:log_path=$dir/reports/report";
$ENV{LSAN_OPTIONS} = "suppressions=$dir/supp:print_suppressions=0";

my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1)
    or die $!;
my $port = $listen->sockport;

close $listen;

redis_start(sub {
    device("good$_") for 0 .. 9;
    device('bad', threat => 'highSeverity');
});

gate(connections => 4096, http => <<"END");
access_log off;
error_log $dir/logs/error.log crit;
mtd_redis r { server unix:$dir/redis.sock; zone 1m; timeout 30s; fresh 1s; }
mtd_policy p { }
server {
    listen 127.0.0.1:$port backlog=4096;
    mtd p; mtd_profile exchange; mtd_identify eas value;
    mtd_value \$arg_d kind=serial;
    keepalive_timeout 2s;
    location / { proxy_pass http://unix:$dir/inner.sock; }
}
server {
    listen unix:$dir/inner.sock backlog=4096;
    location / { empty_gif; error_page 405 =200 /; }
}
server {
    listen unix:$dir/gate.sock;
    mtd p; mtd_profile generic; mtd_identify value;
    mtd_value \$arg_d kind=serial;
    location = /status { mtd_status; }
    location = /waiting { mtd off; stub_status; }
}
END

ok(wait_for(sub { trusted('r') == 2 }), 'both workers hear of changes');

my $eas = '/Microsoft-Server-ActiveSync?User=u&DeviceType=t&DeviceId=';

spew("$dir/requests", join '', map { join("\t", @$_) . "\n" } (
    map({ [200, 'GET', "/owa/x?d=good$_", 0] } 0 .. 9),
    [403, 'GET', '/owa/x?d=bad', 0],
    [403, 'GET', '/owa/x?d=cold{n}', 0], [403, 'GET', '/owa/y?d=cold{n}', 0],
    [200, 'POST', '/owa/x?d=good1', 20_000], [403, 'POST', '/owa/x?d=bad', 9],
    [403, 'POST', '/owa/x?d=cold{n}', 20_000],
    [200, 'POST', "${eas}good2&Cmd=Sync", 100],
    [403, 'POST', "${eas}bad&Cmd=Sync", 100],
    [403, 'POST', "${eas}bad&Cmd=Ping", 0],
    [403, 'POST', "${eas}cold{n}&Cmd=Ping", 0],
    [500, 'POST', '/EWS/Exchange.asmx?d=bad', 500],
    [400, 'GET', '/owa/%2e%2e%2fx?d=good1', 0],
));

my @workers = sort(workers());
my $asked = status()->{stores}{r}{counters}{lookups};

Gate::start(abort => Gate::tool('abort_client'), $port, $n, 64, $seed,
            "$dir/requests");

my $is = figures('abort', 7200);

is($is->{sent}, $n, "$n requests");
cmp_ok($is->{aborted}, '>', 0.4 * $n, "... $is->{aborted} were reset");
cmp_ok($is->{early}, '>', 0.1 * $n, '... many before they were whole');
is($is->{wrong}, 0, '... each other has its answer')
    or diag(slurp("$dir/abort.err"));
is($is->{lost} + $is->{unanswered}, 0, '... and none is without one');
is($is->{answered} + $is->{aborted}, $n, '... which are all');
cmp_ok(status()->{stores}{r}{counters}{lookups} - $asked, '>', $n / 10,
       'redis was asked meanwhile');
is_deeply([sort(workers())], \@workers, 'no worker has ended');
# nginx alone sees a reset behind a refused body when its time is over

ok(wait_for(sub { get('/waiting')->{body} =~ /^Active connections: 1 $/m }),
   'no request is left') or diag(get('/waiting')->{body});
is(alerts(), '', 'nothing is wrong');

Gate::gate_stop();

my $reports = qx("$top/tests/tools/sanitizer-reports.pl" "$dir/reports" 2>&1);

is($?, 0, 'nor have the sanitizers anything to say') or diag($reports);
diag("seed $seed: $is->{sent} requests, $is->{aborted} reset, $is->{early} of"
     . " them before they were whole");

done_testing();
