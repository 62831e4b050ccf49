/* Checkpoints in the pipeline: agents look whether one is wanted, and push what they write to the state thread.
 *
 *   checkpoint ─wanted─> shards ─barrier─> shards ─barrier─> folds
 *        <──────────── blocks of slices ────┴────────────────┘ */
#include "pipeline_parts.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "esteem/err.h"
#include "esteem/log.h"
#include "esteem/manifest.h"

enum { FOLD_STEP_BYTES = 256 << 10, FOLD_BLOCKS_MOST = 16, WRITER_NICE = 5, STATE_NAP_NS = 5000000 };

/* ---- writing ---- */

static int hand_on(struct pipeline *pipeline, struct slice_out *out, int agent)
{
    int done = 0;
    struct ring *ring = checkpoint_ring(pipeline->setup.checkpoint, agent);
    for (; slice_ready(out) && ring_count(ring) < CHECKPOINT_RING; done++) /* there is room: nobody else pushes */
        ensure(ring_push_spsc(ring, slice_take(out)), "a ring that has room takes a block");
    return done;
}

int shard_agent_state(struct shard_agent *agent)
{
    struct checkpoint *checkpoint = agent->pipeline->setup.checkpoint;
    if (checkpoint == NULL)
        return 0;
    int self = (int)(agent - agent->pipeline->shard);
    bool full;
    uint64_t wanted = checkpoint_wanted(checkpoint, self, &full), lasting = checkpoint_lasting(checkpoint);
    if (lasting != agent->lasting) {
        shard_checkpoint_lasts(agent->shard, lasting);
        agent->lasting = lasting;
    }
    if (wanted != agent->epoch) {
        shard_checkpoint(agent->shard, wanted, full);
        agent->epoch = wanted;
    }
    return hand_on(agent->pipeline, shard_slice(agent->shard), self);
}

void fold_agent_barrier(struct fold_agent *agent, int s, uint64_t barrier)
{
    struct pipeline *pipeline = agent->pipeline;
    if (barrier == 0 || pipeline->setup.checkpoint == NULL)
        return;
    agent->arrived[s] = true;
    for (int i = 0; i < pipeline->setup.shards; i++)
        if (!agent->arrived[i])
            return;
    memset(agent->arrived, 0, sizeof agent->arrived);
    bool full;
    (void)checkpoint_wanted(pipeline->setup.checkpoint, pipeline->setup.shards + agent->index, &full);
    fold_dump_begin(agent->fold, full, &agent->out);
}

int fold_agent_state(struct fold_agent *agent)
{
    if (agent->pipeline->setup.checkpoint == NULL)
        return 0;
    int done = hand_on(agent->pipeline, &agent->out, agent->pipeline->setup.shards + agent->index);
    return agent->out.main.blocks > FOLD_BLOCKS_MOST ? done : done + fold_dump_step(agent->fold, FOLD_STEP_BYTES);
}

void *state_thread(void *context)
{
    struct pipeline *pipeline = context;
    (void)setpriority(PRIO_PROCESS, 0, WRITER_NICE); /* on Linux of this thread alone: where processors are short, figures go before files */
    while (!atomic_load_explicit(&pipeline->state_stop, memory_order_relaxed))
        if (checkpoint_step(pipeline->setup.checkpoint) == 0)
            nanosleep(&(struct timespec){0, STATE_NAP_NS}, NULL);
    return NULL;
}

bool pipeline_checkpoint(struct pipeline *pipeline, int64_t within_ms)
{
    struct checkpoint *checkpoint = pipeline->setup.checkpoint;
    if (checkpoint == NULL)
        return true;
    int64_t until_ms = clock_monotonic_ms(&pipeline->setup.clock) + within_ms;
    uint64_t epoch = checkpoint_now(checkpoint);
    while (checkpoint_lasting(checkpoint) < epoch) {
        if (checkpoint_given_up(checkpoint) >= epoch || !pipeline_may_wait(pipeline, until_ms))
            return false;
        pipeline_wait(pipeline);
    }
    return true;
}

/* ---- reading ---- */

static int each_shard_item(void *context, struct slice_item *item)
{
    return shard_load_item(context, item);
}

static int each_fold_item(void *context, struct slice_item *item)
{
    return fold_load_item(context, item) ? 0 : err_set(ERR_DATA, "an item of kind %d is not well-formed, or of a newer version of esteem", (int)item->kind);
}

static int read_chain(const char *folder, const struct state_slice *slice, state_each *each, void *load)
{
    int result = 0;
    for (int f = 0; f < slice->files && result == 0; f++)
        result = state_file_read(folder, &slice->file[f], each, load);
    return result;
}

static void add_inputs(struct pipeline *pipeline, struct shard_input *inputs, int count)
{
    pipeline->restored = realloc(pipeline->restored, (size_t)(pipeline->restored_count + count + 1) * sizeof *inputs);
    ensure(pipeline->restored != NULL, "the machine has memory left");
    if (count)
        memcpy(pipeline->restored + pipeline->restored_count, inputs, (size_t)count * sizeof *inputs);
    pipeline->restored_count += count;
    free(inputs);
}

/* Folds are read twice: their keys first, which a shard's records have to find admitted; then, while the shards are read, panes and cells, which are
 * most of it. A chain is of one life, so its files name things alike. */
struct folds_load {
    struct pipeline *pipeline;
    const char *folder;
    const struct manifest *manifest;
    struct fold *fold[FOLD_MAX];
    struct fold_load *load[STATE_FOLDS_MAX];
    int loads, result;
    char text[ERR_TEXT_MAX];
};

static bool is_figure(const struct slice_item *item)
{
    return item->kind == SLICE_PANE || item->kind == SLICE_PANE_GONE || item->kind == SLICE_CELL || item->kind == SLICE_CELL_GONE;
}

static int each_key_item(void *context, struct slice_item *item)
{
    return is_figure(item) ? 0 : each_fold_item(context, item);
}

static int each_figure_item(void *context, struct slice_item *item)
{
    return is_figure(item) ? each_fold_item(context, item) : 0;
}

/* `known`: the measures that its writer knew. */
static int load_keys(struct folds_load *folds, uint64_t known[4])
{
    struct pipeline *pipeline = folds->pipeline;
    int result = 0;
    for (int f = 0; f < pipeline->setup.folds; f++)
        folds->fold[f] = pipeline->fold[f].fold;
    for (int s = folds->manifest->shards; s < folds->manifest->slices && result == 0; s++) {
        struct fold_load *load = folds->load[folds->loads++] = fold_load_new(folds->fold, pipeline->setup.folds, pipeline->registry);
        result = read_chain(folds->folder, &folds->manifest->slice[s], each_key_item, load);
        fold_load_known(load, known);
    }
    return result;
}

static void *load_figures(void *context)
{
    struct folds_load *folds = context;
    for (int i = 0; i < folds->loads && folds->result == 0; i++)
        folds->result = read_chain(folds->folder, &folds->manifest->slice[folds->manifest->shards + i], each_figure_item, folds->load[i]);
    for (int i = 0; i < folds->loads; i++)
        fold_load_end(folds->load[i]);
    for (int f = 0; f < folds->pipeline->setup.folds && folds->result == 0; f++)
        fold_restored(folds->fold[f]);
    snprintf(folds->text, sizeof folds->text, "%s", err_text()); /* the trail is this thread's */
    return NULL;
}

static int load_shards(struct pipeline *pipeline, const char *folder, const struct manifest *manifest, const uint64_t known[4])
{
    struct shard *shard[SHARD_MAX];
    struct shard_load *load[STATE_SHARDS_MAX];
    int result = 0, loads = 0;
    for (int s = 0; s < pipeline->setup.shards; s++)
        shard[s] = pipeline->shard[s].shard;
    for (; loads < manifest->shards && result == 0; loads++) {
        load[loads] = shard_load_new(shard, pipeline->setup.shards, loads, manifest->shards, known);
        result = read_chain(folder, &manifest->slice[loads], each_shard_item, load[loads]);
        shard_load_read(load[loads]);
    }
    for (int s = 0; s < loads; s++) {
        int count;
        struct shard_input *inputs = shard_load_end(load[s], &count);
        add_inputs(pipeline, inputs, count);
    }
    for (int s = 0; s < pipeline->setup.shards && result == 0; s++)
        shard_restored(shard[s], pipeline->restored, pipeline->restored_count);
    return result;
}

static int load_slices(struct pipeline *pipeline, const char *folder, const struct manifest *manifest, uint64_t known[4])
{
    struct folds_load folds = {.pipeline = pipeline, .folder = folder, .manifest = manifest};
    pthread_t thread;
    folds.result = load_keys(&folds, known);
    bool beside = folds.result == 0 && pthread_create(&thread, NULL, load_figures, &folds) == 0;
    int result = beside ? load_shards(pipeline, folder, manifest, known) : 0;
    if (beside)
        pthread_join(thread, NULL);
    else
        (void)load_figures(&folds);
    if (!beside && folds.result == 0)
        result = load_shards(pipeline, folder, manifest, known);
    return result == 0 && folds.result != 0 ? err_set((enum err)folds.result, "%s", folds.text) : result;
}

/* The folds' roster is that of the shards. */
static void tell_folds(struct pipeline *pipeline)
{
    struct batch *batch = batch_new(0);
    shard_roster(pipeline->shard[0].shard, batch);
    for (int f = 0; f < pipeline->setup.folds; f++)
        fold_apply(pipeline->fold[f].fold, batch);
    batch_free(batch);
}

static int check_files(const char *folder, const struct manifest *manifest)
{
    int result = 0;
    for (int s = 0; s < manifest->slices; s++)
        for (int f = 0; f < manifest->slice[s].files && result == 0; f++)
            result = state_file_check(folder, &manifest->slice[s].file[f]);
    return result;
}

/* What an older version did not count comes for the interactions that are kept (ledger.c); what was before them stays away. */
static void tell_of_upgrade(const uint64_t known[4])
{
    if (!(known[MEASURE_active_agents / 64] >> MEASURE_active_agents % 64 & 1))
        log_warn("restore.agents", "the checkpoint is of a version that did not count distinct agents: active_agents and handling_agents of windows that began"
                 " before the oldest interaction kept (retention.interaction; retention.ids outside any) are too low");
}

static int64_t load(struct pipeline *pipeline, const char *folder, uint64_t epoch)
{
    struct manifest *manifest = malloc(sizeof *manifest);
    ensure(manifest != NULL, "the machine has memory left");
    uint64_t known[4] = {0};
    int result = manifest_read(folder, epoch, manifest);
    if (result == 0)
        result = check_files(folder, manifest);
    if (result == 0)
        result = load_slices(pipeline, folder, manifest, known);
    if (result == 0) {
        pipeline->told_since_ms = manifest->told_since_ms;
        tell_of_upgrade(known);
        tell_folds(pipeline);
    }
    free(manifest);
    return result == 0 ? (int64_t)epoch : result;
}

int64_t pipeline_restore(struct pipeline *pipeline, const char *folder, uint64_t *before)
{
    uint64_t epochs[STATE_GENERATIONS_MAX];
    int count = manifest_list(folder, epochs), first = 0;
    while (first < count && epochs[first] >= *before)
        first++;
    if (first >= count) {
        *before = 0;
        return count < 0 ? count : count == 0 ? 0 : err_set(ERR_DATA, "%s has no older checkpoint", folder);
    }
    int64_t result = load(pipeline, folder, epochs[first]);
    if (result < 0) {
        (void)err_note("epoch %llu", (unsigned long long)epochs[first]);
        *before = first + 1 < count ? epochs[first] : 0;
    }
    return result;
}

int64_t pipeline_told_since(const struct pipeline *pipeline)
{
    return pipeline->told_since_ms;
}

int64_t pipeline_restored_offset(const struct pipeline *pipeline, const char *topic, int32_t partition, bool *topic_known)
{
    *topic_known = false;
    for (int i = 0; i < pipeline->restored_count; i++) {
        if (strcmp(pipeline->restored[i].topic, topic) != 0)
            continue;
        if (pipeline->restored[i].partition == partition) {
            *topic_known = false; /* it is no new one, wherever it stood */
            return pipeline->restored[i].next;
        }
        *topic_known = true;
    }
    return -1;
}
