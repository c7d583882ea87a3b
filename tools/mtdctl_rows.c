
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include <jansson.h>

#include "mtdctl.h"


#define MTDCTL_ROWS_DEPTH     3         /* { "aliases": { "eas": [ */


typedef enum {
    MTDCTL_CELL_START = 0,
    MTDCTL_CELL_PLAIN,
    MTDCTL_CELL_QUOTED,
    MTDCTL_CELL_QUOTE                   /* it may be the end */
} mtdctl_cell_e;


static int mtdctl_rows_line(mtdctl_t *ctl, mtdctl_rows_t *rows,
    mtd_str_t *line, int *end);
static int mtdctl_rows_cells(mtdctl_t *ctl, mtdctl_rows_t *rows,
    mtd_str_t *cells, size_t *n, int *end);
static const char *mtdctl_rows_cell_char(mtdctl_cell_e *state, int c,
    int *keep);
static int mtdctl_rows_header(mtdctl_t *ctl, mtdctl_rows_t *rows);
static int mtdctl_rows_column(mtdctl_t *ctl, mtdctl_pair_t *column,
    const mtd_str_t *cell);
static int mtdctl_rows_csv(mtdctl_t *ctl, mtdctl_rows_t *rows,
    mtdctl_change_t *change, int *end);
static int mtdctl_rows_jsonl(mtdctl_t *ctl, mtdctl_rows_t *rows,
    mtdctl_change_t *change, int *end);
static int mtdctl_rows_depth(const mtd_str_t *line);
static int mtdctl_rows_object(mtdctl_t *ctl, json_t *root,
    mtdctl_change_t *change);
static int mtdctl_rows_json_text(mtdctl_t *ctl, const char *name,
    json_t *json, mtd_str_t *text);
static int mtdctl_rows_json_aliases(mtdctl_t *ctl, json_t *kinds,
    mtdctl_change_t *change);


/* columns outlive the rows, so they are not in the memory of a batch */

int
mtdctl_rows_start(mtdctl_t *ctl, mtdctl_rows_t *rows)
{
    int  c, i;

    static const u_char  bom[] = { 0xef, 0xbb, 0xbf };

    rows->next = 1;
    rows->line = 1;

    for (i = 0; i < 3; i++) {
        c = getc(rows->file);

        if (c != bom[i]) {
            ungetc(c, rows->file);

            if (i) {
                return mtdctl_fail(ctl, MTDCTL_BAD, "not in UTF-8");
            }

            break;
        }
    }

    return rows->jsonl ? 0 : mtdctl_rows_header(ctl, rows);
}


int
mtdctl_rows_next(mtdctl_t *ctl, mtdctl_rows_t *rows, mtdctl_change_t *change,
    int *end)
{
    memset(change, 0, sizeof(mtdctl_change_t));

    return rows->jsonl ? mtdctl_rows_jsonl(ctl, rows, change, end)
                       : mtdctl_rows_csv(ctl, rows, change, end);
}


static int
mtdctl_rows_broken(mtdctl_t *ctl, mtdctl_rows_t *rows)
{
    if (!ferror(rows->file)) {
        return 0;
    }

    return mtdctl_fail(ctl, MTDCTL_STORE, "\"%.300s\" cannot be read to its"
                       " end", rows->name);
}


static int
mtdctl_rows_line(mtdctl_t *ctl, mtdctl_rows_t *rows, mtd_str_t *line,
    int *end)
{
    int          c;
    size_t       n;
    const char  *bad;

    n = 0;
    bad = NULL;
    line->len = 0;
    line->data = rows->row;
    rows->line = rows->next;

    for ( ;; ) {
        c = getc_unlocked(rows->file);

        if (c == EOF || c == '\n') {
            break;
        }

        if (c == '\0') {
            bad = "a NUL byte";
            continue;
        }

        if (n == MTDCTL_ROW) {
            bad = "longer than 65536 bytes";
            continue;
        }

        rows->row[n++] = c;
    }

    rows->next++;
    *end = (c == EOF && n == 0 && bad == NULL);

    if (bad) {
        return mtdctl_fail(ctl, MTDCTL_BAD, "%s", bad);
    }

    if (n && rows->row[n - 1] == '\r') {
        n--;
    }

    line->len = n;

    return mtdctl_rows_broken(ctl, rows);
}


/*
 * RFC 4180.  A bad row is read to its very end: what is quoted must never be
 * taken for a row of its own.
 */

static int
mtdctl_rows_cells(mtdctl_t *ctl, mtdctl_rows_t *rows, mtd_str_t *cells,
    size_t *n, int *end)
{
    int             c, keep;
    size_t          len, bytes;
    const char     *bad, *why;
    mtdctl_cell_e   state;

    *n = 0;
    len = 0;
    bytes = 0;
    bad = NULL;
    state = MTDCTL_CELL_START;
    rows->line = rows->next;

    cells[0].data = rows->row;

    for ( ;; ) {
        c = getc_unlocked(rows->file);

        if (c == '\r' && state != MTDCTL_CELL_QUOTED) {
            c = getc_unlocked(rows->file);

            if (c != '\n' && c != EOF) {
                ungetc(c, rows->file);
                c = '\r';
            }
        }

        if (c == EOF) {
            break;
        }

        bytes++;
        rows->next += (c == '\n');

        if (state != MTDCTL_CELL_QUOTED && (c == '\n' || c == ',')) {
            cells[*n].len = rows->row + len - cells[*n].data;
            (*n)++;

            if (c == '\n') {
                break;
            }

            if (*n == MTDCTL_COLUMNS) {
                bad = bad ? bad : "too many columns";
                (*n)--;
                len = cells[*n].data - rows->row;
            }

            cells[*n].data = rows->row + len;
            state = MTDCTL_CELL_START;
            continue;
        }

        why = mtdctl_rows_cell_char(&state, c, &keep);

        if (keep && len == MTDCTL_ROW) {
            why = "longer than 65536 bytes";
            keep = 0;
        }

        bad = bad ? bad : why;

        if (keep) {
            rows->row[len++] = c;
        }
    }

    *end = (c == EOF && bytes == 0);

    if (c == EOF && !*end) {
        cells[*n].len = rows->row + len - cells[*n].data;
        (*n)++;

        if (state == MTDCTL_CELL_QUOTED) {
            bad = "a quote is not closed";
        }
    }

    if (bad) {
        return mtdctl_fail(ctl, MTDCTL_BAD, "%s", bad);
    }

    return mtdctl_rows_broken(ctl, rows);
}


/* returns what is wrong with it or NULL; keep: it is a part of the text */

static const char *
mtdctl_rows_cell_char(mtdctl_cell_e *state, int c, int *keep)
{
    *keep = 1;

    if (c == '"') {
        switch (*state) {

        case MTDCTL_CELL_START:
            *keep = 0;
            *state = MTDCTL_CELL_QUOTED;
            return NULL;

        case MTDCTL_CELL_QUOTED:
            *keep = 0;
            *state = MTDCTL_CELL_QUOTE;
            return NULL;

        case MTDCTL_CELL_QUOTE:
            *state = MTDCTL_CELL_QUOTED;
            return NULL;

        default: /* MTDCTL_CELL_PLAIN */
            return "a quote inside of a field without quotes";
        }
    }

    if (*state == MTDCTL_CELL_QUOTE) {
        *state = MTDCTL_CELL_PLAIN;
        return "text after a closing quote";
    }

    if (*state == MTDCTL_CELL_START) {
        *state = MTDCTL_CELL_PLAIN;
    }

    return (c == '\0') ? "a NUL byte" : NULL;
}


static int
mtdctl_rows_header(mtdctl_t *ctl, mtdctl_rows_t *rows)
{
    int        end, status, ids;
    size_t     i, k, n;
    mtd_str_t  cells[MTDCTL_COLUMNS];

    status = mtdctl_rows_cells(ctl, rows, cells, &n, &end);
    if (status != 0) {
        return status;
    }

    if (end) {
        return mtdctl_fail(ctl, MTDCTL_BAD, "no header line");
    }

    rows->ncolumns = n;
    ids = 0;

    for (i = 0; i < n; i++) {
        if (mtdctl_rows_column(ctl, &rows->columns[i], &cells[i]) != 0) {
            return MTDCTL_BAD;
        }

        ids += mtdctl_is(&rows->columns[i].name, "id");

        /* there may be more than one column of a kind of alias */

        for (k = 0; k < i && rows->columns[i].value.len == 0; k++) {
            if (mtdctl_equal(&rows->columns[k].name, &rows->columns[i].name))
            {
                return mtdctl_fail(ctl, MTDCTL_BAD, "column \"%s\" is there"
                                   " twice", mtdctl_show(ctl, &cells[i]));
            }
        }
    }

    if (ids == 0) {
        return mtdctl_fail(ctl, MTDCTL_BAD, "the header has no column"
                           " \"id\"");
    }

    return 0;
}


/* the kind of an alias is the value of its column */

static int
mtdctl_rows_column(mtdctl_t *ctl, mtdctl_pair_t *column,
    const mtd_str_t *cell)
{
    mtd_str_t  name, kind;

    column->value.len = 0;

    name = mtdctl_copy(ctl, cell->data, cell->len);

    if (mtd_fold(&name, sizeof("alias:") + MTD_KIND_MAX) == 0) {

        column->name = name;

        if (mtdctl_is(&name, "id")) {
            return 0;
        }

        if (name.len > 6 && memcmp(name.data, "alias:", 6) == 0) {
            kind.data = name.data + 6;
            kind.len = name.len - 6;

            return mtdctl_value_kind(ctl, &kind, &column->value);
        }
    }

    return mtdctl_value_name(ctl, cell, &column->name);
}


static int
mtdctl_rows_csv(mtdctl_t *ctl, mtdctl_rows_t *rows, mtdctl_change_t *change,
    int *end)
{
    int             status;
    size_t          i, n;
    mtd_str_t       cells[MTDCTL_COLUMNS];
    mtdctl_pair_t  *column;

    do {
        status = mtdctl_rows_cells(ctl, rows, cells, &n, end);

        if (status != 0 || *end) {
            return status;
        }

    } while (n == 1 && cells[0].len == 0);

    change->line = rows->line;

    if (n != rows->ncolumns) {
        return mtdctl_fail(ctl, MTDCTL_BAD, "%zu fields, the header has %zu",
                           n, rows->ncolumns);
    }

    for (i = 0; i < n; i++) {
        column = &rows->columns[i];

        if (column->value.len) {
            status = cells[i].len
                     ? mtdctl_value_add_alias(ctl, change, &column->value,
                                              &cells[i])
                     : 0;

        } else if (mtdctl_is(&column->name, "id")) {
            status = mtdctl_value_id(ctl, &cells[i], &change->id);

        } else {
            status = mtdctl_value_set(ctl, change, &column->name, &cells[i]);
        }

        if (status != 0) {
            return status;
        }
    }

    return 0;
}


static int
mtdctl_rows_jsonl(mtdctl_t *ctl, mtdctl_rows_t *rows,
    mtdctl_change_t *change, int *end)
{
    int            status;
    size_t         i;
    json_t        *root;
    mtd_str_t      line;
    json_error_t   error;

    do {
        status = mtdctl_rows_line(ctl, rows, &line, end);

        if (status != 0 || *end) {
            return status;
        }

        for (i = 0; i < line.len; i++) {
            if (line.data[i] != ' ' && line.data[i] != '\t') {
                break;
            }
        }

    } while (i == line.len);

    change->line = rows->line;

    if (mtdctl_rows_depth(&line) > MTDCTL_ROWS_DEPTH) {
        return mtdctl_fail(ctl, MTDCTL_BAD, "nested too deeply");
    }

    root = json_loadb((char *) line.data, line.len, JSON_REJECT_DUPLICATES,
                      &error);

    if (root == NULL) {
        return mtdctl_fail(ctl, MTDCTL_BAD, "no JSON object: %.100s",
                           error.text);
    }

    status = mtdctl_rows_object(ctl, root, change);

    json_decref(root);

    return status;
}


/* before it is parsed: the parser itself allows for thousands of levels */

static int
mtdctl_rows_depth(const mtd_str_t *line)
{
    int     depth, max, quoted;
    size_t  i;

    depth = 0;
    max = 0;
    quoted = 0;

    for (i = 0; i < line->len; i++) {
        switch (line->data[i]) {

        case '\\':
            i += quoted;
            break;

        case '"':
            quoted = !quoted;
            break;

        case '{':
        case '[':
            depth += !quoted;
            max = (depth > max) ? depth : max;
            break;

        case '}':
        case ']':
            depth -= !quoted;
            break;
        }
    }

    return max;
}


static int
mtdctl_rows_object(mtdctl_t *ctl, json_t *root, mtdctl_change_t *change)
{
    int          status;
    json_t      *value;
    mtd_str_t    name, text;
    const char  *key;

    if (!json_is_object(root)) {
        return mtdctl_fail(ctl, MTDCTL_BAD, "no JSON object");
    }

    json_object_foreach(root, key, value) {

        if (strcmp(key, "aliases") == 0) {
            status = mtdctl_rows_json_aliases(ctl, value, change);

            if (status != 0) {
                return status;
            }

            continue;
        }

        name = mtdctl_text(ctl, key);

        if (strcmp(key, "id") != 0
            && mtdctl_value_name(ctl, &name, &name) != 0)
        {
            return MTDCTL_BAD;
        }

        if (mtdctl_rows_json_text(ctl, key, value, &text) != 0) {
            return MTDCTL_BAD;
        }

        status = (strcmp(key, "id") == 0)
                 ? mtdctl_value_id(ctl, &text, &change->id)
                 : mtdctl_value_set(ctl, change, &name, &text);

        if (status != 0) {
            return status;
        }
    }

    if (change->id.len == 0) {
        return mtdctl_fail(ctl, MTDCTL_BAD, "field \"id\": missing");
    }

    return 0;
}


static int
mtdctl_rows_json_text(mtdctl_t *ctl, const char *name, json_t *json,
    mtd_str_t *text)
{
    char  buf[32];

    if (json_is_null(json)) {
        *text = mtdctl_text(ctl, "");
        return 0;
    }

    if (json_is_string(json)) {
        *text = mtdctl_copy(ctl, json_string_value(json),
                            json_string_length(json));
        return 0;
    }

    if (json_is_integer(json)) {
        snprintf(buf, sizeof(buf), "%lld",
                 (long long) json_integer_value(json));
        *text = mtdctl_text(ctl, buf);
        return 0;
    }

    return mtdctl_fail(ctl, MTDCTL_BAD, "field \"%.64s\": neither a text nor"
                       " a whole number", name);
}


/* { "eas": "x", "serial": ["y", "z"] } */

static int
mtdctl_rows_json_aliases(mtdctl_t *ctl, json_t *kinds,
    mtdctl_change_t *change)
{
    size_t       i, n;
    json_t      *value;
    mtd_str_t    kind, text;
    const char  *key;

    if (!json_is_object(kinds)) {
        return mtdctl_fail(ctl, MTDCTL_BAD, "field \"aliases\": no object");
    }

    json_object_foreach(kinds, key, value) {
        kind = mtdctl_text(ctl, key);
        n = json_is_array(value) ? json_array_size(value) : 1;

        for (i = 0; i < n; i++) {
            if (mtdctl_rows_json_text(ctl, "aliases",
                                      json_is_array(value)
                                      ? json_array_get(value, i) : value,
                                      &text) != 0
                || mtdctl_value_add_alias(ctl, change, &kind, &text) != 0)
            {
                return MTDCTL_BAD;
            }
        }
    }

    return 0;
}
