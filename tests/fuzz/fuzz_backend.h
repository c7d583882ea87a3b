
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#ifndef _FUZZ_BACKEND_H_INCLUDED_
#define _FUZZ_BACKEND_H_INCLUDED_


void fuzz_backend_listen(const char *dir);

/* what is allowed only by what a hostile redis says is no finding */

void fuzz_backend_expect(const char *profile, int hostile);

/*
 * 1 if there was something to do.  Ends the program if a request comes that
 * should not.
 */

int fuzz_backend_serve(void);


#endif /* _FUZZ_BACKEND_H_INCLUDED_ */
