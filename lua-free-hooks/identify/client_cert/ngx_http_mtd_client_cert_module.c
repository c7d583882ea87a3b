
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_mtd_hook.h"

#if (NGX_HTTP_SSL)
#include "mtd_cert.h"


typedef struct {
    ngx_uint_t              intune;
    ngx_uint_t              entra;
} ngx_http_mtd_client_cert_main_conf_t;


typedef struct {
    mtd_cert_source_t       sources[MTD_CERT_SOURCE_N];
    ngx_uint_t              n;
    ngx_uint_t              own;            /* unsigned  own:1; */
} ngx_http_mtd_client_cert_srv_conf_t;


/* what one TLS connection's certificate says to one server block */

typedef struct {
    ngx_http_mtd_client_cert_srv_conf_t  *conf;
    int                                   rc;
    mtd_cert_id_t                         id;
    size_t                                user_len;
    u_char                                user[MTD_CERT_USER_MAX];
} ngx_http_mtd_client_cert_result_t;


static ngx_int_t ngx_http_mtd_client_cert_identify(ngx_http_request_t *r,
    ngx_uint_t protocol, ngx_http_mtd_identity_t *id);
static ngx_http_mtd_client_cert_result_t *ngx_http_mtd_client_cert_result(
    ngx_http_request_t *r, ngx_ssl_conn_t *ssl);
static void ngx_http_mtd_client_cert_free(void *parent, void *data,
    CRYPTO_EX_DATA *ad, int index, long argl, void *argp);

static char *ngx_http_mtd_client_cert(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_int_t ngx_http_mtd_client_cert_source(ngx_conf_t *cf,
    ngx_str_t *value, mtd_cert_source_t *source);
static char *ngx_http_mtd_client_cert_tenant(ngx_conf_t *cf,
    ngx_http_mtd_client_cert_srv_conf_t *ccscf, ngx_str_t *tenant);
static ngx_int_t ngx_http_mtd_client_cert_preconfiguration(ngx_conf_t *cf);
static const char *ngx_http_mtd_client_cert_check(ngx_conf_t *cf,
    ngx_http_conf_ctx_t *server, ngx_uint_t named);
static void *ngx_http_mtd_client_cert_create_main_conf(ngx_conf_t *cf);
static void *ngx_http_mtd_client_cert_create_srv_conf(ngx_conf_t *cf);
static char *ngx_http_mtd_client_cert_merge_srv_conf(ngx_conf_t *cf,
    void *parent, void *child);
static ngx_int_t ngx_http_mtd_client_cert_init_process(ngx_cycle_t *cycle);


static ngx_command_t  ngx_http_mtd_client_cert_commands[] = {

    { ngx_string("mtd_client_cert"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_CONF_1MORE,
      ngx_http_mtd_client_cert,
      NGX_HTTP_SRV_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_mtd_client_cert_module_ctx = {
    ngx_http_mtd_client_cert_preconfiguration, /* preconfiguration */
    NULL,                                  /* postconfiguration */

    ngx_http_mtd_client_cert_create_main_conf, /* create main configuration */
    NULL,                                  /* init main configuration */

    ngx_http_mtd_client_cert_create_srv_conf, /* create server configuration */
    ngx_http_mtd_client_cert_merge_srv_conf, /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_mtd_client_cert_module = {
    NGX_MODULE_V1,
    &ngx_http_mtd_client_cert_module_ctx,  /* module context */
    ngx_http_mtd_client_cert_commands,     /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_http_mtd_client_cert_init_process, /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_http_mtd_hook_t  ngx_http_mtd_client_cert_hook = {
    NGX_HTTP_MTD_HOOK_MAJOR,
    NGX_HTTP_MTD_HOOK_MINOR,
    sizeof(ngx_http_mtd_hook_t),
    ngx_string("client_cert"),
    ngx_http_mtd_client_cert_identify,
    NULL,
    NULL,
    ngx_http_mtd_client_cert_check
};


/* of the process, -1 in the master: it has no TLS connections */

static int  ngx_http_mtd_client_cert_index = -1;


static ngx_int_t
ngx_http_mtd_client_cert_identify(ngx_http_request_t *r, ngx_uint_t protocol,
    ngx_http_mtd_identity_t *id)
{
    ngx_ssl_conn_t                     *ssl;
    ngx_http_mtd_candidate_t           *candidate;
    ngx_http_mtd_client_cert_result_t  *result;

    if (r->connection->ssl == NULL) {
        return NGX_DECLINED;
    }

    ssl = r->connection->ssl->connection;

    if (SSL_get_verify_result(ssl) != X509_V_OK) {
        return NGX_DECLINED;
    }

    result = ngx_http_mtd_client_cert_result(r, ssl);

    if (result == NULL) {
        return NGX_ERROR;
    }

    id->why = result->id.why;
    id->user.data = result->user;
    id->user.len = result->user_len;

    switch (result->rc) {

    case MTD_CERT_OK:
        break;

    case MTD_CERT_NONE:
        return NGX_DECLINED;

    case MTD_CERT_AMBIGUOUS:
        return NGX_HTTP_MTD_AMBIGUOUS;

    default: /* MTD_CERT_MALFORMED */
        return NGX_HTTP_MTD_MALFORMED;
    }

    candidate = &id->candidate[0];

    candidate->kind = result->id.kind;
    candidate->len = result->id.len;
    ngx_memcpy(candidate->data, result->id.data, result->id.len);

    id->n = 1;

    return NGX_OK;
}


/* owned by the TLS connection */

static ngx_http_mtd_client_cert_result_t *
ngx_http_mtd_client_cert_result(ngx_http_request_t *r, ngx_ssl_conn_t *ssl)
{
    X509                                 *cert;
    ngx_http_mtd_client_cert_result_t    *result;
    ngx_http_mtd_client_cert_srv_conf_t  *ccscf;

    ccscf = ngx_http_get_module_srv_conf(r, ngx_http_mtd_client_cert_module);

    result = SSL_get_ex_data(ssl, ngx_http_mtd_client_cert_index);

    if (result && result->conf == ccscf) {
        return result;
    }

    if (result == NULL) {
        result = ngx_calloc(sizeof(ngx_http_mtd_client_cert_result_t),
                            r->connection->log);
        if (result == NULL) {
            return NULL;
        }

        if (SSL_set_ex_data(ssl, ngx_http_mtd_client_cert_index, result)
            == 0)
        {
            ngx_ssl_error(NGX_LOG_ALERT, r->connection->log, 0,
                          "SSL_set_ex_data() failed");
            ngx_free(result);
            return NULL;
        }
    }

    result->conf = ccscf;
    result->rc = MTD_CERT_NONE;
    result->id.why = NULL;
    result->user_len = 0;

    cert = SSL_get_peer_certificate(ssl);

    if (cert) {
        result->rc = mtd_cert_parse(cert, ccscf->sources, ccscf->n,
                                    &result->id);
        result->user_len = mtd_cert_user(cert, result->user);
        X509_free(cert);

        /* what was wrong is in the result, not in OpenSSL's queue */

        ERR_clear_error();
    }

    return result;
}


static void
ngx_http_mtd_client_cert_free(void *parent, void *data, CRYPTO_EX_DATA *ad,
    int index, long argl, void *argp)
{
    if (data) {
        ngx_free(data);
    }
}


static char *
ngx_http_mtd_client_cert(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_mtd_client_cert_srv_conf_t  *ccscf = conf;

    ngx_str_t          *value, tenant;
    ngx_uint_t          i, j;
    mtd_cert_source_t   source;

    if (ccscf->n) {
        return "is duplicate";
    }

    value = cf->args->elts;
    ngx_str_null(&tenant);

    for (i = 1; i < cf->args->nelts; i++) {

        if (tenant.len == 0 && ngx_strncmp(value[i].data, "tenant=", 7) == 0)
        {
            tenant = value[i];
            continue;
        }

        if (ngx_http_mtd_client_cert_source(cf, &value[i], &source)
            != NGX_OK)
        {
            return NGX_CONF_ERROR;
        }

        for (j = 0; j < ccscf->n; j++) {

            if (ccscf->sources[j].source == source.source) {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "duplicate source \"%V\"", &value[i]);
                return NGX_CONF_ERROR;
            }
        }

        ccscf->sources[ccscf->n++] = source;
    }

    if (ccscf->n == 0) {
        return "names no source";
    }

    return ngx_http_mtd_client_cert_tenant(cf, ccscf, &tenant);
}


/* Microsoft's roots sign for everybody: what they sign tells a tenant apart */

static char *
ngx_http_mtd_client_cert_tenant(ngx_conf_t *cf,
    ngx_http_mtd_client_cert_srv_conf_t *ccscf, ngx_str_t *tenant)
{
    u_char             *guid;
    ngx_uint_t          i, shared;
    mtd_cert_source_t  *source;

    shared = 0;
    guid = tenant->len ? tenant->data + 7 : NULL;

    if (tenant->len
        && (tenant->len != 7 + MTD_CERT_GUID_LEN
            || !mtd_cert_guid(guid, guid, MTD_CERT_GUID_LEN)))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid \"%V\" of \"mtd_client_cert\", it must "
                           "be the GUID of a tenant", tenant);
        return NGX_CONF_ERROR;
    }

    for (i = 0; i < ccscf->n; i++) {
        source = &ccscf->sources[i];

        if (source->source == MTD_CERT_INTUNE
            || source->source == MTD_CERT_ENTRA)
        {
            source->tenant = guid;
            shared = 1;
        }
    }

    if (shared && tenant->len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"intune\" and \"entra\" of \"mtd_client_cert\" "
                           "need tenant=GUID, because certificates of all "
                           "tenants have the same root");
        return NGX_CONF_ERROR;
    }

    if (!shared && tenant->len) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" of \"mtd_client_cert\" is for the sources "
                           "\"intune\" and \"entra\" only", tenant);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_mtd_client_cert_source(ngx_conf_t *cf, ngx_str_t *value,
    mtd_cert_source_t *source)
{
    ngx_int_t                              number;
    ngx_str_t                              kind;
    ngx_http_mtd_api_t                    *api;
    ngx_http_mtd_client_cert_main_conf_t  *ccmcf;

    ccmcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_mtd_client_cert_module);
    source->tenant = NULL;

    if (ngx_strcmp(value->data, "san_uri") == 0) {
        source->source = MTD_CERT_SAN_URI;
        source->kind = ccmcf->intune;
        return NGX_OK;
    }

    if (ngx_strcmp(value->data, "intune") == 0) {
        source->source = MTD_CERT_INTUNE;
        source->kind = ccmcf->intune;
        return NGX_OK;
    }

    if (ngx_strcmp(value->data, "entra") == 0) {
        source->source = MTD_CERT_ENTRA;
        source->kind = ccmcf->entra;
        return NGX_OK;
    }

    if (ngx_strncmp(value->data, "cn=", 3) == 0) {
        source->source = MTD_CERT_CN;
        kind.data = value->data + 3;

    } else if (ngx_strncmp(value->data, "serial=", 7) == 0) {
        source->source = MTD_CERT_SERIAL;
        kind.data = value->data + 7;

    } else {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid source \"%V\", it must be \"san_uri\", "
                           "\"cn=KIND\", \"serial=KIND\", \"intune\", "
                           "\"entra\" or one \"tenant=GUID\"", value);
        return NGX_ERROR;
    }

    kind.len = value->data + value->len - kind.data;

    api = ngx_http_mtd_api(cf);
    if (api == NULL) {
        return NGX_ERROR;
    }

    number = api->add_kind(cf, &kind);
    if (number == NGX_ERROR) {
        return NGX_ERROR;
    }

    source->kind = number;

    return NGX_OK;
}


static ngx_int_t
ngx_http_mtd_client_cert_preconfiguration(ngx_conf_t *cf)
{
    ngx_int_t                              intune, entra;
    ngx_http_mtd_api_t                    *api;
    ngx_http_mtd_client_cert_main_conf_t  *ccmcf;

    static ngx_str_t  intune_name = ngx_string("intune");
    static ngx_str_t  entra_name = ngx_string("entra");

    api = ngx_http_mtd_api(cf);
    if (api == NULL) {
        return NGX_ERROR;
    }

    intune = api->add_kind(cf, &intune_name);
    entra = api->add_kind(cf, &entra_name);

    if (intune == NGX_ERROR || entra == NGX_ERROR) {
        return NGX_ERROR;
    }

    ccmcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_mtd_client_cert_module);
    ccmcf->intune = intune;
    ccmcf->entra = entra;

    return api->add_hook(cf, &ngx_http_mtd_client_cert_hook);
}


/* a certificate counts if nginx has asked for it, and has verified it */

static const char *
ngx_http_mtd_client_cert_check(ngx_conf_t *cf, ngx_http_conf_ctx_t *server,
    ngx_uint_t named)
{
    ngx_http_ssl_srv_conf_t              *sscf;
    ngx_http_mtd_client_cert_srv_conf_t  *ccscf;

    sscf = server->srv_conf[ngx_http_ssl_module.ctx_index];
    ccscf = server->srv_conf[ngx_http_mtd_client_cert_module.ctx_index];

    if (named) {
        return sscf->verify ? NULL
                            : "\"ssl_verify_client\" on, optional or "
                              "optional_no_ca";
    }

    return ccscf->own ? "\"mtd_client_cert\"" : NULL;
}


static void *
ngx_http_mtd_client_cert_create_main_conf(ngx_conf_t *cf)
{
    return ngx_pcalloc(cf->pool, sizeof(ngx_http_mtd_client_cert_main_conf_t));
}


static void *
ngx_http_mtd_client_cert_create_srv_conf(ngx_conf_t *cf)
{
    /*
     * set by ngx_pcalloc():
     *
     *     conf->n = 0;
     *     conf->own = 0;
     */

    return ngx_pcalloc(cf->pool, sizeof(ngx_http_mtd_client_cert_srv_conf_t));
}


static char *
ngx_http_mtd_client_cert_merge_srv_conf(ngx_conf_t *cf, void *parent,
    void *child)
{
    ngx_http_mtd_client_cert_srv_conf_t  *prev = parent;
    ngx_http_mtd_client_cert_srv_conf_t  *conf = child;

    ngx_http_mtd_client_cert_main_conf_t  *ccmcf;

    if (conf->n) {
        conf->own = 1;
        return NGX_CONF_OK;
    }

    if (prev->n == 0) {
        ccmcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_mtd_client_cert_module);

        prev->sources[0].source = MTD_CERT_SAN_URI;
        prev->sources[0].kind = ccmcf->intune;
        prev->n = 1;
    }

    *conf = *prev;

    return NGX_CONF_OK;
}


/* a module is never unloaded in a worker, so the callback stays valid */

static ngx_int_t
ngx_http_mtd_client_cert_init_process(ngx_cycle_t *cycle)
{
    if (ngx_http_mtd_client_cert_index != -1) {
        return NGX_OK;
    }

    ngx_http_mtd_client_cert_index = SSL_get_ex_new_index(0, NULL, NULL, NULL,
                                               ngx_http_mtd_client_cert_free);

    if (ngx_http_mtd_client_cert_index == -1) {
        ngx_ssl_error(NGX_LOG_ALERT, cycle->log, 0,
                      "SSL_get_ex_new_index() failed");
        return NGX_ERROR;
    }

    return NGX_OK;
}


#else


/* without TLS the module is there, because it was listed, but is empty */

static ngx_http_module_t  ngx_http_mtd_client_cert_module_ctx = {
    NULL,                                  /* preconfiguration */
    NULL,                                  /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_mtd_client_cert_module = {
    NGX_MODULE_V1,
    &ngx_http_mtd_client_cert_module_ctx,  /* module context */
    NULL,                                  /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};

#endif
