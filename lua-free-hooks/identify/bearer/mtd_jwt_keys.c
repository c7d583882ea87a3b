
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509.h>

#include "mtd_jwt_keys.h"


#define MTD_JWT_EXPONENT_MAX   8
#define MTD_JWT_DER_MAX        (MTD_JWT_RSA_MAX / 8 + 64)


static const char *mtd_jwt_key(mtd_jwt_keys_t *keys, json_t *jwk);
static int mtd_jwt_key_algorithm(const mtd_jwt_keys_t *keys, json_t *jwk,
    const char *curve);
static EVP_PKEY *mtd_jwt_rsa(json_t *jwk, size_t *size);
static EVP_PKEY *mtd_jwt_ec(json_t *jwk, const mtd_jwt_method_t *method);
static u_char *mtd_jwt_der(u_char *p, unsigned tag, size_t len);
static u_char *mtd_jwt_der_number(u_char *p, const u_char *n, size_t len);
static size_t mtd_jwt_der_size(size_t len);
static EVP_PKEY *mtd_jwt_public_key(const u_char *der, size_t len);


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
