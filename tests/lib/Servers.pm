package Servers;

# Redis servers on ports of their own, and Sentinels: real ones, that go away
# with the test.  A server is an object with its port, pid and log.

use strict;
use warnings;

use Cwd qw(abs_path);
use Gate qw(
    $dir slurp spew wait_for ask workers
);
use Exporter qw(import);
use File::Basename qw(dirname);
use File::Temp qw(tempdir);
use IO::Select;
use IO::Socket::INET;
use POSIX ();
use Time::HiRes qw(time);

our @EXPORT = qw(
    port server sentinel cluster known cluster_do gate_user child seen
    worker_links held
);

my $owner = $$;
my (@servers, @children, $ports);

# a cluster writes its nodes down at each change, and waits for the disk

my $home = tempdir(CLEANUP => 1, -w '/dev/shm' ? (DIR => '/dev/shm') : ());

END {
    if ($$ == $owner) {
        my $status = $?;

        for my $pid (@children, map { $_->{pid} // () } @servers) {
            kill CONT => $pid;
            kill KILL => $pid;
            waitpid $pid, 0;
        }

        $? = $status;
    }
}


# ports that nobody listens on, below those that connections take, so that
# they stay free until their server is there; a cluster wants 10000 more free

sub port {
    $ports //= 11000 + 10 * ($$ % 900);

    for (;;) {
        my $port = $ports++;
        my $free = 1;

        for my $at ($port, $port + 10000) {
            $free &&= IO::Socket::INET->new(LocalAddr => '127.0.0.1',
                                            LocalPort => $at, Listen => 1,
                                            ReuseAddr => 1);
        }

        return $port if $free;
    }
}


sub server {
    my (@options) = @_;
    my $self = bless { port => port() }, 'Servers';

    $self->{options} = [ @options ];
    push @servers, $self;
    $self->start;

    return $self;
}


# the gate may log in with the rights of conf/redis.acl, or of a text that has
# the same line, and no others

my $top = abs_path(dirname(__FILE__) . '/../..');

sub gate_user {
    my ($file, @nodes) = @_;
    my ($rights) = slurp("$top/$file") =~ /^(?:\s*ACL SETUSER|user) gate on (.*)/m
        or die "no user in $file\n";

    $rights =~ s/>\S+/>rights/;
    spew("$dir/password", "rights\n");
    chmod 0600, "$dir/password";
    $_->do(qw(ACL SETUSER gate reset on), split / /, $rights) for @nodes;
}


# masters of a cluster that have all slots, in equal parts

sub cluster {
    my ($n, @options) = @_;
    my @masters = map { server('--cluster-enabled', 'yes', @options) } 1 .. $n;

    for my $i (0 .. $n - 1) {
        my $self = $masters[$i];

        # what config epoch may be given once only

        $self->do('CLUSTER', 'SET-CONFIG-EPOCH', $i + 1);
        $self->do('CLUSTER', 'ADDSLOTS', int($i * 16384 / $n)
                                         .. int(($i + 1) * 16384 / $n) - 1);
        $self->{id} = $self->do('CLUSTER', 'MYID');
        $self->do('CLUSTER', 'MEET', '127.0.0.1', $masters[0]{port}) if $i;
    }

    known(@masters);

    return @masters;
}


# each of them knows all of them and who has which slots

sub known {
    my (@nodes) = @_;

    wait_for(sub {
        my %views;

        for my $node (@nodes) {
            my $info = $node->do('CLUSTER', 'INFO');

            return if $info !~ /^cluster_state:ok\r$/m
                      || $info !~ /^cluster_known_nodes:${\ scalar @nodes }\r$/m;

            my @lines = split /\n/, $node->do('CLUSTER', 'NODES');
            return if grep { !/ connected\b/ || /handshake|fail/ } @lines;

            $views{ join '', sort map {
                my @f = split / /;
                "$f[0] " . ($f[2] =~ /master/ ? 'm' : 's') . " $f[3] "
                . join(' ', grep { !/^\[/ } @f[8 .. $#f]) . "\n";
            } @lines } = 1;
        }

        return keys %views == 1;
    }, 30) or die "the cluster does not agree\n", map { $_->do('CLUSTER', 'INFO'), $_->do('CLUSTER', 'NODES') } @nodes;
}


# the server of a cluster that a command is for, and its answer

my %by_port;

sub cluster_do {
    my ($node, @words) = @_;

    %by_port = map { $_->{port} => $_ } grep { $_->{pid} } @servers;

    for (1 .. 10) {
        my $reply = eval { $node->do(@words) };
        my $why = $@ or return wantarray ? ($reply, $node) : $reply;

        $why =~ /^redis: (MOVED|ASK) \d+ \S+:(\d+)/ or die $why;
        $node = $by_port{$2};
        $node->do('ASKING') if $1 eq 'ASK';
    }

    die "nobody has it\n";
}


sub start {
    my ($self) = @_;
    my $own = "$home/$self->{port}";

    mkdir $own;
    delete $self->{link};

    $self->{log} = "$own/log";
    $self->{pid} = child(sub {
        open STDOUT, '>>', $self->{log};
        open STDERR, '>>', $self->{log};
        exec 'redis-server', ($self->{conf} // ()), '--port', $self->{port},
             '--bind', '127.0.0.1', '--dir', $own, '--save', '',
             '--appendonly', 'no', '--repl-diskless-sync-delay', 0,
             '--enable-debug-command', 'yes', @{ $self->{options} }
            or POSIX::_exit(127);
    }, 1);

    wait_for(sub { eval { $self->do('PING') eq 'PONG' } })
        or die "redis: " . slurp($self->{log});
}


# one that knows the masters that are given as NAME => server; of conf are
# more lines of its configuration

sub sentinel {
    my ($quorum, $down, %masters) = @_;
    my $more = delete $masters{conf} // '';
    my $self = bless { port => port() }, 'Servers';
    my $own = "$home/$self->{port}";

    mkdir $own;
    $self->{log} = "$own/log";
    spew("$own/conf", join '', "port $self->{port}\n", "bind 127.0.0.1\n",
         "dir $own\n", $more,
         map { "sentinel monitor $_ " . ($masters{$_}{name} // '127.0.0.1')
               . " $masters{$_}{port} $quorum\n"
               . "sentinel down-after-milliseconds $_ $down\n"
               . "sentinel failover-timeout $_ 3000\n" } keys %masters);
    push @servers, $self;

    $self->{pid} = child(sub {
        open STDOUT, '>>', $self->{log};
        open STDERR, '>>', $self->{log};
        exec 'redis-server', "$own/conf", '--sentinel'
            or POSIX::_exit(127);
    }, 1);

    wait_for(sub { eval { $self->do('PING') eq 'PONG' } })
        or die 'sentinel: ' . slurp($self->{log});

    # ten times as often as usual, or each failover would take a minute

    $self->do(qw(SENTINEL DEBUG info-period 200 publish-period 200
                 ping-period 200 ask-period 200));

    return $self;
}


sub at { return "127.0.0.1:$_[0]{port}" }


sub signal {
    my ($self, $signal) = @_;

    kill $signal => $self->{pid};

    if ($signal eq 'KILL') {
        waitpid delete $self->{pid}, 0;
        delete $self->{link};
    }
}


# a command and its answer; an error dies, but not that a failover has closed
# the connection

sub do {
    my ($self, @words) = @_;
    my $kept = $self->{link};
    my $link = $self->{link} ||= $self->connect;

    $self->say($link, @words);

    my $reply = eval { Gate::reply($link) };
    my $why = $@ or return $reply;

    delete $self->{link} if $why =~ /gone/;
    return $self->do(@words) if $kept && $why =~ /gone/;
    die $why;
}


# many of them at once, none of which may fail

sub pipeline {
    my ($self, @commands) = @_;
    my $link = $self->{link} ||= $self->connect;
    my $text = join '', map {
        '*' . @$_ . "\r\n" . join '', map { '$' . length($_) . "\r\n$_\r\n" } @$_
    } @commands;

    print $link $text;
    $link->flush;

    return map { Gate::reply($link) } @commands;
}


sub connect {
    my ($self) = @_;

    return IO::Socket::INET->new(PeerAddr => '127.0.0.1', Timeout => 5,
                                 PeerPort => $self->{port})
        || die "redis is gone\n";
}


sub say {
    my ($self, $link, @words) = @_;

    print $link '*' . @words . "\r\n",
                map { '$' . length($_) . "\r\n$_\r\n" } @words;
    $link->flush;
}


# what the server tells of itself

sub info {
    my ($self, $section, $field) = @_;

    return $self->do('INFO', $section) =~ /^\Q$field\E:(.*?)\r?$/m ? $1 : '';
}


# records, as the gate reads them

sub device {
    my ($self, $id, %fields) = @_;

    cluster_do($self, 'HSET', "mtd:device:$id", threat => 'secured',
               compliance => 'compliant', %fields);
    cluster_do($self, 'SET', "mtd:alias:serial:$id", $id);
}


sub child {
    my ($code, $own) = @_;
    my $pid = fork() // die "fork: $!";

    if ($pid == 0) {
        $SIG{TERM} = 'DEFAULT';
        $code->();
        POSIX::_exit(0);
    }

    push @children, $pid if !$own;

    return $pid;
}


# a kept connection to each worker, by its pid

sub worker_links {
    my (%links, @others);

    wait_for(sub {
        my $link = IO::Socket::UNIX->new("$dir/gate.sock") or return;
        my $answer = ask($link, "GET /status HTTP/1.1\r\nHost: a\r\n\r\n")
            or return;
        my ($pid) = $answer->{body} =~ /"pid":(\d+)/ or return;

        # one of them may take many connections in a row

        push @others, $link;
        $links{$pid} ||= $link;

        my @pids = workers();
        return @pids && !grep { !$links{$_} } @pids;
    }) or die "not all workers answer\n";

    my %is = map { $_ => 1 } workers();

    return { map { $_ => $links{$_} } grep { $is{$_} } keys %links };
}


# the new master's port of the next +switch-master that any of these tells,
# and when it was told

sub seen {
    my ($watch, $seconds) = @_;
    my $select = IO::Select->new(values %$watch);
    my $end = time + ($seconds || 30);

    while ((my $left = $end - time) > 0) {
        for my $link ($select->can_read($left)) {
            my $now = time;
            my $message = Gate::reply($link);

            return ((split / /, $message->[2])[4], $now)
                if ref $message && ($message->[1] // '') eq '+switch-master'
                   && $message->[2] =~ / /;
        }
    }

    die "no +switch-master\n";
}


sub held {
    my ($values) = @_;
    my @sorted = sort { $a <=> $b } @$values or return 'none';

    return sprintf 'min %.1f, p50 %.1f, max %.1f ms of %d', $sorted[0],
        $sorted[$#sorted / 2], $sorted[-1], scalar @sorted;
}


1;
