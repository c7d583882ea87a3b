
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * The break-glass bypass: for some time the administrators let devices pass
 * that would be refused.  It is the hash PREFIXbypass in Redis, of which
 * every worker is told as of a device; what it says is kept in the zone, so
 * that it holds for all workers, outlives them, and ends by the clock while
 * Redis is away.
 *
 * A server that has never heard of it does not end it: an emergency may be
 * that Redis has come back empty.  To end it mtdctl leaves a hash whose time
 * is over, for those who could not be told.
 */


#ifndef _NGX_MTD_BYPASS_H_INCLUDED_
#define _NGX_MTD_BYPASS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "mtd_key.h"
#include "ngx_mtd_lookup.h"
#include "ngx_mtd_redis.h"
#include "ngx_mtd_zone.h"


#define NGX_MTD_BYPASS_MAX     86400        /* seconds */


typedef void (*ngx_mtd_bypass_over_pt)(void *data);


/* of one worker for one store */

typedef struct {
    ngx_mtd_zone_t           *zone;
    const ngx_str_t          *redis;        /* its name, for the log */
    ngx_mtd_lookup_choose_pt  choose;
    ngx_mtd_lookup_redirect_pt  redirect;   /* NULL: nobody redirects */
    const mtd_names_t        *names;
    ngx_log_t                *log;
    ngx_event_t               tick;

    /* it is over: what it let pass is to be decided on again */

    ngx_mtd_bypass_over_pt    on_over;
    void                     *data;         /* of choose, too */

    ngx_mtd_redis_t          *from;         /* who is asked */
    ngx_mtd_zone_bypass_t     next;         /* between the two replies */
    const char               *why;          /* it cannot be read */
    unsigned                  due:1;        /* redis is to be asked */
    unsigned                  asking:1;
    unsigned                  moved:1;      /* another server has it */
    unsigned                  guest:1;      /* ... to which it is on its way */
    unsigned                  oversize:1;   /* not asked before it changes */
    unsigned                  held:1;       /* when last looked at */
} ngx_mtd_bypass_t;


/* the caller has set all up to names, on_over and data */

void ngx_mtd_bypass_init(ngx_mtd_bypass_t *bypass, ngx_log_t *log);

/* redis is ready; it has told that the key, or all, may have changed */

void ngx_mtd_bypass_ready(ngx_mtd_bypass_t *bypass);
void ngx_mtd_bypass_changed(ngx_mtd_bypass_t *bypass);


/*
 * For each decision, without a lock.  By both clocks: one may be set back, and
 * the other does not know that one was set on.
 */

static ngx_inline ngx_uint_t
ngx_mtd_bypass_holds(const ngx_mtd_zone_t *zone)
{
    uint64_t  until, ends;

    until = __atomic_load_n(&zone->bypass->until, __ATOMIC_ACQUIRE);
    ends = __atomic_load_n(&zone->bypass->ends, __ATOMIC_RELAXED);

    return until > (uint64_t) ngx_time() && ends > ngx_current_msec;
}


/* a copy; returns 0 if none holds */

ngx_uint_t ngx_mtd_bypass_get(ngx_mtd_zone_t *zone, ngx_mtd_zone_bypass_t *b);


#endif /* _NGX_MTD_BYPASS_H_INCLUDED_ */
