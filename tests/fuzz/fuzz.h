
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * What the fuzz targets share.  A target is one function that gets any bytes
 * and ends the program if what came of them is wrong.
 */


#ifndef _FUZZ_H_INCLUDED_
#define _FUZZ_H_INCLUDED_


#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mtd_words.h"


#define FUZZ_RUN           0xfe


#define fuzz_check(condition, what)                                           \
    do {                                                                      \
        if (!(condition)) {                                                   \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, what,      \
                    #condition);                                              \
            abort();                                                          \
        }                                                                     \
    } while (0)


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


/* in memory of its own, so that a byte more is seen to be read; never NULL */

static inline u_char *
fuzz_copy(const void *data, size_t len)
{
    u_char  *p;

    p = malloc(len ? len : 1);

    if (p == NULL) {
        abort();
    }

    if (len) {
        memcpy(p, data, len);
    }

    return p;
}


/* the next part of an input: up to a newline, which stands for nothing */

static inline mtd_str_t
fuzz_line(const uint8_t **data, size_t *size)
{
    size_t     len;
    mtd_str_t  line;

    for (len = 0; len < *size && (*data)[len] != '\n'; len++) {
        /* void */
    }

    line.len = len;
    line.data = (u_char *) *data;

    *data += len;
    *size -= len;

    if (*size) {
        (*data)++;
        (*size)--;
    }

    return line;
}


/* FUZZ_RUN and three bytes stand for many: how many, and which */

static inline size_t
fuzz_expand(u_char *to, size_t max, const uint8_t *data, size_t size)
{
    size_t  i, n, len;

    for (i = 0, len = 0; i < size && len < max; i++) {

        if (data[i] != FUZZ_RUN || size - i < 4) {
            to[len++] = data[i];
            continue;
        }

        n = data[i + 1] << 8 | data[i + 2];

        if (n > max - len) {
            n = max - len;
        }

        memset(to + len, data[i + 3], n);
        len += n;
        i += 3;
    }

    return len;
}


#endif /* _FUZZ_H_INCLUDED_ */
