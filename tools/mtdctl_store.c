
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include "mtdctl_store.h"


static int mtdctl_store_try(mtdctl_t *ctl, mtdctl_change_t *changes,
    size_t n);
static int mtdctl_store_read(mtdctl_t *ctl, mtdctl_work_t *work, size_t n);
static int mtdctl_store_ask(mtdctl_t *ctl, mtdctl_work_t *w);
static int mtdctl_store_hear(mtdctl_t *ctl, mtdctl_work_t *w);
static int mtdctl_store_hear_alias(mtdctl_t *ctl, mtdctl_work_t *w,
    size_t i);
static int mtdctl_store_spoil(mtdctl_t *ctl, mtdctl_work_t *w, int status);
static int mtdctl_store_merge(mtdctl_t *ctl, mtdctl_work_t *w);
static int mtdctl_store_merge_aliases(mtdctl_t *ctl, mtdctl_work_t *w);
static int mtdctl_store_others(mtdctl_t *ctl, mtdctl_work_t *work, size_t n);
static int mtdctl_store_ask_others(mtdctl_t *ctl, mtdctl_work_t *w);
static int mtdctl_store_hear_others(mtdctl_t *ctl, mtdctl_work_t *w);
static int mtdctl_store_hear_owner(mtdctl_t *ctl, mtdctl_work_t *w,
    mtdctl_work_alias_t *alias);
static int mtdctl_store_hear_user(mtdctl_t *ctl, mtdctl_work_t *w,
    unsigned i);


static const mtd_str_t  mtdctl_store_id = mtdctl_string("id");
static const mtd_str_t  mtdctl_store_list = mtdctl_string("aliases");
static const mtd_str_t  mtdctl_store_user = mtdctl_string("user");


/*
 * All changes are one transaction; when others write to its devices again
 * and again, each is tried alone.
 */

int
mtdctl_store_apply(mtdctl_t *ctl, mtdctl_change_t *changes, size_t n)
{
    int     i, status;
    size_t  k;

    status = MTDCTL_AGAIN;

    for (i = 0; status == MTDCTL_AGAIN && mtdctl_redis_try(i); i++) {
        status = mtdctl_store_try(ctl, changes, n);
    }

    if (status != MTDCTL_AGAIN) {
        return status;
    }

    if (n == 1) {
        return mtdctl_fail(ctl, MTDCTL_STORE, "Redis at %s: device"
                           " \"%.130s\" is changed by others all the time",
                           ctl->address, mtdctl_show(ctl, &changes[0].id));
    }

    for (k = 0; k < n; k++) {
        status = mtdctl_store_apply(ctl, &changes[k], 1);

        if (status != 0) {
            return status;
        }
    }

    return 0;
}


int
mtdctl_store_change(mtdctl_t *ctl, mtdctl_change_t *change)
{
    int  status;

    status = mtdctl_audit_check(ctl);

    if (status == 0) {
        status = mtdctl_store_apply(ctl, change, 1);
    }

    if (status == 0 && change->status != 0) {
        return mtdctl_fail(ctl, change->status, "%s", change->error);
    }

    return status;
}


static int
mtdctl_store_try(mtdctl_t *ctl, mtdctl_change_t *changes, size_t n)
{
    int             status;
    size_t          i, writes;
    mtdctl_work_t  *work;

    work = mtdctl_alloc(ctl, n * sizeof(mtdctl_work_t));

    for (i = 0; i < n; i++) {
        work[i].change = &changes[i];
        changes[i].status = 0;
        changes[i].error = NULL;
    }

    status = mtdctl_store_read(ctl, work, n);
    if (status != 0) {
        return status;
    }

    status = mtdctl_store_others(ctl, work, n);
    if (status != 0) {
        return status;
    }

    writes = 0;

    for (i = 0; i < n; i++) {
        writes += work[i].write;
    }

    if (writes && !ctl->dry) {
        return mtdctl_write(ctl, work, n);
    }

    return mtdctl_redis_unwatch(ctl);
}


static int
mtdctl_store_read(mtdctl_t *ctl, mtdctl_work_t *work, size_t n)
{
    int     status;
    size_t  i;

    for (i = 0; i < n; i++) {
        status = mtdctl_store_ask(ctl, &work[i]);
        if (status != 0) {
            return status;
        }
    }

    for (i = 0; i < n; i++) {
        status = mtdctl_store_hear(ctl, &work[i]);
        if (status != 0) {
            return status;
        }
    }

    for (i = 0; i < n; i++) {
        if (work[i].change->status == 0) {
            status = mtdctl_store_merge(ctl, &work[i]);

            if (status != 0) {
                return status;
            }
        }
    }

    return 0;
}


static int
mtdctl_store_ask(mtdctl_t *ctl, mtdctl_work_t *w)
{
    int               status;
    size_t            i;
    mtdctl_pair_t    *pair;
    mtdctl_change_t  *change;

    change = w->change;

    status = mtdctl_record_device_key(ctl, &change->id, &w->key);
    if (status != 0) {
        return status;
    }

    w->alias = mtdctl_alloc(ctl, (change->aliases.n + 1)
                                 * sizeof(mtdctl_work_alias_t));

    mtdctl_redis_begin(ctl, "WATCH");
    mtdctl_redis_arg(ctl, &w->key);

    for (i = 0; i < change->aliases.n; i++) {
        pair = &change->aliases.pair[i];

        status = mtdctl_record_alias_key(ctl, &pair->name, &pair->value,
                                        &w->alias[i].key);
        if (status != 0) {
            return status;
        }

        mtdctl_redis_arg(ctl, &w->alias[i].key);
    }

    mtdctl_redis_end(ctl);
    mtdctl_redis_key(ctl, "HGETALL", &w->key);
    mtdctl_redis_key(ctl, "TTL", &w->key);

    for (i = 0; i < change->aliases.n; i++) {
        mtdctl_redis_key(ctl, "GET", &w->alias[i].key);
    }

    return 0;
}


static int
mtdctl_store_hear(mtdctl_t *ctl, mtdctl_work_t *w)
{
    int     status;
    size_t  i;

    status = mtdctl_redis_hear_ok(ctl, "WATCH");
    if (status != 0) {
        return status;
    }

    status = mtdctl_record_hear(ctl, &w->key, &w->stored);

    status = mtdctl_store_spoil(ctl, w, status);
    if (status != 0) {
        return status;
    }

    status = mtdctl_redis_hear_number(ctl, "TTL", &w->left);
    if (status != 0) {
        return status;
    }

    for (i = 0; i < w->change->aliases.n; i++) {
        status = mtdctl_store_hear_alias(ctl, w, i);
        if (status != 0) {
            return status;
        }
    }

    return 0;
}


static int
mtdctl_store_hear_alias(mtdctl_t *ctl, mtdctl_work_t *w, size_t i)
{
    int                   status;
    mtdctl_pair_t        *pair;
    mtdctl_work_alias_t  *alias;

    alias = &w->alias[i];
    pair = &w->change->aliases.pair[i];

    status = mtdctl_redis_hear_text(ctl, "GET", &alias->key, &alias->owner);

    if (alias->owner.data && !mtdctl_equal(&alias->owner, &w->change->id)
        && !ctl->force)
    {
        status = mtdctl_fail(ctl, MTDCTL_BAD, "alias %s:%s belongs to device"
                             " \"%.130s\" (--force takes it)",
                             mtdctl_show(ctl, &pair->name),
                             mtdctl_show(ctl, &pair->value),
                             mtdctl_show(ctl, &alias->owner));
    }

    return mtdctl_store_spoil(ctl, w, status);
}


/* what is wrong with one change is no reason to leave the others */

static int
mtdctl_store_spoil(mtdctl_t *ctl, mtdctl_work_t *w, int status)
{
    mtd_str_t  text;

    if (status != MTDCTL_BAD && status != MTDCTL_NOT_FOUND) {
        return status;
    }

    if (w->change->status == 0) {
        text = mtdctl_text(ctl, ctl->error);
        w->change->error = (char *) text.data;
        w->change->status = status;
    }

    w->write = 0;

    return 0;
}


static int
mtdctl_store_merge(mtdctl_t *ctl, mtdctl_work_t *w)
{
    size_t            i;
    mtdctl_pair_t    *pair;
    mtdctl_change_t  *change;

    change = w->change;

    if (w->stored.n == 0 && !change->create) {
        return mtdctl_store_spoil(ctl, w,
                   mtdctl_fail(ctl, MTDCTL_NOT_FOUND, "no device \"%.130s\"",
                               mtdctl_show(ctl, &change->id)));
    }

    for (i = 0; i < w->stored.n; i++) {
        pair = &w->stored.pair[i];
        mtdctl_add(ctl, &w->next, &pair->name, &pair->value);
    }

    mtdctl_record_set(ctl, &w->next, &mtdctl_store_id, &change->id);

    for (i = 0; i < change->fields.n; i++) {
        pair = &change->fields.pair[i];
        mtdctl_record_set(ctl, &w->next, &pair->name, &pair->value);
    }

    mtdctl_record_threat(ctl, &w->next, &change->fields);
    mtdctl_record_reported(ctl, &w->next, &change->fields);

    w->write = !change->lazy || w->left < ctl->ttl / 2;

    return mtdctl_store_merge_aliases(ctl, w);
}


static int
mtdctl_store_merge_aliases(mtdctl_t *ctl, mtdctl_work_t *w)
{
    size_t            i;
    mtd_str_t         list;
    mtdctl_pair_t    *pair;
    mtdctl_change_t  *change;

    change = w->change;

    mtdctl_record_aliases(ctl, &w->stored, &w->aliases);

    for (i = 0; i < change->aliases.n; i++) {
        pair = &change->aliases.pair[i];

        if (!mtdctl_record_has(&w->aliases, pair)) {
            mtdctl_add(ctl, &w->aliases, &pair->name, &pair->value);
        }

        if (!mtdctl_equal(&w->alias[i].owner, &change->id)) {
            w->write = 1;
        }
    }

    if (w->aliases.n > MTDCTL_ALIASES) {
        return mtdctl_store_spoil(ctl, w,
                   mtdctl_fail(ctl, MTDCTL_BAD, "device \"%.130s\" would"
                               " have more than %d aliases",
                               mtdctl_show(ctl, &change->id),
                               MTDCTL_ALIASES));
    }

    list = mtdctl_record_join(ctl, &w->aliases);
    mtdctl_record_set(ctl, &w->next, &mtdctl_store_list, &list);

    if (!mtdctl_record_same(&w->stored, &w->next)) {
        w->write = 1;
    }

    return 0;
}


/* the sets of users and the records that lose an alias */

static int
mtdctl_store_others(mtdctl_t *ctl, mtdctl_work_t *work, size_t n)
{
    int     status;
    size_t  i;

    for (i = 0; i < n; i++) {
        if (work[i].write) {
            status = mtdctl_store_ask_others(ctl, &work[i]);

            if (status != 0) {
                return status;
            }
        }
    }

    for (i = 0; i < n; i++) {
        if (work[i].write) {
            status = mtdctl_store_hear_others(ctl, &work[i]);

            if (status != 0) {
                return status;
            }
        }
    }

    return 0;
}


static int
mtdctl_store_ask_others(mtdctl_t *ctl, mtdctl_work_t *w)
{
    int                   status;
    size_t                i;
    mtd_str_t            *user[2], folded;
    mtdctl_work_alias_t  *alias;

    user[0] = mtdctl_find(&w->stored, &mtdctl_store_user);
    user[1] = mtdctl_find(&w->next, &mtdctl_store_user);

    for (i = 0; i < 2; i++) {

        /* a name that others left and we would not take has no set */

        if (user[i] == NULL || mtdctl_value_user(ctl, user[i], &folded) != 0)
        {
            continue;
        }

        status = mtdctl_record_user_key(ctl, &folded, &w->user_key[i]);
        if (status != 0) {
            return status;
        }

        mtdctl_redis_key(ctl, "TYPE", &w->user_key[i]);
        mtdctl_redis_key(ctl, "TTL", &w->user_key[i]);
    }

    for (i = 0; i < w->change->aliases.n; i++) {
        alias = &w->alias[i];

        if (alias->owner.len == 0
            || mtdctl_equal(&alias->owner, &w->change->id)
            || mtdctl_record_device_key(ctl, &alias->owner,
                                        &alias->owner_key)
               != 0)
        {
            continue;
        }

        mtdctl_redis_key(ctl, "WATCH", &alias->owner_key);
        mtdctl_redis_key(ctl, "HGETALL", &alias->owner_key);
    }

    return 0;
}


static int
mtdctl_store_hear_others(mtdctl_t *ctl, mtdctl_work_t *w)
{
    int     status;
    size_t  i;

    for (i = 0; i < 2; i++) {
        if (w->user_key[i].data) {
            status = mtdctl_store_hear_user(ctl, w, i);

            if (status != 0) {
                return status;
            }
        }
    }

    for (i = 0; i < w->change->aliases.n; i++) {
        if (w->alias[i].owner_key.data) {
            status = mtdctl_store_hear_owner(ctl, w, &w->alias[i]);

            if (status != 0) {
                return status;
            }
        }
    }

    return 0;
}


static int
mtdctl_store_hear_owner(mtdctl_t *ctl, mtdctl_work_t *w,
    mtdctl_work_alias_t *alias)
{
    int              status;
    size_t           i;
    mtdctl_pair_t   *pair;
    mtdctl_pairs_t   record, aliases, left;

    status = mtdctl_redis_hear_ok(ctl, "WATCH");
    if (status != 0) {
        return status;
    }

    status = mtdctl_record_hear(ctl, &alias->owner_key, &record);

    status = mtdctl_store_spoil(ctl, w, status);
    if (status != 0) {
        return status;
    }

    mtdctl_record_aliases(ctl, &record, &aliases);
    memset(&left, 0, sizeof(mtdctl_pairs_t));

    for (i = 0; i < aliases.n; i++) {
        pair = &aliases.pair[i];

        if (!mtdctl_record_has(&w->change->aliases, pair)) {
            mtdctl_add(ctl, &left, &pair->name, &pair->value);
        }
    }

    alias->owner_left = mtdctl_record_join(ctl, &left);
    alias->owner_had = mtdctl_record_join(ctl, &aliases);

    /* its list may not name the alias, or it may be no record at all */

    if (left.n == aliases.n) {
        alias->owner_key.data = NULL;
    }

    return 0;
}


static int
mtdctl_store_hear_user(mtdctl_t *ctl, mtdctl_work_t *w, unsigned i)
{
    int        status;
    mtd_str_t  type;

    status = mtdctl_redis_hear_text(ctl, "TYPE", NULL, &type);

    if (status == 0) {
        status = mtdctl_redis_hear_number(ctl, "TTL", &w->user_left);
    }

    if (status != 0) {
        return status;
    }

    if (mtdctl_is(&type, "set") || mtdctl_is(&type, "none")) {
        return 0;
    }

    return mtdctl_store_spoil(ctl, w,
               mtdctl_fail(ctl, MTDCTL_BAD, "key \"%.300s\" in Redis holds"
                           " another type of value",
                           mtdctl_show(ctl, &w->user_key[i])));
}
