
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * Redis and the backend of the target "request": sockets that are served
 * when their turn comes.
 */


#ifndef _FUZZ_REDIS_H_INCLUDED_
#define _FUZZ_REDIS_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>


/* not blocking; the socket DIR/NAME.sock */

int fuzz_listen(const char *dir, const char *name);
int fuzz_connect(const char *dir, const char *name);
int fuzz_accept(int fd);


void fuzz_redis_listen(const char *dir);

/* 1 if there was something to do */

int fuzz_redis_serve(void);

/* the gate has both of its connections, and is told of changes */

int fuzz_redis_ready(void);

/* instead of the next answer, or to who is told of changes */

void fuzz_redis_say(const uint8_t *data, size_t size, int push);

/* closes all connections */

void fuzz_redis_reset(void);

/* tells that everything has changed */

void fuzz_redis_forget(void);


#endif /* _FUZZ_REDIS_H_INCLUDED_ */
