
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include <stdlib.h>
#include <string.h>

#include "model.h"


#define MODEL_SEGMENTS     4096


static int
model_digit(unsigned c)
{
    const char  *p;

    static const char  digits[] = "0123456789abcdef0123456789ABCDEF";

    p = (c && c < 0x80) ? strchr(digits, (int) c) : NULL;

    return p ? (int) (p - digits) % 16 : -1;
}


/*
 * The number of the escape at p, "%XX" or "%uXXXX", and how long that is;
 * -1 for all else, whose length is 1
 */

static long
model_escape(const u_char *p, const u_char *last, size_t *len)
{
    long    n;
    size_t  i, from, digits;

    *len = 1;

    if (*p != '%') {
        return -1;
    }

    from = 1;
    digits = 2;

    if (last - p > 1 && (p[1] == 'u' || p[1] == 'U')) {
        from = 2;
        digits = 4;
    }

    if ((size_t) (last - p) < from + digits) {
        return -1;
    }

    for (n = 0, i = from; i < from + digits; i++) {

        if (model_digit(p[i]) == -1) {
            return -1;
        }

        n = n * 16 + model_digit(p[i]);
    }

    *len = from + digits;

    return n;
}


static u_char
model_lower(u_char c)
{
    return (c >= 'A' && c <= 'Z') ? c - 'A' + 'a' : c;
}


int
model_equal(const u_char *p, size_t len, const char *lower)
{
    size_t  i;

    if (len != strlen(lower)) {
        return 0;
    }

    for (i = 0; i < len; i++) {
        if (model_lower(p[i]) != (u_char) lower[i]) {
            return 0;
        }
    }

    return 1;
}


/* the shortest form of a character below 0x110000 and no surrogate */

static int
model_utf8(const u_char *p, size_t len)
{
    size_t         i, n;
    unsigned long  code;

    static const unsigned long  min[] = { 0, 0x80, 0x800, 0x10000 };

    while (len) {
        n = (*p < 0x80) ? 0 : (*p >> 5 == 6) ? 1 : (*p >> 4 == 14) ? 2
            : (*p >> 3 == 30) ? 3 : 4;

        if (n == 4 || len <= n) {
            return 0;
        }

        code = n ? *p & (0x3f >> n) : *p;

        for (i = 1; i <= n; i++) {

            if (p[i] >> 6 != 2) {
                return 0;
            }

            code = code * 64 + p[i] % 64;
        }

        if (code < min[n] || code > 0x10ffff
            || (code >= 0xd800 && code < 0xe000))
        {
            return 0;
        }

        p += n + 1;
        len -= n + 1;
    }

    return 1;
}


/* decoded once, for the first time or the second */

static size_t
model_decode(u_char *to, const u_char *p, size_t len, const char **why)
{
    long           n;
    size_t         step;
    u_char        *start;
    const u_char  *last;

    start = to;

    for (last = p + len; p < last; p += step) {
        n = model_escape(p, last, &step);

        if (n == -1) {
            n = *p;

            if (*p == ';') {
                *why = "parameters of a segment";
            }

            if (*p == '?' || *p == '#') {
                *why = "an end of the path";
            }
        }

        if (step > 3) {
            *why = "an escape that only some know";
        }

        if (n == 0) {
            *why = "an end for those who read strings";
        }

        *to++ = (u_char) n;
    }

    return to - start;
}


/* a SharePoint service, whose literals are not looked at as names */

static int
model_service(const u_char *p, size_t len)
{
    return model_equal(p, len, "_api") || model_equal(p, len, "_vti_bin");
}


size_t
model_path(u_char *to, const u_char *p, size_t len, int literals,
    const char **why)
{
    size_t         n, i, step, out, depth, start[MODEL_SEGMENTS];
    u_char        *once;
    unsigned       service;
    const u_char  *name, *last;

    *why = NULL;

    once = malloc(len + 1);
    if (once == NULL) {
        abort();
    }

    n = model_decode(once, p, len, why);

    for (i = 0; i < n; i++) {
        if (once[i] == '\\') {
            once[i] = '/';
        }

        if (once[i] < 0x20 || once[i] == 0x7f) {
            *why = "a control byte";
        }

        if (model_escape(once + i, once + n, &step) != -1) {
            *why = "an escape for those who decode twice";
        }
    }

    if (!model_utf8(once, n)) {
        *why = "not UTF-8";
    }

    last = once + n;
    out = 0;
    depth = 0;
    service = 0;

    if (len == 0 || once[0] != '/') {
        *why = "no slash at the start";
    }

    for (name = once + 1; name <= last; name += i + 1) {

        for (i = 0; name + i < last && name[i] != '/'; i++) {
            /* void */
        }

        n = i;

        if (n == 2 && name[0] == '.' && name[1] == '.') {

            if (depth == 0) {
                *why = "above the root";
            }

            out = depth ? start[--depth] : 0;
            n = 0;

        } else if (n == 1 && name[0] == '.') {
            n = 0;
        }

        service |= literals && model_service(name, n);

        while (n && !service && (name[n - 1] == '.' || name[n - 1] == ' ')) {
            n--;
        }

        if (n) {

            if (depth == MODEL_SEGMENTS) {
                *why = "too deep";
                break;
            }

            start[depth++] = out;
            to[out++] = '/';
            memcpy(to + out, name, n);
            out += n;
        }
    }

    /* the last name is empty, or has become so */

    if (out == 0 || n == 0) {
        to[out++] = '/';
    }

    free(once);

    return out;
}


/* the number of segments of path that stand at p */

static int
model_starts(const u_char *p, const u_char *last, const mtd_str_t *path)
{
    size_t         n;
    const u_char  *q, *end;

    q = path->data;
    end = q + path->len;

    while (q < end && *q == '/') {
        q++;
    }

    while (q < end) {

        for (n = 0; q + n < end && q[n] != '/'; n++) {

            if (p + n >= last || model_lower(p[n]) != q[n]) {
                return 0;
            }
        }

        if (p + n < last && p[n] != '/') {
            return 0;
        }

        p += n;
        q += n;

        if (q < end) {

            if (p == last) {
                return 0;
            }

            p++;
            q++;
        }
    }

    return 1;
}


static size_t
model_count(const u_char *p, size_t len)
{
    int     between;
    size_t  i, n;

    n = 0;
    between = 1;

    for (i = 0; i < len; i++) {
        n += (between && p[i] != '/');
        between = (p[i] == '/');
    }

    return n;
}


const mtd_endpoint_t *
model_endpoint(const mtd_profile_t *profile, const u_char *p, size_t len)
{
    size_t                 i, n, slashes;
    const u_char          *last, *name;
    const mtd_str_t       *refused;
    const mtd_endpoint_t  *e, *found;

    static const mtd_endpoint_t  no = { { 0, NULL }, 0, MTD_REFUSED, 0, 0 };

    last = p + len;
    found = NULL;

    for (e = profile->endpoints; e->path.len && found == NULL; e++) {

        if (!model_starts(p + 1, last, &e->path)) {
            continue;
        }

        if (e->flags & MTD_ENDPOINT_NAME) {
            for (n = e->path.len + 1, slashes = 0; n < len; n++) {
                slashes += (p[n] == '/');
            }

            found = slashes ? NULL : e;
            continue;
        }

        if (!(e->flags & MTD_ENDPOINT_EXACT)
            || model_count(p, len) == model_count(e->path.data, e->path.len))
        {
            found = e;
        }
    }

    for (name = p + 1; name < last; name += n + 1) {

        for (n = 0; name + n < last && name[n] != '/'; n++) {
            /* void */
        }

        for (refused = profile->refused; refused->len; refused++) {

            for (i = 0; i < n && i < refused->len; i++) {
                if (model_lower(name[i]) != refused->data[i]) {
                    break;
                }
            }

            if (i == n && i == refused->len) {
                return &no;
            }
        }
    }

    if (found && found->access != MTD_OPEN) {
        return found;
    }

    for (name = found ? p + found->path.len : p; name < last; name++) {

        if (*name != '/') {
            continue;
        }

        for (e = profile->segments; e->path.len; e++) {
            if (name + 1 < last && model_starts(name + 1, last, &e->path)) {
                return e;
            }
        }
    }

    return found ? found : profile->fallback;
}


/* one byte of a query, as UrlDecode() has it */

static long
model_query_byte(const u_char *p, const u_char *last, size_t *step)
{
    long  n;

    n = model_escape(p, last, step);

    if (n != -1) {
        return n;
    }

    return (*p == '+') ? ' ' : *p;
}


void
model_value(model_value_t *value, const u_char *p, size_t len,
    const char *name)
{
    size_t         i, step;
    const u_char  *last, *end, *equals;

    value->n = 0;
    value->len = 0;

    for (last = p + len; p < last; p = end + 1) {

        end = memchr(p, '&', last - p);
        end = end ? end : last;

        equals = memchr(p, '=', end - p);

        if (equals == NULL) {
            continue;
        }

        for (i = 0; p < equals && name[i]; i++, p += step) {
            if (model_query_byte(p, equals, &step) > 0xff
                || model_lower((u_char) model_query_byte(p, equals, &step))
                   != model_lower((u_char) name[i]))
            {
                break;
            }
        }

        if (p < equals || name[i]) {
            continue;
        }

        if (value->n++) {

            if (value->len < MODEL_VALUE_MAX) {
                value->data[value->len] = ',';
            }

            value->len++;
        }

        for (p = equals + 1; p < end; p += step) {

            i = model_query_byte(p, end, &step);

            if (value->len < MODEL_VALUE_MAX) {
                value->data[value->len] = (u_char) i;
            }

            value->len++;
        }
    }
}


int
model_blob(model_blob_t *blob, const u_char *p, size_t len)
{
    int            ok;
    long           c;
    const char    *at;
    size_t         n, i, step, ends, bits;
    u_char        *bytes;
    const u_char  *last;

    static const char  alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                    "abcdefghijklmnopqrstuvwxyz0123456789+/";

    bytes = calloc(1, len + 1);
    if (bytes == NULL) {
        abort();
    }

    ok = 1;
    bits = 0;
    ends = 0;

    for (last = p + len; p < last; p += step) {

        c = model_escape(p, last, &step);
        c = (c == -1) ? *p : c;

        if (c == '=') {
            ends++;
            continue;
        }

        at = (c > 0 && c < 0x80) ? strchr(alphabet, (int) c) : NULL;

        if (at == NULL || ends) {
            ok = 0;
            break;
        }

        for (i = 0; i < 6; i++, bits++) {
            if ((at - alphabet) & (0x20 >> i)) {
                bytes[bits / 8] |= 0x80 >> bits % 8;
            }
        }
    }

    if ((bits / 6 + ends) % 4 || ends > 2) {
        ok = 0;
    }

    n = bits / 8;

    /* version, command, language, and the id with its length before it */

    if (ok && n >= 8 && (size_t) 5 + bytes[4] <= n) {
        blob->version = bytes[0];
        blob->command = bytes[1];
        blob->len = bytes[4];
        memcpy(blob->id, bytes + 5, blob->len);

    } else {
        ok = 0;
    }

    free(bytes);

    return ok;
}
