
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#define _GNU_SOURCE

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "mtd_table.h"


#define BUCKETS   4096
#define BYTES     (BUCKETS * MTD_TABLE_BUCKET)
#define WORDS     4


/* words say what number they were written with, so a torn copy shows */

typedef struct {
    mtd_entry_t   entry;
    uint64_t      word[WORDS];
} item_t;


static mtd_hash_key_t  secret = { { 0x0706050403020100ULL,
                                    0x0f0e0d0c0b0a0908ULL } };


static u_char *
shared(size_t bytes)
{
    u_char  *p;

    p = mmap(NULL, bytes, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_ANONYMOUS, -1,
             0);
    assert_true(p != MAP_FAILED);

    return p;
}


static void
make(item_t *item, uint64_t n, uint64_t value)
{
    size_t  i;

    item->entry.key = mtd_hash(&secret, (u_char *) &n, sizeof(n));
    item->entry.fetched = value;

    for (i = 0; i < WORDS; i++) {
        item->word[i] = value;
    }
}


static int
get(mtd_table_t *table, uint64_t n, item_t *item)
{
    mtd_hash_t  key;

    key = mtd_hash(&secret, (u_char *) &n, sizeof(n));

    return mtd_table_get(table, &key, &item->entry);
}


static void
test_hash(void **state)
{
    size_t      i, k;
    u_char      message[64];
    mtd_hash_t  a, b;

    for (i = 0; i < sizeof(message); i++) {
        message[i] = i;
    }

    /* every length, every byte and the key count */

    for (i = 0; i < sizeof(message); i++) {
        a = mtd_hash(&secret, message, i);

        for (k = 0; k < i; k++) {
            message[k] ^= 1;
            b = mtd_hash(&secret, message, i);
            assert_false(mtd_hash_equal(&a, &b));
            message[k] ^= 1;
        }

        b = mtd_hash(&secret, message, i + 1);
        assert_false(mtd_hash_equal(&a, &b));

        secret.word[1] ^= 1;
        b = mtd_hash(&secret, message, i);
        assert_false(mtd_hash_equal(&a, &b));
        secret.word[1] ^= 1;

        b = mtd_hash(&secret, message, i);
        assert_true(mtd_hash_equal(&a, &b));
    }
}


static void
test_put_get_delete(void **state)
{
    item_t        item;
    uint64_t      n;
    mtd_table_t   table;

    mtd_table_init(&table, shared(BYTES), BYTES, sizeof(item_t), 1);

    assert_int_equal(table.per, 2);
    assert_false(get(&table, 1, &item));

    make(&item, 1, 7);
    assert_int_equal(mtd_table_put(&table, &item.entry, NULL), 0);
    assert_int_equal(table.delta, 1);

    memset(&item, 0, sizeof(item_t));
    assert_true(get(&table, 1, &item));
    assert_int_equal(item.word[3], 7);

    make(&item, 1, 8);
    assert_int_equal(mtd_table_put(&table, &item.entry, NULL), 0);
    assert_int_equal(table.delta, 1);
    assert_true(get(&table, 1, &item));
    assert_int_equal(item.word[0], 8);

    assert_true(mtd_table_delete(&table, &item.entry.key));
    assert_int_equal(table.delta, 0);
    assert_false(get(&table, 1, &item));
    assert_false(mtd_table_delete(&table, &item.entry.key));

    for (n = 0; n < 100; n++) {
        assert_false(get(&table, n, &item));
    }
}


/* 80% without an eviction; beyond the brim the oldest of a bucket goes */

static void
test_fill(void **state)
{
    int           evicted;
    size_t        full;
    item_t        item, out;
    uint64_t      n, lost;
    mtd_table_t   table;

    mtd_table_init(&table, shared(BYTES), BYTES, sizeof(item_t), 1);

    full = BUCKETS * table.per;

    for (n = 0; n < full * 8 / 10; n++) {
        make(&item, n, n + 1);
        assert_int_equal(mtd_table_put(&table, &item.entry, NULL), 0);
    }

    assert_int_equal(table.delta, (int) (full * 8 / 10));

    for (n = 0; n < full * 8 / 10; n++) {
        assert_true(get(&table, n, &item));
        assert_int_equal(item.word[1], n + 1);
    }

    for (lost = 0; n < 3 * full; n++) {
        make(&item, n, n + 1);
        evicted = mtd_table_put(&table, &item.entry, &out.entry);
        lost += evicted;

        if (evicted) {
            assert_true(out.entry.fetched < item.entry.fetched);
            assert_false(mtd_table_get(&table, &out.entry.key, &out.entry));
        }

        assert_true(get(&table, n, &item));
        assert_int_equal(item.word[2], n + 1);
    }

    assert_true(lost > 0);
    assert_int_equal(table.delta + lost, 3 * full);
    assert_true(table.delta <= (int) full);

    printf("checked %zu entries in a table for %zu\n", 3 * full, full);
}


/* readers in other processes never see half of a write */

static void
test_readers(void **state)
{
    int           i, status;
    u_char       *memory;
    pid_t         pid[2];
    item_t        item;
    uint64_t      n, round, *stop;
    mtd_table_t   table;

    memory = shared(BYTES + 4096);
    stop = (uint64_t *) (memory + BYTES);

    /* few buckets: writer and readers are always in the same ones */

    mtd_table_init(&table, memory, 4 * MTD_TABLE_BUCKET, sizeof(item_t), 1);

    for (i = 0; i < 2; i++) {
        pid[i] = fork();

        if (pid[i] == 0) {
            n = 0;

            while (!__atomic_load_n(stop, __ATOMIC_RELAXED)) {

                if (get(&table, n++ % 8, &item)
                    && (item.word[0] != item.entry.fetched
                        || item.word[1] != item.word[0]
                        || item.word[2] != item.word[0]
                        || item.word[3] != item.word[0]))
                {
                    _exit(1);
                }
            }

            _exit(0);
        }
    }

    for (round = 1; round < 2000000; round++) {
        make(&item, round % 8, round);

        if (round % 5) {
            (void) mtd_table_put(&table, &item.entry, NULL);

        } else {
            (void) mtd_table_delete(&table, &item.entry.key);
        }
    }

    __atomic_store_n(stop, 1, __ATOMIC_RELAXED);

    for (i = 0; i < 2; i++) {
        assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
    }

    printf("checked 2000000 writes under two readers\n");
}


/*
 * The writer dies between the two stores of a sequence: what it copies from
 * is a page that cannot be read.
 */

static void
test_writer_dies(void **state)
{
    int             status;
    u_char         *memory, *page;
    pid_t           pid;
    item_t          item, other, *trap;
    uint32_t        odd;
    uint64_t        n;
    mtd_table_t     table;
    struct rlimit   none;

    memory = shared(4 * MTD_TABLE_BUCKET);
    mtd_table_init(&table, memory, 4 * MTD_TABLE_BUCKET, sizeof(item_t), 1);

    for (n = 0; n < 4; n++) {
        make(&item, n, 1);
        assert_int_equal(mtd_table_put(&table, &item.entry, NULL), 0);
    }

    /* key and fetched are readable, the rest is not */

    page = mmap(NULL, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS,
                -1, 0);
    assert_true(page != MAP_FAILED);

    trap = (item_t *) (page + 4096 - sizeof(mtd_entry_t));
    make(&item, 0, 2);
    trap->entry = item.entry;
    assert_int_equal(mprotect(page + 4096, 4096, PROT_NONE), 0);

    pid = fork();

    if (pid == 0) {
        none.rlim_cur = 0;
        none.rlim_max = 0;
        (void) setrlimit(RLIMIT_CORE, &none);
        (void) signal(SIGSEGV, SIG_DFL);

        (void) mtd_table_put(&table, &trap->entry, NULL);
        _exit(0);
    }

    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGSEGV);

    odd = 0;

    for (n = 0; n < 4; n++) {
        odd += *(uint32_t *) (memory + n * MTD_TABLE_BUCKET) & 1;
    }

    assert_int_equal(odd, 1);

    /* a reader misses and does not wait */

    assert_false(get(&table, 0, &item));

    /* the next writer that comes by recovers the bucket */

    make(&other, 0, 3);
    assert_int_equal(mtd_table_put(&table, &other.entry, NULL), 0);
    assert_int_equal(table.recovered, 1);

    for (odd = 0, n = 0; n < 4; n++) {
        odd += *(uint32_t *) (memory + n * MTD_TABLE_BUCKET) & 1;
    }

    assert_int_equal(odd, 0);
    assert_true(get(&table, 0, &item));
    assert_int_equal(item.word[3], 3);

    /* entries of the lost bucket are gone, none is wrong */

    for (n = 1; n < 4; n++) {
        if (get(&table, n, &item)) {
            assert_int_equal(item.word[0], 1);
            assert_int_equal(item.word[3], 1);
        }
    }

    assert_true(table.delta >= 1 && table.delta <= 4);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_hash),
        cmocka_unit_test(test_put_get_delete),
        cmocka_unit_test(test_fill),
        cmocka_unit_test(test_readers),
        cmocka_unit_test(test_writer_dies)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
