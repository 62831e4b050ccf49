#include "esteem/checkpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "esteem/err.h"
#include "esteem/log.h"
#include "esteem/manifest.h"

#define ENGINE_VERSION "0.1.0"
enum { CHAIN_MOST = 24, KEPT = 4, BLOCKS_A_STEP = 8, TOLD_MS = 60000 /* the log says the same once a minute */ };
_Static_assert((int)CHAIN_MOST <= (int)STATE_CHAIN_MAX, "a manifest has room for a chain");

enum phase { PHASE_RESTS, PHASE_WRITES, PHASE_SETTLES };

/* One agent's slice. */
struct slice {
    struct ring ring;
    struct state_writer writer;
    struct state_slice chain; /* what lasts, oldest first */
    struct state_file added;  /* by the running checkpoint */
    bool full, done;
};

struct checkpoint {
    struct checkpoint_setup setup;
    char folder[400];
    int lock;
    int slices;
    struct slice *slice;
    enum phase phase;
    bool failed;       /* the running one is given up; its blocks are still taken, and dropped */
    bool renewing;     /* the running one is one of those that checkpoint_renew asked for */
    bool all_full;     /* the next one is: the first, or one was given up */
    uint64_t epoch;    /* of the running one, else of the last */
    int64_t due_ms, begun_ms;
    int64_t told_since_ms; /* of the running one */
    int64_t told_ms;       /* when the log last said why one was given up; 0: never, or one has been written since */
    char told_why[128];    /* and of which kind that was */
    struct manifest *kept[KEPT]; /* newest first */
    int kept_count;
    _Atomic uint64_t wanted, lasting, asked, given_up;
    _Atomic bool ended, recalled;
    _Atomic int64_t life_told_since_ms; /* until the sinks' rows are recalled */
    _Atomic int renew; /* so many more are to be whole */
    _Atomic bool want_full[STATE_SLICES_MAX];
    char config_id[16]; /* that manifests name */
    pthread_mutex_t lock_counts; /* protects counts, config_id */
    struct checkpoint_counts counts;
};

/* ---- life ---- */

static int make_folder(const char *path)
{
    char part[400];
    snprintf(part, sizeof part, "%s", path);
    for (char *slash = part; (slash = strchr(slash + 1, '/')) != NULL; *slash = '/') {
        *slash = 0;
        (void)mkdir(part, 0750);
    }
    return mkdir(part, 0750) == 0 || errno == EEXIST ? 0 : err_set(ERR_IO, "state.folder %s: %s; name a folder that this user may make, or make it for them", path, strerror(errno));
}

static int lock_folder(struct checkpoint *checkpoint)
{
    char path[420];
    snprintf(path, sizeof path, "%s/lock", checkpoint->folder);
    checkpoint->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (checkpoint->lock < 0)
        return err_set(ERR_IO, "state.folder: %s: %s; give the folder and what is in it to this user, or name another", path, strerror(errno));
    if (flock(checkpoint->lock, LOCK_EX | LOCK_NB) != 0)
        return err_set(ERR_FENCED, "state.folder %s is another esteem's (%s is locked); stop it, or name another folder", checkpoint->folder, path);
    return 0;
}

/* What lies there is kept until there is something newer, whatever it is. */
static void keep_what_is_there(struct checkpoint *checkpoint)
{
    uint64_t epochs[STATE_GENERATIONS_MAX];
    int count = manifest_list(checkpoint->folder, epochs);
    for (int i = 0; i < count && checkpoint->kept_count < KEPT - 1; i++) {
        struct manifest *manifest = malloc(sizeof *manifest);
        ensure(manifest != NULL, "the machine has memory left");
        if (manifest_read(checkpoint->folder, epochs[i], manifest) == 0) {
            checkpoint->kept[checkpoint->kept_count++] = manifest;
            continue;
        }
        err_clear();
        free(manifest);
    }
    if (count < 0)
        err_clear();
}

int checkpoint_new(const struct checkpoint_setup *setup, struct checkpoint **out)
{
    struct checkpoint *checkpoint = calloc(1, sizeof *checkpoint);
    ensure(checkpoint != NULL, "the machine has memory left");
    checkpoint->setup = *setup;
    checkpoint->lock = -1;
    checkpoint->all_full = true;
    checkpoint->counts.written_ms = INT64_MIN;
    pthread_mutex_init(&checkpoint->lock_counts, NULL);
    snprintf(checkpoint->config_id, sizeof checkpoint->config_id, "%s", setup->config_id);
    snprintf(checkpoint->folder, sizeof checkpoint->folder, "%s", setup->folder);
    int result = strlen(setup->folder) < sizeof checkpoint->folder ? make_folder(setup->folder) : err_set(ERR_IO, "state.folder: the path is too long");
    if (result == 0)
        result = lock_folder(checkpoint);
    if (result != 0) {
        checkpoint_free(checkpoint);
        return result;
    }
    keep_what_is_there(checkpoint);
    checkpoint->epoch = manifest_next_epoch(checkpoint->folder) - 1;
    atomic_init(&checkpoint->wanted, checkpoint->epoch);
    atomic_init(&checkpoint->life_told_since_ms, INT64_MIN);
    checkpoint->slices = setup->shards + setup->folds;
    checkpoint->slice = aligned_alloc(64, (size_t)checkpoint->slices * sizeof *checkpoint->slice);
    ensure(checkpoint->slice != NULL, "the machine has memory left");
    for (int i = 0; i < checkpoint->slices; i++) {
        struct slice *slice = &checkpoint->slice[i];
        memset(slice, 0, sizeof *slice);
        ring_init(&slice->ring, CHECKPOINT_RING);
        slice->chain.fold = i >= setup->shards;
        slice->chain.index = slice->chain.fold ? i - setup->shards : i;
    }
    checkpoint->due_ms = clock_monotonic_ms(&setup->clock) + setup->every_ms;
    *out = checkpoint;
    return 0;
}

void checkpoint_restored(struct checkpoint *checkpoint, uint64_t epoch)
{
    int kept = 0;
    for (int i = 0; i < checkpoint->kept_count; i++) {
        if (checkpoint->kept[i]->epoch <= epoch)
            checkpoint->kept[kept++] = checkpoint->kept[i];
        else
            free(checkpoint->kept[i]);
    }
    checkpoint->kept_count = kept;
}

void checkpoint_free(struct checkpoint *checkpoint)
{
    if (checkpoint == NULL)
        return;
    for (int i = 0; i < checkpoint->slices; i++) {
        for (struct slice_block *block; (block = ring_pop_spsc(&checkpoint->slice[i].ring)) != NULL;)
            slice_block_free(block);
        ring_close(&checkpoint->slice[i].ring);
        state_writer_drop(&checkpoint->slice[i].writer);
    }
    for (int i = 0; i < checkpoint->kept_count; i++)
        free(checkpoint->kept[i]);
    if (checkpoint->lock >= 0)
        close(checkpoint->lock);
    pthread_mutex_destroy(&checkpoint->lock_counts);
    free(checkpoint->slice);
    free(checkpoint);
}

/* ---- what agents ask ---- */

struct ring *checkpoint_ring(struct checkpoint *checkpoint, int agent)
{
    return &checkpoint->slice[agent].ring;
}

uint64_t checkpoint_wanted(const struct checkpoint *checkpoint, int agent, bool *full)
{
    /* acquire: want_full was written before it was stored */
    uint64_t epoch = atomic_load_explicit(&checkpoint->wanted, memory_order_acquire);
    *full = atomic_load_explicit(&checkpoint->want_full[agent], memory_order_relaxed);
    return epoch;
}

uint64_t checkpoint_lasting(const struct checkpoint *checkpoint)
{
    return atomic_load_explicit(&checkpoint->lasting, memory_order_acquire);
}

uint64_t checkpoint_given_up(const struct checkpoint *checkpoint)
{
    return atomic_load_explicit(&checkpoint->given_up, memory_order_acquire);
}

uint64_t checkpoint_now(struct checkpoint *checkpoint)
{
    uint64_t next = atomic_load_explicit(&checkpoint->wanted, memory_order_acquire) + 1; /* the running one may have begun too early */
    atomic_store_explicit(&checkpoint->asked, next, memory_order_release);
    return next;
}

void checkpoint_renew(struct checkpoint *checkpoint)
{
    atomic_store_explicit(&checkpoint->renew, 2, memory_order_release);
    (void)checkpoint_now(checkpoint);
}

void checkpoint_end(struct checkpoint *checkpoint)
{
    atomic_store_explicit(&checkpoint->ended, true, memory_order_release);
}

void checkpoint_told_since(struct checkpoint *checkpoint, int64_t since_ms)
{
    atomic_store_explicit(&checkpoint->life_told_since_ms, since_ms, memory_order_relaxed);
}

void checkpoint_recalled(struct checkpoint *checkpoint)
{
    atomic_store_explicit(&checkpoint->recalled, true, memory_order_release);
}

void checkpoint_configured(struct checkpoint *checkpoint, const char *config_id)
{
    pthread_mutex_lock(&checkpoint->lock_counts);
    snprintf(checkpoint->config_id, sizeof checkpoint->config_id, "%s", config_id);
    pthread_mutex_unlock(&checkpoint->lock_counts);
}

struct checkpoint_counts checkpoint_counts(struct checkpoint *checkpoint)
{
    pthread_mutex_lock(&checkpoint->lock_counts);
    struct checkpoint_counts counts = checkpoint->counts;
    pthread_mutex_unlock(&checkpoint->lock_counts);
    return counts;
}

/* ---- one checkpoint ---- */

/* A chain grows until its increments are as large as its beginning. */
static bool wants_full(const struct checkpoint *checkpoint, const struct state_slice *chain)
{
    uint64_t added = 0;
    for (int f = 1; f < chain->files; f++)
        added += chain->file[f].bytes;
    return checkpoint->all_full || chain->files == 0 || chain->files >= CHAIN_MOST || added > chain->file[0].bytes;
}

static void begin(struct checkpoint *checkpoint)
{
    checkpoint->epoch++;
    checkpoint->phase = PHASE_WRITES;
    checkpoint->failed = false;
    checkpoint->begun_ms = clock_monotonic_ms(&checkpoint->setup.clock);
    /* acquire: the folds have made what was recalled; what is told from now on may be told in vain */
    bool recalled = atomic_load_explicit(&checkpoint->recalled, memory_order_acquire);
    checkpoint->told_since_ms = recalled ? clock_wall_ms(&checkpoint->setup.clock) - TOLD_MARGIN_MS
                                         : atomic_load_explicit(&checkpoint->life_told_since_ms, memory_order_relaxed);
    bool full = false; /* all together, so that the generation before shares no file with this one */
    for (int i = 0; i < checkpoint->slices; i++)
        full |= wants_full(checkpoint, &checkpoint->slice[i].chain);
    checkpoint->renewing = atomic_load_explicit(&checkpoint->renew, memory_order_acquire) > 0;
    full |= checkpoint->renewing;
    for (int i = 0; i < checkpoint->slices; i++) {
        checkpoint->slice[i].done = false;
        atomic_store_explicit(&checkpoint->want_full[i], full, memory_order_relaxed);
    }
    crash_point("checkpoint.begun");
    /* release: want_full is visible to checkpoint_wanted's acquire */
    atomic_store_explicit(&checkpoint->wanted, checkpoint->epoch, memory_order_release);
}

/* A kind of fault is what the trail ends with ("No space left on device"): before it are names of files, others for each checkpoint. */
static bool is_news(struct checkpoint *checkpoint, const char *text)
{
    const char *colon = strrchr(text, ':'), *why = colon ? colon : text;
    int64_t now_ms = clock_monotonic_ms(&checkpoint->setup.clock);
    size_t most = sizeof checkpoint->told_why - 1;
    if (checkpoint->told_ms && now_ms - checkpoint->told_ms < TOLD_MS && strncmp(checkpoint->told_why, why, most) == 0)
        return false;
    checkpoint->told_ms = now_ms;
    snprintf(checkpoint->told_why, sizeof checkpoint->told_why, "%s", why);
    return true;
}

static void give_up(struct checkpoint *checkpoint)
{
    if (!checkpoint->failed && is_news(checkpoint, err_text()))
        log_error("checkpoint.failed", "%s; this checkpoint is given up, the next one is tried in %" PRId64 " s; until then a kill is made good from"
                  " the last one", err_text(), checkpoint->setup.every_ms / 1000);
    err_clear();
    checkpoint->failed = true;
    for (int i = 0; i < checkpoint->slices; i++)
        state_writer_drop(&checkpoint->slice[i].writer);
}

static int write_block(struct checkpoint *checkpoint, struct slice *slice, const struct slice_block *block)
{
    int result = 0;
    if (block->broken)
        return err_set(ERR_IO, "the disk of %s takes too long: what changed meanwhile would outgrow its share of limits.memory", checkpoint->folder);
    if (slice->writer.disk == NULL) {
        char name[STATE_NAME_MAX];
        snprintf(name, sizeof name, "%010" PRIu64 "-%s-%d.slice", checkpoint->epoch, slice->chain.fold ? "fold" : "shard", slice->chain.index);
        result = state_writer_open(&slice->writer, checkpoint->folder, name, &checkpoint->setup.disk);
    }
    if (result == 0)
        result = state_writer_put(&slice->writer, block);
    if (result == 0 && block->last)
        result = state_writer_close(&slice->writer, &slice->added);
    return result;
}

static int take_blocks(struct checkpoint *checkpoint, struct slice *slice)
{
    int count = 0;
    for (struct slice_block *block; count < BLOCKS_A_STEP && (block = ring_pop_spsc(&slice->ring)) != NULL; count++) {
        if (!checkpoint->failed && write_block(checkpoint, slice, block) != 0)
            give_up(checkpoint);
        slice->done = block->last;
        slice->full = block->full;
        slice_block_free(block);
    }
    return count;
}

static bool all_done(const struct checkpoint *checkpoint)
{
    for (int i = 0; i < checkpoint->slices; i++)
        if (!checkpoint->slice[i].done)
            return false;
    return true;
}

static void rest(struct checkpoint *checkpoint)
{
    checkpoint->phase = PHASE_RESTS;
    checkpoint->due_ms = clock_monotonic_ms(&checkpoint->setup.clock) + checkpoint->setup.every_ms;
}

static void count(struct checkpoint *checkpoint, uint64_t bytes)
{
    pthread_mutex_lock(&checkpoint->lock_counts);
    checkpoint->counts.failed += bytes == 0;
    if (bytes) {
        checkpoint->counts.written++;
        checkpoint->counts.bytes = bytes;
        checkpoint->counts.written_ms = clock_monotonic_ms(&checkpoint->setup.clock);
    }
    pthread_mutex_unlock(&checkpoint->lock_counts);
}

static void end_failed(struct checkpoint *checkpoint)
{
    checkpoint->all_full = true;
    count(checkpoint, 0);
    const struct manifest *const *keep = (const struct manifest *const *)checkpoint->kept;
    manifest_sweep(checkpoint->folder, keep, checkpoint->kept_count, checkpoint->epoch); /* room for the next one */
    atomic_store_explicit(&checkpoint->given_up, checkpoint->epoch, memory_order_release);
    rest(checkpoint);
}

static void time_text(int64_t ms, char *text, size_t room)
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm utc;
    gmtime_r(&seconds, &utc);
    strftime(text, room, "%Y-%m-%dT%H:%M:%SZ", &utc);
}

static struct manifest *describe(struct checkpoint *checkpoint)
{
    struct manifest *manifest = calloc(1, sizeof *manifest);
    ensure(manifest != NULL, "the machine has memory left");
    manifest->epoch = checkpoint->epoch;
    manifest->told_since_ms = checkpoint->told_since_ms;
    time_text(clock_wall_ms(&checkpoint->setup.clock), manifest->written, sizeof manifest->written);
    snprintf(manifest->engine, sizeof manifest->engine, "%s", ENGINE_VERSION);
    snprintf(manifest->group, sizeof manifest->group, "%s", checkpoint->setup.group);
    for (char *at = manifest->group; *at; at++)
        *at = *at < ' ' ? '_' : *at; /* a line of its own */
    pthread_mutex_lock(&checkpoint->lock_counts);
    snprintf(manifest->config, sizeof manifest->config, "%s", checkpoint->config_id);
    pthread_mutex_unlock(&checkpoint->lock_counts);
    manifest->slices = checkpoint->slices;
    manifest->shards = checkpoint->setup.shards;
    manifest->folds = checkpoint->setup.folds;
    for (int i = 0; i < checkpoint->slices; i++) {
        const struct slice *slice = &checkpoint->slice[i];
        manifest->slice[i] = slice->chain;
        if (slice->full)
            manifest->slice[i].files = 0;
        manifest->slice[i].file[manifest->slice[i].files++] = slice->added;
    }
    return manifest;
}

static bool shares_files(const struct manifest *a, const struct manifest *b)
{
    for (int s = 0; s < a->slices && s < b->slices; s++)
        if (strcmp(a->slice[s].file[0].name, b->slice[s].file[0].name) == 0)
            return true;
    return false;
}

/* The newest two generations, and the newest that shares no file with the newest. */
static void keep(struct checkpoint *checkpoint, struct manifest *newest)
{
    struct manifest *old[KEPT], *apart = NULL;
    int count = checkpoint->kept_count;
    memcpy(old, checkpoint->kept, sizeof old);
    checkpoint->kept[0] = newest;
    checkpoint->kept_count = 1;
    for (int i = 0; i < count; i++) {
        bool previous = i == 0, other = apart == NULL && !shares_files(newest, old[i]);
        if (other)
            apart = old[i];
        if (previous || other)
            checkpoint->kept[checkpoint->kept_count++] = old[i];
        else
            free(old[i]);
    }
}

static void end_written(struct checkpoint *checkpoint)
{
    struct manifest *manifest = describe(checkpoint);
    if (manifest_write(checkpoint->folder, &checkpoint->setup.disk, manifest) != 0) {
        give_up(checkpoint);
        free(manifest);
        end_failed(checkpoint);
        return;
    }
    uint64_t bytes = 0;
    for (int i = 0; i < checkpoint->slices; i++) {
        checkpoint->slice[i].chain = manifest->slice[i];
        for (int f = 0; f < manifest->slice[i].files; f++)
            bytes += manifest->slice[i].file[f].bytes;
    }
    checkpoint->all_full = false;
    checkpoint->told_ms = 0;
    if (checkpoint->renewing)
        atomic_fetch_sub_explicit(&checkpoint->renew, 1, memory_order_relaxed);
    keep(checkpoint, manifest);
    count(checkpoint, bytes);
    atomic_store_explicit(&checkpoint->lasting, checkpoint->epoch, memory_order_release);
    manifest_sweep(checkpoint->folder, (const struct manifest *const *)checkpoint->kept, checkpoint->kept_count, 0);
    crash_point("old.removed");
    log_debug("checkpoint.written", "epoch %" PRIu64 ", %" PRIu64 " bytes, in %" PRId64 " ms", checkpoint->epoch, bytes,
              clock_monotonic_ms(&checkpoint->setup.clock) - checkpoint->begun_ms);
    rest(checkpoint);
}

static bool is_due(const struct checkpoint *checkpoint)
{
    if (atomic_load_explicit(&checkpoint->asked, memory_order_acquire) > checkpoint->epoch)
        return true;
    return clock_monotonic_ms(&checkpoint->setup.clock) >= checkpoint->due_ms && !atomic_load_explicit(&checkpoint->ended, memory_order_acquire);
}

int checkpoint_step(struct checkpoint *checkpoint)
{
    int done = 0;
    switch (checkpoint->phase) {
    case PHASE_RESTS:
        if (!is_due(checkpoint))
            return 0;
        begin(checkpoint);
        return 1;
    case PHASE_WRITES:
        for (int i = 0; i < checkpoint->slices; i++)
            done += take_blocks(checkpoint, &checkpoint->slice[i]);
        if (!all_done(checkpoint))
            return done;
        if (checkpoint->failed)
            end_failed(checkpoint);
        else
            checkpoint->phase = PHASE_SETTLES;
        crash_point("slices.written");
        return done + 1;
    case PHASE_SETTLES:
        if (checkpoint->setup.settled && !checkpoint->setup.settled(checkpoint->setup.context))
            return 0;
        end_written(checkpoint);
        return 1;
    }
    return 0;
}
