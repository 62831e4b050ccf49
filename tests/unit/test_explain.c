/* Figures in words, from rows as they are printed. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "esteem/err.h"
#include "esteem/explain.h"
#include "support/settings.h"

static char *told_row(const char *json, const char *name, const struct config *config)
{
    char *text = NULL;
    size_t size;
    jv row = jv_parse(json);
    cr_assert(jv_is_valid(row));
    FILE *out = open_memstream(&text, &size);
    cr_assert_eq(explain_row(row, name, config, out), 0, "%s", err_text());
    fclose(out);
    jv_free(row);
    return text;
}

#define HEAD(window, final) \
    "{\"v\":1,\"tenant\":\"acme\",\"scope\":{\"queue\":\"billing\"},\"window\":\"" window "\",\"start\":\"2026-11-22T14:00:00Z\"," \
    "\"end\":\"2026-11-22T15:00:00Z\",\"revision\":1,\"final\":" final ",\"partial\":false,"

/* Tells `name` of a row under settings (NULL: none), and looks for each line of `lines` (NULL ends it). */
static void expect(const char *row, const char *yaml, const char *name, const char *const *lines)
{
    struct config *config = yaml ? config_of(yaml) : NULL;
    char *text = told_row(row, name, config);
    for (; *lines; lines++)
        cr_expect(strstr(text, *lines), "\"%s\" is not in:\n%s", *lines, text);
    free(text);
    if (config)
        config_free(config);
}
#define EXPECT(row, yaml, name, ...) expect(row, yaml, name, (const char *const[]){__VA_ARGS__, NULL})

#define CSAT HEAD("hour", "true") "\"measures\":{\"survey_answered\":120,\"csat_n\":115,\"csat_top\":86}," \
    "\"metrics\":{\"csat\":{\"value\":74.782609,\"n\":115,\"low\":66.132996,\"high\":81.830064}}}"

Test(explain, csat_is_told_with_its_integers_and_its_interval)
{
    EXPECT(CSAT, "{}", "csat", "csat: 74.78 %\n", "csat = csat_top / csat_n = 86 / 115 = 74.78 %\n",
           "between 66.1 and 81.8 % with 95 % confidence\n", "5 answers without a CSAT score\n", "metrics.csat.top_box: 4 (",
           "from 2026-11-22T14:00:00Z until before 2026-11-22T15:00:00Z; final", "HGET 'esteem:v1:{acme}:queue=billing:hour' row");
}

Test(explain, without_a_configuration_no_setting_is_told)
{
    char *text = told_row(CSAT, "csat", NULL);
    cr_expect(strstr(text, "settings  not named"));
    cr_expect_not(strstr(text, "top_box: 4"));
    free(text);
}

Test(explain, the_window_is_told_in_the_tenants_zone)
{
    EXPECT(CSAT, "tenants: {acme: {timezone: Asia/Kolkata}}", "csat", "in Asia/Kolkata 2026-11-22 19:30:00 to 2026-11-22 20:30:00\n");
}

#define SERVICE(value, n) HEAD("hour", "true") "\"measures\":{\"answered\":9,\"wait_n\":8,\"answered_in_sl\":6,\"abandoned\":3,\"abandoned_short\":1," \
    "\"abandoned_in_sl\":2},\"metrics\":{\"service_level\":{\"value\":" value ",\"n\":" n "}}}"

Test(explain, service_level_is_told_by_its_policy)
{
    EXPECT(SERVICE("60", "10"), "{}", "service_level", "answered_in_sl / (wait_n + abandoned - abandoned_short) = 6 / (8 + 3 - 1) = 60 %\n",
           "1 answered contacts whose wait is not known", "1 abandoned within short_abandon: short abandonments do not count",
           "metrics.service_level.threshold: 20s", "metrics.service_level.abandons: ignore_short");
    EXPECT(SERVICE("72.727273", "11"), "metrics: {service_level: {abandons: positive}}", "service_level",
           "(answered_in_sl + abandoned_in_sl) / (wait_n + abandoned) = (6 + 2) / (8 + 3) = 72.73 %\n", "no abandoned contact: one abandoned within");
    EXPECT(SERVICE("75", "8"), "metrics: {service_level: {abandons: ignore}}", "service_level", "answered_in_sl / wait_n = 6 / 8 = 75 %\n",
           "3 contacts that left before any answer: abandoned contacts do not count");
}

Test(explain, a_row_made_under_other_settings_is_noticed)
{
    EXPECT(SERVICE("75", "8"), "{}", "service_level", "= 6 / (8 + 3 - 1) = 60 %\n", "but the row says 75 %: it was made under other settings than these\n");
    EXPECT(SERVICE("75", "8"), NULL, "service_level", "but the row says 75 %: it was made under other settings than the defaults; name them with -c FILE\n");
    char *text = told_row(SERVICE("60", "10"), "service_level", NULL);
    cr_expect_not(strstr(text, "but the row says"));
    free(text);
}

Test(explain, aht_is_told_in_minutes_as_well)
{
    EXPECT(HEAD("5m", "false") "\"measures\":{\"handled\":10,\"talk_ms\":2250000,\"hold_ms\":40000,\"wrap_ms\":120000},"
           "\"metrics\":{\"aht_ms\":{\"value\":241000,\"n\":10}}}", "{}", "aht_ms",
           "aht_ms = (talk_ms + hold_ms + wrap_ms) / handled = (2250000 + 40000 + 120000) / 10 = 241000 ms (4 min 1 s)\n", "a rolling window: it moves on\n");
}

Test(explain, nps_is_told_with_its_margin_and_with_who_counts_for_neither_side)
{
    EXPECT(HEAD("hour", "false") "\"measures\":{\"survey_answered\":10,\"nps_n\":10,\"nps_promoters\":6,\"nps_detractors\":2},"
           "\"metrics\":{\"nps\":{\"value\":40,\"n\":10,\"moe\":49.583603}}}", "{}", "nps",
           "nps = 100 * (nps_promoters - nps_detractors) / nps_n = 100 * (6 - 2) / 10 = 40 points\n", "give or take 49.6 points with 95 % confidence\n",
           "2 scores of 7 and 8", "not final: it still changes\n");
}

Test(explain, a_percentile_is_told_by_its_rank_and_as_approximate)
{
    EXPECT(HEAD("hour", "true") "\"measures\":{},\"metrics\":{\"aht_p90_ms\":{\"value\":61500,\"n\":11}}}", "{}", "aht_p90_ms",
           "number 10 of 11 sorted handle times = 61500 ms (1 min 1 s)\n", "within 1.6 % of the true one\n");
}

Test(explain, small_is_told_with_its_bound)
{
    EXPECT(HEAD("hour", "true") "\"measures\":{\"csat_n\":2,\"csat_top\":1},\"metrics\":{\"csat\":{\"value\":50,\"n\":2,\"small\":true}}}", "metrics: {min_n: 10}", "csat",
           "it rests on 2, which is below metrics.min_n (10)");
}

Test(explain, without_a_denominator_it_says_so)
{
    EXPECT(HEAD("hour", "true") "\"measures\":{\"offered\":3},\"metrics\":{}}", "{}", "csat", "csat: no value\n", "csat = csat_top / csat_n = 0 / 0\n",
           "it divides by 0: there is nothing that it could rest on (csat_n: answers with a CSAT)\n");
    EXPECT(HEAD("hour", "true") "\"measures\":{\"offered\":3},\"metrics\":{}}", "{}", "expected_opportunities", "closed * 0.15 = 0 * 0.15\n",
           "nothing was counted that it could rest on (closed: ");
}

#define EMPLOYEES "\"measures\":{\"esat_n\":5,\"employee_survey_answered\":5},\"metrics\":{}}"
#define NO_EMPLOYEES "\"measures\":{\"offered\":5},\"metrics\":{}}"

Test(explain, employees_figures_are_withheld_with_the_rule_that_does_it)
{
    EXPECT(HEAD("hour", "true") NO_EMPLOYEES, "{}", "esat_n", "esat_n: withheld\n", "rows of a day, week or month only; this is hour\n");
    EXPECT(HEAD("5m", "false") NO_EMPLOYEES, "{}", "esat_n", "rows of a day, week or month only; this is 5m\n");
    EXPECT(HEAD("day", "false") NO_EMPLOYEES, "{}", "esat_n", "final rows only; this one still changes\n");
    EXPECT(HEAD("day", "true") NO_EMPLOYEES, "{}", "esat_n", "fewer than privacy.min_employees (5) employees' answers");
    EXPECT(HEAD("day", "true") EMPLOYEES, "{}", "esat_n", "esat_n: 5\n");
}

Test(explain, what_is_no_metric_or_no_row_is_refused)
{
    jv row = jv_parse(HEAD("hour", "true") "\"measures\":{},\"metrics\":{}}"), none = jv_parse("{\"tenant\":\"a\"}");
    cr_expect_eq(explain_row(row, "csatt", NULL, stdout), ERR_USAGE);
    cr_expect(strstr(err_text(), "csatt"));
    cr_expect_eq(explain_row(none, "csat", NULL, stdout), ERR_DATA);
    jv_free(row);
    jv_free(none);
}
