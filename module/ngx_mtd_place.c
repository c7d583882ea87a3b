
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include "ngx_mtd_place.h"


static ngx_int_t ngx_mtd_place_ip(ngx_mtd_place_t *place, ngx_str_t *ip);


ngx_int_t
ngx_mtd_place(ngx_mtd_place_t *place, ngx_str_t *host, ngx_int_t port)
{
    ngx_memzero(place, sizeof(ngx_mtd_place_t));

    if (port <= 0 || port > 65535) {
        return NGX_ERROR;
    }

    place->port = (in_port_t) port;

    if (ngx_mtd_place_ip(place, host) == NGX_OK) {
        place->len = ngx_sock_ntop(&place->sockaddr.sockaddr, place->socklen,
                                   place->host, MTD_HOST_MAX, 0);

        ngx_inet_set_port(&place->sockaddr.sockaddr, place->port);

        return NGX_OK;
    }

    place->len = mtd_host(place->host, host->data, host->len);
    place->host[place->len] = '\0';

    return place->len ? NGX_OK : NGX_ERROR;
}


/* not by ngx_inet_addr(), which takes "1..2.3" and "010.0.0.1", too */

static ngx_int_t
ngx_mtd_place_ip(ngx_mtd_place_t *place, ngx_str_t *ip)
{
    char                  text[NGX_INET6_ADDRSTRLEN + 1];
    struct sockaddr_in   *sin;
#if (NGX_HAVE_INET6)
    struct sockaddr_in6  *sin6;
#endif

    if (ip->len > NGX_INET6_ADDRSTRLEN
        || ngx_strlchr(ip->data, ip->data + ip->len, '\0'))
    {
        return NGX_ERROR;
    }

    ngx_memcpy(text, ip->data, ip->len);
    text[ip->len] = '\0';

    sin = &place->sockaddr.sockaddr_in;

    if (inet_pton(AF_INET, text, &sin->sin_addr) == 1) {
        sin->sin_family = AF_INET;
        place->socklen = sizeof(struct sockaddr_in);
        return NGX_OK;
    }

#if (NGX_HAVE_INET6)

    sin6 = &place->sockaddr.sockaddr_in6;

    if (inet_pton(AF_INET6, text, &sin6->sin6_addr) == 1) {
        sin6->sin6_family = AF_INET6;
        place->socklen = sizeof(struct sockaddr_in6);
        return NGX_OK;
    }

#endif

    return NGX_ERROR;
}


void
ngx_mtd_place_address(ngx_mtd_place_t *place, struct sockaddr *sockaddr,
    socklen_t socklen)
{
    ngx_memzero(place, sizeof(ngx_mtd_place_t));

    ngx_memcpy(&place->sockaddr, sockaddr, socklen);

    place->socklen = socklen;
    place->port = ngx_inet_get_port(sockaddr);
    place->len = ngx_sock_ntop(sockaddr, socklen, place->host, MTD_HOST_MAX,
                               0);
}


ngx_uint_t
ngx_mtd_place_same(ngx_mtd_place_t *a, ngx_mtd_place_t *b)
{
    if (a->socklen && b->socklen) {
        return ngx_cmp_sockaddr(&a->sockaddr.sockaddr, a->socklen,
                                &b->sockaddr.sockaddr, b->socklen, 1)
               == NGX_OK;
    }

    return a->socklen == b->socklen && a->port == b->port && a->len == b->len
           && ngx_memcmp(a->host, b->host, a->len) == 0;
}


size_t
ngx_mtd_place_text(ngx_mtd_place_t *place, u_char *buf)
{
    if (place->socklen) {
        return ngx_sock_ntop(&place->sockaddr.sockaddr, place->socklen, buf,
                             NGX_MTD_PLACE_STRLEN, 1);
    }

    return ngx_sprintf(buf, "%*s:%ui", place->len, place->host,
                       (ngx_uint_t) place->port)
           - buf;
}


/* the host may be an address that has colons */

ngx_int_t
ngx_mtd_place_redirect(ngx_mtd_redirect_t *redirect, ngx_str_t *error)
{
    u_char     *p, *last, *space, *colon;
    ngx_int_t   slot, port;

    p = error->data;
    last = p + error->len;

    if (error->len > 6 && ngx_strncmp(p, "MOVED ", 6) == 0) {
        redirect->asking = 0;
        p += 6;

    } else if (error->len > 4 && ngx_strncmp(p, "ASK ", 4) == 0) {
        redirect->asking = 1;
        p += 4;

    } else {
        return NGX_DECLINED;
    }

    space = ngx_strlchr(p, last, ' ');

    if (space == NULL) {
        return NGX_ERROR;
    }

    for (colon = last - 1; colon > space && *colon != ':'; colon--) {
        /* void */
    }

    slot = ngx_atoi(p, space - p);
    port = ngx_atoi(colon + 1, last - colon - 1);

    if (colon == space || slot == NGX_ERROR || slot >= MTD_SLOTS
        || port == NGX_ERROR)
    {
        return NGX_ERROR;
    }

    redirect->slot = slot;
    redirect->port = port;
    redirect->host.data = space + 1;
    redirect->host.len = colon - redirect->host.data;

    return NGX_OK;
}
