#!/usr/bin/perl

# What the documents say of the configuration, asked of `nginx -t`: their
# examples load, a directive is taken in the contexts that are named and in no
# other, with the default that is named, with each of the words that its syntax
# lists and with no other.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Gate;
use MIME::Base64 qw(encode_base64url);
use Test::More;

my $top = "$FindBin::Bin/../..";
my $nginx = $ENV{MTD_NGINX} || qx(sh -c 'command -v nginx')
            || '/usr/sbin/nginx';
my $load = join '', map { -f "$_.so" ? "load_module $_.so;\n" : () }
    map { "$top/build/ngx_http_mtd_${_}module" } '', 'example_';

chomp $nginx;

# what a directive that has no default is tried with

my %sample = (
    mtd_redis => 'mtd_redis other { server 127.0.0.1; }',
    mtd_policy => 'mtd_policy other { }',
    mtd => 'mtd p;',
    mtd_profile => 'mtd_profile exchange;',
    mtd_identify => 'mtd_identify eas;',
    mtd_bearer => "mtd_bearer jwks=$dir/keys.json issuer=a audience=b;",
    mtd_cloud => "mtd_cloud ranges=$dir/ranges.txt;",
    mtd_user_domain => 'mtd_user_domain A=example.com;',
    mtd_value => 'mtd_value $http_x_a kind=serial;',
    mtd_endpoint => 'mtd_endpoint /a owa;',
    mtd_remediation => 'mtd_remediation /a;',
    mtd_status => 'mtd_status;',
    mtd_health => 'mtd_health;',
);

my $global = qr/^(?:mtd_redis|mtd_policy|map|geo|limit_req_zone|log_format)\b/m;

# what has to be there, too

my $trusted = "ssl_trusted_certificate $dir/site.crt;";
my %with = (
    'mtd_redis: sentinel_user' => 'sentinel m 127.0.0.1; '
                                  . "sentinel_password file:$dir/secret;",
    'mtd_redis: sentinel_password' => 'sentinel m 127.0.0.1;',
    'mtd_redis: read' => 'sentinel m 127.0.0.1;',
    'mtd_redis: ssl on' => $trusted,
    'mtd_redis: ssl_verify' => "ssl on; $trusted",
    mtd_cloud => "mtd_identify bearer; $sample{mtd_bearer}",
);

files();
examples();
directives();
limits();

done_testing();


sub files {
    system('openssl req -x509 -newkey rsa:2048 -nodes -days 2 -batch'
           . " -subj /CN=a -keyout $dir/site.key -out $dir/site.crt"
           . " 2>$dir/openssl.err") == 0 or die slurp("$dir/openssl.err");

    my ($hex) = qx(openssl rsa -in $dir/site.key -noout -modulus) =~ /=(\w+)/;
    my $n = encode_base64url(pack 'H*', $hex);

    spew("$dir/site.pem", slurp("$dir/site.crt") . slurp("$dir/site.key"));
    spew("$dir/keys.json", qq({"keys":[{"kty":"RSA","kid":"a","e":"AQAB",)
                           . qq("n":"$n"}]}));
    spew("$dir/ranges.txt", "192.0.2.0/24\n");
    spew("$dir/secret", "a secret of the test\n");
    chmod 0600, "$dir/secret";
}


# paths of an example, by what is in the file

sub here {
    my ($text) = @_;

    $text =~ s{file:/[\w./-]+}{file:$dir/secret}g;
    $text =~ s{/etc/nginx/[\w/-]+\.(crt|key|pem)\b}{$dir/site.$1}g;
    $text =~ s{/etc/nginx/[\w/-]+\.json\b}{$dir/keys.json}g;
    $text =~ s{/etc/nginx/[\w/-]+\.txt\b}{$dir/ranges.txt}g;
    $text =~ s{/var/lib/nginx/mtd/|/var/log/nginx/|/run/}{$dir/}g;
    $text =~ s{^(?:load_module|user) .*\n}{}gm;
    $text =~ s{listen 443\b}{listen unix:$dir/site.sock};

    return $text;
}


# the messages of nginx, none if it takes that; the first main is its own

sub refused {
    my ($main) = @_;
    my $temp = join '', map { "${_}_temp_path $dir/temp;\n" }
                        qw(client_body proxy fastcgi uwsgi scgi);

    $main =~ s/^http \{/$&\naccess_log off;\n$temp/m;
    spew("$dir/nginx.conf", $load . ($main =~ /^events/m ? '' : "events { }\n")
                            . ($main =~ /^pid/m ? '' : "pid $dir/pid;\n")
                            . $main);

    my $said = qx($nginx -t -e stderr -p $dir -c $dir/nginx.conf 2>&1);

    return $? ? $said : $said =~ /\[(?:warn|error)\]/ ? $said : '';
}


sub in {
    my ($http, $server, $location) = @_;

    # pieces that are there already are not given twice

    my $all = "$http $server";
    my $redis = $http =~ /mtd_redis/ ? '' : 'mtd_redis r { server 127.0.0.1; }';
    my $users = $all =~ /mtd_user_domain/ ? 'bind_user on;' : '';
    my $policies = join '', map { "mtd_policy $_ { $users }\n" }
        grep { $all !~ /mtd_policy $_\b/ } qw(p phones strict);
    my $gate = "mtd p store=" . ($http =~ /mtd_redis (\w+)/ ? $1 : 'r') . ';';

    $gate = '' if $all =~ /(?:^|[;\s])mtd [\w\$]/m;
    $gate .= $all =~ /mtd_identify[^;]*\beas\b/ ? ' mtd_profile exchange;'
                                               : ' mtd_profile generic;'
        if $all !~ /mtd_profile/;
    $gate .= $all =~ /mtd_client_cert/ ? ' mtd_identify client_cert;'
                                       : ' mtd_identify value;'
        if $all !~ /mtd_identify/;
    $gate .= ' mtd_value $http_x_d kind=serial;'
        if $all !~ /mtd_value/ && "$all $gate" =~ /mtd_identify[^;]*\bvalue\b/;
    $gate .= ' ssl_verify_client optional;'
             . " ssl_client_certificate $dir/site.crt;"
        if "$all $gate" =~ /mtd_identify[^;]*\bclient_cert\b/
           && $all !~ /ssl_verify_client/;
    $gate .= " $sample{mtd_bearer}"
        if $all =~ /mtd_identify[^;]*\bbearer\b/ && $all !~ /mtd_bearer/;

    return refused(<<"END");
http {
    resolver 127.0.0.1;
    ssl_certificate $dir/site.crt; ssl_certificate_key $dir/site.key;
    $redis
    $policies
    $http
    upstream exchange { server 127.0.0.1:2; }
    server {
        listen unix:$dir/site.sock ssl;
        $gate
        $server
        location /here { $location }
    }
}
END
}


sub examples {
    my $n = 0;

    for my $file ("$top/README.md", glob "$top/docs/*.md") {
        my ($name) = $file =~ m{([^/]+)$};

        for (slurp($file) =~ /^```nginx\n(.*?)^```$/gms) {
            my $text = here($_);
            my $said = $text =~ /^http \{/m ? refused($text)
                     : $text =~ $global ? in($text, '', '')
                     : in('', $text . ($text =~ /^(mtd_cloud)\b/m
                                       ? $with{$1} : ''), '');

            is($said, '', "$name: " . (/(.*\S)/)[0]);
            $n++;
        }
    }

    cmp_ok($n, '>', 15, "$n examples");
}


sub directives {
    my $text = slurp("$top/docs/directives.md");
    my $n = 0;

    while ($text =~ /^### `(.+?)`\n(.*?)(?=^#)/gms) {
        my ($name, $body) = ($1, $2);
        my ($syntax, $default, $contexts) = map {
            ($body =~ /^\*\*$_:\*\* (.*?)\n\n/ms)[0]
        } qw(Syntax Default Context);
        my ($block, $directive) = $name =~ /^(?:(\w+): )?(\w+)$/;
        my ($value) = $default =~ /^`(.*)`/;

        $n++;

        if ($block) {
            parameter($name, $block, $directive, $value) if $value;

        } elsif ($sample{$name} || $value) {
            contexts($name, $sample{$name} || $value, split /, /, $contexts);
            taken("$name: its default", $name, $value) if $value;

        } else {
            fail("$name: there is no sample");
        }

        words($name, $block, $directive, $syntax);
    }

    cmp_ok($n, '>', 50, "$n directives and parameters");
}


sub parameter {
    my ($name, $block, $directive, $value) = @_;

    is(block($block, "$value " . ($with{$name} // '')), '',
       "$name: its default");
}


sub block {
    my ($block, $text) = @_;

    $text .= ' server 127.0.0.1;'
        if $block eq 'mtd_redis' && $text !~ /\b(?:sentinel|server) /;

    return in("$block p { $text }", '', '');
}


sub contexts {
    my ($name, $text, @contexts) = @_;
    my %is = map { $_ => 1 } @contexts;

    for my $context (qw(http server location)) {
        my $said = in(map { $_ eq $context ? $text : '' }
                      qw(http server location));
        my $misplaced = $said =~ /"$name" directive is not allowed here/;

        is($misplaced ? 'no' : 'yes', $is{$context} ? 'yes' : 'no',
           "$name in $context") or diag($said);
    }

    like(refused("$text\nhttp { }\n"), qr/"$name" directive is not allowed/,
         '... and not in main');
}


# what is just taken, and what is not any more

sub limits {
    my $bearer = 'mtd_identify bearer; ' . $sample{mtd_bearer} =~ s/;$//r;
    my @hosts = map { "127.0.0.1:$_" } 0 .. 257;

    my $more = 'server a; } mtd_redis';

    for ([mtd_redis => 'a name', map({ "$more $_ { server a;" }
              'n' x 64, 'n' x 65)],
         [mtd_redis => 'a name', map({ "$more $_ { server a;" } 'of', 'off')],
         [mtd_policy => 'a name', map({ "} mtd_policy $_ {" } 'n' x 64, 'n.')],
         [mtd_redis => 'servers', map({ my $n = $_; 'cluster on; '
              . join ' ', map { "server $_;" } @hosts[1 .. $n] } 256, 257)],
         [mtd_redis => 'Sentinels',
              map { "sentinel m @hosts[1 .. $_];" } 16, 17],
         [mtd_redis => 'database', map { "database $_;" } 65535, 65536],
         [mtd_redis => 'prefix', map { 'prefix ' . 'p' x $_ . ';' } 64, 65],
         [mtd_redis => 'zone', map { "zone $_;" } '256k', '255k'],
         [mtd_redis => 'key_secret', map { secret($_, 'key_secret') } 16, 15],
         [mtd_redis => 'key_secret', map { secret($_, 'key_secret') } 256, 257],
         [mtd_redis => 'password', map { secret($_, 'password') } 4094, 4095],
         [mtd_redis => 'stale, for fresh', 'stale 10m;', 'stale 599s;'],
         [mtd_redis => 'fresh, for stale', 'fresh 4h;', 'fresh 14401s;'],
         [mtd_redis => 'stale, for ttl', 'stale 30d;', 'stale 2592001s;'],
         [undef, 'hooks', 'mtd_identify eas value client_cert bearer;',
              'mtd_identify eas value client_cert bearer example;'],
         [undef, 'leeway', map { "$bearer leeway=$_;" } '10m', '601s'],
         [undef, 'audiences',
              map { $bearer . ' audience=c' x $_ . ';' } 7, 8])
    {
        my ($block, $name, $good, $bad) = @$_;

        taken("$name: that is the limit", $block, $good);
        like(try($block, $bad), qr/\[emerg\]/, '... and that is beyond it');
    }
}


# a file of that many bytes, and the parameter for it

sub secret {
    my ($n, $name) = @_;
    my $file = "$dir/secret.$name.$n";

    spew($file, 's' x $n . "\n");
    chmod 0600, $file;

    return "$name file:$file;";
}


# words with a bar between them, and one that is none of them

sub words {
    my ($name, $block, $directive, $syntax) = @_;
    my ($words) = $syntax =~ /^`$directive (\w+(?: \| \w+)+);`$/ or return;

    for my $word (split / \| /, $words) {
        taken("$name $word", $block, "$directive $word;",
              $with{"$name $word"} // $with{$name});
    }

    my $said = try($block, "$directive other;", $with{$name});

    like($said, qr/\[emerg\].*other/, "$name: no other word");
}


sub try {
    my ($block, $text, $more) = @_;

    return ($block // '') =~ /^mtd_(?:redis|policy)$/
           ? block($block, "$text " . ($more // '')) : in('', $text, '');
}


sub taken {
    my ($what, @tried) = @_;

    is(try(@tried), '', $what);
}
