#!/usr/bin/perl

# No memory: each allocation of a worker fails once, while it decides, asks,
# connects, hears of changes, loads and saves.  The worker lives, whoever may
# not pass does not, and the next request is as if nothing had been.

use strict;
use warnings;

use FindBin;
use IO::Socket::UNIX;
use lib "$FindBin::Bin/../lib";
use Gate;
use Test::More;

use constant MOST => 400;           # allocations of one step, more or less

plan skip_all => 'an nginx with sanitizers has its own malloc()'
    if defined $ENV{MTD_MODULE} && $ENV{MTD_MODULE} eq '';

my $armed = "$dir/armed";
my $library = "$dir/fail_alloc.so";

system(qw(cc -O2 -shared -fPIC -fno-builtin -o), $library,
       "$FindBin::Bin/../tools/fail_alloc.c") == 0
    or die 'fail_alloc.c does not compile';

spew($armed, pack 'q3', 0, 0, 0);
chmod 0666, $armed;
mkdir "$dir/state", 0700;
backend('behind');

redis_start(\&fill);

{
    local $ENV{LD_PRELOAD} = $library;
    local $ENV{FAIL_ALLOC} = $armed;
    gate(workers => 1, http => http());
}

ok(wait_for(sub { trusted('r') == 1 }), 'the worker hears of changes');

my ($worker) = workers();
my $serial = 0;
my %all = (passed => 0, failed => 0);


# each step with every allocation failing: what must not pass does not

each_one('a miss that passes', 1, sub { told(unseen('good')) });
each_one('a miss that does not', 0, sub { told(unseen('bad')) });
each_one('a miss of nobody', 0, sub { told('nobody' . $serial++) });
each_one('a hit that passes', 1, sub { told('good') });
each_one('a hit that does not', 0, sub { told('bad') });
each_one('no identity', 0, sub { told('') });
each_one('a path of two readings', 0, sub { get_it('/a%2fb?device=good') });
each_one('a record with many groups', 1, sub { told(unseen('groups')) });
each_one('a damaged record', 0, sub { told(unseen('damaged')) });

each_one('ActiveSync', 0, sub {
    my $link = IO::Socket::UNIX->new("$dir/mail.sock") or return;

    return status_of(ask($link, 'POST /Microsoft-Server-ActiveSync?Cmd=Sync&'
        . 'User=u&DeviceId=bad&DeviceType=t HTTP/1.1' . "\r\n"
        . "Host: mail.example.com\r\nMS-ASProtocolVersion: 16.1\r\n"
        . "Content-Length: 3\r\nConnection: close\r\n\r\nabc"));
});


# redis comes and goes; what is asked for meanwhile

for my $type (qw(normal pubsub)) {
    each_one("a $type connection that is lost", undef, sub {
        redis('CLIENT', 'KILL', 'TYPE', $type);
        wait_for(sub { links() >= 2 });
        return told('bad');
    });
}

# a change, a flush

each_one('a change', undef, sub {
    redis('HSET', 'mtd:device:bad', os => "os$serial");
    $serial++;
    return told('bad');
});

each_one('a flush, and all anew', undef, sub {
    redis('FLUSHALL');
    fill();
    return told('bad');
}, 30);

# an open request that is ended

each_one('an open request', undef, sub {
    my $n = $serial++;

    redis('HSET', 'mtd:device:turns', threat => 'secured');

    my $link = IO::Socket::UNIX->new("$dir/gate.sock") or return;

    print $link "GET /slow?device=turns HTTP/1.1\r\nHost: h\r\n"
        . "Connection: close\r\n\r\n";
    $link->flush;
    redis('HSET', 'mtd:device:turns', threat => 'highSeverity');

    # refused, or never asked for

    my $is = told('turns');
    close $link;
    return $is;
}, 60);


# the file is written, whatever fails

unlink "$dir/state/known";
redis('HSET', 'mtd:device:good', os => 'iOS');
is(told('good'), 'allow 200', 'something changes');
ok(wait_for(sub { -s "$dir/state/known" }, 30), 'the state is written');

for my $n (0 .. 5) {
    unlink "$dir/state/known";
    arm($n);
    redis('HSET', 'mtd:device:good', os => "os$n");
    told('good');
    disarm() if !wait_for(sub { (unpack 'q3', slurp($armed))[2] }, 2);
}

unlink "$dir/state/known";
redis('HSET', 'mtd:device:good', os => 'android');
is(told('good'), 'allow 200', 'something changes');
ok(wait_for(sub { -s "$dir/state/known" }, 30), 'the state is written');

is(join(' ', workers()), $worker, 'it is the same worker as before');
is(alerts(qr/failed \(12: Cannot allocate memory\)/), '', 'nothing is wrong');

diag("$all{failed} allocations failed, $all{passed} requests passed"
     . ' nevertheless, all of them rightly');

done_testing();


sub http {
    my $gate = <<"END";
    add_header X-Is "\$mtd_decision \$mtd_reason" always;
    location / { proxy_pass http://unix:$dir/behind.sock; }
END

    return <<"END";
mtd_redis r { server unix:$dir/redis.sock; zone 1m; timeout 10s; fresh 1h;
              preload on; state $dir/state/known; }
mtd_policy p { }
server {
    listen unix:$dir/gate.sock;
    mtd p; mtd_profile generic; mtd_identify value;
    mtd_value \$arg_device kind=serial;
    $gate
    location /slow { proxy_pass http://unix:$dir/behind.sock; }
    location = /status { mtd_status; }
}
server {
    listen unix:$dir/mail.sock;
    mtd p; mtd_profile exchange; mtd_identify eas;
    $gate
}
END
}


sub fill {
    device('good');
    device('turns');
    device('bad', threat => 'highSeverity');
}


# with a name that the gate has not met

sub unseen {
    my ($of) = @_;
    my $id = $of . '-' . $serial++;

    device($id, $of eq 'bad' ? (threat => 'highSeverity') : (),
           $of eq 'groups' ? (groups => "all,$id", user => "user $id") : (),
           $of eq 'damaged' ? (grace_until => 'never') : ());
    return $id;
}


# connections of the worker to redis

sub links {
    return scalar(() = redis('CLIENT', 'LIST') =~ /cmd=(?!client)/g);
}


sub status_of {
    my ($answer) = @_;

    return 'nothing' if !$answer;

    my ($is) = ($answer->{'x-is'} || '-') =~ /^(\S+)/;
    return "$is $answer->{status}";
}


sub get_it { return status_of(get($_[0])) }
sub told { return get_it("/x?device=$_[0]") }


sub arm {
    my ($n) = @_;

    open my $out, '+<:raw', $armed or die $!;
    syswrite $out, pack 'q3', $worker, $n, 0;
}


sub disarm {
    my $failed = (unpack 'q3', slurp($armed))[2];

    open my $out, '+<:raw', $armed or die $!;
    syswrite $out, pack 'q3', 0, 0, 0;
    return $failed;
}


# may: whether it passes where nothing fails; undef: it is "bad"

sub each_one {
    my ($name, $may, $step, $most) = @_;
    my ($wrong, $after, $failed, $n, $idle) = (0, 0, 0, 0, 0);

    # until the step needs no more: what comes by itself may, a few more

    for ($n = 0; $n < ($most || MOST) && $idle < 3; $n++) {
        arm($n);

        my $is = eval { $step->() } // 'nothing';
        my $now = disarm();

        $failed += $now;
        $idle = $now ? 0 : $idle + 1;
        $all{failed} += $now;
        $all{passed}++ if $is =~ / 200$/;

        if (!$may && $is =~ /^allow|^- 2/) {
            $wrong++;
            diag("$name, allocation $n: $is");
        }

        # the next one

        wait_for(sub { told('good') eq 'allow 200' }) or $after++;
        wait_for(sub { told('bad') eq 'remediate 403' }) or $after++;

        if ((workers())[0] != $worker) {
            diag("$name, allocation $n: the worker has died");
            $wrong++;
            last;
        }
    }

    is($wrong, 0, "$name: $failed allocations failed");
    is($after, 0, '... and the next requests were decided right');
    cmp_ok($failed, '>', 0, '... some did') if $name !~ /hit/;
}
