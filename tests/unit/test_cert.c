
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

#include <openssl/x509v3.h>

#include "identify/client_cert/mtd_cert.h"


#define TEST_NAMES_MAX  3

#define TEST_GUID       "4e696e65-3245-4337-A543-304242353444"
#define TEST_OTHER      "00000000-3245-4337-a543-304242353444"
#define TEST_LOWER      "4e696e65-3245-4337-a543-304242353444"

#define TEST_C32        "cccccccccccccccccccccccccccccccc"
#define TEST_C128       TEST_C32 TEST_C32 TEST_C32 TEST_C32

#define test_text(s)    { sizeof(s) - 1, (u_char *) s }


/* kinds of the sources below */

enum { TEST_INTUNE = 3, TEST_ENTRA, TEST_SERIAL };


static const mtd_cert_source_t  test_all[] = {
    { MTD_CERT_SAN_URI, TEST_INTUNE },
    { MTD_CERT_CN, TEST_ENTRA },
    { MTD_CERT_SERIAL, TEST_SERIAL }
};


typedef struct {
    mtd_str_t    uri[TEST_NAMES_MAX];
    mtd_str_t    cn[TEST_NAMES_MAX];
    const char  *serial;                    /* hex */
    unsigned     first;                     /* of test_all */
    unsigned     n;
    int          rc;
    unsigned     kind;
    const char  *id;
} test_cert_t;


static const test_cert_t  test_certs[] = {

    /* the forms of a device's URI */

    { { test_text("IntuneDeviceId://" TEST_GUID) }, { test_text("x") }, "01",
      0, 3, MTD_CERT_OK, TEST_INTUNE, TEST_LOWER },
    { { test_text("intuneDEVICEid://" TEST_GUID) }, { { 0, NULL } }, "01",
      0, 1, MTD_CERT_OK, TEST_INTUNE, TEST_LOWER },
    { { test_text("ID:Microsoft Endpoint Manager:GUID:" TEST_GUID) },
      { { 0, NULL } }, "01", 0, 1, MTD_CERT_OK, TEST_INTUNE, TEST_LOWER },
    { { test_text("ID:Intune:GUID:" TEST_GUID) }, { { 0, NULL } }, "01",
      0, 1, MTD_CERT_OK, TEST_INTUNE, TEST_LOWER },
    { { test_text("https://example.com/"),
        test_text("ID:Intune:GUID:" TEST_GUID),
        test_text("IntuneDeviceId://" TEST_LOWER) }, { { 0, NULL } }, "01",
      0, 1, MTD_CERT_OK, TEST_INTUNE, TEST_LOWER },
    { { test_text("ID:Intune:GUID:" TEST_GUID),
        test_text("https://example.com/") }, { { 0, NULL } }, "01",
      0, 1, MTD_CERT_OK, TEST_INTUNE, TEST_LOWER },

    { { test_text("IntuneDeviceId://" TEST_GUID),
        test_text("IntuneDeviceId://" TEST_OTHER) }, { test_text("x") }, "01",
      0, 3, MTD_CERT_AMBIGUOUS, 0, NULL },
    { { test_text("IntuneDeviceId://" TEST_GUID "0") }, { test_text("x") },
      "01", 0, 3, MTD_CERT_MALFORMED, 0, NULL },
    { { test_text("IntuneDeviceId://" TEST_GUID "\0") }, { test_text("x") },
      "01", 0, 3, MTD_CERT_MALFORMED, 0, NULL },
    { { test_text("IntuneDeviceId://" TEST_GUID "/") }, { test_text("x") },
      "01", 0, 3, MTD_CERT_MALFORMED, 0, NULL },
    { { test_text("IntuneDeviceId://") }, { test_text("x") }, "01",
      0, 3, MTD_CERT_MALFORMED, 0, NULL },
    { { test_text("IntuneDeviceId://4e696e65-3245-4337-a543+304242353444") },
      { test_text("x") }, "01", 0, 3, MTD_CERT_MALFORMED, 0, NULL },
    { { test_text("IntuneDeviceId://4e696e65-3245-4337-a543-30424235344g") },
      { test_text("x") }, "01", 0, 3, MTD_CERT_MALFORMED, 0, NULL },
    { { test_text("IntuneDeviceId://" TEST_GUID),
        test_text("ID:Intune:GUID:x") }, { test_text("x") }, "01",
      0, 3, MTD_CERT_MALFORMED, 0, NULL },

    /* not one */

    { { test_text("IntuneDeviceId:/" TEST_GUID) }, { { 0, NULL } }, "01",
      0, 1, MTD_CERT_NONE, 0, NULL },
    { { test_text("xIntuneDeviceId://" TEST_GUID) }, { { 0, NULL } }, "01",
      0, 1, MTD_CERT_NONE, 0, NULL },
    { { { 0, NULL } }, { test_text(TEST_GUID) }, "01",
      0, 1, MTD_CERT_NONE, 0, NULL },

    /* common names */

    { { { 0, NULL } }, { test_text(TEST_GUID) }, "01",
      0, 2, MTD_CERT_OK, TEST_ENTRA, TEST_LOWER },
    { { test_text("https://example.com/") }, { test_text("~Phone!7") }, "01",
      0, 2, MTD_CERT_OK, TEST_ENTRA, "~phone!7" },
    { { { 0, NULL } }, { test_text("a b") }, "01",
      0, 3, MTD_CERT_MALFORMED, 0, NULL },
    { { { 0, NULL } }, { test_text("a\0b") }, "01",
      0, 3, MTD_CERT_MALFORMED, 0, NULL },
    { { { 0, NULL } }, { test_text("a\0") }, "01",
      0, 3, MTD_CERT_MALFORMED, 0, NULL },
    { { { 0, NULL } }, { test_text("a\177") }, "01",
      0, 3, MTD_CERT_MALFORMED, 0, NULL },
    { { { 0, NULL } }, { test_text("\303\251") }, "01",
      0, 3, MTD_CERT_MALFORMED, 0, NULL },
    { { { 0, NULL } }, { test_text("a"), test_text("a") }, "01",
      0, 3, MTD_CERT_AMBIGUOUS, 0, NULL },
    { { { 0, NULL } }, { test_text(TEST_C128) }, "01",
      0, 2, MTD_CERT_OK, TEST_ENTRA, TEST_C128 },
    { { { 0, NULL } }, { test_text(TEST_C128 "c") }, "01",
      0, 3, MTD_CERT_MALFORMED, 0, NULL },

    /* serial numbers */

    { { { 0, NULL } }, { { 0, NULL } }, "0A",
      0, 3, MTD_CERT_OK, TEST_SERIAL, "a" },
    { { { 0, NULL } }, { { 0, NULL } }, "80FF01",
      0, 3, MTD_CERT_OK, TEST_SERIAL, "80ff01" },
    { { { 0, NULL } }, { test_text("x") }, "0100000000000000000000000000000A",
      2, 1, MTD_CERT_OK, TEST_SERIAL, "100000000000000000000000000000a" },
    { { { 0, NULL } }, { { 0, NULL } }, "00",
      0, 3, MTD_CERT_MALFORMED, 0, NULL },
    { { { 0, NULL } }, { { 0, NULL } }, "-0A",
      0, 3, MTD_CERT_MALFORMED, 0, NULL },
    { { { 0, NULL } }, { { 0, NULL } }, TEST_C128,
      0, 3, MTD_CERT_OK, TEST_SERIAL, TEST_C128 },
    { { { 0, NULL } }, { { 0, NULL } }, "c" TEST_C128,
      0, 3, MTD_CERT_MALFORMED, 0, NULL },

    /* nothing asked for */

    { { { 0, NULL } }, { test_text("x") }, "01",
      0, 0, MTD_CERT_NONE, 0, NULL }
};


static void
test_cert_add_uri(GENERAL_NAMES *names, const mtd_str_t *uri)
{
    GENERAL_NAME    *name;
    ASN1_IA5STRING  *text;

    name = GENERAL_NAME_new();
    text = ASN1_IA5STRING_new();

    assert_non_null(name);
    assert_non_null(text);
    assert_int_equal(ASN1_STRING_set(text, uri->data, (int) uri->len), 1);

    GENERAL_NAME_set0_value(name, GEN_URI, text);

    assert_true(sk_GENERAL_NAME_push(names, name) > 0);
}


/* not signed: nothing that is tested looks at the signature */

static X509 *
test_cert_make(const test_cert_t *t)
{
    X509             *cert;
    BIGNUM           *serial;
    unsigned          i;
    X509_NAME        *subject;
    GENERAL_NAMES    *names;
    X509_NAME_ENTRY  *entry;

    cert = X509_new();
    subject = X509_NAME_new();
    names = sk_GENERAL_NAME_new_null();
    serial = NULL;

    assert_non_null(cert);
    assert_non_null(subject);
    assert_non_null(names);

    assert_true(BN_hex2bn(&serial, t->serial) > 0);
    assert_non_null(BN_to_ASN1_INTEGER(serial, X509_get_serialNumber(cert)));
    BN_free(serial);

    for (i = 0; i < TEST_NAMES_MAX && t->cn[i].len; i++) {

        /* the checked way in has a limit of 64 characters */

        entry = X509_NAME_ENTRY_create_by_NID(NULL, NID_commonName,
                                              V_ASN1_UTF8STRING,
                                              t->cn[i].data,
                                              (int) t->cn[i].len);
        assert_non_null(entry);
        assert_int_equal(X509_NAME_add_entry(subject, entry, -1, 0), 1);
        X509_NAME_ENTRY_free(entry);
    }

    assert_int_equal(X509_set_subject_name(cert, subject), 1);
    X509_NAME_free(subject);

    for (i = 0; i < TEST_NAMES_MAX && t->uri[i].len; i++) {
        test_cert_add_uri(names, &t->uri[i]);
    }

    if (i) {
        assert_int_equal(X509_add1_ext_i2d(cert, NID_subject_alt_name, names,
                                           0, 0),
                         1);
    }

    GENERAL_NAMES_free(names);

    return cert;
}


static void
test_cert_table(void **state)
{
    int                 rc;
    X509               *cert;
    size_t              i;
    mtd_cert_id_t       id;
    const test_cert_t  *t;

    for (i = 0; i < sizeof(test_certs) / sizeof(test_certs[0]); i++) {
        t = &test_certs[i];
        cert = test_cert_make(t);

        memset(&id, 0xee, sizeof(mtd_cert_id_t));
        rc = mtd_cert_parse(cert, test_all + t->first, t->n, &id);

        X509_free(cert);

        if (rc != t->rc) {
            fail_msg("certificate %zu: %d", i, rc);
        }

        if (rc != MTD_CERT_OK) {
            assert_non_null(id.why);
            assert_int_equal(id.len, 0);
            continue;
        }

        assert_null(id.why);
        assert_int_equal(id.kind, t->kind);
        assert_int_equal(id.len, strlen(t->id));
        assert_memory_equal(id.data, t->id, id.len);
    }

    printf("checked %zu certificates\n", i);
}


/* an extension that cannot be read, and one that occurs twice */

static void
test_cert_extension(void **state)
{
    X509               *cert;
    mtd_cert_id_t       id;
    X509_EXTENSION     *ext;
    ASN1_OCTET_STRING  *der;

    static const test_cert_t  with_uri = {
        { test_text("IntuneDeviceId://" TEST_GUID) }, { { 0, NULL } }, "01",
        0, 0, 0, 0, NULL
    };

    static const test_cert_t  without = {
        { { 0, NULL } }, { test_text("x") }, "01", 0, 0, 0, 0, NULL
    };

    der = ASN1_OCTET_STRING_new();
    assert_non_null(der);
    assert_int_equal(ASN1_OCTET_STRING_set(der, (u_char *) "\060\005x", 3), 1);

    ext = X509_EXTENSION_create_by_NID(NULL, NID_subject_alt_name, 0, der);
    assert_non_null(ext);

    cert = test_cert_make(&without);
    assert_int_equal(X509_add_ext(cert, ext, -1), 1);
    assert_int_equal(mtd_cert_parse(cert, test_all, 3, &id),
                     MTD_CERT_MALFORMED);
    X509_free(cert);

    cert = test_cert_make(&with_uri);
    assert_int_equal(X509_add_ext(cert, ext, -1), 1);
    assert_int_equal(mtd_cert_parse(cert, test_all, 3, &id),
                     MTD_CERT_MALFORMED);
    X509_free(cert);

    X509_EXTENSION_free(ext);
    ASN1_OCTET_STRING_free(der);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_cert_table),
        cmocka_unit_test(test_cert_extension),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
