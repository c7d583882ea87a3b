
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * From an identity to a device's record: alias, then device, from the zone
 * or, where that does not know or is not to be trusted, from Redis.  A key
 * is asked for once at a time in each worker; who else needs it waits.
 */


#ifndef _NGX_MTD_LOOKUP_H_INCLUDED_
#define _NGX_MTD_LOOKUP_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "mtd_key.h"
#include "ngx_mtd_redis.h"
#include "ngx_mtd_zone.h"


#define NGX_MTD_LOOKUP_BUCKETS   1024
#define NGX_MTD_LOOKUP_SLOTS     8          /* identities of one request */
#define NGX_MTD_LOOKUP_BLIND     100        /* ms, trust without a link */


/* from best to worst */

typedef enum {
    NGX_MTD_LOOKUP_NONE = 0,
    NGX_MTD_LOOKUP_HIT,
    NGX_MTD_LOOKUP_MISS,                    /* redis was asked */
    NGX_MTD_LOOKUP_NEGATIVE,                /* there is no such device */
    NGX_MTD_LOOKUP_STALE,                   /* redis is away */
    NGX_MTD_LOOKUP_ERROR
} ngx_mtd_source_e;


/* who is asked about a key: NULL if nobody is known who has it */

typedef ngx_mtd_redis_t *(*ngx_mtd_lookup_choose_pt)(void *data,
    const u_char *name, size_t len);


/*
 * Where an error reply of from leads: NULL if nowhere.  With *asking set what
 * is said there holds for this answer only.
 */

typedef ngx_mtd_redis_t *(*ngx_mtd_lookup_redirect_pt)(void *data,
    ngx_mtd_redis_t *from, ngx_str_t *error, ngx_uint_t *asking);


typedef struct ngx_mtd_question_s  ngx_mtd_question_t;
typedef struct ngx_mtd_result_s    ngx_mtd_result_t;


/* the question is to be put back into free */

typedef void (*ngx_mtd_lookup_answered_pt)(ngx_mtd_question_t *question,
    ngx_mtd_result_t *result);


/* of one worker for one store */

typedef struct {
    ngx_mtd_zone_t        *zone;
    ngx_mtd_lookup_choose_pt  choose;
    ngx_mtd_lookup_redirect_pt  redirect;   /* NULL: nobody redirects */
    ngx_mtd_redis_event_pt  late;           /* a question waited too long */
    void                  *data;            /* of these */
    ngx_mtd_lookup_answered_pt  answered;   /* set by _init() */
    const mtd_names_t     *names;
    ngx_msec_t             fresh;
    ngx_msec_t             unknown;
    ngx_msec_t             stale;
    ngx_msec_t             timeout;
    ngx_log_t             *log;
    ngx_mtd_resp_template_t  get;           /* of an alias */
    ngx_mtd_resp_template_t  pttl;          /* of a device, and then */
    ngx_mtd_resp_template_t  hmget;
    ngx_mtd_resp_template_t  asking;        /* before each of these */
    ngx_queue_t            free;            /* questions to use again */
    ngx_queue_t            unsent;          /* until redis is there */
    ngx_queue_t            asked[NGX_MTD_LOOKUP_BUCKETS];
} ngx_mtd_lookups_t;


/* device is the alias's hash where no device is known */

typedef struct {
    ngx_mtd_source_e       source;
    mtd_hash_t             alias;
    mtd_hash_t             device;
    mtd_record_t           record;          /* HIT, MISS and STALE only, */
    ngx_msec_t             fetched;         /* which is when it was read */
    ngx_str_t              groups;          /* not in the zone's texts */
} ngx_mtd_answer_t;


typedef struct ngx_mtd_lookup_s  ngx_mtd_lookup_t;


/* one identity; kind and value are the caller's, value is folded */

typedef struct {
    ngx_queue_t            queue;           /* of those who wait */
    ngx_mtd_lookup_t      *lookup;
    ngx_uint_t             waiting;         /* unsigned  waiting:1; */
    ngx_uint_t             asks;            /* sent before it waited */
    ngx_uint_t             kind;
    ngx_str_t              value;
    ngx_mtd_answer_t       answer;
    ngx_str_t              room;            /* of answer.groups, see again */
} ngx_mtd_slot_t;


typedef void (*ngx_mtd_lookup_pt)(void *data);


/*
 * Of one request, in its pool, zeroed before it is used first; done is called
 * once, from the event loop.  With again set the texts of an answer take the
 * place of those of the last one that had it set, so that any number of them
 * needs no more memory.
 */

struct ngx_mtd_lookup_s {
    ngx_mtd_lookups_t     *lookups;
    ngx_pool_t            *pool;
    ngx_uint_t             again;           /* unsigned  again:1; */
    ngx_event_t            timeout;
    ngx_uint_t             waiting;         /* slots that wait */
    ngx_mtd_lookup_pt      done;
    void                  *data;
    ngx_uint_t             n;
    ngx_mtd_slot_t         slot[1];
};


/* the caller has set zone, choose, names and times */

ngx_int_t ngx_mtd_lookup_init(ngx_mtd_lookups_t *lookups, ngx_pool_t *pool);

/*
 * Answers from the zone alone and returns 1, or 0 if redis must be asked: the
 * answer's source is NONE then, and its hashes are set.  No lock, no
 * allocation, no system call.
 */

ngx_uint_t ngx_mtd_lookup_cached(ngx_mtd_lookups_t *lookups, ngx_uint_t kind,
    const u_char *value, size_t len, ngx_mtd_answer_t *answer);

/* the same for an alias that was asked for before */

ngx_uint_t ngx_mtd_lookup_known(ngx_mtd_lookups_t *lookups,
    const mtd_hash_t *alias, ngx_mtd_answer_t *answer);

/*
 * What the zone has of an alias, if it is not older than that, whether this
 * worker is told of changes or not.
 */

ngx_uint_t ngx_mtd_lookup_last(ngx_mtd_lookups_t *lookups,
    const mtd_hash_t *alias, ngx_msec_t age, ngx_mtd_answer_t *answer);

/*
 * lookups, pool, again, done, data, n and each slot's kind, value and answer
 * are set, the answer by _cached(): where its source is NONE, redis is asked.
 * NGX_OK: all slots are answered, done is not called.  NGX_AGAIN: it will
 * be, unless the lookup is cancelled first.
 */

ngx_int_t ngx_mtd_lookup_start(ngx_mtd_lookup_t *lookup);
void ngx_mtd_lookup_cancel(ngx_mtd_lookup_t *lookup);

/*
 * Asks for a key by its name after the prefix, though nobody waits for it.
 * NGX_DECLINED: it is none of an alias or device; NGX_DONE: it is known.
 */

ngx_int_t ngx_mtd_lookup_fetch(ngx_mtd_lookups_t *lookups, u_char *name,
    size_t len);

/* a connection is there, or lost: what waits for it goes on */

void ngx_mtd_lookup_resume(ngx_mtd_lookups_t *lookups);

/* the worker exits: who waits is not told */

void ngx_mtd_lookup_destroy(ngx_mtd_lookups_t *lookups);


#endif /* _NGX_MTD_LOOKUP_H_INCLUDED_ */
