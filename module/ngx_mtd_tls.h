
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * TLS to a Redis server, by nginx's own SSL.  What is here is empty in an
 * nginx without SSL, where the parameters of mtd_redis do not exist.
 */


#ifndef _NGX_MTD_TLS_H_INCLUDED_
#define _NGX_MTD_TLS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#if (NGX_SSL)


#define NGX_MTD_TLS_DEPTH   9               /* of a chain, at most */


/* from the configuration, shared by all connections of all workers */

typedef struct {
    ngx_ssl_t      ssl;
    ngx_str_t      name;                    /* with a zero behind it */
    ngx_uint_t     verify;                  /* unsigned  verify:1; */
} ngx_mtd_tls_t;


/*
 * Makes the context; it is freed with cf->pool.  Each path may be empty, and
 * name is the server's in its certificate, or its IP address.
 */

ngx_int_t ngx_mtd_tls_create(ngx_conf_t *cf, ngx_mtd_tls_t *tls,
    ngx_str_t *trusted, ngx_str_t *certificate, ngx_str_t *key);

/*
 * Begins the handshake on a connection that is established.  NGX_OK: done
 * already.  NGX_AGAIN: handler will be called, with c->ssl->handshaked set
 * or not.  The connection gets a pool, which ngx_mtd_tls_close() frees.
 */

ngx_int_t ngx_mtd_tls_handshake(ngx_mtd_tls_t *tls, ngx_connection_t *c,
    ngx_connection_handler_pt handler);

/* after the handshake: NULL, or why the server is not who it should be */

const char *ngx_mtd_tls_verify(ngx_mtd_tls_t *tls, ngx_connection_t *c);


#endif


/* closes c, with TLS's own goodbye if there is TLS; waits for nothing */

void ngx_mtd_tls_close(ngx_connection_t *c);


#endif /* _NGX_MTD_TLS_H_INCLUDED_ */
