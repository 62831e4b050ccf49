/* The baseline: for each scope key the integers of one period that is named in the configuration, kept for good, in a cell like those of
 * calendar windows: corrected, checkpointed and restored with them, but in no bucket and in no row of its own. From them come the
 * values that a key's rows carry, so that whoever opens a row knows what has changed since.
 *
 * It has what was read. A state of before that configuration has contacts in it whose corrections would take away what was never added, so
 * rows go without a baseline then, until everything is read again (state.start: clean). */
#include "fold_parts.h"

#include <math.h>
#include <stdio.h>

enum { RESTATE_MS = 60000 };

static int64_t instant_ms(const struct config_instant *instant, const struct calendar *calendar)
{
    return instant->local ? calendar_date_ms(calendar, instant->at) : instant->at;
}

void baseline_zone(const struct config *config, struct zone *zone)
{
    const struct config_baseline *baseline = &config->baseline;
    zone->baseline_from_ms = baseline->given ? instant_ms(&baseline->from, zone->calendar) : INT64_MIN;
    zone->baseline_to_ms = baseline->given ? instant_ms(&baseline->to, zone->calendar) : INT64_MIN;
}

/* A live feed is never more than minutes ahead of the clock; a day is for the zones. */
bool baseline_is_late(const struct config *config, int64_t now_ms)
{
    const struct config_instant *from = &config->baseline.from;
    const int64_t day_ms = 86400000;
    return config->baseline.given && (config->time_mode != TIME_LIVE || now_ms > (from->local ? from->at * day_ms : from->at) - day_ms);
}

void baseline_bound(const struct zone *zone, int64_t at_ms, int64_t *start_ms, int64_t *end_ms)
{
    const int64_t edge[] = {zone->baseline_from_ms, zone->baseline_to_ms};
    for (int i = 0; i < 2; i++) {
        if (edge[i] <= at_ms && edge[i] > *start_ms)
            *start_ms = edge[i];
        if (edge[i] > at_ms && edge[i] < *end_ms)
            *end_ms = edge[i];
    }
}

/* ---- integers ---- */

static void changed(struct fold *fold, struct key *key)
{
    free(key->baseline_value);
    key->baseline_value = NULL;
    if (key->restate || fold->setup.outlets == 0)
        return;
    key->restate = true;
    fold->restating++;
}

void baseline_add(struct fold *fold, uint32_t k, int64_t at_ms, const struct tally *sum)
{
    struct key *key = fold->key[k];
    const struct zone *zone = &fold->zone[key->zone];
    if (fold->baseline_lost || key_is_agent(key) || at_ms < zone->baseline_from_ms || at_ms >= zone->baseline_to_ms)
        return;
    if (key->baseline == NONE)
        key->baseline = cell_new(fold, k, WINDOW_BASELINE, zone->baseline_from_ms, zone->baseline_to_ms);
    cell_keep_for_checkpoint(fold, key->baseline);
    tally_add(&fold->cell[key->baseline].tally, &fold->slab, &fold->dense, tally_bytes(sum), sum->length);
    changed(fold, key);
}

bool baseline_loaded(struct fold *fold, uint32_t c)
{
    const struct cell *cell = &fold->cell[c];
    struct key *key = fold->key[cell->key];
    const struct zone *zone = &fold->zone[key->zone];
    key->baseline = c;
    return cell->start_ms == zone->baseline_from_ms && cell_end_ms(cell) == zone->baseline_to_ms;
}

static void instant_text(const struct config_instant *instant, char *text, size_t room)
{
    snprintf(text, room, "%s%lld", instant->local ? "day " : "", (long long)instant->at);
}

void baseline_text(const struct config *config, char *text)
{
    char from[BASELINE_TEXT_MAX / 2 - 4], to[BASELINE_TEXT_MAX / 2 - 4];
    instant_text(&config->baseline.from, from, sizeof from);
    instant_text(&config->baseline.to, to, sizeof to);
    snprintf(text, BASELINE_TEXT_MAX, "%s to %s", from, to);
}

/* ---- values ---- */

static void work_out(struct fold *fold, struct key *key)
{
    const struct config_baseline *baseline = &fold->config->baseline;
    const struct tally *tally = &fold->cell[key->baseline].tally;
    struct row_view *view = fold->view;
    view->config = fold->config;
    tally_dense_clear(&view->dense);
    tally_dense_add(&view->dense, tally_bytes(tally), tally->length, 1);
    memcpy(view->measure, view->dense.value, sizeof view->measure);
    key->baseline_value = fold_must(malloc((size_t)baseline->count * sizeof *key->baseline_value));
    for (int i = 0; i < baseline->count; i++) {
        struct metric_value value = metric_one(view, (enum metric)baseline->metric[i]);
        key->baseline_value[i] = value.present ? value.value : NAN;
    }
}

void baseline_head(struct fold *fold, uint32_t k, struct row *head)
{
    struct key *key = fold->key[k];
    if (key->baseline == NONE || fold->baseline_lost)
        return;
    if (key->baseline_value == NULL)
        work_out(fold, key);
    head->baseline = key->baseline_value;
    head->baseline_count = fold->config->baseline.count;
}

void baseline_forget_values(struct fold *fold)
{
    for (uint32_t k = 0; k < fold->keys; k++) {
        free(fold->key[k]->baseline_value);
        fold->key[k]->baseline_value = NULL;
    }
}

/* ---- telling ---- */

void baseline_restate(struct fold *fold, int64_t clock_ms, bool now)
{
    bool early = clock_ms >= fold->restated_ms && clock_ms - fold->restated_ms < RESTATE_MS;
    if (fold->restating == 0 || (early && !now))
        return;
    fold->restated_ms = clock_ms;
    for (uint32_t c = 0; c < fold->cells_made; c++) {
        struct cell *cell = &fold->cell[c];
        if (!cell_has_row(fold, cell) || !fold->key[cell->key]->restate)
            continue;
        cell_keep_for_checkpoint(fold, c);
        cell->changed = true;
        outlets_calendar_changed(fold, c, false);
    }
    for (uint32_t k = 0; k < fold->keys; k++) {
        for (int w = 0; fold->key[k]->restate && w < fold->rolling_count; w++)
            outlets_rolling_mark(fold, k, w);
        fold->key[k]->restate = false;
    }
    fold->restating = 0;
}
