
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mtd_host.h"


/* of exactly as many bytes as there may be, for ASan */

static void
check(const char *text, size_t len, const char *want)
{
    size_t   n;
    u_char  *host, *copy;

    host = malloc(MTD_HOST_MAX);
    copy = malloc(len ? len : 1);
    assert_non_null(host);
    assert_non_null(copy);

    memcpy(copy, text, len);

    n = mtd_host(host, copy, len);

    assert_int_equal(n, want ? strlen(want) : 0);
    assert_memory_equal(host, want ? want : "", n);

    free(host);
    free(copy);
}


static void
test_names(void **state)
{
    size_t  i;

    static const char  *names[][2] = {
        { "a", "a" },
        { "redis-0.redis.prod.svc.cluster.local",
          "redis-0.redis.prod.svc.cluster.local" },
        { "A.Example.COM.", "a.example.com" },
        { "redis_1", "redis_1" },
        { "1.example", "1.example" },
        { "3f2a9c1b", "3f2a9c1b" },
        { "0xcafe.test", "0xcafe.test" },
        { "0xyz", "0xyz" },
        { "xn--bcher-kva.example", "xn--bcher-kva.example" }
    };

    static const char  *none[] = {
        "", ".", "..", ".a", "a..b", "a..", "-a", "a-", "a.-b", "a-.b",
        "a b", "a\n", "a/b", "a:1", "[::1]", "::1", "%41", "$a", "*.a", "?",
        "\xc3\xa4", "1", "127.1", "127.0.0.1", "127.0.0.1.", "a.7", "a.7.",
        "0x7f.0x1", "0X7F", "a.0x", "a@b", "a,b", "a\\b", "a;b"
    };

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        check(names[i][0], strlen(names[i][0]), names[i][1]);
    }

    for (i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        check(none[i], strlen(none[i]), NULL);
    }

    check("a\0b", 3, NULL);
    check("a\0", 2, NULL);
}


static void
test_lengths(void **state)
{
    char    text[300];
    size_t  i;

    memset(text, 'x', sizeof(text));

    check(text, 64, NULL);

    text[63] = '\0';
    check(text, 63, text);

    for (i = 63; i < sizeof(text); i += 64) {
        text[i] = '.';
    }

    check(text, 254, NULL);

    text[253] = '.';
    check(text, 255, NULL);

    text[253] = '\0';
    check(text, 253, text);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_lengths)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
