
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include "mtd_policy.h"


#define MTD_POLICY_AHEAD  86400     /* seconds */


/*
 * Each step returns 1 when it has decided and 0 when the next one has the
 * word; the order of the steps is the order of the reasons.
 */

static mtd_verdict_t mtd_policy_decide(const mtd_policy_t *policy,
    const mtd_facts_t *facts, const mtd_record_t *rec, uint32_t now);
static int mtd_policy_bypassed(unsigned reason, const mtd_record_t *rec);
static int mtd_policy_request(mtd_verdict_t *v, const mtd_policy_t *policy,
    const mtd_facts_t *facts);
static int mtd_policy_lookup(mtd_verdict_t *v, const mtd_policy_t *policy,
    const mtd_facts_t *facts, const mtd_record_t *rec);
static int mtd_policy_action(mtd_verdict_t *v, const mtd_policy_t *policy,
    const mtd_record_t *rec);
static int mtd_policy_threat(mtd_verdict_t *v, const mtd_policy_t *policy,
    const mtd_record_t *rec, uint32_t now);
static int mtd_policy_old(uint32_t reported_at, uint32_t max_age,
    uint32_t now);
static int mtd_policy_compliance(mtd_verdict_t *v, const mtd_policy_t *policy,
    const mtd_record_t *rec, uint32_t now);


static int
mtd_policy_set(mtd_verdict_t *v, unsigned decision, unsigned reason)
{
    v->decision = decision;
    v->reason = reason;

    return 1;
}


mtd_verdict_t
mtd_decide(const mtd_policy_t *policy, const mtd_facts_t *facts,
    const mtd_record_t *rec, uint32_t now)
{
    mtd_verdict_t  v;

    v = mtd_policy_decide(policy, facts, rec, now);

    if (v.decision != MTD_ALLOW && facts->bypass && policy && policy->bypass
        && mtd_policy_bypassed(v.reason, rec))
    {
        mtd_policy_set(&v, MTD_ALLOW, MTD_REASON_BYPASS);
    }

    return v;
}


static mtd_verdict_t
mtd_policy_decide(const mtd_policy_t *policy, const mtd_facts_t *facts,
    const mtd_record_t *rec, uint32_t now)
{
    mtd_verdict_t  v;

    if (mtd_policy_request(&v, policy, facts)
        || mtd_policy_lookup(&v, policy, facts, rec)
        || mtd_policy_action(&v, policy, rec)
        || mtd_policy_threat(&v, policy, rec, now))
    {
        return v;
    }

    mtd_policy_set(&v, MTD_ALLOW, MTD_REASON_SECURED_ENOUGH);

    if (mtd_policy_compliance(&v, policy, rec, now)) {
        return v;
    }

    if (facts->stale) {
        v.reason = MTD_REASON_STALE_ALLOWED;
    }

    return v;
}


/*
 * What is held against a device, or not known of it.  What is wrong with the
 * request itself, and what the administrator has said of this very device,
 * or may have where that cannot be read, is no part of an emergency.
 */

static int
mtd_policy_bypassed(unsigned reason, const mtd_record_t *rec)
{
    if (rec && rec->damaged) {
        return 0;
    }

    switch (reason) {

    case MTD_REASON_UNIDENTIFIED:
    case MTD_REASON_STORE_UNAVAILABLE:
    case MTD_REASON_UNKNOWN_DEVICE:
    case MTD_REASON_COMPROMISED:
    case MTD_REASON_THREAT_LEVEL:
    case MTD_REASON_THREAT_MISSING:
    case MTD_REASON_THREAT_STALE:
    case MTD_REASON_NOT_ENROLLED:
    case MTD_REASON_NONCOMPLIANT:
    case MTD_REASON_GRACE_OVER:
        return 1;

    default:
        return 0;
    }
}


mtd_verdict_t
mtd_stricter_verdict(mtd_verdict_t a, mtd_verdict_t b)
{
    static const uint8_t  rank[MTD_DECISION_N] = {
        0, /* MTD_ALLOW */
        2, /* MTD_BLOCK */
        1  /* MTD_REMEDIATE */
    };

    if (rank[a.decision] != rank[b.decision]) {
        return (rank[a.decision] > rank[b.decision]) ? a : b;
    }

    /* a record that was refused but for the bypass is worth telling */

    if (b.reason == MTD_REASON_BYPASS) {
        return b;
    }

    return (a.reason == MTD_REASON_BYPASS || a.reason <= b.reason) ? a : b;
}


static int
mtd_policy_request(mtd_verdict_t *v, const mtd_policy_t *policy,
    const mtd_facts_t *facts)
{
    /* of nearly every request there is nothing to say, and this is one test */

    if (!(facts->malformed || facts->path_refused || facts->open_endpoint
          || facts->exempt || facts->policy_error || facts->ambiguous
          || facts->identity_mismatch || facts->user_mismatch
          || facts->deferred)
        && policy)
    {
        return 0;
    }

    if (facts->malformed) {
        return mtd_policy_set(v, MTD_BLOCK, MTD_REASON_MALFORMED);
    }

    if (facts->path_refused) {
        return mtd_policy_set(v, MTD_BLOCK, MTD_REASON_PATH_REFUSED);
    }

    if (facts->open_endpoint) {
        return mtd_policy_set(v, MTD_ALLOW, MTD_REASON_OPEN_ENDPOINT);
    }

    if (facts->exempt) {
        return mtd_policy_set(v, MTD_ALLOW, MTD_REASON_EXEMPT);
    }

    if (facts->policy_error || policy == NULL) {
        return mtd_policy_set(v, MTD_BLOCK, MTD_REASON_POLICY_ERROR);
    }

    if (facts->ambiguous) {
        return mtd_policy_set(v, MTD_BLOCK, MTD_REASON_AMBIGUOUS);
    }

    if (facts->identity_mismatch || facts->user_mismatch) {
        return mtd_policy_set(v, MTD_BLOCK, MTD_REASON_IDENTITY_MISMATCH);
    }

    if (facts->deferred) {
        return mtd_policy_set(v, MTD_ALLOW, MTD_REASON_DEFERRED_CLOUD);
    }

    return 0;
}


static int
mtd_policy_lookup(mtd_verdict_t *v, const mtd_policy_t *policy,
    const mtd_facts_t *facts, const mtd_record_t *rec)
{
    if (facts->unidentified) {
        return mtd_policy_set(v, policy->unidentified,
                              MTD_REASON_UNIDENTIFIED);
    }

    if (facts->failed) {
        if (policy->store_failure == MTD_ALLOW) {
            return mtd_policy_set(v, MTD_ALLOW, MTD_REASON_FAILURE_ALLOWED);
        }

        return mtd_policy_set(v, MTD_BLOCK, MTD_REASON_STORE_UNAVAILABLE);
    }

    if (rec == NULL) {
        return mtd_policy_set(v, policy->unknown_device,
                              MTD_REASON_UNKNOWN_DEVICE);
    }

    return 0;
}


static int
mtd_policy_action(mtd_verdict_t *v, const mtd_policy_t *policy,
    const mtd_record_t *rec)
{
    if (rec->action == MTD_ACTION_BLOCK) {
        return mtd_policy_set(v, MTD_BLOCK, MTD_REASON_ADMIN_BLOCK);
    }

    if (rec->action == MTD_ACTION_WIPE) {
        return mtd_policy_set(v, MTD_BLOCK, MTD_REASON_WIPE_PENDING);
    }

    /* what could not be read may have been a refusal, so nothing allows */

    if (rec->damaged) {
        return mtd_policy_set(v, (policy->missing_threat == MTD_ALLOW)
                                 ? MTD_BLOCK : policy->missing_threat,
                              MTD_REASON_THREAT_MISSING);
    }

    if (rec->action == MTD_ACTION_ALLOW) {
        return mtd_policy_set(v, MTD_ALLOW, MTD_REASON_ADMIN_ALLOW);
    }

    return 0;
}


static int
mtd_policy_threat(mtd_verdict_t *v, const mtd_policy_t *policy,
    const mtd_record_t *rec, uint32_t now)
{
    switch (rec->threat) {

    case MTD_THREAT_COMPROMISED:
        return mtd_policy_set(v, policy->on_threat, MTD_REASON_COMPROMISED);

    case MTD_THREAT_SECURED:
        break;

    case MTD_THREAT_LOW:
    case MTD_THREAT_MEDIUM:
    case MTD_THREAT_HIGH:

        if (rec->threat > policy->max_threat) {
            return mtd_policy_set(v, policy->on_threat,
                                  MTD_REASON_THREAT_LEVEL);
        }

        break;

    default: /* no report that says how the device is */

        if (policy->missing_threat != MTD_ALLOW) {
            return mtd_policy_set(v, policy->missing_threat,
                                  MTD_REASON_THREAT_MISSING);
        }
    }

    if (policy->max_age == 0 || policy->missing_threat == MTD_ALLOW) {
        return 0;
    }

    if (rec->reported_at == 0
        || mtd_policy_old(rec->reported_at, policy->max_age, now))
    {
        return mtd_policy_set(v, policy->missing_threat,
                              MTD_REASON_THREAT_STALE);
    }

    return 0;
}


/*
 * A report from the future is one of a clock that is ahead, or of another
 * time zone; but no clock is so far ahead that the report never gets old.
 */

static int
mtd_policy_old(uint32_t reported_at, uint32_t max_age, uint32_t now)
{
    if (now >= reported_at) {
        return now - reported_at > max_age;
    }

    return reported_at - now > (max_age > MTD_POLICY_AHEAD ? max_age
                                                           : MTD_POLICY_AHEAD);
}


static int
mtd_policy_compliance(mtd_verdict_t *v, const mtd_policy_t *policy,
    const mtd_record_t *rec, uint32_t now)
{
    /* a device under no management has no compliance to look at */

    if (rec->enrolled == MTD_ENROLLED_APP) {
        if (policy->unenrolled == MTD_ALLOW) {
            return 0;
        }

        return mtd_policy_set(v, policy->unenrolled, MTD_REASON_NOT_ENROLLED);
    }

    if (!policy->compliance) {
        return 0;
    }

    switch (rec->compliance) {

    case MTD_COMPLIANCE_COMPLIANT:
        return 0;

    case MTD_COMPLIANCE_GRACE:

        if (policy->grace && rec->grace_until > now) {
            v->reason = MTD_REASON_IN_GRACE;
            return 0;
        }

        return mtd_policy_set(v, policy->on_noncompliant,
                              MTD_REASON_GRACE_OVER);

    default:
        return mtd_policy_set(v, policy->on_noncompliant,
                              MTD_REASON_NONCOMPLIANT);
    }
}
