
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * What a zone is in shared memory; of ngx_mtd_zone*.c alone.
 */


#ifndef _NGX_MTD_ZONE_SH_H_INCLUDED_
#define _NGX_MTD_ZONE_SH_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_mtd_zone.h"


#define NGX_MTD_ZONE_GENERATIONS  4096
#define NGX_MTD_ZONE_TABLES       4
#define NGX_MTD_ZONE_TEXT_HEADS   256


typedef struct {
    mtd_entry_t      entry;                 /* key: hash of the key's name */
    mtd_hash_t       address;               /* key of its alias entry */
} ngx_mtd_name_t;


/*
 * An unknown id where names are pseudonyms: its address does not follow from
 * the name that an invalidation brings, so its generation is looked at.
 */

typedef struct {
    mtd_entry_t      entry;
    uint32_t         slot;                  /* of generations */
    uint32_t         generation;
} ngx_mtd_unknown_t;


struct ngx_mtd_zone_sh_s {
    mtd_hash_key_t   key;
    uint64_t         valid_from;
    uint64_t         server;                /* whose data this is */
    uint64_t         served;                /* since when */
    uint64_t         cover_since;
    uint64_t         cover_to;
    uint64_t         cover_cycle;           /* the newest that has joined */
    uint64_t         cover_joined;          /* workers of it, and of how */
    uint64_t         cover_workers;         /* many */
    uint64_t         cycles;
    uint64_t         fetched;               /* the newest device, 0: none */
    uint64_t         warned;                /* of what cannot be read, or 0 */
    ngx_mtd_zone_bypass_t  bypass;
    uint64_t         epoch;                 /* see ngx_mtd_zone_agree() */
    int64_t          used[NGX_MTD_ZONE_TABLES];
    ngx_mtd_zone_tasks_t  tasks;
    u_char          *tables;
    size_t           size;                  /* of tables */
    u_char          *counters;
    u_char          *texts;
    uint32_t         texts_size;
    uint32_t         texts_last;
    uint32_t         text_heads[NGX_MTD_ZONE_TEXT_HEADS];
    uint32_t         generations[NGX_MTD_ZONE_GENERATIONS];
};


#endif /* _NGX_MTD_ZONE_SH_H_INCLUDED_ */
