
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include "ngx_http_mtd_module.h"
#include "ngx_http_mtd_block.h"


/* mtd_policy {} as it is written */

typedef struct {
    ngx_uint_t                 max_threat;
    ngx_uint_t                 compliance;
    ngx_uint_t                 grace;
    ngx_uint_t                 missing_threat;
    time_t                     max_age;
    ngx_uint_t                 unknown_device;
    ngx_uint_t                 unidentified;
    ngx_uint_t                 unenrolled;
    ngx_uint_t                 on_threat;
    ngx_uint_t                 on_noncompliant;
    ngx_uint_t                 store_failure;
    ngx_uint_t                 bypass;
    ngx_uint_t                 bind_user;
} ngx_http_mtd_rules_t;


static char *ngx_http_mtd_policy_check(ngx_conf_t *cf,
    ngx_http_mtd_rules_t *rules, ngx_str_t *name);
static ngx_int_t ngx_http_mtd_policy_named(ngx_http_request_t *r,
    ngx_http_mtd_ctx_t *ctx, ngx_http_mtd_loc_conf_t *mlcf);
static void ngx_http_mtd_flush(ngx_http_request_t *r,
    ngx_http_complex_value_t *value);


static ngx_conf_enum_t  ngx_http_mtd_threats[] = {
    { ngx_string("secured"), MTD_THREAT_SECURED },
    { ngx_string("low"), MTD_THREAT_LOW },
    { ngx_string("medium"), MTD_THREAT_MEDIUM },
    { ngx_string("high"), MTD_THREAT_HIGH },
    { ngx_null_string, 0 }
};

static ngx_conf_enum_t  ngx_http_mtd_required[] = {
    { ngx_string("required"), 1 },
    { ngx_string("ignored"), 0 },
    { ngx_null_string, 0 }
};

static ngx_conf_enum_t  ngx_http_mtd_decisions[] = {
    { ngx_string("block"), MTD_BLOCK },
    { ngx_string("remediate"), MTD_REMEDIATE },
    { ngx_string("allow"), MTD_ALLOW },
    { ngx_null_string, 0 }
};

static ngx_conf_enum_t  ngx_http_mtd_refusals[] = {
    { ngx_string("block"), MTD_BLOCK },
    { ngx_string("remediate"), MTD_REMEDIATE },
    { ngx_null_string, 0 }
};

static ngx_conf_enum_t  ngx_http_mtd_failures[] = {
    { ngx_string("block"), MTD_BLOCK },
    { ngx_string("allow"), MTD_ALLOW },
    { ngx_null_string, 0 }
};


static ngx_http_mtd_hint_t  ngx_http_mtd_threat_hint = {
    "secured, low, medium or high", ngx_http_mtd_threats
};

static ngx_http_mtd_hint_t  ngx_http_mtd_required_hint = {
    "required or ignored", ngx_http_mtd_required
};

static ngx_http_mtd_hint_t  ngx_http_mtd_decision_hint = {
    "block, remediate or allow", ngx_http_mtd_decisions
};

static ngx_http_mtd_hint_t  ngx_http_mtd_refusal_hint = {
    "block or remediate", ngx_http_mtd_refusals
};

static ngx_http_mtd_hint_t  ngx_http_mtd_failure_hint = {
    "block or allow", ngx_http_mtd_failures
};


static ngx_command_t  ngx_http_mtd_policy_commands[] = {

    { ngx_string("max_threat"),
      NGX_CONF_TAKE1,
      ngx_http_mtd_block_enum,
      0,
      offsetof(ngx_http_mtd_rules_t, max_threat),
      &ngx_http_mtd_threat_hint },

    { ngx_string("compliance"),
      NGX_CONF_TAKE1,
      ngx_http_mtd_block_enum,
      0,
      offsetof(ngx_http_mtd_rules_t, compliance),
      &ngx_http_mtd_required_hint },

    { ngx_string("grace"),
      NGX_CONF_TAKE1,
      ngx_http_mtd_block_enum,
      0,
      offsetof(ngx_http_mtd_rules_t, grace),
      &ngx_http_mtd_block_switch },

    { ngx_string("missing_threat"),
      NGX_CONF_TAKE1,
      ngx_http_mtd_block_enum,
      0,
      offsetof(ngx_http_mtd_rules_t, missing_threat),
      &ngx_http_mtd_decision_hint },

    { ngx_string("max_age"),
      NGX_CONF_TAKE1,
      ngx_http_mtd_block_sec,
      0,
      offsetof(ngx_http_mtd_rules_t, max_age),
      &ngx_http_mtd_block_seconds },

    { ngx_string("unknown_device"),
      NGX_CONF_TAKE1,
      ngx_http_mtd_block_enum,
      0,
      offsetof(ngx_http_mtd_rules_t, unknown_device),
      &ngx_http_mtd_decision_hint },

    { ngx_string("unidentified"),
      NGX_CONF_TAKE1,
      ngx_http_mtd_block_enum,
      0,
      offsetof(ngx_http_mtd_rules_t, unidentified),
      &ngx_http_mtd_decision_hint },

    { ngx_string("unenrolled"),
      NGX_CONF_TAKE1,
      ngx_http_mtd_block_enum,
      0,
      offsetof(ngx_http_mtd_rules_t, unenrolled),
      &ngx_http_mtd_decision_hint },

    { ngx_string("on_threat"),
      NGX_CONF_TAKE1,
      ngx_http_mtd_block_enum,
      0,
      offsetof(ngx_http_mtd_rules_t, on_threat),
      &ngx_http_mtd_refusal_hint },

    { ngx_string("on_noncompliant"),
      NGX_CONF_TAKE1,
      ngx_http_mtd_block_enum,
      0,
      offsetof(ngx_http_mtd_rules_t, on_noncompliant),
      &ngx_http_mtd_refusal_hint },

    { ngx_string("store_failure"),
      NGX_CONF_TAKE1,
      ngx_http_mtd_block_enum,
      0,
      offsetof(ngx_http_mtd_rules_t, store_failure),
      &ngx_http_mtd_failure_hint },

    { ngx_string("bypass"),
      NGX_CONF_TAKE1,
      ngx_http_mtd_block_enum,
      0,
      offsetof(ngx_http_mtd_rules_t, bypass),
      &ngx_http_mtd_block_switch },

    { ngx_string("bind_user"),
      NGX_CONF_TAKE1,
      ngx_http_mtd_block_enum,
      0,
      offsetof(ngx_http_mtd_rules_t, bind_user),
      &ngx_http_mtd_block_switch },

      ngx_null_command
};


char *
ngx_http_mtd_policy_block(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_mtd_main_conf_t *mmcf = conf;

    char                    *rv;
    ngx_str_t               *value;
    mtd_policy_t            *policy;
    ngx_http_mtd_block_t     block;
    ngx_http_mtd_rules_t     rules;
    ngx_http_mtd_policy_t  **elt;

    value = cf->args->elts;

    if (ngx_http_mtd_block_name(cf, &value[1]) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_mtd_policy_find(mmcf, &value[1])) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "duplicate mtd_policy \"%V\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    elt = ngx_array_push(&mmcf->policies);
    if (elt == NULL) {
        return NGX_CONF_ERROR;
    }

    *elt = ngx_pcalloc(cf->pool, sizeof(ngx_http_mtd_policy_t));
    if (*elt == NULL) {
        return NGX_CONF_ERROR;
    }

    (*elt)->name = value[1];

    /* all of it is NGX_CONF_UNSET in the types of its members */

    ngx_memset(&rules, 0xff, sizeof(ngx_http_mtd_rules_t));

    block.name = "mtd_policy";
    block.commands = ngx_http_mtd_policy_commands;
    block.conf = &rules;

    rv = ngx_http_mtd_block_parse(cf, &block);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    rv = ngx_http_mtd_policy_check(cf, &rules, &(*elt)->name);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    ngx_conf_init_uint_value(rules.max_threat, MTD_THREAT_LOW);
    ngx_conf_init_uint_value(rules.compliance, 1);
    ngx_conf_init_uint_value(rules.grace, 1);
    ngx_conf_init_uint_value(rules.missing_threat, MTD_REMEDIATE);
    ngx_conf_init_value(rules.max_age, 0);
    ngx_conf_init_uint_value(rules.unknown_device, MTD_BLOCK);
    ngx_conf_init_uint_value(rules.unidentified, MTD_BLOCK);
    ngx_conf_init_uint_value(rules.unenrolled, MTD_ALLOW);
    ngx_conf_init_uint_value(rules.on_threat, MTD_REMEDIATE);
    ngx_conf_init_uint_value(rules.on_noncompliant, MTD_REMEDIATE);
    ngx_conf_init_uint_value(rules.store_failure, MTD_BLOCK);
    ngx_conf_init_uint_value(rules.bypass, 1);
    ngx_conf_init_uint_value(rules.bind_user, 0);

    policy = &(*elt)->policy;

    policy->max_threat = rules.max_threat;
    policy->compliance = rules.compliance;
    policy->grace = rules.grace;
    policy->missing_threat = rules.missing_threat;
    policy->max_age = rules.max_age;
    policy->unknown_device = rules.unknown_device;
    policy->unidentified = rules.unidentified;
    policy->unenrolled = rules.unenrolled;
    policy->on_threat = rules.on_threat;
    policy->on_noncompliant = rules.on_noncompliant;
    policy->store_failure = rules.store_failure;
    policy->bypass = rules.bypass;
    policy->bind_user = rules.bind_user;

    mmcf->bind_user |= rules.bind_user;

    return NGX_CONF_OK;
}


/* what is written, and cannot have any effect beside the rest */

static char *
ngx_http_mtd_policy_check(ngx_conf_t *cf, ngx_http_mtd_rules_t *rules,
    ngx_str_t *name)
{
    const char  *idle, *beside;

    idle = NULL;
    beside = "compliance ignored";

    if (rules->missing_threat == MTD_ALLOW
        && rules->max_age != NGX_CONF_UNSET)
    {
        idle = "max_age";
        beside = "missing_threat allow";

    } else if (rules->compliance == 0
               && rules->grace != NGX_CONF_UNSET_UINT)
    {
        idle = "grace";

    } else if (rules->compliance == 0
               && rules->on_noncompliant != NGX_CONF_UNSET_UINT)
    {
        idle = "on_noncompliant";
    }

    if (idle == NULL) {
        return NGX_CONF_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "\"%s\" in mtd_policy \"%V\" would never apply beside "
                       "\"%s\", one of them must go", idle, name, beside);
    return NGX_CONF_ERROR;
}


ngx_http_mtd_policy_t *
ngx_http_mtd_policy_find(ngx_http_mtd_main_conf_t *mmcf, ngx_str_t *name)
{
    ngx_uint_t               i;
    ngx_http_mtd_policy_t  **policy;

    policy = mmcf->policies.elts;

    for (i = 0; i < mmcf->policies.nelts; i++) {
        if (ngx_http_mtd_block_same(&policy[i]->name, name)) {
            return policy[i];
        }
    }

    return NULL;
}


/* of a policy that a variable names, or one that binds devices to users */

mtd_verdict_t
ngx_http_mtd_judge_by(ngx_http_request_t *r, ngx_http_mtd_ctx_t *ctx,
    ngx_http_mtd_loc_conf_t *mlcf, const mtd_record_t *rec)
{
    const char  *why;

    if (mlcf->mode == NGX_HTTP_MTD_POLICY) {
        ctx->policy = mlcf->policy;

    } else {
        ctx->judging = 1;
        ctx->facts.policy_error = (ngx_http_mtd_policy_named(r, ctx, mlcf)
                                   != NGX_OK);
        ctx->judging = 0;
    }

    if (ctx->policy && ctx->policy->policy.bind_user) {
        why = ngx_http_mtd_user_mismatch(ctx, rec);

        if (why) {
            ctx->facts.user_mismatch = 1;
            ctx->why = why;
        }
    }

    return mtd_decide(ctx->policy ? &ctx->policy->policy : NULL, &ctx->facts,
                      rec, ngx_time());
}


/*
 * Evaluated when the record is known: it may decide which policy applies.
 * What a map said of another record, before a redirect, is void.  What was
 * said before any record may live on in a map of a map: nothing tells.
 */

static ngx_int_t
ngx_http_mtd_policy_named(ngx_http_request_t *r, ngx_http_mtd_ctx_t *ctx,
    ngx_http_mtd_loc_conf_t *mlcf)
{
    ngx_str_t                   name;
    ngx_uint_t                  i;
    ngx_http_mtd_policy_t     **policy;
    ngx_http_mtd_main_conf_t   *mmcf;

    ctx->policy = NULL;

    if (ctx->early) {
        ctx->why = "a variable of the device was used before it was known";
        return NGX_ERROR;
    }

    ngx_http_mtd_flush(r, mlcf->variable);

    if (ngx_http_complex_value(r, mlcf->variable, &name) != NGX_OK) {
        return NGX_ERROR;
    }

    if (name.len == 3 && ngx_strncmp(name.data, "off", 3) == 0) {
        ctx->facts.exempt = 1;
        return NGX_OK;
    }

    mmcf = ngx_http_get_module_main_conf(r, ngx_http_mtd_module);
    policy = mmcf->policies.elts;

    for (i = 0; i < mmcf->policies.nelts; i++) {

        if (policy[i]->name.len == name.len
            && ngx_memcmp(policy[i]->name.data, name.data, name.len) == 0)
        {
            ctx->policy = policy[i];
            return NGX_OK;
        }
    }

    ctx->why = "the mtd variable names no policy";

    return NGX_ERROR;
}


static void
ngx_http_mtd_flush(ngx_http_request_t *r, ngx_http_complex_value_t *value)
{
    ngx_uint_t                 *index;
    ngx_http_variable_t        *v;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);
    v = cmcf->variables.elts;

    for (index = value->flushes;
         index && *index != (ngx_uint_t) -1;
         index++)
    {
        /* one made by "set" has its own index as data, and no handler */

        if (v[*index].data != *index) {
            r->variables[*index].valid = 0;
            r->variables[*index].not_found = 0;
        }
    }
}
