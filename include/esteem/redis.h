/* redis: the Redis sink: rows as hashes under the keys of DESIGN.md, over one connection, pipelined; nothing waits for an
 * answer. Runs on: the thread that steps its publisher; counts and the fence's state may be read from any thread.
 *
 *   esteem:v1:{<tenant>}:<scope>:<window>        hash; calendar rows: `...:hour` runs, `...:hour:last` is the last one closed
 *   esteem:v1:{<tenant>}:scopes                  sorted set: scope text, scored by the newest instant that its rows reach, ms
 *   esteem:v1:{<tenant>}:changed                 pub/sub: keys that a transaction has changed, one a line; or `*`, see Told
 *   esteem:v1:{<tenant>}:goals, :top:...         sorted sets: who misses a goal, leaderboards (redis_goals.c)
 *   esteem:v1:{<tenant>}:alerts                  hash: goal|scope -> its newest alert as JSON; and the channel where each is told
 *   esteem:v1:catalogue                          hash: metric -> unit, formula, direction, meaning, family
 *   esteem:v1:fence                              number of the newest instance: an older one stops when it sees it
 *
 * Fence. Each start takes a number above all before it. Rows are written in transactions that Redis executes only if the number
 * is this instance's and nobody has touched it. So, of one Redis: once a newer instance has its number there, an older one
 * writes no row any more, not even one that was on its way; it learns of it with its next batch, or within REDIS_FENCE_MS, and
 * one that was disconnected learns of it before it writes. A number that is gone or lower (FLUSHALL, a failover to a primary that
 * had not got it) is put back, and everything is written again: only a higher one stops an instance. After a failover that has
 * lost the newer number both write until the newer is connected; then its rows replace the older's. (PUBLISH stands outside of
 * the transaction: an older instance may tell once more of keys that it did not change.)
 *
 * Told. What a transaction has changed is told right behind it: nothing is told before it can be read, and what an instance that is
 * killed between the two owes, the next one writes and tells again. A tick's rows take several transactions; once more than
 * REDIS_CHANGED_MAX of a tenant's keys have changed since Redis last had none on its way, each is told as `*`.
 *
 * Errors. Each answer that is an error is counted; its kind is logged once a minute with what helps. Of a transaction that was
 * refused no row is written, and all its rows are lost until everything is written again. Rows are refused meanwhile
 * (SINK_FULL). After REDIS_PAUSE_MS a small write is tried, again each REDIS_PAUSE_MS until it succeeds; then everything is
 * written again. Where rows fail though that succeeds, the pause doubles to REDIS_PAUSE_MAX_MS. READONLY, NOAUTH and the like
 * give the connection up: the next one looks the host up again.
 *
 * Keys that are gone. FLUSHALL takes the fence along: all is written again within REDIS_FENCE_MS. A key that was evicted or
 * deleted by itself is written with the next change of its row, without the `_small` that it had and without a time to live, and whole
 * with the change after that; that shows that Redis drops keys, and REDIS_HEAL_MS later everything is written again.
 *
 * Bounds. Two transactions, one on its way and one being filled, of REDIS_ROWS_MAX rows (fewer while Redis is slow) or REDIS_BYTES_MAX bytes, then
 * SINK_FULL, and newer values replace those that wait; REDIS_KEYS_MAX keys whose fields are remembered, beyond which a key is
 * written whole. A connection that is broken, or silent for redis.timeout, is built up again after 100 ms, doubling to 5 s. A
 * step sends what the socket takes, reads 4 MB at most and waits for nothing; a host name is looked up in a thread of its own,
 * at each connection, and of several addresses each connection tries the next. */
#ifndef ESTEEM_REDIS_H
#define ESTEEM_REDIS_H

#include <stdbool.h>
#include <stdint.h>

#include "esteem/config.h"
#include "esteem/sink.h"

enum {
    REDIS_ROWS_MAX = 512, /* of a transaction; fewer where Redis needs longer than REDIS_BUSY_MS for them */
    REDIS_ROWS_LEAST = 80,
    REDIS_BUSY_MS = 10,    /* so long a transaction keeps others waiting, and the newest rows */
    REDIS_BYTES_MAX = 16 << 20,
    REDIS_KEYS_MAX = 3 << 20, /* 48 to 64 bytes each */
    REDIS_CHANGED_MAX = 1000,
    REDIS_PAUSE_MS = 1000,
    REDIS_PAUSE_MAX_MS = 60000,
    REDIS_FENCE_MS = 1000, /* an idle connection asks for the fence this often */
    REDIS_HEAL_MS = 300000,
};

/* Since the start. */
struct redis_counts {
    uint64_t rows;       /* confirmed by Redis */
    uint64_t commands;   /* answered */
    uint64_t errors;     /* answered with an error */
    uint64_t reconnects; /* connections after the first */
    uint64_t bytes;      /* sent */
    uint64_t fence;      /* this instance's number, milliseconds since 1970 or above; 0: none yet */
    bool up;             /* connected, ours, and the last rows were taken */
};

/* Keeps `config`. Does not connect yet: the first step does. */
int redis_sink_open(const struct config *config, struct sink *sink);
void redis_sink_close(struct sink *sink);

/* Whether a newer instance has taken over; the sink has stopped for good then. `state`: sink.state. Any thread. */
bool redis_fenced(const void *state);

struct redis_counts redis_counts(const struct sink *sink);

#endif
