
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include "ngx_http_mtd_module.h"
#include "ngx_http_mtd_block.h"
#include "ngx_http_mtd_topology.h"


/* mtd_redis {} as it is written */

typedef struct {
    ngx_http_mtd_topology_t    topology;
    ngx_str_t                  user;
    ngx_str_t                  password;
    ngx_int_t                  database;
    ngx_str_t                  prefix;
    ngx_str_t                  key_secret;
    size_t                     zone;
    ngx_msec_t                 connect_timeout;
    ngx_msec_t                 timeout;
    ngx_msec_t                 fresh;
    ngx_msec_t                 unknown;
    ngx_msec_t                 stale;
    time_t                     ttl;
    ngx_str_t                  state;
    ngx_uint_t                 preload;
#if (NGX_SSL)
    ngx_uint_t                 ssl;
    ngx_uint_t                 ssl_verify;
    ngx_str_t                  ssl_name;
    ngx_str_t                  ssl_trusted_certificate;
    ngx_str_t                  ssl_certificate;
    ngx_str_t                  ssl_certificate_key;
#endif
} ngx_http_mtd_redis_t;


static char *ngx_http_mtd_store(ngx_conf_t *cf, ngx_mtd_store_t *store,
    ngx_http_mtd_redis_t *redis);
static char *ngx_http_mtd_store_state(ngx_conf_t *cf,
    ngx_mtd_store_t *store, ngx_str_t *path);
static ngx_uint_t ngx_http_mtd_store_beside(ngx_str_t *tmp, ngx_str_t *path);
static char *ngx_http_mtd_store_times(ngx_conf_t *cf,
    ngx_http_mtd_redis_t *redis);
#if (NGX_SSL)
static char *ngx_http_mtd_store_tls(ngx_conf_t *cf, ngx_mtd_store_t *store,
    ngx_http_mtd_redis_t *redis);
static char *ngx_http_mtd_store_tls_name(ngx_conf_t *cf,
    ngx_mtd_store_t *store, ngx_http_mtd_redis_t *redis);
#endif


static ngx_conf_enum_t  ngx_http_mtd_reads[] = {
    { ngx_string("master"), 0 },
    { ngx_string("replica"), 1 },
    { ngx_null_string, 0 }
};

static ngx_http_mtd_hint_t  ngx_http_mtd_text_hint = {
    "printable characters without spaces", NULL
};

static ngx_http_mtd_hint_t  ngx_http_mtd_server_hint = {
    "host:port or unix:path", NULL
};

static ngx_http_mtd_hint_t  ngx_http_mtd_file_hint = {
    "the path of a file, without spaces", NULL
};

static ngx_http_mtd_hint_t  ngx_http_mtd_sentinel_hint = {
    "the master's name and the host:port of each Sentinel", NULL
};

static ngx_http_mtd_hint_t  ngx_http_mtd_read_hint = {
    "master or replica", ngx_http_mtd_reads
};

static ngx_http_mtd_hint_t  ngx_http_mtd_secret_hint = {
    "file:PATH of a file that holds it", NULL
};

static ngx_http_mtd_hint_t  ngx_http_mtd_database_hint = {
    "a number from 0 to 65535", NULL
};

static ngx_http_mtd_hint_t  ngx_http_mtd_zone_hint = {
    "a size of at least 256k, such as 128m", NULL
};


static ngx_command_t  ngx_http_mtd_redis_commands[] = {

    { ngx_string("server"),
      NGX_CONF_TAKE1,
      ngx_http_mtd_set_server,
      0,
      offsetof(ngx_http_mtd_redis_t, topology.servers),
      &ngx_http_mtd_server_hint },

    { ngx_string("sentinel"),
      NGX_CONF_2MORE,
      ngx_http_mtd_set_sentinel,
      0,
      offsetof(ngx_http_mtd_redis_t, topology),
      &ngx_http_mtd_sentinel_hint },

    { ngx_string("sentinel_user"),
      NGX_CONF_TAKE1,
      ngx_http_mtd_block_text,
      0,
      offsetof(ngx_http_mtd_redis_t, topology.sentinel_user),
      &ngx_http_mtd_text_hint },

    { ngx_string("sentinel_password"),
      NGX_CONF_TAKE1,
      ngx_http_mtd_block_secret,
      0,
      offsetof(ngx_http_mtd_redis_t, topology.sentinel_password),
      &ngx_http_mtd_secret_hint },

    { ngx_string("cluster"),
      NGX_CONF_TAKE1,
      ngx_http_mtd_block_enum,
      0,
      offsetof(ngx_http_mtd_redis_t, topology.cluster),
      &ngx_http_mtd_block_switch },

    { ngx_string("read"),
      NGX_CONF_TAKE1,
      ngx_http_mtd_block_enum,
      0,
      offsetof(ngx_http_mtd_redis_t, topology.read),
      &ngx_http_mtd_read_hint },

    { ngx_string("user"),
      NGX_CONF_TAKE1,
      ngx_http_mtd_block_text,
      0,
      offsetof(ngx_http_mtd_redis_t, user),
      &ngx_http_mtd_text_hint },

    { ngx_string("password"),
      NGX_CONF_TAKE1,
      ngx_http_mtd_block_secret,
      0,
      offsetof(ngx_http_mtd_redis_t, password),
      &ngx_http_mtd_secret_hint },

    { ngx_string("database"),
      NGX_CONF_TAKE1,
      ngx_http_mtd_block_number,
      0,
      offsetof(ngx_http_mtd_redis_t, database),
      &ngx_http_mtd_database_hint },

    { ngx_string("prefix"),
      NGX_CONF_TAKE1,
      ngx_http_mtd_block_text,
      0,
      offsetof(ngx_http_mtd_redis_t, prefix),
      &ngx_http_mtd_text_hint },

    { ngx_string("key_secret"),
      NGX_CONF_TAKE1,
      ngx_http_mtd_block_secret,
      0,
      offsetof(ngx_http_mtd_redis_t, key_secret),
      &ngx_http_mtd_secret_hint },

    { ngx_string("zone"),
      NGX_CONF_TAKE1,
      ngx_http_mtd_block_size,
      0,
      offsetof(ngx_http_mtd_redis_t, zone),
      &ngx_http_mtd_zone_hint },

    { ngx_string("connect_timeout"),
      NGX_CONF_TAKE1,
      ngx_http_mtd_block_msec,
      0,
      offsetof(ngx_http_mtd_redis_t, connect_timeout),
      &ngx_http_mtd_block_time },

    { ngx_string("timeout"),
      NGX_CONF_TAKE1,
      ngx_http_mtd_block_msec,
      0,
      offsetof(ngx_http_mtd_redis_t, timeout),
      &ngx_http_mtd_block_time },

    { ngx_string("fresh"),
      NGX_CONF_TAKE1,
      ngx_http_mtd_block_msec,
      0,
      offsetof(ngx_http_mtd_redis_t, fresh),
      &ngx_http_mtd_block_time },

    { ngx_string("unknown"),
      NGX_CONF_TAKE1,
      ngx_http_mtd_block_msec,
      0,
      offsetof(ngx_http_mtd_redis_t, unknown),
      &ngx_http_mtd_block_time },

    { ngx_string("stale"),
      NGX_CONF_TAKE1,
      ngx_http_mtd_block_msec,
      0,
      offsetof(ngx_http_mtd_redis_t, stale),
      &ngx_http_mtd_block_time },

    { ngx_string("ttl"),
      NGX_CONF_TAKE1,
      ngx_http_mtd_block_sec,
      0,
      offsetof(ngx_http_mtd_redis_t, ttl),
      &ngx_http_mtd_block_seconds },

    { ngx_string("state"),
      NGX_CONF_TAKE1,
      ngx_http_mtd_block_text,
      0,
      offsetof(ngx_http_mtd_redis_t, state),
      &ngx_http_mtd_file_hint },

    { ngx_string("preload"),
      NGX_CONF_TAKE1,
      ngx_http_mtd_block_enum,
      0,
      offsetof(ngx_http_mtd_redis_t, preload),
      &ngx_http_mtd_block_switch },

#if (NGX_SSL)

    { ngx_string("ssl"),
      NGX_CONF_TAKE1,
      ngx_http_mtd_block_enum,
      0,
      offsetof(ngx_http_mtd_redis_t, ssl),
      &ngx_http_mtd_block_switch },

    { ngx_string("ssl_verify"),
      NGX_CONF_TAKE1,
      ngx_http_mtd_block_enum,
      0,
      offsetof(ngx_http_mtd_redis_t, ssl_verify),
      &ngx_http_mtd_block_switch },

    { ngx_string("ssl_name"),
      NGX_CONF_TAKE1,
      ngx_http_mtd_block_text,
      0,
      offsetof(ngx_http_mtd_redis_t, ssl_name),
      &ngx_http_mtd_text_hint },

    { ngx_string("ssl_trusted_certificate"),
      NGX_CONF_TAKE1,
      ngx_http_mtd_block_text,
      0,
      offsetof(ngx_http_mtd_redis_t, ssl_trusted_certificate),
      &ngx_http_mtd_text_hint },

    { ngx_string("ssl_certificate"),
      NGX_CONF_TAKE1,
      ngx_http_mtd_block_text,
      0,
      offsetof(ngx_http_mtd_redis_t, ssl_certificate),
      &ngx_http_mtd_text_hint },

    { ngx_string("ssl_certificate_key"),
      NGX_CONF_TAKE1,
      ngx_http_mtd_block_text,
      0,
      offsetof(ngx_http_mtd_redis_t, ssl_certificate_key),
      &ngx_http_mtd_text_hint },

#endif

      ngx_null_command
};


char *
ngx_http_mtd_redis_block(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_mtd_main_conf_t *mmcf = conf;

    char                  *rv;
    ngx_str_t             *value;
    ngx_mtd_store_t      **elt, *store;
    ngx_http_mtd_block_t   block;
    ngx_http_mtd_redis_t   redis;

    value = cf->args->elts;

    if (ngx_http_mtd_block_name(cf, &value[1]) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_mtd_store_find(mmcf, &value[1])) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "duplicate mtd_redis \"%V\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    store = ngx_pcalloc(cf->pool, sizeof(ngx_mtd_store_t));
    elt = ngx_array_push(&mmcf->stores);

    if (store == NULL || elt == NULL) {
        return NGX_CONF_ERROR;
    }

    *elt = store;
    store->name = value[1];

    ngx_memzero(&redis, sizeof(ngx_http_mtd_redis_t));

    if (ngx_http_mtd_topology_init(cf, &redis.topology) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    redis.database = NGX_CONF_UNSET;
    redis.zone = NGX_CONF_UNSET_SIZE;
    redis.connect_timeout = NGX_CONF_UNSET_MSEC;
    redis.timeout = NGX_CONF_UNSET_MSEC;
    redis.fresh = NGX_CONF_UNSET_MSEC;
    redis.unknown = NGX_CONF_UNSET_MSEC;
    redis.stale = NGX_CONF_UNSET_MSEC;
    redis.ttl = NGX_CONF_UNSET;
    redis.preload = NGX_CONF_UNSET_UINT;
#if (NGX_SSL)
    redis.ssl = NGX_CONF_UNSET_UINT;
    redis.ssl_verify = NGX_CONF_UNSET_UINT;
#endif

    block.name = "mtd_redis";
    block.commands = ngx_http_mtd_redis_commands;
    block.conf = &redis;

    rv = ngx_http_mtd_block_parse(cf, &block);

    return rv == NGX_CONF_OK ? ngx_http_mtd_store(cf, store, &redis) : rv;
}


ngx_mtd_store_t *
ngx_http_mtd_store_find(ngx_http_mtd_main_conf_t *mmcf, ngx_str_t *name)
{
    ngx_uint_t         i;
    ngx_mtd_store_t  **store;

    store = mmcf->stores.elts;

    for (i = 0; i < mmcf->stores.nelts; i++) {
        if (ngx_http_mtd_block_same(&store[i]->name, name)) {
            return store[i];
        }
    }

    return NULL;
}


static char *
ngx_http_mtd_store(ngx_conf_t *cf, ngx_mtd_store_t *store,
    ngx_http_mtd_redis_t *redis)
{
    ngx_conf_init_value(redis->database, 0);
    ngx_conf_init_size_value(redis->zone, 32 * 1024 * 1024);
    ngx_conf_init_msec_value(redis->connect_timeout, 1000);
    ngx_conf_init_msec_value(redis->timeout, 200);
    ngx_conf_init_msec_value(redis->fresh, 600000);
    ngx_conf_init_msec_value(redis->unknown, 10000);
    ngx_conf_init_msec_value(redis->stale, 4 * 3600 * 1000);
    ngx_conf_init_value(redis->ttl, 30 * 86400);
    ngx_conf_init_uint_value(redis->preload, 0);

    if (redis->prefix.data == NULL) {
        ngx_str_set(&redis->prefix, "mtd:");
    }

    if (redis->prefix.len > MTD_PREFIX_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"prefix\" of mtd_redis \"%V\" is longer than "
                           "%d characters", &store->name, MTD_PREFIX_MAX);
        return NGX_CONF_ERROR;
    }

    if (redis->user.len && redis->password.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "mtd_redis \"%V\" has a \"user\" but no "
                           "\"password\"", &store->name);
        return NGX_CONF_ERROR;
    }

    if (redis->key_secret.data
        && (redis->key_secret.len < MTD_SECRET_MIN
            || redis->key_secret.len > MTD_SECRET_MAX))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"key_secret\" of mtd_redis \"%V\" must have "
                           "%d to %d bytes", &store->name, MTD_SECRET_MIN,
                           MTD_SECRET_MAX);
        return NGX_CONF_ERROR;
    }

    if (ngx_http_mtd_store_times(cf, redis) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

    store->names.prefix.len = redis->prefix.len;
    store->names.prefix.data = redis->prefix.data;
    store->names.secret.len = redis->key_secret.len;
    store->names.secret.data = redis->key_secret.data;

    store->zone_size = redis->zone;
    store->fresh = redis->fresh;
    store->unknown = redis->unknown;
    store->stale = redis->stale;
    store->ttl = redis->ttl;
    store->preload.on = redis->preload;

    store->redis_conf.user = redis->user;
    store->redis_conf.password = redis->password;
    store->redis_conf.database = redis->database;
    store->redis_conf.connect_timeout = redis->connect_timeout;
    store->redis_conf.timeout = redis->timeout;

    if (redis->state.len
        && ngx_http_mtd_store_state(cf, store, &redis->state) != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_mtd_topology(cf, store, &redis->topology) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

#if (NGX_SSL)
    return ngx_http_mtd_store_tls(cf, store, redis);
#else
    return NGX_CONF_OK;
#endif
}


static char *
ngx_http_mtd_store_state(ngx_conf_t *cf, ngx_mtd_store_t *store,
    ngx_str_t *path)
{
    ngx_str_t                  *other;
    ngx_uint_t                  i;
    ngx_mtd_store_t           **stores;
    ngx_http_mtd_main_conf_t   *mmcf;

    store->state.path = *path;
    store->state.store = &store->name;

    if (ngx_mtd_state_conf(cf, &store->state) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    mmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_mtd_module);
    stores = mmcf->stores.elts;
    path = &store->state.path;

    for (i = 0; i < mmcf->stores.nelts; i++) {
        other = &stores[i]->state.path;

        if (stores[i] == store || other->len == 0) {
            continue;
        }

        if (ngx_http_mtd_block_same(other, path)) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"%V\" is the \"state\" of mtd_redis \"%V\" "
                               "and \"%V\"; each must have a file of its own",
                               path, &stores[i]->name, &store->name);
            return NGX_CONF_ERROR;
        }

        if (ngx_http_mtd_store_beside(other, path)
            || ngx_http_mtd_store_beside(path, other))
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"state\" of mtd_redis \"%V\" and \"%V\" "
                               "differ by \".tmp\" only, which is where the "
                               "file is written first; give one another name",
                               &stores[i]->name, &store->name);
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


/* 1: the one is the temporary file of the other */

static ngx_uint_t
ngx_http_mtd_store_beside(ngx_str_t *tmp, ngx_str_t *path)
{
    ngx_str_t  base;

    base = *tmp;

    if (base.len < 4 || ngx_memcmp(base.data + base.len - 4, ".tmp", 4) != 0) {
        return 0;
    }

    base.len -= 4;

    return ngx_http_mtd_block_same(&base, path);
}


static char *
ngx_http_mtd_store_times(ngx_conf_t *cf, ngx_http_mtd_redis_t *redis)
{
    if (redis->stale < redis->fresh) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"stale\" (%Mms) must not be less than \"fresh\" "
                           "(%Mms): a record serves longer, not shorter, "
                           "while redis is away",
                           redis->stale, redis->fresh);
        return NGX_CONF_ERROR;
    }

    if (redis->stale / 1000 > (ngx_msec_t) redis->ttl) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"stale\" (%Ms) must not be more than \"ttl\" "
                           "(%Ts): a record must not outlive its key",
                           redis->stale / 1000, redis->ttl);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


#if (NGX_SSL)

static char *
ngx_http_mtd_store_tls(ngx_conf_t *cf, ngx_mtd_store_t *store,
    ngx_http_mtd_redis_t *redis)
{
    ngx_mtd_tls_t  *tls;

    ngx_conf_init_uint_value(redis->ssl, 0);

    if (!redis->ssl) {
        if (redis->ssl_verify == NGX_CONF_UNSET_UINT
            && redis->ssl_name.len == 0
            && redis->ssl_trusted_certificate.len == 0
            && redis->ssl_certificate.len == 0
            && redis->ssl_certificate_key.len == 0)
        {
            return NGX_CONF_OK;
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "mtd_redis \"%V\" has parameters of TLS, but no "
                           "\"ssl on\"", &store->name);
        return NGX_CONF_ERROR;
    }

    ngx_conf_init_uint_value(redis->ssl_verify, 1);

    if ((redis->ssl_certificate.len == 0)
        != (redis->ssl_certificate_key.len == 0))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "mtd_redis \"%V\" must have both of "
                           "\"ssl_certificate\" and "
                           "\"ssl_certificate_key\", or none", &store->name);
        return NGX_CONF_ERROR;
    }

    if (redis->ssl_verify && redis->ssl_trusted_certificate.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "mtd_redis \"%V\" verifies its server and needs "
                           "\"ssl_trusted_certificate\", a file of the CAs "
                           "that may have signed its certificate",
                           &store->name);
        return NGX_CONF_ERROR;
    }

    tls = ngx_pcalloc(cf->pool, sizeof(ngx_mtd_tls_t));
    if (tls == NULL) {
        return NGX_CONF_ERROR;
    }

    tls->verify = redis->ssl_verify;
    store->redis_conf.tls = tls;

    if (ngx_http_mtd_store_tls_name(cf, store, redis) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

    if (ngx_mtd_tls_create(cf, tls, &redis->ssl_trusted_certificate,
                           &redis->ssl_certificate,
                           &redis->ssl_certificate_key)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return ngx_http_mtd_topology_secure(cf, store) == NGX_OK
           ? NGX_CONF_OK : NGX_CONF_ERROR;
}


/* the name in the certificate is that of "server" unless it is given */

static char *
ngx_http_mtd_store_tls_name(ngx_conf_t *cf, ngx_mtd_store_t *store,
    ngx_http_mtd_redis_t *redis)
{
    u_char     *p;
    ngx_str_t   name, *server;

    name = redis->ssl_name;
    server = &store->redis_conf.name;

    if (name.len == 0
        && (server->len < 5 || ngx_strncmp(server->data, "unix:", 5) != 0))
    {
        name = store->redis_conf.host;
    }

    if (name.len == 0 && (store->sentinel_conf.n || store->cluster_conf.n)) {

        /* each server has its own */

        return NGX_CONF_OK;
    }

    if (name.len == 0 && redis->ssl_verify) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "mtd_redis \"%V\" verifies its server and needs "
                           "\"ssl_name\", because a socket has no name",
                           &store->name);
        return NGX_CONF_ERROR;
    }

    if (name.len > 2 && name.data[0] == '[') {
        name.data++;
        name.len -= 2;
    }

    p = ngx_pnalloc(cf->pool, name.len + 1);
    if (p == NULL) {
        return NGX_CONF_ERROR;
    }

    (void) ngx_cpystrn(p, name.data, name.len + 1);

    store->redis_conf.tls->name.data = p;
    store->redis_conf.tls->name.len = name.len;

    return NGX_CONF_OK;
}

#endif


ngx_int_t
ngx_http_mtd_stores(ngx_conf_t *cf, ngx_http_mtd_main_conf_t *mmcf)
{
    ngx_uint_t         i;
    ngx_mtd_store_t  **store;

    store = mmcf->stores.elts;

    for (i = 0; i < mmcf->stores.nelts; i++) {
        if (ngx_http_mtd_topology_resolve(cf, store[i]) != NGX_OK
            || ngx_mtd_store_add_zone(cf, store[i], mmcf->kinds.elts,
                                      mmcf->kinds.nelts, &ngx_http_mtd_module)
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}
