
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include "ngx_http_mtd_module.h"


#define NGX_HTTP_MTD_STILL_REFUSED   10000      /* ms */


/* what was found for each candidate; owner is its identity's number */

typedef struct {
    ngx_uint_t               n;
    ngx_uint_t               owner[NGX_MTD_LOOKUP_SLOTS];
    ngx_mtd_answer_t         answer[NGX_MTD_LOOKUP_SLOTS];
} ngx_http_mtd_answers_t;


static ngx_inline ngx_uint_t ngx_http_mtd_identities(ngx_http_request_t *r,
    ngx_http_mtd_ctx_t *ctx, ngx_http_mtd_identity_t *id)
    __attribute__((always_inline));
static ngx_uint_t ngx_http_mtd_cached(ngx_http_mtd_ctx_t *ctx,
    ngx_http_mtd_identity_t *id, ngx_uint_t n,
    ngx_http_mtd_answers_t *answers);
static void ngx_http_mtd_answered(ngx_http_request_t *r,
    ngx_http_mtd_ctx_t *ctx, ngx_http_mtd_loc_conf_t *mlcf);
static ngx_inline ngx_int_t ngx_http_mtd_find(ngx_http_request_t *r,
    ngx_http_mtd_ctx_t *ctx, ngx_http_mtd_loc_conf_t *mlcf,
    ngx_http_mtd_identity_t *id, ngx_uint_t n, ngx_mtd_lookup_pt done)
    __attribute__((always_inline));
static ngx_uint_t ngx_http_mtd_still_refused(ngx_http_request_t *r,
    ngx_http_mtd_ctx_t *ctx, ngx_http_mtd_loc_conf_t *mlcf,
    const mtd_hash_t *alias);
static ngx_int_t ngx_http_mtd_ask(ngx_http_request_t *r,
    ngx_http_mtd_ctx_t *ctx, ngx_http_mtd_identity_t *id, ngx_uint_t n,
    ngx_http_mtd_answers_t *answers, ngx_mtd_lookup_pt done);
static ngx_http_mtd_ask_t *ngx_http_mtd_get_ask(ngx_http_request_t *r,
    ngx_http_mtd_ctx_t *ctx, ngx_uint_t n, ngx_uint_t slots);
static void ngx_http_mtd_wait(ngx_http_request_t *r);
static void ngx_http_mtd_asked(void *data);
static void ngx_http_mtd_collect(ngx_http_mtd_ctx_t *ctx,
    ngx_http_mtd_answers_t *answers);
static void ngx_http_mtd_keep_answers(ngx_http_mtd_ctx_t *ctx,
    ngx_http_mtd_answers_t *answers);
static void ngx_http_mtd_combine(ngx_http_request_t *r,
    ngx_http_mtd_ctx_t *ctx, ngx_http_mtd_loc_conf_t *mlcf,
    ngx_http_mtd_answers_t *answers);
static ngx_uint_t ngx_http_mtd_spread(ngx_http_mtd_ctx_t *ctx,
    ngx_http_mtd_answers_t *answers);
static ngx_inline void ngx_http_mtd_take_record(ngx_http_request_t *r,
    ngx_http_mtd_ctx_t *ctx, ngx_http_mtd_loc_conf_t *mlcf,
    ngx_mtd_answer_t *answer)
    __attribute__((always_inline));
static ngx_uint_t ngx_http_mtd_unsure(ngx_http_mtd_answers_t *answers);
static ngx_inline void ngx_http_mtd_take(ngx_http_request_t *r,
    ngx_http_mtd_ctx_t *ctx, ngx_http_mtd_loc_conf_t *mlcf,
    ngx_mtd_answer_t *answer)
    __attribute__((always_inline));
static void ngx_http_mtd_take_stricter(ngx_http_request_t *r,
    ngx_http_mtd_ctx_t *ctx, ngx_http_mtd_loc_conf_t *mlcf,
    ngx_mtd_answer_t *answer);
static ngx_int_t ngx_http_mtd_save_variables(ngx_http_request_t *r,
    ngx_http_mtd_ctx_t *ctx);
static void ngx_http_mtd_restore_variables(ngx_http_request_t *r,
    ngx_http_mtd_ctx_t *ctx);
static void ngx_http_mtd_exchange_variables(ngx_http_request_t *r,
    ngx_http_mtd_ctx_t *ctx);
static void ngx_http_mtd_return_variables(ngx_http_request_t *r,
    ngx_http_mtd_ctx_t *ctx);
static size_t ngx_http_mtd_variables_size(ngx_http_request_t *r);
static ngx_uint_t ngx_http_mtd_mismatch(ngx_http_mtd_answers_t *answers);


ngx_int_t
ngx_http_mtd_identify(ngx_http_request_t *r, ngx_http_mtd_ctx_t *ctx,
    ngx_http_mtd_loc_conf_t *mlcf)
{
    ngx_int_t                rc;
    ngx_uint_t               n;
    ngx_http_cleanup_t      *cln;
    ngx_http_mtd_identity_t  id[NGX_HTTP_MTD_IDENTITIES];

    if (ctx->state == NGX_HTTP_MTD_ANSWERED) {
        ngx_http_mtd_answered(r, ctx, mlcf);
        return NGX_OK;
    }

    n = ngx_http_mtd_identities(r, ctx, id);

    if (n == 0) {
        ctx->verdict = ngx_http_mtd_judge(r, ctx, mlcf, NULL);
        return NGX_OK;
    }

    ctx->identified = 1;

    if (mlcf->mode == NGX_HTTP_MTD_VARIABLE
        && ngx_http_mtd_save_variables(r, ctx) != NGX_OK)
    {
        return NGX_ERROR;
    }

    rc = ngx_http_mtd_find(r, ctx, mlcf, id, n, ngx_http_mtd_asked);

    if (rc != NGX_AGAIN) {
        return rc;
    }

    /* a client that leaves is not waited for */

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_http_mtd_cleanup;
    cln->data = ctx;

    /* the log of a client that leaves tells who it was */

    ctx->device = ctx->ask->lookup->slot[0].answer.device;
    ctx->state = NGX_HTTP_MTD_WAITING;

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_mtd_wait;

    return NGX_AGAIN;
}


ngx_int_t
ngx_http_mtd_identify_again(ngx_http_request_t *r, ngx_http_mtd_ctx_t *ctx,
    ngx_http_mtd_loc_conf_t *mlcf, ngx_mtd_lookup_pt done)
{
    ngx_int_t                rc;
    ngx_uint_t               n;
    ngx_http_mtd_identity_t  id[NGX_HTTP_MTD_IDENTITIES];

    ngx_http_mtd_exchange_variables(r, ctx);

    n = ngx_http_mtd_identities(r, ctx, id);

    if (n) {
        ctx->identified = 1;
        rc = ngx_http_mtd_find(r, ctx, mlcf, id, n, done);

    } else {

        /* it had none in the first place, or it counts no more */

        ctx->source = NGX_MTD_LOOKUP_NONE;
        ctx->verdict = ngx_http_mtd_judge(r, ctx, mlcf, NULL);
        rc = NGX_OK;
    }

    ngx_http_mtd_return_variables(r, ctx);

    return rc;
}


void
ngx_http_mtd_identified_again(ngx_http_request_t *r, ngx_http_mtd_ctx_t *ctx,
    ngx_http_mtd_loc_conf_t *mlcf)
{
    ngx_http_mtd_exchange_variables(r, ctx);
    ngx_http_mtd_answered(r, ctx, mlcf);
    ngx_http_mtd_return_variables(r, ctx);
}


/* redis has */

static void
ngx_http_mtd_answered(ngx_http_request_t *r, ngx_http_mtd_ctx_t *ctx,
    ngx_http_mtd_loc_conf_t *mlcf)
{
    ngx_http_mtd_answers_t  answers;

    ngx_http_mtd_collect(ctx, &answers);
    ngx_http_mtd_combine(r, ctx, mlcf, &answers);
}


/* from the zone, or, returning NGX_AGAIN, from redis */

static ngx_inline ngx_int_t
ngx_http_mtd_find(ngx_http_request_t *r, ngx_http_mtd_ctx_t *ctx,
    ngx_http_mtd_loc_conf_t *mlcf, ngx_http_mtd_identity_t *id, ngx_uint_t n,
    ngx_mtd_lookup_pt done)
{
    ngx_int_t                  rc;
    ngx_http_mtd_answers_t     answers;
    ngx_http_mtd_candidate_t  *candidate;

    if (n == 1 && id[0].n == 1) {

        /* nearly always */

        candidate = &id[0].candidate[0];

        answers.n = 1;
        answers.owner[0] = 0;

        if (ngx_mtd_lookup_cached(&ctx->store->lookups, candidate->kind,
                                  candidate->data, candidate->len,
                                  &answers.answer[0]))
        {
            ngx_http_mtd_take(r, ctx, mlcf, &answers.answer[0]);
            return NGX_OK;
        }

        if (ctx->state == NGX_HTTP_MTD_READ
            && ngx_http_mtd_still_refused(r, ctx, mlcf,
                                          &answers.answer[0].alias))
        {
            return NGX_OK;
        }

    } else {
        ctx->several = 1;

        if (ngx_http_mtd_cached(ctx, id, n, &answers)) {
            ngx_http_mtd_combine(r, ctx, mlcf, &answers);
            return NGX_OK;
        }
    }

    rc = ngx_http_mtd_ask(r, ctx, id, n, &answers, done);

    if (rc == NGX_OK) {
        ngx_http_mtd_answered(r, ctx, mlcf);
    }

    return rc;
}


/*
 * A refused device that does not wait as it was asked to costs no lookup:
 * what was known of it a moment ago may refuse it once more, and only that.
 */

static ngx_uint_t
ngx_http_mtd_still_refused(ngx_http_request_t *r, ngx_http_mtd_ctx_t *ctx,
    ngx_http_mtd_loc_conf_t *mlcf, const mtd_hash_t *alias)
{
    mtd_facts_t       facts;
    ngx_mtd_answer_t  answer;

    if (!ngx_http_mtd_damping()
        || !ngx_mtd_lookup_last(&ctx->store->lookups, alias,
                                NGX_HTTP_MTD_STILL_REFUSED, &answer)
        || !ngx_http_mtd_damped(ctx->store, &answer.device))
    {
        return 0;
    }

    facts = ctx->facts;

    ngx_http_mtd_take(r, ctx, mlcf, &answer);

    if (ctx->verdict.decision != MTD_ALLOW) {
        return 1;
    }

    ngx_http_mtd_restore_variables(r, ctx);

    ctx->facts = facts;
    ctx->known = 0;
    ctx->source = NGX_MTD_LOOKUP_NONE;

    return 0;
}


/* returns how many the request has; 0: facts say why */

static ngx_inline ngx_uint_t
ngx_http_mtd_identities(ngx_http_request_t *r, ngx_http_mtd_ctx_t *ctx,
    ngx_http_mtd_identity_t *id)
{
    ngx_int_t                    rc;
    ngx_uint_t                   i, n;
    const char                  *why;
    ngx_http_mtd_srv_conf_t     *mscf;
    ngx_http_mtd_main_conf_t    *mmcf;
    const ngx_http_mtd_hook_t  **hook;

    mscf = ngx_http_get_module_srv_conf(r, ngx_http_mtd_module);
    mmcf = ngx_http_get_module_main_conf(r, ngx_http_mtd_module);
    hook = mscf->identify->elts;
    why = NULL;
    n = 0;

    ctx->user_known = 0;
    ctx->user_several = 0;
    ctx->user_unread = 0;
    ctx->user_authorized = 0;
    ctx->facts.deferred = 0;
    ctx->facts.unidentified = 0;

    for (i = 0; i < mscf->identify->nelts; i++) {

        id[n].n = 0;
        id[n].why = NULL;
        id[n].user.len = 0;
        id[n].authorization = 0;

        rc = hook[i]->identify(r, ctx->endpoint->protocol, &id[n]);

        if (mmcf->bind_user && id[n].user.len) {
            ngx_http_mtd_user_told(r, ctx, &id[n]);
        }

        if (rc == NGX_DECLINED || (rc == NGX_OK && id[n].n == 0)) {
            why = id[n].why ? id[n].why : why;
            continue;
        }

        if (rc == NGX_OK) {

            if (n++ == 0 && !ctx->facts.deferred) {
                ctx->hook = hook[i];
            }

            continue;
        }

        if (rc == NGX_HTTP_MTD_DEFERRED) {

            /* another hook may still refuse */

            ctx->hook = hook[i];
            ctx->facts.deferred = 1;
            continue;
        }

        /* what a request can cause never becomes an allow */

        ctx->hook = hook[i];
        ctx->why = id[n].why;

        if (rc == NGX_HTTP_MTD_AMBIGUOUS) {
            ctx->facts.ambiguous = 1;

        } else {
            ctx->facts.malformed = 1;
        }

        return 0;
    }

    if (mmcf->bind_user) {
        ngx_http_mtd_user_header(r, ctx);
    }

    if (ctx->facts.deferred) {
        return 0;
    }

    if (n == 0) {
        ctx->facts.unidentified = 1;
        ctx->why = why;
    }

    return n;
}


/* 1: all are answered */

static ngx_uint_t
ngx_http_mtd_cached(ngx_http_mtd_ctx_t *ctx, ngx_http_mtd_identity_t *id,
    ngx_uint_t n, ngx_http_mtd_answers_t *answers)
{
    ngx_uint_t                 i, k, cached;
    ngx_mtd_lookups_t         *lookups;
    ngx_http_mtd_candidate_t  *candidate;

    lookups = &ctx->store->lookups;
    answers->n = 0;
    cached = 1;

    for (i = 0; i < n; i++) {
        for (k = 0; k < id[i].n; k++) {
            candidate = &id[i].candidate[k];

            if (!ngx_mtd_lookup_cached(lookups, candidate->kind,
                                       candidate->data, candidate->len,
                                       &answers->answer[answers->n]))
            {
                cached = 0;
            }

            answers->owner[answers->n++] = i;
        }
    }

    return cached;
}


static ngx_int_t
ngx_http_mtd_ask(ngx_http_request_t *r, ngx_http_mtd_ctx_t *ctx,
    ngx_http_mtd_identity_t *id, ngx_uint_t n,
    ngx_http_mtd_answers_t *answers, ngx_mtd_lookup_pt done)
{
    ngx_uint_t           i, k;
    ngx_mtd_slot_t      *slot;
    ngx_mtd_lookup_t    *lookup;
    ngx_http_mtd_ask_t  *ask;

    ask = ngx_http_mtd_get_ask(r, ctx, n, answers->n);
    if (ask == NULL) {
        return NGX_ERROR;
    }

    ctx->request = r;

    ngx_memcpy(ask->identity, id, n * sizeof(ngx_http_mtd_identity_t));

    ask->begun = ngx_mtd_zone_clock();

    lookup = ask->lookup;

    lookup->lookups = &ctx->store->lookups;
    lookup->pool = r->pool;
    lookup->again = ctx->open;
    lookup->done = done;
    lookup->data = ctx;
    lookup->n = 0;

    for (i = 0; i < n; i++) {
        for (k = 0; k < id[i].n; k++) {
            slot = &lookup->slot[lookup->n];

            slot->kind = id[i].candidate[k].kind;
            slot->value.len = id[i].candidate[k].len;
            slot->value.data = ask->identity[i].candidate[k].data;
            slot->answer = answers->answer[lookup->n];

            ask->owner[lookup->n++] = i;
        }
    }

    return ngx_mtd_lookup_start(lookup);
}


/* used again: an open request may be decided on many times */

static ngx_http_mtd_ask_t *
ngx_http_mtd_get_ask(ngx_http_request_t *r, ngx_http_mtd_ctx_t *ctx,
    ngx_uint_t n, ngx_uint_t slots)
{
    ngx_mtd_lookup_t    *lookup;
    ngx_http_mtd_ask_t  *ask;

    static ngx_str_t  none = ngx_null_string;

    ask = ctx->ask;

    if (ask && ask->n == n && ask->lookup->n == slots) {
        return ask;
    }

    ask = ngx_palloc(r->pool, offsetof(ngx_http_mtd_ask_t, identity)
                              + n * sizeof(ngx_http_mtd_identity_t));
    lookup = ngx_pcalloc(r->pool, offsetof(ngx_mtd_lookup_t, slot)
                                  + slots * sizeof(ngx_mtd_slot_t));

    if (ask == NULL || lookup == NULL) {
        return NULL;
    }

    ngx_http_mtd_keep_ctx(r, ctx);

    ask->n = n;
    ask->lookup = lookup;

    /* what is told of an open request stays until there is something else */

    ask->time = ctx->ask ? ctx->ask->time : 0;
    ask->groups = ctx->ask ? ctx->ask->groups : none;
    ctx->ask = ask;

    return ask;
}


/* a client's own events do not resume what waits for redis */

static void
ngx_http_mtd_wait(ngx_http_request_t *r)
{
    ngx_log_debug0(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "mtd waits for redis");
}


/* from the event loop; r may be gone after its phases have been run */

static void
ngx_http_mtd_asked(void *data)
{
    ngx_http_mtd_ctx_t *ctx = data;

    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = ctx->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    ngx_log_debug0(NGX_LOG_DEBUG_HTTP, c->log, 0, "mtd lookup is done");

    ctx->state = NGX_HTTP_MTD_ANSWERED;

    r->read_event_handler = ngx_http_block_reading;
    r->write_event_handler = ngx_http_core_run_phases;

    ngx_http_core_run_phases(r);

    ngx_http_run_posted_requests(c);
}


static void
ngx_http_mtd_collect(ngx_http_mtd_ctx_t *ctx, ngx_http_mtd_answers_t *answers)
{
    ngx_uint_t         i;
    ngx_mtd_lookup_t  *lookup;

    lookup = ctx->ask->lookup;

    answers->n = lookup->n;

    for (i = 0; i < lookup->n; i++) {
        answers->owner[i] = ctx->ask->owner[i];
        answers->answer[i] = lookup->slot[i].answer;
    }

    ctx->ask->time = ngx_mtd_zone_clock() - ctx->ask->begun;

    ngx_mtd_zone_count_time(&ctx->store->zone, NGX_MTD_TIME_LOOKUP,
                            ctx->ask->time);
}


/*
 * The first identity names the device.  Of its candidates that are known
 * the one with the stricter verdict is decided on.  Further identities may
 * be unknown, but if they are known they must be this device.  They are not
 * tried in place of one that is unknown, but may be stricter than a policy
 * that allows those.
 */

static void
ngx_http_mtd_combine(ngx_http_request_t *r, ngx_http_mtd_ctx_t *ctx,
    ngx_http_mtd_loc_conf_t *mlcf, ngx_http_mtd_answers_t *answers)
{
    ngx_uint_t         i, known, first;
    ngx_mtd_answer_t  *answer;

    if (ctx->found) {
        ngx_http_mtd_keep_answers(ctx, answers);
    }

    known = 0;
    first = 1;

    for (i = 0; i < answers->n; i++) {
        answer = &answers->answer[i];

        if (answers->owner[i] == 0
            && answer->source != NGX_MTD_LOOKUP_NEGATIVE
            && answer->source != NGX_MTD_LOOKUP_ERROR)
        {
            known = 1;
        }
    }

    ctx->facts.identity_mismatch = (answers->n > 1 && known
                                    && ngx_http_mtd_mismatch(answers));

    for (i = 0; i < answers->n; i++) {
        answer = &answers->answer[i];

        if (answer->source == NGX_MTD_LOOKUP_ERROR
            || (answers->owner[i] == 0
                && (answer->source != NGX_MTD_LOOKUP_NEGATIVE || !known))
            || (answers->owner[i] != 0
                && answer->source != NGX_MTD_LOOKUP_NEGATIVE && !known))
        {
            if (first) {
                ngx_http_mtd_take(r, ctx, mlcf, answer);
                first = 0;

            } else {
                ngx_http_mtd_take_stricter(r, ctx, mlcf, answer);
            }
        }
    }

    ctx->spread = ngx_http_mtd_spread(ctx, answers);
    ctx->unsure = ngx_http_mtd_unsure(answers);
}


/* 1 if another device than the one that is decided on may change that */

static ngx_uint_t
ngx_http_mtd_spread(ngx_http_mtd_ctx_t *ctx, ngx_http_mtd_answers_t *answers)
{
    ngx_uint_t         i;
    ngx_mtd_answer_t  *answer;

    for (i = 0; i < answers->n; i++) {
        answer = &answers->answer[i];

        if (!mtd_hash_equal(&answer->device, &ctx->device)
            && !mtd_hash_equal(&answer->device, &answer->alias))
        {
            return 1;
        }
    }

    return 0;
}


/* 1 if one was not answered, also where another is decided on */

static ngx_uint_t
ngx_http_mtd_unsure(ngx_http_mtd_answers_t *answers)
{
    ngx_uint_t  i;

    for (i = 0; i < answers->n; i++) {
        if (answers->answer[i].source >= NGX_MTD_LOOKUP_STALE) {
            return 1;
        }
    }

    return 0;
}


/* for an open request, which is compared with them from then on */

static void
ngx_http_mtd_keep_answers(ngx_http_mtd_ctx_t *ctx,
    ngx_http_mtd_answers_t *answers)
{
    ngx_uint_t  i;

    ctx->found->n = 0;

    for (i = 0; i < answers->n; i++) {

        if (answers->answer[i].source == NGX_MTD_LOOKUP_STALE
            || answers->answer[i].source == NGX_MTD_LOOKUP_ERROR)
        {
            return;
        }

        ctx->found->answer[i] = answers->answer[i];
    }

    ctx->found->n = answers->n;
}


static ngx_inline void
ngx_http_mtd_take_record(ngx_http_request_t *r, ngx_http_mtd_ctx_t *ctx,
    ngx_http_mtd_loc_conf_t *mlcf, ngx_mtd_answer_t *answer)
{
    ctx->record = answer->record;
    ctx->fetched = answer->fetched;

    if (ctx->ask) {
        ctx->ask->groups = answer->groups;
    }

    ctx->verdict = ngx_http_mtd_judge(r, ctx, mlcf, &ctx->record);
}


static ngx_inline void
ngx_http_mtd_take(ngx_http_request_t *r, ngx_http_mtd_ctx_t *ctx,
    ngx_http_mtd_loc_conf_t *mlcf, ngx_mtd_answer_t *answer)
{
    ctx->source = answer->source;
    ctx->alias = answer->alias;
    ctx->device = answer->device;

    if (answer->source == NGX_MTD_LOOKUP_HIT) {

        /* nearly always */

        ctx->known = 1;
        ctx->facts.failed = 0;
        ctx->facts.stale = 0;

        ngx_http_mtd_take_record(r, ctx, mlcf, answer);
        return;
    }

    ctx->known = (answer->source != NGX_MTD_LOOKUP_NEGATIVE
                  && answer->source != NGX_MTD_LOOKUP_ERROR);
    ctx->facts.failed = (answer->source == NGX_MTD_LOOKUP_ERROR);
    ctx->facts.stale = (answer->source == NGX_MTD_LOOKUP_STALE);

    if (ctx->known) {
        ngx_http_mtd_take_record(r, ctx, mlcf, answer);
        return;
    }

    ctx->verdict = ngx_http_mtd_judge(r, ctx, mlcf, NULL);
}


/*
 * Another record may have another policy, so what maps have said of the one
 * before is forgotten.
 */

static void
ngx_http_mtd_take_stricter(ngx_http_request_t *r, ngx_http_mtd_ctx_t *ctx,
    ngx_http_mtd_loc_conf_t *mlcf, ngx_mtd_answer_t *answer)
{
    ngx_str_t           groups;
    mtd_verdict_t       verdict;
    ngx_http_mtd_ctx_t  before;

    static ngx_str_t  none = ngx_null_string;

    before = *ctx;
    groups = ctx->ask ? ctx->ask->groups : none;

    ngx_http_mtd_restore_variables(r, ctx);
    ngx_http_mtd_take(r, ctx, mlcf, answer);

    verdict = mtd_stricter_verdict(before.verdict, ctx->verdict);

    if (verdict.decision == before.verdict.decision
        && verdict.reason == before.verdict.reason)
    {
        *ctx = before;

        if (ctx->ask) {
            ctx->ask->groups = groups;
        }
    }
}


/*
 * As they are before the first record, for when there is another one; with
 * room for what they are by then.
 */

static ngx_int_t
ngx_http_mtd_save_variables(ngx_http_request_t *r, ngx_http_mtd_ctx_t *ctx)
{
    size_t  size;

    size = ngx_http_mtd_variables_size(r);

    ctx->variables = ngx_palloc(r->pool, 2 * size);
    if (ctx->variables == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(ctx->variables, r->variables, size);

    return NGX_OK;
}


static void
ngx_http_mtd_restore_variables(ngx_http_request_t *r, ngx_http_mtd_ctx_t *ctx)
{
    if (ctx->variables) {
        ngx_memcpy(r->variables, ctx->variables,
                   ngx_http_mtd_variables_size(r));
    }
}


static void
ngx_http_mtd_exchange_variables(ngx_http_request_t *r,
    ngx_http_mtd_ctx_t *ctx)
{
    size_t  size;

    if (ctx->variables) {
        size = ngx_http_mtd_variables_size(r);

        ngx_memcpy((u_char *) ctx->variables + size, r->variables, size);
        ngx_memcpy(r->variables, ctx->variables, size);
    }
}


static void
ngx_http_mtd_return_variables(ngx_http_request_t *r, ngx_http_mtd_ctx_t *ctx)
{
    size_t  size;

    if (ctx->variables) {
        size = ngx_http_mtd_variables_size(r);

        ngx_memcpy(r->variables, (u_char *) ctx->variables + size, size);
    }
}


static size_t
ngx_http_mtd_variables_size(ngx_http_request_t *r)
{
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);

    return cmcf->variables.nelts * sizeof(ngx_http_variable_value_t);
}


static ngx_uint_t
ngx_http_mtd_mismatch(ngx_http_mtd_answers_t *answers)
{
    ngx_uint_t         i, k;
    ngx_mtd_answer_t  *answer;

    for (i = 0; i < answers->n; i++) {
        answer = &answers->answer[i];

        if (answers->owner[i] == 0
            || answer->source == NGX_MTD_LOOKUP_NEGATIVE
            || answer->source == NGX_MTD_LOOKUP_ERROR)
        {
            continue;
        }

        for (k = 0; k < answers->n && answers->owner[k] == 0; k++) {
            if (mtd_hash_equal(&answers->answer[k].device, &answer->device)) {
                break;
            }
        }

        if (k == answers->n || answers->owner[k] != 0) {
            return 1;
        }
    }

    return 0;
}
