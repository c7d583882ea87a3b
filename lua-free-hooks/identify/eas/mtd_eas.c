
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include <stdint.h>
#include <string.h>

#include "mtd_eas.h"
#include "mtd_eas_bytes.h"


#define MTD_EAS_CMD            1
#define MTD_EAS_USER           2
#define MTD_EAS_DEVICE_ID      4
#define MTD_EAS_DEVICE_TYPE    8


#define MTD_EAS_NAME_MAX       32
#define MTD_EAS_WORD_MAX       10   /* of a word for "no device" */
#define MTD_EAS_TAG_USER       8    /* the last of the parameter tags */

/*
 * the head, the longest id, policy key and device type with their lengths,
 * each parameter once; and what decoding writes behind the end
 */

#define MTD_EAS_BLOB_MIN       8
#define MTD_EAS_BLOB_MAX       (4 + 33 + 5 + 256 + 9 * 257 + 2)


/* eight bytes */

#define MTD_EAS_EACH(c)        ((uint64_t) (c) * 0x0101010101010101)


typedef struct {
    unsigned        number;
    mtd_str_t       name;           /* lower case */
} mtd_eas_command_t;


static int mtd_eas_is_base64(const mtd_str_t *args);
static int mtd_eas_plain(mtd_eas_t *eas, const mtd_str_t *args,
    unsigned field, size_t len);
static int mtd_eas_base64(mtd_eas_t *eas, const mtd_str_t *args);
static int mtd_eas_base64_tail(mtd_eas_t *eas, const u_char *p,
    const u_char *last, u_char *to, size_t size, size_t *len);
static int mtd_eas_blob(mtd_eas_t *eas, const u_char *p, const u_char *last);
static int mtd_eas_tags(mtd_eas_t *eas, const u_char *p, const u_char *last);
static void mtd_eas_candidates(mtd_eas_t *eas, const u_char *p, size_t len);
static void mtd_eas_text_id(mtd_eas_t *eas, size_t len);
static size_t mtd_eas_fold(u_char *to, const u_char *p, size_t i, size_t len);
static int mtd_eas_no_device(const mtd_eas_id_t *id);
static const u_char *mtd_eas_name(mtd_eas_t *eas, const u_char *p,
    const u_char *last, unsigned *field);
static int mtd_eas_like_blob(const u_char *start, const u_char *p,
    const u_char *last);
static const u_char *mtd_eas_device_id(mtd_eas_t *eas, const u_char *p,
    const u_char *last);
static const u_char *mtd_eas_cmd(mtd_eas_t *eas, const u_char *p,
    const u_char *last);
static const u_char *mtd_eas_skip(mtd_eas_t *eas, const u_char *start,
    const u_char *p, const u_char *last);
static const u_char *mtd_eas_unescape(mtd_eas_t *eas, const u_char *p,
    const u_char *last, unsigned mask, mtd_str_t *to, size_t size);
static int mtd_eas_hex(const u_char *p, const u_char *last);
static int mtd_eas_digit(u_char c);
static int mtd_eas_command(const u_char *p, size_t len);
static int mtd_eas_equal(const u_char *p, const u_char *lower, size_t len);
static int mtd_eas_malformed(mtd_eas_t *eas, const char *why);


#define mtd_eas_text(s)  { sizeof(s) - 1, (u_char *) s }

/* four bytes at least; by length */

static const mtd_eas_command_t  mtd_eas_commands[] = {
    { MTD_EAS_SYNC, mtd_eas_text("sync") },
    { MTD_EAS_PING, mtd_eas_text("ping") },
    { MTD_EAS_FIND, mtd_eas_text("find") },
    { MTD_EAS_SEARCH, mtd_eas_text("search") },
    { MTD_EAS_SEND_MAIL, mtd_eas_text("sendmail") },
    { MTD_EAS_SETTINGS, mtd_eas_text("settings") },
    { MTD_EAS_PROVISION, mtd_eas_text("provision") },
    { MTD_EAS_MOVE_ITEMS, mtd_eas_text("moveitems") },
    { MTD_EAS_FOLDER_SYNC, mtd_eas_text("foldersync") },
    { MTD_EAS_SMART_REPLY, mtd_eas_text("smartreply") },
    { MTD_EAS_SMART_FORWARD, mtd_eas_text("smartforward") },
    { MTD_EAS_FOLDER_CREATE, mtd_eas_text("foldercreate") },
    { MTD_EAS_FOLDER_DELETE, mtd_eas_text("folderdelete") },
    { MTD_EAS_FOLDER_UPDATE, mtd_eas_text("folderupdate") },
    { MTD_EAS_VALIDATE_CERT, mtd_eas_text("validatecert") },
    { MTD_EAS_GET_HIERARCHY, mtd_eas_text("gethierarchy") },
    { MTD_EAS_GET_ATTACHMENT, mtd_eas_text("getattachment") },
    { MTD_EAS_ITEM_OPERATIONS, mtd_eas_text("itemoperations") },
    { MTD_EAS_MOVE_COLLECTION, mtd_eas_text("movecollection") },
    { MTD_EAS_GET_ITEM_ESTIMATE, mtd_eas_text("getitemestimate") },
    { MTD_EAS_MEETING_RESPONSE, mtd_eas_text("meetingresponse") },
    { MTD_EAS_CREATE_COLLECTION, mtd_eas_text("createcollection") },
    { MTD_EAS_DELETE_COLLECTION, mtd_eas_text("deletecollection") },
    { MTD_EAS_RESOLVE_RECIPIENTS, mtd_eas_text("resolverecipients") },
    { 0, { 0, NULL } }
};


/* only letters become letters with the bit 0x20 */

static inline uint32_t
mtd_eas_word(const void *p)
{
    uint32_t  word;

    memcpy(&word, p, 4);

    return word | 0x20202020;
}


/*
 * The field of "NAME=" at p and the length of that, or 0 if it is none that
 * is looked at, is percent-encoded or too near to the end.
 */

static inline unsigned
mtd_eas_known(const u_char *p, const u_char *last, size_t *len)
{
    uint32_t  word;

    if (last - p < (ptrdiff_t) sizeof("DeviceType=") - 1) {
        return 0;
    }

    word = mtd_eas_word(p);

    if (word == mtd_eas_word("devi")) {
        word = mtd_eas_word(p + 4);

        if (word == mtd_eas_word("ceid") && p[8] == '=') {
            *len = sizeof("DeviceId=") - 1;
            return MTD_EAS_DEVICE_ID;
        }

        if (word == mtd_eas_word("cety")
            && mtd_eas_word(p + 6) == mtd_eas_word("type")
            && p[10] == '=')
        {
            *len = sizeof("DeviceType=") - 1;
            return MTD_EAS_DEVICE_TYPE;
        }

    } else if (word == mtd_eas_word("user") && p[4] == '=') {
        *len = sizeof("User=") - 1;
        return MTD_EAS_USER;

    } else if (word == mtd_eas_word("cmd=") && p[3] == '=') {
        *len = sizeof("Cmd=") - 1;
        return MTD_EAS_CMD;
    }

    return 0;
}


int
mtd_eas_parse(mtd_eas_t *eas, const mtd_str_t *args)
{
    size_t    len;
    unsigned  field;

    eas->version = 0;
    eas->command = MTD_EAS_SYNC;
    eas->no_device = 0;
    eas->n = 0;
    eas->why = NULL;

    if (args->len == 0) {
        return mtd_eas_malformed(eas, "no query");
    }

    /* base64 has no "=" but at its end, so a known name is enough */

    len = 0;
    field = mtd_eas_known(args->data, args->data + args->len, &len);

    if (!field && mtd_eas_is_base64(args)) {
        return mtd_eas_base64(eas, args);
    }

    return mtd_eas_plain(eas, args, field, len);
}


static int
mtd_eas_is_base64(const mtd_str_t *args)
{
    const u_char  *p, *last;

    last = args->data + args->len;

    p = mtd_eas_span(args->data, last, MTD_EAS_INNER);

    if (p == last) {
        return 1;
    }

    if (*p == '&' || last - p > 2) {
        return 0;
    }

    return last - p == 1 || p[1] != '&';
}


/* field and len are what mtd_eas_known() says of the first parameter */

static int
mtd_eas_plain(mtd_eas_t *eas, const mtd_str_t *args, unsigned field,
    size_t len)
{
    unsigned       seen;
    const u_char  *p, *last;

    seen = 0;
    p = args->data;
    last = p + args->len;

    for ( ;; ) {
        p = field ? p + len : mtd_eas_name(eas, p, last, &field);

        if (p == NULL) {
            return MTD_EAS_MALFORMED;
        }

        if (field & seen) {
            return mtd_eas_malformed(eas, "duplicate parameter");
        }

        seen |= field;

        if (field == MTD_EAS_DEVICE_ID) {
            p = mtd_eas_device_id(eas, p, last);

        } else if (field == MTD_EAS_CMD) {
            p = mtd_eas_cmd(eas, p, last);

        } else {
            p = mtd_eas_skip(eas, args->data, p, last);
        }

        if (p == NULL) {
            return MTD_EAS_MALFORMED;
        }

        if (p == last) {
            break;
        }

        p++;
        field = mtd_eas_known(p, last, &len);
    }

    if (!(seen & MTD_EAS_DEVICE_ID)) {
        return mtd_eas_malformed(eas, "no DeviceId");
    }

    if (!(seen & MTD_EAS_CMD)) {
        return mtd_eas_malformed(eas, "no Cmd");
    }

    return MTD_EAS_OK;
}


/* any other name, or one in an uncommon spelling; returns the value */

static const u_char *
mtd_eas_name(mtd_eas_t *eas, const u_char *p, const u_char *last,
    unsigned *field)
{
    size_t         len;
    u_char         buf[MTD_EAS_NAME_MAX + 1];
    mtd_str_t      name;
    const u_char  *start;

    memset(buf, 0, sizeof(buf));
    name.data = buf;
    start = p;

    p = mtd_eas_unescape(eas, p, last, MTD_EAS_NAME, &name, MTD_EAS_NAME_MAX);

    if (p == NULL) {
        return NULL;
    }

    if (p == last || *p != '=' || name.len == 0) {
        (void) mtd_eas_malformed(eas, "parameter without name or value");
        return NULL;
    }

    buf[name.len] = '=';

    *field = mtd_eas_known(buf, buf + sizeof(buf), &len);

    if (*field == 0 && mtd_eas_like_blob(start, p, last)) {
        (void) mtd_eas_malformed(eas, "base64 beside parameters");
        return NULL;
    }

    return p + 1;
}


/*
 * A name that nothing but padding follows may be base64 to others, with
 * another device in it.  No name that clients send has such a length.
 */

static int
mtd_eas_like_blob(const u_char *start, const u_char *p, const u_char *last)
{
    for ( /* void */ ; p < last && *p == '='; p++) { /* void */ }

    return (p == last || *p == '&') && (p - start) % 4 == 0
           && p - start >= (MTD_EAS_BLOB_MIN + 2) / 3 * 4;
}


/* these return the "&" behind the value, last, or NULL */

static const u_char *
mtd_eas_device_id(mtd_eas_t *eas, const u_char *p, const u_char *last)
{
    size_t         len, max;
    u_char         buf[MTD_EAS_BYTES_MAX];
    mtd_str_t      value;
    const u_char  *start;

    start = p;

    max = last - p;

    if (max > MTD_EAS_BYTES_MAX) {
        max = MTD_EAS_BYTES_MAX;
    }

    len = mtd_eas_fold_wide(eas->id[0].data, p, max);

    if (len < max) {
        len = mtd_eas_fold(eas->id[0].data, p, len, max);
    }

    p += len;

    if (p < last && *p != '&') {
        value.data = buf;
        p = mtd_eas_unescape(eas, start, last, MTD_EAS_ALNUM, &value,
                             MTD_EAS_BYTES_MAX);
        if (p == NULL) {
            return NULL;
        }

        len = mtd_eas_fold(eas->id[0].data, buf, 0, value.len);
    }

    if (len == 0) {
        (void) mtd_eas_malformed(eas, "empty DeviceId");
        return NULL;
    }

    mtd_eas_text_id(eas, len);

    return p;
}


static const u_char *
mtd_eas_cmd(mtd_eas_t *eas, const u_char *p, const u_char *last)
{
    int            command;
    u_char         buf[MTD_EAS_BYTES_MAX];
    mtd_str_t      value;

    /* most of what there is, and a phone waits in the other one */

    if (last - p > 4 && p[4] == '&') {

        if (mtd_eas_word(p) == mtd_eas_word("sync")) {
            eas->command = MTD_EAS_SYNC;
            return p + 4;
        }

        if (mtd_eas_word(p) == mtd_eas_word("ping")) {
            eas->command = MTD_EAS_PING;
            return p + 4;
        }
    }

    value.data = (u_char *) p;
    p = mtd_eas_span(p, last, MTD_EAS_ALNUM);
    value.len = p - value.data;

    if (p < last && *p != '&') {
        p = value.data;
        value.data = buf;
        p = mtd_eas_unescape(eas, p, last, MTD_EAS_ALNUM, &value,
                             MTD_EAS_BYTES_MAX);
        if (p == NULL) {
            return NULL;
        }
    }

    command = mtd_eas_command(value.data, value.len);

    if (command == -1) {
        (void) mtd_eas_malformed(eas, "unknown Cmd");
        return NULL;
    }

    eas->command = command;

    return p;
}


static const u_char *
mtd_eas_skip(mtd_eas_t *eas, const u_char *start, const u_char *p,
    const u_char *last)
{
    mtd_str_t  value;

    p = mtd_eas_value_wide(start, p, last);

    if (p < last && *p == '&') {
        return p;
    }

    p = mtd_eas_span(p, last, MTD_EAS_VALUE);

    if (p == last || *p == '&') {
        return p;
    }

    value.data = NULL;

    return mtd_eas_unescape(eas, p, last, MTD_EAS_CLEAR, &value, 0);
}


/*
 * Decodes a name or a value once, up to size bytes.  Every byte must be of
 * mask after decoding; with to->data == NULL they are only looked at.
 * Returns the end of what was decoded, or NULL.
 */

static const u_char *
mtd_eas_unescape(mtd_eas_t *eas, const u_char *p, const u_char *last,
    unsigned mask, mtd_str_t *to, size_t size)
{
    int     ch;
    u_char  c;

    to->len = 0;

    while (p < last && *p != '&') {

        if (*p == '=' && mask == MTD_EAS_NAME) {
            break;
        }

        if (*p == '%') {
            ch = mtd_eas_hex(p, last);

            if (ch == -1) {
                (void) mtd_eas_malformed(eas, "invalid percent-encoding");
                return NULL;
            }

            c = (u_char) ch;
            p += 3;

        } else {
            if (!mtd_eas_is(p, MTD_EAS_VALUE)) {
                (void) mtd_eas_malformed(eas, "invalid byte");
                return NULL;
            }

            c = *p++;
        }

        if (!(mtd_eas_class[c] & mask)) {
            (void) mtd_eas_malformed(eas, "invalid byte after decoding");
            return NULL;
        }

        if (to->data != NULL) {

            if (to->len == size) {
                (void) mtd_eas_malformed(eas, "too long after decoding");
                return NULL;
            }

            to->data[to->len++] = c;
        }
    }

    return p;
}


static int
mtd_eas_base64(mtd_eas_t *eas, const mtd_str_t *args)
{
    int            a, b, c, d;
    size_t         len, tail;
    u_char         blob[MTD_EAS_BLOB_MAX];
    const u_char  *p, *last;

    len = 0;
    p = args->data;
    last = p + args->len;

    while (last - p >= 4 && len + 3 <= sizeof(blob)) {
        a = mtd_eas_sextet[p[0]];
        b = mtd_eas_sextet[p[1]];
        c = mtd_eas_sextet[p[2]];
        d = mtd_eas_sextet[p[3]];

        if ((a | b | c | d) < 0) {
            break;
        }

        blob[len++] = (u_char) (a << 2 | b >> 4);
        blob[len++] = (u_char) (b << 4 | c >> 2);
        blob[len++] = (u_char) (c << 6 | d);
        p += 4;
    }

    if (mtd_eas_base64_tail(eas, p, last, blob + len, sizeof(blob) - len,
                            &tail)
        != MTD_EAS_OK)
    {
        return MTD_EAS_MALFORMED;
    }

    return mtd_eas_blob(eas, blob, blob + len + tail);
}


/* base64 with escapes and padding */

static int
mtd_eas_base64_tail(mtd_eas_t *eas, const u_char *p, const u_char *last,
    u_char *to, size_t size, size_t *len)
{
    int       ch;
    size_t    n, padding, out;
    uint32_t  bits;

    n = 0;
    padding = 0;
    out = 0;
    bits = 0;

    while (p < last) {
        ch = *p;

        if (ch == '%') {
            ch = mtd_eas_hex(p, last);

            if (ch != '+' && ch != '/' && ch != '=') {
                return mtd_eas_malformed(eas, "invalid escape in base64");
            }

            p += 2;
        }

        p++;
        n++;
        bits <<= 6;

        if (ch == '=') {
            padding++;

        } else {
            if (mtd_eas_sextet[ch] == -1 || padding) {
                return mtd_eas_malformed(eas, "invalid base64");
            }

            bits |= mtd_eas_sextet[ch];
        }

        if (n % 4) {
            continue;
        }

        if (size - out < 3) {
            return mtd_eas_malformed(eas, "base64 too long");
        }

        to[out++] = (u_char) (bits >> 16);
        to[out++] = (u_char) (bits >> 8);
        to[out++] = (u_char) bits;
    }

    if (n % 4 || padding > 2) {
        return mtd_eas_malformed(eas, "invalid padding of base64");
    }

    /* the bits that no byte was made of */

    if (bits & ((1u << 8 * padding) - 1)) {
        return mtd_eas_malformed(eas, "invalid end of base64");
    }

    *len = out - padding;

    return MTD_EAS_OK;
}


static int
mtd_eas_blob(mtd_eas_t *eas, const u_char *p, const u_char *last)
{
    size_t         len;
    const u_char  *id;

    if (last - p < MTD_EAS_BLOB_MIN) {
        return mtd_eas_malformed(eas, "truncated");
    }

    if (p[0] != 121 && p[0] != 140 && p[0] != 141 && p[0] != 160
        && p[0] != 161)
    {
        return mtd_eas_malformed(eas, "unknown protocol version");
    }

    if (p[1] > MTD_EAS_FIND
        || (p[1] > MTD_EAS_GET_ATTACHMENT && p[1] < MTD_EAS_FOLDER_SYNC))
    {
        return mtd_eas_malformed(eas, "unknown command code");
    }

    eas->version = p[0];
    eas->command = p[1];

    len = p[4];
    p += 5;

    if (len == 0 || len > MTD_EAS_BYTES_MAX) {
        return mtd_eas_malformed(eas, "invalid length of device id");
    }

    /* the lengths of policy key and device type are there, too */

    if ((size_t) (last - p) < len + 2) {
        return mtd_eas_malformed(eas, "device id past the end");
    }

    id = p;
    p += len;

    mtd_eas_candidates(eas, id, len);

    len = *p++;

    if (len != 0 && len != 4) {
        return mtd_eas_malformed(eas, "invalid length of policy key");
    }

    if ((size_t) (last - p) < len + 1) {
        return mtd_eas_malformed(eas, "policy key past the end");
    }

    p += len;
    len = *p++;

    if ((size_t) (last - p) < len) {
        return mtd_eas_malformed(eas, "device type past the end");
    }

    return mtd_eas_tags(eas, p + len, last);
}


static int
mtd_eas_tags(mtd_eas_t *eas, const u_char *p, const u_char *last)
{
    unsigned  seen;

    seen = 0;

    while (p < last) {

        if (*p > MTD_EAS_TAG_USER) {
            return mtd_eas_malformed(eas, "unknown parameter tag");
        }

        if (seen & (1u << *p)) {
            return mtd_eas_malformed(eas, "duplicate parameter tag");
        }

        seen |= 1u << *p;

        if (last - p < 2 || last - p - 2 < p[1]) {
            return mtd_eas_malformed(eas, "parameter past the end");
        }

        p += 2 + p[1];
    }

    return MTD_EAS_OK;
}


/*
 * The id is a text or bytes, and nothing says which.  16 bytes that read as
 * a text may still be known by their hex digits.
 */

static void
mtd_eas_candidates(mtd_eas_t *eas, const u_char *p, size_t len)
{
    size_t         i;
    mtd_eas_id_t  *id;

    static const u_char  hex[] = "0123456789abcdef";

    if (mtd_eas_fold(eas->id[0].data, p, 0, len) == len) {
        mtd_eas_text_id(eas, len);

        if (len != 16) {
            return;
        }
    }

    id = &eas->id[eas->n++];

    for (i = 0; i < len; i++) {
        id->data[2 * i] = hex[p[i] >> 4];
        id->data[2 * i + 1] = hex[p[i] & 0xf];
    }

    id->len = 2 * len;
}


/* id[0] has its data */

static void
mtd_eas_text_id(mtd_eas_t *eas, size_t len)
{
    eas->id[0].len = len;
    eas->no_device = (len <= MTD_EAS_WORD_MAX)
                     && mtd_eas_no_device(&eas->id[0]);
    eas->n = !eas->no_device;
}


/*
 * Copies letters and digits in lower case, from the i-th of len bytes on, and
 * returns the number of all that there are.
 */

static size_t
mtd_eas_fold(u_char *to, const u_char *p, size_t i, size_t len)
{
    uint64_t  word, lower, letter, digit;

    for ( /* void */ ; i + 8 <= len; i += 8) {
        memcpy(&word, p + i, 8);

        if (word & MTD_EAS_EACH(0x80)) {
            break;
        }

        /* a byte's high bit is set if it is not below one, but the other */

        lower = word | MTD_EAS_EACH(0x20);
        letter = (lower + MTD_EAS_EACH(0x80 - 'a'))
                 & ~(lower + MTD_EAS_EACH(0x7f - 'z'));
        digit = (word + MTD_EAS_EACH(0x80 - '0'))
                & ~(word + MTD_EAS_EACH(0x7f - '9'));

        if (((letter | digit) & MTD_EAS_EACH(0x80)) != MTD_EAS_EACH(0x80)) {
            break;
        }

        memcpy(to + i, &lower, 8);
    }

    while (i < len && mtd_eas_is(p + i, MTD_EAS_ALNUM)) {
        to[i] = p[i] | 0x20;
        i++;
    }

    return i;
}


/* what clients send that have no id */

static int
mtd_eas_no_device(const mtd_eas_id_t *id)
{
    switch (id->len) {

    case 1:
        return id->data[0] == '0';

    case 8:
        return memcmp(id->data, "validate", 8) == 0;

    case 10:
        return memcmp(id->data, "webservice", 10) == 0;

    default:
        return 0;
    }
}


/* the byte of a %XX at p, or -1 */

static int
mtd_eas_hex(const u_char *p, const u_char *last)
{
    int  high, low;

    if (last - p < 3) {
        return -1;
    }

    high = mtd_eas_digit(p[1]);
    low = mtd_eas_digit(p[2]);

    return (high == -1 || low == -1) ? -1 : high << 4 | low;
}


static int
mtd_eas_digit(u_char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }

    c |= 0x20;

    return (c >= 'a' && c <= 'f') ? c - 'a' + 10 : -1;
}


static int
mtd_eas_command(const u_char *p, size_t len)
{
    const mtd_eas_command_t  *command;

    for (command = mtd_eas_commands; command->name.len; command++) {

        if (command->name.len == len
            && mtd_eas_word(p) == mtd_eas_word(command->name.data)
            && mtd_eas_equal(p + 4, command->name.data + 4, len - 4))
        {
            return command->number;
        }
    }

    return -1;
}


static int
mtd_eas_equal(const u_char *p, const u_char *lower, size_t len)
{
    size_t  i;

    for (i = 0; i < len; i++) {
        if ((p[i] | 0x20) != lower[i]) {
            return 0;
        }
    }

    return 1;
}


static int
mtd_eas_malformed(mtd_eas_t *eas, const char *why)
{
    eas->n = 0;
    eas->why = why;

    return MTD_EAS_MALFORMED;
}
