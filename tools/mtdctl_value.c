
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include <jansson.h>
#include <time.h>

#include "mtdctl.h"


#define MTDCTL_VENDOR_NAME    32

#define MTDCTL_FIELDS         "threat compliance grace_until enrolled"        \
                              " reported_at action os user groups vendor"     \
                              " threat:VENDOR reported_at:VENDOR"

#define MTDCTL_KINDS          "eas entra intune serial imei cert udid"        \
                              " vendor.NAME"


typedef int (*mtdctl_value_check_pt)(mtdctl_t *ctl, const char *name,
    const mtd_str_t *text, mtd_str_t *value);


typedef struct {
    const char              *name;
    mtdctl_value_check_pt    check;
    size_t                   vendor;    /* length of a vendor's prefix */
} mtdctl_value_field_t;


static int mtdctl_value_threat(mtdctl_t *ctl, const char *name,
    const mtd_str_t *text, mtd_str_t *value);
static int mtdctl_value_compliance(mtdctl_t *ctl, const char *name,
    const mtd_str_t *text, mtd_str_t *value);
static int mtdctl_value_enrolled(mtdctl_t *ctl, const char *name,
    const mtd_str_t *text, mtd_str_t *value);
static int mtdctl_value_action(mtdctl_t *ctl, const char *name,
    const mtd_str_t *text, mtd_str_t *value);
static int mtdctl_value_word(mtdctl_t *ctl, const char *name,
    const mtd_str_t *text, mtd_str_t *value, int word, unsigned n,
    const mtd_str_t *(*word_name)(unsigned word));
static int mtdctl_value_grace(mtdctl_t *ctl, const char *name,
    const mtd_str_t *text, mtd_str_t *value);
static int mtdctl_value_reported(mtdctl_t *ctl, const char *name,
    const mtd_str_t *text, mtd_str_t *value);
static int mtdctl_value_os(mtdctl_t *ctl, const char *name,
    const mtd_str_t *text, mtd_str_t *value);
static int mtdctl_value_upn(mtdctl_t *ctl, const char *name,
    const mtd_str_t *text, mtd_str_t *value);
static int mtdctl_value_groups(mtdctl_t *ctl, const char *name,
    const mtd_str_t *text, mtd_str_t *value);
static int mtdctl_value_vendor(mtdctl_t *ctl, const char *name,
    const mtd_str_t *text, mtd_str_t *value);
static int mtdctl_value_plain(mtdctl_t *ctl, const char *name,
    const mtd_str_t *text, mtd_str_t *value, size_t max);
static int mtdctl_value_folded(mtdctl_t *ctl, const char *name,
    const mtd_str_t *text, mtd_str_t *value, size_t max);
static int mtdctl_value_vendor_name(const u_char *p, size_t len);
static int mtdctl_value_utf8(const mtd_str_t *text);
static const mtdctl_value_field_t *mtdctl_value_field(const mtd_str_t *name);


static const mtdctl_value_field_t  mtdctl_value_fields[] = {
    { "threat", mtdctl_value_threat, 0 },
    { "compliance", mtdctl_value_compliance, 0 },
    { "grace_until", mtdctl_value_grace, 0 },
    { "enrolled", mtdctl_value_enrolled, 0 },
    { "reported_at", mtdctl_value_reported, 0 },
    { "action", mtdctl_value_action, 0 },
    { "os", mtdctl_value_os, 0 },
    { "user", mtdctl_value_upn, 0 },
    { "groups", mtdctl_value_groups, 0 },
    { "vendor", mtdctl_value_vendor, 0 },
    { "threat:", mtdctl_value_threat, 7 },
    { "reported_at:", mtdctl_value_reported, 12 },
    { NULL, NULL, 0 }
};


/* an id that reads as KIND:VALUE could not be told from an alias */

int
mtdctl_value_id(mtdctl_t *ctl, const mtd_str_t *text, mtd_str_t *id)
{
    mtd_str_t  kind, value;

    if (mtdctl_value_folded(ctl, "id", text, id, MTD_ID_MAX) != 0) {
        return MTDCTL_BAD;
    }

    if (mtdctl_value_split(ctl, id, &kind, &value)) {
        return mtdctl_fail(ctl, MTDCTL_BAD, "field \"id\": \"%.130s\" reads"
                           " as an alias", mtdctl_show(ctl, id));
    }

    return 0;
}


int
mtdctl_value_kind(mtdctl_t *ctl, const mtd_str_t *text, mtd_str_t *kind)
{
    *kind = mtdctl_copy(ctl, text->data, text->len);

    if (mtd_fold(kind, MTD_KIND_MAX) != 0 || !mtd_kind_valid(kind)) {
        return mtdctl_fail(ctl, MTDCTL_BAD,
                           "unknown alias kind \"%.64s\" (allowed: "
                           MTDCTL_KINDS ")", mtdctl_show(ctl, text));
    }

    return 0;
}


int
mtdctl_value_alias(mtdctl_t *ctl, const mtd_str_t *kind,
    const mtd_str_t *text, mtd_str_t *value)
{
    char  name[sizeof("alias:") + MTD_KIND_MAX];

    snprintf(name, sizeof(name), "alias:%.*s", (int) kind->len,
             (char *) kind->data);

    return mtdctl_value_folded(ctl, name, text, value, MTD_ID_MAX);
}


int
mtdctl_value_user(mtdctl_t *ctl, const mtd_str_t *text, mtd_str_t *user)
{
    return mtdctl_value_folded(ctl, "user", text, user, MTD_USER_MAX);
}


int
mtdctl_value_split(mtdctl_t *ctl, const mtd_str_t *text, mtd_str_t *kind,
    mtd_str_t *value)
{
    u_char     *colon;
    mtd_str_t   rest;

    colon = text->len ? memchr(text->data, ':', text->len) : NULL;

    if (colon == NULL) {
        return 0;
    }

    *kind = mtdctl_copy(ctl, text->data, colon - text->data);

    if (mtd_fold(kind, MTD_KIND_MAX) != 0 || !mtd_kind_valid(kind)) {
        return 0;
    }

    rest.data = colon + 1;
    rest.len = text->data + text->len - rest.data;

    *value = mtdctl_copy(ctl, rest.data, rest.len);

    return mtd_fold(value, MTD_ID_MAX) == 0;
}


int
mtdctl_value_name(mtdctl_t *ctl, const mtd_str_t *text, mtd_str_t *name)
{
    *name = mtdctl_copy(ctl, text->data, text->len);

    if (mtd_fold(name, MTD_KIND_MAX + MTDCTL_VENDOR_NAME) == 0
        && mtdctl_value_field(name) != NULL)
    {
        return 0;
    }

    return mtdctl_fail(ctl, MTDCTL_BAD,
                       "unknown field \"%.64s\" (allowed: " MTDCTL_FIELDS ")",
                       mtdctl_show(ctl, text));
}


int
mtdctl_value_set(mtdctl_t *ctl, mtdctl_change_t *change,
    const mtd_str_t *name, const mtd_str_t *text)
{
    mtd_str_t                    field, value;
    const mtdctl_value_field_t  *f;

    if (mtdctl_value_name(ctl, name, &field) != 0) {
        return MTDCTL_BAD;
    }

    if (mtdctl_find(&change->fields, &field) != NULL) {
        return mtdctl_fail(ctl, MTDCTL_BAD, "field \"%s\": given twice",
                           (char *) field.data);
    }

    value = mtdctl_text(ctl, "");

    f = mtdctl_value_field(&field);

    if (text->len
        && f->check(ctl, (char *) field.data, text, &value) != 0)
    {
        return MTDCTL_BAD;
    }

    mtdctl_add(ctl, &change->fields, &field, &value);

    return 0;
}


int
mtdctl_value_add_alias(mtdctl_t *ctl, mtdctl_change_t *change,
    const mtd_str_t *kind, const mtd_str_t *text)
{
    mtd_str_t      name, value;
    mtdctl_pair_t  alias;

    if (mtdctl_value_kind(ctl, kind, &name) != 0
        || mtdctl_value_alias(ctl, &name, text, &value) != 0)
    {
        return MTDCTL_BAD;
    }

    alias.name = name;
    alias.value = value;

    if (mtdctl_record_has(&change->aliases, &alias)) {
        return 0;
    }

    if (change->aliases.n == MTDCTL_ALIASES) {
        return mtdctl_fail(ctl, MTDCTL_BAD, "more than %d aliases",
                           MTDCTL_ALIASES);
    }

    mtdctl_add(ctl, &change->aliases, &name, &value);

    return 0;
}


static const mtdctl_value_field_t *
mtdctl_value_field(const mtd_str_t *name)
{
    const mtdctl_value_field_t  *f;

    for (f = mtdctl_value_fields; f->name != NULL; f++) {

        if (f->vendor == 0) {
            if (mtdctl_is(name, f->name)) {
                return f;
            }

            continue;
        }

        if (name->len > f->vendor
            && memcmp(name->data, f->name, f->vendor) == 0
            && mtdctl_value_vendor_name(name->data + f->vendor,
                                        name->len - f->vendor))
        {
            return f;
        }
    }

    return NULL;
}


static int
mtdctl_value_threat(mtdctl_t *ctl, const char *name, const mtd_str_t *text,
    mtd_str_t *value)
{
    return mtdctl_value_word(ctl, name, text, value,
                             mtd_threat_parse(text->data, text->len),
                             MTD_THREAT_N, mtd_threat_name);
}


static int
mtdctl_value_compliance(mtdctl_t *ctl, const char *name,
    const mtd_str_t *text, mtd_str_t *value)
{
    return mtdctl_value_word(ctl, name, text, value,
                             mtd_compliance_parse(text->data, text->len),
                             MTD_COMPLIANCE_N, mtd_compliance_name);
}


static int
mtdctl_value_enrolled(mtdctl_t *ctl, const char *name, const mtd_str_t *text,
    mtd_str_t *value)
{
    return mtdctl_value_word(ctl, name, text, value,
                             mtd_enrolled_parse(text->data, text->len),
                             MTD_ENROLLED_N, mtd_enrolled_name);
}


static int
mtdctl_value_action(mtdctl_t *ctl, const char *name, const mtd_str_t *text,
    mtd_str_t *value)
{
    return mtdctl_value_word(ctl, name, text, value,
                             mtd_action_parse(text->data, text->len),
                             MTD_ACTION_N, mtd_action_name);
}


static int
mtdctl_value_word(mtdctl_t *ctl, const char *name, const mtd_str_t *text,
    mtd_str_t *value, int word, unsigned n,
    const mtd_str_t *(*word_name)(unsigned word))
{
    char              allowed[512];
    size_t            len;
    unsigned          i;
    const mtd_str_t  *known;

    if (word >= 0) {
        known = word_name(word);
        *value = mtdctl_copy(ctl, known->data, known->len);
        return 0;
    }

    len = 0;
    allowed[0] = '\0';

    for (i = 0; i < n; i++) {
        known = word_name(i);

        if (known->len == 0 || len + known->len + 2 > sizeof(allowed)) {
            continue;
        }

        len += sprintf(allowed + len, "%s%.*s", len ? " " : "",
                       (int) known->len, (char *) known->data);
    }

    return mtdctl_fail(ctl, MTDCTL_BAD,
                       "field \"%s\": unknown word \"%.64s\" (allowed: %s)",
                       name, mtdctl_show(ctl, text), allowed);
}


/* -1 if text is no number of at most 15 digits */

static long long
mtdctl_value_number(const mtd_str_t *text)
{
    size_t     i;
    long long  n;

    if (text->len == 0 || text->len > 15) {
        return -1;
    }

    n = 0;

    for (i = 0; i < text->len; i++) {
        if (text->data[i] < '0' || text->data[i] > '9') {
            return -1;
        }

        n = n * 10 + (text->data[i] - '0');
    }

    return n;
}


static long long
mtdctl_value_time(const mtd_str_t *text)
{
    struct timespec  now;

    if (mtdctl_is(text, "now")) {
        clock_gettime(CLOCK_REALTIME, &now);
        return (long long) now.tv_sec * 1000 + now.tv_nsec / 1000000;
    }

    return mtdctl_time_parse(text->data, text->len);
}


static int
mtdctl_value_grace(mtdctl_t *ctl, const char *name, const mtd_str_t *text,
    mtd_str_t *value)
{
    char       buf[32];
    long long  t;

    t = mtdctl_value_number(text);

    if (t < 0) {
        t = mtdctl_value_time(text);
        t = (t < 0) ? t : t / 1000;
    }

    if (t < 0 || t > UINT32_MAX) {
        return mtdctl_fail(ctl, MTDCTL_BAD,
                           "field \"%s\": \"%.64s\" is no time (Unix seconds,"
                           " 2026-11-24T08:30:00Z or now)",
                           name, mtdctl_show(ctl, text));
    }

    snprintf(buf, sizeof(buf), "%lld", t);
    *value = mtdctl_text(ctl, buf);

    return 0;
}


/* milliseconds of before 1973 are seconds that somebody has mistaken */

static int
mtdctl_value_reported(mtdctl_t *ctl, const char *name, const mtd_str_t *text,
    mtd_str_t *value)
{
    char       buf[32];
    long long  t;

    t = mtdctl_value_number(text);

    if (t < 0) {
        t = mtdctl_value_time(text);
    }

    if (t < 100000000000LL || t / 1000 > UINT32_MAX) {
        return mtdctl_fail(ctl, MTDCTL_BAD,
                           "field \"%s\": \"%.64s\" is no time (Unix"
                           " milliseconds, 2026-11-24T08:30:00Z or now)",
                           name, mtdctl_show(ctl, text));
    }

    snprintf(buf, sizeof(buf), "%lld", t);
    *value = mtdctl_text(ctl, buf);

    return 0;
}


static int
mtdctl_value_os(mtdctl_t *ctl, const char *name, const mtd_str_t *text,
    mtd_str_t *value)
{
    return mtdctl_value_plain(ctl, name, text, value, MTD_OS_MAX);
}


static int
mtdctl_value_upn(mtdctl_t *ctl, const char *name, const mtd_str_t *text,
    mtd_str_t *value)
{
    return mtdctl_value_folded(ctl, name, text, value, MTD_USER_MAX);
}


static int
mtdctl_value_groups(mtdctl_t *ctl, const char *name, const mtd_str_t *text,
    mtd_str_t *value)
{
    return mtdctl_value_plain(ctl, name, text, value, MTD_GROUPS_MAX);
}


static int
mtdctl_value_vendor(mtdctl_t *ctl, const char *name, const mtd_str_t *text,
    mtd_str_t *value)
{
    *value = mtdctl_copy(ctl, text->data, text->len);

    if (mtd_fold(value, MTDCTL_VENDOR_NAME) != 0
        || !mtdctl_value_vendor_name(value->data, value->len))
    {
        return mtdctl_fail(ctl, MTDCTL_BAD,
                           "field \"%s\": \"%.64s\" is no vendor's name"
                           " (letters, digits, - and _, at most %d)",
                           name, mtdctl_show(ctl, text), MTDCTL_VENDOR_NAME);
    }

    return 0;
}


static int
mtdctl_value_plain(mtdctl_t *ctl, const char *name, const mtd_str_t *text,
    mtd_str_t *value, size_t max)
{
    size_t  i;

    if (text->len > max) {
        return mtdctl_fail(ctl, MTDCTL_BAD,
                           "field \"%s\": longer than %zu bytes", name, max);
    }

    for (i = 0; i < text->len; i++) {
        if (text->data[i] < 0x20 || text->data[i] == 0x7f) {
            return mtdctl_fail(ctl, MTDCTL_BAD,
                               "field \"%s\": \"%.64s\" has a control"
                               " character", name, mtdctl_show(ctl, text));
        }
    }

    if (!mtdctl_value_utf8(text)) {
        return mtdctl_fail(ctl, MTDCTL_BAD, "field \"%s\": not in UTF-8",
                           name);
    }

    *value = mtdctl_copy(ctl, text->data, text->len);

    return 0;
}


static int
mtdctl_value_folded(mtdctl_t *ctl, const char *name, const mtd_str_t *text,
    mtd_str_t *value, size_t max)
{
    if (text->len == 0) {
        return mtdctl_fail(ctl, MTDCTL_BAD, "field \"%s\": empty", name);
    }

    if (mtdctl_value_plain(ctl, name, text, value, max) != 0) {
        return MTDCTL_BAD;
    }

    if (mtd_fold(value, max) != 0) {
        return mtdctl_fail(ctl, MTDCTL_BAD,
                           "field \"%s\": \"%.64s\" has a space",
                           name, mtdctl_show(ctl, text));
    }

    return 0;
}


static int
mtdctl_value_vendor_name(const u_char *p, size_t len)
{
    size_t  i;

    if (len == 0 || len > MTDCTL_VENDOR_NAME) {
        return 0;
    }

    for (i = 0; i < len; i++) {
        if (!(p[i] >= 'a' && p[i] <= 'z') && !(p[i] >= '0' && p[i] <= '9')
            && p[i] != '-' && p[i] != '_')
        {
            return 0;
        }
    }

    return 1;
}


static int
mtdctl_value_utf8(const mtd_str_t *text)
{
    size_t   i;
    json_t  *json;

    for (i = 0; i < text->len && text->data[i] < 0x80; i++) { /* void */ }

    if (i == text->len) {
        return 1;
    }

    json = json_stringn((char *) text->data, text->len);
    json_decref(json);

    return json != NULL;
}
