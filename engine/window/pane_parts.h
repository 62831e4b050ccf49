/* pane_parts: what pane.c, pane_buckets.c, pane_pack.c and pane_state.c share, and nobody else. Runs on: the fold's thread. */
#ifndef ESTEEM_PANE_PARTS_H
#define ESTEEM_PANE_PARTS_H

#include "esteem/pane.h"
#include "esteem/slice.h"
#include "esteem/slots.h"
#include "esteem/track.h"
#include "esteem/varint.h"

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

struct pack_cursor {
    uint32_t offset, key; /* of the next pane; the key of the one before */
};

/* Panes in one block: pane_pack.c. */
struct pack {
    struct pack *next; /* of the same bucket */
    uint8_t *bytes;
    uint32_t length, panes, out, dirty; /* panes that were put; that are out again; that no checkpoint has yet */
    struct pack_mark {
        uint32_t first; /* the key of the next pane */
        struct pack_cursor cursor;
    } *mark; /* now and then one, to begin a search with */
    uint32_t marks;
};

struct packed {
    uint32_t key, offset, length;
    const uint8_t *runs;
    uint8_t *flags;
    bool spans;
};

struct bucket {
    int64_t start_ms;
    uint32_t *pane; /* numbers, in no order */
    uint32_t count, room;
    struct pack *pack; /* the first, or NULL */
};

struct level {
    int64_t width_ms, settled_ms; /* settled_ms: earlier ones are added up */
    int64_t packs_due_ms; /* when to look again what can be packed */
    uint32_t packs;
    struct bucket *bucket; /* by number, in no order */
    uint32_t made, room, *number_free, numbers_free; /* number_free: to be used again */
    struct slots starts;   /* start -> number */
    uint32_t *order, first, count, sorted, order_room; /* numbers from `first` on, `count` of them, of which `sorted` are ascending */
};

/* The bucket at a place in the order. */
static inline struct bucket *bucket_in(const struct level *level, uint32_t place)
{
    return &level->bucket[level->order[level->first + place]];
}

struct pane_name {
    int64_t start_ms;
    uint32_t key;
    uint8_t level;
};

/* Where somebody stands who visits all packed panes. */
struct pack_walk {
    bool running, full; /* full: also those that a checkpoint has */
    int level;
    int64_t start_ms;
    uint32_t number; /* of the block in its bucket */
    struct pack_cursor cursor;
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
    uint64_t packed, packed_bytes; /* panes in blocks */
    struct pack_walk pack_dump, pour;
    uint32_t loaded;
};

enum { PANE_HEAD = 3 * VARINT_MAX };

/* ---- pane.c ---- */

/* Where the window that reaches furthest back begins at now_ms: what is older lies in level `count`. Without windows now_ms. */
int64_t pane_end_ms(const struct pane_ladder *ladder, int64_t now_ms);

/* The number of a pane, made when there is none. */
uint32_t pane_at(struct pane_ladder *ladder, uint32_t key, int level, int64_t start_ms);
/* The same; NONE when there is none. One that is packed is taken out. */
uint32_t pane_find(struct pane_ladder *ladder, uint32_t key, int level, int64_t start_ms);
/* A new one, of a name that there is not. */
uint32_t pane_make(struct pane_ladder *ladder, uint32_t key, int level, int64_t start_ms);
/* Whether spans begin or end in these runs. */
bool pane_has_spans(struct pane_ladder *ladder, const uint8_t *runs, uint32_t length);
/* Takes a pane out of the table; its bucket still names it. */
void pane_drop(struct pane_ladder *ladder, uint32_t p);
/* The same of one that lives on elsewhere, under its name. */
void pane_forget(struct pane_ladder *ladder, uint32_t p);

/* ---- pane_buckets.c ---- */

void buckets_init(struct level *level);
void buckets_close(struct level *level);
/* The one of a start, made when there is none; may move the others. */
struct bucket *bucket_of(struct level *level, int64_t start_ms);
/* Puts the number of a pane into the bucket of its start. */
void bucket_put(struct level *level, int64_t start_ms, uint32_t p);
/* The one that starts then, or NULL. */
struct bucket *bucket_find(const struct level *level, int64_t start_ms);
/* The place of the first that starts then or later; brings them into order. */
uint32_t bucket_from(struct level *level, int64_t start_ms);
/* Takes out the one at place 0, of a level in order. */
void buckets_drop_first(struct level *level);

/* ---- pane_pack.c ---- */

/* Packs what ends at until_ms or earlier, where that pays, at most `most` panes: below 10 ms for PACK_MOST. */
enum { PACK_MOST = 8192 };
void pack_level(struct pane_ladder *ladder, int level, int64_t until_ms, uint32_t most);
/* The next pane behind the cursor that is in the block; false: there are no more. */
bool pack_next(const struct pack *pack, struct pack_cursor *cursor, struct packed *one);
/* Into the table again. NONE: it is not packed. */
uint32_t pack_take_out(struct pane_ladder *ladder, uint32_t key, int level, int64_t start_ms);
/* All of a bucket that goes into another level, or away for good (each is shown once more). */
void pack_move(struct pane_ladder *ladder, int level, int64_t start_ms, int to);
typedef void pack_goes(struct pane_ladder *ladder, const struct packed *one);
void pack_drop(struct pane_ladder *ladder, int level, struct bucket *bucket, pack_goes *goes);
void pack_free_all(struct pane_ladder *ladder, struct level *level, struct bucket *bucket);
/* For the checkpoint that begins; track_begin has been asked. */
void pack_dump_begin(struct pane_ladder *ladder, bool full);
/* Writes on until the slice has so many bytes. True: all is written. */
bool pack_dump_step(struct pane_ladder *ladder, uint64_t until_bytes);
/* The next of all packed panes, of a ladder that is being poured into another; false: there are no more. */
bool pack_pour_next(struct pane_ladder *ladder, struct packed *one, int64_t *start_ms);

/* ---- pane_state.c ---- */

/* The pane is about to change. */
void pane_keep_for_checkpoint(struct pane_ladder *ladder, uint32_t p);
void pane_note_gone(struct pane_ladder *ladder, uint32_t key, int level, int64_t start_ms);
/* Key, level and start; takes PANE_HEAD bytes at most. */
uint8_t *pane_put_name(uint8_t *at, uint32_t key, int level, int64_t start_ms);

#endif
