
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


/* what is in the log is an alert, or was there when nginx started */

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


/* MAPI over HTTP sends X-RequestType back as it came */

static int
fuzz_server_error(void)
{
    const char  *p, *line;

    static const char  status[] = "HTTP/1.1 500", echo[] = "X-RequestType: ";

    for (p = (char *) fuzz_answer; (p = strstr(p, status)) != NULL; p++) {

        for (line = p; line > (char *) fuzz_answer && line[-1] != '\n'; line--)
        {
            /* void */
        }

        if (strncmp(line, echo, sizeof(echo) - 1) != 0) {
            return 1;
        }
    }

    return 0;
}


static void
fuzz_client(const char *server, const uint8_t *data, size_t size,
    size_t part)
{
    int      fd, turn, ended;
    size_t   len;

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

    /* a SOAP fault has no other status */

    fuzz_check(!fuzz_server_error()
               || (strstr((char *) fuzz_answer, "X-MTD-Reference: ")
                   && strstr((char *) fuzz_answer, "<faultcode")),
               "an error of the server");
    fuzz_check(strncmp((char *) fuzz_answer, "HTTP/1.", 7) != 0
               || strchr("12345", fuzz_answer[9]), "no status");
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

    fuzz_backend_expect(fuzz_profiles[server], mark != NULL);
    fuzz_client(fuzz_servers[server], data, len, part);

    if (mark) {
        fuzz_recover();
    }

    fuzz_check(fuzz_log_size() == fuzz_logged, "an alert");

    return 0;
}
