/* Tallies: sparse vectors of signed integers. */
#include <criterion/criterion.h>
#include <string.h>

#include "support/figures.h"

static struct slab slab;
static struct tally_dense dense;
static struct tally tally;

static void empty(void)
{
    tally_free(&tally, &slab);
    slab_close(&slab);
}

TestSuite(tally, .fini = empty);

static void add(uint32_t id, int64_t value)
{
    const struct tally_run *run = run_of(id, value);
    tally_add(&tally, &slab, &dense, run->bytes, run->length);
}

Test(tally, sums_equal_ids_whatever_their_order)
{
    add(7, 5);
    add(3, 1);
    add(7, -2);
    add(TALLY_IDS - 1, 9);
    cr_expect_eq(figure(&tally, 7), 3);
    cr_expect_eq(figure(&tally, 3), 1);
    cr_expect_eq(figure(&tally, TALLY_IDS - 1), 9);
    cr_expect_eq(figure(&tally, 8), 0);
}

Test(tally, settles_to_nothing_when_all_is_taken_back)
{
    for (int i = 0; i < 100; i++)
        add((uint32_t)i, i + 1);
    for (int i = 99; i >= 0; i--)
        add((uint32_t)i, -i - 1);
    cr_expect(tally_is_zero(&tally, &slab, &dense));
    cr_expect_eq(tally.length, 0);
    cr_expect_eq(slab.used, 0);
}

Test(tally, settled_bytes_depend_on_the_figures_alone)
{
    struct tally other = {0};
    for (uint32_t i = 0; i < 50; i++)
        add(i % 13, i);
    tally_settle(&tally, &slab, &dense);
    for (uint32_t i = 50; i-- > 0;) {
        const struct tally_run *run = run_of(i % 13, i);
        tally_add(&other, &slab, &dense, run->bytes, run->length);
    }
    tally_settle(&other, &slab, &dense);
    cr_expect_eq(tally.length, other.length);
    cr_expect_eq(memcmp(tally_bytes(&tally), tally_bytes(&other), tally.length), 0);
    tally_free(&other, &slab);
}

Test(tally, holds_no_more_than_twice_its_settled_bytes_and_some_slack)
{
    for (int i = 0; i < 10000; i++)
        add(5, 1);
    cr_expect_lt(tally.length, 128);
    cr_expect_eq(figure(&tally, 5), 10000);
}

Test(tally, negates_a_run)
{
    struct tally_run negated;
    const struct tally_run *run = run_of2(2, 41, 300, -7);
    tally_run_negate(run, &negated);
    cr_expect_eq(figure_in(negated.bytes, negated.length, 2), -41);
    cr_expect_eq(figure_in(negated.bytes, negated.length, 300), 7);
    cr_expect(tally_runs_valid(negated.bytes, negated.length));
}

Test(tally, leaves_zeros_out_of_a_run)
{
    cr_expect(tally_run_empty(run_of2(2, 0, 300, 0)));
    cr_expect_not(tally_run_empty(run_of2(2, 0, 300, 1)));
}

Test(tally, merges_and_takes_away_small_and_large_ones)
{
    for (uint32_t most = 3; most <= 900; most *= 300) { /* the large one does not fit the negation's buffer */
        struct tally other = {0};
        for (uint32_t i = 0; i < most; i++) {
            const struct tally_run *run = run_of(i, (int64_t)i * 1000 + 1);
            tally_add(&other, &slab, &dense, run->bytes, run->length);
        }
        add(1, 5);
        tally_merge(&tally, &slab, &dense, &other, 1);
        cr_expect_eq(figure(&tally, 2), 2001);
        tally_merge(&tally, &slab, &dense, &other, -1);
        cr_expect_eq(figure(&tally, 1), 5);
        add(1, -5);
        cr_expect(tally_is_zero(&tally, &slab, &dense));
        tally_free(&other, &slab);
    }
}

Test(tally, keeps_extreme_values)
{
    add(0, INT64_MAX);
    add(1, -INT64_MAX);
    add(2, INT64_C(1) << 53);
    tally_settle(&tally, &slab, &dense);
    cr_expect_eq(figure(&tally, 0), INT64_MAX);
    cr_expect_eq(figure(&tally, 1), -INT64_MAX);
    cr_expect_eq(figure(&tally, 2), INT64_C(1) << 53);
}

Test(tally, saturates_and_counts_it)
{
    add(0, INT64_MAX);
    add(0, 1);
    add(1, -INT64_MAX);
    add(1, -INT64_MAX);
    tally_settle(&tally, &slab, &dense);
    cr_expect_eq(dense.saturated, 2);
    cr_expect_eq(figure(&tally, 0), INT64_MAX);
    cr_expect_eq(figure(&tally, 1), -INT64_MAX);
}

Test(tally, can_be_taken_away_after_it_has_saturated_below)
{
    struct tally sum = {0};
    add(1, -INT64_MAX);
    add(1, -1);
    tally_settle(&tally, &slab, &dense);
    tally_merge(&sum, &slab, &dense, &tally, -1); /* -INT64_MIN would be no int64 */
    cr_expect_eq(figure(&sum, 1), INT64_MAX);
    tally_free(&sum, &slab);
}

Test(tally, tells_whole_runs_from_broken_bytes)
{
    const struct tally_run *run = run_of2(2, 41, 2000, -70000);
    cr_expect(tally_runs_valid(run->bytes, run->length));
    cr_expect(tally_runs_valid(run->bytes, 0));
    for (uint32_t length = 1; length < run->length; length++)
        cr_expect_not(tally_runs_valid(run->bytes, length), "%u", length);
    const uint8_t beyond[] = {0xff, 0xff, 0x7f, 2, 0}, endless[] = {0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0};
    cr_expect_not(tally_runs_valid(beyond, sizeof beyond));
    cr_expect_not(tally_runs_valid(endless, sizeof endless));
}

Test(tally, equals_a_dense_model_after_random_adds)
{
    static int64_t model[TALLY_IDS];
    struct chance chance = {42};
    for (int i = 0; i < 20000; i++) {
        uint32_t id = (uint32_t)chance_below(&chance, i % 3 ? 40 : TALLY_IDS);
        int64_t value = chance_below(&chance, 2000001) - 1000000;
        add(id, value);
        model[id] += value;
        if (i % 997 == 0)
            tally_settle(&tally, &slab, &dense);
    }
    tally_dense_add(&dense, tally_bytes(&tally), tally.length, 1);
    cr_expect_eq(memcmp(dense.value, model, sizeof model), 0);
}

/* It moves into a block of its own and back again on its way. */
Test(tally, is_the_same_whether_it_is_short_or_long)
{
    for (uint32_t id = 1; id <= 40; id++) {
        add(id, 1000 + id);
        for (uint32_t k = 1; k <= id; k++)
            cr_assert_eq(figure(&tally, k), 1000 + k);
    }
    cr_expect_gt(tally.length, TALLY_INSIDE);
    for (uint32_t id = 40; id > 2; id--)
        add(id, -1000 - (int64_t)id);
    tally_settle(&tally, &slab, &dense);
    cr_expect_leq(tally.length, TALLY_INSIDE);
    cr_expect_eq(slab.used, 0);
    cr_expect_eq(figure(&tally, 1), 1001);
    cr_expect_eq(figure(&tally, 2), 1002);
}

Test(tally, one_that_is_read_once_adds_up_like_any_other)
{
    for (uint32_t i = 0; i < 5000; i++) {
        const struct tally_run *run = run_of(i % 17, i % 5);
        tally_log(&tally, &slab, &dense, run->bytes, run->length);
    }
    int64_t sum = 0;
    for (uint32_t id = 0; id < 17; id++)
        sum += figure(&tally, id);
    cr_expect_eq(sum, 10000);
    cr_expect_lt(tally.length, 4096);
}
