
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include "ngx_http_mtd_bearer.h"


static ngx_int_t ngx_http_mtd_bearer_identify(ngx_http_request_t *r,
    ngx_uint_t protocol, ngx_http_mtd_identity_t *id);

static ngx_int_t ngx_http_mtd_bearer_preconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_http_mtd_bearer_postconfiguration(ngx_conf_t *cf);
static const char *ngx_http_mtd_bearer_check(ngx_conf_t *cf,
    ngx_http_conf_ctx_t *server, ngx_uint_t named);
static void *ngx_http_mtd_bearer_create_main_conf(ngx_conf_t *cf);
static void *ngx_http_mtd_bearer_create_srv_conf(ngx_conf_t *cf);
static char *ngx_http_mtd_bearer_merge_srv_conf(ngx_conf_t *cf, void *parent,
    void *child);
static ngx_int_t ngx_http_mtd_bearer_init_process(ngx_cycle_t *cycle);


static ngx_command_t  ngx_http_mtd_bearer_commands[] = {

    { ngx_string("mtd_bearer"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_CONF_1MORE,
      ngx_http_mtd_bearer_directive,
      NGX_HTTP_SRV_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("mtd_cloud"),
      NGX_HTTP_SRV_CONF|NGX_CONF_1MORE,
      ngx_http_mtd_bearer_cloud,
      NGX_HTTP_SRV_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_mtd_bearer_module_ctx = {
    ngx_http_mtd_bearer_preconfiguration,  /* preconfiguration */
    ngx_http_mtd_bearer_postconfiguration, /* postconfiguration */

    ngx_http_mtd_bearer_create_main_conf,  /* create main configuration */
    NULL,                                  /* init main configuration */

    ngx_http_mtd_bearer_create_srv_conf,   /* create server configuration */
    ngx_http_mtd_bearer_merge_srv_conf,    /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_mtd_bearer_module = {
    NGX_MODULE_V1,
    &ngx_http_mtd_bearer_module_ctx,       /* module context */
    ngx_http_mtd_bearer_commands,          /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_http_mtd_bearer_init_process,      /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_http_mtd_hook_t  ngx_http_mtd_bearer_hook = {
    NGX_HTTP_MTD_HOOK_MAJOR,
    NGX_HTTP_MTD_HOOK_MINOR,
    sizeof(ngx_http_mtd_hook_t),
    ngx_string("bearer"),
    ngx_http_mtd_bearer_identify,
    NULL,
    NULL,
    ngx_http_mtd_bearer_check
};


static ngx_http_mtd_hook_t  ngx_http_mtd_bearer_respond_hook = {
    NGX_HTTP_MTD_HOOK_MAJOR,
    NGX_HTTP_MTD_HOOK_MINOR,
    sizeof(ngx_http_mtd_hook_t),
    ngx_string("respond_bearer"),
    NULL,
    ngx_http_mtd_bearer_challenge,
    NULL,
    NULL
};


/*
 * A token that is forged or cannot be read is refused.  One that is of
 * another issuer, or has expired, names nobody: the server behind asks its
 * client for a new one, if another hook knows the device.
 */

static ngx_int_t
ngx_http_mtd_bearer_identify(ngx_http_request_t *r, ngx_uint_t protocol,
    ngx_http_mtd_identity_t *id)
{
    ngx_int_t                         rc;
    const mtd_bearer_t               *told;
    ngx_http_mtd_candidate_t         *candidate;
    ngx_http_mtd_bearer_srv_conf_t   *bscf;

    bscf = ngx_http_get_module_srv_conf(r, ngx_http_mtd_bearer_module);

    if (bscf->bearer == NULL) {
        return NGX_DECLINED;
    }

    rc = ngx_http_mtd_bearer_read(r, bscf->bearer, &told, &id->why);

    if (rc == NGX_DECLINED) {
        return NGX_DECLINED;
    }

    if (rc == MTD_BEARER_MALFORMED) {
        return NGX_HTTP_MTD_MALFORMED;
    }

    id->user.data = (u_char *) told->user;
    id->user.len = told->user_len;
    id->authorization = 1;

    if (rc != MTD_BEARER_OK) {
        return NGX_DECLINED;
    }

    if (bscf->cloud && ngx_http_mtd_bearer_is_cloud(r, bscf->cloud, told)) {
        return NGX_HTTP_MTD_DEFERRED;
    }

    if (told->device_len == 0) {
        id->why = "the token names no device";
        return NGX_DECLINED;
    }

    candidate = &id->candidate[0];

    candidate->kind = bscf->bearer->kind;
    candidate->len = told->device_len;

    /* all of it: a size that is known needs no call */

    ngx_memcpy(candidate->data, told->device, MTD_BEARER_DEVICE_MAX);

    id->n = 1;

    return NGX_OK;
}


/*
 * nginx itself refuses a second Authorization header.  A token that was
 * valid when the request came stays so for it: a long poll whose device
 * becomes a threat later is still that device's.
 */

ngx_int_t
ngx_http_mtd_bearer_read(ngx_http_request_t *r, ngx_http_mtd_bearer_t *bearer,
    const mtd_bearer_t **told, const char **why)
{
    int                           rc;
    size_t                        len;
    ngx_str_t                    *value;
    const u_char                 *token;
    ngx_http_mtd_bearer_entry_t  *entry;

    static mtd_bearer_t  now;

    if (r->headers_in.authorization == NULL) {
        return NGX_DECLINED;
    }

    value = &r->headers_in.authorization->value;
    token = mtd_bearer_token(value->data, value->len, &len);

    if (token == NULL) {
        return NGX_DECLINED;
    }

    entry = ngx_http_mtd_bearer_find(bearer, token, len, r->start_sec);

    if (entry) {
        *told = &entry->bearer;
        return MTD_BEARER_OK;
    }

    rc = mtd_bearer_parse(&now, &bearer->rules, bearer->keys, token, len,
                          r->start_sec, why);

    *told = &now;

    if (rc == MTD_BEARER_OK) {
        *told = ngx_http_mtd_bearer_keep(bearer, &now, token, len,
                                         r->connection->log);
    }

    return rc;
}


static ngx_int_t
ngx_http_mtd_bearer_preconfiguration(ngx_conf_t *cf)
{
    return ngx_http_mtd_add_hook(cf, &ngx_http_mtd_bearer_hook);
}


/* behind the hooks of the protocols, so that it is asked before them */

static ngx_int_t
ngx_http_mtd_bearer_postconfiguration(ngx_conf_t *cf)
{
    ngx_http_mtd_bearer_main_conf_t  *bmcf;

    bmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_mtd_bearer_module);

    if (ngx_http_mtd_bearer_clouds(cf, &ngx_http_mtd_bearer_hook) != NGX_OK) {
        return NGX_ERROR;
    }

    return bmcf->bearers.nelts
           ? ngx_http_mtd_add_hook(cf, &ngx_http_mtd_bearer_respond_hook)
           : NGX_OK;
}


/* without "bearer" there are still the challenges */

static const char *
ngx_http_mtd_bearer_check(ngx_conf_t *cf, ngx_http_conf_ctx_t *server,
    ngx_uint_t named)
{
    ngx_http_mtd_bearer_srv_conf_t  *bscf;

    bscf = server->srv_conf[ngx_http_mtd_bearer_module.ctx_index];

    return (named && bscf->bearer == NULL)
           ? "\"mtd_bearer\" there or in http {}" : NULL;
}


static void *
ngx_http_mtd_bearer_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_mtd_bearer_main_conf_t  *bmcf;

    bmcf = ngx_palloc(cf->pool, sizeof(ngx_http_mtd_bearer_main_conf_t));

    if (bmcf == NULL
        || ngx_array_init(&bmcf->bearers, cf->pool, 2,
                          sizeof(ngx_http_mtd_bearer_t *))
           != NGX_OK
        || ngx_array_init(&bmcf->clouds, cf->pool, 2,
                          sizeof(ngx_http_mtd_bearer_cloud_t *))
           != NGX_OK)
    {
        return NULL;
    }

    return bmcf;
}


static void *
ngx_http_mtd_bearer_create_srv_conf(ngx_conf_t *cf)
{
    /*
     * set by ngx_pcalloc():
     *
     *     bscf->bearer = NULL;
     *     bscf->cloud = NULL;
     */

    return ngx_pcalloc(cf->pool, sizeof(ngx_http_mtd_bearer_srv_conf_t));
}


static char *
ngx_http_mtd_bearer_merge_srv_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_mtd_bearer_srv_conf_t  *prev = parent;
    ngx_http_mtd_bearer_srv_conf_t  *conf = child;

    ngx_http_core_srv_conf_t  *cscf;

    if (conf->bearer == NULL) {
        conf->bearer = prev->bearer;
    }

    if (conf->cloud && conf->bearer == NULL) {
        cscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_core_module);

        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "no \"mtd_bearer\" for the server with \"mtd_cloud\" "
                      "in %s:%ui, it must say which tokens count",
                      cscf->file_name, cscf->line);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_mtd_bearer_init_process(ngx_cycle_t *cycle)
{
    ngx_uint_t                        i;
    ngx_http_mtd_bearer_t           **bearer;
    ngx_http_mtd_bearer_main_conf_t  *bmcf;

    if (ngx_process != NGX_PROCESS_WORKER
        && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    bmcf = ngx_http_cycle_get_module_main_conf(cycle,
                                               ngx_http_mtd_bearer_module);

    if (bmcf == NULL) {

        /* there is no http {} */

        return NGX_OK;
    }

    bearer = bmcf->bearers.elts;

    for (i = 0; i < bmcf->bearers.nelts; i++) {
        ngx_http_mtd_bearer_watch(bearer[i], cycle->log);
    }

    return NGX_OK;
}
