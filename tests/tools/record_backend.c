
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * record_backend SOCKET FILE [line]: a server on a unix socket that writes
 * down each request before it answers 200: its length in a line, then its
 * bytes; with "line" the value of X-Seq, a tab and the request line.
 */


#define _GNU_SOURCE

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>


#define BUFFER  (256 * 1024)
#define EVENTS  64


typedef struct {
    int      fd;
    size_t   len;
    char     buf[BUFFER];
} conn_t;


static int  record;
static int  line_only;


static void
stop(const char *why)
{
    fprintf(stderr, "record_backend: %s: %s\n", why, strerror(errno));
    exit(1);
}


static void
put(int fd, const char *p, size_t len)
{
    if (write(fd, p, len) != (ssize_t) len) {
        stop("write");
    }
}


/* the value of a header in [head, last), or NULL */

static const char *
header(const char *head, const char *last, const char *name, size_t *len)
{
    const char  *p, *end;
    size_t       n;

    n = strlen(name);

    for (p = head; p < last; p = end + 2) {
        end = memmem(p, last - p, "\r\n", 2);

        if (end == NULL) {
            return NULL;
        }

        if ((size_t) (end - p) > n + 1 && strncasecmp(p, name, n) == 0
            && p[n] == ':')
        {
            for (p += n + 1; p < end && *p == ' '; p++) { /* void */ }

            *len = end - p;
            return p;
        }
    }

    return NULL;
}


static void
write_down(const char *head, const char *body, const char *last)
{
    char         line[32];
    size_t       len;
    const char  *p, *end;

    if (!line_only) {
        put(record, line, sprintf(line, "%zu\n", (size_t) (last - head)));
        put(record, head, last - head);
        return;
    }

    p = header(head, body, "X-Seq", &len);

    if (p) {
        snprintf(line, sizeof(line), "%.*s", (int) len, p);

    } else {
        strcpy(line, "-");
    }

    end = memmem(head, body - head, "\r\n", 2);

    if (dprintf(record, "%s\t%.*s\n", line, (int) (end - head), head) < 0) {
        stop("write");
    }
}


/* answers what is complete; 0: close */

static int
answer(conn_t *c)
{
    char        *head, *body, *last;
    size_t       len, need;
    const char  *p;

    static const char  ok[] = "HTTP/1.1 200 OK\r\nX-Backend: 1\r\n"
                              "Content-Length: 0\r\n\r\n";

    last = c->buf + c->len;

    for (head = c->buf; head < last; head = body + need) {

        body = memmem(head, last - head, "\r\n\r\n", 4);

        if (body == NULL) {
            break;
        }

        body += 4;

        p = header(head, body, "Content-Length", &len);
        need = p ? strtoul(p, NULL, 10) : 0;

        if ((size_t) (last - body) < need) {
            break;
        }

        write_down(head, body, body + need);
        put(c->fd, ok, sizeof(ok) - 1);

        p = header(head, body, "Connection", &len);

        if (p && strncasecmp(p, "close", 5) == 0) {
            return 0;
        }
    }

    c->len -= head - c->buf;
    memmove(c->buf, head, c->len);

    return c->len < BUFFER;
}


static void
take(int ep, int listener)
{
    conn_t              *c;
    struct epoll_event   ev;

    c = malloc(sizeof(conn_t));

    if (c == NULL) {
        stop("malloc");
    }

    c->len = 0;
    c->fd = accept(listener, NULL, NULL);

    if (c->fd < 0) {
        free(c);
        return;
    }

    ev.events = EPOLLIN;
    ev.data.ptr = c;

    if (epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &ev) != 0) {
        stop("epoll_ctl");
    }
}


static int
listen_at(const char *path)
{
    int                 fd;
    struct sockaddr_un  sun;

    memset(&sun, 0, sizeof(sun));
    sun.sun_family = AF_UNIX;
    snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", path);

    fd = socket(AF_UNIX, SOCK_STREAM, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *) &sun, sizeof(sun)) != 0
        || chmod(path, 0777) != 0 || listen(fd, 4096) != 0)
    {
        stop(path);
    }

    return fd;
}


int
main(int argc, char **argv)
{
    int                  ep, fd, i, n;
    conn_t              *c;
    ssize_t              got;
    struct epoll_event   ev, events[EVENTS];

    if (argc < 3) {
        errno = EINVAL;
        stop("usage: record_backend SOCKET FILE [line]");
    }

    line_only = (argc > 3);
    record = open(argv[2], O_WRONLY|O_CREAT|O_APPEND, 0600);

    if (record < 0) {
        stop(argv[2]);
    }

    fd = listen_at(argv[1]);
    ep = epoll_create1(0);

    ev.events = EPOLLIN;
    ev.data.ptr = NULL;

    if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) != 0) {
        stop("epoll");
    }

    for ( ;; ) {
        n = epoll_wait(ep, events, EVENTS, -1);

        for (i = 0; i < n; i++) {
            c = events[i].data.ptr;

            if (c == NULL) {
                take(ep, fd);
                continue;
            }

            got = recv(c->fd, c->buf + c->len, BUFFER - c->len, 0);

            if (got > 0) {
                c->len += got;
            }

            if (got <= 0 || !answer(c)) {
                close(c->fd);
                free(c);
            }
        }
    }
}
