
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include "ngx_mtd_preload.h"


#define NGX_MTD_PRELOAD_COUNT   "100"       /* keys of one SCAN, about */
#define NGX_MTD_PRELOAD_PACE    2           /* ms from one to the next */
#define NGX_MTD_PRELOAD_RETRY   1000        /* ms */
#define NGX_MTD_PRELOAD_EVICTS  100         /* of them the zone may be full */

/* links of old workers are joined by then, and there is nothing to do */

#define NGX_MTD_PRELOAD_DELAY   600         /* ms */


static ngx_mtd_redis_t *ngx_mtd_preload_choose(void *data,
    const u_char *name, size_t len);
static ngx_mtd_redis_t *ngx_mtd_preload_redirect(void *data,
    ngx_mtd_redis_t *from, ngx_str_t *error, ngx_uint_t *asking);
static void ngx_mtd_preload_handler(ngx_event_t *ev);
static void ngx_mtd_preload_connect(ngx_mtd_preload_t *preload);
static ngx_uint_t ngx_mtd_preload_needed(ngx_mtd_preload_t *preload);
static void ngx_mtd_preload_hello(void *data);
static void ngx_mtd_preload_pong(void *data, ngx_int_t rc,
    ngx_mtd_reply_t *reply);
static void ngx_mtd_preload_ready(void *data);
static void ngx_mtd_preload_down(void *data);
static void ngx_mtd_preload_shutdown(void *data);
static void ngx_mtd_preload_scan(ngx_mtd_preload_t *preload);
static void ngx_mtd_preload_key(void *data, u_char *key, size_t len);
static void ngx_mtd_preload_scanned(void *data, ngx_int_t rc,
    ngx_mtd_reply_t *reply);
static void ngx_mtd_preload_last(void *data, ngx_int_t rc,
    ngx_mtd_reply_t *reply);
static ngx_uint_t ngx_mtd_preload_full(ngx_mtd_preload_t *preload);
static void ngx_mtd_preload_end(ngx_mtd_preload_t *preload, ngx_uint_t state);


ngx_int_t
ngx_mtd_preload_init_process(ngx_mtd_preload_t *preload,
    ngx_mtd_redis_conf_t *conf, ngx_cycle_t *cycle)
{
    size_t            i;
    u_char           *p;
    ngx_mtd_redis_t  *redis;
    const mtd_str_t  *prefix;

    if (!preload->on || ngx_worker != 0) {
        return NGX_OK;
    }

    prefix = &preload->lookups.names->prefix;

    p = ngx_pnalloc(cycle->pool, 2 * prefix->len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    /* a pattern to redis, but for the last character a text to us */

    preload->pattern.data = p;

    for (i = 0; i < prefix->len; i++) {
        *p++ = '\\';
        *p++ = prefix->data[i];
    }

    *p++ = '*';
    preload->pattern.len = p - preload->pattern.data;

    redis = &preload->redis;

    ngx_mtd_node_init(&preload->copy, conf, NULL, cycle->log);

    redis->conf = &preload->copy.conf;
    redis->role = "preload";
    redis->data = preload;
    redis->on_hello = ngx_mtd_preload_hello;
    redis->on_ready = ngx_mtd_preload_ready;
    redis->on_down = ngx_mtd_preload_down;
    redis->on_shutdown = ngx_mtd_preload_shutdown;
    redis->on_key = ngx_mtd_preload_key;

    ngx_mtd_redis_init(redis, cycle->log);

    preload->lookups.choose = ngx_mtd_preload_choose;
    preload->lookups.redirect = ngx_mtd_preload_redirect;
    preload->lookups.late = NULL;
    preload->lookups.data = preload;

    preload->timer.handler = ngx_mtd_preload_handler;
    preload->timer.data = preload;
    preload->timer.log = &redis->log;
    preload->timer.cancelable = 1;

    return ngx_mtd_lookup_init(&preload->lookups, cycle->pool);
}


static ngx_mtd_redis_t *
ngx_mtd_preload_choose(void *data, const u_char *name, size_t len)
{
    ngx_mtd_preload_t *preload = data;

    return &preload->redis;
}


/* what is on its way to another server is left to those who need it */

static ngx_mtd_redis_t *
ngx_mtd_preload_redirect(void *data, ngx_mtd_redis_t *from,
    ngx_str_t *error, ngx_uint_t *asking)
{
    return NULL;
}


void
ngx_mtd_preload_exit_process(ngx_mtd_preload_t *preload)
{
    if (preload->pattern.len == 0) {
        return;
    }

    if (preload->timer.timer_set) {
        ngx_del_timer(&preload->timer);
    }

    ngx_mtd_redis_destroy(&preload->redis);
    ngx_mtd_lookup_destroy(&preload->lookups);
}


const char *
ngx_mtd_preload_name(ngx_uint_t state)
{
    static const char  *names[] = {
        "waiting", "running", "done", "full", "refused"
    };

    return names[state];
}


void
ngx_mtd_preload_again(ngx_mtd_preload_t *preload)
{
    if (preload->pattern.len == 0 || ngx_exiting) {
        return;
    }

    /* a pass that is under way is of no use any more */

    preload->at = 0;
    preload->server = 0;

    ngx_mtd_redis_stop(&preload->redis);

    if (preload->timer.timer_set) {
        ngx_del_timer(&preload->timer);
    }

    ngx_add_timer(&preload->timer, NGX_MTD_PRELOAD_DELAY);
}


static void
ngx_mtd_preload_handler(ngx_event_t *ev)
{
    ngx_mtd_preload_t  *preload;

    preload = ev->data;

    if (preload->redis.state == NGX_MTD_REDIS_READY) {
        ngx_mtd_preload_scan(preload);
        return;
    }

    if (preload->redis.state == NGX_MTD_REDIS_DOWN
        && ngx_mtd_preload_needed(preload))
    {
        ngx_mtd_preload_connect(preload);
    }
}


static void
ngx_mtd_preload_connect(ngx_mtd_preload_t *preload)
{
    ngx_mtd_node_t  *node;

    node = preload->node(preload->data, preload->at);

    if (node == NULL || node->data.state != NGX_MTD_REDIS_READY) {

        preload->at = 0;
        preload->server = 0;
        preload->lookups.zone->tasks->preload = NGX_MTD_PRELOAD_WAITING;

        ngx_mtd_redis_stop(&preload->redis);

        /* the links may be up all the while, and then nobody calls */

        ngx_add_timer(&preload->timer, NGX_MTD_PRELOAD_RETRY);
        return;
    }

    preload->expected = node->data.server;

    ngx_mtd_node_beside(&preload->copy, node);
    ngx_mtd_redis_start(&preload->redis, NULL, 0);
}


/* while nobody tells of changes there is no use, and there will be a call */

static ngx_uint_t
ngx_mtd_preload_needed(ngx_mtd_preload_t *preload)
{
    ngx_msec_t             from;
    ngx_mtd_zone_t        *zone;
    ngx_mtd_zone_tasks_t  *tasks;

    zone = preload->lookups.zone;
    tasks = zone->tasks;

    if (ngx_exiting || ngx_current_msec >= zone->trusted_until) {
        return 0;
    }

    from = tasks->preload_from;

    return from == 0 || from < zone->trusted_since
           || from < *zone->valid_from;
}


static void
ngx_mtd_preload_hello(void *data)
{
    ngx_mtd_preload_t *preload = data;

    ngx_str_t  argv[1];

    ngx_str_set(&argv[0], "PING");

    if (ngx_mtd_redis_command(&preload->redis, argv, 1, ngx_mtd_preload_pong,
                              preload)
        != NGX_OK)
    {
        ngx_mtd_redis_fail(&preload->redis, "there is no memory", NULL);
    }
}


/* what is not of the server that the zone is of would be voided */

static void
ngx_mtd_preload_pong(void *data, ngx_int_t rc, ngx_mtd_reply_t *reply)
{
    ngx_mtd_preload_t *preload = data;

    if (rc != NGX_OK) {
        return;
    }

    if (reply->array || reply->value[0].type != NGX_MTD_VALUE_STATUS) {
        ngx_mtd_redis_fail(&preload->redis, "it refused PING",
                           ngx_mtd_resp_error(reply));
        return;
    }

    if (preload->redis.server != preload->expected) {
        ngx_mtd_redis_fail(&preload->redis, "it is another server than that "
                           "of the lookups", NULL);
        return;
    }

    ngx_mtd_redis_ready(&preload->redis);
}


static void
ngx_mtd_preload_ready(void *data)
{
    ngx_mtd_preload_t *preload = data;

    ngx_mtd_zone_t        *zone;
    ngx_mtd_zone_tasks_t  *tasks;

    zone = preload->lookups.zone;
    tasks = zone->tasks;

    if (preload->server != preload->redis.server) {
        preload->server = preload->redis.server;
        preload->cursor.text[0] = '0';
        preload->cursor.len = 1;
        preload->asking = preload->cursor;

        if (preload->at == 0) {
            preload->from = ngx_current_msec;
            preload->evicted = zone->counters[NGX_MTD_COUNT_EVICTED];

            tasks->preload_time = 0;
            tasks->preload_keys = 0;
            tasks->preload_asked = 0;
        }

    } else {

        /* what was asked for may not have been answered */

        preload->cursor = preload->asking;
    }

    tasks->preload = NGX_MTD_PRELOAD_RUNNING;

    if (preload->timer.timer_set) {
        ngx_del_timer(&preload->timer);
    }

    ngx_mtd_lookup_resume(&preload->lookups);

    ngx_mtd_preload_scan(preload);
}


static void
ngx_mtd_preload_down(void *data)
{
    ngx_mtd_preload_t *preload = data;

    preload->lookups.zone->tasks->preload = NGX_MTD_PRELOAD_WAITING;

    ngx_mtd_lookup_resume(&preload->lookups);

    /* not before the link is there, too: no attempts of its own */

    preload->redis.stopped = 1;

    if (preload->timer.timer_set) {
        ngx_del_timer(&preload->timer);
    }

    ngx_add_timer(&preload->timer, NGX_MTD_PRELOAD_RETRY);
}


/* the new worker begins anew, what is known is not asked for again */

static void
ngx_mtd_preload_shutdown(void *data)
{
    ngx_mtd_preload_t *preload = data;

    if (preload->timer.timer_set) {
        ngx_del_timer(&preload->timer);
    }

    ngx_mtd_redis_stop(&preload->redis);
}


static void
ngx_mtd_preload_scan(ngx_mtd_preload_t *preload)
{
    ngx_int_t  rc;
    ngx_str_t  argv[6];

    if (preload->cursor.len == 0) {

        /* answered after all that was asked for */

        ngx_str_set(&argv[0], "PING");

        rc = ngx_mtd_redis_command(&preload->redis, argv, 1,
                                   ngx_mtd_preload_last, preload);

    } else {
        ngx_str_set(&argv[0], "SCAN");
        argv[1].data = preload->cursor.text;
        argv[1].len = preload->cursor.len;
        ngx_str_set(&argv[2], "MATCH");
        argv[3] = preload->pattern;
        ngx_str_set(&argv[4], "COUNT");
        ngx_str_set(&argv[5], NGX_MTD_PRELOAD_COUNT);

        rc = ngx_mtd_redis_command(&preload->redis, argv, 6,
                                   ngx_mtd_preload_scanned, preload);
    }

    if (rc != NGX_OK) {
        ngx_mtd_redis_fail(&preload->redis, "there is no memory", NULL);
    }
}


/* of the answer to SCAN, as it arrives; what cannot be asked for is left */

static void
ngx_mtd_preload_key(void *data, u_char *key, size_t len)
{
    ngx_mtd_preload_t *preload = data;

    ngx_mtd_zone_tasks_t  *tasks;

    tasks = preload->lookups.zone->tasks;

    switch (ngx_mtd_lookup_fetch(&preload->lookups, key, len)) {

    case NGX_OK:
        tasks->preload_asked++;
        tasks->preload_keys++;
        break;

    case NGX_DONE:
        tasks->preload_keys++;
        break;

    default:
        break;
    }
}


static void
ngx_mtd_preload_scanned(void *data, ngx_int_t rc, ngx_mtd_reply_t *reply)
{
    ngx_mtd_preload_t *preload = data;

    ngx_str_t        *next;
    ngx_mtd_value_t  *value;

    if (rc == NGX_DECLINED) {
        ngx_mtd_preload_end(preload, NGX_MTD_PRELOAD_REFUSED);
        return;
    }

    if (rc != NGX_OK) {
        return;
    }

    value = reply->value;

    if (!reply->array && value[0].type == NGX_MTD_VALUE_ERROR) {
        ngx_log_error(NGX_LOG_ERR, &preload->redis.log, 0,
                      "redis %V refused SCAN: %V; there is no preload",
                      &preload->redis.conf->name, &value[0].text);
        ngx_mtd_preload_end(preload, NGX_MTD_PRELOAD_REFUSED);
        return;
    }

    next = &value[0].text;

    if (!reply->array || reply->n != 2
        || value[0].type != NGX_MTD_VALUE_STRING
        || value[1].type != NGX_MTD_VALUE_ARRAY
        || next->len == 0 || next->len > sizeof(preload->cursor.text))
    {
        ngx_mtd_redis_fail(&preload->redis, "it sent what was not asked",
                           NULL);
        return;
    }

    if (ngx_mtd_preload_full(preload)) {
        ngx_mtd_preload_end(preload, NGX_MTD_PRELOAD_FULL);
        return;
    }

    preload->lookups.zone->tasks->preload_time = ngx_current_msec
                                                 - preload->from;
    preload->asking = preload->cursor;
    preload->cursor.len = next->len;
    ngx_memcpy(preload->cursor.text, next->data, next->len);

    if (next->len == 1 && next->data[0] == '0') {
        preload->cursor.len = 0;
    }

    ngx_add_timer(&preload->timer, NGX_MTD_PRELOAD_PACE);
}


static void
ngx_mtd_preload_last(void *data, ngx_int_t rc, ngx_mtd_reply_t *reply)
{
    ngx_mtd_preload_t *preload = data;

    if (rc != NGX_OK) {
        return;
    }

    if (preload->node(preload->data, ++preload->at)) {
        ngx_mtd_preload_connect(preload);
        return;
    }

    ngx_mtd_preload_end(preload, NGX_MTD_PRELOAD_DONE);
}


/* it must not drive out what requests ask for */

static ngx_uint_t
ngx_mtd_preload_full(ngx_mtd_preload_t *preload)
{
    ngx_mtd_zone_t         *zone;
    ngx_mtd_zone_totals_t   totals;

    zone = preload->lookups.zone;

    if (zone->counters[NGX_MTD_COUNT_EVICTED] - preload->evicted
        < NGX_MTD_PRELOAD_EVICTS)
    {
        return 0;
    }

    ngx_mtd_zone_totals(zone, &totals);

    return totals.devices > totals.device_capacity / 5 * 4
           || totals.aliases > totals.alias_capacity / 5 * 4;
}


static void
ngx_mtd_preload_end(ngx_mtd_preload_t *preload, ngx_uint_t state)
{
    ngx_uint_t             level;
    ngx_mtd_zone_tasks_t  *tasks;

    tasks = preload->lookups.zone->tasks;
    level = (state == NGX_MTD_PRELOAD_FULL) ? NGX_LOG_WARN : NGX_LOG_NOTICE;

    tasks->preload = state;
    tasks->preload_from = preload->from;
    tasks->preload_time = ngx_current_msec - preload->from;

    ngx_log_error(level, &preload->redis.log, 0,
                  "preload of redis %V is %s: %uA keys, %uA asked for, "
                  "%uA ms", &preload->redis.conf->name,
                  ngx_mtd_preload_name(state), tasks->preload_keys,
                  tasks->preload_asked, tasks->preload_time);

    preload->at = 0;
    preload->server = 0;

    ngx_mtd_redis_stop(&preload->redis);
}
