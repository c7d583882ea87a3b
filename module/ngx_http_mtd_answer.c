
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include "ngx_http_mtd_module.h"


#define NGX_HTTP_MTD_RETRY_MIN   60         /* seconds, MS-ASHTTP 2.2.2.1.1 */
#define NGX_HTTP_MTD_RETRY_MAX   300


static ngx_uint_t ngx_http_mtd_refusal_status(ngx_http_mtd_ctx_t *ctx);
static ngx_int_t ngx_http_mtd_refusal_headers(ngx_http_request_t *r,
    ngx_http_mtd_ctx_t *ctx, ngx_http_mtd_verdict_t *verdict);
static ngx_int_t ngx_http_mtd_refusal_url(ngx_http_request_t *r,
    ngx_http_mtd_loc_conf_t *mlcf, ngx_http_mtd_verdict_t *verdict);
static void ngx_http_mtd_refusal_message(ngx_http_request_t *r,
    ngx_http_mtd_verdict_t *verdict);
static void ngx_http_mtd_refusal_log(ngx_http_request_t *r,
    ngx_http_mtd_ctx_t *ctx, ngx_http_mtd_verdict_t *verdict);


ngx_int_t
ngx_http_mtd_refuse(ngx_http_request_t *r, ngx_http_mtd_ctx_t *ctx,
    ngx_http_mtd_loc_conf_t *mlcf)
{
    ngx_int_t                    rc;
    ngx_uint_t                   i;
    ngx_http_mtd_verdict_t       verdict;
    ngx_http_mtd_main_conf_t    *mmcf;
    const ngx_http_mtd_hook_t  **hook;

    ngx_http_mtd_keep_ctx(r, ctx);

    ngx_http_mtd_refused(r, ctx, mlcf, &verdict);

    if (ngx_http_mtd_refusal_url(r, mlcf, &verdict) != NGX_OK
        || ngx_http_mtd_refusal_headers(r, ctx, &verdict) != NGX_OK)
    {
        return ctx->status;
    }

    ngx_http_mtd_refusal_message(r, &verdict);

    mmcf = ngx_http_get_module_main_conf(r, ngx_http_mtd_module);
    hook = mmcf->hooks.elts;

    for (i = mmcf->hooks.nelts; i-- > 0; /* void */ ) {

        if (hook[i]->respond == NULL) {
            continue;
        }

        rc = hook[i]->respond(r, &verdict);

        if (rc == NGX_OK || rc == NGX_ERROR) {

            /* an allow, or nothing that a phase handler returns */

            return ctx->status;
        }

        if (rc != NGX_DECLINED) {
            return rc;
        }
    }

    return ctx->status;
}


void
ngx_http_mtd_refused(ngx_http_request_t *r, ngx_http_mtd_ctx_t *ctx,
    ngx_http_mtd_loc_conf_t *mlcf, ngx_http_mtd_verdict_t *verdict)
{
    ngx_uint_t  line;

    ctx->state = NGX_HTTP_MTD_DECIDED;
    ctx->store = mlcf->store;
    ctx->status = ngx_http_mtd_refusal_status(ctx);

    ngx_http_mtd_count(ctx);

    if (ctx->verdict.reason == MTD_REASON_STORE_UNAVAILABLE) {
        ctx->retry_after = NGX_HTTP_MTD_RETRY_MIN
                           + ngx_random() % (NGX_HTTP_MTD_RETRY_MAX
                                             - NGX_HTTP_MTD_RETRY_MIN + 1);
    }

    line = ngx_http_mtd_damp(r, ctx);

    ngx_http_mtd_verdict(r, ctx, verdict);

    if (line) {
        ngx_http_mtd_refusal_log(r, ctx, verdict);
    }
}


static ngx_uint_t
ngx_http_mtd_refusal_status(ngx_http_mtd_ctx_t *ctx)
{
    switch (ctx->verdict.reason) {

    case MTD_REASON_MALFORMED:
        return NGX_HTTP_BAD_REQUEST;

    case MTD_REASON_PATH_REFUSED:
        return ctx->status;

    case MTD_REASON_STORE_UNAVAILABLE:
        return NGX_HTTP_SERVICE_UNAVAILABLE;

    default:
        return NGX_HTTP_FORBIDDEN;
    }
}


void
ngx_http_mtd_verdict(ngx_http_request_t *r, ngx_http_mtd_ctx_t *ctx,
    ngx_http_mtd_verdict_t *verdict)
{
    ngx_http_mtd_loc_conf_t   *mlcf;
    ngx_http_mtd_main_conf_t  *mmcf;

    mlcf = ngx_http_get_module_loc_conf(r, ngx_http_mtd_module);
    mmcf = ngx_http_get_module_main_conf(r, ngx_http_mtd_module);

    (void) ngx_http_mtd_reference(r, ctx);

    verdict->decision = ctx->verdict.decision;
    verdict->reason = ctx->verdict.reason;
    verdict->protocol = ctx->endpoint ? ctx->endpoint->protocol
                                      : MTD_PROTOCOL_OTHER;
    verdict->status = ctx->status;
    verdict->reference.data = ctx->reference;
    verdict->reference.len = ctx->reference ? NGX_HTTP_MTD_REFERENCE : 0;
    ngx_str_null(&verdict->remediation);
    verdict->retry_after = ctx->retry_after;
    verdict->disclose = mlcf->disclose;
    ngx_str_null(&verdict->message);
    verdict->api = mmcf->api;
}


static void
ngx_http_mtd_refusal_message(ngx_http_request_t *r,
    ngx_http_mtd_verdict_t *verdict)
{
    u_char           *p;
    const mtd_str_t  *reason;

    static char  text[] = "Access is blocked for this device. Reference: ";

    reason = mtd_reason_name(verdict->reason);

    p = ngx_pnalloc(r->pool, sizeof(text) + verdict->reference.len
                             + sizeof(". Reason: ") + reason->len);
    if (p == NULL) {
        return;
    }

    verdict->message.data = p;

    p = ngx_sprintf(p, "%s%V", text, &verdict->reference);

    if (verdict->disclose) {
        p = ngx_sprintf(p, ". Reason: %*s", reason->len, reason->data);
    }

    verdict->message.len = p - verdict->message.data;
}


/* unique in time, worker and turn; tells nothing about the device */

ngx_int_t
ngx_http_mtd_reference(ngx_http_request_t *r, ngx_http_mtd_ctx_t *ctx)
{
    u_char  *p;

    static uint32_t  turn;

    if (ctx->reference) {
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, NGX_HTTP_MTD_REFERENCE);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ctx->reference = p;

    (void) ngx_sprintf(p, "%08xD%04xD%04xD", (uint32_t) ngx_time(),
                       (uint32_t) ngx_pid & 0xffff, turn++ & 0xffff);

    return NGX_OK;
}


static ngx_int_t
ngx_http_mtd_refusal_url(ngx_http_request_t *r, ngx_http_mtd_loc_conf_t *mlcf,
    ngx_http_mtd_verdict_t *verdict)
{
    size_t      len;
    u_char     *p;
    ngx_str_t  *url;

    if (verdict->decision != MTD_REMEDIATE || mlcf->remediation == NULL) {
        return NGX_OK;
    }

    url = &verdict->remediation;

    if (ngx_http_complex_value(r, mlcf->remediation, url) != NGX_OK) {
        return NGX_ERROR;
    }

    for (p = url->data; p < url->data + url->len; p++) {
        if (*p <= 0x20 || *p == 0x7f) {

            /* a variable brought in what would split a header */

            ngx_str_null(url);
            return NGX_OK;
        }
    }

    /* the page itself is gated, too: do not send clients in circles */

    p = ngx_strlchr(url->data, url->data + url->len, '?');
    len = p ? (size_t) (p - url->data) : url->len;

    if (len == r->uri.len && ngx_memcmp(url->data, r->uri.data, len) == 0) {
        ngx_str_null(url);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_mtd_refusal_headers(ngx_http_request_t *r, ngx_http_mtd_ctx_t *ctx,
    ngx_http_mtd_verdict_t *verdict)
{
    u_char            *p;
    ngx_str_t          value;
    const mtd_str_t   *word;

    static ngx_str_t  reference = ngx_string("X-MTD-Reference");
    static ngx_str_t  reason = ngx_string("X-MTD-Reason");
    static ngx_str_t  retry = ngx_string("Retry-After");
    static ngx_str_t  allow = ngx_string("Allow");
    static ngx_str_t  cache = ngx_string("Cache-Control");
    static ngx_str_t  no_store = ngx_string("no-store");

    if (ngx_http_mtd_add_header(r, &reference, &verdict->reference) == NULL
        || ngx_http_mtd_add_header(r, &cache, &no_store) == NULL)
    {
        return NGX_ERROR;
    }

    if (verdict->disclose) {
        word = mtd_reason_name(verdict->reason);
        value.len = word->len;
        value.data = word->data;

        if (ngx_http_mtd_add_header(r, &reason, &value) == NULL) {
            return NGX_ERROR;
        }
    }

    if (verdict->retry_after) {
        p = ngx_pnalloc(r->pool, NGX_INT_T_LEN);
        if (p == NULL) {
            return NGX_ERROR;
        }

        value.data = p;
        value.len = ngx_sprintf(p, "%ui", verdict->retry_after) - p;

        if (ngx_http_mtd_add_header(r, &retry, &value) == NULL) {
            return NGX_ERROR;
        }
    }

    if (ctx->status == NGX_HTTP_NOT_ALLOWED && ctx->endpoint) {
        p = ngx_pnalloc(r->pool, 256);
        if (p == NULL) {
            return NGX_ERROR;
        }

        value.data = p;
        value.len = mtd_method_list(p, ctx->endpoint->methods) - p;

        if (ngx_http_mtd_add_header(r, &allow, &value) == NULL) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/*
 * Once for each refusal, and without nginx's usual context: that prints the
 * request line, in which ActiveSync carries the user and the device.
 */

static void
ngx_http_mtd_refusal_log(ngx_http_request_t *r, ngx_http_mtd_ctx_t *ctx,
    ngx_http_mtd_verdict_t *verdict)
{
    u_char                     device[17], record[128];
    ngx_log_t                  log;
    ngx_str_t                  policy;
    const mtd_str_t           *threat, *compliance;
    ngx_http_core_srv_conf_t  *cscf;

    cscf = ngx_http_get_module_srv_conf(r, ngx_http_core_module);

    log = *r->connection->log;
    log.handler = NULL;

    device[0] = '-';
    device[1] = '\0';

    if (ctx->identified) {
        *ngx_http_mtd_pseudonym(device, ngx_mtd_zone_shown(&ctx->store->zone,
                                                           &ctx->device))
            = '\0';
    }

    record[0] = '\0';

    if (ctx->known) {
        threat = mtd_threat_name(ctx->record.threat);
        compliance = mtd_compliance_name(ctx->record.compliance);

        *ngx_snprintf(record, sizeof(record) - 1,
                      ", threat: %*s, compliance: %*s", threat->len,
                      threat->data, compliance->len, compliance->data)
            = '\0';
    }

    ngx_str_set(&policy, "-");

    if (ctx->policy) {
        policy = ctx->policy->name;
    }

    ngx_log_error(NGX_LOG_ERR, &log, 0,
                  "mtd %s: %s%s%s, reference: %V, device: %s%s, policy: %V, "
                  "protocol: %s, client: %V, server: %V",
                  mtd_decision_name(verdict->decision)->data,
                  mtd_reason_name(verdict->reason)->data,
                  ctx->why ? ", " : "", ctx->why ? ctx->why : "",
                  &verdict->reference, device, record, &policy,
                  mtd_protocol_name(verdict->protocol)->data,
                  &r->connection->addr_text, &cscf->server_name);
}


/*
 * Not by ngx_http_send_response(), which would make an absolute URL of a
 * Location, out of the Host that the client has sent.  The headers of a
 * refusal are there already, see refusal_headers().
 */

ngx_int_t
ngx_http_mtd_send(ngx_http_request_t *r,
    const ngx_http_mtd_verdict_t *verdict, ngx_uint_t status, ngx_str_t *type,
    ngx_str_t *body)
{
    ngx_int_t     rc;
    ngx_buf_t    *b;
    ngx_chain_t   out;

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        goto done;
    }

    r->headers_out.status = status;
    r->headers_out.content_length_n = body->len;
    r->headers_out.content_type = *type;
    r->headers_out.content_type_len = type->len;

    if (r->method == NGX_HTTP_HEAD || body->len == 0) {
        r->header_only = 1;
    }

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        goto done;
    }

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        rc = NGX_ERROR;
        goto done;
    }

    b->pos = body->data;
    b->last = body->data + body->len;
    b->memory = 1;
    b->last_buf = 1;
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    rc = ngx_http_output_filter(r, &out);

done:

    ngx_http_finalize_request(r, rc);

    return NGX_DONE;
}


u_char *
ngx_http_mtd_pseudonym(u_char *p, uint64_t word)
{
    return ngx_sprintf(p, "%016xL", word);
}
