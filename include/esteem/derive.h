/* derive: the heart. A pure function from the facts of one interaction to its contributions (SEMANTICS 2 and 3): which integers
 * it adds, under which dimensions, at which instant. The ledger derives before and after, and sends the difference. */
#ifndef ESTEEM_DERIVE_H
#define ESTEEM_DERIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "esteem/config.h"
#include "esteem/fact.h"
#include "esteem/roster.h"
#include "esteem/tally.h"

struct dims {
    uint32_t id[DIMENSION_MAX]; /* 0: absent */
};

/* The settings that change what is derived, with the rules' words interned. One a configuration and shard: an epoch. */
struct derive_settings {
    uint64_t lacks[4];    /* bit: a measure that the version which derived under these settings did not know; 0 but after an upgrade */
    int64_t retention_ms; /* facts further apart belong to separate records */
    int64_t sl_threshold_ms, short_abandon_ms;
    bool now; /* it is asked what records are now: not of whole files */
    int top_box;
    enum attribution attribution;
    int band_count;
    int64_t band_ms[CONFIG_BAND_MAX];
    int rule_count;
    struct {
        struct dims match; /* 0: any */
        int64_t threshold_ms;
    } rule[CONFIG_RULE_MAX];
};

/* Whether an older version has derived under them. */
static inline bool derive_lacks(const struct derive_settings *settings)
{
    return settings->lacks[0] | settings->lacks[1] | settings->lacks[2] | settings->lacks[3];
}

/* What one interaction contributes, each under one tuple of dimensions at one instant: blocks of integers, and what it is now (now.h); and notes,
 * for what can only be told when other interactions are known too (visit.h, shift.h): `bytes` then hold a struct note. */
enum block_kind { BLOCK_FIGURES, BLOCK_NOW, BLOCK_VISIT, BLOCK_STATE, BLOCK_ENGAGED };
static inline bool block_is_note(enum block_kind kind)
{
    return kind > BLOCK_NOW;
}
struct block {
    int64_t anchor_ms;
    uint64_t hash; /* of all that is in it */
    struct dims dims;
    enum block_kind kind;
    uint32_t at, length; /* packed runs in `bytes` */
};

/* VISIT: a contact of a known customer begins at the anchor; until_ms: when it ended, DERIVE_NEVER while it counts for no resolution; who: the
 * customer's hash; id: of the interaction; state: which of its records, where its facts make several. STATE: an agent's state from the anchor on; id: of the event. ENGAGED: an agent's segment up
 * to until_ms. */
struct note {
    int64_t until_ms;
    uint64_t who, id;
    int64_t state;
};
#define DERIVE_NEVER INT64_MIN

struct derivation {
    struct block *block;
    uint32_t count, room;
    uint8_t *bytes;
    uint32_t used, bytes_room;
    const uint64_t *lacks; /* of the settings, where there are any */
    bool now;          /* it has blocks of what is now */
    bool skewed;       /* a duration had to be brought to 0 or to 31 d */
    uint32_t unjoined; /* events that found no interaction.* fact */
};

void derivation_init(struct derivation *out);
void derivation_close(struct derivation *out);

/* Derives `count` facts (sorted in place). `tenant` and `as_of` are for the roster. An event without an interaction is derived
 * with `alone`: it is no record and not unjoined. */
void derive(struct fact *facts, uint32_t count, bool alone, const struct derive_settings *settings,
            const struct roster *roster, uint32_t tenant, uint32_t as_of, struct derivation *out);

#endif
