
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * Where an id stands in the zone: a multilinear hash of 128-bit coefficients
 * and 64-bit words, of which the upper half is strongly universal (Lemire and
 * Kaser, "Strongly universal string hashing is fast", 2014, theorem 3.1),
 * twice, with coefficients of their own.  So two ids have the same address
 * with a probability of 2^-128, whoever has chosen them without knowing the
 * key, in half of the time that a pseudo-random function takes.
 *
 * It is none, though: who is shown addresses can find the key.  What is to
 * be seen outside of the zone is mtd_hash() of an address.  Plain C.
 */


#ifndef _MTD_ADDRESS_H_INCLUDED_
#define _MTD_ADDRESS_H_INCLUDED_


#include "mtd_hash.h"


#define MTD_ADDRESS_KINDS   32      /* numbers below that */
#define MTD_ADDRESS_MAX     128     /* bytes */


/*
 * Of kinds and lengths there are few: what to add for each is in a table.
 * A coefficient is in two halves, and there is one for each of the hashes.
 */

typedef struct {
    mtd_hash_t   kinds[MTD_ADDRESS_KINDS];
    mtd_hash_t   lengths[MTD_ADDRESS_MAX + 1];
    uint64_t     start[2];              /* lower halves of what to add */
    uint64_t     low[2][MTD_ADDRESS_MAX / 8];
    uint64_t     high[2][MTD_ADDRESS_MAX / 8];
} mtd_address_key_t;


void mtd_address_key(mtd_address_key_t *key, const mtd_hash_key_t *secret);

/* the same for a kind of that name, whatever its number is */

void mtd_address_kind(mtd_address_key_t *key, const mtd_hash_key_t *secret,
    unsigned kind, const u_char *name, size_t len);

/* kind is one that was named, len at most MTD_ADDRESS_MAX */

mtd_hash_t mtd_address(const mtd_address_key_t *key, unsigned kind,
    const u_char *p, size_t len);


#endif /* _MTD_ADDRESS_H_INCLUDED_ */
