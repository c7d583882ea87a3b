
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * The temporary file, from when it is opened until it has taken the place of
 * the state, or has failed to.
 */


#ifndef _NGX_MTD_STATE_FILE_H_INCLUDED_
#define _NGX_MTD_STATE_FILE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_mtd_state.h"


/* NGX_INVALID_FILE: another one writes, or the log says what has failed */

ngx_fd_t ngx_mtd_state_file_open(ngx_mtd_state_t *state);

/* starts the thread; synced is set when it is done */

void ngx_mtd_state_file_sync(ngx_mtd_state_t *state);

/* what it does, for who may wait for the disk */

void *ngx_mtd_state_file_thread(void *data);

/* after it: the state is written, or the log says why not */

ngx_int_t ngx_mtd_state_file_synced(ngx_mtd_state_t *state);

/* gives up what writing needs */

void ngx_mtd_state_file_end(ngx_mtd_state_t *state);

/* the same, with a line in the log; returns NGX_ERROR */

ngx_int_t ngx_mtd_state_file_fail(ngx_mtd_state_t *state, ngx_err_t err,
    const char *what);


#endif /* _NGX_MTD_STATE_FILE_H_INCLUDED_ */
