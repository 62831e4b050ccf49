/* rewindow: another list of windows, while it runs. The fold stands still meanwhile, and does some of the work a step, so that no step is long:
 *
 *   each key begins its figures again, with a difference a window, all nothing
 *   each pane goes into a ladder of the new windows, at the level where it would lie now, and so fills them
 *   cells of calendar windows that are no longer told are taken out
 *
 * A rolling window that is new is as old as the panes reach; where a pane is wider than its edges allow, it is whole from when panes are narrow
 * enough, and its rows say since when. A calendar window that is new begins with the first that starts after all that was read. */
#include "fold_parts.h"

enum { WORK_MOST = 2048 /* keys, panes or cells a step: below 10 ms */ };

static bool same_rolling(const struct config_rolling *a, const struct config_rolling *b)
{
    return a->length_ms == b->length_ms && a->slide_ms == b->slide_ms && strcmp(a->name, b->name) == 0;
}

static int was_number(const struct config *old, const struct config_rolling *rolling)
{
    for (int w = 0; w < old->rolling_count; w++)
        if (same_rolling(&old->rolling[w], rolling))
            return w;
    return -1;
}

static bool rolling_differs(const struct config *old, const struct config *next)
{
    bool differs = old->rolling_count != next->rolling_count;
    for (int w = 0; w < next->rolling_count && !differs; w++)
        differs = was_number(old, &next->rolling[w]) != w;
    return differs;
}

bool fold_windows_differ(const struct config *old, const struct config *next)
{
    return rolling_differs(old, next) || old->calendar != next->calendar;
}

/* Behind all that was read. */
static int64_t after_newest_ms(const struct fold *fold)
{
    int64_t newest_ms = fold_newest_ms(fold);
    return newest_ms == INT64_MIN ? INT64_MIN : newest_ms + 1;
}

/* Panes that are cut may hold what lies ahead of the clock. */
static int64_t comes_from(const struct fold *fold, const struct config_rolling *rolling)
{
    int64_t from_ms = pane_exact_from(fold->ladder, fold->changes.rolling_since_ms, rolling, fold->now_ms), after_ms = after_newest_ms(fold);
    return from_ms == INT64_MAX || (from_ms > fold->now_ms && after_ms > from_ms) ? after_ms : from_ms;
}

static void begin_rolling(struct fold *fold, const struct config *old)
{
    struct rewindow *work = &fold->rewindow;
    int64_t since_ms[CONFIG_ROLLING_MAX];
    const struct config *next = fold->config;
    for (int w = 0; w < next->rolling_count; w++) {
        work->was[w] = (int8_t)was_number(old, &next->rolling[w]);
        since_ms[w] = work->was[w] >= 0 ? fold->changes.rolling_since_ms[work->was[w]] : comes_from(fold, &next->rolling[w]);
    }
    memcpy(fold->changes.rolling_since_ms, since_ms, (size_t)next->rolling_count * sizeof *since_ms);
    for (int w = 0; w < CONFIG_ROLLING_MAX; w++) {
        fold->moving[w].count = 0;
        outlets_forget_rolling(fold, w);
    }
    work->were = fold->rolling_count;
    work->from = fold->ladder;
    work->from_ms = work->were ? fold->now_ms : after_newest_ms(fold);
    fold->rolling_count = next->rolling_count;
    fold->ladder = pane_ladder_new(next->rolling, next->rolling_count, true);
    if (fold->now_ms != INT64_MIN)
        pane_advance(fold->ladder, fold->now_ms, NULL, NULL); /* it is empty: nothing crosses, or ages */
    work->phase = REWINDOW_KEYS;
}

static void begin_calendar(struct fold *fold, const struct config *old)
{
    struct rewindow *work = &fold->rewindow;
    uint32_t come = fold->config->calendar & ~old->calendar;
    work->gone = old->calendar & ~fold->config->calendar;
    for (uint32_t left = come; left; left &= left - 1)
        fold->calendar_from_ms[__builtin_ctz(left)] = after_newest_ms(fold);
    if (work->phase == REWINDOW_NONE && work->gone)
        work->phase = REWINDOW_CELLS;
}

void rewindow_begin(struct fold *fold, const struct config *old)
{
    ensure(fold->rewindow.phase == REWINDOW_NONE, "one reload ends before the next");
    ensure(!fold->dumping || !fold_windows_differ(old, fold->config), "windows change between checkpoints");
    fold->rewindow.next = 0;
    if (rolling_differs(old, fold->config))
        begin_rolling(fold, old);
    begin_calendar(fold, old);
}

/* Whether rows were told of a window that is none any more. */
static bool rows_went(const struct rewindow *work, const struct key *old, int count)
{
    uint32_t stay = 0;
    bool went = false;
    for (int w = 0; w < count; w++)
        stay |= work->was[w] < 0 ? 0 : UINT32_C(1) << work->was[w];
    for (int w = 0; w < work->were; w++)
        went |= old->told[w] && !(stay >> w & 1);
    return went;
}

/* What a sink holds of a window that comes, or comes again, is not known: where it may be a row of before, the window is told even if it is empty. */
static void begin_key(struct fold *fold, uint32_t k)
{
    const struct rewindow *work = &fold->rewindow;
    struct key *old = fold->key[k];
    bool agent = key_is_agent(old);
    size_t each = agent ? sizeof(int64_t[DISTINCT_COUNT]) : sizeof(struct tally);
    struct key *key = fold_must(calloc(1, sizeof *key + (size_t)fold->rolling_count * each));
    memcpy(key, old, sizeof *key);
    key->held = agent ? (void *)(key + 1) : NULL;
    tally_free(&old->before, &fold->slab);
    key->before = (struct tally){0};
    for (int w = 0; w < work->were && !agent; w++)
        tally_free(&old->difference[w], &fold->slab);
    key->moving = key->recalled = 0;
    memset(key->waits, 0, sizeof key->waits);
    key->went |= rows_went(work, old, fold->rolling_count);
    for (int w = 0; w < fold->rolling_count; w++) {
        int was = work->was[w];
        key->told[w] = was < 0 ? UINT8_MAX : old->told[was];
        key->published[w] = was < 0 ? UINT8_MAX : old->published[was];
        if (was >= 0)
            key->recalled = (uint16_t)(key->recalled | (old->recalled >> was & 1) << w);
    }
    fold->key[k] = key;
    free(old);
    for (int w = 0; w < fold->rolling_count && key->went && !agent; w++)
        if (work->was[w] < 0)
            outlets_rolling_changed(fold, k, w);
}

static bool begin_keys(struct fold *fold)
{
    struct rewindow *work = &fold->rewindow;
    for (int i = 0; i < WORK_MOST && work->next < fold->keys; i++)
        begin_key(fold, work->next++);
    return work->next < fold->keys;
}

/* Some of the cells of one window that is gone. */
static bool take_out(struct fold *fold)
{
    struct rewindow *work = &fold->rewindow;
    int window = __builtin_ctz(work->gone);
    if (cells_forget_window(fold, window, WORK_MOST) || (window == CALENDAR_HOUR && cells_forget_window(fold, WINDOW_KEPT, WORK_MOST)))
        return true;
    work->gone &= work->gone - 1;
    return work->gone != 0;
}

static void next_phase(struct rewindow *work, enum rewindow_phase phase)
{
    work->phase = phase;
    work->next = 0;
}

bool rewindow_step(struct fold *fold)
{
    struct rewindow *work = &fold->rewindow;
    switch (work->phase) {
    case REWINDOW_NONE: return false;
    case REWINDOW_KEYS:
        if (!begin_keys(fold))
            next_phase(work, REWINDOW_PANES);
        return true;
    case REWINDOW_PANES:
        if (pane_pour_some(fold->ladder, work->from, work->from_ms, &work->next, WORK_MOST, fold_crosses, fold))
            return true;
        pane_ladder_free(work->from);
        work->from = NULL;
        next_phase(work, work->gone ? REWINDOW_CELLS : REWINDOW_NONE);
        return work->phase != REWINDOW_NONE;
    case REWINDOW_CELLS:
        if (!take_out(fold))
            next_phase(work, REWINDOW_NONE);
        return work->phase != REWINDOW_NONE;
    }
    return false;
}
