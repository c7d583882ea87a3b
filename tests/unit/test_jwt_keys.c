
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/* what is read as a set of keys, and of what keys none is made */


#include "jwt.h"


static void
test_jwt_keys_sets(void **state)
{
    char             set[TEST_TEXT], key[4][2048];
    unsigned         i;
    const char      *why;
    mtd_jwt_keys_t  *keys;

    /* wrong: NULL, the set is taken, with that many keys */

    static const struct {
        unsigned     n;
        unsigned     algorithms;
        const char  *wrong;
        const char  *set;                   /* %1$s .. %4$s: keys */
    } sets[] = {
        { 1, TEST_ALL, NULL, "{\"keys\":[%1$s]}" },
        { 2, TEST_ALL, NULL, "{\"keys\":[%1$s,%3$s],\"x\":1}" },
        { 1, 1u << MTD_JWT_RS256, NULL, "{\"keys\":[%2$s]}" },
        { 1, 1u << MTD_JWT_PS256, NULL, "{\"keys\":[%2$s]}" },
        { 1, 1u << MTD_JWT_RS256, NULL, "{\"keys\":[%1$s,%3$s,%4$s]}" },
        { 0, TEST_ALL, "several", "{\"keys\":[%2$s]}" },
        { 0, TEST_ALL, "the same", "{\"keys\":[%1$s,%1$s]}" },
        { 0, 1u << MTD_JWT_RS256, "the same", "{\"keys\":[%1$s,%2$s]}" },
        { 0, TEST_ALL, "no key", "{\"keys\":[]}" },
        { 0, 1u << MTD_JWT_ES384, "no key", "{\"keys\":[%1$s,%3$s]}" },
        { 0, TEST_ALL, "no key",
          "{\"keys\":[{\"kty\":\"oct\",\"kid\":\"a\",\"alg\":\"HS256\","
          "\"k\":\"AAAA\"}]}" },
        { 0, TEST_ALL, "no key",
          "{\"keys\":[{\"kty\":\"OKP\",\"kid\":\"a\",\"crv\":\"Ed25519\","
          "\"x\":\"AAAA\"}]}" },
        { 0, TEST_ALL, "no JSON", "{\"keys\":{}}" },
        { 0, TEST_ALL, "no JSON", "[%1$s]" },
        { 0, TEST_ALL, "no JSON", "%1$s" },
        { 0, TEST_ALL, "no JSON", "" },
        { 0, TEST_ALL, "no JSON", "{\"keys\":[%1$s],\"keys\":[%1$s]}" },
        { 0, TEST_ALL, "no JSON", "{\"keys\":[%1$s]" },
        { 0, TEST_ALL, "kty", "{\"keys\":[1]}" },
        { 0, TEST_ALL, "kty", "{\"keys\":[%1$s,{\"kid\":\"a\"}]}" },
        { 0, TEST_ALL, "private",
          "{\"keys\":[{\"kty\":\"RSA\",\"kid\":\"a\",\"d\":\"AQAB\"}]}" },
        { 0, TEST_ALL, "kid", "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\","
          "\"x\":\"AAAA\",\"y\":\"AAAA\"}]}" },
        { 0, TEST_ALL, "kid", "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\","
          "\"kid\":\"\"}]}" },
        { 0, TEST_ALL, "point",
          "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"a\","
          "\"x\":\"AAAA\",\"y\":\"AAAA\"}]}" },
        { 0, TEST_ALL, "point",
          "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"a\","
          "\"x\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\","
          "\"y\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}]}" },
        { 0, 1u << MTD_JWT_RS256, "RSA",
          "{\"keys\":[{\"kty\":\"RSA\",\"kid\":\"a\",\"n\":\"AAAA\","
          "\"e\":\"AQAB\"}]}" },
        { 0, 1u << MTD_JWT_RS256, "RSA",
          "{\"keys\":[{\"kty\":\"RSA\",\"kid\":\"a\",\"e\":\"AQAB\"}]}" }
    };

    jwt_jwk(key[0], TEST_RSA, "a", ",\"alg\":\"RS256\"");
    jwt_jwk(key[1], TEST_RSA_OTHER, "a", "");
    jwt_jwk(key[2], TEST_P256, "c", "");
    jwt_jwk(key[3], TEST_P384, "d", "");

    for (i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
        sprintf(set, sets[i].set, key[0], key[1], key[2], key[3]);

        keys = mtd_jwt_keys((u_char *) set, strlen(set), sets[i].algorithms,
                            &why);

        if (sets[i].wrong == NULL) {
            assert_non_null(keys);
            assert_null(why);
            assert_int_equal(mtd_jwt_keys_n(keys), sets[i].n);
            mtd_jwt_keys_free(keys);
            continue;
        }

        if (keys || strstr(why, sets[i].wrong) == NULL) {
            fail_msg("%s: %s", sets[i].set, why);
        }
    }

    /* too small */

    jwt_jwk(key[0], TEST_RSA_SMALL, "a", ",\"alg\":\"RS256\"");
    sprintf(set, "{\"keys\":[%s]}", key[0]);
    assert_null(mtd_jwt_keys((u_char *) set, strlen(set), TEST_ALL, &why));
    assert_non_null(strstr(why, "2048"));

    printf("checked %u sets of keys\n", i + 1);
}


/* an exponent of 1 makes a signature of any message that of itself */

static void
test_jwt_keys_exponents(void **state)
{
    char             set[TEST_TEXT], key[2048], *e;
    unsigned         i;
    const char      *why;
    mtd_jwt_keys_t  *keys;

    static const struct {
        unsigned     good;
        const char  *e;
    } exponents[] = {
        { 1, "AQAB" }, { 1, "Aw" }, { 0, "AQ" }, { 0, "Ag" }, { 0, "AAEAAQ" },
        { 0, "AQAB=" }, { 0, "" }, { 0, "AQABAQABAQABAQAB" }
    };

    jwt_jwk(key, TEST_RSA, "a", ",\"alg\":\"RS256\"");
    e = strstr(key, ",\"e\":");
    assert_non_null(e);

    for (i = 0; i < sizeof(exponents) / sizeof(exponents[0]); i++) {
        sprintf(set, "{\"keys\":[%.*s,\"e\":\"%s\",\"kid\":\"a\"}]}",
                (int) (e - key), key, exponents[i].e);
        keys = mtd_jwt_keys((u_char *) set, strlen(set), 1u << MTD_JWT_RS256,
                            &why);

        if ((keys != NULL) != exponents[i].good) {
            fail_msg("exponent %s", exponents[i].e);
        }

        if (keys) {
            mtd_jwt_keys_free(keys);
        }
    }
}


/* 2^2048 - 1 is 3 * 5 * 17 * ...: anybody can sign for it */

static void
test_jwt_keys_factors(void **state)
{
    char         set[TEST_TEXT], n[512];
    u_char       modulus[2048 / 8];
    const char  *why;

    memset(modulus, 0xff, sizeof(modulus));
    jwt_encode(n, modulus, sizeof(modulus));

    sprintf(set, "{\"keys\":[{\"kty\":\"RSA\",\"alg\":\"RS256\","
            "\"kid\":\"a\",\"e\":\"AQAB\",\"n\":\"%s\"}]}", n);

    assert_null(mtd_jwt_keys((u_char *) set, strlen(set), TEST_ALL, &why));
}


static int
test_setup(void **state)
{
    return jwt_make_keys();
}


static int
test_teardown(void **state)
{
    jwt_free_keys();

    return 0;
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_jwt_keys_sets),
        cmocka_unit_test(test_jwt_keys_exponents),
        cmocka_unit_test(test_jwt_keys_factors),
    };

    return cmocka_run_group_tests(tests, test_setup, test_teardown);
}
