#!/usr/bin/perl

# The last known state: a gateway that starts while redis is away serves the
# devices that it knew before, as stale as they are, and nothing out of a
# file that it cannot trust.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Digest::SHA;
use Fcntl qw(:mode);
use Gate qw(:DEFAULT told);
use Test::More;

use constant STALE => 3600;

my %conf = (more => '', http => '');
my $file = "$dir/state/known";

mkdir "$dir/state", 0700;
spew("$dir/secret", "a secret of the test\n");
chmod 0600, "$dir/secret";


for my $secret ('', "key_secret file:$dir/secret;") {
    my $name = $secret ? 'pseudonyms' : 'plain';

    $conf{more} = "state $file; fresh 1h; stale ${\ STALE}s; $secret";
    unlink $file;

    redis_start(sub { fill($secret) });
    gate(http => http());
    ok(wait_for(\&both), "$name: push is up");

    is(told('good'), 'allow secured_enough MISS', 'asked for');
    is(told('bad'), 'remediate threat_level MISS', '... as another one');
    is(told('named'), 'allow secured_enough MISS', '... and one of groups');
    is(told('wiped'), 'block wipe_pending MISS', '... and one that is wiped');
    is(told('gone'), 'allow secured_enough MISS', '... and one that goes');
    is(told('brief'), 'allow secured_enough MISS', '... and one that expires');

    redis('DEL', key($secret, 'device', 'gone'));
    ok(wait_for(sub { told('gone') =~ /unknown_device/ }), 'one is gone');

    # written when the worker exits

    stop();

    my $text = slurp($file);

    ok(length $text, 'the file is written at the end');
    is(sprintf('%o', S_IMODE((stat $file)[2])), '600', '... for one user');
    ok(!-e "$file.tmp", '... and nothing else is left');
    unlike($text, qr/good|bad|wiped|named|gone|somebody|a secret of the test/,
           '... it names nobody');
    like($text, qr/iOS/, '... but systems');

    # redis is away; the file is all there is

    redis_stop();
    gate(http => http());
    ok(wait_for(\&away), 'redis is away');

    is(told('good'), 'allow stale_allowed STALE', 'known');
    is(told('bad'), 'remediate threat_level STALE', '... as it was');
    is(told('wiped'), 'block wipe_pending STALE', '... as it was');
    is(told('named'), 'allow stale_allowed STALE', '... and one of groups');
    is(get('/x?device=named')->{'x-groups'}, 'board,staff',
       '... with its texts');
    is(told('gone'), 'block store_unavailable ERROR', 'what was gone is');
    is(told('other'), 'block store_unavailable ERROR', 'others are not known');
    like(error_log(), qr/mtd_redis "r" has \d devices and \d aliases out of /,
         'it is in the log');
    ok(wait_for(sub { told('brief') =~ /ERROR/ }, 20),
       'what would have expired does');

    # stopped without redis: the same file, no younger

    stop();
    gate(http => http());
    ok(wait_for(\&away), 'started again, redis is still away');
    is(told('good'), 'allow stale_allowed STALE', 'known');

    # nothing out of it is fresh

    redis_start(sub { fill($secret, good => 'highSeverity') });
    ok(wait_for(\&both), 'redis is back');
    is(told('good'), 'remediate threat_level MISS', 'it is asked');
    is(told('good'), 'remediate threat_level HIT', '... once');

    # a push drops what came out of it

    stop();
    redis_stop();
    gate(http => http());
    ok(wait_for(\&away), 'known again, from the file');
    redis_start(sub { fill($secret, good => 'highSeverity') });
    ok(wait_for(\&both), '... and redis is back');
    redis('HSET', key($secret, 'device', 'bad'), threat => 'secured');
    redis('FLUSHALL');
    ok(wait_for(sub { error_log() =~ /was flushed/ }), 'redis is flushed');
    redis_stop();
    ok(wait_for(\&away), '... and goes away');
    is(told('good'), 'block store_unavailable ERROR', 'it is not known');
    stop();
    gate(http => http());
    ok(wait_for(\&away), 'started again');
    is(told('good'), 'block store_unavailable ERROR', '... nor by the file');
    stop();
    spew("$dir/logs/error.log", '');
}


# the machine has restarted: an entry is older than the clock that counts
# its age, and ends when it would have

my $uptime = int((split ' ', slurp('/proc/uptime'))[0]);
my $left = 8;

# what is left then is kept as a TTL, above 32768 s in steps of 64, rounded down

$left++ while $uptime > 32700 && ($uptime + $left) % 64 != 1;

$conf{more} = "state $file; fresh 1s; ttl 1000d; stale "
            . ($uptime + 3600 + $left) . 's;';
redis_start(sub { fill('') });
gate(http => http());
ok(wait_for(\&both), 'push is up');
is(told('good'), 'allow secured_enough MISS', 'known');
stop();
redis_stop();
spew($file, aged(slurp($file), 1000 * ($uptime + 3600)));
gate(http => http());
ok(wait_for(\&away), 'redis is away');
is(told('good'), 'allow stale_allowed STALE', 'older than the machine: known');
is(status()->{stores}{r}{health}, 'stale', '... says the health');
ok(wait_for(sub { told('good') =~ /ERROR/ }, $left + 20),
   '... until it is too old');
ok(wait_for(sub { error_log() =~ /"r" is refusing: no device is known that/ },
            20), '... as the log says');
is(status()->{stores}{r}{health}, 'refusing', '... and the health');
stop();

# one whose TTL is longer than seconds in 16 bits, which was read long ago

$conf{more} = "state $file; fresh 1s; stale 48h;";
redis_start(sub {
    fill('');
    redis('EXPIRE', key('', 'device', 'good'), 10 * 86400);
});
gate(http => http());
ok(wait_for(\&both), 'push is up');
is(told('good'), 'allow secured_enough MISS', 'known, with a TTL of ten days');
stop();
redis_stop();
spew($file, aged(slurp($file), 20 * 3_600_000));
gate(http => http());
ok(wait_for(\&away), 'redis is away');
is(told('good'), 'allow stale_allowed STALE', 'read 20 hours ago: known');
stop();


# files that are of no use; each is ignored with one line

my $secret = "key_secret file:$dir/secret;";

$conf{more} = "state $file; fresh 1s; stale ${\ STALE}s; $secret";
redis_start(sub { fill($secret) });
gate(http => http());
ok(wait_for(\&both), 'push is up');
is(told('good'), 'allow secured_enough MISS', 'known');
stop();
redis_stop();

my $good = slurp($file);

refused('empty', qr/it is too short/, sub { spew($file, '') });
refused('cut', qr/its length is not/, sub { spew($file, substr $good, 0, -1) });
refused('long', qr/its length is not/, sub { spew($file, "$good.") });
refused('another one', qr/it is no state file/, sub { spew($file, 'x' x 999) });
refused('manipulated', qr/it is damaged/,
        sub { spew($file, flip($good, 152 + 50)) });
refused('a header', qr/its header is damaged/,
        sub { spew($file, flip($good, 50)) });
refused('a version', qr/of another version/,
        sub { spew($file, flip($good, 8)) });
refused('to be read by others', qr/others have a right to it/,
        sub { spew($file, $good); chmod 0640, $file });
refused('a link', qr/symbolic links/, sub {
    spew("$file.else", $good);
    chmod 0600, "$file.else";
    unlink $file;
    symlink "$file.else", $file;
});
unlink $file;

SKIP: {
    skip 'not root', 3 if $> != 0;
    refused('of somebody', qr/it belongs to somebody else/,
            sub { spew($file, $good); chown 12345, -1, $file });
    unlink $file;
}

$conf{more} =~ s/stale \w+/stale 1s/;
refused('old', qr/it is older than "stale"/, sub {
    spew($file, $good);
    wait_for(sub { time - unpack('Q<', substr $good, 48, 8) / 1000 > 2 });
});
$conf{more} =~ s/stale \w+/stale ${\ STALE}s/;

$conf{more} .= ' prefix other:;';
refused('foreign', qr/of another store, server, database, prefix/,
        sub { spew($file, $good) });
$conf{more} =~ s/ prefix other:;//;

spew($file, $good);
gate(http => http());
ok(wait_for(\&away), 'the file is as it was');
is(told('good'), 'allow stale_allowed STALE', '... and good');
stop();


# the temporary file of one that was killed; a directory that is gone

redis_start(sub { fill($secret) });
spew("$file.tmp", 'half of a fi' x 10_000);
gate(http => http());
ok(wait_for(\&both), 'push is up');
is(told('good'), 'allow secured_enough MISS', 'asked for');
is(status()->{stores}{r}{state}{loaded}, 1, 'the file is counted');
ok(wait_for(sub { status()->{stores}{r}{state}{written} }, 30),
   'it is written while it runs');
is(status()->{stores}{r}{state}{devices}, 1, '... with what is known');
cmp_ok(-s $file, '<', 10_000, '... and nothing else');

like(get('/status?format=prometheus')->{body},
     qr/^mtd_state_written_timestamp_seconds\{store="r"\} [1-9]\d+$/m,
     '... as the metric says');

rename "$dir/state", "$dir/state.gone" or die $!;
is(told('bad'), 'remediate threat_level MISS', 'something has changed');
ok(wait_for(sub { error_log() =~ /state ".*" of mtd_redis "r" cannot be written: open\(\) failed/ }, 30),
   'the directory is gone: it is in the log');
rename "$dir/state.gone", "$dir/state" or die $!;
is(told('wiped'), 'block wipe_pending MISS', 'something has changed');
ok(wait_for(sub { error_log() =~ /state ".*" is written again/ }, 30),
   'it is back: it is in the log');


# a reload keeps the zone, and the new worker is the one that writes

my $inode = (stat $file)[1];
my @old = gate_reload(http => http());

ok(wait_for(sub { !grep { alive($_) } @old }),
   'reload: the old workers are gone');
is((stat $file)[1], $inode, 'an old worker writes no more');
ok(wait_for(\&both), 'push is up');
ok(wait_for(sub { told('good') =~ /HIT/ }), 'known');


# the worker that writes is killed: its successor does

my %killed = map { $_ => 1 } workers();

kill KILL => keys %killed;
ok(wait_for(sub { my @w = workers(); @w == 2 && !grep { $killed{$_} } @w }),
   'killed: the workers are new');
ok(wait_for(\&both), 'push is up');
redis('HSET', key($secret, 'device', 'good'), threat => 'secured');
ok(wait_for(sub { (stat $file)[1] != $inode }, 30), 'it is written again');

my $alerts = alerts(qr/exited on signal 9/);
is($alerts, '', 'nothing is wrong');

diag("longest slice: " . status()->{stores}{r}{state}{slice} . ' us');

done_testing();


sub http {
    return gated("server unix:$dir/redis.sock; zone 1m; timeout 10s; $conf{more}",
                 more => 'add_header X-Groups $mtd_groups always;');
}


sub key {
    my ($secret, $type, $text) = @_;

    return "mtd:$type:$text" if !$secret;

    my ($domain) = "$type:$text" =~ /^(.*:)/;

    return "mtd:$domain" . substr Digest::SHA::hmac_sha256_hex(
        "$type:$text", 'a secret of the test'), 0, 32;
}


sub fill {
    my ($secret, %threat) = @_;
    my %fields = (
        good => [], bad => [threat => 'highSeverity'],
        named => [groups => 'board,staff', os => 'iOS', user => 'somebody'],
        wiped => [action => 'wipe'], gone => [], brief => []
    );

    for my $id (keys %fields) {
        my $device = key($secret, 'device', $id);

        redis('HSET', $device, threat => 'secured', compliance => 'compliant',
              @{ $fields{$id} }, $threat{$id} ? (threat => $threat{$id}) : ());
        redis('SET', key($secret, 'alias:serial', $id), $id);
        redis('EXPIRE', $device, $id eq 'brief' ? 8 : 86400);
    }
}


sub both { return 2 == trusted('r') }


sub away {
    my @stores = values %{ stores('r') };
    return @stores == 2 && !grep { $_->{data} ne 'down' } @stores;
}


sub stop {
    my $pid = master();

    kill QUIT => $pid;
    ok(wait_for(sub { !alive($pid) }), 'nginx has ended') or die;
    unlink "$dir/nginx.pid", glob "$dir/*gate.sock";
}


# a file with one device and one alias, as written that many ms after they
# were read

sub aged {
    my ($text, $age) = @_;
    my $hmac = sub { Digest::SHA::hmac_sha256(@_) };
    my $zone = 'mtd:r:' . substr unpack('H*', $hmac->("unix:$dir/redis.sock 0"
                                                      . ' mtd:', '')), 0, 16;
    my $key = $hmac->("state:$zone", '');
    my ($device, $alias) = (152, 152 + 60);

    substr($text, $_, 8) = pack 'Q<', $age for $device + 16, $alias + 32;
    substr($text, 88, 32) = Digest::SHA::sha256(substr $text, 152);
    substr($text, 120, 32) = $hmac->(substr($text, 0, 120), $key);

    return $text;
}


sub flip {
    my ($text, $at) = @_;

    substr($text, $at, 1) ^= "\x01";
    return $text;
}


sub refused {
    my ($name, $why, $make) = @_;

    spew("$dir/logs/error.log", '');
    unlink $file;
    $make->();
    chmod 0600, $file if $name !~ /others|link/;
    gate(http => http());

    my $lines = () = error_log() =~ /state ".*" of mtd_redis "r" is ignored/g;

    ok(wait_for(\&away), "$name: redis is away");
    is(told('good'), 'block store_unavailable ERROR', '... nothing is known');
    like(error_log(), qr/is ignored.*$why/, '... because of the file');
    is($lines, 1, '... as one line says');
    stop();
}
