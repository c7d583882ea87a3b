
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * Generated requests: what is decided on is what the servers behind the gate
 * would understand, as tests/fuzz/model.c has it.  MTD_ROUNDS: how many;
 * MTD_SEED: others.
 */


#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "identify/eas/mtd_eas.h"
#include "mtd_canon.h"
#include "../fuzz/model.h"
#include "../fuzz/model_eas.h"


#define TEST_ROUNDS        200000
#define TEST_TARGET_MAX    2048

#define test_pick(list)    list[test_random(sizeof(list) / sizeof(list[0]))]


typedef struct {
    size_t       len;
    u_char       data[TEST_TARGET_MAX];
} test_target_t;


typedef struct {
    uint64_t     refused;
    uint64_t     allowed;           /* or asked for: it may arrive */
    uint64_t     devices;           /* of these, with a device in the query */
    uint64_t     changed;           /* of these, in another form */
} test_counts_t;


static uint64_t       test_seed = 88172645463325252ULL;
static test_counts_t  test_counts;


static const char  *test_profiles[] = {
    "exchange", "exchange", "sharepoint", "generic"
};

static const char  *test_paths[] = {
    "/Microsoft-Server-ActiveSync",
    "/Microsoft-Server-ActiveSync/default.eas", "/owa", "/owa/auth",
    "/owa/auth.owa", "/ews/exchange.asmx", "/mapi/emsmdb", "/mapi/nspi",
    "/ecp", "/rpc/rpcproxy.dll", "/oab/1/oab.xml", "/api/v2.0/me",
    "/autodiscover/autodiscover.xml", "/autodiscover/autodiscover.json",
    "/autodiscover/autodiscover.json/v1.0/a@b.c", "/PowerShell",
    "/exchange/x", "/_api/web", "/sites/a/_api/web/lists",
    "/sites/a/_vti_bin/client.svc", "/_vti_bin/listdata.svc", "/_layouts/15",
    "/_layouts/15/images/a.png", "/_login", "/_trust", "/_vti_adm/x",
    "/sites/team/Shared Documents/a.docx", "/sites/%E4%BA%BA/b.docx", "/",
    "/_vti_bin/_api/x", "/a/_layouts/15/metadata", "/x/proxy", "/personal/u"
};

static const char  *test_bits[] = {
    "/", "//", "/.", "/..", "/../", "/./", "/x/..", "\\", "%5c", "%2f", "%2F",
    "%2e", "%2e%2e", "%252e", "%25", "%2541", "%u002f", "%u0041", "%c0%af",
    "%e0%80%af", "%c3%a4", "%ef%bc%8f", "%00", "%0a", "%20", " ", "+", ";",
    ";x=y", "%3b", "#", "%23", "%3f", ":", "::$DATA", "*", "~1", ".", "...",
    " /", "%20/", "./", "('", "')", "'", "''", "%27", "(", ")", "('%2Fs')",
    "('a'')", "('../x')", "(S(x))", "(A(x)F(y))", "&", "=", "@", "\x01",
    "\x7f", "\xc3\xa4", "%", "%4", "a", "_api", "/_api/f('%2F')", "proxy",
    "/powershell", "/default.eas"
};

static const char  *test_names[] = {
    "Cmd", "DeviceId", "DeviceType", "User", "Cmd", "DeviceId", "CMD",
    "deviceid", "Device%49d", "%44eviceId", "Device+Id", "DeviceId%00",
    "DeviceId%20", "%u0044eviceId", "Device%2549d", "AttachmentName",
    "CollectionId", "SaveInSent", "", "DeviceId[]", "Email"
};

static const char  *test_values[] = {
    "Sync", "Ping", "FolderSync", "SENDMAIL", "S%79nc", "Sync%00", "Provision",
    "good", "GOOD", "bad", "BAD", "g%6Fod", "go%6fd", "good%00bad", "good,bad",
    "good%2Cbad", "good%26DeviceId%3Dbad", "good&DeviceId=bad", "good;bad",
    "good%3Bbad", "go+od", "go%2Bod", "go%20od", "%u0067ood", "%2567ood", "",
    "0", "Validate", "webService", "good#bad", "good bad", "Nine2EC7EC0BB54D",
    "0123456789abcdef0123456789abcdef", "0123456789abcdef0123456789abcdef0",
    "%", "%4", "%g0", "user%40example.com", "DOM%5Cuser", "\xc3\xa9", "iPhone"
};

static const char  test_base64[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";


static size_t
test_random(size_t n)
{
    test_seed ^= test_seed << 13;
    test_seed ^= test_seed >> 7;
    test_seed ^= test_seed << 17;

    return (test_seed >> 11) % n;
}


static void
test_add(test_target_t *t, const void *data, size_t len)
{
    if (len <= TEST_TARGET_MAX - t->len) {
        memcpy(t->data + t->len, data, len);
        t->len += len;
    }
}


static void
test_add_text(test_target_t *t, const char *text)
{
    test_add(t, text, strlen(text));
}


/* a letter in hex, in the other case, or a part of an attack before it */

static void
test_mutate(test_target_t *t)
{
    char         hex[3];
    size_t       at, len;
    const char  *bit;

    at = test_random(t->len + 1);

    if (at < t->len && test_random(3) == 0) {
        t->data[at] ^= 0x20;
        return;
    }

    if (at < t->len && test_random(2)) {
        (void) snprintf(hex, sizeof(hex), test_random(2) ? "%02x" : "%02X",
                        t->data[at]);
        t->data[at++] = '%';
        bit = hex;

    } else {
        bit = test_pick(test_bits);
    }

    len = strlen(bit);

    if (len <= TEST_TARGET_MAX - t->len) {
        memmove(t->data + at + len, t->data + at, t->len - at);
        memcpy(t->data + at, bit, len);
        t->len += len;
    }
}


static void
test_add_plain(test_target_t *t)
{
    size_t  i, n;

    /* half are what a client sends, in any order */

    if (test_random(2)) {
        test_add_text(t, test_random(2) ? "Cmd=Sync&" : "User=u&Cmd=Ping&");
        test_add_text(t, "DeviceId=");
        test_add_text(t, test_pick(test_values));

        if (test_random(2)) {
            test_add_text(t, "&DeviceType=iPhone");
        }

        return;
    }

    for (i = 0, n = 1 + test_random(5); i < n; i++) {

        if (i) {
            test_add_text(t, test_random(20) ? "&" : test_pick(test_bits));
        }

        test_add_text(t, test_pick(test_names));
        test_add_text(t, test_random(20) ? "=" : "");
        test_add_text(t, test_pick(test_values));
    }
}


/* version, command, language, id, policy key, type, parameters */

static size_t
test_blob(u_char *p)
{
    size_t  i, n;
    u_char  *start;

    static const u_char  versions[] = { 121, 140, 141, 160, 161, 120, 0 };
    static const u_char  lengths[] = { 1, 3, 4, 16, 16, 16, 32, 33, 0 };

    start = p;

    *p++ = test_random(8) ? test_pick(versions) : (u_char) test_random(256);
    *p++ = (u_char) test_random(test_random(4) ? 24 : 256);
    *p++ = 9;
    *p++ = 4;

    n = test_pick(lengths);
    *p++ = (u_char) n;

    if (n == 4 && test_random(2)) {
        memcpy(p, "GOOD", 4);
        p += 4;

    } else {
        for (i = 0; i < n; i++) {
            *p++ = test_random(3) ? "GOODbad0123456789"[test_random(17)]
                                  : (u_char) test_random(256);
        }
    }

    n = test_random(3) ? 0 : test_random(6);
    *p++ = (u_char) n;

    for (i = 0; i < n; i++) {
        *p++ = (u_char) test_random(256);
    }

    n = test_random(8);
    *p++ = (u_char) n;

    for (i = 0; i < n; i++) {
        *p++ = (u_char) ('a' + i);
    }

    while (test_random(2)) {
        *p++ = (u_char) test_random(9);
        n = test_random(4);
        *p++ = (u_char) n;

        for (i = 0; i < n && p < start + 200; i++) {
            *p++ = (u_char) test_random(256);
        }

        if (p > start + 200) {
            break;
        }
    }

    return (size_t) (p - start) - (test_random(16) == 0);
}


static void
test_add_blob(test_target_t *t)
{
    size_t    i, n;
    char      c[4], escaped[4];
    u_char    blob[320];
    unsigned  bits, k;

    n = test_blob(blob);

    for (i = 0; i < n; i += 3) {
        bits = blob[i] << 16 | (i + 1 < n ? blob[i + 1] << 8 : 0)
               | (i + 2 < n ? blob[i + 2] : 0);

        for (k = 0; k < 4; k++) {
            c[k] = test_base64[bits >> (18 - 6 * k) & 63];
        }

        c[2] = (i + 1 < n) ? c[2] : '=';
        c[3] = (i + 2 < n) ? c[3] : '=';

        for (k = 0; k < 4; k++) {

            if (strchr("+/=", c[k]) && test_random(2)) {
                (void) snprintf(escaped, sizeof(escaped), "%%%02x",
                                (u_char) c[k]);
                test_add_text(t, escaped);

            } else {
                test_add(t, &c[k], 1);
            }
        }
    }
}


static void
test_target(test_target_t *t)
{
    size_t  i, n;

    static const char  *queries[] = {
        "?a=b", "?", "?Email=a@b.c", "?Email=autodiscover.json%3F@x",
        "?Email=a..b&Protocol=x", "?x=%2f..%5c", "?a b", "?a#b", "?Email=a&e",
        "?MailboxId=1", "?Email=a&EMAIL=b", "?\x01"
    };

    t->len = 0;
    test_add_text(t, test_random(2) ? test_paths[0] : test_pick(test_paths));

    for (i = 0, n = test_random(2) ? 0 : test_random(5); i < n; i++) {
        test_mutate(t);
    }

    if (test_random(8) == 0) {
        test_add_text(t, "/");
        test_add_text(t, test_pick(test_paths) + 1);
    }

    if (test_random(3) == 0) {
        test_add_text(t, test_pick(queries));
        return;
    }

    test_add_text(t, "?");

    if (test_random(3) == 0) {
        test_add_blob(t);

    } else {
        test_add_plain(t);
    }

    if (test_random(8) == 0) {
        test_mutate(t);
    }
}


static void
test_fail(const test_target_t *t, const char *what)
{
    size_t  i;

    for (i = 0; i < t->len; i++) {
        fprintf(stderr, t->data[i] > 0x20 && t->data[i] < 0x7f
                        ? "%c" : "\\x%02x", t->data[i]);
    }

    fail_msg(": %s", what);
}


/* the endpoint, or NULL if the path is refused; path is what is forwarded */

static const mtd_endpoint_t *
test_path(const test_target_t *t, const mtd_profile_t *profile,
    mtd_str_t *path)
{
    size_t                 i, n, len;
    mtd_canon_t            canon;
    const char            *why;
    const mtd_endpoint_t  *mine, *its;

    static u_char  buf[4 * TEST_TARGET_MAX + 2];
    static u_char  seen[TEST_TARGET_MAX + 2], uri[TEST_TARGET_MAX];

    switch (mtd_canon_path(&canon, path, profile->canon, buf)) {

    case MTD_CANON_OK:
        canon.path = *path;
        canon.uri = *path;
        break;

    case MTD_CANON_CHANGED:
        test_counts.changed++;
        break;

    default:
        return NULL;
    }

    *path = canon.path;

    mine = mtd_profile_match(profile, &canon.uri);

    len = model_path(seen, path->data, path->len,
                     profile->canon & MTD_CANON_LITERALS, &why);
    its = model_endpoint(profile, seen, len);

    if (why && !((profile->canon & MTD_CANON_NAMES)
                 && strcmp(why, "parameters of a segment") == 0))
    {
        test_fail(t, why);
    }

    for (i = 0, n = 0; i < canon.uri.len; i++) {
        if (!(canon.uri.data[i] == '/' && n && uri[n - 1] == '/')) {
            uri[n++] = canon.uri.data[i];
        }
    }

    if (n != len || memcmp(uri, seen, n) != 0) {
        test_fail(t, "another path is seen");
    }

    if ((mine == NULL) != (its == NULL)
        || (mine && (mine->access != its->access
                     || (mine != its && mine->access != MTD_REFUSED))))
    {
        test_fail(t, "another endpoint is seen");
    }

    return (mine && mine->access != MTD_REFUSED) ? mine : NULL;
}


/* 1 if the query is one that is forwarded */

static int
test_query(const test_target_t *t, const mtd_endpoint_t *endpoint,
    const mtd_str_t *args)
{
    mtd_eas_t      eas;
    const char    *difference;
    model_value_t  value;

    if (mtd_canon_query(args) != NULL) {
        return 0;
    }

    if (endpoint->flags & MTD_ENDPOINT_STRICT_QUERY) {

        if (mtd_canon_strict_query(args) != NULL) {
            return 0;
        }

        model_value(&value, args->data, args->len, "Email");

        if (value.n > 1 || memchr(value.data, '/', value.len) != NULL) {
            test_fail(t, "another mailbox is seen");
        }

        return 1;
    }

    if ((endpoint->flags & MTD_ENDPOINT_OWN_QUERY) == 0) {
        return 1;
    }

    if (mtd_eas_parse(&eas, args) != MTD_EAS_OK) {
        return 0;
    }

    difference = model_eas(&eas, args->data, args->len);

    if (difference) {
        test_fail(t, difference);
    }

    test_counts.devices += eas.n != 0;

    return 1;
}


static void
test_differential(void **state)
{
    u_char                *mark;
    uint64_t               i, rounds;
    mtd_str_t              path, args;
    const char            *name, *text;
    struct timespec        start, end;
    test_target_t          t;
    const mtd_profile_t   *profile;
    const mtd_endpoint_t  *endpoint;

    text = getenv("MTD_ROUNDS");
    rounds = text ? strtoull(text, NULL, 10) : TEST_ROUNDS;

    text = getenv("MTD_SEED");
    test_seed ^= text ? strtoull(text, NULL, 10) * 0x9e3779b97f4a7c15ULL : 0;

    (void) clock_gettime(CLOCK_MONOTONIC, &start);

    for (i = 0; i < rounds; i++) {
        name = test_pick(test_profiles);
        profile = mtd_profile_find((u_char *) name, strlen(name));

        test_target(&t);

        mark = memchr(t.data, '?', t.len);

        path.data = t.data;
        path.len = mark ? (size_t) (mark - t.data) : t.len;
        args.data = mark ? mark + 1 : t.data;
        args.len = mark ? t.len - path.len - 1 : 0;

        endpoint = test_path(&t, profile, &path);

        if (endpoint && test_query(&t, endpoint, &args)) {
            test_counts.allowed++;

        } else {
            test_counts.refused++;
        }
    }

    (void) clock_gettime(CLOCK_MONOTONIC, &end);

    assert_true(test_counts.allowed > rounds / 20);
    assert_true(test_counts.devices > rounds / 100);
    assert_true(test_counts.changed > rounds / 100);
    assert_true(test_counts.refused > rounds / 20);

    printf("checked %llu requests: %llu are forwarded, %llu of them changed, "
           "%llu with a device in the query, 0 are understood otherwise, "
           "%.0f s\n", (unsigned long long) rounds,
           (unsigned long long) test_counts.allowed,
           (unsigned long long) test_counts.changed,
           (unsigned long long) test_counts.devices,
           end.tv_sec - start.tv_sec + (end.tv_nsec - start.tv_nsec) / 1e9);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_differential),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
