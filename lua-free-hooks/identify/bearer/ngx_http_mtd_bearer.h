
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * What the files of the bearer hook share.
 */


#ifndef _NGX_HTTP_MTD_BEARER_H_INCLUDED_
#define _NGX_HTTP_MTD_BEARER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_mtd_hook.h"
#include "mtd_bearer.h"


#define NGX_HTTP_MTD_BEARER_WAYS    4       /* places of one token */


/* a file as it was when it was read */

typedef struct {
    time_t                           mtime;
    time_t                           read;
    off_t                            size;
    ngx_file_uniq_t                  uniq;
} ngx_http_mtd_bearer_file_t;


/* a token that was verified; owned by the cache */

typedef struct {
    mtd_bearer_t                     bearer;
    uint32_t                         hash;
    size_t                           len;
    u_char                           data[1];
} ngx_http_mtd_bearer_entry_t;


/* one mtd_bearer; keys and cache are each worker's own */

typedef struct {
    mtd_bearer_rules_t               rules;
    ngx_uint_t                       kind;
    ngx_str_t                        path;      /* of the keys */
    ngx_str_t                        authorization_uri;
    mtd_jwt_keys_t                  *keys;
    ngx_http_mtd_bearer_file_t       file;
    ngx_uint_t                       missing;   /* unsigned  missing:1; */
    ngx_event_t                      event;
    ngx_uint_t                       places;    /* power of two */
    ngx_http_mtd_bearer_entry_t    **cache;     /* NULL until it is used */
} ngx_http_mtd_bearer_t;


/* one mtd_cloud */

typedef struct {
    ngx_radix_tree_t                *ranges;
#if (NGX_HAVE_INET6)
    ngx_radix_tree_t                *ranges6;
#endif
    ngx_array_t                      apps;      /* of ngx_str_t */
    ngx_str_t                        path;      /* of the ranges */
    ngx_http_conf_ctx_t             *server;
    u_char                          *file;      /* where it is written */
    ngx_uint_t                       line;
} ngx_http_mtd_bearer_cloud_t;


typedef struct {
    ngx_array_t                      bearers;   /* ngx_http_mtd_bearer_t * */
    ngx_array_t                      clouds;    /* of all servers, pointers */
} ngx_http_mtd_bearer_main_conf_t;


typedef struct {
    ngx_http_mtd_bearer_t           *bearer;
    ngx_http_mtd_bearer_cloud_t     *cloud;
} ngx_http_mtd_bearer_srv_conf_t;


extern ngx_module_t  ngx_http_mtd_bearer_module;


/*
 * What the request's token says, MTD_BEARER_*, or NGX_DECLINED: there is
 * none.  bearer is valid until the next call.
 */

ngx_int_t ngx_http_mtd_bearer_read(ngx_http_request_t *r,
    ngx_http_mtd_bearer_t *bearer, const mtd_bearer_t **told,
    const char **why);

/* ngx_http_mtd_bearer_conf.c */

char *ngx_http_mtd_bearer_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* ngx_http_mtd_bearer_keys.c: the file, and tokens that were verified */

ngx_int_t ngx_http_mtd_bearer_keys(ngx_conf_t *cf,
    ngx_http_mtd_bearer_t *bearer);
void ngx_http_mtd_bearer_watch(ngx_http_mtd_bearer_t *bearer,
    ngx_log_t *log);
ngx_http_mtd_bearer_entry_t *ngx_http_mtd_bearer_find(
    ngx_http_mtd_bearer_t *bearer, const u_char *token, size_t len,
    time_t now);
const mtd_bearer_t *ngx_http_mtd_bearer_keep(ngx_http_mtd_bearer_t *bearer,
    const mtd_bearer_t *told, const u_char *token, size_t len,
    ngx_log_t *log);

/* ngx_http_mtd_bearer_cloud.c */

char *ngx_http_mtd_bearer_cloud(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
ngx_int_t ngx_http_mtd_bearer_clouds(ngx_conf_t *cf,
    const ngx_http_mtd_hook_t *hook);
ngx_uint_t ngx_http_mtd_bearer_is_cloud(ngx_http_request_t *r,
    ngx_http_mtd_bearer_cloud_t *cloud, const mtd_bearer_t *told);

/* ngx_http_mtd_bearer_challenge.c */

ngx_int_t ngx_http_mtd_bearer_challenge(ngx_http_request_t *r,
    const ngx_http_mtd_verdict_t *verdict);


#endif /* _NGX_HTTP_MTD_BEARER_H_INCLUDED_ */
