
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include "ngx_mtd_redis_hello.h"


#define NGX_MTD_REDIS_HELLO_ID   15         /* hex digits of run_id, of 40 */


static void ngx_mtd_redis_hello_reply(void *data, ngx_int_t rc,
    ngx_mtd_reply_t *reply);
static void ngx_mtd_redis_info_reply(void *data, ngx_int_t rc,
    ngx_mtd_reply_t *reply);


void
ngx_mtd_redis_hello(ngx_mtd_redis_t *redis)
{
    u_char                 buf[NGX_INT_T_LEN];
    ngx_str_t              argv[3];
    ngx_uint_t             argc;
    ngx_mtd_redis_conf_t  *conf;

    conf = redis->conf;

    if (conf->password.len) {
        argc = 0;

        ngx_str_set(&argv[argc], "AUTH");
        argc++;

        if (conf->user.len) {
            argv[argc++] = conf->user;
        }

        argv[argc++] = conf->password;

        if (ngx_mtd_redis_command(redis, argv, argc,
                                  ngx_mtd_redis_hello_reply, redis)
            != NGX_OK)
        {
            goto failed;
        }
    }

    if (conf->database) {
        ngx_str_set(&argv[0], "SELECT");
        argv[1].data = buf;
        argv[1].len = ngx_sprintf(buf, "%i", conf->database) - buf;

        if (ngx_mtd_redis_command(redis, argv, 2,
                                  ngx_mtd_redis_hello_reply, redis)
            != NGX_OK)
        {
            goto failed;
        }
    }

    ngx_str_set(&argv[0], "INFO");
    ngx_str_set(&argv[1], "server");

    if (ngx_mtd_redis_command(redis, argv, 2, ngx_mtd_redis_info_reply,
                              redis)
        != NGX_OK)
    {
        goto failed;
    }

    redis->on_hello(redis->data);

    return;

failed:

    ngx_mtd_redis_fail(redis, "there is no memory", NULL);
}


static void
ngx_mtd_redis_hello_reply(void *data, ngx_int_t rc, ngx_mtd_reply_t *reply)
{
    ngx_mtd_redis_t  *redis = data;

    if (rc != NGX_OK || ngx_mtd_resp_ok(reply)) {
        return;
    }

    ngx_mtd_redis_fail(redis, "it refused", ngx_mtd_resp_error(reply));
}


/* a name, an address or a path may lead to another server each time */

static void
ngx_mtd_redis_info_reply(void *data, ngx_int_t rc, ngx_mtd_reply_t *reply)
{
    ngx_mtd_redis_t  *redis = data;

    u_char           *p, *last;
    ngx_int_t         id;
    ngx_mtd_value_t  *value;

    static u_char  field[] = "run_id:";

    if (rc != NGX_OK) {
        return;
    }

    value = &reply->value[0];

    if (reply->array || value->type != NGX_MTD_VALUE_STRING) {
        ngx_mtd_redis_fail(redis, "it refused INFO",
                           ngx_mtd_resp_error(reply));
        return;
    }

    last = value->text.data + value->text.len;
    p = ngx_strlcasestrn(value->text.data, last, field, sizeof(field) - 2);

    if (p) {
        p += sizeof(field) - 1;
    }

    id = (p && last - p >= NGX_MTD_REDIS_HELLO_ID)
         ? ngx_hextoi(p, NGX_MTD_REDIS_HELLO_ID) : NGX_ERROR;

    if (id == NGX_ERROR || id == 0) {
        ngx_mtd_redis_fail(redis, "it does not tell its run_id", NULL);
        return;
    }

    redis->server = id;
}
