
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include <string.h>
#include <strings.h>

#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "mtd_jwt_keys.h"


#define MTD_JWT_HEADER_MAX     1024         /* bytes, decoded */
#define MTD_JWT_SIGNATURE_MAX  (MTD_JWT_RSA_MAX / 8)


/* the parts of a token, still encoded */

typedef struct {
    mtd_str_t      header;
    mtd_str_t      claims;
    mtd_str_t      signature;
    mtd_str_t      input;                   /* what is signed */
} mtd_jwt_parts_t;


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


const mtd_jwt_method_t  mtd_jwt_methods[] = {
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

json_t *
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
