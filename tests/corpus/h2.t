#!/usr/bin/perl

# What HTTP/2 lets a client say that HTTP/1 does not: frames made by hand, so
# that no library refuses them first.  What arrives is one request, the one
# that was decided on; what names no good device does not arrive.

use strict;
use warnings;

use FindBin;
use IO::Select;
use IO::Socket::UNIX;
use lib "$FindBin::Bin/../lib";
use Gate;
use Test::More;
use Time::HiRes qw(time);

my $eas = '/Microsoft-Server-ActiveSync';
my $id = 'Cmd=Sync&User=u&DeviceType=iPhone&DeviceId';

backend('backend');
redis_start(sub {
    device('good');
    device('bad', threat => 'highSeverity');
});
gate(http => <<"END");
mtd_redis r { server unix:$dir/redis.sock; zone 1m; timeout 10s; }
mtd_policy p { }
upstream backend { server unix:$dir/backend.sock; }
proxy_http_version 1.1;
client_header_timeout 2s;
client_body_timeout 2s;
server {
    listen unix:$dir/gate.sock http2;
    server_name mail.example.com;
    mtd p; mtd_profile exchange; mtd_identify eas value;
    mtd_value \$http_x_device_id kind=serial;
    location / { proxy_pass http://backend; }
}
END
ok(wait_for(sub { 2 == workers() }), 'the gate is up');
my @pids = sort { $a <=> $b } workers();

# NAME, WHY, HEADERS, and the request line that arrives, or none, and a body.
# Why is what the gate decides, or in nginx's own words what the client sent,
# where nginx is the one that refuses: a frame that is broken is refused, too.
# A pseudo header that is given replaces the usual one, undef takes it away

my @cases = (
    ['good', '200 allow secured_enough',
     [':path' => "$eas?$id=GOOD"], "GET $eas?$id=GOOD HTTP/1.1"],
    ['bad', '403 remediate threat_level', [':path' => "$eas?$id=BAD"]],
    ['none', '403 block unidentified', []],
    ['letter case', '403 remediate threat_level',
     [':path' => "/%4dicrosoft-Server-ActiveSync?$id=BAD"]],
    ['dot segments', '403 remediate threat_level',
     [':path' => "/owa/auth/../..$eas?$id=BAD"]],
    ['dot segments of GOOD', '200 allow secured_enough',
     [':path' => "/owa/auth/../..$eas?$id=GOOD"],
     "GET $eas?$id=GOOD HTTP/1.1"],
    ['encoded dots', '400 block malformed',
     [':path' => "/owa/auth/%2e%2e/%2e%2e$eas?$id=GOOD"]],
    ['a path without a slash', 'sent invalid :path header',
     [':path' => "owa/auth/?$id=GOOD"]],
    ['a scheme that is not of HTTP', '400 block malformed',
     [':path' => "$eas?$id=GOOD", ':scheme' => 'ftp']],
    ['the scheme in capitals', '200 allow secured_enough',
     [':path' => "$eas?$id=GOOD", ':scheme' => 'HTTPS'],
     "GET $eas?$id=GOOD HTTP/1.1"],
    ['an absolute path', 'sent invalid :path header',
     [':path' => "http://mail.example.com/owa/auth/"]],
    ['an asterisk', 'sent invalid :path header',
     [':path' => '*', ':method' => 'OPTIONS']],
    ['an empty path', 'sent empty :path header', [':path' => '']],
    ['no path', 'sent no :path header', [':path' => undef]],
    ['two paths', 'sent duplicate :path header',
     [':path' => '/owa/auth/', '+:path' => "$eas?$id=BAD"]],
    ['a line end in the path', 'sent header ":path" with invalid value',
     [':path' => "/owa/auth/x HTTP/1.1\r\nHost: x\r\n\r\nGET /ecp/"]],
    ['a space in the path', 'sent invalid :path header',
     [':path' => '/owa/auth/x HTTP/1.1']],
    ['NUL in the path', 'sent header ":path" with invalid value',
     [':path' => "/owa/auth/x\0/../../ecp/"]],
    ['a fragment', '400 block malformed',
     [':path' => "$eas?$id=GOOD#&DeviceId=BAD"]],
    ['a line end in the query', 'sent header ":path" with invalid value',
     [':path' => "/owa/?x\r\nX: y"]],
    ['a tab in the query', 'sent invalid :path header',
     [':path' => "$eas?$id=GOOD\t"]],
    ['raw bytes', '400 block malformed', [':path' => "/owa/..\xc0\xafecp/"]],
    ['a backslash', '400 block malformed',
     [':path' => "/owa/auth/..\\..\\ecp/"]],
    ['a method with a request in it',
     'sent header ":method" with invalid value',
     [':method' => "GET /ecp/ HTTP/1.1\r\nHost: x\r\n\r\nGET",
      ':path' => '/owa/auth/']],
    ['a method with a space', 'sent invalid method',
     [':method' => 'GET /ecp/', ':path' => '/owa/auth/']],
    ['a method in lower case', 'sent invalid method',
     [':method' => 'get', ':path' => '/owa/auth/']],
    ['no method', 'sent no :method header',
     [':method' => undef, ':path' => '/owa/auth/']],
    ['CONNECT', 'sent CONNECT method', [':method' => 'CONNECT']],
    ['another scheme', 'sent invalid :scheme header',
     [':scheme' => 'http://evil.example/x?', ':path' => "$eas?$id=BAD"]],
    ['another host in the authority', 'sent duplicate host header',
     [':authority' => 'mail.example.com', host => 'evil.example',
      ':path' => "$eas?$id=GOOD"]],
    ['a line end in the authority',
     'sent header ":authority" with invalid value',
     [':authority' => "mail.example.com\r\nX-Device-Id: GOOD"]],
    ['a path in the authority', 'sent invalid host header',
     [':authority' => 'mail.example.com/owa/auth', ':path' => '/ecp/']],
    ['no authority, but a host', '200 allow secured_enough',
     [':authority' => undef, host => 'mail.example.com',
      ':path' => "$eas?$id=GOOD"], "GET $eas?$id=GOOD HTTP/1.1"],
    ['an authority behind other headers', '200 allow secured_enough',
     [':authority' => undef, 'x-device-id' => 'good',
      '+:authority' => 'mail.example.com'], 'GET /owa/ HTTP/1.1'],
    ['a header in upper case', 'sent invalid header name',
     ['X-Device-Id' => 'good']],
    ['a header twice', '403 block ambiguous',
     ['x-device-id' => 'good', '+x-device-id' => 'bad']],
    ['a line end in a value', 'sent header "x-a" with invalid value',
     ['x-a' => "b\r\nX-Device-Id: good"]],
    ['a line feed in a value', 'sent header "x-a" with invalid value',
     ['x-a' => "b\nX-Device-Id: good"]],
    ['a line end in a name', 'sent invalid header name',
     ["x-a: b\r\nx-device-id" => 'good']],
    ['a colon in a name', 'sent invalid header name',
     ['x-device-id: good' => 'x']],
    ['a space in a name', 'sent invalid header name',
     ['x-device-id ' => 'good']],
    ['NUL in a value', 'sent header "x-device-id" with invalid value',
     ['x-device-id' => "good\0"]],
    ['an empty name', 'sent zero header name length', ['' => 'good']],
    ['a header of Exchange', '200 allow secured_enough',
     ['x-device-id' => 'good', 'x-commonaccesstoken' => 'x',
      'x-rewrite-url' => '/ecp/'],
     'GET /owa/ HTTP/1.1'],
    ['chunked', '200 allow open_endpoint',
     ['transfer-encoding' => 'chunked', ':method' => 'POST',
      ':path' => '/autodiscover/autodiscover.xml'],
     'POST /autodiscover/autodiscover.xml HTTP/1.1'],
    ['an upgrade', '200 allow secured_enough',
     [connection => 'upgrade', upgrade => 'h2c', 'x-device-id' => 'good'], 'GET /owa/ HTTP/1.1'],
    ['too short a length', '400 allow open_endpoint',
     ['content-length' => 0, ':method' => 'POST',
      ':path' => '/autodiscover/autodiscover.xml'],
     undef, "GET /ecp/ HTTP/1.1\r\nHost: x\r\n\r\n"],
    ['two lengths', 'sent duplicate header line',
     ['content-length' => 5, '+content-length' => 46, ':method' => 'POST',
      ':path' => '/autodiscover/autodiscover.xml'],
     undef, 'abcde'],
    ['a length that is none', 'sent invalid "Content-Length" header',
     ['content-length' => '+5', ':method' => 'POST',
      ':path' => '/autodiscover/autodiscover.xml'],
     undef, 'abcde'],
    ['a request as the body', '200 allow open_endpoint',
     [':method' => 'POST', ':path' => '/autodiscover/autodiscover.xml'],
     'POST /autodiscover/autodiscover.xml HTTP/1.1',
     "GET /ecp/ HTTP/1.1\r\nHost: x\r\n\r\n"],
    ['crumbs of a cookie', '400 block malformed',
     [':path' => '/owa/auth/x.js', cookie => 'a=b',
      '+cookie' => 'X-AnonResource-Backend=localhost/ecp/x?~3']],
    ['cookies of Exchange itself', '200 allow open_endpoint',
     [':path' => '/owa/auth/x.js', cookie => 'a=b',
      '+cookie' => 'X-BEResource=ex01.example.com~1942062522'],
     'GET /owa/auth/x.js HTTP/1.1'],
);

for my $case (@cases) {
    my ($name, $why, $headers, $line, $body) = @$case;
    my ($requests, $before) = (access_log() =~ tr/\n//, length error_log());
    my ($status, $hung) = shoot(headers(@$headers), $body);
    my @arrived = records('backend');
    my @lines = map { /\A([^\r]*)/ } @arrived;

    is_deeply(\@lines, [$line // ()], "$name: " . ($status // 'no answer'));
    ok(!$hung, '... and it ends');

    my $told = wait_for(sub { (split /\n/, access_log())[$requests] }) // '';
    my ($sent) = substr(error_log(), $before)
                 =~ /: \*\d+ client (sent [^\r\n]*)/;

    $told = $sent // 'nothing' if $told =~ /^\d+ - /;
    is(substr($told, 0, length $why), $why, '... for what it says')
        or diag($told);

    for my $head (map { (split /\r\n\r\n/)[0] } @arrived) {
        my @hosts = $head =~ /^host:/gmi;
        my @lengths = $head =~ /^(?:transfer-encoding|content-length):/gmi;

        ok(@hosts == 1 && @lengths < 2
           && $head !~ /^(?:upgrade|x-commonaccesstoken|x-rewrite-url):/mi,
           '... with nothing that was not to arrive') or diag($head);
    }

    like($status // 'none', $why =~ /^(\d+)/ ? qr/^$1$/ : qr/^(?:none|4..)$/,
         '... and is so answered');
}

is_deeply([sort { $a <=> $b } workers()], \@pids, 'the workers are the same');
is(alerts(), '', 'nothing is wrong');

done_testing();


# the pseudo headers first, as far as they are not given with a "+"

sub headers {
    my (@given) = @_;
    my @usual = (':method', 'GET', ':scheme', 'https', ':path', '/owa/',
                 ':authority', 'mail.example.com');
    my (%given, @all);

    for (my $i = 0; $i < @given; $i += 2) {
        $given{$given[$i]} = \$given[$i + 1] if $given[$i] !~ /^\+/;
    }

    while (my ($name, $value) = splice @usual, 0, 2) {
        $value = ${ $given{$name} } if $given{$name};
        push @all, [$name, $value] if defined $value;
    }

    while (my ($name, $value) = splice @given, 0, 2) {
        push @all, [$name =~ s/^\+//r, $value]
            if $name !~ /^:(?:method|scheme|path|authority)$/;
    }

    return \@all;
}


# HPACK: a literal that is not indexed, with a new name, without Huffman; of
# texts of less than 127 bytes

sub literal { return "\0" . pack '(C/a*)*', @_ }


sub frame {
    my ($type, $flags, $stream, $payload) = @_;
    return substr(pack('N', length $payload), 1)
           . pack('CCN', $type, $flags, $stream) . $payload;
}


# the status, if there is one: of an indexed header or a literal one

sub shoot {
    my ($headers, $body) = @_;
    my $link = IO::Socket::UNIX->new("$dir/gate.sock") or die $!;
    my $select = IO::Select->new($link);
    my $block = join '', map { literal(@$_) } @$headers;
    my $end = time + 5;
    my ($text, $status, $done) = ('', undef, 0);

    syswrite $link, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" . frame(4, 0, 0, '')
        . frame(1, defined $body ? 4 : 5, 1, $block)
        . (defined $body ? frame(0, 1, 1, $body) : '');

    while (!$done && time < $end && $select->can_read($end - time)) {

        sysread $link, $text, 65536, length $text or last;

        while (length $text >= 9) {
            my ($len, $type, $flags, $stream) =
                unpack 'NCCN', "\0" . substr $text, 0, 9;
            last if length $text < 9 + $len;

            my $payload = substr $text, 9, $len;
            substr $text, 0, 9 + $len, '';

            $status = status_of($payload) if $type == 1;
            $done = 1 if $type == 3 || $type == 7
                         || $stream == 1 && $type < 2 && $flags & 1;
        }
    }

    return ($status, time >= $end);
}


sub status_of {
    my ($block) = @_;
    my @indexed = (200, 204, 206, 304, 400, 404, 500);
    my $first = ord $block;

    return $indexed[$first - 0x88] if $first >= 0x88 && $first <= 0x8e;
    return $1 if $block =~ /\A[\x08\x48]\x03(\d{3})/;
    return 'some status';
}
