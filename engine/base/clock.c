/* clock: the machine's clock, and one that is set by hand. */
#include "esteem/clock.h"

#include <time.h>

static int64_t read_ms(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now); /* fails only for an unknown id */
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t real_wall_ms(void *context)
{
    (void)context;
    return read_ms(CLOCK_REALTIME);
}

static int64_t real_monotonic_ms(void *context)
{
    (void)context;
    return read_ms(CLOCK_MONOTONIC);
}

struct clock clock_real(void)
{
    return (struct clock){.wall_ms = real_wall_ms, .monotonic_ms = real_monotonic_ms};
}

static int64_t machine_boot_ms(void *context)
{
    (void)context;
    return read_ms(CLOCK_BOOTTIME);
}

struct clock clock_machine(void)
{
    return (struct clock){.wall_ms = real_wall_ms, .monotonic_ms = machine_boot_ms};
}

static int64_t steady_monotonic_ms(void *context)
{
    return clock_monotonic_ms(&((struct steady_clock *)context)->machine);
}

static int64_t steady_wall_ms(void *context)
{
    struct steady_clock *steady = context;
    /* relaxed: a moment stands for itself */
    return clock_monotonic_ms(&steady->machine) + atomic_load_explicit(&steady->ahead_ms, memory_order_relaxed);
}

struct clock clock_steady(struct steady_clock *steady, const struct clock *machine)
{
    *steady = (struct steady_clock){.machine = *machine};
    steady->followed_ms = clock_monotonic_ms(machine);
    atomic_init(&steady->ahead_ms, clock_wall_ms(machine) - steady->followed_ms);
    return (struct clock){.wall_ms = steady_wall_ms, .monotonic_ms = steady_monotonic_ms, .context = steady};
}

int64_t steady_clock_follow(struct steady_clock *steady, int *followed)
{
    int64_t now_ms = clock_monotonic_ms(&steady->machine), ahead_ms = atomic_load_explicit(&steady->ahead_ms, memory_order_relaxed);
    int64_t difference = clock_wall_ms(&steady->machine) - now_ms - ahead_ms, passed_ms = now_ms - steady->followed_ms;
    *followed = 0;
    if (difference >= -STEADY_JUMP_MS && difference <= STEADY_JUMP_MS) {
        int64_t most = passed_ms / 20;
        int64_t step = difference > most ? most : difference < -most ? -most : difference;
        if (most > 0)
            steady->followed_ms = now_ms;
        steady->jump_ms = 0;
        atomic_store_explicit(&steady->ahead_ms, ahead_ms + step, memory_order_relaxed);
        return 0;
    }
    steady->followed_ms = now_ms;
    int64_t change = difference - steady->jump_ms;
    if (steady->jump_ms == 0 || change < -STEADY_JUMP_MS || change > STEADY_JUMP_MS) { /* a new one, or another one */
        steady->jump_ms = difference;
        steady->jumped_ms = now_ms;
        return difference;
    }
    if (now_ms - steady->jumped_ms < STEADY_TRUST_MS)
        return 0;
    steady->jump_ms = 0;
    atomic_store_explicit(&steady->ahead_ms, ahead_ms + difference, memory_order_relaxed);
    *followed = 1;
    return difference;
}

static int64_t hands_wall_ms(void *context)
{
    return ((const struct clock_hands *)context)->wall_ms;
}

static int64_t hands_monotonic_ms(void *context)
{
    return ((const struct clock_hands *)context)->monotonic_ms;
}

struct clock clock_by_hand(struct clock_hands *hands)
{
    return (struct clock){.wall_ms = hands_wall_ms, .monotonic_ms = hands_monotonic_ms, .context = hands};
}
