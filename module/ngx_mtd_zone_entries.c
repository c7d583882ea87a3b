
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include "ngx_mtd_zone_sh.h"


#define NGX_MTD_ZONE_WARN_INTERVAL  60000   /* ms */


static void ngx_mtd_zone_drop_alias_locked(ngx_mtd_zone_t *zone,
    const mtd_hash_t *name);
static void ngx_mtd_zone_put_locked(ngx_mtd_zone_t *zone,
    mtd_table_t *table, const mtd_entry_t *entry);
static void ngx_mtd_zone_put_name_locked(ngx_mtd_zone_t *zone,
    const mtd_hash_t *name, const mtd_hash_t *address, ngx_msec_t fetched);
static void ngx_mtd_zone_flush_locked(ngx_mtd_zone_t *zone);
static void ngx_mtd_zone_unlock(ngx_mtd_zone_t *zone);


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


/* not by ngx_time(): that may be set back, and nothing be told for hours */

ngx_uint_t
ngx_mtd_zone_warns(ngx_mtd_zone_t *zone)
{
    uint64_t  warned;

    warned = __atomic_load_n(&zone->sh->warned, __ATOMIC_RELAXED);

    /* another worker's clock may be a little ahead */

    if (warned
        && (ngx_msec_int_t) (ngx_current_msec - warned)
           < NGX_MTD_ZONE_WARN_INTERVAL)
    {
        return 0;
    }

    return __atomic_compare_exchange_n(&zone->sh->warned, &warned,
                                       ngx_current_msec, 0, __ATOMIC_RELAXED,
                                       __ATOMIC_RELAXED);
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
            len -= colon + 1 - name;

            if (len > MTD_ID_MAX) {

                /* nobody asks for one that is longer */

                return NGX_MTD_CHANGED_NOTHING;
            }

            *hash = ngx_mtd_zone_alias_hash(zone, i, colon + 1, len);
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
