/* shard: an agent that owns some partitions and all interactions in them: source -> decode -> ledger -> combine -> folds. Events
 * of feeds that are not keyed by interaction, and roster changes, go on to the shard that owns them.
 *
 * It never blocks: what finds no room (a fold's ring, another shard's, the dead-letter topic) waits in the outbox, and while
 * the outbox holds anything the source is not read. Runs on: the shard's thread, or whoever steps it. */
#ifndef ESTEEM_SHARD_H
#define ESTEEM_SHARD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "esteem/batch.h"
#include "esteem/clock.h"
#include "esteem/config.h"
#include "esteem/ledger.h"
#include "esteem/slice.h"
#include "esteem/source.h"
#include "esteem/timing.h"

enum { SHARD_MAX = 64, SHARD_IN_FLIGHT = 8 << 20 /* bytes of batches on their way to folds, above which a shard reads no more */ };

/* What each shard says of event time, for all to read: the least of the watermarks judges what is too late. A shard's watermark does not pass
 * an event that the shard has handed over until that event's effect has reached the folds. */
struct shard_clocks {
    int count;
    _Atomic int64_t watermark_ms[SHARD_MAX]; /* INT64_MIN: none yet */
    _Atomic int64_t slowest_ms[SHARD_MAX]; /* newest event time of the shard's input that is furthest behind and not at its end; INT64_MAX: none */
    _Atomic bool idle[SHARD_MAX];
    _Atomic int64_t in_flight[SHARD_MAX]; /* bytes of batches that a shard has posted and the folds have not freed */
    _Atomic bool paused;                 /* nothing is read for now, because somebody asked for it */
    _Atomic int memory;                  /* enum memory_state: what is not begun any more because limits.memory is near */
    _Atomic uint64_t settled[SHARD_MAX]; /* parcels of this shard whose effect has reached the folds' rings */
    /* Where each fold's rolling windows stand, INT64_MIN: nowhere yet; and, stored before that, the serial of the configuration that the fold works
     * under. */
    _Atomic int64_t stands_ms[SHARD_MAX];
    _Atomic uint64_t stands_serial[SHARD_MAX];
};

static inline void shard_clocks_stand(struct shard_clocks *clocks, int fold, uint64_t serial, int64_t now_ms)
{
    atomic_store_explicit(&clocks->stands_serial[fold], serial, memory_order_relaxed);
    /* release: who sees where the windows stand sees of which configuration they are; partner of shard_tell.c's acquire */
    atomic_store_explicit(&clocks->stands_ms[fold], now_ms, memory_order_release);
}

/* A refused event, on its way to the dead-letter topic. */
struct refused {
    const struct message *message;
    enum refusal reason;
    const char *field; /* "" when no field is at fault */
    const char *text;  /* what a mapping said; "" else */
};

struct shard_counts {
#define COUNTER(name, help) uint64_t name;
#include "esteem/counters.def"
#undef COUNTER
    uint64_t applied_by_type[EVENT_COUNT];
    uint64_t refused_by_reason[CONFIG_TOPIC_MAX][REFUSAL_COUNT]; /* by topic */
    struct ledger_counts ledger;
    struct timing tick;      /* from when differences were due to go to the folds to when they were on their way */
    uint64_t books_bytes, names_bytes;
};

/* A partition as a checkpoint knows it. */
struct shard_input {
    char *topic;
    int32_t partition;
    int64_t next;      /* offset to read on from; -1: not known */
    int64_t newest_ms; /* newest event time; INT64_MIN: none */
};

struct shard_setup {
    int index, shards, folds;
    bool batch;           /* the batch command: nothing is too late or too new, nothing is forgotten */
    bool route;           /* feeds are not keyed by interaction, or there are several topics: each event goes to its owner */
    int64_t pane_ms, pane_from_ms;
    struct clock clock;
    struct source source; /* all NULL: none, the shard takes only what others hand over */
    struct shard_clocks *clocks;
    struct key_registry *registry; /* NULL: no limit of keys */
    void *context;
    bool (*to_fold)(void *context, int fold, struct batch *batch);    /* takes the batch; false: no room */
    bool (*to_shard)(void *context, int shard, void *parcel);         /* takes the parcel; false: no room */
    void *(*from_shard)(void *context, int shard);                    /* the next parcel from one shard, or NULL */
    bool (*dead_letter)(void *context, const struct refused *refused); /* false: no room now */
};

struct shard;

/* ERR_MAPPING when a topic's program does not compile. `config` is borrowed until the next shard_reload. */
int shard_new(const struct config *config, const struct shard_setup *setup, struct shard **shard);
void shard_free(struct shard *shard);
void shard_parcel_free(void *parcel);

/* The configuration from the next message on. `mapping`: CONFIG_TOPIC_MAX programs of the topics, taken, in place of those that the shard has; NULL:
 * those stay. */
struct mapping;
void shard_reload(struct shard *shard, const struct config *config, struct mapping **mapping);
/* False: some events of a message are in, and its others wait for room; other programs might make other events of the message. */
bool shard_may_reload(const struct shard *shard);

/* Reads, decodes, ticks. `flush`: end the tick now. Returns work done: 0 when there was nothing to do. */
int shard_step(struct shard *shard, int wait_ms, bool flush);

/* From now on only what others hand over is taken. */
void shard_stop_reading(struct shard *shard);
/* Nothing is on its way: outbox empty, nothing touched, nothing combined. */
bool shard_empty(const struct shard *shard);
/* Tells the folds that nothing follows. False: no room, again later. */
bool shard_say_goodbye(struct shard *shard);

struct shard_counts shard_counts(const struct shard *shard);

/* A customer's hash under secrets.customer_key. */
uint64_t shard_customer_hash(const struct config *config, const char *customer);
/* Erases a customer in two passes, each done by all shards before the next begins: first out of the interactions, in bounded steps; then the
 * visits that are left, by the shard that owns them. */
enum { SHARD_FORGET_INTERACTIONS, SHARD_FORGET_VISITS };
void shard_forget(struct shard *shard, int pass, const char *tenant, uint64_t customer);
/* Whether the pass is over, and what the shard has told in it has reached the owners. *count: how much was erased. */
bool shard_forgotten(const struct shard *shard, uint64_t *count);

/* ---- checkpoints (shard_state.c) ---- */

/* A checkpoint begins: a barrier goes to every other shard. When theirs are all here, what was read before is flushed, the barrier goes on to
 * the folds, and the shard writes its part while it works on. `epoch` is higher than the last one. */
void shard_checkpoint(struct shard *shard, uint64_t epoch, bool full);
/* The checkpoint of this epoch lasts: its offsets are committed, for lag tools. */
void shard_checkpoint_lasts(struct shard *shard, uint64_t epoch);
/* What the shard has written so far: to be taken block by block. */
struct slice_out *shard_slice(struct shard *shard);

/* One shard's slice, of `slices`, on its way into all shards, which may be more or fewer now. Before the first step. */
struct shard_load;
/* `known`: bits of the measures that the slice's writer knew. */
struct shard_load *shard_load_new(struct shard **shards, int count, int slice, int slices, const uint64_t known[4]);
/* ERR_DATA: the item is not well-formed, or means what this configuration does not know; the trail says so. */
int shard_load_item(struct shard_load *load, struct slice_item *item);
/* After a slice's last item, before the next slice's first. */
void shard_load_read(struct shard_load *load);
/* After all slices. Hands over the inputs that the slice named: *count of them, the caller's to free with their topics. Frees `load`. */
struct shard_input *shard_load_end(struct shard_load *load, int *count);
/* Puts all of the shard's roster into a batch for the folds, whose checkpoints have no copy of the roster. */
void shard_roster(struct shard *shard, struct batch *batch);
/* After the last slice: all inputs that any slice named; kept until shard_free, not owned. */
void shard_restored(struct shard *shard, const struct shard_input *inputs, int count);

#endif
