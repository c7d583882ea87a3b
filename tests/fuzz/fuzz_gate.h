
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * What is around the gate's readers of what a Redis server tells of others:
 * a connection is a list of who waits for a reply, nodes are never connected,
 * and no time passes.
 */


#ifndef _FUZZ_GATE_H_INCLUDED_
#define _FUZZ_GATE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "ngx_mtd_node.h"
#include "ngx_mtd_redis_hello.h"


#define FUZZ_MOVES         64
#define FUZZ_SELF          "192.0.2.7"
#define FUZZ_EPOCH         100      /* that the zone knows */


/* what the gate does, and what it is told of the servers around */

typedef struct {
    int               behind;       /* whoever is asked, of an old epoch */
    size_t            commands;     /* for which there is memory */

    int               agreed;       /* one has told all, of this epoch */
    uint64_t          epoch;
    int               found;
    ngx_mtd_place_t   place;
    ngx_uint_t        role;
    ngx_mtd_place_t  *named;        /* by who makes the node move */
    size_t            moves;
    ngx_mtd_place_t   move[FUZZ_MOVES];
} fuzz_gate_t;


extern fuzz_gate_t    fuzz_gate;
extern ngx_log_t      fuzz_gate_log;


void fuzz_gate_reset(void);

/* the handler of the next event that is posted */

void fuzz_gate_turn(void);

/* redis connects to FUZZ_SELF, which says that and closes */

void fuzz_gate_speak(ngx_mtd_redis_t *redis, const u_char *data, size_t size,
    unsigned part);


#endif /* _FUZZ_GATE_H_INCLUDED_ */
