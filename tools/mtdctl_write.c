
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include "mtdctl_store.h"


typedef int (*mtdctl_write_back_pt)(mtdctl_t *ctl, mtdctl_work_t *back,
    mtdctl_work_alias_t *alias);


static void mtdctl_write_back(mtdctl_t *ctl, mtdctl_work_t *w);
static int mtdctl_write_back_try(mtdctl_t *ctl, mtdctl_work_t *back,
    mtdctl_work_alias_t *alias, mtdctl_write_back_pt handler);
static int mtdctl_write_back_record(mtdctl_t *ctl, mtdctl_work_t *back,
    mtdctl_work_alias_t *alias);
static int mtdctl_write_back_aliases(mtdctl_t *ctl, mtdctl_work_t *back);
static int mtdctl_write_back_alias(mtdctl_t *ctl, mtdctl_work_t *back,
    mtdctl_work_alias_t *alias);
static int mtdctl_write_back_owner(mtdctl_t *ctl, mtdctl_work_t *back,
    mtdctl_work_alias_t *alias);
static void mtdctl_write_begin(mtdctl_t *ctl);
static void mtdctl_write_hash(mtdctl_t *ctl, mtdctl_work_t *w);
static void mtdctl_write_aliases(mtdctl_t *ctl, mtdctl_work_t *w);
static void mtdctl_write_alias(mtdctl_t *ctl, const mtd_str_t *key,
    const mtd_str_t *id);
static void mtdctl_write_old_aliases(mtdctl_t *ctl, mtdctl_work_t *w);
static void mtdctl_write_user(mtdctl_t *ctl, mtdctl_work_t *w);


static const mtd_str_t  mtdctl_write_list = mtdctl_string("aliases");


int
mtdctl_write(mtdctl_t *ctl, mtdctl_work_t *work, size_t n)
{
    int     status;
    size_t  i;

    mtdctl_write_begin(ctl);

    for (i = 0; i < n; i++) {
        if (work[i].write) {
            mtdctl_write_hash(ctl, &work[i]);
            mtdctl_write_aliases(ctl, &work[i]);
            mtdctl_write_old_aliases(ctl, &work[i]);
            mtdctl_write_user(ctl, &work[i]);
            mtdctl_audit(ctl, work[i].change->what, &work[i].key);
        }
    }

    mtdctl_audit_expire(ctl);

    status = mtdctl_redis_exec(ctl);

    /* one at a time, where that can happen */

    if (status > 0 && ctl->partly) {
        mtdctl_write_back(ctl, &work[0]);
    }

    for (i = 0; i < n && status == 0; i++) {
        work[i].change->written = work[i].write;
    }

    return status;
}


/*
 * As it was before, as far as the cluster lets it: what cannot be reached is
 * left.  So is what others have written since, and with the record all that
 * they may have built on it.  An alias that leads to no device is none.
 */

static void
mtdctl_write_back(mtdctl_t *ctl, mtdctl_work_t *w)
{
    int             left, status;
    char            error[sizeof(ctl->error)];
    mtdctl_work_t   back;

    memcpy(error, ctl->error, sizeof(error));

    back = *w;
    back.stored = w->next;
    back.next = w->stored;
    back.user_key[0] = w->user_key[1];
    back.user_key[1] = w->user_key[0];

    status = mtdctl_write_back_try(ctl, &back, NULL, mtdctl_write_back_record);

    if (status == MTDCTL_BAD) {
        mtdctl_write_begin(ctl);
        mtdctl_audit(ctl, w->change->what, &w->key);
        (void) mtdctl_redis_exec(ctl);

        (void) mtdctl_fail(ctl, MTDCTL_STORE, "%.800s; only a part is done,"
                           " others have changed the device since: do it"
                           " again", error);
        return;
    }

    left = status != 0;
    left += mtdctl_write_back_aliases(ctl, &back);

    mtdctl_write_begin(ctl);
    mtdctl_write_user(ctl, &back);
    mtdctl_audit(ctl, "taken back", &w->key);
    left += mtdctl_redis_exec(ctl) != 0;

    (void) mtdctl_fail(ctl, MTDCTL_STORE, "%.800s; what was written is taken"
                       " back%s", error, left ? " where that could be done:"
                       " do it again" : "");
}


/* MTDCTL_BAD: it is others' by now */

static int
mtdctl_write_back_try(mtdctl_t *ctl, mtdctl_work_t *back,
    mtdctl_work_alias_t *alias, mtdctl_write_back_pt handler)
{
    int  i, status;

    for (i = 0; mtdctl_redis_try(i); i++) {
        status = handler(ctl, back, alias);
        (void) mtdctl_redis_unwatch(ctl);

        if (status != MTDCTL_AGAIN) {
            return status;
        }
    }

    return MTDCTL_BAD;
}


static int
mtdctl_write_back_record(mtdctl_t *ctl, mtdctl_work_t *back,
    mtdctl_work_alias_t *alias)
{
    int             status;
    mtd_str_t       key;
    mtdctl_pairs_t  record;

    status = mtdctl_record_watch(ctl, &back->change->id, &key, &record);
    if (status != 0) {
        return status;
    }

    if (!mtdctl_record_same(&record, &back->stored)) {
        return MTDCTL_BAD;
    }

    mtdctl_write_begin(ctl);

    if (back->next.n) {
        mtdctl_write_hash(ctl, back);

    } else {
        mtdctl_redis_key(ctl, "DEL", &key);
    }

    return mtdctl_redis_exec(ctl);
}


static int
mtdctl_write_back_aliases(mtdctl_t *ctl, mtdctl_work_t *back)
{
    int                   left, status;
    size_t                i;
    mtdctl_work_alias_t  *alias;

    left = 0;

    for (i = 0; i < back->change->aliases.n; i++) {
        alias = &back->alias[i];

        status = mtdctl_write_back_try(ctl, back, alias,
                                       mtdctl_write_back_alias);

        if (status == 0 && alias->owner_key.data) {
            status = mtdctl_write_back_try(ctl, back, alias,
                                           mtdctl_write_back_owner);
        }

        left += status != 0;
    }

    return left;
}


/* one that leads elsewhere was not written, or is others' by now */

static int
mtdctl_write_back_alias(mtdctl_t *ctl, mtdctl_work_t *back,
    mtdctl_work_alias_t *alias)
{
    int        status;
    mtd_str_t  id;

    status = mtdctl_redis_watch(ctl, &alias->key);
    if (status != 0) {
        return status;
    }

    mtdctl_redis_key(ctl, "GET", &alias->key);

    status = mtdctl_redis_hear_text(ctl, "GET", NULL, &id);
    if (status != 0) {
        return status;
    }

    if (!mtdctl_equal(&id, &back->change->id)) {
        return 0;
    }

    mtdctl_write_begin(ctl);

    if (alias->owner.len == 0) {
        mtdctl_redis_key(ctl, "DEL", &alias->key);

    } else {
        mtdctl_write_alias(ctl, &alias->key, &alias->owner);
    }

    return mtdctl_redis_exec(ctl);
}


/* the list of the device that an alias was taken from */

static int
mtdctl_write_back_owner(mtdctl_t *ctl, mtdctl_work_t *back,
    mtdctl_work_alias_t *alias)
{
    int              status;
    mtd_str_t        key, *list, none = mtdctl_string("");
    mtdctl_pairs_t   record;

    status = mtdctl_record_watch(ctl, &alias->owner, &key, &record);
    if (status != 0) {
        return status;
    }

    list = mtdctl_find(&record, &mtdctl_write_list);

    if (list == NULL) {
        list = &none;
    }

    if (mtdctl_equal(list, &alias->owner_had)) {
        return 0;
    }

    if (record.n == 0 || !mtdctl_equal(list, &alias->owner_left)) {
        return MTDCTL_BAD;
    }

    mtdctl_write_begin(ctl);

    mtdctl_redis_begin(ctl, "HSET");
    mtdctl_redis_arg(ctl, &key);
    mtdctl_redis_arg(ctl, &mtdctl_write_list);
    mtdctl_redis_arg(ctl, &alias->owner_had);
    mtdctl_redis_end(ctl);

    return mtdctl_redis_exec(ctl);
}


static void
mtdctl_write_begin(mtdctl_t *ctl)
{
    mtdctl_redis_begin(ctl, "MULTI");
    mtdctl_redis_end(ctl);
}


static void
mtdctl_write_hash(mtdctl_t *ctl, mtdctl_work_t *w)
{
    size_t          i, n;
    mtd_str_t      *old;
    mtdctl_pair_t  *pair;

    mtdctl_redis_begin(ctl, "HSET");
    mtdctl_redis_arg(ctl, &w->key);

    n = 0;

    for (i = 0; i < w->next.n; i++) {
        pair = &w->next.pair[i];
        old = mtdctl_find(&w->stored, &pair->name);

        if (old == NULL || !mtdctl_equal(old, &pair->value)) {
            mtdctl_redis_arg(ctl, &pair->name);
            mtdctl_redis_arg(ctl, &pair->value);
            n++;
        }
    }

    if (n) {
        mtdctl_redis_end(ctl);
    }

    mtdctl_redis_begin(ctl, "HDEL");
    mtdctl_redis_arg(ctl, &w->key);

    n = 0;

    for (i = 0; i < w->stored.n; i++) {
        pair = &w->stored.pair[i];

        if (mtdctl_find(&w->next, &pair->name) == NULL) {
            mtdctl_redis_arg(ctl, &pair->name);
            n++;
        }
    }

    if (n) {
        mtdctl_redis_end(ctl);
    }

    mtdctl_redis_expire(ctl, &w->key, ctl->ttl);
}


static void
mtdctl_write_aliases(mtdctl_t *ctl, mtdctl_work_t *w)
{
    size_t                i;
    mtdctl_work_alias_t  *alias;

    for (i = 0; i < w->change->aliases.n; i++) {
        alias = &w->alias[i];

        mtdctl_write_alias(ctl, &alias->key, &w->change->id);

        if (alias->owner_key.data == NULL) {
            continue;
        }

        if (alias->owner_left.len == 0) {
            mtdctl_redis_begin(ctl, "HDEL");
            mtdctl_redis_arg(ctl, &alias->owner_key);
            mtdctl_redis_arg(ctl, &mtdctl_write_list);

        } else {
            mtdctl_redis_begin(ctl, "HSET");
            mtdctl_redis_arg(ctl, &alias->owner_key);
            mtdctl_redis_arg(ctl, &mtdctl_write_list);
            mtdctl_redis_arg(ctl, &alias->owner_left);
        }

        mtdctl_redis_end(ctl);
        mtdctl_audit(ctl, "alias taken", &alias->owner_key);
    }
}


static void
mtdctl_write_alias(mtdctl_t *ctl, const mtd_str_t *key, const mtd_str_t *id)
{
    mtdctl_redis_begin(ctl, "SET");
    mtdctl_redis_arg(ctl, key);
    mtdctl_redis_arg(ctl, id);
    mtdctl_redis_text(ctl, "EX");
    mtdctl_redis_number(ctl, ctl->ttl);
    mtdctl_redis_end(ctl);
}


/*
 * The aliases that were there before are as old as the record: one that is
 * gone comes back, one that somebody else has given away is left alone.
 */

static void
mtdctl_write_old_aliases(mtdctl_t *ctl, mtdctl_work_t *w)
{
    size_t          i;
    mtd_str_t       key;
    mtdctl_pair_t  *pair;

    for (i = 0; i < w->aliases.n; i++) {
        pair = &w->aliases.pair[i];

        if (mtdctl_record_has(&w->change->aliases, pair)
            || mtdctl_record_alias_key(ctl, &pair->name, &pair->value, &key)
               != 0)
        {
            continue;
        }

        mtdctl_redis_begin(ctl, "SET");
        mtdctl_redis_arg(ctl, &key);
        mtdctl_redis_arg(ctl, &w->change->id);
        mtdctl_redis_text(ctl, "EX");
        mtdctl_redis_number(ctl, ctl->ttl);
        mtdctl_redis_text(ctl, "NX");
        mtdctl_redis_end(ctl);

        mtdctl_redis_expire(ctl, &key, ctl->ttl);
    }
}


/* one user's devices may have different TTLs: the longest holds */

static void
mtdctl_write_user(mtdctl_t *ctl, mtdctl_work_t *w)
{
    mtd_str_t  *old, *new;

    old = &w->user_key[0];
    new = &w->user_key[1];

    if (old->data && (new->data == NULL || !mtdctl_equal(old, new))) {
        mtdctl_redis_begin(ctl, "SREM");
        mtdctl_redis_arg(ctl, old);
        mtdctl_redis_arg(ctl, &w->change->id);
        mtdctl_redis_end(ctl);
    }

    if (new->data) {
        mtdctl_redis_begin(ctl, "SADD");
        mtdctl_redis_arg(ctl, new);
        mtdctl_redis_arg(ctl, &w->change->id);
        mtdctl_redis_end(ctl);

        mtdctl_redis_expire(ctl, new, (w->user_left > ctl->ttl)
                                      ? (long) w->user_left : ctl->ttl);
    }
}
