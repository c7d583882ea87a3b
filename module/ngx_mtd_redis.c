
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include "ngx_mtd_redis.h"


#define NGX_MTD_REDIS_OUT          16384
#define NGX_MTD_REDIS_OUT_MAX      (4 * 1024 * 1024)
#define NGX_MTD_REDIS_IN           16384
#define NGX_MTD_REDIS_READS        16       /* in one turn of the loop */
#define NGX_MTD_REDIS_STEPS        4       /* of one question */
#define NGX_MTD_REDIS_RUN_ID       15       /* hex digits looked at, of 40 */
#define NGX_MTD_REDIS_BACKOFF_MIN  10       /* ms */
#define NGX_MTD_REDIS_BACKOFF_MAX  50


typedef struct {
    ngx_queue_t               queue;
    ngx_mtd_redis_reply_pt    handler;
    void                     *data;
} ngx_mtd_redis_op_t;


static u_char *ngx_mtd_redis_log_error(ngx_log_t *log, u_char *buf,
    size_t len);
static void ngx_mtd_redis_connect(ngx_mtd_redis_t *redis);
static void ngx_mtd_redis_resolve(ngx_mtd_redis_t *redis);
static void ngx_mtd_redis_resolved(ngx_resolver_ctx_t *ctx);
static void ngx_mtd_redis_open(ngx_mtd_redis_t *redis);
#if (NGX_SSL)
static void ngx_mtd_redis_connected(ngx_event_t *wev);
static void ngx_mtd_redis_secured(ngx_connection_t *c);
static void ngx_mtd_redis_wait_handler(ngx_event_t *rev);
#endif
static void ngx_mtd_redis_hello(ngx_mtd_redis_t *redis);
static void ngx_mtd_redis_hello_reply(void *data, ngx_int_t rc,
    ngx_mtd_reply_t *reply);
static void ngx_mtd_redis_info_reply(void *data, ngx_int_t rc,
    ngx_mtd_reply_t *reply);
static void ngx_mtd_redis_failed(ngx_mtd_redis_t *redis, const char *why,
    ngx_str_t *text);
static void ngx_mtd_redis_again(ngx_mtd_redis_t *redis, const char *why);
static void ngx_mtd_redis_retry_handler(ngx_event_t *ev);
static void ngx_mtd_redis_write_handler(ngx_event_t *wev);
static void ngx_mtd_redis_read_handler(ngx_event_t *rev);
static ngx_int_t ngx_mtd_redis_replies(ngx_mtd_redis_t *redis);
static u_char *ngx_mtd_redis_reserve(ngx_mtd_redis_t *redis, size_t len);
static void ngx_mtd_redis_expect(ngx_mtd_redis_t *redis,
    ngx_mtd_redis_op_t *op, ngx_mtd_redis_reply_pt handler, void *data);
static void ngx_mtd_redis_wait(ngx_mtd_redis_t *redis);
static void ngx_mtd_redis_waited(ngx_mtd_redis_t *redis);
static ngx_mtd_redis_op_t *ngx_mtd_redis_get_op(ngx_mtd_redis_t *redis);
static void ngx_mtd_redis_close(ngx_mtd_redis_t *redis, ngx_int_t first);


void
ngx_mtd_redis_init(ngx_mtd_redis_t *redis, ngx_log_t *log)
{
    redis->state = NGX_MTD_REDIS_DOWN;
    redis->stopped = 1;
    redis->failed = 0;
    redis->backoff = NGX_MTD_REDIS_BACKOFF_MIN;

    ngx_queue_init(&redis->inflight);
    ngx_queue_init(&redis->free);

    redis->log = *log;
    redis->log.handler = ngx_mtd_redis_log_error;
    redis->log.data = redis;
    redis->log.action = NULL;

    redis->quiet = redis->log;
    redis->quiet.log_level = ngx_min(log->log_level, NGX_LOG_ALERT);

    redis->retry.handler = ngx_mtd_redis_retry_handler;
    redis->retry.data = redis;
    redis->retry.log = &redis->log;
    redis->retry.cancelable = 1;
}


static u_char *
ngx_mtd_redis_log_error(ngx_log_t *log, u_char *buf, size_t len)
{
    ngx_mtd_redis_t  *redis;

    redis = log->data;

    if (redis->action) {
        buf = ngx_snprintf(buf, len, " while %s", redis->action);
        len = 0;
    }

    return buf;
}


void
ngx_mtd_redis_start(ngx_mtd_redis_t *redis, struct sockaddr *sockaddr,
    socklen_t socklen)
{
    ngx_mtd_redis_stop(redis);

    redis->stopped = 0;
    redis->socklen = 0;

    if (sockaddr) {
        ngx_memcpy(&redis->sockaddr, sockaddr, socklen);
        redis->socklen = socklen;
    }

    ngx_mtd_redis_connect(redis);
}


void
ngx_mtd_redis_stop(ngx_mtd_redis_t *redis)
{
    redis->stopped = 1;

    ngx_mtd_redis_close(redis, NGX_ERROR);
}


void
ngx_mtd_redis_restart(ngx_mtd_redis_t *redis)
{
    redis->stopped = 0;

    ngx_mtd_redis_close(redis, NGX_ERROR);
    ngx_mtd_redis_connect(redis);
}


void
ngx_mtd_redis_destroy(ngx_mtd_redis_t *redis)
{
    ngx_queue_t  *q;

    /* nobody is told: requests end without phases to run */

    if (!ngx_queue_empty(&redis->inflight)) {
        ngx_queue_add(&redis->free, &redis->inflight);
        ngx_queue_init(&redis->inflight);
    }

    ngx_mtd_redis_stop(redis);

    while (!ngx_queue_empty(&redis->free)) {
        q = ngx_queue_head(&redis->free);
        ngx_queue_remove(q);

        ngx_free(ngx_queue_data(q, ngx_mtd_redis_op_t, queue));
    }

    if (redis->out.start) {
        ngx_free(redis->out.start);
        ngx_memzero(&redis->out, sizeof(ngx_buf_t));
    }
}


static void
ngx_mtd_redis_connect(ngx_mtd_redis_t *redis)
{
    ngx_addr_t            *addr;
    ngx_mtd_redis_conf_t  *conf;

    conf = redis->conf;

    redis->begun = ngx_current_msec;

    if (redis->on_find) {
        redis->action = "looking for it";
        redis->state = NGX_MTD_REDIS_RESOLVING;
        redis->on_find(redis->data);
        return;
    }

    if (redis->socklen == 0 && conf->naddrs == 0) {
        ngx_mtd_redis_resolve(redis);
        return;
    }

    if (redis->socklen) {
        redis->peer.sockaddr = &redis->sockaddr.sockaddr;
        redis->peer.socklen = redis->socklen;

    } else {
        addr = &conf->addrs[redis->attempt++ % conf->naddrs];
        redis->peer.sockaddr = addr->sockaddr;
        redis->peer.socklen = addr->socklen;
    }

    ngx_mtd_redis_open(redis);
}


void
ngx_mtd_redis_found(ngx_mtd_redis_t *redis, struct sockaddr *sockaddr,
    socklen_t socklen)
{
    if (redis->state != NGX_MTD_REDIS_RESOLVING) {
        return;
    }

    ngx_memcpy(&redis->sockaddr, sockaddr, socklen);

    redis->peer.sockaddr = &redis->sockaddr.sockaddr;
    redis->peer.socklen = socklen;

    ngx_mtd_redis_open(redis);
}


static void
ngx_mtd_redis_resolve(ngx_mtd_redis_t *redis)
{
    ngx_resolver_ctx_t  *ctx;

    redis->action = "resolving its name";

    ctx = ngx_resolve_start(redis->conf->resolver, NULL);

    if (ctx == NULL || ctx == NGX_NO_RESOLVER) {
        ngx_mtd_redis_fail(redis, "it cannot be resolved", NULL);
        return;
    }

    ctx->name = redis->conf->host;
    ctx->handler = ngx_mtd_redis_resolved;
    ctx->data = redis;
    ctx->timeout = redis->conf->resolver_timeout;
    ctx->cancelable = 1;

    redis->state = NGX_MTD_REDIS_RESOLVING;
    redis->resolving = ctx;

    if (ngx_resolve_name(ctx) != NGX_OK) {
        redis->resolving = NULL;
        ngx_mtd_redis_fail(redis, "it cannot be resolved", NULL);
    }
}


static void
ngx_mtd_redis_resolved(ngx_resolver_ctx_t *ctx)
{
    ngx_mtd_redis_t      *redis;
    ngx_resolver_addr_t  *addr;

    redis = ctx->data;
    redis->resolving = NULL;

    if (ctx->state || ctx->naddrs == 0) {
        ngx_log_error(NGX_LOG_INFO, &redis->log, 0,
                      "%V could not be resolved (%i: %s)", &ctx->name,
                      ctx->state, ngx_resolver_strerror(ctx->state));
        ngx_resolve_name_done(ctx);
        ngx_mtd_redis_fail(redis, "its name could not be resolved", NULL);
        return;
    }

    addr = &ctx->addrs[redis->attempt++ % ctx->naddrs];

    ngx_memcpy(&redis->sockaddr, addr->sockaddr, addr->socklen);
    ngx_inet_set_port(&redis->sockaddr.sockaddr, redis->conf->port);

    redis->peer.sockaddr = &redis->sockaddr.sockaddr;
    redis->peer.socklen = addr->socklen;

    ngx_resolve_name_done(ctx);

    ngx_mtd_redis_open(redis);
}


static void
ngx_mtd_redis_open(ngx_mtd_redis_t *redis)
{
    ngx_int_t               rc;
    ngx_connection_t       *c;
    ngx_peer_connection_t  *peer;

    redis->action = "connecting";
    redis->state = NGX_MTD_REDIS_HELLO;
    redis->epoch++;

    peer = &redis->peer;

    peer->name = &redis->conf->name;
    peer->get = ngx_event_get_peer;
    peer->log = redis->failed ? &redis->quiet : &redis->log;
    peer->log_error = NGX_ERROR_INFO;

    redis->resp = ngx_mtd_resp_create(redis->on_key, redis->data,
                                      &redis->log);
    if (redis->resp == NULL) {
        ngx_mtd_redis_fail(redis, "there is no memory", NULL);
        return;
    }

    ngx_mtd_resp_elements(redis->resp, redis->on_element);

    rc = ngx_event_connect_peer(peer);

    redis->connection = peer->connection;
    peer->connection = NULL;

    if (rc == NGX_ERROR || rc == NGX_BUSY || rc == NGX_DECLINED) {
        ngx_mtd_redis_fail(redis, "it cannot be reached", NULL);
        return;
    }

    c = redis->connection;

    c->data = redis;
    c->read->log = c->log;
    c->write->log = c->log;
    c->read->handler = ngx_mtd_redis_read_handler;
    c->write->handler = ngx_mtd_redis_write_handler;
    c->read->cancelable = 1;
    c->write->cancelable = 1;
    c->idle = 1;

    (void) ngx_tcp_nodelay(c);

    ngx_add_timer(c->write, redis->conf->connect_timeout);

#if (NGX_SSL)

    if (redis->conf->tls) {
        redis->action = "connecting with TLS";
        redis->state = NGX_MTD_REDIS_SECURING;

        c->read->handler = ngx_mtd_redis_wait_handler;
        c->write->handler = ngx_mtd_redis_connected;

        if (rc == NGX_OK) {
            ngx_mtd_redis_connected(c->write);
        }

        return;
    }

#endif

    ngx_mtd_redis_hello(redis);
}


#if (NGX_SSL)

static void
ngx_mtd_redis_connected(ngx_event_t *wev)
{
    int                err;
    socklen_t          len;
    ngx_int_t          rc;
    ngx_connection_t  *c;
    ngx_mtd_redis_t   *redis;

    c = wev->data;
    redis = c->data;

    if (wev->timedout) {
        ngx_mtd_redis_fail(redis, "connecting to it timed out", NULL);
        return;
    }

    err = 0;
    len = sizeof(int);

    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, (void *) &err, &len) == -1
        || err)
    {
        ngx_mtd_redis_fail(redis, "it cannot be reached", NULL);
        return;
    }

    rc = ngx_mtd_tls_handshake(redis->conf->tls, c, ngx_mtd_redis_secured);

    if (rc == NGX_OK) {
        ngx_mtd_redis_secured(c);

    } else if (rc == NGX_ERROR) {
        ngx_mtd_redis_fail(redis, "the TLS handshake failed", NULL);
    }
}


static void
ngx_mtd_redis_secured(ngx_connection_t *c)
{
    const char       *why;
    ngx_mtd_redis_t  *redis;

    redis = c->data;

    if (!c->ssl->handshaked) {
        ngx_mtd_redis_fail(redis, c->write->timedout
                                  ? "connecting to it timed out"
                                  : "the TLS handshake failed", NULL);
        return;
    }

    why = ngx_mtd_tls_verify(redis->conf->tls, c);

    if (why) {
        ngx_mtd_redis_fail(redis, why, NULL);
        return;
    }

    c->read->handler = ngx_mtd_redis_read_handler;
    c->write->handler = ngx_mtd_redis_write_handler;

    redis->state = NGX_MTD_REDIS_HELLO;

    ngx_mtd_redis_hello(redis);
}


/* connecting ends with an event for writing */

static void
ngx_mtd_redis_wait_handler(ngx_event_t *rev)
{
    /* void */
}

#endif


/* written as soon as the connection is there; all else follows it */

static void
ngx_mtd_redis_hello(ngx_mtd_redis_t *redis)
{
    u_char                 buf[NGX_INT_T_LEN];
    ngx_str_t              argv[3];
    ngx_uint_t             argc;
    ngx_mtd_redis_conf_t  *conf;

    conf = redis->conf;

    if (conf->password.len) {
        argc = 0;

        ngx_str_set(&argv[argc], "AUTH");
        argc++;

        if (conf->user.len) {
            argv[argc++] = conf->user;
        }

        argv[argc++] = conf->password;

        if (ngx_mtd_redis_command(redis, argv, argc,
                                  ngx_mtd_redis_hello_reply, redis)
            != NGX_OK)
        {
            goto failed;
        }
    }

    if (conf->database) {
        ngx_str_set(&argv[0], "SELECT");
        argv[1].data = buf;
        argv[1].len = ngx_sprintf(buf, "%i", conf->database) - buf;

        if (ngx_mtd_redis_command(redis, argv, 2,
                                  ngx_mtd_redis_hello_reply, redis)
            != NGX_OK)
        {
            goto failed;
        }
    }

    ngx_str_set(&argv[0], "INFO");
    ngx_str_set(&argv[1], "server");

    if (ngx_mtd_redis_command(redis, argv, 2, ngx_mtd_redis_info_reply,
                              redis)
        != NGX_OK)
    {
        goto failed;
    }

    redis->on_hello(redis->data);

    return;

failed:

    ngx_mtd_redis_fail(redis, "there is no memory", NULL);
}


static void
ngx_mtd_redis_hello_reply(void *data, ngx_int_t rc, ngx_mtd_reply_t *reply)
{
    ngx_mtd_redis_t  *redis = data;

    if (rc == NGX_OK && reply->value[0].type == NGX_MTD_VALUE_ERROR) {
        ngx_mtd_redis_fail(redis, "it refused", &reply->value[0].text);
    }
}


/* a name, an address or a path may lead to another server each time */

static void
ngx_mtd_redis_info_reply(void *data, ngx_int_t rc, ngx_mtd_reply_t *reply)
{
    ngx_mtd_redis_t  *redis = data;

    u_char           *p, *last;
    ngx_int_t         id;
    ngx_mtd_value_t  *value;

    static u_char  field[] = "run_id:";

    if (rc != NGX_OK) {
        return;
    }

    value = &reply->value[0];

    if (reply->array || value->type != NGX_MTD_VALUE_STRING) {
        ngx_mtd_redis_fail(redis, "it refused INFO",
                           value->type == NGX_MTD_VALUE_ERROR ? &value->text
                                                              : NULL);
        return;
    }

    last = value->text.data + value->text.len;
    p = ngx_strlcasestrn(value->text.data, last, field, sizeof(field) - 2);

    if (p) {
        p += sizeof(field) - 1;
    }

    id = (p && last - p >= NGX_MTD_REDIS_RUN_ID)
         ? ngx_hextoi(p, NGX_MTD_REDIS_RUN_ID) : NGX_ERROR;

    if (id == NGX_ERROR || id == 0) {
        ngx_mtd_redis_fail(redis, "it does not tell its run_id", NULL);
        return;
    }

    redis->server = id;
}


void
ngx_mtd_redis_ready(ngx_mtd_redis_t *redis)
{
    ngx_connection_t  *c;

    c = redis->connection;

    if (c->write->timer_set) {
        ngx_del_timer(c->write);
    }

    redis->action = NULL;

    if (redis->failed) {
        ngx_log_error(NGX_LOG_NOTICE, &redis->log, 0,
                      "redis %V is back (%s) after %Mms%s",
                      &redis->conf->name, redis->role,
                      ngx_current_msec - redis->lost,
                      redis->breaker ? ", breaker is closed" : "");
    }

    redis->state = NGX_MTD_REDIS_READY;
    redis->failed = 0;
    redis->backoff = NGX_MTD_REDIS_BACKOFF_MIN;
    c->log = &redis->log;
    c->read->log = c->log;
    c->write->log = c->log;

    if (!ngx_queue_empty(&redis->inflight)) {
        ngx_mtd_redis_wait(redis);
    }

    redis->on_ready(redis->data);
}


void
ngx_mtd_redis_fail(ngx_mtd_redis_t *redis, const char *why, ngx_str_t *text)
{
    ngx_msec_t  delay, max;

    ngx_mtd_redis_failed(redis, why, text);

    ngx_mtd_redis_close(redis, NGX_ERROR);

    redis->on_down(redis->data);

    if (redis->stopped || redis->retry.timer_set) {
        return;
    }

    max = redis->backoff;
    redis->backoff = ngx_min(redis->backoff * 2, NGX_MTD_REDIS_BACKOFF_MAX);

    /* an attempt that took its time was a pause of its own */

    if (ngx_current_msec - redis->begun >= NGX_MTD_REDIS_BACKOFF_MAX) {
        max = 2 * NGX_MTD_REDIS_BACKOFF_MIN;
    }

    delay = NGX_MTD_REDIS_BACKOFF_MIN
            + ngx_random() % (max - NGX_MTD_REDIS_BACKOFF_MIN + 1);

    ngx_add_timer(&redis->retry, delay);
}


/* logged once for each change from working to not */

static void
ngx_mtd_redis_failed(ngx_mtd_redis_t *redis, const char *why,
    ngx_str_t *text)
{
    ngx_str_t  none;

    ngx_str_null(&none);

    ngx_log_error(NGX_LOG_ERR, redis->failed ? &redis->quiet : &redis->log,
                  0, "redis %V is unavailable (%s): %s%s%V%s",
                  &redis->conf->name, redis->role, why, text ? ": " : "",
                  text ? text : &none,
                  redis->breaker ? ", breaker is open" : "");

    if (!redis->failed) {
        redis->lost = ngx_current_msec;
        redis->failed = 1;
    }
}


void
ngx_mtd_redis_late(ngx_mtd_redis_t *redis)
{
    if (redis->failed || redis->stopped
        || redis->state == NGX_MTD_REDIS_READY)
    {
        return;
    }

    ngx_mtd_redis_failed(redis, "it did not answer in time", NULL);

    redis->on_down(redis->data);
}


ngx_mtd_breaker_e
ngx_mtd_redis_breaker(ngx_mtd_redis_t *redis)
{
    if (!redis->failed) {
        return NGX_MTD_BREAKER_CLOSED;
    }

    return redis->state == NGX_MTD_REDIS_DOWN ? NGX_MTD_BREAKER_OPEN
                                              : NGX_MTD_BREAKER_HALF_OPEN;
}


const char *
ngx_mtd_redis_breaker_name(ngx_mtd_breaker_e breaker)
{
    static const char  *names[] = { "closed", "open", "half_open" };

    return names[breaker];
}


/*
 * A value over the cap is no failure of the server, and must not become one
 * for others: the connection is made anew at once, and who else waits for an
 * answer may ask again.
 */

static void
ngx_mtd_redis_again(ngx_mtd_redis_t *redis, const char *why)
{
    ngx_log_error(NGX_LOG_WARN, &redis->log, 0,
                  "redis %V is connected anew (%s): %s", &redis->conf->name,
                  redis->role, why);

    ngx_mtd_redis_close(redis, NGX_DECLINED);

    /* whoever asked for it may have no more questions */

    if (!redis->stopped) {
        ngx_mtd_redis_connect(redis);
    }
}


static void
ngx_mtd_redis_retry_handler(ngx_event_t *ev)
{
    ngx_mtd_redis_t  *redis;

    redis = ev->data;

    ngx_mtd_redis_connect(redis);
}


ngx_int_t
ngx_mtd_redis_command(ngx_mtd_redis_t *redis, ngx_str_t *argv,
    ngx_uint_t argc, ngx_mtd_redis_reply_pt handler, void *data)
{
    size_t               len;
    u_char              *command, *p;
    ngx_mtd_redis_op_t  *op;

    if (redis->state < NGX_MTD_REDIS_HELLO) {
        return NGX_ERROR;
    }

    command = ngx_mtd_resp_command(argv, argc, &len);
    if (command == NULL) {
        return NGX_ERROR;
    }

    p = ngx_mtd_redis_reserve(redis, len);
    op = (p && handler) ? ngx_mtd_redis_get_op(redis) : NULL;

    if (p == NULL || (handler && op == NULL)) {
        ngx_mtd_resp_free(command);
        return NGX_ERROR;
    }

    redis->out.last = ngx_cpymem(p, command, len);

    ngx_mtd_resp_free(command);

    if (op) {
        ngx_mtd_redis_expect(redis, op, handler, data);

    } else {
        ngx_post_event(redis->connection->write, &ngx_posted_events);
    }

    return NGX_OK;
}


ngx_int_t
ngx_mtd_redis_ask(ngx_mtd_redis_t *redis, const ngx_mtd_redis_step_t *steps,
    ngx_uint_t n, const u_char *key, size_t len, void *data)
{
    size_t               size;
    u_char              *p;
    ngx_uint_t           i;
    ngx_mtd_redis_op_t  *op[NGX_MTD_REDIS_STEPS];

    if (redis->state < NGX_MTD_REDIS_HELLO) {
        return NGX_ERROR;
    }

    size = 0;

    for (i = 0; i < n; i++) {
        size += ngx_mtd_resp_size(steps[i].template, len);
    }

    p = ngx_mtd_redis_reserve(redis, size);

    if (p == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {
        op[i] = ngx_mtd_redis_get_op(redis);

        if (op[i] == NULL) {
            while (i--) {
                ngx_queue_insert_head(&redis->free, &op[i]->queue);
            }

            return NGX_ERROR;
        }
    }

    for (i = 0; i < n; i++) {
        ngx_mtd_redis_expect(redis, op[i], steps[i].handler, data);
        p = ngx_mtd_resp_fill(p, steps[i].template, key, len);
    }

    redis->out.last = p;

    return NGX_OK;
}


static void
ngx_mtd_redis_expect(ngx_mtd_redis_t *redis, ngx_mtd_redis_op_t *op,
    ngx_mtd_redis_reply_pt handler, void *data)
{
    op->handler = handler;
    op->data = data;

    if (ngx_queue_empty(&redis->inflight)) {
        ngx_mtd_redis_wait(redis);
    }

    ngx_queue_insert_tail(&redis->inflight, &op->queue);

    /* one write for all that is asked in this turn of the event loop */

    ngx_post_event(redis->connection->write, &ngx_posted_events);
}


/*
 * Until it is ready, the time to connect counts.  A timer that is set stays:
 * what has been answered when it expires is found out then, which costs less
 * than to move it with each answer.
 */

static void
ngx_mtd_redis_wait(ngx_mtd_redis_t *redis)
{
    ngx_event_t  *rev;

    redis->since = ngx_current_msec;

    rev = redis->connection->read;

    if (redis->state == NGX_MTD_REDIS_READY && !rev->timer_set) {
        ngx_add_timer(rev, redis->conf->timeout);
    }
}


static void
ngx_mtd_redis_waited(ngx_mtd_redis_t *redis)
{
    ngx_msec_t  time;

    if (ngx_queue_empty(&redis->inflight)) {
        return;
    }

    time = ngx_current_msec - redis->since;

    if (time >= redis->conf->timeout) {
        ngx_mtd_redis_fail(redis, "it did not answer in time", NULL);
        return;
    }

    ngx_add_timer(redis->connection->read, redis->conf->timeout - time);
}


static ngx_mtd_redis_op_t *
ngx_mtd_redis_get_op(ngx_mtd_redis_t *redis)
{
    ngx_queue_t  *q;

    if (ngx_queue_empty(&redis->free)) {
        return ngx_alloc(sizeof(ngx_mtd_redis_op_t), &redis->log);
    }

    q = ngx_queue_head(&redis->free);
    ngx_queue_remove(q);

    return ngx_queue_data(q, ngx_mtd_redis_op_t, queue);
}


/* where len bytes can be written, NULL if there is no room for them */

static u_char *
ngx_mtd_redis_reserve(ngx_mtd_redis_t *redis, size_t len)
{
    size_t      size, used;
    u_char     *start;
    ngx_buf_t  *b;

    b = &redis->out;

    if ((size_t) (b->end - b->last) >= len) {
        return b->last;
    }

    used = b->last - b->pos;
    size = b->start ? (size_t) (b->end - b->start) : NGX_MTD_REDIS_OUT;

    while (size < used + len) {
        size *= 2;
    }

    if (size > NGX_MTD_REDIS_OUT_MAX) {
        return NULL;
    }

    start = ngx_alloc(size, &redis->log);
    if (start == NULL) {
        return NULL;
    }

    ngx_memcpy(start, b->pos, used);

    if (b->start) {
        ngx_free(b->start);
    }

    b->start = start;
    b->pos = start;
    b->last = start + used;
    b->end = start + size;

    return b->last;
}


static void
ngx_mtd_redis_write_handler(ngx_event_t *wev)
{
    ssize_t            n;
    ngx_buf_t         *b;
    ngx_connection_t  *c;
    ngx_mtd_redis_t   *redis;

    c = wev->data;
    redis = c->data;

    if (wev->timedout) {
        ngx_mtd_redis_fail(redis, "connecting to it timed out", NULL);
        return;
    }

    b = &redis->out;

    while (b->pos < b->last) {
        n = c->send(c, b->pos, b->last - b->pos);

        if (n == NGX_ERROR) {
            ngx_mtd_redis_fail(redis, "it closed the connection", NULL);
            return;
        }

        if (n == NGX_AGAIN) {
            break;
        }

        b->pos += n;
    }

    if (b->pos == b->last) {
        b->pos = b->start;
        b->last = b->start;
    }

    if (ngx_handle_write_event(wev, 0) != NGX_OK) {
        ngx_mtd_redis_fail(redis, "its socket failed", NULL);
    }
}


static void
ngx_mtd_redis_read_handler(ngx_event_t *rev)
{
    u_char             buf[NGX_MTD_REDIS_IN];
    ssize_t            n;
    ngx_uint_t         reads;
    ngx_connection_t  *c;
    ngx_mtd_redis_t   *redis;

    c = rev->data;
    redis = c->data;

    if (c->close) {
        c->close = 0;
        c->idle = 0;

        redis->on_shutdown(redis->data);

        if (redis->connection != c) {
            return;
        }

        /* this may have been an event of its own, too, and there is no other */
    }

    if (rev->timedout) {
        rev->timedout = 0;
        ngx_mtd_redis_waited(redis);
        return;
    }

    for (reads = 0; /* void */ ; reads++) {

        if (reads == NGX_MTD_REDIS_READS) {

            /* a million changed keys must not stop the worker's requests */

            ngx_post_event(rev, &ngx_posted_next_events);
            return;
        }

        n = c->recv(c, buf, sizeof(buf));

        if (n == NGX_AGAIN) {
            break;
        }

        if (n == NGX_ERROR || n == 0) {
            ngx_mtd_redis_fail(redis, "it closed the connection", NULL);
            return;
        }

        if (ngx_mtd_resp_feed(redis->resp, buf, n) != NGX_OK) {
            ngx_mtd_redis_fail(redis, "there is no memory", NULL);
            return;
        }

        if (ngx_mtd_redis_replies(redis) != NGX_OK) {
            return;
        }

        if (!rev->ready) {
            break;
        }
    }

    if (ngx_handle_read_event(rev, 0) != NGX_OK) {
        ngx_mtd_redis_fail(redis, "its socket failed", NULL);
    }
}


/* NGX_ERROR: the connection is closed, or another one was opened */

static ngx_int_t
ngx_mtd_redis_replies(ngx_mtd_redis_t *redis)
{
    ngx_int_t            rc;
    const char          *why;
    ngx_uint_t           epoch;
    ngx_queue_t         *q;
    ngx_mtd_reply_t     *reply;
    ngx_mtd_redis_op_t  *op;

    epoch = redis->epoch;

    for ( ;; ) {
        rc = ngx_mtd_resp_next(redis->resp, &reply, &why);

        if (rc == NGX_AGAIN) {
            return NGX_OK;
        }

        if (rc == NGX_DECLINED && redis->state == NGX_MTD_REDIS_READY
            && redis->on_message == NULL)
        {
            ngx_mtd_redis_again(redis, why);
            return NGX_ERROR;
        }

        if (rc != NGX_OK) {
            ngx_mtd_redis_fail(redis, why, NULL);
            return NGX_ERROR;
        }

        if (redis->on_message && redis->state == NGX_MTD_REDIS_READY) {
            redis->on_message(redis->data, reply);

        } else if (ngx_queue_empty(&redis->inflight)) {
            ngx_mtd_redis_fail(redis, "it sent what was not asked", NULL);
            return NGX_ERROR;

        } else {
            q = ngx_queue_head(&redis->inflight);
            ngx_queue_remove(q);

            redis->since = ngx_current_msec;

            op = ngx_queue_data(q, ngx_mtd_redis_op_t, queue);
            ngx_queue_insert_head(&redis->free, q);

            op->handler(op->data, NGX_OK, reply);
        }

        if (redis->connection == NULL || redis->epoch != epoch) {
            return NGX_ERROR;
        }
    }
}


/*
 * Detached first, so that a handler that asks again finds no connection.
 * The first command in flight gets rc, it may have caused the failure.
 */

static void
ngx_mtd_redis_close(ngx_mtd_redis_t *redis, ngx_int_t rc)
{
    ngx_queue_t          failed, *q;
    ngx_connection_t    *c;
    ngx_mtd_redis_op_t  *op;

    redis->state = NGX_MTD_REDIS_DOWN;

    if (redis->retry.timer_set) {
        ngx_del_timer(&redis->retry);
    }

    if (redis->resolving) {
        ngx_resolve_name_done(redis->resolving);
        redis->resolving = NULL;
    }

    c = redis->connection;
    redis->connection = NULL;

    if (c) {
        ngx_mtd_tls_close(c);
    }

    if (redis->resp) {
        ngx_mtd_resp_destroy(redis->resp);
        redis->resp = NULL;
    }

    redis->out.pos = redis->out.start;
    redis->out.last = redis->out.start;

    ngx_queue_init(&failed);

    if (!ngx_queue_empty(&redis->inflight)) {
        ngx_queue_add(&failed, &redis->inflight);
        ngx_queue_init(&redis->inflight);
    }

    while (!ngx_queue_empty(&failed)) {
        q = ngx_queue_head(&failed);
        ngx_queue_remove(q);

        op = ngx_queue_data(q, ngx_mtd_redis_op_t, queue);
        ngx_queue_insert_head(&redis->free, q);

        op->handler(op->data, rc, NULL);
        rc = NGX_ERROR;
    }
}
