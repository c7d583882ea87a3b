
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mtd_record.h"


#define TEST_DAMAGED  1


/* one field alone and what the record then says, the rest being silent */

typedef struct {
    unsigned      field;
    const char   *text;
    unsigned      damaged;
    uint32_t      value;
} test_field_t;


static const test_field_t  test_fields[] = {

    { MTD_FIELD_THREAT, "secured", 0, MTD_THREAT_SECURED },
    { MTD_FIELD_THREAT, "HIGHSEVERITY", 0, MTD_THREAT_HIGH },
    { MTD_FIELD_THREAT, "unknown", 0, MTD_THREAT_UNKNOWN },
    { MTD_FIELD_THREAT, "high", TEST_DAMAGED, MTD_THREAT_UNKNOWN },
    { MTD_FIELD_THREAT, "secured ", TEST_DAMAGED, MTD_THREAT_UNKNOWN },
    { MTD_FIELD_THREAT, "3", TEST_DAMAGED, MTD_THREAT_UNKNOWN },

    { MTD_FIELD_COMPLIANCE, "compliant", 0, MTD_COMPLIANCE_COMPLIANT },
    { MTD_FIELD_COMPLIANCE, "configmanager", 0,
      MTD_COMPLIANCE_CONFIG_MANAGER },
    { MTD_FIELD_COMPLIANCE, "yes", TEST_DAMAGED, MTD_COMPLIANCE_UNKNOWN },
    { MTD_FIELD_COMPLIANCE, "secured", TEST_DAMAGED, MTD_COMPLIANCE_UNKNOWN },

    { MTD_FIELD_GRACE_UNTIL, "0", 0, 0 },
    { MTD_FIELD_GRACE_UNTIL, "1767225600", 0, 1767225600 },
    { MTD_FIELD_GRACE_UNTIL, "01767225600", 0, 1767225600 },
    { MTD_FIELD_GRACE_UNTIL, "4294967295", 0, 4294967295u },
    { MTD_FIELD_GRACE_UNTIL, "4294967296", TEST_DAMAGED, 0 },
    { MTD_FIELD_GRACE_UNTIL, "1767225600000", TEST_DAMAGED, 0 },
    { MTD_FIELD_GRACE_UNTIL, "18446744073709551617", TEST_DAMAGED, 0 },
    { MTD_FIELD_GRACE_UNTIL, "-1", TEST_DAMAGED, 0 },
    { MTD_FIELD_GRACE_UNTIL, "+1", TEST_DAMAGED, 0 },
    { MTD_FIELD_GRACE_UNTIL, " 1", TEST_DAMAGED, 0 },
    { MTD_FIELD_GRACE_UNTIL, "1.5", TEST_DAMAGED, 0 },
    { MTD_FIELD_GRACE_UNTIL, "0x10", TEST_DAMAGED, 0 },
    { MTD_FIELD_GRACE_UNTIL, "never", TEST_DAMAGED, 0 },

    { MTD_FIELD_ENROLLED, "mdm", 0, MTD_ENROLLED_MDM },
    { MTD_FIELD_ENROLLED, "App", 0, MTD_ENROLLED_APP },
    { MTD_FIELD_ENROLLED, "no", TEST_DAMAGED, MTD_ENROLLED_MDM },

    { MTD_FIELD_REPORTED_AT, "0", 0, 0 },
    { MTD_FIELD_REPORTED_AT, "999", 0, 0 },
    { MTD_FIELD_REPORTED_AT, "1000", 0, 1 },
    { MTD_FIELD_REPORTED_AT, "1767225600999", 0, 1767225600 },
    { MTD_FIELD_REPORTED_AT, "001767225600999", 0, 1767225600 },
    { MTD_FIELD_REPORTED_AT, "4294967295999", 0, 4294967295u },
    { MTD_FIELD_REPORTED_AT, "4294967296000", TEST_DAMAGED, 0 },
    { MTD_FIELD_REPORTED_AT, "999999999999999", TEST_DAMAGED, 0 },
    { MTD_FIELD_REPORTED_AT, "0001767225600999", TEST_DAMAGED, 0 },
    { MTD_FIELD_REPORTED_AT, "1767225600/", TEST_DAMAGED, 0 },
    { MTD_FIELD_REPORTED_AT, "1767225600:", TEST_DAMAGED, 0 },
    { MTD_FIELD_REPORTED_AT, "2026-01-01", TEST_DAMAGED, 0 },

    { MTD_FIELD_ACTION, "allow", 0, MTD_ACTION_ALLOW },
    { MTD_FIELD_ACTION, "Block", 0, MTD_ACTION_BLOCK },
    { MTD_FIELD_ACTION, "wipe", 0, MTD_ACTION_WIPE },
    { MTD_FIELD_ACTION, "none", TEST_DAMAGED, MTD_ACTION_NONE },

    { MTD_FIELD_OS, "Windows Phone", 0, 0 },
    { MTD_FIELD_USER, "j\xc3\xbcrgen@example.com", 0, 0 },
    { MTD_FIELD_GROUPS, "sales,board of directors", 0, 0 },
    { MTD_FIELD_VENDOR, "lookout", 0, 0 },
    { MTD_FIELD_OS, "iOS\n", TEST_DAMAGED, 0 },
    { MTD_FIELD_VENDOR, "\x7f", TEST_DAMAGED, 0 },

    { MTD_FIELD_N, NULL, 0, 0 }
};


/* a record of garbage first, so that what is left unset is seen */

static int
test_record_parse(mtd_record_t *rec, const mtd_fields_t *fields)
{
    memset(rec, 0xa5, sizeof(mtd_record_t));

    return mtd_record_parse(rec, fields);
}


static void
test_set(mtd_fields_t *fields, unsigned field, const char *text)
{
    fields->field[field].len = strlen(text);
    fields->field[field].data = (u_char *) text;
}


static void
test_silent(const mtd_record_t *rec)
{
    mtd_record_t  zero;

    memset(&zero, 0, sizeof(mtd_record_t));

    assert_memory_equal(rec, &zero, sizeof(mtd_record_t));
    assert_int_equal(rec->threat, MTD_THREAT_UNKNOWN);
    assert_int_equal(rec->compliance, MTD_COMPLIANCE_UNKNOWN);
    assert_int_equal(rec->enrolled, MTD_ENROLLED_MDM);
    assert_int_equal(rec->action, MTD_ACTION_NONE);
}


static void
test_absent(void **state)
{
    unsigned      i;
    mtd_fields_t  fields;
    mtd_record_t  rec;

    memset(&fields, 0, sizeof(mtd_fields_t));

    assert_int_equal(test_record_parse(&rec, &fields), -1);
    test_silent(&rec);
    assert_int_equal(mtd_fields_empty(&fields), 1);

    for (i = 0; i < MTD_FIELD_N; i++) {
        test_set(&fields, i, "");
        assert_int_equal(mtd_fields_empty(&fields), 0);
    }

    assert_int_equal(test_record_parse(&rec, &fields), -1);
    test_silent(&rec);

    for (i = 0; i < MTD_FIELD_N; i++) {
        memset(&fields, 0, sizeof(mtd_fields_t));
        test_set(&fields, i, "x");
        assert_int_equal(mtd_fields_empty(&fields), 0);
    }
}


/* the value of a field, which is then as silent as the others */

static uint32_t
test_take(mtd_record_t *rec, unsigned field)
{
    uint32_t  value;

    value = 0;

    switch (field) {

    case MTD_FIELD_THREAT:
        value = rec->threat;
        rec->threat = 0;
        break;

    case MTD_FIELD_COMPLIANCE:
        value = rec->compliance;
        rec->compliance = 0;
        break;

    case MTD_FIELD_GRACE_UNTIL:
        value = rec->grace_until;
        rec->grace_until = 0;
        break;

    case MTD_FIELD_ENROLLED:
        value = rec->enrolled;
        rec->enrolled = 0;
        break;

    case MTD_FIELD_REPORTED_AT:
        value = rec->reported_at;
        rec->reported_at = 0;
        break;

    case MTD_FIELD_ACTION:
        value = rec->action;
        rec->action = 0;
        break;
    }

    return value;
}


static void
test_each_field(void **state)
{
    size_t               len;
    u_char              *p;
    uint32_t             value;
    mtd_fields_t         fields;
    mtd_record_t         rec;
    const test_field_t  *test;

    for (test = test_fields; test->text; test++) {
        memset(&fields, 0, sizeof(mtd_fields_t));

        len = strlen(test->text);
        p = malloc(len);
        assert_non_null(p);
        memcpy(p, test->text, len);

        fields.field[test->field].data = p;
        fields.field[test->field].len = len;

        if (test_record_parse(&rec, &fields)
            != (test->damaged ? (int) test->field : -1)
            || rec.damaged != test->damaged)
        {
            fail_msg("field %u \"%s\"", test->field, test->text);
        }

        free(p);

        value = test_take(&rec, test->field);

        if (value != test->value) {
            fail_msg("field %u \"%s\" is %u", test->field, test->text, value);
        }

        rec.damaged = 0;
        test_silent(&rec);
    }
}


static void
test_texts(void **state)
{
    int           c;
    char         *text;
    size_t        i, max;
    mtd_fields_t  fields;
    mtd_record_t  rec;

    static const size_t  limits[][2] = {
        { MTD_FIELD_OS, MTD_OS_MAX },
        { MTD_FIELD_USER, MTD_USER_MAX },
        { MTD_FIELD_GROUPS, MTD_GROUPS_MAX },
        { MTD_FIELD_VENDOR, MTD_VENDOR_MAX }
    };

    for (i = 0; i < 4; i++) {
        max = limits[i][1];

        text = malloc(max + 1);
        assert_non_null(text);
        memset(text, 'x', max + 1);

        memset(&fields, 0, sizeof(mtd_fields_t));
        fields.field[limits[i][0]].data = (u_char *) text;
        fields.field[limits[i][0]].len = max;

        assert_int_equal(test_record_parse(&rec, &fields), -1);
        test_silent(&rec);

        fields.field[limits[i][0]].len = max + 1;

        assert_int_equal(test_record_parse(&rec, &fields), limits[i][0]);
        assert_int_equal(rec.damaged, 1);

        fields.field[limits[i][0]].len = max;

        for (c = 0; c < 256; c++) {
            text[max - 1] = (char) c;

            assert_int_equal(test_record_parse(&rec, &fields),
                             (c < 0x20 || c == 0x7f) ? (int) limits[i][0]
                                                     : -1);
            assert_int_equal(rec.damaged, c < 0x20 || c == 0x7f);
        }

        free(text);
    }
}


/* a field that cannot be read does not hide what the others say */

static void
test_whole(void **state)
{
    int           i;
    mtd_fields_t  fields;
    mtd_record_t  rec;

    memset(&fields, 0, sizeof(mtd_fields_t));

    test_set(&fields, MTD_FIELD_THREAT, "mediumSeverity");
    test_set(&fields, MTD_FIELD_COMPLIANCE, "inGracePeriod");
    test_set(&fields, MTD_FIELD_GRACE_UNTIL, "1767225601");
    test_set(&fields, MTD_FIELD_ENROLLED, "app");
    test_set(&fields, MTD_FIELD_REPORTED_AT, "1767225600001");
    test_set(&fields, MTD_FIELD_ACTION, "wipe");
    test_set(&fields, MTD_FIELD_OS, "iOS");

    assert_int_equal(test_record_parse(&rec, &fields), -1);

    test_set(&fields, MTD_FIELD_VENDOR, "\t");
    assert_int_equal(test_record_parse(&rec, &fields), MTD_FIELD_VENDOR);

    assert_int_equal(rec.threat, MTD_THREAT_MEDIUM);
    assert_int_equal(rec.compliance, MTD_COMPLIANCE_GRACE);
    assert_int_equal(rec.grace_until, 1767225601);
    assert_int_equal(rec.enrolled, MTD_ENROLLED_APP);
    assert_int_equal(rec.reported_at, 1767225600);
    assert_int_equal(rec.action, MTD_ACTION_WIPE);
    assert_int_equal(rec.damaged, 1);

    for (i = MTD_FIELD_N - 1; i >= 0; i--) {
        test_set(&fields, i, "\x01");
        assert_int_equal(test_record_parse(&rec, &fields), i);
        assert_int_equal(rec.damaged, 1);
    }

    rec.damaged = 0;
    test_silent(&rec);
}


static void
test_names(void **state)
{
    unsigned          i;
    const mtd_str_t  *name;

    static const char  *names[] = {
        "threat", "compliance", "grace_until", "enrolled", "reported_at",
        "action", "os", "user", "groups", "vendor", "", ""
    };

    for (i = 0; i < MTD_FIELD_N + 2; i++) {
        name = mtd_field_name(i);
        assert_int_equal(name->len, strlen(names[i]));
        assert_memory_equal(name->data, names[i], name->len);
    }

    assert_int_equal(mtd_field_name((unsigned) -1)->len, 0);
}


/* never longer than it is, and short by less than a step */

static void
test_ttl(void **state)
{
    uint64_t  ttl;
    uint32_t  seconds;

    for (ttl = 0; ttl < 3000000; ttl++) {
        seconds = mtd_ttl_seconds(mtd_ttl_pack(ttl));

        assert_true(seconds <= ttl);
        assert_true((seconds == 0) == (ttl == 0));

        if (ttl <= 32768) {
            assert_int_equal(seconds, ttl);

        } else if (ttl < 24 * 86400) {
            assert_true(ttl - seconds < 64);
        }
    }

    assert_int_equal(mtd_ttl_pack(UINT64_MAX), MTD_TTL_MAX);
    assert_int_equal(mtd_ttl_seconds(MTD_TTL_MAX), 2129856);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_absent),
        cmocka_unit_test(test_each_field),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_whole),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_ttl)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
