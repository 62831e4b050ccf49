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
