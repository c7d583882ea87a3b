package Scripted;

# A redis that does what the test tells it, see tests/tools/scripted_redis.c:
# it stands where that of Gate.pm does.

use strict;
use warnings;

use Exporter qw(import);
use Gate;
use IO::Socket::INET;
use IO::Socket::UNIX;

our @EXPORT = qw(scripted_start script scripted_cluster scripted_device escaped
                 journal journalled);

my ($link, $read) = (undef, 0);


# at redis.sock, or a port

sub scripted_start {
    my ($port) = @_;
    my $socket = "$dir/redis.sock";

    Gate::start(scripted => Gate::tool('scripted_redis',
                                       map { "scripted_$_" }
                                           qw(records rules control)),
                $port || $socket, "$dir/control.sock", "$dir/journal");

    wait_for(sub { $port ? IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                                 PeerPort => $port)
                         : -S $socket }) or die slurp("$dir/scripted.err");

    $link = IO::Socket::UNIX->new("$dir/control.sock")
        or die "scripted: $!: " . slurp("$dir/scripted.err");
}


# lines, and what the last one is answered

sub script {
    my $answer;

    for my $line (@_) {
        print $link "$line\n";
        $link->flush;

        $answer = <$link> // die 'scripted: ' . slurp("$dir/scripted.err");
        $answer =~ s/^ok ?// or die "scripted: $line: $answer";
        chomp $answer;
    }

    return $answer;
}


# from here on it is a cluster, of one master at that port

sub scripted_cluster {
    my ($port) = @_;
    my $text = sub { sprintf '$%d\\r\\n%s\\r\\n', map { length, $_ } @_ };

    script('rule INFO replication * reply ' . $text->('role:master'),
           'rule CLUSTER INFO * reply ' . $text->('cluster_current_epoch:1'),
           'rule CLUSTER SLOTS * reply *1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n'
           . $text->('127.0.0.1') . ":$port\\r\\n");
}


# a device that is known by its own name

sub scripted_device {
    my ($id, %fields) = @_;

    %fields = (threat => 'secured', compliance => 'compliant',
               enrolled => 'mdm', %fields);

    script("set mtd:alias:serial:$id $id",
           "hset mtd:device:$id " . join ' ', %fields);
}


# any bytes as one word

sub escaped {
    return $_[0] =~ s/([^!-\[\]-~])/sprintf '\\x%02x', ord $1/ger;
}


# lines since the last time

sub journal {
    my $text = substr slurp("$dir/journal"), $read;

    $read += length $text;

    return split /\n/, $text;
}


# how many of all lines match

sub journalled {
    my ($pattern) = @_;

    return scalar grep { /$pattern/ } split /\n/, slurp("$dir/journal");
}


1;
