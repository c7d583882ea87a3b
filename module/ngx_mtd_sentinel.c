
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include "ngx_mtd_sentinel.h"


#define NGX_MTD_SENTINEL_PROBE    500       /* ms */
#define NGX_MTD_SENTINEL_AGAIN    5000
#define NGX_MTD_SENTINEL_CHECK    1000      /* at most so often */
#define NGX_MTD_SENTINEL_AVOID    5000


/* the answers that are awaited, in this order */

#define NGX_MTD_SENTINEL_ADDRESS  0
#define NGX_MTD_SENTINEL_MASTER   1
#define NGX_MTD_SENTINEL_REPLICAS 2
#define NGX_MTD_SENTINEL_DONE     3


typedef enum {
    NGX_MTD_SENTINEL_IP = 0,
    NGX_MTD_SENTINEL_PORT,
    NGX_MTD_SENTINEL_FLAGS,
    NGX_MTD_SENTINEL_LINK,
    NGX_MTD_SENTINEL_EPOCH,
    NGX_MTD_SENTINEL_OTHER
} ngx_mtd_sentinel_field_e;


static void ngx_mtd_sentinel_init(ngx_mtd_sentinel_t *sentinel,
    ngx_mtd_sentinels_t *sentinels);
static void ngx_mtd_sentinels_find(void *data);
static void ngx_mtd_sentinels_ask(ngx_mtd_sentinels_t *sentinels);
static void ngx_mtd_sentinels_stop(ngx_mtd_sentinels_t *sentinels);
static void ngx_mtd_sentinels_turn_handler(ngx_event_t *ev);
static void ngx_mtd_sentinels_again_handler(ngx_event_t *ev);
static void ngx_mtd_sentinels_answer(ngx_mtd_sentinels_t *sentinels,
    ngx_mtd_sentinel_t *sentinel);
static void ngx_mtd_sentinels_switch(ngx_mtd_sentinels_t *sentinels,
    ngx_mtd_sentinel_t *sentinel, ngx_mtd_place_t *place);
static void ngx_mtd_sentinel_ask_hello(void *data);
static void ngx_mtd_sentinel_ask_down(void *data);
static void ngx_mtd_sentinel_watch_hello(void *data);
static void ngx_mtd_sentinel_watch_ready(void *data);
static void ngx_mtd_sentinel_watch_down(void *data);
static void ngx_mtd_sentinel_shutdown(void *data);
static ngx_int_t ngx_mtd_sentinel_ask(ngx_mtd_sentinel_t *sentinel);
static void ngx_mtd_sentinel_reply(void *data, ngx_int_t rc,
    ngx_mtd_reply_t *reply);
static void ngx_mtd_sentinel_subscribed(void *data, ngx_int_t rc,
    ngx_mtd_reply_t *reply);
static void ngx_mtd_sentinel_element(void *data, ngx_uint_t depth,
    ngx_uint_t index, ngx_mtd_value_t *value);
static void ngx_mtd_sentinel_address(ngx_mtd_sentinel_t *sentinel,
    ngx_uint_t index, ngx_str_t *text);
static void ngx_mtd_sentinel_host(ngx_mtd_sentinel_replica_t *replica,
    ngx_str_t *text);
static void ngx_mtd_sentinel_value(ngx_mtd_sentinel_t *sentinel,
    ngx_uint_t index, ngx_str_t *text);
static void ngx_mtd_sentinel_replica(ngx_mtd_sentinel_t *sentinel);
static void ngx_mtd_sentinel_heard(ngx_mtd_sentinel_t *sentinel,
    ngx_uint_t index, ngx_str_t *text);
static void ngx_mtd_sentinel_message(void *data, ngx_mtd_reply_t *reply);
static void ngx_mtd_sentinel_probe_handler(ngx_event_t *ev);


static ngx_str_t  ngx_mtd_sentinel_fields[] = {
    ngx_string("ip"),
    ngx_string("port"),
    ngx_string("flags"),
    ngx_string("master-link-status"),
    ngx_string("config-epoch")
};


ngx_int_t
ngx_mtd_sentinels_init(ngx_mtd_sentinels_t *sentinels,
    ngx_mtd_sentinel_conf_t *conf, ngx_mtd_node_t *node, ngx_pool_t *pool,
    ngx_log_t *log)
{
    ngx_uint_t           i;
    ngx_mtd_redis_t     *redis;
    ngx_mtd_sentinel_t  *watch;

    sentinels->conf = conf;
    sentinels->node = node;
    sentinels->zone = node->zone;
    sentinels->log = log;

    sentinels->watch = ngx_pcalloc(pool, conf->n * sizeof(ngx_mtd_sentinel_t));
    if (sentinels->watch == NULL) {
        return NGX_ERROR;
    }

    node->finder = sentinels;
    node->data.on_find = ngx_mtd_sentinels_find;

    sentinels->turn.handler = ngx_mtd_sentinels_turn_handler;
    sentinels->turn.data = sentinels;
    sentinels->turn.log = log;

    sentinels->again.handler = ngx_mtd_sentinels_again_handler;
    sentinels->again.data = sentinels;
    sentinels->again.log = log;
    sentinels->again.cancelable = 1;

    /* the workers do not all ask the same one first */

    sentinels->next = ngx_worker;

    redis = &sentinels->ask.redis;

    redis->conf = &conf->servers[0];
    redis->on_hello = ngx_mtd_sentinel_ask_hello;
    redis->on_down = ngx_mtd_sentinel_ask_down;

    ngx_mtd_sentinel_init(&sentinels->ask, sentinels);

    for (i = 0; i < conf->n; i++) {
        watch = &sentinels->watch[i];
        redis = &watch->redis;

        redis->conf = &conf->servers[i];
        redis->on_hello = ngx_mtd_sentinel_watch_hello;
        redis->on_ready = ngx_mtd_sentinel_watch_ready;
        redis->on_down = ngx_mtd_sentinel_watch_down;
        redis->on_message = ngx_mtd_sentinel_message;

        ngx_mtd_sentinel_init(watch, sentinels);

        ngx_mtd_redis_start(redis, NULL, 0);
    }

    ngx_add_timer(&sentinels->again, NGX_MTD_SENTINEL_AGAIN);

    return NGX_OK;
}


static void
ngx_mtd_sentinel_init(ngx_mtd_sentinel_t *sentinel,
    ngx_mtd_sentinels_t *sentinels)
{
    sentinel->sentinels = sentinels;

    sentinel->redis.role = "sentinel";
    sentinel->redis.data = sentinel;
    sentinel->redis.on_shutdown = ngx_mtd_sentinel_shutdown;
    sentinel->redis.on_element = ngx_mtd_sentinel_element;

    ngx_mtd_redis_init(&sentinel->redis, sentinels->log);

    sentinel->probe.handler = ngx_mtd_sentinel_probe_handler;
    sentinel->probe.data = sentinel;
    sentinel->probe.log = &sentinel->redis.log;
    sentinel->probe.cancelable = 1;
}


void
ngx_mtd_sentinels_destroy(ngx_mtd_sentinels_t *sentinels)
{
    ngx_uint_t           i;
    ngx_mtd_sentinel_t  *watch;

    ngx_mtd_sentinels_stop(sentinels);
    ngx_mtd_redis_destroy(&sentinels->ask.redis);

    if (sentinels->again.timer_set) {
        ngx_del_timer(&sentinels->again);
    }

    for (i = 0; i < sentinels->conf->n; i++) {
        watch = &sentinels->watch[i];

        ngx_mtd_sentinel_watch_down(watch);
        ngx_mtd_redis_destroy(&watch->redis);
    }
}


/* the node is about to connect */

static void
ngx_mtd_sentinels_find(void *data)
{
    ngx_mtd_node_t *node = data;

    ngx_mtd_sentinels_ask(node->finder);
}


static void
ngx_mtd_sentinels_ask(ngx_mtd_sentinels_t *sentinels)
{
    ngx_mtd_sentinels_stop(sentinels);

    sentinels->asking = 1;
    sentinels->asked = 0;
    sentinels->checked = ngx_current_msec;

    ngx_post_event(&sentinels->turn, &ngx_posted_events);
}


static void
ngx_mtd_sentinels_stop(ngx_mtd_sentinels_t *sentinels)
{
    sentinels->asking = 0;

    if (sentinels->turn.posted) {
        ngx_delete_posted_event(&sentinels->turn);
    }

    ngx_mtd_redis_stop(&sentinels->ask.redis);
}


static void
ngx_mtd_sentinels_turn_handler(ngx_event_t *ev)
{
    ngx_mtd_redis_t      *redis;
    ngx_mtd_sentinels_t  *sentinels;

    sentinels = ev->data;
    redis = &sentinels->ask.redis;

    if (sentinels->asked == sentinels->conf->n) {
        sentinels->asking = 0;

        if (sentinels->node->data.state == NGX_MTD_REDIS_RESOLVING
            && sentinels->node->data.resolving == NULL)
        {
            ngx_mtd_redis_fail(&sentinels->node->data,
                               "no Sentinel tells where it is", NULL);
        }

        return;
    }

    redis->conf = &sentinels->conf->servers[sentinels->next
                                            % sentinels->conf->n];
    sentinels->next++;
    sentinels->asked++;

    /* that one does not answer is logged by the connection that watches it */

    redis->failed = 1;

    ngx_mtd_redis_start(redis, NULL, 0);
}


void
ngx_mtd_sentinels_check(ngx_mtd_sentinels_t *sentinels)
{
    if (!sentinels->asking
        && ngx_current_msec - sentinels->checked >= NGX_MTD_SENTINEL_CHECK)
    {
        ngx_mtd_sentinels_ask(sentinels);
    }
}


static void
ngx_mtd_sentinels_again_handler(ngx_event_t *ev)
{
    ngx_mtd_sentinels_t  *sentinels;

    sentinels = ev->data;

    ngx_mtd_sentinels_check(sentinels);

    ngx_add_timer(ev, NGX_MTD_SENTINEL_AGAIN);
}


/*
 * A Sentinel may take ten seconds to see what is wrong with a replica.  One
 * that was lost is tried once more, and only what was tried is avoided.
 */

void
ngx_mtd_sentinels_failed(ngx_mtd_sentinels_t *sentinels)
{
    ngx_uint_t       tried;
    ngx_mtd_node_t  *node;

    node = sentinels->node;
    tried = (sentinels->tried != node->data.epoch
             && node->data.begun > node->data.lost);
    sentinels->tried = node->data.epoch;

    if (!tried) {
        return;
    }

    if (sentinels->conf->replica && node->role == NGX_MTD_ROLE_REPLICA
        && node->data.state == NGX_MTD_REDIS_DOWN)
    {
        sentinels->avoid = node->place;
        sentinels->avoided = ngx_current_msec;
    }
}


/* one that was asked has said all */

static void
ngx_mtd_sentinels_answer(ngx_mtd_sentinels_t *sentinels,
    ngx_mtd_sentinel_t *sentinel)
{
    ngx_mtd_node_t   *node;
    ngx_mtd_role_e    role;
    ngx_mtd_place_t  *place;

    node = sentinels->node;

    ngx_mtd_redis_stop(&sentinel->redis);

    /*
     * A Sentinel that was away does not know what the others have agreed on,
     * and an old master that was away, too, says that it is one.
     */

    if (!ngx_mtd_zone_agree(sentinels->zone, sentinel->epoch,
                            &sentinels->behind))
    {
        ngx_log_error(NGX_LOG_INFO, sentinels->log, 0,
                      "Sentinel %V is behind the others",
                      &sentinel->redis.conf->name);

        ngx_post_event(&sentinels->turn, &ngx_posted_events);
        return;
    }

    sentinels->asking = 0;

    place = &sentinel->master;
    role = NGX_MTD_ROLE_MASTER;

    if (sentinels->conf->replica && sentinel->best.len) {
        place = &sentinel->best;
        role = NGX_MTD_ROLE_REPLICA;
    }

    if (node->data.state == NGX_MTD_REDIS_RESOLVING) {
        ngx_mtd_node_found(node, place, role);

    } else if (node->data.state == NGX_MTD_REDIS_READY) {
        ngx_mtd_node_said(node, place, role);
    }
}


/* what the node is connected to is not the master any more */

static void
ngx_mtd_sentinels_switch(ngx_mtd_sentinels_t *sentinels,
    ngx_mtd_sentinel_t *sentinel, ngx_mtd_place_t *place)
{
    u_char  text[NGX_MTD_PLACE_STRLEN];
    size_t  len;

    if (!sentinels->conf->replica && ngx_mtd_node_at(sentinels->node, place))
    {
        return;
    }

    len = ngx_mtd_place_text(place, text);

    ngx_log_error(NGX_LOG_NOTICE, sentinels->log, 0,
                  "redis %V: the master is now at %*s, says Sentinel %V",
                  &sentinels->node->conf.name, len, text,
                  &sentinel->redis.conf->name);

    sentinels->next = sentinel - sentinels->watch;

    ngx_mtd_node_restart(sentinels->node);
}


static void
ngx_mtd_sentinel_ask_hello(void *data)
{
    ngx_mtd_sentinel_t *sentinel = data;

    if (ngx_mtd_sentinel_ask(sentinel) != NGX_OK) {
        ngx_mtd_redis_fail(&sentinel->redis, "there is no memory", NULL);
    }
}


static void
ngx_mtd_sentinel_ask_down(void *data)
{
    ngx_mtd_sentinel_t *sentinel = data;

    /* not this one again, but the next */

    ngx_mtd_redis_stop(&sentinel->redis);

    ngx_post_event(&sentinel->sentinels->turn, &ngx_posted_events);
}


/* asked before it is listened to: what was missed shows in the answer */

static void
ngx_mtd_sentinel_watch_hello(void *data)
{
    ngx_mtd_sentinel_t *sentinel = data;

    ngx_str_t  argv[2];

    ngx_str_set(&argv[0], "SUBSCRIBE");
    ngx_str_set(&argv[1], "+switch-master");

    if (ngx_mtd_sentinel_ask(sentinel) != NGX_OK
        || ngx_mtd_redis_command(&sentinel->redis, argv, 2,
                                 ngx_mtd_sentinel_subscribed, sentinel)
           != NGX_OK)
    {
        ngx_mtd_redis_fail(&sentinel->redis, "there is no memory", NULL);
    }
}


static ngx_int_t
ngx_mtd_sentinel_ask(ngx_mtd_sentinel_t *sentinel)
{
    ngx_str_t   argv[3];
    ngx_uint_t  i, n;

    static ngx_str_t  what[] = {
        ngx_string("GET-MASTER-ADDR-BY-NAME"),
        ngx_string("MASTER"),
        ngx_string("REPLICAS")
    };

    sentinel->step = NGX_MTD_SENTINEL_ADDRESS;
    sentinel->epoch = 0;
    sentinel->master.len = 0;
    sentinel->best.len = 0;

    ngx_memzero(&sentinel->replica, sizeof(ngx_mtd_sentinel_replica_t));

    n = sentinel->sentinels->conf->replica ? 3 : 2;

    for (i = 0; i < n; i++) {
        ngx_str_set(&argv[0], "SENTINEL");
        argv[1] = what[i];
        argv[2] = sentinel->sentinels->conf->master;

        if (ngx_mtd_redis_command(&sentinel->redis, argv, 3,
                                  ngx_mtd_sentinel_reply, sentinel)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* arrays have been read as they came */

static void
ngx_mtd_sentinel_reply(void *data, ngx_int_t rc, ngx_mtd_reply_t *reply)
{
    ngx_mtd_sentinel_t *sentinel = data;

    ngx_mtd_sentinels_t  *sentinels;

    if (rc != NGX_OK) {
        return;
    }

    sentinels = sentinel->sentinels;

    if (!reply->array) {
        ngx_mtd_redis_fail(&sentinel->redis, "it does not know the master",
                           ngx_mtd_resp_error(reply));
        return;
    }

    if (sentinel->step == NGX_MTD_SENTINEL_ADDRESS
        && sentinel->master.len == 0)
    {
        ngx_mtd_redis_fail(&sentinel->redis, "what it tells of the master is "
                           "neither an IP address nor a name", NULL);
        return;
    }

    if (sentinel->step == NGX_MTD_SENTINEL_REPLICAS) {
        ngx_mtd_sentinel_replica(sentinel);
    }

    /* what was told of the master is told of no replica */

    ngx_memzero(&sentinel->replica, sizeof(ngx_mtd_sentinel_replica_t));

    sentinel->step++;

    if (sentinel->step == NGX_MTD_SENTINEL_REPLICAS
        && !sentinels->conf->replica)
    {
        sentinel->step = NGX_MTD_SENTINEL_DONE;
    }

    if (sentinel->step == NGX_MTD_SENTINEL_DONE
        && sentinel == &sentinels->ask)
    {
        ngx_mtd_sentinels_answer(sentinels, sentinel);
    }
}


static void
ngx_mtd_sentinel_subscribed(void *data, ngx_int_t rc, ngx_mtd_reply_t *reply)
{
    ngx_mtd_sentinel_t *sentinel = data;

    if (rc != NGX_OK) {
        return;
    }

    if (!reply->array) {
        ngx_mtd_redis_fail(&sentinel->redis, "it refused SUBSCRIBE",
                           ngx_mtd_resp_error(reply));
        return;
    }

    ngx_mtd_redis_ready(&sentinel->redis);
}


static void
ngx_mtd_sentinel_watch_ready(void *data)
{
    ngx_mtd_sentinel_t *sentinel = data;

    ngx_mtd_node_t       *node;
    ngx_mtd_sentinels_t  *sentinels;

    sentinels = sentinel->sentinels;
    node = sentinels->node;

    ngx_add_timer(&sentinel->probe, NGX_MTD_SENTINEL_PROBE);

    if (sentinel->epoch > ngx_mtd_zone_epoch(sentinels->zone)
        && node->data.state > NGX_MTD_REDIS_RESOLVING)
    {
        ngx_mtd_sentinels_switch(sentinels, sentinel, &sentinel->master);
    }
}


static void
ngx_mtd_sentinel_watch_down(void *data)
{
    ngx_mtd_sentinel_t *sentinel = data;

    sentinel->pinged = 0;

    if (sentinel->probe.timer_set) {
        ngx_del_timer(&sentinel->probe);
    }
}


static void
ngx_mtd_sentinel_shutdown(void *data)
{
    /* void */
}


static void
ngx_mtd_sentinel_element(void *data, ngx_uint_t depth, ngx_uint_t index,
    ngx_mtd_value_t *value)
{
    ngx_mtd_sentinel_t *sentinel = data;

    if (sentinel->redis.state == NGX_MTD_REDIS_READY) {

        if (depth == 1) {
            ngx_mtd_sentinel_heard(sentinel, index, &value->text);
        }

        return;
    }

    switch (sentinel->step) {

    case NGX_MTD_SENTINEL_ADDRESS:

        if (depth == 1) {
            ngx_mtd_sentinel_address(sentinel, index, &value->text);
        }

        break;

    case NGX_MTD_SENTINEL_MASTER:

        if (depth == 1) {
            ngx_mtd_sentinel_value(sentinel, index, &value->text);
        }

        break;

    case NGX_MTD_SENTINEL_REPLICAS:

        if (depth == 1) {
            ngx_mtd_sentinel_replica(sentinel);

        } else if (depth == 2) {
            ngx_mtd_sentinel_value(sentinel, index, &value->text);
        }

        break;
    }
}


static void
ngx_mtd_sentinel_address(ngx_mtd_sentinel_t *sentinel, ngx_uint_t index,
    ngx_str_t *text)
{
    ngx_str_t                    host;
    ngx_mtd_sentinel_replica_t  *master;

    master = &sentinel->replica;

    if (index == 0) {
        ngx_mtd_sentinel_host(master, text);
        return;
    }

    host.data = master->host;
    host.len = master->len;

    /* it is nowhere if that is none */

    (void) ngx_mtd_place(&sentinel->master, &host,
                         ngx_atoi(text->data, text->len));

    sentinel->replica.len = 0;
}


static void
ngx_mtd_sentinel_host(ngx_mtd_sentinel_replica_t *replica, ngx_str_t *text)
{
    replica->len = ngx_min(text->len, NGX_MTD_PLACE_HOST);
    ngx_memcpy(replica->host, text->data, replica->len);
}


/* names and values take turns */

static void
ngx_mtd_sentinel_value(ngx_mtd_sentinel_t *sentinel, ngx_uint_t index,
    ngx_str_t *text)
{
    off_t                        n;
    ngx_str_t                   *field;
    ngx_uint_t                   i;
    ngx_mtd_sentinel_replica_t  *replica;

    if (index % 2 == 0) {

        for (i = 0; i < NGX_MTD_SENTINEL_OTHER; i++) {
            field = &ngx_mtd_sentinel_fields[i];

            if (field->len == text->len
                && ngx_memcmp(field->data, text->data, text->len) == 0)
            {
                break;
            }
        }

        sentinel->field = i;
        return;
    }

    replica = &sentinel->replica;

    switch (sentinel->field) {

    case NGX_MTD_SENTINEL_IP:
        ngx_mtd_sentinel_host(replica, text);
        break;

    case NGX_MTD_SENTINEL_PORT:
        replica->port = ngx_atoi(text->data, text->len);
        break;

    case NGX_MTD_SENTINEL_FLAGS:
        replica->up = (text->len
                       && ngx_strnstr(text->data, "down", text->len) == NULL
                       && ngx_strnstr(text->data, "disconnected", text->len)
                          == NULL);
        break;

    case NGX_MTD_SENTINEL_LINK:
        replica->linked = (text->len == 2
                           && ngx_strncmp(text->data, "ok", 2) == 0);
        break;

    case NGX_MTD_SENTINEL_EPOCH:

        /* a replica has none, whatever a Sentinel says of it */

        if (sentinel->step == NGX_MTD_SENTINEL_MASTER) {
            n = ngx_atoof(text->data, text->len);
            sentinel->epoch = (n == NGX_ERROR) ? 0 : (uint64_t) n;
        }

        break;
    }
}


/*
 * The one before is complete.  All workers choose the same replica, because
 * the zone holds what one server says; other gates choose another one.
 */

static void
ngx_mtd_sentinel_replica(ngx_mtd_sentinel_t *sentinel)
{
    u_char                       text[NGX_MTD_PLACE_STRLEN];
    uint32_t                     weight;
    ngx_str_t                    host;
    ngx_mtd_place_t              place;
    ngx_mtd_sentinels_t         *sentinels;
    ngx_mtd_sentinel_replica_t  *replica;

    sentinels = sentinel->sentinels;
    replica = &sentinel->replica;

    host.data = replica->host;
    host.len = replica->len;

    if (replica->up && replica->linked
        && ngx_mtd_place(&place, &host, replica->port) == NGX_OK)
    {
        ngx_crc32_init(weight);
        ngx_crc32_update(&weight, ngx_cycle->hostname.data,
                         ngx_cycle->hostname.len);
        ngx_crc32_update(&weight, text, ngx_mtd_place_text(&place, text));

        if ((sentinels->avoid.len == 0
             || ngx_current_msec - sentinels->avoided
                >= NGX_MTD_SENTINEL_AVOID
             || !ngx_mtd_place_same(&sentinels->avoid, &place))
            && (sentinel->best.len == 0 || weight > sentinel->weight))
        {
            sentinel->best = place;
            sentinel->weight = weight;
        }
    }

    ngx_memzero(replica, sizeof(ngx_mtd_sentinel_replica_t));
}


/* of a message: what it is, the channel, "NAME HOST PORT HOST PORT" */

static void
ngx_mtd_sentinel_heard(ngx_mtd_sentinel_t *sentinel, ngx_uint_t index,
    ngx_str_t *text)
{
    u_char               *p, *last;
    ngx_str_t             word[5], *master;
    ngx_uint_t            i;
    ngx_mtd_sentinels_t  *sentinels;

    sentinels = sentinel->sentinels;

    if (index == 0) {

        if (text->len == 4 && ngx_strncmp(text->data, "pong", 4) == 0) {
            sentinel->pinged = 0;
        }

        return;
    }

    if (index != 2) {
        return;
    }

    p = text->data;
    last = p + text->len;

    for (i = 0; i < 5; i++) {
        word[i].data = p;

        while (p < last && *p != ' ') {
            p++;
        }

        word[i].len = p - word[i].data;
        p += (p < last);
    }

    master = &sentinels->conf->master;

    if (master->len == word[0].len
        && ngx_memcmp(master->data, word[0].data, word[0].len) == 0
        && ngx_mtd_place(&sentinel->master, &word[3],
                         ngx_atoi(word[4].data, word[4].len))
           == NGX_OK)
    {
        ngx_mtd_sentinels_switch(sentinels, sentinel, &sentinel->master);
    }
}


static void
ngx_mtd_sentinel_message(void *data, ngx_mtd_reply_t *reply)
{
    ngx_mtd_sentinel_t *sentinel = data;

    if (!reply->array) {
        ngx_mtd_redis_fail(&sentinel->redis, "it sent what was not asked",
                           NULL);
    }
}


static void
ngx_mtd_sentinel_probe_handler(ngx_event_t *ev)
{
    ngx_str_t            argv[1];
    ngx_mtd_sentinel_t  *sentinel;

    sentinel = ev->data;

    if (sentinel->pinged
        && ngx_current_msec - sentinel->pinged >= NGX_MTD_SENTINEL_PROBE)
    {
        ngx_mtd_redis_fail(&sentinel->redis, "it did not answer a PING",
                           NULL);
        return;
    }

    ngx_str_set(&argv[0], "PING");

    if (ngx_mtd_redis_command(&sentinel->redis, argv, 1, NULL, NULL)
        != NGX_OK)
    {
        ngx_mtd_redis_fail(&sentinel->redis, "there is no memory", NULL);
        return;
    }

    sentinel->pinged = ngx_current_msec;

    ngx_add_timer(ev, NGX_MTD_SENTINEL_PROBE);
}
