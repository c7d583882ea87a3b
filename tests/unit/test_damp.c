
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <setjmp.h>

#include <cmocka.h>

#include "mtd_damp.h"


#define DEVICE  1
#define CLIENT  2


static mtd_damp_t  table[MTD_DAMP_ENTRIES];


static mtd_damp_t *
get(uint32_t kind, uint64_t key, uint32_t now)
{
    mtd_damp_t  old;

    return mtd_damp_get(table, kind, key, now, &old);
}


static int
clear(void **state)
{
    memset(table, 0, sizeof(table));
    return 0;
}


static void
test_wait(void **state)
{
    int          i;
    mtd_damp_t  *damp;

    static const unsigned  waits[] = {
        1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300
    };

    damp = get(DEVICE, 7, 1000);

    for (i = 0; i < MTD_DAMP_FREE; i++) {
        assert_int_equal(mtd_damp_refused(damp, 1000), 0);
    }

    for (i = 0; i < (int) (sizeof(waits) / sizeof(waits[0])); i++) {
        assert_int_equal(mtd_damp_refused(damp, 1000 + i), waits[i]);
    }

    /* who waits as long as it is asked to starts again at the first step */

    assert_int_equal(mtd_damp_refused(damp, 1011 + MTD_DAMP_WAIT), 1);
}


static void
test_decay(void **state)
{
    int          i;
    mtd_damp_t  *damp;

    damp = get(DEVICE, 7, 1000);

    for (i = 0; i < MTD_DAMP_FREE + 3; i++) {
        (void) mtd_damp_refused(damp, 1000);
    }

    /* one step back, and one forward */

    assert_int_equal(mtd_damp_refused(damp, 1029), 8);
    assert_int_equal(mtd_damp_refused(damp, 1030), 8);

    /* the rest of a step is not lost */

    assert_int_equal(mtd_damp_refused(damp, 1059), 16);
    assert_int_equal(mtd_damp_refused(damp, 1060), 16);

    /* once each half a minute never comes to a wait */

    damp = get(DEVICE, 8, 1000);

    for (i = 0; i < 1000; i++) {
        assert_int_equal(mtd_damp_refused(damp, 1000 + i * MTD_DAMP_STEP), 0);
    }

    /* a clock that is set back, and one that jumps */

    damp = get(DEVICE, 9, 1000);

    for (i = 0; i < MTD_DAMP_FREE; i++) {
        assert_int_equal(mtd_damp_refused(damp, 1000), 0);
    }

    assert_int_equal(mtd_damp_refused(damp, 500), 1);
    assert_int_equal(mtd_damp_refused(damp, 529), 2);
    assert_int_equal(mtd_damp_refused(damp, 0xfffffff0), 0);
}


static void
test_waiting(void **state)
{
    int          i;
    mtd_damp_t  *damp;

    damp = get(DEVICE, 7, 1000);
    assert_int_equal(mtd_damp_wait(damp, 1000), 0);

    for (i = 0; i < MTD_DAMP_FREE + 4; i++) {
        damp->wait = mtd_damp_refused(damp, 1000);
    }

    assert_int_equal(mtd_damp_wait(damp, 1000), 8);
    assert_int_equal(mtd_damp_wait(damp, 1005), 3);
    assert_int_equal(mtd_damp_wait(damp, 1008), 0);
    assert_int_equal(mtd_damp_wait(damp, 5000), 0);
    assert_int_equal(mtd_damp_wait(damp, 900), 8);
}


static void
test_lines(void **state)
{
    int          i;
    uint32_t     more;
    mtd_damp_t  *damp;

    damp = get(CLIENT, 7, 1000);

    for (i = 0; i < 10; i++) {
        assert_true(mtd_damp_line(damp, 10, 1000 + i, &more));
        assert_int_equal(more, 0);
    }

    for (i = 0; i < 70000; i++) {
        assert_false(mtd_damp_line(damp, 10, 1059, &more));
        assert_int_equal(more, 0);
    }

    assert_int_equal(damp->more, 70000);

    assert_true(mtd_damp_line(damp, 10, 1060, &more));
    assert_int_equal(more, 70000);
    assert_true(mtd_damp_line(damp, 10, 1060, &more));
    assert_int_equal(more, 0);

    /* set back: a new minute, not none for years */

    assert_true(mtd_damp_line(damp, 1, 10, &more));
    assert_false(mtd_damp_line(damp, 1, 10, &more));
}


/* each counts for itself; of a full set the one that was quiet longest goes */

static void
test_table(void **state)
{
    int           i, n;
    uint64_t      key;
    mtd_damp_t    old, *damp, *first;

    first = get(DEVICE, 7, 1000);
    (void) mtd_damp_refused(first, 1000);
    first->more = 5;

    assert_ptr_equal(get(DEVICE, 7, 1001), first);
    assert_ptr_equal(mtd_damp_find(table, DEVICE, 7), first);
    assert_ptr_not_equal(get(CLIENT, 7, 1001), first);
    assert_null(mtd_damp_find(table, CLIENT, 8));
    assert_int_equal(first->count, 1);

    memset(table, 0, sizeof(table));
    first = NULL;

    for (key = 1, n = 0; n <= MTD_DAMP_WAYS; key++) {
        damp = mtd_damp_get(table, DEVICE, key << 20, 1000 + n, &old);

        if (first == NULL) {
            first = damp;
            first->more = 5;
        }

        i = (damp - table) / MTD_DAMP_WAYS - (first - table) / MTD_DAMP_WAYS;

        if (i != 0) {
            continue;
        }

        assert_int_equal(old.kind, n < MTD_DAMP_WAYS ? 0 : DEVICE);
        assert_int_equal(old.more, n < MTD_DAMP_WAYS ? 0 : 5);
        n++;
    }

    assert_null(mtd_damp_find(table, DEVICE, 1 << 20));
    assert_int_equal(damp->more, 0);
    assert_ptr_equal(damp, first);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test_setup(test_wait, clear),
        cmocka_unit_test_setup(test_decay, clear),
        cmocka_unit_test_setup(test_waiting, clear),
        cmocka_unit_test_setup(test_lines, clear),
        cmocka_unit_test_setup(test_table, clear)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
