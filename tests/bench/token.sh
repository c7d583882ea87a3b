#!/bin/bash

# token.sh DIR GUID: writes a key's JWK set to DIR/jwks.json and prints a token
# of the size that Entra's have, for that device.

set -euo pipefail

dir=$1 guid=$2

base64url() { openssl base64 -A | tr '+/' '-_' | tr -d '='; }

openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 \
    -out "$dir/token.pem" 2>/dev/null

modulus=$(openssl rsa -in "$dir/token.pem" -noout -modulus | cut -d= -f2 \
          | perl -pe 'chomp; $_ = pack "H*", $_' | base64url)

printf '{"keys":[{"kty":"RSA","use":"sig","kid":"k","n":"%s","e":"AQAB"}]}' \
    "$modulus" >"$dir/jwks.json"

now=$(date +%s)
header=$(printf '{"typ":"JWT","alg":"RS256","kid":"k"}' | base64url)
claims=$(printf '{"aud":"a","iss":"i","iat":%d,"nbf":%d,"exp":%d,%s,%s}' \
    "$now" "$now" $((now + 86400)) \
    "\"deviceid\":\"$guid\",\"upn\":\"u@example.com\"" \
    "\"scp\":\"$(printf 'Mail.ReadWrite %.0s' {1..50})\"" | base64url)

printf '%s.%s' "$header" "$claims" >"$dir/token.in"

printf '%s.%s.%s\n' "$header" "$claims" \
    "$(openssl dgst -sha256 -sign "$dir/token.pem" "$dir/token.in" | base64url)"
