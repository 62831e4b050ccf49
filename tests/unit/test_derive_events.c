/* From facts to contributions: completed records, surveys, usage and sales (SEMANTICS 2 and 3). */
#include <criterion/criterion.h>

#include "support/facts.h"

/* ---- completed records ---- */

Test(completed, has_one_segment_and_no_lifecycle_figure_in_it)
{
    struct fact *fact = with(given(EVENT_COMPLETED, T + 400 * S), DIMENSION_agent, ANNE);
    saying(saying(fact, FIELD_offered_at, T), FIELD_answered_at, T + 8 * S);
    saying(saying(fact, FIELD_ended_at, T + 308 * S), FIELD_hold_ms, 40 * S);
    saying(saying(fact, FIELD_wrapped_at, T + 320 * S), FIELD_holds, 2);
    with(given(EVENT_ANSWERED, T + 100 * S), DIMENSION_agent, BERT);
    when_derived();
    cr_expect_eq(total(MEASURE_wait_ms), 8 * S);
    cr_expect_eq(total(MEASURE_handled), 1);
    cr_expect_eq(total_at(T + 320 * S, MEASURE_talk_ms), 260 * S);
    cr_expect_eq(total(MEASURE_wrap_ms), 12 * S);
    cr_expect_eq(total(MEASURE_holds), 2);
    cr_expect_eq(total_at(T + 308 * S, MEASURE_conversation_ms), 312 * S);
}

Test(completed, answers_at_answered_at_else_after_the_wait_else_at_the_end)
{
    struct fact *fact = saying(saying(given(EVENT_COMPLETED, T + MIN), FIELD_talk_ms, 9), FIELD_answered_at, T + S);
    when_derived();
    cr_expect_eq(total_at(T + S, MEASURE_answered), 1);
    fact->fields &= ~(1u << FIELD_answered_at);
    saying(saying(fact, FIELD_offered_at, T), FIELD_wait_ms, 7 * S);
    when_derived();
    cr_expect_eq(total_at(T + 7 * S, MEASURE_answered), 1);
    fact->fields &= ~(1u << FIELD_wait_ms);
    when_derived();
    cr_expect_eq(total_at(T + MIN, MEASURE_answered), 1); /* ended_at: its own time */
    cr_expect_eq(total(MEASURE_wait_n), 0);
    fact->fields &= ~(1u << FIELD_offered_at);
    saying(fact, FIELD_wait_ms, 3 * S);
    when_derived();
    cr_expect_eq(total_at(T + MIN, MEASURE_wait_ms), 3 * S);
}

Test(completed, given_wrap_ms_is_no_wrapped_time)
{
    struct fact *fact = saying(saying(given(EVENT_COMPLETED, T + MIN), FIELD_talk_ms, 9 * S), FIELD_wrap_ms, 5 * S);
    when_derived();
    cr_expect_eq(total_at(T + MIN, MEASURE_handled), 1);
    cr_expect_eq(total(MEASURE_wrap_ms), 5 * S);
    saying(fact, FIELD_wrapped_at, T + 2 * MIN);
    when_derived();
    cr_expect_eq(total_at(T + 2 * MIN, MEASURE_wrap_ms), 5 * S);
}

Test(completed, that_says_abandoned_has_no_segment)
{
    saying(saying(saying(given(EVENT_COMPLETED, T), FIELD_abandoned, 1), FIELD_answered_at, T), FIELD_wait_ms, 7);
    when_derived();
    cr_expect_eq(total(MEASURE_abandoned), 1);
    cr_expect_eq(total(MEASURE_abandon_wait_ms), 7);
    cr_expect_eq(total(MEASURE_answered) + total(MEASURE_handled) + total(MEASURE_closed), 0);
}

Test(completed, that_gives_neither_answer_nor_talk_leaves_lifecycle_segments)
{
    given(EVENT_OFFERED, T);
    given(EVENT_ANSWERED, T + 5 * S);
    given(EVENT_TRANSFERRED, T + 25 * S);
    given(EVENT_ENDED, T + 25 * S);
    saying(given(EVENT_COMPLETED, T + MIN), FIELD_transfers, 4);
    when_derived();
    cr_expect_eq(total(MEASURE_talk_ms), 20 * S);
    cr_expect_eq(total(MEASURE_transfers), 4);
    cr_expect_eq(total_at(T + 25 * S, MEASURE_closed), 1);
}

Test(completed, opens_and_ends_no_leg)
{
    saying(saying(given(EVENT_COMPLETED, T + MIN), FIELD_offered_at, T), FIELD_talk_ms, 9 * S);
    when_derived();
    cr_expect_eq(total(MEASURE_offered), 1);
    cr_expect_eq(total(MEASURE_leg_offered), 0);
}

Test(completed, a_higher_version_replaces_a_lower_one_as_a_whole)
{
    saying(saying(saying(given(EVENT_COMPLETED, T), FIELD_talk_ms, 60 * S), FIELD_version, 2), FIELD_transfers, 0);
    saying(saying(saying(given(EVENT_COMPLETED, T), FIELD_talk_ms, 30 * S), FIELD_version, 1), FIELD_cost, 99);
    saying(given(EVENT_COMPLETED, T), FIELD_wait_ms, 1);
    when_derived();
    cr_expect_eq(total(MEASURE_talk_ms), 60 * S);
    cr_expect_eq(total(MEASURE_cost), 0);
    cr_expect_eq(total(MEASURE_wait_n), 0);
}

Test(completed, of_equal_versions_the_first_to_arrive_stands)
{
    saying(given(EVENT_COMPLETED, T + MIN), FIELD_talk_ms, 1 * S);
    saying(given(EVENT_COMPLETED, T), FIELD_talk_ms, 2 * S);
    when_derived();
    cr_expect_eq(total(MEASURE_talk_ms), 1 * S);
}

Test(completed, entry_dimensions_are_its_own_alone)
{
    with(given(EVENT_OFFERED, T), DIMENSION_queue, BILLING);
    with(saying(given(EVENT_COMPLETED, T + MIN), FIELD_talk_ms, 5 * S), DIMENSION_queue, VIP);
    when_derived();
    cr_expect_eq(total_of(DIMENSION_queue, VIP, MEASURE_offered), 1);
    cr_expect_eq(total_of(DIMENSION_queue, BILLING, MEASURE_leg_offered), 1);
}

/* ---- surveys ---- */

static struct fact *an_answer(int64_t time_ms, int64_t csat, int64_t nps)
{
    return saying(saying(given(EVENT_SURVEY_ANSWERED, time_ms), FIELD_csat, csat), FIELD_nps, nps);
}

Test(survey, counts_scores_on_both_sides_of_their_edges)
{
    static const int64_t nps[] = {0, 6, 7, 8, 9, 10}, csat[] = {1, 3, 4, 5, 5, 1};
    for (int i = 0; i < 6; i++)
        an_answer(T + i * S, csat[i], nps[i]);
    saying(given(EVENT_SURVEY_ANSWERED, T), FIELD_ces, 7)->comment = true;
    when_derived();
    cr_expect_eq(total(MEASURE_survey_answered), 7);
    cr_expect_eq(total(MEASURE_comments), 1);
    cr_expect_eq(total(MEASURE_csat_n), 6);
    cr_expect_eq(total(MEASURE_csat_sum), 19);
    cr_expect_eq(total(MEASURE_csat_top), 3);
    cr_expect_eq(total(MEASURE_nps_n), 6);
    cr_expect_eq(total(MEASURE_nps_promoters), 2);
    cr_expect_eq(total(MEASURE_nps_detractors), 2);
    cr_expect_eq(total(MEASURE_ces_n), 1);
    cr_expect_eq(total(MEASURE_ces_sum), 7);
    cr_expect_eq(derived.unjoined, 7);
}

Test(survey, answers_to_one_survey_replace_each_other_by_version)
{
    saying(an_answer(T, 2, 2), FIELD_version, 1)->survey_hash = 5;
    saying(an_answer(T + S, 5, 9), FIELD_version, 3)->survey_hash = 5;
    saying(an_answer(T + 2 * S, 1, 1), FIELD_version, 2)->survey_hash = 5;
    an_answer(T + 3 * S, 3, 7)->survey_hash = 6;
    when_derived_alone();
    cr_expect_eq(total(MEASURE_csat_n), 2);
    cr_expect_eq(total(MEASURE_csat_sum), 8);
    cr_expect_eq(total_at(T + S, MEASURE_nps_promoters), 1);
    cr_expect_eq(derived.unjoined, 0);
}

Test(survey, lies_at_its_answer_or_at_the_interactions_end)
{
    given(EVENT_ENDED, T);
    an_answer(T + 2 * H, 5, 9);
    when_derived();
    cr_expect_eq(total_at(T + 2 * H, MEASURE_csat_n), 1);
    settings.attribution = ATTRIBUTION_INTERACTION;
    when_derived();
    cr_expect_eq(total_at(T, MEASURE_csat_n), 1);
}

Test(survey, attributed_to_an_interaction_without_an_end_lies_at_its_answer)
{
    settings.attribution = ATTRIBUTION_INTERACTION;
    given(EVENT_OFFERED, T);
    an_answer(T + 2 * H, 5, 9);
    when_derived();
    cr_expect_eq(total_at(T + 2 * H, MEASURE_csat_n), 1);
}

Test(survey, sets_handle_time_against_csat)
{
    given(EVENT_ANSWERED, T);
    given(EVENT_ENDED, T + 240999);
    an_answer(T + 2 * H, 5, 9);
    when_derived();
    cr_expect_eq(total(MEASURE_ac_n), 1);
    cr_expect_eq(total(MEASURE_ac_x), 240);
    cr_expect_eq(total(MEASURE_ac_xx), 57600);
    cr_expect_eq(total(MEASURE_ac_xy), 1200);
    cr_expect_eq(total(MEASURE_ac_yy), 25);
    cr_expect_eq(total(MEASURE_band1_n), 1);
    cr_expect_eq(total(MEASURE_band1_top), 1);
}

Test(survey, bands_begin_at_their_bound)
{
    static const int64_t talk_ms[] = {3 * MIN - 1, 3 * MIN, 10 * MIN - 1, 10 * MIN, 2 * DAY};
    for (int i = 0; i < 5; i++) {
        saying(given(EVENT_COMPLETED, T + i * 30 * DAY), FIELD_talk_ms, talk_ms[i]);
        an_answer(T + i * 30 * DAY, 1, 0);
    }
    when_derived();
    cr_expect_eq(total(MEASURE_band0_n), 1);
    cr_expect_eq(total(MEASURE_band1_n), 1);
    cr_expect_eq(total(MEASURE_band2_n), 1);
    cr_expect_eq(total(MEASURE_band3_n), 2);
    cr_expect_eq(total(MEASURE_ac_n), 4); /* not beyond 24 h */
}

Test(survey, of_an_employee_is_counted_apart)
{
    saying(an_answer(T, 5, 9), FIELD_respondent, RESPONDENT_EMPLOYEE)->comment = true;
    saying(given(EVENT_SURVEY_SENT, T), FIELD_respondent, RESPONDENT_EMPLOYEE);
    given(EVENT_SURVEY_SENT, T);
    when_derived();
    cr_expect_eq(total(MEASURE_survey_answered) + total(MEASURE_csat_n) + total(MEASURE_nps_n) + total(MEASURE_comments), 0);
    cr_expect_eq(total(MEASURE_employee_survey_answered), 1);
    cr_expect_eq(total(MEASURE_employee_comments), 1);
    cr_expect_eq(total(MEASURE_esat_top), 1);
    cr_expect_eq(total(MEASURE_enps_promoters), 1);
    cr_expect_eq(total(MEASURE_employee_survey_sent), 1);
    cr_expect_eq(total(MEASURE_survey_sent), 1);
}

/* ---- usage and sales ---- */

Test(usage, is_used_missed_or_none)
{
    given(EVENT_ENDED, T);
    an_answer(T + S, 5, 3);
    when_derived();
    cr_expect_eq(total(MEASURE_used_contacts) + total(MEASURE_missed_contacts), 0);
    given(EVENT_OPPORTUNITY_SEEN, T - S);
    when_derived();
    cr_expect_eq(total(MEASURE_missed_contacts), 1);
    cr_expect_eq(total(MEASURE_csat_missed_top), 1);
    cr_expect_eq(total(MEASURE_nps_missed_detractors), 1);
    saying(given(EVENT_PROGRAM_USED, T - S), FIELD_cost, 30);
    when_derived();
    cr_expect_eq(total(MEASURE_missed_contacts), 0);
    cr_expect_eq(total(MEASURE_used_contacts), 1);
    cr_expect_eq(total(MEASURE_csat_used_n), 1);
    cr_expect_eq(total(MEASURE_opportunities), 1);
    cr_expect_eq(total(MEASURE_use_cost), 30);
}

Test(usage, of_events_without_an_interaction_is_counted_and_splits_nothing)
{
    given(EVENT_PROGRAM_USED, T);
    an_answer(T, 5, 9);
    when_derived();
    cr_expect_eq(total(MEASURE_uses), 1);
    cr_expect_eq(total(MEASURE_csat_used_n), 0);
}

Test(usage, scripted_contacts_split_their_surveys)
{
    saying(given(EVENT_ENDED, T), FIELD_scripted, 0);
    an_answer(T, 5, 9);
    when_derived();
    cr_expect_eq(total(MEASURE_csat_unscripted_top), 1);
    cr_expect_eq(total(MEASURE_csat_scripted_n), 0);
}

Test(sales, count_offers_by_kind_and_value_of_the_accepted)
{
    for (int kind = OFFER_UPSELL; kind <= OFFER_SAVE; kind++) {
        saying(saying(given(EVENT_OFFER_MADE, T), FIELD_kind, kind), FIELD_value, 1000);
        saying(saying(given(EVENT_OFFER_ACCEPTED, T), FIELD_kind, kind), FIELD_value, 10);
    }
    saying(given(EVENT_CONVERSION_MADE, T), FIELD_value, 7);
    saying(given(EVENT_CUSTOMER_KEPT, T), FIELD_value, 5);
    given(EVENT_CUSTOMER_LOST, T);
    given(EVENT_RECOGNITION_GIVEN, T);
    given(EVENT_ENDED, T);
    when_derived();
    static const enum measure ones[] = {MEASURE_upsell_offers, MEASURE_upsell_accepted, MEASURE_cross_sell_offers, MEASURE_cross_sell_accepted,
                                        MEASURE_save_offers, MEASURE_save_accepted, MEASURE_conversions, MEASURE_customers_kept,
                                        MEASURE_customers_lost, MEASURE_recognitions, MEASURE_converted};
    for (size_t i = 0; i < sizeof ones / sizeof *ones; i++)
        cr_expect_eq(total(ones[i]), 1, "%s", measure_names[ones[i]]);
    cr_expect_eq(total(MEASURE_offer_value), 30);
    cr_expect_eq(total(MEASURE_conversion_value), 7);
    cr_expect_eq(total(MEASURE_value_kept), 5);
    cr_expect_eq(total(MEASURE_value_lost), 0);
}
