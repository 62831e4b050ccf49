#include "support/folding.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "support/figures.h"
#include "support/settings.h"

static bool take(void *context, struct row *row)
{
    struct folding *folding = context;
    if (folding->full || (folding->rows_a_tick && folding->left == 0))
        return false;
    folding->left -= folding->rows_a_tick > 0;
    if (row->alert.state) {
        cr_assert_lt(folding->alerts, (int)(sizeof folding->alert / sizeof *folding->alert));
        struct told *told = &folding->alert[folding->alerts++];
        *told = (struct told){.alert = row->alert, .start_ms = row->start_ms};
        (void)snprintf(told->scope, sizeof told->scope, "%s", row->scope);
        (void)snprintf(told->goal, sizeof told->goal, "%s", row->goal);
        row_free(row);
        return true;
    }
    struct shown *shown = NULL;
    for (int i = 0; i < folding->count && shown == NULL; i++) {
        struct shown *one = &folding->shown[i];
        if (strcmp(one->window, row->window_name) == 0 && strcmp(one->scope, row->scope) == 0 && strcmp(one->tenant, row->tenant) == 0 &&
            (row->rolling || row->now || one->start_ms == row->start_ms))
            shown = one;
    }
    if (shown == NULL) {
        cr_assert_lt(folding->count, (int)(sizeof folding->shown / sizeof *folding->shown));
        shown = &folding->shown[folding->count++];
    }
    uint64_t times = shown->times + 1;
    *shown = (struct shown){.start_ms = row->start_ms, .end_ms = row->end_ms, .since_ms = row->since_ms, .revision = row->revision, .final = row->final,
                            .partial = row->partial, .rolling = row->rolling, .last = row->last, .running = row->running,
                            .inexact = row->inexact, .times = times, .across = row->across,
                            .baseline = row->baseline_count ? row->baseline[0] : NAN,
                            .offered = figure_in(row->runs, row->runs_length, MEASURE_offered),
                            .handled = figure_in(row->runs, row->runs_length, MEASURE_handled),
                            .active = figure_in(row->runs, row->runs_length, MEASURE_active_agents),
                            .away_ms = figure_in(row->runs, row->runs_length, MEASURE_away_ms),
                            .handling = figure_in(row->runs, row->runs_length, MEASURE_handling_agents),
                            .eligible = row->eligible};
    (void)snprintf(shown->window, sizeof shown->window, "%s", row->window_name);
    (void)snprintf(shown->scope, sizeof shown->scope, "%s", row->scope);
    (void)snprintf(shown->tenant, sizeof shown->tenant, "%s", row->tenant);
    folding->rows++;
    row_free(row);
    return true;
}

static uint64_t generation(void *context)
{
    return ((struct folding *)context)->generation;
}

void folding_begin(struct folding *folding, const char *yaml, int shards)
{
    *folding = (struct folding){.config = config_of(yaml), .shards = shards, .batch = batch_new(0), .watermark_ms = INT64_MIN, .generation = 1};
    folding->registry = key_registry_new((uint64_t)folding->config->limit_keys);
    struct fold_setup setup = {.shards = shards, .folds = 1, .registry = folding->registry, .at_ms = INT64_MIN, .pane_ms = 1000, .outlets = 1,
                               .outlet = {{.context = folding, .put = take, .generation = generation}}};
    cr_assert_eq(fold_new(folding->config, &setup, &folding->fold), 0);
}

void folding_reload(struct folding *folding, const char *yaml)
{
    struct config *old = folding->config;
    folding->config = config_of(yaml);
    folding->config->serial = old->serial + 1;
    fold_reload(folding->fold, folding->config);
    while (fold_reload_step(folding->fold))
        ;
    config_free(old);
}

void folding_end(struct folding *folding)
{
    fold_free(folding->fold);
    key_registry_free(folding->registry);
    batch_free(folding->batch);
    config_free(folding->config);
}

/* The number under a hash; `news`: it has just got it. */
static uint32_t number_of(struct folding *folding, uint64_t hash, bool *news)
{
    uint32_t number = 0;
    while (number < folding->keys && folding->key[number] != hash)
        number++;
    *news = number == folding->keys;
    if (*news) {
        cr_assert_lt(number, sizeof folding->key / sizeof *folding->key);
        folding->key[folding->keys++] = hash;
    }
    return number;
}

static uint32_t key_number(struct folding *folding, const struct scope_key *key)
{
    bool news;
    uint32_t number = number_of(folding, key_hash(key), &news);
    if (news)
        batch_put_key(folding->batch, number, key);
    return number;
}

/* A cell of a key, which is named first when it is new. */
static void put(struct folding *folding, const struct scope_key *key, const struct tally_run *run, int64_t at_ms)
{
    batch_put_cell(folding->batch, key_number(folding, key), at_ms / 1000, true, run->bytes, run->length);
}

/* Adds a value to a key; NULL: none. */
static void with(struct scope_key *key, int dimension, const char *value)
{
    if (value == NULL)
        return;
    key->scope |= 1u << dimension;
    key->dimension[key->count] = (uint8_t)dimension;
    key->value[key->count++] = value;
}

/* `agent` NULL: the queue's own key. */
static void feed(struct folding *folding, const char *queue, const char *agent, enum measure measure, int64_t at_ms, int64_t n)
{
    struct scope_key key = {.tenant = "acme"};
    with(&key, DIMENSION_queue, queue);
    with(&key, SCOPE_AGENTS_BIT, agent);
    put(folding, &key, run_of(measure, n), at_ms);
}

void folding_feed_place(struct folding *folding, const char *team, const char *agent, int64_t at_ms, int64_t n)
{
    struct scope_key key = {.tenant = "acme"};
    with(&key, DIMENSION_team, team);
    with(&key, DIMENSION_agent, agent);
    put(folding, &key, run_of(MEASURE_offered, n), at_ms);
}

void folding_roster(struct folding *folding, const char *agent, const char *team, int64_t at_ms)
{
    static uint64_t id;
    struct batch_roster change = {.time_ms = at_ms, .id_hash = ++id, .enrolled = team != NULL, .tenant = "acme", .agent = agent,
                                  .team = team ? team : "", .site = ""};
    batch_put_roster(folding->batch, &change);
}

void folding_put(struct folding *folding, const char *queue, const char *channel, int64_t at_ms, const struct tally_run *run)
{
    struct scope_key key = {.tenant = "acme"};
    with(&key, DIMENSION_channel, channel);
    with(&key, DIMENSION_queue, queue);
    put(folding, &key, run, at_ms);
}

void folding_feed_agent(struct folding *folding, const char *queue, const char *agent, enum measure measure, int64_t at_ms, int64_t n)
{
    feed(folding, queue, NULL, measure, at_ms, n);
    feed(folding, queue, agent, measure, at_ms, n);
}

void folding_feed_bundle(struct folding *folding, const char *queue, const char *agent, enum measure measure, int64_t at_ms, int64_t n)
{
    struct scope_key whole = {.tenant = "acme"}, within = {.tenant = "acme"};
    const struct tally_run *run = run_of(measure, n);
    bool news;
    feed(folding, NULL, NULL, measure, at_ms, n);
    feed(folding, queue, NULL, measure, at_ms, n);
    with(&whole, SCOPE_AGENTS_BIT, agent);
    with(&within, DIMENSION_queue, queue);
    with(&within, SCOPE_AGENTS_BIT, agent);
    uint32_t part[2] = {key_number(folding, &whole), key_number(folding, &within)};
    uint32_t number = number_of(folding, bundle_hash((uint64_t[]){key_hash(&whole), key_hash(&within)}, 2), &news);
    if (news)
        batch_put_bundle(folding->batch, number, part, 2);
    batch_put_cell(folding->batch, number, at_ms / 1000, false, run->bytes, run->length);
}

void folding_feed(struct folding *folding, const char *queue, int64_t at_ms, int64_t n)
{
    folding_put(folding, queue, NULL, at_ms, run_of(MEASURE_offered, n));
}

void folding_tick(struct folding *folding, int64_t clock_ms)
{
    struct batch *batch = folding->batch;
    folding->clock_ms = clock_ms;
    folding->left = folding->rows_a_tick;
    batch->watermark_ms = batch->newest_ms = folding->watermark_ms;
    batch->idle = folding->idle;
    fold_apply(folding->fold, batch);
    fold_hear(folding->fold, true);
    batch_free(batch);
    folding->batch = batch_new(0);
    fold_step(folding->fold, clock_ms);
}

void folding_settle(struct folding *folding)
{
    for (int i = 0; i < 60; i++)
        folding_tick(folding, folding->clock_ms + 1000);
}

const struct shown *folding_row(const struct folding *folding, const char *window, const char *scope, int64_t start_ms)
{
    const struct shown *found = NULL;
    for (int i = 0; i < folding->count; i++) {
        const struct shown *one = &folding->shown[i];
        if (strcmp(one->window, window) == 0 && strcmp(one->scope, scope) == 0 && (start_ms == -1 || one->start_ms == start_ms) &&
            (found == NULL || found->start_ms < one->start_ms))
            found = one;
    }
    return found;
}
