
/*
 * Copyright (C) the ngx_http_mtd_module authors
 */


/* keys, and what each version of one says */


#include "interleave.h"


thing_t  inter_things[THINGS];

static const char  *threats[] = {
    "secured", "lowSeverity", "mediumSeverity", "highSeverity", "compromised",
    "activated", "deactivated", "misconfigured"
};

static const char  *compliances[] = {
    "compliant", "noncompliant", "conflict", "error", "inGracePeriod",
    "configManager", "unknown"
};


long
inter_chance(long n)
{
    return random() % n;
}


thing_t *
inter_alias(int key)
{
    return &inter_things[key * (1 + PER_KEY)];
}


thing_t *
inter_device(int key, int i)
{
    return &inter_things[key * (1 + PER_KEY) + 1 + i];
}


int
inter_leads(long version)
{
    return version % 7 == 6 ? -1 : version % PER_KEY;
}


int
inter_absent(long version)
{
    return version % 11 == 10;
}


void
inter_text(const thing_t *thing, long version, char *text)
{
    sprintf(text, "%s %s %s", threats[version % 8],
            compliances[version % VERSIONS / 8], thing->id);
}


void
inter_things_init(const char *names)
{
    int       i, n;
    FILE     *in;
    thing_t  *thing;

    in = fopen(names, "r");

    for (i = 0; i < THINGS; i++) {
        thing = &inter_things[i];
        thing->key = i / (1 + PER_KEY);
        n = i % (1 + PER_KEY) - 1;

        sprintf(thing->id, n < 0 ? "d%d" : "d%d-%d", thing->key, n);

        if (in == NULL || fscanf(in, "%63s", thing->name) != 1) {
            wire_stop(names);
        }
    }

    fclose(in);
}
