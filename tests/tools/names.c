
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * LD_PRELOAD: getaddrinfo() knows the names of the file MTD_NAMES, lines of
 * NAME IP, besides those of the system.
 */


#define _GNU_SOURCE

#include <dlfcn.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


typedef int (*lookup_t)(const char *, const char *, const struct addrinfo *,
    struct addrinfo **);


int
getaddrinfo(const char *node, const char *service,
    const struct addrinfo *hints, struct addrinfo **res)
{
    char         name[256], ip[64];
    FILE        *in;
    lookup_t     lookup;
    const char  *path, *host;

    lookup = (lookup_t) dlsym(RTLD_NEXT, "getaddrinfo");
    path = getenv("MTD_NAMES");
    in = (path && node) ? fopen(path, "r") : NULL;
    host = node;

    while (in && fscanf(in, "%255s %63s", name, ip) == 2) {
        if (strcmp(name, node) == 0) {
            host = ip;
            break;
        }
    }

    if (in) {
        fclose(in);
    }

    return lookup(host, service, hints, res);
}
