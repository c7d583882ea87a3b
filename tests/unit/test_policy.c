
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "mtd_policy.h"


#define TEST_NOW      1767225600
#define TEST_MAX_AGE  86400

/* how bad a reported threat is; -1: no report, 4: worse than any limit */

#define TEST_NONE     -1
#define TEST_WORST    4


/* one ground for a decision: whether it is given, and what it then means */

typedef struct {
    unsigned   given;
    unsigned   decision;
    unsigned   reason;
} test_ground_t;


/* a case by name: the usual policy and a good device, but for ... */

typedef struct {
    const char     *name;
    mtd_policy_t    policy;
    mtd_record_t    rec;
    unsigned        stale;
    mtd_verdict_t   verdict;
} test_case_t;


static unsigned  test_seen[MTD_REASON_N];


static mtd_verdict_t
test_decide(const mtd_policy_t *policy, const mtd_facts_t *facts,
    const mtd_record_t *rec)
{
    mtd_verdict_t  v;

    v = mtd_decide(policy, facts, rec, TEST_NOW);

    if (v.reason < MTD_REASON_N) {
        test_seen[v.reason]++;
    }

    return v;
}


static int
test_severity(unsigned threat)
{
    static const int  severity[MTD_THREAT_N] = {
        TEST_NONE, TEST_NONE, TEST_NONE, 0, 1, 2, 3, TEST_NONE, TEST_WORST,
        TEST_NONE
    };

    return severity[threat];
}


/* a day ahead, or an age, is what a clock may be wrong by */

static int
test_old(const mtd_record_t *rec, int64_t max_age)
{
    int64_t  age;

    age = (int64_t) TEST_NOW - (int64_t) rec->reported_at;

    return age > max_age || age < -(max_age > 86400 ? max_age : 86400);
}


/* all grounds are looked at, the first given one is the answer */

static mtd_verdict_t
test_expected(const mtd_policy_t *policy, const mtd_record_t *rec,
    unsigned stale)
{
    int            severity;
    unsigned       i, strict, managed, grace, old;
    mtd_verdict_t  v;

    severity = test_severity(rec->threat);
    strict = policy->missing_threat != MTD_ALLOW;

    managed = rec->enrolled == MTD_ENROLLED_MDM && policy->compliance;
    grace = managed && rec->compliance == MTD_COMPLIANCE_GRACE;

    old = policy->max_age > 0
          && (rec->reported_at == 0
              || test_old(rec, policy->max_age));

    const test_ground_t  grounds[] = {

        { rec->action == MTD_ACTION_BLOCK, MTD_BLOCK,
          MTD_REASON_ADMIN_BLOCK },

        { rec->action == MTD_ACTION_WIPE, MTD_BLOCK,
          MTD_REASON_WIPE_PENDING },

        { rec->damaged && strict, policy->missing_threat,
          MTD_REASON_THREAT_MISSING },

        { rec->damaged, MTD_BLOCK, MTD_REASON_THREAT_MISSING },

        { rec->action == MTD_ACTION_ALLOW, MTD_ALLOW,
          MTD_REASON_ADMIN_ALLOW },

        { severity == TEST_WORST, policy->on_threat, MTD_REASON_COMPROMISED },

        { severity > test_severity(policy->max_threat), policy->on_threat,
          MTD_REASON_THREAT_LEVEL },

        { severity == TEST_NONE && strict, policy->missing_threat,
          MTD_REASON_THREAT_MISSING },

        { old && strict, policy->missing_threat, MTD_REASON_THREAT_STALE },

        { rec->enrolled == MTD_ENROLLED_APP
          && policy->unenrolled != MTD_ALLOW,
          policy->unenrolled, MTD_REASON_NOT_ENROLLED },

        { grace && (!policy->grace || rec->grace_until <= TEST_NOW),
          policy->on_noncompliant, MTD_REASON_GRACE_OVER },

        { managed && !grace && rec->compliance != MTD_COMPLIANCE_COMPLIANT,
          policy->on_noncompliant, MTD_REASON_NONCOMPLIANT },

        { stale, MTD_ALLOW, MTD_REASON_STALE_ALLOWED },

        { grace, MTD_ALLOW, MTD_REASON_IN_GRACE },

        { 1, MTD_ALLOW, MTD_REASON_SECURED_ENOUGH }
    };

    for (i = 0; !grounds[i].given; i++) { /* void */ }

    v.decision = grounds[i].decision;
    v.reason = grounds[i].reason;

    return v;
}


/* what an allow promises, whatever the order of the grounds; 0: broken */

static unsigned
test_allow_kept(const mtd_policy_t *policy, const mtd_record_t *rec,
    mtd_verdict_t v)
{
    int  severity;

    if (rec->damaged
        || rec->action == MTD_ACTION_BLOCK
        || rec->action == MTD_ACTION_WIPE)
    {
        return 0;
    }

    if (rec->action == MTD_ACTION_ALLOW) {
        return v.reason == MTD_REASON_ADMIN_ALLOW;
    }

    severity = test_severity(rec->threat);

    if (severity == TEST_WORST
        || severity > test_severity(policy->max_threat))
    {
        return 0;
    }

    if (policy->missing_threat != MTD_ALLOW) {
        if (severity == TEST_NONE
            || (policy->max_age
                && (rec->reported_at == 0
                    || test_old(rec, policy->max_age))))
        {
            return 0;
        }
    }

    if (rec->enrolled == MTD_ENROLLED_APP) {
        return policy->unenrolled == MTD_ALLOW;
    }

    return !policy->compliance
           || rec->compliance == MTD_COMPLIANCE_COMPLIANT
           || (rec->compliance == MTD_COMPLIANCE_GRACE
               && policy->grace
               && rec->grace_until > TEST_NOW);
}


static void
test_report(const char *what, const mtd_policy_t *policy,
    const mtd_record_t *rec, unsigned stale, mtd_verdict_t got,
    mtd_verdict_t expected)
{
    fail_msg("%s: %s %s, expected %s %s; threat %s max %u compliance %s "
             "required %u grace %u until %u reported %u max_age %u "
             "enrolled %s unenrolled %u missing %u damaged %u action \"%s\" "
             "stale %u",
             what, mtd_decision_name(got.decision)->data,
             mtd_reason_name(got.reason)->data,
             mtd_decision_name(expected.decision)->data,
             mtd_reason_name(expected.reason)->data,
             mtd_threat_name(rec->threat)->data, policy->max_threat,
             mtd_compliance_name(rec->compliance)->data, policy->compliance,
             policy->grace, rec->grace_until, rec->reported_at,
             policy->max_age, mtd_enrolled_name(rec->enrolled)->data,
             policy->unenrolled, policy->missing_threat, rec->damaged,
             mtd_action_name(rec->action)->data, stale);
}


/* what a bypass makes of a verdict without one */

static mtd_verdict_t
test_bypassed(mtd_verdict_t v)
{
    unsigned  i;

    static const unsigned  kept[] = {
        MTD_REASON_MALFORMED, MTD_REASON_PATH_REFUSED, MTD_REASON_POLICY_ERROR,
        MTD_REASON_AMBIGUOUS, MTD_REASON_IDENTITY_MISMATCH,
        MTD_REASON_ADMIN_BLOCK, MTD_REASON_WIPE_PENDING
    };

    if (v.decision == MTD_ALLOW) {
        return v;
    }

    for (i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
        if (v.reason == kept[i]) {
            return v;
        }
    }

    v.decision = MTD_ALLOW;
    v.reason = MTD_REASON_BYPASS;

    return v;
}


/* one policy and record: fresh, stale, and with a bypass */

static unsigned
test_one(const mtd_policy_t *policy, const mtd_record_t *rec)
{
    unsigned       stale;
    mtd_facts_t    facts;
    mtd_verdict_t  v[2], expected;

    memset(&facts, 0, sizeof(mtd_facts_t));

    for (stale = 0; stale < 2; stale++) {
        facts.stale = stale;

        v[stale] = test_decide(policy, &facts, rec);
        expected = test_expected(policy, rec, stale);

        if (v[stale].decision != expected.decision
            || v[stale].reason != expected.reason)
        {
            test_report("oracle", policy, rec, stale, v[stale], expected);
        }

        if ((v[stale].decision == MTD_ALLOW)
            != (v[stale].reason <= MTD_REASON_FAILURE_ALLOWED
                || v[stale].reason == MTD_REASON_BYPASS))
        {
            test_report("reason", policy, rec, stale, v[stale], expected);
        }

        if (v[stale].decision == MTD_ALLOW
            && !test_allow_kept(policy, rec, v[stale]))
        {
            test_report("allow", policy, rec, stale, v[stale], expected);
        }
    }

    if (v[0].decision != v[1].decision
        || (v[0].decision != MTD_ALLOW && v[0].reason != v[1].reason))
    {
        test_report("stale", policy, rec, 1, v[1], v[0]);
    }

    facts.bypass = 1;

    v[0] = test_decide(policy, &facts, rec);
    expected = (policy->bypass && !rec->damaged) ? test_bypassed(v[1]) : v[1];

    if (v[0].decision != expected.decision || v[0].reason != expected.reason)
    {
        test_report("bypass", policy, rec, 1, v[0], expected);
    }

    return 3;
}


/* every word of a record under one policy */

static unsigned
test_records(const mtd_policy_t *policy)
{
    unsigned      n, threat, compliance, until, reported, other;
    mtd_record_t  rec;

    static const uint32_t  untils[] = {
        0, TEST_NOW - 1, TEST_NOW, TEST_NOW + 1
    };

    static const uint32_t  reports[] = {
        0, TEST_NOW - 1, TEST_NOW - TEST_MAX_AGE,
        TEST_NOW - TEST_MAX_AGE - 1, TEST_NOW + TEST_MAX_AGE + 1
    };

    memset(&rec, 0, sizeof(mtd_record_t));

    n = 0;

    for (threat = 0; threat < MTD_THREAT_N; threat++) {
        rec.threat = threat;

        for (compliance = 0; compliance < MTD_COMPLIANCE_N; compliance++) {
            rec.compliance = compliance;

            for (until = 0; until < 4; until++) {
                rec.grace_until = untils[until];

                for (reported = 0; reported < 5; reported++) {
                    rec.reported_at = reports[reported];

                    for (other = 0; other < 16; other++) {
                        rec.enrolled = other & 1;
                        rec.damaged = (other >> 1) & 1;
                        rec.action = other >> 2;

                        n += test_one(policy, &rec);
                    }
                }
            }
        }
    }

    return n;
}


static void
test_every_record(void **state)
{
    unsigned      n, max, switches, missing, unenrolled;
    mtd_policy_t  policy;

    memset(&policy, 0, sizeof(mtd_policy_t));

    n = 0;

    for (max = MTD_THREAT_SECURED; max <= MTD_THREAT_HIGH; max++) {
        policy.max_threat = max;

        for (missing = 0; missing < MTD_DECISION_N; missing++) {
            policy.missing_threat = missing;

            for (unenrolled = 0; unenrolled < MTD_DECISION_N; unenrolled++) {
                policy.unenrolled = unenrolled;

                for (switches = 0; switches < 16; switches++) {
                    policy.compliance = switches & 1;
                    policy.grace = (switches >> 1) & 1;
                    policy.max_age = (switches & 4) ? TEST_MAX_AGE : 0;
                    policy.bypass = (switches & 4) ? 1 : 0;
                    policy.on_threat = (switches & 8) ? MTD_BLOCK
                                                      : MTD_REMEDIATE;
                    policy.on_noncompliant = (switches & 8) ? MTD_REMEDIATE
                                                            : MTD_BLOCK;

                    n += test_records(&policy);
                }
            }
        }
    }

    printf("checked %u combinations of policy and record\n", n);
}


static void
test_facts_set(mtd_facts_t *facts, unsigned set)
{
    facts->malformed = set & 1;
    facts->path_refused = (set >> 1) & 1;
    facts->open_endpoint = (set >> 2) & 1;
    facts->exempt = (set >> 3) & 1;
    facts->policy_error = (set >> 4) & 1;
    facts->ambiguous = (set >> 5) & 1;
    facts->identity_mismatch = (set >> 6) & 1;
    facts->user_mismatch = (set >> 7) & 1;
    facts->deferred = (set >> 8) & 1;
    facts->unidentified = (set >> 9) & 1;
    facts->failed = (set >> 10) & 1;
    facts->stale = (set >> 11) & 1;
    facts->bypass = (set >> 12) & 1;
}


/* what the lowest bit of a set of facts means; the record is good or blocked */

static mtd_verdict_t
test_facts_expected(unsigned set, const mtd_policy_t *policy,
    const mtd_record_t *rec)
{
    unsigned       i;
    mtd_verdict_t  v;

    const mtd_verdict_t  first[] = {
        { MTD_BLOCK, MTD_REASON_MALFORMED },
        { MTD_BLOCK, MTD_REASON_PATH_REFUSED },
        { MTD_ALLOW, MTD_REASON_OPEN_ENDPOINT },
        { MTD_ALLOW, MTD_REASON_EXEMPT },
        { MTD_BLOCK, MTD_REASON_POLICY_ERROR },
        { MTD_BLOCK, MTD_REASON_AMBIGUOUS },
        { MTD_BLOCK, MTD_REASON_IDENTITY_MISMATCH },
        { MTD_BLOCK, MTD_REASON_IDENTITY_MISMATCH },
        { MTD_ALLOW, MTD_REASON_DEFERRED_CLOUD },
        { policy->unidentified, MTD_REASON_UNIDENTIFIED },
        { policy->store_failure,
          (policy->store_failure == MTD_ALLOW) ? MTD_REASON_FAILURE_ALLOWED
                                               : MTD_REASON_STORE_UNAVAILABLE }
    };

    for (i = 0; i < 11; i++) {
        if (set & (1u << i)) {
            return first[i];
        }
    }

    if (rec == NULL) {
        v.decision = policy->unknown_device;
        v.reason = MTD_REASON_UNKNOWN_DEVICE;

    } else if (rec->action == MTD_ACTION_BLOCK) {
        v.decision = MTD_BLOCK;
        v.reason = MTD_REASON_ADMIN_BLOCK;

    } else {
        v.decision = MTD_ALLOW;
        v.reason = (set & 0x800) ? MTD_REASON_STALE_ALLOWED
                                 : MTD_REASON_SECURED_ENOUGH;
    }

    return v;
}


/* every set of facts, with no record, a good one and a blocked one */

static void
test_every_fact(void **state)
{
    unsigned             n, set, i, words;
    mtd_facts_t          facts;
    mtd_policy_t         policy;
    mtd_record_t         good, blocked;
    mtd_verdict_t        v, expected;
    const mtd_record_t  *recs[3];

    memset(&policy, 0, sizeof(mtd_policy_t));
    memset(&facts, 0, sizeof(mtd_facts_t));
    memset(&good, 0, sizeof(mtd_record_t));

    policy.max_threat = MTD_THREAT_SECURED;
    good.threat = MTD_THREAT_SECURED;
    blocked = good;
    blocked.action = MTD_ACTION_BLOCK;

    recs[0] = NULL;
    recs[1] = &good;
    recs[2] = &blocked;

    n = 0;

    for (words = 0; words < 36; words++) {
        policy.unidentified = words % 3;
        policy.unknown_device = words / 3 % 3;
        policy.store_failure = (words % 18 < 9) ? MTD_ALLOW : MTD_BLOCK;
        policy.bypass = (words < 18) ? 0 : 1;

        for (set = 0; set < 8192; set++) {
            test_facts_set(&facts, set);

            for (i = 0; i < 3; i++) {
                v = test_decide(&policy, &facts, recs[i]);
                expected = test_facts_expected(set, &policy, recs[i]);

                if (facts.bypass && policy.bypass) {
                    expected = test_bypassed(expected);
                }

                if (v.decision != expected.decision
                    || v.reason != expected.reason)
                {
                    fail_msg("facts %03x record %u words %u: %s %s", set, i,
                             words, mtd_decision_name(v.decision)->data,
                             mtd_reason_name(v.reason)->data);
                }

                n++;
            }
        }
    }

    printf("checked %u combinations of facts\n", n);
}


/* without a policy nothing is allowed that needs one */

static void
test_no_policy(void **state)
{
    unsigned       set;
    mtd_facts_t    facts;
    mtd_record_t   rec;
    mtd_policy_t   policy;
    mtd_verdict_t  v, expected;

    memset(&facts, 0, sizeof(mtd_facts_t));
    memset(&policy, 0, sizeof(mtd_policy_t));
    memset(&rec, 0, sizeof(mtd_record_t));

    rec.threat = MTD_THREAT_SECURED;
    rec.action = MTD_ACTION_ALLOW;

    for (set = 0; set < 8192; set++) {
        test_facts_set(&facts, set);

        v = test_decide(NULL, &facts, &rec);
        expected = test_facts_expected(set | 0x10, &policy, &rec);

        assert_int_equal(v.decision, expected.decision);
        assert_int_equal(v.reason, expected.reason);
    }
}


#define TEST_POLICY                                                           \
    .max_threat = MTD_THREAT_LOW, .compliance = 1, .grace = 1,                \
    .missing_threat = MTD_REMEDIATE, .unknown_device = MTD_BLOCK,             \
    .unidentified = MTD_BLOCK, .unenrolled = MTD_BLOCK,                       \
    .on_threat = MTD_REMEDIATE, .on_noncompliant = MTD_REMEDIATE,             \
    .store_failure = MTD_BLOCK, .max_age = 604800

#define TEST_GOOD                                                             \
    .threat = MTD_THREAT_SECURED, .compliance = MTD_COMPLIANCE_COMPLIANT,     \
    .reported_at = TEST_NOW - 60


static const test_case_t  test_cases[] = {

    { "an enrolled, compliant, secured phone",
      { TEST_POLICY }, { TEST_GOOD }, 0,
      { MTD_ALLOW, MTD_REASON_SECURED_ENOUGH } },

    { "the same while the store is away",
      { TEST_POLICY }, { TEST_GOOD }, 1,
      { MTD_ALLOW, MTD_REASON_STALE_ALLOWED } },

    { "its vendor reports a high threat",
      { TEST_POLICY },
      { .threat = MTD_THREAT_HIGH, .reported_at = TEST_NOW,
        .compliance = MTD_COMPLIANCE_COMPLIANT }, 0,
      { MTD_REMEDIATE, MTD_REASON_THREAT_LEVEL } },

    { "a threat and no compliance: the threat is named",
      { TEST_POLICY },
      { .threat = MTD_THREAT_MEDIUM, .reported_at = TEST_NOW,
        .compliance = MTD_COMPLIANCE_NONCOMPLIANT }, 0,
      { MTD_REMEDIATE, MTD_REASON_THREAT_LEVEL } },

    { "compromised, reported long ago",
      { TEST_POLICY },
      { .threat = MTD_THREAT_COMPROMISED, .reported_at = 1,
        .compliance = MTD_COMPLIANCE_COMPLIANT }, 0,
      { MTD_REMEDIATE, MTD_REASON_COMPROMISED } },

    { "a record that says nothing",
      { TEST_POLICY }, { .threat = MTD_THREAT_UNKNOWN }, 0,
      { MTD_REMEDIATE, MTD_REASON_THREAT_MISSING } },

    { "the vendor's app was taken off",
      { TEST_POLICY },
      { .threat = MTD_THREAT_DEACTIVATED, .reported_at = TEST_NOW,
        .compliance = MTD_COMPLIANCE_COMPLIANT }, 0,
      { MTD_REMEDIATE, MTD_REASON_THREAT_MISSING } },

    { "secured eight days ago",
      { TEST_POLICY },
      { .threat = MTD_THREAT_SECURED, .reported_at = TEST_NOW - 8 * 86400,
        .compliance = MTD_COMPLIANCE_COMPLIANT }, 0,
      { MTD_REMEDIATE, MTD_REASON_THREAT_STALE } },

    { "secured, but nobody knows when",
      { TEST_POLICY },
      { .threat = MTD_THREAT_SECURED,
        .compliance = MTD_COMPLIANCE_COMPLIANT }, 0,
      { MTD_REMEDIATE, MTD_REASON_THREAT_STALE } },

    { "never reported is old under any max_age",
      { .max_threat = MTD_THREAT_LOW, .missing_threat = MTD_BLOCK,
        .max_age = UINT32_MAX },
      { .threat = MTD_THREAT_SECURED }, 0,
      { MTD_BLOCK, MTD_REASON_THREAT_STALE } },

    { "a vendor whose clock is an age ahead",
      { TEST_POLICY },
      { .threat = MTD_THREAT_SECURED, .reported_at = TEST_NOW + 604800,
        .compliance = MTD_COMPLIANCE_COMPLIANT }, 0,
      { MTD_ALLOW, MTD_REASON_SECURED_ENOUGH } },

    { "... and a second more",
      { TEST_POLICY },
      { .threat = MTD_THREAT_SECURED, .reported_at = TEST_NOW + 604801,
        .compliance = MTD_COMPLIANCE_COMPLIANT }, 0,
      { MTD_REMEDIATE, MTD_REASON_THREAT_STALE } },

    { "a day ahead, where an hour is old",
      { .missing_threat = MTD_BLOCK, .max_threat = MTD_THREAT_LOW,
        .max_age = 3600 },
      { .threat = MTD_THREAT_SECURED, .reported_at = TEST_NOW + 86400 }, 0,
      { MTD_ALLOW, MTD_REASON_SECURED_ENOUGH } },

    { "... and a second more",
      { .missing_threat = MTD_BLOCK, .max_threat = MTD_THREAT_LOW,
        .max_age = 3600 },
      { .threat = MTD_THREAT_SECURED, .reported_at = TEST_NOW + 86401 }, 0,
      { MTD_BLOCK, MTD_REASON_THREAT_STALE } },

    { "in grace for a second more",
      { TEST_POLICY },
      { .threat = MTD_THREAT_SECURED, .reported_at = TEST_NOW,
        .compliance = MTD_COMPLIANCE_GRACE, .grace_until = TEST_NOW + 1 }, 0,
      { MTD_ALLOW, MTD_REASON_IN_GRACE } },

    { "grace ends now",
      { TEST_POLICY },
      { .threat = MTD_THREAT_SECURED, .reported_at = TEST_NOW,
        .compliance = MTD_COMPLIANCE_GRACE, .grace_until = TEST_NOW }, 0,
      { MTD_REMEDIATE, MTD_REASON_GRACE_OVER } },

    { "grace without a deadline is none",
      { TEST_POLICY },
      { .threat = MTD_THREAT_SECURED, .reported_at = TEST_NOW,
        .compliance = MTD_COMPLIANCE_GRACE }, 0,
      { MTD_REMEDIATE, MTD_REASON_GRACE_OVER } },

    { "noncompliant, with a deadline that is no grace",
      { TEST_POLICY },
      { .threat = MTD_THREAT_SECURED, .reported_at = TEST_NOW,
        .compliance = MTD_COMPLIANCE_NONCOMPLIANT,
        .grace_until = TEST_NOW + 1 }, 0,
      { MTD_REMEDIATE, MTD_REASON_NONCOMPLIANT } },

    { "managed by another: not known to be compliant",
      { TEST_POLICY },
      { .threat = MTD_THREAT_SECURED, .reported_at = TEST_NOW,
        .compliance = MTD_COMPLIANCE_CONFIG_MANAGER }, 0,
      { MTD_REMEDIATE, MTD_REASON_NONCOMPLIANT } },

    { "known by its app only",
      { TEST_POLICY }, { TEST_GOOD, .enrolled = MTD_ENROLLED_APP }, 0,
      { MTD_BLOCK, MTD_REASON_NOT_ENROLLED } },

    { "an admin blocks a good device",
      { TEST_POLICY }, { TEST_GOOD, .action = MTD_ACTION_BLOCK }, 0,
      { MTD_BLOCK, MTD_REASON_ADMIN_BLOCK } },

    { "a wipe is pending on a good device",
      { TEST_POLICY }, { TEST_GOOD, .action = MTD_ACTION_WIPE }, 0,
      { MTD_BLOCK, MTD_REASON_WIPE_PENDING } },

    { "an admin allows a compromised device, the store being away",
      { TEST_POLICY },
      { .threat = MTD_THREAT_COMPROMISED, .action = MTD_ACTION_ALLOW }, 1,
      { MTD_ALLOW, MTD_REASON_ADMIN_ALLOW } },

    { "an admin's allow on a record that is damaged",
      { TEST_POLICY },
      { TEST_GOOD, .action = MTD_ACTION_ALLOW, .damaged = 1 }, 0,
      { MTD_REMEDIATE, MTD_REASON_THREAT_MISSING } },

    { "a damaged record where a missing threat is allowed",
      { .max_threat = MTD_THREAT_HIGH, .missing_threat = MTD_ALLOW },
      { TEST_GOOD, .damaged = 1 }, 0,
      { MTD_BLOCK, MTD_REASON_THREAT_MISSING } },

    { "no report where that is allowed does not excuse compliance",
      { .max_threat = MTD_THREAT_HIGH, .missing_threat = MTD_ALLOW,
        .compliance = 1, .on_noncompliant = MTD_BLOCK, .max_age = 1 },
      { .threat = MTD_THREAT_UNKNOWN }, 0,
      { MTD_BLOCK, MTD_REASON_NONCOMPLIANT } },

    { "highSeverity under max_threat high",
      { .max_threat = MTD_THREAT_HIGH, .missing_threat = MTD_BLOCK,
        .on_threat = MTD_BLOCK },
      { .threat = MTD_THREAT_HIGH }, 0,
      { MTD_ALLOW, MTD_REASON_SECURED_ENOUGH } },

    { "compromised under max_threat high",
      { .max_threat = MTD_THREAT_HIGH, .missing_threat = MTD_BLOCK,
        .on_threat = MTD_BLOCK },
      { .threat = MTD_THREAT_COMPROMISED }, 0,
      { MTD_BLOCK, MTD_REASON_COMPROMISED } }
};


static void
test_named(void **state)
{
    size_t             i;
    mtd_facts_t        facts;
    mtd_verdict_t      v;
    const test_case_t  *test;

    memset(&facts, 0, sizeof(mtd_facts_t));

    for (i = 0; i < sizeof(test_cases) / sizeof(test_cases[0]); i++) {
        test = &test_cases[i];
        facts.stale = test->stale;

        v = test_decide(&test->policy, &facts, &test->rec);

        if (v.decision != test->verdict.decision
            || v.reason != test->verdict.reason)
        {
            fail_msg("%s: %s %s", test->name,
                     mtd_decision_name(v.decision)->data,
                     mtd_reason_name(v.reason)->data);
        }
    }
}


static unsigned
test_same(mtd_verdict_t a, mtd_verdict_t b)
{
    return a.decision == b.decision && a.reason == b.reason;
}


static mtd_verdict_t
test_verdict(unsigned n)
{
    mtd_verdict_t  v;

    v.decision = n % MTD_DECISION_N;
    v.reason = n / MTD_DECISION_N;

    return v;
}


/* of reasons for one decision: the bypass, then the list */

static int
test_rank(mtd_verdict_t v)
{
    return (v.reason == MTD_REASON_BYPASS) ? -1 : v.reason;
}


/* the verdicts of many records in any order come to one */

static void
test_stricter(void **state)
{
    unsigned       i, j, k, n;
    mtd_verdict_t  a, b, c, v;

    static const unsigned  order[MTD_DECISION_N] = { 'a', 'z', 'r' };

    n = MTD_DECISION_N * MTD_REASON_N;

    for (i = 0; i < n; i++) {
        a = test_verdict(i);
        assert_true(test_same(mtd_stricter_verdict(a, a), a));

        for (j = 0; j < n; j++) {
            b = test_verdict(j);
            v = mtd_stricter_verdict(a, b);

            assert_true(test_same(v, a) || test_same(v, b));
            assert_true(test_same(v, mtd_stricter_verdict(b, a)));
            assert_true(order[v.decision] >= order[a.decision]);
            assert_true(order[v.decision] >= order[b.decision]);

            if (a.decision == b.decision) {
                assert_true(test_rank(v) <= test_rank(a)
                            && test_rank(v) <= test_rank(b));
            }

            for (k = 0; k < n; k++) {
                c = test_verdict(k);

                if (!test_same(mtd_stricter_verdict(v, c),
                               mtd_stricter_verdict(a,
                                                mtd_stricter_verdict(b, c))))
                {
                    fail_msg("%u %u %u", i, j, k);
                }
            }
        }
    }
}


/* after all others: no reason is in the list for nothing */

static void
test_every_reason(void **state)
{
    unsigned  i;

    for (i = 0; i < MTD_REASON_N; i++) {
        if (test_seen[i] == 0) {
            fail_msg("%s is never given", mtd_reason_name(i)->data);
        }
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_named),
        cmocka_unit_test(test_every_fact),
        cmocka_unit_test(test_no_policy),
        cmocka_unit_test(test_every_record),
        cmocka_unit_test(test_stricter),
        cmocka_unit_test(test_every_reason)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
