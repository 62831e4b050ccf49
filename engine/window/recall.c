/* Rows that a sink holds and this fold may know nothing of: a life that was killed had told them. What the fold has under such a name, or gets
 * while the feed is read, replaces the row by itself. What it has not when all is caught up is made: the key, the calendar window,
 * empty, and marked as told, so that the ordinary way publishes it. */
#include "fold_parts.h"

enum { HELD_FIRST = 1024, HELD_MOST = 1 << 20, MAKE_MOST = 1024 /* names a step */ };

/* ---- names that wait ---- */

static struct recalled **held_slot(const struct recall_held *held, uint64_t hash)
{
    uint32_t i = (uint32_t)hash & (held->slots - 1);
    while (held->slot[i] && held->slot[i]->hash != hash)
        i = (i + 1) & (held->slots - 1);
    return &held->slot[i];
}

static void held_grow(struct recall_held *held)
{
    struct recalled **old = held->slot;
    uint32_t slots = held->slots;
    held->slots = slots ? slots * 2 : HELD_FIRST;
    held->slot = fold_must(calloc(held->slots, sizeof(struct recalled *)));
    for (uint32_t i = 0; i < slots; i++)
        if (old[i])
            *held_slot(held, old[i]->hash) = old[i];
    free(old);
}

/* One block stays a name; its `record` gathers which records have figures. */
static void hold(struct fold *fold, struct recalled *row)
{
    struct recall_held *held = &fold->recalls;
    if (held->count * 2 >= held->slots)
        held_grow(held);
    struct recalled **slot = held_slot(held, row->hash);
    if (*slot == NULL && !row->emptied && held->count < HELD_MOST) {
        *slot = row;
        held->count++;
        return;
    }
    if (*slot == NULL) {
        fold->counts.recall_refused += !row->emptied;
        recalled_free(row);
        return;
    }
    (*slot)->record = row->emptied ? (*slot)->record & (uint16_t)~row->record : (*slot)->record | row->record;
    (*slot)->running |= row->running;
    (*slot)->last |= row->last;
    recalled_free(row);
}

void recall_held_close(struct recall_held *held)
{
    for (uint32_t i = 0; i < held->slots; i++)
        recalled_free(held->slot[i]);
    free(held->slot);
    *held = (struct recall_held){0};
}

/* ---- what is there ---- */

/* The row's window as it is numbered now; -1: it is none since a reload. */
static int window_of(const struct fold *fold, const struct recalled *row)
{
    if (row->rolling == NULL)
        return fold->config->calendar >> row->window & 1 ? row->window : -1;
    int w = fold->config->rolling_count - 1;
    while (w >= 0 && strcmp(fold->config->rolling[w].name, row->rolling) != 0)
        w--;
    return w;
}

static void tell_rolling(struct fold *fold, uint32_t k, int window)
{
    struct key *key = fold->key[k];
    key->recalled |= (uint16_t)(1u << window);
    key->told[window] = key->published[window] = UINT8_MAX;
    outlets_rolling_changed(fold, k, window);
}

static void tell_cell(struct fold *fold, uint32_t c)
{
    if (fold->cell[c].kept) /* beyond correction: this life has told it, and has not the figures any more */
        return;
    fold->cell[c].recalled = true;
    fold->cell[c].published = fold->cell[c].told = 0; /* also what has gone out goes once more, with every family */
    outlets_calendar_changed(fold, c, false);
}

static void note_shown(struct fold *fold, uint32_t k, const struct recalled *row)
{
    if (row->running)
        fold->key[k]->shown |= (uint8_t)(1u << row->window);
    if (row->last)
        fold->key[k]->shown_last |= (uint8_t)(1u << row->window);
}

/* Of a window that a reload took away: it is told when the window comes again, if the fold has the key. */
static bool has_gone(struct fold *fold, const struct recalled *row)
{
    uint32_t k = row->rolling && window_of(fold, row) < 0 ? fold_key_find(fold, &row->key) : NONE;
    if (k != NONE)
        fold->key[k]->went = true;
    return k != NONE;
}

/* False: the fold has nothing under that name. */
static bool tell_known(struct fold *fold, const struct recalled *row)
{
    int window = window_of(fold, row);
    uint32_t k = fold_key_find(fold, &row->key), c = k == NONE || row->rolling ? NONE : cells_at(fold, k, row->window, row->start_ms);
    if (window < 0 || k == NONE || (!row->rolling && c == NONE))
        return false;
    note_shown(fold, k, row);
    if (row->rolling && !fold->restored) /* all that a restored fold has goes out once more by itself */
        tell_rolling(fold, k, window);
    if (!row->rolling && (!fold->restored || row->start_ms > fold->now_ms))
        tell_cell(fold, c);
    return true;
}

void fold_recall(struct fold *fold, struct recalled *row)
{
    if (fold->recalls.done || (!row->emptied && (has_gone(fold, row) || tell_known(fold, row))))
        recalled_free(row);
    else
        hold(fold, row);
}

/* ---- what is made ---- */

/* The instant from which on the feed is known; INT64_MIN: from its beginning. */
static int64_t known_ms(const struct fold *fold)
{
    int64_t least = INT64_MAX;
    bool whole = true;
    for (int i = 0; i < fold->setup.shards; i++) {
        int64_t known = fold->shard[i].now.known_ms;
        whole &= known == INT64_MIN;
        least = known != INT64_MIN && known < least ? known : least;
    }
    return whole ? INT64_MIN : least;
}

static bool is_other(const struct scope_key *key)
{
    bool other = key->count > 0;
    for (int v = 0; v < key->count; v++)
        other &= strcmp(key->value[v], KEY_OTHER) == 0;
    return other;
}

/* Whether a calendar window may be made: one of this time zone, not beyond correction, of a time whose feed is known, and not of before its scope or
 * window came: who had it then may have told it rightly. */
static bool may_be_made(struct fold *fold, const struct recalled *row, int64_t *end_ms)
{
    int64_t start_ms;
    calendar_bounds(zone_calendar(fold, row->key.tenant), (enum calendar_window)row->window, row->start_ms, &start_ms, end_ms);
    return start_ms == row->start_ms && *end_ms > known_ms(fold) && cells_keep(fold, row->window, start_ms) &&
           *end_ms > changes_scope_since_ms(&fold->changes, row->key.scope) &&
           *end_ms >= cells_corrected_from(fold);
}

static void make(struct fold *fold, const struct recalled *row)
{
    int64_t end_ms = 0;
    int window = window_of(fold, row);
    uint32_t k = fold_key_find(fold, &row->key), c;
    if (window < 0 || !config_has_scope(fold->config, row->key.scope) || (!row->rolling && !may_be_made(fold, row, &end_ms)))
        return;
    if (k == NONE && !is_other(&row->key) && !key_registry_admit(fold->setup.registry, &row->key)) {
        fold->counts.recall_refused++;
        return;
    }
    if (k == NONE)
        k = fold_key(fold, &row->key);
    if (row->rolling)
        tell_rolling(fold, k, window);
    else if ((c = cells_find(fold, k, row->window, row->start_ms, end_ms)) != NONE)
        tell_cell(fold, c);
    else
        return; /* its figures are not there any more */
    note_shown(fold, k, row);
    fold->counts.recall_emptied++;
}

static void replace(struct fold *fold, const struct recalled *row)
{
    if (has_gone(fold, row))
        return;
    if (!tell_known(fold, row))
        make(fold, row);
    else if (fold_key_find(fold, &row->key) >= fold->recalls.keys_before)
        fold->counts.recall_emptied++; /* its key was made for another of these rows */
}

/* The window that holds an instant, if the fold has it not. */
static void make_cell(struct fold *fold, uint32_t k, int window, int64_t at_ms)
{
    int64_t start_ms, end_ms;
    calendar_bounds(fold->zone[fold->key[k]->zone].calendar, (enum calendar_window)window, at_ms, &start_ms, &end_ms);
    bool made = cells_at(fold, k, window, start_ms) == NONE && cells_keep(fold, window, start_ms);
    uint32_t c = made ? cells_find(fold, k, window, start_ms, end_ms) : NONE;
    if (c == NONE)
        return;
    tell_cell(fold, c);
    fold->counts.recall_emptied++;
}

/* Redis has two rows of a calendar window, the one that runs and the last one. Whichever they are of, after this the fold has windows that take
 * their places. */
static void make_shown(struct fold *fold, uint32_t k)
{
    struct key *key = fold->key[k];
    for (uint32_t left = key->shown & fold->config->calendar; left; left &= left - 1)
        make_cell(fold, k, __builtin_ctz(left), fold->now_ms);
    for (uint32_t left = key->shown_last & fold->config->calendar; left; left &= left - 1) {
        int window = __builtin_ctz(left);
        int64_t start_ms, end_ms;
        calendar_bounds(fold->zone[key->zone].calendar, (enum calendar_window)window, fold->now_ms, &start_ms, &end_ms);
        if (key->last[window] == NONE)
            make_cell(fold, k, window, start_ms - 1);
    }
    key->shown = key->shown_last = 0;
}

/* Whether every shard has said that it has caught up with its feed. */
static bool caught_up(const struct fold *fold)
{
    for (int i = 0; i < fold->setup.shards; i++)
        if (!fold->shard[i].now.caught_up)
            return false;
    return true;
}

int fold_recall_step(struct fold *fold)
{
    struct recall_held *held = &fold->recalls;
    int done = 0;
    if (held->done || !caught_up(fold) || (held->count && fold->now_ms == INT64_MIN))
        return 0;
    if (held->next == 0)
        held->keys_before = fold->keys;
    for (; held->next < held->slots && done < MAKE_MOST; held->next++) {
        const struct recalled *row = held->slot[held->next];
        if (row == NULL)
            continue;
        done++;
        if (row->record)
            replace(fold, row);
    }
    for (; held->next == held->slots && held->next_key < fold->keys && done < MAKE_MOST; held->next_key++, done++)
        make_shown(fold, held->next_key);
    if (held->next < held->slots || held->next_key < fold->keys)
        return done;
    recall_held_close(held);
    held->done = true;
    return done + 1;
}

bool fold_recalled(const struct fold *fold)
{
    return fold->recalls.done;
}
