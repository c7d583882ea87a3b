
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

#include "identify/eas/mtd_eas.h"


#define TEST_ID32  "0123456789ABCDEF0123456789abcdef"

/* no policy key, and a device type */

#define TEST_SMART  "\000\012SmartPhone"


typedef struct {
    const char  *query;
    unsigned     version;
    unsigned     command;
    const char  *id[MTD_EAS_CANDIDATES];
} test_vector_t;


static const test_vector_t  test_vectors[] = {

    { "jAAJBAp2MTQwRGV2aWNlAApTbWFydFBob25l", 140, MTD_EAS_SYNC,
      { "v140device", NULL } },

    { "jAkHBBCoHzHhi8b5YrNnTZh4inyaBAAAAAACV1A=", 140, MTD_EAS_FOLDER_SYNC,
      { "a81f31e18bc6f962b3674d98788a7c9a", NULL } },

    { "jBMHBBCoHzHhi8b5YrNnTZh4inyaBAAAAAACV1AHAQI=", 140,
      MTD_EAS_ITEM_OPERATIONS, { "a81f31e18bc6f962b3674d98788a7c9a", NULL } },

    { "jAkHBBC32YBsEj5p+IUKLTDTcJoYBAAAAAALV2luZG93c01haWw=", 140,
      MTD_EAS_FOLDER_SYNC, { "b7d9806c123e69f8850a2d30d3709a18", NULL } },

    { "oBEJBBBOaW5lMkVDN0VDMEJCNTREBAGJpmIHQW5kcm9pZAcBAA==", 160,
      MTD_EAS_SETTINGS,
      { "nine2ec7ec0bb54d", "4e696e65324543374543304242353444" } },

    { "eQIJBBCuTs0Z9ZK6Vldwb/dM8JusBHVeHIQDUFBDBwEBAwYxMTkyODEBBUlOQk9Y",
      121, MTD_EAS_SMART_FORWARD,
      { "ae4ecd19f592ba5657706ff74cf09bac", NULL } },

    /* escapes of base64 */

    { "jAkHBBC32YBsEj5p%2BIUKLTDTcJoYBAAAAAALV2luZG93c01haWw%3D", 140,
      MTD_EAS_FOLDER_SYNC, { "b7d9806c123e69f8850a2d30d3709a18", NULL } },
    { "jAkHBBC32YBsEj5p%2bIUKLTDTcJoYBAAAAAALV2luZG93c01haWw%3d", 140,
      MTD_EAS_FOLDER_SYNC, { "b7d9806c123e69f8850a2d30d3709a18", NULL } },
    { "oBEJBBBOaW5lMkVDN0VDMEJCNTREBAGJpmIHQW5kcm9pZAcBAA%3D=", 160,
      MTD_EAS_SETTINGS,
      { "nine2ec7ec0bb54d", "4e696e65324543374543304242353444" } },
    { "eQIJBBCuTs0Z9ZK6Vldwb%2fdM8JusBHVeHIQDUFBDBwEBAwYxMTkyODEBBUlOQk9Y",
      121, MTD_EAS_SMART_FORWARD,
      { "ae4ecd19f592ba5657706ff74cf09bac", NULL } },

    /* the corpus: BAD */

    { "jAAJBANCQUQAClNtYXJ0UGhvbmU=", 140, MTD_EAS_SYNC, { "bad", NULL } },

    /* plain, in any order and letter case, decoded once */

    { "Cmd=Sync&User=rmjones&DeviceId=v140Device&DeviceType=SmartPhone", 0,
      MTD_EAS_SYNC, { "v140device", NULL } },
    { "User=a%5Cb&DeviceId=" TEST_ID32 "&DeviceType=iPhone&Cmd=FolderSync", 0,
      MTD_EAS_FOLDER_SYNC, { "0123456789abcdef0123456789abcdef", NULL } },
    { "cmd=PING&dEVICEiD=x&user=a+b@example.com&devicetype=a+b", 0,
      MTD_EAS_PING, { "x", NULL } },
    { "DeviceId=x&Cmd=Ping", 0, MTD_EAS_PING, { "x", NULL } },
    { "Cmd=SmartReply&ItemId=&CollectionId=&AttachmentName=&LongId=&DeviceId=x"
      "&Occurrence=&SaveInSent=&ParentId=", 0, MTD_EAS_SMART_REPLY,
      { "x", NULL } },
    { "Cmd=Sync&User=u&DeviceId=G%4fOD", 0, MTD_EAS_SYNC, { "good", NULL } },
    { "C%6dd=S%79nc&Device%49d=%41ppl1&Us%65r=%C3%A9%20", 0, MTD_EAS_SYNC,
      { "appl1", NULL } },
    { "Cmd=GetAttachment&AttachmentName=5%3a2=%3b&User=&DeviceId=Appl8", 0,
      MTD_EAS_GET_ATTACHMENT, { "appl8", NULL } },
    { "Cmd=MoveCollection&DeviceId=0000", 0, MTD_EAS_MOVE_COLLECTION,
      { "0000", NULL } },

    /* 16 bytes are a text in the plain form */

    { "Cmd=Sync&DeviceId=Nine2EC7EC0BB54D", 0, MTD_EAS_SYNC,
      { "nine2ec7ec0bb54d", NULL } },

    /* words for "none" */

    { "Cmd=Sync&User=u&DeviceId=0&DeviceType=Android", 0, MTD_EAS_SYNC,
      { NULL, NULL } },
    { "Cmd=Sync&DeviceId=Validate", 0, MTD_EAS_SYNC, { NULL, NULL } },
    { "Cmd=Sync&DeviceId=webService", 0, MTD_EAS_SYNC, { NULL, NULL } },
    { "jAAJBAEwAAA=", 140, MTD_EAS_SYNC, { NULL, NULL } },

    { NULL, 0, 0, { NULL, NULL } }
};


static const char  *test_malformed[] = {

    /* the corpus */

    "Cmd=Sync&User=u&deviceid=GOOD&DeviceId=BAD&DeviceType=iPhone",
    "Cmd=Sync;DeviceId=BAD&DeviceId=GOOD",
    "DeviceId=&DeviceId=BAD",
    "Cmd=Sync&User=u&DeviceId=GOOD%0d%0aSET%20dev:BAD%20low",
    "jAAJBANCQUQAClNtYXJ0UGhvbmU",
    "jAAJBAB2MTQwRGV2aWNlAApTbWFydFBob25l",
    "jAAJBAp2MTQwRGV2aWNlAP9TbWFydFBob25l",
    "jP4JBAp2MTQwRGV2aWNlAApTbWFydFBob25l",
    "AAAJBAp2MTQwRGV2aWNlAApTbWFydFBob25l",
    "Cmd=Sync&Cmd=Provision&User=u&DeviceId=BAD&DeviceType=iPhone",
    "Cmd=Sync&User=victim&DeviceId=GOOD-OF-VICTIM&DeviceType=iPhone",

    /* duplicates, in any spelling */

    "Cmd=Sync&DeviceId=a&DeviceId=a",
    "Cmd=Sync&DeviceId=a&Device%49d=a",
    "Cmd=Sync&%44evice%69d=a&DeviceId=b",
    "Cmd=Sync&c%4dd=Sync&DeviceId=a",
    "Cmd=Sync&DeviceId=a&User=u&User=u",
    "Cmd=Sync&DeviceId=a&User=u&USER=",
    "Cmd=Sync&DeviceId=a&DeviceType=t&DeviceTyp%65=t",

    /* encodings */

    "Cmd=Sync&DeviceId=%2541",
    "Cmd=Sync&DeviceId=a&User=%2541",
    "Cmd=Sync&DeviceId=a&User=%u0041",
    "Cmd=Sync&%u0044eviceId=a",
    "Cmd=Sync&DeviceId=a&User=%",
    "Cmd=Sync&DeviceId=a&User=%4",
    "Cmd=Sync&DeviceId=a&User=%4g",
    "Cmd=Sync&DeviceId=a&User=%00",
    "Cmd=Sync&DeviceId=a&User=%0a",
    "Cmd=Sync&DeviceId=a&User=%7F",
    "Cmd=Sync&DeviceId=a%00",
    "Cmd=Sync&DeviceId=a&User=a\tb",
    "Cmd=Sync&DeviceId=a&User=a b",
    "Cmd=Sync&DeviceId=a&User=a#b",
    "Cmd=Sync&DeviceId=a&User=a\177",
    "Cmd=Sync&DeviceId=a&Device%00Id=b",
    "Cmd=Sync&DeviceId=a&%20DeviceId=b",
    "Cmd=Sync&DeviceId=a&+DeviceId=b",
    "Cmd=Sync&DeviceId=a&DeviceId%3d=b",

    /* separators */

    "Cmd=Sync&User=u;DeviceId=BAD&DeviceId=GOOD",
    "Cmd=Sync&DeviceId=a;b",
    "Cmd=Sync&DeviceId=a%3bb",
    "Cmd=Sync%3b&DeviceId=a",
    "Cmd=Sync&DeviceId=a&a;b=c",
    "Cmd=Sync&DeviceId=a&a%3bb=c",
    "Cmd=Sync&DeviceId=a%26DeviceId=b",
    "Cmd=Sync&&DeviceId=a",
    "&Cmd=Sync&DeviceId=a",
    "Cmd=Sync&DeviceId=a&",
    "Cmd=Sync&DeviceId=a&=b",
    "Cmd=Sync&DeviceId=a&DeviceId",
    "Cmd=Sync&DeviceId&User=u",

    /* what is missing or empty */

    "",
    "Cmd=Sync",
    "Cmd=Sync&User=u",
    "DeviceId=a",
    "DeviceId=a&User=u",
    "Cmd=&DeviceId=a",
    "Cmd=Sync&DeviceId=",
    "Cmd=Sync&DeviceId=&User=u",
    "Cmd=Nothing&DeviceId=a",
    "Cmd=Syn&DeviceId=a",
    "Cmd=0&DeviceId=a",
    "Cmd=Sync%20&DeviceId=a",
    "Cmd=Sync+&DeviceId=a",
    "Cmd=Sync,Ping&DeviceId=a",
    "Cmd=Sync&DeviceId=a+b",
    "Cmd=Sync&DeviceId=a,b",
    "Cmd=Sync&DeviceId=a_b",
    "Cmd=Sync&DeviceId=\303\251",
    "Cmd=Sync&DeviceId=abcdefg\303",
    "Cmd=Sync&DeviceId=abcdefg@",
    "Cmd=Sync&DeviceId=abcdefg[",
    "Cmd=Sync&DeviceId=abcdefg`",
    "Cmd=Sync&DeviceId=abcdefg{",
    "Cmd=Sync&DeviceId=abcdefg/",
    "Cmd=Sync&DeviceId=abcdefg:",
    "Cmd=Sync&DeviceId=" TEST_ID32 "0",
    "Cmd=Sync&DeviceId=%30" TEST_ID32,
    "Cmd=Sync&DeviceId=a&NameThatIsLongerThanAnyThatIsKnown=",

    /* mixed forms and base64 that is not strict */

    "jAAJBAp2MTQwRGV2aWNlAApTbWFydFBob25l&DeviceId=good",
    "jAAJBAp2MTQwRGV2aWNlAApTbWFydFBob25l&Cmd=Sync&DeviceId=good",
    "DeviceId=good&jAAJBAp2MTQwRGV2aWNlAApTbWFydFBob25l",
    "jAAJBANCQUQAClNtYXJ0UGhvbmU=&Cmd=Sync&DeviceId=good",
    "jAAJBANCQUQACVNtYXJ0UGhvbg==&Cmd=Sync&DeviceId=good",
    "Cmd=Sync&DeviceId=good&jAAJBANCQUQAClNtYXJ0UGhvbmU=",
    "jAkHBBC32YBsEj5p-IUKLTDTcJoYBAAAAAALV2luZG93c01haWw=",
    "eQIJBBCuTs0Z9ZK6Vldwb_dM8JusBHVeHIQDUFBDBwEBAwYxMTkyODEBBUlOQk9Y",
    "jAkHBBC32YBsEj5p IUKLTDTcJoYBAAAAAALV2luZG93c01haWw=",
    "jAkHBBC32YBsEj5p%20IUKLTDTcJoYBAAAAAALV2luZG93c01haWw=",
    "%6aAAJBAp2MTQwRGV2aWNlAApTbWFydFBob25l",
    "jAAJBAp2MTQwRGV2aWNlAApTbWFydFBob25l\n",
    "jAAJBAp2MTQwRGV2aWNlAApTbWFydFBob25l====",
    "jAAJBAp2MTQwRGV2aWNlAApTbWFydFBob25lA",
    "jAAJBAp2MTQwRGV2aWNlAApTbWFydFBob25lAA",
    "jAAJBAp2MTQwRGV2aWNlAApTbWFydFBob25lAA=",
    "jAAJBAp2MTQwRGV2aWNlAApTbWFydFBob25lAAA",
    "jAAJBANCQUQAClNtYXJ0UGhvbmU%",
    "jAAJBANCQUQAClNtYXJ0UGhvbmU%3",
    "jAAJBANCQUQAClNtYXJ0UGhvbmU==",
    "jAAJBANCQUQAClNtYXJ0UGhvbmV=",
    "jAAJBANCQUQAClNtYXJ0UGhvbm%3DU",
    "====",
    "=",

    NULL
};


/* bytes and whether they are a request in the base64 form */

static const struct {
    const char  *bytes;
    size_t       len;
    int          rc;
} test_blobs[] = {

#define TEST_BLOB(s, rc)  { s, sizeof(s) - 1, rc }

    TEST_BLOB("\214\000\011\004\001A" TEST_SMART, MTD_EAS_OK),
    TEST_BLOB("\214\000\011\004\001A\000\000", MTD_EAS_OK),
    TEST_BLOB("\215\027\011\004\001A\000\000", MTD_EAS_OK),
    TEST_BLOB("\241\000\011\004\001A\000\000", MTD_EAS_OK),
    TEST_BLOB("\214\000\011\004\001A\0041234\000", MTD_EAS_OK),
    TEST_BLOB("\214\000\011\004\001A\000\000\010\001u\007\001\001",
              MTD_EAS_OK),
    TEST_BLOB("\214\000\011\004\001A\000\000\002\000\005\000", MTD_EAS_OK),
    TEST_BLOB("\214\000\011\004\040" TEST_ID32 "\000\000", MTD_EAS_OK),

    TEST_BLOB("\214\000\011\004\001A\000", MTD_EAS_MALFORMED),
    TEST_BLOB("\214\000\011\004\000\000\000\000", MTD_EAS_MALFORMED),
    TEST_BLOB("\214\000\011\004\002A\000\000", MTD_EAS_MALFORMED),
    TEST_BLOB("\214\000\011\004\003A\000\000", MTD_EAS_MALFORMED),
    TEST_BLOB("\214\000\011\004\041" TEST_ID32 "0\000\000",
              MTD_EAS_MALFORMED),
    TEST_BLOB("\214\000\011\004\001A\0031234\000", MTD_EAS_MALFORMED),
    TEST_BLOB("\214\000\011\004\001A\0051234\000", MTD_EAS_MALFORMED),
    TEST_BLOB("\214\000\011\004\001A\004123\000", MTD_EAS_MALFORMED),
    TEST_BLOB("\214\000\011\004\001A\000\001", MTD_EAS_MALFORMED),
    TEST_BLOB("\214\005\011\004\001A\000\000", MTD_EAS_MALFORMED),
    TEST_BLOB("\214\010\011\004\001A\000\000", MTD_EAS_MALFORMED),
    TEST_BLOB("\214\030\011\004\001A\000\000", MTD_EAS_MALFORMED),
    TEST_BLOB("\170\000\011\004\001A\000\000", MTD_EAS_MALFORMED),
    TEST_BLOB("\172\000\011\004\001A\000\000", MTD_EAS_MALFORMED),
    TEST_BLOB("\214\000\011\004\001A\000\000\011\000", MTD_EAS_MALFORMED),
    TEST_BLOB("\214\000\011\004\001A\000\000\010", MTD_EAS_MALFORMED),
    TEST_BLOB("\214\000\011\004\001A\000\000\010\001", MTD_EAS_MALFORMED),
    TEST_BLOB("\214\000\011\004\001A\000\000\010\001u\010\001v",
              MTD_EAS_MALFORMED),
    TEST_BLOB("\214\000\011\004\001A\000\000\001\000\001\000",
              MTD_EAS_MALFORMED)
};


static const char  test_alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";


static unsigned  test_checked;


/* parses a copy that ends where the memory ends */

static int
test_parse(mtd_eas_t *eas, const void *p, size_t len)
{
    int        rc;
    unsigned   i;
    size_t     k;
    u_char    *copy, c;
    mtd_str_t  args;

    copy = malloc(len ? len : 1);
    assert_non_null(copy);
    memcpy(copy, p, len);

    args.len = len;
    args.data = copy;

    memset(eas, 0xee, sizeof(mtd_eas_t));
    rc = mtd_eas_parse(eas, &args);

    free(copy);
    test_checked++;

    if (rc == MTD_EAS_MALFORMED) {
        assert_non_null(eas->why);
        assert_int_equal(eas->n, 0);
        return rc;
    }

    assert_int_equal(rc, MTD_EAS_OK);
    assert_null(eas->why);
    assert_true(eas->command < MTD_EAS_COMMAND_N);

    if (eas->no_device) {
        assert_int_equal(eas->n, 0);
        return rc;
    }

    assert_true(eas->n >= 1 && eas->n <= MTD_EAS_CANDIDATES);

    for (i = 0; i < eas->n; i++) {
        assert_true(eas->id[i].len >= 1 && eas->id[i].len <= MTD_EAS_ID_MAX);

        for (k = 0; k < eas->id[i].len; k++) {
            c = eas->id[i].data[k];
            assert_true((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z'));
        }
    }

    return rc;
}


static size_t
test_encode(char *to, const u_char *p, size_t len)
{
    size_t    i, n;
    unsigned  bits;

    n = 0;

    for (i = 0; i < len; i += 3) {
        bits = p[i] << 16;
        bits |= (i + 1 < len) ? p[i + 1] << 8 : 0;
        bits |= (i + 2 < len) ? p[i + 2] : 0;

        to[n++] = test_alphabet[bits >> 18];
        to[n++] = test_alphabet[bits >> 12 & 63];
        to[n++] = (i + 1 < len) ? test_alphabet[bits >> 6 & 63] : '=';
        to[n++] = (i + 2 < len) ? test_alphabet[bits & 63] : '=';
    }

    return n;
}


/* without bounds: only what mtd_eas_parse() took is shown to it */

static size_t
test_decode(u_char *to, const char *p, size_t len)
{
    size_t       i, n, chars;
    unsigned     bits, c;
    const char  *found;

    n = 0;
    bits = 0;
    chars = 0;

    for (i = 0; i < len; i++) {
        c = (u_char) p[i];

        if (c == '%') {
            assert_int_equal(sscanf(p + i + 1, "%2x", &c), 1);
            i += 2;
        }

        if (c == '=') {
            break;
        }

        found = strchr(test_alphabet, (int) c);
        assert_non_null(found);

        bits = bits << 6 | (unsigned) (found - test_alphabet);
        chars++;

        if (chars % 4 != 1) {
            to[n++] = (u_char) (bits >> (6 - 2 * ((chars - 1) % 4)));
        }
    }

    return n;
}


/* what was accepted must say the same in another reading of the layout */

static void
test_agree(const mtd_eas_t *eas, const char *query, size_t len)
{
    char     hex[3];
    size_t   i, n;
    u_char   blob[4096];

    if (eas->version == 0) {
        return;
    }

    n = test_decode(blob, query, len);

    assert_true(n >= 8);
    assert_int_equal(eas->version, blob[0]);
    assert_int_equal(eas->command, blob[1]);
    assert_true((size_t) blob[4] + 7 <= n);

    if (eas->no_device) {
        return;
    }

    if (eas->id[eas->n - 1].len == blob[4]) {

        for (i = 0; i < blob[4]; i++) {
            assert_int_equal(eas->id[0].data[i], blob[5 + i] | 0x20);
        }

        return;
    }

    assert_int_equal(eas->id[eas->n - 1].len, 2 * blob[4]);

    for (i = 0; i < blob[4]; i++) {
        (void) snprintf(hex, sizeof(hex), "%02x", blob[5 + i]);
        assert_memory_equal(eas->id[eas->n - 1].data + 2 * i, hex, 2);
    }
}


static void
test_eas_vectors(void **state)
{
    unsigned              i;
    mtd_eas_t             eas;
    const test_vector_t  *v;

    for (v = test_vectors; v->query; v++) {

        if (test_parse(&eas, v->query, strlen(v->query)) != MTD_EAS_OK) {
            fail_msg("\"%s\": %s", v->query, eas.why);
        }

        assert_int_equal(eas.version, v->version);
        assert_int_equal(eas.command, v->command);
        assert_int_equal(eas.n, !!v->id[0] + !!v->id[1]);
        assert_int_equal(eas.no_device, v->id[0] == NULL);

        for (i = 0; i < eas.n; i++) {
            assert_int_equal(eas.id[i].len, strlen(v->id[i]));
            assert_memory_equal(eas.id[i].data, v->id[i], eas.id[i].len);
        }

        test_agree(&eas, v->query, strlen(v->query));
    }
}


/* each has a name, which is read as what it names */

static void
test_eas_names(void **state)
{
    int               len;
    char              query[64];
    unsigned          i, n;
    mtd_eas_t         eas;
    const mtd_str_t  *name;

    for (i = 0, n = 0; i <= MTD_EAS_COMMAND_N; i++) {
        name = mtd_eas_command_name(i);

        if (name->len == 0) {
            continue;
        }

        n++;
        len = snprintf(query, sizeof(query), "DeviceId=a&Cmd=%.*s",
                       (int) name->len, (char *) name->data);

        assert_int_equal(test_parse(&eas, query, len), MTD_EAS_OK);
        assert_int_equal(eas.command, i);
    }

    assert_int_equal(n, 24);

    name = mtd_eas_command_name(MTD_EAS_ITEM_OPERATIONS);
    assert_int_equal(name->len, 14);
    assert_memory_equal(name->data, "ItemOperations", 14);

    assert_int_equal(mtd_eas_command_name(5)->len, 0);
    assert_int_equal(mtd_eas_command_name(~0U)->len, 0);
}


static void
test_eas_malformed(void **state)
{
    mtd_eas_t     eas;
    const char  **query;

    for (query = test_malformed; *query; query++) {

        if (test_parse(&eas, *query, strlen(*query)) != MTD_EAS_MALFORMED) {
            fail_msg("\"%s\" was accepted", *query);
        }
    }
}


static void
test_eas_nul(void **state)
{
    mtd_eas_t  eas;

    static const char  query[] = "Cmd=Sync&DeviceId=a\0b&User=u";

    assert_int_equal(test_parse(&eas, query, sizeof(query) - 1),
                     MTD_EAS_MALFORMED);
}


static void
test_eas_blobs(void **state)
{
    char       query[256];
    size_t     i, len;
    mtd_eas_t  eas;

    for (i = 0; i < sizeof(test_blobs) / sizeof(test_blobs[0]); i++) {
        len = test_encode(query, (const u_char *) test_blobs[i].bytes,
                          test_blobs[i].len);

        if (test_parse(&eas, query, len) != test_blobs[i].rc) {
            fail_msg("blob %zu: %s", i, eas.why ? eas.why : "accepted");
        }
    }
}


/* each length of each part at its end, and what exceeds the buffer */

static void
test_eas_long(void **state)
{
    char       query[8192];
    u_char     blob[4096], *p;
    size_t     len;
    unsigned   tag;
    mtd_eas_t  eas;

    memset(query, 'A', sizeof(query));
    assert_int_equal(test_parse(&eas, query, sizeof(query)),
                     MTD_EAS_MALFORMED);

    memcpy(query, "Cmd=Sync&User=u&DeviceId=", 25);
    assert_int_equal(test_parse(&eas, query, sizeof(query)),
                     MTD_EAS_MALFORMED);

    memset(blob, 'x', sizeof(blob));
    memcpy(blob, "\214\000\011\004\040", 5);
    blob[37] = 4;
    blob[42] = 255;
    p = blob + 43 + 255;

    for (tag = 0; tag <= 8; tag++) {
        p[0] = (u_char) tag;
        p[1] = 255;
        p += 257;
    }

    len = test_encode(query, blob, p - blob);
    assert_int_equal(test_parse(&eas, query, len), MTD_EAS_OK);

    len = test_encode(query, blob, p - blob + 1);
    assert_int_equal(test_parse(&eas, query, len), MTD_EAS_MALFORMED);

    len = test_encode(query, blob, p - blob - 1);
    assert_int_equal(test_parse(&eas, query, len), MTD_EAS_MALFORMED);

    len = test_encode(query, blob, sizeof(blob));
    assert_int_equal(test_parse(&eas, query, len), MTD_EAS_MALFORMED);
}


static void
test_eas_truncated(void **state)
{
    size_t                len;
    mtd_eas_t             eas;
    const test_vector_t  *v;

    for (v = test_vectors; v->query; v++) {

        for (len = 0; len < strlen(v->query); len++) {

            if (test_parse(&eas, v->query, len) == MTD_EAS_OK) {
                test_agree(&eas, v->query, len);
            }
        }
    }
}


static void
test_eas_mutated(void **state)
{
    int                   c;
    char                  query[256];
    size_t                i, len;
    mtd_eas_t             eas;
    const test_vector_t  *v;

    for (v = test_vectors; v->query; v++) {
        len = strlen(v->query);

        for (i = 0; i < len; i++) {
            memcpy(query, v->query, len + 1);

            for (c = 0; c < 256; c++) {
                query[i] = (char) c;

                if (test_parse(&eas, query, len) == MTD_EAS_OK) {
                    test_agree(&eas, query, len);
                }
            }
        }
    }
}


/* every byte of every blob, so that lengths and codes take all values */

static void
test_eas_mutated_bytes(void **state)
{
    int        c;
    char       query[256];
    size_t     i, k, len;
    u_char     blob[128];
    mtd_eas_t  eas;

    for (i = 0; i < sizeof(test_blobs) / sizeof(test_blobs[0]); i++) {

        for (k = 0; k < test_blobs[i].len; k++) {
            memcpy(blob, test_blobs[i].bytes, test_blobs[i].len);

            for (c = 0; c < 256; c++) {
                blob[k] = (u_char) c;
                len = test_encode(query, blob, test_blobs[i].len);

                if (test_parse(&eas, query, len) == MTD_EAS_OK) {
                    test_agree(&eas, query, len);
                }
            }
        }
    }
}


int
main(void)
{
    int  failed;

    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_eas_vectors),
        cmocka_unit_test(test_eas_names),
        cmocka_unit_test(test_eas_malformed),
        cmocka_unit_test(test_eas_nul),
        cmocka_unit_test(test_eas_blobs),
        cmocka_unit_test(test_eas_long),
        cmocka_unit_test(test_eas_truncated),
        cmocka_unit_test(test_eas_mutated),
        cmocka_unit_test(test_eas_mutated_bytes),
    };

    failed = cmocka_run_group_tests(tests, NULL, NULL);

    printf("checked %u queries\n", test_checked);

    return failed;
}
