
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include <arpa/inet.h>

#include "mtd_host.h"
#include "mtdctl.h"


static int mtdctl_address_ip(int family, const char *host, size_t len);


/* no path of a socket, and nothing that is cut */

int
mtdctl_address(char *address, const char *host, size_t len, long long port)
{
    u_char  name[MTD_HOST_MAX];

    if (port < 1 || port > 65535) {
        return -1;
    }

    if (mtdctl_address_ip(AF_INET6, host, len)) {
        snprintf(address, MTDCTL_ADDRESS, "[%.*s]:%lld", (int) len, host,
                 port);
        return 0;
    }

    if (mtdctl_address_ip(AF_INET, host, len)) {
        snprintf(address, MTDCTL_ADDRESS, "%.*s:%lld", (int) len, host, port);
        return 0;
    }

    len = mtd_host(name, (const u_char *) host, len);
    if (len == 0) {
        return -1;
    }

    snprintf(address, MTDCTL_ADDRESS, "%.*s:%lld", (int) len, name, port);

    return 0;
}


static int
mtdctl_address_ip(int family, const char *host, size_t len)
{
    char             text[INET6_ADDRSTRLEN];
    struct in6_addr  addr;

    if (len >= sizeof(text)) {
        return 0;
    }

    memcpy(text, host, len);
    text[len] = '\0';

    return strlen(text) == len && inet_pton(family, text, &addr) == 1;
}


long long
mtdctl_address_port(const char *text)
{
    long long  port;

    for (port = 0; *text >= '0' && *text <= '9' && port < 65536; text++) {
        port = port * 10 + *text - '0';
    }

    return *text ? 0 : port;
}
