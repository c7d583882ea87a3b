
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include <string.h>

#include "mtd_cert.h"


#define MTD_CERT_GUID_LEN      36


#define mtd_cert_text(s)       { sizeof(s) - 1, (u_char *) s }


static int mtd_cert_san_uri(X509 *cert, mtd_cert_id_t *id);
static int mtd_cert_guid_uri(const GENERAL_NAME *name, mtd_cert_id_t *id);
static int mtd_cert_cn(X509 *cert, mtd_cert_id_t *id);
static int mtd_cert_serial(X509 *cert, mtd_cert_id_t *id);
static size_t mtd_cert_uri_prefix(const u_char *p, size_t len);
static int mtd_cert_guid(u_char *to, const u_char *p, size_t len);
static u_char mtd_cert_lower(u_char c);
static int mtd_cert_result(mtd_cert_id_t *id, int rc, const char *why);


/* lower case; a GUID follows */

static const mtd_str_t  mtd_cert_uri_prefixes[] = {
    mtd_cert_text("intunedeviceid://"),
    mtd_cert_text("id:microsoft endpoint manager:guid:"),
    mtd_cert_text("id:intune:guid:"),
    { 0, NULL }
};


int
mtd_cert_parse(X509 *cert, const mtd_cert_source_t *sources, unsigned n,
    mtd_cert_id_t *id)
{
    int       rc;
    unsigned  i;

    for (i = 0; i < n; i++) {
        id->kind = sources[i].kind;
        id->len = 0;
        id->why = NULL;

        switch (sources[i].source) {

        case MTD_CERT_SAN_URI:
            rc = mtd_cert_san_uri(cert, id);
            break;

        case MTD_CERT_CN:
            rc = mtd_cert_cn(cert, id);
            break;

        default: /* MTD_CERT_SERIAL */
            rc = mtd_cert_serial(cert, id);
            break;
        }

        if (rc != MTD_CERT_NONE) {
            return rc;
        }
    }

    return mtd_cert_result(id, MTD_CERT_NONE, "no source in the certificate");
}


static int
mtd_cert_san_uri(X509 *cert, mtd_cert_id_t *id)
{
    int             i, n, rc, critical;
    GENERAL_NAMES  *names;

    names = X509_get_ext_d2i(cert, NID_subject_alt_name, &critical, NULL);

    if (names == NULL) {

        if (critical == -1) {
            return MTD_CERT_NONE;
        }

        return mtd_cert_result(id, MTD_CERT_MALFORMED,
                               "invalid subject alternative name");
    }

    rc = MTD_CERT_NONE;
    n = sk_GENERAL_NAME_num(names);

    for (i = 0; i < n; i++) {
        rc = mtd_cert_guid_uri(sk_GENERAL_NAME_value(names, i), id);

        if (rc == MTD_CERT_MALFORMED || rc == MTD_CERT_AMBIGUOUS) {
            break;
        }
    }

    GENERAL_NAMES_free(names);

    if (rc == MTD_CERT_MALFORMED || rc == MTD_CERT_AMBIGUOUS) {
        return rc;
    }

    return id->len ? MTD_CERT_OK : MTD_CERT_NONE;
}


/* id has the GUID of the names before this one, or len == 0 */

static int
mtd_cert_guid_uri(const GENERAL_NAME *name, mtd_cert_id_t *id)
{
    size_t         len, prefix;
    u_char         guid[MTD_CERT_GUID_LEN];
    const u_char  *p;

    if (name->type != GEN_URI) {
        return MTD_CERT_NONE;
    }

    p = ASN1_STRING_get0_data(name->d.uniformResourceIdentifier);
    len = ASN1_STRING_length(name->d.uniformResourceIdentifier);

    prefix = mtd_cert_uri_prefix(p, len);

    if (prefix == 0) {
        return MTD_CERT_NONE;
    }

    if (!mtd_cert_guid(guid, p + prefix, len - prefix)) {
        return mtd_cert_result(id, MTD_CERT_MALFORMED,
                               "no GUID in a URI for the device");
    }

    if (id->len && memcmp(id->data, guid, MTD_CERT_GUID_LEN) != 0) {
        return mtd_cert_result(id, MTD_CERT_AMBIGUOUS,
                               "two devices in one certificate");
    }

    memcpy(id->data, guid, MTD_CERT_GUID_LEN);
    id->len = MTD_CERT_GUID_LEN;

    return MTD_CERT_OK;
}


static int
mtd_cert_cn(X509 *cert, mtd_cert_id_t *id)
{
    int      i, at, len;
    u_char  *text;

    at = X509_NAME_get_index_by_NID(X509_get_subject_name(cert),
                                    NID_commonName, -1);
    if (at < 0) {
        return MTD_CERT_NONE;
    }

    if (X509_NAME_get_index_by_NID(X509_get_subject_name(cert),
                                   NID_commonName, at)
        >= 0)
    {
        return mtd_cert_result(id, MTD_CERT_AMBIGUOUS, "several common names");
    }

    len = ASN1_STRING_to_UTF8(&text,
                              X509_NAME_ENTRY_get_data(
                                  X509_NAME_get_entry(
                                      X509_get_subject_name(cert), at)));
    if (len < 0) {
        return mtd_cert_result(id, MTD_CERT_MALFORMED, "invalid common name");
    }

    if (len == 0 || len > MTD_CERT_VALUE_MAX) {
        OPENSSL_free(text);
        return mtd_cert_result(id, MTD_CERT_MALFORMED,
                               "invalid length of common name");
    }

    for (i = 0; i < len; i++) {

        if (text[i] <= 0x20 || text[i] >= 0x7f) {
            OPENSSL_free(text);
            return mtd_cert_result(id, MTD_CERT_MALFORMED,
                                   "invalid byte in common name");
        }

        id->data[i] = mtd_cert_lower(text[i]);
    }

    OPENSSL_free(text);

    id->len = len;

    return MTD_CERT_OK;
}


static int
mtd_cert_serial(X509 *cert, mtd_cert_id_t *id)
{
    int                  i, len;
    u_char              *to;
    const u_char        *p;
    const ASN1_INTEGER  *serial;

    static const u_char  hex[] = "0123456789abcdef";

    serial = X509_get0_serialNumber(cert);
    p = ASN1_STRING_get0_data(serial);
    len = ASN1_STRING_length(serial);

    while (len && *p == 0) {
        p++;
        len--;
    }

    if (len == 0
        || len > MTD_CERT_VALUE_MAX / 2
        || ASN1_STRING_type(serial) == V_ASN1_NEG_INTEGER)
    {
        return mtd_cert_result(id, MTD_CERT_MALFORMED,
                               "invalid serial number");
    }

    to = id->data;

    if (p[0] >> 4) {
        *to++ = hex[p[0] >> 4];
    }

    *to++ = hex[p[0] & 0xf];

    for (i = 1; i < len; i++) {
        *to++ = hex[p[i] >> 4];
        *to++ = hex[p[i] & 0xf];
    }

    id->len = to - id->data;

    return MTD_CERT_OK;
}


/* the length of the prefix that p has, or 0 */

static size_t
mtd_cert_uri_prefix(const u_char *p, size_t len)
{
    size_t            i;
    const mtd_str_t  *prefix;

    for (prefix = mtd_cert_uri_prefixes; prefix->len; prefix++) {

        if (len < prefix->len) {
            continue;
        }

        for (i = 0; i < prefix->len; i++) {
            if (mtd_cert_lower(p[i]) != prefix->data[i]) {
                break;
            }
        }

        if (i == prefix->len) {
            return prefix->len;
        }
    }

    return 0;
}


/* 1 if all of p is a GUID, whose lower-case form is then written */

static int
mtd_cert_guid(u_char *to, const u_char *p, size_t len)
{
    u_char  c;
    size_t  i;

    if (len != MTD_CERT_GUID_LEN) {
        return 0;
    }

    for (i = 0; i < MTD_CERT_GUID_LEN; i++) {
        c = mtd_cert_lower(p[i]);

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


static u_char
mtd_cert_lower(u_char c)
{
    return (c >= 'A' && c <= 'Z') ? (u_char) (c | 0x20) : c;
}


static int
mtd_cert_result(mtd_cert_id_t *id, int rc, const char *why)
{
    id->len = 0;
    id->why = why;

    return rc;
}
