
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include "ngx_http_mtd_module.h"


static void *ngx_http_mtd_create_main_conf(ngx_conf_t *cf);
static void *ngx_http_mtd_create_srv_conf(ngx_conf_t *cf);
static char *ngx_http_mtd_merge_srv_conf(ngx_conf_t *cf, void *parent,
    void *child);
static void *ngx_http_mtd_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_mtd_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static char *ngx_http_mtd_merge_gate(ngx_conf_t *cf,
    ngx_http_mtd_loc_conf_t *prev, ngx_http_mtd_loc_conf_t *conf);
static char *ngx_http_mtd_gate_server(ngx_conf_t *cf,
    ngx_http_mtd_loc_conf_t *conf);
static char *ngx_http_mtd_bind(ngx_conf_t *cf, ngx_http_mtd_loc_conf_t *conf);
static ngx_int_t ngx_http_mtd_preconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_http_mtd_init(ngx_conf_t *cf);
static ngx_int_t ngx_http_mtd_init_process(ngx_cycle_t *cycle);
static void ngx_http_mtd_exit_process(ngx_cycle_t *cycle);


static ngx_command_t  ngx_http_mtd_commands[] = {

    { ngx_string("mtd_redis"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_BLOCK|NGX_CONF_TAKE1,
      ngx_http_mtd_redis_block,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("mtd_policy"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_BLOCK|NGX_CONF_TAKE1,
      ngx_http_mtd_policy_block,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("mtd"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_http_mtd,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("mtd_profile"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_CONF_TAKE1,
      ngx_http_mtd_profile,
      NGX_HTTP_SRV_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("mtd_identify"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_CONF_1MORE,
      ngx_http_mtd_identify_hooks,
      NGX_HTTP_SRV_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("mtd_endpoint"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_CONF_2MORE,
      ngx_http_mtd_endpoint,
      NGX_HTTP_SRV_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("mtd_user_domain"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_CONF_1MORE,
      ngx_http_mtd_user_domain,
      NGX_HTTP_SRV_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("mtd_remediation"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_mtd_remediation,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("mtd_disclose"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_mtd_loc_conf_t, disclose),
      NULL },

    { ngx_string("mtd_log_device"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_mtd_loc_conf_t, log_device),
      NULL },

    { ngx_string("mtd_cut"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_mtd_loc_conf_t, cut),
      NULL },

    { ngx_string("mtd_status"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_mtd_status,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      ngx_http_mtd_status_handler },

    { ngx_string("mtd_health"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_mtd_status,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      ngx_http_mtd_health_handler },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_mtd_module_ctx = {
    ngx_http_mtd_preconfiguration,         /* preconfiguration */
    ngx_http_mtd_init,                     /* postconfiguration */

    ngx_http_mtd_create_main_conf,         /* create main configuration */
    NULL,                                  /* init main configuration */

    ngx_http_mtd_create_srv_conf,          /* create server configuration */
    ngx_http_mtd_merge_srv_conf,           /* merge server configuration */

    ngx_http_mtd_create_loc_conf,          /* create location configuration */
    ngx_http_mtd_merge_loc_conf            /* merge location configuration */
};


ngx_module_t  ngx_http_mtd_module = {
    NGX_MODULE_V1,
    &ngx_http_mtd_module_ctx,              /* module context */
    ngx_http_mtd_commands,                 /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_http_mtd_init_process,             /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_mtd_exit_process,             /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static void *
ngx_http_mtd_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_mtd_main_conf_t  *mmcf;

    mmcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_mtd_main_conf_t));
    if (mmcf == NULL) {
        return NULL;
    }

    if (ngx_array_init(&mmcf->hooks, cf->pool, 8,
                       sizeof(ngx_http_mtd_hook_t *))
        != NGX_OK
        || ngx_array_init(&mmcf->kinds, cf->pool, 8, sizeof(ngx_str_t))
           != NGX_OK
        || ngx_array_init(&mmcf->stores, cf->pool, 2,
                          sizeof(ngx_mtd_store_t *))
           != NGX_OK
        || ngx_array_init(&mmcf->policies, cf->pool, 4,
                          sizeof(ngx_http_mtd_policy_t *))
           != NGX_OK)
    {
        return NULL;
    }

    ngx_http_mtd_hooks_offer(&mmcf->offers);

    mmcf->api = &mmcf->offers;

    return mmcf;
}


static void *
ngx_http_mtd_create_srv_conf(ngx_conf_t *cf)
{
    /*
     * set by ngx_pcalloc():
     *
     *     mscf->profile = NULL;
     *     mscf->identify = NULL;
     *     mscf->file_name = NULL;
     *     mscf->line = 0;
     *     mscf->endpoints = NULL;
     *     mscf->user_domains = NULL;
     *     mscf->gated = 0;
     */

    return ngx_pcalloc(cf->pool, sizeof(ngx_http_mtd_srv_conf_t));
}


static char *
ngx_http_mtd_merge_srv_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_mtd_srv_conf_t *prev = parent;
    ngx_http_mtd_srv_conf_t *conf = child;

    if (conf->profile == NULL) {
        conf->profile = prev->profile;
    }

    if (conf->identify == NULL) {
        conf->identify = prev->identify;
        conf->file_name = prev->file_name;
        conf->line = prev->line;
    }

    if (conf->endpoints == NULL) {
        conf->endpoints = prev->endpoints;
    }

    if (conf->user_domains == NULL) {
        conf->user_domains = prev->user_domains;
    }

    return conf->profile ? ngx_http_mtd_request_filter(cf, conf)
                         : NGX_CONF_OK;
}


static void *
ngx_http_mtd_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_mtd_loc_conf_t  *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_http_mtd_loc_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     conf->mode = NGX_HTTP_MTD_UNSET;
     *     conf->remediation = NULL;
     *     conf->status = 0;
     */

    conf->disclose = NGX_CONF_UNSET;
    conf->log_device = NGX_CONF_UNSET;
    conf->cut = NGX_CONF_UNSET;

    return conf;
}


static char *
ngx_http_mtd_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_mtd_loc_conf_t *prev = parent;
    ngx_http_mtd_loc_conf_t *conf = child;

    ngx_conf_merge_value(conf->disclose, prev->disclose, 0);
    ngx_conf_merge_value(conf->log_device, prev->log_device, 0);
    ngx_conf_merge_value(conf->cut, prev->cut, 1);

    if (conf->remediation == NULL) {
        conf->remediation = prev->remediation;
    }

    return ngx_http_mtd_merge_gate(cf, prev, conf);
}


static char *
ngx_http_mtd_merge_gate(ngx_conf_t *cf, ngx_http_mtd_loc_conf_t *prev,
    ngx_http_mtd_loc_conf_t *conf)
{
    ngx_uint_t                 inherited, server;
    ngx_http_mtd_srv_conf_t   *mscf;
    ngx_http_core_srv_conf_t  *cscf;
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    cscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_core_module);
    mscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_mtd_module);

    /* the name says nothing: that of a location may be empty, too */

    server = (cscf->ctx->loc_conf[ngx_http_mtd_module.ctx_index] == conf);
    inherited = (conf->mode == NGX_HTTP_MTD_UNSET);

    if (inherited) {
        conf->mode = prev->mode ? prev->mode : NGX_HTTP_MTD_OFF;
        conf->name = prev->name;
        conf->variable = prev->variable;
        conf->store_name = prev->store_name;
    }

    if (conf->store_name.len == 0) {
        conf->store_name = prev->store_name;
    }

    if (server && conf->mode != NGX_HTTP_MTD_OFF) {

        if (ngx_http_mtd_gate_server(cf, conf) != NGX_CONF_OK) {
            return NGX_CONF_ERROR;
        }

    } else if (conf->mode != NGX_HTTP_MTD_OFF && !mscf->gated) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"mtd\" is on in location \"%V\", but not in its "
                      "server; the gate is on for a whole server, where "
                      "locations may say \"mtd off\" or name another policy",
                      &clcf->name);
        return NGX_CONF_ERROR;

    } else if (conf->mode == NGX_HTTP_MTD_OFF && !inherited && mscf->gated) {
        ngx_log_error(NGX_LOG_NOTICE, cf->log, 0,
                      "mtd is off in location \"%V\"", &clcf->name);
    }

    return conf->mode == NGX_HTTP_MTD_OFF ? NGX_CONF_OK
                                          : ngx_http_mtd_bind(cf, conf);
}


static char *
ngx_http_mtd_gate_server(ngx_conf_t *cf, ngx_http_mtd_loc_conf_t *conf)
{
    const char                *missing;
    ngx_http_mtd_srv_conf_t   *mscf;
    ngx_http_mtd_main_conf_t  *mmcf;
    ngx_http_core_srv_conf_t  *cscf;

    mmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_mtd_module);
    mscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_mtd_module);
    cscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_core_module);

    missing = mscf->profile == NULL ? "mtd_profile"
              : mscf->identify == NULL ? "mtd_identify" : NULL;

    if (missing) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "no \"%s\" for the server with \"mtd\" in %s:%ui",
                      missing, cscf->file_name, cscf->line);
        return NGX_CONF_ERROR;
    }

    mscf->gated = 1;
    mmcf->gated = 1;

    return NGX_CONF_OK;
}


/* names of policies and stores to what they name */

static char *
ngx_http_mtd_bind(ngx_conf_t *cf, ngx_http_mtd_loc_conf_t *conf)
{
    ngx_mtd_store_t           **store;
    ngx_http_core_srv_conf_t   *cscf;
    ngx_http_mtd_main_conf_t   *mmcf;

    mmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_mtd_module);
    cscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_core_module);

    if (conf->mode == NGX_HTTP_MTD_POLICY) {
        conf->policy = ngx_http_mtd_policy_find(mmcf, &conf->name);
    }

    if (conf->mode == NGX_HTTP_MTD_POLICY && conf->policy == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "unknown policy \"%V\" of \"mtd\" in the server in "
                      "%s:%ui, it must be the name of an mtd_policy or off",
                      &conf->name, cscf->file_name, cscf->line);
        return NGX_CONF_ERROR;
    }

    if (conf->store_name.len == 0 && mmcf->stores.nelts == 1) {
        store = mmcf->stores.elts;
        conf->store = store[0];

    } else {
        conf->store = ngx_http_mtd_store_find(mmcf, &conf->store_name);
    }

    if (conf->store == NULL && conf->store_name.len) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "unknown store \"%V\" of \"mtd\" in the server in "
                      "%s:%ui, it must be the name of an mtd_redis",
                      &conf->store_name, cscf->file_name, cscf->line);
        return NGX_CONF_ERROR;
    }

    if (conf->store == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "no store for \"mtd\" in the server in %s:%ui, %s",
                      cscf->file_name, cscf->line,
                      mmcf->stores.nelts ? "with several mtd_redis it needs "
                                           "store=NAME"
                                         : "there is no mtd_redis");
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_mtd_preconfiguration(ngx_conf_t *cf)
{
    return ngx_http_mtd_add_variables(cf);
}


static ngx_int_t
ngx_http_mtd_init(ngx_conf_t *cf)
{
    ngx_uint_t                  i, n;
    ngx_http_handler_pt        *h;
    ngx_http_mtd_main_conf_t   *mmcf;
    ngx_http_core_main_conf_t  *cmcf;

    static struct {
        ngx_uint_t           phase;
        ngx_http_handler_pt  handler;
    } handlers[] = {
        { NGX_HTTP_POST_READ_PHASE, ngx_http_mtd_post_read_handler },
        { NGX_HTTP_PREACCESS_PHASE, ngx_http_mtd_preaccess_handler },

        /* only if a hook wants to be told */

        { NGX_HTTP_LOG_PHASE, ngx_http_mtd_log_handler }
    };

    mmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_mtd_module);
    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    n = sizeof(handlers) / sizeof(handlers[0]) - !mmcf->audited;

    for (i = 0; i < n; i++) {
        h = ngx_array_push(&cmcf->phases[handlers[i].phase].handlers);
        if (h == NULL) {
            return NGX_ERROR;
        }

        *h = handlers[i].handler;
    }

    mmcf->bound = 1;

    if (ngx_http_mtd_hooks_check(cf) != NGX_OK
        || ngx_http_mtd_user_check(cf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (mmcf->gated) {
        ngx_http_mtd_private_init(cf);
    }

    return ngx_http_mtd_stores(cf, mmcf);
}


static ngx_int_t
ngx_http_mtd_init_process(ngx_cycle_t *cycle)
{
    ngx_uint_t                  i;
    ngx_mtd_store_t           **store;
    ngx_http_mtd_main_conf_t   *mmcf;

    if (ngx_process != NGX_PROCESS_WORKER
        && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    mmcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_mtd_module);

    if (mmcf == NULL) {

        /* there is no http {} */

        return NGX_OK;
    }

    store = mmcf->stores.elts;

    for (i = 0; i < mmcf->stores.nelts; i++) {
        if (ngx_http_mtd_open_init(store[i], cycle) != NGX_OK
            || ngx_mtd_store_init_process(store[i], cycle) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static void
ngx_http_mtd_exit_process(ngx_cycle_t *cycle)
{
    ngx_uint_t                  i;
    ngx_mtd_store_t           **store;
    ngx_http_mtd_main_conf_t   *mmcf;

    mmcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_mtd_module);

    if (mmcf == NULL) {
        return;
    }

    ngx_http_mtd_damp_flush();

    store = mmcf->stores.elts;

    for (i = 0; i < mmcf->stores.nelts; i++) {

        /* cache processes run this, too, without having initialised */

        if (store[i]->links.data) {
            ngx_mtd_store_exit_process(store[i]);
        }
    }
}
