
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * The decision: a pure function of policy, record and time.  Plain C.
 */


#ifndef _MTD_POLICY_H_INCLUDED_
#define _MTD_POLICY_H_INCLUDED_


#include "mtd_record.h"


typedef struct {
    uint8_t    max_threat;          /* mtd_threat_e, SECURED .. HIGH */
    uint8_t    compliance;          /* 1: required */
    uint8_t    grace;               /* 1: inGracePeriod is honoured */
    uint8_t    missing_threat;      /* mtd_decision_e */
    uint8_t    unknown_device;      /* mtd_decision_e */
    uint8_t    unidentified;        /* mtd_decision_e */
    uint8_t    unenrolled;          /* mtd_decision_e */
    uint8_t    on_threat;           /* MTD_BLOCK or MTD_REMEDIATE */
    uint8_t    on_noncompliant;     /* MTD_BLOCK or MTD_REMEDIATE */
    uint8_t    store_failure;       /* MTD_ALLOW or MTD_BLOCK */
    uint8_t    bypass;              /* 1: a break-glass bypass is honoured */
    uint8_t    bind_user;           /* 1: the user must be the record's */
    uint32_t   max_age;             /* seconds, 0: reports do not age */
} mtd_policy_t;


/* what the request said and what the store answered */

typedef struct {
    unsigned   malformed:1;
    unsigned   path_refused:1;
    unsigned   open_endpoint:1;
    unsigned   exempt:1;
    unsigned   policy_error:1;      /* no such policy; policy may be NULL */
    unsigned   ambiguous:1;
    unsigned   identity_mismatch:1;
    unsigned   user_mismatch:1;     /* only where bind_user is on */
    unsigned   deferred:1;          /* another gate has decided */
    unsigned   unidentified:1;
    unsigned   failed:1;            /* the store did not say */
    unsigned   stale:1;             /* the record outlived its freshness */
    unsigned   bypass:1;            /* the administrators let devices pass */
} mtd_facts_t;


typedef struct {
    uint8_t    decision;            /* mtd_decision_e */
    uint8_t    reason;              /* mtd_reason_e */
} mtd_verdict_t;


/*
 * rec is NULL where no device is known by the identity.  now is in Unix
 * seconds.  policy may be NULL only where a fact above it decides.
 */

mtd_verdict_t mtd_decide(const mtd_policy_t *policy, const mtd_facts_t *facts,
    const mtd_record_t *rec, uint32_t now);

/*
 * Of two records that are found for one identity each is decided on, and
 * this verdict stands: block before remediate before allow, then the reason
 * that comes first in the list, which a bypass does.
 */

mtd_verdict_t mtd_stricter_verdict(mtd_verdict_t a, mtd_verdict_t b);


#endif /* _MTD_POLICY_H_INCLUDED_ */
