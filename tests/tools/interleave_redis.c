
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/* what Redis does, and what goes to the workers in which order */


#include "interleave.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>


stream_t   inter_streams[STREAMS];
int        inter_nstreams;
stream_t  *inter_links[WORKERS];
pid_t      inter_pids[WORKERS];

static int  npids;


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


void
inter_change(thing_t *thing)
{
    int      i;
    char    *name;
    item_t  *item;

    thing->current++;
    inter_n.changes++;
    name = thing->name;

    for (i = 0; i < WORKERS; i++) {

        if (inter_links[i] == NULL) {
            continue;
        }

        item = add_item(inter_links[i]);
        wire_invalidation(&item->text, &name, 1);
        item->thing = thing;
        item->version = thing ? thing->current : 0;
    }
}


void
inter_may_change(thing_t *thing)
{
    int  i;

    for (i = 0; i < WORKERS; i++) {
        if (inter_links[i] && inter_links[i]->n > PENDING) {
            return;
        }
    }

    if (thing->current - thing->floor < WINDOW) {
        inter_change(thing);
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

    if (inter_links[s->worker] == s) {
        inter_links[s->worker] = NULL;
    }

    close(s->fd);

    s->fd = -1;
    s->epoch++;
    s->subscribed = s->link = 0;
    s->in.len = 0;
    s->sent = s->read = s->done = 0;

    inter_n.lost++;
}


/* how a reply stands to the invalidation that makes it old */

static void
classify(stream_t *s, item_t *item)
{
    int  own, other;

    inter_n.replies++;

    if (item->version == item->thing->current) {
        return;
    }

    inter_n.old++;
    own = item->thing->released[s->worker] > item->version;
    other = item->thing->released[!s->worker] > item->version;

    inter_n.told_both += own && other;
    inter_n.told_own += own && !other;
    inter_n.told_other += other && !own;
    inter_n.told_none += !own && !other;
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


void
inter_move_on(stream_t *s, size_t n)
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


static thing_t *
thing_of(const wire_command_t *command)
{
    int      i;
    size_t   len;

    len = (command->argc > 1) ? command->len[1] : 0;

    for (i = 0; i < THINGS; i++) {
        if (memcmp(inter_things[i].name, command->argv[1], len) == 0
            && inter_things[i].name[len] == '\0')
        {
            return &inter_things[i];
        }
    }

    return NULL;
}


static void
answer_device(thing_t *thing, wire_command_t *command, wire_buf_t *out)
{
    int    i, absent;
    char   text[128], *threat, *compliance, *os, *p;

    absent = (thing == NULL || inter_absent(thing->current));
    p = text;

    if (!absent) {
        inter_text(thing, thing->current, text);
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

    if (wire_hello(command, s - inter_streams + 1, &s->subscribed,
                   &item->text))
    {
        if (s->subscribed && !s->link) {
            s->link = 1;
            inter_links[s->worker] = s;
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

    to = thing ? inter_leads(thing->current) : -1;

    if (to < 0) {
        wire_print(&item->text, "$-1\r\n");

    } else {
        thing = inter_device(thing->key, to);
        wire_bulk(&item->text, thing->id, strlen(thing->id));
    }
}


void
inter_commands(stream_t *s)
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


void
inter_accept(void)
{
    int             fd, i;
    stream_t       *s;
    socklen_t       len;
    struct ucred    peer;

    fd = accept(inter_listening, NULL, NULL);

    if (fd < 0) {
        return;
    }

    len = sizeof(peer);

    for (s = inter_streams;
         s < inter_streams + inter_nstreams && s->fd >= 0;
         s++)
    {
        /* void */
    }

    if (s == inter_streams + STREAMS
        || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0)
    {
        wire_stop("another connection to redis");
    }

    for (i = 0; i < npids && inter_pids[i] != peer.pid; i++) { /* void */ }

    if (i == WORKERS) {
        wire_stop("another worker");
    }

    if (i == npids) {
        inter_pids[npids++] = peer.pid;
    }

    wire_nonblocking(fd);

    inter_nstreams += (s == inter_streams + inter_nstreams);

    s->fd = fd;
    s->worker = i;
}
