package Sink;

# A server behind the gate that keeps requests waiting, and clients that wait.
# What it does stands in X-Sink or the path:
#
#   hang      it says nothing
#   drip      a part of an answer without a length
#   long      a part of one of 100 MB
#   tunnel    another protocol
#   answers   a whole answer

use strict;
use warnings;

use Exporter qw(import);
use Gate;
use IO::Select;
use IO::Socket::UNIX;
use POSIX ();

our @EXPORT = qw(sink %open waits waiting rest open_at_sink met_at_sink);

my $owner = $$;
my ($child, %begun);

# clients, by name

our %open;

END { kill KILL => $child if $child && $$ == $owner }

my %says = (
    drip => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            . "5\r\ndrip\n\r\n",
    long => "HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\npart",
    tunnel => "HTTP/1.1 101 Switching\r\nUpgrade: it\r\n"
              . "Connection: upgrade\r\n\r\nhello",
    answers => "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
);


# at sink.sock; what waits at many1.sock and many2.sock is never accepted

sub sink {
    my $listen = IO::Socket::UNIX->new(Local => "$dir/sink.sock",
                                       Listen => 128) or die $!;
    my @never = map {
        IO::Socket::UNIX->new(Local => "$dir/many$_.sock", Listen => 4096)
            or die $!
    } 1 .. 2;

    chmod 0777, map { "$dir/$_.sock" } qw(sink many1 many2);

    $child = fork() // die $!;
    return if $child;

    my $select = IO::Select->new($listen);
    my ($all, %got) = 0;

    for (;;) {
        for my $link ($select->can_read) {

            if ($link == $listen) {
                $select->add($listen->accept);
                next;
            }

            my $n = sysread $link, my $text, 65536;
            my $begun = ($got{$link} // '') =~ /\r\n\r\n/;
            my $what = '';

            if (!$n) {
                $select->remove($link);
                delete $got{$link};

            } elsif (($got{$link} .= $text) =~ /\r\n\r\n/ && !$begun) {
                ($what) = $got{$link} =~ /^x-sink: (\w+)/mi ? $1
                        : $got{$link} =~ m{^\S+ /\S*?(drip|tunnel)};
                $all++;
            }

            spew("$dir/sink.new", keys(%got) . " $all");
            rename "$dir/sink.new", "$dir/sink.open";

            syswrite $link, $says{ $what // '' } // '';
            close $link if !$n;
        }
    }

    POSIX::_exit(0);
}


# requests that wait there, and all that came so far

sub open_at_sink { return (split / /, slurp("$dir/sink.open"))[0] // 0 }
sub met_at_sink { return (split / /, slurp("$dir/sink.open"))[1] // 0 }


# sends a request, and returns when the server behind has it, and the client
# what there is of the answer

sub waits {
    my ($name, $target, %o) = @_;
    my $at = $o{at} || 'gate';
    my $before = met_at_sink();
    my $link = $o{link} || IO::Socket::UNIX->new("$dir/$at.sock") || die $!;
    my @headers = @{ $o{headers} || [] };

    push @headers, 'Upgrade: it', 'Connection: upgrade' if $name eq 'tunnel';

    print $link $o{method} || 'GET', " $target HTTP/1.1\r\n",
        map({ "$_\r\n" } 'Host: mail.example.com', @headers), "\r\n",
        $o{body} // '';
    $link->flush;

    wait_for(sub { met_at_sink() > $before })
        or die "$name does not wait: " . (waiting_on($link) ? '' : <$link>);

    $begun{$name} = '';

    if ("$target @headers" =~ /drip|tunnel|X-Sink: long/) {
        my $text = '';

        while ($text !~ /(?:drip|hello|part)/) {
            sysread $link, $text, 4096, length $text or die "$name: $text";
        }

        $begun{$name} = $text =~ s/.*?(?=HTTP)//sr;
    }

    return $link;
}


sub waiting_on { return !IO::Select->new($_[0])->can_read(0) }
sub waiting { return waiting_on($open{ $_[0] }) }


# what comes until it is closed, or the answer is whole

sub rest {
    my ($name) = @_;
    my $link = delete $open{$name};
    my $text = $begun{$name} || '';
    my $select = IO::Select->new($link);

    while ($select->can_read(10)) {
        sysread $link, $text, 65536, length $text or return $text;

        my ($head, $body) = split /\r\n\r\n/, $text, 2;

        return $text if $head =~ /Content-Length: (\d+)/i
                        && length($body // '') >= $1;
    }

    return "nothing, after $text";
}


1;
