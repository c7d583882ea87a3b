
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
    { MTD_CERT_SAN_URI, TEST_INTUNE, NULL },
    { MTD_CERT_CN, TEST_ENTRA, NULL },
    { MTD_CERT_SERIAL, TEST_SERIAL, NULL }
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


/* Microsoft's own extensions; the GUID of bytes is little endian in part */

#define TEST_DEVICE     "\x65\x6e\x69\x4e\x45\x32\x37\x43"                    \
                        "\xa5\x43\x30\x42\x42\x35\x34\x44"
#define TEST_MINE       "\x11\x11\x11\x11\x22\x22\x33\x33"                    \
                        "\x44\x44\x55\x55\x55\x55\x55\x55"
#define TEST_THEIRS     "\x11\x11\x11\x11\x22\x22\x33\x33"                    \
                        "\x44\x44\x55\x55\x55\x55\x55\x56"

#define TEST_MDM        "1.2.840.113556.5.4"
#define TEST_MDM_TENANT "1.2.840.113556.5.14"
#define TEST_DRS        "1.2.840.113556.1.5.284.2"
#define TEST_DRS_TENANT "1.2.840.113556.1.5.284.5"


static const mtd_cert_source_t  test_microsoft[] = {
    { MTD_CERT_INTUNE, TEST_INTUNE,
      (u_char *) "11111111-2222-3333-4444-555555555555" },
    { MTD_CERT_ENTRA, TEST_ENTRA,
      (u_char *) "11111111-2222-3333-4444-555555555555" },
    { MTD_CERT_SERIAL, TEST_SERIAL, NULL }
};


static const struct {
    int          rc;
    unsigned     kind;
    struct {
        const char  *oid;
        mtd_str_t    value;
    } ext[4];
} test_extensions[] = {

    /* the three forms */

    { MTD_CERT_OK, TEST_INTUNE,
      { { TEST_MDM, test_text(TEST_DEVICE) },
        { TEST_MDM_TENANT, test_text("\004\020" TEST_MINE) },
        { NULL, { 0, NULL } }, { NULL, { 0, NULL } } } },
    { MTD_CERT_OK, TEST_INTUNE,
      { { TEST_MDM, test_text("\004\020" TEST_DEVICE) },
        { TEST_MDM_TENANT, test_text("\004\201\020" TEST_MINE) },
        { NULL, { 0, NULL } }, { NULL, { 0, NULL } } } },
    { MTD_CERT_OK, TEST_ENTRA,
      { { TEST_DRS, test_text("\004\201\020" TEST_DEVICE) },
        { TEST_DRS_TENANT, test_text("\004\201\020" TEST_MINE) },
        { NULL, { 0, NULL } }, { NULL, { 0, NULL } } } },
    { MTD_CERT_OK, TEST_ENTRA,
      { { TEST_DRS, test_text(TEST_DEVICE) },
        { TEST_DRS_TENANT, test_text(TEST_MINE) },
        { NULL, { 0, NULL } }, { NULL, { 0, NULL } } } },

    /* another tenant, none, that of the other kind of certificate */

    { MTD_CERT_MALFORMED, 0,
      { { TEST_MDM, test_text(TEST_DEVICE) },
        { TEST_MDM_TENANT, test_text("\004\020" TEST_THEIRS) },
        { NULL, { 0, NULL } }, { NULL, { 0, NULL } } } },
    { MTD_CERT_MALFORMED, 0,
      { { TEST_MDM, test_text(TEST_DEVICE) }, { NULL, { 0, NULL } },
        { NULL, { 0, NULL } }, { NULL, { 0, NULL } } } },
    { MTD_CERT_MALFORMED, 0,
      { { TEST_MDM, test_text(TEST_DEVICE) },
        { TEST_DRS_TENANT, test_text("\004\020" TEST_MINE) },
        { NULL, { 0, NULL } }, { NULL, { 0, NULL } } } },
    { MTD_CERT_MALFORMED, 0,
      { { TEST_DRS, test_text(TEST_DEVICE) },
        { TEST_DRS_TENANT, test_text("\004\020" TEST_THEIRS) },
        { TEST_MDM_TENANT, test_text("\004\020" TEST_MINE) },
        { NULL, { 0, NULL } } } },
    { MTD_CERT_MALFORMED, 0,
      { { TEST_MDM, test_text(TEST_DEVICE) },
        { TEST_MDM_TENANT, test_text("\004\020" TEST_MINE) },
        { TEST_MDM_TENANT, test_text("\004\020" TEST_MINE) },
        { NULL, { 0, NULL } } } },

    /* what another tenant's is does not serve as the second source */

    { MTD_CERT_MALFORMED, 0,
      { { TEST_MDM, test_text(TEST_DEVICE) },
        { TEST_MDM_TENANT, test_text(TEST_THEIRS) },
        { TEST_DRS, test_text(TEST_DEVICE) },
        { TEST_DRS_TENANT, test_text(TEST_MINE) } } },

    /* twice, too short, too long, other tags */

    { MTD_CERT_AMBIGUOUS, 0,
      { { TEST_MDM, test_text(TEST_DEVICE) },
        { TEST_MDM, test_text(TEST_DEVICE) },
        { TEST_MDM_TENANT, test_text("\004\020" TEST_MINE) },
        { NULL, { 0, NULL } } } },
    { MTD_CERT_MALFORMED, 0,
      { { TEST_MDM, test_text("\004\020" TEST_DEVICE "\000") },
        { TEST_MDM_TENANT, test_text("\004\020" TEST_MINE) },
        { NULL, { 0, NULL } }, { NULL, { 0, NULL } } } },
    { MTD_CERT_MALFORMED, 0,
      { { TEST_MDM, test_text("") },
        { TEST_MDM_TENANT, test_text("\004\020" TEST_MINE) },
        { NULL, { 0, NULL } }, { NULL, { 0, NULL } } } },
    { MTD_CERT_MALFORMED, 0,
      { { TEST_MDM, test_text("\003\020" TEST_DEVICE) },
        { TEST_MDM_TENANT, test_text("\004\020" TEST_MINE) },
        { NULL, { 0, NULL } }, { NULL, { 0, NULL } } } },
    { MTD_CERT_MALFORMED, 0,
      { { TEST_MDM, test_text("\004\202\020" TEST_DEVICE) },
        { TEST_MDM_TENANT, test_text("\004\020" TEST_MINE) },
        { NULL, { 0, NULL } }, { NULL, { 0, NULL } } } },
    { MTD_CERT_MALFORMED, 0,
      { { TEST_MDM, test_text(TEST_DEVICE) },
        { TEST_MDM_TENANT, test_text("\004\021" TEST_MINE) },
        { NULL, { 0, NULL } }, { NULL, { 0, NULL } } } },

    /* none of them: the next source */

    { MTD_CERT_OK, TEST_SERIAL,
      { { TEST_MDM_TENANT, test_text("\004\020" TEST_MINE) },
        { NULL, { 0, NULL } }, { NULL, { 0, NULL } },
        { NULL, { 0, NULL } } } }
};


static void
test_cert_add_ext(X509 *cert, const char *oid, const mtd_str_t *value)
{
    ASN1_OBJECT        *object;
    X509_EXTENSION     *ext;
    ASN1_OCTET_STRING  *text;

    object = OBJ_txt2obj(oid, 1);
    text = ASN1_OCTET_STRING_new();

    assert_non_null(object);
    assert_int_equal(ASN1_OCTET_STRING_set(text, value->data,
                                           (int) value->len), 1);

    ext = X509_EXTENSION_create_by_OBJ(NULL, object, 0, text);
    assert_non_null(ext);
    assert_int_equal(X509_add_ext(cert, ext, -1), 1);

    X509_EXTENSION_free(ext);
    ASN1_OCTET_STRING_free(text);
    ASN1_OBJECT_free(object);
}


static void
test_cert_microsoft(void **state)
{
    int            rc;
    X509          *cert;
    size_t         i, k;
    mtd_cert_id_t  id;

    static const test_cert_t  plain = {
        { { 0, NULL } }, { test_text("x") }, "01", 0, 0, 0, 0, NULL
    };

    for (i = 0; i < sizeof(test_extensions) / sizeof(test_extensions[0]); i++)
    {
        cert = test_cert_make(&plain);

        for (k = 0; k < 4 && test_extensions[i].ext[k].oid; k++) {
            test_cert_add_ext(cert, test_extensions[i].ext[k].oid,
                              &test_extensions[i].ext[k].value);
        }

        memset(&id, 0xee, sizeof(mtd_cert_id_t));
        rc = mtd_cert_parse(cert, test_microsoft, 3, &id);

        X509_free(cert);

        if (rc != test_extensions[i].rc) {
            fail_msg("extensions %zu: %d", i, rc);
        }

        if (rc != MTD_CERT_OK) {
            assert_non_null(id.why);
            assert_int_equal(id.len, 0);
            continue;
        }

        assert_int_equal(id.kind, test_extensions[i].kind);

        if (id.kind != TEST_SERIAL) {
            assert_int_equal(id.len, MTD_CERT_GUID_LEN);
            assert_memory_equal(id.data, TEST_LOWER, MTD_CERT_GUID_LEN);
        }
    }

    printf("checked %zu certificates of Microsoft's forms\n", i);
}


/* principal names; type is that of the value */

static void
test_cert_add_upn(GENERAL_NAMES *names, int nid, int type, const char *text,
    size_t len)
{
    ASN1_TYPE     *value;
    ASN1_STRING   *string;
    GENERAL_NAME  *name;

    name = GENERAL_NAME_new();
    value = ASN1_TYPE_new();
    string = ASN1_STRING_type_new(type);

    assert_int_equal(ASN1_STRING_set(string, text, (int) len), 1);
    ASN1_TYPE_set(value, type, string);
    assert_int_equal(GENERAL_NAME_set0_othername(name, OBJ_nid2obj(nid),
                                                 value), 1);
    assert_true(sk_GENERAL_NAME_push(names, name) > 0);
}


static void
test_cert_users(void **state)
{
    X509           *cert;
    size_t          i, k, len;
    u_char          user[MTD_CERT_USER_MAX];
    mtd_str_t       uri = test_text("https://example.com/");
    GENERAL_NAMES  *names;

    static const struct {
        const char  *user;
        struct {
            int        nid;
            int        type;
            mtd_str_t  text;
        } upn[2];
    } users[] = {
        { "", { { 0, 0, { 0, NULL } }, { 0, 0, { 0, NULL } } } },
        { "alice@example.com",
          { { NID_ms_upn, V_ASN1_UTF8STRING, test_text("Alice@Example.com") },
            { 0, 0, { 0, NULL } } } },
        { "alice@example.com",
          { { NID_ms_upn, V_ASN1_UTF8STRING, test_text("alice@example.com") },
            { NID_ms_upn, V_ASN1_UTF8STRING, test_text("ALICE@example.com") }
          } },
        { "*",
          { { NID_ms_upn, V_ASN1_UTF8STRING, test_text("alice@example.com") },
            { NID_ms_upn, V_ASN1_UTF8STRING, test_text("bob@example.com") }
          } },
        { "*",
          { { NID_ms_upn, V_ASN1_UTF8STRING, test_text("alice@example.com") },
            { NID_ms_upn, V_ASN1_IA5STRING, test_text("alice@example.com") }
          } },
        { "*",
          { { NID_ms_upn, V_ASN1_UTF8STRING, test_text("") },
            { 0, 0, { 0, NULL } } } },
        { "*",
          { { NID_ms_upn, V_ASN1_UTF8STRING, test_text("a b@example.com") },
            { 0, 0, { 0, NULL } } } },
        { "*",
          { { NID_ms_upn, V_ASN1_UTF8STRING, test_text("a\0@example.com") },
            { 0, 0, { 0, NULL } } } },
        { "*",
          { { NID_ms_upn, V_ASN1_UTF8STRING,
              test_text(TEST_C128 TEST_C128 "c") },
            { 0, 0, { 0, NULL } } } },
        { TEST_C128 TEST_C128,
          { { NID_ms_upn, V_ASN1_UTF8STRING, test_text(TEST_C128 TEST_C128) },
            { 0, 0, { 0, NULL } } } },
        { "",
          { { NID_ms_smartcard_login, V_ASN1_UTF8STRING,
              test_text("alice@example.com") },
            { 0, 0, { 0, NULL } } } }
    };

    static const test_cert_t  plain = {
        { { 0, NULL } }, { test_text("x") }, "01", 0, 0, 0, 0, NULL
    };

    for (i = 0; i < sizeof(users) / sizeof(users[0]); i++) {
        cert = test_cert_make(&plain);
        names = sk_GENERAL_NAME_new_null();

        test_cert_add_uri(names, &uri);

        for (k = 0; k < 2 && users[i].upn[k].nid; k++) {
            test_cert_add_upn(names, users[i].upn[k].nid,
                              users[i].upn[k].type,
                              (char *) users[i].upn[k].text.data,
                              users[i].upn[k].text.len);
        }

        assert_int_equal(X509_add1_ext_i2d(cert, NID_subject_alt_name, names,
                                           0, 0), 1);

        len = mtd_cert_user(cert, user);

        assert_int_equal(len, strlen(users[i].user));
        assert_memory_equal(user, users[i].user, len);

        GENERAL_NAMES_free(names);
        X509_free(cert);
    }

    cert = test_cert_make(&plain);
    assert_int_equal(mtd_cert_user(cert, user), 0);
    X509_free(cert);

    printf("checked %zu users of certificates\n", i + 1);
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
        cmocka_unit_test(test_cert_microsoft),
        cmocka_unit_test(test_cert_users),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
