/* producer: a librdkafka producer as the metric topics and the dead letters need it: opened from the configuration, with topics
 * created where there are none; and a consumer that reads them back. Runs on: as each function says; librdkafka's handle itself is for any thread. */
#ifndef ESTEEM_PRODUCER_H
#define ESTEEM_PRODUCER_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdint.h>

#include "esteem/config.h"

struct producer_settings {
    const char *client;       /* client.id */
    int queue_messages;       /* bound of librdkafka's queue */
    int queue_kb;
    int64_t timeout_ms;       /* a message that is not delivered within this has failed; 0: never */
    int batch_bytes;          /* most bytes of a batch of several messages; 0: librdkafka's */
    bool idempotent;          /* retries keep the order of messages */
    void (*delivered)(rd_kafka_t *rk, const rd_kafka_message_t *message, void *context); /* from rd_kafka_poll */
    void *context;
};

/* ERR_CONFIG names the librdkafka property that is wrong. */
int producer_open(const struct config *config, const struct producer_settings *settings, rd_kafka_t **rk);
/* Waits up to `wait_ms` for what is on its way, then gives up the rest: reported as failed before this returns. */
void producer_close(rd_kafka_t *rk, int wait_ms);

/* A consumer without a group, that says where a partition ends. ERR_CONFIG likewise. */
int consumer_open(const struct config *config, const char *client, rd_kafka_t **rk);
void consumer_close(rd_kafka_t *rk);

/* A property as the producer has it: ours, kafka.properties' or librdkafka's own. */
size_t producer_number(rd_kafka_t *rk, const char *property);

/* Whether sending the message again would fail again. Too large is also said of each message of a batch that is. */
bool producer_permanent(rd_kafka_resp_err_t error);
/* Whether the topic is not there. */
bool producer_unknown_topic(rd_kafka_resp_err_t error);
/* What to do about it, with a leading "; ", or "". */
const char *producer_advice(rd_kafka_resp_err_t error);

/* Topics to be there, created with one partition and the broker's replication where they are not. An agent of its own: to be
 * stepped. What fails is a warning: the topics may exist and the user may not be allowed to create any. */
enum { PRODUCER_TOPICS_MAX = 16 };
struct producer_topics {
    rd_kafka_t *rk;
    int count;
    const char *name[PRODUCER_TOPICS_MAX];
    const char *cleanup[PRODUCER_TOPICS_MAX]; /* cleanup.policy */
    rd_kafka_queue_t *answers; /* NULL: nothing was asked yet */
    bool waiting;
    bool answered; /* done, or it cannot be done */
    bool told;     /* that no broker answers */
    bool again;    /* one was found missing: ask once more; who waits for `answered` does not wait for this */
    int64_t next_ms;
};

void producer_topics_add(struct producer_topics *topics, const char *name, const char *cleanup);
int producer_topics_step(struct producer_topics *topics, int64_t now_ms);
/* Before its producer is closed. */
void producer_topics_close(struct producer_topics *topics);

#endif
