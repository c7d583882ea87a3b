
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include <stdarg.h>

#include "mtdctl.h"


#define MTDCTL_BLOCK   16384


struct mtdctl_block_s {
    mtdctl_block_t   *next;
    size_t            size;
    size_t            used;
    max_align_t       data[];
};


void
mtdctl_fatal_memory(void)
{
    fputs("mtdctl: out of memory\n", stderr);
    exit(MTDCTL_STORE);
}


/* an import that runs out of memory ends: nothing of its batch is done */

void *
mtdctl_alloc(mtdctl_t *ctl, size_t size)
{
    u_char          *p;
    size_t           room;
    mtdctl_block_t  *b;

    size = (size + sizeof(max_align_t) - 1) & ~(sizeof(max_align_t) - 1);

    b = ctl->blocks;

    if (b == NULL || b->size - b->used < size) {
        room = (size > MTDCTL_BLOCK) ? size : MTDCTL_BLOCK;

        b = malloc(sizeof(mtdctl_block_t) + room);
        if (b == NULL) {
            mtdctl_fatal_memory();
        }

        b->size = room;
        b->used = 0;
        b->next = ctl->blocks;
        ctl->blocks = b;
    }

    p = (u_char *) b->data + b->used;
    b->used += size;

    return memset(p, 0, size);
}


void
mtdctl_release(mtdctl_t *ctl)
{
    mtdctl_block_t  *b, *next;

    for (b = ctl->blocks; b != NULL; b = next) {
        next = b->next;
        free(b);
    }

    ctl->blocks = NULL;
}


/* one byte more is zero, but does not count */

mtd_str_t
mtdctl_copy(mtdctl_t *ctl, const void *data, size_t len)
{
    mtd_str_t  text;

    text.len = len;
    text.data = mtdctl_alloc(ctl, len + 1);

    if (len) {
        memcpy(text.data, data, len);
    }

    return text;
}


mtd_str_t
mtdctl_text(mtdctl_t *ctl, const char *text)
{
    return mtdctl_copy(ctl, text, strlen(text));
}


/* terminated and harmless on a terminal */

const char *
mtdctl_show(mtdctl_t *ctl, const mtd_str_t *text)
{
    size_t      i;
    mtd_str_t   copy;

    copy = mtdctl_copy(ctl, text->data, text->len);

    for (i = 0; i < copy.len; i++) {
        if (copy.data[i] < 0x20 || copy.data[i] == 0x7f
            || (copy.data[i] == 0xc2 && copy.data[i + 1] >= 0x80
                && copy.data[i + 1] < 0xa0))
        {
            copy.data[i] = '?';
        }
    }

    return (char *) copy.data;
}


int
mtdctl_equal(const mtd_str_t *a, const mtd_str_t *b)
{
    return a->len == b->len
           && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}


int
mtdctl_is(const mtd_str_t *a, const char *text)
{
    return a->len == strlen(text) && memcmp(a->data, text, a->len) == 0;
}


int
mtdctl_fail(mtdctl_t *ctl, int status, const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    vsnprintf(ctl->error, sizeof(ctl->error), fmt, args);
    va_end(args);

    return status;
}


mtd_str_t *
mtdctl_find(const mtdctl_pairs_t *pairs, const mtd_str_t *name)
{
    size_t  i;

    for (i = 0; i < pairs->n; i++) {
        if (mtdctl_equal(&pairs->pair[i].name, name)) {
            return &pairs->pair[i].value;
        }
    }

    return NULL;
}


void
mtdctl_add(mtdctl_t *ctl, mtdctl_pairs_t *pairs, const mtd_str_t *name,
    const mtd_str_t *value)
{
    mtdctl_pair_t  *pair;

    if (pairs->n == pairs->size) {
        pairs->size = pairs->size ? 2 * pairs->size : 8;
        pair = mtdctl_alloc(ctl, pairs->size * sizeof(mtdctl_pair_t));

        if (pairs->n) {
            memcpy(pair, pairs->pair, pairs->n * sizeof(mtdctl_pair_t));
        }

        pairs->pair = pair;
    }

    pair = &pairs->pair[pairs->n++];
    pair->name = *name;
    pair->value = *value;
}


void
mtdctl_remove(mtdctl_pairs_t *pairs, const mtd_str_t *name)
{
    size_t  i;

    for (i = 0; i < pairs->n; i++) {
        if (mtdctl_equal(&pairs->pair[i].name, name)) {
            pairs->n--;
            memmove(&pairs->pair[i], &pairs->pair[i + 1],
                    (pairs->n - i) * sizeof(mtdctl_pair_t));
            return;
        }
    }
}
