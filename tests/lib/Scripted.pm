package Scripted;

# A redis that does what the test tells it, see tests/tools/scripted_redis.c:
# it stands where that of Gate.pm does.

use strict;
use warnings;

use Exporter qw(import);
use Gate;
use IO::Socket::UNIX;

our @EXPORT = qw(scripted_start script scripted_device escaped journal
                 journalled);

my ($link, $read) = (undef, 0);


sub scripted_start {
    Gate::start(scripted => Gate::tool('scripted_redis',
                                       map { "scripted_$_" }
                                           qw(records rules control)),
                "$dir/redis.sock", "$dir/control.sock", "$dir/journal");

    wait_for(sub { -S "$dir/redis.sock" }) or die slurp("$dir/scripted.err");

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
