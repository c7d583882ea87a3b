
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include <errno.h>
#include <time.h>

#include "mtdctl.h"


#define MTDCTL_REDIS_PORT   6379


#define mtdctl_redis_type(type)   (1u << (type))

#define MTDCTL_REDIS_STATUS    mtdctl_redis_type(REDIS_REPLY_STATUS)
#define MTDCTL_REDIS_NUMBER    mtdctl_redis_type(REDIS_REPLY_INTEGER)
#define MTDCTL_REDIS_STRING    mtdctl_redis_type(REDIS_REPLY_STRING)
#define MTDCTL_REDIS_NIL       mtdctl_redis_type(REDIS_REPLY_NIL)
#define MTDCTL_REDIS_ERROR     mtdctl_redis_type(REDIS_REPLY_ERROR)
#define MTDCTL_REDIS_ARRAY     mtdctl_redis_type(REDIS_REPLY_ARRAY)


typedef struct {
    const char       *command;
    unsigned          types;
    unsigned          elements;     /* of an array */
} mtdctl_redis_answer_t;


static int mtdctl_redis_host(mtdctl_t *ctl, char *host, size_t size,
    int *port);
static int mtdctl_redis_login(mtdctl_t *ctl);
static int mtdctl_redis_login_send(mtdctl_t *ctl);
static int mtdctl_redis_broken(mtdctl_t *ctl);
static int mtdctl_redis_among(const redisReply *reply, unsigned types);
static int mtdctl_redis_refused(mtdctl_t *ctl, const redisReply *error,
    const mtd_str_t *key);


/* besides an error, which any of them may get */

static const mtdctl_redis_answer_t  mtdctl_redis_answers[] = {
    { "ASKING", MTDCTL_REDIS_STATUS, 0 },
    { "AUTH", MTDCTL_REDIS_STATUS, 0 },
    { "CLUSTER", MTDCTL_REDIS_ARRAY, MTDCTL_REDIS_ARRAY },
    { "DBSIZE", MTDCTL_REDIS_NUMBER, 0 },
    { "DEL", MTDCTL_REDIS_NUMBER, 0 },
    { "EXEC", MTDCTL_REDIS_ARRAY, MTDCTL_REDIS_STATUS|MTDCTL_REDIS_NUMBER
                                  |MTDCTL_REDIS_STRING|MTDCTL_REDIS_NIL
                                  |MTDCTL_REDIS_ERROR },
    { "EXPIRE", MTDCTL_REDIS_NUMBER, 0 },
    { "GET", MTDCTL_REDIS_STRING|MTDCTL_REDIS_NIL, 0 },
    { "HDEL", MTDCTL_REDIS_NUMBER, 0 },
    { "HGETALL", MTDCTL_REDIS_ARRAY, MTDCTL_REDIS_STRING },
    { "HSET", MTDCTL_REDIS_NUMBER, 0 },
    { "MULTI", MTDCTL_REDIS_STATUS, 0 },
    { "ROLE", MTDCTL_REDIS_ARRAY, MTDCTL_REDIS_STRING|MTDCTL_REDIS_NUMBER
                                  |MTDCTL_REDIS_ARRAY },
    { "SADD", MTDCTL_REDIS_NUMBER, 0 },
    { "SCAN", MTDCTL_REDIS_ARRAY, MTDCTL_REDIS_STRING|MTDCTL_REDIS_ARRAY },
    { "SELECT", MTDCTL_REDIS_STATUS, 0 },
    { "SENTINEL", MTDCTL_REDIS_ARRAY|MTDCTL_REDIS_NIL, MTDCTL_REDIS_STRING },
    { "SET", MTDCTL_REDIS_STATUS|MTDCTL_REDIS_NIL, 0 },
    { "SREM", MTDCTL_REDIS_NUMBER, 0 },
    { "TIME", MTDCTL_REDIS_ARRAY, MTDCTL_REDIS_STRING },
    { "TTL", MTDCTL_REDIS_NUMBER, 0 },
    { "TYPE", MTDCTL_REDIS_STATUS, 0 },
    { "UNWATCH", MTDCTL_REDIS_STATUS, 0 },
    { "WATCH", MTDCTL_REDIS_STATUS, 0 },
    { "XADD", MTDCTL_REDIS_STRING, 0 },
    { NULL, 0, 0 }
};


int
mtdctl_redis_connect(mtdctl_t *ctl)
{
    int  status;

    if (ctl->sentinel) {
        return mtdctl_sentinel_connect(ctl);
    }

    status = mtdctl_redis_open(ctl);

    if (status == 0 && ctl->clustered) {
        status = mtdctl_cluster_connect(ctl);
    }

    return status;
}


int
mtdctl_redis_open(mtdctl_t *ctl)
{
    int             port, status;
    char            host[256];
    struct timeval  timeout;

    timeout.tv_sec = ctl->timeout;
    timeout.tv_usec = 0;
    host[0] = '\0';

    if (strncmp(ctl->address, "unix:", 5) == 0) {
        ctl->redis = redisConnectUnixWithTimeout(ctl->address + 5, timeout);

    } else {
        if (mtdctl_redis_host(ctl, host, sizeof(host), &port) != 0) {
            return MTDCTL_BAD;
        }

        ctl->redis = redisConnectWithTimeout(host, port, timeout);
    }

    if (ctl->redis == NULL) {
        mtdctl_fatal_memory();
    }

    if (ctl->redis->err) {
        return mtdctl_redis_broken(ctl);
    }

    if (redisSetTimeout(ctl->redis, timeout) != REDIS_OK) {
        return mtdctl_redis_broken(ctl);
    }

    if (ctl->secure) {
        status = mtdctl_tls_connect(ctl, host[0] ? host : NULL);

        if (status != 0) {
            return status;
        }
    }

    return mtdctl_redis_login(ctl);
}


/* host, host:port, [address]:port */

static int
mtdctl_redis_host(mtdctl_t *ctl, char *host, size_t size, int *port)
{
    char        *end;
    long         n;
    size_t       len;
    const char  *p, *colon;

    p = ctl->address;
    len = strlen(p);
    colon = strrchr(p, ':');
    *port = MTDCTL_REDIS_PORT;

    if (*p == '[') {
        colon = strchr(p, ']');
        len = colon ? (size_t) (colon - p) - 1 : 0;
        p++;
        colon = colon ? colon + 1 : NULL;

    } else if (colon) {
        len = colon - p;
    }

    if (colon && *colon) {
        errno = 0;
        n = strtol(colon + 1, &end, 10);

        if (*colon != ':' || end == colon + 1 || *end != '\0' || errno
            || n < 1 || n > 65535)
        {
            len = 0;
        }

        *port = (int) n;
    }

    if (len == 0 || len >= size || memchr(p, '/', len) != NULL) {
        return mtdctl_fail(ctl, MTDCTL_BAD, "--redis: \"%.200s\" is neither"
                           " unix:PATH nor HOST:PORT", ctl->address);
    }

    memcpy(host, p, len);
    host[len] = '\0';

    return 0;
}


/* by itself: of a cluster it may be any node, with other commands waiting */

static int
mtdctl_redis_login(mtdctl_t *ctl)
{
    int  status;

    if (ctl->password.len) {
        mtdctl_redis_begin(ctl, "AUTH");

        if (ctl->user) {
            mtdctl_redis_text(ctl, ctl->user);
        }

        mtdctl_redis_arg(ctl, &ctl->password);

        status = mtdctl_redis_login_send(ctl);
        if (status != 0) {
            return status;
        }
    }

    if (ctl->database) {
        mtdctl_redis_begin(ctl, "SELECT");
        mtdctl_redis_number(ctl, (long) ctl->database);

        return mtdctl_redis_login_send(ctl);
    }

    return 0;
}


static int
mtdctl_redis_login_send(mtdctl_t *ctl)
{
    int          status;
    redisReply  *reply;

    mtdctl_redis_send(ctl);

    status = mtdctl_redis_read(ctl, &reply);

    if (status == 0) {
        status = mtdctl_redis_check(ctl, reply, ctl->argv[0], NULL);
        freeReplyObject(reply);
    }

    return status;
}


void
mtdctl_redis_close(mtdctl_t *ctl)
{
    mtdctl_cluster_close(ctl);
    mtdctl_redis_drop(ctl);

    free(ctl->argv);
    free(ctl->argvlen);
}


void
mtdctl_redis_drop(mtdctl_t *ctl)
{
    mtdctl_tls_close(ctl);

    if (ctl->redis) {
        redisFree(ctl->redis);
        ctl->redis = NULL;
    }

    /* what it has not answered nobody will */

    ctl->pending = 0;
}


int
mtdctl_redis_master(mtdctl_t *ctl, int after)
{
    if (ctl->cluster) {
        return mtdctl_cluster_master(ctl, after);
    }

    return (after < 0) ? 0 : -1;
}


static int
mtdctl_redis_broken(mtdctl_t *ctl)
{
    if (ctl->redis->err == REDIS_ERR_IO
        && (errno == EAGAIN || errno == EWOULDBLOCK))
    {
        return mtdctl_fail(ctl, MTDCTL_STORE, "Redis at %s: no answer in %ld"
                           " seconds", ctl->address, ctl->timeout);
    }

    return mtdctl_fail(ctl, MTDCTL_STORE, "Redis at %s: %s", ctl->address,
                       ctl->redis->errstr);
}


void
mtdctl_redis_begin(mtdctl_t *ctl, const char *command)
{
    ctl->argc = 0;
    mtdctl_redis_text(ctl, command);
}


void
mtdctl_redis_text(mtdctl_t *ctl, const char *text)
{
    mtd_str_t  arg;

    arg.data = (u_char *) text;
    arg.len = strlen(text);

    mtdctl_redis_arg(ctl, &arg);
}


/* the argument is not copied before mtdctl_redis_end() */

void
mtdctl_redis_arg(mtdctl_t *ctl, const mtd_str_t *arg)
{
    size_t  size;

    if (ctl->argc == ctl->argsize) {
        size = ctl->argsize ? 2 * ctl->argsize : 32;

        ctl->argv = realloc(ctl->argv, size * sizeof(char *));
        ctl->argvlen = realloc(ctl->argvlen, size * sizeof(size_t));

        if (ctl->argv == NULL || ctl->argvlen == NULL) {
            mtdctl_fatal_memory();
        }

        ctl->argsize = size;
    }

    ctl->argv[ctl->argc] = arg->data ? (char *) arg->data : "";
    ctl->argvlen[ctl->argc] = arg->len;
    ctl->argc++;
}


void
mtdctl_redis_number(mtdctl_t *ctl, long number)
{
    char       buf[32];
    mtd_str_t  text;

    snprintf(buf, sizeof(buf), "%ld", number);
    text = mtdctl_text(ctl, buf);

    mtdctl_redis_arg(ctl, &text);
}


void
mtdctl_redis_end(mtdctl_t *ctl)
{
    if (ctl->cluster) {
        mtdctl_cluster_end(ctl);
        return;
    }

    mtdctl_redis_send(ctl);
    ctl->pending++;
}


/* that a connection is gone shows when its answer is read */

void
mtdctl_redis_send(mtdctl_t *ctl)
{
    int    len;
    char  *command;

    if (ctl->tls) {
        len = redisFormatCommandArgv(&command, (int) ctl->argc, ctl->argv,
                                     ctl->argvlen);
        if (len < 0) {
            mtdctl_fatal_memory();
        }

        (void) mtdctl_tls_send(ctl, command, len);
        redisFreeCommand(command);

    } else if (redisAppendCommandArgv(ctl->redis, (int) ctl->argc, ctl->argv,
                                      ctl->argvlen)
               != REDIS_OK)
    {
        mtdctl_fatal_memory();
    }
}


void
mtdctl_redis_key(mtdctl_t *ctl, const char *command, const mtd_str_t *key)
{
    mtdctl_redis_begin(ctl, command);
    mtdctl_redis_arg(ctl, key);
    mtdctl_redis_end(ctl);
}


void
mtdctl_redis_expire(mtdctl_t *ctl, const mtd_str_t *key, long seconds)
{
    mtdctl_redis_begin(ctl, "EXPIRE");
    mtdctl_redis_arg(ctl, key);
    mtdctl_redis_number(ctl, seconds);
    mtdctl_redis_end(ctl);
}


int
mtdctl_redis_reply(mtdctl_t *ctl, redisReply **reply)
{
    int  status;

    if (ctl->cluster) {
        return mtdctl_cluster_reply(ctl, reply);
    }

    status = mtdctl_redis_read(ctl, reply);

    if (status == 0) {
        ctl->pending--;
    }

    return status;
}


int
mtdctl_redis_read(mtdctl_t *ctl, redisReply **reply)
{
    int    status;
    void  *p;

    p = NULL;
    *reply = NULL;

    if (ctl->tls) {
        status = mtdctl_tls_reply(ctl, &p);

        if (status != 0) {
            return status;
        }

    } else if (redisGetReply(ctl->redis, &p) != REDIS_OK || p == NULL) {
        return mtdctl_redis_broken(ctl);
    }

    *reply = p;

    return 0;
}


int
mtdctl_redis_hear(mtdctl_t *ctl, const char *command, const mtd_str_t *key,
    redisReply **reply)
{
    int  status;

    status = mtdctl_redis_reply(ctl, reply);

    if (status == 0) {
        status = mtdctl_redis_check(ctl, *reply, command, key);

        if (status != 0) {
            freeReplyObject(*reply);
            *reply = NULL;
        }
    }

    return status;
}


int
mtdctl_redis_hear_ok(mtdctl_t *ctl, const char *command)
{
    int          status;
    redisReply  *reply;

    status = mtdctl_redis_hear(ctl, command, NULL, &reply);

    if (status == 0) {
        freeReplyObject(reply);
    }

    return status;
}


int
mtdctl_redis_hear_number(mtdctl_t *ctl, const char *command,
    long long *number)
{
    int          status;
    redisReply  *reply;

    status = mtdctl_redis_hear(ctl, command, NULL, &reply);

    if (status == 0) {
        *number = reply->integer;
        freeReplyObject(reply);
    }

    return status;
}


int
mtdctl_redis_hear_text(mtdctl_t *ctl, const char *command,
    const mtd_str_t *key, mtd_str_t *value)
{
    int          status;
    redisReply  *reply;

    value->len = 0;
    value->data = NULL;

    status = mtdctl_redis_hear(ctl, command, key, &reply);

    if (status != 0) {
        return status;
    }

    if (reply->type != REDIS_REPLY_NIL) {
        *value = mtdctl_copy(ctl, reply->str, reply->len);
    }

    freeReplyObject(reply);

    return 0;
}


int
mtdctl_redis_check(mtdctl_t *ctl, const redisReply *reply,
    const char *command, const mtd_str_t *key)
{
    size_t                        i;
    const mtdctl_redis_answer_t  *answer;

    if (reply->type == REDIS_REPLY_ERROR) {
        return mtdctl_redis_refused(ctl, reply, key);
    }

    for (answer = mtdctl_redis_answers; answer->command; answer++) {
        if (strcmp(answer->command, command) == 0) {
            break;
        }
    }

    if (!mtdctl_redis_among(reply, answer->types)) {
        return mtdctl_redis_strange(ctl, command);
    }

    if (reply->type == REDIS_REPLY_ARRAY) {
        for (i = 0; i < reply->elements; i++) {
            if (!mtdctl_redis_among(reply->element[i], answer->elements)) {
                return mtdctl_redis_strange(ctl, command);
            }
        }
    }

    return 0;
}


static int
mtdctl_redis_among(const redisReply *reply, unsigned types)
{
    return (mtdctl_redis_type(reply->type) & types) != 0;
}


int
mtdctl_redis_strange(mtdctl_t *ctl, const char *command)
{
    return mtdctl_fail(ctl, MTDCTL_STORE, "Redis at %s: strange answer to %s",
                       ctl->address, command);
}


static int
mtdctl_redis_refused(mtdctl_t *ctl, const redisReply *error,
    const mtd_str_t *key)
{
    if (key && strncmp(error->str, "WRONGTYPE", 9) == 0) {
        return mtdctl_fail(ctl, MTDCTL_BAD, "key \"%.300s\" in Redis holds"
                           " another type of value", mtdctl_show(ctl, key));
    }

    return mtdctl_fail(ctl, MTDCTL_STORE, "Redis at %s refused: %.300s%s",
                       ctl->address, error->str,
                       (!ctl->clustered
                        && strncmp(error->str, "MOVED ", 6) == 0)
                       ? "; it is a cluster, see --cluster" : "");
}


int
mtdctl_redis_exec(mtdctl_t *ctl)
{
    int          status, failed;
    size_t       n;
    redisReply  *reply;

    if (ctl->cluster) {
        return mtdctl_cluster_exec(ctl);
    }

    mtdctl_redis_begin(ctl, "EXEC");
    mtdctl_redis_end(ctl);

    failed = 0;
    n = ctl->pending - 2;

    while (ctl->pending > 1) {
        status = mtdctl_redis_reply(ctl, &reply);
        if (status != 0) {
            return status;
        }

        /* the first refusal says why, EXECABORT follows from it */

        if (failed == 0) {
            failed = mtdctl_redis_check(ctl, reply, "MULTI", NULL);
        }

        freeReplyObject(reply);
    }

    status = mtdctl_redis_reply(ctl, &reply);
    if (status != 0) {
        return status;
    }

    if (failed == 0) {
        failed = mtdctl_redis_executed(ctl, reply, n);
    }

    freeReplyObject(reply);

    return failed;
}


int
mtdctl_redis_executed(mtdctl_t *ctl, const redisReply *reply, size_t n)
{
    int     status;
    size_t  i;

    if (reply->type == REDIS_REPLY_NIL) {
        return MTDCTL_AGAIN;
    }

    status = mtdctl_redis_check(ctl, reply, "EXEC", NULL);

    if (status == 0 && reply->elements != n) {
        status = mtdctl_redis_strange(ctl, "EXEC");
    }

    for (i = 0; status == 0 && i < n; i++) {
        if (reply->element[i]->type == REDIS_REPLY_ERROR) {
            status = mtdctl_redis_refused(ctl, reply->element[i], NULL);
        }
    }

    return status;
}


int
mtdctl_redis_partly(mtdctl_t *ctl, int status)
{
    size_t  len;

    if (status > 0 && ctl->partly) {
        len = strlen(ctl->error);
        snprintf(ctl->error + len, sizeof(ctl->error) - len,
                 "; only a part is done, do it again");
    }

    return status;
}


int
mtdctl_redis_watch(mtdctl_t *ctl, const mtd_str_t *key)
{
    mtdctl_redis_key(ctl, "WATCH", key);

    return mtdctl_redis_hear_ok(ctl, "WATCH");
}


int
mtdctl_redis_unwatch(mtdctl_t *ctl)
{
    mtdctl_redis_begin(ctl, "UNWATCH");
    mtdctl_redis_end(ctl);

    return mtdctl_redis_hear_ok(ctl, "UNWATCH");
}


/* whether what others came between is tried once more */

int
mtdctl_redis_try(int attempt)
{
    if (attempt >= MTDCTL_TRIES) {
        return 0;
    }

    if (attempt) {
        mtdctl_redis_pause(attempt);
    }

    return 1;
}


/* two writers of one record must not keep in step */

void
mtdctl_redis_pause(int attempt)
{
    struct timespec  t;

    clock_gettime(CLOCK_MONOTONIC, &t);

    t.tv_nsec = (t.tv_nsec / 1000 % 1000) * 1000 * (attempt + 1);
    t.tv_sec = 0;

    nanosleep(&t, NULL);
}
