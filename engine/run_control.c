/* What `esteem ctl` asks of this engine (control.h): each command is answered at once, or when what it asked for is done. */
#include "run_parts.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "esteem/err.h"
#include "esteem/event.h"
#include "esteem/kafka.h"
#include "esteem/log.h"
#include "esteem/row.h"

/* ---- forget ---- */

static void forget(struct run *run, struct control_client *client, int words, char **word)
{
    if (words != 3 || strlen(word[1]) > STRING_MAX || strlen(word[2]) > STRING_MAX)
        control_answer(client, false, "forget takes a tenant and a customer, of at most %d bytes", STRING_MAX);
    else if (!pipeline_forget(run->pipeline, word[1], shard_customer_hash(run->config, word[2])))
        control_answer(client, false, "another customer is being erased; ask again in a moment");
    else
        run->forgets = client;
}

static void tend_forget(struct run *run)
{
    uint64_t interactions, visits;
    if (run->forgets == NULL || !pipeline_forgotten(run->pipeline, &interactions, &visits))
        return;
    if (run->checkpoint)
        checkpoint_renew(run->checkpoint);
    log_info("customer.forgotten", "a customer was erased from %llu interactions, and %llu visits of longer ago", (unsigned long long)interactions,
             (unsigned long long)visits);
    control_answer(run->forgets, true, "erased from %llu interactions, and %llu visits of longer ago%s; gone from %s after two more checkpoints",
                   (unsigned long long)interactions, (unsigned long long)visits,
                   interactions || visits ? "" : ": of this tenant nothing is kept of them (--tenant names another)",
                   run->checkpoint ? run->config->state_folder : "memory");
    run->forgets = NULL;
}

/* ---- status ---- */

struct status {
    struct pipeline_counts counts;
    struct checkpoint_counts state;
    struct kafka_counts kafka;
    char watermark[TIME_TEXT_MAX];
    int64_t lag_ms, age_ms; /* of the watermark behind the clock; of the newest checkpoint; -1: none */
};

static void look_around(struct run *run, struct status *status)
{
    *status = (struct status){.counts = pipeline_counts(run->pipeline), .lag_ms = -1, .age_ms = -1};
    int64_t watermark_ms = status->counts.folds.watermark_ms;
    if (watermark_ms != INT64_MIN && watermark_ms != INT64_MAX) {
        event_time_format(watermark_ms, status->watermark);
        status->lag_ms = clock_wall_ms(&run->clock) - watermark_ms;
    }
    for (int s = 0; s < run->shards; s++) {
        struct kafka_counts one = kafka_source_counts(&run->source[s]);
        status->kafka.errors += one.errors;
        status->kafka.lost += one.lost;
        status->kafka.unfetchable += one.unfetchable;
        status->kafka.recreated += one.recreated;
    }
    if (run->checkpoint)
        status->state = checkpoint_counts(run->checkpoint);
    if (run->checkpoint && status->state.written_ms != INT64_MIN)
        status->age_ms = clock_monotonic_ms(&run->clock) - status->state.written_ms;
}

static const char *yes(bool is)
{
    return is ? "true" : "false";
}

static bool sink_reached(struct run *run, int sink)
{
    return pipeline_sink_reached(run->pipeline, sink);
}

/* Numbers that both forms tell, under one name. */
static void write_numbers(struct run *run, const struct status *status, const char *line, FILE *out)
{
    const struct reloading *reloading = &run->reloading;
    const struct {
        const char *name;
        int64_t value;
    } numbers[] = {
        {"uptime_s", (clock_monotonic_ms(&run->clock) - run->started_ms) / 1000},
        {"shards", run->shards},
        {"folds", run->folds},
        {"messages_empty", (int64_t)status->counts.shards.messages_empty},
        {"applied", (int64_t)status->counts.shards.applied},
        {"duplicates", (int64_t)status->counts.shards.duplicates},
        {"refused", (int64_t)status->counts.shards.refused},
        {"interactions", (int64_t)status->counts.shards.ledger.records},
        {"keys", (int64_t)status->counts.folds.keys},
        {"keys_refused", (int64_t)status->counts.keys_refused},
        {"rows", (int64_t)status->counts.folds.rows},
        {"watermark_lag_ms", status->lag_ms},
        {"resident_bytes", (int64_t)memory_resident()},
        {"checkpoint_age_ms", status->age_ms},
        {"checkpoints_written", (int64_t)status->state.written},
        {"checkpoints_failed", (int64_t)status->state.failed},
        {"checkpoint_bytes", (int64_t)status->state.bytes},
        {"reloads", (int64_t)reloading->done},
        {"reloads_refused", (int64_t)reloading->refused},
        {"reloads_unchanged", (int64_t)reloading->unchanged},
        {"reload_longest_us", reloading->longest_us},
        {"restarts_pending", reloading->plan.restarts},
        {"source_errors", (int64_t)status->kafka.errors},
        {"source_lost", (int64_t)status->kafka.lost},
        {"source_unfetchable", (int64_t)status->kafka.unfetchable},
        {"source_recreated", (int64_t)status->kafka.recreated},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        fprintf(out, line, numbers[i].name, numbers[i].value);
}

static void write_people(struct run *run, const struct status *status, FILE *out)
{
    fprintf(out, "config               %s%s\n", run_config(run)->id, run->reloading.under_way ? ", being taken over" : "");
    fprintf(out, "reading              %s\n", run->paused ? "paused by esteem ctl pause" : "yes");
    fprintf(out, "watermark            %s\n", *status->watermark ? status->watermark : "none");
    if (run->redis_open)
        fprintf(out, "redis                %s\n", sink_reached(run, 0) ? "reached" : "not reached so far");
    if (run->topics_open)
        fprintf(out, "topics               %s\n", sink_reached(run, run->redis_open) ? "reached" : "not reached so far");
    write_numbers(run, status, "%-20s %" PRId64 "\n", out);
    plan_write_restarts(&run->reloading.plan, out);
}

static void write_json(struct run *run, const struct status *status, FILE *out)
{
    fprintf(out, "{\"config\":\"%s\",\"taking_over\":%s,\"paused\":%s,", run_config(run)->id, yes(run->reloading.under_way), yes(run->paused));
    fprintf(out, *status->watermark ? "\"watermark\":\"%s\"," : "\"watermark\":null,", status->watermark);
    if (run->redis_open)
        fprintf(out, "\"redis_reached\":%s,", yes(sink_reached(run, 0)));
    if (run->topics_open)
        fprintf(out, "\"topics_reached\":%s,", yes(sink_reached(run, run->redis_open)));
    write_numbers(run, status, "\"%s\":%" PRId64 ",", out);
    fputs("\"needs_restart\":[", out);
    const char *comma = "";
    for (int i = 0; i < run->reloading.plan.count; i++)
        if (run->reloading.plan.change[i].when == PLAN_RESTART) {
            fprintf(out, "%s\"%s\"", comma, run->reloading.plan.change[i].key); /* key paths have nothing to escape */
            comma = ",";
        }
    fputs("]}\n", out);
}

static void tell_status(struct run *run, struct control_client *client, bool json)
{
    struct status status;
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    ensure(out != NULL, "the machine has memory left");
    look_around(run, &status);
    (json ? write_json : write_people)(run, &status, out);
    ensure(fclose(out) == 0, "the machine has memory left");
    control_answer_text(client, true, text, length);
    free(text);
}

/* ---- dump ---- */

/* "TENANT|SCOPE". The tenant as keys have it, percent-encoded, or as events name it where that cannot be an encoded one. */
static void dump(struct run *run, struct control_client *client, char *key)
{
    char *scope = strchr(key, '|'), tenant[CONTROL_LINE];
    size_t length;
    if (scope == NULL || scope == key || scope[1] == 0 || scope - key >= CONTROL_LINE || strlen(scope + 1) >= CONTROL_LINE) {
        control_answer(client, false, "dump takes TENANT|SCOPE, as keys in Redis have them: 'acme|all', 'acme|queue=billing'");
        return;
    }
    *scope = 0;
    bool encoded = row_decode(key, (size_t)(scope - key), tenant, &length);
    if (!pipeline_dump(run->pipeline, encoded ? tenant : key, scope + 1))
        control_answer(client, false, "another key is being asked for; ask again in a moment");
    else
        run->dumps = client;
}

static void tend_dump(struct run *run)
{
    char *text;
    size_t length;
    bool cut;
    if (run->dumps == NULL || !pipeline_dumped(run->pipeline, &text, &length, &cut))
        return;
    if (length == 0)
        control_answer(run->dumps, false, "there are no rows under that key; esteem:v1:{TENANT}:scopes in Redis lists the scopes");
    else if (cut)
        control_answer(run->dumps, false, "it has more than %d MiB of rows; the metric topics have each, a lower retention.correction keeps fewer", CONTROL_ANSWER >> 20);
    else
        control_answer_text(run->dumps, true, text, length);
    free(text);
    run->dumps = NULL;
}

/* ---- checkpoint ---- */

static void save(struct run *run, struct control_client *client)
{
    if (run->checkpoint == NULL)
        control_answer(client, false, "there are no checkpoints: state.folder is empty");
    else if (run->saves)
        control_answer(client, false, "a checkpoint that was asked for is being made; ask again in a moment");
    else {
        run->saves_epoch = checkpoint_now(run->checkpoint);
        run->saves = client;
    }
}

static void tend_save(struct run *run)
{
    if (run->saves == NULL)
        return;
    if (checkpoint_lasting(run->checkpoint) >= run->saves_epoch)
        control_answer(run->saves, true, "checkpoint %" PRIu64 " is written", checkpoint_lasting(run->checkpoint));
    else if (checkpoint_given_up(run->checkpoint) >= run->saves_epoch)
        control_answer(run->saves, false, "the checkpoint had to be given up; the log says why");
    else
        return;
    run->saves = NULL;
}

/* ---- the others ---- */

static void pause_reading(struct run *run, struct control_client *client, bool pause)
{
    bool was = run->paused;
    run->paused = pause;
    pipeline_pause(run->pipeline, pause);
    if (was != pause && pause)
        log_warn("control.paused", "esteem ctl pause: nothing is read until esteem ctl resume; publishing goes on");
    else if (was != pause)
        log_info("control.resumed", "reading goes on");
    control_answer(client, true, pause ? "paused: nothing is read until esteem ctl resume; publishing goes on" : "reading");
}

static void set_level(struct control_client *client, const char *word)
{
    enum log_level level;
    if (!log_level_parse(word, &level)) {
        control_answer(client, false, "log-level is debug, info, warn or error");
        return;
    }
    log_level_set(level);
    log_line(level, "control.log", "log level %s until the next reload or restart", word);
    control_answer(client, true, "log level %s until the next reload or restart", word);
}

static void take_command(void *context, struct control_client *client, int words, char **word)
{
    struct run *run = context;
    const char *name = word[0], *option = words > 1 ? word[1] : "";
    if (strcmp(name, "forget") == 0)
        forget(run, client, words, word);
    else if (strcmp(name, "status") == 0)
        tell_status(run, client, strcmp(option, "json") == 0);
    else if (strcmp(name, "reload") == 0)
        run_reload(run, client, strcmp(option, "dry") == 0);
    else if (strcmp(name, "dump") == 0 && words == 2)
        dump(run, client, word[1]);
    else if (strcmp(name, "log-level") == 0)
        set_level(client, option);
    else if (strcmp(name, "checkpoint") == 0)
        save(run, client);
    else if (strcmp(name, "pause") == 0 || strcmp(name, "resume") == 0)
        pause_reading(run, client, *name == 'p');
    else
        control_answer(client, false, "there is no command %s; esteem ctl --help lists them", name);
}

int run_control_open(struct run *run)
{
    static const mode_t modes[] = {[CONTROL_OWNER] = 0600, [CONTROL_GROUP] = 0660, [CONTROL_ALL] = 0666};
    char path[512];
    if (!config_control_socket(run->config, path, sizeof path))
        return 0;
    int result = control_open(path, modes[run->config->control_mode], &run->control);
    if (result == 0 || run->config->control_socket[0])
        return result;
    log_warn("control.none", "%s; esteem ctl cannot ask this engine: name control.socket", err_text());
    err_clear();
    return 0;
}

void run_control_step(struct run *run)
{
    if (run->control == NULL)
        return;
    tend_forget(run);
    tend_dump(run);
    tend_save(run);
    control_step(run->control, clock_monotonic_ms(&run->clock), take_command, run);
}
