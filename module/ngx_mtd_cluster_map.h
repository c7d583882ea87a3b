
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/* what a server of a cluster answers to CLUSTER SLOTS, while it is read */


#ifndef _NGX_MTD_CLUSTER_MAP_H_INCLUDED_
#define _NGX_MTD_CLUSTER_MAP_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_event_connect.h>

#include "mtd_slot.h"
#include "ngx_mtd_place.h"
#include "ngx_mtd_resp.h"


#define NGX_MTD_CLUSTER_NODES    256        /* at most, and seeds, too */
#define NGX_MTD_CLUSTER_NONE     0xffff


typedef struct {
    ngx_peer_connection_t   *peer;          /* who answers */
    ngx_uint_t               sub;           /* element of a range */
    ngx_uint_t               first;
    ngx_uint_t               last;
    u_char                   host[NGX_MTD_PLACE_HOST];   /* of its master */
    size_t                   len;
    ngx_int_t                port;
    ngx_uint_t               awaited;       /* unsigned  awaited:1; master */
    ngx_uint_t               unnamed;       /* unsigned  unnamed:1; "?" */
    ngx_uint_t               is_ip;         /* unsigned  is_ip:1; follows */
    ngx_uint_t               invalid;       /* unsigned  invalid:1; */
    ngx_uint_t               n;
    ngx_mtd_place_t          place[NGX_MTD_CLUSTER_NODES];
    uint16_t                 slot[MTD_SLOTS];   /* of place, or NONE */
} ngx_mtd_cluster_map_t;


void ngx_mtd_cluster_map_start(ngx_mtd_cluster_map_t *map,
    ngx_peer_connection_t *peer);

/* see ngx_mtd_resp_element_pt */

void ngx_mtd_cluster_map_element(ngx_mtd_cluster_map_t *map,
    ngx_uint_t depth, ngx_uint_t index, ngx_mtd_value_t *value);

/* 1 if it has masters, and each range tells where its own is */

ngx_uint_t ngx_mtd_cluster_map_complete(ngx_mtd_cluster_map_t *map);

/* of a server that is to tell names but was given none */

ngx_uint_t ngx_mtd_cluster_map_unnamed(ngx_str_t *host);


#endif /* _NGX_MTD_CLUSTER_MAP_H_INCLUDED_ */
