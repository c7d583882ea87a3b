
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * scripted_redis SOCKET CONTROL JOURNAL: answers the gate as Redis would, and
 * does what it is told where it should do something else.  SOCKET may be a
 * port of 127.0.0.1 instead; whose connections those are is not known.
 *
 * Each line to CONTROL is answered by one, "ok ..." or "error ...".  Words
 * may have \r \n \s (a blank) \\ and \xHH.
 *
 *   set KEY VALUE, hset KEY FIELD VALUE ..., del KEY
 *                    a write, of which the links are told at once
 *   to PID|all|none  ... those of this process only, from here on
 *   tell KEY ...     an invalidation without a write
 *   flush            all records go, and the links are told
 *   push TEXT        these bytes, to each link
 *   kill data|push   closes these connections, of any process
 *   refuse on|off    new connections are closed at once
 *   rule COMMAND KEY WHEN FAULT ...
 *                    for a command whose name and key match (*, ?), CLIENT-ID
 *                    and CLIENT-TRACKING among them; WHEN is the occurrence:
 *                    N, N+ or *; several rules may match
 *   clear            no rules any more
 *   release          replies that are held are sent
 *   held             how many there are
 *   count COMMAND    how often it was asked
 *   open data|push   how many connections there are
 *
 * FAULT, of a reply:
 *
 *   delay MS         it comes later, and so do those behind it
 *   hold             ... or when it is released
 *   silence          from here on nothing is answered on this connection
 *   cut N            N bytes of it, and the connection is closed; -1: all
 *   split            each byte alone, after the last one has been read
 *   lie N            its first length is N more
 *   reply TEXT       these bytes instead
 *   add TEXT         these bytes more
 *   before LINE, after LINE
 *                    LINE, as to CONTROL, just then: a write whose
 *                    invalidation comes before or after this reply
 *
 * Each fault that is applied is a line of JOURNAL: time in ms, connection,
 * its role, command, key, occurrence, fault.
 */


#include "scripted.h"

#include <arpa/inet.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>


#define READ_WAIT  5000             /* ms for one byte to be read */


conn_t        *scripted_conns[CONNS];
int            scripted_n;
pid_t          scripted_told;
int            scripted_refusing;

static int     ids;
static FILE   *journal;


const char *
scripted_role(const conn_t *c)
{
    return c->control ? "control" : c->tracking ? "push" : "data";
}


void
scripted_note(conn_t *c, const char *format, ...)
{
    va_list  args;

    fprintf(journal, "%.3f\t%d\t%s\t", wire_now(), c ? c->id : 0,
            c ? scripted_role(c) : "-");

    va_start(args, format);
    vfprintf(journal, format, args);
    va_end(args);

    fputc('\n', journal);
    fflush(journal);
}


static conn_t *
add_conn(int fd, int is_control)
{
    conn_t        *c;
    socklen_t      len;
    struct ucred   peer;

    if (scripted_n == CONNS) {
        errno = EMFILE;
        wire_stop("connections");
    }

    wire_nonblocking(fd);

    len = sizeof(peer);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0) {
        wire_stop("SO_PEERCRED");
    }

    c = calloc(1, sizeof(conn_t));
    c->fd = fd;
    c->id = ++ids;
    c->pid = peer.pid;
    c->control = is_control;
    c->tail = &c->head;

    scripted_conns[scripted_n++] = c;

    return c;
}


void
scripted_free(item_t *item)
{
    free(item->text.p);
    free(item->faults.p);
    free(item->before);
    free(item->after);
    free(item);
}


void
scripted_close(conn_t *c)
{
    if (c->fd >= 0) {
        close(c->fd);
        c->fd = -1;
    }
}


static void
sweep(void)
{
    int      i, n;
    conn_t  *c;
    item_t  *item;

    for (i = n = 0; i < scripted_n; i++) {
        c = scripted_conns[i];

        if (c->fd >= 0) {
            scripted_conns[n++] = c;
            continue;
        }

        while (c->head) {
            item = c->head;
            c->head = item->next;
            scripted_free(item);
        }

        free(c->in.p);
        free(c);
    }

    scripted_n = n;
}


/* 0: it could not be sent, the connection is of no more use */

static int
send_all(conn_t *c, const char *p, size_t len)
{
    ssize_t        n;
    struct pollfd  pfd;

    while (len && c->fd >= 0) {
        n = send(c->fd, p, len, MSG_NOSIGNAL);

        if (n < 0 && errno == EAGAIN) {
            pfd.fd = c->fd;
            pfd.events = POLLOUT;
            n = (poll(&pfd, 1, READ_WAIT) == 1) ? 0 : -1;
        }

        if (n < 0) {
            scripted_close(c);
            return 0;
        }

        p += n;
        len -= n;
    }

    return c->fd >= 0;
}


static int
send_split(conn_t *c, const char *p, size_t len)
{
    int     unread;
    double  until;

    while (len--) {
        if (!send_all(c, p++, 1)) {
            return 0;
        }

        until = wire_now() + READ_WAIT;

        for ( ;; ) {
            if (ioctl(c->fd, SIOCOUTQ, &unread) != 0 || unread == 0) {
                break;
            }

            if (wire_now() > until) {
                errno = ETIMEDOUT;
                wire_stop("a byte is not read");
            }

            usleep(10);
        }
    }

    return 1;
}


static void
send_item(conn_t *c, item_t *item)
{
    size_t  len;

    if (item->faults.len) {
        scripted_note(c, "%s", item->faults.p);
    }

    if (item->before) {
        scripted_control_run(item->before);
    }

    len = item->text.len;

    if (item->cut && item->keep < len) {
        len = item->keep;
    }

    (void) (item->split ? send_split(c, item->text.p, len)
                        : send_all(c, item->text.p, len));

    if (item->after) {
        scripted_control_run(item->after);
    }

    if (item->cut) {
        scripted_close(c);
    }
}


/* what is due; returns how long to wait for the rest, in ms */

static int
flush_items(conn_t *c)
{
    double   wait;
    item_t  *item;

    while (c->fd >= 0 && c->head) {
        item = c->head;

        if (item->held) {
            return -1;
        }

        wait = item->due - wire_now();

        if (wait > 0) {
            return (int) wait + 1;
        }

        c->head = item->next;

        if (c->head == NULL) {
            c->tail = &c->head;
        }

        send_item(c, item);
        scripted_free(item);
    }

    return -1;
}


int
scripted_links(const char *p, size_t len)
{
    int      i, n;
    conn_t  *c;

    for (i = n = 0; i < scripted_n; i++) {
        c = scripted_conns[i];

        if (c->subscribed && c->fd >= 0
            && (scripted_told == 0 || scripted_told == c->pid))
        {
            n += send_all(c, p, len);
        }
    }

    return n;
}


int
scripted_tell(char **names, int n)
{
    int         links;
    wire_buf_t  text = { NULL, 0, 0 };

    wire_invalidation(&text, names, n);
    links = scripted_links(text.p, text.len);
    free(text.p);

    return links;
}


/* all that has come in; a part of a line or command stays */

static void
input(conn_t *c)
{
    char            *end;
    size_t           used;
    ssize_t          n;
    wire_buf_t       out = { NULL, 0, 0 };
    wire_command_t   command;

    n = recv(c->fd, wire_room(&c->in, 65536), 65536, 0);

    if (n < 0 && errno == EAGAIN) {
        return;
    }

    if (n <= 0) {
        scripted_close(c);
        return;
    }

    c->in.len += n;

    while (c->in.len && c->fd >= 0) {

        if (c->control) {
            end = memchr(c->in.p, '\n', c->in.len);

            if (end == NULL) {
                break;
            }

            *end = '\0';
            used = end + 1 - c->in.p;

            scripted_control(c->in.p, &out);
            (void) send_all(c, out.p, out.len);
            out.len = 0;

        } else {
            used = wire_command(c->in.p, c->in.len, &command);

            if (used == 0) {
                break;
            }

            scripted_rules_command(c, &command);
        }

        wire_shift(&c->in, used);
    }

    free(out.p);
}


static void
turn(int listen_fd, int control_fd)
{
    int            fd, i, n, wait, least;
    conn_t        *polled[CONNS];
    struct pollfd  pfd[CONNS + 2];

    least = -1;

    for (i = 0; i < scripted_n; i++) {
        wait = flush_items(scripted_conns[i]);
        least = (wait >= 0 && (least < 0 || wait < least)) ? wait : least;
    }

    sweep();

    pfd[0].fd = listen_fd;
    pfd[1].fd = control_fd;

    for (i = 0; i < scripted_n; i++) {
        polled[i] = scripted_conns[i];
        pfd[2 + i].fd = scripted_conns[i]->fd;
    }

    n = scripted_n;

    for (i = 0; i < n + 2; i++) {
        pfd[i].events = POLLIN;
        pfd[i].revents = 0;
    }

    if (poll(pfd, n + 2, least) <= 0) {
        return;
    }

    for (i = 0; i < n; i++) {
        if (pfd[2 + i].revents && polled[i]->fd >= 0) {
            input(polled[i]);
        }
    }

    for (i = 0; i < 2; i++) {
        if (pfd[i].revents) {
            fd = accept(pfd[i].fd, NULL, NULL);

            if (fd >= 0 && i == 0 && scripted_refusing) {
                close(fd);

            } else if (fd >= 0) {
                (void) add_conn(fd, i);
            }
        }
    }
}


static int
listen_at(const char *port)
{
    int                 fd, one;
    struct sockaddr_in  sin;

    memset(&sin, 0, sizeof(sin));
    sin.sin_family = AF_INET;
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    sin.sin_port = htons(atoi(port));

    one = 1;
    fd = socket(AF_INET, SOCK_STREAM, 0);

    if (fd < 0
        || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0
        || bind(fd, (struct sockaddr *) &sin, sizeof(sin)) != 0
        || listen(fd, 511) != 0)
    {
        wire_stop(port);
    }

    wire_nonblocking(fd);

    return fd;
}


int
main(int argc, char **argv)
{
    int  listen_fd, control_fd;

    if (argc != 4) {
        errno = EINVAL;
        wire_stop("scripted_redis SOCKET CONTROL JOURNAL");
    }

    signal(SIGPIPE, SIG_IGN);

    journal = fopen(argv[3], "w");

    if (journal == NULL) {
        wire_stop(argv[3]);
    }

    control_fd = wire_listen(argv[2]);
    listen_fd = strchr(argv[1], '/') ? wire_listen(argv[1])
                                     : listen_at(argv[1]);

    for ( ;; ) {
        turn(listen_fd, control_fd);
    }
}
