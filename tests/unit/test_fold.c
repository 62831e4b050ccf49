/* The fold: windows that move with a hand-set clock, calendar windows and their revisions, what is published and when. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "esteem/span.h"
#include "esteem/varint.h"
#include "support/figures.h"
#include "support/folding.h"
#include "support/times.h"

static const int64_t t0 = T;
static struct folding *f;

static void begin(const char *yaml)
{
    f = calloc(1, sizeof *f);
    folding_begin(f, yaml, 1);
}

static void end(void)
{
    folding_end(f);
    free(f);
}

TestSuite(fold, .fini = end);

static const char *const plain = "windows: {rolling: [1m, 5m], calendar: [hour]}\nscopes: [[], [queue]]\n";

static int64_t offered(const char *window, const char *scope, int64_t start_ms)
{
    const struct shown *row = folding_row(f, window, scope, start_ms);
    return row ? row->offered : -1;
}

Test(fold, shows_what_a_batch_brought_in_every_window_of_its_key)
{
    begin(plain);
    folding_feed(f, NULL, t0, 3);
    folding_feed(f, "billing", t0, 2);
    folding_tick(f, t0 + 500);
    folding_settle(f);
    cr_expect_eq(offered("5m", "all", -1), 3);
    cr_expect_eq(offered("5m", "queue=billing", -1), 2);
    cr_expect_eq(offered("hour", "all", t0), 3);
    cr_expect_eq(offered("1m", "all", -1), 0); /* a minute has gone by */
}

Test(fold, rolling_rows_say_where_they_end_and_are_partial)
{
    begin(plain);
    folding_feed(f, NULL, t0, 3);
    folding_tick(f, t0 + 2500);
    const struct shown *row = folding_row(f, "1m", "all", -1);
    cr_assert_not_null(row);
    cr_expect_eq(row->end_ms, t0 + 3000);
    cr_expect_eq(row->start_ms, t0 - 57000);
    cr_expect(row->partial && row->rolling && !row->final && row->revision == 0);
    row = folding_row(f, "hour", "all", t0);
    cr_expect(!row->partial && row->running && !row->last && !row->final);
}

Test(fold, a_quiet_night_empties_rolling_windows)
{
    begin(plain);
    folding_feed(f, "billing", t0, 3);
    folding_tick(f, t0 + 500);
    cr_expect_eq(offered("1m", "queue=billing", -1), 3);
    folding_tick(f, t0 + 59 * S);
    folding_tick(f, t0 + 60 * S + 200);
    cr_expect_eq(offered("1m", "queue=billing", -1), 0);
    cr_expect_eq(offered("5m", "queue=billing", -1), 3);
    folding_tick(f, t0 + 5 * MIN + 200);
    cr_expect_eq(offered("5m", "queue=billing", -1), 0);
    uint64_t rows = f->rows;
    folding_tick(f, t0 + 6 * MIN);
    folding_tick(f, t0 + 7 * MIN);
    cr_expect_eq(f->rows, rows); /* empty is said once */
}

Test(fold, a_running_hour_gives_way_to_the_next_and_stays_as_the_last)
{
    begin(plain);
    f->watermark_ms = t0;
    folding_feed(f, NULL, t0, 3);
    folding_tick(f, t0 + 500);
    cr_expect(folding_row(f, "hour", "all", t0)->running);
    folding_tick(f, t0 + H + 100);
    const struct shown *before = folding_row(f, "hour", "all", t0), *now = folding_row(f, "hour", "all", t0 + H);
    cr_expect(before->last && !before->running && !before->final);
    cr_assert_not_null(now); /* empty, so that nobody takes the old row for the present */
    cr_expect(now->running && now->offered == 0);
}

Test(fold, a_running_hour_gives_way_though_the_next_one_was_never_shown)
{
    begin(plain);
    folding_tick(f, t0 + MIN);
    folding_feed(f, NULL, t0, 5);
    folding_tick(f, t0 + 2 * MIN);
    folding_settle(f);
    cr_assert(folding_row(f, "hour", "all", t0)->running);
    f->full = true;
    folding_tick(f, t0 + H + MIN);
    cr_assert_null(folding_row(f, "hour", "all", t0 + H));
    folding_tick(f, t0 + 2 * H + MIN); /* the hour between is over, empty, and nobody has seen it */
    f->full = false;
    folding_settle(f);
    const struct shown *now = folding_row(f, "hour", "all", t0 + 2 * H);
    cr_assert_not_null(now);
    cr_expect(now->running && now->offered == 0);
}

/* An hour in which nothing came is followed by none, until something late does: it shall not be shown as empty for ever. */
Test(fold, an_hour_that_was_over_without_figures_is_followed_by_one_when_late_ones_come)
{
    begin("windows: {rolling: [], calendar: [hour]}\nscopes: [[]]\n");
    f->watermark_ms = t0;
    folding_feed(f, NULL, t0, 1);
    folding_tick(f, t0 + MIN);
    folding_tick(f, t0 + H + MIN); /* empty, and running */
    cr_assert_not_null(folding_row(f, "hour", "all", t0 + H));
    folding_tick(f, t0 + 3 * H + MIN);
    cr_expect_null(folding_row(f, "hour", "all", t0 + 3 * H));
    folding_feed(f, NULL, t0 + H + S, 1);
    folding_tick(f, t0 + 3 * H + 2 * MIN);
    const struct shown *late = folding_row(f, "hour", "all", t0 + H), *now = folding_row(f, "hour", "all", t0 + 3 * H);
    cr_assert(late && !late->running && late->last && late->offered == 1);
    cr_assert(now && now->running && now->offered == 0);
}

Test(fold, is_final_when_the_watermark_is_lateness_past_the_end)
{
    begin(plain);
    f->watermark_ms = t0;
    folding_feed(f, NULL, t0, 3);
    folding_tick(f, t0 + 500);
    f->watermark_ms = t0 + H + 10 * MIN - 1;
    folding_tick(f, t0 + 2 * H);
    cr_expect_not(folding_row(f, "hour", "all", t0)->final);
    f->watermark_ms = t0 + H + 10 * MIN;
    folding_tick(f, t0 + 2 * H + S);
    const struct shown *row = folding_row(f, "hour", "all", t0);
    cr_expect(row->final && row->revision == 1 && row->offered == 3);
}

static void a_final_hour(void)
{
    begin(plain);
    f->watermark_ms = t0;
    folding_feed(f, NULL, t0, 3);
    folding_tick(f, t0 + 500);
    f->watermark_ms = t0 + 2 * H;
    folding_tick(f, t0 + 2 * H);
}

Test(fold, a_late_correction_raises_the_revision)
{
    a_final_hour();
    folding_feed(f, NULL, t0 + MIN, 1);
    folding_tick(f, t0 + 2 * H + MIN);
    const struct shown *row = folding_row(f, "hour", "all", t0);
    cr_expect(row->final && row->revision == 2 && row->offered == 4);
    cr_expect(row->last);
}

Test(fold, a_correction_that_changes_nothing_is_no_revision)
{
    a_final_hour();
    uint64_t times = folding_row(f, "hour", "all", t0)->times;
    folding_feed(f, NULL, t0 + MIN, 1);
    folding_feed(f, NULL, t0 + 2 * MIN, -1);
    folding_tick(f, t0 + 2 * H + MIN);
    cr_expect_eq(folding_row(f, "hour", "all", t0)->revision, 1);
    cr_expect_eq(folding_row(f, "hour", "all", t0)->times, times);
}

Test(fold, a_window_first_heard_of_when_it_is_final_begins_with_revision_1)
{
    a_final_hour();
    folding_feed(f, NULL, t0 - 5 * H, 2);
    folding_tick(f, t0 + 2 * H + MIN);
    const struct shown *row = folding_row(f, "hour", "all", t0 - 5 * H);
    cr_assert_not_null(row);
    cr_expect(row->final && row->revision == 1 && row->offered == 2 && !row->last);
}

Test(fold, beyond_correction_nothing_is_counted_but_the_fact)
{
    a_final_hour();
    f->watermark_ms = t0 + H + 8 * DAY;
    folding_tick(f, t0 + 9 * DAY);
    folding_feed(f, NULL, t0, 1);
    folding_tick(f, t0 + 9 * DAY + MIN);
    cr_expect_eq(offered("hour", "all", t0), 4); /* on the edge */
    cr_expect_eq(fold_counts(f->fold).beyond_correction, 0);
    f->watermark_ms++;
    folding_tick(f, t0 + 9 * DAY + 2 * MIN);
    folding_feed(f, NULL, t0, 1);
    folding_tick(f, t0 + 9 * DAY + 3 * MIN);
    cr_expect_eq(offered("hour", "all", t0), 4);
    cr_expect_eq(fold_counts(f->fold).beyond_correction, 1);
}

Test(fold, forgets_calendar_windows_beyond_correction)
{
    begin(plain);
    f->watermark_ms = t0;
    for (int hour = 0; hour < 40; hour++)
        folding_feed(f, NULL, t0 - hour * H, 1);
    folding_tick(f, t0 + 500);
    cr_expect_eq(fold_counts(f->fold).calendar_windows, 40);
    f->watermark_ms = t0 + 20 * DAY;
    folding_tick(f, t0 + 20 * DAY);
    folding_tick(f, t0 + 20 * DAY + S);
    cr_expect_leq(fold_counts(f->fold).calendar_windows, 1); /* the running one may stay */
}

Test(fold, without_a_watermark_of_every_shard_nothing_is_final)
{
    f = calloc(1, sizeof *f);
    folding_begin(f, plain, 2);
    f->watermark_ms = t0 + 5 * H;
    folding_feed(f, NULL, t0, 1);
    folding_tick(f, t0 + 5 * H);
    cr_expect_not(folding_row(f, "hour", "all", t0)->final);
    struct batch *other = batch_new(1);
    other->watermark_ms = t0 + H;
    fold_apply(f->fold, other);
    fold_hear(f->fold, true);
    folding_tick(f, t0 + 5 * H + S);
    cr_expect_eq(fold_counts(f->fold).watermark_ms, t0 + H);
    other->idle = true; /* no longer waited for */
    fold_apply(f->fold, other);
    fold_hear(f->fold, true);
    folding_tick(f, t0 + 5 * H + 2 * S);
    cr_expect(folding_row(f, "hour", "all", t0)->final);
    batch_free(other);
}

Test(fold, with_every_shard_idle_the_clock_closes_hours)
{
    begin(plain);
    f->watermark_ms = t0;
    folding_feed(f, NULL, t0, 1);
    folding_tick(f, t0);
    f->idle = true;
    folding_tick(f, t0 + H + 10 * MIN + 9 * S);
    cr_expect_not(folding_row(f, "hour", "all", t0)->final);
    folding_tick(f, t0 + H + 10 * MIN + 10 * S); /* out_of_order: 10 s */
    cr_expect(folding_row(f, "hour", "all", t0)->final);
}

Test(fold, in_replay_windows_move_with_the_watermark)
{
    begin("windows: {rolling: [1m], calendar: [hour]}\nscopes: [[]]\ntime: {mode: replay}\n");
    f->watermark_ms = t0 - DAY;
    folding_feed(f, NULL, t0 - DAY, 1);
    folding_tick(f, t0);
    cr_expect_eq(folding_row(f, "1m", "all", -1)->end_ms, t0 - DAY + S);
    cr_expect_eq(offered("1m", "all", -1), 1);
    folding_tick(f, t0 + DAY);
    cr_expect_eq(offered("1m", "all", -1), 1);
    f->watermark_ms = t0 - DAY + MIN;
    folding_tick(f, t0 + DAY + S);
    cr_expect_eq(offered("1m", "all", -1), 0);
}

Test(fold, a_row_that_finds_no_room_is_shown_later_with_the_newest_figures)
{
    begin(plain);
    f->full = true;
    folding_feed(f, NULL, t0, 3);
    folding_tick(f, t0 + 500);
    cr_expect_eq(f->rows, 0);
    folding_feed(f, NULL, t0, 4);
    folding_tick(f, t0 + 700);
    f->full = false;
    folding_tick(f, t0 + 900);
    cr_expect_eq(offered("1m", "all", -1), 7);
    cr_expect_eq(f->rows, 3); /* 1m, 5m, hour: each once */
}

Test(fold, what_begins_with_a_window_is_shown_once)
{
    begin(plain);
    folding_feed(f, NULL, t0, 3);
    folding_tick(f, t0 + 500);
    cr_expect_eq(folding_row(f, "hour", "all", t0)->times, 1);
    folding_feed(f, NULL, t0, 4);
    folding_settle(f);
    cr_expect_eq(folding_row(f, "hour", "all", t0)->offered, 7);
    cr_expect_eq(folding_row(f, "hour", "all", t0)->times, 2);
}

/* Times that rows of a window, or of a scope that begins like this, were shown. */
static uint64_t times_shown(const char *window, const char *scope)
{
    uint64_t times = 0;
    for (int i = 0; i < f->count; i++)
        if (strcmp(f->shown[i].window, window) == 0 && strncmp(f->shown[i].scope, scope, strlen(scope)) == 0)
            times += f->shown[i].times;
    return times;
}

static void feed_queues(int count, int64_t at_ms)
{
    for (int q = 0; q < count; q++) {
        char name[16];
        (void)snprintf(name, sizeof name, "q%d", q);
        folding_feed(f, name, at_ms, 1);
    }
}

Test(fold, windows_take_turns_where_the_outlet_has_little_room)
{
    begin(plain);
    f->rows_a_tick = 20; /* of 80 that change: all queues in 1m and in 5m */
    for (int i = 0; i < 100; i++) {
        feed_queues(40, t0 + i * 100);
        folding_tick(f, t0 + 100 + i * 100);
    }
    cr_expect_gt(times_shown("1m", "queue="), 700);
    cr_expect_gt(times_shown("5m", "queue="), 700);
    for (int i = 0; i < f->count; i++)
        if (f->shown[i].rolling && strncmp(f->shown[i].scope, "queue=", 6) == 0)
            cr_expect_gt(f->shown[i].times, 10, "%s %s", f->shown[i].window, f->shown[i].scope);
}

Test(fold, rows_of_a_scope_of_few_keys_go_first_and_the_others_are_told_too)
{
    begin("windows: {rolling: [1m], calendar: []}\nscopes: [[queue], [agent]]\n");
    f->rows_a_tick = 20;
    for (int i = 0; i < 100; i++) {
        for (int a = 0; a < 1200; a++) {
            char name[16];
            (void)snprintf(name, sizeof name, "a%d", a);
            folding_feed_place(f, NULL, name, t0 + i * 100, 1);
        }
        feed_queues(10, t0 + i * 100);
        folding_tick(f, t0 + 100 + i * 100);
    }
    cr_expect_gt(times_shown("1m", "queue="), 900, "each queue in each tick, nearly");
    cr_expect_gt(times_shown("1m", "agent="), 450, "and agents with what room is left");
}

Test(fold, rows_of_a_scope_of_many_keys_have_a_pace_of_their_own)
{
    begin("windows: {rolling: [1m], calendar: []}\nscopes: [[queue], [agent]]\npublish: {tick_many: 2s}\n");
    for (int i = 0; i < 60; i++) {
        for (int a = 0; a < 1200; a++) {
            char name[16];
            (void)snprintf(name, sizeof name, "a%d", a);
            folding_feed_place(f, NULL, name, t0 + i * 100, 1);
        }
        feed_queues(1, t0 + i * 100);
        folding_tick(f, t0 + 100 + i * 100);
    }
    cr_expect_geq(times_shown("1m", "queue=q0"), 58, "each tick");
    uint64_t agents = times_shown("1m", "agent=a1199");
    cr_expect(agents >= 3 && agents <= 4, "each two seconds, not %d times in six", (int)agents);
}

Test(fold, a_new_generation_of_the_outlet_gets_everything_again)
{
    a_final_hour();
    folding_feed(f, NULL, t0 + 2 * H, 5);
    folding_tick(f, t0 + 2 * H + S);
    f->count = 0;
    f->generation = 2;
    for (int i = 2; i < 30; i++)
        folding_tick(f, t0 + 2 * H + i * S);
    const struct shown *row = folding_row(f, "hour", "all", t0);
    cr_assert_not_null(row);
    cr_expect(row->final && row->revision == 1 && row->offered == 3);
    cr_expect_eq(offered("1m", "all", -1), 5);
}

/* A final window that waits with a change that came to nothing, when the outlet loses all it had. */
Test(fold, a_new_generation_gets_also_what_waits_unchanged)
{
    a_final_hour();
    folding_settle(f);
    f->full = true;
    folding_feed(f, NULL, t0 + MIN, 1);
    folding_feed(f, NULL, t0 + 2 * MIN, -1);
    f->count = 0;
    f->generation = 2; /* seen in the same step in which the change is first looked at */
    folding_tick(f, f->clock_ms + S);
    f->full = false;
    folding_settle(f);
    cr_expect_not_null(folding_row(f, "hour", "all", t0));
}

Test(fold, a_reload_publishes_everything_again)
{
    a_final_hour();
    folding_settle(f);
    f->count = 0;
    fold_reload(f->fold, f->config);
    while (fold_reload_step(f->fold))
        ;
    folding_settle(f);
    cr_expect_not_null(folding_row(f, "hour", "all", t0));
    cr_expect_eq(folding_row(f, "hour", "all", t0)->revision, 1);
}

/* Folds have a new configuration before shards: what comes meanwhile may name a key of a scope that is gone. */
Test(fold, a_key_that_comes_when_its_scope_has_gone_makes_no_row)
{
    static const char with[] = "windows: {rolling: [1m], calendar: [hour]}\nscopes: [[], [queue]]\n";
    begin(with);
    f->watermark_ms = t0;
    folding_feed(f, NULL, t0, 1);
    folding_tick(f, t0 + S);
    folding_reload(f, "windows: {rolling: [1m], calendar: [hour]}\nscopes: [[]]\n");
    folding_feed(f, "billing", t0, 1);
    folding_feed(f, NULL, t0, 1);
    folding_tick(f, t0 + 2 * S);
    folding_settle(f);
    cr_expect_not_null(folding_row(f, "hour", "all", t0));
    cr_expect_null(folding_row(f, "hour", "queue=billing", t0));
    cr_expect_null(folding_row(f, "1m", "queue=billing", -1));
    folding_reload(f, with); /* back again, it has what came */
    folding_settle(f);
    cr_assert_not_null(folding_row(f, "hour", "queue=billing", t0));
    cr_expect_eq(folding_row(f, "hour", "queue=billing", t0)->offered, 1);
}

Test(fold, flush_shows_all_rows_at_one_instant)
{
    begin(plain);
    for (int q = 0; q < 20; q++) {
        const char name[] = {'q', (char)('a' + q), 0};
        folding_feed(f, name, t0, q);
    }
    folding_tick(f, t0 + 500);
    f->count = 0;
    f->full = true;
    cr_expect_eq(fold_flush(f->fold, true), 19 * 2 + 19); /* a queue of 0 contacts has no row */
    f->full = false;
    cr_expect_eq(fold_flush(f->fold, false), 0);
    for (int i = 0; i < f->count; i++)
        cr_expect(!f->shown[i].rolling || f->shown[i].end_ms == (strcmp(f->shown[i].window, "1m") ? t0 + 5 * S : t0 + S));
}

Test(fold, finish_makes_calendar_windows_final)
{
    begin(plain);
    folding_feed(f, NULL, t0, 3);
    folding_tick(f, t0 + 500);
    fold_finish(f->fold);
    folding_tick(f, t0 + 600);
    cr_expect(folding_row(f, "hour", "all", t0)->final);
}

/* ---- distinct agents ---- */

static int64_t active(const char *window, const char *scope, int64_t start_ms)
{
    const struct shown *row = folding_row(f, window, scope, start_ms);
    return row ? row->active : -1;
}

Test(fold, an_agent_counts_once_in_every_window_that_holds_a_use)
{
    begin(plain);
    folding_feed_agent(f, "billing", "ann", MEASURE_uses, t0, 1);
    folding_feed_agent(f, "billing", "ann", MEASURE_uses, t0 + 30 * S, 1);
    folding_feed_agent(f, "billing", "bob", MEASURE_uses, t0 + 30 * S, 3);
    folding_feed_agent(f, "billing", "cyd", MEASURE_handled, t0 + 30 * S, 1);
    folding_tick(f, t0 + 31 * S);
    cr_expect_eq(active("1m", "queue=billing", -1), 2);
    cr_expect_eq(active("hour", "queue=billing", t0), 2);
    cr_expect_eq(folding_row(f, "5m", "queue=billing", -1)->handling, 1);
    cr_expect_eq(fold_counts(f->fold).keys, 1);
    cr_expect_eq(fold_counts(f->fold).agent_keys, 3);
    folding_tick(f, t0 + 61 * S); /* ann's first use has left the minute, not her second */
    cr_expect_eq(active("1m", "queue=billing", -1), 2);
    folding_tick(f, t0 + 91 * S);
    cr_expect_eq(active("1m", "queue=billing", -1), 0);
    cr_expect_eq(active("5m", "queue=billing", -1), 2);
    folding_tick(f, t0 + 6 * MIN);
    cr_expect_eq(active("5m", "queue=billing", -1), 0);
    cr_expect_eq(active("hour", "queue=billing", t0), 2);
    for (int i = 0; i < f->count; i++)
        cr_expect_str_eq(f->shown[i].scope, "queue=billing"); /* an agent within a key has no row */
}

Test(fold, an_agent_whose_last_use_is_taken_back_counts_no_longer)
{
    begin(plain);
    f->watermark_ms = t0;
    folding_feed_agent(f, NULL, "ann", MEASURE_uses, t0, 2);
    folding_feed_agent(f, NULL, "bob", MEASURE_uses, t0, 1);
    folding_tick(f, t0 + 500);
    f->watermark_ms = t0 + 2 * H;
    folding_tick(f, t0 + MIN / 2);
    cr_expect(active("hour", "all", t0) == 2 && folding_row(f, "hour", "all", t0)->revision == 1);
    folding_feed_agent(f, NULL, "ann", MEASURE_uses, t0, -1);
    folding_tick(f, t0 + MIN);
    cr_expect(active("hour", "all", t0) == 2 && active("5m", "all", -1) == 2);
    folding_feed_agent(f, NULL, "ann", MEASURE_uses, t0, -1);
    folding_feed_agent(f, NULL, "cyd", MEASURE_uses, t0, 1); /* it was cyd: the uses are as many as before */
    folding_tick(f, t0 + 2 * MIN);
    cr_expect(active("hour", "all", t0) == 2 && folding_row(f, "hour", "all", t0)->revision == 2);
    folding_feed_agent(f, NULL, "cyd", MEASURE_uses, t0, -1);
    folding_tick(f, t0 + 3 * MIN);
    cr_expect(active("hour", "all", t0) == 1 && active("5m", "all", -1) == 1 && folding_row(f, "hour", "all", t0)->revision == 3);
}

Test(fold, agents_of_before_are_counted_anew_when_the_clock_is_set_right)
{
    begin(plain);
    folding_feed_agent(f, "billing", "ann", MEASURE_uses, t0, 1);
    folding_tick(f, t0 + 10 * S);
    cr_expect_eq(active("5m", "queue=billing", -1), 1);
    folding_tick(f, t0 + 4 * MIN); /* the clock was ahead */
    cr_expect(active("1m", "queue=billing", -1) == 0 && active("5m", "queue=billing", -1) == 1);
    folding_tick(f, t0 + 20 * S);
    fold_flush(f->fold, false);
    cr_expect(active("1m", "queue=billing", -1) == 1 && active("5m", "queue=billing", -1) == 1);
}

/* ---- an agent's keys together ---- */

static bool active_are(const char *window, int64_t start_ms, int64_t all, int64_t billing, int64_t sales)
{
    fold_flush(f->fold, false);
    int64_t have[3] = {active(window, "all", start_ms), active(window, "queue=billing", start_ms), active(window, "queue=sales", start_ms)};
    return have[0] == all && have[1] == billing && have[2] == sales;
}

Test(fold, a_bundle_counts_in_each_key_that_it_is_of)
{
    begin(plain);
    folding_feed_bundle(f, "billing", "ann", MEASURE_uses, t0, 1);
    folding_feed_bundle(f, "billing", "ann", MEASURE_uses, t0 + 30 * S, 2);
    folding_feed_bundle(f, "sales", "ann", MEASURE_uses, t0 + 40 * S, 1);
    folding_feed_bundle(f, "billing", "bob", MEASURE_uses, t0, 1);
    folding_tick(f, t0 + 41 * S);
    cr_expect(active_are("1m", -1, 2, 2, 1) && active_are("hour", t0, 2, 2, 1));
    cr_expect_eq(fold_counts(f->fold).keys, 3);
    folding_tick(f, t0 + 61 * S); /* of ann's in billing the second is left */
    cr_expect(active_are("1m", -1, 1, 1, 1));
    folding_tick(f, t0 + 91 * S);
    cr_expect(active_are("1m", -1, 1, 0, 1) && active_are("5m", -1, 2, 2, 1));
    folding_tick(f, t0 + 101 * S);
    cr_expect(active_are("1m", -1, 0, 0, 0) && active_are("5m", -1, 2, 2, 1));
    folding_tick(f, t0 + 6 * MIN);
    cr_expect(active_are("5m", -1, 0, 0, 0) && active_are("hour", t0, 2, 2, 1));
}

Test(fold, what_a_bundle_takes_back_counts_no_longer_though_it_came_without_one)
{
    begin(plain);
    folding_feed_bundle(f, "billing", "ann", MEASURE_uses, t0, 2);
    folding_feed_bundle(f, "sales", "ann", MEASURE_uses, t0, 1);
    folding_feed_agent(f, NULL, "bob", MEASURE_uses, t0, 3); /* as states of before bundles have it */
    folding_feed_agent(f, "billing", "bob", MEASURE_uses, t0, 3);
    folding_tick(f, t0 + 10 * S);
    cr_expect(active_are("5m", -1, 2, 2, 1) && active_are("hour", t0, 2, 2, 1));
    folding_feed_bundle(f, "billing", "ann", MEASURE_uses, t0, -2);
    folding_feed_bundle(f, "billing", "bob", MEASURE_uses, t0, -2);
    folding_tick(f, t0 + 20 * S);
    cr_expect(active_are("5m", -1, 2, 1, 1) && active_are("hour", t0, 2, 1, 1));
    folding_feed_bundle(f, "billing", "bob", MEASURE_uses, t0, -1);
    folding_tick(f, t0 + 30 * S);
    cr_expect(active_are("5m", -1, 1, 0, 1) && active_are("hour", t0, 1, 0, 1));
    folding_feed_bundle(f, "billing", "bob", MEASURE_uses, t0, 1);
    folding_feed_bundle(f, "sales", "ann", MEASURE_uses, t0, -1);
    folding_tick(f, t0 + 40 * S);
    cr_expect(active_are("5m", -1, 1, 1, 0) && active_are("hour", t0, 1, 1, 0));
    folding_tick(f, t0 + 4 * MIN);
    cr_expect(active_are("1m", -1, 0, 0, 0));
    folding_tick(f, t0 + 50 * S); /* the clock had been ahead: the rolling windows are made of the panes again */
    cr_expect(active_are("1m", -1, 1, 1, 0) && active_are("5m", -1, 1, 1, 0));
}

/* ---- eligible agents ---- */

static const char *const places = "windows: {rolling: [1m, 5m], calendar: [hour]}\nscopes: [[], [team], [agent], [queue]]\n";

static int64_t eligible(const char *window, const char *scope, int64_t start_ms)
{
    const struct shown *row = folding_row(f, window, scope, start_ms);
    return row ? row->eligible : -1;
}

Test(fold, who_is_eligible_at_a_windows_end_is_in_rows_that_have_figures)
{
    begin(places);
    folding_roster(f, "ann", "north", t0 - DAY);
    folding_roster(f, "bob", "south", t0 - DAY);
    folding_roster(f, "bob", NULL, t0 + H);      /* at the hour's end, not before it */
    folding_roster(f, "cyd", "north", t0 + H - 1);
    folding_roster(f, "dan", "north", t0 + H);
    folding_feed_place(f, NULL, NULL, t0, 1);
    folding_feed_place(f, "north", NULL, t0, 1);
    folding_feed_place(f, NULL, "ann", t0, 1);
    folding_feed(f, "billing", t0, 1);
    folding_tick(f, t0 + 500);
    cr_expect_eq(eligible("hour", "all", t0), 3);
    cr_expect_eq(eligible("hour", "team=north", t0), 2);
    cr_expect_eq(eligible("hour", "agent=ann", t0), 1);
    cr_expect_eq(eligible("hour", "queue=billing", t0), 0);
    cr_expect_eq(eligible("5m", "all", -1), 2);
    cr_expect_eq(eligible("5m", "team=north", -1), 1);
    cr_expect_null(folding_row(f, "hour", "team=south", t0)); /* it has no figure */
    folding_tick(f, t0 + H + 500); /* the running hour is empty so far */
    cr_expect_eq(eligible("hour", "all", t0 + H), 0);
}

Test(fold, a_late_change_of_the_roster_is_a_revision_of_the_windows_that_end_after_it)
{
    begin(places);
    f->watermark_ms = t0;
    folding_roster(f, "ann", "north", t0 - DAY);
    folding_feed_place(f, "north", NULL, t0, 1);
    folding_feed_place(f, "north", NULL, t0 + H, 1);
    folding_feed_place(f, "south", NULL, t0, 1);
    folding_feed_place(f, NULL, "ann", t0 + H, 1);
    folding_tick(f, t0 + H + 500);
    f->watermark_ms = t0 + 3 * H;
    folding_tick(f, t0 + H + S);
    cr_expect(eligible("hour", "team=north", t0) == 1 && eligible("hour", "team=south", t0) == 0 && eligible("hour", "agent=ann", t0 + H) == 1);
    folding_roster(f, "ann", "south", t0 + H); /* not before the first hour's end */
    folding_tick(f, t0 + H + MIN);
    cr_expect(eligible("hour", "team=north", t0) == 1 && folding_row(f, "hour", "team=north", t0)->revision == 1);
    cr_expect(eligible("hour", "team=north", t0 + H) == 0 && folding_row(f, "hour", "team=north", t0 + H)->revision == 2);
    cr_expect(eligible("hour", "agent=ann", t0 + H) == 1 && folding_row(f, "hour", "agent=ann", t0 + H)->revision == 1);
    folding_roster(f, "ann", NULL, t0 + MIN);
    folding_tick(f, t0 + H + 2 * MIN);
    cr_expect(eligible("hour", "team=north", t0) == 0 && folding_row(f, "hour", "team=north", t0)->revision == 2);
    cr_expect(eligible("hour", "agent=ann", t0 + H) == 1); /* enrolled again after it */
    cr_expect(folding_row(f, "hour", "team=south", t0)->revision == 1);
}

/* The baseline's cell ends after the change too, and makes no row. */
Test(fold, a_late_change_of_the_roster_shows_no_row_of_the_baseline)
{
    begin("windows: {rolling: [], calendar: [hour]}\nscopes: [[], [team]]\n"
          "baseline: {from: \"2026-01-01T00:00:00Z\", to: \"2027-01-01T00:00:00Z\", metrics: [csat]}\n");
    f->watermark_ms = t0;
    folding_roster(f, "ann", "north", t0 - DAY);
    folding_feed_place(f, "north", NULL, t0, 1);
    folding_tick(f, t0 + MIN);
    folding_roster(f, "ann", "south", t0 - 1);
    folding_settle(f);
    cr_expect(eligible("hour", "team=north", t0) == 0);
    for (int i = 0; i < f->count; i++)
        cr_expect_str_eq(f->shown[i].window, "hour");
}

Test(fold, a_rolling_row_is_published_when_its_end_passes_a_change_of_the_roster)
{
    begin(places);
    folding_roster(f, "ann", "north", t0 - DAY);
    folding_feed_place(f, "north", NULL, t0, 1);
    folding_tick(f, t0 + 500);
    folding_roster(f, "bob", "north", t0 + 20 * S);
    folding_roster(f, "ann", NULL, t0 + 40 * S);
    folding_tick(f, t0 + 18 * S);
    cr_expect_eq(eligible("1m", "team=north", -1), 1);
    folding_tick(f, t0 + 19 * S); /* the end is at 20 s: not before it */
    cr_expect_eq(eligible("1m", "team=north", -1), 1);
    folding_tick(f, t0 + 20 * S);
    cr_expect_eq(eligible("1m", "team=north", -1), 2);
    folding_tick(f, t0 + 45 * S);
    cr_expect_eq(eligible("1m", "team=north", -1), 1);
    folding_roster(f, "bob", NULL, t0 + 30 * S); /* late: it changes what the rows said */
    folding_tick(f, t0 + 46 * S);
    cr_expect(eligible("1m", "team=north", -1) == 0 && eligible("5m", "team=north", -1) == 0);
}

/* An edge of a span of agents' states, as span.h says. */
static void edge(int64_t at_ms, int sign)
{
    struct tally_run run;
    tally_run_begin(&run);
    tally_run_put(&run, span_on(SPAN_READY), sign);
    tally_run_put(&run, span_on(SPAN_READY) + 1, sign * at_ms);
    tally_run_end(&run);
    folding_put(f, "billing", NULL, at_ms, &run);
}

/* A replay that has come to its end moves its windows no more: what is told late has to show without that. */
Test(fold, a_state_that_ends_before_a_window_is_told_in_its_row)
{
    begin("windows: {rolling: [1m, 5m], calendar: []}\nscopes: [[queue]]\ntime: {mode: replay}\n");
    edge(t0, 1);
    f->watermark_ms = t0 + 20 * MIN;
    folding_tick(f, t0 + DAY);
    folding_settle(f);
    const struct shown *row = folding_row(f, "1m", "queue=billing", -1);
    cr_assert_not_null(row);
    uint64_t times = row->times, times_5m = folding_row(f, "5m", "queue=billing", -1)->times;
    edge(t0 + MIN, -1);
    folding_tick(f, t0 + DAY + MIN);
    folding_settle(f);
    cr_expect_eq(folding_row(f, "1m", "queue=billing", -1)->times, times + 1);
    cr_expect_eq(folding_row(f, "5m", "queue=billing", -1)->times, times_5m + 1);
}

/* Against counting one by one, in any order of arrival. */
Test(fold, eligible_agents_equal_brute_force_counts_for_random_changes)
{
    enum { CHANGES = 300, AGENTS = 12 };
    static const char *const teams[] = {"north", "south", "west"};
    struct {
        int64_t at_ms;
        int agent, team; /* team 3: a removal */
    } change[CHANGES];
    struct chance chance = {7};
    begin(places);
    for (int h = 0; h < 24; h++)
        for (int t = -1; t < 3; t++)
            folding_feed_place(f, t < 0 ? NULL : teams[t], NULL, t0 + h * H, 1);
    for (int i = 0; i < CHANGES; i++) {
        bool again;
        do { /* at one instant an agent has one change: whose id comes first is the roster's own test */
            change[i].at_ms = t0 + chance_below(&chance, 24 * 60) * MIN;
            change[i].agent = (int)chance_below(&chance, AGENTS);
            change[i].team = (int)chance_below(&chance, 4);
            again = false;
            for (int j = 0; j < i; j++)
                again |= change[j].at_ms == change[i].at_ms && change[j].agent == change[i].agent;
        } while (again);
        char agent[8];
        (void)snprintf(agent, sizeof agent, "a%d", change[i].agent);
        folding_roster(f, agent, change[i].team < 3 ? teams[change[i].team] : NULL, change[i].at_ms);
        if (i % 50 == 0)
            folding_tick(f, t0 + 25 * H + i * MIN);
    }
    folding_tick(f, t0 + 40 * H);
    folding_settle(f);
    for (int h = 0; h < 24; h++)
        for (int t = -1; t < 3; t++) {
            int64_t count = 0, end_ms = t0 + (h + 1) * H;
            for (int a = 0; a < AGENTS; a++) {
                int last = -1;
                for (int i = 0; i < CHANGES; i++)
                    if (change[i].agent == a && change[i].at_ms < end_ms && (last < 0 || change[i].at_ms > change[last].at_ms))
                        last = i;
                count += last >= 0 && (t < 0 ? change[last].team < 3 : change[last].team == t);
            }
            char scope[16] = "all";
            if (t >= 0)
                (void)snprintf(scope, sizeof scope, "team=%s", teams[t]);
            cr_expect_eq(eligible("hour", scope, t0 + h * H), count, "%s, hour %d", scope, h);
        }
}

Test(fold, publishes_no_more_rows_a_second_than_it_may)
{
    begin("windows: {rolling: [1m], calendar: []}\nscopes: [[queue]]\npublish: {rows_per_second: 50}\n");
    folding_tick(f, t0);
    for (int q = 0; q < 250; q++) {
        char name[3] = {(char)('a' + q % 26), (char)('a' + q / 26), 0};
        folding_feed(f, name, t0, 1);
    }
    for (int i = 1; i <= 10; i++)
        folding_tick(f, t0 + i * 100);
    cr_expect_leq(f->rows, 50 + 50 + 5);
    cr_expect_geq(f->rows, 50);
    for (int i = 11; i <= 50; i++)
        folding_tick(f, t0 + i * 100);
    cr_expect_eq(f->count, 250); /* oldest first: each has had its turn */
}

Test(fold, a_late_contribution_to_a_long_window_is_published_at_its_pace)
{
    begin("windows: {rolling: [1d], calendar: []}\nscopes: [[]]\n");
    folding_feed(f, NULL, t0, 1);
    folding_tick(f, t0);
    cr_expect_eq(offered("1d", "all", -1), 1);
    folding_feed(f, NULL, t0, 1);
    folding_tick(f, t0 + 59 * S);
    cr_expect_eq(offered("1d", "all", -1), 1); /* 1d / 300 is over a minute: a minute */
    folding_tick(f, t0 + 60 * S);
    cr_expect_eq(offered("1d", "all", -1), 2);
}

/* ---- what comes from other rows ---- */

static const char *const channels = "windows: {rolling: [5m], calendar: [hour, day]}\nscopes: [[queue], [channel], [queue, channel]]\nmetrics: {min_n: 2}\n";

/* An answer's CSAT: n of them, of which `top` are satisfied; under the queue, and under its channel. */
static void answers(const char *channel, int64_t at_ms, int64_t n, int64_t top)
{
    folding_put(f, "billing", NULL, at_ms, run_of2(MEASURE_csat_n, n, MEASURE_csat_top, top));
    folding_put(f, "billing", channel, at_ms, run_of2(MEASURE_csat_n, n, MEASURE_csat_top, top));
}

static void expect_gap(const char *window, double value, int64_t n)
{
    const struct shown *row = folding_row(f, window, "queue=billing", -1);
    cr_assert_not_null(row);
    cr_expect(row->across.gap[GAP_csat].value == value && row->across.gap[GAP_csat].n == n, "%s: %g of %lld", window, row->across.gap[GAP_csat].value,
              (long long)row->across.gap[GAP_csat].n);
}

/* Its revision is made, and told to nobody. Then one of its channels changes, and the gap between them does not. */
Test(fold, a_final_row_that_found_no_room_is_told_whatever_comes_between)
{
    begin(channels);
    f->watermark_ms = t0;
    folding_put(f, "billing", "chat", t0, run_of2(MEASURE_csat_n, 4, MEASURE_csat_top, 2));
    folding_put(f, "billing", NULL, t0, run_of2(MEASURE_csat_n, 4, MEASURE_csat_top, 2)); /* the newer one is told first: it finds no room */
    folding_tick(f, t0 + 500);
    folding_settle(f);
    cr_assert(!folding_row(f, "hour", "queue=billing", t0)->final);
    f->full = true;
    f->watermark_ms = t0 + 3 * H;
    folding_tick(f, t0 + 3 * H);
    folding_put(f, "billing", "voice", t0, run_of2(MEASURE_csat_n, 1, MEASURE_csat_top, 1));
    folding_tick(f, t0 + 3 * H + S);
    f->full = false;
    folding_settle(f);
    cr_expect(folding_row(f, "hour", "queue=billing", t0)->final);
}

Test(fold, a_queue_is_compared_across_its_channels_with_enough_answers)
{
    begin(channels);
    answers("voice", t0, 4, 3);
    answers("chat", t0, 2, 1);
    answers("email", t0, 1, 0); /* below min_n */
    folding_tick(f, t0 + 500);
    expect_gap("5m", 25, 2);
    expect_gap("hour", 25, 2);
    answers("email", t0 + S, 1, 0); /* on it: 75 to 0 */
    folding_tick(f, t0 + S + 500);
    expect_gap("5m", 75, 3);
    folding_settle(f);
    expect_gap("hour", 75, 3);
}

/* Only the channel's own key changes: the queue's row comes anew all the same, also the final one, which is another revision then. */
Test(fold, a_channel_that_changes_brings_its_queues_row_anew)
{
    begin(channels);
    f->watermark_ms = t0;
    answers("voice", t0, 4, 3);
    answers("chat", t0, 2, 1);
    folding_tick(f, t0 + 500);
    f->watermark_ms = t0 + 2 * H;
    folding_tick(f, t0 + MIN);
    cr_expect_eq(folding_row(f, "hour", "queue=billing", t0)->revision, 1);
    folding_put(f, "billing", "chat", t0, run_of(MEASURE_csat_top, -1));
    folding_tick(f, t0 + MIN + 500);
    expect_gap("5m", 75, 2);
    folding_settle(f);
    expect_gap("hour", 75, 2);
    cr_expect_eq(folding_row(f, "hour", "queue=billing", t0)->revision, 2);
}

Test(fold, a_channel_is_compared_with_its_tenants_other_channels)
{
    begin(channels);
    folding_put(f, NULL, "voice", t0, run_of2(MEASURE_closed, 4, MEASURE_converted, 1));
    folding_put(f, NULL, "chat", t0, run_of2(MEASURE_closed, 2, MEASURE_converted, 1));
    folding_tick(f, t0 + 500);
    folding_put(f, NULL, "email", t0 + S, run_of(MEASURE_closed, 1));
    folding_tick(f, t0 + S + 500);
    const struct shown *row = folding_row(f, "5m", "channel=voice", -1);
    cr_expect(row->across.others_closed == 3 && row->across.others_converted == 1);
    row = folding_row(f, "5m", "channel=email", -1);
    cr_expect(row->across.others_closed == 6 && row->across.others_converted == 2);
    folding_settle(f);
    row = folding_row(f, "hour", "channel=chat", t0);
    cr_expect(row->across.others_closed == 5 && row->across.others_converted == 1);
}

static void closed(int64_t at_ms, int64_t n)
{
    folding_put(f, "billing", NULL, at_ms, run_of(MEASURE_closed, n));
}

static int64_t week_earlier(const char *window, int64_t start_ms)
{
    const struct shown *row = folding_row(f, window, "queue=billing", start_ms);
    return row ? row->across.week_earlier_closed : -1;
}

Test(fold, a_correction_of_last_week_brings_this_weeks_row_anew)
{
    begin(channels);
    f->watermark_ms = t0;
    closed(t0, 10);
    folding_tick(f, t0);
    f->watermark_ms = t0 + 7 * DAY;
    closed(t0 + 7 * DAY, 12);
    folding_tick(f, t0 + 7 * DAY);
    cr_expect_eq(week_earlier("hour", t0 + 7 * DAY), 10);
    closed(t0, -1);
    folding_tick(f, t0 + 7 * DAY + 5 * S);
    folding_settle(f);
    cr_expect_eq(week_earlier("hour", t0 + 7 * DAY), 9);
    cr_expect_eq(week_earlier("day", t0 / DAY * DAY + 7 * DAY), 9);
    cr_expect_eq(week_earlier("hour", t0), 0);
}

Test(fold, an_hour_without_a_contact_is_compared_with_nothing)
{
    begin(channels);
    f->watermark_ms = t0;
    closed(t0, 10);
    closed(t0 + 7 * DAY - H, 10);
    folding_tick(f, t0);
    f->watermark_ms = t0 + 7 * DAY;
    folding_tick(f, t0 + 7 * DAY - MIN);
    folding_tick(f, t0 + 7 * DAY);
    folding_settle(f);
    cr_expect_eq(week_earlier("hour", t0 + 7 * DAY), 0); /* it runs, and is empty so far */
}

/* The hour of last week is beyond correction; this week's one is not, and may still change. */
static void keep_an_hour(void)
{
    begin(channels);
    f->watermark_ms = t0;
    closed(t0, 10);
    folding_tick(f, t0);
    f->watermark_ms = t0 + 7 * DAY;
    closed(t0 + 7 * DAY, 12);
    folding_tick(f, t0 + 7 * DAY);
    f->watermark_ms = t0 + H + 8 * DAY + 1;
    folding_tick(f, t0 + 9 * DAY);
    folding_settle(f);
}

Test(fold, closed_contacts_are_kept_for_the_week_after_and_nothing_else_of_them)
{
    keep_an_hour();
    uint64_t windows = fold_counts(f->fold).calendar_windows, beyond = fold_counts(f->fold).beyond_correction;
    f->count = 0;
    closed(t0, 1); /* too late for its hour, in time for its day */
    closed(t0 + 7 * DAY, 1);
    folding_tick(f, f->clock_ms + S);
    folding_settle(f);
    cr_expect_eq(fold_counts(f->fold).beyond_correction, beyond + 1);
    cr_expect_eq(week_earlier("hour", t0 + 7 * DAY), 10);
    f->generation++; /* nobody is shown what is kept */
    f->count = 0;
    folding_settle(f);
    cr_expect_null(folding_row(f, "hour", "queue=billing", t0));
    f->watermark_ms = t0 / DAY * DAY + 17 * DAY; /* what is kept goes by days */
    folding_tick(f, t0 + 17 * DAY + H);
    folding_settle(f);
    cr_expect_leq(fold_counts(f->fold).calendar_windows, windows);
    f->watermark_ms++;
    uint64_t before = fold_counts(f->fold).calendar_windows;
    folding_tick(f, f->clock_ms + S);
    cr_expect_eq(fold_counts(f->fold).calendar_windows, before - 2); /* the hour, and the day */
}

/* Each has its own number, though they share a sheet. */
Test(fold, hours_of_one_day_are_kept_apart)
{
    begin(channels);
    for (int week = 0; week < 2; week++)
        for (int hour = 0; hour < 24; hour++) {
            f->watermark_ms = t0 + week * 7 * DAY + hour * H;
            closed(f->watermark_ms, week ? 1 : 100 + hour);
            folding_tick(f, f->watermark_ms);
            folding_settle(f);
        }
    f->watermark_ms = t0 + 9 * DAY + 2 * H; /* all of the first day are beyond correction, none of a week later */
    folding_tick(f, t0 + 9 * DAY + 2 * H);
    f->count = 0;
    f->generation++;
    folding_settle(f);
    for (int hour = 0; hour < 24; hour++) {
        cr_expect_null(folding_row(f, "hour", "queue=billing", t0 + hour * H));
        cr_expect_eq(week_earlier("hour", t0 + 7 * DAY + hour * H), 100 + hour);
    }
}

/* The first sheet may come when the pool of cells is full, and has to grow. */
Test(fold, an_hours_sheet_may_move_all_cells)
{
    for (int queues = 509; queues < 515; queues++) {
        if (queues > 509) {
            folding_end(f);
            free(f);
        }
        begin("windows: {rolling: [], calendar: [hour]}\nscopes: [[queue]]\nretention: {correction: 2d}\n");
        f->watermark_ms = t0;
        for (int q = 0; q < queues; q++) {
            char name[16];
            (void)snprintf(name, sizeof name, "q%d", q);
            folding_put(f, name, NULL, t0, run_of(MEASURE_closed, 10));
        }
        folding_tick(f, t0);
        folding_settle(f);
        f->watermark_ms = t0 + 5 * DAY;
        folding_tick(f, t0 + 5 * DAY);
        folding_settle(f);
        f->watermark_ms++;
        folding_tick(f, t0 + 5 * DAY + MIN);
        cr_expect_eq(fold_counts(f->fold).calendar_windows, (uint64_t)queues * 2); /* a sheet each, and the hour that was shown as empty */
    }
}

/* Its clocks are set back between the two, and the half hour of its zone begins the later one late on the sheet's day. */
Test(fold, a_sheet_stays_until_the_week_after_its_last_hour_has_been_told)
{
    begin("windows: {rolling: [5m], calendar: [hour], timezone: America/St_Johns}\nscopes: [[queue]]\nretention: {correction: 1d}\n");
    int64_t hour = INT64_C(1793145600000) + 23 * H + 30 * MIN, later = INT64_C(1793145600000) + 8 * DAY + 30 * MIN; /* 2026-10-28T23:30Z, 2026-11-05T00:30Z */
    f->watermark_ms = hour;
    closed(hour, 10);
    folding_tick(f, hour);
    folding_settle(f);
    f->watermark_ms = later;
    folding_tick(f, later);
    folding_settle(f);
    f->full = true;
    closed(later, 12);
    for (int i = 0; i < 80; i++) {
        f->watermark_ms = later + i * H;
        folding_tick(f, later + i * H);
    }
    f->full = false;
    folding_settle(f);
    cr_expect_eq(week_earlier("hour", later), 10);
}

Test(fold, last_weeks_hour_stays_until_this_weeks_row_has_been_told)
{
    begin(channels);
    f->watermark_ms = t0;
    closed(t0, 10);
    folding_tick(f, t0);
    folding_settle(f);
    f->full = true; /* the outlet is behind, and the feed runs on */
    closed(t0 + 7 * DAY, 12);
    for (int day = 7; day < 60; day++) {
        f->watermark_ms = t0 + day * DAY;
        folding_tick(f, t0 + day * DAY);
    }
    uint64_t before = fold_counts(f->fold).calendar_windows; /* two hours, two days and two weeks */
    f->full = false;
    folding_settle(f);
    cr_expect_eq(week_earlier("hour", t0 + 7 * DAY), 10);
    cr_expect_eq(week_earlier("day", t0 / DAY * DAY + 7 * DAY), 10);
    f->watermark_ms += 20 * DAY;
    folding_tick(f, f->clock_ms + 20 * DAY);
    folding_settle(f);
    folding_tick(f, f->clock_ms + S);
    cr_expect_lt(fold_counts(f->fold).calendar_windows, before);
}

/* ---- the baseline ---- */

/* 2026-11-22 in Berlin: [21 November 23:00, 22 November 23:00) UTC. */
static const char *const with_baseline = "windows: {rolling: [5m], calendar: [hour], timezone: Europe/Berlin}\nscopes: [[queue]]\n"
                                         "baseline: {from: 2026-11-22, to: 2026-11-23, metrics: [csat]}\n";

static double baseline_of(const char *window, int64_t start_ms)
{
    const struct shown *row = folding_row(f, window, "queue=billing", start_ms);
    return row ? row->baseline : -1;
}

static void csat(int64_t at_ms, int64_t n, int64_t top)
{
    folding_put(f, "billing", NULL, at_ms, run_of2(MEASURE_csat_n, n, MEASURE_csat_top, top));
}

Test(fold, the_baseline_holds_its_period_to_the_second)
{
    begin(with_baseline);
    csat(t0 - 15 * H - S, 1, 0);  /* before */
    csat(t0 - 15 * H, 1, 1);      /* the first second */
    csat(t0 + 9 * H - S, 1, 0);   /* the last */
    csat(t0 + 9 * H, 1, 0);       /* beyond */
    folding_tick(f, t0 + 9 * H);
    folding_settle(f);
    cr_expect_eq(baseline_of("5m", -1), 50);
}

/* A change of the roster tells all windows of a key again whose figure it changes; the baseline is none of them. */
Test(fold, a_change_of_the_roster_makes_no_row_of_the_baseline)
{
    begin("windows: {rolling: [5m], calendar: [hour]}\nscopes: [[], [team]]\nbaseline: {from: 2026-11-22, to: 2026-11-23, metrics: [csat]}\n");
    folding_feed_place(f, "north", NULL, t0, 1);
    folding_tick(f, t0 + S);
    folding_roster(f, "ann", "north", t0 - MIN);
    folding_tick(f, t0 + 2 * S);
    folding_settle(f);
    for (int i = 0; i < f->count; i++)
        cr_expect(strcmp(f->shown[i].window, "5m") == 0 || strcmp(f->shown[i].window, "hour") == 0, "a row of %s", f->shown[i].window);
    cr_expect_eq(folding_row(f, "hour", "team=north", -1)->eligible, 1);
}

/* A contact of the baseline is corrected: every row of the key is shown anew, also final ones, within a minute. */
Test(fold, a_correction_of_the_baseline_is_told_in_all_rows)
{
    begin(with_baseline);
    f->watermark_ms = t0;
    csat(t0, 2, 2);
    folding_tick(f, t0);
    f->watermark_ms = t0 + 26 * H;
    csat(t0 + 24 * H, 1, 1);
    folding_tick(f, t0 + 26 * H);
    folding_settle(f);
    const struct shown *row = folding_row(f, "hour", "queue=billing", t0 + 24 * H);
    cr_expect(row->final && row->revision == 1 && row->baseline == 100);
    csat(t0, 0, -1);
    folding_tick(f, f->clock_ms + S);
    folding_settle(f);
    folding_settle(f);
    row = folding_row(f, "hour", "queue=billing", t0 + 24 * H);
    cr_expect(row->final && row->revision == 2 && row->baseline == 50, "revision %u, %g", row->revision, row->baseline);
}

/* ---- random contributions, clock and instants against the sums over [end - W, end) ---- */

enum { MOST = 6000, QUEUES = 4 };
static const char *const queues[QUEUES] = {"a", "b", "c", "d"};
static struct put {
    int64_t at_ms, n;
    int queue;
} kept[MOST];
static int kept_count;

static int64_t model(int queue, int64_t from_ms, int64_t to_ms)
{
    int64_t sum = 0;
    for (int i = 0; i < kept_count; i++)
        if (kept[i].queue == queue && kept[i].at_ms >= from_ms && kept[i].at_ms < to_ms)
            sum += kept[i].n;
    return sum;
}

static void expect_rows_equal_the_model(int64_t now_ms)
{
    f->count = 0;
    cr_assert_eq(fold_flush(f->fold, true), 0);
    for (int i = 0; i < f->count; i++) {
        const struct shown *row = &f->shown[i];
        cr_assert_eq(row->offered, model(row->scope[strlen("queue=")] - 'a', row->start_ms, row->end_ms), "%s %s from %lld: %lld", row->window,
                     row->scope, (long long)(row->start_ms - t0), (long long)row->offered);
    }
    for (int w = 0; w < f->config->rolling_count; w++) /* a rolling row that is not shown has nothing in it */
        for (int queue = 0; queue < QUEUES; queue++) {
            const struct config_rolling *rolling = &f->config->rolling[w];
            const char scope[] = {'q', 'u', 'e', 'u', 'e', '=', (char)('a' + queue), 0};
            int64_t end_ms = now_ms / rolling->slide_ms * rolling->slide_ms + rolling->slide_ms;
            const struct shown *row = folding_row(f, rolling->name, scope, -1);
            cr_assert(row ? row->end_ms == end_ms : model(queue, end_ms - rolling->length_ms, end_ms) == 0, "%s %s", rolling->name, scope);
        }
}

static void random_feed(const char *yaml, uint64_t seed)
{
    begin(yaml);
    struct chance chance = {seed};
    int64_t now_ms = t0;
    for (int step = 0; step < 700 && kept_count < MOST - 8; step++) {
        for (int64_t n = chance_below(&chance, 8); n > 0; n--) {
            static const int64_t reach[] = {30, 900, 20000, 200000};
            struct put put = {now_ms / S * S - chance_below(&chance, reach[chance_below(&chance, 4)]) * S, chance_below(&chance, 50) - 10,
                              (int)chance_below(&chance, QUEUES)};
            kept[kept_count++] = put;
            folding_feed(f, queues[put.queue], put.at_ms, put.n);
        }
        f->watermark_ms = now_ms - chance_below(&chance, 20 * S);
        folding_tick(f, now_ms);
        if (chance_below(&chance, 10) == 0)
            expect_rows_equal_the_model(now_ms);
        int64_t jump = chance_below(&chance, 100);
        now_ms += jump < 60 ? chance_below(&chance, 5 * S) : jump < 95 ? chance_below(&chance, 5 * MIN) : chance_below(&chance, 8 * H);
    }
    folding_tick(f, now_ms);
    expect_rows_equal_the_model(now_ms);
}

Test(fold, rows_equal_brute_force_sums_at_random_instants)
{
    random_feed("windows: {rolling: [1m, 5m, 15m, 1h, 1d, 7d], calendar: [hour, day, week, month]}\nscopes: [[queue]]\nretention: {correction: 365d}\n", 1);
}

Test(fold, rows_equal_brute_force_sums_for_awkward_windows_and_a_zone_with_half_hours)
{
    random_feed("windows: {rolling: [90s, 100s, 1000s, 61m, 36h], calendar: [quarter_hour, hour, day], timezone: Australia/Lord_Howe}\n"
                "scopes: [[queue]]\nretention: {correction: 365d}\n", 2);
}

/* ---- checkpoints ---- */

/* Writes the fold's part and puts it on the load; false when an item is refused. */
static bool carry_over(bool full, struct fold_load *load)
{
    struct slice_out out = {0};
    bool good = true;
    fold_dump_begin(f->fold, full, &out);
    while (!out.ended)
        (void)fold_dump_step(f->fold, 1 << 16);
    cr_expect_eq(out.full, full);
    while (slice_ready(&out)) {
        struct slice_block *block = slice_take(&out);
        struct slice_item item;
        for (const uint8_t *at = block->bytes, *end = block->bytes + block->length; good && slice_next(&at, end, &item);)
            good = fold_load_item(load, &item);
        slice_block_free(block);
    }
    return good;
}

/* A queue's first event comes so late that its pane leaves the shortest window before the next increment: no file ever had that pane. */
Test(fold, an_increment_may_take_out_a_pane_of_a_key_that_it_brings)
{
    begin(plain);
    struct folding *other = calloc(1, sizeof *other);
    folding_begin(other, plain, 1);
    struct fold_load *load = fold_load_new(&other->fold, 1, NULL);
    folding_feed(f, "billing", t0, 1);
    folding_tick(f, t0 + 500);
    cr_expect(carry_over(true, load));
    folding_feed(f, "late", t0 - 56 * S, 1);
    folding_tick(f, t0 + S);
    folding_tick(f, t0 + 8 * S);
    cr_expect(carry_over(false, load), "the increment can be read");
    fold_load_end(load);
    fold_restored(other->fold);
    folding_tick(other, t0 + 8 * S);
    const struct shown *row = folding_row(other, "5m", "queue=late", -1);
    cr_assert_not_null(row);
    cr_expect_eq(row->offered, 1);
    folding_end(other);
    free(other);
}

static bool bundle_loads(struct fold_load *load, uint32_t part)
{
    struct slice_out out = {0};
    struct slice_item item;
    slice_begin(&out, true, 1 << 20);
    slice_put_end(&out, varint_put(slice_put(&out, SLICE_BUNDLE, VARINT_MAX), part));
    slice_finish(&out);
    struct slice_block *block = slice_take(&out);
    const uint8_t *at = block->bytes;
    cr_assert(slice_next(&at, block->bytes + block->length, &item) && item.kind == SLICE_BUNDLE);
    bool good = fold_load_item(load, &item);
    slice_block_free(block);
    return good;
}

Test(fold, a_bundle_has_agents_keys_alone)
{
    begin(plain);
    struct folding *other = calloc(1, sizeof *other);
    folding_begin(other, plain, 1);
    struct fold_load *load = fold_load_new(&other->fold, 1, NULL);
    folding_feed_bundle(f, "billing", "ann", MEASURE_uses, t0, 1);
    folding_tick(f, t0 + S);
    cr_expect(carry_over(true, load));
    cr_expect_not(bundle_loads(load, 0), "the whole tenant's");
    cr_expect(bundle_loads(load, 2), "ann's within it");
    cr_expect_not(bundle_loads(load, 4), "a bundle");
    cr_expect_not(bundle_loads(load, 6), "there is none");
    fold_load_end(load);
    folding_end(other);
    free(other);
}

Test(fold, what_is_kept_for_the_week_after_survives_a_restart)
{
    keep_an_hour();
    struct folding *other = calloc(1, sizeof *other);
    folding_begin(other, channels, 1);
    struct fold_load *load = fold_load_new(&other->fold, 1, NULL);
    cr_expect(carry_over(true, load));
    fold_load_end(load);
    fold_restored(other->fold);
    other->watermark_ms = f->watermark_ms;
    folding_tick(other, f->clock_ms + S);
    struct folding *was = f;
    f = other;
    folding_settle(f);
    cr_expect_eq(week_earlier("hour", t0 + 7 * DAY), 10);
    cr_expect_null(folding_row(f, "hour", "queue=billing", t0));
    cr_expect_eq(fold_counts(f->fold).calendar_windows, fold_counts(was->fold).calendar_windows);
    f = was;
    folding_end(other);
    free(other);
}

/* The next life of the fold, under another configuration perhaps. */
static struct folding *next_life(const char *yaml)
{
    struct folding *next = calloc(1, sizeof *next);
    folding_begin(next, yaml, 1);
    struct fold_load *load = fold_load_new(&next->fold, 1, NULL);
    cr_expect(carry_over(true, load));
    fold_load_end(load);
    fold_restored(next->fold);
    next->watermark_ms = f->watermark_ms;
    folding_tick(next, f->clock_ms + S);
    folding_end(f);
    free(f);
    f = next;
    folding_settle(f);
    return next;
}

Test(fold, the_baseline_survives_restarts_and_what_calendar_windows_do_not)
{
    begin(with_baseline);
    f->watermark_ms = t0;
    csat(t0, 4, 3);
    folding_tick(f, t0);
    next_life(with_baseline);
    csat(t0, 0, -1);
    f->watermark_ms = t0 + 40 * DAY;
    folding_tick(f, t0 + 40 * DAY); /* all windows of then are gone */
    next_life(with_baseline);
    csat(t0 + 40 * DAY, 1, 1);
    folding_tick(f, f->clock_ms + S);
    folding_settle(f);
    cr_expect_eq(baseline_of("hour", -1), 50);
}

/* What was read without a baseline is not in it, and could only be taken away: none is better than a wrong one. */
Test(fold, a_state_that_has_read_without_the_baseline_goes_on_without)
{
    begin("windows: {rolling: [5m], calendar: [hour], timezone: Europe/Berlin}\nscopes: [[queue]]\n");
    f->watermark_ms = t0;
    csat(t0, 4, 3);
    folding_tick(f, t0);
    next_life(with_baseline);
    csat(t0 + S, 1, 1);
    folding_tick(f, f->clock_ms + S);
    folding_settle(f);
    cr_expect(isnan(baseline_of("hour", -1)));
    next_life(with_baseline); /* that is not forgotten */
    csat(t0 + 2 * S, 1, 1);
    folding_tick(f, f->clock_ms + S);
    folding_settle(f);
    cr_expect(isnan(baseline_of("hour", -1)));
}

#define DATES(zone) "windows: {rolling: [5m], calendar: [hour], timezone: " zone "}\nscopes: [[queue]]\n" \
                    "baseline: {from: 2026-11-20, to: 2026-11-22, metrics: [csat]}\n"

/* Four answers of the 22nd, in New York of the 21st, were not of the period; so the key has no cell that would say which period it was. */
Test(fold, a_baseline_of_dates_does_not_go_on_where_they_lie_elsewhere)
{
    for (int i = 0; i < 2; i++) {
        const int64_t ends_ms = t0 - 14 * H;
        if (i)
            end();
        begin(DATES("UTC"));
        f->watermark_ms = t0;
        csat(ends_ms, 4, 0);
        folding_tick(f, t0);
        next_life(i ? DATES("America/New_York") : DATES("Etc/UTC"));
        csat(i ? ends_ms + S : ends_ms - S, 4, 3);
        folding_tick(f, f->clock_ms + S);
        folding_settle(f);
        double value = baseline_of("hour", i ? ends_ms : ends_ms - H);
        cr_expect(i ? isnan(value) : value == 75, "%d: %g", i, value);
    }
}

Test(fold, a_baseline_that_is_named_before_it_begins_is_whole)
{
    begin("windows: {rolling: [5m], calendar: [hour], timezone: Europe/Berlin}\nscopes: [[queue]]\n");
    f->watermark_ms = t0 - 40 * H; /* a day before, and an hour */
    csat(t0 - 40 * H, 4, 0);
    folding_tick(f, t0 - 40 * H);
    next_life(with_baseline);
    csat(t0, 4, 3);
    folding_tick(f, t0);
    folding_settle(f);
    cr_expect_eq(baseline_of("hour", t0), 75);
}
