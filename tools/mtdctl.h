
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * mtdctl, the administrator's tool for the records of docs/records.md.
 *
 * A function that can fail returns 0 or an exit status after it has left the
 * reason in ctl->error.  Memory from mtdctl_alloc() lives until
 * mtdctl_release(), texts are not terminated unless said.
 */


#ifndef _MTDCTL_H_INCLUDED_
#define _MTDCTL_H_INCLUDED_


#include <stdio.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>

#include "mtd_key.h"


#define MTDCTL_OK              0
#define MTDCTL_NOT_FOUND       1
#define MTDCTL_BAD             2        /* usage, or rows were skipped */
#define MTDCTL_STORE           3        /* Redis, or our own output */

#define MTDCTL_AGAIN           (-1)     /* a watched key changed */

#define MTDCTL_TRIES           10
#define MTDCTL_BATCH           64       /* devices in one transaction */
#define MTDCTL_ALIASES         64       /* of one device */
#define MTDCTL_ROW             65536    /* bytes of one row of an import */
#define MTDCTL_COLUMNS         128
#define MTDCTL_AUDIT           "100000" /* entries of the audit stream */
#define MTDCTL_AUDIT_TTL       (30 * 24 * 3600)


#define MTDCTL_ADDRESS         264      /* HOST:PORT, terminated */


#define mtdctl_string(text)    { sizeof(text) - 1, (u_char *) text }


typedef struct mtdctl_block_s  mtdctl_block_t;
typedef struct mtdctl_cluster_s  mtdctl_cluster_t;
typedef struct mtdctl_tls_s    mtdctl_tls_t;


typedef struct {
    mtd_str_t         name;
    mtd_str_t         value;
} mtdctl_pair_t;


typedef struct {
    mtdctl_pair_t    *pair;
    size_t            n;
    size_t            size;
} mtdctl_pairs_t;


/* what is to become of one device */

typedef struct {
    mtd_str_t         id;           /* folded */
    mtdctl_pairs_t    fields;       /* an empty value removes the field */
    mtdctl_pairs_t    aliases;      /* kind and value, to be added */
    const char       *what;         /* for the audit */
    size_t            line;         /* of an import */

    const char       *error;        /* terminated, set with status */
    int               status;       /* 0 or MTDCTL_BAD, MTDCTL_NOT_FOUND */

    unsigned          create:1;     /* the device need not exist */
    unsigned          lazy:1;       /* leave it if nothing would change */
    unsigned          written:1;
} mtdctl_change_t;


typedef struct {
    redisContext     *redis;
    mtdctl_tls_t     *tls;          /* NULL: in the clear */
    mtdctl_cluster_t *cluster;      /* NULL: one server */
    const char       *address;
    const char       *sentinel;     /* NULL: address is given */
    mtd_str_t         sentinel_password;
    char              master[MTDCTL_ADDRESS];   /* that Sentinel names */
    const char       *user;
    mtd_str_t         password;
    unsigned long     database;
    long              timeout;      /* seconds */
    long              ttl;          /* seconds */
    mtd_names_t       names;
    char              who[256];

    const char       *cacert;       /* files of TLS, in PEM */
    const char       *cert;
    const char       *key;
    const char       *sni;          /* the server's name, if not the host */
    unsigned          secure:1;     /* with TLS */
    unsigned          insecure:1;   /* whoever answers */

    const char       *format;       /* of an import, NULL: by its name */
    const char       *why;          /* of a bypass */
    unsigned          redis_given:1;
    unsigned          clustered:1;
    unsigned          partly:1;     /* of a transaction, in a cluster */
    unsigned          json:1;
    unsigned          force:1;
    unsigned          strict:1;
    unsigned          dry:1;        /* check, write nothing */

    /* the command being put together and the replies that are due */
    const char      **argv;
    size_t           *argvlen;
    size_t            argc;
    size_t            argsize;
    size_t            pending;

    mtdctl_block_t   *blocks;
    char              error[1024];
} mtdctl_t;


/* mtdctl.c: 90, 90s, 30m, 4h, 7d; name is for the message */

int mtdctl_duration(mtdctl_t *ctl, const char *name, const char *text,
    long *seconds);


/* mtdctl_text.c */

void *mtdctl_alloc(mtdctl_t *ctl, size_t size);
void mtdctl_release(mtdctl_t *ctl);
void mtdctl_fatal_memory(void)
    __attribute__((noreturn));
mtd_str_t mtdctl_copy(mtdctl_t *ctl, const void *data, size_t len);
mtd_str_t mtdctl_text(mtdctl_t *ctl, const char *text);
const char *mtdctl_show(mtdctl_t *ctl, const mtd_str_t *text);
int mtdctl_equal(const mtd_str_t *a, const mtd_str_t *b);
int mtdctl_is(const mtd_str_t *a, const char *text);
int mtdctl_fail(mtdctl_t *ctl, int status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
mtd_str_t *mtdctl_find(const mtdctl_pairs_t *pairs, const mtd_str_t *name);
void mtdctl_add(mtdctl_t *ctl, mtdctl_pairs_t *pairs, const mtd_str_t *name,
    const mtd_str_t *value);
void mtdctl_remove(mtdctl_pairs_t *pairs, const mtd_str_t *name);


/* mtdctl_value.c: what may stand in a record */

int mtdctl_value_id(mtdctl_t *ctl, const mtd_str_t *text, mtd_str_t *id);
int mtdctl_value_kind(mtdctl_t *ctl, const mtd_str_t *text, mtd_str_t *kind);
int mtdctl_value_alias(mtdctl_t *ctl, const mtd_str_t *kind,
    const mtd_str_t *text, mtd_str_t *value);
int mtdctl_value_user(mtdctl_t *ctl, const mtd_str_t *text, mtd_str_t *user);

/* 1 if text reads KIND:VALUE and is split, else 0 */

int mtdctl_value_split(mtdctl_t *ctl, const mtd_str_t *text, mtd_str_t *kind,
    mtd_str_t *value);

/* a name is checked alone, too, for the header of a table */

int mtdctl_value_name(mtdctl_t *ctl, const mtd_str_t *text, mtd_str_t *name);
int mtdctl_value_set(mtdctl_t *ctl, mtdctl_change_t *change,
    const mtd_str_t *name, const mtd_str_t *text);
int mtdctl_value_add_alias(mtdctl_t *ctl, mtdctl_change_t *change,
    const mtd_str_t *kind, const mtd_str_t *text);


/* mtdctl_time.c: Unix milliseconds, -1 if text is no RFC 3339 time */

long long mtdctl_time_parse(const u_char *p, size_t len);


/*
 * mtdctl_tls.c: TLS on the connection that ctl->redis has opened.  host is
 * NULL for a unix socket.  What is sent waits for the next reply to be read.
 */

int mtdctl_tls_connect(mtdctl_t *ctl, const char *host);
int mtdctl_tls_send(mtdctl_t *ctl, const char *command, size_t len);
int mtdctl_tls_reply(mtdctl_t *ctl, void **reply);
void mtdctl_tls_close(mtdctl_t *ctl);


/*
 * mtdctl_address.c: HOST:PORT of a server that another one has told of, which
 * may be an address or a name.  Returns -1 if it is none.
 */

int mtdctl_address(char *address, const char *host, size_t len,
    long long port);

/* 0 if it is none */

long long mtdctl_address_port(const char *text);


/* mtdctl_redis.c */

int mtdctl_redis_connect(mtdctl_t *ctl);
void mtdctl_redis_close(mtdctl_t *ctl);

/* one connection, to ctl->address, and a command and a reply over it */

int mtdctl_redis_open(mtdctl_t *ctl);
void mtdctl_redis_drop(mtdctl_t *ctl);
void mtdctl_redis_send(mtdctl_t *ctl);
int mtdctl_redis_read(mtdctl_t *ctl, redisReply **reply);

/*
 * The masters, one after the other: -1 before the first and after the last.
 * A command without a key, such as SCAN, goes to the one named last.
 */

int mtdctl_redis_master(mtdctl_t *ctl, int after);

void mtdctl_redis_begin(mtdctl_t *ctl, const char *command);
void mtdctl_redis_text(mtdctl_t *ctl, const char *text);
void mtdctl_redis_arg(mtdctl_t *ctl, const mtd_str_t *arg);
void mtdctl_redis_number(mtdctl_t *ctl, long number);
void mtdctl_redis_end(mtdctl_t *ctl);
void mtdctl_redis_key(mtdctl_t *ctl, const char *command,
    const mtd_str_t *key);
void mtdctl_redis_expire(mtdctl_t *ctl, const mtd_str_t *key, long seconds);

/* the caller frees the reply; an error of Redis is a reply, too */

int mtdctl_redis_reply(mtdctl_t *ctl, redisReply **reply);

/*
 * Of a reply to command: 0, MTDCTL_BAD if key holds another type, or
 * MTDCTL_STORE.  Nothing of a reply is read before, since no server is bound
 * to answer as Redis does; after it only how many elements an array has is
 * left to see to.
 */

int mtdctl_redis_check(mtdctl_t *ctl, const redisReply *reply,
    const char *command, const mtd_str_t *key);
int mtdctl_redis_strange(mtdctl_t *ctl, const char *command);

/* both; there is a reply if the status is 0 */

int mtdctl_redis_hear(mtdctl_t *ctl, const char *command,
    const mtd_str_t *key, redisReply **reply);

/* of replies of which only one thing is of interest */

int mtdctl_redis_hear_ok(mtdctl_t *ctl, const char *command);
int mtdctl_redis_hear_number(mtdctl_t *ctl, const char *command,
    long long *number);

/* of TYPE and GET; value->data is NULL if there is none */

int mtdctl_redis_hear_text(mtdctl_t *ctl, const char *command,
    const mtd_str_t *key, mtd_str_t *value);

/* of EXEC, after n commands */

int mtdctl_redis_executed(mtdctl_t *ctl, const redisReply *reply, size_t n);

int mtdctl_redis_watch(mtdctl_t *ctl, const mtd_str_t *key);
int mtdctl_redis_unwatch(mtdctl_t *ctl);

/* sends EXEC and reads what is due; MTDCTL_AGAIN if nothing was done */

int mtdctl_redis_exec(mtdctl_t *ctl);

/* after that: adds to the error that a part of it was done, in a cluster */

int mtdctl_redis_partly(mtdctl_t *ctl, int status);
int mtdctl_redis_try(int attempt);
void mtdctl_redis_pause(int attempt);


/* mtdctl_sentinel.c: connects to the master that ctl->sentinel means */

int mtdctl_sentinel_connect(mtdctl_t *ctl);


/* mtdctl_cluster.c: in the place of those of mtdctl_redis.c */

int mtdctl_cluster_connect(mtdctl_t *ctl);
void mtdctl_cluster_close(mtdctl_t *ctl);
int mtdctl_cluster_master(mtdctl_t *ctl, int after);
void mtdctl_cluster_end(mtdctl_t *ctl);
int mtdctl_cluster_reply(mtdctl_t *ctl, redisReply **reply);
int mtdctl_cluster_exec(mtdctl_t *ctl);


/* mtdctl_record.c: one device's record and the names of its keys */

int mtdctl_record_device_key(mtdctl_t *ctl, const mtd_str_t *id,
    mtd_str_t *key);
int mtdctl_record_alias_key(mtdctl_t *ctl, const mtd_str_t *kind,
    const mtd_str_t *value, mtd_str_t *key);
int mtdctl_record_user_key(mtdctl_t *ctl, const mtd_str_t *user,
    mtd_str_t *key);

/* of a device: what is its own besides its record */

void mtdctl_record_apps_key(mtdctl_t *ctl, const mtd_str_t *device,
    mtd_str_t *key);

/* the record may be empty; its key is watched until mtdctl_redis_exec() */

int mtdctl_record_fetch(mtdctl_t *ctl, const mtd_str_t *id, mtd_str_t *key,
    mtdctl_pairs_t *record);
int mtdctl_record_watch(mtdctl_t *ctl, const mtd_str_t *id, mtd_str_t *key,
    mtdctl_pairs_t *record);

/* of the reply to HGETALL that is due; empty if the status is not 0 */

int mtdctl_record_hear(mtdctl_t *ctl, const mtd_str_t *key,
    mtdctl_pairs_t *record);

/* the field "aliases": KIND:VALUE and so on, a space between them */

void mtdctl_record_aliases(mtdctl_t *ctl, const mtdctl_pairs_t *record,
    mtdctl_pairs_t *aliases);
int mtdctl_record_has(const mtdctl_pairs_t *aliases,
    const mtdctl_pair_t *alias);
mtd_str_t mtdctl_record_join(mtdctl_t *ctl, const mtdctl_pairs_t *aliases);

/* an empty value removes the field */

void mtdctl_record_set(mtdctl_t *ctl, mtdctl_pairs_t *record,
    const mtd_str_t *name, const mtd_str_t *value);
int mtdctl_record_same(const mtdctl_pairs_t *a, const mtdctl_pairs_t *b);

/* follow from what the vendors say, unless a change says otherwise */

void mtdctl_record_threat(mtdctl_t *ctl, mtdctl_pairs_t *record,
    const mtdctl_pairs_t *given);
void mtdctl_record_reported(mtdctl_t *ctl, mtdctl_pairs_t *record,
    const mtdctl_pairs_t *given);


/* mtdctl_audit.c: who changed what */

int mtdctl_audit_check(mtdctl_t *ctl);
void mtdctl_audit(mtdctl_t *ctl, const char *what, const mtd_str_t *key);
void mtdctl_audit_bypass(mtdctl_t *ctl, const char *what, long long until,
    const mtd_str_t *why);
void mtdctl_audit_expire(mtdctl_t *ctl);


/* mtdctl_store.c: changes of records, each whole or absent */

/*
 * No device and no alias may occur twice among the changes.  What is wrong
 * with one of them is left in it and does not hinder the others.
 */

int mtdctl_store_apply(mtdctl_t *ctl, mtdctl_change_t *changes, size_t n);

/* a command's only one; what is wrong with it is what is returned */

int mtdctl_store_change(mtdctl_t *ctl, mtdctl_change_t *change);


/* mtdctl_seen.c: what an import or a listing has met already */

typedef struct mtdctl_seen_s  mtdctl_seen_t;

mtdctl_seen_t *mtdctl_seen_create(void);
void mtdctl_seen_destroy(mtdctl_seen_t *seen);

/*
 * Returns 0 and keeps both if name is new; else 1 if value is the one that
 * was kept, -1 if it differs; line becomes the line of the first.
 */

int mtdctl_seen_add(mtdctl_seen_t *seen, const mtd_str_t *name,
    const mtd_str_t *value, size_t *line);


/* commands */

int mtdctl_device_set(mtdctl_t *ctl, int argc, char **argv);
int mtdctl_device_get(mtdctl_t *ctl, int argc, char **argv);
int mtdctl_device_list(mtdctl_t *ctl, int argc, char **argv);
int mtdctl_device_erase(mtdctl_t *ctl, int argc, char **argv);
int mtdctl_alias_set(mtdctl_t *ctl, int argc, char **argv);
int mtdctl_alias_get(mtdctl_t *ctl, int argc, char **argv);
int mtdctl_alias_erase(mtdctl_t *ctl, int argc, char **argv);
int mtdctl_alias_list(mtdctl_t *ctl, int argc, char **argv);
int mtdctl_import(mtdctl_t *ctl, int argc, char **argv);
int mtdctl_bypass(mtdctl_t *ctl, int argc, char **argv);
int mtdctl_bypass_status(mtdctl_t *ctl, int argc, char **argv);
int mtdctl_bypass_end(mtdctl_t *ctl, int argc, char **argv);


/* mtdctl_rows.c: a table or JSON Lines, row by row */

typedef struct {
    FILE             *file;
    const char       *name;
    size_t            line;         /* of the row that was read */
    size_t            next;         /* of the row that follows */
    mtdctl_pair_t    *columns;      /* names of a table's columns */
    size_t            ncolumns;
    unsigned          jsonl:1;
    u_char            row[MTDCTL_ROW];
} mtdctl_rows_t;


/* reads what stands before the first row */

int mtdctl_rows_start(mtdctl_t *ctl, mtdctl_rows_t *rows);

/*
 * Fills change; end is set after the last row.  MTDCTL_BAD spoils this row
 * only, MTDCTL_STORE is the end of reading.
 */

int mtdctl_rows_next(mtdctl_t *ctl, mtdctl_rows_t *rows,
    mtdctl_change_t *change, int *end);


#endif /* _MTDCTL_H_INCLUDED_ */
