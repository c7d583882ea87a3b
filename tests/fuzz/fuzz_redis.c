
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fuzz.h"
#include "fuzz_redis.h"


#define FUZZ_REDIS_CONNECTIONS  8
#define FUZZ_REDIS_ARGS         16
#define FUZZ_REDIS_BUFFER       65536

#define FUZZ_REDIS_INFO         "# Server\r\nrun_id:"                         \
                                "0123456789abcdef0123456789abcdef01234567\r\n"
#define FUZZ_REDIS_CHANNEL      "$20\r\n__redis__:invalidate\r\n"


typedef struct {
    int          fd;                /* -1: none */
    int          push;              /* it is told of changes */
    int          data;              /* it has asked for something */
    size_t       len;
    char         buf[FUZZ_REDIS_BUFFER];
} fuzz_redis_t;


static int             fuzz_redis_socket;
static fuzz_redis_t    fuzz_redis[FUZZ_REDIS_CONNECTIONS];
static const uint8_t  *fuzz_redis_word;
static size_t          fuzz_redis_word_len;
static int             fuzz_redis_word_push;


static int
fuzz_socket(const char *dir, const char *name, struct sockaddr_un *sun)
{
    int  fd;

    fd = socket(AF_UNIX, SOCK_STREAM|SOCK_NONBLOCK|SOCK_CLOEXEC, 0);
    fuzz_check(fd != -1, "no socket");

    memset(sun, 0, sizeof(struct sockaddr_un));
    sun->sun_family = AF_UNIX;
    (void) snprintf(sun->sun_path, sizeof(sun->sun_path), "%s/%s.sock", dir,
                    name);

    return fd;
}


int
fuzz_listen(const char *dir, const char *name)
{
    int                 fd;
    struct sockaddr_un  sun;

    fd = fuzz_socket(dir, name, &sun);

    fuzz_check(bind(fd, (struct sockaddr *) &sun, sizeof(sun)) == 0
               && listen(fd, 16) == 0, name);

    return fd;
}


int
fuzz_connect(const char *dir, const char *name)
{
    int                 fd;
    struct sockaddr_un  sun;

    fd = fuzz_socket(dir, name, &sun);

    fuzz_check(connect(fd, (struct sockaddr *) &sun, sizeof(sun)) == 0, name);

    return fd;
}


int
fuzz_accept(int fd)
{
    return accept4(fd, NULL, NULL, SOCK_NONBLOCK|SOCK_CLOEXEC);
}


void
fuzz_redis_listen(const char *dir)
{
    size_t  i;

    fuzz_redis_socket = fuzz_listen(dir, "redis");

    for (i = 0; i < FUZZ_REDIS_CONNECTIONS; i++) {
        fuzz_redis[i].fd = -1;
    }
}


static void
fuzz_redis_close(fuzz_redis_t *r)
{
    (void) close(r->fd);
    r->fd = -1;
}


static void
fuzz_redis_write(fuzz_redis_t *r, const void *data, size_t len)
{
    /* what does not fit a socket is no test of the gate */

    (void) send(r->fd, data, len, MSG_NOSIGNAL);
}


static void
fuzz_redis_text(fuzz_redis_t *r, const char *text)
{
    fuzz_redis_write(r, text, strlen(text));
}


static int
fuzz_redis_is(const mtd_str_t *arg, const char *text)
{
    return arg->len == strlen(text) && memcmp(arg->data, text, arg->len) == 0;
}


/* "good" or "bad", if key is "mtd:device:ID" or "mtd:alias:KIND:ID" of one */

static const char *
fuzz_redis_device(const mtd_str_t *key)
{
    static const char  *devices[] = { "good", "bad" };

    size_t         i, colons;
    mtd_str_t      id;
    const u_char  *p, *last;

    p = key->data;
    last = p + key->len;
    colons = (key->len > 10 && memcmp(p, "mtd:alias:", 10) == 0) ? 3 : 2;

    while (p < last && colons) {
        colons -= (*p++ == ':');
    }

    id.data = (u_char *) p;
    id.len = last - p;

    for (i = 0; i < 2; i++) {
        if (colons == 0 && fuzz_redis_is(&id, devices[i])) {
            return devices[i];
        }
    }

    return NULL;
}


static void
fuzz_redis_hmget(fuzz_redis_t *r, const mtd_str_t *args, size_t n)
{
    char         text[1024], *p;
    size_t       i;
    const char  *device;

    device = fuzz_redis_device(&args[1]);
    p = text + sprintf(text, "*%zu\r\n", n - 2);

    for (i = 2; i < n; i++) {

        if (device && fuzz_redis_is(&args[i], "threat")) {
            p += sprintf(p, *device == 'g' ? "$7\r\nsecured\r\n"
                                           : "$12\r\nhighSeverity\r\n");

        } else if (device && fuzz_redis_is(&args[i], "compliance")) {
            p += sprintf(p, "$9\r\ncompliant\r\n");

        } else {
            p += sprintf(p, "$-1\r\n");
        }
    }

    fuzz_redis_text(r, text);
}


static void
fuzz_redis_command(fuzz_redis_t *r, const mtd_str_t *args, size_t n)
{
    char         text[64];
    const char  *device;

    if (fuzz_redis_word && !fuzz_redis_word_push && !r->push) {
        fuzz_redis_write(r, fuzz_redis_word, fuzz_redis_word_len);
        fuzz_redis_word = NULL;
        return;
    }

    if (fuzz_redis_is(&args[0], "INFO")) {
        (void) sprintf(text, "$%zu\r\n", sizeof(FUZZ_REDIS_INFO) - 1);
        fuzz_redis_text(r, text);
        fuzz_redis_text(r, FUZZ_REDIS_INFO "\r\n");

    } else if (fuzz_redis_is(&args[0], "CLIENT")) {
        fuzz_redis_text(r, fuzz_redis_is(&args[1], "ID") ? ":7\r\n"
                                                         : "+OK\r\n");

    } else if (fuzz_redis_is(&args[0], "SUBSCRIBE")) {
        fuzz_redis_text(r, "*3\r\n$9\r\nsubscribe\r\n" FUZZ_REDIS_CHANNEL
                           ":1\r\n");
        r->push = 1;

    } else if (fuzz_redis_is(&args[0], "PING")) {
        fuzz_redis_text(r, r->push ? "*2\r\n$4\r\npong\r\n$0\r\n\r\n"
                                   : "+PONG\r\n");

    } else if (fuzz_redis_is(&args[0], "GET")) {
        device = fuzz_redis_device(&args[1]);
        (void) sprintf(text, "$%zu\r\n%s\r\n", device ? strlen(device) : 0,
                       device ? device : "");
        fuzz_redis_text(r, device ? text : "$-1\r\n");

    } else if (fuzz_redis_is(&args[0], "PTTL")) {
        fuzz_redis_text(r, fuzz_redis_device(&args[1]) ? ":1000000\r\n"
                                                       : ":-2\r\n");

    } else {
        fuzz_check(fuzz_redis_is(&args[0], "HMGET") && n > 2,
                   "a command that no gate has");
        fuzz_redis_hmget(r, args, n);
    }

    r->data = 1;
}


/* a number behind type at *p, which goes on behind its line; 0: not yet */

static int
fuzz_redis_number(char **p, char *last, char type, size_t *n)
{
    char  *end;

    end = memchr(*p, '\n', last - *p);

    if (end == NULL) {
        return 0;
    }

    fuzz_check(**p == type, "the gate does not speak RESP");

    *n = strtoul(*p + 1, NULL, 10);
    *p = end + 1;

    return 1;
}


static void
fuzz_redis_commands(fuzz_redis_t *r)
{
    char       *p, *last;
    size_t      i, n, len;
    mtd_str_t   args[FUZZ_REDIS_ARGS];

    last = r->buf + r->len;

    for ( ;; ) {
        p = r->buf;

        if (p == last || !fuzz_redis_number(&p, last, '*', &n)) {
            return;
        }

        fuzz_check(n > 0 && n <= FUZZ_REDIS_ARGS, "arguments");

        for (i = 0; i < n; i++) {

            if (p == last || !fuzz_redis_number(&p, last, '$', &len)
                || (size_t) (last - p) < len + 2)
            {
                return;
            }

            args[i].data = (u_char *) p;
            args[i].len = len;
            p += len + 2;
        }

        fuzz_redis_command(r, args, n);

        memmove(r->buf, p, last - p);
        last -= p - r->buf;
        r->len = last - r->buf;
    }
}


int
fuzz_redis_serve(void)
{
    int            fd, busy;
    size_t         i;
    ssize_t        n;
    fuzz_redis_t  *r;

    busy = 0;
    fd = fuzz_accept(fuzz_redis_socket);

    for (i = 0; i < FUZZ_REDIS_CONNECTIONS; i++) {
        r = &fuzz_redis[i];

        if (r->fd == -1) {

            if (fd == -1) {
                continue;
            }

            r->fd = fd;
            r->push = 0;
            r->data = 0;
            r->len = 0;
            fd = -1;
            busy = 1;
        }

        if (r->push && fuzz_redis_word && fuzz_redis_word_push) {
            fuzz_redis_write(r, fuzz_redis_word, fuzz_redis_word_len);
            fuzz_redis_word = NULL;
            busy = 1;
        }

        n = read(r->fd, r->buf + r->len, FUZZ_REDIS_BUFFER - r->len);

        if (n > 0) {
            r->len += n;
            fuzz_redis_commands(r);
            busy = 1;

        } else if (n == 0 || errno != EAGAIN) {
            fuzz_redis_close(r);
            busy = 1;
        }
    }

    fuzz_check(fd == -1, "too many connections to redis");

    return busy;
}


int
fuzz_redis_ready(void)
{
    int     push, data;
    size_t  i;

    for (i = 0, push = 0, data = 0; i < FUZZ_REDIS_CONNECTIONS; i++) {
        if (fuzz_redis[i].fd != -1) {
            push += fuzz_redis[i].push;
            data += !fuzz_redis[i].push && fuzz_redis[i].data;
        }
    }

    return push == 1 && data == 1;
}


void
fuzz_redis_say(const uint8_t *data, size_t size, int push)
{
    fuzz_redis_word = data;
    fuzz_redis_word_len = size;
    fuzz_redis_word_push = push;
}


void
fuzz_redis_reset(void)
{
    size_t  i;

    fuzz_redis_word = NULL;

    for (i = 0; i < FUZZ_REDIS_CONNECTIONS; i++) {
        if (fuzz_redis[i].fd != -1) {
            fuzz_redis_close(&fuzz_redis[i]);
        }
    }
}


void
fuzz_redis_forget(void)
{
    size_t  i;

    for (i = 0; i < FUZZ_REDIS_CONNECTIONS; i++) {
        if (fuzz_redis[i].fd != -1 && fuzz_redis[i].push) {
            fuzz_redis_text(&fuzz_redis[i], "*3\r\n$7\r\nmessage\r\n"
                                            FUZZ_REDIS_CHANNEL "*-1\r\n");
        }
    }
}
