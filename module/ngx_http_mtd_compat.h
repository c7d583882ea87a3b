
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/* everything that depends on a version of nginx */


#ifndef _NGX_HTTP_MTD_COMPAT_H_INCLUDED_
#define _NGX_HTTP_MTD_COMPAT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#if (nginx_version < 1022000)
#error "the mtd module requires nginx 1.22.0 or newer"
#endif

#if !(NGX_PCRE)
#error "the mtd module requires nginx built with PCRE"
#endif


#endif /* _NGX_HTTP_MTD_COMPAT_H_INCLUDED_ */
