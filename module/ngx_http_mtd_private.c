
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * NTLM and Negotiate authenticate a connection.  One to a server behind that
 * has carried an exchange of these is its client's, and is never kept for
 * another one.  This holds for every upstream {}, as soon as one server is
 * gated: a server that is not may share its connections with one that is.
 *
 * Only upstream {} keeps connections, implicit upstreams do not.
 */


#include "ngx_http_mtd_module.h"


static ngx_int_t ngx_http_mtd_private_init_peer(ngx_http_request_t *r,
    ngx_http_upstream_srv_conf_t *uscf);
static ngx_int_t ngx_http_mtd_private_balancer(ngx_http_request_t *r,
    ngx_http_mtd_srv_conf_t *mscf)
    __attribute__((noinline));
static ngx_uint_t ngx_http_mtd_private_request(ngx_http_request_t *r);
static void ngx_http_mtd_private_free(ngx_peer_connection_t *pc, void *data,
    ngx_uint_t state);
static void ngx_http_mtd_private_free_offered(ngx_peer_connection_t *pc,
    void *data, ngx_uint_t state);
static void ngx_http_mtd_private_free_asked(ngx_peer_connection_t *pc,
    void *data, ngx_uint_t state)
    __attribute__((noinline));
static ngx_uint_t ngx_http_mtd_private_response(ngx_http_upstream_t *u);
static ngx_uint_t ngx_http_mtd_private_value(u_char *p, u_char *last);
static ngx_uint_t ngx_http_mtd_private_scheme(u_char *p, u_char *last);


/* after all balancers, so that theirs and "keepalive" are called from here */

void
ngx_http_mtd_private_init(ngx_conf_t *cf)
{
    ngx_uint_t                       i;
    ngx_http_mtd_srv_conf_t         *mscf;
    ngx_http_upstream_srv_conf_t   **uscf;
    ngx_http_upstream_main_conf_t   *umcf;

    umcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_upstream_module);
    uscf = umcf->upstreams.elts;

    for (i = 0; i < umcf->upstreams.nelts; i++) {

        if (uscf[i]->srv_conf == NULL) {
            continue;
        }

        mscf = ngx_http_conf_upstream_srv_conf(uscf[i], ngx_http_mtd_module);

        mscf->init_peer = uscf[i]->peer.init;
        uscf[i]->peer.init = ngx_http_mtd_private_init_peer;
    }
}


/*
 * What a balancer frees with is the same for all requests of its upstream:
 * so nothing has to be kept, and allocated, for one of them.
 */

static ngx_int_t
ngx_http_mtd_private_init_peer(ngx_http_request_t *r,
    ngx_http_upstream_srv_conf_t *uscf)
{
    ngx_int_t                 rc;
    ngx_peer_connection_t    *pc;
    ngx_http_mtd_srv_conf_t  *mscf;

    mscf = ngx_http_conf_upstream_srv_conf(uscf, ngx_http_mtd_module);

    rc = mscf->init_peer(r, uscf);

    if (rc != NGX_OK) {
        return rc;
    }

    pc = &r->upstream->peer;

    if (pc->free == NULL) {
        return NGX_OK;
    }

    if (pc->free != mscf->free_peer
        && ngx_http_mtd_private_balancer(r, mscf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    pc->free = ngx_http_mtd_private_request(r)
               ? ngx_http_mtd_private_free
               : ngx_http_mtd_private_free_offered;

    return NGX_OK;
}


/* what the balancer frees with, which is seen with its first request */

static ngx_int_t
ngx_http_mtd_private_balancer(ngx_http_request_t *r,
    ngx_http_mtd_srv_conf_t *mscf)
{
    if (mscf->free_peer) {
        ngx_log_error(NGX_LOG_ALERT, r->connection->log, 0,
                      "mtd cannot guard the connections of upstream "
                      "\"%V\", its balancer frees them in several ways",
                      &r->upstream->upstream->host);
        return NGX_ERROR;
    }

    mscf->free_peer = r->upstream->peer.free;

    return NGX_OK;
}


/* nginx refuses requests with more than one Authorization */

static ngx_uint_t
ngx_http_mtd_private_request(ngx_http_request_t *r)
{
    u_char           *p, *last;
    ngx_table_elt_t  *h;

    h = r->headers_in.authorization;

    if (h == NULL) {
        return 0;
    }

    p = h->value.data;
    last = p + h->value.len;

    /* others may skip what nginx does not */

    while (p < last && !((*p | 0x20) >= 'a' && (*p | 0x20) <= 'z')) {
        p++;
    }

    return ngx_http_mtd_private_scheme(p, last);
}


static void
ngx_http_mtd_private_free(ngx_peer_connection_t *pc, void *data,
    ngx_uint_t state)
{
    ngx_http_upstream_t      *u;
    ngx_http_mtd_srv_conf_t  *mscf;

    u = ngx_queue_data(pc, ngx_http_upstream_t, peer);
    mscf = ngx_http_conf_upstream_srv_conf(u->upstream, ngx_http_mtd_module);

    ngx_log_debug0(NGX_LOG_DEBUG_HTTP, pc->log, 0,
                   "mtd: the connection is not kept");

    u->keepalive = 0;

    mscf->free_peer(pc, data, state);
}


/* nearly always nothing is offered, and this is all */

static void
ngx_http_mtd_private_free_offered(ngx_peer_connection_t *pc, void *data,
    ngx_uint_t state)
{
    ngx_http_upstream_t      *u;
    ngx_http_mtd_srv_conf_t  *mscf;

    u = ngx_queue_data(pc, ngx_http_upstream_t, peer);

    if (u->headers_in.www_authenticate) {
        ngx_http_mtd_private_free_asked(pc, data, state);
        return;
    }

    mscf = ngx_http_conf_upstream_srv_conf(u->upstream, ngx_http_mtd_module);

    mscf->free_peer(pc, data, state);
}


static void
ngx_http_mtd_private_free_asked(ngx_peer_connection_t *pc, void *data,
    ngx_uint_t state)
{
    ngx_http_upstream_t      *u;
    ngx_http_mtd_srv_conf_t  *mscf;

    u = ngx_queue_data(pc, ngx_http_upstream_t, peer);

    if (ngx_http_mtd_private_response(u)) {
        ngx_http_mtd_private_free(pc, data, state);
        return;
    }

    mscf = ngx_http_conf_upstream_srv_conf(u->upstream, ngx_http_mtd_module);

    mscf->free_peer(pc, data, state);
}


static ngx_uint_t
ngx_http_mtd_private_response(ngx_http_upstream_t *u)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    for (part = &u->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (h[i].key.len == sizeof("WWW-Authenticate") - 1
                && ngx_strncasecmp(h[i].key.data,
                                   (u_char *) "WWW-Authenticate",
                                   sizeof("WWW-Authenticate") - 1)
                   == 0
                && ngx_http_mtd_private_value(h[i].value.data,
                                              h[i].value.data
                                              + h[i].value.len))
            {
                return 1;
            }
        }
    }

    return 0;
}


/*
 * A list of challenges.  Where one of them ends is not asked: a realm that
 * has such a word in it costs a connection and nothing else.
 */

static ngx_uint_t
ngx_http_mtd_private_value(u_char *p, u_char *last)
{
    ngx_uint_t  word;

    for (word = 0; p < last; p++) {

        if ((*p | 0x20) < 'a' || (*p | 0x20) > 'z') {
            word = 0;
            continue;
        }

        if (!word && ngx_http_mtd_private_scheme(p, last)) {
            return 1;
        }

        word = 1;
    }

    return 0;
}


/* NTLM, Negotiate, and Nego2, which Windows has instead of it at times */

static ngx_inline ngx_uint_t
ngx_http_mtd_private_scheme(u_char *p, u_char *last)
{
    return last - p >= 4 && (*p | 0x20) == 'n'
           && (ngx_strncasecmp(p, (u_char *) "ntlm", 4) == 0
               || ngx_strncasecmp(p, (u_char *) "nego", 4) == 0);
}
