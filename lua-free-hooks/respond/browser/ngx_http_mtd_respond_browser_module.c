
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_mtd_hook.h"


typedef struct {
    ngx_http_mtd_api_t  *api;
} ngx_http_mtd_respond_browser_main_conf_t;


/* what the client's headers say about who waits for the answer */

typedef struct {
    unsigned             html:1;
    unsigned             json:1;
    unsigned             script:1;
    unsigned             no_page:1;
} ngx_http_mtd_respond_browser_client_t;


static ngx_int_t ngx_http_mtd_respond_browser(ngx_http_request_t *r,
    const ngx_http_mtd_verdict_t *verdict);
static void ngx_http_mtd_respond_browser_client(ngx_http_request_t *r,
    ngx_http_mtd_respond_browser_client_t *client);
static ngx_uint_t ngx_http_mtd_respond_browser_script_path(ngx_str_t *uri);
static ngx_uint_t ngx_http_mtd_respond_browser_has(ngx_str_t *text,
    char *lower, size_t len);
static ngx_int_t ngx_http_mtd_respond_browser_redirect(ngx_http_request_t *r,
    const ngx_http_mtd_verdict_t *verdict);
static ngx_int_t ngx_http_mtd_respond_browser_page(ngx_http_request_t *r,
    const ngx_http_mtd_verdict_t *verdict);
static ngx_int_t ngx_http_mtd_respond_browser_json(ngx_http_request_t *r,
    const ngx_http_mtd_verdict_t *verdict);
static ngx_int_t ngx_http_mtd_respond_browser_send(ngx_http_request_t *r,
    const ngx_http_mtd_verdict_t *verdict, ngx_uint_t status, ngx_str_t *type,
    ngx_str_t *body);

static ngx_int_t ngx_http_mtd_respond_browser_preconfiguration(
    ngx_conf_t *cf);
static void *ngx_http_mtd_respond_browser_create_main_conf(ngx_conf_t *cf);


/* last segments of what OWA's scripts ask for */

static ngx_str_t  ngx_http_mtd_respond_browser_scripts[] = {
    ngx_string("service.svc"),
    ngx_string("ev.owa2"),
    ngx_string("plt1.ashx"),
    ngx_string("sessiondata.ashx"),
    ngx_string("lang.owa"),
    ngx_null_string
};


static ngx_http_module_t  ngx_http_mtd_respond_browser_module_ctx = {
    ngx_http_mtd_respond_browser_preconfiguration, /* preconfiguration */
    NULL,                                  /* postconfiguration */

    ngx_http_mtd_respond_browser_create_main_conf,
                                           /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_mtd_respond_browser_module = {
    NGX_MODULE_V1,
    &ngx_http_mtd_respond_browser_module_ctx, /* module context */
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


static ngx_http_mtd_hook_t  ngx_http_mtd_respond_browser_hook = {
    NGX_HTTP_MTD_HOOK_MAJOR,
    NGX_HTTP_MTD_HOOK_MINOR,
    sizeof(ngx_http_mtd_hook_t),
    ngx_string("respond_browser"),
    NULL,
    ngx_http_mtd_respond_browser,
    NULL,
    NULL
};


static u_char  ngx_http_mtd_respond_browser_page_start[] =
    "<!DOCTYPE html>\n"
    "<html lang=\"en\">\n"
    "<head>\n"
    "<meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width\">\n"
    "<title>Access blocked</title>\n"
    "<style>body { font: 1.1em sans-serif; max-width: 32em; "
    "margin: 4em auto; padding: 0 1em }</style>\n"
    "</head>\n"
    "<body>\n"
    "<h1>Access blocked</h1>\n"
    "<p>This device may not be used here at the moment. Please ask your help "
    "desk and tell them the reference number.</p>\n"
    "<p>Reference: <b>";

static u_char  ngx_http_mtd_respond_browser_page_reason[] =
    "</b></p>\n"
    "<p>Reason: <b>";

static u_char  ngx_http_mtd_respond_browser_page_end[] =
    "</b></p>\n"
    "</body>\n"
    "</html>\n";


static u_char  ngx_http_mtd_respond_browser_json_start[] =
    "{\"error\":{\"code\":\"ErrorAccessDenied\","
    "\"message\":\"Access is blocked for this device.\","
    "\"reference\":\"";

static u_char  ngx_http_mtd_respond_browser_json_end[] =
    "\"}}\n";


static ngx_int_t
ngx_http_mtd_respond_browser(ngx_http_request_t *r,
    const ngx_http_mtd_verdict_t *verdict)
{
    ngx_http_mtd_respond_browser_client_t  client;

    if (verdict->status != NGX_HTTP_FORBIDDEN
        || verdict->reason == MTD_REASON_STORE_UNAVAILABLE)
    {
        return NGX_DECLINED;
    }

    switch (verdict->protocol) {

    case MTD_PROTOCOL_OWA:
    case MTD_PROTOCOL_ECP:
    case MTD_PROTOCOL_SHAREPOINT_PAGE:
    case MTD_PROTOCOL_OTHER:
        break;

    default:
        return NGX_DECLINED;
    }

    ngx_http_mtd_respond_browser_client(r, &client);

    if (client.script) {
        return ngx_http_mtd_respond_browser_json(r, verdict);
    }

    if (client.html
        && !client.no_page
        && (r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD)))
    {
        if (verdict->decision == MTD_REMEDIATE && verdict->remediation.len) {
            return ngx_http_mtd_respond_browser_redirect(r, verdict);
        }

        return ngx_http_mtd_respond_browser_page(r, verdict);
    }

    if (client.json) {
        return ngx_http_mtd_respond_browser_json(r, verdict);
    }

    return NGX_DECLINED;
}


static void
ngx_http_mtd_respond_browser_client(ngx_http_request_t *r,
    ngx_http_mtd_respond_browser_client_t *client)
{
    ngx_str_t            *value;
    ngx_table_elt_t      *h;
    ngx_http_mtd_walk_t   walk;

    ngx_memzero(client, sizeof(ngx_http_mtd_respond_browser_client_t));

    client->script = ngx_http_mtd_respond_browser_script_path(&r->uri);

    walk.part = NULL;

    while ((h = ngx_http_mtd_next_header(r, &walk)) != NULL) {

        value = &h->value;

        if (ngx_http_mtd_header_is(h, "accept")) {
            client->html |= ngx_http_mtd_respond_browser_has(value,
                                           "text/html",
                                           sizeof("text/html") - 1);
            client->json |= ngx_http_mtd_respond_browser_has(value,
                                           "application/json",
                                           sizeof("application/json") - 1);

        } else if (ngx_http_mtd_header_is(h, "x-requested-with")) {
            client->script = 1;

        } else if (ngx_http_mtd_header_is(h, "sec-fetch-mode")) {

            if (value->len == sizeof("navigate") - 1
                && ngx_strncmp(value->data, "navigate", value->len) == 0)
            {
                continue;
            }

            client->no_page = 1;

            /* images, styles and frames do not read what is in the answer */

            if (value->len != sizeof("no-cors") - 1
                || ngx_strncmp(value->data, "no-cors", value->len) != 0)
            {
                client->script = 1;
            }
        }
    }
}


static ngx_uint_t
ngx_http_mtd_respond_browser_script_path(ngx_str_t *uri)
{
    u_char     *p, *last, *start;
    ngx_str_t  *script;

    last = uri->data + uri->len;

    for (start = uri->data; start < last; start = p + 1) {
        p = ngx_strlchr(start, last, '/');

        if (p == NULL) {
            p = last;
        }

        for (script = ngx_http_mtd_respond_browser_scripts;
             script->len;
             script++)
        {
            if ((size_t) (p - start) == script->len
                && ngx_strncasecmp(start, script->data, script->len) == 0)
            {
                return 1;
            }
        }
    }

    return 0;
}


static ngx_uint_t
ngx_http_mtd_respond_browser_has(ngx_str_t *text, char *lower, size_t len)
{
    return text->len >= len
           && ngx_strlcasestrn(text->data, text->data + text->len,
                               (u_char *) lower, len - 1)
              != NULL;
}


static ngx_int_t
ngx_http_mtd_respond_browser_redirect(ngx_http_request_t *r,
    const ngx_http_mtd_verdict_t *verdict)
{
    ngx_str_t  body, type, value;
    ngx_str_t  name = ngx_string("Location");

    value = verdict->remediation;

    /* not headers_out.location: nginx would put the client's Host in it */

    if (ngx_http_mtd_add_header(r, &name, &value) == NULL) {
        return NGX_DECLINED;
    }

    ngx_str_null(&body);
    ngx_str_null(&type);

    return ngx_http_mtd_respond_browser_send(r, verdict,
                                             NGX_HTTP_MOVED_TEMPORARILY,
                                             &type, &body);
}


static ngx_int_t
ngx_http_mtd_respond_browser_page(ngx_http_request_t *r,
    const ngx_http_mtd_verdict_t *verdict)
{
    u_char           *p;
    ngx_str_t         body, type;
    const mtd_str_t  *reason;

    reason = mtd_reason_name(verdict->reason);

    body.len = sizeof(ngx_http_mtd_respond_browser_page_start) - 1
               + verdict->reference.len
               + sizeof(ngx_http_mtd_respond_browser_page_reason) - 1
               + reason->len
               + sizeof(ngx_http_mtd_respond_browser_page_end) - 1;

    body.data = ngx_pnalloc(r->pool, body.len);
    if (body.data == NULL) {
        return NGX_DECLINED;
    }

    p = ngx_cpymem(body.data, ngx_http_mtd_respond_browser_page_start,
                   sizeof(ngx_http_mtd_respond_browser_page_start) - 1);
    p = ngx_cpymem(p, verdict->reference.data, verdict->reference.len);

    if (verdict->disclose) {
        p = ngx_cpymem(p, ngx_http_mtd_respond_browser_page_reason,
                       sizeof(ngx_http_mtd_respond_browser_page_reason) - 1);
        p = ngx_cpymem(p, reason->data, reason->len);
    }

    p = ngx_cpymem(p, ngx_http_mtd_respond_browser_page_end,
                   sizeof(ngx_http_mtd_respond_browser_page_end) - 1);

    body.len = p - body.data;

    ngx_str_set(&type, "text/html; charset=utf-8");

    return ngx_http_mtd_respond_browser_send(r, verdict, NGX_HTTP_FORBIDDEN,
                                             &type, &body);
}


static ngx_int_t
ngx_http_mtd_respond_browser_json(ngx_http_request_t *r,
    const ngx_http_mtd_verdict_t *verdict)
{
    u_char     *p;
    ngx_str_t   body, type;

    body.len = sizeof(ngx_http_mtd_respond_browser_json_start) - 1
               + verdict->reference.len
               + sizeof(ngx_http_mtd_respond_browser_json_end) - 1;

    body.data = ngx_pnalloc(r->pool, body.len);
    if (body.data == NULL) {
        return NGX_DECLINED;
    }

    p = ngx_cpymem(body.data, ngx_http_mtd_respond_browser_json_start,
                   sizeof(ngx_http_mtd_respond_browser_json_start) - 1);
    p = ngx_cpymem(p, verdict->reference.data, verdict->reference.len);
    ngx_memcpy(p, ngx_http_mtd_respond_browser_json_end,
               sizeof(ngx_http_mtd_respond_browser_json_end) - 1);

    ngx_str_set(&type, "application/json");

    return ngx_http_mtd_respond_browser_send(r, verdict, NGX_HTTP_FORBIDDEN,
                                             &type, &body);
}


static ngx_int_t
ngx_http_mtd_respond_browser_send(ngx_http_request_t *r,
    const ngx_http_mtd_verdict_t *verdict, ngx_uint_t status, ngx_str_t *type,
    ngx_str_t *body)
{
    ngx_http_mtd_respond_browser_main_conf_t  *rmcf;

    rmcf = ngx_http_get_module_main_conf(r,
                                         ngx_http_mtd_respond_browser_module);

    return rmcf->api->send(r, verdict, status, type, body);
}


static ngx_int_t
ngx_http_mtd_respond_browser_preconfiguration(ngx_conf_t *cf)
{
    ngx_http_mtd_respond_browser_main_conf_t  *rmcf;

    rmcf = ngx_http_conf_get_module_main_conf(cf,
                                         ngx_http_mtd_respond_browser_module);

    rmcf->api = ngx_http_mtd_api(cf);
    if (rmcf->api == NULL) {
        return NGX_ERROR;
    }

    return rmcf->api->add_hook(cf, &ngx_http_mtd_respond_browser_hook);
}


static void *
ngx_http_mtd_respond_browser_create_main_conf(ngx_conf_t *cf)
{
    return ngx_pcalloc(cf->pool,
                       sizeof(ngx_http_mtd_respond_browser_main_conf_t));
}
