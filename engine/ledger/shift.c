#include "esteem/shift.h"

#include <stdlib.h>
#include <string.h>

#include "esteem/err.h"

struct emission {
    struct shifts *shifts;
    uint32_t tenant;
    uint8_t scopes;
    const struct dims *dims;
};

static void each_run(void *context, int64_t anchor_ms, struct tally_run *run)
{
    const struct emission *to = context;
    to->shifts->emit(to->shifts->context, to->tenant, to->scopes, to->dims, anchor_ms, run);
}

/* ---- states ---- */

static bool state_span(uint8_t state, enum span *span)
{
    static const enum span spans[] = {[STATE_READY] = SPAN_READY, [STATE_BUSY] = SPAN_BUSY, [STATE_WRAP] = SPAN_WRAP, [STATE_AWAY] = SPAN_AWAY};
    if (state > STATE_AWAY)
        return false; /* offline is no measure */
    *span = spans[state];
    return true;
}

static void emit_state(struct shifts *shifts, uint32_t tenant, const struct book_entry *entry, int64_t from_ms, int64_t to_ms, int sign)
{
    enum span span;
    struct emission to = {shifts, tenant, entry->scopes, book_dims(shifts->states, entry->dims)};
    if (state_span(entry->flags, &span))
        span_put(span, from_ms, to_ms, sign, each_run, &to);
}

/* The state before is over at from_ms, and no longer at to_ms (or never); or, with sign -1, the other way round. */
static void emit_before(struct shifts *shifts, uint32_t tenant, const struct book_entry *before, int64_t from_ms, int64_t to_ms, int sign)
{
    enum span span;
    struct emission to = {shifts, tenant, before->scopes, book_dims(shifts->states, before->dims)};
    if (!state_span(before->flags, &span))
        return;
    if (to_ms == SPAN_OPEN)
        span_close(span, before->at_ms, from_ms, sign, each_run, &to);
    else
        span_put(span, from_ms, to_ms, -sign, each_run, &to);
}

/* The state becomes its agent's latest (sign 1), or is no longer that. An agent in wrap or offline is no gauge: in_wrap counts contacts. */
static void emit_now(struct shifts *shifts, uint32_t tenant, const struct book_entry *entry, int sign)
{
    static const enum measure gauges[] = {
        [STATE_READY] = MEASURE_agents_ready, [STATE_BUSY] = MEASURE_agents_busy, [STATE_AWAY] = MEASURE_agents_away};
    if (entry->flags > STATE_AWAY || entry->flags == STATE_WRAP)
        return;
    struct tally_run run;
    tally_run_begin(&run);
    tally_run_put(&run, gauges[entry->flags], sign);
    tally_run_end(&run);
    shifts->emit_now(shifts->context, tenant, entry->scopes, book_dims(shifts->states, entry->dims), &run);
}

void shift_tell_now(struct shifts *shifts)
{
    struct book_place place;
    for (uint32_t person = 0; person < book_people(shifts->states); person++)
        if (book_latest(shifts->states, person, &place))
            emit_now(shifts, book_tenant(shifts->states, person), book_at(shifts->states, place), 1);
}

/* What the state at `place` means beside its neighbours: added with sign 1, taken away with -1. */
static void emit_place(struct shifts *shifts, struct book_place place, int sign)
{
    struct book_place before = place, after = place;
    uint32_t tenant = book_tenant(shifts->states, place.person);
    const struct book_entry *entry = book_at(shifts->states, place);
    int64_t to_ms = book_next(shifts->states, &after) ? book_at(shifts->states, after)->at_ms : SPAN_OPEN;
    bool follows = book_previous(shifts->states, &before);
    if (follows)
        emit_before(shifts, tenant, book_at(shifts->states, before), entry->at_ms, to_ms, sign);
    emit_state(shifts, tenant, entry, entry->at_ms, to_ms, sign);
    if (to_ms != SPAN_OPEN)
        return;
    if (follows)
        emit_now(shifts, tenant, book_at(shifts->states, before), -sign);
    emit_now(shifts, tenant, entry, sign);
}

void shift_state(struct shifts *shifts, int sign, uint32_t tenant, uint32_t agent, const struct book_entry *entry, const struct dims *dims)
{
    struct book_place place;
    if (sign > 0) {
        if (book_put(shifts->states, tenant, agent, entry, dims, &place))
            emit_place(shifts, place, 1);
        return;
    }
    uint32_t person = book_person(shifts->states, tenant, agent);
    if (person == BOOK_NOBODY || !book_find(shifts->states, person, entry, dims, &place))
        return;
    emit_place(shifts, place, -1);
    book_remove(shifts->states, place);
}

/* ---- segments ---- */

struct stretch {
    int64_t from_ms, to_ms;
};

/* The segments of an agent that overlap one at hand. */
struct others {
    const struct book_entry **entry;
    struct stretch *cover; /* scratch: what of the segment others cover, in order, apart */
    struct stretch *first; /* of the first scope, to compare with */
    uint32_t count, room;
};

static _Thread_local struct others others;

static void others_reserve(void)
{
    if (others.count < others.room)
        return;
    others.room = others.room ? others.room * 2 : 64;
    others.entry = realloc(others.entry, others.room * sizeof *others.entry);
    others.cover = realloc(others.cover, others.room * sizeof *others.cover);
    others.first = realloc(others.first, others.room * sizeof *others.first);
    ensure(others.entry && others.cover && others.first, "the machine has memory left");
}

/* All but the one at `self`. */
static void find_others(struct shifts *shifts, struct book_place self)
{
    const struct book *book = shifts->segments;
    const struct book_entry *entry = book_at(book, self);
    struct book_place place;
    others.count = 0;
    bool more = book_seek(book, self.person, entry->at_ms - book_longest_ms(book, self.person), &place);
    for (; more && book_at(book, place)->at_ms < entry->until_ms; more = book_next(book, &place)) {
        if (book_at(book, place)->until_ms <= entry->at_ms || memcmp(&place, &self, sizeof place) == 0)
            continue;
        others_reserve();
        others.entry[others.count++] = book_at(book, place);
    }
}

static bool same_key(uint32_t mask, const struct dims *a, const struct dims *b)
{
    for (uint32_t left = mask; left; left &= left - 1)
        if (a->id[__builtin_ctz(left)] != b->id[__builtin_ctz(left)])
            return false;
    return true;
}

static bool lists(struct shifts *shifts, uint8_t scopes, uint32_t mask)
{
    uint32_t masks[CONFIG_SCOPE_MAX];
    int count = shifts->scopes_of(shifts->context, scopes, masks);
    for (int s = 0; s < count; s++)
        if (masks[s] == mask)
            return true;
    return false;
}

/* What others of the same key in this scope cover of the segment, into others.cover; they come by their begin. */
static uint32_t cover(struct shifts *shifts, const struct book_entry *entry, uint32_t mask)
{
    const struct dims *dims = book_dims(shifts->segments, entry->dims);
    uint32_t count = 0;
    for (uint32_t i = 0; i < others.count; i++) {
        const struct book_entry *other = others.entry[i];
        if (!same_key(mask, dims, book_dims(shifts->segments, other->dims)) || (other->scopes != entry->scopes && !lists(shifts, other->scopes, mask)))
            continue;
        int64_t from_ms = other->at_ms > entry->at_ms ? other->at_ms : entry->at_ms;
        int64_t to_ms = other->until_ms < entry->until_ms ? other->until_ms : entry->until_ms;
        struct stretch *last = count ? &others.cover[count - 1] : NULL;
        if (last && from_ms <= last->to_ms)
            last->to_ms = to_ms > last->to_ms ? to_ms : last->to_ms;
        else
            others.cover[count++] = (struct stretch){from_ms, to_ms};
    }
    return count;
}

static void emit_cover(struct shifts *shifts, uint32_t tenant, uint8_t scopes, const struct dims *dims, const struct stretch *stretch, uint32_t count, int sign)
{
    struct emission to = {shifts, tenant, scopes, dims};
    for (uint32_t i = 0; i < count; i++)
        span_put(SPAN_OVERLAP, stretch[i].from_ms, stretch[i].to_ms, sign, each_run, &to);
}

static bool has(const struct dims *dims, uint32_t mask)
{
    for (uint32_t left = mask; left; left &= left - 1)
        if (dims->id[__builtin_ctz(left)] == 0)
            return false;
    return true;
}

/* Mostly every scope has the same overlap, and one emission tells it to all; else each scope gets its own. */
static void emit_overlap(struct shifts *shifts, struct book_place place, int sign)
{
    const struct book_entry *entry = book_at(shifts->segments, place);
    const struct dims *dims = book_dims(shifts->segments, entry->dims);
    uint32_t tenant = book_tenant(shifts->segments, place.person), masks[CONFIG_SCOPE_MAX], first_count = 0;
    find_others(shifts, place);
    if (others.count == 0)
        return;
    int scopes = shifts->scopes_of(shifts->context, entry->scopes, masks);
    bool same = true, any = false;
    for (int s = 0; s < scopes; s++) {
        if (!has(dims, masks[s]))
            continue;
        uint32_t count = cover(shifts, entry, masks[s]);
        if (!any) {
            memcpy(others.first, others.cover, count * sizeof *others.cover);
            first_count = count;
        }
        any = true;
        same &= count == first_count && memcmp(others.first, others.cover, count * sizeof *others.cover) == 0;
    }
    if (same) {
        emit_cover(shifts, tenant, entry->scopes, dims, others.first, first_count, sign);
        return;
    }
    for (int s = 0; s < scopes; s++) {
        uint32_t count = has(dims, masks[s]) ? cover(shifts, entry, masks[s]) : 0;
        emit_cover(shifts, tenant, shifts->scopes_with(shifts->context, masks[s]), dims, others.cover, count, sign);
    }
}

void shift_segment(struct shifts *shifts, int sign, uint32_t tenant, uint32_t agent, const struct book_entry *entry, const struct dims *dims)
{
    struct book_place place;
    if (sign > 0) {
        if (book_put(shifts->segments, tenant, agent, entry, dims, &place))
            emit_overlap(shifts, place, 1);
        return;
    }
    uint32_t person = book_person(shifts->segments, tenant, agent);
    if (person == BOOK_NOBODY || !book_find(shifts->segments, person, entry, dims, &place))
        return;
    emit_overlap(shifts, place, -1);
    book_remove(shifts->segments, place);
}
