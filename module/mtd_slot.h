
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * Which of the 16384 slots of a Redis Cluster a key is in: its CRC16, that of
 * XMODEM, or that of the part in the first braces, if there is one.
 */


#ifndef _MTD_SLOT_H_INCLUDED_
#define _MTD_SLOT_H_INCLUDED_


#include <stddef.h>
#include <sys/types.h>


#define MTD_SLOTS   16384


unsigned int mtd_slot(const u_char *key, size_t len);


#endif /* _MTD_SLOT_H_INCLUDED_ */
