
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * To be loaded by LD_PRELOAD: makes one allocation of one process fail.
 *
 * The file that FAIL_ALLOC names has three 64-bit numbers: the process, how
 * many of its allocations from now on go well, and how many have failed.
 * Whoever writes the first two arms it; it disarms itself.
 */


#define _GNU_SOURCE

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>


extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);


typedef struct {
    int64_t   pid;
    int64_t   left;
    int64_t   failed;
} fail_alloc_t;


static void fail_alloc_init(void) __attribute__((constructor));


static fail_alloc_t  *fail_alloc;


static void
fail_alloc_init(void)
{
    int          fd;
    void        *p;
    const char  *name;

    name = getenv("FAIL_ALLOC");
    fd = name ? open(name, O_RDWR|O_CLOEXEC) : -1;

    if (fd == -1) {
        return;
    }

    p = mmap(NULL, sizeof(fail_alloc_t), PROT_READ|PROT_WRITE, MAP_SHARED, fd,
             0);

    if (p != MAP_FAILED) {
        fail_alloc = p;
    }

    (void) close(fd);
}


static int
fail_alloc_now(void)
{
    if (fail_alloc == NULL || fail_alloc->pid == 0
        || fail_alloc->pid != getpid())
    {
        return 0;
    }

    if (__atomic_fetch_sub(&fail_alloc->left, 1, __ATOMIC_RELAXED) != 0) {
        return 0;
    }

    fail_alloc->pid = 0;
    fail_alloc->failed++;
    errno = ENOMEM;

    return 1;
}


void *
malloc(size_t size)
{
    return fail_alloc_now() ? NULL : __libc_malloc(size);
}


void *
calloc(size_t n, size_t size)
{
    return fail_alloc_now() ? NULL : __libc_calloc(n, size);
}


void *
realloc(void *p, size_t size)
{
    return fail_alloc_now() ? NULL : __libc_realloc(p, size);
}


int
posix_memalign(void **p, size_t alignment, size_t size)
{
    if (fail_alloc_now()) {
        return ENOMEM;
    }

    *p = __libc_memalign(alignment, size);

    return *p ? 0 : ENOMEM;
}
