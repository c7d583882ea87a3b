
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * Which server stands behind the gate: its endpoints, what each speaks,
 * the methods that it takes and what may pass before a device is known;
 * and the client headers that it would trust.  Plain C.
 */


#ifndef _MTD_PROFILE_H_INCLUDED_
#define _MTD_PROFILE_H_INCLUDED_


#include <stdint.h>

#include "mtd_words.h"


typedef enum {
    MTD_GATED = 0,
    MTD_OPEN,                       /* passes before a device is known */
    MTD_REFUSED                     /* never from outside */
} mtd_access_e;


/* methods; a method that is not named here has the bit MTD_METHOD_OTHER */

#define MTD_METHOD_GET              0x00000001
#define MTD_METHOD_HEAD             0x00000002
#define MTD_METHOD_POST             0x00000004
#define MTD_METHOD_OPTIONS          0x00000008
#define MTD_METHOD_PUT              0x00000010
#define MTD_METHOD_DELETE           0x00000020
#define MTD_METHOD_PATCH            0x00000040
#define MTD_METHOD_MERGE            0x00000080
#define MTD_METHOD_PROPFIND         0x00000100
#define MTD_METHOD_PROPPATCH        0x00000200
#define MTD_METHOD_MKCOL            0x00000400
#define MTD_METHOD_COPY             0x00000800
#define MTD_METHOD_MOVE             0x00001000
#define MTD_METHOD_LOCK             0x00002000
#define MTD_METHOD_UNLOCK           0x00004000
#define MTD_METHOD_REPORT           0x00008000
#define MTD_METHOD_SEARCH           0x00010000
#define MTD_METHOD_RPC_IN_DATA      0x00020000
#define MTD_METHOD_RPC_OUT_DATA     0x00040000
#define MTD_METHOD_RPC_CONNECT      0x00080000
#define MTD_METHOD_OTHER            0x80000000


#define MTD_ENDPOINT_STRICT_QUERY   0x01    /* mtd_canon_strict_query() */
#define MTD_ENDPOINT_OWN_QUERY      0x02    /* an identify hook reads it */
#define MTD_ENDPOINT_OPEN_OPTIONS   0x04    /* OPTIONS without a query pass */
#define MTD_ENDPOINT_EXACT          0x08    /* nothing but "/" may follow */
#define MTD_ENDPOINT_NAME           0x10    /* nothing but one segment may */


typedef struct {
    mtd_str_t   path;               /* lower case, see mtd_profile_match() */
    uint8_t     protocol;           /* mtd_protocol_e */
    uint8_t     access;             /* mtd_access_e */
    uint8_t     flags;
    uint32_t    methods;
} mtd_endpoint_t;


typedef struct {
    mtd_str_t               name;           /* "exchange" */
    const mtd_endpoint_t   *endpoints;      /* the first that fits counts */
    const mtd_endpoint_t   *segments;       /* found below any site */
    const mtd_str_t        *refused;        /* segments, wherever they are */
    const mtd_endpoint_t   *fallback;       /* NULL: what is unknown is 404 */
    const mtd_endpoint_t   *webdav;         /* its methods there, or NULL */
    const mtd_str_t        *stripped;       /* header names, lower case */
    unsigned                canon;          /* rules for mtd_canon_path() */
} mtd_profile_t;


/* NULL if there is no profile of that name */

const mtd_profile_t *mtd_profile_find(const u_char *name, size_t len);

/* 1 if it has endpoints of the protocol that are not refused */

int mtd_profile_serves(const mtd_profile_t *profile, unsigned protocol);

/*
 * The endpoint that IIS would choose, letter case ignored: none but a
 * refused one if a refused segment stands anywhere; else the first of
 * endpoints that is a prefix of uri on a segment border, unless it is open
 * and one of the segments stands behind it; else that of segments that starts
 * leftmost, since IIS looks for no other behind it; else the fallback.  uri is
 * the decoded canonical path.  NULL: the profile does not know it.
 */

const mtd_endpoint_t *mtd_profile_match(const mtd_profile_t *profile,
    const mtd_str_t *uri);

/*
 * The same for a path that is, but for letter case, one that the profile
 * lists, and so needs no canonical form; NULL for all others.
 */

const mtd_endpoint_t *mtd_profile_exact(const mtd_profile_t *profile,
    const mtd_str_t *path);

/* 1 if path is a prefix of uri on a segment border, letter case ignored */

int mtd_path_prefix(const mtd_str_t *uri, const mtd_str_t *path);

/* "RPC_IN_DATA" -> its bit; case matters, as in HTTP */

uint32_t mtd_method_bit(const u_char *name, size_t len);

/* writes "GET, HEAD, ..." for Allow, returns the end; room for 256 bytes */

u_char *mtd_method_list(u_char *p, uint32_t methods);


#endif /* _MTD_PROFILE_H_INCLUDED_ */
