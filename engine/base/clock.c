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
