/* The publisher's own measure: how long a row takes from its fold to the sink's confirmation. */
#include <criterion/criterion.h>

#include "esteem/publisher.h"

static struct {
    uint64_t waiting, generation;
} answers = {.generation = 1};

static enum sink_result put(void *state, const struct row *row)
{
    (void)state, (void)row;
    answers.waiting++;
    return SINK_TAKEN;
}

static void batch_end(void *state, int64_t now_ms)
{
    (void)state, (void)now_ms;
}

static int step(void *state, int64_t now_ms)
{
    (void)state, (void)now_ms;
    return 0;
}

static uint64_t generation(void *state)
{
    (void)state;
    return answers.generation;
}

static uint64_t pending(void *state)
{
    (void)state;
    return answers.waiting;
}

static struct publisher publisher;

static void begin(void)
{
    struct sink sink = {"none", NULL, put, batch_end, step, generation, pending, NULL};
    publisher_init(&publisher, &sink, 1);
    publisher_step(&publisher, 0); /* it knows the generation now */
}

static void end(void)
{
    publisher_close(&publisher);
}

TestSuite(publisher, .init = begin, .fini = end);

static void row_made_at(int64_t made_ms)
{
    struct row head = {.window_name = "5m", .tenant = "acme", .scope = "all", .made_ms = made_ms};
    struct row *row = row_new(&head, (const uint8_t *)"", 1);
    row->made_ms = made_ms;
    cr_assert(ring_push_spsc(&publisher.ring[0], row));
}

Test(publisher, a_row_is_timed_until_the_sink_has_confirmed_it)
{
    row_made_at(1000);
    row_made_at(1000);
    publisher_step(&publisher, 1010);
    publisher_step(&publisher, 1020);
    cr_expect_eq(publisher.publish.count, 0, "neither is confirmed");
    answers.waiting = 1;
    publisher_step(&publisher, 1030);
    cr_expect_eq(publisher.publish.count, 1);
    cr_expect_eq(publisher.publish.sum_us, 30000);
}

Test(publisher, one_row_is_timed_at_a_time)
{
    row_made_at(1000);
    publisher_step(&publisher, 1010);
    row_made_at(1005);
    publisher_step(&publisher, 1020);
    answers.waiting = 0;
    publisher_step(&publisher, 1030);
    publisher_step(&publisher, 1040);
    cr_expect_eq(publisher.publish.count, 1, "the second was not waited for");
    row_made_at(1050);
    answers.waiting = 0;
    publisher_step(&publisher, 1060);
    answers.waiting = 0;
    publisher_step(&publisher, 1070);
    cr_expect_eq(publisher.publish.count, 2);
    cr_expect_eq(publisher.publish.sum_us, 50000);
}

Test(publisher, what_was_lost_with_a_connection_is_not_timed)
{
    row_made_at(1000);
    publisher_step(&publisher, 1010);
    answers.generation++;
    answers.waiting = 0;
    publisher_step(&publisher, 9000);
    cr_expect_eq(publisher.publish.count, 0);
}
