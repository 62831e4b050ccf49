/* folding: a fold with a hand-set clock, one or more shards played by the test, and an outlet that keeps the newest row of each
 * (window, scope, start). */
#ifndef ESTEEM_TEST_FOLDING_H
#define ESTEEM_TEST_FOLDING_H

#include "esteem/window.h"

struct shown {
    char window[16], scope[64], tenant[16];
    int64_t start_ms, end_ms, since_ms, offered, handled, active, handling, eligible, away_ms;
    uint32_t revision;
    bool final, partial, rolling, last, running, inexact;
    uint64_t times; /* how often it was shown */
    struct metric_across across;
    double baseline; /* of its first metric; NAN: none */
};

struct told {
    struct row_alert alert;
    char scope[64], goal[64];
    int64_t start_ms;
};

struct folding {
    struct config *config;
    struct fold *fold;
    struct key_registry *registry; /* limits.keys, for keys that only a sink knows */
    int shards;
    struct batch *batch; /* what shard 0 has for the next tick */
    int64_t clock_ms, watermark_ms; /* the hands */
    bool idle;
    bool full;           /* the outlet takes nothing */
    uint64_t rows_a_tick, left; /* it takes no more; 0: any number */
    uint64_t generation, rows;
    struct shown shown[4096];
    int count;
    uint64_t key[2048]; /* hashes of the keys that the fold was told */
    uint32_t keys;
    struct told alert[64]; /* in the order in which they were told */
    int alerts;
};

void folding_begin(struct folding *folding, const char *yaml, int shards);
void folding_end(struct folding *folding);
/* Another configuration, to the end of the reload. */
void folding_reload(struct folding *folding, const char *yaml);

/* `n` offered contacts of a queue (NULL: the tenant's own key, []) of tenant "acme". */
void folding_feed(struct folding *folding, const char *queue, int64_t at_ms, int64_t n);
/* `n` of a measure of an agent within the queue's key, and in the queue's key. */
void folding_feed_agent(struct folding *folding, const char *queue, const char *agent, enum measure measure, int64_t at_ms, int64_t n);
/* The same to the whole tenant and to a queue, in one bundle. */
void folding_feed_bundle(struct folding *folding, const char *queue, const char *agent, enum measure measure, int64_t at_ms, int64_t n);
/* A key of the dimensions given (NULL: without), `n` offered. */
void folding_feed_place(struct folding *folding, const char *team, const char *agent, int64_t at_ms, int64_t n);
/* A change of the roster; `team` NULL: a removal. */
void folding_roster(struct folding *folding, const char *agent, const char *team, int64_t at_ms);
/* Any integers of a queue and a channel, either of which may be NULL. */
void folding_put(struct folding *folding, const char *queue, const char *channel, int64_t at_ms, const struct tally_run *run);
/* Hands the batch over and steps once. The watermark goes with it. */
void folding_tick(struct folding *folding, int64_t clock_ms);
/* Steps until nothing is due any more, moving the clock by a minute at most. */
void folding_settle(struct folding *folding);

/* The newest row; NULL when none was shown. start_ms -1: the latest start. */
const struct shown *folding_row(const struct folding *folding, const char *window, const char *scope, int64_t start_ms);

#endif
