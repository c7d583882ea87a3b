
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include <string.h>
#include <strings.h>

#include "mtd_authorization.h"


static int mtd_authorization_basic(u_char *user, size_t *len,
    const u_char *p, size_t n);
static int mtd_authorization_digit(u_char c);
static const mtd_str_t *mtd_user_domain(const mtd_str_t *name,
    const mtd_user_domain_t *domains, unsigned n);
static u_char *mtd_user_fold(u_char *to, const mtd_str_t *text);


mtd_authorization_e
mtd_authorization(u_char *user, size_t *len, const mtd_str_t *value)
{
    u_char  *p, *last;

    p = value->data;
    last = value->data + value->len;

    while (p < last && *p > 0x20 && *p < 0x7f) {
        p++;
    }

    if (p == value->data || (p < last && *p != ' ')) {
        return MTD_AUTHORIZATION_MALFORMED;
    }

    switch (p - value->data) {

    case 5:

        if (strncasecmp((char *) value->data, "basic", 5) != 0) {
            return MTD_AUTHORIZATION_OTHER;
        }

        return (p < last
                && mtd_authorization_basic(user, len, p + 1, last - p - 1))
               ? MTD_AUTHORIZATION_BASIC : MTD_AUTHORIZATION_MALFORMED;

    case 6:

        return (strncasecmp((char *) value->data, "bearer", 6) == 0)
               ? MTD_AUTHORIZATION_BEARER : MTD_AUTHORIZATION_OTHER;

    default:

        return MTD_AUTHORIZATION_OTHER;
    }
}


/* base64 with one reading only, up to a colon a name, behind it anything */

static int
mtd_authorization_basic(u_char *user, size_t *len, const u_char *p, size_t n)
{
    int       digit;
    u_char    c;
    size_t    i, to, padding;
    unsigned  value, bits, colon;

    if (n == 0 || n % 4 || n > MTD_AUTHORIZATION_MAX) {
        return 0;
    }

    padding = (p[n - 1] != '=') ? 0 : (p[n - 2] != '=') ? 1 : 2;

    value = 0;
    bits = 0;
    colon = 0;
    to = 0;

    for (i = 0; i < n - padding; i++) {
        digit = mtd_authorization_digit(p[i]);

        if (digit < 0) {
            return 0;
        }

        value = value << 6 | (unsigned) digit;
        bits += 6;

        if (bits < 8) {
            continue;
        }

        bits -= 8;
        c = (u_char) (value >> bits);
        value &= (1u << bits) - 1;

        if (colon) {
            continue;
        }

        if (c == ':') {
            colon = 1;
            continue;
        }

        if (to == MTD_AUTHORIZATION_USER || c < 0x20 || c == 0x7f) {
            return 0;
        }

        user[to++] = c;
    }

    *len = to;

    return colon && to && value == 0;
}


static int
mtd_authorization_digit(u_char c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }

    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }

    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }

    return (c == '+') ? 62 : (c == '/') ? 63 : -1;
}


size_t
mtd_user_upn(u_char *to, size_t max, const mtd_str_t *user,
    const mtd_user_domain_t *domains, unsigned n)
{
    u_char           *p, *last;
    mtd_str_t         name, domain;
    const mtd_str_t  *known;

    static const mtd_str_t  none = { 1, (u_char *) "*" };

    last = user->data + user->len;

    for (p = user->data; p < last && *p != '\\' && *p != '@'; p++) {
        /* void */
    }

    name.data = user->data;
    name.len = p - user->data;
    domain.data = p + 1;
    domain.len = (p < last) ? last - p - 1 : 0;

    if (p < last && *p == '\\') {
        domain = name;
        name.data = p + 1;
        name.len = last - p - 1;
    }

    /* "*" is a name of the configuration's only */

    if (p < last && (name.len == 0 || domain.len == 0
                     || (domain.len == 1 && domain.data[0] == '*')
                     || memchr(p + 1, '@', last - p - 1)
                     || memchr(p + 1, '\\', last - p - 1)))
    {
        return 0;
    }

    known = mtd_user_domain(p < last ? &domain : &none, domains, n);

    if (known == NULL && p < last && *p == '@') {
        known = &domain;
    }

    if (known == NULL || name.len == 0 || name.len + 1 + known->len > max) {
        return 0;
    }

    p = mtd_user_fold(to, &name);
    *p++ = '@';
    p = mtd_user_fold(p, known);

    return p - to;
}


static const mtd_str_t *
mtd_user_domain(const mtd_str_t *name, const mtd_user_domain_t *domains,
    unsigned n)
{
    unsigned  i;

    for (i = 0; i < n; i++) {
        if (domains[i].name.len == name->len
            && strncasecmp((const char *) domains[i].name.data,
                           (const char *) name->data, name->len)
               == 0)
        {
            return &domains[i].domain;
        }
    }

    return NULL;
}


/* ASCII letters only, as in a record */

static u_char *
mtd_user_fold(u_char *to, const mtd_str_t *text)
{
    u_char  c;
    size_t  i;

    for (i = 0; i < text->len; i++) {
        c = text->data[i];
        *to++ = (c >= 'A' && c <= 'Z') ? (u_char) (c | 0x20) : c;
    }

    return to;
}
