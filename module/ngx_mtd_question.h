
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * A key that is asked for: GET of an alias, PTTL and HMGET of a device, sent
 * where the key is, again if a change has overtaken the reply, elsewhere if
 * the server says so; what comes back is stored in the zone.  Between
 * ngx_mtd_lookup.c and Redis, for nobody else.
 */


#ifndef _NGX_MTD_QUESTION_H_INCLUDED_
#define _NGX_MTD_QUESTION_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_mtd_lookup.h"


/* prefix, "alias:", kind, ":", value or "device:", ID; no user */

#define NGX_MTD_QUESTION_NAME                                                 \
    (MTD_PREFIX_MAX + 8 + MTD_KIND_MAX + MTD_ID_MAX)


/*
 * One question to redis and who waits for its answer.  It lives from the
 * first waiter to the answer; it stays when all waiters have left.
 */

struct ngx_mtd_question_s {
    ngx_queue_t            queue;           /* in asked[] */
    ngx_queue_t            unsent;          /* in unsent, if not sent */
    ngx_queue_t            waiters;         /* of ngx_mtd_slot_t */
    ngx_mtd_lookups_t     *lookups;
    ngx_mtd_redis_t       *redis;           /* that was asked last */
    mtd_hash_t             key;             /* address in the zone */
    ngx_mtd_ticket_t       ticket;
    uint64_t               server;          /* of ticket, also with asking */
    ngx_uint_t             waits;           /* unsigned  waits:1; in unsent */
    ngx_uint_t             device;          /* unsigned  device:1; */
    ngx_uint_t             asks;
    ngx_uint_t             hops;
    ngx_uint_t             asking;          /* unsigned  asking:1; */
    uint16_t               ttl;             /* see mtd_record_t */
    mtd_hash_t             name;
    size_t                 len;
    u_char                 data[NGX_MTD_QUESTION_NAME];   /* the key's name */
};


/* what waiters get; texts are valid during the call */

typedef enum {
    NGX_MTD_FOUND = 0,
    NGX_MTD_ABSENT,
    NGX_MTD_UNREADABLE,
    NGX_MTD_FAILED
} ngx_mtd_outcome_e;


struct ngx_mtd_result_s {
    ngx_mtd_outcome_e      outcome;
    ngx_uint_t             voided;          /* the ask whose reply it was */
    mtd_str_t              id;              /* of an alias */
    mtd_hash_t             device;          /* of the key of id */
    mtd_record_t           record;          /* of a device */
    mtd_str_t              groups;          /* if the texts are full */
};


/* what questions need of lookups, once */

ngx_int_t ngx_mtd_question_init(ngx_mtd_lookups_t *lookups,
    ngx_pool_t *pool);

/* the one that is under way, or NULL */

ngx_mtd_question_t *ngx_mtd_question_find(ngx_mtd_lookups_t *lookups,
    const mtd_hash_t *key);

/*
 * Sends it, or lets it wait for the first connection; NULL: neither can be.
 * hash is of the name that an invalidation will bring, without the prefix.
 */

ngx_mtd_question_t *ngx_mtd_question_new(ngx_mtd_lookups_t *lookups,
    const mtd_hash_t *key, const mtd_hash_t *hash, u_char *name, size_t len,
    ngx_uint_t device);

/* one that has waited, which is no more in unsent */

ngx_int_t ngx_mtd_question_send(ngx_mtd_question_t *question);


#endif /* _NGX_MTD_QUESTION_H_INCLUDED_ */
