
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * The gate's configurations, the state of a gated request, and what the
 * files of the HTTP layer offer each other.  Not for hooks, see
 * ngx_http_mtd_hook.h.
 */


#ifndef _NGX_HTTP_MTD_MODULE_H_INCLUDED_
#define _NGX_HTTP_MTD_MODULE_H_INCLUDED_


#include "ngx_http_mtd_compat.h"
#include "ngx_http_mtd_hook.h"

#include "mtd_canon.h"
#include "mtd_policy.h"
#include "mtd_profile.h"
#include "ngx_mtd_store.h"


#define NGX_HTTP_MTD_VERSION      "0.1.0"

#define NGX_HTTP_MTD_IDENTITIES                                               \
    (NGX_MTD_LOOKUP_SLOTS / NGX_HTTP_MTD_CANDIDATES)

#define NGX_HTTP_MTD_REFERENCE    16        /* hex digits */
#define NGX_HTTP_MTD_FILTER       8192      /* places of header hashes */


typedef struct {
    ngx_str_t                     name;
    mtd_policy_t                  policy;
} ngx_http_mtd_policy_t;


typedef struct {
    ngx_http_mtd_api_t           *api;      /* must be first, for hooks */
    ngx_http_mtd_api_t            offers;
    ngx_array_t                   hooks;    /* of ngx_http_mtd_hook_t * */
    ngx_array_t                   kinds;    /* of ngx_str_t */
    ngx_array_t                   stores;   /* of ngx_mtd_store_t * */
    ngx_array_t                   policies; /* of ngx_http_mtd_policy_t * */
    u_char                       *domains_file; /* of an mtd_user_domain */
    ngx_uint_t                    domains_line;
    unsigned                      audited:1;
    unsigned                      gated:1;  /* a server is */
    unsigned                      bind_user:1;  /* a policy wants users */
    unsigned                      bound:1;  /* stores know all kinds */
} ngx_http_mtd_main_conf_t;


/* a header that is taken away; next is of those that share a place */

typedef struct {
    ngx_uint_t                    hash;
    const mtd_str_t              *name;
    ngx_uint_t                    next;
} ngx_http_mtd_stripped_t;


typedef struct {
    const mtd_profile_t          *profile;
    ngx_array_t                  *identify;     /* of ngx_http_mtd_hook_t * */
    u_char                       *file_name;    /* where that is written */
    ngx_uint_t                    line;
    ngx_array_t                  *endpoints;    /* of mtd_endpoint_t */
    ngx_array_t                  *user_domains; /* of mtd_user_domain_t */
    u_char                       *filter;       /* see request_strip() */
    ngx_http_mtd_stripped_t      *stripped;
    ngx_uint_t                    gated;        /* unsigned  gated:1; */

    /* of an upstream {}, see ngx_http_mtd_private.c */

    ngx_http_upstream_init_peer_pt   init_peer;
    ngx_event_free_peer_pt           free_peer; /* once it is known */
} ngx_http_mtd_srv_conf_t;


typedef struct {
    ngx_uint_t                    mode;     /* ngx_http_mtd_mode_e */
    ngx_str_t                     name;     /* of the policy */
    ngx_str_t                     store_name;
    ngx_http_mtd_policy_t        *policy;
    ngx_http_complex_value_t     *variable;
    ngx_mtd_store_t              *store;
    ngx_http_complex_value_t     *remediation;
    ngx_flag_t                    disclose;
    ngx_flag_t                    log_device;
    ngx_flag_t                    cut;
    ngx_uint_t                    status;   /* unsigned  status:1; */
} ngx_http_mtd_loc_conf_t;


typedef enum {
    NGX_HTTP_MTD_UNSET = 0,
    NGX_HTTP_MTD_OFF,
    NGX_HTTP_MTD_POLICY,
    NGX_HTTP_MTD_VARIABLE
} ngx_http_mtd_mode_e;


/*
 * One gated request.
 *
 * state: READ (canonical form known) -> WAITING (for redis) -> ANSWERED
 *        READ -> ANSWERED (from the zone), ANSWERED -> DECIDED
 *        DECIDED -> READ when a rewrite or an internal redirect has changed
 *        the URI; a refusal is final
 */

typedef enum {
    NGX_HTTP_MTD_READ = 0,
    NGX_HTTP_MTD_WAITING,
    NGX_HTTP_MTD_ANSWERED,
    NGX_HTTP_MTD_DECIDED
} ngx_http_mtd_state_e;


typedef struct ngx_http_mtd_ask_s  ngx_http_mtd_ask_t;


/* what was found for all identities of a request; n == 0: not sure */

typedef struct {
    ngx_uint_t                    n;
    ngx_mtd_answer_t              answer[NGX_MTD_LOOKUP_SLOTS];
} ngx_http_mtd_found_t;


typedef struct {
    ngx_str_t                     uri;      /* as decided on, not copies */
    ngx_str_t                     args;
    const mtd_endpoint_t         *endpoint;
    ngx_mtd_store_t              *store;
    ngx_http_mtd_policy_t        *policy;
    const ngx_http_mtd_hook_t    *hook;     /* that identified the device */
    ngx_http_mtd_ask_t           *ask;      /* only if redis was asked */
    const char                   *why;      /* of malformed and the like */
    u_char                       *reference;    /* 16 digits, once needed */

    ngx_http_variable_value_t    *variables;    /* before the record */
    ngx_http_mtd_found_t         *found;    /* NULL: it has one identity */
    mtd_hash_t                    device;
    mtd_facts_t                   facts;
    mtd_verdict_t                 verdict;
    uint8_t                       state;    /* ngx_http_mtd_state_e */
    uint8_t                       source;   /* ngx_mtd_source_e */
    uint16_t                      status;   /* of a refusal */
    uint16_t                      retry_after;  /* seconds, 0: none */
    unsigned                      known:1;      /* record is one */
    unsigned                      identified:1;
    unsigned                      kept:1;       /* with r->pool */
    unsigned                      several:1;    /* identities, or forms */
    unsigned                      spread:1;     /* they name other devices */
    unsigned                      open:1;       /* queue is in use */
    unsigned                      checking:1;   /* redis is asked again */
    unsigned                      again:1;      /* ... and must be again */
    unsigned                      told:1;       /* by redis, a moment ago */
    unsigned                      unsure:1;     /* redis did not answer */
    unsigned                      judging:1;
    unsigned                      user_known:1;
    unsigned                      user_several:1;
    unsigned                      user_unread:1;
    unsigned                      user_authorized:1;    /* by that header */
    unsigned                      early:1;      /* a variable was asked for
                                                   before the record */

    /* what follows is not zeroed: it is written before it is read */

    mtd_hash_t                    alias;        /* that named the device */
    mtd_record_t                  record;       /* if known, */
    ngx_msec_t                    fetched;      /* and when it was read */
    uint64_t                      user;         /* if user_known */

    ngx_pool_cleanup_t            cleanup;      /* of r->pool, if kept */

    ngx_queue_t                   queue;        /* if open, and so are these */
    ngx_http_request_t           *request;
    time_t                        until;        /* 0: time changes nothing */
} ngx_http_mtd_ctx_t;


#define NGX_HTTP_MTD_CTX_HALF   offsetof(ngx_http_mtd_ctx_t, ask)
#define NGX_HTTP_MTD_CTX_ZERO   offsetof(ngx_http_mtd_ctx_t, alias)


/* redis was asked for this request; in its pool */

struct ngx_http_mtd_ask_s {
    uint64_t                      begun;    /* microseconds */
    uint64_t                      time;     /* ... that it took */
    ngx_str_t                     groups;   /* if not in the zone's texts */
    ngx_uint_t                    n;        /* of identities */
    ngx_mtd_lookup_t             *lookup;
    ngx_uint_t                    owner[NGX_MTD_LOOKUP_SLOTS];
    ngx_http_mtd_identity_t       identity[1];  /* as many as there are */
};


extern ngx_module_t  ngx_http_mtd_module;


/* ngx_http_mtd_directives.c */

char *ngx_http_mtd(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_mtd_profile(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_mtd_identify_hooks(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_mtd_endpoint(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_mtd_remediation(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_mtd_status(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* ngx_http_mtd_store.c, ngx_http_mtd_policy.c: the blocks */

char *ngx_http_mtd_redis_block(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_mtd_policy_block(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* NULL if there is none of this name, so far */

ngx_mtd_store_t *ngx_http_mtd_store_find(ngx_http_mtd_main_conf_t *mmcf,
    ngx_str_t *name);
ngx_http_mtd_policy_t *ngx_http_mtd_policy_find(
    ngx_http_mtd_main_conf_t *mmcf, ngx_str_t *name);

/* once http {} is complete */

ngx_int_t ngx_http_mtd_stores(ngx_conf_t *cf, ngx_http_mtd_main_conf_t *mmcf);

/* ngx_http_mtd_request.c: what a request asks for, in canonical form */

ngx_int_t ngx_http_mtd_post_read_handler(ngx_http_request_t *r);

/* the last state of a request, NULL if it was never gated */

ngx_http_mtd_ctx_t *ngx_http_mtd_find_ctx(ngx_http_request_t *r);


/*
 * A refused, a waiting or an open request has it until it is logged.
 * ngx_pool_cleanup_add() would allocate what lives as long as ctx anyway.
 */

void ngx_http_mtd_cleanup(void *data);


static ngx_inline void
ngx_http_mtd_keep_ctx(ngx_http_request_t *r, ngx_http_mtd_ctx_t *ctx)
{
    if (ctx->kept) {
        return;
    }

    ctx->cleanup.handler = ngx_http_mtd_cleanup;
    ctx->cleanup.data = ctx;
    ctx->cleanup.next = r->pool->cleanup;

    r->pool->cleanup = &ctx->cleanup;

    ctx->kept = 1;
}


/* 1 if the URI is the one that is decided on */

static ngx_inline ngx_uint_t
ngx_http_mtd_same_uri(ngx_http_request_t *r, ngx_http_mtd_ctx_t *ctx)
{
    return ctx->uri.data == r->uri.data && ctx->uri.len == r->uri.len
           && ctx->args.data == r->args.data && ctx->args.len == r->args.len;
}


/* a state for a URI that is not; NULL if there is no memory */

ngx_http_mtd_ctx_t *ngx_http_mtd_request_ctx(ngx_http_request_t *r);

char *ngx_http_mtd_request_filter(ngx_conf_t *cf,
    ngx_http_mtd_srv_conf_t *mscf);

/* ngx_http_mtd_hooks.c: what hooks get of the gate */

void ngx_http_mtd_hooks_offer(ngx_http_mtd_api_t *api);
ngx_int_t ngx_http_mtd_hooks_check(ngx_conf_t *cf);

/* ngx_http_mtd_identity.c: from a request to records */

/* NGX_OK: ctx is answered; NGX_AGAIN: waits for redis; NGX_ERROR */

ngx_int_t ngx_http_mtd_identify(ngx_http_request_t *r,
    ngx_http_mtd_ctx_t *ctx, ngx_http_mtd_loc_conf_t *mlcf);

/*
 * The same for a request that was allowed, decided on once more.  NGX_AGAIN:
 * done will be called, and then calls _identified_again().
 */

ngx_int_t ngx_http_mtd_identify_again(ngx_http_request_t *r,
    ngx_http_mtd_ctx_t *ctx, ngx_http_mtd_loc_conf_t *mlcf,
    ngx_mtd_lookup_pt done);
void ngx_http_mtd_identified_again(ngx_http_request_t *r,
    ngx_http_mtd_ctx_t *ctx, ngx_http_mtd_loc_conf_t *mlcf);

/* ngx_http_mtd_user.c: who asks; only where a policy binds users */

char *ngx_http_mtd_user_domain(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
ngx_int_t ngx_http_mtd_user_check(ngx_conf_t *cf);
void ngx_http_mtd_user_told(ngx_http_request_t *r, ngx_http_mtd_ctx_t *ctx,
    const ngx_http_mtd_identity_t *id);

/* after all hooks */

void ngx_http_mtd_user_header(ngx_http_request_t *r,
    ngx_http_mtd_ctx_t *ctx);

/* why the device is not the user's, or NULL; rec may be NULL */

const char *ngx_http_mtd_user_mismatch(ngx_http_mtd_ctx_t *ctx,
    const mtd_record_t *rec);

/* ngx_http_mtd_open.c: requests that were allowed and are not done yet */

ngx_int_t ngx_http_mtd_open_init(ngx_mtd_store_t *store, ngx_cycle_t *cycle);
void ngx_http_mtd_open_add(ngx_http_request_t *r,
    ngx_http_mtd_ctx_t *ctx);

/* ngx_http_mtd_handler.c */

ngx_int_t ngx_http_mtd_preaccess_handler(ngx_http_request_t *r);
void ngx_http_mtd_count(ngx_http_mtd_ctx_t *ctx);
ngx_int_t ngx_http_mtd_log_handler(ngx_http_request_t *r);

/* decides on one record, rec == NULL: there is none */

mtd_verdict_t ngx_http_mtd_judge(ngx_http_request_t *r,
    ngx_http_mtd_ctx_t *ctx, ngx_http_mtd_loc_conf_t *mlcf,
    const mtd_record_t *rec);

/* ngx_http_mtd_policy.c */

mtd_verdict_t ngx_http_mtd_judge_by(ngx_http_request_t *r,
    ngx_http_mtd_ctx_t *ctx, ngx_http_mtd_loc_conf_t *mlcf,
    const mtd_record_t *rec);

/* the request ends; data is its ngx_http_mtd_ctx_t */


/* ngx_http_mtd_answer.c: what a refused request gets */

ngx_int_t ngx_http_mtd_refuse(ngx_http_request_t *r, ngx_http_mtd_ctx_t *ctx,
    ngx_http_mtd_loc_conf_t *mlcf);

/* all of it but the answer */

void ngx_http_mtd_refused(ngx_http_request_t *r, ngx_http_mtd_ctx_t *ctx,
    ngx_http_mtd_loc_conf_t *mlcf, ngx_http_mtd_verdict_t *verdict);

ngx_int_t ngx_http_mtd_send(ngx_http_request_t *r,
    const ngx_http_mtd_verdict_t *verdict, ngx_uint_t status,
    ngx_str_t *type, ngx_str_t *body);
void ngx_http_mtd_verdict(ngx_http_request_t *r, ngx_http_mtd_ctx_t *ctx,
    ngx_http_mtd_verdict_t *verdict);
ngx_int_t ngx_http_mtd_reference(ngx_http_request_t *r,
    ngx_http_mtd_ctx_t *ctx);

/* ngx_http_mtd_damp.c: who is refused again and again */

/* counts a refusal, sets retry_after; 1 if it may have a line in the log */

ngx_uint_t ngx_http_mtd_damp(ngx_http_request_t *r, ngx_http_mtd_ctx_t *ctx);

/* 1 if somebody was asked to wait and that has not ended */

ngx_uint_t ngx_http_mtd_damping(void);

/* 1 if the device comes before the end of what it was asked to wait */

ngx_uint_t ngx_http_mtd_damped(ngx_mtd_store_t *store,
    const mtd_hash_t *device);

/* those that had no line yet get one together */

void ngx_http_mtd_damp_flush(void);

/* ngx_http_mtd_private.c: connections that are never kept for others */

void ngx_http_mtd_private_init(ngx_conf_t *cf);

/* ngx_http_mtd_variables.c, ngx_http_mtd_status.c */

ngx_int_t ngx_http_mtd_add_variables(ngx_conf_t *cf);
ngx_int_t ngx_http_mtd_status_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_mtd_health_handler(ngx_http_request_t *r);

/* ngx_http_mtd_metrics.c: body of an answer, NGX_ERROR without memory */

ngx_int_t ngx_http_mtd_metrics(ngx_http_request_t *r, ngx_array_t *stores,
    ngx_str_t *body);

/* 16 hex digits of a pseudonym */

u_char *ngx_http_mtd_pseudonym(u_char *p, uint64_t word);


#endif /* _NGX_HTTP_MTD_MODULE_H_INCLUDED_ */
