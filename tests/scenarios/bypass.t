#!/usr/bin/perl

# A bypass in an emergency: all workers, without redis, after a reload, with
# a redis that has come back empty; and its end, for open requests, too.

use strict;
use warnings;

use FindBin;
use IO::Select;
use IO::Socket::UNIX;
use lib "$FindBin::Bin/../lib";
use Gate;
use Test::More;
use Time::HiRes qw(sleep);

my $mtdctl = "$FindBin::Bin/../../build/tools/mtdctl";
my $sink = IO::Socket::UNIX->new(Local => "$dir/sink.sock", Listen => 64)
    or die $!;
chmod 0777, "$dir/sink.sock";

redis_start(\&fill);
gate(http => http());
ok(wait_for(\&both), 'both workers hear of changes');

is(told('bad'), '403 remediate threat_level', 'before');
is(mtdctl('bypass', '10m', '--why', 'a test'), 0, 'mtdctl bypass');
ok(wait_for(sub { held() == 2 }), 'both workers know');
is(told($_), '200 allow bypass', "$_ passes") for qw(bad stranger), '';
is(told('good'), '200 allow secured_enough', 'good has its own reason');
is(lines('begins until'), 1, 'told once');


# its end, by mtdctl

my %open = map { $_ => waits($_) } qw(bad stranger), '';
$open{good} = waits('good');

is(mtdctl('bypass', 'end'), 0, 'mtdctl bypass end');
ok(wait_for(sub { held() == 0 }), 'both workers know');
is(told('bad'), '403 remediate threat_level', 'it is over');
like(rest($open{bad}), qr/X-Is: remediate threat_level/,
     'an open request ends');
like(rest($open{stranger}), qr/X-Is: block unknown_device/,
     '... of an unknown device');
like(rest($open{''}), qr/X-Is: block unidentified/, '... of none');
ok(!IO::Select->new($open{good})->can_read(0), 'that of a good device stays');
is(lines('was ended, until'), 1, 'told once');


# a device that turns bad meanwhile

mtdctl('bypass', '10m', '--why', 'a test');
ok(wait_for(sub { held() == 2 }), 'again');
redis('HSET', 'mtd:device:good', threat => 'highSeverity');
ok(wait_for(sub { told('good') eq '200 allow bypass' }),
   'a device that turned bad passes');
ok(!IO::Select->new($open{good})->can_read(0), '... and its request stays');


# redis is away; a reload; redis is empty

redis_stop();
ok(wait_for(sub { !grep { $_->{data} ne 'down' } values %{ stores('r') } }),
   'redis is away');
is(told($_), '200 allow bypass', "'$_' passes") for qw(bad new), '';

gate(reload => 1, http => http());
ok(wait_for(sub { my @w = workers();
                  @w == 2 && held() == 2 && lines('goes on until') }),
   'new workers know');
is(told('new'), '200 allow bypass', '... and let pass');

redis_start();
ok(wait_for(\&both), 'redis is back, and empty');
is(told('bad'), '200 allow bypass', 'it passes');
is(lines('goes on, though this server knows of none, until'), 1,
   'which is told once');
is(mtdctl('bypass', 'end'), 0, 'it is ended there');
ok(wait_for(sub { held() == 0 }), 'both workers know');
like(rest($open{good}), qr/X-Is: block unknown_device/,
     'the request of the device that turned bad, and is gone, ends');
is(told('bad'), '403 block unknown_device', 'others, too');


# the end by the clock, without redis

fill();
bypass(3);
ok(wait_for(sub { held() == 2 }), 'for some seconds');
my $over = lines('is over, until');
%open = map { $_ => waits($_) } 'bad', 'new';
redis_stop();
ok(wait_for(sub { held() == 0 }, 20), 'it ends without redis');
like(rest($open{bad}), qr/X-Is: remediate threat_level/,
     'its requests end, by what is known');
like(rest($open{new}), qr/X-Is: block store_unavailable/,
     '... or by what is not');
is(told('bad'), '403 remediate threat_level', 'known');
is(told('new'), '503 block store_unavailable', 'not known');
is(lines('is over, until'), $over + 1, 'told once');

is(alerts(), '', 'nothing is wrong');

done_testing();


sub fill {
    device('good');
    device('bad', threat => 'highSeverity');
}


sub http {
    return <<"END";
mtd_redis r { server unix:$dir/redis.sock; zone 4m; timeout 5s; fresh 1h; unknown 1s; }
mtd_policy p { }
upstream sink { server unix:$dir/sink.sock; }
server {
    listen unix:$dir/gate.sock;
    mtd p; mtd_profile generic; mtd_identify value;
    mtd_value \$arg_device kind=serial;
    add_header X-Is "\$mtd_decision \$mtd_reason" always;
    location / { empty_gif; }
    location /hang { proxy_read_timeout 1h; proxy_pass http://sink; }
    location = /status { mtd_status; }
}
END
}


sub mtdctl { return system("'$mtdctl' --redis unix:$dir/redis.sock "
                           . join(' ', map { "'$_'" } @_)
                           . ">'$dir/mtdctl.out' 2>&1") >> 8 }


# as mtdctl, but shorter

sub bypass {
    my ($seconds) = @_;
    my $until = redis('TIME')->[0] + $seconds;

    redis('MULTI');
    redis('DEL', 'mtd:bypass');
    redis('HSET', 'mtd:bypass', until => $until, by => 'me', why => 'x');
    redis('EXPIRE', 'mtd:bypass', $seconds);
    redis('EXEC');
}


sub both {
    my @stores = values %{ stores('r') };
    return @stores == 2 && !grep { !$_->{trusted} } @stores;
}


sub held { return scalar grep { $_->{bypass} } values %{ stores('r') } }


sub lines {
    my ($what) = @_;
    return scalar(() = error_log() =~ /mtd bypass by redis \S+ \Q$what\E/g);
}


sub told {
    my ($device) = @_;
    my $answer = get('/x' . ($device ne '' ? "?device=$device" : ''))
        or return 'nothing';

    return "$answer->{status} $answer->{'x-is'}";
}


# a request that is let pass and waits for the server behind

sub waits {
    my ($device) = @_;
    my $link = IO::Socket::UNIX->new("$dir/gate.sock") or die $!;
    my $before = passed();

    print $link 'GET /hang', $device ne '' ? "?device=$device" : '',
        " HTTP/1.1\r\nHost: mail.example.com\r\n\r\n";
    $link->flush;
    wait_for(sub { passed() > $before }) or die "'$device' does not pass";

    return $link;
}


sub passed {
    my $reasons = status()->{stores}{r}{reasons};
    return $reasons->{bypass} + $reasons->{secured_enough};
}


sub rest {
    my ($link) = @_;
    my $text = '';

    while ($text !~ /\r\n\r\n/ && IO::Select->new($link)->can_read(10)) {
        sysread $link, $text, 65536, length $text or last;
    }

    return $text;
}
