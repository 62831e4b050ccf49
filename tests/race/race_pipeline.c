/* The pipeline with its threads: two or three sources, two folds, two sinks, rings that run full, a sink that has no room now
 * and then, a new generation, a reload; then a drain. At the end the rows hold what the feed holds.
 *
 * The feed: CONTACTS contacts of 4 queues; the facts of each come over different shards, some twice, and half of them are corrected
 * by a wrap that comes last. Meanwhile recall names rows of GHOSTS agents that the feed does not have, and of the queues that it has. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "esteem/err.h"
#include "esteem/pipeline.h"
#include "support/feeding.h"
#include "support/settings.h"

enum { SHARDS = 3, CONTACTS = 3000, GHOSTS = 20000 };
#define YAML "windows: {rolling: [5m, 1h], calendar: [hour, day]}\nscopes: [[], [queue], [agent]]\nkafka: {topics: [{name: events, keyed: false}]}\n"

static struct memory_source memory[SHARDS];
static struct row_store store[2];
static int64_t start_ms;
static _Atomic int letters;
static const struct config *named; /* the configuration under which recall reads names */

static bool dead_letter(void *context, const struct refused *refused)
{
    (void)context, (void)refused;
    return atomic_fetch_add(&letters, 1) % 3 != 0; /* no room, every third time */
}

static void say(int shard, int contact, const char *type, int64_t at_ms)
{
    memory_add(&memory[shard % SHARDS], 0,
               "{\"id\":\"%s %d\",\"tenant\":\"acme\",\"type\":\"interaction.%s\",\"interaction\":\"i%d\",\"time\":%lld,\"queue\":\"q%d\",\"agent\":\"a%d\"}", type,
               contact, type, contact, (long long)at_ms, contact % 4, contact % 50);
}

static void write_feed(void)
{
    for (int i = 0; i < CONTACTS; i++) {
        int64_t at_ms = start_ms + i * 10;
        say(i, i, "offered", at_ms);
        say(i + 1, i, "answered", at_ms + 1000);
        say(i + 2, i, "ended", at_ms + 2000);
        if (i % 5 == 0)
            say(i + 1, i, "ended", at_ms + 2000);
        if (i % 97 == 0)
            memory_add(&memory[i % SHARDS], 0, "rubbish %d", i);
    }
    memory_add(&memory[0], 0, "{\"id\":\"r\",\"tenant\":\"acme\",\"type\":\"agent.enrolled\",\"time\":%lld,\"agent\":\"a1\",\"team\":\"t\"}", (long long)start_ms);
    for (int i = 0; i < CONTACTS; i += 2)
        say(i, i, "wrapped", start_ms + i * 10 + 2500);
}

/* Each ghost's day, each second one's hour-long window, and the queues' days. */
static enum recall_progress read_names(void *state, struct recall *recall, int64_t now_ms)
{
    int *next = state;
    (void)now_ms;
    for (int i = 0; i < 500 && *next < GHOSTS; i++, ++*next) {
        char day[TIME_TEXT_MAX], key[96];
        event_time_format(start_ms / 86400000 * 86400000, day);
        if (*next % 2)
            snprintf(key, sizeof key, "acme|agent=ghost%d|1h", *next);
        else
            snprintf(key, sizeof key, *next % 100 ? "acme|agent=ghost%d|day|%s" : "acme|queue=q%d|day|%s", *next % 100 ? *next : *next / 100 % 4, day);
        struct recall_name name;
        ensure(recall_topic_key(key, strlen(key), &name), "it is a name");
        struct recalled *row = recalled_new(named, &name);
        ensure(row != NULL, "it is configured");
        row->record = 1;
        recall_put(recall, row);
    }
    return *next < GHOSTS ? RECALL_WORKS : RECALL_DONE;
}

static void nothing(void *state)
{
    (void)state;
}

static void nap_ms(long ms)
{
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

static void expect(const char *key, const char *measure, int64_t value)
{
    for (int s = 0; s < 2; s++) {
        int64_t found = store_measure(&store[s], key, measure);
        if (found != value) {
            fprintf(stderr, "sink %d, %s: %s is %lld, not %lld\n", s, key, measure, (long long)found, (long long)value);
            exit(1);
        }
    }
}

static void check_rows(void)
{
    char key[64];
    int64_t day_ms = start_ms / 86400000 * 86400000;
    for (int q = 0; q < 4; q++) {
        snprintf(key, sizeof key, "day acme queue=q%d %lld", q, (long long)day_ms);
        expect(key, "offered", CONTACTS / 4);
        expect(key, "handled", CONTACTS / 4);
        expect(key, "wait_ms", CONTACTS / 4 * 1000);
        expect(key, "talk_ms", CONTACTS / 4 * 1000);
        expect(key, "wrap_ms", q % 2 ? 0 : CONTACTS / 4 * 500);
    }
    snprintf(key, sizeof key, "day acme all %lld", (long long)day_ms);
    expect(key, "closed", CONTACTS);
    expect("1h acme all", "closed", CONTACTS);
    snprintf(key, sizeof key, "day acme agent=ghost2 %lld", (long long)day_ms);
    expect(key, "closed", 0); /* there, and empty */
    expect("1h acme agent=ghost19999", "closed", 0);
}

int main(void)
{
    struct clock clock = clock_real();
    start_ms = clock_wall_ms(&clock) / 1000 * 1000 - 600000;
    if (start_ms / 86400000 != (start_ms + 60000) / 86400000)
        start_ms -= 120000; /* not over midnight */
    struct source source[SHARDS];
    for (int s = 0; s < SHARDS; s++) {
        memory_init(&memory[s], 1);
        source[s] = memory_source(&memory[s]);
    }
    write_feed();
    store_init(&store[0]);
    store_init(&store[1]);
    struct config *config = config_of(YAML);
    char folder[] = "/tmp/esteem-race.XXXXXX", command[64];
    ensure(mkdtemp(folder) != NULL, "there is a /tmp");
    struct checkpoint_setup state = {.folder = folder, .group = "race", .config_id = "race", .every_ms = 100, .shards = SHARDS, .folds = 2, .clock = clock,
                                     .disk = disk_real()};
    struct checkpoint *checkpoint;
    ensure(checkpoint_new(&state, &checkpoint) == 0, "checkpoints are made meanwhile");
    struct pipeline_setup setup = {.checkpoint = checkpoint, .shards = SHARDS, .folds = 2, .route = true, .at_ms = INT64_MIN, .clock = clock, .source = source, .sinks = 2,
                                   .sink = {store_sink(&store[0]), store_sink(&store[1])}, .dead_letter = dead_letter};
    struct pipeline *pipeline;
    ensure(pipeline_new(config, &setup, &pipeline) == 0, "a pipeline is built");
    int next = 0;
    named = config;
    struct recall_setup names = {.folds = 2, .readers = 1, .reader = {{"names", &next, read_names, nothing}}};
    struct recall *recall = recall_new(&names);
    pipeline_recall(pipeline, recall);
    pipeline_start(pipeline);
    recall_start(recall);
    for (int i = 0; i < 20; i++) {
        nap_ms(50);
        atomic_store(&store[i % 2].full, i % 4 < 2);
        if (i == 8)
            atomic_fetch_add(&store[0].generation, 1);
        if (i == 12)
            pipeline_reload(pipeline, config_of(YAML "metrics: {service_level: {threshold: 5s}}\n"));
        (void)pipeline_counts(pipeline);
        (void)pipeline_idle(pipeline);
    }
    atomic_store(&store[0].full, false);
    atomic_store(&store[1].full, false);
    for (int i = 0; i < 600 && pipeline_counts(pipeline).shards.applied < 3 * CONTACTS + CONTACTS / 2 + 1; i++)
        nap_ms(50);
    for (int i = 0; i < 600 && !pipeline_recalled(pipeline); i++)
        nap_ms(50);
    ensure(pipeline_recalled(pipeline), "the names are dealt with");
    recall_stop(recall);
    ensure(pipeline_stop(pipeline, END_REFRESH, 60000) == 0, "all is published in time");
    struct pipeline_counts counts = pipeline_counts(pipeline);
    pipeline_summary(&counts, config, stdout);
    ensure(counts.shards.applied == 3 * CONTACTS + CONTACTS / 2 + 1, "every event is applied once");
    ensure(counts.shards.duplicates == CONTACTS / 5, "every repetition is a duplicate");
    ensure(counts.shards.refused == (CONTACTS + 96) / 97, "every bad line is refused once");
    check_rows();
    ensure(checkpoint_counts(checkpoint).written > 3 && checkpoint_counts(checkpoint).failed == 0, "several checkpoints were made");
    pipeline_free(pipeline);
    recall_free(recall);
    checkpoint_free(checkpoint);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    ensure(system(command) == 0, "the folder can be removed");
    config_free(config);
    for (int s = 0; s < SHARDS; s++)
        memory_close(&memory[s]);
    store_close(&store[0]);
    store_close(&store[1]);
    return 0;
}
