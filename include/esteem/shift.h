/* shift: what agents do. Their states last until the next one, whoever's topic brought it; of the segments that overlap in a scope key, the
 * time that an agent has in more than one is counted as overlap, so that segment_ms less overlap is the time engaged.
 *
 * States and segments lie in books by agent. A state that comes between two others takes the time from its begin to the next one's away from
 * the one before it; a segment emits itself and, per scope, what of it other segments of the same key cover already. Both are the same in any
 * order, and a retraction is an addition with the other sign. Both parts come from this one thread: told by two, a fold could see a segment
 * gone and its overlap not yet, which is time below zero.
 * While a state is its agent's latest, the agent is that now (now.h).
 * Runs on: the thread of the shard that owns the agent. */
#ifndef ESTEEM_SHIFT_H
#define ESTEEM_SHIFT_H

#include "esteem/book.h"
#include "esteem/span.h"

/* Runs of a span under a tuple of dimensions, at an instant. */
typedef void shift_emit(void *context, uint32_t tenant, uint8_t scopes, const struct dims *dims, int64_t anchor_ms, const struct tally_run *run);

/* What an agent is now, or no longer. */
typedef void shift_emit_now(void *context, uint32_t tenant, uint8_t scopes, const struct dims *dims, const struct tally_run *run);

struct shifts {
    struct book *states; /* at_ms: from when on; flags: enum agent_state */
    struct book *segments; /* at_ms to until_ms */
    shift_emit *emit;
    shift_emit_now *emit_now;
    int (*scopes_of)(void *context, uint8_t scopes, uint32_t *masks); /* CONFIG_SCOPE_MAX at most */
    int (*scopes_with)(void *context, const uint32_t *masks, int count); /* the list of these scopes; -1: no list is left for several of them */
    void *context;
};

void shift_state(struct shifts *shifts, int sign, uint32_t tenant, uint32_t agent, const struct book_entry *entry, const struct dims *dims);
void shift_segment(struct shifts *shifts, int sign, uint32_t tenant, uint32_t agent, const struct book_entry *entry, const struct dims *dims);
/* Emits what every agent is now: after a restart from a state whose writer did not. */
void shift_tell_now(struct shifts *shifts);

#endif
