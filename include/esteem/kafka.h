/* kafka: a shard's share of the configured topics as a source. Partition p of every topic belongs to shard p mod shards, so
 * topics that are keyed alike and have as many partitions meet in one shard. Partitions are assigned by hand; the group is only
 * where offsets are committed for lag tools.
 *
 * Nothing of the world is fatal, and nothing that is not read goes unsaid:
 *
 *   a broker that is away, a new leader    it goes on when one is there, at the same message
 *   a topic that does not exist yet, a     taken up when they are there, from the beginning
 *   partition that is added
 *   a saved offset that is gone            begun at the first that there is; `lost`, logged with the offsets
 *   a topic that is deleted                at its end, so that nobody waits for it; created anew, it is read from its beginning
 *                                          (`recreated`). It is known by the last message's time and length, and by offsets that
 *                                          lie behind its end. What librdkafka 2.0.2 cannot see: a topic that was replaced while
 *                                          esteem was away and has as many messages again
 *   a message that cannot be fetched       librdkafka checks the checksum of each batch (check.crcs) and would ask for a damaged
 *                                          one for ever; it is passed over to the next whole one; `unfetchable`, logged. With
 *                                          check.crcs=false damage goes by unseen, or holds its partition up
 *
 * A thread of the source asks for the partitions every 30 s (every second while a topic is missing, at once when librdkafka says that
 * one is gone) and hands their number to poll, which never waits for a broker. Each error is counted, and logged once a kind; a minute
 * later it is news again, if messages flow.
 *
 * Bounds: librdkafka holds at most KAFKA_QUEUE_KB of messages, shared by the shards, but KAFKA_QUEUE_LEAST_KB in each; and as much
 * again in bookkeeping where messages are small. KAFKA_BATCH are handed out at a time. What a paused source does not hand out stays
 * there; fetching then stops by itself. As much again is kept of inputs that are held back. A message larger than all that is still fetched, up to receive.message.max.bytes (100 MB, or
 * limits.message and 64 MiB). */
#ifndef ESTEEM_KAFKA_H
#define ESTEEM_KAFKA_H

#include "esteem/config.h"
#include "esteem/source.h"

enum { KAFKA_BATCH = 1024, KAFKA_QUEUE_KB = 256 << 10, KAFKA_QUEUE_LEAST_KB = 16 << 10 };

/* Opens the source of shard `shard` of `shards`; keeps `config`. ERR_CONFIG names the librdkafka property that is wrong. */
int kafka_source_open(const struct config *config, int shard, int shards, struct source *source);

/* Where to begin a partition: an offset, KAFKA_FROM_START for what the configuration says, or KAFKA_FROM_BEGINNING: it is new. */
enum { KAFKA_FROM_START = -1, KAFKA_FROM_BEGINNING = -2 };
typedef int64_t kafka_from(void *context, const char *topic, int32_t partition);

/* Asks `from` for each partition when it is taken up (a restored state knows). To be called before the first poll. */
void kafka_source_begin(struct source *source, kafka_from *from, void *context);

/* Where to end a partition: the offset behind the last message that is handed out, or KAFKA_NO_END. There it counts as read to its end; what
 * lies behind stays for whoever goes on at source_position. To be called before the first poll. */
enum { KAFKA_NO_END = -1 };
typedef int64_t kafka_until(void *context, const char *topic, int32_t partition);
void kafka_source_end(struct source *source, kafka_until *until, void *context);

struct kafka_counts {
    uint64_t errors;      /* of brokers and partitions */
    uint64_t lost;        /* messages that were deleted before they were read */
    uint64_t unfetchable; /* messages that are damaged on the broker and were passed over */
    uint64_t recreated;   /* partitions that were begun anew, because their topic was deleted and created again */
    int64_t left;         /* messages up to the ends of its partitions; -1: not known yet, or there are no ends */
};

/* What waits in Kafka of a partition that the source reads, as of the last second. */
struct kafka_lag {
    int topic;         /* into config.topic */
    int32_t partition;
    int64_t messages;  /* -1: the broker has not said yet */
};
/* Of the partitions of this source, `most` at most; returns how many there are. Any thread. */
int kafka_source_lag(const struct source *source, struct kafka_lag *lag, int most);

/* Since the start. Any thread. */
struct kafka_counts kafka_source_counts(const struct source *source);

#endif
