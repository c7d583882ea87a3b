
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * What OAuth clients are answered in place of a protocol's refusal.
 *
 * A claims challenge: a client that has said that it understands one (cp1)
 * takes it to Entra, where Conditional Access looks at the device again and
 * can show its user what to do.
 */


#include "ngx_http_mtd_bearer.h"


/*
 * Seconds: who comes back with a token that is younger has been challenged
 * already, and is told what the protocol has for it, not sent in circles.
 */

#define NGX_HTTP_MTD_BEARER_CHALLENGED   300


static ngx_int_t ngx_http_mtd_bearer_expired(ngx_http_request_t *r,
    const ngx_http_mtd_verdict_t *verdict, ngx_http_mtd_bearer_t *bearer);
static ngx_int_t ngx_http_mtd_bearer_claims(ngx_http_request_t *r,
    const ngx_http_mtd_verdict_t *verdict, ngx_http_mtd_bearer_t *bearer);
static ngx_int_t ngx_http_mtd_bearer_unauthorized(ngx_http_request_t *r,
    const ngx_http_mtd_verdict_t *verdict, ngx_str_t *value);
static ngx_uint_t ngx_http_mtd_bearer_of_device(ngx_uint_t reason);


ngx_int_t
ngx_http_mtd_bearer_challenge(ngx_http_request_t *r,
    const ngx_http_mtd_verdict_t *verdict)
{
    ngx_int_t                        rc;
    const char                      *why;
    const mtd_bearer_t              *told;
    ngx_http_mtd_bearer_t           *bearer;
    ngx_http_mtd_bearer_srv_conf_t  *bscf;

    bscf = ngx_http_get_module_srv_conf(r, ngx_http_mtd_bearer_module);
    bearer = bscf->bearer;

    if (bearer == NULL || verdict->status != NGX_HTTP_FORBIDDEN) {
        return NGX_DECLINED;
    }

    rc = ngx_http_mtd_bearer_read(r, bearer, &told, &why);

    /* one that is not valid yet: a clock is wrong, a new one is no better */

    if (rc == MTD_BEARER_UNTIMELY
        && verdict->reason == MTD_REASON_UNIDENTIFIED
        && ngx_time() >= told->until)
    {
        return ngx_http_mtd_bearer_expired(r, verdict, bearer);
    }

    if (rc == MTD_BEARER_OK
        && bearer->authorization_uri.len
        && ngx_http_mtd_bearer_of_device(verdict->reason)
        && told->cp1
        && told->issued
        && ngx_time() - told->issued >= NGX_HTTP_MTD_BEARER_CHALLENGED)
    {
        return ngx_http_mtd_bearer_claims(r, verdict, bearer);
    }

    return NGX_DECLINED;
}


/* RFC 6750, 3.1: no word about the device, its client needs a new token */

static ngx_int_t
ngx_http_mtd_bearer_expired(ngx_http_request_t *r,
    const ngx_http_mtd_verdict_t *verdict, ngx_http_mtd_bearer_t *bearer)
{
    u_char     *p;
    ngx_str_t   value;

    p = ngx_pnalloc(r->pool, bearer->authorization_uri.len + 128);
    if (p == NULL) {
        return NGX_DECLINED;
    }

    value.data = p;

    p = ngx_cpymem(p, "Bearer realm=\"\", ", sizeof("Bearer realm=\"\", ") - 1);

    if (bearer->authorization_uri.len) {
        p = ngx_sprintf(p, "authorization_uri=\"%V\", ",
                        &bearer->authorization_uri);
    }

    p = ngx_sprintf(p, "error=\"invalid_token\"");

    value.len = p - value.data;

    return ngx_http_mtd_bearer_unauthorized(r, verdict, &value);
}


/* a token that was issued before now will not do */

static ngx_int_t
ngx_http_mtd_bearer_claims(ngx_http_request_t *r,
    const ngx_http_mtd_verdict_t *verdict, ngx_http_mtd_bearer_t *bearer)
{
    u_char     *p, json[96];
    ngx_str_t   value, text, claims;

    text.data = json;
    text.len = ngx_sprintf(json, "{\"access_token\":{\"nbf\":{\"essential\":"
                           "true,\"value\":\"%T\"}}}", ngx_time())
               - json;

    p = ngx_pnalloc(r->pool, ngx_base64_encoded_length(text.len)
                             + bearer->authorization_uri.len + 128);
    if (p == NULL) {
        return NGX_DECLINED;
    }

    value.data = p;

    p = ngx_sprintf(p, "Bearer realm=\"\", authorization_uri=\"%V\", "
                    "error=\"insufficient_claims\", claims=\"",
                    &bearer->authorization_uri);

    claims.data = p;
    ngx_encode_base64(&claims, &text);
    p += claims.len;
    *p++ = '"';

    value.len = p - value.data;

    return ngx_http_mtd_bearer_unauthorized(r, verdict, &value);
}


static ngx_int_t
ngx_http_mtd_bearer_unauthorized(ngx_http_request_t *r,
    const ngx_http_mtd_verdict_t *verdict, ngx_str_t *value)
{
    ngx_str_t  body, type;

    static ngx_str_t  name = ngx_string("WWW-Authenticate");

    if (ngx_http_mtd_add_header(r, &name, value) == NULL) {
        return NGX_DECLINED;
    }

    ngx_str_null(&body);
    ngx_str_null(&type);

    return verdict->api->send(r, verdict, NGX_HTTP_UNAUTHORIZED, &type,
                              &body);
}


/* an admin's word, and what a redis did not say, are no matter of Entra's */

static ngx_uint_t
ngx_http_mtd_bearer_of_device(ngx_uint_t reason)
{
    switch (reason) {

    case MTD_REASON_UNKNOWN_DEVICE:
    case MTD_REASON_COMPROMISED:
    case MTD_REASON_THREAT_LEVEL:
    case MTD_REASON_THREAT_MISSING:
    case MTD_REASON_THREAT_STALE:
    case MTD_REASON_NONCOMPLIANT:
    case MTD_REASON_GRACE_OVER:
    case MTD_REASON_NOT_ENROLLED:
        return 1;

    default:
        return 0;
    }
}
