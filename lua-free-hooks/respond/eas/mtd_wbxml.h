
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/*
 * The WBXML document that refuses an ActiveSync command.  Plain C.
 */


#ifndef _MTD_WBXML_H_INCLUDED_
#define _MTD_WBXML_H_INCLUDED_


#include "mtd_words.h"


#define MTD_WBXML_ERROR_MAX    15   /* bytes */


/*
 * command is an mtd_eas_command_e, status has three digits.  Returns the
 * length of what was written, or 0 if the command has no such document.
 */

size_t mtd_wbxml_error(u_char buf[MTD_WBXML_ERROR_MAX], unsigned command,
    unsigned status);


#endif /* _MTD_WBXML_H_INCLUDED_ */
