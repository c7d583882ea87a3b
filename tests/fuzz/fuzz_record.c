
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * The input is lines: a byte of what is there, a secret, a kind, then the
 * fields of a record in their order; "-" for one that is absent.
 */


#include "fuzz.h"
#include "mtd_key.h"


#define FUZZ_PREFIX  "mtd:"


/* what a field may say, letter case ignored */

static const char  *fuzz_threats[] = {
    "unknown", "activated", "deactivated", "secured", "lowseverity",
    "mediumseverity", "highseverity", "unresponsive", "compromised",
    "misconfigured", NULL
};

static const char  *fuzz_compliances[] = {
    "unknown", "compliant", "noncompliant", "conflict", "error",
    "ingraceperiod", "configmanager", NULL
};

static const char  *fuzz_enrolled[] = { "mdm", "app", NULL };

static const char  *fuzz_actions[] = { "", "allow", "block", "wipe", NULL };


static int
fuzz_word(const char **words, const mtd_str_t *text)
{
    int     n;
    size_t  i;

    for (n = 0; words[n]; n++) {

        for (i = 0; i < text->len && words[n][i]; i++) {
            if ((text->data[i] >= 'A' && text->data[i] <= 'Z'
                 ? text->data[i] + 0x20 : text->data[i]) != words[n][i])
            {
                break;
            }
        }

        if (i == text->len && words[n][i] == '\0') {
            return n;
        }
    }

    return -1;
}


/* a number of at most 15 digits, divided, that fits 32 bits; or -1 */

static int64_t
fuzz_number(const mtd_str_t *text, int64_t unit)
{
    char      digits[16];
    int64_t   n;

    if (text->len > 15) {
        return -1;
    }

    memcpy(digits, text->data, text->len);
    digits[text->len] = '\0';

    if (strspn(digits, "0123456789") != text->len) {
        return -1;
    }

    n = strtoll(digits, NULL, 10) / unit;

    return n > UINT32_MAX ? -1 : n;
}


static int
fuzz_plain(const mtd_str_t *text, size_t max)
{
    size_t  i;

    for (i = 0; i < text->len; i++) {
        if (text->data[i] < ' ' || text->data[i] == 127) {
            return -1;
        }
    }

    return text->len > max ? -1 : 0;
}


/* what the record should say of a field; -1: damaged */

static int64_t
fuzz_field(unsigned field, const mtd_str_t *text)
{
    static const size_t  max[MTD_FIELD_N] = {
        [MTD_FIELD_OS] = 64, [MTD_FIELD_USER] = 1024,
        [MTD_FIELD_GROUPS] = 8192, [MTD_FIELD_VENDOR] = 64
    };

    if (text->data == NULL || text->len == 0) {
        return 0;
    }

    switch (field) {

    case MTD_FIELD_THREAT:
        return fuzz_word(fuzz_threats, text);

    case MTD_FIELD_COMPLIANCE:
        return fuzz_word(fuzz_compliances, text);

    case MTD_FIELD_GRACE_UNTIL:
        return fuzz_number(text, 1);

    case MTD_FIELD_ENROLLED:
        return fuzz_word(fuzz_enrolled, text);

    case MTD_FIELD_REPORTED_AT:
        return fuzz_number(text, 1000);

    case MTD_FIELD_ACTION:
        return fuzz_word(fuzz_actions, text);

    default:
        return fuzz_plain(text, max[field]);
    }
}


static void
fuzz_record(const mtd_fields_t *fields)
{
    int           rc, bad, empty;
    int64_t       said[MTD_FIELD_N];
    unsigned      i;
    mtd_record_t  rec, again;

    memset(&rec, 0xff, sizeof(rec));
    memset(&again, 0, sizeof(again));

    rc = mtd_record_parse(&rec, fields);

    fuzz_check(mtd_record_parse(&again, fields) == rc
               && memcmp(&rec, &again, sizeof(rec)) == 0,
               "depends on what was there before");

    bad = -1;
    empty = 1;

    for (i = 0; i < MTD_FIELD_N; i++) {
        said[i] = fuzz_field(i, &fields->field[i]);
        empty = empty && fields->field[i].data == NULL;

        if (said[i] == -1) {
            said[i] = 0;
            bad = (bad == -1) ? (int) i : bad;
        }
    }

    fuzz_check(rc == bad && rec.damaged == (bad != -1), "another damage");
    fuzz_check(mtd_fields_empty(fields) == empty, "empty");

    fuzz_check(rec.threat == said[MTD_FIELD_THREAT], "threat");
    fuzz_check(rec.compliance == said[MTD_FIELD_COMPLIANCE], "compliance");
    fuzz_check(rec.grace_until == said[MTD_FIELD_GRACE_UNTIL], "grace");
    fuzz_check(rec.enrolled == said[MTD_FIELD_ENROLLED], "enrolled");
    fuzz_check(rec.reported_at == said[MTD_FIELD_REPORTED_AT], "reported");
    fuzz_check(rec.action == said[MTD_FIELD_ACTION], "action");
    fuzz_check(rec.user == 0 && rec.os == 0 && rec.groups == 0
               && rec.vendor == 0 && rec.ttl == 0, "texts");

    /* the words are those of the lists */

    fuzz_check(fuzz_word(fuzz_threats, mtd_threat_name(rec.threat))
               == rec.threat, "name of a threat");
    fuzz_check(fuzz_word(fuzz_compliances,
                         mtd_compliance_name(rec.compliance))
               == rec.compliance, "name of a compliance");
    fuzz_check(fuzz_word(fuzz_enrolled, mtd_enrolled_name(rec.enrolled))
               == rec.enrolled, "name of an enrolment");
    fuzz_check(fuzz_word(fuzz_actions, mtd_action_name(rec.action))
               == rec.action, "name of an action");
}


/* any number has a name, and a name that is in a list is read as it */

static void
fuzz_words(unsigned number, const mtd_str_t *text)
{
    const mtd_str_t  *name;

    name = mtd_protocol_name(number);
    fuzz_check(mtd_protocol_parse(name->data, name->len)
               == (number < MTD_PROTOCOL_N ? (int) number : 0), "protocol");

    name = mtd_threat_name(number);
    fuzz_check(mtd_threat_parse(name->data, name->len)
               == (number < MTD_THREAT_N ? (int) number : 0), "threat");

    name = mtd_compliance_name(number);
    fuzz_check(mtd_compliance_parse(name->data, name->len)
               == (number < MTD_COMPLIANCE_N ? (int) number : 0),
               "compliance");

    fuzz_check((mtd_enrolled_name(number)->len == 0)
               == (number >= MTD_ENROLLED_N), "enrolled");
    fuzz_check((mtd_decision_name(number)->len == 0)
               == (number >= MTD_DECISION_N), "decision");
    fuzz_check((mtd_reason_name(number)->len == 0)
               == (number >= MTD_REASON_N), "reason");
    fuzz_check((mtd_action_name(number)->len == 0)
               == (number == 0 || number >= MTD_ACTION_N), "action");
    fuzz_check((mtd_field_name(number)->len == 0)
               == (number >= MTD_FIELD_N), "field");

    if (mtd_protocol_parse(text->data, text->len) >= 0) {
        fuzz_check(text->len < 16, "no protocol is that long");
    }
}


static int
fuzz_kind(const mtd_str_t *kind)
{
    size_t  i;

    static const char  *kinds[] = {
        "eas", "entra", "intune", "serial", "imei", "cert", "udid", NULL
    };

    for (i = 0; kinds[i]; i++) {
        if (strlen(kinds[i]) == kind->len
            && memcmp(kinds[i], kind->data, kind->len) == 0)
        {
            return 1;
        }
    }

    if (kind->len <= 7 || kind->len > 32
        || memcmp(kind->data, "vendor.", 7) != 0)
    {
        return 0;
    }

    for (i = 7; i < kind->len; i++) {
        if (kind->data[i] == 0
            || strchr("abcdefghijklmnopqrstuvwxyz0123456789-_",
                      kind->data[i])
               == NULL)
        {
            return 0;
        }
    }

    return 1;
}


/* PREFIX DOMAIN ":" and the text, or 32 hex digits in its place */

static void
fuzz_name(const u_char *key, const u_char *end, const char *domain,
    const mtd_str_t *text, const mtd_names_t *names, size_t max)
{
    size_t         i, len;
    const u_char  *p;

    if (text->len > max || names->secret.len > MTD_SECRET_MAX) {
        fuzz_check(end == NULL, "a key that is too long");
        return;
    }

    fuzz_check(end && end > key && end <= key + MTD_KEY_MAX, "no key");

    len = strlen(domain);
    p = key + sizeof(FUZZ_PREFIX) - 1 + len;

    fuzz_check(memcmp(key, FUZZ_PREFIX, sizeof(FUZZ_PREFIX) - 1) == 0
               && memcmp(p - len, domain, len) == 0, "domain");

    if (names->secret.len == 0) {
        fuzz_check((size_t) (end - p) == text->len
                   && memcmp(p, text->data, text->len) == 0, "text");
        return;
    }

    fuzz_check(end - p == MTD_PSEUDONYM_LEN, "length of a pseudonym");

    for (i = 0; i < MTD_PSEUDONYM_LEN; i++) {
        fuzz_check(strchr("0123456789abcdef", p[i]), "digit");
    }
}


static void
fuzz_keys(const mtd_str_t *secret, const mtd_str_t *kind,
    const mtd_str_t *value)
{
    char         domain[64];
    u_char      *key, *other, *end, *last;
    mtd_names_t  names;

    names.prefix.data = (u_char *) FUZZ_PREFIX;
    names.prefix.len = sizeof(FUZZ_PREFIX) - 1;
    names.secret = *secret;

    key = malloc(MTD_KEY_MAX);
    other = malloc(MTD_KEY_MAX);

    if (key == NULL || other == NULL) {
        abort();
    }

    fuzz_check(mtd_kind_valid(kind) == fuzz_kind(kind), "kind");

    end = mtd_key_device(key, &names, value);
    fuzz_name(key, end, "device:", value, &names, MTD_ID_MAX);

    last = mtd_key_user(other, &names, value);
    fuzz_name(other, last, "user:", value, &names, MTD_USER_MAX);

    if (secret->len && end && last) {
        fuzz_check(memcmp(end - 32, last - 32, 32) != 0,
                   "device and user are seen to be the same");
    }

    last = mtd_key_device(other, &names, value);
    fuzz_check((end == NULL) == (last == NULL)
               && (end == NULL || memcmp(key, other, end - key) == 0),
               "two keys of one device");

    if (fuzz_kind(kind)) {
        (void) snprintf(domain, sizeof(domain), "alias:%.*s:",
                        (int) kind->len, kind->data);
        end = mtd_key_alias(key, &names, kind, value);
        fuzz_name(key, end, domain, value, &names, MTD_ID_MAX);
    }

    free(other);
    free(key);
}


static void
fuzz_fold(const mtd_str_t *text, size_t max)
{
    int        rc, bad;
    size_t     i;
    u_char    *copy;
    mtd_str_t  folded;

    copy = fuzz_copy(text->data, text->len);
    folded.data = copy;
    folded.len = text->len;
    bad = (text->len == 0 || text->len > max);

    rc = mtd_fold(&folded, max);

    for (i = 0; i < text->len; i++) {
        bad |= (text->data[i] <= ' ' || text->data[i] == 127);

        if (rc == 0) {
            fuzz_check(!(copy[i] >= 'A' && copy[i] <= 'Z'), "not folded");
            fuzz_check(copy[i] == text->data[i]
                       || copy[i] == text->data[i] + 0x20, "another letter");
        }
    }

    fuzz_check((rc == -1) == bad, "fold");

    free(copy);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned      i;
    mtd_str_t     number, secret, kind, text;
    mtd_fields_t  fields;

    number = fuzz_line(&data, &size);
    secret = fuzz_line(&data, &size);
    kind = fuzz_line(&data, &size);

    memset(&fields, 0, sizeof(fields));

    for (i = 0; i < MTD_FIELD_N && size; i++) {
        text = fuzz_line(&data, &size);

        /* in memory of its own, and there even if it is empty */

        if (!(text.len == 1 && text.data[0] == '-')) {
            fields.field[i].data = fuzz_copy(text.data, text.len);
            fields.field[i].len = text.len;
        }
    }

    fuzz_record(&fields);
    fuzz_words(number.len ? number.data[0] : 0, &kind);

    if (fields.field[MTD_FIELD_USER].data) {
        fuzz_keys(&secret, &kind, &fields.field[MTD_FIELD_USER]);
        fuzz_fold(&fields.field[MTD_FIELD_USER], MTD_USER_MAX);
    }

    for (i = 0; i < MTD_FIELD_N; i++) {
        free(fields.field[i].data);
    }

    return 0;
}
