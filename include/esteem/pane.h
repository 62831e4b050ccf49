/* pane: the contributions behind the rolling windows, each in exactly one pane, finer while young and coarser with age: a pane is
 * as wide as the windows that it has still to leave allow (1 s until it has left the one-minute window, 1 h in the last month's
 * part). Panes of one start hang in one list, so that a window's edge, when it moves, visits just the panes that it crosses.
 *
 * Instead of a sum for each window, a key has the differences D[w] = S[w] - S[w-1] of neighbouring windows' sums (S[w], by length):
 * a contribution, and a pane that crosses an edge, touch one or two of them however many windows there are.
 *
 * Of what is older than all windows one thing counts still: how many spans are open. That is kept in one pane a key, at a level beyond the last.
 * Private to a fold; bounded by the keys that have figures, times the panes of the longest window. */
#ifndef ESTEEM_PANE_H
#define ESTEEM_PANE_H

#include <stdbool.h>
#include <stdint.h>

#include "esteem/config.h"
#include "esteem/slice.h"
#include "esteem/tally.h"

struct pane_ladder;

/* Where a window stands: it holds [left_ms, right_ms). */
struct pane_edges {
    int64_t left_ms, right_ms;
};

/* A pane that has crossed edges. */
struct pane_cross {
    const struct tally *tally; /* what is in the pane */
    uint32_t key;
    uint32_t was, in; /* a bit for each window that held the pane; for each that holds it now */
    uint32_t before;  /* a bit for each window that the pane lies before now and did not, where spans begin or end in the pane (span.h); else 0 */
    uint32_t soon;    /* a key of which a pane will cross soon; any key, where none will */
};
typedef void pane_crosses(void *context, const struct pane_cross *cross);

/* `panes` false: the windows never move (a batch at one instant), so nothing is kept. */
struct pane_ladder *pane_ladder_new(const struct config_rolling *rolling, int count, bool panes);
void pane_ladder_free(struct pane_ladder *ladder);

const struct pane_edges *pane_edges(const struct pane_ladder *ladder, int window);
/* Sets the windows of an unmoving ladder to end at one instant. */
void pane_ladder_fix(struct pane_ladder *ladder, int64_t at_ms);

/* Keeps a contribution of `key` that begins at at_ms. Returns a bit for each window that holds the contribution; *before: a bit for each window that
 * begins after it. */
uint32_t pane_put(struct pane_ladder *ladder, uint32_t key, int64_t at_ms, bool spans, const uint8_t *runs, uint32_t length, uint32_t *before);

/* pane_put will be called soon. */
void pane_prefetch(const struct pane_ladder *ladder, uint32_t key, int64_t at_ms);

/* Moves all windows to the present: each then ends with the one of its slides that holds now_ms. They never move back. The first time, when they
 * stand nowhere yet, all panes come into the windows that hold them. */
void pane_advance(struct pane_ladder *ladder, int64_t now_ms, pane_crosses *crosses, void *context);

/* After pane_advance: panes that have left windows go on into wider panes. Until then a pane that has crossed lies where it did. */
void pane_age(struct pane_ladder *ladder);

/* Goes on with what pane_age had no time for, a bounded step: old panes are added up and packed. */
void pane_tend(struct pane_ladder *ladder);

/* ---- checkpoints (pane_state.c) ---- */

/* Begins to write the panes as they are now: all, or those that have changed or gone since the last begin. Of those that are gone only such of keys
 * below `keys`, as no file has panes of younger keys. Returns whether all are written. */
bool pane_dump_begin(struct pane_ladder *ladder, bool full, uint32_t keys, struct slice_out *out);
/* Writes on, about `bytes` of them. True: all is written. */
bool pane_dump_step(struct pane_ladder *ladder, uint32_t bytes);
/* The slice is broken: the next one is full. */
void pane_dump_give_up(struct pane_ladder *ladder);
/* Whether an incremental one is possible. */
bool pane_dump_can_add(const struct pane_ladder *ladder);

struct pane_saved {
    uint32_t key;
    int level;
    int64_t start_ms;
    const uint8_t *runs; /* NULL: gone */
    uint32_t length;
};
/* False when the item is not well-formed. */
bool pane_saved_read(struct slice_item *item, struct pane_saved *saved);
/* Puts a pane, in place of one of the same key, level and start. Before the first pane_advance, which then fills the windows. */
void pane_load(struct pane_ladder *ladder, const struct pane_saved *saved);
/* Puts all panes of `from`, a ladder of other windows that stands at now_ms, into one that has not moved yet. A pane that an edge would cut counts
 * where it begins. A span that began before all windows of `from` begins where the longest of them does; where `from` has no windows, at now_ms,
 * which then is when the new windows are whole. */
void pane_pour(struct pane_ladder *ladder, struct pane_ladder *from, int64_t now_ms);
/* The same for at most `most` panes, from number *next on (first 0), into a ladder that stands where it will stay: each pane comes into the windows
 * that hold it. True: there may be more. */
bool pane_pour_some(struct pane_ladder *ladder, struct pane_ladder *from, int64_t now_ms, uint32_t *next, uint32_t most, pane_crosses *crosses, void *context);
/* Puts all panes of `from`, a ladder of the same windows, under other keys into one that has not moved yet. Panes stay at their level. `parts_of`:
 * the keys to which a key's panes go; returns how many keys. */
typedef uint32_t pane_parts_of(void *context, const uint32_t *key, const uint32_t **part);
void pane_deal(struct pane_ladder *ladder, struct pane_ladder *from, pane_parts_of *parts_of, void *context);
/* From when on a window of this length and slide could be made of the panes without cutting one. The ladder's windows stand at now_ms (INT64_MIN:
 * nowhere yet), and window w is whole since since_ms[w]. INT64_MAX: never of the panes that are there. */
int64_t pane_exact_from(const struct pane_ladder *ladder, const int64_t *since_ms, const struct config_rolling *rolling, int64_t now_ms);

/* The windows stand nowhere again, until the next pane_advance, which may then be to an earlier time. */
void pane_lift(struct pane_ladder *ladder);

struct pane_counts {
    uint64_t panes, packed; /* packed: of them those in blocks (pane_pack.c) */
    uint64_t bytes, slack_bytes; /* slack: taken from the system, free */
};
struct pane_counts pane_counts(const struct pane_ladder *ladder);

#endif
