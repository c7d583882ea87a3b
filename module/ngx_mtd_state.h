
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * The last known state: what the zone knows, in a file, so that a gateway
 * that starts while Redis is away still knows its devices.  Nothing out of
 * the file is ever fresh; it serves as what is known serves while Redis does
 * not answer, for as long as its true age allows.
 *
 * One worker writes it, a slice in each turn of the event loop; a thread
 * that does nothing else waits for the disk, see ngx_mtd_state_file.h.  What
 * is read back, and how much of it is believed, is in ngx_mtd_state_load.c.
 *
 * stage: IDLE -> DEVICES -> ALIASES -> TEXTS -> SYNC (the thread) -> IDLE
 */


#ifndef _NGX_MTD_STATE_H_INCLUDED_
#define _NGX_MTD_STATE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include <openssl/evp.h>
#include <pthread.h>

#include "mtd_state.h"
#include "ngx_mtd_zone.h"


#define NGX_MTD_STATE_SLICE    32768        /* bytes, in one turn */


typedef enum {
    NGX_MTD_STATE_IDLE = 0,
    NGX_MTD_STATE_DEVICES,
    NGX_MTD_STATE_ALIASES,
    NGX_MTD_STATE_TEXTS,
    NGX_MTD_STATE_SYNC
} ngx_mtd_state_stage_e;


typedef struct {
    ngx_str_t               path;           /* len 0: there is none */
    ngx_str_t               temp;           /* in the same directory */
    ngx_str_t               dir;
    ngx_core_conf_t        *ccf;            /* whose user workers have */
    ngx_str_t              *store;          /* its name, for the log */
    ngx_mtd_zone_t         *zone;
    ngx_msec_t              stale;
    mtd_state_seal_t        seal;
    ngx_log_t              *log;

    /* of the worker that writes; buf NULL: another one does */

    u_char                 *buf;
    ngx_event_t             timer;
    ngx_uint_t              stage;
    ngx_fd_t                fd;
    EVP_MD_CTX             *digest;
    mtd_state_head_t        head;
    ngx_uint_t              part;           /* of the zone, comes next */
    uint32_t                text;           /* written last */
    uint64_t                valid_from;     /* when writing began */
    uint64_t                begun;          /* sum of counters then */
    uint64_t                done;           /* the same, of what is there */
    uint64_t                slice;          /* longest, microseconds */
    const char             *failed;         /* what did, the last time */
    unsigned                threaded:1;

    /* shared with the thread, which owns them while it runs */

    pthread_t               thread;
    ngx_uint_t              synced;
    ngx_err_t               err;
    const char             *what;
} ngx_mtd_state_t;


static ngx_inline uint64_t
ngx_mtd_state_wall(void)
{
    ngx_time_t  *tp;

    tp = ngx_timeofday();

    return (uint64_t) tp->sec * 1000 + tp->msec;
}


/* path is as written, and store is set; says in the log what is wrong */

ngx_int_t ngx_mtd_state_conf(ngx_conf_t *cf, ngx_mtd_state_t *state);

/* what makes contents valid: the zone's name, and its secret */

ngx_int_t ngx_mtd_state_bind(ngx_mtd_state_t *state, ngx_str_t *zone);

/* into a zone that was just created; says why in the log if it does not */

void ngx_mtd_state_load(ngx_mtd_state_t *state, ngx_log_t *log);

/* in each worker; when it exits it writes for the last time */

ngx_int_t ngx_mtd_state_init_process(ngx_mtd_state_t *state,
    ngx_cycle_t *cycle);
void ngx_mtd_state_exit_process(ngx_mtd_state_t *state);


#endif /* _NGX_MTD_STATE_H_INCLUDED_ */
