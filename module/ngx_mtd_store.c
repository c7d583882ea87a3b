
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include <openssl/hmac.h>

#include "ngx_mtd_store.h"


static ngx_int_t ngx_mtd_store_init_zone(ngx_shm_zone_t *shm_zone,
    void *data);
static void ngx_mtd_store_hello(void *data);
static void ngx_mtd_store_pong(void *data, ngx_int_t rc,
    ngx_mtd_reply_t *reply);
static void ngx_mtd_store_ready(void *data);
static void ngx_mtd_store_down(void *data);
static void ngx_mtd_store_shutdown(void *data);
static void ngx_mtd_store_moved(void *data);
static void ngx_mtd_store_changed(void *data, ngx_mtd_changed_e changed,
    const mtd_hash_t *device);
static void ngx_mtd_store_bypass_over(void *data);
static void ngx_mtd_store_aged_handler(ngx_event_t *ev);
static void ngx_mtd_store_tell(ngx_mtd_store_t *store);


ngx_int_t
ngx_mtd_store_add_zone(ngx_conf_t *cf, ngx_mtd_store_t *store,
    ngx_str_t *kinds, ngx_uint_t nkinds, void *tag)
{
    u_char        *p, *last, md[EVP_MAX_MD_SIZE];
    size_t         len;
    ngx_str_t      name, text;
    unsigned int   n;

    text.len = store->redis_conf.name.len + store->names.prefix.len
               + NGX_INT_T_LEN + 4;
    text.data = ngx_pnalloc(cf->temp_pool, text.len);

    /* an HMAC of what must not change: the secret itself does not show */

    len = sizeof("mtd:") + store->name.len + 17;
    p = ngx_pnalloc(cf->pool, len);

    if (text.data == NULL || p == NULL) {
        return NGX_ERROR;
    }

    last = ngx_sprintf(text.data, "%V %i %*s", &store->redis_conf.name,
                       store->redis_conf.database, store->names.prefix.len,
                       store->names.prefix.data);

    if (HMAC(EVP_sha256(), store->names.secret.len
                           ? store->names.secret.data : (u_char *) "",
             store->names.secret.len, text.data, last - text.data, md, &n)
        == NULL)
    {
        return NGX_ERROR;
    }

    name.data = p;
    p = ngx_sprintf(p, "mtd:%V:", &store->name);
    name.len = ngx_hex_dump(p, md, 8) - name.data;

    store->zone.kinds = kinds;
    store->zone.nkinds = nkinds;
    store->zone.secret.len = store->names.secret.len;
    store->zone.secret.data = store->names.secret.data;

    store->shm_zone = ngx_shared_memory_add(cf, &name, store->zone_size, tag);
    if (store->shm_zone == NULL) {
        return NGX_ERROR;
    }

    store->shm_zone->init = ngx_mtd_store_init_zone;
    store->shm_zone->data = &store->zone;

    store->state.zone = &store->zone;
    store->state.stale = store->stale;

    return ngx_mtd_state_bind(&store->state, &name);
}


/* what was known before goes into a zone that is new, and not into a test */

static ngx_int_t
ngx_mtd_store_init_zone(ngx_shm_zone_t *shm_zone, void *data)
{
    ngx_mtd_store_t  *store;

    if (ngx_mtd_zone_init(shm_zone, data) != NGX_OK) {
        return NGX_ERROR;
    }

    store = ngx_queue_data(shm_zone->data, ngx_mtd_store_t, zone);

    if (data == NULL && !shm_zone->shm.exists && !ngx_test_config
        && store->state.path.len)
    {
        ngx_mtd_state_load(&store->state, shm_zone->shm.log);
    }

    return NGX_OK;
}


ngx_int_t
ngx_mtd_store_init_process(ngx_mtd_store_t *store, ngx_cycle_t *cycle)
{
    ngx_log_t          *log;
    ngx_mtd_redis_t    *data;
    ngx_mtd_lookups_t  *lookups;

    log = cycle->log;

    ngx_mtd_zone_init_process(&store->zone);

    data = &store->data;

    data->conf = &store->redis_conf;
    data->role = "data";
    data->breaker = 1;
    data->data = store;
    data->on_hello = ngx_mtd_store_hello;
    data->on_ready = ngx_mtd_store_ready;
    data->on_down = ngx_mtd_store_down;
    data->on_shutdown = ngx_mtd_store_shutdown;

    ngx_mtd_redis_init(data, log);

    lookups = &store->lookups;

    lookups->zone = &store->zone;
    lookups->redis = data;
    lookups->names = &store->names;
    lookups->fresh = store->fresh;
    lookups->unknown = store->unknown;
    lookups->stale = store->stale;
    lookups->timeout = store->redis_conf.timeout;
    lookups->log = log;

    store->preload.data = data;
    store->preload.lookups = *lookups;

    if (ngx_mtd_lookup_init(lookups, cycle->pool) != NGX_OK
        || ngx_mtd_preload_init_process(&store->preload, &store->redis_conf,
                                        cycle)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_mtd_link_init(&store->link, &store->redis_conf, &store->zone,
                      &store->names, log);

    store->link.on_moved = ngx_mtd_store_moved;
    store->link.on_changed = ngx_mtd_store_changed;
    store->link.data = store;

    store->bypass.zone = &store->zone;
    store->bypass.redis = data;
    store->bypass.names = &store->names;
    store->bypass.on_over = ngx_mtd_store_bypass_over;
    store->bypass.data = store;

    ngx_mtd_bypass_init(&store->bypass, log);

    store->lost = ngx_current_msec;
    store->told = NGX_MTD_HEALTH_SERVING;

    store->aged.handler = ngx_mtd_store_aged_handler;
    store->aged.data = store;
    store->aged.log = log;
    store->aged.cancelable = 1;

    if (ngx_mtd_state_init_process(&store->state, cycle) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_mtd_redis_start(data, NULL, 0);

    return NGX_OK;
}


ngx_mtd_health_e
ngx_mtd_store_health(ngx_mtd_store_t *store)
{
    ngx_mtd_zone_totals_t  totals;

    if (store->data.state == NGX_MTD_REDIS_READY) {
        return NGX_MTD_HEALTH_SERVING;
    }

    ngx_mtd_zone_totals(&store->zone, &totals);

    return totals.devices && ngx_current_msec - store->lost < store->stale
           ? NGX_MTD_HEALTH_STALE : NGX_MTD_HEALTH_REFUSING;
}


const char *
ngx_mtd_store_health_name(ngx_mtd_health_e health)
{
    static const char  *names[] = { "serving", "stale", "refusing" };

    return names[health];
}


void
ngx_mtd_store_exit_process(ngx_mtd_store_t *store)
{
    ngx_mtd_state_exit_process(&store->state);
    ngx_mtd_link_stop(&store->link);
    ngx_mtd_preload_exit_process(&store->preload);
    ngx_mtd_redis_destroy(&store->link.redis);
    ngx_mtd_redis_destroy(&store->data);
    ngx_mtd_lookup_destroy(&store->lookups);
}


/* a server that is loading, or wants a password, does not say PONG */

static void
ngx_mtd_store_hello(void *data)
{
    ngx_mtd_store_t *store = data;

    ngx_str_t  argv[1];

    ngx_str_set(&argv[0], "PING");

    if (ngx_mtd_redis_command(&store->data, argv, 1, ngx_mtd_store_pong,
                              store)
        != NGX_OK)
    {
        ngx_mtd_redis_fail(&store->data, "there is no memory", NULL);
    }
}


static void
ngx_mtd_store_pong(void *data, ngx_int_t rc, ngx_mtd_reply_t *reply)
{
    ngx_mtd_store_t *store = data;

    if (rc != NGX_OK) {
        return;
    }

    if (reply->array || reply->value[0].type != NGX_MTD_VALUE_STATUS) {
        ngx_mtd_redis_fail(&store->data, "it refused PING",
                           &reply->value[0].text);
        return;
    }

    ngx_mtd_redis_ready(&store->data);
}


/*
 * The name, or the address behind it, may have moved to another server
 * meanwhile: then the link is made anew, to the very address of the lookups.
 */

static void
ngx_mtd_store_ready(void *data)
{
    ngx_mtd_store_t *store = data;

    store->up = 1;

    ngx_mtd_zone_count(&store->zone, NGX_MTD_COUNT_CONNECTS);

    ngx_mtd_zone_serve(&store->zone, store->data.server);

    if (store->link.redis.state != NGX_MTD_REDIS_READY
        || store->link.redis.server != store->data.server)
    {
        ngx_mtd_link_start(&store->link, store->data.peer.sockaddr,
                           store->data.peer.socklen);
    }

    ngx_mtd_bypass_ready(&store->bypass);
    ngx_mtd_lookup_ready(&store->lookups);

    if (store->aged.timer_set) {
        ngx_del_timer(&store->aged);
    }

    ngx_mtd_store_tell(store);
}


static void
ngx_mtd_store_down(void *data)
{
    ngx_mtd_store_t *store = data;

    ngx_mtd_zone_count(&store->zone, NGX_MTD_COUNT_DISCONNECTS);

    if (store->up) {
        store->up = 0;
        store->lost = ngx_current_msec;
    }

    ngx_mtd_lookup_down(&store->lookups);

    if (store->data.failed) {
        ngx_mtd_store_tell(store);
    }
}


static void
ngx_mtd_store_aged_handler(ngx_event_t *ev)
{
    ngx_mtd_store_tell(ev->data);
}


/* once for each change of what this worker can do */

static void
ngx_mtd_store_tell(ngx_mtd_store_t *store)
{
    ngx_msec_t        away;
    ngx_mtd_health_e  health;

    static struct {
        ngx_uint_t    level;
        const char   *text;
    } words[] = {
        { NGX_LOG_NOTICE, "redis is asked" },
        { NGX_LOG_WARN, "devices that are known are served" },
        { NGX_LOG_ERR, "no device is known that is young enough" }
    };

    health = ngx_mtd_store_health(store);

    if (health == NGX_MTD_HEALTH_STALE && !store->aged.timer_set) {
        away = ngx_current_msec - store->lost;
        ngx_add_timer(&store->aged, store->stale - away);
    }

    if (health == store->told) {
        return;
    }

    store->told = health;

    ngx_log_error(words[health].level, store->lookups.log, 0,
                  "mtd_redis \"%V\" is %s: %s", &store->name,
                  ngx_mtd_store_health_name(health), words[health].text);
}


/* lookups still ask the server that was there before */

static void
ngx_mtd_store_moved(void *data)
{
    ngx_mtd_store_t *store = data;

    ngx_mtd_redis_start(&store->data, NULL, 0);
}


static void
ngx_mtd_store_changed(void *data, ngx_mtd_changed_e changed,
    const mtd_hash_t *device)
{
    ngx_mtd_store_t *store = data;

    if (changed == NGX_MTD_CHANGED_ALL) {
        ngx_mtd_preload_again(&store->preload);
    }

    if (changed == NGX_MTD_CHANGED_ALL || changed == NGX_MTD_CHANGED_BYPASS) {
        ngx_mtd_bypass_changed(&store->bypass);
    }

    if (changed != NGX_MTD_CHANGED_BYPASS) {
        store->on_changed(store->owner, changed, device);
    }
}


static void
ngx_mtd_store_bypass_over(void *data)
{
    ngx_mtd_store_t *store = data;

    store->on_changed(store->owner, NGX_MTD_CHANGED_ALL, NULL);
}


/* requests may still need it; it is closed when the worker exits */

static void
ngx_mtd_store_shutdown(void *data)
{
    /* void */
}
