/* Hours beyond correction: what is left of one is its `closed`, for the hour of a week later. A cell each would take a hundred bytes for a number, so those
 * of a key that begin on one day (UTC) share one, a sheet: its integers go by quarters of an hour, at which hours begin, instead of by measures. */
#include "fold_parts.h"

enum { SHEET_MS = 86400000, SLOT_MS = 900000 };
_Static_assert(SHEET_MS / SLOT_MS <= TALLY_IDS, "a sheet's integers have ids");

static int64_t sheet_of(int64_t start_ms, uint32_t *slot)
{
    int64_t within = start_ms % SHEET_MS;
    within += within < 0 ? SHEET_MS : 0;
    *slot = (uint32_t)(within / SLOT_MS);
    return start_ms - within;
}

void kept_put(struct fold *fold, uint32_t k, int64_t start_ms, int64_t closed)
{
    struct tally_run run;
    uint32_t slot;
    int64_t sheet_ms = sheet_of(start_ms, &slot);
    if (closed == 0)
        return;
    uint32_t c = cells_at(fold, k, WINDOW_KEPT, sheet_ms);
    if (c == NONE)
        c = cell_new(fold, k, WINDOW_KEPT, sheet_ms, sheet_ms + SHEET_MS);
    cell_keep_for_checkpoint(fold, c);
    tally_run_begin(&run);
    tally_run_put(&run, slot, closed);
    tally_run_end(&run);
    tally_add(&fold->cell[c].tally, &fold->slab, &fold->dense, run.bytes, run.length);
}

int64_t kept_closed(struct fold *fold, uint32_t k, int64_t start_ms)
{
    uint32_t slot, c = cells_at(fold, k, WINDOW_KEPT, sheet_of(start_ms, &slot));
    if (c == NONE)
        return 0;
    tally_dense_add(&fold->dense, tally_bytes(&fold->cell[c].tally), fold->cell[c].tally.length, 1);
    int64_t closed = fold->dense.value[slot];
    tally_dense_clear(&fold->dense);
    return closed;
}
