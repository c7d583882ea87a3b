
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include "mtdctl_cluster.h"


/*
 * Commands are kept until their reply is asked for; then each goes to the
 * master that has its key, and on to where that sends it.
 *
 * A transaction reaches one slot: that of the key that was watched first, or
 * else that of its first command.  What else stands between MULTI and EXEC
 * is done one by one, in its place before or after it.
 */


#define MTDCTL_REDIRECTS       16


typedef struct mtdctl_op_s  mtdctl_op_t;

struct mtdctl_op_s {
    mtdctl_op_t       *next;
    int                slot;            /* MTDCTL_NONE: it has no key */
    size_t             argc;
    mtd_str_t          argv[];
};


struct mtdctl_cluster_s {
    mtdctl_nodes_t     nodes;
    int                at;              /* where goes what has no key */
    mtdctl_op_t       *first;           /* not answered yet */
    mtdctl_op_t      **last;
    int                watched;         /* slot */
    int                watcher;         /* node */
    unsigned           multi:1;
};


static mtdctl_op_t *mtdctl_cluster_pop(mtdctl_t *ctl);
static int mtdctl_cluster_watch(mtdctl_t *ctl, const mtdctl_op_t *op,
    redisReply **reply);
static int mtdctl_cluster_unwatch(mtdctl_t *ctl, redisReply **reply);
static int mtdctl_cluster_run(mtdctl_t *ctl, const mtdctl_op_t *op,
    redisReply **reply);
static int mtdctl_cluster_follow(mtdctl_t *ctl, const mtdctl_op_t *op,
    redisReply **reply, int attempt);
static int mtdctl_cluster_lost(mtdctl_t *ctl, int slot, int node,
    int attempt);
static int mtdctl_cluster_ask(mtdctl_t *ctl, int node, const mtdctl_op_t *op,
    redisReply **reply);
static void mtdctl_cluster_send(mtdctl_t *ctl, const mtdctl_op_t *op);
static int mtdctl_cluster_word(mtdctl_t *ctl, const char *word,
    redisReply **reply);
static int mtdctl_cluster_sequence(mtdctl_t *ctl, const mtdctl_op_t *ops,
    int slot);
static int mtdctl_cluster_group(mtdctl_t *ctl, const mtdctl_op_t *ops,
    int slot);
static int mtdctl_cluster_group_send(mtdctl_t *ctl, const mtdctl_op_t *ops,
    int slot, redisReply **refused);
static int mtdctl_cluster_group_alone(mtdctl_t *ctl, const mtdctl_op_t *ops,
    int slot);
static int mtdctl_cluster_alone(mtdctl_t *ctl, const mtdctl_op_t *op);
static int mtdctl_cluster_is(const redisReply *reply, const char *error);
static redisReply *mtdctl_cluster_ok(void);


int
mtdctl_cluster_connect(mtdctl_t *ctl)
{
    int                status;
    mtdctl_cluster_t  *cl;

    cl = calloc(1, sizeof(mtdctl_cluster_t));
    if (cl == NULL) {
        mtdctl_fatal_memory();
    }

    cl->last = &cl->first;
    cl->watched = MTDCTL_NONE;

    ctl->cluster = cl;

    status = mtdctl_nodes_init(ctl, &cl->nodes);

    return status ? status : mtdctl_nodes_slots(ctl, &cl->nodes);
}


void
mtdctl_cluster_close(mtdctl_t *ctl)
{
    if (ctl->cluster) {
        mtdctl_nodes_close(ctl, &ctl->cluster->nodes);
        free(ctl->cluster);
        ctl->cluster = NULL;
    }
}


int
mtdctl_cluster_master(mtdctl_t *ctl, int after)
{
    int  master;

    master = mtdctl_nodes_master(&ctl->cluster->nodes, after);

    if (master != MTDCTL_NONE) {
        ctl->cluster->at = master;
    }

    return master;
}


void
mtdctl_cluster_end(mtdctl_t *ctl)
{
    size_t             i;
    mtdctl_op_t       *op;
    mtdctl_cluster_t  *cl;

    cl = ctl->cluster;

    if (strcmp(ctl->argv[0], "MULTI") == 0) {
        cl->multi = 1;
        return;
    }

    op = mtdctl_alloc(ctl, sizeof(mtdctl_op_t)
                           + ctl->argc * sizeof(mtd_str_t));
    op->argc = ctl->argc;

    for (i = 0; i < ctl->argc; i++) {
        op->argv[i] = mtdctl_copy(ctl, ctl->argv[i], ctl->argvlen[i]);
    }

    op->slot = (ctl->argc < 2 || mtdctl_is(&op->argv[0], "SCAN"))
               ? MTDCTL_NONE : mtdctl_nodes_slot(&op->argv[1]);

    *cl->last = op;
    cl->last = &op->next;
}


static mtdctl_op_t *
mtdctl_cluster_pop(mtdctl_t *ctl)
{
    mtdctl_op_t       *op;
    mtdctl_cluster_t  *cl;

    cl = ctl->cluster;
    op = cl->first;

    cl->first = op->next;

    if (cl->first == NULL) {
        cl->last = &cl->first;
    }

    return op;
}


int
mtdctl_cluster_reply(mtdctl_t *ctl, redisReply **reply)
{
    mtdctl_op_t  *op;

    *reply = NULL;
    op = mtdctl_cluster_pop(ctl);

    if (mtdctl_is(&op->argv[0], "WATCH")) {
        return mtdctl_cluster_watch(ctl, op, reply);
    }

    if (mtdctl_is(&op->argv[0], "UNWATCH")) {
        return mtdctl_cluster_unwatch(ctl, reply);
    }

    return mtdctl_cluster_run(ctl, op, reply);
}


/* the first key; one of another slot cannot be watched together with it */

static int
mtdctl_cluster_watch(mtdctl_t *ctl, const mtdctl_op_t *op,
    redisReply **reply)
{
    int                i, node, status;
    mtdctl_op_t       *one;
    mtdctl_cluster_t  *cl;

    cl = ctl->cluster;

    if (cl->watched != MTDCTL_NONE && cl->watched != op->slot) {
        *reply = mtdctl_cluster_ok();
        return 0;
    }

    one = mtdctl_alloc(ctl, sizeof(mtdctl_op_t) + 2 * sizeof(mtd_str_t));
    one->slot = op->slot;
    one->argc = 2;
    one->argv[0] = op->argv[0];
    one->argv[1] = op->argv[1];

    for (i = 0; /* void */ ; i++) {
        node = cl->nodes.slot[op->slot];
        status = mtdctl_cluster_ask(ctl, node, one, reply);

        if (status != 0) {
            status = mtdctl_cluster_lost(ctl, op->slot, node, i);

        } else if (mtdctl_cluster_is(*reply, "ASK")) {

            /* nothing can be watched, and EXEC will be told the same */

            freeReplyObject(*reply);
            *reply = mtdctl_cluster_ok();
            break;

        } else {
            status = mtdctl_cluster_follow(ctl, one, reply, i);
        }

        if (status != MTDCTL_AGAIN) {
            break;
        }
    }

    if (status == 0 && (*reply)->type != REDIS_REPLY_ERROR) {
        cl->watched = op->slot;
        cl->watcher = node;
    }

    return status;
}


static int
mtdctl_cluster_unwatch(mtdctl_t *ctl, redisReply **reply)
{
    mtdctl_cluster_t  *cl;

    cl = ctl->cluster;

    if (cl->watched == MTDCTL_NONE) {
        *reply = mtdctl_cluster_ok();
        return 0;
    }

    cl->watched = MTDCTL_NONE;

    if (mtdctl_nodes_reach(ctl, &cl->nodes, cl->watcher) != 0) {
        return MTDCTL_STORE;
    }

    return mtdctl_cluster_word(ctl, "UNWATCH", reply);
}


static int
mtdctl_cluster_run(mtdctl_t *ctl, const mtdctl_op_t *op, redisReply **reply)
{
    int                i, node, status;
    mtdctl_cluster_t  *cl;

    cl = ctl->cluster;

    for (i = 0; /* void */ ; i++) {
        node = (op->slot == MTDCTL_NONE) ? cl->at : cl->nodes.slot[op->slot];

        status = mtdctl_cluster_ask(ctl, node, op, reply);

        if (status != 0) {
            status = mtdctl_cluster_lost(ctl, op->slot, node, i);

        } else {
            status = mtdctl_cluster_follow(ctl, op, reply, i);
        }

        if (status != MTDCTL_AGAIN) {
            return status;
        }
    }
}


/* MTDCTL_AGAIN: the reply was none, it is to be asked for once more */

static int
mtdctl_cluster_follow(mtdctl_t *ctl, const mtdctl_op_t *op,
    redisReply **reply, int attempt)
{
    int                node, status;
    mtdctl_cluster_t  *cl;

    cl = ctl->cluster;

    if ((*reply)->type != REDIS_REPLY_ERROR || attempt == MTDCTL_REDIRECTS) {
        return 0;
    }

    if (mtdctl_cluster_is(*reply, "MOVED")) {
        node = mtdctl_nodes_redirect(ctl, &cl->nodes, (*reply)->str);

        if (node != MTDCTL_NONE && op->slot != MTDCTL_NONE) {
            cl->nodes.slot[op->slot] = node;
        }

    } else if (mtdctl_cluster_is(*reply, "ASK")) {
        node = mtdctl_nodes_redirect(ctl, &cl->nodes, (*reply)->str);
        freeReplyObject(*reply);

        status = mtdctl_nodes_reach(ctl, &cl->nodes, node);

        if (status == 0) {
            status = mtdctl_cluster_word(ctl, "ASKING", reply);
        }

        if (status != 0) {
            return status;
        }

        freeReplyObject(*reply);
        status = mtdctl_cluster_ask(ctl, node, op, reply);

        if (status != 0 || !mtdctl_cluster_is(*reply, "TRYAGAIN")) {
            return status;
        }

    } else if (!mtdctl_cluster_is(*reply, "TRYAGAIN")
               && !mtdctl_cluster_is(*reply, "CLUSTERDOWN"))
    {
        return 0;
    }

    freeReplyObject(*reply);
    *reply = NULL;

    mtdctl_redis_pause(attempt);

    return MTDCTL_AGAIN;
}


/* a replica may have taken the place of a master that does not answer */

static int
mtdctl_cluster_lost(mtdctl_t *ctl, int slot, int node, int attempt)
{
    char               error[sizeof(ctl->error)];
    mtdctl_cluster_t  *cl;

    cl = ctl->cluster;
    memcpy(error, ctl->error, sizeof(error));

    if (slot != MTDCTL_NONE && attempt < MTDCTL_REDIRECTS
        && mtdctl_nodes_slots(ctl, &cl->nodes) == 0
        && cl->nodes.slot[slot] != node)
    {
        return MTDCTL_AGAIN;
    }

    memcpy(ctl->error, error, sizeof(error));

    return MTDCTL_STORE;
}


static int
mtdctl_cluster_ask(mtdctl_t *ctl, int node, const mtdctl_op_t *op,
    redisReply **reply)
{
    int  status;

    status = mtdctl_nodes_reach(ctl, &ctl->cluster->nodes, node);

    if (status == 0) {
        mtdctl_cluster_send(ctl, op);
        status = mtdctl_redis_read(ctl, reply);
    }

    if (status != 0 && node != MTDCTL_NONE) {
        mtdctl_nodes_drop(ctl, &ctl->cluster->nodes, node);
    }

    return status;
}


static void
mtdctl_cluster_send(mtdctl_t *ctl, const mtdctl_op_t *op)
{
    size_t  i;

    ctl->argc = 0;

    for (i = 0; i < op->argc; i++) {
        mtdctl_redis_arg(ctl, &op->argv[i]);
    }

    mtdctl_redis_send(ctl);
}


/* at the current node; no later word may get a reply that comes too late */

static int
mtdctl_cluster_word(mtdctl_t *ctl, const char *word, redisReply **reply)
{
    int  status;

    mtdctl_redis_begin(ctl, word);
    mtdctl_redis_send(ctl);

    status = mtdctl_redis_read(ctl, reply);

    if (status != 0) {
        mtdctl_nodes_drop(ctl, &ctl->cluster->nodes,
                          ctl->cluster->nodes.current);
    }

    return status;
}


int
mtdctl_cluster_exec(mtdctl_t *ctl)
{
    int                slot, status;
    redisReply        *reply;
    mtdctl_op_t       *ops;
    mtdctl_cluster_t  *cl;

    cl = ctl->cluster;
    ops = cl->first;
    slot = (cl->watched != MTDCTL_NONE) ? cl->watched : ops->slot;

    cl->first = NULL;
    cl->last = &cl->first;
    cl->multi = 0;
    ctl->partly = 0;

    status = mtdctl_cluster_sequence(ctl, ops, slot);

    if (cl->watched != MTDCTL_NONE
        && mtdctl_cluster_unwatch(ctl, &reply) == 0)
    {
        freeReplyObject(reply);
    }

    return status;
}


static int
mtdctl_cluster_sequence(mtdctl_t *ctl, const mtdctl_op_t *ops, int slot)
{
    int                 status, done;
    const mtdctl_op_t  *op;

    done = 0;

    for (op = ops; op; op = op->next) {

        if (op->slot == slot) {

            if (done) {
                continue;
            }

            done = 1;
            status = mtdctl_cluster_group(ctl, ops, slot);

        } else {
            status = mtdctl_cluster_alone(ctl, op);
        }

        if (status != 0) {
            return status;
        }

        ctl->partly = 1;
    }

    ctl->partly = 0;

    return 0;
}


static int
mtdctl_cluster_group(mtdctl_t *ctl, const mtdctl_op_t *ops, int slot)
{
    int                node, status;
    redisReply        *refused;
    mtdctl_cluster_t  *cl;

    cl = ctl->cluster;

    if (cl->watched != MTDCTL_NONE && cl->watcher != cl->nodes.slot[slot]) {
        return MTDCTL_AGAIN;
    }

    status = mtdctl_nodes_reach(ctl, &cl->nodes, cl->nodes.slot[slot]);

    if (status != 0) {
        return status;
    }

    refused = NULL;
    status = mtdctl_cluster_group_send(ctl, ops, slot, &refused);

    cl->watched = MTDCTL_NONE;

    if (refused == NULL) {
        return status;
    }

    if (mtdctl_cluster_is(refused, "MOVED")) {
        node = mtdctl_nodes_redirect(ctl, &cl->nodes, refused->str);

        if (node != MTDCTL_NONE) {
            cl->nodes.slot[slot] = node;
        }

        status = MTDCTL_AGAIN;

    } else if (mtdctl_cluster_is(refused, "ASK")) {

        /* its slot is about to move: there is no transaction for that */

        status = mtdctl_cluster_group_alone(ctl, ops, slot);

    } else {
        status = mtdctl_redis_check(ctl, refused, "EXEC", NULL);
    }

    freeReplyObject(refused);

    return status;
}


/* refused is the first error among the replies, if there is one */

static int
mtdctl_cluster_group_send(mtdctl_t *ctl, const mtdctl_op_t *ops, int slot,
    redisReply **refused)
{
    int                 status;
    size_t              i, n;
    redisReply         *reply;
    const mtdctl_op_t  *op;

    mtdctl_redis_begin(ctl, "MULTI");
    mtdctl_redis_send(ctl);
    n = 0;

    for (op = ops; op; op = op->next) {
        if (op->slot == slot) {
            mtdctl_cluster_send(ctl, op);
            n++;
        }
    }

    mtdctl_redis_begin(ctl, "EXEC");
    mtdctl_redis_send(ctl);

    status = 0;

    for (i = 0; i < n + 2; i++) {
        if (mtdctl_redis_read(ctl, &reply) != 0) {
            mtdctl_nodes_drop(ctl, &ctl->cluster->nodes,
                              ctl->cluster->nodes.slot[slot]);
            return MTDCTL_STORE;
        }

        if (reply->type == REDIS_REPLY_ERROR && *refused == NULL) {
            *refused = reply;
            continue;
        }

        if (status == 0 && reply->type != REDIS_REPLY_ERROR) {
            status = (i == n + 1) ? mtdctl_redis_executed(ctl, reply, n)
                                  : mtdctl_redis_check(ctl, reply, "MULTI",
                                                       NULL);
        }

        freeReplyObject(reply);
    }

    return status;
}


static int
mtdctl_cluster_group_alone(mtdctl_t *ctl, const mtdctl_op_t *ops, int slot)
{
    int                 status;
    const mtdctl_op_t  *op;

    for (op = ops; op; op = op->next) {

        if (op->slot != slot) {
            continue;
        }

        status = mtdctl_cluster_alone(ctl, op);

        if (status != 0) {
            return status;
        }

        ctl->partly = 1;
    }

    return 0;
}


static int
mtdctl_cluster_alone(mtdctl_t *ctl, const mtdctl_op_t *op)
{
    int          status;
    redisReply  *reply;

    status = mtdctl_cluster_run(ctl, op, &reply);

    if (status == 0) {
        status = mtdctl_redis_check(ctl, reply, (char *) op->argv[0].data,
                                    NULL);
        freeReplyObject(reply);
    }

    return status;
}


static int
mtdctl_cluster_is(const redisReply *reply, const char *error)
{
    size_t  len;

    len = strlen(error);

    return reply->type == REDIS_REPLY_ERROR
           && strncmp(reply->str, error, len) == 0
           && (reply->str[len] == ' ' || reply->str[len] == '\0');
}


/* in the place of a reply that is due */

static redisReply *
mtdctl_cluster_ok(void)
{
    void         *reply;
    redisReader  *reader;

    reply = NULL;
    reader = redisReaderCreate();

    if (reader == NULL || redisReaderFeed(reader, "+OK\r\n", 5) != REDIS_OK
        || redisReaderGetReply(reader, &reply) != REDIS_OK || reply == NULL)
    {
        mtdctl_fatal_memory();
    }

    redisReaderFree(reader);

    return reply;
}
