/* deadletter: refused messages with their original bytes, to the topic that topics.deadletter names (created with
 * cleanup.policy=delete where it is missing). Why a message was refused stands in its headers:
 *
 *   esteem-topic  esteem-partition  esteem-offset      where it came from
 *   esteem-reason  esteem-field  esteem-text           why; the field and the text only where there are any
 *   esteem-config                                      the configuration that refused it
 *   ce_specversion  ce_id  ce_type  ce_time            as they came, of a binary CloudEvent: it is no event without them
 *   esteem-truncated (true)  esteem-length             only where it had to be cut, with its length before that
 *
 * Any thread may put. Bounds: DEADLETTER_QUEUE_MAX messages or DEADLETTER_QUEUE_KB on their way, then DEADLETTER_FULL: the caller
 * keeps the message and tries again. A letter is pending from the moment that it is taken until it is delivered or lost for good.
 * It waits for its broker, and for its topic (which is asked for again), for ever; what fails for now is sent again a second
 * later; one that is too large for the broker is halved until it fits. Lost is one that is too large even so, or that this user
 * may not write, and what is left when it is closed: counted, and logged with its place, so that it can be read again from
 * there (the first 20 of a minute). */
#ifndef ESTEEM_DEADLETTER_H
#define ESTEEM_DEADLETTER_H

#include <stddef.h>
#include <stdint.h>

#include "esteem/config.h"
#include "esteem/event.h"

enum {
    DEADLETTER_QUEUE_MAX = 10000,
    DEADLETTER_QUEUE_KB = 64 << 10,
    DEADLETTER_TEXT_MAX = 1024, /* bytes of `text`; the rest is cut */
    DEADLETTER_CLOSE_MS = 3000, /* so long may close wait for deliveries */
};

struct deadletter;

struct deadletter_message {
    const char *bytes;
    size_t length;
    const char *key; /* NULL: none */
    size_t key_length;
    const char *topic;
    int32_t partition;
    int64_t offset;
    const char *reason;
    const char *field;     /* NULL or "": none */
    const char *config_id;
    const char *text;      /* NULL or "": nothing more to say */
    const struct event_headers *headers; /* its own; NULL: none */
};

struct deadletter_counts {
    uint64_t delivered, truncated, lost;
    uint64_t pending; /* taken, and neither delivered nor lost; who reads 0 sees the others' counts of them */
};

/* Without a topic in the configuration `*letters` is NULL, which all functions take: letters go nowhere then. */
int deadletter_open(const struct config *config, struct deadletter **letters);
/* What has not been delivered after DEADLETTER_CLOSE_MS is lost. */
void deadletter_close(struct deadletter *letters);

enum deadletter_result { DEADLETTER_TAKEN, DEADLETTER_FULL };
enum deadletter_result deadletter_put(struct deadletter *letters, const struct deadletter_message *message);

/* Takes delivery reports and creates the topic. Runs on: one thread, any; returns work done. */
int deadletter_step(struct deadletter *letters, int64_t now_ms);

/* Any thread. A checkpoint may be made real when nothing is pending. */
struct deadletter_counts deadletter_counts(const struct deadletter *letters);

#endif
