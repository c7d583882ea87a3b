
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * Where a server is, as other servers say: an IP address, or a name that is
 * resolved whenever the server is connected to, and a port.
 */


#ifndef _NGX_MTD_PLACE_H_INCLUDED_
#define _NGX_MTD_PLACE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "mtd_host.h"
#include "mtd_slot.h"


/* a host that is cut to this is one byte longer than any */

#define NGX_MTD_PLACE_HOST     (MTD_HOST_MAX + 2)
#define NGX_MTD_PLACE_STRLEN   (MTD_HOST_MAX + sizeof("[]:65535") - 1)


typedef struct {
    ngx_sockaddr_t         sockaddr;
    socklen_t              socklen;         /* 0: host is a name */
    in_port_t              port;
    size_t                 len;             /* 0: nowhere */
    u_char                 host[MTD_HOST_MAX + 1];   /* terminated */
} ngx_mtd_place_t;


/* what "MOVED SLOT HOST:PORT" says; the host may be empty, or "?" */

typedef struct {
    ngx_uint_t             asking;          /* unsigned  asking:1; ASK */
    ngx_uint_t             slot;
    ngx_uint_t             port;
    ngx_str_t              host;
} ngx_mtd_redirect_t;


/* NGX_ERROR: host is neither, or there is no such port; place is nowhere */

ngx_int_t ngx_mtd_place(ngx_mtd_place_t *place, ngx_str_t *host,
    ngx_int_t port);

/* socklen is not more than that of ngx_sockaddr_t */

void ngx_mtd_place_address(ngx_mtd_place_t *place, struct sockaddr *sockaddr,
    socklen_t socklen);

/* a name and its address are two places */

ngx_uint_t ngx_mtd_place_same(ngx_mtd_place_t *a, ngx_mtd_place_t *b);

/* buf has NGX_MTD_PLACE_STRLEN bytes */

size_t ngx_mtd_place_text(ngx_mtd_place_t *place, u_char *buf);

/* NGX_DECLINED: it is another error; NGX_ERROR: only asking is set */

ngx_int_t ngx_mtd_place_redirect(ngx_mtd_redirect_t *redirect,
    ngx_str_t *error);


#endif /* _NGX_MTD_PLACE_H_INCLUDED_ */
