#include "support/folding.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "support/figures.h"
#include "support/settings.h"

static bool take(void *context, struct row *row)
{
    struct folding *folding = context;
    if (folding->full)
        return false;
    struct shown *shown = NULL;
    for (int i = 0; i < folding->count && shown == NULL; i++) {
        struct shown *one = &folding->shown[i];
        if (strcmp(one->window, row->window_name) == 0 && strcmp(one->scope, row->scope) == 0 && strcmp(one->tenant, row->tenant) == 0 &&
            (row->rolling || one->start_ms == row->start_ms))
            shown = one;
    }
    if (shown == NULL) {
        cr_assert_lt(folding->count, (int)(sizeof folding->shown / sizeof *folding->shown));
        shown = &folding->shown[folding->count++];
    }
    uint64_t times = shown->times + 1;
    *shown = (struct shown){.start_ms = row->start_ms, .end_ms = row->end_ms, .revision = row->revision, .final = row->final,
                            .partial = row->partial, .rolling = row->rolling, .last = row->last, .running = row->running,
                            .inexact = row->inexact, .times = times,
                            .offered = figure_in(row->runs, row->runs_length, MEASURE_offered),
                            .handled = figure_in(row->runs, row->runs_length, MEASURE_handled)};
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

void folding_end(struct folding *folding)
{
    fold_free(folding->fold);
    key_registry_free(folding->registry);
    batch_free(folding->batch);
    config_free(folding->config);
}

void folding_feed(struct folding *folding, const char *queue, int64_t at_ms, int64_t n)
{
    static char named[256][64];
    static uint32_t count;
    struct scope_key key = {.tenant = "acme"};
    if (queue) {
        key.scope = 1u << DIMENSION_queue;
        key.dimension[0] = DIMENSION_queue;
        key.value[key.count++] = queue;
    }
    uint32_t number = 0;
    while (number < count && strcmp(named[number], queue ? queue : "") != 0)
        number++;
    if (number == count) {
        (void)snprintf(named[count++], sizeof named[0], "%s", queue ? queue : "");
        batch_put_key(folding->batch, number, &key);
    }
    const struct tally_run *run = run_of(MEASURE_offered, n);
    batch_put_cell(folding->batch, number, at_ms / 1000, true, run->bytes, run->length);
}

void folding_tick(struct folding *folding, int64_t clock_ms)
{
    struct batch *batch = folding->batch;
    folding->clock_ms = clock_ms;
    batch->watermark_ms = batch->newest_ms = folding->watermark_ms;
    batch->idle = folding->idle;
    fold_apply(folding->fold, batch);
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
