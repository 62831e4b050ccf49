/* timing: how long something takes, as a histogram, and the longest of the last one to two minutes. Plain numbers of one thread, which hands out
 * copies. */
#ifndef ESTEEM_TIMING_H
#define ESTEEM_TIMING_H

#include <stdint.h>

enum { TIMING_BUCKETS = 16 };
/* Upper bounds, microseconds, ascending; what is longer than the last is only in `count`. */
extern const int64_t timing_bound_us[TIMING_BUCKETS];

struct timing {
    uint64_t bucket[TIMING_BUCKETS]; /* of values up to its bound and above the one before */
    uint64_t count, sum_us;
    int64_t minute, longest_us[2]; /* of this minute, of the one before */
};

/* `us`: negative counts as 0. now_ms: of a clock that only rises. */
void timing_note(struct timing *timing, int64_t us, int64_t now_ms);
void timing_add(struct timing *sum, const struct timing *one);
/* The longest since a minute ago or up to two; 0: nothing. */
int64_t timing_longest_us(const struct timing *timing, int64_t now_ms);
/* Microseconds that this thread has had of the processor: waiting does not count. */
int64_t timing_thread_us(void);

#endif
