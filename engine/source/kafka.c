/* kafka: librdkafka behind source.h.
 *
 *   watcher thread ──metadata──> found[topic] ──> poll: takes up new partitions
 *   broker threads (librdkafka) ──fetch──> queue ──batch──> poll ──each──> the shard
 *
 * Batches, not librdkafka's callback queue: rd_kafka_yield puts the rest of the queue back, but while the callback runs the fetchers
 * see an empty queue and go on fetching. With a consumer slower than the broker and a bound of 64 MiB the process grew to 1.1 GiB
 * (2 M events of 390 bytes, librdkafka 2.0.2, 22 Nov 2026); the batch stayed at 0.2 GiB, at equal CPU.
 *
 * A pause only stops handing out. rd_kafka_pause_partitions would drop what is queued and fetch it again. */
#include "esteem/kafka.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <librdkafka/rdkafka.h>

#include "esteem/err.h"
#include "esteem/log.h"

enum {
    WATCH_MS = 30000,        /* pace of the watcher */
    WATCH_MISSING_MS = 1000, /* while a topic is missing or no broker answers */
    WATCH_TIMEOUT_MS = 1000, /* so long may the watcher wait for an answer, and close for the watcher */
    COMMIT_WAIT_MS = 1000,   /* so long may close wait for a commit on its way */
    FOUND_NOT_YET = -1,      /* no broker has said yet whether the topic exists */
    TOLD_MS = 60000,         /* an error kind is news again after this, if messages flow */
    TOLD_BASE = 200,         /* librdkafka's own errors go down to -200 */
    TOLD_COUNT = 512,
    SYSLOG_WARNING = 4,      /* syslog.h cannot be included beside log.h: both have LOG_DEBUG */
    AHEAD = 3,               /* messages that are fetched into the cache before their turn */
    PROBE = 64,              /* messages of each partition whose headers are read in full */
    PAGE = 4096,             /* bytes; the smallest there is */
};

struct input {
    int topic;
    int32_t partition;
    int64_t next;      /* offset behind the last message handed out; -1: none yet */
    int64_t committed; /* the same, as of the last commit */
    int probed;        /* messages so far, up to PROBE */
    bool at_end;
};

struct topic {
    int index; /* into config.topic */
    rd_kafka_topic_t *handle;
    bool begun;      /* shard: partitions that are found from now on are new, and read from their beginning */
    int32_t taken;   /* shard: partitions dealt with */
    int *input;      /* shard: input of partition p, -1: another shard's */
    bool missing;    /* watcher */
    _Atomic int32_t found; /* watcher writes: partitions, or FOUND_NOT_YET; the shard reads */
};

struct kafka_source {
    const struct config *config;
    int shard, shards;
    rd_kafka_t *rk;
    kafka_from *from;
    void *from_context;

    /* shard's thread */
    rd_kafka_queue_t *queue, *replies; /* messages; answers to commits */
    rd_kafka_message_t *batch[KAFKA_BATCH];
    size_t batch_next, batch_count; /* what was fetched from the queue and not yet handed out */
    struct input *input;
    int input_count;
    bool paused, committing;
    bool probe_only; /* the byte behind a message does not tell whether it has headers */
    unsigned generation_seen;

    /* watcher's thread */
    pthread_t watcher;
    bool watching, away;

    /* both */
    _Atomic unsigned generation; /* one more each time a topic's `found` changes */
    pthread_mutex_t lock;        /* protects `stop` */
    pthread_cond_t wake;
    bool stop;
    _Atomic uint64_t errors;
    _Atomic bool told[TOLD_COUNT]; /* error kinds that were logged */
    _Atomic int64_t told_ms;       /* when the last one was, monotonic; 0: none is told */

    int topic_count;
    struct topic topic[CONFIG_TOPIC_MAX];
};

/* ---- errors: counted each, logged once a kind */

static int64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 + 1;
}

static void error_tell(struct kafka_source *source, rd_kafka_resp_err_t error, const char *text)
{
    atomic_fetch_add_explicit(&source->errors, 1, memory_order_relaxed);
    int kind = (int)error + TOLD_BASE;
    if (kind >= 0 && kind < TOLD_COUNT && atomic_exchange_explicit(&source->told[kind], true, memory_order_relaxed)) {
        return;
    }
    atomic_store_explicit(&source->told_ms, now_ms(), memory_order_relaxed);
    log_warn("kafka.error", "%s (%s)", text, rd_kafka_err2name(error));
}

/* Messages flow: what was told a while ago is news again. */
static void errors_forget(struct kafka_source *source)
{
    int64_t told_ms = atomic_load_explicit(&source->told_ms, memory_order_relaxed);
    if (!told_ms || now_ms() - told_ms < TOLD_MS) {
        return;
    }
    atomic_store_explicit(&source->told_ms, 0, memory_order_relaxed);
    for (int i = 0; i < TOLD_COUNT; i++) {
        atomic_store_explicit(&source->told[i], false, memory_order_relaxed);
    }
}

/* Runs on: the thread that calls rd_kafka_poll, the shard's. */
static void error_come(rd_kafka_t *rk, int error, const char *reason, void *context)
{
    (void)rk;
    error_tell(context, (rd_kafka_resp_err_t)error, reason);
}

/* Runs on: librdkafka's threads. Broken connections come to error_come as well, so here they are details. */
static void log_come(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    (void)rk;
    bool detail = level > SYSLOG_WARNING || strcmp(facility, "FAIL") == 0 || strcmp(facility, "ERROR") == 0 ||
                  strcmp(facility, "CONFWARN") == 0;
    log_line(detail ? LOG_DEBUG : LOG_WARN, "kafka.client", "%s: %s", facility, text);
}

/* ---- opening */

static int property_set(rd_kafka_conf_t *conf, const char *key, const char *value)
{
    char why[256];
    if (rd_kafka_conf_set(conf, key, value, why, sizeof why) != RD_KAFKA_CONF_OK) {
        return err_set(ERR_CONFIG, "kafka.properties: %s: %s", key, why);
    }
    return 0;
}

/* The user's own properties. Some belong to other keys of the configuration, some to the source itself. */
static int properties_add(rd_kafka_conf_t *conf, const struct config *config)
{
    static const struct {
        const char *key, *instead;
    } ours[] = {
        {"bootstrap.servers", "set kafka.brokers"},
        {"metadata.broker.list", "set kafka.brokers"},
        {"group.id", "set kafka.group"},
        {"auto.offset.reset", "set kafka.start"},
        {"enable.auto.commit", "offsets are committed with the state; leave it out"},
        {"enable.auto.offset.store", "offsets are committed with the state; leave it out"},
        {"enable.partition.eof", "the end of a partition must be seen; leave it out"},
    };
    for (int i = 0; i < config->kafka_property_count; i++) {
        const struct config_property *property = &config->kafka_property[i];
        for (size_t k = 0; k < sizeof ours / sizeof ours[0]; k++) {
            if (strcmp(property->key, ours[k].key) == 0) {
                return err_set(ERR_CONFIG, "kafka.properties: %s: %s", property->key, ours[k].instead);
            }
        }
        int error = property_set(conf, property->key, property->value);
        if (error) {
            return error;
        }
    }
    return 0;
}

/* librdkafka's settings, as far as they are ours. Small queues stall for a second each time they are full. */
static int settings_make(rd_kafka_conf_t *conf, const struct kafka_source *source)
{
    const struct config *config = source->config;
    char client[32], queue_kb[16], receive[24];
    int64_t response = config->limit_message + (64 << 20);
    (void)snprintf(client, sizeof client, "esteem-%d", source->shard);
    (void)snprintf(queue_kb, sizeof queue_kb, "%d", KAFKA_QUEUE_KB);
    (void)snprintf(receive, sizeof receive, "%lld", (long long)(response > 100000000 ? response : 100000000));
    const struct config_property rows[] = {
        {"bootstrap.servers", config->kafka_brokers},
        {"group.id", config->kafka_group},
        {"client.id", client},
        {"enable.auto.commit", "false"},
        {"enable.auto.offset.store", "false"},
        {"enable.partition.eof", "true"},
        {"auto.offset.reset", "earliest"}, /* where an offset is gone; librdkafka logs it */
        {"queued.min.messages", "1000000"},
        {"queued.max.messages.kbytes", queue_kb},
        {"fetch.message.max.bytes", "4194304"},
        {"receive.message.max.bytes", receive},
        {"log.connection.close", "false"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int error = property_set(conf, rows[i].key, rows[i].value);
        if (error) {
            return error;
        }
    }
    char why[256];
    (void)rd_kafka_conf_set(conf, "fetch.queue.backoff.ms", "5", why, sizeof why); /* librdkafka 2.2 and later know it */
    return properties_add(conf, config);
}

static int client_open(struct kafka_source *source)
{
    char why[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    int error = settings_make(conf, source);
    if (!error) {
        rd_kafka_conf_set_opaque(conf, source);
        rd_kafka_conf_set_error_cb(conf, error_come);
        rd_kafka_conf_set_log_cb(conf, log_come);
        source->rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why);
        error = source->rk ? 0 : err_set(ERR_CONFIG, "kafka.properties: %s", why);
    }
    if (error) {
        rd_kafka_conf_destroy(conf); /* rd_kafka_new takes it only when it succeeds */
        return error;
    }
    source->queue = rd_kafka_queue_get_consumer(source->rk);
    source->replies = rd_kafka_queue_get_main(source->rk);
    return 0;
}

/* A handle for each topic, which leads from a message back to our struct topic. */
static int topics_open(struct kafka_source *source)
{
    for (int i = 0; i < source->config->topic_count; i++) {
        struct topic *topic = &source->topic[i];
        topic->index = i;
        atomic_init(&topic->found, FOUND_NOT_YET);
        rd_kafka_topic_conf_t *conf = rd_kafka_topic_conf_new();
        rd_kafka_topic_conf_set_opaque(conf, topic);
        topic->handle = rd_kafka_topic_new(source->rk, source->config->topic[i].name, conf);
        if (!topic->handle) {
            rd_kafka_topic_conf_destroy(conf);
            return err_set(ERR_CONFIG, "topic %s: %s", source->config->topic[i].name, rd_kafka_err2str(rd_kafka_last_error()));
        }
        source->topic_count = i + 1;
    }
    return 0;
}

/* ---- the watcher */

/* Runs on: watcher. What one answer says of a topic: its partitions, or FOUND_NOT_YET. */
static int32_t topic_count_read(struct kafka_source *source, struct topic *topic, const struct rd_kafka_metadata *metadata)
{
    const char *name = source->config->topic[topic->index].name;
    if (metadata->topic_cnt != 1) {
        return FOUND_NOT_YET;
    }
    rd_kafka_resp_err_t error = metadata->topics[0].err;
    bool missing = error == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    if (missing != topic->missing) {
        topic->missing = missing;
        if (missing) {
            log_warn("kafka.topic_missing", "topic %s does not exist yet; it is read when it does", name);
        } else {
            log_info("kafka.topic_found", "topic %s is there now", name);
        }
    }
    if (missing) {
        return 0;
    }
    if (error) {
        error_tell(source, error, name);
        return FOUND_NOT_YET;
    }
    return metadata->topics[0].partition_cnt;
}

/* Runs on: watcher. Asks for each topic by its handle: a request for several could create those that are missing. False when the
 * next round should come soon. */
static bool watch_round(struct kafka_source *source)
{
    bool settled = true;
    for (int i = 0; i < source->topic_count; i++) {
        struct topic *topic = &source->topic[i];
        const struct rd_kafka_metadata *metadata;
        rd_kafka_resp_err_t error = rd_kafka_metadata(source->rk, 0, topic->handle, &metadata, WATCH_TIMEOUT_MS);
        if (error) {
            if (!source->away) {
                error_tell(source, error, "no broker answers");
            }
            source->away = true;
            return false;
        }
        source->away = false;
        int32_t found = topic_count_read(source, topic, metadata);
        rd_kafka_metadata_destroy(metadata);
        settled = settled && found > 0;
        if (found > atomic_load_explicit(&topic->found, memory_order_relaxed)) {
            atomic_store_explicit(&topic->found, found, memory_order_relaxed);
            /* release: `found` is visible to partitions_take's acquire */
            atomic_fetch_add_explicit(&source->generation, 1, memory_order_release);
        }
    }
    return settled;
}

static struct timespec deadline(int wait_ms)
{
    struct timespec at;
    (void)clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += wait_ms / 1000;
    at.tv_nsec += wait_ms % 1000 * 1000000L;
    if (at.tv_nsec >= 1000000000L) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000L;
    }
    return at;
}

static void *watcher_run(void *context)
{
    struct kafka_source *source = context;
    bool stop = false;
    while (!stop) {
        struct timespec until = deadline(watch_round(source) ? WATCH_MS : WATCH_MISSING_MS);
        pthread_mutex_lock(&source->lock);
        while (!source->stop && pthread_cond_timedwait(&source->wake, &source->lock, &until) != ETIMEDOUT) {
        }
        stop = source->stop;
        pthread_mutex_unlock(&source->lock);
    }
    return NULL;
}

static int watcher_start(struct kafka_source *source)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&source->lock, NULL);
    pthread_cond_init(&source->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    int error = pthread_create(&source->watcher, NULL, watcher_run, source);
    source->watching = error == 0;
    return error ? err_set(ERR_KAFKA, "no thread: %s", strerror(error)) : 0;
}

static void watcher_stop(struct kafka_source *source)
{
    if (!source->watching) {
        return;
    }
    pthread_mutex_lock(&source->lock);
    source->stop = true;
    pthread_cond_signal(&source->wake);
    pthread_mutex_unlock(&source->lock);
    pthread_join(source->watcher, NULL);
    pthread_cond_destroy(&source->wake);
    pthread_mutex_destroy(&source->lock);
}

/* ---- partitions */

static int64_t begin_offset(const struct kafka_source *source, const struct topic *topic, int32_t partition)
{
    const char *name = source->config->topic[topic->index].name;
    int64_t offset = source->from ? source->from(source->from_context, name, partition) : KAFKA_FROM_START;
    if (offset >= 0) {
        return offset;
    }
    bool end = source->config->kafka_start == KAFKA_START_END && !topic->begun;
    return end ? RD_KAFKA_OFFSET_END : RD_KAFKA_OFFSET_BEGINNING;
}

/* Makes room in the topic's table and in the inputs for partitions up to `found`. */
static bool room_make(struct kafka_source *source, struct topic *topic, int32_t found)
{
    int *by_partition = realloc(topic->input, (size_t)found * sizeof *by_partition);
    if (!by_partition) {
        return false;
    }
    topic->input = by_partition;
    size_t inputs = (size_t)(source->input_count + found - topic->taken);
    struct input *input = realloc(source->input, inputs * sizeof *input);
    if (!input) {
        return false;
    }
    source->input = input;
    return true;
}

/* Adds the new partitions of one topic that are this shard's to `list`. */
static int topic_take(struct kafka_source *source, struct topic *topic, rd_kafka_topic_partition_list_t *list)
{
    int32_t found = atomic_load_explicit(&topic->found, memory_order_relaxed);
    if (found > topic->taken && !room_make(source, topic, found)) {
        return err_set(ERR_MEMORY, "no memory for %d partitions", found);
    }
    for (; topic->taken < found; topic->taken++) {
        int32_t partition = topic->taken;
        topic->input[partition] = -1;
        if (partition % source->shards != source->shard) {
            continue;
        }
        if (source->input_count == SOURCE_INPUT_MAX) {
            return err_set(ERR_KAFKA, "more than %d partitions in one shard; use more shards", SOURCE_INPUT_MAX);
        }
        const char *name = source->config->topic[topic->index].name;
        int64_t begin = begin_offset(source, topic, partition);
        rd_kafka_topic_partition_list_add(list, name, partition)->offset = begin;
        topic->input[partition] = source->input_count;
        source->input[source->input_count++] =
            (struct input){.topic = topic->index, .partition = partition, .next = begin >= 0 ? begin : -1, .committed = -1};
    }
    topic->begun = topic->begun || found != FOUND_NOT_YET;
    return 0;
}

/* Takes up what the watcher has found since the last time. */
static int partitions_take(struct kafka_source *source)
{
    /* acquire: sees each `found` that watch_round stored before it */
    unsigned generation = atomic_load_explicit(&source->generation, memory_order_acquire);
    if (generation == source->generation_seen) {
        return 0;
    }
    int result = 0;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(16);
    for (int i = 0; i < source->topic_count && !result; i++) {
        result = topic_take(source, &source->topic[i], list);
    }
    if (list->cnt) {
        rd_kafka_error_t *error = rd_kafka_incremental_assign(source->rk, list);
        ensure(!error, "partitions of our own are assigned by hand, at any time");
        log_info("kafka.assigned", "shard %d reads %d partitions more, %d in all", source->shard, list->cnt, source->input_count);
    }
    rd_kafka_topic_partition_list_destroy(list);
    if (!result) {
        source->generation_seen = generation;
    }
    return result;
}

/* ---- messages */

/* True when the byte behind the value says that there are no headers. In Kafka's record format (v2, since 0.11) that byte is the
 * number of headers, and librdkafka hands out values where the broker's answer holds them. Its own rd_kafka_message_headers allocates
 * and frees a buffer to find that 0: some 200 ns of 1,000 an event (3 M events of feed R, librdkafka 2.0.2, 22 Nov 2026). The byte is only
 * read when it lies in the same page as the value's last one. */
static bool headers_none(const rd_kafka_message_t *rkm)
{
    const unsigned char *behind = (const unsigned char *)rkm->payload + rkm->len;
    return rkm->payload && (uintptr_t)behind % PAGE != 0 && *behind == 0;
}

/* The headers of a binary CloudEvent; without ce_specversion it is none. The first messages of each partition prove the shortcut. */
static void headers_read(struct kafka_source *source, const rd_kafka_message_t *rkm, struct input *input, struct event_headers *headers)
{
    rd_kafka_headers_t *list;
    const void *value;
    size_t length;
    bool none = headers_none(rkm);
    if (none && input->probed == PROBE && !source->probe_only) {
        return;
    }
    rd_kafka_resp_err_t error = rd_kafka_message_headers(rkm, &list);
    source->probe_only = source->probe_only || (none && !error);
    input->probed += input->probed < PROBE;
    if (error || rd_kafka_header_get_last(list, "ce_specversion", &value, &length)) {
        return;
    }
    headers->given = true;
    const struct {
        const char *name;
        struct text *text;
    } rows[] = {{"ce_id", &headers->id}, {"ce_type", &headers->type}, {"ce_time", &headers->time}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (!rd_kafka_header_get_last(list, rows[i].name, &value, &length) && value) {
            *rows[i].text = (struct text){.at = value, .length = (uint32_t)length};
        }
    }
}

/* Something that is no message: the end of a partition, or an error of one. */
static void notice_take(struct kafka_source *source, const rd_kafka_message_t *rkm, struct input *input)
{
    if (rkm->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        if (input) {
            input->at_end = true;
        }
        return;
    }
    char text[512];
    (void)snprintf(text, sizeof text, "%s [%d]: %s", rkm->rkt ? rd_kafka_topic_name(rkm->rkt) : "", rkm->partition,
                   rd_kafka_message_errstr(rkm));
    error_tell(source, rkm->err, text);
}

/* Hands one message to `each`. Returns 1, or 0 when it was none; `*more` becomes false when `each` has had enough. */
static int message_hand(struct kafka_source *source, const rd_kafka_message_t *rkm, source_each *each, void *context, bool *more)
{
    const struct topic *topic = rkm->rkt ? rd_kafka_topic_opaque(rkm->rkt) : NULL;
    bool ours = topic && rkm->partition >= 0 && rkm->partition < topic->taken && topic->input[rkm->partition] >= 0;
    struct input *input = ours ? &source->input[topic->input[rkm->partition]] : NULL;
    if (rkm->err || !input) {
        notice_take(source, rkm, input);
        return 0;
    }
    if (rkm->offset < input->next) { /* fetched again after a fault; it was handed out before */
        return 0;
    }
    struct message message = {.at = rkm->payload, .length = rkm->len, .topic = input->topic, .partition = rkm->partition,
                              .input = (int)(input - source->input), .offset = rkm->offset};
    headers_read(source, rkm, input, &message.headers);
    input->next = rkm->offset + 1;
    input->at_end = false;
    *more = each(context, &message);
    return 1;
}

/* Fills the batch when it is used up; waits for the first message only. False when there is none. */
static bool batch_fill(struct kafka_source *source, int wait_ms)
{
    if (source->batch_next < source->batch_count) {
        return true;
    }
    source->batch_next = 0;
    ssize_t count = rd_kafka_consume_batch_queue(source->queue, 0, source->batch, KAFKA_BATCH);
    if (count <= 0 && wait_ms > 0) {
        source->batch[0] = rd_kafka_consume_queue(source->queue, wait_ms);
        count = source->batch[0] != NULL;
    }
    source->batch_count = count > 0 ? (size_t)count : 0;
    return source->batch_count > 0;
}

static int kafka_poll(void *state, int most, int wait_ms, source_each *each, void *context)
{
    struct kafka_source *source = state;
    (void)rd_kafka_poll(source->rk, source->paused ? wait_ms : 0);
    int result = partitions_take(source);
    if (result || source->paused) {
        return result;
    }
    int done = 0;
    for (bool more = true; more && done < most && batch_fill(source, done ? 0 : wait_ms);) {
        wait_ms = 0; /* one wait a poll, also when it ended with a notice */
        while (more && done < most && source->batch_next < source->batch_count) {
            size_t next = source->batch_next++;
            if (next + AHEAD < source->batch_count) {
                __builtin_prefetch(source->batch[next + AHEAD]->payload);
            }
            done += message_hand(source, source->batch[next], each, context, &more);
            rd_kafka_message_destroy(source->batch[next]);
        }
    }
    if (done) {
        errors_forget(source);
    }
    return done;
}

static bool kafka_ready(void *state)
{
    const struct kafka_source *source = state;
    for (int i = 0; i < source->topic_count; i++) {
        int32_t found = atomic_load_explicit(&source->topic[i].found, memory_order_relaxed);
        if (found == FOUND_NOT_YET || found != source->topic[i].taken) {
            return false;
        }
    }
    return true;
}

static int kafka_inputs(void *state)
{
    return ((struct kafka_source *)state)->input_count;
}

static bool kafka_at_end(void *state, int input)
{
    return ((struct kafka_source *)state)->input[input].at_end;
}

static void kafka_pause(void *state, bool pause)
{
    ((struct kafka_source *)state)->paused = pause;
}

/* ---- commits and the end */

static void commit_come(rd_kafka_t *rk, rd_kafka_resp_err_t error, rd_kafka_topic_partition_list_t *list, void *context)
{
    (void)rk;
    (void)list;
    struct kafka_source *source = context;
    source->committing = false;
    if (error && error != RD_KAFKA_RESP_ERR__NO_OFFSET) {
        error_tell(source, error, "committing offsets for lag tools");
    }
}

static void kafka_position(void *state, int i, struct source_position *position)
{
    const struct kafka_source *source = state;
    *position = (struct source_position){source->input[i].topic, source->input[i].partition, source->input[i].next};
}

/* One commit at a time: the next one has the newer offsets. */
static void kafka_commit(void *state, const int64_t *next, int count)
{
    struct kafka_source *source = state;
    if (source->committing) {
        return;
    }
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(16);
    for (int i = 0; i < count; i++) {
        struct input *input = &source->input[i];
        if (next[i] > input->committed) {
            const char *name = source->config->topic[input->topic].name;
            rd_kafka_topic_partition_list_add(list, name, input->partition)->offset = next[i];
            input->committed = next[i];
        }
    }
    if (list->cnt) {
        source->committing = rd_kafka_commit_queue(source->rk, list, source->replies, commit_come, source) == 0;
    }
    rd_kafka_topic_partition_list_destroy(list);
}

static void kafka_close(void *state)
{
    struct kafka_source *source = state;
    watcher_stop(source);
    for (int waited = 0; source->committing && waited < COMMIT_WAIT_MS; waited += 50) {
        (void)rd_kafka_poll(source->rk, 50);
    }
    for (; source->batch_next < source->batch_count; source->batch_next++) {
        rd_kafka_message_destroy(source->batch[source->batch_next]);
    }
    for (int i = 0; i < source->topic_count; i++) {
        rd_kafka_topic_destroy(source->topic[i].handle);
        free(source->topic[i].input);
    }
    if (source->rk) {
        rd_kafka_queue_destroy(source->queue);
        rd_kafka_queue_destroy(source->replies);
        rd_kafka_destroy_flags(source->rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE); /* there is no group to leave */
    }
    free(source->input);
    free(source);
}

int kafka_source_open(const struct config *config, int shard, int shards, struct source *source)
{
    struct kafka_source *state = calloc(1, sizeof *state);
    if (!state) {
        return err_set(ERR_MEMORY, "no memory for a Kafka source");
    }
    state->config = config;
    state->shard = shard;
    state->shards = shards;
    int error = client_open(state);
    if (!error) {
        error = topics_open(state);
    }
    if (!error) {
        error = watcher_start(state);
    }
    if (error) {
        kafka_close(state);
        return error;
    }
    *source = (struct source){.state = state, .poll = kafka_poll, .ready = kafka_ready, .inputs = kafka_inputs, .at_end = kafka_at_end,
                              .pause = kafka_pause, .position = kafka_position, .commit = kafka_commit, .close = kafka_close};
    return 0;
}

void kafka_source_begin(struct source *source, kafka_from *from, void *context)
{
    struct kafka_source *state = source->state;
    state->from = from;
    state->from_context = context;
}

void kafka_source_input(const struct source *source, int input, int *topic, int32_t *partition)
{
    const struct kafka_source *state = source->state;
    ensure(input >= 0 && input < state->input_count, "inputs are numbered from 0");
    *topic = state->input[input].topic;
    *partition = state->input[input].partition;
}

uint64_t kafka_source_errors(const struct source *source)
{
    const struct kafka_source *state = source->state;
    return atomic_load_explicit(&state->errors, memory_order_relaxed);
}
