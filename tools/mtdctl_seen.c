
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/* open addressing by a 128-bit hash: the texts themselves are not kept */

#include <time.h>
#include <unistd.h>

#include "mtd_hash.h"
#include "mtdctl.h"


typedef struct {
    mtd_hash_t         name;
    mtd_hash_t         value;
    size_t             line;
    unsigned           used:1;
} mtdctl_seen_entry_t;


struct mtdctl_seen_s {
    mtd_hash_key_t        key;
    mtdctl_seen_entry_t  *entry;
    size_t                n;
    size_t                size;     /* a power of two */
};


static mtdctl_seen_entry_t *mtdctl_seen_slot(mtdctl_seen_entry_t *entry,
    size_t size, const mtd_hash_t *name);
static void mtdctl_seen_grow(mtdctl_seen_t *seen);


mtdctl_seen_t *
mtdctl_seen_create(void)
{
    struct timespec   t;
    mtdctl_seen_t    *seen;

    seen = calloc(1, sizeof(mtdctl_seen_t));

    if (seen == NULL) {
        mtdctl_fatal_memory();
    }

    clock_gettime(CLOCK_REALTIME, &t);

    seen->key.word[0] = (uint64_t) t.tv_nsec << 32 ^ (uint64_t) t.tv_sec;
    seen->key.word[1] = (uint64_t) getpid() << 32 ^ (uintptr_t) seen;

    mtdctl_seen_grow(seen);

    return seen;
}


void
mtdctl_seen_destroy(mtdctl_seen_t *seen)
{
    free(seen->entry);
    free(seen);
}


int
mtdctl_seen_add(mtdctl_seen_t *seen, const mtd_str_t *name,
    const mtd_str_t *value, size_t *line)
{
    mtd_hash_t            n, v;
    mtdctl_seen_entry_t  *entry;

    n = mtd_hash(&seen->key, name->data, name->len);
    v = mtd_hash(&seen->key, value->data, value->len);

    entry = mtdctl_seen_slot(seen->entry, seen->size, &n);

    if (entry->used) {
        *line = entry->line;
        return mtd_hash_equal(&entry->value, &v) ? 1 : -1;
    }

    entry->name = n;
    entry->value = v;
    entry->line = *line;
    entry->used = 1;

    if (++seen->n > seen->size / 2) {
        mtdctl_seen_grow(seen);
    }

    return 0;
}


static mtdctl_seen_entry_t *
mtdctl_seen_slot(mtdctl_seen_entry_t *entry, size_t size,
    const mtd_hash_t *name)
{
    size_t  i;

    i = name->word[0] & (size - 1);

    while (entry[i].used && !mtd_hash_equal(&entry[i].name, name)) {
        i = (i + 1) & (size - 1);
    }

    return &entry[i];
}


static void
mtdctl_seen_grow(mtdctl_seen_t *seen)
{
    size_t                i, size;
    mtdctl_seen_entry_t  *entry, *old;

    old = seen->entry;
    size = seen->size ? 2 * seen->size : 1024;

    entry = calloc(size, sizeof(mtdctl_seen_entry_t));

    if (entry == NULL) {
        mtdctl_fatal_memory();
    }

    for (i = 0; i < seen->size; i++) {
        if (old[i].used) {
            *mtdctl_seen_slot(entry, size, &old[i].name) = old[i];
        }
    }

    free(old);

    seen->entry = entry;
    seen->size = size;
}
