
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * One device's record, as it is decided on and kept in the zone, and its
 * parser.  The fields are those of a PREFIXdevice:ID hash in Redis, see
 * docs/records.md.  Plain C.
 */


#ifndef _MTD_RECORD_H_INCLUDED_
#define _MTD_RECORD_H_INCLUDED_


#include <stdint.h>

#include "mtd_words.h"


/* in the order in which the gate asks for them */

typedef enum {
    MTD_FIELD_THREAT = 0,
    MTD_FIELD_COMPLIANCE,
    MTD_FIELD_GRACE_UNTIL,
    MTD_FIELD_ENROLLED,
    MTD_FIELD_REPORTED_AT,
    MTD_FIELD_ACTION,
    MTD_FIELD_OS,
    MTD_FIELD_USER,
    MTD_FIELD_GROUPS,
    MTD_FIELD_VENDOR,
    MTD_FIELD_N
} mtd_field_e;


/*
 * Of a TTL there is room for 16 bits: up to 0x8000 it is in seconds, and
 * above in steps of 64, rounded down, up to 24 days.
 */

#define MTD_TTL_STEPS    0x8000
#define MTD_TTL_STEP     64
#define MTD_TTL_MAX      UINT16_MAX /* this or longer */

/* longest accepted text, bytes */

#define MTD_ID_MAX       128        /* a device's ID, an alias's value */
#define MTD_KIND_MAX     32
#define MTD_OS_MAX       64
#define MTD_USER_MAX     1024
#define MTD_GROUPS_MAX   8192
#define MTD_VENDOR_MAX   64


/*
 * Fixed size, kept in shared memory.  The texts are not here: os, groups and
 * vendor are numbers of interned texts, user is a keyed hash.
 */

typedef struct {
    uint64_t   user;                /* 0: none */
    uint32_t   grace_until;         /* Unix seconds, 0: none */
    uint32_t   reported_at;         /* Unix seconds, 0: never */
    uint32_t   os;                  /* 0: none */
    uint32_t   groups;
    uint32_t   vendor;
    uint16_t   ttl;                 /* from when it was read, 0: none; see
                                       mtd_ttl_seconds() */
    uint8_t    threat:4;            /* mtd_threat_e */
    uint8_t    action:4;            /* mtd_action_e */
    uint8_t    compliance:4;        /* mtd_compliance_e */
    uint8_t    enrolled:2;          /* mtd_enrolled_e */
    uint8_t    damaged:1;           /* a field could not be read: refused */
} mtd_record_t;


static inline uint16_t
mtd_ttl_pack(uint64_t seconds)
{
    if (seconds <= MTD_TTL_STEPS) {
        return (uint16_t) seconds;
    }

    seconds = MTD_TTL_STEPS + (seconds - MTD_TTL_STEPS) / MTD_TTL_STEP;

    return (seconds < MTD_TTL_MAX) ? (uint16_t) seconds : MTD_TTL_MAX;
}


static inline uint32_t
mtd_ttl_seconds(uint16_t ttl)
{
    return (ttl <= MTD_TTL_STEPS)
           ? ttl
           : MTD_TTL_STEPS + (uint32_t) (ttl - MTD_TTL_STEPS) * MTD_TTL_STEP;
}


/* the fields of one reply; data of an absent field is NULL */

typedef struct {
    mtd_str_t   field[MTD_FIELD_N];
} mtd_fields_t;


const mtd_str_t *mtd_field_name(unsigned field);

/*
 * Fills what is decided on; the numbers of the texts become 0.  Returns the
 * first field that could not be read, or -1; such a field counts as unknown
 * and sets damaged.  A text that is too long or has control bytes is such a
 * field, too.
 */

int mtd_record_parse(mtd_record_t *rec, const mtd_fields_t *fields);

/* 1 if every field is absent: there is no such device */

int mtd_fields_empty(const mtd_fields_t *fields);


#endif /* _MTD_RECORD_H_INCLUDED_ */
