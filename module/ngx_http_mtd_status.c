
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include "ngx_http_mtd_module.h"


#define NGX_HTTP_MTD_STATUS_NODE                                              \
    (768 + 6 * (NGX_SOCKADDR_STRLEN + NGX_MTD_PLACE_STRLEN))
#define NGX_HTTP_MTD_STATUS_STORE                                             \
    (4096 + 12 * NGX_MTD_BYPASS_TEXT + (NGX_MTD_COUNT_N) * (64 + NGX_INT64_LEN))


typedef enum {
    NGX_HTTP_MTD_STATUS_UNKNOWN = 0,
    NGX_HTTP_MTD_STATUS_JSON,
    NGX_HTTP_MTD_STATUS_METRICS
} ngx_http_mtd_status_format_e;


static ngx_int_t ngx_http_mtd_status_send(ngx_http_request_t *r,
    ngx_uint_t status, ngx_str_t *type, ngx_str_t *body);
static ngx_http_mtd_status_format_e ngx_http_mtd_status_format(
    ngx_http_request_t *r);
static ngx_int_t ngx_http_mtd_status_json(ngx_http_request_t *r,
    ngx_array_t *stores, ngx_str_t *body);
static u_char *ngx_http_mtd_status_store(u_char *p, ngx_mtd_store_t *store);
static u_char *ngx_http_mtd_status_link(u_char *p, ngx_mtd_store_t *store);
static u_char *ngx_http_mtd_status_bypass(u_char *p, ngx_mtd_store_t *store);
static u_char *ngx_http_mtd_status_tasks(u_char *p, ngx_mtd_store_t *store);
static u_char *ngx_http_mtd_status_node(u_char *p, ngx_mtd_store_t *store,
    ngx_uint_t i);
static u_char *ngx_http_mtd_status_connection(u_char *p, const char *name,
    ngx_mtd_redis_t *redis);


static const char  *ngx_http_mtd_status_counters[] = {
    "hit", "miss", "stale", "negative", "error", "blocked", "remediated", "cut",
    "lookups", "timeouts", "connects", "failures", "invalidations",
    "flushes", "voided", "evicted", "recovered", "damaged", "refused"
};

static const char  *ngx_http_mtd_status_states[] = {
    [NGX_MTD_REDIS_DOWN] = "down",
    [NGX_MTD_REDIS_RESOLVING] = "resolving",
    [NGX_MTD_REDIS_SECURING] = "securing",
    [NGX_MTD_REDIS_HELLO] = "connecting",
    [NGX_MTD_REDIS_READY] = "up"
};


ngx_int_t
ngx_http_mtd_status_handler(ngx_http_request_t *r)
{
    ngx_int_t                   rc;
    ngx_str_t                   body;
    ngx_http_mtd_main_conf_t   *mmcf;

    static ngx_str_t  json = ngx_string("application/json");
    static ngx_str_t  text = ngx_string("text/plain; version=0.0.4");

    mmcf = ngx_http_get_module_main_conf(r, ngx_http_mtd_module);

    switch (ngx_http_mtd_status_format(r)) {

    case NGX_HTTP_MTD_STATUS_JSON:
        rc = ngx_http_mtd_status_json(r, &mmcf->stores, &body);

        return rc == NGX_OK ? ngx_http_mtd_status_send(r, NGX_HTTP_OK, &json,
                                                       &body)
                            : NGX_HTTP_INTERNAL_SERVER_ERROR;

    case NGX_HTTP_MTD_STATUS_METRICS:
        rc = ngx_http_mtd_metrics(r, &mmcf->stores, &body);

        return rc == NGX_OK ? ngx_http_mtd_status_send(r, NGX_HTTP_OK, &text,
                                                       &body)
                            : NGX_HTTP_INTERNAL_SERVER_ERROR;

    default:
        return NGX_HTTP_BAD_REQUEST;
    }
}


/* of all stores the worst */

ngx_int_t
ngx_http_mtd_health_handler(ngx_http_request_t *r)
{
    u_char                     *p;
    ngx_str_t                   body;
    ngx_uint_t                  i;
    const char                 *name;
    ngx_mtd_store_t           **store;
    ngx_mtd_health_e            health, worst;
    ngx_http_mtd_main_conf_t   *mmcf;

    static ngx_str_t  text = ngx_string("text/plain");

    mmcf = ngx_http_get_module_main_conf(r, ngx_http_mtd_module);
    store = mmcf->stores.elts;
    worst = NGX_MTD_HEALTH_SERVING;

    for (i = 0; i < mmcf->stores.nelts; i++) {
        health = ngx_mtd_store_health(store[i]);
        worst = ngx_max(worst, health);
    }

    name = ngx_mtd_store_health_name(worst);

    p = ngx_pnalloc(r->pool, ngx_strlen(name) + 1);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    body.data = p;
    body.len = ngx_sprintf(p, "%s\n", name) - p;

    return ngx_http_mtd_status_send(r, worst == NGX_MTD_HEALTH_REFUSING
                                       ? NGX_HTTP_SERVICE_UNAVAILABLE
                                       : NGX_HTTP_OK,
                                    &text, &body);
}


static ngx_int_t
ngx_http_mtd_status_send(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *type, ngx_str_t *body)
{
    ngx_int_t                  rc;
    ngx_http_complex_value_t   cv;

    static ngx_str_t  cache = ngx_string("Cache-Control");
    static ngx_str_t  no_store = ngx_string("no-store");

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_http_mtd_add_header(r, &cache, &no_store) == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_memzero(&cv, sizeof(ngx_http_complex_value_t));
    cv.value = *body;

    return ngx_http_send_response(r, status, type, &cv);
}


/* "format" of the query, else what the client accepts, else JSON */

static ngx_http_mtd_status_format_e
ngx_http_mtd_status_format(ngx_http_request_t *r)
{
    ngx_str_t             value;
    ngx_table_elt_t      *h;
    ngx_http_mtd_walk_t   walk;

    if (ngx_http_arg(r, (u_char *) "format", 6, &value) == NGX_OK) {

        if (value.len == 4 && ngx_strncmp(value.data, "json", 4) == 0) {
            return NGX_HTTP_MTD_STATUS_JSON;
        }

        if (value.len == 10
            && ngx_strncmp(value.data, "prometheus", 10) == 0)
        {
            return NGX_HTTP_MTD_STATUS_METRICS;
        }

        return NGX_HTTP_MTD_STATUS_UNKNOWN;
    }

    walk.part = NULL;

    while ((h = ngx_http_mtd_next_header(r, &walk)) != NULL) {

        if (ngx_http_mtd_header_is(h, "accept")
            && ngx_strcasestrn(h->value.data, "text/plain",
                               sizeof("text/plain") - 2))
        {
            return NGX_HTTP_MTD_STATUS_METRICS;
        }
    }

    return NGX_HTTP_MTD_STATUS_JSON;
}


static ngx_int_t
ngx_http_mtd_status_json(ngx_http_request_t *r, ngx_array_t *stores,
    ngx_str_t *body)
{
    size_t             len;
    u_char            *p;
    ngx_uint_t         i, n;
    ngx_mtd_store_t  **store;

    store = stores->elts;

    len = 256;

    for (i = 0; i < stores->nelts; i++) {
        len += NGX_HTTP_MTD_STATUS_STORE + 6 * store[i]->server.len;

        for (n = 0; ngx_mtd_store_node(store[i], n); n++) {
            len += NGX_HTTP_MTD_STATUS_NODE
                   + 6 * store[i]->redis_conf.name.len;
        }
    }

    p = ngx_pnalloc(r->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    body->data = p;

    p = ngx_sprintf(p, "{\"version\":\"%s\",\"nginx\":\"%s\",\"pid\":%P,"
                    "\"stores\":{", NGX_HTTP_MTD_VERSION, NGINX_VERSION,
                    ngx_pid);

    for (i = 0; i < stores->nelts; i++) {

        if (i) {
            *p++ = ',';
        }

        p = ngx_http_mtd_status_store(p, store[i]);
    }

    p = ngx_sprintf(p, "}}\n");

    body->len = p - body->data;

    return NGX_OK;
}


static u_char *
ngx_http_mtd_status_store(u_char *p, ngx_mtd_store_t *store)
{
    ngx_uint_t              i;
    const mtd_str_t        *word;
    ngx_mtd_zone_totals_t   totals;

    ngx_mtd_zone_totals(&store->zone, &totals);

    p = ngx_sprintf(p, "\"%V\":{\"server\":\"", &store->name);
    p = (u_char *) ngx_escape_json(p, store->server.data,
                                   store->server.len);
    p = ngx_sprintf(p, "\",");

    p = ngx_http_mtd_status_link(p, store);
    p = ngx_http_mtd_status_bypass(p, store);
    p = ngx_http_mtd_status_tasks(p, store);

    p = ngx_sprintf(p, "\"zone\":{\"size\":%uz,"
                    "\"devices\":{\"used\":%uz,\"capacity\":%uz},"
                    "\"aliases\":{\"used\":%uz,\"capacity\":%uz},"
                    "\"unknown\":{\"used\":%uz,\"capacity\":%uz}},"
                    "\"reasons\":{", store->zone_size,
                    totals.devices, totals.device_capacity,
                    totals.aliases, totals.alias_capacity,
                    totals.unknown, totals.unknown_capacity);

    for (i = 0; i < MTD_REASON_N; i++) {
        word = mtd_reason_name(i);
        p = ngx_sprintf(p, "%s\"%*s\":%uL", i ? "," : "", word->len,
                        word->data, totals.counters[i]);
    }

    p = ngx_sprintf(p, "},\"counters\":{");

    for (i = MTD_REASON_N; i < NGX_MTD_COUNT_TIMES; i++) {
        p = ngx_sprintf(p, "%s\"%s\":%uL", i > MTD_REASON_N ? "," : "",
                        ngx_http_mtd_status_counters[i - MTD_REASON_N],
                        totals.counters[i]);
    }

    return ngx_sprintf(p, "}}");
}


/* of the worker that answers */

static u_char *
ngx_http_mtd_status_link(u_char *p, ngx_mtd_store_t *store)
{
    ngx_uint_t  data, push, trusted, i;

    data = ngx_mtd_store_state(store);
    push = ngx_mtd_store_push_state(store);
    trusted = ngx_current_msec < store->zone.trusted_until;

    p = ngx_sprintf(p, "\"data\":\"%s\",\"push\":\"%s\","
                    "\"breaker\":\"%s\",\"trusted\":%s,"
                    "\"health\":\"%s\",\"nodes\":[",
                    ngx_http_mtd_status_states[data],
                    ngx_http_mtd_status_states[push],
                    ngx_mtd_redis_breaker_name(ngx_mtd_store_breaker(store)),
                    trusted ? "true" : "false",
                    ngx_mtd_store_health_name(ngx_mtd_store_health(store)));

    for (i = 0; ngx_mtd_store_node(store, i); i++) {

        if (i) {
            *p++ = ',';
        }

        p = ngx_http_mtd_status_node(p, store, i);
    }

    return ngx_sprintf(p, "],");
}


static u_char *
ngx_http_mtd_status_node(u_char *p, ngx_mtd_store_t *store, ngx_uint_t i)
{
    u_char           address[NGX_SOCKADDR_STRLEN], buf[NGX_MTD_PLACE_STRLEN];
    size_t           len;
    ngx_str_t        name;
    ngx_mtd_node_t  *node;

    node = ngx_mtd_store_node(store, i);
    len = ngx_mtd_node_address(node, address);
    ngx_mtd_node_name(node, &name, buf);

    p = ngx_sprintf(p, "{\"name\":\"");
    p = (u_char *) ngx_escape_json(p, name.data, name.len);
    p = ngx_sprintf(p, "\",\"address\":\"");
    p = (u_char *) ngx_escape_json(p, address, len);
    p = ngx_sprintf(p, "\",\"role\":\"%s\",", ngx_mtd_node_role_name(node));

    if (store->cluster) {
        p = ngx_sprintf(p, "\"slots\":%ui,",
                        ngx_mtd_cluster_slots(store->cluster, i));
    }

    p = ngx_http_mtd_status_connection(p, "data", &node->data);
    *p++ = ',';
    p = ngx_http_mtd_status_connection(p, "push", &node->link.redis);
    *p++ = '}';

    return p;
}


/* why it failed is a text of ours, and needs no escapes */

static u_char *
ngx_http_mtd_status_connection(u_char *p, const char *name,
    ngx_mtd_redis_t *redis)
{
    return ngx_sprintf(p, "\"%s\":\"%s\",\"%s_failures\":%ui,"
                       "\"%s_error\":\"%s\"",
                       name, ngx_http_mtd_status_states[redis->state],
                       name, redis->failures,
                       name, redis->why ? redis->why : "");
}


static u_char *
ngx_http_mtd_status_bypass(u_char *p, ngx_mtd_store_t *store)
{
    ngx_mtd_zone_bypass_t  b;

    if (!ngx_mtd_bypass_get(&store->zone, &b)) {
        return ngx_sprintf(p, "\"bypass\":null,");
    }

    p = ngx_sprintf(p, "\"bypass\":{\"until\":%uL,\"since\":%uL,\"by\":\"",
                    b.until, b.word.since);
    p = (u_char *) ngx_escape_json(p, b.word.by.data, b.word.by.len);
    p = ngx_sprintf(p, "\",\"why\":\"");
    p = (u_char *) ngx_escape_json(p, b.word.why.data, b.word.why.len);

    return ngx_sprintf(p, "\"},");
}


/* what one worker does for all */

static u_char *
ngx_http_mtd_status_tasks(u_char *p, ngx_mtd_store_t *store)
{
    ngx_mtd_zone_tasks_t  *tasks;

    tasks = store->zone.tasks;

    if (store->state.path.len) {
        p = ngx_sprintf(p, "\"state\":{\"written\":%uA,\"devices\":%uA,"
                        "\"loaded\":%uA,\"slice\":%uA},",
                        tasks->written, tasks->saved, tasks->loaded,
                        tasks->slice);
    }

    if (store->preload.on) {
        p = ngx_sprintf(p, "\"preload\":{\"state\":\"%s\",\"keys\":%uA,"
                        "\"asked\":%uA,\"ms\":%uA},",
                        ngx_mtd_preload_name(tasks->preload),
                        tasks->preload_keys, tasks->preload_asked,
                        tasks->preload_time);
    }

    return p;
}
