
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * A device that is refused and comes again at once is asked to wait, longer
 * each time, and has a few lines a minute in the error log.  Who has no
 * record, and so may be somebody else each time, has lines by its address.
 * Each worker counts for itself.
 */


#include "ngx_http_mtd_module.h"
#include "mtd_damp.h"


#define NGX_HTTP_MTD_DAMP_DEVICE_LINES  10      /* a minute */
#define NGX_HTTP_MTD_DAMP_CLIENT_LINES  60


typedef enum {
    NGX_HTTP_MTD_DAMP_DEVICE = 1,
    NGX_HTTP_MTD_DAMP_INET,
    NGX_HTTP_MTD_DAMP_INET6,                    /* its /64 */
    NGX_HTTP_MTD_DAMP_OTHER
} ngx_http_mtd_damp_kind_e;


static ngx_uint_t ngx_http_mtd_damp_line(ngx_http_request_t *r, uint32_t kind,
    uint64_t key, mtd_damp_t **damp);
static mtd_damp_t *ngx_http_mtd_damp_get(uint32_t kind, uint64_t key);
static uint32_t ngx_http_mtd_damp_client(ngx_http_request_t *r,
    uint64_t *key);
static void ngx_http_mtd_damp_timer(void);
static void ngx_http_mtd_damp_handler(ngx_event_t *ev);
static void ngx_http_mtd_damp_told(mtd_damp_t *damp, uint32_t more);


/* two tables: a flood of unknown ids must not drive out its own client */

static mtd_damp_t   ngx_http_mtd_damps[2][MTD_DAMP_ENTRIES];
static ngx_event_t  ngx_http_mtd_damp_event;
static time_t       ngx_http_mtd_damp_until;    /* the last one to wait */


ngx_uint_t
ngx_http_mtd_damp(ngx_http_request_t *r, ngx_http_mtd_ctx_t *ctx)
{
    uint32_t     kind;
    uint64_t     key;
    unsigned     seconds;
    ngx_uint_t   line;
    mtd_damp_t  *damp;

    line = 1;

    if (ctx->identified) {
        line = ngx_http_mtd_damp_line(r, NGX_HTTP_MTD_DAMP_DEVICE,
                                      ngx_mtd_zone_shown(&ctx->store->zone,
                                                         &ctx->device),
                                      &damp);

        seconds = mtd_damp_refused(damp, ngx_time());

        if (ctx->retry_after == 0 && seconds) {

            /* not all at the same time */

            seconds -= ngx_random() % (seconds / 2 + 1);
            ctx->retry_after = seconds;
        }

        damp->wait = seconds;

        if (seconds) {
            ngx_http_mtd_damp_until = ngx_max(ngx_http_mtd_damp_until,
                                              ngx_time() + (time_t) seconds);
        }
    }

    if (ctx->known) {
        return line;
    }

    kind = ngx_http_mtd_damp_client(r, &key);

    if (line) {
        return ngx_http_mtd_damp_line(r, kind, key, &damp);
    }

    /* a line for each id that a client thinks of is as many as it likes */

    damp->more--;

    damp = ngx_http_mtd_damp_get(kind, key);
    damp->more++;

    return 0;
}


ngx_uint_t
ngx_http_mtd_damping(void)
{
    return ngx_time() < ngx_http_mtd_damp_until;
}


ngx_uint_t
ngx_http_mtd_damped(ngx_mtd_store_t *store, const mtd_hash_t *device)
{
    mtd_damp_t  *damp;

    damp = mtd_damp_find(ngx_http_mtd_damps[0], NGX_HTTP_MTD_DAMP_DEVICE,
                         ngx_mtd_zone_shown(&store->zone, device));

    return damp && mtd_damp_wait(damp, ngx_time());
}


static ngx_uint_t
ngx_http_mtd_damp_line(ngx_http_request_t *r, uint32_t kind, uint64_t key,
    mtd_damp_t **damp)
{
    uint32_t    more;
    ngx_uint_t  lines, line;

    *damp = ngx_http_mtd_damp_get(kind, key);

    lines = (kind == NGX_HTTP_MTD_DAMP_DEVICE)
            ? NGX_HTTP_MTD_DAMP_DEVICE_LINES : NGX_HTTP_MTD_DAMP_CLIENT_LINES;

    line = mtd_damp_line(*damp, lines, ngx_time(), &more);

    ngx_http_mtd_damp_told(*damp, more);

    if (!line) {
        ngx_http_mtd_damp_timer();
    }

    return line;
}


/* what it takes the place of is told of */

static mtd_damp_t *
ngx_http_mtd_damp_get(uint32_t kind, uint64_t key)
{
    mtd_damp_t  *damp, old;

    damp = mtd_damp_get(ngx_http_mtd_damps[kind != NGX_HTTP_MTD_DAMP_DEVICE],
                        kind, key, ngx_time(), &old);

    ngx_http_mtd_damp_told(&old, old.more);

    return damp;
}


static uint32_t
ngx_http_mtd_damp_client(ngx_http_request_t *r, uint64_t *key)
{
    struct sockaddr_in   *sin;
#if (NGX_HAVE_INET6)
    struct sockaddr_in6  *sin6;
#endif

    switch (r->connection->sockaddr->sa_family) {

    case AF_INET:
        sin = (struct sockaddr_in *) r->connection->sockaddr;
        *key = sin->sin_addr.s_addr;
        return NGX_HTTP_MTD_DAMP_INET;

#if (NGX_HAVE_INET6)
    case AF_INET6:
        sin6 = (struct sockaddr_in6 *) r->connection->sockaddr;
        ngx_memcpy(key, sin6->sin6_addr.s6_addr, sizeof(uint64_t));
        return NGX_HTTP_MTD_DAMP_INET6;
#endif

    default:
        *key = 0;
        return NGX_HTTP_MTD_DAMP_OTHER;
    }
}


/* who stops coming is told of by the end of the minute, too */

static void
ngx_http_mtd_damp_timer(void)
{
    ngx_event_t  *ev;

    ev = &ngx_http_mtd_damp_event;

    if (ev->timer_set) {
        return;
    }

    ev->handler = ngx_http_mtd_damp_handler;
    ev->data = ngx_http_mtd_damps;
    ev->log = ngx_cycle->log;
    ev->cancelable = 1;

    ngx_add_timer(ev, MTD_DAMP_MINUTE * 1000);
}


static void
ngx_http_mtd_damp_handler(ngx_event_t *ev)
{
    ngx_http_mtd_damp_flush();
}


void
ngx_http_mtd_damp_flush(void)
{
    mtd_damp_t  *damp, *last;

    damp = ngx_http_mtd_damps[0];

    for (last = damp + 2 * MTD_DAMP_ENTRIES; damp < last; damp++) {
        ngx_http_mtd_damp_told(damp, damp->more);
        damp->more = 0;
    }
}


static void
ngx_http_mtd_damp_told(mtd_damp_t *damp, uint32_t more)
{
    u_char           *last, text[NGX_SOCKADDR_STRLEN];
    struct in6_addr   addr;

    if (more == 0) {
        return;
    }

    switch (damp->kind) {

    case NGX_HTTP_MTD_DAMP_DEVICE:
        last = ngx_http_mtd_pseudonym(text, damp->key);

        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "mtd: %uD more refusals of this device in the last "
                      "minute, device: %*s", more, last - text, text);
        return;

    case NGX_HTTP_MTD_DAMP_INET:
        last = text + ngx_inet_ntop(AF_INET, &damp->key, text, sizeof(text));
        break;

    case NGX_HTTP_MTD_DAMP_INET6:
        ngx_memzero(&addr, sizeof(struct in6_addr));
        ngx_memcpy(&addr, &damp->key, sizeof(uint64_t));

        last = text + ngx_inet_ntop(AF_INET6, &addr, text, sizeof(text));
        last = ngx_cpymem(last, "/64", 3);
        break;

    default: /* NGX_HTTP_MTD_DAMP_OTHER */
        last = ngx_cpymem(text, "unix:", 5);
    }

    ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                  "mtd: %uD more refusals of this client in the last minute, "
                  "client: %*s", more, last - text, text);
}
