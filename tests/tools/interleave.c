
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


#include "interleave.h"

#include <poll.h>


counts_t  inter_n;
int       inter_listening;


static void
events(int wait)
{
    int            i, k, n;
    client_t      *asking[WORKERS * CLIENTS];
    struct pollfd  pfd[1 + STREAMS + WORKERS * CLIENTS];

    pfd[0].fd = inter_listening;

    for (n = 1, i = 0; i < inter_nstreams; i++) {
        pfd[n++].fd = inter_streams[i].fd;
    }

    for (i = 0; i < WORKERS * CLIENTS; i++) {
        if (inter_clients[i].busy) {
            asking[n - 1 - inter_nstreams] = &inter_clients[i];
            pfd[n++].fd = inter_clients[i].fd;
        }
    }

    for (i = 0; i < n; i++) {
        pfd[i].events = POLLIN;
    }

    if (poll(pfd, n, wait) <= 0) {
        return;
    }

    k = inter_nstreams;

    for (i = 1; i < n; i++) {
        if (pfd[i].revents == 0) {
            continue;
        }

        if (i <= k) {
            inter_commands(&inter_streams[i - 1]);

        } else {
            inter_input(asking[i - 1 - k]);
        }
    }

    if (pfd[0].revents) {
        inter_accept();
    }
}


static int
busy(void)
{
    int  i, n;

    for (i = n = 0; i < WORKERS * CLIENTS; i++) {
        n += inter_clients[i].busy;
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
        s = &inter_streams[inter_chance(inter_nstreams)];

        switch (inter_chance(7)) {

        case 0:
        case 1:
            inter_move_on(s, 1 + inter_chance(16));
            break;

        case 2:
        case 3:

            /* what is under way to somebody changes */

            if (!s->link && s->n) {
                item = &s->items[(s->first + inter_chance(s->n)) % s->size];

                if (item->thing && item->version == item->thing->current) {
                    inter_may_change(item->thing);
                }
            }

            break;

        case 4:

            if (inter_chance(16) == 0) {
                inter_may_change(&inter_things[inter_chance(THINGS)]);
            }

            break;

        default:
            k = inter_chance(WORKERS * CLIENTS);

            if (!inter_clients[k].busy) {
                inter_ask(&inter_clients[k], inter_chance(KEYS));
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

        for (i = 0, n = 0; i < inter_nstreams; i++) {
            inter_move_on(&inter_streams[i], PENDING);
            n += inter_streams[i].n;
        }

    } while (busy() || n || inter_links[0] == NULL || inter_links[1] == NULL);
}


/* in the end all is as Redis has it */

static void
settle(void)
{
    int   i, k, w, round;
    long  before;

    drain();

    for (i = 0; i < THINGS; i++) {
        if (inter_things[i].floor != inter_things[i].current) {
            inter_change(&inter_things[i]);
        }
    }

    drain();

    for (round = 0; round < 3; round++) {
        for (k = 0; k < KEYS; k++) {
            for (w = 0; w < WORKERS; w++) {

                before = inter_n.answered;
                inter_ask(&inter_clients[w * CLIENTS], k);

                while (inter_n.answered == before) {
                    for (i = 0; i < inter_nstreams; i++) {
                        inter_move_on(&inter_streams[i], PENDING);
                    }

                    events(10);
                }
            }
        }
    }

    for (i = 0; i < THINGS; i++) {
        if (inter_things[i].floor != inter_things[i].current) {
            errno = ENOMSG;
            wire_stop("a change was not read");
        }
    }
}


int
main(int argc, char **argv)
{
    int     i;
    long    wanted;
    double  start;

    if (argc != 6) {
        errno = EINVAL;
        wire_stop("interleave REDIS GATE N SEED NAMES");
    }

    wanted = atol(argv[3]);
    srandom(atol(argv[4]));

    inter_things_init(argv[5]);
    inter_listening = wire_listen(argv[1]);

    while (inter_links[0] == NULL || inter_links[1] == NULL) {
        events(1000);

        for (i = 0; i < inter_nstreams; i++) {
            inter_move_on(&inter_streams[i], PENDING);
        }
    }

    inter_connect(argv[2]);

    start = inter_answer = wire_now();

    while (inter_n.old < wanted) {
        turn();
        events(0);

        if (wire_now() - inter_answer > SILENCE) {
            errno = ETIMEDOUT;
            wire_stop("no answer any more");
        }
    }

    settle();

    printf("# asked %ld\n# answered %ld\n# hits %ld\n# changes %ld\n"
           "# replies %ld\n# old %ld\n# both %ld\n# own %ld\n# other %ld\n"
           "# none %ld\n# stale %ld\n# away %ld\n# lost %ld\n# ms %.0f\n",
           inter_n.asked, inter_n.answered, inter_n.hits, inter_n.changes,
           inter_n.replies, inter_n.old, inter_n.told_both, inter_n.told_own,
           inter_n.told_other, inter_n.told_none, inter_n.stale, inter_n.away,
           inter_n.lost, wire_now() - start);

    return 0;
}
