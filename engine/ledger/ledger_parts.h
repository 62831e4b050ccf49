/* ledger_parts: what ledger.c, ledger_store.c and ledger_state.c share, and nobody else. Runs on: the shard's thread. */
#ifndef ESTEEM_LEDGER_PARTS_H
#define ESTEEM_LEDGER_PARTS_H

#include "esteem/ledger.h"
#include "esteem/slab.h"
#include "esteem/track.h"

enum {
    PAGE_RECORDS = 4096, INDEX_FIRST = 8192, LISTS = 1024, EPOCHS_MAX = LEDGER_EPOCHS,
    FLAG_TOUCHED = 1, FLAG_ALONE = 2, FLAG_USED = 4, FLAG_STALE = 8 /* restored: derived as its old shard knew the roster */,
    FLAG_NOW = 16 /* it has told what it is now: to be taken back when it is forgotten */,
};
#define NONE UINT32_MAX

struct interaction {
    struct ledger_key key;
    int64_t last_ms;          /* time of its latest fact */
    uint8_t *log;             /* packed facts, in order of arrival */
    uint32_t length;          /* bytes of facts; the windows know them all, but for those of touched records */
    uint32_t roster_sequence; /* under which it was last derived */
    uint32_t tenant;
    uint32_t before, after;   /* in its eviction list */
    uint32_t room;            /* bytes of the log's block */
    uint8_t epoch;            /* under which it was last derived */
    uint8_t flags;
    struct mark mark;
    uint16_t home;            /* the partition that all its events come from; LEDGER_HOME_HASH: it is owned by hash */
};
_Static_assert(sizeof(struct interaction) <= 64, "a record stays within one cache line");

struct ledger {
    struct ledger_bounds bounds;
    struct roster *roster;
    struct slab slab;
    uint32_t *index;
    uint32_t index_slots;
    struct interaction **page;
    uint32_t pages, made, free_first; /* free records are chained by `after` */
    uint64_t records;
    uint32_t list[LISTS];  /* heads, by last_ms / list_ms */
    int64_t list_ms, swept[2]; /* the ring has been swept up to this list number: for interactions, for events alone */
    struct touched {
        uint32_t record, sent; /* up to `sent` bytes of its facts the windows know */
    } *touched;
    uint32_t touched_count, touched_room;
    struct epoch epoch[EPOCHS_MAX];
    uint64_t epoch_users[EPOCHS_MAX];
    struct epoch epoch_next; /* waits for a slot until the next flush */
    bool epoch_waits, pressed;
    uint32_t allowed; /* new records while pressed, for those that were retired */
    uint8_t epoch_now;
    struct fact *fact; /* scratch */
    uint32_t fact_room;
    struct derivation before, after;
    struct ledger_counts counts;

    /* the search for records that a change of the roster concerns */
    uint32_t search_sequence;       /* of the roster, when it began */
    uint32_t search_next, search_left; /* record to look at; how many to go */
    bool upgraded;                     /* restored records lack measures: the first search looks at all */

    struct track track;
    struct ledger_key *gone; /* forgotten since the last checkpoint, for an incremental one */
    uint32_t gone_count, gone_room;
    struct slice_out *out;  /* of the running checkpoint */
    uint32_t dump_sequence; /* of the roster when it began: its slice has no younger changes */
    bool relaxed;           /* the bound does not count */
};

static inline struct interaction *ledger_at(const struct ledger *ledger, uint32_t record)
{
    return &ledger->page[record / PAGE_RECORDS][record % PAGE_RECORDS];
}

/* ---- ledger_store.c ---- */

void ledger_store_init(struct ledger *ledger); /* its bounds are set */
void ledger_store_close(struct ledger *ledger);
uint32_t ledger_find(const struct ledger *ledger, struct ledger_key key); /* NONE: there is none */
/* A new record, in index and lists, with an empty log. */
uint32_t ledger_make(struct ledger *ledger, struct ledger_key key, uint16_t home, uint32_t tenant, bool alone, int64_t last_ms, uint8_t epoch);
/* A fact behind those that its log has; the record waits in the list of its latest one. */
void ledger_append(struct ledger *ledger, uint32_t record, const struct fact *fact);
void ledger_forget(struct ledger *ledger, uint32_t record);

/* ---- ledger.c ---- */

/* Derives the first `sent` bytes of facts, and the whole, and emits the difference; `then` is the roster as it was known before. */
void ledger_bring_up(struct ledger *ledger, struct interaction *one, uint32_t sent, const struct roster *then, ledger_emit *emit, void *context);

/* ---- ledger_state.c ---- */

/* The record is about to change or to go. */
void ledger_keep_for_checkpoint(struct ledger *ledger, uint32_t record);
void ledger_note_gone(struct ledger *ledger, uint32_t record);

#endif
