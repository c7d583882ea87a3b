
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include <jansson.h>

#include "mtdctl.h"


static int mtdctl_alias_args(mtdctl_t *ctl, char **argv, mtdctl_pair_t *alias,
    mtd_str_t *key);
static int mtdctl_alias_owner(mtdctl_t *ctl, const mtdctl_pair_t *alias,
    const mtd_str_t *key, mtd_str_t *id);
static int mtdctl_alias_erase_try(mtdctl_t *ctl, const mtdctl_pair_t *alias,
    const mtd_str_t *key);


static const mtd_str_t  mtdctl_alias_field = mtdctl_string("aliases");


int
mtdctl_alias_set(mtdctl_t *ctl, int argc, char **argv)
{
    mtd_str_t         kind, value, id;
    mtdctl_change_t   change;

    memset(&change, 0, sizeof(mtdctl_change_t));
    change.what = "alias set";

    kind = mtdctl_text(ctl, argv[0]);
    value = mtdctl_text(ctl, argv[1]);
    id = mtdctl_text(ctl, argv[2]);

    if (mtdctl_value_id(ctl, &id, &change.id) != 0
        || mtdctl_value_add_alias(ctl, &change, &kind, &value) != 0)
    {
        return MTDCTL_BAD;
    }

    return mtdctl_store_change(ctl, &change);
}


int
mtdctl_alias_get(mtdctl_t *ctl, int argc, char **argv)
{
    int             status;
    json_t         *root;
    mtd_str_t       key, id;
    mtdctl_pair_t   alias;

    status = mtdctl_alias_args(ctl, argv, &alias, &key);

    if (status == 0) {
        status = mtdctl_alias_owner(ctl, &alias, &key, &id);
    }

    if (status != 0) {
        return status;
    }

    if (!ctl->json) {
        printf("%s\n", mtdctl_show(ctl, &id));
        return 0;
    }

    root = json_pack("{s:s,s:s,s:s}", "kind", alias.name.data,
                     "value", alias.value.data, "id", mtdctl_show(ctl, &id));

    if (root == NULL) {
        return mtdctl_fail(ctl, MTDCTL_STORE, "the alias leads to what is no"
                           " text");
    }

    json_dumpf(root, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(root);

    return 0;
}


static int
mtdctl_alias_args(mtdctl_t *ctl, char **argv, mtdctl_pair_t *alias,
    mtd_str_t *key)
{
    mtd_str_t  kind, value;

    kind = mtdctl_text(ctl, argv[0]);
    value = mtdctl_text(ctl, argv[1]);

    if (mtdctl_value_kind(ctl, &kind, &alias->name) != 0
        || mtdctl_value_alias(ctl, &alias->name, &value, &alias->value) != 0)
    {
        return MTDCTL_BAD;
    }

    return mtdctl_record_alias_key(ctl, &alias->name, &alias->value, key);
}


static int
mtdctl_alias_owner(mtdctl_t *ctl, const mtdctl_pair_t *alias,
    const mtd_str_t *key, mtd_str_t *id)
{
    int  status;

    mtdctl_redis_key(ctl, "GET", key);

    status = mtdctl_redis_hear_text(ctl, "GET", key, id);

    if (status == 0 && id->data == NULL) {
        status = mtdctl_fail(ctl, MTDCTL_NOT_FOUND, "no alias %s:%s",
                             mtdctl_show(ctl, &alias->name),
                             mtdctl_show(ctl, &alias->value));
    }

    return status;
}


int
mtdctl_alias_erase(mtdctl_t *ctl, int argc, char **argv)
{
    int             i, status;
    mtd_str_t       key;
    mtdctl_pair_t   alias;

    status = mtdctl_alias_args(ctl, argv, &alias, &key);

    if (status == 0) {
        status = mtdctl_audit_check(ctl);
    }

    if (status != 0) {
        return status;
    }

    status = MTDCTL_AGAIN;

    for (i = 0; status == MTDCTL_AGAIN && mtdctl_redis_try(i); i++) {
        status = mtdctl_alias_erase_try(ctl, &alias, &key);
    }

    if (status == MTDCTL_AGAIN) {
        return mtdctl_fail(ctl, MTDCTL_STORE, "Redis at %s: alias %s:%s is"
                           " changed by others all the time", ctl->address,
                           mtdctl_show(ctl, &alias.name),
                           mtdctl_show(ctl, &alias.value));
    }

    return status;
}


static int
mtdctl_alias_erase_try(mtdctl_t *ctl, const mtdctl_pair_t *alias,
    const mtd_str_t *key)
{
    int              status;
    size_t           i;
    mtd_str_t        id, device, list;
    mtdctl_pair_t   *pair;
    mtdctl_pairs_t   record, aliases, left;

    status = mtdctl_redis_watch(ctl, key);

    if (status == 0) {
        status = mtdctl_alias_owner(ctl, alias, key, &id);
    }

    if (status == 0) {
        status = mtdctl_record_watch(ctl, &id, &device, &record);
    }

    if (status != 0) {
        return status;
    }

    mtdctl_record_aliases(ctl, &record, &aliases);
    memset(&left, 0, sizeof(mtdctl_pairs_t));

    for (i = 0; i < aliases.n; i++) {
        pair = &aliases.pair[i];

        if (!mtdctl_equal(&pair->name, &alias->name)
            || !mtdctl_equal(&pair->value, &alias->value))
        {
            mtdctl_add(ctl, &left, &pair->name, &pair->value);
        }
    }

    mtdctl_redis_begin(ctl, "MULTI");
    mtdctl_redis_end(ctl);

    mtdctl_redis_key(ctl, "DEL", key);

    if (left.n != aliases.n) {
        list = mtdctl_record_join(ctl, &left);

        mtdctl_redis_begin(ctl, left.n ? "HSET" : "HDEL");
        mtdctl_redis_arg(ctl, &device);
        mtdctl_redis_arg(ctl, &mtdctl_alias_field);

        if (left.n) {
            mtdctl_redis_arg(ctl, &list);
        }

        mtdctl_redis_end(ctl);
    }

    mtdctl_audit(ctl, "alias erase", &device);
    mtdctl_audit_expire(ctl);

    return mtdctl_redis_partly(ctl, mtdctl_redis_exec(ctl));
}


int
mtdctl_alias_list(mtdctl_t *ctl, int argc, char **argv)
{
    int              status;
    size_t           i;
    json_t          *root;
    mtd_str_t        text, id, key;
    mtdctl_pair_t   *pair;
    mtdctl_pairs_t   record, aliases;

    text = mtdctl_text(ctl, argv[0]);

    if (mtdctl_value_id(ctl, &text, &id) != 0) {
        return MTDCTL_BAD;
    }

    status = mtdctl_record_fetch(ctl, &id, &key, &record);
    if (status != 0) {
        return status;
    }

    if (record.n == 0) {
        return mtdctl_fail(ctl, MTDCTL_NOT_FOUND, "no device \"%.130s\"",
                           mtdctl_show(ctl, &id));
    }

    mtdctl_record_aliases(ctl, &record, &aliases);

    for (i = 0; i < aliases.n; i++) {
        pair = &aliases.pair[i];

        if (!ctl->json) {
            printf("%-8s  %s\n", mtdctl_show(ctl, &pair->name),
                   mtdctl_show(ctl, &pair->value));
            continue;
        }

        root = json_pack("{s:s,s:s}", "kind", mtdctl_show(ctl, &pair->name),
                         "value", mtdctl_show(ctl, &pair->value));

        json_dumpf(root, stdout, JSON_COMPACT);
        putchar('\n');
        json_decref(root);
    }

    return 0;
}
