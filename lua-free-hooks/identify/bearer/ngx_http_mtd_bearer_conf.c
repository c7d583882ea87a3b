
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include "ngx_http_mtd_bearer.h"


#define NGX_HTTP_MTD_BEARER_LEEWAY   600    /* seconds, at most */
#define NGX_HTTP_MTD_BEARER_TOKENS   4096
#define NGX_HTTP_MTD_BEARER_MIN      64
#define NGX_HTTP_MTD_BEARER_MAX      1048576


typedef char *(*ngx_http_mtd_bearer_set_pt)(ngx_conf_t *cf,
    ngx_http_mtd_bearer_t *bearer, ngx_str_t *text);


/* once: a second one is refused */

typedef struct {
    ngx_str_t                    name;
    ngx_uint_t                   once;
    ngx_http_mtd_bearer_set_pt   set;
    const char                  *hint;
} ngx_http_mtd_bearer_parameter_t;


static char *ngx_http_mtd_bearer_parameter(ngx_conf_t *cf,
    ngx_http_mtd_bearer_t *bearer, ngx_str_t *arg, ngx_uint_t *seen);
static char *ngx_http_mtd_bearer_jwks(ngx_conf_t *cf,
    ngx_http_mtd_bearer_t *bearer, ngx_str_t *text);
static char *ngx_http_mtd_bearer_issuer(ngx_conf_t *cf,
    ngx_http_mtd_bearer_t *bearer, ngx_str_t *text);
static char *ngx_http_mtd_bearer_audience(ngx_conf_t *cf,
    ngx_http_mtd_bearer_t *bearer, ngx_str_t *text);
static char *ngx_http_mtd_bearer_tenant(ngx_conf_t *cf,
    ngx_http_mtd_bearer_t *bearer, ngx_str_t *text);
static char *ngx_http_mtd_bearer_algorithms(ngx_conf_t *cf,
    ngx_http_mtd_bearer_t *bearer, ngx_str_t *text);
static char *ngx_http_mtd_bearer_leeway(ngx_conf_t *cf,
    ngx_http_mtd_bearer_t *bearer, ngx_str_t *text);
static char *ngx_http_mtd_bearer_device_claim(ngx_conf_t *cf,
    ngx_http_mtd_bearer_t *bearer, ngx_str_t *text);
static char *ngx_http_mtd_bearer_user_claim(ngx_conf_t *cf,
    ngx_http_mtd_bearer_t *bearer, ngx_str_t *text);
static char *ngx_http_mtd_bearer_kind(ngx_conf_t *cf,
    ngx_http_mtd_bearer_t *bearer, ngx_str_t *text);
static char *ngx_http_mtd_bearer_cache(ngx_conf_t *cf,
    ngx_http_mtd_bearer_t *bearer, ngx_str_t *text);
static char *ngx_http_mtd_bearer_uri(ngx_conf_t *cf,
    ngx_http_mtd_bearer_t *bearer, ngx_str_t *text);
static char *ngx_http_mtd_bearer_defaults(ngx_conf_t *cf,
    ngx_http_mtd_bearer_t *bearer);


static ngx_http_mtd_bearer_parameter_t  ngx_http_mtd_bearer_parameters[] = {

    { ngx_string("jwks="), 1, ngx_http_mtd_bearer_jwks,
      "the file of a JWK set" },

    { ngx_string("issuer="), 1, ngx_http_mtd_bearer_issuer,
      "what \"iss\" of a token says" },

    { ngx_string("audience="), 0, ngx_http_mtd_bearer_audience,
      "what \"aud\" of a token says, given at most 8 times" },

    { ngx_string("tenant="), 1, ngx_http_mtd_bearer_tenant,
      "the GUID of a tenant" },

    { ngx_string("algorithms="), 1, ngx_http_mtd_bearer_algorithms,
      "some of RS256,RS384,RS512,PS256,ES256,ES384" },

    { ngx_string("leeway="), 1, ngx_http_mtd_bearer_leeway,
      "a time of at most 10m, such as 60s" },

    { ngx_string("device_claim="), 1, ngx_http_mtd_bearer_device_claim,
      "the name of a claim" },

    { ngx_string("user_claim="), 1, ngx_http_mtd_bearer_user_claim,
      "the name of a claim" },

    { ngx_string("kind="), 1, ngx_http_mtd_bearer_kind,
      "a kind of identity" },

    { ngx_string("cache="), 1, ngx_http_mtd_bearer_cache,
      "a number of tokens from 64 to 1048576" },

    { ngx_string("authorization_uri="), 1, ngx_http_mtd_bearer_uri,
      "a URL that starts with https://" },

    { ngx_null_string, 0, NULL, NULL }
};


char *
ngx_http_mtd_bearer_directive(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_mtd_bearer_srv_conf_t  *bscf = conf;

    ngx_str_t                        *value;
    ngx_uint_t                        i, seen;
    ngx_http_mtd_bearer_t            *bearer, **elt;
    ngx_http_mtd_bearer_main_conf_t  *bmcf;

    if (bscf->bearer) {
        return "is duplicate";
    }

    bmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_mtd_bearer_module);

    bearer = ngx_pcalloc(cf->pool, sizeof(ngx_http_mtd_bearer_t));
    elt = ngx_array_push(&bmcf->bearers);

    if (bearer == NULL || elt == NULL) {
        return NGX_CONF_ERROR;
    }

    *elt = bearer;
    bscf->bearer = bearer;

    bearer->kind = NGX_CONF_UNSET_UINT;
    bearer->rules.leeway = NGX_CONF_UNSET;

    value = cf->args->elts;
    seen = 0;

    for (i = 1; i < cf->args->nelts; i++) {
        if (ngx_http_mtd_bearer_parameter(cf, bearer, &value[i], &seen)
            != NGX_CONF_OK)
        {
            return NGX_CONF_ERROR;
        }
    }

    return ngx_http_mtd_bearer_defaults(cf, bearer);
}


static char *
ngx_http_mtd_bearer_parameter(ngx_conf_t *cf, ngx_http_mtd_bearer_t *bearer,
    ngx_str_t *arg, ngx_uint_t *seen)
{
    char                             *rv;
    ngx_str_t                         text;
    ngx_uint_t                        i;
    ngx_http_mtd_bearer_parameter_t  *p;

    for (i = 0; ngx_http_mtd_bearer_parameters[i].name.len; i++) {
        p = &ngx_http_mtd_bearer_parameters[i];

        if (arg->len < p->name.len
            || ngx_strncmp(arg->data, p->name.data, p->name.len) != 0)
        {
            continue;
        }

        text.data = arg->data + p->name.len;
        text.len = arg->len - p->name.len;

        rv = (p->once && (*seen & (1u << i))) ? "is duplicate"
             : text.len ? p->set(cf, bearer, &text) : "is empty";

        *seen |= 1u << i;

        if (rv == NGX_CONF_OK || rv == NGX_CONF_ERROR) {
            return rv;
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" of \"mtd_bearer\" %s; it must be %s", arg,
                           rv, p->hint);
        return NGX_CONF_ERROR;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "unknown parameter \"%V\" of \"mtd_bearer\", it must "
                       "be jwks=, issuer=, audience=, tenant=, algorithms=, "
                       "leeway=, device_claim=, user_claim=, kind=, cache= "
                       "or authorization_uri=", arg);
    return NGX_CONF_ERROR;
}


static char *
ngx_http_mtd_bearer_jwks(ngx_conf_t *cf, ngx_http_mtd_bearer_t *bearer,
    ngx_str_t *text)
{
    bearer->path = *text;

    return ngx_conf_full_name(cf->cycle, &bearer->path, 1) == NGX_OK
           ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static char *
ngx_http_mtd_bearer_issuer(ngx_conf_t *cf, ngx_http_mtd_bearer_t *bearer,
    ngx_str_t *text)
{
    bearer->rules.issuer.data = text->data;
    bearer->rules.issuer.len = text->len;

    return NGX_CONF_OK;
}


static char *
ngx_http_mtd_bearer_audience(ngx_conf_t *cf, ngx_http_mtd_bearer_t *bearer,
    ngx_str_t *text)
{
    mtd_str_t  *audience;

    if (bearer->rules.audiences == MTD_BEARER_AUDIENCES) {
        return "is one too many";
    }

    audience = &bearer->rules.audience[bearer->rules.audiences++];

    audience->data = text->data;
    audience->len = text->len;

    return NGX_CONF_OK;
}


static char *
ngx_http_mtd_bearer_tenant(ngx_conf_t *cf, ngx_http_mtd_bearer_t *bearer,
    ngx_str_t *text)
{
    if (!mtd_bearer_guid(text->data, text->data, text->len)) {
        return "is invalid";
    }

    bearer->rules.tenant.data = text->data;
    bearer->rules.tenant.len = text->len;

    return NGX_CONF_OK;
}


static char *
ngx_http_mtd_bearer_algorithms(ngx_conf_t *cf, ngx_http_mtd_bearer_t *bearer,
    ngx_str_t *text)
{
    int      algorithm;
    u_char  *p, *last, *comma;

    last = text->data + text->len;

    for (p = text->data; p <= last; p = comma + 1) {

        comma = ngx_strlchr(p, last, ',');

        if (comma == NULL) {
            comma = last;
        }

        algorithm = mtd_jwt_algorithm((char *) p, comma - p);

        if (algorithm < 0) {
            return "is invalid";
        }

        bearer->rules.algorithms |= 1u << algorithm;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_mtd_bearer_leeway(ngx_conf_t *cf, ngx_http_mtd_bearer_t *bearer,
    ngx_str_t *text)
{
    ngx_int_t  leeway;

    leeway = ngx_parse_time(text, 1);

    if (leeway == NGX_ERROR || leeway > NGX_HTTP_MTD_BEARER_LEEWAY) {
        return "is invalid";
    }

    bearer->rules.leeway = leeway;

    return NGX_CONF_OK;
}


static char *
ngx_http_mtd_bearer_device_claim(ngx_conf_t *cf,
    ngx_http_mtd_bearer_t *bearer, ngx_str_t *text)
{
    bearer->rules.device_claim = (char *) text->data;

    return NGX_CONF_OK;
}


static char *
ngx_http_mtd_bearer_user_claim(ngx_conf_t *cf, ngx_http_mtd_bearer_t *bearer,
    ngx_str_t *text)
{
    bearer->rules.user_claim = (char *) text->data;

    return NGX_CONF_OK;
}


static char *
ngx_http_mtd_bearer_kind(ngx_conf_t *cf, ngx_http_mtd_bearer_t *bearer,
    ngx_str_t *text)
{
    ngx_int_t            kind;
    ngx_http_mtd_api_t  *api;

    api = ngx_http_mtd_api(cf);
    if (api == NULL) {
        return NGX_CONF_ERROR;
    }

    kind = api->add_kind(cf, text);
    if (kind == NGX_ERROR) {
        return NGX_CONF_ERROR;
    }

    bearer->kind = kind;

    bearer->rules.guid = (text->len == 5
                          && ngx_strncmp(text->data, "entra", 5) == 0)
                         || (text->len == 6
                             && ngx_strncmp(text->data, "intune", 6) == 0);

    return NGX_CONF_OK;
}


/* rounded up to a power of two */

static char *
ngx_http_mtd_bearer_cache(ngx_conf_t *cf, ngx_http_mtd_bearer_t *bearer,
    ngx_str_t *text)
{
    ngx_int_t  n;

    n = ngx_atoi(text->data, text->len);

    if (n < NGX_HTTP_MTD_BEARER_MIN || n > NGX_HTTP_MTD_BEARER_MAX) {
        return "is invalid";
    }

    for (bearer->places = NGX_HTTP_MTD_BEARER_MIN;
         bearer->places < (ngx_uint_t) n;
         bearer->places *= 2)
    {
        /* void */
    }

    return NGX_CONF_OK;
}


/* it stands in a header, between quotes */

static char *
ngx_http_mtd_bearer_uri(ngx_conf_t *cf, ngx_http_mtd_bearer_t *bearer,
    ngx_str_t *text)
{
    size_t  i;

    if (text->len <= 8
        || ngx_strncasecmp(text->data, (u_char *) "https://", 8) != 0)
    {
        return "is invalid";
    }

    for (i = 0; i < text->len; i++) {
        if (text->data[i] <= 0x20 || text->data[i] >= 0x7f
            || text->data[i] == '"' || text->data[i] == '\\')
        {
            return "is invalid";
        }
    }

    bearer->authorization_uri = *text;

    return NGX_CONF_OK;
}


static char *
ngx_http_mtd_bearer_defaults(ngx_conf_t *cf, ngx_http_mtd_bearer_t *bearer)
{
    ngx_str_t            kind;
    const char          *missing;
    mtd_bearer_rules_t  *rules;

    rules = &bearer->rules;

    missing = bearer->path.len == 0 ? "jwks=FILE"
              : rules->issuer.len == 0 ? "issuer=URL"
              : rules->audiences == 0 ? "audience=TEXT" : NULL;

    if (missing) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"mtd_bearer\" has no %s", missing);
        return NGX_CONF_ERROR;
    }

    if (rules->algorithms == 0) {
        rules->algorithms = 1u << MTD_JWT_RS256;
    }

    if (rules->leeway == NGX_CONF_UNSET) {
        rules->leeway = 60;
    }

    if (rules->device_claim == NULL) {
        rules->device_claim = "deviceid";
    }

    if (rules->user_claim == NULL) {
        rules->user_claim = "upn";
    }

    if (bearer->places == 0) {
        bearer->places = NGX_HTTP_MTD_BEARER_TOKENS;
    }

    if (bearer->kind == NGX_CONF_UNSET_UINT) {
        ngx_str_set(&kind, "entra");

        if (ngx_http_mtd_bearer_kind(cf, bearer, &kind) != NGX_CONF_OK) {
            return NGX_CONF_ERROR;
        }
    }

    return ngx_http_mtd_bearer_keys(cf, bearer) == NGX_OK ? NGX_CONF_OK
                                                          : NGX_CONF_ERROR;
}
