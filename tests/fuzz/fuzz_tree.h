
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * What Sentinel or a server of a cluster has said, read anew for the target
 * "topology": RESP2 as a tree, and what follows from it.
 */


#ifndef _FUZZ_TREE_H_INCLUDED_
#define _FUZZ_TREE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "ngx_mtd_cluster_map.h"
#include "ngx_mtd_place.h"


#define FUZZ_NODES         4096


typedef struct fuzz_node_s  fuzz_node_t;

/* type is the first byte of RESP2, '_' if there is nothing */

struct fuzz_node_s {
    char              type;
    mtd_str_t         text;
    long long         n;            /* elements, or an integer */
    fuzz_node_t      *first;
    fuzz_node_t      *next;
};


/* of CLUSTER SLOTS */

typedef struct {
    int               valid;
    size_t            n;
    ngx_mtd_place_t   place[NGX_MTD_CLUSTER_NODES];
    uint16_t          slot[MTD_SLOTS];
} fuzz_map_t;


/* of SENTINEL MASTER, and of each replica */

typedef struct {
    mtd_str_t         ip;
    mtd_str_t         port;
    mtd_str_t         flags;
    mtd_str_t         link;
    mtd_str_t         epoch;
} fuzz_fields_t;


/*
 * The replies one after the other, linked by next; n says how many.  NULL if
 * not all of it is whole.
 */

fuzz_node_t *fuzz_tree(const uint8_t *data, size_t size, size_t *n);

fuzz_node_t *fuzz_tree_at(fuzz_node_t *array, size_t index);
int fuzz_tree_is(const fuzz_node_t *node, const char *text);

/* 1 if text and port, in digits, are a place */

int fuzz_tree_place(ngx_mtd_place_t *place, mtd_str_t *host,
    const mtd_str_t *port);

/* self is the host of who has answered */

void fuzz_tree_map(fuzz_map_t *map, fuzz_node_t *reply, const char *self);
void fuzz_tree_fields(fuzz_fields_t *fields, fuzz_node_t *array);

/* of digits behind name, without letter case; -1 if it is not there */

long long fuzz_tree_number(const fuzz_node_t *text, const char *name,
    size_t digits, int base);

uint32_t fuzz_tree_crc32(uint32_t crc, const u_char *p, size_t len);


#endif /* _FUZZ_TREE_H_INCLUDED_ */
