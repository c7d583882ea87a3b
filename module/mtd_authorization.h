
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * The Authorization header (RFC 7235, RFC 7617) and the names of users in
 * it.  A password is passed over, and never copied.  Plain C.
 */


#ifndef _MTD_AUTHORIZATION_H_INCLUDED_
#define _MTD_AUTHORIZATION_H_INCLUDED_


#include "mtd_words.h"


#define MTD_AUTHORIZATION_MAX       8192    /* bytes of a Basic credential */
#define MTD_AUTHORIZATION_USER      256     /* bytes */


typedef enum {
    MTD_AUTHORIZATION_OTHER = 0,            /* no user can be seen in it */
    MTD_AUTHORIZATION_BASIC,
    MTD_AUTHORIZATION_BEARER,
    MTD_AUTHORIZATION_MALFORMED             /* it is Basic, or no scheme */
} mtd_authorization_e;


/* "CORP" -> "example.com"; a name of "*" is that of no domain */

typedef struct {
    mtd_str_t       name;                   /* lower case */
    mtd_str_t       domain;                 /* lower case */
} mtd_user_domain_t;


/*
 * What the value of an Authorization header is; of Basic the user's name is
 * copied to user, with room for MTD_AUTHORIZATION_USER bytes.
 */

mtd_authorization_e mtd_authorization(u_char *user, size_t *len,
    const mtd_str_t *value);

/*
 * user@domain, DOMAIN\user or user as a UPN in lower case, with its domain
 * as the n domains name it.  Returns the length, or 0: it is none of these,
 * its domain is not one of them and no DNS name, or it has no room in max.
 */

size_t mtd_user_upn(u_char *to, size_t max, const mtd_str_t *user,
    const mtd_user_domain_t *domains, unsigned n);


#endif /* _MTD_AUTHORIZATION_H_INCLUDED_ */
