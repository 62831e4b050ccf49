/* Folds made from a checkpoint's slices (fold_state.c writes them), item by item, file by file: the numbers in them are those of who wrote them, so a head
 * with names comes first (fold_load_head.c), and what is numbered otherwise now, or not configured any more, is put elsewhere or left out. */
#include "fold_load.h"

#include "esteem/log.h"

struct fold_load *fold_load_new(struct fold **folds, int count, struct key_registry *registry)
{
    struct fold_load *load = fold_must(calloc(1, sizeof *load));
    ensure(count <= FOLD_MAX, "there are at most FOLD_MAX folds");
    load->fold = folds;
    load->folds = count;
    load->registry = registry;
    load->now_ms = load->watermark_ms = INT64_MIN;
    memset(load->measure, 0xff, sizeof load->measure);
    memset(load->dimension, 0xff, sizeof load->dimension);
    memset(load->calendar, 0xff, sizeof load->calendar);
    return load;
}

/* ---- keys ---- */

/* The mask in our numbers, and each value at its place in our order. */
static bool load_key_text(struct fold_load *load, struct slice_item *item, struct scope_key *key, bool *known)
{
    uint64_t mask = slice_get(item);
    uint32_t length;
    const char *value[DIMENSION_MAX] = {0};
    *key = (struct scope_key){.tenant = slice_get_text(item, &length)};
    *known = true;
    for (int i = 0; i < DIMENSION_MAX && !item->bad; i++) {
        if (!(mask >> i & 1))
            continue;
        const char *text = slice_get_text(item, &length);
        if (load->dimension[i] == UINT8_MAX) {
            *known = false;
            continue;
        }
        value[load->dimension[i]] = text;
        key->scope |= 1u << load->dimension[i];
    }
    for (int i = 0; i < DIMENSION_MAX; i++)
        if (value[i]) {
            key->dimension[key->count] = (uint8_t)i;
            key->value[key->count++] = value[i];
        }
    if (mask & SCOPE_AGENTS) {
        key->scope |= SCOPE_AGENTS;
        key->value[key->count++] = slice_get_text(item, &length);
    }
    return !item->bad && (mask & ~(uint64_t)SCOPE_AGENTS) >> DIMENSION_MAX == 0;
}

static struct place *place_new(struct fold_load *load)
{
    if (load->places == load->room) {
        load->room = load->room ? load->room * 2 : 1024;
        load->place = fold_must(realloc(load->place, load->room * sizeof *load->place));
    }
    load->place[load->places] = (struct place){0, NONE, NONE, NULL};
    return &load->place[load->places++];
}

/* With room for more keys, what comes of those that had to give way goes to their own, which lack what came before. */
static void see_other(struct fold_load *load, const struct scope_key *key)
{
    uint32_t scope = key_within(key).scope;
    int i = 0;
    if (!load->more_keys || key->count == 0 || strcmp(key->value[key->count - 1], KEY_OTHER) != 0)
        return;
    while (i < load->gave_ways && load->gave_way[i] != scope)
        i++;
    if (i == load->gave_ways && i < CONFIG_SCOPE_MAX)
        load->gave_way[load->gave_ways++] = scope;
}

static bool load_key(struct fold_load *load, struct slice_item *item)
{
    struct scope_key key;
    bool known;
    load_windows(load);
    if (!load_key_text(load, item, &key, &known))
        return false;
    struct place *place = place_new(load);
    place->fold = key_fold(&key, load->folds);
    if (!known || !config_has_scope(load->fold[0]->config, key_within(&key).scope))
        return true;
    struct fold *fold = load->fold[place->fold];
    see_other(load, &key);
    place->key = fold_key(fold, &key);
    key_registry_restore(load->registry, &key);
    if (item->at < item->end) /* an older version did not say */
        place->zone = (uint32_t)slice_get(item);
    return true;
}

/* Before the first cell, when the heads of all files were there: it is by the newest instant of all that zones are compared. */
static void load_zones(struct fold_load *load)
{
    for (; load->zoned < load->places; load->zoned++) {
        const struct place *place = &load->place[load->zoned];
        struct fold *fold = load->fold[place->fold];
        if (place->key != NONE && place->zone != NONE)
            load->zones_differ |= zone_restore(fold, fold->key[place->key], &load->zones, place->zone, load->newest_ms, load->now_ms);
    }
}

/* Whether it is, or was, an agent's key within another, and no bundle. */
static bool is_part(const struct fold_load *load, const struct place *place)
{
    const struct key *key = place->key == NONE ? NULL : load->fold[place->fold]->key[place->key];
    return key == NULL || (key_is_agent(key) && key->parts == 0);
}

/* A bundle in each fold that has some of its parts, and not one that is there already: it has panes of its own. */
static bool load_bundle(struct fold_load *load, struct slice_item *item)
{
    uint32_t number[BUNDLE_MOST], numbers = 0;
    for (; item->at < item->end && !item->bad && numbers < BUNDLE_MOST; numbers++) {
        number[numbers] = (uint32_t)slice_get(item);
        item->bad |= number[numbers] >= load->places || !is_part(load, &load->place[number[numbers]]);
    }
    if (item->bad || item->at < item->end || numbers == 0)
        return false;
    struct place *place = place_new(load);
    for (int f = 0; f < load->folds; f++) {
        struct fold *fold = load->fold[f];
        uint32_t part[BUNDLE_MOST], parts = 0;
        for (uint32_t n = 0; n < numbers; n++)
            if (load->place[number[n]].fold == (uint32_t)f && load->place[number[n]].key != NONE)
                part[parts++] = load->place[number[n]].key;
        if (parts == 0)
            continue;
        load->bundles_differ |= parts < numbers;
        if (place->key != NONE) {
            place->more = fold_must(malloc(sizeof *place));
            place = place->more;
            place->more = NULL;
        }
        place->fold = (uint32_t)f;
        place->key = fold_bundle_new(fold, part, parts);
        key_registry_restore_bundle(load->registry, fold_bundle_hash(fold, part, parts));
    }
    return true;
}

/* ---- panes, cells, alerts ---- */

/* The runs in our numbers. */
static void load_runs(struct fold_load *load, struct fold *fold, const uint8_t **runs, uint32_t *length)
{
    if (load->same_measures)
        return;
    tally_dense_add_mapped(&fold->dense, *runs, *length, load->measure);
    tally_free(&load->scratch, &fold->slab);
    tally_pack(&load->scratch, &fold->slab, &fold->dense);
    *runs = tally_bytes(&load->scratch);
    *length = load->scratch.length;
}

static void load_pane_at(struct fold_load *load, const struct place *place, struct pane_saved saved)
{
    struct fold *fold = load->fold[place->fold];
    saved.key = place->key;
    if (saved.runs)
        load_runs(load, fold, &saved.runs, &saved.length);
    pane_load(load->same_rolling ? fold->ladder : load->ladder[place->fold], &saved);
    if (!load->same_measures)
        tally_free(&load->scratch, &fold->slab);
}

static bool load_pane(struct fold_load *load, struct slice_item *item)
{
    struct pane_saved saved;
    load_windows(load);
    if (!pane_saved_read(item, &saved) || (saved.runs && saved.key >= load->places) || saved.level > load->rolling_count)
        return false;
    if (saved.key >= load->places)
        return true; /* gone before any file had it */
    for (const struct place *place = &load->place[saved.key]; place; place = place->more)
        if (place->key != NONE)
            load_pane_at(load, place, saved);
    return true;
}

static bool window_is_wanted(const struct fold_load *load, uint8_t window)
{
    return window == WINDOW_NOW || (window == WINDOW_BASELINE ? load->same_baseline
                                                             : load->fold[0]->config->calendar >> (window == WINDOW_KEPT ? CALENDAR_HOUR : window) & 1);
}

static bool is_window(int64_t start_ms, int64_t end_ms)
{
    uint64_t length_ms = (uint64_t)end_ms - (uint64_t)start_ms;
    return end_ms > start_ms && length_ms % 1000 == 0 && length_ms / 1000 <= UINT32_MAX;
}

/* Of a state of before hours beyond correction had sheets. */
static void load_kept_hour(struct fold_load *load, struct fold *fold, uint32_t k, int64_t start_ms, const uint8_t *runs, uint32_t length)
{
    uint32_t c = cells_at(fold, k, CALENDAR_HOUR, start_ms);
    if (c != NONE)
        cells_forget(fold, c);
    tally_dense_add(&fold->dense, runs, length, 1);
    int64_t closed = fold->dense.value[MEASURE_closed];
    tally_dense_clear(&fold->dense);
    kept_put(fold, k, start_ms, closed - kept_closed(fold, k, start_ms)); /* each file of the chain may have it */
    if (!load->same_measures)
        tally_free(&load->scratch, &fold->slab);
}

struct cell_saved {
    uint8_t window; /* ours */
    int64_t start_ms, end_ms;
    uint64_t revision, flags, final_hash;
    const uint8_t *runs; /* NULL: gone */
    uint32_t length;
};

/* Whether it is a window in the time zone of now, too. */
static bool is_calendar_window(const struct fold *fold, uint32_t k, const struct cell_saved *saved)
{
    int64_t start_ms, end_ms;
    calendar_bounds(fold->zone[fold->key[k]->zone].calendar, (enum calendar_window)saved->window, saved->start_ms, &start_ms, &end_ms);
    return start_ms == saved->start_ms && end_ms == saved->end_ms;
}

static void load_cell_at(struct fold_load *load, const struct place *place, struct cell_saved saved)
{
    struct fold *fold = load->fold[place->fold];
    uint32_t c = cells_at(fold, place->key, saved.window, saved.start_ms);
    if (saved.runs == NULL) {
        if (c != NONE)
            cells_forget(fold, c);
        return;
    }
    if (load->zones_differ && saved.window < CALENDAR_COUNT && !is_calendar_window(fold, place->key, &saved))
        return;
    if (saved.window != WINDOW_KEPT) /* its integers are no measures */
        load_runs(load, fold, &saved.runs, &saved.length);
    if (saved.window == CALENDAR_HOUR && saved.flags & CELL_KEPT) {
        load_kept_hour(load, fold, place->key, saved.start_ms, saved.runs, saved.length);
        return;
    }
    if (c == NONE) {
        c = cell_new(fold, place->key, saved.window, saved.start_ms, saved.end_ms);
        if (saved.window == WINDOW_NOW)
            now_link(fold, c);
    }
    struct cell *cell = &fold->cell[c];
    cell->revision = (uint32_t)saved.revision;
    cell->final = saved.flags & CELL_FINAL;
    cell->changed = saved.flags & CELL_CHANGED;
    cell->kept = saved.flags & CELL_KEPT;
    cell->final_hash = saved.final_hash;
    tally_free(&cell->tally, &fold->slab);
    tally_add(&cell->tally, &fold->slab, &fold->dense, saved.runs, saved.length);
    if (!load->same_measures)
        tally_free(&load->scratch, &fold->slab);
    if (saved.window == WINDOW_BASELINE && !baseline_loaded(fold, c))
        fold->baseline_lost = true;
}

static bool load_cell(struct fold_load *load, struct slice_item *item)
{
    uint64_t number = slice_get(item), window = slice_get(item);
    load_zones(load);
    struct cell_saved saved = {.start_ms = slice_get_signed(item)};
    bool gone = item->kind == SLICE_CELL_GONE;
    if (item->bad || (number >= load->places && !gone) || window >= sizeof load->calendar)
        return false;
    saved.window = load->calendar[window];
    if (number >= load->places || saved.window == UINT8_MAX || !window_is_wanted(load, saved.window))
        return true;
    if (!gone) {
        saved.end_ms = slice_get_signed(item);
        saved.revision = slice_get(item);
        saved.flags = slice_get(item);
        saved.final_hash = slice_get_u64(item);
        saved.runs = slice_get_rest(item, &saved.length);
        if (item->bad || !is_window(saved.start_ms, saved.end_ms) || !tally_runs_valid(saved.runs, saved.length))
            return false;
    }
    for (const struct place *place = &load->place[number]; place; place = place->more)
        if (place->key != NONE)
            load_cell_at(load, place, saved);
    return true;
}

static bool load_alert(struct fold_load *load, struct slice_item *item)
{
    if (load->alerts == load->alert_room) {
        load->alert_room = load->alert_room ? load->alert_room * 2 : 64;
        load->alert = fold_must(realloc(load->alert, load->alert_room * sizeof *load->alert));
    }
    return alert_read(item, &load->alert[load->alerts++]);
}

/* ---- all of it ---- */

bool fold_load_item(struct fold_load *load, struct slice_item *item)
{
    switch (item->kind) {
    case SLICE_FOLD: case SLICE_NAMES: case SLICE_ROLLING: case SLICE_CALENDAR: case SLICE_SCOPE: case SLICE_CONFIG: return load_head_item(load, item);
    case SLICE_KEY: return load_key(load, item);
    case SLICE_BUNDLE: return load_bundle(load, item);
    case SLICE_PANE: case SLICE_PANE_GONE: return load_pane(load, item);
    case SLICE_CELL: case SLICE_CELL_GONE: return load_cell(load, item);
    case SLICE_ALERT: return load_alert(load, item);
    case SLICE_END: return true;
    default: return false;
    }
}

void fold_load_end(struct fold_load *load)
{
    load_zones(load);
    for (uint32_t a = 0; a < load->alerts; a++) {
        const struct place *place = load->alert[a].alert.key < load->places ? &load->place[load->alert[a].alert.key] : NULL;
        if (place && place->key != NONE)
            alert_restore(load->fold[place->fold], place->key, &load->alert[a], load->now_ms);
    }
    free(load->alert);
    for (int f = 0; f < load->folds; f++) {
        load_head_end(load, f);
        load->fold[f]->bundles_differ |= load->bundles_differ;
    }
    for (uint32_t i = 0; i < load->places; i++)
        for (struct place *more = load->place[i].more, *next; more; more = next) {
            next = more->more;
            free(more);
        }
    free(load->place);
    zones_saved_close(&load->zones);
    free(load);
}

void fold_restored(struct fold *fold)
{
    fold->restored = true;
    if (fold->baseline_lost)
        log_warn("baseline.lost", "the state is of before this baseline: rows have no comparison with it; to have it, begin anew "
                 "(state.start: clean) where Kafka still has all of the period");
    if (fold->bundles_differ) /* once, however many slices it was made of */
        agents_disband(fold);
    fold->bundles_differ = false;
    if (fold->now_ms != INT64_MIN) {
        fold_advance(fold);
        (void)cells_advance(fold);
    }
    for (int o = 0; o < fold->outlets; o++)
        outlets_again(fold, o);
    for (uint32_t k = 0; k < fold->keys; k++)
        key_may_be_told(fold->key[k]);
}
