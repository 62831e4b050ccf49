/* Who talks to whom:
 *
 *   source ─> shard s ──to_fold[s][f]──> fold f ──publisher[p].ring[f]──> publisher p ─> sink
 *                └──to_shard[s][t]──> shard t
 *
 * Every arrow is a ring with one writer and one reader. Agents share nothing else but shard_clocks (atomics), the key registry
 * (a mutex, once a new key) and the configuration (read-only; swapped by each agent at its own step). */
#include "pipeline_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "esteem/err.h"
#include "esteem/mapping.h"

enum { FOLD_STEP_MS = 50 /* between the steps of a fold that takes batches without end */,
       ROUNDS_MOST = 64 /* batches a fold takes before it looks at the clock: a round more at most */,
       NAMES_MOST = 1024 /* of recall, a step */ };

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

static void *from_shard(void *context, int shard)
{
    struct shard_agent *agent = context;
    struct pipeline *pipeline = agent->pipeline;
    return ring_pop_spsc(&pipeline->shard[shard].to_shard[agent - pipeline->shard]);
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
    row->made_ms = clock_monotonic_ms(&outlet->agent->pipeline->setup.clock);
    return ring_push_spsc(outlet->ring, row);
}

static uint64_t outlet_generation(void *context)
{
    struct outlet_context *outlet = context;
    return publisher_generation(outlet->publisher);
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
    atomic_init(&agent->adopted, config->serial);
    pthread_mutex_init(&agent->posted.lock, NULL);
    agent->to_fold = rings_new(setup->folds, PIPELINE_FOLD_RING);
    agent->to_shard = rings_new(setup->shards, PIPELINE_SHARD_RING);
    struct shard_setup to = {.index = s, .shards = setup->shards, .folds = setup->folds, .batch = setup->batch,
                             .route = setup->route, .pane_ms = pane_ms(setup), .clock = setup->clock, .source = setup->source[s],
                             .clocks = &pipeline->clocks, .registry = pipeline->registry, .context = agent, .to_fold = to_fold,
                             .to_shard = to_shard, .from_shard = from_shard, .dead_letter = dead_letter};
    return shard_new(config, &to, &agent->shard);
}

static int build_fold(struct pipeline *pipeline, const struct config *config, int f)
{
    const struct pipeline_setup *setup = &pipeline->setup;
    struct fold_agent *agent = &pipeline->fold[f];
    agent->pipeline = pipeline;
    agent->index = f;
    agent->config = config;
    atomic_init(&agent->adopted, config->serial);
    pthread_mutex_init(&agent->posted.lock, NULL);
    struct fold_setup to = {.shards = setup->shards, .batch = setup->batch, .at_ms = setup->at_ms, .pane_ms = pane_ms(setup),
                            .memory = &pipeline->clocks.memory, .registry = pipeline->registry, .outlets = setup->sinks, .folds = setup->folds};
    for (int p = 0; p < setup->sinks; p++) {
        struct outlet_context *outlet = &pipeline->fold[f].outlet[p];
        *outlet = (struct outlet_context){agent, &pipeline->publisher[p].publisher.ring[f], &pipeline->publisher[p].publisher};
        to.outlet[p] = (struct outlet){.context = outlet, .put = outlet_put, .generation = outlet_generation,
                                       .now = setup->now[p], .by_topics_every = setup->by_topics_every[p]};
    }
    return fold_new(config, &to, &agent->fold);
}

int pipeline_new(const struct config *config, const struct pipeline_setup *setup, struct pipeline **out)
{
    struct pipeline *pipeline = calloc(1, sizeof *pipeline);
    ensure(pipeline != NULL, "the machine has memory left");
    pipeline->setup = *setup;
    pipeline->told_since_ms = INT64_MIN;
    atomic_init(&pipeline->config, config);
    pthread_mutex_init(&pipeline->dump.lock, NULL);
    pipeline->clocks.count = setup->shards;
    for (int s = 0; s < setup->shards; s++)
        atomic_init(&pipeline->clocks.watermark_ms[s], INT64_MIN), atomic_init(&pipeline->clocks.slowest_ms[s], INT64_MIN);
    for (int f = 0; f < setup->folds; f++)
        shard_clocks_stand(&pipeline->clocks, f, config->serial, INT64_MIN);
    pipeline->registry = setup->batch ? NULL : key_registry_new((uint64_t)config->limit_keys);
    pipeline->shard = calloc((size_t)setup->shards, sizeof *pipeline->shard);
    pipeline->fold = calloc((size_t)setup->folds, sizeof *pipeline->fold);
    pipeline->publisher = calloc(OUTLET_MAX, sizeof *pipeline->publisher);
    ensure(pipeline->shard && pipeline->fold && pipeline->publisher, "the machine has memory left");
    int result = 0;
    for (int p = 0; p < setup->sinks; p++) {
        pipeline->publisher[p].pipeline = pipeline;
        pipeline->publisher[p].config = config;
        atomic_init(&pipeline->publisher[p].adopted, config->serial);
        pthread_mutex_init(&pipeline->publisher[p].posted.lock, NULL);
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
    bool full;
    for (int s = 0; s < setup->shards && setup->checkpoint; s++)
        pipeline->shard[s].epoch = checkpoint_wanted(setup->checkpoint, s, &full);
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

static void pipeline_fold_free(struct fold_agent *agent)
{
    slice_drop(&agent->out);
    fold_free(agent->fold);
}

void pipeline_free(struct pipeline *pipeline)
{
    if (pipeline == NULL)
        return;
    for (int s = 0; s < pipeline->setup.shards; s++) {
        struct shard_agent *agent = &pipeline->shard[s];
        shard_free(agent->shard);
        mapping_free_list(atomic_load_explicit(&agent->mapping, memory_order_relaxed), CONFIG_TOPIC_MAX); /* that it has not taken over */
        rings_free(agent->to_fold, pipeline->setup.folds, free_batch);
        rings_free(agent->to_shard, pipeline->setup.shards, shard_parcel_free);
    }
    for (int f = 0; f < pipeline->setup.folds; f++)
        pipeline_fold_free(&pipeline->fold[f]);
    for (int p = 0; p < pipeline->setup.sinks; p++)
        publisher_close(&pipeline->publisher[p].publisher);
    free(pipeline->shard);
    free(pipeline->fold);
    free(pipeline->publisher);
    key_registry_free(pipeline->registry);
    pipeline_dump_drop(&pipeline->dump);
    for (int i = 0; i < pipeline->reloads; i++)
        config_free(pipeline->reloaded[i]);
    free(pipeline->reloaded);
    pthread_mutex_destroy(&pipeline->dump.lock);
    for (int i = 0; i < pipeline->restored_count; i++)
        free(pipeline->restored[i].topic);
    free(pipeline->restored);
    free(pipeline);
}

/* ---- one step of each agent ---- */

/* Erasing a customer: a pass begins when main says so, and is told when it is over. */
static void shard_agent_erase(struct shard_agent *agent)
{
    struct pipeline *pipeline = agent->pipeline;
    uint64_t count, pass = atomic_load_explicit(&pipeline->erase.pass, memory_order_acquire); /* acquire: who is to be erased was written before */
    if (pass != agent->erasing) {
        agent->erasing = pass;
        agent->erased = false;
        shard_forget(agent->shard, pass % 2 ? SHARD_FORGET_INTERACTIONS : SHARD_FORGET_VISITS, pipeline->erase.tenant, pipeline->erase.customer);
    }
    if (agent->erased || pass == 0 || !shard_forgotten(agent->shard, &count))
        return;
    agent->erased = true;
    atomic_fetch_add_explicit(&pipeline->erase.counted, count, memory_order_relaxed);
    /* release: the count goes before it; partner of pipeline_forgotten's acquire */
    atomic_fetch_sub_explicit(&pipeline->erase.waits, 1, memory_order_release);
}

int shard_agent_step(struct shard_agent *agent, int wait_ms, bool flush)
{
    /* acquire: the configuration was written before it was stored */
    const struct config *config = atomic_load_explicit(&agent->pipeline->config, memory_order_acquire);
    /* Folds first: they have to know the names of dimensions that a shard's keys have. acquire: the programs were compiled before. */
    if (config != agent->config && pipeline_folds_adopted(agent->pipeline, config->serial) && shard_may_reload(agent->shard)) {
        int64_t begun_us = pipeline_us(agent->pipeline);
        shard_reload(agent->shard, config, atomic_exchange_explicit(&agent->mapping, NULL, memory_order_acquire));
        agent->config = config;
        pipeline_adopted_by(agent->pipeline, &agent->adopted, config, begun_us);
    }
    shard_agent_erase(agent);
    int done = shard_agent_state(agent);
    return done + shard_step(agent->shard, done ? 0 : wait_ms, flush);
}

/* Names of rows that the sinks hold; acted upon only when nothing that was sent before waits in a ring. */
static int take_names(struct fold_agent *agent, bool drained)
{
    struct recall *recall = agent->pipeline->recall;
    int done = 0;
    if (recall == NULL || fold_recalled(agent->fold))
        return 0;
    bool ended = recall_ended(recall);
    for (struct recalled *row; done < NAMES_MOST && (row = recall_take(recall, agent->index)) != NULL; done++)
        fold_recall(agent->fold, row);
    if (!ended || !drained || done)
        return done;
    done = fold_recall_step(agent->fold);
    if (!fold_recalled(agent->fold))
        return done;
    fold_agent_post_counts(agent);
    /* release: what was made is in the fold, and so in a checkpoint that begins after this was seen */
    atomic_store_explicit(&agent->recalled, true, memory_order_release);
    return done;
}

/* What lies in the rings as the round begins; behind a barrier nothing is taken. That may be a second's work, and rows do not wait for it. */
static int fold_agent_round(struct fold_agent *agent, int64_t stepped_ms, int *goodbyes)
{
    struct pipeline *pipeline = agent->pipeline;
    int round = 0;
    for (int s = 0; s < pipeline->setup.shards; s++) {
        struct ring *ring = &pipeline->shard[s].to_fold[agent->index];
        struct batch *batch;
        for (uint32_t left = ring_count(ring); left > 0 && !agent->arrived[s] && (batch = ring_pop_spsc(ring)) != NULL; left--, round++) {
            fold_apply(agent->fold, batch);
            *goodbyes += batch->drained;
            fold_agent_barrier(agent, s, batch->barrier);
            atomic_fetch_sub_explicit(&pipeline->clocks.in_flight[s], batch_bytes(batch), memory_order_relaxed);
            batch_free(batch);
            (void)fold_agent_state(agent); /* a checkpoint gets on while batches come without end */
            int64_t clock_ms = clock_wall_ms(&pipeline->setup.clock);
            if (pipeline->setup.batch || clock_ms - stepped_ms < FOLD_STEP_MS)
                continue;
            stepped_ms = clock_ms;
            round += fold_step(agent->fold, clock_ms);
        }
    }
    return round;
}

/* Where the windows differ, a checkpoint is written to its end first. */
static bool may_reload(const struct fold_agent *agent, const struct config *config)
{
    return !fold_windows_differ(agent->config, config) || !fold_is_dumping(agent->fold);
}

bool fold_agent_reload(struct fold_agent *agent)
{
    struct pipeline *pipeline = agent->pipeline;
    const struct config *config = atomic_load_explicit(&pipeline->config, memory_order_acquire);
    int64_t begun_us = pipeline_us(pipeline);
    if (!agent->reloading) {
        if (config == agent->config || !may_reload(agent, config))
            return false;
        fold_reload(agent->fold, config);
        agent->config = config;
    }
    agent->reloading = fold_reload_step(agent->fold);
    if (agent->reloading)
        pipeline_reload_took(pipeline, begun_us);
    else
        pipeline_adopted_by(pipeline, &agent->adopted, agent->config, begun_us);
    return agent->reloading;
}

int fold_agent_step(struct fold_agent *agent, int64_t clock_ms, int *goodbyes)
{
    struct pipeline *pipeline = agent->pipeline;
    if (fold_agent_reload(agent))
        return 1;
    fold_agent_dump(agent);
    int done = 0, round;
    do {
        round = fold_agent_round(agent, clock_ms, goodbyes);
        fold_hear(agent->fold, round == 0);
        done += round;
    } while (round && done < ROUNDS_MOST);
    if (pipeline->setup.batch)
        return done;
    bool drained = round == 0;
    for (int s = 0; s < pipeline->setup.shards; s++)
        drained &= !agent->arrived[s];
    done += fold_agent_state(agent) + fold_step(agent->fold, clock_ms) + take_names(agent, drained);
    shard_clocks_stand(&pipeline->clocks, agent->index, agent->config->serial, fold_now_ms(agent->fold));
    return done;
}

int publisher_agent_step(struct publisher_agent *agent, int64_t now_ms)
{
    const struct config *config = atomic_load_explicit(&agent->pipeline->config, memory_order_acquire);
    struct sink *sink = &agent->publisher.sink;
    if (config != agent->config) {
        int64_t begun_us = pipeline_us(agent->pipeline);
        if (sink->reload)
            sink->reload(sink->state, config);
        agent->config = config;
        pipeline_adopted_by(agent->pipeline, &agent->adopted, config, begun_us);
    }
    return publisher_step(&agent->publisher, now_ms);
}

/* ---- in one thread ---- */

int pipeline_step(struct pipeline *pipeline)
{
    int done = 0, goodbyes = 0;
    int64_t wall_ms = clock_wall_ms(&pipeline->setup.clock), monotonic_ms = clock_monotonic_ms(&pipeline->setup.clock);
    for (int f = 0; f < pipeline->setup.folds; f++)
        (void)fold_agent_reload(&pipeline->fold[f]); /* shards follow */
    for (int s = 0; s < pipeline->setup.shards; s++)
        done += shard_agent_step(&pipeline->shard[s], 0, false);
    for (int f = 0; f < pipeline->setup.folds; f++)
        done += fold_agent_step(&pipeline->fold[f], wall_ms, &goodbyes);
    for (int p = 0; p < pipeline->setup.sinks; p++)
        done += publisher_agent_step(&pipeline->publisher[p], monotonic_ms);
    if (pipeline->setup.checkpoint)
        done += checkpoint_step(pipeline->setup.checkpoint);
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
    for (bool quiet = false; !quiet;) { /* what a flush tells another shard has to be flushed there */
        for (int s = 0; s < pipeline->setup.shards; s++)
            shard_step(pipeline->shard[s].shard, 0, true);
        while (pipeline_step(pipeline) > 0)
            ;
        quiet = true;
        for (int s = 0; s < pipeline->setup.shards; s++)
            quiet &= shard_empty(pipeline->shard[s].shard);
    }
}

void pipeline_finish(struct pipeline *pipeline)
{
    bool quiet;
    do {
        while (pipeline_step(pipeline) > 0)
            ;
        quiet = true;
        for (int s = 0; s < pipeline->setup.shards; s++) {
            quiet &= shard_empty(pipeline->shard[s].shard);
            shard_step(pipeline->shard[s].shard, 0, true);
        }
    } while (!quiet);
    while (pipeline_step(pipeline) > 0)
        ;
    int64_t wall_ms = clock_wall_ms(&pipeline->setup.clock), monotonic_ms = clock_monotonic_ms(&pipeline->setup.clock);
    for (int f = 0; f < pipeline->setup.folds; f++) {
        fold_hear(pipeline->fold[f].fold, true);
        fold_finish(pipeline->fold[f].fold);
        fold_step(pipeline->fold[f].fold, wall_ms);
        for (bool all = true; fold_flush(pipeline->fold[f].fold, all) > 0; all = false)
            for (int p = 0; p < pipeline->setup.sinks; p++)
                publisher_step(&pipeline->publisher[p].publisher, monotonic_ms);
    }
    for (int p = 0; p < pipeline->setup.sinks; p++)
        while (publisher_step(&pipeline->publisher[p].publisher, monotonic_ms) > 0)
            ;
}

void pipeline_rows(struct pipeline *pipeline, fold_each *each, void *context)
{
    for (int f = 0; f < pipeline->setup.folds; f++)
        fold_rows(pipeline->fold[f].fold, each, context);
}

bool pipeline_idle(const struct pipeline *pipeline)
{
    for (int s = 0; s < pipeline->setup.shards; s++)
        if (!atomic_load_explicit(&pipeline->clocks.idle[s], memory_order_relaxed))
            return false;
    return true;
}

void pipeline_recall(struct pipeline *pipeline, struct recall *recall)
{
    pipeline->recall = recall;
}

bool pipeline_recalled(const struct pipeline *pipeline)
{
    for (int f = 0; f < pipeline->setup.folds; f++)
        if (!atomic_load_explicit(&pipeline->fold[f].recalled, memory_order_acquire))
            return false;
    return true;
}

bool pipeline_sink_reached(const struct pipeline *pipeline, int sink)
{
    return publisher_generation(&pipeline->publisher[sink].publisher) > 0;
}

/* ---- erasing a customer ---- */

static void begin_pass(struct pipeline *pipeline)
{
    atomic_store_explicit(&pipeline->erase.counted, 0, memory_order_relaxed);
    atomic_store_explicit(&pipeline->erase.waits, (uint64_t)pipeline->setup.shards, memory_order_relaxed);
    /* release: shard_agent_erase's acquire sees who it is */
    atomic_fetch_add_explicit(&pipeline->erase.pass, 1, memory_order_release);
}

bool pipeline_forget(struct pipeline *pipeline, const char *tenant, uint64_t customer)
{
    if (pipeline->erase.at_work)
        return false;
    pipeline->erase.at_work = true;
    pipeline->erase.customer = customer;
    snprintf(pipeline->erase.tenant, sizeof pipeline->erase.tenant, "%s", tenant);
    begin_pass(pipeline);
    return true;
}

bool pipeline_forgotten(struct pipeline *pipeline, uint64_t *interactions, uint64_t *visits)
{
    if (!pipeline->erase.at_work || atomic_load_explicit(&pipeline->erase.waits, memory_order_acquire) > 0)
        return false;
    bool first = atomic_load_explicit(&pipeline->erase.pass, memory_order_relaxed) % 2;
    pipeline->erase.count[!first] = atomic_load_explicit(&pipeline->erase.counted, memory_order_relaxed);
    if (first) {
        begin_pass(pipeline);
        return false;
    }
    *interactions = pipeline->erase.count[0];
    *visits = pipeline->erase.count[1];
    pipeline->erase.at_work = false;
    return true;
}

/* ---- memory ---- */

void pipeline_press(struct pipeline *pipeline, enum memory_state state)
{
    atomic_store_explicit(&pipeline->clocks.memory, (int)state, memory_order_relaxed);
    if (pipeline->registry)
        key_registry_press(pipeline->registry, state != MEMORY_FREE);
}
