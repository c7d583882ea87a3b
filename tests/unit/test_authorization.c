
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

#include "mtd_authorization.h"


#define test_text(s)    { sizeof(s) - 1, (u_char *) s }


typedef struct {
    mtd_str_t             value;
    mtd_authorization_e   is;
    mtd_str_t             user;
} test_header_t;


static const test_header_t  test_headers[] = {

    { test_text("Basic YWxpY2VAZXhhbXBsZS5jb206cHc="),
      MTD_AUTHORIZATION_BASIC, test_text("alice@example.com") },
    { test_text("bAsIc YWxpY2U6"),
      MTD_AUTHORIZATION_BASIC, test_text("alice") },
    { test_text("Basic Q09SUFxhbGljZTpwOnc="),
      MTD_AUTHORIZATION_BASIC, test_text("CORP\\alice") },
    { test_text("Basic w6k6AAEC/w=="),
      MTD_AUTHORIZATION_BASIC, test_text("\303\251") },

    /* no colon, no name, a control byte in it */

    { test_text("Basic YWxpY2U="), MTD_AUTHORIZATION_MALFORMED, { 0, NULL } },
    { test_text("Basic OnB3"), MTD_AUTHORIZATION_MALFORMED, { 0, NULL } },
    { test_text("Basic YQBiOnB3"),
      MTD_AUTHORIZATION_MALFORMED, { 0, NULL } },
    { test_text("Basic YX9iOnB3"),
      MTD_AUTHORIZATION_MALFORMED, { 0, NULL } },

    /* base64 that has another reading */

    { test_text("Basic"), MTD_AUTHORIZATION_MALFORMED, { 0, NULL } },
    { test_text("Basic "), MTD_AUTHORIZATION_MALFORMED, { 0, NULL } },
    { test_text("Basic  YWxpY2U6"), MTD_AUTHORIZATION_MALFORMED, { 0, NULL } },
    { test_text("Basic\tYWxpY2U6"), MTD_AUTHORIZATION_MALFORMED, { 0, NULL } },
    { test_text("Basic YWxpY2U6 "), MTD_AUTHORIZATION_MALFORMED, { 0, NULL } },
    { test_text("Basic YWxpY2U6cA"), MTD_AUTHORIZATION_MALFORMED,
      { 0, NULL } },
    { test_text("Basic YWxpY2U6cA=="), MTD_AUTHORIZATION_BASIC,
      test_text("alice") },
    { test_text("Basic YWxpY2U6cB=="), MTD_AUTHORIZATION_MALFORMED,
      { 0, NULL } },
    { test_text("Basic YWxpY2U6cHc="), MTD_AUTHORIZATION_BASIC,
      test_text("alice") },
    { test_text("Basic YWxpY2U6cHd="), MTD_AUTHORIZATION_MALFORMED,
      { 0, NULL } },
    { test_text("Basic YWxpY2U6=A=="), MTD_AUTHORIZATION_MALFORMED,
      { 0, NULL } },
    { test_text("Basic YWxpY2U6===="), MTD_AUTHORIZATION_MALFORMED,
      { 0, NULL } },
    { test_text("Basic YWxp-2U6"), MTD_AUTHORIZATION_MALFORMED, { 0, NULL } },
    { test_text("Basic YWxpY2U6, x"), MTD_AUTHORIZATION_MALFORMED,
      { 0, NULL } },

    /* other schemes */

    { test_text("Bearer a.b.c"), MTD_AUTHORIZATION_BEARER, { 0, NULL } },
    { test_text("BEARER"), MTD_AUTHORIZATION_BEARER, { 0, NULL } },
    { test_text("Bearer\ta"), MTD_AUTHORIZATION_MALFORMED, { 0, NULL } },
    { test_text("Bearers a"), MTD_AUTHORIZATION_OTHER, { 0, NULL } },
    { test_text("Negotiate YII="), MTD_AUTHORIZATION_OTHER, { 0, NULL } },
    { test_text("NTLM TlRM"), MTD_AUTHORIZATION_OTHER, { 0, NULL } },
    { test_text("Basis YWxpY2U6"), MTD_AUTHORIZATION_OTHER, { 0, NULL } },
    { test_text("Digest username=\"alice\""), MTD_AUTHORIZATION_OTHER,
      { 0, NULL } },
    { test_text(" Basic YWxpY2U6"), MTD_AUTHORIZATION_MALFORMED,
      { 0, NULL } },
    { test_text(""), MTD_AUTHORIZATION_MALFORMED, { 0, NULL } }
};


typedef struct {
    mtd_str_t     user;
    const char   *upn;                      /* NULL: not comparable */
} test_user_t;


static const mtd_user_domain_t  test_domains[] = {
    { test_text("corp"), test_text("example.com") },
    { test_text("corp.local"), test_text("example.com") },
    { test_text("lab"), test_text("lab.example") }
};


static const mtd_user_domain_t  test_bare[] = {
    { test_text("*"), test_text("example.com") }
};


static const test_user_t  test_users[] = {
    { test_text("Alice@Example.COM"), "alice@example.com" },
    { test_text("CORP\\Alice"), "alice@example.com" },
    { test_text("corp\\alice"), "alice@example.com" },
    { test_text("Lab\\alice"), "alice@lab.example" },
    { test_text("alice@corp.LOCAL"), "alice@example.com" },
    { test_text("alice@corp"), "alice@example.com" },
    { test_text("a_x.y#EXT#@example.com"), "a_x.y#ext#@example.com" },
    { test_text("al ice@example.com"), "al ice@example.com" },

    { test_text("alice"), NULL },
    { test_text("OTHER\\alice"), NULL },
    { test_text(".\\alice"), NULL },
    { test_text("\\alice"), NULL },
    { test_text("CORP\\"), NULL },
    { test_text("CORP\\a\\b"), NULL },
    { test_text("CORP\\alice@example.com"), NULL },
    { test_text("@example.com"), NULL },
    { test_text("alice@"), NULL },
    { test_text("alice@example.com@example.com"), NULL },
    { test_text("alice@CORP\\bob"), NULL },
    { test_text("*\\alice"), NULL },
    { test_text(""), NULL }
};


static void
test_authorization_headers(void **state)
{
    size_t                i, len;
    u_char                user[MTD_AUTHORIZATION_USER];
    const test_header_t  *t;
    mtd_authorization_e   is;

    for (i = 0; i < sizeof(test_headers) / sizeof(test_headers[0]); i++) {
        t = &test_headers[i];
        is = mtd_authorization(user, &len, &t->value);

        if (is != t->is) {
            fail_msg("\"%s\" is %d", t->value.data, is);
        }

        if (is == MTD_AUTHORIZATION_BASIC) {
            assert_int_equal(len, t->user.len);
            assert_memory_equal(user, t->user.data, len);
        }
    }

    printf("checked %zu headers\n", i);
}


/* a name that just has room, and one that has not; and a long password */

static void
test_authorization_sizes(void **state)
{
    size_t     len, n;
    u_char     user[MTD_AUTHORIZATION_USER], text[MTD_AUTHORIZATION_MAX + 16];
    mtd_str_t  value;

    for (n = 255; n < 259; n++) {
        memcpy(text, "Basic ", 6);
        memset(text + 6, 'Y', 4 * ((n + 2) / 3));
        value.data = text;

        /* "aaa..." is YWFh; the colon stands where the name ends */

        for (len = 0; len < n / 3; len++) {
            memcpy(text + 6 + 4 * len, "YWFh", 4);
        }

        memcpy(text + 6 + 4 * len, n % 3 == 0 ? "OnB3" : n % 3 == 1 ? "YTpw"
                                                       : "YWE6", 4);
        value.len = 6 + 4 * len + 4;

        assert_int_equal(mtd_authorization(user, &len, &value),
                         n <= MTD_AUTHORIZATION_USER
                         ? MTD_AUTHORIZATION_BASIC
                         : MTD_AUTHORIZATION_MALFORMED);

        if (n <= MTD_AUTHORIZATION_USER) {
            assert_int_equal(len, n);
        }
    }

    memset(text + 6, 'A', MTD_AUTHORIZATION_MAX + 4);
    memcpy(text + 6, "YTpw", 4);

    value.len = 6 + MTD_AUTHORIZATION_MAX;
    assert_int_equal(mtd_authorization(user, &len, &value),
                     MTD_AUTHORIZATION_BASIC);

    value.len += 4;
    assert_int_equal(mtd_authorization(user, &len, &value),
                     MTD_AUTHORIZATION_MALFORMED);
}


static void
test_authorization_upn(void **state)
{
    size_t              i, len;
    u_char              upn[64];
    mtd_str_t           bare = test_text("Alice");
    mtd_str_t           star = test_text("*\\Alice");
    mtd_str_t           at_star = test_text("Alice@*");
    const test_user_t  *t;

    for (i = 0; i < sizeof(test_users) / sizeof(test_users[0]); i++) {
        t = &test_users[i];
        len = mtd_user_upn(upn, sizeof(upn), &t->user, test_domains, 3);

        if (len != (t->upn ? strlen(t->upn) : 0)
            || (len && memcmp(upn, t->upn, len) != 0))
        {
            fail_msg("\"%s\" is \"%.*s\"", t->user.data, (int) len, upn);
        }
    }

    assert_int_equal(mtd_user_upn(upn, 17, &bare, test_bare, 1), 17);
    assert_memory_equal(upn, "alice@example.com", 17);
    assert_int_equal(mtd_user_upn(upn, 16, &bare, test_bare, 1), 0);
    assert_int_equal(mtd_user_upn(upn, 64, &bare, NULL, 0), 0);
    assert_int_equal(mtd_user_upn(upn, 64, &star, test_bare, 1), 0);
    assert_int_equal(mtd_user_upn(upn, 64, &at_star, test_bare, 1), 0);

    printf("checked %zu users\n", i);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_authorization_headers),
        cmocka_unit_test(test_authorization_sizes),
        cmocka_unit_test(test_authorization_upn),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
