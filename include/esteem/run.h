/* run: the daemon: Kafka in, Redis and metric topics out, until a signal. SIGTERM and SIGINT drain, SIGHUP reloads. Also what the
 * demo runs inside itself. Runs on: main. */
#ifndef ESTEEM_RUN_H
#define ESTEEM_RUN_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "esteem/pipeline.h"

struct run;

/* A partition's share of the feed: where it begins when no checkpoint knows better, and where it ends. */
struct run_span {
    const char *topic;
    int32_t partition;
    int64_t from, until; /* offsets; until: behind the last one, or KAFKA_NO_END */
};

/* Opens sinks, sources and the pipeline, and starts its threads. `path`: the file to read again at a reload, or NULL; borrowed. */
int run_start(const struct config *config, const char *path, struct run **run);
/* The same of a part of the feed; keeps `span`. No spans: all of it. */
int run_start_spans(const struct config *config, const char *path, const struct run_span *span, int spans, struct run **run);
/* Messages up to the spans' ends; -1: not known yet, or there are none. */
int64_t run_left(const struct run *run);
/* All inputs are read to their ends and idle, and what the sinks held from before is replaced; for the latter it waits a minute at most. */
bool run_at_end(struct run *run);
struct pipeline *run_pipeline(struct run *run);
/* To be called some times a second. ERR_FENCED when a newer instance has taken over; 0 while all is well. */
int run_check(struct run *run);
/* A line for the log each time it is called: what was read, kept and published; faults of sources and checkpoints. */
void run_status(struct run *run);
/* Drains and closes everything, also after a failure; a signal meanwhile (SIGTERM, SIGINT) ends it at once. Where a thread does not come to
 * its end, the log says which, and the process ends here, with exit code 1 (3 where a newer instance has taken over). */
int run_stop(struct run *run, enum pipeline_end end, int64_t within_ms);

/* One instance a kafka.group and machine: ERR_FENCED when there is one. The lock goes with the process. */
int run_lock(const struct config *config);
/* Before any thread: blocks the signals that main waits for (SIGTERM, SIGINT, SIGHUP), and takes the lock. */
int run_begin(const struct config *config, sigset_t *signals);
/* The log as the configuration says. */
void run_log(const struct config *config);

#endif
