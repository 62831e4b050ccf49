/* shadow_run: the engine of a shadow: run.c's, with the shadow's configuration and a part of the feed.
 *
 *     from the checkpoint, or --from ──> to the end ──drain, checkpoint, `finished`──> done
 *                                                                         └──--follow──> time.mode of NEW.yaml, without an end
 *
 * Calendar windows are not closed at the end, as `run --until-end` would: the live engine may go on from this state. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "esteem/err.h"
#include "esteem/event.h"
#include "esteem/log.h"
#include "shadow_parts.h"

enum { STATUS_EVERY_S = 10, STATUS_FIRST_S = 1, DRAIN_MS = 120000, LOOK_MS = 50 };

enum outcome { FAILED = -1, STOPPED, READ_TO_END };

struct progress {
    int64_t messages; /* of the spans; 0: there are none */
    int64_t first_left; /* when this life began; -1: not known yet */
    int64_t begun_ms;
};

void shadow_finished_path(const struct shadow *shadow, char path[SHADOW_PATH_MAX])
{
    snprintf(path, SHADOW_PATH_MAX, "%s/finished", shadow->config->state_folder);
}

/* ---- what it says ---- */

static int64_t monotonic_ms(void)
{
    struct clock clock = clock_real();
    return clock_monotonic_ms(&clock);
}

static void tell_progress(struct run *run, struct progress *progress)
{
    char watermark[TIME_TEXT_MAX] = "none";
    struct pipeline_counts counts = pipeline_counts(run_pipeline(run));
    int64_t left = run_left(run);
    if (counts.folds.watermark_ms != INT64_MIN && counts.folds.watermark_ms != INT64_MAX)
        event_time_format(counts.folds.watermark_ms, watermark);
    if (progress->messages == 0 || left < 0)
        log_info("shadow.progress", "%" PRIu64 " events applied, watermark %s", counts.shards.applied, watermark);
    else
        log_info("shadow.progress", "%.1f %% of %" PRId64 " messages read, %" PRIu64 " events applied, watermark %s, %" PRIu64 " MiB held",
                 100.0 * (double)(progress->messages - left) / (double)progress->messages, progress->messages, counts.shards.applied, watermark,
                 memory_resident() >> 20);
    run_status(run);
}

/* Once, when it is known where this life begins. */
static void tell_begin(struct run *run, struct progress *progress)
{
    int64_t left = run_left(run);
    if (progress->first_left >= 0 || left < 0 || progress->messages == 0)
        return;
    int64_t read = (int64_t)pipeline_counts(run_pipeline(run)).shards.messages; /* already, before anybody looked */
    progress->first_left = left + read < progress->messages ? left + read : progress->messages;
    log_info("shadow.begun", "%" PRId64 " of %" PRId64 " messages are to be read%s", progress->first_left, progress->messages,
             progress->first_left < progress->messages ? ", the others were read before" : "");
}

/* ---- until its end ---- */

static enum outcome wait_for_end(struct run *run, const sigset_t *signals, struct progress *progress)
{
    time_t due = time(NULL) + STATUS_FIRST_S;
    for (;;) {
        int signal = sigtimedwait(signals, NULL, &(struct timespec){0, LOOK_MS * 1000000L});
        if (signal == SIGTERM || signal == SIGINT)
            return STOPPED;
        if (signal == SIGHUP)
            log_warn("shadow.reload", "a shadow keeps the configuration of its start; stop it, drop it and begin again");
        if (run_check(run) != 0)
            return FAILED;
        tell_begin(run, progress);
        if (progress->messages && run_at_end(run))
            return READ_TO_END;
        if (time(NULL) < due)
            continue;
        tell_progress(run, progress);
        due = time(NULL) + STATUS_EVERY_S;
    }
}

/* Why it failed counts, not what could not be published any more. */
static enum outcome give_up(struct run *run)
{
    char text[1024];
    int code = (int)err_code();
    snprintf(text, sizeof text, "%s", err_text());
    (void)run_stop(run, END_DRAIN, 0);
    (void)err_set(code, "%s", text);
    return FAILED;
}

/* One life of the engine. With spans it ends by itself. */
static enum outcome live(const struct config *config, const struct run_span *span, int spans, const sigset_t *signals)
{
    struct progress progress = {.messages = spans ? shadow_messages(span, spans) : 0, .first_left = -1, .begun_ms = monotonic_ms()};
    struct run *run = NULL;
    if (run_start_spans(config, NULL, span, spans, &run) != 0)
        return FAILED;
    enum outcome outcome = wait_for_end(run, signals, &progress);
    if (outcome == FAILED)
        return give_up(run);
    tell_progress(run, &progress);
    struct pipeline_counts counts = pipeline_counts(run_pipeline(run));
    if (run_stop(run, outcome == READ_TO_END ? END_REFRESH : END_DRAIN, DRAIN_MS) != 0)
        return FAILED;
    if (outcome == READ_TO_END)
        log_info("shadow.done", "read to the end in %.1f s: %" PRId64 " messages, %" PRIu64 " events applied, %" PRIu64 " duplicates, %" PRIu64 " refused",
                 (double)(monotonic_ms() - progress.begun_ms) / 1000, (int64_t)counts.shards.messages, counts.shards.applied, counts.shards.duplicates, counts.shards.refused);
    return outcome;
}

/* ---- the mark that it is finished ---- */

static int mark_finished(const struct shadow *shadow)
{
    char path[SHADOW_PATH_MAX];
    shadow_finished_path(shadow, path);
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    bool good = file >= 0 && fsync(file) == 0;
    if (file >= 0 && close(file) != 0)
        good = false;
    return good ? 0 : err_set(ERR_IO, "%s: %s", path, strerror(errno));
}

static int unmark_finished(const struct shadow *shadow)
{
    char path[SHADOW_PATH_MAX];
    shadow_finished_path(shadow, path);
    return unlink(path) == 0 || errno == ENOENT ? 0 : err_set(ERR_IO, "%s: %s", path, strerror(errno));
}

/* The live engine may never have run, and made no folder. */
static int make_folder(const struct shadow *shadow)
{
    const char *folder = shadow->live->state_folder;
    return mkdir(folder, 0750) == 0 || errno == EEXIST ? 0 : err_set(ERR_IO, "state.folder %s: %s", folder, strerror(errno));
}

/* ---- all of it ---- */

/* To the end, and then behind what comes. */
static int go(const struct shadow *shadow, const struct run_span *span, int spans, const sigset_t *signals)
{
    int result = unmark_finished(shadow);
    enum outcome outcome = result == 0 ? live(shadow->config, span, spans, signals) : FAILED;
    if (outcome == READ_TO_END && shadow->follow) {
        shadow->config->time_mode = shadow->live->time_mode;
        log_info("shadow.follows", "it has caught up, and goes on with what comes");
        outcome = live(shadow->config, NULL, 0, signals);
        outcome = outcome == STOPPED ? READ_TO_END : outcome;
    }
    if (outcome == READ_TO_END)
        return mark_finished(shadow);
    if (outcome == STOPPED)
        log_info("shadow.stopped", "before its end; begun again, it goes on where it was");
    return outcome == FAILED ? (int)err_code() : 0;
}

int shadow_run(const struct shadow *shadow)
{
    struct run_span *span = NULL;
    int spans = 0;
    sigset_t signals;
    int result = run_begin(shadow->config, &signals);
    if (result == 0)
        result = make_folder(shadow);
    if (result == 0)
        result = shadow_spans(shadow, &span, &spans);
    if (result == 0 && shadow_messages(span, spans) == 0)
        result = err_set(ERR_KAFKA, "the topics have no messages %s", shadow->from_ms == INT64_MIN ? "at all" : "of that time");
    if (result == 0)
        result = go(shadow, span, spans, &signals);
    free(span);
    return result;
}
