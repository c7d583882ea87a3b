
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "mtd_jwt.h"


#define MTD_JWT_HEADER_MAX     1024         /* bytes, decoded */
#define MTD_JWT_SIGNATURE_MAX  (MTD_JWT_RSA_MAX / 8)
#define MTD_JWT_EC_MAX         48           /* bytes of a coordinate */
#define MTD_JWT_EXPONENT_MAX   8
#define MTD_JWT_DER_MAX        (MTD_JWT_RSA_MAX / 8 + 64)


typedef struct {
    size_t         len;
    u_char         kid[MTD_JWT_KID_MAX];
    unsigned       algorithm;               /* mtd_jwt_algorithm_e */
    size_t         size;                    /* of a signature, bytes */
    EVP_PKEY      *key;
} mtd_jwt_key_t;


struct mtd_jwt_keys_s {
    unsigned       algorithms;
    unsigned       n;
    mtd_jwt_key_t  key[MTD_JWT_KEYS_MAX];
};


typedef struct {
    const char    *name;
    const char    *curve;                   /* NULL: RSA */
    size_t         size;                    /* of a coordinate */
    unsigned       pss;
} mtd_jwt_method_t;


/* the parts of a token, still encoded */

typedef struct {
    mtd_str_t      header;
    mtd_str_t      claims;
    mtd_str_t      signature;
    mtd_str_t      input;                   /* what is signed */
} mtd_jwt_parts_t;


static const char *mtd_jwt_key(mtd_jwt_keys_t *keys, json_t *jwk);
static int mtd_jwt_key_algorithm(const mtd_jwt_keys_t *keys, json_t *jwk,
    const char *curve);
static EVP_PKEY *mtd_jwt_rsa(json_t *jwk, size_t *size);
static EVP_PKEY *mtd_jwt_ec(json_t *jwk, const mtd_jwt_method_t *method);
static u_char *mtd_jwt_der(u_char *p, unsigned tag, size_t len);
static u_char *mtd_jwt_der_number(u_char *p, const u_char *n, size_t len);
static size_t mtd_jwt_der_size(size_t len);
static EVP_PKEY *mtd_jwt_public_key(const u_char *der, size_t len);
static const char *mtd_jwt_split(mtd_jwt_parts_t *parts, const u_char *token,
    size_t len);
static int mtd_jwt_header(const mtd_jwt_keys_t *keys,
    const char *const *types, const mtd_str_t *text,
    const mtd_jwt_key_t **key, const char **why);
static int mtd_jwt_header_key(const mtd_jwt_keys_t *keys, json_t *header,
    const mtd_jwt_key_t **key, const char **why);
static const char *mtd_jwt_header_type(const char *const *types,
    json_t *header);
static int mtd_jwt_signature(const mtd_jwt_key_t *key,
    const mtd_jwt_parts_t *parts);
static u_char *mtd_jwt_ecdsa(const u_char *p, size_t len, int *size);
static int mtd_jwt_check(const mtd_jwt_key_t *key, const u_char *signature,
    size_t len, const mtd_str_t *input);
static json_t *mtd_jwt_json(const u_char *p, size_t len);


static const mtd_jwt_method_t  mtd_jwt_methods[] = {
    { "RS256", NULL, 0, 0 },
    { "RS384", NULL, 0, 0 },
    { "RS512", NULL, 0, 0 },
    { "PS256", NULL, 0, 1 },
    { "ES256", "P-256", 32, 0 },
    { "ES384", "P-384", 48, 0 }
};


/* what would name a key, or change how a token is to be read */

static const char *const  mtd_jwt_refused[] = {
    "crit", "jwk", "jku", "x5u", "x5c", "b64", "enc", "zip", NULL
};


int
mtd_jwt_algorithm(const char *name, size_t len)
{
    int  i;

    for (i = 0; i < MTD_JWT_ALGORITHM_N; i++) {
        if (strlen(mtd_jwt_methods[i].name) == len
            && memcmp(mtd_jwt_methods[i].name, name, len) == 0)
        {
            return i;
        }
    }

    return -1;
}


mtd_jwt_keys_t *
mtd_jwt_keys(const u_char *p, size_t len, unsigned algorithms,
    const char **why)
{
    size_t           i;
    json_t          *set, *list;
    mtd_jwt_keys_t  *keys;

    keys = NULL;
    *why = NULL;

    set = mtd_jwt_json(p, len);
    list = json_object_get(set, "keys");

    if (!json_is_array(list)) {
        *why = "it is no JSON object with an array \"keys\"";
        goto done;
    }

    keys = calloc(1, sizeof(mtd_jwt_keys_t));

    if (keys == NULL) {
        *why = "there is no memory";
        goto done;
    }

    keys->algorithms = algorithms;

    for (i = 0; i < json_array_size(list) && *why == NULL; i++) {
        *why = mtd_jwt_key(keys, json_array_get(list, i));
    }

    if (*why == NULL && keys->n == 0) {
        *why = "no key in it fits the algorithms";
    }

    if (*why) {
        mtd_jwt_keys_free(keys);
        keys = NULL;
    }

done:

    json_decref(set);
    ERR_clear_error();

    return keys;
}


unsigned
mtd_jwt_keys_n(const mtd_jwt_keys_t *keys)
{
    return keys->n;
}


void
mtd_jwt_keys_free(mtd_jwt_keys_t *keys)
{
    unsigned  i;

    for (i = 0; i < keys->n; i++) {
        EVP_PKEY_free(keys->key[i].key);
    }

    free(keys);
}


/* returns what is wrong, or NULL, also for a key that is passed over */

static const char *
mtd_jwt_key(mtd_jwt_keys_t *keys, json_t *jwk)
{
    int                      algorithm;
    size_t                   len;
    unsigned                 i;
    const char              *kty, *use, *curve, *kid;
    mtd_jwt_key_t           *key;
    const mtd_jwt_method_t  *method;

    kty = json_string_value(json_object_get(jwk, "kty"));
    use = json_string_value(json_object_get(jwk, "use"));
    curve = json_string_value(json_object_get(jwk, "crv"));

    if (kty == NULL) {
        return "a key has no \"kty\"";
    }

    if (strcmp(kty, "RSA") == 0) {
        curve = NULL;

    } else if (strcmp(kty, "EC") != 0 || curve == NULL) {
        return NULL;
    }

    if (json_object_get(jwk, "use") && (use == NULL || strcmp(use, "sig"))) {
        return NULL;
    }

    if (json_object_get(jwk, "d")) {
        return "a key in it is private";
    }

    algorithm = mtd_jwt_key_algorithm(keys, jwk, curve);

    if (algorithm == -1) {
        return NULL;
    }

    if (algorithm == -2) {
        return "a key without \"alg\" fits several of the algorithms";
    }

    kid = json_string_value(json_object_get(jwk, "kid"));
    len = json_string_length(json_object_get(jwk, "kid"));

    if (kid == NULL || len == 0 || len > MTD_JWT_KID_MAX) {
        return "a key has no \"kid\" of 1 to 256 bytes";
    }

    for (i = 0; i < keys->n; i++) {
        if (keys->key[i].len == len
            && memcmp(keys->key[i].kid, kid, len) == 0)
        {
            return "two keys have the same \"kid\"";
        }
    }

    if (keys->n == MTD_JWT_KEYS_MAX) {
        return "it has more than 64 keys";
    }

    method = &mtd_jwt_methods[algorithm];
    key = &keys->key[keys->n];

    key->size = 2 * method->size;
    key->key = curve ? mtd_jwt_ec(jwk, method) : mtd_jwt_rsa(jwk, &key->size);

    if (key->key == NULL) {
        return curve ? "a key is no point of its curve"
                     : "a key is no RSA key of 2048 to 8192 bits";
    }

    key->algorithm = algorithm;
    key->len = len;
    memcpy(key->kid, kid, len);

    keys->n++;

    return NULL;
}


/* -1: none that is allowed, -2: more than one */

static int
mtd_jwt_key_algorithm(const mtd_jwt_keys_t *keys, json_t *jwk,
    const char *curve)
{
    int                      i, found;
    json_t                  *alg;
    const mtd_jwt_method_t  *method;

    alg = json_object_get(jwk, "alg");
    found = -1;

    for (i = 0; i < MTD_JWT_ALGORITHM_N; i++) {
        method = &mtd_jwt_methods[i];

        if ((keys->algorithms & (1u << i)) == 0
            || (curve == NULL) != (method->curve == NULL)
            || (curve && strcmp(curve, method->curve) != 0))
        {
            continue;
        }

        if (alg && (!json_is_string(alg)
                    || strcmp(json_string_value(alg), method->name) != 0))
        {
            continue;
        }

        if (found != -1) {
            return -2;
        }

        found = i;
    }

    return found;
}


/* the bytes of a member in base64url, or -1 */

static int
mtd_jwt_member(u_char *to, json_t *jwk, const char *name, size_t max)
{
    int      len;
    json_t  *text;

    text = json_object_get(jwk, name);

    if (!json_is_string(text) || json_string_length(text) == 0
        || json_string_length(text) > (max * 4 + 2) / 3)
    {
        return -1;
    }

    len = mtd_jwt_decode(to, (const u_char *) json_string_value(text),
                         json_string_length(text));

    return (len < 0 || (size_t) len > max) ? -1 : len;
}


/*
 * A SubjectPublicKeyInfo (RFC 3279) made by hand is the one way in that
 * every OpenSSL has.
 */

static EVP_PKEY *
mtd_jwt_rsa(json_t *jwk, size_t *size)
{
    int        n, e;
    size_t     key, bits;
    u_char     modulus[MTD_JWT_RSA_MAX / 8 + 1];
    u_char     exponent[MTD_JWT_EXPONENT_MAX + 1];
    u_char     der[MTD_JWT_DER_MAX], *p;
    EVP_PKEY  *pkey;

    static const u_char  algorithm[] = {
        0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01,
        0x01, 0x01, 0x05, 0x00
    };

    n = mtd_jwt_member(modulus, jwk, "n", MTD_JWT_RSA_MAX / 8);
    e = mtd_jwt_member(exponent, jwk, "e", MTD_JWT_EXPONENT_MAX);

    /* odd, the first byte is not 0 (RFC 7518, 6.3.1), e is not 1 */

    if (n < MTD_JWT_RSA_MIN / 8 || modulus[0] == 0 || (modulus[n - 1] & 1) == 0
        || e < 1 || exponent[0] == 0 || (exponent[e - 1] & 1) == 0
        || (e == 1 && exponent[0] == 1))
    {
        return NULL;
    }

    key = mtd_jwt_der_size(n + (modulus[0] >> 7))
          + mtd_jwt_der_size(e + (exponent[0] >> 7));
    bits = mtd_jwt_der_size(key) + 1;

    p = mtd_jwt_der(der, 0x30, sizeof(algorithm) + mtd_jwt_der_size(bits));
    memcpy(p, algorithm, sizeof(algorithm));
    p = mtd_jwt_der(p + sizeof(algorithm), 0x03, bits);
    *p++ = 0;
    p = mtd_jwt_der(p, 0x30, key);
    p = mtd_jwt_der_number(p, modulus, n);
    p = mtd_jwt_der_number(p, exponent, e);

    pkey = mtd_jwt_public_key(der, p - der);

    if (pkey && EVP_PKEY_bits(pkey) < MTD_JWT_RSA_MIN) {
        EVP_PKEY_free(pkey);
        return NULL;
    }

    *size = n;

    return pkey;
}


static EVP_PKEY *
mtd_jwt_ec(json_t *jwk, const mtd_jwt_method_t *method)
{
    u_char         der[128], *p;
    size_t         len;
    const u_char  *algorithm;

    static const u_char  p256[] = {
        0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01,
        0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07
    };

    static const u_char  p384[] = {
        0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01,
        0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22
    };

    algorithm = (method->size == 32) ? p256 : p384;
    len = (method->size == 32) ? sizeof(p256) : sizeof(p384);

    p = mtd_jwt_der(der, 0x30,
                    len + mtd_jwt_der_size(2 + 2 * method->size));
    memcpy(p, algorithm, len);
    p = mtd_jwt_der(p + len, 0x03, 2 + 2 * method->size);
    *p++ = 0;
    *p++ = 0x04;

    if (mtd_jwt_member(p, jwk, "x", method->size) != (int) method->size
        || mtd_jwt_member(p + method->size, jwk, "y", method->size)
           != (int) method->size)
    {
        return NULL;
    }

    return mtd_jwt_public_key(der, p + 2 * method->size - der);
}


static EVP_PKEY *
mtd_jwt_public_key(const u_char *der, size_t len)
{
    EVP_PKEY      *key;
    EVP_PKEY_CTX  *ctx;

    key = d2i_PUBKEY(NULL, &der, (long) len);

    if (key == NULL) {
        return NULL;
    }

    ctx = EVP_PKEY_CTX_new(key, NULL);

    if (ctx == NULL || EVP_PKEY_public_check(ctx) != 1) {
        EVP_PKEY_free(key);
        key = NULL;
    }

    EVP_PKEY_CTX_free(ctx);

    return key;
}


/* with tag and length */

static size_t
mtd_jwt_der_size(size_t len)
{
    return len + (len < 0x80 ? 2 : len < 0x100 ? 3 : 4);
}


static u_char *
mtd_jwt_der(u_char *p, unsigned tag, size_t len)
{
    *p++ = (u_char) tag;

    if (len >= 0x100) {
        *p++ = 0x82;
        *p++ = (u_char) (len >> 8);

    } else if (len >= 0x80) {
        *p++ = 0x81;
    }

    *p++ = (u_char) len;

    return p;
}


static u_char *
mtd_jwt_der_number(u_char *p, const u_char *n, size_t len)
{
    p = mtd_jwt_der(p, 0x02, len + (n[0] >> 7));

    if (n[0] >> 7) {
        *p++ = 0;
    }

    memcpy(p, n, len);

    return p + len;
}


int
mtd_jwt_verify(const mtd_jwt_keys_t *keys, const char *const *types,
    const u_char *token, size_t len, json_t **claims, const char **why)
{
    int                   rc;
    u_char                text[MTD_JWT_MAX];
    mtd_jwt_parts_t       parts;
    const mtd_jwt_key_t  *key;

    *claims = NULL;
    *why = mtd_jwt_split(&parts, token, len);

    if (*why) {
        return MTD_JWT_MALFORMED;
    }

    rc = mtd_jwt_header(keys, types, &parts.header, &key, why);

    if (rc != MTD_JWT_OK) {
        return rc;
    }

    if (!mtd_jwt_signature(key, &parts)) {
        *why = "the token's signature is wrong";
        return MTD_JWT_MALFORMED;
    }

    rc = mtd_jwt_decode(text, parts.claims.data, parts.claims.len);

    if (rc >= 0) {
        *claims = mtd_jwt_json(text, rc);
    }

    if (*claims == NULL) {
        *why = "the token's claims are no JSON object";
        return MTD_JWT_MALFORMED;
    }

    return MTD_JWT_OK;
}


static const char *
mtd_jwt_split(mtd_jwt_parts_t *parts, const u_char *token, size_t len)
{
    const u_char  *first, *second, *last;

    if (len > MTD_JWT_MAX) {
        return "the token is longer than 8k";
    }

    last = token + len;
    first = memchr(token, '.', len);
    second = first ? memchr(first + 1, '.', last - first - 1) : NULL;

    if (second == NULL || memchr(second + 1, '.', last - second - 1)) {
        return "the token has not three parts";
    }

    parts->header.data = (u_char *) token;
    parts->header.len = first - token;
    parts->claims.data = (u_char *) first + 1;
    parts->claims.len = second - first - 1;
    parts->signature.data = (u_char *) second + 1;
    parts->signature.len = last - second - 1;
    parts->input.data = (u_char *) token;
    parts->input.len = second - token;

    if (parts->header.len == 0 || parts->claims.len == 0
        || parts->signature.len == 0)
    {
        return "a part of the token is empty";
    }

    return NULL;
}


static int
mtd_jwt_header(const mtd_jwt_keys_t *keys, const char *const *types,
    const mtd_str_t *text, const mtd_jwt_key_t **key, const char **why)
{
    int       rc;
    u_char    buf[MTD_JWT_HEADER_MAX + 2];
    json_t   *header;
    unsigned  i;

    *why = "the token's header is no JSON object";

    if (text->len > (MTD_JWT_HEADER_MAX * 4 + 2) / 3) {
        return MTD_JWT_MALFORMED;
    }

    rc = mtd_jwt_decode(buf, text->data, text->len);
    header = (rc < 0) ? NULL : mtd_jwt_json(buf, rc);

    if (header == NULL) {
        return MTD_JWT_MALFORMED;
    }

    *why = mtd_jwt_header_type(types, header);

    for (i = 0; mtd_jwt_refused[i] && *why == NULL; i++) {
        if (json_object_get(header, mtd_jwt_refused[i])) {
            *why = "the token's header has a member that is refused";
        }
    }

    rc = *why ? MTD_JWT_MALFORMED
              : mtd_jwt_header_key(keys, header, key, why);

    json_decref(header);

    return rc;
}


static const char *
mtd_jwt_header_type(const char *const *types, json_t *header)
{
    json_t      *typ;
    unsigned     i;

    typ = json_object_get(header, "typ");

    if (typ == NULL) {
        return NULL;
    }

    for (i = 0; json_is_string(typ) && types[i]; i++) {
        if (strcasecmp(json_string_value(typ), types[i]) == 0) {
            return NULL;
        }
    }

    return "the token's \"typ\" is another";
}


static int
mtd_jwt_header_key(const mtd_jwt_keys_t *keys, json_t *header,
    const mtd_jwt_key_t **key, const char **why)
{
    int       algorithm;
    size_t    len;
    json_t   *alg, *kid;
    unsigned  i;

    alg = json_object_get(header, "alg");
    kid = json_object_get(header, "kid");

    algorithm = json_is_string(alg)
                ? mtd_jwt_algorithm(json_string_value(alg),
                                    json_string_length(alg))
                : -1;

    if (algorithm < 0 || (keys->algorithms & (1u << algorithm)) == 0) {
        *why = "the token's \"alg\" is not allowed";
        return MTD_JWT_MALFORMED;
    }

    len = json_string_length(kid);

    if (!json_is_string(kid) || len == 0 || len > MTD_JWT_KID_MAX) {
        *why = "the token has no \"kid\"";
        return MTD_JWT_MALFORMED;
    }

    for (i = 0; i < keys->n; i++) {
        if (keys->key[i].len == len
            && memcmp(keys->key[i].kid, json_string_value(kid), len) == 0)
        {
            break;
        }
    }

    if (i == keys->n) {
        *why = "the token's key is not known";
        return MTD_JWT_UNKNOWN;
    }

    *key = &keys->key[i];

    if ((*key)->algorithm != (unsigned) algorithm) {
        *why = "the token's \"alg\" is not that of its key";
        return MTD_JWT_MALFORMED;
    }

    return MTD_JWT_OK;
}


static int
mtd_jwt_signature(const mtd_jwt_key_t *key, const mtd_jwt_parts_t *parts)
{
    int      ok, len;
    u_char   raw[MTD_JWT_SIGNATURE_MAX + 2], *der;

    if (parts->signature.len > (MTD_JWT_SIGNATURE_MAX * 4 + 2) / 3) {
        return 0;
    }

    len = mtd_jwt_decode(raw, parts->signature.data, parts->signature.len);

    if (len < 0 || (size_t) len != key->size) {
        return 0;
    }

    if (mtd_jwt_methods[key->algorithm].curve == NULL) {
        ok = mtd_jwt_check(key, raw, len, &parts->input);

    } else {
        der = mtd_jwt_ecdsa(raw, len, &len);
        ok = der && mtd_jwt_check(key, der, len, &parts->input);
        OPENSSL_free(der);
    }

    /* what was wrong must not be found by who looks for errors of TLS */

    ERR_clear_error();

    return ok;
}


/* R and S side by side (RFC 7518, 3.4) to what OpenSSL takes */

static u_char *
mtd_jwt_ecdsa(const u_char *p, size_t len, int *size)
{
    u_char     *der;
    BIGNUM     *r, *s;
    ECDSA_SIG  *signature;

    der = NULL;
    signature = ECDSA_SIG_new();
    r = BN_bin2bn(p, (int) len / 2, NULL);
    s = BN_bin2bn(p + len / 2, (int) len / 2, NULL);

    if (signature == NULL || r == NULL || s == NULL
        || BN_is_zero(r) || BN_is_zero(s)
        || ECDSA_SIG_set0(signature, r, s) != 1)
    {
        BN_free(r);
        BN_free(s);
        ECDSA_SIG_free(signature);
        return NULL;
    }

    *size = i2d_ECDSA_SIG(signature, &der);

    ECDSA_SIG_free(signature);

    return (*size > 0) ? der : NULL;
}


static int
mtd_jwt_check(const mtd_jwt_key_t *key, const u_char *signature, size_t len,
    const mtd_str_t *input)
{
    int            ok;
    EVP_MD_CTX    *ctx;
    EVP_PKEY_CTX  *pctx;
    const EVP_MD  *digest;

    switch (key->algorithm) {

    case MTD_JWT_RS384:
    case MTD_JWT_ES384:
        digest = EVP_sha384();
        break;

    case MTD_JWT_RS512:
        digest = EVP_sha512();
        break;

    default:
        digest = EVP_sha256();
    }

    ctx = EVP_MD_CTX_new();

    ok = ctx
         && EVP_DigestVerifyInit(ctx, &pctx, digest, NULL, key->key) == 1
         && (!mtd_jwt_methods[key->algorithm].pss
             || (EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING) > 0
                 && EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx,
                                                     RSA_PSS_SALTLEN_DIGEST)
                    > 0))
         && EVP_DigestVerify(ctx, signature, len, input->data, input->len)
            == 1;

    EVP_MD_CTX_free(ctx);

    return ok;
}


/*
 * An object, or NULL.  The depth is looked at first: jansson goes down by
 * calling itself.
 */

static json_t *
mtd_jwt_json(const u_char *p, size_t len)
{
    size_t    i;
    json_t   *json;
    unsigned  depth, text;

    depth = 0;
    text = 0;

    for (i = 0; i < len; i++) {

        if (text) {
            if (p[i] == '\\') {
                i++;

            } else if (p[i] == '"') {
                text = 0;
            }

        } else if (p[i] == '"') {
            text = 1;

        } else if (p[i] == '{' || p[i] == '[') {

            if (++depth > MTD_JWT_DEPTH) {
                return NULL;
            }

        } else if ((p[i] == '}' || p[i] == ']') && depth) {
            depth--;
        }
    }

    json = json_loadb((const char *) p, len, JSON_REJECT_DUPLICATES, NULL);

    if (!json_is_object(json)) {
        json_decref(json);
        return NULL;
    }

    return json;
}


int
mtd_jwt_decode(u_char *to, const u_char *p, size_t len)
{
    u_char         c;
    size_t         i;
    unsigned       value, bits;
    const u_char  *start;

    start = to;
    value = 0;
    bits = 0;

    for (i = 0; i < len; i++) {
        c = p[i];

        value <<= 6;

        if (c >= 'A' && c <= 'Z') {
            value |= c - 'A';

        } else if (c >= 'a' && c <= 'z') {
            value |= c - 'a' + 26;

        } else if (c >= '0' && c <= '9') {
            value |= c - '0' + 52;

        } else if (c == '-') {
            value |= 62;

        } else if (c == '_') {
            value |= 63;

        } else {
            return -1;
        }

        bits += 6;

        if (bits >= 8) {
            bits -= 8;
            *to++ = (u_char) (value >> bits);
            value &= (1u << bits) - 1;
        }
    }

    /* a single character, or bits that say nothing */

    return (bits == 6 || value) ? -1 : (int) (to - start);
}
