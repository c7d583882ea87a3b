
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * Where a store's Redis is, as mtd_redis {} says it: a server, Sentinels that
 * know where it is, or some servers of a cluster.
 */


#ifndef _NGX_HTTP_MTD_TOPOLOGY_H_INCLUDED_
#define _NGX_HTTP_MTD_TOPOLOGY_H_INCLUDED_


#include "ngx_http_mtd_module.h"


typedef struct {
    ngx_array_t                servers;     /* of ngx_str_t */
    ngx_array_t                sentinels;   /* of ngx_str_t */
    ngx_str_t                  master;
    ngx_str_t                  sentinel_user;
    ngx_str_t                  sentinel_password;
    ngx_uint_t                 read;        /* 1: a replica */
    ngx_uint_t                 cluster;
} ngx_http_mtd_topology_t;


/* of parameters, whose offset is that of an array, or of the whole */

char *ngx_http_mtd_set_server(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_mtd_set_sentinel(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

ngx_int_t ngx_http_mtd_topology_init(ngx_conf_t *cf,
    ngx_http_mtd_topology_t *topology);
char *ngx_http_mtd_topology(ngx_conf_t *cf, ngx_mtd_store_t *store,
    ngx_http_mtd_topology_t *topology);

#if (NGX_SSL)

/* once the store's own TLS is complete */

ngx_int_t ngx_http_mtd_topology_secure(ngx_conf_t *cf,
    ngx_mtd_store_t *store);
#endif

/* once http {} is complete */

ngx_int_t ngx_http_mtd_topology_resolve(ngx_conf_t *cf,
    ngx_mtd_store_t *store);


#endif /* _NGX_HTTP_MTD_TOPOLOGY_H_INCLUDED_ */
