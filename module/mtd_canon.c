
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include <string.h>

#include "mtd_canon.h"


/* bytes of a path */

#define MTD_CANON_PLAIN    0        /* stands for itself */
#define MTD_CANON_BORDER   1        /* "/" and ".": plain, but may matter */
#define MTD_CANON_SPECIAL  2        /* legal, but changes or needs a look */
#define MTD_CANON_BAD      3


typedef struct {
    const u_char  *pos;
    const u_char  *last;
    unsigned       rules;
    u_char        *path;            /* what is written next */
    u_char        *uri;
    u_char        *path_start;
    u_char        *uri_start;
    u_char        *segment;         /* start of the last one, in uri */
    u_char        *segment_path;    /* and in path */
    unsigned       depth;           /* of parentheses in this segment */
    unsigned       api:1;           /* literals are possible */
    unsigned       vti_bin:1;       /* the segment before was _vti_bin */
    unsigned       service:1;       /* _api or _vti_bin was met */
    const char    *why;
} mtd_canon_state_t;


static int mtd_canon_write(mtd_canon_t *canon, mtd_canon_state_t *s);
static int mtd_canon_byte(mtd_canon_state_t *s);
static int mtd_canon_unescape(mtd_canon_state_t *s);
static int mtd_canon_wide(mtd_canon_state_t *s, unsigned lead, int keep);
static int mtd_canon_segment_end(mtd_canon_state_t *s, int slash);
static int mtd_canon_parent(mtd_canon_state_t *s);
static void mtd_canon_context(mtd_canon_state_t *s);
static int mtd_canon_literal(mtd_canon_state_t *s);
static int mtd_canon_refuse(mtd_canon_state_t *s, const char *why);


#define P  MTD_CANON_PLAIN
#define B  MTD_CANON_BORDER
#define S  MTD_CANON_SPECIAL
#define X  MTD_CANON_BAD

static const u_char  mtd_canon_class[256] = {
    X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
    X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
    /*  ! " # $ % & '  ( ) * + , - . / */
    X, P, X, X, P, S, P, S, S, P, X, P, P, P, B, B,
    /* 0 .. 9  : ; < = > ? */
    P, P, P, P, P, P, P, P, P, P, X, X, X, P, X, X,
    P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P,
    /* P .. Z [ \ ] ^ _ */
    P, P, P, P, P, P, P, P, P, P, P, P, X, P, X, P,
    X, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P,
    /* p .. z { | } ~ */
    P, P, P, P, P, P, P, P, P, P, P, X, X, X, S, X,

    X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
    X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
    X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
    X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
    X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
    X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
    X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
    X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X
};

#undef P
#undef B
#undef S
#undef X


static inline int
mtd_canon_hex(u_char ch)
{
    if (ch >= '0' && ch <= '9') {
        return ch - '0';
    }

    ch |= 0x20;

    return (ch >= 'a' && ch <= 'f') ? ch - 'a' + 10 : -1;
}


/* the value of the triplet at p, or -1 */

static inline int
mtd_canon_triplet(const u_char *p, const u_char *last)
{
    int  high, low;

    if (last - p < 3 || p[0] != '%') {
        return -1;
    }

    high = mtd_canon_hex(p[1]);
    low = mtd_canon_hex(p[2]);

    return (high < 0 || low < 0) ? -1 : high << 4 | low;
}


int
mtd_canon_path(mtd_canon_t *canon, const mtd_str_t *path, unsigned rules,
    u_char *buf)
{
    const u_char       *p, *last;
    mtd_canon_state_t   s;

    p = path->data;
    last = p + path->len;

    if (p == last || *p != '/') {
        goto slow;
    }

    for ( ;; ) {

        while (p < last && mtd_canon_class[*p] == MTD_CANON_PLAIN) {
            p++;
        }

        if (p == last) {
            break;
        }

        if (mtd_canon_class[*p] != MTD_CANON_BORDER) {
            goto slow;
        }

        /* "//", "./" and "." at the end are for the slow path */

        if (p + 1 == last) {
            if (*p == '.') {
                goto slow;
            }

        } else if (p[1] == '/') {
            goto slow;
        }

        p++;
    }

    return MTD_CANON_OK;

slow:

    if (buf == NULL) {
        return MTD_CANON_CHANGED;
    }

    memset(&s, 0, sizeof(mtd_canon_state_t));

    s.pos = path->data;
    s.last = last;
    s.rules = rules;
    s.path_start = buf;
    s.uri_start = buf + 2 * path->len + 1;

    return mtd_canon_write(canon, &s);
}


static int
mtd_canon_write(mtd_canon_t *canon, mtd_canon_state_t *s)
{
    if (s->pos == s->last || *s->pos != '/') {
        canon->why = "the path does not start with \"/\"";
        return MTD_CANON_REFUSED;
    }

    s->pos++;
    s->path = s->path_start;
    s->uri = s->uri_start;
    *s->path++ = '/';
    *s->uri++ = '/';
    s->segment = s->uri;
    s->segment_path = s->path;

    while (s->pos < s->last) {
        if (mtd_canon_byte(s) != 0) {
            canon->why = s->why;
            return MTD_CANON_REFUSED;
        }
    }

    if (mtd_canon_segment_end(s, 0) != 0) {
        canon->why = s->why;
        return MTD_CANON_REFUSED;
    }

    canon->path.data = s->path_start;
    canon->path.len = s->path - s->path_start;
    canon->uri.data = s->uri_start;
    canon->uri.len = s->uri - s->uri_start;
    canon->why = NULL;

    return MTD_CANON_CHANGED;
}


static int
mtd_canon_refuse(mtd_canon_state_t *s, const char *why)
{
    s->why = why;

    return -1;
}


/* one byte, or one character in triplets, outside of literals */

static int
mtd_canon_byte(mtd_canon_state_t *s)
{
    u_char  ch;

    ch = *s->pos;

    if (ch == '/') {
        s->pos++;
        return mtd_canon_segment_end(s, 1);
    }

    if (s->depth && (ch == '\'' || mtd_canon_triplet(s->pos, s->last) == '\''))
    {
        return mtd_canon_literal(s);
    }

    if (ch == '%') {
        return mtd_canon_unescape(s);
    }

    switch (mtd_canon_class[ch]) {

    case MTD_CANON_BAD:

        if (ch == '\\') {
            return mtd_canon_refuse(s, "backslash in the path");
        }

        if (ch == ';') {
            return mtd_canon_refuse(s, "semicolon in the path");
        }

        if (ch == '#') {
            return mtd_canon_refuse(s, "fragment in the request target");
        }

        return mtd_canon_refuse(s, ch < 0x21 || ch >= 0x7f
                                   ? "control or raw byte in the path"
                                   : "illegal character in the path");

    case MTD_CANON_SPECIAL:

        if (ch == '~' && (s->rules & MTD_CANON_NAMES) == 0) {
            return mtd_canon_refuse(s, "short name in the path");
        }

        if (ch == '(' && s->api) {
            s->depth++;
        }
    }

    if (ch == ')' && s->depth) {
        s->depth--;
    }

    *s->path++ = ch;
    *s->uri++ = ch;
    s->pos++;

    return 0;
}


static int
mtd_canon_unescape(mtd_canon_state_t *s)
{
    int       ch, names;
    u_char    hex;

    static const u_char  digits[] = "0123456789ABCDEF";

    names = s->rules & MTD_CANON_NAMES;
    ch = mtd_canon_triplet(s->pos, s->last);

    if (ch < 0) {
        return mtd_canon_refuse(s, "invalid escape in the path");
    }

    if (ch >= 0x80) {
        return mtd_canon_wide(s, ch, 0);
    }

    switch (ch) {

    case '/':
        return mtd_canon_refuse(s, "encoded slash in the path");

    case '\\':
        return mtd_canon_refuse(s, "encoded backslash in the path");

    case '.':
        return mtd_canon_refuse(s, "encoded dot in the path");

    case '%':

        if (!names || (s->last - s->pos > 3
                       && (mtd_canon_hex(s->pos[3]) >= 0
                           || (s->pos[3] | 0x20) == 'u'
                           || s->pos[3] == '%')))
        {
            return mtd_canon_refuse(s, "double escape in the path");
        }

        break;

    case ';':
    case '#':

        if (!names) {
            return mtd_canon_refuse(s, "encoded delimiter in the path");
        }

        break;

    case ' ':
    case '^':
    case '`':
    case '{':
    case '}':
        break;

    default:

        if (mtd_canon_class[ch] == MTD_CANON_BAD) {
            return mtd_canon_refuse(s, "illegal encoded character in the "
                                       "path");
        }

        if (ch == '~' && !names) {
            return mtd_canon_refuse(s, "short name in the path");
        }

        if (ch == '(' && s->api) {
            s->depth++;
        }

        if (ch == ')' && s->depth) {
            s->depth--;
        }

        *s->path++ = ch;
        *s->uri++ = ch;
        s->pos += 3;

        return 0;
    }

    hex = ch;
    *s->path++ = '%';
    *s->path++ = digits[hex >> 4];
    *s->path++ = digits[hex & 15];
    *s->uri++ = ch;
    s->pos += 3;

    return 0;
}


/* one character of UTF-8 in triplets (RFC 3629); keep: hex as it came */

static int
mtd_canon_wide(mtd_canon_state_t *s, unsigned lead, int keep)
{
    int            ch;
    u_char         c;
    unsigned       i, n, code, min;
    const u_char  *p;

    if ((s->rules & MTD_CANON_NAMES) == 0) {
        return mtd_canon_refuse(s, "non-ASCII character in the path");
    }

    if (lead >= 0xc2 && lead <= 0xdf) {
        n = 1;
        code = lead & 0x1f;
        min = 0x80;

    } else if (lead >= 0xe0 && lead <= 0xef) {
        n = 2;
        code = lead & 0x0f;
        min = 0x800;

    } else if (lead >= 0xf0 && lead <= 0xf4) {
        n = 3;
        code = lead & 0x07;
        min = 0x10000;

    } else {
        return mtd_canon_refuse(s, "invalid UTF-8 in the path");
    }

    p = s->pos;
    *s->uri++ = lead;

    for (i = 1; i <= n; i++) {
        ch = mtd_canon_triplet(p + 3 * i, s->last < p + 3 * i
                                          ? p + 3 * i : s->last);

        if (ch < 0x80 || ch > 0xbf) {
            return mtd_canon_refuse(s, "invalid UTF-8 in the path");
        }

        code = code << 6 | (ch & 0x3f);
        *s->uri++ = ch;
    }

    /* C1 controls and the line separators have no place in names */

    if (code < min || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)
        || code < 0xa0 || code == 0x2028 || code == 0x2029)
    {
        return mtd_canon_refuse(s, "invalid UTF-8 in the path");
    }

    for (i = 0; i < 3 * (n + 1); i++) {
        c = p[i];
        *s->path++ = (!keep && c >= 'a' && c <= 'f') ? c - 0x20 : c;
    }

    s->pos += 3 * (n + 1);

    return 0;
}


static int
mtd_canon_segment_end(mtd_canon_state_t *s, int slash)
{
    size_t         len;
    const u_char  *segment;

    segment = s->segment;
    len = s->uri - segment;

    s->depth = 0;

    if (len == 0) {

        /* "//" is "/" */

        return 0;
    }

    if (len == 1 && segment[0] == '.') {
        s->uri = s->segment;
        s->path = s->segment_path;
        return 0;
    }

    if (len == 2 && segment[0] == '.' && segment[1] == '.') {
        return mtd_canon_parent(s);
    }

    if (segment[len - 1] == '.' || segment[len - 1] == ' ') {
        return mtd_canon_refuse(s, "segment with a dot or space at its end");
    }

    if (len >= 3 && segment[0] == '(' && segment[2] == '(') {
        return mtd_canon_refuse(s, "session in the path");
    }

    if (!slash) {
        return 0;
    }

    mtd_canon_context(s);

    *s->path++ = '/';
    *s->uri++ = '/';
    s->segment = s->uri;
    s->segment_path = s->path;

    return 0;
}


static int
mtd_canon_parent(mtd_canon_state_t *s)
{
    if (s->service) {

        /* slashes of literals are no borders, and contexts would change */

        return mtd_canon_refuse(s, "dot segment after a service");
    }

    s->uri = s->segment;
    s->path = s->segment_path;

    if (s->uri - s->uri_start <= 1) {
        return mtd_canon_refuse(s, "dot segment above the root");
    }

    do {
        s->uri--;
    } while (s->uri[-1] != '/');

    do {
        s->path--;
    } while (s->path[-1] != '/');

    s->segment = s->uri;
    s->segment_path = s->path;

    return 0;
}


static int
mtd_canon_is(const u_char *p, size_t len, const char *lower)
{
    size_t  i;

    if (strlen(lower) != len) {
        return 0;
    }

    for (i = 0; i < len; i++) {
        if ((p[i] >= 'A' && p[i] <= 'Z' ? p[i] | 0x20 : p[i])
            != (u_char) lower[i])
        {
            return 0;
        }
    }

    return 1;
}


/* SharePoint's REST service takes literals in what follows its name */

static void
mtd_canon_context(mtd_canon_state_t *s)
{
    size_t         len;
    const u_char  *p;

    if ((s->rules & MTD_CANON_LITERALS) == 0) {
        return;
    }

    p = s->segment;
    len = s->uri - p;

    if (mtd_canon_is(p, len, "_api")
        || (s->vti_bin && (mtd_canon_is(p, len, "client.svc")
                           || mtd_canon_is(p, len, "listdata.svc"))))
    {
        s->api = 1;
    }

    s->vti_bin = mtd_canon_is(p, len, "_vti_bin");
    s->service |= s->api | s->vti_bin;
}


/*
 * From the opening to the closing quote; doubled ones are part of it.  It is
 * forwarded as it came, but http.sys collapses dot segments before anybody
 * looks at quotes, so there must be none.
 */

static int
mtd_canon_literal(mtd_canon_state_t *s)
{
    int       ch, quotes;
    u_char    byte;
    size_t    len, step;
    unsigned  dots;

    quotes = 0;
    len = 0;
    dots = 0;

    while (s->pos < s->last) {

        byte = *s->pos;
        step = 1;
        ch = byte;

        if (byte == '%') {
            step = 3;
            ch = mtd_canon_triplet(s->pos, s->last);

            if (ch < 0) {
                return mtd_canon_refuse(s, "invalid escape in a literal");
            }
        }

        if (quotes == 2 && ch != '\'') {
            return 0;
        }

        if (ch == '\'' || ch == '/') {

            if (len && dots == len && len <= 2) {
                return mtd_canon_refuse(s, "dot segment in a literal");
            }

            len = 0;
            dots = 0;

            if (ch == '\'') {

                /* open, closed, open again because it was doubled */

                quotes = (quotes == 1) ? 2 : 1;
            }

        } else if (ch >= 0x80 && step == 3) {

            if (mtd_canon_wide(s, ch, 1) != 0) {
                return -1;
            }

            len++;
            continue;

        } else if (ch < 0x20 || ch >= 0x7f || ch == '\\' || ch == '\"'
                   || ch == '<' || ch == '>'
                   || (step == 1 && (ch == '#' || ch == ' ' || ch == '^'
                                     || ch == '`' || ch == '{' || ch == '|'
                                     || ch == '}' || ch == '?'))
                   || (step == 3 && ch == '.'))
        {
            return mtd_canon_refuse(s, "illegal character in a literal");

        } else if (ch == '%'
                   && s->last - s->pos > 3
                   && (mtd_canon_hex(s->pos[3]) >= 0
                       || (s->pos[3] | 0x20) == 'u' || s->pos[3] == '%'))
        {
            return mtd_canon_refuse(s, "double escape in a literal");

        } else {
            len++;
            dots += (ch == '.');
        }

        memcpy(s->path, s->pos, step);
        s->path += step;
        s->pos += step;
        *s->uri++ = ch;
    }

    return quotes == 2 ? 0 : mtd_canon_refuse(s, "literal without an end");
}


/* names that Autodiscover reads; a path hidden in a value is ProxyShell */

static const char  *mtd_canon_names[] = {
    "email", "emailaddress", "protocol", "redirectcount", "hostnamehint",
    "smtpaddress", "version", NULL
};


const char *
mtd_canon_strict_query(const mtd_str_t *args)
{
    int             ch;
    size_t          i;
    unsigned        seen;
    const u_char   *p, *last, *name;

    p = args->data;
    last = p + args->len;
    seen = 0;

    while (p < last) {

        for (name = p; p < last && *p != '='; p++) {
            /* void */
        }

        if (p == last) {
            return "parameter without a value in the query";
        }

        for (i = 0; mtd_canon_names[i]; i++) {
            if (mtd_canon_is(name, p - name, mtd_canon_names[i])) {
                break;
            }
        }

        if (mtd_canon_names[i] == NULL) {
            return "unknown parameter in the query";
        }

        if (seen & 1u << i) {
            return "parameter given twice in the query";
        }

        seen |= 1u << i;

        for (p++; p < last && *p != '&'; p++) {
            ch = *p;

            if (ch == '%') {
                ch = mtd_canon_triplet(p, last);
                p += 2;

                if (ch < 0 || ch == '.') {
                    return "invalid escape in the query";
                }
            }

            if ((ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'z')
                || (ch >= 'A' && ch <= 'Z')
                || (ch && strchr("-_~@+!$'*", ch))
                || (ch == '.' && !(p + 1 < last && p[1] == '.')))
            {
                continue;
            }

            return "illegal character in the query";
        }

        if (p < last && ++p == last) {
            return "empty parameter in the query";
        }
    }

    return NULL;
}


const char *
mtd_canon_query(const mtd_str_t *args)
{
    const u_char  *p, *last;

    p = args->data;

    for (last = p + args->len; p < last; p++) {
        if (*p <= 0x20 || *p == 0x7f || *p == '#') {
            return "control byte, space or fragment in the query";
        }
    }

    return NULL;
}


/* "HOST~VERSION"; more than that in one of them is ProxyLogon */

static const char  *mtd_canon_servers[] = {
    "x-beresource", "x-anonresource-backend", NULL
};


/* with it the front end leaves the login to the back end: ProxyToken */

#define MTD_CANON_TOKEN    "securitytoken"


const char *
mtd_canon_cookies(const mtd_str_t *cookies, int more)
{
    size_t         i;
    const u_char  *p, *end, *last, *name, *value;

    last = cookies->data + cookies->len;

    for (p = cookies->data; p < last; p = end + 1) {

        end = memchr(p, ';', last - p);
        end = end ? end : last;

        /* ASP.NET takes away spaces of all kinds */

        while (p < end && (*p <= 0x20 || *p >= 0x7f)) {
            p++;
        }

        if (p == end || ((*p | 0x20) != 'x' && (*p | 0x20) != 's')) {
            continue;
        }

        name = p;
        value = memchr(p, '=', end - p);
        value = value ? value : end;

        for (p = value; p[-1] <= 0x20 || p[-1] >= 0x7f; p--) { /* void */ }

        if (mtd_canon_is(name, p - name, MTD_CANON_TOKEN)) {
            return "a cookie that only servers of Exchange may send";
        }

        for (i = 0; mtd_canon_servers[i]; i++) {
            if (mtd_canon_is(name, p - name, mtd_canon_servers[i])) {
                break;
            }
        }

        if (mtd_canon_servers[i] == NULL) {
            continue;
        }

        for (p = value + 1; p < end; p++) {
            if ((*p < '0' || *p > '9')
                && ((*p | 0x20) < 'a' || (*p | 0x20) > 'z')
                && *p != '.' && *p != '-' && *p != '_' && *p != '~')
            {
                return "a cookie that names a server names more";
            }
        }

        if (more && end == last) {
            return "a cookie that names a server may go on in another header";
        }
    }

    return NULL;
}
