
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/* The input is a request target, read by the rules of every profile. */


#include "fuzz.h"
#include "model.h"
#include "mtd_canon.h"


static const char  *fuzz_profiles[] = { "exchange", "sharepoint", "generic" };


static void
fuzz_check_path(const mtd_canon_t *canon, unsigned rules)
{
    size_t         i, len;
    const u_char  *p, *last, *segment;

    fuzz_check(canon->path.len && canon->path.data[0] == '/', "path");
    fuzz_check(canon->uri.len && canon->uri.data[0] == '/', "uri");

    for (i = 0; i < canon->path.len; i++) {
        fuzz_check(canon->path.data[i] > 0x20 && canon->path.data[i] < 0x7f,
                   "raw byte in the path");
        fuzz_check(strchr("\\\"<>^`{|}#?", canon->path.data[i]) == NULL,
                   "illegal byte in the path");
    }

    p = canon->uri.data;

    for (last = p + canon->uri.len; p < last; p = segment + len) {
        segment = p + 1;

        for (len = 0; segment + len < last && segment[len] != '/'; len++) {
            fuzz_check(segment[len] >= 0x20 && segment[len] != 0x7f,
                       "control byte in the uri");
            fuzz_check(segment[len] != '\\', "backslash in the uri");
        }

        fuzz_check(len || (rules & MTD_CANON_LITERALS)
                   || segment == last, "empty segment");
        fuzz_check(!(len == 1 && segment[0] == '.'), "dot segment");
        fuzz_check(!(len == 2 && memcmp(segment, "..", 2) == 0),
                   "dot segment");
    }
}


/* the canonical form of that is itself */

static void
fuzz_check_again(const mtd_canon_t *canon, unsigned rules)
{
    int          rc;
    u_char      *buf, *copy;
    mtd_str_t    path;
    mtd_canon_t  again;

    copy = fuzz_copy(canon->path.data, canon->path.len);
    buf = malloc(4 * canon->path.len + 2);

    if (buf == NULL) {
        abort();
    }

    path.data = copy;
    path.len = canon->path.len;

    rc = mtd_canon_path(&again, &path, rules, buf);

    fuzz_check(rc != MTD_CANON_REFUSED, "canonical form is refused");

    if (rc == MTD_CANON_OK) {
        again.path = path;
        again.uri = path;
    }

    fuzz_check(again.path.len == canon->path.len
               && memcmp(again.path.data, copy, path.len) == 0,
               "canonical form has another");
    fuzz_check(again.uri.len == canon->uri.len
               && memcmp(again.uri.data, canon->uri.data, canon->uri.len) == 0,
               "canonical form is decoded to something else");

    free(buf);
    free(copy);
}


/* what a server behind the gate makes of it is what is decided on */

static void
fuzz_check_model(const mtd_canon_t *canon, const mtd_profile_t *profile)
{
    size_t                 i, n, len;
    u_char                *seen, *uri, *upper;
    mtd_str_t              text;
    const char            *why;
    const mtd_endpoint_t  *mine, *its, *exact;

    seen = malloc(canon->path.len + 2);
    uri = malloc(canon->uri.len + 1);
    upper = fuzz_copy(canon->uri.data, canon->uri.len);

    if (seen == NULL || uri == NULL) {
        abort();
    }

    len = model_path(seen, canon->path.data, canon->path.len,
                     profile->canon & MTD_CANON_LITERALS, &why);

    if (profile->canon & MTD_CANON_NAMES) {
        fuzz_check(why == NULL || strcmp(why, "parameters of a segment") == 0,
                   why);

    } else {
        fuzz_check(why == NULL, why);
    }

    /* slashes that literals have side by side are one to the model */

    for (i = 0, n = 0; i < canon->uri.len; i++) {
        if (!(canon->uri.data[i] == '/' && n && uri[n - 1] == '/')) {
            uri[n++] = canon->uri.data[i];
        }

        if (upper[i] >= 'a' && upper[i] <= 'z') {
            upper[i] ^= 0x20;
        }
    }

    fuzz_check(len == n && memcmp(seen, uri, n) == 0, "another path is seen");

    mine = mtd_profile_match(profile, &canon->uri);
    its = model_endpoint(profile, seen, len);

    fuzz_check((mine == NULL) == (its == NULL), "endpoint known to one");

    if (mine) {
        fuzz_check(mine->access == its->access, "another access");
        fuzz_check(mine == its || mine->access == MTD_REFUSED,
                   "another endpoint");
    }

    text.data = upper;
    text.len = canon->uri.len;

    fuzz_check(mtd_profile_match(profile, &text) == mine,
               "letter case changes the endpoint");

    exact = mtd_profile_exact(profile, &canon->path);

    fuzz_check(exact == NULL || exact == mine, "listed path, other endpoint");

    free(upper);
    free(uri);
    free(seen);
}


static void
fuzz_path(const mtd_str_t *path, const mtd_profile_t *profile)
{
    int                    rc;
    size_t                 room;
    u_char                *buf;
    mtd_canon_t            canon;
    const mtd_endpoint_t  *exact;

    room = 4 * path->len + 2;
    buf = malloc(room);

    if (buf == NULL) {
        abort();
    }

    memset(&canon, 0, sizeof(canon));

    rc = mtd_canon_path(&canon, path, profile->canon, buf);
    exact = mtd_profile_exact(profile, path);

    fuzz_check(mtd_canon_path(&canon, path, profile->canon, NULL)
               == (rc == MTD_CANON_OK ? MTD_CANON_OK : MTD_CANON_CHANGED),
               "another answer without room");
    fuzz_check(exact == NULL || rc == MTD_CANON_OK, "listed, not canonical");

    if (rc == MTD_CANON_REFUSED) {
        fuzz_check(canon.why && canon.why[0], "refused without a reason");
        free(buf);
        return;
    }

    if (rc == MTD_CANON_OK) {
        canon.path = *path;
        canon.uri = *path;

    } else {
        fuzz_check(rc == MTD_CANON_CHANGED, "unknown result");
        fuzz_check(canon.path.data >= buf && canon.uri.data >= buf
                   && canon.path.data + canon.path.len <= buf + room
                   && canon.uri.data + canon.uri.len <= buf + room,
                   "not in its room");
    }

    fuzz_check(canon.path.len <= path->len, "path longer than it was");
    fuzz_check(canon.uri.len <= canon.path.len, "uri longer than the path");

    fuzz_check_path(&canon, profile->canon);
    fuzz_check_again(&canon, profile->canon);
    fuzz_check_model(&canon, profile);

    free(buf);
}


static void
fuzz_query(const mtd_str_t *args)
{
    size_t         i, k;
    const char    *why;
    model_value_t  value;

    static const char  *names[] = {
        "email", "emailaddress", "protocol", "redirectcount", "hostnamehint",
        "smtpaddress", "version"
    };

    why = mtd_canon_cookies(args, 0);

    fuzz_check(why == NULL || memchr(args->data, '=', args->len),
               "no value, but more than a server in it");

    why = mtd_canon_query(args);

    if (why == NULL) {
        for (i = 0; i < args->len; i++) {
            fuzz_check(args->data[i] > 0x20 && args->data[i] != 0x7f
                       && args->data[i] != '#', "byte in a query");
        }
    }

    if (mtd_canon_strict_query(args) != NULL) {
        return;
    }

    fuzz_check(why == NULL, "strict is not strict");

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        model_value(&value, args->data, args->len, names[i]);
        fuzz_check(value.n < 2, "parameter given twice");

        for (k = 0; k < value.len && k < MODEL_VALUE_MAX; k++) {
            fuzz_check(value.data[k] >= 0x20 && value.data[k] < 0x7f
                       && strchr("/\\%?#;:&=\"<>", value.data[k]) == NULL,
                       "path in a value");
            fuzz_check(value.data[k] != '.' || k == 0
                       || value.data[k - 1] != '.', "dots in a value");
        }
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    u_char        *copy, *query;
    size_t         i, len;
    mtd_str_t      path, args;
    const uint8_t *mark;

    mark = memchr(data, '?', size);
    len = mark ? (size_t) (mark - data) : size;

    copy = fuzz_copy(data, len);
    path.data = copy;
    path.len = len;

    for (i = 0; i < sizeof(fuzz_profiles) / sizeof(fuzz_profiles[0]); i++) {
        fuzz_path(&path, mtd_profile_find((u_char *) fuzz_profiles[i],
                                          strlen(fuzz_profiles[i])));
    }

    free(copy);

    if (mark) {
        query = fuzz_copy(mark + 1, size - len - 1);
        args.data = query;
        args.len = size - len - 1;

        fuzz_query(&args);

        free(query);
    }

    return 0;
}
