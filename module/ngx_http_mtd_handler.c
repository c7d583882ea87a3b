
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include "ngx_http_mtd_module.h"


/*
 * PREACCESS, so that "satisfy any" cannot overrule a refusal; NGX_DECLINED
 * is an allow, because NGX_OK would skip the other handlers of the phase.
 */

ngx_int_t
ngx_http_mtd_preaccess_handler(ngx_http_request_t *r)
{
    ngx_int_t                 rc;
    ngx_http_mtd_ctx_t       *ctx;
    ngx_http_mtd_srv_conf_t  *mscf;
    ngx_http_mtd_loc_conf_t  *mlcf;

    mscf = ngx_http_get_module_srv_conf(r, ngx_http_mtd_module);

    if (!mscf->gated || r != r->main) {
        return NGX_DECLINED;
    }

    ngx_log_debug0(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "mtd preaccess handler");

    ctx = ngx_http_get_module_ctx(r, ngx_http_mtd_module);

    if (ctx == NULL || !ngx_http_mtd_same_uri(r, ctx)) {
        ctx = ngx_http_mtd_request_ctx(r);

        if (ctx == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    mlcf = ngx_http_get_module_loc_conf(r, ngx_http_mtd_module);

    if (ctx->state == NGX_HTTP_MTD_WAITING) {
        return NGX_AGAIN;
    }

    if (mlcf->mode == NGX_HTTP_MTD_OFF || mlcf->status) {

        if (ctx->state == NGX_HTTP_MTD_READ) {
            ngx_memzero(&ctx->facts, sizeof(mtd_facts_t));
            ctx->facts.exempt = 1;
            ctx->verdict = mtd_decide(NULL, &ctx->facts, NULL, 0);
            ctx->state = NGX_HTTP_MTD_DECIDED;
        }

        return NGX_DECLINED;
    }

    if (ctx->state == NGX_HTTP_MTD_DECIDED) {
        return ctx->verdict.decision == MTD_ALLOW ? NGX_DECLINED
                                                  : (ngx_int_t) ctx->status;
    }

    ctx->store = mlcf->store;

    if (ctx->state == NGX_HTTP_MTD_READ
        && (ctx->facts.malformed || ctx->facts.path_refused
            || ctx->facts.open_endpoint))
    {
        ctx->verdict = ngx_http_mtd_judge(r, ctx, mlcf, NULL);

    } else {
        rc = ngx_http_mtd_identify(r, ctx, mlcf);

        if (rc != NGX_OK) {
            return rc == NGX_AGAIN ? NGX_AGAIN
                                   : NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    if (ctx->verdict.decision != MTD_ALLOW) {
        return ngx_http_mtd_refuse(r, ctx, mlcf);
    }

    ctx->state = NGX_HTTP_MTD_DECIDED;
    ngx_http_mtd_count(ctx);

    if (mlcf->cut
        && (ctx->identified || ctx->verdict.reason == MTD_REASON_BYPASS))
    {
        ngx_http_mtd_open_add(r, ctx);
    }

    return NGX_DECLINED;
}


mtd_verdict_t
ngx_http_mtd_judge(ngx_http_request_t *r, ngx_http_mtd_ctx_t *ctx,
    ngx_http_mtd_loc_conf_t *mlcf, const mtd_record_t *rec)
{
    /* these stand before any policy */

    if (ctx->facts.malformed || ctx->facts.path_refused
        || ctx->facts.open_endpoint)
    {
        return mtd_decide(NULL, &ctx->facts, NULL, 0);
    }

    /* the last record may have had another policy */

    ctx->facts.exempt = 0;
    ctx->facts.policy_error = 0;
    ctx->facts.user_mismatch = 0;
    ctx->facts.bypass = ngx_mtd_bypass_holds(&ctx->store->zone);

    if (mlcf->mode != NGX_HTTP_MTD_POLICY || mlcf->policy->policy.bind_user) {
        return ngx_http_mtd_judge_by(r, ctx, mlcf, rec);
    }

    ctx->policy = mlcf->policy;

    return mtd_decide(&ctx->policy->policy, &ctx->facts, rec, ngx_time());
}


void
ngx_http_mtd_count(ngx_http_mtd_ctx_t *ctx)
{
    static ngx_uint_t  counters[] = {
        0, NGX_MTD_COUNT_HIT, NGX_MTD_COUNT_MISS, NGX_MTD_COUNT_NEGATIVE,
        NGX_MTD_COUNT_STALE, NGX_MTD_COUNT_ERROR
    };

    if (ctx->store == NULL) {
        return;
    }

    ngx_mtd_zone_count(&ctx->store->zone, ctx->verdict.reason);

    if (ctx->verdict.decision != MTD_ALLOW) {
        ngx_mtd_zone_count(&ctx->store->zone,
                           ctx->verdict.decision == MTD_BLOCK
                           ? NGX_MTD_COUNT_BLOCKED
                           : NGX_MTD_COUNT_REMEDIATED);
    }

    if (ctx->source) {
        ngx_mtd_zone_count(&ctx->store->zone, counters[ctx->source]);
    }
}


void
ngx_http_mtd_cleanup(void *data)
{
    ngx_http_mtd_ctx_t *ctx = data;

    if (ctx->ask && ctx->ask->lookup->waiting) {
        ngx_mtd_lookup_cancel(ctx->ask->lookup);
    }

    if (ctx->open) {
        ngx_queue_remove(&ctx->queue);
        ctx->open = 0;
    }
}


ngx_int_t
ngx_http_mtd_log_handler(ngx_http_request_t *r)
{
    ngx_uint_t                   i;
    ngx_http_mtd_ctx_t          *ctx;
    ngx_http_mtd_verdict_t       verdict;
    ngx_http_mtd_srv_conf_t     *mscf;
    ngx_http_mtd_main_conf_t    *mmcf;
    const ngx_http_mtd_hook_t  **hook;

    mscf = ngx_http_get_module_srv_conf(r, ngx_http_mtd_module);
    mmcf = ngx_http_get_module_main_conf(r, ngx_http_mtd_module);

    if (!mscf->gated) {
        return NGX_OK;
    }

    ctx = ngx_http_mtd_find_ctx(r);

    if (ctx == NULL || ctx->state != NGX_HTTP_MTD_DECIDED) {
        return NGX_OK;
    }

    ngx_http_mtd_verdict(r, ctx, &verdict);

    hook = mmcf->hooks.elts;

    for (i = 0; i < mmcf->hooks.nelts; i++) {
        if (hook[i]->audit) {
            hook[i]->audit(r, &verdict);
        }
    }

    return NGX_OK;
}
