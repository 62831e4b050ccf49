/* Two threads, a million steps through a small ring: everything arrives, once, in order, with what was written to it. */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "esteem/err.h"
#include "esteem/ring.h"

enum { STEPS = 1000000, CAPACITY = 64 };

struct item {
    uint64_t number, square; /* plain: the ring alone makes them visible */
};

static struct ring ring;

static void *write_all(void *context)
{
    (void)context;
    for (uint64_t i = 0; i < STEPS; i++) {
        struct item *item = malloc(sizeof *item);
        *item = (struct item){i, i * i};
        while (!ring_push_spsc(&ring, item))
            sched_yield();
    }
    return NULL;
}

int main(void)
{
    pthread_t writer;
    uint64_t sum = 0;
    ring_init(&ring, CAPACITY);
    ensure(pthread_create(&writer, NULL, write_all, NULL) == 0, "the machine grants a thread");
    for (uint64_t i = 0; i < STEPS; i++) {
        struct item *item;
        while ((item = ring_pop_spsc(&ring)) == NULL)
            sched_yield();
        ensure(ring_count(&ring) <= CAPACITY, "a ring holds no more than it has room for");
        ensure(item->number == i && item->square == i * i, "items arrive in order, whole");
        sum += item->number;
        free(item);
    }
    pthread_join(writer, NULL);
    ensure(ring_pop_spsc(&ring) == NULL && sum == (uint64_t)STEPS * (STEPS - 1) / 2, "all arrived once");
    ring_close(&ring);
    puts("a million items in order");
    return 0;
}
