/* recall: names of the rows that the sinks hold, so that a row which only a killed life had told does not stay. The sinks themselves are the
 * record of what was told: after a start, in a thread beside the flow, a reader for each sink goes through what is there, and each name
 * goes to the fold that owns its key. What the fold does not have when the feed is caught up is made there, empty, and published.
 *
 *   metric topics, from `since` on ──> reader ─┐
 *   Redis, all keys ──────────────────> reader ─┴─ recall thread ──ring a fold──> fold_recall (window.h)
 *
 * Nobody waits for it; a sink that is away is tried again. Bounds: RECALL_RING names on their way to a fold, then the thread waits.
 * Runs on: readers in the recall thread, recall_take in the fold's, the rest in the one that starts it; counts: any. */
#ifndef ESTEEM_RECALL_H
#define ESTEEM_RECALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "esteem/config.h"
#include "esteem/key.h"

enum { RECALL_READERS = 2, RECALL_RING = 4096 };

/* A record under a row's name: a topic has one a family, Redis one. */
enum { RECALL_REDIS = 1 << 15 };

/* A row by its name: one block, its own texts in it. */
struct recalled {
    struct scope_key key;
    uint64_t hash;    /* of all that names it */
    int64_t start_ms; /* of a calendar window */
    uint16_t record;  /* bit: a family, or RECALL_REDIS */
    uint8_t window;   /* enum calendar_window */
    const char *rolling; /* a rolling window's name, by which it is found under any configuration; NULL: the row is a calendar window's */
    bool running, last; /* it stands where Redis shows the window that runs, or the last one */
    bool emptied;     /* the record has no figures: whatever was told of it before is taken back */
    char text[];
};

/* The parts of a name as they are written; none ends with a zero byte. */
struct recall_text {
    const char *at;
    size_t length;
};
struct recall_name {
    struct recall_text tenant, scope, window, start; /* start.at NULL: a rolling window's */
};

/* The row of that name, or NULL: it is not well-formed, or of a scope, dimension or window that is not configured. */
struct recalled *recalled_new(const struct config *config, const struct recall_name *name);
void recalled_free(struct recalled *row);
/* The parts of a topic's key: TENANT|SCOPE|WINDOW, TENANT|SCOPE|WINDOW|START. */
bool recall_topic_key(const char *key, size_t length, struct recall_name *name);
/* The parts of a Redis key that begins with `head` (config.redis_head), without the start, which is a field there. *last: it ends with
 * `:last`. */
bool recall_redis_key(const char *head, const char *key, size_t length, struct recall_name *name, bool *last);

struct recall;

enum recall_progress { RECALL_DONE, RECALL_WAITS, RECALL_WORKS };
struct recall_reader {
    const char *name;
    void *state;
    /* Goes on for a second at most, and hands names to recall_put. */
    enum recall_progress (*step)(void *state, struct recall *recall, int64_t now_ms);
    void (*close)(void *state);
};

/* Readers: what was told from `since_ms` on (INT64_MIN: from the beginning). Both keep `config`. */
int recall_topics_open(const struct config *config, int64_t since_ms, struct recall_reader *reader);
int recall_redis_open(const struct config *config, struct recall_reader *reader);

struct recall_setup {
    int folds, readers;
    struct recall_reader reader[RECALL_READERS]; /* closed by recall_free */
    void *context;
    bool (*ready)(void *context, int reader); /* its sink has been reached, and no older instance writes there any more; NULL: always */
};

struct recall *recall_new(const struct recall_setup *setup);
/* The thread; without it recall_step is called by hand. */
void recall_start(struct recall *recall);
/* Ends the thread, within some seconds, whether it is done or not. */
void recall_stop(struct recall *recall);
void recall_free(struct recall *recall);
/* Returns work done. */
int recall_step(struct recall *recall, int64_t now_ms);
/* Takes the row; waits for room. For readers. */
void recall_put(struct recall *recall, struct recalled *row);
/* The next one for a fold, to be freed with recalled_free, or NULL. */
struct recalled *recall_take(struct recall *recall, int fold);
/* All that the sinks hold has been handed over; what a fold takes after this was true is all there is. */
bool recall_ended(const struct recall *recall);
uint64_t recall_names(const struct recall *recall);

#endif
