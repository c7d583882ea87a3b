
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>

#include <cmocka.h>

#include "mtd_canon.h"


#define EXCHANGE     0
#define SHAREPOINT   (MTD_CANON_LITERALS|MTD_CANON_NAMES)

#define ROUNDS       400000
#define PATH_MAX_LEN 512


typedef struct {
    unsigned      rules;
    const char   *raw;
    const char   *path;             /* NULL: refused */
    const char   *uri;              /* NULL: as path */
} canon_case_t;


static canon_case_t  cases[] = {
    { EXCHANGE, "/", "/", NULL },
    { EXCHANGE, "/owa", "/owa", NULL },
    { EXCHANGE, "/owa/auth/logon.aspx", "/owa/auth/logon.aspx", NULL },
    { EXCHANGE, "/%4dicrosoft-Server-ActiveSync",
      "/Microsoft-Server-ActiveSync", NULL },
    { EXCHANGE, "//owa", "/owa", NULL },
    { EXCHANGE, "/owa//", "/owa/", NULL },
    { EXCHANGE, "/./owa", "/owa", NULL },
    { EXCHANGE, "/x/../owa", "/owa", NULL },
    { EXCHANGE, "/x/..", "/", NULL },
    { EXCHANGE, "/x/y/..", "/x/", NULL },
    { EXCHANGE, "/x/y/../", "/x/", NULL },
    { EXCHANGE, "/x/.", "/x/", NULL },
    { EXCHANGE, "/x/a%20b", "/x/a%20b", "/x/a b" },
    { EXCHANGE, "/x/%40", "/x/@", NULL },
    { EXCHANGE, "/x/%27", "/x/'", NULL },
    { EXCHANGE, "/x/.a", "/x/.a", NULL },
    { EXCHANGE, "/x/a..b", "/x/a..b", NULL },

    { EXCHANGE, "", NULL, NULL },
    { EXCHANGE, "x", NULL, NULL },
    { EXCHANGE, "/..", NULL, NULL },
    { EXCHANGE, "/../x", NULL, NULL },
    { EXCHANGE, "/x/../../y", NULL, NULL },
    { EXCHANGE, "/x%2fy", NULL, NULL },
    { EXCHANGE, "/x%5cy", NULL, NULL },
    { EXCHANGE, "/x\\y", NULL, NULL },
    { EXCHANGE, "/%2e%2e/x", NULL, NULL },
    { EXCHANGE, "/%2e/x", NULL, NULL },
    { EXCHANGE, "/x%00", NULL, NULL },
    { EXCHANGE, "/x%0d%0a", NULL, NULL },
    { EXCHANGE, "/x%7f", NULL, NULL },
    { EXCHANGE, "/x%u0041", NULL, NULL },
    { EXCHANGE, "/x%", NULL, NULL },
    { EXCHANGE, "/x%4", NULL, NULL },
    { EXCHANGE, "/x%4g", NULL, NULL },
    { EXCHANGE, "/x%2541", NULL, NULL },
    { EXCHANGE, "/x%25", NULL, NULL },
    { EXCHANGE, "/x;y", NULL, NULL },
    { EXCHANGE, "/x%3by", NULL, NULL },
    { EXCHANGE, "/x#y", NULL, NULL },
    { EXCHANGE, "/x%23y", NULL, NULL },
    { EXCHANGE, "/x%3fy", NULL, NULL },
    { EXCHANGE, "/x?y", NULL, NULL },
    { EXCHANGE, "/x:y", NULL, NULL },
    { EXCHANGE, "/x%3ay", NULL, NULL },
    { EXCHANGE, "/x::$DATA", NULL, NULL },
    { EXCHANGE, "/x*", NULL, NULL },
    { EXCHANGE, "/x%2a", NULL, NULL },
    { EXCHANGE, "/x<y", NULL, NULL },
    { EXCHANGE, "/x%3cy", NULL, NULL },
    { EXCHANGE, "/x\"", NULL, NULL },
    { EXCHANGE, "/x y", NULL, NULL },
    { EXCHANGE, "/x\x01", NULL, NULL },
    { EXCHANGE, "/x\xc3\xa4", NULL, NULL },
    { EXCHANGE, "/x%c3%a4", NULL, NULL },
    { EXCHANGE, "/%ef%bc%adicrosoft-Server-ActiveSync", NULL, NULL },
    { EXCHANGE, "/MICROS~1", NULL, NULL },
    { EXCHANGE, "/MICROS%7e1", NULL, NULL },
    { EXCHANGE, "/owa./x", NULL, NULL },
    { EXCHANGE, "/owa.", NULL, NULL },
    { EXCHANGE, "/owa/x...", NULL, NULL },
    { EXCHANGE, "/owa%20/x", NULL, NULL },
    { EXCHANGE, "/owa%20", NULL, NULL },
    { EXCHANGE, "/(A(x)F(y)S(z))/owa/", NULL, NULL },
    { EXCHANGE, "/owa/(S(x))/y", NULL, NULL },
    { EXCHANGE, "/owa/%28S%28x))/y", NULL, NULL },

    { SHAREPOINT, "/sites/x/%E4%BA%BA.docx", "/sites/x/%E4%BA%BA.docx",
      "/sites/x/\xe4\xba\xba.docx" },
    { SHAREPOINT, "/sites/x/%e4%ba%ba", "/sites/x/%E4%BA%BA",
      "/sites/x/\xe4\xba\xba" },
    { SHAREPOINT, "/a%23b/100%25", "/a%23b/100%25", "/a#b/100%" },
    { SHAREPOINT, "/a%3bb~1", "/a%3Bb~1", "/a;b~1" },
    { SHAREPOINT, "/a'b/c&d", "/a'b/c&d", NULL },
    { SHAREPOINT,
      "/_api/web/GetFolderByServerRelativeUrl('%2Fsites%2Fa%26b')",
      "/_api/web/GetFolderByServerRelativeUrl('%2Fsites%2Fa%26b')",
      "/_api/web/GetFolderByServerRelativeUrl('/sites/a&b')" },
    { SHAREPOINT, "/_API/web/f('%2fx')", "/_API/web/f('%2fx')",
      "/_API/web/f('/x')" },
    { SHAREPOINT, "/s/_api/web/f('/s/it''s.docx')/$value",
      "/s/_api/web/f('/s/it''s.docx')/$value", NULL },
    { SHAREPOINT, "/s/_api/web/f(%27/s//x%27)/y",
      "/s/_api/web/f(%27/s//x%27)/y", "/s/_api/web/f('/s//x')/y" },
    { SHAREPOINT, "/_api/web/lists(guid'0a1b')/items",
      "/_api/web/lists(guid'0a1b')/items", NULL },
    { SHAREPOINT, "/_api/f(decodedurl='/a%23b/c%25',x=1)",
      "/_api/f(decodedurl='/a%23b/c%25',x=1)",
      "/_api/f(decodedurl='/a#b/c%',x=1)" },
    { SHAREPOINT, "/_api/f('https://x:443/a*b?')", NULL, NULL },
    { SHAREPOINT, "/_api/f('https://x:443/a*b')",
      "/_api/f('https://x:443/a*b')", NULL },
    { SHAREPOINT, "/_api/SP.AppContextSite(@target)/web",
      "/_api/SP.AppContextSite(@target)/web", NULL },
    { SHAREPOINT, "/_vti_bin/client.svc/f('%2Fx')",
      "/_vti_bin/client.svc/f('%2Fx')", "/_vti_bin/client.svc/f('/x')" },

    { SHAREPOINT, "/_api/f('/../x')", NULL, NULL },
    { SHAREPOINT, "/_api/f('..')", NULL, NULL },
    { SHAREPOINT, "/_api/f('a%2F..%2Fb')", NULL, NULL },
    { SHAREPOINT, "/_api/f('a/./b')", NULL, NULL },
    { SHAREPOINT, "/_api/f('a/%2e%2e/b')", NULL, NULL },
    { SHAREPOINT, "/_api/f('a%5cb')", NULL, NULL },
    { SHAREPOINT, "/_api/f('a\\b')", NULL, NULL },
    { SHAREPOINT, "/_api/f('a%252fb')", NULL, NULL },
    { SHAREPOINT, "/_api/f('a%00b')", NULL, NULL },
    { SHAREPOINT, "/_api/f('a#b')", NULL, NULL },
    { SHAREPOINT, "/_api/f('a%u0041')", NULL, NULL },
    { SHAREPOINT, "/_api/f('abc", NULL, NULL },
    { SHAREPOINT, "/_api/f('abc''", NULL, NULL },
    { SHAREPOINT, "/_api/f('%c0%af')", NULL, NULL },
    { SHAREPOINT, "/_api/f('a')/../../x", NULL, NULL },
    { SHAREPOINT, "/web/f('%2Fx')", NULL, NULL },
    { SHAREPOINT, "/_vti_bin/x.svc/f('%2Fx')", NULL, NULL },
    { SHAREPOINT, "/_api/../f('%2Fx')", NULL, NULL },
    { SHAREPOINT, "/_api/x/../y('a", NULL, NULL },
    { SHAREPOINT, "/_api/x/../y('a')", NULL, NULL },
    { SHAREPOINT, "/_vti_bin/x/../client.svc/f('a", NULL, NULL },
    { SHAREPOINT, "/x/../_api/f('%2Fx')", "/_api/f('%2Fx')",
      "/_api/f('/x')" },
    { SHAREPOINT, "/x/%c0%af", NULL, NULL },
    { SHAREPOINT, "/x/%ed%a0%80", NULL, NULL },
    { SHAREPOINT, "/x/%f4%90%80%80", NULL, NULL },
    { SHAREPOINT, "/x/%e4%ba", NULL, NULL },
    { SHAREPOINT, "/x/%e4", NULL, NULL },
    { SHAREPOINT, "/x/%80", NULL, NULL },
    { SHAREPOINT, "/x/%c2%85", NULL, NULL },
    { SHAREPOINT, "/x/%2525", NULL, NULL },
    { SHAREPOINT, "/x:y", NULL, NULL }
};


static u_char  buf[4 * PATH_MAX_LEN + 2], again[4 * PATH_MAX_LEN + 2];


static int
canon(mtd_canon_t *c, const u_char *raw, size_t len, unsigned rules,
    u_char *room)
{
    int        rc;
    mtd_str_t  path;

    path.data = (u_char *) raw;
    path.len = len;

    rc = mtd_canon_path(c, &path, rules, room);

    if (rc == MTD_CANON_OK) {
        c->path = path;
        c->uri = path;
    }

    return rc;
}


static void
test_cases(void **state)
{
    int            rc;
    size_t         i;
    const char    *uri;
    mtd_canon_t    c;
    canon_case_t  *t;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        t = &cases[i];
        rc = canon(&c, (u_char *) t->raw, strlen(t->raw), t->rules, buf);

        if ((rc == MTD_CANON_REFUSED) != (t->path == NULL)) {
            fail_msg("\"%s\": %s", t->raw, rc == MTD_CANON_REFUSED
                                           ? c.why : "was accepted");
        }

        if (t->path == NULL) {
            assert_non_null(c.why);
            continue;
        }

        uri = t->uri ? t->uri : t->path;

        if (c.path.len != strlen(t->path)
            || memcmp(c.path.data, t->path, c.path.len) != 0
            || c.uri.len != strlen(uri)
            || memcmp(c.uri.data, uri, c.uri.len) != 0)
        {
            fail_msg("\"%s\": \"%.*s\", \"%.*s\"", t->raw,
                     (int) c.path.len, c.path.data, (int) c.uri.len,
                     c.uri.data);
        }
    }
}


/* what http.sys makes of a path: decoded once, slashes and dots folded */

static size_t
iis(u_char *to, const u_char *p, size_t len)
{
    size_t        n, i, start;
    unsigned      ch;
    const u_char *last;
    char          hex[3];

    last = p + len;
    n = 0;

    while (p < last) {
        ch = *p++;

        if (ch == '%') {
            hex[0] = p[0];
            hex[1] = p[1];
            hex[2] = '\0';
            ch = strtoul(hex, NULL, 16);
            p += 2;
        }

        if (ch == '\\') {
            ch = '/';
        }

        to[n++] = ch;
    }

    /* segments: "", "." and ".." go, dots and spaces at the end, too */

    for (i = 0, start = 0, len = n, n = 0; i <= len; i++) {

        if (i < len && to[i] != '/') {
            continue;
        }

        if (i - start == 2 && to[start] == '.' && to[start + 1] == '.') {

            while (n && to[--n] != '/') {
                /* void */
            }

        } else if (i > start && !(i - start == 1 && to[start] == '.')) {

            while (i > start && (to[i - 1] == '.' || to[i - 1] == ' ')) {
                to[i - 1] = '/';
                return 0;
            }

            to[n++] = '/';
            memmove(to + n, to + start, i - start);
            n += i - start;
        }

        start = i + 1;
    }

    if (n == 0 || (len && to[len - 1] == '/')) {
        to[n++] = '/';
    }

    return n;
}


static const char  *pieces[] = {
    "/", "//", "/.", "/..", "/../", "/./", "%2f", "%2F", "%5c", "\\", "%2e",
    "%25", "%2541", "%u0041", "%00", "%20", " ", ";", "%3b", "#", "%23", "?",
    "%3f", ":", "*", "~1", ".", "..", "...", "owa", "OWA", "a", "b.aspx",
    "%41", "%4d", "_api", "_API", "_vti_bin", "client.svc", "('", "')", "'",
    "''", "%27", "(", ")", "(guid'", "%e4%ba%ba", "%c0%af", "\xc3\xa4", "&",
    "%26", "Microsoft-Server-ActiveSync", "(S(x))", "/_api/f('%2Fs')",
    "/sites/x", "%", "%4", "$value", "@", "=", "+", "%7f", "\x7f", "%0a"
};


/*
 * The forwarded form is canonical itself, decodes to what is decided on, and
 * is what a server that folds as http.sys does would see, too.
 */

static void
test_generated(void **state)
{
    int          rc, literal;
    u_char       raw[PATH_MAX_LEN], seen[PATH_MAX_LEN];
    size_t       i, k, n, len, accepted;
    uint64_t     seed;
    unsigned     rules;
    const char  *piece;
    mtd_canon_t  c, d;

    seed = 88172645463325252ULL;
    accepted = 0;

    for (i = 0; i < ROUNDS; i++) {
        rules = (i & 1) ? SHAREPOINT : EXCHANGE;
        len = 0;
        raw[len++] = '/';

        for (k = 0, n = seed % 9; k <= n; k++) {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;

            piece = pieces[seed % (sizeof(pieces) / sizeof(pieces[0]))];
            memcpy(raw + len, piece, strlen(piece));
            len += strlen(piece);
        }

        rc = canon(&c, raw, len, rules, buf);

        if (rc == MTD_CANON_REFUSED) {
            continue;
        }

        accepted++;

        rc = canon(&d, c.path.data, c.path.len, rules, again);

        assert_int_not_equal(rc, MTD_CANON_REFUSED);
        assert_int_equal(d.path.len, c.path.len);
        assert_memory_equal(d.path.data, c.path.data, c.path.len);
        assert_int_equal(d.uri.len, c.uri.len);
        assert_memory_equal(d.uri.data, c.uri.data, c.uri.len);

        for (k = 0; k < c.path.len; k++) {
            assert_true(c.path.data[k] > 0x20 && c.path.data[k] < 0x7f);
            assert_null(strchr("\\\"<>^`{|}#?", c.path.data[k]));
        }

        for (literal = 0, k = 0; k < c.uri.len; k++) {
            literal |= (c.uri.data[k] == '\'');
        }

        if (literal) {

            /* "//" is legal there, what is left must not fold either */

            continue;
        }

        n = iis(seen, c.path.data, c.path.len);

        if (n != c.uri.len || memcmp(seen, c.uri.data, n) != 0) {
            fail_msg("\"%.*s\" is \"%.*s\" to IIS", (int) c.path.len,
                     c.path.data, (int) n, seen);
        }
    }

    assert_true(accepted > ROUNDS / 50);

    printf("checked %d paths, %zu were accepted\n", ROUNDS, accepted);
}


static void
test_fast(void **state)
{
    size_t       i, k;
    u_char       raw[3];
    mtd_canon_t  c;

    /* every pair of bytes: what needs no room is its own canonical form */

    for (i = 0; i < 256; i++) {
        for (k = 0; k < 256; k++) {
            raw[0] = '/';
            raw[1] = i;
            raw[2] = k;

            if (canon(&c, raw, 3, EXCHANGE, NULL) != MTD_CANON_OK) {
                continue;
            }

            assert_true(i > 0x20 && i < 0x7f && k > 0x20 && k < 0x7f);
            assert_true(i != '/' && k != '.');
            assert_true(i != '.' || k != '/');
            assert_null(strchr("%\\;:#?*<>\"|^`{}~(", (int) i));
            assert_null(strchr("%\\;:#?*<>\"|^`{}~(", (int) k));
        }
    }
}


static void
test_strict_query(void **state)
{
    size_t     i;
    mtd_str_t  args;

    static const char  *good[] = {
        "", "Email=u@example.com", "Email=u%40example.com&Protocol=EWS",
        "email=a.b-c_d+e@x.org&protocol=ActiveSync&redirectcount=1"
    };

    static const char  *bad[] = {
        "@test.com/owa/?&Email=autodiscover/autodiscover.json%3F@test.com",
        "a..foo.var/owa/?&Email=x", "Email", "Email=a&Email=b",
        "Email=a&EMAIL=b", "X=1", "Email=a/b", "Email=a%2Fb", "Email=a?b",
        "Email=a%3fb", "Email=a\\b", "Email=a%5cb", "Email=a#b",
        "Email=a%00", "Email=a%0d%0a", "Email=a%", "Email=a%4", "Email=a%u",
        "Email=a=b", "Email=a..b", "Email=%2e%2e", "Email=a%c3%a4",
        "Email=a&", "&Email=a", "=a", "Email=a:b", "Email=a%25b"
    };

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        args.data = (u_char *) good[i];
        args.len = strlen(good[i]);

        if (mtd_canon_strict_query(&args)) {
            fail_msg("\"%s\" was refused", good[i]);
        }
    }

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        args.data = (u_char *) bad[i];
        args.len = strlen(bad[i]);

        if (mtd_canon_strict_query(&args) == NULL) {
            fail_msg("\"%s\" was accepted", bad[i]);
        }
    }
}


static void
test_cookies(void **state)
{
    size_t     i;
    mtd_str_t  cookies;

    static const char  *good[] = {
        "", ";", "=", "; ", "x", "x=", "a=b; c=d", "X-BEResource",
        "X-BEResource=", "X-BEResource=ex01.example.com~1942062522",
        "a=/?; X-AnonResource-Backend=ex-01~1; X-AnonResource=true",
        "X-BackEndCookie=a/b:c; X-BEResourceX=/; XX-BEResource=/",
        "a=X-BEResource=/", "xX-BEResource=/",
        "SecurityTokens=x; MySecurityToken=x; a=SecurityToken", "s=", "s"
    };

    static const char  *bad[] = {
        "X-BEResource=localhost/owa/auth/logon.aspx?~3",
        "a=b; X-AnonResource-Backend=localhost/ecp/default.flt?~3;",
        "x-beresource=a:444", ";X-BEResource=a]@b", "X-BEResource=a#",
        "\tX-BEResource\t=a/b", "X-BEResource =%2f", "X-BEResource==",
        "\xc2\xa0X-BEResource=a\\b", "X-BEResource= a", "X-BEResource=\"a\"",
        "X-BEResource=a~1; X-BEResource=a/b~1", "a;\x85 x-Beresource\xa0=/",
        "SecurityToken=x", "a=b; securitytoken =", ";\tSECURITYTOKEN"
    };

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        cookies.data = (u_char *) good[i];
        cookies.len = strlen(good[i]);

        if (mtd_canon_cookies(&cookies, 0)) {
            fail_msg("\"%s\" was refused", good[i]);
        }
    }

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        cookies.data = (u_char *) bad[i];
        cookies.len = strlen(bad[i]);

        if (mtd_canon_cookies(&cookies, 0) == NULL) {
            fail_msg("\"%s\" was accepted", bad[i]);
        }
    }

    cookies.data = (u_char *) "X-BEResource=a~1; b=c";
    cookies.len = sizeof("X-BEResource=a~1; b=c") - 1;
    assert_null(mtd_canon_cookies(&cookies, 1));

    cookies.len = sizeof("X-BEResource=a~1") - 1;
    assert_non_null(mtd_canon_cookies(&cookies, 1));
}


static void
test_query(void **state)
{
    size_t     i;
    u_char     byte[3];
    mtd_str_t  args;

    args.data = byte;
    args.len = 3;

    for (i = 0; i < 256; i++) {
        byte[0] = 'a';
        byte[1] = i;
        byte[2] = 'b';

        assert_int_equal(mtd_canon_query(&args) != NULL,
                         i <= 0x20 || i == 0x7f || i == '#');
    }

    args.len = 0;
    assert_null(mtd_canon_query(&args));
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_generated),
        cmocka_unit_test(test_fast),
        cmocka_unit_test(test_strict_query),
        cmocka_unit_test(test_cookies),
        cmocka_unit_test(test_query)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
