
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#include <string.h>

#include "mtd_damp.h"


static mtd_damp_t *
mtd_damp_set(mtd_damp_t *table, uint32_t kind, uint64_t key)
{
    uint64_t  mixed;

    /* addresses differ in few bits */

    mixed = (key + kind) * 0x9e3779b97f4a7c15ULL;

    return table + (mixed >> 32) % (MTD_DAMP_ENTRIES / MTD_DAMP_WAYS)
                   * MTD_DAMP_WAYS;
}


mtd_damp_t *
mtd_damp_find(mtd_damp_t *table, uint32_t kind, uint64_t key)
{
    mtd_damp_t  *damp, *last;

    damp = mtd_damp_set(table, kind, key);

    for (last = damp + MTD_DAMP_WAYS; damp < last; damp++) {
        if (damp->key == key && damp->kind == kind) {
            return damp;
        }
    }

    return NULL;
}


mtd_damp_t *
mtd_damp_get(mtd_damp_t *table, uint32_t kind, uint64_t key, uint32_t now,
    mtd_damp_t *old)
{
    mtd_damp_t  *damp, *oldest, *last;

    old->kind = 0;
    old->more = 0;

    damp = mtd_damp_find(table, kind, key);

    if (damp) {
        damp->seen = now;
        return damp;
    }

    damp = mtd_damp_set(table, kind, key);
    oldest = damp;

    for (last = damp + MTD_DAMP_WAYS; damp < last; damp++) {

        if (damp->kind == 0) {
            oldest = damp;
            break;
        }

        if (damp->seen < oldest->seen) {
            oldest = damp;
        }
    }

    *old = *oldest;

    memset(oldest, 0, sizeof(mtd_damp_t));

    oldest->key = key;
    oldest->kind = kind;
    oldest->seen = now;
    oldest->stepped = now;
    oldest->minute = now;

    return oldest;
}


static unsigned
mtd_damp_count(const mtd_damp_t *damp, uint32_t now)
{
    uint32_t  steps;

    /* a clock that was set back takes no step */

    steps = (now > damp->stepped) ? (now - damp->stepped) / MTD_DAMP_STEP : 0;

    return (damp->count > steps) ? damp->count - steps : 0;
}


static unsigned
mtd_damp_seconds(unsigned count)
{
    unsigned  seconds;

    if (count <= MTD_DAMP_FREE) {
        return 0;
    }

    seconds = 1U << (count - MTD_DAMP_FREE - 1);

    return (seconds < MTD_DAMP_WAIT) ? seconds : MTD_DAMP_WAIT;
}


unsigned
mtd_damp_refused(mtd_damp_t *damp, uint32_t now)
{
    unsigned  count;

    count = mtd_damp_count(damp, now);

    if (count == 0 || now < damp->stepped) {
        damp->stepped = now;

    } else {
        damp->stepped += (now - damp->stepped) / MTD_DAMP_STEP
                         * MTD_DAMP_STEP;
    }

    if (count < MTD_DAMP_FREE + MTD_DAMP_STEPS) {
        count++;
    }

    damp->count = count;

    return mtd_damp_seconds(count);
}


unsigned
mtd_damp_wait(const mtd_damp_t *damp, uint32_t now)
{
    unsigned  quiet;

    quiet = (now > damp->seen) ? now - damp->seen : 0;

    return (damp->wait > quiet) ? damp->wait - quiet : 0;
}


int
mtd_damp_line(mtd_damp_t *damp, unsigned lines, uint32_t now, uint32_t *more)
{
    *more = 0;

    if (now < damp->minute || now - damp->minute >= MTD_DAMP_MINUTE) {
        *more = damp->more;

        damp->minute = now;
        damp->lines = 0;
        damp->more = 0;
    }

    if (damp->lines < lines) {
        damp->lines++;
        return 1;
    }

    damp->more++;

    return 0;
}
