#!/usr/bin/perl

# corpus.pl unpack FILE DIR     each line of FILE becomes a file in DIR
# corpus.pl pack DIR...         the other way, to stdout, sorted
#
# A line is an input, with "\\", "\n", "\r" and "\xHH" for what would not be
# seen in a text.  What starts with "#" is a remark.

use strict;
use warnings;

use Digest::SHA qw(sha1_hex);

my ($what, @args) = @ARGV;

if (($what // '') eq 'unpack' && @args == 2) {
    unpack_file(@args);

} elsif (($what // '') eq 'pack' && @args) {
    print sort map { pack_file($_) } map { glob "$_/*" } @args;

} else {
    die "usage: $0 unpack FILE DIR | pack DIR...\n";
}


sub unpack_file {
    my ($file, $dir) = @_;
    my $n = 0;

    mkdir $dir;
    open my $in, '<', $file or die "$file: $!\n";

    while (<$in>) {
        chomp;
        next if /^#/;

        my %plain = (n => "\n", r => "\r", '\\' => '\\');
        s/\\(?:x([0-9a-f]{2})|([nr\\]))/
          defined $1 ? chr hex $1 : $plain{$2}/gex;

        my $name = "$dir/" . sha1_hex($_);
        open my $out, '>:raw', $name or die "$name: $!\n";
        print $out $_;
        close $out or die "$name: $!\n";
        $n++;
    }

    die "$file: no inputs\n" if !$n;
}


sub pack_file {
    my ($file) = @_;
    my %escape = ("\n" => '\\n', "\r" => '\\r', '\\' => '\\\\');

    open my $in, '<:raw', $file or die "$file: $!\n";
    my $text = do { local $/; <$in> } // '';

    $text =~ s/([^ -\[\]-~])/$escape{$1} || sprintf '\x%02x', ord $1/ge;
    $text =~ s/^#/\\x23/;

    return "$text\n";
}
