
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * The name of a host as a server announces it, who is not trusted to know
 * what a name is: letters, digits, hyphens and underscores, in parts of up to
 * 63 that have a dot between them.  What ends with a number is no name: others
 * would read it as an address.
 */


#ifndef _MTD_HOST_H_INCLUDED_
#define _MTD_HOST_H_INCLUDED_


#include <stddef.h>
#include <sys/types.h>


#define MTD_HOST_MAX   253


/*
 * Copies it in lower case and without a dot at its end to host, which has
 * MTD_HOST_MAX bytes.  Returns its length, 0 if it is no name.
 */

size_t mtd_host(u_char *host, const u_char *text, size_t len);


#endif /* _MTD_HOST_H_INCLUDED_ */
