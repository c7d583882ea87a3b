
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/* one device's record as it stands in Redis, and the names of its keys */

#include "mtdctl.h"


static const mtd_str_t  mtdctl_record_list = mtdctl_string("aliases");
static const mtd_str_t  mtdctl_record_name_vendor = mtdctl_string("vendor");
static const mtd_str_t  mtdctl_record_name_threat = mtdctl_string("threat");
static const mtd_str_t  mtdctl_record_name_reported =
                                              mtdctl_string("reported_at");


static int
mtdctl_record_key(mtdctl_t *ctl, mtd_str_t *key, const u_char *p,
    const u_char *end)
{
    if (end == NULL) {
        return mtdctl_fail(ctl, MTDCTL_BAD, "cannot make a key's name");
    }

    *key = mtdctl_copy(ctl, p, end - p);

    return 0;
}


int
mtdctl_record_device_key(mtdctl_t *ctl, const mtd_str_t *id, mtd_str_t *key)
{
    u_char  buf[MTD_KEY_MAX];

    return mtdctl_record_key(ctl, key, buf,
                            mtd_key_device(buf, &ctl->names, id));
}


int
mtdctl_record_alias_key(mtdctl_t *ctl, const mtd_str_t *kind,
    const mtd_str_t *value, mtd_str_t *key)
{
    u_char  buf[MTD_KEY_MAX];

    return mtdctl_record_key(ctl, key, buf,
                            mtd_key_alias(buf, &ctl->names, kind, value));
}


int
mtdctl_record_user_key(mtdctl_t *ctl, const mtd_str_t *user, mtd_str_t *key)
{
    u_char  buf[MTD_KEY_MAX];

    return mtdctl_record_key(ctl, key, buf,
                            mtd_key_user(buf, &ctl->names, user));
}


/* PREFIXapps:ID beside PREFIXdevice:ID, whatever ID looks like */

void
mtdctl_record_apps_key(mtdctl_t *ctl, const mtd_str_t *device,
    mtd_str_t *key)
{
    size_t  prefix, skip;

    prefix = ctl->names.prefix.len;
    skip = prefix + sizeof("device:") - 1;

    *key = mtdctl_copy(ctl, device->data, device->len);

    memcpy(key->data + prefix, "apps:", sizeof("apps:") - 1);

    memcpy(key->data + prefix + sizeof("apps:") - 1, device->data + skip,
           device->len - skip);

    key->len -= sizeof("device:") - sizeof("apps:");
}


int
mtdctl_record_watch(mtdctl_t *ctl, const mtd_str_t *id, mtd_str_t *key,
    mtdctl_pairs_t *record)
{
    int  status;

    status = mtdctl_record_device_key(ctl, id, key);

    if (status == 0) {
        status = mtdctl_redis_watch(ctl, key);
    }

    return status ? status : mtdctl_record_fetch(ctl, id, key, record);
}


int
mtdctl_record_fetch(mtdctl_t *ctl, const mtd_str_t *id, mtd_str_t *key,
    mtdctl_pairs_t *record)
{
    int  status;

    status = mtdctl_record_device_key(ctl, id, key);
    if (status != 0) {
        return status;
    }

    mtdctl_redis_key(ctl, "HGETALL", key);

    return mtdctl_record_hear(ctl, key, record);
}


int
mtdctl_record_hear(mtdctl_t *ctl, const mtd_str_t *key,
    mtdctl_pairs_t *record)
{
    int           status;
    size_t        i;
    mtd_str_t     name, value;
    redisReply   *reply, **field;

    memset(record, 0, sizeof(mtdctl_pairs_t));

    status = mtdctl_redis_hear(ctl, "HGETALL", key, &reply);
    if (status != 0) {
        return status;
    }

    if (reply->elements % 2) {
        freeReplyObject(reply);
        return mtdctl_redis_strange(ctl, "HGETALL");
    }

    for (i = 0; i < reply->elements; i += 2) {
        field = &reply->element[i];

        name = mtdctl_copy(ctl, field[0]->str, field[0]->len);
        value = mtdctl_copy(ctl, field[1]->str, field[1]->len);

        mtdctl_add(ctl, record, &name, &value);
    }

    freeReplyObject(reply);

    return 0;
}


void
mtdctl_record_aliases(mtdctl_t *ctl, const mtdctl_pairs_t *record,
    mtdctl_pairs_t *aliases)
{
    u_char     *p, *last;
    mtd_str_t  *list, text, kind, value;

    memset(aliases, 0, sizeof(mtdctl_pairs_t));

    list = mtdctl_find(record, &mtdctl_record_list);

    if (list == NULL) {
        return;
    }

    p = list->data;
    last = p + list->len;

    while (p < last) {
        text.data = p;

        while (p < last && *p != ' ') {
            p++;
        }

        text.len = p - text.data;
        p++;

        if (mtdctl_value_split(ctl, &text, &kind, &value)) {
            mtdctl_add(ctl, aliases, &kind, &value);
        }
    }
}


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


mtd_str_t
mtdctl_record_join(mtdctl_t *ctl, const mtdctl_pairs_t *aliases)
{
    size_t          i, len;
    u_char         *p;
    mtd_str_t       text;
    mtdctl_pair_t  *pair;

    len = 0;

    for (i = 0; i < aliases->n; i++) {
        len += aliases->pair[i].name.len + aliases->pair[i].value.len + 2;
    }

    text.data = p = mtdctl_alloc(ctl, len + 1);

    for (i = 0; i < aliases->n; i++) {
        pair = &aliases->pair[i];

        if (i) {
            *p++ = ' ';
        }

        memcpy(p, pair->name.data, pair->name.len);
        p += pair->name.len;
        *p++ = ':';
        memcpy(p, pair->value.data, pair->value.len);
        p += pair->value.len;
    }

    text.len = p - text.data;

    return text;
}


void
mtdctl_record_set(mtdctl_t *ctl, mtdctl_pairs_t *record,
    const mtd_str_t *name, const mtd_str_t *value)
{
    mtd_str_t  *old;

    if (value->len == 0) {
        mtdctl_remove(record, name);
        return;
    }

    old = mtdctl_find(record, name);

    if (old) {
        *old = *value;

    } else {
        mtdctl_add(ctl, record, name, value);
    }
}


int
mtdctl_record_same(const mtdctl_pairs_t *a, const mtdctl_pairs_t *b)
{
    size_t      i;
    mtd_str_t  *other;

    if (a->n != b->n) {
        return 0;
    }

    for (i = 0; i < a->n; i++) {
        other = mtdctl_find(b, &a->pair[i].name);

        if (other == NULL || !mtdctl_equal(other, &a->pair[i].value)) {
            return 0;
        }
    }

    return 1;
}


/*
 * From what is known to be bad over what is not known to what is good: where
 * two vendors differ, the worse word is the device's.
 */

static int
mtdctl_record_worse(int a, int b)
{
    static const u_char  rank[MTD_THREAT_N] = {
        [MTD_THREAT_SECURED] = 0,
        [MTD_THREAT_LOW] = 1,
        [MTD_THREAT_ACTIVATED] = 2,
        [MTD_THREAT_UNKNOWN] = 3,
        [MTD_THREAT_DEACTIVATED] = 4,
        [MTD_THREAT_UNRESPONSIVE] = 5,
        [MTD_THREAT_MISCONFIGURED] = 6,
        [MTD_THREAT_MEDIUM] = 7,
        [MTD_THREAT_HIGH] = 8,
        [MTD_THREAT_COMPROMISED] = 9
    };

    return rank[a] > rank[b];
}


static int
mtdctl_record_starts(const mtd_str_t *name, const char *prefix)
{
    size_t  len;

    len = strlen(prefix);

    return name->len > len && memcmp(name->data, prefix, len) == 0;
}


static int
mtdctl_record_given(const mtdctl_pairs_t *fields, const char *prefix)
{
    size_t  i;

    for (i = 0; i < fields->n; i++) {
        if (mtdctl_record_starts(&fields->pair[i].name, prefix)) {
            return 1;
        }
    }

    return 0;
}


/* what is said in the change itself stands */

void
mtdctl_record_threat(mtdctl_t *ctl, mtdctl_pairs_t *record,
    const mtdctl_pairs_t *given)
{
    int             word, worst;
    size_t          i;
    mtdctl_pair_t  *pair;

    if (mtdctl_find(given, &mtdctl_record_name_threat) != NULL
        || !mtdctl_record_given(given, "threat:"))
    {
        return;
    }

    worst = -1;

    for (i = 0; i < record->n; i++) {
        pair = &record->pair[i];

        if (!mtdctl_record_starts(&pair->name, "threat:")) {
            continue;
        }

        word = mtd_threat_parse(pair->value.data, pair->value.len);

        if (word < 0) {
            word = MTD_THREAT_UNKNOWN;
        }

        if (worst < 0 || mtdctl_record_worse(word, worst)) {
            worst = word;
        }
    }

    if (worst < 0) {
        worst = MTD_THREAT_UNKNOWN;
    }

    mtdctl_record_set(ctl, record, &mtdctl_record_name_threat,
                      mtd_threat_name(worst));
}


void
mtdctl_record_reported(mtdctl_t *ctl, mtdctl_pairs_t *record,
    const mtdctl_pairs_t *given)
{
    size_t          i;
    mtd_str_t       at, vendor;
    mtdctl_pair_t  *pair;

    if (mtdctl_find(given, &mtdctl_record_name_reported) != NULL
        || !mtdctl_record_given(given, "reported_at:"))
    {
        return;
    }

    at.len = 0;
    at.data = NULL;
    vendor = at;

    for (i = 0; i < record->n; i++) {
        pair = &record->pair[i];

        if (mtdctl_record_starts(&pair->name, "reported_at:")
            && (pair->value.len > at.len
                || (pair->value.len == at.len && at.len
                    && memcmp(pair->value.data, at.data, at.len) > 0)))
        {
            at = pair->value;
            vendor.data = pair->name.data + sizeof("reported_at:") - 1;
            vendor.len = pair->name.len - sizeof("reported_at:") + 1;
        }
    }

    mtdctl_record_set(ctl, record, &mtdctl_record_name_reported, &at);

    if (mtdctl_find(given, &mtdctl_record_name_vendor) == NULL) {
        mtdctl_record_set(ctl, record, &mtdctl_record_name_vendor, &vendor);
    }
}
