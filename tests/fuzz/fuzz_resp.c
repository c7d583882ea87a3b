
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * The input is what Redis sends: two bytes that say how it arrives in parts,
 * then the bytes, of which FUZZ_RUN and three more stand for many: how many,
 * and which.  They are read once at whole and once in parts, and by a reader
 * of RESP2 of this file's own.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "fuzz.h"
#include "ngx_mtd_resp.h"


#define FUZZ_READ          4096     /* bytes at once, as the gate reads */
#define FUZZ_ARGS          25       /* one more than it takes */
#define FUZZ_ELEMENTS      2
#define FUZZ_LINE          1022     /* the longest that is no text */
#define FUZZ_LOG           65536
#define FUZZ_INPUT         (3 * NGX_MTD_RESP_MAX)

/* the texts of a reply, and a buffer that may have room for twice of one */

#define FUZZ_MEMORY        (4 * NGX_MTD_RESP_MAX)


/* gcc has it, but not its header */

size_t __sanitizer_get_current_allocated_bytes(void);


/* what came out, as a text */

typedef struct {
    size_t         len;
    unsigned       full;
    u_char         data[FUZZ_LOG];
} fuzz_log_t;


typedef struct {
    const u_char  *pos;
    const u_char  *last;
    fuzz_log_t    *keys;
    fuzz_log_t    *values;
} fuzz_reader_t;


static fuzz_log_t  fuzz_whole, fuzz_parts, fuzz_own, fuzz_own_values;


/* of nginx's core, what the codec needs */

void *
ngx_alloc(size_t size, ngx_log_t *log)
{
    return malloc(size);
}


ngx_int_t
ngx_atoi(u_char *line, size_t n)
{
    size_t     i;
    ngx_int_t  value;

    for (i = 0, value = 0; i < n; i++) {

        if (line[i] < '0' || line[i] > '9' || value > NGX_MAX_INT_T_VALUE / 11)
        {
            return NGX_ERROR;
        }

        value = value * 10 + (line[i] - '0');
    }

    return n ? value : NGX_ERROR;
}


u_char *
ngx_pstrdup(ngx_pool_t *pool, ngx_str_t *src)
{
    return fuzz_copy(src->data, src->len);
}


u_char *
ngx_strnstr(u_char *s1, char *s2, size_t n)
{
    return memmem(s1, n, s2, strlen(s2));
}


static void
fuzz_log(fuzz_log_t *log, char type, const void *text, size_t len,
    long long n)
{
    int     size;
    char    head[64];
    size_t  room;

    size = snprintf(head, sizeof(head), "%c%zu:%lld:", type, len, n);
    room = FUZZ_LOG - log->len;

    /* it is enough that both are cut at the same place */

    if (log->full || room < size + len) {
        log->full = 1;
        return;
    }

    memcpy(log->data + log->len, head, size);

    if (len) {
        memcpy(log->data + log->len + size, text, len);
    }

    log->len += size + len;
}


static int
fuzz_same(const fuzz_log_t *a, const fuzz_log_t *b)
{
    return a->len == b->len && a->full == b->full
           && memcmp(a->data, b->data, a->len) == 0;
}


static void
fuzz_key(void *data, u_char *key, size_t len)
{
    fuzz_log(data, 'k', key, len, 0);
}


/* what may stand in a log */

static void
fuzz_one_line(const ngx_mtd_value_t *value)
{
    fuzz_check((value->type != NGX_MTD_VALUE_STATUS
                && value->type != NGX_MTD_VALUE_ERROR)
               || (!memchr(value->text.data, '\r', value->text.len)
                   && !memchr(value->text.data, '\n', value->text.len)),
               "an end of a line in a line");
}


static void
fuzz_element(void *data, ngx_uint_t depth, ngx_uint_t index,
    ngx_mtd_value_t *value)
{
    fuzz_check(depth > 0, "an element of no array");
    fuzz_check(value->type <= NGX_MTD_VALUE_ARRAY, "type");
    fuzz_one_line(value);

    fuzz_log(data, 'e', value->text.data, value->text.len,
             (long long) (depth * 100000 + index * 10 + value->type));
}


static void
fuzz_reply(fuzz_log_t *log, const ngx_mtd_reply_t *reply, int nested)
{
    ngx_uint_t  i;

    static const char  types[] = "-$+:!*";

    fuzz_check(reply->array || reply->n == 1, "no array, not one value");

    fuzz_log(log, reply->array ? 'A' : 'V', NULL, 0, reply->n);

    /* who gets elements gets no values of an array */

    if (nested == FUZZ_ELEMENTS && reply->array) {
        return;
    }

    fuzz_check(reply->n <= NGX_MTD_RESP_VALUES, "too many values");

    for (i = 0; i < reply->n; i++) {
        fuzz_check(reply->value[i].type <= NGX_MTD_VALUE_ARRAY, "type");
        fuzz_check(reply->value[i].type != NGX_MTD_VALUE_ARRAY || nested,
                   "a nested array");
        fuzz_check(reply->value[i].text.len <= NGX_MTD_RESP_MAX, "length");
        fuzz_one_line(&reply->value[i]);

        fuzz_log(log, types[reply->value[i].type], reply->value[i].text.data,
                 reply->value[i].text.len, reply->value[i].integer);
    }
}


/* until there is no more, or it fails */

static ngx_int_t
fuzz_replies(ngx_mtd_resp_t *resp, fuzz_log_t *log, int nested)
{
    ngx_int_t         rc;
    const char       *why;
    ngx_mtd_reply_t  *reply;

    for ( ;; ) {
        why = NULL;
        reply = NULL;

        rc = ngx_mtd_resp_next(resp, &reply, &why);

        if (rc != NGX_OK) {
            fuzz_check((why == NULL) == (rc == NGX_AGAIN), "why");
            return rc;
        }

        fuzz_reply(log, reply, nested);
    }
}


static ngx_int_t
fuzz_feed(fuzz_log_t *log, ngx_mtd_resp_key_pt key, const uint8_t *data,
    size_t size, unsigned part, unsigned step, int elements)
{
    size_t           n, before;
    u_char          *copy;
    ngx_int_t        rc;
    ngx_mtd_resp_t  *resp;

    log->len = 0;
    log->full = 0;
    before = __sanitizer_get_current_allocated_bytes();

    resp = ngx_mtd_resp_create(key, log, NULL);
    fuzz_check(resp != NULL, "no memory");

    if (elements) {
        ngx_mtd_resp_elements(resp, fuzz_element);
    }

    rc = NGX_AGAIN;

    while (size && rc == NGX_AGAIN) {

        n = (part < size) ? part : size;
        copy = fuzz_copy(data, n);

        if (ngx_mtd_resp_feed(resp, copy, n) != NGX_OK) {
            rc = NGX_ERROR;

        } else {
            rc = fuzz_replies(resp, log, elements ? FUZZ_ELEMENTS
                                                  : key != NULL);
        }

        free(copy);

        fuzz_check(__sanitizer_get_current_allocated_bytes()
                   < before + FUZZ_MEMORY + (n > FUZZ_READ ? 3 * n : 0),
                   "a reply costs too much");

        data += n;
        size -= n;
        part = 1 + (part * 5 + step) % FUZZ_READ;
    }

    ngx_mtd_resp_destroy(resp);

    return rc;
}


/* "NUMBER\r\n" in its shortest form; 0 if there is no such line */

static int
fuzz_number(fuzz_reader_t *r, long long *n)
{
    int            minus;
    uint64_t       value;
    const u_char  *first;

    minus = (r->pos < r->last && *r->pos == '-');
    r->pos += minus;
    first = r->pos;
    value = 0;

    while (r->pos < r->last && *r->pos >= '0' && *r->pos <= '9') {

        if (value > INT64_MAX / 10 - 1) {
            return 0;
        }

        value = value * 10 + (*r->pos++ - '0');
    }

    if (r->pos == first || (*first == '0' && (minus || r->pos - first > 1))
        || r->last - r->pos < 2 || r->pos[0] != '\r' || r->pos[1] != '\n')
    {
        return 0;
    }

    r->pos += 2;
    *n = minus ? -(long long) value : (long long) value;

    return 1;
}


static void
fuzz_text(fuzz_reader_t *r, char type, size_t len, int depth)
{
    if (depth == 2) {
        fuzz_log(r->keys, 'k', r->pos, len, 0);

    } else {
        fuzz_log(r->values, type, r->pos, len, 0);
    }

    r->pos += len + 2;
}


/*
 * One value, but no array at depth 0; 0 if it is not whole, or not one that
 * the gate takes.
 */

static int
fuzz_value(fuzz_reader_t *r, int depth)
{
    u_char         type;
    long long      n, i;
    const u_char  *end;

    if (r->pos == r->last) {
        return 0;
    }

    type = *r->pos++;

    if (type == '+' || type == '-') {
        end = memmem(r->pos, r->last - r->pos, "\r\n", 2);

        if (end && (end - r->pos > FUZZ_LINE
                    || memchr(r->pos, '\n', end - r->pos)
                    || memchr(r->pos, '\r', end - r->pos)))
        {
            return 0;
        }

        if (end) {
            fuzz_text(r, type == '+' ? '+' : '!', end - r->pos, depth);
        }

        return end != NULL;
    }

    if ((type != ':' && type != '$' && type != '*') || !fuzz_number(r, &n)) {
        return 0;
    }

    if (type == ':') {
        fuzz_log(r->values, ':', NULL, 0, n);
        return depth < 2;
    }

    if (n == -1) {
        fuzz_log(r->values, '-', NULL, 0, 0);
        return depth < 2;
    }

    if (n < 0 || n > NGX_MTD_RESP_MAX || (type == '*' && depth != 1)) {
        return 0;
    }

    if (type == '$') {

        if (r->last - r->pos < n + 2 || memcmp(r->pos + n, "\r\n", 2) != 0) {
            return 0;
        }

        fuzz_text(r, '$', n, depth);
        return 1;
    }

    for (i = 0; i < n; i++) {
        if (!fuzz_value(r, 2)) {
            return 0;
        }
    }

    fuzz_log(r->values, '*', NULL, 0, n);

    return 1;
}


/* 1 if all of the input was understood; the keys of a reply stand before it */

static int
fuzz_read(const uint8_t *data, size_t size)
{
    long long      i, n;
    fuzz_reader_t  r;

    r.pos = data;
    r.last = data + size;
    r.keys = &fuzz_own;
    r.values = &fuzz_own_values;

    fuzz_own.len = 0;
    fuzz_own.full = 0;
    fuzz_own_values.full = 0;

    while (r.pos < r.last) {

        fuzz_own_values.len = 0;
        n = -1;

        if (*r.pos == '*') {
            r.pos++;

            if (!fuzz_number(&r, &n) || n > NGX_MTD_RESP_VALUES || n < -1) {
                return 0;
            }

            if (n == -1) {
                fuzz_log(&fuzz_own_values, '-', NULL, 0, 0);
            }

            for (i = 0; i < n; i++) {
                if (!fuzz_value(&r, 1)) {
                    return 0;
                }
            }

        } else if (!fuzz_value(&r, 0)) {
            return 0;
        }

        fuzz_log(&fuzz_own, n < 0 ? 'V' : 'A', NULL, 0, n < 0 ? 1 : n);

        if (fuzz_own.full || fuzz_own_values.full
            || fuzz_own.len + fuzz_own_values.len > FUZZ_LOG)
        {
            return 0;
        }

        memcpy(fuzz_own.data + fuzz_own.len, fuzz_own_values.data,
               fuzz_own_values.len);
        fuzz_own.len += fuzz_own_values.len;
    }

    return 1;
}


/* a command that is filled in is the one that hiredis makes, and is RESP */

static void
fuzz_command(const uint8_t *data, size_t size)
{
    size_t                    len, from;
    u_char                   *command, *filled, *end;
    ngx_str_t                 argv[FUZZ_ARGS];
    ngx_mtd_resp_template_t   template;

    ngx_str_set(&argv[0], "GET");
    ngx_str_set(&argv[2], "threat");
    argv[1].data = (u_char *) "";
    argv[1].len = 0;

    for (from = 3; from < FUZZ_ARGS; from++) {
        argv[from] = argv[0];
    }

    fuzz_check(ngx_mtd_resp_template(&template, argv, FUZZ_ARGS, NULL)
               == NGX_ERROR, "a command that is too long");
    fuzz_check(ngx_mtd_resp_template(&template, argv, 3, NULL) == NGX_OK,
               "no template");

    argv[1].data = (u_char *) data;
    argv[1].len = size;

    command = ngx_mtd_resp_command(argv, 3, &len);
    filled = malloc(ngx_mtd_resp_size(&template, size) + 64);

    fuzz_check(command && filled, "no memory");

    end = ngx_mtd_resp_fill(filled, &template, data, size);

    fuzz_check((size_t) (end - filled) <= ngx_mtd_resp_size(&template, size),
               "no room");
    fuzz_check((size_t) (end - filled) == len
               && memcmp(filled, command, len) == 0, "another command");

    if (len < FUZZ_LOG / 2) {
        fuzz_check(fuzz_read(command, len), "not RESP");

        fuzz_whole.len = 0;
        fuzz_whole.full = 0;
        fuzz_log(&fuzz_whole, 'A', NULL, 0, 3);

        for (from = 0; from < 3; from++) {
            fuzz_log(&fuzz_whole, '$', argv[from].data, argv[from].len, 0);
        }

        fuzz_check(fuzz_same(&fuzz_own, &fuzz_whole), "another key");
    }

    free(template.head.data);
    free(template.tail.data);

    /* without an empty argument there is no key to fill in */

    argv[1] = argv[0];

    fuzz_check(ngx_mtd_resp_template(&template, argv, 3, NULL) == NGX_OK
               && template.tail.data == NULL
               && ngx_mtd_resp_fill(filled, &template, NULL, 0)
                  == filled + template.head.len, "a command of no key");

    free(template.head.data);
    free(filled);
    ngx_mtd_resp_free(command);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t         len;
    ngx_int_t      whole, parts, plain;

    static u_char  input[FUZZ_INPUT];

    if (size < 2) {
        return 0;
    }

    len = fuzz_expand(input, FUZZ_INPUT, data + 2, size - 2);

    whole = fuzz_feed(&fuzz_whole, fuzz_key, input, len, len, 0, 0);
    parts = fuzz_feed(&fuzz_parts, fuzz_key, input, len, 1 + data[0] * 16,
                      data[1], 0);

    /* what waits for its end is capped, wherever the parts end */

    if (len <= NGX_MTD_RESP_MAX) {
        fuzz_check(whole == parts, "parts are read differently");
        fuzz_check(fuzz_same(&fuzz_whole, &fuzz_parts),
                   "parts are something else");

        if (!fuzz_whole.full && fuzz_read(input, len)) {
            fuzz_check(whole == NGX_AGAIN, "RESP was refused");
            fuzz_check(fuzz_same(&fuzz_whole, &fuzz_own),
                       "read as something else");
        }

    } else if (whole == NGX_AGAIN && parts == NGX_AGAIN) {
        fuzz_check(fuzz_same(&fuzz_whole, &fuzz_parts),
                   "parts are something else");
    }

    /* who asks for no keys takes no nested array */

    plain = fuzz_feed(&fuzz_own, NULL, input, len, 1 + data[0] * 16, data[1],
                      0);

    fuzz_check(plain == NGX_ERROR || plain == NGX_DECLINED
               || (plain == parts && fuzz_same(&fuzz_own, &fuzz_parts)),
               "something else without keys");

    /* parts make no difference to elements */

    whole = fuzz_feed(&fuzz_whole, NULL, input, len, len, 0, 1);
    parts = fuzz_feed(&fuzz_parts, NULL, input, len, 1 + data[0] * 16, data[1],
                      1);

    fuzz_check(len > NGX_MTD_RESP_MAX
               || (whole == parts && fuzz_same(&fuzz_whole, &fuzz_parts)),
               "other elements");

    fuzz_command(input, len);

    return 0;
}
