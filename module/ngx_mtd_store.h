
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * A store, as configured by mtd_redis {}: where its Redis is, how its keys
 * are named and how long what it says is believed; and, in each worker, the
 * connections and lookups that belong to it.
 */


#ifndef _NGX_MTD_STORE_H_INCLUDED_
#define _NGX_MTD_STORE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_mtd_bypass.h"
#include "ngx_mtd_cluster.h"
#include "ngx_mtd_lookup.h"
#include "ngx_mtd_node.h"
#include "ngx_mtd_preload.h"
#include "ngx_mtd_sentinel.h"
#include "ngx_mtd_state.h"


/* from best to worst */

typedef enum {
    NGX_MTD_HEALTH_SERVING = 0,
    NGX_MTD_HEALTH_STALE,                   /* known devices only */
    NGX_MTD_HEALTH_REFUSING,                /* nobody is known */
    NGX_MTD_HEALTH_N
} ngx_mtd_health_e;


typedef struct {
    ngx_str_t                name;
    ngx_str_t                server;        /* as configured */
    ngx_mtd_redis_conf_t     redis_conf;
    ngx_mtd_sentinel_conf_t  sentinel_conf;
    ngx_mtd_cluster_conf_t   cluster_conf;
    mtd_names_t              names;
    size_t                   zone_size;
    ngx_msec_t               fresh;
    ngx_msec_t               unknown;
    ngx_msec_t               stale;
    time_t                   ttl;           /* seconds */

    ngx_shm_zone_t          *shm_zone;
    ngx_mtd_zone_t           zone;
    ngx_mtd_state_t          state;

    /* of this worker */

    ngx_mtd_node_t           node;          /* the one, if no cluster */
    ngx_mtd_sentinels_t      sentinels;     /* that know where it is */
    ngx_mtd_cluster_t       *cluster;       /* NULL: there is none */
    ngx_mtd_links_t          links;
    ngx_mtd_lookups_t        lookups;
    ngx_mtd_bypass_t         bypass;
    ngx_mtd_preload_t        preload;
    ngx_mtd_health_e         told;          /* in the log */
    ngx_event_t              aged;          /* stale ends */

    /* set by the owner before init_process; of this worker, too */

    ngx_mtd_link_changed_pt  on_changed;
    void                    *owner;
} ngx_mtd_store_t;


/*
 * Adds the zone, once the configuration is complete.  All that makes old
 * contents worthless (server, database, prefix, secret) is in the zone's
 * name, so a reload that changes any of it starts with an empty one.
 */

ngx_int_t ngx_mtd_store_add_zone(ngx_conf_t *cf, ngx_mtd_store_t *store,
    ngx_str_t *kinds, ngx_uint_t nkinds, void *tag);

/* in each worker */

ngx_int_t ngx_mtd_store_init_process(ngx_mtd_store_t *store,
    ngx_cycle_t *cycle);
void ngx_mtd_store_exit_process(ngx_mtd_store_t *store);

/* who has the key of this name; NULL if nobody is known */

ngx_mtd_redis_t *ngx_mtd_store_redis(ngx_mtd_store_t *store,
    const u_char *name, size_t len);

/* the servers that this worker asks, NULL: there are no more */

ngx_mtd_node_t *ngx_mtd_store_node(ngx_mtd_store_t *store, ngx_uint_t i);

/* of its connections, in a cluster the least of each kind */

ngx_uint_t ngx_mtd_store_state(ngx_mtd_store_t *store);
ngx_uint_t ngx_mtd_store_push_state(ngx_mtd_store_t *store);

/* in a cluster that of a node whose breaker is not closed */

ngx_mtd_breaker_e ngx_mtd_store_breaker(ngx_mtd_store_t *store);

/*
 * What this worker can do now.  STALE ends when the newest device is "stale"
 * old, whoever has fetched it: then no record is young enough.
 */

ngx_mtd_health_e ngx_mtd_store_health(ngx_mtd_store_t *store);
const char *ngx_mtd_store_health_name(ngx_mtd_health_e health);


#endif /* _NGX_MTD_STORE_H_INCLUDED_ */
