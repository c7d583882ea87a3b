
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

#include "mtd_key.h"


#define test_str(text)  { sizeof(text) - 1, (u_char *) text }


static const mtd_names_t  test_plain = {
    test_str("mtd:"), { 0, NULL }
};

static const mtd_names_t  test_secret = {
    test_str("mtd:"), test_str("sixteen byte key")
};


/* the right sides are of: printf NAME | openssl dgst -sha256 -hmac SECRET */

typedef struct {
    mtd_str_t     kind;             /* data NULL: a device's, "": a user's */
    mtd_str_t     text;
    const char   *plain;
    const char   *secret;
} test_key_t;


static const test_key_t  test_keys[] = {

    { { 0, NULL }, test_str("5d2b0a3e-3f6c-4f0c-9f0e-0a1b2c3d4e5f"),
      "mtd:device:5d2b0a3e-3f6c-4f0c-9f0e-0a1b2c3d4e5f",
      "mtd:device:4db33bd05e8b975b7167ec6c0c21c408" },

    { { 0, NULL }, test_str("androidc1234567"),
      "mtd:device:androidc1234567",
      "mtd:device:b4ffeadf0c9189b6e3963b4030b6d661" },

    { test_str("eas"), test_str("androidc1234567"),
      "mtd:alias:eas:androidc1234567",
      "mtd:alias:eas:f9b2d2f307536ca651604fcc0cd1c330" },

    { test_str("vendor.lookout"), test_str("androidc1234567"),
      "mtd:alias:vendor.lookout:androidc1234567",
      "mtd:alias:vendor.lookout:0497dc4859ef8ac71ee6af0c2191f570" },

    { test_str(""), test_str("androidc1234567"),
      "mtd:user:androidc1234567",
      "mtd:user:8dc0fc5b8f030b63aa76cbdaaca81f1d" },

    { test_str(""), test_str("anna@example.com"),
      "mtd:user:anna@example.com",
      "mtd:user:8558022dcb0de4d4f1ca25df45bdfc20" },

    { { 0, NULL }, { 0, NULL }, NULL, NULL }
};


/* the key in memory of exactly the room that was promised */

static void
test_key(const mtd_names_t *names, const mtd_str_t *kind,
    const mtd_str_t *text, const char *expected)
{
    u_char  *p, *end;

    p = malloc(MTD_KEY_MAX);
    assert_non_null(p);

    if (kind->data == NULL) {
        end = mtd_key_device(p, names, text);

    } else if (kind->len == 0) {
        end = mtd_key_user(p, names, text);

    } else {
        end = mtd_key_alias(p, names, kind, text);
    }

    if (expected == NULL) {
        assert_null(end);

    } else {
        assert_non_null(end);
        assert_int_equal(end - p, strlen(expected));
        assert_memory_equal(p, expected, end - p);
    }

    free(p);
}


static void
test_vectors(void **state)
{
    const test_key_t  *test;

    for (test = test_keys; test->plain; test++) {
        test_key(&test_plain, &test->kind, &test->text, test->plain);
        test_key(&test_secret, &test->kind, &test->text, test->secret);
    }
}


/* secrets are bytes, NUL and 0xff included, up to MTD_SECRET_MAX of them */

static void
test_secrets(void **state)
{
    size_t       i;
    u_char       user[MTD_USER_MAX], secret[MTD_SECRET_MAX + 1];
    mtd_str_t    device, upn, text;
    mtd_names_t  names;

    static u_char  bytes[] = {
        0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07,
        0x08, 0x09, 0xff, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f
    };

    memset(&device, 0, sizeof(mtd_str_t));

    names.prefix.len = 0;
    names.prefix.data = NULL;
    names.secret.len = sizeof(bytes);
    names.secret.data = bytes;

    text.data = (u_char *) "\xc3\xa4pfel";
    text.len = 6;

    test_key(&names, &device, &text, "device:235c024a2d83457112471c1bb45bbf80");

    for (i = 0; i < sizeof(secret); i++) {
        secret[i] = (i & 1) ? 0xff : 0x00;
    }

    names.secret.len = MTD_SECRET_MAX;
    names.secret.data = secret;

    memset(user, 'x', MTD_USER_MAX);
    text.data = user;
    text.len = MTD_USER_MAX;

    upn.data = (u_char *) "";
    upn.len = 0;

    test_key(&names, &upn, &text, "user:160b7706111271a23c043c50ddbe57c0");

    names.secret.len = MTD_SECRET_MAX + 1;

    test_key(&names, &upn, &text, NULL);
}


/* the longest of everything fits into MTD_KEY_MAX, one byte more does not */

static void
test_limits(void **state)
{
    char         expected[MTD_KEY_MAX + 1];
    size_t       i;
    u_char       x[MTD_USER_MAX + 1];
    mtd_str_t    none, upn, kind, text;
    mtd_names_t  names;

    memset(x, 'x', sizeof(x));

    none.data = NULL;
    none.len = 0;
    upn.data = x;
    upn.len = 0;
    kind.data = x;
    text.data = x;
    names.prefix.data = x;

    for (i = 0; i < 2; i++) {
        names.secret = i ? test_secret.secret : none;

        names.prefix.len = MTD_PREFIX_MAX;

        text.len = MTD_USER_MAX + 1;
        test_key(&names, &upn, &text, NULL);

        text.len = MTD_ID_MAX + 1;
        test_key(&names, &none, &text, NULL);

        kind.len = MTD_KIND_MAX;
        test_key(&names, &kind, &text, NULL);

        text.len = MTD_ID_MAX;
        kind.len = MTD_KIND_MAX + 1;
        test_key(&names, &kind, &text, NULL);

        kind.len = MTD_KIND_MAX;
        names.prefix.len = MTD_PREFIX_MAX + 1;
        test_key(&names, &upn, &text, NULL);
        test_key(&names, &none, &text, NULL);
        test_key(&names, &kind, &text, NULL);
    }

    names.secret = none;
    names.prefix.len = MTD_PREFIX_MAX;

    text.len = MTD_USER_MAX;
    sprintf(expected, "%.64suser:%.1024s", x, x);
    test_key(&names, &upn, &text, expected);

    text.len = MTD_ID_MAX;
    sprintf(expected, "%.64sdevice:%.128s", x, x);
    test_key(&names, &none, &text, expected);

    sprintf(expected, "%.64salias:%.32s:%.128s", x, x, x);
    test_key(&names, &kind, &text, expected);
}


/* a NUL within a kind must not make it another's */

static void
test_kind_bytes(void **state)
{
    u_char     *p, *end;
    mtd_str_t   kind, value;

    kind.data = (u_char *) "eas\0x";
    kind.len = 5;
    value.data = (u_char *) "1";
    value.len = 1;

    p = malloc(MTD_KEY_MAX);
    assert_non_null(p);

    end = mtd_key_alias(p, &test_plain, &kind, &value);

    assert_int_equal(end - p, sizeof("mtd:alias:eas\0x:1") - 1);
    assert_memory_equal(p, "mtd:alias:eas\0x:1", end - p);

    free(p);
}


static void
test_fold(void **state)
{
    int        c, folded;
    u_char    *p;
    mtd_str_t  text;

    for (c = 0; c < 256; c++) {
        p = malloc(3);
        assert_non_null(p);

        p[0] = 'A';
        p[1] = 'z';
        p[2] = (u_char) c;

        text.data = p;
        text.len = 3;

        if (c <= ' ' || c == 0x7f) {
            assert_int_equal(mtd_fold(&text, 3), -1);

        } else {
            folded = (c >= 'A' && c <= 'Z') ? c - 'A' + 'a' : c;

            assert_int_equal(mtd_fold(&text, 3), 0);
            assert_int_equal(text.len, 3);
            assert_int_equal(p[0], 'a');
            assert_int_equal(p[1], 'z');
            assert_int_equal(p[2], folded);
        }

        assert_int_equal(mtd_fold(&text, 2), -1);

        text.len = 0;
        assert_int_equal(mtd_fold(&text, 3), -1);

        free(p);
    }
}


static void
test_kinds(void **state)
{
    unsigned   i;
    mtd_str_t  kind;

    static const char  *good[] = {
        "eas", "entra", "intune", "serial", "imei", "cert", "udid",
        "vendor.lookout", "vendor.x", "vendor.check-point_2",
        "vendor.0123456789012345678901234", NULL
    };

    static const char  *bad[] = {
        "", "ea", "eass", "EAS", "upn", "vendor", "vendor.", "vendor.a.b",
        "vendor.a:b", "vendor.A", "vendor. a", "vendor.a/b", "vendor.\xc3\xa4",
        "vendor,a", "vendorxa", "vendor.a`", "vendor.{",
        "vendor.01234567890123456789012345", NULL
    };

    for (i = 0; good[i]; i++) {
        kind.data = (u_char *) good[i];
        kind.len = strlen(good[i]);

        if (mtd_kind_valid(&kind) != 1) {
            fail_msg("\"%s\" is refused", good[i]);
        }
    }

    for (i = 0; bad[i]; i++) {
        kind.data = (u_char *) bad[i];
        kind.len = strlen(bad[i]);

        if (mtd_kind_valid(&kind) != 0) {
            fail_msg("\"%s\" is taken", bad[i]);
        }
    }

    kind.data = (u_char *) "vendor.a\0b";
    kind.len = 10;
    assert_int_equal(mtd_kind_valid(&kind), 0);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_secrets),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_kind_bytes),
        cmocka_unit_test(test_fold),
        cmocka_unit_test(test_kinds)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
