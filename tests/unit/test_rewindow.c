/* Another list of windows while the fold runs: what it tells afterwards is what a fold tells that had those windows from the beginning, but for
 * rows that say since when they are whole. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "esteem/span.h"
#include "support/figures.h"
#include "support/folding.h"
#include "support/times.h"

static const int64_t t0 = T;

static struct folding *f, *g; /* is reloaded; has the windows always */
static uint32_t seed;

static void end(void)
{
    for (int i = 0; i < 2; i++) {
        folding_end(i ? g : f);
        free(i ? g : f);
    }
}

TestSuite(rewindow, .fini = end);

static void begin(const char *was, const char *is)
{
    f = calloc(1, sizeof *f);
    g = calloc(1, sizeof *g);
    folding_begin(f, was, 1);
    folding_begin(g, is, 1);
    seed = 1;
}

static uint32_t draw(uint32_t below)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % below;
}

/* Contacts and uses of two queues over the last 40 minutes, most of them young; some are taken back at once or later. */
static void feed_both(int64_t now_ms)
{
    static const char *const queues[] = {NULL, "billing", "sales"}, *const agents[] = {"ann", "bob", "cyd"};
    for (int i = 0; i < 3; i++) {
        int64_t at_ms = now_ms - (draw(4) ? draw(5000) : draw(40 * 60000));
        const char *queue = queues[draw(3)], *agent = agents[draw(3)];
        int64_t n = draw(5) ? 1 : -1;
        for (int j = 0; j < 2; j++) {
            folding_feed(j ? g : f, queue, at_ms, 1 + n);
            folding_feed_agent(j ? g : f, queue, agent, MEASURE_uses, at_ms, n);
        }
    }
}

static void run_both(int64_t *now_ms, int64_t for_ms, int64_t step_ms)
{
    for (int64_t until = *now_ms + for_ms; *now_ms < until; *now_ms += step_ms) {
        feed_both(*now_ms);
        f->watermark_ms = g->watermark_ms = *now_ms - 10 * S;
        folding_tick(f, *now_ms);
        folding_tick(g, *now_ms);
    }
    for (int i = 0; i < 70; i++) {
        *now_ms += S;
        folding_tick(f, *now_ms);
        folding_tick(g, *now_ms);
    }
}

/* Rows that are whole are equal; returns how many were not whole. */
static int compare(void)
{
    int partly = 0, same = 0;
    for (int i = 0; i < g->count; i++) {
        const struct shown *want = &g->shown[i], *have = folding_row(f, want->window, want->scope, want->rolling ? -1 : want->start_ms);
        if (have == NULL) {
            cr_expect(!want->rolling || (want->offered == 0 && want->active == 0), "no row of %s %s", want->window, want->scope);
            continue;
        }
        if (have->since_ms != INT64_MIN) {
            cr_expect(have->since_ms > have->start_ms && have->partial);
            partly++;
            continue;
        }
        cr_expect_eq(have->end_ms, want->end_ms, "%s %s", want->window, want->scope);
        cr_expect_eq(have->offered, want->offered, "%s %s: offered %lld, not %lld", want->window, want->scope, (long long)have->offered, (long long)want->offered);
        cr_expect_eq(have->active, want->active, "%s %s: active %lld, not %lld", want->window, want->scope, (long long)have->active, (long long)want->active);
        cr_expect_eq(have->away_ms, want->away_ms, "%s %s: away %lld, not %lld", want->window, want->scope, (long long)have->away_ms, (long long)want->away_ms);
        same++;
    }
    cr_expect_gt(same, 0);
    return partly;
}

static void change(const char *is, int64_t now_ms)
{
    folding_reload(f, is);
    folding_tick(f, now_ms); /* the shards say that they have it */
    folding_tick(g, now_ms);
}

/* Both run for a while, then one is reloaded; the time it is then. */
static int64_t reloaded(const char *was, const char *is, int64_t after_ms)
{
    int64_t now_ms = t0;
    begin(was, is);
    run_both(&now_ms, after_ms, 7 * S);
    change(is, now_ms);
    return now_ms;
}

#define SCOPES "scopes: [[], [queue]]\n"

Test(rewindow, a_window_between_two_is_whole_once_the_coarse_panes_have_left_it)
{
    const char *is = "windows: {rolling: [1m, 5m, 1h], calendar: []}\n" SCOPES;
    int64_t now_ms = reloaded("windows: {rolling: [1m, 1h], calendar: []}\n" SCOPES, is, 50 * MIN);
    run_both(&now_ms, 30 * S, 7 * S);
    cr_expect_eq(compare(), 3, "5m of three keys: panes of a minute cannot be cut");
    run_both(&now_ms, 4 * MIN, 7 * S);
    cr_expect_eq(compare(), 0);
}

Test(rewindow, a_window_whose_edges_fit_is_whole_at_once)
{
    const char *is = "windows: {rolling: [1m, {length: 30m, slide: 30s}, {length: 1h, slide: 10s}], calendar: []}\n" SCOPES;
    int64_t now_ms = reloaded("windows: {rolling: [1m, {length: 1h, slide: 10s}], calendar: []}\n" SCOPES, is, 50 * MIN);
    run_both(&now_ms, 10 * S, S);
    cr_expect_eq(compare(), 0);
}

Test(rewindow, a_window_longer_than_all_reaches_as_far_as_the_longest_did)
{
    const char *is = "windows: {rolling: [5m, 10m], calendar: []}\n" SCOPES;
    int64_t now_ms = reloaded("windows: {rolling: [5m], calendar: []}\n" SCOPES, is, 20 * MIN);
    run_both(&now_ms, 10 * S, S);
    cr_expect_eq(compare(), 3);
    const struct shown *row = folding_row(f, "10m", "all", -1);
    cr_expect(row->since_ms >= row->end_ms - 7 * MIN && row->since_ms <= row->end_ms - 5 * MIN, "five minutes are kept, and a minute has gone by");
    run_both(&now_ms, 5 * MIN, 7 * S);
    cr_expect_eq(compare(), 0);
}

/* The second reload comes when what the first one brought is not whole yet. */
Test(rewindow, what_is_made_of_a_window_that_is_not_whole_is_not_whole_either)
{
    const char *first = "windows: {rolling: [5m, {length: 30m, slide: 10s}], calendar: []}\n" SCOPES, *is = "windows: {rolling: [5m, 10m, {length: 30m, slide: 10s}], calendar: []}\n" SCOPES;
    int64_t now_ms = t0;
    begin("windows: {rolling: [5m], calendar: []}\n" SCOPES, is);
    run_both(&now_ms, 20 * MIN, 7 * S);
    change(first, now_ms);
    run_both(&now_ms, 7 * S, 7 * S);
    change(is, now_ms);
    run_both(&now_ms, 7 * S, 7 * S);
    cr_expect_eq(compare(), 6, "10m and 30m of three keys");
    cr_expect_eq(folding_row(f, "10m", "all", -1)->since_ms, folding_row(f, "30m", "all", -1)->since_ms);
    run_both(&now_ms, 6 * MIN, 7 * S);
    cr_expect_eq(compare(), 3, "the half hour alone");
}

static void away(void *context, int64_t at_ms, struct tally_run *run)
{
    folding_put(context, "billing", NULL, at_ms, run);
}

/* An agent is away since the beginning; when they went has left all windows by the time of the reload. */
Test(rewindow, time_that_began_before_all_windows_counts_from_where_they_began)
{
    const char *was = "windows: {rolling: [1m, 5m], calendar: []}\n" SCOPES, *is = "windows: {rolling: [1m, 5m, 10m], calendar: []}\n" SCOPES;
    int64_t now_ms = t0;
    begin(was, is);
    span_put(1u << SPAN_AWAY, t0, SPAN_OPEN, 1, away, f);
    span_put(1u << SPAN_AWAY, t0, SPAN_OPEN, 1, away, g);
    run_both(&now_ms, 20 * MIN, 7 * S);
    change(is, now_ms);
    run_both(&now_ms, 10 * S, S);
    const struct shown *row = folding_row(f, "10m", "queue=billing", -1);
    cr_expect_gt(row->since_ms, row->start_ms);
    cr_expect_eq(row->away_ms, row->end_ms - row->since_ms, "%lld ms, of %lld that are kept", (long long)row->away_ms, (long long)(row->end_ms - row->since_ms));
    cr_expect_eq(folding_row(f, "5m", "queue=billing", -1)->away_ms, 5 * MIN);
    run_both(&now_ms, 5 * MIN, 7 * S);
    cr_expect_eq(compare(), 0);
    cr_expect_eq(folding_row(f, "10m", "queue=billing", -1)->away_ms, 10 * MIN);
}

/* The clock has gone on since the newest event, and the first window's rows are whole from that on. */
Test(rewindow, time_that_began_while_there_were_no_windows_counts_from_where_the_first_is_whole)
{
    const char *is = "windows: {rolling: [1m], calendar: [hour]}\n" SCOPES;
    int64_t now_ms = t0;
    begin("windows: {rolling: [], calendar: [hour]}\n" SCOPES, is);
    span_put(1u << SPAN_AWAY, t0, SPAN_OPEN, 1, away, f);
    span_put(1u << SPAN_AWAY, t0, SPAN_OPEN, 1, away, g);
    run_both(&now_ms, 10 * MIN, 7 * S);
    change(is, now_ms);
    for (int i = 1; i < 20; i++) {
        folding_tick(f, now_ms + i * S);
        folding_tick(g, now_ms + i * S);
    }
    fold_flush(f->fold, true);
    fold_flush(g->fold, true);
    cr_expect_eq(compare(), 0);
    const struct shown *row = folding_row(f, "1m", "queue=billing", -1);
    cr_expect(row->since_ms == INT64_MIN && row->away_ms == MIN, "%lld ms", (long long)row->away_ms);
}

Test(rewindow, the_first_windows_hold_what_comes)
{
    const char *is = "windows: {rolling: [1m, 5m], calendar: [hour]}\n" SCOPES;
    int64_t now_ms = reloaded("windows: {rolling: [], calendar: [hour]}\n" SCOPES, is, 10 * MIN);
    run_both(&now_ms, 6 * MIN, 7 * S);
    cr_expect_eq(compare(), 0);
}

Test(rewindow, windows_that_go_leave_the_others_as_they_are)
{
    const char *is = "windows: {rolling: [5m], calendar: [hour]}\n" SCOPES;
    int64_t now_ms = reloaded("windows: {rolling: [1m, 5m, 15m, 1h], calendar: [hour, day, quarter_hour]}\n" SCOPES, is, 50 * MIN);
    f->count = 0;
    run_both(&now_ms, 2 * MIN, 7 * S);
    cr_expect_eq(compare(), 0);
    cr_expect_null(folding_row(f, "1m", "all", -1));
    cr_expect_null(folding_row(f, "day", "all", -1));
    cr_expect_null(folding_row(f, "quarter_hour", "all", -1));
}

Test(rewindow, a_calendar_window_begins_with_the_next_one)
{
    const char *is = "windows: {rolling: [1m], calendar: [hour, quarter_hour]}\n" SCOPES;
    int64_t now_ms = reloaded("windows: {rolling: [1m], calendar: [hour]}\n" SCOPES, is, 20 * MIN);
    run_both(&now_ms, 20 * MIN, 7 * S); /* late ones fall into quarters of before too */
    int quarters = 0;
    for (int i = 0; i < f->count; i++)
        if (strcmp(f->shown[i].window, "quarter_hour") == 0) {
            const struct shown *want = folding_row(g, "quarter_hour", f->shown[i].scope, f->shown[i].start_ms);
            cr_expect_geq(f->shown[i].start_ms, t0 + 30 * MIN, "it began before");
            cr_expect(want && want->offered == f->shown[i].offered && want->active == f->shown[i].active);
            quarters++;
        }
    cr_expect_eq(quarters, 3, "14:30 of three keys");
}

Test(rewindow, many_reloads_on_end_lose_nothing)
{
    static const char *const list[] = {"windows: {rolling: [1m, 1h], calendar: [hour]}\n" SCOPES, "windows: {rolling: [5m, 15m, 1h], calendar: [hour, day]}\n" SCOPES,
                                       "windows: {rolling: [1h], calendar: [hour]}\n" SCOPES, "windows: {rolling: [1m, 5m, 1h], calendar: [hour, quarter_hour]}\n" SCOPES};
    const char *is = list[0];
    int64_t now_ms = t0;
    begin(is, is);
    run_both(&now_ms, 10 * MIN, 7 * S);
    for (int i = 1; i <= 20; i++) {
        change(list[i % 4], now_ms);
        run_both(&now_ms, 10 * S, S);
    }
    f->count = 0;
    change(is, now_ms);
    run_both(&now_ms, 2 * MIN, 7 * S);
    cr_expect_eq(compare(), 0, "the hour was there all the time; the minute is whole again");
}

/* What lies in panes of a minute cannot be told apart any more, whatever windows come after those that came first. */
Test(rewindow, a_window_that_comes_soon_after_another_is_whole_no_sooner_than_that_one)
{
    const char *is = "windows: {rolling: [30s, 1m, 1h], calendar: []}\n" SCOPES;
    int64_t now_ms = t0;
    begin("windows: {rolling: [1h], calendar: []}\n" SCOPES, is);
    run_both(&now_ms, 10 * MIN, 7 * S);
    now_ms += 40 * S; /* in the midst of a minute */
    run_both(&now_ms, 21 * S, 7 * S);
    change("windows: {rolling: [1m, 1h], calendar: []}\n" SCOPES, now_ms);
    change(is, now_ms + S);
    fold_flush(f->fold, true);
    fold_flush(g->fold, true);
    cr_expect_eq(compare(), 6);
    run_both(&now_ms, 3 * MIN, 7 * S);
    cr_expect_eq(compare(), 0);
}

/* Events may be a little ahead of the clock, and lie in a pane that the new window's edges cut. */
Test(rewindow, a_window_that_cuts_panes_is_whole_from_the_newest_event_on)
{
    begin("windows: {rolling: [1h], calendar: []}\n" SCOPES, "windows: {rolling: [1h], calendar: []}\n" SCOPES);
    f->watermark_ms = t0 + 80 * S;
    folding_feed(f, NULL, t0 + 80 * S, 1);
    folding_tick(f, t0 + 50 * S);
    change("windows: {rolling: [1m, 1h], calendar: []}\n" SCOPES, t0 + 51 * S);
    for (int i = 0; i < 40; i++)
        folding_tick(f, t0 + (52 + i) * S);
    const struct shown *row = folding_row(f, "1m", "all", -1);
    cr_expect(row && row->since_ms == t0 + 80 * S + 1);
}

Test(rewindow, all_may_go_and_come_back)
{
    const char *is = "windows: {rolling: [1m, 5m], calendar: [hour]}\n" SCOPES;
    int64_t now_ms = reloaded(is, "windows: {rolling: [], calendar: [hour]}\n" SCOPES, 10 * MIN);
    run_both(&now_ms, MIN, 7 * S);
    change(is, now_ms);
    run_both(&now_ms, 6 * MIN, 7 * S);
    cr_expect_eq(compare(), 0);
}

Test(rewindow, where_the_windows_stay_a_reload_may_come_while_a_checkpoint_is_written)
{
    const char *is = "windows: {rolling: [1m, 5m], calendar: [hour]}\n" SCOPES;
    int64_t now_ms = t0;
    struct slice_out out = {0};
    begin(is, is);
    run_both(&now_ms, 10 * MIN, 7 * S);
    fold_dump_begin(f->fold, true, &out);
    change(is, now_ms);
    while (fold_is_dumping(f->fold))
        (void)fold_dump_step(f->fold, 1 << 16);
    run_both(&now_ms, MIN, 7 * S);
    cr_expect_eq(compare(), 0);
    slice_drop(&out);
}
