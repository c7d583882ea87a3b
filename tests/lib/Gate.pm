package Gate;

# What the tests of a whole set-up share: a redis, a server that records what
# it gets, the gate in front of it, all on unix sockets in a directory that
# goes away, and a client in C.  Waits are for events, and end.

use strict;
use warnings;

use Cwd qw(abs_path);
use Exporter qw(import);
use File::Basename qw(dirname);
use File::Temp qw(tempdir);
use IO::Socket::UNIX;
use JSON::PP ();
use POSIX ();
use Time::HiRes qw(sleep time);

our @EXPORT = qw(
    $dir slurp spew wait_for
    redis redis_start redis_stop redis_signal redis_load device commands
    backend records
    gate gated gate_reload gate_fresh gate_signal gate_stop master workers alive
    alerts error_log access_log
    ask answer get status stores trusted per_worker
    client client_start client_stop total figures
    chaos
);

our @EXPORT_OK = qw(decided told);

my $top = abs_path(dirname(__FILE__) . '/../..');
my $nginx = $ENV{MTD_NGINX} || qx(sh -c 'command -v nginx') || '/usr/sbin/nginx';
my $module = $ENV{MTD_MODULE} // "$top/build/ngx_http_mtd_module.so";
my $server = $ENV{MTD_REDIS_SERVER} || 'redis-server';
my $owner = $$;
my (%pid, %links);

chomp $nginx;
die "no module at $module, `make` builds it\n" if $module && !-f $module;

# workers of root are somebody else

our $dir = tempdir(CLEANUP => 1);
chmod 0755, $dir;
mkdir "$dir/$_" for qw(temp logs);

$SIG{INT} = $SIG{TERM} = sub { exit 1 };
$SIG{PIPE} = 'IGNORE';

END {
    if ($$ == $owner) {
        my $status = $?;

        gate_stop();

        for my $pid (values %pid) {
            kill CONT => $pid;
            kill KILL => $pid;
            waitpid $pid, 0;
        }

        $? = $status;
    }
}


# how many, in the short form and in that of `make chaos`

sub chaos {
    my ($short, $long) = @_;
    return $ENV{MTD_CHAOS} ? $long : $short;
}


sub slurp {
    my ($file) = @_;

    open my $in, '<:raw', $file or return '';
    local $/;
    return scalar(<$in>) // '';
}


sub spew {
    my ($file, $text) = @_;

    open my $out, '>:raw', $file or die "$file: $!";
    print $out $text;
    close $out or die "$file: $!";
}


# the value of the test, or nothing after some seconds

sub wait_for {
    my ($test, $seconds) = @_;
    my $end = time + ($seconds || 10);

    for (;;) {
        my $value = $test->();
        return $value if $value;
        return if time > $end;
        sleep 0.005;
    }
}


sub start {
    my ($name, @command) = @_;

    my $pid = fork() // die "fork: $!";

    if ($pid == 0) {
        open STDOUT, '>', "$dir/$name.out";
        open STDERR, '>', "$dir/$name.err";
        exec @command or POSIX::_exit(127);
    }

    return $pid{$name} = $pid;
}


# a program of tests/tools, NAME.c and what else it is made of

sub tool {
    my ($name, @more) = @_;
    my $out = "$top/build/tests/$name";
    my @sources = map { "$top/tests/tools/$_.c" } $name, @more;

    if (!-x $out || grep { -M $_ < -M $out } @sources,
                                             glob "$top/tests/tools/*.h")
    {
        my $files = join ' ', map { "'$_'" } @sources;

        system("mkdir -p '$top/build/tests'"
               . " && \${CC:-cc} -O2 -o '$out.$$' $files"
               . " && mv '$out.$$' '$out'") == 0
            or die "$name does not compile\n";
    }

    return $out;
}


# what a program has printed as "# NAME VALUE", when it has ended

sub figures {
    my ($name, $seconds) = @_;
    my $pid = $pid{$name};

    wait_for(sub { waitpid($pid, POSIX::WNOHANG()) == $pid }, $seconds)
        or die "$name does not end\n";
    my $status = $?;
    delete $pid{$name};

    die "$name: " . slurp("$dir/$name.err") if $status;

    return { slurp("$dir/$name.out") =~ /^# (\w+) (\S+)/gm };
}


# redis; what fill writes is there when the gate can connect

sub redis_start {
    my ($fill) = @_;
    my $socket = "$dir/redis.new";

    redis_stop();

    unlink $socket, "$dir/redis.sock";
    %links = ();
    start(redis => $server, '--port', 0, '--unixsocket', $socket,
          '--unixsocketperm', 777, '--dir', $dir, '--save', '',
          '--appendonly', 'no', redis_version() < 7
                                ? () : ('--enable-debug-command', 'yes'));

    wait_for(sub { eval { redis('PING') eq 'PONG' } })
        or die 'redis: ' . slurp("$dir/redis.out");

    $fill->() if $fill;
    rename $socket, "$dir/redis.sock" or die $!;
}


sub redis_version {
    return qx("$server" --version) =~ /v=(\d+)/ ? $1 : die "$server: no version";
}


sub redis_stop {
    my $pid = delete $pid{redis} or return;

    kill KILL => $pid;
    waitpid $pid, 0;
    %links = ();
    unlink "$dir/redis.sock";
}


sub redis_signal { kill $_[0] => $pid{redis} }


sub redis {
    my $link = $links{$$} ||= IO::Socket::UNIX->new(redis_socket())
        or die "redis: $!\n";

    my $ok = print $link '*' . @_ . "\r\n",
                   map { '$' . length($_) . "\r\n$_\r\n" } @_;
    $link->flush;

    return reply($link);
}


sub redis_socket { return -S "$dir/redis.new" ? "$dir/redis.new"
                                              : "$dir/redis.sock" }


sub reply {
    my ($link) = @_;

    local $/ = "\r\n";
    my $line = <$link>;

    if (!defined $line) {
        delete $links{$$};
        die "redis is gone\n";
    }

    chomp $line;

    my $type = substr $line, 0, 1, '';

    return $line if $type eq '+' || $type eq ':';
    die "redis: $line\n" if $type eq '-';
    return if $line < 0;
    return [ map { reply($link) } 1 .. $line ] if $type eq '*';

    read $link, my $text, $line + 2;
    return substr $text, 0, $line;
}


# many commands at once: $next returns one as a list, or nothing at the end

sub redis_load {
    my ($next) = @_;
    my ($n, $text) = (0, '');

    open my $out, '|-', 'redis-cli -s ' . redis_socket() . ' --pipe'
        . " >'$dir/pipe.out' 2>&1" or die $!;

    while (my @words = $next->()) {
        $text .= '*' . @words . "\r\n"
            . join '', map { '$' . length($_) . "\r\n$_\r\n" } @words;

        if (++$n % 1000 == 0) {
            print $out $text;
            $text = '';
        }
    }

    print $out $text;
    close $out;
    slurp("$dir/pipe.out") =~ /errors: 0, replies: $n\b/
        or die 'redis-cli --pipe: ' . slurp("$dir/pipe.out");
}


# a device that is known by its own name

sub device {
    my ($id, %fields) = @_;

    %fields = (threat => 'secured', compliance => 'compliant',
               enrolled => 'mdm', %fields);

    redis('HSET', "mtd:device:$id", %fields);
    redis('SET', "mtd:alias:$_:$id", $id, 'EX', 3600) for qw(serial eas);
    redis('EXPIRE', "mtd:device:$id", 3600);
}


# how often redis was asked

sub commands {
    my %n = map { $_ => 0 } qw(get hmget);

    my $info = redis('INFO', 'commandstats');

    $n{$1} = $2 while $info =~ /^cmdstat_(\w+):calls=(\d+)/gm;

    return \%n;
}


# the server behind

sub backend {
    my ($name, @mode) = @_;
    my $file = "$dir/$name.record";

    unlink $file;
    start($name => tool('record_backend'), "$dir/$name.sock", $file, @mode);
    wait_for(sub { -S "$dir/$name.sock" && -e $file
                   && IO::Socket::UNIX->new("$dir/$name.sock") })
        or die slurp("$dir/$name.err");
}


# all that it got since the last time

my %read;

sub records {
    my ($name) = @_;
    my @records;

    open my $in, '<:raw', "$dir/$name.record" or die $!;
    seek $in, $read{$name} || 0, 0;

    while (my $len = <$in>) {
        read($in, my $text, $len) == $len or die 'a record is cut';
        push @records, $text;
    }

    $read{$name} = tell $in;

    return @records;
}


# the gate: main and http are texts; every request is logged as "STATUS
# DECISION REASON LOOKUP MARK", of which the last is a header X-Mark

sub configuration {
    my (%conf) = @_;
    my @temp = map { "${_}_temp_path $dir/temp;" }
        qw(client_body proxy fastcgi uwsgi scgi);
    my $user = $> == 0 ? 'user root;' : '';
    my $workers = $conf{workers} || 2;
    my $connections = $conf{connections} || 1024;

    # MTD_MODULE= is for an nginx that has it built in, stock for one without

    my $load = $module && !$conf{stock} ? "load_module $module;" : '';
    my $decided = $conf{stock} ? '- - -'
                               : '$mtd_decision $mtd_reason $mtd_lookup';

    $conf{main} //= '';

    spew("$dir/nginx.conf", <<"END");
$load
$user
worker_processes $workers;
pid $dir/nginx.pid;
error_log $dir/logs/error.log info;
$conf{main}
events {
    worker_connections $connections;
}
http {
    @temp
    log_format told '\$status $decided \$http_x_mark';
    access_log $dir/logs/access.log told;
    keepalive_requests 100000000;
    $conf{http}
}
END
}


sub gate {
    my (%conf) = @_;

    configuration(%conf);

    my @command = ($nginx, '-p', $dir, '-e', "$dir/logs/error.log", '-c',
                   "$dir/nginx.conf");

    return gate_signal('HUP') if $conf{reload};

    my $pid = start('nginx.start', @command);
    waitpid $pid, 0;
    my $failed = $?;
    delete $pid{'nginx.start'};

    die 'nginx: ' . error_log() . slurp("$dir/nginx.start.err") if $failed;

    wait_for(sub { master() }) or die 'nginx has no pid';
}


# http of a server that knows devices by ?device= and says what it has decided,
# by what, and as which worker; of mtd_redis, and what else there is to be

sub gated {
    my ($store, %o) = @_;
    my ($listen, $policy, $more) = map { $_ // '' } @o{qw(listen policy more)};

    return <<"END";
mtd_redis r { $store }
mtd_policy p { $policy }
server {
    listen unix:$dir/gate.sock $listen;
    mtd p store=r; mtd_profile generic; mtd_identify value;
    mtd_value \$arg_device kind=serial;
    add_header X-Is "\$mtd_decision \$mtd_reason" always;
    add_header X-Lookup "\$mtd_lookup" always;
    add_header X-Pid \$pid always;
    location / { empty_gif; }
    location = /status { mtd_status; }
    $more
}
END
}


# returns when there are none but new workers, of those that are to stay

sub gate_reload {
    my (%conf) = @_;
    my %old = map { $_ => 1 } workers();
    my $n = $conf{workers} || 2;

    gate(%conf, reload => 1);
    wait_for(sub { my @w = workers(); @w == $n && !grep { $old{$_} } @w })
        or die 'the workers are the old ones';

    return keys %old;
}


# ... and the log is empty

sub gate_fresh {
    spew("$dir/logs/error.log", '');
    return gate_reload(@_);
}


sub master {
    my ($pid) = slurp("$dir/nginx.pid") =~ /^(\d+)\n/;
    return $pid;
}


sub workers {
    my $pid = $_[0] || master() or return;
    my @pids;

    for my $file (glob '/proc/[0-9]*/stat') {
        my ($child, $state, $parent) =
            slurp($file) =~ /^(\d+) \(.*\) (\S) (\d+) /s or next;
        push @pids, $child if $parent == $pid && $state ne 'Z';
    }

    return grep { slurp("/proc/$_/cmdline") =~ /^nginx: worker process\b(?!.*shutting)/ }
           @pids;
}


sub gate_signal {
    my ($signal) = @_;
    kill $signal => master();
}


sub gate_stop {
    my %seen;

    for (1 .. 3) {
        my $pid = master() or last;

        kill TERM => $pid or last;
        wait_for(sub { !alive($pid) }) or kill KILL => $pid;
    }
}


sub alive { return -d "/proc/$_[0]" && slurp("/proc/$_[0]/stat") !~ /\) Z / }


# lines of the log that must not be there, but for those of a pattern

sub alerts {
    my ($but) = @_;
    my @lines = grep { /\[(?:alert|emerg)\]|open socket/ }
        split /\n/, error_log();

    return join "\n", $but ? grep { !/$but/ } @lines : @lines;
}


sub error_log { return slurp("$dir/logs/error.log") }
sub access_log { return slurp("$dir/logs/access.log") }


# one connection that is kept, and its answer: { status, body, headers in
# lower case }; undef if there was none

sub ask {
    my ($link, $text) = @_;

    print $link $text or return;
    $link->flush;

    return answer($link);
}


sub answer {
    my ($link) = @_;

    local $/ = "\r\n\r\n";
    my $head = <$link> // return;
    my %answer = (head => $head, body => '');

    ($answer{status}) = $head =~ m{^HTTP/1\.\d (\d+)} or return;

    while ($head =~ /^([^\s:]+):[ ]?(.*?)\r$/gm) {
        $answer{lc $1} = exists $answer{lc $1} ? "$answer{lc $1}, $2" : $2;
    }

    if (my $len = $answer{'content-length'}) {
        read($link, $answer{body}, $len) == $len or return;
    }

    return \%answer;
}


sub get {
    my ($target, %o) = @_;

    my $link = IO::Socket::UNIX->new("$dir/" . ($o{at} || 'gate') . '.sock')
        or return;

    return ask($link, "GET $target HTTP/1.1\r\nHost: mail.example.com\r\n"
                      . "Connection: close\r\n"
                      . join('', map { "$_\r\n" } @{ $o{headers} || [] })
                      . "\r\n");
}


# what a server of gated() decides on a device, at a link or a new one, and
# where it knew that from

sub decided {
    my $answer = asked_about(@_) or return 'no answer';
    return $answer->{'x-is'};
}


sub told {
    my $answer = asked_about(@_) or return 'no answer';
    return "$answer->{'x-is'} $answer->{'x-lookup'}";
}


sub asked_about {
    my ($device, $link) = @_;
    my $target = "/x?device=$device";

    return $link ? ask($link, "GET $target HTTP/1.1\r\n"
                              . "Host: mail.example.com\r\n\r\n")
                 : get($target);
}


sub status {
    my $answer = get('/status', at => $_[0]) or return;
    return $answer->{status} == 200 && JSON::PP::decode_json($answer->{body});
}


# a store as every worker sees it, by pid; one of them may take many
# connections in a row, so connections are held until all have been met

sub stores {
    my ($name, $at) = @_;
    my %pids = map { $_ => 1 } workers();
    my (%stores, @links);

    for (1 .. 200) {
        my $link = IO::Socket::UNIX->new("$dir/" . ($at || 'gate') . '.sock')
            or last;
        push @links, $link;

        my $answer = ask($link, "GET /status HTTP/1.1\r\n"
                                . "Host: mail.example.com\r\n\r\n") or next;
        my $json = JSON::PP::decode_json($answer->{body});

        $stores{ $json->{pid} } = $json->{stores}{$name};
        last if !grep { !$stores{$_} } keys %pids;
    }

    return \%stores;
}


# how many workers are told of every change

sub trusted {
    my ($name, $at) = @_;
    return scalar grep { $_->{trusted} } values %{ stores($name, $at) };
}


# one connection to each worker, by pid; answers have an X-Pid

sub per_worker {
    my ($at) = @_;
    my %pids = map { $_ => 1 } workers();
    my (%links, @others);

    for (1 .. 500) {
        my $link = IO::Socket::UNIX->new("$dir/" . ($at || 'gate') . '.sock')
            or next;
        my $answer = ask($link, "GET /x?device=none HTTP/1.1\r\n"
                                . "Host: mail.example.com\r\n\r\n") or next;

        $links{ $answer->{'x-pid'} } ||= $link;
        push @others, $link;
        last if !grep { !$links{$_} } keys %pids;
    }

    return %links;
}


# the client: { counts => { "CLASS STATUS VALUE..." => N }, sent, answered,
# retried, lost, unanswered, ms, p50, p99, max }

sub client {
    my @args = @_;

    client_start('client', @args);
    return client_stop('client', 1);
}


sub client_start {
    my ($name, $at, @args) = @_;

    start($name, tool('load_client'), @args, "$dir/$at.sock");
}


sub client_stop {
    my ($name, $finish) = @_;
    my $pid = delete $pid{$name};
    my %result = (counts => {});

    kill TERM => $pid if !$finish;
    waitpid $pid, 0;
    die 'load_client: ' . slurp("$dir/$name.err") if $?;

    for (split /\n/, slurp("$dir/$name.out")) {
        if (/^# (\w+) (\S+)/) {
            $result{$1} = $2;

        } elsif (/^(\d+)\t(.*)/) {
            $result{counts}{$2 =~ tr/\t/ /r} += $1;
        }
    }

    return \%result;
}


# how many of the answers match

sub total {
    my ($result, $pattern) = @_;
    my $n = 0;

    for (keys %{ $result->{counts} }) {
        $n += $result->{counts}{$_} if /$pattern/;
    }

    return $n;
}


1;
