/* topics: rows into librdkafka's queue, deliveries back from rd_kafka_poll.
 *
 * Idempotence keeps the order of a key's values over retries: an older value never comes after a newer one. Its price is that
 * librdkafka may declare the producer broken for good (a gap in its sequence); then a new one is opened and everything is
 * sent again. Values are absolute, so whatever is sent twice does no harm.
 *
 * A broker that finds a batch too large says so of each of its messages, and librdkafka does not split it. So a message that is
 * smaller than a batch may be is not believed to be too large itself: a producer with smaller batches is opened and everything
 * is sent again, until the one that is too large stands alone. */
#include "esteem/topics.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "esteem/err.h"
#include "esteem/log.h"
#include "esteem/row.h"
#include "key_memory.h"
#include "producer.h"

enum {
    TOPIC_NAME_MAX = 250, /* with its NUL; Kafka allows 249 */
    KEY_MAX = ROW_SCOPE_MAX + 3 * 1024,
    KNOWN_MARGIN_MS = 600000,
    MESSAGE_BESIDE = 128,     /* bytes of a message beside its key and value, at most */
    TOPIC_ALERTS = FAMILY_COUNT, /* behind the families' */
    TOPICS_ALL,
    BATCH_LEAST_BYTES = 1024, /* below, batches are not the reason */
    BATCH_SHARE = 8,          /* a smaller batch has this part of the last one's bytes */
    TOLD_MS = 60000,          /* the log says the same of a topic once a minute */
};

struct topics {
    const struct config *config;
    rd_kafka_t *rk; /* NULL: it broke and could not be opened again yet */
    rd_kafka_topic_t *topic[TOPICS_ALL];
    char name[TOPICS_ALL][TOPIC_NAME_MAX];
    struct producer_topics create;
    int64_t now_ms;     /* of the last call that brought a time */
    int64_t refuse_ms;  /* until then rows are refused */
    int64_t rewrite_ms; /* after a failure: when everything is sent again; 0: no failure */
    int64_t rewritten_ms;
    int64_t pause_ms;   /* until that: longer with each failure that comes soon after the last */
    int64_t heal_ms;    /* what a broker did not allow is tried again then; 0: all was allowed */
    int batch_bytes;    /* the most that a batch of several messages may have */
    bool smaller;       /* batches were too large: a producer with smaller ones is to be opened */
    rd_kafka_resp_err_t told[TOPICS_ALL];
    int64_t told_ms[TOPICS_ALL]; /* when the log told that of the topic */
    uint64_t generation;
    uint64_t waiting;   /* messages that are not delivered yet */
    uint64_t lost;      /* messages that failed since everything was sent last */
    struct key_memory known; /* word[0]: families that had something under the key; above them those that were ever told; and the generation */
    char *json;
    size_t json_room;
    char key[KEY_MAX];
    struct row_view view;

    /* the sink's thread writes, any reads; relaxed: figures on their own */
    _Atomic uint64_t messages, bytes, errors;
};

/* ---- deliveries ---- */

static int family_of(const struct topics *topics, const char *topic)
{
    int f = 0;
    while (f < TOPICS_ALL - 1 && strcmp(topics->name[f], topic) != 0)
        f++;
    return f;
}

static void failed(struct topics *topics, int family, rd_kafka_resp_err_t error)
{
    atomic_fetch_add_explicit(&topics->errors, 1, memory_order_relaxed);
    if (topics->told[family] == error && topics->now_ms - topics->told_ms[family] < TOLD_MS)
        return;
    topics->told[family] = error;
    topics->told_ms[family] = topics->now_ms;
    log_warn("topics.error", "%s: %s%s", topics->name[family], rd_kafka_err2str(error), producer_advice(error));
}

static void rewrite_later(struct topics *topics)
{
    if (topics->rewrite_ms)
        return;
    topics->refuse_ms = topics->now_ms + TOPICS_PAUSE_MS;
    topics->rewrite_ms = topics->now_ms + topics->pause_ms;
    topics->pause_ms = topics->pause_ms * 2 < TOPICS_PAUSE_MAX_MS ? topics->pause_ms * 2 : TOPICS_PAUSE_MAX_MS;
}

/* Everything is to be sent again after a pause. */
static void failed_for_now(struct topics *topics, int family, rd_kafka_resp_err_t error)
{
    failed(topics, family, error);
    topics->create.again |= producer_unknown_topic(error);
    topics->lost++;
    rewrite_later(topics);
}

/* `bytes`: of the message as a batch has it. */
static void not_delivered(struct topics *topics, int family, rd_kafka_resp_err_t error, size_t bytes)
{
    bool alone = bytes >= (size_t)topics->batch_bytes || topics->batch_bytes <= BATCH_LEAST_BYTES;
    if (error == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE && !alone) {
        topics->smaller = true;
        failed_for_now(topics, family, error);
    } else if (producer_permanent(error)) {
        failed(topics, family, error);
        if (error != RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE && topics->heal_ms == 0)
            topics->heal_ms = topics->now_ms + TOPICS_HEAL_MS;
    } else {
        failed_for_now(topics, family, error);
    }
}

/* Runs on: the sink's thread, in rd_kafka_poll. */
static void delivered(rd_kafka_t *rk, const rd_kafka_message_t *message, void *context)
{
    struct topics *topics = context;
    (void)rk;
    topics->waiting--;
    if (message->err) {
        not_delivered(topics, family_of(topics, rd_kafka_topic_name(message->rkt)), message->err,
                      message->len + message->key_len + MESSAGE_BESIDE);
    } else {
        atomic_fetch_add_explicit(&topics->messages, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&topics->bytes, message->len + message->key_len, memory_order_relaxed);
    }
}

/* ---- the producer ---- */

static int client_open(struct topics *topics)
{
    const struct producer_settings settings = {.client = "esteem-topics", .queue_messages = TOPICS_QUEUE_MAX,
                                               .queue_kb = TOPICS_QUEUE_KB, .timeout_ms = TOPICS_TIMEOUT_MS,
                                               .batch_bytes = topics->batch_bytes, .idempotent = true,
                                               .delivered = delivered, .context = topics};
    int error = producer_open(topics->config, &settings, &topics->rk);
    if (error == 0)
        topics->batch_bytes = (int)producer_number(topics->rk, "batch.size");
    return error;
}

/* Only when the topics are there: librdkafka asks the broker for each topic that it has a handle of, and a broker that creates
 * topics by itself would then create it, without compaction, before our own request comes to it. */
static void handles_open(struct topics *topics)
{
    for (int f = 0; f < TOPICS_ALL; f++) {
        topics->topic[f] = rd_kafka_topic_new(topics->rk, topics->name[f], NULL);
        ensure(topics->topic[f] != NULL, "names were checked when the sink was opened");
    }
}

static void client_close(struct topics *topics, int wait_ms)
{
    producer_topics_close(&topics->create);
    for (int f = 0; f < TOPICS_ALL; f++) {
        if (topics->topic[f])
            rd_kafka_topic_destroy(topics->topic[f]);
        topics->topic[f] = NULL;
    }
    if (topics->rk)
        producer_close(topics->rk, wait_ms);
    topics->rk = NULL;
}

static void open_again(struct topics *topics)
{
    client_close(topics, 0);
    topics->lost += topics->waiting;
    topics->waiting = 0;
    if (client_open(topics) != 0)
        log_error("topics.broken", "%s", err_text());
    else if (topics->create.answered)
        handles_open(topics);
}

/* Whether librdkafka has given the producer up; then a new one is opened. */
static bool reopened(struct topics *topics)
{
    char why[512];
    if (topics->rk && rd_kafka_fatal_error(topics->rk, why, sizeof why) == RD_KAFKA_RESP_ERR_NO_ERROR)
        return false;
    if (topics->rk)
        log_error("topics.broken", "%s; a new producer is opened", why);
    open_again(topics);
    topics->rewrite_ms = 0;
    rewrite_later(topics);
    return true;
}

/* Only when nothing is on its way, so that no older value comes from the old producer behind a newer one from the new. */
static bool smaller_opened(struct topics *topics)
{
    if (!topics->smaller || topics->waiting)
        return false;
    int bytes = topics->batch_bytes / BATCH_SHARE;
    topics->batch_bytes = bytes < BATCH_LEAST_BYTES ? BATCH_LEAST_BYTES : bytes;
    topics->smaller = false;
    log_warn("topics.batches", "a broker's limit (max.message.bytes) is below a batch of rows: batches have %d bytes from now on",
             topics->batch_bytes);
    open_again(topics);
    return true;
}

/* ---- a row ---- */

static size_t key_make(struct topics *topics, const struct row *row)
{
    ensure(strlen(row->scope) < ROW_SCOPE_MAX && strlen(row->window_name) < 64, "names are bounded");
    char *at = topics->key;
    at += row_encode(row->tenant, at, KEY_MAX - ROW_SCOPE_MAX - 128);
    *at++ = '|';
    at = stpcpy(at, row->scope);
    *at++ = '|';
    at = stpcpy(at, row->window_name);
    if (!row->rolling) {
        *at++ = '|';
        at += event_time_format(row->start_ms, at);
    }
    return (size_t)(at - topics->key);
}

/* topics->json under topics->key. False: no room. */
static bool send_json(struct topics *topics, int topic, size_t length, size_t key_length)
{
    if (rd_kafka_produce(topics->topic[topic], RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, topics->json, length, topics->key,
                         key_length, NULL) == 0) {
        topics->waiting++;
        return true;
    }
    rd_kafka_resp_err_t error = rd_kafka_last_error();
    if (error == RD_KAFKA_RESP_ERR__QUEUE_FULL)
        return false;
    not_delivered(topics, topic, error, SIZE_MAX);
    return true;
}

static bool produce(struct topics *topics, enum family family, size_t key_length)
{
    bool histograms = topics->view.config->publish_histograms;
    size_t length = row_json(&topics->view, 1u << family, histograms, &topics->json, &topics->json_room);
    return send_json(topics, (int)family, length, key_length);
}

/* Key: tenant|goal|scope, so that a compacted topic keeps the newest alert of each. */
static bool produce_alert(struct topics *topics, const struct row *row)
{
    char *at = topics->key;
    at += row_encode(row->tenant, at, KEY_MAX - ROW_SCOPE_MAX - 128);
    int length = snprintf(at, KEY_MAX - (size_t)(at - topics->key), "|%s|%s", row->goal, row->scope);
    size_t message = row_alert_json(row, &topics->json, &topics->json_room);
    return send_json(topics, TOPIC_ALERTS, message, (size_t)(at - topics->key) + (size_t)length);
}

static void remember(struct topics *topics, uint64_t hash, unsigned families, unsigned told)
{
    const struct row *row = topics->view.row;
    struct key_known *known = key_memory_put(&topics->known, hash, topics->now_ms);
    int64_t kept_ms = 2 * (row->end_ms - row->start_ms) + topics->config->retention_correction_ms + KNOWN_MARGIN_MS;
    if (known)
        *known = (struct key_known){hash, topics->now_ms + kept_ms, {families | told << FAMILY_COUNT | topics->generation << 2 * FAMILY_COUNT}};
}

/* Families that had something, so that they are told when they have nothing any more; with *told all that a record was ever written of, so that
 * their last one is the final one. Of a key that is not known here, or was told before the start, that may be every family; and when all is
 * sent again, each that was ever told: the record that was lost may be the one that emptied it. */
static unsigned families_before(struct topics *topics, uint64_t hash, unsigned *told)
{
    const struct row *row = topics->view.row;
    const struct key_known *known = key_memory_find(&topics->known, hash, topics->now_ms);
    *told = known ? (unsigned)(known->word[0] >> FAMILY_COUNT) & FAMILY_ALL : 0;
    if (row->restored && *told != FAMILY_ALL)
        return FAMILY_ALL;
    if (known == NULL)
        return row->revision > 1 ? FAMILY_ALL : 0;
    return known->word[0] >> 2 * FAMILY_COUNT == topics->generation ? (unsigned)known->word[0] & FAMILY_ALL : *told;
}

static enum sink_result put(void *state, const struct row *row)
{
    struct topics *topics = state;
    if (topics->generation == 0)
        return SINK_AWAY;
    if (topics->rk == NULL || topics->smaller || topics->now_ms < topics->refuse_ms || topics->waiting + FAMILY_COUNT > TOPICS_QUEUE_MAX)
        return SINK_FULL;
    if (row->alert.state)
        return produce_alert(topics, row) ? SINK_TAKEN : SINK_FULL;
    row_open(&topics->view, row, row->config);
    size_t key_length = key_make(topics, row);
    uint64_t hash = key_memory_hash(topics->key, key_length, 0);
    unsigned told, families = row_families(&topics->view), before = families_before(topics, hash, &told);
    unsigned now = families | before | (row->final ? told : 0);
    for (unsigned f = 0; f < FAMILY_COUNT; f++)
        if (now >> f & 1 && !produce(topics, (enum family)f, key_length))
            return SINK_FULL; /* what has gone out goes again with the row's next offer */
    remember(topics, hash, families, told | now);
    return SINK_TAKEN;
}

/* ---- steps ---- */

static void batch_end(void *state, int64_t now_ms)
{
    struct topics *topics = state;
    topics->now_ms = now_ms;
}

static void everything_again(struct topics *topics)
{
    topics->generation++;
    topics->lost = 0;
    topics->rewrite_ms = topics->heal_ms = 0;
    topics->rewritten_ms = topics->now_ms;
}

static int step(void *state, int64_t now_ms)
{
    struct topics *topics = state;
    topics->now_ms = now_ms;
    int done = 0;
    if (topics->rk) {
        done = rd_kafka_poll(topics->rk, 0);
        topics->create.rk = topics->rk;
        done += producer_topics_step(&topics->create, now_ms);
    }
    if (topics->create.answered && topics->generation == 0) {
        handles_open(topics);
        everything_again(topics);
    }
    if (topics->rewrite_ms == 0 || now_ms >= topics->rewrite_ms)
        done += reopened(topics) || smaller_opened(topics);
    bool due = topics->rewrite_ms ? !topics->smaller && now_ms >= topics->rewrite_ms : topics->heal_ms && now_ms >= topics->heal_ms;
    if (topics->generation && due)
        everything_again(topics);
    if (topics->rewrite_ms == 0 && now_ms - topics->rewritten_ms > 2 * TOPICS_PAUSE_MAX_MS)
        topics->pause_ms = TOPICS_PAUSE_MS;
    return done;
}

static uint64_t generation(void *state)
{
    return ((const struct topics *)state)->generation;
}

static uint64_t pending(void *state)
{
    const struct topics *topics = state;
    return topics->waiting + topics->lost;
}

/* ---- life ---- */

static int names_make(struct topics *topics)
{
    const char *prefix = topics->config->topics_prefix;
    if (strlen(prefix) + strlen("employee") >= TOPIC_NAME_MAX)
        return err_set(ERR_CONFIG, "topics.prefix: longer than a topic's name may be; shorten it");
    for (int f = 0; f < TOPICS_ALL; f++) {
        (void)snprintf(topics->name[f], sizeof topics->name[f], "%s%s", prefix, f == TOPIC_ALERTS ? "alerts" : family_names[f]);
        producer_topics_add(&topics->create, topics->name[f], "compact,delete");
    }
    return 0;
}

int topics_sink_open(const struct config *config, struct sink *sink)
{
    struct topics *topics = calloc(1, sizeof *topics);
    ensure(topics != NULL, "the machine has memory left");
    topics->config = config;
    topics->pause_ms = TOPICS_PAUSE_MS;
    key_memory_init(&topics->known, TOPICS_KEYS_MAX);
    *sink = (struct sink){"topics", topics, put, batch_end, step, generation, pending, NULL};
    int error = names_make(topics);
    if (!error)
        error = client_open(topics);
    if (error)
        topics_sink_close(sink);
    return error;
}

void topics_sink_close(struct sink *sink)
{
    struct topics *topics = sink->state;
    if (topics == NULL)
        return;
    client_close(topics, TOPICS_CLOSE_MS);
    key_memory_close(&topics->known);
    free(topics->json);
    free(topics);
    sink->state = NULL;
}

struct topics_counts topics_counts(const struct sink *sink)
{
    const struct topics *topics = sink->state;
#define READ(counter) atomic_load_explicit(&topics->counter, memory_order_relaxed)
    return (struct topics_counts){READ(messages), READ(bytes), READ(errors)};
#undef READ
}
