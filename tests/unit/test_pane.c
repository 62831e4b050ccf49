/* The pane ladder against a model that keeps every contribution and adds up what lies in [left, right). */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "esteem/grain.h"
#include "esteem/pane.h"
#include "support/figures.h"
#include "support/settings.h"

enum { KEYS = 3, MOST = 20000 };
static struct config *config;
static struct pane_ladder *ladder;
static struct put {
    uint32_t key;
    int64_t at_ms, value;
} kept[MOST];
static int put_count;
static int64_t sums[KEYS][CONFIG_ROLLING_MAX]; /* what the ladder says */
static struct grain grain; /* an instant is put as of what this allows; the model keeps it as it is */
static const int64_t start = INT64_C(1795356000000);

static void begin(const char *rolling)
{
    char yaml[256];
    (void)snprintf(yaml, sizeof yaml, "windows: {rolling: [%s]}", rolling);
    config = config_of(yaml);
    ladder = pane_ladder_new(config->rolling, config->rolling_count, true);
    grain.count = put_count = 0;
    memset(sums, 0, sizeof sums);
}

static void end(void)
{
    pane_ladder_free(ladder);
    config_free(config);
}

TestSuite(pane, .fini = end);

static void crosses(void *context, const struct pane_cross *at)
{
    (void)context;
    for (int w = 0; w < config->rolling_count; w++)
        sums[at->key][w] += ((int)(at->in >> w & 1) - (int)(at->was >> w & 1)) * figure(at->tally, 1);
}

static uint32_t put(uint32_t key, int64_t at_ms, int64_t value)
{
    const struct tally_run *run = run_of(1, value);
    uint32_t before, in = pane_put(ladder, key, grain_told_ms(&grain, at_ms), false, run->bytes, run->length, &before);
    for (int w = 0; w < config->rolling_count; w++)
        sums[key][w] += in >> w & 1 ? value : 0;
    kept[put_count++] = (struct put){key, at_ms, value};
    return in;
}

static void advance(int64_t now_ms)
{
    pane_advance(ladder, now_ms, crosses, NULL);
}

static void expect_equal_to_the_model(int64_t now_ms)
{
    for (int w = 0; w < config->rolling_count; w++) {
        const struct config_rolling *rolling = &config->rolling[w];
        int64_t model[KEYS] = {0}, right_ms = now_ms / rolling->slide_ms * rolling->slide_ms + rolling->slide_ms;
        cr_assert_eq(pane_edges(ladder, w)->right_ms, right_ms);
        cr_assert_eq(pane_edges(ladder, w)->left_ms, right_ms - rolling->length_ms);
        for (int i = 0; i < put_count; i++)
            if (kept[i].at_ms >= right_ms - rolling->length_ms && kept[i].at_ms < right_ms)
                model[kept[i].key] += kept[i].value;
        for (int k = 0; k < KEYS; k++)
            cr_assert_eq(sums[k][w], model[k], "%s of key %d at start + %lld: %lld, not %lld", rolling->name, k, (long long)(now_ms - start),
                         (long long)sums[k][w], (long long)model[k]);
    }
}

Test(pane, a_contribution_enters_stays_and_leaves)
{
    begin("1m, 5m");
    advance(start);
    cr_expect_eq(put(0, start, 7), 3);
    advance(start + 59000);
    cr_expect_eq(sums[0][0], 7);
    advance(start + 60000);
    cr_expect_eq(sums[0][0], 0);
    cr_expect_eq(sums[0][1], 7);
    advance(start + 299000);
    cr_expect_eq(sums[0][1], 7);
    advance(start + 300000);
    cr_expect_eq(sums[0][1], 0);
}

Test(pane, is_forgotten_when_it_has_left_the_longest_window)
{
    begin("1m, 5m, 1h");
    advance(start);
    for (int i = 0; i < 100; i++)
        put(0, start - i * 1000, 1);
    cr_expect_gt(pane_counts(ladder).panes, 0);
    advance(start + 7200000);
    cr_expect_eq(pane_counts(ladder).panes, 0);
    cr_expect_eq(pane_counts(ladder).bytes, 0);
    cr_expect_eq(put(0, start - 3600000, 1), 0);
    cr_expect_eq(pane_counts(ladder).panes, 0);
}

Test(pane, grows_coarser_with_age)
{
    begin("1m, 1h, 1d");
    advance(start);
    for (int i = 0; i < 3600; i++)
        put(0, start + i * 1000, 1);
    uint64_t fine = pane_counts(ladder).panes;
    advance(start + 3599000 + 3600000 * 2);
    cr_expect_lt(pane_counts(ladder).panes * 20, fine);
    cr_expect_eq(sums[0][2], 3600);
}

Test(pane, what_lies_ahead_waits_until_a_window_reaches_it)
{
    begin("1m, 5m");
    advance(start);
    cr_expect_eq(put(0, start + 2000, 7), 2); /* the slide of 5m is 5 s: its edge is at start + 5 s */
    cr_expect_eq(put(0, start + 10000, 7), 0);
    advance(start + 10000);
    expect_equal_to_the_model(start + 10000);
}

Test(pane, never_moves_back)
{
    begin("1m");
    advance(start);
    put(0, start, 1);
    advance(start - 3600000);
    expect_equal_to_the_model(start);
}

Test(pane, what_came_before_the_first_advance_is_counted)
{
    begin("1m, 1h");
    put(0, start - 30000, 3);
    put(1, start - 120000, 4);
    put(2, start - 7200000, 5);
    put(2, start + 600000, 6);
    advance(start);
    expect_equal_to_the_model(start);
    advance(start + 600000);
    expect_equal_to_the_model(start + 600000);
}

Test(pane, an_unmoving_ladder_says_who_holds_an_instant)
{
    begin("1m, 1h");
    pane_ladder_free(ladder);
    ladder = pane_ladder_new(config->rolling, config->rolling_count, false);
    pane_ladder_fix(ladder, start);
    cr_expect_eq(put(0, start, 1), 0);
    cr_expect_eq(put(0, start - 1, 1), 3);
    cr_expect_eq(put(0, start - 60000, 1), 3);
    cr_expect_eq(put(0, start - 60001, 1), 2);
    cr_expect_eq(put(0, start - 3600001, 1), 0);
}

/* With `late` contributions are told as they may be where the windows stood some steps ago. */
static void random_walk(const char *rolling, uint64_t seed, bool late)
{
    begin(rolling);
    struct chance chance = {seed};
    int64_t now_ms = start, longest_ms = config->rolling[config->rolling_count - 1].length_ms;
    for (int step = 0; step < 1500; step++) {
        for (int64_t n = chance_below(&chance, 8); n > 0; n--) {
            static const int64_t reach[] = {5, 90, 4000, 100000};
            int64_t back_s = chance_below(&chance, reach[chance_below(&chance, 4)]) - 5; /* a few seconds ahead, too */
            put((uint32_t)chance_below(&chance, KEYS), now_ms / 1000 * 1000 - back_s * 1000, chance_below(&chance, 1000) - 300);
        }
        int64_t jump = chance_below(&chance, 100);
        now_ms += jump < 50 ? chance_below(&chance, 3000) : jump < 90 ? chance_below(&chance, 60000) : jump < 98 ? chance_below(&chance, 3600000)
                                                                                                      : chance_below(&chance, longest_ms * 2);
        if (late && chance_below(&chance, 3) == 0)
            grain = grain_at(config->rolling, config->rolling_count, now_ms);
        advance(now_ms);
        if (step % 7 == 0)
            expect_equal_to_the_model(now_ms);
    }
    expect_equal_to_the_model(now_ms);
}

static void both(const char *rolling, uint64_t seed)
{
    random_walk(rolling, seed, false);
    end();
    random_walk(rolling, seed, true);
}

Test(pane, equals_the_model_for_the_default_windows)
{
    both("1m, 5m, 15m, 1h, 1d, 7d, 30d", 1);
}

Test(pane, equals_the_model_for_awkward_windows)
{
    both("90s, 100s, 1000s", 2);
}

Test(pane, equals_the_model_for_windows_whose_slides_hardly_divide)
{
    both("61m, 7m, 1s, 25h", 3);
}

Test(pane, equals_the_model_for_one_window_and_for_many)
{
    both("1h", 4);
    end();
    both("1s, 2s, 7s, 59s, 61s, 11m, 13m, 29m, 31m, 59m, 61m, 5h, 7h, 36h, 11d, 365d", 5);
}
