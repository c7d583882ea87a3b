
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * What the servers behind the gate read in the bytes that they get: http.sys
 * and ASP.NET, written anew from how those are documented, without a line of
 * the gate's parsers.  Plain C, slow.
 */


#ifndef _MODEL_H_INCLUDED_
#define _MODEL_H_INCLUDED_


#include "mtd_profile.h"


#define MODEL_VALUE_MAX    64


/* of a parameter; what is longer is cut, and len says how long it was */

typedef struct {
    unsigned     n;                 /* how often it was given */
    size_t       len;
    u_char       data[MODEL_VALUE_MAX];     /* joined by commas */
} model_value_t;


/* an ActiveSync query in base64 */

typedef struct {
    unsigned     version;
    unsigned     command;
    size_t       len;
    u_char       id[255];
} model_blob_t;


/*
 * The path that handlers are chosen by: decoded once, backslashes turned,
 * empty and dot segments resolved, dots and spaces at ends of names dropped.
 * to needs len + 2 bytes; returns the length.  why is set if another reader
 * could make something else of it, and NULL if not.
 */

size_t model_path(u_char *to, const u_char *p, size_t len, int literals,
    const char **why);

/* the endpoint of such a path, looked for segment by segment */

const mtd_endpoint_t *model_endpoint(const mtd_profile_t *profile,
    const u_char *p, size_t len);

/* a parameter as Request.QueryString[name] has it */

void model_value(model_value_t *value, const u_char *p, size_t len,
    const char *name);

/* 1 if all of a query is an ActiveSync request in base64 */

int model_blob(model_blob_t *blob, const u_char *p, size_t len);

/* letter case ignored; lower ends with a NUL */

int model_equal(const u_char *p, size_t len, const char *lower);


#endif /* _MODEL_H_INCLUDED_ */
