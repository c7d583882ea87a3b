
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/* who asks the gate, and whether what it says may be */


#include "interleave.h"

#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>


client_t  inter_clients[WORKERS * CLIENTS];
double    inter_answer;


void
inter_ask(client_t *c, int key)
{
    int        i, len, unread;
    char       text[128];
    stream_t  *link;

    link = inter_links[c->worker];

    /* a worker reads what it has, and then handles other events */

    if (link && ioctl(link->fd, SIOCOUTQ, &unread) == 0 && unread == 0) {
        link->read = link->sent;
    }

    c->link = link;
    c->epoch = link ? link->epoch : 0;
    c->read = link ? link->read : 0;
    c->key = key;
    c->busy = 1;
    c->alias = inter_alias(key)->floor;

    for (i = 0; i < PER_KEY; i++) {
        c->device[i] = inter_device(key, i)->floor;
    }

    len = sprintf(text, "GET /x?device=d%d HTTP/1.1\r\n"
                  "Host: mail.example.com\r\n\r\n", key);

    if (send(c->fd, text, len, MSG_NOSIGNAL) != len) {
        wire_stop("send to the gate");
    }

    inter_n.asked++;
}


/* whether an answer may be: some version since the floor says so */

static int
may_be_unknown(client_t *c)
{
    int   to;
    long  a, v;

    for (a = c->alias; a <= inter_alias(c->key)->current; a++) {
        to = inter_leads(a);

        if (to < 0) {
            return 1;
        }

        for (v = c->device[to]; v <= inter_device(c->key, to)->current; v++) {
            if (inter_absent(v)) {
                return 1;
            }
        }
    }

    return 0;
}


static int
may_be(client_t *c, const char *is)
{
    int       to;
    char      text[128];
    long      a, v;
    thing_t  *device;

    for (a = c->alias; a <= inter_alias(c->key)->current; a++) {
        to = inter_leads(a);

        if (to < 0) {
            continue;
        }

        device = inter_device(c->key, to);

        for (v = c->device[to]; v <= device->current; v++) {
            inter_text(device, v, text);

            if (!inter_absent(v) && strcmp(text, is) == 0) {
                return 1;
            }
        }
    }

    return 0;
}


static void
judge(client_t *c, const char *is, const char *lookup)
{
    stream_t  *link;

    inter_n.answered++;
    inter_n.hits += (strcmp(lookup, "HIT") == 0);
    inter_answer = wire_now();

    if (strcmp(is, "store_unavailable") == 0) {
        inter_n.away++;

    } else if (strcmp(is, "unknown_device") == 0 ? !may_be_unknown(c)
                                                 : !may_be(c, is))
    {
        if (inter_n.stale++ < 5) {
            fprintf(stderr, "stale: d%d is \"%s\" (%s), alias %ld to %ld\n",
                    c->key, is, lookup, c->alias,
                    inter_alias(c->key)->current);
        }
    }

    /* what this worker had before it read the request, it has applied */

    link = c->link;

    if (link == NULL || link->epoch != c->epoch) {
        return;
    }

    for ( /* void */ ; link->done < c->read; link->done++) {
        if (link->thing[link->done]->floor < link->version[link->done]) {
            link->thing[link->done]->floor = link->version[link->done];
        }
    }
}


static void
header(const char *head, const char *name, char *value, size_t size)
{
    size_t       len;
    const char  *p;

    p = strcasestr(head, name);

    if (p == NULL) {
        errno = EPROTO;
        wire_stop(head);
    }

    p += strlen(name);
    len = strcspn(p, "\r");
    snprintf(value, size, "%.*s", (int) len, p);
}


void
inter_input(client_t *c)
{
    char     is[128], lookup[32], length[32], *body;
    ssize_t  n;

    n = recv(c->fd, wire_room(&c->in, 4096), 4096, 0);

    if (n < 0 && errno == EAGAIN) {
        return;
    }

    if (n <= 0) {
        wire_stop("the gate has closed a connection");
    }

    c->in.len += n;
    c->in.p[c->in.len] = '\0';

    body = strstr(c->in.p, "\r\n\r\n");

    if (body == NULL) {
        return;
    }

    header(c->in.p, "\nContent-Length: ", length, sizeof(length));

    if ((size_t) (c->in.p + c->in.len - body - 4) < strtoul(length, NULL, 10))
    {
        return;
    }

    header(c->in.p, "\nX-Is: ", is, sizeof(is));
    header(c->in.p, "\nX-Lookup: ", lookup, sizeof(lookup));

    c->in.len = 0;
    c->busy = 0;

    judge(c, is, lookup);
}


/* the same number of connections to each worker, which takes some more */

void
inter_connect(const char *gate)
{
    int                 fd, worker, n[WORKERS];
    client_t           *c;
    socklen_t           len;
    struct pollfd       pfd;
    struct sockaddr_un  sun;
    char                text[4096], pid[32];
    ssize_t             got;

    static const char  request[] = "GET /pid HTTP/1.1\r\n"
                                   "Host: mail.example.com\r\n\r\n";

    memset(n, 0, sizeof(n));
    wire_address(&sun, gate);
    len = sizeof(sun);

    while (n[0] < CLIENTS || n[1] < CLIENTS) {
        fd = socket(AF_UNIX, SOCK_STREAM, 0);

        if (fd < 0 || connect(fd, (struct sockaddr *) &sun, len) != 0
            || send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) < 0)
        {
            wire_stop(gate);
        }

        pfd.fd = fd;
        pfd.events = POLLIN;
        got = (poll(&pfd, 1, SILENCE) == 1)
              ? recv(fd, text, sizeof(text) - 1, 0) : -1;

        if (got <= 0) {
            wire_stop("the gate does not tell its pid");
        }

        text[got] = '\0';
        header(text, "\nX-Pid: ", pid, sizeof(pid));
        worker = (atoi(pid) == inter_pids[1]);

        if (n[worker] == CLIENTS) {
            close(fd);
            continue;
        }

        wire_nonblocking(fd);

        c = &inter_clients[worker * CLIENTS + n[worker]++];
        c->fd = fd;
        c->worker = worker;
    }
}
