
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * Addresses, against the same sums made of OpenSSL's large numbers, and with
 * products made by hand, as on a machine of 32 bits.
 */


#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include <openssl/bn.h>

#include "mtd_address.h"

#define mtd_address        test_portable
#define mtd_address_key    test_portable_key
#define mtd_address_kind   test_portable_kind
#define MTD_ADDRESS_PORTABLE

#include "mtd_address.c"

#undef mtd_address
#undef mtd_address_key
#undef mtd_address_kind


static const mtd_hash_key_t  test_secret = {
    { 0x0706050403020100ULL, 0x0f0e0d0c0b0a0908ULL }
};

static mtd_address_key_t  test_key;


static int
test_setup(void **state)
{
    mtd_address_key(&test_key, &test_secret);

    mtd_address_kind(&test_key, &test_secret, 0, (const u_char *) "eas", 3);
    mtd_address_kind(&test_key, &test_secret, 31,
                     (const u_char *) "serial", 6);

    return 0;
}


static void
test_add(BIGNUM *sum, uint64_t a, unsigned shift, uint64_t b, BN_CTX *ctx)
{
    BIGNUM  *x, *y;

    x = BN_new();
    y = BN_new();

    BN_set_word(x, a);
    BN_set_word(y, b);
    BN_mul(x, x, y, ctx);
    BN_lshift(x, x, shift);
    BN_add(sum, sum, x);

    BN_free(x);
    BN_free(y);
}


/* the words that the header promises, and the sum that the paper has */

static uint64_t
test_sum(unsigned which, unsigned kind, const u_char *p, size_t len)
{
    size_t     i, k, n;
    u_char     bytes[8];
    BIGNUM    *sum;
    BN_CTX    *ctx;
    uint64_t   word, result;

    ctx = BN_CTX_new();
    sum = BN_new();

    test_add(sum, test_key.start[which], 0, 1, ctx);
    test_add(sum, test_key.kinds[kind].word[which], 64, 1, ctx);
    test_add(sum, test_key.lengths[len].word[which], 64, 1, ctx);

    n = (len > 8) ? (len - 1) / 8 : 0;

    for (i = 0; i <= n; i++) {
        word = 0;

        if (len >= 8) {
            memcpy(bytes, (i < n) ? p + 8 * i : p + len - 8, 8);
            word = (uint64_t) bytes[7] << 56 | (uint64_t) bytes[6] << 48
                   | (uint64_t) bytes[5] << 40 | (uint64_t) bytes[4] << 32
                   | (uint64_t) bytes[3] << 24 | bytes[2] << 16
                   | bytes[1] << 8 | bytes[0];

        } else {
            for (k = 0; k < len; k++) {
                word = word * 256 + p[k];
            }
        }

        test_add(sum, test_key.low[which][i], 0, word, ctx);
        test_add(sum, test_key.high[which][i], 64, word, ctx);
    }

    BN_mask_bits(sum, 128);
    BN_rshift(sum, sum, 64);

    result = BN_get_word(sum);

    BN_free(sum);
    BN_CTX_free(ctx);

    return result;
}


static void
test_bytes(u_char *p, size_t len, uint64_t seed)
{
    size_t  i;

    for (i = 0; i < len; i++) {
        seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
        p[i] = (u_char) (seed >> 56);
    }
}


static void
test_sums(void **state)
{
    u_char      data[MTD_ADDRESS_MAX + 1], *p;
    size_t      len;
    unsigned    i, kind;
    mtd_hash_t  address, other;

    p = data + 1;

    for (len = 0; len <= MTD_ADDRESS_MAX; len++) {

        for (i = 0; i < 20; i++) {
            test_bytes(p, len, 1000 * len + i);

            if (i == 0) {
                memset(p, 0xff, len);
            }

            kind = (i % 2) ? 31 : 0;

            address = mtd_address(&test_key, kind, p, len);

            assert_true(address.word[0] == test_sum(0, kind, p, len));
            assert_true(address.word[1] == test_sum(1, kind, p, len));

            other = test_portable(&test_key, kind, p, len);
            assert_true(mtd_hash_equal(&address, &other));
        }
    }
}


static void
test_differs(const mtd_hash_t *address, unsigned kind, const u_char *p,
    size_t len)
{
    mtd_hash_t  other;

    other = mtd_address(&test_key, kind, p, len);

    assert_true(other.word[0] != address->word[0]);
    assert_true(other.word[1] != address->word[1]);
}


/* each byte, the length, and the kind have their share in both halves */

static void
test_parts(void **state)
{
    u_char      data[MTD_ADDRESS_MAX];
    size_t      len, i;
    mtd_hash_t  address;

    for (len = 0; len <= MTD_ADDRESS_MAX; len++) {
        test_bytes(data, MTD_ADDRESS_MAX, len);

        address = mtd_address(&test_key, 0, data, len);

        test_differs(&address, 31, data, len);

        for (i = 0; i < len; i++) {
            data[i] ^= 0x20;
            test_differs(&address, 0, data, len);
            data[i] ^= 0x20;
        }

        if (len < MTD_ADDRESS_MAX) {
            data[len] = 0;
            test_differs(&address, 0, data, len + 1);
        }

        if (len) {
            test_differs(&address, 0, data + 1, len - 1);
        }
    }
}


/* a zone outlives a reload that counts kinds in another order */

static void
test_names(void **state)
{
    mtd_hash_t         address, other;
    mtd_address_key_t  key;

    mtd_address_key(&key, &test_secret);
    mtd_address_kind(&key, &test_secret, 7, (const u_char *) "eas", 3);
    mtd_address_kind(&key, &test_secret, 0, (const u_char *) "serial", 6);

    address = mtd_address(&test_key, 0, (const u_char *) "androidc1", 9);

    other = mtd_address(&key, 7, (const u_char *) "androidc1", 9);
    assert_true(mtd_hash_equal(&address, &other));

    other = mtd_address(&key, 0, (const u_char *) "androidc1", 9);
    assert_false(mtd_hash_equal(&address, &other));
}


static void
test_keys(void **state)
{
    mtd_hash_t         address, other;
    mtd_hash_key_t     secret;
    mtd_address_key_t  key;

    secret = test_secret;
    secret.word[1] ^= 1;

    mtd_address_key(&key, &secret);
    mtd_address_kind(&key, &secret, 0, (const u_char *) "eas", 3);

    address = mtd_address(&test_key, 0, (const u_char *) "androidc1", 9);
    other = mtd_address(&key, 0, (const u_char *) "androidc1", 9);

    assert_true(address.word[0] != other.word[0]);
    assert_true(address.word[1] != other.word[1]);
}


/* numbered devices are spread like any: a table divides by the upper half */

#define TEST_BUCKETS  4096
#define TEST_IDS      (16 * TEST_BUCKETS)


static void
test_spread(void **state)
{
    char             id[33];
    unsigned         i, which;
    mtd_hash_t       address;
    static unsigned  bucket[2][TEST_BUCKETS];

    for (i = 0; i < TEST_IDS; i++) {
        (void) snprintf(id, sizeof(id), "%032u", i);

        address = mtd_address(&test_key, 0, (u_char *) id, 32);

        for (which = 0; which < 2; which++) {
            bucket[which][address.word[which] >> 52]++;
        }
    }

    /* 16 are expected; with chance alone 45 or none are next to impossible */

    for (i = 0; i < TEST_BUCKETS; i++) {
        assert_true(bucket[0][i] >= 1 && bucket[0][i] <= 44);
        assert_true(bucket[1][i] >= 1 && bucket[1][i] <= 44);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_sums),
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_spread)
    };

    return cmocka_run_group_tests(tests, test_setup, NULL);
}
