/* What is now: for each scope key the gauges of now.h, in cells (key, block) like those of calendar windows, so that they are checkpointed and
 * restored with them. The blocks of a key hang in a chain, oldest first: the first second in which anyone is left is that of the longest wait.
 *
 * Whose `wrapped` does not come is in wrap for now.wrap_most. By then the fold forgets the second, and what is taken back from it later
 * says nothing: so feeds without `wrapped` fill no memory. (A clock that was ahead and is set back makes it forget too much, for that
 * long; a second counts for 0 at least.)
 *
 * Bounded: a key has a block for each 17 minutes since which anyone waits, until retention.interaction forgets them, and for those of
 * now.wrap_most.
 *
 * A row is due when a gauge changes, each second while anyone waits, twice a minute while anyone is in wrap, and every few minutes
 * otherwise, so that its key in Redis lives on while it says something, and not much longer than the engine. */
#include "fold_parts.h"

enum { SWEEP_MS = 30000, SWEEP_KEYS = 4096 /* a step */,
       RETELL_MS = 180000 /* a third of what a key in Redis lives, which is renewed at half of that */ };

/* ---- blocks ---- */

void now_link(struct fold *fold, uint32_t c)
{
    uint32_t *link = &fold->key[fold->cell[c].key]->now;
    while (*link != NONE && fold->cell[*link].start_ms < fold->cell[c].start_ms)
        link = &fold->cell[*link].next;
    fold->cell[c].next = *link;
    *link = c;
    fold->now.cells++;
}

/* Nobody who came into wrap by then is in it any more. */
static bool wraps_are_over(const struct fold *fold, int64_t since_ms)
{
    return fold->now_ms != INT64_MIN && since_ms <= fold->now_ms - fold->config->now_wrap_most_ms;
}

/* Takes those in wrap out of fold->dense. */
static void leave_out_wraps(struct fold *fold)
{
    for (uint32_t second = 0; second < HISTOGRAM_BUCKETS; second++)
        fold->dense.value[histogram_id(NOW_WRAP, second)] = 0;
}

static void add(struct fold *fold, uint32_t k, int64_t start_ms, bool over, const uint8_t *runs, uint32_t length)
{
    uint32_t c = cells_at(fold, k, WINDOW_NOW, start_ms);
    if (c == NONE) {
        c = cell_new(fold, k, WINDOW_NOW, start_ms, start_ms + NOW_BLOCK_MS);
        now_link(fold, c);
    }
    cell_keep_for_checkpoint(fold, c);
    fold->cell[c].kept &= over;
    tally_add(&fold->cell[c].tally, &fold->slab, &fold->dense, runs, length);
    outlets_now_changed(fold, k);
}

void now_add(struct fold *fold, uint32_t k, int64_t block, const uint8_t *runs, uint32_t length)
{
    int64_t start_ms = block * NOW_BLOCK_MS;
    struct tally left = {0};
    if (!wraps_are_over(fold, start_ms + NOW_BLOCK_MS)) {
        add(fold, k, start_ms, false, runs, length);
        return;
    }
    tally_dense_add(&fold->dense, runs, length, 1);
    leave_out_wraps(fold);
    tally_pack(&left, &fold->slab, &fold->dense);
    if (left.length)
        add(fold, k, start_ms, true, tally_bytes(&left), left.length);
    tally_free(&left, &fold->slab);
}

/* ---- the row ---- */

/* The present, to the second. */
static int64_t present_ms(const struct fold *fold)
{
    return fold->now_ms - fold->now_ms % NOW_SECOND_MS;
}

/* In fold->dense lies a block: the first second since which anyone waits; INT64_MAX: nobody does. */
static int64_t first_waiting(const struct fold *fold, int64_t start_ms)
{
    for (uint32_t second = 0; second < HISTOGRAM_BUCKETS; second++)
        if (fold->dense.value[histogram_id(NOW_WAITING, second)] > 0)
            return start_ms + second * NOW_SECOND_MS;
    return INT64_MAX;
}

static int64_t count_wraps(const struct fold *fold, int64_t start_ms, int64_t at_ms)
{
    int64_t count = 0;
    for (uint32_t second = 0; second < HISTOGRAM_BUCKETS; second++) {
        int64_t value = fold->dense.value[histogram_id(NOW_WRAP, second)];
        bool counts = start_ms + second * NOW_SECOND_MS > at_ms - fold->config->now_wrap_most_ms;
        count += counts && value > 0 ? value : 0;
    }
    return count;
}

/* All gauges of a key, by measure. */
static void read_blocks(struct fold *fold, const struct key *key, int64_t at_ms, int64_t *gauge)
{
    int64_t oldest_ms = INT64_MAX, wraps = 0;
    memset(gauge, 0, MEASURE_COUNT * sizeof *gauge);
    for (uint32_t c = key->now; c != NONE; c = fold->cell[c].next) {
        const struct cell *cell = &fold->cell[c];
        bool wrapping = !wraps_are_over(fold, cell_end_ms(cell));
        if (cell->start_ms && oldest_ms != INT64_MAX && !wrapping)
            continue;
        tally_dense_add(&fold->dense, tally_bytes(&cell->tally), cell->tally.length, 1);
        if (cell->start_ms == 0)
            memcpy(gauge, fold->dense.value, MEASURE_COUNT * sizeof *gauge);
        if (oldest_ms == INT64_MAX)
            oldest_ms = first_waiting(fold, cell->start_ms);
        if (wrapping)
            wraps += count_wraps(fold, cell->start_ms, at_ms);
        tally_dense_clear(&fold->dense);
    }
    gauge[MEASURE_in_wrap] = wraps;
    gauge[MEASURE_longest_wait_ms] = oldest_ms < at_ms ? at_ms - oldest_ms : 0;
}

struct row *fold_now_row(struct fold *fold, uint32_t k, bool *empty)
{
    struct key *key = fold->key[k];
    int64_t gauge[MEASURE_COUNT], at_ms = present_ms(fold);
    struct tally_run run;
    read_blocks(fold, key, at_ms, gauge);
    tally_run_begin(&run);
    for (uint32_t m = 0; m < MEASURE_COUNT; m++)
        if (measure_is_now((enum measure)m))
            tally_run_put(&run, m, gauge[m]);
    tally_run_end(&run);
    *empty = tally_run_empty(&run);
    if (gauge[MEASURE_waiting])
        now_tick(fold, k);
    key->now_due_ms = *empty ? 0 : fold->clock_ms + (gauge[MEASURE_in_wrap] ? SWEEP_MS : RETELL_MS);
    struct row head = fold_row_head(fold, k);
    head.baseline_count = 0;
    head.start_ms = head.end_ms = at_ms;
    head.now = head.running = true;
    head.window_name = "now";
    return row_new(&head, run.bytes, run.length);
}

/* ---- time ---- */

void now_tick(struct fold *fold, uint32_t k)
{
    if (fold->key[k]->now_ticks)
        return;
    fold->key[k]->now_ticks = true;
    if (fold->now.count == fold->now.room) {
        fold->now.room = fold->now.room ? fold->now.room * 2 : 64;
        fold->now.key = fold_must(realloc(fold->now.key, fold->now.room * sizeof k));
    }
    fold->now.key[fold->now.count++] = k;
}

static void next_second(struct fold *fold)
{
    for (uint32_t i = 0; i < fold->now.count; i++) {
        uint32_t k = fold->now.key[i];
        fold->key[k]->now_ticks = false;
        outlets_now_changed(fold, k);
    }
    fold->now.count = 0;
}

/* Takes those in wrap out of a block when they are over, and a block that has nothing any more out of the table. */
static void sweep_block(struct fold *fold, uint32_t c)
{
    struct cell *cell = &fold->cell[c];
    if (!cell->kept && wraps_are_over(fold, cell_end_ms(cell))) {
        cell_keep_for_checkpoint(fold, c);
        cell->kept = true;
        tally_dense_add(&fold->dense, tally_bytes(&cell->tally), cell->tally.length, 1);
        leave_out_wraps(fold);
        tally_pack(&cell->tally, &fold->slab, &fold->dense);
    }
    if (tally_is_zero(&cell->tally, &fold->slab, &fold->dense))
        cells_forget(fold, c);
}

static void sweep(struct fold *fold, uint32_t k)
{
    struct key *key = fold->key[k];
    for (uint32_t c = key->now, next; c != NONE; c = next) {
        next = fold->cell[c].next;
        sweep_block(fold, c);
    }
    bool early = fold->clock_ms < key->now_due_ms && key->now_due_ms - fold->clock_ms <= RETELL_MS; /* else the clock was set back */
    if (key->now_due_ms && !early)
        outlets_now_changed(fold, k);
}

void now_step(struct fold *fold)
{
    if (fold->now_ms == INT64_MIN)
        return;
    if (present_ms(fold) != fold->now.at_ms) {
        fold->now.at_ms = present_ms(fold);
        next_second(fold);
    }
    bool early = fold->clock_ms >= fold->now.swept_ms && fold->clock_ms - fold->now.swept_ms < SWEEP_MS;
    if (fold->now.swept >= fold->keys && !early) {
        fold->now.swept = 0;
        fold->now.swept_ms = fold->clock_ms;
    }
    for (int n = 0; n < SWEEP_KEYS && fold->now.swept < fold->keys; n++)
        sweep(fold, fold->now.swept++);
}

void now_close(struct fold *fold)
{
    free(fold->now.key);
}
