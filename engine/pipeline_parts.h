/* pipeline_parts: what pipeline.c and the pipeline_*.c files share, and nobody else. */
#ifndef ESTEEM_PIPELINE_PARTS_H
#define ESTEEM_PIPELINE_PARTS_H

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "esteem/pipeline.h"
#include "esteem/publisher.h"
#include "esteem/ring.h"
#include "esteem/row.h"

enum stage { STAGE_RUN, STAGE_DRAIN, STAGE_FINISH, STAGE_STOP };

/* Copies for others to read, made by the agent some times a second; pipeline_counts.c. */
struct agent_posted {
    pthread_mutex_t lock; /* protects all but `now` */
    struct timing now;    /* its steps; the agent's own */
    struct timing step;
    int64_t posted_ms;    /* monotonic; 0: not yet */
};

struct shard_agent {
    struct pipeline *pipeline;
    struct shard *shard;
    struct ring *to_fold;  /* one a fold */
    struct ring *to_shard; /* one a shard; its own is not used */
    const struct config *config; /* the one it works under */
    _Atomic uint64_t adopted;    /* its serial */
    _Atomic(struct mapping **) mapping; /* to be taken over with the next configuration; NULL: those that it has stay */
    pthread_t thread;
    _Atomic uint64_t rounds, work; /* draining: steps taken, and work done in them */
    _Atomic bool done;  /* has said goodbye */
    struct agent_posted posted;
    struct shard_counts counts;  /* copies, under posted.lock */
    uint64_t epoch, lasting; /* of the checkpoints it has seen */
    uint64_t erasing;        /* the last pass of erasing that it has begun */
    bool erased;             /* has told the main thread that it is over */
};

/* From one fold to one publisher. */
struct outlet_context {
    struct fold_agent *agent;
    struct ring *ring;
    struct publisher *publisher;
};

struct fold_agent {
    struct pipeline *pipeline;
    struct fold *fold;
    int index;
    struct outlet_context outlet[OUTLET_MAX];
    const struct config *config;
    _Atomic uint64_t adopted;             /* its serial */
    bool reloading;                       /* it stands still for another list of windows */
    uint64_t dumped;                      /* pass of dumping that it has done */
    pthread_t thread;
    _Atomic bool recalled;                /* what the sinks held and the feed does not make is made, empty */
    _Atomic bool ended;                   /* has all that the shards had */
    _Atomic uint64_t flushed[OUTLET_MAX]; /* ending: generation + 1 of the outlet when nothing was left to hand out */
    struct agent_posted posted;
    struct fold_counts counts;
    uint64_t barrier;            /* waits for this one from all shards; 0: none */
    bool arrived[SHARD_MAX];     /* a shard's barrier is here: what follows it stays in its ring */
    struct slice_out out;
};

struct publisher_agent {
    struct pipeline *pipeline;
    struct publisher publisher;
    const struct config *config;
    _Atomic uint64_t adopted; /* its serial */
    pthread_t thread;
    struct agent_posted posted;
    struct timing publish;
    uint64_t whole_step; /* ending: a step of this number has begun after all was flushed; 0: not yet. Main's */
};

/* The rows of a key that somebody asked for, of all folds, and as JSON. */
struct pipeline_dump {
    char tenant[STRING_MAX + 1], scope[ROW_SCOPE_MAX];
    _Atomic uint64_t pass; /* main raises it when what is asked is written */
    _Atomic int waits;     /* folds that are at work at it */
    bool at_work, cut;
    pthread_mutex_t lock;  /* protects the rows while the folds hand them out; then they are main's */
    struct row **row;
    size_t count, done;    /* done: lines are made of them, and they are freed */
    char *text;
    size_t length, room;
};

struct pipeline {
    struct {
        char tenant[STRING_MAX + 1];
        uint64_t customer, count[2];
        _Atomic uint64_t pass;   /* number of the pass that is under way or was last: main raises it when all of that is written */
        _Atomic uint64_t waits, counted; /* shards that are at work at it; what they erased */
        bool at_work;
    } erase;
    struct pipeline_setup setup;
    struct pipeline_dump dump;
    _Atomic int64_t longest_us; /* any agent's step into the newest configuration */
    struct config **reloaded; /* configurations taken over and not freed yet, the newest last */
    int reloads;
    _Atomic(const struct config *) config;
    struct shard_clocks clocks;
    struct key_registry *registry;
    struct shard_agent *shard;
    struct fold_agent *fold;
    struct publisher_agent *publisher;
    _Atomic int stage; /* of the shards; folds and publishers follow when those before them are done */
    enum pipeline_end end; /* set before STAGE_DRAIN */
    int64_t end_wall_ms;   /* likewise: the one instant at which all folds end */
    int64_t hurried_ms;    /* since when nobody is waited for any longer; monotonic, 0: not yet. Main's */
    pthread_t state;       /* makes checkpoints, when there are any */
    _Atomic bool state_stop;
    struct shard_input *restored; /* all partitions that the checkpoint names */
    int restored_count;
    struct recall *recall; /* NULL: the sinks are not asked what they hold */
    int64_t told_since_ms; /* of that checkpoint; INT64_MIN: there is none */
};

/* ---- pipeline.c ---- */

/* One step of an agent; *goodbyes counts the shards that have said that nothing follows. Return work done. */
int shard_agent_step(struct shard_agent *agent, int wait_ms, bool flush);
int fold_agent_step(struct fold_agent *agent, int64_t clock_ms, int *goodbyes);
/* Begins to work under the newest configuration, if it does not yet, or goes on with that. True: the fold stands still for it. */
bool fold_agent_reload(struct fold_agent *agent);
int publisher_agent_step(struct publisher_agent *agent, int64_t now_ms);

/* ---- pipeline_control.c ---- */

/* Microseconds of the clock that only rises. */
static inline int64_t pipeline_us(struct pipeline *pipeline)
{
    (void)pipeline;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}
/* The agent works under this configuration now, and has let go of the one before; the step began at begun_us. */
bool pipeline_folds_adopted(const struct pipeline *pipeline, uint64_t serial);
void pipeline_reload_took(struct pipeline *pipeline, int64_t begun_us);
void pipeline_adopted_by(struct pipeline *pipeline, _Atomic uint64_t *adopted, const struct config *config, int64_t begun_us);
/* Hands out the rows that were asked for, if any were. */
void fold_agent_dump(struct fold_agent *agent);
/* Frees what nobody has taken. */
void pipeline_dump_drop(struct pipeline_dump *dump);

/* ---- pipeline_threads.c ---- */

void pipeline_nap(void);
/* The caller of pipeline_stop waits a little. */
void pipeline_wait(struct pipeline *pipeline);
/* Whether it may go on waiting: it is not that late yet, and nobody is in a hurry. */
bool pipeline_may_wait(struct pipeline *pipeline, int64_t until_ms);

/* ---- pipeline_counts.c ---- */

void shard_agent_post_counts(struct shard_agent *agent);
void fold_agent_post_counts(struct fold_agent *agent);
void publisher_agent_post_counts(struct publisher_agent *agent);

/* ---- pipeline_state.c ---- */

/* Each agent looks whether a checkpoint is wanted, and hands on what it has written of it. Returns work done. */
int shard_agent_state(struct shard_agent *agent);
int fold_agent_state(struct fold_agent *agent);
/* A batch of shard s has been applied. */
void fold_agent_barrier(struct fold_agent *agent, int s, uint64_t barrier);
void *state_thread(void *pipeline);

#endif
