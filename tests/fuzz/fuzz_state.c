
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * The input is a secret, a zone's name, each a line, and how to make a file
 * of the rest; most of what follows comes to be signed as the gate would, or
 * nothing behind the signature were ever reached.
 */


#include "fuzz.h"
#include "mtd_state.h"

#include <openssl/evp.h>


#define FUZZ_NAMED   0x01           /* aliases have names */
#define FUZZ_RAW     0x02           /* the rest is the file */


typedef struct {
    unsigned          named;
    unsigned          raw;
    unsigned          devices;      /* at most */
    unsigned          aliases;
    size_t            at;           /* a byte that is changed */
    unsigned          by;
} fuzz_how_t;


typedef struct {
    u_char           *p;
    size_t            size;
    mtd_state_head_t  head;
} fuzz_file_t;


static uint64_t
fuzz_number(const u_char *p, unsigned bytes)
{
    uint64_t  n;

    n = 0;

    while (bytes--) {
        n = n << 8 | p[bytes];
    }

    return n;
}


static void
fuzz_digest(const u_char *p, size_t len, u_char *md)
{
    unsigned  n;

    if (!EVP_Digest(p, len, md, &n, EVP_sha256(), NULL)) {
        abort();
    }
}


/* what may be believed, by the bytes as the header describes them */

static int
fuzz_may(const u_char *p, const mtd_state_head_t *head)
{
    uint64_t  i, len, left, number, before;

    p += MTD_STATE_HEADER;

    for (i = 0; i < head->devices; i++, p += 60) {
        if ((fuzz_number(p, 8) | fuzz_number(p + 8, 8)) == 0
            || fuzz_number(p + 16, 8) > MTD_STATE_AGE_MAX
            || p[54] > MTD_THREAT_MISCONFIGURED || p[55] > MTD_ACTION_WIPE
            || p[56] > MTD_COMPLIANCE_CONFIG_MANAGER
            || p[57] > MTD_ENROLLED_APP)
        {
            return 0;
        }
    }

    for (i = 0; i < head->aliases; i++, p += head->named ? 56 : 40) {
        if ((fuzz_number(p, 8) | fuzz_number(p + 8, 8)) == 0
            || fuzz_number(p + 32, 8) > MTD_STATE_AGE_MAX
            || (head->named
                && (fuzz_number(p + 40, 8) | fuzz_number(p + 48, 8)) == 0))
        {
            return 0;
        }
    }

    before = 0;

    for (left = head->texts; left; left -= 8 + len, p += 8 + len) {

        if (left < 8) {
            return 0;
        }

        number = fuzz_number(p, 4);
        len = fuzz_number(p + 4, 4);

        if (len == 0 || len > 8192 || len > left - 8 || number <= before) {
            return 0;
        }

        before = number;
    }

    return 1;
}


/* what was read, written again, is what was there */

static void
fuzz_again(const fuzz_file_t *file)
{
    u_char              *p, *again;
    uint64_t             i, at;
    mtd_state_text_t     text;
    mtd_state_alias_t    alias;
    mtd_state_device_t   device;

    again = fuzz_copy(file->p, file->size);
    p = again + MTD_STATE_HEADER;

    for (i = 0; i < file->head.devices; i++) {
        mtd_state_device(file->p, &file->head, i, &device);
        p = mtd_state_put_device(p, &device);

        /* any number but 0 is a yes */

        fuzz_check(fuzz_number(p - 2, 2) == device.record.damaged
                   && (device.record.damaged == 0)
                      == (fuzz_number(file->p + (p - again) - 2, 2) == 0),
                   "damaged");
        memcpy(p - 2, file->p + (p - again) - 2, 2);
    }

    for (i = 0; i < file->head.aliases; i++) {
        mtd_state_alias(file->p, &file->head, i, &alias);
        fuzz_check(file->head.named
                   || mtd_hash_equal(&alias.name, &alias.key), "a name");
        p = mtd_state_put_alias(p, &alias, file->head.named);
    }

    at = 0;

    while (mtd_state_text(file->p, &file->head, &at, &text)) {
        fuzz_check(at <= file->head.texts, "a text is behind the end");
        p = mtd_state_put_text(p, &text);
    }

    fuzz_check(p == again + file->size, "another length");
    fuzz_check(memcmp(again, file->p, file->size) == 0, "other bytes");

    free(again);
}


static const char *
fuzz_head(const u_char *p, size_t size, mtd_state_head_t *head,
    const mtd_state_seal_t *seal)
{
    u_char      *copy;
    const char  *why;

    copy = fuzz_copy(p, size < MTD_STATE_HEADER ? size : MTD_STATE_HEADER);

    memset(head, 0xff, sizeof(mtd_state_head_t));
    why = mtd_state_head(copy, size, head, seal);

    free(copy);

    return why;
}


/* NULL: it would be loaded */

static const char *
fuzz_load(const u_char *p, size_t size, const mtd_state_seal_t *seal)
{
    const char   *why;
    fuzz_file_t   file;

    why = fuzz_head(p, size, &file.head, seal);

    if (why == NULL) {
        file.size = size;
        file.p = fuzz_copy(p, size);

        why = mtd_state_body(file.p, &file.head);

        if (why == NULL) {
            fuzz_check(fuzz_may(p, &file.head), "what may not be");
            fuzz_again(&file);
        }

        free(file.p);
    }

    return why;
}


/* the rest of the input as contents, under a header that says so */

static void
fuzz_make(fuzz_file_t *file, const fuzz_how_t *how, const uint8_t *data,
    size_t size, const mtd_state_seal_t *seal)
{
    size_t             alias;
    u_char             md[EVP_MAX_MD_SIZE];
    mtd_state_head_t  *head;

    head = &file->head;
    memset(head, 0, sizeof(mtd_state_head_t));

    alias = how->named ? MTD_STATE_NAMED : MTD_STATE_PLAIN;

    head->named = how->named;
    head->wall = size ? fuzz_number(data, size < 8 ? size : 8) : 0;
    head->clock = ~head->wall;
    head->key.word[0] = how->at;
    head->key.word[1] = how->by;

    head->devices = size / MTD_STATE_DEVICE;
    head->devices = head->devices < how->devices ? head->devices
                                                 : how->devices;
    head->texts = size - head->devices * MTD_STATE_DEVICE;

    head->aliases = head->texts / alias;
    head->aliases = head->aliases < how->aliases ? head->aliases
                                                 : how->aliases;
    head->texts -= head->aliases * alias;

    file->size = MTD_STATE_HEADER + size;
    file->p = malloc(file->size);

    if (file->p == NULL) {
        abort();
    }

    if (size) {
        memcpy(file->p + MTD_STATE_HEADER, data, size);
    }

    fuzz_digest(file->p + MTD_STATE_HEADER, size, md);

    if (mtd_state_put_head(file->p, head, md, seal) != 0) {
        abort();
    }
}


static void
fuzz_signed(const fuzz_how_t *how, const uint8_t *data, size_t size,
    const mtd_state_seal_t *seal)
{
    const char        *why;
    fuzz_file_t        file;
    mtd_state_head_t   head;

    fuzz_make(&file, how, data, size, seal);

    fuzz_check(fuzz_head(file.p, file.size, &head, seal) == NULL,
               "a header of our own is refused");
    fuzz_check(head.named == file.head.named
               && head.wall == file.head.wall
               && head.clock == file.head.clock
               && head.devices == file.head.devices
               && head.aliases == file.head.aliases
               && head.texts == file.head.texts
               && mtd_hash_equal(&head.key, &file.head.key),
               "another header");

    why = fuzz_load(file.p, file.size, seal);
    fuzz_check((why == NULL) == fuzz_may(file.p, &head), "what may be");

    /* shorter, longer, and with any byte changed it is none */

    fuzz_check(fuzz_load(file.p, file.size - 1, seal), "its end is cut off");
    fuzz_check(fuzz_head(file.p, file.size + 1, &head, seal), "it is longer");

    if (how->by) {
        file.p[how->at % file.size] ^= how->by;
        fuzz_check(fuzz_load(file.p, file.size, seal), "a byte was changed");
    }

    free(file.p);
}


/* a header is right if what it counts is as long as the file */

static void
fuzz_lengths(const fuzz_how_t *how, const uint8_t *data, size_t size,
    const mtd_state_seal_t *seal)
{
    u_char             p[MTD_STATE_HEADER], md[EVP_MAX_MD_SIZE];
    uint64_t           n[3], max;
    unsigned           i;
    mtd_state_head_t   head, read;
    unsigned __int128  sum;

    max = 1ULL << 40;

    if (size < sizeof(n)) {
        return;
    }

    for (i = 0; i < 3; i++) {
        n[i] = fuzz_number(data + 8 * i, 8);
    }

    memset(md, 0, sizeof(md));
    memset(&head, 0, sizeof(head));

    head.named = how->named;
    head.devices = n[0];
    head.aliases = n[1];
    head.texts = n[2];

    if (mtd_state_put_head(p, &head, md, seal) != 0) {
        abort();
    }

    sum = MTD_STATE_HEADER;
    sum += (unsigned __int128) n[0] * 60;
    sum += (unsigned __int128) n[1] * (how->named ? 56 : 40);
    sum += n[2];

    fuzz_check((fuzz_head(p, (uint64_t) sum, &read, seal) == NULL)
               == (n[0] <= max && n[1] <= max && n[2] <= max), "lengths");
    fuzz_check(fuzz_head(p, (uint64_t) sum + 1 + how->at, &read, seal),
               "a length that is another one");
}


static int
fuzz_seal(mtd_state_seal_t *seal, mtd_str_t *secret, mtd_str_t *zone)
{
    int     rc;
    u_char  *s, *z;

    s = fuzz_copy(secret->data, secret->len);
    z = fuzz_copy(zone->data, zone->len);

    secret->data = s;
    zone->data = z;

    rc = mtd_state_seal(seal, secret, zone);

    fuzz_check((rc == 0) == (zone->len <= 249), "length of a name");

    free(z);
    free(s);

    return rc;
}


/* what one has written is nothing to another zone */

static void
fuzz_others(const fuzz_how_t *how, const mtd_state_seal_t *seal,
    const mtd_str_t *zone)
{
    fuzz_file_t        file;
    static u_char      name[] = "another one";
    static mtd_str_t   secret, other = { sizeof(name) - 1, name };
    mtd_state_seal_t   seal_other;
    mtd_state_head_t   head;

    if (zone->len == other.len && memcmp(zone->data, name, other.len) == 0) {
        return;
    }

    if (mtd_state_seal(&seal_other, &secret, &other) != 0) {
        abort();
    }

    fuzz_make(&file, how, (const uint8_t *) "", 0, seal);

    fuzz_check(fuzz_head(file.p, file.size, &head, &seal_other),
               "a file of another zone");

    free(file.p);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mtd_str_t         secret, zone, name;
    fuzz_how_t        how;
    mtd_state_seal_t  seal;

    secret = fuzz_line(&data, &size);
    name = zone = fuzz_line(&data, &size);

    if (fuzz_seal(&seal, &secret, &zone) != 0 || size < 6) {
        return 0;
    }

    how.named = (data[0] & FUZZ_NAMED) != 0;
    how.raw = (data[0] & FUZZ_RAW) != 0;
    how.devices = data[1];
    how.aliases = data[2];
    how.at = fuzz_number(data + 3, 2);
    how.by = data[5];

    data += 6;
    size -= 6;

    if (how.raw) {
        (void) fuzz_load(data, size, &seal);
        return 0;
    }

    fuzz_signed(&how, data, size, &seal);
    fuzz_lengths(&how, data, size, &seal);
    fuzz_others(&how, &seal, &name);

    return 0;
}
