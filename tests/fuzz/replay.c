
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/* main() of a target without libFuzzer: runs files through it. */


#include "fuzz.h"


int
main(int argc, char **argv)
{
    int             i;
    size_t          n;
    FILE           *in;
    static uint8_t  data[1048576];

    for (i = 1; i < argc; i++) {
        in = fopen(argv[i], "rb");

        if (in == NULL) {
            perror(argv[i]);
            return 1;
        }

        n = fread(data, 1, sizeof(data), in);
        fclose(in);

        (void) LLVMFuzzerTestOneInput(data, n);
    }

    printf("%d inputs\n", argc - 1);

    return 0;
}
