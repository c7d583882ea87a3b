#!/usr/bin/perl

# nginx's style, as far as a machine can tell: every C file, named files only
# if there are any.

use strict;
use warnings;

use FindBin;
use File::Find;
use Test::More;

use constant FUNCTION_MAX => 150;

chdir "$FindBin::Bin/../.." or die $!;

my @files = @ARGV;

if (!@files) {
    find({ no_chdir => 1, wanted => sub {
        $File::Find::prune = 1 if m{^\./(?:build|\.git)$};
        push @files, s{^\./}{}r if -f && /\.[ch]$/;
    } }, '.');
}

plan tests => scalar @files;

for my $file (sort @files) {
    my @found = check($file);

    ok(!@found, $file) or diag(map { "$file:$_\n" } @found);
}


sub check {
    my ($file) = @_;

    open my $in, '<', $file or return "cannot be opened: $!";
    my $text = do { local $/; <$in> };

    my @found;
    my $bad = sub { push @found, "$_[0]: $_[1]" };

    $bad->(1, 'does not open with an empty line and a comment')
        if $text !~ m{\A\n/\*\n \* };
    $bad->(0, 'does not end with one newline') if $text !~ /[^\n]\n\z/;

    my @raw = split /\n/, $text, -1;

    for my $n (1 .. @raw) {
        my $line = $raw[$n - 1];

        $bad->($n, 'over 80 columns') if length $line > 80;
        $bad->($n, 'tab') if $line =~ /\t/;
        $bad->($n, 'trailing blank') if $line =~ /[ \r]$/;
        $bad->($n, 'byte that is not ASCII') if $line =~ /[^\x00-\x7f]/;
        $bad->($n, 'left to do') if $line =~ /\b(?:TODO|FIXME|XXX|HACK)\b/;
    }

    # code alone: strings, characters and comments keep their length only

    my $code = $text;

    $code =~ s{("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])+'|/\*.*?\*/|//[^\n]*)}
              {blank($1)}egs;

    my @line = split /\n/, $code, -1;
    my ($start, $name);

    for my $n (1 .. @line) {
        local $_ = $line[$n - 1];

        my $prev = $n > 1 ? $line[$n - 2] : '';

        $bad->($n, '// comment') if m{//};
        $bad->($n, 'assert') if /\bassert\s*\(/;
        $bad->($n, 'blank missing after keyword')
            if /\b(?:if|for|while|switch)\(/;
        $bad->($n, 'blanks after keyword')
            if /\b(?:if|for|while|switch)  +\(/;
        $bad->($n, 'blank after ( or before )')
            if /\((?<!for \() \S/ && !/\bfor \( ;;/ || /\S \)/ && !/;; \)/;
        $bad->($n, 'blank before a comma or semicolon')
            if /\S [,;]/ && !/\bfor \(/;
        $bad->($n, 'blank missing after a comma') if /,[^\s\\]/;
        $bad->($n, 'brace missing a blank') if /\)\{/ || /\}else|else\{/;
        $bad->($n, 'else or while not on the line of the brace')
            if /^\s*else\b/ && $prev =~ /^\s*\}\s*$/;
        $bad->($n, 'blank line missing before } else')
            if /^\s*\} else\b/ && $prev =~ /\S/;
        $bad->($n, 'condition without braces')
            if /^\s*(?:\} else )?(?:if|for|while) \(.*\)$/
               && balanced($_) && ($line[$n] // '') !~ /^\s*(?:\{|&&|\|\|)/;
        $bad->($n, 'operator at the end of a line')
            if /(?:&&|\|\|)$/;
        $bad->($n, 'indent is not of 4')
            if /^( +)(?:if|for|while|switch|return|break|continue|goto|case)\b/
               && length($1) % 4;
        $bad->($n, 'pointer written apart from its name')
            if /\b(?:u_char|char|void|int|[a-z_]+_t)\*\s*\w/;

        # functions: { and } in the first column

        if (/^\{$/) {
            my $i = $n - 2;

            $i-- while $i > 0 && $line[$i] =~ /^\s+\S/;

            if ($line[$i] =~ /^(\w+)\(/) {
                ($name, $start) = ($1, $n);

                $i--;
                $bad->($i + 1, "return type of $name is not on a line alone")
                    if $line[$i] !~ /^\w[\w \*]*$/;

                $bad->($i + 1, "two blank lines missing before $name")
                    if !two_blank(\@raw, $i);

            } elsif ($line[$i] =~ /^[\w \*]+\b(\w+)\(/) {
                $bad->($i + 1, "return type of $1 is not on a line alone");
                ($name, $start) = ($1, $n);
            }
        }

        if (/^\}/ && $start) {
            my $size = $n - $start + 1;

            $bad->($start, "$name has $size lines, over ${\ FUNCTION_MAX}")
                if $size > FUNCTION_MAX;
            undef $start;
        }
    }

    return @found;
}


# whether two blank lines stand above line index $i or above the comment
# that explains it

sub two_blank {
    my ($raw, $i) = @_;

    $i-- while $i > 0 && $raw->[$i - 1] =~ /^#/;

    return 1 if $i >= 2 && $raw->[$i - 1] eq '' && $raw->[$i - 2] eq '';

    $i-- if $raw->[$i - 1] eq '';

    if ($raw->[$i - 1] =~ m{\*/$}) {
        $i--;
        $i-- while $i > 0 && $raw->[$i] !~ m{^/\*};

        return $i >= 2 && $raw->[$i - 1] eq '' && $raw->[$i - 2] eq '';
    }

    # inside of a conditional one blank line is enough

    return $raw->[$i - 1] =~ /^#/;
}


sub balanced {
    my ($line) = @_;

    return ($line =~ tr/(//) == ($line =~ tr/)//);
}


sub blank {
    my ($s) = @_;

    return $s if $s =~ m{^//};
    return '"' . 'x' x (length($s) - 2) . '"' if $s !~ m{^/\*};

    # a comment at the end of a line leaves no blanks there

    return $s =~ s/[^\n]/ /gr =~ s/ +$//mgr;
}
