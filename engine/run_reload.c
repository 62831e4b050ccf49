/* A reload: read, held against what is in force, taken over by each agent between two batches, told.
 *
 *   SIGHUP, esteem ctl reload, a change of the file ─> config_load ─faults─> told, counted, nothing changes
 *                                                          └─> plan ─> live_config ─> agents ─> told when all have it
 *
 * Signal and change are followed once the files stand still: whoever writes them may be half way. What needs a restart keeps its old value
 * (plan.h); all else takes effect. */
#include "run_parts.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "esteem/err.h"
#include "esteem/log.h"

enum { WATCH_MS = 500 };

/* ---- files ---- */

static struct file_look look_at(const char *path)
{
    struct stat is;
    if (path == NULL || *path == 0 || stat(path, &is) != 0)
        return (struct file_look){0};
    return (struct file_look){.modified_s = is.st_mtim.tv_sec, .modified_ns = is.st_mtim.tv_nsec, .bytes = is.st_size, .inode = is.st_ino};
}

static bool looks_same(const struct file_look *a, const struct file_look *b)
{
    return a->modified_s == b->modified_s && a->modified_ns == b->modified_ns && a->bytes == b->bytes && a->inode == b->inode;
}

static void look(struct run *run)
{
    run->reloading.file = look_at(run->reloading.path);
    run->reloading.roster = look_at(run_config(run)->roster_file);
    run->reloading.mappings_tried = run_mappings_look(run_config(run));
}

/* One that is being replaced is not there for a moment, and one that is being written is another with the next look: they are looked at again. */
static bool files_stand(struct run *run)
{
    struct reloading *reloading = &run->reloading;
    struct file_look file = look_at(reloading->path), roster = look_at(run_config(run)->roster_file);
    uint64_t mappings = run_mappings_look(run_config(run));
    bool stand = looks_same(&file, &reloading->file_before) && looks_same(&roster, &reloading->roster_before) && mappings == reloading->mappings_before;
    reloading->look_ms = clock_monotonic_ms(&run->clock);
    reloading->file_before = file;
    reloading->roster_before = roster;
    reloading->mappings_before = mappings;
    return stand;
}

/* Of files that stand. */
static bool files_changed(const struct reloading *reloading)
{
    return reloading->file_before.inode != 0 &&
           (!looks_same(&reloading->file_before, &reloading->file) || !looks_same(&reloading->roster_before, &reloading->roster) ||
            reloading->mappings_before != reloading->mappings_tried);
}

void run_reload_signalled(struct run *run)
{
    if (run->reloading.signalled)
        return;
    run->reloading.signalled = true;
    (void)files_stand(run);
}

/* ---- scopes: a bound (run_parts.h) ---- */

static uint64_t scopes_hash(const struct config *config)
{
    return XXH3_64bits(config->scope, (size_t)config->scope_count * sizeof *config->scope);
}

/* False: it is one too many. */
static bool scopes_see(struct reloading *reloading, const struct config *config)
{
    uint64_t hash = scopes_hash(config);
    for (int i = 0; i < reloading->scopes_count; i++)
        if (reloading->scopes_seen[i] == hash)
            return true;
    if (reloading->scopes_count == SCOPE_LISTS_SEEN_MAX)
        return false;
    reloading->scopes_seen[reloading->scopes_count++] = hash;
    return true;
}

void run_reload_open(struct run *run, const char *path)
{
    run->reloading.path = path;
    (void)scopes_see(&run->reloading, run->config);
    look(run);
    run->reloading.mappings = run->reloading.mappings_tried;
}

void run_reload_close(struct run *run)
{
    plan_close(&run->reloading.plan);
    free(run->reloading.answer);
}

/* ---- reading ---- */

/* What there is to say is gathered in memory: it goes to the log, line by line, and to who asked. */
struct report {
    char *text;
    size_t length;
    FILE *out;
};

static void report_open(struct report *report)
{
    *report = (struct report){.text = NULL};
    report->out = open_memstream(&report->text, &report->length);
    ensure(report->out != NULL, "the machine has memory left");
}

static void report_finish(struct report *report)
{
    ensure(fclose(report->out) == 0, "the machine has memory left");
}

static void report_log(const struct report *report, enum log_level level, const char *event)
{
    char *copy = strdup(report->text), *rest = NULL;
    ensure(copy != NULL, "the machine has memory left");
    for (char *line = strtok_r(copy, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
        log_line(level, event, "%s", line);
    free(copy);
}

static void refuse(struct run *run, struct control_client *client, struct report *report, bool dry)
{
    fprintf(report->out, "%s", dry ? "such a reload would be refused: the configuration in force would stay\n" : "refused: the old configuration stays\n");
    report_finish(report);
    if (!dry) {
        run->reloading.refused++;
        report_log(report, LOG_ERROR, "reload.refused");
    }
    if (client)
        control_answer_text(client, false, report->text, report->length);
    free(report->text);
}

/* ---- taking over ---- */

static void take_over(struct run *run, struct config *next, struct plan *plan)
{
    struct reloading *reloading = &run->reloading;
    run_log(next);
    plan_close(&reloading->plan);
    reloading->plan = *plan;
    reloading->under_way = true;
    reloading->begun_ms = clock_monotonic_ms(&run->clock);
    /* release: whoever reads it sees the whole configuration */
    atomic_store_explicit(&run->live_config, next, memory_order_release);
    if (run->checkpoint)
        checkpoint_configured(run->checkpoint, next->id);
    pipeline_reload(run->pipeline, next);
}

/* "1 change needs a restart" */
static const char *restarts_text(int restarts, char text[48])
{
    snprintf(text, 48, "%d change%s a restart", restarts, restarts == 1 ? " needs" : "s need");
    return text;
}

/* Files beside the configuration, which leave its id as it is. */
static const char *files_text(const struct plan *plan)
{
    return plan->mappings && plan->roster ? ", with changed programs of mappings and a changed roster.file"
         : plan->mappings                 ? ", with changed programs of mappings"
         : plan->roster                   ? ", with a changed roster.file"
                                          : "";
}

/* Nothing to take over: an answer at once. */
static void tell_unchanged(struct run *run, struct control_client *client, struct report *report, bool dry)
{
    report_finish(report);
    if (!dry) {
        run->reloading.unchanged++;
        if (run->reloading.plan.restarts)
            report_log(report, LOG_INFO, "reload.change");
        char restarts[48];
        log_info("reload.unchanged", "config %s stays in force; %s", run_config(run)->id, restarts_text(run->reloading.plan.restarts, restarts));
    }
    if (client)
        control_answer_text(client, true, report->text, report->length);
    free(report->text);
}

static void tell_dry(struct control_client *client, struct report *report, struct config *next, struct plan *plan)
{
    fprintf(report->out, "config would be %s; nothing was changed\n", next->id);
    report_finish(report);
    if (client)
        control_answer_text(client, true, report->text, report->length);
    free(report->text);
    plan_close(plan);
    config_free(next);
}

static void begin(struct run *run, struct control_client *client, struct report *report, struct config *next, struct plan *plan, struct run_mappings *mappings)
{
    struct reloading *reloading = &run->reloading;
    if (plan->mappings)
        reloading->mappings = reloading->mappings_tried;
    run_mappings_hand_over(run, mappings);
    if (strcmp(next->id, run_config(run)->id) == 0)
        fprintf(report->out, "config %s stays%s\n", next->id, files_text(plan));
    else
        fprintf(report->out, "config %s replaces %s%s\n", next->id, run_config(run)->id, files_text(plan));
    report_finish(report);
    report_log(report, LOG_INFO, "reload.change");
    take_over(run, next, plan);
    reloading->asked = client;
    reloading->answer = report->text;
    reloading->answer_length = report->length;
}

/* Compiles the programs where they have changed. False: one does not compile. */
static bool mappings_read(struct run *run, const struct config *next, struct plan *plan, struct run_mappings *mappings, struct report *report)
{
    plan->mappings = run_mappings_look(next) != run->reloading.mappings;
    if (!plan->mappings || run_mappings_compile(run, next, mappings) == 0)
        return true;
    fprintf(report->out, "%s: %s\n", next->path, err_text());
    err_clear();
    return false;
}

static bool may_begin(struct run *run, const struct config *next, struct report *report, bool dry)
{
    if (dry || scopes_see(&run->reloading, next))
        return true;
    fprintf(report->out, "%s: scopes: this would be the %dth different list of scopes since the start, and what was counted under each is still known; "
            "go back to one of those before, or restart\n", next->path, SCOPE_LISTS_SEEN_MAX + 1);
    return false;
}

void run_reload(struct run *run, struct control_client *client, bool dry)
{
    struct report report;
    struct config *next;
    struct plan plan;
    if (run->reloading.under_way && !dry) {
        control_answer(client, false, "the reload before is still being taken over; ask again in a moment");
        return;
    }
    report_open(&report);
    if (!dry)
        look(run); /* before the read: a later change is seen */
    if (run->reloading.path == NULL) {
        fputs("this engine has no configuration file to read again\n", report.out);
        refuse(run, client, &report, dry);
        return;
    }
    if (config_load(run->reloading.path, report.out, &next) != 0) {
        err_clear();
        refuse(run, client, &report, dry);
        return;
    }
    if (!dry && strcmp(next->roster_file, run_config(run)->roster_file) != 0)
        run->reloading.roster = look_at(next->roster_file);
    plan_init(&plan, run_config(run), next);
    struct run_mappings mappings = {0};
    if (!may_begin(run, next, &report, dry) || !mappings_read(run, next, &plan, &mappings, &report)) {
        plan_close(&plan);
        config_free(next);
        refuse(run, client, &report, dry);
        return;
    }
    plan_write(&plan, report.out);
    if (dry) {
        run_mappings_free(&mappings);
        tell_dry(client, &report, next, &plan);
    } else if (plan.count == plan.restarts && !plan.roster && !plan.mappings) { /* nothing that is live differs */
        plan_close(&run->reloading.plan);
        run->reloading.plan = plan;
        config_free(next);
        tell_unchanged(run, client, &report, dry);
    } else {
        begin(run, client, &report, next, &plan, &mappings);
    }
}

/* ---- afterwards ---- */

static void tell_done(struct run *run, int64_t longest_us)
{
    struct reloading *reloading = &run->reloading;
    reloading->under_way = false;
    reloading->done++;
    reloading->longest_us = longest_us > reloading->longest_us ? longest_us : reloading->longest_us;
    char restarts[48];
    log_info("reload.done", "config %s is in force after %lld ms%s; the longest step of a thread took %lld ms; %s", run_config(run)->id,
             (long long)(clock_monotonic_ms(&run->clock) - reloading->begun_ms), files_text(&reloading->plan), (long long)(longest_us / 1000),
             restarts_text(reloading->plan.restarts, restarts));
    if (reloading->asked)
        control_answer_text(reloading->asked, true, reloading->answer, reloading->answer_length);
    free(reloading->answer);
    reloading->answer = NULL;
    reloading->asked = NULL;
}

void run_reload_step(struct run *run)
{
    struct reloading *reloading = &run->reloading;
    int64_t longest_us;
    bool in_force = pipeline_reloaded(run->pipeline, &longest_us);
    if (reloading->under_way && in_force)
        tell_done(run, longest_us);
    if (reloading->under_way || !(reloading->signalled || run_config(run)->reload_watch) ||
        clock_monotonic_ms(&run->clock) - reloading->look_ms < WATCH_MS || !files_stand(run))
        return;
    if (!reloading->signalled && !files_changed(reloading))
        return;
    if (!reloading->signalled)
        log_info("reload.watch", "%s, roster.file or a mapping has changed", reloading->path);
    reloading->signalled = false;
    run_reload(run, NULL, false);
}
