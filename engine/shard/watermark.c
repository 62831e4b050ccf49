/* How far event time is: each input by its newest event less out_of_order, a shard by its inputs that are not idle, all shards by the one furthest
 * behind. A shard's word waits for what it has handed over: nobody may find that too late. */
#include "shard_parts.h"

bool shard_parcels_settled(const struct shard *shard, uint64_t count)
{
    /* acquire: the batches are in the folds' rings; partner of settle_parcels' release */
    return atomic_load_explicit(&shard->setup.clocks->settled[shard->setup.index], memory_order_acquire) >= count;
}

/* Read to its end, drained, and silent for idle_after. */
static bool input_idle(struct shard *shard, int input, int64_t monotonic_ms)
{
    struct input *one = &shard->input[input];
    if (!one->seen) {
        one->seen = true;
        one->heard_ms = monotonic_ms;
        shard_input_seen(shard, input);
    }
    if (atomic_load_explicit(&shard->setup.clocks->paused, memory_order_relaxed))
        one->heard_ms = monotonic_ms; /* there may be more: its silence says nothing */
    return shard->setup.source.at_end(shard->setup.source.state, input) && !shard->stuck &&
           monotonic_ms - one->heard_ms >= (shard->setup.batch ? 0 : shard->config->idle_after_ms);
}

/* The watermark follows its inputs, but not past what is still on its way to other shards. */
static void advance_watermark(struct shard *shard, int64_t inputs_ms)
{
    if (shard->next_watermark_ms != INT64_MIN && shard_parcels_settled(shard, shard->next_parcels)) {
        shard->watermark_ms = shard->next_watermark_ms;
        shard->next_watermark_ms = INT64_MIN;
    }
    if (shard->next_watermark_ms != INT64_MIN || inputs_ms <= shard->watermark_ms)
        return;
    if (shard_parcels_settled(shard, shard->parcels)) {
        shard->watermark_ms = inputs_ms;
        return;
    }
    shard->next_watermark_ms = inputs_ms;
    shard->next_parcels = shard->parcels;
}

/* Every input was read to its end at least once since the start, and what was handed over until then is with the folds. While a topic
 * is missing that is not so: what an earlier life told from it must not be taken for what the feed does not make. */
static void see_ends(struct shard *shard, int inputs)
{
    bool all = shard->setup.source.whole == NULL || shard->setup.source.whole(shard->setup.source.state);
    for (int i = 0; i < inputs && !shard->all_ended; i++) {
        struct input *one = &shard->input[i];
        one->ended |= (shard->setup.source.was_at_end ? shard->setup.source.was_at_end : shard->setup.source.at_end)(shard->setup.source.state, i);
        all &= one->ended && !(shard->stuck && shard->stuck->input == i);
    }
    if (all && !shard->all_ended) {
        shard->all_ended = true;
        shard->ended_parcels = shard->parcels;
    }
    shard->caught_up = shard->caught_up || (shard->all_ended && shard_parcels_settled(shard, shard->ended_parcels));
}

static void read_inputs(struct shard *shard)
{
    int64_t least = INT64_MAX, monotonic_ms = clock_monotonic_ms(&shard->setup.clock);
    if (shard->setup.source.poll && !shard->setup.source.ready(shard->setup.source.state))
        return;
    int inputs = shard->setup.source.inputs ? shard->setup.source.inputs(shard->setup.source.state) : 0;
    bool idle = true;
    see_ends(shard, inputs);
    for (int i = 0; i < inputs; i++) {
        if (input_idle(shard, i, monotonic_ms))
            continue;
        idle = false;
        int64_t newest = shard->input[i].newest_ms;
        int64_t watermark = newest == INT64_MIN ? INT64_MIN : newest - shard->config->out_of_order_ms;
        least = watermark < least ? watermark : least;
    }
    if (idle && shard->newest_ms != INT64_MIN)
        least = shard->newest_ms - shard->config->out_of_order_ms;
    advance_watermark(shard, least == INT64_MAX ? INT64_MIN : least);
    idle = idle && shard_parcels_settled(shard, shard->parcels);
    struct shard_clocks *clocks = shard->setup.clocks;
    /* relaxed: each value stands for itself; a stale one is only lower */
    atomic_store_explicit(&clocks->watermark_ms[shard->setup.index], shard->watermark_ms, memory_order_relaxed);
    atomic_store_explicit(&clocks->idle[shard->setup.index], idle, memory_order_relaxed);
}

/* With all shards idle it is the highest: which of two was idle first must not decide what is too late. */
static void read_clocks(struct shard *shard)
{
    const struct shard_clocks *clocks = shard->setup.clocks;
    int64_t least = INT64_MAX, highest = INT64_MIN;
    for (int i = 0; i < clocks->count; i++) {
        int64_t watermark = atomic_load_explicit(&clocks->watermark_ms[i], memory_order_relaxed);
        highest = watermark > highest ? watermark : highest;
        if (!atomic_load_explicit(&clocks->idle[i], memory_order_relaxed))
            least = watermark < least ? watermark : least;
    }
    int64_t all = least == INT64_MAX ? highest : least;
    if (all > shard->all_watermark_ms)
        shard->all_watermark_ms = all;
}

void shard_read_time(struct shard *shard)
{
    read_inputs(shard);
    read_clocks(shard);
}
