
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "identify/eas/mtd_eas.h"
#include "respond/eas/mtd_wbxml.h"


typedef struct {
    unsigned     command;
    size_t       len;
    const char  *bytes;
} test_document_t;


#define TEST_END            "\003" "129" "\000\001\001"

#define TEST_PAGE_0(elements)                                                 \
    13, "\003\001\152\000" elements TEST_END

#define TEST_PAGE(page, elements)                                             \
    15, "\003\001\152\000\000" page elements TEST_END


static const test_document_t  test_documents[] = {
    { MTD_EAS_SYNC, TEST_PAGE_0("\x45\x4e") },
    { MTD_EAS_FOLDER_SYNC, TEST_PAGE("\x07", "\x56\x4c") },
    { MTD_EAS_FOLDER_CREATE, TEST_PAGE("\x07", "\x53\x4c") },
    { MTD_EAS_FOLDER_DELETE, TEST_PAGE("\x07", "\x54\x4c") },
    { MTD_EAS_FOLDER_UPDATE, TEST_PAGE("\x07", "\x55\x4c") },
    { MTD_EAS_PING, TEST_PAGE("\x0d", "\x45\x47") },
    { MTD_EAS_PROVISION, TEST_PAGE("\x0e", "\x45\x4b") },
    { MTD_EAS_SETTINGS, TEST_PAGE("\x12", "\x45\x46") },
    { MTD_EAS_ITEM_OPERATIONS, TEST_PAGE("\x14", "\x45\x4d") },
    { MTD_EAS_SEND_MAIL, TEST_PAGE("\x15", "\x45\x52") },
    { MTD_EAS_SMART_FORWARD, TEST_PAGE("\x15", "\x46\x52") },
    { MTD_EAS_SMART_REPLY, TEST_PAGE("\x15", "\x47\x52") },
    { MTD_EAS_SEARCH, TEST_PAGE("\x0f", "\x45\x4c") },
    { MTD_EAS_MOVE_ITEMS, TEST_PAGE("\x05", "\x45\x4b") },
    { MTD_EAS_GET_ITEM_ESTIMATE, TEST_PAGE("\x06", "\x45\x4e") },
    { MTD_EAS_MEETING_RESPONSE, TEST_PAGE("\x08", "\x47\x4b") },
    { MTD_EAS_RESOLVE_RECIPIENTS, TEST_PAGE("\x0a", "\x45\x47") },
    { MTD_EAS_VALIDATE_CERT, TEST_PAGE("\x0b", "\x45\x4a") },
    { MTD_EAS_FIND, TEST_PAGE("\x19", "\x45\x4a") },
    { MTD_EAS_GET_ATTACHMENT, 0, "" },
    { MTD_EAS_GET_HIERARCHY, 0, "" },
    { MTD_EAS_CREATE_COLLECTION, 0, "" },
    { MTD_EAS_DELETE_COLLECTION, 0, "" },
    { MTD_EAS_MOVE_COLLECTION, 0, "" },
    { 5, 0, "" },
    { 8, 0, "" },
    { MTD_EAS_COMMAND_N, 0, "" },
    { 255, 0, "" }
};


static void
test_wbxml_documents(void **state)
{
    size_t                  i, len;
    u_char                  buf[MTD_WBXML_ERROR_MAX];
    const test_document_t  *d;

    for (i = 0; i < sizeof(test_documents) / sizeof(test_documents[0]); i++) {
        d = &test_documents[i];
        len = mtd_wbxml_error(buf, d->command, 129);

        if (len != d->len || memcmp(buf, d->bytes, len) != 0) {
            fail_msg("command %u, %zu bytes", d->command, len);
        }
    }

    printf("checked %zu commands\n", i);
}


static void
test_wbxml_status(void **state)
{
    u_char  buf[MTD_WBXML_ERROR_MAX];

    assert_int_equal(mtd_wbxml_error(buf, MTD_EAS_SYNC, 108), 13);
    assert_memory_equal(buf + 7, "108", 4);

    assert_int_equal(mtd_wbxml_error(buf, MTD_EAS_SYNC, 999), 13);
    assert_memory_equal(buf + 7, "999", 4);

    assert_int_equal(mtd_wbxml_error(buf, MTD_EAS_SYNC, 99), 0);
    assert_int_equal(mtd_wbxml_error(buf, MTD_EAS_SYNC, 1000), 0);
}


/* no document may contain the element that wipes a phone */

static void
test_wbxml_no_wipe(void **state)
{
    size_t    len;
    u_char    buf[MTD_WBXML_ERROR_MAX];
    unsigned  command, status;

    for (command = 0; command < MTD_EAS_COMMAND_N; command++) {

        for (status = 100; status <= 999; status++) {
            len = mtd_wbxml_error(buf, command, status);

            if (len) {
                assert_null(memchr(buf, 0x0c, len));
                assert_null(memchr(buf, 0x3b, len));
            }
        }
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_wbxml_documents),
        cmocka_unit_test(test_wbxml_status),
        cmocka_unit_test(test_wbxml_no_wipe),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
