/* shadow: the feed of the past through another configuration, beside the live engine. It has everything of its own:
 *
 *                    live                         shadow NAME
 *   group            kafka.group                  kafka.group.shadow.NAME
 *   state            state.folder                 state.folder/shadow.NAME
 *   keys and fence   esteem:v1:...                esteem:v1:shadow.NAME:...
 *   topics           metric topics, dead letters  none, and no alerts
 *
 * The one place where both meet is the swap (shadow_swap.c). */
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "esteem/command.h"
#include "esteem/err.h"
#include "esteem/event.h"
#include "esteem/log.h"
#include "shadow_parts.h"

static const char help[] =
    "usage: esteem shadow NAME -c NEW.yaml [--from TIME] [--to TIME] [--follow] [--memory SIZE] [--rows N]\n"
    "       esteem shadow compare NAME -c NEW.yaml [--json]\n"
    "       esteem shadow swap NAME -c NEW.yaml\n"
    "       esteem shadow drop NAME -c NEW.yaml\n"
    "\n"
    "Reads the topics once more under NEW.yaml, while the live engine goes on under its own file. Rows go to Redis alone, to keys of\n"
    "their own, 'esteem:v1:shadow.NAME:{acme}:...'; group, fence and state are its own too: state.folder/shadow.NAME. Killed, it goes\n"
    "on from its last checkpoint. NEW.yaml names the same Kafka, Redis, kafka.group and state.folder as the live engine's file.\n"
    "\n"
    "  NAME             1 to 32 of a-z, 0-9 and -\n"
    "  -c, --config     the new configuration\n"
    "  --from TIME      begin with the messages that Kafka has had since, 2026-10-24 or 2026-10-24T06:00:00Z (UTC unless it says\n"
    "                   otherwise); windows that began before lack what was before. Without it: from the topics' beginning\n"
    "  --to TIME        end before the messages that Kafka has had since. Without it: the end that the topics have at the start\n"
    "  --follow         then go on with what comes, as `run` does, until SIGTERM or SIGINT\n"
    "  --memory SIZE    resident memory at most, 2GiB, in place of limits.memory; at least 64MiB\n"
    "  --rows N         rows a second into Redis at most, in place of publish.rows_per_second\n"
    "  --json           compare: one JSON object a line\n"
    "\n"
    "compare holds the live rows (old) against the shadow's (new): same tenant, scope, window and start; what changes most comes\n"
    "first. Rows of one window that are of different instants in both are counted, not compared. Exit 0: equal, 1: not, 2: it cannot.\n"
    "\n"
    "swap lets the live engine go on from the shadow's state. Both have to be stopped:\n"
    "  1. let the shadow end by itself, compare, and stop the live engine (SIGTERM)\n"
    "  2. esteem shadow swap NAME -c NEW.yaml   the shadow's checkpoint becomes the newest in state.folder, by the rename of one file:\n"
    "                                           before it all is as it was, after it all is done; the old ones stay in\n"
    "                                           state.folder/before.NAME; the shadow's keys and folder are deleted\n"
    "  3. esteem run -c NEW.yaml                reads on at the offsets where the shadow ended: nothing is lost, nothing counted twice\n"
    "Rows of scopes and windows that NEW.yaml has no more are not told again; in Redis they expire. Back: stop, delete *.manifest and\n"
    "*.slice in state.folder, move those of before.NAME there, and run the old file. It is refused while either engine runs, when\n"
    "the shadow has not read to its end, or its checkpoint is damaged or of another configuration than NEW.yaml.\n"
    "\n"
    "drop deletes the shadow's keys and state. Exit 0: done; 1: it could not be done; 2: the command line or NEW.yaml is wrong;\n"
    "3: an engine has the place.\n";

/* ---- the shadow's configuration ---- */

__attribute__((format(printf, 2, 3))) static void set_text(char **field, const char *format, ...)
{
    char *text;
    va_list arguments;
    va_start(arguments, format);
    ensure(vasprintf(&text, format, arguments) >= 0, "the machine has memory left");
    va_end(arguments);
    free(*field);
    *field = text;
}

/* Its id stays NEW.yaml's: what makes numbers is the same. Rolling windows follow the watermark until it has caught up. */
static void make_shadows(const struct shadow *shadow)
{
    struct config *config = shadow->config;
    set_text(&config->kafka_group, "%s.shadow.%s", shadow->live->kafka_group, shadow->name);
    set_text(&config->state_folder, "%s/shadow.%s", shadow->live->state_folder, shadow->name);
    set_text(&config->redis_head, "esteem:v1:shadow.%s:", shadow->name);
    set_text(&config->control_socket, "%s", "");
    set_text(&config->http_listen, "%s", "");
    set_text(&config->deadletter, "%s", "");
    config->topics_enabled = false;
    config->kafka_start = KAFKA_START_BEGINNING;
    config->state_start = STATE_RESTORE;
    config->time_mode = TIME_REPLAY;
    config->limit_memory = shadow->memory ? shadow->memory : config->limit_memory;
    config->publish_rows = shadow->rows ? shadow->rows : config->publish_rows;
    for (int i = 0; i < config->goal_count; i++)
        config->goal[i].alert = false;
}

static int open_configs(struct shadow *shadow)
{
    if (config_load(shadow->path, stderr, &shadow->live) != 0 || config_load(shadow->path, stderr, &shadow->config) != 0)
        return EXIT_USAGE;
    if (!shadow->live->redis_enabled)
        return command_usage("shadow", "%s: redis.enabled is false; a shadow's rows go to Redis, nowhere else", shadow->path);
    if (shadow->live->state_folder[0] == '\0')
        return command_usage("shadow", "%s: state.folder is empty; a shadow keeps its state in a folder there", shadow->path);
    if (strlen(shadow->live->state_folder) > SHADOW_PATH_MAX - 128)
        return command_usage("shadow", "%s: state.folder is a path of more than %d bytes", shadow->path, SHADOW_PATH_MAX - 128);
    make_shadows(shadow);
    return 0;
}

/* ---- the command line ---- */

enum verb { RUN, COMPARE, SWAP, DROP };
static const char *const verbs[] = {"", "compare", "swap", "drop"};
enum { VERBS = sizeof verbs / sizeof *verbs };

static enum verb verb_of(const char *word)
{
    for (int v = COMPARE; v < VERBS; v++)
        if (strcmp(word, verbs[v]) == 0)
            return (enum verb)v;
    return RUN;
}

static bool name_is_good(const char *name)
{
    size_t length = strlen(name);
    return length >= 1 && length <= SHADOW_NAME_MAX && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == length;
}

/* A date is its first instant, UTC. */
static bool time_of(const char *text, int64_t *ms)
{
    char whole[64];
    bool date = strlen(text) == 10;
    int length = snprintf(whole, sizeof whole, "%s%s", text, date ? "T00:00:00Z" : "");
    return length < (int)sizeof whole && event_time_rfc3339(whole, (size_t)length, ms);
}

/* 512MiB, 2GiB, or bytes. */
static bool size_of(const char *text, int64_t *bytes)
{
    static const char *const units[] = {"", "KiB", "MiB", "GiB"};
    char *end;
    long long count = strtoll(text, &end, 10);
    for (int u = 0; u < 4; u++)
        if (end != text && strcmp(end, units[u]) == 0 && count > 0 && count <= (INT64_C(1) << 40) >> 10 * u) {
            *bytes = (int64_t)count << 10 * u;
            return *bytes >= CONFIG_MEMORY_LEAST;
        }
    return false;
}

static int read_option(struct shadow *shadow, int option, const char *text)
{
    char *end = NULL;
    switch (option) {
    case 'c': return command_config("shadow", text, &shadow->path);
    case 'f': return time_of(text, &shadow->from_ms) ? 0 : command_usage("shadow", "--from %s: is no instant; take 2026-10-24 or 2026-10-24T06:00:00Z", text);
    case 't': return time_of(text, &shadow->to_ms) ? 0 : command_usage("shadow", "--to %s: is no instant; take 2026-11-24 or 2026-11-24T06:00:00Z", text);
    case 'F': shadow->follow = true; return 0;
    case 'j': shadow->json = true; return 0;
    case 'm': return size_of(text, &shadow->memory) ? 0 : command_usage("shadow", "--memory %s: is no size of 64MiB to 1024GiB; take 512MiB or 2GiB", text);
    case 'r':
        shadow->rows = strtoll(text, &end, 10);
        return *end == '\0' && shadow->rows >= 1 && shadow->rows <= 10000000 ? 0 : command_usage("shadow", "--rows %s: is not 1 to 10000000", text);
    default: return command_usage("shadow", "see above");
    }
}

static int read_arguments(int argc, char **argv, struct shadow *shadow, enum verb *verb)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'}, {"from", required_argument, NULL, 'f'}, {"to", required_argument, NULL, 't'},
                                            {"follow", no_argument, NULL, 'F'}, {"until-end", no_argument, NULL, 'u'}, {"json", no_argument, NULL, 'j'},
                                            {"memory", required_argument, NULL, 'm'}, {"rows", required_argument, NULL, 'r'},
                                            {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
    bool of_run = false;
    for (int option; (option = getopt_long(argc, argv, "c:h", options, NULL)) != -1;) {
        if (option == 'h') {
            fputs(help, stdout);
            return -1;
        }
        of_run |= strchr("ftFumr", option) != NULL;
        int code = option == 'u' ? 0 : read_option(shadow, option, optarg); /* --until-end: it is so anyway */
        if (code != 0)
            return code;
    }
    *verb = optind < argc ? verb_of(argv[optind]) : RUN;
    shadow->name = argv[optind + (*verb != RUN)];
    if (optind >= argc || shadow->name == NULL)
        return command_usage("shadow", "name the shadow");
    if (argc - optind != 1 + (*verb != RUN))
        return command_usage("shadow", "%s: nothing goes behind the name", argv[argc - 1]);
    if (!name_is_good(shadow->name))
        return command_usage("shadow", "%s: a name is 1 to %d of a-z, 0-9 and -", shadow->name, SHADOW_NAME_MAX);
    if (shadow->path == NULL)
        return command_usage("shadow", "-c NEW.yaml is missing");
    if (*verb != RUN && of_run)
        return command_usage("shadow", "%s takes -c alone%s", verbs[*verb], *verb == COMPARE ? ", and --json" : "");
    if (shadow->json && *verb != COMPARE)
        return command_usage("shadow", "--json is for compare");
    if (shadow->from_ms >= shadow->to_ms)
        return command_usage("shadow", "--from has to be before --to");
    if (shadow->follow && shadow->to_ms != INT64_MAX)
        return command_usage("shadow", "--follow has no end, --to names one; take one of them");
    return 0;
}

static int code_of(int result)
{
    if (result != 0)
        log_error("shadow.failed", "%s", err_text());
    return command_code(result);
}

int command_shadow(int argc, char **argv)
{
    struct shadow shadow = {.from_ms = INT64_MIN, .to_ms = INT64_MAX};
    enum verb verb;
    int code = read_arguments(argc, argv, &shadow, &verb);
    if (code != 0)
        return code < 0 ? EXIT_DONE : code;
    code = open_configs(&shadow);
    if (code == 0) {
        run_log(shadow.config);
        switch (verb) {
        case RUN: code = code_of(shadow_run(&shadow)); break;
        case COMPARE: code = shadow_compare(&shadow); break;
        case SWAP: code = code_of(shadow_swap(&shadow)); break;
        case DROP: code = code_of(shadow_drop(&shadow)); break;
        }
    }
    config_free(shadow.live);
    config_free(shadow.config);
    return code;
}
