
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


#ifndef _FUZZ_BACKEND_H_INCLUDED_
#define _FUZZ_BACKEND_H_INCLUDED_


void fuzz_backend_listen(const char *dir);

/*
 * What is allowed only by what a hostile redis says is no finding.  open:
 * without redis all is allowed.
 */

void fuzz_backend_expect(const char *profile, int open, int hostile);

/* requests since then, all of them answered */

size_t fuzz_backend_seen(void);

/*
 * 1 if there was something to do.  Ends the program if a request comes that
 * should not.
 */

int fuzz_backend_serve(void);


#endif /* _FUZZ_BACKEND_H_INCLUDED_ */
