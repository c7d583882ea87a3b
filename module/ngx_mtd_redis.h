
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * One non-blocking, pipelined connection of one worker to a Redis server,
 * made again with full-jitter backoff whenever it is lost.
 *
 * state: DOWN -> RESOLVING (a name and a resolver are configured, or others
 *                are asked where the server is)
 *             -> SECURING (with TLS: connecting, and the handshake)
 *             -> HELLO (AUTH, SELECT, what on_hello asks) -> READY
 *        any state -> DOWN
 */


#ifndef _NGX_MTD_REDIS_H_INCLUDED_
#define _NGX_MTD_REDIS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_event_connect.h>

#include "ngx_mtd_pipe.h"
#include "ngx_mtd_tls.h"


/* from the configuration, shared by all connections of all workers */

typedef struct {
    ngx_str_t                 name;         /* as configured, for the log */
    ngx_addr_t               *addrs;
    ngx_uint_t                naddrs;       /* 0: host is resolved */
    ngx_str_t                 host;
    in_port_t                 port;
    ngx_resolver_t           *resolver;     /* NULL: there is none */
    ngx_msec_t                resolver_timeout;
    ngx_str_t                 user;
    ngx_str_t                 password;
    ngx_int_t                 database;
    ngx_msec_t                connect_timeout;
    ngx_msec_t                timeout;
#if (NGX_SSL)
    ngx_mtd_tls_t            *tls;          /* NULL: in the clear */
#endif
} ngx_mtd_redis_conf_t;


typedef enum {
    NGX_MTD_REDIS_DOWN = 0,
    NGX_MTD_REDIS_RESOLVING,
    NGX_MTD_REDIS_SECURING,
    NGX_MTD_REDIS_HELLO,
    NGX_MTD_REDIS_READY
} ngx_mtd_redis_state_e;


/*
 * What becomes of a question to this connection.  CLOSED: it is sent, or
 * waits for the first connection that the worker makes.  OPEN: it fails at
 * once, the next attempt is on its way.  HALF_OPEN: it fails at once while an
 * attempt is made; the probe is that attempt's PING, never a request.
 */

typedef enum {
    NGX_MTD_BREAKER_CLOSED = 0,
    NGX_MTD_BREAKER_OPEN,
    NGX_MTD_BREAKER_HALF_OPEN,
    NGX_MTD_BREAKER_N
} ngx_mtd_breaker_e;


typedef struct ngx_mtd_redis_s  ngx_mtd_redis_t;

typedef void (*ngx_mtd_redis_event_pt)(void *data);

typedef void (*ngx_mtd_redis_message_pt)(void *data, ngx_mtd_reply_t *reply);


/* embedded in its owner, which fills the first part */

struct ngx_mtd_redis_s {
    ngx_mtd_redis_conf_t     *conf;
    const char               *role;         /* "data", for the log */
    void                     *data;         /* of the handlers below */
    ngx_mtd_redis_event_pt    on_find;      /* calls _found() or _fail() */
    ngx_mtd_redis_event_pt    on_hello;     /* calls _ready() or _fail() */
    ngx_mtd_redis_event_pt    on_ready;
    ngx_mtd_redis_event_pt    on_down;      /* an attempt failed, too */
    ngx_mtd_redis_event_pt    on_shutdown;  /* the worker is to exit */
    ngx_mtd_redis_message_pt  on_message;   /* gets all once READY */
    ngx_mtd_resp_key_pt       on_key;
    ngx_mtd_resp_element_pt   on_element;

    ngx_uint_t                state;
    ngx_connection_t         *connection;   /* ours to close */
    ngx_peer_connection_t     peer;
    ngx_resolver_ctx_t       *resolving;
    ngx_mtd_resp_t           *resp;
    ngx_mtd_pipe_t            pipe;
    ngx_event_t               retry;
    ngx_msec_t                backoff;
    ngx_msec_t                most;         /* that it grows to, for now */
    ngx_uint_t                attempt;
    ngx_uint_t                epoch;        /* of connection, or attempt */
    uint64_t                  server;       /* of its run_id, once READY */
    ngx_sockaddr_t            sockaddr;
    socklen_t                 socklen;
    ngx_log_t                 log;
    ngx_log_t                 quiet;        /* of attempts after the first */
    const char               *action;       /* for the log */
    ngx_msec_t                begun;        /* the attempt */
    ngx_msec_t                lost;         /* when it failed first */
    ngx_msec_t                since;        /* waiting for the next answer */
    const char               *why;          /* it has failed, else NULL */
    ngx_uint_t                failures;     /* since the last READY */
    unsigned                  failed:1;     /* the same */
    unsigned                  unresolved:1; /* and this is logged */
    unsigned                  stopped:1;    /* waits to be started */
    unsigned                  breaker:1;    /* is told of in the log */
};


void ngx_mtd_redis_init(ngx_mtd_redis_t *redis, ngx_log_t *log);

/* sockaddr NULL: the configured server; else exactly this address */

void ngx_mtd_redis_start(ngx_mtd_redis_t *redis, struct sockaddr *sockaddr,
    socklen_t socklen);

/*
 * The server that on_find has looked for; too late: nothing happens.
 * sockaddr NULL: the host of its conf, which is resolved.
 */

void ngx_mtd_redis_found(ngx_mtd_redis_t *redis, struct sockaddr *sockaddr,
    socklen_t socklen);

/*
 * Connects anew at once.  Commands in flight fail, but until the attempt does
 * who asks may wait for it.  Not from a handler of this connection.
 */

void ngx_mtd_redis_restart(ngx_mtd_redis_t *redis);

/* closes without another attempt; commands in flight fail */

void ngx_mtd_redis_stop(ngx_mtd_redis_t *redis);

/* the worker exits: closes, tells nobody, and frees what was allocated */

void ngx_mtd_redis_destroy(ngx_mtd_redis_t *redis);

/*
 * NGX_OK: handler will be called exactly once, never from within this call;
 * NGX_ERROR: it will not, there is no connection.  A connection that has
 * on_message gives NULL once it is READY: the answer is a message, too.
 */

ngx_int_t ngx_mtd_redis_command(ngx_mtd_redis_t *redis, ngx_str_t *argv,
    ngx_uint_t argc, ngx_mtd_pipe_reply_pt handler, void *data);

/* the same for commands that were encoded before: all of them, or none */

ngx_int_t ngx_mtd_redis_ask(ngx_mtd_redis_t *redis,
    const ngx_mtd_pipe_step_t *steps, ngx_uint_t n, const u_char *key,
    size_t len, void *data);

/*
 * A question has waited for the first connection as long as it may: the
 * breaker opens, the attempt goes on.
 */

void ngx_mtd_redis_late(ngx_mtd_redis_t *redis);

ngx_mtd_breaker_e ngx_mtd_redis_breaker(ngx_mtd_redis_t *redis);
const char *ngx_mtd_redis_breaker_name(ngx_mtd_breaker_e breaker);

/* from on_hello or a reply handler */

void ngx_mtd_redis_ready(ngx_mtd_redis_t *redis);
void ngx_mtd_redis_fail(ngx_mtd_redis_t *redis, const char *why,
    ngx_str_t *text);


#endif /* _NGX_MTD_REDIS_H_INCLUDED_ */
