/* demo_check: holds every row that stands in Redis against compute over the recorded feed: the same windows, integers and metrics, and
 * none missing. Left out are revision, final, partial and config, which differ by nature between a live run and the batch. */
#ifndef ESTEEM_DEMO_CHECK_H
#define ESTEEM_DEMO_CHECK_H

#include <stdint.h>
#include <stdio.h>

#include "esteem/config.h"

struct demo_check {
    uint64_t rows;      /* in Redis */
    uint64_t equal;
    uint64_t different; /* another value, or none in compute */
    uint64_t missing;   /* rolling rows of compute that are not in Redis */
};

/* Reads Redis at the configuration's address. The first differences are told on `out`. ERR_REDIS, ERR_IO. */
int demo_check(const struct config *config, const char *feed_path, struct demo_check *check, FILE *out);

#endif
