/* slice: one agent's part of the state on its way into a checkpoint, or out of one: items of (kind, bytes) in blocks. The agent
 * writes at its own pace while it works on; what it has to write early, because it is about to change, goes to the late
 * chain, which follows the main one, so that strings and keys always come before what refers to them.
 *
 *   block: { u8 kind, u32 length (little endian), bytes } ...     the last item of a slice is SLICE_END with the number of items
 *
 * Runs on: the thread that owns it; blocks are handed on whole. Bounded by whoever writes, for the main chain; the late one holds
 * what changed while a disk was slow, at most an eighth of limits.memory over all agents (SLICE_LATE_LEAST each at least). Beyond that the slice is broken: what it
 * holds is dropped, its last block says so, and the checkpoint is given up. */
#ifndef ESTEEM_SLICE_H
#define ESTEEM_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Part of the files' format: a number is never used again for something else. */
enum slice_kind {
    SLICE_END = 0,
    SLICE_NAMES = 1,       /* a table's names, in the order of their numbers: what is numbered may move from version to version */
    SLICE_SHARD = 2,       /* clocks of a shard */
    SLICE_INPUT = 3,       /* a partition: where to read on, its newest event time */
    SLICE_STRING = 4,      /* the next interned string; numbers run on from file to file of a chain */
    SLICE_ROSTER = 5,      /* the next roster entry */
    SLICE_EPOCH = 6,       /* settings under which records were derived */
    SLICE_RECORD = 7,      /* an interaction: replaces what was there */
    SLICE_RECORD_GONE = 8,
    SLICE_FOLD = 9,        /* clocks of a fold; the newest event time */
    SLICE_ROLLING = 10,    /* a rolling window, by length; since when it is whole */
    SLICE_KEY = 11,        /* the next scope key */
    SLICE_PANE = 12,
    SLICE_PANE_GONE = 13,
    SLICE_CELL = 14,       /* a calendar window */
    SLICE_CELL_GONE = 15,
    SLICE_ALERT = 16,      /* of a goal and a key; each file of a chain has all there are */
    SLICE_LIST = 20,       /* a list of scopes that entries of books were told under */
    SLICE_BOOK_PAGE = 21,  /* entries of a person: replaces what was there */
    SLICE_BOOK_GONE = 22,
    SLICE_ROSTER_FILE = 23, /* the next roster entry, of roster.file: put in, or taken back */
    SLICE_CALENDAR = 24,   /* a calendar window that is kept, and from when on; the newest event time */
    SLICE_SCOPE = 25,      /* a scope that is configured, and since when its rows are whole */
    SLICE_CONFIG = 26,     /* id of a configuration, and until when it counted */
    SLICE_BUNDLE = 27,     /* the next scope key is a bundle: the numbers of its parts */
    SLICE_KINDS
};

enum { SLICE_BLOCK = 256 << 10, SLICE_ITEM_HEAD = 5, SLICE_LATE_SHARE = 8 /* an eighth */, SLICE_LATE_MOST = 256 << 20 /* without limits.memory */,
       SLICE_LATE_LEAST = 1 << 20 };

struct slice_block {
    struct slice_block *next;
    uint32_t length, room;
    bool last;      /* nothing of this slice follows */
    bool full;      /* of the last one: the slice does not build upon an older one */
    bool broken;    /* of the last one: the slice is not whole */
    uint8_t bytes[];
};

struct slice_chain {
    struct slice_block *first, *last;
    uint32_t blocks;
};

struct slice_out {
    struct slice_chain main, late;
    uint64_t items, bytes;
    uint64_t late_bytes, late_most; /* memory that the late chain takes, and may take */
    bool full, ended, broken;
};

/* `late_most`: of slice_late_most. */
void slice_begin(struct slice_out *out, bool full, uint64_t late_most);
/* Memory of each agent's late chain, bytes. limit_memory 0: there is no such limit. */
uint64_t slice_late_most(int64_t limit_memory, int agents);
/* Whether the late chain takes more; if not, the slice is broken from now on, and holds nothing. Before slice_put_late. */
bool slice_late_open(struct slice_out *out);
/* Room for an item of at most `most` bytes; slice_put_end says where it ended. */
uint8_t *slice_put(struct slice_out *out, enum slice_kind kind, size_t most);
uint8_t *slice_put_late(struct slice_out *out, enum slice_kind kind, size_t most);
void slice_put_end(struct slice_out *out, uint8_t *end);
void slice_put_end_late(struct slice_out *out, uint8_t *end);
/* All is written, or it is broken. */
void slice_finish(struct slice_out *out);
/* Whether there is a block to be handed on; slice_take then takes it. */
bool slice_ready(const struct slice_out *out);
struct slice_block *slice_take(struct slice_out *out);
void slice_block_free(struct slice_block *block);
void slice_drop(struct slice_out *out);

/* Fields of an item. */
uint8_t *slice_text(uint8_t *at, const char *text, size_t length); /* takes length + 11 bytes */
uint8_t *slice_u64(uint8_t *at, uint64_t value);

/* A table's names, in the order of their numbers. */
void slice_put_names(struct slice_out *out, const char *table, const char *const *name, uint32_t count);

/* ---- reading ---- */

struct slice_item {
    enum slice_kind kind;
    const uint8_t *at, *end; /* what is left of it */
    bool bad;                /* it was shorter than it should be */
};

/* The next item of a block's bytes; false at its end, or with item->bad set when it is not well-formed. */
bool slice_next(const uint8_t **at, const uint8_t *end, struct slice_item *item);
uint64_t slice_get(struct slice_item *item);        /* varint */
int64_t slice_get_signed(struct slice_item *item);  /* zigzag varint */
uint64_t slice_get_u64(struct slice_item *item);
/* Ended by a zero byte behind `length`; "" when it is bad. */
const char *slice_get_text(struct slice_item *item, uint32_t *length);
/* Names lie in the item. False when it is not well-formed. */
enum { SLICE_NAMES_MAX = 512 };
struct slice_names {
    const char *table, *name[SLICE_NAMES_MAX];
    uint32_t count;
};
bool slice_get_names(struct slice_item *item, struct slice_names *names);
/* All that is left. */
const uint8_t *slice_get_rest(struct slice_item *item, uint32_t *length);

#endif
