/* Checkpoints of the whole pipeline, stepped by hand: killed at any step, restarted with other numbers of threads, it ends with the rows of a
 * run that nothing disturbed. The topic is in memory, the state folder on the disk, the sink outlives the engine as Redis does. */
#include <criterion/criterion.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "esteem/err.h"
#include "esteem/log.h"
#include "esteem/manifest.h"
#include "esteem/pipeline.h"
#include "esteem/recall.h"
#include "pipeline_parts.h"
#include "support/feeding.h"
#include "support/figures.h"
#include "support/settings.h"
#include "support/times.h"

enum { PARTITIONS = 6, SHARDS = 4, OLD_SEED = 31 /* the feed of tests/state/1, which stays what it was */ };

/* ---- a topic in memory, read as Kafka's is ---- */

struct partition {
    char **text;
    int count, room;
};

static struct partition topic[PARTITIONS];
static int read_most = 6; /* messages a poll */

/* Partition p belongs to shard p mod shards; input i is the shard's i-th partition. */
struct reader {
    int shard, shards;
    int64_t next[PARTITIONS]; /* by partition */
    struct chance chance;
};

static int inputs_of(void *state)
{
    const struct reader *reader = state;
    return (PARTITIONS - reader->shard + reader->shards - 1) / reader->shards;
}

static int partition_of(const struct reader *reader, int input)
{
    return reader->shard + input * reader->shards;
}

static bool at_end(void *state, int input)
{
    const struct reader *reader = state;
    int p = partition_of(reader, input);
    return reader->next[p] == topic[p].count;
}

static bool ready(void *state)
{
    (void)state;
    return true;
}

/* A few messages of one partition after the other, so that no two runs mix them alike. */
static int poll_topic(void *state, int most, int wait_ms, source_each *each, void *context)
{
    struct reader *reader = state;
    (void)wait_ms;
    int done = 0, inputs = inputs_of(state);
    most = most < read_most ? most : read_most;
    for (bool more = true; more && done < most && chance_below(&reader->chance, 4);) {
        int input = (int)chance_below(&reader->chance, inputs), p = partition_of(reader, input);
        for (int64_t left = 1 + chance_below(&reader->chance, read_most); more && left > 0 && reader->next[p] < topic[p].count; left--, done++) {
            int64_t offset = reader->next[p]++;
            struct message message = {.at = topic[p].text[offset], .length = strlen(topic[p].text[offset]), .input = input, .partition = p, .offset = offset};
            more = each(context, &message);
        }
    }
    return done;
}

static void position(void *state, int input, struct source_position *at)
{
    const struct reader *reader = state;
    *at = (struct source_position){0, partition_of(reader, input), reader->next[partition_of(reader, input)]};
}

static void pause_nothing(void *state, bool pause)
{
    (void)state, (void)pause;
}

static void close_nothing(void *state)
{
    (void)state;
}

__attribute__((format(printf, 2, 3))) static void say(int p, const char *format, ...)
{
    struct partition *partition = &topic[p];
    if (partition->count == partition->room) {
        partition->room = partition->room ? partition->room * 2 : 1024;
        partition->text = realloc(partition->text, (size_t)partition->room * sizeof *partition->text);
    }
    va_list arguments;
    va_start(arguments, format);
    cr_assert_geq(vasprintf(&partition->text[partition->count++], format, arguments), 0);
    va_end(arguments);
}

/* Events of contacts spread over all partitions: in any order, with duplicates, corrections, roster changes and rubbish; since the second
 * version with channels, customers who come back, agents' states, opportunities and conversions. */
static void make_feed_of(uint64_t seed, int contacts, bool first_version)
{
    static const char *const channel[] = {"chat", "email", "voice"};
    struct chance chance = {seed}, more = {seed + 1000};
    int id = 0;
    for (int c = 0; c < contacts; c++) {
        int64_t t = T + c * INT64_C(2000) + chance_below(&chance, 8000), queue = chance_below(&chance, 5), agent = chance_below(&chance, 12);
        int p = (int)chance_below(&chance, PARTITIONS);
        char place[64];
        snprintf(place, sizeof place, ",\"channel\":\"%s\",\"customer\":\"k%d\"", channel[c % 3], c % 90);
#define ANY (int)chance_below(&chance, PARTITIONS)
        say(ANY, "{\"id\":\"e%d\",\"type\":\"interaction.offered\",\"time\":%" PRId64 ",\"tenant\":\"acme\",\"interaction\":\"c%d\",\"queue\":\"q%" PRId64 "\"%s}", id++, t, c, queue, first_version ? "" : place);
        if (!first_version) {
            static const char *const states[] = {"ready", "busy", "wrap", "away", "offline"};
            say((int)chance_below(&more, PARTITIONS), "{\"id\":\"z%d\",\"type\":\"agent.state\",\"time\":%" PRId64 ",\"tenant\":\"acme\",\"agent\":\"a%" PRId64 "\",\"state\":\"%s\"}", c, t + chance_below(&more, 3) * 1000, agent, states[chance_below(&more, 5)]);
            if (c % 7 == 0)
                say((int)chance_below(&more, PARTITIONS), "{\"id\":\"v%d\",\"type\":\"conversion.made\",\"time\":%" PRId64 ",\"tenant\":\"acme\",\"interaction\":\"c%d\",\"value\":1}", c, t + 1000, c);
            say((int)chance_below(&more, PARTITIONS), "{\"id\":\"o%d\",\"type\":\"opportunity.seen\",\"time\":%" PRId64 ",\"tenant\":\"acme\",\"interaction\":\"c%d\"}", c, t + 50000, c);
        }
        say(p, "{\"id\":\"e%d\",\"type\":\"interaction.answered\",\"time\":%" PRId64 ",\"tenant\":\"acme\",\"interaction\":\"c%d\",\"agent\":\"a%" PRId64 "\"}", id++, t + chance_below(&chance, 40000), c, agent);
        if (chance_below(&chance, 5) == 0) /* a duplicate, elsewhere */
            say(ANY, "%s", topic[p].text[topic[p].count - 1]);
        say(ANY, "{\"id\":\"e%d\",\"type\":\"interaction.ended\",\"time\":%" PRId64 ",\"tenant\":\"acme\",\"interaction\":\"c%d\"}", id++, t + 60000 + chance_below(&chance, 90000), c);
        if (chance_below(&chance, 3) == 0) {
            int64_t value = 1 + chance_below(&chance, 5);
            say(ANY, "{\"id\":\"s%d\",\"type\":\"survey.answered\",\"time\":%" PRId64 ",\"tenant\":\"acme\",\"interaction\":\"c%d\",\"survey\":\"s%d\",\"version\":1,\"csat\":%" PRId64 ",\"nps\":%" PRId64 "}", c, t + 200000, c, c, value, value * 2);
            if (chance_below(&chance, 3) == 0)
                say(ANY, "{\"id\":\"s%d\",\"type\":\"survey.answered\",\"time\":%" PRId64 ",\"tenant\":\"acme\",\"interaction\":\"c%d\",\"survey\":\"s%d\",\"version\":2,\"csat\":1}", c, t + 210000, c, c);
        }
        if (chance_below(&chance, 4) == 0)
            say(ANY, "{\"id\":\"e%d\",\"type\":\"opportunity.detected\",\"time\":%" PRId64 ",\"tenant\":\"acme\",\"interaction\":\"c%d\"}", id++, t + 50000, c);
        if (chance_below(&chance, 40) == 0)
            say(ANY, "{\"id\":\"r%d\",\"type\":\"agent.enrolled\",\"time\":%" PRId64 ",\"tenant\":\"acme\",\"agent\":\"a%" PRId64 "\",\"team\":\"t%" PRId64 "\"}", c, t - chance_below(&chance, 600000), agent, chance_below(&chance, 3));
        if (seed != OLD_SEED && c % 3 == 0) /* uses, by somebody else in some: distinct agents */
            say(ANY, "{\"id\":\"u%d\",\"type\":\"program.used\",\"time\":%" PRId64 ",\"tenant\":\"acme\",\"interaction\":\"c%d\"%s}", c, t + 55000, c, c % 2 ? "" : ",\"agent\":\"a12\"");
        if (!first_version) { /* some are held, some wrapped; of some nothing more is heard */
            if (c % 4 == 0)
                say(ANY, "{\"id\":\"h%d\",\"type\":\"interaction.held\",\"time\":%" PRId64 ",\"tenant\":\"acme\",\"interaction\":\"c%d\"}", c, t + 45000, c);
            if (c % 3 == 0)
                say(ANY, "{\"id\":\"w%d\",\"type\":\"interaction.wrapped\",\"time\":%" PRId64 ",\"tenant\":\"acme\",\"interaction\":\"c%d\"}", c, t + 170000, c);
            if (c % 10 == 0)
                say(ANY, "{\"id\":\"l%d\",\"type\":\"interaction.offered\",\"time\":%" PRId64 ",\"tenant\":\"acme\",\"interaction\":\"l%d\",\"queue\":\"q1\"}", c, t, c);
            if (c % 11 == 0)
                say(ANY, "{\"id\":\"p%d\",\"type\":\"interaction.answered\",\"time\":%" PRId64 ",\"tenant\":\"acme\",\"interaction\":\"p%d\",\"agent\":\"a%d\"}", c, t, c, c % 12);
            if (c % 22 == 0)
                say(ANY, "{\"id\":\"g%d\",\"type\":\"interaction.held\",\"time\":%" PRId64 ",\"tenant\":\"acme\",\"interaction\":\"p%d\"}", c, t + 5000, c);
        }
        if (chance_below(&chance, 60) == 0)
            say(ANY, "{\"id\":\"x%d\",\"type\":\"no.such\"}", c);
    }
}

static void make_feed(uint64_t seed, int contacts)
{
    make_feed_of(seed, contacts, false);
}

static void drop_feed(void)
{
    for (int p = 0; p < PARTITIONS; p++) {
        for (int i = 0; i < topic[p].count; i++)
            free(topic[p].text[i]);
        free(topic[p].text);
        topic[p] = (struct partition){0};
    }
}

/* ---- an engine that can be killed ---- */

#define SETTINGS "time: {mode: replay, out_of_order: 30m, idle_after: 1h}\nretention: {ids: 8d}\nwindows: {rolling: [1m, 10m, 2h], calendar: [quarter_hour, hour, day]}\n" \
                 "scopes: [[], [queue], [channel], [channel, queue], [team], [agent], [team, queue]]\npublish: {tick: 100ms}\n"

static struct clock_hands hands = {.wall_ms = T, .monotonic_ms = 1};
static struct row_store store;
static const struct config *store_config; /* of the life that reads it */

struct engine {
    struct config *config;
    struct pipeline *pipeline;
    struct checkpoint *checkpoint;
    struct recall *recall; /* NULL: nothing was told before */
    struct reader reader[SHARDS];
    struct source source[SHARDS];
    int shards, folds;
    struct disk disk;
};

static char folder[64];

/* The rows that the store holds, by the names that the topics would have for them, some at a time. */
static enum recall_progress read_store(void *state, struct recall *recall, int64_t now_ms)
{
    uint32_t *next = state;
    (void)now_ms;
    for (int i = 0; i < 200 && *next < store.count; i++) {
        const struct kept_row *kept = &store.row[(*next)++];
        char window[16], tenant[16], scope[64], start[TIME_TEXT_MAX], key[256];
        long long start_ms;
        int parts = sscanf(kept->key, "%15s %15s %63s %lld", window, tenant, scope, &start_ms);
        if (parts == 4)
            event_time_format(start_ms, start);
        snprintf(key, sizeof key, parts == 4 ? "%s|%s|%s|%s" : "%s|%s|%s", tenant, scope, window, start);
        struct recall_name name;
        cr_assert(recall_topic_key(key, strlen(key), &name), "%s", key);
        struct recalled *row = strstr(kept->json, "\"measures\":{}") ? NULL : recalled_new(store_config, &name);
        if (row == NULL)
            continue;
        row->record = 1;
        recall_put(recall, row);
    }
    return *next < store.count ? RECALL_WORKS : RECALL_DONE;
}

static struct recall *recall_of_store(const struct config *config, int folds)
{
    struct recall_setup setup = {.folds = folds, .readers = 1, .reader = {{"store", calloc(1, sizeof(uint32_t)), read_store, free}}};
    store_config = config;
    return recall_new(&setup);
}

static int64_t limit_memory; /* less than a configuration may say: a small state is to reach it */

/* With a folder: restored from it. Returns the epoch. */
static int64_t engine_start(struct engine *engine, const char *settings, int shards, int folds, const char *state, uint64_t seed)
{
    uint64_t before = UINT64_MAX;
    int64_t epoch = 0;
    engine->config = config_of(settings);
    engine->config->limit_memory = limit_memory;
    engine->shards = shards;
    engine->folds = folds;
    if (engine->disk.write == NULL)
        engine->disk = disk_real();
    struct checkpoint_setup checkpoint = {.folder = state, .group = "test", .config_id = engine->config->id, .every_ms = 100, .shards = shards, .folds = folds,
                                          .clock = clock_by_hand(&hands), .disk = engine->disk};
    engine->checkpoint = NULL;
    if (state)
        cr_assert_eq(checkpoint_new(&checkpoint, &engine->checkpoint), 0, "%s", err_text());
    do {
        for (int s = 0; s < shards; s++) {
            engine->reader[s] = (struct reader){.shard = s, .shards = shards, .chance = {seed * 31 + (uint64_t)s + 1}};
            engine->source[s] = (struct source){.state = &engine->reader[s], .poll = poll_topic, .ready = ready, .inputs = inputs_of, .at_end = at_end,
                                                .pause = pause_nothing, .position = position, .close = close_nothing};
        }
        struct pipeline_setup setup = {.shards = shards, .folds = folds, .route = true, .at_ms = INT64_MIN, .clock = clock_by_hand(&hands), .source = engine->source,
                                       .sinks = 1, .sink = {store_sink(&store)}, .now = {true}, .checkpoint = engine->checkpoint};
        cr_assert_eq(pipeline_new(engine->config, &setup, &engine->pipeline), 0);
        if (state && (epoch = pipeline_restore(engine->pipeline, state, &before)) < 0)
            pipeline_free(engine->pipeline);
    } while (epoch < 0 && before > 0);
    engine->recall = state && epoch >= 0 ? recall_of_store(engine->config, folds) : NULL;
    if (engine->recall)
        pipeline_recall(engine->pipeline, engine->recall);
    for (int p = 0; p < PARTITIONS && epoch > 0; p++) {
        bool topic_known;
        int64_t next = pipeline_restored_offset(engine->pipeline, engine->config->topic_count ? engine->config->topic[0].name : "", p, &topic_known);
        cr_assert_geq(next, 0, "the checkpoint knows partition %d", p);
        engine->reader[p % shards].next[p] = next;
    }
    return epoch;
}

static void engine_kill(struct engine *engine)
{
    pipeline_free(engine->pipeline);
    recall_free(engine->recall);
    checkpoint_free(engine->checkpoint);
    config_free(engine->config);
}

static void engine_steps(struct engine *engine, int64_t steps)
{
    for (int64_t i = 0; i < steps; i++) {
        hands.monotonic_ms += 10;
        hands.wall_ms += 10;
        pipeline_step(engine->pipeline);
        if (engine->recall)
            (void)recall_step(engine->recall, hands.monotonic_ms);
    }
}

static bool engine_read_all(const struct engine *engine)
{
    for (int p = 0; p < PARTITIONS; p++)
        if (engine->reader[p % engine->shards].next[p] < topic[p].count)
            return false;
    return true;
}

/* Reads the rest, and ends: windows are final. */
static void engine_finish(struct engine *engine)
{
    for (int i = 0; i < 100000 && !engine_read_all(engine); i++)
        engine_steps(engine, 1);
    engine_steps(engine, 200);
    for (int i = 0; i < 1000 && engine->recall && !pipeline_recalled(engine->pipeline); i++)
        engine_steps(engine, 1);
    cr_expect(engine->recall == NULL || pipeline_recalled(engine->pipeline));
    pipeline_finish(engine->pipeline);
    engine_kill(engine);
}

/* ---- comparing ---- */

static int by_key(const void *a, const void *b)
{
    return strcmp(((const struct kept_row *)a)->key, ((const struct kept_row *)b)->key);
}

/* A row's JSON without what depends on when it was published, and without the configurations that had a part in it. */
static void strip(char *json)
{
    char *at = strstr(json, "\"revision\":"), *configs = strstr(json, ",\"configs\":["), *end = configs ? strchr(configs, ']') + 1 : NULL;
    for (; at && *at && *at != ','; at++)
        *at = '#';
    if (configs)
        memmove(configs, end, strlen(end) + 1);
}

/* Rows whose JSON has this text. */
static int rows_with(const char *text)
{
    int count = 0;
    for (uint32_t i = 0; i < store.count; i++)
        count += strstr(store.row[i].json, text) != NULL;
    return count;
}

struct picture {
    struct kept_row *row;
    uint32_t count;
};

static struct picture picture_of(struct row_store *from)
{
    struct picture picture = {calloc(from->count + 1, sizeof(struct kept_row)), from->count};
    for (uint32_t i = 0; i < from->count; i++) {
        picture.row[i] = (struct kept_row){.key = strdup(from->row[i].key), .json = strdup(from->row[i].json)};
        strip(picture.row[i].json);
    }
    qsort(picture.row, picture.count, sizeof *picture.row, by_key);
    return picture;
}

static void picture_free(struct picture *picture)
{
    for (uint32_t i = 0; i < picture->count; i++) {
        free(picture->row[i].key);
        free(picture->row[i].json);
    }
    free(picture->row);
}

static bool empty(const char *json)
{
    return strstr(json, "\"measures\":{}") != NULL;
}

/* Every row that has a figure, in both. */
static void expect_equal(const struct picture *want, const struct picture *got, const char *what)
{
    uint32_t a = 0, b = 0, wrong = 0;
    while (wrong < 3 && (a < want->count || b < got->count)) {
        int order = a == want->count ? 1 : b == got->count ? -1 : by_key(&want->row[a], &got->row[b]);
        const struct kept_row *left = order <= 0 ? &want->row[a++] : NULL, *right = order >= 0 ? &got->row[b++] : NULL;
        bool equal = left && right ? strcmp(left->json, right->json) == 0 || (empty(left->json) && empty(right->json)) : empty((left ? left : right)->json);
        wrong += !equal;
        cr_expect(equal, "%s: %s\n  want %.420s\n  got  %.420s", what, (left ? left : right)->key, left ? left->json : "none", right ? right->json : "none");
    }
}

static struct picture undisturbed(const char *settings)
{
    struct engine engine = {0};
    store_init(&store);
    engine_start(&engine, settings, 2, 1, NULL, 7);
    engine_finish(&engine);
    struct picture picture = picture_of(&store);
    store_close(&store);
    return picture;
}

static void begin(void)
{
    snprintf(folder, sizeof folder, "/tmp/esteem-checkpoint.XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    log_level_set(LOG_ERROR + 1);
}

static void end(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    cr_assert_eq(system(command), 0);
    drop_feed();
}

TestSuite(checkpoint, .init = begin, .fini = end);

/* Whether rows of what is now are among them, with each gauge of contacts, and agents in one state or the other. */
static void expect_present(const struct picture *picture)
{
    for (int m = MEASURE_waiting; m <= MEASURE_agents_ready; m++) {
        char member[40];
        bool any = false;
        snprintf(member, sizeof member, m == MEASURE_agents_ready ? "\"agents_" : "\"%s\":", measure_names[m]);
        for (uint32_t i = 0; i < picture->count && !any; i++)
            any = strncmp(picture->row[i].key, "now ", 4) == 0 && strstr(picture->row[i].json, member);
        cr_expect(any, "%s in no row", measure_names[m]);
    }
}

/* Kills at random steps; `shards_of` says how many shards and folds the next life has. */
static void torture(uint64_t seed, bool change_threads)
{
    make_feed(seed, 1500);
    struct picture want = undisturbed(SETTINGS);
    expect_present(&want);
    struct chance chance = {seed * 7 + 1};
    struct engine engine = {0};
    int lives = 0, restored = 0;
    store_init(&store);
    for (;; lives++) {
        int shards = change_threads ? 1 + (int)chance_below(&chance, SHARDS) : 2, folds = change_threads ? 1 + (int)chance_below(&chance, 3) : 1;
        restored += engine_start(&engine, SETTINGS, shards, folds, folder, chance_next(&chance)) > 0;
        engine_steps(&engine, 1 + chance_below(&chance, 60));
        if (lives == 25 || engine_read_all(&engine))
            break;
        engine_kill(&engine);
    }
    engine_finish(&engine);
    cr_expect_gt(restored, 3, "only %d of %d lives began from a checkpoint", restored, lives);
    struct picture got = picture_of(&store);
    char what[64];
    snprintf(what, sizeof what, "seed %" PRIu64 ", %d lives", seed, lives + 1);
    expect_equal(&want, &got, what);
    cr_expect_gt(want.count, 100);
    picture_free(&want);
    picture_free(&got);
    store_close(&store);
}

Test(checkpoint, a_kill_at_any_step_changes_no_row)
{
    for (uint64_t seed = 1; seed <= 4; seed++) {
        torture(seed, false);
        end();
        begin();
    }
}

Test(checkpoint, threads_may_be_more_or_fewer_after_a_kill)
{
    for (uint64_t seed = 11; seed <= 14; seed++) {
        torture(seed, true);
        end();
        begin();
    }
}

static void count_eligible(void *context, struct row *row)
{
    *(int *)context += row->eligible > 0;
    row_free(row);
}

/* Figures of final rows come from the checkpoint alone, eligible agents too: told again, they are what they were, to the revision. */
Test(checkpoint, a_restart_says_the_same_of_windows_that_are_final)
{
    make_feed(51, 3000);
    struct engine engine = {0};
    store_init(&store);
    engine_start(&engine, SETTINGS, 2, 1, folder, 3);
    while (!engine_read_all(&engine))
        engine_steps(&engine, 1);
    engine_steps(&engine, 7000); /* 70 s: every row has gone out at its pace */
    engine_kill(&engine);
    struct row_store before = store;
    store_init(&store);
    cr_expect_gt(engine_start(&engine, SETTINGS, 2, 2, folder, 4), 0);
    engine_steps(&engine, 300);
    int finals = 0, eligible = 0;
    for (uint32_t i = 0; i < before.count; i++) {
        const char *now = NULL, *was = before.row[i].json;
        if (strstr(was, "\"final\":true") == NULL || empty(was))
            continue;
        for (uint32_t j = 0; j < store.count && now == NULL; j++)
            now = strcmp(store.row[j].key, before.row[i].key) == 0 ? store.row[j].json : NULL;
        cr_expect(now && strcmp(now, was) == 0, "%s\n  was %.400s\n  is  %.400s", before.row[i].key, was, now ? now : "none");
        finals++;
        eligible += strstr(was, "eligible_agents") != NULL;
    }
    cr_expect(finals > 20 && eligible > 5, "%d final rows, %d with eligible agents", finals, eligible);
    engine_kill(&engine);
    engine_start(&engine, SETTINGS, 2, 1, folder, 5);
    int at_once = 0;
    pipeline_rows(engine.pipeline, count_eligible, &at_once); /* before anybody takes a step: folds may be faster than shards */
    cr_expect_geq(at_once, eligible);
    engine_kill(&engine);
    store_close(&before);
    store_close(&store);
}

/* ---- roster.file ---- */

/* SETTINGS with a roster of this text; the file is in the folder's place until the config is read. */
static const char *with_roster(const char *text)
{
    static char settings[1024];
    char path[96];
    (void)snprintf(path, sizeof path, "%s.csv", folder);
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    fputs(text, file);
    fclose(file);
    (void)snprintf(settings, sizeof settings, "%sroster: {file: %s}\n", SETTINGS, path);
    return settings;
}

/* Two rosters in turn, by lives; what counts at the end is the last one, as if it had always been there. */
Test(checkpoint, a_roster_file_may_change_between_and_within_lives)
{
    static const char *const one = "agent,team,from,until,tenant\na1,t7,,,acme\na2,t7,,2026-11-22T14:20:00Z,acme\na3,t8,2026-11-22T14:10:00Z,,acme\n";
    static const char *const two = "agent,team,from,until,tenant\na1,t8,,,acme\na3,t8,2026-11-22T14:10:00Z,,acme\na5,t7,,2026-11-22T14:30:00Z,acme\n";
    char command[128];
    for (uint64_t seed = 61; seed < 65; seed++) {
        make_feed(seed, 1500);
        struct picture want = undisturbed(with_roster(two));
        struct chance chance = {seed};
        struct engine engine = {0};
        store_init(&store);
        for (int lives = 0; lives < 20 && !(lives && engine_read_all(&engine)); lives++) {
            if (lives)
                engine_kill(&engine);
            engine_start(&engine, with_roster(lives % 2 ? one : two), 1 + (int)chance_below(&chance, SHARDS), 1 + (int)chance_below(&chance, 3), folder, chance_next(&chance));
            engine_steps(&engine, 1 + chance_below(&chance, 60));
            if (lives % 3 == 0) { /* a reload */
                pipeline_reload(engine.pipeline, config_of(with_roster(lives % 2 ? two : one)));
                engine_steps(&engine, 1 + chance_below(&chance, 30));
            }
        }
        pipeline_reload(engine.pipeline, config_of(with_roster(two)));
        engine_finish(&engine);
        struct picture got = picture_of(&store);
        expect_equal(&want, &got, "roster.file");
        cr_expect_gt(want.count, 100);
        picture_free(&want);
        picture_free(&got);
        store_close(&store);
        (void)snprintf(command, sizeof command, "rm -f %s.csv", folder);
        cr_assert_eq(system(command), 0);
        end();
        begin();
    }
}

/* ---- disks ---- */

static int64_t disk_room; /* bytes that may still be written; below 0: no bound */

static int write_bounded(void *context, const char *path, int file, const void *bytes, size_t length)
{
    if (disk_room >= 0 && (disk_room -= (int64_t)length) < 0) {
        disk_room = 0;
        return err_set(ERR_IO, "%s: No space left on device", path);
    }
    struct disk real = disk_real();
    return real.write(context, path, file, bytes, length);
}

Test(checkpoint, a_full_disk_stops_nothing_and_is_counted)
{
    make_feed(21, 1500);
    struct picture want = undisturbed(SETTINGS);
    struct engine engine = {.disk = disk_real()};
    engine.disk.write = write_bounded;
    store_init(&store);
    disk_room = 40000;
    engine_start(&engine, SETTINGS, 2, 1, folder, 3);
    for (int i = 0; i < 400 && checkpoint_counts(engine.checkpoint).failed < 3; i++)
        engine_steps(&engine, 1);
    cr_expect_geq(checkpoint_counts(engine.checkpoint).failed, 3);
    disk_room = -1;
    uint64_t before = checkpoint_counts(engine.checkpoint).written;
    engine_steps(&engine, 60);
    cr_expect_gt(checkpoint_counts(engine.checkpoint).written, before, "there is room again");
    engine_kill(&engine);
    cr_expect_gt(engine_start(&engine, SETTINGS, 3, 1, folder, 4), 0);
    engine_finish(&engine);
    struct picture got = picture_of(&store);
    expect_equal(&want, &got, "after a full disk");
    picture_free(&want);
    picture_free(&got);
    store_close(&store);
}

/* How often the log says it, of what was written to `log` in place of standard error. */
static int said(FILE *log, const char *event)
{
    char line[2048];
    int count = 0;
    rewind(log);
    while (fgets(line, sizeof line, log))
        count += strstr(line, event) != NULL;
    return count;
}

Test(checkpoint, a_full_disk_is_told_once_a_minute_and_anew_after_one_that_was_written)
{
    struct engine engine = {.disk = disk_real()};
    FILE *log = tmpfile();
    int before = dup(STDERR_FILENO);
    make_feed(22, 1500);
    engine.disk.write = write_bounded;
    store_init(&store);
    disk_room = 0;
    engine_start(&engine, SETTINGS, 2, 1, folder, 3);
    fflush(stderr);
    log_level_set(LOG_ERROR);
    dup2(fileno(log), STDERR_FILENO);
    engine_steps(&engine, 3000);
    int half_a_minute = said(log, "checkpoint.failed");
    engine_steps(&engine, 3600);
    int beyond_a_minute = said(log, "checkpoint.failed");
    disk_room = -1;
    engine_steps(&engine, 100);
    disk_room = 0;
    engine_steps(&engine, 100);
    int full_again = said(log, "checkpoint.failed");
    dup2(before, STDERR_FILENO);
    close(before);
    fclose(log);
    cr_expect_gt(checkpoint_counts(engine.checkpoint).failed, 3);
    cr_expect_gt(checkpoint_counts(engine.checkpoint).written, 0);
    cr_expect_eq(half_a_minute, 1);
    cr_expect_eq(beyond_a_minute, 2);
    cr_expect_eq(full_again, 3);
    engine_kill(&engine);
    store_close(&store);
}

/* ---- a disk that hangs: a state thread of its own stands in a write, while shards and folds are stepped on ---- */

static _Atomic bool disk_hangs, state_stops;

static int write_hanging(void *context, const char *path, int file, const void *bytes, size_t length)
{
    while (atomic_load(&disk_hangs))
        usleep(1000);
    struct disk real = disk_real();
    return real.write(context, path, file, bytes, length);
}

static void *state_run(void *checkpoint)
{
    while (!atomic_load(&state_stops))
        if (checkpoint_step(checkpoint) == 0)
            usleep(500);
    return NULL;
}

/* Returns the most memory that a late chain has taken. */
static uint64_t agents_steps(struct engine *engine, int64_t steps)
{
    struct pipeline *pipeline = engine->pipeline;
    uint64_t most = 0;
    int goodbyes = 0;
    for (int64_t i = 0; i < steps; i++) {
        hands.monotonic_ms += 10;
        hands.wall_ms += 10;
        (void)shard_agent_step(&pipeline->shard[0], 0, false);
        (void)fold_agent_step(&pipeline->fold[0], hands.wall_ms, &goodbyes);
        (void)publisher_step(&pipeline->publisher[0].publisher, hands.monotonic_ms);
        uint64_t late = shard_slice(pipeline->shard[0].shard)->late_bytes + pipeline->fold[0].out.late_bytes;
        most = late > most ? late : most;
    }
    return most;
}

static void contacts_say(const char *type, int contacts, int64_t after_ms)
{
    for (int c = 0; c < contacts; c++)
        say(c % PARTITIONS, "{\"id\":\"%s%d\",\"type\":\"interaction.%s\",\"time\":%" PRId64 ",\"tenant\":\"acme\",\"interaction\":\"c%d\",\"queue\":\"q%d\"}",
            type, c, type, T + c * 10 + after_ms, c, c % 5);
}

enum { CONTACTS = 300000 };

/* The state is larger than what the rings and the agent hold of it ready to be written, so the rest of it has to be kept as it changes. */
Test(checkpoint, a_disk_that_hangs_costs_no_more_memory_than_its_share, .timeout = 120)
{
    limit_memory = 16 << 20; /* two agents: a MiB each for what changes meanwhile */
    contacts_say("offered", CONTACTS, 0);
    read_most = 4096;
    struct engine engine = {.disk = disk_real()};
    pthread_t state;
    engine.disk.write = write_hanging;
    store_init(&store);
    engine_start(&engine, SETTINGS, 1, 1, folder, 3);
    for (int i = 0; i < 10000 && !engine_read_all(&engine); i++)
        agents_steps(&engine, 1);
    contacts_say("answered", CONTACTS, 5000);
    atomic_store(&disk_hangs, true);
    atomic_store(&state_stops, false);
    cr_assert_eq(pthread_create(&state, NULL, state_run, engine.checkpoint), 0);
    bool full;
    uint64_t epoch = checkpoint_now(engine.checkpoint);
    for (int i = 0; i < 5000 && checkpoint_wanted(engine.checkpoint, 0, &full) < epoch; i++)
        usleep(1000);
    uint64_t most = 0;
    for (int i = 0; i < 10000 && !engine_read_all(&engine); i++) {
        uint64_t late = agents_steps(&engine, 1);
        most = late > most ? late : most;
    }
    uint64_t bound = 2 * slice_late_most(limit_memory, 2);
    cr_expect(most > bound / 4 && most <= bound, "%" PRIu64 " bytes were kept, the bound is %" PRIu64, most, bound);
    atomic_store(&disk_hangs, false);
    for (int i = 0; i < 5000 && checkpoint_counts(engine.checkpoint).written == 0; i++, usleep(1000))
        agents_steps(&engine, 10);
    cr_expect_eq(checkpoint_counts(engine.checkpoint).failed, 1, "it is given up, and counted");
    cr_expect_geq(checkpoint_counts(engine.checkpoint).written, 1, "and the next one is whole");
    atomic_store(&state_stops, true);
    pthread_join(state, NULL);
    engine_kill(&engine);
    store_close(&store);
    struct picture want = undisturbed(SETTINGS);
    store_init(&store);
    cr_expect_gt(engine_start(&engine, SETTINGS, 2, 1, folder, 4), 0);
    engine_finish(&engine);
    struct picture got = picture_of(&store);
    expect_equal(&want, &got, "after a disk that hung");
    picture_free(&want);
    picture_free(&got);
    store_close(&store);
}

/* Turns a bit in the middle of a file. */
static void damage(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "r+b");
    cr_assert_not_null(file, "%s", path);
    fseek(file, 0, SEEK_END);
    long at = ftell(file) / 2;
    fseek(file, at, SEEK_SET);
    int byte = getc(file);
    fseek(file, at, SEEK_SET);
    putc(byte ^ 16, file);
    fclose(file);
}

static void damage_newest(bool manifest_too)
{
    uint64_t epochs[STATE_GENERATIONS_MAX];
    static struct manifest manifest;
    cr_assert_gt(manifest_list(folder, epochs), 1, "two generations are kept");
    cr_assert_eq(manifest_read(folder, epochs[0], &manifest), 0);
    char name[64];
    snprintf(name, sizeof name, "%010" PRIu64 ".manifest", epochs[0]);
    const struct state_slice *slice = &manifest.slice[1];
    damage(manifest_too ? name : slice->file[slice->files - 1].name);
}

Test(checkpoint, a_damaged_one_gives_way_to_the_one_before)
{
    make_feed(22, 1500);
    struct picture want = undisturbed(SETTINGS);
    for (int manifest_too = 0; manifest_too < 2; manifest_too++) {
        struct engine engine = {0};
        store_init(&store);
        engine_start(&engine, SETTINGS, 2, 1, folder, 3);
        engine_steps(&engine, 150);
        uint64_t last = checkpoint_lasting(engine.checkpoint);
        engine_kill(&engine);
        damage_newest(manifest_too);
        int64_t epoch = engine_start(&engine, SETTINGS, 2, 2, folder, 4);
        cr_expect(epoch > 0 && (uint64_t)epoch < last, "epoch %" PRId64 " instead of %" PRIu64, epoch, last);
        engine_finish(&engine);
        struct picture got = picture_of(&store);
        expect_equal(&want, &got, "from the one before");
        picture_free(&got);
        store_close(&store);
    }
    picture_free(&want);
}

Test(checkpoint, when_none_is_whole_it_says_so)
{
    make_feed(23, 500);
    struct engine engine = {0};
    store_init(&store);
    engine_start(&engine, SETTINGS, 2, 1, folder, 3);
    engine_steps(&engine, 60);
    engine_kill(&engine);
    char command[160];
    snprintf(command, sizeof command, "for f in %s/*.slice; do echo x >>$f; done", folder);
    cr_assert_eq(system(command), 0);
    cr_expect_eq(engine_start(&engine, SETTINGS, 2, 1, folder, 4), ERR_DATA);
    cr_expect_neq(strstr(err_text(), "bytes instead of"), NULL, "%s", err_text());
    checkpoint_free(engine.checkpoint);
    config_free(engine.config);
    store_close(&store);
}

Test(checkpoint, a_second_process_may_not_have_the_folder)
{
    struct engine engine = {0};
    struct checkpoint *second;
    store_init(&store);
    engine_start(&engine, SETTINGS, 1, 1, folder, 3);
    struct checkpoint_setup setup = {.folder = folder, .group = "test", .config_id = "x", .every_ms = 100, .shards = 1, .folds = 1, .clock = clock_by_hand(&hands),
                                     .disk = disk_real()};
    cr_expect_eq(checkpoint_new(&setup, &second), ERR_FENCED);
    engine_kill(&engine);
    store_close(&store);
}

/* ---- since when the sinks may hold rows that it does not know ---- */

static int64_t told_since(const char *state, int back)
{
    uint64_t epochs[STATE_GENERATIONS_MAX];
    static struct manifest manifest;
    cr_assert_gt(manifest_list(state, epochs), back);
    cr_assert_eq(manifest_read(state, epochs[back], &manifest), 0, "%s", err_text());
    return manifest.told_since_ms;
}

Test(checkpoint, it_says_since_when_rows_may_have_been_told_that_it_does_not_know)
{
    make_feed(25, 500);
    struct engine engine = {0};
    store_init(&store);
    engine_start(&engine, SETTINGS, 2, 1, folder, 3);
    engine_steps(&engine, 60);
    cr_expect_eq(told_since(folder, 0), INT64_MIN, "what lives before the first one have told is not known");
    checkpoint_recalled(engine.checkpoint);
    engine_steps(&engine, 60);
    int64_t since_ms = told_since(folder, 0);
    cr_expect(since_ms > hands.wall_ms - TOLD_MARGIN_MS - 2000 && since_ms <= hands.wall_ms - TOLD_MARGIN_MS, "%" PRId64, since_ms - hands.wall_ms);
    engine_kill(&engine);
    hands.wall_ms += 3600000;
    engine_start(&engine, SETTINGS, 2, 1, folder, 4);
    cr_expect_eq(pipeline_told_since(engine.pipeline), since_ms);
    checkpoint_told_since(engine.checkpoint, pipeline_told_since(engine.pipeline));
    engine_steps(&engine, 60);
    cr_expect_eq(told_since(folder, 0), since_ms, "it stays so until the sinks have been read");
    checkpoint_recalled(engine.checkpoint);
    engine_steps(&engine, 60);
    cr_expect_gt(told_since(folder, 0), since_ms + 3000000);
    engine_kill(&engine);
    store_close(&store);
}

Test(checkpoint, one_of_an_older_version_says_when_it_was_written)
{
    cr_expect_eq(told_since("tests/state/1", 0), T + 3000 - TOLD_MARGIN_MS, "run from the project's top level");
}

/* ---- other settings after the restart ---- */

/* Scopes and windows that stay are as if they had always been there alone. */
Test(checkpoint, scopes_and_windows_may_change_at_a_restart)
{
    static const char *const later = "time: {mode: replay, out_of_order: 30m, idle_after: 1h}\nretention: {ids: 8d}\n"
                                     "windows: {rolling: [10m, 1h], calendar: [hour, day]}\nscopes: [[], [agent], [team]]\npublish: {tick: 100ms}\n";
    make_feed(24, 1500);
    struct picture want = undisturbed(later);
    struct engine engine = {0};
    store_init(&store);
    engine_start(&engine, SETTINGS, 2, 1, folder, 3);
    engine_steps(&engine, 150);
    engine_kill(&engine);
    store_close(&store);
    store_init(&store);
    cr_expect_gt(engine_start(&engine, later, 2, 1, folder, 4), 0);
    engine_finish(&engine);
    cr_expect_gt(rows_with("\"configs\":["), 0, "rows that straddle the restart name both configurations");
    struct picture got = picture_of(&store);
    expect_equal(&want, &got, "other windows");
    picture_free(&want);
    picture_free(&got);
    store_close(&store);
}

/* What is derived under settings of before is taken back under them: an event more of each contact, once the last settings are in force, and all is
 * as if they had always been. Agents' states stand alone, and keep what they were derived under. */
#define UNDER(windows, scopes, metrics) "time: {mode: replay, out_of_order: 30m, idle_after: 1h}\nretention: {ids: 8d}\npublish: {tick: 100ms}\n" \
                                        "windows: {" windows "}\nscopes: [[], [team], [agent]" scopes "]\nmetrics: {" metrics "}\n"

static const char *const under[] = {
    UNDER("rolling: [1m, 10m, 2h], calendar: [quarter_hour, hour, day]", ", [queue], [channel], [channel, queue], [team, queue]", "csat: {top_box: 4}"),
    UNDER("rolling: [1m], calendar: [quarter_hour, hour, day, week]", ", [queue]", "csat: {top_box: 5}, service_level: {threshold: 5s}"),
    UNDER("rolling: [], calendar: [quarter_hour, hour, day]", ", [channel, queue], [team, channel]", "survey: {attribution: interaction}"),
    UNDER("rolling: [2h], calendar: [quarter_hour, hour, day]", ", [channel], [queue, agent]", "service_level: {short_abandon: 1h, rules: [{match: {queue: q1}, threshold: 31s}]}"),
    UNDER("rolling: [30s, 2h], calendar: [quarter_hour, hour, day, month]", ", [queue], [channel]", "csat: {top_box: 1}"),
};
enum { UNDER_COUNT = sizeof under / sizeof *under };

static void touch_all(int contacts)
{
    static const char name[] = {'c', 'l', 'p'};
    for (int i = 0; i < contacts * 3; i++)
        if (i % 3 == 0 || (i % 3 == 1 && i / 3 % 10 == 0) || (i % 3 == 2 && i / 3 % 11 == 0))
            say(i % PARTITIONS, "{\"id\":\"touch\",\"type\":\"recognition.given\",\"time\":%" PRId64 ",\"tenant\":\"acme\",\"interaction\":\"%c%d\"}",
                T + i / 3 * INT64_C(2000) + 9000, name[i % 3], i / 3);
}

/* Windows and scopes that the last settings have not. */
static bool is_of_before(const char *key)
{
    bool queue = strstr(key, "queue="), channel = strstr(key, "channel=");
    return strncmp(key, "week ", 5) == 0 || strncmp(key, "month ", 6) == 0 || (strstr(key, "agent=") && queue) || (strstr(key, "team=") && channel);
}

static void leave_out(char *json, const char *metric)
{
    char *at = strstr(json, metric), *end = at ? strchr(at, '}') + 1 : NULL;
    if (at == NULL)
        return;
    end += *end == ',';
    at -= *end == '}' && at[-1] == ',';
    memmove(at, end, strlen(end) + 1);
}

/* What takes figures of rows that say since is not there. Rolling rows say since when they are whole, and are left out; calendar ones say so of their scope, and are whole all the same, by the events more. */
static void leave_out_since(struct picture *picture)
{
    static const char *const across[] = {"\"csat_gap\":", "\"nps_gap\":", "\"aht_gap_ms\":", "\"sl_gap\":", "\"conversion_lift\":"};
    for (uint32_t i = 0; i < picture->count; i++) {
        for (size_t m = 0; m < sizeof across / sizeof *across; m++)
            leave_out(picture->row[i].json, across[m]);
        char *json = picture->row[i].json, *since = strstr(json, ",\"since\":\""), *partial = strstr(json, "\"partial\":true");
        if (picture->row[i].key[0] <= '9' || is_of_before(picture->row[i].key)) {
            strcpy(json, "\"measures\":{}");
        } else if (since && partial) {
            char *after = strchr(since + strlen(",\"since\":\""), '"') + 1;
            memcpy(partial, "\"partial\":false", 15); /* since comes right behind it */
            memmove(partial + 15, after, strlen(after) + 1);
        }
    }
}

Test(checkpoint, settings_may_change_between_and_within_lives)
{
    enum { COUNT = 600 };
    for (uint64_t seed = 71; seed < 74; seed++) {
        struct chance chance = {seed};
        struct engine engine = {0};
        make_feed(seed, COUNT);
        store_init(&store);
        for (int lives = 0; lives < 15 && !(lives && engine_read_all(&engine)); lives++) {
            if (lives)
                engine_kill(&engine);
            engine_start(&engine, under[chance_below(&chance, UNDER_COUNT)], 1 + (int)chance_below(&chance, SHARDS), 1 + (int)chance_below(&chance, 3), folder,
                         chance_next(&chance));
            engine_steps(&engine, 1 + chance_below(&chance, 60));
            if (lives % 3 == 0) {
                pipeline_reload(engine.pipeline, config_of(under[chance_below(&chance, UNDER_COUNT)]));
                engine_steps(&engine, 1 + chance_below(&chance, 30));
            }
        }
        engine_kill(&engine);
        engine_start(&engine, under[0], 1 + (int)chance_below(&chance, SHARDS), 1 + (int)chance_below(&chance, 3), folder, chance_next(&chance));
        for (int i = 0; i < 10000 && !engine_read_all(&engine); i++)
            engine_steps(&engine, 1);
        touch_all(COUNT);
        engine_finish(&engine);
        struct picture got = picture_of(&store);
        store_close(&store);
        struct picture want = undisturbed(under[0]);
        leave_out_since(&want);
        leave_out_since(&got);
        expect_equal(&want, &got, "settings");
        cr_expect_gt(want.count, 100);
        picture_free(&want);
        picture_free(&got);
        end();
        begin();
    }
}

#define ROLLING(windows) "time: {mode: replay, out_of_order: 30m, idle_after: 1h}\nretention: {ids: 8d}\npublish: {tick: 100ms}\nscopes: [[], [queue]]\n" \
                         "windows: {rolling: [" windows "], calendar: [hour]}\n"

/* Each restart brings a narrower one, and what lies in panes of two minutes cannot be told apart by any of them. Then all go, and one comes back. */
Test(checkpoint, rolling_windows_may_come_one_restart_after_the_other)
{
    static const char *const list[] = {ROLLING("2h"), ROLLING("1m, 2h"), ROLLING("30s, 1m, 2h"), ROLLING(""), ROLLING("1m")};
    make_feed(26, 1500);
    struct engine engine = {0};
    for (int life = 0; life < 5; life++) {
        store_init(&store);
        cr_expect(engine_start(&engine, list[life], 2, 1 + life % 2, folder, 3 + (uint64_t)life) > 0 || life == 0);
        for (int i = 0; i < 1000 && !engine_read_all(&engine); i++)
            engine_steps(&engine, 1);
        engine_steps(&engine, 100);
        int came = rows_with("\"window\":\"30s\"") + rows_with("\"window\":\"1m\"");
        cr_expect_eq(rows_with("\"since\":"), came, "life %d: of %d rows %d say since when", life, came, rows_with("\"since\":"));
        cr_expect((came > 0) == (life == 1 || life == 2 || life == 4), "life %d", life);
        engine_kill(&engine);
        store_close(&store);
    }
}

/* Before any shard has said a word: what was read is known from the checkpoint. */
Test(checkpoint, a_reload_may_bring_windows_right_after_a_restart)
{
    make_feed(27, 1500);
    struct engine engine = {0};
    for (int life = 0; life < 2; life++) {
        store_init(&store);
        engine_start(&engine, ROLLING(""), 2, 1, folder, 3);
        if (life)
            pipeline_reload(engine.pipeline, config_of(ROLLING("1m")));
        for (int i = 0; i < 1000 && !engine_read_all(&engine); i++)
            engine_steps(&engine, 1);
        engine_steps(&engine, 100);
        int came = rows_with("\"window\":\"1m\"");
        cr_expect_eq(rows_with("\"since\":"), came);
        cr_expect((came > 0) == life);
        engine_kill(&engine);
        store_close(&store);
    }
}

/* A calendar window that a restart brings begins with the first that starts after all that was read; all of this feed is one day. */
Test(checkpoint, a_restart_may_bring_the_first_calendar_window)
{
    static const char *const none = UNDER("calendar: []", "", ""), *const day = UNDER("calendar: [day]", "", "");
    make_feed(28, 1500);
    struct engine engine = {0};
    store_init(&store);
    engine_start(&engine, none, 2, 1, folder, 3);
    engine_steps(&engine, 150);
    engine_kill(&engine);
    cr_expect_gt(engine_start(&engine, day, 2, 1, folder, 4), 0);
    engine_finish(&engine);
    cr_expect_eq(rows_with("\"window\":\"day\""), 0);
    store_close(&store);
}

/* Two more lives in another zone: a row is whole, or says since when. Hours lie alike in both. */
Test(checkpoint, another_time_zone_says_since_when)
{
    static const char *const utc = UNDER("calendar: [quarter_hour, hour, day, week]", "", ""),
                      *const helsinki = UNDER("timezone: Europe/Helsinki, calendar: [quarter_hour, hour, day, week]", "", "");
    make_feed(29, 1500);
    struct engine engine = {0};
    store_init(&store);
    engine_start(&engine, utc, 2, 2, folder, 3);
    engine_steps(&engine, 80);
    engine_kill(&engine);
    store_close(&store);
    store_init(&store);
    cr_expect_gt(engine_start(&engine, helsinki, 2, 1, folder, 4), 0);
    engine_steps(&engine, 40);
    engine_kill(&engine);
    cr_expect_gt(engine_start(&engine, helsinki, 1, 2, folder, 5), 0);
    engine_finish(&engine);
    struct picture got = picture_of(&store);
    store_close(&store);
    struct picture want = undisturbed(helsinki);
    int since = 0;
    cr_assert_eq(got.count, want.count);
    for (uint32_t i = 0; i < got.count; i++) {
        bool day = strncmp(got.row[i].key, "day", 3) == 0 || strncmp(got.row[i].key, "week", 4) == 0, told = strstr(got.row[i].json, "\"since\":") != NULL;
        bool rolling = got.row[i].key[0] <= '9';
        cr_expect(rolling || day || !told, "%s", got.row[i].json);
        since += told;
        if (told || rolling)
            strcpy(got.row[i].json, strcpy(want.row[i].json, "\"measures\":{}"));
    }
    cr_expect_gt(since, 10);
    expect_equal(&want, &got, "another zone");
    picture_free(&want);
    picture_free(&got);
}

/* Channels that came by a reload are whole later than the tenant: until then the tenant's row is not held against them. */
Test(checkpoint, what_is_not_whole_is_compared_with_nothing)
{
    static const char *const without = UNDER("rolling: [], calendar: [day]", "", "min_n: 1"), *const with = UNDER("rolling: [], calendar: [day]", ", [channel]", "min_n: 1");
    make_feed(31, 1500);
    struct engine engine = {0};
    store_init(&store);
    engine_start(&engine, without, 2, 1, folder, 3);
    engine_steps(&engine, 150);
    pipeline_reload(engine.pipeline, config_of(with));
    engine_finish(&engine);
    cr_expect_gt(rows_with("\"scope\":{\"channel\""), 0);
    cr_expect_eq(rows_with("_gap\""), 0);
    cr_expect_eq(rows_with("conversion_lift\""), 0);
    store_close(&store);
    struct picture whole = undisturbed(with);
    int gaps = 0, lifts = 0;
    for (uint32_t i = 0; i < whole.count; i++) {
        gaps += strstr(whole.row[i].json, "\"sl_gap\"") != NULL;
        lifts += strstr(whole.row[i].json, "\"conversion_lift\"") != NULL;
    }
    cr_expect(gaps && lifts);
    picture_free(&whole);
}

#define LIVES "time: {mode: replay, out_of_order: 30m, idle_after: 1h}\nretention: {ids: 8d}\npublish: {tick: 100ms}\nwindows: {rolling: [1h], calendar: [hour, day"

/* Two more lives under a configuration with a scope more: what the first of them said of since when stays said. */
Test(checkpoint, what_a_restart_brought_says_since_when_also_after_the_next)
{
    static const char *const first = LIVES "]}\nscopes: [[], [agent]]\n", *const then = LIVES "]}\nscopes: [[], [agent], [team]]\n";
    make_feed(25, 1500);
    struct engine engine = {0};
    store_init(&store);
    engine_start(&engine, first, 2, 1, folder, 3);
    engine_steps(&engine, 150);
    engine_kill(&engine);
    for (int life = 0; life < 2; life++) {
        store_close(&store);
        store_init(&store);
        cr_expect_gt(engine_start(&engine, then, 2, 1, folder, 4 + (uint64_t)life), 0);
        engine_steps(&engine, 40);
        int since = 0, days = 0;
        for (uint32_t i = 0; i < store.count; i++) {
            bool day = strstr(store.row[i].json, "\"window\":\"day\"") && strstr(store.row[i].json, "\"scope\":{\"team\"");
            days += day;
            since += day && strstr(store.row[i].json, "\"since\":") != NULL;
        }
        cr_expect(days > 0 && since == days, "life %d: %d of %d days of teams say since when", life, since, days);
        engine_kill(&engine);
    }
    store_close(&store);
}

/* A life of its own: reads what there is, shows it, and is killed; the sink stays. */
static void live(const char *settings, int folds)
{
    struct engine engine = {0};
    engine_start(&engine, settings, 2, folds, folder, 3);
    for (int i = 0; i < 1000 && !engine_read_all(&engine); i++)
        engine_steps(&engine, 1);
    engine_steps(&engine, 400);
    cr_expect(engine.recall == NULL || pipeline_recalled(engine.pipeline));
    engine_kill(&engine);
}

static void say_contact(const char *id, int64_t at_ms, const char *queue)
{
    say(0, "{\"id\":\"e\",\"type\":\"interaction.completed\",\"time\":%" PRId64 ",\"tenant\":\"acme\",\"interaction\":\"%s\",\"queue\":\"%s\",\"talk_ms\":60000}",
        at_ms, id, queue);
}

static const char *shown(const char *window, const char *scope, int64_t start_ms)
{
    char key[128];
    snprintf(key, sizeof key, "%s acme %s %" PRId64, window, scope, start_ms);
    for (uint32_t i = 0; i < store.count; i++)
        if (strcmp(store.row[i].key, key) == 0)
            return store.row[i].json;
    return "none";
}

#define SHORT "time: {mode: replay, out_of_order: 0s, lateness: 0s, idle_after: 1s}\npublish: {tick: 100ms}\n"

/* Neither what comes late nor the names in the sink make a window anew that an earlier life had let go. */
Test(checkpoint, more_correction_does_not_bring_back_what_was_beyond_it)
{
    static const char *const less = SHORT "scopes: [[], [queue]]\nretention: {correction: 1h}\nwindows: {rolling: [], calendar: [half_hour]}\n",
                      *const more = SHORT "scopes: [[], [queue]]\nretention: {correction: 8d}\nwindows: {rolling: [], calendar: [half_hour]}\n";
    store_init(&store);
    say_contact("a", T, "q1");
    say_contact("b", T + MIN, "q1");
    say_contact("c", T + H, "q1");
    say_contact("d", T + 6 * H, "q1");
    live(less, 1);
    say_contact("e", T + 7 * H, "q1"); /* by now all have had the rows of before */
    live(less, 1);
    say_contact("late", T + 2 * MIN, "q1");
    for (int lives = 0; lives < 2; lives++) {
        live(more, 1 + lives);
        cr_expect(strstr(shown("half_hour", "queue=q1", T), "\"closed\":2"), "%s", shown("half_hour", "queue=q1", T));
        cr_expect(strstr(shown("half_hour", "all", T + H), "\"closed\":1"), "%s", shown("half_hour", "all", T + H));
    }
    store_close(&store);
}

/* Sent again, a contact that was forgotten under a shorter retention is too late, as it was before the restart; what comes behind it is kept for longer. */
Test(checkpoint, more_retention_does_not_count_twice_what_was_forgotten)
{
    static const char *const less = SHORT "scopes: [[], [queue]]\nretention: {interaction: 1h}\nwindows: {rolling: [1d], calendar: [hour]}\n",
                      *const more = SHORT "scopes: [[], [queue]]\nretention: {interaction: 7d}\nwindows: {rolling: [1d], calendar: [hour]}\n";
    store_init(&store);
    say_contact("a", T, "q1");
    say_contact("b", T + 6 * H, "q1");
    live(less, 1);
    for (int lives = 0; lives < 2; lives++) {
        say_contact("a", T, "q1");
        say_contact("late", T + 5 * H, "q1");
        say_contact("c", T + 9 * H, "q1");
        live(more, 1 + lives);
        cr_expect(strstr(shown("hour", "queue=q1", T), "\"closed\":1"), "%s", shown("hour", "queue=q1", T));
        cr_expect(strstr(shown("hour", "queue=q1", T + 5 * H), "\"closed\":1"), "%s", shown("hour", "queue=q1", T + 5 * H));
    }
    store_close(&store);
}

/* With room for it, a queue that was in __other__ gets a key of its own, which lacks what came before. */
Test(checkpoint, more_keys_say_since_when_they_are_whole)
{
    static const char *const less = SHORT "scopes: [[], [queue]]\nlimits: {keys: 1}\nwindows: {rolling: [], calendar: [hour, day]}\n",
                      *const more = SHORT "scopes: [[], [queue]]\nlimits: {keys: 10}\nwindows: {rolling: [], calendar: [hour, day]}\n";
    store_init(&store);
    say_contact("a", T, "q1");
    live(less, 1);
    say_contact("b", T + MIN, "q2");
    live(less, 1);
    say_contact("c", T + 2 * MIN, "q2");
    say_contact("d", T + 2 * H, "q2");
    for (int lives = 0; lives < 2; lives++) {
        live(more, 1 + lives);
        cr_expect(strstr(shown("hour", "queue=q2", T), "\"since\":"), "%s", shown("hour", "queue=q2", T));
        cr_expect(strstr(shown("day", "queue=q2", T - 14 * H), "\"since\":"), "%s", shown("day", "queue=q2", T - 14 * H));
        cr_expect(!strstr(shown("hour", "queue=q2", T + 2 * H), "\"since\":"), "%s", shown("hour", "queue=q2", T + 2 * H));
        cr_expect(!strstr(shown("hour", "all", T), "\"since\":"), "%s", shown("hour", "all", T));
    }
    store_close(&store);
}

/* A scope and a window that were away for a life: what the sink has of days before they came again was told by those who had them. */
Test(checkpoint, rows_of_before_a_scope_or_a_window_came_are_left_alone)
{
    static const char *const both = SHORT "scopes: [[], [queue]]\nwindows: {rolling: [1h], calendar: [hour, day]}\n",
                      *const fewer[] = {SHORT "scopes: [[]]\nwindows: {rolling: [1h], calendar: [hour, day]}\n",
                                        SHORT "scopes: [[], [queue]]\nwindows: {rolling: [1h], calendar: [hour]}\n"};
    for (int i = 0; i < 2; i++) {
        drop_feed();
        store_init(&store);
        say_contact("a", T, "q1");
        say_contact("b", T + DAY, "q1");
        live(both, 1);
        live(fewer[i], 1);
        say_contact("c", T + 2 * DAY, "q1");
        live(both, 2);
        const char *day = shown("day", "queue=q1", T - 14 * H), *all = shown("day", "all", T - 14 * H), *new = shown("day", "queue=q1", T + 34 * H);
        cr_expect(strstr(day, "\"closed\":1"), "%s", day);
        cr_expect(strstr(all, "\"closed\":1"), "%s", all);
        cr_expect(strstr(new, "\"closed\":1") && !strstr(new, "since"), "%s", new);
        store_close(&store);
        end();
        begin();
    }
}

/* Most keys are in the first file of the checkpoint, of March 26, when London's days are those of UTC; the last one is of the 29th, when they are not. */
Test(checkpoint, another_time_zone_is_compared_by_the_newest_instant_of_a_chain)
{
    static const char *const utc = SHORT "scopes: [[], [queue]]\nwindows: {rolling: [1d], calendar: [day]}\n",
                      *const london = SHORT "scopes: [[], [queue]]\nwindows: {rolling: [1d], calendar: [day], timezone: Europe/London}\n";
    const int64_t march_26 = INT64_C(1774483200000), march_30 = march_26 + 4 * DAY;
    int since = 0;
    for (int steps = 0; steps < 50; steps += 10) {
        struct engine engine = {0};
        char id[16], queue[16];
        drop_feed();
        store_init(&store);
        for (int i = 0; i < 1000; i++) {
            snprintf(id, sizeof id, "c%d", i);
            snprintf(queue, sizeof queue, "q%d", i);
            say_contact(id, march_26 + i * S, queue);
        }
        engine_start(&engine, utc, 1, 1, folder, 3);
        for (int i = 0; i < 1000 && !engine_read_all(&engine); i++)
            engine_steps(&engine, 1);
        engine_steps(&engine, 100 + steps);
        say_contact("x", march_30 - 30 * MIN, "q1"); /* London's 30th begins at 23:00 */
        engine_steps(&engine, 20);
        engine_kill(&engine);
        say_contact("y", march_30 + 10 * H, "q1");
        live(london, 1);
        const char *day = shown("day", "queue=q1", march_30 - H);
        bool told = strstr(day, "\"since\":") != NULL;
        cr_expect(told || strstr(day, "\"closed\":2"), "%d: %s", steps, day);
        since += told;
        store_close(&store);
        end();
        begin();
    }
    cr_expect_gt(since, 0);
}

/* ---- formats of the past ---- */

/* Each folder was made by this test program with ESTEEM_MAKE_STATE=FOLDER, by the engine of its time; newer ones read it for good. The first
 * version knew contacts and surveys; the second has books of customers and agents, agents' keys, what is now, and the file's rosters; the third
 * says since when windows and scopes are whole, and which configurations had a part; the fourth has bundles of an agent's keys. */
static void read_past(const char *version, uint64_t seed, int contacts, bool first_version)
{
    struct engine engine = {0};
    char command[160];
    make_feed_of(seed, contacts, first_version);
    struct picture want = undisturbed(SETTINGS);
    store_init(&store);
    snprintf(command, sizeof command, "cp tests/state/%s/* %s/", version, folder);
    cr_assert_eq(system(command), 0, "run from the project's top level");
    cr_expect_gt(engine_start(&engine, SETTINGS, 2, 1, folder, 4), 0, "%s", err_text());
    engine_finish(&engine);
    struct picture got = picture_of(&store);
    expect_equal(&want, &got, version);
    picture_free(&want);
    picture_free(&got);
    store_close(&store);
}

Test(checkpoint, a_folder_of_the_first_version_is_read)
{
    read_past("1", OLD_SEED, 300, true);
}

enum { SECOND_SEED = 32, THIRD_SEED = 33, FOURTH_SEED = 34 };

Test(checkpoint, a_folder_of_the_second_version_is_read)
{
    read_past("2", SECOND_SEED, 300, false);
}

Test(checkpoint, a_folder_of_the_third_version_is_read)
{
    read_past("3", THIRD_SEED, 300, false);
}

Test(checkpoint, a_folder_of_the_fourth_version_is_read)
{
    const char *make = getenv("ESTEEM_MAKE_STATE");
    if (make) {
        struct engine engine = {0};
        make_feed(FOURTH_SEED, 300);
        store_init(&store);
        engine_start(&engine, SETTINGS, 2, 1, make, 3);
        engine_steps(&engine, 45);
        engine_kill(&engine);
        store_close(&store);
        drop_feed();
    }
    read_past("4", FOURTH_SEED, 300, false);
}

/* ---- kill -9 at every named step; the names are known to builds with ESTEEM_DEBUG ---- */

#ifdef ESTEEM_DEBUG
#include <sys/wait.h>

static void killed_at(const char *step, int count)
{
    char at[64];
    snprintf(at, sizeof at, "%s:%d", step, count);
    pid_t child = fork();
    if (child == 0) {
        struct engine engine = {0};
        setenv("ESTEEM_CRASH_AT", at, 1);
        fclose(stderr);
        store_init(&store);
        engine_start(&engine, SETTINGS, 2, 2, folder, (uint64_t)count);
        engine_steps(&engine, 3000);
        _exit(0);
    }
    int status = 0;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "%s was never reached", at);
}

Test(checkpoint, a_kill_at_every_step_of_a_checkpoint_is_made_good)
{
    static const char *const steps[] = {"checkpoint.begun", "slice.created", "slice.block", "slice.synced", "slice.renamed", "slices.written",
                                        "manifest.written", "manifest.synced", "manifest.renamed", "folder.synced", "old.removed"};
    make_feed(41, 700);
    struct picture want = undisturbed(SETTINGS);
    for (size_t s = 0; s < sizeof steps / sizeof *steps; s++) {
        for (int count = 1; count <= 7; count += 3)
            killed_at(steps[s], count);
        struct engine engine = {0};
        store_init(&store);
        engine_start(&engine, SETTINGS, 2, 1, folder, s + 1);
        engine_finish(&engine);
        struct picture got = picture_of(&store);
        expect_equal(&want, &got, steps[s]);
        picture_free(&got);
        store_close(&store);
        char command[128];
        snprintf(command, sizeof command, "rm -rf %s/*", folder);
        cr_assert_eq(system(command), 0);
    }
    picture_free(&want);
}
#endif
