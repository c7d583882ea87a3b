
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include "mtd_table.h"


#define MTD_TABLE_NODES   128       /* buckets looked into to make room */


#define mtd_table_entry(table, bucket, i)                                     \
    ((mtd_entry_t *) ((bucket)->entries + (size_t) (i) * (table)->size))


/* place: of the entry in the parent's bucket that can move to this one */

typedef struct {
    mtd_bucket_t  *bucket;
    int            parent;          /* -1: a bucket of the new entry */
    unsigned       place;
} mtd_node_t;


static inline int
mtd_table_free(const mtd_entry_t *entry)
{
    return (entry->key.word[0] | entry->key.word[1]) == 0;
}


void
mtd_table_init(mtd_table_t *table, void *memory, size_t bytes,
    size_t entry_size, unsigned moves)
{
    size_t  n;

    n = bytes / MTD_TABLE_BUCKET;

    table->buckets = memory;
    table->n = (n < UINT32_MAX) ? n : UINT32_MAX;
    table->size = entry_size;
    table->per = (MTD_TABLE_BUCKET - 8) / entry_size;
    table->delta = 0;
    table->moves = moves;
    table->recovered = 0;
}


static void
mtd_table_recover(mtd_table_t *table, mtd_bucket_t *bucket)
{
    unsigned  i;

    if ((bucket->sequence & 1) == 0) {
        return;
    }

    for (i = 0; i < table->per; i++) {
        table->delta -= !mtd_table_free(mtd_table_entry(table, bucket, i));
    }

    memset(bucket->entries, 0, sizeof(bucket->entries));
    __atomic_store_n(&bucket->sequence, bucket->sequence + 1,
                     __ATOMIC_RELEASE);
    table->recovered = 1;
}


/* entry == NULL empties the place */

static void
mtd_table_write(const mtd_table_t *table, mtd_bucket_t *bucket, unsigned i,
    const mtd_entry_t *entry)
{
    __atomic_store_n(&bucket->sequence, bucket->sequence + 1,
                     __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);

    if (entry) {
        memcpy(mtd_table_entry(table, bucket, i), entry, table->size);

    } else {
        memset(mtd_table_entry(table, bucket, i), 0, table->size);
    }

    __atomic_store_n(&bucket->sequence, bucket->sequence + 1,
                     __ATOMIC_RELEASE);
}


/* the place of key, or of a free one with key == NULL; per: none */

static unsigned
mtd_table_place(const mtd_table_t *table, mtd_bucket_t *bucket,
    const mtd_hash_t *key)
{
    unsigned      i;
    mtd_entry_t  *entry;

    for (i = 0; i < table->per; i++) {
        entry = mtd_table_entry(table, bucket, i);

        if (key ? mtd_hash_equal(&entry->key, key) : mtd_table_free(entry)) {
            break;
        }
    }

    return i;
}


static unsigned
mtd_table_oldest(const mtd_table_t *table, mtd_bucket_t *bucket)
{
    unsigned      i, oldest;
    mtd_entry_t  *entry, *found;

    oldest = 0;
    found = mtd_table_entry(table, bucket, 0);

    for (i = 1; i < table->per; i++) {
        entry = mtd_table_entry(table, bucket, i);

        if (entry->fetched < found->fetched) {
            oldest = i;
            found = entry;
        }
    }

    return oldest;
}


/* moves entries along the chain that ends in node; returns the freed bucket */

static mtd_bucket_t *
mtd_table_shift(const mtd_table_t *table, const mtd_node_t *nodes,
    const mtd_node_t *node)
{
    unsigned           to;
    const mtd_node_t  *parent;

    to = mtd_table_place(table, node->bucket, NULL);

    for ( ;; ) {
        parent = &nodes[node->parent];

        mtd_table_write(table, node->bucket, to,
                        mtd_table_entry(table, parent->bucket, node->place));

        to = node->place;

        if (parent->parent < 0) {
            mtd_table_write(table, parent->bucket, to, NULL);
            return parent->bucket;
        }

        node = parent;
    }
}


/*
 * Frees a place in one of two full buckets by moving entries to their other
 * buckets, along the shortest chain that ends in a free place.  An entry is
 * written to its new place first: readers may find it twice, or, having
 * looked into the new place before, not at all, which is a miss.
 */

static mtd_bucket_t *
mtd_table_make_room(mtd_table_t *table, mtd_bucket_t *first,
    mtd_bucket_t *second)
{
    unsigned      i, k, n, next;
    mtd_node_t    nodes[MTD_TABLE_NODES], *node, *child;
    mtd_entry_t  *entry;

    nodes[0].bucket = first;
    nodes[0].parent = -1;
    nodes[1].bucket = second;
    nodes[1].parent = -1;

    n = (first == second) ? 1 : 2;

    for (next = 0; next < n; next++) {
        node = &nodes[next];

        for (i = 0; i < table->per && n < MTD_TABLE_NODES; i++) {
            entry = mtd_table_entry(table, node->bucket, i);

            child = &nodes[n];
            child->bucket = mtd_table_bucket(table, &entry->key, 0);

            if (child->bucket == node->bucket) {
                child->bucket = mtd_table_bucket(table, &entry->key, 1);
            }

            for (k = 0; k < n; k++) {
                if (nodes[k].bucket == child->bucket) {
                    break;
                }
            }

            if (k < n) {
                continue;
            }

            child->parent = next;
            child->place = i;
            n++;

            mtd_table_recover(table, child->bucket);

            if (mtd_table_place(table, child->bucket, NULL) < table->per) {
                return mtd_table_shift(table, nodes, child);
            }
        }
    }

    return NULL;
}


int
mtd_table_get_locked(mtd_table_t *table, const mtd_hash_t *key,
    mtd_entry_t *out)
{
    mtd_table_recover(table, mtd_table_bucket(table, key, 0));
    mtd_table_recover(table, mtd_table_bucket(table, key, 1));

    return mtd_table_get(table, key, out, table->size);
}


int
mtd_table_put(mtd_table_t *table, const mtd_entry_t *entry,
    mtd_entry_t *evicted)
{
    int            found;
    unsigned       i, which;
    mtd_bucket_t  *bucket, *buckets[2];

    found = 0;

    for (which = 0; which < 2; which++) {
        bucket = mtd_table_bucket(table, &entry->key, which);
        buckets[which] = bucket;

        /* both may be the same one */

        if (which == 1 && bucket == buckets[0]) {
            break;
        }

        mtd_table_recover(table, bucket);

        i = mtd_table_place(table, bucket, &entry->key);

        if (i < table->per) {

            /* a writer that died while moving may have left it twice */

            mtd_table_write(table, bucket, i, found ? NULL : entry);
            table->delta -= found;
            found = 1;
        }
    }

    if (found) {
        return 0;
    }

    table->delta++;

    for (which = 0; which < 2; which++) {
        i = mtd_table_place(table, buckets[which], NULL);

        if (i < table->per) {
            mtd_table_write(table, buckets[which], i, entry);
            return 0;
        }
    }

    if (table->moves) {
        bucket = mtd_table_make_room(table, buckets[0], buckets[1]);

        if (bucket) {
            mtd_table_write(table, bucket,
                            mtd_table_place(table, bucket, NULL), entry);
            return 0;
        }
    }

    bucket = buckets[0];
    i = mtd_table_oldest(table, bucket);

    table->delta--;

    if (evicted) {
        memcpy(evicted, mtd_table_entry(table, bucket, i), table->size);
    }

    mtd_table_write(table, bucket, i, entry);

    return 1;
}


int
mtd_table_delete(mtd_table_t *table, const mtd_hash_t *key)
{
    int            found;
    unsigned       i, which;
    mtd_bucket_t  *bucket;

    found = 0;

    for (which = 0; which < 2; which++) {
        bucket = mtd_table_bucket(table, key, which);

        mtd_table_recover(table, bucket);

        i = mtd_table_place(table, bucket, key);

        if (i < table->per) {
            mtd_table_write(table, bucket, i, NULL);
            table->delta--;
            found = 1;
        }
    }

    return found;
}


unsigned
mtd_table_copy(const mtd_table_t *table, uint32_t i, void *out)
{
    u_char             *p;
    unsigned            n, k, tries;
    uint32_t            sequence;
    mtd_bucket_t       *bucket;
    const mtd_entry_t  *entry;

    bucket = (mtd_bucket_t *) (table->buckets + (size_t) i
                                                * MTD_TABLE_BUCKET);

    for (tries = 0; tries < MTD_TABLE_TRIES; tries++) {

        sequence = __atomic_load_n(&bucket->sequence, __ATOMIC_ACQUIRE);

        if (sequence & 1) {
            continue;
        }

        p = out;
        n = 0;

        for (k = 0; k < table->per; k++) {
            entry = mtd_table_entry(table, bucket, k);

            if (!mtd_table_free(entry)) {
                memcpy(p, entry, table->size);
                p += table->size;
                n++;
            }
        }

        __atomic_thread_fence(__ATOMIC_ACQUIRE);

        if (__atomic_load_n(&bucket->sequence, __ATOMIC_RELAXED)
            == sequence)
        {
            return n;
        }
    }

    return 0;
}
