
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * One Redis server as one worker sees it: the connection that asks it and
 * the link over which it tells of changes.  A store has one of them, in a
 * cluster one for each master.
 */


#ifndef _NGX_MTD_NODE_H_INCLUDED_
#define _NGX_MTD_NODE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_mtd_link.h"
#include "ngx_mtd_place.h"
#include "ngx_mtd_redis.h"


/* what the server must be, or it is not asked */

typedef enum {
    NGX_MTD_ROLE_ANY = 0,
    NGX_MTD_ROLE_MASTER,
    NGX_MTD_ROLE_REPLICA                    /* and connected to its master */
} ngx_mtd_role_e;


typedef struct ngx_mtd_node_s  ngx_mtd_node_t;

typedef void (*ngx_mtd_node_pt)(ngx_mtd_node_t *node);


struct ngx_mtd_node_s {
    ngx_mtd_redis_t        data;
    ngx_mtd_link_t         link;
    ngx_mtd_redis_conf_t   conf;
    ngx_mtd_zone_t        *zone;
    ngx_addr_t             addr;            /* if it has settled */
    ngx_mtd_place_t        place;           /* where it was said to be */
    ngx_mtd_place_t        also;            /* a name of the same, or none */
    ngx_resolver_ctx_t    *looking;         /* whether also is one */
    ngx_uint_t             looked;          /* epoch of data then */
    ngx_uint_t             linked;          /* unsigned  linked:1; */
    ngx_uint_t             role;            /* set before it is connected */
    ngx_event_t            check;           /* of the role, now and then */
    ngx_msec_t             moved;           /* last, 0: never */
#if (NGX_SSL)
    ngx_mtd_tls_t          tls;
#endif
    u_char                 name[NGX_MTD_PLACE_STRLEN];

    /* the owner's */

    ngx_queue_t            queue;
    ngx_msec_t             invited;
    void                  *finder;
    ngx_mtd_node_pt        on_ready;
    ngx_mtd_node_pt        on_down;         /* an attempt failed, too */
    void                  *owner;
};


/*
 * conf is copied, zone is set.  Without links it has no link.  To look for
 * the server on each connect the owner sets data.on_find, which gets the
 * node, and calls ngx_mtd_node_found().
 */

void ngx_mtd_node_init(ngx_mtd_node_t *node, const ngx_mtd_redis_conf_t *conf,
    ngx_mtd_links_t *links, ngx_log_t *log);

/* the server is there and nowhere else */

void ngx_mtd_node_settle(ngx_mtd_node_t *node, ngx_mtd_place_t *place,
    ngx_mtd_role_e role);

/* ... where other is connected to, and of its name */

void ngx_mtd_node_beside(ngx_mtd_node_t *node, ngx_mtd_node_t *other);

/* for now */

void ngx_mtd_node_found(ngx_mtd_node_t *node, ngx_mtd_place_t *place,
    ngx_mtd_role_e role);

/* data asks another server than the link or the zone is of: connects anew */

void ngx_mtd_node_moved(ngx_mtd_node_t *node);

/*
 * Others say that it is there: if data is connected to that it stays so, else
 * it is restarted.  They may tell the address, or a name that leads to it.
 */

void ngx_mtd_node_said(ngx_mtd_node_t *node, ngx_mtd_place_t *place,
    ngx_mtd_role_e role);

/* another server, or the same anew, at once; who asks may wait for it */

void ngx_mtd_node_restart(ngx_mtd_node_t *node);

/* 1 if data is, or is being, connected to it */

ngx_uint_t ngx_mtd_node_at(ngx_mtd_node_t *node, ngx_mtd_place_t *place);

/* what it is called; buf has NGX_MTD_PLACE_STRLEN bytes */

void ngx_mtd_node_name(ngx_mtd_node_t *node, ngx_str_t *name, u_char *buf);
const char *ngx_mtd_node_role_name(ngx_mtd_node_t *node);

/* where data is connected to; buf has NGX_SOCKADDR_STRLEN bytes */

size_t ngx_mtd_node_address(ngx_mtd_node_t *node, u_char *buf);

/* who waits for an answer may ask elsewhere */

void ngx_mtd_node_stop(ngx_mtd_node_t *node);

/* tells nobody: the worker exits, or the node was stopped before */

void ngx_mtd_node_destroy(ngx_mtd_node_t *node);


#endif /* _NGX_MTD_NODE_H_INCLUDED_ */
