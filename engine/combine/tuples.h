/* What combine.c and tuples.c share, and nobody else: which scope keys a tuple of dimensions adds to. Runs on: the shard's thread.
 *
 *   tuples: (tenant, scopes, the dimensions that any scope uses) -> the numbers of its scope keys
 *   keys:   scope key -> its number on this shard, its fold; named to the fold with its first cell
 *
 * A tuple is met again with nearly every contact of the same agent and queue, so the keys of six scopes cost one look-up.
 *
 * A scope whose dimensions another one has too is a sum of that one's cells, so it is added up from them when a tick ends: queue x channel is added
 * to with each contribution, queue, channel and the whole tenant once a tick and pane. Not so from agents, of whom hardly two contributions meet.
 *
 * Distinct agents: a scope without the dimension agent has, within each key, a key for each agent (SCOPE_AGENTS). Those of a tuple that are in one
 * fold are a bundle, so that what agents are counted by is added to one cell and not to one a scope; but only once the tuple was met a few times, since
 * where there are many dimensions most are never met again. From then on for good: what came to the parts may be taken back through the bundle, not the
 * other way round. */
#ifndef ESTEEM_TUPLES_H
#define ESTEEM_TUPLES_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "esteem/config.h"
#include "esteem/derive.h"
#include "esteem/err.h"
#include "esteem/intern.h"
#include "esteem/key.h"
#include "esteem/slots.h"

#define NONE UINT32_MAX

enum { SCOPE_LISTS_MAX = 256, TUPLES_MOST = 1 << 17 };

struct tuple {
    uint32_t tenant, scopes;
    struct dims dims;
    uint32_t key[CONFIG_SCOPE_MAX];   /* NONE: the tuple lacks a dimension of that scope */
    uint32_t direct;                  /* mask: scopes that are added to at once; the others when a tick ends */
    uint32_t to[CONFIG_SCOPE_MAX];    /* of one of those: which others its cells are added to then */
    uint32_t part[CONFIG_SCOPE_MAX], parts;   /* its agent within those keys that have one */
    uint32_t agent[CONFIG_SCOPE_MAX], agents; /* the same by bundles, as far as there are any */
    uint32_t met;
};

struct key {
    uint32_t fold;
    bool named;     /* the fold has been told its number */
    uint32_t cells; /* the first of its cells, or NONE */
    uint32_t tenant, scope;
    uint32_t value[DIMENSION_MAX];
    uint32_t *part, parts; /* of a bundle, whose scope is SCOPE_BUNDLE */
};

struct scope_list {
    int count;
    uint32_t scope[CONFIG_SCOPE_MAX], used; /* masks of dimensions; `used` is their union */
    uint32_t wider[CONFIG_SCOPE_MAX];       /* mask: scopes that have all of its dimensions, others besides, and not the agent */
};

struct tuples {
    int folds;
    const struct intern *strings;
    struct key_registry *registry;
    struct scope_list list[SCOPE_LISTS_MAX];
    uint32_t lists;
    struct tuple **tuple; /* open addressing */
    uint32_t slots, count, most; /* most: beyond it all are made anew */
    struct key *key;
    uint32_t keys, key_room;
    struct slots key_slots;
};

void tuples_init(struct tuples *tuples, int folds, const struct intern *strings, struct key_registry *registry);
void tuples_close(struct tuples *tuples);

/* The number of a list of scopes, made when it is new. */
uint32_t tuples_list(struct tuples *tuples, const uint32_t *masks, int count);
/* The tuple, made when it is new, and then perhaps instead of all others: one that was handed out lasts until the next is asked for. */
const struct tuple *tuple_of(struct tuples *tuples, uint32_t tenant, uint32_t scopes, const struct dims *full);
/* The key of a scope that has some of the dimensions of key k; NONE: it has not been made. */
uint32_t key_of_part(const struct tuples *tuples, uint32_t k, uint32_t scope);
struct scope_key key_text(const struct tuples *tuples, const struct key *key);

/* Room for one more item behind `count`. */
static inline void *grown(void *items, uint32_t count, uint32_t *room, size_t size)
{
    if (count < *room)
        return items;
    *room = *room ? *room * 2 : 1024;
    items = realloc(items, *room * size);
    ensure(items != NULL, "the machine has memory left");
    return items;
}

#endif
