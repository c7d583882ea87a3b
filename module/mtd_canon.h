
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * The canonical form of a request target: what is decided on is what the
 * backend gets.  Plain C.
 */


#ifndef _MTD_CANON_H_INCLUDED_
#define _MTD_CANON_H_INCLUDED_


#include "mtd_words.h"


#define MTD_CANON_OK        0       /* the path was canonical already */
#define MTD_CANON_CHANGED   1       /* path and uri hold a new form */
#define MTD_CANON_REFUSED   2       /* why says what has two readings */

/* rules */

#define MTD_CANON_LITERALS  0x01    /* SharePoint: /_api/...('literal') */
#define MTD_CANON_NAMES     0x02    /* SharePoint: wide file names */
#define MTD_CANON_COOKIES   0x04    /* Exchange: mtd_canon_cookies() */


typedef struct {
    mtd_str_t     path;             /* encoded, goes to the backend */
    mtd_str_t     uri;              /* decoded once, for locations */
    const char   *why;              /* static text, set when refused */
} mtd_canon_t;


/*
 * path is the raw path of a request line, without query, in any bytes.
 * Nothing is allocated: buf must have room for 4 * path->len + 2 bytes and
 * is only written when the result is MTD_CANON_CHANGED; canon then points
 * into it.  With buf == NULL the function only answers whether the path is
 * canonical, and returns MTD_CANON_CHANGED for all that is not.
 *
 * Idempotent: the canonical form of canon->path is itself.
 */

int mtd_canon_path(mtd_canon_t *canon, const mtd_str_t *path, unsigned rules,
    u_char *buf);

/*
 * The query of an endpoint that is read strictly: name=value pairs, every
 * name once, nothing that could be read as a path.  The query is forwarded
 * as it came, so it is checked only.  Returns NULL or why it is refused.
 */

const char *mtd_canon_strict_query(const mtd_str_t *args);

/* any other query: no control bytes, no "#" */

const char *mtd_canon_query(const mtd_str_t *args);

/*
 * The value of a Cookie header: those by which Exchange chooses a server
 * name one and its version, and no path.  With more, another such header
 * follows, and what joins them may add that one to the last cookie.
 * Returns NULL or why it is refused.
 */

const char *mtd_canon_cookies(const mtd_str_t *cookies, int more);


#endif /* _MTD_CANON_H_INCLUDED_ */
