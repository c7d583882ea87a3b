
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * RPC over HTTP, of Outlook Anywhere: errors are 503 with the code in the
 * reason phrase (MS-RPCH 2.1.2.1.3), and 5 is ERROR_ACCESS_DENIED.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_mtd_hook.h"


static ngx_int_t ngx_http_mtd_respond_rpc(ngx_http_request_t *r,
    const ngx_http_mtd_verdict_t *verdict);
static ngx_uint_t ngx_http_mtd_respond_rpc_client(ngx_http_request_t *r);
static ngx_int_t ngx_http_mtd_respond_rpc_preconfiguration(
    ngx_conf_t *cf);


static ngx_http_module_t  ngx_http_mtd_respond_rpc_module_ctx = {
    ngx_http_mtd_respond_rpc_preconfiguration, /* preconfiguration */
    NULL,                                  /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_mtd_respond_rpc_module = {
    NGX_MODULE_V1,
    &ngx_http_mtd_respond_rpc_module_ctx, /* module context */
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


static ngx_http_mtd_hook_t  ngx_http_mtd_respond_rpc_hook = {
    NGX_HTTP_MTD_HOOK_MAJOR,
    NGX_HTTP_MTD_HOOK_MINOR,
    sizeof(ngx_http_mtd_hook_t),
    ngx_string("respond_rpc"),
    NULL,
    ngx_http_mtd_respond_rpc,
    NULL,
    NULL
};


static ngx_int_t
ngx_http_mtd_respond_rpc(ngx_http_request_t *r,
    const ngx_http_mtd_verdict_t *verdict)
{
    ngx_str_t  body, type;

    if (verdict->protocol != MTD_PROTOCOL_RPC
        || verdict->status != NGX_HTTP_FORBIDDEN
        || r->method_name.len < 4
        || ngx_strncmp(r->method_name.data, "RPC_", 4) != 0
        || !ngx_http_mtd_respond_rpc_client(r))
    {
        return NGX_DECLINED;
    }

    /* HTTP/2 and later have no reason phrase, and no RPC over HTTP */

    ngx_str_set(&r->headers_out.status_line, "503 RPC Error: 5");

    body = verdict->message;
    ngx_str_set(&type, "text/plain");

    return verdict->api->send(r, verdict, NGX_HTTP_SERVICE_UNAVAILABLE, &type,
                              &body);
}


/* MS-RPCH 2.1.2.1.1: a client accepts this; to others 503 means "later" */

static ngx_uint_t
ngx_http_mtd_respond_rpc_client(ngx_http_request_t *r)
{
    ngx_table_elt_t      *h;
    ngx_http_mtd_walk_t   walk;

    walk.part = NULL;

    while ((h = ngx_http_mtd_next_header(r, &walk)) != NULL) {

        if (ngx_http_mtd_header_is(h, "accept")
            && ngx_strcasestrn(h->value.data, "application/rpc",
                               sizeof("application/rpc") - 2))
        {
            return 1;
        }
    }

    return 0;
}


static ngx_int_t
ngx_http_mtd_respond_rpc_preconfiguration(ngx_conf_t *cf)
{
    return ngx_http_mtd_add_hook(cf, &ngx_http_mtd_respond_rpc_hook);
}
