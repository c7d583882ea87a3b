
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include "ngx_http_mtd_module.h"
#include "ngx_http_mtd_topology.h"


#define NGX_HTTP_MTD_SECRET_FILE   4096     /* bytes, at most */


/* what a parameter takes, for its error messages */

typedef struct {
    const char                *hint;
    ngx_conf_enum_t           *words;
} ngx_http_mtd_hint_t;


/* a block while it is parsed; what it fills is left unset at first */

typedef struct {
    const char                *name;        /* "mtd_redis" */
    ngx_command_t             *commands;
    void                      *conf;
} ngx_http_mtd_block_t;


/* mtd_redis {} as it is written */

typedef struct {
    ngx_http_mtd_topology_t    topology;
    ngx_str_t                  user;
    ngx_str_t                  password;
    ngx_int_t                  database;
    ngx_str_t                  prefix;
    ngx_str_t                  key_secret;
    size_t                     zone;
    ngx_msec_t                 connect_timeout;
    ngx_msec_t                 timeout;
    ngx_msec_t                 fresh;
    ngx_msec_t                 unknown;
    ngx_msec_t                 stale;
    time_t                     ttl;
    ngx_str_t                  state;
    ngx_uint_t                 preload;
#if (NGX_SSL)
    ngx_uint_t                 ssl;
    ngx_uint_t                 ssl_verify;
    ngx_str_t                  ssl_name;
    ngx_str_t                  ssl_trusted_certificate;
    ngx_str_t                  ssl_certificate;
    ngx_str_t                  ssl_certificate_key;
#endif
} ngx_http_mtd_redis_t;


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


static char *ngx_http_mtd_parse_block(ngx_conf_t *cf,
    ngx_http_mtd_block_t *block);
static char *ngx_http_mtd_parameter(ngx_conf_t *cf, ngx_command_t *dummy,
    void *conf);
static char *ngx_http_mtd_set_text(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_mtd_set_secret(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_mtd_set_number(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_mtd_set_size(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_mtd_set_msec(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_mtd_set_sec(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_mtd_set_word(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_int_t ngx_http_mtd_block_name(ngx_conf_t *cf, ngx_str_t *name);
static char *ngx_http_mtd_store(ngx_conf_t *cf, ngx_mtd_store_t *store,
    ngx_http_mtd_redis_t *redis);
static char *ngx_http_mtd_store_state(ngx_conf_t *cf,
    ngx_mtd_store_t *store, ngx_str_t *path);
static char *ngx_http_mtd_store_times(ngx_conf_t *cf,
    ngx_http_mtd_redis_t *redis);
#if (NGX_SSL)
static char *ngx_http_mtd_store_tls(ngx_conf_t *cf, ngx_mtd_store_t *store,
    ngx_http_mtd_redis_t *redis);
static char *ngx_http_mtd_store_tls_name(ngx_conf_t *cf,
    ngx_mtd_store_t *store, ngx_http_mtd_redis_t *redis);
#endif
static char *ngx_http_mtd_read_secret(ngx_conf_t *cf, ngx_str_t *path,
    ngx_str_t *secret);


static ngx_conf_enum_t  ngx_http_mtd_switch[] = {
    { ngx_string("on"), 1 },
    { ngx_string("off"), 0 },
    { ngx_null_string, 0 }
};

static ngx_conf_enum_t  ngx_http_mtd_reads[] = {
    { ngx_string("master"), 0 },
    { ngx_string("replica"), 1 },
    { ngx_null_string, 0 }
};

static ngx_http_mtd_hint_t  ngx_http_mtd_text_hint = {
    "printable characters without spaces", NULL
};

static ngx_http_mtd_hint_t  ngx_http_mtd_file_hint = {
    "the path of a file, without spaces", NULL
};

static ngx_http_mtd_hint_t  ngx_http_mtd_sentinel_hint = {
    "the master's name and the host:port of each Sentinel", NULL
};

static ngx_http_mtd_hint_t  ngx_http_mtd_read_hint = {
    "master or replica", ngx_http_mtd_reads
};

static ngx_http_mtd_hint_t  ngx_http_mtd_secret_hint = {
    "file:PATH of a file that holds it", NULL
};

static ngx_http_mtd_hint_t  ngx_http_mtd_database_hint = {
    "a number from 0 to 65535", NULL
};

static ngx_http_mtd_hint_t  ngx_http_mtd_zone_hint = {
    "a size of at least 256k, such as 128m", NULL
};

static ngx_http_mtd_hint_t  ngx_http_mtd_time_hint = {
    "a time above zero, such as 200ms, 10s, 10m, 4h or 30d", NULL
};

static ngx_http_mtd_hint_t  ngx_http_mtd_switch_hint = {
    "on or off", ngx_http_mtd_switch
};


static ngx_command_t  ngx_http_mtd_redis_commands[] = {

    { ngx_string("server"),
      NGX_CONF_TAKE1,
      ngx_http_mtd_set_server,
      0,
      offsetof(ngx_http_mtd_redis_t, topology.servers),
      &ngx_http_mtd_text_hint },

    { ngx_string("sentinel"),
      NGX_CONF_2MORE,
      ngx_http_mtd_set_sentinel,
      0,
      offsetof(ngx_http_mtd_redis_t, topology),
      &ngx_http_mtd_sentinel_hint },

    { ngx_string("sentinel_user"),
      NGX_CONF_TAKE1,
      ngx_http_mtd_set_text,
      0,
      offsetof(ngx_http_mtd_redis_t, topology.sentinel_user),
      &ngx_http_mtd_text_hint },

    { ngx_string("sentinel_password"),
      NGX_CONF_TAKE1,
      ngx_http_mtd_set_secret,
      0,
      offsetof(ngx_http_mtd_redis_t, topology.sentinel_password),
      &ngx_http_mtd_secret_hint },

    { ngx_string("cluster"),
      NGX_CONF_TAKE1,
      ngx_http_mtd_set_word,
      0,
      offsetof(ngx_http_mtd_redis_t, topology.cluster),
      &ngx_http_mtd_switch_hint },

    { ngx_string("read"),
      NGX_CONF_TAKE1,
      ngx_http_mtd_set_word,
      0,
      offsetof(ngx_http_mtd_redis_t, topology.read),
      &ngx_http_mtd_read_hint },

    { ngx_string("user"),
      NGX_CONF_TAKE1,
      ngx_http_mtd_set_text,
      0,
      offsetof(ngx_http_mtd_redis_t, user),
      &ngx_http_mtd_text_hint },

    { ngx_string("password"),
      NGX_CONF_TAKE1,
      ngx_http_mtd_set_secret,
      0,
      offsetof(ngx_http_mtd_redis_t, password),
      &ngx_http_mtd_secret_hint },

    { ngx_string("database"),
      NGX_CONF_TAKE1,
      ngx_http_mtd_set_number,
      0,
      offsetof(ngx_http_mtd_redis_t, database),
      &ngx_http_mtd_database_hint },

    { ngx_string("prefix"),
      NGX_CONF_TAKE1,
      ngx_http_mtd_set_text,
      0,
      offsetof(ngx_http_mtd_redis_t, prefix),
      &ngx_http_mtd_text_hint },

    { ngx_string("key_secret"),
      NGX_CONF_TAKE1,
      ngx_http_mtd_set_secret,
      0,
      offsetof(ngx_http_mtd_redis_t, key_secret),
      &ngx_http_mtd_secret_hint },

    { ngx_string("zone"),
      NGX_CONF_TAKE1,
      ngx_http_mtd_set_size,
      0,
      offsetof(ngx_http_mtd_redis_t, zone),
      &ngx_http_mtd_zone_hint },

    { ngx_string("connect_timeout"),
      NGX_CONF_TAKE1,
      ngx_http_mtd_set_msec,
      0,
      offsetof(ngx_http_mtd_redis_t, connect_timeout),
      &ngx_http_mtd_time_hint },

    { ngx_string("timeout"),
      NGX_CONF_TAKE1,
      ngx_http_mtd_set_msec,
      0,
      offsetof(ngx_http_mtd_redis_t, timeout),
      &ngx_http_mtd_time_hint },

    { ngx_string("fresh"),
      NGX_CONF_TAKE1,
      ngx_http_mtd_set_msec,
      0,
      offsetof(ngx_http_mtd_redis_t, fresh),
      &ngx_http_mtd_time_hint },

    { ngx_string("unknown"),
      NGX_CONF_TAKE1,
      ngx_http_mtd_set_msec,
      0,
      offsetof(ngx_http_mtd_redis_t, unknown),
      &ngx_http_mtd_time_hint },

    { ngx_string("stale"),
      NGX_CONF_TAKE1,
      ngx_http_mtd_set_msec,
      0,
      offsetof(ngx_http_mtd_redis_t, stale),
      &ngx_http_mtd_time_hint },

    { ngx_string("ttl"),
      NGX_CONF_TAKE1,
      ngx_http_mtd_set_sec,
      0,
      offsetof(ngx_http_mtd_redis_t, ttl),
      &ngx_http_mtd_time_hint },

    { ngx_string("state"),
      NGX_CONF_TAKE1,
      ngx_http_mtd_set_text,
      0,
      offsetof(ngx_http_mtd_redis_t, state),
      &ngx_http_mtd_file_hint },

    { ngx_string("preload"),
      NGX_CONF_TAKE1,
      ngx_http_mtd_set_word,
      0,
      offsetof(ngx_http_mtd_redis_t, preload),
      &ngx_http_mtd_switch_hint },

#if (NGX_SSL)

    { ngx_string("ssl"),
      NGX_CONF_TAKE1,
      ngx_http_mtd_set_word,
      0,
      offsetof(ngx_http_mtd_redis_t, ssl),
      &ngx_http_mtd_switch_hint },

    { ngx_string("ssl_verify"),
      NGX_CONF_TAKE1,
      ngx_http_mtd_set_word,
      0,
      offsetof(ngx_http_mtd_redis_t, ssl_verify),
      &ngx_http_mtd_switch_hint },

    { ngx_string("ssl_name"),
      NGX_CONF_TAKE1,
      ngx_http_mtd_set_text,
      0,
      offsetof(ngx_http_mtd_redis_t, ssl_name),
      &ngx_http_mtd_text_hint },

    { ngx_string("ssl_trusted_certificate"),
      NGX_CONF_TAKE1,
      ngx_http_mtd_set_text,
      0,
      offsetof(ngx_http_mtd_redis_t, ssl_trusted_certificate),
      &ngx_http_mtd_text_hint },

    { ngx_string("ssl_certificate"),
      NGX_CONF_TAKE1,
      ngx_http_mtd_set_text,
      0,
      offsetof(ngx_http_mtd_redis_t, ssl_certificate),
      &ngx_http_mtd_text_hint },

    { ngx_string("ssl_certificate_key"),
      NGX_CONF_TAKE1,
      ngx_http_mtd_set_text,
      0,
      offsetof(ngx_http_mtd_redis_t, ssl_certificate_key),
      &ngx_http_mtd_text_hint },

#endif

      ngx_null_command
};


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
      ngx_http_mtd_set_word,
      0,
      offsetof(ngx_http_mtd_rules_t, max_threat),
      &ngx_http_mtd_threat_hint },

    { ngx_string("compliance"),
      NGX_CONF_TAKE1,
      ngx_http_mtd_set_word,
      0,
      offsetof(ngx_http_mtd_rules_t, compliance),
      &ngx_http_mtd_required_hint },

    { ngx_string("grace"),
      NGX_CONF_TAKE1,
      ngx_http_mtd_set_word,
      0,
      offsetof(ngx_http_mtd_rules_t, grace),
      &ngx_http_mtd_switch_hint },

    { ngx_string("missing_threat"),
      NGX_CONF_TAKE1,
      ngx_http_mtd_set_word,
      0,
      offsetof(ngx_http_mtd_rules_t, missing_threat),
      &ngx_http_mtd_decision_hint },

    { ngx_string("max_age"),
      NGX_CONF_TAKE1,
      ngx_http_mtd_set_sec,
      0,
      offsetof(ngx_http_mtd_rules_t, max_age),
      &ngx_http_mtd_time_hint },

    { ngx_string("unknown_device"),
      NGX_CONF_TAKE1,
      ngx_http_mtd_set_word,
      0,
      offsetof(ngx_http_mtd_rules_t, unknown_device),
      &ngx_http_mtd_decision_hint },

    { ngx_string("unidentified"),
      NGX_CONF_TAKE1,
      ngx_http_mtd_set_word,
      0,
      offsetof(ngx_http_mtd_rules_t, unidentified),
      &ngx_http_mtd_decision_hint },

    { ngx_string("unenrolled"),
      NGX_CONF_TAKE1,
      ngx_http_mtd_set_word,
      0,
      offsetof(ngx_http_mtd_rules_t, unenrolled),
      &ngx_http_mtd_decision_hint },

    { ngx_string("on_threat"),
      NGX_CONF_TAKE1,
      ngx_http_mtd_set_word,
      0,
      offsetof(ngx_http_mtd_rules_t, on_threat),
      &ngx_http_mtd_refusal_hint },

    { ngx_string("on_noncompliant"),
      NGX_CONF_TAKE1,
      ngx_http_mtd_set_word,
      0,
      offsetof(ngx_http_mtd_rules_t, on_noncompliant),
      &ngx_http_mtd_refusal_hint },

    { ngx_string("store_failure"),
      NGX_CONF_TAKE1,
      ngx_http_mtd_set_word,
      0,
      offsetof(ngx_http_mtd_rules_t, store_failure),
      &ngx_http_mtd_failure_hint },

    { ngx_string("bypass"),
      NGX_CONF_TAKE1,
      ngx_http_mtd_set_word,
      0,
      offsetof(ngx_http_mtd_rules_t, bypass),
      &ngx_http_mtd_switch_hint },

    { ngx_string("bind_user"),
      NGX_CONF_TAKE1,
      ngx_http_mtd_set_word,
      0,
      offsetof(ngx_http_mtd_rules_t, bind_user),
      &ngx_http_mtd_switch_hint },

      ngx_null_command
};


static char *
ngx_http_mtd_parse_block(ngx_conf_t *cf, ngx_http_mtd_block_t *block)
{
    char        *rv;
    ngx_conf_t   save;

    save = *cf;

    cf->handler = ngx_http_mtd_parameter;
    cf->handler_conf = (void *) block;

    rv = ngx_conf_parse(cf, NULL);

    *cf = save;

    return rv;
}


static char *
ngx_http_mtd_parameter(ngx_conf_t *cf, ngx_command_t *dummy, void *conf)
{
    ngx_http_mtd_block_t *block = conf;

    char                 *rv;
    ngx_str_t            *value;
    ngx_command_t        *cmd;
    ngx_http_mtd_hint_t  *hint;

    value = cf->args->elts;

    for (cmd = block->commands; cmd->name.len; cmd++) {
        if (cmd->name.len == value[0].len
            && ngx_memcmp(cmd->name.data, value[0].data, value[0].len) == 0)
        {
            break;
        }
    }

    if (cmd->name.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "unknown parameter \"%V\" in %s", &value[0],
                           block->name);
        return NGX_CONF_ERROR;
    }

    hint = cmd->post;

    if (cmd->type == NGX_CONF_TAKE1 ? cf->args->nelts != 2
                                    : cf->args->nelts < 3)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" in %s takes %s: %s", &value[0],
                           block->name, cmd->type == NGX_CONF_TAKE1
                                        ? "one value" : "two values or more",
                           hint->hint);
        return NGX_CONF_ERROR;
    }

    rv = cmd->set(cf, cmd, block->conf);

    if (rv == NGX_CONF_OK || rv == NGX_CONF_ERROR) {
        return rv;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "\"%V\" of \"%V\" in %s %s; it must be %s", &value[1],
                       &value[0], block->name, rv, hint->hint);

    return NGX_CONF_ERROR;
}


static char *
ngx_http_mtd_set_text(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char  *p = conf;

    char       *rv;
    ngx_str_t  *field, *value;

    field = (ngx_str_t *) (p + cmd->offset);
    value = cf->args->elts;

    if (field->data) {
        return "is duplicate";
    }

    rv = ngx_http_mtd_text(&value[1]);

    if (rv == NGX_CONF_OK) {
        *field = value[1];
    }

    return rv;
}


char *
ngx_http_mtd_text(ngx_str_t *value)
{
    size_t  i;

    if (value->len == 0) {
        return "is empty";
    }

    for (i = 0; i < value->len; i++) {
        if (value->data[i] <= 0x20 || value->data[i] >= 0x7f) {
            return "is invalid";
        }
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_mtd_set_secret(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char  *p = conf;

    ngx_str_t  *field, *value, path;

    field = (ngx_str_t *) (p + cmd->offset);
    value = cf->args->elts;

    if (field->data) {
        return "is duplicate";
    }

    if (value[1].len <= 5 || ngx_strncmp(value[1].data, "file:", 5) != 0) {

        /* the value is not shown: it may be the secret itself */

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" must be file:PATH of a file that holds "
                           "the secret, which does not belong here",
                           &value[0]);
        return NGX_CONF_ERROR;
    }

    path.data = value[1].data + 5;
    path.len = value[1].len - 5;

    if (ngx_conf_full_name(cf->cycle, &path, 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return ngx_http_mtd_read_secret(cf, &path, field);
}


static char *
ngx_http_mtd_read_secret(ngx_conf_t *cf, ngx_str_t *path, ngx_str_t *secret)
{
    u_char           buf[NGX_HTTP_MTD_SECRET_FILE];
    ssize_t          n;
    ngx_fd_t         fd;
    ngx_file_info_t  fi;

    fd = ngx_open_file(path->data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_open_file_n " \"%V\" failed", path);
        return NGX_CONF_ERROR;
    }

    n = -1;

    if (ngx_fd_info(fd, &fi) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_fd_info_n " \"%V\" failed", path);

    } else if (ngx_file_access(&fi) & 07) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" is open to everybody, its mode must not "
                           "give others any right: chmod o= it", path);

    } else {
        n = ngx_read_fd(fd, buf, sizeof(buf));
    }

    (void) ngx_close_file(fd);

    if (n == -1) {
        return NGX_CONF_ERROR;
    }

    while (n > 0 && (buf[n - 1] == LF || buf[n - 1] == CR)) {
        n--;
    }

    if (n == 0 || n == sizeof(buf)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" must hold a secret of one line", path);
        return NGX_CONF_ERROR;
    }

    secret->data = ngx_pnalloc(cf->pool, n);
    if (secret->data == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memcpy(secret->data, buf, n);
    secret->len = n;

    ngx_explicit_memzero(buf, n);

    return NGX_CONF_OK;
}


static char *
ngx_http_mtd_set_number(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char  *p = conf;

    ngx_int_t  *field, n;
    ngx_str_t  *value;

    field = (ngx_int_t *) (p + cmd->offset);
    value = cf->args->elts;

    if (*field != NGX_CONF_UNSET) {
        return "is duplicate";
    }

    n = ngx_atoi(value[1].data, value[1].len);

    if (n == NGX_ERROR || n > 65535) {
        return "is invalid";
    }

    *field = n;

    return NGX_CONF_OK;
}


static char *
ngx_http_mtd_set_size(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char  *p = conf;

    size_t     *field;
    ssize_t     size;
    ngx_str_t  *value;

    field = (size_t *) (p + cmd->offset);
    value = cf->args->elts;

    if (*field != NGX_CONF_UNSET_SIZE) {
        return "is duplicate";
    }

    size = ngx_parse_size(&value[1]);

    if (size == NGX_ERROR) {
        return "is invalid";
    }

    if (size < NGX_MTD_ZONE_MIN) {
        return "is too small";
    }

    *field = size;

    return NGX_CONF_OK;
}


static char *
ngx_http_mtd_set_msec(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char  *p = conf;

    ngx_int_t    n;
    ngx_str_t   *value;
    ngx_msec_t  *field;

    field = (ngx_msec_t *) (p + cmd->offset);
    value = cf->args->elts;

    if (*field != NGX_CONF_UNSET_MSEC) {
        return "is duplicate";
    }

    n = ngx_parse_time(&value[1], 0);

    if (n == NGX_ERROR || n == 0) {
        return "is invalid";
    }

    *field = n;

    return NGX_CONF_OK;
}


static char *
ngx_http_mtd_set_sec(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char  *p = conf;

    time_t     *field;
    ngx_int_t   n;
    ngx_str_t  *value;

    field = (time_t *) (p + cmd->offset);
    value = cf->args->elts;

    if (*field != NGX_CONF_UNSET) {
        return "is duplicate";
    }

    n = ngx_parse_time(&value[1], 1);

    if (n == NGX_ERROR || n == 0 || n > UINT32_MAX) {
        return "is invalid";
    }

    *field = n;

    return NGX_CONF_OK;
}


static char *
ngx_http_mtd_set_word(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char  *p = conf;

    ngx_str_t            *value;
    ngx_uint_t           *field;
    ngx_conf_enum_t      *e;
    ngx_http_mtd_hint_t  *hint;

    hint = cmd->post;
    field = (ngx_uint_t *) (p + cmd->offset);
    value = cf->args->elts;

    if (*field != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    for (e = hint->words; e->name.len; e++) {
        if (e->name.len == value[1].len
            && ngx_memcmp(e->name.data, value[1].data, value[1].len) == 0)
        {
            *field = e->value;
            return NGX_CONF_OK;
        }
    }

    return "is invalid";
}


static ngx_int_t
ngx_http_mtd_block_name(ngx_conf_t *cf, ngx_str_t *name)
{
    u_char  ch;
    size_t  i;

    for (i = 0; i < name->len; i++) {
        ch = name->data[i];

        if ((ch < 'a' || ch > 'z') && (ch < 'A' || ch > 'Z')
            && (ch < '0' || ch > '9') && ch != '_' && ch != '-')
        {
            break;
        }
    }

    if (i == 0 || i < name->len || name->len > 64
        || (name->len == 3 && ngx_strncmp(name->data, "off", 3) == 0))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid name \"%V\", it must be 1 to 64 letters, "
                           "digits, \"_\" and \"-\", and not \"off\"", name);
        return NGX_ERROR;
    }

    return NGX_OK;
}


char *
ngx_http_mtd_redis_block(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_mtd_main_conf_t *mmcf = conf;

    char                  *rv;
    ngx_str_t             *value;
    ngx_uint_t             i;
    ngx_mtd_store_t      **elt, *store;
    ngx_http_mtd_block_t   block;
    ngx_http_mtd_redis_t   redis;

    value = cf->args->elts;
    elt = mmcf->stores.elts;

    if (ngx_http_mtd_block_name(cf, &value[1]) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    for (i = 0; i < mmcf->stores.nelts; i++) {
        if (elt[i]->name.len == value[1].len
            && ngx_memcmp(elt[i]->name.data, value[1].data, value[1].len)
               == 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "duplicate mtd_redis \"%V\"", &value[1]);
            return NGX_CONF_ERROR;
        }
    }

    store = ngx_pcalloc(cf->pool, sizeof(ngx_mtd_store_t));
    elt = ngx_array_push(&mmcf->stores);

    if (store == NULL || elt == NULL) {
        return NGX_CONF_ERROR;
    }

    *elt = store;
    store->name = value[1];

    ngx_memzero(&redis, sizeof(ngx_http_mtd_redis_t));

    if (ngx_http_mtd_topology_init(cf, &redis.topology) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    redis.database = NGX_CONF_UNSET;
    redis.zone = NGX_CONF_UNSET_SIZE;
    redis.connect_timeout = NGX_CONF_UNSET_MSEC;
    redis.timeout = NGX_CONF_UNSET_MSEC;
    redis.fresh = NGX_CONF_UNSET_MSEC;
    redis.unknown = NGX_CONF_UNSET_MSEC;
    redis.stale = NGX_CONF_UNSET_MSEC;
    redis.ttl = NGX_CONF_UNSET;
    redis.preload = NGX_CONF_UNSET_UINT;
#if (NGX_SSL)
    redis.ssl = NGX_CONF_UNSET_UINT;
    redis.ssl_verify = NGX_CONF_UNSET_UINT;
#endif

    block.name = "mtd_redis";
    block.commands = ngx_http_mtd_redis_commands;
    block.conf = &redis;

    rv = ngx_http_mtd_parse_block(cf, &block);

    return rv == NGX_CONF_OK ? ngx_http_mtd_store(cf, store, &redis) : rv;
}


static char *
ngx_http_mtd_store(ngx_conf_t *cf, ngx_mtd_store_t *store,
    ngx_http_mtd_redis_t *redis)
{
    ngx_conf_init_value(redis->database, 0);
    ngx_conf_init_size_value(redis->zone, 32 * 1024 * 1024);
    ngx_conf_init_msec_value(redis->connect_timeout, 1000);
    ngx_conf_init_msec_value(redis->timeout, 200);
    ngx_conf_init_msec_value(redis->fresh, 600000);
    ngx_conf_init_msec_value(redis->unknown, 10000);
    ngx_conf_init_msec_value(redis->stale, 4 * 3600 * 1000);
    ngx_conf_init_value(redis->ttl, 30 * 86400);
    ngx_conf_init_uint_value(redis->preload, 0);

    if (redis->prefix.data == NULL) {
        ngx_str_set(&redis->prefix, "mtd:");
    }

    if (redis->prefix.len > MTD_PREFIX_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"prefix\" of mtd_redis \"%V\" is longer than "
                           "%d characters", &store->name, MTD_PREFIX_MAX);
        return NGX_CONF_ERROR;
    }

    if (redis->user.len && redis->password.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "mtd_redis \"%V\" has a \"user\" but no "
                           "\"password\"", &store->name);
        return NGX_CONF_ERROR;
    }

    if (redis->key_secret.data
        && (redis->key_secret.len < MTD_SECRET_MIN
            || redis->key_secret.len > MTD_SECRET_MAX))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"key_secret\" of mtd_redis \"%V\" must have "
                           "%d to %d bytes", &store->name, MTD_SECRET_MIN,
                           MTD_SECRET_MAX);
        return NGX_CONF_ERROR;
    }

    if (ngx_http_mtd_store_times(cf, redis) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

    store->names.prefix.len = redis->prefix.len;
    store->names.prefix.data = redis->prefix.data;
    store->names.secret.len = redis->key_secret.len;
    store->names.secret.data = redis->key_secret.data;

    store->zone_size = redis->zone;
    store->fresh = redis->fresh;
    store->unknown = redis->unknown;
    store->stale = redis->stale;
    store->ttl = redis->ttl;
    store->preload.on = redis->preload;

    store->redis_conf.user = redis->user;
    store->redis_conf.password = redis->password;
    store->redis_conf.database = redis->database;
    store->redis_conf.connect_timeout = redis->connect_timeout;
    store->redis_conf.timeout = redis->timeout;

    if (redis->state.len
        && ngx_http_mtd_store_state(cf, store, &redis->state) != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_mtd_topology(cf, store, &redis->topology) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

#if (NGX_SSL)
    return ngx_http_mtd_store_tls(cf, store, redis);
#else
    return NGX_CONF_OK;
#endif
}


static char *
ngx_http_mtd_store_state(ngx_conf_t *cf, ngx_mtd_store_t *store,
    ngx_str_t *path)
{
    ngx_str_t                  *other;
    ngx_uint_t                  i;
    ngx_mtd_store_t           **stores;
    ngx_http_mtd_main_conf_t   *mmcf;

    store->state.path = *path;
    store->state.store = &store->name;

    if (ngx_mtd_state_conf(cf, &store->state) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    mmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_mtd_module);
    stores = mmcf->stores.elts;
    path = &store->state.path;

    for (i = 0; i < mmcf->stores.nelts; i++) {
        other = &stores[i]->state.path;

        if (stores[i] != store && other->len == path->len
            && ngx_memcmp(other->data, path->data, path->len) == 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"%V\" is the \"state\" of mtd_redis \"%V\" "
                               "and \"%V\"; each must have a file of its own",
                               path, &stores[i]->name, &store->name);
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_mtd_store_times(ngx_conf_t *cf, ngx_http_mtd_redis_t *redis)
{
    if (redis->stale < redis->fresh) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"stale\" (%Mms) must not be less than \"fresh\" "
                           "(%Mms): a record serves longer, not shorter, "
                           "while redis is away",
                           redis->stale, redis->fresh);
        return NGX_CONF_ERROR;
    }

    if (redis->stale / 1000 > (ngx_msec_t) redis->ttl) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"stale\" (%Ms) must not be more than \"ttl\" "
                           "(%Ts): a record must not outlive its key",
                           redis->stale / 1000, redis->ttl);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


#if (NGX_SSL)

static char *
ngx_http_mtd_store_tls(ngx_conf_t *cf, ngx_mtd_store_t *store,
    ngx_http_mtd_redis_t *redis)
{
    ngx_mtd_tls_t  *tls;

    ngx_conf_init_uint_value(redis->ssl, 0);

    if (!redis->ssl) {
        if (redis->ssl_verify == NGX_CONF_UNSET_UINT
            && redis->ssl_name.len == 0
            && redis->ssl_trusted_certificate.len == 0
            && redis->ssl_certificate.len == 0
            && redis->ssl_certificate_key.len == 0)
        {
            return NGX_CONF_OK;
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "mtd_redis \"%V\" has parameters of TLS, but no "
                           "\"ssl on\"", &store->name);
        return NGX_CONF_ERROR;
    }

    ngx_conf_init_uint_value(redis->ssl_verify, 1);

    if ((redis->ssl_certificate.len == 0)
        != (redis->ssl_certificate_key.len == 0))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "mtd_redis \"%V\" must have both of "
                           "\"ssl_certificate\" and "
                           "\"ssl_certificate_key\", or none", &store->name);
        return NGX_CONF_ERROR;
    }

    if (redis->ssl_verify && redis->ssl_trusted_certificate.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "mtd_redis \"%V\" verifies its server and needs "
                           "\"ssl_trusted_certificate\", a file of the CAs "
                           "that may have signed its certificate",
                           &store->name);
        return NGX_CONF_ERROR;
    }

    tls = ngx_pcalloc(cf->pool, sizeof(ngx_mtd_tls_t));
    if (tls == NULL) {
        return NGX_CONF_ERROR;
    }

    tls->verify = redis->ssl_verify;
    store->redis_conf.tls = tls;

    if (ngx_http_mtd_store_tls_name(cf, store, redis) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

    if (ngx_mtd_tls_create(cf, tls, &redis->ssl_trusted_certificate,
                           &redis->ssl_certificate,
                           &redis->ssl_certificate_key)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return ngx_http_mtd_topology_secure(cf, store) == NGX_OK
           ? NGX_CONF_OK : NGX_CONF_ERROR;
}


/* the name in the certificate is that of "server" unless it is given */

static char *
ngx_http_mtd_store_tls_name(ngx_conf_t *cf, ngx_mtd_store_t *store,
    ngx_http_mtd_redis_t *redis)
{
    u_char     *p;
    ngx_str_t   name, *server;

    name = redis->ssl_name;
    server = &store->redis_conf.name;

    if (name.len == 0
        && (server->len < 5 || ngx_strncmp(server->data, "unix:", 5) != 0))
    {
        name = store->redis_conf.host;
    }

    if (name.len == 0 && (store->sentinel_conf.n || store->cluster_conf.n)) {

        /* each server has its own */

        return NGX_CONF_OK;
    }

    if (name.len == 0 && redis->ssl_verify) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "mtd_redis \"%V\" verifies its server and needs "
                           "\"ssl_name\", because a socket has no name",
                           &store->name);
        return NGX_CONF_ERROR;
    }

    if (name.len > 2 && name.data[0] == '[') {
        name.data++;
        name.len -= 2;
    }

    p = ngx_pnalloc(cf->pool, name.len + 1);
    if (p == NULL) {
        return NGX_CONF_ERROR;
    }

    (void) ngx_cpystrn(p, name.data, name.len + 1);

    store->redis_conf.tls->name.data = p;
    store->redis_conf.tls->name.len = name.len;

    return NGX_CONF_OK;
}

#endif


ngx_int_t
ngx_http_mtd_conf_stores(ngx_conf_t *cf, ngx_http_mtd_main_conf_t *mmcf)
{
    ngx_uint_t         i;
    ngx_mtd_store_t  **store;

    store = mmcf->stores.elts;

    for (i = 0; i < mmcf->stores.nelts; i++) {
        if (ngx_http_mtd_topology_resolve(cf, store[i]) != NGX_OK
            || ngx_mtd_store_add_zone(cf, store[i], mmcf->kinds.elts,
                                      mmcf->kinds.nelts, &ngx_http_mtd_module)
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


char *
ngx_http_mtd_policy_block(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_mtd_main_conf_t *mmcf = conf;

    char                    *rv;
    ngx_str_t               *value;
    ngx_uint_t               i;
    mtd_policy_t            *policy;
    ngx_http_mtd_block_t     block;
    ngx_http_mtd_rules_t     rules;
    ngx_http_mtd_policy_t  **elt;

    value = cf->args->elts;
    elt = mmcf->policies.elts;

    if (ngx_http_mtd_block_name(cf, &value[1]) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    for (i = 0; i < mmcf->policies.nelts; i++) {
        if (elt[i]->name.len == value[1].len
            && ngx_memcmp(elt[i]->name.data, value[1].data, value[1].len)
               == 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "duplicate mtd_policy \"%V\"", &value[1]);
            return NGX_CONF_ERROR;
        }
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

    rv = ngx_http_mtd_parse_block(cf, &block);
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
