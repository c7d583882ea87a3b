
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include "mtdctl.h"


static int mtdctl_sentinel_ask(mtdctl_t *ctl, const char *name,
    const char *sentinel, char *master);
static int mtdctl_sentinel_role(mtdctl_t *ctl);


/*
 * NAME=HOST:PORT[,HOST:PORT...].  One Sentinel after the other is asked for
 * the master, until one names a server that says it is: what a Sentinel
 * remembers may be the past.
 */

int
mtdctl_sentinel_connect(mtdctl_t *ctl)
{
    int          status;
    char         address[MTDCTL_ADDRESS], *name;
    size_t       len;
    mtd_str_t    text;
    const char  *p, *next;

    p = strchr(ctl->sentinel, '=');

    if (p == NULL || p == ctl->sentinel || p[1] == '\0') {
        return mtdctl_fail(ctl, MTDCTL_BAD, "--sentinel: \"%.200s\" is not"
                           " NAME=HOST:PORT[,HOST:PORT...]", ctl->sentinel);
    }

    text = mtdctl_copy(ctl, ctl->sentinel, p - ctl->sentinel);
    name = (char *) text.data;
    status = MTDCTL_STORE;

    for (p++; *p; p = next) {
        len = strcspn(p, ",");
        next = p + len + (p[len] == ',');

        if (len == 0 || len >= sizeof(address)) {
            return mtdctl_fail(ctl, MTDCTL_BAD, "--sentinel: \"%.200s\" is"
                               " not NAME=HOST:PORT[,HOST:PORT...]",
                               ctl->sentinel);
        }

        memcpy(address, p, len);
        address[len] = '\0';

        status = mtdctl_sentinel_ask(ctl, name, address, ctl->master);
        mtdctl_redis_drop(ctl);

        if (status == 0) {
            ctl->address = ctl->master;
            status = mtdctl_redis_open(ctl);
        }

        if (status == 0) {
            status = mtdctl_sentinel_role(ctl);
        }

        if (status == 0 || status == MTDCTL_BAD) {
            return status;
        }

        mtdctl_redis_drop(ctl);
    }

    return status;
}


static int
mtdctl_sentinel_ask(mtdctl_t *ctl, const char *name, const char *sentinel,
    char *master)
{
    int             status;
    mtd_str_t       password;
    redisReply     *reply;
    const char     *user;
    unsigned long   database;

    /* Sentinels know neither the users nor the databases of their Redis */

    user = ctl->user;
    password = ctl->password;
    database = ctl->database;

    ctl->user = NULL;
    ctl->password = ctl->sentinel_password;
    ctl->database = 0;
    ctl->address = sentinel;

    status = mtdctl_redis_open(ctl);

    ctl->user = user;
    ctl->password = password;
    ctl->database = database;

    if (status != 0) {
        return status;
    }

    mtdctl_redis_begin(ctl, "SENTINEL");
    mtdctl_redis_text(ctl, "GET-MASTER-ADDR-BY-NAME");
    mtdctl_redis_text(ctl, name);
    mtdctl_redis_end(ctl);

    status = mtdctl_redis_hear(ctl, "SENTINEL", NULL, &reply);
    if (status != 0) {
        return status;
    }

    if (reply->type == REDIS_REPLY_NIL) {
        status = mtdctl_fail(ctl, MTDCTL_STORE, "Sentinel at %s knows no"
                             " master \"%.100s\"", sentinel, name);

    } else if (reply->elements != 2
               || mtdctl_address(master, reply->element[0]->str,
                                 reply->element[0]->len,
                                 mtdctl_address_port(reply->element[1]->str))
                  != 0)
    {
        status = mtdctl_redis_strange(ctl, "SENTINEL");
    }

    freeReplyObject(reply);

    return status;
}


static int
mtdctl_sentinel_role(mtdctl_t *ctl)
{
    int          status;
    redisReply  *reply;

    mtdctl_redis_begin(ctl, "ROLE");
    mtdctl_redis_end(ctl);

    status = mtdctl_redis_hear(ctl, "ROLE", NULL, &reply);
    if (status != 0) {
        return status;
    }

    if (reply->elements == 0
        || reply->element[0]->type != REDIS_REPLY_STRING
        || strcmp(reply->element[0]->str, "master") != 0)
    {
        status = mtdctl_fail(ctl, MTDCTL_STORE, "Redis at %s is not the"
                             " master that a Sentinel takes it for",
                             ctl->address);
    }

    freeReplyObject(reply);

    return status;
}
