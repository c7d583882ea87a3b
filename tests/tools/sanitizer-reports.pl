#!/usr/bin/perl

# sanitizer-reports.pl DIR: prints the reports that count and fails if there
# are any.  What does not count: undefined behaviour at a line of nginx's own
# (their paths are relative, ours are not), and the leak of main()'s own first
# pool when nginx refuses to start.

use strict;
use warnings;

my ($dir) = @ARGV;
my $bad = 0;

for my $file (glob "$dir/*") {
    open my $in, '<', $file or die "$file: $!\n";
    my $text = do { local $/; <$in> } // '';

    # reports of undefined behaviour, with their stacks

    $text =~ s/^src\/\S+: runtime error:.*\n(?:(?:[ ]+\S.*)?\n)*//mg;

    $text =~ s/^(?:Direct|Indirect)\ leak\ of\ .*\n
               (?:\s+\#\d+\ .*(?:malloc|calloc|posix_memalign|memalign
                                   |ngx_alloc|ngx_memalign
                                   |ngx_create_pool)\b.*\n)+
               \s+\#\d+\ .*\bin\ main\b.*\n
               (?:\s+\#\d+\ .*\n)*\n?//mgx;

    next if $text !~ /runtime error:|ERROR: (?!LeakSanitizer)|leak of /;

    print "$file:\n$text\n";
    $bad++;
}

print "$bad reports of sanitizers\n" if $bad;
exit($bad ? 1 : 0);
