#!/usr/bin/perl

# wbxml.pl encode|decode
#
# ActiveSync's bodies between the XML that people read and the WBXML 1.3 that
# phones do, stdin to stdout: as many elements as the demo's mails need.  An
# element without a prefix is of its parent's code page.

use strict;
use warnings;

my %page = (
    airsync => [0x00, {
        Sync => 0x05, Responses => 0x06, Add => 0x07, Change => 0x08,
        Delete => 0x09, Fetch => 0x0a, SyncKey => 0x0b, ClientId => 0x0c,
        ServerId => 0x0d, Status => 0x0e, Collection => 0x0f,
        CollectionId => 0x12, GetChanges => 0x13, WindowSize => 0x15,
        Commands => 0x16, Collections => 0x1c, ApplicationData => 0x1d }],
    email => [0x02, {
        DateReceived => 0x0f, Subject => 0x14, Read => 0x15, To => 0x16,
        From => 0x18 }],
    folder => [0x07, {
        DisplayName => 0x07, ServerId => 0x08, ParentId => 0x09,
        Type => 0x0a, Status => 0x0c, Changes => 0x0e, Add => 0x0f,
        SyncKey => 0x12, FolderSync => 0x16, Count => 0x17 }],
    ping => [0x0d, {
        Ping => 0x05, Status => 0x07, HeartbeatInterval => 0x08 }],
    provision => [0x0e, {
        Provision => 0x05, Policies => 0x06, Policy => 0x07,
        PolicyType => 0x08, PolicyKey => 0x09, Data => 0x0a, Status => 0x0b,
        EASProvisionDoc => 0x0d, DevicePasswordEnabled => 0x0e }],
    body => [0x11, {
        Type => 0x06, Body => 0x0a, Data => 0x0b,
        EstimatedDataSize => 0x0c }],
);

my $do = shift // '';

binmode STDIN;
binmode STDOUT;

local $/;
my $in = <STDIN> // '';

print $do eq 'encode' ? encode($in)
    : $do eq 'decode' ? decode($in) . "\n"
    : die "usage: wbxml.pl encode|decode\n";


sub encode {
    my ($xml) = @_;

    my $out = pack 'C4', 0x03, 0x01, 0x6a, 0x00;
    my $current = 0;
    my @open = ('airsync');

    $xml =~ s/<!--.*?-->//gs;

    while ($xml =~ m{<(/)?(?:(\w+):)?(\w+)(/)?>|([^<]+)}g) {
        my ($end, $prefix, $name, $empty, $text) = ($1, $2, $3, $4, $5);

        if (defined $text) {
            $text =~ s/^\s+|\s+$//g;
            $out .= "\x03$text\0" if length $text;
            next;
        }

        if ($end) {
            pop @open;
            $out .= "\x01";
            next;
        }

        $prefix //= $open[-1];

        my ($number, $tags) = @{ $page{$prefix} // die "page $prefix?\n" };
        my $tag = $tags->{$name} // die "$prefix:$name?\n";

        if ($number != $current) {
            $out .= pack 'C2', 0x00, $number;
            $current = $number;
        }

        $out .= pack 'C', $empty ? $tag : $tag | 0x40;
        push @open, $prefix if !$empty;
    }

    return $out;
}


sub decode {
    my ($data) = @_;

    my %name = map {
        my ($number, $tags) = @$_;
        map { ($number << 8 | $tags->{$_}) => $_ } keys %$tags;
    } values %page;

    $data =~ s/^\x03.\x6a\x00//s or die "this is not WBXML\n";

    my ($xml, $current, @open) = ('', 0);

    while (length $data) {
        my $byte = ord substr $data, 0, 1, '';

        if ($byte == 0x00) {
            $current = ord substr $data, 0, 1, '';

        } elsif ($byte == 0x01) {
            my $name = pop @open // die "an end without a start\n";
            $xml .= "</$name>";

        } elsif ($byte == 0x03) {
            $data =~ s/^([^\0]*)\0// or die "text without an end\n";
            $xml .= $1;

        } else {
            my $name = $name{$current << 8 | $byte & 0x3f}
                // sprintf 'tag%x.%02x', $current, $byte & 0x3f;

            $xml .= $byte & 0x40 ? "<$name>" : "<$name/>";
            push @open, $name if $byte & 0x40;
        }
    }

    die "elements without an end: @open\n" if @open;

    return $xml;
}
