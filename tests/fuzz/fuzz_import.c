
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * The input is a letter, for CSV or JSON Lines, and a file that mtdctl
 * imports.  A reader of this file's own cuts it into rows and cells; what a
 * row says is legal in a record, and is the same when it is written anew, in
 * either format, and read again.
 */


#include <jansson.h>

#include "fuzz.h"
#include "mtdctl.h"


#define FUZZ_ROWS          512
#define FUZZ_INPUT         (2 * MTDCTL_ROW + 1024)
#define FUZZ_TEXT          (4 * MTDCTL_ROW)


/* a row of a table; what is bad in it spoils no other */

typedef struct {
    int           bad;
    size_t        line;
    size_t        n;                /* cells, or more than there may be */
    mtd_str_t     cell[MTDCTL_COLUMNS];
    int           blank;
} fuzz_row_t;


typedef struct {
    const u_char *p;
    const u_char *last;
    size_t        line;
    u_char       *to;               /* cells, without quotes */
} fuzz_table_t;


static mtdctl_rows_t  fuzz_rows, fuzz_again;
static u_char         fuzz_cells[FUZZ_INPUT];
static char           fuzz_text[FUZZ_TEXT];


/* of tools/mtdctl_record.c, which is linked with all that speaks to Redis */

int
mtdctl_record_has(const mtdctl_pairs_t *aliases, const mtdctl_pair_t *alias)
{
    size_t  i;

    for (i = 0; i < aliases->n; i++) {
        if (mtdctl_equal(&aliases->pair[i].name, &alias->name)
            && mtdctl_equal(&aliases->pair[i].value, &alias->value))
        {
            return 1;
        }
    }

    return 0;
}


static int
fuzz_is_end(const fuzz_table_t *t, const u_char *p)
{
    return p == t->last || *p == '\n'
           || (*p == '\r' && (p + 1 == t->last || p[1] == '\n'));
}


/* RFC 4180, a cell after the other; 0 if there is no row left */

static int
fuzz_row(fuzz_table_t *t, fuzz_row_t *row)
{
    int        quoted;
    size_t     bytes;
    u_char    *start;

    if (t->p == t->last) {
        return 0;
    }

    row->bad = 0;
    row->n = 0;
    row->line = t->line;
    bytes = 0;

    for ( ;; ) {
        quoted = (t->p < t->last && *t->p == '"');
        start = t->to;
        t->p += quoted;

        for ( ;; ) {
            if (!quoted && (fuzz_is_end(t, t->p) || *t->p == ',')) {
                break;
            }

            if (t->p == t->last) {
                row->bad = 1;
                break;
            }

            if (*t->p == '"') {

                if (!quoted) {
                    row->bad = 1;

                } else if (t->last - t->p > 1 && t->p[1] == '"') {
                    t->p++;

                } else {
                    t->p++;
                    quoted = 0;

                    if (!fuzz_is_end(t, t->p) && *t->p != ',') {
                        row->bad = 1;
                    }

                    continue;
                }
            }

            row->bad |= (*t->p == '\0');
            t->line += (*t->p == '\n');
            *t->to++ = *t->p++;
        }

        bytes += t->to - start;

        if (row->n < MTDCTL_COLUMNS) {
            row->cell[row->n].data = start;
            row->cell[row->n].len = t->to - start;
        }

        row->n++;

        if (t->p == t->last || *t->p != ',') {
            break;
        }

        t->p++;
    }

    row->bad |= (bytes > MTDCTL_ROW || row->n > MTDCTL_COLUMNS);
    row->blank = (row->n == 1 && row->cell[0].len == 0 && !row->bad);

    if (t->p < t->last && *t->p == '\r') {
        t->p++;
    }

    if (t->p < t->last) {
        t->p++;
        t->line++;
    }

    return 1;
}


/* JSON Lines: what stands up to a newline */

static int
fuzz_json_row(fuzz_table_t *t, fuzz_row_t *row)
{
    size_t         bytes;
    const u_char  *end, *next;

    if (t->p == t->last) {
        return 0;
    }

    end = memchr(t->p, '\n', t->last - t->p);
    next = end ? end + 1 : t->last;
    end = end ? end : t->last;

    row->line = t->line++;
    row->bad = 0;
    row->blank = 1;

    for (bytes = 0; t->p < end; t->p++, bytes++) {
        row->bad |= (*t->p == '\0');

        if (*t->p != ' ' && *t->p != '\t'
            && (*t->p != '\r' || t->p + 1 < end))
        {
            row->blank = 0;
        }
    }

    row->bad |= bytes > MTDCTL_ROW;
    row->blank &= !row->bad;
    t->p = next;

    return 1;
}


static int
fuzz_utf8(const mtd_str_t *text)
{
    size_t    i, k, more;
    uint32_t  c, least;

    for (i = 0; i < text->len; i += 1 + more) {
        c = text->data[i];

        if (c < 0x80) {
            more = 0;
            continue;
        }

        more = (c >= 0xf0) ? 3 : (c >= 0xe0) ? 2 : 1;
        least = (more == 3) ? 0x10000 : (more == 2) ? 0x800 : 0x80;

        if (c < 0xc0 || c >= 0xf8 || text->len - i <= more) {
            return 0;
        }

        c &= 0x3f >> more;

        for (k = 1; k <= more; k++) {

            if ((text->data[i + k] & 0xc0) != 0x80) {
                return 0;
            }

            c = c << 6 | (text->data[i + k] & 0x3f);
        }

        if (c < least || c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) {
            return 0;
        }
    }

    return 1;
}


/* what may be a part of the name of a key */

static void
fuzz_folded(const mtd_str_t *text, size_t max)
{
    size_t  i;

    fuzz_check(text->len && text->len <= max, "length");
    fuzz_check(fuzz_utf8(text), "not in UTF-8");

    for (i = 0; i < text->len; i++) {
        fuzz_check(text->data[i] > ' ' && text->data[i] != 0x7f
                   && (text->data[i] < 'A' || text->data[i] > 'Z'),
                   "a byte that is not folded");
    }
}


static void
fuzz_legal(mtdctl_t *ctl, const mtdctl_change_t *change)
{
    size_t                 i, k;
    mtd_str_t              kind, value;
    mtdctl_change_t        other;
    const mtdctl_pair_t   *pair;

    fuzz_folded(&change->id, MTD_ID_MAX);
    fuzz_check(!mtdctl_value_split(ctl, &change->id, &kind, &value),
               "an id that reads as an alias");

    fuzz_check(change->aliases.n <= MTDCTL_ALIASES, "too many aliases");

    for (i = 0; i < change->aliases.n; i++) {
        pair = &change->aliases.pair[i];

        fuzz_folded(&pair->value, MTD_ID_MAX);
        fuzz_check(mtd_kind_valid(&pair->name), "no kind of alias");

        for (k = 0; k < i; k++) {
            fuzz_check(!mtdctl_equal(&change->aliases.pair[k].name,
                                     &pair->name)
                       || !mtdctl_equal(&change->aliases.pair[k].value,
                                        &pair->value), "an alias twice");
        }
    }

    memset(&other, 0, sizeof(other));

    for (i = 0; i < change->fields.n; i++) {
        pair = &change->fields.pair[i];

        fuzz_check(fuzz_utf8(&pair->value), "not in UTF-8");

        for (k = 0; k < pair->value.len; k++) {
            fuzz_check(pair->value.data[k] >= ' '
                       && pair->value.data[k] != 0x7f, "a control character");
        }

        fuzz_check(mtdctl_value_set(ctl, &other, &pair->name, &pair->value)
                   == 0, "a value that cannot be set");
        fuzz_check(mtdctl_equal(&other.fields.pair[i].name, &pair->name)
                   && mtdctl_equal(&other.fields.pair[i].value, &pair->value),
                   "another value when it is set");
        fuzz_check(mtdctl_value_set(ctl, &other, &pair->name, &pair->value)
                   == MTDCTL_BAD, "a field is set twice");

        if (mtdctl_is(&pair->name, "user") && pair->value.len) {
            fuzz_check(mtdctl_value_user(ctl, &pair->value, &value) == 0
                       && mtdctl_equal(&value, &pair->value), "another user");
        }
    }
}


static size_t
fuzz_quoted(size_t len, const mtd_str_t *text, char end)
{
    size_t  i;

    fuzz_text[len++] = '"';

    for (i = 0; i < text->len; i++) {
        fuzz_text[len++] = text->data[i];

        if (text->data[i] == '"') {
            fuzz_text[len++] = '"';
        }
    }

    fuzz_text[len++] = '"';
    fuzz_text[len++] = end;

    return len;
}


static size_t
fuzz_csv(const mtdctl_change_t *change)
{
    size_t                 i, k, len;
    const mtdctl_pair_t   *pair;

    len = 0;

    for (k = 0; k < 2; k++) {

        for (i = 0; i < change->fields.n; i++) {
            pair = &change->fields.pair[i];
            len = fuzz_quoted(len, k ? &pair->value : &pair->name, ',');
        }

        for (i = 0; i < change->aliases.n; i++) {
            pair = &change->aliases.pair[i];

            if (k == 0) {
                len += sprintf(fuzz_text + len, "alias:%.*s,",
                               (int) pair->name.len, pair->name.data);
                continue;
            }

            len = fuzz_quoted(len, &pair->value, ',');
        }

        if (k == 0) {
            len += sprintf(fuzz_text + len, "ID\r\n");

        } else {
            len = fuzz_quoted(len, &change->id, '\n');
        }
    }

    return len;
}


static json_t *
fuzz_string(const mtd_str_t *text)
{
    json_t  *json;

    json = json_stringn((char *) text->data, text->len);
    fuzz_check(json, "no JSON of a text");

    return json;
}


static size_t
fuzz_json(const mtdctl_change_t *change)
{
    char                  *name;
    size_t                 i, len;
    json_t                *root, *aliases, *list;
    const mtdctl_pair_t   *pair;

    root = json_object();
    aliases = json_object();

    json_object_set_new(root, "id", fuzz_string(&change->id));
    json_object_set_new(root, "aliases", aliases);

    for (i = 0; i < change->fields.n; i++) {
        pair = &change->fields.pair[i];
        name = strndup((char *) pair->name.data, pair->name.len);
        json_object_set_new(root, name, fuzz_string(&pair->value));
        free(name);
    }

    for (i = 0; i < change->aliases.n; i++) {
        pair = &change->aliases.pair[i];
        name = strndup((char *) pair->name.data, pair->name.len);
        list = json_object_get(aliases, name);

        if (list == NULL) {
            list = json_array();
            json_object_set_new(aliases, name, list);
        }

        json_array_append_new(list, fuzz_string(&pair->value));
        free(name);
    }

    len = json_dumpb(root, fuzz_text, FUZZ_TEXT, JSON_COMPACT);
    fuzz_check(len && len < FUZZ_TEXT, "no room");

    json_decref(root);

    return len;
}


static void
fuzz_open(mtdctl_rows_t *rows, const void *data, size_t size, unsigned jsonl)
{
    rows->file = fmemopen((void *) data, size, "r");
    rows->name = "file";
    rows->jsonl = jsonl;
    rows->ncolumns = 0;

    fuzz_check(rows->file, "no file");
}


static void
fuzz_same(mtdctl_t *ctl, const mtdctl_change_t *change, size_t len,
    unsigned jsonl)
{
    int               end;
    size_t            i;
    mtdctl_pair_t    *pair;
    mtdctl_pair_t     columns[MTDCTL_COLUMNS];
    mtdctl_change_t   other;

    memset(columns, 0, sizeof(columns));
    fuzz_again.columns = columns;

    fuzz_open(&fuzz_again, fuzz_text, len, jsonl);

    end = 0;

    fuzz_check(mtdctl_rows_start(ctl, &fuzz_again) == 0
               && mtdctl_rows_next(ctl, &fuzz_again, &other, &end) == 0
               && !end, ctl->error);

    fuzz_check(mtdctl_equal(&other.id, &change->id), "another id");
    fuzz_check(other.fields.n == change->fields.n
               && other.aliases.n == change->aliases.n, "another row");

    for (i = 0; i < change->fields.n; i++) {
        pair = &other.fields.pair[i];

        fuzz_check(mtdctl_equal(&pair->name, &change->fields.pair[i].name)
                   && mtdctl_equal(&pair->value,
                                   &change->fields.pair[i].value),
                   "another field");
    }

    for (i = 0; i < change->aliases.n; i++) {
        fuzz_check(mtdctl_record_has(&other.aliases,
                                     &change->aliases.pair[i]),
                   "another alias");
    }

    fuzz_check(mtdctl_rows_next(ctl, &fuzz_again, &other, &end) == 0 && end,
               "another row");

    fclose(fuzz_again.file);
}


/* the id and the aliases are in the cells that are theirs */

static void
fuzz_cells_of(mtdctl_t *ctl, const fuzz_row_t *row,
    const mtdctl_change_t *change)
{
    size_t          i;
    mtd_str_t       value;
    mtdctl_pair_t   alias, *column;

    for (i = 0; i < row->n; i++) {
        column = &fuzz_rows.columns[i];

        value = mtdctl_copy(ctl, row->cell[i].data, row->cell[i].len);

        if (column->value.len && value.len) {
            alias.name = column->value;
            alias.value = value;
            fuzz_check(mtd_fold(&alias.value, MTD_ID_MAX) == 0
                       && mtdctl_record_has(&change->aliases, &alias),
                       "an alias that is lost");

        } else if (mtdctl_is(&column->name, "id")) {
            fuzz_check(mtd_fold(&value, MTD_ID_MAX) == 0
                       && mtdctl_equal(&value, &change->id), "another id");
        }
    }
}


static void
fuzz_file(mtdctl_t *ctl, fuzz_table_t *t, unsigned jsonl)
{
    int               end, last, status;
    size_t            n;
    fuzz_row_t        row;
    mtdctl_change_t   change;

    for (n = 0; n < FUZZ_ROWS; n++) {
        do {
            end = jsonl ? !fuzz_json_row(t, &row) : !fuzz_row(t, &row);
        } while (!end && row.blank);

        last = 0;
        status = mtdctl_rows_next(ctl, &fuzz_rows, &change, &last);

        fuzz_check(last == end, end ? "a row behind the last"
                                    : "a row is lost");

        if (end) {
            return;
        }

        fuzz_check(status == 0 || status == MTDCTL_BAD, "status");
        fuzz_check(fuzz_rows.line == row.line, "another row");
        fuzz_check(!row.bad || status == MTDCTL_BAD, "a bad row is taken");

        if (status != 0) {
            fuzz_check(ctl->error[0], "no reason");
            fuzz_check(jsonl || row.bad || row.n == fuzz_rows.ncolumns
                       || strstr(ctl->error, "the header has"),
                       "another reason");
            mtdctl_release(ctl);
            continue;
        }

        if (!jsonl) {
            fuzz_check(row.n == fuzz_rows.ncolumns, "another row");
            fuzz_cells_of(ctl, &row, &change);
        }

        fuzz_check(change.line == row.line, "another line");
        fuzz_legal(ctl, &change);
        fuzz_same(ctl, &change, fuzz_csv(&change), 0);
        fuzz_same(ctl, &change, fuzz_json(&change), 1);

        mtdctl_release(ctl);
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int               status;
    size_t            len;
    unsigned          jsonl;
    fuzz_row_t        header;
    fuzz_table_t      t;
    mtdctl_t          ctl;
    mtdctl_pair_t     columns[MTDCTL_COLUMNS];
    mtdctl_block_t   *kept;

    static u_char  input[FUZZ_INPUT];

    if (size < 1) {
        return 0;
    }

    jsonl = data[0] & 1;
    len = fuzz_expand(input, sizeof(input), data + 1, size - 1);

    memset(&ctl, 0, sizeof(ctl));
    memset(columns, 0, sizeof(columns));

    fuzz_rows.columns = columns;
    fuzz_open(&fuzz_rows, input, len, jsonl);

    t.p = input;
    t.last = input + len;
    t.line = 1;
    t.to = fuzz_cells;

    if (len >= 3 && memcmp(input, "\xef\xbb\xbf", 3) == 0) {
        t.p += 3;
    }

    status = mtdctl_rows_start(&ctl, &fuzz_rows);

    if (len && *t.p == 0xef && t.p == input) {
        fuzz_check(status == MTDCTL_BAD, "a mark of the order that is none");
    }

    if (status == 0 && !jsonl) {
        fuzz_check(fuzz_row(&t, &header) && !header.bad
                   && fuzz_rows.ncolumns == header.n, "another header");
    }

    kept = ctl.blocks;
    ctl.blocks = NULL;

    if (status == 0) {
        fuzz_file(&ctl, &t, jsonl);

    } else {
        fuzz_check(status == MTDCTL_BAD && ctl.error[0], "no reason");
    }

    mtdctl_release(&ctl);
    ctl.blocks = kept;
    mtdctl_release(&ctl);

    fclose(fuzz_rows.file);

    return 0;
}
