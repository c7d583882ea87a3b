
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


/*
 * bytes is what is there at memory, which must be zeroed and is not owned.
 * The table's descriptor itself is private to the process.
 */

void mtd_table_init(mtd_table_t *table, void *memory, size_t bytes,
    size_t entry_size, unsigned moves);

/*
 * Copies the entry of key out.  Returns 1, or 0 if there is none or no
 * stable copy could be got in a few tries, which is a miss and no error.
 */

int mtd_table_get(const mtd_table_t *table, const mtd_hash_t *key,
    mtd_entry_t *out);

/* the same for a caller that holds the lock, which never misses */

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

#endif /* _MTD_TABLE_H_INCLUDED_ */
