/* ring: a bounded queue of pointers from one thread to one other, without locks. What is pushed is owned by the reader.
 * Capacity is a power of two, fixed at init. */
#ifndef ESTEEM_RING_H
#define ESTEEM_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct ring {
    void **slot;
    uint32_t mask;
    _Alignas(64) _Atomic uint32_t head; /* writer's: next to fill */
    uint32_t tail_seen;                 /* writer's copy of tail */
    _Alignas(64) _Atomic uint32_t tail; /* reader's: next to take */
    uint32_t head_seen;                 /* reader's copy of head */
};

void ring_init(struct ring *ring, uint32_t capacity);
void ring_close(struct ring *ring); /* what is left in it stays its owner's: drain first */

/* Runs on: the one writer. False: full, nothing happened. */
bool ring_push_spsc(struct ring *ring, void *item);
/* Runs on: the one reader. NULL: empty. */
void *ring_pop_spsc(struct ring *ring);
/* Any thread; a guess while others move. */
uint32_t ring_count(const struct ring *ring);

#endif
