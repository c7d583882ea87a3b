
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include "ngx_mtd_cluster_map.h"


static void ngx_mtd_cluster_map_limit(ngx_mtd_cluster_map_t *map,
    ngx_uint_t index, ngx_mtd_value_t *value);
static void ngx_mtd_cluster_map_master(ngx_mtd_cluster_map_t *map,
    ngx_uint_t depth, ngx_uint_t index, ngx_mtd_value_t *value);
static void ngx_mtd_cluster_map_host(ngx_mtd_cluster_map_t *map,
    ngx_mtd_value_t *value);
static void ngx_mtd_cluster_map_range(ngx_mtd_cluster_map_t *map);


void
ngx_mtd_cluster_map_start(ngx_mtd_cluster_map_t *map,
    ngx_peer_connection_t *peer)
{
    map->peer = peer;
    map->sub = 0;
    map->len = 0;
    map->awaited = 0;
    map->unnamed = 0;
    map->invalid = 0;
    map->n = 0;

    ngx_memset(map->slot, 0xff, sizeof(map->slot));
}


/* ranges, each of first and last slot, the master and its replicas */

void
ngx_mtd_cluster_map_element(ngx_mtd_cluster_map_t *map, ngx_uint_t depth,
    ngx_uint_t index, ngx_mtd_value_t *value)
{
    if (depth == 1) {
        map->invalid |= map->awaited;
        map->awaited = 1;

    } else if (depth == 2) {
        map->sub = index;

        if (index < 2) {
            ngx_mtd_cluster_map_limit(map, index, value);
        }

    } else if (depth > 2 && map->sub == 2 && !map->invalid) {
        ngx_mtd_cluster_map_master(map, depth, index, value);
    }
}


static void
ngx_mtd_cluster_map_limit(ngx_mtd_cluster_map_t *map, ngx_uint_t index,
    ngx_mtd_value_t *value)
{
    if (value->type != NGX_MTD_VALUE_INTEGER
        || value->integer < 0 || value->integer >= MTD_SLOTS)
    {
        map->invalid = 1;

    } else if (index == 0) {
        map->first = (ngx_uint_t) value->integer;

    } else {
        map->last = (ngx_uint_t) value->integer;
    }
}


/* host, port, id, and since Redis 7.0 an array of what else is known of it */

static void
ngx_mtd_cluster_map_master(ngx_mtd_cluster_map_t *map, ngx_uint_t depth,
    ngx_uint_t index, ngx_mtd_value_t *value)
{
    if (depth == 3 && index == 0) {
        map->unnamed = ngx_mtd_cluster_map_unnamed(&value->text);
        ngx_mtd_cluster_map_host(map, value);

    } else if (depth == 3 && index == 1) {
        map->port = (value->type == NGX_MTD_VALUE_INTEGER)
                    ? (ngx_int_t) value->integer : 0;

        if (!map->unnamed) {
            ngx_mtd_cluster_map_range(map);
        }

    } else if (depth == 4 && index % 2 == 0) {
        map->is_ip = (value->text.len == 2
                      && ngx_strncmp(value->text.data, "ip", 2) == 0);

    } else if (depth == 4 && map->unnamed && map->is_ip && value->text.len) {
        map->unnamed = 0;

        ngx_mtd_cluster_map_host(map, value);
        ngx_mtd_cluster_map_range(map);
    }
}


static void
ngx_mtd_cluster_map_host(ngx_mtd_cluster_map_t *map, ngx_mtd_value_t *value)
{
    if (value->type != NGX_MTD_VALUE_STRING
        && value->type != NGX_MTD_VALUE_NIL)
    {
        map->invalid = 1;
        return;
    }

    map->len = ngx_min(value->text.len, NGX_MTD_PLACE_HOST);
    ngx_memcpy(map->host, value->text.data, map->len);
}


static void
ngx_mtd_cluster_map_range(ngx_mtd_cluster_map_t *map)
{
    ngx_str_t        host;
    ngx_uint_t       i, slot;
    ngx_mtd_place_t  place;

    map->awaited = 0;

    /* a server that does not know its own address means the one it has */

    if (map->len == 0) {
        map->len = ngx_sock_ntop(map->peer->sockaddr, map->peer->socklen,
                                 map->host, NGX_MTD_PLACE_HOST, 0);
    }

    host.data = map->host;
    host.len = map->len;

    if (ngx_mtd_place(&place, &host, map->port) != NGX_OK) {
        map->invalid = 1;
        return;
    }

    for (i = 0; i < map->n; i++) {
        if (ngx_mtd_place_same(&map->place[i], &place)) {
            break;
        }
    }

    if (i == NGX_MTD_CLUSTER_NODES) {
        map->invalid = 1;
        return;
    }

    if (i == map->n) {
        map->place[map->n++] = place;
    }

    for (slot = map->first; slot <= map->last; slot++) {
        map->slot[slot] = (uint16_t) i;
    }
}


ngx_uint_t
ngx_mtd_cluster_map_complete(ngx_mtd_cluster_map_t *map)
{
    return !map->invalid && !map->awaited && map->n;
}


ngx_uint_t
ngx_mtd_cluster_map_unnamed(ngx_str_t *host)
{
    return host->len == 1 && host->data[0] == '?';
}
