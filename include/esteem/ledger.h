/* ledger: all open interactions of a shard, and what each has contributed so far. A record is the log of its packed facts and a mark:
 * the windows know the facts before the mark. At a flush every touched record is derived twice, up to the
 * mark and whole, and the difference is emitted; then the mark moves to the end. So duplicates, late facts, corrections and
 * re-rated surveys need no case of their own, nothing that was sent is stored, and facts of one contact that arrive
 * together cost one derivation. The batch command flushes once, at the end.
 *
 * Events without an interaction are records of their own (`alone`), so that their ids and versions are remembered alike.
 * Runs on: the shard's thread. Bounded by limits.interactions. */
#ifndef ESTEEM_LEDGER_H
#define ESTEEM_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#include "esteem/derive.h"
#include "esteem/slice.h"

struct ledger;

struct ledger_bounds {
    uint64_t interactions;          /* records at most */
    int64_t retention_ms;           /* of interactions, past their last fact */
    int64_t retention_alone_ms;     /* of events outside any */
};

/* The settings under which records are derived. An epoch lives until no record refers to it. `scopes` is a number of the caller's, handed back
 * with each emission under the epoch. */
struct epoch {
    struct derive_settings settings;
    uint32_t scopes;
};

enum ledger_result { LEDGER_APPLIED, LEDGER_DUPLICATE, LEDGER_FULL };

struct ledger_key {
    uint64_t high, low; /* 128-bit hash of tenant and interaction (or id) */
};

struct ledger_counts {
    uint64_t records, skewed, unjoined, retired;
    uint64_t strayed; /* facts of another home than their record's */
    uint64_t fact_bytes, index_bytes, slack_bytes; /* slack: taken from the system, free */
};

/* One contribution that is new (sign 1) or taken back (-1; its figures' signs are turned already). */
typedef void ledger_emit(void *context, uint32_t tenant, uint32_t scopes, const struct block *block, int sign, const uint8_t *bytes,
                         uint32_t length);

struct ledger *ledger_new(const struct ledger_bounds *bounds, struct roster *roster);
void ledger_free(struct ledger *ledger);

/* From the next flush on, records are derived under these settings. */
void ledger_set_epoch(struct ledger *ledger, const struct epoch *epoch);

/* The shard that owns a record: the one that reads the partition that all the record's events come from (`home`); with LEDGER_HOME_HASH the one that
 * the hash in the record's key says. */
enum { LEDGER_HOME_HASH = UINT16_MAX };
static inline int ledger_owner(struct ledger_key key, uint16_t home, int shards)
{
    return (int)((home == LEDGER_HOME_HASH ? key.high : home) % (uint64_t)shards);
}

/* Takes a fact. FULL: at the bound, nothing was changed; flush, evict or retire, or pause and try again. */
enum ledger_result ledger_put(struct ledger *ledger, struct ledger_key key, uint16_t home, uint32_t tenant, bool alone, const struct fact *fact);

/* Emits what has changed since the last flush, of the `most` records that were touched last. Returns the number of records derived. */
uint32_t ledger_flush(struct ledger *ledger, uint32_t most, ledger_emit *emit, void *context);
uint32_t ledger_touched(const struct ledger *ledger);

/* Looks at no more than `most` records for such as changes of the roster concern, which the next flush then derives anew. Returns how many were
 * looked at: 0 when none are left. */
uint32_t ledger_follow_roster(struct ledger *ledger, uint32_t most);
bool ledger_follows_roster(const struct ledger *ledger); /* the search is not over */

/* Forgets records whose retention the watermark has passed; looks at no more than `most`. Their figures in windows stay; their gauges of the
 * present (now.h) are taken back. Flush first. */
uint32_t ledger_evict(struct ledger *ledger, int64_t watermark_ms, uint32_t most, ledger_emit *emit, void *context);
/* Likewise forgets the records whose last fact is oldest, at most `most` of them, and counts them as retired. Returns how many. Flush first.
 * While memory is short, as many new records may come as were forgotten, or with `shrink` an eighth fewer. */
uint32_t ledger_retire_oldest(struct ledger *ledger, uint32_t most, bool shrink, ledger_emit *emit, void *context);
/* While a barrier waits for what other shards have handed over: the bound does not count. */
void ledger_relax(struct ledger *ledger, bool relaxed);
/* While memory is short: a new record is FULL, whatever the bound says. */
void ledger_press(struct ledger *ledger, bool pressed);

/* Takes a customer out of the records of a tenant: looks at `most` records from number *from on, and moves *from on. What a record with the customer
 * has told is told anew. Returns how many had the customer. Flush first. False in *more: all records were looked at. */
uint32_t ledger_forget_customer(struct ledger *ledger, uint32_t tenant, uint64_t customer, uint32_t *from, uint32_t most, bool *more, ledger_emit *emit,
                                void *context);

struct ledger_counts ledger_counts(const struct ledger *ledger);

/* ---- checkpoints (ledger_state.c) ---- */

/* Begins to write the records as they are now into `out`: all of them when asked for, and always the first time; else those that have changed or
 * gone since the last begin. Returns whether all are written. Flush first. */
bool ledger_dump_begin(struct ledger *ledger, bool full, struct slice_out *out);
/* Whether an incremental one is possible. */
bool ledger_dump_can_add(const struct ledger *ledger);
/* Writes on, about `bytes` bytes. True: all is written. */
bool ledger_dump_step(struct ledger *ledger, uint32_t bytes);
/* The slice is broken: the next one is full. */
void ledger_dump_give_up(struct ledger *ledger);

/* A record as it stands in a checkpoint. */
struct ledger_saved {
    struct ledger_key key;
    bool alone, now; /* now: the record has told gauges of the present (now.h) */
    uint16_t home;
    int64_t last_ms;
    uint32_t tenant, epoch, roster_sequence; /* in the numbers of who wrote it */
    const uint8_t *log;
    uint32_t length;
};
/* False when the item is not well-formed. */
bool ledger_saved_read(struct slice_item *item, struct ledger_saved *saved);
bool ledger_gone_read(struct slice_item *item, struct ledger_key *key);

/* Puts a record, in this ledger's numbers, in place of one with the same key. `stale`: its roster_sequence counts another roster, that of the
 * shard that had the record; ledger_settle then brings the record up to this one. */
void ledger_load(struct ledger *ledger, const struct ledger_saved *saved, bool stale);
void ledger_load_gone(struct ledger *ledger, struct ledger_key key);
/* Derives the stale records under the roster of before (`then`) and under the present one, and emits the differences. `same_changes`: the two
 * rosters have the same changes in another order, so records that were derived under all of them need nothing. */
void ledger_settle(struct ledger *ledger, const struct roster *then, bool same_changes, ledger_emit *emit, void *context);

/* The settings in slot `slot` (below LEDGER_EPOCHS) while records refer to them, else NULL. */
enum { LEDGER_EPOCHS = 256 };
const struct epoch *ledger_epoch(const struct ledger *ledger, int slot);
/* A slot for settings of the past, kept until the slot is let go and no record refers to it; -1: no slot is free. */
int ledger_epoch_keep(struct ledger *ledger, const struct epoch *epoch);
void ledger_epoch_let_go(struct ledger *ledger, int slot);

#endif
