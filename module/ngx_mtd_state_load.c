
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include "ngx_mtd_state.h"


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
    uint16_t  ttl;

    ttl = mtd_ttl_pack((ngx_current_msec - device->entry.fetched + left)
                       / 1000);

    if (device->record.ttl == 0 || device->record.ttl > ttl) {
        device->record.ttl = ttl;
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

    if (device.record.ttl) {
        limit = ngx_min(limit, (ngx_msec_t)
                               mtd_ttl_seconds(device.record.ttl) * 1000);
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
