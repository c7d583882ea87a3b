package Mtdctl;

# A redis of the test's own on a unix socket, and mtdctl run against it.

use strict;
use warnings;

use Cwd qw(abs_path);
use Exporter qw(import);
use File::Basename qw(dirname);
use File::Temp qw(tempdir);
use IO::Socket::UNIX;
use Time::HiRes qw(sleep);

our @EXPORT = qw(redis ctl ctl_start socket_path dir file slurp hash keys_of);

my $top = abs_path(dirname(__FILE__) . '/../../..');
my $bin = $ENV{MTDCTL} // "$top/build/tools/mtdctl";
my $dir = tempdir(CLEANUP => 1);
my ($owner, $server, $link);

die "no mtdctl at $bin, `make tools` builds it\n" if !-x $bin;


sub start {
    my @options = @_;

    $owner = $$;
    $server = fork() // die "fork: $!";

    if (!$server) {
        open STDOUT, '>', "$dir/redis.log" or die $!;
        open STDERR, '>&', \*STDOUT or die $!;
        exec 'redis-server', '--port', 0, '--unixsocket', socket_path(),
             '--dir', $dir, '--save', '', '--appendonly', 'no', @options;
        die "redis-server: $!";
    }

    for (1 .. 200) {
        $link = IO::Socket::UNIX->new(Peer => socket_path()) and return;
        sleep 0.05;
    }

    die "redis-server does not answer:\n" . slurp("$dir/redis.log");
}



END {
    if ($server && $owner == $$) {
        my $rc = $?;

        kill 'TERM', $server;
        waitpid $server, 0;
        $? = $rc;
    }
}


sub socket_path { "$dir/redis.sock" }
sub dir { $dir }
sub bin { $bin }
sub top { $top }


sub file {
    my ($name, $text, $mode) = @_;

    open my $out, '>', "$dir/$name" or die "$name: $!";
    binmode $out;
    print {$out} $text;
    close $out or die $!;
    chmod $mode, "$dir/$name" if defined $mode;

    return "$dir/$name";
}


sub slurp {
    open my $in, '<', $_[0] or return '';
    local $/;
    return scalar <$in> // '';
}


# one command, one reply: a text, undef, a number or an array

sub redis {
    print {$link} '*' . @_ . "\r\n",
        map { '$' . length($_) . "\r\n$_\r\n" } @_;
    $link->flush;

    return reply();
}


sub reply {
    my $line = <$link> // die 'redis is gone';

    $line =~ s/\r\n\z//;

    my $type = substr $line, 0, 1, '';

    return $line if $type eq '+' || $type eq ':';
    die "redis: $line" if $type eq '-';

    return undef if $line < 0;

    return [ map { reply() } 1 .. $line ] if $type eq '*';

    read($link, my $text, $line + 2) == $line + 2 or die 'redis is gone';

    return substr $text, 0, $line;
}


sub hash { return { @{ redis('HGETALL', $_[0]) } } }
sub keys_of { return join ' ', sort @{ redis('KEYS', $_[0] // '*') } }


sub ctl_start {
    my ($name, @args) = @_;
    my $pid = fork() // die "fork: $!";

    return $pid if $pid;

    open STDIN, '<', $ENV{MTDCTL_STDIN} // '/dev/null' or die $!;
    open STDOUT, '>', "$dir/$name.out" or die $!;
    open STDERR, '>', "$dir/$name.err" or die $!;

    exec $bin, '--redis', 'unix:' . socket_path(), @args;
    die "$bin: $!";
}


# exit status, standard output, standard error

sub ctl {
    my $pid = ctl_start('ctl', @_);

    waitpid $pid, 0;

    my $rc = $? & 127 ? "signal " . ($? & 127) : $? >> 8;

    return ($rc, slurp("$dir/ctl.out"), slurp("$dir/ctl.err"));
}


1;
