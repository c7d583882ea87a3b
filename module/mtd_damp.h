
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * Who is refused again and again: how long it is asked to wait, and how many
 * lines it may have in the log.  A table of fixed size, in which the one that
 * was quiet longest gives way.  Plain C; times are in seconds.
 */


#ifndef _MTD_DAMP_H_INCLUDED_
#define _MTD_DAMP_H_INCLUDED_


#include <stdint.h>


#define MTD_DAMP_FREE      10       /* refusals that ask for no wait */
#define MTD_DAMP_STEPS     10       /* 1, 2, 4, ... MTD_DAMP_WAIT */
#define MTD_DAMP_WAIT      300
#define MTD_DAMP_STEP      30       /* of quiet take one step back */
#define MTD_DAMP_MINUTE    60

#define MTD_DAMP_WAYS      4
#define MTD_DAMP_ENTRIES   4096


/* kind 0: free */

typedef struct {
    uint64_t     key;
    uint32_t     kind;              /* the caller's, not 0 */
    uint32_t     seen;              /* last refusal */
    uint32_t     stepped;           /* count went back last */
    uint32_t     minute;            /* the one of lines has begun */
    uint32_t     more;              /* in it, without a line */
    uint16_t     lines;
    uint16_t     count;
    uint32_t     wait;              /* seconds that it was told to, by you */
} mtd_damp_t;


/*
 * The entry of a key, a new one if there was none; what it takes the place
 * of is copied to old, whose kind is 0 if that was nobody.
 */

mtd_damp_t *mtd_damp_get(mtd_damp_t *table, uint32_t kind, uint64_t key,
    uint32_t now, mtd_damp_t *old);

/* NULL if there is none */

mtd_damp_t *mtd_damp_find(mtd_damp_t *table, uint32_t kind, uint64_t key);

/* one refusal more; returns how long to wait, 0: not at all */

unsigned mtd_damp_refused(mtd_damp_t *damp, uint32_t now);

/* how long it was asked to wait last, less what has been quiet since */

unsigned mtd_damp_wait(const mtd_damp_t *damp, uint32_t now);

/*
 * 1 if this refusal may have a line.  The minute may have ended before: then
 * more is how many had none in it, and else 0.
 */

int mtd_damp_line(mtd_damp_t *damp, unsigned lines, uint32_t now,
    uint32_t *more);


#endif /* _MTD_DAMP_H_INCLUDED_ */
