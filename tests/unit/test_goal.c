/* Goals: what they are about, and when they are met. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "esteem/goal.h"
#include "support/figures.h"
#include "support/settings.h"

#define DAY INT64_C(86400000)
static struct config *config;
static struct row_view *view;

static void begin(void)
{
    config = config_of("windows: {rolling: [1h], calendar: [day, month]}\nscopes: [[], [team], [agent]]\ngoals:\n"
                       "- {name: csat, metric: csat, scope: [team], match: {team: north}, window: month, target: 80}\n"
                       "- {name: aht, metric: aht_ms, scope: [team], window: 1h, target: 200000}\n"
                       "- {name: uses, measure: uses, per: day, scope: [agent], window: month, target: 2, direction: up}\n"
                       "- {name: spend, measure: use_cost, scope: [agent], window: month, target: 5000, direction: down}\n");
    view = calloc(1, sizeof *view);
}

static void end(void)
{
    free((void *)(uintptr_t)view->row);
    free(view);
    config_free(config);
}

TestSuite(goal, .init = begin, .fini = end);

static void given(bool rolling, int window, enum dimension dimension, const char *value, const struct tally_run *run)
{
    struct row head = {.config = config, .rolling = rolling, .window = (uint8_t)window, .start_ms = 0, .end_ms = 30 * DAY, .window_name = "", .tenant = "acme",
                       .scope = "", .value_count = 1, .value_dimension = {(uint8_t)dimension}, .value = {value}};
    free((void *)(uintptr_t)view->row);
    row_open(view, row_new(&head, run->bytes, run->length), config);
}

static bool about(int goal)
{
    return goal_is_about(&config->goal[goal], view->row);
}

static struct goal_figure figure_of(int goal)
{
    return goal_of(&config->goal[goal], view);
}

Test(goal, is_about_its_scope_its_window_and_the_values_that_it_names)
{
    given(false, CALENDAR_MONTH, DIMENSION_team, "north", run_of(MEASURE_csat_n, 10));
    cr_expect(about(0) && !about(1) && !about(2));
    given(false, CALENDAR_MONTH, DIMENSION_team, "south", run_of(MEASURE_csat_n, 10));
    cr_expect_not(about(0));
    given(false, CALENDAR_DAY, DIMENSION_team, "north", run_of(MEASURE_csat_n, 10));
    cr_expect_not(about(0));
    given(true, 0, DIMENSION_team, "south", run_of(MEASURE_csat_n, 10));
    cr_expect(about(1) && !about(0));
    given(false, CALENDAR_MONTH, DIMENSION_agent, "ann", run_of(MEASURE_uses, 1));
    cr_expect(about(2) && about(3) && !about(0));
}

Test(goal, up_is_met_at_its_target_and_above)
{
    given(false, CALENDAR_MONTH, DIMENSION_team, "north", run_of2(MEASURE_csat_n, 20, MEASURE_csat_top, 15));
    struct goal_figure figure = figure_of(0);
    cr_expect(figure.present && !figure.met && figure.value == 75 && figure.attainment == 93.75 && figure.n == 20);
    cr_expect_eq(goal_shortfall(&config->goal[0], figure.attainment), 6.25);
    given(false, CALENDAR_MONTH, DIMENSION_team, "north", run_of2(MEASURE_csat_n, 20, MEASURE_csat_top, 16));
    cr_expect(figure_of(0).met && figure_of(0).attainment == 100);
    given(false, CALENDAR_MONTH, DIMENSION_team, "north", run_of2(MEASURE_csat_n, 20, MEASURE_csat_top, 17));
    cr_expect(figure_of(0).met);
}

Test(goal, down_is_met_at_its_target_and_below)
{
    given(true, 0, DIMENSION_team, "north", run_of2(MEASURE_handled, 10, MEASURE_talk_ms, 2000000));
    cr_expect(figure_of(1).met && figure_of(1).attainment == 100);
    given(true, 0, DIMENSION_team, "north", run_of2(MEASURE_handled, 10, MEASURE_talk_ms, 1500000));
    cr_expect(figure_of(1).met && figure_of(1).attainment == 75);
    given(true, 0, DIMENSION_team, "north", run_of2(MEASURE_handled, 10, MEASURE_talk_ms, 2500000));
    cr_expect(!figure_of(1).met && goal_shortfall(&config->goal[1], figure_of(1).attainment) == 25);
}

Test(goal, of_a_measure_counts_days_and_is_never_small)
{
    given(false, CALENDAR_MONTH, DIMENSION_agent, "ann", run_of2(MEASURE_uses, 45, MEASURE_use_cost, 5001));
    struct goal_figure uses = figure_of(2), spend = figure_of(3);
    cr_expect(uses.value == 1.5 && uses.attainment == 75 && !uses.met && uses.n == 45 && !uses.small);
    cr_expect(!spend.met && spend.n == 5001);
    given(false, CALENDAR_MONTH, DIMENSION_agent, "ann", run_of2(MEASURE_uses, 1, MEASURE_use_cost, 5000));
    cr_expect(figure_of(3).met && !figure_of(2).small);
}

Test(goal, of_a_row_without_any_figure_there_is_none)
{
    given(false, CALENDAR_MONTH, DIMENSION_agent, "ann", run_of(MEASURE_uses, 0));
    cr_expect_not(figure_of(2).present);
    given(false, CALENDAR_MONTH, DIMENSION_team, "north", run_of(MEASURE_handled, 3));
    cr_expect_not(figure_of(0).present);
}

Test(goal, of_few_answers_is_small)
{
    given(false, CALENDAR_MONTH, DIMENSION_team, "north", run_of2(MEASURE_csat_n, 9, MEASURE_csat_top, 1));
    cr_expect(figure_of(0).small);
    given(false, CALENDAR_MONTH, DIMENSION_team, "north", run_of2(MEASURE_csat_n, 10, MEASURE_csat_top, 1));
    cr_expect_not(figure_of(0).small);
}

Test(goal, tells_of_the_window_that_runs_and_of_employees_of_the_last_one)
{
    struct row row = {.rolling = true};
    cr_expect(goal_is_present(false, &row) && goal_is_present(true, &row));
    row = (struct row){.running = true};
    cr_expect(goal_is_present(false, &row) && !goal_is_present(true, &row));
    row = (struct row){.last = true};
    cr_expect(!goal_is_present(false, &row) && goal_is_present(true, &row));
}

Test(goal, of_a_count_to_be_reached_waits_until_the_window_is_over_and_is_not_judged_where_a_part_is_missing)
{
    const struct config_goal *uses = &config->goal[2], *spend = &config->goal[3];
    struct row row = {.running = true, .since_ms = INT64_MIN};
    cr_expect(!goal_is_judged(uses, &row) && goal_is_judged(spend, &row));
    row = (struct row){.last = true, .since_ms = INT64_MIN};
    cr_expect(goal_is_judged(uses, &row) && !goal_is_judged(spend, &row));
    row.since_ms = DAY;
    cr_expect_not(goal_is_judged(uses, &row));
    row = (struct row){.rolling = true, .since_ms = DAY};
    cr_expect(!goal_is_judged(uses, &row) && goal_is_judged(spend, &row));
    row.since_ms = INT64_MIN;
    cr_expect(goal_is_judged(uses, &row));
}

static struct goal_figure gap_of(struct config *gaps, double value, int64_t channels)
{
    struct row head = {.config = gaps, .rolling = true, .end_ms = DAY, .window_name = "1h", .tenant = "acme", .scope = "queue=billing", .value_count = 1,
                       .value_dimension = {DIMENSION_queue}, .value = {"billing"}, .across.gap[GAP_csat] = {value, channels}};
    const struct tally_run *run = run_of2(MEASURE_csat_n, 40, MEASURE_csat_top, 30);
    free((void *)(uintptr_t)view->row);
    row_open(view, row_new(&head, run->bytes, run->length), gaps);
    return goal_of(&gaps->goal[0], view);
}

Test(goal, of_a_gap_is_judged_where_there_are_two_channels_and_however_few)
{
    struct config *gaps = config_of("scopes: [[queue], [channel, queue]]\nmetrics: {min_n: 10}\ngoals: [{name: even, metric: csat_gap, scope: [queue], window: 1h, target: 10}]\n");
    struct goal_figure figure = gap_of(gaps, 25, 2);
    cr_expect(figure.present && figure.attainment == 250 && !figure.met);
    cr_expect(!figure.small && figure.n == 2, "each of two channels has min_n answers");
    cr_expect(gap_of(gaps, 0, 1).small, "one channel is not even, it is alone");
    cr_expect_not(gap_of(gaps, 0, 0).present);
    config_free(gaps);
}
