
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * The input is a port, in two bytes, and two lines: a host as Sentinel or a
 * cluster announces it, and an error of Redis, which may redirect.  The gate
 * and mtdctl read the same in a host, and so does a reader of this file's
 * own.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include <arpa/inet.h>

#include "fuzz.h"
#include "mtdctl.h"
#include "ngx_mtd_place.h"


#define FUZZ_NAME          "abcdefghijklmnopqrstuvwxyz0123456789-_"


/* 0: it is neither; else AF_INET, AF_INET6, or AF_UNSPEC + 1 for a name */

#define FUZZ_IS_NAME       (AF_UNSPEC + 1)


typedef struct {
    int              family;
    struct in_addr   v4;
    struct in6_addr  v6;
    size_t           len;
    char             name[MTD_HOST_MAX + 1];
} fuzz_host_t;


/* labels of a name that is in lower case, and has no dot at its end */

static int
fuzz_name(const char *p)
{
    size_t  len, last;

    for ( ;; ) {
        len = strspn(p, FUZZ_NAME);

        if (len == 0 || len > 63 || p[0] == '-' || p[len - 1] == '-'
            || (p[len] && p[len] != '.'))
        {
            return 0;
        }

        if (p[len] == '\0') {
            break;
        }

        p += len + 1;
    }

    /* what others would take for a number */

    last = strspn(p, "0123456789");

    if (p[0] == '0' && p[1] == 'x') {
        last = 2 + strspn(p + 2, "0123456789abcdef");
    }

    return last != len;
}


static int
fuzz_host(fuzz_host_t *host, const uint8_t *data, size_t len)
{
    size_t  i;
    char    text[MTD_HOST_MAX + 2];

    memset(host, 0, sizeof(fuzz_host_t));

    if (len > MTD_HOST_MAX + 1 || memchr(data, '\0', len)) {
        return 0;
    }

    memcpy(text, data, len);
    text[len] = '\0';

    if (inet_pton(AF_INET, text, &host->v4) == 1) {
        return host->family = AF_INET;
    }

    if (inet_pton(AF_INET6, text, &host->v6) == 1) {
        return host->family = AF_INET6;
    }

    if (len && text[len - 1] == '.') {
        text[--len] = '\0';
    }

    if (len == 0 || len > MTD_HOST_MAX) {
        return 0;
    }

    for (i = 0; i < len; i++) {
        if (text[i] >= 'A' && text[i] <= 'Z') {
            text[i] += 'a' - 'A';
        }
    }

    memcpy(host->name, text, len + 1);
    host->len = len;
    host->family = fuzz_name(host->name) ? FUZZ_IS_NAME : 0;

    return host->family;
}


static void
fuzz_is(const ngx_mtd_place_t *place, const fuzz_host_t *host)
{
    const struct sockaddr_in   *sin;
    const struct sockaddr_in6  *sin6;

    sin = &place->sockaddr.sockaddr_in;
    sin6 = &place->sockaddr.sockaddr_in6;

    switch (host->family) {

    case AF_INET:
        fuzz_check(place->socklen == sizeof(struct sockaddr_in)
                   && sin->sin_family == AF_INET
                   && sin->sin_addr.s_addr == host->v4.s_addr
                   && ntohs(sin->sin_port) == place->port,
                   "another address");
        break;

    case AF_INET6:
        fuzz_check(place->socklen == sizeof(struct sockaddr_in6)
                   && sin6->sin6_family == AF_INET6
                   && memcmp(&sin6->sin6_addr, &host->v6, 16) == 0
                   && ntohs(sin6->sin6_port) == place->port
                   && sin6->sin6_scope_id == 0 && sin6->sin6_flowinfo == 0,
                   "another address");
        break;

    default:
        fuzz_check(place->socklen == 0 && place->len == host->len
                   && memcmp(place->host, host->name, host->len) == 0,
                   "another name");
    }
}


/* what stands before ":PORT"; 0 if there is no such end */

static size_t
fuzz_port(const u_char *text, size_t len, long long *port)
{
    size_t  i, k;

    for (i = len; i && text[i - 1] >= '0' && text[i - 1] <= '9'; i--) {
        /* void */
    }

    if (i == 0 || i == len || text[i - 1] != ':') {
        return 0;
    }

    for (k = i, *port = 0; k < len; k++) {
        if (__builtin_mul_overflow(*port, 10, port)
            || __builtin_add_overflow(*port, text[k] - '0', port))
        {
            return 0;
        }
    }

    return i - 1;
}


/* what is written is read as the same, and is the same when written again */

static void
fuzz_again(ngx_mtd_place_t *place)
{
    u_char           text[NGX_MTD_PLACE_STRLEN], again[NGX_MTD_PLACE_STRLEN];
    size_t           len, i;
    long long        port;
    ngx_str_t        host;
    ngx_mtd_place_t  other;

    len = ngx_mtd_place_text(place, text);

    fuzz_check(len && len <= NGX_MTD_PLACE_STRLEN, "length");
    fuzz_check(place->len && place->len <= MTD_HOST_MAX
               && place->host[place->len] == '\0', "length of a host");

    for (i = 0; i < len; i++) {
        fuzz_check(memchr(FUZZ_NAME ".:[]", text[i],
                          sizeof(FUZZ_NAME ".:[]") - 1),
                   "a byte of no host");
    }

    host.data = text;
    host.len = fuzz_port(text, len, &port);

    fuzz_check(host.len && port == place->port, "another port");

    if (text[0] == '[') {
        fuzz_check(text[host.len - 1] == ']', "no end of an address");
        host.data++;
        host.len -= 2;
    }

    fuzz_check(host.len == place->len
               && memcmp(host.data, place->host, host.len) == 0,
               "another host");

    fuzz_check(ngx_mtd_place(&other, &host, place->port) == NGX_OK
               && ngx_mtd_place_same(place, &other), "not the same again");

    fuzz_check(ngx_mtd_place_text(&other, again) == len
               && memcmp(text, again, len) == 0, "another text");

    if (place->socklen) {
        ngx_mtd_place_address(&other, &place->sockaddr.sockaddr,
                              place->socklen);
        fuzz_check(ngx_mtd_place_same(place, &other)
                   && other.port == place->port && other.len == place->len
                   && memcmp(other.host, place->host, place->len) == 0,
                   "another place of its address");
    }

    fuzz_check(ngx_mtd_place(&other, &host, place->port ^ 1) != NGX_OK
               || !ngx_mtd_place_same(place, &other),
               "two ports are one place");
}


/* mtdctl tells the same of the same bytes */

static void
fuzz_mtdctl(const fuzz_host_t *host, const u_char *data, size_t len,
    long long port)
{
    char         address[MTDCTL_ADDRESS], *text;
    size_t       end;
    long long    other;
    fuzz_host_t  again;

    if (mtdctl_address(address, (char *) data, len, port) != 0) {
        fuzz_check(host->family == 0 || port == 0, "mtdctl refuses a host");
        return;
    }

    fuzz_check(host->family && port, "mtdctl takes what is no host");

    end = fuzz_port((u_char *) address, strlen(address), &other);
    fuzz_check(end && other == port, "another port of mtdctl");

    text = address;

    if (*text == '[') {
        text++;
        end -= 2;
    }

    fuzz_check(fuzz_host(&again, (u_char *) text, end)
               && memcmp(&again, host, sizeof(fuzz_host_t)) == 0,
               "another host of mtdctl");
}


static void
fuzz_number(const u_char *data, size_t len)
{
    char       *text;
    ngx_int_t   n;
    long long   port;

    n = ngx_atoi((u_char *) data, len);

    text = malloc(len + 1);
    fuzz_check(text, "no memory");

    memcpy(text, data, len);
    text[len] = '\0';

    port = mtdctl_address_port(text);

    fuzz_check(strlen(text) != len
               || (n > 0 && n < 65536 ? port == n : port == 0 || port > 65535),
               "another port of mtdctl");
    free(text);
}


/* "MOVED SLOT HOST:PORT" */

static void
fuzz_redirect(const u_char *data, size_t len)
{
    u_char              *copy, *again;
    size_t               at, head, end;
    long long            slot, port;
    ngx_int_t            rc;
    ngx_str_t            error;
    ngx_mtd_redirect_t   redirect, other;

    copy = fuzz_copy(data, len);

    error.data = copy;
    error.len = len;

    memset(&redirect, 0xff, sizeof(redirect));

    rc = ngx_mtd_place_redirect(&redirect, &error);

    at = (len && data[0] == 'M') ? 6 : 4;

    if (len <= at || memcmp(data, at == 6 ? "MOVED " : "ASK ", at) != 0) {
        fuzz_check(rc == NGX_DECLINED, "a redirection of another error");
        free(copy);
        return;
    }

    fuzz_check(redirect.asking == (at == 4), "another redirection");

    slot = -1;

    for (head = at; head < len && data[head] >= '0' && data[head] <= '9';
         head++)
    {
        slot = (slot < 0) ? 0 : slot;
        slot = (slot > MTD_SLOTS) ? slot : slot * 10 + (data[head] - '0');
    }

    end = fuzz_port(data, len, &port);

    if (slot < 0 || slot >= MTD_SLOTS || head == len || data[head] != ' '
        || end <= head)
    {
        fuzz_check(rc == NGX_ERROR, "no redirection");
        free(copy);
        return;
    }

    fuzz_check(rc == NGX_OK, "a redirection that is refused");
    fuzz_check(redirect.slot == (ngx_uint_t) slot
               && redirect.port == (ngx_uint_t) port
               && redirect.host.data == copy + head + 1
               && redirect.host.len == end - head - 1,
               "a redirection to elsewhere");

    /* written anew */

    again = malloc(len + 64);
    fuzz_check(again, "no memory");

    error.data = again;
    error.len = ngx_sprintf(again, "%s %ui %V:%ui",
                            redirect.asking ? "ASK" : "MOVED", redirect.slot,
                            &redirect.host, redirect.port)
                - again;

    fuzz_check(ngx_mtd_place_redirect(&other, &error) == NGX_OK
               && other.asking == redirect.asking
               && other.slot == redirect.slot && other.port == redirect.port
               && other.host.len == redirect.host.len
               && memcmp(other.host.data, redirect.host.data, other.host.len)
                  == 0, "another redirection again");

    free(again);
    free(copy);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ngx_int_t        rc;
    ngx_str_t        host;
    mtd_str_t        line, error;
    long long        port;
    fuzz_host_t      own;
    ngx_mtd_place_t  place;

    if (size < 2) {
        return 0;
    }

    port = data[0] << 8 | data[1];
    data += 2;
    size -= 2;

    line = fuzz_line(&data, &size);
    error = fuzz_line(&data, &size);

    host.data = fuzz_copy(line.data, line.len);
    host.len = line.len;

    rc = ngx_mtd_place(&place, &host, port);

    fuzz_check(rc == NGX_OK || place.len == 0, "a place that is nowhere");
    fuzz_check(ngx_mtd_place(&place, &host, port - 65536) == NGX_ERROR
               && ngx_mtd_place(&place, &host, port + 65536) == NGX_ERROR,
               "a port that is none");

    rc = ngx_mtd_place(&place, &host, port);

    (void) fuzz_host(&own, line.data, line.len);

    fuzz_check((rc == NGX_OK) == (own.family && port),
               rc == NGX_OK ? "what is no host" : "a host is refused");

    if (rc == NGX_OK) {
        fuzz_check(place.port == port, "another port");
        fuzz_is(&place, &own);
        fuzz_again(&place);
    }

    fuzz_mtdctl(&own, host.data, host.len, port);
    fuzz_number(host.data, host.len);
    fuzz_redirect(error.data, error.len);

    free(host.data);

    return 0;
}
