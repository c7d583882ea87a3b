#!/usr/bin/perl

# Refusals as others read them: programs that know the protocols and nothing
# of the gate.  ActiveSync by libwbxml, EWS and SharePoint's XML by libxml2,
# WebDAV by cadaver, pages by Chromium, which `make test` installs.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Gate;
use JSON::PP ();
use Servers qw(port);
use SOAP::Lite;
use Test::More;

my $eas = '/Microsoft-Server-ActiveSync';
my $soap = 'http://schemas.xmlsoap.org/soap/envelope/';

# the namespace of each, as libwbxml has it; its root element is the command.
# Find is missing: libwbxml does not know its page.

my %pages = (
    Sync => 'AirSync', FolderSync => 'FolderHierarchy',
    FolderCreate => 'FolderHierarchy', FolderDelete => 'FolderHierarchy',
    FolderUpdate => 'FolderHierarchy', MoveItems => 'Move',
    GetItemEstimate => 'GetItemEstimate',
    MeetingResponse => 'MeetingResponse', Search => 'Search',
    Settings => 'Settings', ItemOperations => 'ItemOperations',
    Provision => 'Provision', ResolveRecipients => 'ResolveRecipients',
    ValidateCert => 'ValidateCert', SendMail => 'ComposeMail',
    SmartForward => 'ComposeMail', SmartReply => 'ComposeMail',
);

my ($browser) = grep { -x } map { ("$_/chromium", "$_/google-chrome") }
                            split /:/, $ENV{PATH};

die "no Chromium, `tests/tools/deps.sh chromium` installs it\n" if !$browser;

my $port = port();
my $open = port();

backend('backend');
redis_start(sub {
    device('bad', threat => 'highSeverity');
    device('blocked', action => 'block');
    device('good');
});
start_gate();

activesync();
ews();
rest();
webdav();
pages();

is(alerts(), '', 'nothing is wrong');

done_testing();


sub start_gate {
    my $gated = join '', map { <<"END" } qw(exchange sharepoint);
server {
    listen unix:$dir/$_.sock;
    mtd p; mtd_profile $_;
    mtd_value \$http_x_device kind=serial;
    location / { proxy_pass http://backend; }
}
END

    gate(http => <<"END");
mtd_redis r { server unix:$dir/redis.sock; zone 1m; timeout 10s; }
mtd_policy p { }
mtd_identify eas value;
upstream backend { server unix:$dir/backend.sock; }
proxy_http_version 1.1;
mtd_disclose on;
$gated
# for clients that send no header: the address says which device it is

map \$server_addr \$device {
    127.0.0.2 bad;
    127.0.0.3 blocked;
    127.0.0.4 good;
}

server {
    listen 127.0.0.2:$port;
    listen 127.0.0.3:$port;
    listen 127.0.0.4:$port;
    mtd p; mtd_profile sharepoint; mtd_identify value;
    mtd_value \$device kind=serial;
    mtd_remediation http://127.0.0.1:$open/help;
    location / { proxy_pass http://backend; }
}

server {
    listen 127.0.0.1:$open;
    default_type text/html;
    location / { return 200 "<html><body>How to get help</body></html>"; }
}
END

    ok(wait_for(sub { 2 == workers() }), 'the gate is up');
}


sub post {
    my ($at, $target, @headers) = @_;
    my $link = IO::Socket::UNIX->new("$dir/$at.sock") or die $!;

    return ask($link, join "\r\n", "POST $target HTTP/1.1", 'Host: a',
                      'X-Device: bad', 'Connection: close', @headers,
                      'Content-Length: 0', '', '');
}


# what a program prints, all of it

sub output {
    my (@command) = @_;

    open my $out, '-|', 'sh', '-c', 'exec "$@" 2>&1 </dev/null', 'sh',
        @command or die $!;
    my $text = do { local $/; <$out> } // '';
    close $out;

    return $text;
}


sub xpath {
    my ($file, $path) = @_;
    my $text = output('xmllint', '--nonet', '--xpath', $path, $file);

    chomp $text;
    return $text;
}


sub activesync {
    for my $command (sort keys %pages) {
        for my $version ('14.1', '16.1') {
            my $answer = post('exchange',
                              "$eas?Cmd=$command&User=u&DeviceId=bad"
                              . '&DeviceType=t',
                              "MS-ASProtocolVersion: $version");

            is($answer->{'content-type'}, 'application/vnd.ms-sync.wbxml',
               "$command, $version: WBXML");

            unlink "$dir/answer.xml";
            spew("$dir/answer.wbxml", $answer->{body});

            my $said = output('wbxml2xml', '-l', 'ACTIVESYNC', '-m', 0, '-o',
                              "$dir/answer.xml", "$dir/answer.wbxml");
            my $xml = "$dir/answer.xml";

            ok(-s $xml, '... that libwbxml reads') or diag($said);
            is(xpath($xml, 'concat(namespace-uri(/*), local-name(/*), " ",'
                           . 'string(/*/*[local-name()="Status"]), " ",'
                           . 'count(//*))'),
               "$pages{$command}:$command 129 2", '... as blocked');
        }
    }
}


sub ews {
    my $answer = post('exchange', '/EWS/Exchange.asmx',
                      'Content-Type: text/xml');
    my $fault = join '', map { "/*[local-name()='$_' and "
                               . "namespace-uri()='$soap']" }
                         qw(Envelope Body Fault);
    my $xml = "$dir/answer.xml";

    is($answer->{status}, 500, 'EWS: a fault');
    spew($xml, $answer->{body});
    is(xpath($xml, "count($fault)"), '1', '... of SOAP 1.1');
    like(xpath($xml, "string($fault/faultcode)"), qr/:ErrorAccessDenied$/,
         '... access denied');
    like(xpath($xml, "string($fault/faultstring)"),
         qr/$answer->{'x-mtd-reference'}/, '... with the reference');

    my $som = SOAP::Deserializer->new->deserialize($answer->{body});

    like($som->faultcode, qr/ErrorAccessDenied$/, '... to SOAP::Lite, too');
}


sub rest {
    my $answer = post('sharepoint', '/_api/web', 'Accept: application/json');

    like(eval { JSON::PP::decode_json($answer->{body})
                ->{'odata.error'}{code} } // $@, qr/UnauthorizedAccess/,
         'REST: an error in JSON');

    $answer = post('sharepoint', '/_api/web', 'Accept: application/atom+xml');
    spew("$dir/answer.xml", $answer->{body});
    is(xpath("$dir/answer.xml", 'local-name(/*)'), 'error', '... in XML');
}


sub webdav {
    local $ENV{HOME} = $dir;

    my $said = output('cadaver', '-t',
                      "http://127.0.0.2:$port/sites/a/");

    like($said, qr/403 Forbidden/, 'WebDAV: cadaver is told that it may not')
        or diag($said);
    is(scalar(my @none = records('backend')), 0, '... and nothing arrives');

    output('cadaver', '-t', "http://127.0.0.4:$port/sites/a/");
    like(join('', records('backend')), qr{^(?:OPTIONS|PROPFIND) /sites/a/ }m,
         '... that of a good device goes through');
}


sub pages {
    my $page = page("http://127.0.0.3:$port/sites/a/");

    like($page, qr/Access blocked/, 'page: a browser shows it');
    like($page, qr/\b[0-9a-f]{16}\b/, '... with the reference');
    like($page, qr/admin_block/, '... and the reason');

    $page = page("http://127.0.0.2:$port/sites/a/");

    like($page, qr/How to get help/, 'page: a browser is sent to help');
    is(scalar(my @none = records('backend')), 0, '... and none arrives');

    page("http://127.0.0.4:$port/sites/a/");
    like(join('', records('backend')), qr{^GET /sites/a/ }m,
         '... that of a good device goes through');
}


# what a browser makes of a page; it may leave programs behind that hold what
# they write to, so that is a file

sub page {
    my ($url) = @_;
    my @command = ('timeout', '-k', 10, 120, $browser, '--headless',
                   '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage',
                   '--disable-background-networking',
                   '--disable-component-update', '--no-first-run',
                   '--no-proxy-server', "--user-data-dir=$dir/chromium",
                   '--dump-dom', $url);
    local $ENV{HOME} = $dir;

    system('sh', '-c', "exec \"\$@\" >$dir/page 2>$dir/page.err </dev/null",
           'sh', @command) == 0
        or diag('Chromium: ', slurp("$dir/page.err"));

    return slurp("$dir/page");
}
