/* Distinct agents: how many have `uses` (or `handled`) above 0 in a window, also when that is taken back. Each agent within a key has a key of its
 * own (key.h: SCOPE_AGENTS) that goes the way of all keys, through panes and cells; when what a window of it holds becomes more than 0, or
 * nothing again, the same window of the key that it lies within is given +1 or -1. So the counts lie in that key's D[w] and cells like
 * any other measure: revisions, checkpoints and rows need nothing of their own, and the rolling ones come again from the panes. */
#include "fold_parts.h"

static const struct {
    enum measure of, count;
} distinct[DISTINCT_COUNT] = {
    [DISTINCT_active] = {MEASURE_uses, MEASURE_active_agents},
    [DISTINCT_handling] = {MEASURE_handled, MEASURE_handling_agents},
};
_Static_assert(MEASURE_active_agents < MEASURE_handling_agents, "a run has ascending ids");

static void read(struct fold *fold, const struct tally *tally, int sign, int64_t value[DISTINCT_COUNT])
{
    tally_dense_add(&fold->dense, tally->bytes, tally->length, sign);
    for (int d = 0; d < DISTINCT_COUNT; d++)
        value[d] = fold->dense.value[distinct[d].of];
    tally_dense_clear(&fold->dense);
}

/* Adds to what a window holds of an agent. True: it counts now, or no longer; `run` says so. */
static bool turns(int64_t held[DISTINCT_COUNT], const int64_t more[DISTINCT_COUNT], struct tally_run *run)
{
    tally_run_begin(run);
    for (int d = 0; d < DISTINCT_COUNT; d++) {
        int before = held[d] > 0;
        held[d] += more[d];
        tally_run_put(run, distinct[d].count, (held[d] > 0) - before);
    }
    tally_run_end(run);
    return !tally_run_empty(run);
}

void agents_rolling(struct fold *fold, uint32_t k, uint32_t windows, const struct tally *sum, int sign)
{
    int64_t more[DISTINCT_COUNT];
    struct tally_run run, back;
    read(fold, sum, sign, more);
    for (; windows; windows &= windows - 1) {
        int w = __builtin_ctz(windows);
        struct key *within = fold->key[fold->key[k]->within];
        if (!turns(fold->key[k]->held[w], more, &run))
            continue;
        tally_add(&within->difference[w], &fold->slab, &fold->dense, run.bytes, run.length);
        if (w + 1 < fold->rolling_count) {
            tally_run_negate(&run, &back);
            tally_add(&within->difference[w + 1], &fold->slab, &fold->dense, back.bytes, back.length);
        }
        outlets_rolling_changed(fold, fold->key[k]->within, w);
    }
}

void agents_calendar(struct fold *fold, uint32_t c, const struct tally *sum)
{
    struct cell cell = fold->cell[c];
    int64_t held[DISTINCT_COUNT], more[DISTINCT_COUNT];
    struct tally_run run;
    read(fold, &cell.tally, 1, held);
    read(fold, sum, 1, more);
    if (!turns(held, more, &run))
        return;
    uint32_t within = cells_find(fold, fold->key[cell.key]->within, cell.window, cell.start_ms, cell.end_ms);
    if (within != NONE) /* it has had what its agent has: one is beyond correction with the other */
        cell_add(fold, within, run.bytes, run.length);
}
