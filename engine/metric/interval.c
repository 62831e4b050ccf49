/* interval: how sure a share or a net score is. Pure; any thread. */
#include <math.h>

#include "esteem/metric.h"

#define Z 1.959964 /* 95 %, two-sided */

/* Wilson (1927): the shares p0 whose own z interval would hold the share that was seen. It stays within 0 to 100 and has a width
 * at 0 and at n of n, where the textbook interval has none. */
struct metric_value metric_wilson(int64_t k, int64_t n)
{
    struct metric_value value = metric_percent(k, n);
    if (!value.present)
        return value;
    double count = (double)n, p = (double)k / count, z2 = Z * Z;
    double middle = (p + z2 / (2 * count)) / (1 + z2 / count);
    double spread = fmax(p * (1 - p) / count + z2 / (4 * count * count), 0);
    double half = Z / (1 + z2 / count) * sqrt(spread);
    value.interval = true;
    value.low = 100 * (middle - half);
    value.high = 100 * (middle + half);
    return value;
}

/* Each answer is worth 1, 0 or -1: mean p - d, variance p + d - (p - d)^2. */
struct metric_value metric_net(int64_t promoters, int64_t detractors, int64_t n)
{
    struct metric_value value = metric_percent(promoters - detractors, n);
    if (!value.present)
        return value;
    double p = (double)promoters / (double)n, d = (double)detractors / (double)n;
    value.margin = true;
    value.moe = 100 * Z * sqrt(fmax((p + d - (p - d) * (p - d)) / (double)n, 0));
    return value;
}

struct metric_value metric_gap(int64_t k1, int64_t n1, int64_t k2, int64_t n2)
{
    struct metric_value a = metric_percent(k1, n1), b = metric_percent(k2, n2);
    if (!a.present || !b.present)
        return (struct metric_value){0};
    return (struct metric_value){.present = true, .value = a.value - b.value, .n = n1 + n2};
}

/* Newcombe (1998): each end lies as far off as the two shares' own Wilson limits on the sides that make the difference smaller, or larger. */
struct metric_value metric_newcombe(int64_t k1, int64_t n1, int64_t k2, int64_t n2)
{
    struct metric_value value = metric_gap(k1, n1, k2, n2);
    if (!value.present)
        return value;
    struct metric_value a = metric_wilson(k1, n1), b = metric_wilson(k2, n2);
    value.interval = true;
    value.low = value.value - sqrt((a.value - a.low) * (a.value - a.low) + (b.high - b.value) * (b.high - b.value));
    value.high = value.value + sqrt((a.high - a.value) * (a.high - a.value) + (b.value - b.low) * (b.value - b.low));
    return value;
}

struct metric_value metric_share_ratio(int64_t k1, int64_t n1, int64_t k2, int64_t n2)
{
    struct metric_value a = metric_percent(k1, n1), b = metric_percent(k2, n2);
    if (!a.present || !b.present || k2 == 0)
        return (struct metric_value){0};
    return (struct metric_value){.present = true, .value = a.value / b.value, .n = n1 + n2};
}

struct metric_value metric_correlation(int64_t n, int64_t x, int64_t y, int64_t xx, int64_t yy, int64_t xy)
{
    __extension__ typedef __int128 wide; /* products of sums leave 64 bits */
    wide vx = (wide)n * xx - (wide)x * x, vy = (wide)n * yy - (wide)y * y, cov = (wide)n * xy - (wide)x * y;
    if (n < 3 || vx <= 0 || vy <= 0)
        return (struct metric_value){0};
    return (struct metric_value){.present = true, .value = (double)cov / (sqrt((double)vx) * sqrt((double)vy)), .n = n};
}
