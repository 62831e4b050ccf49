/* Figures in words, from rows as they are printed. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "esteem/err.h"
#include "esteem/explain.h"
#include "support/settings.h"

/* `others`: rows that it is told with, as JSON, or "null". */
static char *told_with(const char *json, const char *others, const char *name, const struct config *config)
{
    char *text = NULL;
    size_t size;
    jv row = jv_parse(json), with = jv_parse(others);
    cr_assert(jv_is_valid(row) && jv_is_valid(with));
    FILE *out = open_memstream(&text, &size);
    cr_assert_eq(explain_row(row, with, name, config, out), 0, "%s", err_text());
    fclose(out);
    jv_free(row);
    jv_free(with);
    return text;
}

static char *told_row(const char *json, const char *name, const struct config *config)
{
    return told_with(json, "null", name, config);
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
           "from 2026-11-22T14:00:00Z until before 2026-11-22T15:00:00Z; final", "HGET 'esteem:v1:{acme}:queue=billing:hour:last' row",
           "as long as no newer one is over; key in a topic acme|queue=billing|hour|2026-11-22T14:00:00Z\n");
    EXPECT(HEAD("hour", "false") "\"measures\":{},\"metrics\":{}}", "{}", "csat", "HGET 'esteem:v1:{acme}:queue=billing:hour' row",
           "when its window is over, the same with :last behind the key; key in a topic");
}

Test(explain, a_key_is_told_as_it_lies_in_redis)
{
    EXPECT("{\"v\":1,\"tenant\":\"a b\",\"scope\":{\"queue\":\"c,d\"},\"window\":\"hour\",\"start\":\"2026-11-22T14:00:00Z\","
           "\"end\":\"2026-11-22T15:00:00Z\",\"revision\":1,\"final\":true,\"partial\":false,\"measures\":{},\"metrics\":{}}",
           "{}", "csat", "a b, queue=c%2Cd, window hour\n", "HGET 'esteem:v1:{a%20b}:queue=c%2Cd:hour:last' row",
           "key in a topic a%20b|queue=c%2Cd|hour|2026-11-22T14:00:00Z\n");
}

#define RELOADED(since, configs) HEAD("1d", "false") since "\"config\":\"77802e9e\"" configs \
    ",\"measures\":{\"wait_n\":1,\"answered_in_sl\":1},\"metrics\":{\"service_level\":{\"value\":100,\"n\":1}}}"

/* One contact was answered after 12 s; then the threshold became 10 s. */
Test(explain, a_row_that_a_reload_met_says_so)
{
    EXPECT(RELOADED("", ",\"configs\":[\"88bd4d14\",\"77802e9e\"]"), "metrics: {service_level: {threshold: 10s}}", "service_level",
           "mixed     settings changed while it ran, under 88bd4d14, 77802e9e: what was counted before a change stays as it was counted\n");
    EXPECT(RELOADED("\"since\":\"2026-11-22T14:30:00Z\",", ""), "{}", "service_level", "since     whole from 2026-11-22T14:30:00Z on: ");
    char *text = told_row(RELOADED("", ""), "service_level", NULL);
    cr_expect(strstr(text, "mixed") == NULL && strstr(text, "since ") == NULL);
    free(text);
}

#define ADOPTION(active) HEAD("week", "true") "\"measures\":{\"active_agents\":" active ",\"eligible_agents\":9}," \
    "\"metrics\":{\"adoption\":{\"value\":100,\"n\":9}}}"

/* An agent moved to another team in the roster, but not in the events. */
Test(explain, an_adoption_beyond_all_says_why)
{
    EXPECT(ADOPTION("10"), "{}", "adoption", "more used it than are eligible: contacts name a team in which the roster does not have the agent");
    char *text = told_row(ADOPTION("9"), "adoption", NULL);
    cr_expect(strstr(text, "more used it") == NULL);
    free(text);
}

/* "Of those" refers to the measure before. */
Test(explain, what_was_counted_is_told_in_the_order_of_the_table)
{
    char *text = told_row(CSAT, "csat", NULL);
    const char *all = strstr(text, "csat_n 115: "), *top = strstr(text, "csat_top 86: ");
    cr_expect(all && top && all < top, "%s", text);
    free(text);
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
    cr_expect_eq(explain_row(row, jv_null(), "csatt", NULL, stdout), ERR_USAGE);
    cr_expect(strstr(err_text(), "csatt"));
    cr_expect_eq(explain_row(none, jv_null(), "csat", NULL, stdout), ERR_DATA);
    jv_free(row);
    jv_free(none);
}

/* ---- held against something else ---- */

#define BASELINE "baseline: {from: 2026-09-01, to: 2026-10-01, metrics: [csat, aht_ms]}"

Test(explain, a_change_is_told_with_its_period_and_the_value_then)
{
    EXPECT(HEAD("hour", "true") "\"measures\":{\"csat_n\":10,\"csat_top\":8},\"metrics\":{\"csat\":{\"value\":80,\"n\":10},"
           "\"csat_change\":{\"value\":5,\"n\":10}}}", BASELINE, "csat_change",
           "csat_change: 5 points\n", "2026-09-01 until before 2026-10-01", "80 % now, 75 % then: the difference in points\n");
    EXPECT(HEAD("hour", "true") "\"measures\":{},\"metrics\":{\"aht_ms\":{\"value\":198000,\"n\":3},"
           "\"aht_ms_change\":{\"value\":10,\"n\":3,\"small\":true}}}", BASELINE, "aht_ms_change",
           "aht_ms_change: 10 %\n", "198000 ms (3 min 18 s) now, 180000 ms (3 min 0 s) then", "it rests on 3, which is below metrics.min_n");
    EXPECT(CSAT, NULL, "csat_change", "csat_change: no value\n", "-c FILE tells its period\n", "csat has no figure here, or had none in the baseline\n");
}

#define GOALS "goals: [{name: calls, metric: aht_ms, scope: [queue], window: hour, target: 200000}," \
    "{name: uses, measure: uses, scope: [queue], window: hour, target: 2, direction: up}]"

Test(explain, a_goal_is_told_with_its_target_and_direction)
{
    const char *row = HEAD("hour", "true") "\"measures\":{},\"metrics\":{\"goal.calls\":{\"value\":75,\"n\":20,\"met\":true},"
                      "\"goal.uses\":{\"value\":50,\"n\":1,\"met\":false}}}";
    EXPECT(row, GOALS, "goal.calls", "goal.calls: 75 % of the target, met\n", "aht_ms of 200000 ms (3 min 20 s) or less\n",
           "goal.calls = 100 * aht_ms / target = 100 * 150000 ms (2 min 30 s) / 200000 ms (3 min 20 s) = 75 %\n");
    EXPECT(row, GOALS, "goal.uses", "50 % of the target, missed\n", "uses of 2 or more\n", "100 * 1 / 2 = 50 %\n");
    EXPECT(row, NULL, "goal.calls", "75 % of the target, met\n", "-c FILE tells the target");
    EXPECT(CSAT, GOALS, "goal.calls", "goal.calls: no value\n", "the goal is not about this row");
}

#define DAILY "windows: {timezone: Europe/Berlin}\ngoals: [{name: uses, measure: uses, per: day, scope: [queue], window: week, target: 2, direction: up}]"
#define WEEK "{\"v\":1,\"tenant\":\"acme\",\"scope\":{\"queue\":\"billing\"},\"window\":\"week\",\"start\":\"2026-10-18T22:00:00Z\"," \
    "\"end\":\"2026-10-25T23:00:00Z\",\"final\":true,\"partial\":false,\"measures\":{\"uses\":7},\"metrics\":{\"goal.uses\":{\"value\":50,\"n\":7,\"met\":false}}}"

/* The week in which clocks go back: its Sunday has 25 hours. */
Test(explain, a_goal_a_day_is_told_with_its_days)
{
    struct config *config = config_of(DAILY);
    char *text = told_with(WEEK, "[{\"start\":\"2026-10-18T22:00:00Z\",\"measures\":{\"uses\":5}},{\"start\":\"2026-10-24T22:00:00Z\",\"measures\":{\"uses\":2}},"
                                 "{\"start\":\"2026-10-25T23:00:00Z\",\"measures\":{\"uses\":9}}]", "goal.uses", config);
    cr_expect_eq(explain_wants("goal.uses", config), EXPLAIN_DAYS);
    cr_expect(strstr(text, "uses a day of 2 or more\n"), "%s", text);
    cr_expect(strstr(text, "goal.uses = 100 * uses / days / target = 100 * 7 / 7 / 2 = 50 %\n"), "%s", text);
    cr_expect(strstr(text, "  days      2026-10-19: 5, met\n            2026-10-20: 0, missed\n"), "%s", text);
    cr_expect(strstr(text, "2026-10-24: 0, missed\n            2026-10-25: 2, met\n"), "%s", text);
    cr_expect_not(strstr(text, "2026-10-26: "), "%s", text);
    free(text);
    config_free(config);
    EXPECT(WEEK, DAILY, "goal.uses", "  days      not at hand: rows of the window day");
}

Test(explain, what_the_configuration_does_not_name_is_refused)
{
    jv row = jv_parse(CSAT);
    struct config *config = config_of(GOALS);
    cr_expect_eq(explain_row(row, jv_null(), "goal.none", config, stdout), ERR_USAGE);
    cr_expect_eq(explain_row(row, jv_null(), "csat_change", config, stdout), ERR_USAGE);
    cr_expect_eq(explain_row(row, jv_null(), "csatt_change", config, stdout), ERR_USAGE);
    config_free(config);
    jv_free(row);
}

#define CHANNEL(channel, value, more) \
    "{\"scope\":{\"queue\":\"billing\",\"channel\":\"" channel "\"},\"metrics\":{\"csat\":{\"value\":" value ",\"n\":30" more "}}}"

Test(explain, a_gap_is_told_by_its_channels)
{
    static const char *const row = HEAD("hour", "true") "\"measures\":{},\"metrics\":{\"csat_gap\":{\"value\":20,\"n\":2}}}";
    char *text = told_with(row, "[" CHANNEL("chat", "90", "") "," CHANNEL("fax", "10", ",\"small\":true") "," CHANNEL("voice", "70", "") "]", "csat_gap", NULL);
    cr_expect(strstr(text, "chat: 90 %, n 30 (largest)\n"), "%s", text);
    cr_expect(strstr(text, "fax: 10 %, n 30: below metrics.min_n, it is not compared\n"), "%s", text);
    cr_expect(strstr(text, "voice: 70 %, n 30 (smallest)\n"), "%s", text);
    free(text);
    text = told_row(row, "csat_gap", NULL);
    cr_expect(strstr(text, "redis-cli HGET 'esteem:v1:{acme}:channel=CHANNEL,queue=billing:hour' csat\n"), "%s", text);
    free(text);
}

Test(explain, what_compares_with_other_contacts_tells_them)
{
    EXPECT(HEAD("hour", "true") "\"measures\":{\"closed\":50,\"converted\":6},\"metrics\":{\"conversion_lift\":{\"value\":4,\"n\":50}}}", "{}", "conversion_lift",
           "6 / 50 = 12 % here, 8 % in the tenant's other channels together\n");
    EXPECT(HEAD("hour", "true") "\"measures\":{\"closed\":12},\"metrics\":{\"volume_change\":{\"value\":20,\"n\":12}}}", "{}", "volume_change",
           "12 contacts closed now, 10 in the same hour of the week before\n");
}

Test(explain, what_a_formula_does_not_say_is_noted)
{
    EXPECT(HEAD("day", "true") "\"measures\":{\"closed\":10,\"fcr_known\":8,\"fcr\":6},\"metrics\":{\"fcr_rate\":{\"value\":75,\"n\":8}}}",
           "metrics: {fcr: {window: 3d}}", "fcr_rate", "fcr / fcr_known = 6 / 8 = 75 %\n", "metrics.fcr.window: 3d", "by any channel or queue; outbound",
           "2 closed contacts whose customer is not known\n");
    EXPECT(HEAD("day", "true") "\"measures\":{\"active_agents\":1,\"eligible_agents\":10,\"agents_left\":2,\"use_cost\":1500},"
           "\"metrics\":{\"adoption\":{\"value\":10,\"n\":10,\"band\":\"low\"}}}", "{}", "adoption", "adoption: 10 %, which is low\n",
           "1 / 10 = 10 %", "low is below 20 %, high from 80 % on\n", "enrolled at the window's end");
    EXPECT(HEAD("day", "true") "\"measures\":{\"busy_ms\":6000,\"wrap_state_ms\":1000,\"ready_ms\":3000},"
           "\"metrics\":{\"occupancy\":{\"value\":70,\"n\":6000}}}", "{}", "occupancy", "(6000 + 1000) / (6000 + 1000 + 3000) = 70 %\n", "time away or offline is on neither side");
    EXPECT(HEAD("day", "true") "\"measures\":{\"handled\":2,\"talk_ms\":480000,\"segment_ms\":480000,\"engaged_ms\":240000},"
           "\"metrics\":{\"concurrent_aht_ms\":{\"value\":120000,\"n\":2},\"concurrency\":{\"value\":2,\"n\":480000}}}", "{}", "concurrent_aht_ms",
           "120000 ms (2 min 0 s)", "2 minutes each\n");
    EXPECT(HEAD("day", "true") "\"measures\":{\"segment_ms\":480000,\"engaged_ms\":240000},\"metrics\":{\"concurrency\":{\"value\":2,\"n\":480000}}}", "{}",
           "concurrency", "480000 / 240000 = 2\n", "one contact at a time");
    EXPECT(HEAD("day", "true") "\"measures\":{\"agents_left\":2,\"eligible_agents\":10},\"metrics\":{\"turnover\":{\"value\":20,\"n\":10}}}", "{}", "turnover",
           "2 / 10 = 20 %\n", "over this window, not a year");
    EXPECT(HEAD("day", "true") "\"measures\":{\"active_agents\":2,\"use_cost\":3000},\"metrics\":{\"spend_per_agent\":{\"value\":1500,\"n\":2}}}", "{}",
           "spend_per_agent", "3000 / 2 = 1500", "not among all who may");
    EXPECT(HEAD("day", "true") "\"measures\":{\"eligible_agents\":10},\"metrics\":{}}", "{}", "eligible_agents", "eligible_agents: 10\n", "roster.file at the window's end");
}
