#!/usr/bin/perl

# Nothing in the tree knows the machine that it was made on: no home, no
# checkout, no host that packages come from.  What is run by name can be.  No
# file is there that a tool has left: each has a name of plain letters, and the
# root holds what is known to belong there.

use strict;
use warnings;

use Cwd qw(getcwd);
use File::Basename qw(dirname);
use File::Find;
use FindBin;
use Test::More tests => 5;

chdir "$FindBin::Bin/../.." or die $!;

my @files = @ARGV;

if (!@files) {
    find({ no_chdir => 1, wanted => sub {
        $File::Find::prune = 1 if m{^\./(?:build|\.git|t/servroot\w*)$};
        push @files, s{^\./}{}r if -f && !-B;
    } }, '.');
}

cmp_ok(scalar @files, '>', 0, 'there are files');

# the hosts are those that this machine's package managers know

my @hosts = map { m{https?://([^/\s:]+)} ? $1 : () }
    map { slurp($_) =~ m{https?://[^/\s]+}g }
    glob '/etc/apt/sources.list /etc/apt/sources.list.d/*';

my $npm = readpipe('npm config get registry 2>/dev/null') // '';
my $pip = readpipe('pip config get global.index-url 2>/dev/null') // '';

push @hosts, map { m{https?://([^/\s:]+)} ? $1 : () } $npm, $pip;

my %host = map { $_ => 1 } @hosts;
my @words = map { quotemeta } sort keys %host;

# what stands beside the checkout, unless that is a folder of every system

my $above = dirname(getcwd());

push @words, '/(?:home|Users)/\w+/', '/tmp/bash_jobs',
    map { "(?<![\\w.\\])}\$*/-])$_" }
    map { quotemeta } getcwd(),
        $above =~ m{^/(?:tmp|usr/src|src|opt|srv|root|var/tmp)?$}
            ? () : "$above/";

my $bad = join '|', @words;
my @found;

for my $file (@files) {
    next if $file eq 'tests/lint/paths.t';

    my $n = 0;

    for (split /\n/, slurp($file)) {
        $n++;
        push @found, "$file:$n: $&\n" if /$bad/;
    }
}

ok(!@found, 'no path of a machine, no host of a registry')
    or diag(@found);

my @dead = grep { !/\.t$/ && !-x && slurp($_) =~ /^#!/ } @files;

ok(!@dead, 'scripts are executable') or diag("@dead");

# of a tree that is no checkout all is looked at that is there

my @tracked = @ARGV ? @ARGV : split /\0/, qx(git ls-files -z 2>/dev/null);

@tracked = @files if !@tracked;

my @odd = grep {
    !m{^[A-Za-z0-9._/-]+$}
    || m{(?:^|/)(?:core(?:\.\d+)?|vgcore\.\d+|[^/]+\.(?:o|so|orig|rej|core))$}
} @tracked;

ok(!@odd, 'names are of plain letters, and none of what tools leave')
    or diag(map { "$_\n" } @odd);

my %root = map { $_ => 1 } qw(
    .ci .editorconfig .gitignore CHANGES.md CONTRIBUTING.md LICENSE Makefile
    README.md conf config demo docs lua-free-hooks module t tests tools
);
my %seen;
my @stray = grep { !$root{$_} && !$seen{$_}++ } map { m{^([^/]+)} } @tracked;

ok(!@stray, 'nothing in the root that is not known') or diag("@stray");


sub slurp {
    my ($file) = @_;

    open my $in, '<', $file or return '';
    local $/;
    return scalar(<$in>) // '';
}
