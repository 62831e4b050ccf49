/* What the agents count, summed: each posts a copy of its own some times a second. */
#include "pipeline_parts.h"

#include <string.h>

const char *pipeline_agent_name(const struct pipeline *pipeline, enum pipeline_agent kind, int index, char name[PIPELINE_NAME_MAX])
{
    if (kind == PIPELINE_PUBLISHER)
        snprintf(name, PIPELINE_NAME_MAX, "%s", pipeline->setup.sink[index].name);
    else
        snprintf(name, PIPELINE_NAME_MAX, "%s-%d", kind == PIPELINE_SHARD ? "shard" : "fold", index);
    return name;
}

/* Begins to post; the caller adds its counts, and unlocks. */
static void post_begin(struct agent_posted *posted, struct pipeline *pipeline)
{
    int64_t now_ms = clock_monotonic_ms(&pipeline->setup.clock);
    pthread_mutex_lock(&posted->lock);
    posted->step = posted->now;
    posted->posted_ms = now_ms;
}

void shard_agent_post_counts(struct shard_agent *agent)
{
    struct shard_counts counts = shard_counts(agent->shard);
    post_begin(&agent->posted, agent->pipeline);
    agent->counts = counts;
    pthread_mutex_unlock(&agent->posted.lock);
}

void fold_agent_post_counts(struct fold_agent *agent)
{
    struct fold_counts counts = fold_counts(agent->fold);
    post_begin(&agent->posted, agent->pipeline);
    agent->counts = counts;
    pthread_mutex_unlock(&agent->posted.lock);
}

void publisher_agent_post_counts(struct publisher_agent *agent)
{
    post_begin(&agent->posted, agent->pipeline);
    agent->publish = agent->publisher.publish;
    pthread_mutex_unlock(&agent->posted.lock);
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
    sum->shards.ledger.strayed += one->ledger.strayed;
    sum->shards.ledger.retired += one->ledger.retired;
    sum->shards.ledger.fact_bytes += one->ledger.fact_bytes;
    sum->shards.ledger.index_bytes += one->ledger.index_bytes;
    sum->shards.ledger.slack_bytes += one->ledger.slack_bytes;
    sum->shards.books_bytes += one->books_bytes;
    sum->shards.names_bytes += one->names_bytes;
    timing_add(&sum->shards.tick, &one->tick);
}

/* Locked. */
static void add_posted(struct pipeline_counts *sum, enum pipeline_agent kind, int index, int64_t *longest_us, const struct agent_posted *posted,
                       int64_t now_ms)
{
    if (posted->posted_ms < sum->posted_ms) {
        sum->posted_ms = posted->posted_ms;
        sum->behind = kind;
        sum->behind_index = index;
    }
    timing_add(&sum->step[kind], &posted->step);
    *longest_us = timing_longest_us(&posted->step, now_ms);
}

static uint32_t fuller(uint32_t most, const struct ring *ring)
{
    uint32_t count = ring_count(ring);
    return count > most ? count : most;
}

static void look_at_rings(struct pipeline_counts *sum, struct pipeline *pipeline)
{
    const struct pipeline_setup *setup = &pipeline->setup;
    for (int s = 0; s < setup->shards; s++) {
        for (int f = 0; f < setup->folds; f++)
            sum->to_folds = fuller(sum->to_folds, &pipeline->shard[s].to_fold[f]);
        for (int other = 0; other < setup->shards; other++)
            sum->to_shards = fuller(sum->to_shards, &pipeline->shard[s].to_shard[other]);
        sum->in_flight_bytes += atomic_load_explicit(&pipeline->clocks.in_flight[s], memory_order_relaxed);
    }
    for (int p = 0; p < setup->sinks; p++)
        for (int f = 0; f < setup->folds; f++)
            sum->to_sink[p] = fuller(sum->to_sink[p], &pipeline->publisher[p].publisher.ring[f]);
}

struct pipeline_counts pipeline_counts(struct pipeline *pipeline)
{
    struct pipeline_counts sum = {0};
    sum.folds.watermark_ms = INT64_MAX;
    sum.posted_ms = INT64_MAX;
    int64_t now_ms = clock_monotonic_ms(&pipeline->setup.clock);
    for (int s = 0; s < pipeline->setup.shards; s++) {
        struct shard_agent *agent = &pipeline->shard[s];
        if (pipeline->setup.batch)
            shard_agent_post_counts(agent);
        pthread_mutex_lock(&agent->posted.lock);
        add_counts(&sum, &agent->counts);
        add_posted(&sum, PIPELINE_SHARD, s, &sum.shard_longest_us[s], &agent->posted, now_ms);
        pthread_mutex_unlock(&agent->posted.lock);
    }
    for (int f = 0; f < pipeline->setup.folds; f++) {
        struct fold_agent *agent = &pipeline->fold[f];
        if (pipeline->setup.batch)
            fold_agent_post_counts(agent);
        pthread_mutex_lock(&agent->posted.lock);
        add_posted(&sum, PIPELINE_FOLD, f, &sum.fold_longest_us[f], &agent->posted, now_ms);
        sum.folds.keys += agent->counts.keys;
        sum.folds.agent_keys += agent->counts.agent_keys;
        sum.folds.panes += agent->counts.panes;
        sum.folds.packed_panes += agent->counts.packed_panes;
        sum.folds.calendar_windows += agent->counts.calendar_windows;
        sum.folds.bytes += agent->counts.bytes;
        sum.folds.rows += agent->counts.rows;
        sum.folds.beyond_correction += agent->counts.beyond_correction;
        sum.folds.saturated += agent->counts.saturated;
        sum.folds.untold += agent->counts.untold;
        sum.folds.recall_emptied += agent->counts.recall_emptied;
        sum.folds.recall_refused += agent->counts.recall_refused;
        sum.folds.slack_bytes += agent->counts.slack_bytes;
        if (agent->counts.watermark_ms < sum.folds.watermark_ms)
            sum.folds.watermark_ms = agent->counts.watermark_ms;
        pthread_mutex_unlock(&agent->posted.lock);
    }
    for (int p = 0; p < pipeline->setup.sinks && !pipeline->setup.batch; p++) {
        struct publisher_agent *agent = &pipeline->publisher[p];
        pthread_mutex_lock(&agent->posted.lock);
        add_posted(&sum, PIPELINE_PUBLISHER, p, &sum.sink_longest_us[p], &agent->posted, now_ms);
        sum.publish[p] = agent->publish;
        pthread_mutex_unlock(&agent->posted.lock);
    }
    look_at_rings(&sum, pipeline);
    if (pipeline->registry)
        sum.keys_refused = key_registry_refused(pipeline->registry);
    return sum;
}

/* Pools grow by pieces: of fewer than a thousand the quotient is a piece's size. */
static void put_each(uint64_t count, uint64_t bytes, FILE *out)
{
    if (count >= 1000)
        fprintf(out, ", %llu bytes each", (unsigned long long)(bytes / count));
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
    const struct {
        uint64_t count;
        const char *what;
    } bounds[] = {
        {shards->messages_empty, "messages of which their mapping made no event"},
        {counts->keys_refused, "look-ups of keys beyond limits.keys or limits.memory went to __other__"},
        {shards->strings_refused, "new names at the bound of strings or of limits.memory counted as __other__"},
        {shards->ledger.retired, "interactions were retired at limits.interactions or limits.memory"},
        {counts->folds.untold, "calendar windows were let go before every sink had them, for want of memory"},
        {counts->folds.recall_emptied, "rows of an earlier life, which the feed does not make, were emptied"},
        {counts->folds.recall_refused, "rows of an earlier life stay, for want of a key (limits.keys, limits.memory)"},
        {counts->folds.beyond_correction, "differences came for windows beyond retention.correction"},
        {counts->folds.saturated, "sums met the end of 64 bits"},
        {shards->ledger.strayed, "events came by another partition than the first of their interaction: its topic is not keyed by it"},
        {shards->ledger.skewed, "interactions had a duration brought to 0 or to 31 d"},
    };
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++)
        if (bounds[i].count)
            fprintf(out, "%llu %s\n", (unsigned long long)bounds[i].count, bounds[i].what);
    uint64_t records = shards->ledger.records, keys = counts->folds.keys;
    fprintf(out, "%llu interactions kept", (unsigned long long)records);
    put_each(records, shards->ledger.fact_bytes + shards->ledger.index_bytes, out);
    fprintf(out, "; %llu scope keys", (unsigned long long)keys);
    put_each(keys, counts->folds.bytes, out);
    fprintf(out, ", %llu agent keys; %llu panes, %llu calendar windows\n", (unsigned long long)counts->folds.agent_keys,
            (unsigned long long)counts->folds.panes, (unsigned long long)counts->folds.calendar_windows);
}
