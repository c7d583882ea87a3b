
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include <jansson.h>

#include "mtdctl.h"


#define MTDCTL_PAGE     1000

/*
 * Calls of SCAN before somebody asks how long it may take: a call goes
 * through MTDCTL_PAGE keys, or through ten times as many places for keys, of
 * which there may be many more for a while.
 */

#define MTDCTL_PAGES    10000
#define MTDCTL_PER_CALL 50          /* keys, at the worst */


typedef struct {
    char                cursor[32];
    char                before[32]; /* one that has been, "": none yet */
    unsigned long long  n;          /* calls */
    unsigned long long  mark;       /* when before is the next one */
    unsigned long long  limit;
} mtdctl_scan_t;


static int mtdctl_device_find(mtdctl_t *ctl, const char *arg, mtd_str_t *id);
static int mtdctl_device_none(mtdctl_t *ctl, const mtd_str_t *id);
static void mtdctl_device_print(mtdctl_t *ctl, const mtd_str_t *id,
    mtdctl_pairs_t *record);
static json_t *mtdctl_device_json_text(const mtd_str_t *text);
static json_t *mtdctl_device_json_value(const mtdctl_pair_t *pair);
static void mtdctl_device_json(mtdctl_t *ctl, const mtd_str_t *id,
    mtdctl_pairs_t *record);
static void mtdctl_device_row(mtdctl_t *ctl, const mtd_str_t *id,
    mtdctl_pairs_t *record);
static void mtdctl_device_scan(mtdctl_t *ctl, const char *cursor);
static int mtdctl_device_pages(mtdctl_t *ctl, mtdctl_seen_t *seen,
    int *skipped);
static int mtdctl_device_goes_on(mtdctl_t *ctl, mtdctl_scan_t *scan);
static int mtdctl_device_is_page(const redisReply *reply);
static int mtdctl_device_page(mtdctl_t *ctl, const redisReply *page,
    mtdctl_seen_t *seen, int *skipped);
static int mtdctl_device_erase_try(mtdctl_t *ctl, const mtd_str_t *id);
static int mtdctl_device_owners(mtdctl_t *ctl, const mtd_str_t *id,
    const mtdctl_pairs_t *aliases, mtd_str_t *keys, size_t *n);


static const mtd_str_t  mtdctl_device_id = mtdctl_string("id");
static const mtd_str_t  mtdctl_device_user = mtdctl_string("user");


int
mtdctl_device_set(mtdctl_t *ctl, int argc, char **argv)
{
    int               i;
    char             *equal;
    mtd_str_t         arg, name, value, kind;
    mtdctl_change_t   change;

    memset(&change, 0, sizeof(mtdctl_change_t));
    change.what = "device set";
    change.create = 1;

    arg = mtdctl_text(ctl, argv[0]);

    if (mtdctl_value_id(ctl, &arg, &change.id) != 0) {
        return MTDCTL_BAD;
    }

    for (i = 1; i < argc; i++) {
        equal = strchr(argv[i], '=');

        if (equal == NULL) {
            return mtdctl_fail(ctl, MTDCTL_BAD, "\"%.64s\" is not of the form"
                               " field=value", argv[i]);
        }

        name = mtdctl_copy(ctl, argv[i], equal - argv[i]);
        value = mtdctl_text(ctl, equal + 1);

        if (!mtdctl_is(&name, "alias")) {
            if (mtdctl_value_set(ctl, &change, &name, &value) != 0) {
                return MTDCTL_BAD;
            }

            continue;
        }

        equal = strchr(equal + 1, ':');

        if (equal == NULL) {
            return mtdctl_fail(ctl, MTDCTL_BAD, "\"%.64s\" is not of the form"
                               " alias=KIND:VALUE", argv[i]);
        }

        kind = mtdctl_copy(ctl, value.data,
                           equal - argv[i] - sizeof("alias=") + 1);
        value = mtdctl_text(ctl, equal + 1);

        if (mtdctl_value_add_alias(ctl, &change, &kind, &value) != 0) {
            return MTDCTL_BAD;
        }
    }

    return mtdctl_store_change(ctl, &change);
}


int
mtdctl_device_get(mtdctl_t *ctl, int argc, char **argv)
{
    int             status;
    mtd_str_t       id, key;
    mtdctl_pairs_t  record;

    status = mtdctl_device_find(ctl, argv[0], &id);

    if (status == 0) {
        status = mtdctl_record_fetch(ctl, &id, &key, &record);
    }

    if (status != 0) {
        return status;
    }

    if (record.n == 0) {
        return mtdctl_device_none(ctl, &id);
    }

    if (ctl->json) {
        mtdctl_device_json(ctl, &id, &record);

    } else {
        mtdctl_device_print(ctl, &id, &record);
    }

    return 0;
}


/* arg is an ID or KIND:VALUE */

static int
mtdctl_device_find(mtdctl_t *ctl, const char *arg, mtd_str_t *id)
{
    int        status;
    mtd_str_t  text, kind, value, key;

    text = mtdctl_text(ctl, arg);

    if (!mtdctl_value_split(ctl, &text, &kind, &value)) {
        return mtdctl_value_id(ctl, &text, id);
    }

    status = mtdctl_record_alias_key(ctl, &kind, &value, &key);
    if (status != 0) {
        return status;
    }

    mtdctl_redis_key(ctl, "GET", &key);

    status = mtdctl_redis_hear_text(ctl, "GET", &key, id);

    if (status == 0 && id->data == NULL) {
        status = mtdctl_fail(ctl, MTDCTL_NOT_FOUND, "no alias \"%.180s\"",
                             mtdctl_show(ctl, &text));
    }

    return status;
}


static int
mtdctl_device_none(mtdctl_t *ctl, const mtd_str_t *id)
{
    return mtdctl_fail(ctl, MTDCTL_NOT_FOUND, "no device \"%.130s\"",
                       mtdctl_show(ctl, id));
}


static int
mtdctl_device_order(const void *a, const void *b)
{
    int                   rc;
    size_t                len;
    const mtdctl_pair_t  *one, *two;

    one = a;
    two = b;
    len = (one->name.len < two->name.len) ? one->name.len : two->name.len;
    rc = memcmp(one->name.data, two->name.data, len);

    return rc ? rc : (int) one->name.len - (int) two->name.len;
}


static void
mtdctl_device_print(mtdctl_t *ctl, const mtd_str_t *id,
    mtdctl_pairs_t *record)
{
    int             width;
    size_t          i;
    mtdctl_pair_t  *pair;

    mtdctl_remove(record, &mtdctl_device_id);

    if (record->n) {
        qsort(record->pair, record->n, sizeof(mtdctl_pair_t),
              mtdctl_device_order);
    }

    width = 2;

    for (i = 0; i < record->n; i++) {
        if ((int) record->pair[i].name.len > width) {
            width = record->pair[i].name.len;
        }
    }

    printf("%-*s  %s\n", width, "id", mtdctl_show(ctl, id));

    for (i = 0; i < record->n; i++) {
        pair = &record->pair[i];
        printf("%-*s  %s\n", width, mtdctl_show(ctl, &pair->name),
               mtdctl_show(ctl, &pair->value));
    }
}


/* others may have written what is no UTF-8 */

static json_t *
mtdctl_device_json_text(const mtd_str_t *text)
{
    size_t   i;
    json_t  *json;

    json = json_stringn((char *) text->data, text->len);

    if (json == NULL) {
        for (i = 0; i < text->len; i++) {
            if (text->data[i] >= 0x80) {
                text->data[i] = '?';
            }
        }

        json = json_stringn((char *) text->data, text->len);
    }

    return json;
}


static json_t *
mtdctl_device_json_value(const mtdctl_pair_t *pair)
{
    char  *end;
    long   n;

    if ((mtdctl_is(&pair->name, "grace_until")
         || (pair->name.len >= 11
             && memcmp(pair->name.data, "reported_at", 11) == 0))
        && pair->value.len && pair->value.len < 16
        && pair->value.data[0] >= '0' && pair->value.data[0] <= '9')
    {
        n = strtol((char *) pair->value.data, &end, 10);

        if (end == (char *) pair->value.data + pair->value.len) {
            return json_integer(n);
        }
    }

    return mtdctl_device_json_text(&pair->value);
}


/* in the form that an import reads */

static void
mtdctl_device_json(mtdctl_t *ctl, const mtd_str_t *id,
    mtdctl_pairs_t *record)
{
    size_t          i;
    json_t         *root, *kinds, *list;
    mtdctl_pair_t  *pair;
    mtdctl_pairs_t  aliases;

    root = json_object();
    kinds = json_object();

    json_object_set_new(root, "id", mtdctl_device_json_text(id));

    for (i = 0; i < record->n; i++) {
        pair = &record->pair[i];

        if (mtdctl_is(&pair->name, "id") || mtdctl_is(&pair->name, "aliases"))
        {
            continue;
        }

        json_object_set_new(root, mtdctl_show(ctl, &pair->name),
                            mtdctl_device_json_value(pair));
    }

    mtdctl_record_aliases(ctl, record, &aliases);

    for (i = 0; i < aliases.n; i++) {
        pair = &aliases.pair[i];
        list = json_object_get(kinds, (char *) pair->name.data);

        if (list == NULL) {
            list = json_array();
            json_object_set_new(kinds, (char *) pair->name.data, list);
        }

        json_array_append_new(list, mtdctl_device_json_text(&pair->value));
    }

    if (aliases.n) {
        json_object_set(root, "aliases", kinds);
    }

    json_dumpf(root, stdout, JSON_COMPACT);
    putchar('\n');

    json_decref(kinds);
    json_decref(root);
}


static void
mtdctl_device_row(mtdctl_t *ctl, const mtd_str_t *id,
    mtdctl_pairs_t *record)
{
    size_t       i;
    mtd_str_t    name, *value;
    const char  *shown;

    static const struct {
        const char  *name;
        int          width;
    } columns[] = {
        { "threat", 14 },
        { "compliance", 13 },
        { "enrolled", 8 },
        { "action", 6 },
        { "user", 0 }
    };

    printf("%-36s", id ? mtdctl_show(ctl, id) : "ID");

    for (i = 0; i < sizeof(columns) / sizeof(columns[0]); i++) {
        shown = columns[i].name;

        if (id) {
            name = mtdctl_text(ctl, columns[i].name);
            value = mtdctl_find(record, &name);
            shown = value ? mtdctl_show(ctl, value) : "-";
        }

        printf("  %-*s", columns[i].width, shown);
    }

    putchar('\n');
}


int
mtdctl_device_list(mtdctl_t *ctl, int argc, char **argv)
{
    int             master, status, skipped;
    mtdctl_seen_t  *seen;

    seen = mtdctl_seen_create();
    skipped = 0;
    status = 0;

    if (!ctl->json) {
        mtdctl_device_row(ctl, NULL, NULL);
    }

    for (master = mtdctl_redis_master(ctl, -1);
         master >= 0 && status == 0;
         master = mtdctl_redis_master(ctl, master))
    {
        status = mtdctl_device_pages(ctl, seen, &skipped);
    }

    mtdctl_seen_destroy(seen);

    if (status == 0 && skipped) {
        return mtdctl_fail(ctl, MTDCTL_BAD, "%d keys are no records",
                           skipped);
    }

    return status;
}


static int
mtdctl_device_pages(mtdctl_t *ctl, mtdctl_seen_t *seen, int *skipped)
{
    int            status;
    redisReply    *reply;
    mtdctl_scan_t  scan;

    strcpy(scan.cursor, "0");
    scan.before[0] = '\0';
    scan.n = 0;
    scan.mark = 1;
    scan.limit = MTDCTL_PAGES;

    do {
        mtdctl_device_scan(ctl, scan.cursor);

        status = mtdctl_redis_hear(ctl, "SCAN", NULL, &reply);
        if (status != 0) {
            break;
        }

        if (mtdctl_device_is_page(reply)
            && reply->element[0]->len < sizeof(scan.cursor))
        {
            strcpy(scan.cursor, reply->element[0]->str);
            status = mtdctl_device_page(ctl, reply->element[1], seen,
                                        skipped);

        } else {
            status = mtdctl_redis_strange(ctl, "SCAN");
        }

        freeReplyObject(reply);
        mtdctl_release(ctl);

        if (status != 0 || strcmp(scan.cursor, "0") == 0) {
            break;
        }

        status = mtdctl_device_goes_on(ctl, &scan);

    } while (status == 0);

    return status;
}


/*
 * Redis gives no cursor twice.  One that has been is kept, at longer and
 * longer distances, so any circle is found, in twice its length or so.
 */

static int
mtdctl_device_goes_on(mtdctl_t *ctl, mtdctl_scan_t *scan)
{
    int        status;
    long long  keys;

    if (strcmp(scan->cursor, scan->before) == 0) {
        return mtdctl_fail(ctl, MTDCTL_STORE, "Redis at %s: SCAN goes in"
                           " circles", ctl->address);
    }

    if (++scan->n == scan->mark) {
        strcpy(scan->before, scan->cursor);
        scan->mark *= 2;
    }

    if (scan->n < scan->limit) {
        return 0;
    }

    /* others may write meanwhile, so it is asked for again each time */

    mtdctl_redis_begin(ctl, "DBSIZE");
    mtdctl_redis_end(ctl);

    status = mtdctl_redis_hear_number(ctl, "DBSIZE", &keys);
    if (status != 0) {
        return status;
    }

    keys = (keys > 0) ? keys : 0;
    scan->limit = MTDCTL_PAGES + keys / MTDCTL_PER_CALL;

    if (scan->n >= scan->limit) {
        return mtdctl_fail(ctl, MTDCTL_STORE, "Redis at %s: SCAN has no end,"
                           " with %lld keys there", ctl->address, keys);
    }

    return 0;
}


/* a cursor, and keys */

static int
mtdctl_device_is_page(const redisReply *reply)
{
    size_t             i;
    const redisReply  *keys;

    if (reply->elements != 2
        || reply->element[0]->type != REDIS_REPLY_STRING
        || reply->element[1]->type != REDIS_REPLY_ARRAY)
    {
        return 0;
    }

    keys = reply->element[1];

    for (i = 0; i < keys->elements; i++) {
        if (keys->element[i]->type != REDIS_REPLY_STRING) {
            return 0;
        }
    }

    return 1;
}


/* in the pattern the prefix stands for itself */

static void
mtdctl_device_scan(mtdctl_t *ctl, const char *cursor)
{
    char    pattern[2 * MTD_PREFIX_MAX + sizeof("device:*")], *p;
    size_t  i;

    p = pattern;

    for (i = 0; i < ctl->names.prefix.len; i++) {
        if (strchr("*?[]\\", ctl->names.prefix.data[i]) != NULL) {
            *p++ = '\\';
        }

        *p++ = ctl->names.prefix.data[i];
    }

    strcpy(p, "device:*");

    mtdctl_redis_begin(ctl, "SCAN");
    mtdctl_redis_text(ctl, cursor);
    mtdctl_redis_text(ctl, "MATCH");
    mtdctl_redis_text(ctl, pattern);
    mtdctl_redis_text(ctl, "COUNT");
    mtdctl_redis_number(ctl, MTDCTL_PAGE);
    mtdctl_redis_end(ctl);
}


static int
mtdctl_device_page(mtdctl_t *ctl, const redisReply *page,
    mtdctl_seen_t *seen, int *skipped)
{
    int             status;
    size_t          i, skip, line;
    mtd_str_t       key, id, *field;
    mtdctl_pairs_t  record;

    skip = ctl->names.prefix.len + sizeof("device:") - 1;

    for (i = 0; i < page->elements; i++) {
        key = mtdctl_copy(ctl, page->element[i]->str, page->element[i]->len);
        mtdctl_redis_key(ctl, "HGETALL", &key);
    }

    for (i = 0; i < page->elements; i++) {
        key = mtdctl_copy(ctl, page->element[i]->str, page->element[i]->len);

        status = mtdctl_record_hear(ctl, &key, &record);

        if (status == MTDCTL_BAD) {
            fprintf(stderr, "mtdctl: %s\n", ctl->error);
            (*skipped)++;
            continue;
        }

        if (status != 0) {
            return status;
        }

        /* SCAN may name a key twice, and one that is gone by now */

        line = 0;

        if (record.n == 0 || key.len < skip
            || mtdctl_seen_add(seen, &key, &key, &line) != 0)
        {
            continue;
        }

        field = mtdctl_find(&record, &mtdctl_device_id);

        id.data = key.data + skip;
        id.len = key.len - skip;

        if (field) {
            id = *field;
        }

        if (ctl->json) {
            mtdctl_device_json(ctl, &id, &record);

        } else {
            mtdctl_device_row(ctl, &id, &record);
        }
    }

    return 0;
}


int
mtdctl_device_erase(mtdctl_t *ctl, int argc, char **argv)
{
    int        i, status;
    mtd_str_t  text, id;

    text = mtdctl_text(ctl, argv[0]);

    if (mtdctl_value_id(ctl, &text, &id) != 0) {
        return MTDCTL_BAD;
    }

    status = mtdctl_audit_check(ctl);
    if (status != 0) {
        return status;
    }

    status = MTDCTL_AGAIN;

    for (i = 0; status == MTDCTL_AGAIN && mtdctl_redis_try(i); i++) {
        status = mtdctl_device_erase_try(ctl, &id);
    }

    if (status == MTDCTL_AGAIN) {
        return mtdctl_fail(ctl, MTDCTL_STORE, "Redis at %s: device \"%.130s\""
                           " is changed by others all the time",
                           ctl->address, mtdctl_show(ctl, &id));
    }

    return status;
}


static int
mtdctl_device_erase_try(mtdctl_t *ctl, const mtd_str_t *id)
{
    int              status;
    size_t           i, n;
    mtd_str_t        key, apps, user, user_key, keys[MTDCTL_ALIASES];
    mtd_str_t       *field;
    mtdctl_pairs_t   record, aliases;

    status = mtdctl_record_watch(ctl, id, &key, &record);
    if (status != 0) {
        return status;
    }

    if (record.n == 0) {
        return mtdctl_device_none(ctl, id);
    }

    mtdctl_record_apps_key(ctl, &key, &apps);
    mtdctl_record_aliases(ctl, &record, &aliases);

    status = mtdctl_device_owners(ctl, id, &aliases, keys, &n);
    if (status != 0) {
        return status;
    }

    field = mtdctl_find(&record, &mtdctl_device_user);
    user_key.data = NULL;

    if (field && mtdctl_value_user(ctl, field, &user) == 0) {
        status = mtdctl_record_user_key(ctl, &user, &user_key);
        if (status != 0) {
            return status;
        }
    }

    mtdctl_redis_begin(ctl, "MULTI");
    mtdctl_redis_end(ctl);

    /* the record last: in a cluster it tells what is to be done again */

    for (i = 0; i < n; i++) {
        mtdctl_redis_key(ctl, "DEL", &keys[i]);
    }

    mtdctl_redis_key(ctl, "DEL", &apps);

    if (user_key.data) {
        mtdctl_redis_begin(ctl, "SREM");
        mtdctl_redis_arg(ctl, &user_key);
        mtdctl_redis_arg(ctl, id);
        mtdctl_redis_end(ctl);
    }

    mtdctl_redis_key(ctl, "DEL", &key);

    mtdctl_audit(ctl, "device erase", &key);
    mtdctl_audit_expire(ctl);

    return mtdctl_redis_partly(ctl, mtdctl_redis_exec(ctl));
}


/* the keys of those aliases that still lead to this device */

static int
mtdctl_device_owners(mtdctl_t *ctl, const mtd_str_t *id,
    const mtdctl_pairs_t *aliases, mtd_str_t *keys, size_t *n)
{
    int        status;
    size_t     i;
    mtd_str_t  key, owner;

    *n = 0;

    for (i = 0; i < aliases->n; i++) {
        status = mtdctl_record_alias_key(ctl, &aliases->pair[i].name,
                                        &aliases->pair[i].value, &key);
        if (status != 0) {
            return status;
        }

        status = mtdctl_redis_watch(ctl, &key);
        if (status != 0) {
            return status;
        }

        mtdctl_redis_key(ctl, "GET", &key);

        status = mtdctl_redis_hear_text(ctl, "GET", &key, &owner);

        /* what holds another type leads nowhere */

        if (status != 0 && status != MTDCTL_BAD) {
            return status;
        }

        if (*n < MTDCTL_ALIASES && mtdctl_equal(&owner, id)) {
            keys[(*n)++] = key;
        }
    }

    return 0;
}
