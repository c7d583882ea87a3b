
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * scripted_redis SOCKET CONTROL JOURNAL: answers the gate as Redis would, and
 * does what it is told where it should do something else.
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


#define _GNU_SOURCE

#include <fnmatch.h>
#include <limits.h>
#include <linux/sockios.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>

#include "wire.h"


#define CONNS      256
#define BUCKETS    4096
#define WORDS      64
#define COUNTS     32
#define READ_WAIT  5000             /* ms for one byte to be read */


typedef struct item_s  item_t;

struct item_s {
    item_t       *next;
    wire_buf_t    text;
    double        due;
    int           held;
    int           split;
    int           cut;              /* close after that many bytes */
    size_t        keep;
    char         *before;           /* control lines */
    char         *after;
    wire_buf_t    faults;           /* for the journal */
};


typedef struct {
    int           fd;
    int           id;
    pid_t         pid;              /* whose it is */
    int           control;
    int           subscribed;
    int           tracking;
    int           silent;
    wire_buf_t    in;
    item_t       *head;
    item_t      **tail;
} conn_t;


typedef struct rule_s  rule_t;

struct rule_s {
    rule_t       *next;
    char         *command;
    char         *key;
    long          from;
    long          to;
    long          seen;
    char         *fault;
    char         *text;             /* its arguments */
    size_t        len;
};


typedef struct record_s  record_t;

struct record_s {
    record_t     *next;
    char         *key;
    int           n;                /* 1: a string; else fields and values */
    char         *text[2 * WIRE_ARGS];
};


static conn_t    *conns[CONNS];
static int        nconns, ids;
static rule_t    *rules;
static record_t  *records[BUCKETS];
static char      *count_names[COUNTS];
static long       counts[COUNTS];
static pid_t      told;             /* 0: all, -1: none */
static int        refusing;
static FILE      *journal;


static void control(char *line, wire_buf_t *out);


static const char *
role(const conn_t *c)
{
    return c->control ? "control" : c->tracking ? "push" : "data";
}


static void
note(conn_t *c, const char *format, ...)
{
    va_list  args;

    fprintf(journal, "%.3f\t%d\t%s\t", wire_now(), c ? c->id : 0,
            c ? role(c) : "-");

    va_start(args, format);
    vfprintf(journal, format, args);
    va_end(args);

    fputc('\n', journal);
    fflush(journal);
}


/* words as they are in lines, in place; returns the length of one */

static size_t
unescape(char *word)
{
    char  *p, *to, hex[3];

    for (p = to = word; *p; p++) {

        if (*p != '\\' || p[1] == '\0') {
            *to++ = *p;
            continue;
        }

        switch (*++p) {

        case 'r':
            *to++ = '\r';
            break;

        case 'n':
            *to++ = '\n';
            break;

        case 's':
            *to++ = ' ';
            break;

        case 'x':
            hex[0] = p[1];
            hex[1] = p[1] ? p[2] : '\0';
            hex[2] = '\0';
            *to++ = (char) strtol(hex, NULL, 16);
            p += strlen(hex);
            break;

        default:
            *to++ = *p;
        }
    }

    *to = '\0';

    return to - word;
}


/* records */

static record_t **
find(const char *key, size_t len)
{
    size_t      i;
    unsigned    hash;
    record_t  **r;

    for (i = 0, hash = 5381; i < len; i++) {
        hash = hash * 33 + (unsigned char) key[i];
    }

    for (r = &records[hash % BUCKETS]; *r; r = &(*r)->next) {
        if (strlen((*r)->key) == len && memcmp((*r)->key, key, len) == 0) {
            break;
        }
    }

    return r;
}


static void
delete_record(record_t **r)
{
    int        i;
    record_t  *old;

    old = *r;

    if (old) {
        *r = old->next;

        for (i = 0; i < old->n; i++) {
            free(old->text[i]);
        }

        free(old->key);
        free(old);
    }
}


static void
write_record(char **words, int n)
{
    int         i, k;
    record_t   *record, **r;

    r = find(words[0], strlen(words[0]));

    if (n == 2) {
        delete_record(r);
        r = find(words[0], strlen(words[0]));
    }

    if (*r == NULL) {
        record = calloc(1, sizeof(record_t));
        record->key = strdup(words[0]);
        *r = record;
    }

    record = *r;

    if (n == 2) {
        record->n = 1;
        record->text[0] = strdup(words[1]);
        return;
    }

    for (i = 1; i + 1 < n; i += 2) {

        for (k = 0; k < record->n; k += 2) {
            if (strcmp(record->text[k], words[i]) == 0) {
                break;
            }
        }

        if (k == record->n) {
            record->text[k] = strdup(words[i]);
            record->n += 2;

        } else {
            free(record->text[k + 1]);
        }

        record->text[k + 1] = strdup(words[i + 1]);
    }
}


/* the reply that Redis would give */

static void
answer_hash(record_t *record, wire_command_t *command, wire_buf_t *out)
{
    int     i, k;
    char  **text;

    wire_print(out, "*%d\r\n", command->argc - 2);

    for (i = 2; i < command->argc; i++) {

        for (k = 0; record && k < record->n; k += 2) {
            text = &record->text[k];

            if (strlen(text[0]) == command->len[i]
                && memcmp(text[0], command->argv[i], command->len[i]) == 0)
            {
                wire_bulk(out, text[1], strlen(text[1]));
                break;
            }
        }

        if (record == NULL || k == record->n) {
            wire_print(out, "$-1\r\n");
        }
    }
}


static void
answer(conn_t *c, wire_command_t *command, wire_buf_t *out)
{
    record_t  *record;

    if (wire_is(command, 0, "CLIENT")) {
        c->tracking = 1;
    }

    if (wire_hello(command, c->id, &c->subscribed, out)) {
        return;
    }

    record = (command->argc > 1) ? *find(command->argv[1], command->len[1])
                                 : NULL;

    if (wire_is(command, 0, "PTTL")) {
        wire_print(out, ":%d\r\n", record ? 3600000 : -2);

    } else if (wire_is(command, 0, "GET")) {

        if (record == NULL) {
            wire_print(out, "$-1\r\n");

        } else if (record->n == 1) {
            wire_bulk(out, record->text[0], strlen(record->text[0]));

        } else {
            wire_print(out, "-WRONGTYPE Operation against a key\r\n");
        }

    } else if (wire_is(command, 0, "HMGET")) {

        if (record && record->n == 1) {
            wire_print(out, "-WRONGTYPE Operation against a key\r\n");

        } else {
            answer_hash(record, command, out);
        }

    } else {
        wire_print(out, "-ERR unknown command '%.*s'\r\n",
                   (int) command->len[0], command->argv[0]);
    }
}


/* connections */

static conn_t *
add_conn(int fd, int is_control)
{
    conn_t        *c;
    socklen_t      len;
    struct ucred   peer;

    if (nconns == CONNS) {
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

    conns[nconns++] = c;

    return c;
}


static void
free_item(item_t *item)
{
    free(item->text.p);
    free(item->faults.p);
    free(item->before);
    free(item->after);
    free(item);
}


/* it is forgotten at the end of the turn */

static void
close_conn(conn_t *c)
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

    for (i = n = 0; i < nconns; i++) {
        c = conns[i];

        if (c->fd >= 0) {
            conns[n++] = c;
            continue;
        }

        while (c->head) {
            item = c->head;
            c->head = item->next;
            free_item(item);
        }

        free(c->in.p);
        free(c);
    }

    nconns = n;
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
            close_conn(c);
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
run_line(const char *line)
{
    char        *copy;
    wire_buf_t   out = { NULL, 0, 0 };

    copy = strdup(line);
    control(copy, &out);

    if (strncmp(out.p, "ok", 2) != 0) {
        errno = EINVAL;
        wire_stop(line);
    }

    free(copy);
    free(out.p);
}


static void
send_item(conn_t *c, item_t *item)
{
    size_t  len;

    if (item->faults.len) {
        note(c, "%s", item->faults.p);
    }

    if (item->before) {
        run_line(item->before);
    }

    len = item->text.len;

    if (item->cut && item->keep < len) {
        len = item->keep;
    }

    (void) (item->split ? send_split(c, item->text.p, len)
                        : send_all(c, item->text.p, len));

    if (item->after) {
        run_line(item->after);
    }

    if (item->cut) {
        close_conn(c);
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
        free_item(item);
    }

    return -1;
}


static int
to_links(const char *p, size_t len)
{
    int  i, n;

    for (i = n = 0; i < nconns; i++) {
        if (conns[i]->subscribed && conns[i]->fd >= 0
            && (told == 0 || told == conns[i]->pid))
        {
            n += send_all(conns[i], p, len);
        }
    }

    return n;
}


static int
tell(char **names, int n)
{
    int         links;
    wire_buf_t  text = { NULL, 0, 0 };

    wire_invalidation(&text, names, n);
    links = to_links(text.p, text.len);
    free(text.p);

    return links;
}


/* faults */

static void
lie(wire_buf_t *text, long more)
{
    long         len;
    char        *p, *end;
    wire_buf_t   out = { NULL, 0, 0 };

    p = text->len ? memchr(text->p, '$', text->len) : NULL;

    if (p == NULL) {
        return;
    }

    len = strtol(p + 1, &end, 10);

    wire_add(&out, text->p, p + 1 - text->p);
    wire_print(&out, "%ld", len + more);
    wire_add(&out, end, text->p + text->len - end);

    free(text->p);
    *text = out;
}


static void
apply(conn_t *c, rule_t *rule, item_t *item, const char *what)
{
    const char  *fault;

    fault = rule->fault;

    if (strcmp(fault, "silence") == 0 || strcmp(fault, "hold") == 0) {
        note(c, "%s\t%ld\t%s", what, rule->seen, fault);
        c->silent |= (*fault == 's');
        item->held |= (*fault == 'h');
        return;
    }

    wire_print(&item->faults, "%s%s\t%ld\t%s %.60s",
               item->faults.len ? "; " : "", what, rule->seen, fault,
               (*fault == 'r' || strcmp(fault, "add") == 0) ? "" : rule->text);

    if (strcmp(fault, "delay") == 0) {
        item->due = wire_now() + atof(rule->text);

    } else if (strcmp(fault, "cut") == 0) {
        item->cut = 1;
        item->keep = strtoul(rule->text, NULL, 10);

    } else if (strcmp(fault, "split") == 0) {
        item->split = 1;

    } else if (strcmp(fault, "lie") == 0) {
        lie(&item->text, atol(rule->text));

    } else if (strcmp(fault, "before") == 0) {
        item->before = strdup(rule->text);

    } else if (strcmp(fault, "after") == 0) {
        item->after = strdup(rule->text);

    } else {

        if (strcmp(fault, "reply") == 0) {
            item->text.len = 0;
        }

        wire_add(&item->text, rule->text, rule->len);
    }
}


static const char *
count_command(wire_command_t *command)
{
    int          i;
    static char  name[64];

    i = wire_is(command, 0, "CLIENT") && command->argc > 1;

    snprintf(name, sizeof(name), "%.*s%s%.*s", (int) command->len[0],
             command->argv[0], i ? "-" : "",
             i ? (int) command->len[1] : 0, i ? command->argv[1] : "");

    for (i = 0; i < COUNTS - 1 && count_names[i]; i++) {
        if (strcmp(count_names[i], name) == 0) {
            break;
        }
    }

    if (count_names[i] == NULL) {
        count_names[i] = strdup(name);
    }

    counts[i]++;

    return name;
}


static void
command_handler(conn_t *c, wire_command_t *command)
{
    char         key[512], what[600];
    item_t      *item;
    rule_t      *rule;
    const char  *name;

    name = count_command(command);

    snprintf(key, sizeof(key), "%.*s",
             command->argc > 1 ? (int) command->len[1] : 1,
             command->argc > 1 ? command->argv[1] : "-");
    snprintf(what, sizeof(what), "%s\t%s", name, key);

    item = calloc(1, sizeof(item_t));
    answer(c, command, &item->text);

    for (rule = rules; rule; rule = rule->next) {

        if (fnmatch(rule->command, name, 0) != 0
            || fnmatch(rule->key, key, 0) != 0)
        {
            continue;
        }

        rule->seen++;

        if (rule->seen >= rule->from && rule->seen <= rule->to) {
            apply(c, rule, item, what);
        }
    }

    if (c->silent) {
        free_item(item);
        return;
    }

    *c->tail = item;
    c->tail = &item->next;
}


/* control */

static const char *
add_rule(char **words, int n, char *rest)
{
    char         *end;
    rule_t       *rule, **last;
    static char  *faults[] = { "delay", "hold", "silence", "cut", "split",
                               "lie", "reply", "add", "before", "after",
                               NULL };
    int           i;

    if (n < 4) {
        return "error rule COMMAND KEY WHEN FAULT";
    }

    for (i = 0; faults[i] && strcmp(faults[i], words[3]) != 0; i++) {
        /* void */
    }

    if (faults[i] == NULL) {
        return "error there is no such fault";
    }

    rule = calloc(1, sizeof(rule_t));
    rule->command = strdup(words[0]);
    rule->key = strdup(words[1]);
    rule->from = (*words[2] == '*') ? 1 : strtol(words[2], &end, 10);
    rule->to = (*words[2] == '*' || *end == '+') ? LONG_MAX : rule->from;
    rule->fault = strdup(words[3]);
    rule->text = strdup(rest);

    /* what is run later is split into words then */

    rule->len = (*rule->fault == 'b' || strcmp(rule->fault, "after") == 0)
                ? strlen(rule->text) : unescape(rule->text);

    for (last = &rules; *last; last = &(*last)->next) { /* void */ }

    *last = rule;

    return "ok";
}


static int
release(void)
{
    int      i, n;
    item_t  *item;

    for (i = n = 0; i < nconns; i++) {
        for (item = conns[i]->head; item; item = item->next) {
            n += item->held;
            item->held = 0;
        }
    }

    return n;
}


static int
count_conns(const char *name, int kill)
{
    int  i, n;

    for (i = n = 0; i < nconns; i++) {
        if (conns[i]->fd >= 0 && strcmp(role(conns[i]), name) == 0) {
            n++;

            if (kill) {
                close_conn(conns[i]);
            }
        }
    }

    return n;
}


static void
control_count(char *verb, char *name, wire_buf_t *out)
{
    int      i;
    long     n;
    item_t  *item;

    n = 0;

    if (strcmp(verb, "held") == 0) {
        for (i = 0; i < nconns; i++) {
            for (item = conns[i]->head; item; item = item->next) {
                n += item->held;
            }
        }

    } else if (strcmp(verb, "open") == 0) {
        n = count_conns(name, 0);

    } else {
        for (i = 0; i < COUNTS && count_names[i]; i++) {
            n += (strcmp(count_names[i], name) == 0) ? counts[i] : 0;
        }
    }

    wire_print(out, "ok %ld\n", n);
}


static void
control_write(char *verb, char **words, int n, wire_buf_t *out)
{
    int  i;

    if (strcmp(verb, "flush") == 0) {
        for (i = 0; i < BUCKETS; i++) {
            while (records[i]) {
                delete_record(&records[i]);
            }
        }

        n = tell(NULL, 0);
        note(NULL, "flush, told to %d", n);
        wire_print(out, "ok %d\n", n);
        return;
    }

    if (strcmp(verb, "del") == 0) {
        delete_record(find(words[0], strlen(words[0])));

    } else if (strcmp(verb, "tell") != 0) {
        write_record(words, n);
        n = 1;
    }

    n = tell(words, n);
    note(NULL, "%s %s, told to %d", verb, words[0], n);
    wire_print(out, "ok %d\n", n);
}


static void
control_other(char *verb, char **words, int n, size_t len, wire_buf_t *out)
{
    rule_t  *rule;

    if (strcmp(verb, "push") == 0 && n == 1) {
        n = to_links(words[0], len);
        note(NULL, "push, to %d", n);
        wire_print(out, "ok %d\n", n);

    } else if (strcmp(verb, "kill") == 0 && n == 1) {
        n = count_conns(words[0], 1);
        note(NULL, "kill %s, %d", words[0], n);
        wire_print(out, "ok %d\n", n);

    } else if (strcmp(verb, "to") == 0 && n == 1) {
        told = (strcmp(words[0], "none") == 0) ? -1 : atoi(words[0]);
        wire_print(out, "ok\n");

    } else if (strcmp(verb, "refuse") == 0 && n == 1) {
        refusing = (strcmp(words[0], "on") == 0);
        wire_print(out, "ok\n");

    } else if (strcmp(verb, "clear") == 0) {
        while (rules) {
            rule = rules;
            rules = rule->next;
            free(rule->command);
            free(rule->key);
            free(rule->fault);
            free(rule->text);
            free(rule);
        }

        wire_print(out, "ok\n");

    } else if (strcmp(verb, "release") == 0) {
        n = release();
        note(NULL, "release, %d", n);
        wire_print(out, "ok %d\n", n);

    } else {
        wire_print(out, "error there is no such line\n");
    }
}


static void
control(char *line, wire_buf_t *out)
{
    int      i, n, rule;
    char    *verb, *words[WORDS];
    size_t   len;

    verb = strsep(&line, " ");
    rule = (strcmp(verb, "rule") == 0);

    for (n = 0; line && n < (rule ? 4 : WORDS); n++) {
        words[n] = strsep(&line, " ");
    }

    if (rule) {
        wire_print(out, "%s\n", add_rule(words, n, line ? line : ""));
        return;
    }

    for (i = 0, len = 0; i < n; i++) {
        len = unescape(words[i]);
    }

    if (strcmp(verb, "held") == 0
        || (n == 1 && (strcmp(verb, "count") == 0
                       || strcmp(verb, "open") == 0)))
    {
        control_count(verb, n ? words[0] : NULL, out);

    } else if (strcmp(verb, "flush") == 0
               || (n >= 1 && (strcmp(verb, "del") == 0
                              || strcmp(verb, "tell") == 0))
               || (n >= 2 && (strcmp(verb, "set") == 0
                              || strcmp(verb, "hset") == 0)))
    {
        control_write(verb, words, n, out);

    } else {
        control_other(verb, words, n, len, out);
    }
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
        close_conn(c);
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

            control(c->in.p, &out);
            (void) send_all(c, out.p, out.len);
            out.len = 0;

        } else {
            used = wire_command(c->in.p, c->in.len, &command);

            if (used == 0) {
                break;
            }

            command_handler(c, &command);
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

    for (i = 0; i < nconns; i++) {
        wait = flush_items(conns[i]);
        least = (wait >= 0 && (least < 0 || wait < least)) ? wait : least;
    }

    sweep();

    pfd[0].fd = listen_fd;
    pfd[1].fd = control_fd;

    for (i = 0; i < nconns; i++) {
        polled[i] = conns[i];
        pfd[2 + i].fd = conns[i]->fd;
    }

    n = nconns;

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

            if (fd >= 0 && i == 0 && refusing) {
                close(fd);

            } else if (fd >= 0) {
                (void) add_conn(fd, i);
            }
        }
    }
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
    listen_fd = wire_listen(argv[1]);

    for ( ;; ) {
        turn(listen_fd, control_fd);
    }
}
