
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/* keys of a set, shared by who reads them and who verifies with them */


#ifndef _MTD_JWT_KEYS_H_INCLUDED_
#define _MTD_JWT_KEYS_H_INCLUDED_


#include <openssl/evp.h>

#include "mtd_jwt.h"


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


/* by mtd_jwt_algorithm_e */

extern const mtd_jwt_method_t  mtd_jwt_methods[];


/* mtd_jwt.c */

json_t *mtd_jwt_json(const u_char *p, size_t len);


#endif /* _MTD_JWT_KEYS_H_INCLUDED_ */
