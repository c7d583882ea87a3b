#!/usr/bin/perl

# Sentinels and a cluster that speak TLS: each server that is found must be
# who its address or its name says, or who ssl_name says.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Gate qw(:DEFAULT decided);
use Names;
use Servers;
use Test::More;

certificate('ca', '/CN=ca');
certificate('here', '/CN=x', 'ca', 'DNS:redis.test,IP:127.0.0.1');
certificate('there', '/CN=x', 'ca', 'DNS:there.test,IP:127.0.0.2');

my $ca = "ssl on; ssl_trusted_certificate $dir/ca.crt;";


# a Sentinel and its master

my ($at, $sentinel) = (Servers::port(), Servers::port());
my $master = server(tls($at, 'here'));

sentinel(1, 5000, mymaster => { port => $at }, conf => join '', map { "$_\n" }
         "tls-port $sentinel", 'tls-replication yes', 'tls-auth-clients no',
         "tls-cert-file $dir/here.crt", "tls-key-file $dir/here.key",
         "tls-ca-cert-file $dir/ca.crt");
$master->device('good');

gate(http => http("sentinel mymaster 127.0.0.1:$sentinel; $ca"));
ok(wait_for(sub { told() eq 'allow secured_enough' }), 'by a Sentinel');
is(status()->{stores}{r}{nodes}[0]{address}, "127.0.0.1:$at", '... with TLS');
ok(wait_for(sub { status()->{stores}{r}{trusted} }), '... and told of changes');

fresh("sentinel mymaster 127.0.0.1:$sentinel; $ca ssl_name other.test;");
ok(wait_for(sub { error_log() =~ /\(sentinel\): its certificate is for another name/ }),
   'another name: the Sentinel is not asked');
is(told('stranger'), 'block store_unavailable', '... and nobody else');


# a master who is another one than the Sentinel says

$master->signal('KILL');
$master->{options} = [ tls($at, 'there') ];
$master->start;
$master->device('good');
fresh("sentinel mymaster 127.0.0.1:$sentinel; $ca");
ok(wait_for(sub { error_log() =~ /\(data\): its certificate is for another address/ }),
   'another address: the master is not asked');
is(told('stranger'), 'block store_unavailable', '... and nobody else');


# a cluster

my $node = Servers::port();
my ($one) = cluster(1, tls($node, 'here'), '--tls-cluster', 'yes');

$one->device('good');
fresh("cluster on; server 127.0.0.1:$node; $ca");
ok(wait_for(sub { told() eq 'allow secured_enough' }), 'a cluster');
is(status()->{stores}{r}{nodes}[0]{address}, "127.0.0.1:$node", '... with TLS');

fresh("cluster on; server 127.0.0.1:$node; $ca ssl_name redis.test;");
ok(wait_for(sub { told() eq 'allow secured_enough' }), '... with one name');

fresh("cluster on; server 127.0.0.1:$node; $ca ssl_name other.test;");
ok(wait_for(sub { error_log() =~ /unavailable \(cluster\)/ }), '... or another');
is(told('stranger'), 'block store_unavailable', '... which is not asked');


# names that are announced are what certificates must be for

certificate('named', '/CN=x', 'ca', 'DNS:redis.test');

my $dns = dns('redis.test' => '127.0.0.1', 'other.test' => '127.0.0.1');
my $resolver = "resolver 127.0.0.1:$dns ipv6=off;";
my $by_name = Servers::port();
my ($named) = cluster(1, tls($by_name, 'named'), qw(--tls-cluster yes
                      --cluster-preferred-endpoint-type hostname));

$named->do(qw(CONFIG SET cluster-announce-hostname redis.test));
$named->device('good');
fresh("cluster on; server redis.test:$by_name; $ca preload on;", $resolver);
ok(wait_for(sub { told() eq 'allow secured_enough' }), 'a cluster with names');
ok(wait_for(sub { status()->{stores}{r}{trusted} }), '... tells of changes');
ok(wait_for(sub { status()->{stores}{r}{preload}{state} eq 'done' }),
   '... and is preloaded');

with_names(sub {
    is(system("$ENV{MTDCTL} --cluster --tls --cacert $dir/ca.crt --redis"
              . " redis.test:$by_name device set new os=x >$dir/mtdctl.out 2>&1"),
       0, '... and written to') or diag(slurp("$dir/mtdctl.out"));
});

$named->do(qw(CONFIG SET cluster-announce-hostname other.test));
fresh("cluster on; server redis.test:$by_name; $ca", $resolver);
ok(wait_for(sub { error_log() =~ /\(data\): its certificate is for another name/ }),
   'another name: the master is not asked');
is(told('stranger'), 'block store_unavailable', '... and nobody else');

fresh("cluster on; server redis.test:$by_name; $ca ssl_name redis.test;",
      $resolver);
ok(wait_for(sub { told() eq 'allow secured_enough' }), '... but with ssl_name');


# the same by a Sentinel

my ($m, $s) = (Servers::port(), Servers::port());
my ($first, $watcher);

with_names(sub {
    $first = server(tls($m, 'named'));
    $watcher = sentinel(1, 5000, mymaster => { name => 'redis.test', port => $m },
        conf => join '', map { "$_\n" } "tls-port $s", 'tls-replication yes',
        'tls-auth-clients no', "tls-cert-file $dir/named.crt",
        "tls-key-file $dir/named.key", "tls-ca-cert-file $dir/ca.crt",
        'sentinel resolve-hostnames yes', 'sentinel announce-hostnames yes');
});

$first->device('good');
fresh("sentinel mymaster redis.test:$s; $ca", $resolver);
ok(wait_for(sub { told() eq 'allow secured_enough' }), 'a Sentinel with names');
ok(wait_for(sub { status()->{stores}{r}{trusted} }), '... tells of changes');
$watcher->do(qw(SENTINEL CONFIG SET announce-hostnames no));
fresh("sentinel mymaster redis.test:$s; $ca", $resolver);
ok(wait_for(sub { error_log() =~ /\(data\): its certificate is for another address/ }),
   '... with an address it is another one');

is(alerts(), '', 'nothing is wrong');

done_testing();


sub http {
    my ($where, $resolver) = @_;

    $resolver //= '';

    return "$resolver\n" . gated("$where zone 1m; timeout 2s;");
}


# other workers, and an empty log

sub fresh {
    my ($where, $resolver) = @_;

    gate_fresh(http => http($where, $resolver));
}


sub told {
    my ($device) = @_;

    return decided($device || 'good');
}


sub tls {
    my ($port, $name) = @_;

    return ('--tls-port', $port, '--tls-cert-file', "$dir/$name.crt",
            '--tls-key-file', "$dir/$name.key", '--tls-ca-cert-file',
            "$dir/ca.crt", '--tls-auth-clients', 'no');
}


sub certificate {
    my ($name, $subject, $ca, $names) = @_;
    my @key = ('openssl', 'req', '-newkey', 'rsa:2048', '-nodes', '-subj',
               $subject, '-keyout', "$dir/$name.key");

    if (!$ca) {
        quiet(@key, '-x509', '-days', 2, '-out', "$dir/$name.crt");
        return;
    }

    spew("$dir/$name.ext", "subjectAltName=$names\n");
    quiet(@key, '-out', "$dir/$name.csr");
    quiet('openssl', 'x509', '-req', '-in', "$dir/$name.csr", '-days', 2,
          '-CA', "$dir/$ca.crt", '-CAkey', "$dir/$ca.key", '-CAcreateserial',
          '-extfile', "$dir/$name.ext", '-out', "$dir/$name.crt");
}


sub quiet {
    my (@command) = @_;

    system('sh', '-c', '"$@" >/dev/null 2>&1', 'sh', @command) == 0
        or die "@command\n";
}
