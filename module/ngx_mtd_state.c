
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include "ngx_mtd_state_file.h"


#define NGX_MTD_STATE_PAUSE    5000         /* ms between two writings */
#define NGX_MTD_STATE_RATE     2048         /* bytes for each ms more */
#define NGX_MTD_STATE_PACE     5            /* ms between two slices */
#define NGX_MTD_STATE_PARTS    1024         /* of the zone, in one slice */
#define NGX_MTD_STATE_POLL     20           /* ms, of the thread */


static void ngx_mtd_state_handler(ngx_event_t *ev);
static uint64_t ngx_mtd_state_changes(ngx_mtd_state_t *state);
static ngx_int_t ngx_mtd_state_begin(ngx_mtd_state_t *state);
static ngx_int_t ngx_mtd_state_step(ngx_mtd_state_t *state);
static u_char *ngx_mtd_state_fill(ngx_mtd_state_t *state, u_char *p);
static u_char *ngx_mtd_state_fill_devices(ngx_mtd_state_t *state, u_char *p);
static u_char *ngx_mtd_state_fill_aliases(ngx_mtd_state_t *state, u_char *p);
static u_char *ngx_mtd_state_fill_text(ngx_mtd_state_t *state, u_char *p);
static uint64_t ngx_mtd_state_age(ngx_mtd_state_t *state, uint64_t fetched);
static ngx_int_t ngx_mtd_state_head(ngx_mtd_state_t *state);


ngx_int_t
ngx_mtd_state_conf(ngx_conf_t *cf, ngx_mtd_state_t *state)
{
    u_char           *p;
    ngx_file_info_t   fi;

    if (ngx_conf_full_name(cf->cycle, &state->path, 0) != NGX_OK) {
        return NGX_ERROR;
    }

    p = state->path.data + state->path.len;

    while (*(p - 1) != '/') {
        p--;
    }

    state->dir.len = p - state->path.data;
    state->dir.data = ngx_pnalloc(cf->pool, state->dir.len + 1);
    state->temp.len = state->path.len + 4;
    state->temp.data = ngx_pnalloc(cf->pool, state->temp.len + 1);

    if (state->dir.data == NULL || state->temp.data == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_cpystrn(state->dir.data, state->path.data, state->dir.len + 1);
    (void) ngx_sprintf(state->temp.data, "%V.tmp%Z", &state->path);

    if (ngx_file_info(state->dir.data, &fi) == NGX_FILE_ERROR
        || !ngx_is_dir(&fi))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "there is no directory \"%V\" for \"state\" of "
                           "mtd_redis \"%V\"; it must be there, and belong to "
                           "the user of the workers", &state->dir,
                           state->store);
        return NGX_ERROR;
    }

    if (fi.st_mode & 02) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\", the directory of \"state\" of mtd_redis "
                           "\"%V\", is open to everybody, who could put a "
                           "file there: chmod o-w it", &state->dir,
                           state->store);
        return NGX_ERROR;
    }

    if (ngx_file_info(state->path.data, &fi) != NGX_FILE_ERROR
        && !ngx_is_file(&fi))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\", the \"state\" of mtd_redis \"%V\", is no "
                           "file; it must be one that the gate alone writes",
                           &state->path, state->store);
        return NGX_ERROR;
    }

    state->ccf = (ngx_core_conf_t *) ngx_get_conf(cf->cycle->conf_ctx,
                                                  ngx_core_module);
    return NGX_OK;
}


ngx_int_t
ngx_mtd_state_bind(ngx_mtd_state_t *state, ngx_str_t *zone)
{
    mtd_str_t  secret, name;

    secret.data = state->zone->secret.data;
    secret.len = state->zone->secret.len;
    name.data = zone->data;
    name.len = zone->len;

    return mtd_state_seal(&state->seal, &secret, &name) == 0 ? NGX_OK
                                                             : NGX_ERROR;
}


ngx_int_t
ngx_mtd_state_init_process(ngx_mtd_state_t *state, ngx_cycle_t *cycle)
{
    if (state->path.len == 0 || ngx_worker != 0) {
        return NGX_OK;
    }

    state->buf = ngx_palloc(cycle->pool, NGX_MTD_STATE_SLICE);
    if (state->buf == NULL) {
        return NGX_ERROR;
    }

    state->log = cycle->log;
    state->stage = NGX_MTD_STATE_IDLE;
    state->fd = NGX_INVALID_FILE;

    /* the worker of a reload that was the writer stops to be it */

    state->zone->tasks->writer = ngx_pid;

    state->timer.handler = ngx_mtd_state_handler;
    state->timer.data = state;
    state->timer.log = cycle->log;
    state->timer.cancelable = 1;

    ngx_add_timer(&state->timer, NGX_MTD_STATE_PAUSE);

    return NGX_OK;
}


void
ngx_mtd_state_exit_process(ngx_mtd_state_t *state)
{
    if (state->buf == NULL) {
        return;
    }

    if (state->timer.timer_set) {
        ngx_del_timer(&state->timer);
    }

    if (state->stage == NGX_MTD_STATE_SYNC) {
        (void) ngx_mtd_state_file_synced(state);
    }

    ngx_mtd_state_file_end(state);

    if (state->zone->tasks->writer != (ngx_atomic_uint_t) ngx_pid
        || ngx_mtd_state_changes(state) == state->done
        || ngx_mtd_state_begin(state) != NGX_OK)
    {
        return;
    }

    /* nobody waits for this worker any more */

    while (state->stage != NGX_MTD_STATE_SYNC) {

        if (ngx_mtd_state_step(state) != NGX_OK) {
            return;
        }
    }

    (void) ngx_mtd_state_file_thread(state);
    (void) ngx_mtd_state_file_synced(state);
}


static void
ngx_mtd_state_handler(ngx_event_t *ev)
{
    uint64_t           clock;
    ngx_int_t          rc;
    ngx_msec_t         pause;
    ngx_mtd_state_t   *state;

    state = ev->data;
    pause = NGX_MTD_STATE_PAUSE;

    switch (state->stage) {

    case NGX_MTD_STATE_IDLE:

        if (state->zone->tasks->writer != (ngx_atomic_uint_t) ngx_pid) {
            return;
        }

        if (ngx_mtd_state_changes(state) != state->done
            && ngx_mtd_state_begin(state) == NGX_OK)
        {
            pause = NGX_MTD_STATE_PACE;
        }

        break;

    case NGX_MTD_STATE_SYNC:

        if (!__atomic_load_n(&state->synced, __ATOMIC_ACQUIRE)) {
            pause = NGX_MTD_STATE_POLL;
            break;
        }

        if (ngx_mtd_state_file_synced(state) == NGX_OK) {
            pause += (state->head.devices * MTD_STATE_DEVICE
                      + state->head.aliases * MTD_STATE_NAMED)
                     / NGX_MTD_STATE_RATE;
        }

        break;

    default:

        clock = ngx_mtd_zone_clock();

        rc = ngx_mtd_state_step(state);

        if (rc == NGX_OK && state->stage == NGX_MTD_STATE_SYNC) {
            ngx_mtd_state_file_sync(state);
        }

        clock = ngx_mtd_zone_clock() - clock;
        state->slice = ngx_max(state->slice, clock);

        if (rc == NGX_OK) {
            pause = NGX_MTD_STATE_PACE;
        }
    }

    ngx_add_timer(ev, pause);
}


/* grows with whatever changes the zone */

static uint64_t
ngx_mtd_state_changes(ngx_mtd_state_t *state)
{
    ngx_mtd_zone_totals_t  totals;

    ngx_mtd_zone_totals(state->zone, &totals);

    /* an empty zone must not replace a file that was ignored */

    if (totals.devices == 0
        && totals.counters[NGX_MTD_COUNT_FLUSHES] == 0)
    {
        return state->done;
    }

    return 1 + totals.counters[NGX_MTD_COUNT_LOOKUPS]
           + totals.counters[NGX_MTD_COUNT_INVALIDATIONS]
           + totals.counters[NGX_MTD_COUNT_FLUSHES]
           + totals.counters[NGX_MTD_COUNT_RECOVERED];
}


static ngx_int_t
ngx_mtd_state_begin(ngx_mtd_state_t *state)
{
    ngx_memzero(&state->head, sizeof(mtd_state_head_t));

    state->begun = ngx_mtd_state_changes(state);
    state->valid_from = *state->zone->valid_from;
    state->part = 0;
    state->text = 0;
    state->slice = 0;

    ngx_time_update();

    state->head.wall = ngx_mtd_state_wall();
    state->head.clock = ngx_current_msec;
    state->head.named = (state->zone->names.n != 0);

    if (state->zone->secret.len == 0) {
        ngx_mtd_zone_get_key(state->zone, &state->head.key);
    }

    state->fd = ngx_mtd_state_file_open(state);
    if (state->fd == NGX_INVALID_FILE) {
        return NGX_ERROR;
    }

    state->digest = EVP_MD_CTX_new();

    if (state->digest == NULL
        || !EVP_DigestInit_ex(state->digest, EVP_sha256(), NULL))
    {
        return ngx_mtd_state_file_fail(state, 0, "SHA-256");
    }

    state->stage = NGX_MTD_STATE_DEVICES;

    return NGX_OK;
}


/* one slice; it ends with the stage */

static ngx_int_t
ngx_mtd_state_step(ngx_mtd_state_t *state)
{
    u_char   *p, *last;
    ssize_t   n;

    p = state->buf;
    last = ngx_mtd_state_fill(state, p);

    if (last > p && !EVP_DigestUpdate(state->digest, p, last - p)) {
        return ngx_mtd_state_file_fail(state, 0, "SHA-256");
    }

    while (p < last) {
        n = write(state->fd, p, last - p);

        if (n == -1 && ngx_errno == NGX_EINTR) {
            continue;
        }

        if (n <= 0) {
            return ngx_mtd_state_file_fail(state, ngx_errno, "write()");
        }

        p += n;
    }

    return state->stage == NGX_MTD_STATE_SYNC ? ngx_mtd_state_head(state)
                                              : NGX_OK;
}


static u_char *
ngx_mtd_state_fill(ngx_mtd_state_t *state, u_char *p)
{
    u_char           *last;
    ngx_uint_t        n;
    ngx_mtd_zone_t   *zone;

    zone = state->zone;
    last = state->buf + NGX_MTD_STATE_SLICE;

    for (n = 0; n < NGX_MTD_STATE_PARTS; n++) {

        switch (state->stage) {

        case NGX_MTD_STATE_DEVICES:

            if (state->part == ngx_mtd_zone_device_parts(zone)) {
                state->part = 0;
                state->stage = NGX_MTD_STATE_ALIASES;
                break;
            }

            if (last - p < NGX_MTD_ZONE_PART * MTD_STATE_DEVICE) {
                return p;
            }

            p = ngx_mtd_state_fill_devices(state, p);
            break;

        case NGX_MTD_STATE_ALIASES:

            if (state->part == ngx_mtd_zone_alias_parts(zone)) {
                state->stage = NGX_MTD_STATE_TEXTS;
                break;
            }

            if (last - p < NGX_MTD_ZONE_PART * MTD_STATE_NAMED) {
                return p;
            }

            p = ngx_mtd_state_fill_aliases(state, p);
            break;

        case NGX_MTD_STATE_TEXTS:

            if (last - p < MTD_STATE_TEXT + MTD_GROUPS_MAX) {
                return p;
            }

            p = ngx_mtd_state_fill_text(state, p);
            break;

        default: /* NGX_MTD_STATE_SYNC */
            return p;
        }
    }

    return p;
}


static u_char *
ngx_mtd_state_fill_devices(ngx_mtd_state_t *state, u_char *p)
{
    ngx_uint_t           i, n;
    ngx_mtd_device_t     found[NGX_MTD_ZONE_PART];
    mtd_state_device_t   device;

    n = ngx_mtd_zone_device_part(state->zone, state->part++, found);

    for (i = 0; i < n; i++) {
        device.key = found[i].entry.key;
        device.age = ngx_mtd_state_age(state, found[i].entry.fetched);
        device.record = found[i].record;

        if (device.age < state->stale) {
            p = mtd_state_put_device(p, &device);
            state->head.devices++;
        }
    }

    return p;
}


static u_char *
ngx_mtd_state_fill_aliases(ngx_mtd_state_t *state, u_char *p)
{
    ngx_uint_t          i, n;
    ngx_mtd_named_t     found[NGX_MTD_ZONE_PART];
    mtd_state_alias_t   alias;

    n = ngx_mtd_zone_alias_part(state->zone, state->part++, found);

    for (i = 0; i < n; i++) {
        alias.key = found[i].alias.entry.key;
        alias.device = found[i].alias.device;
        alias.name = found[i].name;
        alias.age = ngx_mtd_state_age(state, found[i].alias.entry.fetched);

        if (alias.age < state->stale) {
            p = mtd_state_put_alias(p, &alias, state->head.named);
            state->head.aliases++;
        }
    }

    return p;
}


/* last, so that all are there that a device before may name */

static u_char *
ngx_mtd_state_fill_text(ngx_mtd_state_t *state, u_char *p)
{
    u_char            *start;
    ngx_str_t          found;
    mtd_state_text_t   text;

    state->text = ngx_mtd_zone_next_text(state->zone, state->text, &found);

    if (state->text == 0) {
        state->stage = NGX_MTD_STATE_SYNC;
        return p;
    }

    start = p;

    text.number = state->text;
    text.text.len = found.len;
    text.text.data = found.data;

    p = mtd_state_put_text(p, &text);
    state->head.texts += p - start;

    return p;
}


static uint64_t
ngx_mtd_state_age(ngx_mtd_state_t *state, uint64_t fetched)
{
    return fetched < state->head.clock ? state->head.clock - fetched : 0;
}


static ngx_int_t
ngx_mtd_state_head(ngx_mtd_state_t *state)
{
    u_char  head[MTD_STATE_HEADER], md[EVP_MAX_MD_SIZE];

    if (state->valid_from != *state->zone->valid_from) {

        /* a part of it was flushed meanwhile */

        ngx_mtd_state_file_end(state);
        return NGX_DECLINED;
    }

    if (!EVP_DigestFinal_ex(state->digest, md, NULL)
        || mtd_state_put_head(head, &state->head, md, &state->seal) != 0)
    {
        return ngx_mtd_state_file_fail(state, 0, "SHA-256");
    }

    if (pwrite(state->fd, head, sizeof(head), 0) != (ssize_t) sizeof(head)) {
        return ngx_mtd_state_file_fail(state, ngx_errno, "pwrite()");
    }

    return NGX_OK;
}
