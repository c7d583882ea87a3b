
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/* what the gate offers to its hooks at configuration time */


#include "ngx_http_mtd_module.h"


/* of 1.3 and before, which end there */

#define NGX_HTTP_MTD_HOOK_SIZE       offsetof(ngx_http_mtd_hook_t, check)


static ngx_int_t ngx_http_mtd_hooks_add(ngx_conf_t *cf,
    const ngx_http_mtd_hook_t *hook);
static ngx_int_t ngx_http_mtd_hooks_add_kind(ngx_conf_t *cf, ngx_str_t *name);
static ngx_uint_t ngx_http_mtd_hooks_identifies(ngx_http_conf_ctx_t *server,
    const ngx_http_mtd_hook_t *hook);
static ngx_uint_t ngx_http_mtd_hooks_serves(ngx_http_conf_ctx_t *server,
    ngx_uint_t protocol);
static ngx_int_t ngx_http_mtd_hooks_check_named(ngx_conf_t *cf,
    ngx_http_core_srv_conf_t *cscf, ngx_array_t *shared, ngx_uint_t *able);
static ngx_int_t ngx_http_mtd_hooks_check_others(ngx_conf_t *cf,
    ngx_http_core_srv_conf_t *cscf);
static const char *ngx_http_mtd_hooks_ask(ngx_conf_t *cf,
    ngx_http_core_srv_conf_t *cscf, const ngx_http_mtd_hook_t *hook,
    ngx_uint_t named);
static ngx_int_t ngx_http_mtd_hooks_refuse(ngx_conf_t *cf,
    ngx_http_core_srv_conf_t *cscf, const ngx_http_mtd_hook_t *hook);


void
ngx_http_mtd_hooks_offer(ngx_http_mtd_api_t *api)
{
    api->major = NGX_HTTP_MTD_HOOK_MAJOR;
    api->minor = NGX_HTTP_MTD_HOOK_MINOR;
    api->size = sizeof(ngx_http_mtd_api_t);
    api->add_hook = ngx_http_mtd_hooks_add;
    api->add_kind = ngx_http_mtd_hooks_add_kind;
    api->send = ngx_http_mtd_send;
    api->identifies = ngx_http_mtd_hooks_identifies;
    api->serves = ngx_http_mtd_hooks_serves;
}


static ngx_int_t
ngx_http_mtd_hooks_add(ngx_conf_t *cf, const ngx_http_mtd_hook_t *hook)
{
    ngx_uint_t                   i;
    ngx_http_mtd_main_conf_t    *mmcf;
    const ngx_http_mtd_hook_t  **elt;

    mmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_mtd_module);

    /* a newer one may use what this gate does not offer yet */

    if (hook->major != NGX_HTTP_MTD_HOOK_MAJOR
        || hook->minor > NGX_HTTP_MTD_HOOK_MINOR
        || hook->size < NGX_HTTP_MTD_HOOK_SIZE)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "mtd hook \"%V\" was built for ABI %ui.%ui, "
                           "it must be rebuilt for %d.%d", &hook->name,
                           hook->major, hook->minor,
                           NGX_HTTP_MTD_HOOK_MAJOR, NGX_HTTP_MTD_HOOK_MINOR);
        return NGX_ERROR;
    }

    elt = mmcf->hooks.elts;

    for (i = 0; i < mmcf->hooks.nelts; i++) {

        if (elt[i]->name.len == hook->name.len
            && ngx_memcmp(elt[i]->name.data, hook->name.data, hook->name.len)
               == 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "mtd hook \"%V\" is registered twice",
                               &hook->name);
            return NGX_ERROR;
        }
    }

    elt = ngx_array_push(&mmcf->hooks);
    if (elt == NULL) {
        return NGX_ERROR;
    }

    *elt = hook;

    if (hook->audit) {
        mmcf->audited = 1;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_mtd_hooks_add_kind(ngx_conf_t *cf, ngx_str_t *name)
{
    mtd_str_t                  kind;
    ngx_str_t                 *elt;
    ngx_uint_t                 i;
    ngx_http_mtd_main_conf_t  *mmcf;

    mmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_mtd_module);

    kind.len = name->len;
    kind.data = name->data;

    if (!mtd_kind_valid(&kind)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid kind of identity \"%V\", it must be eas, "
                           "entra, intune, serial, imei, cert, udid or "
                           "vendor.NAME", name);
        return NGX_ERROR;
    }

    elt = mmcf->kinds.elts;

    for (i = 0; i < mmcf->kinds.nelts; i++) {
        if (elt[i].len == name->len
            && ngx_memcmp(elt[i].data, name->data, name->len) == 0)
        {
            return i;
        }
    }

    if (mmcf->bound) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "the kind of identity \"%V\" comes too late, a "
                           "hook must add it in preconfiguration", name);
        return NGX_ERROR;
    }

    if (mmcf->kinds.nelts == NGX_MTD_KINDS) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "more than %d kinds of identities", NGX_MTD_KINDS);
        return NGX_ERROR;
    }

    elt = ngx_array_push(&mmcf->kinds);
    if (elt == NULL) {
        return NGX_ERROR;
    }

    *elt = *name;

    return i;
}


static ngx_uint_t
ngx_http_mtd_hooks_identifies(ngx_http_conf_ctx_t *server,
    const ngx_http_mtd_hook_t *hook)
{
    ngx_uint_t                   i;
    ngx_http_mtd_srv_conf_t     *mscf;
    const ngx_http_mtd_hook_t  **elt;

    mscf = server->srv_conf[ngx_http_mtd_module.ctx_index];

    if (mscf->identify == NULL) {
        return 0;
    }

    elt = mscf->identify->elts;

    for (i = 0; i < mscf->identify->nelts; i++) {
        if (elt[i] == hook) {
            return 1;
        }
    }

    return 0;
}


static ngx_uint_t
ngx_http_mtd_hooks_serves(ngx_http_conf_ctx_t *server, ngx_uint_t protocol)
{
    ngx_uint_t                i;
    mtd_endpoint_t           *endpoint;
    ngx_http_mtd_srv_conf_t  *mscf;

    mscf = server->srv_conf[ngx_http_mtd_module.ctx_index];

    if (mscf->endpoints) {
        endpoint = mscf->endpoints->elts;

        for (i = 0; i < mscf->endpoints->nelts; i++) {
            if (endpoint[i].protocol == protocol
                && endpoint[i].access != MTD_REFUSED)
            {
                return 1;
            }
        }
    }

    return mscf->profile && mtd_profile_serves(mscf->profile, protocol);
}


/*
 * After all servers have inherited what they do not say themselves.  A server
 * that names its hooks means each of them.  Those of http {} are for several
 * servers: one of them has to be of use in each, and each of them in one.
 */

ngx_int_t
ngx_http_mtd_hooks_check(ngx_conf_t *cf)
{
    ngx_uint_t                   i, able;
    ngx_array_t                 *shared;
    ngx_http_conf_ctx_t         *ctx;
    ngx_http_mtd_srv_conf_t     *mscf;
    ngx_http_core_srv_conf_t   **cscf, *last;
    const ngx_http_mtd_hook_t  **hook;
    ngx_http_core_main_conf_t   *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
    cscf = cmcf->servers.elts;

    ctx = cf->ctx;
    mscf = ctx->srv_conf[ngx_http_mtd_module.ctx_index];
    shared = mscf->identify;

    able = 0;
    last = NULL;

    for (i = 0; i < cmcf->servers.nelts; i++) {

        mscf = cscf[i]->ctx->srv_conf[ngx_http_mtd_module.ctx_index];

        if (!mscf->gated) {
            continue;
        }

        if (mscf->identify == shared) {
            last = cscf[i];
        }

        if (ngx_http_mtd_hooks_check_named(cf, cscf[i], shared, &able)
            != NGX_OK
            || ngx_http_mtd_hooks_check_others(cf, cscf[i]) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (last == NULL) {
        return NGX_OK;
    }

    hook = shared->elts;

    for (i = 0; i < shared->nelts; i++) {
        if (!(able & ((ngx_uint_t) 1 << i))) {
            return ngx_http_mtd_hooks_refuse(cf, last, hook[i]);
        }
    }

    return NGX_OK;
}


/* able gets the bits of those of shared that are of use in this server */

static ngx_int_t
ngx_http_mtd_hooks_check_named(ngx_conf_t *cf, ngx_http_core_srv_conf_t *cscf,
    ngx_array_t *shared, ngx_uint_t *able)
{
    ngx_uint_t                   i, here;
    ngx_http_mtd_srv_conf_t     *mscf;
    const ngx_http_mtd_hook_t  **hook;

    mscf = cscf->ctx->srv_conf[ngx_http_mtd_module.ctx_index];
    hook = mscf->identify->elts;
    here = 0;

    for (i = 0; i < mscf->identify->nelts; i++) {

        if (ngx_http_mtd_hooks_ask(cf, cscf, hook[i], 1) == NULL) {
            here |= (ngx_uint_t) 1 << i;

        } else if (mscf->identify != shared) {
            return ngx_http_mtd_hooks_refuse(cf, cscf, hook[i]);
        }
    }

    if (here == 0) {
        return ngx_http_mtd_hooks_refuse(cf, cscf, hook[0]);
    }

    if (mscf->identify == shared) {
        *able |= here;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_mtd_hooks_check_others(ngx_conf_t *cf, ngx_http_core_srv_conf_t *cscf)
{
    const char                  *text;
    ngx_uint_t                   i;
    ngx_http_mtd_srv_conf_t     *mscf;
    ngx_http_mtd_main_conf_t    *mmcf;
    const ngx_http_mtd_hook_t  **hook;

    mmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_mtd_module);
    mscf = cscf->ctx->srv_conf[ngx_http_mtd_module.ctx_index];
    hook = mmcf->hooks.elts;

    for (i = 0; i < mmcf->hooks.nelts; i++) {

        if (ngx_http_mtd_hooks_identifies(cscf->ctx, hook[i])) {
            continue;
        }

        text = ngx_http_mtd_hooks_ask(cf, cscf, hook[i], 0);

        if (text) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "%s in the server in %s:%ui would never apply, "
                          "\"mtd_identify\" in %s:%ui must name \"%V\"",
                          text, cscf->file_name, cscf->line, mscf->file_name,
                          mscf->line, &hook[i]->name);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static const char *
ngx_http_mtd_hooks_ask(ngx_conf_t *cf, ngx_http_core_srv_conf_t *cscf,
    const ngx_http_mtd_hook_t *hook, ngx_uint_t named)
{
    return (hook->size > NGX_HTTP_MTD_HOOK_SIZE && hook->check)
           ? hook->check(cf, cscf->ctx, named) : NULL;
}


static ngx_int_t
ngx_http_mtd_hooks_refuse(ngx_conf_t *cf, ngx_http_core_srv_conf_t *cscf,
    const ngx_http_mtd_hook_t *hook)
{
    ngx_http_mtd_srv_conf_t  *mscf;

    mscf = cscf->ctx->srv_conf[ngx_http_mtd_module.ctx_index];

    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "\"%V\" of \"mtd_identify\" in %s:%ui would never find a "
                  "device in the server in %s:%ui, it needs %s",
                  &hook->name, mscf->file_name, mscf->line, cscf->file_name,
                  cscf->line, ngx_http_mtd_hooks_ask(cf, cscf, hook, 1));
    return NGX_ERROR;
}
