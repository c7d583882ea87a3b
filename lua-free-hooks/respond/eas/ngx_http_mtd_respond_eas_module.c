
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_mtd_hook.h"
#include "mtd_eas.h"
#include "mtd_wbxml.h"


/* DeviceIsBlockedForThisUser */

#define NGX_HTTP_MTD_RESPOND_EAS_BLOCKED  129


typedef struct {
    ngx_http_mtd_api_t  *api;
} ngx_http_mtd_respond_eas_main_conf_t;


static ngx_int_t ngx_http_mtd_respond_eas(ngx_http_request_t *r,
    const ngx_http_mtd_verdict_t *verdict);
static ngx_uint_t ngx_http_mtd_respond_eas_wbxml(ngx_http_request_t *r,
    const mtd_eas_t *eas);
static ngx_uint_t ngx_http_mtd_respond_eas_version(ngx_http_request_t *r,
    const mtd_eas_t *eas);
static ngx_uint_t ngx_http_mtd_respond_eas_is_mail(ngx_http_request_t *r);

static ngx_int_t ngx_http_mtd_respond_eas_preconfiguration(ngx_conf_t *cf);
static void *ngx_http_mtd_respond_eas_create_main_conf(ngx_conf_t *cf);


static ngx_http_module_t  ngx_http_mtd_respond_eas_module_ctx = {
    ngx_http_mtd_respond_eas_preconfiguration, /* preconfiguration */
    NULL,                                  /* postconfiguration */

    ngx_http_mtd_respond_eas_create_main_conf, /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_mtd_respond_eas_module = {
    NGX_MODULE_V1,
    &ngx_http_mtd_respond_eas_module_ctx,  /* module context */
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


static ngx_http_mtd_hook_t  ngx_http_mtd_respond_eas_hook = {
    NGX_HTTP_MTD_HOOK_MAJOR,
    NGX_HTTP_MTD_HOOK_MINOR,
    sizeof(ngx_http_mtd_hook_t),
    ngx_string("respond_eas"),
    NULL,
    ngx_http_mtd_respond_eas,
    NULL,
    NULL
};


static ngx_int_t
ngx_http_mtd_respond_eas(ngx_http_request_t *r,
    const ngx_http_mtd_verdict_t *verdict)
{
    size_t                                 len;
    u_char                                *p;
    mtd_eas_t                              eas;
    mtd_str_t                              args;
    ngx_str_t                              body, type;
    ngx_http_mtd_respond_eas_main_conf_t  *rmcf;

    if (verdict->protocol != MTD_PROTOCOL_EAS
        || verdict->status != NGX_HTTP_FORBIDDEN
        || verdict->reason == MTD_REASON_MALFORMED
        || verdict->reason == MTD_REASON_STORE_UNAVAILABLE)
    {
        return NGX_DECLINED;
    }

    rmcf = ngx_http_get_module_main_conf(r, ngx_http_mtd_respond_eas_module);

    ngx_str_null(&body);
    ngx_str_null(&type);

    args.len = r->args.len;
    args.data = r->args.data;

    if (r->method == NGX_HTTP_OPTIONS
        || mtd_eas_parse(&eas, &args) != MTD_EAS_OK
        || !ngx_http_mtd_respond_eas_wbxml(r, &eas))
    {
        return rmcf->api->send(r, verdict, NGX_HTTP_FORBIDDEN, &type, &body);
    }

    p = ngx_pnalloc(r->pool, MTD_WBXML_ERROR_MAX);
    if (p == NULL) {
        return NGX_DECLINED;
    }

    len = mtd_wbxml_error(p, eas.command, NGX_HTTP_MTD_RESPOND_EAS_BLOCKED);

    if (len == 0) {
        return rmcf->api->send(r, verdict, NGX_HTTP_FORBIDDEN, &type, &body);
    }

    body.len = len;
    body.data = p;

    ngx_str_set(&type, "application/vnd.ms-sync.wbxml");

    return rmcf->api->send(r, verdict, NGX_HTTP_OK, &type, &body);
}


/* a client understands a status in WBXML since protocol 14.0 */

static ngx_uint_t
ngx_http_mtd_respond_eas_wbxml(ngx_http_request_t *r, const mtd_eas_t *eas)
{
    if (ngx_http_mtd_respond_eas_version(r, eas) < 140) {
        return 0;
    }

    switch (eas->command) {

    case MTD_EAS_PING:
    case MTD_EAS_GET_ATTACHMENT:
        return 0;

    case MTD_EAS_SEND_MAIL:
    case MTD_EAS_SMART_FORWARD:
    case MTD_EAS_SMART_REPLY:
        return !ngx_http_mtd_respond_eas_is_mail(r);

    default:
        return 1;
    }
}


static ngx_uint_t
ngx_http_mtd_respond_eas_version(ngx_http_request_t *r, const mtd_eas_t *eas)
{
    u_char               *p;
    ngx_table_elt_t      *h;
    ngx_http_mtd_walk_t   walk;

    if (eas->version) {
        return eas->version;
    }

    walk.part = NULL;

    while ((h = ngx_http_mtd_next_header(r, &walk)) != NULL) {

        p = h->value.data;

        if (ngx_http_mtd_header_is(h, "ms-asprotocolversion")
            && h->value.len == 4
            && p[0] == '1'
            && (p[1] == '4' || p[1] == '6')
            && p[2] == '.'
            && (p[3] == '0' || p[3] == '1'))
        {
            return 100 + (p[1] - '0') * 10 + (p[3] - '0');
        }
    }

    return 0;
}


/* a mail that is sent as it is, not in WBXML, is not answered in it */

static ngx_uint_t
ngx_http_mtd_respond_eas_is_mail(ngx_http_request_t *r)
{
    ngx_str_t  *type;

    if (r->headers_in.content_type == NULL) {
        return 0;
    }

    type = &r->headers_in.content_type->value;

    return type->len >= sizeof("message/rfc822") - 1
           && ngx_strncasecmp(type->data, (u_char *) "message/rfc822",
                              sizeof("message/rfc822") - 1)
              == 0;
}


static ngx_int_t
ngx_http_mtd_respond_eas_preconfiguration(ngx_conf_t *cf)
{
    ngx_http_mtd_respond_eas_main_conf_t  *rmcf;

    rmcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_mtd_respond_eas_module);

    rmcf->api = ngx_http_mtd_api(cf);
    if (rmcf->api == NULL) {
        return NGX_ERROR;
    }

    return rmcf->api->add_hook(cf, &ngx_http_mtd_respond_eas_hook);
}


static void *
ngx_http_mtd_respond_eas_create_main_conf(ngx_conf_t *cf)
{
    return ngx_pcalloc(cf->pool,
                       sizeof(ngx_http_mtd_respond_eas_main_conf_t));
}
