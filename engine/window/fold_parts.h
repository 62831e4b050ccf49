/* fold_parts: what the files of a fold (fold.h) do for each other, and for nobody else. Runs on: the fold's thread. */
#ifndef ESTEEM_FOLD_PARTS_H
#define ESTEEM_FOLD_PARTS_H

#include "fold.h"

/* ---- window.c ---- */

int64_t fold_newest_ms(const struct fold *fold); /* the newest event time that a shard has told; INT64_MIN: none */
void fold_advance(struct fold *fold); /* the rolling windows move to now_ms */

/* What windows with a bit in `was` hold goes into those with a bit in `in`: D[w] changes where a window's change is another than that of the one
 * before. */
void change_windows(struct fold *fold, uint32_t k, uint32_t was, uint32_t in, const struct tally *sum);

/* ---- crossings.c ---- */

void fold_crosses(void *context, const struct pane_cross *cross); /* pane_crosses, at once; context: the fold */
void crossings_advance(struct fold *fold); /* the panes move to now_ms */
void crossings_close(struct fold *fold);

/* ---- rewindow.c ---- */

/* The configuration has changed from this one. */
void rewindow_begin(struct fold *fold, const struct config *old);
/* Works on. False: the windows are there. */
bool rewindow_step(struct fold *fold);

/* ---- changes.c: reloads, as rows tell them ---- */

/* Before the configuration changes to this one. */
void changes_reload(struct fold *fold, const struct config *next);
/* A batch was applied. */
void changes_hear(struct fold *fold, const struct batch *batch);
/* Their part of a checkpoint. */
void changes_dump(const struct fold *fold, struct slice_out *out);
/* When a scope came; INT64_MIN: it always was there. */
int64_t changes_scope_since_ms(const struct changes *changes, uint32_t mask);
/* What was saved: a scope, `mask` in our numbers; a configuration, until INT64_MAX: it was in force. */
void changes_restore_scope(struct fold *fold, uint32_t mask, int64_t since_ms);
void changes_restore_config(struct fold *fold, const char *id, int64_t until_ms);
/* What a row with this start says of it. */
void changes_head(const struct fold *fold, const struct key *key, struct row *head);
/* Since when a key's window is whole; INT64_MIN: since its start. */
int64_t changes_since_ms(const struct fold *fold, const struct key *key, bool rolling, int window, int64_t start_ms);

/* ---- spans.c: what rolling windows hold of spans (span.h) ---- */

/* Spans begin or end in these runs, which now lie before the windows of `before`. */
void spans_before(struct fold *fold, uint32_t k, uint32_t before, const uint8_t *runs, uint32_t length);
/* In fold->dense lies what a window holds: spans become their milliseconds. Whether the row is another with the next slide. */
bool spans_show(struct fold *fold, const struct key *key, int window);
/* Calendar windows hold the milliseconds alone: takes the rest out of fold->dense. */
void spans_leave_out(struct fold *fold);
/* The row is another with each slide. */
void spans_move(struct fold *fold, uint32_t k, int window);
/* A window has slid: the rows that are others now have changed. */
void spans_moved(struct fold *fold, int window);
void spans_close(struct fold *fold);

/* ---- keys.c ---- */

uint32_t fold_key(struct fold *fold, const struct scope_key *text); /* makes it when it is new */
uint32_t fold_bundle(struct fold *fold, const uint32_t *part, uint32_t parts); /* likewise */
uint32_t fold_bundle_new(struct fold *fold, const uint32_t *part, uint32_t parts); /* even if there is one of the same parts */
uint64_t fold_bundle_hash(const struct fold *fold, const uint32_t *part, uint32_t parts); /* as in key.h */
void key_may_be_told(struct key *key); /* of each window a sink may hold a row that is not empty */
uint32_t fold_key_find(const struct fold *fold, const struct scope_key *text); /* or NONE */
/* A rolling window of it holds nothing: it is to be filled anew. */
void key_empty(struct fold *fold, struct key *key, int window);
void keys_close(struct fold *fold);

/* ---- zones.c ---- */

uint16_t zone_find(struct fold *fold, const char *tenant);
struct calendar *zone_calendar(struct fold *fold, const char *tenant);
void zones_close(struct fold *fold);
void zones_dump(const struct fold *fold, struct slice_out *out);
/* Adds a table of them. False when it is not well-formed. */
bool zones_load(struct zones_saved *saved, const struct slice_names *names);
void zones_saved_close(struct zones_saved *saved);
/* What the zone that a key had means for the one that it has; since when is told with the last file. True: it is another. */
bool zone_restore(struct fold *fold, struct key *key, struct zones_saved *saved, uint64_t number, int64_t newest_ms, int64_t now_ms);
void zones_restored(struct fold *fold, int64_t after_ms);

/* ---- agents.c: distinct agents ---- */

/* What comes into (sign 1), or leaves, the rolling windows of an agent's key that `windows` has a bit for: tells the key that it lies within. */
void agents_rolling(struct fold *fold, uint32_t k, uint32_t windows, const struct tally *sum, int sign);
/* Adds to the calendar windows of an agent's key that hold the group: the same. */
void agents_calendar(struct fold *fold, const struct group *group, const struct tally *sum);
/* Before the windows have moved: what bundles have goes to their parts. */
void agents_disband(struct fold *fold);

/* ---- kept.c: hours beyond correction ---- */

/* Their `closed`, for the hour of a week later. 0: it had none, or is not there any more. */
void kept_put(struct fold *fold, uint32_t key, int64_t start_ms, int64_t closed);
int64_t kept_closed(struct fold *fold, uint32_t key, int64_t start_ms);

/* ---- headcount.c: eligible agents ---- */

struct headcount *headcount_new(void);
void headcount_free(struct headcount *head);
/* Takes a change of the roster; keys whose figure it changes are told again by headcount_step. */
void headcount_change(struct fold *fold, const struct batch_roster *change);
/* Agents eligible in the key at a window's end; 0 for keys of other dimensions than site, team and agent. */
int64_t headcount_at(struct fold *fold, const struct key *key, int64_t end_ms);
/* The end of a rolling window has moved: keys whose figure is another one now are published. */
void headcount_pass(struct fold *fold, int window, int64_t from_ms, int64_t to_ms);
void headcount_step(struct fold *fold);

/* ---- cells.c: calendar windows ---- */

static inline bool cells_are_recent(const struct fold *fold, const struct key *key, int64_t at_ms)
{
    return at_ms >= key->recent.start_ms && at_ms < key->recent.end_ms && key->recent.serial == fold->config->serial;
}
/* The cell of each calendar window that holds the group, made when it is new; NONE where a window is not kept so far back, or is beyond correction. */
const uint32_t *cells_holding(struct fold *fold, const struct group *group);
/* The cell of a window that begins at start_ms, made when it is new; NONE when it is beyond correction. */
uint32_t cells_find(struct fold *fold, uint32_t key, int window, int64_t start_ms, int64_t end_ms);
/* The cell, or NONE; takes one out. */
uint32_t cells_at(const struct fold *fold, uint32_t key, int window, int64_t start_ms);
void cells_forget(struct fold *fold, uint32_t c);
/* All cells in buckets of keys that go; no queue may hold one. */
void cells_forget_of(struct fold *fold, bool (*goes)(const struct key *key));
/* A cell that is not there yet. */
uint32_t cell_new(struct fold *fold, uint32_t key, int window, int64_t start_ms, int64_t end_ms);
/* Adds runs to a cell, to be told by its row. */
void cell_add(struct fold *fold, uint32_t c, const uint8_t *runs, uint32_t length);
/* Its row says something else now. */
void cell_changed(struct fold *fold, uint32_t c);
/* Brings every cell into the phase that the clock and the watermark say. Returns cells moved. */
int cells_advance(struct fold *fold);
/* Takes out at most so many cells of a window that is no longer configured; true: there are more. */
bool cells_forget_window(struct fold *fold, int window, uint32_t most);
/* Whether a window that begins at start_ms is kept. */
static inline bool cells_keep(const struct fold *fold, int window, int64_t start_ms)
{
    return start_ms >= fold->calendar_from_ms[window];
}
/* Windows that end earlier are beyond correction. */
int64_t cells_corrected_from(const struct fold *fold);
void cells_close(struct fold *fold);

/* ---- across.c: what a row takes from others ---- */

/* A new key joins its family. */
void across_join(struct fold *fold, uint32_t key, const struct scope_key *text);
struct metric_across across_rolling(struct fold *fold, uint32_t key, int window);
struct metric_across across_calendar(struct fold *fold, uint32_t cell);
/* The key's figures in a rolling window have changed: marks the rows that take something from it. */
void across_rolling_changed(struct fold *fold, uint32_t key, int window);
void across_calendar_changed(struct fold *fold, uint32_t cell);
void across_close(struct fold *fold);

/* ---- baseline.c ---- */

/* Where the period lies in a zone. */
void baseline_zone(const struct config *config, struct zone *zone);
/* Adds what lies at an instant, if it lies in the period; cuts a stretch [*start_ms, *end_ms) that holds it at the period's edges. */
void baseline_add(struct fold *fold, uint32_t key, int64_t at_ms, const struct tally *sum);
void baseline_bound(const struct zone *zone, int64_t at_ms, int64_t *start_ms, int64_t *end_ms);
/* The cell was read from a checkpoint. False: the period was another one. */
bool baseline_loaded(struct fold *fold, uint32_t cell);
/* The values for a row's head. */
void baseline_head(struct fold *fold, uint32_t key, struct row *head);
/* Whether something of the period may have been read before, by a state that stood at now_ms and knows nothing of it. */
bool baseline_is_late(const struct config *config, int64_t now_ms);
/* A period as a checkpoint names it. */
enum { BASELINE_TEXT_MAX = 64 };
void baseline_text(const struct config *config, char *text);
/* Shows rows of keys whose baseline has changed anew, once a minute; `now`: at once. */
void baseline_restate(struct fold *fold, int64_t clock_ms, bool now);
/* The settings are others: all values are worked out again. */
void baseline_forget_values(struct fold *fold);

/* ---- alerts.c ---- */

/* Whether an alert hangs on the rows of this window of the key. */
bool alerts_want(const struct fold *fold, const struct key *key, bool rolling, int window);
/* Judges a row, and frees it. */
void alerts_take(struct fold *fold, uint32_t key, struct row *row);
/* What time brings about, and what is to be told. Returns rows told; adds what found no room to *left (NULL: nobody asks). */
uint64_t alerts_step(struct fold *fold, uint64_t *left);
/* The outlet has lost what it had. */
void alerts_again(struct fold *fold, int outlet);
/* Before the configuration changes to this one. */
void alerts_reload(struct fold *fold, const struct config *next);
void alerts_close(struct fold *fold);
void alerts_dump(const struct fold *fold, struct slice_out *out);
struct alert_saved {
    struct alert alert; /* the key's number is the slice's */
    char goal[48];
};
/* False when it is not well-formed. */
bool alert_read(struct slice_item *item, struct alert_saved *saved);
void alert_restore(struct fold *fold, uint32_t key, const struct alert_saved *saved, int64_t written_ms);

/* ---- now.c: gauges of the present ---- */

/* Adds runs to a block of a key. */
void now_add(struct fold *fold, uint32_t key, int64_t block, const uint8_t *runs, uint32_t length);
/* A cell that is new takes its place among its key's blocks. */
void now_link(struct fold *fold, uint32_t cell);
/* Rows that are others with a new second, or that have to be told again; takes out what is over, some keys a step. */
void now_step(struct fold *fold);
struct row *fold_now_row(struct fold *fold, uint32_t key, bool *empty);
/* The row is another with each second. */
void now_tick(struct fold *fold, uint32_t key);
void now_close(struct fold *fold);

/* ---- fold_state.c, fold_load.c ---- */

enum { CELL_FINAL = 1, CELL_CHANGED = 2, CELL_KEPT = 4 }; /* flags of a saved cell */

/* The cell is about to change. */
void cell_keep_for_checkpoint(struct fold *fold, uint32_t c);
void cell_note_gone(struct fold *fold, uint32_t c);

/* ---- recall.c ---- */

void recall_held_close(struct recall_held *held);

/* ---- outlets.c: what has changed, and the rows that tell it ---- */

void outlets_rolling_changed(struct fold *fold, uint32_t key, int window);
void outlets_rolling_mark(struct fold *fold, uint32_t key, int window); /* the same, without the rows that take something from it */
void outlets_calendar_changed(struct fold *fold, uint32_t cell, bool urgent);
void outlets_now_changed(struct fold *fold, uint32_t key);
/* Nothing of this rolling window waits. */
void outlets_forget_rolling(struct fold *fold, int window);
/* No queue holds any cell of this calendar window. */
void outlets_forget_window(struct fold *fold, int window);
/* The cell goes; no queue may hold it then. */
void outlets_forget_cell(struct fold *fold, uint32_t c);
/* Everything goes to this outlet once more. */
void outlets_again(struct fold *fold, int outlet);
/* Hands out what is due; returns rows. */
uint64_t outlets_publish(struct fold *fold, int64_t clock_ms);
void outlets_close(struct fold *fold);
struct row fold_row_head(struct fold *fold, uint32_t key);
struct row *fold_rolling_row(struct fold *fold, uint32_t key, int window, bool *empty);
struct row *fold_calendar_row(struct fold *fold, uint32_t cell);

/* ---- what all use ---- */

/* Whether the cell makes rows: the baseline's, those of now, those of agents within a key, and what is left of one beyond correction make none. */
static inline bool cell_has_row(const struct fold *fold, const struct cell *cell)
{
    return cell->used && !cell->kept && cell_is_calendar(cell) && !key_is_agent(fold->key[cell->key]);
}

static inline void *fold_must(void *block)
{
    ensure(block != NULL, "the machine has memory left");
    return block;
}

#endif
