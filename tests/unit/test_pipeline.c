/* The whole pipeline stepped by hand: sources in memory, a hand-set clock, a sink that keeps rows. Here is tested what only the
 * stages together do: watermarks, lateness, routing, rosters, bounds, back-pressure, reload. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "esteem/err.h"
#include "esteem/pipeline.h"
#include "support/feeding.h"
#include "support/settings.h"
#include "support/times.h"

#define HOUR(scope) "hour acme " scope " 1795356000000"

static struct config *config;
static struct pipeline *pipeline;
static struct memory_source memory[4];
static struct row_store store;
static struct clock_hands hands = {.wall_ms = T, .monotonic_ms = 1};
static int64_t started_ms; /* while the pipeline's threads run: when they began, by the machine's clock */
static bool letters_full, hurried;
static _Atomic bool letters_hang, letters_met;
static int letters;

static int64_t wall_ms(void *context)
{
    (void)context;
    return hands.wall_ms;
}

/* By hand while the test steps; by the machine while threads run, so that stopping them has an end. */
static int64_t monotonic_ms(void *context)
{
    (void)context;
    struct clock real = clock_real();
    return hands.monotonic_ms + (started_ms ? clock_monotonic_ms(&real) - started_ms : 0);
}

static bool dead_letter(void *context, const struct refused *refused)
{
    (void)context, (void)refused;
    letters_met = true;
    while (letters_hang)
        usleep(1000);
    letters += !letters_full;
    return !letters_full;
}

/* While it is stopped, and held up: time goes by faster, where nobody is in a hurry. */
static void tend(void *context)
{
    (void)context;
    hands.monotonic_ms += letters_hang && !hurried ? 100 : 0;
}

static bool hurry(void *context)
{
    (void)context;
    return hurried;
}

static void begin_with(const char *yaml, int shards, bool route)
{
    static struct source source[4];
    config = config_of(yaml);
    store_init(&store);
    for (int s = 0; s < shards; s++) {
        memory_init(&memory[s], 1);
        source[s] = memory_source(&memory[s]);
    }
    struct pipeline_setup setup = {.shards = shards, .folds = 1, .route = route, .at_ms = INT64_MIN, .clock = {.wall_ms = wall_ms, .monotonic_ms = monotonic_ms},
                                   .source = source, .sinks = 1, .sink = {store_sink(&store)}, .dead_letter = dead_letter, .tend = tend, .hurry = hurry};
    cr_assert_eq(pipeline_new(config, &setup, &pipeline), 0);
}

static void begin(const char *yaml)
{
    begin_with(yaml, 1, false);
}

static void end(void)
{
    static struct pipeline *left;
    left = letters_hang ? pipeline : NULL; /* a thread is at work in it still */
    if (left == NULL) {
        pipeline_free(pipeline);
        config_free(config);
    }
    store_close(&store);
    for (int s = 0; s < 4; s++)
        memory_close(&memory[s]);
}

TestSuite(pipeline, .fini = end);

#define PLAIN "windows: {rolling: [5m], calendar: [hour]}\nscopes: [[], [team]]\n"

static int ids;

static void add(int shard, const char *type, const char *interaction, int64_t time_ms, const char *more)
{
    memory_add(&memory[shard], 0, "{\"id\":\"e%d\",\"tenant\":\"acme\",\"type\":\"%s\",\"interaction\":\"%s\",\"time\":%lld%s%s}", ids++, type, interaction,
               (long long)time_ms, *more ? "," : "", more);
}

/* Lets time go by: a step each 100 ms. */
static void run(int64_t for_ms)
{
    for (int64_t until = hands.monotonic_ms + for_ms; hands.monotonic_ms < until; hands.monotonic_ms += 100, hands.wall_ms += 100)
        for (int i = 0; i < 3; i++)
            pipeline_step(pipeline);
}

static struct shard_counts counts(void)
{
    struct clock real = clock_real();
    started_ms = clock_monotonic_ms(&real);
    pipeline_start(pipeline); /* counts are posted by threads: start them, and stop at once */
    pipeline_stop(pipeline, END_DRAIN, 500);
    return pipeline_counts(pipeline).shards;
}

Test(pipeline, carries_an_event_from_source_to_sink)
{
    begin(PLAIN);
    add(0, "interaction.offered", "i", T, "");
    add(0, "interaction.answered", "i", T + 12 * S, "");
    run(2 * S);
    cr_expect_eq(store_measure(&store, HOUR("all"), "offered"), 1);
    cr_expect_eq(store_measure(&store, HOUR("all"), "wait_ms"), 12000);
    cr_expect_eq(store_measure(&store, "5m acme all", "offered"), 1);
}

Test(pipeline, corrects_what_it_has_published)
{
    begin(PLAIN);
    add(0, "interaction.answered", "i", T, "");
    add(0, "interaction.ended", "i", T + 60 * S, "");
    run(20 * S);
    cr_expect_eq(store_measure(&store, HOUR("all"), "handled"), 1);
    add(0, "interaction.wrapped", "i", T + H, "");
    hands.wall_ms += H;
    run(20 * S);
    cr_expect_eq(store_measure(&store, HOUR("all"), "handled"), 0);
    cr_expect_eq(store_measure(&store, "hour acme all 1795359600000", "wrap_ms"), 3540 * S);
}

Test(pipeline, an_interaction_is_too_late_beyond_its_retention)
{
    begin(PLAIN);
    add(0, "interaction.offered", "new", T, "");
    run(S);
    add(0, "interaction.offered", "on the edge", T - 10 * S - 7 * DAY, ""); /* out_of_order: 10 s */
    add(0, "interaction.offered", "beyond", T - 10 * S - 7 * DAY - 1, "");
    memory_add(&memory[0], 0, "{\"id\":\"x\",\"type\":\"survey.sent\",\"time\":%lld}", (long long)(T - 10 * S - 8 * DAY));
    memory_add(&memory[0], 0, "{\"id\":\"y\",\"type\":\"survey.sent\",\"time\":%lld}", (long long)(T - 10 * S - 8 * DAY - 1));
    run(S);
    cr_expect_eq(letters, 2);
    struct shard_counts sum = counts();
    cr_expect_eq(sum.refused_by_reason[0][REFUSED_too_late], 2);
    cr_expect_eq(sum.applied, 3);
}

Test(pipeline, what_is_too_new_is_refused_and_moves_no_watermark)
{
    begin(PLAIN);
    add(0, "interaction.offered", "a", T + 5 * MIN, "");
    add(0, "interaction.offered", "b", T + 5 * MIN + 1, "");
    add(0, "interaction.offered", "c", T + 30 * DAY, "");
    run(50);
    add(0, "interaction.offered", "d", T - 6 * DAY, "");
    run(S);
    struct shard_counts sum = counts();
    cr_expect_eq(sum.refused_by_reason[0][REFUSED_too_new], 2);
    cr_expect_eq(sum.refused_by_reason[0][REFUSED_too_late], 0);
    cr_expect_eq(sum.applied, 2);
}

Test(pipeline, in_replay_nothing_is_too_new)
{
    begin(PLAIN "time: {mode: replay}\n");
    add(0, "interaction.offered", "a", T + 300 * DAY, "");
    run(S);
    cr_expect_eq(counts().applied, 1);
}

Test(pipeline, an_idle_input_holds_no_watermark_back)
{
    begin_with(PLAIN, 2, false);
    add(0, "interaction.offered", "a", T, "");
    run(S);
    hands.wall_ms += 2 * H;
    add(0, "interaction.offered", "b", T + 2 * H, "");
    run(30 * S);
    cr_expect(strstr(store_row(&store, HOUR("all"))->json, "\"final\":false"));
    run(60 * S); /* idle_after: shard 1 has never said anything */
    cr_expect(strstr(store_row(&store, HOUR("all"))->json, "\"final\":true"));
}

static int given(int shard, int input)
{
    int count = 0;
    for (int i = 0; i < memory[shard].count; i++)
        count += memory[shard].given[i] && memory[shard].input[i] == input;
    return count;
}

/* Contacts half an hour apart in two partitions of one shard and one of another; all of the first lie before those of the second. */
static void begin_backlog(const char *yaml)
{
    begin_with(yaml, 2, false);
    memory[0].inputs = 2;
    memory[0].most = memory[1].most = 1;
    for (int input = 0; input < 2; input++)
        for (int i = 0; i < 10; i++)
            memory_add(&memory[0], input, "{\"id\":\"b%d\",\"tenant\":\"acme\",\"type\":\"interaction.offered\",\"interaction\":\"b%d\",\"time\":%lld}", input * 10 + i,
                       input * 10 + i, (long long)(T + i * 30 * MIN));
    for (int i = 0; i < 10; i++)
        add(1, "interaction.offered", "other", T + i * 30 * MIN, "");
}

Test(pipeline, a_backlog_is_read_in_step_over_partitions_and_shards)
{
    begin_backlog(PLAIN "time: {mode: replay, idle_after: 1s}\n");
    for (int i = 0; i < 25; i++) {
        pipeline_step(pipeline);
        cr_assert_leq(abs(given(0, 0) - given(0, 1)), 1, "%d and %d", given(0, 0), given(0, 1));
    }
    cr_expect_eq(given(0, 0) + given(0, 1), 20);
    cr_expect_eq(given(1, 0), 10);
}

Test(pipeline, one_that_stands_still_is_waited_for_5_seconds)
{
    begin_backlog(PLAIN "time: {mode: replay, idle_after: 1s}\n");
    pipeline_step(pipeline);
    memory[1].away[0] = true;
    run(4 * S);
    cr_expect_eq(given(0, 0) + given(0, 1), 4, "the first, which lie in step, and one of each too far");
    run(4 * S);
    cr_expect_eq(given(0, 0) + given(0, 1), 20);
}

Test(pipeline, what_is_live_waits_for_no_backlog)
{
    begin_backlog(PLAIN);
    memory[1].away[0] = true;
    hands.wall_ms = T + 10 * MIN;
    pipeline_step(pipeline);
    pipeline_step(pipeline);
    cr_expect_eq(given(0, 0), 2);
}

Test(pipeline, an_interaction_over_several_partitions_meets_at_its_owner)
{
    begin_with(PLAIN "kafka: {topics: [{name: events, keyed: false}]}\n", 4, true);
    for (int n = 0; n < 50; n++) {
        char name[16];
        (void)snprintf(name, sizeof name, "i%d", n);
        add(n % 4, "interaction.offered", name, T, "");
        add((n + 1) % 4, "interaction.answered", name, T + 5 * S, "");
        memory_add(&memory[(n + 2) % 4], 0, "%s", memory[n % 4].text[memory[n % 4].count - 1]); /* a duplicate, elsewhere */
    }
    run(15 * S); /* an hour's row comes every 12 s */
    cr_expect_eq(store_measure(&store, HOUR("all"), "offered"), 50);
    cr_expect_eq(store_measure(&store, HOUR("all"), "wait_ms"), 250 * S);
    struct shard_counts sum = counts();
    cr_expect_eq(sum.applied, 100);
    cr_expect_eq(sum.duplicates, 50);
}

Test(pipeline, every_shard_knows_the_whole_roster)
{
    begin_with(PLAIN, 4, true);
    memory_add(&memory[0], 0, "{\"id\":\"r\",\"tenant\":\"acme\",\"type\":\"agent.enrolled\",\"time\":%lld,\"agent\":\"anne\",\"team\":\"north\"}", (long long)(T - H));
    run(S);
    for (int n = 0; n < 40; n++) {
        char name[16];
        (void)snprintf(name, sizeof name, "i%d", n);
        add(n % 4, "interaction.answered", name, T, "\"agent\":\"anne\"");
    }
    run(15 * S);
    cr_expect_eq(store_measure(&store, HOUR("team=north"), "answered"), 40);
}

Test(pipeline, an_agents_open_state_counts_in_windows_that_come_later)
{
    begin("windows: {rolling: [], calendar: [hour]}\nscopes: [[]]\n");
    memory_add(&memory[0], 0, "{\"id\":\"s\",\"tenant\":\"acme\",\"type\":\"agent.state\",\"time\":%lld,\"agent\":\"anne\",\"state\":\"ready\"}", (long long)T);
    run(20 * S);
    pipeline_reload(pipeline, config_of("windows: {rolling: [1m], calendar: [hour]}\nscopes: [[]]\n"));
    run(2 * MIN);
    cr_expect_eq(store_measure(&store, "1m acme all", "ready_ms"), MIN);
    pipeline_reload(pipeline, config_of("windows: {rolling: [], calendar: [hour]}\nscopes: [[]]\n"));
    run(20 * S);
    pipeline_reload(pipeline, config_of("windows: {rolling: [1m, 5m], calendar: [hour]}\nscopes: [[]]\n"));
    run(2 * MIN);
    cr_expect_eq(store_measure(&store, "1m acme all", "ready_ms"), MIN);
}

/* A configuration whose roster.file is this text. */
static struct config *config_with_roster(const char *text)
{
    char path[64], yaml[512];
    (void)snprintf(path, sizeof path, "/tmp/esteem-roster-%d.csv", (int)getpid());
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    fputs(text, file);
    fclose(file);
    (void)snprintf(yaml, sizeof yaml, "%sroster: {file: %s}\n", PLAIN, path);
    struct config *made = config_of(yaml);
    remove(path);
    return made;
}

Test(pipeline, a_roster_file_that_is_read_again_moves_what_it_concerns)
{
    begin_with(PLAIN, 4, true);
    pipeline_reload(pipeline, config_with_roster("agent,team,tenant\nanne,north,acme\nbob,north,acme\n"));
    run(S);
    for (int n = 0; n < 40; n++) {
        char name[16];
        (void)snprintf(name, sizeof name, "i%d", n);
        add(n % 4, "interaction.answered", name, T, "\"agent\":\"anne\"");
        add(n % 4, "interaction.answered", name, T, "\"agent\":\"bob\"");
    }
    add(0, "interaction.answered", "cyd", T, "\"agent\":\"cyd\"");
    run(15 * S);
    int64_t north = store_measure(&store, HOUR("team=north"), "answered");
    cr_expect_eq(north, 40); /* a contact has the team of one of the two */
    cr_expect_eq(store_measure(&store, HOUR("team=north"), "eligible_agents"), 2);
    pipeline_reload(pipeline, config_with_roster("agent,team,tenant,eligible\nanne,south,acme,\nbob,south,acme,false\n"));
    run(15 * S);
    cr_expect_eq(store_measure(&store, HOUR("team=north"), "answered"), 0);
    cr_expect_eq(store_measure(&store, HOUR("team=south"), "answered"), 40);
    cr_expect_eq(store_measure(&store, HOUR("team=south"), "eligible_agents"), 1);
    cr_expect_eq(store_measure(&store, HOUR("all"), "eligible_agents"), 1);
    pipeline_reload(pipeline, config_of(PLAIN)); /* no roster at all */
    run(15 * S);
    cr_expect_eq(store_measure(&store, HOUR("team=south"), "answered"), 0);
    cr_expect_eq(store_measure(&store, HOUR("all"), "eligible_agents"), 0);
    cr_expect_eq(store_measure(&store, HOUR("all"), "answered"), 41);
}

Test(pipeline, at_its_bound_of_interactions_it_waits)
{
    begin(PLAIN "limits: {interactions: 4, at_interactions: pause}\nretention: {interaction: 1h}\n");
    for (int n = 0; n < 8; n++) {
        char name[16];
        (void)snprintf(name, sizeof name, "i%d", n);
        add(0, "interaction.offered", name, T + n * S, "");
    }
    run(5 * S);
    cr_expect_eq(store_measure(&store, HOUR("all"), "offered"), 5); /* limit / shards + 1 */
    cr_expect_lt(memory[0].next, 8);
    struct shard_counts sum = counts();
    cr_expect_gt(sum.ledger_full, 0);
    cr_expect_eq(sum.ledger.retired, 0);
}

Test(pipeline, or_retires_the_oldest_and_says_that_rows_are_inexact)
{
    begin(PLAIN "limits: {interactions: 4, at_interactions: retire}\n");
    for (int n = 0; n < 8; n++) {
        char name[16];
        (void)snprintf(name, sizeof name, "i%d", n);
        add(0, "interaction.offered", name, T + n * H / 10, "");
    }
    hands.wall_ms += H;
    run(15 * S);
    cr_expect_eq(store_measure(&store, HOUR("all"), "offered"), 8);
    cr_expect(store_row(&store, HOUR("all"))->inexact);
    cr_expect_eq(counts().ledger.retired, 3);
}

Test(pipeline, a_refused_event_that_finds_no_room_waits_and_is_counted_once)
{
    begin(PLAIN);
    letters_full = true;
    memory_add(&memory[0], 0, "rubbish");
    add(0, "interaction.offered", "i", T, "");
    run(S);
    cr_expect_eq(store_measure(&store, HOUR("all"), "offered"), -1);
    letters_full = false;
    run(S);
    cr_expect_eq(letters, 1);
    cr_expect_eq(store_measure(&store, HOUR("all"), "offered"), 1);
    cr_expect_eq(counts().refused, 1);
}

Test(pipeline, a_sink_without_room_gets_the_newest_figures_later)
{
    begin(PLAIN);
    store.full = true;
    for (int n = 0; n < 30; n++) {
        char name[16];
        (void)snprintf(name, sizeof name, "i%d", n);
        add(0, "interaction.offered", name, T, "");
        run(500);
    }
    cr_expect_eq(store.count, 0);
    store.full = false;
    run(15 * S);
    cr_expect_eq(store_measure(&store, HOUR("all"), "offered"), 30);
}

Test(pipeline, a_reload_applies_to_what_is_derived_after_it)
{
    begin(PLAIN);
    add(0, "interaction.offered", "a", T, "");
    add(0, "interaction.answered", "a", T + 12 * S, "");
    run(15 * S);
    cr_expect_eq(store_measure(&store, HOUR("all"), "answered_in_sl"), 1);
    pipeline_reload(pipeline, config_of(PLAIN "metrics: {service_level: {threshold: 10s}}\n"));
    add(0, "interaction.offered", "b", T + 15 * S, "");
    add(0, "interaction.answered", "b", T + 27 * S, "");
    run(20 * S);
    cr_expect_eq(store_measure(&store, HOUR("all"), "answered"), 2);
    cr_expect_eq(store_measure(&store, HOUR("all"), "answered_in_sl"), 1);
    add(0, "interaction.ended", "a", T + 30 * S, ""); /* derived again, under the new settings */
    run(20 * S);
    cr_expect_eq(store_measure(&store, HOUR("all"), "answered_in_sl"), 0);
}

Test(pipeline, forgets_interactions_after_their_retention)
{
    begin(PLAIN "retention: {interaction: 1h}\n");
    add(0, "interaction.offered", "a", T, "");
    run(S);
    hands.wall_ms += 3 * H;
    add(0, "interaction.offered", "b", T + 3 * H, "");
    run(5 * S);
    cr_expect_eq(store_measure(&store, HOUR("all"), "offered"), 1);
    struct shard_counts sum = counts();
    cr_expect_eq(sum.forgotten, 1);
    cr_expect_eq(sum.ledger.records, 1);
}

Test(pipeline, a_clock_that_was_ahead_and_is_set_right_leaves_the_rolling_windows_right)
{
    begin(PLAIN);
    add(0, "interaction.offered", "i", T, "");
    run(2 * S);
    hands.wall_ms += 365 * DAY;
    run(2 * S);
    cr_expect_eq(store_measure(&store, "5m acme all", "offered"), 0);
    hands.wall_ms -= 365 * DAY;
    run(2 * S);
    add(0, "interaction.offered", "j", T + S, "");
    run(20 * S);
    cr_expect_eq(store_measure(&store, "5m acme all", "offered"), 1, "what the year took away is gone, what comes counts");
    cr_expect_eq(store_measure(&store, HOUR("all"), "offered"), 2);
}

/* ---- a customer is erased ---- */

static void add_contacts(bool with_kim)
{
    for (int c = 0; c < 12; c++) {
        char name[16], more[96];
        int64_t at = T + c * 5 * MIN;
        const char *who = c % 3 == 0 ? (with_kim ? ",\"customer\":\"kim\"" : "") : c % 3 == 1 ? ",\"customer\":\"lee\"" : "";
        snprintf(name, sizeof name, "c%d", c);
        snprintf(more, sizeof more, "\"queue\":\"q%d\",\"channel\":\"voice\"%s", c % 2, who);
        add(c % 2, "interaction.offered", name, at, more);
        add(c % 2, "interaction.answered", name, at + 10 * S, "\"agent\":\"ann\"");
        add((c + 1) % 2, "interaction.ended", name, at + 2 * MIN, "\"resolved\":true");
    }
}

#define ERASE "windows: {rolling: [], calendar: [day]}\nscopes: [[], [queue], [agent]]\ntime: {mode: replay, idle_after: 1s}\n"

static char *figures_of(const char *key)
{
    const struct kept_row *row = store_row(&store, key);
    cr_assert_not_null(row, "%s", key);
    char *measures = strdup(strstr(row->json, "\"measures\":"));
    *strchr(measures, '}') = 0;
    return measures;
}

Test(pipeline, all_rows_of_a_key_are_told_in_parts_and_more_than_a_mib_of_them)
{
    enum { HOURS = 4000 };
    char *text, id[16];
    size_t length, lines = 0;
    bool cut;
    begin(PLAIN "retention: {correction: 200d}\ntime: {mode: replay}\n");
    for (int h = 0; h < HOURS; h++) {
        snprintf(id, sizeof id, "c%d", h);
        add(0, "interaction.offered", id, T + h * H, "");
    }
    run(10 * S);
    cr_assert(pipeline_dump(pipeline, "acme", "all"));
    cr_expect_not(pipeline_dump(pipeline, "acme", "all"), "one at a time");
    cr_expect_not(pipeline_dumped(pipeline, &text, &length, &cut), "the fold has not been asked");
    run(100);
    cr_expect_not(pipeline_dumped(pipeline, &text, &length, &cut), "not all of them at once");
    for (int i = 0; i < HOURS && !pipeline_dumped(pipeline, &text, &length, &cut); i++) {}
    cr_expect_not(cut);
    cr_expect_gt(length, 1 << 20);
    for (size_t i = 0; i < length; i++)
        lines += text[i] == '\n';
    cr_expect_eq(lines, HOURS);
    free(text);
    cr_expect(pipeline_dump(pipeline, "acme", "team=none"), "and the next one may ask");
    run(100);
    cr_expect(pipeline_dumped(pipeline, &text, &length, &cut));
    cr_expect_eq(length, 0);
    free(text);
    cr_assert(pipeline_dump(pipeline, "acme", "all")); /* nobody takes it: freed with the pipeline */
    run(100);
}

Test(pipeline, a_customer_who_is_erased_leaves_contacts_of_nobody)
{
    static const char *const keys[] = {"day acme all 1795305600000", "day acme queue=q0 1795305600000", "day acme queue=q1 1795305600000"};
    char *want[3];
    begin_with(ERASE, 2, true);
    add_contacts(false);
    run(3000);
    for (int i = 0; i < 3; i++)
        want[i] = figures_of(keys[i]);
    end();
    memset(memory, 0, sizeof memory);
    ids = 0;

    uint64_t interactions = 0, visits = 0;
    bool done = false;
    begin_with(ERASE, 2, true);
    add_contacts(true);
    run(3000);
    cr_expect_eq(store_measure(&store, keys[0], "fcr_known"), 8);
    cr_expect_eq(store_measure(&store, keys[0], "fcr"), 2, "the last one of each stands");
    cr_expect(pipeline_forget(pipeline, "acme", shard_customer_hash(config, "kim")));
    cr_expect_not(pipeline_forget(pipeline, "acme", shard_customer_hash(config, "lee")), "one at a time");
    for (int i = 0; i < 50 && !done; i++) {
        run(100);
        done = pipeline_forgotten(pipeline, &interactions, &visits);
    }
    cr_assert(done);
    cr_expect_eq(interactions, 4);
    cr_expect_eq(visits, 0, "those of open interactions went with them");
    run(61 * S); /* a day's row goes out once a minute */
    for (int i = 0; i < 3; i++) {
        char *got = figures_of(keys[i]);
        cr_expect_str_eq(got, want[i]);
        free(got);
        free(want[i]);
    }
    cr_expect(pipeline_forget(pipeline, "nobody", 77), "the next one may come");
    done = false;
    for (int i = 0; i < 50 && !done; i++) {
        run(100);
        done = pipeline_forgotten(pipeline, &interactions, &visits);
    }
    cr_expect(done && interactions == 0 && visits == 0);
}

/* Shard 1's thread is in a step that does not end. Returns how long the stop has taken. */
static int64_t stop_held_up(int64_t within_ms)
{
    begin_with(PLAIN, 2, false);
    letters_hang = true;
    memory_add(&memory[1], 0, "rubbish");
    struct clock real = clock_real();
    started_ms = clock_monotonic_ms(&real);
    pipeline_start(pipeline);
    while (!letters_met)
        usleep(1000);
    int64_t begun_ms = monotonic_ms(NULL);
    cr_expect_eq(pipeline_stop(pipeline, END_DRAIN, within_ms), ERR_HELD_UP);
    cr_expect(strncmp(err_text(), "not ended: shard-1;", 19) == 0, "%s", err_text());
    return monotonic_ms(NULL) - begun_ms;
}

Test(pipeline, a_thread_that_does_not_end_is_named_after_30_seconds_more)
{
    int64_t took_ms = stop_held_up(10 * S);
    cr_expect(took_ms >= 40 * S && took_ms < 50 * S, "%lld", (long long)took_ms);
}

Test(pipeline, in_a_hurry_it_is_named_at_once)
{
    hurried = true;
    int64_t took_ms = stop_held_up(600 * S);
    cr_expect(took_ms >= S && took_ms < 5 * S, "%lld", (long long)took_ms);
}

Test(pipeline, in_a_hurry_threads_that_end_are_waited_for)
{
    begin(PLAIN);
    hurried = true;
    struct clock real = clock_real();
    started_ms = clock_monotonic_ms(&real);
    store.full = true;
    add(0, "interaction.offered", "i", T, "");
    pipeline_start(pipeline);
    cr_expect_eq(pipeline_stop(pipeline, END_DRAIN, 600 * S), ERR_IO);
    cr_expect_str_eq(err_text(), "not everything is published: another signal has ended it at once; start again to catch up");
}
