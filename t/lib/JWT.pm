package JWT;

# Keys, JWK sets and tokens, made with openssl in a directory of the test's
# own, which is named in TEST_NGINX_KEYS.

use strict;
use warnings;

use Exporter 'import';
use File::Temp ();
use JSON::PP ();
use MIME::Base64 ();

our @EXPORT = qw(keys_file token write_keys file $guid $tenant $issuer
                 $audience);

our $guid = '0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9';
our $tenant = '11111111-2222-3333-4444-555555555555';
our $issuer = "https://sts.example/$tenant/";
our $audience = 'https://mail.example.com/';

my $dir = File::Temp->newdir;
my $json = JSON::PP->new->canonical;

chmod 0755, $dir;

$ENV{TEST_NGINX_KEYS} = "$dir";


sub file { return "$dir/$_[0]" }


sub openssl {
    my ($in, @words) = @_;

    open my $out, '>', file('in') or die "$!\n";
    binmode $out;
    print $out $in;
    close $out;

    my $text = `openssl @words <$dir/in 2>$dir/err`;
    die "openssl @words\n" if $?;

    return $text;
}


sub base64url { return MIME::Base64::encode_base64url($_[0]) }


# the private key of a name, "ec..." or RSA

sub private {
    my ($name) = @_;

    my $path = file("$name.pem");

    if (!-e $path) {
        openssl('', $name =~ /^ec/
            ? "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out $path"
            : "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out $path");
    }

    return $path;
}


sub jwk {
    my ($name, $kid) = @_;

    my $path = private($name);

    if ($name =~ /^ec/) {
        my $der = openssl('', "pkey -in $path -pubout -outform DER");
        return { kty => 'EC', crv => 'P-256', kid => $kid,
                 x => base64url(substr $der, -64, 32),
                 y => base64url(substr $der, -32) };
    }

    my ($hex) = openssl('', "rsa -in $path -noout -modulus") =~ /=(\w+)/;

    return { kty => 'RSA', use => 'sig', kid => $kid, e => 'AQAB',
             n => base64url(pack 'H*', $hex) };
}


sub write_keys {
    my ($file, %keys) = @_;

    write_text($file, $json->encode(
        { keys => [ map { jwk($keys{$_}, $_) } sort keys %keys ] }));
}


# a file is replaced, never changed while it is read

sub write_text {
    my ($file, $text) = @_;

    open my $out, '>', file("$file.new") or die "$!\n";
    print $out $text;
    close $out;
    rename file("$file.new"), file($file) or die "$!\n";
}


sub keys_file { write_text(@_) }


# Claims that are right, changed by %claims; an undefined one goes.  Of the
# header: _alg, _kid, _key (the name of the key that signs), _header.

sub token {
    my (%claims) = @_;

    my $key = delete $claims{_key} || 'rsa';
    my $alg = delete $claims{_alg} || ($key =~ /^ec/ ? 'ES256' : 'RS256');
    my $kid = exists $claims{_kid} ? delete $claims{_kid} : $key;
    my $more = delete $claims{_header} || {};
    my $now = time;

    my %all = (iss => $issuer, aud => $audience, tid => $tenant,
               iat => $now - 60, nbf => $now - 60, exp => $now + 3600,
               deviceid => $guid, %claims);

    delete $all{$_} for grep { !defined $all{$_} } keys %all;

    my %header = (typ => 'JWT', alg => $alg, kid => $kid, %$more);
    my $input = base64url($json->encode(\%header)) . '.'
                . base64url($json->encode(\%all));

    return "$input." if $alg =~ /^none$/i;

    my $signature = openssl($input, 'dgst -sha256 -sign ' . private($key));

    if ($key =~ /^ec/) {
        my ($r, $s) = $signature =~ /^\x30.\x02(.)/s
            ? (substr($signature, 4, ord $1),
               substr($signature, 6 + ord $1)) : die;
        $signature = join '', map { substr(("\0" x 32) . $_, -32) } $r, $s;
    }

    return "$input." . base64url($signature);
}


1;
