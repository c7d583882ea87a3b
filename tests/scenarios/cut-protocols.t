#!/usr/bin/perl

# What stays open in each protocol is ended in the way of that protocol when
# the device turns from allow: long polls, notifications, streams, tunnels,
# downloads, also of HTTP/2 and of connections that are used again.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Gate;
use Sink;
use Test::More;
use Time::HiRes qw(sleep);

# name, request, what it gets before the headers, what it has after them

my $upgrade = ['Upgrade: websocket', 'Connection: upgrade',
               'Sec-WebSocket-Version: 13',
               'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='];
my $eas = '/Microsoft-Server-ActiveSync?User=u&DeviceType=t&DeviceId=';
my $broken = qr{\A(?:HTTP/1.1 200 .*(?:\r\n5\r\ndrip\n\r\n|part)|HTTP/1.1 101 .*hello)\z}s;

my @requests = (
    ['Ping', 'hang', "${eas}Ping&Cmd=Ping", ['MS-ASProtocolVersion: 16.1'],
     qr{^HTTP/1.1 403 }],
    ['Ping12', 'hang', "${eas}Ping12&Cmd=Ping", ['MS-ASProtocolVersion: 12.1'],
     qr{^HTTP/1.1 403 }],
    ['Sync', 'hang', "${eas}Sync&Cmd=Sync", ['MS-ASProtocolVersion: 16.1'],
     qr{^HTTP/1.1 200 .*\x03\x01\x6a}s],
    ['SyncPart', 'drip', "${eas}SyncPart&Cmd=Sync",
     ['MS-ASProtocolVersion: 16.1'], $broken],
    ['EwsWaits', 'hang', '/EWS/Exchange.asmx', ['Content-Type: text/xml'],
     qr{^HTTP/1.1 500 .*ErrorAccessDenied}s],
    ['EwsStream', 'drip', '/EWS/Exchange.asmx', ['Content-Type: text/xml'],
     $broken],
    ['MapiWaits', 'hang', '/mapi/emsmdb/?MailboxId=x@example.com',
     ['X-RequestType: NotificationWait', 'X-RequestId: {1}:1'],
     qr{^HTTP/1.1 200 .*X-ResponseCode: 11}s],
    ['MapiPending', 'drip', '/mapi/emsmdb/?MailboxId=x@example.com',
     ['X-RequestType: NotificationWait', 'X-RequestId: {1}:1'], $broken],
    ['RpcOut', 'long', '/rpc/rpcproxy.dll?mail:6001', ['User-Agent: MSRPC'],
     $broken, 'RPC_OUT_DATA'],
    ['RpcIn', 'hang', '/rpc/rpcproxy.dll?mail:6001', ['User-Agent: MSRPC'],
     qr{^HTTP/1.1 [45]\d\d }, 'RPC_IN_DATA'],
    ['Owa', 'hang', '/owa/ev.owa2?ns=PendingRequest', [],
     qr{^HTTP/1.1 (?:403|440|302) }],
    ['WebSocket', 'tunnel', '/owa/ws', $upgrade, $broken, 'GET'],
    ['Download', 'long', '/OAB/x/data.lzx', [], $broken, 'GET'],
    ['Attachment', 'drip', '/owa/service.svc/s/GetFileAttachment?id=1', [],
     $broken, 'GET'],
);

my @devices = ((map { lc $_->[0] } @requests), qw(again two kept good body));

redis_start(sub { device($_) for @devices });
sink();
gate(http => http());
ok(wait_for(sub { trusted('r') == 2 }), 'both workers hear of changes');


for (@requests) {
    my ($name, $sink, $target, $headers, $expected, $method) = @$_;
    my @headers = (@$headers, "X-Sink: $sink", "X-Device: \L$name");
    my $length = $name eq 'RpcIn' ? 1 << 30 : 0;

    push @headers, "Content-Length: $length" if ($method // '') ne 'GET';

    $open{$name} = waits($name, $target, method => $method || 'POST',
                         headers => \@headers, at => 'mail',
                         body => $length ? 'part' : '');
}

$open{good} = waits('good', '/owa/x', at => 'mail',
                    headers => ['X-Sink: hang', 'X-Device: good']);

is(open_at_sink(), @requests + 1, 'all wait for the server behind');
redis('HSET', "mtd:device:\L$_->[0]", 'threat', 'secured') for @requests;
redis('HSET', 'mtd:device:good', 'os', 'iOS');
settled();
is(scalar(grep { waiting($_->[0]) } @requests), scalar @requests,
   'a change that changes nothing ends nothing');

redis('HSET', "mtd:device:\L$_->[0]", 'threat', 'highSeverity')
    for @requests;

for (@requests) {
    my ($name, $sink, undef, undef, $expected) = @$_;
    my $text = rest($name);

    like($text, $expected, "$name, $sink");
    like($text, qr/X-Is: remediate threat_level/, '... by the gate')
        if $sink eq 'hang';
}

ok(wait_for(sub { open_at_sink() == 1 }), 'the server behind was left');
ok(waiting('good'), 'another device stays');
is(status()->{stores}{r}{counters}{cut}, @requests + 1, 'each is counted');


# a connection that is used again: a whole answer, one that is ended, and one
# that is refused

my $link = IO::Socket::UNIX->new("$dir/mail.sock");
my @device = ('X-Device: again');

is(answer_on($link, 'X-Sink: answers')->{status}, 200, 'the first is answered');
$open{again} = waits('again', '/owa/x', link => $link,
                     headers => ['X-Sink: hang', @device]);
redis('HSET', 'mtd:device:again', 'threat', 'highSeverity');
like(rest('again'), qr{^HTTP/1.1 40\d .*X-Is: remediate threat_level}s,
     'the second is ended');
is(answer_on($link, 'X-Sink: answers')->{'x-is'}, 'remediate threat_level',
   'the third is refused, on the same connection');
redis('HSET', 'mtd:device:again', 'threat', 'secured');
ok(wait_for(sub { answer_on($link, 'X-Sink: answers')->{status} == 200 }),
   '... and the next is answered');


# a body that nginx still reads: what is to come of it is no request

my $request = "GET /owa/x HTTP/1.1\r\nHost: mail.example.com\r\n\r\n";

for my $length ('Content-Length: 1000', 'Transfer-Encoding: chunked') {
    my $body = IO::Socket::UNIX->new("$dir/mail.sock");

    redis('HSET', 'mtd:device:body', 'threat', 'secured');
    ok(wait_for(sub { answer_to('/owa/x', 'X-Sink: answers',
                                'X-Device: body')->{status} == 200 }),
       "$length: allowed");

    my $before = allowed();
    print $body "POST /owa/body HTTP/1.1\r\nHost: mail.example.com\r\n"
        . "X-Device: body\r\n$length\r\n\r\n5\r\n";
    $body->flush;
    ok(wait_for(sub { allowed() > $before }), '... and waits for its body');
    redis('HSET', 'mtd:device:body', 'threat', 'highSeverity');

    like(answer($body)->{head}, qr/^HTTP\S+ 40\d .*Connection: close/s,
         '... and is ended');
    print $body $request, 'x' x 1000;
    $body->flush;
    is(answer($body), undef, '... with its connection');
}


# ... nor a part of it the body of an error page that another server makes

my $pages = IO::Socket::UNIX->new(Local => "$dir/pages.sock", Listen => 1)
    or die $!;
chmod 0777, "$dir/pages.sock";

# (the one that is sent on as it comes has left nothing of itself)

for my $case ([paged => 1000], [streamed => 4]) {
    my ($to, $length) = @$case;

    redis('HSET', 'mtd:device:body', 'threat', 'secured');
    ok(wait_for(sub { answer_to('/owa/x', 'X-Sink: answers',
                                'X-Device: body')->{status} == 200 }),
       "an error page: $to, allowed");

    my $met = met_at_sink();
    my $allowed = allowed();
    my $body = IO::Socket::UNIX->new("$dir/mail.sock");

    print $body "POST /owa/$to HTTP/1.1\r\nHost: mail.example.com\r\n"
        . "X-Device: body\r\nContent-Length: $length\r\n\r\n";
    $body->flush;
    ok(wait_for(sub { allowed() > $allowed }), '... and waits for its body');

    sends_part($body, $to, $met);
    redis('HSET', 'mtd:device:body', 'threat', 'highSeverity');
    ok(IO::Select->new($pages)->can_read(10), '... the page is asked for');

    my $page = $pages->accept;
    my $asked = '';

    while ($asked !~ /\r\n\r\n/) {
        sysread $page, $asked, 4096, length $asked or last;
    }

    like($asked, qr{^GET /owa/page .*Content-Length: 0\r.*\r\n\r\n\z}s,
         '... without a body');
    print $page "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npage";
    $page->flush;
    is(answer($body)->{body}, 'page', '... and sent');
}


# streams of one connection of HTTP/2

my $met = met_at_sink();
my $h2 = IO::Socket::UNIX->new("$dir/h2.sock");
my ($unread, %streams) = '';

print $h2 "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", frame(4, 0, 0, '');
h2_asks(1, 'two', 'hang');
h2_asks(3, 'two', 'drip');
h2_asks(5, 'kept', 'drip');

ok(wait_for(sub { met_at_sink() == $met + 3
                  && h2_has(3, qr/drip/) && h2_has(5, qr/drip/) }),
   'HTTP/2: streams are open') or diag(explain(\%streams));
redis('HSET', 'mtd:device:two', 'threat', 'highSeverity');
ok(wait_for(sub { h2_has(1, qr/ end/) && h2_has(3, qr/ reset/) }),
   '... and end') or diag(explain(\%streams));
like($streams{1}, qr/^headers \x48\x03403/, '... before headers: a refusal');
like($streams{3}, qr/^headers \x88.* data drip\n reset 2$/s,
     '... after them: a reset, without an end of the data');
like($streams{5}, qr/ data drip\n$/, '... that of another device goes on');
h2_asks(7, 'kept', 'answers');
ok(wait_for(sub { h2_has(7, qr/^headers \x88.* data ok.* end$/s) }),
   '... and the connection takes another') or diag(explain(\%streams));


# a client that does not take its refusal yet, and goes on with its body

redis('HSET', 'mtd:device:body', 'threat', 'secured');
ok(wait_for(sub { answer_to('/owa/x', 'X-Sink: answers',
                            'X-Device: body')->{status} == 200 }),
   'HTTP/2: a body, allowed');

$h2 = IO::Socket::UNIX->new("$dir/h2.sock");
$unread = '';
%streams = ();
$met = met_at_sink();

my $allowed = allowed();


print $h2 "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", frame(4, 0, 0, pack 'nN', 4, 0);
h2_asks(1, 'body', 'body', 'POST');
print $h2 frame(0, 0, 1, 'part');
$h2->flush;

ok(wait_for(sub { allowed() > $allowed }), '... and waits for the rest');
redis('HSET', 'mtd:device:body', 'threat', 'highSeverity');
ok(wait_for(sub { h2_has(1, qr/^headers \x48\x03403/) }), '... and is ended');
print $h2 map({ frame(0, $_ == 3, 1, 'x' x 16000) } 1 .. 3),
    frame(6, 0, 0, 'x' x 8);
$h2->flush;
ok(wait_for(sub { h2_has(0, qr/ pong/) }), '... the rest is read');
unlike($streams{1}, qr/ (?:end|reset)/, '... nothing is sent beside it');
is(met_at_sink(), $met, '... and nothing to the server behind');


close delete $open{good};
is(alerts(), '', 'nothing is wrong');

done_testing();


sub answer_to {
    my ($target, @headers) = @_;
    return get($target, at => 'mail', headers => \@headers);
}


# what is sent on as it comes has come once the server behind has read more

sub sends_part {
    my ($link, $to, $met) = @_;
    my $read = sub { (stat "$dir/sink.open")[1] };

    wait_for(sub { met_at_sink() > $met }) if $to eq 'streamed';

    my $before = $read->();

    print $link 'part';
    $link->flush;

    wait_for(sub { $read->() != $before }) or die 'no body'
        if $to eq 'streamed';
}


sub allowed { return status()->{stores}{r}{reasons}{secured_enough} }


sub http {
    my $location = <<'END';
proxy_http_version 1.1; proxy_buffering off; proxy_request_buffering off;
proxy_read_timeout 1h;
proxy_set_header Upgrade $http_upgrade;
proxy_set_header Connection $http_connection;
proxy_pass http://sink;
END

    my $server = <<"END";
    client_max_body_size 0;
    mtd p; mtd_profile exchange; mtd_identify eas value;
    mtd_value \$http_x_device kind=serial;
    add_header X-Is "\$mtd_decision \$mtd_reason" always;
    location / { $location }
    location = /owa/body { proxy_pass http://sink; }
    location = /owa/paged { error_page 403 /owa/page; proxy_pass http://sink; }
    location = /owa/streamed { error_page 403 /owa/page; $location }
    location = /owa/page { mtd off; proxy_pass http://unix:$dir/pages.sock; }
END

    return <<"END";
mtd_redis r { server unix:$dir/redis.sock; zone 1m; timeout 10s; fresh 1h; }
mtd_policy p { }
upstream sink { server unix:$dir/sink.sock; }
server {
    listen unix:$dir/mail.sock;
    $server
}
server {
    listen unix:$dir/h2.sock http2;
    $server
}
server {
    listen unix:$dir/gate.sock;
    mtd p; mtd_profile generic; mtd_identify value;
    mtd_value \$http_x_device kind=serial;
    location = /status { mtd_status; }
}
END
}


sub answer_on {
    my ($link, @headers) = @_;

    return ask($link, "GET /owa/x HTTP/1.1\r\n" . join '', map { "$_\r\n" }
               'Host: mail.example.com', @device, @headers, '');
}


# frames of HTTP/2, with headers that are neither indexed nor packed

sub frame {
    my ($type, $flags, $stream, $payload) = @_;

    return substr(pack('N', length $payload), 1)
        . pack('CCN', $type, $flags, $stream) . $payload;
}


sub h2_asks {
    my ($stream, $device, $sink, $method) = @_;
    my @headers = (':method' => $method || 'GET', ':scheme' => 'http', ':path' =>
                   "/owa/$sink", ':authority' => 'mail.example.com',
                   'x-device' => $device, 'x-sink' => $sink);

    print $h2 frame(1, $method ? 4 : 5, $stream, join '',
                    map { ($_ % 2 ? '' : "\0") . pack('C/a*', $headers[$_]) }
                    0 .. $#headers);
    $h2->flush;
}


# what came for each stream so far

sub h2_has {
    my ($stream, $pattern) = @_;

    while (IO::Select->new($h2)->can_read(0)) {
        sysread $h2, $unread, 65536, length $unread or last;
    }

    while (length $unread >= 9) {
        my $length = unpack 'N', "\0" . substr $unread, 0, 3;
        my ($type, $flags, $id) = unpack 'x3 C C N', $unread;

        last if length $unread < 9 + $length;

        my $text = substr $unread, 9, $length;

        $unread = substr $unread, 9 + $length;
        $streams{$id} .= $type == 0 ? " data $text"
                       : $type == 1 ? "headers $text"
                       : $type == 3 ? ' reset ' . unpack('N', $text)
                       : $type == 6 ? ' pong'
                       : $type == 7 ? ' goaway' : '';
        $streams{$id} .= ' end' if $type < 2 && $flags & 1;
    }

    return ($streams{$stream} // '') =~ $pattern;
}


# both workers have heard of what was written, and done with it: what is
# written after it has ended

sub settled {
    device('mark');
    $open{mark} = waits('mark', '/owa/x', at => 'mail',
                        headers => ['X-Sink: hang', 'X-Device: mark']);
    redis('HSET', 'mtd:device:mark', 'threat', 'highSeverity');
    rest('mark');
}
