/* Facts: packed and unpacked, their identity and their order. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "support/facts.h"
#include "support/figures.h"

static uint8_t packed[FACT_BYTES_MAX];

static void expect_same(const struct fact *a, const struct fact *b)
{
    cr_expect(a->time_ms == b->time_ms && a->type == b->type && a->id_hash == b->id_hash && a->survey_hash == b->survey_hash);
    cr_expect(a->customer == b->customer && a->comment == b->comment && a->dimensions == b->dimensions && a->fields == b->fields);
    for (int i = 0; i < DIMENSION_MAX; i++)
        cr_expect(!(a->dimensions >> i & 1) || a->dimension[i] == b->dimension[i], "dimension %d", i);
    for (int i = 0; i < FIELD_COUNT; i++)
        cr_expect(!(a->fields >> i & 1) || a->field[i] == b->field[i], "field %d", i);
}

static void round_trip(const struct fact *fact)
{
    struct fact back = {0};
    uint32_t length = fact_pack(fact, packed);
    cr_assert_leq(length, FACT_BYTES_MAX);
    cr_expect_eq(fact_length(packed), length);
    cr_expect_eq(fact_unpack(packed, &back), length);
    expect_same(fact, &back);
}

Test(fact, a_lifecycle_fact_packs_small)
{
    struct fact *fact = with(with(given(EVENT_ANSWERED, T), DIMENSION_agent, ANNE), DIMENSION_queue, BILLING);
    round_trip(fact);
    cr_expect_leq(fact_length(packed), 25);
}

Test(fact, keeps_the_first_and_the_last_time)
{
    round_trip(given(EVENT_OFFERED, 0));
    round_trip(given(EVENT_OFFERED, TIME_END_MS - 1));
    round_trip(saying(given(EVENT_COMPLETED, 0), FIELD_ended_at, TIME_END_MS - 1));
    round_trip(saying(given(EVENT_COMPLETED, TIME_END_MS - 1), FIELD_offered_at, 0));
}

Test(fact, the_fullest_one_fits)
{
    struct fact *fact = given(EVENT_SURVEY_ANSWERED, T);
    fact->comment = true;
    fact->customer = UINT64_MAX;
    fact->survey_hash = 1;
    for (int i = 0; i < DIMENSION_MAX; i++)
        with(fact, (enum dimension)i, UINT32_MAX - (uint32_t)i);
    for (int i = 0; i < FIELD_COUNT; i++)
        saying(fact, (enum field)i, i % 2 ? -INTEGER_MAX : INTEGER_MAX);
    round_trip(fact);
}

Test(fact, random_ones_come_back_whole)
{
    struct chance chance = {3};
    for (int n = 0; n < 20000; n++) {
        struct fact fact = {.time_ms = chance_below(&chance, TIME_END_MS), .id_hash = chance_next(&chance), .comment = n % 2,
                            .customer = n % 3 ? chance_next(&chance) : 0, .type = (enum event_type)chance_below(&chance, EVENT_COUNT)};
        fact.survey_hash = fact.type == EVENT_SURVEY_ANSWERED && n % 5 ? chance_next(&chance) : fact.id_hash;
        for (int i = 0; i < 4; i++)
            with(&fact, (enum dimension)chance_below(&chance, DIMENSION_MAX), (uint32_t)chance_next(&chance) | 1);
        for (int i = 0; i < 6; i++)
            saying(&fact, (enum field)chance_below(&chance, FIELD_COUNT), chance_below(&chance, 2 * INTEGER_MAX) - INTEGER_MAX);
        round_trip(&fact);
    }
}

Test(fact, one_id_is_one_event)
{
    struct fact *fact = given(EVENT_HELD, T), other = *fact;
    fact_pack(fact, packed);
    other.time_ms += 5;
    other.type = EVENT_RESUMED;
    cr_expect(fact_same_event(packed, &other));
    other.id_hash++;
    cr_expect_not(fact_same_event(packed, &other));
}

Test(fact, versions_tell_completed_records_and_answers_apart)
{
    for (int i = 0; i < 2; i++) {
        struct fact *fact = given(i ? EVENT_COMPLETED : EVENT_SURVEY_ANSWERED, T), other = *fact;
        fact_pack(fact, packed);
        saying(&other, FIELD_version, 0); /* the default */
        cr_expect(fact_same_event(packed, &other));
        saying(&other, FIELD_version, 1);
        cr_expect_not(fact_same_event(packed, &other));
    }
}

Test(fact, order_is_time_then_type_then_hash)
{
    given(EVENT_HELD, T);
    given(EVENT_RESUMED, T);
    given(EVENT_ENDED, T - 1);
    given(EVENT_OFFERED, T);
    given(EVENT_RESUMED, T)->id_hash = 1;
    uint32_t count;
    struct fact copy[8];
    memcpy(copy, given_facts(&count), sizeof copy);
    qsort(copy, count, sizeof *copy, fact_order);
    static const enum event_type expected[] = {EVENT_ENDED, EVENT_OFFERED, EVENT_RESUMED, EVENT_RESUMED, EVENT_HELD};
    for (uint32_t i = 0; i < count; i++)
        cr_expect_eq(copy[i].type, expected[i]);
    cr_expect_eq(copy[2].id_hash, 1);
}
