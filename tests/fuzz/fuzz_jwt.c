
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * The input is a letter and what it stands for:
 *
 *   K  a JWK set
 *   R  a token, which nobody has signed: none is right
 *   S  two bytes, a header and, behind a newline, claims: signed here with
 *      a key of the set; with the bytes, one of the token is then changed,
 *      unless the first is a letter
 *
 * What comes of the last is compared with what jansson reads in the claims.
 */


#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include "fuzz.h"
#include "mtd_bearer.h"


#define FUZZ_NOW     1790000000
#define FUZZ_ALL     ((1u << MTD_JWT_ALGORITHM_N) - 1)
#define FUZZ_TENANT  "11111111-2222-3333-4444-555555555555"


int LLVMFuzzerInitialize(int *argc, char ***argv);


static EVP_PKEY            *fuzz_key;
static mtd_jwt_keys_t      *fuzz_keys;

static const char * const   fuzz_types[] = { "JWT", "at+jwt", NULL };

static mtd_bearer_rules_t   fuzz_rules = {
    FUZZ_ALL, 1, 1, 60,
    { 9, (u_char *) "https://i" }, { { 9, (u_char *) "https://a" } },
    { sizeof(FUZZ_TENANT) - 1, (u_char *) FUZZ_TENANT }, "deviceid", "upn"
};


static size_t
fuzz_encode(char *to, const u_char *p, size_t len)
{
    size_t  i, n;

    n = EVP_EncodeBlock((u_char *) to, p, (int) len);

    while (n && to[n - 1] == '=') {
        n--;
    }

    for (i = 0; i < n; i++) {
        to[i] = (to[i] == '+') ? '-' : (to[i] == '/') ? '_' : to[i];
    }

    to[n] = '\0';

    return n;
}


int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
    char         set[512], x[64], y[64];
    u_char       point[65];
    size_t       len;
    const char  *why;

    fuzz_key = EVP_EC_gen("P-256");

    fuzz_check(fuzz_key
               && EVP_PKEY_get_octet_string_param(fuzz_key,
                      OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point), &len)
               && len == 65, "no key");

    fuzz_encode(x, point + 1, 32);
    fuzz_encode(y, point + 33, 32);

    (void) snprintf(set, sizeof(set), "{\"keys\":[{\"kty\":\"EC\",\"crv\":"
                    "\"P-256\",\"kid\":\"k\",\"x\":\"%s\",\"y\":\"%s\"}]}", x,
                    y);

    fuzz_keys = mtd_jwt_keys((u_char *) set, strlen(set), FUZZ_ALL, &why);
    fuzz_check(fuzz_keys && mtd_jwt_keys_n(fuzz_keys) == 1, "no set");

    return 0;
}


/* R and S side by side behind the token's first two parts */

static size_t
fuzz_sign(char *token, size_t len)
{
    u_char         der[128], raw[64];
    size_t         n;
    EVP_MD_CTX    *ctx;
    ECDSA_SIG     *sig;
    const u_char  *p;

    n = sizeof(der);
    ctx = EVP_MD_CTX_new();

    fuzz_check(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, fuzz_key) == 1
               && EVP_DigestSign(ctx, der, &n, (u_char *) token, len) == 1,
               "not signed");
    EVP_MD_CTX_free(ctx);

    p = der;
    sig = d2i_ECDSA_SIG(NULL, &p, (long) n);

    fuzz_check(BN_bn2binpad(ECDSA_SIG_get0_r(sig), raw, 32) == 32
               && BN_bn2binpad(ECDSA_SIG_get0_s(sig), raw + 32, 32) == 32,
               "no signature");
    ECDSA_SIG_free(sig);

    token[len++] = '.';

    return len + fuzz_encode(token + len, raw, 64);
}


static int
fuzz_verify(const char *token, size_t len, json_t **claims)
{
    int          rc;
    u_char      *copy;
    const char  *why;

    copy = fuzz_copy(token, len);
    why = NULL;
    *claims = NULL;

    rc = mtd_jwt_verify(fuzz_keys, fuzz_types, copy, len, claims, &why);

    fuzz_check((rc == MTD_JWT_OK) == json_is_object(*claims), "claims");
    fuzz_check(rc == MTD_JWT_OK || (why && why[0]), "no reason");

    free(copy);

    return rc;
}


static int
fuzz_is(json_t *claims, const char *name, const char *text)
{
    json_t  *value;

    value = json_object_get(claims, name);

    return json_is_string(value) && strcmp(json_string_value(value), text) == 0
           && json_string_length(value) == strlen(text);
}


/* what a token must say before it is believed */

static void
fuzz_bearer(const char *token, size_t len, json_t *claims)
{
    int            rc;
    u_char        *copy;
    size_t         i, n;
    json_t        *aud, *exp;
    const char    *why;
    mtd_bearer_t   bearer;

    copy = fuzz_copy(token, len);
    why = NULL;

    rc = mtd_bearer_parse(&bearer, &fuzz_rules, fuzz_keys, copy, len, FUZZ_NOW,
                          &why);
    free(copy);

    fuzz_check((why == NULL) == (rc == MTD_BEARER_OK), "why");
    fuzz_check(bearer.device_len <= MTD_BEARER_DEVICE_MAX
               && bearer.user_len <= MTD_BEARER_USER_MAX, "lengths");

    if (rc == MTD_BEARER_MALFORMED || rc == MTD_BEARER_FOREIGN) {
        fuzz_check(bearer.device_len == 0 && bearer.user_len == 0,
                   "a device of a token that is not believed");
        return;
    }

    fuzz_check(fuzz_is(claims, "iss", "https://i"), "another issuer");

    aud = json_object_get(claims, "aud");
    n = fuzz_is(claims, "aud", "https://a");

    for (i = 0; i < json_array_size(aud); i++) {
        n += json_is_string(json_array_get(aud, i))
             && strcmp(json_string_value(json_array_get(aud, i)), "https://a")
                == 0;
    }

    fuzz_check(n, "another audience");

    exp = json_object_get(claims, "exp");

    fuzz_check(rc != MTD_BEARER_OK
               || (json_is_number(exp)
                   && json_number_value(exp) > FUZZ_NOW - 60 - 1),
               "it has expired");
    fuzz_check(bearer.device_len == 0 || bearer.device_len == 36, "no GUID");
}


static void
fuzz_signed(const uint8_t *data, size_t size)
{
    int         rc;
    char        token[MTD_JWT_MAX + 256];
    size_t      len, at;
    json_t     *claims;
    mtd_str_t   header;
    uint8_t     change, how;

    if (size < 2) {
        return;
    }

    change = data[0];
    how = data[1];
    data += 2;
    size -= 2;

    header = fuzz_line(&data, &size);

    if (header.len > 1024 || size > 3072) {
        return;
    }

    len = fuzz_encode(token, header.data, header.len);
    token[len++] = '.';
    len += fuzz_encode(token + len, data, size);
    len = fuzz_sign(token, len);

    rc = fuzz_verify(token, len, &claims);

    if (rc == MTD_JWT_OK) {
        json_t  *mine;

        mine = json_loadb((char *) data, size, JSON_REJECT_DUPLICATES, NULL);
        fuzz_check(mine && json_equal(mine, claims), "other claims");

        fuzz_bearer(token, len, mine);
        json_decref(mine);
        json_decref(claims);

        /* any byte that is not what was signed */

        if (change < 0x20 && how) {
            at = (len - 1) * change / 0x1f;
            token[at] ^= how;

            fuzz_check(fuzz_verify(token, len, &claims) != MTD_JWT_OK,
                       "a token that was changed");
        }
    }
}


static void
fuzz_set(const uint8_t *data, size_t size)
{
    u_char          *copy;
    const char      *why;
    mtd_jwt_keys_t  *keys;

    copy = fuzz_copy(data, size);
    why = NULL;

    keys = mtd_jwt_keys(copy, size, FUZZ_ALL, &why);

    if (keys) {
        fuzz_check(mtd_jwt_keys_n(keys) > 0
                   && mtd_jwt_keys_n(keys) <= MTD_JWT_KEYS_MAX, "keys");
        mtd_jwt_keys_free(keys);

    } else {
        fuzz_check(why && why[0], "no reason");
    }

    free(copy);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t  *claims;

    if (fuzz_key == NULL) {
        (void) LLVMFuzzerInitialize(NULL, NULL);
    }

    switch (size ? data[0] : 0) {

    case 'K':
        fuzz_set(data + 1, size - 1);
        break;

    case 'R':
        fuzz_check(fuzz_verify((char *) data + 1, size - 1, &claims)
                   != MTD_JWT_OK, "a token that nobody has signed");
        break;

    case 'S':
        fuzz_signed(data + 1, size - 1);
        break;
    }

    ERR_clear_error();

    return 0;
}
