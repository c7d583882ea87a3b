
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include "ngx_http_mtd_module.h"


typedef enum {
    NGX_HTTP_MTD_VAR_DECISION = 0,
    NGX_HTTP_MTD_VAR_REASON,
    NGX_HTTP_MTD_VAR_PROTOCOL,
    NGX_HTTP_MTD_VAR_THREAT,
    NGX_HTTP_MTD_VAR_COMPLIANCE,
    NGX_HTTP_MTD_VAR_ENROLLED
} ngx_http_mtd_word_e;


typedef enum {
    NGX_HTTP_MTD_VAR_OS = 0,
    NGX_HTTP_MTD_VAR_GROUPS,
    NGX_HTTP_MTD_VAR_VENDOR,
    NGX_HTTP_MTD_VAR_DEVICE,
    NGX_HTTP_MTD_VAR_USER,
    NGX_HTTP_MTD_VAR_IDENTITY,
    NGX_HTTP_MTD_VAR_POLICY,
    NGX_HTTP_MTD_VAR_LOOKUP,
    NGX_HTTP_MTD_VAR_LOOKUP_TIME,
    NGX_HTTP_MTD_VAR_REFERENCE
} ngx_http_mtd_text_e;


static ngx_int_t ngx_http_mtd_word_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_mtd_text_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static void ngx_http_mtd_variable_asked(ngx_http_mtd_ctx_t *ctx);
static ngx_int_t ngx_http_mtd_record_text(ngx_http_request_t *r,
    ngx_http_mtd_ctx_t *ctx, uintptr_t data, ngx_str_t *text);
static ngx_int_t ngx_http_mtd_request_text(ngx_http_request_t *r,
    ngx_http_mtd_ctx_t *ctx, uintptr_t data, ngx_str_t *text);
static ngx_int_t ngx_http_mtd_device_text(ngx_http_request_t *r,
    ngx_http_mtd_ctx_t *ctx, ngx_str_t *text);
static ngx_int_t ngx_http_mtd_hex_text(ngx_http_request_t *r, uint64_t word,
    ngx_str_t *text);


/* not cacheable: a map may ask before the decision, and a log after it */

static ngx_http_variable_t  ngx_http_mtd_variables[] = {

    { ngx_string("mtd_decision"), NULL, ngx_http_mtd_word_variable,
      NGX_HTTP_MTD_VAR_DECISION, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("mtd_reason"), NULL, ngx_http_mtd_word_variable,
      NGX_HTTP_MTD_VAR_REASON, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("mtd_reference"), NULL, ngx_http_mtd_text_variable,
      NGX_HTTP_MTD_VAR_REFERENCE, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("mtd_threat"), NULL, ngx_http_mtd_word_variable,
      NGX_HTTP_MTD_VAR_THREAT, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("mtd_compliance"), NULL, ngx_http_mtd_word_variable,
      NGX_HTTP_MTD_VAR_COMPLIANCE, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("mtd_enrolled"), NULL, ngx_http_mtd_word_variable,
      NGX_HTTP_MTD_VAR_ENROLLED, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("mtd_os"), NULL, ngx_http_mtd_text_variable,
      NGX_HTTP_MTD_VAR_OS, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("mtd_groups"), NULL, ngx_http_mtd_text_variable,
      NGX_HTTP_MTD_VAR_GROUPS, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("mtd_protocol"), NULL, ngx_http_mtd_word_variable,
      NGX_HTTP_MTD_VAR_PROTOCOL, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("mtd_identity"), NULL, ngx_http_mtd_text_variable,
      NGX_HTTP_MTD_VAR_IDENTITY, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("mtd_device"), NULL, ngx_http_mtd_text_variable,
      NGX_HTTP_MTD_VAR_DEVICE, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("mtd_user"), NULL, ngx_http_mtd_text_variable,
      NGX_HTTP_MTD_VAR_USER, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("mtd_vendor"), NULL, ngx_http_mtd_text_variable,
      NGX_HTTP_MTD_VAR_VENDOR, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("mtd_policy"), NULL, ngx_http_mtd_text_variable,
      NGX_HTTP_MTD_VAR_POLICY, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("mtd_lookup"), NULL, ngx_http_mtd_text_variable,
      NGX_HTTP_MTD_VAR_LOOKUP, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("mtd_lookup_time"), NULL, ngx_http_mtd_text_variable,
      NGX_HTTP_MTD_VAR_LOOKUP_TIME, NGX_HTTP_VAR_NOCACHEABLE, 0 },

      ngx_http_null_variable
};


static ngx_str_t  ngx_http_mtd_sources[] = {
    ngx_string(""),
    ngx_string("HIT"),
    ngx_string("MISS"),
    ngx_string("NEGATIVE"),
    ngx_string("STALE"),
    ngx_string("ERROR")
};


ngx_int_t
ngx_http_mtd_add_variables(ngx_conf_t *cf)
{
    ngx_http_variable_t  *var, *v;

    for (v = ngx_http_mtd_variables; v->name.len; v++) {
        var = ngx_http_add_variable(cf, &v->name, v->flags);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = v->get_handler;
        var->data = v->data;
    }

    return NGX_OK;
}


/* too early for a policy that depends on it, see policy_named() */

static void
ngx_http_mtd_variable_asked(ngx_http_mtd_ctx_t *ctx)
{
    if (!ctx->judging && ctx->state != NGX_HTTP_MTD_DECIDED) {
        ctx->early = 1;
    }
}


static ngx_int_t
ngx_http_mtd_word_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    const mtd_str_t     *word;
    ngx_http_mtd_ctx_t  *ctx;

    v->not_found = 1;

    ctx = ngx_http_mtd_find_ctx(r);

    if (ctx == NULL) {
        return NGX_OK;
    }

    if (data != NGX_HTTP_MTD_VAR_PROTOCOL) {
        ngx_http_mtd_variable_asked(ctx);
    }

    if (data <= NGX_HTTP_MTD_VAR_REASON
        && ctx->state != NGX_HTTP_MTD_DECIDED)
    {
        return NGX_OK;
    }

    if (data >= NGX_HTTP_MTD_VAR_THREAT && !ctx->known) {
        return NGX_OK;
    }

    switch (data) {

    case NGX_HTTP_MTD_VAR_DECISION:
        word = mtd_decision_name(ctx->verdict.decision);
        break;

    case NGX_HTTP_MTD_VAR_REASON:
        word = mtd_reason_name(ctx->verdict.reason);
        break;

    case NGX_HTTP_MTD_VAR_PROTOCOL:
        word = mtd_protocol_name(ctx->endpoint ? ctx->endpoint->protocol
                                               : MTD_PROTOCOL_OTHER);
        break;

    case NGX_HTTP_MTD_VAR_THREAT:
        word = mtd_threat_name(ctx->record.threat);
        break;

    case NGX_HTTP_MTD_VAR_COMPLIANCE:
        word = mtd_compliance_name(ctx->record.compliance);
        break;

    default: /* NGX_HTTP_MTD_VAR_ENROLLED */
        word = mtd_enrolled_name(ctx->record.enrolled);
    }

    v->len = word->len;
    v->data = word->data;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_http_mtd_text_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_int_t            rc;
    ngx_str_t            text;
    ngx_http_mtd_ctx_t  *ctx;

    v->not_found = 1;

    ctx = ngx_http_mtd_find_ctx(r);

    if (ctx == NULL) {
        return NGX_OK;
    }

    if (data != NGX_HTTP_MTD_VAR_REFERENCE) {
        ngx_http_mtd_variable_asked(ctx);
    }

    ngx_str_null(&text);

    rc = (data <= NGX_HTTP_MTD_VAR_VENDOR)
         ? ngx_http_mtd_record_text(r, ctx, data, &text)
         : ngx_http_mtd_request_text(r, ctx, data, &text);

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    if (text.len == 0) {
        return NGX_OK;
    }

    v->len = text.len;
    v->data = text.data;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_http_mtd_record_text(ngx_http_request_t *r, ngx_http_mtd_ctx_t *ctx,
    uintptr_t data, ngx_str_t *text)
{
    uint32_t  number;

    if (!ctx->known || ctx->store == NULL) {
        return NGX_OK;
    }

    switch (data) {

    case NGX_HTTP_MTD_VAR_OS:
        number = ctx->record.os;
        break;

    case NGX_HTTP_MTD_VAR_GROUPS:

        if (ctx->ask && ctx->ask->groups.len) {
            *text = ctx->ask->groups;
            return NGX_OK;
        }

        number = ctx->record.groups;
        break;

    default: /* NGX_HTTP_MTD_VAR_VENDOR */
        number = ctx->record.vendor;
    }

    ngx_mtd_zone_text(&ctx->store->zone, number, text);

    return NGX_OK;
}


static ngx_int_t
ngx_http_mtd_request_text(ngx_http_request_t *r, ngx_http_mtd_ctx_t *ctx,
    uintptr_t data, ngx_str_t *text)
{
    u_char    *p;
    uint64_t   time;

    switch (data) {

    case NGX_HTTP_MTD_VAR_DEVICE:
        return ngx_http_mtd_device_text(r, ctx, text);

    case NGX_HTTP_MTD_VAR_USER:
        return (ctx->known && ctx->record.user)
               ? ngx_http_mtd_hex_text(r, ctx->record.user, text) : NGX_OK;

    case NGX_HTTP_MTD_VAR_IDENTITY:

        if (ctx->hook) {
            *text = ctx->hook->name;
        }

        return NGX_OK;

    case NGX_HTTP_MTD_VAR_POLICY:

        if (ctx->policy) {
            *text = ctx->policy->name;
        }

        return NGX_OK;

    case NGX_HTTP_MTD_VAR_LOOKUP:
        *text = ngx_http_mtd_sources[ctx->source];
        return NGX_OK;

    case NGX_HTTP_MTD_VAR_REFERENCE:

        if (ngx_http_mtd_reference(r, ctx) != NGX_OK) {
            return NGX_ERROR;
        }

        text->data = ctx->reference;
        text->len = NGX_HTTP_MTD_REFERENCE;
        return NGX_OK;

    default: /* NGX_HTTP_MTD_VAR_LOOKUP_TIME */

        if (ctx->source == NGX_MTD_LOOKUP_NONE) {
            return NGX_OK;
        }

        p = ngx_pnalloc(r->pool, NGX_INT64_LEN + 8);
        if (p == NULL) {
            return NGX_ERROR;
        }

        time = ctx->ask ? ctx->ask->time : 0;

        text->data = p;
        text->len = ngx_sprintf(p, "%uL.%06uL", time / 1000000,
                                time % 1000000)
                    - p;

        return NGX_OK;
    }
}


/*
 * A pseudonym of the device, or of the identity if no device is known.  The
 * identity itself is not kept, so who wants it in a log has it read again.
 */

static ngx_int_t
ngx_http_mtd_device_text(ngx_http_request_t *r, ngx_http_mtd_ctx_t *ctx,
    ngx_str_t *text)
{
    u_char                    *p;
    ngx_str_t                 *kind;
    ngx_http_mtd_identity_t    id;
    ngx_http_mtd_loc_conf_t   *mlcf;
    ngx_http_mtd_candidate_t  *candidate;

    if (!ctx->identified) {
        return NGX_OK;
    }

    mlcf = ngx_http_get_module_loc_conf(r, ngx_http_mtd_module);

    if (!mlcf->log_device) {
        return ngx_http_mtd_hex_text(r,
                                     ngx_mtd_zone_shown(&ctx->store->zone,
                                                        &ctx->device),
                                     text);
    }

    id.n = 0;
    id.why = NULL;
    id.user.len = 0;
    id.authorization = 0;

    if (ctx->hook->identify(r->main, ctx->endpoint->protocol, &id) != NGX_OK
        || id.n == 0)
    {
        return NGX_OK;
    }

    candidate = &id.candidate[0];
    kind = &ctx->store->zone.kinds[candidate->kind];

    p = ngx_pnalloc(r->pool, kind->len + 1 + candidate->len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    text->data = p;
    text->len = ngx_sprintf(p, "%V:%*s", kind, candidate->len,
                            candidate->data)
                - p;

    return NGX_OK;
}


static ngx_int_t
ngx_http_mtd_hex_text(ngx_http_request_t *r, uint64_t word, ngx_str_t *text)
{
    u_char  *p;

    p = ngx_pnalloc(r->pool, 16);
    if (p == NULL) {
        return NGX_ERROR;
    }

    text->data = p;
    text->len = ngx_http_mtd_pseudonym(p, word) - p;

    return NGX_OK;
}
