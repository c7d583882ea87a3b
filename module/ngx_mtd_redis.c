
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include "ngx_mtd_redis_hello.h"


#define NGX_MTD_REDIS_IN           16384
#define NGX_MTD_REDIS_READS        16       /* in one turn of the loop */
#define NGX_MTD_REDIS_BACKOFF_MIN  10       /* ms */
#define NGX_MTD_REDIS_BACKOFF_MAX  50
#define NGX_MTD_REDIS_BACKOFF_NAME 1000     /* of a name that leads nowhere */


static u_char *ngx_mtd_redis_log_error(ngx_log_t *log, u_char *buf,
    size_t len);
static void ngx_mtd_redis_connect(ngx_mtd_redis_t *redis);
static void ngx_mtd_redis_resolve(ngx_mtd_redis_t *redis);
static void ngx_mtd_redis_unresolvable(ngx_mtd_redis_t *redis);
static void ngx_mtd_redis_resolve_done(ngx_mtd_redis_t *redis);
static void ngx_mtd_redis_resolved(ngx_resolver_ctx_t *ctx);
static void ngx_mtd_redis_open(ngx_mtd_redis_t *redis);
#if (NGX_SSL)
static void ngx_mtd_redis_connected(ngx_event_t *wev);
static void ngx_mtd_redis_secured(ngx_connection_t *c);
static void ngx_mtd_redis_wait_handler(ngx_event_t *rev);
#endif
static void ngx_mtd_redis_failed(ngx_mtd_redis_t *redis, const char *why,
    ngx_str_t *text);
static void ngx_mtd_redis_again(ngx_mtd_redis_t *redis, const char *why);
static void ngx_mtd_redis_retry_handler(ngx_event_t *ev);
static void ngx_mtd_redis_write_handler(ngx_event_t *wev);
static void ngx_mtd_redis_read_handler(ngx_event_t *rev);
static ngx_int_t ngx_mtd_redis_replies(ngx_mtd_redis_t *redis);
static void ngx_mtd_redis_asked(ngx_mtd_redis_t *redis, ngx_uint_t waited);
static void ngx_mtd_redis_wait(ngx_mtd_redis_t *redis);
static void ngx_mtd_redis_waited(ngx_mtd_redis_t *redis);
static void ngx_mtd_redis_close(ngx_mtd_redis_t *redis, ngx_int_t first);


void
ngx_mtd_redis_init(ngx_mtd_redis_t *redis, ngx_log_t *log)
{
    redis->state = NGX_MTD_REDIS_DOWN;
    redis->stopped = 1;
    redis->failed = 0;
    redis->backoff = NGX_MTD_REDIS_BACKOFF_MIN;

    redis->log = *log;
    redis->log.handler = ngx_mtd_redis_log_error;
    redis->log.data = redis;
    redis->log.action = NULL;

    redis->quiet = redis->log;
    redis->quiet.log_level = ngx_min(log->log_level, NGX_LOG_ALERT);

    ngx_mtd_pipe_init(&redis->pipe, &redis->log);

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
    /* nobody is told: requests end without phases to run */

    ngx_mtd_pipe_destroy(&redis->pipe);

    ngx_mtd_redis_stop(redis);
}


static void
ngx_mtd_redis_connect(ngx_mtd_redis_t *redis)
{
    ngx_addr_t            *addr;
    ngx_mtd_redis_conf_t  *conf;

    conf = redis->conf;

    redis->begun = ngx_current_msec;
    redis->most = NGX_MTD_REDIS_BACKOFF_MAX;

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

    ngx_mtd_redis_resolve_done(redis);

    if (sockaddr == NULL) {
        ngx_mtd_redis_resolve(redis);
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
    redis->most = NGX_MTD_REDIS_BACKOFF_NAME;
    redis->epoch++;

    if (redis->conf->resolver == NULL) {
        ngx_mtd_redis_unresolvable(redis);
        return;
    }

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


/* logged once, though nothing else has worked before */

static void
ngx_mtd_redis_unresolvable(ngx_mtd_redis_t *redis)
{
    static const char  *why = "without a \"resolver\" in http {} nobody "
                              "resolves the name that it was given";

    if (redis->failed && !redis->unresolved) {
        ngx_log_error(NGX_LOG_ERR, &redis->log, 0,
                      "redis %V is unavailable (%s): %s: %V",
                      &redis->conf->name, redis->role, why,
                      &redis->conf->host);
    }

    redis->unresolved = 1;

    ngx_mtd_redis_fail(redis, why, &redis->conf->host);
}


static void
ngx_mtd_redis_resolve_done(ngx_mtd_redis_t *redis)
{
    if (redis->resolving) {
        ngx_resolve_name_done(redis->resolving);
        redis->resolving = NULL;
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
        ngx_log_error(NGX_LOG_INFO, redis->unresolved ? &redis->quiet
                                                      : &redis->log, 0,
                      "%V could not be resolved (%i: %s)", &ctx->name,
                      ctx->state, ngx_resolver_strerror(ctx->state));

        redis->unresolved = 1;

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
    redis->most = NGX_MTD_REDIS_BACKOFF_MAX;
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
    redis->why = NULL;
    redis->failures = 0;
    redis->failed = 0;
    redis->unresolved = 0;
    redis->backoff = NGX_MTD_REDIS_BACKOFF_MIN;
    c->log = &redis->log;
    c->read->log = c->log;
    c->write->log = c->log;

    if (ngx_mtd_pipe_waits(&redis->pipe)) {
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

    max = ngx_min(redis->backoff, redis->most);
    redis->backoff = ngx_min(max * 2, redis->most);

    /* an attempt that took its time was a pause of its own */

    if (ngx_current_msec - redis->begun >= redis->most) {
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
    ngx_str_t   none;
    ngx_uint_t  level;

    ngx_str_null(&none);

    level = text ? ngx_mtd_resp_level(text) : NGX_LOG_ERR;

    ngx_log_error(level, redis->failed ? &redis->quiet : &redis->log, 0,
                  "redis %V is unavailable (%s): %s%s%V%s",
                  &redis->conf->name, redis->role, why, text ? ": " : "",
                  text ? text : &none,
                  redis->breaker ? ", breaker is open" : "");

    redis->why = why;
    redis->failures++;

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
    ngx_uint_t argc, ngx_mtd_pipe_reply_pt handler, void *data)
{
    ngx_uint_t  waited;

    if (redis->state < NGX_MTD_REDIS_HELLO) {
        return NGX_ERROR;
    }

    waited = ngx_mtd_pipe_waits(&redis->pipe);

    if (ngx_mtd_pipe_command(&redis->pipe, argv, argc, handler, data)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_mtd_redis_asked(redis, waited);

    return NGX_OK;
}


ngx_int_t
ngx_mtd_redis_ask(ngx_mtd_redis_t *redis, const ngx_mtd_pipe_step_t *steps,
    ngx_uint_t n, const u_char *key, size_t len, void *data)
{
    ngx_uint_t  waited;

    if (redis->state < NGX_MTD_REDIS_HELLO) {
        return NGX_ERROR;
    }

    waited = ngx_mtd_pipe_waits(&redis->pipe);

    if (ngx_mtd_pipe_ask(&redis->pipe, steps, n, key, len, data) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_mtd_redis_asked(redis, waited);

    return NGX_OK;
}


static void
ngx_mtd_redis_asked(ngx_mtd_redis_t *redis, ngx_uint_t waited)
{
    if (!waited && ngx_mtd_pipe_waits(&redis->pipe)) {
        ngx_mtd_redis_wait(redis);
    }

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

    if (!ngx_mtd_pipe_waits(&redis->pipe)) {
        return;
    }

    time = ngx_current_msec - redis->since;

    if (time >= redis->conf->timeout) {
        ngx_mtd_redis_fail(redis, "it did not answer in time", NULL);
        return;
    }

    ngx_add_timer(redis->connection->read, redis->conf->timeout - time);
}


static void
ngx_mtd_redis_write_handler(ngx_event_t *wev)
{
    ngx_connection_t  *c;
    ngx_mtd_redis_t   *redis;

    c = wev->data;
    redis = c->data;

    if (wev->timedout) {
        ngx_mtd_redis_fail(redis, "connecting to it timed out", NULL);
        return;
    }

    if (ngx_mtd_pipe_write(&redis->pipe, c) != NGX_OK) {
        ngx_mtd_redis_fail(redis, "it closed the connection", NULL);
        return;
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
    ngx_int_t         rc;
    const char       *why;
    ngx_uint_t        epoch;
    ngx_mtd_reply_t  *reply;

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

        } else if (!ngx_mtd_pipe_waits(&redis->pipe)) {
            ngx_mtd_redis_fail(redis, "it sent what was not asked", NULL);
            return NGX_ERROR;

        } else {
            redis->since = ngx_current_msec;
            ngx_mtd_pipe_reply(&redis->pipe, reply);
        }

        if (redis->connection == NULL || redis->epoch != epoch) {
            return NGX_ERROR;
        }
    }
}


/* a handler that asks again finds no connection */

static void
ngx_mtd_redis_close(ngx_mtd_redis_t *redis, ngx_int_t rc)
{
    ngx_connection_t  *c;

    redis->state = NGX_MTD_REDIS_DOWN;

    if (redis->retry.timer_set) {
        ngx_del_timer(&redis->retry);
    }

    ngx_mtd_redis_resolve_done(redis);

    c = redis->connection;
    redis->connection = NULL;

    if (c) {
        ngx_mtd_tls_close(c);
    }

    if (redis->resp) {
        ngx_mtd_resp_destroy(redis->resp);
        redis->resp = NULL;
    }

    ngx_mtd_pipe_fail(&redis->pipe, rc);
}
