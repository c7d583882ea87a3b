
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * Exchange Web Services: a SOAP 1.1 fault, which goes with 500 (W3C note on
 * SOAP 1.1, 6.2), with the ResponseCode ErrorAccessDenied of EWS.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_mtd_hook.h"


static ngx_int_t ngx_http_mtd_respond_ews(ngx_http_request_t *r,
    const ngx_http_mtd_verdict_t *verdict);
static ngx_int_t ngx_http_mtd_respond_ews_preconfiguration(
    ngx_conf_t *cf);


static ngx_http_module_t  ngx_http_mtd_respond_ews_module_ctx = {
    ngx_http_mtd_respond_ews_preconfiguration, /* preconfiguration */
    NULL,                                  /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_mtd_respond_ews_module = {
    NGX_MODULE_V1,
    &ngx_http_mtd_respond_ews_module_ctx, /* module context */
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


static ngx_http_mtd_hook_t  ngx_http_mtd_respond_ews_hook = {
    NGX_HTTP_MTD_HOOK_MAJOR,
    NGX_HTTP_MTD_HOOK_MINOR,
    sizeof(ngx_http_mtd_hook_t),
    ngx_string("respond_ews"),
    NULL,
    ngx_http_mtd_respond_ews,
    NULL,
    NULL
};


static u_char  ngx_http_mtd_respond_ews_start[] =
    "<?xml version=\"1.0\" encoding=\"utf-8\"?>"
    "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\">"
    "<s:Body><s:Fault>"
    "<faultcode xmlns:a=\"http://schemas.microsoft.com/exchange/services/2006/"
    "types\">a:ErrorAccessDenied</faultcode>"
    "<faultstring xml:lang=\"en-US\">";

static u_char  ngx_http_mtd_respond_ews_detail[] =
    "</faultstring><detail>"
    "<e:ResponseCode xmlns:e=\"http://schemas.microsoft.com/exchange/services/"
    "2006/errors\">ErrorAccessDenied</e:ResponseCode>"
    "<e:Message xmlns:e=\"http://schemas.microsoft.com/exchange/services/2006/"
    "errors\">";

static u_char  ngx_http_mtd_respond_ews_end[] =
    "</e:Message></detail></s:Fault></s:Body></s:Envelope>\n";


static ngx_int_t
ngx_http_mtd_respond_ews(ngx_http_request_t *r,
    const ngx_http_mtd_verdict_t *verdict)
{
    u_char     *p;
    ngx_str_t   body, type;

    if (verdict->protocol != MTD_PROTOCOL_EWS
        || verdict->status != NGX_HTTP_FORBIDDEN
        || r->method != NGX_HTTP_POST)
    {
        return NGX_DECLINED;
    }

    p = ngx_pnalloc(r->pool, sizeof(ngx_http_mtd_respond_ews_start)
                             + sizeof(ngx_http_mtd_respond_ews_detail)
                             + sizeof(ngx_http_mtd_respond_ews_end)
                             + 2 * verdict->message.len);
    if (p == NULL) {
        return NGX_DECLINED;
    }

    body.data = p;

    p = ngx_sprintf(p, "%s%V%s%V%s", ngx_http_mtd_respond_ews_start,
                    &verdict->message, ngx_http_mtd_respond_ews_detail,
                    &verdict->message, ngx_http_mtd_respond_ews_end);

    body.len = p - body.data;

    ngx_str_set(&type, "text/xml; charset=utf-8");

    return verdict->api->send(r, verdict, NGX_HTTP_INTERNAL_SERVER_ERROR,
                              &type, &body);
}


static ngx_int_t
ngx_http_mtd_respond_ews_preconfiguration(ngx_conf_t *cf)
{
    return ngx_http_mtd_add_hook(cf, &ngx_http_mtd_respond_ews_hook);
}
