
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/* commands that come in, and the faults of their replies */


#include "scripted.h"

#include <fnmatch.h>
#include <limits.h>


#define COUNTS     32


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


static rule_t  *rules;
static char    *count_names[COUNTS];
static long     counts[COUNTS];


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
        scripted_note(c, "%s\t%ld\t%s", what, rule->seen, fault);
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


void
scripted_rules_command(conn_t *c, wire_command_t *command)
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
    scripted_records_answer(c, command, &item->text);

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
        scripted_free(item);
        return;
    }

    *c->tail = item;
    c->tail = &item->next;
}


const char *
scripted_rules_add(char **words, int n, char *rest)
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
                ? strlen(rule->text) : scripted_control_unescape(rule->text);

    for (last = &rules; *last; last = &(*last)->next) { /* void */ }

    *last = rule;

    return "ok";
}


void
scripted_rules_clear(void)
{
    rule_t  *rule;

    while (rules) {
        rule = rules;
        rules = rule->next;
        free(rule->command);
        free(rule->key);
        free(rule->fault);
        free(rule->text);
        free(rule);
    }
}


long
scripted_rules_count(const char *name)
{
    int   i;
    long  n;

    for (i = 0, n = 0; i < COUNTS && count_names[i]; i++) {
        n += (strcmp(count_names[i], name) == 0) ? counts[i] : 0;
    }

    return n;
}
