package MTD;

# What the tests share: a configuration around the few lines that a block is
# about, records in redis under a prefix of the block's own, and a client for
# what needs more than one request.
#
# Sections of a block, all optional, each with a default where one is needed:
#
#   store     parameters of mtd_redis      policy    those of mtd_policy
#   http      for http {}                  server    for the gated server {}
#   gate      profile and hooks of it      location  for its location /
#   backend   for the location / of the server behind it
#   device    lines "ID field=value ... alias=KIND:VALUE", each an ID with
#             aliases "serial" and "eas" of the same name
#   then      perl, after each response
#
# Every answer of the gated server says "decision reason" in X-Is.

use strict;
use warnings;

use Exporter 'import';
use File::Path ();
use File::Temp ();
use IO::Socket::INET;
use IO::Socket::UNIX;
use JSON::PP ();
use MIME::Base64 ();
use POSIX ();
use Test::More ();
use Test::Nginx::Socket;

our @EXPORT = qw(
    redis redis_at key device http told until_told until_true status
    trusted bypass error_log redis_server curl raw xpath metrics promtool certificates
);

my $blocks = 0;
my $top = $$;
my (%sockets, @servers, $temp, @files);

$ENV{MTD_REDIS_SOCKET}
    or die "MTD_REDIS_SOCKET is not set, use tests/tools/with-redis.sh\n";

$ENV{TEST_NGINX_REDIS} = $ENV{MTD_REDIS_SOCKET};


no_root_location();
no_long_string();
add_block_preprocessor(\&prepare);
add_response_body_check(\&after);

# Test::Nginx removes its own files only

add_test_cleanup_handler(sub { unlink splice @files });

END {
    if ($$ == $top) {
        my $rc = $?;
        stop($_) for @servers;
        $? = $rc;
    }
}


sub prepare {
    my ($block) = @_;

    $ENV{TEST_NGINX_PREFIX} = "t$$-" . ++$blocks . ':';

    my $text = sub {
        my ($name, $default) = @_;
        my $value = $block->$name;
        return defined $value ? $value : $default;
    };

    if (!defined $block->http_config) {
        my $policy = $text->('policy', '');
        my $store = $text->('store', '');
        my $http = $text->('http', '');
        my $backend = $text->('backend', '');

        $backend = 'return 200 "$request_method $request_uri\n";'
            if $backend !~ /\S/;
        $store = 'server unix:$TEST_NGINX_REDIS;' . $store
            if $store !~ /(?:^|;)\s*server\b/m;
        $store .= ' prefix $TEST_NGINX_PREFIX;' if $store !~ /(?:^|;)\s*prefix\b/m;
        $store .= ' zone 1m;' if $store !~ /(?:^|;)\s*zone\b/m;

        # a test that is about other times says so

        $store .= ' timeout 5s;' if $store !~ /(?:^|;)\s*timeout\b/m;

        $block->set_value(http_config => <<"END");
mtd_redis r { $store }
mtd_policy p { $policy }
$http
server {
    listen unix:\$TEST_NGINX_SERVER_ROOT/html/backend.sock;
    underscores_in_headers on;
    location / { $backend }
}
END
    }

    if (!defined $block->config) {
        my $location = $text->('location', '');
        my $server = $text->('server', '');
        my $gate = $text->('gate', <<'END');
mtd_profile generic; mtd_identify value; mtd_value $http_x_device kind=serial;
END
        my $mtd = $gate =~ /^\s*mtd\s/m ? '' : 'mtd p;';

        $gate =~ s/^\s*mtd_profile exchange;\s*\z/$& mtd_identify eas;/m;

        $block->set_value(config => <<"END");
add_header X-Is "\$mtd_decision \$mtd_reason" always;
add_header X-Lookup "\$mtd_lookup" always;
mtd_disclose on;
$mtd $gate
$server
location / {
    proxy_pass http://unix:\$TEST_NGINX_SERVER_ROOT/html/backend.sock;
    $location
}
location = /status { mtd_status; }
END
    }

    if (defined $block->device) {
        my $lines = $block->device;
        my $init = defined $block->init ? $block->init : '';
        $block->set_value(init => "MTD::devices(q\0$lines\0);\n$init");
    }

    for my $section (qw(init post_setup_server_root)) {
        $block->set_value($section => "package main; no strict;\n" . $block->$section)
            if defined $block->$section;
    }

    if (defined $block->must_die) {
        $block->set_value(suppress_stderr => 1);
        my $log = $block->error_log;
        $block->set_value(error_log => ref $log ? [ '[emerg]', $log ]
                                                : "[emerg]\n$log");
    }
}


sub after {
    our ($block) = @_;

    if (defined $block->then) {
        eval 'package main; no strict; ' . $block->then;
        Test::More::is($@, '', $block->name . ' - no error in "then"') if $@;
    }
}


sub write_file {
    my ($name, $text, $mode) = @_;

    my $path = server_root() . "/$name";

    unlink $path;
    open my $out, '>', $path or die "$path: $!\n";
    print $out $text;
    close $out;
    chmod $mode, $path;
    push @files, $path;
}


# records

sub key { return $ENV{TEST_NGINX_PREFIX} . $_[0] }


sub devices {
    my ($lines) = @_;

    for my $line (split /\n/, $lines) {
        my ($id, @fields) = split ' ', $line;
        next if !defined $id;

        my @aliases = map { s/^alias=// ? $_ : () } @fields;
        my %fields = map { /^(.+?)=(.*)/ } grep { !/^(?:serial|eas|entra):/ }
                     @fields;

        device($id, %fields);

        for my $alias ("serial:$id", "eas:$id", @aliases) {
            redis('SET', key("alias:$alias"), $id, 'EX', 3600);
        }
    }
}


# writes a whole record, at once

sub device {
    my ($id, %fields) = @_;

    redis('MULTI');
    redis('DEL', key("device:$id"));
    redis('HSET', key("device:$id"), %fields) if %fields;
    redis('EXPIRE', key("device:$id"), 3600);
    redis('EXEC');
}


# as mtdctl does; fields may say otherwise

sub bypass {
    my ($seconds, %fields) = @_;
    my $now = redis('TIME')->[0];

    redis('MULTI');
    redis('DEL', key('bypass'));
    redis('HSET', key('bypass'), until => $now + $seconds, since => $now,
          by => 'me@here', why => 'a test', %fields);
    redis('EXPIRE', key('bypass'), $seconds);
    redis('EXEC');
}


sub redis { return redis_at($ENV{MTD_REDIS_SOCKET}, @_) }


sub redis_at {
    my ($path, @words) = @_;

    my $socket = $sockets{"$$ $path"} ||= IO::Socket::UNIX->new($path)
        or die "redis at $path: $!\n";

    print $socket '*' . @words . "\r\n",
                  map { '$' . length($_) . "\r\n$_\r\n" } @words;
    $socket->flush;

    my $reply = reply($socket);

    die "redis: @words: $$reply\n" if ref $reply eq 'SCALAR';

    return $reply;
}


sub reply {
    my ($socket) = @_;

    local $/ = "\r\n";
    my $line = <$socket>;
    die "redis has closed the connection\n" if !defined $line;
    chomp $line;

    my $type = substr $line, 0, 1, '';

    return $line if $type eq '+' || $type eq ':';
    return \$line if $type eq '-';
    return undef if $line < 0;
    return [ map { reply($socket) } 1 .. $line ] if $type eq '*';

    read $socket, my $text, $line + 2;
    return substr $text, 0, $line;
}


# a redis-server of the test's own, for what concerns all of a server

sub temp { return $temp ||= File::Temp->newdir }


sub redis_server {
    my ($name, @options) = @_;

    my $path = temp() . "/$name.sock";
    my $pid = fork;

    die "fork: $!\n" if !defined $pid;

    if ($pid == 0) {
        open STDOUT, '>', temp() . "/$name.log";
        open STDERR, '>&', \*STDOUT;
        exec 'redis-server', '--port', 0, '--unixsocket', $path, '--dir',
             temp(), '--save', '', '--appendonly', 'no', @options
            or POSIX::_exit(1);
    }

    my $server = { pid => $pid, path => $path };
    push @servers, $server;

    until_true(sub { IO::Socket::UNIX->new($path) })
        or die "redis-server does not start\n";

    return $server;
}


sub stop {
    my ($server) = @_;

    my $pid = delete $server->{pid} or return;

    kill KILL => $pid;
    waitpid $pid, 0;
    delete $sockets{"$$ $server->{path}"};
    unlink $server->{path};
}


# requests of our own: { status, X-Is and other headers in lower case, body }

sub http {
    my ($method, $target, @headers) = @_;

    my $socket = IO::Socket::INET->new(
        PeerAddr => '127.0.0.1', PeerPort => server_port(), Timeout => 10)
        or die "nginx: $!\n";

    my $line = $method eq 'POST' ? "Content-Length: 0\r\n" : '';

    print $socket "$method $target HTTP/1.0\r\nHost: localhost\r\n$line",
                  (map { "$_\r\n" } @headers), "\r\n";

    local $/;
    my $text = <$socket>;
    $text = '' if !defined $text;

    my ($head, $body) = split /\r\n\r\n/, $text, 2;
    my ($first, @lines) = split /\r\n/, defined $head ? $head : '';
    my %answer = (body => $body, status => 0);

    $answer{status} = $1 if defined $first && $first =~ /^HTTP\S+ (\d+)/;

    for (@lines) {
        $answer{lc $1} = defined $answer{lc $1} ? "$answer{lc $1}, $2" : $2
            if /^(\S+): ?(.*)/;
    }

    return \%answer;
}


# "decision reason" of a request for this serial number

sub raw {
    my ($line, @headers) = @_;

    my $socket = IO::Socket::INET->new(
        PeerAddr => '127.0.0.1', PeerPort => server_port(), Timeout => 10)
        or die "nginx: $!\n";

    print $socket "$line HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n",
                  (map { "$_\r\n" } @headers), "\r\n";

    local $/;
    return scalar <$socket>;
}


# what a reader of XML finds

sub xpath {
    my ($xml, $path) = @_;
    my $file = temp() . '/x.xml';

    open my $out, '>', $file or die "$file: $!\n";
    print $out $xml;
    close $out;

    my $text = `xmllint --xpath "$path" '$file' 2>&1`;
    chomp $text;

    return $text;
}


sub told {
    my ($serial, @more) = @_;

    my $answer = http('GET', '/x', "X-Device: $serial", @more);
    return defined $answer->{'x-is'} ? $answer->{'x-is'}
                                     : "status $answer->{status}";
}


sub until_told {
    my ($serial, $expected, $name) = @_;

    my $told;
    until_true(sub { ($told = told($serial)) eq $expected });
    Test::More::is($told, $expected, $name || "$serial: $expected");
}


# bounded by ten seconds

sub until_true {
    my ($condition) = @_;

    for (1 .. 500) {
        my $value = $condition->();
        return $value if $value;
        select undef, undef, undef, 0.02;
    }

    return;
}


sub status {
    my $answer = http('GET', '/status');
    return JSON::PP::decode_json($answer->{body});
}


# as text for Prometheus: { METRIC => { type, names, value => { NAME => N } } };
# dies of what is not in the format

sub metrics {
    my (%metrics, $metric);

    for (split /\n/, http('GET', '/status?format=prometheus')->{body}) {

        if (my ($name) = /^# HELP (\w+) \S/) {
            die "$name twice\n" if $metrics{$name};
            $metric = $metrics{$name} = { name => $name, names => [],
                                          value => {} };

        } elsif (my ($of, $type) = /^# TYPE (\w+) (counter|gauge|histogram)$/) {
            die "TYPE of $of\n" if $of ne $metric->{name} || $metric->{type};
            die "the name of $of\n" if ($type eq 'counter') != ($of =~ /_total$/);
            $metric->{type} = $type;

        } elsif (my ($full, $base, $value) =
                 /^((\w+)\{\w+="[^"\\]*"(?:,\w+="[^"\\]*")*\}) (\d+(?:\.\d+)?)$/)
        {
            my $suffix = substr $base, length $metric->{name};
            my $form = $metric->{type} eq 'histogram'
                       ? qr/^_(?:bucket|sum|count)$/ : qr/^$/;

            die "$full twice\n" if exists $metric->{value}{$full};
            die "$full is not of $metric->{name}\n"
                if index($base, $metric->{name}) != 0 || $suffix !~ $form;

            push @{ $metric->{names} }, $full;
            $metric->{value}{$full} = $value;

        } else {
            die "not of the format: $_\n";
        }
    }

    return \%metrics;
}


# what Prometheus's own checker says

sub promtool {
    my $file = temp() . '/metrics';

    open my $out, '>', $file or die "$file: $!\n";
    print $out http('GET', '/status?format=prometheus')->{body};
    close $out;

    my $tool = $ENV{PROMTOOL} || 'promtool';
    my $text = `'$tool' check metrics <'$file' 2>&1`;
    Test::More::is($? ? "exit $?: $text" : $text, '', 'promtool finds nothing');
}


# changes are pushed from now on

sub trusted {
    my $ok = until_true(sub { status()->{stores}{r}{trusted} });
    Test::More::ok($ok, 'the push link is up');
}


sub error_log {
    open my $in, '<', server_root() . '/logs/error.log' or die "$!\n";
    local $/;
    return scalar <$in>;
}


sub curl {
    my (@words) = @_;

    open my $in, '-|', 'curl', '-s', '-k', '-m', 10, @words
        or die "curl: $!\n";
    local $/;
    my $text = <$in>;
    close $in;
    return defined $text ? $text : '';
}


# a server's certificate, an authority, and clients of it: NAME => subject
# and extension, in TEST_NGINX_CERTS

sub certificates {
    my (%clients) = @_;

    my $dir = $ENV{TEST_NGINX_CERTS} = temp() . '/certs';
    File::Path::make_path($dir);

    my $run = sub {
        my $text = `openssl @_ 2>&1`;
        die "openssl @_: $text" if $?;
    };

    my $new = '-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes';

    for my $name (qw(server ca other)) {
        $run->("req -x509 $new -days 2 -subj /CN=$name",
               "-keyout $dir/$name.key -out $dir/$name.crt");
    }

    for my $name (sort keys %clients) {
        my ($subject, $extension, $ca) = @{ $clients{$name} };
        $ca ||= 'ca';

        open my $out, '>', "$dir/$name.ext" or die "$!\n";
        print $out "basicConstraints=CA:FALSE\n$extension\n";
        close $out;

        $run->("req $new -subj '$subject' -keyout $dir/$name.key",
               "-out $dir/$name.csr");
        $run->("x509 -req -in $dir/$name.csr -days 2 -CA $dir/$ca.crt",
               "-CAkey $dir/$ca.key -set_serial 0x1aBcD",
               "-extfile $dir/$name.ext -out $dir/$name.crt");
    }
}


1;
