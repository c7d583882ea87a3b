
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * abort_client PORT N CONNECTIONS SEED FILE: N requests of lines
 * "STATUS<tab>METHOD<tab>TARGET<tab>BYTES of a body" to 127.0.0.1, with
 * {n} in the target a number that never comes again.  Half of them end with
 * a reset, at a byte of the request or of the answer that chance chooses, or
 * while the answer is waited for; of the others the status must be STATUS.
 *
 * Prints "# NAME VALUE": sent, aborted, early (before the request was whole),
 * answered, wrong, lost, unanswered.
 */


#define _GNU_SOURCE

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>

#include "wire.h"


#define CONNS    256
#define LINES    256
#define SILENCE  60000              /* ms */
#define NEVER    ((size_t) -1)


typedef struct {
    char         *status;
    char         *method;
    char         *target;
    size_t        body;
} line_t;


typedef struct {
    int           fd;
    line_t       *line;
    wire_buf_t    out;
    size_t        sent;
    size_t        cut;              /* bytes sent and read before a reset */
    wire_buf_t    in;
    size_t        read;
    double        since;
    double        due;              /* of the reset */
} conn_t;


static line_t    lines[LINES];
static int       nlines, port;
static long      wanted, number;
static long      sent, aborted, early, answered, wrong, lost, unanswered;


static void
read_lines(const char *name)
{
    char    *line, *p;
    FILE    *in;
    size_t   size;

    in = fopen(name, "r");

    if (in == NULL) {
        wire_stop(name);
    }

    for (size = 0, line = NULL; nlines < LINES; line = NULL) {

        if (getline(&line, &size, in) <= 0) {
            break;
        }

        p = line;
        lines[nlines].status = strsep(&p, "\t");
        lines[nlines].method = strsep(&p, "\t");
        lines[nlines].target = strsep(&p, "\t");
        lines[nlines++].body = p ? strtoul(p, NULL, 10) : 0;
        size = 0;
    }

    fclose(in);
}


static void
new_request(conn_t *c)
{
    char    *p;
    size_t   n;

    c->line = &lines[random() % nlines];
    c->out.len = c->in.len = 0;
    c->sent = c->read = 0;
    c->since = wire_now();
    c->due = 0;

    wire_print(&c->out, "%s ", c->line->method);
    p = strstr(c->line->target, "{n}");

    if (p) {
        wire_print(&c->out, "%.*s%ld%s", (int) (p - c->line->target),
                   c->line->target, number++, p + 3);

    } else {
        wire_print(&c->out, "%s", c->line->target);
    }

    wire_print(&c->out, " HTTP/1.1\r\nHost: mail.example.com\r\n");

    if (c->line->body) {
        wire_print(&c->out, "Content-Length: %zu\r\n", c->line->body);
    }

    wire_print(&c->out, "\r\n");

    for (n = 0; n < c->line->body; n++) {
        wire_add(&c->out, "b", 1);
    }

    /* in the request, behind it and before the answer, or in the answer */

    c->cut = NEVER;

    switch (random() % 6) {

    case 0:
        c->cut = random() % c->out.len;
        break;

    case 1:
        c->cut = c->out.len;
        break;

    case 2:
        c->cut = c->out.len + 1 + random() % 400;
        break;
    }

    sent++;
}


static void
open_conn(conn_t *c)
{
    struct sockaddr_in  sin;

    memset(&sin, 0, sizeof(sin));
    sin.sin_family = AF_INET;
    sin.sin_port = htons(port);
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);

    c->fd = socket(AF_INET, SOCK_STREAM, 0);

    if (c->fd < 0
        || connect(c->fd, (struct sockaddr *) &sin, sizeof(sin)) != 0)
    {
        wire_stop("connect");
    }

    wire_nonblocking(c->fd);
}


static void
close_conn(conn_t *c, int reset)
{
    struct linger  linger;

    if (reset) {
        linger.l_onoff = 1;
        linger.l_linger = 0;
        (void) setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &linger,
                          sizeof(linger));
        aborted++;
        early += (c->sent < c->out.len);
    }

    close(c->fd);
    c->fd = -1;
    c->line = NULL;

    if (sent < wanted) {
        open_conn(c);
        new_request(c);
    }
}


static void
send_some(conn_t *c)
{
    size_t   len;
    ssize_t  n;

    len = c->out.len;

    if (c->cut < len) {
        len = c->cut;
    }

    while (c->sent < len) {
        n = send(c->fd, c->out.p + c->sent, len - c->sent, MSG_NOSIGNAL);

        if (n < 0) {

            if (errno != EAGAIN) {

                /* the answer may be there, to what was not read */

                c->sent = len;
            }

            return;
        }

        c->sent += n;
    }

    /* what is sent may be read, and a question be under way, or not */

    if (c->sent == c->cut) {
        c->due = wire_now() + random() % 4;
    }
}


/* the end of a whole answer, or NULL */

static char *
whole(conn_t *c)
{
    char    *body, *p;

    body = strstr(c->in.p, "\r\n\r\n");

    if (body == NULL) {
        return NULL;
    }

    body += 4;
    p = strcasestr(c->in.p, "\nContent-Length:");
    body += (p && p < body) ? atol(p + 16) : 0;

    return (c->in.p + c->in.len >= body) ? body : NULL;
}


static void
receive(conn_t *c)
{
    char     *end, *p;
    size_t    max;
    ssize_t   n;

    max = 4096;

    if (c->cut != NEVER && c->cut > c->out.len) {
        max = c->cut - c->out.len - c->read;
    }

    n = recv(c->fd, wire_room(&c->in, max), max, 0);

    if (n < 0 && errno == EAGAIN) {
        return;
    }

    if (n <= 0) {
        lost += (c->cut == NEVER);
        aborted += (c->cut != NEVER);
        close_conn(c, 0);
        return;
    }

    c->in.len += n;
    c->in.p[c->in.len] = '\0';
    c->read += n;

    if (c->cut <= c->out.len || c->read == c->cut - c->out.len) {
        close_conn(c, 1);
        return;
    }

    end = whole(c);

    if (end == NULL) {
        return;
    }

    answered++;

    if (strncmp(c->in.p + 9, c->line->status, 3) != 0) {
        if (wrong++ < 5) {
            fprintf(stderr, "%s %s: %.*s\n", c->line->method,
                    c->line->target, (int) strcspn(c->in.p, "\r"), c->in.p);
        }
    }

    p = strcasestr(c->in.p, "\nConnection: close");

    if ((p && p < end) || sent >= wanted) {
        close_conn(c, 0);
        return;
    }

    new_request(c);
}


static void
run(conn_t *conns, int n)
{
    int            i, busy;
    struct pollfd  pfd[CONNS];

    for ( ;; ) {
        busy = 0;

        for (i = 0; i < n; i++) {
            pfd[i].fd = conns[i].fd;
            pfd[i].events = POLLIN;
            pfd[i].revents = 0;
            busy += (conns[i].fd >= 0);

            if (conns[i].due == 0 && conns[i].sent < conns[i].out.len) {
                pfd[i].events |= POLLOUT;
            }
        }

        if (busy == 0) {
            return;
        }

        if (poll(pfd, n, 1) < 0) {
            wire_stop("poll");
        }

        for (i = 0; i < n; i++) {

            if (conns[i].fd < 0) {
                continue;
            }

            if (conns[i].due && conns[i].due <= wire_now()) {
                close_conn(&conns[i], 1);

            } else if (pfd[i].revents & (POLLIN|POLLHUP|POLLERR)) {
                receive(&conns[i]);

            } else if (pfd[i].revents & POLLOUT) {
                send_some(&conns[i]);

            } else if (wire_now() - conns[i].since > SILENCE) {
                unanswered++;
                close_conn(&conns[i], 0);
            }
        }
    }
}


int
main(int argc, char **argv)
{
    int             i, n;
    static conn_t   conns[CONNS];

    n = (argc == 6) ? atoi(argv[3]) : 0;

    if (n < 1 || n > CONNS) {
        errno = EINVAL;
        wire_stop("abort_client PORT N CONNECTIONS SEED FILE");
    }

    port = atoi(argv[1]);
    wanted = atol(argv[2]);
    srandom(atol(argv[4]));
    read_lines(argv[5]);

    for (i = 0; i < n; i++) {
        open_conn(&conns[i]);
        new_request(&conns[i]);
    }

    run(conns, n);

    printf("# sent %ld\n# aborted %ld\n# early %ld\n# answered %ld\n"
           "# wrong %ld\n# lost %ld\n# unanswered %ld\n", sent, aborted,
           early, answered, wrong, lost, unanswered);

    return 0;
}
