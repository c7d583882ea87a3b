
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_mtd_hook.h"


/* in backtracking steps */

#define NGX_HTTP_MTD_VALUE_LIMIT      "(*LIMIT_MATCH=5000)"

/* the whole match and the first group, as ngx_regex_exec() wants them */

#define NGX_HTTP_MTD_VALUE_CAPTURES   6


typedef struct {
    ngx_str_t            name;              /* without "$" */
    ngx_str_t            header;            /* of $http_NAME, else empty */
    ngx_int_t            index;
    ngx_uint_t           kind;
    ngx_str_t            pattern;
#if (NGX_PCRE)
    ngx_regex_t         *regex;             /* NULL: the value is the id */
    ngx_uint_t           captures;
#endif
} ngx_http_mtd_value_t;


typedef struct {
    ngx_array_t         *values;            /* of ngx_http_mtd_value_t */
} ngx_http_mtd_value_loc_conf_t;


/* what is said of values in a server and its locations */

typedef struct {
    unsigned             own:1;             /* not inherited of http {} */
    unsigned             any:1;
} ngx_http_mtd_value_srv_conf_t;


static ngx_int_t ngx_http_mtd_value_identify(ngx_http_request_t *r,
    ngx_uint_t protocol, ngx_http_mtd_identity_t *id);
static ngx_int_t ngx_http_mtd_value_get(ngx_http_request_t *r,
    ngx_http_mtd_value_t *value, ngx_str_t *text,
    ngx_http_mtd_identity_t *id);
static ngx_int_t ngx_http_mtd_value_header(ngx_http_request_t *r,
    ngx_http_mtd_value_t *value, ngx_str_t *text,
    ngx_http_mtd_identity_t *id);
static ngx_uint_t ngx_http_mtd_value_header_is(ngx_table_elt_t *h,
    ngx_str_t *name);
static ngx_int_t ngx_http_mtd_value_extract(ngx_http_mtd_value_t *value,
    ngx_str_t *text, ngx_http_mtd_identity_t *id);
static ngx_int_t ngx_http_mtd_value_valid(ngx_http_mtd_value_t *value,
    ngx_str_t *text, ngx_http_mtd_identity_t *id);

static char *ngx_http_mtd_value(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_mtd_value_variable(ngx_conf_t *cf, ngx_str_t *text,
    ngx_http_mtd_value_t *value);
static char *ngx_http_mtd_value_kind(ngx_conf_t *cf, ngx_str_t *text,
    ngx_http_mtd_value_t *value);
static char *ngx_http_mtd_value_pattern(ngx_conf_t *cf, ngx_str_t *text,
    ngx_http_mtd_value_t *value);
static ngx_int_t ngx_http_mtd_value_preconfiguration(ngx_conf_t *cf);
static const char *ngx_http_mtd_value_check(ngx_conf_t *cf,
    ngx_http_conf_ctx_t *server, ngx_uint_t named);
static void *ngx_http_mtd_value_create_srv_conf(ngx_conf_t *cf);
static void *ngx_http_mtd_value_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_mtd_value_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);


static ngx_command_t  ngx_http_mtd_value_commands[] = {

    { ngx_string("mtd_value"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE23,
      ngx_http_mtd_value,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_mtd_value_module_ctx = {
    ngx_http_mtd_value_preconfiguration,   /* preconfiguration */
    NULL,                                  /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    ngx_http_mtd_value_create_srv_conf,    /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_mtd_value_create_loc_conf,    /* create location configuration */
    ngx_http_mtd_value_merge_loc_conf      /* merge location configuration */
};


ngx_module_t  ngx_http_mtd_value_module = {
    NGX_MODULE_V1,
    &ngx_http_mtd_value_module_ctx,        /* module context */
    ngx_http_mtd_value_commands,           /* module directives */
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


static ngx_http_mtd_hook_t  ngx_http_mtd_value_hook = {
    NGX_HTTP_MTD_HOOK_MAJOR,
    NGX_HTTP_MTD_HOOK_MINOR,
    sizeof(ngx_http_mtd_hook_t),
    ngx_string("value"),
    ngx_http_mtd_value_identify,
    NULL,
    NULL,
    ngx_http_mtd_value_check
};


/* the first value wins; those of its kind after it must say the same */

static ngx_int_t
ngx_http_mtd_value_identify(ngx_http_request_t *r, ngx_uint_t protocol,
    ngx_http_mtd_identity_t *id)
{
    ngx_int_t                       rc;
    ngx_str_t                       text;
    ngx_uint_t                      i;
    ngx_http_mtd_value_t           *value;
    ngx_http_mtd_candidate_t       *candidate;
    ngx_http_mtd_value_loc_conf_t  *vlcf;

    vlcf = ngx_http_get_module_loc_conf(r, ngx_http_mtd_value_module);

    if (vlcf->values == NULL) {
        return NGX_DECLINED;
    }

    value = vlcf->values->elts;
    candidate = &id->candidate[0];

    for (i = 0; i < vlcf->values->nelts; i++) {

        if (id->n && value[i].kind != candidate->kind) {
            continue;
        }

        rc = ngx_http_mtd_value_get(r, &value[i], &text, id);

        if (rc == NGX_DECLINED) {
            continue;
        }

        if (rc != NGX_OK) {
            id->n = 0;
            return rc;
        }

        if (id->n == 0) {
            candidate->kind = value[i].kind;
            candidate->len = text.len;
            ngx_strlow(candidate->data, text.data, text.len);
            id->n = 1;
            continue;
        }

        if (text.len != candidate->len
            || ngx_strncasecmp(text.data, candidate->data, text.len) != 0)
        {
            id->n = 0;
            id->why = "variables name different devices";
            return NGX_HTTP_MTD_AMBIGUOUS;
        }
    }

    return id->n ? NGX_OK : NGX_DECLINED;
}


static ngx_int_t
ngx_http_mtd_value_get(ngx_http_request_t *r, ngx_http_mtd_value_t *value,
    ngx_str_t *text, ngx_http_mtd_identity_t *id)
{
    ngx_int_t                   rc;
    ngx_http_variable_value_t  *vv;

    if (value->header.len) {
        rc = ngx_http_mtd_value_header(r, value, text, id);

        if (rc != NGX_OK) {
            return rc;
        }

    } else {
        vv = ngx_http_get_flushed_variable(r, value->index);

        if (vv == NULL) {
            return NGX_ERROR;
        }

        if (vv->not_found || vv->len == 0) {
            return NGX_DECLINED;
        }

        text->len = vv->len;
        text->data = vv->data;
    }

    rc = ngx_http_mtd_value_extract(value, text, id);

    if (rc != NGX_OK) {
        return rc;
    }

    return ngx_http_mtd_value_valid(value, text, id);
}


/* nginx's variable is the first header only, or all of them with commas */

static ngx_int_t
ngx_http_mtd_value_header(ngx_http_request_t *r, ngx_http_mtd_value_t *value,
    ngx_str_t *text, ngx_http_mtd_identity_t *id)
{
    ngx_uint_t            found;
    ngx_table_elt_t      *h;
    ngx_http_mtd_walk_t   walk;

    found = 0;
    walk.part = NULL;

    while ((h = ngx_http_mtd_next_header(r, &walk)) != NULL) {

        if (!ngx_http_mtd_value_header_is(h, &value->header)) {
            continue;
        }

        if (ngx_strlchr(h->value.data, h->value.data + h->value.len, ',')) {
            id->why = "comma in a header";
            return NGX_HTTP_MTD_AMBIGUOUS;
        }

        if (!found) {
            found = 1;
            *text = h->value;
            continue;
        }

        if (text->len != h->value.len
            || ngx_memcmp(text->data, h->value.data, text->len) != 0)
        {
            id->why = "headers differ";
            return NGX_HTTP_MTD_AMBIGUOUS;
        }
    }

    return (found && text->len) ? NGX_OK : NGX_DECLINED;
}


/* name is as in a variable, with underscores */

static ngx_uint_t
ngx_http_mtd_value_header_is(ngx_table_elt_t *h, ngx_str_t *name)
{
    u_char      ch;
    ngx_uint_t  i;

    if (h->key.len != name->len) {
        return 0;
    }

    for (i = 0; i < name->len; i++) {
        ch = ngx_tolower(h->key.data[i]);

        if (ch == '-') {
            ch = '_';
        }

        if (ch != name->data[i]) {
            return 0;
        }
    }

    return 1;
}


static ngx_int_t
ngx_http_mtd_value_extract(ngx_http_mtd_value_t *value, ngx_str_t *text,
    ngx_http_mtd_identity_t *id)
{
#if (NGX_PCRE)

    int        captures[NGX_HTTP_MTD_VALUE_CAPTURES];
    ngx_int_t  rc;

    if (value->regex == NULL) {
        return NGX_OK;
    }

    rc = ngx_regex_exec(value->regex, text, captures,
                        NGX_HTTP_MTD_VALUE_CAPTURES);

    if (rc == NGX_REGEX_NO_MATCHED) {
        return NGX_DECLINED;
    }

    if (rc < 0) {
        id->why = "pattern of mtd_value gave up";
        return NGX_HTTP_MTD_MALFORMED;
    }

    rc = value->captures ? 2 : 0;

    if (captures[rc] < 0 || captures[rc + 1] <= captures[rc]) {
        return NGX_DECLINED;
    }

    text->data += captures[rc];
    text->len = captures[rc + 1] - captures[rc];

#endif

    return NGX_OK;
}


/* a pattern has said itself what an id is made of */

static ngx_int_t
ngx_http_mtd_value_valid(ngx_http_mtd_value_t *value, ngx_str_t *text,
    ngx_http_mtd_identity_t *id)
{
    u_char      ch;
    ngx_uint_t  i;

    if (text->len > NGX_HTTP_MTD_VALUE_MAX) {
        id->why = "value too long";
        return NGX_HTTP_MTD_MALFORMED;
    }

    for (i = 0; i < text->len; i++) {
        ch = text->data[i];

        if ((ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z')
            || (ch >= '0' && ch <= '9'))
        {
            continue;
        }

        if (value->pattern.len ? (ch > 0x20 && ch != 0x7f)
                               : (ch && ngx_strchr("._:@{}-", ch) != NULL))
        {
            continue;
        }

        id->why = "invalid byte in a value";
        return NGX_HTTP_MTD_MALFORMED;
    }

    return NGX_OK;
}


static char *
ngx_http_mtd_value(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_mtd_value_loc_conf_t  *vlcf = conf;

    char                  *rv;
    ngx_str_t             *args, text;
    ngx_uint_t             i;
    ngx_http_mtd_value_t  *value, *other;

    if (vlcf->values == NULL) {
        vlcf->values = ngx_array_create(cf->pool, 2,
                                        sizeof(ngx_http_mtd_value_t));
        if (vlcf->values == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    value = ngx_array_push(vlcf->values);
    if (value == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(value, sizeof(ngx_http_mtd_value_t));
    value->kind = NGX_CONF_UNSET_UINT;

    args = cf->args->elts;

    rv = ngx_http_mtd_value_variable(cf, &args[1], value);

    for (i = 2; rv == NGX_CONF_OK && i < cf->args->nelts; i++) {

        if (ngx_strncmp(args[i].data, "kind=", 5) == 0) {
            text.len = args[i].len - 5;
            text.data = args[i].data + 5;
            rv = ngx_http_mtd_value_kind(cf, &text, value);

        } else if (ngx_strncmp(args[i].data, "pattern=", 8) == 0) {
            text.len = args[i].len - 8;
            text.data = args[i].data + 8;
            rv = ngx_http_mtd_value_pattern(cf, &text, value);

        } else {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\", it must be "
                               "\"kind=KIND\" or \"pattern=REGEX\"",
                               &args[i]);
            rv = NGX_CONF_ERROR;
        }
    }

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    if (value->kind == NGX_CONF_UNSET_UINT) {
        return "needs the parameter \"kind=KIND\"";
    }

    for (other = vlcf->values->elts; other < value; other++) {

        if (other->index == value->index
            && other->kind == value->kind
            && other->pattern.len == value->pattern.len
            && ngx_strncmp(other->pattern.data, value->pattern.data,
                           value->pattern.len)
               == 0)
        {
            return "is duplicate";
        }
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_mtd_value_variable(ngx_conf_t *cf, ngx_str_t *text,
    ngx_http_mtd_value_t *value)
{
    if (text->len < 2 || text->data[0] != '$') {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid variable name \"%V\", it must be "
                           "\"$NAME\"", text);
        return NGX_CONF_ERROR;
    }

    value->name.len = text->len - 1;
    value->name.data = text->data + 1;

    value->index = ngx_http_get_variable_index(cf, &value->name);
    if (value->index == NGX_ERROR) {
        return NGX_CONF_ERROR;
    }

    ngx_strlow(value->name.data, value->name.data, value->name.len);

    if (value->name.len > 5
        && ngx_strncmp(value->name.data, "http_", 5) == 0)
    {
        value->header.len = value->name.len - 5;
        value->header.data = value->name.data + 5;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_mtd_value_kind(ngx_conf_t *cf, ngx_str_t *text,
    ngx_http_mtd_value_t *value)
{
    ngx_int_t            kind;
    ngx_http_mtd_api_t  *api;

    if (value->kind != NGX_CONF_UNSET_UINT) {
        return "has two parameters \"kind\"";
    }

    api = ngx_http_mtd_api(cf);
    if (api == NULL) {
        return NGX_CONF_ERROR;
    }

    kind = api->add_kind(cf, text);
    if (kind == NGX_ERROR) {
        return NGX_CONF_ERROR;
    }

    value->kind = kind;

    return NGX_CONF_OK;
}


static char *
ngx_http_mtd_value_pattern(ngx_conf_t *cf, ngx_str_t *text,
    ngx_http_mtd_value_t *value)
{
#if (NGX_PCRE)

    u_char               *p, errstr[NGX_MAX_CONF_ERRSTR];
    ngx_regex_compile_t   rc;

    if (value->pattern.len) {
        return "has two parameters \"pattern\"";
    }

    if (text->len == 0) {
        return "has an empty \"pattern\"";
    }

    value->pattern = *text;

    ngx_memzero(&rc, sizeof(ngx_regex_compile_t));

    rc.pattern.len = sizeof(NGX_HTTP_MTD_VALUE_LIMIT) - 1 + text->len;

    rc.pattern.data = ngx_pnalloc(cf->pool, rc.pattern.len + 1);
    if (rc.pattern.data == NULL) {
        return NGX_CONF_ERROR;
    }

    p = ngx_cpymem(rc.pattern.data, NGX_HTTP_MTD_VALUE_LIMIT,
                   sizeof(NGX_HTTP_MTD_VALUE_LIMIT) - 1);
    p = ngx_cpymem(p, text->data, text->len);
    *p = '\0';

    rc.pool = cf->pool;
    rc.err.len = NGX_MAX_CONF_ERRSTR;
    rc.err.data = errstr;

    if (ngx_regex_compile(&rc) != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%V", &rc.err);
        return NGX_CONF_ERROR;
    }

    value->regex = rc.regex;
    value->captures = rc.captures;

    return NGX_CONF_OK;

#else

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "using regex \"%V\" requires PCRE library", text);
    return NGX_CONF_ERROR;

#endif
}


static ngx_int_t
ngx_http_mtd_value_preconfiguration(ngx_conf_t *cf)
{
    return ngx_http_mtd_add_hook(cf, &ngx_http_mtd_value_hook);
}


static const char *
ngx_http_mtd_value_check(ngx_conf_t *cf, ngx_http_conf_ctx_t *server,
    ngx_uint_t named)
{
    ngx_http_mtd_value_srv_conf_t  *vscf;

    vscf = server->srv_conf[ngx_http_mtd_value_module.ctx_index];

    if (named) {
        return vscf->any ? NULL
                         : "\"mtd_value\" there, in one of its locations or "
                           "in http {}";
    }

    return vscf->own ? "\"mtd_value\"" : NULL;
}


static void *
ngx_http_mtd_value_create_srv_conf(ngx_conf_t *cf)
{
    /*
     * set by ngx_pcalloc():
     *
     *     conf->own = 0;
     *     conf->any = 0;
     */

    return ngx_pcalloc(cf->pool, sizeof(ngx_http_mtd_value_srv_conf_t));
}


static void *
ngx_http_mtd_value_create_loc_conf(ngx_conf_t *cf)
{
    /*
     * set by ngx_pcalloc():
     *
     *     conf->values = NULL;
     */

    return ngx_pcalloc(cf->pool, sizeof(ngx_http_mtd_value_loc_conf_t));
}


static char *
ngx_http_mtd_value_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_mtd_value_loc_conf_t  *prev = parent;
    ngx_http_mtd_value_loc_conf_t  *conf = child;

    ngx_http_mtd_value_srv_conf_t  *vscf;

    vscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_mtd_value_module);

    if (conf->values == NULL) {
        conf->values = prev->values;

    } else {
        vscf->own = 1;
    }

    if (conf->values) {
        vscf->any = 1;
    }

    return NGX_CONF_OK;
}
