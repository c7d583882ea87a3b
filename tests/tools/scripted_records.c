
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/* records, and the reply that Redis would give */


#include "scripted.h"


#define BUCKETS    4096


typedef struct record_s  record_t;

struct record_s {
    record_t     *next;
    char         *key;
    int           n;                /* 1: a string; else fields and values */
    char         *text[2 * WIRE_ARGS];
};


static record_t  *records[BUCKETS];


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


void
scripted_records_write(char **words, int n)
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


void
scripted_records_delete(const char *key)
{
    delete_record(find(key, strlen(key)));
}


void
scripted_records_flush(void)
{
    int  i;

    for (i = 0; i < BUCKETS; i++) {
        while (records[i]) {
            delete_record(&records[i]);
        }
    }
}


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


void
scripted_records_answer(conn_t *c, wire_command_t *command, wire_buf_t *out)
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
