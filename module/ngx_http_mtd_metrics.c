
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * What mtd_status tells, in the text format of Prometheus 0.0.4: a metric
 * with its HELP and TYPE, once, and after them a line for each store.
 */


#include "ngx_http_mtd_module.h"


#define NGX_HTTP_MTD_METRICS_LINE    256    /* bytes, without names */
#define NGX_HTTP_MTD_METRICS_GAUGES  28     /* lines of a store */
#define NGX_HTTP_MTD_METRICS_NODE    5      /* lines of a server */


typedef struct {
    ngx_uint_t             counter;         /* or ngx_mtd_time_e */
    const char            *name;
    const char            *help;
} ngx_http_mtd_metric_t;


/* one store, as it was when the answer was begun */

typedef struct {
    ngx_mtd_store_t       *store;
    ngx_mtd_zone_totals_t  totals;
} ngx_http_mtd_metrics_t;


static u_char *ngx_http_mtd_metrics_head(u_char *p, const char *name,
    const char *type, const char *help);
static u_char *ngx_http_mtd_metrics_line(u_char *p, const char *name,
    ngx_http_mtd_metrics_t *m, const char *label, const char *value,
    uint64_t number);
static u_char *ngx_http_mtd_metrics_reasons(u_char *p,
    ngx_http_mtd_metrics_t *m, ngx_uint_t n);
static u_char *ngx_http_mtd_metrics_counters(u_char *p,
    ngx_http_mtd_metrics_t *m, ngx_uint_t n);
static u_char *ngx_http_mtd_metrics_labelled(u_char *p,
    ngx_http_mtd_metrics_t *m, ngx_uint_t n);
static u_char *ngx_http_mtd_metrics_times(u_char *p,
    ngx_http_mtd_metrics_t *m, ngx_uint_t n, ngx_uint_t what);
static u_char *ngx_http_mtd_metrics_zone(u_char *p,
    ngx_http_mtd_metrics_t *m, ngx_uint_t n);
static u_char *ngx_http_mtd_metrics_links(u_char *p,
    ngx_http_mtd_metrics_t *m, ngx_uint_t n);
static u_char *ngx_http_mtd_metrics_nodes(u_char *p,
    ngx_http_mtd_metrics_t *m, ngx_uint_t n);
static u_char *ngx_http_mtd_metrics_node(u_char *p, const char *name,
    ngx_http_mtd_metrics_t *m, ngx_uint_t i);
static u_char *ngx_http_mtd_metrics_bypass(u_char *p,
    ngx_http_mtd_metrics_t *m, ngx_uint_t n);
static u_char *ngx_http_mtd_metrics_tasks(u_char *p,
    ngx_http_mtd_metrics_t *m, ngx_uint_t n);


static ngx_http_mtd_metric_t  ngx_http_mtd_metrics_table[] = {

    { NGX_MTD_COUNT_CUT, "mtd_requests_cut_total",
      "Open requests that were ended because their device may no longer." },

    { NGX_MTD_COUNT_LOOKUPS, "mtd_redis_questions_total",
      "Keys that Redis was asked for." },

    { NGX_MTD_COUNT_TIMEOUTS, "mtd_redis_timeouts_total",
      "Requests for which Redis took longer than timeout." },

    { NGX_MTD_COUNT_CONNECTS, "mtd_redis_connects_total",
      "Connections for questions that were made." },

    { NGX_MTD_COUNT_DISCONNECTS, "mtd_redis_failures_total",
      "Connections for questions that were lost or could not be made." },

    { NGX_MTD_COUNT_REFUSED, "mtd_redis_errors_total",
      "Error replies of Redis." },

    { NGX_MTD_COUNT_VOIDED, "mtd_redis_voided_total",
      "Replies that a change overtook and that were asked for again." },

    { NGX_MTD_COUNT_INVALIDATIONS, "mtd_push_keys_total",
      "Changed keys that were told, to each worker." },

    { NGX_MTD_COUNT_FLUSHES, "mtd_push_flushes_total",
      "Flushes of Redis that were told, to each worker." },

    { NGX_MTD_COUNT_DAMAGED, "mtd_records_damaged_total",
      "Values in Redis that could not be read." },

    { NGX_MTD_COUNT_EVICTED, "mtd_zone_evicted_total",
      "Entries that gave way in a full zone." },

    { NGX_MTD_COUNT_RECOVERED, "mtd_zone_recovered_total",
      "Buckets that a killed worker had left half written." },

    { 0, NULL, NULL }
};


ngx_int_t
ngx_http_mtd_metrics(ngx_http_request_t *r, ngx_array_t *stores,
    ngx_str_t *body)
{
    size_t                   len;
    u_char                  *p;
    ngx_uint_t               i, k, n;
    ngx_mtd_store_t        **store;
    ngx_http_mtd_metrics_t  *m;

    n = stores->nelts;
    store = stores->elts;

    m = ngx_palloc(r->pool, (n + 1) * sizeof(ngx_http_mtd_metrics_t));
    if (m == NULL) {
        return NGX_ERROR;
    }

    /* a head and a line for each */

    len = (NGX_MTD_COUNT_N + NGX_HTTP_MTD_METRICS_GAUGES)
          * NGX_HTTP_MTD_METRICS_LINE;

    for (i = 0; i < n; i++) {
        m[i].store = store[i];
        ngx_mtd_zone_totals(&store[i]->zone, &m[i].totals);

        len += (NGX_MTD_COUNT_N + NGX_HTTP_MTD_METRICS_GAUGES)
               * (NGX_HTTP_MTD_METRICS_LINE + store[i]->name.len);

        for (k = 0; ngx_mtd_store_node(store[i], k); k++) {
            len += NGX_HTTP_MTD_METRICS_NODE
                   * (NGX_HTTP_MTD_METRICS_LINE + store[i]->name.len
                      + NGX_MTD_PLACE_STRLEN
                      + 2 * store[i]->redis_conf.name.len);
        }
    }

    p = ngx_pnalloc(r->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    body->data = p;

    p = ngx_http_mtd_metrics_head(p, "mtd_build_info", "gauge",
                                  "Versions of the gate and of nginx.");
    p = ngx_sprintf(p, "mtd_build_info{version=\"%s\",nginx=\"%s\"} 1\n",
                    NGX_HTTP_MTD_VERSION, NGINX_VERSION);

    p = ngx_http_mtd_metrics_reasons(p, m, n);
    p = ngx_http_mtd_metrics_labelled(p, m, n);
    p = ngx_http_mtd_metrics_counters(p, m, n);

    for (i = 0; i < NGX_MTD_TIME_N; i++) {
        p = ngx_http_mtd_metrics_times(p, m, n, i);
    }

    p = ngx_http_mtd_metrics_zone(p, m, n);
    p = ngx_http_mtd_metrics_links(p, m, n);
    p = ngx_http_mtd_metrics_nodes(p, m, n);
    p = ngx_http_mtd_metrics_bypass(p, m, n);
    p = ngx_http_mtd_metrics_tasks(p, m, n);

    body->len = p - body->data;

    return NGX_OK;
}


static u_char *
ngx_http_mtd_metrics_head(u_char *p, const char *name, const char *type,
    const char *help)
{
    return ngx_sprintf(p, "# HELP %s %s\n# TYPE %s %s\n", name, help, name,
                       type);
}


/* of a store; label may be NULL */

static u_char *
ngx_http_mtd_metrics_line(u_char *p, const char *name,
    ngx_http_mtd_metrics_t *m, const char *label, const char *value,
    uint64_t number)
{
    p = ngx_sprintf(p, "%s{store=\"%V\"", name, &m->store->name);

    if (label) {
        p = ngx_sprintf(p, ",%s=\"%s\"", label, value);
    }

    return ngx_sprintf(p, "} %uL\n", number);
}


static u_char *
ngx_http_mtd_metrics_reasons(u_char *p, ngx_http_mtd_metrics_t *m,
    ngx_uint_t n)
{
    ngx_uint_t        i, k;
    const mtd_str_t  *word;

    p = ngx_http_mtd_metrics_head(p, "mtd_decisions_total", "counter",
                                  "Requests by the reason of the decision.");

    for (i = 0; i < n; i++) {
        for (k = 0; k < MTD_REASON_N; k++) {
            word = mtd_reason_name(k);
            p = ngx_sprintf(p, "mtd_decisions_total{store=\"%V\","
                            "reason=\"%*s\"} %uL\n", &m[i].store->name,
                            word->len, word->data, m[i].totals.counters[k]);
        }
    }

    return p;
}


static u_char *
ngx_http_mtd_metrics_labelled(u_char *p, ngx_http_mtd_metrics_t *m,
    ngx_uint_t n)
{
    ngx_uint_t  i, k;

    static const char  *sources[] = {
        "hit", "miss", "stale", "negative", "error"
    };

    p = ngx_http_mtd_metrics_head(p, "mtd_records_total", "counter",
                                  "Requests by where the record was from.");

    for (i = 0; i < n; i++) {
        for (k = 0; k < sizeof(sources) / sizeof(sources[0]); k++) {
            p = ngx_http_mtd_metrics_line(p, "mtd_records_total", &m[i],
                              "source", sources[k],
                              m[i].totals.counters[NGX_MTD_COUNT_HIT + k]);
        }
    }

    p = ngx_http_mtd_metrics_head(p, "mtd_refusals_total", "counter",
                                  "Refused requests by decision.");

    for (i = 0; i < n; i++) {
        p = ngx_http_mtd_metrics_line(p, "mtd_refusals_total", &m[i],
                              "decision", "block",
                              m[i].totals.counters[NGX_MTD_COUNT_BLOCKED]);
        p = ngx_http_mtd_metrics_line(p, "mtd_refusals_total", &m[i],
                              "decision", "remediate",
                              m[i].totals.counters[NGX_MTD_COUNT_REMEDIATED]);
    }

    return p;
}


static u_char *
ngx_http_mtd_metrics_counters(u_char *p, ngx_http_mtd_metrics_t *m,
    ngx_uint_t n)
{
    ngx_uint_t              i;
    ngx_http_mtd_metric_t  *metric;

    for (metric = ngx_http_mtd_metrics_table; metric->name; metric++) {

        p = ngx_http_mtd_metrics_head(p, metric->name, "counter",
                                      metric->help);

        for (i = 0; i < n; i++) {
            p = ngx_http_mtd_metrics_line(p, metric->name, &m[i], NULL, NULL,
                              m[i].totals.counters[metric->counter]);
        }
    }

    return p;
}


static u_char *
ngx_http_mtd_metrics_times(u_char *p, ngx_http_mtd_metrics_t *m, ngx_uint_t n,
    ngx_uint_t what)
{
    uint64_t     count, sum, *counters;
    ngx_uint_t   i, k;
    ngx_msec_t   limit;
    const char  *name;

    static ngx_http_mtd_metric_t  metrics[] = {

        { NGX_MTD_TIME_LOOKUP, "mtd_lookup_duration_seconds",
          "Time that requests waited for Redis, those that did not have to "
          "not counted." },

        { NGX_MTD_TIME_PUSH, "mtd_push_duration_seconds",
          "Round trip of a probe over the connection that brings changes." }
    };

    name = metrics[what].name;

    p = ngx_http_mtd_metrics_head(p, name, "histogram", metrics[what].help);

    for (i = 0; i < n; i++) {
        counters = &m[i].totals.counters[NGX_MTD_COUNT_TIMES
                                         + what * NGX_MTD_ZONE_HISTOGRAM];
        count = 0;

        for (k = 0; k < NGX_MTD_ZONE_TIMES; k++) {
            limit = ngx_mtd_zone_times[k];
            count += counters[k];

            p = ngx_sprintf(p, "%s_bucket{store=\"%V\",le=\"%M.%06M\"} %uL\n",
                            name, &m[i].store->name, limit / 1000000,
                            limit % 1000000, count);
        }

        count += counters[NGX_MTD_ZONE_TIMES];
        sum = counters[NGX_MTD_ZONE_HISTOGRAM - 1];

        p = ngx_sprintf(p, "%s_bucket{store=\"%V\",le=\"+Inf\"} %uL\n"
                        "%s_sum{store=\"%V\"} %uL.%06uL\n"
                        "%s_count{store=\"%V\"} %uL\n",
                        name, &m[i].store->name, count,
                        name, &m[i].store->name, sum / 1000000, sum % 1000000,
                        name, &m[i].store->name, count);
    }

    return p;
}


static u_char *
ngx_http_mtd_metrics_zone(u_char *p, ngx_http_mtd_metrics_t *m,
    ngx_uint_t n)
{
    ngx_uint_t              i;
    ngx_mtd_zone_totals_t  *t;

    p = ngx_http_mtd_metrics_head(p, "mtd_zone_bytes", "gauge",
                                  "Size of the zone.");

    for (i = 0; i < n; i++) {
        p = ngx_http_mtd_metrics_line(p, "mtd_zone_bytes", &m[i], NULL, NULL,
                                      m[i].store->zone_size);
    }

    p = ngx_http_mtd_metrics_head(p, "mtd_zone_entries", "gauge",
                                  "Entries of the zone in use.");

    for (i = 0; i < n; i++) {
        t = &m[i].totals;

        p = ngx_http_mtd_metrics_line(p, "mtd_zone_entries", &m[i], "of",
                                      "devices", t->devices);
        p = ngx_http_mtd_metrics_line(p, "mtd_zone_entries", &m[i], "of",
                                      "aliases", t->aliases);
        p = ngx_http_mtd_metrics_line(p, "mtd_zone_entries", &m[i], "of",
                                      "unknown", t->unknown);
    }

    p = ngx_http_mtd_metrics_head(p, "mtd_zone_capacity", "gauge",
                                  "Entries that the zone has room for.");

    for (i = 0; i < n; i++) {
        t = &m[i].totals;

        p = ngx_http_mtd_metrics_line(p, "mtd_zone_capacity", &m[i], "of",
                                      "devices", t->device_capacity);
        p = ngx_http_mtd_metrics_line(p, "mtd_zone_capacity", &m[i], "of",
                                      "aliases", t->alias_capacity);
        p = ngx_http_mtd_metrics_line(p, "mtd_zone_capacity", &m[i], "of",
                                      "unknown", t->unknown_capacity);
    }

    return p;
}


static u_char *
ngx_http_mtd_metrics_links(u_char *p, ngx_http_mtd_metrics_t *m,
    ngx_uint_t n)
{
    ngx_uint_t          i, k;
    ngx_mtd_store_t    *store;
    ngx_mtd_health_e    health;
    ngx_mtd_breaker_e   breaker;

    p = ngx_http_mtd_metrics_head(p, "mtd_redis_up", "gauge",
                                  "Connections of the worker that answers.");

    for (i = 0; i < n; i++) {
        store = m[i].store;

        p = ngx_http_mtd_metrics_line(p, "mtd_redis_up", &m[i], "connection",
                              "data", ngx_mtd_store_state(store)
                                      == NGX_MTD_REDIS_READY);
        p = ngx_http_mtd_metrics_line(p, "mtd_redis_up", &m[i], "connection",
                              "push", ngx_mtd_store_push_state(store)
                                      == NGX_MTD_REDIS_READY);
    }

    p = ngx_http_mtd_metrics_head(p, "mtd_breaker", "gauge",
                                  "What becomes of questions to Redis in the "
                                  "worker that answers.");

    for (i = 0; i < n; i++) {
        breaker = ngx_mtd_store_breaker(m[i].store);

        for (k = 0; k < NGX_MTD_BREAKER_N; k++) {
            p = ngx_http_mtd_metrics_line(p, "mtd_breaker", &m[i], "state",
                                          ngx_mtd_redis_breaker_name(k),
                                          k == breaker);
        }
    }

    p = ngx_http_mtd_metrics_head(p, "mtd_push_trusted", "gauge",
                                  "Whether push is confirmed in the worker "
                                  "that answers.");

    for (i = 0; i < n; i++) {
        p = ngx_http_mtd_metrics_line(p, "mtd_push_trusted", &m[i], NULL,
                              NULL, ngx_current_msec
                                    < m[i].store->zone.trusted_until);
    }

    p = ngx_http_mtd_metrics_head(p, "mtd_health", "gauge",
                                  "What the worker that answers can do.");

    for (i = 0; i < n; i++) {
        health = ngx_mtd_store_health(m[i].store);

        for (k = 0; k < NGX_MTD_HEALTH_N; k++) {
            p = ngx_http_mtd_metrics_line(p, "mtd_health", &m[i], "state",
                                          ngx_mtd_store_health_name(k),
                                          k == health);
        }
    }

    return p;
}


/* servers that are in use now, so there are as many lines as of those */

static u_char *
ngx_http_mtd_metrics_nodes(u_char *p, ngx_http_mtd_metrics_t *m, ngx_uint_t n)
{
    ngx_uint_t          i, k, what;
    ngx_mtd_node_t     *node;
    ngx_mtd_cluster_t  *cluster;

    static struct {
        const char  *name;
        const char  *help;
    } gauges[] = {
        { "mtd_node_up", "Whether the worker that answers is connected to "
                         "a server." },
        { "mtd_node_failures", "How often that has failed since it was." }
    };

    for (what = 0; what < 2; what++) {
        p = ngx_http_mtd_metrics_head(p, gauges[what].name, "gauge",
                                      gauges[what].help);

        for (i = 0; i < n; i++) {
            for (k = 0; (node = ngx_mtd_store_node(m[i].store, k)) != NULL;
                 k++)
            {
                p = ngx_http_mtd_metrics_node(p, gauges[what].name, &m[i], k);
                p = ngx_sprintf(p, ",connection=\"data\"} %ui\n",
                        what ? node->data.failures
                             : node->data.state == NGX_MTD_REDIS_READY);

                p = ngx_http_mtd_metrics_node(p, gauges[what].name, &m[i], k);
                p = ngx_sprintf(p, ",connection=\"push\"} %ui\n",
                        what ? node->link.redis.failures
                             : node->link.redis.state == NGX_MTD_REDIS_READY);
            }
        }
    }

    p = ngx_http_mtd_metrics_head(p, "mtd_node_slots", "gauge",
                                  "Slots of a master of a cluster.");

    for (i = 0; i < n; i++) {
        cluster = m[i].store->cluster;

        for (k = 0; cluster && k < cluster->n; k++) {
            p = ngx_http_mtd_metrics_node(p, "mtd_node_slots", &m[i], k);
            p = ngx_sprintf(p, "} %ui\n", ngx_mtd_cluster_slots(cluster, k));
        }
    }

    return p;
}


/* up to its last label; what is configured may need escapes */

static u_char *
ngx_http_mtd_metrics_node(u_char *p, const char *name,
    ngx_http_mtd_metrics_t *m, ngx_uint_t i)
{
    u_char           buf[NGX_MTD_PLACE_STRLEN];
    size_t           n;
    ngx_str_t        text;
    ngx_mtd_node_t  *node;

    node = ngx_mtd_store_node(m->store, i);
    ngx_mtd_node_name(node, &text, buf);

    p = ngx_sprintf(p, "%s{store=\"%V\",node=\"", name, &m->store->name);

    for (n = 0; n < text.len; n++) {

        if (text.data[n] == '"' || text.data[n] == '\\') {
            *p++ = '\\';
            *p++ = text.data[n];

        } else if (text.data[n] == LF) {
            *p++ = '\\';
            *p++ = 'n';

        } else {
            *p++ = text.data[n];
        }
    }

    return ngx_sprintf(p, "\",role=\"%s\"", ngx_mtd_node_role_name(node));
}


static u_char *
ngx_http_mtd_metrics_bypass(u_char *p, ngx_http_mtd_metrics_t *m,
    ngx_uint_t n)
{
    ngx_uint_t             i;
    ngx_mtd_zone_bypass_t  b;

    p = ngx_http_mtd_metrics_head(p, "mtd_bypass", "gauge",
                                  "Seconds for which refusals of devices are "
                                  "off, 0 if they are on.");

    for (i = 0; i < n; i++) {

        if (!ngx_mtd_bypass_get(&m[i].store->zone, &b)) {
            b.until = ngx_time();
        }

        p = ngx_http_mtd_metrics_line(p, "mtd_bypass", &m[i], NULL, NULL,
                                      b.until - (uint64_t) ngx_time());
    }

    return p;
}


/* of stores that have such a task */

static u_char *
ngx_http_mtd_metrics_tasks(u_char *p, ngx_http_mtd_metrics_t *m,
    ngx_uint_t n)
{
    ngx_uint_t  i, k;

    p = ngx_http_mtd_metrics_head(p, "mtd_state_written_timestamp_seconds",
                                  "gauge", "When the last known state was "
                                  "written, 0 if not yet.");

    for (i = 0; i < n; i++) {
        if (m[i].store->state.path.len) {
            p = ngx_http_mtd_metrics_line(p,
                              "mtd_state_written_timestamp_seconds", &m[i],
                              NULL, NULL, m[i].store->zone.tasks->written);
        }
    }

    p = ngx_http_mtd_metrics_head(p, "mtd_preload_keys", "gauge",
                                  "Keys of devices and aliases that the "
                                  "preload has seen.");

    for (i = 0; i < n; i++) {
        if (m[i].store->preload.on) {
            p = ngx_http_mtd_metrics_line(p, "mtd_preload_keys", &m[i], NULL,
                              NULL, m[i].store->zone.tasks->preload_keys);
        }
    }

    p = ngx_http_mtd_metrics_head(p, "mtd_preload", "gauge",
                                  "How far the preload is.");

    for (i = 0; i < n; i++) {
        for (k = 0; m[i].store->preload.on && k < NGX_MTD_PRELOAD_N; k++) {
            p = ngx_http_mtd_metrics_line(p, "mtd_preload", &m[i], "state",
                              ngx_mtd_preload_name(k),
                              k == m[i].store->zone.tasks->preload);
        }
    }

    return p;
}
