
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/* what is left of nginx's core for targets that have no nginx around them */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "fuzz.h"


static ngx_log_t        fuzz_log;
static ngx_cycle_t      fuzz_cycle = { .log = &fuzz_log };

volatile ngx_cycle_t   *ngx_cycle = &fuzz_cycle;
ngx_uint_t              ngx_pagesize = 4096;
ngx_uint_t              ngx_cacheline_size = 64;


void *
ngx_alloc(size_t size, ngx_log_t *log)
{
    return malloc(size);
}


void *
ngx_calloc(size_t size, ngx_log_t *log)
{
    return calloc(1, size);
}


void *
ngx_memalign(size_t alignment, size_t size, ngx_log_t *log)
{
    return malloc(size);
}


/* the text is put together, so that what it is made of is read */

void
ngx_log_error_core(ngx_uint_t level, ngx_log_t *log, ngx_err_t err,
    const char *fmt, ...)
{
    u_char   text[NGX_MAX_ERROR_STR];
    va_list  args;

    va_start(args, fmt);
    (void) ngx_vslprintf(text, text + sizeof(text), fmt, args);
    va_end(args);
}
