
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include <errno.h>

#include "mtdctl.h"


typedef struct {
    mtdctl_rows_t     *rows;
    mtdctl_seen_t     *ids;
    mtdctl_seen_t     *aliases;
    mtdctl_change_t    change[MTDCTL_BATCH];
    size_t             n;
    size_t             batch;
    size_t             imported;
    size_t             unchanged;
    size_t             skipped;
} mtdctl_import_t;


static int mtdctl_import_open(mtdctl_t *ctl, const char *name,
    mtdctl_rows_t *rows);
static int mtdctl_import_spool(mtdctl_t *ctl, mtdctl_rows_t *rows);
static int mtdctl_import_format(mtdctl_t *ctl, mtdctl_rows_t *rows);
static int mtdctl_import_run(mtdctl_t *ctl, mtdctl_import_t *im);
static int mtdctl_import_pass(mtdctl_t *ctl, mtdctl_import_t *im);
static int mtdctl_import_rows(mtdctl_t *ctl, mtdctl_import_t *im);
static int mtdctl_import_known(mtdctl_t *ctl, mtdctl_import_t *im,
    mtdctl_change_t *change);
static int mtdctl_import_flush(mtdctl_t *ctl, mtdctl_import_t *im);
static void mtdctl_import_bad(mtdctl_import_t *im, size_t line,
    const char *error);


int
mtdctl_import(mtdctl_t *ctl, int argc, char **argv)
{
    int              status;
    mtdctl_rows_t   *rows;
    mtdctl_import_t *im;

    rows = calloc(1, sizeof(mtdctl_rows_t));
    im = calloc(1, sizeof(mtdctl_import_t));

    if (rows == NULL || im == NULL) {
        mtdctl_fatal_memory();
    }

    im->rows = rows;

    /* an alias that moves changes two records, which may be both here */

    im->batch = (ctl->force || ctl->cluster) ? 1 : MTDCTL_BATCH;

    status = mtdctl_import_open(ctl, argv[0], rows);

    if (status == 0) {
        status = mtdctl_audit_check(ctl);
    }

    if (status == 0) {
        status = mtdctl_import_run(ctl, im);
    }

    if (rows->file && rows->file != stdin) {
        fclose(rows->file);
    }

    free(rows);
    free(im);

    return status;
}


static int
mtdctl_import_open(mtdctl_t *ctl, const char *name, mtdctl_rows_t *rows)
{
    if (strcmp(name, "-") == 0) {
        rows->name = "stdin";
        rows->file = stdin;

    } else {
        rows->name = name;
        rows->file = fopen(name, "r");
    }

    if (rows->file == NULL) {
        return mtdctl_fail(ctl, MTDCTL_BAD, "cannot open \"%.300s\": %s",
                           name, strerror(errno));
    }

    if (mtdctl_import_format(ctl, rows) != 0) {
        return MTDCTL_BAD;
    }

    return ctl->strict ? mtdctl_import_spool(ctl, rows) : 0;
}


/* what is read twice must be the same both times */

static int
mtdctl_import_spool(mtdctl_t *ctl, mtdctl_rows_t *rows)
{
    char     buf[65536];
    int      bad;
    FILE    *copy;
    size_t   n;

    copy = tmpfile();

    if (copy == NULL) {
        return mtdctl_fail(ctl, MTDCTL_STORE, "cannot make a temporary file:"
                           " %s", strerror(errno));
    }

    do {
        n = fread(buf, 1, sizeof(buf), rows->file);
        bad = fwrite(buf, 1, n, copy) != n;

    } while (n && !bad);

    if (bad || ferror(rows->file) || fflush(copy) != 0) {
        fclose(copy);
        return mtdctl_fail(ctl, MTDCTL_STORE, "cannot copy \"%.300s\": %s",
                           rows->name, strerror(errno));
    }

    if (rows->file != stdin) {
        fclose(rows->file);
    }

    rows->file = copy;
    rewind(copy);

    return 0;
}


static int
mtdctl_import_format(mtdctl_t *ctl, mtdctl_rows_t *rows)
{
    size_t       i;
    const char  *format, *dot;

    static const struct {
        const char  *name;
        unsigned     jsonl;
    } formats[] = {
        { "csv", 0 },
        { "jsonl", 1 },
        { "ndjson", 1 }
    };

    dot = strrchr(rows->name, '.');
    format = ctl->format ? ctl->format : (dot ? dot + 1 : "");

    for (i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        if (strcmp(format, formats[i].name) == 0) {
            rows->jsonl = formats[i].jsonl;
            return 0;
        }
    }

    return mtdctl_fail(ctl, MTDCTL_BAD, ctl->format
                       ? "--format: \"%.64s\" is neither csv nor jsonl"
                       : "\"%.300s\": say --format csv or --format jsonl",
                       ctl->format ? ctl->format : rows->name);
}


static int
mtdctl_import_run(mtdctl_t *ctl, mtdctl_import_t *im)
{
    int  status;

    if (ctl->strict) {
        ctl->dry = 1;
        status = mtdctl_import_pass(ctl, im);
        ctl->dry = 0;

        if (status != 0) {
            return status;
        }

        if (im->skipped) {
            return mtdctl_fail(ctl, MTDCTL_BAD, "%zu bad rows, nothing was"
                               " written", im->skipped);
        }

        rewind(im->rows->file);
        im->imported = 0;
        im->unchanged = 0;
    }

    status = mtdctl_import_pass(ctl, im);

    printf("imported %zu, skipped %zu, unchanged %zu\n", im->imported,
           im->skipped, im->unchanged);

    if (status != 0) {
        return status;
    }

    ctl->error[0] = '\0';

    return im->skipped ? MTDCTL_BAD : 0;
}


static int
mtdctl_import_pass(mtdctl_t *ctl, mtdctl_import_t *im)
{
    int              status;
    mtdctl_rows_t   *rows;
    mtdctl_block_t  *kept;

    rows = im->rows;
    rows->columns = mtdctl_alloc(ctl, MTDCTL_COLUMNS * sizeof(mtdctl_pair_t));

    status = mtdctl_rows_start(ctl, rows);

    if (status == MTDCTL_BAD) {
        mtdctl_import_bad(im, rows->line, ctl->error);

        return mtdctl_fail(ctl, MTDCTL_BAD, "\"%.300s\" cannot be imported",
                           rows->name);
    }

    if (status != 0) {
        return status;
    }

    im->ids = mtdctl_seen_create();
    im->aliases = mtdctl_seen_create();

    /* the columns stay when the memory of a batch is released */

    kept = ctl->blocks;
    ctl->blocks = NULL;

    status = mtdctl_import_rows(ctl, im);

    mtdctl_release(ctl);
    ctl->blocks = kept;

    mtdctl_seen_destroy(im->ids);
    mtdctl_seen_destroy(im->aliases);

    return status;
}


static int
mtdctl_import_rows(mtdctl_t *ctl, mtdctl_import_t *im)
{
    int               end, status;
    size_t            bad;
    mtdctl_change_t  *change;

    im->n = 0;
    bad = 0;

    for ( ;; ) {
        change = &im->change[im->n];
        end = 0;

        status = mtdctl_rows_next(ctl, im->rows, change, &end);

        if (status == MTDCTL_STORE) {
            return status;
        }

        if (end) {
            return mtdctl_import_flush(ctl, im);
        }

        if (status == 0) {
            status = mtdctl_import_known(ctl, im, change);
        }

        if (status == MTDCTL_AGAIN) {
            im->unchanged++;
            bad++;

        } else if (status != 0) {
            mtdctl_import_bad(im, im->rows->line, ctl->error);
            bad++;

        } else {
            change->what = "import";
            change->create = 1;
            change->lazy = 1;
            im->n++;
        }

        if (im->n == im->batch || (bad && bad % MTDCTL_BATCH == 0)) {
            status = mtdctl_import_flush(ctl, im);
            bad = 0;

            if (status != 0) {
                return status;
            }
        }
    }
}


/* MTDCTL_AGAIN: the same row stood in the file before */

static int
mtdctl_import_known(mtdctl_t *ctl, mtdctl_import_t *im,
    mtdctl_change_t *change)
{
    int             rc;
    size_t          i, line;
    mtd_str_t       all[2], text;
    mtdctl_pair_t  *pair;
    mtdctl_pairs_t  one;

    all[0] = mtdctl_record_join(ctl, &change->fields);
    all[1] = mtdctl_record_join(ctl, &change->aliases);

    text.len = all[0].len + all[1].len + 1;
    text.data = mtdctl_alloc(ctl, text.len);
    memcpy(text.data, all[0].data, all[0].len);
    memcpy(text.data + all[0].len + 1, all[1].data, all[1].len);

    line = change->line;
    rc = mtdctl_seen_add(im->ids, &change->id, &text, &line);

    if (rc == 1) {
        return MTDCTL_AGAIN;
    }

    if (rc == -1) {
        return mtdctl_fail(ctl, MTDCTL_BAD, "field \"id\": \"%.130s\" is in"
                           " line %zu, too, with other values",
                           mtdctl_show(ctl, &change->id), line);
    }

    for (i = 0; i < change->aliases.n; i++) {
        pair = &change->aliases.pair[i];

        one.pair = pair;
        one.n = 1;
        text = mtdctl_record_join(ctl, &one);

        line = change->line;

        if (mtdctl_seen_add(im->aliases, &text, &change->id, &line) == -1) {
            return mtdctl_fail(ctl, MTDCTL_BAD, "field \"alias:%s\": \"%s\""
                               " is another device's in line %zu",
                               mtdctl_show(ctl, &pair->name),
                               mtdctl_show(ctl, &pair->value), line);
        }
    }

    return 0;
}


static int
mtdctl_import_flush(mtdctl_t *ctl, mtdctl_import_t *im)
{
    int               status;
    size_t            i;
    mtdctl_change_t  *change;

    status = im->n ? mtdctl_store_apply(ctl, im->change, im->n) : 0;

    if (status != 0) {
        return status;
    }

    for (i = 0; i < im->n; i++) {
        change = &im->change[i];

        if (change->status) {
            mtdctl_import_bad(im, change->line, change->error);

        } else if (change->written) {
            im->imported++;

        } else {
            im->unchanged++;
        }
    }

    im->n = 0;
    mtdctl_release(ctl);

    return 0;
}


static void
mtdctl_import_bad(mtdctl_import_t *im, size_t line, const char *error)
{
    fprintf(stderr, "%s:%zu: %s\n", im->rows->name, line, error);
    im->skipped++;
}
