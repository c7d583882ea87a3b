
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include <openssl/hmac.h>
#include <openssl/rand.h>

#include "ngx_mtd_zone.h"


#define NGX_MTD_ZONE_SLOTS        64        /* of counters, one a process */
#define NGX_MTD_ZONE_STRIDE                                                   \
    ngx_align(NGX_MTD_COUNT_N * sizeof(ngx_atomic_t), 64)

#define NGX_MTD_ZONE_GENERATIONS  4096
#define NGX_MTD_ZONE_TABLES       4
#define NGX_MTD_ZONE_TEXT_HEADS   256
#define NGX_MTD_ZONE_TEXT_FIRST   8         /* 0 is no text */

/* longest time without any link that a new one waits to be joined, ms */

#define NGX_MTD_ZONE_JOIN         500

/* for how long a lower epoch is not believed, ms */

#define NGX_MTD_ZONE_BEHIND       10000


typedef struct {
    uint32_t         next;
    uint32_t         len;
    u_char           data[1];
} ngx_mtd_text_t;


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


const ngx_msec_t  ngx_mtd_zone_times[NGX_MTD_ZONE_TIMES] = {
    250, 500, 1000, 2500, 5000, 10000, 50000, 200000, 1000000
};


static ngx_int_t ngx_mtd_zone_create(ngx_mtd_zone_t *zone,
    ngx_shm_zone_t *shm_zone);
static ngx_int_t ngx_mtd_zone_key(ngx_mtd_zone_t *zone, mtd_hash_key_t *key);
static void ngx_mtd_zone_attach(ngx_mtd_zone_t *zone);
static void ngx_mtd_zone_drop_alias_locked(ngx_mtd_zone_t *zone,
    const mtd_hash_t *name);
static void ngx_mtd_zone_put_locked(ngx_mtd_zone_t *zone,
    mtd_table_t *table, const mtd_entry_t *entry);
static void ngx_mtd_zone_put_name_locked(ngx_mtd_zone_t *zone,
    const mtd_hash_t *name, const mtd_hash_t *address, ngx_msec_t fetched);
static void ngx_mtd_zone_flush_locked(ngx_mtd_zone_t *zone);
static void ngx_mtd_zone_join_locked(ngx_mtd_zone_t *zone);
static void ngx_mtd_zone_unlock(ngx_mtd_zone_t *zone);


ngx_int_t
ngx_mtd_zone_init(ngx_shm_zone_t *shm_zone, void *data)
{
    ngx_mtd_zone_t  *old = data;

    ngx_mtd_zone_t  *zone;

    zone = shm_zone->data;
    zone->shpool = (ngx_slab_pool_t *) shm_zone->shm.addr;

    if (old) {

        /* old workers are still at work in there: adopt, touch nothing */

        zone->sh = old->sh;

    } else if (shm_zone->shm.exists) {
        zone->sh = zone->shpool->data;

    } else if (ngx_mtd_zone_create(zone, shm_zone) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_mtd_zone_attach(zone);

    /* the master's, for the workers that it is about to start */

    zone->cycle = ++zone->sh->cycles;

    return NGX_OK;
}


static ngx_int_t
ngx_mtd_zone_create(ngx_mtd_zone_t *zone, ngx_shm_zone_t *shm_zone)
{
    size_t              len;
    ngx_slab_pool_t    *shpool;
    ngx_mtd_zone_sh_t  *sh;

    shpool = zone->shpool;

    len = sizeof(" in mtd zone \"\"") + shm_zone->shm.name.len;

    shpool->log_ctx = ngx_slab_alloc(shpool, len);
    sh = ngx_slab_calloc(shpool, sizeof(ngx_mtd_zone_sh_t));

    if (shpool->log_ctx == NULL || sh == NULL) {
        return NGX_ERROR;
    }

    ngx_sprintf(shpool->log_ctx, " in mtd zone \"%V\"%Z",
                &shm_zone->shm.name);

    zone->sh = sh;
    shpool->data = sh;

    if (ngx_mtd_zone_key(zone, &sh->key) != NGX_OK) {
        return NGX_ERROR;
    }

    sh->counters = ngx_slab_calloc(shpool, NGX_MTD_ZONE_SLOTS
                                           * NGX_MTD_ZONE_STRIDE);
    if (sh->counters == NULL) {
        return NGX_ERROR;
    }

    sh->texts_size = ngx_align(shm_zone->shm.size / 64, ngx_pagesize);
    sh->texts_last = NGX_MTD_ZONE_TEXT_FIRST;
    sh->texts = ngx_slab_alloc(shpool, sh->texts_size);

    if (sh->texts == NULL || shpool->pfree == 0) {
        return NGX_ERROR;
    }

    /* all pages that are left, page aligned */

    sh->size = shpool->pfree * ngx_pagesize;
    sh->tables = ngx_slab_calloc(shpool, sh->size);

    return sh->tables ? NGX_OK : NGX_ERROR;
}


/* with a secret the hashes, and with them $mtd_device, outlive a restart */

static ngx_int_t
ngx_mtd_zone_key(ngx_mtd_zone_t *zone, mtd_hash_key_t *key)
{
    u_char        md[EVP_MAX_MD_SIZE];
    unsigned int  len;

    if (zone->secret.len == 0) {
        return RAND_bytes((u_char *) key, sizeof(mtd_hash_key_t)) == 1
               ? NGX_OK : NGX_ERROR;
    }

    if (HMAC(EVP_sha256(), zone->secret.data, zone->secret.len,
             (const u_char *) "zone", 4, md, &len)
        == NULL)
    {
        return NGX_ERROR;
    }

    ngx_memcpy(key, md, sizeof(mtd_hash_key_t));

    return NGX_OK;
}


static void
ngx_mtd_zone_attach(ngx_mtd_zone_t *zone)
{
    size_t              size, part;
    u_char             *p;
    ngx_uint_t          i;
    mtd_hash_key_t      key;
    ngx_mtd_zone_sh_t  *sh;

    sh = zone->sh;
    p = sh->tables;

    part = sh->size / 16 & ~((size_t) MTD_TABLE_BUCKET - 1);
    mtd_table_init(&zone->unknown, p, part, zone->secret.len
                                            ? sizeof(ngx_mtd_unknown_t)
                                            : sizeof(mtd_entry_t), 0);
    p += part;

    size = sh->size - part;

    part = (zone->secret.len ? size / 10 * 3 : size / 2)
           & ~((size_t) MTD_TABLE_BUCKET - 1);
    mtd_table_init(&zone->aliases, p, part, sizeof(ngx_mtd_alias_t), 1);
    p += part;

    ngx_memzero(&zone->names, sizeof(mtd_table_t));

    if (zone->secret.len) {
        mtd_table_init(&zone->names, p, part, sizeof(ngx_mtd_name_t), 1);
        p += part;
    }

    mtd_table_init(&zone->devices, p, sh->tables + sh->size - p,
                   sizeof(ngx_mtd_device_t), 1);

    zone->device_key = mtd_hash(&sh->key, (u_char *) "device", 6);

    key = mtd_hash(&sh->key, (u_char *) "alias", 5);

    for (i = 0; i < zone->nkinds; i++) {
        zone->alias_key[i] = mtd_hash(&key, zone->kinds[i].data,
                                      zone->kinds[i].len);
    }

    zone->valid_from = &sh->valid_from;
    zone->bypass = &sh->bypass;
    zone->tasks = &sh->tasks;
    zone->counters = (ngx_atomic_t *) sh->counters;
}


void
ngx_mtd_zone_init_process(ngx_mtd_zone_t *zone, ngx_uint_t workers)
{
    ngx_uint_t  slot;

    zone->workers = workers;

    slot = ngx_process_slot % NGX_MTD_ZONE_SLOTS;

    zone->counters = (ngx_atomic_t *)
                         (zone->sh->counters + slot * NGX_MTD_ZONE_STRIDE);
}


static ngx_inline uint32_t
ngx_mtd_zone_slot(const mtd_hash_t *name)
{
    return name->word[1] % NGX_MTD_ZONE_GENERATIONS;
}


static ngx_inline uint32_t *
ngx_mtd_zone_generation(ngx_mtd_zone_t *zone, const mtd_hash_t *name)
{
    return &zone->sh->generations[ngx_mtd_zone_slot(name)];
}


void
ngx_mtd_zone_ticket(ngx_mtd_zone_t *zone, ngx_mtd_ticket_t *ticket,
    const mtd_hash_t *name)
{
    ticket->name = *name;
    ticket->server = zone->server;
    ticket->sent = ngx_current_msec;
    ticket->generation = __atomic_load_n(ngx_mtd_zone_generation(zone, name),
                                         __ATOMIC_ACQUIRE);
}


ngx_uint_t
ngx_mtd_zone_voided(ngx_mtd_zone_t *zone, const ngx_mtd_ticket_t *ticket)
{
    return ticket->server != __atomic_load_n(&zone->sh->server,
                                             __ATOMIC_ACQUIRE)
           || ticket->sent < __atomic_load_n(&zone->sh->valid_from,
                                             __ATOMIC_ACQUIRE)
           || ticket->generation
              != __atomic_load_n(ngx_mtd_zone_generation(zone, &ticket->name),
                                 __ATOMIC_ACQUIRE);
}


static void
ngx_mtd_zone_put_locked(ngx_mtd_zone_t *zone, mtd_table_t *table,
    const mtd_entry_t *entry)
{
    if (mtd_table_put(table, entry, NULL)) {
        ngx_mtd_zone_count(zone, NGX_MTD_COUNT_EVICTED);
    }
}


/*
 * An alias must not outlive its name, or no change of it could be seen; so
 * the name is stored first and dropped last.
 */

static void
ngx_mtd_zone_put_name_locked(ngx_mtd_zone_t *zone, const mtd_hash_t *name,
    const mtd_hash_t *address, ngx_msec_t fetched)
{
    ngx_mtd_name_t  stored, evicted;

    if (mtd_table_get_locked(&zone->names, name, &stored.entry)
        && !mtd_hash_equal(&stored.address, address))
    {
        (void) mtd_table_delete(&zone->aliases, &stored.address);
    }

    stored.entry.key = *name;
    stored.entry.fetched = fetched;
    stored.address = *address;

    if (mtd_table_put(&zone->names, &stored.entry, &evicted.entry)) {
        (void) mtd_table_delete(&zone->aliases, &evicted.address);
        ngx_mtd_zone_count(zone, NGX_MTD_COUNT_EVICTED);
    }

}


/*
 * Settles what the tables gained.  A lost name takes the zone with it: its
 * alias could not be dropped any more.
 */

static void
ngx_mtd_zone_unlock(ngx_mtd_zone_t *zone)
{
    ngx_uint_t    i;
    mtd_table_t  *table, *tables[] = {
        &zone->aliases, &zone->devices, &zone->unknown, &zone->names
    };

    for (i = 0; i < NGX_MTD_ZONE_TABLES; i++) {
        table = tables[i];

        zone->sh->used[i] += table->delta;
        table->delta = 0;

        if (table->recovered) {
            table->recovered = 0;

            ngx_mtd_zone_count(zone, NGX_MTD_COUNT_RECOVERED);

            if (table == &zone->names) {
                ngx_mtd_zone_flush_locked(zone);
            }
        }
    }

    ngx_shmtx_unlock(&zone->shpool->mutex);
}


ngx_int_t
ngx_mtd_zone_put_alias(ngx_mtd_zone_t *zone, const mtd_hash_t *key,
    const mtd_hash_t *device, const ngx_mtd_ticket_t *ticket)
{
    ngx_mtd_alias_t  alias;

    alias.entry.key = *key;
    alias.entry.fetched = ticket->sent;
    alias.device = *device;

    ngx_shmtx_lock(&zone->shpool->mutex);

    if (ngx_mtd_zone_voided(zone, ticket)) {
        ngx_mtd_zone_unlock(zone);
        return NGX_DECLINED;
    }

    if (zone->names.n) {
        ngx_mtd_zone_put_name_locked(zone, &ticket->name, key, ticket->sent);
    }

    ngx_mtd_zone_put_locked(zone, &zone->aliases, &alias.entry);
    (void) mtd_table_delete(&zone->unknown, key);

    ngx_mtd_zone_unlock(zone);

    return NGX_OK;
}


ngx_int_t
ngx_mtd_zone_put_device(ngx_mtd_zone_t *zone, const mtd_hash_t *key,
    const mtd_record_t *record, const ngx_mtd_ticket_t *ticket)
{
    ngx_mtd_device_t  device;

    device.entry.key = *key;
    device.entry.fetched = ticket->sent;
    device.record = *record;

    ngx_shmtx_lock(&zone->shpool->mutex);

    if (ngx_mtd_zone_voided(zone, ticket)) {
        ngx_mtd_zone_unlock(zone);
        return NGX_DECLINED;
    }

    ngx_mtd_zone_put_locked(zone, &zone->devices, &device.entry);
    (void) mtd_table_delete(&zone->unknown, key);

    ngx_mtd_zone_fetched(zone, ticket->sent);

    ngx_mtd_zone_unlock(zone);

    return NGX_OK;
}


void
ngx_mtd_zone_fetched(ngx_mtd_zone_t *zone, ngx_msec_t fetched)
{
    uint64_t  newest;

    newest = zone->sh->fetched;

    if (newest == 0 || (ngx_msec_int_t) (fetched - newest) > 0) {
        __atomic_store_n(&zone->sh->fetched, fetched, __ATOMIC_RELAXED);
    }
}


ngx_msec_t
ngx_mtd_zone_age(ngx_mtd_zone_t *zone)
{
    ngx_msec_t  fetched;

    fetched = __atomic_load_n(&zone->sh->fetched, __ATOMIC_RELAXED);

    if (fetched == 0) {
        return NGX_MAX_INT_T_VALUE;
    }

    /* another worker's clock may be ahead */

    return ngx_max((ngx_msec_int_t) (ngx_current_msec - fetched), 0);
}


ngx_int_t
ngx_mtd_zone_put_unknown(ngx_mtd_zone_t *zone, const mtd_hash_t *key,
    const ngx_mtd_ticket_t *ticket)
{
    ngx_mtd_unknown_t  unknown;

    unknown.entry.key = *key;
    unknown.entry.fetched = ticket->sent;
    unknown.slot = ngx_mtd_zone_slot(&ticket->name);
    unknown.generation = ticket->generation;

    ngx_shmtx_lock(&zone->shpool->mutex);

    if (ngx_mtd_zone_voided(zone, ticket)) {
        ngx_mtd_zone_unlock(zone);
        return NGX_DECLINED;
    }

    /* aliases and devices do not share keys, one of them has it at most */

    (void) mtd_table_delete(&zone->aliases, key);
    (void) mtd_table_delete(&zone->devices, key);

    ngx_mtd_zone_put_locked(zone, &zone->unknown, &unknown.entry);

    ngx_mtd_zone_unlock(zone);

    return NGX_OK;
}


ngx_uint_t
ngx_mtd_zone_unknown_named(ngx_mtd_zone_t *zone, const mtd_hash_t *key,
    mtd_entry_t *entry)
{
    ngx_mtd_unknown_t  unknown;

    ngx_memzero(&unknown, sizeof(ngx_mtd_unknown_t));

    if (!mtd_table_get(&zone->unknown, key, &unknown.entry,
                       sizeof(ngx_mtd_unknown_t)))
    {
        return 0;
    }

    *entry = unknown.entry;

    return unknown.generation
           == __atomic_load_n(&zone->sh->generations[unknown.slot],
                              __ATOMIC_ACQUIRE);
}


ngx_mtd_changed_e
ngx_mtd_zone_name(ngx_mtd_zone_t *zone, const u_char *name, size_t len,
    mtd_hash_t *hash)
{
    u_char      *colon;
    ngx_uint_t   i;
    ngx_str_t   *kind;

    if (len == 6 && ngx_strncmp(name, "bypass", 6) == 0) {
        return NGX_MTD_CHANGED_BYPASS;
    }

    if (len > 7 && ngx_strncmp(name, "device:", 7) == 0) {
        *hash = ngx_mtd_zone_device_hash(zone, name + 7, len - 7);
        return NGX_MTD_CHANGED_DEVICE;
    }

    if (len <= 6 || ngx_strncmp(name, "alias:", 6) != 0) {
        return NGX_MTD_CHANGED_NOTHING;
    }

    name += 6;
    len -= 6;

    colon = ngx_strlchr((u_char *) name, (u_char *) name + len, ':');

    if (colon == NULL) {
        return NGX_MTD_CHANGED_NOTHING;
    }

    for (i = 0; i < zone->nkinds; i++) {
        kind = &zone->kinds[i];

        if (kind->len == (size_t) (colon - name)
            && ngx_memcmp(kind->data, name, kind->len) == 0)
        {
            *hash = ngx_mtd_zone_alias_hash(zone, i, colon + 1,
                                            len - (colon + 1 - name));
            return NGX_MTD_CHANGED_ALIAS;
        }
    }

    return NGX_MTD_CHANGED_NOTHING;
}


ngx_mtd_changed_e
ngx_mtd_zone_invalidate(ngx_mtd_zone_t *zone, const u_char *name, size_t len,
    mtd_hash_t *device)
{
    mtd_hash_t         hash;
    ngx_mtd_changed_e  changed;

    changed = ngx_mtd_zone_name(zone, name, len, &hash);

    if (changed != NGX_MTD_CHANGED_DEVICE && changed != NGX_MTD_CHANGED_ALIAS)
    {
        return changed;
    }

    ngx_mtd_zone_count(zone, NGX_MTD_COUNT_INVALIDATIONS);

    ngx_shmtx_lock(&zone->shpool->mutex);

    /* first the generation: it is read without the lock, too */

    (void) __atomic_fetch_add(ngx_mtd_zone_generation(zone, &hash), 1,
                              __ATOMIC_RELEASE);

    if (changed == NGX_MTD_CHANGED_ALIAS) {
        ngx_mtd_zone_drop_alias_locked(zone, &hash);

    } else {
        (void) mtd_table_delete(&zone->devices, &hash);
    }

    (void) mtd_table_delete(&zone->unknown, &hash);

    ngx_mtd_zone_unlock(zone);

    *device = hash;

    return changed;
}


static void
ngx_mtd_zone_drop_alias_locked(ngx_mtd_zone_t *zone, const mtd_hash_t *name)
{
    ngx_mtd_name_t  found;

    if (zone->names.n == 0) {
        (void) mtd_table_delete(&zone->aliases, name);
        return;
    }

    if (mtd_table_get_locked(&zone->names, name, &found.entry)) {
        (void) mtd_table_delete(&zone->aliases, &found.address);
        (void) mtd_table_delete(&zone->names, name);
    }

}


/* a value is hashed with a key, so its hash cannot be made to be this one */

static ngx_inline void
ngx_mtd_zone_aside(const mtd_hash_t *name, mtd_hash_t *key)
{
    key->word[0] = ~name->word[0];
    key->word[1] = ~name->word[1];
}


void
ngx_mtd_zone_address(ngx_mtd_zone_t *zone, const mtd_hash_t *name,
    mtd_hash_t *key)
{
    ngx_mtd_name_t  found;

    if (zone->names.n == 0) {
        *key = *name;

    } else if (mtd_table_get(&zone->names, name, &found.entry,
                             sizeof(ngx_mtd_name_t)))
    {
        *key = found.address;

    } else {
        ngx_mtd_zone_aside(name, key);
    }
}


/* its age stays what it was, and so does what voids it */

ngx_uint_t
ngx_mtd_zone_move_alias(ngx_mtd_zone_t *zone, const mtd_hash_t *name,
    const mtd_hash_t *key)
{
    ngx_uint_t        moved;
    mtd_hash_t        aside;
    ngx_mtd_name_t    found;
    ngx_mtd_alias_t   alias;

    ngx_mtd_zone_aside(name, &aside);

    if (!ngx_mtd_zone_alias(zone, &aside, &alias)) {
        return 0;
    }

    moved = 0;

    ngx_shmtx_lock(&zone->shpool->mutex);

    ngx_memzero(&found, sizeof(ngx_mtd_name_t));

    if (mtd_table_get_locked(&zone->names, name, &found.entry)
        && mtd_hash_equal(&found.address, &aside)
        && mtd_table_get_locked(&zone->aliases, &aside, &alias.entry)
        && alias.entry.fetched >= zone->sh->valid_from)
    {
        ngx_mtd_zone_put_name_locked(zone, name, key, alias.entry.fetched);

        alias.entry.key = *key;
        ngx_mtd_zone_put_locked(zone, &zone->aliases, &alias.entry);
        (void) mtd_table_delete(&zone->unknown, key);

        moved = 1;
    }

    ngx_mtd_zone_unlock(zone);

    return moved;
}


void
ngx_mtd_zone_flush(ngx_mtd_zone_t *zone)
{
    ngx_mtd_zone_count(zone, NGX_MTD_COUNT_FLUSHES);

    ngx_shmtx_lock(&zone->shpool->mutex);

    ngx_mtd_zone_flush_locked(zone);

    ngx_shmtx_unlock(&zone->shpool->mutex);
}


static void
ngx_mtd_zone_flush_locked(ngx_mtd_zone_t *zone)
{
    uint64_t  from;

    /* an answer to a question of this very millisecond may be older */

    ngx_time_update();
    from = ngx_current_msec + 1;

    if (zone->sh->valid_from < from) {
        __atomic_store_n(&zone->sh->valid_from, from, __ATOMIC_RELEASE);
    }

    __atomic_store_n(&zone->sh->fetched, 0, __ATOMIC_RELAXED);
}


uint32_t
ngx_mtd_zone_intern(ngx_mtd_zone_t *zone, const mtd_str_t *text)
{
    size_t              size;
    uint32_t            number, *head;
    ngx_mtd_text_t     *t;
    ngx_mtd_zone_sh_t  *sh;

    if (text->len == 0) {
        return 0;
    }

    sh = zone->sh;
    size = ngx_align(offsetof(ngx_mtd_text_t, data) + text->len,
                     sizeof(uint32_t));
    head = &sh->text_heads[ngx_crc32_short(text->data, text->len)
                           % NGX_MTD_ZONE_TEXT_HEADS];

    ngx_shmtx_lock(&zone->shpool->mutex);

    for (number = *head; number; number = t->next) {
        t = (ngx_mtd_text_t *) (sh->texts + number);

        if (t->len == text->len
            && ngx_memcmp(t->data, text->data, text->len) == 0)
        {
            goto done;
        }
    }

    if (size <= sh->texts_size - sh->texts_last) {
        number = sh->texts_last;

        t = (ngx_mtd_text_t *) (sh->texts + number);
        t->next = *head;
        t->len = text->len;
        ngx_memcpy(t->data, text->data, text->len);

        /* who reads them all in their order takes no lock */

        __atomic_store_n(&sh->texts_last, number + size, __ATOMIC_RELEASE);
        *head = number;
    }

done:

    ngx_shmtx_unlock(&zone->shpool->mutex);

    return number;
}


void
ngx_mtd_zone_text(ngx_mtd_zone_t *zone, uint32_t number, ngx_str_t *text)
{
    ngx_mtd_text_t  *t;

    if (number == 0) {
        ngx_str_null(text);
        return;
    }

    t = (ngx_mtd_text_t *) (zone->sh->texts + number);

    text->len = t->len;
    text->data = t->data;
}


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
         * there is may be of another one: also where a link goes on.
         */

        __atomic_store_n(&sh->server, server, __ATOMIC_RELEASE);
        sh->cover_to = 0;

        ngx_time_update();
        sh->served = ngx_current_msec + 1;
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


ngx_uint_t
ngx_mtd_zone_device_parts(ngx_mtd_zone_t *zone)
{
    return zone->devices.n;
}


ngx_uint_t
ngx_mtd_zone_alias_parts(ngx_mtd_zone_t *zone)
{
    return zone->names.n ? zone->names.n : zone->aliases.n;
}


ngx_uint_t
ngx_mtd_zone_device_part(ngx_mtd_zone_t *zone, ngx_uint_t i,
    ngx_mtd_device_t *device)
{
    ngx_uint_t        k, n, kept;
    ngx_mtd_device_t  found[NGX_MTD_ZONE_PART];

    n = mtd_table_copy(&zone->devices, i, found);

    for (kept = 0, k = 0; k < n; k++) {
        if (found[k].entry.fetched >= *zone->valid_from) {
            device[kept++] = found[k];
        }
    }

    return kept;
}


/* an alias whose name is gone is about to go, too */

ngx_uint_t
ngx_mtd_zone_alias_part(ngx_mtd_zone_t *zone, ngx_uint_t i,
    ngx_mtd_named_t *named)
{
    ngx_uint_t       k, n, kept;
    ngx_mtd_name_t   names[NGX_MTD_ZONE_PART];
    ngx_mtd_alias_t  aliases[NGX_MTD_ZONE_PART];

    kept = 0;

    if (zone->names.n) {
        n = mtd_table_copy(&zone->names, i, names);

        for (k = 0; k < n; k++) {
            if (ngx_mtd_zone_alias(zone, &names[k].address,
                                   &named[kept].alias))
            {
                named[kept++].name = names[k].entry.key;
            }
        }

        return kept;
    }

    n = mtd_table_copy(&zone->aliases, i, aliases);

    for (k = 0; k < n; k++) {
        if (aliases[k].entry.fetched >= *zone->valid_from) {
            named[kept].alias = aliases[k];
            named[kept++].name = aliases[k].entry.key;
        }
    }

    return kept;
}


uint32_t
ngx_mtd_zone_next_text(ngx_mtd_zone_t *zone, uint32_t number, ngx_str_t *text)
{
    size_t              size;
    ngx_mtd_text_t     *t;
    ngx_mtd_zone_sh_t  *sh;

    sh = zone->sh;

    if (number == 0) {
        number = NGX_MTD_ZONE_TEXT_FIRST;

    } else {
        t = (ngx_mtd_text_t *) (sh->texts + number);
        size = offsetof(ngx_mtd_text_t, data) + t->len;
        number += ngx_align(size, sizeof(uint32_t));
    }

    if (number >= __atomic_load_n(&sh->texts_last, __ATOMIC_ACQUIRE)) {
        return 0;
    }

    ngx_mtd_zone_text(zone, number, text);

    return number;
}


void
ngx_mtd_zone_get_key(ngx_mtd_zone_t *zone, mtd_hash_key_t *key)
{
    *key = zone->sh->key;
}


void
ngx_mtd_zone_set_key(ngx_mtd_zone_t *zone, const mtd_hash_key_t *key)
{
    zone->sh->key = *key;

    ngx_mtd_zone_attach(zone);
}


void
ngx_mtd_zone_restore_device(ngx_mtd_zone_t *zone,
    const ngx_mtd_device_t *device)
{
    ngx_shmtx_lock(&zone->shpool->mutex);

    ngx_mtd_zone_put_locked(zone, &zone->devices, &device->entry);

    ngx_mtd_zone_unlock(zone);
}


void
ngx_mtd_zone_restore_alias(ngx_mtd_zone_t *zone, const ngx_mtd_named_t *named)
{
    ngx_shmtx_lock(&zone->shpool->mutex);

    if (zone->names.n) {
        ngx_mtd_zone_put_name_locked(zone, &named->name,
                                     &named->alias.entry.key,
                                     named->alias.entry.fetched);
    }

    ngx_mtd_zone_put_locked(zone, &zone->aliases, &named->alias.entry);

    ngx_mtd_zone_unlock(zone);
}


uint64_t
ngx_mtd_zone_clock(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}


void
ngx_mtd_zone_count_time(ngx_mtd_zone_t *zone, ngx_mtd_time_e what,
    uint64_t time)
{
    ngx_uint_t  i, first;

    for (i = 0; i < NGX_MTD_ZONE_TIMES; i++) {
        if (time <= ngx_mtd_zone_times[i]) {
            break;
        }
    }

    first = NGX_MTD_COUNT_TIMES + what * NGX_MTD_ZONE_HISTOGRAM;

    ngx_mtd_zone_count(zone, first + i);

    (void) ngx_atomic_fetch_add(
               &zone->counters[first + NGX_MTD_ZONE_HISTOGRAM - 1], time);
}


void
ngx_mtd_zone_totals(ngx_mtd_zone_t *zone, ngx_mtd_zone_totals_t *totals)
{
    ngx_uint_t     i, slot;
    ngx_atomic_t  *counters;

    ngx_memzero(totals, sizeof(ngx_mtd_zone_totals_t));

    for (slot = 0; slot < NGX_MTD_ZONE_SLOTS; slot++) {
        counters = (ngx_atomic_t *)
                         (zone->sh->counters + slot * NGX_MTD_ZONE_STRIDE);

        for (i = 0; i < NGX_MTD_COUNT_N; i++) {
            totals->counters[i] += counters[i];
        }
    }

    /* in the order of ngx_mtd_zone_unlock() */

    totals->aliases = zone->sh->used[0];
    totals->devices = zone->sh->used[1];
    totals->unknown = zone->sh->used[2];

    totals->alias_capacity = (size_t) zone->aliases.n * zone->aliases.per;
    totals->device_capacity = (size_t) zone->devices.n * zone->devices.per;
    totals->unknown_capacity = (size_t) zone->unknown.n * zone->unknown.per;
}
