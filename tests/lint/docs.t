#!/usr/bin/perl

# What nginx parses is what docs/ describes: directives, parameters of the
# blocks, variables.  Each scenario is in their table of contents.

use strict;
use warnings;

use FindBin;
use Test::More;

chdir($ARGV[0] // "$FindBin::Bin/../..") or die $!;

my (%directive, %variable);

for my $file (glob 'module/*.c lua-free-hooks/[ir]*/*/*.c') {
    my $text = slurp($file);

    while ($text =~ /ngx_command_t\s+(\w+)\[\]\s*=\s*\{(.*?)^\};/gms) {
        my ($table, $body) = ($1, $2);
        my $block = $table =~ /^ngx_http_(mtd_\w+)_commands$/
                    && $1 =~ /^(mtd_redis|mtd_policy)$/ ? "$1: " : '';

        $directive{"$block$_"} = $file for $body =~ /\bngx_string\("(\w+)"\)/g;
    }

    while ($text =~ /ngx_http_variable_t\s+\w+\[\]\s*=\s*\{(.*?)^\};/gms) {
        $variable{$_} = $file for $1 =~ /\bngx_string\("(mtd_\w+)"\)/g;
    }
}

ok(scalar keys %directive, 'the code has directives');
ok(scalar keys %variable, 'the code has variables');

my %described = headings('docs/directives.md');

for my $name (sort keys %directive) {
    my $text = $described{$name};

    ok(defined $text, "$name ($directive{$name}) is in docs/directives.md")
        or next;

    for my $word (qw(Syntax Default Context)) {
        like($text, qr/^\W*$word\b/m, "$name has $word");
    }
}

ok($directive{$_}, "$_ of docs/directives.md is in the code")
    for sort grep { /^mtd/ } keys %described;

my %entry = map { $_ => 1 }
    slurp('docs/variables.md') =~ /^(?:\#+|\||[-*])\s*`?\$(mtd_\w+)/gm;

ok($entry{$_}, "\$$_ ($variable{$_}) is in docs/variables.md")
    for sort keys %variable;
ok($variable{$_}, "\$$_ of docs/variables.md is in the code")
    for sort keys %entry;

my %row = map { $_ => 1 }
    slurp('tests/scenarios/README.md') =~ /^\| `(.+?\.t)` \| [^|]+ \|$/gm;
my %scenario = map { s{.*/}{}r => 1 } glob 'tests/scenarios/*.t';

is_deeply([sort keys %row], [sort keys %scenario],
          'tests/scenarios/README.md names each scenario, and no other');

done_testing();


# of the third level, with the text below each

sub headings {
    my ($file) = @_;
    my (%found, $name);

    for (split /^/, slurp($file)) {

        if (/^###\s+`?(.+?)`?\s*$/) {
            $name = $1;
            $found{$name} = '';

        } elsif (/^#/) {
            undef $name;

        } elsif (defined $name) {
            $found{$name} .= $_;
        }
    }

    return %found;
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
