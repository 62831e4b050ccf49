/* clock: the one place where the engine learns what time it is. A clock is a value that is handed on, so a
 * test or the batch command holds its hands. Times are milliseconds since 1970 UTC (int64), monotonic ones
 * milliseconds since some start. */
#ifndef ESTEEM_CLOCK_H
#define ESTEEM_CLOCK_H

#include <stdatomic.h>
#include <stdint.h>

struct clock {
    int64_t (*wall_ms)(void *context);      /* what the calendar says; may jump */
    int64_t (*monotonic_ms)(void *context); /* never goes back */
    void *context;
};

/* The machine's clock. */
struct clock clock_real(void);

/* The machine's clock as the engine trusts it: it goes on evenly, through a suspend too, and follows the machine's: small differences by a
 * twentieth of the time that passes, a jump of more than a second once it has stood for STEADY_TRUST_MS. So a clock that is set wrongly
 * and back moves no window. `steady` outlives the clock; any thread reads it, one calls steady_clock_follow some times a second. */
enum { STEADY_TRUST_MS = 60000, STEADY_JUMP_MS = 1000 };
struct steady_clock {
    struct clock machine;          /* its wall, and its monotonic time with suspends in it */
    _Atomic int64_t ahead_ms;      /* of the wall over the monotonic time */
    int64_t followed_ms, jump_ms, jumped_ms; /* of the one that follows: last look; a jump, and when it was seen */
};
struct clock clock_steady(struct steady_clock *steady, const struct clock *machine);
/* Returns the jump that was seen just now, ms, or that is followed from now on: *followed says which; 0: neither. */
int64_t steady_clock_follow(struct steady_clock *steady, int *followed);
/* The machine's, for clock_steady: monotonic time goes on in a suspend. */
struct clock clock_machine(void);

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
