
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include <string.h>

#include "mtd_record.h"


#define MTD_RECORD_DIGITS  15


static int mtd_record_number(const mtd_str_t *text, uint32_t unit,
    uint32_t *number);
static int mtd_record_text(const mtd_str_t *text, size_t max);


static const mtd_str_t  mtd_record_fields[MTD_FIELD_N] = {
    { sizeof("threat") - 1, (u_char *) "threat" },
    { sizeof("compliance") - 1, (u_char *) "compliance" },
    { sizeof("grace_until") - 1, (u_char *) "grace_until" },
    { sizeof("enrolled") - 1, (u_char *) "enrolled" },
    { sizeof("reported_at") - 1, (u_char *) "reported_at" },
    { sizeof("action") - 1, (u_char *) "action" },
    { sizeof("os") - 1, (u_char *) "os" },
    { sizeof("user") - 1, (u_char *) "user" },
    { sizeof("groups") - 1, (u_char *) "groups" },
    { sizeof("vendor") - 1, (u_char *) "vendor" }
};


static const mtd_str_t  mtd_record_no_field = { 0, (u_char *) "" };


const mtd_str_t *
mtd_field_name(unsigned field)
{
    if (field >= MTD_FIELD_N) {
        return &mtd_record_no_field;
    }

    return &mtd_record_fields[field];
}


static int
mtd_record_field(mtd_record_t *rec, unsigned field, const mtd_str_t *text)
{
    int  n;

    switch (field) {

    case MTD_FIELD_THREAT:
        n = mtd_threat_parse(text->data, text->len);
        rec->threat = (n == -1) ? MTD_THREAT_UNKNOWN : n;
        return n;

    case MTD_FIELD_COMPLIANCE:
        n = mtd_compliance_parse(text->data, text->len);
        rec->compliance = (n == -1) ? MTD_COMPLIANCE_UNKNOWN : n;
        return n;

    case MTD_FIELD_GRACE_UNTIL:
        return mtd_record_number(text, 1, &rec->grace_until);

    case MTD_FIELD_ENROLLED:
        n = mtd_enrolled_parse(text->data, text->len);
        rec->enrolled = (n == -1) ? MTD_ENROLLED_MDM : n;
        return n;

    case MTD_FIELD_REPORTED_AT:
        return mtd_record_number(text, 1000, &rec->reported_at);

    case MTD_FIELD_ACTION:
        n = mtd_action_parse(text->data, text->len);
        rec->action = (n == -1) ? MTD_ACTION_NONE : n;
        return n;

    case MTD_FIELD_OS:
        return mtd_record_text(text, MTD_OS_MAX);

    case MTD_FIELD_USER:
        return mtd_record_text(text, MTD_USER_MAX);

    case MTD_FIELD_GROUPS:
        return mtd_record_text(text, MTD_GROUPS_MAX);

    default: /* MTD_FIELD_VENDOR */
        return mtd_record_text(text, MTD_VENDOR_MAX);
    }
}


int
mtd_record_parse(mtd_record_t *rec, const mtd_fields_t *fields)
{
    int               bad;
    unsigned          i;
    const mtd_str_t  *text;

    /* every field's zero is its word for silence */

    memset(rec, 0, sizeof(mtd_record_t));

    bad = -1;

    for (i = 0; i < MTD_FIELD_N; i++) {
        text = &fields->field[i];

        if (text->data == NULL || text->len == 0) {
            continue;
        }

        if (mtd_record_field(rec, i, text) == -1) {
            rec->damaged = 1;

            if (bad == -1) {
                bad = i;
            }
        }
    }

    return bad;
}


int
mtd_fields_empty(const mtd_fields_t *fields)
{
    unsigned  i;

    for (i = 0; i < MTD_FIELD_N; i++) {
        if (fields->field[i].data != NULL) {
            return 0;
        }
    }

    return 1;
}


static int
mtd_record_number(const mtd_str_t *text, uint32_t unit, uint32_t *number)
{
    size_t    i;
    uint64_t  n;

    if (text->len > MTD_RECORD_DIGITS) {
        return -1;
    }

    n = 0;

    for (i = 0; i < text->len; i++) {
        if (text->data[i] < '0' || text->data[i] > '9') {
            return -1;
        }

        n = n * 10 + (text->data[i] - '0');
    }

    n /= unit;

    if (n > UINT32_MAX) {
        return -1;
    }

    *number = (uint32_t) n;

    return 0;
}


static int
mtd_record_text(const mtd_str_t *text, size_t max)
{
    size_t  i;

    if (text->len > max) {
        return -1;
    }

    for (i = 0; i < text->len; i++) {
        if (text->data[i] < 0x20 || text->data[i] == 0x7f) {
            return -1;
        }
    }

    return 0;
}
