
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * A 128-bit keyed hash: SipHash-1-3 with 128 bits of output (Aumasson and
 * Bernstein, "SipHash: a fast short-input PRF", 2012).  What it says of one
 * text tells nothing of another one, and nothing of the key.  Plain C.
 */


#ifndef _MTD_HASH_H_INCLUDED_
#define _MTD_HASH_H_INCLUDED_


#include <stdint.h>
#include <string.h>
#include <sys/types.h>


typedef struct {
    uint64_t   word[2];
} mtd_hash_t;


typedef mtd_hash_t  mtd_hash_key_t;


/* of any bytes; the empty text has a hash, too */

mtd_hash_t mtd_hash(const mtd_hash_key_t *key, const u_char *p, size_t len);


static inline int
mtd_hash_equal(const mtd_hash_t *a, const mtd_hash_t *b)
{
    return ((a->word[0] ^ b->word[0]) | (a->word[1] ^ b->word[1])) == 0;
}


#endif /* _MTD_HASH_H_INCLUDED_ */
