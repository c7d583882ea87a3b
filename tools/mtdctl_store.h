
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/* between reading the records and writing them; of one transaction */


#ifndef _MTDCTL_STORE_H_INCLUDED_
#define _MTDCTL_STORE_H_INCLUDED_


#include "mtdctl.h"


typedef struct {
    mtd_str_t           key;
    mtd_str_t           owner;      /* data is NULL: nobody's */
    mtd_str_t           owner_key;  /* taken from this record by force */
    mtd_str_t           owner_left; /* what aliases it keeps */
    mtd_str_t           owner_had;  /* what it has now */
} mtdctl_work_alias_t;


typedef struct {
    mtdctl_change_t      *change;
    mtd_str_t             key;
    mtdctl_work_alias_t  *alias;    /* as many as change->aliases.n */
    mtdctl_pairs_t        stored;
    mtdctl_pairs_t        next;
    mtdctl_pairs_t        aliases;  /* all that it is to have */
    long long             left;     /* TTL, seconds */
    mtd_str_t             user_key[2];   /* old, new; data may be NULL */
    long long             user_left;
    unsigned              write:1;
} mtdctl_work_t;


/* mtdctl_write.c: MTDCTL_AGAIN if a key was changed since it was read */

int mtdctl_write(mtdctl_t *ctl, mtdctl_work_t *work, size_t n);


#endif /* _MTDCTL_STORE_H_INCLUDED_ */
