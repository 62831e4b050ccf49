#include "esteem/shift.h"

#include <stdlib.h>
#include <string.h>

#include "esteem/err.h"

enum { NEAR = 16 /* segments */ };

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
        span_put(1u << span, from_ms, to_ms, sign, each_run, &to);
}

/* The state before is over at from_ms, and no longer at to_ms (or never); or, with sign -1, the other way round. */
static void emit_before(struct shifts *shifts, uint32_t tenant, const struct book_entry *before, int64_t from_ms, int64_t to_ms, int sign)
{
    enum span span;
    struct emission to = {shifts, tenant, before->scopes, book_dims(shifts->states, before->dims)};
    if (!state_span(before->flags, &span))
        return;
    if (to_ms == SPAN_OPEN)
        span_close(1u << span, before->at_ms, from_ms, sign, each_run, &to);
    else
        span_put(1u << span, from_ms, to_ms, -sign, each_run, &to);
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

/* What others of the same key cover of a segment, in one scope: in order, apart. */
struct cover {
    struct stretch *stretch;
    uint32_t count, room;
};

static _Thread_local struct cover covers[CONFIG_SCOPE_MAX];

static void cover_add(struct cover *cover, int64_t from_ms, int64_t to_ms)
{
    struct stretch *last = cover->count ? &cover->stretch[cover->count - 1] : NULL;
    if (last && from_ms <= last->to_ms) {
        last->to_ms = to_ms > last->to_ms ? to_ms : last->to_ms;
        return;
    }
    if (cover->count == cover->room) {
        cover->room = cover->room ? cover->room * 2 : 16;
        cover->stretch = realloc(cover->stretch, cover->room * sizeof *cover->stretch);
        ensure(cover->stretch != NULL, "the machine has memory left");
    }
    cover->stretch[cover->count++] = (struct stretch){from_ms, to_ms};
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

/* Whether another segment counts in the key that this one has in the scope. */
static bool shares_key(struct shifts *shifts, const struct book_entry *entry, const struct book_entry *other, uint32_t mask)
{
    if (other->dims != entry->dims && !same_key(mask, book_dims(shifts->segments, entry->dims), book_dims(shifts->segments, other->dims)))
        return false;
    return other->scopes == entry->scopes || lists(shifts, other->scopes, mask);
}

/* The scopes of `open` that one other segment covers whole. Whoever has many at a time mostly has one near by that began earlier and goes on for longer. */
static uint32_t find_whole(struct shifts *shifts, struct book_place self, const uint32_t *masks, uint32_t open)
{
    const struct book_entry *entry = book_at(shifts->segments, self);
    int64_t longest_ms = book_longest_ms(shifts->segments, self.person);
    struct book_place place = self;
    uint32_t whole = 0;
    for (int near = 0; near < NEAR && whole != open && book_previous(shifts->segments, &place); near++) {
        const struct book_entry *other = book_at(shifts->segments, place);
        if (other->at_ms < entry->until_ms - longest_ms)
            break;
        for (uint32_t left = other->until_ms >= entry->until_ms ? open & ~whole : 0; left; left &= left - 1) {
            uint32_t s = (uint32_t)__builtin_ctz(left);
            whole |= (uint32_t)shares_key(shifts, entry, other, masks[s]) << s;
        }
    }
    return whole;
}

/* Scope by scope, what an agent's other segments cover of the one at `self`. They come by their begin, so where its end is covered no more is. */
static void find_covers(struct shifts *shifts, struct book_place self, const uint32_t *masks, int scopes)
{
    const struct book *book = shifts->segments;
    const struct book_entry *entry = book_at(book, self);
    uint32_t open = scopes && entry->until_ms > entry->at_ms ? UINT32_MAX >> (CONFIG_SCOPE_MAX - scopes) : 0;
    uint32_t whole = find_whole(shifts, self, masks, open);
    struct book_place place;
    for (int s = 0; s < scopes; s++) {
        covers[s].count = 0;
        if (whole >> s & 1)
            cover_add(&covers[s], entry->at_ms, entry->until_ms);
    }
    open &= ~whole;
    bool more = open && book_seek(book, self.person, entry->at_ms - book_longest_ms(book, self.person), &place);
    for (; more && open && book_at(book, place)->at_ms < entry->until_ms; more = book_next(book, &place)) {
        const struct book_entry *other = book_at(book, place);
        if (other->until_ms <= entry->at_ms || (place.entry == self.entry && place.page == self.page))
            continue;
        int64_t from_ms = other->at_ms > entry->at_ms ? other->at_ms : entry->at_ms;
        int64_t to_ms = other->until_ms < entry->until_ms ? other->until_ms : entry->until_ms;
        for (uint32_t left = open; left; left &= left - 1) {
            uint32_t s = (uint32_t)__builtin_ctz(left);
            if (!shares_key(shifts, entry, other, masks[s]))
                continue;
            cover_add(&covers[s], from_ms, to_ms);
            open &= ~((uint32_t)(to_ms == entry->until_ms) << s);
        }
    }
}

static bool has(const struct dims *dims, uint32_t mask)
{
    for (uint32_t left = mask; left; left &= left - 1)
        if (dims->id[__builtin_ctz(left)] == 0)
            return false;
    return true;
}

static bool same_cover(const struct cover *a, const struct cover *b)
{
    return a->count == b->count && memcmp(a->stretch, b->stretch, a->count * sizeof *a->stretch) == 0;
}

static void emit_cover(const struct cover *cover, struct emission to, int list, int sign)
{
    to.scopes = (uint8_t)list;
    for (uint32_t i = 0; i < cover->count; i++)
        span_put(1u << SPAN_OVERLAP, cover->stretch[i].from_ms, cover->stretch[i].to_ms, sign, each_run, &to);
}

/* Scopes that have the same overlap, mostly all or nearly all of them, are told it together. */
static void emit_covers(const struct emission *to, const uint32_t *masks, int scopes, int sign)
{
    struct shifts *shifts = to->shifts;
    for (int s = 0; s < scopes; s++) {
        uint32_t alike[CONFIG_SCOPE_MAX];
        int n = 0;
        for (int t = s; t < scopes && covers[s].count; t++)
            if (same_cover(&covers[t], &covers[s])) {
                alike[n++] = masks[t];
                covers[t].count = t > s ? 0 : covers[t].count; /* told */
            }
        int list = n == 0 || n == scopes ? to->scopes : shifts->scopes_with(shifts->context, alike, n);
        for (int a = 0; a < n && list < 0; a++)
            emit_cover(&covers[s], *to, shifts->scopes_with(shifts->context, &alike[a], 1), sign);
        if (n && list >= 0)
            emit_cover(&covers[s], *to, list, sign);
    }
}

/* In all scopes the whole of it. */
static bool covered(const struct book_entry *entry, int scopes)
{
    for (int s = 0; s < scopes; s++)
        if (covers[s].count == 0 || covers[s].stretch[0].from_ms > entry->at_ms || covers[s].stretch[0].to_ms < entry->until_ms)
            return false;
    return scopes > 0;
}

/* First what makes engaged_ms more: whoever is told in between sees none that is below zero. */
static void emit_segment(struct emission *to, struct book_place place, int sign)
{
    struct shifts *shifts = to->shifts;
    const struct book_entry *entry = book_at(shifts->segments, place);
    uint32_t masks[CONFIG_SCOPE_MAX];
    int all = shifts->scopes_of(shifts->context, to->scopes, masks), scopes = 0;
    for (int s = 0; s < all; s++)
        if (has(to->dims, masks[s]))
            masks[scopes++] = masks[s];
    find_covers(shifts, place, masks, scopes);
    bool whole = covered(entry, scopes);
    if (sign < 0 && !whole)
        emit_covers(to, masks, scopes, sign);
    span_put(whole ? 1u << SPAN_SEGMENT | 1u << SPAN_OVERLAP : 1u << SPAN_SEGMENT, entry->at_ms, entry->until_ms, sign, each_run, to);
    if (sign > 0 && !whole)
        emit_covers(to, masks, scopes, sign);
}

/* One that the book does not take (limits.shifts) counts whole, and is not there to be taken out. */
void shift_segment(struct shifts *shifts, int sign, uint32_t tenant, uint32_t agent, const struct book_entry *entry, const struct dims *dims)
{
    struct emission to = {shifts, tenant, entry->scopes, dims};
    struct book_place place;
    uint32_t person = sign > 0 ? BOOK_NOBODY : book_person(shifts->segments, tenant, agent);
    bool there = person != BOOK_NOBODY && book_find(shifts->segments, person, entry, dims, &place);
    if (there || (sign > 0 && book_put(shifts->segments, tenant, agent, entry, dims, &place)))
        emit_segment(&to, place, sign);
    else
        span_put(1u << SPAN_SEGMENT, entry->at_ms, entry->until_ms, sign, each_run, &to);
    if (there)
        book_remove(shifts->segments, place);
}
