
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * Who asks, as far as it can be seen, and whether the device is theirs.  A
 * user is compared by the keyed hash that a record has of its own.
 */


#include "ngx_http_mtd_module.h"
#include "mtd_authorization.h"


static void ngx_http_mtd_user_add(ngx_http_request_t *r,
    ngx_http_mtd_ctx_t *ctx, const mtd_str_t *user);


void
ngx_http_mtd_user_told(ngx_http_request_t *r, ngx_http_mtd_ctx_t *ctx,
    const ngx_http_mtd_identity_t *id)
{
    mtd_str_t  user;

    user.data = id->user.data;
    user.len = id->user.len;

    ctx->user_authorized |= id->authorization;

    ngx_http_mtd_user_add(r, ctx, &user);
}


/* of NTLM and Negotiate only the server behind knows whom it has let in */

void
ngx_http_mtd_user_header(ngx_http_request_t *r, ngx_http_mtd_ctx_t *ctx)
{
    size_t      len;
    u_char      name[MTD_AUTHORIZATION_USER];
    mtd_str_t   value, user;

    if (r->headers_in.authorization == NULL) {
        return;
    }

    value.data = r->headers_in.authorization->value.data;
    value.len = r->headers_in.authorization->value.len;

    if (value.len == 0) {
        return;
    }

    switch (mtd_authorization(name, &len, &value)) {

    case MTD_AUTHORIZATION_BASIC:
        user.data = name;
        user.len = len;
        ngx_http_mtd_user_add(r, ctx, &user);
        return;

    case MTD_AUTHORIZATION_BEARER:

        /* a token whose user no hook tells may be anybody's */

        ctx->user_unread |= !ctx->user_authorized;
        return;

    case MTD_AUTHORIZATION_MALFORMED:
        ctx->user_unread = 1;
        return;

    default: /* MTD_AUTHORIZATION_OTHER */
        return;
    }
}


static void
ngx_http_mtd_user_add(ngx_http_request_t *r, ngx_http_mtd_ctx_t *ctx,
    const mtd_str_t *user)
{
    size_t                    len;
    u_char                    upn[2 * MTD_AUTHORIZATION_USER];
    uint64_t                  hash;
    ngx_array_t              *domains;
    ngx_http_mtd_srv_conf_t  *mscf;

    mscf = ngx_http_get_module_srv_conf(r, ngx_http_mtd_module);
    domains = mscf->user_domains;

    len = mtd_user_upn(upn, sizeof(upn), user, domains ? domains->elts : NULL,
                       domains ? domains->nelts : 0);

    if (len == 0) {
        ctx->user_unread = 1;
        return;
    }

    hash = ngx_mtd_zone_user_hash(&ctx->store->zone, upn, len);

    if (ctx->user_known && ctx->user != hash) {
        ctx->user_several = 1;
    }

    ctx->user = hash;
    ctx->user_known = 1;
}


/* returns why it is not, or NULL; rec may be NULL */

const char *
ngx_http_mtd_user_mismatch(ngx_http_mtd_ctx_t *ctx, const mtd_record_t *rec)
{
    if (ctx->user_several) {
        return "the request names different users";
    }

    /* whose a damaged record is cannot be told, and it never allows */

    if (rec == NULL || rec->damaged) {
        return NULL;
    }

    if (ctx->user_unread) {
        return "the user of the request cannot be read";
    }

    if (ctx->user_known && ctx->user != rec->user) {
        return "the device is not the user's";
    }

    return NULL;
}


char *
ngx_http_mtd_user_domain(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_mtd_srv_conf_t *mscf = conf;

    u_char             *p, *last;
    ngx_str_t          *value;
    ngx_uint_t          i, k;
    mtd_user_domain_t  *domain, *before;

    ngx_http_mtd_main_conf_t  *mmcf;

    mmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_mtd_module);
    mmcf->domains_file = cf->conf_file->file.name.data;
    mmcf->domains_line = cf->conf_file->line;

    value = cf->args->elts;

    if (mscf->user_domains == NULL) {
        mscf->user_domains = ngx_array_create(cf->pool, 2,
                                              sizeof(mtd_user_domain_t));
        if (mscf->user_domains == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    for (i = 1; i < cf->args->nelts; i++) {

        last = value[i].data + value[i].len;
        p = ngx_strlchr(value[i].data, last, '=');

        if (p == NULL || p == value[i].data || p + 1 == last
            || ngx_strlchr(p + 1, last, '=')
            || ngx_strlchr(value[i].data, last, '@')
            || ngx_strlchr(value[i].data, last, '\\')
            || value[i].len > MTD_AUTHORIZATION_USER)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\" of "
                               "\"mtd_user_domain\", it must be NAME=DOMAIN, "
                               "as CORP=example.com, or *=DOMAIN for users "
                               "without a domain", &value[i]);
            return NGX_CONF_ERROR;
        }

        ngx_strlow(value[i].data, value[i].data, value[i].len);

        before = mscf->user_domains->elts;

        for (k = 0; k < mscf->user_domains->nelts; k++) {
            if (before[k].name.len == (size_t) (p - value[i].data)
                && ngx_memcmp(before[k].name.data, value[i].data,
                              before[k].name.len)
                   == 0)
            {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "duplicate domain in \"%V\" of "
                                   "\"mtd_user_domain\"", &value[i]);
                return NGX_CONF_ERROR;
            }
        }

        domain = ngx_array_push(mscf->user_domains);
        if (domain == NULL) {
            return NGX_CONF_ERROR;
        }

        domain->name.data = value[i].data;
        domain->name.len = p - value[i].data;
        domain->domain.data = p + 1;
        domain->domain.len = last - p - 1;
    }

    return NGX_CONF_OK;
}


/* after all policies are known */

ngx_int_t
ngx_http_mtd_user_check(ngx_conf_t *cf)
{
    ngx_http_mtd_main_conf_t  *mmcf;

    mmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_mtd_module);

    if (!mmcf->gated || mmcf->bind_user || mmcf->domains_file == NULL) {
        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "\"mtd_user_domain\" in %s:%ui would never apply, an "
                  "mtd_policy must say \"bind_user on\"",
                  mmcf->domains_file, mmcf->domains_line);
    return NGX_ERROR;
}
