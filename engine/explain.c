/* esteem explain: finds the row, in Redis or in a file, and has explain_words.c tell one figure of it. Reads only. */
#include "esteem/explain.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "esteem/command.h"
#include "esteem/err.h"
#include "esteem/event.h"
#include "redis_ask.h"
#include "row_lines.h"

static const char help[] =
    "usage: esteem explain KEY METRIC [-c FILE] [--socket PATH | --host HOST --port N]\n"
    "       esteem explain [KEY] METRIC --row FILE [-c FILE]\n"
    "\n"
    "Tells where a figure comes from: what it means, its formula with the row's integers, from when to when, which settings\n"
    "matter, what was left out and why, and where to look further. METRIC is a metric or a measure of `esteem schema metrics`,\n"
    "METRIC_change, or goal.NAME.\n"
    "\n"
    "KEY is a row's key in Redis, 'esteem:v1:{acme}:queue=billing:5m'; in a file also a topic's,\n"
    "'acme|queue=billing|hour|2026-11-22T14:00:00Z'. Of several rows in a file that fit, the newest is told.\n"
    "\n"
    "  -c, --config FILE  the configuration: Redis' address, and the settings that the figure hangs on\n"
    "  --socket PATH, --host HOST, --port N  Redis' address, instead; default 127.0.0.1 and 6379\n"
    "  --row FILE         rows as compute prints them; - is standard input\n"
    "\n"
    "Exit 0: told; 1: Redis does not answer, or there is no such row; 2: the command line, the configuration or the file is wrong.\n"
    "Redis' user needs +hget, and +zrange for what compares channels.\n";

enum { REDIS_KEY_MAX = 8192 };

struct arguments {
    const char *config, *socket, *host, *rows, *key, *metric;
    int port;
};

/* ---- Redis ---- */

static redisContext *connect_redis(const struct arguments *arguments, const struct config *config)
{
    const char *socket = arguments->socket ? arguments->socket : config && !arguments->host && !arguments->port ? config->redis_socket : "";
    const char *host = arguments->host ? arguments->host : config ? config->redis_host : "127.0.0.1";
    return redis_ask_open(socket, host, arguments->port ? arguments->port : config ? (int)config->redis_port : 6379, config);
}

/* Whether it is `own` with a channel: channel=chat,queue=billing is queue=billing; channel=chat is all. */
static bool is_channel_of(const char *scope, const char *own, size_t own_length)
{
    const char *at = strncmp(scope, "channel=", 8) == 0 ? scope : strstr(scope, ",channel=");
    if (at == NULL)
        return false;
    size_t before = (size_t)(at - scope);
    const char *rest = at + 1 + strcspn(at + 1, ",");
    if (before == 0 && *rest)
        rest++;
    if (before == 0 && *rest == '\0')
        return own_length == 3 && memcmp(own, "all", 3) == 0;
    return own_length == before + strlen(rest) && memcmp(own, scope, before) == 0 && memcmp(own + before, rest, strlen(rest)) == 0;
}

/* Of calendar windows only those of the same start: a channel without contacts since has an older one. */
static bool is_of_window(jv channel, jv row)
{
    char *start = row_text(row, "start"), *other = row_text(channel, "start");
    char *window = row_text(row, "window");
    bool same = (*window >= '0' && *window <= '9') || strcmp(start, other) == 0;
    free(start);
    free(other);
    free(window);
    return same;
}

static jv add_channel(jv channels, redisContext *redis, const char *key, jv row)
{
    redisReply *reply = redis_ask(redis, 3, (const char *[]){"HGET", key, "row"});
    if (reply && reply->type == REDIS_REPLY_STRING) {
        jv channel = jv_parse_sized(reply->str, (int)reply->len);
        if (jv_get_kind(channel) == JV_KIND_OBJECT && is_of_window(channel, row))
            channels = jv_array_append(channels, channel);
        else
            jv_free(channel);
    }
    if (reply)
        freeReplyObject(reply);
    return channels;
}

/* The rows of the row's channels, by the names in esteem:v1:{TENANT}:scopes. Without the right to read those, none. */
static jv channels_from_redis(redisContext *redis, const char *key, jv row)
{
    const char *tenant_end = strstr(key, "}:"), *own = tenant_end ? tenant_end + 2 : NULL, *own_end = own ? strchr(own, ':') : NULL;
    jv channels = jv_array();
    char name[REDIS_KEY_MAX];
    if (own_end == NULL || snprintf(name, sizeof name, "%.*sscopes", (int)(own - key), key) >= (int)sizeof name)
        return channels;
    redisReply *scopes = redis_ask(redis, 4, (const char *[]){"ZRANGE", name, "0", "-1"});
    for (size_t i = 0; scopes && scopes->type == REDIS_REPLY_ARRAY && i < scopes->elements; i++) {
        const char *scope = scopes->element[i]->str;
        if (is_channel_of(scope, own, (size_t)(own_end - own)) &&
            snprintf(name, sizeof name, "%.*s%s%s", (int)(own - key), key, scope, own_end) < (int)sizeof name)
            channels = add_channel(channels, redis, name, row);
    }
    if (scopes)
        freeReplyObject(scopes);
    return channels;
}

static int row_from_redis(const struct arguments *arguments, const struct config *config, jv *row, jv *others)
{
    redisContext *redis = connect_redis(arguments, config);
    if (redis == NULL)
        return ERR_REDIS;
    int result = 0;
    redisReply *reply = redis_ask(redis, 3, (const char *[]){"HGET", arguments->key, "row"});
    if (reply == NULL)
        result = ERR_REDIS;
    else if (reply->type != REDIS_REPLY_STRING)
        result = err_set(ERR_REDIS, "there is no row %s; ZRANGE 'esteem:v1:{TENANT}:scopes' 0 -1 lists a tenant's scopes", arguments->key);
    else
        *row = jv_parse_sized(reply->str, (int)reply->len);
    if (reply)
        freeReplyObject(reply);
    if (result == 0 && jv_get_kind(*row) == JV_KIND_OBJECT && explain_wants(arguments->metric, config) == EXPLAIN_CHANNELS)
        *others = channels_from_redis(redis, arguments->key, *row);
    redisFree(redis);
    if (result == 0 && jv_get_kind(*row) != JV_KIND_OBJECT) {
        jv_free(*row);
        result = err_set(ERR_REDIS, "%s has no row of esteem's in its field `row`", arguments->key);
    }
    return result;
}

/* ---- a file ---- */

/* Whether a row has this key: of Redis, with or without :last, or of a topic, with or without its start. */
static bool fits(const struct row_key *key, const char *asked_for)
{
    char start[TIME_TEXT_MAX], *text = NULL;
    size_t size;
    bool found = false;
    if (asked_for == NULL)
        return true;
    event_time_format(key->start_ms, start);
    for (int i = 0; i < 4 && !found; i++) {
        FILE *out = open_memstream(&text, &size);
        ensure(out != NULL, "the machine has memory left");
        switch (i) {
        case 0: fprintf(out, "esteem:v1:{%s}:%s:%s", key->tenant_key, key->scope, key->window); break;
        case 1: fprintf(out, "esteem:v1:{%s}:%s:%s:last", key->tenant_key, key->scope, key->window); break;
        case 2: fprintf(out, "%s|%s|%s", key->tenant_key, key->scope, key->window); break;
        default: fprintf(out, "%s|%s|%s|%s", key->tenant_key, key->scope, key->window, start);
        }
        fclose(out);
        found = strcmp(text, asked_for) == 0;
        free(text);
    }
    return found;
}

static int row_from_file(const struct arguments *arguments, jv *row)
{
    struct row_lines lines;
    bool found = false;
    int64_t newest = INT64_MIN;
    int result = row_lines_open(&lines, arguments->rows);
    if (result != 0)
        return result;
    while ((result = row_lines_next(&lines)) > 0) {
        jv next;
        struct row_key key;
        result = row_lines_parse(&lines, &next);
        if (result != 0)
            break;
        result = row_key_of(next, &key);
        if (result != 0) {
            err_note("%s:%" PRId64, lines.path, lines.line);
            jv_free(next);
            break;
        }
        if (fits(&key, arguments->key) && key.start_ms >= newest) {
            if (found)
                jv_free(*row);
            newest = key.start_ms;
            *row = jv_copy(next);
            found = true;
        }
        row_key_close(&key);
        jv_free(next);
    }
    row_lines_close(&lines);
    if (result == 0 && !found)
        return err_set(ERR_IO, "%s has no row%s%s", arguments->rows, arguments->key ? " of the key " : "", arguments->key ? arguments->key : "");
    if (result != 0 && found)
        jv_free(*row);
    return result;
}

static bool same_members(jv row, jv other, const char *const *names, size_t count)
{
    bool same = true;
    for (size_t i = 0; same && i < count; i++)
        same = jv_equal(jv_object_get(jv_copy(other), jv_string(names[i])), jv_object_get(jv_copy(row), jv_string(names[i])));
    return same;
}

/* Whether `channel` is `row` with a channel. */
static bool is_channel_row(jv channel, jv row)
{
    static const char *const same[] = {"tenant", "window", "start", "end"};
    jv scope = jv_object_get(jv_copy(channel), jv_string("scope")), own = jv_object_get(jv_copy(row), jv_string("scope"));
    bool found = jv_get_kind(scope) == JV_KIND_OBJECT && jv_object_has(jv_copy(scope), jv_string("channel"));
    if (found)
        scope = jv_object_delete(scope, jv_string("channel"));
    found = jv_equal(scope, own) && found;
    return found && same_members(row, channel, same, sizeof same / sizeof *same);
}

/* Whether it is a day of the row's scope. */
static bool is_day_row(jv day, jv row)
{
    static const char *const same[] = {"tenant", "scope"};
    char *window = row_text(day, "window");
    bool is_day = strcmp(window, "day") == 0;
    free(window);
    return is_day && same_members(row, day, same, sizeof same / sizeof *same);
}

/* Reads the file once more; of standard input, none. */
static int others_from_file(const struct arguments *arguments, jv row, bool (*is_other)(jv, jv), jv *others)
{
    struct row_lines lines;
    if (strcmp(arguments->rows, "-") == 0)
        return 0;
    int result = row_lines_open(&lines, arguments->rows);
    *others = jv_array();
    while (result == 0 && (result = row_lines_next(&lines)) > 0) {
        jv next;
        result = row_lines_parse(&lines, &next);
        if (result == 0 && is_other(next, row))
            *others = jv_array_append(*others, next);
        else if (result == 0)
            jv_free(next);
    }
    row_lines_close(&lines);
    return result;
}

/* ---- the command ---- */

/* A key of a topic, or of `ctl dump`, is none of Redis: says what that has. */
static int check_key(const struct arguments *arguments)
{
    const char *key = arguments->key, *scope = arguments->rows ? NULL : strchr(key, '|');
    if (scope == NULL || strncmp(key, "esteem:", 7) == 0)
        return 0;
    size_t length = strcspn(scope + 1, "|");
    const char *window = scope[1 + length] ? scope + 2 + length : "WINDOW";
    return command_usage("explain", "%s: so a topic names its rows, which --row FILE reads; in Redis this is 'esteem:v1:{%.*s}:%.*s:%.*s', with :last behind it once its window is over",
                         key, (int)(scope - key), key, (int)length, scope + 1, (int)strcspn(window, "|"), window);
}

static int read_arguments(int argc, char **argv, struct arguments *arguments)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'}, {"socket", required_argument, NULL, 's'},
                                            {"host", required_argument, NULL, 'H'}, {"port", required_argument, NULL, 'p'},
                                            {"row", required_argument, NULL, 'r'}, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
    *arguments = (struct arguments){0};
    for (int option; (option = getopt_long(argc, argv, "c:h", options, NULL)) != -1;) {
        switch (option) {
        case 'c':
            if (command_config("explain", optarg, &arguments->config) != 0)
                return EXIT_USAGE;
            break;
        case 's': arguments->socket = optarg; break;
        case 'H': arguments->host = optarg; break;
        case 'r': arguments->rows = optarg; break;
        case 'h': fputs(help, stdout); return -1;
        case 'p':
            arguments->port = atoi(optarg);
            if (arguments->port < 1 || arguments->port > 65535)
                return command_usage("explain", "--port %s: a port is a number from 1 to 65535", optarg);
            break;
        default: return command_usage("explain", "see above");
        }
    }
    int words = argc - optind;
    if (words != 2 && !(words == 1 && arguments->rows))
        return command_usage("explain", "say which row and which metric: KEY METRIC");
    arguments->key = words == 2 ? argv[optind] : NULL;
    arguments->metric = argv[argc - 1];
    return check_key(arguments);
}

static int exit_code(int result)
{
    if (result == 0)
        return EXIT_DONE;
    fprintf(stderr, "esteem explain: %s\n", err_text());
    return result == ERR_USAGE || result == ERR_DATA ? EXIT_USAGE : EXIT_FAILED;
}

int command_explain(int argc, char **argv)
{
    struct arguments arguments;
    struct config *config = NULL;
    int code = read_arguments(argc, argv, &arguments);
    if (code != 0)
        return code < 0 ? EXIT_DONE : code;
    if (arguments.config && config_load(arguments.config, stderr, &config) != 0)
        return EXIT_USAGE;
    jv row, others = jv_null();
    int result = arguments.rows ? row_from_file(&arguments, &row) : row_from_redis(&arguments, config, &row, &others);
    if (result == 0) {
        enum explain_others wants = explain_wants(arguments.metric, config);
        if (arguments.rows && wants != EXPLAIN_ALONE)
            result = others_from_file(&arguments, row, wants == EXPLAIN_DAYS ? is_day_row : is_channel_row, &others);
        if (result == 0)
            result = explain_row(row, others, arguments.metric, config, stdout);
        jv_free(row);
    }
    jv_free(others);
    if (config)
        config_free(config);
    return exit_code(result);
}
