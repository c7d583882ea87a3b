
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * The file that keeps what a zone knows over a restart.  Numbers are little
 * endian, so a file is good for any machine:
 *
 *   header    MTD_STATE_HEADER bytes: magic, version, flags, fingerprint,
 *             hash key, times, lengths, SHA-256 of what follows, and an HMAC
 *             of all that
 *   devices   of MTD_STATE_DEVICE bytes
 *   aliases   of mtd_state_alias_size() bytes
 *   texts     number, length, bytes
 *
 * Ages are counted back from the header's times.  Plain C, needs OpenSSL.
 */


#ifndef _MTD_STATE_H_INCLUDED_
#define _MTD_STATE_H_INCLUDED_


#include "mtd_hash.h"
#include "mtd_record.h"


#define MTD_STATE_HEADER     152            /* bytes */
#define MTD_STATE_DEVICE     60
#define MTD_STATE_NAMED      56             /* an alias with its name */
#define MTD_STATE_PLAIN      40
#define MTD_STATE_TEXT       8              /* before its bytes */
#define MTD_STATE_DIGEST     32
#define MTD_STATE_AGE_MAX    (400ULL * 86400 * 1000)


/* what makes contents valid, and who may have written them */

typedef struct {
    u_char           key[MTD_STATE_DIGEST];
    u_char           fingerprint[16];
} mtd_state_seal_t;


typedef struct {
    mtd_hash_key_t   key;                   /* of the zone, 0: by its secret */
    uint64_t         wall;                  /* Unix ms */
    uint64_t         clock;                 /* monotonic ms */
    uint64_t         devices;
    uint64_t         aliases;
    uint64_t         texts;                 /* bytes */
    unsigned         named:1;               /* aliases have names */
} mtd_state_head_t;


/* times are ages in ms */

typedef struct {
    mtd_hash_t       key;
    uint64_t         age;
    mtd_record_t     record;
} mtd_state_device_t;


typedef struct {
    mtd_hash_t       key;
    mtd_hash_t       device;
    mtd_hash_t       name;                  /* the key, if names are plain */
    uint64_t         age;
} mtd_state_alias_t;


typedef struct {
    uint32_t         number;
    mtd_str_t        text;
} mtd_state_text_t;


/* secret.len == 0: none; returns 0, or -1 */

int mtd_state_seal(mtd_state_seal_t *seal, const mtd_str_t *secret,
    const mtd_str_t *zone);


static inline size_t
mtd_state_alias_size(unsigned named)
{
    return named ? MTD_STATE_NAMED : MTD_STATE_PLAIN;
}


/* write at p and return the end; the caller has made room */

u_char *mtd_state_put_device(u_char *p, const mtd_state_device_t *device);
u_char *mtd_state_put_alias(u_char *p, const mtd_state_alias_t *alias,
    unsigned named);
u_char *mtd_state_put_text(u_char *p, const mtd_state_text_t *text);

/* digest is the SHA-256 of all that follows the header; returns 0, or -1 */

int mtd_state_put_head(u_char *p, const mtd_state_head_t *head,
    const u_char *digest, const mtd_state_seal_t *seal);

/*
 * Of a file of size bytes, the first MTD_STATE_HEADER of which are at p.
 * Returns NULL, or why the file is of no use.
 */

const char *mtd_state_head(const u_char *p, uint64_t size,
    mtd_state_head_t *head, const mtd_state_seal_t *seal);

/* the same of the whole file, of which _head() has approved */

const char *mtd_state_body(const u_char *p, const mtd_state_head_t *head);

/* of a file of which both have approved: i must be below the header's */

void mtd_state_device(const u_char *p, const mtd_state_head_t *head,
    uint64_t i, mtd_state_device_t *device);
void mtd_state_alias(const u_char *p, const mtd_state_head_t *head,
    uint64_t i, mtd_state_alias_t *alias);

/* *at is 0 at first; returns 0 after the last one */

int mtd_state_text(const u_char *p, const mtd_state_head_t *head,
    uint64_t *at, mtd_state_text_t *text);


#endif /* _MTD_STATE_H_INCLUDED_ */
