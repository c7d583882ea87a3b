
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * What one connection has to write to a Redis server, and who waits for the
 * replies, which come in the order of their commands.  It knows neither the
 * connection nor its timers, see ngx_mtd_redis.h.
 */


#ifndef _NGX_MTD_PIPE_H_INCLUDED_
#define _NGX_MTD_PIPE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_mtd_resp.h"


/*
 * rc is NGX_OK with a reply, which may be an error reply; NGX_ERROR without
 * one, the connection is gone; NGX_DECLINED without one, the answer to this
 * very command was longer than the cap.
 */

typedef void (*ngx_mtd_pipe_reply_pt)(void *data, ngx_int_t rc,
    ngx_mtd_reply_t *reply);


/* embedded in its owner, outlives connections */

typedef struct {
    ngx_queue_t               inflight;     /* of who waits */
    ngx_queue_t               free;
    ngx_buf_t                 out;
    ngx_log_t                *log;
} ngx_mtd_pipe_t;


/* a command that was encoded before */

typedef struct {
    const ngx_mtd_resp_template_t  *template;
    ngx_mtd_pipe_reply_pt           handler;
} ngx_mtd_pipe_step_t;


#define NGX_MTD_PIPE_STEPS    4             /* of one question, at most */


#define ngx_mtd_pipe_waits(pipe)  (!ngx_queue_empty(&(pipe)->inflight))


void ngx_mtd_pipe_init(ngx_mtd_pipe_t *pipe, ngx_log_t *log);

/* tells nobody, and frees what was allocated */

void ngx_mtd_pipe_destroy(ngx_mtd_pipe_t *pipe);

/* NGX_ERROR: there is no memory, or too much waits to be written */

ngx_int_t ngx_mtd_pipe_command(ngx_mtd_pipe_t *pipe, ngx_str_t *argv,
    ngx_uint_t argc, ngx_mtd_pipe_reply_pt handler, void *data);

/* all of the steps, or none */

ngx_int_t ngx_mtd_pipe_ask(ngx_mtd_pipe_t *pipe,
    const ngx_mtd_pipe_step_t *steps, ngx_uint_t n, const u_char *key,
    size_t len, void *data);

/* as much as c takes now; NGX_ERROR: it is of no more use */

ngx_int_t ngx_mtd_pipe_write(ngx_mtd_pipe_t *pipe, ngx_connection_t *c);

/* for who waits longest, who may add commands, or close the connection */

void ngx_mtd_pipe_reply(ngx_mtd_pipe_t *pipe, ngx_mtd_reply_t *reply);

/*
 * The connection is gone: what was to be written is dropped, and all who
 * wait are told.  The first gets rc, its command may have been the cause.
 */

void ngx_mtd_pipe_fail(ngx_mtd_pipe_t *pipe, ngx_int_t rc);


#endif /* _NGX_MTD_PIPE_H_INCLUDED_ */
