
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * The masters of a Redis Cluster, and which of them has a key.  Any of them
 * is asked for the map of slots; MOVED corrects it, ASK is followed once.
 *
 * What the zone knows is trusted while the links to all masters are
 * confirmed, and belongs to this very set of them: another set is another
 * server to the zone.
 */


#ifndef _NGX_MTD_CLUSTER_H_INCLUDED_
#define _NGX_MTD_CLUSTER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_mtd_cluster_map.h"
#include "ngx_mtd_node.h"
#include "ngx_mtd_redis.h"
#include "ngx_mtd_zone.h"


/* from the configuration */

typedef struct {
    ngx_mtd_redis_conf_t    *seeds;
    ngx_uint_t               n;             /* 0: it is no cluster */
} ngx_mtd_cluster_conf_t;


/* of one worker for one store */

typedef struct {
    ngx_mtd_cluster_conf_t  *conf;
    ngx_mtd_redis_conf_t    *node_conf;     /* of all nodes, but for address */
    ngx_mtd_links_t         *links;
    ngx_mtd_zone_t          *zone;
    ngx_log_t               *log;

    ngx_uint_t               n;
    ngx_mtd_node_t          *node[NGX_MTD_CLUSTER_NODES];
    uint16_t                 slot[MTD_SLOTS];   /* of node, or NONE */
    uint64_t                 server;        /* of the set, for the zone */
    ngx_queue_t              guests;        /* that ASK has named */
    ngx_mtd_redis_t          none;          /* never there; until a map is */

    ngx_mtd_redis_t          ask;
    ngx_mtd_redis_conf_t     ask_conf;      /* of who is asked */
    ngx_event_t              turn;          /* the next one is asked */
    ngx_event_t              again;         /* the map may have changed */
    ngx_uint_t               next;
    ngx_uint_t               asked;         /* in this round */
    ngx_uint_t               asking;        /* unsigned  asking:1; */
    ngx_msec_t               behind;        /* see ngx_mtd_zone_agree() */
    uint64_t                 epoch;
    ngx_mtd_cluster_map_t    map;

    /* a node, or the map, is there, or lost */

    ngx_mtd_redis_event_pt   on_change;
    void                    *data;
} ngx_mtd_cluster_t;


/* the caller has set the handler */

void ngx_mtd_cluster_init(ngx_mtd_cluster_t *cluster,
    ngx_mtd_cluster_conf_t *conf, ngx_mtd_redis_conf_t *node_conf,
    ngx_mtd_links_t *links, ngx_log_t *log);
void ngx_mtd_cluster_destroy(ngx_mtd_cluster_t *cluster);

/*
 * Who has the key; NULL if nobody.  As long as the map is awaited this is a
 * connection that is never there.
 */

ngx_mtd_redis_t *ngx_mtd_cluster_choose(ngx_mtd_cluster_t *cluster,
    const u_char *name, size_t len);

/*
 * error is a reply of from; NULL if it redirects nowhere.  With *asking set the
 * command, and nothing but this one, is to be asked there behind ASKING.
 */

ngx_mtd_redis_t *ngx_mtd_cluster_redirect(ngx_mtd_cluster_t *cluster,
    ngx_mtd_redis_t *from, ngx_str_t *error, ngx_uint_t *asking);

/* a question has waited too long for those that are not there yet */

void ngx_mtd_cluster_late(ngx_mtd_cluster_t *cluster);

ngx_mtd_breaker_e ngx_mtd_cluster_breaker(ngx_mtd_cluster_t *cluster);

/* another worker has another map, perhaps */

void ngx_mtd_cluster_refresh(ngx_mtd_cluster_t *cluster);

/* how many slots the master of this number has */

ngx_uint_t ngx_mtd_cluster_slots(ngx_mtd_cluster_t *cluster, ngx_uint_t i);

/* 1 if each slot has a master that answers */

ngx_uint_t ngx_mtd_cluster_whole(ngx_mtd_cluster_t *cluster);


#endif /* _NGX_MTD_CLUSTER_H_INCLUDED_ */
