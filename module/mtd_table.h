
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * A flat table of fixed-size entries in shared memory.  Readers never block:
 * a bucket of two cache lines is read under its sequence and copied out.
 * Writers are serialized by the caller's lock.  Plain C.
 *
 * An entry may stand in either of two buckets (cuckoo hashing), so the table
 * can be filled to 85% before anything is evicted.  Where both are full and
 * nothing can be moved, the entry that was stored longest ago gives way.
 *
 * sequence: even, stable -> odd, a writer is in the bucket -> even + 2.
 * A writer that finds an odd sequence under the lock follows one that died:
 * it empties the bucket and makes the sequence even.
 */


#ifndef _MTD_TABLE_H_INCLUDED_
#define _MTD_TABLE_H_INCLUDED_


#include "mtd_hash.h"


#define MTD_TABLE_BUCKET     128    /* bytes */
#define MTD_TABLE_TRIES      4


/* the start of every entry; a stored key is never all zero */

typedef struct {
    mtd_hash_t   key;
    uint64_t     fetched;           /* caller's clock, orders eviction */
} mtd_entry_t;


typedef struct {
    u_char      *buckets;           /* aligned to 64, in shared memory */
    uint32_t     n;                 /* of buckets */
    uint16_t     size;              /* of an entry, a multiple of 8 */
    uint16_t     per;               /* entries in a bucket */
    int          delta;             /* entries gained, taken by the caller */
    unsigned     moves:1;           /* entries may be moved to make room */
    unsigned     recovered:1;       /* set when a torn bucket was emptied */
} mtd_table_t;


typedef struct {
    uint32_t     sequence;
    uint32_t     unused;
    u_char       entries[MTD_TABLE_BUCKET - 8];
} mtd_bucket_t;


/*
 * bytes is what is there at memory, which must be zeroed and is not owned.
 * The table's descriptor itself is private to the process.
 */

void mtd_table_init(mtd_table_t *table, void *memory, size_t bytes,
    size_t entry_size, unsigned moves);

/* mtd_table_get() for a caller that holds the lock, which never misses */

int mtd_table_get_locked(mtd_table_t *table, const mtd_hash_t *key,
    mtd_entry_t *out);

/*
 * The caller holds the lock.  entry is copied in and replaces one of the
 * same key.  Returns 1 if another key's entry had to be evicted, which is
 * copied to evicted unless that is NULL.
 */

int mtd_table_put(mtd_table_t *table, const mtd_entry_t *entry,
    mtd_entry_t *evicted);

/* the caller holds the lock; returns 1 if the key was there */

int mtd_table_delete(mtd_table_t *table, const mtd_hash_t *key);

/*
 * Copies the entries of bucket i out, one after the other, at most
 * MTD_TABLE_BUCKET bytes, and returns how many there are.  Takes no lock; a
 * bucket of which no stable copy can be got in a few tries is empty.
 */

unsigned mtd_table_copy(const mtd_table_t *table, uint32_t i, void *out);


/* a copy of a known size takes a few instructions, a call would take more */

static inline int mtd_table_get(const mtd_table_t *table,
    const mtd_hash_t *key, mtd_entry_t *out, size_t size)
    __attribute__((always_inline));
static inline int mtd_table_read(const mtd_bucket_t *bucket,
    const mtd_hash_t *key, mtd_entry_t *out, size_t size)
    __attribute__((always_inline));


static inline mtd_bucket_t *
mtd_table_bucket(const mtd_table_t *table, const mtd_hash_t *key,
    unsigned which)
{
    uint32_t  i;

    i = ((key->word[which] >> 32) * table->n) >> 32;

    return (mtd_bucket_t *) (table->buckets + (size_t) i * MTD_TABLE_BUCKET);
}


/*
 * The entry is copied before the sequence is read again, so what is
 * returned was never written to meanwhile.
 */

static inline int
mtd_table_read(const mtd_bucket_t *bucket, const mtd_hash_t *key,
    mtd_entry_t *out, size_t size)
{
    size_t              at;
    unsigned            tries;
    uint32_t            sequence;
    const mtd_entry_t  *entry;

    for (tries = 0; tries < MTD_TABLE_TRIES; tries++) {

        sequence = __atomic_load_n(&bucket->sequence, __ATOMIC_ACQUIRE);

        if (sequence & 1) {
            continue;
        }

        for (at = 0; at + size <= sizeof(bucket->entries); at += size) {
            entry = (const mtd_entry_t *) (bucket->entries + at);

            if (mtd_hash_equal(&entry->key, key)) {
                memcpy(out, entry, size);
                break;
            }
        }

        __atomic_thread_fence(__ATOMIC_ACQUIRE);

        if (__atomic_load_n(&bucket->sequence, __ATOMIC_RELAXED)
            == sequence)
        {
            return at + size <= sizeof(bucket->entries);
        }
    }

    return 0;
}


/*
 * Copies the entry of key out.  Returns 1, or 0 if there is none or no
 * stable copy could be got in a few tries, which is a miss and no error.
 * size is the table's.
 */

static inline int
mtd_table_get(const mtd_table_t *table, const mtd_hash_t *key,
    mtd_entry_t *out, size_t size)
{
    return mtd_table_read(mtd_table_bucket(table, key, 0), key, out, size)
        || mtd_table_read(mtd_table_bucket(table, key, 1), key, out, size);
}


#endif /* _MTD_TABLE_H_INCLUDED_ */
