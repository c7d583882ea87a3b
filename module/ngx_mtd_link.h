
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * The link over which Redis tells a worker of every changed key: tracking
 * in broadcast mode that redirects to the very connection it was asked on,
 * which subscribes to the invalidations.  So it lives and dies as one.
 *
 * A PING is sent every NGX_MTD_LINK_PROBE ms.  Its answer proves more than
 * life: messages arrive in order, so all changes made before the PING was
 * sent have been applied.  From that moment on the zone may be trusted for
 * NGX_MTD_LINK_LEASE ms.
 *
 * What a store knows may come from several servers, so it is trusted as long
 * as the links to all of them are confirmed.
 */


#ifndef _NGX_MTD_LINK_H_INCLUDED_
#define _NGX_MTD_LINK_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "mtd_key.h"
#include "ngx_mtd_redis.h"
#include "ngx_mtd_zone.h"


#define NGX_MTD_LINK_PROBE     250          /* ms */
#define NGX_MTD_LINK_LEASE     750


typedef void (*ngx_mtd_link_changed_pt)(void *data,
    ngx_mtd_changed_e changed, const mtd_hash_t *device);


/* all links of one worker for one store */

typedef struct {
    ngx_mtd_zone_t            *zone;
    const mtd_names_t         *names;
    ngx_queue_t                links;       /* of ngx_mtd_link_t */
    ngx_msec_t                 since;       /* the latest of all links */

    /* the zone knows it already; device is set for a device only */

    ngx_mtd_link_changed_pt    on_changed;

    /* another worker asks other servers than this one */

    ngx_mtd_redis_event_pt     on_parted;
    void                      *data;
} ngx_mtd_links_t;


typedef struct {
    ngx_mtd_redis_t            redis;
    ngx_queue_t                queue;
    ngx_mtd_links_t           *links;
    ngx_event_t                probe;
    uint64_t                   server;      /* that the lookups ask */
    ngx_msec_t                 since;       /* subscribed */
    ngx_msec_t                 confirmed;   /* 0: not since then */
    ngx_msec_t                 leaving;     /* since when, 0: it is not */
    ngx_msec_t                 pinged;      /* 0: no answer is awaited */
    uint64_t                   clock;       /* the same in microseconds */
    ngx_msec_t                 again;       /* a second PING on its heels */
    uint64_t                   clock_again;

    /* the address leads to another server than that of the lookups */

    ngx_mtd_redis_event_pt     on_moved;
    void                      *data;
} ngx_mtd_link_t;


/* the caller has set names and handlers */

void ngx_mtd_links_init(ngx_mtd_links_t *links, ngx_mtd_zone_t *zone);

/* trust waits for the link from now on, until it is destroyed */

void ngx_mtd_link_init(ngx_mtd_link_t *link, ngx_mtd_redis_conf_t *conf,
    ngx_mtd_links_t *links, ngx_log_t *log);
void ngx_mtd_link_destroy(ngx_mtd_link_t *link);

/* to the address that lookups use: both must be the same server */

void ngx_mtd_link_start(ngx_mtd_link_t *link, ngx_mtd_redis_t *data);
void ngx_mtd_link_stop(ngx_mtd_link_t *link);


#endif /* _NGX_MTD_LINK_H_INCLUDED_ */
