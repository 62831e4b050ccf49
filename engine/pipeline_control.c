/* What main asks of the agents while they run: another configuration, a pause, the rows of a key. Main writes what is asked and raises a number;
 * each agent looks at the number at its next step, between two batches, and says when it is done. Nobody waits but who asked. */
#include "pipeline_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "esteem/control.h"
#include "esteem/err.h"

enum { DUMP_BYTES_MAX = CONTROL_ANSWER - CONTROL_LINE, DUMP_ROWS_A_CALL = 100 };

/* ---- configurations ----
 *
 * One that was replaced is freed when every agent works under a later one, and no row that was made under it is on its way. */

void pipeline_reload(struct pipeline *pipeline, struct config *config)
{
    pipeline->reloaded = realloc(pipeline->reloaded, (size_t)(pipeline->reloads + 1) * sizeof(struct config *));
    ensure(pipeline->reloaded != NULL, "the machine has memory left");
    pipeline->reloaded[pipeline->reloads++] = config;
    atomic_store_explicit(&pipeline->longest_us, 0, memory_order_relaxed);
    /* release: the agents' acquire sees the whole configuration */
    atomic_store_explicit(&pipeline->config, config, memory_order_release);
}

void pipeline_mappings(struct pipeline *pipeline, int shard, struct mapping **mapping)
{
    ensure(atomic_load_explicit(&pipeline->shard[shard].mapping, memory_order_relaxed) == NULL, "one reload ends before the next begins");
    atomic_store_explicit(&pipeline->shard[shard].mapping, mapping, memory_order_release);
}

/* Runs on: the agent's thread. */
void pipeline_reload_took(struct pipeline *pipeline, int64_t begun_us)
{
    int64_t took_us = pipeline_us(pipeline) - begun_us, longest_us = atomic_load_explicit(&pipeline->longest_us, memory_order_relaxed);
    while (took_us > longest_us && !atomic_compare_exchange_weak_explicit(&pipeline->longest_us, &longest_us, took_us, memory_order_relaxed, memory_order_relaxed))
        ;
}

void pipeline_adopted_by(struct pipeline *pipeline, _Atomic uint64_t *adopted, const struct config *config, int64_t begun_us)
{
    pipeline_reload_took(pipeline, begun_us);
    /* release: the agent touches the one before no more; partner of least_adopted's acquire */
    atomic_store_explicit(adopted, config->serial, memory_order_release);
}

bool pipeline_folds_adopted(const struct pipeline *pipeline, uint64_t serial)
{
    bool all = true;
    for (int f = 0; f < pipeline->setup.folds; f++)
        all &= atomic_load_explicit(&pipeline->fold[f].adopted, memory_order_acquire) >= serial;
    return all;
}

static uint64_t least_adopted(const struct pipeline *pipeline)
{
    uint64_t least = UINT64_MAX;
    for (int s = 0; s < pipeline->setup.shards; s++) {
        uint64_t one = atomic_load_explicit(&pipeline->shard[s].adopted, memory_order_acquire);
        least = one < least ? one : least;
    }
    for (int f = 0; f < pipeline->setup.folds; f++) {
        uint64_t one = atomic_load_explicit(&pipeline->fold[f].adopted, memory_order_acquire);
        least = one < least ? one : least;
    }
    for (int p = 0; p < pipeline->setup.sinks; p++) {
        uint64_t one = atomic_load_explicit(&pipeline->publisher[p].adopted, memory_order_acquire);
        least = one < least ? one : least;
    }
    return least;
}

bool pipeline_reloaded(struct pipeline *pipeline, int64_t *longest_us)
{
    uint64_t least = least_adopted(pipeline);
    int kept = 0, last = pipeline->reloads - 1;
    for (int i = 0; i <= last; i++) {
        struct config *config = pipeline->reloaded[i];
        /* acquire: what the last row's owner did with it is over */
        if (i < last && config->serial < least && atomic_load_explicit(&config->uses, memory_order_acquire) == 0)
            config_free(config);
        else
            pipeline->reloaded[kept++] = config;
    }
    pipeline->reloads = kept;
    *longest_us = atomic_load_explicit(&pipeline->longest_us, memory_order_relaxed);
    return least >= atomic_load_explicit(&pipeline->config, memory_order_relaxed)->serial;
}

/* ---- a pause ---- */

void pipeline_pause(struct pipeline *pipeline, bool pause)
{
    atomic_store_explicit(&pipeline->clocks.paused, pause, memory_order_relaxed);
}

/* ---- the rows of a key ----
 *
 * The folds hand their rows out as they are (a year of hours with one contact each, 8,760 rows, in a step of 5 ms), and main makes lines of them, some at
 * each look: with all figures a line has 4 KB, and that takes the longer the more a row has. */

static void drop_rows(struct pipeline_dump *dump)
{
    for (; dump->done < dump->count; dump->done++)
        row_free(dump->row[dump->done]);
    free(dump->row);
    dump->row = NULL;
    dump->count = dump->done = 0;
}

void pipeline_dump_drop(struct pipeline_dump *dump)
{
    drop_rows(dump);
    free(dump->text);
    dump->text = NULL;
    dump->length = dump->room = 0;
}

bool pipeline_dump(struct pipeline *pipeline, const char *tenant, const char *scope)
{
    struct pipeline_dump *dump = &pipeline->dump;
    if (dump->at_work)
        return false;
    dump->at_work = true;
    dump->cut = false;
    snprintf(dump->tenant, sizeof dump->tenant, "%s", tenant);
    snprintf(dump->scope, sizeof dump->scope, "%s", scope);
    atomic_store_explicit(&dump->waits, pipeline->setup.folds, memory_order_relaxed);
    /* release: fold_agent_dump's acquire sees what is asked */
    atomic_fetch_add_explicit(&dump->pass, 1, memory_order_release);
    return true;
}

static void dump_row(void *context, struct row *row)
{
    struct pipeline_dump *dump = context;
    if ((dump->count & (dump->count - 1)) == 0) { /* full at each power of two */
        dump->row = realloc(dump->row, (dump->count ? 2 * dump->count : 1) * sizeof *dump->row);
        ensure(dump->row != NULL, "the machine has memory left");
    }
    dump->row[dump->count++] = row;
}

/* Runs on: the fold's thread. */
void fold_agent_dump(struct fold_agent *agent)
{
    struct pipeline_dump *dump = &agent->pipeline->dump;
    uint64_t pass = atomic_load_explicit(&dump->pass, memory_order_acquire); /* acquire: what is asked was written before */
    if (pass == agent->dumped)
        return;
    agent->dumped = pass;
    pthread_mutex_lock(&dump->lock);
    fold_key_rows(agent->fold, dump->tenant, dump->scope, dump_row, dump);
    pthread_mutex_unlock(&dump->lock);
    /* release: the rows go before it; partner of pipeline_dumped's acquire */
    atomic_fetch_sub_explicit(&dump->waits, 1, memory_order_release);
}

static void put_line(struct pipeline_dump *dump, const char *text, size_t length)
{
    if (dump->length + length + 1 > DUMP_BYTES_MAX) {
        dump->cut = true;
        return;
    }
    if (dump->length + length + 1 > dump->room) {
        dump->room = (dump->room + length + 1) * 2;
        dump->text = realloc(dump->text, dump->room);
        ensure(dump->text != NULL, "the machine has memory left");
    }
    memcpy(dump->text + dump->length, text, length);
    dump->length += length;
    dump->text[dump->length++] = '\n';
}

static void make_lines(struct pipeline_dump *dump)
{
    struct row_view *view = calloc(1, sizeof *view);
    char *text = NULL;
    size_t room = 0;
    ensure(view != NULL, "the machine has memory left");
    for (int i = 0; i < DUMP_ROWS_A_CALL && dump->done < dump->count && !dump->cut; i++) {
        struct row *row = dump->row[dump->done++];
        row_open(view, row, row->config);
        size_t length = row_json(view, FAMILY_ALL, row->config->publish_histograms, &text, &room);
        put_line(dump, text, length);
        row_free(row);
    }
    free(text);
    free(view);
}

bool pipeline_dumped(struct pipeline *pipeline, char **text, size_t *length, bool *cut)
{
    struct pipeline_dump *dump = &pipeline->dump;
    if (!dump->at_work || atomic_load_explicit(&dump->waits, memory_order_acquire) > 0)
        return false;
    make_lines(dump);
    if (dump->done < dump->count && !dump->cut)
        return false;
    drop_rows(dump);
    dump->at_work = false;
    *text = dump->text;
    *length = dump->length;
    *cut = dump->cut;
    dump->text = NULL;
    dump->length = dump->room = 0;
    return true;
}
