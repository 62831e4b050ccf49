/* fold_parts: what the files of a fold share, and nobody else. All of it belongs to the fold's thread.
 *
 *   keys       one entry a scope key: its strings, D[w] of the rolling windows (pane.h), which of its rows wait for what outlet; and one
 *              for each agent within a key (agents.c), which has windows like any other, and no rows
 *   calendars  (key, window, start) -> integers, revision; cells of one window and end hang in a bucket, so that the clock and
 *              the watermark visit only the windows whose state they change: future -> running -> ended -> final -> gone
 *   queues     an outlet and window: what has changed, oldest first */
#ifndef ESTEEM_FOLD_PARTS_H
#define ESTEEM_FOLD_PARTS_H

#include <stdlib.h>
#include <string.h>

#include "esteem/calendar.h"
#include "esteem/err.h"
#include "esteem/pane.h"
#include "esteem/slice.h"
#include "esteem/track.h"
#include "esteem/window.h"

#define NONE UINT32_MAX
enum { QUEUE_URGENT = CONFIG_ROLLING_MAX + CALENDAR_COUNT, QUEUES };

/* What distinct agents are counted by: agents.c has the measures. */
enum distinct { DISTINCT_active, DISTINCT_handling, DISTINCT_COUNT };

struct key {
    uint64_t hash;
    char *text; /* one block: tenant, scope text, values */
    const char *tenant, *scope;
    const char *value[DIMENSION_MAX];
    uint32_t mask;
    uint32_t last[CALENDAR_COUNT]; /* the newest cell that has ended */
    uint8_t count, dimension[DIMENSION_MAX];
    uint8_t zone;
    uint32_t within;                       /* an agent's key: the key that it lies within; NONE: it is none */
    int64_t headcount_ms;                  /* eligible agents have changed from this time on; INT64_MAX: they have not */
    int64_t (*held)[DISTINCT_COUNT];       /* an agent's key, instead of D[w]: what each rolling window holds of it */
    uint8_t waits[CONFIG_ROLLING_MAX];     /* bit: outlet whose queue holds this window */
    uint8_t published[CONFIG_ROLLING_MAX]; /* bit: outlet that has had a row that was not empty */
    struct tally difference[];             /* D[w]; rolling_count of them */
};

static inline bool key_is_agent(const struct key *key)
{
    return key->within != NONE;
}

enum phase { PHASE_FUTURE, PHASE_RUNNING, PHASE_ENDED, PHASE_FINAL };

struct cell {
    int64_t start_ms, end_ms;
    uint64_t final_hash; /* of the integers in the last final row */
    uint32_t key, next;  /* next in its bucket, or in the free list */
    uint32_t revision;
    struct tally tally;
    uint8_t window, waits, urgent, published; /* bits: outlets */
    bool final, changed, used;
    struct mark mark;
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

struct queue {
    uint32_t *item; /* a ring: key for a rolling window, cell for a calendar one */
    uint32_t first, count, room;
    int64_t due_ms; /* by the clock */
};

struct shard_clock {
    int64_t watermark_ms, newest_ms;
    bool idle, heard;
    uint32_t *key; /* the shard's key number -> ours */
    uint32_t keys;
};

struct zone {
    const char *name;
    struct calendar *calendar;
};

enum { ZONES_MAX = 250 };

struct group {
    uint32_t key, windows, cells;
    int64_t at_ms, start_ms, end_ms;
    uint8_t *bytes;
    uint32_t length, room;
};

struct fold {
    const struct config *config;
    struct fold_setup setup;
    int rolling_count;
    struct pane_ladder *ladder;
    struct headcount *head;
    struct shard_clock *shard;
    struct zone zone[ZONES_MAX];
    int zones;
    struct key **key;
    uint32_t keys, key_room, *key_slot, key_slots, agent_keys; /* agent_keys: of which are an agent's within another */
    struct cell *cell;
    uint32_t cells_made, cell_room, cell_free, *cell_slot, cell_slots;
    uint64_t cells;
    struct bucket *bucket[CALENDAR_COUNT];
    int buckets[CALENDAR_COUNT], bucket_room[CALENDAR_COUNT];
    struct group rolling, calendar; /* of the batch at hand */
    struct queue queue[OUTLET_MAX][QUEUES];
    uint64_t generation[OUTLET_MAX];
    int64_t budget_ms; /* when the row budgets were last filled */
    int64_t budget[OUTLET_MAX];
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
    bool restored; /* what was published before this process began may still stand in the sinks */
};

/* ---- window.c ---- */

void fold_advance(struct fold *fold); /* the rolling windows move to now_ms */

/* ---- keys.c ---- */

uint32_t fold_key(struct fold *fold, const struct scope_key *text); /* makes it when it is new */
uint32_t fold_key_find(const struct fold *fold, const struct scope_key *text); /* NONE: there is none */
/* A rolling window of it holds nothing: it is to be filled anew. */
void key_empty(struct fold *fold, struct key *key, int window);
void keys_close(struct fold *fold);

/* ---- agents.c: distinct agents ---- */

/* Adds runs to an agent's key, as at an instant: tells the key that it lies within. */
void agents_add(struct fold *fold, uint32_t k, int64_t at_ms, const uint8_t *runs, uint32_t length);
/* A pane comes into (sign 1), or leaves, the rolling windows that `windows` has a bit for: the same. */
void agents_rolling(struct fold *fold, uint32_t k, uint32_t windows, const struct tally *pane, int sign);

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

/* The cell of a window that begins at start_ms, made when it is new; NONE when it is beyond correction. */
uint32_t cells_find(struct fold *fold, uint32_t key, int window, int64_t start_ms, int64_t end_ms);
/* The cell, or NONE; takes one out. */
uint32_t cells_at(const struct fold *fold, uint32_t key, int window, int64_t start_ms);
void cells_forget(struct fold *fold, uint32_t c);
/* A cell that is not there yet. */
uint32_t cell_new(struct fold *fold, uint32_t key, int window, int64_t start_ms, int64_t end_ms);
/* Adds runs to a cell, to be told by its row. */
void cell_add(struct fold *fold, uint32_t c, const uint8_t *runs, uint32_t length);
/* Its row says something else now. */
void cell_changed(struct fold *fold, uint32_t c);
/* Brings every cell into the phase that the clock and the watermark say. Returns cells moved. */
int cells_advance(struct fold *fold);
void cells_close(struct fold *fold);

/* ---- fold_state.c ---- */

/* The cell is about to change. */
void cell_keep_for_checkpoint(struct fold *fold, uint32_t c);
void cell_note_gone(struct fold *fold, uint32_t c);

/* ---- outlets.c: what has changed, and the rows that tell it ---- */

void outlets_rolling_changed(struct fold *fold, uint32_t key, int window);
void outlets_calendar_changed(struct fold *fold, uint32_t cell, bool urgent);
/* The cell goes; no queue may hold it then. */
void outlets_forget_cell(struct fold *fold, uint32_t c);
/* Everything goes to this outlet once more. */
void outlets_again(struct fold *fold, int outlet);
/* Hands out what is due; returns rows. */
uint64_t outlets_publish(struct fold *fold, int64_t clock_ms);
void outlets_close(struct fold *fold);
struct row *fold_rolling_row(struct fold *fold, uint32_t key, int window, bool *empty);
struct row *fold_calendar_row(struct fold *fold, uint32_t cell);

/* ---- what all use ---- */

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
