
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include "ngx_mtd_question.h"


static ngx_uint_t ngx_mtd_lookup_fresh(ngx_mtd_lookups_t *lookups,
    ngx_msec_t fetched, ngx_msec_t limit);
static ngx_inline ngx_uint_t ngx_mtd_lookup_zone(ngx_mtd_lookups_t *lookups,
    ngx_mtd_answer_t *answer)
    __attribute__((always_inline));
static ngx_uint_t ngx_mtd_lookup_unknown(ngx_mtd_lookups_t *lookups,
    ngx_mtd_answer_t *answer)
    __attribute__((noinline));
static void ngx_mtd_lookup_slot(ngx_mtd_slot_t *slot);
static void ngx_mtd_lookup_device(ngx_mtd_slot_t *slot,
    ngx_mtd_result_t *result);
static void ngx_mtd_lookup_fallback(ngx_mtd_slot_t *slot);
static void ngx_mtd_lookup_ask(ngx_mtd_slot_t *slot, const mtd_hash_t *key,
    const mtd_hash_t *hash, u_char *name, size_t len, ngx_uint_t device);
static ngx_uint_t ngx_mtd_lookup_joins(ngx_mtd_lookups_t *lookups,
    ngx_mtd_question_t *question);
static void ngx_mtd_lookup_answer(ngx_mtd_question_t *question,
    ngx_mtd_result_t *result);
static void ngx_mtd_lookup_deliver(ngx_mtd_slot_t *slot,
    ngx_mtd_result_t *result, ngx_uint_t device);
static u_char *ngx_mtd_lookup_room(ngx_mtd_slot_t *slot, size_t len);
static void ngx_mtd_lookup_finish(ngx_mtd_slot_t *slot);
static void ngx_mtd_lookup_timeout(ngx_event_t *ev);


ngx_int_t
ngx_mtd_lookup_init(ngx_mtd_lookups_t *lookups, ngx_pool_t *pool)
{
    lookups->answered = ngx_mtd_lookup_answer;

    return ngx_mtd_question_init(lookups, pool);
}


static ngx_uint_t
ngx_mtd_lookup_fresh(ngx_mtd_lookups_t *lookups, ngx_msec_t fetched,
    ngx_msec_t limit)
{
    ngx_msec_t       now, age;
    ngx_mtd_zone_t  *zone;

    zone = lookups->zone;
    now = ngx_current_msec;

    /* another worker's clock may be a little ahead */

    age = (fetched < now) ? now - fetched : 0;

    if (fetched >= zone->trusted_since && now < zone->trusted_until) {
        return age < limit;
    }

    return age < ngx_min(limit, NGX_MTD_LOOKUP_BLIND);
}


/* redis tells of an expired key when it comes across it, not before */

static ngx_inline ngx_msec_t
ngx_mtd_lookup_limit(ngx_mtd_lookups_t *lookups, const mtd_record_t *record)
{
    if (record->ttl == 0) {
        return lookups->fresh;
    }

    return ngx_min(lookups->fresh,
                   (ngx_msec_t) mtd_ttl_seconds(record->ttl) * 1000);
}


static ngx_uint_t
ngx_mtd_lookup_fresh_device(ngx_mtd_lookups_t *lookups,
    ngx_mtd_device_t *device)
{
    return ngx_mtd_lookup_fresh(lookups, device->entry.fetched,
                                ngx_mtd_lookup_limit(lookups,
                                                     &device->record));
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
    answer->alias = ngx_mtd_zone_alias_hash(lookups->zone, kind, value, len);

    return ngx_mtd_lookup_zone(lookups, answer);
}


ngx_uint_t
ngx_mtd_lookup_known(ngx_mtd_lookups_t *lookups, const mtd_hash_t *alias,
    ngx_mtd_answer_t *answer)
{
    answer->alias = *alias;

    return ngx_mtd_lookup_zone(lookups, answer);
}


/* an answer is as old as what is older of its alias and its device */

static ngx_inline ngx_uint_t
ngx_mtd_lookup_zone(ngx_mtd_lookups_t *lookups, ngx_mtd_answer_t *answer)
{
    ngx_msec_t        fetched;
    ngx_mtd_alias_t   alias;
    ngx_mtd_device_t  device;

    if (!ngx_mtd_zone_known(lookups->zone, &answer->alias, &alias, &device,
                            &fetched)
        || !ngx_mtd_lookup_fresh(lookups, fetched,
                                 ngx_mtd_lookup_limit(lookups,
                                                      &device.record)))
    {
        return ngx_mtd_lookup_unknown(lookups, answer);
    }

    answer->device = alias.device;
    answer->source = NGX_MTD_LOOKUP_HIT;
    answer->record = device.record;
    answer->fetched = device.entry.fetched;
    ngx_str_null(&answer->groups);

    return 1;
}


/* there may be none of that name, or it may name a device that there is not */

static ngx_uint_t
ngx_mtd_lookup_unknown(ngx_mtd_lookups_t *lookups, ngx_mtd_answer_t *answer)
{
    ngx_mtd_alias_t  alias;

    answer->device = answer->alias;

    if (ngx_mtd_zone_alias(lookups->zone, &answer->alias, &alias)
        && ngx_mtd_lookup_fresh(lookups, alias.entry.fetched,
                                lookups->fresh))
    {
        answer->device = alias.device;
    }

    return ngx_mtd_lookup_negative(lookups, &answer->device, answer);
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
    answer->fetched = device.entry.fetched;
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
            && ngx_mtd_lookup_known(lookups, &alias, &slot->answer))
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
        slot->answer.fetched = device.entry.fetched;
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

    if (device.record.ttl) {
        limit = ngx_min(limit, (ngx_msec_t)
                               mtd_ttl_seconds(device.record.ttl) * 1000);
    }

    if (device.entry.fetched + limit > ngx_current_msec) {
        slot->answer.source = NGX_MTD_LOOKUP_STALE;
        slot->answer.device = alias.device;
        slot->answer.record = device.record;
        slot->answer.fetched = device.entry.fetched;
    }
}


static void
ngx_mtd_lookup_ask(ngx_mtd_slot_t *slot, const mtd_hash_t *key,
    const mtd_hash_t *hash, u_char *name, size_t len, ngx_uint_t device)
{
    ngx_mtd_lookups_t   *lookups;
    ngx_mtd_question_t  *question;

    lookups = slot->lookup->lookups;

    question = ngx_mtd_question_find(lookups, key);

    if (question && !ngx_mtd_lookup_joins(lookups, question)) {
        question = NULL;
    }

    slot->asks = question ? question->asks : 0;

    if (question == NULL) {
        question = ngx_mtd_question_new(lookups, key, hash, name, len, device);

        if (question == NULL) {
            ngx_mtd_lookup_fallback(slot);
            return;
        }
    }

    ngx_queue_insert_tail(&question->waiters, &slot->queue);
    slot->waiting = 1;
    slot->lookup->waiting++;
}


/*
 * The reply may tell what was when it was sent.  A change since then makes it
 * void where this worker is told of changes; elsewhere it must be no older
 * than what is known without them.  The latest question is found first.
 */

static ngx_uint_t
ngx_mtd_lookup_joins(ngx_mtd_lookups_t *lookups, ngx_mtd_question_t *question)
{
    ngx_mtd_zone_t  *zone;

    zone = lookups->zone;

    return question->waits
           || (!question->asking
               && question->ticket.sent >= zone->trusted_since
               && ngx_current_msec < zone->trusted_until)
           || ngx_current_msec - question->ticket.sent < NGX_MTD_LOOKUP_BLIND;
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

    if (fresh || ngx_mtd_question_find(lookups, &key)) {
        return NGX_DONE;
    }

    return ngx_mtd_question_new(lookups, &key, &hash, name, len,
                              what == NGX_MTD_CHANGED_DEVICE)
           ? NGX_OK : NGX_ERROR;
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
    u_char           name[NGX_MTD_QUESTION_NAME];
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
        slot->answer.fetched = ngx_current_msec;

        if (result->groups.len) {
            p = ngx_mtd_lookup_room(slot, result->groups.len);

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


/*
 * What the first answer has said may be pointed to for as long as the request
 * is there; that of later ones, while it is open, only until the next one.
 */

static u_char *
ngx_mtd_lookup_room(ngx_mtd_slot_t *slot, size_t len)
{
    u_char      *p;
    size_t       size;
    ngx_pool_t  *pool;

    pool = slot->lookup->pool;

    if (!slot->lookup->again) {
        return ngx_pnalloc(pool, len);
    }

    if (len > slot->room.len) {
        size = ngx_max(len, 2 * slot->room.len);

        p = ngx_pnalloc(pool, size);
        if (p == NULL) {
            return NULL;
        }

        slot->room.data = p;
        slot->room.len = size;
    }

    return slot->room.data;
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

        if (ngx_mtd_question_send(question) != NGX_OK) {
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
