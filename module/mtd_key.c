
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "mtd_key.h"


#define MTD_KEY_VENDOR  "vendor."


static const char * const  mtd_key_kinds[] = {
    "eas", "entra", "intune", "serial", "imei", "cert", "udid", NULL
};


static u_char *
mtd_key_copy(u_char *p, const void *data, size_t len)
{
    if (len) {
        memcpy(p, data, len);
    }

    return p + len;
}


/*
 * start is where the name begins after its prefix, text where what must not
 * show begins: the bytes from start to end are what the HMAC is taken of
 */

static u_char *
mtd_key_pseudonym(const u_char *start, u_char *text, const u_char *end,
    const mtd_str_t *secret)
{
    u_char    md[EVP_MAX_MD_SIZE];
    unsigned  i, len;

    static const u_char  hex[] = "0123456789abcdef";

    if (secret->len > MTD_SECRET_MAX
        || HMAC(EVP_sha256(), secret->data, (int) secret->len, start,
                (size_t) (end - start), md, &len)
           == NULL)
    {
        return NULL;
    }

    for (i = 0; i < MTD_PSEUDONYM_LEN / 2; i++) {
        *text++ = hex[md[i] >> 4];
        *text++ = hex[md[i] & 0xf];
    }

    return text;
}


static u_char *
mtd_key_name(u_char *p, const mtd_names_t *names, const void *domain,
    size_t len, const mtd_str_t *text)
{
    u_char  *start, *hidden;

    if (names->prefix.len > MTD_PREFIX_MAX) {
        return NULL;
    }

    p = mtd_key_copy(p, names->prefix.data, names->prefix.len);
    start = p;

    p = mtd_key_copy(p, domain, len);
    hidden = p;

    p = mtd_key_copy(p, text->data, text->len);

    if (names->secret.len == 0) {
        return p;
    }

    return mtd_key_pseudonym(start, hidden, p, &names->secret);
}


u_char *
mtd_key_device(u_char *p, const mtd_names_t *names, const mtd_str_t *id)
{
    if (id->len > MTD_ID_MAX) {
        return NULL;
    }

    return mtd_key_name(p, names, "device:", sizeof("device:") - 1, id);
}


u_char *
mtd_key_alias(u_char *p, const mtd_names_t *names, const mtd_str_t *kind,
    const mtd_str_t *value)
{
    u_char  *d, domain[sizeof("alias:") + MTD_KIND_MAX];

    if (kind->len > MTD_KIND_MAX || value->len > MTD_ID_MAX) {
        return NULL;
    }

    d = mtd_key_copy(domain, "alias:", sizeof("alias:") - 1);
    d = mtd_key_copy(d, kind->data, kind->len);
    *d++ = ':';

    return mtd_key_name(p, names, domain, (size_t) (d - domain), value);
}


u_char *
mtd_key_user(u_char *p, const mtd_names_t *names, const mtd_str_t *upn)
{
    if (upn->len > MTD_USER_MAX) {
        return NULL;
    }

    return mtd_key_name(p, names, "user:", sizeof("user:") - 1, upn);
}


int
mtd_fold(mtd_str_t *text, size_t max)
{
    u_char  *p, *end;

    if (text->len == 0 || text->len > max) {
        return -1;
    }

    end = text->data + text->len;

    for (p = text->data; p < end; p++) {
        if (*p < 0x21 || *p == 0x7f) {
            return -1;
        }

        if (*p >= 'A' && *p <= 'Z') {
            *p |= 0x20;
        }
    }

    return 0;
}


int
mtd_kind_valid(const mtd_str_t *kind)
{
    u_char              *p, *end;
    const char * const  *name;

    for (name = mtd_key_kinds; *name; name++) {
        if (kind->len == strlen(*name)
            && memcmp(kind->data, *name, kind->len) == 0)
        {
            return 1;
        }
    }

    if (kind->len < sizeof(MTD_KEY_VENDOR)
        || kind->len > MTD_KIND_MAX
        || memcmp(kind->data, MTD_KEY_VENDOR, sizeof(MTD_KEY_VENDOR) - 1) != 0)
    {
        return 0;
    }

    end = kind->data + kind->len;

    for (p = kind->data + sizeof(MTD_KEY_VENDOR) - 1; p < end; p++) {
        if (!((*p >= 'a' && *p <= 'z')
              || (*p >= '0' && *p <= '9')
              || *p == '-'
              || *p == '_'))
        {
            return 0;
        }
    }

    return 1;
}
