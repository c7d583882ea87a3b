
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * The peer behind auth_request: auth_service LISTEN REDIS, both unix
 * sockets.  One thread, epoll, kept-alive connections; the device of the
 * X-Device header is looked up with hiredis, alias and then device.
 */


#define _GNU_SOURCE

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <hiredis/hiredis.h>


#define FDS  1024


static int
allowed(redisContext *redis, const char *id)
{
    int          ok;
    redisReply  *alias, *device;

    alias = redisCommand(redis, "GET mtd:alias:eas:%s", id);

    if (alias == NULL || alias->type != REDIS_REPLY_STRING) {
        freeReplyObject(alias);
        return 0;
    }

    device = redisCommand(redis, "HMGET mtd:device:%s threat compliance",
                          alias->str);
    freeReplyObject(alias);

    ok = device && device->type == REDIS_REPLY_ARRAY
         && device->elements == 2
         && device->element[0]->str && device->element[1]->str
         && (strcmp(device->element[0]->str, "secured") == 0
             || strcmp(device->element[0]->str, "lowSeverity") == 0)
         && strcmp(device->element[1]->str, "compliant") == 0;

    freeReplyObject(device);

    return ok;
}


static int
serve(int fd, redisContext *redis)
{
    char         buf[8192], id[129], *p;
    size_t       i;
    ssize_t      n;
    const char  *answer;

    /* nginx sends the few headers of a subrequest at once */

    n = recv(fd, buf, sizeof(buf) - 1, 0);
    if (n <= 0) {
        return -1;
    }

    buf[n] = '\0';
    p = strcasestr(buf, "\r\nX-Device: ");
    id[0] = '\0';

    if (p) {
        for (p += 12, i = 0; i < 128 && isalnum((unsigned char) *p); i++) {
            id[i] = tolower((unsigned char) *p++);
        }

        id[i] = '\0';
    }

    answer = (id[0] && allowed(redis, id))
             ? "HTTP/1.1 204 No Content\r\n\r\n"
             : "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n";

    return send(fd, answer, strlen(answer), MSG_NOSIGNAL) > 0 ? 0 : -1;
}


int
main(int argc, char **argv)
{
    int                  i, n, fd, ep, listener;
    redisContext        *redis;
    struct sockaddr_un   sun;
    struct epoll_event   ev, evs[FDS];

    if (argc != 3) {
        fprintf(stderr, "usage: auth_service LISTEN REDIS\n");
        return 2;
    }

    redis = redisConnectUnix(argv[2]);
    if (redis == NULL || redis->err) {
        fprintf(stderr, "auth_service: no redis\n");
        return 1;
    }

    memset(&sun, 0, sizeof(sun));
    sun.sun_family = AF_UNIX;
    strncpy(sun.sun_path, argv[1], sizeof(sun.sun_path) - 1);

    listener = socket(AF_UNIX, SOCK_STREAM, 0);

    if (bind(listener, (struct sockaddr *) &sun, sizeof(sun)) != 0
        || chmod(argv[1], 0777) != 0
        || listen(listener, 511) != 0)
    {
        perror("auth_service");
        return 1;
    }

    ep = epoll_create1(0);
    ev.events = EPOLLIN;
    ev.data.fd = listener;
    epoll_ctl(ep, EPOLL_CTL_ADD, listener, &ev);

    for ( ;; ) {
        n = epoll_wait(ep, evs, FDS, -1);

        for (i = 0; i < n; i++) {
            fd = evs[i].data.fd;

            if (fd == listener) {
                ev.data.fd = accept(listener, NULL, NULL);
                epoll_ctl(ep, EPOLL_CTL_ADD, ev.data.fd, &ev);
                continue;
            }

            if (serve(fd, redis) != 0) {
                close(fd);
            }
        }
    }
}
