/* From facts to contributions (SEMANTICS 2 and 3). Read from the bottom: derive() sorts and splits the facts into records;
 * record.c makes out one record (who, when, which segments); contribute_*() turn it into integers.
 *
 *   facts ──sort, split by gaps──> record: versions ──> dimensions, segments, times ──> blocks (dims, instant, integers)
 *
 * Nothing here knows of windows, threads, or what was sent before. */
#include "record.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "esteem/err.h"
#include "esteem/now.h"
#include "esteem/span.h"
#include "esteem/varint.h"

enum { DAY_MS = 86400000, BLOCK_MOST = TALLY_RUN_MAX / 2 /* bytes: turned round, a block may be a little longer */ };

/* ---- blocks ---- */

void derivation_init(struct derivation *out)
{
    *out = (struct derivation){.room = 64, .bytes_room = 16384};
    out->block = malloc(out->room * sizeof *out->block);
    out->bytes = malloc(out->bytes_room);
    ensure(out->block && out->bytes, "the machine has memory left");
}

void derivation_close(struct derivation *out)
{
    free(out->block);
    free(out->bytes);
    *out = (struct derivation){0};
}

/* The run without the measures that were not known when it was sent. */
static void leave_out(const uint64_t *lacks, struct tally_run *run)
{
    struct tally_run whole = *run;
    const uint8_t *at = whole.bytes, *end = whole.bytes + whole.length;
    uint32_t id = 0;
    tally_run_begin(run);
    for (uint64_t step, value; at < end; id += (uint32_t)step) {
        at = varint_get(at, &step);
        at = varint_get(at, &value);
        uint32_t which = id + (uint32_t)step - 1;
        if (which >= HISTOGRAM_FIRST_ID || !(lacks[which / 64] >> which % 64 & 1))
            tally_run_put(run, which, unzigzag(value));
    }
}

/* A block more, or the last one when it goes to the same place. */
static struct block *block_for(struct derivation *out, enum block_kind kind, const struct dims *dims, int64_t anchor_ms, uint32_t length)
{
    struct block *last = out->count ? &out->block[out->count - 1] : NULL;
    if (last && kind == BLOCK_FIGURES && last->kind == kind && last->anchor_ms == anchor_ms && last->length + length <= BLOCK_MOST &&
        memcmp(&last->dims, dims, sizeof *dims) == 0)
        return last;
    if (out->count == out->room) {
        out->room *= 2;
        out->block = realloc(out->block, out->room * sizeof *out->block);
        ensure(out->block != NULL, "the machine has memory left");
    }
    last = &out->block[out->count++];
    *last = (struct block){.anchor_ms = anchor_ms, .dims = *dims, .kind = kind, .at = out->used};
    last->hash = XXH3_64bits_withSeed(dims, sizeof *dims, (uint64_t)anchor_ms) ^ (uint64_t)kind;
    return last;
}

static struct block *block_add(struct derivation *out, enum block_kind kind, const struct dims *dims, int64_t anchor_ms, const void *bytes, uint32_t length)
{
    if (out->used + length > out->bytes_room) {
        out->bytes_room *= 2;
        out->bytes = realloc(out->bytes, out->bytes_room);
        ensure(out->bytes != NULL, "the machine has memory left");
    }
    struct block *block = block_for(out, kind, dims, anchor_ms, length);
    memcpy(out->bytes + out->used, bytes, length);
    out->used += length;
    block->length += length;
    block->hash ^= XXH3_64bits_withSeed(bytes, length, block->length);
    return block;
}

static void block_put(struct derivation *out, const struct dims *dims, int64_t anchor_ms, struct tally_run *run)
{
    if (out->lacks)
        leave_out(out->lacks, run);
    tally_run_end(run);
    if (!tally_run_empty(run))
        (void)block_add(out, BLOCK_FIGURES, dims, anchor_ms, run->bytes, run->length);
}

/* `measure`: what comes of it; a version that did not know that has told nobody. */
static void note_put(struct derivation *out, enum block_kind kind, const struct dims *dims, int64_t anchor_ms, const struct note *note, enum measure measure)
{
    if (!out->lacks || !(out->lacks[measure / 64] >> measure % 64 & 1))
        (void)block_add(out, kind, dims, anchor_ms, note, sizeof *note);
}

/* A version that did not know the gauges has told nobody. */
static void now_put(struct derivation *out, const struct dims *dims, int64_t anchor_ms, struct tally_run *run)
{
    if (out->lacks && out->lacks[MEASURE_waiting / 64] >> MEASURE_waiting % 64 & 1)
        return;
    tally_run_end(run);
    (void)block_add(out, BLOCK_NOW, dims, anchor_ms, run->bytes, run->length);
    out->now = true;
}

/* ---- contributions ---- */

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

/* One event that is no interaction.*: its own dimensions where it names them, else the interaction's. */
static void contribute_event(struct record *record, const struct fact *fact)
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

/* ---- one record, and all of them ---- */

/* Leaves out replaced versions of the completed record and of each survey's answer, keeping the order. Of equal versions the
 * first to arrive stands. */
static bool replaces(const struct fact *a, const struct fact *b)
{
    int64_t va = fact_version(a), vb = fact_version(b);
    return va != vb ? va > vb : a->arrival < b->arrival;
}

static bool same_answer(const struct fact *a, const struct fact *b)
{
    return a->type == b->type &&
           (a->type == EVENT_COMPLETED || (a->type == EVENT_SURVEY_ANSWERED && a->survey_hash == b->survey_hash));
}

static uint32_t drop_replaced(struct fact *fact, uint32_t count)
{
    uint32_t kept = 0, versioned = 0;
    for (uint32_t i = 0; i < count; i++)
        versioned += fact[i].type == EVENT_COMPLETED || fact[i].type == EVENT_SURVEY_ANSWERED;
    if (versioned < 2)
        return count;
    for (uint32_t i = 0; i < count; i++) {
        bool replaced = false;
        if (fact[i].type == EVENT_COMPLETED || fact[i].type == EVENT_SURVEY_ANSWERED)
            for (uint32_t j = 0; j < count && !replaced; j++)
                replaced = j != i && same_answer(&fact[j], &fact[i]) && replaces(&fact[j], &fact[i]);
        fact[i].arrival |= replaced ? UINT32_C(1) << 31 : 0;
    }
    for (uint32_t i = 0; i < count; i++)
        if (!(fact[i].arrival >> 31))
            fact[kept++] = fact[i];
    return kept;
}

static void record(struct record *record, struct fact *fact, uint32_t count, bool alone)
{
    record->fact = fact;
    record->count = drop_replaced(fact, count);
    for (uint32_t i = 0; i < record->count; i++) {
        record->joined |= fact[i].type <= EVENT_INTERACTION_LAST;
        if (fact[i].type == EVENT_COMPLETED)
            record->completed = &fact[i];
    }
    record->offered_ms = record->answered_ms = record->abandoned_ms = record->ended_ms = NEVER;
    record->wait_known = true;
    if (record->joined) {
        record_make_out(record);
        contribute_entry(record);
        contribute_segments(record);
        contribute_closed(record);
        contribute_visit(record);
        contribute_legs(record);
        contribute_messages(record);
        contribute_now(record);
    } else if (!alone) {
        record->out->unjoined += record->count;
    }
    for (uint32_t i = 0; i < record->count; i++)
        contribute_event(record, &fact[i]);
}

void derive(struct fact *facts, uint32_t count, bool alone, const struct derive_settings *settings,
            const struct roster *roster, uint32_t tenant, uint32_t as_of, struct derivation *out)
{
    static _Thread_local struct segment *segments;
    static _Thread_local uint32_t segments_room;
    out->count = out->used = out->unjoined = 0;
    out->lacks = derive_lacks(settings) ? settings->lacks : NULL;
    out->skewed = out->now = false;
    if (count > segments_room) {
        segments_room = count * 2 + 16;
        free(segments);
        segments = malloc(segments_room * sizeof *segments);
        ensure(segments != NULL, "the machine has memory left");
    }
    if (count > 1)
        qsort(facts, count, sizeof *facts, fact_order);
    uint16_t number = 0;
    for (uint32_t from = 0, to; from < count; from = to, number++) {
        for (to = from + 1; to < count && (alone || facts[to].time_ms - facts[to - 1].time_ms <= settings->retention_ms);)
            to++;
        struct record one = {.settings = settings, .roster = roster, .tenant = tenant, .as_of = as_of, .number = number,
                             .latest = to == count, .segment = segments, .out = out};
        record(&one, facts + from, to - from, alone);
    }
}
