#include "esteem/ring.h"

#include <stdlib.h>

#include "esteem/err.h"

void ring_init(struct ring *ring, uint32_t capacity)
{
    ensure(capacity && (capacity & (capacity - 1)) == 0, "a ring's capacity is a power of two");
    ring->slot = calloc(capacity, sizeof *ring->slot);
    ensure(ring->slot != NULL, "the machine has memory left");
    ring->mask = capacity - 1;
    atomic_init(&ring->head, 0);
    atomic_init(&ring->tail, 0);
    ring->tail_seen = ring->head_seen = 0;
}

void ring_close(struct ring *ring)
{
    free(ring->slot);
    ring->slot = NULL;
}

bool ring_push_spsc(struct ring *ring, void *item)
{
    uint32_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    if (head - ring->tail_seen > ring->mask) {
        /* acquire: the reader has taken the slot's old item before we write a new one; partner of pop's release */
        ring->tail_seen = atomic_load_explicit(&ring->tail, memory_order_acquire);
        if (head - ring->tail_seen > ring->mask)
            return false;
    }
    ring->slot[head & ring->mask] = item;
    /* release: the slot, and all that was written to the item, is visible to pop's acquire */
    atomic_store_explicit(&ring->head, head + 1, memory_order_release);
    return true;
}

void *ring_pop_spsc(struct ring *ring)
{
    uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    if (tail == ring->head_seen) {
        /* acquire: partner of push's release */
        ring->head_seen = atomic_load_explicit(&ring->head, memory_order_acquire);
        if (tail == ring->head_seen)
            return NULL;
    }
    void *item = ring->slot[tail & ring->mask];
    /* release: the slot may be written again; partner of push's acquire */
    atomic_store_explicit(&ring->tail, tail + 1, memory_order_release);
    return item;
}

uint32_t ring_count(const struct ring *ring)
{
    return atomic_load_explicit(&ring->head, memory_order_relaxed) - atomic_load_explicit(&ring->tail, memory_order_relaxed);
}
