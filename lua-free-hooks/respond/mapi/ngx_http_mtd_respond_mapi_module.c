
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * MAPI over HTTP: an answer that is not about the transport has status 200,
 * and X-ResponseCode says what it is (MS-OXCMAPIHTTP 2.2.3.3.3).  The
 * headers by which the client finds its request again are its own.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_mtd_hook.h"


#define NGX_HTTP_MTD_RESPOND_MAPI_CODE   "11"  /* No Privilege */


static ngx_int_t ngx_http_mtd_respond_mapi(ngx_http_request_t *r,
    const ngx_http_mtd_verdict_t *verdict);
static ngx_int_t ngx_http_mtd_respond_mapi_preconfiguration(
    ngx_conf_t *cf);


static ngx_http_module_t  ngx_http_mtd_respond_mapi_module_ctx = {
    ngx_http_mtd_respond_mapi_preconfiguration, /* preconfiguration */
    NULL,                                  /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_mtd_respond_mapi_module = {
    NGX_MODULE_V1,
    &ngx_http_mtd_respond_mapi_module_ctx, /* module context */
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


static ngx_http_mtd_hook_t  ngx_http_mtd_respond_mapi_hook = {
    NGX_HTTP_MTD_HOOK_MAJOR,
    NGX_HTTP_MTD_HOOK_MINOR,
    sizeof(ngx_http_mtd_hook_t),
    ngx_string("respond_mapi"),
    NULL,
    ngx_http_mtd_respond_mapi,
    NULL,
    NULL
};


static ngx_str_t  ngx_http_mtd_respond_mapi_echoed[] = {
    ngx_string("X-RequestType"),
    ngx_string("X-RequestId"),
    ngx_string("X-ClientInfo"),
    ngx_null_string
};


static ngx_int_t
ngx_http_mtd_respond_mapi(ngx_http_request_t *r,
    const ngx_http_mtd_verdict_t *verdict)
{
    u_char               *p;
    ngx_str_t             body, type, *name;
    ngx_uint_t            i, done;
    ngx_table_elt_t      *h;
    ngx_http_mtd_walk_t   walk;

    static ngx_str_t  header = ngx_string("X-ResponseCode");
    static ngx_str_t  code = ngx_string(NGX_HTTP_MTD_RESPOND_MAPI_CODE);

    if (verdict->protocol != MTD_PROTOCOL_MAPI
        || verdict->status != NGX_HTTP_FORBIDDEN
        || r->method != NGX_HTTP_POST)
    {
        return NGX_DECLINED;
    }

    p = ngx_pnalloc(r->pool, sizeof("<html><body></body></html>\n")
                             + verdict->message.len);

    if (p == NULL || ngx_http_mtd_add_header(r, &header, &code) == NULL) {
        return NGX_DECLINED;
    }

    walk.part = NULL;
    done = 0;

    while ((h = ngx_http_mtd_next_header(r, &walk)) != NULL) {

        for (i = 0; ngx_http_mtd_respond_mapi_echoed[i].len; i++) {
            name = &ngx_http_mtd_respond_mapi_echoed[i];

            if ((done & (1 << i)) || h->key.len != name->len
                || ngx_strncasecmp(h->key.data, name->data, name->len) != 0)
            {
                continue;
            }

            done |= 1 << i;

            if (ngx_http_mtd_add_header(r, name, &h->value) == NULL) {
                return NGX_DECLINED;
            }
        }
    }

    body.data = p;
    body.len = ngx_sprintf(p, "<html><body>%V</body></html>\n",
                           &verdict->message)
               - p;

    ngx_str_set(&type, "text/html");

    return verdict->api->send(r, verdict, NGX_HTTP_OK, &type, &body);
}


static ngx_int_t
ngx_http_mtd_respond_mapi_preconfiguration(ngx_conf_t *cf)
{
    return ngx_http_mtd_add_hook(cf, &ngx_http_mtd_respond_mapi_hook);
}
