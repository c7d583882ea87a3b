package Servers;

# Redis servers at ports of the loopback, that end with the test.

use strict;
use warnings;

use Exporter qw(import);
use IO::Socket::INET;
use Mtdctl;
use Time::HiRes qw(sleep);

our @EXPORT = qw(ports server sentinel signal stop cli acl run until_true);

my $owner = $$;
my %pid;

END {
    if ($$ == $owner) {
        my $rc = $?;

        stop($_) for keys %pid;
        $? = $rc;
    }
}


# free when they were asked for, and with it the bus of a cluster

sub ports {
    my ($n) = @_;
    my (@held, @ports);

    while (@ports < $n) {
        my $port = 20000 + int rand 20000;
        my @sockets = map {
            IO::Socket::INET->new(LocalAddr => "127.0.0.1:$_", Listen => 1)
                || ()
        } $port, $port + 10000;

        next if @sockets != 2 || grep { $_ == $port } @ports;

        push @held, @sockets;
        push @ports, $port;
    }

    return @ports;
}


sub server {
    my ($port, @options) = @_;

    start($port, 'redis-server', '--port', $port, '--bind', '127.0.0.1',
          '--dir', place($port), '--save', '', '--appendonly', 'no',
          '--repl-diskless-sync-delay', 0, @options);
}


sub sentinel {
    my ($port, $conf) = @_;
    my $file = file("sentinel.$port", "port $port\nbind 127.0.0.1\n"
                    . 'dir ' . place($port) . "\n$conf");

    start($port, 'redis-server', $file, '--sentinel');
}


sub place {
    my $place = dir() . "/$_[0]";

    mkdir $place;
    return $place;
}


sub start {
    my ($port, @command) = @_;
    my $pid = fork() // die "fork: $!";

    if ($pid == 0) {
        open STDOUT, '>', dir() . "/$port.log" or die $!;
        open STDERR, '>&', \*STDOUT or die $!;
        exec @command;
        die "$command[0]: $!";
    }

    $pid{$port} = $pid;
    until_true(sub { cli($port, 'PING') eq 'PONG' })
        or die slurp(dir() . "/$port.log");
}


sub signal { kill $_[1] => $pid{ $_[0] } }


sub stop {
    my ($port) = @_;
    my $pid = delete $pid{$port} or return;

    kill KILL => $pid;
    waitpid $pid, 0;
}


# the reply as text, a line for each element

sub cli {
    my ($port, @words) = @_;
    my $link = IO::Socket::INET->new("127.0.0.1:$port") or return '';

    print {$link} '*' . @words . "\r\n",
        map { '$' . length($_) . "\r\n$_\r\n" } @words;
    $link->flush;

    return reply($link);
}


sub reply {
    my ($link) = @_;
    my $line = <$link> // return '';

    $line =~ s/\r\n\z//;

    my $type = substr $line, 0, 1, '';

    return join "\n", map { reply($link) } 1 .. $line if $type eq '*';
    return $line if $type ne '$' || $line < 0;

    read $link, my $text, $line + 2;
    return substr $text, 0, $line;
}


# mtdctl's user of conf/redis.acl at this server, and the options for it

sub acl {
    my ($port) = @_;
    my ($rules) = slurp(Mtdctl::top() . '/conf/redis.acl')
                  =~ /^user mtdctl (.*)$/m or die 'no user mtdctl';

    $rules =~ s/CHANGE\S+/a-long-enough-password/;
    cli($port, 'ACL', 'SETUSER', 'mtdctl', split ' ', $rules) eq 'OK'
        or die 'redis takes no such user';

    return ('--user', 'mtdctl', '--password-file',
            file('acl', "a-long-enough-password\n", 0600));
}


# mtdctl without a --redis of its own: exit status, output, errors

sub run {
    my @args = @_;
    my $bin = $ENV{MTDCTL} // Mtdctl::bin();
    my $pid = fork() // die "fork: $!";

    if ($pid == 0) {
        open STDIN, '<', '/dev/null' or die $!;
        open STDOUT, '>', dir() . '/run.out' or die $!;
        open STDERR, '>', dir() . '/run.err' or die $!;
        exec $bin, @args;
        die "$bin: $!";
    }

    waitpid $pid, 0;

    return ($? & 127 ? 'signal ' . ($? & 127) : $? >> 8,
            slurp(dir() . '/run.out'), slurp(dir() . '/run.err'));
}


sub until_true {
    my ($test) = @_;

    for (1 .. 1500) {
        return 1 if $test->();
        sleep 0.02;
    }

    return 0;
}


1;
