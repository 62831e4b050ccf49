/* The formulas: intervals by hand, metrics over the integers of a row. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "esteem/row.h"
#include "support/settings.h"

static bool near(double a, double b)
{
    return fabs(a - b) < 5e-7;
}

/* ---- pure functions ---- */

Test(metric, a_ratio_without_denominator_is_absent)
{
    cr_expect_not(metric_ratio(5, 0).present);
    cr_expect_not(metric_percent(0, 0).present);
    cr_expect_not(metric_wilson(0, 0).present);
    cr_expect_not(metric_net(0, 0, 0).present);
    cr_expect(metric_ratio(0, 1).present);
}

Test(metric, a_ratio_rests_on_its_denominator)
{
    struct metric_value value = metric_ratio(51, 12);
    cr_expect_eq(value.value, 4.25);
    cr_expect_eq(value.n, 12);
    cr_expect_not(value.interval || value.margin || value.small);
}

Test(metric, wilson_gives_ten_of_twelve_the_interval_of_the_specification)
{
    struct metric_value value = metric_wilson(10, 12);
    cr_expect(near(value.value, 83.333333));
    cr_expect(near(value.low, 55.196914));
    cr_expect(near(value.high, 95.303486));
    cr_expect(value.interval && value.n == 12);
}

/* At 0 of n the interval is 0 to z^2 / (n + z^2): 3.84145888 / 13.84145888 for n = 10. */
Test(metric, wilson_has_a_width_at_both_ends)
{
    struct metric_value none = metric_wilson(0, 10), all = metric_wilson(10, 10);
    cr_expect(near(none.low, 0) && near(none.high, 27.753280));
    cr_expect(near(all.low, 100 - 27.753280) && near(all.high, 100));
}

/* p = 0.6, d = 0.2: variance 0.8 - 0.16 = 0.64, root of 0.64 / 10 = 0.252982, times 196.4 % */
Test(metric, net_gives_six_promoters_and_two_detractors_of_ten_forty)
{
    struct metric_value value = metric_net(6, 2, 10);
    cr_expect_eq(value.value, 40);
    cr_expect(near(value.moe, 49.583603));
    cr_expect(value.margin && !value.interval && value.n == 10);
}

Test(metric, net_has_no_margin_when_all_say_the_same)
{
    cr_expect_eq(metric_net(7, 0, 7).value, 100);
    cr_expect_eq(metric_net(7, 0, 7).moe, 0);
    cr_expect_eq(metric_net(0, 7, 7).value, -100);
    cr_expect_eq(metric_net(0, 0, 7).moe, 0);
}

/* ---- all metrics of a row ---- */

struct figure {
    uint32_t id;
    int64_t value;
};

static struct row_view *opened(const struct config *config, const struct figure *figures, int count)
{
    static struct row_view view;
    struct tally_run run;
    struct row head = {.rolling = true, .window_name = "5m", .tenant = "acme", .scope = "all"};
    tally_run_begin(&run);
    for (int i = 0; i < count; i++)
        tally_run_put(&run, figures[i].id, figures[i].value);
    tally_run_end(&run);
    static struct row *row;
    row_free(row);
    row = row_new(&head, run.bytes, run.length);
    row_open(&view, row, config);
    return &view;
}
#define OPENED(config, ...) \
    opened(config, (const struct figure[]){__VA_ARGS__}, (int)(sizeof((const struct figure[]){__VA_ARGS__}) / sizeof(struct figure)))

Test(metric, an_empty_row_has_no_metric_at_all)
{
    struct config *config = config_of("{}");
    const struct row_view *view = opened(config, NULL, 0);
    for (int i = 0; i < METRIC_COUNT; i++)
        cr_expect_not(view->metric[i].present, "%s", metric_infos[i].name);
    config_free(config);
}

Test(metric, handle_time_is_talk_hold_and_wrap)
{
    struct config *config = config_of("{}");
    const struct row_view *view = OPENED(config, {MEASURE_handled, 40}, {MEASURE_talk_ms, 9120000}, {MEASURE_hold_ms, 4000},
                                         {MEASURE_wrap_ms, 116000});
    cr_expect_eq(view->metric[METRIC_aht_ms].value, 231000);
    cr_expect_eq(view->metric[METRIC_aht_ms].n, 40);
    cr_expect_eq(view->metric[METRIC_talk_avg_ms].value, 228000);
    cr_expect_not(view->metric[METRIC_asa_ms].present);
    config_free(config);
}

Test(metric, below_min_n_a_metric_is_small)
{
    struct config *config = config_of("metrics: {min_n: 10}");
    cr_expect(OPENED(config, {MEASURE_csat_n, 9}, {MEASURE_csat_top, 9})->metric[METRIC_csat].small);
    cr_expect_not(OPENED(config, {MEASURE_csat_n, 10}, {MEASURE_csat_top, 9})->metric[METRIC_csat].small);
    config_free(config);
}

/* A = 8 answered with a known wait, B = 3 abandoned (1 short, 2 within the threshold), 6 answered in time. */
static struct metric_value service_level_under(const char *policy)
{
    char yaml[128];
    (void)snprintf(yaml, sizeof yaml, "metrics: {service_level: {abandons: %s}}", policy);
    struct config *config = config_of(yaml);
    struct metric_value value = OPENED(config, {MEASURE_wait_n, 8}, {MEASURE_answered_in_sl, 6}, {MEASURE_abandoned, 3},
                                       {MEASURE_abandoned_short, 1}, {MEASURE_abandoned_in_sl, 2})
                                    ->metric[METRIC_service_level];
    config_free(config);
    return value;
}

Test(metric, service_level_counts_abandonments_by_policy)
{
    cr_expect(near(service_level_under("negative").value, 54.54545454));
    cr_expect(near(service_level_under("positive").value, 72.72727272));
    cr_expect(near(service_level_under("ignore").value, 75));
    cr_expect(near(service_level_under("ignore_short").value, 60));
    cr_expect(near(service_level_under("after_threshold").value, 66.66666666));
}

Test(metric, service_level_rests_on_its_own_denominator)
{
    cr_expect_eq(service_level_under("negative").n, 11);
    cr_expect_eq(service_level_under("positive").n, 11);
    cr_expect_eq(service_level_under("ignore").n, 8);
    cr_expect_eq(service_level_under("ignore_short").n, 10);
    cr_expect_eq(service_level_under("after_threshold").n, 9);
}

Test(metric, service_level_is_zero_when_all_abandon_late_and_absent_when_all_abandon_short)
{
    struct config *config = config_of("{}");
    const struct row_view *view = OPENED(config, {MEASURE_abandoned, 3});
    cr_expect(view->metric[METRIC_service_level].present);
    cr_expect_eq(view->metric[METRIC_service_level].value, 0);
    view = OPENED(config, {MEASURE_abandoned, 3}, {MEASURE_abandoned_short, 3});
    cr_expect_not(view->metric[METRIC_service_level].present);
    config_free(config);
}

Test(metric, abandon_rate_leaves_short_ones_out_on_request)
{
    struct config *plain = config_of("{}"), *without = config_of("metrics: {abandon: {exclude_short: true}}");
#define ROW {MEASURE_offered, 20}, {MEASURE_abandoned, 5}, {MEASURE_abandoned_short, 2}
    cr_expect_eq(OPENED(plain, ROW)->metric[METRIC_abandon_rate].value, 25);
    cr_expect_eq(OPENED(without, ROW)->metric[METRIC_abandon_rate].value, 15);
#undef ROW
    config_free(plain);
    config_free(without);
}

Test(metric, expected_opportunities_are_contacts_times_the_assumed_rate)
{
    struct config *config = config_of("metrics: {opportunity: {assumed_rate: 0.2}}");
    struct metric_value value = OPENED(config, {MEASURE_closed, 40})->metric[METRIC_expected_opportunities];
    cr_expect(near(value.value, 8));
    cr_expect_eq(value.n, 40);
    cr_expect_not(OPENED(config, {MEASURE_uses, 4})->metric[METRIC_expected_opportunities].present);
    config_free(config);
}

static void put(struct tally_dense *dense, uint32_t bucket, int64_t count)
{
    struct tally_run run;
    tally_run_begin(&run);
    tally_run_put(&run, histogram_id(HISTOGRAM_wait, bucket), count);
    tally_run_end(&run);
    tally_dense_add(dense, run.bytes, run.length, 1);
}

static double percentile(const struct tally_dense *dense, int percent)
{
    struct metric_value value = metric_percentile(dense, HISTOGRAM_wait, percent);
    return value.present ? value.value : -1;
}

Test(metric, a_percentile_is_of_the_rank_that_its_share_reaches)
{
    static struct tally_dense dense;
    cr_expect_eq(percentile(&dense, 50), -1);
    for (uint32_t bucket = 10; bucket <= 30; bucket += 10)
        put(&dense, bucket, 1);
    cr_expect_eq(percentile(&dense, 1), 10);
    cr_expect_eq(percentile(&dense, 33), 10);
    cr_expect_eq(percentile(&dense, 34), 20);
    cr_expect_eq(percentile(&dense, 50), 20);
    cr_expect_eq(percentile(&dense, 67), 30);
    cr_expect_eq(percentile(&dense, 100), 30);
    put(&dense, 96, 97);
    cr_expect_eq(percentile(&dense, 50), 130);
}

Test(metric, a_percentile_is_the_middle_of_its_bucket_and_rests_on_the_counts)
{
    struct config *config = config_of("{}");
    uint32_t at_10 = histogram_id(HISTOGRAM_handle, 10), at_240s = histogram_id(HISTOGRAM_handle, histogram_bucket(240000));
    const struct row_view *view = OPENED(config, {MEASURE_handled, 7}, {at_10, 9}, {at_240s, 1});
    cr_expect_eq(view->metric[METRIC_aht_p50_ms].value, 10);
    cr_expect_eq(view->metric[METRIC_aht_p90_ms].value, 10, "rank 9 of 10");
    cr_expect_eq(view->metric[METRIC_aht_p95_ms].value, (double)histogram_middle_ms(histogram_bucket(240000)), "rank 10");
    cr_expect_eq(view->metric[METRIC_aht_p50_ms].n, 10, "not handled's 7");
    cr_expect_not(view->metric[METRIC_wait_p90_ms].present, "the other histogram is empty");
    config_free(config);
}

Test(metric, sums_at_the_end_of_int64_do_not_overflow)
{
    struct config *config = config_of("{}");
    const struct row_view *view = OPENED(config, {MEASURE_handled, 1}, {MEASURE_talk_ms, INT64_MAX}, {MEASURE_hold_ms, INT64_MAX},
                                         {MEASURE_wrap_ms, INT64_MAX});
    cr_expect(view->metric[METRIC_aht_ms].present);
    cr_expect(isfinite(view->metric[METRIC_aht_ms].value));
    config_free(config);
}

Test(metric, the_catalogue_tells_each_metric_in_words)
{
    cr_expect_str_eq(metric_infos[METRIC_aht_ms].name, "aht_ms");
    cr_expect_str_eq(metric_infos[METRIC_aht_ms].unit, "ms");
    cr_expect_str_eq(metric_infos[METRIC_aht_ms].direction, "down");
    cr_expect_str_eq(metric_infos[METRIC_aht_ms].formula, "(talk_ms + hold_ms + wrap_ms) / (handled)");
    cr_expect_eq(metric_infos[METRIC_aht_ms].family, FAMILY_AHT);
    for (int i = 0; i < METRIC_COUNT; i++)
        cr_expect(metric_infos[i].formula[0] && metric_infos[i].meaning[0] && metric_infos[i].source[0]);
}

/* Newcombe (1998), table II: 56/70 - 48/80. */
Test(metric, a_lift_has_newcombes_interval)
{
    struct metric_value lift = metric_newcombe(56, 70, 48, 80);
    cr_expect_float_eq(lift.value, 20, 1e-9);
    cr_expect_float_eq(lift.low, 5.24, 0.005);
    cr_expect_float_eq(lift.high, 33.39, 0.005);
    cr_expect_eq(lift.n, 150);
    cr_expect_not(metric_newcombe(5, 10, 0, 0).present);
    cr_expect_not(metric_share_ratio(5, 10, 0, 10).present, "nothing is a multiple of 0");
    cr_expect_float_eq(metric_share_ratio(5, 10, 2, 8).value, 2, 1e-9);
}

Test(metric, a_correlation_needs_three_pairs_that_vary)
{
    cr_expect_float_eq(metric_correlation(3, 6, 6, 14, 14, 14).value, 1, 1e-12); /* (1,1) (2,2) (3,3) */
    cr_expect_float_eq(metric_correlation(3, 6, 6, 14, 14, 10).value, -1, 1e-12); /* (1,3) (2,2) (3,1) */
    cr_expect_not(metric_correlation(2, 3, 3, 5, 5, 5).present);
    cr_expect_not(metric_correlation(3, 6, 6, 14, 12, 12).present, "one side is always 2");
    cr_expect_float_eq(metric_correlation(3, INT64_C(3000000000), 3, INT64_C(5000000000000000000), 5, INT64_C(5000000000)).value, 1, 1e-12, "beyond 64 bits");
}
