/* run: the daemon. It opens the sinks, a source for each shard and the state, restores the newest checkpoint, starts the pipeline's threads and
 * then, whenever it is asked to (run_check), looks around: control socket, HTTP, reload, clock, memory, fence. It ends by draining, sources first. */
#include "run_parts.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "esteem/command.h"
#include "esteem/control.h"
#include "esteem/deadletter.h"
#include "esteem/http.h"
#include "esteem/err.h"
#include "esteem/kafka.h"
#include "esteem/log.h"
#include "esteem/memory.h"
#include "esteem/recall.h"
#include "esteem/redis.h"
#include "esteem/topics.h"

enum { SIGNAL_APART_MS = 500, RECALL_WAIT_MS = 60000, MEMORY_LOOK_MS = 100, SETTLE_TRIES = 200 /* of 5 ms */ };

static bool dead_letter(void *context, const struct refused *refused)
{
    struct run *run = context;
    const struct message *message = refused->message;
    if (atomic_load_explicit(&run->hold_letters, memory_order_relaxed))
        return false;
    struct deadletter_message letter = {.bytes = message->at, .length = message->length, .key = message->key.at,
                                        .key_length = message->key.length, .topic = run->config->topic[message->topic].name,
                                        .partition = message->partition, .offset = message->offset,
                                        .reason = refusal_names[refused->reason], .field = refused->field,
                                        .config_id = atomic_load_explicit(&run->live_config, memory_order_acquire)->id, .text = refused->text, .headers = &message->headers};
    return deadletter_put(run->deadletter, &letter) == DEADLETTER_TAKEN;
}

static void tend(void *context)
{
    struct run *run = context;
    deadletter_step(run->deadletter, clock_monotonic_ms(&run->clock));
}

/* While it stops: whether another signal has come, and not on the heels of the one before, as timeout(1) sends two. Where they are blocked, as in
 * `run` and `shadow`, main alone takes them. */
static bool hurry(void *context)
{
    struct run *run = context;
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    int64_t now_ms = clock_monotonic_ms(&run->clock);
    if (sigtimedwait(&signals, NULL, &(struct timespec){0}) > 0 && now_ms >= run->signalled_ms + SIGNAL_APART_MS) {
        run->signals_left--;
        run->signalled_ms = now_ms;
    }
    return run->signals_left <= 0;
}

/* Runs on: the state thread. Offsets become real only when what was refused before them has been delivered. Where letters come without end,
 * the shards wait with new ones for a moment. */
static bool letters_settled(void *context)
{
    struct run *run = context;
    bool settled = run->deadletter == NULL || deadletter_counts(run->deadletter).pending == 0;
    run->settle_tries = settled ? 0 : run->settle_tries + 1;
    atomic_store_explicit(&run->hold_letters, run->settle_tries > SETTLE_TRIES, memory_order_relaxed);
    return settled;
}

static int open_sinks(struct run *run, struct pipeline_setup *setup)
{
    const struct config *config = run->config;
    if (config->redis_enabled) {
        if (redis_sink_open(config, &run->redis) != 0)
            return (int)err_code();
        run->redis_open = true;
        setup->now[setup->sinks] = true;
        setup->sink[setup->sinks++] = run->redis;
    }
    if (config->topics_enabled) {
        if (topics_sink_open(config, &run->topics) != 0)
            return (int)err_code();
        run->topics_open = true;
        setup->by_topics_every[setup->sinks] = true;
        setup->sink[setup->sinks++] = run->topics;
    }
    return deadletter_open(config, &run->deadletter);
}

/* By default half of the cores read and decode, an eighth folds; librdkafka's and the publishers' threads take the rest. */
static void count_threads(struct run *run)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    run->shards = run->config->shards ? (int)run->config->shards : (int)(cores < 2 ? 1 : cores / 2);
    run->folds = run->config->folds ? (int)run->config->folds : (int)(cores < 8 ? 1 : cores / 8);
    run->shards = run->shards > SHARD_MAX ? SHARD_MAX : run->shards;
    run->folds = run->folds > 16 ? 16 : run->folds;
}

/* ---- what the sinks hold from before ---- */

/* Runs on: the recall thread. */
static bool sink_reached(void *context, int reader)
{
    struct run *run = context;
    return pipeline_sink_reached(run->pipeline, run->recall_sink[reader]);
}

/* A reader for each sink, in the order of open_sinks. The readers begin when the threads run, and then know since when. */
static void recall_open(struct run *run)
{
    struct recall_setup setup = {.folds = run->folds, .context = run, .ready = sink_reached};
    int64_t since_ms = pipeline_told_since(run->pipeline);
    int sink = 0;
    if (run->redis_open) {
        recall_redis_open(run->config, &setup.reader[setup.readers]);
        run->recall_sink[setup.readers++] = sink++;
    }
    if (run->topics_open) {
        recall_topics_open(run->config, since_ms, &setup.reader[setup.readers]);
        run->recall_sink[setup.readers++] = sink;
    }
    run->recall = recall_new(&setup);
    pipeline_recall(run->pipeline, run->recall);
    if (run->checkpoint)
        checkpoint_told_since(run->checkpoint, since_ms);
}

static void watch_recall(struct run *run)
{
    if (run->recalled || !pipeline_recalled(run->pipeline))
        return;
    struct pipeline_counts counts = pipeline_counts(run->pipeline);
    run->recalled = true;
    if (run->checkpoint)
        checkpoint_recalled(run->checkpoint);
    log_info("recall.done", "the sinks named %llu rows; %llu that the feed does not make are emptied, %llu stay for want of a key",
             (unsigned long long)recall_names(run->recall), (unsigned long long)counts.folds.recall_emptied,
             (unsigned long long)counts.folds.recall_refused);
}

static void close_all(struct run *run)
{
    http_close(run->http);
    control_close(run->control);
    recall_stop(run->recall);
    pipeline_free(run->pipeline);
    recall_free(run->recall);
    checkpoint_free(run->checkpoint);
    for (int s = 0; s < run->shards; s++)
        if (run->source[s].close)
            run->source[s].close(run->source[s].state);
    if (run->redis_open)
        redis_sink_close(&run->redis);
    if (run->topics_open)
        topics_sink_close(&run->topics);
    deadletter_close(run->deadletter);
    run_reload_close(run);
    free(run);
}

static const struct run_span *span_of(const struct run *run, const char *topic, int32_t partition)
{
    for (int i = 0; i < run->spans; i++)
        if (run->span[i].partition == partition && strcmp(run->span[i].topic, topic) == 0)
            return &run->span[i];
    return NULL;
}

static int64_t first_offset(void *context, const char *topic, int32_t partition)
{
    struct run *run = context;
    bool topic_known;
    int64_t offset = pipeline_restored_offset(run->pipeline, topic, partition, &topic_known);
    const struct run_span *span = span_of(run, topic, partition);
    return offset >= 0 ? offset : topic_known ? KAFKA_FROM_BEGINNING : span ? span->from : KAFKA_FROM_START;
}

static int64_t last_offset(void *context, const char *topic, int32_t partition)
{
    const struct run_span *span = span_of(context, topic, partition);
    return span ? span->until : KAFKA_NO_END;
}

/* The pipeline, restored from the newest checkpoint that can be read. */
static int restore(struct run *run, const struct pipeline_setup *setup)
{
    const struct config *config = run->config;
    uint64_t before = UINT64_MAX;
    int64_t begun_ms = clock_monotonic_ms(&run->clock);
    for (;;) {
        int result = pipeline_new(config, setup, &run->pipeline);
        if (result != 0 || run->checkpoint == NULL || config->state_start == STATE_CLEAN)
            return result;
        int64_t epoch = pipeline_restore(run->pipeline, config->state_folder, &before);
        if (epoch > 0) {
            checkpoint_restored(run->checkpoint, (uint64_t)epoch);
            log_info("checkpoint.restored", "epoch %lld of %s, in %lld ms", (long long)epoch, config->state_folder,
                     (long long)(clock_monotonic_ms(&run->clock) - begun_ms));
        }
        if (epoch >= 0)
            return 0;
        pipeline_free(run->pipeline); /* half of it may be there */
        run->pipeline = NULL;
        if (before > 0) {
            log_error("checkpoint.damaged", "%s; the one before is tried", err_text());
            continue;
        }
        if (config->state_start == STATE_RESTORE)
            return err_note("no checkpoint in %s can be used; mend it, or begin anew from kafka.start with state.start: restore_or_clean", config->state_folder);
        log_error("checkpoint.lost", "%s; begun anew from kafka.start", err_text());
        err_clear();
        return pipeline_new(config, setup, &run->pipeline);
    }
}

static int open_state(struct run *run, struct pipeline_setup *setup)
{
    const struct config *config = run->config;
    if (config->state_folder[0]) {
        struct checkpoint_setup state = {.folder = config->state_folder, .group = config->kafka_group, .config_id = config->id,
                                         .every_ms = config->state_every_ms, .shards = run->shards, .folds = run->folds, .clock = run->clock,
                                         .disk = disk_real(), .context = run, .settled = letters_settled};
        int result = checkpoint_new(&state, &run->checkpoint);
        if (result != 0)
            return result;
        setup->checkpoint = run->checkpoint;
    }
    return restore(run, setup);
}

int run_start(const struct config *config, const char *path, struct run **run)
{
    return run_start_spans(config, path, NULL, 0, run);
}

int run_start_spans(const struct config *config, const char *path, const struct run_span *span, int spans, struct run **out)
{
    struct run *run = calloc(1, sizeof *run);
    ensure(run != NULL, "the machine has memory left");
    run->config = config;
    run->span = span;
    run->spans = spans;
    atomic_init(&run->live_config, config);
    struct clock machine = clock_machine();
    run->clock = clock_steady(&run->steady, &machine);
    run->started_ms = clock_monotonic_ms(&run->clock);
    run_reload_open(run, path);
    count_threads(run);
    struct pipeline_setup setup = {.shards = run->shards, .folds = run->folds, .at_ms = INT64_MIN, .clock = run->clock,
                                   .source = run->source, .context = run, .dead_letter = dead_letter, .tend = tend, .hurry = hurry};
    int result = open_sinks(run, &setup);
    for (int s = 0; s < run->shards && result == 0; s++)
        result = kafka_source_open(config, s, run->shards, &run->source[s]);
    if (result == 0)
        result = run_observe_open(run);
    if (result == 0)
        result = open_state(run, &setup);
    run_observe_restored(run);
    if (result == 0)
        result = run_control_open(run);
    if (result != 0) {
        close_all(run);
        return result;
    }
    recall_open(run);
    for (int s = 0; s < run->shards; s++) {
        kafka_source_begin(&run->source[s], first_offset, run);
        if (spans)
            kafka_source_end(&run->source[s], last_offset, run);
    }
    log_info("run.started", "%d shards, %d folds, config %s", run->shards, run->folds, config->id);
    *out = run;
    result = pipeline_start(run->pipeline);
    recall_start(run->recall);
    return result;
}

int64_t run_left(const struct run *run)
{
    int64_t left = 0;
    for (int s = 0; s < run->shards; s++) {
        int64_t one = kafka_source_counts(&run->source[s]).left;
        if (one < 0)
            return -1;
        left += one;
    }
    return left;
}

struct pipeline *run_pipeline(struct run *run)
{
    return run->pipeline;
}

/* Looks at the memory that the process holds, ten times a second: what comes meanwhile is far less than the limit's last 45 %. */
static void watch_memory(struct run *run)
{
    const struct config *config = run_config(run);
    int64_t now_ms = clock_monotonic_ms(&run->clock);
    if ((config->limit_memory == 0 && run->memory == MEMORY_FREE) || now_ms < run->memory_due_ms)
        return;
    run->memory_due_ms = now_ms + MEMORY_LOOK_MS;
    struct pipeline_counts counts = pipeline_counts(run->pipeline);
    uint64_t resident = memory_resident(), slack = counts.shards.ledger.slack_bytes + counts.folds.slack_bytes;
    enum memory_state state = memory_state((uint64_t)config->limit_memory, resident, slack, run->memory);
    static const char *const means[] = {"all is begun again", "new keys go to __other__", "new keys go to __other__, new interactions meet limits.at_interactions"};
    if (state > run->memory)
        log_error("memory.short", "%llu MiB are held, limits.memory is %lld MiB: %s; raise it, or shorten retention", (unsigned long long)(resident >> 20),
                  (long long)(config->limit_memory >> 20), means[state]);
    else if (state < run->memory)
        log_info("memory.freed", "%llu MiB are held: %s", (unsigned long long)(resident >> 20), means[state]);
    if (state != run->memory)
        pipeline_press(run->pipeline, state);
    run->memory = state;
}

static void follow_clock(struct run *run)
{
    int followed;
    int64_t jump_ms = steady_clock_follow(&run->steady, &followed);
    if (jump_ms && followed)
        log_warn("clock.followed", "the machine's clock has stood by its jump of %lld s: windows follow it now", (long long)(jump_ms / 1000));
    else if (jump_ms)
        log_warn("clock.jumped", "the machine's clock was set by %lld s; windows go on by the time that passes, and follow if it stays so for %d s",
                 (long long)(jump_ms / 1000), STEADY_TRUST_MS / 1000);
}

static bool fenced(const struct run *run)
{
    return run->redis_open && redis_fenced(run->redis.state);
}

int run_check(struct run *run)
{
    tend(run);
    run_control_step(run);
    http_step(run->http);
    run_reload_step(run);
    follow_clock(run);
    watch_memory(run);
    watch_recall(run);
    if (fenced(run))
        return err_set(ERR_FENCED, "a newer instance publishes to this Redis; this one has stopped");
    return 0;
}

/* It waits for the sinks no longer than RECALL_WAIT_MS. */
bool run_at_end(struct run *run)
{
    int64_t now_ms = clock_monotonic_ms(&run->clock);
    if (!pipeline_idle(run->pipeline)) {
        run->ended_ms = 0;
        return false;
    }
    run->ended_ms = run->ended_ms ? run->ended_ms : now_ms;
    if (!run->recalled && now_ms - run->ended_ms < RECALL_WAIT_MS)
        return false;
    if (!run->recalled)
        log_warn("recall.late", "not all that the sinks hold from before could be read; what only an earlier life had told may stay there");
    return true;
}

int run_stop(struct run *run, enum pipeline_end end, int64_t within_ms)
{
    recall_stop(run->recall);
    run->signals_left = end == END_DRAIN ? 1 : 2; /* a drain began with one */
    run->signalled_ms = clock_monotonic_ms(&run->clock);
    int result = pipeline_stop(run->pipeline, end, within_ms);
    if (result == ERR_HELD_UP) {
        log_error("run.held_up", "%s", err_text());
        _exit(fenced(run) ? EXIT_FENCED : EXIT_FAILED); /* a thread is at work still: nothing that it uses may be freed */
    }
    struct pipeline_counts counts = pipeline_counts(run->pipeline);
    pipeline_summary(&counts, run->config, stderr);
    close_all(run);
    return result;
}
