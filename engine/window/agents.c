/* Distinct agents: how many have `uses` (or `handled`) above 0 in a window, also when that is taken back. Each agent within a key has a key of its
 * own (key.h: SCOPE_AGENTS) that goes the way of all keys, through panes and cells; when what a window of it holds becomes more than 0, or
 * nothing again, the same window of the key that it lies within is given +1 or -1. So the counts lie in that key's D[w] and cells like
 * any other measure: revisions, checkpoints and rows need nothing of their own, and the rolling ones come again from the panes. */
#include "fold_parts.h"

#include "esteem/varint.h"

static const struct {
    enum measure of, count;
} distinct[DISTINCT_COUNT] = {
    [DISTINCT_active] = {MEASURE_uses, MEASURE_active_agents},
    [DISTINCT_handling] = {MEASURE_handled, MEASURE_handling_agents},
};
_Static_assert(MEASURE_active_agents < MEASURE_handling_agents && MEASURE_handled < MEASURE_uses, "a run has ascending ids");

/* What runs have of the measures, added to `value`. */
static void read(const uint8_t *at, uint32_t length, int sign, int64_t value[DISTINCT_COUNT])
{
    for (const uint8_t *end = at + length; at < end; at++) {
        uint64_t next = 0; /* the id + 1 */
        for (uint64_t step, packed; *at;) {
            at = varint_get(at, &step);
            at = varint_get(at, &packed);
            next += step;
            for (int d = 0; d < DISTINCT_COUNT; d++)
                if (next == (uint64_t)distinct[d].of + 1)
                    value[d] += sign * unzigzag(packed);
        }
    }
}

/* Adds to what a window holds of an agent. True: it counts now, or no longer; `run` says so. */
static bool turns(int64_t held[DISTINCT_COUNT], const int64_t more[DISTINCT_COUNT], struct tally_run *run)
{
    int turn[DISTINCT_COUNT], any = 0;
    for (int d = 0; d < DISTINCT_COUNT; d++) {
        int before = held[d] > 0;
        held[d] += more[d];
        any |= turn[d] = (held[d] > 0) - before;
    }
    if (!any)
        return false;
    tally_run_begin(run);
    for (int d = 0; d < DISTINCT_COUNT; d++)
        tally_run_put(run, distinct[d].count, turn[d]);
    tally_run_end(run);
    return true;
}

/* ---- rolling windows ---- */

void agents_rolling(struct fold *fold, uint32_t k, uint32_t windows, const struct tally *sum, int sign)
{
    struct key *key = fold->key[k], *within = fold->key[key->within];
    int64_t more[DISTINCT_COUNT] = {0};
    struct tally_run run, back;
    if (windows == 0)
        return;
    read(tally_bytes(sum), sum->length, sign, more);
    for (; windows; windows &= windows - 1) {
        int w = __builtin_ctz(windows);
        if (!turns(key->held[w], more, &run))
            continue;
        tally_add(&within->difference[w], &fold->slab, &fold->dense, run.bytes, run.length);
        if (w + 1 < fold->rolling_count) {
            tally_run_negate(&run, &back);
            tally_add(&within->difference[w + 1], &fold->slab, &fold->dense, back.bytes, back.length);
        }
        outlets_rolling_changed(fold, key->within, w);
    }
}

/* ---- calendar windows ---- */

/* The same window of the key that the agent's lies within. */
static void tell_within(struct fold *fold, struct cell cell, const struct tally_run *run)
{
    uint32_t c = cells_find(fold, fold->key[cell.key]->within, cell.window, cell.start_ms, cell_end_ms(&cell));
    if (c != NONE) /* it has had what its agent has: one is beyond correction with the other */
        cell_add(fold, c, run->bytes, run->length);
}

/* What a cell of an agent holds now, in place of what it held. */
static void hold(struct fold *fold, uint32_t c, const int64_t held[DISTINCT_COUNT])
{
    struct tally_run run;
    tally_run_begin(&run);
    tally_run_put(&run, MEASURE_handled, held[DISTINCT_handling]);
    tally_run_put(&run, MEASURE_uses, held[DISTINCT_active]);
    tally_run_end(&run);
    cell_keep_for_checkpoint(fold, c);
    tally_set(&fold->cell[c].tally, &fold->slab, &run);
}

void agents_calendar(struct fold *fold, const struct group *group, const struct tally *sum)
{
    int64_t more[DISTINCT_COUNT] = {0};
    read(tally_bytes(sum), sum->length, 1, more);
    if (more[DISTINCT_active] == 0 && more[DISTINCT_handling] == 0)
        return;
    const uint32_t *cell = cells_holding(fold, group);
    for (uint32_t left = fold->config->calendar; left; left &= left - 1) {
        int64_t held[DISTINCT_COUNT] = {0};
        struct tally_run run;
        uint32_t c = cell[__builtin_ctz(left)];
        if (c == NONE)
            continue;
        read(tally_bytes(&fold->cell[c].tally), fold->cell[c].tally.length, 1, held);
        bool turned = turns(held, more, &run);
        hold(fold, c, held);
        if (turned)
            tell_within(fold, fold->cell[c], &run);
    }
}
