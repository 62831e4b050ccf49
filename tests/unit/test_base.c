/* The small tools of engine/base: slab, intern, ring, err, clock. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "esteem/clock.h"
#include "esteem/err.h"
#include "esteem/intern.h"
#include "esteem/log.h"
#include "esteem/memory.h"
#include "esteem/ring.h"
#include "esteem/timing.h"
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

Test(slab, takes_all_back_at_once_and_uses_it_again)
{
    enum { BLOCKS = 5000, SIZE = 1000 };
    struct slab slab;
    uint64_t bytes = 0;
    slab_init(&slab);
    for (int round = 0; round < 3; round++) {
        char *block[BLOCKS];
        for (int i = 0; i < BLOCKS; i++)
            memset(block[i] = slab_take(&slab, SIZE), i & 0x7f, SIZE);
        for (int i = 0; i < BLOCKS; i++)
            cr_assert(block[i][0] == (i & 0x7f) && block[i][SIZE - 1] == (i & 0x7f));
        bytes = round ? bytes : slab.bytes;
        cr_expect_eq(slab.bytes, bytes, "as many regions as in the first round");
        slab_give(&slab, block[7], SIZE); /* one that was given back alone is not handed out twice */
        slab_clear(&slab);
        cr_expect_eq(slab.used, 0);
    }
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

/* ---- a clock that is set ---- */

static struct clock_hands machine = {.wall_ms = 1795356000000, .monotonic_ms = 1000};

static int64_t pass(struct steady_clock *steady, const struct clock *clock, int64_t ms, int *followed)
{
    int64_t jump = 0;
    *followed = 0;
    for (int64_t until = machine.monotonic_ms + ms; machine.monotonic_ms < until;) {
        int now;
        machine.monotonic_ms += 50;
        machine.wall_ms += 50;
        int64_t seen = steady_clock_follow(steady, &now);
        jump = seen ? seen : jump;
        *followed |= now;
    }
    return jump + 0 * clock_wall_ms(clock);
}

Test(clock, a_jump_that_is_taken_back_moves_nothing)
{
    struct steady_clock steady;
    int followed;
    struct clock by_hand = clock_by_hand(&machine), clock = clock_steady(&steady, &by_hand);
    int64_t before = clock_wall_ms(&clock);
    machine.wall_ms += INT64_C(31536000000); /* a year */
    cr_expect_eq(pass(&steady, &clock, 30000, &followed), 31536000000);
    machine.wall_ms -= INT64_C(31536000000);
    pass(&steady, &clock, 90000, &followed);
    cr_expect_not(followed);
    cr_expect_eq(clock_wall_ms(&clock), before + 120000);
}

Test(clock, a_jump_that_stays_is_followed_after_a_minute)
{
    struct steady_clock steady;
    int followed;
    struct clock by_hand = clock_by_hand(&machine), clock = clock_steady(&steady, &by_hand);
    machine.wall_ms -= 3600000;
    pass(&steady, &clock, 59000, &followed);
    cr_expect_not(followed);
    pass(&steady, &clock, 2000, &followed);
    cr_expect(followed);
    cr_expect_eq(clock_wall_ms(&clock), machine.wall_ms);
}

Test(clock, small_differences_are_followed_slowly)
{
    struct steady_clock steady;
    int followed;
    struct clock by_hand = clock_by_hand(&machine), clock = clock_steady(&steady, &by_hand);
    int64_t before = clock_wall_ms(&clock);
    machine.wall_ms += 500;
    pass(&steady, &clock, 1000, &followed);
    cr_expect_geq(clock_wall_ms(&clock), before + 1040);
    cr_expect_leq(clock_wall_ms(&clock), before + 1060);
    pass(&steady, &clock, 20000, &followed);
    cr_expect_eq(clock_wall_ms(&clock), machine.wall_ms);
}

Test(memory, ends_new_keys_first_and_interactions_later)
{
    const uint64_t limit = UINT64_C(1000) << 20;
    cr_expect_eq(memory_state(limit, limit * 29 / 100, 0, MEMORY_FREE), MEMORY_FREE);
    cr_expect_eq(memory_state(limit, limit * 31 / 100, 0, MEMORY_FREE), MEMORY_NO_KEYS);
    cr_expect_eq(memory_state(limit, limit * 56 / 100, 0, MEMORY_FREE), MEMORY_NOTHING_NEW);
    cr_expect_eq(memory_state(limit, limit * 52 / 100, 0, MEMORY_NOTHING_NEW), MEMORY_NOTHING_NEW, "left 5 % below");
    cr_expect_eq(memory_state(limit, limit * 60 / 100, limit * 40 / 100, MEMORY_NOTHING_NEW), MEMORY_FREE, "what is free in pools does not count");
    cr_expect_eq(memory_state(0, limit, 0, MEMORY_FREE), MEMORY_FREE);
    cr_expect_gt(memory_resident(), 1 << 20);
}

/* ---- timing ---- */

Test(timing, counts_each_value_in_the_bucket_that_its_bound_ends)
{
    struct timing timing = {0};
    timing_note(&timing, 50, 0);
    timing_note(&timing, 51, 0);
    timing_note(&timing, 10000000, 0);
    timing_note(&timing, 10000001, 0);
    timing_note(&timing, -5, 0);
    cr_expect_eq(timing.bucket[0], 2);
    cr_expect_eq(timing.bucket[1], 1);
    cr_expect_eq(timing.bucket[TIMING_BUCKETS - 1], 1);
    cr_expect_eq(timing.count, 5);
    cr_expect_eq(timing.sum_us, 20000102);
}

Test(timing, the_longest_is_forgotten_after_a_minute_or_two)
{
    struct timing timing = {0};
    timing_note(&timing, 900, 30000);
    timing_note(&timing, 200, 70000);
    cr_expect_eq(timing_longest_us(&timing, 70000), 900);
    cr_expect_eq(timing_longest_us(&timing, 119999), 900);
    cr_expect_eq(timing_longest_us(&timing, 120000), 200);
    cr_expect_eq(timing_longest_us(&timing, 180000), 0);
    timing_note(&timing, 100, 300000);
    cr_expect_eq(timing_longest_us(&timing, 300000), 100);
}

/* ---- log ---- */

/* What a line of the log says of a text, as JSON. */
static const char *logged(const char *text)
{
    static char line[4096];
    FILE *file = tmpfile();
    int before = dup(STDERR_FILENO);
    dup2(fileno(file), STDERR_FILENO);
    log_json_set(true);
    log_warn("test", "%s", text);
    log_json_set(false);
    dup2(before, STDERR_FILENO);
    close(before);
    rewind(file);
    line[fread(line, 1, sizeof line - 1, file)] = '\0';
    fclose(file);
    char *from = strstr(line, "\"text\":");
    cr_assert_not_null(from, "%s", line);
    return from;
}

Test(log, is_utf_8_whatever_it_quotes)
{
    cr_expect_str_eq(logged("caf\xc3\xa9 \xf0\x9f\x99\x82"), "\"text\":\"caf\xc3\xa9 \xf0\x9f\x99\x82\"}\n");
    cr_expect_str_eq(logged("a\xff\xc3z\xed\xa0\x80"), "\"text\":\"a\\ufffd\\ufffdz\\ufffd\\ufffd\\ufffd\"}\n");
    cr_expect_str_eq(logged("tab\there \"and\" there"), "\"text\":\"tab\\u0009here \\\"and\\\" there\"}\n");
}
