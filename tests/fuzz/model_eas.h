
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#ifndef _MODEL_EAS_H_INCLUDED_
#define _MODEL_EAS_H_INCLUDED_


#include "mtd_eas.h"


/*
 * NULL if Exchange would read the device and the command in a query that the
 * gate has read in it, and no other reader anything else; else what differs.
 */

const char *model_eas(const mtd_eas_t *eas, const u_char *p, size_t len);


#endif /* _MODEL_EAS_H_INCLUDED_ */
