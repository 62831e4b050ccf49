/* The ledger: what was sent is what the windows know; after each flush they hold what one derivation of all facts gives. */
#include <criterion/criterion.h>
#include <string.h>

#include "esteem/ledger.h"
#include "support/facts.h"
#include "support/figures.h"

static struct ledger *ledger;

/* What the windows would hold: by scopes number and id; and how often anything was emitted. */
static int64_t held[4][TALLY_IDS];
static int64_t present[4][TALLY_IDS]; /* of what is now, whatever the block */
static uint32_t emitted;

static void take(void *context, uint32_t tenant, uint32_t scopes, const struct block *block, int sign, const uint8_t *runs, uint32_t length)
{
    (void)context, (void)tenant, (void)sign;
    static struct tally_dense dense;
    if (block_is_note(block->kind))
        return;
    tally_dense_add(&dense, runs, length, 1);
    TALLY_DENSE_EACH(&dense, id)
        (block->kind == BLOCK_NOW ? present : held)[scopes][id] += dense.value[id];
    tally_dense_clear(&dense);
    emitted += block->kind == BLOCK_FIGURES;
}

static void open_ledger(void)
{
    struct ledger_bounds bounds = {.interactions = 100, .retention_ms = 7 * DAY, .retention_alone_ms = DAY};
    roster = roster_new();
    ledger = ledger_new(&bounds, roster);
    struct epoch epoch = {.settings = settings};
    ledger_set_epoch(ledger, &epoch);
}

static void close_ledger(void)
{
    ledger_free(ledger);
    roster_free(roster);
    derivation_close(&derived);
}

TestSuite(ledger, .init = open_ledger, .fini = close_ledger);

static struct ledger_key key(uint64_t number)
{
    return (struct ledger_key){number * 77, number * UINT64_C(0x9e3779b97f4a7c15)};
}

static enum ledger_result put(uint64_t number, const struct fact *fact)
{
    return ledger_put(ledger, key(number), LEDGER_HOME_HASH, 1, false, fact);
}

static void flush(void)
{
    emitted = 0;
    ledger_flush(ledger, UINT32_MAX, take, NULL);
}

Test(ledger, emits_what_a_flush_finds_new)
{
    cr_expect_eq(put(1, given(EVENT_OFFERED, T)), LEDGER_APPLIED);
    cr_expect_eq(ledger_touched(ledger), 1);
    flush();
    cr_expect_eq(held[0][MEASURE_offered], 1);
    cr_expect_eq(ledger_touched(ledger), 0);
    flush();
    cr_expect_eq(emitted, 0);
}

Test(ledger, a_duplicate_changes_nothing)
{
    const struct fact *fact = given(EVENT_OFFERED, T);
    put(1, fact);
    flush();
    cr_expect_eq(put(1, fact), LEDGER_DUPLICATE);
    flush();
    cr_expect_eq(emitted, 0);
    cr_expect_eq(put(2, fact), LEDGER_APPLIED); /* the same id of another interaction is another event */
}

Test(ledger, counts_facts_of_another_partition_than_their_interactions_first)
{
    ledger_put(ledger, key(1), 3, 1, false, given(EVENT_OFFERED, T));
    ledger_put(ledger, key(1), 3, 1, false, given(EVENT_ANSWERED, T + 12 * S));
    ledger_put(ledger, key(2), 5, 1, false, given(EVENT_OFFERED, T));
    cr_expect_eq(ledger_counts(ledger).strayed, 0);
    const struct fact *ended = given(EVENT_ENDED, T + 252 * S);
    ledger_put(ledger, key(1), 5, 1, false, ended);
    cr_expect_eq(ledger_put(ledger, key(1), 6, 1, false, ended), LEDGER_DUPLICATE, "its other copy may meet a shard that has not seen it");
    cr_expect_eq(ledger_counts(ledger).strayed, 2);
    put(1, given(EVENT_WRAPPED, T + 260 * S)); /* by hash: a topic that is not keyed */
    cr_expect_eq(ledger_counts(ledger).strayed, 2);
}

Test(ledger, a_late_fact_takes_back_what_it_changes_and_no_more)
{
    put(1, given(EVENT_OFFERED, T));
    put(1, given(EVENT_ANSWERED, T + 12 * S));
    put(1, given(EVENT_ENDED, T + 252 * S));
    flush();
    put(1, given(EVENT_WRAPPED, T + H));
    flush();
    cr_expect_eq(emitted, 3); /* the segment and the closed contact, old at one instant, new at two; not the offer, the answer, the leg */
    cr_expect_eq(held[0][MEASURE_handled], 1);
    cr_expect_eq(held[0][MEASURE_wrap_ms], 3348 * S);
    cr_expect_eq(held[0][MEASURE_offered], 1);
}

Test(ledger, a_corrected_record_gives_the_exact_difference)
{
    put(1, saying(given(EVENT_COMPLETED, T), FIELD_talk_ms, 60 * S));
    flush();
    put(1, saying(saying(given(EVENT_COMPLETED, T), FIELD_talk_ms, 45 * S), FIELD_version, 1));
    flush();
    cr_expect_eq(held[0][MEASURE_talk_ms], 45 * S);
    cr_expect_eq(held[0][MEASURE_handled], 1);
    put(1, saying(saying(given(EVENT_COMPLETED, T), FIELD_abandoned, 1), FIELD_version, 2));
    flush();
    cr_expect_eq(held[0][MEASURE_handled], 0);
    cr_expect_eq(held[0][MEASURE_talk_ms], 0);
    cr_expect_eq(held[0][MEASURE_abandoned], 1);
    cr_expect_eq(put(1, saying(given(EVENT_COMPLETED, T), FIELD_version, 1)), LEDGER_APPLIED); /* another id: kept, replaced */
    flush();
    cr_expect_eq(emitted, 0);
}

Test(ledger, new_settings_retract_what_was_sent_under_the_old_ones)
{
    put(1, given(EVENT_OFFERED, T));
    put(1, given(EVENT_ANSWERED, T + 12 * S));
    flush();
    cr_expect_eq(held[0][MEASURE_answered_in_sl], 1);
    struct epoch stricter = {.settings = settings, .scopes = 1};
    stricter.settings.sl_threshold_ms = 10 * S;
    ledger_set_epoch(ledger, &stricter);
    flush();
    cr_expect_eq(emitted, 0); /* from the next derivation on */
    put(1, given(EVENT_ENDED, T + 20 * S));
    flush();
    for (uint32_t id = 0; id < TALLY_IDS; id++)
        cr_expect_eq(held[0][id], 0, "%u", id); /* all that the old scopes had is taken back */
    cr_expect_eq(held[1][MEASURE_answered], 1);
    cr_expect_eq(held[1][MEASURE_answered_in_sl], 0);
    put(1, given(EVENT_WRAPPED, T + 25 * S)); /* from now on, old is what was derived under the new ones */
    flush();
    cr_expect_eq(held[0][MEASURE_answered], 0);
    cr_expect_eq(held[1][MEASURE_answered], 1);
    cr_expect_eq(held[1][MEASURE_handled], 1);
}

Test(ledger, an_epoch_is_free_again_when_no_record_refers_to_it)
{
    for (int i = 0; i < 2000; i++) { /* more than there are places */
        struct epoch epoch = {.settings = settings, .scopes = (uint32_t)i % 4};
        ledger_set_epoch(ledger, &epoch);
        put(1, given(EVENT_HELD, T + i)); /* moves the record into the epoch */
        flush();
        uint32_t count;
        given_facts(&count);
        if (count > 200)
            break;
    }
    cr_expect_eq(ledger_counts(ledger).records, 1);
}

Test(ledger, a_roster_change_applies_to_what_is_derived_after_it)
{
    put(1, with(given(EVENT_ENDED, T), DIMENSION_agent, ANNE));
    flush();
    given_roster(T - DAY, ANNE, true, NORTH, 0);
    flush();
    cr_expect_eq(emitted, 0);
    put(1, given(EVENT_HELD, T - S));
    flush();
    cr_expect_eq(emitted, 2); /* without the team taken back, with it added */
    put(1, given(EVENT_HELD, T - 2 * S));
    flush();
    cr_expect_eq(emitted, 0); /* old is now what was derived with it */
    cr_expect_eq(held[0][MEASURE_closed], 1);
}

Test(ledger, evicts_what_the_watermark_has_left_by_more_than_its_retention)
{
    put(1, given(EVENT_OFFERED, T));
    ledger_put(ledger, key(2), LEDGER_HOME_HASH, 1, true, given(EVENT_PROGRAM_USED, T));
    flush();
    cr_expect_eq(ledger_evict(ledger, T + DAY - S, 1000, take, NULL), 0);
    ledger_evict(ledger, T + DAY + H, 1000, take, NULL);
    cr_expect_eq(ledger_counts(ledger).records, 1);
    ledger_evict(ledger, T + 7 * DAY, 1000, take, NULL);
    cr_expect_eq(ledger_counts(ledger).records, 1);
    ledger_evict(ledger, T + 7 * DAY + H, 1000, take, NULL);
    cr_expect_eq(ledger_counts(ledger).records, 0);
    cr_expect_eq(held[0][MEASURE_offered], 1); /* what was sent stays */
}

Test(ledger, takes_back_what_a_forgotten_record_still_is_now)
{
    put(1, given(EVENT_OFFERED, T));
    put(2, with(given(EVENT_ANSWERED, T), DIMENSION_agent, ANNE));
    put(3, given(EVENT_OFFERED, T + 3 * DAY));
    flush();
    cr_expect_eq(present[0][MEASURE_waiting], 2);
    cr_expect_eq(present[0][MEASURE_in_progress], 1);
    ledger_evict(ledger, T + 7 * DAY + H, 1000, take, NULL);
    cr_expect_eq(present[0][MEASURE_waiting], 1);
    cr_expect_eq(present[0][MEASURE_in_progress], 0);
    cr_expect(ledger_retire_oldest(ledger, 1, false, take, NULL));
    for (uint32_t id = 0; id < TALLY_IDS; id++)
        cr_expect_eq(present[0][id], 0, "id %u", id);
    cr_expect_eq(held[0][MEASURE_offered], 2, "what was sent stays");
}

Test(ledger, takes_back_what_was_told_under_the_settings_and_the_roster_of_then)
{
    given_roster(T - H, ANNE, true, NORTH, 0);
    put(1, with(given(EVENT_ANSWERED, T), DIMENSION_agent, ANNE));
    flush();
    given_roster(T - MIN, ANNE, true, SOUTH, 0); /* nobody has looked for whom that concerns */
    struct epoch epoch = {.settings = settings, .scopes = 1};
    ledger_set_epoch(ledger, &epoch);
    ledger_evict(ledger, T + 8 * DAY, 1000, take, NULL);
    cr_expect_eq(present[0][MEASURE_in_progress], 0);
    cr_expect_eq(present[1][MEASURE_in_progress], 0);
}

Test(ledger, a_later_fact_defers_the_eviction)
{
    put(1, given(EVENT_OFFERED, T));
    put(1, given(EVENT_ENDED, T + 6 * DAY));
    flush();
    ledger_evict(ledger, T + 8 * DAY, 1000, take, NULL);
    cr_expect_eq(ledger_counts(ledger).records, 1);
    cr_expect_eq(put(1, given(EVENT_HELD, T)), LEDGER_APPLIED);
    flush();
    ledger_evict(ledger, T + 14 * DAY, 1000, take, NULL);
    cr_expect_eq(ledger_counts(ledger).records, 0);
}

Test(ledger, a_record_younger_than_the_sweep_is_evicted_too)
{
    put(1, given(EVENT_OFFERED, T));
    flush();
    ledger_evict(ledger, T + 30 * DAY, 1000, take, NULL);
    put(2, given(EVENT_OFFERED, T + 24 * DAY)); /* late, and within its retention */
    flush();
    for (int64_t at = T + 30 * DAY; at < T + 33 * DAY; at += H)
        ledger_evict(ledger, at, 1000, take, NULL);
    cr_expect_eq(ledger_counts(ledger).records, 0);
}

Test(ledger, is_full_at_its_bound_and_takes_known_interactions_still)
{
    for (uint64_t i = 0; i < 100; i++)
        cr_expect_eq(put(i, given(EVENT_OFFERED, T + (int64_t)i)), LEDGER_APPLIED);
    cr_expect_eq(put(100, given(EVENT_OFFERED, T)), LEDGER_FULL);
    cr_expect_eq(put(7, given(EVENT_ENDED, T)), LEDGER_APPLIED);
    flush();
    cr_expect(ledger_retire_oldest(ledger, 1, false, take, NULL));
    cr_expect_eq(ledger_counts(ledger).retired, 1);
    cr_expect_eq(put(100, given(EVENT_OFFERED, T)), LEDGER_APPLIED);
    flush();
    cr_expect_eq(held[0][MEASURE_offered], 101);
}

/* Facts of random kinds, in random order, with repetitions, flushed now and then: as one derivation of each record. */
Test(ledger, order_repetition_and_flushes_change_nothing)
{
    static int64_t expected[TALLY_IDS];
    struct chance chance = {11};
    for (int i = 0; i < 200; i++) {
        struct fact *fact = given((enum event_type)chance_below(&chance, EVENT_AGENT_STATE), T + chance_below(&chance, 3 * MIN) * 20);
        fact->id_hash = (uint64_t)i; /* 200 distinct events of 5 interactions */
        saying(saying(fact, FIELD_csat, 1 + chance_below(&chance, 5)), FIELD_talk_ms, chance_below(&chance, MIN));
        saying(saying(fact, FIELD_kind, chance_below(&chance, 3)), FIELD_version, i); /* equal versions would depend on the order */
        if (fact->type == EVENT_PROGRAM_USED)
            saying(fact, FIELD_cost, chance_below(&chance, 100));
    }
    uint32_t count;
    const struct fact *facts = given_facts(&count);
    derivation_init(&derived);
    for (uint32_t number = 0; number < 5; number++) {
        static struct fact own[64];
        uint32_t n = 0;
        for (uint32_t i = number; i < count; i += 5)
            own[n++] = facts[i];
        derive(own, n, false, &settings, roster, 1, 0, &derived);
        for (uint32_t id = 0; id < TALLY_IDS; id++)
            expected[id] += total(id);
    }
    for (int round = 0; round < 2000; round++) {
        uint32_t i = (uint32_t)chance_below(&chance, count);
        put(i % 5, &facts[i]);
        if (chance_below(&chance, 20) == 0)
            flush();
    }
    for (uint32_t i = 0; i < count; i++)
        put(i % 5, &facts[i]);
    flush();
    cr_expect_eq(memcmp(held[0], expected, sizeof expected), 0);
}
