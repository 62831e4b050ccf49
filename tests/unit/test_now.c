/* What is now: each gauge inside, on and beyond its edges; in a fold, second by second; and through the whole pipeline, after any part of a feed in
 * any order and split over shards, what a plain recount of the facts says. */
#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "esteem/now.h"
#include "esteem/pipeline.h"
#include "esteem/window.h"
#include "support/facts.h"
#include "support/feeding.h"
#include "support/figures.h"
#include "support/settings.h"

/* ---- one record ---- */

static void expect_now(int waiting, int in_progress, int on_hold, int in_wrap)
{
    int64_t wraps = 0;
    when_derived();
    for (uint32_t second = 0; second < HISTOGRAM_BUCKETS; second++)
        wraps += now_total(histogram_id(NOW_WRAP, second));
    cr_expect_eq(now_total(MEASURE_waiting), waiting);
    cr_expect_eq(now_total(MEASURE_in_progress), in_progress);
    cr_expect_eq(now_total(MEASURE_on_hold), on_hold);
    cr_expect_eq(wraps, in_wrap);
    cr_expect_eq(derived.now, waiting + in_progress + in_wrap > 0);
}

Test(now, a_contact_waits_talks_holds_wraps_and_is_gone)
{
    with(given(EVENT_OFFERED, T), DIMENSION_queue, BILLING);
    expect_now(1, 0, 0, 0);
    cr_expect_eq(now_of(DIMENSION_queue, BILLING, MEASURE_waiting), 1);
    cr_expect_eq(now_total(now_second(NOW_WAITING, T)), 1, "since then");
    with(given(EVENT_ANSWERED, T + 10 * S), DIMENSION_agent, ANNE);
    expect_now(0, 1, 0, 0);
    cr_expect_eq(now_of(DIMENSION_agent, ANNE, MEASURE_in_progress), 1);
    cr_expect_eq(now_total(now_second(NOW_WAITING, T)), 0);
    given(EVENT_HELD, T + 20 * S);
    expect_now(0, 1, 1, 0);
    cr_expect_eq(now_of(DIMENSION_agent, ANNE, MEASURE_on_hold), 1);
    given(EVENT_RESUMED, T + 30 * S);
    expect_now(0, 1, 0, 0);
    given(EVENT_ENDED, T + 40 * S);
    expect_now(0, 0, 0, 1);
    cr_expect_eq(now_of(DIMENSION_agent, ANNE, now_second(NOW_WRAP, T + 40 * S)), 1);
    cr_expect_eq(now_total(now_second(NOW_WRAP, T + 40 * S)), 1, "since the end");
    given(EVENT_WRAPPED, T + 50 * S);
    expect_now(0, 0, 0, 0);
}

Test(now, whatever_comes_late_counts_as_if_it_had_come_in_time)
{
    given(EVENT_ENDED, T + 40 * S);
    expect_now(0, 0, 0, 0); /* nobody has talked */
    given(EVENT_OFFERED, T);
    expect_now(0, 0, 0, 0);
    given(EVENT_ANSWERED, T + 10 * S);
    expect_now(0, 0, 0, 1);
    given(EVENT_HELD, T + 39 * S);
    expect_now(0, 0, 0, 1);
}

Test(now, an_abandoned_contact_is_nothing_and_an_offer_again_no_second_one)
{
    given(EVENT_OFFERED, T);
    given(EVENT_OFFERED, T + 5 * S);
    expect_now(1, 0, 0, 0);
    cr_expect_eq(now_total(now_second(NOW_WAITING, T)), 1, "since the first");
    given(EVENT_ABANDONED, T + 6 * S);
    expect_now(0, 0, 0, 0);
}

Test(now, a_transfer_ends_the_progress_until_the_next_answer)
{
    with(given(EVENT_ANSWERED, T), DIMENSION_agent, ANNE);
    given(EVENT_TRANSFERRED, T + 10 * S);
    expect_now(0, 0, 0, 0); /* nor in wrap: it has not ended */
    with(given(EVENT_ANSWERED, T + 20 * S), DIMENSION_agent, BERT);
    expect_now(0, 1, 0, 0);
    cr_expect_eq(now_of(DIMENSION_agent, BERT, MEASURE_in_progress), 1);
    given(EVENT_ENDED, T + 30 * S);
    with(given(EVENT_WRAPPED, T + 40 * S), DIMENSION_agent, ANNE);
    expect_now(0, 0, 0, 1); /* it was the other one who has wrapped */
    cr_expect_eq(now_of(DIMENSION_agent, BERT, now_second(NOW_WRAP, T + 30 * S)), 1);
}

Test(now, a_customer_who_hangs_up_in_a_transfer_leaves_no_wrap)
{
    given(EVENT_ANSWERED, T);
    given(EVENT_TRANSFERRED, T + 10 * S);
    given(EVENT_ABANDONED, T + 15 * S);
    expect_now(0, 0, 0, 0);
}

Test(now, a_completed_record_is_over)
{
    given(EVENT_OFFERED, T);
    given(EVENT_ANSWERED, T + 10 * S);
    given(EVENT_HELD, T + 15 * S);
    given(EVENT_COMPLETED, T + 60 * S);
    expect_now(0, 0, 0, 0);
}

Test(now, events_without_a_lifecycle_are_nothing)
{
    given(EVENT_SURVEY_ANSWERED, T);
    expect_now(0, 0, 0, 0);
}

Test(now, of_the_records_of_an_interaction_only_the_latest_is_now)
{
    given(EVENT_OFFERED, T);
    given(EVENT_OFFERED, T + settings.retention_ms); /* still the same one */
    expect_now(1, 0, 0, 0);
    cr_expect_eq(now_total(now_second(NOW_WAITING, T)), 1);
    given(EVENT_ANSWERED, T + 2 * settings.retention_ms + 1);
    expect_now(0, 1, 0, 0);
}

Test(now, of_whole_files_nobody_asks_what_is_now)
{
    settings.now = false;
    given(EVENT_OFFERED, T);
    expect_now(0, 0, 0, 0);
}

Test(now, a_version_that_did_not_know_it_has_told_nothing)
{
    settings.lacks[MEASURE_waiting / 64] |= UINT64_C(1) << MEASURE_waiting % 64;
    given(EVENT_OFFERED, T);
    expect_now(0, 0, 0, 0);
    cr_expect_eq(total(MEASURE_offered), 1);
}

/* ---- a fold ---- */

static struct {
    struct config *config;
    struct fold *fold;
    struct batch *batch;
    int64_t gauge[MEASURE_COUNT]; /* of the newest row */
    int64_t at_ms;
    uint64_t rows, empty;
    bool named;
} held;

static bool take(void *context, struct row *row)
{
    (void)context;
    if (row->now) {
        for (uint32_t m = 0; m < MEASURE_COUNT; m++)
            held.gauge[m] = figure_in(row->runs, row->runs_length, m);
        held.at_ms = row->start_ms;
        held.rows++;
        held.empty += row->runs_length <= 1;
        cr_expect(row->end_ms == row->start_ms && strcmp(row->window_name, "now") == 0);
    }
    row_free(row);
    return true;
}

static uint64_t generation(void *context)
{
    (void)context;
    return 1;
}

static void fold_begin(const char *yaml)
{
    held.config = config_of(yaml);
    held.batch = batch_new(0);
    struct fold_setup setup = {.shards = 1, .folds = 1, .at_ms = INT64_MIN, .pane_ms = 1000, .outlets = 1,
                               .outlet = {{.put = take, .generation = generation, .now = true}}};
    cr_assert_eq(fold_new(held.config, &setup, &held.fold), 0);
}

static void fold_end(void)
{
    fold_free(held.fold);
    batch_free(held.batch);
    config_free(held.config);
}

static void put_now(int64_t block, uint32_t id, int64_t value)
{
    if (!held.named)
        batch_put_key(held.batch, 0, &(struct scope_key){.tenant = "acme"});
    held.named = true;
    const struct tally_run *run = run_of(id, value);
    batch_put_now(held.batch, 0, block, run->bytes, run->length);
}

/* `n` more wait since then, or are in wrap since then. */
static void wait_since(int64_t at_ms, int64_t n)
{
    put_now(0, MEASURE_waiting, n);
    put_now(now_block(at_ms), now_second(NOW_WAITING, at_ms), n);
}

static void wrap_since(int64_t at_ms, int64_t n)
{
    put_now(now_block(at_ms), now_second(NOW_WRAP, at_ms), n);
}

static void tick(int64_t clock_ms)
{
    fold_apply(held.fold, held.batch);
    batch_free(held.batch);
    held.batch = batch_new(0);
    fold_step(held.fold, clock_ms);
}

Test(now, the_longest_wait_is_that_of_the_first_who_is_left)
{
    fold_begin("");
    wait_since(T + 1500, 2);
    wait_since(T + 7000, 1);
    wait_since(T - 2 * H, 1);
    tick(T + 10 * S + 800);
    cr_expect_eq(held.gauge[MEASURE_waiting], 4);
    cr_expect_eq(held.gauge[MEASURE_longest_wait_ms], 2 * H + 10 * S);
    cr_expect_eq(held.at_ms, T + 10 * S);
    wait_since(T - 2 * H, -1);
    wait_since(T + 1500, -1);
    tick(T + 11 * S);
    cr_expect_eq(held.gauge[MEASURE_longest_wait_ms], 10 * S, "one of that second is left: %" PRId64, held.gauge[MEASURE_longest_wait_ms]);
    wait_since(T + 1500, -1);
    tick(T + 12 * S);
    cr_expect_eq(held.gauge[MEASURE_longest_wait_ms], 5 * S);
    wait_since(T + 7000, -1);
    tick(T + 13 * S);
    cr_expect_eq(held.gauge[MEASURE_waiting], 0);
    cr_expect_eq(held.empty, 1, "one empty row");
    tick(T + 14 * S);
    tick(T + 90 * S);
    cr_expect_eq(held.empty, 1, "and no other");
    fold_end();
}

Test(now, somebody_who_waits_from_the_future_has_waited_for_nothing)
{
    fold_begin("");
    wait_since(T + 5 * S, 1);
    tick(T);
    cr_expect_eq(held.gauge[MEASURE_waiting], 1);
    cr_expect_eq(held.gauge[MEASURE_longest_wait_ms], 0);
    tick(T + 5 * S);
    cr_expect_eq(held.gauge[MEASURE_longest_wait_ms], 0);
    tick(T + 6 * S);
    cr_expect_eq(held.gauge[MEASURE_longest_wait_ms], S);
    fold_end();
}

Test(now, a_row_comes_with_each_second_while_anyone_waits_and_each_few_minutes_else)
{
    fold_begin("");
    wait_since(T, 1);
    for (int64_t ms = 0; ms < 10 * S; ms += 100)
        tick(T + ms);
    cr_expect_eq(held.rows, 10);
    wait_since(T, -1);
    put_now(0, MEASURE_agents_away, 1);
    for (int64_t ms = 10 * S; ms < 10 * MIN; ms += 100)
        tick(T + ms);
    cr_expect_eq(held.rows, 10 + 1 + 3, "%" PRIu64, held.rows);
    cr_expect_eq(held.gauge[MEASURE_agents_away], 1);
    fold_end();
}

/* With now.wrap_most 10m: after 9:59 it is in wrap, after 10:00 no more; what is taken back then, and later, makes nothing negative. */
Test(now, who_is_not_wrapped_is_in_wrap_for_now_wrap_most)
{
    fold_begin("now: {wrap_most: 10m}\n");
    wrap_since(T, 2);
    wrap_since(T + 5 * MIN, 1);
    tick(T + 10 * MIN - S);
    cr_expect_eq(held.gauge[MEASURE_in_wrap], 3);
    put_now(0, MEASURE_on_hold, 1); /* any change */
    tick(T + 10 * MIN);
    cr_expect_eq(held.gauge[MEASURE_in_wrap], 1);
    wrap_since(T, -1); /* its wrapped comes after all */
    wrap_since(T + 11 * MIN, 1);
    tick(T + 11 * MIN);
    cr_expect_eq(held.gauge[MEASURE_in_wrap], 2);
    wrap_since(T + 11 * MIN, -1);
    tick(T + 12 * MIN);
    cr_expect_eq(held.gauge[MEASURE_in_wrap], 1);
    for (int64_t ms = 12 * MIN; ms < 60 * MIN; ms += S)
        tick(T + ms);
    cr_expect_eq(held.gauge[MEASURE_in_wrap], 0, "told without any event");
    wrap_since(T, -1);
    wrap_since(T + 5 * MIN, -1);
    put_now(0, MEASURE_on_hold, -1);
    tick(T + 61 * MIN);
    cr_expect_eq(held.gauge[MEASURE_in_wrap], 0);
    cr_expect_eq(held.empty, 1);
    fold_end();
}

Test(now, blocks_that_are_empty_take_no_room)
{
    fold_begin("now: {wrap_most: 10m}\n");
    wait_since(T, 1);
    tick(T);
    wait_since(T, -1); /* the key itself stays, and tables of its kind */
    tick(T);
    uint64_t before = fold_counts(held.fold).bytes;
    for (int64_t h = 0; h < 48; h++) {
        wait_since(T + h * H, 5);
        wrap_since(T + h * H, 5); /* no wrapped ever comes */
        tick(T + h * H + S);
        wait_since(T + h * H, -5);
        tick(T + h * H + 2 * S);
    }
    for (int64_t ms = 0; ms < 2 * MIN; ms += S)
        tick(T + 50 * H + ms);
    uint64_t after = fold_counts(held.fold).bytes;
    cr_expect_leq(after, before + 2048, "%" PRIu64 " bytes after %" PRIu64, after, before);
    cr_expect_eq(fold_counts(held.fold).calendar_windows, 0, "they are none");
    fold_end();
}

/* ---- the whole ---- */

enum { CONTACTS = 60, EVENTS_MAX = CONTACTS * 12, QUEUES = 3, AGENTS = 4 };
enum kind { OFFERED, ANSWERED, HELD, RESUMED, TRANSFERRED, ABANDONED, ENDED, WRAPPED, COMPLETED, STATE };
static const char *const kinds[] = {"interaction.offered", "interaction.answered", "interaction.held", "interaction.resumed", "interaction.transferred",
                                    "interaction.abandoned", "interaction.ended", "interaction.wrapped", "interaction.completed", "agent.state"};

static struct event_made {
    enum kind kind;
    int64_t at_ms;
    int contact, queue, agent, state; /* queue, agent: -1, none named */
    bool told;
} made[EVENTS_MAX];
static int events;

static void make(enum kind kind, int contact, int64_t at_ms, int queue, int agent)
{
    cr_assert_lt(events, EVENTS_MAX);
    made[events++] = (struct event_made){kind, at_ms, contact, queue, agent, 0, false};
}

static int by_time(const void *a, const void *b)
{
    const struct event_made *left = a, *right = b;
    return (left->at_ms > right->at_ms) - (left->at_ms < right->at_ms);
}

/* Every contact goes some way through its life; each event of a contact has an instant of its own. */
static void make_events(struct chance *chance)
{
    events = 0;
    for (int c = 0; c < CONTACTS; c++) {
        int64_t at = T + chance_below(chance, 3600) * S;
#define NEXT (at += (1 + chance_below(chance, 120)) * S)
#define MAYBE(n) (chance_below(chance, n) == 0)
        make(OFFERED, c, at, (int)chance_below(chance, QUEUES), -1);
        if (MAYBE(6)) {
            make(ABANDONED, c, NEXT, -1, -1);
            continue;
        }
        for (int64_t legs = chance_below(chance, 3); legs > 0; legs--) {
            make(ANSWERED, c, NEXT, MAYBE(2) ? (int)chance_below(chance, QUEUES) : -1, (int)chance_below(chance, AGENTS));
            if (MAYBE(2))
                make(HELD, c, NEXT, -1, -1);
            if (MAYBE(3))
                make(RESUMED, c, NEXT, -1, -1);
            if (MAYBE(4))
                make(TRANSFERRED, c, NEXT, -1, -1);
        }
        if (MAYBE(2))
            make(ENDED, c, NEXT, -1, -1);
        if (MAYBE(3))
            make(WRAPPED, c, NEXT, -1, -1);
        if (MAYBE(12))
            make(COMPLETED, c, NEXT, -1, -1);
        make(STATE, -1, T + c * 61 * S, -1, (int)chance_below(chance, AGENTS));
        made[events - 1].state = (int)chance_below(chance, 5);
    }
    qsort(made, (size_t)events, sizeof *made, by_time);
}

struct gauges {
    int64_t waiting, longest_ms, in_progress, on_hold, in_wrap, state[5];
};

static void count_contact(int c, int queue, int agent, int64_t at_ms, struct gauges *out)
{
    int64_t offered_ms = -1, ended_ms = -1;
    int entry_queue = -1, all_queue = -1, last_queue = -1, last_agent = -1;
    bool answered = false, open = false, hold = false, wrapped = false, completed = false, ended = false;
    for (int i = 0; i < events; i++) { /* in order of time */
        const struct event_made *event = &made[i];
        int64_t ms = event->at_ms;
        if (!event->told || event->contact != c)
            continue;
        all_queue = event->queue >= 0 ? event->queue : all_queue;
        entry_queue = !answered && event->queue >= 0 ? event->queue : entry_queue;
        switch (event->kind) {
        case OFFERED: offered_ms = ms; break;
        case ANSWERED: answered = open = true; hold = wrapped = false; last_queue = event->queue; last_agent = event->agent; break;
        case HELD: hold = open; break;
        case RESUMED: hold = false; break;
        case ENDED: ended = true; /* fall through */
        case ABANDONED: ended_ms = ms; /* fall through */
        case TRANSFERRED: open = hold = false; break;
        case WRAPPED: wrapped |= answered && !open; break;
        default: completed = true; break;
        }
    }
    if (completed)
        return;
    if (!answered) {
        bool counts = offered_ms >= 0 && ended_ms < 0 && agent < 0 && (queue < 0 || queue == entry_queue);
        out->waiting += counts;
        out->longest_ms = counts && at_ms - offered_ms > out->longest_ms ? at_ms - offered_ms : out->longest_ms;
        return;
    }
    last_queue = last_queue >= 0 ? last_queue : all_queue;
    if ((queue >= 0 && queue != last_queue) || (agent >= 0 && agent != last_agent))
        return;
    out->in_progress += open;
    out->on_hold += open && hold;
    out->in_wrap += !open && ended && !wrapped && at_ms - ended_ms < 10 * MIN;
}

/* queue, agent -1: all. */
static struct gauges recount(int queue, int agent, int64_t at_ms)
{
    struct gauges out = {0};
    for (int c = 0; c < CONTACTS; c++)
        count_contact(c, queue, agent, at_ms, &out);
    for (int a = 0; a < AGENTS && queue < 0; a++) {
        const struct event_made *latest = NULL;
        for (int i = 0; i < events; i++)
            if (made[i].told && made[i].kind == STATE && made[i].agent == a && (latest == NULL || made[i].at_ms > latest->at_ms))
                latest = &made[i];
        if (latest && (agent < 0 || agent == a))
            out.state[latest->state]++;
    }
    return out;
}

static void say_event(struct memory_source *memory, int input, int i)
{
    static const char *const states[] = {"ready", "busy", "wrap", "away", "offline"};
    const struct event_made *event = &made[i];
    char more[128] = "";
    int length = 0;
    if (event->contact >= 0)
        length += snprintf(more, sizeof more, ",\"interaction\":\"c%d\"", event->contact);
    if (event->queue >= 0)
        length += snprintf(more + length, sizeof more - (size_t)length, ",\"queue\":\"q%d\"", event->queue);
    if (event->agent >= 0)
        length += snprintf(more + length, sizeof more - (size_t)length, ",\"agent\":\"a%d\"", event->agent);
    if (event->kind == STATE)
        snprintf(more + length, sizeof more - (size_t)length, ",\"state\":\"%s\"", states[event->state]);
    memory_add(memory, input, "{\"id\":\"e%d\",\"type\":\"%s\",\"time\":%" PRId64 ",\"tenant\":\"acme\"%s}", i, kinds[event->kind], event->at_ms, more);
}

static int compared, with_figures;

static void compare(const struct row_store *store, const char *scope, struct gauges want, uint64_t seed)
{
    char key[64];
    snprintf(key, sizeof key, "now acme %s", scope);
    const struct kept_row *row = store_row(store, key);
    const int64_t wants[] = {want.waiting, want.longest_ms, want.in_progress, want.on_hold, want.in_wrap, want.state[0], want.state[1], want.state[3]};
    for (int m = MEASURE_waiting; m <= MEASURE_agents_away; m++) {
        int64_t got = row ? store_measure(store, key, measure_names[m]) : 0, wanted = wants[m - MEASURE_waiting];
        cr_expect_eq(got, wanted, "seed %" PRIu64 ", %s of %s: %" PRId64 " instead of %" PRId64, seed, measure_names[m], scope, got, wanted);
        compared++;
        with_figures += wanted != 0;
    }
}

static void random_feed(uint64_t seed, int shards)
{
    struct chance chance = {seed * 1000 + 7};
    struct clock_hands hands = {.wall_ms = T + 2 * H, .monotonic_ms = 1};
    struct config *config = config_of("scopes: [[], [queue], [agent], [queue, agent]]\nwindows: {rolling: [1m], calendar: []}\n");
    struct memory_source memory[4];
    struct source source[4];
    struct row_store store;
    struct pipeline *pipeline;
    make_events(&chance);
    store_init(&store);
    for (int s = 0; s < shards; s++) {
        memory_init(&memory[s], 1);
        source[s] = memory_source(&memory[s]);
    }
    struct pipeline_setup setup = {.shards = shards, .folds = 1 + (int)(seed % 2), .route = true, .at_ms = INT64_MIN,
                                   .clock = clock_by_hand(&hands), .source = source, .sinks = 1, .sink = {store_sink(&store)}, .now = {true}};
    cr_assert_eq(pipeline_new(config, &setup, &pipeline), 0);
    for (int part = 0; part < 4; part++) {
        for (int64_t n = chance_below(&chance, events / 2); n > 0; n--) {
            int i = (int)chance_below(&chance, events); /* again now and then: a duplicate */
            made[i].told = true;
            say_event(&memory[chance_below(&chance, shards)], 0, i);
        }
        hands.wall_ms += chance_below(&chance, 4) * MIN / 2;
        for (int step = 0; step < 7000; step++) { /* what is over without an event is told within a minute */
            hands.monotonic_ms += 10;
            hands.wall_ms += 10;
            pipeline_step(pipeline);
        }
        hands.wall_ms += S - hands.wall_ms % S;
        for (int step = 0; step < 30; step++, hands.monotonic_ms += 10)
            pipeline_step(pipeline);
        char scope[32];
        compare(&store, "all", recount(-1, -1, hands.wall_ms), seed);
        for (int q = 0; q < QUEUES; q++) {
            snprintf(scope, sizeof scope, "queue=q%d", q);
            compare(&store, scope, recount(q, -1, hands.wall_ms), seed);
        }
        for (int a = 0; a < AGENTS; a++) {
            snprintf(scope, sizeof scope, "agent=a%d", a);
            compare(&store, scope, recount(-1, a, hands.wall_ms), seed);
            snprintf(scope, sizeof scope, "queue=q%d,agent=a%d", (int)seed % QUEUES, a);
            compare(&store, scope, recount((int)seed % QUEUES, a, hands.wall_ms), seed);
        }
    }
    pipeline_free(pipeline);
    for (int s = 0; s < shards; s++)
        memory_close(&memory[s]);
    store_close(&store);
    config_free(config);
}

Test(now, any_part_of_a_feed_in_any_order_over_any_shards_is_a_plain_recount, .timeout = 120)
{
    for (uint64_t seed = 1; seed <= 12; seed++)
        random_feed(seed, 1 + (int)seed % 4);
    cr_expect_gt(with_figures, compared / 10, "%d of %d figures say anything", with_figures, compared);
}

Test(now, a_forgotten_contact_is_nothing_any_more)
{
    struct clock_hands hands = {.wall_ms = T + 10 * S, .monotonic_ms = 1};
    struct config *config = config_of("time: {mode: replay}\nretention: {interaction: 1h}\nscopes: [[]]\n");
    struct memory_source memory;
    struct row_store store;
    struct pipeline *pipeline;
    memory_init(&memory, 1);
    store_init(&store);
    struct source source = memory_source(&memory);
    struct pipeline_setup setup = {.shards = 1, .folds = 1, .at_ms = INT64_MIN, .clock = clock_by_hand(&hands), .source = &source,
                                   .sinks = 1, .sink = {store_sink(&store)}, .now = {true}};
    cr_assert_eq(pipeline_new(config, &setup, &pipeline), 0);
    for (int64_t minute = 0; minute < 121; minute += 2) {
        static const char *const form = "{\"id\":\"e%d\",\"type\":\"interaction.offered\",\"time\":%" PRId64 ",\"tenant\":\"acme\",\"interaction\":\"c%d\"}";
        memory_add(&memory, 0, form, (int)minute, T + minute * MIN, (int)minute);
        for (int step = 0; step < 50; step++, hands.monotonic_ms += 10, hands.wall_ms += 10)
            pipeline_step(pipeline);
    }
    /* the watermark stands at 1:59:50; those whose retention is over are swept in steps of a 256th of it, 14 s */
    int64_t waiting = store_measure(&store, "now acme all", "waiting"), longest_ms = store_measure(&store, "now acme all", "longest_wait_ms");
    cr_expect(waiting >= 31 && waiting <= 32, "%" PRId64 " wait", waiting);
    cr_expect(longest_ms <= H + MIN, "since %" PRId64 " ms", longest_ms);
    pipeline_free(pipeline);
    memory_close(&memory);
    store_close(&store);
    config_free(config);
}
