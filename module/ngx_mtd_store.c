
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include <openssl/hmac.h>

#include "ngx_mtd_store.h"


static ngx_int_t ngx_mtd_store_init_zone(ngx_shm_zone_t *shm_zone,
    void *data);
static ngx_mtd_node_t *ngx_mtd_store_preload_node(void *data, ngx_uint_t i);
static void ngx_mtd_store_init_links(ngx_mtd_store_t *store,
    ngx_log_t *log);
static ngx_int_t ngx_mtd_store_init_nodes(ngx_mtd_store_t *store,
    ngx_cycle_t *cycle);
static void ngx_mtd_store_ready(ngx_mtd_node_t *node);
static void ngx_mtd_store_down(ngx_mtd_node_t *node);
static void ngx_mtd_store_cluster_changed(void *data);
static ngx_mtd_redis_t *ngx_mtd_store_choose(void *data, const u_char *name,
    size_t len);
static ngx_mtd_redis_t *ngx_mtd_store_redirect(void *data,
    ngx_mtd_redis_t *from, ngx_str_t *error, ngx_uint_t *asking);
static void ngx_mtd_store_late(void *data);
static void ngx_mtd_store_aged_handler(ngx_event_t *ev);
static void ngx_mtd_store_tell(ngx_mtd_store_t *store);
static void ngx_mtd_store_changed(void *data, ngx_mtd_changed_e changed,
    const mtd_hash_t *device);
static void ngx_mtd_store_bypass_over(void *data);
static void ngx_mtd_store_parted(void *data);


ngx_int_t
ngx_mtd_store_add_zone(ngx_conf_t *cf, ngx_mtd_store_t *store,
    ngx_str_t *kinds, ngx_uint_t nkinds, void *tag)
{
    u_char        *p, *last, md[EVP_MAX_MD_SIZE];
    size_t         len;
    ngx_str_t      name, text;
    unsigned int   n;

    text.len = store->server.len + store->names.prefix.len
               + NGX_INT_T_LEN + sizeof(" cluster") + 4;
    text.data = ngx_pnalloc(cf->temp_pool, text.len);

    /* an HMAC of what must not change: the secret itself does not show */

    len = sizeof("mtd:") + store->name.len + 17;
    p = ngx_pnalloc(cf->pool, len);

    if (text.data == NULL || p == NULL) {
        return NGX_ERROR;
    }

    last = ngx_sprintf(text.data, "%V%s %i %*s", &store->server,
                       store->cluster_conf.n ? " cluster"
                       : store->sentinel_conf.replica ? " replica" : "",
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
    ngx_core_conf_t    *ccf;
    ngx_mtd_lookups_t  *lookups;

    log = cycle->log;
    ccf = (ngx_core_conf_t *) ngx_get_conf(cycle->conf_ctx, ngx_core_module);

    store->told = NGX_MTD_HEALTH_SERVING;

    ngx_mtd_zone_init_process(&store->zone, ccf->worker_processes);

    lookups = &store->lookups;

    lookups->zone = &store->zone;
    lookups->choose = ngx_mtd_store_choose;
    lookups->redirect = store->cluster_conf.n ? ngx_mtd_store_redirect : NULL;
    lookups->late = ngx_mtd_store_late;
    lookups->data = store;
    lookups->names = &store->names;
    lookups->fresh = store->fresh;
    lookups->unknown = store->unknown;
    lookups->stale = store->stale;
    lookups->timeout = store->redis_conf.timeout;
    lookups->log = log;

    store->preload.node = ngx_mtd_store_preload_node;
    store->preload.data = store;
    store->preload.lookups = *lookups;

    if (ngx_mtd_lookup_init(lookups, cycle->pool) != NGX_OK
        || ngx_mtd_preload_init_process(&store->preload, &store->redis_conf,
                                        cycle)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_mtd_store_init_links(store, log);

    store->aged.handler = ngx_mtd_store_aged_handler;
    store->aged.data = store;
    store->aged.log = log;
    store->aged.cancelable = 1;

    if (ngx_mtd_state_init_process(&store->state, cycle) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_mtd_store_init_nodes(store, cycle);
}


static void
ngx_mtd_store_init_links(ngx_mtd_store_t *store, ngx_log_t *log)
{
    ngx_mtd_links_t   *links;
    ngx_mtd_bypass_t  *bypass;

    links = &store->links;

    links->names = &store->names;
    links->on_changed = ngx_mtd_store_changed;
    links->on_parted = ngx_mtd_store_parted;
    links->data = store;

    ngx_mtd_links_init(links, &store->zone);

    bypass = &store->bypass;

    bypass->zone = &store->zone;
    bypass->redis = &store->redis_conf.name;
    bypass->choose = store->lookups.choose;
    bypass->redirect = store->lookups.redirect;
    bypass->names = &store->names;
    bypass->on_over = ngx_mtd_store_bypass_over;
    bypass->data = store;

    ngx_mtd_bypass_init(bypass, log);
}


static ngx_int_t
ngx_mtd_store_init_nodes(ngx_mtd_store_t *store, ngx_cycle_t *cycle)
{
    ngx_log_t       *log;
    ngx_mtd_node_t  *node;

    log = cycle->log;

    if (store->cluster_conf.n) {

        store->cluster = ngx_pcalloc(cycle->pool, sizeof(ngx_mtd_cluster_t));
        if (store->cluster == NULL) {
            return NGX_ERROR;
        }

        store->cluster->on_change = ngx_mtd_store_cluster_changed;
        store->cluster->data = store;

        ngx_mtd_cluster_init(store->cluster, &store->cluster_conf,
                             &store->redis_conf, &store->links, log);

        return NGX_OK;
    }

    node = &store->node;

    node->zone = &store->zone;
    node->on_ready = ngx_mtd_store_ready;
    node->on_down = ngx_mtd_store_down;
    node->owner = store;

    ngx_mtd_node_init(node, &store->redis_conf, &store->links, log);

    if (store->sentinel_conf.n
        && ngx_mtd_sentinels_init(&store->sentinels, &store->sentinel_conf,
                                  node, cycle->pool, log)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_mtd_redis_start(&node->data, NULL, 0);

    return NGX_OK;
}


ngx_mtd_redis_t *
ngx_mtd_store_redis(ngx_mtd_store_t *store, const u_char *name, size_t len)
{
    return store->cluster ? ngx_mtd_cluster_choose(store->cluster, name, len)
                          : &store->node.data;
}


ngx_mtd_node_t *
ngx_mtd_store_node(ngx_mtd_store_t *store, ngx_uint_t i)
{
    if (store->cluster) {
        return i < store->cluster->n ? store->cluster->node[i] : NULL;
    }

    return i == 0 ? &store->node : NULL;
}


static ngx_mtd_node_t *
ngx_mtd_store_preload_node(void *data, ngx_uint_t i)
{
    return ngx_mtd_store_node(data, i);
}


ngx_uint_t
ngx_mtd_store_state(ngx_mtd_store_t *store)
{
    ngx_uint_t       i, state;
    ngx_mtd_node_t  *node;

    state = NGX_MTD_REDIS_READY;

    for (i = 0; (node = ngx_mtd_store_node(store, i)) != NULL; i++) {
        state = ngx_min(state, node->data.state);
    }

    return i ? state : NGX_MTD_REDIS_DOWN;
}


ngx_uint_t
ngx_mtd_store_push_state(ngx_mtd_store_t *store)
{
    ngx_uint_t       i, state;
    ngx_mtd_node_t  *node;

    state = NGX_MTD_REDIS_READY;

    for (i = 0; (node = ngx_mtd_store_node(store, i)) != NULL; i++) {
        state = ngx_min(state, node->link.redis.state);
    }

    return i ? state : NGX_MTD_REDIS_DOWN;
}


ngx_mtd_breaker_e
ngx_mtd_store_breaker(ngx_mtd_store_t *store)
{
    return store->cluster ? ngx_mtd_cluster_breaker(store->cluster)
                          : ngx_mtd_redis_breaker(&store->node.data);
}


/* a cluster of which a part is away is not lost: others are still known */

ngx_mtd_health_e
ngx_mtd_store_health(ngx_mtd_store_t *store)
{
    ngx_uint_t              i, up;
    ngx_mtd_node_t         *node;
    ngx_mtd_zone_totals_t   totals;

    up = 0;

    for (i = 0; (node = ngx_mtd_store_node(store, i)) != NULL; i++) {
        up += (node->data.state == NGX_MTD_REDIS_READY);
    }

    if (up && up == i
        && (store->cluster == NULL || ngx_mtd_cluster_whole(store->cluster)))
    {
        return NGX_MTD_HEALTH_SERVING;
    }

    if (up) {
        return NGX_MTD_HEALTH_STALE;
    }

    ngx_mtd_zone_totals(&store->zone, &totals);

    return totals.devices && ngx_mtd_zone_age(&store->zone) < store->stale
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
    ngx_mtd_preload_exit_process(&store->preload);

    if (store->cluster) {
        ngx_mtd_cluster_destroy(store->cluster);

    } else {
        if (store->sentinel_conf.n) {
            ngx_mtd_sentinels_destroy(&store->sentinels);
        }

        ngx_mtd_node_destroy(&store->node);
    }

    ngx_mtd_lookup_destroy(&store->lookups);
}


static void
ngx_mtd_store_ready(ngx_mtd_node_t *node)
{
    ngx_mtd_store_t  *store;

    store = node->owner;

    ngx_mtd_zone_serve(&store->zone, node->data.server);

    ngx_mtd_bypass_ready(&store->bypass);
    ngx_mtd_lookup_resume(&store->lookups);

    ngx_mtd_store_tell(store);
}


static void
ngx_mtd_store_down(ngx_mtd_node_t *node)
{
    ngx_mtd_store_t  *store;

    store = node->owner;

    if (store->sentinel_conf.n) {
        ngx_mtd_sentinels_failed(&store->sentinels);
    }

    ngx_mtd_lookup_resume(&store->lookups);

    if (node->data.failed) {
        ngx_mtd_store_tell(store);
    }
}


/* a node is there, or lost, or another one has its slots */

static void
ngx_mtd_store_cluster_changed(void *data)
{
    ngx_mtd_store_t *store = data;

    ngx_mtd_bypass_ready(&store->bypass);
    ngx_mtd_lookup_resume(&store->lookups);

    /* who is on his way for the first time has not failed yet */

    if (ngx_mtd_store_breaker(store) != NGX_MTD_BREAKER_CLOSED
        || ngx_mtd_store_health(store) == NGX_MTD_HEALTH_SERVING)
    {
        ngx_mtd_store_tell(store);
    }
}


static ngx_mtd_redis_t *
ngx_mtd_store_choose(void *data, const u_char *name, size_t len)
{
    ngx_mtd_store_t *store = data;

    return ngx_mtd_store_redis(store, name, len);
}


static ngx_mtd_redis_t *
ngx_mtd_store_redirect(void *data, ngx_mtd_redis_t *from, ngx_str_t *error,
    ngx_uint_t *asking)
{
    ngx_mtd_store_t *store = data;

    return ngx_mtd_cluster_redirect(store->cluster, from, error, asking);
}


static void
ngx_mtd_store_late(void *data)
{
    ngx_mtd_store_t *store = data;

    if (store->cluster) {
        ngx_mtd_cluster_late(store->cluster);

    } else {
        ngx_mtd_redis_late(&store->node.data);
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
    ngx_msec_t        age;
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
    age = ngx_mtd_zone_age(&store->zone);

    if (health != NGX_MTD_HEALTH_STALE) {
        if (store->aged.timer_set) {
            ngx_del_timer(&store->aged);
        }

    } else if (!store->aged.timer_set && age < store->stale) {
        ngx_add_timer(&store->aged, store->stale - age);
    }

    if (health == store->told) {
        return;
    }

    store->told = health;

    ngx_log_error(words[health].level, store->lookups.log, 0,
                  "mtd_redis \"%V\" is %s: %s", &store->name,
                  ngx_mtd_store_health_name(health), words[health].text);
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


/* the zone is of others than this worker asks */

static void
ngx_mtd_store_parted(void *data)
{
    ngx_mtd_store_t *store = data;

    if (store->cluster) {
        ngx_mtd_cluster_refresh(store->cluster);

    } else if (store->sentinel_conf.n) {
        ngx_mtd_sentinels_check(&store->sentinels);

    } else {
        ngx_mtd_node_moved(&store->node);
    }
}
