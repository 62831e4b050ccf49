#include "esteem/timing.h"

#include <time.h>

const int64_t timing_bound_us[TIMING_BUCKETS] = {50,    100,   250,    500,    1000,   2500,    5000,    10000,
                                                 25000, 50000, 100000, 250000, 500000, 1000000, 2500000, 10000000};

static int64_t minute_of(int64_t now_ms)
{
    return now_ms / 60000;
}

/* What the longest are of this minute and of the one before. */
static void longest_of(const struct timing *timing, int64_t minute, int64_t longest_us[2])
{
    longest_us[0] = minute == timing->minute ? timing->longest_us[0] : 0;
    longest_us[1] = minute == timing->minute ? timing->longest_us[1] : minute == timing->minute + 1 ? timing->longest_us[0] : 0;
}

void timing_note(struct timing *timing, int64_t us, int64_t now_ms)
{
    int64_t minute = minute_of(now_ms), longest_us[2];
    int b = 0;
    us = us < 0 ? 0 : us;
    while (b < TIMING_BUCKETS && us > timing_bound_us[b])
        b++;
    if (b < TIMING_BUCKETS)
        timing->bucket[b]++;
    timing->count++;
    timing->sum_us += (uint64_t)us;
    longest_of(timing, minute, longest_us);
    timing->minute = minute;
    timing->longest_us[0] = us > longest_us[0] ? us : longest_us[0];
    timing->longest_us[1] = longest_us[1];
}

void timing_add(struct timing *sum, const struct timing *one)
{
    for (int b = 0; b < TIMING_BUCKETS; b++)
        sum->bucket[b] += one->bucket[b];
    sum->count += one->count;
    sum->sum_us += one->sum_us;
}

int64_t timing_longest_us(const struct timing *timing, int64_t now_ms)
{
    int64_t longest_us[2];
    longest_of(timing, minute_of(now_ms), longest_us);
    return longest_us[0] > longest_us[1] ? longest_us[0] : longest_us[1];
}

int64_t timing_thread_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}
