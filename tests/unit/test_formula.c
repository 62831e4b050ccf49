/* Formulas as they are read from the table, by name and with integers; the manual's example. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "esteem/formula.h"
#include "support/settings.h"

static char *formula(enum metric metric, const struct config *config, const struct row_view *view)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    formula_put(metric, config, view, out);
    fclose(out);
    return text;
}

Test(formula, a_setting_chooses_the_branch_and_stands_for_its_key)
{
    struct config *config = config_of("metrics: {abandon: {exclude_short: true}, opportunity: {assumed_rate: 0.25}}");
    char *by_name = formula(METRIC_abandon_rate, NULL, NULL), *chosen = formula(METRIC_abandon_rate, config, NULL),
         *product = formula(METRIC_expected_opportunities, config, NULL);
    cr_expect_str_eq(by_name, "100 * (abandoned - (metrics.abandon.exclude_short ? abandoned_short : 0)) / offered");
    cr_expect_str_eq(chosen, "100 * (abandoned - abandoned_short) / offered");
    cr_expect_str_eq(product, "closed * 0.25");
    free(by_name);
    free(chosen);
    free(product);
    config_free(config);
}

/* Who adds a metric gives the example of the manual the integers that it needs. */
Test(formula, the_example_has_every_metric_and_its_sums_are_those_of_its_durations)
{
    static struct row_view view;
    struct config *config = config_of("{}");
    formula_example(&view, config);
    for (int i = 0; i < METRIC_COUNT; i++)
        cr_expect(view.metric[i].present, "%s", metric_infos[i].name);
    cr_expect_eq(view.metric[METRIC_aht_p50_ms].n, view.measure[MEASURE_handled]);
    cr_expect_eq(view.metric[METRIC_wait_p90_ms].n, view.measure[MEASURE_wait_n]);
    cr_expect_eq(view.measure[MEASURE_wait_ms], (4 + 6 + 9 + 11 + 14 + 18 + 36 + 50) * 1000);
    config_free(config);
}

Test(formula, the_measures_of_a_metric_are_those_that_it_names)
{
    enum measure measures[8];
    cr_expect_eq(formula_measures(METRIC_nps, NULL, measures, 8), 3);
    cr_expect(measures[0] == MEASURE_nps_promoters && measures[1] == MEASURE_nps_detractors && measures[2] == MEASURE_nps_n);
    cr_expect_eq(formula_measures(METRIC_aht_p50_ms, NULL, measures, 8), 0);
}

Test(formula, integers_stand_for_names_and_brackets_around_one_name_go)
{
    static struct row_view view;
    struct config *config = config_of("metrics: {service_level: {abandons: after_threshold}}");
    formula_example(&view, config);
    char *csat = formula(METRIC_csat, config, &view), *names = formula(METRIC_csat, config, NULL), *level = formula(METRIC_service_level, config, &view);
    cr_expect_str_eq(names, "100 * csat_top / csat_n");
    cr_expect_str_eq(csat, "100 * 10 / 12");
    cr_expect_str_eq(level, "100 * 6 / (8 + 3 - 2)");
    free(csat);
    free(names);
    free(level);
    config_free(config);
}

Test(formula, a_percentile_is_known_by_its_share_and_histogram)
{
    enum histogram histogram = HISTOGRAM_COUNT;
    cr_expect_eq(formula_percentile(METRIC_aht_p95_ms, &histogram), 95);
    cr_expect_eq(histogram, HISTOGRAM_handle);
    cr_expect_eq(formula_percentile(METRIC_wait_p90_ms, &histogram), 90);
    cr_expect_eq(histogram, HISTOGRAM_wait);
    cr_expect_eq(formula_percentile(METRIC_csat, &histogram), 0);
}
