/* run: the daemon: Kafka in, Redis and metric topics out, until a signal. SIGTERM and SIGINT drain, SIGHUP reloads. Also what the
 * demo runs inside itself. Runs on: main. */
#ifndef ESTEEM_RUN_H
#define ESTEEM_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "esteem/pipeline.h"

struct run;

/* Opens sinks, sources and the pipeline, and starts its threads. `path`: the file to read again at a reload, or NULL; borrowed. */
int run_start(const struct config *config, const char *path, struct run **run);
struct pipeline *run_pipeline(struct run *run);
/* To be called some times a second. ERR_FENCED when a newer instance has taken over; 0 while all is well. */
int run_check(struct run *run);
/* Drains and closes everything, also after a failure. */
int run_stop(struct run *run, enum pipeline_end end, int64_t within_ms);

#endif
