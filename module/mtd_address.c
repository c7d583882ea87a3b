
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include "mtd_address.h"


typedef struct {
    uint64_t   low;
    uint64_t   high;
} mtd_address_sum_t;


static void mtd_address_fill(void *to, size_t size,
    const mtd_hash_key_t *secret, const char *what);


void
mtd_address_key(mtd_address_key_t *key, const mtd_hash_key_t *secret)
{
    mtd_address_fill(key->lengths, sizeof(key->lengths), secret, "lengths");
    mtd_address_fill(key->start, sizeof(key->start), secret, "start");
    mtd_address_fill(key->low, sizeof(key->low), secret, "low");
    mtd_address_fill(key->high, sizeof(key->high), secret, "high");
}


void
mtd_address_kind(mtd_address_key_t *key, const mtd_hash_key_t *secret,
    unsigned kind, const u_char *name, size_t len)
{
    mtd_hash_key_t  kinds;

    kinds = mtd_hash(secret, (const u_char *) "kinds", 5);

    key->kinds[kind] = mtd_hash(&kinds, name, len);
}


static void
mtd_address_fill(void *to, size_t size, const mtd_hash_key_t *secret,
    const char *what)
{
    size_t          i;
    mtd_hash_t      hash;
    mtd_hash_key_t  key;

    key = mtd_hash(secret, (const u_char *) what, strlen(what));

    for (i = 0; i < size; i += sizeof(mtd_hash_t)) {
        hash = mtd_hash(&key, (const u_char *) to, i);
        memcpy((u_char *) to + i, &hash, sizeof(mtd_hash_t));
    }
}


#if defined(__SIZEOF_INT128__) && !defined(MTD_ADDRESS_PORTABLE)

__extension__ typedef unsigned __int128  mtd_address_wide_t;

#endif


static inline void
mtd_address_product(mtd_address_sum_t *sum, uint64_t a, uint64_t b)
{
#if defined(__SIZEOF_INT128__) && !defined(MTD_ADDRESS_PORTABLE)

    mtd_address_wide_t  wide;

    wide = (mtd_address_wide_t) sum->high << 64 | sum->low;
    wide += (mtd_address_wide_t) a * b;

    sum->low = (uint64_t) wide;
    sum->high = (uint64_t) (wide >> 64);

#else

    /* of halves, as it is done by hand */

    uint64_t  low, middle, other;

    low = (a & 0xffffffff) * (b & 0xffffffff);
    middle = (a >> 32) * (b & 0xffffffff) + (low >> 32);
    other = (a & 0xffffffff) * (b >> 32) + (middle & 0xffffffff);
    low = other << 32 | (low & 0xffffffff);

    sum->low += low;
    sum->high += (a >> 32) * (b >> 32) + (middle >> 32) + (other >> 32)
                 + (sum->low < low);

#endif
}


static inline void
mtd_address_word(mtd_address_sum_t *sum, const mtd_address_key_t *key,
    size_t i, uint64_t word)
{
    mtd_address_product(&sum[0], key->low[0][i], word);
    sum[0].high += key->high[0][i] * word;

    mtd_address_product(&sum[1], key->low[1][i], word);
    sum[1].high += key->high[1][i] * word;
}


/* little endian; memcpy() because p is not aligned */

static inline uint64_t
mtd_address_load(const u_char *p)
{
    uint64_t  word;

    memcpy(&word, p, 8);

#if (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__)
    word = __builtin_bswap64(word);
#endif

    return word;
}


/*
 * The last word may overlap the one before it: with the length, which has
 * its share, there is still but one text that has these words.
 */

mtd_hash_t
mtd_address(const mtd_address_key_t *key, unsigned kind, const u_char *p,
    size_t len)
{
    size_t             i, n;
    uint64_t           word;
    mtd_hash_t         address;
    mtd_address_sum_t  sum[2];

    sum[0].low = key->start[0];
    sum[0].high = key->kinds[kind].word[0] + key->lengths[len].word[0];
    sum[1].low = key->start[1];
    sum[1].high = key->kinds[kind].word[1] + key->lengths[len].word[1];

    if (len >= 8) {
        n = (len - 1) / 8;

        for (i = 0; i < n; i++) {
            mtd_address_word(sum, key, i, mtd_address_load(p + 8 * i));
        }

        word = mtd_address_load(p + len - 8);

    } else {
        n = 0;
        word = 0;

        for (i = 0; i < len; i++) {
            word = word << 8 | p[i];
        }
    }

    mtd_address_word(sum, key, n, word);

    address.word[0] = sum[0].high;
    address.word[1] = sum[1].high;

    return address;
}
