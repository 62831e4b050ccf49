/* sink: where rows go. A sink is a set of functions over its own state; redis.c and topics.c are the real ones, tests and
 * the simulator bring their own. Runs on: the thread that steps its publisher; nothing here waits for a server: a call is one
 * pass through the sink's own buffers (topics.h names its one exception). */
#ifndef ESTEEM_SINK_H
#define ESTEEM_SINK_H

#include <stdint.h>

struct config;
struct row; /* row.h */

enum sink_result {
    SINK_TAKEN, /* the row is in the sink's buffers; it will be written or the sink reports `lost` */
    SINK_FULL,  /* no room now; offer it again later, by then perhaps with newer values */
    SINK_AWAY,  /* not connected; everything is to be written again after the reconnect */
};

struct sink {
    const char *name;
    void *state;
    /* Offers one row. The row is borrowed for the call. */
    enum sink_result (*put)(void *state, const struct row *row);
    /* A batch is complete: fences and flushes; called once a publisher's step that put anything. */
    void (*batch_end)(void *state, int64_t now_ms);
    /* Moves bytes, reads replies, reconnects. Returns work done. */
    int (*step)(void *state, int64_t now_ms);
    /* Raised at each (re)connect: when it has changed, the publisher writes every row again. 0: not connected yet. */
    uint64_t (*generation)(void *state);
    /* Rows taken and not yet confirmed. */
    uint64_t (*pending)(void *state);
    /* Another configuration is in force, and stays until the next call. May be NULL. */
    void (*reload)(void *state, const struct config *config);
};

#endif
