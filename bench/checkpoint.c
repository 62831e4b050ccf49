/* bench/checkpoint: what a checkpoint costs the events that flow meanwhile, and how long a restart takes. A shard and a fold in this process, fed
 * by a generator: first INTERACTIONS contacts at full speed, then RATE events a second, without and with checkpoints. A step is
 * what the shard's thread does from one look at its source to the next, without waiting; those without any event are left out. It is told
 * on the wall and in processor time: with fewer processors than threads the wall has the others' turns too.
 *
 *   usage: checkpoint [INTERACTIONS [RATE [SECONDS]]]     1000000 50000 20 */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "esteem/err.h"
#include "esteem/memory.h"
#include "esteem/pipeline.h"
#include "one_input.h"

enum { BATCH = 2048, TEXT = 448, STEPS = 1 << 22, AGENTS = 9000, QUEUES = 900, TEAMS = 90 };

struct generator {
    char (*text)[TEXT];
    int64_t made, preload, rate, begun_ns;
    _Atomic int64_t total;  /* made, for the main thread */
    _Atomic bool measuring;
    int64_t left_ns, spent_ns; /* when the last poll ended; what it took */
    int64_t own_ns; /* of the thread's processor time when the step began */
    bool busy; /* the step that ends at the next look had messages */
    uint32_t *step_us, *own_us;
    _Atomic uint32_t steps;
};

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int64_t thread_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int64_t wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Contacts as completed records; every second one gets a survey within the last ten thousand. */
static void make_event(const struct generator *generator, int64_t n, char *text)
{
    int64_t t = wall_ms() - 5000, contact = n / 3 * 2 + n % 3;
    (void)generator;
    if (n % 3 == 2)
        snprintf(text, TEXT, "{\"id\":\"s%" PRId64 "\",\"type\":\"survey.answered\",\"time\":%" PRId64 ",\"tenant\":\"acme\",\"interaction\":\"c%" PRId64
                 "\",\"csat\":%" PRId64 "}", n, t, contact > 10000 ? contact - n * 7919 % 10000 - 2 : contact, 1 + n % 5);
    else
        snprintf(text, TEXT, "{\"id\":\"e%" PRId64 "\",\"type\":\"interaction.completed\",\"time\":%" PRId64 ",\"tenant\":\"acme\",\"interaction\":\"c%" PRId64
                 "\",\"queue\":\"q%" PRId64 "\",\"agent\":\"a%" PRId64 "\",\"team\":\"t%" PRId64 "\",\"channel\":\"voice\",\"offered_at\":%" PRId64 ",\"answered_at\":%" PRId64
                 ",\"ended_at\":%" PRId64 ",\"wrapped_at\":%" PRId64 "}", n, t, contact, contact % QUEUES, contact % AGENTS, contact % TEAMS, t - 300000 - n % 60000,
                 t - 290000, t - 60000, t - 30000);
}

static int poll_generator(void *state, int most, int wait_ms, source_each *each, void *context)
{
    struct generator *generator = state;
    (void)wait_ms;
    int64_t entered_ns = now_ns();
    if (generator->busy && atomic_load(&generator->measuring)) {
        uint32_t steps = atomic_load(&generator->steps);
        if (steps < STEPS) {
            generator->step_us[steps] = (uint32_t)((entered_ns - generator->left_ns + generator->spent_ns) / 1000);
            generator->own_us[steps] = (uint32_t)((thread_ns() - generator->own_ns) / 1000);
        }
        atomic_store(&generator->steps, steps + (steps < STEPS));
    }
    int64_t due = generator->preload;
    if (generator->made >= generator->preload) {
        if (generator->begun_ns == 0)
            generator->begun_ns = entered_ns;
        due += (int64_t)((double)(entered_ns - generator->begun_ns) * (double)generator->rate / 1e9);
    }
    int count = due - generator->made > BATCH ? BATCH : (int)(due - generator->made);
    count = count > most ? most : count;
    for (int i = 0; i < count; i++)
        make_event(generator, generator->made + i, generator->text[i]);
    if (count == 0)
        nanosleep(&(struct timespec){0, 500000}, NULL);
    int64_t begun_ns = now_ns();
    generator->own_ns = thread_ns();
    int done = 0;
    for (bool more = true; more && done < count; done++) {
        struct message message = {.at = generator->text[done], .length = strlen(generator->text[done]), .offset = generator->made + done};
        more = each(context, &message);
    }
    generator->made += done;
    generator->busy = done > 0;
    atomic_store(&generator->total, generator->made);
    generator->left_ns = now_ns();
    generator->spent_ns = generator->left_ns - begun_ns;
    return done;
}

static bool never_at_end(void *state, int input)
{
    (void)state, (void)input;
    return false;
}

static void position(void *state, int input, struct source_position *at)
{
    (void)input;
    *at = (struct source_position){0, 0, ((struct generator *)state)->made};
}

static int by_value(const void *a, const void *b)
{
    return (*(const uint32_t *)a > *(const uint32_t *)b) - (*(const uint32_t *)a < *(const uint32_t *)b);
}

static double percentile_ms(const uint32_t *us, uint32_t count, uint32_t per_mille)
{
    return count ? us[(uint64_t)(count - 1) * per_mille / 1000] / 1e3 : 0;
}

static void begin(struct generator *generator)
{
    atomic_store(&generator->steps, 0);
    atomic_store(&generator->measuring, true);
}

static void tell(struct generator *generator, const char *what)
{
    atomic_store(&generator->measuring, false);
    usleep(200000);
    uint32_t count = atomic_load(&generator->steps), *wall = generator->step_us, *own = generator->own_us;
    qsort(wall, count, sizeof *wall, by_value);
    qsort(own, count, sizeof *own, by_value);
    printf("%-20s %6u steps   wall p50 %6.2f  p99 %6.2f  longest %6.2f ms   processor p50 %6.2f  p99 %6.2f  longest %6.2f ms", what, count, percentile_ms(wall, count, 500),
           percentile_ms(wall, count, 990), percentile_ms(wall, count, 1000), percentile_ms(own, count, 500), percentile_ms(own, count, 990), percentile_ms(own, count, 1000));
}

static struct pipeline *pipeline_of(const struct config *config, struct source *source, struct checkpoint *checkpoint)
{
    struct pipeline *pipeline;
    struct pipeline_setup setup = {.shards = 1, .folds = 1, .at_ms = INT64_MIN, .clock = clock_real(), .source = source, .checkpoint = checkpoint};
    ensure(pipeline_new(config, &setup, &pipeline) == 0, "a pipeline can be made");
    return pipeline;
}

static struct checkpoint *checkpoint_of(const char *folder, int64_t every_ms)
{
    struct checkpoint *checkpoint;
    struct checkpoint_setup setup = {.folder = folder, .group = "bench", .config_id = "bench", .every_ms = every_ms, .shards = 1, .folds = 1, .clock = clock_real(),
                                     .disk = disk_real()};
    ensure(checkpoint_new(&setup, &checkpoint) == 0, "the folder can be made");
    return checkpoint;
}

int main(int argc, char **argv)
{
    int64_t interactions = argc > 1 ? atoll(argv[1]) : 1000000, rate = argc > 2 ? atoll(argv[2]) : 50000, seconds = argc > 3 ? atoll(argv[3]) : 20;
    static const char yaml[] = "kafka: {topics: [contacts]}\nstate: {every: 1h}\nredis: {enabled: false}\ntopics: {enabled: false, deadletter: \"\"}\n";
    struct config *config;
    ensure(config_parse("bench", yaml, sizeof yaml - 1, stderr, &config) == 0, "the settings are right");
    char folder[] = "/tmp/esteem-bench.XXXXXX", command[64];
    ensure(mkdtemp(folder) != NULL, "there is a /tmp");
    struct generator generator = {.text = malloc(BATCH * TEXT), .preload = interactions * 3 / 2, .rate = rate, .step_us = malloc(STEPS * sizeof(uint32_t)),
                                  .own_us = malloc(STEPS * sizeof(uint32_t))};
    struct source source = {.state = &generator, .poll = poll_generator, .ready = always_ready, .inputs = one_input, .at_end = never_at_end, .position = position};
    struct checkpoint *checkpoint = checkpoint_of(folder, 3600000);
    struct pipeline *pipeline = pipeline_of(config, &source, checkpoint);
    pipeline_start(pipeline);
    while (atomic_load(&generator.total) < generator.preload)
        usleep(100000);
    sleep(2);
    struct pipeline_counts counts = pipeline_counts(pipeline);
    printf("%" PRIu64 " interactions, %" PRIu64 " keys, %" PRIu64 " panes, %" PRIu64 " MiB resident; %" PRId64 " events a second\n", counts.shards.ledger.records, counts.folds.keys,
           counts.folds.panes, memory_resident() >> 20, rate);
    begin(&generator);
    sleep((unsigned)seconds);
    tell(&generator, "without checkpoints");
    printf("\n");
    int64_t begun_ns = now_ns();
    begin(&generator);
    ensure(pipeline_checkpoint(pipeline, 600000), "a full checkpoint is made");
    int64_t full_ms = (now_ns() - begun_ns) / 1000000;
    tell(&generator, "a full one");
    printf("   %" PRId64 " ms, %" PRIu64 " MiB\n", full_ms, checkpoint_counts(checkpoint).bytes >> 20);
    uint64_t before = checkpoint_counts(checkpoint).written;
    begin(&generator);
    for (int64_t until = now_ns() + seconds * 1000000000; now_ns() < until;) /* one after the other: more often than anybody would */
        (void)pipeline_checkpoint(pipeline, 60000);
    tell(&generator, "one after the other");
    printf("   %" PRIu64 " of them\n", checkpoint_counts(checkpoint).written - before);
    fflush(stdout);
    (void)pipeline_checkpoint(pipeline, 600000);
    pipeline_stop(pipeline, END_DRAIN, 60000);
    counts = pipeline_counts(pipeline);
    uint64_t file_bytes = checkpoint_counts(checkpoint).bytes;
    pipeline_free(pipeline);
    checkpoint_free(checkpoint);

    begun_ns = now_ns();
    before = UINT64_MAX;
    checkpoint = checkpoint_of(folder, 3600000);
    pipeline = pipeline_of(config, &source, checkpoint);
    int64_t epoch = pipeline_restore(pipeline, folder, &before);
    printf("restart: %" PRIu64 " interactions and %" PRIu64 " keys ready in %" PRId64 " ms, %" PRIu64 " MiB of files (epoch %" PRId64 ")\n", counts.shards.ledger.records, counts.folds.keys,
           (now_ns() - begun_ns) / 1000000, file_bytes >> 20, epoch);
    pipeline_free(pipeline);
    checkpoint_free(checkpoint);
    config_free(config);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command) != 0;
}
