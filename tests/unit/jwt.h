
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * Keys and tokens that are made here, for the tests of what reads them; a key
 * is there once jwt_make_keys() has been called.
 */


#ifndef _JWT_H_INCLUDED_
#define _JWT_H_INCLUDED_


#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "identify/bearer/mtd_bearer.h"


#define TEST_NOW       1790000000
#define TEST_ALL       ((1u << MTD_JWT_ALGORITHM_N) - 1)
#define TEST_TEXT      24576

#define TEST_GUID      "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9"
#define TEST_TENANT    "11111111-2222-3333-4444-555555555555"
#define TEST_APP       "99999999-8888-7777-6666-555555555555"

#define TEST_ISSUER    "https://issuer.example/"
#define TEST_AUDIENCE  "https://mail.example.com/"

/* a claims set that is right, but for what is put before its end */

#define TEST_CLAIMS    "{\"iss\":\"" TEST_ISSUER "\",\"tid\":\"" TEST_TENANT  \
                       "\",\"aud\":\"" TEST_AUDIENCE "\""
#define TEST_TIMES     ",\"iat\":1789999000,\"nbf\":1789999000,"              \
                       "\"exp\":1790003600"
#define TEST_RIGHT     TEST_CLAIMS TEST_TIMES ",\"deviceid\":\"" TEST_GUID    \
                       "\",\"upn\":\"Alice@Example.com\"}"

#define TEST_HEADER(alg, kid)                                                 \
    "{\"typ\":\"JWT\",\"alg\":\"" alg "\",\"kid\":\"" kid "\"}"


typedef enum {
    TEST_RSA = 0,
    TEST_RSA_OTHER,
    TEST_RSA_SMALL,
    TEST_P256,
    TEST_P384,
    TEST_KEYS
} jwt_key_e;


/* how a token is signed; RAW and what follows are of ES256 */

typedef enum {
    TEST_PKCS1 = 0,
    TEST_PSS,
    TEST_PSS_SALT,
    TEST_RAW,
    TEST_DER,
    TEST_ZERO_R,
    TEST_ZERO_S,
    TEST_FULL_R,
    TEST_FULL_S,
    TEST_SHORT,
    TEST_LONG,
    TEST_HMAC
} jwt_form_e;


extern EVP_PKEY  *jwt_key[TEST_KEYS];


/* 0, or -1 */

int jwt_make_keys(void);
void jwt_free_keys(void);

/* base64url, terminated; returns its length */

size_t jwt_encode(char *to, const u_char *p, size_t len);

/* a token of up to TEST_TEXT bytes */

void jwt_token_n(char *token, jwt_key_e key, jwt_form_e form,
    const char *header, const char *claims, size_t len);
void jwt_token(char *token, jwt_key_e key, jwt_form_e form,
    const char *header, const char *claims);

/* a public key as a JWK; more is put before its end */

void jwt_jwk(char *to, jwt_key_e key, const char *kid, const char *more);


#endif /* _JWT_H_INCLUDED_ */
