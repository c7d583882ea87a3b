
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * The gate as a whole, in this process: nginx with its event loop, between a
 * client whose bytes are the input, a Redis and a backend.  All of these are
 * sockets of this process and are served in turn with the loop, and time
 * passes only when nothing else does.
 *
 * The input is a letter for the server, one for how the request arrives, and
 * the request; then, behind FUZZ_MARK, what Redis says instead of its first
 * answer.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include <setjmp.h>

#include <sanitizer/lsan_interface.h>

#include "fuzz.h"
#include "fuzz_backend.h"
#include "fuzz_redis.h"


#define FUZZ_MARK          "\xff\xff"
#define FUZZ_TURNS         2000
#define FUZZ_STEP          60000    /* ms, if nothing has a timer */
#define FUZZ_ANSWER        65536


/* of an answer while it is read */

typedef struct {
    int            status;
    unsigned long  headers;         /* those of the list that are there */
    long           length;          /* -1: not said */
    unsigned       chunked;
    unsigned       backend;         /* it is the backend's */
    unsigned       refused;         /* the gate's */
} fuzz_answer_t;


int LLVMFuzzerInitialize(int *argc, char ***argv);

int nginx_main(int argc, char *const *argv);

int __real_epoll_wait(int ep, struct epoll_event *events, int n, int timeout);
int __wrap_epoll_wait(int ep, struct epoll_event *events, int n, int timeout);
int __wrap_gettimeofday(struct timeval *tv, void *tz);
int __wrap_clock_gettime(clockid_t id, struct timespec *ts);
void __real_ngx_process_events_and_timers(ngx_cycle_t *cycle);
void __wrap_ngx_process_events_and_timers(ngx_cycle_t *cycle);


static const char  *fuzz_servers[] = { "value", "eas", "open", "sharepoint" };
static const char  *fuzz_profiles[] = {
    "exchange", "exchange", "exchange", "sharepoint"
};


static char         fuzz_dir[] = "/tmp/mtd-fuzz.XXXXXX";
static char         fuzz_error_log[64];
static jmp_buf      fuzz_started;
static uint64_t     fuzz_now = 1767225600000;       /* ms */
static int          fuzz_idle;
static ngx_uint_t   fuzz_connections;
static off_t        fuzz_logged;
static u_char       fuzz_answer[FUZZ_ANSWER];


int
__wrap_gettimeofday(struct timeval *tv, void *tz)
{
    tv->tv_sec = fuzz_now / 1000;
    tv->tv_usec = fuzz_now % 1000 * 1000;

    return 0;
}


int
__wrap_clock_gettime(clockid_t id, struct timespec *ts)
{
    ts->tv_sec = fuzz_now / 1000;
    ts->tv_nsec = fuzz_now % 1000 * 1000000;

    return 0;
}


/* nobody waits: if there is nothing to do, it is later at once */

int
__wrap_epoll_wait(int ep, struct epoll_event *events, int n, int timeout)
{
    int  rc;

    rc = __real_epoll_wait(ep, events, n, 0);

    if (rc == 0 && fuzz_idle) {
        fuzz_now += (timeout < 0) ? FUZZ_STEP : timeout;
    }

    return rc;
}


/* nginx comes here as soon as it has started, and does not come back */

void
__wrap_ngx_process_events_and_timers(ngx_cycle_t *cycle)
{
    longjmp(fuzz_started, 1);
}


static void
fuzz_turn(void)
{
    int  busy;

    busy = fuzz_redis_serve();
    busy |= fuzz_backend_serve();

    fuzz_idle = !busy;

    __real_ngx_process_events_and_timers((ngx_cycle_t *) ngx_cycle);
}


static void
fuzz_configure(const char *conf)
{
    FILE        *in, *out;
    char         line[256];
    const char  *at;

    in = fopen(FUZZ_CONF, "r");
    out = fopen(conf, "w");

    fuzz_check(in && out, "no configuration");

    while (fgets(line, sizeof(line), in)) {

        at = strstr(line, "@DIR@");

        if (at) {
            fprintf(out, "%.*s%s%s", (int) (at - line), line, fuzz_dir,
                    at + sizeof("@DIR@") - 1);

        } else {
            fputs(line, out);
        }
    }

    fclose(in);
    fclose(out);
}


static void
fuzz_remove(void)
{
    char  command[128];

    (void) snprintf(command, sizeof(command), "rm -rf %s", fuzz_dir);

    if (system(command) != 0) {
        perror(command);
    }
}


/* what nginx has logged at its start */

static off_t
fuzz_log_size(void)
{
    struct stat  st;

    fuzz_check(stat(fuzz_error_log, &st) == 0, "no log");

    return st.st_size;
}


int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
    int          errors;
    size_t       i;
    static char  conf[64];

    static char  *args[] = {
        "nginx", "-p", fuzz_dir, "-c", conf, "-e", fuzz_error_log, NULL
    };

    /* those of libFuzzer, which takes none that are taken */

    static const int  signals[] = {
        SIGALRM, SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGWINCH, SIGQUIT
    };

    fuzz_check(mkdtemp(fuzz_dir), "no directory");
    atexit(fuzz_remove);

    (void) snprintf(conf, sizeof(conf), "%s/nginx.conf", fuzz_dir);
    (void) snprintf(fuzz_error_log, sizeof(fuzz_error_log), "%s/error.log",
                    fuzz_dir);

    fuzz_configure(conf);
    fuzz_redis_listen(fuzz_dir);
    fuzz_backend_listen(fuzz_dir);

    /* nginx takes it for its log, and its start leaves things behind */

    errors = dup(STDERR_FILENO);
    __lsan_disable();

    if (setjmp(fuzz_started) == 0) {
        (void) nginx_main(sizeof(args) / sizeof(args[0]) - 1, args);
        fuzz_check(0, "nginx does not start, or has ended");
    }

    __lsan_enable();
    (void) dup2(errors, STDERR_FILENO);
    (void) close(errors);


    for (i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        (void) signal(signals[i], SIG_DFL);
    }

    for (i = 0; i < FUZZ_TURNS && !fuzz_redis_ready(); i++) {
        fuzz_turn();
    }

    fuzz_check(fuzz_redis_ready(), "nginx does not come to redis");

    fuzz_turn();
    fuzz_connections = ngx_cycle->free_connection_n;
    fuzz_logged = fuzz_log_size();

    return 0;
}


/* the end of what has come of the server, 0 if it goes on */

static int
fuzz_read(int fd, size_t *len)
{
    ssize_t  n;

    n = read(fd, fuzz_answer + *len, FUZZ_ANSWER - 1 - *len);

    if (n > 0) {
        *len += n;
        fuzz_check(*len < FUZZ_ANSWER - 1, "an answer without an end");
        return 0;
    }

    return n == 0 || (errno != EAGAIN && errno != EINTR);
}


static void
fuzz_send(int fd, const uint8_t *data, size_t size)
{
    ssize_t  n;

    while (size) {
        n = send(fd, data, size, MSG_NOSIGNAL);

        if (n <= 0) {

            /* it was refused before its end */

            return;
        }

        data += n;
        size -= n;
    }
}


/* the end of a line, behind its CR LF */

static char *
fuzz_line_end(char *p, char *last)
{
    char  *end;

    end = memmem(p, last - p, "\r\n", 2);
    fuzz_check(end, "an answer is cut off");

    return end + 2;
}


/* one of those that an answer may have, and only once */

static void
fuzz_answer_header(fuzz_answer_t *a, char *p, char *end)
{
    char    *colon;
    size_t   i, len;

    static const char  *names[] = {
        "Server", "Date", "Content-Type", "Content-Length",
        "Transfer-Encoding", "Connection", "Allow", "Location",
        "Retry-After", "Cache-Control", "X-Backend", "X-MTD-Reference",
        "X-MTD-Reason", "X-RequestType", "X-RequestId", "X-ClientInfo",
        "X-ResponseCode", "X-MSDAVEXT_ERROR", "X-FORMS_BASED_AUTH_REQUIRED",
        "X-FORMS_BASED_AUTH_RETURN_URL", "X-FORMS_BASED_AUTH_DIALOG_SIZE"
    };

    colon = memchr(p, ':', end - p);
    fuzz_check(colon && colon[1] == ' ', "no header");

    len = colon - p;

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strlen(names[i]) == len && memcmp(names[i], p, len) == 0) {
            break;
        }
    }

    fuzz_check(i < sizeof(names) / sizeof(names[0]),
               "a header of which nobody knows");
    fuzz_check((a->headers & 1UL << i) == 0, "a header that is there twice");
    a->headers |= 1UL << i;

    for (p = colon + 2; p < end - 2; p++) {
        fuzz_check(*p != '\r' && *p != '\n' && *p != '\0',
                   "a byte in a header");
    }

    p = colon + 2;

    if (strcmp(names[i], "Content-Length") == 0) {
        a->length = strtol(p, NULL, 10);

    } else if (strcmp(names[i], "Transfer-Encoding") == 0) {
        fuzz_check(end - p == 9 && memcmp(p, "chunked", 7) == 0, "encoding");
        a->chunked = 1;

    } else if (strcmp(names[i], "X-Backend") == 0) {
        a->backend = 1;

    } else if (strcmp(names[i], "X-MTD-Reference") == 0) {
        a->refused = 1;
    }
}


static char *
fuzz_answer_body(fuzz_answer_t *a, char *p, char *last)
{
    long   n;
    char  *end;

    if (a->status < 200 || a->status == 204 || a->status == 304) {
        return p;
    }

    /* of HEAD, of which there is no more to see */

    if (p == last || memcmp(p, "HTTP/1.1 ", ngx_min(last - p, 9)) == 0) {
        return p;
    }

    if (a->chunked) {
        do {
            n = strtol(p, &end, 16);
            fuzz_check(end > p && end[0] == '\r', "no chunk");

            p = fuzz_line_end(end, last);
            fuzz_check(n >= 0 && n + 2 <= last - p
                       && memcmp(p + n, "\r\n", 2) == 0, "no end of a chunk");
            p += n + 2;
        } while (n);

        return p;
    }

    fuzz_check(a->length <= last - p, "a body is cut off");

    return (a->length >= 0) ? p + a->length : last;
}


/*
 * All that has come: answers, one for a request at most, and nothing between
 * them.  The last may be one to HTTP/0.9, without a head.
 */

static void
fuzz_answers(size_t requests, size_t len)
{
    char           *p, *last, *end;
    size_t          n, backend;
    fuzz_answer_t   a;

    p = (char *) fuzz_answer;
    last = p + len;
    n = 0;
    backend = fuzz_backend_seen();

    while (p < last) {

        memset(&a, 0, sizeof(a));
        a.length = -1;

        if (last - p < 9 || memcmp(p, "HTTP/1.1 ", 9) != 0) {
            fuzz_check(memmem(p, last - p, "HTTP/1.1 ", 9) == NULL,
                       "an answer behind what is none");
            fuzz_check(backend == (last - p == 2 && memcmp(p, "ok", 2) == 0),
                       "what is no answer");
            backend = 0;
            break;
        }

        a.status = atoi(p + 9);

        for (p = fuzz_line_end(p, last); ; p = end) {
            end = fuzz_line_end(p, last);

            if (end == p + 2) {
                break;
            }

            fuzz_answer_header(&a, p, end);
        }

        p = fuzz_answer_body(&a, end, last);

        fuzz_check(a.status >= 100 && a.status < 600, "status");

        /* a SOAP fault has no other status */

        fuzz_check(a.status != 500
                   || (a.refused
                       && memmem(end, p - end, "<faultcode", 10)),
                   "an error of the server");

        fuzz_check(!a.backend || (!a.refused && a.status == 200 && backend),
                   "two answers in one");

        backend -= a.backend;
        n += (a.status >= 200);
    }

    fuzz_check(backend == 0, "an answer of the backend is lost");
    fuzz_check(n <= requests, "more answers than requests");
}


/* the gate's own lines have a pseudonym, and none of nginx's context */

static void
fuzz_log_line(const char *p, const char *end)
{
    size_t       n;
    const char  *msg, *device;

    static const char  name[] = ", device: ";

    /* "2026/01/01 00:00:00 [error] 1#1: *1 mtd ..." */

    fuzz_check(end - p > 27 && (memcmp(p + 20, "[error] ", 8) == 0
                                || memcmp(p + 20, "[warn] ", 7) == 0
                                || memcmp(p + 20, "[notice] ", 9) == 0),
               "an alert");

    msg = memmem(p, end - p, ": ", 2);
    msg = (msg && msg[2] == '*') ? memchr(msg + 2, ' ', end - msg - 2) + 1
                                 : msg ? msg + 2 : NULL;

    if (msg == NULL || end - msg < 4 || memcmp(msg, "mtd", 3) != 0
        || (msg[3] != ' ' && msg[3] != ':'))
    {
        return;
    }

    for ( /* void */ ; p < end; p++) {
        fuzz_check(*p >= ' ' && *p < 0x7f, "a byte in the log");
    }

    device = memmem(msg, end - msg, name, sizeof(name) - 1);

    if (device == NULL) {
        fuzz_check(memmem(msg, end - msg, "client: unix:", 13), "no client");
        return;
    }

    device += sizeof(name) - 1;
    n = strspn(device, "0123456789abcdef");

    fuzz_check((n == 16 && (device + n == end || device[n] == ','))
               || (n == 0 && device[0] == '-' && device[1] == ','),
               "a device in the log");
    fuzz_check(!memmem(msg, end - msg, ", request: ", 11)
               && !memmem(msg, end - msg, ", host: ", 8),
               "a context in the log");
}


static void
fuzz_log(void)
{
    int      fd;
    char    *p, *end;
    ssize_t  n;

    static char  text[FUZZ_ANSWER];

    fd = open(fuzz_error_log, O_RDWR);
    fuzz_check(fd != -1, "no log");

    n = pread(fd, text, sizeof(text), fuzz_logged);
    fuzz_check(n >= 0, "no log");

    for (p = text; p < text + n; p = end + 1) {
        end = memchr(p, '\n', text + n - p);

        if (end == NULL) {
            break;
        }

        fuzz_log_line(p, end);
    }

    fuzz_check(ftruncate(fd, fuzz_logged) == 0, "no log");
    (void) close(fd);
}


static void
fuzz_client(const char *server, const uint8_t *data, size_t size,
    size_t part)
{
    int      fd, turn, ended;
    size_t   len, requests;

    fd = fuzz_connect(fuzz_dir, server);
    len = 0;
    ended = 0;

    fuzz_send(fd, data, part);

    for (turn = 0; turn < FUZZ_TURNS; turn++) {

        if (turn == 4) {
            fuzz_send(fd, data + part, size - part);
            (void) shutdown(fd, SHUT_WR);
        }

        fuzz_turn();

        if (!ended && turn >= 4) {
            ended = fuzz_read(fd, &len);
        }

        if (ended && ngx_cycle->free_connection_n == fuzz_connections) {
            break;
        }
    }

    fuzz_check(ended, "the request hangs");
    fuzz_check(ngx_cycle->free_connection_n == fuzz_connections,
               "a connection stays open");

    (void) close(fd);

    fuzz_answer[len] = '\0';

    /* each has a line of its own */

    for (requests = 1; size; size--, data++) {
        requests += (*data == '\n');
    }

    fuzz_answers(requests, len);
}


/* all that a hostile redis has said is forgotten */

static void
fuzz_recover(void)
{
    int  turn;

    fuzz_redis_reset();

    for (turn = 0; turn < FUZZ_TURNS; turn++) {
        fuzz_turn();

        if (fuzz_redis_ready()
            && ngx_cycle->free_connection_n == fuzz_connections)
        {
            break;
        }
    }

    fuzz_check(turn < FUZZ_TURNS, "the gate does not come back to redis");

    fuzz_redis_forget();
    fuzz_turn();
    fuzz_turn();
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t          len, part;
    unsigned        server;
    const uint8_t  *mark;

    if (size < 3) {
        return 0;
    }

    server = data[0] % 4;
    part = data[1];

    data += 2;
    size -= 2;

    mark = memmem(data, size, FUZZ_MARK, sizeof(FUZZ_MARK) - 1);
    len = mark ? (size_t) (mark - data) : size;

    if (mark) {
        fuzz_redis_say(mark + sizeof(FUZZ_MARK) - 1,
                       size - len - (sizeof(FUZZ_MARK) - 1), part & 1);
    }

    /* a letter is a request that comes as one */

    part = (part >= 0x20 || part * 16 > len) ? len : part * 16;

    fuzz_backend_expect(fuzz_profiles[server],
                        strcmp(fuzz_servers[server], "open") == 0,
                        mark != NULL);
    fuzz_client(fuzz_servers[server], data, len, part);

    if (mark) {
        fuzz_recover();
    }

    fuzz_log();

    return 0;
}
