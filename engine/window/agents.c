/* Distinct agents: how many have `uses` (or `handled`) above 0 in a window, also when a use is taken back. Each agent within a scope key has a key
 * of their own (key.h: SCOPE_AGENTS), which goes the way of all keys, through panes and cells. When a window of the agent's key comes to hold more
 * than 0, or nothing again, the same window of the scope key is given +1 or -1. So the counts lie in the scope key's D[w] and cells like any other
 * measure: revisions, checkpoints and rows need nothing of their own, and the rolling counts come again from the panes.
 *
 * An agent's keys within a channel, a queue and so on nearly always are added to together: as a bundle (key.h). The bundle has panes and cells; its
 * parts, the agent's keys, change only when a window of the bundle comes to hold something, or nothing again. What came through a bundle is taken
 * back through that bundle. What came to the parts before there was a bundle may be taken back through the bundle as well, which then holds less
 * than nothing (as_part). Where keys lie in other folds than before, or scopes are gone, the same bundle would not come again: all are disbanded. */
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

/* What the parts have of a bundle of which a window holds so much: 1 of anything, and all of what is less than nothing. So a part does not change
 * with each contribution to its bundle; and what came to the part itself and is taken back through the bundle still adds up. */
static int64_t as_part(int64_t held)
{
    return held < 1 ? held : 1;
}

/* Adds `more` to what a window of a bundle holds. True: its parts are to be given `of_part`; false: that is nothing. */
static bool bundle_turns(int64_t held[DISTINCT_COUNT], const int64_t more[DISTINCT_COUNT], int64_t of_part[DISTINCT_COUNT])
{
    bool any = false;
    for (int d = 0; d < DISTINCT_COUNT; d++) {
        int64_t before = as_part(held[d]);
        held[d] += more[d];
        of_part[d] = as_part(held[d]) - before;
        any |= of_part[d] != 0;
    }
    return any;
}

/* Adds `more` to what a window of an agent's key holds. True: the agent counts now, or no longer; `run` is what the key around it is given. */
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

static void part_rolling(struct fold *fold, uint32_t k, int w, const int64_t more[DISTINCT_COUNT])
{
    struct key *key = fold->key[k], *within = fold->key[key->within];
    struct tally_run run, back;
    if (!turns(key->held[w], more, &run))
        return;
    tally_add(&within->difference[w], &fold->slab, &fold->dense, run.bytes, run.length);
    if (w + 1 < fold->rolling_count) {
        tally_run_negate(&run, &back);
        tally_add(&within->difference[w + 1], &fold->slab, &fold->dense, back.bytes, back.length);
    }
    outlets_rolling_changed(fold, key->within, w);
}

void agents_rolling(struct fold *fold, uint32_t k, uint32_t windows, const struct tally *sum, int sign)
{
    const struct key *key = fold->key[k];
    int64_t more[DISTINCT_COUNT] = {0}, of_part[DISTINCT_COUNT];
    if (windows == 0)
        return;
    read(tally_bytes(sum), sum->length, sign, more);
    for (; windows; windows &= windows - 1) {
        int w = __builtin_ctz(windows);
        if (key->parts == 0)
            part_rolling(fold, k, w, more);
        else if (bundle_turns(key->held[w], more, of_part))
            for (uint32_t p = 0; p < key->parts; p++)
                part_rolling(fold, key->part[p], w, of_part);
    }
}

/* ---- calendar windows ---- */

/* The same window of another key. */
static uint32_t same_window(struct fold *fold, uint32_t k, const struct cell *cell)
{
    return cells_find(fold, k, cell->window, cell->start_ms, cell_end_ms(cell));
}

static void read_cell(const struct fold *fold, uint32_t c, int64_t held[DISTINCT_COUNT])
{
    memset(held, 0, DISTINCT_COUNT * sizeof *held);
    read(tally_bytes(&fold->cell[c].tally), fold->cell[c].tally.length, 1, held);
}

/* Puts `held` into a cell, in place of what the cell held. */
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

/* Adds to a cell of an agent's key; where the agent counts now, or no longer, so to the same window of the key that it lies within, unless that
 * window is beyond correction. */
static void part_calendar(struct fold *fold, uint32_t c, const int64_t more[DISTINCT_COUNT])
{
    int64_t held[DISTINCT_COUNT];
    struct tally_run run;
    read_cell(fold, c, held);
    bool turned = turns(held, more, &run);
    hold(fold, c, held);
    if (!turned)
        return;
    const struct cell cell = fold->cell[c]; /* a copy: a new cell may move all of them */
    uint32_t within = same_window(fold, fold->key[cell.key]->within, &cell);
    if (within != NONE)
        cell_add(fold, within, run.bytes, run.length);
}

/* Adds to a cell of a bundle, and where its parts change by that, to their cells of the same window. */
static void bundle_calendar(struct fold *fold, uint32_t c, const int64_t more[DISTINCT_COUNT])
{
    int64_t held[DISTINCT_COUNT], of_part[DISTINCT_COUNT];
    read_cell(fold, c, held);
    bool parts_change = bundle_turns(held, more, of_part);
    hold(fold, c, held);
    const struct cell cell = fold->cell[c];
    const struct key *key = fold->key[cell.key];
    for (uint32_t p = 0; p < key->parts && parts_change; p++) {
        uint32_t part = same_window(fold, key->part[p], &cell);
        if (part != NONE)
            part_calendar(fold, part, of_part);
    }
}

void agents_calendar(struct fold *fold, const struct group *group, const struct tally *sum)
{
    int64_t more[DISTINCT_COUNT] = {0};
    read(tally_bytes(sum), sum->length, 1, more);
    if (more[DISTINCT_active] == 0 && more[DISTINCT_handling] == 0)
        return;
    bool bundle = fold->key[group->key]->parts;
    const uint32_t *cell = cells_holding(fold, group);
    for (uint32_t left = fold->config->calendar; left; left &= left - 1) {
        uint32_t c = cell[__builtin_ctz(left)];
        if (c != NONE && bundle)
            bundle_calendar(fold, c, more);
        else if (c != NONE)
            part_calendar(fold, c, more);
    }
}

/* ---- other bundles than before ---- */

static uint32_t parts_of(void *context, const uint32_t *k, const uint32_t **part)
{
    const struct key *key = ((struct fold *)context)->key[*k];
    *part = key->parts ? key->part : k;
    return key->parts ? key->parts : 1;
}

/* Gives the parts what a bundle's cell holds, but for what they have of that already. */
static void disband_cell(struct fold *fold, uint32_t c)
{
    const struct cell cell = fold->cell[c];
    const struct key *key = fold->key[cell.key];
    int64_t held[DISTINCT_COUNT];
    read_cell(fold, c, held);
    for (int d = 0; d < DISTINCT_COUNT; d++)
        held[d] -= as_part(held[d]);
    for (uint32_t p = 0; p < key->parts; p++) {
        uint32_t part = same_window(fold, key->part[p], &cell);
        if (part != NONE)
            part_calendar(fold, part, held);
    }
}

static bool is_bundle(const struct key *key)
{
    return key->parts;
}

void agents_disband(struct fold *fold)
{
    struct pane_ladder *from = fold->ladder;
    uint32_t cells = fold->cells_made;
    fold->ladder = pane_ladder_new(fold->config->rolling, fold->rolling_count, true);
    pane_deal(fold->ladder, from, parts_of, fold);
    pane_ladder_free(from);
    for (uint32_t c = 0; c < cells; c++)
        if (fold->cell[c].used && fold->key[fold->cell[c].key]->parts)
            disband_cell(fold, c);
    cells_forget_of(fold, is_bundle);
}
