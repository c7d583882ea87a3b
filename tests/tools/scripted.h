
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * scripted_redis, in parts: connections and when what goes to them is sent
 * (scripted_redis.c), what Redis would answer (scripted_records.c), what is
 * done to an answer (scripted_rules.c), and what the test says
 * (scripted_control.c).
 */


#ifndef _SCRIPTED_H_INCLUDED_
#define _SCRIPTED_H_INCLUDED_


#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "wire.h"


#define CONNS      256


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


extern conn_t  *scripted_conns[CONNS];
extern int      scripted_n;
extern pid_t    scripted_told;      /* 0: all, -1: none */
extern int      scripted_refusing;


/* scripted_redis.c */

const char *scripted_role(const conn_t *c);

/* a line of the journal; c may be NULL */

void scripted_note(conn_t *c, const char *format, ...);
void scripted_free(item_t *item);

/* it is forgotten at the end of the turn */

void scripted_close(conn_t *c);

/* these bytes, or an invalidation, to each link; returns to how many */

int scripted_links(const char *p, size_t len);
int scripted_tell(char **names, int n);

/* scripted_records.c: the reply that Redis would give */

void scripted_records_answer(conn_t *c, wire_command_t *command,
    wire_buf_t *out);

/* key and value, or key, fields and values */

void scripted_records_write(char **words, int n);
void scripted_records_delete(const char *key);
void scripted_records_flush(void);

/* scripted_rules.c: its answer, as the rules say, is queued */

void scripted_rules_command(conn_t *c, wire_command_t *command);
const char *scripted_rules_add(char **words, int n, char *rest);
void scripted_rules_clear(void);
long scripted_rules_count(const char *name);

/* scripted_control.c: a line, and one that must be right */

void scripted_control(char *line, wire_buf_t *out);
void scripted_control_run(const char *line);

/* words as they are in lines, in place; returns the length of one */

size_t scripted_control_unescape(char *word);


#endif /* _SCRIPTED_H_INCLUDED_ */
