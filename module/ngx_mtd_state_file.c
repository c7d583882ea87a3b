
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include "ngx_mtd_state_file.h"

#include <sys/file.h>


/*
 * There is one temporary file, so a worker that is killed leaves one at
 * most.  The lock keeps others away that write, too: a second master, or a
 * worker of a zone that a reload has left behind.
 */

ngx_fd_t
ngx_mtd_state_file_open(ngx_mtd_state_t *state)
{
    u_char           *temp;
    ngx_fd_t          fd;
    ngx_err_t         err;
    const char       *what;
    ngx_file_info_t   fi, now;

    temp = state->temp.data;

    fd = open((const char *) temp,
              O_WRONLY|O_CREAT|O_NONBLOCK|O_NOFOLLOW|O_CLOEXEC, 0600);

    if (fd == -1) {
        (void) ngx_mtd_state_file_fail(state, ngx_errno, ngx_open_file_n);
        return NGX_INVALID_FILE;
    }

    if (flock(fd, LOCK_EX|LOCK_NB) == -1) {
        err = ngx_errno;
        what = (err == EWOULDBLOCK) ? NULL : "flock()";
        goto failed;
    }

    /* renamed by who had the lock, it is the state itself now */

    if (ngx_fd_info(fd, &fi) == NGX_FILE_ERROR
        || ngx_file_info(temp, &now) == NGX_FILE_ERROR
        || ngx_file_uniq(&fi) != ngx_file_uniq(&now))
    {
        err = 0;
        what = NULL;
        goto failed;
    }

    /* what is in it is written over, to cut it may take many milliseconds */

    if (fchmod(fd, 0600) == 0
        && lseek(fd, MTD_STATE_HEADER, SEEK_SET) != -1)
    {
        return fd;
    }

    err = ngx_errno;
    what = "fchmod()";

failed:

    (void) ngx_close_file(fd);

    if (what) {
        (void) ngx_mtd_state_file_fail(state, err, what);
    }

    return NGX_INVALID_FILE;
}


/* fsync() may take seconds; a thread that cannot be had is done without */

void
ngx_mtd_state_file_sync(ngx_mtd_state_t *state)
{
    int       err;
    sigset_t  all, before;

    state->synced = 0;

    sigfillset(&all);
    (void) pthread_sigmask(SIG_SETMASK, &all, &before);

    err = pthread_create(&state->thread, NULL, ngx_mtd_state_file_thread,
                         state);

    (void) pthread_sigmask(SIG_SETMASK, &before, NULL);

    state->threaded = (err == 0);

    if (err) {
        (void) ngx_mtd_state_file_thread(state);
    }
}


/* no log, no memory, no time of nginx: these are not for threads */

void *
ngx_mtd_state_file_thread(void *data)
{
    ngx_mtd_state_t *state = data;

    int  dir;

    state->err = 0;

    if (ftruncate(state->fd, lseek(state->fd, 0, SEEK_CUR)) == -1) {
        state->err = ngx_errno;
        state->what = "ftruncate()";

    } else if (fsync(state->fd) == -1) {
        state->err = ngx_errno;
        state->what = "fsync()";

    } else if (ngx_rename_file(state->temp.data, state->path.data)
               == NGX_FILE_ERROR)
    {
        state->err = ngx_errno;
        state->what = ngx_rename_file_n;

    } else {
        dir = open((const char *) state->dir.data,
                   O_RDONLY|O_DIRECTORY|O_CLOEXEC);

        if (dir != -1) {
            (void) fsync(dir);
            (void) close(dir);
        }
    }

    __atomic_store_n(&state->synced, 1, __ATOMIC_RELEASE);

    return NULL;
}


ngx_int_t
ngx_mtd_state_file_synced(ngx_mtd_state_t *state)
{
    ngx_mtd_zone_tasks_t  *tasks;

    if (state->threaded) {
        (void) pthread_join(state->thread, NULL);
        state->threaded = 0;
    }

    if (state->err) {
        return ngx_mtd_state_file_fail(state, state->err, state->what);
    }

    if (state->failed) {
        ngx_log_error(NGX_LOG_NOTICE, state->log, 0,
                      "state \"%V\" of mtd_redis \"%V\" is written again",
                      &state->path, state->store);
        state->failed = NULL;
    }

    state->done = state->begun;

    tasks = state->zone->tasks;

    tasks->written = state->head.wall / 1000;
    tasks->saved = state->head.devices;
    tasks->slice = ngx_max(tasks->slice, state->slice);

    ngx_mtd_state_file_end(state);

    return NGX_OK;
}


void
ngx_mtd_state_file_end(ngx_mtd_state_t *state)
{
    if (state->digest) {
        EVP_MD_CTX_free(state->digest);
        state->digest = NULL;
    }

    if (state->fd != NGX_INVALID_FILE) {
        (void) ngx_close_file(state->fd);
        state->fd = NGX_INVALID_FILE;
    }

    state->stage = NGX_MTD_STATE_IDLE;
}


/* logged once for each change from working to not */

ngx_int_t
ngx_mtd_state_file_fail(ngx_mtd_state_t *state, ngx_err_t err, const char *what)
{
    if (state->failed == NULL) {
        ngx_log_error(NGX_LOG_ERR, state->log, err,
                      "state \"%V\" of mtd_redis \"%V\" cannot be written: "
                      "%s failed", &state->path, state->store, what);
    }

    state->failed = what;

    ngx_mtd_state_file_end(state);

    return NGX_ERROR;
}
