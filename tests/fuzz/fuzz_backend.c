
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz.h"
#include "fuzz_backend.h"
#include "fuzz_redis.h"
#include "model.h"
#include "mtd_canon.h"
#include "mtd_words.h"


#define FUZZ_BACKEND_CONNECTIONS  8
#define FUZZ_BACKEND_BUFFER       32768


typedef struct {
    int          fd;
    int          answered;
    size_t       body;              /* that is still to come */
    size_t       len;
    char         buf[FUZZ_BACKEND_BUFFER];
} fuzz_backend_t;


/* of a request that has arrived */

typedef struct {
    mtd_str_t    method;
    mtd_str_t    path;
    mtd_str_t    args;
    mtd_str_t    is;                /* decision and reason */
    mtd_str_t    identity;          /* hook and device */
    mtd_str_t    line;              /* method and target, to variables */
    size_t       length;            /* of the body */
    unsigned     hosts;
    unsigned     lengths;
    unsigned     good;              /* X-Device-Id that say so */
    unsigned     others;            /* and that do not */
} fuzz_request_t;


static int                   fuzz_backend_socket;
static fuzz_backend_t        fuzz_backend[FUZZ_BACKEND_CONNECTIONS];
static const mtd_profile_t  *fuzz_backend_profile;
static int                   fuzz_backend_hostile;
static int                   fuzz_backend_open;
static size_t                fuzz_backend_requests;


void
fuzz_backend_listen(const char *dir)
{
    size_t  i;

    fuzz_backend_socket = fuzz_listen(dir, "backend");

    for (i = 0; i < FUZZ_BACKEND_CONNECTIONS; i++) {
        fuzz_backend[i].fd = -1;
    }
}


void
fuzz_backend_expect(const char *profile, int open, int hostile)
{
    fuzz_backend_profile = mtd_profile_find((u_char *) profile,
                                            strlen(profile));
    fuzz_backend_open = open;
    fuzz_backend_hostile = hostile;
    fuzz_backend_requests = 0;
}


size_t
fuzz_backend_seen(void)
{
    return fuzz_backend_requests;
}


static int
fuzz_is(const mtd_str_t *text, const char *lower)
{
    return model_equal(text->data, text->len, lower);
}


static int
fuzz_ends(const mtd_str_t *text, const char *end)
{
    return text->len >= strlen(end)
           && memcmp(text->data + text->len - strlen(end), end, strlen(end))
              == 0;
}


/* "METHOD TARGET HTTP/1.1" */

static void
fuzz_request_line(fuzz_request_t *r, u_char *p, u_char *last)
{
    u_char  *end, *mark;

    end = memchr(p, ' ', last - p);
    fuzz_check(end && end > p, "no method");

    r->method.data = p;
    r->method.len = end - p;

    p = end + 1;
    end = memchr(p, ' ', last - p);

    fuzz_check(end && last - end == sizeof(" HTTP/1.1") - 1
               && memcmp(end, " HTTP/1.1", sizeof(" HTTP/1.1") - 1) == 0,
               "no request line");

    mark = memchr(p, '?', end - p);

    r->path.data = p;
    r->path.len = (mark ? mark : end) - p;
    r->args.data = mark ? mark + 1 : end;
    r->args.len = end - r->args.data;
}


static size_t
fuzz_length(const mtd_str_t *value)
{
    size_t  i, n;

    fuzz_check(value->len && value->len < 10, "length of a body");

    for (i = 0, n = 0; i < value->len; i++) {
        fuzz_check(value->data[i] >= '0' && value->data[i] <= '9',
                   "length of a body");
        n = n * 10 + (value->data[i] - '0');
    }

    return n;
}


static void
fuzz_request_header(fuzz_request_t *r, u_char *p, u_char *last)
{
    size_t            i;
    u_char           *end;
    mtd_str_t         name, value;
    const mtd_str_t  *stripped;

    for (end = p; end < last && *end != ':'; end++) {
        fuzz_check(*end > ' ' && *end < 0x7f, "byte in a header's name");
        *end = (*end == '_') ? '-' : *end;
    }

    fuzz_check(end < last && end > p, "no header");

    name.data = p;
    name.len = end - p;
    value.data = end + 1 + (end + 1 < last && end[1] == ' ');
    value.len = last - value.data;

    for (i = 0; i < value.len; i++) {
        fuzz_check(value.data[i] != '\r' && value.data[i] != '\n'
                   && value.data[i] != '\0', "byte in a header");
    }

    if (fuzz_is(&name, "x-is")) {
        fuzz_check(r->is.data == NULL, "two decisions");
        r->is = value;

    } else if (fuzz_is(&name, "x-identity")) {
        fuzz_check(r->identity.data == NULL, "two identities");
        r->identity = value;

    } else if (fuzz_is(&name, "x-line")) {
        fuzz_check(r->line.data == NULL, "two lines");
        r->line = value;

    } else if (fuzz_is(&name, "x-device-id")) {
        if (fuzz_is(&value, "good")) {
            r->good++;

        } else {
            r->others++;
        }

    } else if (fuzz_is(&name, "host")) {
        r->hosts++;

    } else if (fuzz_is(&name, "content-length")) {
        r->lengths++;
        r->length = fuzz_length(&value);
    }

    /* a body is read to its end before it is sent */

    fuzz_check(!fuzz_is(&name, "transfer-encoding"), "a body in chunks");
    fuzz_check(!fuzz_is(&name, "upgrade"), "an upgrade");

    for (stripped = fuzz_backend_profile->stripped; stripped->len; stripped++)
    {
        if (stripped->len == name.len) {
            for (i = 0; i < name.len; i++) {
                if ((name.data[i] >= 'A' && name.data[i] <= 'Z'
                     ? name.data[i] + 0x20 : name.data[i])
                    != stripped->data[i])
                {
                    break;
                }
            }

            fuzz_check(i < name.len, "a header that only a proxy may send");
        }
    }
}


/* the path is canonical, and http.sys sees what was decided on */

static const mtd_endpoint_t *
fuzz_request_path(fuzz_request_t *r)
{
    int                    rc;
    size_t                 len;
    u_char                *copy, *buf, *seen;
    mtd_str_t              path;
    mtd_canon_t            canon;
    const char            *why;
    const mtd_endpoint_t  *endpoint;

    copy = fuzz_copy(r->path.data, r->path.len);
    buf = malloc(4 * r->path.len + 2);
    seen = malloc(r->path.len + 2);

    fuzz_check(buf && seen, "no memory");

    path.data = copy;
    path.len = r->path.len;

    rc = mtd_canon_path(&canon, &path, fuzz_backend_profile->canon, buf);

    fuzz_check(rc == MTD_CANON_OK
               || (rc == MTD_CANON_CHANGED
                   && canon.path.len == path.len
                   && memcmp(canon.path.data, path.data, path.len) == 0),
               "a path that is not canonical");

    len = model_path(seen, path.data, path.len,
                     fuzz_backend_profile->canon & MTD_CANON_LITERALS, &why);

    fuzz_check(why == NULL || ((fuzz_backend_profile->canon & MTD_CANON_NAMES)
                               && strcmp(why, "parameters of a segment") == 0),
               why);

    endpoint = model_endpoint(fuzz_backend_profile, seen, len);

    free(seen);
    free(buf);
    free(copy);

    fuzz_check(endpoint && endpoint->access != MTD_REFUSED,
               "an endpoint that is refused");
    fuzz_check(endpoint->methods & mtd_method_bit(r->method.data,
                                                  r->method.len),
               "a method that it does not take");

    return endpoint;
}


/* the device that is allowed is the one that was named */

static void
fuzz_request_device(fuzz_request_t *r)
{
    model_blob_t   blob;
    model_value_t  value;

    fuzz_check(fuzz_ends(&r->identity, ":good"), "another device is allowed");

    if (r->identity.len > 4 && memcmp(r->identity.data, "eas ", 4) == 0) {
        model_value(&value, r->args.data, r->args.len, "DeviceId");

        if (value.n) {
            fuzz_check(value.n == 1
                       && model_equal(value.data, value.len, "good"),
                       "a plain query that names another device");

        } else {
            fuzz_check(model_blob(&blob, r->args.data, r->args.len)
                       && model_equal(blob.id, blob.len, "good"),
                       "a query in base64 that names another device");
        }

    } else {
        fuzz_check(r->good && !r->others,
                   "a header that names another device");
    }
}


/* one that lets a request pass; what of a record a hostile redis may say */

static void
fuzz_request_reason(const fuzz_request_t *r)
{
    int         reason;
    mtd_str_t   text;

    text.data = r->is.data + 6;
    text.len = r->is.len - 6;

    for (reason = 0; reason < MTD_REASON_N; reason++) {
        if (mtd_reason_name(reason)->len == text.len
            && memcmp(mtd_reason_name(reason)->data, text.data, text.len) == 0)
        {
            break;
        }
    }

    fuzz_check(reason == MTD_REASON_OPEN_ENDPOINT
               || reason == MTD_REASON_SECURED_ENOUGH
               || (fuzz_backend_hostile
                   && (reason == MTD_REASON_ADMIN_ALLOW
                       || reason == MTD_REASON_IN_GRACE
                       || reason == MTD_REASON_STALE_ALLOWED
                       || reason == MTD_REASON_BYPASS
                       || (reason == MTD_REASON_FAILURE_ALLOWED
                           && fuzz_backend_open))),
               "a reason that does not let it pass");
}


static size_t
fuzz_request(char *head, char *last)
{
    u_char                *p, *end;
    fuzz_request_t         r;
    const mtd_endpoint_t  *endpoint;

    memset(&r, 0, sizeof(r));

    p = (u_char *) head;
    end = memmem(p, (u_char *) last - p, "\r\n", 2);

    fuzz_check(end, "no line");
    fuzz_request_line(&r, p, end);

    for (p = end + 2; p < (u_char *) last; p = end + 2) {
        end = memmem(p, (u_char *) last - p, "\r\n", 2);
        fuzz_check(end, "no end of a line");
        fuzz_request_header(&r, p, end);
    }

    endpoint = fuzz_request_path(&r);

    fuzz_check(r.line.len && r.line.len < (size_t) (last - head)
               && memcmp(r.line.data, head, r.line.len) == 0
               && memcmp(head + r.line.len, " HTTP/1.1\r\n", 11) == 0,
               "another request was decided on");

    fuzz_check(r.hosts == 1, "no host, or two");
    fuzz_check(r.lengths < 2, "two lengths");
    fuzz_check(r.is.len > 6 && memcmp(r.is.data, "allow ", 6) == 0,
               "a request that was not allowed");
    fuzz_request_reason(&r);

    if (fuzz_ends(&r.is, " open_endpoint")) {
        fuzz_check(endpoint->access == MTD_OPEN
                   || ((endpoint->flags & MTD_ENDPOINT_OPEN_OPTIONS)
                       && fuzz_is(&r.method, "options")),
                   "an endpoint that is not open");
        return r.length;
    }

    fuzz_check(endpoint->access == MTD_GATED, "an open endpoint is gated");

    if (!fuzz_backend_hostile) {
        fuzz_check(fuzz_ends(&r.is, " secured_enough"), "another reason");
        fuzz_request_device(&r);
    }

    return r.length;
}


/* what is behind a body would be a request that nobody has seen */

static void
fuzz_backend_body(fuzz_backend_t *b, size_t n)
{
    fuzz_check(n <= b->body, "bytes behind a request");

    b->body -= n;
}


static void
fuzz_backend_answer(fuzz_backend_t *b)
{
    char  *end;

    static const char  answer[] = "HTTP/1.1 200 OK\r\nX-Backend: yes\r\n"
                                  "Content-Length: 2\r\n"
                                  "Connection: close\r\n\r\nok";

    end = memmem(b->buf, b->len, "\r\n\r\n", 4);

    if (end == NULL) {
        fuzz_check(b->len < FUZZ_BACKEND_BUFFER, "a head without an end");
        return;
    }

    b->body = fuzz_request(b->buf, end + 2);
    b->answered = 1;
    fuzz_backend_requests++;

    fuzz_backend_body(b, b->buf + b->len - (end + 4));
    (void) send(b->fd, answer, sizeof(answer) - 1, MSG_NOSIGNAL);
}


int
fuzz_backend_serve(void)
{
    int              fd, busy;
    size_t           i;
    ssize_t          n;
    fuzz_backend_t  *b;

    busy = 0;
    fd = fuzz_accept(fuzz_backend_socket);

    for (i = 0; i < FUZZ_BACKEND_CONNECTIONS; i++) {
        b = &fuzz_backend[i];

        if (b->fd == -1) {

            if (fd == -1) {
                continue;
            }

            b->fd = fd;
            b->answered = 0;
            b->len = 0;
            fd = -1;
            busy = 1;
        }

        if (b->answered) {
            b->len = 0;
        }

        n = read(b->fd, b->buf + b->len, FUZZ_BACKEND_BUFFER - b->len);

        if (n > 0) {
            b->len += n;
            busy = 1;

            if (b->answered) {
                fuzz_backend_body(b, n);

            } else {
                fuzz_backend_answer(b);
            }

        } else if (n == 0 || errno != EAGAIN) {
            (void) close(b->fd);
            b->fd = -1;
            busy = 1;
        }
    }

    fuzz_check(fd == -1, "too many connections to the backend");

    return busy;
}
