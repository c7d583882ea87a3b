
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include <string.h>
#include <strings.h>

#include "mtd_bearer.h"


#define MTD_BEARER_TIME_MAX    ((int64_t) 1 << 40)      /* seconds */


static int mtd_bearer_issued(const mtd_bearer_rules_t *rules, json_t *claims,
    const char **why);
static int mtd_bearer_audience(const mtd_bearer_rules_t *rules,
    json_t *claims, const char **why);
static int mtd_bearer_times(mtd_bearer_t *bearer,
    const mtd_bearer_rules_t *rules, json_t *claims, int64_t now,
    const char **why);
static int mtd_bearer_time(json_t *claims, const char *name, int64_t *time);
static const char *mtd_bearer_tells(mtd_bearer_t *bearer,
    const mtd_bearer_rules_t *rules, json_t *claims);
static const char *mtd_bearer_app(mtd_bearer_t *bearer, json_t *claims);
static const char *mtd_bearer_client(mtd_bearer_t *bearer, json_t *claims);
static int mtd_bearer_is(json_t *text, const mtd_str_t *value);
static int mtd_bearer_fold(u_char *to, json_t *text, size_t max);
static void mtd_bearer_empty(mtd_bearer_t *bearer);


static const char *const  mtd_bearer_types[] = {
    "JWT", "at+jwt", "application/at+jwt", NULL
};


int
mtd_bearer_parse(mtd_bearer_t *bearer, const mtd_bearer_rules_t *rules,
    const mtd_jwt_keys_t *keys, const u_char *token, size_t len, int64_t now,
    const char **why)
{
    int          rc;
    json_t      *claims;
    const char  *wrong;

    mtd_bearer_empty(bearer);

    rc = mtd_jwt_verify(keys, mtd_bearer_types, token, len, &claims, why);

    if (rc != MTD_JWT_OK) {
        return (rc == MTD_JWT_UNKNOWN) ? MTD_BEARER_FOREIGN
                                       : MTD_BEARER_MALFORMED;
    }

    rc = mtd_bearer_issued(rules, claims, why);

    if (rc == MTD_BEARER_OK) {
        rc = mtd_bearer_audience(rules, claims, why);
    }

    if (rc == MTD_BEARER_OK) {
        rc = mtd_bearer_times(bearer, rules, claims, now, why);
    }

    if (rc == MTD_BEARER_OK || rc == MTD_BEARER_UNTIMELY) {
        wrong = mtd_bearer_tells(bearer, rules, claims);

        if (wrong) {
            *why = wrong;
            rc = MTD_BEARER_MALFORMED;
            mtd_bearer_empty(bearer);
        }
    }

    json_decref(claims);

    return rc;
}


static int
mtd_bearer_issued(const mtd_bearer_rules_t *rules, json_t *claims,
    const char **why)
{
    u_char   tenant[MTD_BEARER_GUID_LEN];
    json_t  *iss, *tid;

    iss = json_object_get(claims, "iss");
    tid = json_object_get(claims, "tid");

    if ((iss && !json_is_string(iss)) || (tid && !json_is_string(tid))) {
        *why = "the token's issuer is no text";
        return MTD_BEARER_MALFORMED;
    }

    if (!mtd_bearer_is(iss, &rules->issuer)) {
        *why = "the token is of another issuer";
        return MTD_BEARER_FOREIGN;
    }

    if (rules->tenant.len
        && (tid == NULL
            || !mtd_bearer_guid(tenant,
                                (const u_char *) json_string_value(tid),
                                json_string_length(tid))
            || memcmp(tenant, rules->tenant.data, MTD_BEARER_GUID_LEN) != 0))
    {
        *why = "the token is of another tenant";
        return MTD_BEARER_FOREIGN;
    }

    return MTD_BEARER_OK;
}


/* one text or an array of them */

static int
mtd_bearer_audience(const mtd_bearer_rules_t *rules, json_t *claims,
    const char **why)
{
    size_t     i, n;
    json_t    *aud, *text;
    unsigned   k, found;

    aud = json_object_get(claims, "aud");
    n = json_is_array(aud) ? json_array_size(aud) : (aud != NULL);
    found = 0;

    for (i = 0; i < n; i++) {
        text = json_is_array(aud) ? json_array_get(aud, i) : aud;

        if (!json_is_string(text)) {
            *why = "the token's audience is no text";
            return MTD_BEARER_MALFORMED;
        }

        for (k = 0; k < rules->audiences; k++) {
            found |= mtd_bearer_is(text, &rules->audience[k]);
        }
    }

    if (!found) {
        *why = "the token is for another audience";
        return MTD_BEARER_FOREIGN;
    }

    return MTD_BEARER_OK;
}


static int
mtd_bearer_times(mtd_bearer_t *bearer, const mtd_bearer_rules_t *rules,
    json_t *claims, int64_t now, const char **why)
{
    int64_t  expires, from, issued;

    expires = -1;
    from = 0;
    issued = 0;

    if (!mtd_bearer_time(claims, "exp", &expires)
        || !mtd_bearer_time(claims, "nbf", &from)
        || !mtd_bearer_time(claims, "iat", &issued)
        || expires < 0)
    {
        *why = "the token's times cannot be read";
        return MTD_BEARER_MALFORMED;
    }

    bearer->until = expires + rules->leeway;
    bearer->issued = issued ? issued : from;

    if (now >= bearer->until) {
        *why = "the token has expired";
        return MTD_BEARER_UNTIMELY;
    }

    if (from > now + rules->leeway || issued > now + rules->leeway) {
        *why = "the token is not valid yet";
        return MTD_BEARER_UNTIMELY;
    }

    return MTD_BEARER_OK;
}


/* whole seconds; 0 if it is there and is no time */

static int
mtd_bearer_time(json_t *claims, const char *name, int64_t *time)
{
    json_t  *value;

    value = json_object_get(claims, name);

    if (value == NULL) {
        return 1;
    }

    if (!json_is_integer(value) || json_integer_value(value) < 0
        || json_integer_value(value) > MTD_BEARER_TIME_MAX)
    {
        return 0;
    }

    *time = json_integer_value(value);

    return 1;
}


static const char *
mtd_bearer_tells(mtd_bearer_t *bearer, const mtd_bearer_rules_t *rules,
    json_t *claims)
{
    int          len;
    json_t      *text;
    const char  *why;

    text = json_object_get(claims, rules->device_claim);

    if (text) {
        len = mtd_bearer_fold(bearer->device, text, MTD_BEARER_DEVICE_MAX);

        if (len <= 0
            || (rules->guid && !mtd_bearer_guid(bearer->device,
                                                bearer->device, len)))
        {
            return "the token's device cannot be read";
        }

        bearer->device_len = len;
    }

    text = json_object_get(claims, rules->user_claim);

    if (text) {
        len = mtd_bearer_fold(bearer->user, text, MTD_BEARER_USER_MAX);

        if (len <= 0) {
            return "the token's user cannot be read";
        }

        bearer->user_len = len;
    }

    why = mtd_bearer_app(bearer, claims);

    return why ? why : mtd_bearer_client(bearer, claims);
}


/* appid of v1.0 tokens, azp of v2.0; one that is no GUID is not Entra's */

static const char *
mtd_bearer_app(mtd_bearer_t *bearer, json_t *claims)
{
    u_char    app[MTD_BEARER_GUID_LEN];
    json_t   *text;
    unsigned  i;

    static const char *const  names[] = { "appid", "azp" };

    for (i = 0; i < 2; i++) {
        text = json_object_get(claims, names[i]);

        if (text == NULL) {
            continue;
        }

        if (!json_is_string(text)) {
            return "the token's application is no text";
        }

        if (!mtd_bearer_guid(app, (const u_char *) json_string_value(text),
                             json_string_length(text)))
        {
            continue;
        }

        if (bearer->app_len
            && memcmp(bearer->app, app, MTD_BEARER_GUID_LEN) != 0)
        {
            return "the token is of two applications";
        }

        memcpy(bearer->app, app, MTD_BEARER_GUID_LEN);
        bearer->app_len = MTD_BEARER_GUID_LEN;
    }

    return NULL;
}


/* xms_cc: what the client can do */

static const char *
mtd_bearer_client(mtd_bearer_t *bearer, json_t *claims)
{
    size_t   i, n;
    json_t  *list, *text;

    static const mtd_str_t  cp1 = { 3, (u_char *) "cp1" };

    list = json_object_get(claims, "xms_cc");
    n = json_is_array(list) ? json_array_size(list) : (list != NULL);

    for (i = 0; i < n; i++) {
        text = json_is_array(list) ? json_array_get(list, i) : list;

        if (!json_is_string(text)) {
            return "the token's capabilities are no text";
        }

        if (mtd_bearer_is(text, &cp1)) {
            bearer->cp1 = 1;
        }
    }

    return NULL;
}


static int
mtd_bearer_is(json_t *text, const mtd_str_t *value)
{
    return json_is_string(text)
           && json_string_length(text) == value->len
           && memcmp(json_string_value(text), value->data, value->len) == 0;
}


/* the length, or -1; ASCII letters are folded, as in a record */

static int
mtd_bearer_fold(u_char *to, json_t *text, size_t max)
{
    u_char         c;
    size_t         i, len;
    const u_char  *p;

    p = (const u_char *) json_string_value(text);
    len = json_string_length(text);

    if (p == NULL || len > max) {
        return -1;
    }

    for (i = 0; i < len; i++) {
        c = p[i];

        if (c <= 0x20 || c == 0x7f) {
            return -1;
        }

        to[i] = (c >= 'A' && c <= 'Z') ? (u_char) (c | 0x20) : c;
    }

    return (int) len;
}


static void
mtd_bearer_empty(mtd_bearer_t *bearer)
{
    bearer->until = 0;
    bearer->issued = 0;
    bearer->cp1 = 0;
    bearer->device_len = 0;
    bearer->user_len = 0;
    bearer->app_len = 0;
}


const u_char *
mtd_bearer_token(const u_char *value, size_t len, size_t *token_len)
{
    if (len < 6 || strncasecmp((const char *) value, "bearer", 6) != 0) {
        return NULL;
    }

    if (len > 6 && value[6] == ' ') {
        *token_len = len - 7;
        return value + 7;
    }

    if (len > 6 && value[6] > 0x20 && value[6] < 0x7f) {

        /* a longer word */

        return NULL;
    }

    *token_len = 0;

    return value;
}


int
mtd_bearer_guid(u_char *to, const u_char *p, size_t len)
{
    u_char  c;
    size_t  i;

    if (len != MTD_BEARER_GUID_LEN) {
        return 0;
    }

    for (i = 0; i < MTD_BEARER_GUID_LEN; i++) {
        c = (p[i] >= 'A' && p[i] <= 'Z') ? (u_char) (p[i] | 0x20) : p[i];

        if (i == 8 || i == 13 || i == 18 || i == 23) {

            if (c != '-') {
                return 0;
            }

        } else if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) {
            return 0;
        }

        to[i] = c;
    }

    return 1;
}
