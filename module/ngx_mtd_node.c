
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include "ngx_mtd_node.h"


#define NGX_MTD_NODE_CHECK   1000           /* ms */
#define NGX_MTD_NODE_LOOK    300


static void ngx_mtd_node_expect(ngx_mtd_node_t *node, ngx_mtd_place_t *place,
    ngx_mtd_role_e role);
static void ngx_mtd_node_stays(ngx_mtd_node_t *node);
static ngx_int_t ngx_mtd_node_look(ngx_mtd_node_t *node,
    ngx_mtd_place_t *place);
static void ngx_mtd_node_looked(ngx_resolver_ctx_t *ctx);
static void ngx_mtd_node_look_done(ngx_mtd_node_t *node);
static void ngx_mtd_node_hello(void *data);
static void ngx_mtd_node_role_reply(void *data, ngx_int_t rc,
    ngx_mtd_reply_t *reply);
static const char *ngx_mtd_node_role(ngx_mtd_node_t *node, ngx_str_t *info);
static ngx_uint_t ngx_mtd_node_says(ngx_str_t *info, const char *line);
static void ngx_mtd_node_pong(void *data, ngx_int_t rc,
    ngx_mtd_reply_t *reply);
static void ngx_mtd_node_ready(void *data);
static void ngx_mtd_node_down(void *data);
static void ngx_mtd_node_shutdown(void *data);
static void ngx_mtd_node_link_moved(void *data);
static void ngx_mtd_node_check_handler(ngx_event_t *ev);
static ngx_int_t ngx_mtd_node_ask_role(ngx_mtd_node_t *node);


void
ngx_mtd_node_init(ngx_mtd_node_t *node, const ngx_mtd_redis_conf_t *conf,
    ngx_mtd_links_t *links, ngx_log_t *log)
{
    ngx_mtd_redis_t  *data;

    node->conf = *conf;

#if (NGX_SSL)

    if (conf->tls) {
        node->tls = *conf->tls;
        node->conf.tls = &node->tls;
    }

#endif

    data = &node->data;

    data->conf = &node->conf;
    data->role = "data";
    data->breaker = 1;
    data->data = node;
    data->on_hello = ngx_mtd_node_hello;
    data->on_ready = ngx_mtd_node_ready;
    data->on_down = ngx_mtd_node_down;
    data->on_shutdown = ngx_mtd_node_shutdown;

    ngx_mtd_redis_init(data, log);

    if (links) {
        node->linked = 1;
        node->link.on_moved = ngx_mtd_node_link_moved;
        node->link.data = node;

        ngx_mtd_link_init(&node->link, &node->conf, links, log);
    }

    node->check.handler = ngx_mtd_node_check_handler;
    node->check.data = node;
    node->check.log = log;
    node->check.cancelable = 1;
}


void
ngx_mtd_node_settle(ngx_mtd_node_t *node, ngx_mtd_place_t *place,
    ngx_mtd_role_e role)
{
    ngx_mtd_node_expect(node, place, role);

    node->addr.sockaddr = &node->place.sockaddr.sockaddr;
    node->addr.socklen = node->place.socklen;

    node->conf.name.data = node->name;
    node->conf.name.len = ngx_mtd_place_text(&node->place, node->name);
    node->conf.addrs = &node->addr;
    node->conf.naddrs = node->place.socklen ? 1 : 0;
}


void
ngx_mtd_node_beside(ngx_mtd_node_t *node, ngx_mtd_node_t *other)
{
    ngx_mtd_place_t  place;

    ngx_mtd_place_address(&place, other->data.peer.sockaddr,
                          other->data.peer.socklen);

    ngx_mtd_node_settle(node, &place, NGX_MTD_ROLE_ANY);

#if (NGX_SSL)

    if (other->tls.name.data == other->place.host) {
        node->tls.name.len = other->place.len;
        ngx_memcpy(node->place.host, other->place.host, other->place.len + 1);
    }

#endif
}


void
ngx_mtd_node_found(ngx_mtd_node_t *node, ngx_mtd_place_t *place,
    ngx_mtd_role_e role)
{
    if (node->data.resolving && ngx_mtd_place_same(&node->place, place)) {
        node->role = role;
        return;
    }

    ngx_mtd_node_expect(node, place, role);

    ngx_mtd_redis_found(&node->data, place->socklen
                                     ? &place->sockaddr.sockaddr : NULL,
                        place->socklen);
}


static void
ngx_mtd_node_expect(ngx_mtd_node_t *node, ngx_mtd_place_t *place,
    ngx_mtd_role_e role)
{
    node->role = role;
    node->place = *place;
    node->also.len = 0;

    node->conf.host.data = node->place.host;
    node->conf.host.len = node->place.len;
    node->conf.port = node->place.port;

#if (NGX_SSL)

    /* without ssl_name it must be whom the others say it is */

    if (node->conf.tls && node->conf.tls->name.len == 0) {
        node->tls.name.data = node->place.host;
    }

    if (node->tls.name.data == node->place.host) {
        node->tls.name.len = node->place.len;
    }

#endif
}


void
ngx_mtd_node_said(ngx_mtd_node_t *node, ngx_mtd_place_t *place,
    ngx_mtd_role_e role)
{
    if (node->role == role) {

        if (ngx_mtd_node_at(node, place)) {
            ngx_mtd_node_stays(node);
            return;
        }

        if (place->socklen == 0 && ngx_mtd_node_look(node, place) == NGX_OK) {
            return;
        }
    }

    ngx_mtd_node_restart(node);
}


/* a worker that went astray may have taken the zone with it */

static void
ngx_mtd_node_stays(ngx_mtd_node_t *node)
{
    if (!ngx_exiting) {
        ngx_mtd_zone_serve(node->zone, node->data.server);
    }
}


/* does this name lead to where data is connected to? */

static ngx_int_t
ngx_mtd_node_look(ngx_mtd_node_t *node, ngx_mtd_place_t *place)
{
    ngx_resolver_ctx_t  *ctx;

    if (node->conf.resolver == NULL
        || ngx_inet_get_port(node->data.peer.sockaddr) != place->port)
    {
        return NGX_ERROR;
    }

    ngx_mtd_node_look_done(node);

    ctx = ngx_resolve_start(node->conf.resolver, NULL);

    if (ctx == NULL || ctx == NGX_NO_RESOLVER) {
        return NGX_ERROR;
    }

    node->also = *place;
    node->looked = node->data.epoch;
    node->looking = ctx;

    ctx->name.data = node->also.host;
    ctx->name.len = node->also.len;
    ctx->handler = ngx_mtd_node_looked;
    ctx->data = node;
    ctx->timeout = ngx_min(node->conf.resolver_timeout, NGX_MTD_NODE_LOOK);
    ctx->cancelable = 1;

    if (ngx_resolve_name(ctx) != NGX_OK) {
        node->looking = NULL;
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* who is at neither may be a master that is none any more */

static void
ngx_mtd_node_looked(ngx_resolver_ctx_t *ctx)
{
    ngx_uint_t              i, same;
    ngx_mtd_node_t         *node;
    ngx_peer_connection_t  *peer;

    node = ctx->data;
    node->looking = NULL;

    peer = &node->data.peer;
    same = 0;

    for (i = 0; ctx->state == NGX_OK && i < ctx->naddrs; i++) {
        same |= (ngx_cmp_sockaddr(ctx->addrs[i].sockaddr,
                                  ctx->addrs[i].socklen, peer->sockaddr,
                                  peer->socklen, 0)
                 == NGX_OK);
    }

    ngx_resolve_name_done(ctx);

    if (node->data.state != NGX_MTD_REDIS_READY
        || node->data.epoch != node->looked)
    {
        return;
    }

    if (same) {
        ngx_mtd_node_stays(node);

    } else {
        ngx_mtd_node_restart(node);
    }
}


static void
ngx_mtd_node_look_done(ngx_mtd_node_t *node)
{
    if (node->looking) {
        ngx_resolve_name_done(node->looking);
        node->looking = NULL;
    }
}


void
ngx_mtd_node_restart(ngx_mtd_node_t *node)
{
    ngx_mtd_node_look_done(node);

    if (node->linked) {
        ngx_mtd_link_stop(&node->link);
    }

    ngx_mtd_redis_restart(&node->data);
}


ngx_uint_t
ngx_mtd_node_at(ngx_mtd_node_t *node, ngx_mtd_place_t *place)
{
    if (node->data.state <= NGX_MTD_REDIS_RESOLVING) {
        return 0;
    }

    if (place->socklen == 0) {
        return ngx_mtd_place_same(&node->place, place)
               || (node->looking == NULL
                   && ngx_mtd_place_same(&node->also, place));
    }

    /* one Sentinel may tell the address behind the name of another one */

    return ngx_cmp_sockaddr(node->data.peer.sockaddr, node->data.peer.socklen,
                            &place->sockaddr.sockaddr, place->socklen, 1)
           == NGX_OK;
}


/* where it was said to be, else as configured */

void
ngx_mtd_node_name(ngx_mtd_node_t *node, ngx_str_t *name, u_char *buf)
{
    if (node->place.len == 0) {
        *name = node->conf.name;
        return;
    }

    name->data = buf;
    name->len = ngx_mtd_place_text(&node->place, buf);
}


const char *
ngx_mtd_node_role_name(ngx_mtd_node_t *node)
{
    static const char  *names[] = {
        [NGX_MTD_ROLE_ANY] = "any",
        [NGX_MTD_ROLE_MASTER] = "master",
        [NGX_MTD_ROLE_REPLICA] = "replica"
    };

    return names[node->role];
}


size_t
ngx_mtd_node_address(ngx_mtd_node_t *node, u_char *buf)
{
    if (node->data.state <= NGX_MTD_REDIS_RESOLVING) {
        return 0;
    }

    return ngx_sock_ntop(node->data.peer.sockaddr, node->data.peer.socklen,
                         buf, NGX_SOCKADDR_STRLEN, 1);
}


void
ngx_mtd_node_stop(ngx_mtd_node_t *node)
{
    ngx_mtd_node_look_done(node);

    if (node->check.timer_set) {
        ngx_del_timer(&node->check);
    }

    if (node->linked) {
        ngx_mtd_link_stop(&node->link);
    }

    ngx_mtd_redis_stop(&node->data);
}


void
ngx_mtd_node_destroy(ngx_mtd_node_t *node)
{
    ngx_mtd_node_look_done(node);

    if (node->check.timer_set) {
        ngx_del_timer(&node->check);
    }

    if (node->linked) {
        ngx_mtd_link_destroy(&node->link);
    }

    ngx_mtd_redis_destroy(&node->data);
}


/* a server that is loading, or wants a password, does not say PONG */

static void
ngx_mtd_node_hello(void *data)
{
    ngx_mtd_node_t *node = data;

    ngx_str_t  argv[1];

    ngx_str_set(&argv[0], "PING");

    if ((node->role != NGX_MTD_ROLE_ANY
         && ngx_mtd_node_ask_role(node) != NGX_OK)
        || ngx_mtd_redis_command(&node->data, argv, 1, ngx_mtd_node_pong,
                                 node)
           != NGX_OK)
    {
        ngx_mtd_redis_fail(&node->data, "there is no memory", NULL);
    }
}


/* INFO says what ROLE does, and the gate has the right to it already */

static ngx_int_t
ngx_mtd_node_ask_role(ngx_mtd_node_t *node)
{
    ngx_str_t  argv[2];

    ngx_str_set(&argv[0], "INFO");
    ngx_str_set(&argv[1], "replication");

    return ngx_mtd_redis_command(&node->data, argv, 2,
                                 ngx_mtd_node_role_reply, node);
}


static void
ngx_mtd_node_role_reply(void *data, ngx_int_t rc, ngx_mtd_reply_t *reply)
{
    ngx_mtd_node_t *node = data;

    u_char            address[NGX_SOCKADDR_STRLEN];
    size_t            len;
    const char       *why;
    ngx_mtd_value_t  *value;

    if (rc != NGX_OK) {
        return;
    }

    value = &reply->value[0];

    if (reply->array || value->type != NGX_MTD_VALUE_STRING) {
        ngx_mtd_redis_fail(&node->data, "it refused INFO",
                           ngx_mtd_resp_error(reply));
        return;
    }

    why = ngx_mtd_node_role(node, &value->text);

    if (why) {
        len = ngx_mtd_node_address(node, address);

        ngx_log_error(NGX_LOG_INFO, &node->data.log, 0,
                      "redis %V at %*s: %s", &node->conf.name, len, address,
                      why);

        /* what it tells of changes is worth no more than its answers */

        if (node->linked) {
            ngx_mtd_link_stop(&node->link);
        }

        ngx_mtd_redis_fail(&node->data, why, NULL);
    }
}


static const char *
ngx_mtd_node_role(ngx_mtd_node_t *node, ngx_str_t *info)
{
    if (node->role == NGX_MTD_ROLE_MASTER) {
        return ngx_mtd_node_says(info, "role:master")
               ? NULL : "it is not the master";
    }

    if (!ngx_mtd_node_says(info, "role:slave")) {
        return "it is not a replica";
    }

    return ngx_mtd_node_says(info, "master_link_status:up")
           ? NULL : "it has lost its master";
}


static ngx_uint_t
ngx_mtd_node_says(ngx_str_t *info, const char *line)
{
    u_char  *p, *last;
    size_t   len;

    len = ngx_strlen(line);
    last = info->data + info->len;

    for (p = info->data; p && (size_t) (last - p) >= len; /* void */ ) {

        if (ngx_strncmp(p, line, len) == 0
            && (p + len == last || p[len] == CR || p[len] == LF))
        {
            return 1;
        }

        p = ngx_strlchr(p, last, LF);

        if (p) {
            p++;
        }
    }

    return 0;
}


static void
ngx_mtd_node_pong(void *data, ngx_int_t rc, ngx_mtd_reply_t *reply)
{
    ngx_mtd_node_t *node = data;

    if (rc != NGX_OK) {
        return;
    }

    if (reply->array || reply->value[0].type != NGX_MTD_VALUE_STATUS) {
        ngx_mtd_redis_fail(&node->data, "it refused PING",
                           ngx_mtd_resp_error(reply));
        return;
    }

    ngx_mtd_redis_ready(&node->data);
}


/*
 * The name, or the address behind it, may have moved to another server
 * meanwhile: then the link is made anew, to the very address of the lookups.
 */

static void
ngx_mtd_node_ready(void *data)
{
    ngx_mtd_node_t *node = data;

    ngx_mtd_zone_count(node->zone, NGX_MTD_COUNT_CONNECTS);

    if (node->linked
        && (node->link.redis.state != NGX_MTD_REDIS_READY
            || node->link.redis.server != node->data.server))
    {
        ngx_mtd_link_start(&node->link, &node->data);
    }

    if (node->role != NGX_MTD_ROLE_ANY && !node->check.timer_set) {
        ngx_add_timer(&node->check, NGX_MTD_NODE_CHECK);
    }

    node->on_ready(node);
}


static void
ngx_mtd_node_down(void *data)
{
    ngx_mtd_node_t *node = data;

    ngx_mtd_zone_count(node->zone, NGX_MTD_COUNT_DISCONNECTS);

    if (node->check.timer_set) {
        ngx_del_timer(&node->check);
    }

    node->on_down(node);
}


/* lookups still ask the server that was there before */

static void
ngx_mtd_node_link_moved(void *data)
{
    ngx_mtd_node_moved(data);
}


/* behind one address there may be several servers: not in circles */

void
ngx_mtd_node_moved(ngx_mtd_node_t *node)
{
    if (ngx_exiting
        || (node->moved
            && ngx_current_msec - node->moved < NGX_MTD_NODE_CHECK))
    {
        return;
    }

    node->moved = ngx_current_msec;

    ngx_mtd_redis_start(&node->data, NULL, 0);
}


/* requests may still need it; it is closed when the worker exits */

static void
ngx_mtd_node_shutdown(void *data)
{
    /* void */
}


/*
 * A replica goes on when its master is gone, and a master that has become a
 * replica may not tell its clients.
 */

static void
ngx_mtd_node_check_handler(ngx_event_t *ev)
{
    ngx_mtd_node_t  *node;

    node = ev->data;

    if (node->data.state != NGX_MTD_REDIS_READY) {
        return;
    }

    ngx_add_timer(ev, NGX_MTD_NODE_CHECK);

    if (ngx_mtd_node_ask_role(node) != NGX_OK) {
        ngx_mtd_redis_fail(&node->data, "there is no memory", NULL);
    }
}
