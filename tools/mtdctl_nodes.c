
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include "mtdctl_cluster.h"


static void mtdctl_nodes_use(mtdctl_t *ctl, mtdctl_nodes_t *nodes, int node);
static int mtdctl_nodes_add(mtdctl_nodes_t *nodes, const char *address);
static int mtdctl_nodes_ask_slots(mtdctl_t *ctl, mtdctl_nodes_t *nodes);
static int mtdctl_nodes_range(mtdctl_nodes_t *nodes, const redisReply *range,
    int asked);
static const redisReply *mtdctl_nodes_host(const redisReply *master);
static int mtdctl_nodes_beside(mtdctl_t *ctl, mtdctl_nodes_t *nodes,
    const char *port, size_t known);
static uint16_t mtdctl_nodes_crc16(const u_char *p, size_t len);


int
mtdctl_nodes_init(mtdctl_t *ctl, mtdctl_nodes_t *nodes)
{
    int  i;

    for (i = 0; i < MTDCTL_SLOTS; i++) {
        nodes->slot[i] = MTDCTL_NONE;
    }

    if (mtdctl_nodes_add(nodes, ctl->address) == MTDCTL_NONE) {
        return mtdctl_fail(ctl, MTDCTL_BAD, "--redis: \"%.32s...\" is longer"
                           " than %d bytes", ctl->address,
                           MTDCTL_ADDRESS - 1);
    }

    nodes->current = 0;
    ctl->address = nodes->node[0].address;

    return 0;
}


void
mtdctl_nodes_close(mtdctl_t *ctl, mtdctl_nodes_t *nodes)
{
    int  i;

    for (i = 0; i < nodes->n; i++) {
        mtdctl_nodes_drop(ctl, nodes, i);
    }
}


static void
mtdctl_nodes_use(mtdctl_t *ctl, mtdctl_nodes_t *nodes, int node)
{
    nodes->node[nodes->current].redis = ctl->redis;
    nodes->node[nodes->current].tls = ctl->tls;

    ctl->redis = nodes->node[node].redis;
    ctl->tls = nodes->node[node].tls;
    ctl->address = nodes->node[node].address;

    nodes->current = node;
}


int
mtdctl_nodes_reach(mtdctl_t *ctl, mtdctl_nodes_t *nodes, int node)
{
    int  status;

    if (node == MTDCTL_NONE) {
        return mtdctl_fail(ctl, MTDCTL_STORE, "Redis at %s: no master of the"
                           " cluster has this key", ctl->address);
    }

    mtdctl_nodes_use(ctl, nodes, node);

    if (ctl->redis) {
        return 0;
    }

    status = mtdctl_redis_open(ctl);

    if (status != 0) {
        mtdctl_redis_drop(ctl);
    }

    return status;
}


void
mtdctl_nodes_drop(mtdctl_t *ctl, mtdctl_nodes_t *nodes, int node)
{
    mtdctl_nodes_use(ctl, nodes, node);
    mtdctl_redis_drop(ctl);
}


static int
mtdctl_nodes_add(mtdctl_nodes_t *nodes, const char *address)
{
    int  i;

    for (i = 0; i < nodes->n; i++) {
        if (strcmp(nodes->node[i].address, address) == 0) {
            return i;
        }
    }

    if (i == MTDCTL_NODES
        || (size_t) snprintf(nodes->node[i].address, MTDCTL_ADDRESS, "%s",
                             address)
           >= MTDCTL_ADDRESS)
    {
        return MTDCTL_NONE;
    }

    nodes->n++;

    return i;
}


int
mtdctl_nodes_slots(mtdctl_t *ctl, mtdctl_nodes_t *nodes)
{
    int  i, n, status;

    n = nodes->n;
    status = MTDCTL_STORE;

    for (i = 0; i < n; i++) {
        status = mtdctl_nodes_reach(ctl, nodes, i);

        if (status == 0) {
            status = mtdctl_nodes_ask_slots(ctl, nodes);
        }

        if (status == 0) {
            return 0;
        }

        mtdctl_nodes_drop(ctl, nodes, i);
    }

    return status;
}


static int
mtdctl_nodes_ask_slots(mtdctl_t *ctl, mtdctl_nodes_t *nodes)
{
    int          status;
    size_t       i;
    redisReply  *reply;

    mtdctl_redis_begin(ctl, "CLUSTER");
    mtdctl_redis_text(ctl, "SLOTS");
    mtdctl_redis_send(ctl);

    status = mtdctl_redis_read(ctl, &reply);
    if (status != 0) {
        return status;
    }

    status = mtdctl_redis_check(ctl, reply, "CLUSTER", NULL);

    for (i = 0; status == 0 && i < reply->elements; i++) {
        if (mtdctl_nodes_range(nodes, reply->element[i], nodes->current)
            != 0)
        {
            status = mtdctl_redis_strange(ctl, "CLUSTER");
        }
    }

    freeReplyObject(reply);

    return status;
}


/* first slot, last slot, master, replicas; a master: host, port, ... */

static int
mtdctl_nodes_range(mtdctl_nodes_t *nodes, const redisReply *range, int asked)
{
    int                n;
    char               address[MTDCTL_ADDRESS];
    long long          slot;
    const redisReply  *master, *host;

    if (range->elements < 3
        || range->element[0]->type != REDIS_REPLY_INTEGER
        || range->element[1]->type != REDIS_REPLY_INTEGER
        || range->element[0]->integer < 0
        || range->element[1]->integer >= MTDCTL_SLOTS)
    {
        return -1;
    }

    master = range->element[2];

    if (master->type != REDIS_REPLY_ARRAY || master->elements < 2
        || master->element[1]->type != REDIS_REPLY_INTEGER)
    {
        return -1;
    }

    host = mtdctl_nodes_host(master);

    if (host == NULL) {
        n = asked;

    } else if (mtdctl_address(address, host->str, host->len,
                              master->element[1]->integer)
               != 0)
    {
        return -1;

    } else {
        n = mtdctl_nodes_add(nodes, address);
    }

    for (slot = range->element[0]->integer;
         slot <= range->element[1]->integer;
         slot++)
    {
        nodes->slot[slot] = n;
    }

    return 0;
}


/*
 * NULL: it does not know its own name and means itself.  One that is to tell
 * names but was given none, "?", has its address among what else is told.
 */

static const redisReply *
mtdctl_nodes_host(const redisReply *master)
{
    size_t             i;
    const redisReply  *host, *more;

    host = master->element[0];

    if (host->type != REDIS_REPLY_STRING || host->len == 0) {
        return NULL;
    }

    if (strcmp(host->str, "?") != 0 || master->elements < 4) {
        return host;
    }

    more = master->element[3];

    if (more->type != REDIS_REPLY_ARRAY) {
        return host;
    }

    for (i = 0; i + 1 < more->elements; i += 2) {
        if (more->element[i]->type == REDIS_REPLY_STRING
            && strcmp(more->element[i]->str, "ip") == 0
            && more->element[i + 1]->type == REDIS_REPLY_STRING)
        {
            return more->element[i + 1];
        }
    }

    return host;
}


int
mtdctl_nodes_master(const mtdctl_nodes_t *nodes, int after)
{
    int  i, next;

    next = MTDCTL_NONE;

    for (i = 0; i < MTDCTL_SLOTS; i++) {
        if (nodes->slot[i] > after
            && (next == MTDCTL_NONE || nodes->slot[i] < next))
        {
            next = nodes->slot[i];
        }
    }

    return next;
}


int
mtdctl_nodes_redirect(mtdctl_t *ctl, mtdctl_nodes_t *nodes,
    const char *error)
{
    char         address[MTDCTL_ADDRESS];
    size_t       len;
    const char  *p, *colon;

    p = strrchr(error, ' ');
    colon = p ? strrchr(++p, ':') : NULL;

    if (colon == NULL) {
        return MTDCTL_NONE;
    }

    len = colon - p;

    if (len == 0 || (len == 1 && *p == '?')) {
        return mtdctl_nodes_beside(ctl, nodes, colon, len);
    }

    if (mtdctl_address(address, p, len, mtdctl_address_port(colon + 1)) != 0) {
        return MTDCTL_NONE;
    }

    return mtdctl_nodes_add(nodes, address);
}


/*
 * Only the port: on the same host.  "?" is of one that was given no name,
 * which may be anywhere, so it must be known to be there.
 */

static int
mtdctl_nodes_beside(mtdctl_t *ctl, mtdctl_nodes_t *nodes, const char *port,
    size_t known)
{
    int          i;
    char         address[MTDCTL_ADDRESS];
    size_t       len;
    const char  *colon;

    colon = strrchr(ctl->address, ':');
    len = colon ? (size_t) (colon - ctl->address) : 0;

    if (strncmp(ctl->address, "unix:", 5) == 0
        || mtdctl_address_port(port + 1) == 0
        || (size_t) snprintf(address, sizeof(address), "%.*s%s", (int) len,
                             ctl->address, port)
           >= sizeof(address))
    {
        return MTDCTL_NONE;
    }

    if (!known) {
        return mtdctl_nodes_add(nodes, address);
    }

    for (i = 0; i < nodes->n; i++) {
        if (i != nodes->current
            && strcmp(nodes->node[i].address, address) == 0)
        {
            return i;
        }
    }

    return MTDCTL_NONE;
}


/* of what stands in the first {}, if that is something */

int
mtdctl_nodes_slot(const mtd_str_t *key)
{
    u_char  *open, *close;

    open = memchr(key->data, '{', key->len);

    if (open) {
        open++;
        close = memchr(open, '}', key->data + key->len - open);

        if (close && close > open) {
            return mtdctl_nodes_crc16(open, close - open) % MTDCTL_SLOTS;
        }
    }

    return mtdctl_nodes_crc16(key->data, key->len) % MTDCTL_SLOTS;
}


static uint16_t
mtdctl_nodes_crc16(const u_char *p, size_t len)
{
    int       i;
    uint16_t  crc;

    for (crc = 0; len; len--, p++) {
        crc ^= (uint16_t) *p << 8;

        for (i = 0; i < 8; i++) {
            crc = (crc & 0x8000) ? (uint16_t) (crc << 1) ^ 0x1021 : crc << 1;
        }
    }

    return crc;
}
