/* Who talks to whom:
 *
 *   source ─> shard s ──to_fold[s][f]──> fold f ──publisher[p].ring[f]──> publisher p ─> sink
 *                └──to_shard[s][t]──> shard t
 *
 * Every arrow is a ring with one writer and one reader. Agents share nothing else but shard_clocks (atomics), the key registry
 * (a mutex, once a new key) and the configuration (read-only; swapped by each agent at its own step). */
#include "esteem/pipeline.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "esteem/err.h"
#include "esteem/log.h"
#include "esteem/publisher.h"
#include "esteem/ring.h"

enum { FOLD_RING = 256, SHARD_RING = 4096, SHARD_WAIT_MS = 10, NAP_NS = 1000000, COUNTS_EVERY_MS = 200,
       ROUNDS_MOST = 4096 /* batches a fold takes before it looks at the clock */ };

enum stage { STAGE_RUN, STAGE_DRAIN, STAGE_FINISH, STAGE_STOP };

struct shard_agent {
    struct pipeline *pipeline;
    struct shard *shard;
    struct ring *to_fold;  /* one a fold */
    struct ring *to_shard; /* one a shard; its own is not used */
    int next_inbound;
    const struct config *config; /* the one it works under */
    pthread_t thread;
    _Atomic uint64_t rounds, work; /* draining: steps taken, and work done in them */
    _Atomic bool done;  /* has said goodbye */
    pthread_mutex_t counts_lock; /* protects counts */
    struct shard_counts counts;
};

/* From one fold to one publisher. */
struct outlet_context {
    struct ring *ring;
    struct publisher *publisher;
};

struct fold_agent {
    struct pipeline *pipeline;
    struct fold *fold;
    int index;
    struct outlet_context outlet[OUTLET_MAX];
    const struct config *config;
    pthread_t thread;
    _Atomic bool done;
    pthread_mutex_t counts_lock;
    struct fold_counts counts;
};

struct publisher_agent {
    struct pipeline *pipeline;
    struct publisher publisher;
    pthread_t thread;
    _Atomic bool done;
};

struct pipeline {
    struct pipeline_setup setup;
    struct config **reloaded; /* configurations taken over, the newest last; freed at the end */
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
};

/* ---- the shards' arrows ---- */

static bool to_fold(void *context, int fold, struct batch *batch)
{
    struct shard_agent *agent = context;
    return ring_push_spsc(&agent->to_fold[fold], batch);
}

static bool to_shard(void *context, int shard, void *parcel)
{
    struct shard_agent *agent = context;
    return ring_push_spsc(&agent->to_shard[shard], parcel);
}

static void *from_shards(void *context)
{
    struct shard_agent *agent = context;
    struct pipeline *pipeline = agent->pipeline;
    int self = (int)(agent - pipeline->shard);
    for (int i = 0; i < pipeline->setup.shards; i++) {
        int from = agent->next_inbound = (agent->next_inbound + 1) % pipeline->setup.shards;
        void *parcel = from == self ? NULL : ring_pop_spsc(&pipeline->shard[from].to_shard[self]);
        if (parcel)
            return parcel;
    }
    return NULL;
}

static bool dead_letter(void *context, const struct refused *refused)
{
    struct shard_agent *agent = context;
    const struct pipeline_setup *setup = &agent->pipeline->setup;
    return setup->dead_letter == NULL || setup->dead_letter(setup->context, refused);
}

/* ---- the folds' arrows ---- */

static bool outlet_put(void *context, struct row *row)
{
    struct outlet_context *outlet = context;
    return ring_push_spsc(outlet->ring, row);
}

static uint64_t outlet_generation(void *context)
{
    struct outlet_context *outlet = context;
    return atomic_load_explicit(&outlet->publisher->generation, memory_order_acquire);
}

/* ---- building ---- */

static struct ring *rings_new(int count, uint32_t capacity)
{
    struct ring *ring = aligned_alloc(64, (size_t)count * sizeof *ring);
    ensure(ring != NULL, "the machine has memory left");
    for (int i = 0; i < count; i++)
        ring_init(&ring[i], capacity);
    return ring;
}

static int64_t gcd(int64_t a, int64_t b)
{
    return b ? gcd(b, a % b) : a;
}

/* Panes of a second; the batch command's --at may fall between two seconds, then finer, so that an edge never cuts a pane. */
static int64_t pane_ms(const struct pipeline_setup *setup)
{
    return setup->batch && setup->at_ms != INT64_MIN ? gcd(1000, ((setup->at_ms % 1000) + 1000) % 1000) : 1000;
}

static int build_shard(struct pipeline *pipeline, const struct config *config, int s)
{
    const struct pipeline_setup *setup = &pipeline->setup;
    struct shard_agent *agent = &pipeline->shard[s];
    agent->pipeline = pipeline;
    agent->config = config;
    pthread_mutex_init(&agent->counts_lock, NULL);
    agent->to_fold = rings_new(setup->folds, FOLD_RING);
    agent->to_shard = rings_new(setup->shards, SHARD_RING);
    struct shard_setup to = {.index = s, .shards = setup->shards, .folds = setup->folds, .batch = setup->batch,
                             .route = setup->route, .pane_ms = pane_ms(setup), .clock = setup->clock, .source = setup->source[s],
                             .clocks = &pipeline->clocks, .registry = pipeline->registry, .context = agent, .to_fold = to_fold,
                             .to_shard = to_shard, .from_shards = from_shards, .dead_letter = dead_letter};
    return shard_new(config, &to, &agent->shard);
}


static int build_fold(struct pipeline *pipeline, const struct config *config, int f)
{
    const struct pipeline_setup *setup = &pipeline->setup;
    struct fold_agent *agent = &pipeline->fold[f];
    agent->pipeline = pipeline;
    agent->index = f;
    agent->config = config;
    pthread_mutex_init(&agent->counts_lock, NULL);
    struct fold_setup to = {.shards = setup->shards, .batch = setup->batch, .at_ms = setup->at_ms, .pane_ms = pane_ms(setup),
                            .outlets = setup->sinks, .folds = setup->folds};
    for (int p = 0; p < setup->sinks; p++) {
        struct outlet_context *outlet = &pipeline->fold[f].outlet[p];
        *outlet = (struct outlet_context){&pipeline->publisher[p].publisher.ring[f], &pipeline->publisher[p].publisher};
        to.outlet[p] = (struct outlet){.context = outlet, .put = outlet_put, .generation = outlet_generation,
                                       .rolling_least_ms = setup->rolling_least_ms[p]};
    }
    return fold_new(config, &to, &agent->fold);
}

int pipeline_new(const struct config *config, const struct pipeline_setup *setup, struct pipeline **out)
{
    struct pipeline *pipeline = calloc(1, sizeof *pipeline);
    ensure(pipeline != NULL, "the machine has memory left");
    pipeline->setup = *setup;
    atomic_init(&pipeline->config, config);
    pipeline->clocks.count = setup->shards;
    for (int s = 0; s < setup->shards; s++)
        atomic_init(&pipeline->clocks.watermark_ms[s], INT64_MIN);
    pipeline->registry = setup->batch ? NULL : key_registry_new((uint64_t)config->limit_keys);
    pipeline->shard = calloc((size_t)setup->shards, sizeof *pipeline->shard);
    pipeline->fold = calloc((size_t)setup->folds, sizeof *pipeline->fold);
    pipeline->publisher = calloc(OUTLET_MAX, sizeof *pipeline->publisher);
    ensure(pipeline->shard && pipeline->fold && pipeline->publisher, "the machine has memory left");
    int result = 0;
    for (int p = 0; p < setup->sinks; p++) {
        pipeline->publisher[p].pipeline = pipeline;
        publisher_init(&pipeline->publisher[p].publisher, &setup->sink[p], setup->folds);
    }
    for (int f = 0; f < setup->folds && result == 0; f++)
        result = build_fold(pipeline, config, f);
    for (int s = 0; s < setup->shards && result == 0; s++)
        result = build_shard(pipeline, config, s);
    if (result != 0) {
        pipeline_free(pipeline);
        return result;
    }
    *out = pipeline;
    return 0;
}

static void rings_free(struct ring *ring, int count, void (*each)(void *item))
{
    for (int i = 0; ring && i < count; i++) {
        for (void *item; (item = ring_pop_spsc(&ring[i])) != NULL;)
            each(item);
        ring_close(&ring[i]);
    }
    free(ring);
}

static void free_batch(void *batch)
{
    batch_free(batch);
}

void pipeline_free(struct pipeline *pipeline)
{
    if (pipeline == NULL)
        return;
    for (int s = 0; s < pipeline->setup.shards; s++) {
        struct shard_agent *agent = &pipeline->shard[s];
        shard_free(agent->shard);
        rings_free(agent->to_fold, pipeline->setup.folds, free_batch);
        rings_free(agent->to_shard, pipeline->setup.shards, shard_parcel_free);
    }
    for (int f = 0; f < pipeline->setup.folds; f++)
        fold_free(pipeline->fold[f].fold);
    for (int p = 0; p < pipeline->setup.sinks; p++)
        publisher_close(&pipeline->publisher[p].publisher);
    free(pipeline->shard);
    free(pipeline->fold);
    free(pipeline->publisher);
    key_registry_free(pipeline->registry);
    for (int i = 0; i < pipeline->reloads; i++)
        config_free(pipeline->reloaded[i]);
    free(pipeline->reloaded);
    free(pipeline);
}

/* ---- one step of each agent ---- */

static int shard_agent_step(struct shard_agent *agent, int wait_ms, bool flush)
{
    /* acquire: the configuration was written before it was stored */
    const struct config *config = atomic_load_explicit(&agent->pipeline->config, memory_order_acquire);
    if (config != agent->config) {
        shard_reload(agent->shard, config);
        agent->config = config;
    }
    return shard_step(agent->shard, wait_ms, flush);
}

static int fold_agent_step(struct fold_agent *agent, int64_t clock_ms, int *goodbyes)
{
    struct pipeline *pipeline = agent->pipeline;
    const struct config *config = atomic_load_explicit(&pipeline->config, memory_order_acquire);
    if (config != agent->config) {
        fold_reload(agent->fold, config);
        agent->config = config;
    }
    int done = 0, round;
    do { /* until a whole round finds nothing: a watermark must not be acted on before batches that were sent before it */
        round = 0;
        for (int s = 0; s < pipeline->setup.shards; s++)
            for (struct batch *batch; (batch = ring_pop_spsc(&pipeline->shard[s].to_fold[agent->index])) != NULL; round++) {
                fold_apply(agent->fold, batch);
                *goodbyes += batch->drained;
                batch_free(batch);
            }
        done += round;
    } while (round && done < ROUNDS_MOST);
    if (pipeline->setup.batch)
        return done;
    return done + fold_step(agent->fold, clock_ms);
}

/* ---- in one thread ---- */

int pipeline_step(struct pipeline *pipeline)
{
    int done = 0, goodbyes = 0;
    int64_t wall_ms = clock_wall_ms(&pipeline->setup.clock), monotonic_ms = clock_monotonic_ms(&pipeline->setup.clock);
    for (int s = 0; s < pipeline->setup.shards; s++)
        done += shard_agent_step(&pipeline->shard[s], 0, false);
    for (int f = 0; f < pipeline->setup.folds; f++)
        done += fold_agent_step(&pipeline->fold[f], wall_ms, &goodbyes);
    for (int p = 0; p < pipeline->setup.sinks; p++)
        done += publisher_step(&pipeline->publisher[p].publisher, monotonic_ms);
    return done;
}

void pipeline_run_batch(struct pipeline *pipeline)
{
    bool ended = false;
    while (!ended) {
        int done = pipeline_step(pipeline);
        ended = done == 0;
        for (int s = 0; s < pipeline->setup.shards && ended; s++) {
            const struct source *source = &pipeline->setup.source[s];
            for (int i = 0; source->poll && i < source->inputs(source->state) && ended; i++)
                ended = source->at_end(source->state, i);
        }
    }
    for (int s = 0; s < pipeline->setup.shards; s++)
        shard_step(pipeline->shard[s].shard, 0, true);
    while (pipeline_step(pipeline) > 0)
        ;
}

void pipeline_rows(struct pipeline *pipeline, fold_each *each, void *context)
{
    for (int f = 0; f < pipeline->setup.folds; f++)
        fold_rows(pipeline->fold[f].fold, each, context);
}

/* ---- threads ---- */

static void nap(void)
{
    nanosleep(&(struct timespec){0, NAP_NS}, NULL);
}

static int stage_of(struct pipeline *pipeline)
{
    return atomic_load_explicit(&pipeline->stage, memory_order_acquire);
}

static void post_shard_counts(struct shard_agent *agent)
{
    struct shard_counts counts = shard_counts(agent->shard);
    pthread_mutex_lock(&agent->counts_lock);
    agent->counts = counts;
    pthread_mutex_unlock(&agent->counts_lock);
}

static void post_fold_counts(struct fold_agent *agent)
{
    struct fold_counts counts = fold_counts(agent->fold);
    pthread_mutex_lock(&agent->counts_lock);
    agent->counts = counts;
    pthread_mutex_unlock(&agent->counts_lock);
}

static void *shard_thread(void *context)
{
    struct shard_agent *agent = context;
    struct pipeline *pipeline = agent->pipeline;
    int64_t counts_due_ms = 0;
    while (stage_of(pipeline) == STAGE_RUN) {
        shard_agent_step(agent, SHARD_WAIT_MS, false);
        int64_t now_ms = clock_monotonic_ms(&pipeline->setup.clock);
        if (now_ms < counts_due_ms)
            continue;
        post_shard_counts(agent);
        counts_due_ms = now_ms + COUNTS_EVERY_MS;
    }
    /* Drain: nothing more is read; what others hand over is still taken until all are quiet. */
    shard_stop_reading(agent->shard);
    while (stage_of(pipeline) < STAGE_FINISH) {
        int done = shard_step(agent->shard, 0, !shard_empty(agent->shard)) + !shard_empty(agent->shard);
        /* release: pipeline_stop sees this round's work with its number */
        atomic_fetch_add_explicit(&agent->work, (uint64_t)done, memory_order_relaxed);
        atomic_fetch_add_explicit(&agent->rounds, 1, memory_order_release);
        if (done == 0)
            nap();
    }
    while (stage_of(pipeline) < STAGE_STOP) {
        shard_step(agent->shard, 0, !shard_empty(agent->shard));
        if (shard_empty(agent->shard) && shard_say_goodbye(agent->shard))
            break;
        nap();
    }
    post_shard_counts(agent);
    atomic_store_explicit(&agent->done, true, memory_order_release);
    return NULL;
}

static void *fold_thread(void *context)
{
    struct fold_agent *agent = context;
    struct pipeline *pipeline = agent->pipeline;
    int goodbyes = 0;
    int64_t counts_due_ms = 0;
    while (goodbyes < pipeline->setup.shards && stage_of(pipeline) < STAGE_STOP) {
        if (fold_agent_step(agent, clock_wall_ms(&pipeline->setup.clock), &goodbyes) == 0)
            nap();
        int64_t now_ms = clock_monotonic_ms(&pipeline->setup.clock);
        if (now_ms < counts_due_ms)
            continue;
        post_fold_counts(agent);
        counts_due_ms = now_ms + COUNTS_EVERY_MS;
    }
    if (pipeline->end == END_FINISH)
        fold_finish(agent->fold);
    fold_step(agent->fold, pipeline->end_wall_ms);
    for (bool all = pipeline->end != END_DRAIN; fold_flush(agent->fold, all) > 0 && stage_of(pipeline) < STAGE_STOP; all = false)
        nap();
    post_fold_counts(agent);
    atomic_store_explicit(&agent->done, true, memory_order_release);
    return NULL;
}

static bool folds_done(struct pipeline *pipeline)
{
    for (int f = 0; f < pipeline->setup.folds; f++)
        if (!atomic_load_explicit(&pipeline->fold[f].done, memory_order_acquire))
            return false;
    return true;
}

static void *publisher_thread(void *context)
{
    struct publisher_agent *agent = context;
    struct pipeline *pipeline = agent->pipeline;
    for (;;) {
        bool last = folds_done(pipeline);
        if (publisher_step(&agent->publisher, clock_monotonic_ms(&pipeline->setup.clock)) > 0)
            continue;
        if ((last && publisher_empty(&agent->publisher)) || stage_of(pipeline) == STAGE_STOP)
            break;
        nap();
    }
    atomic_store_explicit(&agent->done, true, memory_order_release);
    return NULL;
}

int pipeline_start(struct pipeline *pipeline)
{
    int failed = 0;
    for (int p = 0; p < pipeline->setup.sinks; p++)
        failed |= pthread_create(&pipeline->publisher[p].thread, NULL, publisher_thread, &pipeline->publisher[p]);
    for (int f = 0; f < pipeline->setup.folds; f++)
        failed |= pthread_create(&pipeline->fold[f].thread, NULL, fold_thread, &pipeline->fold[f]);
    for (int s = 0; s < pipeline->setup.shards; s++)
        failed |= pthread_create(&pipeline->shard[s].thread, NULL, shard_thread, &pipeline->shard[s]);
    ensure(!failed, "the machine grants a thread an agent");
    return 0;
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
        if ((again && now == work) || clock_monotonic_ms(&pipeline->setup.clock) >= until_ms)
            return;
        if (again || now != work)
            for (int s = 0; s < pipeline->setup.shards; s++)
                rounds[s] = atomic_load_explicit(&pipeline->shard[s].rounds, memory_order_acquire);
        work = now;
        nap();
    }
}

static bool all_done(struct pipeline *pipeline)
{
    bool done = folds_done(pipeline);
    for (int p = 0; p < pipeline->setup.sinks; p++)
        done &= atomic_load_explicit(&pipeline->publisher[p].done, memory_order_acquire);
    return done;
}

int pipeline_stop(struct pipeline *pipeline, enum pipeline_end end, int64_t within_ms)
{
    int64_t until_ms = clock_monotonic_ms(&pipeline->setup.clock) + within_ms;
    pipeline->end = end;
    pipeline->end_wall_ms = clock_wall_ms(&pipeline->setup.clock) + 1000; /* no fold has stepped beyond it */
    atomic_store_explicit(&pipeline->stage, STAGE_DRAIN, memory_order_release);
    wait_until_quiet(pipeline, until_ms);
    atomic_store_explicit(&pipeline->stage, STAGE_FINISH, memory_order_release);
    while (!all_done(pipeline) && clock_monotonic_ms(&pipeline->setup.clock) < until_ms)
        nap();
    bool whole = all_done(pipeline);
    atomic_store_explicit(&pipeline->stage, STAGE_STOP, memory_order_release);
    for (int s = 0; s < pipeline->setup.shards; s++)
        pthread_join(pipeline->shard[s].thread, NULL);
    for (int f = 0; f < pipeline->setup.folds; f++)
        pthread_join(pipeline->fold[f].thread, NULL);
    for (int p = 0; p < pipeline->setup.sinks; p++)
        pthread_join(pipeline->publisher[p].thread, NULL);
    return whole ? 0 : err_set(ERR_IO, "not everything could be published within %lld s: Redis or the broker is away, or limits.interactions holds"
                               " the sources up; start again to catch up", (long long)(within_ms / 1000));
}

bool pipeline_idle(const struct pipeline *pipeline)
{
    for (int s = 0; s < pipeline->setup.shards; s++)
        if (!atomic_load_explicit(&pipeline->clocks.idle[s], memory_order_relaxed))
            return false;
    return true;
}

/* ---- configuration and counts ---- */

void pipeline_reload(struct pipeline *pipeline, struct config *config)
{
    /* release: the agents' acquire sees the whole configuration */
    atomic_store_explicit(&pipeline->config, config, memory_order_release);
    pipeline->reloaded = realloc(pipeline->reloaded, (size_t)(pipeline->reloads + 1) * sizeof(struct config *));
    ensure(pipeline->reloaded != NULL, "the machine has memory left");
    pipeline->reloaded[pipeline->reloads++] = config;
}

static void add_counts(struct pipeline_counts *sum, const struct shard_counts *one)
{
#define COUNTER(name, help) sum->shards.name += one->name;
#include "esteem/counters.def"
#undef COUNTER
    for (int i = 0; i < EVENT_COUNT; i++)
        sum->shards.applied_by_type[i] += one->applied_by_type[i];
    for (int t = 0; t < CONFIG_TOPIC_MAX; t++)
        for (int i = 0; i < REFUSAL_COUNT; i++)
            sum->shards.refused_by_reason[t][i] += one->refused_by_reason[t][i];
    sum->shards.ledger.records += one->ledger.records;
    sum->shards.ledger.skewed += one->ledger.skewed;
    sum->shards.ledger.unjoined += one->ledger.unjoined;
    sum->shards.ledger.retired += one->ledger.retired;
    sum->shards.ledger.fact_bytes += one->ledger.fact_bytes;
    sum->shards.ledger.index_bytes += one->ledger.index_bytes;
}

struct pipeline_counts pipeline_counts(struct pipeline *pipeline)
{
    struct pipeline_counts sum = {0};
    sum.folds.watermark_ms = INT64_MAX;
    for (int s = 0; s < pipeline->setup.shards; s++) {
        struct shard_agent *agent = &pipeline->shard[s];
        if (pipeline->setup.batch)
            post_shard_counts(agent);
        pthread_mutex_lock(&agent->counts_lock);
        add_counts(&sum, &agent->counts);
        pthread_mutex_unlock(&agent->counts_lock);
    }
    for (int f = 0; f < pipeline->setup.folds; f++) {
        struct fold_agent *agent = &pipeline->fold[f];
        if (pipeline->setup.batch)
            post_fold_counts(agent);
        pthread_mutex_lock(&agent->counts_lock);
        sum.folds.keys += agent->counts.keys;
        sum.folds.panes += agent->counts.panes;
        sum.folds.calendar_windows += agent->counts.calendar_windows;
        sum.folds.bytes += agent->counts.bytes;
        sum.folds.rows += agent->counts.rows;
        sum.folds.beyond_correction += agent->counts.beyond_correction;
        sum.folds.saturated += agent->counts.saturated;
        if (agent->counts.watermark_ms < sum.folds.watermark_ms)
            sum.folds.watermark_ms = agent->counts.watermark_ms;
        pthread_mutex_unlock(&agent->counts_lock);
    }
    if (pipeline->registry)
        sum.keys_refused = key_registry_refused(pipeline->registry);
    return sum;
}

void pipeline_summary(const struct pipeline_counts *counts, const struct config *config, FILE *out)
{
    int topics = config->topic_count;
    const struct shard_counts *shards = &counts->shards;
    fprintf(out, "%llu applied, %llu duplicate, %llu refused", (unsigned long long)shards->applied,
            (unsigned long long)shards->duplicates, (unsigned long long)shards->refused);
    const char *before = " (";
    for (int t = 0; t < CONFIG_TOPIC_MAX; t++)
        for (int i = 0; i < REFUSAL_COUNT; i++)
            if (shards->refused_by_reason[t][i]) {
                fprintf(out, "%s%s%s%s %llu", before, topics > 1 ? config->topic[t].name : "", topics > 1 ? " " : "", refusal_names[i],
                        (unsigned long long)shards->refused_by_reason[t][i]);
                before = ", ";
            }
    fprintf(out, "%s\n", shards->refused ? ")" : "");
    uint64_t records = shards->ledger.records, keys = counts->folds.keys;
    fprintf(out, "%llu interactions kept, %llu bytes each; %llu scope keys, %llu bytes each; %llu panes, %llu calendar windows\n",
            (unsigned long long)records,
            (unsigned long long)(records ? (shards->ledger.fact_bytes + shards->ledger.index_bytes) / records : 0),
            (unsigned long long)keys, (unsigned long long)(keys ? counts->folds.bytes / keys : 0),
            (unsigned long long)counts->folds.panes, (unsigned long long)counts->folds.calendar_windows);
}
