
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/evp.h>

#include "mtd_state.h"


#define TEST_DEVICES  3
#define TEST_ALIASES  4
#define TEST_MAX      4096

#define test_str(text)  { sizeof(text) - 1, (u_char *) text }


static const mtd_str_t  test_secret = test_str("sixteen byte key");
static const mtd_str_t  test_none = { 0, NULL };
static const mtd_str_t  test_zone = test_str("mtd:corp:0123456789abcdef");

static const mtd_state_text_t  test_texts[] = {
    { 8, test_str("iOS") },
    { 20, test_str("staff,board") },
    { 4000, test_str("x") }
};


static void
test_device(unsigned i, mtd_state_device_t *device)
{
    memset(device, 0, sizeof(mtd_state_device_t));

    device->key.word[0] = 0x0123456789abcdefULL + i;
    device->key.word[1] = i;
    device->age = 1000ULL * i * i * i;
    device->record.user = UINT64_MAX - i;
    device->record.grace_until = UINT32_MAX - i;
    device->record.reported_at = 1700000000 + i;
    device->record.os = 8;
    device->record.groups = i ? 20 : 0;
    device->record.vendor = i == 2 ? 4000 : 0;
    device->record.ttl = i == 1 ? UINT16_MAX : i;
    device->record.threat = MTD_THREAT_N - 1 - i;
    device->record.action = i;
    device->record.compliance = MTD_COMPLIANCE_N - 1 - i;
    device->record.enrolled = i % 2;
    device->record.damaged = i == 1;
}


static void
test_alias(unsigned i, unsigned named, mtd_state_alias_t *alias)
{
    alias->key.word[0] = 100 + i;
    alias->key.word[1] = UINT64_MAX - i;
    alias->device.word[0] = 0x0123456789abcdefULL + i % TEST_DEVICES;
    alias->device.word[1] = i % TEST_DEVICES;
    alias->age = 17 * i;
    alias->name = alias->key;

    if (named) {
        alias->name.word[0] = 0;
        alias->name.word[1] = 1 + i;
    }
}


/* the sums are made for whatever is in the body */

static void
test_sums(u_char *p, size_t size, const mtd_state_head_t *head,
    const mtd_state_seal_t *seal)
{
    u_char    md[EVP_MAX_MD_SIZE];
    unsigned  n;

    assert_true(EVP_Digest(p + MTD_STATE_HEADER, size - MTD_STATE_HEADER, md,
                           &n, EVP_sha256(), NULL));
    assert_int_equal(mtd_state_put_head(p, head, md, seal), 0);
}


static size_t
test_write(u_char *p, const mtd_str_t *secret, mtd_state_head_t *head,
    mtd_state_seal_t *seal)
{
    u_char              *start, *texts;
    unsigned             i;
    mtd_state_alias_t    alias;
    mtd_state_device_t   device;

    memset(head, 0, sizeof(mtd_state_head_t));

    head->key.word[0] = secret->len ? 0 : 5;
    head->key.word[1] = secret->len ? 0 : UINT64_MAX;
    head->wall = 1790000000000ULL;
    head->clock = 12345;
    head->devices = TEST_DEVICES;
    head->aliases = TEST_ALIASES;
    head->named = (secret->len != 0);

    start = p;
    p += MTD_STATE_HEADER;

    for (i = 0; i < TEST_DEVICES; i++) {
        test_device(i, &device);
        p = mtd_state_put_device(p, &device);
    }

    for (i = 0; i < TEST_ALIASES; i++) {
        test_alias(i, head->named, &alias);
        p = mtd_state_put_alias(p, &alias, head->named);
    }

    texts = p;

    for (i = 0; i < sizeof(test_texts) / sizeof(test_texts[0]); i++) {
        p = mtd_state_put_text(p, &test_texts[i]);
    }

    head->texts = p - texts;

    assert_int_equal(mtd_state_seal(seal, secret, &test_zone), 0);
    test_sums(start, p - start, head, seal);

    return p - start;
}


static const char *
test_read(const u_char *p, size_t size, mtd_state_head_t *head,
    const mtd_state_seal_t *seal)
{
    u_char      *copy;
    const char  *why;

    /* of its very size, so that ASan sees a byte too many */

    copy = malloc(size + !size);
    assert_non_null(copy);
    memcpy(copy, p, size);

    why = mtd_state_head(copy, size, head, seal);

    if (why == NULL) {
        why = mtd_state_body(copy, head);
    }

    free(copy);

    return why;
}


static void
test_round(const mtd_str_t *secret)
{
    u_char               p[TEST_MAX];
    size_t               size;
    uint64_t             at;
    unsigned             i;
    mtd_state_head_t     head, read;
    mtd_state_seal_t     seal;
    mtd_state_text_t     text;
    mtd_state_alias_t    alias, alias_read;
    mtd_state_device_t   device, device_read;

    size = test_write(p, secret, &head, &seal);

    memset(&read, 0, sizeof(mtd_state_head_t));
    assert_null(test_read(p, size, &read, &seal));
    assert_memory_equal(&head, &read, sizeof(mtd_state_head_t));

    for (i = 0; i < TEST_DEVICES; i++) {
        test_device(i, &device);
        mtd_state_device(p, &read, i, &device_read);
        assert_memory_equal(&device, &device_read, sizeof(device));
    }

    for (i = 0; i < TEST_ALIASES; i++) {
        test_alias(i, head.named, &alias);
        mtd_state_alias(p, &read, i, &alias_read);
        assert_memory_equal(&alias, &alias_read, sizeof(alias));
    }

    for (i = 0, at = 0; mtd_state_text(p, &read, &at, &text); i++) {
        assert_int_equal(text.number, test_texts[i].number);
        assert_int_equal(text.text.len, test_texts[i].text.len);
        assert_memory_equal(text.text.data, test_texts[i].text.data,
                            text.text.len);
    }

    assert_int_equal(i, sizeof(test_texts) / sizeof(test_texts[0]));
}


static void
test_round_plain(void **state)
{
    test_round(&test_none);
}


static void
test_round_secret(void **state)
{
    test_round(&test_secret);
}


static void
test_flip(void **state)
{
    u_char             p[TEST_MAX];
    size_t             size, i;
    unsigned           bit, n;
    mtd_state_head_t   head, read;
    mtd_state_seal_t   seal;

    size = test_write(p, &test_secret, &head, &seal);

    for (n = 0, i = 0; i < size; i++) {
        for (bit = 0; bit < 8; bit++, n++) {
            p[i] ^= 1 << bit;
            assert_non_null(test_read(p, size, &read, &seal));
            p[i] ^= 1 << bit;
        }
    }

    assert_null(test_read(p, size, &read, &seal));
    printf("checked %u flipped bits\n", n);
}


static void
test_cut(void **state)
{
    u_char             p[TEST_MAX];
    size_t             size, i;
    mtd_state_head_t   head, read;
    mtd_state_seal_t   seal;

    size = test_write(p, &test_secret, &head, &seal);

    for (i = 0; i < size; i++) {
        assert_non_null(test_read(p, i, &read, &seal));
    }

    p[size] = 0;
    assert_non_null(test_read(p, size + 1, &read, &seal));
}


/* every byte of the body has any value, and the sums are right */

static void
test_lie(void **state)
{
    u_char               p[TEST_MAX], was;
    size_t               size, i;
    uint64_t             at;
    unsigned             value, read_well, n;
    mtd_state_head_t     head, read;
    mtd_state_seal_t     seal;
    mtd_state_text_t     text;
    mtd_state_device_t   device;

    size = test_write(p, &test_none, &head, &seal);
    read_well = 0;
    n = 0;

    for (i = MTD_STATE_HEADER; i < size; i++) {
        was = p[i];

        for (value = 0; value < 256; value++, n++) {
            p[i] = value;
            test_sums(p, size, &head, &seal);

            if (test_read(p, size, &read, &seal) != NULL) {
                continue;
            }

            read_well++;

            for (at = 0; at < TEST_DEVICES; at++) {
                mtd_state_device(p, &read, at, &device);
                assert_true(device.record.threat < MTD_THREAT_N);
                assert_true(device.record.action < MTD_ACTION_N);
                assert_true(device.record.compliance < MTD_COMPLIANCE_N);
                assert_true(device.record.enrolled < MTD_ENROLLED_N);
                assert_true(device.age <= MTD_STATE_AGE_MAX);
            }

            at = 0;

            while (mtd_state_text(p, &read, &at, &text)) {
                assert_true(text.text.data + text.text.len <= p + size);
            }
        }

        p[i] = was;
    }

    assert_true(read_well > 0 && read_well < n);
    printf("checked %u lies\n", n);
}


/* lengths that are signed and wrong */

static void
test_lie_head(void **state)
{
    u_char             p[TEST_MAX];
    size_t             size;
    unsigned           i;
    uint64_t          *field;
    mtd_state_head_t   head, lie, read;
    mtd_state_seal_t   seal;

    static const uint64_t  values[] = {
        0, 1, 5, 1ULL << 32, 1ULL << 40, 1ULL << 58, UINT64_MAX / 60,
        UINT64_MAX / 60 + 1, UINT64_MAX
    };

    size = test_write(p, &test_none, &head, &seal);

    for (field = &lie.devices; field <= &lie.texts; field++) {
        for (i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
            lie = head;
            *field = values[i];
            test_sums(p, size, &lie, &seal);
            assert_non_null(test_read(p, size, &read, &seal));
        }
    }

    lie = head;
    lie.named = 1;
    test_sums(p, size, &lie, &seal);
    assert_non_null(test_read(p, size, &read, &seal));
}


static void
test_foreign(void **state)
{
    u_char             p[TEST_MAX];
    size_t             size;
    unsigned           i;
    mtd_state_head_t   head, read;
    mtd_state_seal_t   seal, other;

    static const mtd_str_t  zone = test_str("mtd:corp:0123456789abcdee");
    static const mtd_str_t  secret = test_str("sixteen byte kez");

    static const struct {
        const mtd_str_t  *secret;
        const mtd_str_t  *zone;
    } others[] = {
        { &test_secret, &zone }, { &secret, &test_zone },
        { &test_none, &test_zone }
    };

    size = test_write(p, &test_secret, &head, &seal);

    for (i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        assert_int_equal(mtd_state_seal(&other, others[i].secret,
                                        others[i].zone), 0);
        assert_string_equal(test_read(p, size, &read, &other),
                            "it is of another store, server, database, "
                            "prefix or key_secret");
    }
}


/* no secret shows, nor anything that could be checked against one */

static void
test_private(void **state)
{
    u_char             p[TEST_MAX];
    size_t             size, i;
    mtd_state_head_t   head;
    mtd_state_seal_t   seal;

    size = test_write(p, &test_secret, &head, &seal);

    for (i = 0; i + 8 <= size; i++) {
        assert_memory_not_equal(p + i, test_secret.data, 8);
        assert_memory_not_equal(p + i, seal.key, 8);
    }

    assert_int_equal(head.key.word[0] | head.key.word[1], 0);
}


static void
test_long_name(void **state)
{
    u_char            text[300];
    mtd_str_t         zone;
    mtd_state_seal_t  seal;

    memset(text, 'x', sizeof(text));
    zone.data = text;
    zone.len = sizeof(text);

    assert_int_equal(mtd_state_seal(&seal, &test_none, &zone), -1);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_round_plain),
        cmocka_unit_test(test_round_secret),
        cmocka_unit_test(test_flip),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_lie),
        cmocka_unit_test(test_lie_head),
        cmocka_unit_test(test_foreign),
        cmocka_unit_test(test_private),
        cmocka_unit_test(test_long_name)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
