
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include "ngx_http_mtd_bearer.h"


#define NGX_HTTP_MTD_BEARER_FILE    262144  /* bytes, at most */
#define NGX_HTTP_MTD_BEARER_CHECK   3000    /* ms */
#define NGX_HTTP_MTD_BEARER_TAIL    32      /* bytes of a token to hash */


static mtd_jwt_keys_t *ngx_http_mtd_bearer_load(ngx_http_mtd_bearer_t *bearer,
    ngx_err_t *err, const char **why);
static void ngx_http_mtd_bearer_check(ngx_event_t *ev);
static void ngx_http_mtd_bearer_again(ngx_http_mtd_bearer_t *bearer,
    ngx_uint_t changed, ngx_log_t *log);
static uint32_t ngx_http_mtd_bearer_hash(const u_char *token, size_t len);
static ngx_http_mtd_bearer_entry_t **ngx_http_mtd_bearer_place(
    ngx_http_mtd_bearer_t *bearer, uint32_t hash);
static void ngx_http_mtd_bearer_forget(ngx_http_mtd_bearer_t *bearer);
static void ngx_http_mtd_bearer_cleanup(void *data);


ngx_int_t
ngx_http_mtd_bearer_keys(ngx_conf_t *cf, ngx_http_mtd_bearer_t *bearer)
{
    ngx_err_t            err;
    const char          *why;
    ngx_pool_cleanup_t  *cln;

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    bearer->keys = ngx_http_mtd_bearer_load(bearer, &err, &why);

    if (bearer->keys == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, err,
                           "the keys of \"mtd_bearer\" in \"%V\" cannot be "
                           "used: %s", &bearer->path, why);
        return NGX_ERROR;
    }

    cln->handler = ngx_http_mtd_bearer_cleanup;
    cln->data = bearer;

    return NGX_OK;
}


/* NULL: why says what is wrong, and err if the system has said it */

static mtd_jwt_keys_t *
ngx_http_mtd_bearer_load(ngx_http_mtd_bearer_t *bearer, ngx_err_t *err,
    const char **why)
{
    u_char           *buf;
    size_t            len;
    ssize_t           n;
    ngx_fd_t          fd;
    mtd_jwt_keys_t   *keys;
    ngx_file_info_t   fi;

    buf = NULL;
    keys = NULL;
    *err = 0;

    /* a FIFO in its place must not be waited for */

    fd = ngx_open_file(bearer->path.data, NGX_FILE_RDONLY|NGX_FILE_NONBLOCK,
                       NGX_FILE_OPEN, 0);

    if (fd == NGX_INVALID_FILE || ngx_fd_info(fd, &fi) == NGX_FILE_ERROR) {
        *err = ngx_errno;
        *why = "it cannot be opened";
        goto done;
    }

    bearer->file.mtime = ngx_file_mtime(&fi);
    bearer->file.size = ngx_file_size(&fi);
    bearer->file.uniq = ngx_file_uniq(&fi);
    bearer->file.read = ngx_time();

    if (!ngx_is_file(&fi) || ngx_file_size(&fi) > NGX_HTTP_MTD_BEARER_FILE) {
        *why = "it is no file of at most 256k";
        goto done;
    }

    buf = malloc(NGX_HTTP_MTD_BEARER_FILE);
    if (buf == NULL) {
        *err = ngx_errno;
        *why = "there is no memory";
        goto done;
    }

    for (len = 0; len < NGX_HTTP_MTD_BEARER_FILE; len += n) {
        n = ngx_read_fd(fd, buf + len, NGX_HTTP_MTD_BEARER_FILE - len);

        if (n == -1) {
            *err = ngx_errno;
            *why = "it cannot be read";
            goto done;
        }

        if (n == 0) {
            break;
        }
    }

    keys = mtd_jwt_keys(buf, len, bearer->rules.algorithms, why);

done:

    if (fd != NGX_INVALID_FILE) {
        (void) ngx_close_file(fd);
    }

    free(buf);

    return keys;
}


void
ngx_http_mtd_bearer_watch(ngx_http_mtd_bearer_t *bearer, ngx_log_t *log)
{
    bearer->event.handler = ngx_http_mtd_bearer_check;
    bearer->event.data = bearer;
    bearer->event.log = log;
    bearer->event.cancelable = 1;

    ngx_add_timer(&bearer->event, NGX_HTTP_MTD_BEARER_CHECK);
}


/*
 * A file that cannot be used leaves what was read before it.  In the second
 * in which it was written it may be written once more.
 */

static void
ngx_http_mtd_bearer_check(ngx_event_t *ev)
{
    ngx_uint_t              changed;
    ngx_file_info_t         fi;
    ngx_http_mtd_bearer_t  *bearer;

    bearer = ev->data;

    ngx_add_timer(ev, NGX_HTTP_MTD_BEARER_CHECK);

    if (ngx_file_info(bearer->path.data, &fi) == NGX_FILE_ERROR) {

        if (!bearer->missing) {
            bearer->missing = 1;
            ngx_log_error(NGX_LOG_ERR, ev->log, ngx_errno,
                          "the keys of \"mtd_bearer\" in \"%V\" are gone, "
                          "those that were read before stay",
                          &bearer->path);
        }

        return;
    }

    changed = (bearer->missing
               || bearer->file.mtime != ngx_file_mtime(&fi)
               || bearer->file.size != ngx_file_size(&fi)
               || bearer->file.uniq != ngx_file_uniq(&fi));

    if (!changed && (bearer->file.read > bearer->file.mtime
                     || bearer->file.mtime > ngx_time()))
    {
        return;
    }

    bearer->missing = 0;
    bearer->file.mtime = ngx_file_mtime(&fi);
    bearer->file.size = ngx_file_size(&fi);
    bearer->file.uniq = ngx_file_uniq(&fi);
    bearer->file.read = ngx_time();

    ngx_http_mtd_bearer_again(bearer, changed, ev->log);
}


static void
ngx_http_mtd_bearer_again(ngx_http_mtd_bearer_t *bearer, ngx_uint_t changed,
    ngx_log_t *log)
{
    ngx_err_t        err;
    const char      *why;
    mtd_jwt_keys_t  *keys;

    keys = ngx_http_mtd_bearer_load(bearer, &err, &why);

    if (keys == NULL) {

        if (changed) {
            ngx_log_error(NGX_LOG_ERR, log, err,
                          "the keys of \"mtd_bearer\" in \"%V\" cannot be "
                          "used: %s; those that were read before stay",
                          &bearer->path, why);
        }

        return;
    }

    ngx_log_error(NGX_LOG_NOTICE, log, 0,
                  "%ud keys of \"mtd_bearer\" were read from \"%V\"",
                  mtd_jwt_keys_n(keys), &bearer->path);

    mtd_jwt_keys_free(bearer->keys);
    bearer->keys = keys;

    ngx_http_mtd_bearer_forget(bearer);
}


/*
 * The end of the signature, as it is written.  Only tokens that were
 * verified are kept, so nobody but an issuer chooses where one is.
 */

static uint32_t
ngx_http_mtd_bearer_hash(const u_char *token, size_t len)
{
    if (len < NGX_HTTP_MTD_BEARER_TAIL) {
        return 0;
    }

    return ngx_murmur_hash2((u_char *) token + len - NGX_HTTP_MTD_BEARER_TAIL,
                            NGX_HTTP_MTD_BEARER_TAIL);
}


static ngx_http_mtd_bearer_entry_t **
ngx_http_mtd_bearer_place(ngx_http_mtd_bearer_t *bearer, uint32_t hash)
{
    return &bearer->cache[hash & (bearer->places - 1)
                               & ~(NGX_HTTP_MTD_BEARER_WAYS - 1)];
}


ngx_http_mtd_bearer_entry_t *
ngx_http_mtd_bearer_find(ngx_http_mtd_bearer_t *bearer, const u_char *token,
    size_t len, time_t now)
{
    uint32_t                       hash;
    ngx_uint_t                     i;
    ngx_http_mtd_bearer_entry_t  **place, *entry;

    if (bearer->cache == NULL) {
        return NULL;
    }

    hash = ngx_http_mtd_bearer_hash(token, len);
    place = ngx_http_mtd_bearer_place(bearer, hash);

    for (i = 0; i < NGX_HTTP_MTD_BEARER_WAYS; i++) {
        entry = place[i];

        if (entry && entry->hash == hash && entry->len == len
            && ngx_memcmp(entry->data, token, len) == 0)
        {
            return entry->bearer.until > now ? entry : NULL;
        }
    }

    return NULL;
}


/* in place of the one that would have gone first; told if there is no memory */

const mtd_bearer_t *
ngx_http_mtd_bearer_keep(ngx_http_mtd_bearer_t *bearer,
    const mtd_bearer_t *told, const u_char *token, size_t len,
    ngx_log_t *log)
{
    ngx_uint_t                     i, at;
    ngx_http_mtd_bearer_entry_t  **place, *entry;

    if (bearer->cache == NULL) {
        bearer->cache = ngx_calloc(bearer->places
                                   * sizeof(ngx_http_mtd_bearer_entry_t *),
                                   log);
        if (bearer->cache == NULL) {
            return told;
        }
    }

    entry = ngx_alloc(offsetof(ngx_http_mtd_bearer_entry_t, data) + len, log);
    if (entry == NULL) {
        return told;
    }

    entry->bearer = *told;
    entry->hash = ngx_http_mtd_bearer_hash(token, len);
    entry->len = len;
    ngx_memcpy(entry->data, token, len);

    place = ngx_http_mtd_bearer_place(bearer, entry->hash);
    at = 0;

    for (i = 0; i < NGX_HTTP_MTD_BEARER_WAYS; i++) {

        if (place[i] == NULL) {
            at = i;
            break;
        }

        if (place[i]->bearer.until < place[at]->bearer.until) {
            at = i;
        }
    }

    if (place[at]) {
        ngx_free(place[at]);
    }

    place[at] = entry;

    return &entry->bearer;
}


static void
ngx_http_mtd_bearer_forget(ngx_http_mtd_bearer_t *bearer)
{
    ngx_uint_t  i;

    if (bearer->cache == NULL) {
        return;
    }

    for (i = 0; i < bearer->places; i++) {
        if (bearer->cache[i]) {
            ngx_free(bearer->cache[i]);
            bearer->cache[i] = NULL;
        }
    }
}


static void
ngx_http_mtd_bearer_cleanup(void *data)
{
    ngx_http_mtd_bearer_t *bearer = data;

    if (bearer->event.timer_set) {
        ngx_del_timer(&bearer->event);
    }

    ngx_http_mtd_bearer_forget(bearer);

    if (bearer->cache) {
        ngx_free(bearer->cache);
    }

    mtd_jwt_keys_free(bearer->keys);
}
