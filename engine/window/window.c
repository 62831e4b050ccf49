/* A fold, from batches to rows; keys.c, cells.c and outlets.c hold its tables (fold.h).
 *
 * batch ──> fold_apply ──> pane ladder, D[w], calendar cells ──marks──> queues ──fold_step, by pace──> rows ──> outlets */
#include "fold_parts.h"

enum { REWIND_MS = 60000 /* a clock that goes back by less just stands */, AHEAD = 4 };

/* ---- life ---- */

int fold_new(const struct config *config, const struct fold_setup *setup, struct fold **out)
{
    struct fold *fold = fold_must(calloc(1, sizeof *fold));
    fold->config = config;
    fold->setup = *setup;
    ensure(setup->shards > 0 && setup->folds > 0, "a fold knows how many there are");
    fold->rolling_count = setup->batch && setup->at_ms == INT64_MIN ? 0 : config->rolling_count;
    fold->ladder = pane_ladder_new(config->rolling, fold->rolling_count, !setup->batch);
    if (setup->batch && fold->rolling_count)
        pane_ladder_fix(fold->ladder, setup->at_ms);
    fold->head = headcount_new();
    fold->shard = fold_must(calloc((size_t)setup->shards, sizeof *fold->shard));
    for (int i = 0; i < setup->shards; i++)
        fold->shard[i].now = fold->shard[i].next = fold->shard[i].told =
            (struct shard_word){.watermark_ms = INT64_MIN, .newest_ms = INT64_MIN, .known_ms = INT64_MIN};
    fold->now_ms = fold->watermark_ms = INT64_MIN;
    fold->key_slots = 1024;
    fold->key_slot = slots_plain_new(fold->key_slots);
    slots_init(&fold->cell_slots, 1024);
    slots_init(&fold->bucket_slots, 1024);
    fold->cell_free = fold->alert_free = NONE;
    fold->outlets = setup->outlets ? setup->outlets + 1 : 0;
    fold->newest_start_ms = INT64_MIN;
    for (int w = 0; w < CONFIG_ROLLING_MAX; w++)
        fold->changes.rolling_since_ms[w] = INT64_MIN;
    for (int w = 0; w < CALENDAR_COUNT; w++)
        fold->calendar_from_ms[w] = INT64_MIN;
    fold->corrected_from_ms = INT64_MIN;
    fold->view = fold_must(calloc(1, sizeof *fold->view));
    slab_init(&fold->slab);
    *out = fold;
    return 0;
}

void fold_free(struct fold *fold)
{
    if (fold == NULL)
        return;
    while (rewindow_step(fold)) /* keys of two kinds are hard to free */
        ;
    keys_close(fold);
    cells_close(fold);
    outlets_close(fold);
    spans_close(fold);
    crossings_close(fold);
    now_close(fold);
    recall_held_close(&fold->recalls);
    across_close(fold);
    alerts_close(fold);
    for (int i = 0; i < fold->setup.shards; i++)
        free(fold->shard[i].key);
    free(fold->rolling.bytes);
    free(fold->calendar.bytes);
    free(fold->shard);
    free(fold->gone);
    track_close(&fold->track);
    pane_ladder_free(fold->ladder);
    headcount_free(fold->head);
    slab_close(&fold->slab);
    free(fold);
}

void fold_reload(struct fold *fold, const struct config *config)
{
    const struct config *old = fold->config;
    alerts_reload(fold, config);
    changes_reload(fold, config);
    fold->config = config;
    baseline_forget_values(fold);
    rewindow_begin(fold, old);
}

bool fold_reload_step(struct fold *fold)
{
    if (rewindow_step(fold))
        return true;
    for (int o = 0; o < fold->outlets; o++) { /* the same integers may mean other metrics now */
        outlets_again(fold, o);
        for (int q = 0; q < QUEUES; q++)
            fold->queue[o][q].few.due_ms = fold->queue[o][q].many.due_ms = 0;
    }
    return false;
}

/* ---- taking batches ---- */

/* Cells of a batch that go to the same windows, gathered: their runs are added up once, and the sum goes to each window. Cells come
 * by key, then pane, so those of one hour, or of one set of rolling windows, follow one another. */
static void group_put(struct group *group, const uint8_t *runs, uint32_t length)
{
    if (group->length + length > group->room) {
        group->room = (group->length + length) * 2;
        group->bytes = fold_must(realloc(group->bytes, group->room));
    }
    memcpy(group->bytes + group->length, runs, length);
    group->length += length;
    group->cells++;
}

/* Adds the group up into one run; empty again afterwards. */
static struct tally group_take(struct fold *fold, struct group *group, bool calendar)
{
    struct tally sum = {0};
    tally_dense_add(&fold->dense, group->bytes, group->length, 1);
    if (calendar)
        spans_leave_out(fold);
    tally_pack(&sum, &fold->slab, &fold->dense);
    group->length = 0;
    return sum;
}

/* As they came, until the next are gathered. */
static struct tally group_view(struct group *group)
{
    struct tally view = tally_view(group->bytes, group->length);
    group->length = 0;
    return view;
}

void change_windows(struct fold *fold, uint32_t k, uint32_t was, uint32_t in, const struct tally *sum)
{
    int last = 0;
    if (key_is_agent(fold->key[k])) {
        agents_rolling(fold, k, in & ~was, sum, 1);
        agents_rolling(fold, k, was & ~in, sum, -1);
        return;
    }
    for (int w = 0; w < fold->rolling_count; w++) {
        int change = (int)(in >> w & 1) - (int)(was >> w & 1), sign = change < last ? -1 : 1;
        for (int step = last; step != change; step += sign)
            tally_merge(&fold->key[k]->difference[w], &fold->slab, &fold->dense, sum, sign);
        if (change)
            outlets_rolling_changed(fold, k, w);
        last = change;
    }
}

static void flush_rolling(struct fold *fold)
{
    struct group *group = &fold->rolling;
    if (group->length == 0)
        return;
    bool adds_up = group->cells > 1 && !key_is_agent(fold->key[group->key]); /* an agent's are read once, as they are */
    struct tally sum = adds_up ? group_take(fold, group, false) : group_view(group);
    change_windows(fold, group->key, 0, group->windows, &sum);
    if (adds_up)
        tally_free(&sum, &fold->slab);
}

static void add_rolling(struct fold *fold, uint32_t k, int64_t at_ms, bool spans, const uint8_t *runs, uint32_t length)
{
    uint32_t before, in = pane_put(fold->ladder, k, at_ms, spans, runs, length, &before);
    if (spans && before)
        spans_before(fold, k, before, runs, length);
    struct group *group = &fold->rolling;
    if (group->length && (group->key != k || group->windows != in))
        flush_rolling(fold);
    if (group->length == 0)
        group->cells = 0;
    group->key = k;
    group->windows = in;
    if (in)
        group_put(group, runs, length);
}

static void add_to_calendar(struct fold *fold, const struct group *group, const struct tally *sum)
{
    const uint32_t *cell = cells_holding(fold, group);
    for (uint32_t left = fold->config->calendar; left; left &= left - 1)
        if (cell[__builtin_ctz(left)] != NONE)
            cell_add(fold, cell[__builtin_ctz(left)], tally_bytes(sum), sum->length);
    baseline_add(fold, group->key, group->at_ms, sum);
}

static void flush_calendar(struct fold *fold)
{
    struct group *group = &fold->calendar;
    if (group->length == 0)
        return;
    if (key_is_agent(fold->key[group->key])) {
        struct tally sum = group_view(group);
        agents_calendar(fold, group, &sum);
        return;
    }
    struct tally sum = group_take(fold, group, true);
    if (sum.length == 0)
        return;
    add_to_calendar(fold, group, &sum);
    tally_free(&sum, &fold->slab);
}

/* Where one window of each kind holds all: hours nest in days nearly always, but a zone may do anything. */
static void bound_group(struct fold *fold, struct group *group, int64_t at_ms)
{
    const struct key *key = fold->key[group->key];
    struct calendar *calendar = fold->zone[key->zone].calendar;
    if (cells_are_recent(fold, key, at_ms)) {
        group->start_ms = key->recent.start_ms;
        group->end_ms = key->recent.end_ms;
        return;
    }
    group->start_ms = INT64_MIN;
    group->end_ms = INT64_MAX;
    for (uint32_t left = fold->config->calendar; left; left &= left - 1) {
        int64_t start_ms, end_ms;
        calendar_bounds(calendar, (enum calendar_window)__builtin_ctz(left), at_ms, &start_ms, &end_ms);
        group->start_ms = start_ms > group->start_ms ? start_ms : group->start_ms;
        group->end_ms = end_ms < group->end_ms ? end_ms : group->end_ms;
    }
    baseline_bound(&fold->zone[key->zone], at_ms, &group->start_ms, &group->end_ms);
}

static void add_calendar(struct fold *fold, uint32_t k, int64_t at_ms, const uint8_t *runs, uint32_t length)
{
    struct group *group = &fold->calendar;
    if (group->length && (group->key != k || at_ms < group->start_ms || at_ms >= group->end_ms))
        flush_calendar(fold);
    if (group->length == 0) {
        group->key = k;
        group->at_ms = at_ms;
        group->cells = 0;
        bound_group(fold, group, at_ms);
    }
    group_put(group, runs, length);
}

static void apply_cell(struct fold *fold, const struct shard_clock *shard, const struct batch_cell *cell)
{
    ensure(cell->number < shard->keys && shard->key[cell->number] != NONE, "a shard names a key before its first cell");
    uint32_t k = shard->key[cell->number];
    if (cell->now) {
        now_add(fold, k, cell->pane, cell->runs, cell->length);
        return;
    }
    int64_t at_ms = cell->pane * fold->setup.pane_ms + fold->setup.pane_from_ms;
    if (fold->rolling_count || cell->spans) /* what is open counts in a window that comes, too */
        add_rolling(fold, k, at_ms, cell->spans, cell->runs, cell->length);
    if (fold->config->calendar || fold->config->baseline.given)
        add_calendar(fold, k, at_ms, cell->runs, cell->length);
}

/* Cells that were read and wait, while their panes' places come from memory. */
struct ahead {
    struct batch_cell cell[AHEAD];
    uint32_t next, count;
};

static void apply_later(struct fold *fold, const struct shard_clock *shard, struct ahead *ahead, const struct batch_cell *cell)
{
    if (fold->rolling_count && !cell->now && cell->number < shard->keys)
        pane_prefetch(fold->ladder, shard->key[cell->number], cell->pane * fold->setup.pane_ms + fold->setup.pane_from_ms);
    if (ahead->count == AHEAD)
        apply_cell(fold, shard, &ahead->cell[ahead->next % AHEAD]);
    else
        ahead->count++;
    ahead->cell[ahead->next++ % AHEAD] = *cell;
}

static void apply_ahead(struct fold *fold, const struct shard_clock *shard, struct ahead *ahead)
{
    for (; ahead->count > 0; ahead->count--)
        apply_cell(fold, shard, &ahead->cell[(ahead->next - ahead->count) % AHEAD]);
}

static void apply_number(struct shard_clock *shard, uint32_t number, uint32_t k)
{
    if (number >= shard->keys) {
        uint32_t room = number * 2 + 64;
        shard->key = fold_must(realloc(shard->key, room * sizeof *shard->key));
        memset(shard->key + shard->keys, 0xff, (room - shard->keys) * sizeof *shard->key);
        shard->keys = room;
    }
    shard->key[number] = k;
}

static uint32_t apply_bundle(struct fold *fold, const struct shard_clock *shard, const struct batch *batch)
{
    uint32_t part[BUNDLE_MOST];
    for (uint32_t p = 0; p < batch->bundle.parts; p++) {
        uint32_t number = batch->bundle.part[p];
        ensure(number < shard->keys && shard->key[number] != NONE, "a shard names the parts of a bundle first");
        part[p] = shard->key[number];
    }
    return fold_bundle(fold, part, batch->bundle.parts);
}

void fold_apply(struct fold *fold, struct batch *batch)
{
    struct shard_clock *shard = &fold->shard[batch->shard];
    char text[BATCH_KEY_TEXT_MAX];
    struct scope_key key;
    struct batch_cell cell;
    struct ahead ahead = {.count = 0};
    uint32_t cursor = 0, number;
    for (enum batch_item item; (item = batch_next(batch, &cursor, &number, &key, text, &cell)) != BATCH_END;) {
        ensure(item != BATCH_BROKEN, "a batch is well-formed");
        if (item == BATCH_CELL) {
            apply_later(fold, shard, &ahead, &cell);
            continue;
        }
        apply_ahead(fold, shard, &ahead);
        if (item == BATCH_KEY)
            apply_number(shard, number, fold_key(fold, &key));
        else if (item == BATCH_BUNDLE)
            apply_number(shard, number, apply_bundle(fold, shard, batch));
        else
            headcount_change(fold, &batch->roster);
    }
    apply_ahead(fold, shard, &ahead);
    flush_rolling(fold);
    flush_calendar(fold);
    struct shard_word *told = &shard->told;
    told->heard = true;
    told->idle = batch->idle;
    told->caught_up = batch->caught_up;
    told->known_ms = batch->known_ms;
    told->watermark_ms = batch->watermark_ms > told->watermark_ms ? batch->watermark_ms : told->watermark_ms;
    told->newest_ms = batch->newest_ms > told->newest_ms ? batch->newest_ms : told->newest_ms;
    fold->inexact |= batch->inexact;
    changes_hear(fold, batch);
}

void fold_hear(struct fold *fold, bool all)
{
    for (int i = 0; i < fold->setup.shards; i++) {
        struct shard_clock *shard = &fold->shard[i];
        shard->now = all ? shard->told : shard->next;
        shard->next = shard->told;
    }
}

/* ---- time ---- */

int64_t fold_newest_ms(const struct fold *fold)
{
    int64_t newest_ms = INT64_MIN;
    for (int i = 0; i < fold->setup.shards; i++)
        newest_ms = fold->shard[i].told.newest_ms > newest_ms ? fold->shard[i].told.newest_ms : newest_ms;
    return newest_ms;
}

void fold_advance(struct fold *fold)
{
    int64_t right_ms[CONFIG_ROLLING_MAX];
    for (int w = 0; w < fold->rolling_count; w++)
        right_ms[w] = pane_edges(fold->ladder, w)->right_ms;
    crossings_advance(fold);
    for (int w = 0; w < fold->rolling_count; w++) {
        headcount_pass(fold, w, right_ms[w], pane_edges(fold->ladder, w)->right_ms);
        if (pane_edges(fold->ladder, w)->right_ms != right_ms[w])
            spans_moved(fold, w);
    }
}

/* The clock had been ahead, and was set right: the rolling windows are put where they belong, from the panes that are left. */
static void rewind_rolling(struct fold *fold, int64_t now_ms)
{
    for (uint32_t k = 0; k < fold->keys; k++) {
        tally_free(&fold->key[k]->before, &fold->slab);
        for (int w = 0; w < fold->rolling_count; w++) {
            key_empty(fold, fold->key[k], w);
            outlets_rolling_changed(fold, k, w);
        }
    }
    pane_lift(fold->ladder);
    fold->now_ms = now_ms;
    fold_advance(fold);
}

/* The watermark is the least over the shards that are not idle: one that has none yet holds it back. With all of them idle the clock stands in, when the
 * feed is live: a quiet night closes its hours too. */
static void read_clocks(struct fold *fold, int64_t clock_ms)
{
    bool live = fold->config->time_mode == TIME_LIVE;
    int64_t least = INT64_MAX, newest = INT64_MIN, highest = INT64_MIN;
    bool all_idle = true, all_heard = true;
    for (int i = 0; i < fold->setup.shards; i++) {
        const struct shard_word *shard = &fold->shard[i].now;
        all_heard &= shard->heard;
        newest = shard->newest_ms > newest ? shard->newest_ms : newest;
        highest = shard->watermark_ms > highest ? shard->watermark_ms : highest;
        if (shard->idle)
            continue;
        all_idle = false;
        least = shard->watermark_ms < least ? shard->watermark_ms : least;
    }
    int64_t watermark = !all_heard ? INT64_MIN : !all_idle ? least : live ? clock_ms - fold->config->out_of_order_ms : highest;
    if (watermark != INT64_MAX && watermark > fold->watermark_ms)
        fold->watermark_ms = watermark;
    int64_t now = live ? clock_ms : fold->finished ? newest : fold->watermark_ms;
    if (live && fold->now_ms != INT64_MIN && now < fold->now_ms - REWIND_MS)
        rewind_rolling(fold, now);
    if (now > fold->now_ms)
        fold->now_ms = now;
}

int fold_step(struct fold *fold, int64_t clock_ms)
{
    int64_t was_now = fold->now_ms, was_watermark = fold->watermark_ms;
    int moved = 0;
    fold->clock_ms = clock_ms;
    read_clocks(fold, clock_ms);
    if (fold->now_ms != INT64_MIN) {
        for (int o = 0; o < fold->outlets && was_now == INT64_MIN && fold->restored; o++)
            outlets_again(fold, o); /* rolling rows have had no end so far */
        if (fold->now_ms != was_now)
            fold_advance(fold);
        else
            pane_tend(fold->ladder);
        if (fold->now_ms != was_now || fold->watermark_ms != was_watermark || fold->finished)
            moved = cells_advance(fold);
    }
    headcount_step(fold);
    for (int o = 0; o < fold->setup.outlets; o++) {
        uint64_t generation = fold->setup.outlet[o].generation(fold->setup.outlet[o].context);
        if (generation != fold->generation[o]) {
            if (fold->generation[o]) {
                outlets_again(fold, o);
                alerts_again(fold, o);
            }
            fold->generation[o] = generation;
        }
    }
    baseline_restate(fold, clock_ms, false);
    now_step(fold);
    moved += (int)outlets_publish(fold, clock_ms);
    return moved + (int)alerts_step(fold, NULL);
}

int64_t fold_now_ms(const struct fold *fold)
{
    return fold->now_ms;
}

void fold_finish(struct fold *fold)
{
    fold->finished = true;
}

/* ---- reading ---- */

/* Each rolling window of the key that holds something. */
static void rolling_rows(struct fold *fold, uint32_t k, fold_each *each, void *context)
{
    for (int w = 0; w < fold->rolling_count; w++) {
        bool empty;
        struct row *row = fold_rolling_row(fold, k, w, &empty);
        if (empty)
            row_free(row);
        else
            each(context, row);
    }
}

void fold_rows(struct fold *fold, fold_each *each, void *context)
{
    for (uint32_t c = 0; c < fold->cells_made; c++) {
        struct cell *cell = &fold->cell[c];
        if (!cell_has_row(fold, cell) || tally_is_zero(&cell->tally, &fold->slab, &fold->dense))
            continue;
        cell->final = true;
        cell->revision = 1;
        each(context, fold_calendar_row(fold, c));
    }
    for (uint32_t k = 0; k < fold->keys; k++)
        if (!key_is_agent(fold->key[k]))
            rolling_rows(fold, k, each, context);
}

/* Some thousand cells in a table of them all, looked through once for somebody who asked. */
static void key_rows(struct fold *fold, uint32_t k, fold_each *each, void *context)
{
    if (fold->now_ms != INT64_MIN)
        rolling_rows(fold, k, each, context);
    for (uint32_t c = 0; c < fold->cells_made; c++)
        if (fold->cell[c].key == k && cell_has_row(fold, &fold->cell[c]) && !tally_is_zero(&fold->cell[c].tally, &fold->slab, &fold->dense))
            each(context, fold_calendar_row(fold, c));
}

void fold_key_rows(struct fold *fold, const char *tenant, const char *scope, fold_each *each, void *context)
{
    for (uint32_t k = 0; k < fold->keys; k++)
        if (!key_is_agent(fold->key[k]) && strcmp(fold->key[k]->scope, scope) == 0 && strcmp(fold->key[k]->tenant, tenant) == 0)
            key_rows(fold, k, each, context);
}

struct fold_counts fold_counts(const struct fold *fold)
{
    struct fold_counts counts = fold->counts;
    struct pane_counts panes = pane_counts(fold->ladder);
    counts.keys = fold->keys - fold->agent_keys;
    counts.agent_keys = fold->agent_keys;
    counts.panes = panes.panes;
    counts.packed_panes = panes.packed;
    counts.calendar_windows = fold->cells - fold->now.cells;
    counts.bytes = panes.bytes + fold->slab.used + fold->cells * sizeof(struct cell) +
                   fold->keys * (sizeof(struct key) + (size_t)fold->rolling_count * sizeof(struct tally)) + fold->kin_room * sizeof(struct kin) +
                   fold->kin_slots * sizeof *fold->kin_slot + fold->alert_room * sizeof(struct alert);
    counts.slack_bytes = fold->slab.bytes - fold->slab.used + panes.slack_bytes;
    counts.saturated = fold->dense.saturated;
    counts.watermark_ms = fold->watermark_ms;
    return counts;
}
