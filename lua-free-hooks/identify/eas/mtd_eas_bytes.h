
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * What bytes of a query may stand where, and scans over many at once: of
 * mtd_eas.c, which each request runs through and so has them inline.
 */


#ifndef _MTD_EAS_BYTES_H_INCLUDED_
#define _MTD_EAS_BYTES_H_INCLUDED_


#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "mtd_words.h"


/* what a byte may be in; CLEAR: after decoding, in a value of no interest */

#define MTD_EAS_NAME           1
#define MTD_EAS_ALNUM          2
#define MTD_EAS_VALUE          4
#define MTD_EAS_INNER          8    /* does not end a name or a value */
#define MTD_EAS_CLEAR          16


#define mtd_eas_is(p, mask)    (mtd_eas_class[*(p)] & (mask))


static const u_char  mtd_eas_class[256] = {
     8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,
     8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,
    24, 28, 28, 24, 28,  8, 16, 28, 28, 28, 28, 28, 28, 29, 29, 28,
    31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 28, 24, 28, 20, 28, 28,
    28, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31,
    31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 28, 28, 28, 28, 29,
    28, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31,
    31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 28, 28, 28, 28,  8,
    28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28
};


/* the six bits that a byte is in base64, or -1 */

static const signed char  mtd_eas_sextet[256] = {
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 62, -1, -1, -1, 63,
    52, 53, 54, 55, 56, 57, 58, 59, 60, 61, -1, -1, -1, -1, -1, -1,
    -1,  0,  1,  2,  3,  4,  5,  6,  7,  8,  9, 10, 11, 12, 13, 14,
    15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, -1, -1, -1, -1, -1,
    -1, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40,
    41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, -1, -1, -1, -1, -1,
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1
};


/* the end of the bytes from p on that are in one of the classes of mask */

static inline const u_char *
mtd_eas_span(const u_char *p, const u_char *last, unsigned mask)
{
    while (last - p >= 4) {

        if (!mtd_eas_is(p, mask)) {
            return p;
        }

        if (!mtd_eas_is(p + 1, mask)) {
            return p + 1;
        }

        if (!mtd_eas_is(p + 2, mask)) {
            return p + 2;
        }

        if (!mtd_eas_is(p + 3, mask)) {
            return p + 3;
        }

        p += 4;
    }

    while (p < last && mtd_eas_is(p, mask)) {
        p++;
    }

    return p;
}


/*
 * Goes on from p over bytes of MTD_EAS_VALUE, 16 at once; what is returned
 * need not be their end: of those up to "&" none is expected.  The text begins
 * at start: the last 16 bytes of it may be looked at together, from before p
 * on.
 */

#if defined(__SSE2__)

static inline unsigned
mtd_eas_value_ends(const u_char *p)
{
    __m128i  bytes, end;

    bytes = _mm_loadu_si128((const __m128i *) p);

    /* with saturation: what is not above "&" becomes zero */

    end = _mm_cmpeq_epi8(_mm_subs_epu8(bytes, _mm_set1_epi8('&')),
                         _mm_setzero_si128());
    end = _mm_or_si128(end, _mm_cmpeq_epi8(bytes, _mm_set1_epi8(';')));
    end = _mm_or_si128(end, _mm_cmpeq_epi8(bytes, _mm_set1_epi8(0x7f)));

    return _mm_movemask_epi8(end);
}


static inline const u_char *
mtd_eas_value_wide(const u_char *start, const u_char *p, const u_char *last)
{
    unsigned  ends;

    while (last - p >= 16) {
        ends = mtd_eas_value_ends(p);

        if (ends) {
            return p + __builtin_ctz(ends);
        }

        p += 16;
    }

    if (last - start < 16) {
        return p;
    }

    ends = mtd_eas_value_ends(last - 16) >> (16 - (last - p));

    return ends ? p + __builtin_ctz(ends) : last;
}

#else

static inline const u_char *
mtd_eas_value_wide(const u_char *start, const u_char *p, const u_char *last)
{
    (void) start;
    (void) last;

    return p;
}

#endif


/* letters and digits in lower case, 16 bytes at once, while they are such */

#if defined(__SSE2__)

static inline size_t
mtd_eas_fold_wide(u_char *to, const u_char *p, size_t len)
{
    size_t   i;
    __m128i  bytes, lower, letter, digit, valid;

    for (i = 0; i + 16 <= len; i += 16) {
        bytes = _mm_loadu_si128((const __m128i *) (p + i));
        lower = _mm_or_si128(bytes, _mm_set1_epi8(0x20));

        /* unsigned, with saturation: zero is what is in the range */

        letter = _mm_subs_epu8(_mm_sub_epi8(lower, _mm_set1_epi8('a')),
                               _mm_set1_epi8('z' - 'a'));
        digit = _mm_subs_epu8(_mm_sub_epi8(bytes, _mm_set1_epi8('0')),
                              _mm_set1_epi8('9' - '0'));
        valid = _mm_cmpeq_epi8(_mm_min_epu8(letter, digit),
                               _mm_setzero_si128());

        if (_mm_movemask_epi8(valid) != 0xffff) {
            break;
        }

        _mm_storeu_si128((__m128i *) (to + i), lower);
    }

    return i;
}

#else

#define mtd_eas_fold_wide(to, p, len)  0

#endif


#endif /* _MTD_EAS_BYTES_H_INCLUDED_ */
