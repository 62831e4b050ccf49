/* align: while a backlog is read, no input runs ahead of another by more than AHEAD_MS of event time. Else what lies between the fastest and
 * the slowest would stay in the finest panes, as the watermark is the slowest one's: a day of it, where one partition has a tenth of
 * another's messages. Inputs that are at their end hold nobody up; nor does one that stands still, as its broker may be away. */
#include "shard_parts.h"

enum { AHEAD_MS = 900000, STANDS_MS = 5000 };

/* The newest event time of the input that is furthest behind; INT64_MIN: one has not said any yet; INT64_MAX: all are at their ends. */
static int64_t slowest_here(const struct shard *shard, int inputs)
{
    int64_t slowest_ms = INT64_MAX;
    for (int i = 0; i < inputs; i++)
        if (shard->input[i].newest_ms < slowest_ms && !shard->setup.source.at_end(shard->setup.source.state, i))
            slowest_ms = shard->input[i].newest_ms;
    return slowest_ms;
}

static int64_t slowest_of_all(const struct shard *shard, int64_t slowest_ms)
{
    struct shard_clocks *clocks = shard->setup.clocks;
    /* relaxed: each value stands for itself; a stale one is only lower */
    atomic_store_explicit(&clocks->slowest_ms[shard->setup.index], slowest_ms, memory_order_relaxed);
    for (int i = 0; i < clocks->count; i++) {
        int64_t other_ms = atomic_load_explicit(&clocks->slowest_ms[i], memory_order_relaxed);
        slowest_ms = other_ms < slowest_ms ? other_ms : slowest_ms;
    }
    return slowest_ms;
}

void shard_align(struct shard *shard)
{
    const struct source *source = &shard->setup.source;
    if (!source->hold || shard->setup.batch || !source->ready(source->state))
        return;
    int inputs = source->inputs(source->state);
    int64_t slowest_ms = slowest_of_all(shard, slowest_here(shard, inputs)), monotonic_ms = clock_monotonic_ms(&shard->setup.clock);
    if (slowest_ms != shard->slowest_ms)
        shard->slowest_since_ms = monotonic_ms;
    shard->slowest_ms = slowest_ms;
    bool stands = monotonic_ms - shard->slowest_since_ms >= STANDS_MS;
    int64_t backlog_ms = shard->config->time_mode == TIME_LIVE ? clock_wall_ms(&shard->setup.clock) - AHEAD_MS : INT64_MAX;
    for (int i = 0; i < inputs; i++) {
        struct input *one = &shard->input[i];
        int64_t bound_ms = slowest_ms > INT64_MAX - AHEAD_MS ? INT64_MAX : slowest_ms == INT64_MIN ? INT64_MIN : slowest_ms + AHEAD_MS;
        bool hold = !stands && one->newest_ms > bound_ms && one->newest_ms < backlog_ms;
        if (hold != one->hold)
            source->hold(source->state, i, hold);
        one->hold = hold;
    }
}
