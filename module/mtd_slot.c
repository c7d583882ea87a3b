
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include <string.h>

#include "mtd_slot.h"


static unsigned int mtd_slot_crc16(const u_char *p, size_t len);


unsigned int
mtd_slot(const u_char *key, size_t len)
{
    const u_char  *open, *close;

    open = memchr(key, '{', len);

    if (open) {
        open++;
        close = memchr(open, '}', key + len - open);

        if (close && close > open) {
            return mtd_slot_crc16(open, close - open) % MTD_SLOTS;
        }
    }

    return mtd_slot_crc16(key, len) % MTD_SLOTS;
}


/* by halves of bytes: a table of 16 words stays in the cache */

static unsigned int
mtd_slot_crc16(const u_char *p, size_t len)
{
    unsigned int  crc;

    static const unsigned short  table[16] = {
        0x0000, 0x1021, 0x2042, 0x3063, 0x4084, 0x50a5, 0x60c6, 0x70e7,
        0x8108, 0x9129, 0xa14a, 0xb16b, 0xc18c, 0xd1ad, 0xe1ce, 0xf1ef
    };

    crc = 0;

    while (len--) {
        crc = (crc << 4 & 0xffff) ^ table[crc >> 12 ^ *p >> 4];
        crc = (crc << 4 & 0xffff) ^ table[crc >> 12 ^ (*p & 15)];
        p++;
    }

    return crc;
}
