/* metric: the figures of metrics.def, worked out from a row's integers. Pure functions; any thread. */
#ifndef ESTEEM_METRIC_H
#define ESTEEM_METRIC_H

#include <stdbool.h>
#include <stdint.h>

#include "esteem/config.h"
#include "esteem/measure.h"
#include "esteem/tally.h"

enum metric {
#define METRIC(name, family, unit, direction, n, formula, meaning, source) METRIC_##name,
#include "esteem/metrics.def"
    METRIC_COUNT
};

struct metric_value {
    bool present; /* false: no denominator, `value` means nothing */
    bool small;   /* n below metrics.min_n */
    bool interval; /* low and high are given */
    bool margin;   /* moe is given */
    double value;
    int64_t n;
    double low, high; /* 95 % */
    double moe;
    const char *band; /* where it lies: "low", "middle", "high"; NULL: it has no bands */
};

struct metric_info {
    const char *name, *unit, *direction, *formula, *meaning, *source;
    enum family family;
    enum measure n;
};
extern const struct metric_info metric_infos[METRIC_COUNT];

/* service_level under each enum abandons. */
struct service_level_info {
    const char *name, *formula, *meaning, *source;
    enum measure left_out; /* MEASURE_COUNT: none */
};
enum { SERVICE_LEVEL_POLICIES = ABANDONS_AFTER_THRESHOLD + 1 };
extern const struct service_level_info service_level_infos[SERVICE_LEVEL_POLICIES];

/* a / b; absent when b is 0. */
struct metric_value metric_ratio(int64_t a, int64_t b);
/* 100 a / b. */
struct metric_value metric_percent(int64_t a, int64_t b);
/* Share of k among n in percent with Wilson's score interval, z = 1.959964 (E. B. Wilson, 1927).
 * E.g. 10 of 12: 83.333333, 55.196914 to 95.303486. */
struct metric_value metric_wilson(int64_t k, int64_t n);
/* Net score 100 (p - d) and its margin 100 z sqrt((p + d - (p - d)^2) / n). E.g. 6 promoters and 2 detractors of 10:
 * 40, margin 49.58. */
struct metric_value metric_net(int64_t promoters, int64_t detractors, int64_t n);

/* Difference of two shares in percent points; absent when one has no n; rests on both. E.g. 9 of 10 less 6 of 12: 40. */
struct metric_value metric_gap(int64_t k1, int64_t n1, int64_t k2, int64_t n2);
/* The same with Newcombe's interval from the two Wilson intervals (R. G. Newcombe, 1998, method 10).
 * E.g. 56 of 70 less 48 of 80: 20, 5.24 to 33.39. */
struct metric_value metric_newcombe(int64_t k1, int64_t n1, int64_t k2, int64_t n2);
/* Ratio of two shares; absent when the second is 0. */
struct metric_value metric_share_ratio(int64_t k1, int64_t n1, int64_t k2, int64_t n2);
/* The middle of the bucket of rank ceil(percent / 100 * n), n being all that the histogram counts; absent when that is nothing. `percent` 1 to 100.
 * E.g. one each at 10, 20, 30 ms: percent 50 has rank 2 -> 20. */
struct metric_value metric_percentile(const struct tally_dense *dense, enum histogram histogram, int percent);
/* Pearson's r of sums; absent for fewer than 3 pairs, or where one side does not vary. E.g. (1,1) (2,2) (3,3): 1. */
struct metric_value metric_correlation(int64_t n, int64_t x, int64_t y, int64_t xx, int64_t yy, int64_t xy);

/* ---- what a figure takes from other rows of its window: their fold fills it in ---- */

enum gap { GAP_csat, GAP_nps, GAP_aht_ms, GAP_service_level, GAP_COUNT };
extern const enum metric gap_metrics[GAP_COUNT]; /* of which the channels' figures are compared */

struct metric_across { /* all 0: nothing to compare with */
    struct {
        double value; /* largest less smallest */
        int64_t n;    /* channels whose figure rests on metrics.min_n or more; 0: absent */
    } gap[GAP_COUNT];
#define METRIC_ACROSS(X) X(others_closed) X(others_converted) X(week_earlier_closed)
#define X(name) int64_t name;
    METRIC_ACROSS(X) /* the tenant's other channels; the same hour, day or week of the week before */
#undef X
};
/* Whether the metric needs more than its own row's integers. */
bool metric_is_across(enum metric metric);
/* The largest less the smallest of a key's channels. */
bool metric_is_gap(enum metric metric);
/* The most that its unit and its scale let it be; INFINITY: no such bound. E.g. csat 100, csat_mean 5, aht_ms none. */
double metric_most(enum metric metric);
/* The least, likewise. E.g. nps -100, csat_mean 1, aht_ms 0. */
double metric_least(enum metric metric);

struct row_view;
/* One metric of a view whose integers are there. */
struct metric_value metric_one(const struct row_view *view, enum metric metric);
/* All metrics of a view whose integers are there. */
void metric_all(struct row_view *view);

#endif
