/* pane_parts: what pane.c and pane_state.c share, and nobody else. Runs on: the fold's thread. */
#ifndef ESTEEM_PANE_PARTS_H
#define ESTEEM_PANE_PARTS_H

#include "esteem/pane.h"
#include "esteem/slice.h"
#include "esteem/slots.h"
#include "esteem/track.h"

#define NONE UINT32_MAX

struct pane {
    int64_t start_ms;
    uint32_t key;
    uint32_t next;  /* in the free list */
    struct tally tally;
    uint8_t level;
    bool used, spans; /* spans: some begin or end in it */
    struct mark mark;
};

struct bucket {
    int64_t start_ms;
    uint32_t *pane; /* numbers, in no order */
    uint32_t count, room;
};

struct level {
    int64_t width_ms, settled_ms; /* settled_ms: earlier ones are added up */
    struct bucket *bucket; /* ascending */
    int count, room;
};

struct pane_name {
    int64_t start_ms;
    uint32_t key;
    uint8_t level;
};

struct pane_ladder {
    int count;
    struct config_rolling rolling[CONFIG_ROLLING_MAX];
    struct pane_edges edges[CONFIG_ROLLING_MAX];
    bool panes, placed; /* placed: the windows have been put somewhere */
    struct level level[CONFIG_ROLLING_MAX + 1]; /* the last but one of those in use: [count - 1]; [count]: one pane a key, of all that is older */
    struct pane *pane;
    uint32_t made, room, free_first;
    uint64_t live;
    struct slots slots; /* (key, level, start) -> pane */
    struct slab slab;
    struct tally_dense dense;
    struct track track;
    struct pane_name *gone; /* dropped since the last checkpoint, for an incremental one */
    uint32_t gone_count, gone_room;
    struct slice_out *out; /* of the running checkpoint */
};

/* ---- pane.c ---- */

/* The number of a pane, made when there is none. */
uint32_t pane_at(struct pane_ladder *ladder, uint32_t key, int level, int64_t start_ms);
/* The same; NONE when there is none. */
uint32_t pane_find(const struct pane_ladder *ladder, uint32_t key, int level, int64_t start_ms);
/* Whether spans begin or end in these runs. */
bool pane_has_spans(struct pane_ladder *ladder, const uint8_t *runs, uint32_t length);
/* Takes a pane out of the table; its bucket still names it. */
void pane_drop(struct pane_ladder *ladder, uint32_t p);

/* ---- pane_state.c ---- */

/* The pane is about to change. */
void pane_keep_for_checkpoint(struct pane_ladder *ladder, uint32_t p);
void pane_note_gone(struct pane_ladder *ladder, uint32_t p);

#endif
