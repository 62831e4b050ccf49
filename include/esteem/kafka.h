/* kafka: a shard's share of the configured topics as a source. Partition p of every topic belongs to shard p mod shards, so
 * topics that are keyed alike and have as many partitions meet in one shard. Partitions are assigned by hand; the group is only
 * where offsets are committed for lag tools.
 *
 * Nothing of the world is fatal: a broker that is away, a topic that does not exist yet, partitions that are added are taken up
 * when they are there. A thread of the source asks for the partitions every 30 s (every second while a topic is missing) and
 * hands their number to poll, which never waits for a broker. Each error is counted, and logged once a
 * kind; a minute later it is news again, if messages flow.
 *
 * Bounds: librdkafka holds at most KAFKA_QUEUE_KB of messages a shard, and KAFKA_BATCH of them are handed out at a time. What a paused
 * source does not hand out stays there; fetching then stops by itself. */
#ifndef ESTEEM_KAFKA_H
#define ESTEEM_KAFKA_H

#include "esteem/config.h"
#include "esteem/source.h"

enum { KAFKA_BATCH = 1024, KAFKA_QUEUE_KB = 128 << 10 };

/* Opens the source of shard `shard` of `shards`; keeps `config`. ERR_CONFIG names the librdkafka property that is wrong. */
int kafka_source_open(const struct config *config, int shard, int shards, struct source *source);

/* Where to begin a partition: an offset, or KAFKA_FROM_START for what the configuration says. */
enum { KAFKA_FROM_START = -1 };
typedef int64_t kafka_from(void *context, const char *topic, int32_t partition);

/* Asks `from` for each partition when it is taken up (a restored state knows). To be called before the first poll. */
void kafka_source_begin(struct source *source, kafka_from *from, void *context);

/* Topic and partition of an input. */
void kafka_source_input(const struct source *source, int input, int *topic, int32_t *partition);

/* Errors of brokers and partitions since the start. Any thread. */
uint64_t kafka_source_errors(const struct source *source);

#endif
