#!/usr/bin/perl

# Two Sentinels of one master, of which one tells its address and one a name:
# what is connected stays so if the name leads there, and only then.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Gate;
use Names;
use Servers;
use Test::More;

use constant LONG => 40;        # seconds; a Sentinel is asked every five

my $dns = dns('one.test' => '127.0.0.1', 'two.test' => '127.0.0.2');
my ($redis, @sentinels);

with_names(sub {
    $redis = server();
    @sentinels = map { sentinel(1, 500, mymaster => { port => $redis->{port},
                                                      name => $_->[0] },
                                conf => "sentinel resolve-hostnames yes\n"
                                        . "sentinel announce-hostnames $_->[1]\n") }
                     ['127.0.0.1', 'no'], ['one.test', 'yes'];
});

$redis->device('good');
is_deeply([ map { $_->do(qw(SENTINEL GET-MASTER-ADDR-BY-NAME mymaster)) }
            @sentinels ],
          [ map { [ $_, $redis->{port} ] } '127.0.0.1', 'one.test' ],
          'an address, and a name');

# the first that is asked tells the address

ok(wait_for(sub {
    !grep { my %is = @{ $_->do(qw(SENTINEL MASTER mymaster)) };
            $is{'num-other-sentinels'} != 1 } @sentinels;
}), 'they know each other');
gate(workers => 1, http => http());
ok(wait_for(sub { told('good') eq 'allow secured_enough' && trusted('r') == 1 }),
   'the master is found, and tells of changes');

my ($connects, $asked) = (counter('connects'), asked_for('^one\.test$'));

ok(wait_for(sub { asked_for('^one\.test$') > $asked }, LONG),
   'a name is told, and looked up');
is(counter('connects'), $connects, '... which changes nothing');

# as with a name that was connected to: where it leads to later does not matter

names();
ok(asked_again(), 'they are asked, and the name leads nowhere');
is(counter('connects'), $connects, '... which does not matter any more');

# a connection that has not seen it lead there is not kept

names('one.test' => '127.0.0.2');
$redis->do(qw(CLIENT KILL TYPE normal SKIPME yes));
ok(wait_for(sub { counter('connects') > $connects }), 'connected anew');
$connects = counter('connects');
ok(wait_for(sub { counter('connects') > $connects }, LONG),
   '... and not kept by one whose name leads elsewhere');

is(alerts(), '', 'nothing is wrong');

done_testing();


sub http {
    my $at = join ' ', map { $_->at } @sentinels;

    return "resolver 127.0.0.1:$dns ipv6=off; resolver_timeout 500ms;\n"
           . gated("sentinel mymaster $at; zone 1m; fresh 1h; stale 2h;"
                   . ' timeout 2s;');
}


# a connection is made for each question; what watches has one already

sub asked_again {
    my @before = map { $_->info('stats', 'total_connections_received') }
                 @sentinels;

    return wait_for(sub {
        return !grep { $sentinels[$_]->info('stats', 'total_connections_received')
                       <= $before[$_] } 0 .. $#sentinels;
    }, LONG);
}


sub told {
    my $answer = get("/x?device=$_[0]") or return 'no answer';

    return $answer->{'x-is'};
}


sub counter { return status()->{stores}{r}{counters}{$_[0]} }
