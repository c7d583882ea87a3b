
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include "mtd_hash.h"


#define mtd_hash_rotate(x, n)  (((x) << (n)) | ((x) >> (64 - (n))))


typedef struct {
    uint64_t   v0;
    uint64_t   v1;
    uint64_t   v2;
    uint64_t   v3;
} mtd_hash_state_t;


static inline void
mtd_hash_round(mtd_hash_state_t *s)
{
    s->v0 += s->v1;
    s->v2 += s->v3;
    s->v1 = mtd_hash_rotate(s->v1, 13) ^ s->v0;
    s->v3 = mtd_hash_rotate(s->v3, 16) ^ s->v2;
    s->v0 = mtd_hash_rotate(s->v0, 32);

    s->v2 += s->v1;
    s->v0 += s->v3;
    s->v1 = mtd_hash_rotate(s->v1, 17) ^ s->v2;
    s->v3 = mtd_hash_rotate(s->v3, 21) ^ s->v0;
    s->v2 = mtd_hash_rotate(s->v2, 32);
}


/* little endian; memcpy() because p is not aligned */

static inline uint64_t
mtd_hash_word(const u_char *p, size_t len)
{
    uint64_t  word;

    word = 0;
    memcpy(&word, p, len);

#if (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__)
    word = __builtin_bswap64(word);
#endif

    return word;
}


mtd_hash_t
mtd_hash(const mtd_hash_key_t *key, const u_char *p, size_t len)
{
    uint64_t          word;
    mtd_hash_t        hash;
    const u_char     *last;
    mtd_hash_state_t  s;

    s.v0 = key->word[0] ^ 0x736f6d6570736575ULL;
    s.v1 = key->word[1] ^ 0x646f72616e646f6dULL ^ 0xee;
    s.v2 = key->word[0] ^ 0x6c7967656e657261ULL;
    s.v3 = key->word[1] ^ 0x7465646279746573ULL;

    for (last = p + (len & ~(size_t) 7); p < last; p += 8) {
        word = mtd_hash_word(p, 8);
        s.v3 ^= word;
        mtd_hash_round(&s);
        s.v0 ^= word;
    }

    word = (uint64_t) len << 56;

    if (len & 7) {
        word |= mtd_hash_word(p, len & 7);
    }

    s.v3 ^= word;
    mtd_hash_round(&s);
    s.v0 ^= word;

    s.v2 ^= 0xee;
    mtd_hash_round(&s);
    mtd_hash_round(&s);
    mtd_hash_round(&s);
    hash.word[0] = s.v0 ^ s.v1 ^ s.v2 ^ s.v3;

    s.v1 ^= 0xdd;
    mtd_hash_round(&s);
    mtd_hash_round(&s);
    mtd_hash_round(&s);
    hash.word[1] = s.v0 ^ s.v1 ^ s.v2 ^ s.v3;

    return hash;
}
