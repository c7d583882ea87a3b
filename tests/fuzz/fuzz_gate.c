
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include "fuzz.h"
#include "fuzz_gate.h"


#define FUZZ_WAITING       16


typedef struct {
    ngx_mtd_pipe_reply_pt    handler;
    void                    *data;
} fuzz_waiting_t;


typedef struct {
    ngx_mtd_redis_t         *redis;     /* the one that speaks */
    ngx_mtd_resp_t          *resp;
    fuzz_waiting_t           waiting[FUZZ_WAITING];
    size_t                   n;
} fuzz_connection_t;


fuzz_gate_t                  fuzz_gate;
ngx_log_t                    fuzz_gate_log;

volatile ngx_msec_t          ngx_current_msec = 1000000;
ngx_rbtree_t                 ngx_event_timer_rbtree;
ngx_queue_t                  ngx_posted_events;
ngx_queue_t                  ngx_posted_next_events;
ngx_uint_t                   ngx_exiting;
ngx_uint_t                   ngx_worker;

static ngx_rbtree_node_t     fuzz_sentinel;
static fuzz_connection_t     fuzz_connection;


void
fuzz_gate_reset(void)
{
    memset(&fuzz_gate, 0, sizeof(fuzz_gate));
    fuzz_gate.commands = FUZZ_WAITING * FUZZ_WAITING;

    ngx_queue_init(&ngx_posted_events);
    ngx_queue_init(&ngx_posted_next_events);
    ngx_rbtree_init(&ngx_event_timer_rbtree, &fuzz_sentinel,
                    ngx_rbtree_insert_timer_value);

    fuzz_connection.redis = NULL;
    fuzz_connection.n = 0;
}


void
ngx_mtd_redis_init(ngx_mtd_redis_t *redis, ngx_log_t *log)
{
    redis->state = NGX_MTD_REDIS_DOWN;
    redis->stopped = 1;
    redis->log = *log;
}


void
ngx_mtd_redis_start(ngx_mtd_redis_t *redis, struct sockaddr *sockaddr,
    socklen_t socklen)
{
    redis->stopped = 0;
    redis->state = NGX_MTD_REDIS_HELLO;
    redis->epoch++;
}


static void
fuzz_down(ngx_mtd_redis_t *redis)
{
    size_t  i, n;

    redis->state = NGX_MTD_REDIS_DOWN;

    if (redis == fuzz_connection.redis) {
        n = fuzz_connection.n;
        fuzz_connection.n = 0;

        for (i = 0; i < n; i++) {
            fuzz_connection.waiting[i].handler(fuzz_connection.waiting[i].data,
                                               NGX_ERROR, NULL);
        }
    }
}


void
ngx_mtd_redis_stop(ngx_mtd_redis_t *redis)
{
    redis->stopped = 1;
    fuzz_down(redis);
}


void
ngx_mtd_redis_destroy(ngx_mtd_redis_t *redis)
{
    redis->state = NGX_MTD_REDIS_DOWN;
}


void
ngx_mtd_redis_fail(ngx_mtd_redis_t *redis, const char *why, ngx_str_t *text)
{
    fuzz_check(why && *why, "no reason");
    fuzz_check(text == NULL || text->len < NGX_MTD_RESP_MAX, "text");

    fuzz_down(redis);

    if (redis->on_down) {
        redis->on_down(redis->data);
    }
}


void
ngx_mtd_redis_ready(ngx_mtd_redis_t *redis)
{
    redis->state = NGX_MTD_REDIS_READY;
    redis->on_ready(redis->data);
}


ngx_int_t
ngx_mtd_redis_command(ngx_mtd_redis_t *redis, ngx_str_t *argv,
    ngx_uint_t argc, ngx_mtd_pipe_reply_pt handler, void *data)
{
    fuzz_waiting_t  *waiting;

    if (redis->state < NGX_MTD_REDIS_HELLO || redis != fuzz_connection.redis
        || fuzz_gate.commands == 0)
    {
        return NGX_ERROR;
    }

    fuzz_gate.commands--;

    fuzz_check(handler || redis->on_message, "nobody waits");

    if (handler) {
        fuzz_check(fuzz_connection.n < FUZZ_WAITING, "too many commands");

        waiting = &fuzz_connection.waiting[fuzz_connection.n++];
        waiting->handler = handler;
        waiting->data = data;
    }

    return NGX_OK;
}


void
ngx_mtd_redis_late(ngx_mtd_redis_t *redis)
{
    redis->failed = 1;
}


ngx_mtd_breaker_e
ngx_mtd_redis_breaker(ngx_mtd_redis_t *redis)
{
    return redis->failed ? NGX_MTD_BREAKER_OPEN : NGX_MTD_BREAKER_CLOSED;
}


uint64_t
ngx_mtd_zone_epoch(ngx_mtd_zone_t *zone)
{
    return FUZZ_EPOCH;
}


ngx_uint_t
ngx_mtd_zone_agree(ngx_mtd_zone_t *zone, uint64_t epoch, ngx_msec_t *behind)
{
    fuzz_gate.epoch = epoch;
    fuzz_gate.agreed = 1;

    return !fuzz_gate.behind;
}


void
ngx_mtd_zone_serve(ngx_mtd_zone_t *zone, uint64_t server)
{
    /* void */
}


void
ngx_mtd_link_stop(ngx_mtd_link_t *link)
{
    /* void */
}


void
ngx_mtd_node_init(ngx_mtd_node_t *node, const ngx_mtd_redis_conf_t *conf,
    ngx_mtd_links_t *links, ngx_log_t *log)
{
    node->conf = *conf;
    node->data.conf = &node->conf;
    node->data.data = node;

    ngx_mtd_redis_init(&node->data, log);
}


void
ngx_mtd_node_settle(ngx_mtd_node_t *node, ngx_mtd_place_t *place,
    ngx_mtd_role_e role)
{
    fuzz_check(role == NGX_MTD_ROLE_MASTER && place->len, "no master");

    node->place = *place;
    node->conf.name.data = node->name;
    node->conf.name.len = ngx_mtd_place_text(&node->place, node->name);
}


void
ngx_mtd_node_found(ngx_mtd_node_t *node, ngx_mtd_place_t *place,
    ngx_mtd_role_e role)
{
    fuzz_check(!fuzz_gate.found, "found twice");

    fuzz_gate.found = 1;
    fuzz_gate.place = *place;
    fuzz_gate.role = role;
}


void
ngx_mtd_node_restart(ngx_mtd_node_t *node)
{
    if (fuzz_gate.moves < FUZZ_MOVES) {
        fuzz_gate.move[fuzz_gate.moves++] = *fuzz_gate.named;
    }
}


void
ngx_mtd_node_said(ngx_mtd_node_t *node, ngx_mtd_place_t *place,
    ngx_mtd_role_e role)
{
    if (node->role != role || !ngx_mtd_node_at(node, place)) {
        ngx_mtd_node_restart(node);
    }
}


ngx_uint_t
ngx_mtd_node_at(ngx_mtd_node_t *node, ngx_mtd_place_t *place)
{
    return ngx_mtd_place_same(&node->place, place);
}


void
ngx_mtd_node_stop(ngx_mtd_node_t *node)
{
    /* void */
}


void
ngx_mtd_node_destroy(ngx_mtd_node_t *node)
{
    /* void */
}


/* one turn of the loop */

void
fuzz_gate_turn(void)
{
    ngx_queue_t  *q, *events;
    ngx_event_t  *ev;

    events = ngx_queue_empty(&ngx_posted_events) ? &ngx_posted_next_events
                                                 : &ngx_posted_events;

    if (!ngx_queue_empty(events)) {
        q = ngx_queue_head(events);
        ev = ngx_queue_data(q, ngx_event_t, queue);

        ngx_delete_posted_event(ev);
        ev->handler(ev);
    }
}


/* as ngx_mtd_redis.c does with what it has read */

static void
fuzz_replies(ngx_mtd_redis_t *redis)
{
    ngx_int_t         rc;
    const char       *why;
    fuzz_waiting_t    waiting;
    ngx_mtd_reply_t  *reply;

    while (redis->state >= NGX_MTD_REDIS_HELLO) {
        rc = ngx_mtd_resp_next(fuzz_connection.resp, &reply, &why);

        if (rc == NGX_AGAIN) {
            return;
        }

        if (rc != NGX_OK) {
            ngx_mtd_redis_fail(redis, why, NULL);
            return;
        }

        if (redis->on_message && redis->state == NGX_MTD_REDIS_READY) {
            redis->on_message(redis->data, reply);
            continue;
        }

        if (fuzz_connection.n == 0) {
            ngx_mtd_redis_fail(redis, "it sent what was not asked", NULL);
            return;
        }

        waiting = fuzz_connection.waiting[0];
        fuzz_connection.n--;
        memmove(fuzz_connection.waiting, fuzz_connection.waiting + 1,
                fuzz_connection.n * sizeof(fuzz_waiting_t));

        waiting.handler(waiting.data, NGX_OK, reply);
    }
}


void
fuzz_gate_speak(ngx_mtd_redis_t *redis, const u_char *data, size_t size,
    unsigned part)
{
    u_char              *copy;
    size_t               n;
    struct sockaddr_in   sin;

    memset(&sin, 0, sizeof(sin));
    sin.sin_family = AF_INET;
    sin.sin_port = htons(6379);
    sin.sin_addr.s_addr = inet_addr(FUZZ_SELF);

    redis->peer.sockaddr = (struct sockaddr *) &sin;
    redis->peer.socklen = sizeof(sin);
    redis->state = NGX_MTD_REDIS_HELLO;
    redis->stopped = 0;

    fuzz_connection.redis = redis;
    fuzz_connection.n = 0;
    fuzz_connection.resp = ngx_mtd_resp_create(redis->on_key, redis->data,
                                               &fuzz_gate_log);
    fuzz_check(fuzz_connection.resp, "no memory");

    ngx_mtd_resp_elements(fuzz_connection.resp, redis->on_element);

    ngx_mtd_redis_hello(redis);

    while (size && redis->state >= NGX_MTD_REDIS_HELLO) {
        n = (part % 256 == 0 || part > size) ? size : part;
        copy = fuzz_copy(data, n);

        fuzz_check(ngx_mtd_resp_feed(fuzz_connection.resp, copy, n) == NGX_OK,
                   "no memory");
        free(copy);

        fuzz_replies(redis);

        data += n;
        size -= n;
    }

    if (redis->state >= NGX_MTD_REDIS_HELLO
        && redis->state != NGX_MTD_REDIS_READY)
    {
        ngx_mtd_redis_fail(redis, "it closed the connection", NULL);
    }

    ngx_mtd_resp_destroy(fuzz_connection.resp);
    fuzz_connection.redis = NULL;
}
