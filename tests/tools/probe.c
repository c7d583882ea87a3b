
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * probe REDIS GATE N DEVICES: writes devices in turn, from secure to a threat
 * and back, each time until both workers have decided by it, which are asked
 * over and over.  X-Is of an answer begins with the decision, X-Pid has the
 * worker.
 *
 * Prints "# NAME VALUE": writes, missed (not enforced in 5 seconds), asked,
 * and times in ms from before the write to the last worker's answer.
 */


#define _GNU_SOURCE

#include <poll.h>
#include <signal.h>

#include "wire.h"


#define WORKERS   2
#define TRIES     1000
#define PATIENCE  5000              /* ms */


typedef struct {
    int          fd;
    char         pid[32];
    int          done;
    wire_buf_t   in;
} worker_t;


static worker_t   workers[WORKERS];
static int        redis;
static long       asked;
static double    *times;


static int
connect_to(const char *path)
{
    int                 fd;
    struct sockaddr_un  sun;

    wire_address(&sun, path);
    fd = socket(AF_UNIX, SOCK_STREAM, 0);

    if (fd < 0 || connect(fd, (struct sockaddr *) &sun, sizeof(sun)) != 0) {
        wire_stop(path);
    }

    return fd;
}


static void
ask(worker_t *w, long device)
{
    int   len;
    char  text[128];

    len = sprintf(text, "GET /x?device=d%ld HTTP/1.1\r\n"
                  "Host: mail.example.com\r\n\r\n", device);

    if (send(w->fd, text, len, MSG_NOSIGNAL) != len) {
        wire_stop("send to the gate");
    }

    asked++;
}


/* a whole answer, or NULL; to be dropped by the caller */

static char *
answer(worker_t *w)
{
    char     *body, *p;
    ssize_t   n;

    n = recv(w->fd, wire_room(&w->in, 4096), 4096, 0);

    if (n <= 0) {
        wire_stop("the gate has closed a connection");
    }

    w->in.len += n;
    w->in.p[w->in.len] = '\0';

    body = strstr(w->in.p, "\r\n\r\n");
    p = body ? strcasestr(w->in.p, "\nContent-Length:") : NULL;

    if (p == NULL || w->in.p + w->in.len - body - 4 < atol(p + 16)) {
        return NULL;
    }

    return w->in.p;
}


static const char *
header(const char *head, const char *name)
{
    const char  *p;

    p = strcasestr(head, name);

    if (p == NULL) {
        errno = EPROTO;
        wire_stop(head);
    }

    return p + strlen(name);
}


static void
connect_workers(const char *gate)
{
    int         i, n, tries;
    char       *text;
    worker_t    w;

    for (n = tries = 0; n < WORKERS; tries++) {

        if (tries == TRIES) {
            errno = ETIMEDOUT;
            wire_stop("there are no two workers");
        }

        memset(&w, 0, sizeof(w));
        w.fd = connect_to(gate);
        ask(&w, 0);

        do {
            text = answer(&w);
        } while (text == NULL);

        snprintf(w.pid, sizeof(w.pid), "%.20s", header(text, "\nX-Pid: "));

        for (i = 0; i < n && strcmp(workers[i].pid, w.pid) != 0; i++) {
            /* void */
        }

        if (i < n) {
            close(w.fd);
            continue;
        }

        w.in.len = 0;
        workers[n++] = w;
    }
}


static void
write_device(long device, const char *threat)
{
    char        name[64], reply[256];
    wire_buf_t  out = { NULL, 0, 0 };

    sprintf(name, "mtd:device:d%ld", device);

    wire_print(&out, "*4\r\n");
    wire_bulk(&out, "HSET", 4);
    wire_bulk(&out, name, strlen(name));
    wire_bulk(&out, "threat", 6);
    wire_bulk(&out, threat, strlen(threat));

    if (send(redis, out.p, out.len, MSG_NOSIGNAL) != (ssize_t) out.len
        || recv(redis, reply, sizeof(reply), 0) < 4 || *reply != ':')
    {
        wire_stop("redis");
    }

    free(out.p);
}


/* ms until both say so, or -1 */

static double
enforced(long device, const char *decision, double start)
{
    int            i, left;
    char          *text;
    double         now;
    worker_t      *w;
    struct pollfd  pfd[WORKERS];

    for (i = 0; i < WORKERS; i++) {
        workers[i].done = 0;
        pfd[i].fd = workers[i].fd;
        pfd[i].events = POLLIN;
        ask(&workers[i], device);
    }

    left = WORKERS;
    now = start;

    while (left && now - start < PATIENCE) {

        if (poll(pfd, WORKERS, PATIENCE) <= 0) {
            wire_stop("the gate does not answer");
        }

        for (i = 0; i < WORKERS; i++) {
            w = &workers[i];
            text = (pfd[i].revents && !w->done) ? answer(w) : NULL;

            if (text == NULL) {
                continue;
            }

            w->in.len = 0;
            now = wire_now();

            if (strncmp(header(text, "\nX-Is: "), decision, strlen(decision))
                == 0)
            {
                w->done = 1;
                left--;
                pfd[i].fd = -1;

            } else {
                ask(w, device);
            }
        }
    }

    return left ? -1 : now - start;
}


static int
compare(const void *one, const void *two)
{
    double  a, b;

    a = *(const double *) one;
    b = *(const double *) two;

    return (a > b) - (a < b);
}


int
main(int argc, char **argv)
{
    long    i, n, devices, missed;
    int     secure;
    double  start, first;

    if (argc != 5) {
        errno = EINVAL;
        wire_stop("probe REDIS GATE N DEVICES");
    }

    n = atol(argv[3]);
    devices = atol(argv[4]);

    redis = connect_to(argv[1]);
    connect_workers(argv[2]);

    times = calloc(n, sizeof(double));
    first = wire_now();
    missed = 0;

    for (i = 0; i < n; i++) {
        secure = (i / devices) % 2;
        start = wire_now();

        write_device(i % devices, secure ? "secured" : "highSeverity");

        times[i] = enforced(i % devices, secure ? "allow" : "remediate",
                            start);
        missed += (times[i] < 0);
    }

    qsort(times, n, sizeof(double), compare);

    printf("# writes %ld\n# missed %ld\n# asked %ld\n# p50 %.3f\n# p99 %.3f\n"
           "# p999 %.3f\n# max %.3f\n# ms %.0f\n", n, missed, asked,
           times[n / 2], times[n * 99 / 100], times[n * 999 / 1000],
           times[n - 1], wire_now() - first);

    return 0;
}
