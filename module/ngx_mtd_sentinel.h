
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * Where the master is, or a replica that may be read, by Redis's Sentinels.
 * They are asked one after the other on each connect; and each of them is
 * watched, so that the worker leaves an old master as soon as one tells of a
 * new one.
 */


#ifndef _NGX_MTD_SENTINEL_H_INCLUDED_
#define _NGX_MTD_SENTINEL_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_mtd_node.h"
#include "ngx_mtd_redis.h"
#include "ngx_mtd_zone.h"


#define NGX_MTD_SENTINELS          16       /* of one store, at most */
#define NGX_MTD_SENTINEL_TIMEOUT   300      /* ms, for each to answer */


/* from the configuration */

typedef struct {
    ngx_str_t                master;        /* as the Sentinels name it */
    ngx_mtd_redis_conf_t    *servers;
    ngx_uint_t               n;             /* 0: there are none */
    ngx_uint_t               replica;       /* unsigned  replica:1; read it */
} ngx_mtd_sentinel_conf_t;


typedef struct ngx_mtd_sentinels_s  ngx_mtd_sentinels_t;


/* a replica while a Sentinel describes it */

typedef struct {
    u_char                   host[NGX_MTD_PLACE_HOST];
    size_t                   len;
    ngx_int_t                port;
    unsigned                 up:1;          /* by its flags */
    unsigned                 linked:1;      /* to its master */
} ngx_mtd_sentinel_replica_t;


/* a connection to one of them, and what it says */

typedef struct {
    ngx_mtd_redis_t          redis;
    ngx_mtd_sentinels_t     *sentinels;
    ngx_event_t              probe;
    ngx_msec_t               pinged;        /* 0: no answer is awaited */
    ngx_uint_t               step;          /* the answer that is read */
    ngx_uint_t               field;
    ngx_mtd_place_t          master;
    uint64_t                 epoch;
    ngx_mtd_sentinel_replica_t  replica;
    ngx_mtd_place_t          best;          /* of the replicas */
    uint32_t                 weight;
} ngx_mtd_sentinel_t;


/* of one worker for one store */

struct ngx_mtd_sentinels_s {
    ngx_mtd_sentinel_conf_t *conf;
    ngx_mtd_node_t          *node;
    ngx_mtd_zone_t          *zone;
    ngx_log_t               *log;
    ngx_mtd_sentinel_t       ask;
    ngx_mtd_sentinel_t      *watch;         /* conf->n of them */
    ngx_event_t              turn;          /* the next one is asked */
    ngx_event_t              again;         /* has anything changed? */
    ngx_uint_t               next;
    ngx_uint_t               asked;         /* in this round */
    ngx_uint_t               asking;        /* unsigned  asking:1; */
    ngx_msec_t               behind;        /* see ngx_mtd_zone_agree() */
    ngx_msec_t               checked;
    ngx_mtd_place_t          avoid;         /* a replica that did not do */
    ngx_msec_t               avoided;
    ngx_uint_t               tried;         /* epoch of the node's data */
};


/* makes itself the finder of the node, which is not started yet */

ngx_int_t ngx_mtd_sentinels_init(ngx_mtd_sentinels_t *sentinels,
    ngx_mtd_sentinel_conf_t *conf, ngx_mtd_node_t *node, ngx_pool_t *pool,
    ngx_log_t *log);
void ngx_mtd_sentinels_destroy(ngx_mtd_sentinels_t *sentinels);

/* something is odd: ask whether the node is still the right one */

void ngx_mtd_sentinels_check(ngx_mtd_sentinels_t *sentinels);

/* an attempt to connect to the node failed */

void ngx_mtd_sentinels_failed(ngx_mtd_sentinels_t *sentinels);


#endif /* _NGX_MTD_SENTINEL_H_INCLUDED_ */
