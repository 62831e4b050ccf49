/* The panes' part of a checkpoint: written as they were when it began, some a step, while the windows move on (track.h). The windows' sums are
 * not written: the panes make them again. */
#include "pane_parts.h"

#include <stdlib.h>
#include <string.h>

#include "esteem/err.h"
#include "esteem/span.h"
#include "esteem/varint.h"

enum { GONE_MOST = 4 << 20 /* more of them make the next checkpoint a full one */, LOADS_A_PACKING = 1 << 20,
       VISITS_MOST = 65536 /* places of the pool a step */ };

/* ---- writing ---- */

uint8_t *pane_put_name(uint8_t *at, uint32_t key, int level, int64_t start_ms)
{
    at = varint_put(at, key);
    at = varint_put(at, (uint64_t)level);
    return varint_put(at, zigzag(start_ms));
}

static uint8_t *put_pane(uint8_t *at, const struct pane *pane)
{
    at = pane_put_name(at, pane->key, pane->level, pane->start_ms);
    if (pane->tally.length)
        memcpy(at, tally_bytes(&pane->tally), pane->tally.length);
    return at + pane->tally.length;
}

void pane_keep_for_checkpoint(struct pane_ladder *ladder, uint32_t p)
{
    struct pane *pane = &ladder->pane[p];
    if (track_touch(&ladder->track, p, &pane->mark) && slice_late_open(ladder->out))
        slice_put_end_late(ladder->out, put_pane(slice_put_late(ladder->out, SLICE_PANE, PANE_HEAD + pane->tally.length), pane));
}

void pane_note_gone(struct pane_ladder *ladder, uint32_t key, int level, int64_t start_ms)
{
    if (!track_gone(&ladder->track, ladder->gone_count, GONE_MOST))
        return;
    if (ladder->gone_count == ladder->gone_room) {
        ladder->gone_room = ladder->gone_room ? ladder->gone_room * 2 : 1024;
        ladder->gone = realloc(ladder->gone, ladder->gone_room * sizeof *ladder->gone);
        ensure(ladder->gone != NULL, "the machine has memory left");
    }
    ladder->gone[ladder->gone_count++] = (struct pane_name){start_ms, key, (uint8_t)level};
}

bool pane_dump_can_add(const struct pane_ladder *ladder)
{
    return track_on(&ladder->track);
}

bool pane_dump_begin(struct pane_ladder *ladder, bool full, uint32_t keys, struct slice_out *out)
{
    full = track_begin(&ladder->track, full, ladder->made);
    pack_dump_begin(ladder, full);
    ladder->out = out;
    for (uint32_t i = 0; i < ladder->gone_count && !full; i++) {
        const struct pane_name *gone = &ladder->gone[i];
        if (gone->key < keys)
            slice_put_end(out, pane_put_name(slice_put(out, SLICE_PANE_GONE, PANE_HEAD), gone->key, gone->level, gone->start_ms));
    }
    ladder->gone_count = 0;
    return full;
}

bool pane_dump_step(struct pane_ladder *ladder, uint32_t bytes)
{
    uint64_t until = ladder->out->bytes + bytes;
    if (!pack_dump_step(ladder, until))
        return false;
    uint32_t visits = 0;
    for (uint32_t p; ladder->out->bytes < until && visits < VISITS_MOST; visits++) {
        if (!track_next(&ladder->track, &p))
            return true;
        struct pane *pane = &ladder->pane[p];
        if (!pane->used || !track_take(&ladder->track, &pane->mark))
            continue;
        slice_put_end(ladder->out, put_pane(slice_put(ladder->out, SLICE_PANE, PANE_HEAD + pane->tally.length), pane));
    }
    return false;
}

void pane_dump_give_up(struct pane_ladder *ladder)
{
    track_give_up(&ladder->track);
    ladder->pack_dump.running = false;
    ladder->gone_count = 0;
}

/* ---- reading ---- */

bool pane_saved_read(struct slice_item *item, struct pane_saved *saved)
{
    bool gone = item->kind == SLICE_PANE_GONE;
    saved->key = (uint32_t)slice_get(item);
    uint64_t level = slice_get(item);
    saved->level = (int)level;
    saved->start_ms = slice_get_signed(item);
    const uint8_t *runs = slice_get_rest(item, &saved->length);
    saved->runs = gone ? NULL : runs;
    return !item->bad && level <= CONFIG_ROLLING_MAX && (gone || tally_runs_valid(runs, saved->length));
}

/* One more came into a ladder that has not moved yet, and so packs nothing by itself. */
static void pack_loaded(struct pane_ladder *ladder)
{
    bool pack = ++ladder->loaded % LOADS_A_PACKING == 0;
    for (int k = 0; k < ladder->count && pack; k++)
        pack_level(ladder, k, INT64_MAX, UINT32_MAX);
}

void pane_load(struct pane_ladder *ladder, const struct pane_saved *saved)
{
    ensure(!ladder->placed && saved->level <= ladder->count, "panes are loaded before the windows move");
    if (saved->runs == NULL && pane_find(ladder, saved->key, saved->level, saved->start_ms) == NONE)
        return;
    uint32_t p = pane_at(ladder, saved->key, saved->level, saved->start_ms);
    struct pane *pane = &ladder->pane[p];
    tally_free(&pane->tally, &ladder->slab);
    pane->spans = saved->runs && pane_has_spans(ladder, saved->runs, saved->length);
    if (saved->runs)
        tally_add(&pane->tally, &ladder->slab, &ladder->dense, saved->runs, saved->length);
    pack_loaded(ladder);
}

/* A ladder's pane of all that is older says how many spans are open where its windows end. In windows that reach further back they begin
 * there: nobody knows any more when they began. The runs lie in `run`. */
static struct pane open_since(const struct pane *older, struct pane_ladder *ladder, int64_t end_ms, struct tally_run *run)
{
    struct pane open = *older;
    tally_dense_add(&ladder->dense, tally_bytes(&older->tally), older->tally.length, 1);
    tally_run_begin(run);
    for (enum span span = 0; span < SPAN_COUNT; span++) {
        int64_t on = ladder->dense.value[span_on(span)];
        tally_run_put(run, span_on(span), on);
        tally_run_put(run, span_on(span) + 1, on * end_ms);
    }
    tally_run_end(run);
    tally_dense_clear(&ladder->dense);
    open.start_ms = end_ms;
    open.tally = tally_view(run->bytes, run->length);
    return open;
}

static void pour(struct pane_ladder *ladder, const struct pane *pane, pane_crosses *crosses, void *context)
{
    uint32_t before, in = pane_put(ladder, pane->key, pane->start_ms, pane->spans, tally_bytes(&pane->tally), pane->tally.length, &before);
    if (ladder->placed && (in || pane->spans))
        crosses(context, &(struct pane_cross){&pane->tally, pane->key, 0, in, pane->spans ? before : 0, pane->key});
}

bool pane_pour_some(struct pane_ladder *ladder, struct pane_ladder *from, int64_t now_ms, uint32_t *next, uint32_t most, pane_crosses *crosses, void *context)
{
    struct packed one;
    struct pane packed;
    struct tally_run run;
    int64_t end_ms = pane_end_ms(from, now_ms);
    for (; *next < from->made && most; (*next)++, most--) {
        struct pane pane = from->pane[*next];
        if (!pane.used || pane.tally.length == 0)
            continue;
        if (pane.level == from->count && end_ms != INT64_MIN)
            pane = open_since(&pane, ladder, end_ms, &run);
        pour(ladder, &pane, crosses, context);
    }
    for (; most && pack_pour_next(from, &one, &packed.start_ms); most--) {
        packed.key = one.key;
        packed.spans = one.spans;
        packed.tally = tally_view(one.runs, one.length);
        pour(ladder, &packed, crosses, context);
    }
    return most == 0;
}

/* A pane lies where it lay, under other keys, and is packed on the way as one that is loaded. */
static void deal(struct pane_ladder *ladder, const struct pane *pane, pane_parts_of *parts_of, void *context)
{
    const uint32_t *part;
    uint32_t parts = parts_of(context, &pane->key, &part);
    for (uint32_t i = 0; i < parts; i++) {
        uint32_t p = pane_at(ladder, part[i], pane->level, pane->start_ms);
        ladder->pane[p].spans |= pane->spans;
        tally_add(&ladder->pane[p].tally, &ladder->slab, &ladder->dense, tally_bytes(&pane->tally), pane->tally.length);
        pack_loaded(ladder);
    }
}

void pane_pour(struct pane_ladder *ladder, struct pane_ladder *from, int64_t now_ms)
{
    uint32_t next = 0;
    ensure(!ladder->placed, "the ladder has not moved yet: nothing crosses an edge");
    while (pane_pour_some(ladder, from, now_ms, &next, UINT32_MAX, NULL, NULL))
        ;
}

void pane_deal(struct pane_ladder *ladder, struct pane_ladder *from, pane_parts_of *parts_of, void *context)
{
    struct packed one;
    struct pane packed;
    ensure(!ladder->placed, "the ladder has not moved yet");
    for (uint32_t p = 0; p < from->made; p++)
        if (from->pane[p].used && from->pane[p].tally.length)
            deal(ladder, &from->pane[p], parts_of, context);
    while (pack_pour_next(from, &one, &packed.start_ms)) {
        packed.key = one.key;
        packed.level = (uint8_t)from->pour.level;
        packed.spans = one.spans;
        packed.tally = tally_view(one.runs, one.length);
        deal(ladder, &packed, parts_of, context);
    }
}
