/* checkpoint: the agent that makes checkpoints: says when, takes the slices that shards and folds write (through a ring from each), packs them
 * into files, and makes them real by a manifest. Full slices come at first, after a failure, and when the chain of increments has
 * outgrown its beginning; else increments.
 *
 *   every state.every:  wanted ─> agents write, block by block ─> files ─> dead letters delivered? ─> manifest ─> lasting
 *
 * A disk that is full or gone stops nothing: the checkpoint is given up, told, counted, and tried again. Runs on: the state thread, but for
 * what says otherwise. Bounded: CHECKPOINT_RING blocks from each agent. */
#ifndef ESTEEM_CHECKPOINT_H
#define ESTEEM_CHECKPOINT_H

#include <stdbool.h>
#include <stdint.h>

#include "esteem/clock.h"
#include "esteem/disk.h"
#include "esteem/ring.h"

enum { CHECKPOINT_RING = 16 };

struct checkpoint_setup {
    const char *folder, *group, *config_id;
    int64_t every_ms;
    int shards, folds;
    struct clock clock;
    struct disk disk;
    void *context;
    bool (*settled)(void *context); /* what was refused so far has been delivered; NULL: always */
};

struct checkpoint;

/* Makes the folder and locks it. ERR_IO; ERR_FENCED when another process has it. */
int checkpoint_new(const struct checkpoint_setup *setup, struct checkpoint **checkpoint);
void checkpoint_free(struct checkpoint *checkpoint);

/* The engine was restored from this epoch: younger ones are damaged, and not worth keeping. Before the first step. */
void checkpoint_restored(struct checkpoint *checkpoint, uint64_t epoch);

/* Agents: shards first, then folds. */
struct ring *checkpoint_ring(struct checkpoint *checkpoint, int agent); /* of struct slice_block; the checkpoint's to free */
/* Any thread. The epoch that is wanted now, `*full` of this agent's slice. Before the first
 * begins it is that of the last one in the folder. */
uint64_t checkpoint_wanted(const struct checkpoint *checkpoint, int agent, bool *full);
/* Any thread. The newest epoch that lasts. */
uint64_t checkpoint_lasting(const struct checkpoint *checkpoint);
/* Any thread. Asks for one without waiting for its time; returns the epoch that will have all that was read before the call. */
uint64_t checkpoint_now(struct checkpoint *checkpoint);
/* Any thread. The next two are whole, so that no file is kept that was written before the call; the first is made now. */
void checkpoint_renew(struct checkpoint *checkpoint);
/* Any thread. From now on only what is asked for is made: agents are about to stop. */
void checkpoint_end(struct checkpoint *checkpoint);
/* Before the first step: since when rows may have been told that this life began without (INT64_MIN: ever). Its checkpoints say so too, until
 * checkpoint_recalled (any thread): the rows that the sinks held are known, and what is told later than a checkpoint's begin is not. */
void checkpoint_told_since(struct checkpoint *checkpoint, int64_t since_ms);
void checkpoint_recalled(struct checkpoint *checkpoint);
/* Any thread: the last epoch that was given up. */
uint64_t checkpoint_given_up(const struct checkpoint *checkpoint);

/* Any thread. Manifests name this configuration from now on. */
void checkpoint_configured(struct checkpoint *checkpoint, const char *config_id);

/* Returns work done. */
int checkpoint_step(struct checkpoint *checkpoint);

struct checkpoint_counts {
    uint64_t written, failed, bytes; /* bytes: of all files of the newest */
    int64_t written_ms;              /* monotonic: when the newest was made; INT64_MIN: none */
};
/* Any thread. */
struct checkpoint_counts checkpoint_counts(struct checkpoint *checkpoint);

#endif
