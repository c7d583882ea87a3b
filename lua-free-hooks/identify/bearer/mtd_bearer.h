
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * An access token (RFC 9068 and what Microsoft Entra issues) and what it
 * tells the gate.  Plain C, with mtd_jwt.h.
 */


#ifndef _MTD_BEARER_H_INCLUDED_
#define _MTD_BEARER_H_INCLUDED_


#include "mtd_jwt.h"


#define MTD_BEARER_OK          0
#define MTD_BEARER_MALFORMED   1    /* cannot be read, or is forged */
#define MTD_BEARER_FOREIGN     2    /* of another issuer, audience, tenant */
#define MTD_BEARER_UNTIMELY    3    /* has expired, or is not valid yet */


#define MTD_BEARER_DEVICE_MAX  128  /* bytes */
#define MTD_BEARER_USER_MAX    256
#define MTD_BEARER_GUID_LEN    36
#define MTD_BEARER_AUDIENCES   8


typedef struct {
    unsigned         algorithms;    /* bits of mtd_jwt_algorithm_e */
    unsigned         guid;          /* 1: a device is a GUID */
    unsigned         audiences;
    int64_t          leeway;        /* seconds */
    mtd_str_t        issuer;
    mtd_str_t        audience[MTD_BEARER_AUDIENCES];
    mtd_str_t        tenant;        /* lower case; len 0: any */
    const char      *device_claim;
    const char      *user_claim;
} mtd_bearer_rules_t;


/* lengths are 0 where the token does not say; all is folded */

typedef struct {
    int64_t          until;         /* Unix seconds, with leeway */
    int64_t          issued;        /* iat, else nbf, else 0 */
    unsigned         cp1:1;         /* the client can be challenged */
    size_t           device_len;
    size_t           user_len;
    size_t           app_len;
    u_char           device[MTD_BEARER_DEVICE_MAX];
    u_char           user[MTD_BEARER_USER_MAX];
    u_char           app[MTD_BEARER_GUID_LEN];
} mtd_bearer_t;


/*
 * now is in Unix seconds.  bearer is filled if MTD_BEARER_OK and, because
 * its issuer has still said who that is, if MTD_BEARER_UNTIMELY; else its
 * lengths are 0.  why is static text, NULL if OK.
 */

int mtd_bearer_parse(mtd_bearer_t *bearer, const mtd_bearer_rules_t *rules,
    const mtd_jwt_keys_t *keys, const u_char *token, size_t len, int64_t now,
    const char **why);

/*
 * The token of an Authorization header's value, or NULL: that is of another
 * scheme.  What follows no single space is an empty token, which is no JWT.
 */

const u_char *mtd_bearer_token(const u_char *value, size_t len,
    size_t *token_len);

/* 1 if p is a GUID, which is copied in lower case */

int mtd_bearer_guid(u_char *to, const u_char *p, size_t len);


#endif /* _MTD_BEARER_H_INCLUDED_ */
