/* compute: whole files through the same pipeline, stepped in one thread: every calendar window is final at the end, and its rows are sorted and
 * printed. */
#include "esteem/compute.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "esteem/command.h"
#include "esteem/diff.h"
#include "esteem/err.h"
#include "esteem/file.h"
#include "esteem/mapping.h"

static const char help[] =
    "usage: esteem compute --config FILE [--at TIME] [--mapping NAME] FILE...\n"
    "       esteem compute --diff OLD NEW [--json]\n"
    "\n"
    "Reads whole files (JSON Lines, or CSV by the name's end; - is standard input) and prints each calendar window's row\n"
    "once, and with --at the rolling windows' rows at that instant: JSON Lines ordered by window, start, scope.\n"
    "JSON Lines have one event a line. A row of CSV is an object of strings, so that a score, a count, true or false in it\n"
    "is a bad_field without --mapping: `. + {csat: (try (.csat | tonumber) catch null)}` is a program that reads such a column.\n"
    "\n"
    "  -c, --config FILE  the configuration\n"
    "  --at TIME          RFC 3339 with zone, or epoch milliseconds\n"
    "  --mapping NAME     jq program of the folder `mappings` for the files; default: that of the configuration's only topic\n"
    "  --refused FILE     write refused events there, a JSON line each: file, line, reason, field,\n"
    "                     and what a mapping said: text\n"
    "\n"
    "  --diff             instead: which rows of the file OLD are others in NEW, measure by measure and metric by metric.\n"
    "                     Both are rows as above, or as Redis and a topic have them (one topic at a time); of rows of one\n"
    "                     tenant, scope, window and start in one file the last one counts. revision and config are left\n"
    "                     out, and histograms where one of two rows has none; a row without figures is as good as none.\n"
    "                     To see what a threshold of 30 s would change, compute twice and compare. Exit 0: equal;\n"
    "                     1: they differ; 2: a file is not one of rows, told with its line.\n"
    "  --json             with --diff: JSON Lines, the last one a summary\n";

static void take_row(void *context, struct row *row)
{
    struct compute_rows *rows = context;
    if (rows->count == rows->room) {
        rows->room = rows->room ? rows->room * 2 : 1024;
        rows->row = realloc(rows->row, rows->room * sizeof(struct row *));
        ensure(rows->row != NULL, "the machine has memory left");
    }
    rows->row[rows->count++] = row;
}

static int by_window_start_scope(const void *left, const void *right)
{
    const struct row *a = *(struct row *const *)left, *b = *(struct row *const *)right;
    if (a->rolling != b->rolling)
        return a->rolling ? 1 : -1;
    if (a->window != b->window)
        return a->window < b->window ? -1 : 1;
    if (a->start_ms != b->start_ms)
        return a->start_ms < b->start_ms ? -1 : 1;
    int tenant = strcmp(a->tenant, b->tenant);
    return tenant ? tenant : strcmp(a->scope, b->scope);
}

struct refusals {
    FILE *out;
    const char *const *files;
};

static void put_text(const char *text, FILE *out)
{
    fputc('"', out);
    for (const unsigned char *at = (const unsigned char *)text; *at; at++)
        if (*at < 0x20)
            fprintf(out, "\\u%04x", *at);
        else
            fprintf(out, *at == '"' || *at == '\\' ? "\\%c" : "%c", *at);
    fputc('"', out);
}

static bool write_refused(void *context, const struct refused *refused)
{
    struct refusals *refusals = context;
    if (refusals->out == NULL)
        return true;
    fputs("{\"file\":", refusals->out);
    put_text(refusals->files[refused->message->input], refusals->out);
    fprintf(refusals->out, ",\"line\":%lld,\"reason\":\"%s\",\"field\":\"%s\"", (long long)refused->message->offset, refusal_names[refused->reason],
            refused->field);
    if (refused->text[0]) {
        fputs(",\"text\":", refusals->out);
        put_text(refused->text, refusals->out);
    }
    fputs("}\n", refusals->out);
    return true;
}

static int compute_with(const struct compute *compute, FILE *refused, struct compute_rows *rows)
{
    int shards = compute->config->shards ? (int)compute->config->shards : 1;
    int folds = compute->config->folds ? (int)compute->config->folds : 1;
    struct source source[SHARD_MAX] = {0};
    struct refusals refusals = {refused, compute->files};
    struct pipeline_setup setup = {.shards = shards, .folds = folds, .batch = true, .route = true, .at_ms = compute->at_ms,
                                   .clock = clock_real(), .source = source, .context = &refusals, .dead_letter = write_refused};
    struct pipeline *pipeline;
    *rows = (struct compute_rows){0};
    int result = file_source_open(compute->files, compute->file_count, &source[0]);
    if (result != 0)
        return result;
    result = pipeline_new(compute->config, &setup, &pipeline);
    if (result == 0) {
        pipeline_run_batch(pipeline);
        pipeline_rows(pipeline, take_row, rows);
        rows->counts = pipeline_counts(pipeline);
        pipeline_free(pipeline);
        if (rows->count)
            qsort(rows->row, rows->count, sizeof *rows->row, by_window_start_scope);
        const char *failure = file_source_failure(&source[0]);
        if (failure) /* figures of a part of the events would look like those of all */
            result = err_set(ERR_IO, "%s", failure);
    }
    source[0].close(source[0].state);
    return result;
}

int compute_rows(const struct compute *compute, struct compute_rows *rows)
{
    return compute_with(compute, NULL, rows);
}

void compute_rows_free(struct compute_rows *rows)
{
    for (uint64_t i = 0; i < rows->count; i++)
        row_free(rows->row[i]);
    free(rows->row);
    *rows = (struct compute_rows){0};
}

static int print_rows(const struct compute_rows *rows, const struct config *config)
{
    struct row_view *view = calloc(1, sizeof *view);
    ensure(view != NULL, "the machine has memory left");
    char *text = NULL;
    size_t room = 0;
    for (uint64_t i = 0; i < rows->count; i++) {
        row_open(view, rows->row[i], config);
        if (!row_has(view, FAMILY_ALL))
            continue; /* nothing but employee figures that are withheld */
        size_t length = row_json(view, FAMILY_ALL, true, &text, &room);
        fwrite(text, 1, length, stdout);
        putchar('\n');
    }
    free(text);
    free(view);
    if (fflush(stdout) != 0)
        return err_set(ERR_IO, "writing rows to standard output: %s", strerror(errno));
    return 0;
}

/* A mapping of --mapping that cannot be had: told here, where the option is known. */
static int check_mapping(const struct config *config, const char *name)
{
    struct mapping *mapping = name ? mapping_new(config->mappings, name) : NULL;
    if (name && mapping == NULL)
        fprintf(stderr, "esteem compute: --mapping %s: %s; write or mend it, or name its folder, as seen from the working directory, under mappings\n", name, err_text());
    int code = name && mapping == NULL ? EXIT_USAGE : 0;
    mapping_free(mapping);
    return code;
}

/* Where to look for what was refused. */
static void tell_refused(const struct shard_counts *counts, const char *file)
{
    uint64_t no_event = counts->refused_by_reason[0][REFUSED_not_json] + counts->refused_by_reason[0][REFUSED_not_an_object];
    if (counts->refused && file == NULL)
        fputs("--refused FILE names what was refused: file, line, reason, field\n", stderr);
    if (no_event && counts->applied + counts->duplicates + counts->messages_empty == 0)
        fputs("an event is an object on one line: what is printed over several, or in an array, `jq -c .` or `jq -c '.[]'` brings there\n", stderr);
}

/* Files are one topic: with the mapping of --mapping, else of the configuration's only topic. */
static void set_topic(struct config *config, const char *mapping)
{
    struct config_topic *topic = &config->topic[0];
    if (mapping || config->topic_count != 1) {
        free(topic->mapping);
        topic->mapping = mapping ? strdup(mapping) : NULL;
    }
}

struct arguments {
    const char *config, *mapping, *refused;
    int64_t at_ms;
    bool diff, json;
};

static int read_arguments(int argc, char **argv, struct arguments *arguments)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'}, {"at", required_argument, NULL, 'a'},
                                            {"mapping", required_argument, NULL, 'm'}, {"refused", required_argument, NULL, 'r'},
                                            {"diff", no_argument, NULL, 'd'}, {"json", no_argument, NULL, 'j'},
                                            {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
    *arguments = (struct arguments){.at_ms = INT64_MIN};
    for (int option; (option = getopt_long(argc, argv, "c:a:m:r:h", options, NULL)) != -1;) {
        switch (option) {
        case 'c':
            if (command_config("compute", optarg, &arguments->config) != 0)
                return EXIT_USAGE;
            break;
        case 'a':
            if (arguments->at_ms != INT64_MIN)
                return command_usage("compute", "--at %s: an instant is named already; name one, and compute once for each", optarg);
            if (!event_time_parse(optarg, strlen(optarg), &arguments->at_ms))
                return command_usage("compute", "--at %s: no time with its zone, of the years 1970 to 2199; write 2026-11-22T14:00:00Z, or milliseconds since 1970 (from 1973-03-03 on: a smaller number may be seconds)", optarg);
            break;
        case 'm':
            arguments->mapping = optarg;
            break;
        case 'r':
            arguments->refused = optarg;
            break;
        case 'd':
            arguments->diff = true;
            break;
        case 'j':
            arguments->json = true;
            break;
        case 'h':
            fputs(help, stdout);
            return -1;
        default:
            return command_usage("compute", "see above");
        }
    }
    if (arguments->diff && argc - optind == 2 && strcmp(argv[optind], "-") == 0 && strcmp(argv[optind + 1], "-") == 0)
        return command_usage("compute", "--diff - -: standard input is one file; name another for OLD or NEW");
    if (arguments->diff)
        return argc - optind == 2 ? 0 : command_usage("compute", "--diff compares two files of rows: OLD and NEW");
    if (arguments->json)
        return command_usage("compute", "--json goes with --diff; rows are JSON anyway");
    if (arguments->config == NULL)
        return command_usage("compute", "--config FILE is missing");
    if (optind == argc)
        return command_usage("compute", "no FILE to read; - is standard input");
    return 0;
}

/* Opens the file of --refused. One that is read, and one that holds anything but refusals (events, where FILE was left out), is not touched. */
static FILE *open_refused(const char *path, char *const *files, int count)
{
    static const char begin[] = "{\"file\":";
    struct stat facts, other;
    char head[sizeof begin];
    FILE *out = fopen(path, "a+");
    if (out == NULL || fstat(fileno(out), &facts) != 0 || !S_ISREG(facts.st_mode))
        return out;
    size_t got = fread(head, 1, sizeof begin - 1, out);
    bool others = got > 0 && (got < sizeof begin - 1 || memcmp(head, begin, got) != 0);
    for (int i = 0; i < count; i++)
        others |= stat(files[i], &other) == 0 && other.st_dev == facts.st_dev && other.st_ino == facts.st_ino;
    if (!others && ftruncate(fileno(out), 0) == 0)
        return out;
    errno = others ? EEXIST : errno;
    fclose(out);
    return NULL;
}

int command_compute(int argc, char **argv)
{
    struct arguments arguments;
    struct config *config;
    int code = read_arguments(argc, argv, &arguments);
    if (code != 0)
        return code < 0 ? EXIT_DONE : code;
    if (arguments.diff)
        return diff_main(argv[optind], argv[optind + 1], arguments.json);
    if (config_load(arguments.config, stderr, &config) != 0)
        return EXIT_USAGE;
    if (config->calendar == 0 && arguments.at_ms == INT64_MIN) {
        config_free(config);
        return command_usage("compute", "%s has rolling windows only: add --at TIME", arguments.config);
    }
    set_topic(config, arguments.mapping);
    if ((code = check_mapping(config, arguments.mapping)) != 0) {
        config_free(config);
        return code;
    }
    FILE *refused = NULL;
    if (arguments.refused && (refused = open_refused(arguments.refused, argv + optind, argc - optind)) == NULL) {
        fprintf(stderr, "esteem compute: --refused %s: %s\n", arguments.refused,
                errno == EEXIST ? "holds something else than refused events, it is not overwritten; name another file" : strerror(errno));
        config_free(config);
        return EXIT_FAILED;
    }
    struct compute compute = {config, (const char *const *)argv + optind, argc - optind, arguments.at_ms};
    struct compute_rows rows;
    int result = compute_with(&compute, refused, &rows);
    if (result == 0)
        result = print_rows(&rows, config);
    if (result == 0) {
        pipeline_summary(&rows.counts, config, stderr);
        tell_refused(&rows.counts.shards, arguments.refused);
    } else
        fprintf(stderr, "esteem compute: %s\n", err_text());
    bool unwritten = refused && ferror(refused) != 0;
    if (refused && (fclose(refused) != 0 || unwritten)) {
        fprintf(stderr, "esteem compute: %s: not all that was refused could be written; free space there, or name another file\n", arguments.refused);
        result = result ? result : ERR_IO;
    }
    compute_rows_free(&rows);
    config_free(config);
    return command_code(result);
}
