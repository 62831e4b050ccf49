/* Histogram buckets, with the numbers of measure.h. */
#include <criterion/criterion.h>

#include "esteem/event.h"
#include "esteem/measure.h"

Test(measure, buckets_are_as_the_header_says)
{
    cr_expect_eq(histogram_bucket(63), 63);
    cr_expect_eq(histogram_bucket(64), 64);
    cr_expect_eq(histogram_bucket(65), 64);
    cr_expect_eq(histogram_bucket(126), 95);
    cr_expect_eq(histogram_bucket(127), 95);
    for (int v = 128; v <= 131; v++)
        cr_expect_eq(histogram_bucket(v), 96);
    cr_expect_eq(histogram_bucket(132), 97);
    cr_expect_eq(histogram_bucket(-1), 0);
}

Test(measure, a_bucket_begins_at_its_lower_bound)
{
    for (uint32_t bucket = 0; bucket < 960; bucket++) {
        int64_t low = histogram_low_ms(bucket);
        cr_expect_eq(histogram_bucket(low), bucket);
        cr_expect(low == 0 || histogram_bucket(low - 1) == bucket - 1);
    }
}

Test(measure, the_longest_handle_time_has_a_bucket)
{
    cr_expect_lt(histogram_bucket(3 * DURATION_MAX_MS), HISTOGRAM_BUCKETS);
    cr_expect_lt(histogram_id(HISTOGRAM_handle, histogram_bucket(3 * DURATION_MAX_MS)), TALLY_IDS);
}

Test(measure, the_middle_is_within_1_6_percent)
{
    for (int64_t v = 1; v < DURATION_MAX_MS; v += v / 50 + 1) {
        int64_t middle = histogram_middle_ms(histogram_bucket(v));
        cr_expect_leq((middle > v ? middle - v : v - middle) * 1000, 16 * v, "%lld", (long long)v);
    }
}

Test(measure, employee_figures_are_withheld_but_for_the_invitations)
{
    cr_expect(measure_is_employee(MEASURE_esat_n));
    cr_expect(measure_is_employee(MEASURE_enps_detractors));
    cr_expect(measure_is_employee(MEASURE_employee_survey_answered));
    cr_expect(measure_is_employee(MEASURE_employee_comments));
    cr_expect_not(measure_is_employee(MEASURE_employee_survey_sent));
    cr_expect_not(measure_is_employee(MEASURE_csat_n));
}
