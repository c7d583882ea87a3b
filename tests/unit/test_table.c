
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#define _GNU_SOURCE

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "mtd_table.h"


#define TEST_BUCKETS  1024
#define TEST_BYTES    (TEST_BUCKETS * MTD_TABLE_BUCKET)
#define TEST_READERS  3
#define TEST_WRITES   400000
#define TEST_KEYS     64


typedef struct {
    mtd_entry_t   entry;
    uint64_t      value;
    uint64_t      check;            /* of the value and the key */
} test_entry_t;


/* shared with children, behind the table */

typedef struct {
    uint32_t      stop;
    uint64_t      reads[TEST_READERS];
    uint64_t      hits[TEST_READERS];
    uint64_t      torn[TEST_READERS];
} test_shared_t;


static const mtd_hash_key_t  test_key = {
    { 0x0706050403020100ULL, 0x0f0e0d0c0b0a0908ULL }
};


/*
 * SipHash-1-3-128 of the bytes 0, 1, 2, ..., by an implementation of the
 * paper in another language, which gives the published vectors for 2-4.
 */

static const struct {
    size_t       len;
    mtd_hash_t   hash;
} test_hashes[] = {
    { 0, { { 0xbea58827b2bc7ee7ULL, 0x013030dd6adb62fdULL } } },
    { 1, { { 0xa8edd36004376ffcULL, 0x63f02f2bcc73055eULL } } },
    { 7, { { 0xc3e0aaf223b98410ULL, 0x77ab4808c82e2fa6ULL } } },
    { 8, { { 0xb4dae3d5e1fe12aaULL, 0x99c7f935ab164f72ULL } } },
    { 9, { { 0x9439f32c04b8dd81ULL, 0x427c1394000e72f4ULL } } },
    { 15, { { 0x6c52bdb205557ec1ULL, 0x09017e1eeccd2129ULL } } },
    { 16, { { 0xeb8e511557d9a8d0ULL, 0x93179e3df8b013b5ULL } } },
    { 63, { { 0x6f42fe4ee300584cULL, 0xad6052a70a6b9f07ULL } } },
    { 255, { { 0xa558210ac1a428f5ULL, 0xe93ebbaed065a4f1ULL } } },
    { 256, { { 0x5a020c3a248b6cf5ULL, 0x7a709cb9a27a686aULL } } },
};


static void *
test_memory(size_t size)
{
    void  *p;

    p = mmap(NULL, size, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_ANONYMOUS, -1,
             0);

    assert_ptr_not_equal(p, MAP_FAILED);

    return p;
}


static uint64_t
test_check(const mtd_hash_t *key, uint64_t value)
{
    return (value * 0x9e3779b97f4a7c15ULL) ^ key->word[0] ^ key->word[1];
}


static test_entry_t
test_entry(uint64_t number, uint64_t value)
{
    test_entry_t  e;

    e.entry.key = mtd_hash(&test_key, (u_char *) &number, sizeof(number));
    e.entry.fetched = value;
    e.value = value;
    e.check = test_check(&e.entry.key, value);

    return e;
}


static int
test_get(const mtd_table_t *table, uint64_t number, uint64_t *value)
{
    test_entry_t  e, out;

    e = test_entry(number, 0);

    if (!mtd_table_get(table, &e.entry.key, &out.entry, table->size)) {
        return 0;
    }

    assert_memory_equal(&out.entry.key, &e.entry.key, sizeof(mtd_hash_t));
    assert_int_equal(out.check, test_check(&out.entry.key, out.value));
    *value = out.value;

    return 1;
}


static void
test_hash(void **state)
{
    u_char      data[257], *p;
    size_t      i, n;
    mtd_hash_t  hash;

    n = sizeof(test_hashes) / sizeof(test_hashes[0]);

    /* at an odd address, and with what follows being none of it */

    p = data + 1;

    for (i = 0; i < 256; i++) {
        p[i] = i;
    }

    for (i = 0; i < n; i++) {
        hash = mtd_hash(&test_key, p, test_hashes[i].len);
        assert_true(mtd_hash_equal(&hash, &test_hashes[i].hash));
    }

    hash.word[1] ^= 1ULL << 63;
    assert_false(mtd_hash_equal(&hash, &test_hashes[n - 1].hash));
}


static void
test_put_get_delete(void **state)
{
    void          *memory;
    uint64_t       value;
    mtd_table_t    table;
    test_entry_t   e;

    memory = test_memory(TEST_BYTES);
    mtd_table_init(&table, memory, TEST_BYTES, sizeof(test_entry_t), 1);

    assert_int_equal(table.per, 3);
    assert_false(test_get(&table, 1, &value));

    e = test_entry(1, 10);
    assert_int_equal(mtd_table_put(&table, &e.entry, NULL), 0);
    assert_true(test_get(&table, 1, &value));
    assert_int_equal(value, 10);
    assert_false(test_get(&table, 2, &value));
    assert_int_equal(table.delta, 1);

    e = test_entry(1, 11);
    assert_int_equal(mtd_table_put(&table, &e.entry, NULL), 0);
    assert_true(test_get(&table, 1, &value));
    assert_int_equal(value, 11);
    assert_int_equal(table.delta, 1);

    assert_int_equal(mtd_table_delete(&table, &e.entry.key), 1);
    assert_int_equal(mtd_table_delete(&table, &e.entry.key), 0);
    assert_false(test_get(&table, 1, &value));
    assert_int_equal(table.delta, 0);
    assert_false(table.recovered);

    munmap(memory, TEST_BYTES);
}


/* all that fits stays, then the entry stored longest ago gives way */

static void
test_fill(void **state)
{
    void          *memory;
    uint64_t       i, n, value;
    mtd_table_t    table;
    test_entry_t   e;

    memory = test_memory(TEST_BYTES);
    mtd_table_init(&table, memory, TEST_BYTES, sizeof(test_entry_t), 1);

    n = (uint64_t) table.n * table.per * 85 / 100;

    for (i = 0; i < n; i++) {
        e = test_entry(i, i);
        assert_int_equal(mtd_table_put(&table, &e.entry, NULL), 0);
    }

    for (i = 0; i < n; i++) {
        assert_true(test_get(&table, i, &value));
        assert_int_equal(value, i);
    }

    assert_int_equal(table.delta, n);

    munmap(memory, TEST_BYTES);
}


/* both buckets of a key are the same one */

static void
test_one_bucket(void **state)
{
    void          *memory;
    uint64_t       i, value;
    mtd_table_t    table;
    test_entry_t   e;

    memory = test_memory(MTD_TABLE_BUCKET);
    mtd_table_init(&table, memory, MTD_TABLE_BUCKET, sizeof(test_entry_t), 1);

    for (i = 1; i < 4; i++) {
        e = test_entry(7, i);
        assert_int_equal(mtd_table_put(&table, &e.entry, NULL), 0);
        assert_true(test_get(&table, 7, &value));
        assert_int_equal(value, i);
        assert_int_equal(table.delta, 1);
    }

    e = test_entry(7, 0);
    assert_int_equal(mtd_table_delete(&table, &e.entry.key), 1);
    assert_false(test_get(&table, 7, &value));
    assert_int_equal(table.delta, 0);

    munmap(memory, MTD_TABLE_BUCKET);
}


static void
test_evict_oldest(void **state)
{
    void          *memory;
    uint64_t       i, value;
    mtd_table_t    table;
    test_entry_t   e, evicted;

    /* one bucket, which is both of each key */

    memory = test_memory(MTD_TABLE_BUCKET);
    mtd_table_init(&table, memory, MTD_TABLE_BUCKET, sizeof(test_entry_t), 1);

    for (i = 0; i < 3; i++) {
        e = test_entry(i, 100 + (i + 1) % 3);
        assert_int_equal(mtd_table_put(&table, &e.entry, NULL), 0);
    }

    e = test_entry(3, 200);
    assert_int_equal(mtd_table_put(&table, &e.entry, &evicted.entry), 1);
    assert_int_equal(evicted.value, 100);
    assert_false(test_get(&table, 2, &value));
    assert_true(test_get(&table, 0, &value));
    assert_true(test_get(&table, 1, &value));
    assert_true(test_get(&table, 3, &value));
    assert_int_equal(table.delta, 3);

    munmap(memory, MTD_TABLE_BUCKET);
}


/* what is evicted is told, and nothing else goes */

static void
test_overfill(void **state)
{
    void          *memory;
    size_t         present, gone;
    uint64_t       i, n, value;
    unsigned       moves;
    mtd_table_t    table;
    test_entry_t   e, evicted;

    for (moves = 0; moves < 2; moves++) {
        memory = test_memory(TEST_BYTES);
        mtd_table_init(&table, memory, TEST_BYTES, sizeof(test_entry_t),
                       moves);

        n = 3 * (uint64_t) table.n * table.per;
        present = gone = 0;

        for (i = 0; i < n; i++) {
            e = test_entry(i, i);

            if (mtd_table_put(&table, &e.entry, &evicted.entry)) {
                assert_int_equal(evicted.check,
                                 test_check(&evicted.entry.key,
                                            evicted.value));
                assert_false(test_get(&table, evicted.value, &value));
                gone++;
            }
        }

        for (i = 0; i < n; i++) {
            present += test_get(&table, i, &value);
        }

        assert_int_equal(present + gone, n);
        assert_int_equal(table.delta, present);
        assert_true(present > (size_t) table.n * table.per * 9 / 10);

        munmap(memory, TEST_BYTES);
    }
}


static void
test_reader(mtd_table_t *table, test_shared_t *shared, unsigned me)
{
    uint64_t      i;
    mtd_hash_t    key;
    test_entry_t  e, out;

    for (i = 0; !__atomic_load_n(&shared->stop, __ATOMIC_ACQUIRE); i++) {
        e = test_entry(i % TEST_KEYS, 0);
        key = e.entry.key;

        shared->reads[me]++;

        if (!mtd_table_get(table, &key, &out.entry, table->size)) {
            continue;
        }

        shared->hits[me]++;

        if (!mtd_hash_equal(&out.entry.key, &key)
            || out.check != test_check(&key, out.value)
            || out.value != out.entry.fetched)
        {
            shared->torn[me]++;
        }
    }
}


/* readers in other processes never see a part of an entry */

static void
test_concurrent(void **state)
{
    int             status;
    char           *memory;
    pid_t           pids[TEST_READERS];
    uint64_t        i;
    unsigned        n;
    mtd_table_t     table;
    test_entry_t    e;
    test_shared_t  *shared;

    /* few buckets, so that all of it is always being written */

    memory = test_memory(TEST_BYTES + sizeof(test_shared_t));
    shared = (test_shared_t *) (memory + TEST_BYTES);
    mtd_table_init(&table, memory, 16 * MTD_TABLE_BUCKET,
                   sizeof(test_entry_t), 1);

    for (n = 0; n < TEST_READERS; n++) {
        pids[n] = fork();
        assert_true(pids[n] >= 0);

        if (pids[n] == 0) {
            test_reader(&table, shared, n);
            _exit(0);
        }
    }

    for (n = 0; n < TEST_READERS; n++) {
        while (__atomic_load_n(&shared->reads[n], __ATOMIC_ACQUIRE) == 0) {
            (void) usleep(100);
        }
    }

    for (i = 0; i < TEST_WRITES; i++) {
        e = test_entry((i * 7) % TEST_KEYS, i);

        if (i % 5 == 0) {
            (void) mtd_table_delete(&table, &e.entry.key);

        } else {
            (void) mtd_table_put(&table, &e.entry, NULL);
        }
    }

    __atomic_store_n(&shared->stop, 1, __ATOMIC_RELEASE);

    for (n = 0; n < TEST_READERS; n++) {
        assert_int_equal(waitpid(pids[n], &status, 0), pids[n]);
        assert_int_equal(status, 0);
        assert_int_equal(shared->torn[n], 0);
        assert_true(shared->hits[n] > 0);
    }

    print_message("checked %lu reads, %lu hits\n",
                  (unsigned long) (shared->reads[0] + shared->reads[1]
                                   + shared->reads[2]),
                  (unsigned long) (shared->hits[0] + shared->hits[1]
                                   + shared->hits[2]));

    munmap(memory, TEST_BYTES + sizeof(test_shared_t));
}


/*
 * A child that dies while it copies an entry in: the entry's end lies on a
 * page that cannot be read.
 */

static void
test_die_in_put(mtd_table_t *table, uint64_t number)
{
    int            status;
    char          *page;
    long           size;
    pid_t          pid;
    test_entry_t   e, *entry;

    size = sysconf(_SC_PAGESIZE);
    page = test_memory(2 * size);
    entry = (test_entry_t *) (page + size - sizeof(mtd_entry_t));
    e = test_entry(number, 666);

    memcpy(entry, &e, sizeof(test_entry_t));
    assert_int_equal(mprotect(page + size, size, PROT_NONE), 0);

    pid = fork();
    assert_true(pid >= 0);

    if (pid == 0) {
        signal(SIGSEGV, SIG_DFL);
        signal(SIGBUS, SIG_DFL);
        (void) mtd_table_put(table, &entry->entry, NULL);
        _exit(0);
    }

    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));

    munmap(page, 2 * size);
}


static unsigned
test_odd(const mtd_table_t *table)
{
    uint32_t  i;
    unsigned  n;

    n = 0;

    for (i = 0; i < table->n; i++) {
        n += *(uint32_t *) (table->buckets + (size_t) i * MTD_TABLE_BUCKET)
             & 1;
    }

    return n;
}


static void
test_killed_writer(void **state)
{
    void          *memory;
    uint64_t       i, n, value;
    unsigned       missing;
    mtd_table_t    table;
    test_entry_t   e, out;

    memory = test_memory(TEST_BYTES);
    mtd_table_init(&table, memory, TEST_BYTES, sizeof(test_entry_t), 1);

    n = TEST_BUCKETS;

    for (i = 0; i < n; i++) {
        e = test_entry(i, i);
        assert_int_equal(mtd_table_put(&table, &e.entry, NULL), 0);
    }

    assert_int_equal(test_odd(&table), 0);

    test_die_in_put(&table, 5);
    assert_int_equal(test_odd(&table), 1);

    /* readers miss, in this bucket alone */

    assert_false(test_get(&table, 5, &value));
    missing = 0;

    for (i = 0; i < n; i++) {
        if (test_get(&table, i, &value)) {
            assert_int_equal(value, i);

        } else {
            missing++;
        }
    }

    assert_true(missing >= 1 && missing <= table.per);
    assert_false(table.recovered);

    /* the next writer empties it */

    e = test_entry(5, 55);
    assert_int_equal(mtd_table_put(&table, &e.entry, NULL), 0);
    assert_true(table.recovered);
    assert_int_equal(test_odd(&table), 0);
    assert_int_equal(table.delta, n - missing + 1);
    assert_true(test_get(&table, 5, &value));
    assert_int_equal(value, 55);

    for (i = 0; i < n; i++) {
        missing -= !test_get(&table, i, &value);
    }

    assert_int_equal(missing, 1);

    /* so does one that deletes, and one that reads under the lock */

    test_die_in_put(&table, 5);
    assert_int_equal(test_odd(&table), 1);
    assert_int_equal(mtd_table_delete(&table, &e.entry.key), 0);
    assert_int_equal(test_odd(&table), 0);

    test_die_in_put(&table, 5);
    assert_int_equal(test_odd(&table), 1);
    assert_int_equal(mtd_table_get_locked(&table, &e.entry.key, &out.entry),
                     0);
    assert_int_equal(test_odd(&table), 0);

    munmap(memory, TEST_BYTES);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_hash),
        cmocka_unit_test(test_put_get_delete),
        cmocka_unit_test(test_fill),
        cmocka_unit_test(test_one_bucket),
        cmocka_unit_test(test_evict_oldest),
        cmocka_unit_test(test_overfill),
        cmocka_unit_test(test_concurrent),
        cmocka_unit_test(test_killed_writer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
