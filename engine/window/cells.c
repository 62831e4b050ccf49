/* Calendar windows: cells of integers in a table, and in buckets by their bounds. A bucket goes through its phases as the clock and the
 * watermark pass: future -> running -> ended (its row is the last one closed) -> final (it has a revision) -> kept, once it is
 * beyond correction and every outlet has had it -> gone. A day or week is kept as its `closed` alone while the one of a week
 * later can still change, an hour in a sheet (kept.c); others go at once. */
#include "fold_parts.h"

#include <stdatomic.h>

#include "esteem/memory.h"

enum { KEPT_MS = 8 * 86400000 /* a week, and the day that a zone may skip */ };

/* ---- the table ---- */

static uint32_t cell_hash(uint32_t key, int window, int64_t start_ms)
{
    return slots_hash((uint64_t)start_ms, (uint64_t)key << 4 | (unsigned)window);
}

uint32_t cells_at(const struct fold *fold, uint32_t key, int window, int64_t start_ms)
{
    uint32_t hash = cell_hash(key, window, start_ms), c;
    for (uint32_t i = slots_home(&fold->cell_slots, hash); (c = slots_match(&fold->cell_slots, hash, &i)) != SLOTS_NONE;)
        if (fold->cell[c].key == key && fold->cell[c].window == window && fold->cell[c].start_ms == start_ms)
            break;
    return c;
}

/* ---- phases ---- */

/* What a cell's bucket going into a phase means for the cell; nothing for an agent's within a key, which has no row. */
static void cell_phase(struct fold *fold, uint32_t c, enum phase phase)
{
    struct cell *cell = &fold->cell[c];
    struct key *key = fold->key[cell->key];
    if (key_is_agent(key))
        return;
    uint32_t last = key->last[cell->window];
    if (cell->kept)
        return;
    bool past = cell_end_ms(cell) <= fold->now_ms; /* else the feed is over before the window is: it still is the one that runs */
    if (phase == PHASE_ENDED && past && (last == NONE || fold->cell[last].start_ms < cell->start_ms))
        key->last[cell->window] = c;
    if (phase == PHASE_FINAL) {
        cell_keep_for_checkpoint(fold, c);
        tally_settle(&cell->tally, &fold->slab, &fold->dense);
        cell->final = true;
        cell->changed = true;
    }
    outlets_calendar_changed(fold, c, true);
}

static uint32_t bucket_hash(int window, int64_t start_ms, int64_t end_ms)
{
    return slots_hash((uint64_t)start_ms, (uint64_t)end_ms * WINDOWS_IN_BUCKETS + (uint64_t)window);
}

static struct bucket *bucket_of(struct fold *fold, int window, int64_t start_ms, int64_t end_ms)
{
    int at = fold->buckets[window];
    uint32_t hash = bucket_hash(window, start_ms, end_ms), n;
    for (uint32_t i = slots_home(&fold->bucket_slots, hash); (n = slots_match(&fold->bucket_slots, hash, &i)) != SLOTS_NONE;) {
        struct bucket *bucket = (int)n < at ? &fold->bucket[window][n] : NULL; /* of another window there may be more */
        if (bucket && bucket->start_ms == start_ms && bucket->end_ms == end_ms)
            return bucket;
    }
    if (at == fold->bucket_room[window]) {
        fold->bucket_room[window] = at ? at * 2 : 64;
        fold->bucket[window] = fold_must(realloc(fold->bucket[window], (size_t)fold->bucket_room[window] * sizeof(struct bucket)));
    }
    fold->bucket[window][at] = (struct bucket){.start_ms = start_ms, .end_ms = end_ms, .first = NONE, .phase = PHASE_FUTURE};
    fold->buckets[window]++;
    slots_put(&fold->bucket_slots, hash, (uint32_t)at);
    return &fold->bucket[window][at];
}

/* It is empty; the last one takes its place. */
static void bucket_drop(struct fold *fold, int window, int b)
{
    struct bucket *bucket = &fold->bucket[window][b];
    int last = --fold->buckets[window];
    slots_remove(&fold->bucket_slots, bucket_hash(window, bucket->start_ms, bucket->end_ms), (uint32_t)b);
    if (b == last)
        return;
    *bucket = fold->bucket[window][last];
    uint32_t hash = bucket_hash(window, bucket->start_ms, bucket->end_ms);
    slots_remove(&fold->bucket_slots, hash, (uint32_t)last);
    slots_put(&fold->bucket_slots, hash, (uint32_t)b);
}

uint32_t cell_new(struct fold *fold, uint32_t key, int window, int64_t start_ms, int64_t end_ms)
{
    uint32_t c = fold->cell_free;
    if (c != NONE) {
        fold->cell_free = fold->cell[c].next;
    } else {
        if (fold->cells_made == fold->cell_room) {
            fold->cell_room = fold->cell_room ? fold->cell_room + fold->cell_room / 2 : 1024;
            fold->cell = fold_must(realloc(fold->cell, fold->cell_room * sizeof *fold->cell));
        }
        c = fold->cells_made++;
    }
    ensure((end_ms - start_ms) % 1000 == 0, "windows, like time zones, go by whole seconds");
    fold->cell[c] = (struct cell){.start_ms = start_ms, .length_s = (uint32_t)((end_ms - start_ms) / 1000), .key = key, .next = NONE, .window = (uint8_t)window, .used = true};
    if (window < CALENDAR_COUNT && start_ms > fold->newest_start_ms)
        fold->newest_start_ms = start_ms;
    fold->cells++;
    slots_put(&fold->cell_slots, cell_hash(key, window, start_ms), c);
    track_new(&fold->track, c, &fold->cell[c].mark);
    if (fold->setup.batch || window >= WINDOWS_IN_BUCKETS)
        return c;
    struct bucket *bucket = bucket_of(fold, window, start_ms, end_ms);
    fold->cell[c].next = bucket->first;
    bucket->first = c;
    for (int phase = PHASE_RUNNING; phase <= (int)bucket->phase; phase++)
        cell_phase(fold, c, (enum phase)phase);
    return c;
}

static void forget_recent(struct key *key, const struct cell *cell)
{
    if (cell_is_calendar(cell))
        key->recent.end_ms = key->recent.start_ms;
}

static void cell_drop(struct fold *fold, uint32_t c)
{
    struct cell *cell = &fold->cell[c];
    struct key *key = fold->key[cell->key];
    cell_keep_for_checkpoint(fold, c);
    cell_note_gone(fold, c);
    forget_recent(key, cell);
    if (cell_is_calendar(cell) && key->last[cell->window] == c)
        key->last[cell->window] = NONE;
    slots_remove(&fold->cell_slots, cell_hash(cell->key, cell->window, cell->start_ms), c);
    tally_free(&cell->tally, &fold->slab);
    fold->cells--;
    cell->used = false;
    cell->next = fold->cell_free;
    fold->cell_free = c;
}

/* One cell of a bucket, or of its key's blocks; the others stay. */
void cells_forget(struct fold *fold, uint32_t c)
{
    const struct cell *cell = &fold->cell[c];
    bool now = cell->window == WINDOW_NOW;
    uint32_t *link = now ? &fold->key[cell->key]->now : &bucket_of(fold, cell->window, cell->start_ms, cell_end_ms(cell))->first;
    fold->now.cells -= now;
    while (*link != NONE && *link != c)
        link = &fold->cell[*link].next;
    if (*link == c)
        *link = fold->cell[c].next;
    cell_drop(fold, c);
}

/* Each bucket is gone through once: it may hold all the cells of a fold. */
void cells_forget_of(struct fold *fold, bool (*goes)(const struct key *key))
{
    for (int window = 0; window < WINDOWS_IN_BUCKETS; window++)
        for (int b = 0; b < fold->buckets[window]; b++)
            for (uint32_t *link = &fold->bucket[window][b].first, c; (c = *link) != NONE;) {
                if (!goes(fold->key[fold->cell[c].key])) {
                    link = &fold->cell[c].next;
                    continue;
                }
                *link = fold->cell[c].next;
                cell_drop(fold, c);
            }
}

/* A restart that brings more correction does not bring back what was beyond it: a window made anew would have only what comes from then on. */
int64_t cells_corrected_from(const struct fold *fold)
{
    int64_t from_ms = fold->watermark_ms == INT64_MIN ? INT64_MIN : fold->watermark_ms - fold->config->retention_correction_ms;
    return from_ms > fold->corrected_from_ms ? from_ms : fold->corrected_from_ms;
}

/* The cell of a window that holds an instant; NONE when it is beyond correction. */
uint32_t cells_find(struct fold *fold, uint32_t k, int window, int64_t start_ms, int64_t end_ms)
{
    uint32_t c = cells_at(fold, k, window, start_ms);
    if (c != NONE)
        return fold->cell[c].kept ? NONE : c;
    if (window == CALENDAR_HOUR && kept_closed(fold, k, start_ms))
        return NONE;
    if (!fold->setup.batch && end_ms < cells_corrected_from(fold))
        return NONE;
    return cell_new(fold, k, window, start_ms, end_ms);
}

const uint32_t *cells_holding(struct fold *fold, const struct group *group)
{
    struct key *key = fold->key[group->key];
    struct calendar *calendar = fold->zone[key->zone].calendar;
    struct recent *recent = &key->recent;
    bool all = true;
    if (cells_are_recent(fold, key, group->at_ms))
        return recent->cell;
    for (uint32_t left = fold->config->calendar; left; left &= left - 1) {
        int64_t start_ms, end_ms;
        int window = __builtin_ctz(left);
        calendar_bounds(calendar, (enum calendar_window)window, group->at_ms, &start_ms, &end_ms);
        bool keep = cells_keep(fold, window, start_ms);
        uint32_t c = recent->cell[window] = keep ? cells_find(fold, group->key, window, start_ms, end_ms) : NONE;
        all &= c != NONE;
        if (keep && c == NONE && !key_is_agent(key))
            fold->counts.beyond_correction += group->cells;
    }
    recent->serial = fold->config->serial;
    recent->start_ms = group->start_ms;
    recent->end_ms = all ? group->end_ms : group->start_ms;
    return recent->cell;
}

void cell_changed(struct fold *fold, uint32_t c)
{
    cell_keep_for_checkpoint(fold, c);
    fold->cell[c].changed = true;
    outlets_calendar_changed(fold, c, false);
}

/* A window has ended that had figures, or was over before it could be shown as empty: the running one begins, empty so far, so that nobody takes the
 * old row for the present. */
static void begin_next(struct fold *fold, uint32_t c)
{
    struct cell cell = fold->cell[c];
    int64_t start_ms, end_ms;
    if (cell.kept || cell_end_ms(&cell) > fold->now_ms || key_is_agent(fold->key[cell.key]))
        return;
    uint8_t all = (uint8_t)((1u << fold->setup.outlets) - 1);
    if ((cell.published & all) == all && tally_is_zero(&fold->cell[c].tally, &fold->slab, &fold->dense))
        return;
    calendar_bounds(fold->zone[fold->key[cell.key]->zone].calendar, (enum calendar_window)cell.window, fold->now_ms, &start_ms, &end_ms);
    uint32_t next = cells_at(fold, cell.key, cell.window, start_ms);
    if (next == NONE)
        outlets_calendar_changed(fold, cell_new(fold, cell.key, cell.window, start_ms, end_ms), true);
}

void cell_add(struct fold *fold, uint32_t c, const uint8_t *runs, uint32_t length)
{
    bool shown_empty = fold->cell[c].published && fold->cell[c].tally.length == 0;
    cell_keep_for_checkpoint(fold, c);
    tally_add(&fold->cell[c].tally, &fold->slab, &fold->dense, runs, length);
    cell_changed(fold, c);
    across_calendar_changed(fold, c);
    if (shown_empty) /* as the running one it had no successor, if it has ended */
        begin_next(fold, c);
}

static enum phase phase_of(const struct fold *fold, const struct bucket *bucket)
{
    if (fold->finished || (fold->watermark_ms != INT64_MIN && fold->watermark_ms >= bucket->end_ms + fold->config->lateness_ms))
        return PHASE_FINAL;
    return fold->now_ms < bucket->start_ms ? PHASE_FUTURE : fold->now_ms < bucket->end_ms ? PHASE_RUNNING : PHASE_ENDED;
}

static int advance_bucket(struct fold *fold, int window, int b)
{
    enum phase target = phase_of(fold, &fold->bucket[window][b]);
    int moved = 0;
    while (fold->bucket[window][b].phase < target) {
        enum phase phase = ++fold->bucket[window][b].phase;
        for (uint32_t c = fold->bucket[window][b].first; c != NONE; c = fold->cell[c].next, moved++) {
            cell_phase(fold, c, phase);
            if (phase == PHASE_ENDED)
                begin_next(fold, c);
        }
    }
    return moved;
}

/* Beyond correction: its `closed` alone is left. False: not here. */
static bool cell_shrink(struct fold *fold, uint32_t c)
{
    struct cell *cell = &fold->cell[c];
    struct key *key = fold->key[cell->key];
    struct tally_run run;
    if (cell->kept)
        return true;
    tally_dense_add(&fold->dense, tally_bytes(&cell->tally), cell->tally.length, 1);
    int64_t closed = fold->dense.value[MEASURE_closed];
    tally_dense_clear(&fold->dense);
    if (cell->window == CALENDAR_HOUR) {
        kept_put(fold, cell->key, cell->start_ms, closed); /* may move all cells */
        return false;
    }
    if (closed == 0 || (cell->window != CALENDAR_DAY && cell->window != CALENDAR_WEEK))
        return false;
    cell_keep_for_checkpoint(fold, c);
    forget_recent(key, cell);
    if (key->last[cell->window] == c)
        key->last[cell->window] = NONE;
    tally_run_begin(&run);
    tally_run_put(&run, MEASURE_closed, closed);
    tally_run_end(&run);
    tally_free(&cell->tally, &fold->slab);
    tally_add(&cell->tally, &fold->slab, &fold->dense, run.bytes, run.length);
    cell->kept = true;
    return true;
}

/* Of the windows that still make rows the start of the oldest; an outlet that is behind may not have had it yet, however old. */
static int64_t oldest_row_ms(const struct fold *fold, int window)
{
    int64_t oldest_ms = INT64_MAX;
    for (int b = 0; b < fold->buckets[window]; b++) {
        const struct bucket *bucket = &fold->bucket[window][b];
        if (bucket->phase != PHASE_KEPT && bucket->start_ms < oldest_ms)
            oldest_ms = bucket->start_ms;
    }
    return oldest_ms;
}

/* The window of a week after the newest of these changes no more, and has been told. */
static bool kept_enough(const struct fold *fold, const struct bucket *bucket, int64_t newest_ms, int64_t oldest_ms)
{
    return bucket->end_ms + fold->config->retention_correction_ms + KEPT_MS < fold->watermark_ms && newest_ms + KEPT_MS < oldest_ms;
}

/* What an outlet has not had yet stays, however old, while there is memory: nothing that was counted goes untold. */
static void expire_bucket(struct fold *fold, int window, int b, int64_t oldest_ms)
{
    struct bucket *bucket = &fold->bucket[window][b];
    bool pressed = fold->setup.memory && atomic_load_explicit(fold->setup.memory, memory_order_relaxed) == MEMORY_NOTHING_NEW;
    for (uint32_t c = bucket->first; c != NONE; c = fold->cell[c].next) {
        if ((fold->cell[c].waits | fold->cell[c].urgent) && !pressed)
            return;
        if (fold->cell[c].waits | fold->cell[c].urgent) {
            outlets_forget_cell(fold, c);
            fold->counts.untold++;
        }
    }
    bool keep = !pressed && !kept_enough(fold, bucket, bucket->start_ms, oldest_ms);
    uint32_t left = NONE;
    for (uint32_t c = bucket->first, next; c != NONE; c = next) {
        next = fold->cell[c].next;
        if (keep && cell_shrink(fold, c)) {
            fold->cell[c].next = left;
            left = c;
        } else {
            cell_drop(fold, c);
        }
    }
    bucket->first = left;
    bucket->phase = PHASE_KEPT;
    if (left == NONE)
        bucket_drop(fold, window, b);
}

static void drop_all(struct fold *fold, int window, int b)
{
    for (uint32_t c = fold->bucket[window][b].first, next; c != NONE; c = next) {
        next = fold->cell[c].next;
        cell_drop(fold, c);
    }
    bucket_drop(fold, window, b);
}

/* True: a window that begins has come on the way, and is to be looked at as well. */
static bool advance_all(struct fold *fold, int window, int *moved)
{
    int64_t oldest_ms = oldest_row_ms(fold, window);
    bool made = false;
    for (int b = fold->buckets[window]; b-- > 0;) {
        int buckets = fold->buckets[window];
        *moved += advance_bucket(fold, window, b);
        made |= fold->buckets[window] > buckets;
        const struct bucket *bucket = &fold->bucket[window][b];
        if (bucket->phase == PHASE_FINAL && !fold->finished && bucket->end_ms + fold->config->retention_correction_ms < fold->watermark_ms)
            expire_bucket(fold, window, b, oldest_ms);
        else if (bucket->phase == PHASE_KEPT && kept_enough(fold, bucket, bucket->start_ms, oldest_ms))
            expire_bucket(fold, window, b, oldest_ms);
    }
    return made;
}

int cells_advance(struct fold *fold)
{
    int moved = 0;
    for (int window = 0; window < CALENDAR_COUNT; window++)
        if (advance_all(fold, window, &moved))
            (void)advance_all(fold, window, &moved); /* the feed may be over: it is final at once, and nobody comes by again */
    int64_t oldest_ms = oldest_row_ms(fold, CALENDAR_HOUR);
    for (int b = fold->buckets[WINDOW_KEPT]; b-- > 0;) {
        const struct bucket *sheets = &fold->bucket[WINDOW_KEPT][b];
        if (kept_enough(fold, sheets, sheets->end_ms, oldest_ms)) /* hours may begin until then */
            drop_all(fold, WINDOW_KEPT, b);
    }
    return moved;
}

bool cells_forget_window(struct fold *fold, int window, uint32_t most)
{
    if (window < CALENDAR_COUNT)
        outlets_forget_window(fold, window);
    while (fold->buckets[window]) {
        struct bucket *bucket = &fold->bucket[window][fold->buckets[window] - 1];
        for (; bucket->first != NONE && most; most--) {
            uint32_t c = bucket->first;
            bucket->first = fold->cell[c].next;
            cell_drop(fold, c);
        }
        if (bucket->first != NONE)
            return true;
        bucket_drop(fold, window, fold->buckets[window] - 1);
    }
    return false;
}

void cells_close(struct fold *fold)
{
    for (uint32_t c = 0; c < fold->cells_made; c++)
        tally_free(&fold->cell[c].tally, &fold->slab);
    for (int window = 0; window < WINDOWS_IN_BUCKETS; window++)
        free(fold->bucket[window]);
    free(fold->cell);
    slots_close(&fold->cell_slots);
    slots_close(&fold->bucket_slots);
}
