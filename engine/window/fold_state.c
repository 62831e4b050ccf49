/* A fold's part of a checkpoint; fold_load.c makes folds from one. Written: its clocks, the names behind its numbers, new keys, panes, calendar cells.
 * Not written: the rolling windows' sums (the panes make them again) and what waits for an outlet (after a restart everything
 * goes out once more). */
#include "fold_parts.h"

#include "esteem/varint.h"

enum { CELL_HEAD = 8 * VARINT_MAX + 8, KEY_HEAD = 64, GONE_MOST = 1 << 20 };

static uint8_t *put_cell_name(uint8_t *at, uint32_t key, int window, int64_t start_ms)
{
    at = varint_put(at, key);
    at = varint_put(at, (uint64_t)window);
    return varint_put(at, zigzag(start_ms));
}

static uint8_t *put_cell(uint8_t *at, const struct cell *cell)
{
    at = put_cell_name(at, cell->key, cell->window, cell->start_ms);
    at = varint_put(at, zigzag(cell_end_ms(cell)));
    at = varint_put(at, cell->revision);
    *at++ = (uint8_t)((cell->final ? CELL_FINAL : 0) | (cell->changed ? CELL_CHANGED : 0) | (cell->kept ? CELL_KEPT : 0));
    at = slice_u64(at, cell->final_hash);
    if (cell->tally.length)
        memcpy(at, tally_bytes(&cell->tally), cell->tally.length);
    return at + cell->tally.length;
}

void cell_keep_for_checkpoint(struct fold *fold, uint32_t c)
{
    struct cell *cell = &fold->cell[c];
    if (track_touch(&fold->track, c, &cell->mark) && slice_late_open(fold->out))
        slice_put_end_late(fold->out, put_cell(slice_put_late(fold->out, SLICE_CELL, CELL_HEAD + cell->tally.length), cell));
}

void cell_note_gone(struct fold *fold, uint32_t c)
{
    if (!track_gone(&fold->track, fold->gone_count, GONE_MOST))
        return;
    if (fold->gone_count == fold->gone_room) {
        fold->gone_room = fold->gone_room ? fold->gone_room * 2 : 1024;
        fold->gone = fold_must(realloc(fold->gone, fold->gone_room * sizeof *fold->gone));
    }
    fold->gone[fold->gone_count++] = (struct cell_name){fold->cell[c].start_ms, fold->cell[c].key, fold->cell[c].window};
}

static void put_bundle(struct slice_out *out, const struct key *key)
{
    uint8_t *at = slice_put(out, SLICE_BUNDLE, (key->parts + 1) * VARINT_MAX);
    for (uint32_t p = 0; p < key->parts; p++)
        at = varint_put(at, key->part[p]);
    slice_put_end(out, at);
}

static void put_key(struct slice_out *out, const struct key *key)
{
    if (key->parts) {
        put_bundle(out, key);
        return;
    }
    size_t size = KEY_HEAD + strlen(key->tenant);
    for (int v = 0; v < key->count; v++)
        size += strlen(key->value[v]) + VARINT_MAX + 1;
    uint8_t *at = slice_put(out, SLICE_KEY, size);
    at = varint_put(at, key->mask);
    at = slice_text(at, key->tenant, strlen(key->tenant));
    for (int v = 0; v < key->count; v++)
        at = slice_text(at, key->value[v], strlen(key->value[v]));
    slice_put_end(out, varint_put(at, key->zone));
}

static void put_head(struct fold *fold, struct slice_out *out)
{
    uint8_t *at = slice_put(out, SLICE_FOLD, 7 * VARINT_MAX);
    at = varint_put(at, zigzag(fold->now_ms));
    at = varint_put(at, zigzag(fold->watermark_ms));
    *at++ = fold->inexact;
    at = varint_put(at, (uint64_t)fold->setup.folds);
    at = varint_put(at, zigzag(fold_newest_ms(fold)));
    at = varint_put(at, zigzag(cells_corrected_from(fold)));
    slice_put_end(out, varint_put(at, (uint64_t)fold->config->limit_keys));
    slice_put_names(out, "measures", measure_names, MEASURE_COUNT);
    slice_put_names(out, "histograms", histogram_names, HISTOGRAM_COUNT);
    const char *calendar[WINDOWS] = {[WINDOW_KEPT] = "kept", [WINDOW_BASELINE] = "baseline", [WINDOW_NOW] = "now"};
    memcpy(calendar, calendar_names, sizeof calendar_names);
    slice_put_names(out, "calendar", calendar, WINDOWS);
    zones_dump(fold, out);
    if (fold->config->baseline.given && !fold->baseline_lost) {
        char period[BASELINE_TEXT_MAX];
        const char *name[] = {period};
        baseline_text(fold->config, period);
        slice_put_names(out, "baseline", name, 1);
    }
    const char *dimension[DIMENSION_MAX];
    int dimensions = 0;
    for (const char *name; dimensions < DIMENSION_MAX && (name = config_dimension_name(fold->config, dimensions)) != NULL;)
        dimension[dimensions++] = name;
    slice_put_names(out, "dimensions", dimension, (uint32_t)dimensions);
    for (int w = 0; w < fold->rolling_count; w++) {
        const struct config_rolling *rolling = &fold->config->rolling[w];
        at = varint_put(slice_put(out, SLICE_ROLLING, 3 * VARINT_MAX), (uint64_t)rolling->length_ms);
        at = varint_put(at, (uint64_t)rolling->slide_ms);
        slice_put_end(out, varint_put(at, zigzag(fold->changes.rolling_since_ms[w])));
    }
    for (uint32_t left = fold->config->calendar; left; left &= left - 1) {
        int w = __builtin_ctz(left);
        at = slice_text(slice_put(out, SLICE_CALENDAR, strlen(calendar_names[w]) + 11 + 2 * VARINT_MAX), calendar_names[w], strlen(calendar_names[w]));
        at = varint_put(at, zigzag(fold->calendar_from_ms[w]));
        slice_put_end(out, varint_put(at, zigzag(fold_newest_ms(fold)))); /* for older versions, which look for it here */
    }
}

void fold_dump_begin(struct fold *fold, bool full, struct slice_out *out)
{
    full = full || !track_on(&fold->track) || !pane_dump_can_add(fold->ladder);
    slice_begin(out, full, slice_late_most(fold->config->limit_memory, fold->setup.shards + fold->setup.folds));
    fold->out = out;
    fold->dumping = true;
    put_head(fold, out);
    changes_dump(fold, out);
    alerts_dump(fold, out);
    if (full)
        fold->keys_saved = 0;
    fold->keys_due = fold->keys;
    (void)pane_dump_begin(fold->ladder, full, fold->keys_saved, out);
    (void)track_begin(&fold->track, full, fold->cells_made);
    for (uint32_t i = 0; i < fold->gone_count && !full; i++) {
        if (fold->gone[i].key >= fold->keys_saved) /* no file has a cell of so young a key */
            continue;
        slice_put_end(out, put_cell_name(slice_put(out, SLICE_CELL_GONE, 3 * VARINT_MAX), fold->gone[i].key, fold->gone[i].window,
                                         fold->gone[i].start_ms));
    }
    fold->gone_count = 0;
}

static bool dump_cells(struct fold *fold, uint64_t until)
{
    for (uint32_t c; fold->out->bytes < until;) {
        if (!track_next(&fold->track, &c))
            return true;
        struct cell *cell = &fold->cell[c];
        if (cell->used && track_take(&fold->track, &cell->mark))
            slice_put_end(fold->out, put_cell(slice_put(fold->out, SLICE_CELL, CELL_HEAD + cell->tally.length), cell));
    }
    return false;
}

/* The slice is broken: no part of it is of use. */
static int give_up_dump(struct fold *fold)
{
    pane_dump_give_up(fold->ladder);
    track_give_up(&fold->track);
    fold->gone_count = 0;
    slice_finish(fold->out);
    fold->dumping = false;
    return 1;
}

bool fold_is_dumping(const struct fold *fold)
{
    return fold->dumping;
}

int fold_dump_step(struct fold *fold, uint32_t bytes)
{
    if (!fold->dumping)
        return 0;
    if (fold->out->broken)
        return give_up_dump(fold);
    uint64_t until = fold->out->bytes + bytes;
    while (fold->keys_saved < fold->keys_due && fold->out->bytes < until)
        put_key(fold->out, fold->key[fold->keys_saved++]);
    if (fold->out->bytes < until && pane_dump_step(fold->ladder, bytes) && dump_cells(fold, until)) {
        slice_finish(fold->out);
        fold->dumping = false;
    }
    return 1;
}
