#!/usr/bin/perl

# A hook's version of the ABI: one that is older, down to the first, loads,
# also with the shorter structure of its time; of another major, or newer than
# the gate's, it is refused with a message.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Gate;
use Test::More;

my $top = "$FindBin::Bin/../..";
my $nginx = $ENV{MTD_NGINX} || qx(sh -c 'command -v nginx') || '/usr/sbin/nginx';
my $gate = $ENV{MTD_MODULE} || "$top/build/ngx_http_mtd_module.so";
my $example = slurp("$top/build/ngx_http_mtd_example_module.so");
my ($major, $minor) = map {
    slurp("$top/lua-free-hooks/ngx_http_mtd_hook.h")
        =~ /^#define NGX_HTTP_MTD_HOOK_$_ +(\d+)/m
} qw(MAJOR MINOR);

chomp $nginx;

# the first three members of its hook, as its module has them; up to 1.3 it
# ended before "check"

my $word = length pack 'J', 0;
my $size = 9 * $word;
my $version = pack 'J3', $major, $minor, $size;
my $count = () = $example =~ /\Q$version\E/g;

plan skip_all => 'the hook of the example is not found' if $count != 1;

is(loads($major, $minor), '', 'as it was built');
is(loads($major, 0), '', 'an older one');
is(loads($major, 3, $size - $word), '', '... that is shorter');
like(loads($major, 3, $size - 2 * $word), refused($major, 3), 'a cut one');
like(loads($major, $minor + 1), refused($major, $minor + 1), 'a newer one');
like(loads($major + 1, 0), refused($major + 1, 0), 'another major');

done_testing();


sub refused {
    return qr/mtd hook "example" was built for ABI $_[0]\.$_[1], it must be/;
}


# what nginx says against it

sub loads {
    my ($is, $of, $length) = @_;
    my $module = $example;

    substr $module, index($module, $version), length $version,
           pack 'J3', $is, $of, $length // $size;
    spew("$dir/example.so", $module);
    spew("$dir/abi.conf", <<"END");
load_module $gate;
load_module $dir/example.so;
pid $dir/abi.pid;
error_log stderr;
events { }
http { access_log off; }
END

    my $said = qx($nginx -t -q -p $dir -e stderr -c $dir/abi.conf 2>&1);

    return $? ? $said || 'no message' : '';
}
