/* pipeline: the whole engine put together: sources -> shards -> folds -> publishers -> sinks, with the rings between them. The
 * batch command and tests step it in one thread; the daemon gives each agent a thread. It starts sinks first and stops
 * sources first. */
#ifndef ESTEEM_PIPELINE_H
#define ESTEEM_PIPELINE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "esteem/checkpoint.h"
#include "esteem/clock.h"
#include "esteem/config.h"
#include "esteem/memory.h"
#include "esteem/recall.h"
#include "esteem/shard.h"
#include "esteem/sink.h"
#include "esteem/window.h"

struct pipeline;

struct pipeline_setup {
    int shards, folds;
    bool batch;       /* see shard.h, window.h */
    bool route;
    int64_t at_ms;    /* batch: end of rolling windows; INT64_MIN: none */
    struct clock clock;
    const struct source *source; /* one a shard; a source without poll is none */
    int sinks;
    struct sink sink[OUTLET_MAX];
    bool now[OUTLET_MAX], by_topics_every[OUTLET_MAX]; /* see window.h */
    struct checkpoint *checkpoint; /* NULL: none are made; stepped by the pipeline, freed by its owner, after the pipeline */
    void *context; /* of dead_letter, tend and hurry */
    void (*tend)(void *context); /* NULL, or what the caller of pipeline_stop has to keep going while it waits there */
    bool (*hurry)(void *context); /* NULL, or whether it is not to wait there any longer; asked again and again */
    bool (*dead_letter)(void *context, const struct refused *refused); /* NULL: refused events are only counted; any shard's thread */
};

int pipeline_new(const struct config *config, const struct pipeline_setup *setup, struct pipeline **pipeline);
void pipeline_free(struct pipeline *pipeline);

/* One round in the caller's thread. Returns work done. */
int pipeline_step(struct pipeline *pipeline);
/* Steps until the sources are read to their end and every difference is in its window. */
void pipeline_run_batch(struct pipeline *pipeline);
/* In the caller's thread: the feed is over; what was read goes out, calendar windows as final. For sinks that always take. */
void pipeline_finish(struct pipeline *pipeline);
/* Batch: all rows, in no order. */
void pipeline_rows(struct pipeline *pipeline, fold_each *each, void *context);

/* Threads. `stop` drains: sources stop, what was read is published, at most `within_ms`. Returns 0, or ERR_IO when not everything
 * could be published in time; ERR_HELD_UP, the trail names them, when threads have not come to their end within 30 s more: then nothing
 * may be freed, and the process has to end. */
enum pipeline_end {
    END_DRAIN,   /* what has changed goes out */
    END_REFRESH, /* every row goes out again, so that all rolling rows end at one instant */
    END_FINISH,  /* the same, and the feed is over: calendar windows are final */
};
int pipeline_start(struct pipeline *pipeline);
int pipeline_stop(struct pipeline *pipeline, enum pipeline_end end, int64_t within_ms);
/* Erases a customer (shard.h): begins it. False: one is being erased still. Both run on: the thread that started the pipeline. */
bool pipeline_forget(struct pipeline *pipeline, const char *tenant, uint64_t customer);
/* Whether that is done; what was erased. */
bool pipeline_forgotten(struct pipeline *pipeline, uint64_t *interactions, uint64_t *visits);
/* All inputs read to their end, and idle. */
bool pipeline_idle(const struct pipeline *pipeline);
/* Before the first step: whence the folds get the names of rows that the sinks hold. Its owner's, freed after the pipeline. */
void pipeline_recall(struct pipeline *pipeline, struct recall *recall);
/* Each row that the sinks held from before is replaced, or made and on its way out, empty. Any thread. */
bool pipeline_recalled(const struct pipeline *pipeline);
/* The sink has been reached, so that an older instance writes there no more (Redis), and its topics are there. Any thread. */
bool pipeline_sink_reached(const struct pipeline *pipeline, int sink);
/* Memory is short, or no longer. Any thread. */
void pipeline_press(struct pipeline *pipeline, enum memory_state state);
/* Hands a new configuration to every agent; the pipeline takes it, and frees it when it is replaced and nothing refers to it any more. This and
 * all below run on: the thread that started it. */
void pipeline_reload(struct pipeline *pipeline, struct config *config);
/* Before that: programs of the topics for a shard (shard_reload), which the pipeline takes. */
void pipeline_mappings(struct pipeline *pipeline, int shard, struct mapping **mapping);
/* Whether every agent works under the newest; the longest step that one took to get there. To be called some times a second while it does not. */
bool pipeline_reloaded(struct pipeline *pipeline, int64_t *longest_us);
/* Nothing more is read, or it is again; what was read is published all the same, and no window becomes final meanwhile. */
void pipeline_pause(struct pipeline *pipeline, bool pause);
/* Asks for the rows that a key has now ("queue=billing", as in Redis's keys): begins it. False: others are being asked for still. */
bool pipeline_dump(struct pipeline *pipeline, const char *tenant, const char *scope);
/* Whether they are there; makes some more of their lines. JSON, a line each, which the caller frees (NULL: none); `cut`: there were more than fit an
 * answer (control.h). */
bool pipeline_dumped(struct pipeline *pipeline, char **text, size_t *length, bool *cut);

/* Restores a pipeline that has not stepped yet from the newest checkpoint before *before whose files are whole. Returns its epoch; 0 when the
 * folder has no checkpoint at all; ERR_DATA or ERR_IO when it could not be used, the trail says why: such a pipeline is to be freed,
 * *before is the epoch that failed, 0 when there is no older one to try. */
int64_t pipeline_restore(struct pipeline *pipeline, const char *folder, uint64_t *before);
/* Where a partition is to be read on; -1: the checkpoint does not know that. *topic_known: it knows others of the topic, so this one is new. */
int64_t pipeline_restored_offset(const struct pipeline *pipeline, const char *topic, int32_t partition, bool *topic_known);
/* Since when, by the wall clock, rows may have been told that the checkpoint does not know; INT64_MIN: ever. */
int64_t pipeline_told_since(const struct pipeline *pipeline);
/* Makes a checkpoint of all that was read before the call, and waits for it, at most `within_ms`. False: it was given up, or takes longer. */
bool pipeline_checkpoint(struct pipeline *pipeline, int64_t within_ms);

/* Entries that the rings between shards, and from a shard to a fold, hold. */
enum { PIPELINE_SHARD_RING = 4096, PIPELINE_FOLD_RING = 256 };
enum pipeline_agent { PIPELINE_SHARD, PIPELINE_FOLD, PIPELINE_PUBLISHER, PIPELINE_AGENTS };
enum { PIPELINE_NAME_MAX = 24 };
/* By what an agent is known to people: "shard-0", or the sink's name; returns `name`. */
const char *pipeline_agent_name(const struct pipeline *pipeline, enum pipeline_agent kind, int index, char name[PIPELINE_NAME_MAX]);
/* Sums over the agents; exact once they have stopped, a moment old while they run. */
struct pipeline_counts {
    struct shard_counts shards;
    struct fold_counts folds;
    uint64_t keys_refused;
    int64_t posted_ms; /* monotonic: when the agent that is most behind with telling its counts did; 0: it has not yet. They do some times a second */
    enum pipeline_agent behind; /* which that is, with its number */
    int behind_index;
    struct timing step[PIPELINE_AGENTS]; /* processor time of steps that did something; `longest_us` is not summed */
    int64_t shard_longest_us[SHARD_MAX], fold_longest_us[SHARD_MAX], sink_longest_us[OUTLET_MAX]; /* of the last one to two minutes */
    struct timing publish[OUTLET_MAX];   /* from when a row left its fold to when the sink has confirmed it; one row at a time */
    uint32_t to_shards, to_folds, to_sink[OUTLET_MAX]; /* entries in the fullest ring */
    int64_t in_flight_bytes;             /* of differences on their way to folds */
};
struct pipeline_counts pipeline_counts(struct pipeline *pipeline);
/* For people: events applied, duplicates, refused by topic and reason; what the state takes. */
void pipeline_summary(const struct pipeline_counts *counts, const struct config *config, FILE *out);

#endif
