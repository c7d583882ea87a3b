
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * What all workers know, in shared memory: aliases, devices and unknown ids
 * in tables of their own, so that a flood of unknown ids evicts only other
 * unknown ids; the generations that void replies in flight; texts; counters.
 * Readers take no lock.  Times are ngx_current_msec, a monotonic clock that
 * all processes of the machine share.
 *
 * ngx_mtd_zone.c lays it out, _entries.c stores, finds and voids what is
 * known, _trust.c says whose words and of when may be believed.
 */


#ifndef _NGX_MTD_ZONE_H_INCLUDED_
#define _NGX_MTD_ZONE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "mtd_address.h"
#include "mtd_record.h"
#include "mtd_table.h"


#define NGX_MTD_ZONE_MIN      (256 * 1024)
#define NGX_MTD_KINDS         MTD_ADDRESS_KINDS     /* of aliases, at most */


/* what is counted in a histogram */

typedef enum {
    NGX_MTD_TIME_LOOKUP = 0,        /* a request has waited for redis */
    NGX_MTD_TIME_PUSH,              /* a PING over the link was answered */
    NGX_MTD_TIME_N
} ngx_mtd_time_e;


/* buckets, what is above the last, and the sum in microseconds */

#define NGX_MTD_ZONE_TIMES    9
#define NGX_MTD_ZONE_HISTOGRAM  (NGX_MTD_ZONE_TIMES + 2)


/* decisions are counted by mtd_reason_e, these follow */

typedef enum {
    NGX_MTD_COUNT_HIT = MTD_REASON_N,
    NGX_MTD_COUNT_MISS,
    NGX_MTD_COUNT_STALE,
    NGX_MTD_COUNT_NEGATIVE,
    NGX_MTD_COUNT_ERROR,
    NGX_MTD_COUNT_BLOCKED,
    NGX_MTD_COUNT_REMEDIATED,
    NGX_MTD_COUNT_CUT,              /* open requests that were ended */
    NGX_MTD_COUNT_LOOKUPS,          /* commands sent to redis */
    NGX_MTD_COUNT_TIMEOUTS,
    NGX_MTD_COUNT_CONNECTS,
    NGX_MTD_COUNT_DISCONNECTS,
    NGX_MTD_COUNT_INVALIDATIONS,
    NGX_MTD_COUNT_FLUSHES,
    NGX_MTD_COUNT_VOIDED,           /* replies overtaken by a change */
    NGX_MTD_COUNT_EVICTED,
    NGX_MTD_COUNT_RECOVERED,        /* a writer died in the zone */
    NGX_MTD_COUNT_DAMAGED,          /* values that could not be read */
    NGX_MTD_COUNT_REFUSED,          /* error replies */
    NGX_MTD_COUNT_TIMES,            /* the first of the first histogram */
    NGX_MTD_COUNT_N = NGX_MTD_COUNT_TIMES
                      + NGX_MTD_TIME_N * NGX_MTD_ZONE_HISTOGRAM
} ngx_mtd_counter_e;


/* upper bounds of the buckets, microseconds */

extern const ngx_msec_t  ngx_mtd_zone_times[NGX_MTD_ZONE_TIMES];


/* what one worker does for all, see ngx_mtd_state.h and ngx_mtd_preload.h */

typedef struct {
    ngx_atomic_t         writer;            /* pid, of the state file */
    ngx_atomic_t         written;           /* Unix seconds, 0: not yet */
    ngx_atomic_t         saved;             /* devices that are in the file */
    ngx_atomic_t         slice;             /* longest, microseconds */
    ngx_atomic_t         loaded;            /* devices that came out of it */

    ngx_atomic_t         preload;           /* ngx_mtd_preload_state_e */
    ngx_atomic_t         preload_from;      /* msec, of the last whole pass */
    ngx_atomic_t         preload_time;      /* ms that a pass takes so far */
    ngx_atomic_t         preload_keys;      /* of devices and aliases seen */
    ngx_atomic_t         preload_asked;     /* of these, not fresh before */
} ngx_mtd_zone_tasks_t;


typedef struct ngx_mtd_zone_sh_s  ngx_mtd_zone_sh_t;


#define NGX_MTD_BYPASS_TEXT   255


typedef struct {
    size_t               len;
    u_char               data[NGX_MTD_BYPASS_TEXT];
} ngx_mtd_bypass_text_t;


/* as it is in redis; times are Unix seconds */

typedef struct {
    uint64_t             until;             /* 0: there is no such key */
    uint64_t             since;
    ngx_mtd_bypass_text_t  by;
    ngx_mtd_bypass_text_t  why;
} ngx_mtd_bypass_word_t;


/* see ngx_mtd_bypass.h; "until", "ends" are read without the mutex, too */

typedef struct {
    uint64_t             until;             /* 0: there is none */
    uint64_t             ends;              /* as ngx_current_msec */
    uint64_t             server;            /* that has told of it */
    uint64_t             unheard;           /* another one that does not know */
    uint64_t             generation;
    ngx_mtd_bypass_word_t  word;
} ngx_mtd_zone_bypass_t;


/* private to the process, the tables point into shared memory */

typedef struct {
    ngx_mtd_zone_sh_t   *sh;
    uint64_t            *valid_from;        /* older entries were flushed */
    ngx_slab_pool_t     *shpool;
    ngx_atomic_t        *counters;          /* of this process */
    ngx_mtd_zone_bypass_t  *bypass;
    ngx_mtd_zone_tasks_t  *tasks;
    uint64_t             server;            /* that this process asks */
    uint64_t             cycle;             /* of configurations, 1 .. */
    ngx_uint_t           workers;           /* of this configuration */
    ngx_uint_t           joined;            /* unsigned  joined:1; */
    mtd_table_t          aliases;
    mtd_table_t          devices;
    mtd_table_t          unknown;
    mtd_table_t          names;             /* n == 0: names are plain */
    mtd_hash_key_t       device_key;
    mtd_hash_key_t       shown_key;
    mtd_address_key_t    alias_key;
    ngx_str_t           *kinds;             /* of ngx_uint_t nkinds names */
    ngx_uint_t           nkinds;
    ngx_str_t            secret;            /* empty: names are plain */

    /*
     * This worker has been told of every change of what was fetched since
     * trusted_since; holds until trusted_until, 0: it is not being told.
     */
    ngx_msec_t           trusted_since;
    ngx_msec_t           trusted_until;
} ngx_mtd_zone_t;


typedef struct {
    mtd_entry_t          entry;
    mtd_hash_t           device;
} ngx_mtd_alias_t;


typedef struct {
    mtd_entry_t          entry;
    mtd_record_t         record;
} ngx_mtd_device_t;


/* an alias with the hash of its key's name, which is its key if plain */

typedef struct {
    ngx_mtd_alias_t      alias;
    mtd_hash_t           name;
} ngx_mtd_named_t;


/*
 * Taken before a question is sent.  An answer is stored only if nothing
 * about its key has been invalidated since, by any worker.
 */

typedef struct {
    mtd_hash_t           name;              /* hash of the key's name */
    uint64_t             server;
    ngx_msec_t           sent;
    uint32_t             generation;
} ngx_mtd_ticket_t;


/* shm_zone->data is the ngx_mtd_zone_t; returns as a zone's init handler */

ngx_int_t ngx_mtd_zone_init(ngx_shm_zone_t *shm_zone, void *data);

/* in each worker, before the first use of counters */

void ngx_mtd_zone_init_process(ngx_mtd_zone_t *zone, ngx_uint_t workers);


/* len is at most MTD_ID_MAX */

static ngx_inline mtd_hash_t
ngx_mtd_zone_alias_hash(ngx_mtd_zone_t *zone, ngx_uint_t kind,
    const u_char *value, size_t len)
{
    return mtd_address(&zone->alias_key, kind, value, len);
}


/* of the ID as it stands in the key's name */

static ngx_inline mtd_hash_t
ngx_mtd_zone_device_hash(ngx_mtd_zone_t *zone, const u_char *id, size_t len)
{
    return mtd_hash(&zone->device_key, id, len);
}


/* of a user in lower case, as a record has it */

static ngx_inline uint64_t
ngx_mtd_zone_user_hash(ngx_mtd_zone_t *zone, const u_char *user, size_t len)
{
    return mtd_hash(&zone->device_key, user, len).word[0];
}


/* what logs and variables show of any of these: addresses are a secret */

static ngx_inline uint64_t
ngx_mtd_zone_shown(ngx_mtd_zone_t *zone, const mtd_hash_t *hash)
{
    return mtd_hash(&zone->shown_key, (const u_char *) hash,
                    sizeof(mtd_hash_t)).word[0];
}


/* 1 if found and not flushed since it was fetched; ages are the caller's */

static ngx_inline ngx_uint_t ngx_mtd_zone_alias(ngx_mtd_zone_t *zone,
    const mtd_hash_t *key, ngx_mtd_alias_t *alias)
    __attribute__((always_inline));
static ngx_inline ngx_uint_t ngx_mtd_zone_device(ngx_mtd_zone_t *zone,
    const mtd_hash_t *key, ngx_mtd_device_t *device)
    __attribute__((always_inline));
static ngx_inline ngx_uint_t ngx_mtd_zone_known(ngx_mtd_zone_t *zone,
    const mtd_hash_t *key, ngx_mtd_alias_t *alias, ngx_mtd_device_t *device,
    ngx_msec_t *fetched)
    __attribute__((always_inline));


static ngx_inline ngx_uint_t
ngx_mtd_zone_alias(ngx_mtd_zone_t *zone, const mtd_hash_t *key,
    ngx_mtd_alias_t *alias)
{
    return mtd_table_get(&zone->aliases, key, &alias->entry,
                         sizeof(ngx_mtd_alias_t))
           && alias->entry.fetched >= *zone->valid_from;
}


static ngx_inline ngx_uint_t
ngx_mtd_zone_device(ngx_mtd_zone_t *zone, const mtd_hash_t *key,
    ngx_mtd_device_t *device)
{
    return mtd_table_get(&zone->devices, key, &device->entry,
                         sizeof(ngx_mtd_device_t))
           && device->entry.fetched >= *zone->valid_from;
}


/* both, of a key; what is older of them is not flushed */

static ngx_inline ngx_uint_t
ngx_mtd_zone_known(ngx_mtd_zone_t *zone, const mtd_hash_t *key,
    ngx_mtd_alias_t *alias, ngx_mtd_device_t *device, ngx_msec_t *fetched)
{
    if (!mtd_table_get(&zone->aliases, key, &alias->entry,
                       sizeof(ngx_mtd_alias_t))
        || !mtd_table_get(&zone->devices, &alias->device, &device->entry,
                          sizeof(ngx_mtd_device_t)))
    {
        return 0;
    }

    *fetched = ngx_min(alias->entry.fetched, device->entry.fetched);

    return *fetched >= *zone->valid_from;
}


/* of _unknown(), where names are pseudonyms */

ngx_uint_t ngx_mtd_zone_unknown_named(ngx_mtd_zone_t *zone,
    const mtd_hash_t *key, mtd_entry_t *entry);


static ngx_inline ngx_uint_t
ngx_mtd_zone_unknown(ngx_mtd_zone_t *zone, const mtd_hash_t *key,
    mtd_entry_t *entry)
{
    return (zone->names.n
            ? ngx_mtd_zone_unknown_named(zone, key, entry)
            : (ngx_uint_t) mtd_table_get(&zone->unknown, key, entry,
                                         sizeof(mtd_entry_t)))
           && entry->fetched >= *zone->valid_from;
}


void ngx_mtd_zone_ticket(ngx_mtd_zone_t *zone, ngx_mtd_ticket_t *ticket,
    const mtd_hash_t *name);

/* 1 if what the ticket was taken for has changed meanwhile */

ngx_uint_t ngx_mtd_zone_voided(ngx_mtd_zone_t *zone,
    const ngx_mtd_ticket_t *ticket);

/*
 * Store an answer, unless voided.  key addresses the entry, the ticket has
 * the hash of the key's name, which differs where names are pseudonyms.
 */

ngx_int_t ngx_mtd_zone_put_alias(ngx_mtd_zone_t *zone, const mtd_hash_t *key,
    const mtd_hash_t *device, const ngx_mtd_ticket_t *ticket);
ngx_int_t ngx_mtd_zone_put_device(ngx_mtd_zone_t *zone, const mtd_hash_t *key,
    const mtd_record_t *record, const ngx_mtd_ticket_t *ticket);
ngx_int_t ngx_mtd_zone_put_unknown(ngx_mtd_zone_t *zone,
    const mtd_hash_t *key, const ngx_mtd_ticket_t *ticket);

/*
 * How old the newest device is that was put here since the zone was flushed,
 * which may be gone meanwhile: none is younger.
 */

ngx_msec_t ngx_mtd_zone_age(ngx_mtd_zone_t *zone);

/*
 * With pseudonyms, an alias of which nobody has said the plain value so far
 * stands at an address that no value can have.  A lookup that comes with it
 * moves the alias there.
 */

ngx_uint_t ngx_mtd_zone_move_alias(ngx_mtd_zone_t *zone,
    const mtd_hash_t *name, const mtd_hash_t *key);

/* where the alias of that name stands, or is to be put */

void ngx_mtd_zone_address(ngx_mtd_zone_t *zone, const mtd_hash_t *name,
    mtd_hash_t *key);

typedef enum {
    NGX_MTD_CHANGED_NOTHING = 0,
    NGX_MTD_CHANGED_DEVICE,
    NGX_MTD_CHANGED_ALIAS,
    NGX_MTD_CHANGED_ALL,
    NGX_MTD_CHANGED_BYPASS
} ngx_mtd_changed_e;

/*
 * name is what follows the prefix, "device:...".  Returns what it is the key
 * of, and sets the hash of its name.
 */

ngx_mtd_changed_e ngx_mtd_zone_name(ngx_mtd_zone_t *zone, const u_char *name,
    size_t len, mtd_hash_t *hash);

/* the same of a key that has changed; of a device, sets its hash */

ngx_mtd_changed_e ngx_mtd_zone_invalidate(ngx_mtd_zone_t *zone,
    const u_char *name, size_t len, mtd_hash_t *device);

/* everything may have changed; what was sent before now is void, too */

void ngx_mtd_zone_flush(ngx_mtd_zone_t *zone);

/*
 * The number of a text, 0 if it is empty or the texts are full; texts are
 * never freed, there are few: operating systems, vendors, lists of groups.
 */

uint32_t ngx_mtd_zone_intern(ngx_mtd_zone_t *zone, const mtd_str_t *text);
void ngx_mtd_zone_text(ngx_mtd_zone_t *zone, uint32_t number,
    ngx_str_t *text);

/*
 * This process asks that server from now on.  Only what the last one named
 * here says is stored, and trusted: after a failover some workers may ask
 * the old master for a while.
 */

void ngx_mtd_zone_serve(ngx_mtd_zone_t *zone, uint64_t server);

/* 1 if that is still so */

ngx_uint_t ngx_mtd_zone_serves(ngx_mtd_zone_t *zone);

/*
 * The configuration epoch of the Sentinels, or of the cluster: of two who do
 * not agree the one with the higher epoch is right.  Kept here, so that a
 * worker that has just started knows what the others do.
 */

uint64_t ngx_mtd_zone_epoch(ngx_mtd_zone_t *zone);

/*
 * 0: whoever says this epoch is behind the others.  Should all have been made
 * anew, they begin with low epochs, though; *behind is the caller's, at first
 * zero, and says since when nobody was up to date.
 */

ngx_uint_t ngx_mtd_zone_agree(ngx_mtd_zone_t *zone, uint64_t epoch,
    ngx_msec_t *behind);

/*
 * Since when the zone has been told of every change.  Each worker's link
 * reports how far it has read: all changes before "confirmed" are applied.
 * Links that overlap in time make one chain, so a reload keeps the zone.
 * Sets the time since when this link may trust what was fetched, or returns
 * 0: it is of another server than the zone.
 */

ngx_uint_t ngx_mtd_zone_cover(ngx_mtd_zone_t *zone, ngx_msec_t since,
    ngx_msec_t confirmed, ngx_msec_t *trusted);

/* 1 while not all workers of a newer configuration have joined the chain */

ngx_uint_t ngx_mtd_zone_awaits(ngx_mtd_zone_t *zone);


static ngx_inline void
ngx_mtd_zone_count(ngx_mtd_zone_t *zone, ngx_uint_t counter)
{
    (void) ngx_atomic_fetch_add(&zone->counters[counter], 1);
}


/* monotonic, microseconds; a system call at worst */

uint64_t ngx_mtd_zone_clock(void);

/* time in microseconds */

void ngx_mtd_zone_count_time(ngx_mtd_zone_t *zone, ngx_mtd_time_e what,
    uint64_t time);


/*
 * To save and restore: what a part of the zone holds, i being below _parts(),
 * without what was flushed; both return how many were copied out.
 */

#define NGX_MTD_ZONE_PART     3             /* entries, at most */

ngx_uint_t ngx_mtd_zone_device_parts(ngx_mtd_zone_t *zone);
ngx_uint_t ngx_mtd_zone_alias_parts(ngx_mtd_zone_t *zone);
ngx_uint_t ngx_mtd_zone_device_part(ngx_mtd_zone_t *zone, ngx_uint_t i,
    ngx_mtd_device_t *device);
ngx_uint_t ngx_mtd_zone_alias_part(ngx_mtd_zone_t *zone, ngx_uint_t i,
    ngx_mtd_named_t *named);

/* texts in the order of their numbers; number is 0 at first and at the end */

uint32_t ngx_mtd_zone_next_text(ngx_mtd_zone_t *zone, uint32_t number,
    ngx_str_t *text);

/*
 * Into a zone that nobody uses yet.  All hashes are made with its key, so
 * they are worth nothing under another one.
 */

void ngx_mtd_zone_get_key(ngx_mtd_zone_t *zone, mtd_hash_key_t *key);
void ngx_mtd_zone_set_key(ngx_mtd_zone_t *zone, const mtd_hash_key_t *key);
void ngx_mtd_zone_restore_device(ngx_mtd_zone_t *zone,
    const ngx_mtd_device_t *device);
void ngx_mtd_zone_restore_alias(ngx_mtd_zone_t *zone,
    const ngx_mtd_named_t *named);

/*
 * A device is that new.  The time may lie before the clock began: of a device
 * that was known before the machine has restarted.
 */

void ngx_mtd_zone_fetched(ngx_mtd_zone_t *zone, ngx_msec_t fetched);

/* 1: the caller tells of what cannot be read, as nobody has for a minute */

ngx_uint_t ngx_mtd_zone_warns(ngx_mtd_zone_t *zone);


typedef struct {
    uint64_t             counters[NGX_MTD_COUNT_N];
    size_t               aliases;           /* entries in use */
    size_t               devices;
    size_t               unknown;
    size_t               alias_capacity;
    size_t               device_capacity;
    size_t               unknown_capacity;
} ngx_mtd_zone_totals_t;


void ngx_mtd_zone_totals(ngx_mtd_zone_t *zone, ngx_mtd_zone_totals_t *totals);


#endif /* _NGX_MTD_ZONE_H_INCLUDED_ */
