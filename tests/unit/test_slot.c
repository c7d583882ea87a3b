
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "mtd_slot.h"


/* the right sides are what a server says to CLUSTER KEYSLOT */

typedef struct {
    const char   *key;
    unsigned int  slot;
} test_slot_t;


static const test_slot_t  test_slots[] = {
    { "", 0 },
    { "123456789", 12739 },
    { "foo", 12182 },
    { "{foo}", 12182 },
    { "foo{bar}zap", 5061 },
    { "foo{}{bar}", 8363 },
    { "foo{{bar}}zap", 4015 },
    { "foo{bar}{zap}", 5061 },
    { "{", 4092 },
    { "}{", 12793 },
    { "a{b", 13340 },
    { "mtd:device:7f3d2c10-58b4-4e0a-9c61-2a8f40d5e1b7", 3616 },
    { "mtd:alias:eas:appldnpx2qk4hg7j", 10771 },
    { "mtd:alias:eas:{}", 11625 },
    { "mtd:alias:eas:a}{b}", 3300 }
};


static void
test_vectors(void **state)
{
    size_t              i;
    unsigned int        slot;
    const test_slot_t  *test;

    for (i = 0; i < sizeof(test_slots) / sizeof(test_slots[0]); i++) {
        test = &test_slots[i];
        slot = mtd_slot((const u_char *) test->key, strlen(test->key));

        if (slot != test->slot) {
            fail_msg("\"%s\" is in %u, not %u", test->key, slot, test->slot);
        }
    }
}


/* bit by bit, as the polynomial is defined */

static unsigned int
test_crc16(const u_char *p, size_t len)
{
    int           i;
    unsigned int  crc;

    crc = 0;

    while (len--) {
        crc ^= (unsigned int) *p++ << 8;

        for (i = 0; i < 8; i++) {
            crc = (crc & 0x8000) ? (crc << 1 ^ 0x1021) : crc << 1;
        }

        crc &= 0xffff;
    }

    return crc;
}


/* every byte, at every place of a key that has no braces */

static void
test_bytes(void **state)
{
    int     place, byte;
    u_char  key[8];

    for (place = 0; place < 8; place++) {
        for (byte = 0; byte < 256; byte++) {
            memset(key, 'k', sizeof(key));
            key[place] = (u_char) byte;

            assert_int_equal(mtd_slot(key, sizeof(key)),
                             test_crc16(key, sizeof(key)) % MTD_SLOTS);
        }
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_bytes)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
