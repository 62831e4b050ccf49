/* Visits and shifts against a model that knows nothing of neighbours: whatever comes and goes in whatever order, what was emitted adds up
 * to what the entries that are left mean. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "esteem/shift.h"
#include "esteem/visit.h"
#include "support/figures.h"
#include "support/times.h"

#define HOUR INT64_C(3600000)
enum { ENTRIES = 60, AGENT = 7, TENANT = 1 };

/* ---- spans: the formula, and the pieces ---- */

static int64_t on_before, on_in, at_in, quarters, from_ms, to_ms;

static void count_span(void *context, int64_t anchor_ms, struct tally_run *run)
{
    const int64_t *edges = context; /* of the window */
    int64_t on = figure_in(run->bytes, run->length, MEASURE_ready_on), at = figure_in(run->bytes, run->length, MEASURE_ready_at);
    if (anchor_ms < edges[0])
        on_before += on;
    else if (anchor_ms < edges[1]) {
        on_in += on;
        at_in += at;
    }
    int64_t ms = figure_in(run->bytes, run->length, MEASURE_ready_ms);
    cr_assert(ms == 0 || anchor_ms / 900000 == (anchor_ms + llabs(ms) - 1) / 900000, "a piece lies in one quarter of an hour");
    quarters += ms;
}

static int64_t in_window(int64_t left_ms, int64_t right_ms)
{
    int64_t edges[2] = {left_ms, right_ms};
    on_before = on_in = at_in = quarters = 0;
    span_put(1u << SPAN_READY, from_ms, to_ms, 1, count_span, edges);
    return span_ms(on_before, on_in, at_in, left_ms, right_ms);
}

Test(span, counts_in_a_window_by_what_of_it_lies_there)
{
    from_ms = 12, to_ms = 17;
    cr_expect_eq(in_window(10, 20), 5);
    from_ms = 5;
    cr_expect_eq(in_window(10, 20), 7);
    cr_expect_eq(in_window(17, 20), 0);
    cr_expect_eq(in_window(0, 5), 0);
    cr_expect_eq(in_window(6, 7), 1);
    from_ms = T + 100, to_ms = T + 3 * HOUR + 7;
    cr_expect_eq(in_window(T, T + HOUR), HOUR - 100);
    cr_expect_eq(quarters, 3 * HOUR - 93, "the pieces make the whole");
    to_ms = SPAN_OPEN;
    cr_expect_eq(in_window(T, T + HOUR), HOUR - 100, "an open one counts to the window's end");
    cr_expect_eq(quarters, 0, "but in no calendar window");
}

/* ---- what was emitted, by scope list and figure, as a window of the rolling kind sees it, and as calendar windows do ---- */

static int64_t window_left, window_right;
static int64_t before[SPAN_COUNT], on[SPAN_COUNT], at[SPAN_COUNT], calendar[SPAN_COUNT + 1], fcr[2];
static int64_t lowest_engaged; /* what whoever was told in between saw at least */
static uint32_t only_mask; /* scope at which the test looks */

/* A list of scopes is a bit for each of these; 0 means all. */
enum { TENANTS_OWN, BY_QUEUE, BY_CHANNEL, SCOPES, ALL_SCOPES = 7 };
static const uint32_t scope_masks[SCOPES] = {0, 1u << DIMENSION_queue, 1u << DIMENSION_channel};
static bool lists_left; /* for several scopes at once */

static int scopes_of(void *context, uint8_t scopes, uint32_t *masks)
{
    int count = 0;
    (void)context;
    for (int s = 0; s < SCOPES; s++)
        if ((scopes ? scopes : ALL_SCOPES) >> s & 1)
            masks[count++] = scope_masks[s];
    return count;
}

static int scopes_with(void *context, const uint32_t *masks, int count)
{
    int list = 0;
    (void)context;
    for (int i = 0; i < count; i++)
        for (int s = 0; s < SCOPES; s++)
            list |= (masks[i] == scope_masks[s]) << s;
    return count > 1 && !lists_left ? -1 : list;
}

/* What lands in the key that the test looks at: the whole tenant, or queue 1. */
static void take_run(void *context, uint32_t tenant, uint8_t scopes, const struct dims *dims, int64_t anchor_ms, const struct tally_run *run)
{
    uint32_t masks[SCOPES];
    bool listed = false;
    int count = scopes_of(NULL, scopes, masks);
    (void)context, (void)tenant;
    for (int s = 0; s < count; s++)
        listed |= masks[s] == only_mask;
    if (!listed || (only_mask && dims->id[DIMENSION_queue] != 1))
        return;
    for (int span = 0; span < SPAN_COUNT; span++) {
        int64_t n = figure_in(run->bytes, run->length, span_on((enum span)span)), s = figure_in(run->bytes, run->length, span_on((enum span)span) + 1);
        before[span] += anchor_ms < window_left ? n : 0;
        on[span] += anchor_ms >= window_left && anchor_ms < window_right ? n : 0;
        at[span] += anchor_ms >= window_left && anchor_ms < window_right ? s : 0;
        calendar[span] += figure_in(run->bytes, run->length, MEASURE_ready_ms + (uint32_t)span);
    }
    lowest_engaged = calendar[SPAN_OVERLAP] < lowest_engaged ? calendar[SPAN_OVERLAP] : lowest_engaged;
}

static int64_t seen(enum span span)
{
    return span_ms(before[span], on[span], at[span], window_left, window_right);
}

static void look(uint32_t mask, int64_t left_ms, int64_t right_ms)
{
    memset(before, 0, sizeof before);
    memset(on, 0, sizeof on);
    memset(at, 0, sizeof at);
    memset(calendar, 0, sizeof calendar);
    lowest_engaged = 0;
    only_mask = mask;
    window_left = left_ms;
    window_right = right_ms;
}

/* ---- entries that come and go ---- */

struct one {
    struct book_entry entry;
    struct dims dims;
    bool here;
};

static struct one ones[ENTRIES];

static struct book *book_of(int64_t page_ms)
{
    return book_new(&(struct book_setup){.page_ms = page_ms, .most = 1000});
}

static int64_t overlap(int64_t from, int64_t to)
{
    from = from > window_left ? from : window_left;
    to = to < window_right ? to : window_right;
    return to > from ? to - from : 0;
}

static int64_t present[MEASURE_COUNT]; /* what agents are now */

static void take_now(void *context, uint32_t tenant, uint8_t scopes, const struct dims *dims, const struct tally_run *run)
{
    (void)context, (void)tenant, (void)scopes, (void)dims;
    for (uint32_t id = MEASURE_agents_ready; id <= MEASURE_agents_away; id++)
        present[id] += figure_in(run->bytes, run->length, id);
}

static void expect_states(void)
{
    int64_t want[SPAN_COUNT] = {0};
    const struct one *latest = NULL;
    for (int i = 0; i < ENTRIES; i++) {
        const struct one *one = &ones[i], *next = NULL;
        for (int j = 0; j < ENTRIES && one->here; j++) {
            bool later = ones[j].entry.at_ms != one->entry.at_ms ? ones[j].entry.at_ms > one->entry.at_ms : ones[j].entry.id > one->entry.id;
            if (!ones[j].here || !later)
                continue;
            bool nearer = next == NULL || (ones[j].entry.at_ms != next->entry.at_ms ? ones[j].entry.at_ms < next->entry.at_ms : ones[j].entry.id < next->entry.id);
            next = nearer ? &ones[j] : next;
        }
        if (one->here && one->entry.flags <= STATE_AWAY)
            want[one->entry.flags] += overlap(one->entry.at_ms, next ? next->entry.at_ms : INT64_MAX);
        latest = one->here && next == NULL ? one : latest;
    }
    int state = latest ? latest->entry.flags : STATE_OFFLINE;
    cr_assert_eq(present[MEASURE_agents_ready], state == STATE_READY);
    cr_assert_eq(present[MEASURE_agents_busy], state == STATE_BUSY);
    cr_assert_eq(present[MEASURE_agents_away], state == STATE_AWAY);
    for (int span = 0; span <= SPAN_AWAY; span++)
        cr_assert_eq(seen((enum span)span), want[span]);
}

Test(shift, states_last_until_the_next_whatever_came_first)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct chance chance = {seed};
        struct shifts shifts = {book_of(HOUR), book_of(HOUR), take_run, take_now, scopes_of, scopes_with, NULL};
        for (int i = 0; i < ENTRIES; i++)
            ones[i] = (struct one){.entry = {.at_ms = T + chance_below(&chance, 40) * 600000, .until_ms = DERIVE_NEVER, .id = (uint64_t)i * 77 % 61,
                                             .flags = (uint8_t)chance_below(&chance, 5)}};
        look(0, T + 2 * HOUR, T + 5 * HOUR);
        memset(present, 0, sizeof present);
        for (int step = 0; step < 400; step++) {
            struct one *one = &ones[chance_below(&chance, ENTRIES)];
            shift_state(&shifts, one->here ? -1 : 1, TENANT, AGENT, &one->entry, &one->dims);
            one->here = !one->here;
            expect_states();
        }
        book_free(shifts.states);
        book_free(shifts.segments);
    }
}

Test(shift, what_agents_are_can_be_told_once_more)
{
    static const uint8_t states[] = {STATE_READY, STATE_AWAY, STATE_WRAP, STATE_READY};
    struct shifts shifts = {book_of(HOUR), book_of(HOUR), take_run, take_now, scopes_of, scopes_with, NULL};
    for (uint32_t agent = 1; agent <= 4; agent++)
        for (int64_t i = 0; i < 3; i++)
            shift_state(&shifts, 1, TENANT, agent, &(struct book_entry){.at_ms = T + i * HOUR, .until_ms = DERIVE_NEVER, .flags = i == 2 ? states[agent - 1] : STATE_BUSY},
                        &(struct dims){{0}});
    book_forget(shifts.states, book_person(shifts.states, TENANT, 4));
    memset(present, 0, sizeof present);
    shift_tell_now(&shifts);
    cr_expect_eq(present[MEASURE_agents_ready], 1, "of two, one is forgotten");
    cr_expect_eq(present[MEASURE_agents_away], 1);
    cr_expect_eq(present[MEASURE_agents_busy], 0);
    book_free(shifts.states);
    book_free(shifts.segments);
}

/* Covered by at least one segment of the key, less nothing: by counting each 10 s. */
static void expect_engaged(void)
{
    int64_t covered = 0, sum = 0, all = 0, all_covered = 0;
    for (int64_t ms = T; ms < T + 30 * HOUR; ms += 10000) {
        int n = 0;
        for (int i = 0; i < ENTRIES; i++)
            n += ones[i].here && (only_mask == 0 || ones[i].dims.id[DIMENSION_queue] == 1) && ones[i].entry.at_ms <= ms && ms < ones[i].entry.until_ms;
        bool inside = ms >= window_left && ms < window_right;
        covered += n && inside ? 10000 : 0;
        sum += inside ? n * 10000 : 0;
        all += n * 10000;
        all_covered += n ? 10000 : 0;
    }
    cr_assert_eq(seen(SPAN_SEGMENT), sum);
    cr_assert_eq(seen(SPAN_OVERLAP), sum - covered);
    cr_assert_eq(calendar[SPAN_OVERLAP], all_covered, "calendar windows have the overlap off engaged_ms");
    cr_assert_eq(lowest_engaged, 0, "no moment between two runs shows time below zero");
}

Test(shift, an_agents_simultaneous_segments_are_engaged_time_once)
{
    for (uint64_t seed = 1; seed <= 12; seed++) {
        struct chance chance = {seed};
        struct shifts shifts = {book_of(HOUR), book_of(HOUR), take_run, take_now, scopes_of, scopes_with, NULL};
        for (int i = 0; i < ENTRIES; i++) {
            int64_t from = T + chance_below(&chance, 1500) * 60000;
            ones[i] = (struct one){.entry = {.at_ms = from, .until_ms = from + 10000 + chance_below(&chance, seed % 3 ? 60 : 700) * 10000},
                                   .dims = {.id = {[DIMENSION_queue] = (uint32_t)chance_below(&chance, 3),
                                                   [DIMENSION_channel] = (uint32_t)chance_below(&chance, 2)}}};
        }
        lists_left = seed % 3 != 1;
        look(seed % 2 ? 1u << DIMENSION_queue : 0, T + 4 * HOUR, T + 9 * HOUR);
        for (int step = 0; step < 150; step++) {
            struct one *one = &ones[chance_below(&chance, ENTRIES)];
            shift_segment(&shifts, one->here ? -1 : 1, TENANT, AGENT, &one->entry, &one->dims);
            one->here = !one->here;
            if (step % 10 == 0)
                expect_engaged();
        }
        book_free(shifts.states);
        book_free(shifts.segments);
    }
}

/* ---- visits ---- */

static void take_fcr(void *context, uint32_t tenant, uint8_t scopes, const struct dims *dims, int64_t anchor_ms, int change)
{
    (void)context, (void)tenant, (void)scopes, (void)anchor_ms;
    fcr[dims->id[DIMENSION_queue]] += change;
}

static void expect_visits(int64_t window_ms)
{
    int64_t want[2] = {0};
    for (int i = 0; i < ENTRIES; i++) {
        const struct one *next = NULL;
        for (int j = 0; j < ENTRIES && ones[i].here; j++) {
            bool later = ones[j].entry.at_ms != ones[i].entry.at_ms ? ones[j].entry.at_ms > ones[i].entry.at_ms : ones[j].entry.id > ones[i].entry.id;
            if (ones[j].here && later && ones[j].entry.flags & VISIT_RETURNS && (next == NULL || ones[j].entry.at_ms < next->entry.at_ms))
                next = &ones[j];
        }
        if (next && ones[i].entry.until_ms != DERIVE_NEVER && next->entry.at_ms <= ones[i].entry.until_ms + window_ms)
            want[ones[i].dims.id[DIMENSION_queue]]--;
    }
    cr_assert_arr_eq(fcr, want, sizeof want);
}

Test(visit, a_contact_is_taken_back_while_the_customer_came_back_in_time)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct chance chance = {seed};
        struct visits visits = {book_of(0), 50 * HOUR, take_fcr, NULL};
        memset(fcr, 0, sizeof fcr);
        for (int i = 0; i < ENTRIES; i++) {
            int64_t begin = T + chance_below(&chance, 300) * HOUR;
            ones[i] = (struct one){.entry = {.at_ms = begin, .until_ms = chance_below(&chance, 4) ? begin + chance_below(&chance, 20) * HOUR : DERIVE_NEVER,
                                             .id = (uint64_t)i * 77 % 61, .flags = chance_below(&chance, 3) ? VISIT_RETURNS : 0},
                                   .dims = {.id = {[DIMENSION_queue] = (uint32_t)chance_below(&chance, 2)}}};
        }
        for (int step = 0; step < 400; step++) {
            struct one *one = &ones[chance_below(&chance, ENTRIES)];
            visit_take(&visits, one->here ? -1 : 1, TENANT, 99, &one->entry, &one->dims);
            one->here = !one->here;
            expect_visits(visits.window_ms);
        }
        book_free(visits.book);
    }
}

Test(visit, the_edge_of_the_window_belongs_to_it)
{
    struct visits visits = {book_of(0), 7 * 24 * HOUR, take_fcr, NULL};
    struct dims dims = {{0}};
    struct book_entry first = {.at_ms = T, .until_ms = T + HOUR, .flags = VISIT_RETURNS}, second = {.at_ms = T + HOUR + 7 * 24 * HOUR, .until_ms = DERIVE_NEVER, .flags = VISIT_RETURNS};
    memset(fcr, 0, sizeof fcr);
    visit_take(&visits, 1, TENANT, 99, &first, &dims);
    visit_take(&visits, 1, TENANT, 99, &second, &dims);
    cr_expect_eq(fcr[0], -1);
    visit_take(&visits, -1, TENANT, 99, &second, &dims);
    cr_expect_eq(fcr[0], 0, "the second never was");
    second.at_ms++;
    visit_take(&visits, 1, TENANT, 99, &second, &dims);
    cr_expect_eq(fcr[0], 0, "a millisecond later it is another matter");
    book_free(visits.book);
}

/* ---- the book ---- */

Test(book, what_is_over_goes_and_the_latest_may_stay)
{
    struct book *book = book_of(HOUR);
    struct book_place place;
    struct dims dims = {{0}};
    for (int i = 0; i < 10; i++)
        cr_assert(book_put(book, TENANT, AGENT, &(struct book_entry){.at_ms = T + i * HOUR, .until_ms = DERIVE_NEVER}, &dims, &place));
    cr_expect_eq(book_expire(book, T + 5 * HOUR, true, 10), 4, "5 are over, the latest of them stays");
    cr_expect_eq(book_expire(book, T + 5 * HOUR, false, 10), 1);
    cr_expect_eq(book_counts(book).entries, 5);
    cr_expect_eq(book_expire(book, T + 50 * HOUR, false, 10), 5);
    cr_expect_eq(book_counts(book).people, 0);
    book_free(book);
}

Test(book, a_full_one_refuses_and_counts)
{
    struct book *book = book_new(&(struct book_setup){.most = 2});
    struct book_place place;
    struct dims dims = {{0}};
    for (uint64_t i = 0; i < 3; i++)
        cr_expect_eq(book_put(book, TENANT, i, &(struct book_entry){.at_ms = T}, &dims, &place), i < 2);
    cr_expect_eq(book_counts(book).refused, 1);
    cr_expect_eq(book_counts(book).entries, 2);
    book_free(book);
}

Test(book, bytes_bound_it_while_memory_is_short_and_what_goes_makes_room)
{
    struct book *book = book_of(HOUR);
    struct book_place place;
    struct dims dims = {{0}};
    struct book_entry entry = {.at_ms = T, .until_ms = DERIVE_NEVER};
    cr_assert(book_put(book, TENANT, AGENT, &entry, &dims, &place));
    uint64_t of_one = book_counts(book).bytes;
    cr_assert(book_put(book, TENANT, AGENT + 1, &entry, &dims, &place));
    cr_assert_gt(book_counts(book).bytes, of_one);
    book_bound_bytes(book, book_counts(book).bytes);
    cr_expect_not(book_put(book, TENANT, AGENT + 2, &entry, &dims, &place));
    cr_expect_eq(book_counts(book).refused, 1);
    cr_expect_eq(book_forget(book, book_person(book, TENANT, AGENT + 1)), 1);
    cr_expect_eq(book_counts(book).bytes, of_one, "what goes is counted no longer");
    cr_expect(book_put(book, TENANT, AGENT + 2, &entry, &dims, &place));
    book_bound_bytes(book, 0);
    cr_expect(book_put(book, TENANT, AGENT + 3, &entry, &dims, &place));
    book_free(book);
}
