
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include <time.h>

#include <jansson.h>

#include "mtdctl.h"


#define MTDCTL_BYPASS_MIN      60
#define MTDCTL_BYPASS_MAX      (24 * 3600)
#define MTDCTL_BYPASS_WHY      200
#define MTDCTL_BYPASS_TIME     sizeof("2026-11-24T08:30:00Z")



typedef struct {
    long long         until;
    long long         since;
    mtd_str_t         by;
    mtd_str_t         why;
} mtdctl_bypass_t;


static int mtdctl_bypass_why(mtdctl_t *ctl);
static int mtdctl_bypass_now(mtdctl_t *ctl, long long *now);
static int mtdctl_bypass_read(mtdctl_t *ctl, long long now,
    mtdctl_bypass_t *b);
static long long mtdctl_bypass_number(const mtdctl_pairs_t *pairs,
    const char *name);
static mtd_str_t mtdctl_bypass_text(const mtdctl_pairs_t *pairs,
    const char *name);
static int mtdctl_bypass_write(mtdctl_t *ctl, const mtdctl_bypass_t *b,
    long ttl, const char *what);
static mtd_str_t mtdctl_bypass_key(mtdctl_t *ctl);
static void mtdctl_bypass_field(mtdctl_t *ctl, const char *name,
    long long number);
static const char *mtdctl_bypass_time(long long t, char *buf);


int
mtdctl_bypass(mtdctl_t *ctl, int argc, char **argv)
{
    int               status;
    long              seconds;
    char              buf[MTDCTL_BYPASS_TIME];
    long long         now;
    mtdctl_bypass_t   b;

    if (mtdctl_duration(ctl, "bypass", argv[0], &seconds) != 0
        || seconds < MTDCTL_BYPASS_MIN || seconds > MTDCTL_BYPASS_MAX)
    {
        return mtdctl_fail(ctl, MTDCTL_BAD, "bypass: \"%.64s\" is no time from"
                           " 1m to 24h", argv[0]);
    }

    if (mtdctl_bypass_why(ctl) != 0) {
        return MTDCTL_BAD;
    }

    status = mtdctl_audit_check(ctl);

    if (status == 0) {
        status = mtdctl_bypass_now(ctl, &now);
    }

    if (status == 0) {
        b.since = now;
        b.until = now + seconds;
        b.by = mtdctl_text(ctl, ctl->who);
        b.why = mtdctl_text(ctl, ctl->why);

        status = mtdctl_bypass_write(ctl, &b, seconds, "bypass");
    }

    if (status == 0) {
        printf("bypass until %s\n", mtdctl_bypass_time(b.until, buf));
    }

    return status;
}


static int
mtdctl_bypass_why(mtdctl_t *ctl)
{
    json_t     *text;
    size_t      len;
    mtd_str_t   why;

    if (ctl->why == NULL) {
        return mtdctl_fail(ctl, MTDCTL_BAD, "bypass: --why TEXT is missing,"
                           " it is for the audit and the gates' logs");
    }

    len = strlen(ctl->why);
    why = mtdctl_text(ctl, ctl->why);

    /* jansson takes UTF-8 only; what would be shown as another is refused */

    text = json_string(ctl->why);
    json_decref(text);

    if (text == NULL || len == 0 || len > MTDCTL_BYPASS_WHY
        || strcmp(mtdctl_show(ctl, &why), ctl->why) != 0)
    {
        return mtdctl_fail(ctl, MTDCTL_BAD, "--why: it must be UTF-8 text"
                           " without control characters, of 1 to %d bytes",
                           MTDCTL_BYPASS_WHY);
    }

    return 0;
}


int
mtdctl_bypass_status(mtdctl_t *ctl, int argc, char **argv)
{
    int               status;
    char              until[MTDCTL_BYPASS_TIME], since[MTDCTL_BYPASS_TIME];
    json_t           *root;
    long long         now, left;
    mtdctl_bypass_t   b;

    status = mtdctl_bypass_now(ctl, &now);

    if (status == 0) {
        status = mtdctl_bypass_read(ctl, now, &b);
    }

    if (status != 0) {
        return status;
    }

    left = b.until - now;

    if (!ctl->json) {
        printf("bypass until %s (%lldm%02llds left)\nsince %s\nby %s\n"
               "why %s\n",
               mtdctl_bypass_time(b.until, until), left / 60, left % 60,
               mtdctl_bypass_time(b.since, since),
               mtdctl_show(ctl, &b.by), mtdctl_show(ctl, &b.why));
        return 0;
    }

    root = json_pack("{s:I,s:I,s:I,s:s,s:s}", "until", (json_int_t) b.until,
                     "since", (json_int_t) b.since,
                     "left", (json_int_t) left,
                     "by", mtdctl_show(ctl, &b.by),
                     "why", mtdctl_show(ctl, &b.why));

    if (root == NULL) {
        return mtdctl_fail(ctl, MTDCTL_STORE, "the bypass holds what is no"
                           " text");
    }

    json_dumpf(root, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(root);

    return 0;
}


/*
 * One that is over is written, whatever is there: for gates that cannot be
 * told now, and for those that were told of one by another Redis.
 */

int
mtdctl_bypass_end(mtdctl_t *ctl, int argc, char **argv)
{
    int               status;
    long long         now;
    mtdctl_bypass_t   b;

    status = mtdctl_audit_check(ctl);

    if (status == 0) {
        status = mtdctl_bypass_now(ctl, &now);
    }

    if (status != 0) {
        return status;
    }

    b.until = now;
    b.since = now;
    b.by = mtdctl_text(ctl, ctl->who);
    b.why = mtdctl_text(ctl, "ended");

    return mtdctl_bypass_write(ctl, &b, MTDCTL_BYPASS_MAX, "bypass end");
}


/* that of Redis: who calls may have another one than the gates */

static int
mtdctl_bypass_now(mtdctl_t *ctl, long long *now)
{
    int          status;
    redisReply  *reply;

    mtdctl_redis_begin(ctl, "TIME");
    mtdctl_redis_end(ctl);

    status = mtdctl_redis_hear(ctl, "TIME", NULL, &reply);
    if (status != 0) {
        return status;
    }

    if (reply->elements == 2) {
        *now = atoll(reply->element[0]->str);

    } else {
        status = mtdctl_redis_strange(ctl, "TIME");
    }

    freeReplyObject(reply);

    return status;
}


static int
mtdctl_bypass_read(mtdctl_t *ctl, long long now, mtdctl_bypass_t *b)
{
    int             status;
    mtd_str_t       key;
    mtdctl_pairs_t  pairs;

    key = mtdctl_bypass_key(ctl);

    mtdctl_redis_key(ctl, "HGETALL", &key);

    status = mtdctl_record_hear(ctl, &key, &pairs);
    if (status != 0) {
        return status;
    }

    b->until = mtdctl_bypass_number(&pairs, "until");
    b->since = mtdctl_bypass_number(&pairs, "since");
    b->by = mtdctl_bypass_text(&pairs, "by");
    b->why = mtdctl_bypass_text(&pairs, "why");

    if (b->until <= now) {
        return mtdctl_fail(ctl, MTDCTL_NOT_FOUND, "there is no bypass");
    }

    return 0;
}


static long long
mtdctl_bypass_number(const mtdctl_pairs_t *pairs, const char *name)
{
    mtd_str_t  text;

    text = mtdctl_bypass_text(pairs, name);

    return text.len ? atoll((char *) text.data) : 0;
}


static mtd_str_t
mtdctl_bypass_text(const mtdctl_pairs_t *pairs, const char *name)
{
    size_t     i;
    mtd_str_t  none = mtdctl_string("");

    for (i = 0; i < pairs->n; i++) {
        if (mtdctl_is(&pairs->pair[i].name, name)) {
            return pairs->pair[i].value;
        }
    }

    return none;
}


static int
mtdctl_bypass_write(mtdctl_t *ctl, const mtdctl_bypass_t *b, long ttl,
    const char *what)
{
    mtd_str_t  key;

    key = mtdctl_bypass_key(ctl);

    mtdctl_redis_begin(ctl, "MULTI");
    mtdctl_redis_end(ctl);

    /* whatever it was */

    mtdctl_redis_key(ctl, "DEL", &key);

    mtdctl_redis_begin(ctl, "HSET");
    mtdctl_redis_arg(ctl, &key);
    mtdctl_bypass_field(ctl, "until", b->until);
    mtdctl_bypass_field(ctl, "since", b->since);
    mtdctl_redis_text(ctl, "by");
    mtdctl_redis_arg(ctl, &b->by);
    mtdctl_redis_text(ctl, "why");
    mtdctl_redis_arg(ctl, &b->why);
    mtdctl_redis_end(ctl);

    mtdctl_redis_expire(ctl, &key, ttl);

    mtdctl_audit_bypass(ctl, what, b->until, &b->why);
    mtdctl_audit_expire(ctl);

    return mtdctl_redis_partly(ctl, mtdctl_redis_exec(ctl));
}


/* plain with pseudonyms, too: it names nobody */

static mtd_str_t
mtdctl_bypass_key(mtdctl_t *ctl)
{
    char  name[MTD_PREFIX_MAX + sizeof("bypass")];

    snprintf(name, sizeof(name), "%.*sbypass", (int) ctl->names.prefix.len,
             (char *) ctl->names.prefix.data);

    return mtdctl_text(ctl, name);
}


static void
mtdctl_bypass_field(mtdctl_t *ctl, const char *name, long long number)
{
    mtdctl_redis_text(ctl, name);
    mtdctl_redis_number(ctl, (long) number);
}


static const char *
mtdctl_bypass_time(long long t, char *buf)
{
    time_t      when;
    struct tm   tm;

    when = (time_t) t;

    if (gmtime_r(&when, &tm) == NULL
        || strftime(buf, MTDCTL_BYPASS_TIME, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
    {
        return "-";
    }

    return buf;
}
