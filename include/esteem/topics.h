/* topics: the sink of the metric topics: of each row one message a family that has anything, to `<prefix><family>`
 * ("esteem.csat"), the row's JSON with that family's measures and metrics. Key: `tenant|scope|window|start` of calendar rows,
 * `tenant|scope|window` of rolling ones, the tenant percent-encoded like the scope. A family that had something under a
 * key and has nothing any more is sent once more, empty, so that a reader of the compacted topic sees it go (also when all is
 * sent again: the record that was lost may have been that one).
 *
 * Goals missed and met again go to `<prefix>alerts`, one message each, key `tenant|goal|scope` (row_alert_json).
 *
 * The topics are created (cleanup.policy=compact,delete) where they are missing; until a broker has answered that, the sink is
 * away; one that is found missing later is asked for again. Retries keep the order of a key's values.
 *
 * A message that fails is counted, and logged once a minute, topic and kind with what helps. Rows are refused for
 * TOPICS_PAUSE_MS, and after a pause (that, doubling to TOPICS_PAUSE_MAX_MS while failures go on) the generation rises and all
 * is sent again, newest values. Two kinds are final: a row too large for the broker, and what this user may not write (which
 * is tried again TOPICS_HEAL_MS later all the same); neither holds others up, nor `pending`.
 *
 * Bounds: TOPICS_QUEUE_MAX messages or TOPICS_QUEUE_KB not delivered yet, then SINK_FULL. A step waits for nothing, except that
 * a producer which librdkafka has given up, or whose batches are too large for the broker, is closed and opened again: 1 s at
 * most, once a pause. Runs on: the thread that steps its publisher; counts: any thread. */
#ifndef ESTEEM_TOPICS_H
#define ESTEEM_TOPICS_H

#include <stdint.h>

#include "esteem/config.h"
#include "esteem/sink.h"

enum {
    TOPICS_QUEUE_MAX = 32768,
    TOPICS_QUEUE_KB = 64 << 10,
    TOPICS_TIMEOUT_MS = 60000, /* a message that is not delivered within this has failed: its value is stale by then */
    TOPICS_KEYS_MAX = 3 << 20, /* keys whose families are remembered */
    TOPICS_PAUSE_MS = 1000,
    TOPICS_PAUSE_MAX_MS = 60000,
    TOPICS_HEAL_MS = 300000,
    TOPICS_CLOSE_MS = 1000,    /* so long may close wait for deliveries */
};

/* Since the start. */
struct topics_counts {
    uint64_t messages; /* delivered */
    uint64_t bytes;    /* of those, before compression */
    uint64_t errors;   /* messages that failed */
};

/* Keeps `config`. ERR_CONFIG names the librdkafka property that is wrong. */
int topics_sink_open(const struct config *config, struct sink *sink);
void topics_sink_close(struct sink *sink);

struct topics_counts topics_counts(const struct sink *sink);

#endif
