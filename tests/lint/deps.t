#!/usr/bin/perl

# Who may include whom: the layers are the prefixes of the file names, and
# what a layer may not see cannot slip in by a header.

use strict;
use warnings;

use FindBin;
use Test::More;

chdir($ARGV[0] // "$FindBin::Bin/../..") or die $!;

my $hooks = 'lua-free-hooks';
my @hook_files = glob "$hooks/*/*.[ch] $hooks/*/*/*.[ch]";
my @files = (glob('module/*.[ch] tools/*.[ch]'), glob("$hooks/*.[ch]"),
             @hook_files);

my %hook = map { $_ => 1 } @hook_files;
my $version_file = qr{^(?:module/ngx_http_mtd_compat\.h
                        |$hooks/ngx_http_mtd_hook\.h)$}x;
my $hiredis_file = qr{^(?:module/ngx_mtd_resp\.c|tools/)};

plan tests => scalar @files;

for my $file (@files) {
    my @found = check($file);

    ok(!@found, $file) or diag(map { "$file:$_\n" } @found);
}


sub check {
    my ($file) = @_;
    my ($name) = $file =~ m{([^/]+)$};
    my @found;

    open my $in, '<', $file or return "cannot be opened: $!";

    while (<$in>) {
        push @found, "$.: depends on nginx's version"
            if /\bnginx_version\b/ && $file !~ $version_file;

        /^\s*#\s*include\s*[<"]([^">]+)/ or next;

        my $inc = $1;
        my $why = forbidden($file, $name, $inc) or next;

        push @found, "$.: includes $inc, $why";
    }

    push @found, '1: the first header it reads is not ngx_config.h'
        if $name =~ /^ngx_/ && first($file) ne 'ngx_config.h';

    return @found;
}


# the first header that is not one of ours: ngx_config.h has to come before
# the system's, it says which of their parts are seen

sub first {
    my ($file) = @_;

    open my $in, '<', $file or return '';

    while (<$in>) {
        /^\s*#\s*include\s*[<"]([^">]+)/ or next;

        my $inc = $1;
        my ($ours) = grep { m{/\Q$inc\E$} } @files;

        return $inc if !$ours;

        my $first = first($ours);
        return $first if $first ne '';
    }

    return '';
}


sub forbidden {
    my ($file, $name, $inc) = @_;

    return 'hiredis belongs to ngx_mtd_resp.c'
        if $inc =~ /hiredis/ && $file !~ $hiredis_file;

    return 'plain C sees no nginx'
        if $name =~ /^mtd(?:_|ctl)/ && $inc =~ /^ngx/;

    return 'the core layer sees no HTTP'
        if $name =~ /^ngx_mtd_/ && $inc =~ /^ngx_http/;

    return 'a public header includes no private one'
        if $file =~ m{^$hooks/[^/]+$} && $inc =~ /mtd/
           && $inc ne 'mtd_words.h';

    if ($hook{$file} && $inc =~ /mtd/
        && $inc !~ /^(?:ngx_http_mtd_hook|mtd_words|mtd_signal)\.h$/)
    {
        # of its own protocol: identify/eas and respond/eas are one

        my ($protocol) = $file =~ m{([^/]+)/[^/]+$};

        return 'a hook sees the public headers and its own protocol'
            if !grep { m{/$protocol/\Q$inc\E$} } @hook_files;
    }

    return;
}
