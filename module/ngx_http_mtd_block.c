
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include "ngx_http_mtd_block.h"
#include "ngx_mtd_zone.h"


#define NGX_HTTP_MTD_BLOCK_SECRET  4096     /* bytes, at most */


static char *ngx_http_mtd_block_parameter(ngx_conf_t *cf,
    ngx_command_t *dummy, void *conf);
static char *ngx_http_mtd_block_read(ngx_conf_t *cf, ngx_str_t *path,
    ngx_str_t *secret);


static ngx_conf_enum_t  ngx_http_mtd_block_words[] = {
    { ngx_string("on"), 1 },
    { ngx_string("off"), 0 },
    { ngx_null_string, 0 }
};


ngx_http_mtd_hint_t  ngx_http_mtd_block_time = {
    "a time above zero, such as 200ms, 10s, 10m, 4h or 30d", NULL
};


ngx_http_mtd_hint_t  ngx_http_mtd_block_seconds = {
    "a time above zero in whole seconds, such as 10s, 4h or 30d", NULL
};


ngx_http_mtd_hint_t  ngx_http_mtd_block_switch = {
    "on or off", ngx_http_mtd_block_words
};


char *
ngx_http_mtd_block_parse(ngx_conf_t *cf, ngx_http_mtd_block_t *block)
{
    char        *rv;
    ngx_conf_t   save;

    save = *cf;

    cf->handler = ngx_http_mtd_block_parameter;
    cf->handler_conf = (void *) block;

    rv = ngx_conf_parse(cf, NULL);

    *cf = save;

    return rv;
}


static char *
ngx_http_mtd_block_parameter(ngx_conf_t *cf, ngx_command_t *dummy, void *conf)
{
    ngx_http_mtd_block_t *block = conf;

    char                 *rv;
    ngx_str_t            *value;
    ngx_command_t        *cmd;
    ngx_http_mtd_hint_t  *hint;

    value = cf->args->elts;

    for (cmd = block->commands; cmd->name.len; cmd++) {
        if (ngx_http_mtd_block_same(&cmd->name, &value[0])) {
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


char *
ngx_http_mtd_block_text(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char  *p = conf;

    char       *rv;
    ngx_str_t  *field, *value;

    field = (ngx_str_t *) (p + cmd->offset);
    value = cf->args->elts;

    if (field->data) {
        return "is duplicate";
    }

    rv = ngx_http_mtd_block_word(&value[1]);

    if (rv == NGX_CONF_OK) {
        *field = value[1];
    }

    return rv;
}


char *
ngx_http_mtd_block_word(ngx_str_t *value)
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


char *
ngx_http_mtd_block_secret(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
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

    return ngx_http_mtd_block_read(cf, &path, field);
}


static char *
ngx_http_mtd_block_read(ngx_conf_t *cf, ngx_str_t *path, ngx_str_t *secret)
{
    u_char           buf[NGX_HTTP_MTD_BLOCK_SECRET];
    ssize_t          n;
    ngx_fd_t         fd;
    ngx_uint_t       whole;
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

        if (n == -1) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                               ngx_read_fd_n " \"%V\" failed", path);
        }
    }

    (void) ngx_close_file(fd);

    if (n == -1) {
        return NGX_CONF_ERROR;
    }

    whole = n < (ssize_t) sizeof(buf);

    while (n > 0 && (buf[n - 1] == LF || buf[n - 1] == CR)) {
        n--;
    }

    if (n == 0 || !whole || memchr(buf, LF, n) != NULL) {
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


char *
ngx_http_mtd_block_number(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
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


char *
ngx_http_mtd_block_size(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
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


char *
ngx_http_mtd_block_msec(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
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


char *
ngx_http_mtd_block_sec(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
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


char *
ngx_http_mtd_block_enum(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
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
        if (ngx_http_mtd_block_same(&e->name, &value[1])) {
            *field = e->value;
            return NGX_CONF_OK;
        }
    }

    return "is invalid";
}


ngx_int_t
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


ngx_uint_t
ngx_http_mtd_block_same(const ngx_str_t *a, const ngx_str_t *b)
{
    return a->len == b->len && ngx_memcmp(a->data, b->data, a->len) == 0;
}
