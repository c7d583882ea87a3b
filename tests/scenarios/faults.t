#!/usr/bin/perl

# A redis that lies, stutters, mumbles and falls silent: each request has the
# answer of its own device or that of the policy, never that of another, and
# what a worker may have missed it does not believe.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Gate;
use Scripted;
use Test::More;
use Time::HiRes qw(sleep time);

use constant AWAY => 'block store_unavailable';
use constant CHANNEL => '__redis__:invalidate';

my %own = (good => 'allow secured_enough', bad => 'remediate threat_level',
           none => 'block unknown_device', fine => 'allow secured_enough',
           odd => 'allow secured_enough');
my @others = grep { $_ ne 'odd' } sort keys %own;

scripted_start();
scripted_device($_) for qw(good fine odd);
scripted_device('bad', threat => 'highSeverity');

# what is neither an error nor what was asked for is not told in the log

script('rule SUBSCRIBE * * reply ' . escaped("*1\r\n\$6\r\nnobody\r\n"));
gate(http => http());
ok(wait_for(sub { 2 == (() = error_log() =~ /\(push\): it refused SUBSCRIBE/g) }),
   'an answer to SUBSCRIBE that is none');
unlike(error_log(), qr/nobody/, '... is not in the log');
script('clear');
ok(wait_for(sub { trusted('r') == 2 }), 'both workers hear of changes');

my @workers = sort(workers());
my %at = per_worker();
my %links = map { $_ => one_more($workers[0]) } keys %own;


# replies on the data connection; what is expected is for the device whose
# reply it is

my $right = qr/^\Q$own{odd}\E$/;
my $away = qr/^\Q@{[AWAY]}\E$/;
my $unreadable = qr/^remediate threat_missing$/;
my $unknown = qr/^block unknown_device$/;
my $refused = qr/$away|$unreadable/;

check('GET', 'reply ' . escaped("-NOAUTH it\r\n"), $away);
like(error_log(), qr{\[crit\] .*: redis \S+ refused GET: NOAUTH it;},
     '... and the admin is told');

for (['delay 20', $right], ['split', $right],
     ['cut 0', $away], ['cut 1', $away], ['cut 4', $away],
     ['lie 1', $refused], ['lie -1', $refused], ['lie 100000', $refused],
     ['lie 9000000000000000000', $away],
     ['reply ' . escaped("\$70000\r\n" . 'x' x 70000 . "\r\n"), $unreadable],
     ['reply ' . escaped("\$536870912\r\n"), $unreadable],
     ['reply ' . escaped("\$536870913\r\n"), $away],
     ['reply ' . escaped("\$9223372036854775807\r\n"), $away],
     ['reply ' . escaped('+' . 'x' x 70000), $away],
     ['reply ' . escaped("*3\r\n:1\r\n:2\r\n:3\r\n"), $away],
     ['reply ' . escaped("*17\r\n" . ":1\r\n" x 17), $away],
     ['reply ' . escaped("*12\r\n" . ":1\r\n" x 12), $away],
     ['reply ' . escaped("*1\r\n*1\r\n+x\r\n"), $away],
     ['reply ' . escaped("+OK\r\n"), $away],
     ['reply ' . escaped("-ERR it\r\n"), $away],
     ['add ' . escaped("+more\r\n"), qr/$right|$away/],
     ['silence', $away])
{
    my ($fault, $expected) = @$_;

    for my $command (qw(GET HMGET PTTL)) {
        my $is = $expected;

        # a time to live that is none bounds nothing, and is no failure

        $is = qr/$right|$away/ if $command eq 'PTTL';
        $is = qr/$right/ if $fault =~ /^lie/ && $command eq 'PTTL';

        check($command, $fault, $is);
    }
}

for my $case (corpus()) {
    my ($name, $text, $expected) = @$case;

    check('GET', "reply $text", $text =~ /^_/ ? $unknown : $expected, $name,
          'split');
    check('HMGET', "reply $text", $expected, $name, 'split');
}

is_deeply([sort(workers())], \@workers, 'no worker has ended');


# what is asked when a connection is made

for (['data', 'INFO', '$-1'], ['data', 'INFO', '-NOAUTH it'],
     ['data', 'INFO', "\$9\r\nrun_id:no"], ['data', 'PING', '-LOADING it'],
     ['data', 'PING', '*0'], ['push', 'CLIENT-ID', '$-1'],
     ['push', 'CLIENT-ID', '-NOPERM it'], ['push', 'CLIENT-TRACKING', '-ERR'],
     ['push', 'CLIENT-TRACKING', '$-1'], ['push', 'CLIENT-TRACKING', ':1'],
     ['push', 'CLIENT-TRACKING', '+QUEUED'],
     ['push', 'SUBSCRIBE', '-NOPERM it'], ['push', 'SUBSCRIBE', '+OK'],
     ['push', 'SUBSCRIBE', '*0'],
     ['push', 'SUBSCRIBE', "*2\r\n\$4\r\npong\r\n\$0\r\n"],
     ['push', 'SUBSCRIBE', subscribed('subscribe', 'other', 1)],
     ['push', 'SUBSCRIBE', subscribed('unsubscribe', CHANNEL, 0)])
{
    my ($role, $command, $text) = @$_;
    my $word = escaped("$text\r\n");

    my $name = $text =~ tr/ -~/./cr;
    my $pattern = qr{\t$command\t\S+\t\d+\treply};

    heard();

    my $n = journalled($pattern);

    script("rule $command * * reply $word", "kill $role");
    ok(wait_for(sub { journalled($pattern) >= $n + 4 }, 3),
       "$command, $name: refused again and again");
    is(have($role eq 'push' ? qr/"trusted":true/ : qr/"data":"up"/), 0,
       '... by both workers');
    script('clear');
    heard();
}


# what is asked between lookups: nothing behind such a reply is believed

for (['HMGET', ':5'], ['HMGET', '+OK'], ['HMGET', "\$3\r\nbad"],
     ['HMGET', "*1\r\n\$3\r\nbad"], ['HMGET', join "\r\n", '*4', (':5') x 4],
     ['PTTL', '+OK'], ['PTTL', '$-1'], ['PTTL', "\$2\r\n10"], ['PTTL', '*0'])
{
    my ($command, $text) = @$_;
    my $name = $text =~ tr/ -~/./cr;

    heard();

    my $n = connects();

    script('clear', "rule $command mtd:bypass 1 reply " . escaped("$text\r\n"),
           'tell mtd:bypass');
    ok(wait_for(sub { connects() > $n }, 3),
       "$command of the bypass, $name: the connection is made anew");
    script('clear');
}

heard();


# what comes on the link, and is none of a link: a change that nobody is told
# of just then is not missed

my $changes = 0;
my $longest = 0;

for my $text (subscribed('unsubscribe', CHANNEL, 0) . "\r\n",
              message(CHANNEL, ":1\r\n"), "+x\r\n", ":1\r\n",
              "-ERR it\r\n", "\$-1\r\n", "*0\r\n",
              "*-1\r\n", "*1\r\n+x\r\n", "*3\r\n:1\r\n:2\r\n:3\r\n",
              message('other', "*-1\r\n"), "HTTP/1.1 400 no\r\n",
              "*3\r\n*1\r\n+x\r\n+y\r\n+z\r\n", '+' . 'x' x 70000,
              "*3\r\n\$99999999\r\n", "*100000000\r\n", "\$2\r\nabcd\r\n",
              "*1\r\n" x 9, "\0", 'silence', 'kill')
{
    heard();
    script('hset mtd:device:odd threat secured');
    wait_for(sub { 2 == grep { told_by($_, 1) eq "$own{odd} HIT" } @workers })
        or die 'it is not known';
    script('to none');

    my $name = $text =~ s/([^!-~])/sprintf '\\x%02x', ord $1/ger;

    $changes++;

    if ($text eq 'silence') {
        script('rule PING - * silence');

    } elsif ($text eq 'kill') {
        script('kill push');

    } else {
        script('to all', 'push ' . escaped($text), 'to none');
    }

    script('hset mtd:device:odd threat highSeverity');

    my $start = time;
    my $expected = 'remediate threat_level';
    my $late = 0;

    for my $pid (@workers) {
        my $ms = wait_for(sub { told_by($pid) eq $expected
                                && 1000 * (time - $start) });
        $late++ if !$ms || $ms > 1000;
        $longest = $ms if $ms && $ms > $longest;
    }

    is($late, 0, 'nothing old for long after ' . substr $name, 0, 60);
    script('clear', 'to all');
}

diag(sprintf '%d links lost or mute, the longest that was believed %.0f ms',
     2 * $changes, $longest);


# what anybody may publish, and what is strange and true

heard();
script('hset mtd:device:odd threat secured');
$changes = 0;

my $connects = script('count SUBSCRIBE');

for my $text (message(CHANNEL, "\$14\r\nmtd:device:odd\r\n"),
              message(CHANNEL, "*2\r\n\$3\r\nmtd\r\n"
                      . "\$14\r\nmtd:device:odd\r\n"),
              message(CHANNEL, "*-1\r\n"),
              message(CHANNEL, "*3001\r\n"
                      . "\$14\r\nmtd:device:xxx\r\n" x 3000
                      . "\$14\r\nmtd:device:odd\r\n"))
{
    script('to none', 'hset mtd:device:odd threat '
           . ($changes++ % 2 ? 'secured' : 'highSeverity'), 'to all',
           'push ' . escaped($text));

    my $expected = $changes % 2 ? 'remediate threat_level' : $own{odd};

    is(scalar(grep { my $pid = $_;
                     wait_for(sub { told_by($pid) eq $expected }) } @workers),
       2, 'heard: ' . substr $text =~ tr/ -~/./cr, 37, 40);
}

is(script('count SUBSCRIBE'), $connects, 'and that has cost no link');


is_deeply([sort(workers())], \@workers, 'no worker has ended');
is(alerts(), '', 'nothing is wrong');

done_testing();


sub http {
    return gated("server unix:$dir/redis.sock; zone 1m; fresh 1h;",
                 policy => 'store_failure block;');
}


sub one_more {
    my ($pid) = @_;

    for (1 .. 500) {
        my $link = IO::Socket::UNIX->new("$dir/gate.sock") or next;
        my $answer = request($link, 'none');

        return $link if $answer->{'x-pid'} == $pid;
    }

    die "$pid takes no connection";
}


sub asks {
    my ($link, $device) = @_;

    print $link "GET /x?device=$device HTTP/1.1\r\n"
                . "Host: mail.example.com\r\n\r\n";
    $link->flush;
}


sub request {
    asks(@_);
    return answer($_[0]) || die 'no answer';
}


sub told_by {
    my $answer = request($at{ $_[0] }, 'odd');
    return $answer->{'x-is'} . ($_[1] ? " $answer->{'x-lookup'}" : '');
}


sub status_of {
    return ask($at{ $_[0] }, "GET /status HTTP/1.1\r\n"
                             . "Host: mail.example.com\r\n\r\n")->{body};
}


# in how many workers the status has that

sub have {
    my ($pattern) = @_;
    return scalar grep { status_of($_) =~ $pattern } @workers;
}


# both workers are connected and are told of changes

sub heard {
    wait_for(sub { have(qr/"trusted":true/) == 2
                   && have(qr/"data":"up"/) == 2 })
        or die 'redis does not come back: ' . error_log();
}


sub invalidations {
    return status_of($workers[0]) =~ /"invalidations":(\d+)/ && $1;
}


# five devices at once, of which one has a reply that is not as it should be

sub check {
    my ($command, $fault, $expected, $name, @more) = @_;

    $name ||= $fault =~ s/(.{40}).*/$1.../r;

    heard();
    journal();
    script('clear', 'rule ' . "$command *:odd 1 $fault",
           map({ "rule $command *:odd 1 $_" } @more),
           map { "tell mtd:device:$_ mtd:alias:serial:$_" } keys %own);
    heard_all();

    my @order = ('bad', 'odd', grep { !/bad|odd/ } @others);

    asks($links{$_}, $_) for @order;

    my %is = map { $_ => answer($links{$_})->{'x-is'} } @order;
    my $applied = grep { /\t$command\tmtd:\S+:odd\t1\t/ } journal();

    ok($applied, "$command: $name");
    like($is{odd}, $expected, '... the answer');

    my @wrong = grep { $is{$_} ne $own{$_} && $is{$_} ne AWAY } @others;

    is("@wrong", '', '... and nobody has that of another')
        or diag(explain(\%is));

    script('clear');
    heard();
    script('tell mtd:device:odd mtd:alias:serial:odd');
    ok(wait_for(sub { request($links{odd}, 'odd')->{'x-is'} eq $own{odd} }),
       '... and then as it should be');
}


sub connects {
    return status_of($workers[0]) =~ /"connects":(\d+)/ && $1;
}


# all that was told has been read: what follows it on the link is too

sub heard_all {
    my $n = invalidations();
    my $more = script('tell mtd:device:last');

    wait_for(sub { invalidations() >= $n + $more })
        or die 'a change was not heard';
}


sub message {
    my ($channel, $text) = @_;

    return "*3\r\n\$7\r\nmessage\r\n\$" . length($channel)
        . "\r\n$channel\r\n$text";
}


# what tells of a subscription, without its last line end

sub subscribed {
    my ($word, $channel, $n) = @_;

    return "*3\r\n\$" . length($word) . "\r\n$word\r\n\$" . length($channel)
        . "\r\n$channel\r\n:$n";
}


# replies of the corpus: name, text, what comes of them

sub corpus {
    my @cases;

    for (split /\n/, slurp("$FindBin::Bin/../corpus/attacks.tsv")) {
        my ($name, $kind, $text) = split /\t/;

        next if ($kind // '') ne 'resp/reply' || $text !~ /^[-+:\$*_#,(=%~>|!]/;

        $text =~ s/\{\{rep (\d+) (.*?)\}\}/$2 x $1/ge;
        $text =~ s/ /\\s/g;

        push @cases, [$name, $text,
                      $text =~ /^-/ ? qr/$away|$unreadable/ : $away];
    }

    return @cases;
}
