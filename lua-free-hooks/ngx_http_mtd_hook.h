
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * The contract between the gate and its hooks.
 *
 * A hook is an ordinary nginx HTTP module, static or dynamic, that registers
 * one ngx_http_mtd_hook_t from its preconfiguration callback with
 * ngx_http_mtd_add_hook().  The gate is found by its module name at run time,
 * so the order of load_module does not matter and a hook links to nothing.
 * The hooks that ship with the gate use the same door.
 *
 * All callbacks run in a worker, on its event loop, and must not block.
 */


#ifndef _NGX_HTTP_MTD_HOOK_H_INCLUDED_
#define _NGX_HTTP_MTD_HOOK_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "mtd_words.h"


/*
 * MAJOR: any incompatible change, hooks have to be rebuilt.
 * MINOR: members appended to the end of a structure, old hooks still load.
 *
 *     1.0  identify, respond, audit
 *     1.1  the verdict's message and api
 *     1.2  the identity's user, NGX_HTTP_MTD_DEFERRED
 *     1.3  identifies()
 *     1.4  check, serves()
 */

#define NGX_HTTP_MTD_HOOK_MAJOR     1
#define NGX_HTTP_MTD_HOOK_MINOR     4

#define NGX_HTTP_MTD_MODULE_NAME    "ngx_http_mtd_module"


/* what identify() may return besides NGX_OK and NGX_DECLINED */

#define NGX_HTTP_MTD_MALFORMED      -30     /* refused with 400 */
#define NGX_HTTP_MTD_AMBIGUOUS      -31     /* two identities in one place */
#define NGX_HTTP_MTD_DEFERRED       -32     /* 1.2, no device, see docs */


#define NGX_HTTP_MTD_VALUE_MAX      128     /* bytes */
#define NGX_HTTP_MTD_CANDIDATES     2


/* kind is a number from add_kind(); data is folded to lower case */

typedef struct {
    ngx_uint_t           kind;
    size_t               len;               /* 1 .. NGX_HTTP_MTD_VALUE_MAX */
    u_char               data[NGX_HTTP_MTD_VALUE_MAX];
} ngx_http_mtd_candidate_t;


/*
 * One identity of the request.  Where its form allows two readings (an
 * ActiveSync id of 16 bytes), both are candidates, and the stricter of the
 * records found is decided on.  user is a UPN that the request has proved,
 * as a token or a certificate does; it may be there when a hook declines, and
 * is read before the next hook is called.  authorization is set if it is the
 * Authorization header that has proved it.
 */

typedef struct {
    ngx_uint_t                 n;           /* of candidates */
    ngx_http_mtd_candidate_t   candidate[NGX_HTTP_MTD_CANDIDATES];
    const char                *why;         /* static text, for the log */
    ngx_str_t                  user;        /* 1.2, who has proved it */
    unsigned                   authorization:1;     /* 1.2, by that header */
} ngx_http_mtd_identity_t;


typedef struct ngx_http_mtd_api_s  ngx_http_mtd_api_t;


/*
 * message is English for the user, with the reference, and the reason if
 * that may be shown; of letters, digits, spaces and ".:_", so it needs no
 * escaping in XML or JSON.  It may be empty, and is not there for audit().
 */

typedef struct {
    ngx_uint_t           decision;          /* mtd_decision_e */
    ngx_uint_t           reason;            /* mtd_reason_e */
    ngx_uint_t           protocol;          /* mtd_protocol_e */
    ngx_uint_t           status;            /* the gate's own answer, >= 400 */
    ngx_str_t            reference;         /* always there if refused */
    ngx_str_t            remediation;       /* URL, may be empty */
    ngx_uint_t           retry_after;       /* seconds, 0: none */
    unsigned             disclose:1;        /* the reason may be shown */
    ngx_str_t            message;           /* 1.1 */
    ngx_http_mtd_api_t  *api;               /* 1.1 */
} ngx_http_mtd_verdict_t;


typedef struct {
    ngx_uint_t           major;
    ngx_uint_t           minor;
    size_t               size;              /* of this structure */

    ngx_str_t            name;              /* as written in mtd_identify */

    /*
     * Fills id and returns NGX_OK, or NGX_DECLINED if the request carries
     * nothing for this hook, NGX_HTTP_MTD_MALFORMED, NGX_HTTP_MTD_AMBIGUOUS,
     * NGX_HTTP_MTD_DEFERRED if another gate has decided on this client, or
     * NGX_ERROR, which refuses like MALFORMED: what a request can cause
     * never becomes an allow.  Called at most once for each decision; id is
     * not initialised except n == 0, why == NULL, user.len == 0 and
     * authorization == 0, and is the caller's.  May be NULL.
     */
    ngx_int_t          (*identify)(ngx_http_request_t *r, ngx_uint_t protocol,
                                   ngx_http_mtd_identity_t *id);

    /*
     * Answers a refused request in its protocol.  The hook that registered
     * last is the first to be asked, so yours may come before those that
     * ship.  NGX_DECLINED leaves it to the next and at last to the gate,
     * else the value is what a phase handler returns: an HTTP status, or
     * NGX_DONE after the hook has sent the answer and called
     * ngx_http_finalize_request().  May be NULL.
     */
    ngx_int_t          (*respond)(ngx_http_request_t *r,
                                  const ngx_http_mtd_verdict_t *verdict);

    /* log phase, for every gated request; cannot fail; may be NULL */
    void               (*audit)(ngx_http_request_t *r,
                                const ngx_http_mtd_verdict_t *verdict);

    /*
     * 1.4, for each gated server, when all is inherited.  If mtd_identify of
     * the server names the hook: what is missing there, without which the
     * hook can find no device.  If not: a directive of the hook that stands
     * in this server, and has no effect.  NULL if all is well; else the
     * text, which ends a message, refuses the configuration.  May be NULL.
     */
    const char        *(*check)(ngx_conf_t *cf, ngx_http_conf_ctx_t *server,
                                ngx_uint_t named);
} ngx_http_mtd_hook_t;


/* what the gate offers, valid as long as the configuration */

struct ngx_http_mtd_api_s {
    ngx_uint_t           major;
    ngx_uint_t           minor;
    size_t               size;

    /* hook must live as long as the configuration; a name is taken once */
    ngx_int_t          (*add_hook)(ngx_conf_t *cf,
                                   const ngx_http_mtd_hook_t *hook);

    /*
     * The number of an alias kind (docs/records.md), the same for equal
     * names; NGX_ERROR after a message if the name is not a kind.
     * Configuration time only.
     */
    ngx_int_t          (*add_kind)(ngx_conf_t *cf, ngx_str_t *name);

    /*
     * Sends an answer of a hook with the reference number in its headers,
     * discards the request's body, finalizes the request and returns
     * NGX_DONE.  body may be empty; it must live as long as the request.
     */
    ngx_int_t          (*send)(ngx_http_request_t *r,
                               const ngx_http_mtd_verdict_t *verdict,
                               ngx_uint_t status, ngx_str_t *type,
                               ngx_str_t *body);

    /*
     * 1.3: whether mtd_identify of this server, its own or the one that it
     * inherits, names the hook.  In postconfiguration.
     */
    ngx_uint_t         (*identifies)(ngx_http_conf_ctx_t *server,
                                     const ngx_http_mtd_hook_t *hook);

    /*
     * 1.4: whether the profile of this server, or an mtd_endpoint, has paths
     * of the protocol, an mtd_protocol_e.  For check().
     */
    ngx_uint_t         (*serves)(ngx_http_conf_ctx_t *server,
                                 ngx_uint_t protocol);
};


/*
 * The gate's offers, or NULL after a message if it is not loaded.  Call from
 * preconfiguration or later: by then the main configurations of all HTTP
 * modules exist, and the offers are the first member of the gate's one.
 */

static ngx_inline ngx_http_mtd_api_t *
ngx_http_mtd_api(ngx_conf_t *cf)
{
    ngx_uint_t             i;
    ngx_module_t          *module;
    ngx_http_conf_ctx_t   *ctx;
    ngx_http_mtd_api_t   **api;

    for (i = 0; cf->cycle->modules[i]; i++) {
        module = cf->cycle->modules[i];

        if (module->type != NGX_HTTP_MODULE
            || ngx_strcmp(module->name, NGX_HTTP_MTD_MODULE_NAME) != 0)
        {
            continue;
        }

        ctx = cf->ctx;
        api = ctx->main_conf[module->ctx_index];

        return *api;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "this hook requires " NGX_HTTP_MTD_MODULE_NAME
                       " to be loaded");
    return NULL;
}


static ngx_inline ngx_int_t
ngx_http_mtd_add_hook(ngx_conf_t *cf, const ngx_http_mtd_hook_t *hook)
{
    ngx_http_mtd_api_t  *api;

    api = ngx_http_mtd_api(cf);

    return api ? api->add_hook(cf, hook) : NGX_ERROR;
}


/* a walk over the client's headers, part is NULL at its start */

typedef struct {
    ngx_list_part_t     *part;
    ngx_uint_t           i;
} ngx_http_mtd_walk_t;


/* the next header, or NULL; those that were taken away have no hash */

static ngx_inline ngx_table_elt_t *
ngx_http_mtd_next_header(ngx_http_request_t *r, ngx_http_mtd_walk_t *walk)
{
    ngx_table_elt_t  *h;

    if (walk->part == NULL) {
        walk->part = &r->headers_in.headers.part;
        walk->i = 0;
    }

    for ( ;; ) {

        while (walk->i < walk->part->nelts) {
            h = (ngx_table_elt_t *) walk->part->elts + walk->i++;

            if (h->hash) {
                return h;
            }
        }

        if (walk->part->next == NULL) {
            return NULL;
        }

        walk->part = walk->part->next;
        walk->i = 0;
    }
}


/* name is a literal in lower case */

#define ngx_http_mtd_header_is(h, name)                                       \
    ((h)->key.len == sizeof(name) - 1                                         \
     && ngx_strncmp((h)->lowcase_key, name, sizeof(name) - 1) == 0)


/* adds a header to the answer; name and value must live as long as r */

static ngx_inline ngx_table_elt_t *
ngx_http_mtd_add_header(ngx_http_request_t *r, ngx_str_t *name,
    ngx_str_t *value)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NULL;
    }

    h->hash = 1;
    h->key = *name;
    h->value = *value;
    h->lowcase_key = NULL;
#if (nginx_version >= 1023000)
    h->next = NULL;
#endif

    return h;
}


#endif /* _NGX_HTTP_MTD_HOOK_H_INCLUDED_ */
