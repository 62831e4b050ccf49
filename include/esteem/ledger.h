/* ledger: all open interactions of a shard, and what each has contributed so far. A record is the log of its packed facts and a mark:
 * facts before the mark are those that the windows know. At a flush every touched record is derived twice, up to the
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

struct ledger;

struct ledger_bounds {
    uint64_t interactions;          /* records at most */
    int64_t retention_ms;           /* of interactions, past their last fact */
    int64_t retention_alone_ms;     /* of events outside any */
};

/* The settings under which records are derived. An epoch lives until no record refers to it. `scopes` is handed back with
 * each emission: whoever emits under it knows what it means. */
struct epoch {
    struct derive_settings settings;
    uint32_t scopes;
};

enum ledger_result { LEDGER_APPLIED, LEDGER_DUPLICATE, LEDGER_FULL };

struct ledger_key {
    uint64_t high, low; /* 128-bit hash of tenant and interaction (or id) */
};

struct ledger_counts {
    uint64_t records, skewed, unjoined, retired, fact_bytes, index_bytes;
};

/* One contribution to be added (a retraction has its signs turned already). */
typedef void ledger_emit(void *context, uint32_t tenant, uint32_t scopes, const struct block *block, const uint8_t *runs,
                         uint32_t length);

struct ledger *ledger_new(const struct ledger_bounds *bounds, struct roster *roster);
void ledger_free(struct ledger *ledger);

/* From the next flush on, records are derived under these settings. */
void ledger_set_epoch(struct ledger *ledger, const struct epoch *epoch);

/* Takes a fact. FULL: at the bound, nothing was changed; flush, evict or retire, or pause and try again. */
enum ledger_result ledger_put(struct ledger *ledger, struct ledger_key key, uint32_t tenant, bool alone, const struct fact *fact);

/* Emits what has changed since the last flush. Returns the number of records derived. */
uint32_t ledger_flush(struct ledger *ledger, ledger_emit *emit, void *context);
uint32_t ledger_touched(const struct ledger *ledger);

/* Forgets records whose retention the watermark has passed; at most `most` looked at. Flush first. */
uint32_t ledger_evict(struct ledger *ledger, int64_t watermark_ms, uint32_t most);
/* Forgets the record with the oldest last fact, counted; its figures stay. False when there is none. Flush first. */
bool ledger_retire_oldest(struct ledger *ledger);

struct ledger_counts ledger_counts(const struct ledger *ledger);

#endif
