
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include <hiredis/hiredis.h>

#include "ngx_mtd_resp.h"


#define NGX_MTD_RESP_ARGS   24
#define NGX_MTD_RESP_LINE   1024            /* bytes, with its CRLF */
#define NGX_MTD_RESP_STRING 0x20000000      /* the longest that Redis keeps */


#if (HIREDIS_MAJOR >= 1)
typedef size_t  ngx_mtd_resp_elements_t;

#else
typedef int  ngx_mtd_resp_elements_t;

#endif


struct ngx_mtd_resp_s {
    redisReader          *reader;
    ngx_mtd_resp_key_pt   key;
    ngx_mtd_resp_element_pt  element;
    void                 *data;
    ngx_log_t            *log;
    const char           *why;
    ngx_uint_t            capped;           /* unsigned  capped:1; */
    ngx_mtd_reply_t       reply;
    u_char               *last;
    u_char                text[NGX_MTD_RESP_MAX];
};


#if (HIREDIS_MAJOR == 0)
static ngx_int_t ngx_mtd_resp_null(ngx_mtd_resp_t *resp);
#endif
static const char *ngx_mtd_resp_partial(redisReader *reader,
    ngx_uint_t *capped);
static void *ngx_mtd_resp_string(const redisReadTask *task, char *str,
    size_t len);
static void *ngx_mtd_resp_array(const redisReadTask *task,
    ngx_mtd_resp_elements_t n);
static void *ngx_mtd_resp_integer(const redisReadTask *task, long long n);
static void *ngx_mtd_resp_nil(const redisReadTask *task);
#if (HIREDIS_MAJOR >= 1)
static void *ngx_mtd_resp_double(const redisReadTask *task, double n,
    char *str, size_t len);
static void *ngx_mtd_resp_bool(const redisReadTask *task, int n);
#endif
static void ngx_mtd_resp_nothing(void *object);


/* what is made is not a tree of objects but one flat reply */

static redisReplyObjectFunctions  ngx_mtd_resp_functions = {
    .createString = ngx_mtd_resp_string,
    .createArray = ngx_mtd_resp_array,
    .createInteger = ngx_mtd_resp_integer,
    .createNil = ngx_mtd_resp_nil,
#if (HIREDIS_MAJOR >= 1)
    .createDouble = ngx_mtd_resp_double,
    .createBool = ngx_mtd_resp_bool,
#endif
    .freeObject = ngx_mtd_resp_nothing
};


ngx_mtd_resp_t *
ngx_mtd_resp_create(ngx_mtd_resp_key_pt key, void *data, ngx_log_t *log)
{
    ngx_mtd_resp_t  *resp;

    resp = ngx_alloc(sizeof(ngx_mtd_resp_t), log);
    if (resp == NULL) {
        return NULL;
    }

    resp->reader = redisReaderCreateWithFunctions(&ngx_mtd_resp_functions);
    if (resp->reader == NULL) {
        ngx_free(resp);
        return NULL;
    }

    resp->reader->privdata = resp;
    resp->key = key;
    resp->element = NULL;
    resp->data = data;
    resp->log = log;
    resp->why = NULL;
    resp->capped = 0;
    resp->last = resp->text;

    return resp;
}


void
ngx_mtd_resp_elements(ngx_mtd_resp_t *resp, ngx_mtd_resp_element_pt element)
{
    resp->element = element;
}


void
ngx_mtd_resp_destroy(ngx_mtd_resp_t *resp)
{
    redisReaderFree(resp->reader);
    ngx_free(resp);
}


ngx_int_t
ngx_mtd_resp_feed(ngx_mtd_resp_t *resp, u_char *p, size_t len)
{
    return redisReaderFeed(resp->reader, (char *) p, len) == REDIS_OK
           ? NGX_OK : NGX_ERROR;
}


ngx_int_t
ngx_mtd_resp_next(ngx_mtd_resp_t *resp, ngx_mtd_reply_t **reply,
    const char **why)
{
    void         *object;
    redisReader  *reader;
#if (HIREDIS_MAJOR == 0)
    ngx_int_t     rc;
#endif

    reader = resp->reader;
    object = NULL;

#if (HIREDIS_MAJOR == 0)

    rc = ngx_mtd_resp_null(resp);

    if (rc != NGX_DECLINED) {
        *reply = &resp->reply;
        return rc;
    }

#endif

    if (redisReaderGetReply(reader, &object) != REDIS_OK) {
        *why = resp->why ? resp->why : "a reply is not RESP2";
        return resp->capped ? NGX_DECLINED : NGX_ERROR;
    }

    if (object) {
        *reply = &resp->reply;
        return NGX_OK;
    }

    *why = ngx_mtd_resp_partial(reader, &resp->capped);

    if (*why) {
        return resp->capped ? NGX_DECLINED : NGX_ERROR;
    }

    return NGX_AGAIN;
}


/*
 * The null of RESP3 says what a nil says, and hiredis 0 does not know it.
 * Between two replies its reader has no task, or one without a type.
 */

#if (HIREDIS_MAJOR == 0)

static ngx_int_t
ngx_mtd_resp_null(ngx_mtd_resp_t *resp)
{
    size_t        n;
    redisReader  *reader;

    reader = resp->reader;
    n = ngx_min(reader->len - reader->pos, 3);

    if (n == 0 || reader->err || reader->ridx > 0
        || (reader->ridx == 0 && reader->rstack[0].type >= 0)
        || ngx_memcmp(reader->buf + reader->pos, "_" CRLF, n) != 0)
    {
        return NGX_DECLINED;
    }

    if (n < 3) {
        return NGX_AGAIN;
    }

    reader->pos += 3;

    resp->last = resp->text;
    resp->reply.array = 0;
    resp->reply.n = 1;
    ngx_memzero(&resp->reply.value[0], sizeof(ngx_mtd_value_t));

    return NGX_OK;
}

#endif


/*
 * What hiredis would wait for without an end: a line, or a string of which
 * the length is there and the rest is not.  Either stands behind its type.
 */

static const char *
ngx_mtd_resp_partial(redisReader *reader, ngx_uint_t *capped)
{
    u_char     *p, *last, *line;
    ngx_int_t   n;

    line = (u_char *) reader->buf + reader->pos;
    last = (u_char *) reader->buf + reader->len;
    last = ngx_min(last, line + NGX_MTD_RESP_LINE);

    for (p = line; p + 1 < last; p++) {
        if (p[0] == CR && p[1] == LF) {
            break;
        }
    }

    if (p + 1 >= last) {
        return last - line < NGX_MTD_RESP_LINE
               ? NULL : "a line in a reply is too long";
    }

    n = ngx_atoi(line, p - line);

    if (n == NGX_ERROR || n > NGX_MTD_RESP_STRING) {
        return "a reply has a string that no Redis has";
    }

    if (n <= NGX_MTD_RESP_MAX) {
        return NULL;
    }

    *capped = 1;

    return "a reply is longer than 64k";
}


/* 1: it is in an array, and has been told of */

static ngx_uint_t
ngx_mtd_resp_element(const redisReadTask *task, ngx_mtd_value_e type,
    char *str, size_t len, int64_t integer)
{
    ngx_uint_t            depth;
    ngx_mtd_resp_t       *resp;
    ngx_mtd_value_t       value;
    const redisReadTask  *parent;

    resp = task->privdata;

    if (resp->element == NULL || task->parent == NULL) {
        return 0;
    }

    depth = 0;

    for (parent = task->parent; parent; parent = parent->parent) {
        depth++;
    }

    value.type = type;
    value.text.data = (u_char *) str;
    value.text.len = len;
    value.integer = integer;

    resp->element(resp->data, depth, task->idx, &value);

    return 1;
}


/* NULL, after why has been set, makes the reader fail */

static ngx_mtd_value_t *
ngx_mtd_resp_value(const redisReadTask *task)
{
    ngx_mtd_resp_t   *resp;
    ngx_mtd_value_t  *value;

    resp = task->privdata;

    if (task->parent == NULL) {
        resp->last = resp->text;
        resp->reply.array = 0;
        resp->reply.n = 1;
        value = &resp->reply.value[0];

    } else if (task->parent->parent == NULL) {
        value = &resp->reply.value[task->idx];

    } else {
        resp->why = "a reply is nested too deep";
        return NULL;
    }

    ngx_memzero(value, sizeof(ngx_mtd_value_t));

    return value;
}


static ngx_mtd_value_e
ngx_mtd_resp_type(const redisReadTask *task)
{
    switch (task->type) {

    case REDIS_REPLY_STATUS:
        return NGX_MTD_VALUE_STATUS;

    case REDIS_REPLY_ERROR:
        return NGX_MTD_VALUE_ERROR;

    default:
        return NGX_MTD_VALUE_STRING;
    }
}


static void *
ngx_mtd_resp_string(const redisReadTask *task, char *str, size_t len)
{
    ngx_mtd_resp_t   *resp;
    ngx_mtd_value_t  *value;

    resp = task->privdata;

    if (task->type != REDIS_REPLY_STRING && task->type != REDIS_REPLY_STATUS
        && task->type != REDIS_REPLY_ERROR)
    {
        resp->why = "a reply is not RESP2";
        return NULL;
    }

    /* hiredis skips these two without looking */

    if (task->type == REDIS_REPLY_STRING) {

        if (str[len] != CR || str[len + 1] != LF) {
            resp->why = "a string in a reply does not end where it should";
            return NULL;
        }

    } else if (len > NGX_MTD_RESP_LINE - 2) {
        resp->why = "a line in a reply is too long";
        return NULL;

    } else if (memchr(str, CR, len) || memchr(str, LF, len)) {

        /* an error is logged, and must not look like two */

        resp->why = "a line in a reply has no proper end";
        return NULL;
    }

    if (resp->element
        && ngx_mtd_resp_element(task, ngx_mtd_resp_type(task), str, len, 0))
    {
        return resp;
    }

    if (task->parent && task->parent->parent
        && task->parent->parent->parent == NULL && resp->key)
    {
        resp->key(resp->data, (u_char *) str, len);
        return resp;
    }

    value = ngx_mtd_resp_value(task);
    if (value == NULL) {
        return NULL;
    }

    if (len > (size_t) (resp->text + NGX_MTD_RESP_MAX - resp->last)) {
        resp->why = "a reply is longer than 64k";
        resp->capped = 1;
        return NULL;
    }

    value->type = ngx_mtd_resp_type(task);
    value->text.data = resp->last;
    value->text.len = len;

    resp->last = ngx_cpymem(resp->last, str, len);

    return resp;
}


static void *
ngx_mtd_resp_array(const redisReadTask *task, ngx_mtd_resp_elements_t n)
{
    ngx_mtd_resp_t   *resp;
    ngx_mtd_value_t  *value;

    resp = task->privdata;

    if (task->type != REDIS_REPLY_ARRAY) {
        resp->why = "a reply is not RESP2";
        return NULL;
    }

    if (task->parent == NULL) {

        if ((size_t) n > NGX_MTD_RESP_VALUES && resp->element == NULL) {
            resp->why = "a reply has too many elements";
            return NULL;
        }

        resp->last = resp->text;
        resp->reply.array = 1;
        resp->reply.n = n;
        ngx_memzero(&resp->reply.value[0], sizeof(ngx_mtd_value_t));

        return resp;
    }

    if (ngx_mtd_resp_element(task, NGX_MTD_VALUE_ARRAY, NULL, 0, n)) {
        return resp;
    }

    if (resp->key == NULL) {
        resp->why = "a reply is nested";
        return NULL;
    }

    value = ngx_mtd_resp_value(task);
    if (value == NULL) {
        return NULL;
    }

    value->type = NGX_MTD_VALUE_ARRAY;
    value->integer = n;

    return resp;
}


static void *
ngx_mtd_resp_integer(const redisReadTask *task, long long n)
{
    ngx_mtd_value_t  *value;

    if (ngx_mtd_resp_element(task, NGX_MTD_VALUE_INTEGER, NULL, 0, n)) {
        return task->privdata;
    }

    value = ngx_mtd_resp_value(task);
    if (value == NULL) {
        return NULL;
    }

    value->type = NGX_MTD_VALUE_INTEGER;
    value->integer = n;

    return task->privdata;
}


static void *
ngx_mtd_resp_nil(const redisReadTask *task)
{
    ngx_mtd_resp_t  *resp;

    resp = task->privdata;

    /* in RESP2 it is a string or an array that is not there */

    if (task->type == REDIS_REPLY_NIL && task->parent) {
        resp->why = "a reply is not RESP2";
        return NULL;
    }

    if (ngx_mtd_resp_element(task, NGX_MTD_VALUE_NIL, NULL, 0, 0)) {
        return resp;
    }

    return ngx_mtd_resp_value(task) ? resp : NULL;
}


/* without these it would pretend that there was something */

#if (HIREDIS_MAJOR >= 1)

static void *
ngx_mtd_resp_double(const redisReadTask *task, double n, char *str,
    size_t len)
{
    return NULL;
}


static void *
ngx_mtd_resp_bool(const redisReadTask *task, int n)
{
    return NULL;
}

#endif


static void
ngx_mtd_resp_nothing(void *object)
{
    /* void */
}


ngx_uint_t
ngx_mtd_resp_ok(ngx_mtd_reply_t *reply)
{
    ngx_mtd_value_t  *value;

    value = &reply->value[0];

    return !reply->array && value->type == NGX_MTD_VALUE_STATUS
           && value->text.len == 2
           && ngx_strncmp(value->text.data, "OK", 2) == 0;
}


ngx_str_t *
ngx_mtd_resp_error(ngx_mtd_reply_t *reply)
{
    ngx_mtd_value_t  *value;

    value = &reply->value[0];

    return (!reply->array && value->type == NGX_MTD_VALUE_ERROR)
           ? &value->text : NULL;
}


ngx_uint_t
ngx_mtd_resp_level(ngx_str_t *error)
{
    if ((error->len >= 6 && ngx_strncmp(error->data, "NOAUTH", 6) == 0)
        || (error->len >= 9 && ngx_strncmp(error->data, "WRONGPASS", 9) == 0))
    {
        return NGX_LOG_CRIT;
    }

    return NGX_LOG_ERR;
}


u_char *
ngx_mtd_resp_command(ngx_str_t *argv, ngx_uint_t argc, size_t *len)
{
    char        *command;
    size_t       lens[NGX_MTD_RESP_ARGS];
    long long    n;
    ngx_uint_t   i;
    const char  *args[NGX_MTD_RESP_ARGS];

    if (argc > NGX_MTD_RESP_ARGS) {
        return NULL;
    }

    for (i = 0; i < argc; i++) {
        args[i] = (const char *) argv[i].data;
        lens[i] = argv[i].len;
    }

    n = redisFormatCommandArgv(&command, argc, args, lens);
    if (n < 0) {
        return NULL;
    }

    *len = n;

    return (u_char *) command;
}


void
ngx_mtd_resp_free(u_char *command)
{
    redisFreeCommand((char *) command);
}


ngx_int_t
ngx_mtd_resp_template(ngx_mtd_resp_template_t *template, ngx_str_t *argv,
    ngx_uint_t argc, ngx_pool_t *pool)
{
    size_t      len;
    u_char     *command, *p;
    ngx_int_t   rc;
    ngx_str_t   part;

    static char  empty[] = "$0\r\n\r\n";

    command = ngx_mtd_resp_command(argv, argc, &len);
    if (command == NULL) {
        return NGX_ERROR;
    }

    rc = NGX_ERROR;

    p = ngx_strnstr(command, empty, len);

    if (p == NULL) {
        part.data = command;
        part.len = len;
        template->head.len = len;
        template->head.data = ngx_pstrdup(pool, &part);
        ngx_str_null(&template->tail);

        if (template->head.data) {
            rc = NGX_OK;
        }

    } else {
        part.data = command;
        part.len = p - command;
        template->head.len = part.len;
        template->head.data = ngx_pstrdup(pool, &part);

        part.data = p + sizeof(empty) - 1;
        part.len = command + len - part.data;
        template->tail.len = part.len;
        template->tail.data = ngx_pstrdup(pool, &part);

        if (template->head.data && template->tail.data) {
            rc = NGX_OK;
        }
    }

    ngx_mtd_resp_free(command);

    return rc;
}


size_t
ngx_mtd_resp_size(const ngx_mtd_resp_template_t *template, size_t len)
{
    return template->head.len + 1 + NGX_SIZE_T_LEN + 2 + len + 2
           + template->tail.len;
}


/* ngx_sprintf() would be a tenth of what a lookup costs */

static u_char *
ngx_mtd_resp_length(u_char *p, size_t len)
{
    u_char  *last, digits[NGX_SIZE_T_LEN];

    last = digits + NGX_SIZE_T_LEN;

    do {
        *--last = (u_char) (len % 10 + '0');
        len /= 10;
    } while (len);

    return ngx_cpymem(p, last, digits + NGX_SIZE_T_LEN - last);
}


u_char *
ngx_mtd_resp_fill(u_char *p, const ngx_mtd_resp_template_t *template,
    const u_char *key, size_t len)
{
    p = ngx_cpymem(p, template->head.data, template->head.len);

    if (template->tail.data == NULL) {
        return p;
    }

    *p++ = '$';
    p = ngx_mtd_resp_length(p, len);
    *p++ = CR;
    *p++ = LF;
    p = ngx_cpymem(p, key, len);
    *p++ = CR;
    *p++ = LF;

    return ngx_cpymem(p, template->tail.data, template->tail.len);
}
