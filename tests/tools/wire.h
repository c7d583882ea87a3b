
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * What the servers here that speak RESP2 for Redis share: buffers, commands
 * as they come in, sockets.
 */


#ifndef _WIRE_H_INCLUDED_
#define _WIRE_H_INCLUDED_


#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>


#define WIRE_ARGS     64
#define WIRE_CHANNEL  "__redis__:invalidate"

/* 40 digits, of which the gate looks at some */

#define WIRE_RUN_ID   "5c41f7ed000000000000000000000000000000aa"


typedef struct {
    char    *p;
    size_t   len;
    size_t   size;
} wire_buf_t;


typedef struct {
    int      argc;
    char    *argv[WIRE_ARGS];           /* into the buffer, not terminated */
    size_t   len[WIRE_ARGS];
} wire_command_t;


static void
wire_stop(const char *why)
{
    fprintf(stderr, "%s: %s\n", why, strerror(errno));
    exit(1);
}


static double
wire_now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return ts.tv_sec * 1000.0 + ts.tv_nsec / 1000000.0;
}


/* room for that many more bytes, and a zero after them */

static char *
wire_room(wire_buf_t *b, size_t len)
{
    while (b->size < b->len + len + 1) {
        b->size = b->size * 2 + 256;
        b->p = realloc(b->p, b->size);

        if (b->p == NULL) {
            wire_stop("realloc");
        }
    }

    return b->p + b->len;
}


static void
wire_add(wire_buf_t *b, const char *p, size_t len)
{
    memcpy(wire_room(b, len), p, len);

    b->len += len;
    b->p[b->len] = '\0';
}


static void
wire_print(wire_buf_t *b, const char *format, ...)
{
    int      n;
    va_list  args;

    va_start(args, format);
    n = vsnprintf(NULL, 0, format, args);
    va_end(args);

    va_start(args, format);
    vsprintf(wire_room(b, n), format, args);
    va_end(args);

    b->len += n;
}


static void
wire_bulk(wire_buf_t *b, const char *p, size_t len)
{
    wire_print(b, "$%zu\r\n", len);
    wire_add(b, p, len);
    wire_add(b, "\r\n", 2);
}


static void
wire_shift(wire_buf_t *b, size_t len)
{
    b->len -= len;
    memmove(b->p, b->p + len, b->len);
}


/* bytes that a command takes from [p, p + len), 0 if it is not whole */

static size_t
wire_command(char *p, size_t len, wire_command_t *command)
{
    int      i;
    char    *at, *last, *end;
    size_t   n;

    last = p + len;
    end = memmem(p, len, "\r\n", 2);

    if (end == NULL) {
        return 0;
    }

    command->argc = (*p == '*') ? atoi(p + 1) : 0;

    if (command->argc < 1 || command->argc > WIRE_ARGS) {
        errno = EPROTO;
        wire_stop("a command");
    }

    for (at = end + 2, i = 0; i < command->argc; i++) {
        end = (at < last) ? memmem(at, last - at, "\r\n", 2) : NULL;

        if (end == NULL) {
            return 0;
        }

        n = strtoul(at + 1, NULL, 10);
        at = end + 2;

        if ((size_t) (last - at) < n + 2) {
            return 0;
        }

        command->argv[i] = at;
        command->len[i] = n;
        at += n + 2;
    }

    return at - p;
}


/* an argument that is a word is that word, whatever its case */

static int
wire_is(const wire_command_t *command, int i, const char *word)
{
    return i < command->argc && command->len[i] == strlen(word)
           && strncasecmp(command->argv[i], word, command->len[i]) == 0;
}


/*
 * What the gate asks for before it asks for devices, and what keeps the link
 * alive; 0 if the command is another one.  Sets *subscribed when it has.
 */

static int
wire_hello(const wire_command_t *command, long id, int *subscribed,
    wire_buf_t *out)
{
    static const char  info[] = "# Server\r\nredis_version:7.0.15\r\n"
                                "run_id:" WIRE_RUN_ID "\r\n";

    if (wire_is(command, 0, "AUTH") || wire_is(command, 0, "SELECT")
        || (wire_is(command, 0, "CLIENT") && wire_is(command, 1, "TRACKING")))
    {
        wire_print(out, "+OK\r\n");

    } else if (wire_is(command, 0, "INFO")) {
        wire_bulk(out, info, sizeof(info) - 1);

    } else if (wire_is(command, 0, "PING")) {
        wire_print(out, *subscribed ? "*2\r\n$4\r\npong\r\n$0\r\n\r\n"
                                    : "+PONG\r\n");

    } else if (wire_is(command, 0, "CLIENT") && wire_is(command, 1, "ID")) {
        wire_print(out, ":%ld\r\n", id);

    } else if (wire_is(command, 0, "SUBSCRIBE") && command->argc == 2) {
        *subscribed = 1;
        wire_print(out, "*3\r\n");
        wire_bulk(out, "subscribe", 9);
        wire_bulk(out, command->argv[1], command->len[1]);
        wire_print(out, ":1\r\n");

    } else {
        return 0;
    }

    return 1;
}


/* names NULL: everything */

static void
wire_invalidation(wire_buf_t *out, char **names, int n)
{
    int  i;

    wire_print(out, "*3\r\n$7\r\nmessage\r\n$%zu\r\n%s\r\n",
               strlen(WIRE_CHANNEL), WIRE_CHANNEL);

    if (names == NULL) {
        wire_print(out, "*-1\r\n");
        return;
    }

    wire_print(out, "*%d\r\n", n);

    for (i = 0; i < n; i++) {
        wire_bulk(out, names[i], strlen(names[i]));
    }
}


static void
wire_nonblocking(int fd)
{
    if (fcntl(fd, F_SETFL, O_NONBLOCK) != 0) {
        wire_stop("fcntl");
    }
}


static void
wire_address(struct sockaddr_un *sun, const char *path)
{
    memset(sun, 0, sizeof(struct sockaddr_un));
    sun->sun_family = AF_UNIX;

    if (strlen(path) >= sizeof(sun->sun_path)) {
        errno = ENAMETOOLONG;
        wire_stop(path);
    }

    strcpy(sun->sun_path, path);
}


/* workers may be somebody else */

static int
wire_listen(const char *path)
{
    int                 fd;
    struct sockaddr_un  sun;

    wire_address(&sun, path);
    unlink(path);

    fd = socket(AF_UNIX, SOCK_STREAM, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *) &sun, sizeof(sun)) != 0
        || chmod(path, 0777) != 0 || listen(fd, 511) != 0)
    {
        wire_stop(path);
    }

    wire_nonblocking(fd);

    return fd;
}


#endif /* _WIRE_H_INCLUDED_ */
