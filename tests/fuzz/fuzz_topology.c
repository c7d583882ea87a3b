
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * The input is two letters, and what a Sentinel or a server of a cluster
 * sends, of which the gate's own readers make where the masters are; a reader
 * of fuzz_tree.c makes the same of it.  The first letter has the bits below,
 * the second says in which parts it arrives.
 */


#include "fuzz.h"
#include "fuzz_gate.h"
#include "fuzz_tree.h"
#include "ngx_mtd_cluster.h"
#include "ngx_mtd_sentinel.h"


#define FUZZ_WHAT          0x03
#define FUZZ_CLUSTER       0
#define FUZZ_ASK           1        /* a Sentinel is asked */
#define FUZZ_WATCH         2        /* and listened to */
#define FUZZ_REDIRECT      3

#define FUZZ_REPLICA       0x04     /* or: it is connected to nothing */
#define FUZZ_GREETED       0x08     /* the first replies are good ones */
#define FUZZ_PASSWORD      0x10
#define FUZZ_BEHIND        0x20
#define FUZZ_AVOID         0x40
#define FUZZ_NO_MEMORY     0x80     /* for a command */

#define FUZZ_INPUT         8192
#define FUZZ_MASTER        "mymaster"

#define FUZZ_RUN_ID        "$51\r\nrun_id:0123456789abcdef0123456789abcdef"   \
                           "01234567\r\nx:\r\n"
#define FUZZ_SLOTS         "$23\r\ncluster_current_epoch:7\r\n*2\r\n"         \
                           "*3\r\n:0\r\n:8191\r\n*2\r\n$1\r\na\r\n:7000\r\n"  \
                           "*3\r\n:8192\r\n:16383\r\n*2\r\n$1\r\nb\r\n"       \
                           ":7001\r\n"


static unsigned              fuzz_flags;
static size_t                fuzz_changes;
static ngx_mtd_redis_conf_t  fuzz_conf;
static ngx_mtd_cluster_t     fuzz_cluster;
static ngx_mtd_sentinels_t   fuzz_sentinels;
static ngx_pool_t           *fuzz_pool;
static ngx_mtd_node_t        fuzz_node;
static fuzz_map_t            fuzz_map;


static void
fuzz_change(void *data)
{
    fuzz_changes++;
}


static void
fuzz_reset(unsigned flags, unsigned commands)
{
    fuzz_gate_reset();

    fuzz_flags = flags;
    fuzz_gate.behind = (flags & FUZZ_BEHIND) != 0;
    fuzz_changes = 0;

    if (flags & FUZZ_NO_MEMORY) {
        fuzz_gate.commands = commands;
    }

    memset(&fuzz_conf, 0, sizeof(fuzz_conf));
    ngx_str_set(&fuzz_conf.name, "redis");

    if (flags & FUZZ_PASSWORD) {
        ngx_str_set(&fuzz_conf.user, "gate");
        ngx_str_set(&fuzz_conf.password, "secret");
        fuzz_conf.database = 3;
    }
}


/* all that a server says, with the good start that may be asked for */

static size_t
fuzz_stream(u_char *stream, const uint8_t *data, size_t size)
{
    u_char  *p;

    p = stream;

    if (fuzz_flags & FUZZ_GREETED) {

        if (fuzz_flags & FUZZ_PASSWORD) {
            p = ngx_cpymem(p, "+OK\r\n+OK\r\n", 10);
        }

        p = ngx_cpymem(p, FUZZ_RUN_ID, sizeof(FUZZ_RUN_ID) - 1);
    }

    return ngx_cpymem(p, data, ngx_min(size, FUZZ_INPUT)) - stream;
}


/* what follows the first words of a server; NULL: it was refused */

static fuzz_node_t *
fuzz_greeted(fuzz_node_t *reply, ngx_mtd_redis_t *redis)
{
    int        i;
    long long  id;

    for (i = 0; (fuzz_flags & FUZZ_PASSWORD) && i < 2; i++) {

        if (reply == NULL || reply->type != '+' || !fuzz_tree_is(reply, "OK"))
        {
            return NULL;
        }

        reply = reply->next;
    }

    if (reply == NULL || reply->type != '$') {
        return NULL;
    }

    id = fuzz_tree_number(reply, "run_id:", 15, 16);

    if (id <= 0) {
        return NULL;
    }

    fuzz_check(redis->server == (uint64_t) id, "another server");

    return reply->next;
}


static void
fuzz_check_map(fuzz_node_t *reply)
{
    size_t           i;
    long long        epoch;
    ngx_mtd_node_t  *node;

    reply = fuzz_greeted(reply, &fuzz_cluster.ask);

    if (reply == NULL || reply->type != '$' || reply->next == NULL
        || reply->next->type != '*')
    {
        fuzz_check(!fuzz_gate.agreed && fuzz_cluster.n == 0,
                   "a map that nobody told");
        return;
    }

    fuzz_tree_map(&fuzz_map, reply->next, FUZZ_SELF);

    fuzz_check(fuzz_gate.agreed == fuzz_map.valid, fuzz_gate.agreed
               ? "a map that is none" : "a map that was refused");

    if (!fuzz_gate.agreed) {
        return;
    }

    epoch = fuzz_tree_number(reply, "cluster_current_epoch:", 4096, 10);
    fuzz_check(fuzz_gate.epoch == (uint64_t) (epoch < 0 ? 0 : epoch),
               "another epoch");

    if (fuzz_flags & FUZZ_BEHIND) {
        fuzz_check(fuzz_cluster.n == 0, "a map of one that is behind");
        return;
    }

    fuzz_check(fuzz_cluster.n == fuzz_map.n && fuzz_changes,
               "another number of masters");
    fuzz_check(memcmp(fuzz_cluster.slot, fuzz_map.slot,
                      sizeof(fuzz_map.slot)) == 0, "another map");

    for (i = 0; i < fuzz_map.n; i++) {
        node = fuzz_cluster.node[i];

        fuzz_check(ngx_mtd_place_same(&node->place, &fuzz_map.place[i]),
                   "another master");
        fuzz_check(!node->data.stopped, "a master that is not started");
    }
}


static void
fuzz_cluster_start(ngx_mtd_cluster_conf_t *conf)
{
    static ngx_mtd_links_t  links;

    memset(&fuzz_cluster, 0, sizeof(fuzz_cluster));

    conf->seeds = &fuzz_conf;
    conf->n = 1;

    fuzz_cluster.on_change = fuzz_change;

    ngx_mtd_cluster_init(&fuzz_cluster, conf, &fuzz_conf, &links,
                         &fuzz_gate_log);

    fuzz_gate_turn();

    fuzz_check(fuzz_cluster.ask.state == NGX_MTD_REDIS_HELLO,
               "nobody is asked");
}


/* what is left to do with a map */

static void
fuzz_cluster_end(const uint8_t *data, size_t size)
{
    size_t            i;
    ngx_mtd_redis_t  *redis;

    redis = ngx_mtd_cluster_choose(&fuzz_cluster, data, size);

    fuzz_check((redis == &fuzz_cluster.none) == (fuzz_cluster.n == 0),
               "a key of another");

    for (i = 0; i < fuzz_cluster.n; i++) {
        fuzz_check(!ngx_mtd_cluster_whole(&fuzz_cluster), "a whole cluster");

        fuzz_cluster.node[i]->data.state = NGX_MTD_REDIS_READY;
        fuzz_cluster.node[i]->on_ready(fuzz_cluster.node[i]);
    }

    for (i = 0; i < MTD_SLOTS; i++) {
        if (fuzz_cluster.slot[i] == NGX_MTD_CLUSTER_NONE) {
            break;
        }
    }

    fuzz_check(ngx_mtd_cluster_whole(&fuzz_cluster) == (i == MTD_SLOTS),
               "another cluster is whole");

    if (fuzz_cluster.n) {
        fuzz_cluster.node[0]->on_down(fuzz_cluster.node[0]);
        ngx_mtd_cluster_refresh(&fuzz_cluster);
    }

    ngx_mtd_cluster_late(&fuzz_cluster);

    fuzz_check(ngx_mtd_cluster_breaker(&fuzz_cluster)
               == NGX_MTD_BREAKER_OPEN, "the breaker");

    /* all that are left to be asked have gone */

    for (i = 0; i < 8; i++) {
        fuzz_gate_turn();

        if (fuzz_cluster.ask.state == NGX_MTD_REDIS_HELLO) {
            fuzz_cluster.ask.on_down(&fuzz_cluster);
        }
    }

    fuzz_cluster.again.handler(&fuzz_cluster.again);
    fuzz_cluster.ask.on_shutdown(&fuzz_cluster);
    ngx_mtd_cluster_destroy(&fuzz_cluster);
}


static void
fuzz_redirect(const uint8_t *data, size_t size)
{
    ngx_int_t            rc;
    mtd_str_t            line;
    ngx_str_t            error, host;
    ngx_uint_t           asking, n, unnamed;
    ngx_mtd_redis_t     *from, *to;
    ngx_mtd_node_t      *node;
    ngx_mtd_place_t      place;
    ngx_mtd_redirect_t   redirect;
    struct sockaddr_in   sin;

    memset(&sin, 0, sizeof(sin));
    sin.sin_family = AF_INET;
    sin.sin_addr.s_addr = inet_addr(FUZZ_SELF);

    from = &fuzz_cluster.node[0]->data;
    from->peer.sockaddr = (struct sockaddr *) &sin;
    from->peer.socklen = sizeof(sin);

    while (size) {
        line = fuzz_line(&data, &size);

        error.data = fuzz_copy(line.data, line.len);
        error.len = line.len;

        rc = ngx_mtd_place_redirect(&redirect, &error);
        n = fuzz_cluster.n;

        to = ngx_mtd_cluster_redirect(&fuzz_cluster, from, &error, &asking);

        fuzz_check(fuzz_cluster.n <= NGX_MTD_CLUSTER_NODES, "too many");
        fuzz_check(to == NULL || rc == NGX_OK, "redirected by another error");

        if (rc == NGX_OK) {
            host = redirect.host;
            unnamed = (host.len == 1 && host.data[0] == '?');

            if (host.len == 0 || unnamed) {
                ngx_str_set(&host, FUZZ_SELF);
            }

            if (ngx_mtd_place(&place, &host, redirect.port) != NGX_OK) {
                fuzz_check(to == NULL, "redirected to no place");

            } else if (to == NULL) {
                fuzz_check(unnamed || n == NGX_MTD_CLUSTER_NODES
                           || redirect.asking, "not redirected");
            }
        }

        if (to) {
            node = to->data;

            fuzz_check(asking == redirect.asking, "ASK or MOVED");
            fuzz_check(ngx_mtd_place_same(&node->place, &place),
                       "redirected to elsewhere");
            fuzz_check(!unnamed || (to != from && fuzz_cluster.n == n),
                       "redirected to who has no name");
            fuzz_check(!node->data.stopped, "it is not started");

            fuzz_check(asking
                       || &fuzz_cluster.node[fuzz_cluster.slot[redirect.slot]]
                          ->data == to, "the slot is elsewhere");
            fuzz_check(!asking || fuzz_cluster.n == n, "a guest that stays");
        }

        free(error.data);
    }
}


static void
fuzz_sentinels_start(ngx_mtd_sentinel_conf_t *conf)
{
    ngx_str_t  host;

    static u_char  hostname[] = "gate-1";

    memset(&fuzz_sentinels, 0, sizeof(fuzz_sentinels));
    memset(&fuzz_node, 0, sizeof(fuzz_node));

    ((ngx_cycle_t *) ngx_cycle)->hostname.data = hostname;
    ((ngx_cycle_t *) ngx_cycle)->hostname.len = sizeof(hostname) - 1;

    ngx_str_set(&conf->master, FUZZ_MASTER);
    conf->servers = &fuzz_conf;
    conf->n = 1;
    conf->replica = (fuzz_flags & FUZZ_REPLICA) ? 1 : 0;

    ngx_str_set(&host, "10.0.0.9");

    fuzz_node.conf.name = fuzz_conf.name;
    fuzz_node.data.state = NGX_MTD_REDIS_RESOLVING;
    (void) ngx_mtd_place(&fuzz_node.place, &host, 6379);

    fuzz_pool = ngx_create_pool(4096, &fuzz_gate_log);
    fuzz_check(fuzz_pool, "no memory");

    fuzz_check(ngx_mtd_sentinels_init(&fuzz_sentinels, conf, &fuzz_node,
                                      fuzz_pool, &fuzz_gate_log) == NGX_OK,
               "no sentinels");

    if (fuzz_flags & FUZZ_AVOID) {
        fuzz_sentinels.avoid = fuzz_node.place;
        fuzz_sentinels.avoided = ngx_current_msec;
    }
}


/* where a Sentinel says that the master is, and its epoch; NULL if nowhere */

static fuzz_node_t *
fuzz_master(fuzz_node_t *reply, ngx_mtd_place_t *place, uint64_t *epoch)
{
    long long      n;
    fuzz_node_t    text;
    fuzz_node_t   *host, *port;
    fuzz_fields_t  fields;

    host = fuzz_tree_at(reply, 0);
    port = fuzz_tree_at(reply, 1);

    if (port == NULL || port->next || reply->next == NULL
        || reply->next->type != '*'
        || !fuzz_tree_place(place, &host->text, &port->text))
    {
        return NULL;
    }

    fuzz_tree_fields(&fields, reply->next);

    text.text = fields.epoch;
    n = fuzz_tree_number(&text, "", 4096, 10);

    for (n = (n < 0) ? 0 : n; text.text.len; text.text.len--) {
        if (text.text.data[text.text.len - 1] < '0'
            || text.text.data[text.text.len - 1] > '9')
        {
            n = 0;
        }
    }

    *epoch = n;

    return reply->next;
}


/* the one that this gate reads of those that are up; 0: there is none */

static int
fuzz_replica(fuzz_node_t *reply, ngx_mtd_place_t *best)
{
    int               found;
    u_char            text[NGX_MTD_PLACE_STRLEN];
    size_t            len;
    uint32_t          crc, weight;
    fuzz_node_t      *replica;
    fuzz_fields_t     fields;
    ngx_mtd_place_t   place;

    found = 0;
    weight = 0;

    for (replica = reply->first; replica; replica = replica->next) {

        if (replica->type != '*') {
            continue;
        }

        fuzz_tree_fields(&fields, replica);

        len = fields.flags.len
              ? strnlen((char *) fields.flags.data, fields.flags.len) : 0;

        if (fields.flags.len == 0 || fields.link.len != 2
            || memcmp(fields.link.data, "ok", 2) != 0
            || memmem(fields.flags.data, len, "down", 4)
            || memmem(fields.flags.data, len, "disconnected", 12)
            || !fuzz_tree_place(&place, &fields.ip, &fields.port)
            || ((fuzz_flags & FUZZ_AVOID)
                && ngx_mtd_place_same(&place, &fuzz_node.place)))
        {
            continue;
        }

        len = ngx_mtd_place_text(&place, text);
        crc = fuzz_tree_crc32(0xffffffff, ngx_cycle->hostname.data,
                              ngx_cycle->hostname.len);
        crc = fuzz_tree_crc32(crc, text, len);

        if (!found || crc > weight) {
            found = 1;
            weight = crc;
            *best = place;
        }
    }

    return found;
}


static void
fuzz_check_asked(fuzz_node_t *reply)
{
    int              best;
    uint64_t         epoch;
    ngx_uint_t       role;
    ngx_mtd_place_t  master, replica, place;

    best = 0;
    reply = fuzz_greeted(reply, &fuzz_sentinels.ask.redis);
    reply = reply ? fuzz_master(reply, &master, &epoch) : NULL;

    if (reply && (fuzz_flags & FUZZ_REPLICA)) {
        reply = reply->next;
        reply = (reply && reply->type == '*') ? reply : NULL;
        best = reply ? fuzz_replica(reply, &replica) : 0;
    }

    fuzz_check(fuzz_gate.agreed == (reply != NULL), fuzz_gate.agreed
               ? "an answer that is none" : "an answer that was refused");

    if (reply == NULL) {
        fuzz_check(!fuzz_gate.found, "found without an answer");
        return;
    }

    fuzz_check(fuzz_gate.epoch == epoch, "another epoch");

    place = best ? replica : master;
    role = best ? NGX_MTD_ROLE_REPLICA : NGX_MTD_ROLE_MASTER;

    if (fuzz_node.data.state == NGX_MTD_REDIS_READY) {
        fuzz_check(fuzz_gate.moves
                   == (!(fuzz_flags & FUZZ_BEHIND)
                       && (!ngx_mtd_place_same(&place, &fuzz_node.place)
                           || fuzz_node.role != role)),
                   "moved to where it is, or not moved");
        return;
    }

    fuzz_check(fuzz_gate.found == !(fuzz_flags & FUZZ_BEHIND),
               "found by one that is behind");

    if (fuzz_gate.found) {
        fuzz_check(fuzz_gate.role == role, "another role");
        fuzz_check(ngx_mtd_place_same(&fuzz_gate.place, &place),
                   "another place");
    }
}


/* the word of that number, each behind one space */

static mtd_str_t
fuzz_word(const mtd_str_t *text, size_t n)
{
    u_char     *p, *last, *end;
    mtd_str_t   word = { 0, NULL };

    p = text->data;
    last = p + text->len;

    for ( /* void */ ; p < last; p = end + 1) {
        end = memchr(p, ' ', last - p);
        end = end ? end : last;

        if (n-- == 0) {
            word.data = p;
            word.len = end - p;
            break;
        }
    }

    return word;
}


static void
fuzz_check_moved(const ngx_mtd_place_t *place, size_t *n)
{
    ngx_mtd_place_t  copy = *place;

    if (!(fuzz_flags & FUZZ_REPLICA)
        && ngx_mtd_place_same(&fuzz_node.place, &copy))
    {
        return;
    }

    fuzz_check(*n < fuzz_gate.moves, "a new master that was not noticed");
    fuzz_check(ngx_mtd_place_same(&fuzz_gate.move[*n], &copy),
               "another new master");
    (*n)++;
}


static void
fuzz_check_heard(fuzz_node_t *reply)
{
    size_t            n;
    uint64_t          epoch;
    mtd_str_t         word, host, port;
    fuzz_node_t      *text;
    ngx_mtd_place_t   place;

    n = 0;
    reply = fuzz_greeted(reply, &fuzz_sentinels.watch[0].redis);
    reply = reply ? fuzz_master(reply, &place, &epoch) : NULL;

    if (reply && (fuzz_flags & FUZZ_REPLICA)) {
        reply = reply->next;
        reply = (reply && reply->type == '*') ? reply : NULL;
    }

    reply = reply ? reply->next : NULL;

    if (reply && reply->type == '*') {

        if (epoch > FUZZ_EPOCH) {
            fuzz_check_moved(&place, &n);
        }

        for (reply = reply->next; reply && reply->type == '*';
             reply = reply->next)
        {
            text = fuzz_tree_at(reply, 2);

            if (text == NULL) {
                continue;
            }

            word = fuzz_word(&text->text, 0);
            host = fuzz_word(&text->text, 3);
            port = fuzz_word(&text->text, 4);

            if (word.len == sizeof(FUZZ_MASTER) - 1
                && memcmp(word.data, FUZZ_MASTER, word.len) == 0
                && fuzz_tree_place(&place, &host, &port)
                && n < FUZZ_MOVES)
            {
                fuzz_check_moved(&place, &n);
            }
        }
    }

    fuzz_check(n == fuzz_gate.moves, "a new master that nobody named");
}


/* the rest of what Sentinels are for: all that needs no bytes of theirs */

static void
fuzz_sentinels_end(void)
{
    int                  i;
    ngx_mtd_sentinel_t  *watch;

    watch = &fuzz_sentinels.watch[0];

    for (i = 0; i < 3; i++) {
        watch->probe.handler(&watch->probe);
    }

    ngx_current_msec += 5000;

    watch->redis.state = NGX_MTD_REDIS_READY;
    watch->pinged = 1;
    watch->probe.handler(&watch->probe);
    watch->redis.on_shutdown(watch);

    fuzz_sentinels.again.handler(&fuzz_sentinels.again);

    for (i = 0; i < 4; i++) {
        fuzz_gate_turn();

        if (fuzz_sentinels.ask.redis.state == NGX_MTD_REDIS_HELLO) {
            fuzz_sentinels.ask.redis.on_down(&fuzz_sentinels.ask);
        }
    }

    for (i = 0; i < 3; i++) {
        fuzz_node.role = NGX_MTD_ROLE_REPLICA;
        fuzz_node.data.state = NGX_MTD_REDIS_DOWN;
        fuzz_node.data.begun = 2;
        fuzz_node.data.lost = 1;
        fuzz_node.data.epoch = i / 2 + 1;
        ngx_mtd_sentinels_failed(&fuzz_sentinels);
    }

    fuzz_node.data.on_find(&fuzz_node);
    ngx_mtd_sentinels_destroy(&fuzz_sentinels);
    ngx_destroy_pool(fuzz_pool);
}


static void
fuzz_run(const uint8_t *data, size_t size, unsigned part)
{
    size_t                   len, n;
    fuzz_node_t             *reply;
    ngx_mtd_redis_t         *redis;
    ngx_mtd_cluster_conf_t   cluster;
    ngx_mtd_sentinel_conf_t  sentinel;

    static u_char  stream[FUZZ_INPUT + 128];

    memset(&sentinel, 0, sizeof(sentinel));

    if ((fuzz_flags & FUZZ_WHAT) == FUZZ_REDIRECT) {
        len = fuzz_stream(stream, (uint8_t *) FUZZ_SLOTS,
                          sizeof(FUZZ_SLOTS) - 1);

        fuzz_cluster_start(&cluster);
        fuzz_gate_speak(&fuzz_cluster.ask, stream, len, part);
        fuzz_check(fuzz_cluster.n == 2, "a map that was refused");
        fuzz_redirect(data, size);

        /* who was only invited goes in time, and who is in no map at once */

        ngx_current_msec += (part & 1) ? 0 : 70000;
        fuzz_cluster.again.handler(&fuzz_cluster.again);
        fuzz_gate_turn();
        fuzz_gate_speak(&fuzz_cluster.ask, stream, len, part);
        fuzz_check(fuzz_cluster.n == 2, "a master that stays");
        fuzz_check((part & 1) || ngx_queue_empty(&fuzz_cluster.guests),
                   "a guest that stays");
        fuzz_cluster_end(data, size);
        return;
    }

    len = fuzz_stream(stream, data, size);

    if ((fuzz_flags & FUZZ_WHAT) == FUZZ_CLUSTER) {
        fuzz_cluster_start(&cluster);
        redis = &fuzz_cluster.ask;

    } else {
        fuzz_sentinels_start(&sentinel);

        if ((fuzz_flags & FUZZ_WHAT) == FUZZ_ASK) {
            redis = &fuzz_sentinels.ask.redis;
            fuzz_gate.named = &fuzz_sentinels.ask.master;
            fuzz_node.data.on_find(&fuzz_node);
            fuzz_gate_turn();

            if (part & 0x80) {
                fuzz_node.data.state = NGX_MTD_REDIS_READY;
                fuzz_node.role = NGX_MTD_ROLE_MASTER;
            }

        } else {
            redis = &fuzz_sentinels.watch[0].redis;
            fuzz_node.data.state = NGX_MTD_REDIS_READY;
            fuzz_gate.named = &fuzz_sentinels.watch[0].master;
        }
    }

    fuzz_gate_speak(redis, stream, len, part);

    reply = fuzz_tree(stream, len, &n);

    if (reply && !(fuzz_flags & FUZZ_NO_MEMORY)) {

        switch (fuzz_flags & FUZZ_WHAT) {

        case FUZZ_CLUSTER:
            fuzz_check_map(reply);
            break;

        case FUZZ_ASK:
            fuzz_check_asked(reply);
            break;

        default:
            fuzz_check_heard(reply);
        }
    }

    if (redis == &fuzz_cluster.ask) {
        fuzz_cluster_end(data, size);

    } else {
        fuzz_sentinels_end();
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned  flags;

    if (size < 2) {
        return 0;
    }

    flags = data[0];

    if ((flags & FUZZ_WHAT) == FUZZ_REDIRECT) {
        flags = FUZZ_REDIRECT|FUZZ_GREETED;
    }

    fuzz_reset(flags, data[1] % 8);
    fuzz_run(data + 2, size - 2, data[1]);

    return 0;
}
