
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * The input is "D" and a certificate in DER; or lines of which one is made:
 * sources in their order ("u", "c" and "s"), the serial number in hex, and
 * what else is in it, "u" and a URI, "c" and a common name, "d" and a DNS
 * name, "o" and an organisation.  Then what is read is known.
 */


#include <openssl/err.h>

#include "fuzz.h"
#include "mtd_cert.h"


#define FUZZ_SOURCES  3
#define FUZZ_SERIAL   300
#define FUZZ_GUID     "hhhhhhhh-hhhh-hhhh-hhhh-hhhhhhhhhhhh"


typedef struct {
    int          rc;
    unsigned     kind;
    size_t       len;
    char         text[MTD_CERT_VALUE_MAX + 1];
} fuzz_expected_t;


static unsigned
fuzz_sources(mtd_cert_source_t *sources, const mtd_str_t *line)
{
    unsigned     n;
    const char  *at;

    static const char  letters[MTD_CERT_SOURCE_N + 1] = "ucs";

    for (n = 0; n < line->len && n < FUZZ_SOURCES; n++) {
        at = line->data[n] ? strchr(letters, line->data[n]) : NULL;

        if (at == NULL) {
            break;
        }

        sources[n].source = at - letters;
        sources[n].kind = 10 + n;
    }

    return n;
}


static u_char
fuzz_lower(u_char c)
{
    return (c >= 'A' && c <= 'Z') ? c + 0x20 : c;
}


/* the bytes behind one of Intune's prefixes, or NULL */

static const u_char *
fuzz_device_uri(const mtd_str_t *uri)
{
    size_t  i, k, len;

    static const char  *prefixes[] = {
        "intunedeviceid://", "id:microsoft endpoint manager:guid:",
        "id:intune:guid:"
    };

    for (i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
        len = strlen(prefixes[i]);

        for (k = 0; k < len && k < uri->len; k++) {
            if (fuzz_lower(uri->data[k]) != (u_char) prefixes[i][k]) {
                break;
            }
        }

        if (k == len) {
            return uri->data + len;
        }
    }

    return NULL;
}


static int
fuzz_guid(char *to, const u_char *p, const u_char *last)
{
    size_t  i;
    u_char  c;

    if (last - p != sizeof(FUZZ_GUID) - 1) {
        return 0;
    }

    for (i = 0; i < sizeof(FUZZ_GUID) - 1; i++) {
        c = fuzz_lower(p[i]);

        if (c == 0
            || strchr(FUZZ_GUID[i] == '-' ? "-" : "0123456789abcdef", c)
               == NULL)
        {
            return 0;
        }

        to[i] = c;
    }

    to[i] = '\0';

    return 1;
}


static void
fuzz_expect_uri(fuzz_expected_t *e, const uint8_t *data, size_t size)
{
    char           guid[sizeof(FUZZ_GUID)];
    mtd_str_t      line, uri;
    const u_char  *p;

    while (size) {
        line = fuzz_line(&data, &size);

        if (line.len == 0 || line.data[0] != 'u') {
            continue;
        }

        uri.data = line.data + 1;
        uri.len = line.len - 1;

        p = fuzz_device_uri(&uri);

        if (p == NULL) {
            continue;
        }

        if (!fuzz_guid(guid, p, uri.data + uri.len)) {
            e->rc = MTD_CERT_MALFORMED;
            return;
        }

        if (e->rc == MTD_CERT_OK && strcmp(guid, e->text) != 0) {
            e->rc = MTD_CERT_AMBIGUOUS;
            return;
        }

        e->rc = MTD_CERT_OK;
        e->len = strlen(guid);
        strcpy(e->text, guid);
    }
}


static void
fuzz_expect_cn(fuzz_expected_t *e, const uint8_t *data, size_t size)
{
    size_t     i;
    mtd_str_t  line;

    while (size) {
        line = fuzz_line(&data, &size);

        if (line.len == 0 || line.data[0] != 'c') {
            continue;
        }

        if (e->rc != MTD_CERT_NONE) {
            e->rc = MTD_CERT_AMBIGUOUS;
            return;
        }

        e->rc = MTD_CERT_OK;
        e->len = line.len - 1;

        if (e->len == 0 || e->len > MTD_CERT_VALUE_MAX) {
            e->rc = MTD_CERT_MALFORMED;
        }

        for (i = 0; i < e->len; i++) {

            if (line.data[1 + i] <= ' ' || line.data[1 + i] > '~') {
                e->rc = MTD_CERT_MALFORMED;
            }

            if (e->rc == MTD_CERT_OK) {
                e->text[i] = fuzz_lower(line.data[1 + i]);
            }
        }
    }
}


/* 0 if it is none that a certificate is made with */

static size_t
fuzz_serial(char *to, const mtd_str_t *line)
{
    size_t  i, n;

    n = 0;

    for (i = 0; i < line->len && n < FUZZ_SERIAL; i++) {

        if (!(i == 0 && line->data[0] == '-')
            && (line->data[i] == 0
                || strchr("0123456789abcdefABCDEF", line->data[i]) == NULL))
        {
            break;
        }

        to[n++] = fuzz_lower(line->data[i]);
    }

    to[n] = '\0';

    return (n && strcmp(to, "-") != 0) ? n : 0;
}


static void
fuzz_expect_serial(fuzz_expected_t *e, const char *serial)
{
    e->rc = MTD_CERT_MALFORMED;

    if (*serial == '-') {
        return;
    }

    serial += strspn(serial, "0");
    e->len = strlen(serial);

    if (e->len && e->len <= MTD_CERT_VALUE_MAX) {
        e->rc = MTD_CERT_OK;
        memcpy(e->text, serial, e->len);
    }
}


static void
fuzz_expect(fuzz_expected_t *e, const mtd_cert_source_t *sources, unsigned n,
    const char *serial, const uint8_t *data, size_t size)
{
    unsigned  i;

    e->rc = MTD_CERT_NONE;

    for (i = 0; i < n && e->rc == MTD_CERT_NONE; i++) {

        memset(e, 0, sizeof(fuzz_expected_t));
        e->rc = MTD_CERT_NONE;
        e->kind = sources[i].kind;

        switch (sources[i].source) {

        case MTD_CERT_SAN_URI:
            fuzz_expect_uri(e, data, size);
            break;

        case MTD_CERT_CN:
            fuzz_expect_cn(e, data, size);
            break;

        default:
            fuzz_expect_serial(e, serial);
        }
    }
}


static void
fuzz_add_name(GENERAL_NAMES *names, int type, const mtd_str_t *line)
{
    GENERAL_NAME    *name;
    ASN1_IA5STRING  *text;

    name = GENERAL_NAME_new();
    text = ASN1_IA5STRING_new();

    fuzz_check(name && text, "no memory");
    fuzz_check(ASN1_STRING_set(text, line->data + 1, (int) line->len - 1) == 1,
               "no memory");

    GENERAL_NAME_set0_value(name, type, text);

    fuzz_check(sk_GENERAL_NAME_push(names, name) > 0, "no memory");
}


static void
fuzz_add_entry(X509_NAME *subject, int nid, const mtd_str_t *line)
{
    X509_NAME_ENTRY  *entry;

    entry = X509_NAME_ENTRY_create_by_NID(NULL, nid, V_ASN1_UTF8STRING,
                                          line->data + 1,
                                          (int) line->len - 1);

    fuzz_check(entry && X509_NAME_add_entry(subject, entry, -1, 0) == 1,
               "no memory");

    X509_NAME_ENTRY_free(entry);
}


/*
 * Nothing that is tested looks at the signature.  NULL for a name that no
 * certificate can have.
 */

static X509 *
fuzz_make(const char *serial, const uint8_t *data, size_t size)
{
    X509           *cert;
    BIGNUM         *number;
    X509_NAME      *subject;
    mtd_str_t       line;
    GENERAL_NAMES  *names;

    cert = X509_new();
    subject = X509_NAME_new();
    names = sk_GENERAL_NAME_new_null();
    number = NULL;

    fuzz_check(cert && subject && names, "no memory");
    fuzz_check(BN_hex2bn(&number, serial) > 0, "serial");
    fuzz_check(BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert)),
               "serial");
    BN_free(number);

    while (size) {
        line = fuzz_line(&data, &size);

        switch (line.len ? line.data[0] : 0) {

        case 'u':
            fuzz_add_name(names, GEN_URI, &line);
            break;

        case 'd':
            fuzz_add_name(names, GEN_DNS, &line);
            break;

        case 'c':
            fuzz_add_entry(subject, NID_commonName, &line);
            break;

        case 'o':
            fuzz_add_entry(subject, NID_organizationName, &line);
            break;
        }
    }

    if (X509_set_subject_name(cert, subject) != 1) {
        X509_free(cert);
        cert = NULL;
    }

    X509_NAME_free(subject);

    if (cert && sk_GENERAL_NAME_num(names)) {
        fuzz_check(X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, 0)
                   == 1, "names");
    }

    GENERAL_NAMES_free(names);

    return cert;
}


/* what holds for every certificate */

static int
fuzz_parse(X509 *cert, const mtd_cert_source_t *sources, unsigned n,
    mtd_cert_id_t *id)
{
    int     rc;
    size_t  i;

    memset(id, 0xee, sizeof(mtd_cert_id_t));

    rc = mtd_cert_parse(cert, sources, n, id);

    fuzz_check(rc >= MTD_CERT_OK && rc <= MTD_CERT_AMBIGUOUS, "result");
    fuzz_check((id->why == NULL) == (rc == MTD_CERT_OK), "why");
    fuzz_check((id->len == 0) == (rc != MTD_CERT_OK), "an id, or none");
    fuzz_check(id->len <= MTD_CERT_VALUE_MAX, "length");

    for (i = 0; i < id->len; i++) {
        fuzz_check(id->data[i] > ' ' && id->data[i] <= '~'
                   && id->data[i] == fuzz_lower(id->data[i]), "byte of an id");
    }

    return rc;
}


static void
fuzz_der(const uint8_t *data, size_t size)
{
    int                 rc;
    X509               *cert;
    unsigned            i;
    mtd_cert_id_t       id, again;
    const u_char       *p;
    mtd_cert_source_t   source;

    p = data;
    cert = d2i_X509(NULL, &p, (long) size);

    if (cert == NULL) {
        ERR_clear_error();
        return;
    }

    for (i = 0; i < MTD_CERT_SOURCE_N; i++) {
        source.source = i;
        source.kind = 7;

        rc = fuzz_parse(cert, &source, 1, &id);

        fuzz_check(fuzz_parse(cert, &source, 1, &again) == rc
                   && memcmp(id.data, again.data, id.len) == 0,
                   "two readings of a certificate");
        fuzz_check(rc != MTD_CERT_OK || i != MTD_CERT_SAN_URI
                   || (id.len == sizeof(FUZZ_GUID) - 1
                       && id.data[8] == '-' && id.data[23] == '-'),
                   "no GUID");
        fuzz_check(rc != MTD_CERT_NONE || i != MTD_CERT_SERIAL,
                   "no serial number");
    }

    X509_free(cert);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int                rc;
    char               serial[FUZZ_SERIAL + 1];
    X509              *cert;
    unsigned           n;
    mtd_str_t          line;
    mtd_cert_id_t      id;
    fuzz_expected_t    e;
    mtd_cert_source_t  sources[FUZZ_SOURCES];

    if (size && data[0] == 'D') {
        fuzz_der(data + 1, size - 1);
        return 0;
    }

    line = fuzz_line(&data, &size);
    n = fuzz_sources(sources, &line);
    line = fuzz_line(&data, &size);

    if (fuzz_serial(serial, &line) == 0) {
        return 0;
    }

    cert = fuzz_make(serial, data, size);

    if (cert == NULL) {
        ERR_clear_error();
        return 0;
    }

    rc = fuzz_parse(cert, sources, n, &id);
    X509_free(cert);

    fuzz_expect(&e, sources, n, serial, data, size);

    fuzz_check(rc == e.rc, "another result");

    if (rc == MTD_CERT_OK) {
        fuzz_check(id.kind == e.kind && id.len == e.len
                   && memcmp(id.data, e.text, e.len) == 0, "another device");
    }

    return 0;
}
