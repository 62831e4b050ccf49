/* What the head of a slice says: by which names its numbers go, where its windows stand, which windows, scopes and configurations its writer had.
 * And at the end, what it means for rows that those are others now. */
#include "fold_load.h"

/* ---- the writer's names ---- */

static bool load_measure_names(struct fold_load *load, struct slice_names *names)
{
    for (uint32_t i = 0; i < names->count && i < HISTOGRAM_FIRST_ID; i++)
        for (int m = 0; m < MEASURE_COUNT; m++)
            if (strcmp(measure_names[m], names->name[i]) == 0)
                load->measure[i] = (uint16_t)m;
    return names->count <= HISTOGRAM_FIRST_ID;
}

static bool load_histogram_names(struct fold_load *load, struct slice_names *names)
{
    for (uint32_t i = 0; i < names->count && i < HISTOGRAM_COUNT; i++)
        for (int h = 0; h < HISTOGRAM_COUNT; h++)
            for (uint32_t b = 0; strcmp(histogram_names[h], names->name[i]) == 0 && b < HISTOGRAM_BUCKETS; b++)
                load->measure[histogram_id((enum histogram)i, b)] = (uint16_t)histogram_id((enum histogram)h, b);
    load->same_measures = true;
    for (uint32_t id = 0; id < TALLY_IDS; id++)
        load->same_measures &= load->measure[id] == id || load->measure[id] == UINT16_MAX;
    return names->count <= HISTOGRAM_COUNT;
}

static bool load_names(struct fold_load *load, struct slice_item *item)
{
    struct slice_names names;
    if (!slice_get_names(item, &names))
        return false;
    if (strcmp(names.table, "measures") == 0)
        return load_measure_names(load, &names);
    if (strcmp(names.table, "histograms") == 0)
        return load_histogram_names(load, &names);
    if (strcmp(names.table, "baseline") == 0) {
        char period[BASELINE_TEXT_MAX];
        baseline_text(load->fold[0]->config, period);
        load->same_baseline = names.count == 1 && strcmp(names.name[0], period) == 0;
        return true;
    }
    if (strcmp(names.table, "zones") == 0)
        return zones_load(&load->zones, &names);
    bool calendar = strcmp(names.table, "calendar") == 0;
    if (!calendar && strcmp(names.table, "dimensions") != 0)
        return true; /* a table of a later version */
    if (names.count > DIMENSION_MAX)
        return false;
    for (uint32_t i = 0; i < names.count; i++) {
        if (calendar) {
            for (int w = 0; w < CALENDAR_COUNT; w++)
                if (strcmp(calendar_names[w], names.name[i]) == 0)
                    load->calendar[i] = (uint8_t)w;
            if (strcmp(names.name[i], "kept") == 0)
                load->calendar[i] = WINDOW_KEPT;
            if (strcmp(names.name[i], "baseline") == 0)
                load->calendar[i] = WINDOW_BASELINE;
            if (strcmp(names.name[i], "now") == 0)
                load->calendar[i] = WINDOW_NOW;
            continue;
        }
        int dimension = config_dimension_find(load->fold[0]->config, names.name[i]);
        load->dimension[i] = dimension < 0 ? UINT8_MAX : (uint8_t)dimension;
    }
    return true;
}

void fold_load_known(const struct fold_load *load, uint64_t known[4])
{
    memset(known, 0, 4 * sizeof *known);
    for (uint32_t id = 0; id < HISTOGRAM_FIRST_ID; id++)
        if (load->measure[id] != UINT16_MAX)
            known[load->measure[id] / 64] |= UINT64_C(1) << load->measure[id] % 64;
}

/* ---- the writer's windows, scopes and configurations ---- */

static bool load_begin(struct fold_load *load, struct slice_item *item)
{
    load->now_ms = slice_get_signed(item);
    load->watermark_ms = slice_get_signed(item);
    load->inexact = slice_get(item);
    load->bundles_differ |= item->at < item->end && slice_get(item) != (uint64_t)load->folds; /* an older version had none */
    load->newest_ms = item->at < item->end ? slice_get_signed(item) : INT64_MIN; /* an older version said it with each calendar window */
    load->corrected_from_ms = item->at < item->end ? slice_get_signed(item) : INT64_MIN; /* likewise, nobody did */
    load->more_keys = item->at < item->end && slice_get(item) < (uint64_t)load->fold[0]->config->limit_keys;
    load->rolling_count = 0;
    load->calendars = 0;
    load->scopes = load->configs = 0;
    load->same_baseline = false;
    zones_saved_close(&load->zones);
    load->alerts = 0;
    return !item->bad;
}

static bool load_rolling(struct fold_load *load, struct slice_item *item)
{
    if (load->rolling_count == CONFIG_ROLLING_MAX)
        return false;
    int64_t *since_ms = &load->rolling_since_ms[load->rolling_count];
    struct config_rolling *rolling = &load->rolling[load->rolling_count++];
    *rolling = (struct config_rolling){.length_ms = (int64_t)slice_get(item), .slide_ms = (int64_t)slice_get(item)};
    *since_ms = item->at < item->end ? slice_get_signed(item) : INT64_MIN; /* an older version did not say */
    return !item->bad && rolling->length_ms > 0 && rolling->slide_ms > 0;
}

static bool load_scope(struct fold_load *load, struct slice_item *item)
{
    uint64_t mask = slice_get(item);
    uint32_t ours = 0;
    bool known = true;
    int64_t since_ms = slice_get_signed(item);
    for (int i = 0; i < DIMENSION_MAX; i++)
        if (mask >> i & 1) {
            known &= load->dimension[i] != UINT8_MAX;
            ours |= known ? 1u << load->dimension[i] : 0;
        }
    if (item->bad || mask >> DIMENSION_MAX || load->scopes == CONFIG_SCOPE_MAX)
        return false;
    if (known) {
        load->scope[load->scopes].mask = ours;
        load->scope[load->scopes++].since_ms = since_ms;
    }
    return true;
}

static bool load_config(struct fold_load *load, struct slice_item *item)
{
    uint32_t length;
    const char *id = slice_get_text(item, &length);
    int64_t until_ms = slice_get_signed(item);
    if (item->bad || length >= sizeof load->config->id || load->configs == ROW_CONFIGS_MAX + 1)
        return false;
    snprintf(load->config[load->configs].id, sizeof load->config->id, "%s", id);
    load->config[load->configs++].until_ms = until_ms;
    return true;
}

static bool load_calendar(struct fold_load *load, struct slice_item *item)
{
    uint32_t length;
    const char *name = slice_get_text(item, &length);
    int64_t from_ms = slice_get_signed(item);
    load->newest_ms = slice_get_signed(item);
    for (int w = 0; w < CALENDAR_COUNT; w++)
        if (strcmp(calendar_names[w], name) == 0) {
            load->calendars |= 1u << w;
            load->calendar_from_ms[w] = from_ms;
        }
    return !item->bad;
}

bool load_head_item(struct fold_load *load, struct slice_item *item)
{
    switch (item->kind) {
    case SLICE_FOLD: return load_begin(load, item);
    case SLICE_NAMES: return load_names(load, item);
    case SLICE_ROLLING: return load_rolling(load, item);
    case SLICE_CALENDAR: return load_calendar(load, item);
    case SLICE_SCOPE: return load_scope(load, item);
    default: return load_config(load, item);
    }
}

void load_windows(struct fold_load *load)
{
    if (load->begun)
        return;
    load->begun = true;
    const struct config *config = load->fold[0]->config;
    load->same_rolling = load->rolling_count == load->fold[0]->rolling_count;
    for (int w = 0; w < load->rolling_count && load->same_rolling; w++)
        load->same_rolling = load->rolling[w].length_ms == config->rolling[w].length_ms && load->rolling[w].slide_ms == config->rolling[w].slide_ms;
    for (int f = 0; f < load->folds && !load->same_rolling; f++)
        load->ladder[f] = pane_ladder_new(load->rolling, load->rolling_count, true);
}

/* ---- what is different now ---- */

static void later(int64_t *time_ms, int64_t other_ms)
{
    if (other_ms > *time_ms)
        *time_ms = other_ms;
}

/* Behind all that was read. */
static int64_t after_newest_ms(const struct fold_load *load)
{
    return load->newest_ms == INT64_MIN ? INT64_MIN : load->newest_ms + 1;
}

/* Windows that the restart brought begin as those of a reload: rewindow.c. */
static void load_since(const struct fold_load *load, struct fold *fold, const struct pane_ladder *panes)
{
    const struct config *config = fold->config;
    int64_t after_ms = after_newest_ms(load);
    for (int w = 0; w < fold->rolling_count; w++) {
        int was = 0;
        while (was < load->rolling_count &&
               (load->rolling[was].length_ms != config->rolling[w].length_ms || load->rolling[was].slide_ms != config->rolling[w].slide_ms))
            was++;
        int64_t since_ms = was < load->rolling_count ? load->rolling_since_ms[was]
                           : panes                   ? pane_exact_from(panes, load->rolling_since_ms, &config->rolling[w], load->now_ms)
                                                     : INT64_MIN;
        bool ahead = was == load->rolling_count && since_ms > load->now_ms && after_ms > since_ms; /* panes that are cut may hold what lies ahead */
        later(&fold->changes.rolling_since_ms[w], since_ms == INT64_MAX || ahead ? after_ms : since_ms);
    }
    for (uint32_t left = config->calendar; left; left &= left - 1) {
        int w = __builtin_ctz(left);
        later(&fold->calendar_from_ms[w], load->calendars >> w & 1 ? load->calendar_from_ms[w] : after_ms);
    }
}

/* Scopes that the restart brought, or gave room for keys that were in __other__; and the configuration that it ended. */
static void load_changes(const struct fold_load *load, struct fold *fold)
{
    int64_t after_ms = after_newest_ms(load);
    for (int s = 0; s < fold->config->scope_count && load->scopes; s++) {
        uint32_t mask = fold->config->scope[s].dimensions;
        int i = 0;
        while (i < load->scopes && load->scope[i].mask != mask)
            i++;
        changes_restore_scope(fold, mask, i < load->scopes ? load->scope[i].since_ms : after_ms);
    }
    for (int i = 0; i < load->gave_ways; i++)
        changes_restore_scope(fold, load->gave_way[i], after_ms);
    for (int i = 0; i < load->configs; i++)
        if (strcmp(load->config[i].id, fold->config->id) != 0)
            changes_restore_config(fold, load->config[i].id, load->config[i].until_ms == INT64_MAX ? after_ms : load->config[i].until_ms);
}

void load_head_end(struct fold_load *load, int f)
{
    struct fold *fold = load->fold[f];
    later(&fold->now_ms, load->now_ms);
    later(&fold->watermark_ms, load->watermark_ms);
    later(&fold->corrected_from_ms, load->corrected_from_ms);
    later(&fold->shard[0].told.newest_ms, load->newest_ms); /* whichever told it */
    fold->inexact |= load->inexact;
    fold->baseline_lost |= !load->same_baseline && load->places && baseline_is_late(fold->config, load->now_ms);
    zones_restored(fold, after_newest_ms(load));
    load_since(load, fold, load->ladder[f]);
    load_changes(load, fold);
    if (load->ladder[f])
        pane_pour(fold->ladder, load->ladder[f], load->rolling_count ? load->now_ms : after_newest_ms(load));
    pane_ladder_free(load->ladder[f]);
}
