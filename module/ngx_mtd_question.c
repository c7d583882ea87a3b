
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include "ngx_mtd_question.h"


#define NGX_MTD_QUESTION_ASKS   3           /* of one question, if voided */

#define NGX_MTD_QUESTION_HOPS   5           /* redirections of one question */

#define NGX_MTD_QUESTION_SHIFTED  "a reply is none to what was asked"


static ngx_mtd_question_t *ngx_mtd_question_get(
    ngx_mtd_lookups_t *lookups);
static ngx_int_t ngx_mtd_question_send_to(ngx_mtd_question_t *question,
    ngx_mtd_redis_t *redis, ngx_uint_t asking);
static void ngx_mtd_question_asking_reply(void *data, ngx_int_t rc,
    ngx_mtd_reply_t *reply);
static void ngx_mtd_question_pttl_reply(void *data, ngx_int_t rc,
    ngx_mtd_reply_t *reply);
static void ngx_mtd_question_reply(void *data, ngx_int_t rc,
    ngx_mtd_reply_t *reply);
static ngx_uint_t ngx_mtd_question_redirects(ngx_mtd_question_t *question,
    ngx_str_t *text);
static ngx_int_t ngx_mtd_question_redirect(ngx_mtd_question_t *question,
    ngx_str_t *text);
static ngx_uint_t ngx_mtd_question_fits(ngx_mtd_question_t *question,
    ngx_mtd_reply_t *reply);
static ngx_int_t ngx_mtd_question_alias_reply(ngx_mtd_question_t *question,
    ngx_mtd_reply_t *reply, ngx_mtd_result_t *result);
static ngx_int_t ngx_mtd_question_device_reply(ngx_mtd_question_t *question,
    ngx_mtd_reply_t *reply, ngx_mtd_result_t *result);
static void ngx_mtd_question_error(ngx_mtd_question_t *question,
    ngx_str_t *text, ngx_mtd_result_t *result);
static void ngx_mtd_question_refused(ngx_mtd_question_t *question,
    const char *command, ngx_str_t *text);
static void ngx_mtd_question_unreadable(ngx_mtd_question_t *question,
    const char *why);


ngx_int_t
ngx_mtd_question_init(ngx_mtd_lookups_t *lookups, ngx_pool_t *pool)
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


ngx_mtd_question_t *
ngx_mtd_question_new(ngx_mtd_lookups_t *lookups, const mtd_hash_t *key,
    const mtd_hash_t *hash, u_char *name, size_t len, ngx_uint_t device)
{
    ngx_mtd_question_t  *question;

    question = (len <= NGX_MTD_QUESTION_NAME)
               ? ngx_mtd_question_get(lookups) : NULL;

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

    if (ngx_mtd_question_send(question) != NGX_OK) {
        ngx_queue_insert_head(&lookups->free, &question->queue);
        return NULL;
    }

    ngx_queue_init(&question->waiters);
    ngx_queue_insert_head(
        &lookups->asked[key->word[0] % NGX_MTD_LOOKUP_BUCKETS],
        &question->queue);

    return question;
}


static ngx_mtd_question_t *
ngx_mtd_question_get(ngx_mtd_lookups_t *lookups)
{
    ngx_queue_t  *q;

    if (ngx_queue_empty(&lookups->free)) {
        return ngx_alloc(sizeof(ngx_mtd_question_t), lookups->log);
    }

    q = ngx_queue_head(&lookups->free);
    ngx_queue_remove(q);

    return ngx_queue_data(q, ngx_mtd_question_t, queue);
}


ngx_mtd_question_t *
ngx_mtd_question_find(ngx_mtd_lookups_t *lookups, const mtd_hash_t *key)
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


ngx_int_t
ngx_mtd_question_send(ngx_mtd_question_t *question)
{
    ngx_mtd_redis_t    *redis;
    ngx_mtd_lookups_t  *lookups;

    lookups = question->lookups;

    redis = lookups->choose(lookups->data, question->data, question->len);

    return redis ? ngx_mtd_question_send_to(question, redis, 0) : NGX_ERROR;
}


static ngx_int_t
ngx_mtd_question_send_to(ngx_mtd_question_t *question, ngx_mtd_redis_t *redis,
    ngx_uint_t asking)
{
    ngx_uint_t             n;
    ngx_mtd_lookups_t     *lookups;
    ngx_mtd_pipe_step_t    step[NGX_MTD_PIPE_STEPS];

    lookups = question->lookups;

    question->redis = redis;
    question->asking = asking;
    question->waits = 0;

    if (redis->state != NGX_MTD_REDIS_READY) {

        if (redis->failed || redis->stopped) {
            return NGX_ERROR;
        }

        /* the first connection of this worker is on its way */

        question->waits = 1;
        ngx_queue_insert_tail(&lookups->unsent, &question->unsent);
        return NGX_OK;
    }

    ngx_mtd_zone_ticket(lookups->zone, &question->ticket, &question->name);

    question->server = question->ticket.server;

    if (asking) {

        /* perhaps nobody tells of changes there: not to be kept */

        question->ticket.server = 0;
    }

    n = 0;

    if (question->device) {

        if (asking) {
            step[n].template = &lookups->asking;
            step[n++].handler = ngx_mtd_question_asking_reply;
        }

        step[n].template = &lookups->pttl;
        step[n++].handler = ngx_mtd_question_pttl_reply;
    }

    if (asking) {
        step[n].template = &lookups->asking;
        step[n++].handler = ngx_mtd_question_asking_reply;
    }

    step[n].template = question->device ? &lookups->hmget : &lookups->get;
    step[n++].handler = ngx_mtd_question_reply;

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
ngx_mtd_question_asking_reply(void *data, ngx_int_t rc, ngx_mtd_reply_t *reply)
{
    /* void */
}


/* comes right before the answer to HMGET */

static void
ngx_mtd_question_pttl_reply(void *data, ngx_int_t rc, ngx_mtd_reply_t *reply)
{
    ngx_mtd_question_t *question = data;

    ngx_mtd_value_t  *value;

    question->ttl = 0;

    if (rc != NGX_OK) {
        return;
    }

    value = &reply->value[0];

    if (!reply->array && value->type == NGX_MTD_VALUE_ERROR) {

        if (ngx_mtd_question_redirects(question, &value->text)) {

            /* HMGET's answer will say so, too; if not, it was in between */

            question->ttl = 1;
            return;
        }

        ngx_mtd_question_refused(question, "PTTL", &value->text);
        return;
    }

    if (reply->array || value->type != NGX_MTD_VALUE_INTEGER) {
        ngx_mtd_redis_fail(question->redis, NGX_MTD_QUESTION_SHIFTED, NULL);
        return;
    }

    if (value->integer >= 0) {
        question->ttl = mtd_ttl_pack(value->integer / 1000 + 1);
    }
}


static void
ngx_mtd_question_reply(void *data, ngx_int_t rc, ngx_mtd_reply_t *reply)
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
        ngx_mtd_question_unreadable(question, "it is longer than 64k");

    } else if (rc == NGX_ERROR) {

        /* lost with the connection, which may be on its way back already */

        if (question->asks < NGX_MTD_QUESTION_ASKS
            && ngx_mtd_question_send(question) == NGX_OK)
        {
            return;
        }

    } else if (!reply->array
               && reply->value[0].type == NGX_MTD_VALUE_ERROR
               && ngx_mtd_question_redirects(question, &reply->value[0].text))
    {
        if (ngx_mtd_question_redirect(question, &reply->value[0].text)
            == NGX_OK)
        {
            return;
        }

    } else if (!ngx_mtd_question_fits(question, reply)) {

        /* nothing behind it can be told whose it is */

        ngx_mtd_redis_fail(question->redis, NGX_MTD_QUESTION_SHIFTED, NULL);

    } else {
        stored = question->device
                 ? ngx_mtd_question_device_reply(question, reply, &result)
                 : ngx_mtd_question_alias_reply(question, reply, &result);
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

    if (stored == NGX_DECLINED && question->asking) {

        /* that it is not kept does not make it void */

        question->ticket.server = question->server;

        if (!ngx_mtd_zone_voided(zone, &question->ticket)) {
            stored = NGX_OK;
        }
    }

    if (stored == NGX_DECLINED) {
        ngx_mtd_zone_count(zone, NGX_MTD_COUNT_VOIDED);

        if (question->asks < NGX_MTD_QUESTION_ASKS
            && ngx_mtd_question_send(question) == NGX_OK)
        {
            return;
        }

        result.voided = question->asks;
    }

    question->lookups->answered(question, &result);
}


/* 1: another server of the cluster has the key, or is to have it soon */

static ngx_uint_t
ngx_mtd_question_redirects(ngx_mtd_question_t *question, ngx_str_t *text)
{
    return question->lookups->redirect
           && ((text->len > 6 && ngx_strncmp(text->data, "MOVED ", 6) == 0)
               || (text->len > 4 && ngx_strncmp(text->data, "ASK ", 4) == 0));
}


static ngx_int_t
ngx_mtd_question_redirect(ngx_mtd_question_t *question, ngx_str_t *text)
{
    ngx_uint_t          asking;
    ngx_mtd_redis_t    *redis;
    ngx_mtd_lookups_t  *lookups;

    lookups = question->lookups;

    if (question->hops++ == NGX_MTD_QUESTION_HOPS) {
        return NGX_ERROR;
    }

    redis = lookups->redirect(lookups->data, question->redis, text, &asking);

    return redis ? ngx_mtd_question_send_to(question, redis, asking)
                 : NGX_ERROR;
}


/* 0: redis does not say this to what was asked */

static ngx_uint_t
ngx_mtd_question_fits(ngx_mtd_question_t *question, ngx_mtd_reply_t *reply)
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
ngx_mtd_question_alias_reply(ngx_mtd_question_t *question,
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
        ngx_mtd_question_error(question, &value->text, result);
        return NGX_OK;
    }

    result->id.data = value->text.data;
    result->id.len = value->text.len;

    if (mtd_fold(&result->id, MTD_ID_MAX) != 0) {
        result->outcome = NGX_MTD_UNREADABLE;
        ngx_mtd_question_unreadable(question, "it is no id of a device");
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
ngx_mtd_question_device_reply(ngx_mtd_question_t *question,
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
        ngx_mtd_question_error(question, &value->text, result);
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
        ngx_mtd_question_unreadable(question,
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
ngx_mtd_question_error(ngx_mtd_question_t *question, ngx_str_t *text,
    ngx_mtd_result_t *result)
{
    if (text->len >= 9 && ngx_strncmp(text->data, "WRONGTYPE", 9) == 0) {
        result->outcome = NGX_MTD_UNREADABLE;
        ngx_mtd_question_unreadable(question, "it has the wrong type");
        return;
    }

    ngx_mtd_question_refused(question, question->device ? "HMGET" : "GET",
                           text);
}


static void
ngx_mtd_question_refused(ngx_mtd_question_t *question, const char *command,
    ngx_str_t *text)
{
    ngx_mtd_lookups_t  *lookups;

    lookups = question->lookups;

    ngx_mtd_zone_count(lookups->zone, NGX_MTD_COUNT_REFUSED);

    if (ngx_mtd_zone_warns(lookups->zone)) {
        ngx_log_error(ngx_mtd_resp_level(text), lookups->log, 0,
                      "redis %V refused %s: %V; "
                      "more of these are only counted for a minute",
                      &question->redis->conf->name, command, text);
    }
}


/* without the key's name, which tells a device */

static void
ngx_mtd_question_unreadable(ngx_mtd_question_t *question, const char *why)
{
    ngx_mtd_lookups_t  *lookups;

    lookups = question->lookups;

    ngx_mtd_zone_count(lookups->zone, NGX_MTD_COUNT_DAMAGED);

    if (ngx_mtd_zone_warns(lookups->zone)) {
        ngx_log_error(NGX_LOG_WARN, lookups->log, 0,
                      "the %s %016xL in redis %V cannot be read: %s; "
                      "more of these are only counted for a minute",
                      question->device ? "device" : "alias",
                      ngx_mtd_zone_shown(lookups->zone, &question->key),
                      &question->redis->conf->name, why);
    }
}
