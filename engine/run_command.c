/* run_command: `esteem run`. It starts the daemon (run.c), waits for a signal, has the daemon look around every LOOK_MS meanwhile, and tells the log
 * every STATUS_EVERY_MS how it is. */
#include "run_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>

#include "esteem/command.h"
#include "esteem/err.h"
#include "esteem/kafka.h"
#include "esteem/log.h"

enum { STATUS_EVERY_MS = 10000, LOOK_MS = 20 };

static const char help[] =
    "usage: esteem run -c FILE [--until-end]\n"
    "\n"
    "Reads the configured topics, keeps all windows and publishes them, until SIGTERM or SIGINT: then what was read is\n"
    "published (within publish.drain, 30 s) and it exits 0. A second signal ends it at once, with exit code 1. SIGHUP reads FILE\n"
    "again, as `esteem ctl reload` does: what is live takes effect, what needs a restart keeps its value, a wrong file changes nothing.\n"
    "\n"
    "  -c, --config FILE  the configuration\n"
    "  --until-end        stop by itself when every partition is read to its end and time.idle_after has passed: the feed is\n"
    "                     over, calendar windows are final; rows in the sinks that only an earlier life had told are emptied\n"
    "                     before, which it waits for a minute at most\n";

static int read_arguments(int argc, char **argv, const char **path, bool *until_end)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'}, {"until-end", no_argument, NULL, 'u'},
                                            {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
    for (int option; (option = getopt_long(argc, argv, "c:h", options, NULL)) != -1;) {
        if (option == 'c') {
            if (command_config("run", optarg, path) != 0)
                return EXIT_USAGE;
        } else if (option == 'u')
            *until_end = true;
        else if (option == 'h') {
            fputs(help, stdout);
            return -1;
        } else
            return command_usage("run", "see above");
    }
    if (*path == NULL)
        return command_usage("run", "-c FILE is missing");
    return optind < argc ? command_usage("run", "%s: nothing goes behind the options", argv[optind]) : 0;
}

/* ---- before it runs (shadow begins likewise) ---- */

void run_log(const struct config *config)
{
    log_level_set((enum log_level)config->log_level);
    log_json_set(config->log_format == 1);
}

/* Elsewhere the fence in Redis says who is newer. */
int run_lock(const struct config *config)
{
    char path[512];
    const char *given = getenv("XDG_RUNTIME_DIR"), *folder = given && *given ? given : "/tmp";
    snprintf(path, sizeof path, "%s/esteem.%s.lock", folder, config->kafka_group);
    for (size_t i = strlen(folder) + 1; i < sizeof path && path[i]; i++)
        path[i] = path[i] == '/' ? '_' : path[i]; /* a group may have any name, a file may not */
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0)
        return err_set(ERR_IO, "the lock %s: %s; let XDG_RUNTIME_DIR name a folder in which this user may make it", path, strerror(errno));
    if (flock(file, LOCK_EX | LOCK_NB) != 0)
        return err_set(ERR_FENCED, "another esteem runs for group %s on this machine (%s is locked); stop it, or name another kafka.group",
                       config->kafka_group, path);
    return 0;
}

int run_begin(const struct config *config, sigset_t *signals)
{
    sigemptyset(signals);
    sigaddset(signals, SIGTERM);
    sigaddset(signals, SIGINT);
    sigaddset(signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, signals, NULL); /* all threads inherit it, only main takes signals */
    signal(SIGPIPE, SIG_IGN);
    if (config->limit_memory)
        memory_keep_close();
    return run_lock(config);
}

/* ---- while it runs ---- */

/* What went wrong so far, in the sources and with checkpoints; nothing is said while nothing did. */
static void status_of_state(struct run *run)
{
    struct kafka_counts sum = {0};
    for (int s = 0; s < run->shards; s++) {
        struct kafka_counts one = kafka_source_counts(&run->source[s]);
        sum.lost += one.lost;
        sum.unfetchable += one.unfetchable;
        sum.recreated += one.recreated;
    }
    if (sum.lost || sum.unfetchable || sum.recreated)
        log_warn("status.sources", "lost=%llu unfetchable=%llu recreated=%llu", (unsigned long long)sum.lost, (unsigned long long)sum.unfetchable,
                 (unsigned long long)sum.recreated);
    if (run->checkpoint == NULL)
        return;
    struct checkpoint_counts state = checkpoint_counts(run->checkpoint);
    int64_t age_ms = state.written_ms == INT64_MIN ? -1 : clock_monotonic_ms(&run->clock) - state.written_ms;
    log_line(state.failed ? LOG_WARN : LOG_INFO, "status.checkpoint", "written=%llu failed=%llu bytes=%llu age_s=%lld", (unsigned long long)state.written,
             (unsigned long long)state.failed, (unsigned long long)state.bytes, (long long)(age_ms < 0 ? -1 : age_ms / 1000));
}

void run_status(struct run *run)
{
    struct pipeline_counts counts = pipeline_counts(run->pipeline);
    char watermark[TIME_TEXT_MAX] = "none";
    if (counts.folds.watermark_ms != INT64_MIN && counts.folds.watermark_ms != INT64_MAX)
        event_time_format(counts.folds.watermark_ms, watermark);
    if (run->paused)
        log_warn("status.paused", "esteem ctl pause: nothing is read; esteem ctl resume goes on");
    if (run->reloading.plan.restarts)
        log_warn("status.restart", "%d changed setting%s a restart; esteem ctl status names %s", run->reloading.plan.restarts,
                 run->reloading.plan.restarts == 1 ? " needs" : "s need", run->reloading.plan.restarts == 1 ? "it" : "them");
    log_info("status", "applied=%llu duplicates=%llu refused=%llu messages_empty=%llu interactions=%llu keys=%llu agent_keys=%llu rows=%llu watermark=%s",
             (unsigned long long)counts.shards.applied, (unsigned long long)counts.shards.duplicates,
             (unsigned long long)counts.shards.refused, (unsigned long long)counts.shards.messages_empty, (unsigned long long)counts.shards.ledger.records,
             (unsigned long long)counts.folds.keys, (unsigned long long)counts.folds.agent_keys, (unsigned long long)counts.folds.rows, watermark);
    if (counts.shards.ledger.strayed)
        log_warn("status.strayed", "%llu events came by another partition than the first of their interaction, so shards need not see all of it and figures "
                 "may be wrong; key the topic by interaction, or set keyed: false for it, and begin anew with another state.folder",
                 (unsigned long long)counts.shards.ledger.strayed);
    if (!run->recalled)
        log_info("status.recall", "names=%llu emptied=%llu refused=%llu", (unsigned long long)recall_names(run->recall),
                 (unsigned long long)counts.folds.recall_emptied, (unsigned long long)counts.folds.recall_refused);
    status_of_state(run);
}

/* Until a signal ends it. Returns how. */
static int wait_for_end(struct run *run, const sigset_t *signals, bool until_end,
                        enum pipeline_end *end)
{
    int64_t status_due_ms = clock_monotonic_ms(&run->clock) + STATUS_EVERY_MS;
    *end = END_DRAIN;
    for (;;) {
        int signal = sigtimedwait(signals, NULL, &(struct timespec){0, LOOK_MS * 1000000L});
        if (signal == SIGTERM || signal == SIGINT)
            return 0;
        if (signal == SIGHUP)
            run_reload_signalled(run);
        if (run_check(run) != 0)
            return (int)err_code();
        if (until_end && run_at_end(run)) {
            *end = END_FINISH;
            return 0;
        }
        int64_t now_ms = clock_monotonic_ms(&run->clock);
        if (now_ms < status_due_ms)
            continue;
        run_status(run);
        status_due_ms = now_ms + STATUS_EVERY_MS;
    }
}

int command_run(int argc, char **argv)
{
    const char *path = NULL;
    bool until_end = false;
    struct config *config;
    struct run *run = NULL;
    sigset_t signals;
    int code = read_arguments(argc, argv, &path, &until_end);
    if (code != 0)
        return code < 0 ? EXIT_DONE : code;
    if (config_load(path, stderr, &config) != 0)
        return EXIT_USAGE;
    run_log(config);
    enum pipeline_end end = END_DRAIN;
    int result = run_begin(config, &signals);
    if (result == 0)
        result = run_start(config, path, &run);
    if (result == 0)
        result = wait_for_end(run, &signals, until_end, &end);
    if (result != 0)
        log_error("run.failed", "%s", err_text());
    if (run) {
        int stopped = run_stop(run, end, result ? 0 : run_config(run)->publish_drain_ms);
        if (result == 0 && stopped != 0)
            log_error("run.stopped", "%s", err_text());
        result = result ? result : stopped;
    }
    config_free(config);
    return command_code(result);
}
