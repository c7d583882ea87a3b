
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include <string.h>

#include "mtd_cert.h"


#define MTD_CERT_GUID_BYTES    16


#define mtd_cert_text(s)       { sizeof(s) - 1, (u_char *) s }


static int mtd_cert_san_uri(X509 *cert, mtd_cert_id_t *id);
static int mtd_cert_guid_uri(const GENERAL_NAME *name, mtd_cert_id_t *id);
static int mtd_cert_cn(X509 *cert, mtd_cert_id_t *id);
static int mtd_cert_serial(X509 *cert, mtd_cert_id_t *id);
static int mtd_cert_device(X509 *cert, const mtd_cert_source_t *source,
    mtd_cert_id_t *id);
static int mtd_cert_extension(X509 *cert, const char *oid, u_char *guid);
static void mtd_cert_guid_bytes(u_char *to, const u_char *p);
static size_t mtd_cert_upn(const GENERAL_NAME *name, u_char *user);
static size_t mtd_cert_uri_prefix(const u_char *p, size_t len);
static u_char mtd_cert_lower(u_char c);
static int mtd_cert_result(mtd_cert_id_t *id, int rc, const char *why);


/* lower case; a GUID follows */

static const mtd_str_t  mtd_cert_uri_prefixes[] = {
    mtd_cert_text("intunedeviceid://"),
    mtd_cert_text("id:microsoft endpoint manager:guid:"),
    mtd_cert_text("id:intune:guid:"),
    { 0, NULL }
};


/* OIDs of the device and its tenant */

static const char *const  mtd_cert_oids[][2] = {
    { "1.2.840.113556.5.4", "1.2.840.113556.5.14" },
    { "1.2.840.113556.1.5.284.2", "1.2.840.113556.1.5.284.5" }
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

        case MTD_CERT_SERIAL:
            rc = mtd_cert_serial(cert, id);
            break;

        default: /* MTD_CERT_INTUNE, MTD_CERT_ENTRA */
            rc = mtd_cert_device(cert, &sources[i], id);
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


/* one that is of another tenant is no other source's, either */

static int
mtd_cert_device(X509 *cert, const mtd_cert_source_t *source,
    mtd_cert_id_t *id)
{
    int                 rc;
    u_char              tenant[MTD_CERT_GUID_LEN];
    const char *const  *oids;

    oids = mtd_cert_oids[source->source == MTD_CERT_ENTRA];

    rc = mtd_cert_extension(cert, oids[0], id->data);

    if (rc == MTD_CERT_NONE) {
        return MTD_CERT_NONE;
    }

    if (rc != MTD_CERT_OK) {
        return mtd_cert_result(id, rc, "invalid extension for the device");
    }

    if (mtd_cert_extension(cert, oids[1], tenant) != MTD_CERT_OK
        || memcmp(tenant, source->tenant, MTD_CERT_GUID_LEN) != 0)
    {
        return mtd_cert_result(id, MTD_CERT_MALFORMED,
                               "the certificate is of another tenant");
    }

    id->len = MTD_CERT_GUID_LEN;

    return MTD_CERT_OK;
}


/* 16 bytes, bare or as an OCTET STRING in one of its two short forms */

static int
mtd_cert_extension(X509 *cert, const char *oid, u_char *guid)
{
    int                       at, len;
    ASN1_OBJECT              *object;
    const u_char             *p;
    const ASN1_OCTET_STRING  *value;

    object = OBJ_txt2obj(oid, 1);

    if (object == NULL) {
        return MTD_CERT_MALFORMED;
    }

    at = X509_get_ext_by_OBJ(cert, object, -1);
    len = (at < 0) ? -1 : X509_get_ext_by_OBJ(cert, object, at);

    ASN1_OBJECT_free(object);

    if (at < 0) {
        return MTD_CERT_NONE;
    }

    if (len >= 0) {
        return MTD_CERT_AMBIGUOUS;
    }

    value = X509_EXTENSION_get_data(X509_get_ext(cert, at));
    p = ASN1_STRING_get0_data(value);
    len = ASN1_STRING_length(value);

    if (len == MTD_CERT_GUID_BYTES + 3 && memcmp(p, "\004\201\020", 3) == 0) {
        p += 3;

    } else if (len == MTD_CERT_GUID_BYTES + 2
               && memcmp(p, "\004\020", 2) == 0)
    {
        p += 2;

    } else if (len != MTD_CERT_GUID_BYTES) {
        return MTD_CERT_MALFORMED;
    }

    mtd_cert_guid_bytes(guid, p);

    return MTD_CERT_OK;
}


/* the first three fields are little endian (MS-DTYP 2.3.4.2) */

static void
mtd_cert_guid_bytes(u_char *to, const u_char *p)
{
    unsigned  i;

    static const u_char  hex[] = "0123456789abcdef";
    static const u_char  order[MTD_CERT_GUID_BYTES] = {
        3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15
    };

    for (i = 0; i < MTD_CERT_GUID_BYTES; i++) {

        if (i == 4 || i == 6 || i == 8 || i == 10) {
            *to++ = '-';
        }

        *to++ = hex[p[order[i]] >> 4];
        *to++ = hex[p[order[i]] & 0xf];
    }
}


size_t
mtd_cert_user(X509 *cert, u_char *user)
{
    int             i, n;
    u_char          upn[MTD_CERT_USER_MAX];
    size_t          len, found;
    GENERAL_NAMES  *names;

    names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);

    if (names == NULL) {
        return 0;
    }

    found = 0;
    n = sk_GENERAL_NAME_num(names);

    for (i = 0; i < n; i++) {
        len = mtd_cert_upn(sk_GENERAL_NAME_value(names, i), upn);

        if (len == 0) {
            continue;
        }

        if (found && (len != found || memcmp(user, upn, len) != 0)) {
            len = 1;
            upn[0] = '*';
        }

        memcpy(user, upn, len);
        found = len;
    }

    GENERAL_NAMES_free(names);

    return found;
}


static size_t
mtd_cert_upn(const GENERAL_NAME *name, u_char *user)
{
    int                 i, len;
    const u_char       *p;
    const OTHERNAME    *other;

    if (name->type != GEN_OTHERNAME
        || OBJ_obj2nid(name->d.otherName->type_id) != NID_ms_upn)
    {
        return 0;
    }

    other = name->d.otherName;
    user[0] = '*';

    if (other->value == NULL || other->value->type != V_ASN1_UTF8STRING) {
        return 1;
    }

    p = ASN1_STRING_get0_data(other->value->value.utf8string);
    len = ASN1_STRING_length(other->value->value.utf8string);

    if (len == 0 || len > MTD_CERT_USER_MAX) {
        return 1;
    }

    for (i = 0; i < len; i++) {

        if (p[i] <= 0x20 || p[i] == 0x7f) {
            user[0] = '*';
            return 1;
        }

        user[i] = mtd_cert_lower(p[i]);
    }

    return len;
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


int
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
