
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * Replies of a Redis that is not well, whole and in parts: what comes of one
 * does not depend on how it was cut, costs little, and never becomes the
 * answer to another question.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "ngx_mtd_resp.h"


#define CORPUS   "../corpus/attacks.tsv"
#define INPUT    (1024 * 1024)
#define OUTCOME  (512 * 1024)
#define EXTRA    65536              /* bytes that a reply may cost */
#define READ     16384              /* bytes in one read of a connection */


/* what came of some bytes, as a text */

typedef struct {
    char    text[OUTCOME];
    size_t  len;
    int     failed;
} outcome_t;


static size_t     most;             /* bytes, more than a codec at rest has */
static long       splits;
static outcome_t  whole, parts;
static u_char     input[INPUT];


/* of the sanitizer, which has no header for it everywhere */

size_t __sanitizer_get_current_allocated_bytes(void);


/* what of nginx the codec needs */

void *
ngx_alloc(size_t size, ngx_log_t *log)
{
    return malloc(size);
}


u_char *
ngx_strnstr(u_char *s1, char *s2, size_t len)
{
    return memmem(s1, len, s2, strlen(s2));
}


u_char *
ngx_pstrdup(ngx_pool_t *pool, ngx_str_t *src)
{
    u_char  *p;

    p = malloc(src->len + 1);

    return memcpy(p, src->data, src->len);
}


ngx_int_t
ngx_atoi(u_char *line, size_t n)
{
    ngx_int_t  value;

    if (n == 0 || n > 18) {
        return NGX_ERROR;
    }

    for (value = 0; n--; line++) {
        if (*line < '0' || *line > '9') {
            return NGX_ERROR;
        }

        value = value * 10 + (*line - '0');
    }

    return value;
}


static void
put(outcome_t *o, const void *p, size_t len)
{
    assert_true(o->len + len <= OUTCOME);

    memcpy(o->text + o->len, p, len);
    o->len += len;
}


static void
put_line(outcome_t *o, const char *format, ...)
{
    int      n;
    char     line[256];
    va_list  args;

    va_start(args, format);
    n = vsnprintf(line, sizeof(line), format, args);
    va_end(args);

    put(o, line, n);
}


static void
on_key(void *data, u_char *key, size_t len)
{
    put(data, "key ", 4);
    put(data, key, len);
    put(data, "\n", 1);
}


static void
put_reply(outcome_t *o, ngx_mtd_reply_t *reply)
{
    ngx_str_t        *text;
    ngx_uint_t        i;
    ngx_mtd_value_t  *value, *first;

    put_line(o, "reply %d %d\n", (int) reply->array, (int) reply->n);

    text = ngx_mtd_resp_error(reply);
    first = &reply->value[0];

    assert_true((text == &first->text)
                == (!reply->array && first->type == NGX_MTD_VALUE_ERROR));
    assert_true(ngx_mtd_resp_ok(reply)
                == (!reply->array && first->type == NGX_MTD_VALUE_STATUS
                    && first->text.len == 2
                    && memcmp(first->text.data, "OK", 2) == 0));

    for (i = 0; i < reply->n; i++) {
        value = &reply->value[i];

        put_line(o, " %d %lld ", (int) value->type,
                 (long long) value->integer);

        if (value->type == NGX_MTD_VALUE_STRING
            || value->type == NGX_MTD_VALUE_STATUS
            || value->type == NGX_MTD_VALUE_ERROR)
        {
            put(o, value->text.data, value->text.len);
        }

        put(o, "\n", 1);
    }
}


/* all replies that are there */

static void
drain(ngx_mtd_resp_t *resp, outcome_t *o)
{
    ngx_int_t         rc;
    const char       *why;
    ngx_mtd_reply_t  *reply;

    while (!o->failed) {
        rc = ngx_mtd_resp_next(resp, &reply, &why);

        if (rc == NGX_AGAIN) {
            return;
        }

        if (rc != NGX_OK) {
            o->failed = 1;
            put_line(o, "failed %d\n", (int) rc);
            return;
        }

        put_reply(o, reply);
    }
}


/* in parts of step bytes, after a first one */

static void
read_parts(u_char *p, size_t len, size_t first, size_t step, int keys,
    outcome_t *o)
{
    size_t           n, before, now;
    ngx_mtd_resp_t  *resp;

    o->len = 0;
    o->failed = 0;

    resp = ngx_mtd_resp_create(keys ? on_key : NULL, o, NULL);
    assert_non_null(resp);

    before = __sanitizer_get_current_allocated_bytes();

    for (n = first; len && !o->failed; n = step) {
        n = ngx_min(ngx_min(n, len), READ);

        assert_int_equal(ngx_mtd_resp_feed(resp, p, n), NGX_OK);
        drain(resp, o);

        now = __sanitizer_get_current_allocated_bytes();

        if (now > before && now - before > most) {
            most = now - before;
        }

        p += n;
        len -= n;
    }

    ngx_mtd_resp_destroy(resp);
}


static void
same(const char *name, size_t at)
{
    splits++;

    if (parts.len != whole.len || parts.failed != whole.failed
        || memcmp(parts.text, whole.text, whole.len) != 0)
    {
        fail_msg("%s, cut at %zu: %.*s\nwhole: %.*s", name, at,
                 (int) ngx_min(parts.len, 400), parts.text,
                 (int) ngx_min(whole.len, 400), whole.text);
    }
}


/*
 * A reply between two that are well.  Returns 1 if the one behind it was
 * read as itself, 0 if nothing was read any more.
 */

static int
check(const char *name, const u_char *text, size_t len, int keys)
{
    size_t  n, i;

    static const char  before[] = "+before\r\n";
    static const char  after[] = ":77777\r\n+end\r\n";
    static const char  told[] = "reply 0 1\n 3 77777 \nreply 0 1\n 2 0 end\n";
    static const char  first[] = "reply 0 1\n 2 0 before\n";

    n = sizeof(before) - 1;
    memcpy(input, before, n);
    memcpy(input + n, text, len);
    n += len;
    memcpy(input + n, after, sizeof(after) - 1);
    n += sizeof(after) - 1;

    read_parts(input, n, n, n, keys, &whole);

    assert_true(whole.len >= sizeof(first) - 1);
    assert_memory_equal(whole.text, first, sizeof(first) - 1);

    for (i = 1; i < n; i += (n < 4096 ? 1 : n / 1021)) {
        read_parts(input, n, i, n, keys, &parts);
        same(name, i);
    }

    read_parts(input, n, 1, 1, keys, &parts);
    same(name, 1);

    if (whole.failed || whole.len < sizeof(first) + sizeof(told) - 2) {
        return 0;
    }

    return memcmp(whole.text + whole.len - (sizeof(told) - 1), told,
                  sizeof(told) - 1)
           == 0;
}


/* a line of the corpus: \r \n \t \\ \xHH, and {{rep N TEXT}} */

static size_t
expand(const char *p, u_char *to)
{
    int     skip;
    long    times, i;
    u_char *start, text[64];
    size_t  n;

    for (start = to; *p && *p != '\t'; p++) {

        if (sscanf(p, "{{rep %ld %n", &times, &skip) == 1) {
            n = strcspn(p + skip, "}");
            assert_true(n < sizeof(text));
            n = sprintf((char *) text, "%.*s", (int) n, p + skip);

            for (i = 0; i < times; i++) {
                to += expand((char *) text, to);
            }

            p = strchr(p + skip, '}') + 1;
            continue;
        }

        if (*p != '\\') {
            *to++ = *p;
            continue;
        }

        switch (*++p) {

        case 'r':
            *to++ = CR;
            break;

        case 'n':
            *to++ = LF;
            break;

        case 'x':
            (void) sscanf(p + 1, "%2hhx", to++);
            p += 2;
            break;

        default:
            *to++ = *p;
        }
    }

    return to - start;
}


static void
corpus_of_attacks(void **state)
{
    int           cases;
    char         *line, *text;
    FILE         *in;
    size_t        size, len;
    static u_char  bytes[INPUT / 2];

    in = fopen(CORPUS, "r");
    assert_non_null(in);

    line = NULL;
    size = 0;
    cases = 0;

    while (getline(&line, &size, in) > 0) {

        text = strstr(line, "\tresp/reply\t");

        if (text == NULL || strncmp(line, "RESP-", 5) != 0) {
            continue;
        }

        text += sizeof("\tresp/reply\t") - 1;

        /* one line is about the others */

        if (strchr("+-:$*_#,(=%~>|!", *text) == NULL) {
            continue;
        }

        len = expand(text, bytes);

        (void) check(line, bytes, len, 0);
        (void) check(line, bytes, len, 1);
        cases++;
    }

    free(line);
    fclose(in);

    assert_true(cases >= 10);
    assert_true(most <= EXTRA);

    printf("checked %d replies of the corpus in %ld splits, at most %zu bytes"
           " for one\n", cases, splits, most);
}


/* 1: what follows is read as itself; 0: it is the end of the connection */

typedef struct {
    const char  *text;
    int          data;
    int          push;
} case_t;


static const case_t  cases[] = {
    { "+OK\\r\\n", 1, 1 },
    { "-ERR no\\r\\n", 1, 1 },
    { "-MOVED 99999 127.0.0.1:6381\\r\\n", 1, 1 },
    { ":12\\r\\n", 1, 1 },
    { ":-12\\r\\n", 1, 1 },
    { "$-1\\r\\n", 1, 1 },
    { "$0\\r\\n\\r\\n", 1, 1 },
    { "$4\\r\\na\\r\\nb\\r\\n", 1, 1 },
    { "$7\\r\\n:77777\\r\\r\\n", 1, 1 },
    { "$5\\r\\n+ok\\r\\n\\r\\n", 1, 1 },
    { "*-1\\r\\n", 1, 1 },
    { "*0\\r\\n", 1, 1 },
    { "*2\\r\\n$1\\r\\na\\r\\n$-1\\r\\n", 1, 1 },
    { "$65536\\r\\n{{rep 65536 x}}\\r\\n", 1, 1 },
    { "*3\\r\\n+a\\r\\n+b\\r\\n*2\\r\\n$1\\r\\nc\\r\\n$2\\r\\ndd\\r\\n", 0, 1 },
    { "*3\\r\\n+a\\r\\n+b\\r\\n*3000\\r\\n"
      "{{rep 3000 $3\\r\\nkey\\r\\n}}", 0, 1 },

    { "$-2\\r\\n", 0, 0 },
    { "$x\\r\\n", 0, 0 },
    { "$\\r\\n", 0, 0 },
    { "$65537\\r\\n", 0, 0 },
    { "$536870912\\r\\n", 0, 0 },
    { "$9223372036854775807\\r\\n", 0, 0 },
    { "$99999999999999999999\\r\\n", 0, 0 },
    { "$3\\r\\nabcd\\r\\n", 0, 0 },
    { "$3\\r\\nab\\r\\n\\r\\n", 0, 0 },
    { ":12abc\\r\\n", 0, 0 },
    { ":\\r\\n", 0, 0 },
    { ":99999999999999999999\\r\\n", 0, 0 },
    { "*-2\\r\\n", 0, 0 },
    { "*17\\r\\n{{rep 17 :1\\r\\n}}", 0, 0 },
    { "*100000000\\r\\n", 0, 0 },
    { "*9223372036854775807\\r\\n", 0, 0 },
    { "*1\\r\\n*1\\r\\n*1\\r\\n:1\\r\\n", 0, 0 },
    { "{{rep 10 *1\\r\\n}}+x\\r\\n", 0, 0 },
    { "*2\\r\\n$65000\\r\\n{{rep 65000 x}}\\r\\n"
      "$600\\r\\n{{rep 600 y}}\\r\\n",
      0, 0 },
    { "+{{rep 1022 x}}\\r\\n", 1, 1 },
    { "+{{rep 1023 x}}\\r\\n", 0, 0 },
    { "+{{rep 70000 x}}", 0, 0 },
    { "-{{rep 200000 x}}\\r\\n", 0, 0 },
    { ":{{rep 200000 1}}\\r\\n", 0, 0 },
    { "${{rep 200000 1}}\\r\\n", 0, 0 },
    { "*{{rep 200000 1}}\\r\\n", 0, 0 },
    { "HTTP/1.1 400 Bad Request\\r\\n", 0, 0 },
    { "\\r\\n", 0, 0 },
    { "\\x00", 0, 0 },
    { "_\\r\\n", 1, 1 },
    { "_\\r\\n{{rep 3000 _\\r\\n}}", 1, 1 },
    { "_x\\r\\n", 0, 0 },
    { "_\\n", 0, 0 },
    { "__\\r\\n", 0, 0 },
    { "*1\\r\\n_\\r\\n", 0, 0 },
    { "*2\\r\\n:1\\r\\n_\\r\\n", 0, 0 },
    { "#t\\r\\n", 0, 0 },
    { ">2\\r\\n+a\\r\\n+b\\r\\n", 0, 0 },
    { "%1\\r\\n+a\\r\\n+b\\r\\n", 0, 0 },
    { "~1\\r\\n+a\\r\\n", 0, 0 },
    { "|1\\r\\n+a\\r\\n+b\\r\\n", 0, 0 },
    { "(12345678901234567890\\r\\n", 0, 0 },
    { ",1.5\\r\\n", 0, 0 },
    { "=7\\r\\ntxt:abc\\r\\n", 0, 0 },
    { "!5\\r\\nERR x\\r\\n", 0, 0 },
    { "$?\\r\\n;1\\r\\na\\r\\n;0\\r\\n", 0, 0 },
    { "*?\\r\\n+a\\r\\n.\\r\\n", 0, 0 },

    /* numbers that are almost ones */

    { ":9223372036854775807\\r\\n", 1, 1 },
    { ":-9223372036854775808\\r\\n", 1, 1 },
    { ":0\\r\\n", 1, 1 },
    { ":9223372036854775808\\r\\n", 0, 0 },
    { ":-9223372036854775809\\r\\n", 0, 0 },
    { ":-\\r\\n", 0, 0 },
    { ":-0\\r\\n", 0, 0 },
    { ":+1\\r\\n", 0, 0 },
    { ":01\\r\\n", 0, 0 },
    { ": 1\\r\\n", 0, 0 },
    { ":1 \\r\\n", 0, 0 },
    { ":1.0\\r\\n", 0, 0 },
    { ":0x1\\r\\n", 0, 0 },
    { "$+1\\r\\na\\r\\n", 0, 0 },
    { "$01\\r\\na\\r\\n", 0, 0 },
    { "$-0\\r\\n\\r\\n", 0, 0 },
    { "$1 \\r\\na\\r\\n", 0, 0 },
    { "*+1\\r\\n:1\\r\\n", 0, 0 },
    { "*01\\r\\n:1\\r\\n", 0, 0 },
    { "*4294967297\\r\\n:1\\r\\n", 0, 0 },
    { "$4294967297\\r\\na\\r\\n", 0, 0 },
    { "$18446744073709551617\\r\\na\\r\\n", 0, 0 },

    /* lines that are cut elsewhere */

    { "+\\r\\n", 1, 1 },
    { "+OK\\r\\n", 1, 1 },
    { "+OKAY\\r\\n", 1, 1 },
    { "-\\r\\n", 1, 1 },
    { "$1\\na\\r\\n", 0, 0 },
    { "$1\\r\\na\\n\\r", 0, 0 },
    { ":1\\n", 0, 0 },
    { "\\n", 0, 0 },
    { " +OK\\r\\n", 0, 0 },
    { "ok\\r\\n", 0, 0 },
    { "\\x16\\x03\\x01\\x02", 0, 0 }
};


static void
one_after_another(void **state)
{
    size_t         i, len, more;
    static u_char  bytes[INPUT / 2];

    splits = 0;
    more = 0;

    for (i = 0; i < sizeof(cases) / sizeof(case_t); i++) {
        len = expand(cases[i].text, bytes);
        most = 0;

        if (check(cases[i].text, bytes, len, 0) != cases[i].data
            || check(cases[i].text, bytes, len, 1) != cases[i].push)
        {
            fail_msg("%s: %.*s", cases[i].text, (int) ngx_min(whole.len, 400),
                     whole.text);
        }

        /* one within the cap may be there once, in a buffer that doubles */

        len = (len < EXTRA + 1024) ? len : 0;
        assert_true(most <= EXTRA + len);

        if (most > len && most - len > more) {
            more = most - len;
        }
    }

    printf("checked %zu replies in %ld splits, at most %zu bytes for one,"
           " besides its own\n", i, splits, more);
}


/* what only an administrator can end is worth a call at night */

static void
levels(void **state)
{
    size_t  i;

    static struct {
        ngx_str_t   error;
        ngx_uint_t  level;
    } errors[] = {
        { ngx_string("NOAUTH Authentication required."), NGX_LOG_CRIT },
        { ngx_string("NOAUTH"), NGX_LOG_CRIT },
        { ngx_string("WRONGPASS invalid username-password pair"),
          NGX_LOG_CRIT },
        { ngx_string("WRONGPASS"), NGX_LOG_CRIT },
        { ngx_string("NOAUT"), NGX_LOG_ERR },
        { ngx_string("WRONGPAS"), NGX_LOG_ERR },
        { ngx_string("NOPERM this user has no permissions"), NGX_LOG_ERR },
        { ngx_string("LOADING Redis is loading"), NGX_LOG_ERR },
        { ngx_string(""), NGX_LOG_ERR }
    };

    for (i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        assert_int_equal(ngx_mtd_resp_level(&errors[i].error),
                         errors[i].level);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(corpus_of_attacks),
        cmocka_unit_test(one_after_another),
        cmocka_unit_test(levels),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
