#!/usr/bin/perl

# A server behind that authenticates connections, as IIS does with NTLM and
# Negotiate: who comes without a password is never served as somebody else,
# also where nginx keeps its connections to that server.

use strict;
use warnings;

use FindBin;
use IO::Select;
use IO::Socket::UNIX;
use lib "$FindBin::Bin/../lib";
use Gate;
use POSIX ();
use Socket qw(SOCK_STREAM);
use Test::More;

use constant ROUNDS => $ENV{MTD_ROUNDS} || 200;

my $owner = $$;
my $child;

END { kill KILL => $child if $child && $$ == $owner }

my $nginx = $ENV{MTD_NGINX} || qx(sh -c 'command -v nginx')
            || '/usr/sbin/nginx';
chomp $nginx;

my @version = qx("$nginx" -v 2>&1) =~ m{/(\d+)\.(\d+)\.(\d+)}
    or die 'nginx has no version';

# from 1.29.7 on connections are kept if nobody says otherwise

my @pools = qw(kept);
push @pools, 'stock' if sprintf('%d%03d%03d', @version) >= 1029007;

diag('nginx ' . join('.', @version) . ", upstreams: @pools");

my $read = 0;

redis_start(sub { device('a') });
$child = backend_that_authenticates("$dir/iis.sock");

gate(workers => 1, http => http());
ok(wait_for(sub { (values %{ stores('r') })[0]{trusted} }), 'the gate is up');


# schemes and places that make an exchange private

my @carry = ('Negotiate for-anna', 'negotiate  for-bert', 'NEGOTIATE for-carl',
             'NTLM for-dora', 'ntlm for-emil', "nTlM\tfor-fred");
my @offer = ('WWW-Authenticate: NTLM', 'WWW-Authenticate: Negotiate',
             'www-authenticate: negotiate', 'WWW-AUTHENTICATE: nTLm',
             'WWW-Authenticate: Basic realm="x", NTLM',
             'WWW-Authenticate: Bearer a="b",Negotiate',
             "WWW-Authenticate: Basic realm=\"x\"\r\nWWW-Authenticate: NTLM",
             "WWW-Authenticate: Negotiate\r\nWWW-Authenticate: Basic a=b",
             "WWW-Authenticate: Basic a=b\r\nX: y\r\n"
             . 'WWW-Authenticate: Negotiate oYG3',
             'WWW-Authenticate: Basic a=b'
             . join("\r\n", '', map { "X-$_: y" } 1 .. 20)
             . "\r\nWWW-Authenticate: NTLM");
my @places = qw(plain empty chunked nothing head post old intercept next
                accel mirror auth upgrade buffered);

for my $pool (@pools) {

    # a connection that is nobody's serves one request after the other

    for my $harmless ('-', 'Basic YW5uYTp4', 'Bearer TlRMTVNTUAAB.ntlm') {
        my @records = exchanges(map { { pool => $pool, auth => $harmless } }
                                    1 .. 50);

        is(scalar @records, 50, "$pool: 50 exchanges with $harmless");
        is(scalar connections(@records), 1, '... on one connection');
    }

    my @records = exchanges(map { { pool => $pool, offer => 'WWW-Authenticate:'
        . ' Basic realm="antlm", Bearer b="xNegotiate"' } } 1 .. 20);

    is(scalar connections(@records), 1, '... also where Basic is offered');


    # one that is somebody's serves no other request

    for my $place (@places) {
        my ($n, $reused, $taken) = (0, 0, 0);

        for my $private ((map { { auth => $_ } } @carry),
                         (map { { offer => $_ } } @offer))
        {
            @records = exchanges(
                { pool => $pool, place => $place, %$private },
                map { { pool => $pool, place => $place, mark => 'b' },
                      { pool => $pool, mark => 'b' } } 1 .. 2);

            $n += grep { $_->{private} } @records;
            $reused += reused(@records);
            $taken += grep { $_->{mark} eq 'b' && $_->{who} ne '-' } @records;
        }

        cmp_ok($n, '>=', @carry + @offer,
               "$pool, $place: $n exchanges of connections' schemes");
        is($reused, 0, '... no connection is used after one of them');
        is($taken, 0, '... nobody is served as somebody else');
    }


    # many at once, of several clients, in any order

    my ($n, $reused, $taken) = (0, 0, 0);

    for (1 .. ROUNDS) {
        @records = at_once(map { { pool => $pool, mark => 'b',
                                   place => $places[rand @places],
                                   whatever() } } 1 .. 4);

        $n += @records;
        $reused += reused(@records);
        $taken += grep { $_->{mark} eq 'b' && $_->{who} !~ /^(?:-|basic)$/ }
                  @records;
    }

    cmp_ok($n, '>=', 4 * ROUNDS, "$pool: $n exchanges, four at a time");
    is($reused, 0, '... no connection is used after a private one');
    is($taken, 0, '... nobody is served as somebody else');


    # neither by a server without a gate that shares the upstream

    @records = exchanges({ pool => $pool, at => 'open', auth => $carry[0] },
                         { pool => $pool, mark => 'b' },
                         { pool => $pool, at => 'open', mark => 'b' });

    is(join(' ', map { $_->{who} } @records), 'anna - -',
       "$pool: a server without a gate leaves nobody's connection behind");


    # so what takes one message can get on, and NTLM cannot

    my $link = link_to('gate');

    is(told($link, { pool => $pool, auth => 'Negotiate for-anna' }),
       '200 anna', 'Kerberos passes');
    is(told($link, { pool => $pool, auth => 'NTLM one' }), '401 -',
       'the first message of NTLM gets its challenge');
    is(told($link, { pool => $pool, auth => 'NTLM three-anna' }), '401 -',
       '... and the third one finds another connection');
}

is(alerts(), '', 'nothing is wrong');

done_testing();


# what one of many does

sub whatever {
    my $dice = rand;

    return (auth => $carry[rand @carry], mark => 'a') if $dice < 0.4;
    return (offer => $offer[rand @offer]) if $dice < 0.5;
    return (auth => 'Basic YW5uYTp4') if $dice < 0.7;
    return;
}


sub http {
    my ($upstreams, $places) = ('', '');

    my $proxy = 'proxy_http_version 1.1; proxy_set_header Connection'
        . ' $hop; proxy_set_header Upgrade $http_upgrade;';

    for my $pool (@pools) {
        my $keepalive = $pool eq 'kept' ? 'keepalive 16;' : '';
        my $iis = "server unix:$dir/iis.sock;";

        $upstreams .= "upstream $pool { $iis $keepalive }\n"
            . "upstream $pool-two { $iis $iis $keepalive }\n";

        $places .= <<"END";
location /$pool/ { $proxy proxy_pass http://$pool; }
location /$pool/old/ {
    proxy_pass http://$pool; proxy_http_version 1.0;
}
location /$pool/buffered/ {
    $proxy proxy_pass http://$pool; proxy_buffering on;
}
location /$pool/intercept/ {
    $proxy proxy_pass http://$pool; proxy_intercept_errors on;
    error_page 401 403 =200 /static;
}
location /$pool/next/ {
    $proxy proxy_pass http://$pool-two;
    proxy_next_upstream http_404 http_403;
}
location /$pool/mirror/ {
    $proxy proxy_pass http://$pool; mirror /$pool/mirrored;
}
location = /$pool/mirrored {
    internal; $proxy proxy_pass http://$pool/$pool/mirror/sub;
}
location /$pool/auth/ {
    $proxy proxy_pass http://$pool; auth_request /$pool/allowed;
}
location = /$pool/allowed {
    internal; $proxy proxy_pass http://$pool/$pool/allowed;
}
END
    }

    return <<"END";
mtd_redis r { server unix:$dir/redis.sock; zone 1m; }
mtd_policy p { }
map \$http_upgrade \$hop { default upgrade; '' ''; }
proxy_buffering off;
$upstreams
server {
    listen unix:$dir/gate.sock;
    mtd p; mtd_profile generic; mtd_identify value;
    mtd_value \$http_x_device kind=serial;
    location = /static { return 204; }
    location = /status { mtd_status; }
    $places
}
server {
    listen unix:$dir/open.sock;
    location = /static { return 204; }
    $places
}
END
}


# one after the other, each on a connection of its own; returns what the
# server behind has seen of them

sub exchanges {
    records_of();

    for my $exchange (@_) {
        my $link = link_to($exchange->{at} || 'gate');

        print $link request($exchange);
        done($link);
    }

    return records_of();
}


sub at_once {
    my @links = map { link_to('gate') } @_;

    records_of();

    print { $links[$_] } request($_[$_]) for 0 .. $#_;
    done($_) for @links;

    return records_of();
}


sub link_to {
    my $link = IO::Socket::UNIX->new("$dir/$_[0].sock") or die "connect: $!";
    $link->autoflush(1);
    return $link;
}


sub request {
    my ($exchange, $keep) = @_;

    my $place = $exchange->{place} || 'plain';
    my $method = $place eq 'head' ? 'HEAD' : $place eq 'post' ? 'POST' : 'GET';
    my @headers = ('Host: mail.example.com', 'X-Device: a',
                   'X-Mark: ' . ($exchange->{mark} || 'a'));

    push @headers, "Authorization: $exchange->{auth}"
        if ($exchange->{auth} || '-') ne '-';
    push @headers, 'X-Offer: ' . unpack 'H*', $exchange->{offer}
        if $exchange->{offer};
    push @headers, 'Content-Length: 3' if $place eq 'post';
    push @headers, $place eq 'upgrade' ? ('Connection: Upgrade', 'Upgrade: x')
                   : $keep ? () : 'Connection: close';

    return join("\r\n", "$method /$exchange->{pool}/$place/x HTTP/1.1",
                @headers) . "\r\n\r\n" . ($place eq 'post' ? 'abc' : '');
}


# nginx is done with the server behind before it is with the client

sub done {
    my ($link) = @_;

    local $/;
    local $SIG{ALRM} = sub { die "no end of an answer\n" };

    alarm 30;
    my $text = <$link> // '';
    alarm 0;

    ok(0, "there is an answer: $text") if $text !~ m{^HTTP/1\.1 [1-4]};
}


# on a connection that stays open: the status, and who the server behind
# takes it for

sub told {
    my ($link, $exchange) = @_;
    my $answer = ask($link, request($exchange, 1)) or return 'none';

    return "$answer->{status} $answer->{'x-who'}";
}


sub connections {
    my %n = map { $_->{n} => 1 } @_;
    return keys %n;
}


# how many came on a connection after a private one

sub reused {
    my %private;
    my $reused = 0;

    for (@_) {
        $reused++ if $private{ $_->{n} };
        $private{ $_->{n} } = 1 if $_->{private};
    }

    return $reused;
}


# what the server behind has written down since the last time

sub records_of {
    my $text = slurp("$dir/iis.record");
    my @records;

    for (split /\n/, substr $text, $read) {
        my %record;

        @record{qw(n private mark who)} = split / /;
        push @records, \%record;
    }

    $read = length $text;

    return @records;
}


# the first request that carries its user makes a connection that user's

sub backend_that_authenticates {
    my ($socket) = @_;

    my $listen = IO::Socket::UNIX->new(Type => SOCK_STREAM, Local => $socket,
                                       Listen => 128) or die "listen: $!";
    chmod 0666, $socket;
    spew("$dir/iis.record", '');

    my $pid = fork() // die "fork: $!";
    return $pid if $pid;

    open my $record, '>>', "$dir/iis.record" or POSIX::_exit(1);
    $record->autoflush(1);

    my $select = IO::Select->new($listen);
    my (%link, $n);

    for (;;) {
        for my $fh ($select->can_read) {

            if ($fh == $listen) {
                my $new = $listen->accept or next;

                $select->add($new);
                $link{$new} = { fh => $new, in => '', n => ++$n };
                next;
            }

            my $link = $link{$fh};

            if (sysread($fh, $link->{in}, 65536, length $link->{in})
                && serve($link, $record))
            {
                next;
            }

            $select->remove($fh);
            delete $link{$fh};
            close $fh;
        }
    }
}


# all that has come in whole; nothing when the connection is to be closed

sub serve {
    my ($link, $record) = @_;

    while ($link->{in} =~ /^(.*?\r\n\r\n)/s) {
        my $head = $1;
        my $body = $head =~ /^Content-Length: (\d+)/mi ? $1 : 0;

        last if length($link->{in}) < length($head) + $body;
        substr $link->{in}, 0, length($head) + $body, '';

        syswrite $link->{fh}, served($link, $head, $record);
        return if $head =~ m{^\w+ /\w+/upgrade};
    }

    return 1;
}


# an answer, after the line of the record

sub served {
    my ($link, $head, $record) = @_;

    my ($method, $place) = $head =~ m{^(\w+) /\w+/(\w+)};
    my ($auth) = $head =~ /^Authorization:[ ]?(.*?)\r$/mi;
    my ($offer) = $head =~ /^X-Offer: (\w+)/mi;
    my ($mark) = $head =~ /^X-Mark: (\w+)/mi;
    my @headers = $offer ? pack 'H*', $offer : ();
    my $who = $link->{user} || '-';

    if (($auth // '') !~ /^(?:ntlm|negotiate)\s+(?:(one)|(?:for|three)-(\w+))/i)
    {
        $who = lc $1 if $auth && $auth =~ /^(\w+)/;

    } elsif ($1) {
        $link->{challenged} = 1;
        push @headers, 'WWW-Authenticate: NTLM two';

    } elsif ($auth =~ /three-/ && !$link->{challenged}) {
        push @headers, 'WWW-Authenticate: NTLM';

    } else {
        $who = $link->{user} = $2;
    }

    my $offered = grep { /authenticate:.*(?<![a-z])(?:ntlm|negotiate)/is }
                  @headers;
    my $private = $link->{user} || $offered ? 1 : 0;

    print $record "$link->{n} $private $mark $who\n";

    my $status = $who eq '-' && $offered ? '401 Unauthorized' : '200 OK';
    my $body = 'body';

    $status = '404 Not Found' if $place eq 'next';
    $status = '403 Forbidden' if $place eq 'intercept' && $status =~ /^2/;

    if ($place eq 'chunked') {
        push @headers, 'Transfer-Encoding: chunked';
        $body = "2\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n";

    } elsif ($place eq 'upgrade') {
        $status = '101 Switching Protocols';
        push @headers, 'Connection: upgrade', 'Upgrade: x';

    } elsif ($place eq 'allowed' || $place eq 'nothing') {
        $status = '204 No Content';
        $body = '';

    } else {
        $body = '' if $place eq 'empty';
        push @headers, 'Content-Length: ' . length $body;
        push @headers, 'X-Accel-Redirect: /static' if $place eq 'accel';
    }

    return join("\r\n", "HTTP/1.1 $status", "X-Who: $who", @headers)
           . "\r\n\r\n" . ($method eq 'HEAD' ? '' : $body);
}
