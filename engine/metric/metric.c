/* metric: metrics.def is expanded twice, once into what the catalogue tells of a metric and once into the code that works it
 * out. In the first the helpers of a formula are words, in the second functions; so the formula that is printed is the one
 * that runs.
 *
 *     METRIC(csat_mean, CSAT, scale, UP, csat_n, ratio(m(csat_sum), m(csat_n)), "...", "...")
 *         catalogue  "(csat_sum) / (csat_n)"
 *         code       metric_ratio(view->measure[MEASURE_csat_sum], view->measure[MEASURE_csat_n])
 *
 * n: a formula gives the n that its figure rests on (a ratio its denominator); where it gives none, the table's column does. */
#include "esteem/metric.h"

#include <math.h>
#include <string.h>

#include "esteem/row.h"

/* ---- the catalogue: formulas as words ---- */

#define m(name) name
#define ratio(a, b) (a) / (b)
#define percent(a, b) 100 * (a) / (b)
#define wilson(k, n) 100 * (k) / (n)
#define net(promoters, detractors, n) 100 * (promoters - detractors) / (n)
#define product(a, rate) (a) * (rate)
#define of_product(a, b, rate) 100 * (a) / ((b) * (rate))
#define gap(a, b, c, d) 100 * (a) / (b) - 100 * (c) / (d)
#define lift(a, b, c, d) 100 * (a) / (b) - 100 * (c) / (d)
#define lift_ratio(a, b, c, d) ((a) / (b)) / ((c) / (d))
#define per_concurrency(a, b, segments, engaged) (a) / (b) * (engaged) / (segments)
#define correlation(n, x, y, xx, yy, xy) (n * xy - x * y) / sqrt((n * xx - x * x) * (n * yy - y * y))
#define percentile(histogram, share) share percent rank of histogram
#define banded(value, low, high) value
#define x(name) name
#define channels(metric) largest metric of the channels - smallest metric of the channels
#define share_gap(a, b, c, d) 100 * (a) / (b) - 100 * (c) / (d)
#define growth(now, before) 100 * ((now) - (before)) / (before)
#define service_level(view) 100 * answered_in_sl / (wait_n + abandoned) by service_level.abandons
#define HISTOGRAM_wait wait
#define HISTOGRAM_handle handle
#define WORDS(...) WORDS_AS_THEY_ARE(__VA_ARGS__)
#define WORDS_AS_THEY_ARE(...) #__VA_ARGS__
#define UP "up"
#define DOWN "down"
#define NEUTRAL "neutral"

const struct metric_info metric_infos[METRIC_COUNT] = {
#define METRIC(name, family, unit, direction, n, formula, meaning, source) \
    {#name, #unit, direction, WORDS(formula), meaning, source, FAMILY_##family, MEASURE_##n},
#include "esteem/metrics.def"
};

const struct service_level_info service_level_infos[SERVICE_LEVEL_POLICIES] = {
#define SERVICE_LEVEL(policy, in, of, left_out, meaning, source) \
    [ABANDONS_##policy] = {#policy, WORDS(100 * (in) / (of)), meaning, source, left_out},
#include "esteem/metrics.def"
};

#undef m
#undef ratio
#undef percent
#undef wilson
#undef net
#undef product
#undef of_product
#undef gap
#undef lift
#undef lift_ratio
#undef per_concurrency
#undef correlation
#undef percentile
#undef banded
#undef x
#undef channels
#undef share_gap
#undef growth
#undef service_level
#undef HISTOGRAM_wait
#undef HISTOGRAM_handle

/* ---- the code ---- */

struct metric_value metric_ratio(int64_t a, int64_t b)
{
    if (b <= 0)
        return (struct metric_value){0};
    return (struct metric_value){.present = true, .value = (double)a / (double)b, .n = b};
}

struct metric_value metric_percent(int64_t a, int64_t b)
{
    if (b <= 0)
        return (struct metric_value){0};
    return (struct metric_value){.present = true, .value = 100.0 * (double)a / (double)b, .n = b};
}

/* The value with its band: low below `low`, high from `high` on. E.g. 19.999 is low, 20 middle, 80 high. */
static struct metric_value banded(struct metric_value value, double low, double high)
{
    value.band = !value.present ? NULL : value.value < low ? "low" : value.value < high ? "middle" : "high";
    return value;
}

/* a times a rate of the configuration; rests on the column's n. */
static struct metric_value product(int64_t a, double rate)
{
    return (struct metric_value){.present = a != 0, .value = (double)a * rate};
}

/* 100 a of what is to be expected of b at a rate; rests on b. */
static struct metric_value of_product(int64_t a, int64_t b, double rate)
{
    return (struct metric_value){.present = b > 0 && rate > 0, .value = b > 0 && rate > 0 ? 100.0 * (double)a / ((double)b * rate) : 0, .n = b};
}

/* A mean over what of its time there was at once. */
static struct metric_value per_concurrency(int64_t a, int64_t b, int64_t segments, int64_t engaged)
{
    if (b <= 0 || segments <= 0 || engaged <= 0)
        return (struct metric_value){0};
    return (struct metric_value){.present = true, .value = (double)a / (double)b / ((double)segments / (double)engaged), .n = b};
}

/* Only touched buckets are visited: a row has a few dozen of a thousand. */
static int64_t histogram_n(const struct tally_dense *dense, enum histogram histogram)
{
    uint32_t first = histogram_id(histogram, 0) / 64, last = first + HISTOGRAM_BUCKETS / 64;
    int64_t n = 0;
    for (uint32_t word = first; word < last; word++)
        for (uint64_t bits = dense->touched[word]; bits; bits &= bits - 1)
            n += dense->value[word * 64 + (uint32_t)__builtin_ctzll(bits)];
    return n;
}
_Static_assert(HISTOGRAM_FIRST_ID % 64 == 0 && HISTOGRAM_BUCKETS % 64 == 0, "a histogram begins and ends with a word");

struct metric_value metric_percentile(const struct tally_dense *dense, enum histogram histogram, int percent)
{
    uint32_t first = histogram_id(histogram, 0), last = first + HISTOGRAM_BUCKETS;
    int64_t n = histogram_n(dense, histogram), rank = (n * percent + 99) / 100, seen = 0;
    for (uint32_t word = first / 64; word < last / 64 && n > 0; word++)
        for (uint64_t bits = dense->touched[word]; bits; bits &= bits - 1) {
            uint32_t id = word * 64 + (uint32_t)__builtin_ctzll(bits);
            seen += dense->value[id];
            if (dense->value[id] && seen >= rank)
                return (struct metric_value){.present = true, .value = (double)histogram_middle_ms(id - first), .n = n};
        }
    return (struct metric_value){0};
}

/* Sums that met the end of int64 stay there; a sixteenth of that leaves room for a formula's own additions. */
static int64_t bounded(int64_t value)
{
    const int64_t most = INT64_MAX / 16;
    return value > most ? most : value < -most ? -most : value;
}

#define m(name) bounded(view->measure[MEASURE_##name])
#define x(name) bounded(view->across.name)

const enum metric gap_metrics[GAP_COUNT] = {
    [GAP_csat] = METRIC_csat, [GAP_nps] = METRIC_nps, [GAP_aht_ms] = METRIC_aht_ms, [GAP_service_level] = METRIC_service_level};

bool metric_is_gap(enum metric metric)
{
    return metric == METRIC_csat_gap || metric == METRIC_nps_gap || metric == METRIC_aht_gap_ms || metric == METRIC_sl_gap;
}

bool metric_is_across(enum metric metric)
{
    return metric_is_gap(metric) || metric == METRIC_conversion_lift || metric == METRIC_volume_change;
}

double metric_most(enum metric metric)
{
    const char *unit = metric_infos[metric].unit;
    switch (metric) {
    case METRIC_volume_change: case METRIC_turnover: case METRIC_opportunity_rate: case METRIC_usage_rate: case METRIC_usage_vs_expected:
        return INFINITY; /* per cent of what it is no part of */
    case METRIC_nps_lift: case METRIC_nps_gap: return 200; /* 100 less -100 */
    case METRIC_ces_mean: return 7;
    case METRIC_aht_csat_r: return 1;
    default:
        if (strcmp(unit, "scale") == 0)
            return 5;
        return strcmp(unit, "percent") == 0 || strcmp(unit, "points") == 0 ? 100 : INFINITY;
    }
}

double metric_least(enum metric metric)
{
    switch (metric) {
    case METRIC_nps_lift: return -200; /* -100 less 100 */
    case METRIC_nps: case METRIC_enps: case METRIC_scripted_csat_gap: case METRIC_csat_lift: case METRIC_conversion_lift: case METRIC_volume_change: return -100;
    case METRIC_aht_csat_r: return -1;
    case METRIC_ces_mean: return 1;
    default: return strcmp(metric_infos[metric].unit, "scale") == 0 ? 1 : 0; /* of counts, durations and costs none is below 0 */
    }
}

static struct metric_value channels_of(const struct row_view *view, enum gap gap)
{
    int64_t n = view->across.gap[gap].n;
    return (struct metric_value){.present = n > 0, .value = view->across.gap[gap].value, .n = n};
}

/* Difference of two shares; rests on the column's n, the first one's. */
static struct metric_value share_gap(int64_t k1, int64_t n1, int64_t k2, int64_t n2)
{
    struct metric_value value = metric_gap(k1, n1, k2, n2);
    value.n = 0;
    return value;
}

/* E.g. 12 after 10: 20 per cent. */
static struct metric_value growth(int64_t now, int64_t before)
{
    if (before <= 0)
        return (struct metric_value){0};
    return (struct metric_value){.present = true, .value = 100.0 * (double)(now - before) / (double)before};
}

static struct metric_value service_level(const struct row_view *view)
{
    switch ((enum abandons)view->config->abandons) {
#define SERVICE_LEVEL(policy, in, of, left_out, meaning, source) \
    case ABANDONS_##policy: return metric_percent(in, of);
#include "esteem/metrics.def"
    }
    return (struct metric_value){0};
}

/* A gap rests on so many channels, each of which has min_n; of one it says nothing. */
static struct metric_value finished(enum metric metric, struct metric_value value, int64_t column_n, int64_t min_n)
{
    if (!value.present || !isfinite(value.value))
        return (struct metric_value){0};
    if (value.n == 0)
        value.n = column_n;
    value.small = value.n < (metric_is_gap(metric) ? 2 : min_n);
    return value;
}

#define ratio metric_ratio
#define percent metric_percent
#define wilson metric_wilson
#define net metric_net
#define gap metric_gap
#define lift metric_newcombe
#define lift_ratio metric_share_ratio
#define correlation metric_correlation
#define percentile(histogram, share) metric_percentile(&view->dense, histogram, share)
#define channels(metric) channels_of(view, GAP_##metric)

struct metric_value metric_one(const struct row_view *view, enum metric metric)
{
    const struct config *config = view->config;
    switch (metric) {
#define METRIC(name, family, unit, direction, n, formula, meaning, source) \
    case METRIC_##name: return finished(METRIC_##name, formula, m(n), config->min_n);
#include "esteem/metrics.def"
    case METRIC_COUNT: break;
    }
    return (struct metric_value){0};
}

void metric_all(struct row_view *view)
{
    const struct config *config = view->config;
#define METRIC(name, family, unit, direction, n, formula, meaning, source) \
    view->metric[METRIC_##name] = finished(METRIC_##name, formula, m(n), config->min_n);
#include "esteem/metrics.def"
}
