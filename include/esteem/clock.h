/* clock: the one place where the engine learns what time it is. A clock is a value that is handed on, so a
 * test or the batch command holds its hands. Times are milliseconds since 1970 UTC (int64), monotonic ones
 * milliseconds since some start. */
#ifndef ESTEEM_CLOCK_H
#define ESTEEM_CLOCK_H

#include <stdint.h>

struct clock {
    int64_t (*wall_ms)(void *context);      /* what the calendar says; may jump */
    int64_t (*monotonic_ms)(void *context); /* never goes back */
    void *context;
};

/* The machine's clock. */
struct clock clock_real(void);

/* A clock with hands: `hands` outlives the clock. */
struct clock_hands {
    int64_t wall_ms, monotonic_ms;
};
struct clock clock_by_hand(struct clock_hands *hands);

static inline int64_t clock_wall_ms(const struct clock *clock)
{
    return clock->wall_ms(clock->context);
}

static inline int64_t clock_monotonic_ms(const struct clock *clock)
{
    return clock->monotonic_ms(clock->context);
}

#endif
