
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * Warm start: one worker walks over the keys of Redis and asks for those
 * that the zone does not know, as lookups do, over a connection of its own:
 * a few at a time, so that neither requests nor lookups notice.  In a cluster
 * it goes from one master to the next.
 *
 * A pass begins when this worker is told of changes, for what was read
 * before is not believed; so it begins again after a gap in that, and after
 * a flush.  It goes on where it was when only its own connection was lost.
 */


#ifndef _NGX_MTD_PRELOAD_H_INCLUDED_
#define _NGX_MTD_PRELOAD_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "ngx_mtd_lookup.h"
#include "ngx_mtd_node.h"
#include "ngx_mtd_redis.h"
#include "ngx_mtd_zone.h"


typedef enum {
    NGX_MTD_PRELOAD_WAITING = 0,
    NGX_MTD_PRELOAD_RUNNING,
    NGX_MTD_PRELOAD_DONE,
    NGX_MTD_PRELOAD_FULL,                   /* the zone is, so it stopped */
    NGX_MTD_PRELOAD_REFUSED,                /* redis does not let it */
    NGX_MTD_PRELOAD_N
} ngx_mtd_preload_state_e;


typedef struct {
    u_char                   text[NGX_INT64_LEN];
    size_t                   len;
} ngx_mtd_preload_cursor_t;


/* the servers that requests ask, NULL: there are no more */

typedef ngx_mtd_node_t *(*ngx_mtd_preload_node_pt)(void *data, ngx_uint_t i);


typedef struct {
    ngx_uint_t               on;            /* unsigned  on:1; */
    ngx_mtd_redis_t          redis;
    ngx_mtd_lookups_t        lookups;       /* of this connection */
    ngx_mtd_preload_node_pt  node;
    void                    *data;          /* of node */

    /* of the worker that does it; pattern is empty in others */

    ngx_str_t                pattern;
    ngx_event_t              timer;
    ngx_uint_t               at;            /* the node */
    ngx_mtd_node_t           copy;          /* it may go, where it is stays */
    uint64_t                 expected;      /* who must be there */
    ngx_mtd_preload_cursor_t cursor;        /* comes next */
    ngx_mtd_preload_cursor_t asking;        /* its keys are being asked for */
    uint64_t                 server;        /* whose cursors these are */
    ngx_msec_t               from;          /* the pass began */
    ngx_atomic_uint_t        evicted;       /* by this worker until then */
} ngx_mtd_preload_t;


/*
 * In each worker; lookups has been set up as that of the requests, but for
 * redis.  The pools are the cycle's.
 */

ngx_int_t ngx_mtd_preload_init_process(ngx_mtd_preload_t *preload,
    ngx_mtd_redis_conf_t *conf, ngx_cycle_t *cycle);
void ngx_mtd_preload_exit_process(ngx_mtd_preload_t *preload);

/* all may have changed: the link is up again, or redis was flushed */

void ngx_mtd_preload_again(ngx_mtd_preload_t *preload);

const char *ngx_mtd_preload_name(ngx_uint_t state);


#endif /* _NGX_MTD_PRELOAD_H_INCLUDED_ */
