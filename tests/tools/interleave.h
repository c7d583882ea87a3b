
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * interleave, in parts: keys and their versions (interleave_things.c), what
 * Redis writes (interleave_redis.c), who asks the gate and what may be the
 * answer (interleave_clients.c), and what happens when (interleave.c).
 */


#ifndef _INTERLEAVE_H_INCLUDED_
#define _INTERLEAVE_H_INCLUDED_


#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

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


/* what is printed in the end */

typedef struct {
    long         asked;
    long         answered;
    long         hits;
    long         changes;
    long         replies;
    long         old;
    long         told_both;
    long         told_own;
    long         told_other;
    long         told_none;
    long         stale;
    long         away;
    long         lost;
} counts_t;


extern counts_t   inter_n;
extern int        inter_listening;
extern double     inter_answer;        /* when the last one came */
extern thing_t    inter_things[THINGS];
extern stream_t   inter_streams[STREAMS];
extern int        inter_nstreams;
extern stream_t  *inter_links[WORKERS];
extern pid_t      inter_pids[WORKERS];
extern client_t   inter_clients[WORKERS * CLIENTS];    /* by worker */


/* interleave_things.c */

long inter_chance(long n);
thing_t *inter_alias(int key);
thing_t *inter_device(int key, int i);

/* what a version says: an alias leads to a device, or is not there */

int inter_leads(long version);
int inter_absent(long version);
void inter_text(const thing_t *thing, long version, char *text);
void inter_things_init(const char *names);

/* interleave_redis.c */

void inter_change(thing_t *thing);
void inter_may_change(thing_t *thing);

/* n of what is in a stream goes to its worker */

void inter_move_on(stream_t *s, size_t n);
void inter_commands(stream_t *s);
void inter_accept(void);

/* interleave_clients.c */

void inter_connect(const char *gate);
void inter_ask(client_t *c, int key);
void inter_input(client_t *c);


#endif /* _INTERLEAVE_H_INCLUDED_ */
