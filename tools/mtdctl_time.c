
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include "mtdctl.h"


static int mtdctl_time_number(const u_char **p, const u_char *last,
    unsigned digits);
static long long mtdctl_time_days(int year, int month, int day);
static int mtdctl_time_zone(const u_char **p, const u_char *last,
    long *offset);


/* 2026-11-24T08:30:00Z, with a fraction or an offset if there is one */

long long
mtdctl_time_parse(const u_char *p, size_t len)
{
    int            n[6];
    long           offset, scale, ms;
    size_t         i;
    long long      t;
    const u_char  *last;

    static const char      between[] = "--T::";
    static const unsigned  digits[] = { 4, 2, 2, 2, 2, 2 };

    last = p + len;

    for (i = 0; i < 6; i++) {
        n[i] = mtdctl_time_number(&p, last, digits[i]);

        if (n[i] < 0) {
            return -1;
        }

        if (i < 5) {
            if (p == last
                || (*p != between[i] && (i != 2 || (*p != 't' && *p != ' '))))
            {
                return -1;
            }

            p++;
        }
    }

    if (n[0] < 1970 || n[3] > 23 || n[4] > 59 || n[5] > 60) {
        return -1;
    }

    ms = 0;

    if (p != last && *p == '.') {
        p++;
        i = 0;

        for (scale = 100; p != last && *p >= '0' && *p <= '9'; p++, i++) {
            ms += (*p - '0') * scale;
            scale /= 10;
        }

        if (i == 0) {
            return -1;
        }
    }

    t = mtdctl_time_days(n[0], n[1], n[2]);

    if (t < 0 || mtdctl_time_zone(&p, last, &offset) != 0) {
        return -1;
    }

    t = ((t * 24 + n[3]) * 60 + n[4]) * 60 + n[5] - offset;

    return (t < 0) ? -1 : t * 1000 + ms;
}


static int
mtdctl_time_number(const u_char **p, const u_char *last, unsigned digits)
{
    int  n;

    for (n = 0; digits; digits--, (*p)++) {
        if (*p == last || **p < '0' || **p > '9') {
            return -1;
        }

        n = n * 10 + (**p - '0');
    }

    return n;
}


/* since 1970-01-01, -1 if there is no such day */

static long long
mtdctl_time_days(int year, int month, int day)
{
    int        leap, max;
    long long  before;

    static const int  length[] = { 31, 28, 31, 30, 31, 30,
                                   31, 31, 30, 31, 30, 31 };
    static const int  start[] = { 0, 31, 59, 90, 120, 151,
                                  181, 212, 243, 273, 304, 334 };

    if (month < 1 || month > 12) {
        return -1;
    }

    leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    max = length[month - 1] + (month == 2 && leap);

    if (day < 1 || day > max) {
        return -1;
    }

    before = year - 1;

    return before * 365 + before / 4 - before / 100 + before / 400 - 719162
           + start[month - 1] + (month > 2 && leap) + day - 1;
}


static int
mtdctl_time_zone(const u_char **p, const u_char *last, long *offset)
{
    int   hours, minutes;
    long  sign;

    *offset = 0;

    if (*p == last) {
        return -1;
    }

    if (**p == 'Z' || **p == 'z') {
        (*p)++;
        return (*p == last) ? 0 : -1;
    }

    if (**p != '+' && **p != '-') {
        return -1;
    }

    sign = (**p == '-') ? -1 : 1;
    (*p)++;

    hours = mtdctl_time_number(p, last, 2);

    if (hours < 0 || hours > 23 || *p == last || **p != ':') {
        return -1;
    }

    (*p)++;

    minutes = mtdctl_time_number(p, last, 2);

    if (minutes < 0 || minutes > 59 || *p != last) {
        return -1;
    }

    *offset = sign * (hours * 3600L + minutes * 60L);

    return 0;
}
