/* bench/stages: what each stage of the way costs an event, without the wire: the lines of a file (bench/feed makes them) go through a shard, a fold and
 * the Redis sink in one thread, stage by stage, a tick of events at a time, and each stage's processor time is added up:
 *
 *   decode    JSON to an event, in a loop of its own       ledger    facts, duplicates, corrections: what reading costs beyond decode
 *   combine   facts to contributions, added up by cell     fold      cells to panes and windows, windows to rows
 *   publish   rows to Redis, its answers; without --redis rows are only dropped
 *
 *   usage: stages [--config FILE] [--per-tick EVENTS] [--redis SOCKET [--again N]] FILE
 *
 * --again: afterwards N of the last rows are written in a loop, as fast as Redis takes them: rows a second, by the wall clock.
 *
 * A tick is 100 ms, so --per-tick 5000 is 50,000 events a second. Under callgrind the functions phase_* say the same in instructions. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "esteem/config.h"
#include "esteem/err.h"
#include "esteem/publisher.h"
#include "esteem/redis.h"
#include "esteem/shard.h"
#include "esteem/window.h"
#include "one_input.h"

enum { TICK_MS = 100, BATCHES_MAX = 64, MESSAGE_MAX = 1 << 20, STEPS_MAX = 100000, KEPT_MAX = 20000 };

struct lines {
    char *bytes;
    size_t *at; /* one more than there are */
    int64_t count, next, until;
};

struct stages {
    struct lines lines;
    struct clock_hands hands;
    struct clock clock;
    struct shard_clocks clocks;
    uint64_t serial; /* of the configuration */
    bool full;       /* a row found no room in the publisher's ring */
    struct shard *shard;
    struct fold *fold;
    struct publisher publisher;
    bool publishes;
    struct batch *batch[BATCHES_MAX];
    int batches;
    uint64_t rows, cells_bytes;
    struct row **kept; /* for --again: a ring of the last ones */
};

static int64_t thread_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void read_lines(const char *path, struct lines *lines)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0) {
        perror(path);
        exit(1);
    }
    size_t size = (size_t)ftell(file), room = 0;
    rewind(file);
    lines->bytes = malloc(size + 64); /* simdjson may look beyond the end */
    ensure(lines->bytes && fread(lines->bytes, 1, size, file) == size, "the file fits into memory");
    fclose(file);
    for (size_t begin = 0; begin < size; lines->count++) {
        if ((size_t)lines->count + 1 >= room) {
            room = room ? room * 2 : 1 << 16;
            lines->at = reallocarray(lines->at, room, sizeof *lines->at);
            ensure(lines->at != NULL, "the machine has memory left");
        }
        const char *end = memchr(lines->bytes + begin, '\n', size - begin);
        ensure(end != NULL, "every line has an end");
        lines->at[lines->count] = begin;
        begin = (size_t)(end - lines->bytes) + 1;
        lines->at[lines->count + 1] = begin;
    }
}

static size_t line_length(const struct lines *lines, int64_t n)
{
    return lines->at[n + 1] - lines->at[n] - 1;
}

/* ---- a source of lines, as far as `until` ---- */

static int lines_poll(void *state, int most, int wait_ms, source_each *each, void *context)
{
    struct lines *lines = state;
    (void)wait_ms;
    int done = 0;
    for (bool more = true; more && done < most && lines->next < lines->until; done++) {
        struct message message = {.at = lines->bytes + lines->at[lines->next], .length = line_length(lines, lines->next), .offset = lines->next};
        lines->next++;
        more = each(context, &message);
    }
    return done;
}

static bool lines_at_end(void *state, int input)
{
    (void)input;
    const struct lines *lines = state;
    return lines->next == lines->count;
}

/* ---- what takes what the stages make ---- */

static bool take_batch(void *context, int fold, struct batch *batch)
{
    struct stages *stages = context;
    (void)fold;
    if (stages->batches == BATCHES_MAX)
        return false;
    stages->batch[stages->batches++] = batch;
    return true;
}

static bool take_refused(void *context, const struct refused *refused)
{
    (void)context, (void)refused;
    return true;
}

static bool take_row(void *context, struct row *row)
{
    struct stages *stages = context;
    if (stages->kept && !row->now && row->alert.state == 0) {
        struct row **place = &stages->kept[stages->rows++ % KEPT_MAX];
        if (*place)
            row_free(*place);
        *place = row;
        return true;
    }
    if (stages->publishes) {
        bool room = ring_push_spsc(&stages->publisher.ring[0], row);
        stages->full |= !room;
        return room;
    }
    row_free(row);
    stages->rows++;
    return true;
}

static uint64_t row_generation(void *context)
{
    struct stages *stages = context;
    return stages->publishes ? publisher_generation(&stages->publisher) : 1;
}

/* ---- the stages ---- */

__attribute__((noinline)) static uint64_t phase_decode(struct stages *stages)
{
    struct decoder *decoder = decoder_new(MESSAGE_MAX, NULL, 0);
    struct event event;
    uint64_t accepted = 0;
    for (int64_t n = 0; n < stages->lines.count; n++)
        accepted += event_decode(decoder, stages->lines.bytes + stages->lines.at[n], line_length(&stages->lines, n), NULL, &event) == REFUSED_NOT;
    decoder_free(decoder);
    return accepted;
}

__attribute__((noinline)) static void phase_read(struct stages *stages)
{
    for (int i = 0; stages->lines.next < stages->lines.until; i++) {
        ensure(i < STEPS_MAX, "the shard reads on");
        (void)shard_step(stages->shard, 0, false);
    }
}

__attribute__((noinline)) static void phase_combine(struct stages *stages)
{
    (void)shard_step(stages->shard, 0, true);
}

__attribute__((noinline)) static void phase_fold(struct stages *stages)
{
    for (int i = 0; i < stages->batches; i++) {
        stages->cells_bytes += stages->batch[i]->length;
        atomic_fetch_sub(&stages->clocks.in_flight[0], batch_bytes(stages->batch[i]));
        fold_apply(stages->fold, stages->batch[i]);
        batch_free(stages->batch[i]);
    }
    stages->batches = 0;
    fold_hear(stages->fold, true);
    (void)fold_step(stages->fold, stages->hands.wall_ms);
    shard_clocks_stand(&stages->clocks, 0, stages->serial, fold_now_ms(stages->fold));
}

/* All that the fold has told, until Redis has confirmed it. */
__attribute__((noinline)) static void phase_publish(struct stages *stages)
{
    uint64_t steps;
    for (int idle = 0; stages->publishes;) {
        if (publisher_step(&stages->publisher, stages->hands.monotonic_ms) > 0)
            continue;
        if (publisher_empty(&stages->publisher, &steps))
            break;
        ensure(idle++ < STEPS_MAX, "Redis confirms");
        nanosleep(&(struct timespec){0, 200000}, NULL); /* no processor time of ours */
    }
}

/* ---- rows as fast as Redis takes them ---- */

static int64_t wall_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void publish_again(struct stages *stages, int64_t count)
{
    const struct sink *sink = &stages->publisher.sink;
    uint64_t kept = stages->rows < KEPT_MAX ? stages->rows : KEPT_MAX;
    ensure(kept > 0, "the feed makes rows");
    int64_t begun = wall_ns(), own = thread_ns();
    for (int64_t n = 0; n < count || sink->pending(sink->state) > 0;) {
        int64_t now_ms = stages->hands.monotonic_ms + (wall_ns() - begun) / 1000000;
        bool put = false;
        while (n < count && sink->put(sink->state, stages->kept[(uint64_t)n % kept]) == SINK_TAKEN) {
            n++;
            put = true;
        }
        if (put)
            sink->batch_end(sink->state, now_ms);
        if (sink->step(sink->state, now_ms) == 0 && !put)
            nanosleep(&(struct timespec){0, 50000}, NULL); /* asking on and on would slow Redis down */
        ensure(now_ms - stages->hands.monotonic_ms < 120000, "Redis takes rows");
    }
    int64_t wall = wall_ns() - begun;
    own = thread_ns() - own;
    printf("publish_again %" PRId64 " rows in %.2f s, %.0f rows a second; the sink had %.0f %% of a core\n", count, (double)wall / 1e9, (double)count * 1e9 / (double)wall,
           100.0 * (double)own / (double)wall);
}

/* ---- */

static void tell(const char *stage, int64_t ns, int64_t events)
{
    printf("%-8s %10.0f ns an event\n", stage, (double)ns / (double)events);
}

static void build(struct stages *stages, const char *path, const char *redis)
{
    char yaml[512];
    struct config *config;
    int length = snprintf(yaml, sizeof yaml, "kafka: {topics: [contacts]}\nredis: {enabled: %s, socket: \"%s\"}\ntopics: {enabled: false, deadletter: \"\"}\n"
                          "time: {mode: replay}\nlog: {level: error}\n", redis ? "true" : "false", redis ? redis : "");
    ensure((path ? config_load(path, stderr, &config) : config_parse("bench", yaml, (size_t)length, stderr, &config)) == 0, "the settings are right");
    stages->clock = clock_by_hand(&stages->hands);
    stages->hands = (struct clock_hands){.wall_ms = INT64_C(1790000000000), .monotonic_ms = 1000000};
    stages->clocks.count = 1;
    stages->serial = config->serial;
    shard_clocks_stand(&stages->clocks, 0, stages->serial, INT64_MIN);
    struct shard_setup shard = {.shards = 1, .folds = 1, .pane_ms = 1000, .clock = stages->clock, .clocks = &stages->clocks, .context = stages, .to_fold = take_batch, .dead_letter = take_refused,
                                .source = {.state = &stages->lines, .poll = lines_poll, .ready = always_ready, .inputs = one_input, .at_end = lines_at_end}};
    struct fold_setup fold = {.shards = 1, .folds = 1, .at_ms = INT64_MIN, .pane_ms = 1000, .outlets = 1, .outlet = {{.context = stages, .put = take_row,
                              .generation = row_generation, .now = true}}};
    ensure(shard_new(config, &shard, &stages->shard) == 0 && fold_new(config, &fold, &stages->fold) == 0, "the stages can be made");
    if (redis) {
        struct sink sink;
        ensure(redis_sink_open(config, &sink) == 0, "the sink can be made");
        publisher_init(&stages->publisher, &sink, 1);
        stages->publishes = true;
        for (int i = 0; i < 1000 && publisher_generation(&stages->publisher) == 0; i++) {
            (void)publisher_step(&stages->publisher, stages->hands.monotonic_ms += 10);
            nanosleep(&(struct timespec){0, 1000000}, NULL);
        }
        ensure(publisher_generation(&stages->publisher) > 0, "Redis answers at the socket");
    }
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"per-tick", required_argument, NULL, 't'}, {"redis", required_argument, NULL, 'r'}, {"config", required_argument, NULL, 'c'},
                                            {"again", required_argument, NULL, 'a'}, {0}};
    static struct stages stages;
    const char *redis = NULL, *path = NULL;
    int64_t per_tick = 5000, again = 0;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        redis = option == 'r' ? optarg : redis;
        path = option == 'c' ? optarg : path;
        again = option == 'a' ? atoll(optarg) : again;
        per_tick = option == 't' ? atoll(optarg) : per_tick;
        if (option == '?')
            return 2;
    }
    if (optind + 1 != argc || per_tick < 1 || (again && !redis)) {
        fprintf(stderr, "usage: stages [--config FILE] [--per-tick EVENTS] [--redis SOCKET [--again N]] FILE\n");
        return 2;
    }
    if (again)
        stages.kept = calloc(KEPT_MAX, sizeof *stages.kept);
    read_lines(argv[optind], &stages.lines);
    int64_t events = stages.lines.count, at = thread_ns();
    uint64_t accepted = phase_decode(&stages);
    int64_t decode = thread_ns() - at, read = 0, combine = 0, fold = 0, publish = 0;
    build(&stages, path, redis);
    while (stages.lines.next < events) {
        stages.lines.until = stages.lines.next + per_tick < events ? stages.lines.next + per_tick : events;
        stages.hands.wall_ms += TICK_MS;
        stages.hands.monotonic_ms += TICK_MS;
        int64_t begun = thread_ns();
        phase_read(&stages);
        int64_t after_read = thread_ns();
        phase_combine(&stages);
        int64_t after_combine = thread_ns();
        read += after_read - begun;
        combine += after_combine - after_read;
        do { /* a ring of rows after the other, until the tick has told all */
            int64_t before_fold = thread_ns();
            stages.full = false;
            phase_fold(&stages);
            int64_t after_fold = thread_ns();
            phase_publish(&stages);
            publish += thread_ns() - after_fold;
            fold += after_fold - before_fold;
        } while (stages.full);
    }
    uint64_t rows = stages.publishes ? stages.publisher.taken : stages.rows;
    printf("%" PRId64 " events, %" PRIu64 " accepted; %.1f bytes of cells an event, %.2f rows an event\n", events, accepted, (double)stages.cells_bytes / (double)events,
           (double)rows / (double)events);
    tell("decode", decode, events);
    tell("ledger", read - decode, events);
    tell("combine", combine, events);
    tell("fold", fold, events);
    tell("publish", publish, events);
    tell("all", read + combine + fold + publish, events);
    if (again)
        publish_again(&stages, again);
    return 0;
}
