
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include <arpa/inet.h>
#include <errno.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "mtdctl.h"


/*
 * OpenSSL over the socket that hiredis has opened: hiredis knows TLS since
 * 1.0 only, and leaves it to its caller to compare the server's name.
 */

struct mtdctl_tls_s {
    SSL_CTX          *ctx;
    SSL              *ssl;
    BIO              *out;          /* collects what is written */
};


static int mtdctl_tls_files(mtdctl_t *ctl, SSL_CTX *ctx);
static int mtdctl_tls_name(mtdctl_t *ctl, const char *host);
static int mtdctl_tls_broken(mtdctl_t *ctl, int rc);


int
mtdctl_tls_connect(mtdctl_t *ctl, const char *host)
{
    int            rc, status;
    BIO           *bio;
    mtdctl_tls_t  *tls;

    tls = calloc(1, sizeof(mtdctl_tls_t));
    if (tls == NULL) {
        mtdctl_fatal_memory();
    }

    ctl->tls = tls;

    tls->ctx = SSL_CTX_new(TLS_client_method());
    if (tls->ctx == NULL) {
        mtdctl_fatal_memory();
    }

    (void) SSL_CTX_set_min_proto_version(tls->ctx, TLS1_2_VERSION);

    SSL_CTX_set_verify(tls->ctx, ctl->insecure ? SSL_VERIFY_NONE
                                               : SSL_VERIFY_PEER, NULL);

    status = mtdctl_tls_files(ctl, tls->ctx);
    if (status != 0) {
        return status;
    }

    tls->ssl = SSL_new(tls->ctx);
    tls->out = BIO_new(BIO_f_buffer());
    bio = BIO_new(BIO_f_ssl());

    if (tls->ssl == NULL || tls->out == NULL || bio == NULL
        || SSL_set_fd(tls->ssl, ctl->redis->fd) != 1)
    {
        mtdctl_fatal_memory();
    }

    BIO_set_ssl(bio, tls->ssl, BIO_NOCLOSE);
    BIO_push(tls->out, bio);

    status = mtdctl_tls_name(ctl, host);
    if (status != 0) {
        return status;
    }

    rc = SSL_connect(tls->ssl);

    return rc == 1 ? 0 : mtdctl_tls_broken(ctl, rc);
}


static int
mtdctl_tls_files(mtdctl_t *ctl, SSL_CTX *ctx)
{
    if (ctl->cacert ? SSL_CTX_load_verify_locations(ctx, ctl->cacert, NULL)
                      != 1
                    : SSL_CTX_set_default_verify_paths(ctx) != 1)
    {
        return mtdctl_fail(ctl, MTDCTL_BAD, "--cacert: no certificates can be"
                           " read from \"%.300s\"",
                           ctl->cacert ? ctl->cacert : "the system's files");
    }

    if (ctl->cert == NULL) {
        return 0;
    }

    if (SSL_CTX_use_certificate_chain_file(ctx, ctl->cert) != 1) {
        return mtdctl_fail(ctl, MTDCTL_BAD, "--cert: no certificate can be"
                           " read from \"%.300s\"", ctl->cert);
    }

    if (SSL_CTX_use_PrivateKey_file(ctx, ctl->key, SSL_FILETYPE_PEM) != 1) {
        return mtdctl_fail(ctl, MTDCTL_BAD, "--key: no key of the certificate"
                           " can be read from \"%.300s\"", ctl->key);
    }

    return 0;
}


/* host is NULL for a unix socket */

static int
mtdctl_tls_name(mtdctl_t *ctl, const char *host)
{
    int                 rc;
    SSL                *ssl;
    struct in6_addr     addr;
    X509_VERIFY_PARAM  *param;

    ssl = ctl->tls->ssl;
    param = SSL_get0_param(ssl);

    if (ctl->sni) {
        host = ctl->sni;
    }

    if (host == NULL) {
        return ctl->insecure
               ? 0 : mtdctl_fail(ctl, MTDCTL_BAD, "--tls: a socket has no"
                                 " name, give --sni NAME");
    }

    if (inet_pton(AF_INET, host, &addr) == 1
        || inet_pton(AF_INET6, host, &addr) == 1)
    {
        rc = X509_VERIFY_PARAM_set1_ip_asc(param, host);

    } else {
        rc = SSL_set_tlsext_host_name(ssl, host) == 1
             && X509_VERIFY_PARAM_set1_host(param, host, 0) == 1;
    }

    return rc == 1 ? 0 : mtdctl_fail(ctl, MTDCTL_BAD, "--sni: \"%.200s\" is"
                                     " no name of a server", host);
}


int
mtdctl_tls_send(mtdctl_t *ctl, const char *command, size_t len)
{
    int  n;

    n = BIO_write(ctl->tls->out, command, (int) len);

    return n == (int) len ? 0 : mtdctl_tls_broken(ctl, n);
}


int
mtdctl_tls_reply(mtdctl_t *ctl, void **reply)
{
    int           n;
    char          buf[16384];
    redisReader  *reader;

    reader = ctl->redis->reader;

    if (BIO_flush(ctl->tls->out) != 1) {
        return mtdctl_tls_broken(ctl, -1);
    }

    for ( ;; ) {
        if (redisReaderGetReply(reader, reply) != REDIS_OK) {
            return mtdctl_fail(ctl, MTDCTL_STORE, "Redis at %s: %s",
                               ctl->address, reader->errstr);
        }

        if (*reply) {
            return 0;
        }

        n = SSL_read(ctl->tls->ssl, buf, sizeof(buf));

        if (n <= 0) {
            return mtdctl_tls_broken(ctl, n);
        }

        if (redisReaderFeed(reader, buf, n) != REDIS_OK) {
            mtdctl_fatal_memory();
        }
    }
}


static int
mtdctl_tls_broken(mtdctl_t *ctl, int rc)
{
    int          err, ssl_err;
    long         verify;
    const char  *why;

    err = errno;
    ssl_err = SSL_get_error(ctl->tls->ssl, rc);
    verify = SSL_get_verify_result(ctl->tls->ssl);
    why = ERR_reason_error_string(ERR_peek_last_error());

    if (verify != X509_V_OK && !ctl->insecure) {
        return mtdctl_fail(ctl, MTDCTL_STORE, "Redis at %s: its certificate"
                           " is not trusted: %s", ctl->address,
                           X509_verify_cert_error_string(verify));
    }

    if (ssl_err == SSL_ERROR_WANT_READ || ssl_err == SSL_ERROR_WANT_WRITE
        || (why == NULL && (err == EAGAIN || err == EWOULDBLOCK)))
    {
        return mtdctl_fail(ctl, MTDCTL_STORE, "Redis at %s: no answer in %ld"
                           " seconds", ctl->address, ctl->timeout);
    }

    return mtdctl_fail(ctl, MTDCTL_STORE, "Redis at %s: TLS: %s%s",
                       ctl->address, why ? why : "the connection was closed",
                       (why || ctl->cert) ? "" : "; it may want a certificate,"
                       " see --cert");
}


void
mtdctl_tls_close(mtdctl_t *ctl)
{
    if (ctl->tls == NULL) {
        return;
    }

    BIO_free_all(ctl->tls->out);
    SSL_free(ctl->tls->ssl);
    SSL_CTX_free(ctl->tls->ctx);
    free(ctl->tls);
    ctl->tls = NULL;
}
