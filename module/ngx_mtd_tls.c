
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "ngx_mtd_tls.h"


#if (NGX_SSL)

#include <openssl/x509v3.h>


static ngx_uint_t ngx_mtd_tls_address(ngx_str_t *name);


ngx_int_t
ngx_mtd_tls_create(ngx_conf_t *cf, ngx_mtd_tls_t *tls, ngx_str_t *trusted,
    ngx_str_t *certificate, ngx_str_t *key)
{
    ngx_pool_cleanup_t  *cln;

    tls->ssl.log = cf->log;

    if (ngx_ssl_create(&tls->ssl, NGX_SSL_TLSv1_2|NGX_SSL_TLSv1_3, NULL)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        ngx_ssl_cleanup_ctx(&tls->ssl);
        return NGX_ERROR;
    }

    cln->handler = ngx_ssl_cleanup_ctx;
    cln->data = &tls->ssl;

    /* what was not written yet may move when there is more to be written */

    SSL_CTX_set_mode(tls->ssl.ctx, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);

    if (trusted->len
        && ngx_ssl_trusted_certificate(cf, &tls->ssl, trusted,
                                       NGX_MTD_TLS_DEPTH)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (certificate->len
        && ngx_ssl_certificate(cf, &tls->ssl, certificate, key, NULL)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_mtd_tls_handshake(ngx_mtd_tls_t *tls, ngx_connection_t *c,
    ngx_connection_handler_pt handler)
{
    ngx_int_t  rc;

    c->pool = ngx_create_pool(128, c->log);

    if (c->pool == NULL
        || ngx_ssl_create_connection(&tls->ssl, c, NGX_SSL_CLIENT) != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* RFC 6066, 3: an address is no server name */

    if (tls->name.len && !ngx_mtd_tls_address(&tls->name)
        && SSL_set_tlsext_host_name(c->ssl->connection,
                                    (char *) tls->name.data)
           == 0)
    {
        return NGX_ERROR;
    }

    rc = ngx_ssl_handshake(c);

    if (rc == NGX_AGAIN) {
        c->ssl->handler = handler;
    }

    return rc;
}


const char *
ngx_mtd_tls_verify(ngx_mtd_tls_t *tls, ngx_connection_t *c)
{
    int    matches;
    long   rc;
    X509  *cert;

    if (!tls->verify) {
        return NULL;
    }

    rc = SSL_get_verify_result(c->ssl->connection);

    if (rc != X509_V_OK) {
        return X509_verify_cert_error_string(rc);
    }

    if (!ngx_mtd_tls_address(&tls->name)) {
        return ngx_ssl_check_host(c, &tls->name) == NGX_OK
               ? NULL : "its certificate is for another name";
    }

    cert = SSL_get_peer_certificate(c->ssl->connection);
    if (cert == NULL) {
        return "it has no certificate";
    }

    matches = X509_check_ip_asc(cert, (char *) tls->name.data, 0);

    X509_free(cert);

    return matches == 1 ? NULL : "its certificate is for another address";
}


static ngx_uint_t
ngx_mtd_tls_address(ngx_str_t *name)
{
    return ngx_inet_addr(name->data, name->len) != INADDR_NONE
           || ngx_strlchr(name->data, name->data + name->len, ':') != NULL;
}


#endif


void
ngx_mtd_tls_close(ngx_connection_t *c)
{
    ngx_pool_t  *pool;

    pool = c->pool;

#if (NGX_SSL)

    if (c->ssl) {
        c->ssl->no_wait_shutdown = 1;

        /* ngx_ssl_shutdown() frees nothing while it cannot write */

        c->ssl->no_send_shutdown = !c->write->ready;
        (void) ngx_ssl_shutdown(c);
    }

#endif

    ngx_close_connection(c);

    if (pool) {
        ngx_destroy_pool(pool);
    }
}
