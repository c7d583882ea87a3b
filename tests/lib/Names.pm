package Names;

# A small DNS server, and the names that it began with for programs that ask
# the system.  An IP may be "silent", for no answer at all.

use strict;
use warnings;

use Exporter qw(import);
use Gate;
use IO::Socket::INET;
use File::Basename qw(dirname);
use Servers;

our @EXPORT = qw(dns names asked_for with_names);


# its port; what is known lives for a second

sub dns {
    names(@_);
    spew("$dir/hosts", slurp("$dir/names"));

    my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
                                       Proto => 'udp') or die $!;

    child(sub {
        for (;;) {
            my $from = recv($socket, my $ask, 512, 0) // next;
            my $answer = reply_to($ask);

            send $socket, $answer, 0, $from if defined $answer;
        }
    });

    return $socket->sockport;
}


sub reply_to {
    my ($ask) = @_;
    my ($id) = unpack 'n', $ask;
    my $question = substr $ask, 12;
    my $name = join '.', grep { length } unpack '(C/a)*',
                                         $question =~ s/\0.{4}\z//sr;
    my %ip = slurp("$dir/names") =~ /^(\S+) (\S+)$/mg;

    open my $out, '>>:raw', "$dir/asked" or die $!;
    print $out "$name\n";
    close $out;

    my $ip = $ip{$name} or return pack('n6', $id, 0x8183, 1, 0, 0, 0)
                                  . $question;

    return if $ip eq 'silent';
    return pack('n6', $id, 0x8180, 1, 1, 0, 0) . $question
           . pack('n3 N n C4', 0xc00c, 1, 1, 1, 4, split /\./, $ip);
}


# from now on

sub names {
    my (%ip) = @_;

    spew("$dir/names.new", join '', map { "$_ $ip{$_}\n" } sort keys %ip);
    rename "$dir/names.new", "$dir/names" or die $!;
}


sub asked_for { return scalar grep { /$_[0]/ } split /\n/, slurp("$dir/asked") }


# servers that are started meanwhile know the names

sub with_names {
    my ($code) = @_;

    local $ENV{LD_PRELOAD} = library();
    local $ENV{MTD_NAMES} = "$dir/hosts";

    return $code->();
}


sub library {
    my $library = "$dir/names.so";
    my $source = dirname(__FILE__) . '/../tools/names.c';

    -e $library || system("\${CC:-cc} -O2 -shared -fPIC -o '$library'"
                          . " '$source' -ldl") == 0
        or die "names.c does not compile\n";

    return $library;
}


1;
