/* redis: the Redis sink: rows as hashes under the keys of DESIGN.md, over one connection, pipelined; nothing waits for an
 * answer. Runs on: the thread that steps its publisher; counts and the fence's state may be read from any thread.
 *
 *   esteem:v1:{<tenant>}:<scope>:<window>        hash; calendar rows: `...:hour` runs, `...:hour:last` is the last one closed
 *   esteem:v1:{<tenant>}:scopes                  sorted set: scope text, scored by the newest instant that its rows reach, ms
 *   esteem:v1:{<tenant>}:changed                 pub/sub: keys changed by a batch, one a line; above REDIS_CHANGED_MAX `*`
 *   esteem:v1:catalogue                          hash: metric -> unit, formula, direction, meaning, family
 *   esteem:v1:fence                              number of the newest instance: an older one stops when it sees it
 *
 * Bounds: REDIS_ROWS_MAX rows without an answer or REDIS_BYTES_MAX bytes to be sent, then SINK_FULL; REDIS_KEYS_MAX keys whose
 * fields are remembered, beyond which a key is written whole. An error of Redis (out of memory, read-only, loading, ...) is
 * counted and logged, rows are refused for REDIS_PAUSE_MS, then everything is written again. A broken or silent connection is
 * built up again after 100 ms, doubling to 5 s. Host names are looked up by the system's resolver, which may take its time:
 * an address or a unix socket never does. */
#ifndef ESTEEM_REDIS_H
#define ESTEEM_REDIS_H

#include <stdbool.h>
#include <stdint.h>

#include "esteem/config.h"
#include "esteem/sink.h"

enum {
    REDIS_ROWS_MAX = 16384,
    REDIS_BYTES_MAX = 16 << 20,
    REDIS_KEYS_MAX = 3 << 20, /* 40 to 56 bytes each */
    REDIS_CHANGED_MAX = 1000,
    REDIS_PAUSE_MS = 1000,
};

/* Since the start. */
struct redis_counts {
    uint64_t rows;       /* confirmed by Redis */
    uint64_t commands;   /* answered */
    uint64_t errors;     /* answered with an error */
    uint64_t reconnects; /* connections after the first */
    uint64_t bytes;      /* sent */
    uint64_t fence;      /* this instance's number; 0: none yet */
};

/* Keeps `config`. Does not connect yet: the first step does. */
int redis_sink_open(const struct config *config, struct sink *sink);
void redis_sink_close(struct sink *sink);

/* Whether a newer instance has taken over; the sink has stopped for good then. `state`: sink.state. Any thread. */
bool redis_fenced(const void *state);

struct redis_counts redis_counts(const struct sink *sink);

#endif
