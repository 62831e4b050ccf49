/* run_parts: what run.c and the run_*.c files share, and nobody else. Runs on: main, but for what says otherwise. */
#ifndef ESTEEM_RUN_PARTS_H
#define ESTEEM_RUN_PARTS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "esteem/checkpoint.h"
#include "esteem/clock.h"
#include "esteem/control.h"
#include "esteem/deadletter.h"
#include "esteem/memory.h"
#include "esteem/pipeline.h"
#include "esteem/plan.h"
#include "esteem/recall.h"
#include "esteem/run.h"

enum { SCOPE_LISTS_SEEN_MAX = 128 /* different lists of scopes in one life: what was counted under them stays known (combine.c) */ };

/* How a file looked when it was last read; all 0: it is not watched, or not there. */
struct file_look {
    int64_t modified_s, modified_ns, bytes;
    uint64_t inode;
};

/* Programs of the topics, compiled for each shard. */
struct run_mappings {
    struct mapping **shard[SHARD_MAX]; /* CONFIG_TOPIC_MAX of them; NULL: those that it has stay */
};

struct reloading {
    const char *path;            /* of the configuration; NULL: there is none to read again (the demo) */
    struct plan plan;            /* of the last one that took effect: what still needs a restart */
    bool under_way;              /* not every agent has taken it over */
    bool signalled;              /* to be read once the files stand */
    int64_t begun_ms;            /* of the newest, monotonic; 0: none */
    struct control_client *asked; /* waits for it; NULL: nobody */
    char *answer;
    size_t answer_length;
    uint64_t done, refused, unchanged;
    int64_t longest_us;          /* any agent's step into a new configuration, of all reloads */
    struct file_look file, roster;
    uint64_t mappings, mappings_tried; /* their folder as it looked when the programs in force were compiled; when somebody looked last */
    struct file_look file_before, roster_before; /* as they looked a moment ago */
    uint64_t mappings_before;
    int64_t look_ms;             /* when they were looked at; monotonic */
    uint64_t scopes_seen[SCOPE_LISTS_SEEN_MAX]; /* hashes */
    int scopes_count;
};

struct run {
    const struct config *config;                /* of the start */
    _Atomic(const struct config *) live_config; /* the one that counts now */
    const struct run_span *span; /* NULL: the whole feed */
    int spans;
    struct pipeline *pipeline;
    struct source source[SHARD_MAX];
    int shards, folds;
    struct sink redis, topics;
    bool redis_open, topics_open;
    struct deadletter *deadletter;
    struct steady_clock steady;
    struct clock clock;
    int64_t started_ms;     /* monotonic */
    struct checkpoint *checkpoint;
    int settle_tries;       /* state thread */
    enum memory_state memory;
    int64_t memory_due_ms;  /* when it is looked at again; monotonic */
    struct control *control;
    struct control_client *forgets; /* waits for a customer to be erased */
    struct control_client *saves;   /* waits for a checkpoint */
    uint64_t saves_epoch;
    struct control_client *dumps;   /* waits for the rows of a key */
    bool paused;
    struct reloading reloading;
    struct recall *recall;
    int recall_sink[RECALL_READERS]; /* each reader's */
    struct http *http; /* NULL: http.listen is empty */
    pthread_t answerer;     /* answers it while the state is restored */
    bool answering, restored;
    _Atomic bool answerer_ends;
    bool recalled;          /* it is told that recall is done */
    int signals_left;       /* stopping: signals that may still come before it is to be at once */
    int64_t signalled_ms;   /* when the last one came */
    int64_t ended_ms;       /* --until-end: since when all inputs are at their end; 0: they are not */
    _Atomic bool hold_letters; /* a checkpoint waits until all dead letters are delivered */
};

static inline const struct config *run_config(struct run *run)
{
    return atomic_load_explicit(&run->live_config, memory_order_relaxed); /* relaxed: main itself stores it */
}

/* ---- run_reload.c ---- */

void run_reload_open(struct run *run, const char *path);
void run_reload_close(struct run *run);
/* Reads the file again. `client`: NULL, or who is told, when it is in force; `dry`: nothing changes. */
void run_reload(struct run *run, struct control_client *client, bool dry);
/* The same, once the files stand: a look twice a second finds them unchanged. */
void run_reload_signalled(struct run *run);
/* Tells that a reload is done; looks at the files after a signal, and with reload.watch. */
void run_reload_step(struct run *run);

/* ---- run_mappings.c ---- */

/* A number that changes with the folder's programs; 0: no topic has one. */
uint64_t run_mappings_look(const struct config *config);
/* ERR_MAPPING: the trail names the file and says what jq says. */
int run_mappings_compile(struct run *run, const struct config *config, struct run_mappings *mappings);
/* To the shards, before the configuration. */
void run_mappings_hand_over(struct run *run, struct run_mappings *mappings);
void run_mappings_free(struct run_mappings *mappings);

/* ---- run_control.c ---- */

int run_control_open(struct run *run);
void run_control_step(struct run *run);

/* ---- run_observe.c ---- */

/* Listens, and answers by a thread of its own that the state is being restored; then, once it is, by main. */
int run_observe_open(struct run *run);
void run_observe_restored(struct run *run);

#endif
