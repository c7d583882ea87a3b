
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include "ngx_mtd_state.h"

#include <sys/file.h>


#define NGX_MTD_STATE_PAUSE    5000         /* ms between two writings */
#define NGX_MTD_STATE_RATE     2048         /* bytes for each ms more */
#define NGX_MTD_STATE_PACE     5            /* ms between two slices */
#define NGX_MTD_STATE_PARTS    1024         /* of the zone, in one slice */
#define NGX_MTD_STATE_POLL     20           /* ms, of the thread */

/*
 * What comes out of a file is at least that old, ms: more than any age that
 * is believed without being told of changes.
 */

#define NGX_MTD_STATE_AGED     1000


/* a text's number in the file, and in the zone */

typedef struct {
    uint32_t                number;
    uint32_t                now;
} ngx_mtd_state_number_t;


/* a file while it is loaded */

typedef struct {
    ngx_mtd_state_t         *state;
    mtd_state_head_t         head;
    u_char                  *data;
    uint64_t                 elapsed;       /* ms since it was written */
    ngx_mtd_state_number_t  *numbers;
    ngx_uint_t               nnumbers;
    ngx_uint_t               devices;
    ngx_uint_t               aliases;
} ngx_mtd_state_load_t;


static const char *ngx_mtd_state_read(ngx_mtd_state_load_t *load, ngx_fd_t fd,
    ngx_log_t *log);
static const char *ngx_mtd_state_trust(ngx_mtd_state_t *state,
    ngx_file_info_t *fi);
static const char *ngx_mtd_state_time(ngx_mtd_state_load_t *load);
static ngx_int_t ngx_mtd_state_load_texts(ngx_mtd_state_load_t *load,
    ngx_log_t *log);
static ngx_uint_t ngx_mtd_state_number(ngx_mtd_state_load_t *load,
    uint32_t *number);
static ngx_uint_t ngx_mtd_state_date(uint64_t age, ngx_msec_t limit,
    ngx_msec_t *fetched, ngx_msec_t *left);
static ngx_uint_t ngx_mtd_state_shorten(ngx_mtd_device_t *device,
    ngx_msec_t left);
static void ngx_mtd_state_load_device(ngx_mtd_state_load_t *load,
    const mtd_state_device_t *from);
static void ngx_mtd_state_load_alias(ngx_mtd_state_load_t *load,
    const mtd_state_alias_t *from);
static void ngx_mtd_state_handler(ngx_event_t *ev);
static uint64_t ngx_mtd_state_changes(ngx_mtd_state_t *state);
static ngx_int_t ngx_mtd_state_begin(ngx_mtd_state_t *state);
static ngx_fd_t ngx_mtd_state_open(ngx_mtd_state_t *state);
static ngx_int_t ngx_mtd_state_step(ngx_mtd_state_t *state);
static u_char *ngx_mtd_state_fill(ngx_mtd_state_t *state, u_char *p);
static u_char *ngx_mtd_state_fill_devices(ngx_mtd_state_t *state, u_char *p);
static u_char *ngx_mtd_state_fill_aliases(ngx_mtd_state_t *state, u_char *p);
static u_char *ngx_mtd_state_fill_text(ngx_mtd_state_t *state, u_char *p);
static uint64_t ngx_mtd_state_age(ngx_mtd_state_t *state, uint64_t fetched);
static ngx_int_t ngx_mtd_state_head(ngx_mtd_state_t *state);
static void ngx_mtd_state_sync(ngx_mtd_state_t *state);
static void *ngx_mtd_state_thread(void *data);
static ngx_int_t ngx_mtd_state_synced(ngx_mtd_state_t *state);
static void ngx_mtd_state_end(ngx_mtd_state_t *state);
static ngx_int_t ngx_mtd_state_fail(ngx_mtd_state_t *state, ngx_err_t err,
    const char *what);


static uint64_t
ngx_mtd_state_wall(void)
{
    ngx_time_t  *tp;

    tp = ngx_timeofday();

    return (uint64_t) tp->sec * 1000 + tp->msec;
}


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


void
ngx_mtd_state_load(ngx_mtd_state_t *state, ngx_log_t *log)
{
    ngx_fd_t               fd;
    uint64_t               i;
    const char            *why;
    mtd_state_alias_t      alias;
    mtd_state_device_t     device;
    ngx_mtd_state_load_t   load;

    /* whoever owns the directory may put a pipe there */

    fd = open((const char *) state->path.data,
              O_RDONLY|O_NONBLOCK|O_NOFOLLOW|O_CLOEXEC);

    if (fd == NGX_INVALID_FILE) {

        if (ngx_errno != NGX_ENOENT) {
            ngx_log_error(NGX_LOG_WARN, log, ngx_errno,
                          "state \"%V\" of mtd_redis \"%V\" is ignored",
                          &state->path, state->store);
        }

        return;
    }

    ngx_memzero(&load, sizeof(ngx_mtd_state_load_t));
    load.state = state;

    why = ngx_mtd_state_read(&load, fd, log);

    (void) ngx_close_file(fd);

    if (why == NULL && ngx_mtd_state_load_texts(&load, log) != NGX_OK) {
        why = "there is no memory";
    }

    if (why) {
        ngx_log_error(NGX_LOG_WARN, log, 0,
                      "state \"%V\" of mtd_redis \"%V\" is ignored: %s",
                      &state->path, state->store, why);
        goto done;
    }

    if (state->zone->secret.len == 0) {
        ngx_mtd_zone_set_key(state->zone, &load.head.key);
    }

    for (i = 0; i < load.head.devices; i++) {
        mtd_state_device(load.data, &load.head, i, &device);
        ngx_mtd_state_load_device(&load, &device);
    }

    for (i = 0; i < load.head.aliases; i++) {
        mtd_state_alias(load.data, &load.head, i, &alias);
        ngx_mtd_state_load_alias(&load, &alias);
    }

    state->zone->tasks->loaded = load.devices;

    ngx_log_error(NGX_LOG_NOTICE, log, 0,
                  "mtd_redis \"%V\" has %ui devices and %ui aliases out of "
                  "\"%V\", %uL s old, for while redis does not answer",
                  state->store, load.devices, load.aliases, &state->path,
                  load.elapsed / 1000);

done:

    if (load.data) {
        ngx_free(load.data);
    }

    if (load.numbers) {
        ngx_free(load.numbers);
    }
}


/* returns why it is of no use, or NULL */

static const char *
ngx_mtd_state_read(ngx_mtd_state_load_t *load, ngx_fd_t fd, ngx_log_t *log)
{
    u_char            head[MTD_STATE_HEADER], *p;
    size_t            left;
    ssize_t           n;
    const char       *why;
    ngx_file_info_t   fi;

    if (ngx_fd_info(fd, &fi) == NGX_FILE_ERROR) {
        return "it cannot be looked at";
    }

    why = ngx_mtd_state_trust(load->state, &fi);

    if (why) {
        return why;
    }

    n = ngx_read_fd(fd, head, sizeof(head));

    why = (n == (ssize_t) sizeof(head))
          ? mtd_state_head(head, ngx_file_size(&fi), &load->head,
                           &load->state->seal)
          : "it is too short";

    if (why) {
        return why;
    }

    why = ngx_mtd_state_time(load);

    if (why) {
        return why;
    }

    /* as a whole: what is checked is what is used */

    load->data = ngx_alloc(ngx_file_size(&fi), log);
    if (load->data == NULL) {
        return "there is no memory";
    }

    p = ngx_cpymem(load->data, head, sizeof(head));
    left = ngx_file_size(&fi) - sizeof(head);

    while (left) {
        n = ngx_read_fd(fd, p, left);

        if (n <= 0) {
            return "it cannot be read";
        }

        p += n;
        left -= n;
    }

    return mtd_state_body(load->data, &load->head);
}


static const char *
ngx_mtd_state_trust(ngx_mtd_state_t *state, ngx_file_info_t *fi)
{
    if (!ngx_is_file(fi)) {
        return "it is no file";
    }

    if (fi->st_uid != 0 && fi->st_uid != geteuid()
        && (ngx_uid_t) fi->st_uid != state->ccf->user)
    {
        return "it belongs to somebody else than root and the worker's user";
    }

    if (ngx_file_access(fi) & 077) {
        return "others have a right to it, its mode must be 600";
    }

    return NULL;
}


/*
 * The clock on the wall may have been set, the other one starts anew with
 * the machine; neither has run ahead of the truth by itself, so the longer
 * time is taken.
 */

static const char *
ngx_mtd_state_time(ngx_mtd_state_load_t *load)
{
    uint64_t  wall;

    ngx_time_update();

    wall = ngx_mtd_state_wall();

    if (wall < load->head.wall) {
        return "it is from the future, so its age is unknown";
    }

    load->elapsed = wall - load->head.wall;

    if (load->head.clock < ngx_current_msec) {
        load->elapsed = ngx_max(load->elapsed,
                                ngx_current_msec - load->head.clock);
    }

    if (load->elapsed >= load->state->stale) {
        return "it is older than \"stale\"";
    }

    if (load->head.named != (load->state->zone->names.n != 0)) {
        return "its header is damaged";
    }

    return NULL;
}


static ngx_int_t
ngx_mtd_state_load_texts(ngx_mtd_state_load_t *load, ngx_log_t *log)
{
    uint64_t                 at;
    mtd_state_text_t         text;
    ngx_mtd_state_number_t  *number;

    at = 0;

    while (mtd_state_text(load->data, &load->head, &at, &text)) {
        load->nnumbers++;
    }

    load->numbers = ngx_alloc((load->nnumbers + 1)
                              * sizeof(ngx_mtd_state_number_t), log);
    if (load->numbers == NULL) {
        return NGX_ERROR;
    }

    number = load->numbers;

    at = 0;

    while (mtd_state_text(load->data, &load->head, &at, &text)) {
        number->number = text.number;
        number->now = ngx_mtd_zone_intern(load->state->zone, &text.text);
        number++;
    }

    return NGX_OK;
}


/* 0 if there is no such text, or no room for it */

static ngx_uint_t
ngx_mtd_state_number(ngx_mtd_state_load_t *load, uint32_t *number)
{
    ngx_uint_t  first, last, i;

    if (*number == 0) {
        return 1;
    }

    first = 0;
    last = load->nnumbers;

    while (first < last) {
        i = (first + last) / 2;

        if (load->numbers[i].number < *number) {
            first = i + 1;

        } else {
            last = i;
        }
    }

    if (first == load->nnumbers || load->numbers[first].number != *number
        || load->numbers[first].now == 0)
    {
        return 0;
    }

    *number = load->numbers[first].now;

    return 1;
}


/* when it was fetched, and how long it may serve; 0: not at all */

static ngx_uint_t
ngx_mtd_state_date(uint64_t age, ngx_msec_t limit, ngx_msec_t *fetched,
    ngx_msec_t *left)
{
    age = ngx_max(age, NGX_MTD_STATE_AGED);

    if (age >= limit) {
        return 0;
    }

    /* the clock may be younger than the entry: the machine has restarted */

    *fetched = (age < ngx_current_msec) ? ngx_current_msec - age : 1;
    *left = limit - age;

    return 1;
}


/*
 * Where the time of an entry cannot be told in the zone's clock, the TTL is
 * what ends its life in time.
 */

static ngx_uint_t
ngx_mtd_state_shorten(ngx_mtd_device_t *device, ngx_msec_t left)
{
    ngx_msec_t  ttl;

    ttl = (ngx_current_msec - device->entry.fetched + left) / 1000;
    ttl = ngx_min(ttl, MTD_TTL_MAX - 1);

    if (device->record.ttl == 0 || device->record.ttl > ttl) {
        device->record.ttl = (uint16_t) ttl;
    }

    return device->record.ttl != 0;
}


static void
ngx_mtd_state_load_device(ngx_mtd_state_load_t *load,
    const mtd_state_device_t *from)
{
    ngx_msec_t         limit, fetched, left;
    ngx_mtd_device_t   device;

    device.entry.key = from->key;
    device.record = from->record;

    limit = load->state->stale;

    if (device.record.ttl && device.record.ttl != MTD_TTL_MAX) {
        limit = ngx_min(limit, (ngx_msec_t) device.record.ttl * 1000);
    }

    if (!ngx_mtd_state_date(from->age + load->elapsed, limit, &fetched, &left)
        || !ngx_mtd_state_number(load, &device.record.os)
        || !ngx_mtd_state_number(load, &device.record.vendor)
        || !ngx_mtd_state_number(load, &device.record.groups))
    {
        return;
    }

    device.entry.fetched = fetched;

    if (fetched == 1 && !ngx_mtd_state_shorten(&device, left)) {
        return;
    }

    ngx_mtd_zone_restore_device(load->state->zone, &device);
    ngx_mtd_zone_fetched(load->state->zone, ngx_current_msec
                                            - (load->state->stale - left));

    load->devices++;
}


static void
ngx_mtd_state_load_alias(ngx_mtd_state_load_t *load,
    const mtd_state_alias_t *from)
{
    ngx_msec_t         fetched, left;
    ngx_mtd_zone_t    *zone;
    ngx_mtd_named_t    named;
    ngx_mtd_device_t   device;

    zone = load->state->zone;

    if (!ngx_mtd_state_date(from->age + load->elapsed, load->state->stale,
                            &fetched, &left))
    {
        return;
    }

    if (fetched == 1) {

        if (!ngx_mtd_zone_device(zone, &from->device, &device)
            || !ngx_mtd_state_shorten(&device, left))
        {
            return;
        }

        ngx_mtd_zone_restore_device(zone, &device);
    }

    named.alias.entry.key = from->key;
    named.alias.entry.fetched = fetched;
    named.alias.device = from->device;
    named.name = from->name;

    ngx_mtd_zone_restore_alias(zone, &named);

    load->aliases++;
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
        (void) ngx_mtd_state_synced(state);
    }

    ngx_mtd_state_end(state);

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

    (void) ngx_mtd_state_thread(state);
    (void) ngx_mtd_state_synced(state);
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

        if (ngx_mtd_state_synced(state) == NGX_OK) {
            pause += (state->head.devices * MTD_STATE_DEVICE
                      + state->head.aliases * MTD_STATE_NAMED)
                     / NGX_MTD_STATE_RATE;
        }

        break;

    default:

        clock = ngx_mtd_zone_clock();

        rc = ngx_mtd_state_step(state);

        if (rc == NGX_OK && state->stage == NGX_MTD_STATE_SYNC) {
            ngx_mtd_state_sync(state);
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

    state->fd = ngx_mtd_state_open(state);
    if (state->fd == NGX_INVALID_FILE) {
        return NGX_ERROR;
    }

    state->digest = EVP_MD_CTX_new();

    if (state->digest == NULL
        || !EVP_DigestInit_ex(state->digest, EVP_sha256(), NULL))
    {
        return ngx_mtd_state_fail(state, 0, "SHA-256");
    }

    state->stage = NGX_MTD_STATE_DEVICES;

    return NGX_OK;
}


/*
 * There is one temporary file, so a worker that is killed leaves one at
 * most.  The lock keeps others away that write, too: a second master, or a
 * worker of a zone that a reload has left behind.
 */

static ngx_fd_t
ngx_mtd_state_open(ngx_mtd_state_t *state)
{
    u_char           *temp;
    ngx_fd_t          fd;
    ngx_err_t         err;
    const char       *what;
    ngx_file_info_t   fi, now;

    temp = state->temp.data;

    fd = open((const char *) temp,
              O_WRONLY|O_CREAT|O_NONBLOCK|O_NOFOLLOW|O_CLOEXEC, 0600);

    if (fd == -1) {
        (void) ngx_mtd_state_fail(state, ngx_errno, ngx_open_file_n);
        return NGX_INVALID_FILE;
    }

    if (flock(fd, LOCK_EX|LOCK_NB) == -1) {
        err = ngx_errno;
        what = (err == EWOULDBLOCK) ? NULL : "flock()";
        goto failed;
    }

    /* renamed by who had the lock, it is the state itself now */

    if (ngx_fd_info(fd, &fi) == NGX_FILE_ERROR
        || ngx_file_info(temp, &now) == NGX_FILE_ERROR
        || ngx_file_uniq(&fi) != ngx_file_uniq(&now))
    {
        err = 0;
        what = NULL;
        goto failed;
    }

    if (fchmod(fd, 0600) == 0 && ftruncate(fd, 0) == 0
        && lseek(fd, MTD_STATE_HEADER, SEEK_SET) != -1)
    {
        return fd;
    }

    err = ngx_errno;
    what = "ftruncate()";

failed:

    (void) ngx_close_file(fd);

    if (what) {
        (void) ngx_mtd_state_fail(state, err, what);
    }

    return NGX_INVALID_FILE;
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
        return ngx_mtd_state_fail(state, 0, "SHA-256");
    }

    while (p < last) {
        n = write(state->fd, p, last - p);

        if (n == -1 && ngx_errno == NGX_EINTR) {
            continue;
        }

        if (n <= 0) {
            return ngx_mtd_state_fail(state, ngx_errno, "write()");
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

        ngx_mtd_state_end(state);
        return NGX_DECLINED;
    }

    if (!EVP_DigestFinal_ex(state->digest, md, NULL)
        || mtd_state_put_head(head, &state->head, md, &state->seal) != 0)
    {
        return ngx_mtd_state_fail(state, 0, "SHA-256");
    }

    if (pwrite(state->fd, head, sizeof(head), 0) != (ssize_t) sizeof(head)) {
        return ngx_mtd_state_fail(state, ngx_errno, "pwrite()");
    }

    return NGX_OK;
}


/* fsync() may take seconds; a thread that cannot be had is done without */

static void
ngx_mtd_state_sync(ngx_mtd_state_t *state)
{
    int       err;
    sigset_t  all, before;

    state->synced = 0;

    sigfillset(&all);
    (void) pthread_sigmask(SIG_SETMASK, &all, &before);

    err = pthread_create(&state->thread, NULL, ngx_mtd_state_thread, state);

    (void) pthread_sigmask(SIG_SETMASK, &before, NULL);

    state->threaded = (err == 0);

    if (err) {
        (void) ngx_mtd_state_thread(state);
    }
}


/* no log, no memory, no time of nginx: these are not for threads */

static void *
ngx_mtd_state_thread(void *data)
{
    ngx_mtd_state_t *state = data;

    int  dir;

    state->err = 0;

    if (fsync(state->fd) == -1) {
        state->err = ngx_errno;
        state->what = "fsync()";

    } else if (ngx_rename_file(state->temp.data, state->path.data)
               == NGX_FILE_ERROR)
    {
        state->err = ngx_errno;
        state->what = ngx_rename_file_n;

    } else {
        dir = open((const char *) state->dir.data,
                   O_RDONLY|O_DIRECTORY|O_CLOEXEC);

        if (dir != -1) {
            (void) fsync(dir);
            (void) close(dir);
        }
    }

    __atomic_store_n(&state->synced, 1, __ATOMIC_RELEASE);

    return NULL;
}


static ngx_int_t
ngx_mtd_state_synced(ngx_mtd_state_t *state)
{
    ngx_mtd_zone_tasks_t  *tasks;

    if (state->threaded) {
        (void) pthread_join(state->thread, NULL);
        state->threaded = 0;
    }

    if (state->err) {
        return ngx_mtd_state_fail(state, state->err, state->what);
    }

    if (state->failed) {
        ngx_log_error(NGX_LOG_NOTICE, state->log, 0,
                      "state \"%V\" of mtd_redis \"%V\" is written again",
                      &state->path, state->store);
        state->failed = NULL;
    }

    state->done = state->begun;

    tasks = state->zone->tasks;

    tasks->written = state->head.wall / 1000;
    tasks->saved = state->head.devices;
    tasks->slice = ngx_max(tasks->slice, state->slice);

    ngx_mtd_state_end(state);

    return NGX_OK;
}


static void
ngx_mtd_state_end(ngx_mtd_state_t *state)
{
    if (state->digest) {
        EVP_MD_CTX_free(state->digest);
        state->digest = NULL;
    }

    if (state->fd != NGX_INVALID_FILE) {
        (void) ngx_close_file(state->fd);
        state->fd = NGX_INVALID_FILE;
    }

    state->stage = NGX_MTD_STATE_IDLE;
}


/* logged once for each change from working to not */

static ngx_int_t
ngx_mtd_state_fail(ngx_mtd_state_t *state, ngx_err_t err, const char *what)
{
    if (state->failed == NULL) {
        ngx_log_error(NGX_LOG_ERR, state->log, err,
                      "state \"%V\" of mtd_redis \"%V\" cannot be written: "
                      "%s failed", &state->path, state->store, what);
    }

    state->failed = what;

    ngx_mtd_state_end(state);

    return NGX_ERROR;
}
