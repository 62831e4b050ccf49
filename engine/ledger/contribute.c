/* What a record is worth, in integers (SEMANTICS 3): a contact's from its entry to what it is now, then each event's beside it. To add a measure is
 * a line here, behind its row in measures.def. */
#include "record.h"

#include "esteem/now.h"

enum { DAY_MS = 86400000 };

#define PUT(run, name, value) tally_run_put(run, MEASURE_##name, value)

static int64_t threshold_ms(const struct record *record, const struct dims *dims)
{
    const struct derive_settings *settings = record->settings;
    for (int r = 0; r < settings->rule_count; r++) {
        bool match = true;
        for (int i = 0; i < DIMENSION_MAX && match; i++)
            match = settings->rule[r].match.id[i] == 0 || settings->rule[r].match.id[i] == dims->id[i];
        if (match)
            return settings->rule[r].threshold_ms;
    }
    return settings->sl_threshold_ms;
}

static void contribute_entry(struct record *record)
{
    struct tally_run run;
    if (record->offered_ms != NEVER) {
        tally_run_begin(&run);
        PUT(&run, offered, 1);
        block_put(record->out, &record->entry, record->offered_ms, &run);
    }
    if (!record->answered && !record->abandoned)
        return;
    int64_t in_time = record->wait_known && record->wait_ms <= threshold_ms(record, &record->entry);
    tally_run_begin(&run);
    if (record->answered) {
        PUT(&run, answered, 1);
        PUT(&run, wait_n, record->wait_known);
        PUT(&run, wait_ms, record->wait_known ? record->wait_ms : 0);
        PUT(&run, answered_in_sl, in_time);
        if (record->wait_known)
            tally_run_put(&run, histogram_id(HISTOGRAM_wait, histogram_bucket(record->wait_ms)), 1);
        block_put(record->out, &record->entry, record->answered_ms, &run);
        return;
    }
    PUT(&run, abandoned, 1);
    PUT(&run, abandon_wait_n, record->wait_known);
    PUT(&run, abandon_wait_ms, record->wait_known ? record->wait_ms : 0);
    PUT(&run, abandoned_short, record->wait_known && record->wait_ms <= record->settings->short_abandon_ms);
    PUT(&run, abandoned_in_sl, in_time);
    block_put(record->out, &record->entry, record->abandoned_ms, &run);
}

/* What the agent was engaged for: talk and hold, up to the segment's end. It counts where the agent's segments are (shift.h). */
static void contribute_engaged(struct record *record, const struct segment *segment)
{
    int64_t from_ms = segment->end_ms - segment->talk_ms - segment->hold_ms;
    if (segment->dims.id[DIMENSION_agent] == 0 || from_ms >= segment->end_ms)
        return;
    note_put(record->out, BLOCK_ENGAGED, &segment->dims, from_ms, &(struct note){.until_ms = segment->end_ms}, MEASURE_engaged_ms);
}

static void contribute_segments(struct record *record)
{
    for (uint32_t i = 0; i < record->segments; i++) {
        const struct segment *segment = &record->segment[i];
        if (segment->end_ms == NEVER)
            continue;
        struct tally_run run;
        tally_run_begin(&run);
        PUT(&run, handled, 1);
        PUT(&run, talk_ms, segment->talk_ms);
        PUT(&run, hold_ms, segment->hold_ms);
        PUT(&run, wrap_ms, segment->wrap_ms);
        PUT(&run, held, segment->hold_ms > 0);
        PUT(&run, holds, segment->holds);
        int64_t handle_ms = segment->talk_ms + segment->hold_ms + segment->wrap_ms;
        tally_run_put(&run, histogram_id(HISTOGRAM_handle, histogram_bucket(handle_ms)), 1);
        contribute_engaged(record, segment);
        block_put(record->out, &segment->dims, segment->wrapped_ms != NEVER ? segment->wrapped_ms : segment->end_ms, &run);
    }
}

/* What the completed record gives, else the latest `ended` that names it; -1 when none does. */
static int64_t said(const struct record *record, enum field field)
{
    if (record_gives(record, field))
        return record->completed->field[field];
    int64_t value = -1;
    for (uint32_t i = 0; i < record->count; i++)
        if (record->fact[i].type == EVENT_ENDED && fact_has(&record->fact[i], field))
            value = record->fact[i].field[field];
    return value;
}

static int64_t counted(const struct record *record, enum field field, enum event_type type)
{
    return record_gives(record, field) ? record->completed->field[field] : record_count(record, type);
}

static void contribute_closed(struct record *record)
{
    if (record->ended_ms == NEVER || record->abandoned)
        return;
    int64_t transfers = counted(record, FIELD_transfers, EVENT_TRANSFERRED);
    int64_t identified = counted(record, FIELD_identifications, EVENT_IDENTIFIED);
    int64_t resolved = said(record, FIELD_resolved), contained = said(record, FIELD_contained);
    int64_t scripted = said(record, FIELD_scripted), cost = said(record, FIELD_cost);
    struct tally_run run;
    tally_run_begin(&run);
    PUT(&run, closed, 1);
    PUT(&run, conversed, record->closed_segments > 0);
    PUT(&run, conversation_ms, record->conversation_ms);
    PUT(&run, transfers, transfers);
    PUT(&run, transferred, transfers > 0);
    PUT(&run, repeat_ids, identified > 1 ? identified - 1 : 0);
    PUT(&run, restatements, counted(record, FIELD_restatements, EVENT_RESTATED));
    PUT(&run, resolved_known, resolved >= 0);
    PUT(&run, resolved, resolved > 0);
    PUT(&run, self_service, contained >= 0);
    PUT(&run, contained, contained > 0);
    PUT(&run, scripted_known, scripted >= 0);
    PUT(&run, scripted, scripted > 0);
    PUT(&run, cost, cost > 0 ? cost : 0);
    PUT(&run, converted, record->converted);
    PUT(&run, used_contacts, record->used);
    PUT(&run, missed_contacts, record->missed);
    PUT(&run, fcr_known, record->customer != 0);
    PUT(&run, fcr, record->customer != 0); /* until the customer comes back: visit.h then takes it away */
    block_put(record->out, &record->dims, record->ended_ms, &run);
}

/* The contact of a known customer: it may be repeated, and repeat another. */
static void contribute_visit(struct record *record)
{
    if (record->customer == 0)
        return;
    struct note note = {.who = record->customer, .id = record->interaction, .state = record->number, .until_ms = record->abandoned ? NEVER : record->ended_ms};
    note_put(record->out, BLOCK_VISIT, &record->dims, record->offered_ms != NEVER ? record->offered_ms : record->fact[0].time_ms, &note, MEASURE_fcr);
}

/* Each run of a customer's messages is answered by the agent's first one after it. */
static void contribute_messages(struct record *record)
{
    int64_t open_ms = NEVER;
    bool first = true;
    for (uint32_t i = 0; i < record->count; i++) {
        const struct fact *fact = &record->fact[i];
        if (fact->type != EVENT_MESSAGE_SENT)
            continue;
        if (fact->field[FIELD_from] == FROM_CUSTOMER) {
            open_ms = open_ms == NEVER ? fact->time_ms : open_ms;
            continue;
        }
        if (open_ms == NEVER)
            continue;
        int64_t ms = record_duration(record, fact->time_ms - open_ms);
        struct tally_run run;
        tally_run_begin(&run);
        PUT(&run, first_response_n, first);
        PUT(&run, first_response_ms, first ? ms : 0);
        PUT(&run, response_n, 1);
        PUT(&run, response_ms, ms);
        struct dims dims = record_filled(record, named_by(fact), &record->dims);
        block_put(record->out, &dims, fact->time_ms, &run);
        open_ms = NEVER;
        first = false;
    }
}

/* Each `offered` opens a leg under its own dimensions, else those that the facts before it name; agent, team and site only as
 * it names them itself. */
static void contribute_legs(struct record *record)
{
    struct resolver before = {0};
    struct dims dims = {{0}};
    int64_t open_ms = NEVER;
    for (uint32_t i = 0; i < record->count; resolver_take(&before, &record->fact[i]), i++) {
        const struct fact *fact = &record->fact[i];
        struct tally_run run;
        tally_run_begin(&run);
        if (open_ms != NEVER && fact->type == EVENT_ANSWERED) {
            int64_t wait_ms = record_duration(record, fact->time_ms - open_ms);
            PUT(&run, leg_answered, 1);
            PUT(&run, leg_wait_ms, wait_ms);
            PUT(&run, leg_in_sl, wait_ms <= threshold_ms(record, &dims));
            block_put(record->out, &dims, fact->time_ms, &run);
            open_ms = NEVER;
        } else if (open_ms != NEVER && fact->type == EVENT_ABANDONED) {
            PUT(&run, leg_abandoned, 1);
            block_put(record->out, &dims, fact->time_ms, &run);
            open_ms = NEVER;
        } else if (fact->type == EVENT_ENDED) {
            open_ms = NEVER;
        } else if (fact->type == EVENT_OFFERED) {
            struct dims earlier = resolver_read(&before).dims;
            dims = record_filled(record, named_by(fact), NULL);
            for (int d = 0; d < DIMENSION_MAX; d++)
                if (dims.id[d] == 0 && d != DIMENSION_agent && d != DIMENSION_team && d != DIMENSION_site)
                    dims.id[d] = earlier.id[d];
            open_ms = fact->time_ms;
            PUT(&run, leg_offered, 1);
            block_put(record->out, &dims, open_ms, &run);
        }
    }
}

/* ---- what is now (now.h) ---- */

static void now_is(const struct record *record, const struct dims *dims, enum measure gauge, bool on_hold)
{
    struct tally_run run;
    tally_run_begin(&run);
    tally_run_put(&run, gauge, 1);
    PUT(&run, on_hold, on_hold);
    now_put(record->out, dims, 0, &run);
}

static void now_since(const struct record *record, const struct dims *dims, enum histogram of, int64_t since_ms)
{
    struct tally_run run;
    tally_run_begin(&run);
    tally_run_put(&run, now_second(of, since_ms), 1);
    now_put(record->out, dims, since_ms, &run);
}

/* A contact waits from its offer until an answer, an abandonment or an end; is in progress while a segment is open; and after an
 * `interaction.ended` in wrap until its latest segment is wrapped. Where a `completed` is there, all is over. */
static void contribute_now(const struct record *record)
{
    const struct segment *last = record->segments ? &record->segment[record->segments - 1] : NULL;
    if (!record->settings->now || !record->latest || record->completed)
        return;
    if (last == NULL && record->offered_ms != NEVER && record->ended_ms == NEVER) {
        now_is(record, &record->entry, MEASURE_waiting, false);
        now_since(record, &record->entry, NOW_WAITING, record->offered_ms);
    } else if (last && last->end_ms == NEVER) {
        now_is(record, &last->dims, MEASURE_in_progress, record->on_hold);
    } else if (last && last->wrapped_ms == NEVER && record_count(record, EVENT_ENDED)) {
        now_since(record, &last->dims, NOW_WRAP, record->ended_ms);
    }
}

/* ---- all of a contact ---- */

void contribute_contact(struct record *record)
{
    contribute_entry(record);
    contribute_segments(record);
    contribute_closed(record);
    contribute_visit(record);
    contribute_legs(record);
    contribute_messages(record);
    contribute_now(record);
}

/* ---- one event ---- */

static void contribute_employee(const struct record *record, const struct fact *fact, struct tally_run *run)
{
    if (fact_has(fact, FIELD_csat)) {
        int64_t csat = fact->field[FIELD_csat];
        PUT(run, esat_n, 1);
        PUT(run, esat_sum, csat);
        PUT(run, esat_top, csat >= record->settings->top_box);
    }
    if (fact_has(fact, FIELD_nps)) {
        int64_t nps = fact->field[FIELD_nps];
        PUT(run, enps_n, 1);
        PUT(run, enps_promoters, nps >= 9);
        PUT(run, enps_detractors, nps <= 6);
    }
    PUT(run, employee_survey_answered, 1);
    PUT(run, employee_comments, fact->comment);
}

/* The AHT band of a conversation: bounds[i - 1] <= ms < bounds[i], the last one open. */
static int band_of(const struct derive_settings *settings, int64_t ms)
{
    int band = 0;
    while (band < settings->band_count && ms >= settings->band_ms[band])
        band++;
    return band;
}

static void contribute_handle_against_csat(const struct record *record, int64_t csat, struct tally_run *run)
{
    if (record->closed_segments == 0)
        return;
    if (record->conversation_ms <= DAY_MS) {
        int64_t x = record->conversation_ms / 1000;
        PUT(run, ac_n, 1);
        PUT(run, ac_x, x);
        PUT(run, ac_y, csat);
        PUT(run, ac_xx, x * x);
        PUT(run, ac_yy, csat * csat);
        PUT(run, ac_xy, x * csat);
    }
    if (record->settings->band_count == 0)
        return;
    uint32_t band = MEASURE_band0_n + 2 * (uint32_t)band_of(record->settings, record->conversation_ms);
    tally_run_put(run, band, 1);
    tally_run_put(run, band + 1, csat >= record->settings->top_box);
}

static void contribute_customer(const struct record *record, const struct fact *fact, struct tally_run *run)
{
    bool has_csat = fact_has(fact, FIELD_csat), has_nps = fact_has(fact, FIELD_nps);
    int64_t csat = has_csat ? fact->field[FIELD_csat] : 0, nps = has_nps ? fact->field[FIELD_nps] : 0;
    int64_t top = has_csat && csat >= record->settings->top_box;
    int64_t promoter = has_nps && nps >= 9, detractor = has_nps && nps <= 6;
    int64_t scripted = said(record, FIELD_scripted);
    PUT(run, survey_answered, 1);
    PUT(run, comments, fact->comment);
    PUT(run, csat_n, has_csat);
    PUT(run, csat_sum, csat);
    PUT(run, csat_top, top);
    PUT(run, nps_n, has_nps);
    PUT(run, nps_promoters, promoter);
    PUT(run, nps_detractors, detractor);
    PUT(run, ces_n, fact_has(fact, FIELD_ces));
    PUT(run, ces_sum, fact_has(fact, FIELD_ces) ? fact->field[FIELD_ces] : 0);
    if (!record->joined)
        return;
    PUT(run, csat_used_n, record->used && has_csat);
    PUT(run, csat_used_top, record->used && top);
    PUT(run, csat_missed_n, record->missed && has_csat);
    PUT(run, csat_missed_top, record->missed && top);
    PUT(run, nps_used_n, record->used && has_nps);
    PUT(run, nps_used_promoters, record->used && promoter);
    PUT(run, nps_used_detractors, record->used && detractor);
    PUT(run, nps_missed_n, record->missed && has_nps);
    PUT(run, nps_missed_promoters, record->missed && promoter);
    PUT(run, nps_missed_detractors, record->missed && detractor);
    PUT(run, csat_scripted_n, scripted > 0 && has_csat);
    PUT(run, csat_scripted_top, scripted > 0 && top);
    PUT(run, csat_unscripted_n, scripted == 0 && has_csat);
    PUT(run, csat_unscripted_top, scripted == 0 && top);
    if (has_csat)
        contribute_handle_against_csat(record, csat, run);
}

static int64_t amount(const struct fact *fact, enum field field)
{
    return fact_has(fact, field) ? fact->field[field] : 0;
}

static void contribute_offer(const struct fact *fact, struct tally_run *run)
{
    static const enum measure offers[] = {MEASURE_upsell_offers, MEASURE_cross_sell_offers, MEASURE_save_offers};
    static const enum measure accepted[] = {MEASURE_upsell_accepted, MEASURE_cross_sell_accepted, MEASURE_save_accepted};
    int64_t kind = fact->field[FIELD_kind];
    if (fact->type == EVENT_OFFER_MADE) {
        tally_run_put(run, offers[kind], 1);
        return;
    }
    tally_run_put(run, accepted[kind], 1);
    PUT(run, offer_value, amount(fact, FIELD_value));
}

/* Under its own dimensions, also inside an interaction. */
static void contribute_roster(struct record *record, const struct fact *fact)
{
    bool enrols = fact->type == EVENT_AGENT_ENROLLED;
    struct roster_entry entry = {.time_ms = fact->time_ms, .id_hash = fact->id_hash, .enrolled = enrols};
    if (!(fact->dimensions >> DIMENSION_agent & 1) ||
        roster_eligible_before(record->roster, record->tenant, fact->dimension[DIMENSION_agent], &entry, record->as_of) == enrols)
        return;
    struct tally_run run;
    tally_run_begin(&run);
    if (enrols)
        PUT(&run, agents_joined, 1);
    else
        PUT(&run, agents_left, 1);
    struct dims dims = record_filled(record, named_by(fact), NULL);
    block_put(record->out, &dims, fact->time_ms, &run);
}

/* Under its own dimensions, too; how long it lasts is known when the agent's next state is (shift.h). */
static void contribute_state(struct record *record, const struct fact *fact)
{
    if (!(fact->dimensions >> DIMENSION_agent & 1))
        return;
    struct dims dims = record_filled(record, named_by(fact), NULL);
    note_put(record->out, BLOCK_STATE, &dims, fact->time_ms, &(struct note){.id = fact->id_hash, .state = fact->field[FIELD_state]}, MEASURE_ready_ms);
}

void contribute_event(struct record *record, const struct fact *fact)
{
    struct tally_run run;
    int64_t anchor_ms = fact->time_ms;
    tally_run_begin(&run);
    switch (fact->type) {
    case EVENT_SURVEY_SENT:
        if (amount(fact, FIELD_respondent) == RESPONDENT_EMPLOYEE)
            PUT(&run, employee_survey_sent, 1);
        else
            PUT(&run, survey_sent, 1);
        break;
    case EVENT_SURVEY_ANSWERED:
        if (record->settings->attribution == ATTRIBUTION_INTERACTION && record->joined && record->ended_ms != NEVER)
            anchor_ms = record->ended_ms;
        if (amount(fact, FIELD_respondent) == RESPONDENT_EMPLOYEE)
            contribute_employee(record, fact, &run);
        else
            contribute_customer(record, fact, &run);
        break;
    case EVENT_OPPORTUNITY_SEEN:
        PUT(&run, opportunities, 1);
        break;
    case EVENT_PROGRAM_USED:
        PUT(&run, uses, 1);
        PUT(&run, use_cost, amount(fact, FIELD_cost));
        break;
    case EVENT_OFFER_MADE:
    case EVENT_OFFER_ACCEPTED:
        contribute_offer(fact, &run);
        break;
    case EVENT_CONVERSION_MADE:
        PUT(&run, conversions, 1);
        PUT(&run, conversion_value, amount(fact, FIELD_value));
        break;
    case EVENT_CUSTOMER_KEPT:
        PUT(&run, customers_kept, 1);
        PUT(&run, value_kept, amount(fact, FIELD_value));
        break;
    case EVENT_CUSTOMER_LOST:
        PUT(&run, customers_lost, 1);
        PUT(&run, value_lost, amount(fact, FIELD_value));
        break;
    case EVENT_RECOGNITION_GIVEN:
        PUT(&run, recognitions, 1);
        break;
    case EVENT_AGENT_ENROLLED:
    case EVENT_AGENT_REMOVED:
        contribute_roster(record, fact);
        return;
    case EVENT_AGENT_STATE:
        contribute_state(record, fact);
        return;
    default:
        return;
    }
    struct dims dims = record_filled(record, named_by(fact), record->joined ? &record->dims : NULL);
    block_put(record->out, &dims, anchor_ms, &run);
}
