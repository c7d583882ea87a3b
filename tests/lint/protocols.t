#!/usr/bin/perl

# What docs/protocols.md says of profiles is what module/mtd_profile.c has:
# every path, with its protocol and access, every refused segment and every
# header, in the section of its profile and nothing else.

use strict;
use warnings;

use FindBin;
use Test::More;

chdir($ARGV[0] // "$FindBin::Bin/../..") or die $!;

my $code = slurp('module/mtd_profile.c');
my $docs = slurp('docs/protocols.md');

my %access = (MTD_GATED => 'gated', MTD_OPEN => 'open',
              MTD_REFUSED => 'refused');
my %methods;

while ($code =~ /^#define (READ|FORM|REST|RPC|HTTP)\b/gm) {
    $methods{$1} = 1;
}

for my $profile (qw(exchange sharepoint)) {
    my %told = rows($profile);
    my %is;

    for my $table (grep { defined } map { table("mtd_${profile}_$_") }
                   qw(endpoints segments))
    {
        while ($table =~ /mtd_text\("([^"]+)"\),\s*MTD_PROTOCOL_(\w+),
                          \s*(MTD_\w+),\s*([^,]*),\s*(\w+)\s*\}/gx)
        {
            my ($path, $protocol, $allowed, $flags, $names)
                = ($1, lc $2, $access{$3}, $4, $5);

            $is{$path} = join ' ', $protocol, $allowed,
                              $flags =~ /EXACT|EAS/ ? 'exact' : (),
                              $flags =~ /STRICT/ ? 'strict' : (),
                              $methods{$names} ? $names : ();
        }
    }

    $is{$_} = 'other refused' for texts(table("mtd_${profile}_refused"));

    ok(scalar keys %is, "$profile has paths");
    is($told{$_}, $is{$_}, "$profile: $_") for sort keys %is;
    ok($is{$_}, "$profile: $_ of the docs is in the code")
        for sort keys %told;
}


my ($headers) = $docs =~ /^## Headers that are taken away\n(.*)/ms;
my ($common) = $code =~ /^#define MTD_STRIPPED_COMMON(.*?)\n\n/ms;
my %text = (
    'In all profiles'      => $common,
    'In `exchange` also'   => table('mtd_exchange_stripped'),
    'In `sharepoint` also' => table('mtd_sharepoint_stripped')
);

for my $title (sort keys %text) {
    my ($list) = ($headers // '') =~ /^\Q$title\E:\n(.*?)\./ms;

    is_deeply([sort(($list // '') =~ /`([^`]+)`/g)],
              [sort(texts($text{$title}))], "headers: $title");
}

done_testing();


# path -> "protocol access ..." of a profile's tables in the docs

sub rows {
    my ($profile) = @_;
    my ($section) = $docs =~ /^### \Q$profile\E\n(.*?)(?=^\#)/ms;
    my (%row, $same);

    for (split /\n/, $section // '') {
        my ($paths, $protocol, $access, $methods)
            = /^\| (.*`.*) \| (\w+) \| (.*?) \|\s*(\w*) ?\|$/ or next;

        $access = $same if $access eq 'the same';
        $same = $access;

        my $text = join ' ', $protocol, $access =~ /^(\w+)/,
                        $paths =~ /, exact$/ ? 'exact' : (),
                        $access =~ /strict/ ? 'strict' : (),
                        $methods || ();

        $row{$_} = $text for $paths =~ /`([^`]+)`/g;
    }

    return %row;
}


sub table {
    my ($name) = @_;

    return $code =~ /\b\Q$name\E\[\] = \{(.*?)^\};/ms ? $1 : undef;
}


sub texts {
    my ($text) = @_;

    return ($text // '') =~ /mtd_text\("([^"]+)"\)/g;
}


sub slurp {
    my ($file) = @_;

    open my $in, '<', $file or do {
        fail("$file: $!");
        return '';
    };

    local $/;
    return scalar <$in>;
}
