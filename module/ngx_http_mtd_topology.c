
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include "ngx_http_mtd_block.h"
#include "ngx_http_mtd_topology.h"


#define NGX_HTTP_MTD_REDIS_PORT      6379
#define NGX_HTTP_MTD_SENTINEL_PORT   26379


static ngx_uint_t ngx_http_mtd_topology_has(ngx_array_t *servers,
    ngx_str_t *server);
static char *ngx_http_mtd_topology_server(ngx_conf_t *cf,
    ngx_mtd_store_t *store, ngx_str_t *server, const char *what,
    in_port_t port, ngx_mtd_redis_conf_t *conf);
static char *ngx_http_mtd_topology_sentinels(ngx_conf_t *cf,
    ngx_mtd_store_t *store, ngx_http_mtd_topology_t *topology);
static ngx_int_t ngx_http_mtd_topology_name(ngx_conf_t *cf,
    ngx_http_mtd_topology_t *topology, ngx_str_t *name);
#if (NGX_SSL)
static ngx_int_t ngx_http_mtd_topology_tls(ngx_conf_t *cf,
    ngx_mtd_redis_conf_t *conf, ngx_mtd_tls_t *tls);
#endif
static char *ngx_http_mtd_topology_cluster(ngx_conf_t *cf,
    ngx_mtd_store_t *store, ngx_http_mtd_topology_t *topology);
static ngx_mtd_redis_conf_t *ngx_http_mtd_topology_servers(
    ngx_mtd_store_t *store, ngx_uint_t *n);
static void ngx_http_mtd_topology_resolver(ngx_conf_t *cf,
    ngx_mtd_redis_conf_t *conf);
static ngx_int_t ngx_http_mtd_topology_resolve_one(ngx_conf_t *cf,
    ngx_mtd_store_t *store, ngx_mtd_redis_conf_t *conf, const char *what);


char *
ngx_http_mtd_set_server(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char  *p = conf;

    char         *rv;
    ngx_str_t    *value, *server;
    ngx_array_t  *servers;

    servers = (ngx_array_t *) (p + cmd->offset);
    value = cf->args->elts;

    rv = ngx_http_mtd_block_word(&value[1]);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    if (ngx_http_mtd_topology_has(servers, &value[1])) {
        return "is duplicate";
    }

    server = ngx_array_push(servers);
    if (server == NULL) {
        return NGX_CONF_ERROR;
    }

    *server = value[1];

    return NGX_CONF_OK;
}


char *
ngx_http_mtd_set_sentinel(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char  *p = conf;

    char                     *rv;
    ngx_str_t                *value, *server, last;
    ngx_uint_t                i;
    ngx_http_mtd_topology_t  *topology;

    topology = (ngx_http_mtd_topology_t *) (p + cmd->offset);
    value = cf->args->elts;

    if (topology->master.data) {
        return "is duplicate";
    }

    topology->master = value[1];

    for (i = 1; i < cf->args->nelts; i++) {
        last = value[i];
        rv = ngx_http_mtd_block_word(&last);

        if (rv == NGX_CONF_OK && i > 1
            && ngx_http_mtd_topology_has(&topology->sentinels, &last))
        {
            rv = "is duplicate";
        }

        if (rv != NGX_CONF_OK) {

            /* the message is about value[1] */

            value[1] = last;
            return rv;
        }

        if (i > 1) {
            server = ngx_array_push(&topology->sentinels);
            if (server == NULL) {
                return NGX_CONF_ERROR;
            }

            *server = last;
        }
    }

    return NGX_CONF_OK;
}


static ngx_uint_t
ngx_http_mtd_topology_has(ngx_array_t *servers, ngx_str_t *server)
{
    ngx_str_t   *elt;
    ngx_uint_t   i;

    elt = servers->elts;

    for (i = 0; i < servers->nelts; i++) {
        if (elt[i].len == server->len
            && ngx_memcmp(elt[i].data, server->data, server->len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


ngx_int_t
ngx_http_mtd_topology_init(ngx_conf_t *cf, ngx_http_mtd_topology_t *topology)
{
    topology->read = NGX_CONF_UNSET_UINT;
    topology->cluster = NGX_CONF_UNSET_UINT;

    if (ngx_array_init(&topology->servers, cf->temp_pool, 1,
                       sizeof(ngx_str_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_array_init(&topology->sentinels, cf->temp_pool, 3,
                          sizeof(ngx_str_t));
}


char *
ngx_http_mtd_topology(ngx_conf_t *cf, ngx_mtd_store_t *store,
    ngx_http_mtd_topology_t *topology)
{
    ngx_str_t   *server;
    const char  *why;

    ngx_conf_init_uint_value(topology->read, 0);
    ngx_conf_init_uint_value(topology->cluster, 0);

    server = topology->servers.elts;
    why = NULL;

    if (topology->servers.nelts == 0 && topology->sentinels.nelts == 0) {
        why = "has no \"server\", and no \"sentinel\" that knows where it is";

    } else if (topology->servers.nelts && topology->sentinels.nelts) {
        why = "has both \"server\" and \"sentinel\", but the Sentinels tell "
              "where its server is";

    } else if (topology->sentinels.nelts && topology->cluster) {
        why = "has both \"sentinel\" and \"cluster on\", but a cluster does "
              "without Sentinels";

    } else if (topology->servers.nelts > 1 && !topology->cluster) {
        why = "has more than one \"server\", but no \"cluster on\"";

    } else if (topology->servers.nelts > NGX_MTD_CLUSTER_NODES) {
        why = "has more than 256 servers";

    } else if (topology->cluster && store->redis_conf.database) {
        why = "has a \"database\", but a cluster has database 0 only";

    } else if (topology->cluster && topology->read) {
        why = "has both \"cluster on\" and \"read replica\", but in a cluster "
              "masters are read";

    } else if (topology->sentinels.nelts > NGX_MTD_SENTINELS) {
        why = "has more than 16 Sentinels";

    } else if (topology->read && topology->sentinels.nelts == 0) {
        why = "has \"read replica\", but no \"sentinel\" that knows its "
              "replicas; \"server\" may be one";

    } else if ((topology->sentinel_user.len || topology->sentinel_password.len)
               && topology->sentinels.nelts == 0)
    {
        why = "has a login for Sentinels, but no \"sentinel\"";

    } else if (topology->sentinel_user.len
               && topology->sentinel_password.len == 0)
    {
        why = "has a \"sentinel_user\" but no \"sentinel_password\"";
    }

    if (why) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "mtd_redis \"%V\" %s",
                           &store->name, why);
        return NGX_CONF_ERROR;
    }

    if (ngx_http_mtd_topology_name(cf, topology, &store->server) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (topology->sentinels.nelts) {
        store->redis_conf.name = topology->master;

        return ngx_http_mtd_topology_sentinels(cf, store, topology);
    }

    if (topology->cluster) {
        store->redis_conf.name = store->server;

        return ngx_http_mtd_topology_cluster(cf, store, topology);
    }

    return ngx_http_mtd_topology_server(cf, store, &server[0], "server",
                                        NGX_HTTP_MTD_REDIS_PORT,
                                        &store->redis_conf);
}


/* "SERVER", "MASTER@SENTINEL,SENTINEL" or "SERVER,SERVER" */

static ngx_int_t
ngx_http_mtd_topology_name(ngx_conf_t *cf, ngx_http_mtd_topology_t *topology,
    ngx_str_t *name)
{
    size_t        len;
    u_char       *p;
    ngx_str_t    *server;
    ngx_uint_t    i;
    ngx_array_t  *servers;

    servers = topology->sentinels.nelts ? &topology->sentinels
                                        : &topology->servers;
    server = servers->elts;
    len = topology->master.len + 1;

    for (i = 0; i < servers->nelts; i++) {
        len += 1 + server[i].len;
    }

    p = ngx_pnalloc(cf->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    name->data = p;

    if (topology->master.len) {
        p = ngx_cpymem(p, topology->master.data, topology->master.len);
        *p++ = '@';
    }

    for (i = 0; i < servers->nelts; i++) {

        if (i) {
            *p++ = ',';
        }

        p = ngx_cpymem(p, server[i].data, server[i].len);
    }

    name->len = p - name->data;

    return NGX_OK;
}


/* names are resolved when it is known whether there is a resolver */

static char *
ngx_http_mtd_topology_server(ngx_conf_t *cf, ngx_mtd_store_t *store,
    ngx_str_t *server, const char *what, in_port_t port,
    ngx_mtd_redis_conf_t *conf)
{
    ngx_url_t  u;

    ngx_memzero(&u, sizeof(ngx_url_t));

    u.url = *server;
    u.default_port = port;
    u.no_resolve = 1;

    if (ngx_parse_url(cf->pool, &u) != NGX_OK || u.uri.len) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid %s \"%V\" in mtd_redis \"%V\"%s%s; "
                           "it must be host:port or unix:path",
                           what, server, &store->name,
                           u.err ? ": " : "", u.err ? u.err : "");
        return NGX_CONF_ERROR;
    }

    conf->name = *server;
    conf->addrs = u.addrs;
    conf->naddrs = u.naddrs;
    conf->host = u.host;
    conf->port = u.port;

    return NGX_CONF_OK;
}


static char *
ngx_http_mtd_topology_sentinels(ngx_conf_t *cf, ngx_mtd_store_t *store,
    ngx_http_mtd_topology_t *topology)
{
    ngx_str_t                *server;
    ngx_uint_t                i, n;
    ngx_mtd_redis_conf_t     *conf;
    ngx_mtd_sentinel_conf_t  *sentinel;

    server = topology->sentinels.elts;
    n = topology->sentinels.nelts;
    sentinel = &store->sentinel_conf;

    conf = ngx_pcalloc(cf->pool, n * sizeof(ngx_mtd_redis_conf_t));
    if (conf == NULL) {
        return NGX_CONF_ERROR;
    }

    sentinel->master = topology->master;
    sentinel->replica = topology->read;
    sentinel->servers = conf;
    sentinel->n = n;

    for (i = 0; i < n; i++) {

        if (ngx_http_mtd_topology_server(cf, store, &server[i], "sentinel",
                                         NGX_HTTP_MTD_SENTINEL_PORT, &conf[i])
            != NGX_CONF_OK)
        {
            return NGX_CONF_ERROR;
        }

        conf[i].user = topology->sentinel_user;
        conf[i].password = topology->sentinel_password;
        conf[i].connect_timeout = ngx_min(store->redis_conf.connect_timeout,
                                          NGX_MTD_SENTINEL_TIMEOUT);
        conf[i].timeout = store->redis_conf.timeout;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_mtd_topology_cluster(ngx_conf_t *cf, ngx_mtd_store_t *store,
    ngx_http_mtd_topology_t *topology)
{
    ngx_str_t             *server;
    ngx_uint_t             i, n;
    ngx_mtd_redis_conf_t  *conf;

    server = topology->servers.elts;
    n = topology->servers.nelts;

    conf = ngx_palloc(cf->pool, n * sizeof(ngx_mtd_redis_conf_t));
    if (conf == NULL) {
        return NGX_CONF_ERROR;
    }

    store->cluster_conf.seeds = conf;
    store->cluster_conf.n = n;

    for (i = 0; i < n; i++) {
        conf[i] = store->redis_conf;

        if (ngx_http_mtd_topology_server(cf, store, &server[i], "server",
                                         NGX_HTTP_MTD_REDIS_PORT, &conf[i])
            != NGX_CONF_OK)
        {
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


#if (NGX_SSL)

ngx_int_t
ngx_http_mtd_topology_secure(ngx_conf_t *cf, ngx_mtd_store_t *store)
{
    ngx_uint_t             i, n;
    ngx_mtd_redis_conf_t  *conf;

    conf = ngx_http_mtd_topology_servers(store, &n);

    for (i = 0; conf != &store->redis_conf && i < n; i++) {
        if (ngx_http_mtd_topology_tls(cf, &conf[i], store->redis_conf.tls)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* the same but for the name, which is its own unless all have one */

static ngx_int_t
ngx_http_mtd_topology_tls(ngx_conf_t *cf, ngx_mtd_redis_conf_t *conf,
    ngx_mtd_tls_t *tls)
{
    u_char     *p;
    ngx_str_t   name;

    conf->tls = ngx_palloc(cf->pool, sizeof(ngx_mtd_tls_t));
    if (conf->tls == NULL) {
        return NGX_ERROR;
    }

    *conf->tls = *tls;

    name = conf->host;

    if (tls->name.len || name.len == 0) {
        return NGX_OK;
    }

    if (conf->naddrs && conf->addrs[0].sockaddr->sa_family == AF_UNIX) {

        if (!tls->verify) {
            return NGX_OK;
        }

        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"%V\" of an mtd_redis with \"ssl on\" needs "
                      "\"ssl_name\", because a socket has no name",
                      &conf->name);
        return NGX_ERROR;
    }

    if (name.len > 2 && name.data[0] == '[') {
        name.data++;
        name.len -= 2;
    }

    p = ngx_pnalloc(cf->pool, name.len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_cpystrn(p, name.data, name.len + 1);

    conf->tls->name.data = p;
    conf->tls->name.len = name.len;

    return NGX_OK;
}

#endif


ngx_int_t
ngx_http_mtd_topology_resolve(ngx_conf_t *cf, ngx_mtd_store_t *store)
{
    ngx_uint_t             i, n;
    const char            *what;
    ngx_mtd_redis_conf_t  *conf;

    conf = ngx_http_mtd_topology_servers(store, &n);
    what = store->sentinel_conf.n ? "sentinel" : "server";

    for (i = 0; i < n; i++) {
        if (ngx_http_mtd_topology_resolve_one(cf, store, &conf[i], what)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        /* of several the next one is asked soon */

        if (n > 1) {
            conf[i].resolver_timeout = ngx_min(conf[i].resolver_timeout,
                                               conf[i].connect_timeout);
        }
    }

    if (conf != &store->redis_conf) {

        /* those who are asked may tell names, too */

        conf = &store->redis_conf;

        ngx_http_mtd_topology_resolver(cf, conf);

        conf->resolver_timeout = ngx_min(conf->resolver_timeout,
                                         conf->connect_timeout);
    }

    return NGX_OK;
}


/* all whose addresses are configured */

static ngx_mtd_redis_conf_t *
ngx_http_mtd_topology_servers(ngx_mtd_store_t *store, ngx_uint_t *n)
{
    if (store->sentinel_conf.n) {
        *n = store->sentinel_conf.n;
        return store->sentinel_conf.servers;
    }

    if (store->cluster_conf.n) {
        *n = store->cluster_conf.n;
        return store->cluster_conf.seeds;
    }

    *n = 1;

    return &store->redis_conf;
}


static void
ngx_http_mtd_topology_resolver(ngx_conf_t *cf, ngx_mtd_redis_conf_t *conf)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->resolver && clcf->resolver->connections.nelts) {
        conf->resolver = clcf->resolver;

        /* not merged yet: nginx's own default is set later */

        conf->resolver_timeout = clcf->resolver_timeout != NGX_CONF_UNSET_MSEC
                                 ? clcf->resolver_timeout : 30000;
    }
}


static ngx_int_t
ngx_http_mtd_topology_resolve_one(ngx_conf_t *cf, ngx_mtd_store_t *store,
    ngx_mtd_redis_conf_t *conf, const char *what)
{
    ngx_url_t  u;

    if (conf->naddrs) {
        return NGX_OK;
    }

    ngx_http_mtd_topology_resolver(cf, conf);

    if (conf->resolver) {
        return NGX_OK;
    }

    ngx_memzero(&u, sizeof(ngx_url_t));
    u.host = conf->host;
    u.port = conf->port;

    if (ngx_inet_resolve_host(cf->pool, &u) != NGX_OK) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "%s \"%V\" of mtd_redis \"%V\" cannot be resolved%s%s; "
                      "with a \"resolver\" in http {} it is looked up at run "
                      "time",
                      what, &conf->name, &store->name,
                      u.err ? ": " : "", u.err ? u.err : "");
        return NGX_ERROR;
    }

    conf->addrs = u.addrs;
    conf->naddrs = u.naddrs;

    return NGX_OK;
}
