
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * load_client [options] SOCKET: sends requests over connections that are
 * kept, and counts the answers.
 *
 *   -c N        connections, all made before the first request
 *   -d N        requests at a time on each
 *   -n N        requests in all; 0, the default: until SIGTERM
 *   -q N        requests a second at most; else as many as can be
 *   -f FILE     lines "CLASS<tab>TARGET", taken in turn
 *   -t TEXT     instead: TEXT and a number of 8 digits, from 0
 *   -m METHOD   else GET
 *   -H LINE     a header of each request
 *   -k NAME     a header of the answers that is counted by
 *   -o FILE     a line for each request: its number, status and headers
 *   -s          each request has its number in X-Seq
 *   -r          what was lost with its connection is sent again
 *
 * Prints "COUNT<tab>CLASS<tab>STATUS[<tab>VALUE...]", then "# NAME VALUE":
 * sent, answered, retried, lost (with a connection), unanswered (nothing has
 * come for 30 seconds), and times in milliseconds; "last" is when the last
 * answer came, by the monotonic clock.
 */


#define _GNU_SOURCE

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>


#define DEPTH_MAX    64
#define NAMES_MAX    8
#define KEYS_MAX     4096
#define BUFFER       (32 * 1024)
#define TARGET_MAX   (12 * 1024)
#define EVENTS       256
#define TIMES        100000         /* of 0.1 ms */
#define SILENCE      30000


typedef struct {
    int        fd;
    int        writable;            /* waited for */
    int        head;                /* ring of requests under way */
    int        n;
    long       number[DEPTH_MAX];
    double     start[DEPTH_MAX];
    size_t     in_len;
    size_t     out_len;
    char       in[BUFFER];
    char       out[BUFFER];
} conn_t;


typedef struct {
    char      *text;
    long       n;
} tally_t;


typedef struct {
    char      *class;
    char      *target;
} line_t;


static struct {
    char      *socket;
    char      *text;
    char      *method;
    int        conns;
    int        depth;
    long       n;
    long       rate;
    int        seq;
    int        retry;
    char       headers[4096];
    char      *names[NAMES_MAX];
    int        nnames;
    FILE      *out;
} conf;


static line_t    *lines;
static long       nlines;
static long      *again;            /* to be sent again */
static long       nagain, again_size;
static long       next, answered, retried, lost;
static tally_t     keys[KEYS_MAX];
static int        nkeys;
static unsigned   times[TIMES + 1];
static double     begun, longest, last_answer;
static int        ep;

static volatile sig_atomic_t  quit;


static void
stop(const char *why)
{
    fprintf(stderr, "load_client: %s: %s\n", why, strerror(errno));
    exit(1);
}


static void
on_term(int signo)
{
    quit = 1;
}


static double
now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return ts.tv_sec * 1000.0 + ts.tv_nsec / 1000000.0;
}


static void
read_lines(const char *name)
{
    char     *line, *tab;
    FILE     *in;
    size_t    size;
    ssize_t   len;

    in = fopen(name, "r");

    if (in == NULL) {
        stop(name);
    }

    line = NULL;
    size = 0;

    while ((len = getline(&line, &size, in)) > 0) {
        tab = strchr(line, '\t');

        if (tab == NULL || len > TARGET_MAX) {
            errno = EINVAL;
            stop("a line has no tab, or is too long");
        }

        line[len - 1] = '\0';
        *tab = '\0';

        if (nlines % 1024 == 0) {
            lines = realloc(lines, (nlines + 1024) * sizeof(line_t));
        }

        lines[nlines].class = line;
        lines[nlines].target = tab + 1;
        nlines++;

        line = NULL;
        size = 0;
    }

    fclose(in);
}


/* how many requests are still to be sent */

static int
more(void)
{
    return nagain > 0 || (!quit && (conf.n == 0 || next < conf.n));
}


static int
due(void)
{
    return nagain > 0 || conf.rate == 0
           || next < conf.rate * (now() - begun) / 1000;
}


static void
remember(long number)
{
    if (nagain == again_size) {
        again_size = again_size * 2 + 64;
        again = realloc(again, again_size * sizeof(long));

        if (again == NULL) {
            stop("malloc");
        }
    }

    again[nagain++] = number;
}


static void
watch(conn_t *c, int op)
{
    struct epoll_event  ev;

    c->writable = (c->out_len > 0);
    ev.events = EPOLLIN | (c->writable ? EPOLLOUT : 0);
    ev.data.ptr = c;

    if (epoll_ctl(ep, op, c->fd, &ev) != 0) {
        stop("epoll_ctl");
    }
}


static void
open_conn(conn_t *c)
{
    struct sockaddr_un  sun;

    memset(&sun, 0, sizeof(sun));
    sun.sun_family = AF_UNIX;
    snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", conf.socket);

    c->fd = socket(AF_UNIX, SOCK_STREAM, 0);
    c->head = c->n = 0;
    c->in_len = c->out_len = 0;

    if (c->fd < 0
        || connect(c->fd, (struct sockaddr *) &sun, sizeof(sun)) != 0
        || fcntl(c->fd, F_SETFL, O_NONBLOCK) != 0)
    {
        stop(conf.socket);
    }

    watch(c, EPOLL_CTL_ADD);
}


/* ours: it was closed as announced, and nothing of it was read */

static void
close_conn(conn_t *c, int announced)
{
    int   i;
    long  number;

    for (i = 0; i < c->n; i++) {
        number = c->number[(c->head + i) % DEPTH_MAX];

        if (announced) {
            remember(number);

        } else if (conf.retry) {
            remember(number);
            retried++;

        } else {
            lost++;
        }
    }

    close(c->fd);
    c->n = 0;
    c->fd = -1;

    if (more()) {
        open_conn(c);
    }
}


static void
add_request(conn_t *c, long number)
{
    int    n;
    char   seq[64], target[64];

    seq[0] = '\0';

    if (conf.seq) {
        sprintf(seq, "X-Seq: %ld\r\n", number);
    }

    if (lines == NULL) {
        sprintf(target, "%08ld", number);
    }

    n = snprintf(c->out + c->out_len, BUFFER - c->out_len,
                 "%s %s%s HTTP/1.1\r\nHost: mail.example.com\r\n%s%s\r\n",
                 conf.method, lines ? "" : conf.text,
                 lines ? lines[number % nlines].target : target,
                 conf.headers, seq);

    c->out_len += n;
    c->number[(c->head + c->n) % DEPTH_MAX] = number;
    c->start[(c->head + c->n) % DEPTH_MAX] = now();
    c->n++;
}


/* 0: the connection is gone */

static int
fill(conn_t *c)
{
    ssize_t  sent;

    while (c->n < conf.depth && more() && due()
           && c->out_len + TARGET_MAX + 2 * sizeof(conf.headers) < BUFFER)
    {
        add_request(c, nagain ? again[--nagain] : next++);
    }

    if (c->out_len == 0) {
        return 1;
    }

    sent = send(c->fd, c->out, c->out_len, MSG_NOSIGNAL);

    if (sent < 0 && errno != EAGAIN) {

        /* what has been answered before can still be read */

        c->out_len = 0;
        return 1;
    }

    if (sent > 0) {
        c->out_len -= sent;
        memmove(c->out, c->out + sent, c->out_len);
    }

    if (c->writable != (c->out_len > 0)) {
        watch(c, EPOLL_CTL_MOD);
    }

    return 1;
}


static void
count(char *key)
{
    int  i;

    for (i = 0; i < nkeys; i++) {
        if (strcmp(keys[i].text, key) == 0) {
            keys[i].n++;
            return;
        }
    }

    if (nkeys == KEYS_MAX) {
        errno = ENOSPC;
        stop("too many kinds of answers");
    }

    keys[nkeys].text = strdup(key);
    keys[nkeys++].n = 1;
}


/* the value of a header line in [p, last), "" if there is none */

static const char *
header(const char *p, const char *last, const char *name, int *len)
{
    size_t       n;
    const char  *end;

    n = strlen(name);
    *len = 0;

    for ( /* void */ ; p < last; p = end + 2) {
        end = memmem(p, last - p, "\r\n", 2);

        if (end == NULL) {
            break;
        }

        if (strncasecmp(p, name, n) == 0 && p[n] == ':') {
            for (p += n + 1; p < end && *p == ' '; p++) { /* void */ }

            *len = end - p;
            return p;
        }
    }

    return "";
}


/* one line whatever it holds */

static int
copy_value(char *p, const char *value, int len)
{
    int  i;

    for (i = 0; i < len; i++) {
        p[i] = (value[i] == '\n' || value[i] == '\t') ? '?' : value[i];
    }

    return len;
}


static void
note(conn_t *c, const char *head, const char *body)
{
    int          i, len, n, start;
    long         number;
    char         key[2 * BUFFER];
    double       ms;
    const char  *value;

    number = c->number[c->head];
    ms = now() - c->start[c->head];
    c->head = (c->head + 1) % DEPTH_MAX;
    c->n--;

    answered++;
    last_answer = now();
    longest = ms > longest ? ms : longest;
    times[ms * 10 < TIMES ? (int) (ms * 10) : TIMES]++;

    n = sprintf(key, "%s\t%.3s", lines ? lines[number % nlines].class : "-",
                head + 9);

    start = n;

    if (conf.out) {
        count(key);
        fprintf(conf.out, "%ld\t%.3s", number, head + 9);
    }

    for (i = 0; i < conf.nnames; i++) {
        value = header(head, body, conf.names[i], &len);
        key[n++] = '\t';
        n += copy_value(key + n, value, len);
    }

    key[n] = '\0';

    if (conf.out) {
        fprintf(conf.out, "%s\n", key + start);

    } else {
        count(key);
    }
}


static void
answers(conn_t *c)
{
    int          len, done;
    char        *head, *body, *last;
    size_t       need;
    ssize_t      got;
    const char  *p;

    got = recv(c->fd, c->in + c->in_len, BUFFER - c->in_len, 0);

    if (got < 0 && errno == EAGAIN) {
        return;
    }

    if (got <= 0) {
        close_conn(c, 0);
        return;
    }

    c->in_len += got;
    last = c->in + c->in_len;
    done = 0;

    for (head = c->in; c->n && !done && head < last; head = body + need) {

        body = memmem(head, last - head, "\r\n\r\n", 4);

        if (body == NULL) {
            break;
        }

        body += 4;

        p = header(head, body, "Content-Length", &len);
        need = len ? strtoul(p, NULL, 10) : 0;

        if ((size_t) (last - body) < need) {
            break;
        }

        p = header(head, body, "Connection", &len);
        done = (len == 5 && strncasecmp(p, "close", 5) == 0);

        note(c, head, body);
    }

    if (done) {
        close_conn(c, 1);
        return;
    }

    c->in_len = last - head;
    memmove(c->in, head, c->in_len);

    if (c->in_len == BUFFER) {
        errno = EMSGSIZE;
        stop("an answer is too long");
    }
}


static double
quantile(double part)
{
    int   i;
    long  n;

    n = 0;

    for (i = 0; i < TIMES; i++) {
        n += times[i];

        if (n >= part * answered) {
            break;
        }
    }

    return i / 10.0;
}


static void
report(long unanswered)
{
    int  i;

    for (i = 0; i < nkeys; i++) {
        printf("%ld\t%s\n", keys[i].n, keys[i].text);
    }

    printf("# sent %ld\n# answered %ld\n# retried %ld\n# lost %ld\n"
           "# unanswered %ld\n# ms %.0f\n# p50 %.1f\n# p99 %.1f\n"
           "# max %.1f\n# last %.3f\n", next, answered, retried, lost,
           unanswered, now() - begun, quantile(0.5), quantile(0.99), longest,
           last_answer / 1000);

    if (conf.out && fclose(conf.out) != 0) {
        stop("write");
    }
}


static long
run(conn_t *conns)
{
    int                 i, n, idle;
    long                busy;
    conn_t             *c;
    struct epoll_event  events[EVENTS];

    for (i = 0; i < conf.conns; i++) {
        open_conn(&conns[i]);
    }

    for (i = 0; i < conf.conns; i++) {
        fill(&conns[i]);
    }

    last_answer = now();
    idle = 0;

    for ( ;; ) {
        busy = 0;

        for (i = 0; i < conf.conns; i++) {
            busy += conns[i].n;
        }

        if (busy == 0 && !more()) {
            return 0;
        }

        /* in turn, so that all connections are used at any rate */

        for (i = 0; conf.rate && i < conf.conns && more() && due(); i++) {
            idle = (idle + 1) % conf.conns;

            if (conns[idle].n < conf.depth) {
                fill(&conns[idle]);
            }
        }

        if (now() - last_answer > SILENCE) {
            return busy;
        }

        /* many are looked through once for many events */

        for (i = 0; i < 16; i++) {
            n = epoll_wait(ep, events, EVENTS,
                           i ? 0 : conf.rate ? 1 : 1000);

            if (n <= 0) {
                break;
            }

            while (n--) {
                c = events[n].data.ptr;

                if (events[n].events & (EPOLLIN|EPOLLHUP|EPOLLERR)) {
                    answers(c);
                }

                if (c->fd >= 0) {
                    fill(c);
                }
            }
        }
    }
}


static void
options(int argc, char **argv)
{
    int     ch;
    size_t  len;

    conf.conns = conf.depth = 1;
    conf.text = "/";
    conf.method = "GET";

    while ((ch = getopt(argc, argv, "c:d:n:q:f:t:m:H:k:o:sr")) != -1) {

        switch (ch) {

        case 'c':
            conf.conns = atoi(optarg);
            break;

        case 'd':
            conf.depth = atoi(optarg);
            break;

        case 'n':
            conf.n = atol(optarg);
            break;

        case 'q':
            conf.rate = atol(optarg);
            break;

        case 'm':
            conf.method = optarg;
            break;

        case 'f':
            read_lines(optarg);
            break;

        case 't':
            conf.text = optarg;
            break;

        case 'H':
            len = strlen(conf.headers);
            snprintf(conf.headers + len, sizeof(conf.headers) - len,
                     "%s\r\n", optarg);
            break;

        case 'k':
            conf.names[conf.nnames++ % NAMES_MAX] = optarg;
            break;

        case 'o':
            conf.out = fopen(optarg, "w");
            break;

        case 's':
            conf.seq = 1;
            break;

        case 'r':
            conf.retry = 1;
            break;

        default:
            exit(1);
        }
    }

    conf.socket = argv[optind];

    if (conf.socket == NULL || conf.conns < 1 || conf.depth < 1
        || conf.depth > DEPTH_MAX || conf.nnames > NAMES_MAX)
    {
        errno = EINVAL;
        stop("options");
    }
}


int
main(int argc, char **argv)
{
    long           unanswered;
    conn_t        *conns;
    struct rlimit  limit;

    options(argc, argv);

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void) setrlimit(RLIMIT_NOFILE, &limit);
    }

    signal(SIGTERM, on_term);

    ep = epoll_create1(0);
    conns = calloc(conf.conns, sizeof(conn_t));

    if (ep < 0 || conns == NULL) {
        stop("start");
    }

    begun = now();
    unanswered = run(conns);

    report(unanswered);
    free(conns);

    return 0;
}
