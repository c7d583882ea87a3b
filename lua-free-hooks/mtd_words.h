
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * The words of the gate: what a device's record, a decision and a protocol
 * can say.  Plain C, shared by the gate, the hooks and the tools.
 *
 * The numbers are part of the hook ABI: words are appended, never moved.
 * A word is spelled in configuration, records, variables and status pages
 * as its name function returns it.
 */


#ifndef _MTD_WORDS_H_INCLUDED_
#define _MTD_WORDS_H_INCLUDED_


#include <stddef.h>
#include <sys/types.h>


/* Microsoft Graph, managedDevice.partnerReportedThreatState */

typedef enum {
    MTD_THREAT_UNKNOWN = 0,
    MTD_THREAT_ACTIVATED,
    MTD_THREAT_DEACTIVATED,
    MTD_THREAT_SECURED,
    MTD_THREAT_LOW,                        /* lowSeverity */
    MTD_THREAT_MEDIUM,                     /* mediumSeverity */
    MTD_THREAT_HIGH,                       /* highSeverity */
    MTD_THREAT_UNRESPONSIVE,
    MTD_THREAT_COMPROMISED,
    MTD_THREAT_MISCONFIGURED,
    MTD_THREAT_N
} mtd_threat_e;


/* Microsoft Graph, managedDevice.complianceState */

typedef enum {
    MTD_COMPLIANCE_UNKNOWN = 0,
    MTD_COMPLIANCE_COMPLIANT,
    MTD_COMPLIANCE_NONCOMPLIANT,
    MTD_COMPLIANCE_CONFLICT,
    MTD_COMPLIANCE_ERROR,
    MTD_COMPLIANCE_GRACE,                  /* inGracePeriod */
    MTD_COMPLIANCE_CONFIG_MANAGER,         /* configManager */
    MTD_COMPLIANCE_N
} mtd_compliance_e;


typedef enum {
    MTD_ENROLLED_MDM = 0,                  /* also when a record is silent */
    MTD_ENROLLED_APP,                      /* known by its protected app */
    MTD_ENROLLED_N
} mtd_enrolled_e;


/* an admin's word about one device, overrides what was reported */

typedef enum {
    MTD_ACTION_NONE = 0,
    MTD_ACTION_ALLOW,
    MTD_ACTION_BLOCK,
    MTD_ACTION_WIPE,
    MTD_ACTION_N
} mtd_action_e;


typedef enum {
    MTD_ALLOW = 0,
    MTD_BLOCK,
    MTD_REMEDIATE,
    MTD_DECISION_N
} mtd_decision_e;


/* why; exactly one for each decision */

typedef enum {
    MTD_REASON_OPEN_ENDPOINT = 0,
    MTD_REASON_EXEMPT,
    MTD_REASON_ADMIN_ALLOW,
    MTD_REASON_SECURED_ENOUGH,
    MTD_REASON_IN_GRACE,
    MTD_REASON_STALE_ALLOWED,
    MTD_REASON_FAILURE_ALLOWED,
    MTD_REASON_MALFORMED,
    MTD_REASON_PATH_REFUSED,
    MTD_REASON_AMBIGUOUS,
    MTD_REASON_IDENTITY_MISMATCH,
    MTD_REASON_UNIDENTIFIED,
    MTD_REASON_UNKNOWN_DEVICE,
    MTD_REASON_ADMIN_BLOCK,
    MTD_REASON_WIPE_PENDING,
    MTD_REASON_COMPROMISED,
    MTD_REASON_THREAT_LEVEL,
    MTD_REASON_THREAT_MISSING,
    MTD_REASON_THREAT_STALE,
    MTD_REASON_NONCOMPLIANT,
    MTD_REASON_GRACE_OVER,
    MTD_REASON_NOT_ENROLLED,
    MTD_REASON_POLICY_ERROR,
    MTD_REASON_STORE_UNAVAILABLE,
    MTD_REASON_BYPASS,                     /* allows */
    MTD_REASON_DEFERRED_CLOUD,             /* allows */
    MTD_REASON_N
} mtd_reason_e;


/* what the client speaks */

typedef enum {
    MTD_PROTOCOL_OTHER = 0,
    MTD_PROTOCOL_EAS,
    MTD_PROTOCOL_EWS,
    MTD_PROTOCOL_MAPI,
    MTD_PROTOCOL_RPC,
    MTD_PROTOCOL_OAB,
    MTD_PROTOCOL_OWA,
    MTD_PROTOCOL_ECP,
    MTD_PROTOCOL_AUTODISCOVER,
    MTD_PROTOCOL_SHAREPOINT_PAGE,
    MTD_PROTOCOL_SHAREPOINT_REST,
    MTD_PROTOCOL_OFFICE,
    MTD_PROTOCOL_WEBDAV,
    MTD_PROTOCOL_ONEDRIVE,
    MTD_PROTOCOL_N
} mtd_protocol_e;


/* same layout as nginx's ngx_str_t; data is not terminated */

typedef struct {
    size_t    len;
    u_char   *data;
} mtd_str_t;


/* for example "highSeverity"; a static string, never NULL */

const mtd_str_t *mtd_threat_name(unsigned threat);
const mtd_str_t *mtd_compliance_name(unsigned compliance);
const mtd_str_t *mtd_enrolled_name(unsigned enrolled);
const mtd_str_t *mtd_action_name(unsigned action);
const mtd_str_t *mtd_decision_name(unsigned decision);
const mtd_str_t *mtd_reason_name(unsigned reason);
const mtd_str_t *mtd_protocol_name(unsigned protocol);

/* the number of a word, letter case ignored; -1 for a word not in the list */

int mtd_threat_parse(const u_char *p, size_t len);
int mtd_compliance_parse(const u_char *p, size_t len);
int mtd_enrolled_parse(const u_char *p, size_t len);
int mtd_action_parse(const u_char *p, size_t len);
int mtd_protocol_parse(const u_char *p, size_t len);


#endif /* _MTD_WORDS_H_INCLUDED_ */
