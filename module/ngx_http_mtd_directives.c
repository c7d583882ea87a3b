
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/* what a server and its locations say of the gate */


#include "ngx_http_mtd_module.h"


#define NGX_HTTP_MTD_ACCESS_UNSET    0xff


static char *ngx_http_mtd_endpoint_option(ngx_conf_t *cf, ngx_str_t *value,
    mtd_endpoint_t *endpoint);


char *
ngx_http_mtd(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_mtd_loc_conf_t *mlcf = conf;

    ngx_str_t                         *value;
    ngx_http_compile_complex_value_t   ccv;

    if (mlcf->mode != NGX_HTTP_MTD_UNSET) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (cf->args->nelts == 3) {

        if (value[2].len <= 6
            || ngx_strncmp(value[2].data, "store=", 6) != 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\" of \"mtd\", it must "
                               "be store=NAME of an mtd_redis", &value[2]);
            return NGX_CONF_ERROR;
        }

        mlcf->store_name.data = value[2].data + 6;
        mlcf->store_name.len = value[2].len - 6;
    }

    if (ngx_http_script_variables_count(&value[1]) == 0) {

        mlcf->mode = NGX_HTTP_MTD_POLICY;
        mlcf->name = value[1];

        if (value[1].len == 3 && ngx_strncmp(value[1].data, "off", 3) == 0) {

            mlcf->mode = NGX_HTTP_MTD_OFF;

            if (cf->args->nelts == 3) {
                return "with \"off\" takes no store";
            }
        }

        return NGX_CONF_OK;
    }

    mlcf->variable = ngx_palloc(cf->pool, sizeof(ngx_http_complex_value_t));
    if (mlcf->variable == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = &value[1];
    ccv.complex_value = mlcf->variable;

    if (ngx_http_compile_complex_value(&ccv) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    mlcf->mode = NGX_HTTP_MTD_VARIABLE;

    return NGX_CONF_OK;
}


char *
ngx_http_mtd_profile(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_mtd_srv_conf_t *mscf = conf;

    ngx_str_t  *value;

    if (mscf->profile) {
        return "is duplicate";
    }

    value = cf->args->elts;

    mscf->profile = mtd_profile_find(value[1].data, value[1].len);

    if (mscf->profile == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "unknown profile \"%V\", it must be exchange, "
                           "sharepoint or generic", &value[1]);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


char *
ngx_http_mtd_identify_hooks(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_mtd_srv_conf_t *mscf = conf;

    ngx_str_t                   *value;
    ngx_uint_t                   i, k;
    ngx_http_mtd_main_conf_t    *mmcf;
    const ngx_http_mtd_hook_t  **hook, **elt;

    if (mscf->identify) {
        return "is duplicate";
    }

    value = cf->args->elts;
    mmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_mtd_module);
    hook = mmcf->hooks.elts;

    if (cf->args->nelts - 1 > NGX_HTTP_MTD_IDENTITIES) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"mtd_identify\" takes at most %d hooks",
                           NGX_HTTP_MTD_IDENTITIES);
        return NGX_CONF_ERROR;
    }

    mscf->identify = ngx_array_create(cf->pool, 4,
                                      sizeof(ngx_http_mtd_hook_t *));
    if (mscf->identify == NULL) {
        return NGX_CONF_ERROR;
    }

    mscf->file_name = cf->conf_file->file.name.data;
    mscf->line = cf->conf_file->line;

    for (i = 1; i < cf->args->nelts; i++) {

        for (k = 0; k < mmcf->hooks.nelts; k++) {
            if (hook[k]->identify
                && hook[k]->name.len == value[i].len
                && ngx_memcmp(hook[k]->name.data, value[i].data,
                              value[i].len)
                   == 0)
            {
                break;
            }
        }

        if (k == mmcf->hooks.nelts) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "unknown hook \"%V\" in \"mtd_identify\", it "
                               "must be eas, client_cert, bearer, value or one "
                               "of a loaded module", &value[i]);
            return NGX_CONF_ERROR;
        }

        elt = mscf->identify->elts;

        while (mscf->identify->nelts > (ngx_uint_t) (elt
                                       - (const ngx_http_mtd_hook_t **)
                                         mscf->identify->elts))
        {
            if (*elt++ == hook[k]) {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "hook \"%V\" stands twice in "
                                   "\"mtd_identify\"", &value[i]);
                return NGX_CONF_ERROR;
            }
        }

        elt = ngx_array_push(mscf->identify);
        if (elt == NULL) {
            return NGX_CONF_ERROR;
        }

        *elt = hook[k];
    }

    return NGX_CONF_OK;
}


char *
ngx_http_mtd_endpoint(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_mtd_srv_conf_t *mscf = conf;

    int              protocol;
    size_t           i;
    ngx_str_t       *value;
    ngx_uint_t       n;
    mtd_endpoint_t  *endpoint;

    value = cf->args->elts;

    if (value[1].data[0] != '/') {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid path \"%V\" of \"mtd_endpoint\", it must "
                           "start with \"/\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    protocol = mtd_protocol_parse(value[2].data, value[2].len);

    if (protocol < 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "unknown protocol \"%V\" of \"mtd_endpoint\", it "
                           "must be eas, ews, mapi, rpc, oab, owa, ecp, "
                           "autodiscover, sharepoint_page, sharepoint_rest, "
                           "office, webdav, onedrive or other", &value[2]);
        return NGX_CONF_ERROR;
    }

    if (mscf->endpoints == NULL) {
        mscf->endpoints = ngx_array_create(cf->pool, 4,
                                           sizeof(mtd_endpoint_t));
        if (mscf->endpoints == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    endpoint = mscf->endpoints->elts;

    for (n = 0; n < mscf->endpoints->nelts; n++) {
        if (endpoint[n].path.len == value[1].len
            && ngx_strncasecmp(endpoint[n].path.data, value[1].data,
                               value[1].len)
               == 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "duplicate mtd_endpoint \"%V\"", &value[1]);
            return NGX_CONF_ERROR;
        }
    }

    endpoint = ngx_array_push(mscf->endpoints);
    if (endpoint == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(endpoint, sizeof(mtd_endpoint_t));

    for (i = 0; i < value[1].len; i++) {
        value[1].data[i] = ngx_tolower(value[1].data[i]);
    }

    endpoint->path.len = value[1].len;
    endpoint->path.data = value[1].data;
    endpoint->protocol = protocol;
    endpoint->access = NGX_HTTP_MTD_ACCESS_UNSET;

    if (protocol == MTD_PROTOCOL_EAS) {
        endpoint->flags = MTD_ENDPOINT_OWN_QUERY | MTD_ENDPOINT_OPEN_OPTIONS;

    } else if (protocol == MTD_PROTOCOL_AUTODISCOVER) {
        endpoint->flags = MTD_ENDPOINT_STRICT_QUERY;
    }

    for (n = 3; n < cf->args->nelts; n++) {
        if (ngx_http_mtd_endpoint_option(cf, &value[n], endpoint)
            != NGX_CONF_OK)
        {
            return NGX_CONF_ERROR;
        }
    }

    if (endpoint->access == NGX_HTTP_MTD_ACCESS_UNSET) {
        endpoint->access = MTD_GATED;
    }

    if (endpoint->methods == 0) {
        endpoint->methods = ~(uint32_t) MTD_METHOD_OTHER;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_mtd_endpoint_option(ngx_conf_t *cf, ngx_str_t *value,
    mtd_endpoint_t *endpoint)
{
    u_char      *p, *last, *comma;
    uint32_t     method;
    ngx_uint_t   i;

    static const struct {
        const char    *name;
        uint8_t        access;
    } words[] = {
        { "gated", MTD_GATED },
        { "open", MTD_OPEN },
        { "refused", MTD_REFUSED }
    };

    for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {

        if (ngx_strcmp(value->data, words[i].name) != 0) {
            continue;
        }

        if (endpoint->access != NGX_HTTP_MTD_ACCESS_UNSET) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"%V\" of \"mtd_endpoint\" is duplicate, it "
                               "must be one of gated, open and refused", value);
            return NGX_CONF_ERROR;
        }

        endpoint->access = words[i].access;

        return NGX_CONF_OK;
    }

    if (value->len <= 8 || ngx_strncmp(value->data, "methods=", 8) != 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\" of \"mtd_endpoint\", it "
                           "must be gated, open, refused or "
                           "methods=GET,POST,...", value);
        return NGX_CONF_ERROR;
    }

    if (endpoint->methods) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" of \"mtd_endpoint\" is duplicate, it must "
                           "be one list with commas", value);
        return NGX_CONF_ERROR;
    }

    last = value->data + value->len;

    for (p = value->data + 8; p < last; p = comma + 1) {

        comma = ngx_strlchr(p, last, ',');

        if (comma == NULL) {
            comma = last;
        }

        method = mtd_method_bit(p, comma - p);

        if (method == MTD_METHOD_OTHER) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "unknown method \"%*s\" of \"mtd_endpoint\", "
                               "it must be one of HTTP, WebDAV or RPC over "
                               "HTTP, in capitals", (size_t) (comma - p), p);
            return NGX_CONF_ERROR;
        }

        endpoint->methods |= method;
    }

    return NGX_CONF_OK;
}


char *
ngx_http_mtd_remediation(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_mtd_loc_conf_t *mlcf = conf;

    ngx_str_t  *value;

    value = cf->args->elts;

    if (value[1].len == 0
        || (value[1].data[0] != '/' && value[1].data[0] != '$'
            && ngx_strncasecmp(value[1].data, (u_char *) "https://", 8) != 0
            && ngx_strncasecmp(value[1].data, (u_char *) "http://", 7) != 0)
        || (value[1].len > 1 && value[1].data[0] == '/'
            && value[1].data[1] == '/'))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid URL \"%V\" of \"mtd_remediation\", it "
                           "must be a path or start with https://",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    cmd->offset = offsetof(ngx_http_mtd_loc_conf_t, remediation);

    return ngx_http_set_complex_value_slot(cf, cmd, mlcf);
}


char *
ngx_http_mtd_status(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_mtd_loc_conf_t *mlcf = conf;

    ngx_http_core_loc_conf_t  *clcf;

    if (mlcf->status) {
        return "is duplicate, or \"mtd_status\" and \"mtd_health\" are in "
               "one location";
    }

    mlcf->status = 1;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = (ngx_http_handler_pt) cmd->post;

    return NGX_CONF_OK;
}
