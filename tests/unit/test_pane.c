/* The pane ladder against a model that keeps every contribution and adds up what lies in [left, right). */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "esteem/grain.h"
#include "esteem/pane.h"
#include "esteem/slice.h"
#include "esteem/span.h"
#include "support/figures.h"
#include "support/settings.h"

enum { KEYS = 100, MOST = 40000 };
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
    if (at->key >= KEYS)
        return;
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
    pane_age(ladder);
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

/* ---- packed panes, and checkpoints of them ---- */

Test(pane, what_is_old_and_wide_is_packed_and_what_is_late_still_counts)
{
    begin("1m, 1h, 1d, 7d");
    advance(start);
    for (int64_t hour = 0; hour < 100; hour++)
        for (uint32_t key = 0; key < KEYS; key++)
            put(key, start - hour * 3600000, key + 1);
    advance(start + 3600000 * 2);
    advance(start + 3600000 * 4);
    struct pane_counts counts = pane_counts(ladder);
    cr_expect_geq(counts.packed, 70 * KEYS);
    expect_equal_to_the_model(start + 3600000 * 4);
    put(77, start - 90 * 3600000, 1000);
    cr_expect_eq(pane_counts(ladder).packed, counts.packed - 1);
    cr_expect_eq(pane_counts(ladder).panes, counts.panes);
    for (int64_t hour = 5; hour < 300; hour += 5) {
        advance(start + 3600000 * hour);
        expect_equal_to_the_model(start + 3600000 * hour);
    }
    cr_expect_eq(pane_counts(ladder).panes, 0);
    cr_expect_eq(pane_counts(ladder).bytes, 0);
}

/* A replay's last hours come at once, and then nothing moves the windows. */
Test(pane, is_packed_in_steps_also_when_the_windows_stand)
{
    begin("1m, 1h, 1d, 7d");
    const struct tally_run *run = run_of(1, 5);
    uint32_t before;
    advance(start);
    for (uint32_t key = 0; key < 50000; key++)
        (void)pane_put(ladder, key, start - 50 * INT64_C(3600000), false, run->bytes, run->length, &before);
    advance(start + 3600000);
    uint64_t some = pane_counts(ladder).packed;
    cr_expect(some > 0 && some <= 8192);
    for (int step = 0; step < 7; step++)
        pane_tend(ladder);
    cr_expect_gt(pane_counts(ladder).packed, 45000);
}

/* Or a start would take more memory than the life before it. */
Test(pane, what_is_loaded_is_packed_on_the_way)
{
    begin("1m, 1h, 1d, 7d");
    const struct tally_run *run = run_of(1, 5);
    enum { PANES = (1 << 20) + 1000 };
    for (uint32_t p = 0; p < PANES; p++)
        pane_load(ladder, &(struct pane_saved){.key = p % 20000, .level = 3, .start_ms = start / 3600000 * 3600000 - p / 20000 * 3600000, .runs = run->bytes, .length = run->length});
    cr_expect_gt(pane_counts(ladder).packed, PANES * 9 / 10);
    cr_expect_eq(pane_counts(ladder).panes, PANES);
}

Test(pane, is_packed_as_well_when_the_clock_was_set_right)
{
    begin("1m, 1h, 1d, 7d");
    int64_t year_ms = INT64_C(365) * 24 * 3600000;
    put(0, start + year_ms, 1);
    advance(start + year_ms);
    pane_lift(ladder);
    memset(sums, 0, sizeof sums);
    for (int64_t hour = 0; hour < 100; hour++)
        for (uint32_t key = 0; key < KEYS; key++)
            put(key, start - hour * 3600000, 1);
    memset(sums, 0, sizeof sums); /* the first advance says all */
    for (int hour = 0; hour < 5; hour++)
        advance(start + hour * 3600000);
    cr_expect_gt(pane_counts(ladder).packed, 60 * KEYS);
    expect_equal_to_the_model(start + 4 * 3600000);
}

enum { FILES = 400 };
static struct {
    bool full;
    struct slice_block *block[4096];
    int blocks;
} file[FILES]; /* a chain of checkpoints */
static int files;
static int64_t loaded[KEYS][CONFIG_ROLLING_MAX];

static void loaded_crosses(void *context, const struct pane_cross *at)
{
    (void)context;
    for (int w = 0; w < config->rolling_count; w++)
        loaded[at->key][w] += ((int)(at->in >> w & 1) - (int)(at->was >> w & 1)) * figure(at->tally, 1);
}

static void load_file(struct pane_ladder *into, int f)
{
    for (int b = 0; b < file[f].blocks; b++) {
        const uint8_t *at = file[f].block[b]->bytes, *last = at + file[f].block[b]->length;
        struct pane_saved saved;
        for (struct slice_item item; slice_next(&at, last, &item) && item.kind != SLICE_END;) {
            cr_assert(pane_saved_read(&item, &saved));
            pane_load(into, &saved);
        }
    }
}

/* What the chain says at an instant is what was so then. */
static void expect_loads_as(int64_t now_ms, int64_t (*was)[CONFIG_ROLLING_MAX])
{
    struct pane_ladder *into = pane_ladder_new(config->rolling, config->rolling_count, true);
    int first = files - 1;
    while (!file[first].full)
        first--;
    for (int f = first; f < files; f++)
        load_file(into, f);
    memset(loaded, 0, sizeof loaded);
    pane_advance(into, now_ms, loaded_crosses, NULL);
    pane_age(into);
    for (int k = 0; k < KEYS; k++)
        for (int w = 0; w < config->rolling_count; w++)
            cr_assert_eq(loaded[k][w], was[k][w], "file %d, key %d, window %d: %lld, not %lld", files, k, w, (long long)loaded[k][w], (long long)was[k][w]);
    struct pane_ladder *poured = pane_ladder_new(config->rolling, config->rolling_count, true);
    pane_pour(poured, into, now_ms);
    memset(loaded, 0, sizeof loaded);
    pane_advance(poured, now_ms, loaded_crosses, NULL);
    pane_age(poured);
    cr_assert_eq(memcmp(loaded, was, sizeof loaded), 0, "what is poured is the same");
    pane_ladder_free(poured);
    pane_ladder_free(into);
}

static int64_t live_on(struct chance *chance, int64_t now_ms)
{
    for (int64_t n = chance_below(chance, 30); n > 0; n--) {
        static const int64_t reach[] = {5, 4000, 200000, 3000000};
        put((uint32_t)chance_below(chance, KEYS), now_ms / 1000 * 1000 - chance_below(chance, reach[chance_below(chance, 4)]) * 1000, chance_below(chance, 1000) - 300);
    }
    for (int i = put_count - 1; i > 0 && chance_below(chance, 3); i--) /* taken back: a pane may come to nothing */
        put(kept[i].key, kept[i].at_ms, -kept[i].value);
    now_ms += chance_below(chance, 10) ? chance_below(chance, 1800000) : chance_below(chance, 40 * 3600000);
    advance(now_ms);
    return now_ms;
}

Test(pane, a_chain_of_checkpoints_holds_what_was_so_when_each_began)
{
    begin("1m, 1h, 1d, 7d, 30d");
    struct chance chance = {11};
    struct slice_out out;
    int64_t now_ms = start, was[KEYS][CONFIG_ROLLING_MAX];
    uint64_t packed = 0;
    for (files = 0; files < FILES && put_count < MOST - 1000;) {
        for (int64_t n = chance_below(&chance, 6); n > 0; n--)
            now_ms = live_on(&chance, now_ms);
        bool full = chance_below(&chance, 8) == 0 || !pane_dump_can_add(ladder);
        int64_t began_ms = now_ms;
        memcpy(was, sums, sizeof was);
        slice_begin(&out, full, 64 << 20);
        file[files].full = pane_dump_begin(ladder, full, KEYS, &out);
        while (!pane_dump_step(ladder, 2000 + (uint32_t)chance_below(&chance, 20000)))
            if (chance_below(&chance, 3) == 0)
                now_ms = live_on(&chance, now_ms);
        slice_finish(&out);
        for (; slice_ready(&out); file[files].blocks++)
            file[files].block[file[files].blocks] = slice_take(&out);
        files++;
        if (began_ms > start)
            expect_loads_as(began_ms, was);
        packed += pane_counts(ladder).packed;
    }
    cr_expect_gt(packed, 0);
    expect_equal_to_the_model(now_ms);
    for (int f = 0; f < files; f++)
        for (int b = 0; b < file[f].blocks; b++)
            slice_block_free(file[f].block[b]);
}

static int64_t open_before[2], open_on[2], open_at[2]; /* of two windows: open at the left edge; begun inside, and the sum of when */

static void span_crosses(void *context, const struct pane_cross *at)
{
    (void)context;
    for (int w = 0; w < 2; w++) {
        int64_t enters = (int)(at->in >> w & 1) - (int)(at->was >> w & 1);
        open_before[w] += (at->before >> w & 1) * figure(at->tally, span_on(SPAN_AWAY));
        open_on[w] += enters * figure(at->tally, span_on(SPAN_AWAY));
        open_at[w] += enters * figure(at->tally, span_on(SPAN_AWAY) + 1);
    }
}

static void put_span(void *context, int64_t at_ms, struct tally_run *run)
{
    uint32_t before;
    (void)pane_put(context, 1, at_ms, true, run->bytes, run->length, &before);
}

Test(pane, what_is_open_since_before_all_windows_is_poured_where_they_began)
{
    int64_t now_ms = start + 1200000;
    begin("5m");
    struct config *longer = config_of("windows: {rolling: [5m, 10m]}");
    struct pane_ladder *into = pane_ladder_new(longer->rolling, longer->rolling_count, true);
    pane_advance(ladder, start, crosses, NULL);
    span_put(1u << SPAN_AWAY, start, SPAN_OPEN, 1, put_span, ladder);
    pane_advance(ladder, now_ms, crosses, NULL);
    pane_age(ladder);
    pane_pour(into, ladder, now_ms);
    pane_advance(into, now_ms, span_crosses, NULL);
    for (int w = 0; w < 2; w++) {
        const struct pane_edges *edges = pane_edges(into, w);
        cr_expect_eq(span_ms(open_before[w], open_on[w], open_at[w], edges->left_ms, edges->right_ms), edges->right_ms - pane_edges(ladder, 0)->left_ms,
                     "what is kept, and no more");
    }
    pane_ladder_free(into);
    config_free(longer);
}
