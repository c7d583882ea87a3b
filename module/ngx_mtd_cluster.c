
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include "ngx_mtd_cluster.h"


#define NGX_MTD_CLUSTER_TIMEOUT   300       /* ms, for each to answer */
#define NGX_MTD_CLUSTER_PAUSE     100       /* between two rounds */
#define NGX_MTD_CLUSTER_AGAIN     5000
#define NGX_MTD_CLUSTER_GUEST     60000     /* after its last ASK */


static ngx_mtd_node_t *ngx_mtd_cluster_join(ngx_mtd_cluster_t *cluster,
    ngx_mtd_place_t *place);
static void ngx_mtd_cluster_lost(ngx_mtd_cluster_t *cluster);
static void ngx_mtd_cluster_again(ngx_mtd_cluster_t *cluster,
    ngx_msec_t delay);
static void ngx_mtd_cluster_again_handler(ngx_event_t *ev);
static void ngx_mtd_cluster_turn_handler(ngx_event_t *ev);
static void ngx_mtd_cluster_hello(void *data);
static void ngx_mtd_cluster_down(void *data);
static void ngx_mtd_cluster_shutdown(void *data);
static void ngx_mtd_cluster_info_reply(void *data, ngx_int_t rc,
    ngx_mtd_reply_t *reply);
static void ngx_mtd_cluster_slots_reply(void *data, ngx_int_t rc,
    ngx_mtd_reply_t *reply);
static void ngx_mtd_cluster_refused(ngx_mtd_cluster_t *cluster,
    const char *what, ngx_mtd_reply_t *reply);
static void ngx_mtd_cluster_element(void *data, ngx_uint_t depth,
    ngx_uint_t index, ngx_mtd_value_t *value);
static void ngx_mtd_cluster_install(ngx_mtd_cluster_t *cluster);
static void ngx_mtd_cluster_identify(ngx_mtd_cluster_t *cluster);
static ngx_mtd_node_t *ngx_mtd_cluster_find(ngx_mtd_cluster_t *cluster,
    ngx_mtd_place_t *place, ngx_uint_t *index);
static ngx_mtd_node_t *ngx_mtd_cluster_guest(ngx_mtd_cluster_t *cluster,
    ngx_mtd_place_t *place);
static ngx_mtd_node_t *ngx_mtd_cluster_create(ngx_mtd_cluster_t *cluster,
    ngx_mtd_place_t *place, ngx_mtd_links_t *links);
static void ngx_mtd_cluster_remove(ngx_mtd_node_t *node);
static void ngx_mtd_cluster_node_ready(ngx_mtd_node_t *node);
static void ngx_mtd_cluster_node_down(ngx_mtd_node_t *node);


void
ngx_mtd_cluster_init(ngx_mtd_cluster_t *cluster, ngx_mtd_cluster_conf_t *conf,
    ngx_mtd_redis_conf_t *node_conf, ngx_mtd_links_t *links, ngx_log_t *log)
{
    ngx_mtd_redis_t  *redis;

    cluster->conf = conf;
    cluster->node_conf = node_conf;
    cluster->links = links;
    cluster->zone = links->zone;
    cluster->log = log;

    /* the workers do not all ask the same one first */

    cluster->next = ngx_worker;

    ngx_memset(cluster->slot, 0xff, sizeof(cluster->slot));

    ngx_queue_init(&cluster->guests);

    cluster->none.conf = node_conf;

    redis = &cluster->ask;

    redis->conf = &cluster->ask_conf;
    redis->role = "cluster";
    redis->data = cluster;
    redis->on_hello = ngx_mtd_cluster_hello;
    redis->on_down = ngx_mtd_cluster_down;
    redis->on_shutdown = ngx_mtd_cluster_shutdown;
    redis->on_element = ngx_mtd_cluster_element;

    ngx_mtd_redis_init(redis, log);

    cluster->turn.handler = ngx_mtd_cluster_turn_handler;
    cluster->turn.data = cluster;
    cluster->turn.log = log;

    cluster->again.handler = ngx_mtd_cluster_again_handler;
    cluster->again.data = cluster;
    cluster->again.log = log;
    cluster->again.cancelable = 1;

    ngx_mtd_cluster_again_handler(&cluster->again);
}


void
ngx_mtd_cluster_destroy(ngx_mtd_cluster_t *cluster)
{
    ngx_uint_t       i;
    ngx_queue_t     *q;
    ngx_mtd_node_t  *node;

    ngx_mtd_redis_destroy(&cluster->ask);

    if (cluster->turn.posted) {
        ngx_delete_posted_event(&cluster->turn);
    }

    if (cluster->again.timer_set) {
        ngx_del_timer(&cluster->again);
    }

    /* all at once: those that are left must not be trusted for a moment */

    for (i = 0; i < cluster->n; i++) {
        ngx_mtd_link_stop(&cluster->node[i]->link);
    }

    for (i = 0; i < cluster->n; i++) {
        ngx_mtd_node_destroy(cluster->node[i]);
        ngx_free(cluster->node[i]);
    }

    while (!ngx_queue_empty(&cluster->guests)) {
        q = ngx_queue_head(&cluster->guests);
        ngx_queue_remove(q);

        node = ngx_queue_data(q, ngx_mtd_node_t, queue);

        ngx_mtd_node_destroy(node);
        ngx_free(node);
    }
}


ngx_mtd_redis_t *
ngx_mtd_cluster_choose(ngx_mtd_cluster_t *cluster, const u_char *name,
    size_t len)
{
    ngx_uint_t  i;

    if (cluster->n == 0) {
        return &cluster->none;
    }

    i = cluster->slot[mtd_slot(name, len)];

    return (i == NGX_MTD_CLUSTER_NONE) ? NULL : &cluster->node[i]->data;
}


ngx_mtd_redis_t *
ngx_mtd_cluster_redirect(ngx_mtd_cluster_t *cluster, ngx_mtd_redis_t *from,
    ngx_str_t *error, ngx_uint_t *asking)
{
    u_char               buf[NGX_SOCKADDR_STRLEN];
    ngx_int_t            rc;
    ngx_str_t            host;
    ngx_uint_t           i, unnamed;
    ngx_mtd_node_t      *node;
    ngx_mtd_place_t      place;
    ngx_mtd_redirect_t   redirect;

    rc = ngx_mtd_place_redirect(&redirect, error);

    if (rc == NGX_DECLINED) {
        return NULL;
    }

    *asking = redirect.asking;

    if (!redirect.asking) {
        ngx_mtd_cluster_again(cluster, NGX_MTD_CLUSTER_PAUSE);
    }

    if (rc != NGX_OK) {
        return NULL;
    }

    host = redirect.host;
    unnamed = ngx_mtd_cluster_map_unnamed(&host);

    /* a server that does not tell addresses means the one it has itself */

    if (host.len == 0 || unnamed) {
        host.data = buf;
        host.len = ngx_sock_ntop(from->peer.sockaddr, from->peer.socklen, buf,
                                 NGX_SOCKADDR_STRLEN, 0);
    }

    if (ngx_mtd_place(&place, &host, redirect.port) != NGX_OK) {
        return NULL;
    }

    node = ngx_mtd_cluster_find(cluster, &place, &i);

    /* one without a name may be anywhere, so it must be known to be there */

    if (unnamed && (node == NULL || &node->data == from)) {
        return NULL;
    }

    if (redirect.asking) {
        node = node ? node : ngx_mtd_cluster_guest(cluster, &place);
        return node ? &node->data : NULL;
    }

    if (node == NULL) {
        node = ngx_mtd_cluster_join(cluster, &place);

        if (node == NULL) {
            return NULL;
        }

        i = cluster->n - 1;
    }

    cluster->slot[redirect.slot] = (uint16_t) i;

    return &node->data;
}


/* of a master that is in no map yet */

static ngx_mtd_node_t *
ngx_mtd_cluster_join(ngx_mtd_cluster_t *cluster, ngx_mtd_place_t *place)
{
    ngx_mtd_node_t  *node;

    if (cluster->n == NGX_MTD_CLUSTER_NODES) {
        return NULL;
    }

    node = ngx_mtd_cluster_create(cluster, place, cluster->links);
    if (node == NULL) {
        return NULL;
    }

    cluster->node[cluster->n++] = node;

    ngx_mtd_cluster_identify(cluster);

    ngx_mtd_redis_start(&node->data, NULL, 0);

    return node;
}


void
ngx_mtd_cluster_late(ngx_mtd_cluster_t *cluster)
{
    ngx_uint_t  i;

    if (cluster->n == 0) {
        ngx_mtd_cluster_lost(cluster);
    }

    for (i = 0; i < cluster->n; i++) {
        ngx_mtd_redis_late(&cluster->node[i]->data);
    }
}


static void
ngx_mtd_cluster_lost(ngx_mtd_cluster_t *cluster)
{
    if (cluster->none.failed) {
        return;
    }

    cluster->none.failed = 1;

    ngx_log_error(NGX_LOG_ERR, cluster->log, 0,
                  "redis %V is unavailable (cluster): nobody tells who has "
                  "which slots", &cluster->node_conf->name);

    cluster->on_change(cluster->data);
}


ngx_mtd_breaker_e
ngx_mtd_cluster_breaker(ngx_mtd_cluster_t *cluster)
{
    ngx_uint_t         i;
    ngx_mtd_breaker_e  breaker;

    breaker = cluster->n ? NGX_MTD_BREAKER_CLOSED
                         : ngx_mtd_redis_breaker(&cluster->none);

    for (i = 0; i < cluster->n && breaker == NGX_MTD_BREAKER_CLOSED; i++) {
        breaker = ngx_mtd_redis_breaker(&cluster->node[i]->data);
    }

    return breaker;
}


void
ngx_mtd_cluster_refresh(ngx_mtd_cluster_t *cluster)
{
    ngx_mtd_cluster_again(cluster, NGX_MTD_CLUSTER_PAUSE);
}


ngx_uint_t
ngx_mtd_cluster_slots(ngx_mtd_cluster_t *cluster, ngx_uint_t i)
{
    ngx_uint_t  slot, n;

    for (slot = 0, n = 0; slot < MTD_SLOTS; slot++) {
        n += (cluster->slot[slot] == i);
    }

    return n;
}


ngx_uint_t
ngx_mtd_cluster_whole(ngx_mtd_cluster_t *cluster)
{
    ngx_uint_t  i;

    for (i = 0; i < cluster->n; i++) {
        if (cluster->node[i]->data.state != NGX_MTD_REDIS_READY) {
            return 0;
        }
    }

    for (i = 0; i < MTD_SLOTS; i++) {
        if (cluster->slot[i] == NGX_MTD_CLUSTER_NONE) {
            return 0;
        }
    }

    return 1;
}


/* not later than that */

static void
ngx_mtd_cluster_again(ngx_mtd_cluster_t *cluster, ngx_msec_t delay)
{
    if (cluster->again.timer_set) {
        if ((ngx_msec_int_t) (cluster->again.timer.key
                              - (ngx_current_msec + delay))
            <= 0)
        {
            return;
        }

        ngx_del_timer(&cluster->again);
    }

    ngx_add_timer(&cluster->again, delay);
}


static void
ngx_mtd_cluster_again_handler(ngx_event_t *ev)
{
    ngx_mtd_cluster_t  *cluster;

    cluster = ev->data;

    if (cluster->asking) {
        ngx_mtd_cluster_again(cluster, NGX_MTD_CLUSTER_PAUSE);
        return;
    }

    cluster->asking = 1;
    cluster->asked = 0;

    ngx_mtd_cluster_again(cluster, NGX_MTD_CLUSTER_AGAIN);

    /* a worker that has just started does not wait for another event */

    ngx_post_event(&cluster->turn, &ngx_posted_next_events);
}


/* masters that are known, and the seeds */

static void
ngx_mtd_cluster_turn_handler(ngx_event_t *ev)
{
    ngx_uint_t             i;
    ngx_mtd_redis_t       *redis;
    ngx_mtd_cluster_t     *cluster;
    ngx_mtd_redis_conf_t  *conf;

    cluster = ev->data;
    redis = &cluster->ask;

    if (cluster->asked == cluster->n + cluster->conf->n) {
        cluster->asking = 0;

        ngx_mtd_cluster_again(cluster, NGX_MTD_CLUSTER_PAUSE);

        ngx_mtd_cluster_lost(cluster);

        return;
    }

    i = cluster->next++ % (cluster->n + cluster->conf->n);
    cluster->asked++;

    if (i < cluster->n && cluster->node[i]->data.unresolved) {

        /* its own connection finds out when its name leads somewhere */

        ngx_post_event(&cluster->turn, &ngx_posted_next_events);
        return;
    }

    /* that one does not answer is logged by the node's own connection */

    redis->failed = 1;

    conf = &cluster->ask_conf;

    *conf = (i < cluster->n) ? cluster->node[i]->conf
                             : cluster->conf->seeds[i - cluster->n];
    conf->connect_timeout = ngx_min(conf->connect_timeout,
                                    NGX_MTD_CLUSTER_TIMEOUT);
    conf->resolver_timeout = ngx_min(conf->resolver_timeout,
                                     NGX_MTD_CLUSTER_TIMEOUT);

    ngx_mtd_redis_start(redis, NULL, 0);
}


static void
ngx_mtd_cluster_hello(void *data)
{
    ngx_mtd_cluster_t *cluster = data;

    ngx_str_t  argv[2];

    ngx_mtd_cluster_map_start(&cluster->map, &cluster->ask.peer);

    cluster->epoch = 0;

    ngx_str_set(&argv[0], "CLUSTER");
    ngx_str_set(&argv[1], "INFO");

    if (ngx_mtd_redis_command(&cluster->ask, argv, 2,
                              ngx_mtd_cluster_info_reply, cluster)
        != NGX_OK)
    {
        goto failed;
    }

    ngx_str_set(&argv[1], "SLOTS");

    if (ngx_mtd_redis_command(&cluster->ask, argv, 2,
                              ngx_mtd_cluster_slots_reply, cluster)
        != NGX_OK)
    {
        goto failed;
    }

    return;

failed:

    ngx_mtd_redis_fail(&cluster->ask, "there is no memory", NULL);
}


static void
ngx_mtd_cluster_down(void *data)
{
    ngx_mtd_cluster_t *cluster = data;

    /* not this one again, but the next */

    ngx_mtd_redis_stop(&cluster->ask);

    ngx_post_event(&cluster->turn, &ngx_posted_next_events);
}


static void
ngx_mtd_cluster_shutdown(void *data)
{
    /* void */
}


static void
ngx_mtd_cluster_info_reply(void *data, ngx_int_t rc, ngx_mtd_reply_t *reply)
{
    ngx_mtd_cluster_t *cluster = data;

    u_char           *p, *last, *end;
    ngx_mtd_value_t  *value;

    static u_char  field[] = "cluster_current_epoch:";

    if (rc != NGX_OK) {
        return;
    }

    value = &reply->value[0];

    if (reply->array || value->type != NGX_MTD_VALUE_STRING) {
        ngx_mtd_cluster_refused(cluster, "INFO", reply);
        return;
    }

    last = value->text.data + value->text.len;
    p = ngx_strlcasestrn(value->text.data, last, field, sizeof(field) - 2);

    if (p) {
        p += sizeof(field) - 1;

        for (end = p; end < last && *end >= '0' && *end <= '9'; end++) {
            /* void */
        }

        cluster->epoch = ngx_max(ngx_atoof(p, end - p), 0);
    }
}


static void
ngx_mtd_cluster_slots_reply(void *data, ngx_int_t rc, ngx_mtd_reply_t *reply)
{
    ngx_mtd_cluster_t *cluster = data;

    if (rc != NGX_OK) {
        return;
    }

    if (!reply->array) {
        ngx_mtd_cluster_refused(cluster, "SLOTS", reply);
        return;
    }

    if (!ngx_mtd_cluster_map_complete(&cluster->map)) {
        ngx_log_error(NGX_LOG_INFO, cluster->log, 0,
                      "redis %V does not tell where each master is",
                      &cluster->ask.conf->name);
        ngx_mtd_redis_fail(&cluster->ask, "it does not tell its masters",
                           NULL);
        return;
    }

    if (!ngx_mtd_zone_agree(cluster->zone, cluster->epoch, &cluster->behind))
    {
        ngx_log_error(NGX_LOG_INFO, cluster->log, 0,
                      "redis %V is behind the others",
                      &cluster->ask.conf->name);
        ngx_mtd_redis_fail(&cluster->ask, "it is behind the others", NULL);
        return;
    }

    ngx_mtd_redis_stop(&cluster->ask);

    cluster->asking = 0;

    ngx_mtd_cluster_install(cluster);
}


static void
ngx_mtd_cluster_refused(ngx_mtd_cluster_t *cluster, const char *what,
    ngx_mtd_reply_t *reply)
{
    ngx_str_t  *text, none;

    ngx_str_null(&none);
    text = ngx_mtd_resp_error(reply);

    ngx_log_error(NGX_LOG_INFO, cluster->log, 0,
                  "redis %V refused CLUSTER %s%s%V",
                  &cluster->ask.conf->name, what, text ? ": " : "",
                  text ? text : &none);

    ngx_mtd_redis_fail(&cluster->ask, "it refused CLUSTER", text);
}


static void
ngx_mtd_cluster_element(void *data, ngx_uint_t depth, ngx_uint_t index,
    ngx_mtd_value_t *value)
{
    ngx_mtd_cluster_t *cluster = data;

    ngx_mtd_cluster_map_element(&cluster->map, depth, index, value);
}


/*
 * Nodes that are in both maps keep their connections.  Those that are gone
 * are closed last: what they were asked is asked again where it is now.
 */

static void
ngx_mtd_cluster_install(ngx_mtd_cluster_t *cluster)
{
    ngx_uint_t              i, k, fresh;
    ngx_queue_t            *q, *next, gone;
    ngx_mtd_node_t         *node, *nodes[NGX_MTD_CLUSTER_NODES];
    ngx_mtd_cluster_map_t  *map;

    map = &cluster->map;
    fresh = 0;

    ngx_queue_init(&gone);

    for (i = 0; i < map->n; i++) {
        node = ngx_mtd_cluster_find(cluster, &map->place[i], &k);

        if (node == NULL) {
            node = ngx_mtd_cluster_create(cluster, &map->place[i],
                                          cluster->links);
            fresh++;
        }

        if (node == NULL) {
            while (i--) {
                if (nodes[i]->data.stopped) {
                    ngx_mtd_cluster_remove(nodes[i]);
                }
            }

            return;
        }

        nodes[i] = node;
    }

    for (k = 0; k < cluster->n; k++) {

        for (i = 0; i < map->n && nodes[i] != cluster->node[k]; i++) {
            /* void */
        }

        if (i == map->n) {
            ngx_queue_insert_tail(&gone, &cluster->node[k]->queue);
        }
    }

    cluster->n = map->n;
    ngx_memcpy(cluster->node, nodes, map->n * sizeof(ngx_mtd_node_t *));
    ngx_memcpy(cluster->slot, map->slot, sizeof(cluster->slot));

    for (q = ngx_queue_head(&cluster->guests);
         q != ngx_queue_sentinel(&cluster->guests);
         q = next)
    {
        next = ngx_queue_next(q);
        node = ngx_queue_data(q, ngx_mtd_node_t, queue);

        if (ngx_current_msec - node->invited >= NGX_MTD_CLUSTER_GUEST) {
            ngx_queue_remove(q);
            ngx_queue_insert_tail(&gone, q);
        }
    }

    if (fresh || !ngx_queue_empty(&gone)) {
        ngx_log_error(NGX_LOG_NOTICE, cluster->log, 0,
                      "redis %V: the cluster has %ui masters, %ui of them new",
                      &cluster->node_conf->name, cluster->n, fresh);
    }

    cluster->none.failed = 0;

    ngx_mtd_cluster_identify(cluster);

    for (i = 0; i < cluster->n; i++) {
        if (cluster->node[i]->data.stopped) {
            ngx_mtd_redis_start(&cluster->node[i]->data, NULL, 0);
        }
    }

    while (!ngx_queue_empty(&gone)) {
        q = ngx_queue_head(&gone);
        ngx_queue_remove(q);

        ngx_mtd_cluster_remove(ngx_queue_data(q, ngx_mtd_node_t, queue));
    }

    cluster->on_change(cluster->data);
}


/* the order in which masters are told is that of their slots */

static void
ngx_mtd_cluster_identify(ngx_mtd_cluster_t *cluster)
{
    uint64_t    server;
    mtd_hash_t  hash;
    ngx_uint_t  i;

    static mtd_hash_key_t  key = { { 1, 2 } };

    server = 0;

    for (i = 0; i < cluster->n; i++) {
        hash = mtd_hash(&key, cluster->node[i]->conf.name.data,
                        cluster->node[i]->conf.name.len);
        server += hash.word[0];
    }

    cluster->server = server ? server : 1;

    ngx_mtd_zone_serve(cluster->zone, cluster->server);
}


static ngx_mtd_node_t *
ngx_mtd_cluster_find(ngx_mtd_cluster_t *cluster, ngx_mtd_place_t *place,
    ngx_uint_t *index)
{
    ngx_uint_t       i;
    ngx_mtd_node_t  *node;

    for (i = 0; i < cluster->n; i++) {
        node = cluster->node[i];

        if (ngx_mtd_place_same(&node->place, place)) {
            *index = i;
            return node;
        }
    }

    return NULL;
}


/*
 * One to which slots are on their way.  It has no link, so what it says is
 * not kept.
 */

static ngx_mtd_node_t *
ngx_mtd_cluster_guest(ngx_mtd_cluster_t *cluster, ngx_mtd_place_t *place)
{
    ngx_uint_t       n;
    ngx_queue_t     *q;
    ngx_mtd_node_t  *node;

    n = 0;

    for (q = ngx_queue_head(&cluster->guests);
         q != ngx_queue_sentinel(&cluster->guests);
         q = ngx_queue_next(q))
    {
        node = ngx_queue_data(q, ngx_mtd_node_t, queue);

        if (ngx_mtd_place_same(&node->place, place)) {
            node->invited = ngx_current_msec;
            return node;
        }

        if (++n == NGX_MTD_CLUSTER_NODES) {
            return NULL;
        }
    }

    node = ngx_mtd_cluster_create(cluster, place, NULL);

    if (node) {
        node->invited = ngx_current_msec;
        ngx_queue_insert_tail(&cluster->guests, &node->queue);

        ngx_mtd_redis_start(&node->data, NULL, 0);
    }

    return node;
}


static ngx_mtd_node_t *
ngx_mtd_cluster_create(ngx_mtd_cluster_t *cluster, ngx_mtd_place_t *place,
    ngx_mtd_links_t *links)
{
    ngx_mtd_node_t  *node;

    node = ngx_calloc(sizeof(ngx_mtd_node_t), cluster->log);
    if (node == NULL) {
        return NULL;
    }

    node->on_ready = ngx_mtd_cluster_node_ready;
    node->on_down = ngx_mtd_cluster_node_down;
    node->owner = cluster;
    node->zone = cluster->zone;

    ngx_mtd_node_init(node, cluster->node_conf, links, cluster->log);
    ngx_mtd_node_settle(node, place, NGX_MTD_ROLE_MASTER);

    return node;
}


static void
ngx_mtd_cluster_remove(ngx_mtd_node_t *node)
{
    ngx_mtd_node_stop(node);
    ngx_mtd_node_destroy(node);

    ngx_free(node);
}


static void
ngx_mtd_cluster_node_ready(ngx_mtd_node_t *node)
{
    ngx_mtd_cluster_t  *cluster;

    cluster = node->owner;

    cluster->on_change(cluster->data);
}


static void
ngx_mtd_cluster_node_down(ngx_mtd_node_t *node)
{
    ngx_mtd_cluster_t  *cluster;

    cluster = node->owner;

    ngx_mtd_cluster_again(cluster, NGX_MTD_CLUSTER_PAUSE);

    cluster->on_change(cluster->data);
}
