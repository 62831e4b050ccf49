/* grain: how finely an instant has to be kept behind the rolling windows. No edge of windows k, k + 1, ... ever falls inside a pane as wide as the greatest
 * common divisor of their slides and lengths; so what has left the windows before k for good needs no finer one. Pure; any thread. */
#ifndef ESTEEM_GRAIN_H
#define ESTEEM_GRAIN_H

#include <stdint.h>

#include "esteem/config.h"

static inline int64_t grain_floor(int64_t value, int64_t width)
{
    return (value / width - (value % width < 0)) * width;
}

int64_t grain_common(int64_t a, int64_t b); /* greatest common divisor; 0 counts as none */

/* The width of panes from window k on, for each k below `count`; each divides the next one. */
void grain_widths(const struct config_rolling *rolling, int count, int64_t *width_ms);

/* The end of a rolling window that stands at now_ms: with its slide that holds it. */
static inline int64_t grain_right_ms(const struct config_rolling *rolling, int64_t now_ms)
{
    return grain_floor(now_ms, rolling->slide_ms) + rolling->slide_ms;
}

/* Steps by age: what lies before `before_ms` may be told as of a multiple of `width_ms`. A minute at most: calendar windows, and days of a baseline,
 * begin with one in every zone in use since 1972. */
struct grain {
    int count; /* 0: nothing may */
    struct {
        int64_t before_ms, width_ms;
    } step[CONFIG_ROLLING_MAX]; /* before_ms falls, width_ms rises */
};

/* Of windows that stand at now_ms, or later; INT64_MIN: nowhere yet. */
struct grain grain_at(const struct config_rolling *rolling, int count, int64_t now_ms);

static inline int64_t grain_told_ms(const struct grain *grain, int64_t at_ms)
{
    int64_t width_ms = 1;
    for (int i = 0; i < grain->count && at_ms < grain->step[i].before_ms; i++)
        width_ms = grain->step[i].width_ms;
    return width_ms > 1 ? grain_floor(at_ms, width_ms) : at_ms;
}

#endif
