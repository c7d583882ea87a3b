
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include "ngx_mtd_zone_sh.h"


/* longest time without any link that a new one waits to be joined, ms */

#define NGX_MTD_ZONE_JOIN         500

/* for how long a lower epoch is not believed, ms */

#define NGX_MTD_ZONE_BEHIND       10000


static void ngx_mtd_zone_join_locked(ngx_mtd_zone_t *zone);


void
ngx_mtd_zone_serve(ngx_mtd_zone_t *zone, uint64_t server)
{
    ngx_mtd_zone_sh_t  *sh;

    sh = zone->sh;
    zone->server = server;

    ngx_shmtx_lock(&zone->shpool->mutex);

    if (sh->server != server) {

        /*
         * Nobody's link has heard of this one's changes so far, or what
         * there is may be of another one: also where a link goes on.  The
         * server comes last: a worker that is killed here has served none.
         */

        sh->cover_to = 0;

        ngx_time_update();
        sh->served = ngx_current_msec + 1;

        __atomic_store_n(&sh->server, server, __ATOMIC_RELEASE);
    }

    ngx_shmtx_unlock(&zone->shpool->mutex);
}


uint64_t
ngx_mtd_zone_epoch(ngx_mtd_zone_t *zone)
{
    return __atomic_load_n(&zone->sh->epoch, __ATOMIC_RELAXED);
}


ngx_uint_t
ngx_mtd_zone_agree(ngx_mtd_zone_t *zone, uint64_t epoch, ngx_msec_t *behind)
{
    if (epoch < ngx_mtd_zone_epoch(zone)) {

        if (*behind == 0) {
            *behind = ngx_current_msec;
        }

        if (ngx_current_msec - *behind < NGX_MTD_ZONE_BEHIND) {
            return 0;
        }
    }

    *behind = 0;

    __atomic_store_n(&zone->sh->epoch, epoch, __ATOMIC_RELAXED);

    return 1;
}


ngx_uint_t
ngx_mtd_zone_serves(ngx_mtd_zone_t *zone)
{
    return zone->server == __atomic_load_n(&zone->sh->server,
                                           __ATOMIC_ACQUIRE);
}


ngx_uint_t
ngx_mtd_zone_cover(ngx_mtd_zone_t *zone, ngx_msec_t since,
    ngx_msec_t confirmed, ngx_msec_t *trusted)
{
    ngx_msec_t          trust;
    ngx_mtd_zone_sh_t  *sh;

    sh = zone->sh;

    ngx_shmtx_lock(&zone->shpool->mutex);

    if (sh->server != zone->server) {
        ngx_shmtx_unlock(&zone->shpool->mutex);
        return 0;
    }

    since = ngx_max(since, sh->served);

    if (sh->cover_to == 0
        || (sh->cover_to < since && confirmed > since + NGX_MTD_ZONE_JOIN))
    {
        /* nobody else's link reached into the life of this one */

        sh->cover_since = since;
        sh->cover_to = confirmed;
    }

    trust = since;

    /* the chain begins with this link, or reaches into its life */

    if (sh->cover_since == since || sh->cover_to >= since) {
        trust = sh->cover_since;
        sh->cover_to = ngx_max(sh->cover_to, confirmed);

        ngx_mtd_zone_join_locked(zone);
    }

    ngx_shmtx_unlock(&zone->shpool->mutex);

    *trusted = trust;

    return 1;
}


static void
ngx_mtd_zone_join_locked(ngx_mtd_zone_t *zone)
{
    ngx_mtd_zone_sh_t  *sh;

    sh = zone->sh;

    if (sh->cover_cycle < zone->cycle) {
        sh->cover_cycle = zone->cycle;
        sh->cover_joined = 0;
    }

    if (!zone->joined && sh->cover_cycle == zone->cycle) {
        zone->joined = 1;
        sh->cover_joined++;
        sh->cover_workers = zone->workers;
    }
}


ngx_uint_t
ngx_mtd_zone_awaits(ngx_mtd_zone_t *zone)
{
    ngx_uint_t          awaits;
    ngx_mtd_zone_sh_t  *sh;

    sh = zone->sh;

    ngx_shmtx_lock(&zone->shpool->mutex);

    awaits = (zone->cycle < sh->cycles
              && (zone->cycle >= sh->cover_cycle
                  || sh->cover_joined < sh->cover_workers));

    ngx_shmtx_unlock(&zone->shpool->mutex);

    return awaits;
}
