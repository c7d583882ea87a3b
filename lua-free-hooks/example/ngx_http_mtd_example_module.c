
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_mtd_hook.h"


typedef struct {
    ngx_uint_t   kind;
} ngx_http_mtd_example_main_conf_t;


static ngx_int_t ngx_http_mtd_example_identify(ngx_http_request_t *r,
    ngx_uint_t protocol, ngx_http_mtd_identity_t *id);
static void ngx_http_mtd_example_audit(ngx_http_request_t *r,
    const ngx_http_mtd_verdict_t *verdict);
static ngx_int_t ngx_http_mtd_example_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);

static ngx_int_t ngx_http_mtd_example_preconfiguration(ngx_conf_t *cf);
static void *ngx_http_mtd_example_create_main_conf(ngx_conf_t *cf);


static ngx_http_module_t  ngx_http_mtd_example_module_ctx = {
    ngx_http_mtd_example_preconfiguration, /* preconfiguration */
    NULL,                                  /* postconfiguration */

    ngx_http_mtd_example_create_main_conf, /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_mtd_example_module = {
    NGX_MODULE_V1,
    &ngx_http_mtd_example_module_ctx,      /* module context */
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


static ngx_http_mtd_hook_t  ngx_http_mtd_example_hook = {
    NGX_HTTP_MTD_HOOK_MAJOR,
    NGX_HTTP_MTD_HOOK_MINOR,
    sizeof(ngx_http_mtd_hook_t),
    ngx_string("example"),
    ngx_http_mtd_example_identify,
    NULL,
    ngx_http_mtd_example_audit,
    NULL
};


/* of this worker */

static ngx_uint_t  ngx_http_mtd_example_audited;


static ngx_int_t
ngx_http_mtd_example_identify(ngx_http_request_t *r, ngx_uint_t protocol,
    ngx_http_mtd_identity_t *id)
{
    size_t                             i;
    ngx_str_t                         *value;
    ngx_table_elt_t                   *h;
    ngx_http_mtd_walk_t                walk;
    ngx_http_mtd_candidate_t          *candidate;
    ngx_http_mtd_example_main_conf_t  *emcf;

    value = NULL;
    walk.part = NULL;

    while ((h = ngx_http_mtd_next_header(r, &walk)) != NULL) {

        if (!ngx_http_mtd_header_is(h, "x-example-device")) {
            continue;
        }

        if (value) {
            id->why = "two headers X-Example-Device";
            return NGX_HTTP_MTD_AMBIGUOUS;
        }

        value = &h->value;
    }

    if (value == NULL) {
        return NGX_DECLINED;
    }

    if (value->len == 0 || value->len > NGX_HTTP_MTD_VALUE_MAX) {
        id->why = "invalid length of X-Example-Device";
        return NGX_HTTP_MTD_MALFORMED;
    }

    emcf = ngx_http_get_module_main_conf(r, ngx_http_mtd_example_module);

    candidate = &id->candidate[0];

    for (i = 0; i < value->len; i++) {

        if (value->data[i] <= 0x20 || value->data[i] >= 0x7f) {
            id->why = "invalid byte in X-Example-Device";
            return NGX_HTTP_MTD_MALFORMED;
        }

        candidate->data[i] = ngx_tolower(value->data[i]);
    }

    candidate->kind = emcf->kind;
    candidate->len = value->len;

    id->n = 1;

    return NGX_OK;
}


static void
ngx_http_mtd_example_audit(ngx_http_request_t *r,
    const ngx_http_mtd_verdict_t *verdict)
{
    ngx_http_mtd_example_audited++;
}


static ngx_int_t
ngx_http_mtd_example_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    u_char  *p;

    p = ngx_pnalloc(r->pool, NGX_INT_T_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    v->len = ngx_sprintf(p, "%ui", ngx_http_mtd_example_audited) - p;
    v->data = p;
    v->valid = 1;
    v->no_cacheable = 1;
    v->not_found = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_http_mtd_example_preconfiguration(ngx_conf_t *cf)
{
    ngx_int_t                          number;
    ngx_str_t                          kind = ngx_string("vendor.example");
    ngx_str_t                          name =
                                           ngx_string("mtd_example_audited");
    ngx_http_variable_t               *var;
    ngx_http_mtd_api_t                *api;
    ngx_http_mtd_example_main_conf_t  *emcf;

    var = ngx_http_add_variable(cf, &name, NGX_HTTP_VAR_NOCACHEABLE);
    if (var == NULL) {
        return NGX_ERROR;
    }

    var->get_handler = ngx_http_mtd_example_variable;

    api = ngx_http_mtd_api(cf);
    if (api == NULL) {
        return NGX_ERROR;
    }

    number = api->add_kind(cf, &kind);
    if (number == NGX_ERROR) {
        return NGX_ERROR;
    }

    emcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_mtd_example_module);
    emcf->kind = number;

    return api->add_hook(cf, &ngx_http_mtd_example_hook);
}


static void *
ngx_http_mtd_example_create_main_conf(ngx_conf_t *cf)
{
    return ngx_pcalloc(cf->pool, sizeof(ngx_http_mtd_example_main_conf_t));
}
