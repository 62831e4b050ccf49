/* The small tools of engine/base: slab, intern, ring, err, clock. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "esteem/clock.h"
#include "esteem/err.h"
#include "esteem/intern.h"
#include "esteem/ring.h"
#include "support/figures.h"

Test(slab, rounds_sizes_up_by_at_most_a_half)
{
    for (size_t size = 1; size <= SLAB_LARGEST; size += size / 7 + 1) {
        size_t room = slab_room(size);
        cr_expect_geq(room, size);
        cr_expect(room <= 16 || room * 2 <= size * 3, "%zu -> %zu", size, room);
        cr_expect_eq(slab_room(room), room);
    }
    cr_expect_eq(slab_room(SLAB_LARGEST + 1), SLAB_LARGEST + 1);
}

Test(slab, gives_a_block_back_to_the_next_of_its_class)
{
    struct slab slab;
    slab_init(&slab);
    void *first = slab_take(&slab, 40), *other = slab_take(&slab, 100);
    slab_give(&slab, first, 40);
    cr_expect_eq(slab_take(&slab, 33), first);
    cr_expect_neq(slab_take(&slab, 33), first);
    (void)other;
    slab_close(&slab);
}

Test(slab, blocks_do_not_overlap_and_counts_return_to_zero)
{
    enum { BLOCKS = 3000 };
    static unsigned char *block[BLOCKS];
    static size_t size[BLOCKS];
    struct slab slab;
    struct chance chance = {1};
    slab_init(&slab);
    for (int i = 0; i < BLOCKS; i++) {
        size[i] = (size_t)chance_below(&chance, i % 50 ? 400 : 2 * SLAB_LARGEST) + 1;
        block[i] = slab_take(&slab, size[i]);
        memset(block[i], i % 251, size[i]);
    }
    for (int i = 0; i < BLOCKS; i++) {
        for (size_t b = 0; b < size[i]; b++)
            cr_assert_eq(block[i][b], i % 251);
        slab_give(&slab, block[i], size[i]);
    }
    cr_expect_eq(slab.used, 0);
    slab_close(&slab);
}

Test(intern, gives_each_string_one_number_from_1)
{
    struct intern intern;
    intern_init(&intern);
    uint32_t a = intern_put(&intern, "billing", 7);
    cr_expect_eq(a, 1);
    cr_expect_eq(intern_put(&intern, "billing!", 7), a);
    cr_expect_eq(intern_put(&intern, "billing!", 8), 2);
    cr_expect_str_eq(intern_text(&intern, a), "billing");
    cr_expect_eq(intern_length(&intern, 2), 8);
    cr_expect_str_eq(intern_text(&intern, 0), "");
    intern_close(&intern);
}

Test(intern, keeps_numbers_and_texts_while_it_grows)
{
    struct intern intern;
    intern_init(&intern);
    char text[300];
    const char *first = intern_text(&intern, intern_put(&intern, "first", 5));
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 20000; i++) {
            int length = snprintf(text, sizeof text, "agent-%0*d", i % 200, i);
            cr_assert_eq(intern_put(&intern, text, (uint32_t)length), (uint32_t)i + 2);
        }
    cr_expect_eq(intern.count, 20001);
    cr_expect_eq(intern_text(&intern, 1), first);
    intern_close(&intern);
}

Test(ring, hands_over_in_order_and_says_when_it_is_full_or_empty)
{
    struct ring ring;
    int items[5];
    ring_init(&ring, 4);
    cr_expect_null(ring_pop_spsc(&ring));
    for (int i = 0; i < 4; i++)
        cr_expect(ring_push_spsc(&ring, &items[i]));
    cr_expect_not(ring_push_spsc(&ring, &items[4]));
    cr_expect_eq(ring_count(&ring), 4);
    for (int i = 0; i < 4; i++)
        cr_expect_eq(ring_pop_spsc(&ring), &items[i]);
    cr_expect_null(ring_pop_spsc(&ring));
    ring_close(&ring);
}

Test(ring, goes_round_and_over_the_end_of_its_counters)
{
    struct ring ring;
    int items[3];
    ring_init(&ring, 2);
    atomic_store(&ring.head, UINT32_MAX - 2);
    atomic_store(&ring.tail, UINT32_MAX - 2);
    ring.tail_seen = ring.head_seen = UINT32_MAX - 2;
    for (int i = 0; i < 9; i++) {
        cr_expect(ring_push_spsc(&ring, &items[i % 3]));
        cr_expect(ring_push_spsc(&ring, &items[(i + 1) % 3]));
        cr_expect_not(ring_push_spsc(&ring, items));
        cr_expect_eq(ring_pop_spsc(&ring), &items[i % 3]);
        cr_expect_eq(ring_pop_spsc(&ring), &items[(i + 1) % 3]);
    }
    ring_close(&ring);
}

Test(err, is_told_from_the_inside_out)
{
    err_clear();
    cr_expect_str_eq(err_text(), "");
    cr_expect_eq(err_set(ERR_REDIS, "HSET %s: no", "k"), ERR_REDIS);
    cr_expect_eq(err_note("publishing %s", "5m"), ERR_REDIS);
    cr_expect_str_eq(err_text(), "publishing 5m: HSET k: no");
    err_set(ERR_IO, "because %s", err_text());
    cr_expect_str_eq(err_text(), "because publishing 5m: HSET k: no");
}

Test(err, cuts_at_the_end_so_that_the_outermost_note_stays)
{
    char long_text[ERR_TEXT_MAX + 100];
    memset(long_text, 'x', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = 0;
    err_set(ERR_IO, "%s", long_text);
    err_note("outer");
    cr_expect_eq(strncmp(err_text(), "outer: xxx", 10), 0);
    cr_expect_eq(strlen(err_text()), ERR_TEXT_MAX - 1);
    err_note("%s", long_text);
    cr_expect_eq(strlen(err_text()), ERR_TEXT_MAX - 1);
}

Test(clock, by_hand_says_what_its_hands_say)
{
    struct clock_hands hands = {.wall_ms = 5, .monotonic_ms = 7};
    struct clock clock = clock_by_hand(&hands);
    cr_expect_eq(clock_wall_ms(&clock), 5);
    hands.monotonic_ms = 9;
    cr_expect_eq(clock_monotonic_ms(&clock), 9);
}
