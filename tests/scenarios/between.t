#!/usr/bin/perl

# A device is found in several steps, and what an earlier one has said changes
# while a request waits for a later one: it is let in by what is not so any
# more, and ended at once, though nothing changes from then on.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Gate;
use IO::Socket::UNIX;
use MIME::Base64 qw(encode_base64);
use Scripted;
use Sink;
use Test::More;
use Time::HiRes qw(sleep);

my $id = 'nine2ec7ec0bb54d';
my $hex = unpack 'H*', $id;

scripted_start();
scripted_device($_) for qw(one two three);
scripted_device('bad', threat => 'highSeverity');
script("set mtd:alias:eas:$id two");

sink();
gate(workers => 1, http => http());
ok(wait_for(sub { trusted('r') == 1 }), 'the worker hears of changes');


# the alias leads to another device while the first one is asked for

between('HMGET mtd:device:one', 'set mtd:alias:serial:one bad',
        'one', 'GET /x?device=one');
like(rest('one'), qr/X-Is: remediate threat_level/, 'the alias has changed');


# one reading of an id is known, and changes while the other is waited for

is(get("/Microsoft-Server-ActiveSync?Cmd=Ping&User=u&DeviceId=$id"
       . '&DeviceType=t', headers => ['X-Sink: answers'])->{'x-is'},
   'allow secured_enough', 'one of two readings is known');
between("GET mtd:alias:eas:$hex", 'hset mtd:device:two threat highSeverity',
        'two', 'POST /Microsoft-Server-ActiveSync?'
        . encode_base64(pack('CCvC/aC/aC/a', 161, 18, 0x409, $id, '', 't'),
                        ''));
like(rest('two'), qr/X-Is: remediate threat_level/, 'the record has changed');


# what does not change is not asked for again

my $asked = asked();

$open{three} = waits('three', '/x?device=three');
$open{more} = waits('more', '/x?device=three');
is(asked(), $asked + 2, 'without a change nothing is asked again');
ok(waiting($_), "... and $_ stays") for qw(three more);

# one that ends while redis is asked about it once more

script('rule HMGET mtd:device:three 1 hold', 'hset mtd:device:three os iOS');
ok(wait_for(sub { script('held') == 1 }), 'redis is asked once more');
close delete $open{$_} for qw(three more);
ok(wait_for(sub { 2 == (() = slurp("$dir/logs/time.log") =~ m{^/x\?device=three}mg) }),
   '... and the clients leave');
unlike(slurp("$dir/logs/time.log"), qr/ \d\d+\./,
       '... that is no longer than they have waited');

# one that leaves before anything is known of it

script('release', 'rule GET mtd:alias:serial:gone 1 hold');
my $gone = IO::Socket::UNIX->new("$dir/gate.sock") or die $!;
print $gone "GET /x?device=gone HTTP/1.0\r\n\r\n";
$gone->flush;
ok(wait_for(sub { script('held') == 1 }), 'redis is asked for the first time');
close $gone;
ok(wait_for(sub { logged('gone') }), '... and the client leaves');
script('release');
get('/x?device=gone');
ok(wait_for(sub { logged('gone') =~ / (\w+)$/ }), '... and comes again');
like(logged('gone'), qr/^(\w{16}) \1$/, '... as the same in the log');

# what has been told a moment ago may be older than "fresh" by then

gate_reload(workers => 1, http => http('fresh 1ms; stale 1m;'));
ok(wait_for(sub { trusted('r') == 1 }), 'the worker hears of changes');
script('rule HMGET mtd:device:three 1 delay 50');
$asked = asked();
$open{again} = waits('again', '/x?device=three');
is(asked(), $asked + 2, 'it is looked at and not asked for once more');
ok(waiting('again'), '... and stays');

is(alerts(), '', 'nothing is wrong');

done_testing();


# a request, and a change that is heard of before an answer to what it asks

sub between {
    my ($what, $change, $name, $request) = @_;
    my ($heard, $met) = (invalidations(), met_at_sink());

    script("rule $what 1 hold");

    $open{$name} = IO::Socket::UNIX->new("$dir/gate.sock") or die $!;
    print { $open{$name} } "$request HTTP/1.1\r\n"
        . "Host: mail.example.com\r\nContent-Length: 0\r\n\r\n";
    $open{$name}->flush;

    ok(wait_for(sub { script('held') == 1 }), "$name: it waits for $what");
    script($change);
    ok(wait_for(sub { invalidations() == $heard + 1 }), "... $change");
    sleep 0.5;          # what is open has been looked at for this change
    script('release');
    ok(wait_for(sub { met_at_sink() > $met }), '... and is let in');
}


sub invalidations { return status()->{stores}{r}{counters}{invalidations} }
sub logged { return join ' ', slurp("$dir/logs/time.log")
                                  =~ m{^/x\?device=$_[0] .* (\w+)$}mg }
sub asked { return script('count GET') + script('count HMGET') }


sub http {
    my $more = $_[0] // '';

    return <<"END";
mtd_redis r { server unix:$dir/redis.sock; zone 1m; timeout 10s; $more }
mtd_policy p { }
log_format time "\$request_uri \$mtd_lookup_time \$mtd_device";
server {
    listen unix:$dir/gate.sock;
    mtd p; mtd_profile exchange; mtd_identify value eas;
    mtd_endpoint /x other; mtd_endpoint /status other;
    mtd_value \$arg_device kind=serial;
    add_header X-Is "\$mtd_decision \$mtd_reason" always;
    access_log $dir/logs/time.log time;
    location / { proxy_read_timeout 1h; proxy_pass http://unix:$dir/sink.sock; }
    location = /status { mtd_status; }
}
END
}
