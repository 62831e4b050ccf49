/* What a running engine tells over HTTP: GET /metrics, from observe.def, in the text form of Prometheus and OpenMetrics; /health/live, whether the
 * threads step; /health/ready, whether figures arrive and leave. All of it is gathered when it is asked for, from copies that the agents post
 * some times a second. */
#include "run_parts.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "esteem/err.h"
#include "esteem/event.h"
#include "esteem/http.h"
#include "esteem/kafka.h"
#include "esteem/memory.h"
#include "esteem/observe.h"
#include "esteem/publisher.h"
#include "esteem/redis.h"
#include "esteem/topics.h"

enum { SILENT_MS = 30000 /* a thread that has not told its counts for so long is stuck */, LAGS_MAX = 65536, LABELS_MAX = 2, ANSWER_NAP_NS = 20000000 };

/* Of one request. */
struct scrape {
    struct run *run;
    const struct config *config;
    FILE *out;
    bool open_metrics;
    enum observe row; /* what is being written */
    int64_t now_ms;
    struct pipeline_counts counts;
    struct checkpoint_counts state;
    struct kafka_counts kafka;
    struct kafka_lag *lag;
    int lags;
};

/* ---- gathering ---- */

static void gather_lag(struct scrape *scrape, const struct source *source)
{
    int room = LAGS_MAX - scrape->lags, count = kafka_source_lag(source, scrape->lag + scrape->lags, room);
    scrape->lags += count < room ? count : room;
}

static void gather(struct scrape *scrape, struct run *run, FILE *out)
{
    *scrape = (struct scrape){.run = run, .config = run_config(run), .out = out, .now_ms = clock_monotonic_ms(&run->clock),
                              .counts = pipeline_counts(run->pipeline), .lag = malloc(LAGS_MAX * sizeof *scrape->lag)};
    ensure(scrape->lag != NULL, "the machine has memory left");
    if (run->checkpoint)
        scrape->state = checkpoint_counts(run->checkpoint);
    for (int s = 0; s < run->shards; s++) {
        struct kafka_counts one = kafka_source_counts(&run->source[s]);
        scrape->kafka.errors += one.errors;
        scrape->kafka.lost += one.lost;
        scrape->kafka.unfetchable += one.unfetchable;
        scrape->kafka.recreated += one.recreated;
        gather_lag(scrape, &run->source[s]);
    }
}

/* ---- conditions ---- */

static bool partitions_met(const struct scrape *scrape)
{
    bool topic[CONFIG_TOPIC_MAX] = {false}, met = true;
    for (int i = 0; i < scrape->lags; i++) {
        topic[scrape->lag[i].topic] = true;
        met &= scrape->lag[i].messages >= 0;
    }
    for (int t = 0; t < scrape->config->topic_count; t++)
        met &= topic[t];
    return met;
}

static bool lag_met(const struct scrape *scrape)
{
    int64_t sum = 0;
    for (int i = 0; i < scrape->lags; i++)
        sum += scrape->lag[i].messages > 0 ? scrape->lag[i].messages : 0;
    return scrape->config->http_ready_lag == 0 || sum <= scrape->config->http_ready_lag;
}

static bool redis_met(const struct scrape *scrape)
{
    return !scrape->run->redis_open || redis_counts(&scrape->run->redis).up;
}

static bool topics_met(const struct scrape *scrape)
{
    return !scrape->run->topics_open || pipeline_sink_reached(scrape->run->pipeline, scrape->run->redis_open);
}

/* What is not configured is met. Before the state is restored none is looked at: answer_restoring. */
static const struct {
    const char *name, *unmet;
    bool (*met)(const struct scrape *scrape);
} conditions[] = {
    {"partitions", "a topic has no partition that is read yet, or the broker has not told the end of one", partitions_met},
    {"lag", "more than http.ready_lag messages wait in Kafka", lag_met},
    {"redis", "Redis is away, refuses rows, or has not been reached yet", redis_met},
    {"topics", "the metric topics have not been reached yet", topics_met},
};
enum { CONDITIONS = sizeof conditions / sizeof *conditions };

static int tell_ready(struct scrape *scrape)
{
    const char *before = "";
    fputs("{\"unmet\":{", scrape->out);
    for (int i = 0; i < CONDITIONS; i++)
        if (!conditions[i].met(scrape)) {
            fprintf(scrape->out, "%s\"%s\":\"%s\"", before, conditions[i].name, conditions[i].unmet);
            before = ",";
        }
    fprintf(scrape->out, "},\"ready\":%s}\n", *before ? "false" : "true");
    return *before ? HTTP_UNAVAILABLE : HTTP_OK;
}

static int tell_live(struct scrape *scrape)
{
    int64_t since_ms = scrape->counts.posted_ms > scrape->run->started_ms ? scrape->counts.posted_ms : scrape->run->started_ms;
    bool live = scrape->now_ms - since_ms <= SILENT_MS;
    char name[PIPELINE_NAME_MAX];
    fprintf(scrape->out, "{\"live\":%s,", live ? "true" : "false");
    if (!live)
        fprintf(scrape->out, "\"silent\":\"%s\",", pipeline_agent_name(scrape->run->pipeline, scrape->counts.behind, scrape->counts.behind_index, name));
    fprintf(scrape->out, "\"silent_ms\":%" PRId64 "}\n", scrape->now_ms - since_ms);
    return live ? HTTP_OK : HTTP_UNAVAILABLE;
}

/* ---- metrics: a function for each row of observe.def ---- */

/* Values of labels: the quote, the backslash and the newline are escaped; what is no UTF-8 was refused by the configuration. */
static void put_label(struct scrape *scrape, const char *name, size_t length, const char *value, char before)
{
    fprintf(scrape->out, "%c%.*s=\"", before, (int)length, name);
    for (; *value; value++)
        if (*value == '\n')
            fputs("\\n", scrape->out);
        else
            fprintf(scrape->out, *value == '"' || *value == '\\' ? "\\%c" : "%c", *value);
    fputc('"', scrape->out);
}

static void put_name(struct scrape *scrape, const char *const value[LABELS_MAX])
{
    const struct observe_row *row = &observe_rows[scrape->row];
    const char *label = row->labels;
    fprintf(scrape->out, "esteem_%s%s", row->name, row->kind == OBSERVE_KIND_COUNTER ? "_total" : "");
    for (int i = 0; i < LABELS_MAX && *label; i++) {
        size_t length = strcspn(label, ",");
        put_label(scrape, label, length, value[i], i ? ',' : '{');
        label += length + (label[length] == ',');
    }
    fputs(*row->labels ? "} " : " ", scrape->out);
}

static void put_integer(struct scrape *scrape, int64_t number, const char *first, const char *second)
{
    put_name(scrape, (const char *const[]){first, second});
    fprintf(scrape->out, "%" PRId64 "\n", number);
}

static void put_seconds(struct scrape *scrape, int64_t number_ms)
{
    put_name(scrape, (const char *const[]){NULL, NULL});
    fprintf(scrape->out, "%s%" PRId64 ".%03d\n", number_ms < 0 ? "-" : "", number_ms < 0 ? -number_ms / 1000 : number_ms / 1000,
            (int)(number_ms < 0 ? -number_ms % 1000 : number_ms % 1000));
}

static void put_us(struct scrape *scrape, int64_t number_us, const char *label)
{
    put_name(scrape, (const char *const[]){label, NULL});
    fprintf(scrape->out, "%.6f\n", (double)number_us / 1e6);
}

/* Its buckets, each with all that is less, its sum and its count; a label of its own, or none. */
static void put_timing(struct scrape *scrape, const struct timing *timing, const char *label)
{
    const struct observe_row *row = &observe_rows[scrape->row];
    char own[64] = "";
    uint64_t below = 0;
    if (label)
        snprintf(own, sizeof own, "%s=\"%s\"", row->labels, label);
    for (int b = 0; b <= TIMING_BUCKETS; b++) {
        below += b < TIMING_BUCKETS ? timing->bucket[b] : 0;
        fprintf(scrape->out, "esteem_%s_bucket{%s%sle=\"", row->name, own, label ? "," : "");
        if (b < TIMING_BUCKETS)
            fprintf(scrape->out, "%g", (double)timing_bound_us[b] / 1e6);
        else
            fputs("+Inf", scrape->out);
        fprintf(scrape->out, "\"} %" PRIu64 "\n", b < TIMING_BUCKETS ? below : timing->count);
    }
    fprintf(scrape->out, "esteem_%s_sum%s%s%s %.6f\n", row->name, label ? "{" : "", own, label ? "}" : "", (double)timing->sum_us / 1e6);
    fprintf(scrape->out, "esteem_%s_count%s%s%s %" PRIu64 "\n", row->name, label ? "{" : "", own, label ? "}" : "", timing->count);
}

static int sinks_of(const struct scrape *scrape)
{
    return scrape->run->redis_open + scrape->run->topics_open;
}

/* Redis is the first, where there is one. */
static const char *sink_name(const struct scrape *scrape, int sink)
{
    return scrape->run->redis_open && sink == 0 ? "redis" : "topics";
}

#define PUT(name) static void put_##name(struct scrape *scrape)
#define ONE(number) put_integer(scrape, (int64_t)(number), NULL, NULL)
#define FOR(label, number) put_integer(scrape, (int64_t)(number), label, NULL)
#define SHARDS scrape->counts.shards
#define FOLDS scrape->counts.folds
#define RUN scrape->run

PUT(config_info) { FOR(scrape->config->id, 1); }
PUT(start_time_seconds) { put_seconds(scrape, clock_wall_ms(&RUN->clock) - (scrape->now_ms - RUN->started_ms)); }
PUT(ready)
{
    for (int i = 0; i < CONDITIONS; i++)
        FOR(conditions[i].name, conditions[i].met(scrape));
}
PUT(messages) { ONE(SHARDS.messages); }
PUT(messages_empty) { ONE(SHARDS.messages_empty); }
PUT(events_applied)
{
    for (int i = 0; i < EVENT_COUNT; i++)
        FOR(event_type_names[i], SHARDS.applied_by_type[i]);
}
PUT(events_duplicate) { ONE(SHARDS.duplicates); }
PUT(events_refused)
{
    for (int t = 0; t < scrape->config->topic_count; t++)
        for (int i = 0; i < REFUSAL_COUNT; i++)
            if (SHARDS.refused_by_reason[t][i])
                put_integer(scrape, (int64_t)SHARDS.refused_by_reason[t][i], scrape->config->topic[t].name, refusal_names[i]);
}
PUT(events_strayed) { ONE(SHARDS.ledger.strayed); }
PUT(deadletters)
{
    struct deadletter_counts letters = deadletter_counts(RUN->deadletter);
    FOR("delivered", letters.delivered);
    FOR("truncated", letters.truncated);
    FOR("lost", letters.lost);
}
PUT(deadletters_pending) { ONE(deadletter_counts(RUN->deadletter).pending); }
PUT(consumer_lag)
{
    for (int i = 0; i < scrape->lags; i++) {
        char partition[16];
        snprintf(partition, sizeof partition, "%d", (int)scrape->lag[i].partition);
        if (scrape->lag[i].messages >= 0)
            put_integer(scrape, scrape->lag[i].messages, scrape->config->topic[scrape->lag[i].topic].name, partition);
    }
}
PUT(source_errors) { ONE(scrape->kafka.errors); }
PUT(source_lost) { ONE(scrape->kafka.lost); }
PUT(source_unfetchable) { ONE(scrape->kafka.unfetchable); }
PUT(source_recreated) { ONE(scrape->kafka.recreated); }
PUT(source_waits) { ONE(SHARDS.waits); }
PUT(watermark_delay_seconds)
{
    if (FOLDS.watermark_ms != INT64_MIN && FOLDS.watermark_ms != INT64_MAX)
        put_seconds(scrape, clock_wall_ms(&RUN->clock) - FOLDS.watermark_ms);
}
PUT(interactions) { ONE(SHARDS.ledger.records); }
PUT(interactions_retired) { ONE(SHARDS.ledger.retired); }
PUT(interactions_forgotten) { ONE(SHARDS.forgotten); }
PUT(ledger_full) { ONE(SHARDS.ledger_full); }
PUT(keys) { ONE(FOLDS.keys); }
PUT(keys_refused) { ONE(scrape->counts.keys_refused); }
PUT(strings_refused) { ONE(SHARDS.strings_refused); }
PUT(panes) { ONE(FOLDS.panes); }
PUT(calendar_windows) { ONE(FOLDS.calendar_windows); }
PUT(rows) { ONE(FOLDS.rows); }
PUT(sink_up)
{
    if (RUN->redis_open)
        FOR("redis", redis_met(scrape));
    if (RUN->topics_open)
        FOR("topics", topics_met(scrape));
}
PUT(sink_rows)
{
    if (RUN->redis_open)
        FOR("redis", redis_counts(&RUN->redis).rows);
    if (RUN->topics_open)
        FOR("topics", topics_counts(&RUN->topics).messages);
}
PUT(sink_bytes)
{
    if (RUN->redis_open)
        FOR("redis", redis_counts(&RUN->redis).bytes);
    if (RUN->topics_open)
        FOR("topics", topics_counts(&RUN->topics).bytes);
}
PUT(sink_errors)
{
    if (RUN->redis_open)
        FOR("redis", redis_counts(&RUN->redis).errors);
    if (RUN->topics_open)
        FOR("topics", topics_counts(&RUN->topics).errors);
}
PUT(redis_reconnects) { ONE(RUN->redis_open ? redis_counts(&RUN->redis).reconnects : 0); }
PUT(memory_bytes)
{
    FOR("resident", memory_resident());
    FOR("ledger", SHARDS.ledger.fact_bytes + SHARDS.ledger.index_bytes);
    FOR("books", SHARDS.books_bytes);
    FOR("names", SHARDS.names_bytes);
    FOR("in_flight", scrape->counts.in_flight_bytes);
    FOR("windows", FOLDS.bytes);
    FOR("slack", SHARDS.ledger.slack_bytes + FOLDS.slack_bytes);
}
PUT(memory_limit_bytes) { ONE(scrape->config->limit_memory); }
PUT(memory_state) { ONE(RUN->memory); }
PUT(checkpoints)
{
    FOR("written", scrape->state.written);
    FOR("failed", scrape->state.failed);
}
PUT(checkpoint_age_seconds)
{
    if (RUN->checkpoint)
        put_seconds(scrape, scrape->now_ms - (scrape->state.written && scrape->state.written_ms != INT64_MIN ? scrape->state.written_ms : RUN->started_ms));
}
PUT(checkpoint_bytes) { ONE(scrape->state.bytes); }
PUT(checkpoint_interval_seconds) { put_seconds(scrape, scrape->config->state_every_ms); }
PUT(step_seconds)
{
    static const char *const kinds[PIPELINE_AGENTS] = {"shard", "fold", "publisher"};
    for (int kind = 0; kind < PIPELINE_AGENTS; kind++)
        put_timing(scrape, &scrape->counts.step[kind], kinds[kind]);
}
PUT(longest_step_seconds)
{
    char agent[PIPELINE_NAME_MAX];
    for (int s = 0; s < RUN->shards; s++)
        put_us(scrape, scrape->counts.shard_longest_us[s], pipeline_agent_name(RUN->pipeline, PIPELINE_SHARD, s, agent));
    for (int f = 0; f < RUN->folds; f++)
        put_us(scrape, scrape->counts.fold_longest_us[f], pipeline_agent_name(RUN->pipeline, PIPELINE_FOLD, f, agent));
    for (int p = 0; p < sinks_of(scrape); p++)
        put_us(scrape, scrape->counts.sink_longest_us[p], pipeline_agent_name(RUN->pipeline, PIPELINE_PUBLISHER, p, agent));
}
PUT(tick_seconds) { put_timing(scrape, &SHARDS.tick, NULL); }
PUT(publish_seconds)
{
    for (int p = 0; p < sinks_of(scrape); p++)
        put_timing(scrape, &scrape->counts.publish[p], sink_name(scrape, p));
}
PUT(ring_depth)
{
    put_integer(scrape, scrape->counts.to_shards, "shard", "shard");
    put_integer(scrape, scrape->counts.to_folds, "shard", "fold");
    for (int p = 0; p < sinks_of(scrape); p++)
        put_integer(scrape, scrape->counts.to_sink[p], "fold", sink_name(scrape, p));
}
PUT(ring_slots)
{
    put_integer(scrape, PIPELINE_SHARD_RING, "shard", "shard");
    put_integer(scrape, PIPELINE_FOLD_RING, "shard", "fold");
    for (int p = 0; p < sinks_of(scrape); p++)
        put_integer(scrape, PUBLISHER_RING, "fold", sink_name(scrape, p));
}
PUT(reloads)
{
    FOR("done", RUN->reloading.done);
    FOR("refused", RUN->reloading.refused);
    FOR("unchanged", RUN->reloading.unchanged);
}
PUT(reload_longest_step_seconds)
{
    put_us(scrape, RUN->reloading.longest_us, NULL);
}
PUT(paused) { ONE(RUN->paused); }

static void (*const putters[OBSERVE_COUNT])(struct scrape *scrape) = {
#define OBSERVE(name, kind, labels, help) [OBSERVE_##name] = put_##name,
#include "esteem/observe.def"
#undef OBSERVE
};

/* OpenMetrics names a counter without its _total, and ends with a mark. */
static int tell_metrics(struct scrape *scrape)
{
    for (int i = 0; i < OBSERVE_COUNT; i++) {
        const struct observe_row *row = &observe_rows[i];
        bool counter = row->kind == OBSERVE_KIND_COUNTER;
        const char *total = counter && !scrape->open_metrics ? "_total" : "";
        scrape->row = (enum observe)i;
        fprintf(scrape->out, "# HELP esteem_%s%s %s\n# TYPE esteem_%s%s %s\n", row->name, total, row->help, row->name, total, observe_kinds[row->kind]);
        putters[i](scrape);
    }
    if (scrape->open_metrics)
        fputs("# EOF\n", scrape->out);
    return HTTP_OK;
}

/* ---- the listener ---- */

/* Until there is an engine to ask. */
static int answer_restoring(const char *path, FILE *out, const char **type)
{
    if (strcmp(path, "/health/live") == 0) {
        *type = "application/json";
        fputs("{\"live\":true,\"restoring\":true}\n", out);
        return HTTP_OK;
    }
    if (strcmp(path, "/health/ready") == 0) {
        *type = "application/json";
        fputs("{\"unmet\":{\"restored\":\"the state is read from its checkpoint\"},\"ready\":false}\n", out);
    } else {
        fputs("the state is read from its checkpoint\n", out);
    }
    return HTTP_UNAVAILABLE;
}

static int answer(void *context, const char *path, const char *accepts, FILE *out, const char **type)
{
    struct scrape scrape;
    int status = HTTP_NOT_FOUND;
    struct run *run = context;
    if (!run->restored)
        return answer_restoring(path, out, type);
    gather(&scrape, context, out);
    if (strcmp(path, "/metrics") == 0) {
        scrape.open_metrics = strstr(accepts, "application/openmetrics-text") != NULL;
        *type = scrape.open_metrics ? "application/openmetrics-text; version=1.0.0; charset=utf-8" : "text/plain; version=0.0.4; charset=utf-8";
        status = tell_metrics(&scrape);
    } else if (strncmp(path, "/health/", 8) == 0 && (strcmp(path + 8, "live") == 0 || strcmp(path + 8, "ready") == 0)) {
        *type = "application/json";
        status = (path[8] == 'l' ? tell_live : tell_ready)(&scrape);
    } else {
        fputs("there are /metrics, /health/live and /health/ready\n", out);
    }
    free(scrape.lag);
    return status;
}

static void *answer_meanwhile(void *context)
{
    struct run *run = context;
    while (!atomic_load_explicit(&run->answerer_ends, memory_order_relaxed)) {
        http_step(run->http);
        nanosleep(&(struct timespec){0, ANSWER_NAP_NS}, NULL);
    }
    return NULL;
}

int run_observe_open(struct run *run)
{
    if (run->config->http_listen[0] == 0)
        return 0;
    int result = http_open(run->config->http_listen, answer, run, &run->http);
    if (result == 0) {
        run->answering = pthread_create(&run->answerer, NULL, answer_meanwhile, run) == 0;
        ensure(run->answering, "the machine grants a thread to whoever asks for health");
    }
    return result;
}

void run_observe_restored(struct run *run)
{
    atomic_store_explicit(&run->answerer_ends, true, memory_order_relaxed);
    if (run->answering)
        pthread_join(run->answerer, NULL);
    run->answering = false;
    run->restored = true; /* not before: where the restore has failed there is no engine to ask */
}
