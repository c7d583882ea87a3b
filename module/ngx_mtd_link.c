
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include "ngx_mtd_link.h"


#define NGX_MTD_LINK_LINGER   1000          /* ms */
#define NGX_MTD_LINK_JOIN     20


static void ngx_mtd_links_trust(ngx_mtd_links_t *links);
static void ngx_mtd_link_hello(void *data);
static void ngx_mtd_link_id(void *data, ngx_int_t rc, ngx_mtd_reply_t *reply);
static void ngx_mtd_link_tracking(void *data, ngx_int_t rc,
    ngx_mtd_reply_t *reply);
static void ngx_mtd_link_subscribed(void *data, ngx_int_t rc,
    ngx_mtd_reply_t *reply);
static void ngx_mtd_link_ready(void *data);
static void ngx_mtd_link_down(void *data);
static void ngx_mtd_link_shutdown(void *data);
static void ngx_mtd_link_message(void *data, ngx_mtd_reply_t *reply);
static ngx_uint_t ngx_mtd_link_says(ngx_mtd_reply_t *reply, const char *word);
static void ngx_mtd_link_key(void *data, u_char *key, size_t len);
static void ngx_mtd_link_ping(ngx_mtd_link_t *link);
static void ngx_mtd_link_pong(ngx_mtd_link_t *link);
static ngx_uint_t ngx_mtd_link_lingers(ngx_mtd_link_t *link);
static void ngx_mtd_link_probe_handler(ngx_event_t *ev);


static ngx_str_t  ngx_mtd_link_channel = ngx_string("__redis__:invalidate");


void
ngx_mtd_links_init(ngx_mtd_links_t *links, ngx_mtd_zone_t *zone)
{
    links->zone = zone;
    links->since = 0;

    ngx_queue_init(&links->links);

    zone->trusted_until = 0;
}


static void
ngx_mtd_links_trust(ngx_mtd_links_t *links)
{
    ngx_msec_t       confirmed;
    ngx_uint_t       trusted;
    ngx_queue_t     *q;
    ngx_mtd_link_t  *link;
    ngx_mtd_zone_t  *zone;

    zone = links->zone;
    trusted = (ngx_current_msec < zone->trusted_until);

    zone->trusted_until = 0;

    links->since = 0;
    confirmed = ngx_current_msec;

    for (q = ngx_queue_head(&links->links);
         q != ngx_queue_sentinel(&links->links);
         q = ngx_queue_next(q))
    {
        link = ngx_queue_data(q, ngx_mtd_link_t, queue);

        if (link->confirmed == 0) {
            return;
        }

        links->since = ngx_max(links->since, link->since);
        confirmed = ngx_min(confirmed, link->confirmed);
    }

    if (links->since == 0 || confirmed + NGX_MTD_LINK_LEASE
                             <= ngx_current_msec)
    {
        return;
    }

    if (!ngx_mtd_zone_cover(zone, links->since, confirmed,
                            &zone->trusted_since))
    {
        links->on_parted(links->data);
        return;
    }

    zone->trusted_until = confirmed + NGX_MTD_LINK_LEASE;

    if (!trusted) {

        /* nobody has told of what changed before */

        links->on_changed(links->data, NGX_MTD_CHANGED_ALL, NULL);
    }
}


void
ngx_mtd_link_init(ngx_mtd_link_t *link, ngx_mtd_redis_conf_t *conf,
    ngx_mtd_links_t *links, ngx_log_t *log)
{
    ngx_mtd_redis_t  *redis;

    redis = &link->redis;

    redis->conf = conf;
    redis->role = "push";
    redis->data = link;
    redis->on_hello = ngx_mtd_link_hello;
    redis->on_ready = ngx_mtd_link_ready;
    redis->on_down = ngx_mtd_link_down;
    redis->on_shutdown = ngx_mtd_link_shutdown;
    redis->on_message = ngx_mtd_link_message;
    redis->on_key = ngx_mtd_link_key;

    ngx_mtd_redis_init(redis, log);

    link->probe.handler = ngx_mtd_link_probe_handler;
    link->probe.data = link;
    link->probe.log = &redis->log;
    link->probe.cancelable = 1;

    link->links = links;
    ngx_queue_insert_tail(&links->links, &link->queue);

    ngx_mtd_link_down(link);
}


void
ngx_mtd_link_destroy(ngx_mtd_link_t *link)
{
    ngx_mtd_link_stop(link);

    ngx_queue_remove(&link->queue);
    ngx_mtd_redis_destroy(&link->redis);

    ngx_mtd_links_trust(link->links);
}


void
ngx_mtd_link_start(ngx_mtd_link_t *link, ngx_mtd_redis_t *data)
{
    ngx_mtd_link_down(link);

    link->server = data->server;

    ngx_mtd_redis_start(&link->redis, data->peer.sockaddr,
                        data->peer.socklen);
}


void
ngx_mtd_link_stop(ngx_mtd_link_t *link)
{
    ngx_mtd_link_down(link);
    ngx_mtd_redis_stop(&link->redis);
}


static void
ngx_mtd_link_hello(void *data)
{
    ngx_mtd_link_t *link = data;

    ngx_str_t  argv[2];

    ngx_str_set(&argv[0], "CLIENT");
    ngx_str_set(&argv[1], "ID");

    if (ngx_mtd_redis_command(&link->redis, argv, 2, ngx_mtd_link_id, link)
        != NGX_OK)
    {
        ngx_mtd_redis_fail(&link->redis, "there is no memory", NULL);
    }
}


static void
ngx_mtd_link_id(void *data, ngx_int_t rc, ngx_mtd_reply_t *reply)
{
    ngx_mtd_link_t *link = data;

    u_char      id[NGX_INT64_LEN], buf[3][MTD_PREFIX_MAX + 8];
    ngx_str_t   argv[12], *prefix;
    ngx_uint_t  i;

    static ngx_str_t  tracking[] = {
        ngx_string("CLIENT"), ngx_string("TRACKING"), ngx_string("ON"),
        ngx_string("REDIRECT"), ngx_null_string, ngx_string("BCAST"),
        ngx_string("PREFIX"), ngx_null_string,
        ngx_string("PREFIX"), ngx_null_string,
        ngx_string("PREFIX"), ngx_null_string
    };

    static const char  *names[] = { "device:", "alias:", "bypass" };

    if (rc != NGX_OK) {
        return;
    }

    if (reply->array || reply->value[0].type != NGX_MTD_VALUE_INTEGER) {
        ngx_mtd_redis_fail(&link->redis, "it does not tell its CLIENT ID",
                           ngx_mtd_resp_error(reply));
        return;
    }

    ngx_memcpy(argv, tracking, sizeof(tracking));

    argv[4].data = id;
    argv[4].len = ngx_sprintf(id, "%L", reply->value[0].integer) - id;

    for (i = 0; i < 3; i++) {
        prefix = &argv[7 + 2 * i];
        prefix->data = buf[i];
        prefix->len = ngx_sprintf(buf[i], "%*s%s",
                                  link->links->names->prefix.len,
                                  link->links->names->prefix.data, names[i])
                      - buf[i];
    }

    if (ngx_mtd_redis_command(&link->redis, argv, 12, ngx_mtd_link_tracking,
                              link)
        != NGX_OK)
    {
        ngx_mtd_redis_fail(&link->redis, "there is no memory", NULL);
    }
}


static void
ngx_mtd_link_tracking(void *data, ngx_int_t rc, ngx_mtd_reply_t *reply)
{
    ngx_mtd_link_t *link = data;

    ngx_str_t  argv[2];

    if (rc != NGX_OK) {
        return;
    }

    if (!ngx_mtd_resp_ok(reply)) {
        ngx_mtd_redis_fail(&link->redis, "it refused CLIENT TRACKING",
                           ngx_mtd_resp_error(reply));
        return;
    }

    ngx_str_set(&argv[0], "SUBSCRIBE");
    argv[1] = ngx_mtd_link_channel;

    if (ngx_mtd_redis_command(&link->redis, argv, 2, ngx_mtd_link_subscribed,
                              link)
        != NGX_OK)
    {
        ngx_mtd_redis_fail(&link->redis, "there is no memory", NULL);
    }
}


/* redis drops what changes between TRACKING and SUBSCRIBE without a word */

static void
ngx_mtd_link_subscribed(void *data, ngx_int_t rc, ngx_mtd_reply_t *reply)
{
    ngx_mtd_link_t *link = data;

    if (rc != NGX_OK) {
        return;
    }

    if (!ngx_mtd_link_says(reply, "subscribe")) {
        ngx_mtd_redis_fail(&link->redis, "it refused SUBSCRIBE",
                           ngx_mtd_resp_error(reply));
        return;
    }

    if (link->redis.server != link->server) {
        ngx_mtd_redis_fail(&link->redis, "it is another server than that of "
                           "the lookups", NULL);
        link->on_moved(link->data);
        return;
    }

    /* what was read in this very millisecond may be older */

    ngx_time_update();
    link->since = ngx_current_msec + 1;

    ngx_mtd_redis_ready(&link->redis);
}


static void
ngx_mtd_link_ready(void *data)
{
    ngx_mtd_link_t *link = data;

    ngx_mtd_link_ping(link);
}


static void
ngx_mtd_link_down(void *data)
{
    ngx_mtd_link_t *link = data;

    link->links->zone->trusted_until = 0;
    link->confirmed = 0;
    link->pinged = 0;
    link->again = 0;

    if (link->probe.timer_set) {
        ngx_del_timer(&link->probe);
    }
}


/*
 * The new workers' links take over where this one ends: until one of them
 * has, the worker waits, and the last answered PING proves that there was no
 * gap.
 */

static void
ngx_mtd_link_shutdown(void *data)
{
    ngx_mtd_link_t *link = data;

    ngx_event_t  *wev;

    if (link->redis.state != NGX_MTD_REDIS_READY || link->leaving) {
        return;
    }

    if (link->probe.timer_set) {
        ngx_del_timer(&link->probe);
    }

    /* two in flight are all that can be told apart */

    if (link->again == 0) {
        ngx_mtd_link_ping(link);
    }

    if (link->redis.connection == NULL) {
        return;
    }

    link->leaving = ngx_current_msec;
    link->probe.cancelable = 0;
    ngx_add_timer(&link->probe, NGX_MTD_LINK_PROBE);

    /* this is no event: what is posted now would wait for the next one */

    wev = link->redis.connection->write;
    wev->handler(wev);
}


static void
ngx_mtd_link_message(void *data, ngx_mtd_reply_t *reply)
{
    ngx_mtd_link_t *link = data;

    ngx_mtd_value_t  *value;

    value = reply->value;

    if (reply->array && reply->n >= 1
        && value[0].type == NGX_MTD_VALUE_STRING
        && value[0].text.len == 4
        && ngx_strncmp(value[0].text.data, "pong", 4) == 0)
    {
        ngx_mtd_link_pong(link);
        return;
    }

    if (!ngx_mtd_link_says(reply, "message")) {
        ngx_mtd_redis_fail(&link->redis, "it sent what was not asked", NULL);
        return;
    }

    switch (value[2].type) {

    case NGX_MTD_VALUE_ARRAY:
        /* its keys have been dropped as they came */
        break;

    case NGX_MTD_VALUE_NIL:
        ngx_log_error(NGX_LOG_NOTICE, &link->redis.log, 0,
                      "redis %V was flushed", &link->redis.conf->name);
        ngx_mtd_zone_flush(link->links->zone);
        link->links->on_changed(link->links->data, NGX_MTD_CHANGED_ALL,
                                NULL);
        break;

    case NGX_MTD_VALUE_STRING:
        /* anybody who may publish there can send this */
        ngx_mtd_link_key(link, value[2].text.data, value[2].text.len);
        break;

    default:
        ngx_mtd_redis_fail(&link->redis, "it sent what was not asked", NULL);
    }
}


/* word, of the channel that is subscribed to */

static ngx_uint_t
ngx_mtd_link_says(ngx_mtd_reply_t *reply, const char *word)
{
    size_t            len;
    ngx_mtd_value_t  *value;

    len = ngx_strlen(word);
    value = reply->value;

    return reply->array && reply->n == 3
           && value[0].type == NGX_MTD_VALUE_STRING
           && value[0].text.len == len
           && ngx_memcmp(value[0].text.data, word, len) == 0
           && value[1].type == NGX_MTD_VALUE_STRING
           && value[1].text.len == ngx_mtd_link_channel.len
           && ngx_memcmp(value[1].text.data, ngx_mtd_link_channel.data,
                         ngx_mtd_link_channel.len)
              == 0;
}


static void
ngx_mtd_link_key(void *data, u_char *key, size_t len)
{
    ngx_mtd_link_t *link = data;

    mtd_hash_t          device;
    ngx_mtd_links_t    *links;
    const mtd_str_t    *prefix;
    ngx_mtd_changed_e   changed;

    links = link->links;
    prefix = &links->names->prefix;

    if (len <= prefix->len || ngx_memcmp(key, prefix->data, prefix->len) != 0)
    {
        return;
    }

    changed = ngx_mtd_zone_invalidate(links->zone, key + prefix->len,
                                      len - prefix->len, &device);

    if (changed != NGX_MTD_CHANGED_NOTHING) {
        links->on_changed(links->data, changed, &device);
    }
}


static void
ngx_mtd_link_ping(ngx_mtd_link_t *link)
{
    ngx_str_t  argv[1];

    ngx_str_set(&argv[0], "PING");

    if (ngx_mtd_redis_command(&link->redis, argv, 1, NULL, NULL) != NGX_OK) {
        ngx_mtd_redis_fail(&link->redis, "there is no memory", NULL);
        return;
    }

    if (link->pinged == 0) {
        link->pinged = ngx_current_msec;
        link->clock = ngx_mtd_zone_clock();

    } else {
        link->again = ngx_current_msec;
        link->clock_again = ngx_mtd_zone_clock();
    }

    if (!link->probe.timer_set) {
        ngx_add_timer(&link->probe, NGX_MTD_LINK_PROBE);
    }
}


static void
ngx_mtd_link_pong(ngx_mtd_link_t *link)
{
    ngx_msec_t        pinged;
    ngx_uint_t        epoch;
    ngx_mtd_links_t  *links;

    pinged = link->pinged;

    if (pinged == 0) {
        return;
    }

    links = link->links;

    ngx_mtd_zone_count_time(links->zone, NGX_MTD_TIME_PUSH,
                            ngx_mtd_zone_clock() - link->clock);

    link->pinged = link->again;
    link->clock = link->clock_again;
    link->again = 0;
    link->confirmed = pinged;

    epoch = link->redis.epoch;

    ngx_mtd_links_trust(links);

    if (link->redis.connection == NULL || link->redis.epoch != epoch) {
        return;
    }

    if (link->pinged == 0 && !link->probe.cancelable) {
        ngx_del_timer(&link->probe);
        link->probe.cancelable = !ngx_mtd_link_lingers(link);
        ngx_add_timer(&link->probe, link->probe.cancelable
                                    ? NGX_MTD_LINK_PROBE : NGX_MTD_LINK_JOIN);

    } else if (links->zone->trusted_since == links->since
               && pinged < links->since + NGX_MTD_LINK_LEASE
               && link->pinged == 0)
    {
        /* old workers are about to pass on what they know */

        ngx_del_timer(&link->probe);
        ngx_add_timer(&link->probe, NGX_MTD_LINK_JOIN);
    }
}


/* new workers may take a while to start, and there must be no gap */

static ngx_uint_t
ngx_mtd_link_lingers(ngx_mtd_link_t *link)
{
    return link->leaving
           && ngx_current_msec - link->leaving < NGX_MTD_LINK_LINGER
           && ngx_mtd_zone_awaits(link->links->zone);
}


static void
ngx_mtd_link_probe_handler(ngx_event_t *ev)
{
    ngx_mtd_link_t  *link;

    link = ev->data;

    ev->cancelable = !ngx_mtd_link_lingers(link);

    if (link->pinged == 0) {
        ngx_mtd_link_ping(link);
        return;
    }

    if (ngx_current_msec - link->pinged >= 2 * NGX_MTD_LINK_PROBE) {
        ngx_mtd_redis_fail(&link->redis, "it did not answer a PING", NULL);
        return;
    }

    ngx_add_timer(ev, NGX_MTD_LINK_PROBE);
}
