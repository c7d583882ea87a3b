
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/* the nodes of a cluster, which slot is whose, and connections to them */


#ifndef _MTDCTL_CLUSTER_H_INCLUDED_
#define _MTDCTL_CLUSTER_H_INCLUDED_


#include "mtdctl.h"


#define MTDCTL_NONE            (-1)
#define MTDCTL_SLOTS           16384
#define MTDCTL_NODES           256


typedef struct {
    char               address[MTDCTL_ADDRESS];
    redisContext      *redis;           /* NULL: not connected */
    mtdctl_tls_t      *tls;
} mtdctl_node_t;


/* that of node "current" is in ctl */

typedef struct {
    mtdctl_node_t      node[MTDCTL_NODES];
    int                n;
    int                current;
    int16_t            slot[MTDCTL_SLOTS];
} mtdctl_nodes_t;


/* the first one is what ctl is connected to */

int mtdctl_nodes_init(mtdctl_t *ctl, mtdctl_nodes_t *nodes);
void mtdctl_nodes_close(mtdctl_t *ctl, mtdctl_nodes_t *nodes);

/* from then on ctl is connected to this one */

int mtdctl_nodes_reach(mtdctl_t *ctl, mtdctl_nodes_t *nodes, int node);
void mtdctl_nodes_drop(mtdctl_t *ctl, mtdctl_nodes_t *nodes, int node);

/* asks for the slots, one node after the other until one tells */

int mtdctl_nodes_slots(mtdctl_t *ctl, mtdctl_nodes_t *nodes);

/* the next one that has slots, MTDCTL_NONE after the last */

int mtdctl_nodes_master(const mtdctl_nodes_t *nodes, int after);

/* where "MOVED SLOT HOST:PORT" or ASK leads */

int mtdctl_nodes_redirect(mtdctl_t *ctl, mtdctl_nodes_t *nodes,
    const char *error);

int mtdctl_nodes_slot(const mtd_str_t *key);


#endif /* _MTDCTL_CLUSTER_H_INCLUDED_ */
