
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * Clients that do not come themselves, but by a cloud service: it asks from
 * known addresses, with a token, and its own conditions have been checked
 * when that was issued.
 */


#include "ngx_http_mtd_bearer.h"


#define NGX_HTTP_MTD_BEARER_RANGES   65536  /* bytes of a file, at most */


static ngx_int_t ngx_http_mtd_bearer_ranges(ngx_conf_t *cf,
    ngx_http_mtd_bearer_cloud_t *cloud, ngx_str_t *path);
static ngx_int_t ngx_http_mtd_bearer_lines(ngx_conf_t *cf,
    ngx_http_mtd_bearer_cloud_t *cloud, ngx_str_t *path, u_char *p,
    u_char *last);
static ngx_int_t ngx_http_mtd_bearer_range(ngx_http_mtd_bearer_cloud_t *cloud,
    ngx_cidr_t *cidr);
static ngx_int_t ngx_http_mtd_bearer_app(ngx_conf_t *cf,
    ngx_http_mtd_bearer_cloud_t *cloud, ngx_str_t *text);


char *
ngx_http_mtd_bearer_cloud(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_mtd_bearer_srv_conf_t  *bscf = conf;

    ngx_int_t                         rc;
    ngx_str_t                        *value, text;
    ngx_uint_t                        i;
    ngx_http_mtd_bearer_cloud_t      *cloud, **elt;
    ngx_http_mtd_bearer_main_conf_t  *bmcf;

    if (bscf->cloud) {
        return "is duplicate";
    }

    cloud = ngx_pcalloc(cf->pool, sizeof(ngx_http_mtd_bearer_cloud_t));

    if (cloud == NULL
        || ngx_array_init(&cloud->apps, cf->pool, 2, sizeof(ngx_str_t))
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "ranges=", 7) == 0
            && value[i].len > 7 && cloud->ranges == NULL)
        {
            text.data = value[i].data + 7;
            text.len = value[i].len - 7;
            cloud->path = text;
            rc = ngx_http_mtd_bearer_ranges(cf, cloud, &text);

        } else if (ngx_strncmp(value[i].data, "app=", 4) == 0) {
            text.data = value[i].data + 4;
            text.len = value[i].len - 4;
            rc = ngx_http_mtd_bearer_app(cf, cloud, &text);

        } else {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\" of \"mtd_cloud\", "
                               "it must be one ranges=FILE or app=GUID",
                               &value[i]);
            rc = NGX_ERROR;
        }

        if (rc != NGX_OK) {
            return NGX_CONF_ERROR;
        }
    }

    if (cloud->ranges == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"mtd_cloud\" has no ranges=FILE");
        return NGX_CONF_ERROR;
    }

    bmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_mtd_bearer_module);

    elt = ngx_array_push(&bmcf->clouds);
    if (elt == NULL) {
        return NGX_CONF_ERROR;
    }

    cloud->server = cf->ctx;
    cloud->file = cf->conf_file->file.name.data;
    cloud->line = cf->conf_file->line;

    *elt = cloud;
    bscf->cloud = cloud;

    return NGX_CONF_OK;
}


/* after all servers have inherited what they do not say themselves */

ngx_int_t
ngx_http_mtd_bearer_clouds(ngx_conf_t *cf, const ngx_http_mtd_hook_t *hook)
{
    ngx_uint_t                         i;
    ngx_http_mtd_api_t                *api;
    ngx_http_mtd_bearer_cloud_t      **cloud;
    ngx_http_mtd_bearer_main_conf_t   *bmcf;

    bmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_mtd_bearer_module);

    api = ngx_http_mtd_api(cf);
    if (api == NULL) {
        return NGX_ERROR;
    }

    cloud = bmcf->clouds.elts;

    for (i = 0; i < bmcf->clouds.nelts; i++) {

        if (!api->identifies(cloud[i]->server, hook)) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "\"mtd_cloud ranges=%V\" in %s:%ui would never "
                          "apply, \"mtd_identify\" of its server must name "
                          "\"%V\"", &cloud[i]->path, cloud[i]->file,
                          cloud[i]->line, &hook->name);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_mtd_bearer_ranges(ngx_conf_t *cf, ngx_http_mtd_bearer_cloud_t *cloud,
    ngx_str_t *path)
{
    u_char     *buf;
    size_t      len;
    ssize_t     n;
    ngx_fd_t    fd;
    ngx_err_t   err;

    if (ngx_conf_full_name(cf->cycle, path, 1) != NGX_OK) {
        return NGX_ERROR;
    }

    cloud->ranges = ngx_radix_tree_create(cf->pool, -1);
#if (NGX_HAVE_INET6)
    cloud->ranges6 = ngx_radix_tree_create(cf->pool, -1);

    if (cloud->ranges6 == NULL) {
        return NGX_ERROR;
    }
#endif

    buf = ngx_pnalloc(cf->temp_pool, NGX_HTTP_MTD_BEARER_RANGES);

    if (cloud->ranges == NULL || buf == NULL) {
        return NGX_ERROR;
    }

    fd = ngx_open_file(path->data, NGX_FILE_RDONLY|NGX_FILE_NONBLOCK,
                       NGX_FILE_OPEN, 0);
    len = 0;
    n = -1;

    while (fd != NGX_INVALID_FILE && len < NGX_HTTP_MTD_BEARER_RANGES) {
        n = ngx_read_fd(fd, buf + len, NGX_HTTP_MTD_BEARER_RANGES - len);

        if (n <= 0) {
            break;
        }

        len += n;
    }

    err = (n == -1) ? ngx_errno : 0;

    if (fd != NGX_INVALID_FILE) {
        (void) ngx_close_file(fd);
    }

    if (n == -1) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, err,
                           "the ranges of \"mtd_cloud\" in \"%V\" cannot be "
                           "read", path);
        return NGX_ERROR;
    }

    if (len == NGX_HTTP_MTD_BEARER_RANGES) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "the ranges of \"mtd_cloud\" in \"%V\" are longer "
                           "than 64k", path);
        return NGX_ERROR;
    }

    return ngx_http_mtd_bearer_lines(cf, cloud, path, buf, buf + len);
}


/* one range in each, "#" starts a comment */

static ngx_int_t
ngx_http_mtd_bearer_lines(ngx_conf_t *cf, ngx_http_mtd_bearer_cloud_t *cloud,
    ngx_str_t *path, u_char *p, u_char *last)
{
    u_char      *next, *end;
    ngx_str_t    text;
    ngx_uint_t   line, found;
    ngx_cidr_t   cidr;

    found = 0;

    for (line = 1; p < last; p = next, line++) {

        end = ngx_strlchr(p, last, '\n');
        end = end ? end : last;
        next = end + 1;

        text.data = p;
        p = ngx_strlchr(p, end, '#');
        end = p ? p : end;

        while (end > text.data && (end[-1] == ' ' || end[-1] == '\t'
                                   || end[-1] == '\r'))
        {
            end--;
        }

        text.len = end - text.data;

        if (text.len == 0) {
            continue;
        }

        if (ngx_ptocidr(&text, &cidr) != NGX_OK) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid range \"%V\" of \"mtd_cloud\" in "
                               "%V:%ui, it must be a network as 192.0.2.0/24 "
                               "or 2001:db8::/32, with no bits behind its "
                               "prefix", &text, path, line);
            return NGX_ERROR;
        }

        if (ngx_http_mtd_bearer_range(cloud, &cidr) == NGX_ERROR) {
            return NGX_ERROR;
        }

        found = 1;
    }

    if (!found) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no range of \"mtd_cloud\" in \"%V\"", path);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* NGX_BUSY, a range that is there, is no error */

static ngx_int_t
ngx_http_mtd_bearer_range(ngx_http_mtd_bearer_cloud_t *cloud,
    ngx_cidr_t *cidr)
{
#if (NGX_HAVE_INET6)
    if (cidr->family == AF_INET6) {
        return ngx_radix128tree_insert(cloud->ranges6,
                                       cidr->u.in6.addr.s6_addr,
                                       cidr->u.in6.mask.s6_addr, 1);
    }
#endif

    return ngx_radix32tree_insert(cloud->ranges, ntohl(cidr->u.in.addr),
                                  ntohl(cidr->u.in.mask), 1);
}


static ngx_int_t
ngx_http_mtd_bearer_app(ngx_conf_t *cf, ngx_http_mtd_bearer_cloud_t *cloud,
    ngx_str_t *text)
{
    ngx_str_t  *app;

    if (!mtd_bearer_guid(text->data, text->data, text->len)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid app \"%V\" of \"mtd_cloud\", it must be "
                           "the GUID of an application", text);
        return NGX_ERROR;
    }

    app = ngx_array_push(&cloud->apps);
    if (app == NULL) {
        return NGX_ERROR;
    }

    *app = *text;

    return NGX_OK;
}


/* the address is the one that realip has left */

ngx_uint_t
ngx_http_mtd_bearer_is_cloud(ngx_http_request_t *r,
    ngx_http_mtd_bearer_cloud_t *cloud, const mtd_bearer_t *told)
{
    ngx_str_t            *app;
    ngx_uint_t            i;
    struct sockaddr_in   *sin;
#if (NGX_HAVE_INET6)
    u_char               *p;
    in_addr_t             addr;
    struct sockaddr_in6  *sin6;
#endif

    app = cloud->apps.elts;

    for (i = 0; i < cloud->apps.nelts; i++) {
        if (app[i].len == told->app_len
            && ngx_memcmp(app[i].data, told->app, told->app_len) == 0)
        {
            break;
        }
    }

    if (cloud->apps.nelts && i == cloud->apps.nelts) {
        return 0;
    }

    switch (r->connection->sockaddr->sa_family) {

    case AF_INET:
        sin = (struct sockaddr_in *) r->connection->sockaddr;

        return ngx_radix32tree_find(cloud->ranges,
                                    ntohl(sin->sin_addr.s_addr))
               == 1;

#if (NGX_HAVE_INET6)

    case AF_INET6:
        sin6 = (struct sockaddr_in6 *) r->connection->sockaddr;
        p = sin6->sin6_addr.s6_addr;

        if (IN6_IS_ADDR_V4MAPPED(&sin6->sin6_addr)) {
            addr = (in_addr_t) p[12] << 24 | p[13] << 16 | p[14] << 8 | p[15];

            return ngx_radix32tree_find(cloud->ranges, addr) == 1;
        }

        return ngx_radix128tree_find(cloud->ranges6, p) == 1;

#endif
    }

    return 0;
}
