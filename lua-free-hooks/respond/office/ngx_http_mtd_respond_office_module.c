
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * Office and WebDAV clients of SharePoint.  Forms based authentication
 * (MS-OFBA 2.2.2) is how Office shows a page of ours: it opens the
 * remediation in a window and comes back when that window reaches the return
 * URL.  WebDAV clients show the text of X-MSDAVEXT_ERROR (MS-WDV 2.2.3).
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_mtd_hook.h"


/* the number that SharePoint gives with "Access denied" */

#define NGX_HTTP_MTD_RESPOND_OFFICE_ERROR   "917656; "


static ngx_int_t ngx_http_mtd_respond_office(ngx_http_request_t *r,
    const ngx_http_mtd_verdict_t *verdict);
static ngx_uint_t ngx_http_mtd_respond_office_is_one(ngx_http_request_t *r);
static ngx_uint_t ngx_http_mtd_respond_office_takes_forms(
    ngx_http_request_t *r);
static ngx_int_t ngx_http_mtd_respond_office_forms(ngx_http_request_t *r,
    const ngx_http_mtd_verdict_t *verdict);
static ngx_int_t ngx_http_mtd_respond_office_error(ngx_http_request_t *r,
    const ngx_http_mtd_verdict_t *verdict);
static ngx_int_t ngx_http_mtd_respond_office_preconfiguration(
    ngx_conf_t *cf);


static ngx_http_module_t  ngx_http_mtd_respond_office_module_ctx = {
    ngx_http_mtd_respond_office_preconfiguration, /* preconfiguration */
    NULL,                                  /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_mtd_respond_office_module = {
    NGX_MODULE_V1,
    &ngx_http_mtd_respond_office_module_ctx, /* module context */
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


static ngx_http_mtd_hook_t  ngx_http_mtd_respond_office_hook = {
    NGX_HTTP_MTD_HOOK_MAJOR,
    NGX_HTTP_MTD_HOOK_MINOR,
    sizeof(ngx_http_mtd_hook_t),
    ngx_string("respond_office"),
    NULL,
    ngx_http_mtd_respond_office,
    NULL,
    NULL
};


/* of MS-ADFSPIP 3.13.5.2.2, in lower case */

static ngx_str_t  ngx_http_mtd_respond_office_agents[] = {
    ngx_string("microsoft data access internet publishing provider"),
    ngx_string("microsoft-webdav-miniredir"),
    ngx_string("microsoft office"),
    ngx_string("ms frontpage"),
    ngx_string("non-browser"),
    ngx_string("msoffice"),
    ngx_null_string
};


static ngx_int_t
ngx_http_mtd_respond_office(ngx_http_request_t *r,
    const ngx_http_mtd_verdict_t *verdict)
{
    ngx_str_t  body, type;

    if (verdict->status != NGX_HTTP_FORBIDDEN) {
        return NGX_DECLINED;
    }

    switch (verdict->protocol) {

    case MTD_PROTOCOL_OFFICE:
    case MTD_PROTOCOL_WEBDAV:
        break;

    case MTD_PROTOCOL_SHAREPOINT_PAGE:

        /* documents, too, are at the paths of pages */

        if (r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD|NGX_HTTP_POST)
            && !ngx_http_mtd_respond_office_is_one(r))
        {
            return NGX_DECLINED;
        }

        break;

    default:
        return NGX_DECLINED;
    }

    if (ngx_http_mtd_respond_office_error(r, verdict) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (verdict->remediation.len
        && ngx_http_mtd_respond_office_takes_forms(r)
        && ngx_http_mtd_respond_office_forms(r, verdict) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    body = verdict->message;
    ngx_str_set(&type, "text/plain");

    return verdict->api->send(r, verdict, NGX_HTTP_FORBIDDEN, &type, &body);
}


static ngx_uint_t
ngx_http_mtd_respond_office_is_one(ngx_http_request_t *r)
{
    ngx_str_t  *agent, *value;

    if (r->headers_in.user_agent == NULL) {
        return 0;
    }

    value = &r->headers_in.user_agent->value;

    for (agent = ngx_http_mtd_respond_office_agents; agent->len; agent++) {
        if (value->len >= agent->len
            && ngx_strlcasestrn(value->data, value->data + value->len,
                                agent->data, agent->len - 1))
        {
            return 1;
        }
    }

    return 0;
}


/*
 * The client's own word is in a header with underscores, which nginx drops
 * unless underscores_in_headers is on.
 */

static ngx_uint_t
ngx_http_mtd_respond_office_takes_forms(ngx_http_request_t *r)
{
    ngx_table_elt_t      *h;
    ngx_http_mtd_walk_t   walk;

    walk.part = NULL;

    while ((h = ngx_http_mtd_next_header(r, &walk)) != NULL) {
        if (ngx_http_mtd_header_is(h, "x-forms_based_auth_accepted")) {
            return h->value.len
                   && (h->value.data[0] == 't' || h->value.data[0] == 'T');
        }
    }

    return ngx_http_mtd_respond_office_is_one(r);
}


static ngx_int_t
ngx_http_mtd_respond_office_forms(ngx_http_request_t *r,
    const ngx_http_mtd_verdict_t *verdict)
{
    u_char     *p;
    ngx_str_t   value;

    static ngx_str_t  required =
                                ngx_string("X-FORMS_BASED_AUTH_REQUIRED");
    static ngx_str_t  back = ngx_string("X-FORMS_BASED_AUTH_RETURN_URL");
    static ngx_str_t  size = ngx_string("X-FORMS_BASED_AUTH_DIALOG_SIZE");
    static ngx_str_t  pixels = ngx_string("800x600");

    if (r->headers_in.server.len == 0
        || (ngx_strncasecmp(verdict->remediation.data, (u_char *) "https://",
                            8) != 0
            && ngx_strncasecmp(verdict->remediation.data,
                               (u_char *) "http://", 7) != 0))
    {
        /* both URLs have to be absolute */

        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, sizeof("https:///") + r->headers_in.server.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    value.data = p;

#if (NGX_HTTP_SSL)
    p = ngx_sprintf(p, "http%s://%V/", r->connection->ssl ? "s" : "",
                    &r->headers_in.server);
#else
    p = ngx_sprintf(p, "http://%V/", &r->headers_in.server);
#endif

    value.len = p - value.data;

    if (ngx_http_mtd_add_header(r, &required,
                                (ngx_str_t *) &verdict->remediation) == NULL
        || ngx_http_mtd_add_header(r, &back, &value) == NULL
        || ngx_http_mtd_add_header(r, &size, &pixels) == NULL)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* a number and a text with percent encoding, MS-WDV 2.2.3 */

static ngx_int_t
ngx_http_mtd_respond_office_error(ngx_http_request_t *r,
    const ngx_http_mtd_verdict_t *verdict)
{
    u_char     *p;
    uintptr_t   escape;
    ngx_str_t   value;

    static ngx_str_t  header = ngx_string("X-MSDAVEXT_ERROR");

    escape = ngx_escape_uri(NULL, verdict->message.data, verdict->message.len,
                            NGX_ESCAPE_URI_COMPONENT);

    p = ngx_pnalloc(r->pool, sizeof(NGX_HTTP_MTD_RESPOND_OFFICE_ERROR)
                             + verdict->message.len + 2 * escape);
    if (p == NULL) {
        return NGX_ERROR;
    }

    value.data = p;

    p = ngx_cpymem(p, NGX_HTTP_MTD_RESPOND_OFFICE_ERROR,
                   sizeof(NGX_HTTP_MTD_RESPOND_OFFICE_ERROR) - 1);
    p = (u_char *) ngx_escape_uri(p, verdict->message.data,
                                  verdict->message.len,
                                  NGX_ESCAPE_URI_COMPONENT);

    value.len = p - value.data;

    return ngx_http_mtd_add_header(r, &header, &value) ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_http_mtd_respond_office_preconfiguration(ngx_conf_t *cf)
{
    return ngx_http_mtd_add_hook(cf, &ngx_http_mtd_respond_office_hook);
}
