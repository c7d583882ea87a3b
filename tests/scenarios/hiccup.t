#!/usr/bin/perl

# Redis does not answer in time for once, and is well: no link is lost, and no
# change is told.  Who was let in for that is asked about again all the same.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Gate;
use MIME::Base64 qw(encode_base64);
use Scripted;
use Sink;
use Test::More;

my %ends = (nobody => qr/X-Is: block unknown_device/,
            bad => qr/X-Is: remediate threat_level/);

scripted_start();
scripted_device('bad', threat => 'highSeverity');
scripted_device('good');

sink();
gate(workers => 1, http => http());
ok(wait_for(sub { trusted('r') == 1 }), 'the worker hears of changes');

for my $device (qw(nobody bad good)) {
    my $links = script('count SUBSCRIBE');

    script("rule GET mtd:alias:serial:$device 1 delay 300");
    $open{$device} = waits($device, "/x?device=$device");
    is(reasons('failure_allowed'), 1, "$device is let in")
        if $device eq 'nobody';

    if ($device eq 'good') {
        ok(wait_for(sub { script('count GET') > 5 }), "... and asked about again");
        ok(waiting('good'), '... and stays');

    } else {
        like(rest($device), $ends{$device}, '... and ended');
    }

    is(script('count SUBSCRIBE'), $links, '... with no link lost');
}


# of two readings of one id only one has an answer

my $id = 'nine2ec7ec0bb54d';

script('to none', "set mtd:alias:eas:$id good",
       'set mtd:alias:eas:' . unpack('H*', $id) . ' bad',
       'rule GET mtd:alias:eas:' . unpack('H*', $id) . ' 1 delay 300');
$open{two} = waits('two', '/Microsoft-Server-ActiveSync?'
                   . encode_base64(pack('CCvC/aC/aC/a', 161, 18, 0x409, $id,
                                        '', 't'), ''),
                   at => 'mail', method => 'POST',
                   headers => ['Content-Length: 0']);
like(rest('two'), qr/X-Is: remediate threat_level/,
     'of two readings, one that had no answer is asked about, too');

is(alerts(), '', 'nothing is wrong');

done_testing();


sub reasons { return status()->{stores}{r}{reasons}{ $_[0] } }


sub http {
    return <<"END";
mtd_redis r { server unix:$dir/redis.sock; zone 1m; timeout 100ms; }
mtd_policy p { store_failure allow; }
server {
    listen unix:$dir/gate.sock;
    mtd p; mtd_profile generic; mtd_identify value;
    mtd_value \$arg_device kind=serial;
    add_header X-Is "\$mtd_decision \$mtd_reason" always;
    location / { proxy_read_timeout 1h; proxy_pass http://unix:$dir/sink.sock; }
    location = /status { mtd_status; }
}
server {
    listen unix:$dir/mail.sock;
    mtd p; mtd_profile exchange; mtd_identify eas;
    add_header X-Is "\$mtd_decision \$mtd_reason" always;
    location / { proxy_read_timeout 1h; proxy_pass http://unix:$dir/sink.sock; }
}
END
}
