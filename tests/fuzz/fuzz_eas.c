
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/* The input is the query of an ActiveSync request. */


#include "fuzz.h"
#include "model_eas.h"


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int          rc;
    u_char      *copy;
    mtd_eas_t    eas, again;
    mtd_str_t    args;
    const char  *difference;

    copy = fuzz_copy(data, size);
    args.data = copy;
    args.len = size;

    memset(&eas, 0xff, sizeof(eas));
    memset(&again, 0, sizeof(again));

    rc = mtd_eas_parse(&eas, &args);

    fuzz_check(mtd_eas_parse(&again, &args) == rc
               && again.n == eas.n && again.why == eas.why
               && again.command == eas.command
               && again.version == eas.version,
               "depends on what was there before");

    if (rc != MTD_EAS_OK) {
        fuzz_check(rc == MTD_EAS_MALFORMED, "unknown result");
        fuzz_check(eas.why && eas.why[0], "malformed without a reason");
        fuzz_check(eas.n == 0, "malformed, and a device");

    } else {
        fuzz_check(eas.why == NULL, "a reason, and no error");
        fuzz_check(eas.n <= MTD_EAS_CANDIDATES, "too many candidates");
        fuzz_check((eas.n == 0) == !!eas.no_device, "no device, no word");

        difference = model_eas(&eas, args.data, args.len);

        fuzz_check(difference == NULL, difference);
    }

    free(copy);

    return 0;
}
