#include "esteem/grain.h"

enum { MINUTE_MS = 60000 };

int64_t grain_common(int64_t a, int64_t b)
{
    return b ? grain_common(b, a % b) : a;
}

void grain_widths(const struct config_rolling *rolling, int count, int64_t *width_ms)
{
    int64_t width = 0;
    for (int k = count - 1; k >= 0; k--)
        width_ms[k] = width = grain_common(grain_common(rolling[k].slide_ms, rolling[k].length_ms), width);
}

struct grain grain_at(const struct config_rolling *rolling, int count, int64_t now_ms)
{
    struct grain grain = {.count = 0};
    int64_t width_ms[CONFIG_ROLLING_MAX], left_ms = INT64_MAX;
    grain_widths(rolling, count, width_ms);
    for (int k = 1; k < count && now_ms != INT64_MIN; k++) {
        int64_t left = grain_right_ms(&rolling[k - 1], now_ms) - rolling[k - 1].length_ms;
        int64_t width = grain_common(width_ms[k], MINUTE_MS);
        left_ms = left < left_ms ? left : left_ms;
        if (grain.count && grain.step[grain.count - 1].width_ms == width)
            continue;
        grain.step[grain.count].before_ms = grain_floor(left_ms, width);
        grain.step[grain.count++].width_ms = width;
    }
    return grain;
}
