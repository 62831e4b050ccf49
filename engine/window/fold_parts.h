/* fold_parts: what the files of a fold share, and nobody else. All of it belongs to the fold's thread.
 *
 *   keys       one entry a scope key: its strings, D[w] of the rolling windows (pane.h), which of its rows wait for what outlet; and one
 *              for each agent within a key, and for bundles of those (agents.c), which have windows like any other, and no rows
 *   calendars  (key, window, start) -> integers, revision; cells of one window and end hang in a bucket, so that the clock and
 *              the watermark visit only the windows whose state they change: future -> running -> ended -> final -> kept -> gone
 *   now        of a key: blocks of gauges of the present (now.h), in cells like those of calendar windows, in no bucket (now.c)
 *   kin        a key without a channel, and those of its channels: what is compared across rows (across.c)
 *   queues     an outlet and window: what has changed, oldest first; keys of scopes that have few have a line of their own (outlets.c) */
#ifndef ESTEEM_FOLD_PARTS_H
#define ESTEEM_FOLD_PARTS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "esteem/calendar.h"
#include "esteem/err.h"
#include "esteem/now.h"
#include "esteem/pane.h"
#include "esteem/recall.h"
#include "esteem/slice.h"
#include "esteem/slots.h"
#include "esteem/span.h"
#include "esteem/track.h"
#include "esteem/window.h"

#define NONE UINT32_MAX
/* Of a cell, none of which has a row of its own: a sheet of hours (kept.c); and in no bucket: the baseline's period, a block of now.h. */
enum { WINDOW_KEPT = CALENDAR_COUNT, WINDOW_BASELINE, WINDOW_NOW, WINDOWS, WINDOWS_IN_BUCKETS = WINDOW_KEPT + 1 };
enum { OUTLETS_ALL = OUTLET_MAX + 1 }; /* behind those of the setup one that judges goals: alerts.c */
enum { QUEUE_NOW = CONFIG_ROLLING_MAX + CALENDAR_COUNT, QUEUE_URGENT, QUEUES };

/* What distinct agents are counted by: agents.c has the measures. */
enum distinct { DISTINCT_active, DISTINCT_handling, DISTINCT_COUNT };

/* The calendar windows that held a key's last contribution, so that the next one need not look them up. */
struct recent {
    uint64_t serial; /* of the configuration that they are of */
    int64_t start_ms, end_ms; /* what all of them hold; empty: they are not known */
    uint32_t cell[CALENDAR_COUNT];
};

struct key {
    uint64_t hash;
    char *text; /* one block: tenant, scope text, values */
    const char *tenant, *scope;
    const char *value[DIMENSION_MAX];
    uint32_t mask;
    uint32_t last[CALENDAR_COUNT]; /* the newest cell that has ended */
    struct recent recent;
    uint8_t count, dimension[DIMENSION_MAX];
    uint16_t zone;
    uint32_t scope_index; /* into fold.scope_keys */
    uint16_t moving;                       /* bit: window whose row is another with each slide, because a span is open */
    struct tally before;                   /* spans open at each window's left edge: id window * SPAN_COUNT + span */
    uint32_t within;                       /* an agent's key: the key that it lies within (a bundle: its first part); NONE: it is none */
    uint32_t *part, parts;                 /* of a bundle (key.h): keys of an agent, each of which has what it has; else none */
    int64_t headcount_ms;                  /* eligible agents have changed from this time on; INT64_MAX: they have not */
    int64_t (*held)[DISTINCT_COUNT];       /* an agent's key, instead of D[w]: what each rolling window holds of it */
    uint32_t alert;         /* the first of its alerts, or NONE */
    uint32_t baseline;      /* its cell, or NONE */
    double *baseline_value; /* of config.baseline's metrics; NULL: to be worked out */
    bool hidden;            /* its scope is configured no more: it makes no rows */
    bool restate;           /* the baseline has changed: all rows are to be shown anew */
    uint32_t now;           /* its first block, or NONE; ascending */
    int64_t now_due_ms;     /* by the clock: its row is to be told again; 0: not before it changes */
    uint8_t now_waits, now_published, now_told; /* as below */
    bool now_ticks;         /* its row is another with each second */
    uint32_t kin, sibling; /* its family; the next channel in it, or NONE */
    uint8_t waits[CONFIG_ROLLING_MAX];     /* bit: outlet whose queue holds this window */
    uint8_t published[CONFIG_ROLLING_MAX]; /* bit: the last row that the outlet has had was not empty */
    uint8_t told[CONFIG_ROLLING_MAX];      /* bit: the outlet may hold a row that is not empty, if it has lost the last one */
    uint8_t shown, shown_last;             /* bit: a calendar window that Redis showed as running, or as the last one, before this life */
    uint16_t recalled;                     /* bit: a window of which a sink held a row before this life had told one */
    struct tally difference[];             /* D[w]; rolling_count of them */
};

static inline bool key_is_agent(const struct key *key)
{
    return key->within != NONE;
}

enum phase { PHASE_FUTURE, PHASE_RUNNING, PHASE_ENDED, PHASE_FINAL, PHASE_KEPT };

struct cell {
    int64_t start_ms;
    uint64_t final_hash; /* of the integers in the last final row */
    uint32_t length_s;
    uint32_t key, next;  /* next in its bucket, or in the free list */
    uint32_t revision;
    struct tally tally;
    uint8_t window, waits, urgent, published; /* bits: outlets */
    uint8_t told; /* bits: outlets that have had the row of this revision */
    bool final : 1, changed : 1, used : 1;
    bool recalled : 1; /* a sink held its row before this life had told one */
    bool kept : 1; /* a day or week beyond correction: `closed` alone, for the one of a week later; of WINDOW_NOW: without those in wrap */
    struct mark mark;
};
_Static_assert(sizeof(struct cell) == 64, "there are millions of them");

static inline int64_t cell_end_ms(const struct cell *cell)
{
    return cell->start_ms + (int64_t)cell->length_s * 1000;
}

static inline bool cell_is_calendar(const struct cell *cell)
{
    return cell->window < CALENDAR_COUNT;
}

enum alert_state { ALERT_NONE, ALERT_PENDING, ALERT_MISSED, ALERT_MET, ALERT_REMOVED };

struct alert { /* of a goal and a key */
    uint32_t key, next; /* the key's next, or in the free list */
    int16_t goal;       /* of config.goal; of one that was removed -1 */
    char *removed;      /* that one's name, else NULL */
    bool known;         /* somebody was told of it */
    uint8_t state;
    uint8_t waits;      /* bit: outlet that has not been told */
    double value;       /* what it was when it came to this */
    int64_t n, start_ms, end_ms;
    int64_t since_ms;   /* when it began to be missed, or met */
    int64_t at_ms;      /* when it came into this state */
};

struct kin {
    uint32_t parent, child; /* the key without a channel; the first of its channels' keys; NONE: there is none (yet) */
};

struct cell_name {
    int64_t start_ms;
    uint32_t key;
    uint8_t window;
};

struct bucket {
    int64_t start_ms, end_ms;
    uint32_t first;
    enum phase phase;
};

struct line {
    uint32_t *item; /* a ring: key for a rolling window, cell for a calendar one */
    uint32_t first, count, room;
    uint32_t owed;  /* that waited when the line was due, and have not been told since */
    int64_t due_ms; /* by the clock */
};

struct queue {
    struct line few, many; /* by how many keys the scope has */
    uint32_t turn;         /* the next is of `many`, where it is the last of TURNS */
};

struct scope_keys {
    uint32_t mask, keys;
};

/* What a shard says of its time, as in struct batch. */
struct shard_word {
    int64_t watermark_ms, newest_ms, known_ms;
    bool idle, heard, caught_up;
};

struct shard_clock {
    struct shard_word now, next, told; /* acted on; to be acted on after another round; the newest: fold_hear */
    uint64_t serial; /* of the configuration that its last batch was made under */
    uint32_t *key; /* the shard's key number -> ours */
    uint32_t keys;
};

struct zone {
    char *name; /* its own copy */
    struct calendar *calendar;
    int64_t baseline_from_ms, baseline_to_ms; /* both INT64_MIN: there is none */
    uint32_t moved;   /* bit: a calendar window that lay elsewhere before a restart brought the zone, ... */
    int64_t since_ms; /* ... of which those that begin earlier are not whole */
};

/* As a checkpoint has them. */
struct zone_saved {
    char name[256];
    int64_t since_ms;
    uint32_t moved, moves; /* moves: to the one below */
    struct calendar *calendar, *moves_to;
};
struct zones_saved {
    struct zone_saved *zone;
    uint32_t zones;
};

enum { ZONES_MAX = UINT16_MAX };

/* Names of which the fold has nothing yet: recall.c. */
struct recall_held {
    struct recalled **slot; /* by their hash */
    uint32_t slots, count, next, next_key, keys_before;
    bool done;
};

/* What reloads have brought: changes.c. */
enum { CHANGES_SCOPES_MAX = 2 * CONFIG_SCOPE_MAX };
struct scope_change {
    uint32_t mask;
    int64_t since_ms; /* INT64_MAX: not every shard has it yet */
};
struct id_change {
    char id[9];
    int64_t until_ms; /* INT64_MAX: likewise */
};
struct changes {
    int64_t rolling_since_ms[CONFIG_ROLLING_MAX]; /* INT64_MIN: it is whole */
    struct scope_change scope[CHANGES_SCOPES_MAX];
    struct id_change id[ROW_CONFIGS_MAX];
    int scopes, ids;
    bool pending;
    uint64_t serial; /* of the newest */
};

/* On the way to another list of windows: rewindow.c. */
enum rewindow_phase { REWINDOW_NONE, REWINDOW_KEYS, REWINDOW_PANES, REWINDOW_CELLS };
struct rewindow {
    enum rewindow_phase phase;
    uint32_t next;                  /* key or pane */
    int were;                       /* rolling windows there were */
    int8_t was[CONFIG_ROLLING_MAX]; /* a window's number among those; -1: it is new */
    struct pane_ladder *from;
    int64_t from_ms;                /* where it stands; without windows, when the first that comes is whole */
    uint32_t gone;                  /* calendar windows to be taken out */
};

struct group {
    uint32_t key, windows, cells;
    int64_t at_ms, start_ms, end_ms;
    uint8_t *bytes;
    uint32_t length, room;
};

/* A pane that crosses edges of rolling windows: crossings.c. */
enum { CROSSINGS_MOST = 32768 };
struct crossing {
    struct tally tally; /* a view */
    uint32_t was, in, next; /* next: of the key's */
};

struct crossings {
    struct crossing *item;
    uint32_t count;
    uint32_t *first, keys; /* by key: the first of its crossings, or NONE */
    uint32_t *with, withs; /* keys that have any */
};

struct fold {
    const struct config *config;
    struct fold_setup setup;
    int rolling_count;
    struct pane_ladder *ladder;
    struct headcount *head;
    struct shard_clock *shard;
    struct zone *zone;
    int zones;
    struct key **key;
    uint32_t keys, key_room, *key_slot, key_slots, agent_keys; /* agent_keys: of which are an agent's within another */
    struct cell *cell;
    uint32_t cells_made, cell_room, cell_free;
    struct slots cell_slots;
    uint64_t cells;
    int64_t newest_start_ms; /* of all cells that ever were */
    struct kin *kin;
    uint32_t kins, kin_room, *kin_slot, kin_slots;
    struct row_view *view; /* where a row that is compared is opened */
    bool baseline_lost;    /* what was read before this configuration is not in it: rows go without */
    uint32_t restating;    /* keys to be shown anew */
    int64_t restated_ms;   /* by the clock */
    struct bucket *bucket[WINDOWS_IN_BUCKETS];
    int buckets[WINDOWS_IN_BUCKETS], bucket_room[WINDOWS_IN_BUCKETS];
    struct slots bucket_slots; /* (window, start, end) -> a number in that window's */
    struct group rolling, calendar; /* of the batch at hand */
    struct crossings crossings;     /* of the step at hand */
    struct {
        uint32_t *key, count, room;
    } moving[CONFIG_ROLLING_MAX]; /* keys with that bit */
    struct {
        uint32_t *key, count, room; /* keys that tick */
        int64_t at_ms, swept_ms;    /* the second that was told last; by the clock, when a sweep began */
        uint32_t swept;             /* the next key */
        uint64_t cells;
    } now;
    int outlets; /* the setup's, and the one that judges goals; 0 in a batch */
    struct alert *alert;
    uint32_t alerts, alert_room, alert_free;
    struct queue queue[OUTLETS_ALL][QUEUES];
    int next_queue[OUTLETS_ALL]; /* that the outlet is served from first */
    struct scope_keys *scope_keys; /* of every scope that has a key */
    uint32_t scopes;
    uint64_t generation[OUTLET_MAX];
    int64_t budget_ms; /* when the row budgets were last filled */
    int64_t budget[OUTLETS_ALL];
    int64_t clock_ms;     /* of the last step */
    int64_t now_ms;       /* where rolling windows stand */
    int64_t watermark_ms; /* for finality */
    bool inexact, finished;
    struct slab slab;
    struct tally_dense dense;
    struct fold_counts counts;

    /* checkpoints: fold_state.c */
    struct track track; /* of cells */
    struct cell_name *gone;
    uint32_t gone_count, gone_room;
    uint32_t keys_saved, keys_due; /* keys that the files of the chain have; keys there were when the running checkpoint began */
    bool dumping;
    struct slice_out *out;
    bool bundles_differ; /* while it is loaded: there are other folds, or fewer scopes, than when its bundles were saved */
    bool restored; /* what was published before this process began may still stand in the sinks */

    struct recall_held recalls;
    struct changes changes;
    struct rewindow rewindow;
    int64_t calendar_from_ms[CALENDAR_COUNT]; /* earlier windows are not kept, as they came with a reload; INT64_MIN: all are */
};

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
/* What was saved: a scope, `mask` in our numbers; a configuration, until INT64_MAX: it was in force. */
void changes_restore_scope(struct fold *fold, uint32_t mask, int64_t since_ms);
void changes_restore_config(struct fold *fold, const char *id, int64_t until_ms);
/* What a row with this start says of it. */
void changes_head(const struct fold *fold, const struct key *key, struct row *head);

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
bool zone_restore(struct fold *fold, struct key *key, struct zones_saved *saved, uint64_t number, int64_t newest_ms);
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

static inline uint32_t *fold_slots(uint32_t count)
{
    uint32_t *slots = fold_must(malloc(count * sizeof *slots));
    memset(slots, 0xff, count * sizeof *slots);
    return slots;
}

#endif
