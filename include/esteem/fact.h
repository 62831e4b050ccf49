/* fact: what the ledger keeps of an event. Packed facts follow one another in an interaction's log in the order in which they
 * arrived (about 25 bytes for a lifecycle fact, 70 for a completed record); unpacked ones live only while a record is derived.
 * Dimensions are interned numbers of the shard. */
#ifndef ESTEEM_FACT_H
#define ESTEEM_FACT_H

#include <stdbool.h>
#include <stdint.h>

#include "esteem/event.h"

struct fact {
    int64_t time_ms;
    uint64_t id_hash;     /* XXH3-64 of the id, seed 0: also the last tie-break of the order */
    uint64_t survey_hash; /* of `survey`, else of the id: answers with the same one replace each other */
    uint64_t customer;    /* keyed hash, 0: unknown */
    uint64_t interaction; /* XXH3-64 of the interaction's id, seed 0, where the fact names a customer; 0: outside any */
    uint32_t arrival;     /* place in the order of arrival within the interaction */
    uint32_t dimensions;  /* bit: named by this fact */
    uint32_t fields;      /* bit: given */
    enum event_type type;
    bool comment;
    uint32_t dimension[DIMENSION_MAX];
    int64_t field[FIELD_COUNT];
};

static inline bool fact_has(const struct fact *fact, enum field field)
{
    return fact->fields >> field & 1;
}

static inline int64_t fact_version(const struct fact *fact)
{
    return fact_has(fact, FIELD_version) ? fact->field[FIELD_version] : 0;
}

enum { FACT_BYTES_MAX = 640 };

/* Packs into `out` (FACT_BYTES_MAX bytes); returns the length. */
uint32_t fact_pack(const struct fact *fact, uint8_t *out);
/* Unpacks one; returns the bytes read. `arrival` is left alone. */
uint32_t fact_unpack(const uint8_t *at, struct fact *fact);
/* Bytes of the packed fact at `at`. */
uint32_t fact_length(const uint8_t *at);
/* Whether the packed fact at `at` is the same event as `fact`: same id, and for versioned types the same version. */
bool fact_same_event(const uint8_t *at, const struct fact *fact);

/* The agent that the packed fact at `at` names; 0: none. */
uint32_t fact_agent(const uint8_t *at);

/* Takes the customer out of the packed fact at `at`, if it is this one. Whether it was. */
bool fact_forget_customer(uint8_t *at, uint64_t customer);

/* Whether bytes from outside are whole packed facts, one after another. */
bool fact_log_valid(const uint8_t *log, uint32_t length);

/* The order of SEMANTICS 2: time, type, hash of the id (then version and arrival, so that sorting is total). */
int fact_order(const void *a, const void *b);

#endif
