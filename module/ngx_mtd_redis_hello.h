
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * The first words of a connection: AUTH, SELECT, and INFO for which server it
 * is.  A refusal fails the connection with its reason.
 */


#ifndef _NGX_MTD_REDIS_HELLO_H_INCLUDED_
#define _NGX_MTD_REDIS_HELLO_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_mtd_redis.h"


/* written as soon as the connection is there; all else follows it */

void ngx_mtd_redis_hello(ngx_mtd_redis_t *redis);


#endif /* _NGX_MTD_REDIS_HELLO_H_INCLUDED_ */
