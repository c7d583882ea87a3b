#!/usr/bin/perl

# What is decided on is what arrives: generated request targets go through
# the gate to a server that records the request line.  The gate says what it
# has decided on ($uri), which is compared, by a decoder of this test's own,
# with what arrived; what is refused never arrives; what arrives is forwarded
# unchanged when it is sent again.
#
# MTD_TARGETS: how many; MTD_SEED: others.

use strict;
use warnings;
no warnings 'qw';

use FindBin;
use lib "$FindBin::Bin/../lib";
use Gate;
use Test::More;
use Time::HiRes qw(time);

use constant N => $ENV{MTD_TARGETS} || 110_000;

my $seed = $ENV{MTD_SEED} || 20260101;
my %literals = (exchange => 0, sharepoint => 1);

# all that attacks on paths are made of, whole and in parts

my @attacks = attacks("$FindBin::Bin/attacks.tsv");
my @names = qw(
    owa ews ecp rpc oab api mapi emsmdb nspi exchange.asmx autodiscover
    autodiscover.xml autodiscover.json v1.0 Microsoft-Server-ActiveSync
    default.eas auth powershell proxy _api web Lists _vti_bin client.svc
    listdata.svc _layouts 15 images metadata _vti_adm sites team Documents
    a b.c file.aspx ProcessQuery spfilesync GetFolderByServerRelativeUrl
    x$value $metadata A+B c,d e=f g@h i!j k*l m-n_o ~p (q) 'r' s:t
);
my @bits = (
    qw(/ // /// . .. ... /./ /../ /.. /. ; ;x ;/ \\ %2f %2F %5c %5C %2e %2E
       %2e%2e %252f %252e %25 %2525 %25u %u002f %u %c0%af %e0%80%af %c3%a4
       %C3%A4 %ef%bc%8f %E2%80%A8 %c2%80 %ff %00 %0d%0a %0a %20 %09 %7f %23
       %3f %3F %3b %3B %26 %27 %28 %29 %2b %2c %3a %3d %40 %41 %61 %7e %7E
       %5f %2d %24 %5b %5d %7b %7d %7c %5e %60 %22 %3c %3e % %z %4 %g0 ::$DATA
       ( ) ' '' ('') ('a') (' '). & = ? + * ! , @ : $ ~ ~1 | ^ ` { } " < > [ ]),
    "\x80", "\xc3\xa4", "\x01", "\x7f", '#', '(S(x))', '(A(x)F(y))', ' ',
);
my @literals = (
    "('%2Fsites%2Fa%26b')", "('/sites//team')", "('it''s')", "('%27%27')",
    "(guid'0-0')", "(1)", "('a','b')", "(decodedurl='%2Fa%2fb')", "(%27a%27)",
    "('..')", "('%2E%2E')", "('a/../b')", "('%252f')", "('a%2F..%2Fb')",
    "('%C3%A4')", "('a b')", "('a%20b')", "('a\\b')", "('a", "('')/x('y')",
    "('a;b')", "('a#b')", "('50%25')", "('50%2541')", "('&')", "('a')%2Fb",
    "(\@p)", "('a').svc", "('a'))/../../x", "('a')/../x", "('A%2fb')/%41",
);

backend('backend', 'line');
redis_start();
device('good');
start_gate();

for my $profile (qw(exchange sharepoint)) {
    srand($seed);

    my @targets = targets($profile, N / 2);
    my $start = time;
    my $all = check("$profile, generated", $profile, @targets);
    my $ms = 1000 * (time - $start);

    cmp_ok($all->{forwarded}, '>', N / 20, '... and many were forwarded');
    cmp_ok($all->{refused}, '>', N / 20, '... and many refused');

    my %canonical = map { $_ => 1 } @{ $all->{arrived} };
    my $again = check("$profile, what arrived", $profile,
                      sort keys %canonical);

    is($again->{refused}, 0, '... is not refused')
        or diag(explain($again->{not}));
    is($again->{changed}, 0, '... or changed')
        or diag(explain($again->{example}));

    diag(sprintf '%s: %d targets, %d forwarded, %d refused, %d ms', $profile,
         scalar @targets, $all->{forwarded}, $all->{refused}, $ms);
}

# the literal of the issue, as it stands

for my $target ("/_api/web/GetFolderByServerRelativeUrl('%2Fsites%2Fa%26b')",
                "/sites/a/_api/web/GetFileByServerRelativeUrl('/a//b.docx')"
                . "/\$value?x='%2F'",
                "/_vti_bin/client.svc/web/lists/getbytitle('it''s%20%c3%a4')")
{
    my $all = check($target, 'sharepoint', $target);
    is_deeply($all->{arrived}, [$target], '... arrives');
}

is(alerts(), '', 'nothing is wrong');

done_testing();


sub start_gate {
    my $servers = join '', map { <<"END" } qw(exchange sharepoint);
server {
    listen unix:$dir/$_.sock backlog=4096;
    mtd p; mtd_profile $_; mtd_identify value;
    mtd_value \$http_x_device kind=serial;
    add_header X-Decided "\$uri" always;
    add_header X-Is "\$mtd_decision \$mtd_reason" always;
    location / { proxy_pass http://backend; }
}
END

    gate(http => <<"END");
access_log off;
lingering_close always;
merge_slashes on;
large_client_header_buffers 4 16k;
mtd_redis r { server unix:$dir/redis.sock; zone 1m; timeout 10s; }
mtd_policy p { }
upstream backend { server unix:$dir/backend.sock; keepalive 64; }
proxy_http_version 1.1;
proxy_set_header Connection "";
error_log $dir/logs/error.log crit;
$servers
END
}


# sends the targets and compares; returns counts

sub check {
    my ($name, $profile, @targets) = @_;

    our $from //= 0;
    my %all = (forwarded => 0, refused => 0, changed => 0, arrived => [],
               wrong => {}, example => []);
    my $wrong = sub {
        my ($what, $i, @more) = @_;
        push @{ $all{wrong}{$what} }, join "\n    ", $targets[$i], @more;
    };

    spew("$dir/targets", join '', map { "-\t$_\n" } @targets);

    my $done = client($profile, '-c', 8, '-d', 4, '-n', scalar @targets,
                      '-s', '-f', "$dir/targets", '-o', "$dir/answers",
                      '-H', 'X-Device: good',
                      map { ('-k', $_) } qw(X-Decided X-Is X-Backend));

    my (@records, $strange);

    open my $in, '<:raw', "$dir/backend.record" or die $!;
    seek $in, $from, 0;

    while (<$in>) {
        chomp;
        my ($i, $line) = split /\t/, $_, 2;
        $i =~ /^\d+$/ && $i < @targets ? push @{ $records[$i] }, $line
                                       : $strange++;
    }

    $from = tell $in;

    my @answers;

    open $in, '<:raw', "$dir/answers" or die $!;

    while (<$in>) {
        chomp;
        my ($i, @rest) = split /\t/, $_, -1;
        push @{ $answers[$i] }, \@rest;
    }

    for my $i (0 .. $#targets) {
        my @got = @{ $records[$i] || [] };

        if (@{ $answers[$i] || [] } != 1) {
            $wrong->('not answered once', $i);
            next;
        }

        my ($status, $decided, $is, $backend) = @{ $answers[$i][0] };

        if (!length $backend) {
            push @{ $all{not} }, $targets[$i] if $all{refused}++ < 5;
            $wrong->('refused, and arrived', $i, @got) if @got;
            $wrong->("refused with $status", $i, $is)
                if $status !~ /^4\d\d$/ || $is =~ /^allow/;
            next;
        }

        $all{forwarded}++;

        if (@got != 1) {
            $wrong->('arrived not once', $i, @got);
            next;
        }

        my ($target) = $got[0] =~ m{^GET (\S+) HTTP/1\.1\z};

        if (!defined $target) {
            $wrong->('is no request line', $i, @got);
            next;
        }

        my ($path, $query) = split /\?/, $target, 2;
        my (undef, $sent) = split /\?/, $targets[$i], 2;

        push @{ $all{arrived} }, $target;

        if ($target ne $targets[$i]) {
            $all{changed}++;
            push @{ $all{example} }, "$targets[$i] -> $target"
                if @{ $all{example} } < 5;
        }

        $wrong->('another path was decided on', $i, $target, $decided)
            if decode($path) ne $decided;
        $wrong->('another query', $i, $target)
            if ($query // '') ne ($sent // '');
        $wrong->('not allowed', $i, $is) if $is !~ /^allow /;

        my $two = readings($path, $literals{$profile});
        $wrong->("two readings: $two", $i, $target) if $two;
    }

    is($strange // 0, 0, "$name: nothing else has arrived");
    is(join(', ', map { "$_: " . @{ $all{wrong}{$_} } }
                      sort keys %{ $all{wrong} }), '',
       '... ' . @targets . ' are as decided');

    for my $what (sort keys %{ $all{wrong} }) {
        my @some = grep { defined } @{ $all{wrong}{$what} }[0 .. 2];
        diag(map { s/([^\n -~])/sprintf '\x%02x', ord $1/ger } "$what:\n",
             map { "  $_\n" } @some);
    }

    is($done->{unanswered} + $done->{lost}, 0, '... and all are answered');

    return \%all;
}


# once, all of it

sub decode {
    my ($text) = @_;
    return $text =~ s/%([0-9A-Fa-f]{2})/chr hex $1/ger;
}


# what another server could read in a path that arrives, or nothing

sub readings {
    my ($path, $literals) = @_;

    $path = without_literals($path) if $literals;

    my $plain = decode($path);

    return 'escape of a plain character'
        if $path =~ /%(?:2[DdEeFf]|3[0-9]|[46][1-9A-Fa-f]|[57][0-9Aa]|5[Ff])/;
    return 'dot segment' if $plain =~ m{/\.\.?(?:/|\z)};
    return 'double slash' if $plain =~ m{//};
    return 'backslash' if $plain =~ /\\/;
    return 'control' if $plain =~ /[\x00-\x1f\x7f]/;
    return 'raw byte' if $path =~ /[^\x21-\x7e]/;
    return 'dot or space at an end' if $plain =~ m{[. ](?:/|\z)};
    return 'double escape' if $plain =~ /%[0-9A-Fa-f]{2}|%u/i;
    return 'session' if $plain =~ m{/\(.\(};
    return 'question mark' if $plain =~ /\?/;
    return 'semicolon' if $path =~ /;/;

    return;
}


# '' for what is quoted in parentheses, behind the name of a REST service

sub without_literals {
    my ($path) = @_;
    my ($out, $segment, $before, $rest, $depth) = ('', '', '', 0, 0);

    while ($path =~ /\G(%..|.)/gs) {
        my ($raw, $char) = ($1, lc decode($1));

        if ($raw eq '/') {
            $rest = 1 if $segment eq '_api' || $before eq '_vti_bin'
                         && $segment =~ /^(?:client|listdata)\.svc$/;
            ($before, $segment, $depth) = ($segment, '', 0);

        } elsif ($char eq "'" && $depth) {
            $path =~ /\G(?:(?!'|%27).|(?:'|%27){2})*(?:'|%27)/gcs;
            $raw = "''";

        } else {
            $segment .= $char;
            $depth++ if $char eq '(' && $rest;
            $depth-- if $char eq ')' && $depth;
        }

        $out .= $raw;
    }

    return $out;
}


sub pick { return $_[rand @_] }


sub targets {
    my ($profile, $n) = @_;
    my @targets;

    while (@targets < $n) {
        my $target = rand() < 0.25 ? pick(@attacks)
                   : '/' . join '/', map { pick(@names) } 1 .. 1 + rand 4;

        $target .= pick(@literals)
            if $profile eq 'sharepoint' && rand() < 0.4;
        $target = pick('/_api/', '/sites/a/_api/', '/_vti_bin/client.svc/',
                       '/_API/web/', '/_vti_bin/listdata.svc/')
                  . pick(@names) . pick(@literals)
                  . (rand() < 0.5 ? '/' . pick(@names) : '')
            if $profile eq 'sharepoint' && rand() < 0.35;

        # half stay legal, and many change only a little

        for (1 .. pick(0, 0, 0, 1, 1, 2, 4)) {
            mutate(\$target);
        }

        $target .= '?' . pick('a=b', '', 'Email=a@b.c', 'x=%2f..%5c',
                              "f='%2F'&g=;", 'a b', 'a#b', '?', '/../')
            if rand() < 0.15;

        $target = "http://mail.example.com$target" if rand() < 0.01;
        $target =~ s/[\n\t]//g;

        push @targets, $target if length $target && length $target < 2000;
    }

    return @targets;
}


sub mutate {
    my ($target) = @_;
    my $at = int rand 1 + length $$target;
    my $how = rand;

    if ($how < 0.45) {
        substr $$target, $at, 0, pick(@bits);

    } elsif ($how < 0.6) {
        my $char = substr $$target, $at, 1;
        substr $$target, $at, 1, sprintf pick('%%%02x', '%%%02X'), ord $char
            if length $char;

    } elsif ($how < 0.7) {
        $$target =~ s{/}{pick('//', '/./', '/x/../', '/%2e/', '%2f')}e;

    } elsif ($how < 0.8) {
        substr $$target, $at, 1 + rand 3, '';

    } elsif ($how < 0.9) {
        $$target = pick(lc $$target, uc $$target, $$target . '/');

    } else {
        substr $$target, $at, 0, '/' . pick(@names) . '/';
    }
}


sub attacks {
    my ($file) = @_;
    my @targets;

    open my $in, '<:raw', $file or die "$file: $!";

    while (<$in>) {
        my ($id, $area, $payload) = split /\t/;
        next if !defined $payload;

        # in the file's own escapes; those of lines never stand in a target

        push @targets, $1 =~ s/\\\\/\\/gr =~ s/\\x(..)/chr hex $1/ger
            if $payload =~ m{^[A-Z_]+ (/[^ ]+) HTTP/} && length $1 < 400;
    }

    return @targets;
}
