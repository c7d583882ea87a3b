#!/usr/bin/perl

# An open request with two identities, while aliases of others change all the
# time: it is compared with what is known, and not identified anew each time,
# which would cost memory of it; what does change for it is seen.  Where there
# is no room for the groups of a record, each time redis is asked for them, and
# that costs no memory either.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Gate;
use Sink;
use Test::More;

use constant { LONG => 8000, TIMES => chaos(1000, 20_000) };

redis_start(sub {
    device($_) for qw(one two three);
    device('bad', threat => 'highSeverity');
    redis('SET', "mtd:alias:eas:phone$_", $_) for qw(one two three);
    device("full$_", groups => $_ x LONG) for 'a' .. 'z';
    device('long', groups => groups(0));
});

sink();
gate(workers => 1, http => http());
ok(wait_for(sub { trusted('r') == 1 }), 'the worker hears of changes');

$open{$_} = opens($_, "phone$_") for qw(one two);
$open{three} = opens('three', 'new');
is(identified(), 3, 'three requests are identified');

# once more for what the zone has, and then not at all; a link that is lost
# here because nobody had time for it would count once for each

walks() for 1 .. 2;
my $before = identified();

walks() for 1 .. 4;
cmp_ok(identified() - $before, '<=', 3, '... and then compared');
ok(waiting($_), "... $_ stays") for qw(one two three);

# something for one of them

$before = identified();
redis('HSET', 'mtd:device:one', os => 'iOS');
walks() for 1 .. 4;
cmp_ok(identified() - $before, '>', 0, 'a change of the device is seen');
cmp_ok(identified() - $before, '<=', 4, '... once');
ok(waiting('one'), '... which leaves it as it was');

redis('HSET', 'mtd:device:one', threat => 'highSeverity');
like(rest('one'), qr/X-Is: remediate threat_level/, '... this does not');

redis('SET', 'mtd:alias:eas:phonetwo', 'one');
like(rest('two'), qr/X-Is: block identity_mismatch/,
     'its second identity is that of another device');

walks() for 1 .. 2;
redis('SET', 'mtd:alias:eas:new', 'two');
like(rest('three'), qr/X-Is: block identity_mismatch/,
     'one that was not known is, of another device');

# one that no hook identifies, in an emergency: no device changes it

redis('HSET', 'mtd:bypass', until => redis('TIME')->[0] + 600, by => 'me',
      why => 'x');
redis('EXPIRE', 'mtd:bypass', 600);
ok(wait_for(sub { status()->{stores}{r}{bypass} }), 'a bypass is on');
$open{none} = waits('none', '/x', at => 'none', headers => ['X-Device: none']);
$open{seen} = waits('seen', '/x?device=seen');
$before = identified();
cmp_ok($before, '>', 0, 'it is looked for a device');

for my $device (qw(two three)) {
    my $asked = commands()->{hmget};

    redis('SET', 'mtd:alias:serial:seen', $device);
    redis('HSET', "mtd:device:$device", os => 'other');
    ok(wait_for(sub { commands()->{hmget} > $asked }), '... aliases change');
}

is(identified(), $before, '... which it is not looked for again');
ok(waiting($_), "... $_ stays") for qw(none seen);
redis('DEL', 'mtd:bypass');
like(rest('none'), qr/X-Is: block unidentified/, '... until its end');
ok(waiting('seen'), '... which a device that is known by now outlives');

# texts that fill the zone, and one for which there is no room

told("full$_") for 'a' .. 'z';
is(told('long'), 'MISS ' . groups(0), 'there is no room for a text');
is(told('long'), 'MISS ' . groups(0), '... whenever it is asked for');

$open{long} = waits('long', '/x?device=long', at => 'full');

my ($worker) = workers();

checks(0 .. 99);
$before = memory();
checks(100 .. 99 + TIMES);

my $more = memory() - $before;

diag(sprintf '%d checks of a text of %d bytes: %d bytes more', TIMES, LONG,
     $more);
cmp_ok($more, '<', 256 * TIMES, '... each time in the same memory');
ok(waiting('long'), '... and it stays');

redis('HSET', 'mtd:device:long', threat => 'highSeverity', groups => 'short');
like(rest('long'), qr/X-Groups: short\r\n/, '... until it may not');

is(alerts(qr/pcre\w*\(\) failed/), '', 'nothing is wrong');

done_testing();


# to identify is to ask for $nothing, of which a pattern says in the log that
# it may not try more than once

sub http {
    my $location = <<"END";
    add_header X-Is "\$mtd_decision \$mtd_reason" always;
    location / { proxy_read_timeout 1h; proxy_pass http://unix:$dir/sink.sock; }
END

    return <<"END";
mtd_redis r { server unix:$dir/redis.sock; zone 1m; timeout 10s; fresh 1h; }
mtd_policy p { }
map \$http_x_device \$nothing {
    volatile; default ""; "~(*LIMIT_MATCH=1)^(?:.|..)+[0-9]\$" "";
}
server {
    listen unix:$dir/gate.sock;
    mtd p store=r; mtd_profile generic; mtd_identify value;
    mtd_value \$arg_device kind=serial;
    $location
    location = /status { mtd_status; }
}
server {
    listen unix:$dir/none.sock;
    mtd p store=r; mtd_profile generic; mtd_identify value;
    mtd_value \$nothing kind=serial;
    $location
}
mtd_redis f { server unix:$dir/redis.sock; zone 256k; timeout 10s; fresh 1h; }
server {
    listen unix:$dir/full.sock;
    mtd p store=f; mtd_profile generic; mtd_identify value;
    mtd_value \$arg_device kind=serial;
    add_header X-Groups \$mtd_groups always;
    add_header X-Lookup \$mtd_lookup always;
    location / { proxy_read_timeout 1h; proxy_pass http://unix:$dir/sink.sock; }
}
server {
    listen unix:$dir/mail.sock;
    mtd p store=r; mtd_profile exchange; mtd_identify value eas;
    mtd_value \$http_x_device kind=serial; mtd_value \$nothing kind=serial;
    $location
}
END
}


sub opens {
    my ($device, $phone) = @_;

    return waits($device, '/Microsoft-Server-ActiveSync?Cmd=Ping&User=u'
                 . "&DeviceId=$phone&DeviceType=t",
                 at => 'mail', method => 'POST',
                 headers => ["X-Device: $device", 'Content-Length: 0',
                             'MS-ASProtocolVersion: 16.1']);
}


# of each number another one, of another length

sub groups { return substr sprintf('g%04d,', $_[0]) x LONG, 0, LONG - $_[0] % 7 }


sub told {
    my $answer = get("/x?device=$_[0]", at => 'full',
                     headers => ['X-Sink: answers']) or return 'nothing';

    return "$answer->{'x-lookup'} " . ($answer->{'x-groups'} // '');
}


# each change of the device has it looked at once more

sub checks {
    for (@_) {
        my $asked = commands()->{hmget};

        redis('HSET', 'mtd:device:long', groups => groups($_));
        wait_for(sub { commands()->{hmget} > $asked }) or die 'no check';
    }
}


sub memory { return 1024 * (slurp("/proc/$worker/status") =~ /^VmData:\s+(\d+)/m)[0] }


sub identified { return scalar(() = error_log() =~ /pcre\w*\(\) failed/g) }


# an alias changes: all that is open is looked at, and one request ends

our $n;

sub walks {
    my $name = 'end' . ++$n;

    redis('SET', "mtd:alias:serial:$name", 'three');
    $open{$name} = waits($name, "/x?device=$name");
    redis('SET', "mtd:alias:serial:$name", 'bad');
    like(rest($name), qr/X-Is: remediate threat_level/, 'aliases change');
}
