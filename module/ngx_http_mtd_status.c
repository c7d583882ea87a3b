
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include "ngx_http_mtd_module.h"


#define NGX_HTTP_MTD_STATUS_STORE                                             \
    (4096 + (NGX_MTD_COUNT_N) * (64 + NGX_INT64_LEN))


static u_char *ngx_http_mtd_status_store(u_char *p, ngx_mtd_store_t *store);
static u_char *ngx_http_mtd_status_link(u_char *p, ngx_mtd_store_t *store);


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
    u_char                     *p;
    size_t                      len;
    ngx_str_t                   body;
    ngx_int_t                   rc;
    ngx_uint_t                  i;
    ngx_mtd_store_t           **store;
    ngx_http_complex_value_t    cv;
    ngx_http_mtd_main_conf_t   *mmcf;

    static ngx_str_t  type = ngx_string("application/json");

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    mmcf = ngx_http_get_module_main_conf(r, ngx_http_mtd_module);
    store = mmcf->stores.elts;

    len = 256;

    for (i = 0; i < mmcf->stores.nelts; i++) {
        len += NGX_HTTP_MTD_STATUS_STORE + 6 * store[i]->redis_conf.name.len;
    }

    p = ngx_pnalloc(r->pool, len);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    body.data = p;

    p = ngx_sprintf(p, "{\"version\":\"%s\",\"nginx\":\"%s\",\"pid\":%P,"
                    "\"stores\":{", NGX_HTTP_MTD_VERSION, NGINX_VERSION,
                    ngx_pid);

    for (i = 0; i < mmcf->stores.nelts; i++) {

        if (i) {
            *p++ = ',';
        }

        p = ngx_http_mtd_status_store(p, store[i]);
    }

    p = ngx_sprintf(p, "}}\n");

    body.len = p - body.data;

    ngx_memzero(&cv, sizeof(ngx_http_complex_value_t));
    cv.value = body;

    return ngx_http_send_response(r, NGX_HTTP_OK, &type, &cv);
}


static u_char *
ngx_http_mtd_status_store(u_char *p, ngx_mtd_store_t *store)
{
    ngx_uint_t              i;
    const mtd_str_t        *word;
    ngx_mtd_zone_totals_t   totals;

    ngx_mtd_zone_totals(&store->zone, &totals);

    p = ngx_sprintf(p, "\"%V\":{\"server\":\"", &store->name);
    p = (u_char *) ngx_escape_json(p, store->redis_conf.name.data,
                                   store->redis_conf.name.len);
    p = ngx_sprintf(p, "\",");

    p = ngx_http_mtd_status_link(p, store);

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

    for (i = MTD_REASON_N; i < NGX_MTD_COUNT_N; i++) {
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
    ngx_uint_t  trusted;

    trusted = ngx_current_msec < store->zone.trusted_until;

    return ngx_sprintf(p, "\"data\":\"%s\",\"push\":\"%s\","
                       "\"trusted\":%s,",
                       ngx_http_mtd_status_states[store->data.state],
                       ngx_http_mtd_status_states[store->link.redis.state],
                       trusted ? "true" : "false");
}
