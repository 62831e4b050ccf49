/* slots: an index from hashes to the numbers of items in a pool of the owner's. Open addressing, at most three quarters full; beside a number stands its
 * item's hash, so that neither growing nor taking out looks at items, and a look-up only at the one that it finds (or at one of the
 * same 32 bits).
 *
 *   for (uint32_t i = slots_home(&slots, hash), n; (n = slots_match(&slots, hash, &i)) != SLOTS_NONE;)
 *       if (item[n] is the one) ...
 *
 * Runs on: the owner's thread. Bounded by the owner's pool. */
#ifndef ESTEEM_SLOTS_H
#define ESTEEM_SLOTS_H

#include <stdint.h>

#define SLOTS_NONE UINT32_MAX

struct slots {
    uint64_t *slot; /* hash << 32 | number; number SLOTS_NONE: empty */
    uint32_t mask, count;
};

/* Without hashes beside them: so many numbers, all SLOTS_NONE; to be freed. */
uint32_t *slots_plain_new(uint32_t room);

void slots_init(struct slots *slots, uint32_t room); /* a power of two */
void slots_close(struct slots *slots);
void slots_clear(struct slots *slots); /* empty, as large as it was */
/* `number` is not in it yet. */
void slots_put(struct slots *slots, uint32_t hash, uint32_t number);
void slots_remove(struct slots *slots, uint32_t hash, uint32_t number);

static inline uint32_t slots_home(const struct slots *slots, uint32_t hash)
{
    return hash & slots->mask;
}

/* The next number of an item with this hash, from *i on; SLOTS_NONE: there are no more. */
static inline uint32_t slots_match(const struct slots *slots, uint32_t hash, uint32_t *i)
{
    for (uint64_t slot; (uint32_t)(slot = slots->slot[*i]) != SLOTS_NONE;) {
        *i = (*i + 1) & slots->mask;
        if (slot >> 32 == hash)
            return (uint32_t)slot;
    }
    return SLOTS_NONE;
}

/* It will be looked up soon. */
static inline void slots_prefetch(const struct slots *slots, uint32_t hash)
{
    __builtin_prefetch(&slots->slot[slots_home(slots, hash)]);
}

/* Of an item that is named by two numbers, the second of at most 58 bits or so. */
static inline uint32_t slots_hash(uint64_t a, uint64_t b)
{
    uint64_t x = a * UINT64_C(0x9e3779b97f4a7c15) ^ b * UINT64_C(0xc2b2ae3d27d4eb4f);
    return (uint32_t)(x >> 32) ^ (uint32_t)x;
}

#endif
