/* The agents as threads, from their start to an end at which nothing is on its way any more:
 *
 *   a last checkpoint ─> shards stop reading ─> two quiet rounds of all ─> folds end, flush ─> sinks have told all ─> threads end
 *
 * Each of these is waited for so long and no longer: a thread may be in a step that never ends (a mapping's program), and whoever stops it may be
 * in a hurry. */
#include "pipeline_parts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "esteem/err.h"
#include "esteem/log.h"

enum {
    SHARD_WAIT_MS = 10,
    NAP_NS = 1000000,
    NAP_IDLE_NS = 2000000, /* of a fold or publisher with nothing on its way */
    COUNTS_EVERY_MS = 200,
    LAST_CHECKPOINT_MS = 15000,
    END_MS = 30000,        /* for a thread's last step: a silent name server takes 10 s, a broker 3 s, a slow disk some seconds */
    END_HURRIED_MS = 1000, /* the same, where nobody waits any longer */
    HELD_TEXT_MAX = 256,
};

static void nap(long ns)
{
    nanosleep(&(struct timespec){0, ns}, NULL);
}

void pipeline_nap(void)
{
    nap(NAP_NS);
}

static int stage_of(struct pipeline *pipeline)
{
    return atomic_load_explicit(&pipeline->stage, memory_order_acquire);
}

/* A step that found nothing to do is none. */
static void note_step(struct agent_posted *posted, int64_t begun_us, int64_t now_ms, int done)
{
    if (done)
        timing_note(&posted->now, timing_thread_us() - begun_us, now_ms);
}

static void *shard_thread(void *context)
{
    struct shard_agent *agent = context;
    struct pipeline *pipeline = agent->pipeline;
    int64_t counts_due_ms = 0;
    while (stage_of(pipeline) == STAGE_RUN) {
        int64_t begun_us = timing_thread_us();
        int done = shard_agent_step(agent, SHARD_WAIT_MS, false);
        int64_t now_ms = clock_monotonic_ms(&pipeline->setup.clock);
        note_step(&agent->posted, begun_us, now_ms, done);
        if (done == 0)
            pipeline_nap(); /* held up by folds that are behind it does not wait for its source */
        if (now_ms < counts_due_ms)
            continue;
        shard_agent_post_counts(agent);
        counts_due_ms = now_ms + COUNTS_EVERY_MS;
    }
    /* Drain: nothing more is read; what others hand over is still taken until all are quiet. */
    shard_stop_reading(agent->shard);
    while (stage_of(pipeline) < STAGE_FINISH) {
        (void)shard_agent_state(agent);
        int done = shard_step(agent->shard, 0, !shard_empty(agent->shard)) + !shard_empty(agent->shard);
        /* release: pipeline_stop sees this round's work with its number */
        atomic_fetch_add_explicit(&agent->work, (uint64_t)done, memory_order_relaxed);
        atomic_fetch_add_explicit(&agent->rounds, 1, memory_order_release);
        if (done == 0)
            pipeline_nap();
    }
    while (stage_of(pipeline) < STAGE_STOP) {
        (void)shard_agent_state(agent);
        shard_step(agent->shard, 0, !shard_empty(agent->shard));
        if (shard_empty(agent->shard) && shard_say_goodbye(agent->shard))
            break;
        pipeline_nap();
    }
    shard_agent_post_counts(agent);
    atomic_store_explicit(&agent->done, true, memory_order_release);
    return NULL;
}

/* What is not out yet goes out; a sink that lost rows meanwhile asks for all again by its generation. */
static void flush_fold(struct fold_agent *agent, bool all)
{
    uint64_t generation[OUTLET_MAX];
    for (int p = 0; p < agent->pipeline->setup.sinks; p++)
        generation[p] = publisher_generation(agent->outlet[p].publisher);
    fold_step(agent->fold, agent->pipeline->end_wall_ms);
    if (fold_flush(agent->fold, all) > 0)
        return;
    for (int p = 0; p < agent->pipeline->setup.sinks; p++) /* release: the rows are in the ring */
        atomic_store_explicit(&agent->flushed[p], generation[p] + 1, memory_order_release);
}

static void *fold_thread(void *context)
{
    struct fold_agent *agent = context;
    struct pipeline *pipeline = agent->pipeline;
    int goodbyes = 0;
    int64_t counts_due_ms = 0;
    while (goodbyes < pipeline->setup.shards && stage_of(pipeline) < STAGE_STOP) {
        int64_t begun_us = timing_thread_us();
        int done = fold_agent_step(agent, clock_wall_ms(&pipeline->setup.clock), &goodbyes);
        int64_t now_ms = clock_monotonic_ms(&pipeline->setup.clock);
        note_step(&agent->posted, begun_us, now_ms, done);
        if (done == 0)
            nap(NAP_IDLE_NS);
        if (now_ms < counts_due_ms)
            continue;
        fold_agent_post_counts(agent);
        counts_due_ms = now_ms + COUNTS_EVERY_MS;
    }
    while (agent->reloading)
        (void)fold_agent_reload(agent);
    fold_hear(agent->fold, true); /* every shard has said goodbye, and all was taken */
    if (pipeline->end == END_FINISH)
        fold_finish(agent->fold);
    fold_step(agent->fold, pipeline->end_wall_ms);
    fold_agent_post_counts(agent);
    atomic_store_explicit(&agent->ended, true, memory_order_release);
    for (bool all = pipeline->end != END_DRAIN; stage_of(pipeline) < STAGE_STOP; all = false) {
        flush_fold(agent, all);
        pipeline_nap();
    }
    return NULL;
}

static void *publisher_thread(void *context)
{
    struct publisher_agent *agent = context;
    struct pipeline *pipeline = agent->pipeline;
    int64_t counts_due_ms = 0;
    uint64_t steps;
    while (stage_of(pipeline) < STAGE_STOP) {
        int64_t begun_us = timing_thread_us(), now_ms = clock_monotonic_ms(&pipeline->setup.clock);
        int done = publisher_agent_step(agent, now_ms);
        note_step(&agent->posted, begun_us, now_ms, done);
        if (done == 0)
            nap(publisher_empty(&agent->publisher, &steps) ? NAP_IDLE_NS : NAP_NS);
        if (now_ms < counts_due_ms)
            continue;
        publisher_agent_post_counts(agent);
        counts_due_ms = now_ms + COUNTS_EVERY_MS;
    }
    return NULL;
}

/* Under its agent's name, as far as the system's 15 letters go. */
static void start(pthread_t *thread, const char *name, void *(*run)(void *), void *context)
{
    char letters[16];
    int failed = pthread_create(thread, NULL, run, context);
    ensure(!failed, "the machine grants a thread an agent");
    snprintf(letters, sizeof letters, "%s", name);
    (void)pthread_setname_np(*thread, letters);
}

int pipeline_start(struct pipeline *pipeline)
{
    char name[PIPELINE_NAME_MAX];
    for (int p = 0; p < pipeline->setup.sinks; p++)
        start(&pipeline->publisher[p].thread, pipeline_agent_name(pipeline, PIPELINE_PUBLISHER, p, name), publisher_thread, &pipeline->publisher[p]);
    for (int f = 0; f < pipeline->setup.folds; f++)
        start(&pipeline->fold[f].thread, pipeline_agent_name(pipeline, PIPELINE_FOLD, f, name), fold_thread, &pipeline->fold[f]);
    for (int s = 0; s < pipeline->setup.shards; s++)
        start(&pipeline->shard[s].thread, pipeline_agent_name(pipeline, PIPELINE_SHARD, s, name), shard_thread, &pipeline->shard[s]);
    if (pipeline->setup.checkpoint)
        start(&pipeline->state, "state", state_thread, pipeline);
    return 0;
}

void pipeline_wait(struct pipeline *pipeline)
{
    if (pipeline->setup.tend)
        pipeline->setup.tend(pipeline->setup.context);
    pipeline_nap();
}

bool pipeline_may_wait(struct pipeline *pipeline, int64_t until_ms)
{
    int64_t now_ms = clock_monotonic_ms(&pipeline->setup.clock);
    if (pipeline->hurried_ms == 0 && pipeline->setup.hurry && pipeline->setup.hurry(pipeline->setup.context))
        pipeline->hurried_ms = now_ms;
    return now_ms < until_ms && pipeline->hurried_ms == 0;
}

/* Two whole rounds of every shard without any work: nothing is on its way between them. */
static void wait_until_quiet(struct pipeline *pipeline, int64_t until_ms)
{
    uint64_t rounds[SHARD_MAX] = {0}, work = UINT64_MAX;
    for (;;) {
        bool again = true;
        uint64_t now = 0;
        for (int s = 0; s < pipeline->setup.shards; s++) {
            again &= atomic_load_explicit(&pipeline->shard[s].rounds, memory_order_acquire) >= rounds[s] + 2;
            now += atomic_load_explicit(&pipeline->shard[s].work, memory_order_relaxed);
        }
        if ((again && now == work) || !pipeline_may_wait(pipeline, until_ms))
            return;
        if (again || now != work)
            for (int s = 0; s < pipeline->setup.shards; s++)
                rounds[s] = atomic_load_explicit(&pipeline->shard[s].rounds, memory_order_acquire);
        work = now;
        pipeline_wait(pipeline);
    }
}

/* Also without any sink: the folds have all that the shards had. */
static bool folds_ended(struct pipeline *pipeline)
{
    for (int f = 0; f < pipeline->setup.folds; f++)
        if (!atomic_load_explicit(&pipeline->fold[f].ended, memory_order_acquire))
            return false;
    return true;
}

/* Every fold has handed out all there is, in the generation that the sink is in; and since then the publisher has made a whole step that
 * ended with nothing left. */
static bool sink_done(struct pipeline *pipeline, struct publisher_agent *agent)
{
    uint64_t steps;
    int p = (int)(agent - pipeline->publisher);
    bool empty = publisher_empty(&agent->publisher, &steps);
    uint64_t generation = publisher_generation(&agent->publisher);
    bool flushed = true;
    for (int f = 0; f < pipeline->setup.folds; f++)
        flushed &= atomic_load_explicit(&pipeline->fold[f].flushed[p], memory_order_acquire) == generation + 1;
    if (!flushed)
        agent->whole_step = 0;
    else if (agent->whole_step == 0)
        agent->whole_step = steps + 2; /* the one under way may have begun before */
    return flushed && empty && steps >= agent->whole_step;
}

static bool all_done(struct pipeline *pipeline)
{
    bool done = folds_ended(pipeline);
    for (int p = 0; p < pipeline->setup.sinks; p++)
        done &= sink_done(pipeline, &pipeline->publisher[p]);
    return done;
}

/* ---- the end of the threads ---- */

/* False: the thread does not come to its end in time. */
static bool join(struct pipeline *pipeline, pthread_t thread, int64_t until_ms)
{
    while (pthread_tryjoin_np(thread, NULL) == EBUSY) {
        bool patient = pipeline_may_wait(pipeline, until_ms);
        if (!patient && (pipeline->hurried_ms == 0 || clock_monotonic_ms(&pipeline->setup.clock) >= pipeline->hurried_ms + END_HURRIED_MS))
            return false;
        pipeline_wait(pipeline);
    }
    return true;
}

static void note_held(char held[HELD_TEXT_MAX], const char *name)
{
    size_t used = strlen(held);
    snprintf(held + used, HELD_TEXT_MAX - used, "%s%s", used ? ", " : "", name);
}

/* False: `held` names those that have not come to their end. */
static bool join_all(struct pipeline *pipeline, char held[HELD_TEXT_MAX])
{
    int64_t until_ms = clock_monotonic_ms(&pipeline->setup.clock) + END_MS;
    char name[PIPELINE_NAME_MAX];
    *held = '\0';
    for (int s = 0; s < pipeline->setup.shards; s++)
        if (!join(pipeline, pipeline->shard[s].thread, until_ms))
            note_held(held, pipeline_agent_name(pipeline, PIPELINE_SHARD, s, name));
    for (int f = 0; f < pipeline->setup.folds; f++)
        if (!join(pipeline, pipeline->fold[f].thread, until_ms))
            note_held(held, pipeline_agent_name(pipeline, PIPELINE_FOLD, f, name));
    for (int p = 0; p < pipeline->setup.sinks; p++)
        if (!join(pipeline, pipeline->publisher[p].thread, until_ms))
            note_held(held, pipeline_agent_name(pipeline, PIPELINE_PUBLISHER, p, name));
    if (pipeline->setup.checkpoint && !join(pipeline, pipeline->state, until_ms))
        note_held(held, "state");
    return *held == '\0';
}

int pipeline_stop(struct pipeline *pipeline, enum pipeline_end end, int64_t within_ms)
{
    int64_t until_ms = clock_monotonic_ms(&pipeline->setup.clock) + within_ms;
    if (pipeline->setup.checkpoint)
        checkpoint_end(pipeline->setup.checkpoint);
    if (within_ms > 0 && !pipeline_checkpoint(pipeline, within_ms < LAST_CHECKPOINT_MS ? within_ms : LAST_CHECKPOINT_MS))
        log_warn("checkpoint.late", "no last checkpoint could be made; the next start reads on from the one before");
    pipeline->end = end;
    pipeline->end_wall_ms = clock_wall_ms(&pipeline->setup.clock) + 1000; /* no fold has stepped beyond it */
    atomic_store_explicit(&pipeline->stage, STAGE_DRAIN, memory_order_release);
    wait_until_quiet(pipeline, until_ms);
    atomic_store_explicit(&pipeline->stage, STAGE_FINISH, memory_order_release);
    while (!all_done(pipeline) && pipeline_may_wait(pipeline, until_ms))
        pipeline_wait(pipeline);
    bool whole = all_done(pipeline);
    atomic_store_explicit(&pipeline->stage, STAGE_STOP, memory_order_release);
    atomic_store_explicit(&pipeline->state_stop, true, memory_order_relaxed);
    char held[HELD_TEXT_MAX];
    if (!join_all(pipeline, held))
        return err_set(ERR_HELD_UP, "not ended: %s; of a shard, a mapping's program may be one that never ends: mend it. The process ends without; the next"
                       " start reads on from the last checkpoint", held);
    if (!whole && pipeline->hurried_ms)
        return err_set(ERR_IO, "not everything is published: another signal has ended it at once; start again to catch up");
    return whole ? 0 : err_set(ERR_IO, "not everything could be published within %lld s: Redis or the broker is away, or limits.interactions holds"
                               " the sources up; start again to catch up, and raise publish.drain where there is more to tell", (long long)(within_ms / 1000));
}
