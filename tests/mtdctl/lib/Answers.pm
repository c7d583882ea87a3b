package Answers;

# A server that answers each of mtdctl's commands as Redis would, or as the
# test says, in a text or a sub that gives one, and mtdctl run against it.

use strict;
use warnings;

use Exporter qw(import);
use IO::Select;
use IO::Socket::INET;
use Mtdctl;
use Socket qw(IPPROTO_TCP TCP_NODELAY);

our @EXPORT = qw(answered bulk array);

my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 16)
             or die $!;
my $port = $listen->sockport;

my $record = array(map { bulk($_) } 'id', 'd1', 'user', 'u@example.com',
                   'threat', 'secured', 'aliases', 'eas:e1 serial:s1');

my %good = (
    (map { $_ => "+OK\r\n" } qw(ASKING AUTH MULTI SELECT SET UNWATCH WATCH)),
    (map { $_ => ":1\r\n" } qw(DEL EXPIRE HDEL HSET SADD SREM)),
    DBSIZE => ":1\r\n",
    CLUSTER => array(array(":0\r\n", ":16383\r\n",
                           array(bulk(''), ":0\r\n"))),
    EXEC => undef,
    GET => bulk('d2'),
    HGETALL => $record,
    QUEUED => "+QUEUED\r\n",
    ROLE => array(bulk('master'), ":0\r\n", array()),
    SCAN => array(bulk('0'), array(bulk('mtd:device:d1'))),
    SENTINEL => array(bulk('127.0.0.1'), bulk($port)),
    TIME => array(bulk('1764000000'), bulk('0')),
    TTL => ":100\r\n",
    TYPE => "+none\r\n",
    XADD => bulk('1-1'),
);


sub bulk { return '$' . length($_[0]) . "\r\n$_[0]\r\n" }
sub array { return join '', '*' . @_ . "\r\n", @_ }


# exit status, output, errors, and what was asked; QUEUED is the answer to
# what stands between MULTI and EXEC; PORT stands for that of the server

sub answered {
    my ($other, @args) = @_;
    my ($links, %link, %asked);

    # at its end mtdctl is the last one to close this

    local $^F = 1000;
    pipe my $end, my $life or die $!;

    my $pid = fork() // die "fork: $!";

    if ($pid == 0) {
        open STDIN, '<', '/dev/null' or die $!;
        open STDOUT, '>', dir() . '/answered.out' or die $!;
        open STDERR, '>', dir() . '/answered.err' or die $!;
        alarm 60;
        exec Mtdctl::bin(), map { s/PORT/$port/r } @args;
        die "mtdctl: $!";
    }

    close $life;
    $links = IO::Select->new($listen, $end);

    SERVE: while (1) {
        for my $ready ($links->can_read) {
            last SERVE if $ready == $end;

            if ($ready == $listen) {
                my $new = $listen->accept or die $!;

                setsockopt $new, IPPROTO_TCP, TCP_NODELAY, 1;
                $link{$new} = { text => '' };
                $links->add($new);
                next;
            }

            next if serve($ready, $link{$ready}, { %good, %$other }, \%asked);

            $links->remove($ready);
            close $ready;
        }
    }

    waitpid $pid, 0;

    return ($? & 127 ? 'signal ' . ($? & 127) : $? >> 8,
            slurp(dir() . '/answered.out'), slurp(dir() . '/answered.err'),
            sort keys %asked);
}


sub serve {
    my ($from, $link, $answer, $asked) = @_;
    my $replies = '';

    sysread $from, $link->{text}, 65536, length $link->{text} or return 0;

    while (my $name = command(\$link->{text})) {
        die "what is $name?" if !exists $answer->{$name};

        my $text = $answer->{$name};

        $text = $text->() if ref $text;
        $asked->{$name}++;

        if ($name eq 'MULTI') {
            $link->{queue} = [];

        } elsif ($name eq 'EXEC') {
            $text = $answer->{EXEC} // array(@{ delete $link->{queue} });

        } elsif ($link->{queue}) {
            push @{ $link->{queue} }, $text;
            $asked->{QUEUED} = 1;
            $text = $answer->{QUEUED};
        }

        $replies .= $text;
    }

    local $SIG{PIPE} = 'IGNORE';
    syswrite $from, $replies;

    return 1;
}


# the name of the first one that is there as a whole

sub command {
    my ($text) = @_;

    $$text =~ /\A\*(\d+)\r\n/ or return;

    my ($n, $at, $name) = ($1, $+[0]);

    while ($n--) {
        pos $$text = $at;
        $$text =~ /\G\$(\d+)\r\n/g or return;
        $at = $+[0] + $1 + 2;
        return if $at > length $$text;
        $name //= substr $$text, $-[1] + length($1) + 2, $1;
    }

    substr $$text, 0, $at, '';

    return $name;
}


1;
