
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * client HOST PORT REQUESTS DEVICES [DEPTH]: asks for the devices in turn
 * over one connection, DEPTH requests at a time; every answer must be 200.
 * The environment's AUTHORIZATION is sent as that header.
 */


#define _GNU_SOURCE

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>


#define DEPTH_MAX    64
#define REQUEST_MAX  4096


static const char  request[] =
    "POST /Microsoft-Server-ActiveSync?Cmd=Sync&User=u@example.com"
    "&DeviceId=%032ld&DeviceType=iPhone HTTP/1.1\r\n"
    "Host: mail.example.com\r\n"
    "User-Agent: Apple-iPhone14C2/1907.60\r\n"
    "MS-ASProtocolVersion: 16.1\r\n"
    "X-MS-PolicyKey: 123456\r\n"
    "Content-Type: application/vnd.ms-sync.wbxml\r\n"
    "Authorization: %s\r\n"
    "Content-Length: 0\r\n\r\n";


static void
stop(const char *why)
{
    fprintf(stderr, "client: %s\n", why);
    exit(1);
}


/* reads n answers of a Content-Length each */

static void
answers(int fd, long n)
{
    char           *p, *head, *body;
    size_t          len, need;
    ssize_t         got;
    static char     buf[256 * 1024];

    len = 0;

    while (n) {
        got = recv(fd, buf + len, sizeof(buf) - 1 - len, 0);
        if (got <= 0) {
            stop("the connection was closed");
        }

        len += got;
        buf[len] = '\0';

        for (head = buf; n; head = body + need, n--) {
            body = memmem(head, buf + len - head, "\r\n\r\n", 4);
            if (body == NULL) {
                break;
            }

            body += 4;

            if (strncmp(head, "HTTP/1.1 200", 12) != 0) {
                stop("an answer is not 200");
            }

            p = memmem(head, body - head, "Content-Length: ", 16);
            need = p ? strtoul(p + 16, NULL, 10) : 0;

            if ((size_t) (buf + len - body) < need) {
                break;
            }
        }

        len -= head - buf;
        memmove(buf, head, len);
    }
}


int
main(int argc, char **argv)
{
    int                 fd;
    char                out[DEPTH_MAX * REQUEST_MAX];
    const char         *authorization;
    long                n, i, depth, devices, asked;
    size_t              len;
    struct sockaddr_in  sin;

    if (argc < 5) {
        stop("usage: client HOST PORT REQUESTS DEVICES [DEPTH]");
    }

    n = atol(argv[3]);
    devices = atol(argv[4]);
    depth = argc > 5 ? atol(argv[5]) : 1;

    if (depth < 1 || depth > DEPTH_MAX || devices < 1) {
        stop("DEPTH is 1 to 64");
    }

    authorization = getenv("AUTHORIZATION");

    if (authorization == NULL || strlen(authorization) > REQUEST_MAX - 512) {
        stop("AUTHORIZATION is not set, or too long");
    }

    memset(&sin, 0, sizeof(sin));
    sin.sin_family = AF_INET;
    sin.sin_port = htons(atoi(argv[2]));
    sin.sin_addr.s_addr = inet_addr(argv[1]);

    fd = socket(AF_INET, SOCK_STREAM, 0);

    if (connect(fd, (struct sockaddr *) &sin, sizeof(sin)) != 0) {
        stop("no connection");
    }

    for (asked = 0; asked < n; asked += i) {
        len = 0;

        for (i = 0; i < depth && asked + i < n; i++) {
            len += snprintf(out + len, sizeof(out) - len, request,
                            (asked + i) % devices, authorization);
        }

        if (send(fd, out, len, 0) != (ssize_t) len) {
            stop("the connection was closed");
        }

        answers(fd, i);
    }

    close(fd);

    return 0;
}
