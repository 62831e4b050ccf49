/* diff_rank: puts what diff.c tells of rows into another order: those that change most first. What is told goes to a temporary file; of each
 * row 24 bytes are kept in memory. Any thread, one at a time. */
#ifndef ESTEEM_DIFF_RANK_H
#define ESTEEM_DIFF_RANK_H

#include <stdint.h>
#include <stdio.h>

#include <jv.h>

struct diff_rank {
    FILE *spool;
    struct diff_told *told;
    size_t count, room;
    int64_t from; /* where the next one begins */
};

/* ERR_IO. `rank->spool` is where to write. */
int diff_rank_open(struct diff_rank *rank);
/* What was written since the last call is one piece, of so much weight. ERR_IO. */
int diff_rank_end(struct diff_rank *rank, double weight);
/* All pieces by falling weight, equal ones as they came. ERR_IO. */
int diff_rank_print(struct diff_rank *rank, FILE *out);
void diff_rank_close(struct diff_rank *rank);

/* How much a row changes, of {"measures", "metrics"} as diff_of makes them; borrowed. */
double diff_weight(jv changes, jv after);

#endif
