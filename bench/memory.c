/* bench/memory: what is kept, in bytes. Two feeds through a shard and a fold of this process:
 *
 *   interactions N   N open interactions, one completed record and half another fact each (a survey for every second one)
 *   keys N DAYS      N keys (agents), 50 contacts a day each within 8 hours, for DAYS days, in all rolling and calendar windows
 *
 *   usage: memory interactions N | keys N DAYS
 *
 * Keys are measured by fewer of them than the goal has: what a key takes does not depend on how many there are, but for the indexes, whose room is a power of
 * two. They are worked out, for KEYS_MEANT. */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "esteem/err.h"
#include "esteem/memory.h"
#include "esteem/pipeline.h"
#include "one_input.h"

enum { TEXT = 448, CONTACTS_A_DAY = 50, DAY_MS = 86400000, SHIFT_MS = 8 * 3600000, KEYS_A_TENANT_QUEUE = 100, SETTLES_S = 120, OUT_OF_ORDER_MS = 10000, KEYS_MEANT = 100000 };
#define START_MS INT64_C(1788220800000) /* a midnight, UTC */

struct maker {
    bool keys;
    int64_t count, total, made, newest_ms;
    _Atomic bool done; /* for the main thread */
    char text[TEXT];
};

/* Contact n of the completed records, and the survey that follows every second one. Returns its time. */
static int64_t make_interaction(int64_t n, char *text)
{
    int64_t contact = n / 3 * 2 + n % 3, t = START_MS + n / 50;
    if (n % 3 == 2)
        snprintf(text, TEXT, "{\"id\":\"s%" PRId64 "\",\"type\":\"survey.answered\",\"time\":%" PRId64 ",\"tenant\":\"acme\",\"interaction\":\"c%" PRId64 "\",\"csat\":%" PRId64 "}", n, t,
                 contact - 1, 1 + n % 5);
    else
        snprintf(text, TEXT, "{\"id\":\"e%" PRId64 "\",\"type\":\"interaction.completed\",\"time\":%" PRId64 ",\"tenant\":\"acme\",\"interaction\":\"c%" PRId64 "\",\"queue\":\"q%" PRId64
                 "\",\"agent\":\"a%" PRId64 "\",\"team\":\"t%" PRId64 "\",\"channel\":\"voice\",\"offered_at\":%" PRId64 ",\"answered_at\":%" PRId64 ",\"ended_at\":%" PRId64
                 ",\"wrapped_at\":%" PRId64 "}", n, t, contact, contact % 8, contact % 2000, contact % 50, t - 300000 - n % 60000, t - 290000, t - 60000, t - 30000);
    return t;
}

/* The same, contact n of `count` agents: all agents' first contact of a day, then all their second ones, spread over the shift. */
static int64_t make_contact(const struct maker *maker, int64_t n, char *text)
{
    int64_t agent = n % maker->count, turn = n / maker->count, day = turn / CONTACTS_A_DAY;
    int64_t t = START_MS + day * DAY_MS + (turn % CONTACTS_A_DAY * maker->count + agent) * SHIFT_MS / (CONTACTS_A_DAY * maker->count) + 600000;
    snprintf(text, TEXT, "{\"id\":\"e%" PRId64 "\",\"type\":\"interaction.completed\",\"time\":%" PRId64 ",\"tenant\":\"acme\",\"interaction\":\"c%" PRId64 "\",\"queue\":\"q%" PRId64
             "\",\"agent\":\"a%" PRId64 "\",\"team\":\"t%" PRId64 "\",\"channel\":\"voice\",\"offered_at\":%" PRId64 ",\"answered_at\":%" PRId64 ",\"ended_at\":%" PRId64
             ",\"wrapped_at\":%" PRId64 "}", n, t, n, agent % 8, agent, agent / KEYS_A_TENANT_QUEUE, t - 400000 - n % 60000, t - 380000, t - 60000 - n % 7000, t - n % 30000);
    return t;
}

static int poll_maker(void *state, int most, int wait_ms, source_each *each, void *context)
{
    struct maker *maker = state;
    (void)wait_ms;
    int done = 0;
    for (bool more = true; more && done < most && maker->made < maker->total; done++) {
        maker->newest_ms = maker->keys ? make_contact(maker, maker->made, maker->text) : make_interaction(maker->made, maker->text);
        struct message message = {.at = maker->text, .length = strlen(maker->text), .offset = maker->made++};
        more = each(context, &message);
    }
    if (done == 0)
        usleep(1000);
    atomic_store(&maker->done, maker->made == maker->total);
    return done;
}

static bool at_end(void *state, int input)
{
    (void)input;
    const struct maker *maker = state;
    return maker->made == maker->total;
}

/* The counts, once what was read is in its windows and these have moved: the watermark is there, and nothing changes. */
static struct pipeline_counts settled(struct pipeline *pipeline, const struct maker *maker)
{
    struct pipeline_counts counts = pipeline_counts(pipeline);
    for (int second = 0, same = 0; second < SETTLES_S && same < 3; second++) {
        struct pipeline_counts before = counts;
        sleep(1);
        counts = pipeline_counts(pipeline);
        bool there = counts.folds.watermark_ms >= maker->newest_ms - OUT_OF_ORDER_MS;
        same = there && counts.folds.bytes == before.folds.bytes && counts.folds.panes == before.folds.panes ? same + 1 : 0;
    }
    ensure(counts.folds.watermark_ms >= maker->newest_ms - OUT_OF_ORDER_MS, "the windows follow within two minutes");
    return counts;
}

/* Of an index of so many items: slots.h. */
static double index_bytes(double items)
{
    double room = 1024;
    while (items > room * 3 / 4)
        room *= 2;
    return room * sizeof(uint64_t);
}

/* A key's share of the indexes, where there are as many as the goal has. */
static double index_of_a_key(const struct fold_counts *folds)
{
    double more = folds->keys ? (double)KEYS_MEANT / (double)folds->keys : 0;
    return (index_bytes((double)(folds->panes - folds->packed_panes) * more) + index_bytes((double)folds->calendar_windows * more)) / KEYS_MEANT;
}

int main(int argc, char **argv)
{
    struct maker maker = {.keys = argc == 4 && strcmp(argv[1], "keys") == 0};
    if (!maker.keys && (argc != 3 || strcmp(argv[1], "interactions") != 0)) {
        fprintf(stderr, "usage: memory interactions N | keys N DAYS\n");
        return 2;
    }
    maker.count = atoll(argv[2]);
    maker.total = maker.keys ? maker.count * CONTACTS_A_DAY * atoll(argv[3]) : maker.count * 3 / 2;
    static const char of_interactions[] = "kafka: {topics: [contacts]}\nredis: {enabled: false}\ntopics: {enabled: false, deadletter: \"\"}\ntime: {mode: replay}\n"
                                          "scopes: [[]]\nlimits: {interactions: 100000000, visits: 100000000, shifts: 100000000}\n";
    static const char of_keys[] = "kafka: {topics: [contacts]}\nredis: {enabled: false}\ntopics: {enabled: false, deadletter: \"\"}\ntime: {mode: replay}\n"
                                  "scopes: [[agent]]\nlimits: {interactions: 100000000, visits: 100000000, shifts: 100000000}\n";
    struct config *config;
    const char *yaml = maker.keys ? of_keys : of_interactions;
    ensure(config_parse("bench", yaml, strlen(yaml), stderr, &config) == 0, "the settings are right");
    struct source source = {.state = &maker, .poll = poll_maker, .ready = always_ready, .inputs = one_input, .at_end = at_end};
    struct pipeline_setup setup = {.shards = 1, .folds = 1, .at_ms = INT64_MIN, .clock = clock_real(), .source = &source};
    struct pipeline *pipeline;
    ensure(pipeline_new(config, &setup, &pipeline) == 0, "a pipeline can be made");
    uint64_t before = memory_resident();
    ensure(pipeline_start(pipeline) == 0, "threads can be made");
    while (!atomic_load(&maker.done))
        usleep(100000);
    struct pipeline_counts counts = settled(pipeline, &maker);
    uint64_t resident = memory_resident() - before, records = counts.shards.ledger.records, ledger = counts.shards.ledger.fact_bytes + counts.shards.ledger.index_bytes;
    printf("%" PRIu64 " interactions, %.0f bytes each; %" PRIu64 " bytes of books; ", records, records ? (double)ledger / (double)records : 0, counts.shards.books_bytes);
    printf("%" PRIu64 " keys, %.0f bytes each, and %.0f of indexes if they were %d (%" PRIu64 " panes, %" PRIu64 " of them packed, %" PRIu64 " calendar windows); %.0f MiB resident\n",
           counts.folds.keys, counts.folds.keys ? (double)counts.folds.bytes / (double)counts.folds.keys : 0, index_of_a_key(&counts.folds), KEYS_MEANT, counts.folds.panes,
           counts.folds.packed_panes, counts.folds.calendar_windows, (double)resident / 1048576);
    pipeline_stop(pipeline, END_DRAIN, 0);
    pipeline_free(pipeline);
    config_free(config);
    return 0;
}
