#!/usr/bin/perl

# Attacks, byte by byte, against the gate in front of a server that records
# what arrives: attacks.tsv and, of our own, more.tsv.  A file of the same form
# can be named instead:
#
#   corpus.t FILE        or MTD_CORPUS=FILE
#
# Each line is sent twice, as it is and with the device GOOD in it.  What must
# come of it is in %expected by id, and follows from the words of its fourth
# column where it is not.  What holds for all lines is checked for all.  Then
# all of it again with store_failure allow, with redis and without.

use strict;
use warnings;

use FindBin;
use IO::Select;
use IO::Socket::UNIX;
use MIME::Base64 qw(decode_base64);
use lib "$FindBin::Bin/../lib";
use Gate;
use Test::More;
use Time::HiRes qw(time);

use constant NAMED => $ARGV[0] || $ENV{MTD_CORPUS};
use constant FILES => NAMED || map { "$FindBin::Bin/$_.tsv" } qw(attacks more);
use constant AREAS =>
    qr{^http/(?:path|eas-query|header|smuggling|injection)$};

# STATUS REASON DEVICE ("-" of nginx itself), or the request line; as
# it is, then with GOOD; with " | " between what versions of nginx differ in


my $eas = '/Microsoft-Server-ActiveSync';

my %expected = (
    'PATH-001' =>
        ['403 threat_level eas:bad',
         "GET $eas?Cmd=Sync&User=u&DeviceId=GOOD&DeviceType=iPhone"],
    'PATH-004' =>
        ['403 threat_level eas:bad',
         "GET $eas?Cmd=Sync&User=u&DeviceId=GOOD&DeviceType=iPhone"],
    'PATH-007' =>
        ['403 threat_level eas:bad',
         "GET $eas?Cmd=Sync&User=u&DeviceId=GOOD&DeviceType=iPhone"],
    'PATH-010' => ['400 malformed', '400 malformed'],
    'PATH-013' => ['400 malformed', '400 malformed'],
    'PATH-016' => ['400 malformed', '400 malformed'],
    'PATH-019' =>
        ['403 threat_level eas:bad',
         "GET $eas/?Cmd=Sync&User=u&DeviceId=GOOD&DeviceType=iPhone"],
    'PATH-022' => ['400 malformed', '400 malformed'],
    'PATH-025' => ['400 malformed', '400 malformed'],
    'PATH-028' => ['400 malformed', '400 malformed'],
    'PATH-031' => ['400 malformed', '400 malformed'],
    'PATH-034' => ['400 malformed', '400 malformed'],
    'PATH-037' => ['400 malformed', '400 malformed'],
    'PATH-040' => ['400 malformed', '400 malformed'],
    'PATH-043' => ['403 path_refused', '403 path_refused'],
    'PATH-046' => ['404 path_refused', '404 path_refused'],
    'PATH-046 sharepoint' =>
        ['403 unidentified',
         'POST /_layouts/15/toolpane.aspx/x?DisplayMode=Edit'],
    'PATH-049' => ['404 path_refused', '404 path_refused'],
    'PATH-052' => ['400 -', '400 -'],
    'PATH-055' => ["OPTIONS $eas", "OPTIONS $eas"],
    'PATH-058' =>
        ['403 unidentified',
         'RPC_IN_DATA /rpc/rpcproxy.dll?ex01.corp:6001'],
    'PATH-061' => ['400 malformed', '400 malformed'],
    'EASQ-001' =>
        ['200 unknown_device eas:v140device',
         '200 unknown_device eas:v140device'],
    'EASQ-004' => ['400 malformed', '400 malformed'],
    'EASQ-007' => ['400 malformed', '400 malformed'],
    'EASQ-010' => ['400 malformed', '400 malformed'],
    'EASQ-013' =>
        ["POST $eas?Cmd=Sync&User=u&DeviceId=G%4fOD",
         "POST $eas?Cmd=Sync&User=u&DeviceId=G%4fOD"],
    'EASQ-016' => ['400 malformed', '400 malformed'],
    'EASQ-019' => ['400 malformed', '400 malformed'],
    'EASQ-022' =>
        ['200 threat_level eas:bad',
         '200 identity_mismatch eas:bad'],
    'EASQ-025' => ['400 malformed', '400 malformed'],
    'EASQ-028' => ['400 malformed', '400 malformed'],
    'EASQ-031' => ['400 malformed', '400 malformed'],
    'EASQ-034' => ['400 malformed', '400 malformed'],
    'EASQ-037' => ['400 malformed', '400 malformed'],
    'EASQ-040' => ['400 malformed', '400 malformed'],
    'EASQ-043' => ['400 malformed', '400 malformed'],
    'HDR-001' => ['403 ambiguous', "GET $eas?Cmd=Sync&User=u"],
    'HDR-004' => ['403 threat_level serial:bad', "GET $eas?Cmd=Sync&User=u"],
    'HDR-007' =>
        ["GET $eas?Cmd=Sync&User=u | 400 -",
         "GET $eas?Cmd=Sync&User=u | 400 -"],
    'HDR-010' => ["GET $eas?Cmd=Sync&User=u", "GET $eas?Cmd=Sync&User=u"],
    'HDR-013' => ['403 unidentified', "GET $eas?Cmd=Sync&User=u"],
    'HDR-016' => ['403 unidentified', "GET $eas?Cmd=Sync&User=u"],
    'HDR-019' => ['403 unidentified', "GET $eas?Cmd=Sync&User=u"],
    'HDR-022' => ['403 unidentified', "GET $eas?Cmd=Sync&User=u"],
    'HDR-025' => ['403 unidentified', "GET $eas?Cmd=Sync&User=u"],
    'HDR-028' => ['400 -', '400 -'],
    'HDR-031' => ['403 unidentified', '403 unidentified'],
    'HDR-034' => ['403 unidentified', "GET $eas?Cmd=Sync&User=u"],
    'HDR-037' => ['400 -', '400 -'],
    'SMUG-001' => ['400 -', '400 -'],
    'SMUG-004' => ['400 -', '400 -'],
    'SMUG-007' => ['400 -', '400 -'],
    'SMUG-010' =>
        ['POST /autodiscover/autodiscover.xml | 400 -',
         'POST /autodiscover/autodiscover.xml | 400 -'],
    'SMUG-013' =>
        ['POST /autodiscover/autodiscover.xml',
         'POST /autodiscover/autodiscover.xml'],
    'SMUG-016' => ['403 unidentified', 'GET /owa/'],
    'SMUG-019' => ['403 unidentified', 'GET /owa/'],
    'SMUG-022' => ['404 path_refused', '404 path_refused'],
);

# what only a proxy may say

my %stripped = map { $_ => 1 } qw(
    x-rewrite-url x-original-url x-ssl-client-verify x-commonaccesstoken
    x-owa-explicitlogonuser x-http-method-override x-ssl-client-cert
    x-ssl-client-s-dn x-ssl-client-dn x-ssl-cert x-client-cert
    x-forwarded-client-cert x-beresource x-isfromcafe x-isfrombackend
    x-sourcecafeserver x-backendurl x-wlid-membername x-mtd-reason
    x-mtd-reference msexchproxyuri x-original-host x-method-override
    x-arr-clientcert client-cert ssl-client-cert ssl-client-verify
    x-securitycontext x-serializedsecuritycontext x-genericaccesstoken
    x-user-identity x-cert-user x-delegatedcontext
);

backend('backend');
redis_start(sub {
    device('good');
    device('bad', threat => 'highSeverity');
    redis('PERSIST', $_) for @{ redis('KEYS', '*') };
});
start_gate();

my $before = state();
my (%rules, $lines, @outcomes);

for my $line (map { lines($_) } FILES) {
    $lines++;

    # where no query has to name the device, too

    run($line, $line->{area} eq 'http/header' ? 'headers' : 'exchange');
    run($line, 'exchange', 1) if $line->{area} eq 'http/header';
    run($line, 'sharepoint') if $line->{payload} =~ m{/_\w|/sites/};
}

is(state(), $before, 'nothing has been written to redis');

# no request causes a failure that the policy is asked about

is_deeply([flips()], [], 'store_failure allow: none is allowed by it');

# what is known stays known, and what says no device needs no redis

redis_stop();

ok(wait_for(sub {
    (get('/owa/', at => 'headers-open', headers => ['X-Device-Id: stranger'])
     // {})->{'x-is'} =~ /failure_allowed/
}), 'redis is gone, and a device that is not known passes');

records('backend');
is_deeply([flips('unknown_device')], [],
          'without redis: only devices that are not known are');

is(join(' ', sort { $a <=> $b } workers()), $main::pids,
   'the workers are those of the start');
is(alerts(), '', 'nothing is wrong');
is_deeply(forged(), [], 'no line of a log is of a client');
cmp_ok($lines, '>', 0, 'there were lines');

diag("$lines lines, by rule:\n",
     map { "  $_: $rules{$_}\n" } sort keys %rules);

done_testing();


# what comes of all lines where store_failure is allow, if it is not the same;
# a refusal for one of the reasons named may be none

sub flips {
    my (@but) = @_;
    my $may = join '|', @but, 'nothing';
    my (@flips, $n);

    for my $was (@outcomes) {
        my ($name, $profile, $payload, $outcome) = @$was;
        my $run = shoot("$profile-open", $payload);
        my $now = outcome($run);

        $n++;
        push @flips, "$name: $outcome, now $now"
            if $now ne $outcome && $outcome !~ /^\d+ (?:$may)\b/;
    }

    diag("$n requests, " . @flips . ' flips');
    return @flips;
}


# lines that do not begin as those of the log do, and what the gate says with
# a control byte in it

sub forged {
    return [ grep { !m{^\d{4}/\d\d/\d\d [\d:]{8} \[\w+\] \d+\#\d+: }
                    || / mtd / && /[\x00-\x1f\x7f]/ }
             split /\n/, error_log() ];
}


sub start_gate {
    my %servers = (
        exchange => 'mtd_profile exchange; mtd_identify eas value;',
        headers => 'mtd_profile exchange; mtd_identify value;',
        sharepoint => 'mtd_profile sharepoint; mtd_identify value;',
    );
    my @names = sort map { ($_, "$_-open") } keys %servers;
    my $servers = join '', map { <<"END" } map { [split /-/] } @names;
server {
    listen unix:$dir/@{[join '-', @$_]}.sock;
    server_name mail.example.com sharepoint.example.com;
    mtd @{[join '-', 'p', @$_[1 .. $#$_]]}; mtd_log_device on;
    $servers{$_->[0]}
    mtd_value \$http_x_device_id kind=serial;
    add_header X-Is "\$mtd_decision \$mtd_reason" always;
    add_header X-Identity "\$mtd_identity \$mtd_device" always;
    location / { proxy_pass http://backend; }
}
END

    gate(http => <<"END");
mtd_redis r { server unix:$dir/redis.sock; zone 1m; timeout 10s; }
mtd_policy p { }
mtd_policy p-open { store_failure allow; }
upstream backend { server unix:$dir/backend.sock; }
proxy_http_version 1.1;
proxy_ignore_client_abort on;
client_header_timeout 3s;
client_body_timeout 3s;
$servers
END

    ok(wait_for(sub { 2 == workers() }), 'the gate is up');
    $main::pids = join ' ', sort { $a <=> $b } workers();
}


sub state {
    return join ' ', redis('DBSIZE'),
        map { redis('HGET', "mtd:device:$_", 'threat') } qw(good bad);
}


sub lines {
    my ($file) = @_;
    my @lines;

    open my $in, '<:raw', $file or die "$file: $!\n";

    while (my $line = <$in>) {
        chomp $line;
        my ($id, $area, $payload, $text) = split /\t/, $line, -1;

        push @lines, { id => $id, area => $area, text => $text // '',
                       payload => unescape($payload) }
            if defined $payload && $area =~ AREAS;
    }

    return @lines;
}


sub unescape {
    my ($text) = @_;
    my %plain = (r => "\r", n => "\n", t => "\t", '\\' => '\\');

    $text =~ s/\\(?:x([0-9A-Fa-f]{2})|([rnt\\]))/
               defined $1 ? chr hex $1 : $plain{$2}/gex;
    $text =~ s/\{\{rep (\d+) (.*?)\}\}/$2 x $1/ges;

    return $text;
}


sub run {
    my ($line, $profile, $again) = @_;
    my $id = $line->{id} . ($again || $profile eq 'sharepoint'
                            ? " $profile" : '');
    my @runs = map { shoot($profile, $_) }
                   $line->{payload}, with_good($line->{payload});
    my @wrong = map { invariants($_) } @runs;

    push @outcomes, map { [$id, $profile, $_->{sent}, outcome($_)] } @runs;

    if (my $expected = $expected{$id}) {
        $rules{'by id'}++;

        for my $i (0, 1) {
            my $got = outcome($runs[$i]);
            push @wrong, "is $got, not $expected->[$i]"
                if !grep { $_ eq $got } split / \| /, $expected->[$i];
        }

    } elsif ($again) {
        $rules{'once more'}++;

    } else {
        my ($rule, @found) = by_words($line, @runs);

        $rules{$rule}++;
        push @wrong, map { "$rule: $_" } @found;
        diag("$id: $rule") if NAMED;
    }

    ok(!@wrong, "$id, $line->{text}") or diag(map { "  $_\n" } @wrong);
}


# the same for GOOD: instead of BAD, or in a header

sub with_good {
    my ($payload) = @_;

    return $payload if $payload =~ s/\bBAD\b/GOOD/g;

    $payload =~ s/\n/\nX-Device-Id: GOOD\r\n/;
    return $payload;
}


# sends, and reads until the gate closes

sub shoot {
    my ($profile, $payload) = @_;
    my $link = IO::Socket::UNIX->new("$dir/$profile.sock") or die $!;
    my $select = IO::Select->new($link);
    my ($text, $at, $end, $closing) = ('', 0, time + 10, 0);

    my @run = (sent => $payload, profile => $profile);

    while (length $payload) {
        my $n = syswrite $link, $payload or last;
        substr $payload, 0, $n, '';
    }

    for (;;) {
        $select->can_read($closing ? $end - time : 1);
        last if time > $end;

        # one answer, or nothing for a second: there is no more to come

        if (!$select->can_read(0) || split_answers($text) > 0) {
            shutdown $link, 1 if !$closing++;
        }

        next if !$select->can_read(0);

        sysread $link, $text, 65536, length $text or last;
    }

    return { @run, text => $text, hung => time > $end,
             answers => [split_answers($text)],
             arrived => [records('backend')] };
}


sub split_answers {
    my ($text) = @_;
    my @answers;

    while ($text =~ s{\A(HTTP/1\.\d (\d+).*?\r\n)\r\n}{}s) {
        my %answer = (status => $2);
        my $head = $1;

        $answer{lc $1} = $2 while $head =~ /^([^\s:]+):[ ]?(.*?)\r$/gm;
        substr $text, 0, $answer{'content-length'} || 0, '';

        # 100 announces one

        next if $answer{status} < 200;
        push @answers, \%answer;
    }

    return @answers;
}


sub outcome {
    my ($run) = @_;
    my $answer = $run->{answers}[0] or return 'no answer';

    return $1 if @{ $run->{arrived} }
                 && $run->{arrived}[0] =~ /\A([^\r]*) HTTP/;

    my (undef, $reason) = split / /, $answer->{'x-is'} // '';
    my (undef, $device) = split / /, $answer->{'x-identity'} // '';

    return join ' ', $answer->{status}, $reason || '-', $device || ();
}


# what is true for all

sub invariants {
    my ($run) = @_;
    my @accepted = grep { $_->{'x-backend'} } @{ $run->{answers} };
    my @arrived = @{ $run->{arrived} };
    my @wrong;

    push @wrong, 'hangs' if $run->{hung};
    push @wrong, @arrived . ' arrived, ' . @accepted . ' accepted'
        if @arrived != @accepted;

    for my $answer (@{ $run->{answers} }) {
        next if $answer->{'x-backend'};

        my $refused = $answer->{status} =~ /^(?:4\d\d|50[135])$/
            || "$answer->{status} " . ($answer->{'content-type'} // '') =~
               m{^(?:200\ application/(?:vnd\.ms-sync\.wbxml|json)
                     |500\ text/xml)\b}x
               && ($answer->{'x-is'} // '') =~ /^(?:block|remediate) /;

        push @wrong, "status $answer->{status}" if !$refused;
    }

    my $said = said($run->{sent});

    for my $answer (@accepted) {
        my (undef, $reason) = split / /, $answer->{'x-is'};

        next if $reason eq 'open_endpoint';

        push @wrong, "allowed: $reason" if $reason ne 'secured_enough';
        push @wrong, "allowed as $answer->{'x-identity'}"
            if $answer->{'x-identity'} !~ /^(?:eas eas|value serial):good$/
               || $said !~ /good/ || $said =~ /\bbad\b/;
    }

    for my $arrived (@arrived) {
        push @wrong, "another request line: $1"
            if $arrived =~ /\A(.*?)\r\n/ && $1 ne canonical($run);

        my ($head) = split /\r\n\r\n/, $arrived, 2;

        while ($head =~ /^([^\s:]+):/gm) {
            push @wrong, "$1 arrived" if $stripped{ lc($1) =~ tr/_/-/r };
        }

        push @wrong, 'an upgrade arrived' if $head =~ /^upgrade:/mi;
        push @wrong, 'another request is in it'
            if $head =~ m{\n[A-Z_]+ \S+ HTTP/};

        my @lengths = $head =~ /^(?:transfer-encoding|content-length):/gmi;
        push @wrong, 'two lengths arrived' if @lengths > 1;
    }

    return @wrong;
}


# all that it could mean, in lower case

sub said {
    my ($sent) = @_;
    my $plain = $sent =~ s/%([0-9A-Fa-f]{2})/chr hex $1/ger;
    my ($query) = $sent =~ m{^\S+ [^ ?]*\?(\S*)};
    my $bytes = decode_base64($query // '');

    return lc "$sent $plain $bytes";
}


# the request line that may arrive for it

sub canonical {
    my ($run) = @_;
    my ($method, $target) = $run->{sent} =~ /^(?:\r\n)?(\S+) +(\S+) +HTTP/
        or return 'none';
    my ($path, $query) = $target =~ /^([^?]*)(\?.*)?/s;
    my (@segments, $slash);

    $path =~ s{^\w+://[^/]*}{}i;
    $path =~ s/%([0-9A-Fa-f]{2})/plain(chr hex $1)/ge;
    $slash = $path =~ m{/(?:\.\.?)?$} ? '/' : '';

    for my $segment (split m{/}, $path) {
        next if $segment eq '' || $segment eq '.';
        $segment eq '..' ? pop @segments : push @segments, $segment;
    }

    $path = join '', map { "/$_" } @segments;

    return "$method " . ($path eq '' ? '/' : "$path$slash") . ($query // '')
           . ' HTTP/1.1';
}


sub plain {
    my ($char) = @_;
    return $char =~ m{[A-Za-z0-9_~!\$&'()*+,=:@-]} ? $char
                                                   : sprintf '%%%02X', ord $char;
}


# a rule, and what is wrong by it

sub by_words {
    my ($line, @runs) = @_;
    my $text = $line->{text};
    my ($as_is, $good) = @runs;
    my @wrong;

    my $refused = sub {
        my ($run, $name, $reason) = @_;
        my $got = outcome($run);

        push @wrong, "$name has arrived: $got" if @{ $run->{arrived} };
        push @wrong, "$name is $got"
            if $reason && $got !~ /^\d+ (?:$reason)\b/ && !@{ $run->{arrived} };
    };

    my $arrived = sub {
        my ($run, $name) = @_;
        push @wrong, "$name is " . outcome($run)
            if !@{ $run->{arrived} } || @{ $run->{answers} } != 1;
    };

    # nothing but GOOD was said

    my $is_good = said($line->{payload}) =~ /good/
                  && said($line->{payload}) !~ /bad/;

    if ($text =~ /^positive control/) {
        $refused->($as_is, 'it') if !$is_good;
        $arrived->($good, 'GOOD') if $line->{payload} =~ /BAD|GOOD/;
        return ('positive control', @wrong);
    }

    if ($text =~ /^same decision as for canonical path (\S+)/) {
        $refused->($as_is, 'it') if !$is_good;

        my ($path, $got) = ($1, outcome($good));

        push @wrong, "GOOD is $got"
            if $got !~ m{^400 } && $got !~ m{^[A-Z]+ \Q$path\E(?:/|\?|$)}i;

        return ('same decision', @wrong);
    }

    if ($text =~ /never forwarded to backend/) {
        my $unless = $text =~ /unless/;

        $refused->($as_is, 'it');
        $refused->($good, 'GOOD') if !$unless;
        return ($unless ? 'never, unless published' : 'never', @wrong);
    }

    if ($text =~ /decision for BAD/) {
        $refused->($as_is, 'it', 'threat_level|ambiguous|malformed'
                                 . '|identity_mismatch');
        return ('decision for BAD', @wrong);
    }

    if ($text =~ /open_endpoint/) {
        my $is = $as_is->{answers}[0]{'x-is'} // '';

        push @wrong, "it is $is"
            if @{ $as_is->{arrived} } && $is ne 'allow open_endpoint';
        return ('open endpoint', @wrong);
    }

    if ($text =~ /^[45]\d\d/) {
        my ($codes, $rest) = $text =~ m{^(\d{3}(?:(?:/|, | or )\d{3})*)(.*)}s;
        my $maybe = $rest =~ /^\s*,?\s*or\b|accepted|preferred|without an/;
        my $any = $codes =~ /400/;

        if (!$maybe || !$is_good && $rest =~ /without an/) {
            for my $run ($as_is, $maybe ? () : $good) {
                my $name = $run == $good ? 'GOOD' : 'it';

                $refused->($run, $name);

                my $got = outcome($run);
                my ($status) = split / /, $got;

                push @wrong, "$name is $got"
                    if !($any || $status =~ /^(?:\Q$codes\E)$/
                         || grep { $_ eq $status } split /\D+/, $codes);
            }
        }

        return (($any ? 'refused' : $codes) . ($maybe ? ', perhaps' : ''),
                @wrong);
    }

    if ($text =~ /stripped|never used for the decision|trusted only/) {
        $refused->($as_is, 'it') if !$is_good;
        $arrived->($good, 'GOOD');

        my %sent = map { lc $_ => 1 } $line->{payload} =~ /^([\w-]+): /gm;
        my $head = join '', @{ $good->{arrived} };

        delete @sent{qw(host connection x-real-ip x-device-id content-length
                        x-forwarded-for user-agent forwarded)};

        push @wrong, map { "$_ arrived" }
            grep { $head =~ /^\Q$_\E:/mi } sort keys %sent;
        return ('stripped', @wrong);
    }

    if ($text =~ /canonical id (\S+)/) {
        my $id = lc $1;

        for my $run ($as_is, $good) {
            my $got = outcome($run);
            my $is = $run->{answers}[0]{'x-identity'} // '';

            push @wrong, "is $got as $is"
                if $got !~ /^400 / && $is !~ /:\Q$id\E$/;
        }

        return ('canonical id', @wrong);
    }

    if ($text =~ /no bypass|\b(?:deny|denied|refused?|block(?:ed)?|reject)\b/) {
        $refused->($as_is, 'it') if !$is_good || $text !~ /no bypass/;
        return ('denied', @wrong);
    }

    # without a word that is known: what holds for all, and only what names
    # the good device or needs none has arrived

    my $is = $as_is->{answers}[0]{'x-is'} // '';

    push @wrong, 'has arrived: ' . outcome($as_is)
        if @{ $as_is->{arrived} } && !$is_good
           && $is ne 'allow open_endpoint';

    return ('invariants alone', @wrong);
}
