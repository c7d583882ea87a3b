
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include "ngx_http_mtd_module.h"


static ngx_inline ngx_http_mtd_ctx_t *ngx_http_mtd_create_ctx(
    ngx_http_request_t *r)
    __attribute__((always_inline));
static ngx_int_t ngx_http_mtd_request_raw(ngx_http_request_t *r,
    ngx_http_mtd_ctx_t *ctx, ngx_http_mtd_srv_conf_t *mscf);
static ngx_int_t ngx_http_mtd_request_again(ngx_http_request_t *r,
    ngx_http_mtd_ctx_t *ctx, ngx_http_mtd_srv_conf_t *mscf);
static ngx_inline ngx_int_t ngx_http_mtd_request_path(ngx_http_request_t *r,
    ngx_http_mtd_ctx_t *ctx, const mtd_profile_t *profile, mtd_str_t *path)
    __attribute__((always_inline));
static ngx_int_t ngx_http_mtd_request_store(ngx_http_request_t *r,
    mtd_canon_t *canon);
static ngx_inline void ngx_http_mtd_request_endpoint(ngx_http_request_t *r,
    ngx_http_mtd_ctx_t *ctx, ngx_http_mtd_srv_conf_t *mscf)
    __attribute__((always_inline));
static const mtd_endpoint_t *ngx_http_mtd_request_match(
    ngx_http_request_t *r, ngx_http_mtd_srv_conf_t *mscf,
    const mtd_endpoint_t *known);
static const char *ngx_http_mtd_request_query(ngx_http_request_t *r,
    const mtd_endpoint_t *endpoint);
static uint32_t ngx_http_mtd_request_method(ngx_http_request_t *r);
static const char *ngx_http_mtd_request_line(ngx_http_request_t *r);
static const char *ngx_http_mtd_request_host(ngx_http_request_t *r);
static const char *ngx_http_mtd_request_cookies(ngx_http_request_t *r);
static void ngx_http_mtd_request_headers(ngx_http_request_t *r,
    ngx_http_mtd_srv_conf_t *mscf);
static void ngx_http_mtd_request_strip(ngx_http_request_t *r,
    ngx_http_mtd_srv_conf_t *mscf, ngx_uint_t underscores);
static ngx_uint_t ngx_http_mtd_request_trusted(
    ngx_http_mtd_srv_conf_t *mscf, ngx_table_elt_t *h, ngx_uint_t hash);
static ngx_uint_t ngx_http_mtd_request_hash(ngx_table_elt_t *h);
static ngx_list_part_t *ngx_http_mtd_request_remove(ngx_http_request_t *r,
    ngx_list_part_t *prev, ngx_list_part_t *part, ngx_uint_t i);


/*
 * Before a location is chosen: what nginx, the decision and the backend see
 * from here on is the same.
 */

ngx_int_t
ngx_http_mtd_post_read_handler(ngx_http_request_t *r)
{
    ngx_http_mtd_ctx_t       *ctx;
    ngx_http_mtd_srv_conf_t  *mscf;
    ngx_http_mtd_loc_conf_t  *mlcf;

    mscf = ngx_http_get_module_srv_conf(r, ngx_http_mtd_module);

    if (!mscf->gated) {
        return NGX_DECLINED;
    }

    ngx_log_debug0(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "mtd post read handler");

    ctx = ngx_http_mtd_create_ctx(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_mtd_request_headers(r, mscf);

    if (ngx_http_mtd_request_raw(r, ctx, mscf) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (!ctx->facts.malformed) {
        return NGX_DECLINED;
    }

    mlcf = ngx_http_get_module_loc_conf(r, ngx_http_mtd_module);

    ctx->verdict = ngx_http_mtd_judge(r, ctx, mlcf, NULL);

    return ngx_http_mtd_refuse(r, ctx, mlcf);
}


static ngx_inline ngx_http_mtd_ctx_t *
ngx_http_mtd_create_ctx(ngx_http_request_t *r)
{
    ngx_http_mtd_ctx_t  *ctx;

    ctx = ngx_palloc(r->pool, sizeof(ngx_http_mtd_ctx_t));
    if (ctx == NULL) {
        return NULL;
    }

    /* in two: for more than 80 bytes gcc has a loop, which is slow */

    ngx_memzero(ctx, NGX_HTTP_MTD_CTX_HALF);
    ngx_memzero((u_char *) ctx + NGX_HTTP_MTD_CTX_HALF,
                NGX_HTTP_MTD_CTX_ZERO - NGX_HTTP_MTD_CTX_HALF);

    ngx_http_set_ctx(r, ctx, ngx_http_mtd_module);

    return ctx;
}


/* an internal redirect drops contexts, but a refusal is final */

ngx_http_mtd_ctx_t *
ngx_http_mtd_find_ctx(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t  *cln;
    ngx_http_mtd_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r->main, ngx_http_mtd_module);

    /* those of the request itself are gone before the log phase */

    for (cln = r->pool->cleanup; ctx == NULL && cln; cln = cln->next) {
        if (cln->handler == ngx_http_mtd_cleanup) {
            ctx = cln->data;
        }
    }

    return ctx;
}


ngx_http_mtd_ctx_t *
ngx_http_mtd_request_ctx(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t       *cln;
    ngx_http_mtd_ctx_t       *ctx;
    ngx_http_mtd_srv_conf_t  *mscf;

    ctx = ngx_http_mtd_find_ctx(r);

    if (ctx && (ctx->state == NGX_HTTP_MTD_WAITING
                || (ctx->state == NGX_HTTP_MTD_DECIDED
                    && ctx->verdict.decision != MTD_ALLOW)))
    {
        ngx_http_set_ctx(r, ctx, ngx_http_mtd_module);
        return ctx;
    }

    /* what was decided before counts no more */

    for (cln = r->pool->cleanup; cln; cln = cln->next) {
        if (cln->handler == ngx_http_mtd_cleanup) {
            ngx_http_mtd_cleanup(cln->data);
        }
    }

    ctx = ngx_http_mtd_create_ctx(r);
    if (ctx == NULL) {
        return NULL;
    }

    mscf = ngx_http_get_module_srv_conf(r, ngx_http_mtd_module);

    return ngx_http_mtd_request_again(r, ctx, mscf) == NGX_OK ? ctx : NULL;
}


static ngx_int_t
ngx_http_mtd_request_raw(ngx_http_request_t *r, ngx_http_mtd_ctx_t *ctx,
    ngx_http_mtd_srv_conf_t *mscf)
{
    mtd_str_t  path;

    ctx->why = ngx_http_mtd_request_line(r);

    if (ctx->why == NULL && (mscf->profile->canon & MTD_CANON_COOKIES)) {
        ctx->why = ngx_http_mtd_request_cookies(r);
    }

    if (ctx->why) {
        ctx->facts.malformed = 1;
        return NGX_OK;
    }

    path.data = r->unparsed_uri.data;
    path.len = r->unparsed_uri.len;

    if (r->args_start) {
        path.len = r->args_start - 1 - r->uri_start;
    }

    if (path.len == 0) {

        /* an absolute form without a path */

        path.data = (u_char *) "/";
        path.len = 1;
    }

    if (ngx_http_mtd_request_path(r, ctx, mscf->profile, &path) != NGX_OK) {
        return NGX_ERROR;
    }

    if (!ctx->facts.malformed) {
        ngx_http_mtd_request_endpoint(r, ctx, mscf);
    }

    return NGX_OK;
}


/* the URI is not what it was: the changed form, escaped, is read as raw */

static ngx_int_t
ngx_http_mtd_request_again(ngx_http_request_t *r, ngx_http_mtd_ctx_t *ctx,
    ngx_http_mtd_srv_conf_t *mscf)
{
    u_char     *p;
    uintptr_t   escape;
    mtd_str_t   path;

    escape = ngx_escape_uri(NULL, r->uri.data, r->uri.len, NGX_ESCAPE_URI);

    p = ngx_pnalloc(r->pool, r->uri.len + 2 * escape);
    if (p == NULL) {
        return NGX_ERROR;
    }

    path.data = p;
    path.len = (u_char *) ngx_escape_uri(p, r->uri.data, r->uri.len,
                                         NGX_ESCAPE_URI)
               - p;

    if (ngx_http_mtd_request_path(r, ctx, mscf->profile, &path) != NGX_OK) {
        return NGX_ERROR;
    }

    if (!ctx->facts.malformed) {
        ngx_http_mtd_request_endpoint(r, ctx, mscf);
    }

    return NGX_OK;
}


static ngx_inline ngx_int_t
ngx_http_mtd_request_path(ngx_http_request_t *r, ngx_http_mtd_ctx_t *ctx,
    const mtd_profile_t *profile, mtd_str_t *path)
{
    int          rc;
    u_char      *buf;
    mtd_canon_t  canon;

    if (path->len == r->uri.len) {
        ctx->endpoint = mtd_profile_exact(profile, path);

        if (ctx->endpoint) {
            return NGX_OK;
        }
    }

    rc = mtd_canon_path(&canon, path, profile->canon, NULL);

    if (rc == MTD_CANON_OK && path->len == r->uri.len) {
        return NGX_OK;
    }

    buf = ngx_pnalloc(r->pool, 4 * path->len + 2);
    if (buf == NULL) {
        return NGX_ERROR;
    }

    rc = mtd_canon_path(&canon, path, profile->canon, buf);

    if (rc == MTD_CANON_REFUSED) {
        ctx->facts.malformed = 1;
        ctx->why = canon.why;
        return NGX_OK;
    }

    if (rc == MTD_CANON_OK) {
        canon.path = *path;
        canon.uri = *path;
    }

    return ngx_http_mtd_request_store(r, &canon);
}


static ngx_int_t
ngx_http_mtd_request_store(ngx_http_request_t *r, mtd_canon_t *canon)
{
    u_char  *p;

    p = ngx_pnalloc(r->pool, canon->path.len + 1 + r->args.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    r->uri.len = canon->uri.len;
    r->uri.data = canon->uri.data;

    r->unparsed_uri.data = p;

    p = ngx_cpymem(p, canon->path.data, canon->path.len);

    if (r->args.len || r->args_start) {
        *p++ = '?';
        p = ngx_cpymem(p, r->args.data, r->args.len);
    }

    r->unparsed_uri.len = p - r->unparsed_uri.data;

    r->valid_unparsed_uri = 1;
    r->quoted_uri = 1;

    ngx_http_set_exten(r);

    return NGX_OK;
}


static ngx_inline void
ngx_http_mtd_request_endpoint(ngx_http_request_t *r, ngx_http_mtd_ctx_t *ctx,
    ngx_http_mtd_srv_conf_t *mscf)
{
    uint32_t               method;
    const mtd_endpoint_t  *endpoint;

    ctx->uri = r->uri;
    ctx->args = r->args;

    endpoint = ctx->endpoint;

    if (endpoint == NULL || mscf->endpoints) {
        endpoint = ngx_http_mtd_request_match(r, mscf, endpoint);
    }

    method = ngx_http_mtd_request_method(r);

    if (endpoint && endpoint == mscf->profile->fallback
        && mscf->profile->webdav
        && (method & mscf->profile->webdav->methods))
    {
        endpoint = mscf->profile->webdav;
    }

    ctx->endpoint = endpoint;

    if (endpoint == NULL) {
        ctx->facts.path_refused = 1;
        ctx->status = NGX_HTTP_NOT_FOUND;
        ctx->why = "the path is not of this server";
        return;
    }

    if (endpoint->access == MTD_REFUSED) {
        ctx->facts.path_refused = 1;
        ctx->status = NGX_HTTP_FORBIDDEN;
        ctx->why = "the path is not for clients";
        return;
    }

    if ((method & endpoint->methods) == 0) {
        ctx->facts.path_refused = 1;
        ctx->status = NGX_HTTP_NOT_ALLOWED;
        ctx->why = "the path does not take this method";
        return;
    }

    if ((endpoint->flags & MTD_ENDPOINT_OWN_QUERY) == 0) {
        ctx->why = ngx_http_mtd_request_query(r, endpoint);

        if (ctx->why) {
            ctx->facts.malformed = 1;
            return;
        }
    }

    if (endpoint->access == MTD_OPEN
        || ((endpoint->flags & MTD_ENDPOINT_OPEN_OPTIONS)
            && r->method == NGX_HTTP_OPTIONS && r->args.len == 0))
    {
        ctx->facts.open_endpoint = 1;
    }
}


/* known is what the profile says, if that is certain already */

static const mtd_endpoint_t *
ngx_http_mtd_request_match(ngx_http_request_t *r,
    ngx_http_mtd_srv_conf_t *mscf, const mtd_endpoint_t *known)
{
    mtd_str_t              uri;
    ngx_uint_t             i;
    const mtd_endpoint_t  *endpoint, *own;

    uri.len = r->uri.len;
    uri.data = r->uri.data;

    endpoint = NULL;

    if (mscf->endpoints) {
        own = mscf->endpoints->elts;

        for (i = 0; i < mscf->endpoints->nelts; i++) {
            if (mtd_path_prefix(&uri, &own[i].path)
                && (endpoint == NULL
                    || own[i].path.len > endpoint->path.len))
            {
                endpoint = &own[i];
            }
        }
    }

    if (endpoint) {
        return endpoint;
    }

    return known ? known : mtd_profile_match(mscf->profile, &uri);
}


static const char *
ngx_http_mtd_request_query(ngx_http_request_t *r,
    const mtd_endpoint_t *endpoint)
{
    mtd_str_t  args;

    args.len = r->args.len;
    args.data = r->args.data;

    return (endpoint->flags & MTD_ENDPOINT_STRICT_QUERY)
           ? mtd_canon_strict_query(&args) : mtd_canon_query(&args);
}


static uint32_t
ngx_http_mtd_request_method(ngx_http_request_t *r)
{
    switch (r->method) {

    case NGX_HTTP_POST:
        return MTD_METHOD_POST;

    case NGX_HTTP_GET:
        return MTD_METHOD_GET;

    case NGX_HTTP_OPTIONS:
        return MTD_METHOD_OPTIONS;

    default:
        return mtd_method_bit(r->method_name.data, r->method_name.len);
    }
}


/* the server behind is told neither the version nor the scheme */

static const char *
ngx_http_mtd_request_line(ngx_http_request_t *r)
{
    if (r->http_version < NGX_HTTP_VERSION_10) {
        return "a request of HTTP/0.9";
    }

    if (r->schema.len
        && (r->schema.len < 4 || r->schema.len > 5
            || ngx_strncasecmp(r->schema.data, (u_char *) "https",
                               r->schema.len)
               != 0))
    {
        return "the request line names a scheme that is not of HTTP";
    }

    return ngx_http_mtd_request_host(r);
}


/* an absolute form, or :authority, names a host, and so does the header */

static const char *
ngx_http_mtd_request_host(ngx_http_request_t *r)
{
    size_t      len;
    u_char     *p, *last;
    ngx_str_t  *host;

    if (r->host_start == NULL || r->headers_in.host == NULL) {
        return NULL;
    }

    host = &r->headers_in.host->value;
    len = r->host_end - r->host_start;
    last = host->data + host->len;

    if (host->len > len) {

        /* only HTTP/1 leaves the port out of what it found */

        for (p = last; p > host->data && p[-1] != ':'; p--) {
            /* void */
        }

        last = (p > host->data) ? p - 1 : last;
    }

    if ((size_t) (last - host->data) == len
        && ngx_strncasecmp(host->data, r->host_start, len) == 0)
    {
        return NULL;
    }

    return "the request line and the Host header name different hosts";
}


static const char *
ngx_http_mtd_request_cookies(ngx_http_request_t *r)
{
    mtd_str_t         cookies;
    ngx_uint_t        i;
    const char       *why;
    ngx_table_elt_t  *h, *next;

    i = 0;

    for (h = ngx_http_mtd_cookie(r, i, NULL); h; h = next) {
        i++;
        next = ngx_http_mtd_cookie(r, i, h);

        cookies.len = h->value.len;
        cookies.data = h->value.data;

        why = mtd_canon_cookies(&cookies, next != NULL);

        if (why) {
            return why;
        }
    }

    return NULL;
}


/* nearly always there is nothing to take away, and this is all */

static void
ngx_http_mtd_request_headers(ngx_http_request_t *r,
    ngx_http_mtd_srv_conf_t *mscf)
{
    u_char                    *filter, found;
    ngx_list_part_t           *part;
    ngx_table_elt_t           *h, *last;
    ngx_http_core_srv_conf_t  *cscf;

    cscf = ngx_http_get_module_srv_conf(r, ngx_http_core_module);

    if (cscf->underscores_in_headers || !cscf->ignore_invalid_headers) {

        /* to IIS an underscore is a hyphen; nginx drops them by default */

        ngx_http_mtd_request_strip(r, mscf, 1);
        return;
    }

    filter = mscf->filter;
    found = 0;

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (last = h + part->nelts; h < last; h++) {
            found |= filter[h->hash % NGX_HTTP_MTD_FILTER];
        }
    }

    if (found) {
        ngx_http_mtd_request_strip(r, mscf, 0);
    }
}


/*
 * Elements are not moved, others point to them: the part is cut in two
 * around the one that goes.  No part is left empty, because the core looks
 * at the first element of each but the first.
 */

static void
ngx_http_mtd_request_strip(ngx_http_request_t *r,
    ngx_http_mtd_srv_conf_t *mscf, ngx_uint_t underscores)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part, *prev;
    ngx_table_elt_t  *h;

    prev = NULL;
    part = &r->headers_in.headers.part;
    i = 0;

    while (part) {

        if (i >= part->nelts) {
            prev = part;
            part = part->next;
            i = 0;
            continue;
        }

        h = part->elts;

        if (!ngx_http_mtd_request_trusted(mscf, &h[i],
                                          underscores
                                          ? ngx_http_mtd_request_hash(&h[i])
                                          : h[i].hash))
        {
            i++;
            continue;
        }

        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "client header \"%V\" was stripped", &h[i].key);

        part = ngx_http_mtd_request_remove(r, prev, part, i);

        /* what stood before i was seen already */

        if (part && part->nelts != i) {
            i = 0;
        }
    }
}


/* returns the part to go on with */

static ngx_list_part_t *
ngx_http_mtd_request_remove(ngx_http_request_t *r, ngx_list_part_t *prev,
    ngx_list_part_t *part, ngx_uint_t i)
{
    ngx_list_t       *list;
    ngx_table_elt_t  *h;
    ngx_list_part_t  *rest;

    list = &r->headers_in.headers;
    h = part->elts;

    if (i == 0 && part->nelts > 1) {
        part->elts = &h[1];
        part->nelts--;

    } else if (i == part->nelts - 1 && (i > 0 || part->next == NULL)) {

        part->nelts--;

        if (part->nelts == 0 && prev) {
            prev->next = NULL;
            list->last = prev;
            part = NULL;
        }

    } else if (part->nelts == 1) {

        /* the next one takes its place */

        rest = part->next;

        if (list->last == rest) {
            list->last = part;
        }

        *part = *rest;

    } else {
        rest = ngx_palloc(r->pool, sizeof(ngx_list_part_t));

        if (rest == NULL) {
            ngx_str_set(&h[i].key, "X-Stripped");
            ngx_str_null(&h[i].value);
            h[i].lowcase_key = (u_char *) "x-stripped";
            return part;
        }

        rest->elts = &h[i + 1];
        rest->nelts = part->nelts - i - 1;
        rest->next = part->next;

        part->next = rest;
        part->nelts = i;

        if (list->last == part) {
            list->last = rest;
        }
    }

    /* a part that was cut has no room: the next push takes a new one */

    if (list->last->nelts) {
        list->nalloc = list->last->nelts;
    }

    return part;
}


/* hash is the header's own, or of its name with hyphens for underscores */

static ngx_uint_t
ngx_http_mtd_request_trusted(ngx_http_mtd_srv_conf_t *mscf,
    ngx_table_elt_t *h, ngx_uint_t hash)
{
    u_char            ch;
    size_t            i;
    ngx_uint_t        n;
    const mtd_str_t  *name;

    for (n = mscf->filter[hash % NGX_HTTP_MTD_FILTER];
         n;
         n = mscf->stripped[n].next)
    {
        name = mscf->stripped[n].name;

        if (mscf->stripped[n].hash != hash || name->len != h->key.len) {
            continue;
        }

        for (i = 0; i < name->len; i++) {
            ch = h->lowcase_key[i];

            if (name->data[i] != (ch == '_' ? '-' : ch)) {
                break;
            }
        }

        if (i == name->len) {
            return 1;
        }
    }

    return 0;
}


static ngx_uint_t
ngx_http_mtd_request_hash(ngx_table_elt_t *h)
{
    u_char      ch;
    size_t      i;
    ngx_uint_t  hash;

    for (hash = 0, i = 0; i < h->key.len; i++) {
        ch = (h->lowcase_key[i] == '_') ? '-' : h->lowcase_key[i];
        hash = ngx_hash(hash, ch);
    }

    return hash;
}


char *
ngx_http_mtd_request_filter(ngx_conf_t *cf, ngx_http_mtd_srv_conf_t *mscf)
{
    u_char                   *place;
    ngx_uint_t                n;
    const mtd_str_t          *name;
    ngx_http_mtd_stripped_t  *stripped;

    for (n = 0; mscf->profile->stripped[n].len; n++) { /* void */ }

    mscf->filter = ngx_pcalloc(cf->pool, NGX_HTTP_MTD_FILTER);
    mscf->stripped = ngx_palloc(cf->pool,
                                (n + 1) * sizeof(ngx_http_mtd_stripped_t));

    if (mscf->filter == NULL || mscf->stripped == NULL) {
        return NGX_CONF_ERROR;
    }

    /* the first is not used: 0 ends a chain */

    for (n = 1, name = mscf->profile->stripped; name->len; n++, name++) {
        stripped = &mscf->stripped[n];

        stripped->hash = ngx_hash_key(name->data, name->len);
        stripped->name = name;

        place = &mscf->filter[stripped->hash % NGX_HTTP_MTD_FILTER];

        stripped->next = *place;
        *place = n;
    }

    return NGX_CONF_OK;
}
