#!/usr/bin/perl

# What a connection begins with: AUTH and SELECT are answered OK, and nothing
# else, or it asks nothing.  What redis says that is no error may be anything,
# so it is not told in the log.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Gate;
use Scripted;
use Test::More;

use constant SAYS => 'nobody';

scripted_start();
scripted_device('good');
spew("$dir/password", "secret\n");
chmod 0600, "$dir/password";

gate(http => http());
ok(wait_for(sub { told() eq 'allow secured_enough' && trusted('r') == 2 }),
   'OK is taken');
cmp_ok(script("count $_"), '>=', 4, "... and $_ was asked, on each connection")
    for qw(AUTH SELECT);

my $bulk = '$' . length(SAYS) . "\r\n" . SAYS;
my @wrong = ('+' . SAYS, '+QUEUED', '+OKAY', '+ok', '+', ':1', ':0', '$-1',
             "\$2\r\nOK", $bulk, '*-1', '*0', "*1\r\n+OK", "*1\r\n$bulk");

for my $command (qw(AUTH SELECT)) {
    refused('data', $command, $_, 'it refused') for @wrong;
    refused('data', $command, '-ERR ' . SAYS, 'it refused: ERR ' . SAYS);
}

# of others that are asked then

for my $text ('+' . SAYS, $bulk, "*1\r\n$bulk") {
    refused('data', 'INFO', $text, $text =~ /^\$/ ? 'it does not tell its run_id'
                                                 : 'it refused INFO');
    refused('data', 'PING', $text, 'it refused PING') if $text !~ /^\+/;
    refused('push', 'CLIENT-ID', $text, 'it does not tell its CLIENT ID');
    refused('push', 'CLIENT-TRACKING', $text, 'it refused CLIENT TRACKING');
}

# a time to live that is longer than any, or none, is no reason to forget the
# device at once, or to fail

for my $ms ('9223372036854775807', '9223372036854775000', '-9223372036854775808')
{
    asked_anew("rule PTTL * * reply " . escaped(":$ms\r\n"));
    is(told(), 'allow secured_enough', "PTTL $ms");
    is(get('/x?device=good')->{'x-lookup'}, 'HIT', '... is kept');
}

# one that is no number of 64 bits may end the connection, but nothing else

for my $ms ('9223372036854775808', '-9223372036854775809', '9' x 30) {
    asked_anew("rule PTTL * 1 reply " . escaped(":$ms\r\n"));
    like(told(), qr/^(?:allow secured_enough|block store_unavailable)$/,
         "PTTL $ms");
    ok(wait_for(sub { told() eq 'allow secured_enough' && trusted('r') == 2 }),
       '... does no harm');
}

is(alerts(), '', 'nothing is wrong');

done_testing();


sub http {
    return gated("server unix:$dir/redis.sock; password file:$dir/password;"
                 . ' database 3; zone 1m; fresh 1h; stale 2h;');
}


# workers that have not met another answer, and so tell of it

sub refused {
    my ($role, $command, $text, $why) = @_;
    my $name = "$command, " . $text =~ tr/ -~/./cr;
    my $line = "\\[error\\] (\\d+)#.*" . quotemeta("($role): $why")
               . '(?:, breaker is open)? while connecting\n';
    my %old = map { $_ => 1 } workers();

    script('clear', "rule $command * * reply " . escaped("$text\r\n"));
    open my $log, '>', "$dir/logs/error.log" or die $!;
    gate(reload => 1, http => http());

    ok(wait_for(sub {
        my @w = workers();
        my %told = map { $_ => 1 } error_log() =~ /$line/g;

        return @w == 2 && !grep { $old{$_} || !$told{$_} } @w;
    }), "$name: each worker refuses it") or diag(error_log());
    is(scalar(grep { $_->{ $role eq 'push' ? 'trusted' : 'data' }
                     =~ /^(?:up|1)$/ } values %{ stores('r') }),
       0, '... and does not use that connection');

    my $says = SAYS;

    unlike(error_log(), qr/$says/, '... of which nothing is told')
        if $text !~ /^-/;
}


# both workers are connected again, and know nothing of the device

sub asked_anew {
    my ($rule) = @_;

    script('clear');
    ok(wait_for(sub { trusted('r') == 2 && told() eq 'allow secured_enough' }),
       'all is well');

    my $heard = status()->{stores}{r}{counters}{invalidations};

    $heard += 2 * script($rule, 'tell mtd:alias:serial:good mtd:device:good');
    ok(wait_for(sub { status()->{stores}{r}{counters}{invalidations} == $heard }),
       '... and to be asked for');
}


sub told {
    my $answer = get('/x?device=good') or return 'no answer';

    return $answer->{'x-is'};
}
