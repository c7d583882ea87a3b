
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * Commands and replies of RESP2, encoded and decoded by hiredis, with caps:
 * a hostile reply may cost 64 KiB.  The only file that knows hiredis.
 */


#ifndef _NGX_MTD_RESP_H_INCLUDED_
#define _NGX_MTD_RESP_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define NGX_MTD_RESP_MAX      65536         /* bytes of one reply */
#define NGX_MTD_RESP_VALUES   16            /* elements of one reply */


typedef enum {
    NGX_MTD_VALUE_NIL = 0,
    NGX_MTD_VALUE_STRING,
    NGX_MTD_VALUE_STATUS,
    NGX_MTD_VALUE_INTEGER,
    NGX_MTD_VALUE_ERROR,
    NGX_MTD_VALUE_ARRAY                     /* nested, its texts are keys */
} ngx_mtd_value_e;


typedef struct {
    ngx_uint_t           type;
    ngx_str_t            text;              /* not terminated */
    int64_t              integer;
} ngx_mtd_value_t;


/* valid until the next call; an array's elements are its values */

typedef struct {
    ngx_uint_t           array;             /* unsigned  array:1; */
    ngx_uint_t           n;
    ngx_mtd_value_t      value[NGX_MTD_RESP_VALUES];
} ngx_mtd_reply_t;


typedef struct ngx_mtd_resp_s  ngx_mtd_resp_t;

/*
 * Gets the texts of nested arrays one by one, as they arrive, so that an
 * invalidation of any number of keys needs no memory.
 */

typedef void (*ngx_mtd_resp_key_pt)(void *data, u_char *key, size_t len);


/* with key == NULL a nested array is an error; freed by _destroy() */

ngx_mtd_resp_t *ngx_mtd_resp_create(ngx_mtd_resp_key_pt key, void *data,
    ngx_log_t *log);
void ngx_mtd_resp_destroy(ngx_mtd_resp_t *resp);

/*
 * Gets all that is in arrays, of any number and nested as deep as hiredis
 * takes: depth is 1 for what the reply's own array holds.  The reply then has
 * its array's n, but no values of it.  The text is valid during the call; an
 * array comes before what it holds.
 */

typedef void (*ngx_mtd_resp_element_pt)(void *data, ngx_uint_t depth,
    ngx_uint_t index, ngx_mtd_value_t *value);

void ngx_mtd_resp_elements(ngx_mtd_resp_t *resp,
    ngx_mtd_resp_element_pt element);

ngx_int_t ngx_mtd_resp_feed(ngx_mtd_resp_t *resp, u_char *p, size_t len);

/*
 * NGX_OK: *reply is the next reply; NGX_AGAIN: more bytes are needed;
 * NGX_ERROR: not RESP, the connection is of no more use; NGX_DECLINED: the
 * same because a reply is over a cap.  *why is set to a static text.
 */

ngx_int_t ngx_mtd_resp_next(ngx_mtd_resp_t *resp, ngx_mtd_reply_t **reply,
    const char **why);

/* 1: it is "+OK", and nothing else */

ngx_uint_t ngx_mtd_resp_ok(ngx_mtd_reply_t *reply);

/*
 * The text of an error, or NULL: what is none may tell anything, also what is
 * not to be logged.
 */

ngx_str_t *ngx_mtd_resp_error(ngx_mtd_reply_t *reply);

/* how grave an error is: a login that is refused needs the admin */

ngx_uint_t ngx_mtd_resp_level(ngx_str_t *error);

/* to be freed with ngx_mtd_resp_free(); NULL if there is no memory */

u_char *ngx_mtd_resp_command(ngx_str_t *argv, ngx_uint_t argc, size_t *len);
void ngx_mtd_resp_free(u_char *command);


/*
 * A command that is asked again and again with another key: encoded once,
 * in two parts around the key, which live as long as the pool.
 */

typedef struct {
    ngx_str_t            head;
    ngx_str_t            tail;              /* data NULL: there is no key */
} ngx_mtd_resp_template_t;


/* the key is an empty argument, there is one at most */

ngx_int_t ngx_mtd_resp_template(ngx_mtd_resp_template_t *template,
    ngx_str_t *argv, ngx_uint_t argc, ngx_pool_t *pool);

/* bytes that _fill() needs at most, and the end of what it has written */

size_t ngx_mtd_resp_size(const ngx_mtd_resp_template_t *template, size_t len);
u_char *ngx_mtd_resp_fill(u_char *p, const ngx_mtd_resp_template_t *template,
    const u_char *key, size_t len);


#endif /* _NGX_MTD_RESP_H_INCLUDED_ */
