
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include "jwt.h"


EVP_PKEY  *jwt_key[TEST_KEYS];


int
jwt_make_keys(void)
{
    unsigned  i;

    for (i = 0; i < TEST_KEYS; i++) {
        jwt_key[i] = (i < TEST_P256)
                     ? EVP_RSA_gen(i == TEST_RSA_SMALL ? 1024 : 2048)
                     : EVP_EC_gen(i == TEST_P256 ? "P-256" : "P-384");

        if (jwt_key[i] == NULL) {
            return -1;
        }
    }

    return 0;
}


void
jwt_free_keys(void)
{
    unsigned  i;

    for (i = 0; i < TEST_KEYS; i++) {
        EVP_PKEY_free(jwt_key[i]);
    }
}


size_t
jwt_encode(char *to, const u_char *p, size_t len)
{
    size_t  n;
    char    *c;

    n = EVP_EncodeBlock((u_char *) to, p, (int) len);

    while (n && to[n - 1] == '=') {
        n--;
    }

    to[n] = '\0';

    for (c = to; *c; c++) {
        *c = (*c == '+') ? '-' : (*c == '/') ? '_' : *c;
    }

    return n;
}


static const EVP_MD *
jwt_digest(const char *header)
{
    return strstr(header, "384") ? EVP_sha384()
           : strstr(header, "512") ? EVP_sha512() : EVP_sha256();
}


/* what OpenSSL gives out to R and S side by side, or to what attacks use */

static size_t
jwt_raw(u_char *signature, size_t len, size_t half, jwt_form_e form)
{
    ECDSA_SIG     *sig;
    const u_char  *p;

    if (form == TEST_DER) {
        return len;
    }

    p = signature;
    sig = d2i_ECDSA_SIG(NULL, &p, (long) len);
    assert_non_null(sig);

    assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_r(sig), signature,
                                  (int) half), half);
    assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_s(sig), signature + half,
                                  (int) half), half);

    ECDSA_SIG_free(sig);

    if (form == TEST_ZERO_R || form == TEST_ZERO_S) {
        memset(signature + (form == TEST_ZERO_S ? half : 0), 0, half);
    }

    if (form == TEST_FULL_R || form == TEST_FULL_S) {

        /* more than the order of the curve */

        memset(signature + (form == TEST_FULL_S ? half : 0), 0xff, half);
    }

    if (form == TEST_LONG) {

        /* the same numbers, a zero in front of each */

        memmove(signature + half + 2, signature + half, half);
        memmove(signature + 1, signature, half);
        signature[0] = 0;
        signature[half + 1] = 0;
        return 2 * half + 2;
    }

    return (form == TEST_SHORT) ? 2 * half - 1 : 2 * half;
}


static size_t
jwt_sign(u_char *signature, jwt_key_e key, jwt_form_e form,
    const char *header, const char *input)
{
    int            n, salt;
    u_char        *der;
    size_t         len;
    unsigned       hmac;
    EVP_MD_CTX    *ctx;
    EVP_PKEY_CTX  *pctx;

    if (form == TEST_HMAC) {

        /* with the public key, which everybody knows, as the secret */

        der = NULL;
        n = i2d_PUBKEY(jwt_key[key], &der);
        assert_true(n > 0);
        HMAC(EVP_sha256(), der, n, (const u_char *) input, strlen(input),
             signature, &hmac);
        OPENSSL_free(der);
        return hmac;
    }

    ctx = EVP_MD_CTX_new();
    len = 1024;

    assert_int_equal(EVP_DigestSignInit(ctx, &pctx, jwt_digest(header), NULL,
                                        jwt_key[key]), 1);

    if (form == TEST_PSS || form == TEST_PSS_SALT) {
        salt = (form == TEST_PSS) ? RSA_PSS_SALTLEN_DIGEST : 0;

        assert_true(EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING)
                    > 0);
        assert_true(EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, salt) > 0);
    }

    assert_int_equal(EVP_DigestSign(ctx, signature, &len,
                                    (const u_char *) input, strlen(input)),
                     1);
    EVP_MD_CTX_free(ctx);

    if (form >= TEST_RAW) {
        len = jwt_raw(signature, len, key == TEST_P384 ? 48 : 32, form);
    }

    return len;
}


void
jwt_token_n(char *token, jwt_key_e key, jwt_form_e form,
    const char *header, const char *claims, size_t len)
{
    u_char  signature[1024];
    char   *p;

    p = token;
    p += jwt_encode(p, (const u_char *) header, strlen(header));
    *p++ = '.';
    p += jwt_encode(p, (const u_char *) claims, len);

    len = jwt_sign(signature, key, form, header, token);

    *p++ = '.';
    (void) jwt_encode(p, signature, len);
}


void
jwt_token(char *token, jwt_key_e key, jwt_form_e form, const char *header,
    const char *claims)
{
    jwt_token_n(token, key, form, header, claims, strlen(claims));
}


void
jwt_jwk(char *to, jwt_key_e key, const char *kid, const char *more)
{
    int      size, i;
    char     text[2][1400];
    u_char   buf[1024];
    BIGNUM  *n;

    static const char *const  names[2][2] = {
        { OSSL_PKEY_PARAM_RSA_N, OSSL_PKEY_PARAM_RSA_E },
        { OSSL_PKEY_PARAM_EC_PUB_X, OSSL_PKEY_PARAM_EC_PUB_Y }
    };

    for (i = 0; i < 2; i++) {
        n = NULL;
        assert_int_equal(EVP_PKEY_get_bn_param(jwt_key[key],
                                               names[key >= TEST_P256][i],
                                               &n), 1);
        size = (key == TEST_P256) ? 32 : (key == TEST_P384) ? 48
                                                            : BN_num_bytes(n);
        assert_int_equal(BN_bn2binpad(n, buf, size), size);
        BN_free(n);
        (void) jwt_encode(text[i], buf, size);
    }

    if (key >= TEST_P256) {
        sprintf(to, "{\"kty\":\"EC\",\"crv\":\"%s\",\"x\":\"%s\",\"y\":\"%s\","
                "\"kid\":\"%s\"%s}", key == TEST_P256 ? "P-256" : "P-384",
                text[0], text[1], kid, more);
        return;
    }

    sprintf(to, "{\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"%s\",\"kid\":\"%s\"%s}",
            text[0], text[1], kid, more);
}
