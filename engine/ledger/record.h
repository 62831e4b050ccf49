/* record: one record being made out from its facts: who, when, which segments. record.c fills it, contribute.c turns it into integers,
 * derive.c calls both and gathers what comes of it; nobody else knows it. */
#ifndef ESTEEM_RECORD_H
#define ESTEEM_RECORD_H

#include "esteem/derive.h"

#define NEVER DERIVE_NEVER /* a time that is not known */

/* ---- dimensions ---- */

/* A tuple under construction, with what tells who named the agent, and when. */
struct named {
    struct dims dims;
    int64_t agent_ms; /* time of the fact that names the agent */
};

enum { CLASS_OTHER, CLASS_WRAPPED, CLASS_INTERACTION, CLASS_COUNT };

/* The latest fact that names a dimension wins within its class; interaction.* before wrapped before others. A resolver takes
 * facts in order, one at a time, so that the state before any fact can be read off. */
struct resolver {
    struct named by_class[CLASS_COUNT];
};

void resolver_take(struct resolver *resolver, const struct fact *fact);
struct named resolver_read(const struct resolver *resolver);
struct named named_by(const struct fact *fact);

/* ---- a record ---- */

struct segment {
    int64_t start_ms, end_ms, wrapped_ms; /* NEVER: open; not wrapped yet */
    int64_t talk_ms, hold_ms, wrap_ms, holds;
    struct dims dims;
    uint32_t agent; /* as the `answered` names it, else the interaction's */
};

struct record {
    const struct fact *fact; /* in order, replaced versions left out */
    uint32_t count;
    const struct fact *completed; /* NULL when there is none */
    const struct derive_settings *settings;
    const struct roster *roster;
    uint32_t tenant, as_of;
    uint16_t number; /* among the records of its interaction's facts */
    bool joined; /* has an interaction.* fact */
    bool latest; /* no other record of its interaction follows */
    uint64_t customer, interaction; /* hashes; customer 0: not known */

    struct dims dims, entry;
    int64_t offered_ms, answered_ms, abandoned_ms, ended_ms; /* NEVER: did not happen, or is not known */
    bool answered, abandoned, on_hold, wait_known, used, missed, converted; /* on_hold: the open segment is */
    int64_t wait_ms, conversation_ms;
    uint32_t closed_segments;
    struct segment *segment; /* shared scratch */
    uint32_t segments;
    struct derivation *out;
};

static inline bool record_gives(const struct record *record, enum field field)
{
    return record->completed != NULL && fact_has(record->completed, field);
}

/* Team and site where they are not named: from the roster by the agent; then, when `fallback` is given and has the same agent
 * or there is none, from it. Other dimensions that are not named come from `fallback` too. */
struct dims record_filled(const struct record *record, struct named own, const struct dims *fallback);
/* A duration within 0 to 31 d; what had to be brought there is noted. */
int64_t record_duration(struct record *record, int64_t ms);
int64_t record_count(const struct record *record, enum event_type type);

/* Fills dimensions, times, segments and states from the facts, which are in order. */
void record_make_out(struct record *record);

/* ---- what it is worth (contribute.c) ---- */

/* A contact's own: the record has an interaction.* fact. */
void contribute_contact(struct record *record);
/* One event's that is no interaction.*: its own dimensions where it names them, else the interaction's. */
void contribute_event(struct record *record, const struct fact *fact);

/* ---- where it goes (derive.c) ---- */

/* Ends the run; one of zeros is left out. */
void block_put(struct derivation *out, const struct dims *dims, int64_t anchor_ms, struct tally_run *run);
/* `measure`: what comes of the note; a version that did not know that has told nobody. */
void note_put(struct derivation *out, enum block_kind kind, const struct dims *dims, int64_t anchor_ms, const struct note *note, enum measure measure);
/* Likewise what is now: a version that did not know the gauges has told nobody. */
void now_put(struct derivation *out, const struct dims *dims, int64_t anchor_ms, struct tally_run *run);

#endif
