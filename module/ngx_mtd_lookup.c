
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include "ngx_mtd_lookup.h"


#define NGX_MTD_LOOKUP_ASKS   3             /* of one question, if voided */

#define NGX_MTD_LOOKUP_HOPS   5             /* redirections of one question */

#define NGX_MTD_LOOKUP_SHIFTED  "a reply is none to what was asked"

/* prefix, "alias:", kind, ":", value or "device:", ID; no user */

#define NGX_MTD_LOOKUP_NAME                                                   \
    (MTD_PREFIX_MAX + 8 + MTD_KIND_MAX + MTD_ID_MAX)


/*
 * One question to redis and who waits for its answer.  It lives from the
 * first waiter to the answer; it stays when all waiters have left.
 */

struct ngx_mtd_question_s {
    ngx_queue_t            queue;           /* in asked[] */
    ngx_queue_t            unsent;          /* in unsent, if not sent */
    ngx_queue_t            waiters;         /* of ngx_mtd_slot_t */
    ngx_mtd_lookups_t     *lookups;
    ngx_mtd_redis_t       *redis;           /* that was asked last */
    mtd_hash_t             key;             /* address in the zone */
    ngx_mtd_ticket_t       ticket;
    ngx_uint_t             device;          /* unsigned  device:1; */
    ngx_uint_t             asks;
    ngx_uint_t             hops;
    ngx_uint_t             asking;          /* unsigned  asking:1; */
    uint16_t               ttl;             /* see mtd_record_t */
    mtd_hash_t             name;
    size_t                 len;
    u_char                 data[NGX_MTD_LOOKUP_NAME];   /* the key's name */
};


/* what waiters get; texts are valid during the call */

typedef enum {
    NGX_MTD_FOUND = 0,
    NGX_MTD_ABSENT,
    NGX_MTD_UNREADABLE,
    NGX_MTD_FAILED
} ngx_mtd_outcome_e;


typedef struct {
    ngx_mtd_outcome_e      outcome;
    ngx_uint_t             voided;          /* the ask whose reply it was */
    mtd_str_t              id;              /* of an alias */
    mtd_hash_t             device;          /* of the key of id */
    mtd_record_t           record;          /* of a device */
    mtd_str_t              groups;          /* if the texts are full */
} ngx_mtd_result_t;


static ngx_uint_t ngx_mtd_lookup_fresh(ngx_mtd_lookups_t *lookups,
    ngx_msec_t fetched, ngx_msec_t limit);
static ngx_uint_t ngx_mtd_lookup_zone(ngx_mtd_lookups_t *lookups,
    const mtd_hash_t *key, ngx_mtd_answer_t *answer);
static void ngx_mtd_lookup_slot(ngx_mtd_slot_t *slot);
static void ngx_mtd_lookup_device(ngx_mtd_slot_t *slot,
    ngx_mtd_result_t *result);
static void ngx_mtd_lookup_fallback(ngx_mtd_slot_t *slot);
static void ngx_mtd_lookup_ask(ngx_mtd_slot_t *slot, const mtd_hash_t *key,
    const mtd_hash_t *hash, u_char *name, size_t len, ngx_uint_t device);
static ngx_mtd_question_t *ngx_mtd_lookup_new(ngx_mtd_lookups_t *lookups,
    const mtd_hash_t *key, const mtd_hash_t *hash, u_char *name, size_t len,
    ngx_uint_t device);
static ngx_mtd_question_t *ngx_mtd_lookup_get_question(
    ngx_mtd_lookups_t *lookups);
static ngx_mtd_question_t *ngx_mtd_lookup_find(ngx_mtd_lookups_t *lookups,
    const mtd_hash_t *key);
static ngx_int_t ngx_mtd_lookup_send(ngx_mtd_question_t *question);
static ngx_int_t ngx_mtd_lookup_send_to(ngx_mtd_question_t *question,
    ngx_mtd_redis_t *redis, ngx_uint_t asking);
static void ngx_mtd_lookup_asking_reply(void *data, ngx_int_t rc,
    ngx_mtd_reply_t *reply);
static ngx_uint_t ngx_mtd_lookup_redirects(ngx_mtd_question_t *question,
    ngx_str_t *text);
static ngx_int_t ngx_mtd_lookup_redirect(ngx_mtd_question_t *question,
    ngx_str_t *text);
static void ngx_mtd_lookup_pttl_reply(void *data, ngx_int_t rc,
    ngx_mtd_reply_t *reply);
static void ngx_mtd_lookup_reply(void *data, ngx_int_t rc,
    ngx_mtd_reply_t *reply);
static ngx_uint_t ngx_mtd_lookup_fits(ngx_mtd_question_t *question,
    ngx_mtd_reply_t *reply);
static ngx_int_t ngx_mtd_lookup_alias_reply(ngx_mtd_question_t *question,
    ngx_mtd_reply_t *reply, ngx_mtd_result_t *result);
static ngx_int_t ngx_mtd_lookup_device_reply(ngx_mtd_question_t *question,
    ngx_mtd_reply_t *reply, ngx_mtd_result_t *result);
static void ngx_mtd_lookup_error(ngx_mtd_question_t *question,
    ngx_str_t *text, ngx_mtd_result_t *result);
static void ngx_mtd_lookup_refused(ngx_mtd_question_t *question,
    const char *command, ngx_str_t *text);
static void ngx_mtd_lookup_unreadable(ngx_mtd_question_t *question,
    const char *why);
static ngx_uint_t ngx_mtd_lookup_may_warn(ngx_mtd_lookups_t *lookups);
static void ngx_mtd_lookup_answer(ngx_mtd_question_t *question,
    ngx_mtd_result_t *result);
static void ngx_mtd_lookup_deliver(ngx_mtd_slot_t *slot,
    ngx_mtd_result_t *result, ngx_uint_t device);
static void ngx_mtd_lookup_finish(ngx_mtd_slot_t *slot);
static void ngx_mtd_lookup_timeout(ngx_event_t *ev);


ngx_int_t
ngx_mtd_lookup_init(ngx_mtd_lookups_t *lookups, ngx_pool_t *pool)
{
    ngx_str_t         argv[2 + MTD_FIELD_N];
    ngx_uint_t        i;
    const mtd_str_t  *field;

    ngx_queue_init(&lookups->free);
    ngx_queue_init(&lookups->unsent);

    for (i = 0; i < NGX_MTD_LOOKUP_BUCKETS; i++) {
        ngx_queue_init(&lookups->asked[i]);
    }

    ngx_str_set(&argv[0], "GET");
    ngx_str_set(&argv[1], "");

    if (ngx_mtd_resp_template(&lookups->get, argv, 2, pool) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_str_set(&argv[0], "PTTL");

    if (ngx_mtd_resp_template(&lookups->pttl, argv, 2, pool) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_str_set(&argv[0], "HMGET");

    for (i = 0; i < MTD_FIELD_N; i++) {
        field = mtd_field_name(i);
        argv[2 + i].data = field->data;
        argv[2 + i].len = field->len;
    }

    if (ngx_mtd_resp_template(&lookups->hmget, argv, 2 + MTD_FIELD_N, pool)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_str_set(&argv[0], "ASKING");

    return ngx_mtd_resp_template(&lookups->asking, argv, 1, pool);
}


static ngx_uint_t
ngx_mtd_lookup_fresh(ngx_mtd_lookups_t *lookups, ngx_msec_t fetched,
    ngx_msec_t limit)
{
    ngx_msec_t       age;
    ngx_mtd_zone_t  *zone;

    zone = lookups->zone;

    /* another worker's clock may be a little ahead */

    age = (fetched < ngx_current_msec) ? ngx_current_msec - fetched : 0;

    if (fetched >= zone->trusted_since
        && ngx_current_msec < zone->trusted_until)
    {
        return age < limit;
    }

    return age < ngx_min(limit, NGX_MTD_LOOKUP_BLIND);
}


static ngx_uint_t
ngx_mtd_lookup_fresh_device(ngx_mtd_lookups_t *lookups,
    ngx_mtd_device_t *device)
{
    ngx_msec_t  limit;

    limit = lookups->fresh;

    /* redis tells of an expired key when it comes across it, not before */

    if (device->record.ttl) {
        limit = ngx_min(limit, (ngx_msec_t) device->record.ttl * 1000);
    }

    return ngx_mtd_lookup_fresh(lookups, device->entry.fetched, limit);
}


static ngx_uint_t
ngx_mtd_lookup_negative(ngx_mtd_lookups_t *lookups, const mtd_hash_t *key,
    ngx_mtd_answer_t *answer)
{
    mtd_entry_t  entry;

    if (!ngx_mtd_zone_unknown(lookups->zone, key, &entry)
        || entry.fetched + lookups->unknown <= ngx_current_msec)
    {
        answer->source = NGX_MTD_LOOKUP_NONE;
        return 0;
    }

    answer->source = NGX_MTD_LOOKUP_NEGATIVE;

    return 1;
}


ngx_uint_t
ngx_mtd_lookup_cached(ngx_mtd_lookups_t *lookups, ngx_uint_t kind,
    const u_char *value, size_t len, ngx_mtd_answer_t *answer)
{
    mtd_hash_t  key;

    key = ngx_mtd_zone_alias_hash(lookups->zone, kind, value, len);

    return ngx_mtd_lookup_zone(lookups, &key, answer);
}


ngx_uint_t
ngx_mtd_lookup_known(ngx_mtd_lookups_t *lookups, const mtd_hash_t *alias,
    ngx_mtd_answer_t *answer)
{
    return ngx_mtd_lookup_zone(lookups, alias, answer);
}


static ngx_inline ngx_uint_t
ngx_mtd_lookup_zone(ngx_mtd_lookups_t *lookups, const mtd_hash_t *key,
    ngx_mtd_answer_t *answer)
{
    ngx_mtd_alias_t    alias;
    ngx_mtd_device_t   device;

    answer->alias = *key;
    answer->device = *key;

    if (!ngx_mtd_zone_alias(lookups->zone, key, &alias)
        || !ngx_mtd_lookup_fresh(lookups, alias.entry.fetched,
                                 lookups->fresh))
    {
        return ngx_mtd_lookup_negative(lookups, key, answer);
    }

    answer->device = alias.device;

    if (!ngx_mtd_zone_device(lookups->zone, &alias.device, &device)
        || !ngx_mtd_lookup_fresh_device(lookups, &device))
    {
        return ngx_mtd_lookup_negative(lookups, &alias.device, answer);
    }

    answer->source = NGX_MTD_LOOKUP_HIT;
    answer->record = device.record;
    ngx_str_null(&answer->groups);

    return 1;
}


ngx_uint_t
ngx_mtd_lookup_last(ngx_mtd_lookups_t *lookups, const mtd_hash_t *key,
    ngx_msec_t age, ngx_mtd_answer_t *answer)
{
    ngx_mtd_alias_t   alias;
    ngx_mtd_device_t  device;

    if (!ngx_mtd_zone_alias(lookups->zone, key, &alias)
        || alias.entry.fetched + age <= ngx_current_msec
        || !ngx_mtd_zone_device(lookups->zone, &alias.device, &device)
        || device.entry.fetched + age <= ngx_current_msec)
    {
        return 0;
    }

    answer->alias = *key;
    answer->device = alias.device;
    answer->source = NGX_MTD_LOOKUP_HIT;
    answer->record = device.record;
    ngx_str_null(&answer->groups);

    return 1;
}


ngx_int_t
ngx_mtd_lookup_start(ngx_mtd_lookup_t *lookup)
{
    ngx_uint_t       i;
    ngx_mtd_slot_t  *slot;

    lookup->waiting = 0;

    for (i = 0; i < lookup->n; i++) {
        slot = &lookup->slot[i];

        slot->lookup = lookup;
        slot->waiting = 0;

        if (slot->answer.source == NGX_MTD_LOOKUP_NONE) {
            ngx_memzero(&slot->answer.record, sizeof(mtd_record_t));
            ngx_str_null(&slot->answer.groups);
        }
    }

    /* done must not be called from within, so it is out of reach */

    lookup->waiting = 1;

    for (i = 0; i < lookup->n; i++) {
        slot = &lookup->slot[i];

        if (slot->answer.source == NGX_MTD_LOOKUP_NONE) {
            ngx_mtd_lookup_slot(slot);
        }
    }

    if (--lookup->waiting == 0) {
        return NGX_OK;
    }

    /* not cancelable: a worker outlives its requests */

    lookup->timeout.handler = ngx_mtd_lookup_timeout;
    lookup->timeout.data = lookup;
    lookup->timeout.log = lookup->lookups->log;

    ngx_add_timer(&lookup->timeout, lookup->lookups->timeout);

    return NGX_AGAIN;
}


void
ngx_mtd_lookup_cancel(ngx_mtd_lookup_t *lookup)
{
    ngx_uint_t       i;
    ngx_mtd_slot_t  *slot;

    if (lookup->timeout.timer_set) {
        ngx_del_timer(&lookup->timeout);
    }

    for (i = 0; i < lookup->n; i++) {
        slot = &lookup->slot[i];

        if (slot->waiting) {
            ngx_queue_remove(&slot->queue);
            slot->waiting = 0;
        }
    }

    lookup->waiting = 0;
}


/*
 * The ID is not in the zone, only its hash, so a device that has to be asked
 * for needs its alias asked first.
 */

static void
ngx_mtd_lookup_slot(ngx_mtd_slot_t *slot)
{
    u_char              name[MTD_KEY_MAX], *last;
    mtd_str_t           kind, value;
    mtd_hash_t          alias, key;
    ngx_mtd_lookups_t  *lookups;

    lookups = slot->lookup->lookups;

    kind.len = lookups->zone->kinds[slot->kind].len;
    kind.data = lookups->zone->kinds[slot->kind].data;
    value.len = slot->value.len;
    value.data = slot->value.data;

    last = mtd_key_alias(name, lookups->names, &kind, &value);

    if (last == NULL) {
        ngx_mtd_lookup_fallback(slot);
        return;
    }

    alias = slot->answer.alias;
    key = alias;

    if (lookups->names->secret.len) {
        key = ngx_mtd_zone_alias_hash(lookups->zone, slot->kind,
                                      last - MTD_PSEUDONYM_LEN,
                                      MTD_PSEUDONYM_LEN);

        if (ngx_mtd_zone_move_alias(lookups->zone, &key, &alias)
            && ngx_mtd_lookup_zone(lookups, &alias, &slot->answer))
        {
            return;
        }
    }

    ngx_mtd_lookup_ask(slot, &alias, &key, name, last - name, 0);
}


static void
ngx_mtd_lookup_device(ngx_mtd_slot_t *slot, ngx_mtd_result_t *result)
{
    u_char              name[MTD_KEY_MAX], *last;
    ngx_mtd_device_t    device;
    ngx_mtd_lookups_t  *lookups;

    lookups = slot->lookup->lookups;

    slot->answer.device = result->device;

    /* another identity may have brought it in */

    if (ngx_mtd_zone_device(lookups->zone, &result->device, &device)
        && ngx_mtd_lookup_fresh_device(lookups, &device))
    {
        slot->answer.source = NGX_MTD_LOOKUP_MISS;
        slot->answer.record = device.record;
        return;
    }

    if (ngx_mtd_lookup_negative(lookups, &result->device, &slot->answer)) {
        return;
    }

    last = mtd_key_device(name, lookups->names, &result->id);

    if (last == NULL) {
        ngx_mtd_lookup_fallback(slot);
        return;
    }

    ngx_mtd_lookup_ask(slot, &result->device, &result->device, name,
                       last - name, 1);
}


/* redis does not say: what is known serves up to stale */

static void
ngx_mtd_lookup_fallback(ngx_mtd_slot_t *slot)
{
    ngx_msec_t          limit;
    ngx_mtd_zone_t     *zone;
    ngx_mtd_alias_t     alias;
    ngx_mtd_device_t    device;
    ngx_mtd_lookups_t  *lookups;

    lookups = slot->lookup->lookups;
    zone = lookups->zone;
    limit = lookups->stale;

    slot->answer.source = NGX_MTD_LOOKUP_ERROR;

    if (!ngx_mtd_zone_alias(zone, &slot->answer.alias, &alias)
        || alias.entry.fetched + limit <= ngx_current_msec
        || !ngx_mtd_zone_device(zone, &alias.device, &device))
    {
        return;
    }

    if (device.record.ttl && device.record.ttl != MTD_TTL_MAX) {
        limit = ngx_min(limit, (ngx_msec_t) device.record.ttl * 1000);
    }

    if (device.entry.fetched + limit > ngx_current_msec) {
        slot->answer.source = NGX_MTD_LOOKUP_STALE;
        slot->answer.device = alias.device;
        slot->answer.record = device.record;
    }
}


static void
ngx_mtd_lookup_ask(ngx_mtd_slot_t *slot, const mtd_hash_t *key,
    const mtd_hash_t *hash, u_char *name, size_t len, ngx_uint_t device)
{
    ngx_mtd_lookups_t   *lookups;
    ngx_mtd_question_t  *question;

    lookups = slot->lookup->lookups;

    question = ngx_mtd_lookup_find(lookups, key);

    slot->asks = question ? question->asks : 0;

    if (question == NULL) {
        question = ngx_mtd_lookup_new(lookups, key, hash, name, len, device);

        if (question == NULL) {
            ngx_mtd_lookup_fallback(slot);
            return;
        }
    }

    ngx_queue_insert_tail(&question->waiters, &slot->queue);
    slot->waiting = 1;
    slot->lookup->waiting++;
}


/* hash is of the name that an invalidation will bring, without the prefix */

static ngx_mtd_question_t *
ngx_mtd_lookup_new(ngx_mtd_lookups_t *lookups, const mtd_hash_t *key,
    const mtd_hash_t *hash, u_char *name, size_t len, ngx_uint_t device)
{
    ngx_mtd_question_t  *question;

    question = (len <= NGX_MTD_LOOKUP_NAME)
               ? ngx_mtd_lookup_get_question(lookups) : NULL;

    if (question == NULL) {
        return NULL;
    }

    question->lookups = lookups;
    question->key = *key;
    question->name = *hash;
    question->device = device;
    question->hops = 0;
    question->asks = 0;
    question->len = len;
    ngx_memcpy(question->data, name, len);

    if (ngx_mtd_lookup_send(question) != NGX_OK) {
        ngx_queue_insert_head(&lookups->free, &question->queue);
        return NULL;
    }

    ngx_queue_init(&question->waiters);
    ngx_queue_insert_head(
        &lookups->asked[key->word[0] % NGX_MTD_LOOKUP_BUCKETS],
        &question->queue);

    return question;
}


ngx_int_t
ngx_mtd_lookup_fetch(ngx_mtd_lookups_t *lookups, u_char *name, size_t len)
{
    size_t              prefix;
    mtd_hash_t          hash, key;
    ngx_uint_t          fresh;
    ngx_mtd_alias_t     alias;
    ngx_mtd_device_t    device;
    ngx_mtd_changed_e   what;

    prefix = lookups->names->prefix.len;

    if (len <= prefix
        || ngx_memcmp(name, lookups->names->prefix.data, prefix) != 0)
    {
        return NGX_DECLINED;
    }

    what = ngx_mtd_zone_name(lookups->zone, name + prefix, len - prefix,
                             &hash);

    switch (what) {

    case NGX_MTD_CHANGED_DEVICE:
        key = hash;
        fresh = ngx_mtd_zone_device(lookups->zone, &key, &device)
                && ngx_mtd_lookup_fresh_device(lookups, &device);
        break;

    case NGX_MTD_CHANGED_ALIAS:
        ngx_mtd_zone_address(lookups->zone, &hash, &key);
        fresh = ngx_mtd_zone_alias(lookups->zone, &key, &alias)
                && ngx_mtd_lookup_fresh(lookups, alias.entry.fetched,
                                        lookups->fresh);
        break;

    default:
        return NGX_DECLINED;
    }

    if (fresh || ngx_mtd_lookup_find(lookups, &key)) {
        return NGX_DONE;
    }

    return ngx_mtd_lookup_new(lookups, &key, &hash, name, len,
                              what == NGX_MTD_CHANGED_DEVICE)
           ? NGX_OK : NGX_ERROR;
}


static ngx_mtd_question_t *
ngx_mtd_lookup_get_question(ngx_mtd_lookups_t *lookups)
{
    ngx_queue_t  *q;

    if (ngx_queue_empty(&lookups->free)) {
        return ngx_alloc(sizeof(ngx_mtd_question_t), lookups->log);
    }

    q = ngx_queue_head(&lookups->free);
    ngx_queue_remove(q);

    return ngx_queue_data(q, ngx_mtd_question_t, queue);
}


static ngx_mtd_question_t *
ngx_mtd_lookup_find(ngx_mtd_lookups_t *lookups, const mtd_hash_t *key)
{
    ngx_queue_t         *q, *bucket;
    ngx_mtd_question_t  *question;

    bucket = &lookups->asked[key->word[0] % NGX_MTD_LOOKUP_BUCKETS];

    for (q = ngx_queue_head(bucket);
         q != ngx_queue_sentinel(bucket);
         q = ngx_queue_next(q))
    {
        question = ngx_queue_data(q, ngx_mtd_question_t, queue);

        if (mtd_hash_equal(&question->key, key)) {
            return question;
        }
    }

    return NULL;
}


static ngx_int_t
ngx_mtd_lookup_send(ngx_mtd_question_t *question)
{
    ngx_mtd_redis_t    *redis;
    ngx_mtd_lookups_t  *lookups;

    lookups = question->lookups;

    redis = lookups->choose(lookups->data, question->data, question->len);

    return redis ? ngx_mtd_lookup_send_to(question, redis, 0) : NGX_ERROR;
}


static ngx_int_t
ngx_mtd_lookup_send_to(ngx_mtd_question_t *question, ngx_mtd_redis_t *redis,
    ngx_uint_t asking)
{
    ngx_uint_t             n;
    ngx_mtd_lookups_t     *lookups;
    ngx_mtd_pipe_step_t    step[NGX_MTD_PIPE_STEPS];

    lookups = question->lookups;

    question->redis = redis;
    question->asking = asking;

    if (redis->state != NGX_MTD_REDIS_READY) {

        if (redis->failed || redis->stopped) {
            return NGX_ERROR;
        }

        /* the first connection of this worker is on its way */

        ngx_queue_insert_tail(&lookups->unsent, &question->unsent);
        return NGX_OK;
    }

    ngx_mtd_zone_ticket(lookups->zone, &question->ticket, &question->name);

    if (asking) {

        /* nobody tells of changes there: void from the beginning */

        question->ticket.server = 0;
    }

    n = 0;

    if (question->device) {

        if (asking) {
            step[n].template = &lookups->asking;
            step[n++].handler = ngx_mtd_lookup_asking_reply;
        }

        step[n].template = &lookups->pttl;
        step[n++].handler = ngx_mtd_lookup_pttl_reply;
    }

    if (asking) {
        step[n].template = &lookups->asking;
        step[n++].handler = ngx_mtd_lookup_asking_reply;
    }

    step[n].template = question->device ? &lookups->hmget : &lookups->get;
    step[n++].handler = ngx_mtd_lookup_reply;

    if (ngx_mtd_redis_ask(redis, step, n, question->data, question->len,
                          question)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    question->asks++;
    ngx_mtd_zone_count(lookups->zone, NGX_MTD_COUNT_LOOKUPS);

    return NGX_OK;
}


/* what ASKING is for says more */

static void
ngx_mtd_lookup_asking_reply(void *data, ngx_int_t rc, ngx_mtd_reply_t *reply)
{
    /* void */
}


/* comes right before the answer to HMGET */

static void
ngx_mtd_lookup_pttl_reply(void *data, ngx_int_t rc, ngx_mtd_reply_t *reply)
{
    ngx_mtd_question_t *question = data;

    int64_t           ttl;
    ngx_mtd_value_t  *value;

    question->ttl = 0;

    if (rc != NGX_OK) {
        return;
    }

    value = &reply->value[0];

    if (!reply->array && value->type == NGX_MTD_VALUE_ERROR) {

        if (ngx_mtd_lookup_redirects(question, &value->text)) {

            /* HMGET's answer will say so, too; if not, it was in between */

            question->ttl = 1;
            return;
        }

        ngx_mtd_lookup_refused(question, "PTTL", &value->text);
        return;
    }

    if (reply->array || value->type != NGX_MTD_VALUE_INTEGER) {
        ngx_mtd_redis_fail(question->redis, NGX_MTD_LOOKUP_SHIFTED, NULL);
        return;
    }

    if (value->integer >= 0) {
        ttl = value->integer / 1000 + 1;
        question->ttl = (uint16_t) ngx_min(ttl, MTD_TTL_MAX);
    }
}


static void
ngx_mtd_lookup_reply(void *data, ngx_int_t rc, ngx_mtd_reply_t *reply)
{
    ngx_mtd_question_t *question = data;

    ngx_int_t          stored;
    ngx_mtd_zone_t    *zone;
    ngx_mtd_result_t   result;

    ngx_memzero(&result, sizeof(ngx_mtd_result_t));

    zone = question->lookups->zone;
    result.outcome = NGX_MTD_FAILED;
    stored = NGX_OK;

    if (rc == NGX_DECLINED) {
        result.outcome = NGX_MTD_UNREADABLE;
        ngx_mtd_lookup_unreadable(question, "it is longer than 64k");

    } else if (rc == NGX_ERROR) {

        /* lost with the connection, which may be on its way back already */

        if (question->asks < NGX_MTD_LOOKUP_ASKS
            && ngx_mtd_lookup_send(question) == NGX_OK)
        {
            return;
        }

    } else if (!reply->array
               && reply->value[0].type == NGX_MTD_VALUE_ERROR
               && ngx_mtd_lookup_redirects(question, &reply->value[0].text))
    {
        if (ngx_mtd_lookup_redirect(question, &reply->value[0].text)
            == NGX_OK)
        {
            return;
        }

    } else if (!ngx_mtd_lookup_fits(question, reply)) {

        /* nothing behind it can be told whose it is */

        ngx_mtd_redis_fail(question->redis, NGX_MTD_LOOKUP_SHIFTED, NULL);

    } else {
        stored = question->device
                 ? ngx_mtd_lookup_device_reply(question, reply, &result)
                 : ngx_mtd_lookup_alias_reply(question, reply, &result);
    }

    if (result.outcome == NGX_MTD_UNREADABLE) {

        /* kept, so that it is not asked for, and the link cut, each time */

        result.record.damaged = 1;
        stored = ngx_mtd_zone_put_device(zone, &question->key,
                                         &result.record, &question->ticket);

        if (stored == NGX_OK && !question->device) {
            stored = ngx_mtd_zone_put_alias(zone, &question->key,
                                            &question->key,
                                            &question->ticket);
        }
    }

    if (stored == NGX_DECLINED && !question->asking) {
        ngx_mtd_zone_count(zone, NGX_MTD_COUNT_VOIDED);

        if (question->asks < NGX_MTD_LOOKUP_ASKS
            && ngx_mtd_lookup_send(question) == NGX_OK)
        {
            return;
        }

        result.voided = question->asks;
    }

    ngx_mtd_lookup_answer(question, &result);
}


/* 1: another server of the cluster has the key, or is to have it soon */

static ngx_uint_t
ngx_mtd_lookup_redirects(ngx_mtd_question_t *question, ngx_str_t *text)
{
    return question->lookups->redirect
           && ((text->len > 6 && ngx_strncmp(text->data, "MOVED ", 6) == 0)
               || (text->len > 4 && ngx_strncmp(text->data, "ASK ", 4) == 0));
}


static ngx_int_t
ngx_mtd_lookup_redirect(ngx_mtd_question_t *question, ngx_str_t *text)
{
    ngx_uint_t          asking;
    ngx_mtd_redis_t    *redis;
    ngx_mtd_lookups_t  *lookups;

    lookups = question->lookups;

    if (question->hops++ == NGX_MTD_LOOKUP_HOPS) {
        return NGX_ERROR;
    }

    redis = lookups->redirect(lookups->data, question->redis, text, &asking);

    return redis ? ngx_mtd_lookup_send_to(question, redis, asking)
                 : NGX_ERROR;
}


/* 0: redis does not say this to what was asked */

static ngx_uint_t
ngx_mtd_lookup_fits(ngx_mtd_question_t *question, ngx_mtd_reply_t *reply)
{
    ngx_uint_t        i;
    ngx_mtd_value_t  *value;

    value = &reply->value[0];

    if (!reply->array && value->type == NGX_MTD_VALUE_ERROR) {
        return 1;
    }

    if (!question->device) {
        return !reply->array && (value->type == NGX_MTD_VALUE_STRING
                                 || value->type == NGX_MTD_VALUE_NIL);
    }

    if (!reply->array || reply->n != MTD_FIELD_N) {
        return 0;
    }

    for (i = 0; i < reply->n; i++) {
        if (value[i].type != NGX_MTD_VALUE_STRING
            && value[i].type != NGX_MTD_VALUE_NIL)
        {
            return 0;
        }
    }

    return 1;
}


/* returns what storing it said */

static ngx_int_t
ngx_mtd_lookup_alias_reply(ngx_mtd_question_t *question,
    ngx_mtd_reply_t *reply, ngx_mtd_result_t *result)
{
    u_char            name[MTD_KEY_MAX], *last, *p;
    ngx_mtd_zone_t   *zone;
    ngx_mtd_value_t  *value;

    zone = question->lookups->zone;
    value = &reply->value[0];

    if (value->type == NGX_MTD_VALUE_NIL) {
        result->outcome = NGX_MTD_ABSENT;
        return ngx_mtd_zone_put_unknown(zone, &question->key,
                                        &question->ticket);
    }

    if (value->type == NGX_MTD_VALUE_ERROR) {
        ngx_mtd_lookup_error(question, &value->text, result);
        return NGX_OK;
    }

    result->id.data = value->text.data;
    result->id.len = value->text.len;

    if (mtd_fold(&result->id, MTD_ID_MAX) != 0) {
        result->outcome = NGX_MTD_UNREADABLE;
        ngx_mtd_lookup_unreadable(question, "it is no id of a device");
        return NGX_OK;
    }

    last = mtd_key_device(name, question->lookups->names, &result->id);

    if (last == NULL) {
        return NGX_OK;
    }

    p = name + question->lookups->names->prefix.len + sizeof("device:") - 1;

    result->outcome = NGX_MTD_FOUND;
    result->device = ngx_mtd_zone_device_hash(zone, p, last - p);

    return ngx_mtd_zone_put_alias(zone, &question->key, &result->device,
                                  &question->ticket);
}


static ngx_int_t
ngx_mtd_lookup_device_reply(ngx_mtd_question_t *question,
    ngx_mtd_reply_t *reply, ngx_mtd_result_t *result)
{
    int               bad;
    ngx_uint_t        i;
    mtd_str_t        *text;
    mtd_fields_t      fields;
    mtd_record_t     *record;
    ngx_mtd_zone_t   *zone;
    ngx_mtd_value_t  *value;

    zone = question->lookups->zone;
    value = &reply->value[0];

    if (!reply->array) {
        ngx_mtd_lookup_error(question, &value->text, result);
        return NGX_OK;
    }

    for (i = 0; i < MTD_FIELD_N; i++) {
        fields.field[i].data = value[i].text.data;
        fields.field[i].len = value[i].text.len;
    }

    if (mtd_fields_empty(&fields)) {
        result->outcome = NGX_MTD_ABSENT;
        return ngx_mtd_zone_put_unknown(zone, &question->key,
                                        &question->ticket);
    }

    result->outcome = NGX_MTD_FOUND;
    record = &result->record;

    bad = mtd_record_parse(record, &fields);
    record->ttl = question->ttl;

    if (bad >= 0) {
        ngx_mtd_lookup_unreadable(question,
                                (const char *) mtd_field_name(bad)->data);
        return ngx_mtd_zone_put_device(zone, &question->key, record,
                                       &question->ticket);
    }

    text = &fields.field[MTD_FIELD_USER];

    if (text->len) {
        (void) mtd_fold(text, MTD_USER_MAX);
        record->user = ngx_mtd_zone_user_hash(zone, text->data, text->len);
    }

    text = &fields.field[MTD_FIELD_GROUPS];

    record->os = ngx_mtd_zone_intern(zone, &fields.field[MTD_FIELD_OS]);
    record->vendor = ngx_mtd_zone_intern(zone,
                                         &fields.field[MTD_FIELD_VENDOR]);
    record->groups = ngx_mtd_zone_intern(zone, text);

    if (text->len && record->groups == 0) {

        /* a policy may depend on them: such a record is not kept */

        result->groups = *text;
        return ngx_mtd_zone_voided(zone, &question->ticket) ? NGX_DECLINED
                                                            : NGX_OK;
    }

    return ngx_mtd_zone_put_device(zone, &question->key, record,
                                   &question->ticket);
}


static void
ngx_mtd_lookup_error(ngx_mtd_question_t *question, ngx_str_t *text,
    ngx_mtd_result_t *result)
{
    if (text->len >= 9 && ngx_strncmp(text->data, "WRONGTYPE", 9) == 0) {
        result->outcome = NGX_MTD_UNREADABLE;
        ngx_mtd_lookup_unreadable(question, "it has the wrong type");
        return;
    }

    ngx_mtd_lookup_refused(question, question->device ? "HMGET" : "GET",
                           text);
}


static void
ngx_mtd_lookup_refused(ngx_mtd_question_t *question, const char *command,
    ngx_str_t *text)
{
    ngx_mtd_lookups_t  *lookups;

    lookups = question->lookups;

    ngx_mtd_zone_count(lookups->zone, NGX_MTD_COUNT_REFUSED);

    if (ngx_mtd_lookup_may_warn(lookups)) {
        ngx_log_error(NGX_LOG_ERR, lookups->log, 0,
                      "redis %V refused %s: %V; "
                      "more of these are only counted for a minute",
                      &question->redis->conf->name, command, text);
    }
}


/* without the key's name, which tells a device */

static void
ngx_mtd_lookup_unreadable(ngx_mtd_question_t *question, const char *why)
{
    ngx_mtd_lookups_t  *lookups;

    lookups = question->lookups;

    ngx_mtd_zone_count(lookups->zone, NGX_MTD_COUNT_DAMAGED);

    if (ngx_mtd_lookup_may_warn(lookups)) {
        ngx_log_error(NGX_LOG_WARN, lookups->log, 0,
                      "the %s %016xL in redis %V cannot be read: %s; "
                      "more of these are only counted for a minute",
                      question->device ? "device" : "alias",
                      question->key.word[0], &question->redis->conf->name,
                      why);
    }
}


static ngx_uint_t
ngx_mtd_lookup_may_warn(ngx_mtd_lookups_t *lookups)
{
    if (lookups->warned && ngx_time() - lookups->warned < 60) {
        return 0;
    }

    lookups->warned = ngx_time();

    return 1;
}


/*
 * The question is gone and the waiters are detached before the first of
 * them is told: it may ask again, or end another one.  A reply that was
 * overtaken is good for those who came before it was asked for, and may be
 * too old for who came later.
 */

static void
ngx_mtd_lookup_answer(ngx_mtd_question_t *question, ngx_mtd_result_t *result)
{
    u_char           name[NGX_MTD_LOOKUP_NAME];
    size_t           len;
    mtd_hash_t       key, hash;
    ngx_uint_t       device;
    ngx_queue_t      waiters, *q;
    ngx_mtd_slot_t  *slot;

    device = question->device;
    key = question->key;
    hash = question->name;
    len = question->len;

    if (result->voided) {
        ngx_memcpy(name, question->data, len);
    }

    ngx_queue_remove(&question->queue);
    ngx_queue_init(&waiters);

    if (!ngx_queue_empty(&question->waiters)) {
        ngx_queue_add(&waiters, &question->waiters);
    }

    ngx_queue_insert_head(&question->lookups->free, &question->queue);

    while (!ngx_queue_empty(&waiters)) {
        q = ngx_queue_head(&waiters);
        ngx_queue_remove(q);

        slot = ngx_queue_data(q, ngx_mtd_slot_t, queue);
        slot->waiting = 0;

        if (result->voided && slot->asks == result->voided) {
            ngx_mtd_lookup_ask(slot, &key, &hash, name, len, device);

        } else {
            ngx_mtd_lookup_deliver(slot, result, device);
        }

        ngx_mtd_lookup_finish(slot);
    }
}


static void
ngx_mtd_lookup_deliver(ngx_mtd_slot_t *slot, ngx_mtd_result_t *result,
    ngx_uint_t device)
{
    u_char  *p;

    switch (result->outcome) {

    case NGX_MTD_FOUND:

        if (!device) {
            ngx_mtd_lookup_device(slot, result);
            return;
        }

        slot->answer.source = NGX_MTD_LOOKUP_MISS;
        slot->answer.record = result->record;

        if (result->groups.len) {
            p = ngx_pnalloc(slot->lookup->pool, result->groups.len);

            if (p == NULL) {
                slot->answer.record.damaged = 1;
                return;
            }

            ngx_memcpy(p, result->groups.data, result->groups.len);
            slot->answer.groups.data = p;
            slot->answer.groups.len = result->groups.len;
        }

        return;

    case NGX_MTD_ABSENT:

        slot->answer.source = NGX_MTD_LOOKUP_NEGATIVE;
        return;

    case NGX_MTD_UNREADABLE:

        slot->answer.source = NGX_MTD_LOOKUP_MISS;
        slot->answer.record.damaged = 1;
        return;

    default: /* NGX_MTD_FAILED */

        ngx_mtd_lookup_fallback(slot);
    }
}


/* the slot may be gone with its request when this returns */

static void
ngx_mtd_lookup_finish(ngx_mtd_slot_t *slot)
{
    ngx_mtd_lookup_t  *lookup;

    lookup = slot->lookup;

    if (--lookup->waiting) {
        return;
    }

    if (lookup->timeout.timer_set) {
        ngx_del_timer(&lookup->timeout);
    }

    lookup->done(lookup->data);
}


static void
ngx_mtd_lookup_timeout(ngx_event_t *ev)
{
    ngx_uint_t          i;
    ngx_mtd_slot_t     *slot;
    ngx_mtd_lookup_t   *lookup;
    ngx_mtd_lookups_t  *lookups;

    lookup = ev->data;

    ngx_mtd_zone_count(lookup->lookups->zone, NGX_MTD_COUNT_TIMEOUTS);

    for (i = 0; i < lookup->n; i++) {
        slot = &lookup->slot[i];

        if (slot->waiting) {
            ngx_queue_remove(&slot->queue);
            slot->waiting = 0;
            ngx_mtd_lookup_fallback(slot);
        }
    }

    lookup->waiting = 0;

    /* done may end what belongs to lookup; others wait for the same */

    lookups = lookup->lookups;
    lookup->done(lookup->data);

    lookups->late(lookups->data);
}


void
ngx_mtd_lookup_resume(ngx_mtd_lookups_t *lookups)
{
    ngx_queue_t          unsent, *q;
    ngx_mtd_result_t     result;
    ngx_mtd_question_t  *question;

    if (ngx_queue_empty(&lookups->unsent)) {
        return;
    }

    ngx_memzero(&result, sizeof(ngx_mtd_result_t));
    result.outcome = NGX_MTD_FAILED;

    /* one whose connection is still on its way waits again */

    ngx_queue_init(&unsent);
    ngx_queue_add(&unsent, &lookups->unsent);
    ngx_queue_init(&lookups->unsent);

    while (!ngx_queue_empty(&unsent)) {
        q = ngx_queue_head(&unsent);
        ngx_queue_remove(q);

        question = ngx_queue_data(q, ngx_mtd_question_t, unsent);

        if (ngx_mtd_lookup_send(question) != NGX_OK) {
            ngx_mtd_lookup_answer(question, &result);
        }
    }
}


void
ngx_mtd_lookup_destroy(ngx_mtd_lookups_t *lookups)
{
    ngx_uint_t    i;
    ngx_queue_t  *q, *bucket;

    for (i = 0; i < NGX_MTD_LOOKUP_BUCKETS; i++) {
        bucket = &lookups->asked[i];

        while (!ngx_queue_empty(bucket)) {
            q = ngx_queue_head(bucket);
            ngx_queue_remove(q);

            ngx_queue_insert_head(&lookups->free, q);
        }
    }

    while (!ngx_queue_empty(&lookups->free)) {
        q = ngx_queue_head(&lookups->free);
        ngx_queue_remove(q);

        ngx_free(ngx_queue_data(q, ngx_mtd_question_t, queue));
    }
}
