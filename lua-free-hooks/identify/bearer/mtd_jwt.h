
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * JSON Web Tokens that are signed with a public key (RFC 7515, 7517, 7519),
 * as strict as RFC 8725 asks for: a key has one name and one algorithm, and
 * nothing in a token says where to look for a key.  Needs OpenSSL and
 * jansson, and nothing of nginx.
 */


#ifndef _MTD_JWT_H_INCLUDED_
#define _MTD_JWT_H_INCLUDED_


#include <stdint.h>

#include <jansson.h>

#include "mtd_words.h"


#define MTD_JWT_OK             0
#define MTD_JWT_MALFORMED      1    /* cannot be read, or is forged */
#define MTD_JWT_UNKNOWN        2    /* signed by a key that is not known */


#define MTD_JWT_MAX            8192         /* bytes of a token */
#define MTD_JWT_DEPTH          16           /* of arrays and objects */
#define MTD_JWT_KID_MAX        256
#define MTD_JWT_KEYS_MAX       64
#define MTD_JWT_RSA_MIN        2048         /* bits */
#define MTD_JWT_RSA_MAX        8192


typedef enum {
    MTD_JWT_RS256 = 0,
    MTD_JWT_RS384,
    MTD_JWT_RS512,
    MTD_JWT_PS256,
    MTD_JWT_ES256,
    MTD_JWT_ES384,
    MTD_JWT_ALGORITHM_N
} mtd_jwt_algorithm_e;


typedef struct mtd_jwt_keys_s  mtd_jwt_keys_t;


/* "RS256" -> its number, -1: not one of the above; case matters */

int mtd_jwt_algorithm(const char *name, size_t len);

/*
 * The keys of a JWK set that can be used with algorithms, which are bits of
 * mtd_jwt_algorithm_e; others in the set are passed over.  A key without
 * "alg" has the one algorithm that fits it.  NULL: why says what is wrong,
 * and the set is of no use at all.
 */

mtd_jwt_keys_t *mtd_jwt_keys(const u_char *p, size_t len, unsigned algorithms,
    const char **why);
unsigned mtd_jwt_keys_n(const mtd_jwt_keys_t *keys);
void mtd_jwt_keys_free(mtd_jwt_keys_t *keys);

/*
 * Verifies the signature.  types are what "typ" may be if it is there,
 * letter case ignored; the last is NULL.  If MTD_JWT_OK claims is an object
 * of the caller's, else NULL, and why says what is wrong, as static text.
 */

int mtd_jwt_verify(const mtd_jwt_keys_t *keys, const char *const *types,
    const u_char *token, size_t len, json_t **claims, const char **why);

/* unpadded base64url with one reading only; -1 if it is not */

int mtd_jwt_decode(u_char *to, const u_char *p, size_t len);


#endif /* _MTD_JWT_H_INCLUDED_ */
