/* What a row takes from other rows of its fold: figures of its channels, of its tenant's other channels, of the week before.
 *
 *     queue=billing  <── csat_gap, ... ──  queue=billing,channel=chat  queue=billing,channel=voice     one family
 *     channel=chat   <── conversion_lift ──  channel=voice, channel=email, ...                          the tenant's family
 *     an hour, a day, a week  <── volume_change ──  the same of the week before
 *
 * A family is a scope key without a channel and the keys of its channels; key_fold keeps it in one fold. Against each arrow goes a
 * mark: who changes says so to who takes. Channels are few, so a family is a list. */
#include "fold_parts.h"

enum { CHANNEL = 1u << DIMENSION_channel, KIN_FIRST = 1024 };
#define WEEK_MS INT64_C(604800000)
#define SKIP_MS INT64_C(90000000) /* 25 h: further than any zone ever moved its clocks */

/* ---- families ---- */

/* Whether both are the same but for their channels. */
static bool key_is_kin(const struct key *key, const struct scope_key *rest)
{
    int r = 0;
    if ((key->mask & ~(uint32_t)CHANNEL) != rest->scope || strcmp(key->tenant, rest->tenant) != 0)
        return false;
    for (int v = 0; v < key->count; v++)
        if (key->dimension[v] != DIMENSION_channel && strcmp(key->value[v], rest->value[r++]) != 0)
            return false;
    return true;
}

static uint32_t kin_member(const struct fold *fold, uint32_t f)
{
    return fold->kin[f].parent != NONE ? fold->kin[f].parent : fold->kin[f].child;
}

static uint32_t kin_slot(const struct fold *fold, const struct scope_key *rest)
{
    uint32_t mask = fold->kin_slots - 1, i = (uint32_t)key_hash(rest) & mask;
    while (fold->kin_slot[i] != NONE && !key_is_kin(fold->key[kin_member(fold, fold->kin_slot[i])], rest))
        i = (i + 1) & mask;
    return i;
}

static struct scope_key text_of(const struct key *key)
{
    struct scope_key text = {.scope = key->mask, .tenant = key->tenant, .count = key->count};
    memcpy(text.dimension, key->dimension, sizeof text.dimension);
    memcpy(text.value, key->value, sizeof text.value);
    return text;
}

static void kin_grow(struct fold *fold)
{
    free(fold->kin_slot);
    fold->kin_slots = fold->kin_slots ? fold->kin_slots * 2 : KIN_FIRST;
    fold->kin_slot = slots_plain_new(fold->kin_slots);
    fold->kin_room = fold->kin_slots / 2;
    fold->kin = fold_must(realloc(fold->kin, fold->kin_room * sizeof *fold->kin));
    for (uint32_t f = 0; f < fold->kins; f++) {
        struct scope_key text = text_of(fold->key[kin_member(fold, f)]), rest = key_without_channel(&text);
        fold->kin_slot[kin_slot(fold, &rest)] = f;
    }
}

void across_join(struct fold *fold, uint32_t k, const struct scope_key *text)
{
    struct key *key = fold->key[k];
    struct scope_key rest = key_without_channel(text);
    if (fold->kins == fold->kin_room)
        kin_grow(fold);
    uint32_t slot = kin_slot(fold, &rest);
    if (fold->kin_slot[slot] == NONE) {
        fold->kin[fold->kins] = (struct kin){NONE, NONE};
        fold->kin_slot[slot] = fold->kins++;
    }
    struct kin *kin = &fold->kin[key->kin = fold->kin_slot[slot]];
    key->sibling = NONE;
    if (key->mask & CHANNEL) {
        key->sibling = kin->child;
        kin->child = k;
    } else {
        kin->parent = k;
    }
}

void across_close(struct fold *fold)
{
    free(fold->kin);
    free(fold->kin_slot);
    free(fold->view);
}

/* ---- taking ---- */

/* Where other rows are read: a rolling window now, or the calendar windows of one start. */
struct spot {
    int window;
    bool rolling;
    int64_t start_ms;
};

/* What is not whole is compared with nothing: the row that would say so does not tell since when it is. */
static bool is_whole(const struct fold *fold, uint32_t k, const struct spot *spot)
{
    return changes_since_ms(fold, fold->key[k], spot->rolling, spot->window, spot->start_ms) == INT64_MIN;
}

/* Opens the key's figures there into fold->view. False: it has none. */
static bool open_key(struct fold *fold, uint32_t k, const struct spot *spot)
{
    const struct key *key = fold->key[k];
    struct row_view *view = fold->view;
    uint32_t c = spot->rolling ? NONE : cells_at(fold, k, spot->window, spot->start_ms);
    if (!spot->rolling && c == NONE)
        return false;
    view->config = fold->config;
    tally_dense_clear(&view->dense);
    if (c != NONE)
        tally_dense_add(&view->dense, tally_bytes(&fold->cell[c].tally), fold->cell[c].tally.length, 1);
    for (int w = 0; spot->rolling && w <= spot->window; w++)
        tally_dense_add(&view->dense, tally_bytes(&key->difference[w]), key->difference[w].length, 1);
    memcpy(view->measure, view->dense.value, sizeof view->measure);
    return true;
}

static void take_gaps(struct fold *fold, uint32_t child, const struct spot *spot, struct metric_across *across)
{
    double least[GAP_COUNT], most[GAP_COUNT];
    for (; child != NONE; child = fold->key[child]->sibling) {
        if (!is_whole(fold, child, spot) || !open_key(fold, child, spot))
            continue;
        for (int g = 0; g < GAP_COUNT; g++) {
            struct metric_value value = metric_one(fold->view, gap_metrics[g]);
            if (!value.present || value.n < fold->config->min_n)
                continue;
            bool first = across->gap[g].n++ == 0;
            least[g] = first || value.value < least[g] ? value.value : least[g];
            most[g] = first || value.value > most[g] ? value.value : most[g];
        }
    }
    for (int g = 0; g < GAP_COUNT; g++)
        across->gap[g].value = across->gap[g].n ? most[g] - least[g] : 0;
}

static void take_others(struct fold *fold, uint32_t k, const struct spot *spot, struct metric_across *across)
{
    for (uint32_t other = fold->kin[fold->key[k]->kin].child; other != NONE; other = fold->key[other]->sibling) {
        if (other == k)
            continue;
        if (!is_whole(fold, other, spot)) {
            across->others_closed = across->others_converted = 0;
            return;
        }
        if (open_key(fold, other, spot)) {
            across->others_closed += fold->view->measure[MEASURE_closed];
            across->others_converted += fold->view->measure[MEASURE_converted];
        }
    }
}

static struct metric_across take(struct fold *fold, uint32_t k, const struct spot *spot)
{
    struct metric_across across = {0};
    const struct key *key = fold->key[k];
    if (key->mask == CHANNEL)
        take_others(fold, k, spot, &across);
    uint32_t child = key->mask & CHANNEL ? NONE : fold->kin[key->kin].child;
    if (child != NONE && config_has_scope(fold->config, key->mask | CHANNEL))
        take_gaps(fold, child, spot, &across);
    return across;
}

struct metric_across across_rolling(struct fold *fold, uint32_t k, int window)
{
    return take(fold, k, &(struct spot){.window = window, .rolling = true, .start_ms = pane_edges(fold->ladder, window)->left_ms});
}

static bool has_week_earlier(int window)
{
    return window == CALENDAR_HOUR || window == CALENDAR_DAY || window == CALENDAR_WEEK;
}

static int64_t closed_at(struct fold *fold, uint32_t k, const struct spot *spot)
{
    if (!is_whole(fold, k, spot))
        return 0;
    if (open_key(fold, k, spot))
        return fold->view->measure[MEASURE_closed];
    return spot->window == CALENDAR_HOUR ? kept_closed(fold, k, spot->start_ms) : 0;
}

struct metric_across across_calendar(struct fold *fold, uint32_t c)
{
    uint32_t k = fold->cell[c].key;
    int window = fold->cell[c].window;
    struct spot spot = {.window = window, .start_ms = fold->cell[c].start_ms};
    struct metric_across across = take(fold, k, &spot);
    if (has_week_earlier(window) &&
        calendar_week_earlier(fold->zone[fold->key[k]->zone].calendar, (enum calendar_window)window, spot.start_ms, &spot.start_ms))
        across.week_earlier_closed = closed_at(fold, k, &spot);
    return across;
}

/* ---- telling ---- */

void across_rolling_changed(struct fold *fold, uint32_t k, int window)
{
    const struct key *key = fold->key[k];
    const struct kin *kin = key_is_agent(key) ? NULL : &fold->kin[key->kin];
    if (!(key->mask & CHANNEL) || key_is_agent(key))
        return;
    if (kin->parent != NONE)
        outlets_rolling_mark(fold, kin->parent, window);
    for (uint32_t other = key->mask == CHANNEL ? kin->child : NONE; other != NONE; other = fold->key[other]->sibling)
        outlets_rolling_mark(fold, other, window);
}

static void mark_cell(struct fold *fold, uint32_t k, int window, int64_t start_ms)
{
    uint32_t c = cells_at(fold, k, window, start_ms);
    if (c == NONE || fold->cell[c].kept)
        return;
    cell_keep_for_checkpoint(fold, c);
    fold->cell[c].changed = true;
    outlets_calendar_changed(fold, c, false);
}

/* The windows of a week later: one, but for the days when clocks are set. */
static void mark_week_later(struct fold *fold, const struct cell *cell)
{
    uint32_t k = cell->key;
    int window = cell->window;
    int64_t start_ms = cell->start_ms;
    struct calendar *calendar = fold->zone[fold->key[k]->zone].calendar;
    int64_t until_ms = start_ms + WEEK_MS + SKIP_MS < fold->newest_start_ms ? start_ms + WEEK_MS + SKIP_MS : fold->newest_start_ms;
    for (int64_t at_ms = start_ms + WEEK_MS - SKIP_MS, end_ms; at_ms <= until_ms; at_ms = end_ms) {
        int64_t later_ms, earlier_ms;
        calendar_bounds(calendar, (enum calendar_window)window, at_ms, &later_ms, &end_ms);
        if (calendar_week_earlier(calendar, (enum calendar_window)window, later_ms, &earlier_ms) && earlier_ms == start_ms)
            mark_cell(fold, k, window, later_ms);
    }
}

void across_calendar_changed(struct fold *fold, uint32_t c)
{
    const struct cell *cell = &fold->cell[c];
    const struct key *key = fold->key[cell->key];
    if (fold->setup.outlets == 0 || key_is_agent(key))
        return;
    const struct kin *kin = &fold->kin[key->kin];
    if (key->mask & CHANNEL && kin->parent != NONE)
        mark_cell(fold, kin->parent, cell->window, cell->start_ms);
    for (uint32_t other = key->mask == CHANNEL ? kin->child : NONE; other != NONE; other = fold->key[other]->sibling)
        if (other != cell->key)
            mark_cell(fold, other, cell->window, cell->start_ms);
    if (has_week_earlier(cell->window))
        mark_week_later(fold, cell);
}
