
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * SharePoint's REST interface: an OData error in the dialect that the client
 * accepts; and its client object model (MS-CSOM), where what is refused has
 * status 200 and is told by ErrorInfo, in the first element of the array.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_mtd_hook.h"


/* E_ACCESSDENIED, and what SharePoint calls it */

#define NGX_HTTP_MTD_RESPOND_REST_CODE                                        \
    "-2147024891, System.UnauthorizedAccessException"


typedef enum {
    NGX_HTTP_MTD_RESPOND_REST_XML = 0,
    NGX_HTTP_MTD_RESPOND_REST_VERBOSE,
    NGX_HTTP_MTD_RESPOND_REST_MINIMAL,
    NGX_HTTP_MTD_RESPOND_REST_CSOM
} ngx_http_mtd_respond_rest_e;


typedef struct {
    ngx_str_t    type;
    const char  *start;
    const char  *end;
} ngx_http_mtd_respond_rest_form_t;


static ngx_int_t ngx_http_mtd_respond_rest(ngx_http_request_t *r,
    const ngx_http_mtd_verdict_t *verdict);
static ngx_http_mtd_respond_rest_e ngx_http_mtd_respond_rest_dialect(
    ngx_http_request_t *r);
static ngx_uint_t ngx_http_mtd_respond_rest_has(ngx_str_t *text, char *lower,
    size_t len);
static ngx_int_t ngx_http_mtd_respond_rest_preconfiguration(
    ngx_conf_t *cf);


static ngx_http_module_t  ngx_http_mtd_respond_rest_module_ctx = {
    ngx_http_mtd_respond_rest_preconfiguration, /* preconfiguration */
    NULL,                                  /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_mtd_respond_rest_module = {
    NGX_MODULE_V1,
    &ngx_http_mtd_respond_rest_module_ctx, /* module context */
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


static ngx_http_mtd_hook_t  ngx_http_mtd_respond_rest_hook = {
    NGX_HTTP_MTD_HOOK_MAJOR,
    NGX_HTTP_MTD_HOOK_MINOR,
    sizeof(ngx_http_mtd_hook_t),
    ngx_string("respond_rest"),
    NULL,
    ngx_http_mtd_respond_rest,
    NULL,
    NULL
};


static ngx_http_mtd_respond_rest_form_t  ngx_http_mtd_respond_rest_forms[] = {

    { ngx_string("application/xml;charset=utf-8"),
      "<?xml version=\"1.0\" encoding=\"utf-8\"?>"
      "<m:error xmlns:m=\"http://schemas.microsoft.com/ado/2007/08/"
      "dataservices/metadata\">"
      "<m:code>" NGX_HTTP_MTD_RESPOND_REST_CODE "</m:code>"
      "<m:message xml:lang=\"en-US\">",
      "</m:message></m:error>\n" },

    { ngx_string("application/json;odata=verbose;charset=utf-8"),
      "{\"error\":{\"code\":\"" NGX_HTTP_MTD_RESPOND_REST_CODE "\","
      "\"message\":{\"lang\":\"en-US\",\"value\":\"",
      "\"}}}\n" },

    { ngx_string("application/json;odata=minimalmetadata;charset=utf-8"),
      "{\"odata.error\":{\"code\":\"" NGX_HTTP_MTD_RESPOND_REST_CODE "\","
      "\"message\":{\"lang\":\"en-US\",\"value\":\"",
      "\"}}}\n" },

    { ngx_string("application/json;charset=utf-8"),
      "[{\"SchemaVersion\":\"15.0.0.0\",\"LibraryVersion\":\"15.0.0.0\","
      "\"ErrorInfo\":{\"ErrorMessage\":\"",
      "\",\"ErrorValue\":null,\"TraceCorrelationId\":null,"
      "\"ErrorCode\":-2147024891,"
      "\"ErrorTypeName\":\"System.UnauthorizedAccessException\"},"
      "\"TraceCorrelationId\":null}]\n" }
};


static ngx_int_t
ngx_http_mtd_respond_rest(ngx_http_request_t *r,
    const ngx_http_mtd_verdict_t *verdict)
{
    u_char                            *p;
    ngx_str_t                          body;
    ngx_http_mtd_respond_rest_e        dialect;
    ngx_http_mtd_respond_rest_form_t  *form;

    if (verdict->protocol != MTD_PROTOCOL_SHAREPOINT_REST
        || verdict->status != NGX_HTTP_FORBIDDEN)
    {
        return NGX_DECLINED;
    }

    dialect = ngx_http_mtd_respond_rest_dialect(r);
    form = &ngx_http_mtd_respond_rest_forms[dialect];

    p = ngx_pnalloc(r->pool, ngx_strlen(form->start) + verdict->message.len
                             + ngx_strlen(form->end));
    if (p == NULL) {
        return NGX_DECLINED;
    }

    body.data = p;
    body.len = ngx_sprintf(p, "%s%V%s", form->start, &verdict->message,
                           form->end)
               - p;

    return verdict->api->send(r, verdict,
                              dialect == NGX_HTTP_MTD_RESPOND_REST_CSOM
                              ? NGX_HTTP_OK : NGX_HTTP_FORBIDDEN,
                              &form->type, &body);
}


/* MS-ODATA's default is XML */

static ngx_http_mtd_respond_rest_e
ngx_http_mtd_respond_rest_dialect(ngx_http_request_t *r)
{
    ngx_table_elt_t              *h;
    ngx_http_mtd_walk_t           walk;
    ngx_http_mtd_respond_rest_e   dialect;

    static u_char  csom[] = "/processquery";

    if (r->uri.len >= sizeof(csom) - 1
        && ngx_strncasecmp(r->uri.data + r->uri.len - (sizeof(csom) - 1), csom,
                           sizeof(csom) - 1)
           == 0)
    {
        return NGX_HTTP_MTD_RESPOND_REST_CSOM;
    }

    dialect = NGX_HTTP_MTD_RESPOND_REST_XML;
    walk.part = NULL;

    while ((h = ngx_http_mtd_next_header(r, &walk)) != NULL) {

        if (!ngx_http_mtd_header_is(h, "accept")) {
            continue;
        }

        if (ngx_http_mtd_respond_rest_has(&h->value, "odata=verbose",
                                          sizeof("odata=verbose") - 1))
        {
            return NGX_HTTP_MTD_RESPOND_REST_VERBOSE;
        }

        if (ngx_http_mtd_respond_rest_has(&h->value, "application/json",
                                          sizeof("application/json") - 1))
        {
            dialect = NGX_HTTP_MTD_RESPOND_REST_MINIMAL;
        }
    }

    return dialect;
}


static ngx_uint_t
ngx_http_mtd_respond_rest_has(ngx_str_t *text, char *lower, size_t len)
{
    return text->len >= len
           && ngx_strlcasestrn(text->data, text->data + text->len,
                               (u_char *) lower, len - 1)
              != NULL;
}


static ngx_int_t
ngx_http_mtd_respond_rest_preconfiguration(ngx_conf_t *cf)
{
    return ngx_http_mtd_add_hook(cf, &ngx_http_mtd_respond_rest_hook);
}
