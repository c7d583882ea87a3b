#!/usr/bin/perl

# The body says nothing about the device: what the lines of http/wbxml-body
# have, and worse, arrives as it was sent when the query names a good device,
# in whatever pieces, and not at all when it does not.

use strict;
use warnings;

use FindBin;
use IO::Socket::UNIX;
use lib "$FindBin::Bin/../lib";
use Gate;
use Test::More;
use Time::HiRes qw(sleep);

my $eas = '/Microsoft-Server-ActiveSync';

backend('backend');
redis_start(sub {
    device('good');
    device('bad', threat => 'highSeverity');
});
gate(http => join '', <<"END", map { <<"END2" } qw(off on));
mtd_redis r { server unix:$dir/redis.sock; zone 1m; timeout 10s; }
mtd_policy p { }
upstream backend { server unix:$dir/backend.sock; }
proxy_http_version 1.1;
client_header_timeout 1s;
client_body_timeout 1s;
mtd_profile exchange; mtd_identify eas;
END
server {
    listen unix:$dir/$_.sock;
    mtd p;
    proxy_request_buffering $_;
    location / { proxy_pass http://backend; }
}
END2
ok(wait_for(sub { 2 == workers() }), 'the gate is up');
my @pids = sort { $a <=> $b } workers();

my $doc = "\x03\x01\x6a\x00";
my @bodies = (
    ['none', ''],
    ['a document', "${doc}E\\O\x031\x00\x01\x01\x01"],
    ['of another version', "\x02\x01\x6a\x00E"],
    ['a public id by a string', "\x03\x00\x05\x6a\x06abcde\x00E"],
    ['a length without an end', "\x03\x01\x6a" . "\x80" x 40 . "\x00"],
    ['the longest string table', "\x03\x01\x6a\x8f\xff\xff\xff\x7fE"],
    ['a string without an end', "${doc}E\x03abc"],
    ['a string table that is not there', "${doc}E\x83\x7f\x01"],
    ['opaque data past the end', "${doc}E\xc3\x8f\xff\xff\xff\x7fabc"],
    ['literals', "${doc}\x04\x00\x44\x00\x84\x00\xc4\x00\x01"],
    ['an entity', "${doc}E\x02\x8f\xff\xff\xff\x7f\x01"],
    ['extensions', "${doc}E\x40a\x00\x80\x01\xc0\x01"],
    ['an unknown page', "${doc}\x00\xffE\x01"],
    ['a page without a number', "${doc}\x00"],
    ['attributes', "${doc}\xc5\x05\x01\x01"],
    ['too many ends', $doc . "\x01" x 100],
    ['deep', $doc . 'E' x 50_000],
    ['wide', $doc . "E\x01" x 50_000],
    ['another device in it', "${doc}\x00\x12EV\x03bad\x00\x01\x01"],
    ['a request', "GET $eas?Cmd=Sync&DeviceId=BAD HTTP/1.1\r\nHost: x\r\n\r\n"],
    ['zeroes', "\0" x 100_000],
);

for my $body (@bodies) {
    my ($name, $bytes) = @$body;

    for my $at (qw(off on)) {
        for my $chunked ($at eq 'on' ? (0, 1) : 0) {
            my $how = "$name, buffering $at" . ($chunked ? ', chunked' : '');

            my $answer = post($at, 'good', $bytes, $chunked);
            my @arrived = records('backend');
            my (undef, $got) = split /\r\n\r\n/, $arrived[0] // '', 2;

            is(@arrived, 1, "$how: arrives");
            is($answer->{status}, 200, '... is answered');
            ok(defined $got && $got eq $bytes, '... as it was sent');

            $answer = post($at, 'bad', $bytes, $chunked);
            is(scalar(() = records('backend')), 0, '... of BAD does not');
            ok(!$answer->{'x-backend'}, '... has no answer of the server');
        }
    }
}

# clients that are slow, or leave

my $head = "POST $eas?Cmd=Sync&User=u&DeviceId=GOOD&DeviceType=x HTTP/1.1\r\n"
           . "Host: mail.example.com\r\n";

for my $case (['20 bytes', substr $head, 0, 20],
              ['a head without an end', $head],
              ['half of a body', "${head}Content-Length: 10\r\n\r\nabcde"],
              ['half of a chunk',
               "${head}Transfer-Encoding: chunked\r\n\r\na\r\nabc"])
{
    my ($name, $text) = @$case;

    for my $leaves (0, 1) {
        my $link = IO::Socket::UNIX->new("$dir/on.sock") or die $!;

        syswrite $link, $text;
        sleep 0.05;
        close $link if $leaves;

        ok($leaves || !defined answer_or_end($link),
           "$name, and " . ($leaves ? 'gone' : 'nothing more: it is closed'));
        is(scalar(() = records('backend')), 0, '... nothing has arrived');
    }
}

is(post('on', 'good', '', 0)->{status}, 200, 'others are served');
is_deeply([sort { $a <=> $b } workers()], \@pids, 'the workers are the same');
is(alerts(), '', 'nothing is wrong');

done_testing();


sub post {
    my ($at, $id, $body, $chunked) = @_;
    my $link = IO::Socket::UNIX->new("$dir/$at.sock") or die $!;
    my $text = "POST $eas?Cmd=Sync&User=u&DeviceId=$id&DeviceType=x HTTP/1.1"
        . "\r\nHost: mail.example.com\r\nConnection: close\r\n"
        . "Content-Type: application/vnd.ms-sync.wbxml\r\n";

    $text .= $chunked
        ? "Transfer-Encoding: chunked\r\n\r\n"
          . join('', map { sprintf("%x\r\n", length) . "$_\r\n" }
                         unpack '(a4000)*', $body)
          . "0\r\n\r\n"
        : 'Content-Length: ' . length($body) . "\r\n\r\n$body";

    # in two pieces, cut where a length may be

    my $cut = index($text, "\r\n\r\n") + 7;

    $link->autoflush(1);
    print $link substr $text, 0, $cut;
    sleep 0.01;
    print $link substr $text, $cut if $cut < length $text;

    return answer($link) // {};
}


# what comes within some seconds, but for a timeout: nginx says nothing then,
# or 408

sub answer_or_end {
    my ($link) = @_;

    local $SIG{ALRM} = sub { die "hangs\n" };
    alarm 5;
    my $answer = eval { answer($link) } // ($@ ? { status => $@ } : undef);
    alarm 0;

    return $answer && $answer->{status} ne '408' ? $answer : undef;
}
