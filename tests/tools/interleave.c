
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * interleave REDIS GATE N SEED NAMES: the Redis of a gate with two workers,
 * and the clients of both.  All that Redis writes goes through four streams,
 * replies and invalidations of each worker, that move on by chance, so that a
 * change may be before or behind any reply that it makes old.  Ends when N
 * replies were old when they were sent.
 *
 * An answer is stale if it tells what was changed before its request was
 * sent, and a worker had read the change by then: it had answered a request
 * that came after it.  Which version it tells is in X-Is:
 *
 *   "THREAT COMPLIANCE OS", OS being the device's name, or "unknown_device"
 *
 * NAMES has the names of keys, a line each: of each alias d0, d1, ... and,
 * behind it, of the devices d0-0 to d0-3 that it may lead to.
 *
 * Prints "# NAME VALUE".
 */


#define _GNU_SOURCE

#include <linux/sockios.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>

#include "wire.h"


#define WORKERS     2
#define KEYS        64
#define PER_KEY     4               /* devices that an alias may lead to */
#define THINGS      (KEYS * (1 + PER_KEY))
#define CLIENTS     48              /* of each worker */
#define STREAMS     16
#define VERSIONS    56              /* that can be told apart */
#define WINDOW      40
#define SILENCE     30000           /* ms */
#define BATCH       64
#define UNREAD      65536           /* bytes on their way to a worker */
#define PENDING     1024            /* in a stream */


/* an alias, or a device, and which of its versions are about */

typedef struct {
    char         name[64];          /* of the key in Redis */
    char         id[64];
    int          key;
    long         current;
    long         floor;             /* nobody may tell an older one */
    long         released[WORKERS]; /* its invalidation was sent */
} thing_t;


typedef struct {
    wire_buf_t   text;
    thing_t     *thing;             /* NULL: about none */
    long         version;
} item_t;


typedef struct {
    int          fd;                /* -1: it is closed */
    int          worker;
    int          subscribed;
    int          link;
    long         epoch;             /* of its connections */
    wire_buf_t   in;
    item_t      *items;             /* a ring */
    size_t       first;
    size_t       n;
    size_t       size;
    thing_t    **thing;             /* of invalidations that were sent */
    long        *version;
    size_t       sent;
    size_t       sent_size;
    size_t       read;              /* of them, and nothing is in between */
    size_t       done;              /* of them, have made a floor */
} stream_t;


typedef struct {
    int          fd;
    int          worker;
    int          busy;
    int          key;
    stream_t    *link;              /* when it was sent, NULL: there is none */
    long         epoch;
    size_t       read;
    long         alias;             /* floors of then */
    long         device[PER_KEY];
    wire_buf_t   in;
} client_t;


static thing_t    things[THINGS];
static stream_t   streams[STREAMS];
static int        nstreams;
static pid_t      pids[WORKERS];
static int        npids;
static client_t   clients[WORKERS * CLIENTS];  /* by worker */
static stream_t  *links[WORKERS];
static int        listening;
static char      *gate;
static long       wanted, asked, answered, hits, stale, away, replies, old;
static long       told_own, told_other, told_both, told_none, changes, lost;
static double     last_answer;

static const char  *threats[] = {
    "secured", "lowSeverity", "mediumSeverity", "highSeverity", "compromised",
    "activated", "deactivated", "misconfigured"
};

static const char  *compliances[] = {
    "compliant", "noncompliant", "conflict", "error", "inGracePeriod",
    "configManager", "unknown"
};


static long
chance(long n)
{
    return random() % n;
}


static thing_t *
alias_of(int key)
{
    return &things[key * (1 + PER_KEY)];
}


static thing_t *
device_of(int key, int i)
{
    return &things[key * (1 + PER_KEY) + 1 + i];
}


/* what a version says: an alias leads to a device, or is not there */

static int
alias_leads(long version)
{
    return version % 7 == 6 ? -1 : version % PER_KEY;
}


static int
device_absent(long version)
{
    return version % 11 == 10;
}


static void
device_text(const thing_t *thing, long version, char *text)
{
    sprintf(text, "%s %s %s", threats[version % 8],
            compliances[version % VERSIONS / 8], thing->id);
}


/* streams */

static item_t *
add_item(stream_t *s)
{
    size_t   i;
    item_t  *items;

    if (s->n == s->size) {
        items = calloc(s->size * 2 + 64, sizeof(item_t));

        for (i = 0; i < s->n; i++) {
            items[i] = s->items[(s->first + i) % s->size];
        }

        free(s->items);
        s->items = items;
        s->size = s->size * 2 + 64;
        s->first = 0;
    }

    return memset(&s->items[(s->first + s->n++) % s->size], 0,
                  sizeof(item_t));
}


static void
change(thing_t *thing)
{
    int      i;
    char    *name;
    item_t  *item;

    thing->current++;
    changes++;
    name = thing->name;

    for (i = 0; i < WORKERS; i++) {

        if (links[i] == NULL) {
            continue;
        }

        item = add_item(links[i]);
        wire_invalidation(&item->text, &name, 1);
        item->thing = thing;
        item->version = thing ? thing->current : 0;
    }
}


static void
may_change(thing_t *thing)
{
    int  i;

    for (i = 0; i < WORKERS; i++) {
        if (links[i] && links[i]->n > PENDING) {
            return;
        }
    }

    if (thing->current - thing->floor < WINDOW) {
        change(thing);
    }
}


/*
 * A worker that has no answer to its PING for long, because this process did
 * not run, makes its link anew.  What was on its way there is lost, and
 * nobody has read it.
 */

static void
close_stream(stream_t *s)
{
    for ( /* void */ ; s->n; s->n--) {
        free(s->items[s->first].text.p);
        s->first = (s->first + 1) % s->size;
    }

    if (links[s->worker] == s) {
        links[s->worker] = NULL;
    }

    close(s->fd);

    s->fd = -1;
    s->epoch++;
    s->subscribed = s->link = 0;
    s->in.len = 0;
    s->sent = s->read = s->done = 0;

    lost++;
}


/* how a reply stands to the invalidation that makes it old */

static void
classify(stream_t *s, item_t *item)
{
    int  own, other;

    replies++;

    if (item->version == item->thing->current) {
        return;
    }

    old++;
    own = item->thing->released[s->worker] > item->version;
    other = item->thing->released[!s->worker] > item->version;

    told_both += own && other;
    told_own += own && !other;
    told_other += other && !own;
    told_none += !own && !other;
}


static void
sent_invalidation(stream_t *s, item_t *item)
{
    item->thing->released[s->worker] = item->version;

    if (s->sent == s->sent_size) {
        s->sent_size = s->sent_size * 2 + 1024;
        s->thing = realloc(s->thing, s->sent_size * sizeof(thing_t *));
        s->version = realloc(s->version, s->sent_size * sizeof(long));
    }

    s->thing[s->sent] = item->thing;
    s->version[s->sent++] = item->version;
}


static void
move_on(stream_t *s, size_t n)
{
    int                unread;
    item_t            *item;
    static wire_buf_t  out;

    if (s->fd < 0
        || (ioctl(s->fd, SIOCOUTQ, &unread) == 0 && unread > UNREAD))
    {
        return;
    }

    for (out.len = 0; n && s->n; n--, s->n--) {
        item = &s->items[s->first];
        s->first = (s->first + 1) % s->size;

        wire_add(&out, item->text.p, item->text.len);
        free(item->text.p);

        if (item->thing == NULL) {
            continue;
        }

        if (s->link) {
            sent_invalidation(s, item);

        } else {
            classify(s, item);
        }
    }

    if (out.len && send(s->fd, out.p, out.len, MSG_NOSIGNAL)
                   != (ssize_t) out.len)
    {
        if (errno != EPIPE && errno != ECONNRESET) {
            wire_stop("send to a worker");
        }

        close_stream(s);
    }
}


/* Redis */

static thing_t *
thing_of(const wire_command_t *command)
{
    int      i;
    size_t   len;

    len = (command->argc > 1) ? command->len[1] : 0;

    for (i = 0; i < THINGS; i++) {
        if (memcmp(things[i].name, command->argv[1], len) == 0
            && things[i].name[len] == '\0')
        {
            return &things[i];
        }
    }

    return NULL;
}


static void
answer_device(thing_t *thing, wire_command_t *command, wire_buf_t *out)
{
    int    i, absent;
    char   text[128], *threat, *compliance, *os, *p;

    absent = (thing == NULL || device_absent(thing->current));
    p = text;

    if (!absent) {
        device_text(thing, thing->current, text);
    }

    threat = absent ? NULL : strsep(&p, " ");
    compliance = absent ? NULL : strsep(&p, " ");
    os = absent ? NULL : p;

    wire_print(out, "*%d\r\n", command->argc - 2);

    for (i = 2; i < command->argc; i++) {
        p = wire_is(command, i, "threat") ? threat
            : wire_is(command, i, "compliance") ? compliance
            : wire_is(command, i, "os") ? os : NULL;

        if (p) {
            wire_bulk(out, p, strlen(p));

        } else {
            wire_print(out, "$-1\r\n");
        }
    }
}


static void
execute(stream_t *s, wire_command_t *command)
{
    int       to;
    item_t   *item;
    thing_t  *thing;

    item = add_item(s);

    if (wire_hello(command, s - streams + 1, &s->subscribed, &item->text)) {

        if (s->subscribed && !s->link) {
            s->link = 1;
            links[s->worker] = s;
        }

        return;
    }

    thing = thing_of(command);

    if (wire_is(command, 0, "PTTL")) {
        wire_print(&item->text, ":3600000\r\n");
        return;
    }

    item->thing = thing;
    item->version = thing ? thing->current : 0;

    if (wire_is(command, 0, "HMGET")) {
        answer_device(thing, command, &item->text);
        return;
    }

    to = thing ? alias_leads(thing->current) : -1;

    if (to < 0) {
        wire_print(&item->text, "$-1\r\n");

    } else {
        thing = device_of(thing->key, to);
        wire_bulk(&item->text, thing->id, strlen(thing->id));
    }
}


static void
commands(stream_t *s)
{
    size_t          at, used;
    ssize_t         n;
    wire_command_t  command;

    n = recv(s->fd, wire_room(&s->in, 65536), 65536, 0);

    if (n < 0 && errno == EAGAIN) {
        return;
    }

    if (n <= 0) {
        close_stream(s);
        return;
    }

    s->in.len += n;

    for (at = 0; at < s->in.len; at += used) {
        used = wire_command(s->in.p + at, s->in.len - at, &command);

        if (used == 0) {
            break;
        }

        execute(s, &command);
    }

    wire_shift(&s->in, at);
}


static void
accept_stream(void)
{
    int             fd, i;
    stream_t       *s;
    socklen_t       len;
    struct ucred    peer;

    fd = accept(listening, NULL, NULL);

    if (fd < 0) {
        return;
    }

    len = sizeof(peer);

    for (s = streams; s < streams + nstreams && s->fd >= 0; s++) { /* void */ }

    if (s == streams + STREAMS
        || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0)
    {
        wire_stop("another connection to redis");
    }

    for (i = 0; i < npids && pids[i] != peer.pid; i++) { /* void */ }

    if (i == WORKERS) {
        wire_stop("another worker");
    }

    if (i == npids) {
        pids[npids++] = peer.pid;
    }

    wire_nonblocking(fd);

    nstreams += (s == streams + nstreams);

    s->fd = fd;
    s->worker = i;
}


/* clients */

static void
ask(client_t *c, int key)
{
    int        i, len, unread;
    char       text[128];
    stream_t  *link;

    link = links[c->worker];

    /* a worker reads what it has, and then handles other events */

    if (link && ioctl(link->fd, SIOCOUTQ, &unread) == 0 && unread == 0) {
        link->read = link->sent;
    }

    c->link = link;
    c->epoch = link ? link->epoch : 0;
    c->read = link ? link->read : 0;
    c->key = key;
    c->busy = 1;
    c->alias = alias_of(key)->floor;

    for (i = 0; i < PER_KEY; i++) {
        c->device[i] = device_of(key, i)->floor;
    }

    len = sprintf(text, "GET /x?device=d%d HTTP/1.1\r\n"
                  "Host: mail.example.com\r\n\r\n", key);

    if (send(c->fd, text, len, MSG_NOSIGNAL) != len) {
        wire_stop("send to the gate");
    }

    asked++;
}


/* whether an answer may be: some version since the floor says so */

static int
may_be_unknown(client_t *c)
{
    int   to;
    long  a, v;

    for (a = c->alias; a <= alias_of(c->key)->current; a++) {
        to = alias_leads(a);

        if (to < 0) {
            return 1;
        }

        for (v = c->device[to]; v <= device_of(c->key, to)->current; v++) {
            if (device_absent(v)) {
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

    for (a = c->alias; a <= alias_of(c->key)->current; a++) {
        to = alias_leads(a);

        if (to < 0) {
            continue;
        }

        device = device_of(c->key, to);

        for (v = c->device[to]; v <= device->current; v++) {
            device_text(device, v, text);

            if (!device_absent(v) && strcmp(text, is) == 0) {
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

    answered++;
    hits += (strcmp(lookup, "HIT") == 0);
    last_answer = wire_now();

    if (strcmp(is, "store_unavailable") == 0) {
        away++;

    } else if (strcmp(is, "unknown_device") == 0 ? !may_be_unknown(c)
                                                 : !may_be(c, is))
    {
        if (stale++ < 5) {
            fprintf(stderr, "stale: d%d is \"%s\" (%s), alias %ld to %ld\n",
                    c->key, is, lookup, c->alias,
                    alias_of(c->key)->current);
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


static void
input(client_t *c)
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

static void
connect_clients(void)
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
        worker = (atoi(pid) == pids[1]);

        if (n[worker] == CLIENTS) {
            close(fd);
            continue;
        }

        wire_nonblocking(fd);

        c = &clients[worker * CLIENTS + n[worker]++];
        c->fd = fd;
        c->worker = worker;
    }
}


static void
events(int wait)
{
    int            i, k, n;
    client_t      *asking[WORKERS * CLIENTS];
    struct pollfd  pfd[1 + STREAMS + WORKERS * CLIENTS];

    pfd[0].fd = listening;

    for (n = 1, i = 0; i < nstreams; i++) {
        pfd[n++].fd = streams[i].fd;
    }

    for (i = 0; i < WORKERS * CLIENTS; i++) {
        if (clients[i].busy) {
            asking[n - 1 - nstreams] = &clients[i];
            pfd[n++].fd = clients[i].fd;
        }
    }

    for (i = 0; i < n; i++) {
        pfd[i].events = POLLIN;
    }

    if (poll(pfd, n, wait) <= 0) {
        return;
    }

    k = nstreams;

    for (i = 1; i < n; i++) {
        if (pfd[i].revents == 0) {
            continue;
        }

        if (i <= k) {
            commands(&streams[i - 1]);

        } else {
            input(asking[i - 1 - k]);
        }
    }

    if (pfd[0].revents) {
        accept_stream();
    }
}


static int
busy(void)
{
    int  i, n;

    for (i = n = 0; i < WORKERS * CLIENTS; i++) {
        n += clients[i].busy;
    }

    return n;
}


/* some of what may happen, in an order that never comes again */

static void
turn(void)
{
    int        i, k;
    item_t    *item;
    stream_t  *s;

    for (i = 0; i < BATCH; i++) {
        s = &streams[chance(nstreams)];

        switch (chance(7)) {

        case 0:
        case 1:
            move_on(s, 1 + chance(16));
            break;

        case 2:
        case 3:

            /* what is under way to somebody changes */

            if (!s->link && s->n) {
                item = &s->items[(s->first + chance(s->n)) % s->size];

                if (item->thing && item->version == item->thing->current) {
                    may_change(item->thing);
                }
            }

            break;

        case 4:

            if (chance(16) == 0) {
                may_change(&things[chance(THINGS)]);
            }

            break;

        default:
            k = chance(WORKERS * CLIENTS);

            if (!clients[k].busy) {
                ask(&clients[k], chance(KEYS));
            }
        }
    }
}


/* until nothing is under way any more */

static void
drain(void)
{
    int     i;
    size_t  n;

    do {
        events(1);

        for (i = 0, n = 0; i < nstreams; i++) {
            move_on(&streams[i], PENDING);
            n += streams[i].n;
        }

    } while (busy() || n || links[0] == NULL || links[1] == NULL);
}


/* in the end all is as Redis has it */

static void
settle(void)
{
    int   i, k, w, round;
    long  before;

    drain();

    for (i = 0; i < THINGS; i++) {
        if (things[i].floor != things[i].current) {
            change(&things[i]);
        }
    }

    drain();

    for (round = 0; round < 3; round++) {
        for (k = 0; k < KEYS; k++) {
            for (w = 0; w < WORKERS; w++) {

                before = answered;
                ask(&clients[w * CLIENTS], k);

                while (answered == before) {
                    for (i = 0; i < nstreams; i++) {
                        move_on(&streams[i], PENDING);
                    }

                    events(10);
                }
            }
        }
    }

    for (i = 0; i < THINGS; i++) {
        if (things[i].floor != things[i].current) {
            errno = ENOMSG;
            wire_stop("a change was not read");
        }
    }
}


static void
init_things(const char *names)
{
    int       i, n;
    FILE     *in;
    thing_t  *thing;

    in = fopen(names, "r");

    for (i = 0; i < THINGS; i++) {
        thing = &things[i];
        thing->key = i / (1 + PER_KEY);
        n = i % (1 + PER_KEY) - 1;

        sprintf(thing->id, n < 0 ? "d%d" : "d%d-%d", thing->key, n);

        if (in == NULL || fscanf(in, "%63s", thing->name) != 1) {
            wire_stop(names);
        }
    }

    fclose(in);
}


int
main(int argc, char **argv)
{
    int     i;
    double  start;

    if (argc != 6) {
        errno = EINVAL;
        wire_stop("interleave REDIS GATE N SEED NAMES");
    }

    gate = argv[2];
    wanted = atol(argv[3]);
    srandom(atol(argv[4]));

    init_things(argv[5]);
    listening = wire_listen(argv[1]);

    while (links[0] == NULL || links[1] == NULL) {
        events(1000);

        for (i = 0; i < nstreams; i++) {
            move_on(&streams[i], PENDING);
        }
    }

    connect_clients();

    start = last_answer = wire_now();

    while (old < wanted) {
        turn();
        events(0);

        if (wire_now() - last_answer > SILENCE) {
            errno = ETIMEDOUT;
            wire_stop("no answer any more");
        }
    }

    settle();

    printf("# asked %ld\n# answered %ld\n# hits %ld\n# changes %ld\n"
           "# replies %ld\n# old %ld\n# both %ld\n# own %ld\n# other %ld\n"
           "# none %ld\n# stale %ld\n# away %ld\n# lost %ld\n# ms %.0f\n",
           asked, answered, hits, changes, replies, old, told_both, told_own,
           told_other, told_none, stale, away, lost, wire_now() - start);

    return 0;
}
