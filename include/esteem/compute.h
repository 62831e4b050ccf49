/* compute: the batch command, and the reference for all the rest (SEMANTICS 6): whole files in, every row out, with the same
 * agents as the daemon, stepped in one thread. */
#ifndef ESTEEM_COMPUTE_H
#define ESTEEM_COMPUTE_H

#include <stdint.h>

#include "esteem/pipeline.h"

struct compute {
    const struct config *config;
    const char *const *files;
    int file_count;
    int64_t at_ms; /* INT64_MIN: no rolling rows */
};

struct compute_rows {
    struct row **row; /* ordered by window, start, tenant, scope */
    uint64_t count, room;
    struct pipeline_counts counts;
};

/* Reads all files and fills `rows`. ERR_IO, ERR_MAPPING. */
int compute_rows(const struct compute *compute, struct compute_rows *rows);
void compute_rows_free(struct compute_rows *rows);

#endif
