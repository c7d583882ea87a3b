
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/* what the gate offers to its hooks at configuration time */


#include "ngx_http_mtd_module.h"


static ngx_int_t ngx_http_mtd_hooks_add(ngx_conf_t *cf,
    const ngx_http_mtd_hook_t *hook);
static ngx_int_t ngx_http_mtd_hooks_add_kind(ngx_conf_t *cf, ngx_str_t *name);
static ngx_uint_t ngx_http_mtd_hooks_identifies(ngx_http_conf_ctx_t *server,
    const ngx_http_mtd_hook_t *hook);


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
        || hook->size < sizeof(ngx_http_mtd_hook_t))
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
