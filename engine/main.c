/* esteem: the table of commands, each of which has a file of its own name; only `check` is short enough to stand here. Those that make
 * figures share pipeline.c. */
#include <hiredis/hiredis.h>
#include <librdkafka/rdkafka.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>
#include <zstd.h>

#include "esteem/command.h"
#include "esteem/config.h"
#include "esteem/err.h"
#include "esteem/mapping.h"
#include "esteem/plan.h"
#include "esteem/replay.h"
#include "esteem/schema.h"
#include "decode/json.h"

#ifndef ESTEEM_COMMIT
#define ESTEEM_COMMIT "unknown"
#endif

static const struct command {
    const char *name, *what;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"run", "read events from Kafka, publish to Redis and metric topics", command_run},
    {"compute", "the same figures from whole files, in one go", command_compute},
    {"replay", "send a file of events into a Kafka topic", replay_main},
    {"check", "every fault of a configuration file", command_check},
    {"schema", "what events, rows, settings, metrics and Redis keys look like", command_schema},
    {"explain", "where a figure comes from: its formula with its integers, in words", command_explain},
    {"state", "what lies in a folder of checkpoints: inspect, verify, export", command_state},
    {"ctl", "ask a running engine: status, reload, dump, log-level, checkpoint, pause, resume, forget", command_ctl},
    {"shadow", "last month through a new configuration, beside the live engine: compare, swap", command_shadow},
    {"demo", "all of it on this machine, with a made-up feed", command_demo},
};
enum { COMMANDS = sizeof commands / sizeof *commands };

int command_code(int result)
{
    switch (result) {
    case ERR_NONE: return EXIT_DONE;
    case ERR_CONFIG:
    case ERR_MAPPING: return EXIT_USAGE;
    case ERR_FENCED: return EXIT_FENCED;
    default: return EXIT_FAILED;
    }
}

int command_usage(const char *command, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "esteem %s: ", command);
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\nTry: esteem %s --help\n", command);
    va_end(arguments);
    return EXIT_USAGE;
}

int command_config(const char *command, const char *file, const char **config)
{
    if (*config)
        return command_usage(command, "-c %s: the configuration is %s already; name one file", file, *config);
    *config = file;
    return 0;
}

static void help(FILE *out)
{
    fputs("esteem reads contact-centre events and keeps rolling CSAT, NPS, AHT and usage figures.\n\nusage: esteem COMMAND ...\n\n", out);
    for (int i = 0; i < COMMANDS; i++)
        fprintf(out, "  %-8s  %s\n", commands[i].name, commands[i].what);
    fputs("\nesteem COMMAND --help says more; esteem --version names the build.\n", out);
}

static void version(void)
{
    printf("esteem 0.1.0 (commit %s)\n", ESTEEM_COMMIT);
    printf("librdkafka %s, simdjson %s, hiredis %d.%d.%d (%s), zstd %s, xxHash %u\n", rd_kafka_version_str(), json_version(),
           HIREDIS_MAJOR, HIREDIS_MINOR, HIREDIS_PATCH, HIREDIS_MAJOR >= 1 ? "TLS not built" : "without TLS", ZSTD_versionString(),
           XXH_versionNumber());
}

/* What a reload from the old file to the new one would do. */
static int check_against(struct config *config, const char *old_path)
{
    struct config *old;
    struct plan plan;
    if (config_load(old_path, stderr, &old) != 0)
        return EXIT_USAGE;
    plan_init(&plan, old, config);
    plan_write(&plan, stdout);
    plan_close(&plan);
    config_free(old);
    return EXIT_DONE;
}

/* What only the mappings themselves can tell. */
static int check_mappings(const struct config *config)
{
    int code = EXIT_DONE;
    for (int t = 0; t < config->topic_count; t++) {
        const struct config_topic *topic = &config->topic[t];
        struct mapping *mapping = topic->mapping ? mapping_new(config->mappings, topic->mapping) : NULL;
        if (topic->mapping && mapping == NULL) {
            fprintf(stderr, "%s:%d: kafka.topics.mapping: %s; write or mend it, or name its folder, as seen from the working directory, under mappings\n", config->path,
                    topic->line, err_text());
            code = EXIT_USAGE;
        }
        mapping_free(mapping);
    }
    return code;
}

int command_check(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        puts("usage: esteem check FILE [--against OLD]\n\nPrints every fault of a configuration file with its line, key and the fix. With --against, also what a\n"
             "reload from OLD to FILE does: each change, live or needs restart, and what becomes of scopes, windows and metrics. Exit 0: no fault; 2: some.");
        return EXIT_DONE;
    }
    bool against = argc == 4 && strcmp(argv[2], "--against") == 0;
    if ((argc != 2 && !against) || *argv[1] == '-')
        return command_usage("check", "name one configuration file: FILE, or FILE --against OLD");
    struct config *config;
    if (config_load(argv[1], stderr, &config) != 0)
        return EXIT_USAGE;
    int code = check_mappings(config);
    if (code == EXIT_DONE)
        printf("%s: good (config %s)\n", argv[1], config->id);
    if (code == EXIT_DONE && against)
        code = check_against(config, argv[3]);
    config_free(config);
    return code;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        help(stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        help(stdout);
        return EXIT_DONE;
    }
    if (strcmp(argv[1], "--version") == 0) {
        version();
        return EXIT_DONE;
    }
    for (int i = 0; i < COMMANDS; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    fprintf(stderr, "esteem: there is no command %s\n\n", argv[1]);
    help(stderr);
    return EXIT_USAGE;
}
