
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include "mtdctl.h"


static mtd_str_t
mtdctl_audit_key(mtdctl_t *ctl)
{
    u_char     *p;
    mtd_str_t   key;

    key.len = ctl->names.prefix.len + sizeof("audit") - 1;
    key.data = p = mtdctl_alloc(ctl, key.len + 1);

    if (ctl->names.prefix.len) {
        memcpy(p, ctl->names.prefix.data, ctl->names.prefix.len);
        p += ctl->names.prefix.len;
    }

    memcpy(p, "audit", sizeof("audit") - 1);

    return key;
}


/* inside EXEC a wrong type would be found too late to undo the rest */

int
mtdctl_audit_check(mtdctl_t *ctl)
{
    int        status;
    mtd_str_t  key, type;

    key = mtdctl_audit_key(ctl);

    mtdctl_redis_key(ctl, "TYPE", &key);

    status = mtdctl_redis_hear_text(ctl, "TYPE", NULL, &type);

    if (status == 0 && !mtdctl_is(&type, "stream")
        && !mtdctl_is(&type, "none"))
    {
        status = mtdctl_fail(ctl, MTDCTL_STORE, "key \"%s\" in Redis is to be"
                             " a stream, but holds a %.20s",
                             (char *) key.data, mtdctl_show(ctl, &type));
    }

    return status;
}


static void
mtdctl_audit_begin(mtdctl_t *ctl, const mtd_str_t *audit, const char *what)
{
    mtdctl_redis_begin(ctl, "XADD");
    mtdctl_redis_arg(ctl, audit);
    mtdctl_redis_text(ctl, "MAXLEN");
    mtdctl_redis_text(ctl, "~");
    mtdctl_redis_text(ctl, MTDCTL_AUDIT);
    mtdctl_redis_text(ctl, "*");
    mtdctl_redis_text(ctl, "who");
    mtdctl_redis_text(ctl, ctl->who);
    mtdctl_redis_text(ctl, "what");
    mtdctl_redis_text(ctl, what);
}


/* the device is named as in its key, so that a pseudonym stays one */

void
mtdctl_audit(mtdctl_t *ctl, const char *what, const mtd_str_t *key)
{
    size_t      skip;
    mtd_str_t   audit, id;

    audit = mtdctl_audit_key(ctl);

    skip = ctl->names.prefix.len + sizeof("device:") - 1;
    id.data = key->data + skip;
    id.len = key->len - skip;

    mtdctl_audit_begin(ctl, &audit, what);
    mtdctl_redis_text(ctl, "id");
    mtdctl_redis_arg(ctl, &id);
    mtdctl_redis_end(ctl);
}


void
mtdctl_audit_bypass(mtdctl_t *ctl, const char *what, long long until,
    const mtd_str_t *why)
{
    mtd_str_t  audit;

    audit = mtdctl_audit_key(ctl);

    mtdctl_audit_begin(ctl, &audit, what);
    mtdctl_redis_text(ctl, "until");
    mtdctl_redis_number(ctl, (long) until);
    mtdctl_redis_text(ctl, "why");
    mtdctl_redis_arg(ctl, why);
    mtdctl_redis_end(ctl);
}


void
mtdctl_audit_expire(mtdctl_t *ctl)
{
    mtd_str_t  key;

    key = mtdctl_audit_key(ctl);

    mtdctl_redis_expire(ctl, &key, (ctl->ttl > MTDCTL_AUDIT_TTL)
                                   ? ctl->ttl : MTDCTL_AUDIT_TTL);
}
