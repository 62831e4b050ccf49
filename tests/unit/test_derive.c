/* From facts to contributions: lifecycle records (SEMANTICS 2 and 3). Completed records and other events: test_derive_events.c. */
#include <criterion/criterion.h>

#include "support/facts.h"

static void a_contact(void)
{
    given(EVENT_OFFERED, T);
    with(with(given(EVENT_ANSWERED, T + 12 * S), DIMENSION_agent, ANNE), DIMENSION_queue, BILLING);
    given(EVENT_ENDED, T + 252 * S);
}

Test(derive, the_worked_example_of_SEMANTICS)
{
    a_contact();
    when_derived();
    static const enum measure ones[] = {MEASURE_offered, MEASURE_answered, MEASURE_wait_n, MEASURE_answered_in_sl, MEASURE_handled, MEASURE_closed};
    for (int i = 0; i < 6; i++)
        cr_expect_eq(total_of(DIMENSION_queue, BILLING, ones[i]), 1, "%s", measure_names[ones[i]]);
    cr_expect_eq(total(MEASURE_wait_ms), 12000);
    cr_expect_eq(total(MEASURE_talk_ms), 240000);
    cr_expect_eq(total(MEASURE_conversation_ms), 240000);
    cr_expect_eq(total(histogram_id(HISTOGRAM_wait, histogram_bucket(12000))), 1);
    cr_expect_eq(total(histogram_id(HISTOGRAM_handle, histogram_bucket(240000))), 1);
}

Test(derive, a_late_wrap_moves_the_handled_segment_to_its_own_hour)
{
    a_contact();
    given(EVENT_WRAPPED, T + H + 2 * S);
    when_derived();
    cr_expect_eq(total_at(T + 252 * S, MEASURE_handled), 0);
    cr_expect_eq(total_at(T + H + 2 * S, MEASURE_handled), 1);
    cr_expect_eq(total_at(T + H + 2 * S, MEASURE_talk_ms), 240000);
    cr_expect_eq(total_at(T + H + 2 * S, MEASURE_wrap_ms), 3350000);
    cr_expect_eq(total_at(T + 252 * S, MEASURE_conversation_ms), 3590000);
}

Test(derive, an_open_segment_is_answered_but_not_handled)
{
    given(EVENT_ANSWERED, T);
    when_derived();
    cr_expect_eq(total(MEASURE_answered), 1);
    cr_expect_eq(total(MEASURE_wait_n), 0); /* never offered: no wait is known */
    cr_expect_eq(total(MEASURE_handled), 0);
    cr_expect_eq(total(MEASURE_closed), 0);
}

Test(derive, hold_is_the_time_between_held_and_resumed)
{
    a_contact();
    given(EVENT_HELD, T + 20 * S);
    given(EVENT_HELD, T + 25 * S); /* a second one changes nothing */
    given(EVENT_RESUMED, T + 50 * S);
    given(EVENT_HELD, T + 240 * S); /* ends with the segment */
    when_derived();
    cr_expect_eq(total(MEASURE_hold_ms), 42 * S);
    cr_expect_eq(total(MEASURE_talk_ms), 198 * S);
    cr_expect_eq(total(MEASURE_holds), 2);
    cr_expect_eq(total(MEASURE_held), 1);
}

Test(derive, held_and_resumed_at_one_instant_without_an_open_hold_is_a_hold_of_0_ms)
{
    a_contact();
    given(EVENT_RESUMED, T + 30 * S);
    given(EVENT_HELD, T + 30 * S);
    given(EVENT_HELD, T + 30 * S);
    when_derived();
    cr_expect_eq(total(MEASURE_holds), 1);
    cr_expect_eq(total(MEASURE_hold_ms), 0);
    cr_expect_eq(total(MEASURE_held), 0);
}

Test(derive, resumed_at_an_instant_comes_before_held_when_a_hold_was_open)
{
    a_contact();
    given(EVENT_HELD, T + 20 * S);
    given(EVENT_HELD, T + 30 * S);
    given(EVENT_RESUMED, T + 30 * S); /* ends the first; the held of this instant opens the second */
    given(EVENT_RESUMED, T + 36 * S);
    when_derived();
    cr_expect_eq(total(MEASURE_holds), 2);
    cr_expect_eq(total(MEASURE_hold_ms), 16 * S);
}

Test(derive, a_second_resumed_at_an_instant_owes_no_hold_its_end)
{
    a_contact();
    given(EVENT_HELD, T + 20 * S);
    given(EVENT_RESUMED, T + 30 * S);
    given(EVENT_RESUMED, T + 30 * S);
    given(EVENT_HELD, T + 30 * S);
    given(EVENT_RESUMED, T + 36 * S);
    when_derived();
    cr_expect_eq(total(MEASURE_holds), 2);
    cr_expect_eq(total(MEASURE_hold_ms), 16 * S);
}

Test(derive, a_transfer_closes_the_segment_and_the_next_answer_opens_another)
{
    a_contact();
    with(given(EVENT_TRANSFERRED, T + 60 * S), DIMENSION_queue, VIP);
    with(with(given(EVENT_ANSWERED, T + 90 * S), DIMENSION_agent, BERT), DIMENSION_queue, VIP);
    when_derived();
    cr_expect_eq(total_of(DIMENSION_agent, ANNE, MEASURE_talk_ms), 48 * S);
    cr_expect_eq(total_of(DIMENSION_agent, BERT, MEASURE_talk_ms), 162 * S);
    cr_expect_eq(total(MEASURE_answered), 1);
    cr_expect_eq(total(MEASURE_transfers), 1);
    cr_expect_eq(total(MEASURE_transferred), 1);
    cr_expect_eq(total(MEASURE_conversation_ms), 210 * S);
    cr_expect_eq(total_of(DIMENSION_queue, BILLING, MEASURE_wait_ms), 12 * S); /* entry: the queue that was waited in */
    cr_expect_eq(total_of(DIMENSION_queue, VIP, MEASURE_closed), 1);
}

Test(derive, wrapped_belongs_to_the_latest_closed_segment_of_its_agent)
{
    a_contact();
    given(EVENT_TRANSFERRED, T + 60 * S);
    with(given(EVENT_ANSWERED, T + 90 * S), DIMENSION_agent, BERT);
    with(given(EVENT_WRAPPED, T + 300 * S), DIMENSION_agent, ANNE);
    given(EVENT_WRAPPED, T + 262 * S);
    given(EVENT_WRAPPED, T + 272 * S); /* the last one counts */
    when_derived();
    cr_expect_eq(total_of(DIMENSION_agent, ANNE, MEASURE_wrap_ms), 240 * S);
    cr_expect_eq(total_of(DIMENSION_agent, BERT, MEASURE_wrap_ms), 20 * S);
}

Test(derive, each_offer_is_a_leg_with_a_service_level_of_its_own)
{
    with(given(EVENT_OFFERED, T), DIMENSION_queue, BILLING);
    with(given(EVENT_ANSWERED, T + 5 * S), DIMENSION_agent, ANNE);
    with(given(EVENT_OFFERED, T + 60 * S), DIMENSION_queue, VIP);
    with(given(EVENT_ANSWERED, T + 100 * S), DIMENSION_agent, BERT);
    with(given(EVENT_OFFERED, T + 150 * S), DIMENSION_queue, BILLING);
    given(EVENT_ABANDONED, T + 170 * S);
    when_derived();
    cr_expect_eq(total(MEASURE_offered), 1);
    cr_expect_eq(total_of(DIMENSION_queue, BILLING, MEASURE_leg_offered), 2);
    cr_expect_eq(total_of(DIMENSION_queue, BILLING, MEASURE_leg_in_sl), 1);
    cr_expect_eq(total_of(DIMENSION_queue, BILLING, MEASURE_leg_abandoned), 1);
    cr_expect_eq(total_of(DIMENSION_queue, VIP, MEASURE_leg_answered), 1);
    cr_expect_eq(total_of(DIMENSION_queue, VIP, MEASURE_leg_wait_ms), 40 * S);
    cr_expect_eq(total_of(DIMENSION_queue, VIP, MEASURE_leg_in_sl), 0);
    cr_expect_eq(total_of(DIMENSION_agent, 0, MEASURE_leg_offered), 3); /* agents only as the offer names them */
}

Test(derive, an_abandonment_is_short_or_in_time_on_the_edge_and_not_beyond)
{
    static const struct { int64_t wait_ms, is_short, in_sl; } each[] = {{5000, 1, 1}, {5001, 0, 1}, {20000, 0, 1}, {20001, 0, 0}};
    for (int i = 0; i < 4; i++) {
        given(EVENT_OFFERED, T + i * 30 * DAY); /* far apart: records of their own */
        given(EVENT_ABANDONED, T + i * 30 * DAY + each[i].wait_ms);
    }
    when_derived();
    cr_expect_eq(total(MEASURE_abandoned), 4);
    for (int i = 0; i < 4; i++) {
        cr_expect_eq(total_at(T + i * 30 * DAY + each[i].wait_ms, MEASURE_abandoned_short), each[i].is_short);
        cr_expect_eq(total_at(T + i * 30 * DAY + each[i].wait_ms, MEASURE_abandoned_in_sl), each[i].in_sl);
    }
    cr_expect_eq(total(MEASURE_closed), 0);
}

Test(derive, a_contact_that_was_answered_is_not_abandoned)
{
    given(EVENT_OFFERED, T);
    given(EVENT_ANSWERED, T + 5 * S);
    given(EVENT_ABANDONED, T + 9 * S);
    when_derived();
    cr_expect_eq(total(MEASURE_abandoned), 0);
    cr_expect_eq(total(MEASURE_talk_ms), 4 * S); /* but it ended */
    cr_expect_eq(total(MEASURE_closed), 1);
}

Test(derive, a_rule_sets_the_threshold_of_what_it_matches)
{
    settings.rule_count = 2;
    settings.rule[0].match.id[DIMENSION_queue] = VIP;
    settings.rule[0].threshold_ms = 11999;
    settings.rule[1].match.id[DIMENSION_queue] = BILLING;
    settings.rule[1].threshold_ms = 12000;
    a_contact();
    when_derived();
    cr_expect_eq(total(MEASURE_answered_in_sl), 1);
    settings.rule[1].threshold_ms = 11999;
    when_derived();
    cr_expect_eq(total(MEASURE_answered_in_sl), 0);
}

Test(derive, facts_on_the_edge_of_retention_are_one_record_and_beyond_it_two)
{
    settings.retention_ms = DAY;
    given(EVENT_OFFERED, T);
    given(EVENT_OFFERED, T + DAY);
    when_derived();
    cr_expect_eq(total(MEASURE_offered), 1);
    given(EVENT_OFFERED, T + 2 * DAY + 1);
    when_derived();
    cr_expect_eq(total(MEASURE_offered), 2);
    cr_expect_eq(total(MEASURE_leg_offered), 3);
}

Test(derive, dimensions_come_from_the_latest_in_their_precedence)
{
    with(with(given(EVENT_OFFERED, T), DIMENSION_queue, BILLING), DIMENSION_channel, VOICE);
    with(given(EVENT_ENDED, T + 60 * S), DIMENSION_queue, VIP);
    with(with(given(EVENT_WRAPPED, T + 70 * S), DIMENSION_queue, ANNE), DIMENSION_brand, 7);
    with(with(given(EVENT_SURVEY_SENT, T + 80 * S), DIMENSION_brand, 8), DIMENSION_reason, 9);
    when_derived();
    cr_expect_eq(total_of(DIMENSION_queue, VIP, MEASURE_closed), 1);
    cr_expect_eq(total_of(DIMENSION_channel, VOICE, MEASURE_closed), 1);
    cr_expect_eq(total_of(DIMENSION_brand, 7, MEASURE_closed), 1);
    cr_expect_eq(total_of(DIMENSION_reason, 9, MEASURE_closed), 1);
    cr_expect_eq(total_of(DIMENSION_brand, 8, MEASURE_survey_sent), 1); /* its own, where it names one */
    cr_expect_eq(total_of(DIMENSION_channel, VOICE, MEASURE_survey_sent), 1);
}

Test(derive, team_and_site_come_from_the_roster_at_the_time_of_the_answer)
{
    given_roster(T - DAY, ANNE, true, NORTH, SITE);
    given_roster(T + 100 * S, ANNE, true, SOUTH, 0);
    a_contact();
    when_derived();
    cr_expect_eq(total_of(DIMENSION_team, NORTH, MEASURE_handled), 1);
    cr_expect_eq(total_of(DIMENSION_site, SITE, MEASURE_closed), 1);
    cr_expect_eq(total_of(DIMENSION_team, SOUTH, MEASURE_handled), 0);
}

Test(derive, the_team_of_another_agents_segment_is_not_the_interactions)
{
    a_contact();
    with(given(EVENT_TRANSFERRED, T + 60 * S), DIMENSION_team, NORTH);
    with(given(EVENT_ANSWERED, T + 90 * S), DIMENSION_agent, BERT);
    when_derived();
    cr_expect_eq(total_of(DIMENSION_agent, BERT, MEASURE_handled), 1);
    cr_expect_eq(total_of(DIMENSION_team, NORTH, MEASURE_handled), 1); /* Bert's: he is the interaction's agent */
    cr_expect_eq(total_of(DIMENSION_team, 0, MEASURE_handled), 1);     /* Anne's */
}

Test(derive, clocks_that_differ_count_as_0_and_say_so)
{
    given(EVENT_ANSWERED, T);
    given(EVENT_OFFERED, T + 5 * S);
    given(EVENT_ENDED, T + 9 * S);
    when_derived();
    cr_expect_eq(total(MEASURE_wait_n), 1);
    cr_expect_eq(total(MEASURE_wait_ms), 0);
    cr_expect(derived.skewed);
}

Test(derive, a_duration_over_31_days_counts_as_31_days)
{
    settings.retention_ms = 365 * DAY;
    given(EVENT_ANSWERED, T);
    given(EVENT_ENDED, T + 40 * DAY);
    when_derived();
    cr_expect_eq(total(MEASURE_talk_ms), 31 * DAY);
    cr_expect(derived.skewed);
}

Test(derive, being_asked_again_is_a_barrier_and_the_first_time_is_not)
{
    a_contact();
    given(EVENT_IDENTIFIED, T + 13 * S);
    given(EVENT_RESTATED, T + 14 * S);
    when_derived();
    cr_expect_eq(total(MEASURE_repeat_ids), 0);
    cr_expect_eq(total(MEASURE_restatements), 1);
    given(EVENT_IDENTIFIED, T + 15 * S);
    given(EVENT_IDENTIFIED, T + 16 * S);
    when_derived();
    cr_expect_eq(total(MEASURE_repeat_ids), 2);
}

Test(derive, of_several_ended_the_latest_that_names_a_field_decides_it)
{
    saying(saying(given(EVENT_ENDED, T), FIELD_resolved, 1), FIELD_cost, 40);
    saying(given(EVENT_ENDED, T + S), FIELD_resolved, 0);
    saying(given(EVENT_ENDED, T + 2 * S), FIELD_contained, 1);
    when_derived();
    cr_expect_eq(total(MEASURE_resolved_known), 1);
    cr_expect_eq(total(MEASURE_resolved), 0);
    cr_expect_eq(total(MEASURE_cost), 40);
    cr_expect_eq(total(MEASURE_contained), 1);
    cr_expect_eq(total_at(T + 2 * S, MEASURE_closed), 1);
    cr_expect_eq(total(MEASURE_conversed), 0);
}
