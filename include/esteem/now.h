/* now: gauges of the present: who waits, who talks, which agents are ready. A contribution stands under a scope key from the fact that makes
 * it so until the one that ends it, and lies in no window. Of those who wait and of those in wrap it counts as well since which second:
 * how many there are of each second, by blocks of as many seconds as a histogram has buckets, under the ids of the buckets.
 *
 *   block 0             the gauges themselves, MEASURE_waiting ... MEASURE_agents_away, without longest_wait_ms and in_wrap, which the
 *                       seconds tell
 *   block at / 1024 s   of its seconds: waiting since then (NOW_WAITING), in wrap since then (NOW_WRAP)
 *
 * A contact offered at 14:00:07 is waiting 1 in block 0, and 1 in the second of 14:00:07; answered, both are taken back. Any thread. */
#ifndef ESTEEM_NOW_H
#define ESTEEM_NOW_H

#include <stdint.h>

#include "esteem/measure.h"

#define NOW_WAITING HISTOGRAM_wait
#define NOW_WRAP HISTOGRAM_handle
enum { NOW_SECOND_MS = 1000, NOW_BLOCK_MS = HISTOGRAM_BUCKETS * NOW_SECOND_MS };

/* The block that holds an instant; event times are none before 1970. */
static inline int64_t now_block(int64_t at_ms)
{
    return at_ms / NOW_BLOCK_MS;
}

/* The id of an instant's second in its block. */
static inline uint32_t now_second(enum histogram of, int64_t at_ms)
{
    return histogram_id(of, (uint32_t)(at_ms % NOW_BLOCK_MS / NOW_SECOND_MS));
}

#endif
