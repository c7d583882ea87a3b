
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/* everything that depends on a version of nginx */


#ifndef _NGX_HTTP_MTD_COMPAT_H_INCLUDED_
#define _NGX_HTTP_MTD_COMPAT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


#if (nginx_version < 1022000)
#error "the mtd module requires nginx 1.22.0 or newer"
#endif

#if !(NGX_PCRE)
#error "the mtd module requires nginx built with PCRE"
#endif


/* the i-th Cookie header, which follows prev, or NULL */

#if (nginx_version < 1023000)

#define ngx_http_mtd_cookie(r, i, prev)                                       \
    ((i) < (r)->headers_in.cookies.nelts                                      \
     ? ((ngx_table_elt_t **) (r)->headers_in.cookies.elts)[i] : NULL)

#else

#define ngx_http_mtd_cookie(r, i, prev)                                       \
    ((void) (i), (prev) ? (prev)->next : (r)->headers_in.cookie)

#endif


#endif /* _NGX_HTTP_MTD_COMPAT_H_INCLUDED_ */
