
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/* the lines of the test, see scripted_redis.c */


#include "scripted.h"


#define WORDS      64


size_t
scripted_control_unescape(char *word)
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


static int
release(void)
{
    int      i, n;
    item_t  *item;

    for (i = n = 0; i < scripted_n; i++) {
        for (item = scripted_conns[i]->head; item; item = item->next) {
            n += item->held;
            item->held = 0;
        }
    }

    return n;
}


static int
count_conns(const char *name, int kill)
{
    int      i, n;
    conn_t  *c;

    for (i = n = 0; i < scripted_n; i++) {
        c = scripted_conns[i];

        if (c->fd >= 0 && strcmp(scripted_role(c), name) == 0) {
            n++;

            if (kill) {
                scripted_close(c);
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
        for (i = 0; i < scripted_n; i++) {
            for (item = scripted_conns[i]->head; item; item = item->next) {
                n += item->held;
            }
        }

    } else if (strcmp(verb, "open") == 0) {
        n = count_conns(name, 0);

    } else {
        n = scripted_rules_count(name);
    }

    wire_print(out, "ok %ld\n", n);
}


static void
control_write(char *verb, char **words, int n, wire_buf_t *out)
{
    if (strcmp(verb, "flush") == 0) {
        scripted_records_flush();

        n = scripted_tell(NULL, 0);
        scripted_note(NULL, "flush, told to %d", n);
        wire_print(out, "ok %d\n", n);
        return;
    }

    if (strcmp(verb, "del") == 0) {
        scripted_records_delete(words[0]);

    } else if (strcmp(verb, "tell") != 0) {
        scripted_records_write(words, n);
        n = 1;
    }

    n = scripted_tell(words, n);
    scripted_note(NULL, "%s %s, told to %d", verb, words[0], n);
    wire_print(out, "ok %d\n", n);
}


static void
control_other(char *verb, char **words, int n, size_t len, wire_buf_t *out)
{
    if (strcmp(verb, "push") == 0 && n == 1) {
        n = scripted_links(words[0], len);
        scripted_note(NULL, "push, to %d", n);
        wire_print(out, "ok %d\n", n);

    } else if (strcmp(verb, "kill") == 0 && n == 1) {
        n = count_conns(words[0], 1);
        scripted_note(NULL, "kill %s, %d", words[0], n);
        wire_print(out, "ok %d\n", n);

    } else if (strcmp(verb, "to") == 0 && n == 1) {
        scripted_told = (strcmp(words[0], "none") == 0) ? -1 : atoi(words[0]);
        wire_print(out, "ok\n");

    } else if (strcmp(verb, "refuse") == 0 && n == 1) {
        scripted_refusing = (strcmp(words[0], "on") == 0);
        wire_print(out, "ok\n");

    } else if (strcmp(verb, "clear") == 0) {
        scripted_rules_clear();
        wire_print(out, "ok\n");

    } else if (strcmp(verb, "release") == 0) {
        n = release();
        scripted_note(NULL, "release, %d", n);
        wire_print(out, "ok %d\n", n);

    } else {
        wire_print(out, "error there is no such line\n");
    }
}


void
scripted_control(char *line, wire_buf_t *out)
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
        wire_print(out, "%s\n", scripted_rules_add(words, n, line ? line : ""));
        return;
    }

    for (i = 0, len = 0; i < n; i++) {
        len = scripted_control_unescape(words[i]);
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


void
scripted_control_run(const char *line)
{
    char        *copy;
    wire_buf_t   out = { NULL, 0, 0 };

    copy = strdup(line);
    scripted_control(copy, &out);

    if (strncmp(out.p, "ok", 2) != 0) {
        errno = EINVAL;
        wire_stop(line);
    }

    free(copy);
    free(out.p);
}
