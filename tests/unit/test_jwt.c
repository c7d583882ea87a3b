
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * Tokens are made here, with keys that are made here, and each attack on
 * them that RFC 8725 names is tried.
 */


#include "jwt.h"


static mtd_jwt_keys_t  *test_keys;

static mtd_bearer_rules_t  test_rules = {
    TEST_ALL, 1, 2, 60,
    { sizeof(TEST_ISSUER) - 1, (u_char *) TEST_ISSUER },
    { { 5, (u_char *) "other" },
      { sizeof(TEST_AUDIENCE) - 1, (u_char *) TEST_AUDIENCE } },
    { sizeof(TEST_TENANT) - 1, (u_char *) TEST_TENANT },
    "deviceid", "upn"
};


static int
test_parse_n(mtd_bearer_t *bearer, const char *token, size_t len)
{
    int          rc;
    u_char      *copy;
    const char  *why;

    /* a copy that ends where the token does, for the address sanitizer */

    copy = malloc(len ? len : 1);
    assert_non_null(copy);
    memcpy(copy, token, len);

    memset(bearer, 0xee, sizeof(mtd_bearer_t));

    rc = mtd_bearer_parse(bearer, &test_rules, test_keys, copy, len, TEST_NOW,
                          &why);
    free(copy);

    assert_int_equal(why == NULL, rc == MTD_BEARER_OK);
    assert_int_equal(ERR_peek_error(), 0);

    if (rc == MTD_BEARER_MALFORMED || rc == MTD_BEARER_FOREIGN) {
        assert_int_equal(bearer->device_len, 0);
        assert_int_equal(bearer->user_len, 0);
        assert_int_equal(bearer->app_len, 0);
    }

    return rc;
}


static int
test_parse(mtd_bearer_t *bearer, const char *token)
{
    return test_parse_n(bearer, token, strlen(token));
}


static int
test_setup(void **state)
{
    char         set[TEST_TEXT], *p;
    unsigned     i;
    const char  *why;

    static const struct {
        jwt_key_e   key;
        const char  *kid;
        const char  *more;
    } keys[] = {
        { TEST_RSA, "rs256", ",\"alg\":\"RS256\",\"use\":\"sig\"" },
        { TEST_RSA, "rs384", ",\"alg\":\"RS384\"" },
        { TEST_RSA, "rs512", ",\"alg\":\"RS512\"" },
        { TEST_RSA, "ps256", ",\"alg\":\"PS256\"" },
        { TEST_P256, "es256", "" },
        { TEST_P384, "es384", ",\"alg\":\"ES384\"" },

        /* of no use: passed over */

        { TEST_RSA, "enc", ",\"alg\":\"RS256\",\"use\":\"enc\"" },
        { TEST_RSA, "rs256", ",\"alg\":\"RSA-OAEP\"" },
        { TEST_P256, "es256", ",\"alg\":\"ES384\"" }
    };

    if (jwt_make_keys() != 0) {
        return -1;
    }

    p = set + sprintf(set, "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\","
                           "\"kid\":\"hs256\",\"alg\":\"HS256\"}");

    for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        *p++ = ',';
        jwt_jwk(p, keys[i].key, keys[i].kid, keys[i].more);
        p += strlen(p);
    }

    strcpy(p, "]}");

    test_keys = mtd_jwt_keys((u_char *) set, strlen(set), TEST_ALL, &why);

    return (test_keys && mtd_jwt_keys_n(test_keys) == 6) ? 0 : -1;
}


static int
test_teardown(void **state)
{
    mtd_jwt_keys_free(test_keys);
    jwt_free_keys();

    return 0;
}


static void
test_jwt_algorithms(void **state)
{
    char          token[TEST_TEXT];
    unsigned      i;
    mtd_bearer_t  bearer;

    static const struct {
        jwt_key_e   key;
        jwt_form_e  form;
        const char  *header;
    } tokens[] = {
        { TEST_RSA, TEST_PKCS1, TEST_HEADER("RS256", "rs256") },
        { TEST_RSA, TEST_PKCS1, TEST_HEADER("RS384", "rs384") },
        { TEST_RSA, TEST_PKCS1, TEST_HEADER("RS512", "rs512") },
        { TEST_RSA, TEST_PSS, TEST_HEADER("PS256", "ps256") },
        { TEST_P256, TEST_RAW, TEST_HEADER("ES256", "es256") },
        { TEST_P384, TEST_RAW, TEST_HEADER("ES384", "es384") },
        { TEST_RSA, TEST_PKCS1, "{\"alg\":\"RS256\",\"kid\":\"rs256\"}" },
        { TEST_RSA, TEST_PKCS1,
          "{\"typ\":\"at+JWT\",\"alg\":\"RS256\",\"kid\":\"rs256\"}" },
        { TEST_RSA, TEST_PKCS1, "{\"typ\":\"jwt\",\"alg\":\"RS256\","
          "\"x5t\":\"abc\",\"kid\":\"rs256\"}" }
    };

    for (i = 0; i < sizeof(tokens) / sizeof(tokens[0]); i++) {
        jwt_token(token, tokens[i].key, tokens[i].form, tokens[i].header,
                   TEST_RIGHT);

        assert_int_equal(test_parse(&bearer, token), MTD_BEARER_OK);
        assert_int_equal(bearer.until, 1790003660);
        assert_int_equal(bearer.device_len, 36);
        assert_memory_equal(bearer.device, TEST_GUID, 36);
        assert_int_equal(bearer.user_len, 17);
        assert_memory_equal(bearer.user, "alice@example.com", 17);
        assert_int_equal(bearer.app_len, 0);
        assert_int_equal(bearer.cp1, 0);
    }

    printf("checked %u forms of signatures\n", i);
}


/* signed and right, but for the header or the way it is signed */

static void
test_jwt_headers(void **state)
{
    int           rc;
    char          token[TEST_TEXT];
    unsigned      i;
    mtd_bearer_t  bearer;

    static const struct {
        int          rc;
        jwt_key_e   key;
        jwt_form_e  form;
        const char  *header;
    } tokens[] = {

        /* none, however it is spelled, and secrets */

        { 1, TEST_RSA, TEST_PKCS1, TEST_HEADER("none", "rs256") },
        { 1, TEST_RSA, TEST_PKCS1, TEST_HEADER("None", "rs256") },
        { 1, TEST_RSA, TEST_PKCS1, TEST_HEADER("NONE", "rs256") },
        { 1, TEST_RSA, TEST_PKCS1, TEST_HEADER("nOnE", "rs256") },
        { 1, TEST_RSA, TEST_PKCS1, TEST_HEADER("", "rs256") },
        { 1, TEST_RSA, TEST_HMAC, TEST_HEADER("HS256", "rs256") },
        { 1, TEST_RSA, TEST_HMAC, TEST_HEADER("HS256", "hs256") },
        { 1, TEST_RSA, TEST_HMAC, TEST_HEADER("RS256", "rs256") },

        /* an algorithm that is not the key's */

        { 1, TEST_RSA, TEST_PKCS1, TEST_HEADER("RS384", "rs256") },
        { 1, TEST_RSA, TEST_PSS, TEST_HEADER("PS256", "rs256") },
        { 1, TEST_RSA, TEST_PSS, TEST_HEADER("RS256", "rs256") },
        { 1, TEST_RSA, TEST_PSS_SALT, TEST_HEADER("PS256", "ps256") },
        { 1, TEST_RSA, TEST_PKCS1, TEST_HEADER("PS256", "ps256") },
        { 1, TEST_RSA, TEST_PKCS1, TEST_HEADER("ES256", "rs256") },
        { 1, TEST_P256, TEST_RAW, TEST_HEADER("ES256", "rs256") },
        { 1, TEST_P384, TEST_RAW, TEST_HEADER("ES384", "es256") },
        { 1, TEST_RSA, TEST_PKCS1, TEST_HEADER("rs256", "rs256") },
        { 1, TEST_RSA, TEST_PKCS1, TEST_HEADER("RS256 ", "rs256") },
        { 1, TEST_RSA, TEST_PKCS1, "{\"kid\":\"rs256\"}" },
        { 1, TEST_RSA, TEST_PKCS1, "{\"alg\":[\"RS256\"],\"kid\":\"rs256\"}" },
        { 1, TEST_RSA, TEST_PKCS1, "{\"alg\":0,\"kid\":\"rs256\"}" },

        /* keys */

        { 1, TEST_RSA_OTHER, TEST_PKCS1, TEST_HEADER("RS256", "rs256") },
        { 2, TEST_RSA, TEST_PKCS1, TEST_HEADER("RS256", "RS256") },
        { 2, TEST_RSA, TEST_PKCS1, TEST_HEADER("RS256", "enc") },
        { 2, TEST_RSA, TEST_PKCS1, TEST_HEADER("RS256", "../../etc/passwd") },
        { 2, TEST_RSA, TEST_PKCS1, TEST_HEADER("RS256", "rs25") },
        { 2, TEST_RSA, TEST_PKCS1, TEST_HEADER("RS256", "rs2566") },
        { 1, TEST_RSA, TEST_PKCS1, TEST_HEADER("RS256", "") },
        { 1, TEST_RSA, TEST_PKCS1, "{\"alg\":\"RS256\"}" },
        { 1, TEST_RSA, TEST_PKCS1, "{\"alg\":\"RS256\",\"kid\":1}" },
        { 1, TEST_RSA, TEST_PKCS1,
          "{\"alg\":\"RS256\",\"kid\":\"rs256\\u0000\"}" },
        { 1, TEST_RSA, TEST_PKCS1, "{\"alg\":\"RS256\",\"kid\":\"rs256\","
          "\"jwk\":{\"kty\":\"RSA\"}}" },
        { 1, TEST_RSA, TEST_PKCS1, "{\"alg\":\"RS256\",\"kid\":\"rs256\","
          "\"jku\":\"https://evil.example/\"}" },
        { 1, TEST_RSA, TEST_PKCS1, "{\"alg\":\"RS256\",\"kid\":\"rs256\","
          "\"x5u\":\"https://evil.example/\"}" },
        { 1, TEST_RSA, TEST_PKCS1, "{\"alg\":\"RS256\",\"kid\":\"rs256\","
          "\"x5c\":[]}" },
        { 1, TEST_RSA, TEST_PKCS1, "{\"alg\":\"RS256\",\"kid\":\"rs256\","
          "\"crit\":[\"exp\"]}" },
        { 1, TEST_RSA, TEST_PKCS1, "{\"alg\":\"RS256\",\"kid\":\"rs256\","
          "\"b64\":false}" },
        { 1, TEST_RSA, TEST_PKCS1, "{\"alg\":\"RS256\",\"kid\":\"rs256\","
          "\"zip\":\"DEF\"}" },

        { 1, TEST_RSA, TEST_PKCS1, "{\"alg\":\"RS256\",\"kid\":\"rs256\","
          "\"enc\":\"A128GCM\"}" },
        { 1, TEST_RSA, TEST_PKCS1, "{\"alg\":\"RS256\",\"kid\":\"rs256\","
          "\"crit\":null}" },
        { 1, TEST_RSA, TEST_PKCS1, "{\"alg\":\"RS256\",\"kid\":\"rs256\","
          "\"\\u0062\\u00364\":true}" },
        { 2, TEST_RSA, TEST_PKCS1, "{\"alg\":\"RS256\","
          "\"kid\":\"rs256\\r\\nSET dev:BAD low\"}" },
        { 2, TEST_RSA, TEST_PKCS1, TEST_HEADER("RS256", "*") },
        { 2, TEST_RSA, TEST_PKCS1, TEST_HEADER("RS256", "rs256' OR '1'='1") },
        { 1, TEST_RSA, TEST_PKCS1, "{\"Alg\":\"RS256\",\"kid\":\"rs256\"}" },

        /* twice the same, other types, no JSON */

        { 1, TEST_RSA, TEST_PKCS1, "{\"alg\":\"RS256\",\"kid\":\"rs256\","
          "\"alg\":\"RS256\"}" },
        { 1, TEST_RSA, TEST_PKCS1, "{\"alg\":\"RS256\",\"kid\":\"rs256\","
          "\"\\u0061lg\":\"none\"}" },
        { 1, TEST_RSA, TEST_PKCS1,
          "\357\273\277" TEST_HEADER("RS256", "rs256") },
        { 1, TEST_RSA, TEST_PKCS1, "{\"alg\":\"RS256\",\"kid\":\"rs256\","
          "\"typ\":\"secevent+jwt\"}" },
        { 1, TEST_RSA, TEST_PKCS1, "{\"alg\":\"RS256\",\"kid\":\"rs256\","
          "\"typ\":null}" },
        { 1, TEST_RSA, TEST_PKCS1, "[\"RS256\",\"rs256\"]" },
        { 1, TEST_RSA, TEST_PKCS1, "{\"alg\":\"RS256\",\"kid\":\"rs256\"" },
        { 1, TEST_RSA, TEST_PKCS1, "{\"alg\":\"RS256\",\"kid\":\"rs256\"} x" },
        { 1, TEST_RSA, TEST_PKCS1,
          "{\"alg\":\"RS256\",\"kid\":\"rs256\",\"x\":\"\377\"}" },

        /* ECDSA */

        { 1, TEST_P256, TEST_DER, TEST_HEADER("ES256", "es256") },
        { 1, TEST_P256, TEST_ZERO_R, TEST_HEADER("ES256", "es256") },
        { 1, TEST_P256, TEST_ZERO_S, TEST_HEADER("ES256", "es256") },
        { 1, TEST_P256, TEST_FULL_R, TEST_HEADER("ES256", "es256") },
        { 1, TEST_P256, TEST_FULL_S, TEST_HEADER("ES256", "es256") },
        { 1, TEST_P256, TEST_SHORT, TEST_HEADER("ES256", "es256") },
        { 1, TEST_P256, TEST_LONG, TEST_HEADER("ES256", "es256") }
    };

    for (i = 0; i < sizeof(tokens) / sizeof(tokens[0]); i++) {
        jwt_token(token, tokens[i].key, tokens[i].form, tokens[i].header,
                   TEST_RIGHT);
        rc = test_parse(&bearer, token);

        if (rc != tokens[i].rc) {
            fail_msg("%s: %d", tokens[i].header, rc);
        }
    }

    printf("checked %u headers\n", i);
}


/* signed, with these claims: 0 if they are right */

static const struct {
    int          rc;
    const char  *claims;
} test_claims[] = {

    /* whose it is */

    { 2, "{}" },
    { 2, "{\"iss\":\"https://issuer.example\",\"tid\":\"" TEST_TENANT
         "\",\"aud\":\"" TEST_AUDIENCE "\"" TEST_TIMES "}" },
    { 1, "{\"iss\":[\"" TEST_ISSUER "\"]}" },
    { 2, "{\"iss\":\"" TEST_ISSUER "\",\"aud\":\"" TEST_AUDIENCE "\""
         TEST_TIMES "}" },
    { 2, "{\"iss\":\"" TEST_ISSUER "\",\"aud\":\"" TEST_AUDIENCE "\","
         "\"tid\":\"" TEST_GUID "\"" TEST_TIMES "}" },
    { 1, "{\"iss\":\"" TEST_ISSUER "\",\"tid\":7}" },
    { 2, "{\"iss\":\"" TEST_ISSUER "\",\"tid\":\"" TEST_TENANT "\""
         TEST_TIMES "}" },
    { 2, "{\"iss\":\"" TEST_ISSUER "\",\"tid\":\"" TEST_TENANT "\","
         "\"aud\":\"https://mail.example.com\"" TEST_TIMES "}" },
    { 2, "{\"iss\":\"" TEST_ISSUER "\",\"tid\":\"" TEST_TENANT "\","
         "\"aud\":[]" TEST_TIMES "}" },
    { 0, "{\"iss\":\"" TEST_ISSUER "\",\"tid\":\"" TEST_TENANT "\","
         "\"aud\":[\"x\",\"" TEST_AUDIENCE "\"]" TEST_TIMES "}" },
    { 0, "{\"iss\":\"" TEST_ISSUER "\",\"tid\":\"" TEST_TENANT "\","
         "\"aud\":\"other\"" TEST_TIMES "}" },
    { 1, "{\"iss\":\"" TEST_ISSUER "\",\"tid\":\"" TEST_TENANT "\","
         "\"aud\":[\"" TEST_AUDIENCE "\",1]" TEST_TIMES "}" },
    { 1, "{\"iss\":\"" TEST_ISSUER "\",\"tid\":\"" TEST_TENANT "\","
         "\"aud\":{\"a\":\"" TEST_AUDIENCE "\"}" TEST_TIMES "}" },
    { 1, "{\"iss\":\"" TEST_ISSUER "\",\"tid\":\"" TEST_TENANT "\","
         "\"aud\":null" TEST_TIMES "}" },

    { 2, "{\"iss\":\"HTTPS://issuer.example/\",\"tid\":\"" TEST_TENANT
         "\",\"aud\":\"" TEST_AUDIENCE "\"" TEST_TIMES "}" },
    { 2, "{\"iss\":\"" TEST_ISSUER "/\",\"tid\":\"" TEST_TENANT
         "\",\"aud\":\"" TEST_AUDIENCE "\"" TEST_TIMES "}" },
    { 2, "{\"iss\":\"" TEST_ISSUER " \",\"tid\":\"" TEST_TENANT
         "\",\"aud\":\"" TEST_AUDIENCE "\"" TEST_TIMES "}" },
    { 1, "{\"iss\":\"" TEST_ISSUER "\\u0000\",\"tid\":\"" TEST_TENANT
         "\",\"aud\":\"" TEST_AUDIENCE "\"" TEST_TIMES "}" },
    { 0, "{\"iss\":\"https:\\/\\/issuer.example\\/\",\"tid\":\""
         TEST_TENANT "\",\"aud\":\"\\u006fther\"" TEST_TIMES "}" },
    { 1, "{\"iss\":\"" TEST_ISSUER "\",\"tid\":\"" TEST_TENANT "\","
         "\"aud\":[[\"" TEST_AUDIENCE "\"]]" TEST_TIMES "}" },
    { 2, "{\"iss\":\"" TEST_ISSUER "\",\"tid\":\"" TEST_TENANT "\","
         "\"aud\":\"" TEST_AUDIENCE ",other\"" TEST_TIMES "}" },

    /* when; leeway is 60 */

    { 1, TEST_CLAIMS "}" },
    { 0, TEST_CLAIMS ",\"exp\":1790000000}" },
    { 0, TEST_CLAIMS ",\"exp\":1789999941}" },
    { 3, TEST_CLAIMS ",\"exp\":1789999940}" },
    { 3, TEST_CLAIMS ",\"exp\":0}" },
    { 1, TEST_CLAIMS ",\"exp\":-1}" },
    { 1, TEST_CLAIMS ",\"exp\":\"1790003600\"}" },
    { 1, TEST_CLAIMS ",\"exp\":1790003600.5}" },
    { 1, TEST_CLAIMS ",\"exp\":1e99}" },
    { 1, TEST_CLAIMS ",\"exp\":1e400}" },
    { 1, TEST_CLAIMS ",\"exp\":-1e400}" },
    { 1, TEST_CLAIMS ",\"exp\":1790003600.0}" },
    { 1, TEST_CLAIMS ",\"exp\":1.7900036e9}" },
    { 1, TEST_CLAIMS ",\"exp\":01790003600}" },
    { 1, TEST_CLAIMS ",\"exp\":+1790003600}" },
    { 3, TEST_CLAIMS ",\"exp\":-0}" },
    { 1, TEST_CLAIMS ",\"Exp\":1790003600}" },
    { 1, TEST_CLAIMS ",\"exp\":NaN}" },
    { 1, TEST_CLAIMS ",\"exp\":Infinity}" },
    { 1, TEST_CLAIMS ",\"exp\":null}" },
    { 1, TEST_CLAIMS ",\"exp\":true}" },
    { 1, TEST_CLAIMS ",\"exp\":[1790003600]}" },
    { 1, TEST_CLAIMS ",\"exp\":9223372036854775807}" },
    { 1, TEST_CLAIMS ",\"exp\":9223372036854775808}" },
    { 1, TEST_CLAIMS ",\"exp\":18446744073709551617}" },
    { 1, TEST_CLAIMS ",\"exp\":1099511627777}" },
    { 0, TEST_CLAIMS ",\"exp\":1099511627776}" },
    { 0, TEST_CLAIMS ",\"exp\":1790003600,\"nbf\":1790000060}" },
    { 3, TEST_CLAIMS ",\"exp\":1790003600,\"nbf\":1790000061}" },
    { 1, TEST_CLAIMS ",\"exp\":1790003600,\"nbf\":\"0\"}" },
    { 1, TEST_CLAIMS ",\"exp\":1790003600,\"nbf\":-1}" },
    { 0, TEST_CLAIMS ",\"exp\":1790003600,\"iat\":1790000060}" },
    { 3, TEST_CLAIMS ",\"exp\":1790003600,\"iat\":1790000061}" },
    { 1, TEST_CLAIMS ",\"exp\":1790003600,\"iat\":{}}" },

    /* what it tells */

    { 0, TEST_CLAIMS TEST_TIMES "}" },
    { 0, TEST_CLAIMS TEST_TIMES ",\"deviceid\":\"" TEST_GUID "\"}" },
    { 1, TEST_CLAIMS TEST_TIMES ",\"deviceid\":\"" TEST_GUID "0\"}" },
    { 1, TEST_CLAIMS TEST_TIMES ",\"deviceid\":\"\"}" },
    { 1, TEST_CLAIMS TEST_TIMES ",\"deviceid\":1}" },
    { 1, TEST_CLAIMS TEST_TIMES ",\"deviceid\":null}" },
    { 1, TEST_CLAIMS TEST_TIMES
         ",\"deviceid\":\"0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8fg\"}" },
    { 1, TEST_CLAIMS TEST_TIMES
         ",\"deviceid\":\"{a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9\"}" },
    { 1, TEST_CLAIMS TEST_TIMES ",\"upn\":\"\"}" },
    { 1, TEST_CLAIMS TEST_TIMES ",\"upn\":\"a b@example.com\"}" },
    { 1, TEST_CLAIMS TEST_TIMES ",\"upn\":\"a\\nb@example.com\"}" },
    { 1, TEST_CLAIMS TEST_TIMES ",\"upn\":\"a\\u0000\"}" },
    { 1, TEST_CLAIMS TEST_TIMES ",\"upn\":[\"alice@example.com\"]}" },
    { 0, TEST_CLAIMS TEST_TIMES ",\"appid\":\"" TEST_APP "\"}" },
    { 0, TEST_CLAIMS TEST_TIMES ",\"appid\":\"" TEST_APP "\","
         "\"azp\":\"" TEST_APP "\"}" },
    { 1, TEST_CLAIMS TEST_TIMES ",\"appid\":\"" TEST_APP "\","
         "\"azp\":\"" TEST_GUID "\"}" },
    { 0, TEST_CLAIMS TEST_TIMES ",\"azp\":\"an app\"}" },
    { 1, TEST_CLAIMS TEST_TIMES ",\"azp\":7}" },
    { 1, TEST_CLAIMS TEST_TIMES ",\"xms_cc\":[1]}" },
    { 1, TEST_CLAIMS TEST_TIMES ",\"xms_cc\":{}}" },

    /* twice the same, too deep, no JSON */

    { 1, TEST_CLAIMS TEST_TIMES ",\"iss\":\"" TEST_ISSUER "\"}" },
    { 1, TEST_CLAIMS TEST_TIMES ",\"a\":{\"b\":1,\"b\":1}}" },
    { 1, TEST_CLAIMS TEST_TIMES ",\"\\u0065xp\":1999999999}" },
    { 1, TEST_CLAIMS TEST_TIMES ",\"deviceid\":\"" TEST_GUID "\","
         "\"device\\u0069d\":\"" TEST_APP "\"}" },
    { 1, TEST_CLAIMS TEST_TIMES ",\"deviceid\\u0000\":1}" },
    { 0, TEST_CLAIMS TEST_TIMES ",\"a\":[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]}" },
    { 1, TEST_CLAIMS TEST_TIMES
         ",\"a\":[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]}" },
    { 0, TEST_CLAIMS TEST_TIMES ",\"a\":\"[[[[[[[[[[[[[[[[[[\\\"[[\"}" },
    { 1, TEST_CLAIMS TEST_TIMES ",\"a\":\"\303\050\"}" },
    { 1, TEST_CLAIMS TEST_TIMES ",\"a\":\"\355\240\200\"}" },
    { 1, TEST_CLAIMS TEST_TIMES ",\"a\":\"\\ud800\"}" },
    { 1, TEST_CLAIMS TEST_TIMES ",\"a\":\"\300\257\"}" },
    { 1, TEST_CLAIMS TEST_TIMES ",\"a\":\"\364\220\200\200\"}" },
    { 1, TEST_CLAIMS TEST_TIMES ",\"a\":'b'}" },
    { 1, TEST_CLAIMS TEST_TIMES ",}" },
    { 1, TEST_CLAIMS TEST_TIMES ",\"a\":1 /* b */}" },
    { 1, "\357\273\277" TEST_CLAIMS TEST_TIMES "}" },
    { 1, TEST_CLAIMS TEST_TIMES "} {}" },
    { 1, TEST_CLAIMS TEST_TIMES "" },
    { 1, TEST_CLAIMS TEST_TIMES "}}" },
    { 1, "[" TEST_RIGHT "]" },
    { 1, "\"" TEST_ISSUER "\"" },
    { 1, "null" },
    { 1, " " }
};


static void
test_jwt_claims(void **state)
{
    int           rc;
    char          token[TEST_TEXT];
    unsigned      i;
    mtd_bearer_t  bearer;

    for (i = 0; i < sizeof(test_claims) / sizeof(test_claims[0]); i++) {
        jwt_token(token, TEST_P256, TEST_RAW, TEST_HEADER("ES256", "es256"),
                   test_claims[i].claims);
        rc = test_parse(&bearer, token);

        if (rc != test_claims[i].rc) {
            fail_msg("%s: %d", test_claims[i].claims, rc);
        }
    }

    jwt_token_n(token, TEST_P256, TEST_RAW, TEST_HEADER("ES256", "es256"),
                 TEST_RIGHT "\0", sizeof(TEST_RIGHT));
    assert_int_equal(test_parse(&bearer, token), MTD_BEARER_MALFORMED);

    printf("checked %u sets of claims\n", i + 1);
}


/* of all algorithms those that were asked for */

static void
test_jwt_allowed(void **state)
{
    char             set[TEST_TEXT], key[2048], token[TEST_TEXT];
    json_t          *claims;
    unsigned         i;
    const char      *why;
    mtd_jwt_keys_t  *keys;

    static const char *const  types[] = { NULL };

    static const struct {
        int          rc;
        const char  *header;
    } tokens[] = {
        { MTD_JWT_OK, "{\"alg\":\"ES256\",\"kid\":\"a\"}" },
        { MTD_JWT_UNKNOWN, "{\"alg\":\"ES256\",\"kid\":\"b\"}" },
        { MTD_JWT_MALFORMED, "{\"alg\":\"RS256\",\"kid\":\"b\"}" },
        { MTD_JWT_MALFORMED, "{\"alg\":\"ES384\",\"kid\":\"a\"}" },
        { MTD_JWT_MALFORMED,
          "{\"alg\":\"ES256\",\"kid\":\"a\",\"typ\":\"JWT\"}" }
    };

    jwt_jwk(key, TEST_P256, "a", "");
    sprintf(set, "{\"keys\":[%s]}", key);

    keys = mtd_jwt_keys((u_char *) set, strlen(set), 1u << MTD_JWT_ES256,
                        &why);
    assert_non_null(keys);

    for (i = 0; i < sizeof(tokens) / sizeof(tokens[0]); i++) {
        jwt_token(token, TEST_P256, TEST_RAW, tokens[i].header, "{}");

        assert_int_equal(mtd_jwt_verify(keys, types, (u_char *) token,
                                        strlen(token), &claims, &why),
                         tokens[i].rc);
        assert_int_equal(claims != NULL, tokens[i].rc == MTD_JWT_OK);
        json_decref(claims);
    }

    mtd_jwt_keys_free(keys);
}


static void
test_jwt_tells(void **state)
{
    char          token[TEST_TEXT];
    mtd_bearer_t  bearer;

    jwt_token(token, TEST_P256, TEST_RAW, TEST_HEADER("ES256", "es256"),
               TEST_CLAIMS TEST_TIMES ",\"xms_cc\":[\"x\",\"cp1\"],"
               "\"azp\":\"99999999-8888-7777-6666-55555555555A\"}");
    assert_int_equal(test_parse(&bearer, token), MTD_BEARER_OK);
    assert_int_equal(bearer.device_len, 0);
    assert_int_equal(bearer.user_len, 0);
    assert_int_equal(bearer.cp1, 1);
    assert_int_equal(bearer.app_len, 36);
    assert_memory_equal(bearer.app, "99999999-8888-7777-6666-55555555555a",
                        36);

    jwt_token(token, TEST_P256, TEST_RAW, TEST_HEADER("ES256", "es256"),
               TEST_CLAIMS TEST_TIMES ",\"xms_cc\":\"cp1\"}");
    assert_int_equal(test_parse(&bearer, token), MTD_BEARER_OK);
    assert_int_equal(bearer.cp1, 1);

    jwt_token(token, TEST_P256, TEST_RAW, TEST_HEADER("ES256", "es256"),
               TEST_CLAIMS TEST_TIMES ",\"xms_cc\":[\"CP1\",\"cp12\"]}");
    assert_int_equal(test_parse(&bearer, token), MTD_BEARER_OK);
    assert_int_equal(bearer.cp1, 0);

    /* its issuer has still said who it was */

    jwt_token(token, TEST_P256, TEST_RAW, TEST_HEADER("ES256", "es256"),
               TEST_CLAIMS ",\"exp\":1,\"upn\":\"bob@example.com\"}");
    assert_int_equal(test_parse(&bearer, token), MTD_BEARER_UNTIMELY);
    assert_int_equal(bearer.user_len, 15);

    /* other names, and a device that is no GUID */

    test_rules.device_claim = "phone";
    test_rules.user_claim = "sub";
    test_rules.guid = 0;

    jwt_token(token, TEST_P256, TEST_RAW, TEST_HEADER("ES256", "es256"),
               TEST_CLAIMS TEST_TIMES ",\"phone\":\"ABC-1\",\"sub\":\"U\","
               "\"deviceid\":1,\"upn\":1}");
    assert_int_equal(test_parse(&bearer, token), MTD_BEARER_OK);
    assert_int_equal(bearer.device_len, 5);
    assert_memory_equal(bearer.device, "abc-1", 5);
    assert_int_equal(bearer.user_len, 1);

    jwt_token(token, TEST_P256, TEST_RAW, TEST_HEADER("ES256", "es256"),
               TEST_CLAIMS TEST_TIMES ",\"phone\":\"ABC 1\"}");
    assert_int_equal(test_parse(&bearer, token), MTD_BEARER_MALFORMED);

    test_rules.device_claim = "deviceid";
    test_rules.user_claim = "upn";
    test_rules.guid = 1;

    /* any tenant */

    test_rules.tenant.len = 0;

    jwt_token(token, TEST_P256, TEST_RAW, TEST_HEADER("ES256", "es256"),
               "{\"iss\":\"" TEST_ISSUER "\",\"aud\":\"other\"" TEST_TIMES
               "}");
    assert_int_equal(test_parse(&bearer, token), MTD_BEARER_OK);

    test_rules.tenant.len = sizeof(TEST_TENANT) - 1;
}


/* every cut, every byte changed, and what could be read in two ways */

static void
test_jwt_bytes(void **state)
{
    char          token[TEST_TEXT], bad[2 * TEST_TEXT];
    size_t        i, k, len;
    unsigned      n;
    const char   *first, *second;
    mtd_bearer_t  bearer;

    static const char  others[] = "A9_-=.+/ \n";

    jwt_token(token, TEST_P256, TEST_RAW, TEST_HEADER("ES256", "es256"),
               TEST_RIGHT);
    len = strlen(token);
    n = 0;

    assert_int_equal(test_parse(&bearer, token), MTD_BEARER_OK);

    for (i = 0; i < len; i++, n++) {
        assert_int_not_equal(test_parse_n(&bearer, token, i), MTD_BEARER_OK);
        assert_int_not_equal(test_parse_n(&bearer, token + i + 1,
                                          len - i - 1), MTD_BEARER_OK);
    }

    for (i = 0; i < len; i++) {
        for (k = 0; k < sizeof(others); k++, n++) {
            memcpy(bad, token, len);

            if (bad[i] != others[k]) {
                bad[i] = others[k];
                assert_int_not_equal(test_parse_n(&bearer, bad, len),
                                     MTD_BEARER_OK);
            }

            /* one byte more */

            memcpy(bad, token, i);
            bad[i] = others[k];
            memcpy(bad + i + 1, token + i, len - i);
            assert_int_not_equal(test_parse_n(&bearer, bad, len + 1),
                                 MTD_BEARER_OK);
        }
    }

    /* bits at the end of a part that say nothing */

    strcpy(bad, token);
    k = strcspn("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                "0123456789-_", bad + len - 1);
    bad[len - 1] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                   "0123456789-_"[k | 1];
    assert_string_not_equal(bad, token);
    assert_int_equal(test_parse(&bearer, bad), MTD_BEARER_MALFORMED);

    /* parts: too many, too few, none */

    first = strchr(token, '.');
    second = strrchr(token, '.');

    sprintf(bad, "%s.", token);
    assert_int_equal(test_parse(&bearer, bad), MTD_BEARER_MALFORMED);
    sprintf(bad, ".%s", token);
    assert_int_equal(test_parse(&bearer, bad), MTD_BEARER_MALFORMED);
    sprintf(bad, "%.*s.", (int) (second - token), token);
    assert_int_equal(test_parse(&bearer, bad), MTD_BEARER_MALFORMED);
    sprintf(bad, "%.*s.%s", (int) (first - token), token, second);
    assert_int_equal(test_parse(&bearer, bad), MTD_BEARER_MALFORMED);
    assert_int_equal(test_parse(&bearer, ".."), MTD_BEARER_MALFORMED);
    assert_int_equal(test_parse(&bearer, ""), MTD_BEARER_MALFORMED);

    /* alg none with no signature, as a library would make it */

    k = jwt_encode(bad, (u_char *) "{\"alg\":\"none\"}", 14);
    sprintf(bad + k, "%.*s.", (int) (second - first), first);
    assert_int_equal(test_parse(&bearer, bad), MTD_BEARER_MALFORMED);

    printf("checked %u changed tokens\n", n);
}


static void
test_jwt_size(void **state)
{
    char          token[TEST_TEXT], claims[TEST_TEXT], *p;
    size_t        len;
    mtd_bearer_t  bearer;

    p = claims + sprintf(claims, "%s,\"pad\":\"", TEST_CLAIMS TEST_TIMES);

    for (len = MTD_JWT_MAX - 3; len <= MTD_JWT_MAX + 3; len++) {

        /* 86 characters of signature, two dots */

        jwt_token(token, TEST_P256, TEST_RAW, TEST_HEADER("ES256", "es256"),
                   "");
        memset(p, 'x', 8192);
        strcpy(p + (len - strlen(token)) * 3 / 4 - (p - claims) - 2, "\"}");
        jwt_token(token, TEST_P256, TEST_RAW, TEST_HEADER("ES256", "es256"),
                   claims);

        assert_int_equal(test_parse(&bearer, token),
                         strlen(token) <= MTD_JWT_MAX ? MTD_BEARER_OK
                                                      : MTD_BEARER_MALFORMED);
    }

    assert_true(strlen(token) > MTD_JWT_MAX);

    memset(token, '.', 20000);
    assert_int_equal(test_parse_n(&bearer, token, 20000),
                     MTD_BEARER_MALFORMED);
    memset(token, '{', 8000);
    assert_int_equal(test_parse_n(&bearer, token, 8000),
                     MTD_BEARER_MALFORMED);

    /* a header that is too long */

    memset(claims, 'x', 2000);
    sprintf(claims + 1100, "\",\"alg\":\"ES256\",\"kid\":\"es256\"}");
    memcpy(claims, "{\"x\":\"", 6);
    jwt_token(token, TEST_P256, TEST_RAW, claims, TEST_RIGHT);
    assert_int_equal(test_parse(&bearer, token), MTD_BEARER_MALFORMED);
}


static void
test_jwt_scheme(void **state)
{
    size_t    len;
    unsigned  i;

    static const struct {
        const char  *value;
        int          token;                 /* -1: another scheme */
    } values[] = {
        { "Bearer a.b.c", 5 }, { "bearer a.b.c", 5 }, { "BEARER x", 1 },
        { "Bearer", 0 }, { "Bearer\ta", 0 }, { "Bearer ", 0 },
        { "Bearer  a", 2 }, { "Bearers a", -1 }, { "Basic YTpi", -1 },
        { "Beare", -1 }, { "", -1 }
    };

    for (i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        len = 1000;

        if (mtd_bearer_token((const u_char *) values[i].value,
                             strlen(values[i].value), &len)
            == NULL)
        {
            assert_int_equal(values[i].token, -1);
            continue;
        }

        assert_int_equal(values[i].token, len);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_jwt_algorithms),
        cmocka_unit_test(test_jwt_headers),
        cmocka_unit_test(test_jwt_claims),
        cmocka_unit_test(test_jwt_allowed),
        cmocka_unit_test(test_jwt_tells),
        cmocka_unit_test(test_jwt_bytes),
        cmocka_unit_test(test_jwt_size),
        cmocka_unit_test(test_jwt_scheme),
    };

    return cmocka_run_group_tests(tests, test_setup, test_teardown);
}
