/* deadletter: one producer of its own, so that letters neither wait behind rows nor fill their queue. It is not idempotent: a
 * letter that comes twice does no harm, and a producer that several threads use cannot be replaced when it breaks.
 *
 *     put ──> librdkafka ──delivery──> delivered | lost for good
 *                 ^           └─failed for now, or too large (then half of it)──> again ──┐
 *                 └──────────────────────────── deadletter_step ─────────────────────────┘
 *
 * A letter is pending all the way. Batches are small, because a broker says of all letters of a batch that they are too large. */
#include "esteem/deadletter.h"

#include <pthread.h>
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
    HEADERS_MOST = 13,
    BATCH_BYTES = 16384,
    AGAIN_MS = 1000,        /* so long waits a letter that failed for now */
    TOLD_MAX = 20,          /* lost letters that are told one by one, a minute */
    TOLD_MS = 60000,
    CLOSE_POLL_MS = 50,
};

/* A letter that goes out once more. */
struct again {
    struct again *next;
    rd_kafka_headers_t *headers;
    size_t length, key_length;
    char bytes[]; /* the letter, then its key */
};

struct deadletter {
    rd_kafka_t *rk;
    char *name; /* the topic's; no handle of it, which would have a broker create it in its own way before we ask */
    size_t message_max;            /* librdkafka's message.max.bytes */
    struct producer_topics create; /* the stepping thread */
    int64_t told_ms;               /* the stepping thread: when `told` was last put back */

    bool told_why;                 /* the stepping thread: since then */
    int64_t again_ms;              /* the stepping thread: the list does not go out before */
    _Atomic uint64_t told;         /* lost letters since then; relaxed */

    pthread_mutex_t lock; /* guards the list and `why`; taken when a delivery has failed, and by each step */
    struct again *first, **last;
    rd_kafka_resp_err_t why; /* since the last step a letter has failed for now; 0: none has */

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

static void header_again(rd_kafka_headers_t *headers, const char *name, const struct text *value)
{
    if (value->length)
        (void)rd_kafka_header_add(headers, name, -1, value->at, (ssize_t)(value->length < DEADLETTER_TEXT_MAX ? value->length : DEADLETTER_TEXT_MAX));
}

/* Room for those of a message's own headers that are sent again. */
static size_t again_bytes(const struct event_headers *own)
{
    return own && own->given ? own->id.length + own->type.length + own->time.length : 0;
}

static void header_number(rd_kafka_headers_t *headers, const char *name, int64_t value)
{
    char text[VALUE_MAX];
    (void)snprintf(text, sizeof text, "%lld", (long long)value);
    header_text(headers, name, text);
}

static rd_kafka_headers_t *headers_make(const struct deadletter_message *message)
{
    rd_kafka_headers_t *headers = rd_kafka_headers_new(HEADERS_MOST);
    const struct event_headers *own = message->headers;
    header_text(headers, "esteem-topic", message->topic);
    header_number(headers, "esteem-partition", message->partition);
    header_number(headers, "esteem-offset", message->offset);
    header_text(headers, "esteem-reason", message->reason);
    header_text(headers, "esteem-field", message->field);
    header_text(headers, "esteem-text", message->text);
    header_text(headers, "esteem-config", message->config_id);
    if (own == NULL || !own->given)
        return headers;
    header_text(headers, "ce_specversion", "1.0");
    header_again(headers, "ce_id", &own->id);
    header_again(headers, "ce_type", &own->type);
    header_again(headers, "ce_time", &own->time);
    return headers;
}

static void headers_say_cut(rd_kafka_headers_t *headers, size_t length)
{
    header_text(headers, "esteem-truncated", "true");
    header_number(headers, "esteem-length", (int64_t)length);
}

/* ---- sending ---- */

/* Takes `headers` when it succeeds. `pending` is the caller's. */
static rd_kafka_resp_err_t produce(struct deadletter *letters, const void *bytes, size_t length, const void *key, size_t key_length,
                                   rd_kafka_headers_t *headers)
{
    return rd_kafka_producev(letters->rk, RD_KAFKA_V_TOPIC(letters->name), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                             RD_KAFKA_V_VALUE((void *)(uintptr_t)bytes, length),
                             RD_KAFKA_V_KEY((const void *)key, key_length), RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_END);
}

/* Whether producing fails only because there is no room, or no topic yet. */
static bool waits(rd_kafka_resp_err_t error)
{
    return error == RD_KAFKA_RESP_ERR__QUEUE_FULL || producer_unknown_topic(error);
}

/* release: whoever reads that nothing is pending sees the counts */
static void settled(struct deadletter *letters)
{
    atomic_fetch_sub_explicit(&letters->pending, 1, memory_order_release);
}

static const char *header_find(const rd_kafka_headers_t *headers, const char *name)
{
    const void *value;
    size_t size;
    return headers && rd_kafka_header_get_last(headers, name, &value, &size) == 0 ? value : ""; /* NUL-terminated by librdkafka */
}

/* Counted before it is settled; of many a few are told. */
static void lose(struct deadletter *letters, rd_kafka_resp_err_t error, const rd_kafka_headers_t *headers)
{
    count(&letters->lost);
    uint64_t told = atomic_fetch_add_explicit(&letters->told, 1, memory_order_relaxed);
    if (told < TOLD_MAX)
        log_error("deadletter.lost", "%s: %s; a letter of %s partition %s offset %s is lost%s", letters->name, rd_kafka_err2str(error),
                  header_find(headers, "esteem-topic"), header_find(headers, "esteem-partition"), header_find(headers, "esteem-offset"),
                  told == 0 ? producer_advice(error) : told == TOLD_MAX - 1 ? "; more of them are only counted for a minute" : "");
}

/* Into the list: it stays pending. Takes `headers`. */
static void keep(struct deadletter *letters, const rd_kafka_message_t *message, size_t length, rd_kafka_headers_t *headers)
{
    struct again *again = malloc(sizeof *again + length + message->key_len);
    ensure(again != NULL, "the machine has memory left");
    *again = (struct again){.headers = headers, .length = length, .key_length = message->key_len};
    memcpy(again->bytes, message->payload, length);
    if (message->key_len)
        memcpy(again->bytes + length, message->key, message->key_len);
    pthread_mutex_lock(&letters->lock);
    *letters->last = again;
    letters->last = &again->next;
    if (message->err != RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE)
        letters->why = message->err;
    pthread_mutex_unlock(&letters->lock);
}

/* A broker's limit may be lower than ours: half of the bytes, again, until it fits. False: it cannot be shortened. */
static bool again_shorter(struct deadletter *letters, const rd_kafka_message_t *message, const rd_kafka_headers_t *old)
{
    if (message->len / 2 < SHORTEST_BYTES)
        return false;
    rd_kafka_headers_t *headers = rd_kafka_headers_copy(old);
    if (header_find(old, "esteem-truncated")[0] == '\0') {
        headers_say_cut(headers, message->len);
        count(&letters->truncated);
    }
    keep(letters, message, message->len / 2, headers);
    return true;
}

/* Runs on: whichever thread polls. */
static void delivered(rd_kafka_t *rk, const rd_kafka_message_t *message, void *context)
{
    struct deadletter *letters = context;
    rd_kafka_headers_t *headers = NULL;
    (void)rk;
    (void)rd_kafka_message_headers(message, &headers);
    bool purged = message->err == RD_KAFKA_RESP_ERR__PURGE_QUEUE || message->err == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT;
    if (message->err == 0) {
        count(&letters->delivered);
    } else if (message->err == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE && again_shorter(letters, message, headers)) {
        return;
    } else if (!producer_permanent(message->err) && !purged) {
        keep(letters, message, message->len, rd_kafka_headers_copy(headers));
        return;
    } else {
        lose(letters, message->err, headers);
    }
    settled(letters);
}

/* The list goes out, oldest first. Returns letters that have left it. */
static int send_again(struct deadletter *letters)
{
    int done = 0;
    for (;;) {
        pthread_mutex_lock(&letters->lock);
        struct again *again = letters->first;
        if (again && (letters->first = again->next) == NULL)
            letters->last = &letters->first;
        pthread_mutex_unlock(&letters->lock);
        if (again == NULL)
            return done;
        const char *key = again->key_length ? again->bytes + again->length : NULL;
        rd_kafka_resp_err_t error = produce(letters, again->bytes, again->length, key, again->key_length, again->headers);
        if (waits(error)) { /* back to where it was */
            pthread_mutex_lock(&letters->lock);
            letters->why = error;
            if ((again->next = letters->first) == NULL)
                letters->last = &again->next;
            letters->first = again;
            pthread_mutex_unlock(&letters->lock);
            return done;
        }
        if (error) {
            lose(letters, error, again->headers);
            rd_kafka_headers_destroy(again->headers);
            settled(letters);
        }
        free(again);
        done++;
    }
}

/* The caller tries again; deliveries make room meanwhile. */
static enum deadletter_result full(struct deadletter *letters, rd_kafka_resp_err_t why)
{
    if (producer_unknown_topic(why)) {
        pthread_mutex_lock(&letters->lock);
        letters->why = why;
        pthread_mutex_unlock(&letters->lock);
    }
    rd_kafka_poll(letters->rk, 0);
    return DEADLETTER_FULL;
}

enum deadletter_result deadletter_put(struct deadletter *letters, const struct deadletter_message *message)
{
    if (letters == NULL)
        return DEADLETTER_TAKEN;
    if (atomic_fetch_add_explicit(&letters->pending, 1, memory_order_relaxed) >= DEADLETTER_QUEUE_MAX) {
        settled(letters);
        return full(letters, RD_KAFKA_RESP_ERR__QUEUE_FULL);
    }
    size_t key_length = message->key && message->key_length < letters->message_max / 4 ? message->key_length : 0;
    size_t beside = key_length + OVERHEAD_BYTES + 8 * DEADLETTER_TEXT_MAX + again_bytes(message->headers); /* no header is longer than a text */
    size_t room = letters->message_max > beside ? letters->message_max - beside : 0;
    size_t length = message->length < room ? message->length : room;
    rd_kafka_headers_t *headers = headers_make(message);
    if (length < message->length)
        headers_say_cut(headers, message->length);
    rd_kafka_resp_err_t error =
        produce(letters, message->bytes, length, key_length ? message->key : NULL, key_length, headers);
    if (error == 0) {
        if (length < message->length)
            count(&letters->truncated);
        return DEADLETTER_TAKEN;
    }
    if (!waits(error))
        lose(letters, error, headers);
    rd_kafka_headers_destroy(headers);
    settled(letters);
    return waits(error) ? full(letters, error) : DEADLETTER_TAKEN;
}

/* ---- life ---- */

int deadletter_open(const struct config *config, struct deadletter **out)
{
    *out = NULL;
    if (!config->deadletter[0])
        return 0;
    if (strlen(config->deadletter) > TOPIC_NAME_MAX)
        return err_set(ERR_CONFIG, "topics.deadletter: longer than a topic's name may be; shorten it");
    struct deadletter *letters = calloc(1, sizeof *letters);
    ensure(letters != NULL, "the machine has memory left");
    letters->last = &letters->first;
    (void)pthread_mutex_init(&letters->lock, NULL);
    letters->name = strdup(config->deadletter);
    ensure(letters->name != NULL, "the machine has memory left");
    const struct producer_settings settings = {.client = "esteem-deadletter", .queue_messages = DEADLETTER_QUEUE_MAX,
                                               .queue_kb = DEADLETTER_QUEUE_KB, .timeout_ms = 0, .batch_bytes = BATCH_BYTES, .idempotent = false,
                                               .delivered = delivered, .context = letters};
    int error = producer_open(config, &settings, &letters->rk);
    if (error) {
        deadletter_close(letters);
        return error;
    }
    letters->message_max = producer_number(letters->rk, "message.max.bytes");
    letters->create.rk = letters->rk;
    producer_topics_add(&letters->create, letters->name, "delete");
    *out = letters;
    return 0;
}

static uint64_t pending(const struct deadletter *letters)
{
    /* acquire: the counts of what is no longer pending are visible */
    return atomic_load_explicit(&letters->pending, memory_order_acquire);
}

static void lose_list(struct deadletter *letters)
{
    for (struct again *again; (again = letters->first) != NULL;) {
        letters->first = again->next;
        lose(letters, RD_KAFKA_RESP_ERR__PURGE_QUEUE, again->headers);
        rd_kafka_headers_destroy(again->headers);
        settled(letters);
        free(again);
    }
    letters->last = &letters->first;
}

void deadletter_close(struct deadletter *letters)
{
    if (letters == NULL)
        return;
    for (int i = 0; letters->rk && pending(letters) && i < DEADLETTER_CLOSE_MS / CLOSE_POLL_MS; i++) {
        (void)send_again(letters);
        (void)rd_kafka_poll(letters->rk, CLOSE_POLL_MS);
    }
    producer_topics_close(&letters->create);
    lose_list(letters);
    if (letters->rk)
        producer_close(letters->rk, 0);
    lose_list(letters);
    (void)pthread_mutex_destroy(&letters->lock);
    free(letters->name);
    free(letters);
}

/* Letters failed for now: they wait, and the log says why once a minute. */
static void hold_up(struct deadletter *letters, rd_kafka_resp_err_t why, int64_t now_ms)
{
    letters->again_ms = now_ms + AGAIN_MS;
    letters->create.again |= producer_unknown_topic(why);
    if (!letters->told_why && why != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
        log_warn("deadletter.waits", "%s: %s%s; sent again until it succeeds", letters->name, rd_kafka_err2str(why), producer_advice(why));
        letters->told_why = true;
    }
}

/* Whether the list's time has come. */
static bool again_due(struct deadletter *letters, int64_t now_ms)
{
    pthread_mutex_lock(&letters->lock);
    rd_kafka_resp_err_t why = letters->why;
    bool any = letters->first != NULL;
    letters->why = RD_KAFKA_RESP_ERR_NO_ERROR;
    pthread_mutex_unlock(&letters->lock);
    if (why)
        hold_up(letters, why, now_ms);
    return any && now_ms >= letters->again_ms;
}

int deadletter_step(struct deadletter *letters, int64_t now_ms)
{
    if (letters == NULL)
        return 0;
    if (now_ms - letters->told_ms >= TOLD_MS) {
        letters->told_ms = now_ms;
        letters->told_why = false;
        atomic_store_explicit(&letters->told, 0, memory_order_relaxed);
    }
    int done = rd_kafka_poll(letters->rk, 0) + producer_topics_step(&letters->create, now_ms);
    return again_due(letters, now_ms) ? done + send_again(letters) : done;
}

struct deadletter_counts deadletter_counts(const struct deadletter *letters)
{
    if (letters == NULL)
        return (struct deadletter_counts){0};
    uint64_t waiting = pending(letters); /* first: see there */
#define READ(counter) atomic_load_explicit(&letters->counter, memory_order_relaxed)
    return (struct deadletter_counts){READ(delivered), READ(truncated), READ(lost), waiting};
#undef READ
}
