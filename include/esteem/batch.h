/* batch: what a shard hands to a fold: keys named once, then integers by (key, pane). One block of bytes, the same form in memory
 * between threads and, in cluster mode, in a Kafka message. Written by one thread, then owned by the reader, who frees it.
 *
 *   'k' varint number, varint scope, tenant, values (each varint length, bytes)      a key of this shard gets its number
 *   'b' varint number, varint parts, their numbers                                   a bundle of keys that have been named
 *   'r' zigzag varint time, u8 flags, varint id hash, tenant, agent, team, site       a change of the roster
 *   'c' varint number, zigzag varint pane - previous pane, varint length, runs       integers to add, by key, then pane
 *   's' the same, spans begin or end there (span.h)
 *   'n' the same of what is now: a block (now.h) for the pane
 */
#ifndef ESTEEM_BATCH_H
#define ESTEEM_BATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "esteem/key.h"

/* A change of the roster; strings as in a key, "" where one is absent. */
struct batch_roster {
    int64_t time_ms;
    uint64_t id_hash;
    bool enrolled, ineligible, file, gone; /* roster.h; gone: it is taken back */
    const char *tenant, *agent, *team, *site;
};

struct batch {
    uint64_t serial; /* of the configuration that the shard worked under */
    int shard;
    int64_t watermark_ms;  /* of the shard's inputs when it was sealed; INT64_MIN: none yet */
    int64_t newest_ms;     /* newest event time seen; INT64_MIN: none */
    bool idle;             /* every input of the shard is idle */
    bool drained;          /* the shard is done: nothing follows */
    bool inexact;          /* interactions had to be retired */
    bool caught_up;        /* the shard has read every input to its end since the start, and what it handed over then is with the folds */
    int64_t known_ms;      /* what ends before was told by a life of which this one does not know the feed; INT64_MIN: there is none such */
    uint64_t barrier;      /* the last batch before this checkpoint; 0: none */
    uint32_t length, room;
    int64_t pane;          /* while writing and reading: the previous one */
    struct {
        uint32_t part[BUNDLE_MOST], parts;
    } bundle;                   /* while reading: what BATCH_BUNDLE is of */
    struct batch_roster roster; /* while reading: what BATCH_ROSTER is of */
    uint8_t *bytes;
};

struct batch *batch_new(int shard);
void batch_free(struct batch *batch);
/* What it takes of memory. */
static inline int64_t batch_bytes(const struct batch *batch)
{
    return (int64_t)(sizeof *batch + batch->room);
}
void batch_put_key(struct batch *batch, uint32_t number, const struct scope_key *key);
void batch_put_bundle(struct batch *batch, uint32_t number, const uint32_t *part, uint32_t parts);
void batch_put_roster(struct batch *batch, const struct batch_roster *change);
void batch_put_cell(struct batch *batch, uint32_t number, int64_t pane, bool spans, const uint8_t *runs, uint32_t length);
void batch_put_now(struct batch *batch, uint32_t number, int64_t block, const uint8_t *runs, uint32_t length);

/* Reading: a cursor from 0. Strings of a key, and of a change of the roster, lie in `text` (BATCH_KEY_TEXT_MAX bytes), ended by zero bytes. */
enum { BATCH_KEY_TEXT_MAX = (DIMENSION_MAX + 1) * (STRING_KEPT_MAX + 4) };
enum batch_item { BATCH_END, BATCH_KEY, BATCH_BUNDLE, BATCH_CELL, BATCH_ROSTER, BATCH_BROKEN };
struct batch_cell {
    uint32_t number;
    int64_t pane; /* of what is now: its block */
    bool spans, now;
    const uint8_t *runs;
    uint32_t length;
};
enum batch_item batch_next(struct batch *batch, uint32_t *cursor, uint32_t *number, struct scope_key *key, char *text,
                           struct batch_cell *cell);

#endif
