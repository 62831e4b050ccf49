/* publisher: an agent between the folds' rings and one sink. A row that finds no room in the sink waits here; the rings behind it
 * fill, the folds keep what has changed marked, and send the newest values when there is room again: nothing older than
 * needed is ever queued. Runs on: its own thread, or whoever steps it. */
#ifndef ESTEEM_PUBLISHER_H
#define ESTEEM_PUBLISHER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "esteem/ring.h"
#include "esteem/row.h"
#include "esteem/sink.h"
#include "esteem/timing.h"

struct publisher {
    struct sink sink;
    struct ring *ring; /* one a fold */
    int rings;
    struct row *held;
    struct timing publish; /* from when a row left its fold to when the sink has confirmed it, of one row at a time */
    uint64_t taken;        /* rows that the sink took */
    uint64_t probe;        /* the number of the row that is waited for; 0: none */
    int64_t probe_ms;      /* when it left its fold */
    _Atomic uint64_t generation; /* the sink's, for the folds to read */
    _Atomic bool empty;          /* at the end of the last step nothing waited here, in the rings or in the sink */
    _Atomic uint64_t steps;
    _Atomic uint64_t rows;       /* rows taken from the rings and settled */
};

enum { PUBLISHER_RING = 256 }; /* rows that are made wait for those before them: few, so that a slow sink gets new ones */

void publisher_init(struct publisher *publisher, const struct sink *sink, int folds);
void publisher_close(struct publisher *publisher);
/* Returns work done. */
int publisher_step(struct publisher *publisher, int64_t now_ms);
/* Any thread: the sink's generation, which asks for all rows again by changing. */
static inline uint64_t publisher_generation(const struct publisher *publisher)
{
    return atomic_load_explicit(&publisher->generation, memory_order_acquire);
}
/* Any thread. Whether nothing waited here, in the rings or in the sink at the end of the last step; *steps: how many there were. */
bool publisher_empty(const struct publisher *publisher, uint64_t *steps);

#endif
