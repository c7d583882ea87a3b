
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * The device that a client certificate was issued to.  Needs OpenSSL, and
 * nothing of nginx.  Whether the certificate can be trusted is the caller's.
 */


#ifndef _MTD_CERT_H_INCLUDED_
#define _MTD_CERT_H_INCLUDED_


#include <openssl/x509v3.h>

#include "mtd_words.h"


#define MTD_CERT_OK            0
#define MTD_CERT_NONE          1    /* it has none of the sources */
#define MTD_CERT_MALFORMED     2
#define MTD_CERT_AMBIGUOUS     3


#define MTD_CERT_VALUE_MAX     128  /* bytes */
#define MTD_CERT_USER_MAX      256
#define MTD_CERT_GUID_LEN      36


typedef enum {
    MTD_CERT_SAN_URI = 0,           /* a GUID in one of Intune's forms */
    MTD_CERT_CN,                    /* the whole common name */
    MTD_CERT_SERIAL,                /* hex, lower case */
    MTD_CERT_INTUNE,                /* extensions of its MDM device CA */
    MTD_CERT_ENTRA,                 /* those of its device registration */
    MTD_CERT_SOURCE_N
} mtd_cert_source_e;


typedef struct {
    unsigned        source;         /* mtd_cert_source_e */
    unsigned        kind;           /* handed on */
    const u_char   *tenant;         /* a GUID in lower case, see parse */
} mtd_cert_source_t;


typedef struct {
    unsigned        kind;
    size_t          len;
    u_char          data[MTD_CERT_VALUE_MAX];   /* folded to lower case */
    const char     *why;            /* static text, set if not OK */
} mtd_cert_id_t;


/*
 * The first of the n sources that the certificate has decides.  Of INTUNE and
 * ENTRA the certificate must be of the source's tenant: all have one root.
 */

int mtd_cert_parse(X509 *cert, const mtd_cert_source_t *sources, unsigned n,
    mtd_cert_id_t *id);

/*
 * The user principal name in its alternative names, in lower case; 0: there
 * is none.  Several, or one that cannot be read, are the name "*", which is
 * nobody's.
 */

size_t mtd_cert_user(X509 *cert, u_char *user);

/* 1 if all of p is a GUID, whose lower-case form is then written */

int mtd_cert_guid(u_char *to, const u_char *p, size_t len);


#endif /* _MTD_CERT_H_INCLUDED_ */
