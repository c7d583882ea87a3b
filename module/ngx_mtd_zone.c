
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include <openssl/hmac.h>
#include <openssl/rand.h>

#include "ngx_mtd_zone_sh.h"


#define NGX_MTD_ZONE_SLOTS        64        /* of counters, one a process */
#define NGX_MTD_ZONE_STRIDE                                                   \
    ngx_align(NGX_MTD_COUNT_N * sizeof(ngx_atomic_t), 64)

#define NGX_MTD_ZONE_TEXT_FIRST   8         /* 0 is no text */


typedef struct {
    uint32_t         next;
    uint32_t         len;
    u_char           data[1];
} ngx_mtd_text_t;


const ngx_msec_t  ngx_mtd_zone_times[NGX_MTD_ZONE_TIMES] = {
    250, 500, 1000, 2500, 5000, 10000, 50000, 200000, 1000000
};


static ngx_int_t ngx_mtd_zone_create(ngx_mtd_zone_t *zone,
    ngx_shm_zone_t *shm_zone);
static ngx_int_t ngx_mtd_zone_key(ngx_mtd_zone_t *zone, mtd_hash_key_t *key);
static void ngx_mtd_zone_attach(ngx_mtd_zone_t *zone);


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
    zone->shown_key = mtd_hash(&sh->key, (u_char *) "shown", 5);

    mtd_address_key(&zone->alias_key, &sh->key);

    for (i = 0; i < zone->nkinds; i++) {
        mtd_address_kind(&zone->alias_key, &sh->key, i, zone->kinds[i].data,
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
