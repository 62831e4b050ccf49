/* Alerts: goals missed and met again, with a hand-set clock. The goal is 80 % CSAT in an hour, missed for a minute, clear at 85 %. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "support/figures.h"
#include "support/folding.h"
#include "support/settings.h"
#include "support/times.h"

static const int64_t t0 = T;
static const char *const yaml = "windows: {rolling: [5m], calendar: [day]}\nscopes: [[queue]]\nmetrics: {min_n: 4}\ngoals:\n"
                                "- {name: csat, metric: csat, scope: [queue], window: 5m, target: 80, for: 1m, clear: 5}\n";
static struct folding *f;

static void begin_with(const char *text)
{
    f = calloc(1, sizeof *f);
    folding_begin(f, text, 1);
    f->watermark_ms = t0;
}

static void begin(void)
{
    begin_with(yaml);
}

static void end(void)
{
    folding_end(f);
    free(f);
}

TestSuite(alerts, .fini = end);

static void answers(int64_t at_ms, int64_t n, int64_t top)
{
    folding_put(f, "billing", NULL, at_ms, run_of2(MEASURE_csat_n, n, MEASURE_csat_top, top));
}

static void at(int64_t after_ms)
{
    folding_tick(f, t0 + after_ms);
}

static void expect_told(int count, enum row_alert_state state, double value)
{
    cr_assert_eq(f->alerts, count, "%d alerts, not %d", f->alerts, count);
    const struct told *last = &f->alert[count - 1];
    cr_expect(last->alert.state == state && last->alert.value == value, "%d of %g", last->alert.state, last->alert.value);
}

Test(alerts, wait_until_the_goal_is_missed_for_long_enough_and_come_once)
{
    begin();
    answers(t0, 10, 7);
    at(0);
    at(MIN - 1);
    cr_expect_eq(f->alerts, 0);
    at(MIN);
    expect_told(1, ROW_ALERT_MISSED, 70);
    cr_expect_eq(f->alert[0].alert.since_ms, t0);
    cr_expect_eq(f->alert[0].alert.at_ms, t0 + MIN);
    cr_expect_eq(f->alert[0].alert.n, 10);
    cr_expect_str_eq(f->alert[0].scope, "queue=billing");
    answers(t0 + MIN, 10, 5);
    at(MIN + S);
    at(2 * MIN + 2 * S);
    cr_expect_eq(f->alerts, 1);
}

Test(alerts, are_none_on_the_target)
{
    begin();
    answers(t0, 10, 8);
    at(0);
    at(2 * MIN);
    cr_expect_eq(f->alerts, 0);
}

Test(alerts, are_none_of_a_goal_that_was_met_in_between)
{
    begin();
    answers(t0, 10, 7);
    at(0);
    answers(t0 + 30 * S, 5, 5); /* 12 of 15 are 80 % */
    at(30 * S);
    answers(t0 + 50 * S, 1, 0);
    at(50 * S);
    at(MIN + 49 * S);
    cr_expect_eq(f->alerts, 0);
    at(MIN + 50 * S);
    expect_told(1, ROW_ALERT_MISSED, 75);
    cr_expect_eq(f->alert[0].alert.since_ms, t0 + 50 * S);
}

Test(alerts, are_none_of_few)
{
    begin();
    answers(t0, 3, 0);
    at(0);
    at(2 * MIN);
    cr_expect_eq(f->alerts, 0);
    answers(t0 + 2 * MIN, 1, 0); /* four are enough */
    at(2 * MIN);
    at(3 * MIN);
    expect_told(1, ROW_ALERT_MISSED, 0);
}

/* 79, 82, 79: within the margin nothing is told; 85 is on its edge. */
Test(alerts, are_over_when_the_goal_is_met_by_the_margin)
{
    begin();
    answers(t0, 100, 79);
    at(0);
    at(MIN);
    expect_told(1, ROW_ALERT_MISSED, 79);
    answers(t0 + MIN, 0, 5); /* 84 */
    at(MIN + S);
    answers(t0 + MIN, 0, -5);
    at(MIN + 2 * S);
    at(3 * MIN);
    cr_expect_eq(f->alerts, 1);
    answers(t0 + MIN, 0, 6);
    at(3 * MIN + S);
    expect_told(2, ROW_ALERT_MET, 85);
    cr_expect_eq(f->alert[1].alert.since_ms, t0 + 3 * MIN + S);
    answers(t0 + MIN, 0, -6);
    at(3 * MIN + 2 * S);
    cr_expect_eq(f->alerts, 2);
    at(4 * MIN + 2 * S);
    expect_told(3, ROW_ALERT_MISSED, 79);
}

Test(alerts, wait_for_room_and_come_once)
{
    begin();
    answers(t0, 10, 7);
    at(0);
    f->full = true;
    at(MIN);
    at(MIN + S);
    f->full = false;
    at(MIN + 2 * S);
    at(MIN + 3 * S);
    expect_told(1, ROW_ALERT_MISSED, 70);
}

Test(alerts, come_again_to_an_outlet_that_has_lost_what_it_had)
{
    begin();
    answers(t0, 10, 7);
    at(0);
    at(MIN);
    f->generation++;
    at(2 * MIN);
    expect_told(2, ROW_ALERT_MISSED, 70);
    cr_expect_eq(f->alert[1].alert.at_ms, t0 + MIN);
}

Test(alerts, of_a_count_to_be_reached_judge_closed_windows_and_of_a_limit_the_one_that_runs)
{
    begin_with("windows: {rolling: [], calendar: [hour]}\nscopes: [[queue]]\ngoals:\n"
               "- {name: uses, measure: uses, scope: [queue], window: hour, target: 5, direction: up, for: 0s}\n"
               "- {name: spend, measure: use_cost, scope: [queue], window: hour, target: 100, direction: down, for: 0s}\n");
    folding_put(f, "billing", NULL, t0, run_of2(MEASURE_uses, 2, MEASURE_use_cost, 101));
    at(S);
    expect_told(1, ROW_ALERT_MISSED, 101);
    cr_expect_eq(f->alert[0].alert.goal, 1);
    at(H + S);
    folding_settle(f);
    expect_told(2, ROW_ALERT_MISSED, 2);
    cr_expect(f->alert[1].alert.goal == 0 && f->alert[1].start_ms == t0);
}

Test(alerts, of_a_goal_that_a_reload_takes_out_are_forgotten)
{
    begin();
    answers(t0, 10, 7);
    at(0);
    folding_reload(f, "windows: {rolling: [5m], calendar: [day]}\nscopes: [[queue]]\nmetrics: {min_n: 4}\ngoals:\n"
           "- {name: nps, metric: nps, scope: [queue], window: 5m, target: 80}\n"
           "- {name: other, metric: csat, scope: [queue], window: 5m, target: 90, for: 2m}\n");
    at(S);
    at(2 * MIN);
    cr_expect_eq(f->alerts, 0);
    at(2 * MIN + S);
    expect_told(1, ROW_ALERT_MISSED, 70);
    cr_expect_eq(f->alert[0].alert.goal, 1);
}

static const char *const goalless = "windows: {rolling: [5m], calendar: [day]}\nscopes: [[queue]]\nmetrics: {min_n: 4}\n";

static void expect_removed(int count, int64_t after_ms)
{
    expect_told(count, ROW_ALERT_REMOVED, 70);
    cr_expect_str_eq(f->alert[count - 1].goal, "csat");
    cr_expect_str_eq(f->alert[count - 1].scope, "queue=billing");
    cr_expect_eq(f->alert[count - 1].alert.at_ms, t0 + after_ms);
}

Test(alerts, that_were_told_are_told_again_as_removed_with_their_goal)
{
    begin();
    answers(t0, 10, 7);
    at(0);
    at(MIN);
    expect_told(1, ROW_ALERT_MISSED, 70);
    f->full = true;
    folding_reload(f, goalless);
    at(MIN + S);
    f->full = false;
    at(MIN + 2 * S);
    expect_removed(2, MIN + 2 * S);
    folding_reload(f, yaml); /* the goal is new, and missed from now on */
    at(MIN + 3 * S);
    at(2 * MIN + 3 * S);
    expect_told(3, ROW_ALERT_MISSED, 70);
}

/* ---- restarts ---- */

static void next_life_under(bool full, const char *text)
{
    struct folding *next = calloc(1, sizeof *next);
    struct slice_out out = {0};
    folding_begin(next, text, 1);
    struct fold_load *load = fold_load_new(&next->fold, 1, NULL);
    fold_dump_begin(f->fold, full, &out);
    while (!out.ended)
        (void)fold_dump_step(f->fold, 1 << 16);
    while (slice_ready(&out)) {
        struct slice_block *block = slice_take(&out);
        struct slice_item item;
        for (const uint8_t *byte = block->bytes, *last = block->bytes + block->length; slice_next(&byte, last, &item);)
            cr_assert(fold_load_item(load, &item));
        slice_block_free(block);
    }
    fold_load_end(load);
    fold_restored(next->fold);
    next->watermark_ms = f->watermark_ms;
    memcpy(next->alert, f->alert, sizeof next->alert);
    next->alerts = f->alerts;
    folding_end(f);
    free(f);
    f = next;
}

static void next_life(bool full)
{
    next_life_under(full, yaml);
}

Test(alerts, of_a_goal_that_the_next_life_does_not_have_are_told_as_removed)
{
    begin();
    answers(t0, 10, 7);
    at(0);
    at(MIN);
    expect_told(1, ROW_ALERT_MISSED, 70);
    next_life_under(true, goalless);
    next_life_under(true, goalless); /* the first one was killed before it could tell */
    at(10 * MIN);
    expect_removed(2, 10 * MIN);
    next_life_under(true, goalless);
    at(11 * MIN);
    cr_expect_eq(f->alerts, 2);
}

Test(alerts, keep_their_time_over_a_restart)
{
    begin();
    answers(t0, 10, 7);
    at(0);
    next_life(true);
    at(MIN - 1);
    cr_expect_eq(f->alerts, 0);
    at(MIN);
    expect_told(1, ROW_ALERT_MISSED, 70);
    cr_expect_eq(f->alert[0].alert.since_ms, t0);
}

Test(alerts, come_once_across_a_restart)
{
    begin();
    answers(t0, 10, 7);
    at(0);
    at(MIN);
    at(MIN + 30 * S);
    next_life(true);
    at(2 * MIN);
    at(3 * MIN);
    cr_expect_eq(f->alerts, 1);
    answers(t0 + 3 * MIN, 10, 10); /* 17 of 20 are 85 % */
    at(3 * MIN);
    expect_told(2, ROW_ALERT_MET, 85);
    next_life(true);
    at(4 * MIN);
    expect_told(3, ROW_ALERT_MET, 85); /* nobody knows whether the last one arrived */
}
