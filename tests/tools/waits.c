
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * LD_PRELOAD: writes a line into the file MTD_WAITS for what each process
 * does until it connects for the first time: "PID waits" when it waits for an
 * event, and "PID connects".
 */


#define _GNU_SOURCE

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>


typedef int (*wait_t)(int, struct epoll_event *, int, int);
typedef int (*connect_t)(int, const struct sockaddr *, socklen_t);


static pid_t  connected;


static void
note(const char *what)
{
    FILE        *out;
    const char  *path;

    path = getenv("MTD_WAITS");
    out = (path && connected != getpid()) ? fopen(path, "a") : NULL;

    if (out) {
        fprintf(out, "%d %s\n", (int) getpid(), what);
        fclose(out);
    }
}


/* one that returns at once is no wait, nor one by which nginx tries epoll */

int
epoll_wait(int fd, struct epoll_event *events, int n, int timeout)
{
    wait_t  wait;

    if (timeout && n > 1) {
        note("waits");
    }

    wait = (wait_t) dlsym(RTLD_NEXT, "epoll_wait");

    return wait(fd, events, n, timeout);
}


int
connect(int fd, const struct sockaddr *sockaddr, socklen_t len)
{
    connect_t  call;

    note("connects");
    connected = getpid();

    call = (connect_t) dlsym(RTLD_NEXT, "connect");

    return call(fd, sockaddr, len);
}
