
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

static ngx_inline ngx_table_elt_t *
ngx_http_mtd_cookie(ngx_http_request_t *r, ngx_uint_t i,
    ngx_table_elt_t *prev)
{
#if (nginx_version < 1023000)

    ngx_table_elt_t  **cookies;

    cookies = r->headers_in.cookies.elts;

    return i < r->headers_in.cookies.nelts ? cookies[i] : NULL;

#else

    return prev ? prev->next : r->headers_in.cookie;

#endif
}


#endif /* _NGX_HTTP_MTD_COMPAT_H_INCLUDED_ */
