
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include "mtd_words.h"


#define mtd_word(text)  { sizeof(text) - 1, (u_char *) text }


static int mtd_words_parse(const mtd_str_t *words, int n, const u_char *p,
    size_t len);


static const mtd_str_t  mtd_words_threat[MTD_THREAT_N] = {
    mtd_word("unknown"),
    mtd_word("activated"),
    mtd_word("deactivated"),
    mtd_word("secured"),
    mtd_word("lowSeverity"),
    mtd_word("mediumSeverity"),
    mtd_word("highSeverity"),
    mtd_word("unresponsive"),
    mtd_word("compromised"),
    mtd_word("misconfigured")
};


static const mtd_str_t  mtd_words_compliance[MTD_COMPLIANCE_N] = {
    mtd_word("unknown"),
    mtd_word("compliant"),
    mtd_word("noncompliant"),
    mtd_word("conflict"),
    mtd_word("error"),
    mtd_word("inGracePeriod"),
    mtd_word("configManager")
};


static const mtd_str_t  mtd_words_enrolled[MTD_ENROLLED_N] = {
    mtd_word("mdm"),
    mtd_word("app")
};


static const mtd_str_t  mtd_words_action[MTD_ACTION_N] = {
    mtd_word(""),
    mtd_word("allow"),
    mtd_word("block"),
    mtd_word("wipe")
};


static const mtd_str_t  mtd_words_decision[MTD_DECISION_N] = {
    mtd_word("allow"),
    mtd_word("block"),
    mtd_word("remediate")
};


static const mtd_str_t  mtd_words_reason[MTD_REASON_N] = {
    mtd_word("open_endpoint"),
    mtd_word("exempt"),
    mtd_word("admin_allow"),
    mtd_word("secured_enough"),
    mtd_word("in_grace"),
    mtd_word("stale_allowed"),
    mtd_word("failure_allowed"),
    mtd_word("malformed"),
    mtd_word("path_refused"),
    mtd_word("ambiguous"),
    mtd_word("identity_mismatch"),
    mtd_word("unidentified"),
    mtd_word("unknown_device"),
    mtd_word("admin_block"),
    mtd_word("wipe_pending"),
    mtd_word("compromised"),
    mtd_word("threat_level"),
    mtd_word("threat_missing"),
    mtd_word("threat_stale"),
    mtd_word("noncompliant"),
    mtd_word("grace_over"),
    mtd_word("not_enrolled"),
    mtd_word("policy_error"),
    mtd_word("store_unavailable"),
    mtd_word("bypass"),
    mtd_word("deferred_cloud")
};


static const mtd_str_t  mtd_words_protocol[MTD_PROTOCOL_N] = {
    mtd_word("other"),
    mtd_word("eas"),
    mtd_word("ews"),
    mtd_word("mapi"),
    mtd_word("rpc"),
    mtd_word("oab"),
    mtd_word("owa"),
    mtd_word("ecp"),
    mtd_word("autodiscover"),
    mtd_word("sharepoint_page"),
    mtd_word("sharepoint_rest"),
    mtd_word("office"),
    mtd_word("webdav"),
    mtd_word("onedrive")
};


/* where a number is in no list and the list has no word for that */

static const mtd_str_t  mtd_words_none = mtd_word("");


const mtd_str_t *
mtd_threat_name(unsigned threat)
{
    if (threat >= MTD_THREAT_N) {
        threat = MTD_THREAT_UNKNOWN;
    }

    return &mtd_words_threat[threat];
}


const mtd_str_t *
mtd_compliance_name(unsigned compliance)
{
    if (compliance >= MTD_COMPLIANCE_N) {
        compliance = MTD_COMPLIANCE_UNKNOWN;
    }

    return &mtd_words_compliance[compliance];
}


const mtd_str_t *
mtd_enrolled_name(unsigned enrolled)
{
    if (enrolled >= MTD_ENROLLED_N) {
        return &mtd_words_none;
    }

    return &mtd_words_enrolled[enrolled];
}


const mtd_str_t *
mtd_action_name(unsigned action)
{
    if (action >= MTD_ACTION_N) {
        return &mtd_words_none;
    }

    return &mtd_words_action[action];
}


const mtd_str_t *
mtd_decision_name(unsigned decision)
{
    if (decision >= MTD_DECISION_N) {
        return &mtd_words_none;
    }

    return &mtd_words_decision[decision];
}


const mtd_str_t *
mtd_reason_name(unsigned reason)
{
    if (reason >= MTD_REASON_N) {
        return &mtd_words_none;
    }

    return &mtd_words_reason[reason];
}


const mtd_str_t *
mtd_protocol_name(unsigned protocol)
{
    if (protocol >= MTD_PROTOCOL_N) {
        protocol = MTD_PROTOCOL_OTHER;
    }

    return &mtd_words_protocol[protocol];
}


int
mtd_threat_parse(const u_char *p, size_t len)
{
    return mtd_words_parse(mtd_words_threat, MTD_THREAT_N, p, len);
}


int
mtd_compliance_parse(const u_char *p, size_t len)
{
    return mtd_words_parse(mtd_words_compliance, MTD_COMPLIANCE_N, p, len);
}


int
mtd_enrolled_parse(const u_char *p, size_t len)
{
    return mtd_words_parse(mtd_words_enrolled, MTD_ENROLLED_N, p, len);
}


int
mtd_action_parse(const u_char *p, size_t len)
{
    return mtd_words_parse(mtd_words_action, MTD_ACTION_N, p, len);
}


int
mtd_protocol_parse(const u_char *p, size_t len)
{
    return mtd_words_parse(mtd_words_protocol, MTD_PROTOCOL_N, p, len);
}


static u_char
mtd_words_lower(u_char c)
{
    return (c >= 'A' && c <= 'Z') ? (u_char) (c | 0x20) : c;
}


static int
mtd_words_parse(const mtd_str_t *words, int n, const u_char *p, size_t len)
{
    int     i;
    size_t  k;

    for (i = 0; i < n; i++) {

        if (words[i].len != len) {
            continue;
        }

        for (k = 0; k < len; k++) {
            if (mtd_words_lower(words[i].data[k]) != mtd_words_lower(p[k])) {
                break;
            }
        }

        if (k == len) {
            return i;
        }
    }

    return -1;
}
