/* pipeline: the whole engine put together: sources -> shards -> folds -> publishers -> sinks, with the rings between them. The
 * batch command and tests step it in one thread; the daemon gives each agent a thread. It starts sinks first and stops
 * sources first. */
#ifndef ESTEEM_PIPELINE_H
#define ESTEEM_PIPELINE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "esteem/clock.h"
#include "esteem/config.h"
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
    int64_t rolling_least_ms[OUTLET_MAX];
    void *context; /* of dead_letter */
    bool (*dead_letter)(void *context, const struct refused *refused); /* NULL: refused events are only counted; any shard's thread */
};

int pipeline_new(const struct config *config, const struct pipeline_setup *setup, struct pipeline **pipeline);
void pipeline_free(struct pipeline *pipeline);

/* One round in the caller's thread. Returns work done. */
int pipeline_step(struct pipeline *pipeline);
/* Steps until the sources are read to their end and every difference is in its window. */
void pipeline_run_batch(struct pipeline *pipeline);
/* Batch: all rows, in no order. */
void pipeline_rows(struct pipeline *pipeline, fold_each *each, void *context);

/* Threads. `stop` drains: sources stop, what was read is published, at most `within_ms`. Returns 0, or ERR_IO when not everything
 * could be published in time. */
enum pipeline_end {
    END_DRAIN,   /* what has changed goes out */
    END_REFRESH, /* every row goes out again, so that all rolling rows end at one instant */
    END_FINISH,  /* the same, and the feed is over: calendar windows are final */
};
int pipeline_start(struct pipeline *pipeline);
int pipeline_stop(struct pipeline *pipeline, enum pipeline_end end, int64_t within_ms);
/* All inputs read to their end, and idle. */
bool pipeline_idle(const struct pipeline *pipeline);
/* Hands a new configuration to every agent; the pipeline takes it and frees it at its own end. Runs on: the thread that started it. */
void pipeline_reload(struct pipeline *pipeline, struct config *config);

/* Sums over the agents; exact once they have stopped, a moment old while they run. */
struct pipeline_counts {
    struct shard_counts shards;
    struct fold_counts folds;
    uint64_t keys_refused;
};
struct pipeline_counts pipeline_counts(struct pipeline *pipeline);
/* For people: events applied, duplicates, refused by topic and reason; what the state takes. */
void pipeline_summary(const struct pipeline_counts *counts, const struct config *config, FILE *out);

#endif
