
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * Blocks of the configuration: their parameters, with a message for each
 * value that is wrong.  A table of commands has in each "post" an
 * ngx_http_mtd_hint_t, which says what would be right.
 */


#ifndef _NGX_HTTP_MTD_BLOCK_H_INCLUDED_
#define _NGX_HTTP_MTD_BLOCK_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


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


extern ngx_http_mtd_hint_t  ngx_http_mtd_block_time;
extern ngx_http_mtd_hint_t  ngx_http_mtd_block_seconds;
extern ngx_http_mtd_hint_t  ngx_http_mtd_block_switch;


char *ngx_http_mtd_block_parse(ngx_conf_t *cf, ngx_http_mtd_block_t *block);

/* NGX_ERROR after a message if it is no name for a block */

ngx_int_t ngx_http_mtd_block_name(ngx_conf_t *cf, ngx_str_t *name);
ngx_uint_t ngx_http_mtd_block_same(const ngx_str_t *a, const ngx_str_t *b);

/* NGX_CONF_OK, or what is wrong with a text */

char *ngx_http_mtd_block_word(ngx_str_t *value);

/* setters, by the type of the member */

char *ngx_http_mtd_block_text(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_mtd_block_secret(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_mtd_block_number(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_mtd_block_size(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_mtd_block_msec(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_mtd_block_sec(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_mtd_block_enum(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);


#endif /* _NGX_HTTP_MTD_BLOCK_H_INCLUDED_ */
