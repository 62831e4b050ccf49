/* window: a fold: the one owner of a share of the scope keys and of all their windows. It takes batches from every shard, keeps
 * rolling windows (pane.h) and calendar windows, and hands rows to its outlets when they have changed and their pace
 * allows. Nobody else reads a window: a row is a copy (row.h). Runs on: the fold's thread. */
#ifndef ESTEEM_WINDOW_H
#define ESTEEM_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#include "esteem/batch.h"
#include "esteem/config.h"
#include "esteem/row.h"
#include "esteem/slice.h"

struct fold;
struct recalled; /* recall.h */

/* Where rows go: a ring to a publisher. */
enum { OUTLET_MAX = 2, FOLD_MAX = 16 };
struct outlet {
    void *context;
    bool (*put)(void *context, struct row *row);   /* takes the row; false: no room, the row stays the caller's */
    uint64_t (*generation)(void *context);         /* when it changes, everything is sent again */
    bool now;             /* takes rows of what is now as well */
    bool by_topics_every; /* rolling rows not more often than topics.every; else by the window's own pace */
};

struct fold_setup {
    int shards;        /* how many batches' clocks make the watermark */
    int folds;         /* that share publish.rows_per_second */
    bool batch;        /* the batch command: windows never move, nothing expires */
    int64_t at_ms;     /* batch: where rolling windows end; INT64_MIN: no rolling windows */
    int64_t pane_ms, pane_from_ms; /* of the panes in batches */
    const _Atomic int *memory; /* enum memory_state; NULL: there is enough */
    struct key_registry *registry; /* asked for keys that only a sink knows; NULL: no limit */
    int outlets;
    struct outlet outlet[OUTLET_MAX];
};

/* `config` is borrowed until the next fold_reload. ERR_CONFIG when a zone cannot be read. */
int fold_new(const struct config *config, const struct fold_setup *setup, struct fold **fold);
void fold_free(struct fold *fold);
/* Begins to work under another configuration. Nothing else may be asked of the fold before fold_reload_step has returned false; where the windows
 * differ, also not while it dumps. */
void fold_reload(struct fold *fold, const struct config *config);
/* Works on it, a bounded step. True: there is more to do. */
bool fold_reload_step(struct fold *fold);
bool fold_windows_differ(const struct config *old, const struct config *next);

/* Adds a batch's integers; the batch stays the caller's. What it says of its shard's time waits for fold_hear. */
void fold_apply(struct fold *fold, struct batch *batch);
/* A round is over: from each ring all was taken that lay in it when the round began. A shard's watermark says that what it has handed to other
 * shards lies in their rings: so it is acted on when one more round than that in which it came is over; or at once with `all`, when a whole
 * round has found nothing. */
void fold_hear(struct fold *fold, bool all);

/* Moves time (clock_ms is the wall clock) and publishes what is due. Returns rows handed out and windows moved. */
int fold_step(struct fold *fold, int64_t clock_ms);

/* Where the rolling windows stand; it falls only when the clock is set back by more than a minute. INT64_MIN: nowhere yet. */
int64_t fold_now_ms(const struct fold *fold);

/* Everything that is not out yet, regardless of pace; with `all`, every row again, so that all rolling rows end at one instant.
 * Returns rows that found no room: call again until 0. */
uint64_t fold_flush(struct fold *fold, bool all);

/* The feed is over: calendar windows are final. */
void fold_finish(struct fold *fold);

/* Batch: hands every row that has a figure to `each`, which takes it. */
typedef void fold_each(void *context, struct row *row);
void fold_rows(struct fold *fold, fold_each *each, void *context);

/* Hands each row that a key has now to `each`, which takes it: of its rolling windows and its calendar windows, none when there is no such key. */
void fold_key_rows(struct fold *fold, const char *tenant, const char *scope, fold_each *each, void *context);

/* ---- checkpoints (fold_state.c) ---- */

/* Begins to write the fold as it is now into `out`: all, or what has changed since the last begin. */
void fold_dump_begin(struct fold *fold, bool full, struct slice_out *out);
bool fold_is_dumping(const struct fold *fold);
/* Writes on, about `bytes`; finishes `out` when all is written. Returns work done. */
int fold_dump_step(struct fold *fold, uint32_t bytes);

/* One fold's slice on its way into all folds, which may be more or fewer now: its items in order, file by file. Before the first batch. */
struct fold_load;
struct fold_load *fold_load_new(struct fold **folds, int count, struct key_registry *registry);
/* False when the item is not well-formed. */
bool fold_load_item(struct fold_load *load, struct slice_item *item);
/* The measures that the one who wrote it knew: a bit each. */
void fold_load_known(const struct fold_load *load, uint64_t known[4]);
/* Frees it. */
void fold_load_end(struct fold_load *load);
/* After the last slice: the windows stand where they stood, and everything goes out once more. */
void fold_restored(struct fold *fold);

/* ---- rows that a sink holds (recall.c) ---- */

/* Takes a name of one. */
void fold_recall(struct fold *fold, struct recalled *row);
/* All names are there: once caught up, what the fold has not of them is made, some at a time. Returns work done. */
int fold_recall_step(struct fold *fold);
/* All were made; names that come later are dropped. */
bool fold_recalled(const struct fold *fold);

struct fold_counts {
    uint64_t keys, agent_keys, panes, packed_panes, calendar_windows, rows, beyond_correction, saturated;
    uint64_t bytes; /* without the indexes of panes and calendar windows */
    /* agent_keys: what distinct agents are counted by, an agent within a key; not among `keys` */
    uint64_t untold;      /* calendar windows that were let go before every outlet had them, for want of memory */
    uint64_t recall_emptied, recall_refused; /* rows that a sink held and the feed does not make: emptied; left for want of a key */
    uint64_t slack_bytes; /* taken from the system, free */
    int64_t watermark_ms;
};
struct fold_counts fold_counts(const struct fold *fold);

#endif
