
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include "mtd_host.h"


#define MTD_HOST_LABEL   63


static int mtd_host_label(const u_char *p, size_t len);
static int mtd_host_number(const u_char *p, size_t len);
static int mtd_host_digit(u_char c);
static u_char mtd_host_lower(u_char c);


size_t
mtd_host(u_char *host, const u_char *text, size_t len)
{
    size_t  i, label;

    if (len && text[len - 1] == '.') {
        len--;
    }

    if (len == 0 || len > MTD_HOST_MAX) {
        return 0;
    }

    label = 0;

    for (i = 0; i < len; i++) {

        if (text[i] == '.') {
            if (!mtd_host_label(text + label, i - label)) {
                return 0;
            }

            label = i + 1;
        }

        host[i] = mtd_host_lower(text[i]);
    }

    if (!mtd_host_label(text + label, len - label)
        || mtd_host_number(text + label, len - label))
    {
        return 0;
    }

    return len;
}


static int
mtd_host_label(const u_char *p, size_t len)
{
    size_t  i;
    u_char  c;

    if (len == 0 || len > MTD_HOST_LABEL || p[0] == '-' || p[len - 1] == '-')
    {
        return 0;
    }

    for (i = 0; i < len; i++) {
        c = mtd_host_lower(p[i]);

        if ((c < 'a' || c > 'z') && !mtd_host_digit(c) && c != '-'
            && c != '_')
        {
            return 0;
        }
    }

    return 1;
}


/* "1", and "0x7f", which inet_aton() takes, too */

static int
mtd_host_number(const u_char *p, size_t len)
{
    int     hex;
    size_t  i;
    u_char  c;

    hex = (len >= 2 && p[0] == '0' && mtd_host_lower(p[1]) == 'x');

    for (i = hex ? 2 : 0; i < len; i++) {
        c = mtd_host_lower(p[i]);

        if (!mtd_host_digit(c) && !(hex && c >= 'a' && c <= 'f')) {
            return 0;
        }
    }

    return 1;
}


static int
mtd_host_digit(u_char c)
{
    return c >= '0' && c <= '9';
}


static u_char
mtd_host_lower(u_char c)
{
    return (c >= 'A' && c <= 'Z') ? c | 0x20 : c;
}
