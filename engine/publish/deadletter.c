/* deadletter: one producer of its own, so that letters neither wait behind rows nor fill their queue. It is not idempotent: a
 * letter that comes twice does no harm, and a producer that several threads use cannot be replaced when it breaks. */
#include "esteem/deadletter.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "esteem/err.h"
#include "esteem/log.h"
#include "producer.h"

enum {
    OVERHEAD_BYTES = 512,   /* of a message beside its bytes, key and headers */
    SHORTEST_BYTES = 1024,  /* a broker that refuses this as too large wants no letters */
    TOPIC_NAME_MAX = 249,   /* Kafka's */
    VALUE_MAX = 32,         /* bytes of a number in a header */
};

struct deadletter {
    rd_kafka_t *rk;
    char *name; /* the topic's; no handle of it, which would have a broker create it in its own way before we ask */
    size_t message_max;            /* librdkafka's message.max.bytes */
    struct producer_topics create; /* the stepping thread */

    /* any thread; relaxed, except that `pending` falls (release) after the delivery is counted */
    _Atomic uint64_t delivered, truncated, lost, pending;
};

static void count(_Atomic uint64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

/* ---- headers ---- */

static void header_text(rd_kafka_headers_t *headers, const char *name, const char *value)
{
    if (value && value[0])
        (void)rd_kafka_header_add(headers, name, -1, value, (ssize_t)strnlen(value, DEADLETTER_TEXT_MAX));
}

static void header_number(rd_kafka_headers_t *headers, const char *name, int64_t value)
{
    char text[VALUE_MAX];
    (void)snprintf(text, sizeof text, "%lld", (long long)value);
    header_text(headers, name, text);
}

static rd_kafka_headers_t *headers_make(const struct deadletter_message *message)
{
    rd_kafka_headers_t *headers = rd_kafka_headers_new(10);
    header_text(headers, "esteem-topic", message->topic);
    header_number(headers, "esteem-partition", message->partition);
    header_number(headers, "esteem-offset", message->offset);
    header_text(headers, "esteem-reason", message->reason);
    header_text(headers, "esteem-field", message->field);
    header_text(headers, "esteem-text", message->text);
    header_text(headers, "esteem-config", message->config_id);
    return headers;
}

static void headers_say_cut(rd_kafka_headers_t *headers, size_t length)
{
    header_text(headers, "esteem-truncated", "true");
    header_number(headers, "esteem-length", (int64_t)length);
}

/* ---- sending ---- */

/* Takes `headers`, whatever comes out. */
static rd_kafka_resp_err_t produce(struct deadletter *letters, const void *bytes, size_t length, const void *key, size_t key_length,
                                   rd_kafka_headers_t *headers)
{
    atomic_fetch_add_explicit(&letters->pending, 1, memory_order_relaxed);
    rd_kafka_resp_err_t error =
        rd_kafka_producev(letters->rk, RD_KAFKA_V_TOPIC(letters->name), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                          RD_KAFKA_V_VALUE((void *)(uintptr_t)bytes, length),
                          RD_KAFKA_V_KEY((const void *)key, key_length), RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_END);
    if (error) {
        rd_kafka_headers_destroy(headers);
        atomic_fetch_sub_explicit(&letters->pending, 1, memory_order_release);
    }
    return error;
}

static const char *header_find(const rd_kafka_headers_t *headers, const char *name)
{
    const void *value;
    size_t size;
    return headers && rd_kafka_header_get_last(headers, name, &value, &size) == 0 ? value : ""; /* NUL-terminated by librdkafka */
}

static void lose(struct deadletter *letters, const rd_kafka_message_t *message)
{
    rd_kafka_headers_t *headers = NULL;
    (void)rd_kafka_message_headers(message, &headers);
    count(&letters->lost);
    log_error("deadletter.lost", "%s: %s; a letter of %s partition %s offset %s is lost", rd_kafka_topic_name(message->rkt),
              rd_kafka_err2str(message->err), header_find(headers, "esteem-topic"), header_find(headers, "esteem-partition"),
              header_find(headers, "esteem-offset"));
}

/* A broker's limit may be lower than ours: half of the bytes, again, until it fits. False: it cannot be shortened. */
static bool again_shorter(struct deadletter *letters, const rd_kafka_message_t *message)
{
    rd_kafka_headers_t *old = NULL;
    if (message->len / 2 < SHORTEST_BYTES || rd_kafka_message_headers(message, &old) != 0)
        return false;
    rd_kafka_headers_t *headers = rd_kafka_headers_copy(old);
    if (header_find(old, "esteem-truncated")[0] == '\0') {
        headers_say_cut(headers, message->len);
        count(&letters->truncated);
    }
    return produce(letters, message->payload, message->len / 2, message->key, message->key_len, headers) == 0;
}

/* Runs on: whichever thread polls. */
static void delivered(rd_kafka_t *rk, const rd_kafka_message_t *message, void *context)
{
    struct deadletter *letters = context;
    (void)rk;
    if (message->err == 0)
        count(&letters->delivered);
    else if (message->err != RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE || !again_shorter(letters, message))
        lose(letters, message);
    /* release: whoever reads that nothing is pending sees the counts above */
    atomic_fetch_sub_explicit(&letters->pending, 1, memory_order_release);
}

enum deadletter_result deadletter_put(struct deadletter *letters, const struct deadletter_message *message)
{
    if (letters == NULL)
        return DEADLETTER_TAKEN;
    size_t key_length = message->key && message->key_length < letters->message_max / 4 ? message->key_length : 0;
    size_t beside = key_length + OVERHEAD_BYTES + 8 * DEADLETTER_TEXT_MAX; /* no header is longer than a text */
    size_t room = letters->message_max > beside ? letters->message_max - beside : 0;
    size_t length = message->length < room ? message->length : room;
    rd_kafka_headers_t *headers = headers_make(message);
    if (length < message->length)
        headers_say_cut(headers, message->length);
    rd_kafka_resp_err_t error =
        produce(letters, message->bytes, length, key_length ? message->key : NULL, key_length, headers);
    if (error == RD_KAFKA_RESP_ERR__QUEUE_FULL) {
        rd_kafka_poll(letters->rk, 0);
        return DEADLETTER_FULL;
    }
    if (error) {
        count(&letters->lost);
        log_error("deadletter.lost", "%s; a letter of %s partition %d offset %lld is lost", rd_kafka_err2str(error), message->topic,
                  (int)message->partition, (long long)message->offset);
    } else if (length < message->length) {
        count(&letters->truncated);
    }
    return DEADLETTER_TAKEN;
}

/* ---- life ---- */

static size_t message_max(rd_kafka_t *rk)
{
    char text[VALUE_MAX] = "";
    size_t size = sizeof text;
    (void)rd_kafka_conf_get(rd_kafka_conf(rk), "message.max.bytes", text, &size);
    return strtoull(text, NULL, 10);
}

int deadletter_open(const struct config *config, struct deadletter **out)
{
    *out = NULL;
    if (!config->deadletter[0])
        return 0;
    if (strlen(config->deadletter) > TOPIC_NAME_MAX)
        return err_set(ERR_CONFIG, "topics.deadletter: longer than a topic's name may be; shorten it");
    struct deadletter *letters = calloc(1, sizeof *letters);
    ensure(letters != NULL, "the machine has memory left");
    letters->name = strdup(config->deadletter);
    ensure(letters->name != NULL, "the machine has memory left");
    const struct producer_settings settings = {.client = "esteem-deadletter", .queue_messages = DEADLETTER_QUEUE_MAX,
                                               .queue_kb = DEADLETTER_QUEUE_KB, .timeout_ms = 0, .idempotent = false,
                                               .delivered = delivered, .context = letters};
    int error = producer_open(config, &settings, &letters->rk);
    if (error) {
        deadletter_close(letters);
        return error;
    }
    letters->message_max = message_max(letters->rk);
    letters->create.rk = letters->rk;
    producer_topics_add(&letters->create, letters->name, "delete");
    *out = letters;
    return 0;
}

void deadletter_close(struct deadletter *letters)
{
    if (letters == NULL)
        return;
    producer_topics_close(&letters->create);
    if (letters->rk)
        producer_close(letters->rk, DEADLETTER_CLOSE_MS);
    free(letters->name);
    free(letters);
}

int deadletter_step(struct deadletter *letters, int64_t now_ms)
{
    if (letters == NULL)
        return 0;
    return rd_kafka_poll(letters->rk, 0) + producer_topics_step(&letters->create, now_ms);
}

struct deadletter_counts deadletter_counts(const struct deadletter *letters)
{
    if (letters == NULL)
        return (struct deadletter_counts){0};
    /* acquire: the counts of what is no longer pending are visible */
    uint64_t pending = atomic_load_explicit(&letters->pending, memory_order_acquire);
#define READ(counter) atomic_load_explicit(&letters->counter, memory_order_relaxed)
    return (struct deadletter_counts){READ(delivered), READ(truncated), READ(lost), pending};
#undef READ
}
