
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * Requests of this worker that were allowed and are not done: long polls,
 * notifications, downloads, tunnels.  When redis tells of a change, they are
 * decided on again, and those that are no longer allowed are ended.
 *
 * One is in the bucket of its device, or, from when a check is due until it
 * is made, in the queue "due".  One that depends on several devices is in the
 * last bucket.  It leaves with its pool, at the latest.
 */


#include "ngx_http_mtd_module.h"


#define NGX_HTTP_MTD_OPEN_SPREAD    4096    /* number of the last bucket */
#define NGX_HTTP_MTD_OPEN_BUCKETS   (NGX_HTTP_MTD_OPEN_SPREAD + 1)
#define NGX_HTTP_MTD_OPEN_TURN      256     /* checks in one event */
#define NGX_HTTP_MTD_OPEN_ALIASES   10      /* ms in which changes add up */
#define NGX_HTTP_MTD_OPEN_PAUSE     200     /* ms from one walk to the next */
#define NGX_HTTP_MTD_OPEN_TICK      1000    /* ms */
#define NGX_HTTP_MTD_OPEN_TOLD      60000   /* ms, longer than any lookup */


/* of one store */

typedef struct {
    ngx_mtd_store_t             *store;
    ngx_queue_t                  due;
    ngx_uint_t                   walk;      /* next bucket, BUCKETS: none */
    ngx_msec_t                   walked;    /* when one has begun */
    ngx_event_t                  event;     /* posted while there is work */
    ngx_event_t                  aliases;
    ngx_event_t                  tick;
    time_t                       until;     /* the earliest, 0: none */
    ngx_uint_t                   unsure;    /* redis did not answer for one */
    ngx_queue_t                  buckets[NGX_HTTP_MTD_OPEN_BUCKETS];
} ngx_http_mtd_opens_t;


static void ngx_http_mtd_open_changed(void *data, ngx_mtd_changed_e changed,
    const mtd_hash_t *device);
static void ngx_http_mtd_open_aliases_handler(ngx_event_t *ev);
static void ngx_http_mtd_open_tick_handler(ngx_event_t *ev);
static void ngx_http_mtd_open_walk(ngx_http_mtd_opens_t *opens);
static void ngx_http_mtd_open_handler(ngx_event_t *ev);
static void ngx_http_mtd_open_check(ngx_http_mtd_opens_t *opens,
    ngx_http_mtd_ctx_t *ctx);
static ngx_uint_t ngx_http_mtd_open_redirected(ngx_http_mtd_ctx_t *ctx);
static ngx_uint_t ngx_http_mtd_open_unchanged(ngx_http_mtd_opens_t *opens,
    ngx_http_mtd_ctx_t *ctx);
static ngx_uint_t ngx_http_mtd_open_told(ngx_http_mtd_opens_t *opens,
    ngx_mtd_lookup_t *lookup, ngx_uint_t told);
static ngx_uint_t ngx_http_mtd_open_same(ngx_http_mtd_opens_t *opens,
    const ngx_mtd_answer_t *before, ngx_uint_t told);
static void ngx_http_mtd_open_asked(void *data);
static void ngx_http_mtd_open_decided(ngx_http_mtd_opens_t *opens,
    ngx_http_mtd_ctx_t *ctx, ngx_http_mtd_ctx_t *before);
static ngx_inline void ngx_http_mtd_open_keep(ngx_http_mtd_opens_t *opens,
    ngx_http_mtd_ctx_t *ctx);
static void ngx_http_mtd_open_due(ngx_http_mtd_opens_t *opens,
    ngx_http_mtd_ctx_t *ctx);
static void ngx_http_mtd_open_until(ngx_http_mtd_opens_t *opens,
    ngx_http_mtd_ctx_t *ctx);
static ngx_inline void ngx_http_mtd_open_wake(ngx_http_mtd_opens_t *opens,
    ngx_http_mtd_ctx_t *ctx);
static void ngx_http_mtd_open_end(ngx_http_mtd_ctx_t *ctx);
static ngx_int_t ngx_http_mtd_open_refuse(ngx_http_request_t *r,
    ngx_http_mtd_ctx_t *ctx);
static void ngx_http_mtd_open_body(ngx_http_request_t *r);


static ngx_inline ngx_queue_t *
ngx_http_mtd_open_bucket(ngx_http_mtd_opens_t *opens,
    const mtd_hash_t *device)
{
    return &opens->buckets[device->word[0] % NGX_HTTP_MTD_OPEN_SPREAD];
}


static ngx_inline void
ngx_http_mtd_open_insert(ngx_http_mtd_opens_t *opens, ngx_http_mtd_ctx_t *ctx)
{
    ngx_queue_t  *bucket;

    bucket = ctx->spread ? &opens->buckets[NGX_HTTP_MTD_OPEN_SPREAD]
                         : ngx_http_mtd_open_bucket(opens, &ctx->device);

    ngx_queue_insert_head(bucket, &ctx->queue);
}


ngx_int_t
ngx_http_mtd_open_init(ngx_mtd_store_t *store, ngx_cycle_t *cycle)
{
    ngx_uint_t             i;
    ngx_http_mtd_opens_t  *opens;

    opens = ngx_pcalloc(cycle->pool, sizeof(ngx_http_mtd_opens_t));
    if (opens == NULL) {
        return NGX_ERROR;
    }

    opens->store = store;
    opens->walk = NGX_HTTP_MTD_OPEN_BUCKETS;

    ngx_queue_init(&opens->due);

    for (i = 0; i < NGX_HTTP_MTD_OPEN_BUCKETS; i++) {
        ngx_queue_init(&opens->buckets[i]);
    }

    opens->event.handler = ngx_http_mtd_open_handler;
    opens->event.data = opens;
    opens->event.log = cycle->log;

    opens->aliases.handler = ngx_http_mtd_open_aliases_handler;
    opens->aliases.data = opens;
    opens->aliases.log = cycle->log;
    opens->aliases.cancelable = 1;

    opens->tick.handler = ngx_http_mtd_open_tick_handler;
    opens->tick.data = opens;
    opens->tick.log = cycle->log;
    opens->tick.cancelable = 1;

    store->on_changed = ngx_http_mtd_open_changed;
    store->owner = opens;

    ngx_add_timer(&opens->tick, NGX_HTTP_MTD_OPEN_TICK);

    return NGX_OK;
}


void
ngx_http_mtd_open_add(ngx_http_request_t *r, ngx_http_mtd_ctx_t *ctx)
{
    ngx_http_mtd_opens_t  *opens;

    opens = ctx->store->owner;

    ngx_http_mtd_keep_ctx(r, ctx);

    ctx->request = r;
    ctx->open = 1;

    ngx_http_mtd_open_keep(opens, ctx);

    if (ctx->ask && !ctx->unsure) {

        /* what was answered first may have changed before the last answer */

        ctx->told = 1;
        ngx_http_mtd_open_due(opens, ctx);
    }
}


static void
ngx_http_mtd_open_changed(void *data, ngx_mtd_changed_e changed,
    const mtd_hash_t *device)
{
    ngx_http_mtd_opens_t *opens = data;

    ngx_msec_t           delay;
    ngx_queue_t         *q, *next, *bucket;
    ngx_http_mtd_ctx_t  *ctx;

    switch (changed) {

    case NGX_MTD_CHANGED_DEVICE:

        bucket = ngx_http_mtd_open_bucket(opens, device);

        for (q = ngx_queue_head(bucket);
             q != ngx_queue_sentinel(bucket);
             q = next)
        {
            next = ngx_queue_next(q);
            ctx = ngx_queue_data(q, ngx_http_mtd_ctx_t, queue);

            if (mtd_hash_equal(&ctx->device, device)) {
                ngx_http_mtd_open_due(opens, ctx);
            }
        }

        bucket = &opens->buckets[NGX_HTTP_MTD_OPEN_SPREAD];

        if (!ngx_queue_empty(bucket)) {
            ngx_queue_add(&opens->due, bucket);
            ngx_queue_init(bucket);
            ngx_post_event(&opens->event, &ngx_posted_events);
        }

        return;

    case NGX_MTD_CHANGED_ALIAS:

        /* which one cannot be told where names are pseudonyms */

        if (!opens->aliases.timer_set) {
            delay = opens->walked + NGX_HTTP_MTD_OPEN_PAUSE;
            delay = (delay > ngx_current_msec) ? delay - ngx_current_msec : 0;

            ngx_add_timer(&opens->aliases,
                          ngx_max(delay, NGX_HTTP_MTD_OPEN_ALIASES));
        }

        return;

    default: /* NGX_MTD_CHANGED_ALL */

        ngx_http_mtd_open_walk(opens);
    }
}


static void
ngx_http_mtd_open_aliases_handler(ngx_event_t *ev)
{
    ngx_http_mtd_open_walk(ev->data);
}


/* what time alone changes, and what could not be asked for */

static void
ngx_http_mtd_open_tick_handler(ngx_event_t *ev)
{
    ngx_http_mtd_opens_t  *opens;

    opens = ev->data;

    if (opens->unsure || (opens->until && opens->until <= ngx_time())) {
        opens->unsure = 0;
        opens->until = 0;

        ngx_http_mtd_open_walk(opens);
    }

    ngx_add_timer(ev, NGX_HTTP_MTD_OPEN_TICK);
}


static void
ngx_http_mtd_open_walk(ngx_http_mtd_opens_t *opens)
{
    opens->walk = 0;
    opens->walked = ngx_current_msec;

    ngx_post_event(&opens->event, &ngx_posted_events);
}


static void
ngx_http_mtd_open_handler(ngx_event_t *ev)
{
    ngx_uint_t             n;
    ngx_queue_t           *q, *bucket;
    ngx_http_mtd_ctx_t    *ctx;
    ngx_http_mtd_opens_t  *opens;

    opens = ev->data;

    for (n = 0; n < NGX_HTTP_MTD_OPEN_TURN; n++) {

        while (ngx_queue_empty(&opens->due)) {

            if (opens->walk == NGX_HTTP_MTD_OPEN_BUCKETS) {
                return;
            }

            bucket = &opens->buckets[opens->walk++];

            if (!ngx_queue_empty(bucket)) {
                ngx_queue_add(&opens->due, bucket);
                ngx_queue_init(bucket);
            }
        }

        q = ngx_queue_head(&opens->due);
        ctx = ngx_queue_data(q, ngx_http_mtd_ctx_t, queue);

        ngx_queue_remove(q);

        ngx_http_mtd_open_insert(opens, ctx);
        ngx_http_mtd_open_check(opens, ctx);
    }

    /* other requests have their turn */

    ngx_post_event(ev, &ngx_posted_next_events);
}


static void
ngx_http_mtd_open_check(ngx_http_mtd_opens_t *opens, ngx_http_mtd_ctx_t *ctx)
{
    ngx_int_t                 rc;
    ngx_http_request_t       *r;
    ngx_http_mtd_ctx_t        before;
    ngx_http_mtd_loc_conf_t  *mlcf;

    if (ctx->checking) {
        ctx->again = 1;
        return;
    }

    if (ngx_http_mtd_open_redirected(ctx)) {
        return;
    }

    if (ngx_http_mtd_open_unchanged(opens, ctx)) {
        ngx_http_mtd_open_wake(opens, ctx);
        return;
    }

    if (ctx->unsure && ctx->verdict.reason != MTD_REASON_BYPASS
        && ngx_mtd_store_breaker(opens->store) != NGX_MTD_BREAKER_CLOSED)
    {
        /* each time costs memory of the request, and nobody would answer */

        opens->unsure = 1;
        return;
    }

    r = ctx->request;
    mlcf = ngx_http_get_module_loc_conf(r, ngx_http_mtd_module);

    if (ctx->several && ctx->found == NULL) {

        /* without it, it will be identified anew each time */

        ctx->found = ngx_palloc(r->pool, sizeof(ngx_http_mtd_found_t));
    }

    if (ctx->found) {
        ctx->found->n = 0;
    }

    before = *ctx;
    ctx->unsure = 0;

    rc = ngx_http_mtd_identify_again(r, ctx, mlcf, ngx_http_mtd_open_asked);

    switch (rc) {

    case NGX_AGAIN:
        ctx->checking = 1;
        return;

    case NGX_OK:
        ngx_http_mtd_open_decided(opens, ctx, &before);
        return;

    default:

        /* no memory: no reason to end it */

        opens->unsure = 1;
        *ctx = before;
    }
}


/*
 * On its way to another location, which may have no gate, and may have to
 * wait there: it is decided on again before it gets anything.
 */

static ngx_uint_t
ngx_http_mtd_open_redirected(ngx_http_mtd_ctx_t *ctx)
{
    return ngx_http_get_module_ctx(ctx->request, ngx_http_mtd_module) != ctx;
}


/*
 * Told from the zone alone: to identify a request once more costs memory of
 * it each time, and it may be open for days.
 */

static ngx_uint_t
ngx_http_mtd_open_unchanged(ngx_http_mtd_opens_t *opens,
    ngx_http_mtd_ctx_t *ctx)
{
    ngx_uint_t        i, told;
    ngx_mtd_answer_t  before;

    told = ctx->told;
    ctx->told = 0;

    if (ctx->verdict.reason == MTD_REASON_BYPASS) {

        if (!ngx_mtd_bypass_holds(&opens->store->zone)) {
            return 0;
        }

        /* it has no device that may change, and no alias in ctx */

        if (!ctx->identified) {
            return 1;
        }
    }

    /* one that redis could not be asked about may be unknown by now */

    if (ctx->unsure || (ctx->until && ctx->until <= ngx_time())) {
        return 0;
    }

    if (!ctx->several) {
        before.source = ctx->known ? NGX_MTD_LOOKUP_HIT
                                   : NGX_MTD_LOOKUP_NEGATIVE;
        before.alias = ctx->alias;
        before.device = ctx->device;
        before.record = ctx->record;

        return ngx_http_mtd_open_same(opens, &before, told);
    }

    if (ctx->found == NULL) {
        return ctx->ask
               && ngx_http_mtd_open_told(opens, ctx->ask->lookup, told);
    }

    if (ctx->found->n == 0) {
        return 0;
    }

    for (i = 0; i < ctx->found->n; i++) {

        if (!ngx_http_mtd_open_same(opens, &ctx->found->answer[i], told)) {
            return 0;
        }
    }

    return 1;
}


/* the same by what redis was asked for, at first */

static ngx_uint_t
ngx_http_mtd_open_told(ngx_http_mtd_opens_t *opens, ngx_mtd_lookup_t *lookup,
    ngx_uint_t told)
{
    ngx_uint_t  i;

    for (i = 0; i < lookup->n; i++) {

        if (!ngx_http_mtd_open_same(opens, &lookup->slot[i].answer, told)) {
            return 0;
        }
    }

    return 1;
}


/* what redis has told a moment ago need not be fresh, but still be there */

static ngx_uint_t
ngx_http_mtd_open_same(ngx_http_mtd_opens_t *opens,
    const ngx_mtd_answer_t *before, ngx_uint_t told)
{
    ngx_mtd_answer_t    answer;
    ngx_mtd_lookups_t  *lookups;

    lookups = &opens->store->lookups;

    if (!(told && ngx_mtd_lookup_last(lookups, &before->alias,
                                      NGX_HTTP_MTD_OPEN_TOLD, &answer))
        && !ngx_mtd_lookup_known(lookups, &before->alias, &answer))
    {
        return 0;
    }

    if (answer.source == NGX_MTD_LOOKUP_NEGATIVE) {
        return before->source == NGX_MTD_LOOKUP_NEGATIVE;
    }

    return before->source != NGX_MTD_LOOKUP_NEGATIVE
           && mtd_hash_equal(&answer.device, &before->device)
           && ngx_memcmp(&answer.record, &before->record,
                         sizeof(mtd_record_t))
              == 0;
}


static void
ngx_http_mtd_open_asked(void *data)
{
    ngx_http_mtd_ctx_t *ctx = data;

    ngx_http_request_t       *r;
    ngx_http_mtd_ctx_t        before;
    ngx_http_mtd_loc_conf_t  *mlcf;

    r = ctx->request;
    mlcf = ngx_http_get_module_loc_conf(r, ngx_http_mtd_module);

    ctx->checking = 0;

    if (ngx_http_mtd_open_redirected(ctx)) {
        return;
    }

    before = *ctx;

    ngx_http_mtd_identified_again(r, ctx, mlcf);

    ngx_http_mtd_open_decided(ctx->store->owner, ctx, &before);
}


static void
ngx_http_mtd_open_decided(ngx_http_mtd_opens_t *opens,
    ngx_http_mtd_ctx_t *ctx, ngx_http_mtd_ctx_t *before)
{
    if ((ctx->source == NGX_MTD_LOOKUP_ERROR
         || ctx->source == NGX_MTD_LOOKUP_STALE)
        && before->verdict.reason != MTD_REASON_BYPASS)
    {
        /* redis has failed, which is no change of the device */

        opens->unsure = 1;

        *ctx = *before;
        ctx->unsure = 1;

        return;
    }

    if (ctx->verdict.decision != MTD_ALLOW) {
        ngx_http_mtd_open_end(ctx);
        return;
    }

    ngx_queue_remove(&ctx->queue);

    ngx_http_mtd_open_keep(opens, ctx);

    if (ctx->again) {
        ctx->again = 0;
        ngx_http_mtd_open_due(opens, ctx);
    }
}


static void
ngx_http_mtd_open_due(ngx_http_mtd_opens_t *opens, ngx_http_mtd_ctx_t *ctx)
{
    ngx_queue_remove(&ctx->queue);
    ngx_queue_insert_tail(&opens->due, &ctx->queue);
    ngx_post_event(&opens->event, &ngx_posted_events);
}


/* what redis did not say it may say soon, and tells nobody that it may */

static ngx_inline void
ngx_http_mtd_open_keep(ngx_http_mtd_opens_t *opens, ngx_http_mtd_ctx_t *ctx)
{
    if (ctx->unsure || ctx->source >= NGX_MTD_LOOKUP_STALE) {
        ctx->unsure = 1;
        opens->unsure = 1;
    }

    ngx_http_mtd_open_insert(opens, ctx);
    ngx_http_mtd_open_until(opens, ctx);
}


/* seconds; another worker's clock, that has read it, may be a little ahead */

static ngx_inline time_t
ngx_http_mtd_open_age(ngx_http_mtd_ctx_t *ctx)
{
    return (ctx->fetched < ngx_current_msec)
           ? (time_t) (ngx_current_msec - ctx->fetched) / 1000 : 0;
}


/* when time alone may turn the decision */

static void
ngx_http_mtd_open_until(ngx_http_mtd_opens_t *opens, ngx_http_mtd_ctx_t *ctx)
{
    time_t               until, age;
    const mtd_record_t  *rec;

    until = 0;
    rec = &ctx->record;

    if (ctx->known) {

        if (ctx->verdict.reason == MTD_REASON_IN_GRACE) {
            until = rec->grace_until;
        }

        if (ctx->policy && ctx->policy->policy.max_age && rec->reported_at) {
            age = (time_t) rec->reported_at + ctx->policy->policy.max_age + 1;
            until = (until && until < age) ? until : age;
        }

        if (rec->ttl && rec->ttl != MTD_TTL_MAX) {
            age = ngx_time() + mtd_ttl_seconds(rec->ttl)
                  - ngx_http_mtd_open_age(ctx);
            until = (until && until < age) ? until : age;
        }
    }

    ctx->until = until;

    ngx_http_mtd_open_wake(opens, ctx);
}


static ngx_inline void
ngx_http_mtd_open_wake(ngx_http_mtd_opens_t *opens, ngx_http_mtd_ctx_t *ctx)
{
    if (ctx->until && (opens->until == 0 || ctx->until < opens->until)) {
        opens->until = ctx->until;
    }
}


/*
 * The server behind is left first.  A client that has nothing of the answer
 * yet gets the refusal of its protocol; one that has a part of it sees the
 * connection break off, comes again, and is refused then.
 */

static void
ngx_http_mtd_open_end(ngx_http_mtd_ctx_t *ctx)
{
    ngx_int_t                  rc;
    ngx_connection_t          *c;
    ngx_http_request_t        *r;
#if (NGX_HTTP_V2)
    ngx_http_v2_connection_t  *h2c;
#endif

    r = ctx->request;
    c = r->connection;

#if (NGX_HTTP_V2)
    h2c = r->stream ? r->stream->connection : NULL;
#endif

    ngx_http_set_log_request(c->log, r);

    ngx_queue_remove(&ctx->queue);
    ctx->open = 0;
    ctx->why = "an open request was ended";

    ngx_mtd_zone_count(&ctx->store->zone, NGX_MTD_COUNT_CUT);

    rc = ngx_http_mtd_open_refuse(r, ctx);

    if (rc != NGX_DONE) {
        ngx_http_finalize_request(r, rc);
    }

    ngx_http_run_posted_requests(c);

#if (NGX_HTTP_V2)

    /* nginx would send the reset with the next frame of another stream */

    if (h2c && h2c->last_out) {
        ngx_post_event(h2c->connection->write, &ngx_posted_events);
    }

#endif
}


/* NGX_ERROR breaks the connection off, or resets the stream */

static ngx_int_t
ngx_http_mtd_open_refuse(ngx_http_request_t *r, ngx_http_mtd_ctx_t *ctx)
{
    ngx_uint_t                whole;
    ngx_http_upstream_t      *u;
    ngx_http_mtd_verdict_t    verdict;
    ngx_http_mtd_loc_conf_t  *mlcf;

    mlcf = ngx_http_get_module_loc_conf(r, ngx_http_mtd_module);

    /* nothing sent, and nobody else at work for it */

    whole = (!r->header_sent && r->count == 1 && r->blocked == 0
             && r->connection->data == r && r->postponed == NULL
             && !r->connection->error);

    u = r->upstream;

    if (u && u->cleanup && r->blocked == 0) {

        /* finalizes the request, too, which must not be the end of it */

        r->count++;
        (*u->cleanup)(r);
    }

    ngx_http_set_ctx(r, ctx, ngx_http_mtd_module);

    if (whole) {

        /* a body that is still being read starts nothing any more */

        r->read_event_handler = ngx_http_block_reading;

        ngx_http_mtd_open_body(r);

        return ngx_http_mtd_refuse(r, ctx, mlcf);
    }

    ngx_http_mtd_refused(r, ctx, mlcf, &verdict);

    return NGX_ERROR;
}


/*
 * What is to come of a body is no request.  What has been sent on as it came
 * is not there any more, and a part is no body: an error page that another
 * server makes is asked for without one.
 */

static void
ngx_http_mtd_open_body(ngx_http_request_t *r)
{
    ngx_http_request_body_t  *body;

    body = r->request_body;

    if (body == NULL || (body->rest <= 0 && !r->request_body_no_buffering)) {
        return;
    }

    if (body->rest > 0) {
        r->keepalive = 0;
        r->lingering_close = 1;

#if (NGX_HTTP_V2)

        if (r->stream) {
            r->stream->skip_data = 1;
        }

#endif
    }

    body->bufs = NULL;
    r->headers_in.content_length_n = 0;
    r->headers_in.chunked = 0;
}
