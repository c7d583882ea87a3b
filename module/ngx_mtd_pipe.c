
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include "ngx_mtd_pipe.h"


#define NGX_MTD_PIPE_OUT       16384
#define NGX_MTD_PIPE_OUT_MAX   (4 * 1024 * 1024)


typedef struct {
    ngx_queue_t               queue;
    ngx_mtd_pipe_reply_pt     handler;
    void                     *data;
} ngx_mtd_pipe_op_t;


static void ngx_mtd_pipe_expect(ngx_mtd_pipe_t *pipe, ngx_mtd_pipe_op_t *op,
    ngx_mtd_pipe_reply_pt handler, void *data);
static ngx_mtd_pipe_op_t *ngx_mtd_pipe_get_op(ngx_mtd_pipe_t *pipe);
static u_char *ngx_mtd_pipe_reserve(ngx_mtd_pipe_t *pipe, size_t len);


void
ngx_mtd_pipe_init(ngx_mtd_pipe_t *pipe, ngx_log_t *log)
{
    ngx_queue_init(&pipe->inflight);
    ngx_queue_init(&pipe->free);

    ngx_memzero(&pipe->out, sizeof(ngx_buf_t));

    pipe->log = log;
}


void
ngx_mtd_pipe_destroy(ngx_mtd_pipe_t *pipe)
{
    ngx_queue_t  *q;

    if (ngx_mtd_pipe_waits(pipe)) {
        ngx_queue_add(&pipe->free, &pipe->inflight);
        ngx_queue_init(&pipe->inflight);
    }

    while (!ngx_queue_empty(&pipe->free)) {
        q = ngx_queue_head(&pipe->free);
        ngx_queue_remove(q);

        ngx_free(ngx_queue_data(q, ngx_mtd_pipe_op_t, queue));
    }

    if (pipe->out.start) {
        ngx_free(pipe->out.start);
        ngx_memzero(&pipe->out, sizeof(ngx_buf_t));
    }
}


ngx_int_t
ngx_mtd_pipe_command(ngx_mtd_pipe_t *pipe, ngx_str_t *argv, ngx_uint_t argc,
    ngx_mtd_pipe_reply_pt handler, void *data)
{
    size_t              len;
    u_char             *command, *p;
    ngx_mtd_pipe_op_t  *op;

    command = ngx_mtd_resp_command(argv, argc, &len);
    if (command == NULL) {
        return NGX_ERROR;
    }

    p = ngx_mtd_pipe_reserve(pipe, len);
    op = (p && handler) ? ngx_mtd_pipe_get_op(pipe) : NULL;

    if (p == NULL || (handler && op == NULL)) {
        ngx_mtd_resp_free(command);
        return NGX_ERROR;
    }

    pipe->out.last = ngx_cpymem(p, command, len);

    ngx_mtd_resp_free(command);

    if (op) {
        ngx_mtd_pipe_expect(pipe, op, handler, data);
    }

    return NGX_OK;
}


ngx_int_t
ngx_mtd_pipe_ask(ngx_mtd_pipe_t *pipe, const ngx_mtd_pipe_step_t *steps,
    ngx_uint_t n, const u_char *key, size_t len, void *data)
{
    size_t              size;
    u_char             *p;
    ngx_uint_t          i;
    ngx_mtd_pipe_op_t  *op[NGX_MTD_PIPE_STEPS];

    size = 0;

    for (i = 0; i < n; i++) {
        size += ngx_mtd_resp_size(steps[i].template, len);
    }

    p = ngx_mtd_pipe_reserve(pipe, size);

    if (p == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {
        op[i] = ngx_mtd_pipe_get_op(pipe);

        if (op[i] == NULL) {
            while (i--) {
                ngx_queue_insert_head(&pipe->free, &op[i]->queue);
            }

            return NGX_ERROR;
        }
    }

    for (i = 0; i < n; i++) {
        ngx_mtd_pipe_expect(pipe, op[i], steps[i].handler, data);
        p = ngx_mtd_resp_fill(p, steps[i].template, key, len);
    }

    pipe->out.last = p;

    return NGX_OK;
}


static void
ngx_mtd_pipe_expect(ngx_mtd_pipe_t *pipe, ngx_mtd_pipe_op_t *op,
    ngx_mtd_pipe_reply_pt handler, void *data)
{
    op->handler = handler;
    op->data = data;

    ngx_queue_insert_tail(&pipe->inflight, &op->queue);
}


static ngx_mtd_pipe_op_t *
ngx_mtd_pipe_get_op(ngx_mtd_pipe_t *pipe)
{
    ngx_queue_t  *q;

    if (ngx_queue_empty(&pipe->free)) {
        return ngx_alloc(sizeof(ngx_mtd_pipe_op_t), pipe->log);
    }

    q = ngx_queue_head(&pipe->free);
    ngx_queue_remove(q);

    return ngx_queue_data(q, ngx_mtd_pipe_op_t, queue);
}


/* where len bytes can be written, NULL if there is no room for them */

static u_char *
ngx_mtd_pipe_reserve(ngx_mtd_pipe_t *pipe, size_t len)
{
    size_t      size, used;
    u_char     *start;
    ngx_buf_t  *b;

    b = &pipe->out;

    if ((size_t) (b->end - b->last) >= len) {
        return b->last;
    }

    used = b->last - b->pos;
    size = b->start ? (size_t) (b->end - b->start) : NGX_MTD_PIPE_OUT;

    while (size < used + len) {
        size *= 2;
    }

    if (size > NGX_MTD_PIPE_OUT_MAX) {
        return NULL;
    }

    start = ngx_alloc(size, pipe->log);
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


ngx_int_t
ngx_mtd_pipe_write(ngx_mtd_pipe_t *pipe, ngx_connection_t *c)
{
    ssize_t     n;
    ngx_buf_t  *b;

    b = &pipe->out;

    while (b->pos < b->last) {
        n = c->send(c, b->pos, b->last - b->pos);

        if (n == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (n == NGX_AGAIN) {
            return NGX_OK;
        }

        b->pos += n;
    }

    b->pos = b->start;
    b->last = b->start;

    return NGX_OK;
}


void
ngx_mtd_pipe_reply(ngx_mtd_pipe_t *pipe, ngx_mtd_reply_t *reply)
{
    ngx_queue_t        *q;
    ngx_mtd_pipe_op_t  *op;

    q = ngx_queue_head(&pipe->inflight);
    ngx_queue_remove(q);

    op = ngx_queue_data(q, ngx_mtd_pipe_op_t, queue);
    ngx_queue_insert_head(&pipe->free, q);

    op->handler(op->data, NGX_OK, reply);
}


void
ngx_mtd_pipe_fail(ngx_mtd_pipe_t *pipe, ngx_int_t rc)
{
    ngx_queue_t         failed, *q;
    ngx_mtd_pipe_op_t  *op;

    pipe->out.pos = pipe->out.start;
    pipe->out.last = pipe->out.start;

    /* detached first: a handler may ask again, over another connection */

    ngx_queue_init(&failed);

    if (ngx_mtd_pipe_waits(pipe)) {
        ngx_queue_add(&failed, &pipe->inflight);
        ngx_queue_init(&pipe->inflight);
    }

    while (!ngx_queue_empty(&failed)) {
        q = ngx_queue_head(&failed);
        ngx_queue_remove(q);

        op = ngx_queue_data(q, ngx_mtd_pipe_op_t, queue);
        ngx_queue_insert_head(&pipe->free, q);

        op->handler(op->data, rc, NULL);
        rc = NGX_ERROR;
    }
}
