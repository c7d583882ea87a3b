
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include "ngx_mtd_bypass.h"


#define NGX_MTD_BYPASS_TICK    1000         /* ms */
#define NGX_MTD_BYPASS_FIELDS  4

#define NGX_MTD_BYPASS_SHIFTED \
    "a reply is none to what was asked of the bypass"


static void ngx_mtd_bypass_ask(ngx_mtd_bypass_t *bypass);
static void ngx_mtd_bypass_send(ngx_mtd_bypass_t *bypass,
    ngx_mtd_redis_t *redis, ngx_uint_t guest);
static ngx_int_t ngx_mtd_bypass_command(ngx_mtd_bypass_t *bypass,
    ngx_str_t *argv, ngx_uint_t argc, ngx_mtd_pipe_reply_pt handler);
static void ngx_mtd_bypass_asking_reply(void *data, ngx_int_t rc,
    ngx_mtd_reply_t *reply);
static void ngx_mtd_bypass_hmget_reply(void *data, ngx_int_t rc,
    ngx_mtd_reply_t *reply);
static ngx_mtd_redis_t *ngx_mtd_bypass_redirect(ngx_mtd_bypass_t *bypass,
    ngx_mtd_reply_t *reply, ngx_uint_t *asking);
static ngx_uint_t ngx_mtd_bypass_fits(ngx_mtd_reply_t *reply);
static const char *ngx_mtd_bypass_parse(ngx_mtd_bypass_t *bypass,
    ngx_mtd_reply_t *reply);
static void ngx_mtd_bypass_text(ngx_mtd_bypass_text_t *text,
    ngx_mtd_value_t *value);
static void ngx_mtd_bypass_pttl_reply(void *data, ngx_int_t rc,
    ngx_mtd_reply_t *reply);
static const char *ngx_mtd_bypass_limit(ngx_mtd_zone_bypass_t *next,
    ngx_mtd_value_t *pttl);
static void ngx_mtd_bypass_store(ngx_mtd_bypass_t *bypass);
static const char *ngx_mtd_bypass_store_locked(ngx_mtd_zone_t *zone,
    ngx_mtd_zone_bypass_t *next);
static void ngx_mtd_bypass_tick_handler(ngx_event_t *ev);
static void ngx_mtd_bypass_look(ngx_mtd_bypass_t *bypass);
static void ngx_mtd_bypass_log(ngx_mtd_bypass_t *bypass, const char *what,
    ngx_mtd_zone_bypass_t *b);


void
ngx_mtd_bypass_init(ngx_mtd_bypass_t *bypass, ngx_log_t *log)
{
    ngx_mtd_zone_bypass_t  b;

    bypass->log = log;

    bypass->tick.handler = ngx_mtd_bypass_tick_handler;
    bypass->tick.data = bypass;
    bypass->tick.log = log;
    bypass->tick.cancelable = 1;

    ngx_add_timer(&bypass->tick, NGX_MTD_BYPASS_TICK);

    if (ngx_worker == 0 && ngx_mtd_bypass_get(bypass->zone, &b)) {
        ngx_mtd_bypass_log(bypass, "goes on", &b);
    }
}


ngx_uint_t
ngx_mtd_bypass_get(ngx_mtd_zone_t *zone, ngx_mtd_zone_bypass_t *b)
{
    if (!ngx_mtd_bypass_holds(zone)) {
        return 0;
    }

    ngx_shmtx_lock(&zone->shpool->mutex);

    *b = *zone->bypass;

    ngx_shmtx_unlock(&zone->shpool->mutex);

    return b->until != 0;
}


void
ngx_mtd_bypass_ready(ngx_mtd_bypass_t *bypass)
{
    if (!bypass->oversize) {
        ngx_mtd_bypass_ask(bypass);
    }
}


/* a reply that is on its way, to whatever worker, may be older */

void
ngx_mtd_bypass_changed(ngx_mtd_bypass_t *bypass)
{
    (void) __atomic_fetch_add(&bypass->zone->bypass->generation, 1,
                              __ATOMIC_RELEASE);

    bypass->oversize = 0;

    ngx_mtd_bypass_ask(bypass);
}


static void
ngx_mtd_bypass_ask(ngx_mtd_bypass_t *bypass)
{
    u_char           *p, name[MTD_PREFIX_MAX + sizeof("bypass")];
    ngx_mtd_redis_t  *redis;

    bypass->due = 1;

    p = ngx_sprintf(name, "%*sbypass", bypass->names->prefix.len,
                    bypass->names->prefix.data);

    redis = bypass->choose(bypass->data, name, p - name);

    if (bypass->asking || redis == NULL) {
        return;
    }

    ngx_mtd_bypass_send(bypass, redis, 0);
}


/*
 * A guest has the key, but not its slot yet.  Nobody tells of changes there,
 * so the tick asks again.
 */

static void
ngx_mtd_bypass_send(ngx_mtd_bypass_t *bypass, ngx_mtd_redis_t *redis,
    ngx_uint_t guest)
{
    u_char     name[MTD_PREFIX_MAX + sizeof("bypass")];
    ngx_str_t  argv[2 + NGX_MTD_BYPASS_FIELDS];

    if (redis->state != NGX_MTD_REDIS_READY) {
        return;
    }

    bypass->from = redis;
    bypass->guest = guest;

    ngx_memzero(&bypass->next, sizeof(ngx_mtd_zone_bypass_t));

    bypass->next.server = bypass->zone->server;
    bypass->next.generation = __atomic_load_n(
                                  &bypass->zone->bypass->generation,
                                  __ATOMIC_ACQUIRE);

    ngx_str_set(&argv[0], "HMGET");
    argv[1].data = name;
    argv[1].len = ngx_sprintf(name, "%*sbypass", bypass->names->prefix.len,
                              bypass->names->prefix.data)
                  - name;
    ngx_str_set(&argv[2], "until");
    ngx_str_set(&argv[3], "since");
    ngx_str_set(&argv[4], "by");
    ngx_str_set(&argv[5], "why");

    if (ngx_mtd_bypass_command(bypass, argv, 2 + NGX_MTD_BYPASS_FIELDS,
                               ngx_mtd_bypass_hmget_reply)
        != NGX_OK)
    {
        /* there is no memory: the tick asks again */

        return;
    }

    ngx_str_set(&argv[0], "PTTL");

    if (ngx_mtd_bypass_command(bypass, argv, 2, ngx_mtd_bypass_pttl_reply)
        != NGX_OK)
    {
        return;
    }

    bypass->due = guest;
    bypass->asking = 1;
}


static ngx_int_t
ngx_mtd_bypass_command(ngx_mtd_bypass_t *bypass, ngx_str_t *argv,
    ngx_uint_t argc, ngx_mtd_pipe_reply_pt handler)
{
    ngx_str_t  asking;

    ngx_str_set(&asking, "ASKING");

    if (bypass->guest
        && ngx_mtd_redis_command(bypass->from, &asking, 1,
                                 ngx_mtd_bypass_asking_reply, bypass)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_mtd_redis_command(bypass->from, argv, argc, handler, bypass);
}


/* what ASKING is for says more */

static void
ngx_mtd_bypass_asking_reply(void *data, ngx_int_t rc, ngx_mtd_reply_t *reply)
{
    /* void */
}


static void
ngx_mtd_bypass_hmget_reply(void *data, ngx_int_t rc, ngx_mtd_reply_t *reply)
{
    ngx_mtd_bypass_t *bypass = data;

    ngx_uint_t  asking;

    bypass->moved = (rc == NGX_OK
                     && ngx_mtd_bypass_redirect(bypass, reply, &asking));

    if (bypass->moved) {

        /* the answer to PTTL says where to */

    } else if (rc == NGX_OK && !ngx_mtd_bypass_fits(reply)) {
        ngx_mtd_redis_fail(bypass->from, NGX_MTD_BYPASS_SHIFTED, NULL);

    } else if (rc == NGX_OK) {
        bypass->why = ngx_mtd_bypass_parse(bypass, reply);

    } else if (rc == NGX_DECLINED) {

        /* asking again would cut the connection again */

        bypass->oversize = 1;
        bypass->due = 0;

        ngx_log_error(NGX_LOG_WARN, bypass->log, 0,
                      "the bypass in redis %V cannot be read: it is longer "
                      "than 64k", bypass->redis);
    }
}


/* who is to be asked, NULL if the reply is none that says so */

static ngx_mtd_redis_t *
ngx_mtd_bypass_redirect(ngx_mtd_bypass_t *bypass, ngx_mtd_reply_t *reply,
    ngx_uint_t *asking)
{
    if (bypass->redirect == NULL || reply->array
        || reply->value[0].type != NGX_MTD_VALUE_ERROR)
    {
        return NULL;
    }

    return bypass->redirect(bypass->data, bypass->from,
                            &reply->value[0].text, asking);
}


/* 0: redis does not say this to HMGET, and what is behind it is not known */

static ngx_uint_t
ngx_mtd_bypass_fits(ngx_mtd_reply_t *reply)
{
    ngx_uint_t  i;

    if (!reply->array) {
        return reply->value[0].type == NGX_MTD_VALUE_ERROR;
    }

    if (reply->n != NGX_MTD_BYPASS_FIELDS) {
        return 0;
    }

    for (i = 0; i < reply->n; i++) {
        if (reply->value[i].type != NGX_MTD_VALUE_STRING
            && reply->value[i].type != NGX_MTD_VALUE_NIL)
        {
            return 0;
        }
    }

    return 1;
}


/* returns what is wrong; until stays 0 if there is no such key */

static const char *
ngx_mtd_bypass_parse(ngx_mtd_bypass_t *bypass, ngx_mtd_reply_t *reply)
{
    time_t                  until, since;
    ngx_mtd_value_t        *value;
    ngx_mtd_bypass_word_t  *word;

    word = &bypass->next.word;
    value = reply->value;

    if (!reply->array && value->type == NGX_MTD_VALUE_ERROR) {
        return (value->text.len >= 9
                && ngx_strncmp(value->text.data, "WRONGTYPE", 9) == 0)
               ? "it has the wrong type" : "redis refused HMGET";
    }

    if (value[0].type == NGX_MTD_VALUE_NIL) {
        return NULL;
    }

    until = ngx_atotm(value[0].text.data, value[0].text.len);
    since = ngx_atotm(value[1].text.data, value[1].text.len);

    if (until <= 0) {
        return "until";
    }

    word->until = until;
    word->since = ngx_max(since, 0);

    ngx_mtd_bypass_text(&word->by, &value[2]);
    ngx_mtd_bypass_text(&word->why, &value[3]);

    return NULL;
}


/* as it can stand in a log, and in JSON */

static void
ngx_mtd_bypass_text(ngx_mtd_bypass_text_t *text, ngx_mtd_value_t *value)
{
    u_char    *p, *next, *last;
    uint32_t   ch;

    text->len = ngx_min(value->text.len, NGX_MTD_BYPASS_TEXT);
    ngx_memcpy(text->data, value->text.data, text->len);

    last = text->data + text->len;

    for (p = text->data; p < last; p = next) {
        next = p;
        ch = (*p < 0x80) ? *next++ : ngx_utf8_decode(&next, last - p);

        if (ch < 0x20 || (ch >= 0x7f && ch < 0xa0) || ch > 0x10ffff) {
            next = p + 1;
            *p = '?';
        }
    }
}


static void
ngx_mtd_bypass_pttl_reply(void *data, ngx_int_t rc, ngx_mtd_reply_t *reply)
{
    ngx_mtd_bypass_t *bypass = data;

    ngx_uint_t        asking;
    ngx_mtd_redis_t  *redis;

    bypass->asking = 0;

    if (rc != NGX_OK) {

        /* asked again once redis is ready */

        return;
    }

    redis = ngx_mtd_bypass_redirect(bypass, reply, &asking);

    if (redis || bypass->moved) {

        /* the tick asks who has it by then */

        bypass->due = 1;

        if (redis && asking && !bypass->guest) {
            ngx_mtd_bypass_send(bypass, redis, 1);
        }

        return;
    }

    if (reply->array || (reply->value[0].type != NGX_MTD_VALUE_INTEGER
                         && reply->value[0].type != NGX_MTD_VALUE_ERROR))
    {
        ngx_mtd_redis_fail(bypass->from, NGX_MTD_BYPASS_SHIFTED, NULL);
        return;
    }

    if (bypass->why == NULL && bypass->next.word.until) {
        bypass->why = ngx_mtd_bypass_limit(&bypass->next, &reply->value[0]);
    }

    if (bypass->why) {
        ngx_log_error(NGX_LOG_WARN, bypass->log, 0,
                      "the bypass in redis %V cannot be read: %s",
                      bypass->redis, bypass->why);
    }

    ngx_mtd_bypass_store(bypass);
}


/* the clocks of redis and of this machine may differ: the shorter time holds */

static const char *
ngx_mtd_bypass_limit(ngx_mtd_zone_bypass_t *next, ngx_mtd_value_t *pttl)
{
    uint64_t  now, left;

    now = ngx_time();

    if (pttl->type != NGX_MTD_VALUE_INTEGER || pttl->integer == -1) {
        return "it has no TTL";
    }

    left = (pttl->integer > 0) ? (pttl->integer - 1) / 1000 + 1 : 0;
    left = ngx_min(left, NGX_MTD_BYPASS_MAX);

    next->until = ngx_min(next->word.until, now + left);

    left = (next->until > now) ? next->until - now : 0;
    next->ends = ngx_current_msec + left * 1000;

    return NULL;
}


static void
ngx_mtd_bypass_store(ngx_mtd_bypass_t *bypass)
{
    const char      *what;
    ngx_mtd_zone_t  *zone;

    zone = bypass->zone;

    ngx_shmtx_lock(&zone->shpool->mutex);

    if (zone->bypass->generation != bypass->next.generation) {
        ngx_shmtx_unlock(&zone->shpool->mutex);
        ngx_mtd_bypass_ask(bypass);
        return;
    }

    /* another server may have taken the place of the one that was asked */

    what = (bypass->why == NULL && ngx_mtd_zone_serves(zone))
           ? ngx_mtd_bypass_store_locked(zone, &bypass->next) : NULL;

    ngx_shmtx_unlock(&zone->shpool->mutex);

    if (what) {
        ngx_mtd_bypass_log(bypass, what, &bypass->next);
    }

    ngx_mtd_bypass_look(bypass);
}


/* the worker that changes it has a word for the log, next is what to tell */

static const char *
ngx_mtd_bypass_store_locked(ngx_mtd_zone_t *zone,
    ngx_mtd_zone_bypass_t *next)
{
    ngx_uint_t              held;
    ngx_mtd_zone_bypass_t  *b;

    b = zone->bypass;
    held = ngx_mtd_bypass_holds(zone);

    if (next->until > (uint64_t) ngx_time()) {

        b->server = next->server;
        b->unheard = 0;

        if (held
            && ngx_memcmp(&b->word, &next->word,
                          sizeof(ngx_mtd_bypass_word_t))
               == 0)
        {
            return NULL;
        }

        b->word = next->word;
        __atomic_store_n(&b->ends, next->ends, __ATOMIC_RELAXED);
        __atomic_store_n(&b->until, next->until, __ATOMIC_RELEASE);

        return held ? "is changed" : "begins";
    }

    if (!held) {
        return NULL;
    }

    if (next->word.until == 0 && b->server != next->server) {

        if (b->unheard == next->server) {
            return NULL;
        }

        b->unheard = next->server;
        *next = *b;

        return "goes on, though this server knows of none,";
    }

    *next = *b;
    __atomic_store_n(&b->until, 0, __ATOMIC_RELAXED);

    return "was ended,";
}


/* told once, by the worker that is the first to see it */

static void
ngx_mtd_bypass_tick_handler(ngx_event_t *ev)
{
    ngx_uint_t              over;
    ngx_mtd_zone_t         *zone;
    ngx_mtd_bypass_t       *bypass;
    ngx_mtd_zone_bypass_t   b;

    bypass = ev->data;
    zone = bypass->zone;

    if (zone->bypass->until && !ngx_mtd_bypass_holds(zone)) {

        ngx_shmtx_lock(&zone->shpool->mutex);

        b = *zone->bypass;
        over = (b.until && !ngx_mtd_bypass_holds(zone));

        if (over) {
            __atomic_store_n(&zone->bypass->until, 0, __ATOMIC_RELAXED);
        }

        ngx_shmtx_unlock(&zone->shpool->mutex);

        if (over) {
            ngx_mtd_bypass_log(bypass, "is over,", &b);
        }
    }

    ngx_mtd_bypass_look(bypass);

    if (bypass->due) {
        ngx_mtd_bypass_ask(bypass);
    }

    ngx_add_timer(ev, NGX_MTD_BYPASS_TICK);
}


static void
ngx_mtd_bypass_look(ngx_mtd_bypass_t *bypass)
{
    ngx_uint_t  held;

    held = bypass->held;
    bypass->held = ngx_mtd_bypass_holds(bypass->zone);

    if (held && !bypass->held) {
        bypass->on_over(bypass->data);
    }
}


static void
ngx_mtd_bypass_log(ngx_mtd_bypass_t *bypass, const char *what,
    ngx_mtd_zone_bypass_t *b)
{
    ngx_tm_t    tm;
    ngx_uint_t  level;

    ngx_gmtime(b->until, &tm);

    level = ngx_mtd_bypass_holds(bypass->zone) ? NGX_LOG_WARN
                                               : NGX_LOG_NOTICE;

    ngx_log_error(level, bypass->log, 0,
                  "mtd bypass by redis %V %s "
                  "until %4d-%02d-%02dT%02d:%02d:%02dZ, by %*s: %*s",
                  bypass->redis, what,
                  tm.ngx_tm_year, tm.ngx_tm_mon, tm.ngx_tm_mday,
                  tm.ngx_tm_hour, tm.ngx_tm_min, tm.ngx_tm_sec,
                  b->word.by.len, b->word.by.data, b->word.why.len,
                  b->word.why.data);
}
