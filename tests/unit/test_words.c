
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <cmocka.h>

#include "mtd_words.h"


typedef struct {
    const char        *list;
    unsigned           n;
    const char        *outside;     /* the name of a number in no list */
    const mtd_str_t  *(*name)(unsigned number);
    int              (*parse)(const u_char *p, size_t len);
    const char        *words[MTD_REASON_N + 1];
} test_list_t;


static const test_list_t  test_lists[] = {

    { "threat", MTD_THREAT_N, "unknown", mtd_threat_name, mtd_threat_parse,
      { "unknown", "activated", "deactivated", "secured", "lowSeverity",
        "mediumSeverity", "highSeverity", "unresponsive", "compromised",
        "misconfigured", NULL } },

    { "compliance", MTD_COMPLIANCE_N, "unknown", mtd_compliance_name,
      mtd_compliance_parse,
      { "unknown", "compliant", "noncompliant", "conflict", "error",
        "inGracePeriod", "configManager", NULL } },

    { "enrolled", MTD_ENROLLED_N, "", mtd_enrolled_name, mtd_enrolled_parse,
      { "mdm", "app", NULL } },

    { "action", MTD_ACTION_N, "", mtd_action_name, mtd_action_parse,
      { "", "allow", "block", "wipe", NULL } },

    { "decision", MTD_DECISION_N, "", mtd_decision_name, NULL,
      { "allow", "block", "remediate", NULL } },

    { "reason", MTD_REASON_N, "", mtd_reason_name, NULL,
      { "open_endpoint", "exempt", "admin_allow", "secured_enough",
        "in_grace", "stale_allowed", "failure_allowed", "malformed",
        "path_refused", "ambiguous", "identity_mismatch", "unidentified",
        "unknown_device", "admin_block", "wipe_pending", "compromised",
        "threat_level", "threat_missing", "threat_stale", "noncompliant",
        "grace_over", "not_enrolled", "policy_error", "store_unavailable",
        "bypass", "deferred_cloud", NULL } },

    { "protocol", MTD_PROTOCOL_N, "other", mtd_protocol_name,
      mtd_protocol_parse,
      { "other", "eas", "ews", "mapi", "rpc", "oab", "owa", "ecp",
        "autodiscover", "sharepoint_page", "sharepoint_rest", "office",
        "webdav", "onedrive", NULL } },

    { NULL, 0, NULL, NULL, NULL, { NULL } }
};


/* the text in memory of its own size, so that reading on is seen */

static int
test_parse(const test_list_t *list, const char *text, size_t len)
{
    int      n;
    u_char  *p;

    p = malloc(len ? len : 1);
    assert_non_null(p);
    memcpy(p, text, len);

    n = list->parse(p, len);

    free(p);

    return n;
}


static void
test_names(void **state)
{
    unsigned            i;
    const mtd_str_t    *name;
    const test_list_t  *list;

    for (list = test_lists; list->list; list++) {

        for (i = 0; list->words[i]; i++) {
            name = list->name(i);
            assert_int_equal(name->len, strlen(list->words[i]));
            assert_memory_equal(name->data, list->words[i], name->len);
        }

        assert_int_equal(i, list->n);
    }
}


static void
test_outside(void **state)
{
    unsigned            i;
    const mtd_str_t    *name;
    const test_list_t  *list;

    for (list = test_lists; list->list; list++) {

        const unsigned  numbers[] = {
            list->n, list->n + 1, 255, INT_MAX, (unsigned) INT_MAX + 1,
            UINT_MAX
        };

        for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
            name = list->name(numbers[i]);
            assert_non_null(name);
            assert_non_null(name->data);
            assert_int_equal(name->len, strlen(list->outside));
            assert_memory_equal(name->data, list->outside, name->len);
        }
    }
}


static void
test_parse_words(void **state)
{
    char                text[64];
    size_t              k, len;
    unsigned            i;
    const test_list_t  *list;

    for (list = test_lists; list->list; list++) {

        if (list->parse == NULL) {
            continue;
        }

        for (i = 0; i < list->n; i++) {
            len = strlen(list->words[i]);
            memcpy(text, list->words[i], len + 1);

            assert_int_equal(test_parse(list, text, len), i);

            for (k = 0; k < len; k++) {
                if (text[k] >= 'a' && text[k] <= 'z') {
                    text[k] -= 'a' - 'A';
                }
            }

            assert_int_equal(test_parse(list, text, len), i);

            for (k = 0; k < len; k++) {
                if (text[k] >= 'A' && text[k] <= 'Z') {
                    text[k] += 'a' - 'A';
                }
            }

            assert_int_equal(test_parse(list, text, len), i);
        }
    }
}


/* "ews" is one byte from "eas" */

static int
test_listed(const test_list_t *list, const char *text, size_t len)
{
    unsigned  i;

    for (i = 0; i < list->n; i++) {
        if (strlen(list->words[i]) == len
            && strncasecmp(list->words[i], text, len) == 0)
        {
            return (int) i;
        }
    }

    return -1;
}


/* any one byte changed, taken away or added makes another word */

static void
test_parse_others(void **state)
{
    int                 c, letter;
    char                text[64], was;
    size_t              k, len;
    unsigned            i, checked;
    const test_list_t  *list;

    checked = 0;

    for (list = test_lists; list->list; list++) {

        if (list->parse == NULL) {
            continue;
        }

        for (i = 0; i < list->n; i++) {
            len = strlen(list->words[i]);
            memcpy(text, list->words[i], len + 1);

            for (k = 0; k < len; k++) {
                was = text[k];
                letter = (was >= 'a' && was <= 'z')
                         || (was >= 'A' && was <= 'Z');

                for (c = 0; c < 256; c++) {
                    if (c == was || (letter && c == (was ^ 0x20))) {
                        continue;
                    }

                    text[k] = (char) c;
                    assert_int_equal(test_parse(list, text, len),
                                     test_listed(list, text, len));
                    checked++;
                }

                text[k] = was;
            }

            for (c = 0; c < 256; c++) {
                text[len] = (char) c;
                assert_int_equal(test_parse(list, text, len + 1), -1);
                checked++;
            }

            if (len > 1) {
                assert_int_equal(test_parse(list, text, len - 1), -1);
                assert_int_equal(test_parse(list, text + 1, len - 1), -1);
            }
        }
    }

    printf("checked %u words that are in no list\n", checked);
}


static void
test_parse_empty(void **state)
{
    const test_list_t  *list;

    for (list = test_lists; list->list; list++) {

        if (list->parse == NULL) {
            continue;
        }

        assert_int_equal(list->parse(NULL, 0),
                         list->words[0][0] == '\0' ? 0 : -1);
    }

    assert_int_equal(mtd_action_parse(NULL, 0), MTD_ACTION_NONE);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_outside),
        cmocka_unit_test(test_parse_words),
        cmocka_unit_test(test_parse_others),
        cmocka_unit_test(test_parse_empty)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
