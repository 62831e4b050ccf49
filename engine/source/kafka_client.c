/* kafka_client: librdkafka's settings and handles, and what it has to say. Errors are counted each and logged once a kind. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "esteem/err.h"
#include "esteem/log.h"
#include "kafka_parts.h"

enum {
    TOLD_MS = 60000,    /* an error kind is news again after this, if messages flow */
    QUEUE_PER_KB = 4,   /* messages a KiB of the queue: one costs librdkafka 400 bytes besides its own */
    SYSLOG_WARNING = 4, /* syslog.h cannot be included beside log.h: both have LOG_DEBUG */
};

/* ---- errors */

int64_t coarse_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 + 1;
}

void error_tell(struct kafka_source *source, rd_kafka_resp_err_t error, const char *text)
{
    atomic_fetch_add_explicit(&source->errors, 1, memory_order_relaxed);
    int kind = (int)error + TOLD_BASE;
    if (kind >= 0 && kind < TOLD_COUNT && atomic_exchange_explicit(&source->told[kind], true, memory_order_relaxed)) {
        return;
    }
    atomic_store_explicit(&source->told_ms, coarse_ms(), memory_order_relaxed);
    log_warn("kafka.error", "%s (%s)", text, rd_kafka_err2name(error));
}

/* Messages flow: what was told a while ago is news again. */
void errors_forget(struct kafka_source *source)
{
    int64_t told_ms = atomic_load_explicit(&source->told_ms, memory_order_relaxed);
    if (!told_ms || coarse_ms() - told_ms < TOLD_MS) {
        return;
    }
    atomic_store_explicit(&source->told_ms, 0, memory_order_relaxed);
    for (int i = 0; i < TOLD_COUNT; i++) {
        atomic_store_explicit(&source->told[i], false, memory_order_relaxed);
    }
}

bool error_says_gone(rd_kafka_resp_err_t error)
{
    return error == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || error == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION ||
           error == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC;
}

/* librdkafka 2.0.2 tells of a partition that is gone here, not as a message; the text begins with "topic [partition]: ". */
static void gone_come(struct kafka_source *source, const char *reason)
{
    for (int i = 0; i < source->topic_count; i++) {
        const char *name = source->config->topic[source->topic[i].index].name;
        size_t length = strlen(name);
        if (strncmp(reason, name, length) == 0 && strncmp(reason + length, " [", 2) == 0) {
            topic_doubt(source, &source->topic[i]);
        }
    }
}

/* Runs on: the thread that serves librdkafka's queues, the shard's. */
static void error_come(rd_kafka_t *rk, int error, const char *reason, void *context)
{
    (void)rk;
    error_tell(context, (rd_kafka_resp_err_t)error, reason);
    if (error_says_gone((rd_kafka_resp_err_t)error)) {
        gone_come(context, reason);
    }
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

/* A shard's share; of limits.memory a 32nd for all shards: with what librdkafka adds for each message, and answers on
 * their way, it takes some four times that. */
static int queue_kb_of(const struct config *config, int shards)
{
    int64_t total_kb = config->limit_memory ? config->limit_memory / 32 / 1024 : KAFKA_QUEUE_KB;
    int64_t share_kb = (total_kb < KAFKA_QUEUE_KB ? total_kb : KAFKA_QUEUE_KB) / shards;
    int64_t least_kb = config->limit_memory ? 2048 : KAFKA_QUEUE_LEAST_KB;
    return (int)(share_kb < least_kb ? least_kb : share_kb);
}

/* Whether kafka.properties say how long an answer is waited for: as long as one message is enough that costs nothing. */
static bool waits_itself(const struct config *config)
{
    int i = 0;
    while (i < config->kafka_property_count && strcmp(config->kafka_property[i].key, "fetch.wait.max.ms") != 0)
        i++;
    return i < config->kafka_property_count;
}

/* librdkafka's settings, as far as they are ours. Small queues stall for a second each time they are full. */
static int settings_make(rd_kafka_conf_t *conf, struct kafka_source *source)
{
    const struct config *config = source->config;
    char client[32], queue_kb[16], queue_count[16], receive[24], fetch[24], partition[24];
    int64_t response = config->limit_message + (64 << 20);
    (void)snprintf(client, sizeof client, "esteem-%d", source->shard);
    int share_kb = queue_kb_of(config, source->shards);
    (void)snprintf(queue_kb, sizeof queue_kb, "%d", share_kb);
    source->held_most = (size_t)share_kb * 1024;
    (void)snprintf(queue_count, sizeof queue_count, "%d", share_kb * QUEUE_PER_KB);
    (void)snprintf(receive, sizeof receive, "%lld", (long long)(response > 100000000 ? response : 100000000));
    int64_t most = (int64_t)share_kb * 1024 / 4; /* of one answer: it lies in memory besides the queue */
    int64_t least = config->limit_message > 1000000 ? config->limit_message : 1000000; /* librdkafka wants its message.max.bytes at least */
    (void)snprintf(fetch, sizeof fetch, "%lld", (long long)(most > 52428800 ? 52428800 : most < least ? least : most));
    (void)snprintf(partition, sizeof partition, "%lld", (long long)(most > 4194304 ? 4194304 : most < 1048576 ? 1048576 : most));
    const struct config_property rows[] = {
        {"bootstrap.servers", config->kafka_brokers},
        {"group.id", config->kafka_group},
        {"client.id", client},
        {"enable.auto.commit", "false"},
        {"enable.auto.offset.store", "false"},
        {"enable.partition.eof", "true"},
        {"auto.offset.reset", "error"}, /* where an offset is gone: input_notice */
        {"check.crcs", "true"},         /* else a flipped bit is a wrong figure, or a batch that is read for ever without a word */
        {"queued.min.messages", queue_count},
        {"queued.max.messages.kbytes", queue_kb},
        {"fetch.message.max.bytes", partition},
        {"fetch.max.bytes", fetch},
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
    if (!waits_itself(config)) { /* else each message is an answer of its own, a fifth of the processor time of a live feed */
        (void)rd_kafka_conf_set(conf, "fetch.min.bytes", "16384", why, sizeof why);
        (void)rd_kafka_conf_set(conf, "fetch.wait.max.ms", "20", why, sizeof why);
    }
    for (int i = 0; i < config->kafka_property_count; i++) { /* none of ours: config_feeds.c */
        int error = property_set(conf, config->kafka_property[i].key, config->kafka_property[i].value);
        if (error) {
            return error;
        }
    }
    return 0;
}

int client_open(struct kafka_source *source)
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
int topics_open(struct kafka_source *source)
{
    for (int i = 0; i < source->config->topic_count; i++) {
        struct topic *topic = &source->topic[i];
        topic->index = i;
        atomic_init(&topic->found, FOUND_NOT_YET);
        rd_kafka_topic_conf_t *conf = rd_kafka_default_topic_conf_dup(source->rk); /* a new one has defaults: reset to the end */
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
