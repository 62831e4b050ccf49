/* Making out a record: whose it is, which segments its facts lay out, when it was offered, answered, abandoned and ended
 * (SEMANTICS 2). Read from the bottom. */
#include "record.h"

/* ---- dimensions ---- */

static int class_of(enum event_type type)
{
    return type == EVENT_WRAPPED ? CLASS_WRAPPED : type <= EVENT_INTERACTION_LAST ? CLASS_INTERACTION : CLASS_OTHER;
}

void resolver_take(struct resolver *resolver, const struct fact *fact)
{
    struct named *named = &resolver->by_class[class_of(fact->type)];
    for (uint32_t left = fact->dimensions; left; left &= left - 1) {
        int i = __builtin_ctz(left);
        named->dims.id[i] = fact->dimension[i];
    }
    if (fact->dimensions >> DIMENSION_agent & 1)
        named->agent_ms = fact->time_ms;
}

struct named resolver_read(const struct resolver *resolver)
{
    struct named out = resolver->by_class[CLASS_INTERACTION];
    for (int class = CLASS_WRAPPED; class >= CLASS_OTHER; class--) {
        const struct named *lower = &resolver->by_class[class];
        if (out.dims.id[DIMENSION_agent] == 0)
            out.agent_ms = lower->agent_ms;
        for (int i = 0; i < DIMENSION_MAX; i++)
            if (out.dims.id[i] == 0)
                out.dims.id[i] = lower->dims.id[i];
    }
    return out;
}

struct named named_by(const struct fact *fact)
{
    struct named out = {.agent_ms = fact->time_ms};
    for (uint32_t left = fact->dimensions; left; left &= left - 1) {
        int i = __builtin_ctz(left);
        out.dims.id[i] = fact->dimension[i];
    }
    return out;
}

int64_t record_duration(struct record *record, int64_t ms)
{
    if (ms >= 0 && ms <= DURATION_MAX_MS)
        return ms;
    record->out->skewed = true;
    return ms < 0 ? 0 : DURATION_MAX_MS;
}

static struct roster_place place(const struct record *record, uint32_t agent, int64_t at_ms)
{
    return roster_find(record->roster, record->tenant, agent, at_ms, record->as_of);
}

struct dims record_filled(const struct record *record, struct named own, const struct dims *fallback)
{
    uint32_t *id = own.dims.id, agent = id[DIMENSION_agent];
    if (id[DIMENSION_team] == 0 || id[DIMENSION_site] == 0) {
        struct roster_place at = place(record, agent, own.agent_ms);
        id[DIMENSION_team] = id[DIMENSION_team] ? id[DIMENSION_team] : at.team;
        id[DIMENSION_site] = id[DIMENSION_site] ? id[DIMENSION_site] : at.site;
    }
    if (fallback == NULL)
        return own.dims;
    bool same_agent = agent == 0 || agent == fallback->id[DIMENSION_agent];
    for (int i = 0; i < DIMENSION_MAX; i++)
        if (id[i] == 0 && (same_agent || (i != DIMENSION_team && i != DIMENSION_site)))
            id[i] = fallback->id[i];
    return own.dims;
}

static void resolve_dimensions(struct record *record)
{
    struct resolver all = {0};
    for (uint32_t i = 0; i < record->count; i++)
        resolver_take(&all, &record->fact[i]);
    record->dims = record_filled(record, resolver_read(&all), NULL);
}

/* By the same precedence as a dimension. */
static void resolve_customer(struct record *record)
{
    const struct fact *by_class[CLASS_COUNT] = {NULL};
    for (uint32_t i = 0; i < record->count; i++)
        if (record->fact[i].customer)
            by_class[class_of(record->fact[i].type)] = &record->fact[i];
    for (int class = CLASS_INTERACTION; class >= CLASS_OTHER && record->customer == 0; class--)
        if (by_class[class]) {
            record->customer = by_class[class]->customer;
            record->interaction = by_class[class]->interaction;
        }
}

/* Of the facts up to the first answer (or, if abandoned, the first abandonment); of the completed record alone where there
 * is one; what those leave out is the interaction's. */
static void resolve_entry(struct record *record)
{
    if (record->completed) {
        record->entry = record_filled(record, named_by(record->completed), &record->dims);
        return;
    }
    enum event_type last = record->abandoned ? EVENT_ABANDONED : EVENT_ANSWERED;
    struct resolver until = {0};
    for (uint32_t i = 0; i < record->count; i++) {
        resolver_take(&until, &record->fact[i]);
        if (record->fact[i].type == last)
            break;
    }
    record->entry = record_filled(record, resolver_read(&until), &record->dims);
}

/* ---- segments from lifecycle facts ---- */

/* Where a walk through the facts stands. */
struct walk {
    struct segment *open;
    int64_t held_ms;   /* the hold that is open since then, or NEVER */
    int64_t resumed_ms; /* instant at which a `resumed` ended a hold that was open before: further ones there do nothing */
    int64_t owed_ms;    /* instant at which a `resumed` came with no hold open: it ends the hold that begins there */
    int64_t zero_ms;    /* instant at which such a hold of 0 ms was counted: further `held` there change nothing */
};

static void hold_end(struct walk *walk, int64_t at_ms)
{
    if (walk->held_ms == NEVER)
        return;
    walk->open->hold_ms += at_ms - walk->held_ms;
    walk->held_ms = NEVER;
}

static void segment_close(struct record *record, struct walk *walk, int64_t at_ms)
{
    struct segment *segment = walk->open;
    if (segment == NULL)
        return;
    hold_end(walk, at_ms);
    segment->end_ms = at_ms;
    segment->talk_ms = record_duration(record, at_ms - segment->start_ms - segment->hold_ms);
    segment->hold_ms = record_duration(record, segment->hold_ms);
    record->closed_segments++;
    walk->open = NULL;
}

static void segment_open(struct record *record, struct walk *walk, const struct fact *fact)
{
    segment_close(record, walk, fact->time_ms);
    struct segment *segment = &record->segment[record->segments++];
    *segment = (struct segment){.start_ms = fact->time_ms, .end_ms = NEVER, .wrapped_ms = NEVER};
    segment->dims = record_filled(record, named_by(fact), &record->dims);
    segment->agent = segment->dims.id[DIMENSION_agent];
    walk->open = segment;
}

static void hold_begin(struct walk *walk, int64_t at_ms)
{
    if (walk->open == NULL || walk->held_ms != NEVER || walk->zero_ms == at_ms)
        return;
    walk->open->holds++;
    if (walk->owed_ms == at_ms)
        walk->zero_ms = at_ms;
    else
        walk->held_ms = at_ms;
}

static void hold_resume(struct walk *walk, int64_t at_ms)
{
    if (walk->held_ms != NEVER) {
        hold_end(walk, at_ms);
        walk->resumed_ms = at_ms;
    } else if (walk->resumed_ms != at_ms) {
        walk->owed_ms = at_ms;
    }
}

static void wrap(struct record *record, const struct fact *fact)
{
    uint32_t agent = fact->dimensions >> DIMENSION_agent & 1 ? fact->dimension[DIMENSION_agent] : 0;
    for (uint32_t i = record->segments; i-- > 0;) {
        struct segment *segment = &record->segment[i];
        if (segment->end_ms == NEVER || (agent && segment->agent != agent))
            continue;
        segment->wrapped_ms = fact->time_ms;
        segment->wrap_ms = record_duration(record, fact->time_ms - segment->end_ms);
        return;
    }
}

static void lifecycle_segments(struct record *record)
{
    struct walk walk = {.held_ms = NEVER, .resumed_ms = NEVER, .owed_ms = NEVER, .zero_ms = NEVER};
    for (uint32_t i = 0; i < record->count; i++) {
        const struct fact *fact = &record->fact[i];
        switch (fact->type) {
        case EVENT_ANSWERED:
            segment_open(record, &walk, fact);
            break;
        case EVENT_TRANSFERRED:
        case EVENT_ENDED:
        case EVENT_ABANDONED:
            segment_close(record, &walk, fact->time_ms);
            break;
        case EVENT_HELD:
            hold_begin(&walk, fact->time_ms);
            break;
        case EVENT_RESUMED:
            hold_resume(&walk, fact->time_ms);
            break;
        case EVENT_WRAPPED:
            wrap(record, fact);
            break;
        default:
            break;
        }
    }
    record->on_hold = walk.held_ms != NEVER;
}

/* ---- times and states ---- */

static int64_t first_of(const struct record *record, enum event_type type)
{
    for (uint32_t i = 0; i < record->count; i++)
        if (record->fact[i].type == type)
            return record->fact[i].time_ms;
    return NEVER;
}

int64_t record_count(const struct record *record, enum event_type type)
{
    int64_t count = 0;
    for (uint32_t i = 0; i < record->count; i++)
        count += record->fact[i].type == type;
    return count;
}

/* The completed record's own segment: exactly one, with no lifecycle figure in it. */
static void completed_segment(struct record *record)
{
    const struct fact *completed = record->completed;
    struct segment *segment = &record->segment[record->segments++];
    *segment = (struct segment){.end_ms = record->ended_ms, .wrapped_ms = NEVER};
    if (record_gives(record, FIELD_answered_at))
        record->answered_ms = completed->field[FIELD_answered_at];
    else if (record->offered_ms != NEVER && record_gives(record, FIELD_wait_ms))
        record->answered_ms = record->offered_ms + completed->field[FIELD_wait_ms];
    else {
        record->answered_ms = record->ended_ms;
        record->wait_known = false;
    }
    segment->start_ms = record->answered_ms;
    segment->hold_ms = record_gives(record, FIELD_hold_ms) ? completed->field[FIELD_hold_ms] : 0;
    segment->holds = record_gives(record, FIELD_holds) ? completed->field[FIELD_holds] : 0;
    segment->talk_ms = record_gives(record, FIELD_talk_ms)
                           ? completed->field[FIELD_talk_ms]
                           : record_duration(record, segment->end_ms - segment->start_ms - segment->hold_ms);
    if (record_gives(record, FIELD_wrapped_at))
        segment->wrapped_ms = completed->field[FIELD_wrapped_at];
    if (record_gives(record, FIELD_wrap_ms))
        segment->wrap_ms = completed->field[FIELD_wrap_ms];
    else if (record_gives(record, FIELD_wrapped_at))
        segment->wrap_ms = record_duration(record, segment->wrapped_ms - segment->end_ms);
    segment->dims = record_filled(record, named_by(completed), &record->dims);
    segment->agent = segment->dims.id[DIMENSION_agent];
    record->closed_segments = 1;
}

static void abandonment(struct record *record)
{
    int64_t first = first_of(record, EVENT_ABANDONED);
    bool said = record_gives(record, FIELD_abandoned) ? record->completed->field[FIELD_abandoned] != 0 : first != NEVER;
    record->abandoned = said && record->segments == 0;
    if (!record->abandoned)
        return;
    if (record->completed == NULL)
        record->abandoned_ms = first;
    else if (record_gives(record, FIELD_ended_at))
        record->abandoned_ms = record->completed->field[FIELD_ended_at];
    else if (record->offered_ms != NEVER && record_gives(record, FIELD_wait_ms))
        record->abandoned_ms = record->offered_ms + record->completed->field[FIELD_wait_ms];
    else
        record->abandoned_ms = first != NEVER ? first : record->completed->time_ms;
}

static void wait(struct record *record)
{
    int64_t until_ms = record->answered ? record->answered_ms : record->abandoned_ms;
    if (record_gives(record, FIELD_wait_ms)) {
        record->wait_ms = record->completed->field[FIELD_wait_ms];
        record->wait_known = true;
    } else if (record->wait_known && record->offered_ms != NEVER && until_ms != NEVER) {
        record->wait_ms = record_duration(record, until_ms - record->offered_ms);
    } else {
        record->wait_known = false;
    }
}

void record_make_out(struct record *record)
{
    resolve_dimensions(record);
    resolve_customer(record);
    record->offered_ms = record_gives(record, FIELD_offered_at) ? record->completed->field[FIELD_offered_at]
                                                         : first_of(record, EVENT_OFFERED);
    for (uint32_t i = 0; i < record->count; i++)
        if (record->fact[i].type == EVENT_ENDED || record->fact[i].type == EVENT_ABANDONED)
            record->ended_ms = record->fact[i].time_ms;
    if (record_gives(record, FIELD_ended_at))
        record->ended_ms = record->completed->field[FIELD_ended_at];
    else if (record->completed && record->ended_ms == NEVER)
        record->ended_ms = record->completed->time_ms;

    bool gives_abandoned = record_gives(record, FIELD_abandoned) && record->completed->field[FIELD_abandoned];
    if ((record_gives(record, FIELD_answered_at) || record_gives(record, FIELD_talk_ms)) && !gives_abandoned) {
        completed_segment(record);
        record->answered = true;
    } else if (!gives_abandoned) {
        lifecycle_segments(record);
        record->answered = record->segments > 0;
        if (record->answered)
            record->answered_ms = record->segment[0].start_ms;
    }
    abandonment(record);
    wait(record);
    resolve_entry(record);
    for (uint32_t i = 0; i < record->segments; i++)
        if (record->segment[i].end_ms != NEVER)
            record->conversation_ms += record->segment[i].talk_ms + record->segment[i].hold_ms + record->segment[i].wrap_ms;
    record->used = record_count(record, EVENT_PROGRAM_USED) > 0;
    record->missed = !record->used && record_count(record, EVENT_OPPORTUNITY_SEEN) > 0;
    record->converted = record_count(record, EVENT_CONVERSION_MADE) > 0;
}
