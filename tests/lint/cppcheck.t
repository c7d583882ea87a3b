#!/usr/bin/perl

# nginx's own headers are not read: what they define is unknown to cppcheck.

use strict;
use warnings;

use FindBin;
use Test::More tests => 1;

chdir "$FindBin::Bin/../.." or die $!;

my @what = @ARGV ? @ARGV : qw(module lua-free-hooks tools);

my $out = join '', map { readpipe $_ } join ' ',
    'cppcheck --quiet --std=c99 --library=posix -j2',
    '--enable=warning,performance,portability --error-exitcode=1',
    '--inline-suppr --suppress=missingInclude --suppress=unknownMacro',
    '--suppress=normalCheckLevelMaxBranches',
    '--suppress=uninitvar:lua-free-hooks/ngx_http_mtd_hook.h',
    '-I module -I lua-free-hooks',
    @what, '2>&1';

is($?, 0, "cppcheck @what") or diag($out);
