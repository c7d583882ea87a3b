
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * What may be believed of a zone that several workers share: since when it
 * has been told of every change, by whom, and who takes over from whom.  All
 * time is the test's own.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "ngx_mtd_zone.h"


#define SIZE   (256 * 1024)
#define ONE    1                /* the servers */
#define TWO    2


static ngx_uint_t       locked;
static ngx_str_t        kinds[1] = { ngx_string("serial") };
static ngx_shm_zone_t   shm_zone;
static ngx_slab_pool_t  shpool;

static u_char           memory[4 * SIZE] __attribute__((aligned(4096)));
static u_char          *last;


/* what of nginx the zone needs */

static uint32_t         crc32_table[16];

volatile ngx_msec_t     ngx_current_msec;
ngx_int_t               ngx_process_slot;
ngx_uint_t              ngx_pagesize = 4096;
uint32_t               *ngx_crc32_table_short = crc32_table;


static ngx_uint_t       kill_worker;
static jmp_buf          killed;


void
ngx_time_update(void)
{
    if (kill_worker) {
        longjmp(killed, 1);
    }
}


void
ngx_shmtx_lock(ngx_shmtx_t *mtx)
{
    assert_int_equal(locked++, 0);
}


void
ngx_shmtx_unlock(ngx_shmtx_t *mtx)
{
    assert_int_equal(locked--, 1);
}


void *
ngx_slab_calloc(ngx_slab_pool_t *pool, size_t size)
{
    u_char  *p;

    p = last;
    last += ngx_align(size, 4096);

    assert_true(last <= memory + sizeof(memory));

    return memset(p, 0, size);
}


void *
ngx_slab_alloc(ngx_slab_pool_t *pool, size_t size)
{
    return ngx_slab_calloc(pool, size);
}


u_char *
ngx_sprintf(u_char *buf, const char *fmt, ...)
{
    return buf;
}


/* a configuration; the first one has no old one */

static void
configure(ngx_mtd_zone_t *zone, ngx_mtd_zone_t *old)
{
    memset(zone, 0, sizeof(ngx_mtd_zone_t));

    zone->kinds = kinds;
    zone->nkinds = 1;

    if (old == NULL) {
        last = memory;

        memset(&shpool, 0, sizeof(shpool));
        shpool.pfree = SIZE / ngx_pagesize;

        shm_zone.shm.addr = (u_char *) &shpool;
        shm_zone.shm.size = SIZE;
    }

    shm_zone.data = zone;

    assert_int_equal(ngx_mtd_zone_init(&shm_zone, old), NGX_OK);
}


/* one of its workers, of which there are two, as fork() leaves it */

static void
start(ngx_mtd_zone_t *worker, const ngx_mtd_zone_t *zone, uint64_t server)
{
    *worker = *zone;

    ngx_mtd_zone_init_process(worker, 2);
    ngx_mtd_zone_serve(worker, server);
}


/* since when its link may trust the zone, 0: not at all */

static ngx_msec_t
cover(ngx_mtd_zone_t *worker, ngx_msec_t since, ngx_msec_t confirmed)
{
    ngx_msec_t  trusted;

    ngx_current_msec = confirmed + 5;

    return ngx_mtd_zone_cover(worker, since, confirmed, &trusted) ? trusted
                                                                  : 0;
}


static ngx_int_t
put(ngx_mtd_zone_t *worker, const ngx_mtd_ticket_t *ticket)
{
    mtd_record_t  record;

    memset(&record, 0, sizeof(record));

    return ngx_mtd_zone_put_device(worker, &ticket->name, &record, ticket);
}


static void
ask(ngx_mtd_zone_t *worker, ngx_mtd_ticket_t *ticket, const char *id,
    ngx_msec_t now)
{
    mtd_hash_t  key;

    ngx_current_msec = now;

    key = ngx_mtd_zone_device_hash(worker, (const u_char *) id, strlen(id));
    ngx_mtd_zone_ticket(worker, ticket, &key);
}


/* as a lookup does */

static int
believed(ngx_mtd_zone_t *worker, ngx_msec_t trusted, const char *id)
{
    mtd_hash_t        key;
    ngx_mtd_device_t  device;

    memset(&device, 0, sizeof(device));
    key = ngx_mtd_zone_device_hash(worker, (const u_char *) id, strlen(id));

    return ngx_mtd_zone_device(worker, &key, &device)
           && trusted && device.entry.fetched >= trusted;
}


/* of a value that is too long there is no address */

static void
test_name(void **state)
{
    u_char          name[sizeof("alias:serial:") + MTD_ID_MAX];
    size_t          len;
    mtd_hash_t      hash, expected;
    ngx_mtd_zone_t  zone;

    configure(&zone, NULL);

    len = sizeof("alias:serial:") - 1;

    memcpy(name, "alias:serial:", len);
    memset(name + len, 's', MTD_ID_MAX + 1);

    assert_int_equal(ngx_mtd_zone_name(&zone, name, len + MTD_ID_MAX, &hash),
                     NGX_MTD_CHANGED_ALIAS);

    expected = ngx_mtd_zone_alias_hash(&zone, 0, name + len, MTD_ID_MAX);
    assert_true(mtd_hash_equal(&hash, &expected));

    assert_int_equal(ngx_mtd_zone_name(&zone, name, len + MTD_ID_MAX + 1,
                                       &hash),
                     NGX_MTD_CHANGED_NOTHING);
}


/* who sees what is shown learns no sums of the address, in its halves */

static void
test_shown(void **state)
{
    uint64_t        shown;
    mtd_hash_t      hash;
    ngx_mtd_zone_t  zone;

    configure(&zone, NULL);

    hash = ngx_mtd_zone_alias_hash(&zone, 0, (const u_char *) "a", 1);
    shown = ngx_mtd_zone_shown(&zone, &hash);

    assert_true(shown != hash.word[0] && shown != hash.word[1]);

    hash.word[1]++;
    assert_true(ngx_mtd_zone_shown(&zone, &hash) != shown);
    assert_true(ngx_mtd_zone_shown(&zone, &hash) != shown + 1);
}


static void
test_covered(void **state)
{
    ngx_mtd_zone_t    zone, a, b;
    ngx_mtd_ticket_t  before, early, late;

    ngx_current_msec = 1000;
    configure(&zone, NULL);
    start(&a, &zone, ONE);
    start(&b, &zone, ONE);

    ask(&a, &before, "before", 1100);
    assert_int_equal(put(&a, &before), NGX_OK);

    assert_int_equal(cover(&a, 1201, 1210), 1201);

    ask(&a, &early, "early", 1250);
    assert_int_equal(put(&a, &early), NGX_OK);
    assert_int_equal(cover(&a, 1201, 1400), 1201);

    /* another link begins in the life of this one: it may believe as much */

    assert_int_equal(cover(&b, 1301, 1310), 1201);
    assert_false(believed(&b, 1201, "before"));
    assert_true(believed(&b, 1201, "early"));

    /* one that begins where no link was is on its own after a while */

    assert_int_equal(cover(&a, 3001, 3010), 3001);
    assert_int_equal(cover(&a, 3001, 3510), 3001);

    ask(&a, &late, "late", 3520);
    assert_int_equal(put(&a, &late), NGX_OK);
    assert_int_equal(cover(&b, 3501, 3530), 3001);

    assert_false(believed(&b, 3001, "early"));
    assert_true(believed(&b, 3001, "late"));
}


/* a link that was up all the while knows nothing of what another has said */

static void
test_taken_back(void **state)
{
    ngx_msec_t        trusted;
    ngx_mtd_zone_t    zone, a, b;
    ngx_mtd_ticket_t  before, asked, detour, same, after;

    ngx_current_msec = 1000;
    configure(&zone, NULL);
    start(&a, &zone, ONE);
    start(&b, &zone, ONE);

    assert_int_equal(cover(&a, 1001, 1010), 1001);
    assert_int_equal(cover(&b, 1001, 1010), 1001);

    ask(&a, &before, "before", 1100);
    assert_int_equal(put(&a, &before), NGX_OK);
    assert_true(believed(&b, 1001, "before"));

    /* one worker goes to another server, the link of the other one stays */

    ask(&a, &asked, "asked", 2000);
    ngx_mtd_zone_serve(&b, TWO);

    assert_int_equal(cover(&a, 1001, 2010), 0);
    assert_int_equal(put(&a, &asked), NGX_DECLINED);
    assert_false(ngx_mtd_zone_serves(&a));

    ask(&b, &detour, "detour", 2100);
    assert_int_equal(put(&b, &detour), NGX_OK);

    /* ... and comes back; what it has asked there is void */

    ask(&b, &detour, "too late", 2200);

    ngx_current_msec = 2500;
    ngx_mtd_zone_serve(&b, ONE);

    assert_true(ngx_mtd_zone_serves(&a));
    assert_int_equal(put(&b, &detour), NGX_DECLINED);

    /* a question of the same millisecond may have been answered before */

    ask(&a, &same, "same", 2500);
    assert_int_equal(put(&a, &same), NGX_OK);

    ask(&a, &after, "after", 2501);
    assert_int_equal(put(&a, &after), NGX_OK);

    trusted = cover(&a, 1001, 2510);

    assert_false(believed(&a, trusted, "before"));
    assert_false(believed(&a, trusted, "detour"));
    assert_false(believed(&a, trusted, "same"));
    assert_true(believed(&a, trusted, "after"));

    /* a PING that was sent before, answered after; then whoever joins */

    trusted = cover(&a, 1001, 2490);
    assert_false(believed(&a, trusted, "detour"));
    assert_true(believed(&a, trusted, "after"));

    trusted = cover(&b, 2506, 2520);
    assert_false(believed(&b, trusted, "detour"));
    assert_true(believed(&b, trusted, "after"));
}


/* the one that asks what all others ask changes nothing */

static void
test_served_again(void **state)
{
    ngx_mtd_zone_t    zone, a, b;
    ngx_mtd_ticket_t  ticket;

    ngx_current_msec = 1000;
    configure(&zone, NULL);
    start(&a, &zone, ONE);

    assert_int_equal(cover(&a, 1001, 1010), 1001);
    ask(&a, &ticket, "known", 1100);
    assert_int_equal(put(&a, &ticket), NGX_OK);
    assert_int_equal(cover(&a, 1001, 1300), 1001);

    ngx_current_msec = 1250;
    start(&b, &zone, ONE);

    assert_int_equal(cover(&b, 1251, 1350), 1001);
    assert_true(believed(&b, 1001, "known"));
}


/*
 * A worker that is killed while it says whom it asks, and whose lock is then
 * taken from it, leaves nothing that the next one takes for done.
 */

static void
test_serving_killed(void **state)
{
    ngx_msec_t        trusted;
    ngx_mtd_zone_t    zone, a, b, c;
    ngx_mtd_ticket_t  ticket;

    ngx_current_msec = 1000;
    configure(&zone, NULL);
    start(&a, &zone, ONE);
    start(&c, &zone, ONE);

    assert_int_equal(cover(&a, 1001, 1010), 1001);
    ask(&a, &ticket, "known", 1100);
    assert_int_equal(put(&a, &ticket), NGX_OK);
    assert_int_equal(cover(&a, 1001, 1300), 1001);

    /* what one server has said must not be believed of the other */

    kill_worker = 1;

    if (setjmp(killed) == 0) {
        ngx_mtd_zone_serve(&c, TWO);
        fail();
    }

    kill_worker = 0;
    locked = 0;

    ngx_current_msec = 1400;
    start(&b, &zone, TWO);

    /* of a link that goes on, as one to an address that has moved does */

    trusted = cover(&b, 1001, 1450);
    assert_false(believed(&b, trusted, "known"));
}


static void
test_awaits(void **state)
{
    ngx_mtd_zone_t  first, second, third, a, b, c, d, e;

    ngx_current_msec = 1000;
    configure(&first, NULL);
    start(&a, &first, ONE);

    /* nobody comes after it */

    assert_int_equal(cover(&a, 1001, 1010), 1001);
    assert_false(ngx_mtd_zone_awaits(&a));

    /* a reload: it waits for each of the two new ones, and they do not */

    configure(&second, &first);
    assert_true(ngx_mtd_zone_awaits(&a));

    start(&b, &second, ONE);
    start(&c, &second, ONE);
    assert_true(ngx_mtd_zone_awaits(&a));
    assert_false(ngx_mtd_zone_awaits(&b));

    assert_int_equal(cover(&a, 1001, 2010), 1001);
    assert_int_equal(cover(&b, 2006, 2020), 1001);
    assert_true(ngx_mtd_zone_awaits(&a));

    /* the same one again is no other one */

    assert_int_equal(cover(&b, 2006, 2030), 1001);
    assert_int_equal(cover(&a, 1001, 2035), 1001);
    assert_true(ngx_mtd_zone_awaits(&a));

    assert_int_equal(cover(&c, 2006, 2040), 1001);
    assert_false(ngx_mtd_zone_awaits(&a));

    /* another reload: the first one is not needed, the second ones are */

    configure(&third, &second);
    assert_false(ngx_mtd_zone_awaits(&a));
    assert_true(ngx_mtd_zone_awaits(&b));
    assert_true(ngx_mtd_zone_awaits(&c));

    start(&d, &third, ONE);
    start(&e, &third, ONE);

    assert_int_equal(cover(&d, 2031, 2050), 1001);
    assert_true(ngx_mtd_zone_awaits(&c));

    /* one that is on its own has not taken over */

    assert_int_equal(cover(&e, 2061, 2062), 2061);
    assert_true(ngx_mtd_zone_awaits(&c));

    assert_int_equal(cover(&c, 2006, 2065), 1001);
    assert_int_equal(cover(&e, 2061, 2070), 1001);
    assert_false(ngx_mtd_zone_awaits(&c));
    assert_false(ngx_mtd_zone_awaits(&e));
}


/* those of a configuration that is over do not count for the newest one */

static void
test_awaits_newest(void **state)
{
    ngx_mtd_zone_t  first, second, third, a, b, c, d, e;

    ngx_current_msec = 1000;
    configure(&first, NULL);
    start(&a, &first, ONE);
    assert_int_equal(cover(&a, 1001, 1010), 1001);

    configure(&second, &first);
    start(&b, &second, ONE);
    start(&c, &second, ONE);

    configure(&third, &second);
    start(&d, &third, ONE);
    start(&e, &third, ONE);

    assert_int_equal(cover(&a, 1001, 2010), 1001);
    assert_int_equal(cover(&d, 2001, 2020), 1001);
    assert_int_equal(cover(&b, 2001, 2025), 1001);
    assert_int_equal(cover(&c, 2001, 2030), 1001);
    assert_true(ngx_mtd_zone_awaits(&a));
    assert_true(ngx_mtd_zone_awaits(&b));

    assert_int_equal(cover(&e, 2001, 2040), 1001);
    assert_false(ngx_mtd_zone_awaits(&a));
    assert_false(ngx_mtd_zone_awaits(&b));
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_name),
        cmocka_unit_test(test_shown),
        cmocka_unit_test(test_covered),
        cmocka_unit_test(test_taken_back),
        cmocka_unit_test(test_served_again),
        cmocka_unit_test(test_serving_killed),
        cmocka_unit_test(test_awaits),
        cmocka_unit_test(test_awaits_newest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
