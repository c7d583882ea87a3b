
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_mtd_hook.h"
#include "mtd_eas.h"


typedef struct {
    ngx_int_t    kind;
    ngx_int_t    protocol;          /* index of $mtd_protocol */
} ngx_http_mtd_eas_main_conf_t;


static ngx_int_t ngx_http_mtd_eas_identify(ngx_http_request_t *r,
    ngx_uint_t protocol, ngx_http_mtd_identity_t *id);

static ngx_int_t ngx_http_mtd_eas_command_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);

static ngx_int_t ngx_http_mtd_eas_preconfiguration(ngx_conf_t *cf);
static const char *ngx_http_mtd_eas_check(ngx_conf_t *cf,
    ngx_http_conf_ctx_t *server, ngx_uint_t named);
static void *ngx_http_mtd_eas_create_main_conf(ngx_conf_t *cf);


static ngx_http_module_t  ngx_http_mtd_eas_module_ctx = {
    ngx_http_mtd_eas_preconfiguration,     /* preconfiguration */
    NULL,                                  /* postconfiguration */

    ngx_http_mtd_eas_create_main_conf,     /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_mtd_eas_module = {
    NGX_MODULE_V1,
    &ngx_http_mtd_eas_module_ctx,          /* module context */
    NULL,                                  /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_http_mtd_hook_t  ngx_http_mtd_eas_hook = {
    NGX_HTTP_MTD_HOOK_MAJOR,
    NGX_HTTP_MTD_HOOK_MINOR,
    sizeof(ngx_http_mtd_hook_t),
    ngx_string("eas"),
    ngx_http_mtd_eas_identify,
    NULL,
    NULL,
    ngx_http_mtd_eas_check
};


static ngx_http_variable_t  ngx_http_mtd_eas_variables[] = {

    { ngx_string("mtd_command"), NULL, ngx_http_mtd_eas_command_variable,
      0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

      ngx_http_null_variable
};


static ngx_int_t
ngx_http_mtd_eas_identify(ngx_http_request_t *r, ngx_uint_t protocol,
    ngx_http_mtd_identity_t *id)
{
    mtd_eas_t                      eas;
    mtd_str_t                      args;
    ngx_uint_t                     i;
    ngx_http_mtd_candidate_t      *candidate;
    ngx_http_mtd_eas_main_conf_t  *emcf;

    if (protocol != MTD_PROTOCOL_EAS) {
        return NGX_DECLINED;
    }

    if (r->args.len == 0 && r->method == NGX_HTTP_OPTIONS) {
        return NGX_DECLINED;
    }

    args.len = r->args.len;
    args.data = r->args.data;

    if (mtd_eas_parse(&eas, &args) != MTD_EAS_OK) {
        id->why = eas.why;
        return NGX_HTTP_MTD_MALFORMED;
    }

    if (eas.no_device) {
        return NGX_DECLINED;
    }

    emcf = ngx_http_get_module_main_conf(r, ngx_http_mtd_eas_module);

    for (i = 0; i < eas.n; i++) {
        candidate = &id->candidate[i];

        candidate->kind = emcf->kind;
        candidate->len = eas.id[i].len;

        /* all of it: a size that is known needs no call */

        ngx_memcpy(candidate->data, eas.id[i].data, MTD_EAS_ID_MAX);
    }

    id->n = eas.n;

    return NGX_OK;
}


/* the one that is decided on, also in subrequests */

static ngx_int_t
ngx_http_mtd_eas_command_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    mtd_eas_t                      eas;
    mtd_str_t                      args;
    const mtd_str_t               *name;
    ngx_http_variable_value_t     *protocol;
    ngx_http_mtd_eas_main_conf_t  *emcf;

    v->not_found = 1;

    emcf = ngx_http_get_module_main_conf(r, ngx_http_mtd_eas_module);

    protocol = ngx_http_get_flushed_variable(r, emcf->protocol);

    if (protocol == NULL || protocol->not_found || protocol->len != 3
        || ngx_strncmp(protocol->data, "eas", 3) != 0)
    {
        return NGX_OK;
    }

    args.len = r->main->args.len;
    args.data = r->main->args.data;

    if (mtd_eas_parse(&eas, &args) != MTD_EAS_OK) {
        return NGX_OK;
    }

    name = mtd_eas_command_name(eas.command);

    v->len = name->len;
    v->data = name->data;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_http_mtd_eas_preconfiguration(ngx_conf_t *cf)
{
    ngx_str_t                      kind = ngx_string("eas");
    ngx_str_t                      protocol = ngx_string("mtd_protocol");
    ngx_http_variable_t           *var, *v;
    ngx_http_mtd_api_t            *api;
    ngx_http_mtd_eas_main_conf_t  *emcf;

    api = ngx_http_mtd_api(cf);
    if (api == NULL) {
        return NGX_ERROR;
    }

    emcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_mtd_eas_module);

    emcf->kind = api->add_kind(cf, &kind);
    if (emcf->kind == NGX_ERROR) {
        return NGX_ERROR;
    }

    for (v = ngx_http_mtd_eas_variables; v->name.len; v++) {
        var = ngx_http_add_variable(cf, &v->name, v->flags);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = v->get_handler;
    }

    emcf->protocol = ngx_http_get_variable_index(cf, &protocol);
    if (emcf->protocol == NGX_ERROR) {
        return NGX_ERROR;
    }

    return api->add_hook(cf, &ngx_http_mtd_eas_hook);
}


static const char *
ngx_http_mtd_eas_check(ngx_conf_t *cf, ngx_http_conf_ctx_t *server,
    ngx_uint_t named)
{
    ngx_http_mtd_api_t  *api;

    api = ngx_http_mtd_api(cf);

    return (named && api && !api->serves(server, MTD_PROTOCOL_EAS))
           ? "\"mtd_profile exchange\" or an \"mtd_endpoint\" of eas" : NULL;
}


static void *
ngx_http_mtd_eas_create_main_conf(ngx_conf_t *cf)
{
    return ngx_pcalloc(cf->pool, sizeof(ngx_http_mtd_eas_main_conf_t));
}
