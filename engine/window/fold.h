/* fold: what a fold is made of, for its own files alone (fold_parts.h has what they do for each other). Runs on: the fold's thread.
 *
 *   keys       one entry a scope key: its strings, D[w] of the rolling windows (pane.h), which of its rows wait for what outlet; and one
 *              for each agent within a key, and for bundles of those (agents.c), which have windows like any other, and no rows
 *   calendars  (key, window, start) -> integers, revision; cells of one window and end hang in a bucket, so that the clock and
 *              the watermark visit only the windows whose state they change: future -> running -> ended -> final -> kept -> gone
 *   now        of a key: blocks of gauges of the present (now.h), in cells like those of calendar windows, in no bucket (now.c)
 *   kin        a key without a channel, and those of its channels: what is compared across rows (across.c)
 *   queues     an outlet and window: what has changed, oldest first; keys of scopes that have few have a line of their own (outlets.c) */
#ifndef ESTEEM_FOLD_H
#define ESTEEM_FOLD_H

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

/* ---- keys ---- */

/* What distinct agents are counted by: agents.c has the measures. */
enum distinct { DISTINCT_active, DISTINCT_handling, DISTINCT_COUNT };

/* The calendar windows that held a key's last contribution, so that the next one need not look them up. */
struct recent {
    uint64_t serial; /* of the configuration that they are of */
    int64_t start_ms, end_ms; /* what all of them hold; empty: they are not known */
    uint32_t cell[CALENDAR_COUNT];
};

/* A scope key; or an agent within one, or a bundle of those (agents.c), which have windows like any other key, and no rows. */
struct key {
    uint64_t hash;
    char *text; /* one block: tenant, scope text, values */
    const char *tenant, *scope;
    const char *value[DIMENSION_MAX];
    uint32_t mask;        /* a bit for each dimension */
    uint32_t scope_index; /* into fold.scope_keys */
    uint16_t zone;        /* of its tenant: into fold.zone */
    uint8_t count, dimension[DIMENSION_MAX];
    struct recent recent;

    /* an agent's, or a bundle's */
    uint32_t within;                 /* the key that the agent is counted in (a bundle: its first part); a scope key: NONE */
    uint32_t parts, *part;           /* a bundle: agents' keys, each of which has what the bundle has; else none */
    int64_t (*held)[DISTINCT_COUNT]; /* what each rolling window holds, in place of `difference`; a scope key: NULL */

    /* a scope key's: where it belongs, and what its rows say besides what windows hold */
    uint32_t kin, sibling;          /* its family; the next channel in it, or NONE */
    uint32_t last[CALENDAR_COUNT];  /* of each calendar window the newest cell that has ended, or NONE */
    uint32_t alert, baseline;       /* the first of its alerts, its period's cell; or NONE */
    double *baseline_value;         /* of config.baseline's metrics; NULL: to be worked out */
    int64_t headcount_ms;           /* eligible agents have changed from this time on; INT64_MAX: they have not */
    struct tally before;            /* spans open at each rolling window's left edge: id window * SPAN_COUNT + span */
    uint16_t moving;                /* bit: rolling window whose row is another with each slide, because a span is open */
    uint16_t recalled;              /* bit: rolling window of which a sink held a row before this life had told one */
    uint8_t shown, shown_last;      /* bit: calendar window that Redis showed as running, or as the last one, before this life */
    bool hidden : 1;                /* its scope is configured no more: it makes no rows */
    bool went : 1;                  /* rows had been told of a rolling window that went with a reload */
    bool restate : 1;               /* its baseline has changed: all rows are to be shown anew */

    /* a scope key's: its row of now */
    uint32_t now;                               /* its first block, or NONE; ascending */
    uint8_t now_waits, now_published, now_told; /* as below */
    bool now_ticks;                             /* the row is another with each second */
    int64_t now_due_ms;                         /* by the clock: the row is to be told again; 0: not before it changes */

    /* a scope key's: its rolling windows */
    uint8_t waits[CONFIG_ROLLING_MAX];     /* bit: outlet whose queue holds this window */
    uint8_t published[CONFIG_ROLLING_MAX]; /* bit: the last row that the outlet has had was not empty */
    uint8_t told[CONFIG_ROLLING_MAX];      /* bit: the outlet may hold a row that is not empty, if it has lost the last one */
    struct tally difference[];             /* D[w] (pane.h); rolling_count of them */
};
_Static_assert(sizeof(struct key) == 416, "there are limits.keys of them, and agents' besides");

static inline bool key_is_agent(const struct key *key)
{
    return key->within != NONE;
}

/* A family of keys that differ in the channel alone: across.c. */
struct kin {
    uint32_t parent, child; /* the key without a channel; the first of its channels' keys; NONE: there is none (yet) */
};

/* How many keys a scope has. */
struct scope_keys {
    uint32_t mask, keys;
};

/* A tenant's. */
struct zone {
    char *name; /* its own copy */
    struct calendar *calendar;
    int64_t baseline_from_ms, baseline_to_ms; /* both INT64_MIN: there is none */
    uint32_t moved;   /* bit: a calendar window that lay elsewhere before a restart brought the zone, ... */
    int64_t since_ms; /* ... of which those that begin earlier are not whole */
};

enum { ZONES_MAX = UINT16_MAX };

/* As a checkpoint has them. */
struct zone_saved {
    char name[256];
    int64_t since_ms;
    uint32_t moved, moves; /* moves: to the one below */
    bool baseline_moves; /* the baseline's days are others in that one */
    struct calendar *calendar, *moves_to;
};
struct zones_saved {
    struct zone_saved *zone;
    uint32_t zones;
};

/* ---- cells: calendar windows ---- */

/* Of a cell, none of which has a row of its own: a sheet of hours (kept.c); and in no bucket: the baseline's period, a block of now.h. */
enum { WINDOW_KEPT = CALENDAR_COUNT, WINDOW_BASELINE, WINDOW_NOW, WINDOWS, WINDOWS_IN_BUCKETS = WINDOW_KEPT + 1 };

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

/* Cells of one window that begin and end together. */
struct bucket {
    int64_t start_ms, end_ms;
    uint32_t first;
    enum phase phase;
};

/* One that is gone, for an incremental checkpoint. */
struct cell_name {
    int64_t start_ms;
    uint32_t key;
    uint8_t window;
};

/* ---- alerts ---- */

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

/* ---- queues: what an outlet has to be told (outlets.c) ---- */

enum { OUTLETS_ALL = OUTLET_MAX + 1 }; /* behind those of the setup one that judges goals: alerts.c */
enum { QUEUE_NOW = CONFIG_ROLLING_MAX + CALENDAR_COUNT, QUEUE_URGENT, QUEUES };

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

/* ---- shards' time ---- */

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

/* ---- a restart, a reload ---- */

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

/* ---- what is at hand ---- */

/* Contributions of a batch that go into the same windows of one key, to be added up first: window.c. */
struct group {
    uint32_t key, windows, cells; /* windows: bits, of the rolling ones */
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

/* ---- the fold ---- */

struct fold {
    const struct config *config;
    struct fold_setup setup;
    struct slab slab;
    struct tally_dense dense;
    struct fold_counts counts;
    bool inexact, finished;

    /* time */
    struct shard_clock *shard;
    int64_t clock_ms;     /* of the last step */
    int64_t now_ms;       /* where rolling windows stand */
    int64_t watermark_ms; /* for finality */

    /* keys */
    struct key **key;
    uint32_t keys, key_room, *key_slot, key_slots, agent_keys; /* agent_keys: of which are an agent's within another */
    struct zone *zone;
    int zones;
    struct scope_keys *scope_keys; /* of every scope that has a key */
    uint32_t scopes;
    struct headcount *head;
    struct kin *kin;
    uint32_t kins, kin_room, *kin_slot, kin_slots;
    struct row_view *view; /* where a row that is compared is opened */

    /* rolling windows */
    int rolling_count;
    struct pane_ladder *ladder;
    struct group rolling;       /* of the batch at hand */
    struct crossings crossings; /* of the step at hand */
    struct {
        uint32_t *key, count, room;
    } moving[CONFIG_ROLLING_MAX]; /* keys with that bit */

    /* calendar windows */
    struct cell *cell;
    uint32_t cells_made, cell_room, cell_free;
    struct slots cell_slots;
    uint64_t cells;
    int64_t newest_start_ms; /* of all cells that ever were */
    struct bucket *bucket[WINDOWS_IN_BUCKETS];
    int buckets[WINDOWS_IN_BUCKETS], bucket_room[WINDOWS_IN_BUCKETS];
    struct slots bucket_slots; /* (window, start, end) -> a number in that window's */
    struct group calendar;     /* of the batch at hand */

    /* now: now.c */
    struct {
        uint32_t *key, count, room; /* keys that tick */
        int64_t at_ms, swept_ms;    /* the second that was told last; by the clock, when a sweep began */
        uint32_t swept;             /* the next key */
        uint64_t cells;
    } now;

    /* the baseline: baseline.c */
    bool baseline_lost;  /* what was read before this configuration is not in it: rows go without */
    uint32_t restating;  /* keys to be shown anew */
    int64_t restated_ms; /* by the clock */

    /* rows: outlets.c, alerts.c */
    int outlets; /* the setup's, and the one that judges goals; 0 in a batch */
    struct queue queue[OUTLETS_ALL][QUEUES];
    int next_queue[OUTLETS_ALL]; /* that the outlet is served from first */
    uint64_t generation[OUTLET_MAX];
    int64_t budget_ms; /* when the row budgets were last filled */
    int64_t budget[OUTLETS_ALL];
    struct alert *alert;
    uint32_t alerts, alert_room, alert_free;

    /* checkpoints: fold_state.c */
    struct track track; /* of cells */
    struct cell_name *gone;
    uint32_t gone_count, gone_room;
    uint32_t keys_saved, keys_due; /* keys that the files of the chain have; keys there were when the running checkpoint began */
    bool dumping;
    struct slice_out *out;

    /* a restart, a reload */
    bool bundles_differ; /* while it is loaded: there are other folds, or fewer scopes, than when its bundles were saved */
    bool restored; /* what was published before this process began may still stand in the sinks */
    struct recall_held recalls;
    struct changes changes;
    struct rewindow rewindow;
    int64_t calendar_from_ms[CALENDAR_COUNT]; /* earlier windows are not kept, as they came with a reload; INT64_MIN: all are */
    int64_t corrected_from_ms; /* windows that end earlier were let go by an earlier life, which may have corrected for less long */
};

#endif
