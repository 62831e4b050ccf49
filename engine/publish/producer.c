/* producer: settings, the client's log, and topics that are created where there are none.
 *
 * Order of settings: ours, then kafka.properties (so that a deployment may choose another compression or linger), then the
 * brokers, which have a key of their own.
 *
 * Order of messages: an idempotent producer's retries keep it (librdkafka holds acks=all and five requests at most then, and refuses
 * other values). Who turns idempotence off in kafka.properties gets one request at a time instead. */
#include "producer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "esteem/err.h"
#include "esteem/log.h"

enum {
    SYSLOG_WARNING = 4,        /* syslog.h cannot be included beside log.h: both have LOG_DEBUG */
    CREATE_TIMEOUT_MS = 3000,  /* so long may a broker take to answer */
    CREATE_RETRY_MS = 1000,
    CREATE_AGAIN_MS = 10000,   /* while a topic is missing */
    PURGE_MS = 1000,           /* what is given up is reported within this */
    ERROR_TEXT_MAX = 512,
};

/* ---- opening ---- */

/* Runs on: librdkafka's threads. Broken connections come to error_come as well, so here they are details. */
static void log_come(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    (void)rk;
    bool detail = level > SYSLOG_WARNING || strcmp(facility, "FAIL") == 0 || strcmp(facility, "ERROR") == 0 ||
                  strcmp(facility, "CONFWARN") == 0;
    log_line(detail ? LOG_DEBUG : LOG_WARN, "kafka.client", "%s: %s", facility, text);
}

/* Runs on: the thread that calls rd_kafka_poll. */
static void error_come(rd_kafka_t *rk, int error, const char *reason, void *context)
{
    (void)context;
    log_warn("kafka.error", "%s: %s (%s)", rd_kafka_name(rk), reason, rd_kafka_err2name((rd_kafka_resp_err_t)error));
}

static int property_set(rd_kafka_conf_t *conf, const char *key, const char *value)
{
    char why[ERROR_TEXT_MAX];
    if (rd_kafka_conf_set(conf, key, value, why, sizeof why) != RD_KAFKA_CONF_OK)
        return err_set(ERR_CONFIG, "kafka.properties: %s: %s", key, why);
    return 0;
}

/* Retries must not put an older value behind a newer one. */
static int order_keep(rd_kafka_conf_t *conf)
{
    char idempotent[8] = "";
    size_t size = sizeof idempotent;
    (void)rd_kafka_conf_get(conf, "enable.idempotence", idempotent, &size);
    return strcmp(idempotent, "true") == 0 ? 0 : property_set(conf, "max.in.flight.requests.per.connection", "1");
}

static int settings_make(rd_kafka_conf_t *conf, const struct config *config, const struct producer_settings *settings)
{
    char messages[16], kb[16], timeout[24], batch[16];
    (void)snprintf(batch, sizeof batch, "%d", settings->batch_bytes);
    (void)snprintf(messages, sizeof messages, "%d", settings->queue_messages);
    (void)snprintf(kb, sizeof kb, "%d", settings->queue_kb);
    (void)snprintf(timeout, sizeof timeout, "%lld", (long long)settings->timeout_ms);
    const struct config_property rows[] = {
        {"compression.type", "lz4"},
        {"linger.ms", "20"},
        {"enable.idempotence", settings->idempotent ? "true" : "false"},
        {"partitioner", "murmur2_random"}, /* Java's default: other tools find a key where they expect it */
        {"queue.buffering.max.messages", messages},
        {"queue.buffering.max.kbytes", kb},
        {"message.timeout.ms", timeout},
        {"log.connection.close", "false"},
    };
    int error = 0;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0] && !error; i++)
        error = property_set(conf, rows[i].key, rows[i].value);
    for (int i = 0; i < config->kafka_property_count && !error; i++)
        error = property_set(conf, config->kafka_property[i].key, config->kafka_property[i].value);
    if (!error)
        error = property_set(conf, "bootstrap.servers", config->kafka_brokers);
    if (!error && settings->batch_bytes)
        error = property_set(conf, "batch.size", batch);
    if (!error && settings->idempotent)
        error = order_keep(conf);
    return error ? error : property_set(conf, "client.id", settings->client);
}

int producer_open(const struct config *config, const struct producer_settings *settings, rd_kafka_t **rk)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char why[ERROR_TEXT_MAX];
    int error = settings_make(conf, config, settings);
    if (!error) {
        rd_kafka_conf_set_opaque(conf, settings->context);
        rd_kafka_conf_set_dr_msg_cb(conf, settings->delivered);
        rd_kafka_conf_set_error_cb(conf, error_come);
        rd_kafka_conf_set_log_cb(conf, log_come);
        *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
        error = *rk ? 0 : err_set(ERR_CONFIG, "kafka.properties: %s", why);
    }
    if (error)
        rd_kafka_conf_destroy(conf); /* rd_kafka_new takes it only when it succeeds */
    return error;
}

/* A bounded queue: what is read is looked at and dropped. */
static int consumer_settings(rd_kafka_conf_t *conf, const struct config *config, const char *client)
{
    const struct config_property rows[] = {
        {"enable.partition.eof", "true"},
        {"queued.min.messages", "10000"},
        {"queued.max.messages.kbytes", "8192"},
        {"fetch.message.max.bytes", "1048576"},
        {"fetch.wait.max.ms", "50"}, /* questions queue behind it on the same connection */
        {"log.connection.close", "false"},
    };
    int error = 0;
    for (int i = 0; i < config->kafka_property_count && !error; i++)
        error = property_set(conf, config->kafka_property[i].key, config->kafka_property[i].value);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0] && !error; i++)
        error = property_set(conf, rows[i].key, rows[i].value);
    if (!error)
        error = property_set(conf, "bootstrap.servers", config->kafka_brokers);
    return error ? error : property_set(conf, "client.id", client);
}

int consumer_open(const struct config *config, const char *client, rd_kafka_t **rk)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_topic_conf_t *topic = rd_kafka_topic_conf_new();
    char why[ERROR_TEXT_MAX];
    int error = consumer_settings(conf, config, client);
    (void)rd_kafka_topic_conf_set(topic, "auto.offset.reset", "earliest", why, sizeof why);
    rd_kafka_conf_set_default_topic_conf(conf, topic);
    if (!error) {
        rd_kafka_conf_set_error_cb(conf, error_come);
        rd_kafka_conf_set_log_cb(conf, log_come);
        *rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why);
        error = *rk ? 0 : err_set(ERR_CONFIG, "kafka.properties: %s", why);
    }
    if (error)
        rd_kafka_conf_destroy(conf);
    return error;
}

void consumer_close(rd_kafka_t *rk)
{
    rd_kafka_destroy_flags(rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE); /* there is no group to leave */
}

void producer_close(rd_kafka_t *rk, int wait_ms)
{
    (void)rd_kafka_flush(rk, wait_ms);
    (void)rd_kafka_purge(rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    (void)rd_kafka_flush(rk, PURGE_MS);
    rd_kafka_destroy(rk);
}

size_t producer_number(rd_kafka_t *rk, const char *property)
{
    char text[32] = "";
    size_t size = sizeof text;
    (void)rd_kafka_conf_get(rd_kafka_conf(rk), property, text, &size);
    return strtoull(text, NULL, 10);
}

/* ---- errors ---- */

bool producer_permanent(rd_kafka_resp_err_t error)
{
    switch ((int)error) {
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION: /* a name that is none */
    case RD_KAFKA_RESP_ERR_INVALID_RECORD: return true;
    default: return false;
    }
}

bool producer_unknown_topic(rd_kafka_resp_err_t error)
{
    return error == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC || error == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION ||
           error == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
}

const char *producer_advice(rd_kafka_resp_err_t error)
{
    if (producer_unknown_topic(error))
        return "; create it, with cleanup.policy=compact,delete for rows, or let this user create topics";
    switch ((int)error) {
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE: return "; raise the topic's max.message.bytes and message.max.bytes in kafka.properties";
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED: return "; grant this user Write and Describe of the topic";
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED: return "; grant this user IdempotentWrite, or set enable.idempotence: false in kafka.properties";
    case RD_KAFKA_RESP_ERR__MSG_TIMED_OUT: return "; the broker is away or slow";
    default: return "";
    }
}

/* ---- topics ---- */

void producer_topics_add(struct producer_topics *topics, const char *name, const char *cleanup)
{
    ensure(topics->count < PRODUCER_TOPICS_MAX, "a topic a family");
    topics->name[topics->count] = name;
    topics->cleanup[topics->count++] = cleanup;
}

static void ask(struct producer_topics *topics)
{
    rd_kafka_NewTopic_t *topic[PRODUCER_TOPICS_MAX];
    char why[ERROR_TEXT_MAX];
    for (int i = 0; i < topics->count; i++) {
        topic[i] = rd_kafka_NewTopic_new(topics->name[i], 1, -1, why, sizeof why);
        ensure(topic[i] != NULL, "the configuration checks topic names");
        (void)rd_kafka_NewTopic_set_config(topic[i], "cleanup.policy", topics->cleanup[i]);
    }
    if (topics->answers == NULL)
        topics->answers = rd_kafka_queue_new(topics->rk);
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(topics->rk, RD_KAFKA_ADMIN_OP_CREATETOPICS);
    (void)rd_kafka_AdminOptions_set_request_timeout(options, CREATE_TIMEOUT_MS, why, sizeof why);
    rd_kafka_CreateTopics(topics->rk, topic, (size_t)topics->count, options, topics->answers);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_NewTopic_destroy_array(topic, (size_t)topics->count);
    topics->waiting = true;
}

static void tell_each(const rd_kafka_CreateTopics_result_t *result)
{
    size_t count = 0;
    const rd_kafka_topic_result_t **topic = rd_kafka_CreateTopics_result_topics(result, &count);
    for (size_t i = 0; i < count; i++) {
        rd_kafka_resp_err_t error = rd_kafka_topic_result_error(topic[i]);
        if (error == RD_KAFKA_RESP_ERR_NO_ERROR)
            log_info("topics.created", "created topic %s", rd_kafka_topic_result_name(topic[i]));
        else if (error != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
            log_warn("topics.not_created", "topic %s: %s", rd_kafka_topic_result_name(topic[i]), rd_kafka_err2str(error));
    }
}

/* Whether a broker is there that just does not answer this request, as librdkafka's mock cluster does not (it names a controller
 * that does not exist). Once any broker has answered anything, the cluster has a name. */
static bool broker_there(rd_kafka_t *rk)
{
    char *cluster = rd_kafka_clusterid(rk, 0);
    if (cluster)
        rd_kafka_mem_free(rk, cluster);
    return cluster != NULL;
}

/* The answer to all: an error of none in particular means either that no broker was there, or that it cannot do this. */
static void take_answer(struct producer_topics *topics, rd_kafka_event_t *event, int64_t now_ms)
{
    rd_kafka_resp_err_t error = rd_kafka_event_error(event);
    bool silent = error == RD_KAFKA_RESP_ERR__TIMED_OUT || error == RD_KAFKA_RESP_ERR__TRANSPORT;
    bool away = silent && !broker_there(topics->rk);
    topics->waiting = false;
    topics->answered = topics->answered || !away;
    topics->again = topics->again && away;
    topics->next_ms = now_ms + (away ? CREATE_RETRY_MS : CREATE_AGAIN_MS);
    if (away && !topics->told)
        log_warn("topics.away", "no broker answers yet; trying again");
    topics->told = topics->told || away;
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR)
        tell_each(rd_kafka_event_CreateTopics_result(event));
    else if (silent && !away)
        log_info("topics.not_created", "the broker does not create topics on request: it has to create them when they are written to");
    else if (!away)
        log_warn("topics.not_created", "%s; they must exist", rd_kafka_event_error_string(event));
}

int producer_topics_step(struct producer_topics *topics, int64_t now_ms)
{
    if (topics->answered && !topics->again && !topics->waiting)
        return 0;
    if (!topics->waiting) {
        if (now_ms < topics->next_ms)
            return 0;
        ask(topics);
        return 1;
    }
    rd_kafka_event_t *event = rd_kafka_queue_poll(topics->answers, 0);
    if (event == NULL)
        return 0;
    if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_CREATETOPICS_RESULT)
        take_answer(topics, event, now_ms);
    rd_kafka_event_destroy(event);
    return 1;
}

void producer_topics_close(struct producer_topics *topics)
{
    if (topics->answers)
        rd_kafka_queue_destroy(topics->answers);
    topics->answers = NULL;
    topics->waiting = false;
}
