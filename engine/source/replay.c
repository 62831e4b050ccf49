/* replay: files → (mapping) → Kafka.
 *
 * The files go out one after the other, in the order given, no faster than --rate. What Kafka cannot take at once waits in
 * librdkafka's bounded queue; when that is full, reading stops. An event that Kafka does not confirm within SEND_MS has failed. */
#include "esteem/replay.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <librdkafka/rdkafka.h>

#include "esteem/config.h"
#include "esteem/err.h"
#include "esteem/event.h"
#include "esteem/file.h"
#include "esteem/mapping.h"

enum {
    SEND_MS = 60000,       /* a message not confirmed by then has failed */
    ANSWER_MS = 5000,      /* so long may the first answer of a broker take */
    PROGRESS_MS = 200,
    KEY_MAX = 1024,        /* bytes of a key; what is longer goes without */
    FAILURES_SHOWN = 10,
    TURN = 256,            /* messages a poll */
};

struct options {
    const char *topic, *path, *brokers, *mapping, *mappings;
    const struct config *config;
    double rate;    /* events a second; 0: as fast as they go */
    int partitions; /* > 0: create the topic */
};

struct replay {
    const struct options *options;
    rd_kafka_t *rk;
    rd_kafka_topic_t *topic;
    struct mapping *mapping;
    struct decoder *decoder; /* finds the key */
    const char *file;    /* the one that is being read */
    int64_t line;        /* where in it */
    int64_t started_ms, shown_ms;
    int64_t done_bytes, total_bytes; /* of all files; total 0: not known */
    uint64_t offered, sent;          /* events given to librdkafka; confirmed */
    uint64_t unkeyed;                /* of those offered: no events as they stand, so without a key, in any partition */
    uint64_t refused, shown;         /* messages that never came so far; failures that were printed */
    bool terminal;
};

static volatile sig_atomic_t stop_asked;

static void stop_ask(int signal)
{
    (void)signal;
    stop_asked = 1;
}

static int64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- the key */

/* Writes "tenant|interaction" or "tenant|id" of an event; returns the length. An event that the engine will refuse has none: it is
 * refused wherever it arrives. */
static size_t key_write(struct replay *replay, const char *json, size_t length, char *key)
{
    struct event ev;
    if (event_decode(replay->decoder, json, length, NULL, &ev) != REFUSED_NOT) {
        return 0;
    }
    const struct text *unit = ev.interaction.length ? &ev.interaction : &ev.id;
    memcpy(key, ev.tenant.at, ev.tenant.length);
    key[ev.tenant.length] = '|';
    memcpy(key + ev.tenant.length + 1, unit->at, unit->length);
    return (size_t)ev.tenant.length + 1 + unit->length;
}

/* ---- sending */

/* Prints the first failures; all are counted. */
static void failure_show(struct replay *replay, const char *where, int64_t line, const char *why)
{
    if (replay->shown == FAILURES_SHOWN) {
        return;
    }
    char number[24] = "";
    if (line) {
        (void)snprintf(number, sizeof number, ":%" PRId64, line);
    }
    fprintf(stderr, "%s%s%s: %s%s\n", replay->terminal ? "\r\033[K" : "", where, number, why,
            ++replay->shown == FAILURES_SHOWN ? " (further failures are only counted)" : "");
}

static void refuse(struct replay *replay, const char *why)
{
    replay->refused++;
    failure_show(replay, replay->file, replay->line, why);
}

static void delivered(rd_kafka_t *rk, const rd_kafka_message_t *rkm, void *context)
{
    (void)rk;
    struct replay *replay = context;
    if (rkm->err) {
        failure_show(replay, replay->options->topic, 0, rd_kafka_err2str(rkm->err));
    } else {
        replay->sent++;
    }
}

static void duration_print(int64_t seconds)
{
    fprintf(stderr, "%" PRId64 ":%02" PRId64 ":%02" PRId64 " left", seconds / 3600, seconds / 60 % 60, seconds % 60);
}

/* One line that replaces itself; a pipe or a log gets none. */
static void progress_show(struct replay *replay, const struct source *source)
{
    int64_t now = now_ms(), ran_ms = now - replay->started_ms;
    if (!replay->terminal || now - replay->shown_ms < PROGRESS_MS) {
        return;
    }
    replay->shown_ms = now;
    int64_t done, total;
    file_source_progress(source, &done, &total);
    done += replay->done_bytes;
    double rate = (double)replay->sent * 1000 / (double)(ran_ms ? ran_ms : 1);
    fputs("\r\033[K", stderr);
    if (replay->total_bytes && total && done) {
        enum { WIDTH = 30 };
        int filled = (int)(done * WIDTH / replay->total_bytes);
        fprintf(stderr, "[%.*s%*s] %3d %%  ", filled, "##############################", WIDTH - filled, "",
                (int)(done * 100 / replay->total_bytes));
        duration_print((int64_t)((double)(replay->total_bytes - done) * (double)ran_ms / (double)done / 1000));
        fputs("  ", stderr);
    }
    fprintf(stderr, "%" PRIu64 " events, %.0f/s", replay->sent, rate);
}

/* Waits until event number `offered` is due. */
static void pace(struct replay *replay)
{
    if (replay->options->rate <= 0) {
        return;
    }
    int64_t due_ms = replay->started_ms + (int64_t)((double)replay->offered * 1000 / replay->options->rate);
    for (int64_t left; !stop_asked && (left = due_ms - now_ms()) > 0;) {
        (void)rd_kafka_poll(replay->rk, (int)(left < 100 ? left : 100));
    }
}

/* Gives one event to librdkafka; waits while its queue is full. */
static void event_send(void *context, const char *json, size_t length)
{
    struct replay *replay = context;
    char key[KEY_MAX];
    size_t key_length = key_write(replay, json, length, key);
    pace(replay);
    while (!stop_asked) {
        if (rd_kafka_produce(replay->topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, (void *)(uintptr_t)json, length,
                             key_length ? key : NULL, key_length, NULL) == 0) {
            replay->offered++;
            replay->unkeyed += key_length == 0;
            return;
        }
        if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
            refuse(replay, rd_kafka_err2str(rd_kafka_last_error()));
            return;
        }
        (void)rd_kafka_poll(replay->rk, 100);
    }
}

static bool message_send(void *context, const struct message *message)
{
    struct replay *replay = context;
    replay->line = message->offset;
    if (!replay->mapping) {
        event_send(replay, message->at, message->length);
    } else if (mapping_run(replay->mapping, message->at, message->length, event_send, replay) < 0) {
        refuse(replay, err_text());
    }
    return !stop_asked;
}

static int file_send(struct replay *replay, const char *path)
{
    struct source source;
    int result = file_source_open(&path, 1, &source);
    if (result) {
        return result;
    }
    replay->file = strcmp(path, "-") == 0 ? "standard input" : path;
    while (!stop_asked && result >= 0 && !source.at_end(source.state, 0)) {
        result = source.poll(source.state, TURN, 200, message_send, replay);
        (void)rd_kafka_poll(replay->rk, 0);
        progress_show(replay, &source);
    }
    int64_t done, total;
    file_source_progress(&source, &done, &total);
    replay->done_bytes += done;
    source.close(source.state);
    return result < 0 ? result : 0;
}

/* ---- opening */

static int producer_open(struct replay *replay)
{
    const char *rows[][2] = {
        {"bootstrap.servers", replay->options->brokers},
        {"client.id", "esteem-replay"},
        {"compression.type", "lz4"},
        {"linger.ms", "20"},
        {"enable.idempotence", "true"}, /* keeps the order and sends nothing twice */
        {"queue.buffering.max.kbytes", "131072"},
        {"message.max.bytes", "200000000"}, /* what is too long is the broker's to say, or the engine's */
        {"partitioner", "murmur2_random"},
        {"log.connection.close", "false"},
        {"log_level", "0"}, /* what matters comes back with the messages */
    };
    char why[512], send_ms[16];
    (void)snprintf(send_ms, sizeof send_ms, "%d", SEND_MS);
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    bool good = rd_kafka_conf_set(conf, "message.timeout.ms", send_ms, why, sizeof why) == RD_KAFKA_CONF_OK;
    for (size_t i = 0; good && i < sizeof rows / sizeof rows[0]; i++) {
        good = rd_kafka_conf_set(conf, rows[i][0], rows[i][1], why, sizeof why) == RD_KAFKA_CONF_OK;
    }
    const struct config *config = replay->options->config;
    for (int i = 0; good && i < config->kafka_property_count; i++) {
        good = rd_kafka_conf_set(conf, config->kafka_property[i].key, config->kafka_property[i].value, why, sizeof why) == RD_KAFKA_CONF_OK;
    }
    rd_kafka_conf_set_opaque(conf, replay);
    rd_kafka_conf_set_dr_msg_cb(conf, delivered);
    replay->rk = good ? rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why) : NULL;
    if (!replay->rk) {
        rd_kafka_conf_destroy(conf);
        return err_set(ERR_KAFKA, "%s", why);
    }
    return 0;
}

/* After the topic was created: naming it asks the broker for it, which may create it as the broker likes. */
static int topic_open(struct replay *replay)
{
    replay->topic = rd_kafka_topic_new(replay->rk, replay->options->topic, NULL);
    return replay->topic ? 0 : err_set(ERR_KAFKA, "topic %s: %s", replay->options->topic, rd_kafka_err2str(rd_kafka_last_error()));
}

/* Asks for the topic once, so that a wrong address is told now and not after a minute. */
static int broker_ask(struct replay *replay)
{
    const struct rd_kafka_metadata *metadata;
    rd_kafka_resp_err_t error = rd_kafka_metadata(replay->rk, 0, replay->topic, &metadata, ANSWER_MS);
    if (error) {
        return err_set(ERR_KAFKA, "no broker answers at %s (%s); start one, or name it with --brokers or --config", replay->options->brokers,
                       rd_kafka_err2str(error));
    }
    int partitions = metadata->topic_cnt ? metadata->topics[0].partition_cnt : 0;
    if (replay->options->partitions && partitions && partitions != replay->options->partitions)
        fprintf(stderr, "esteem replay: topic %s is there already, with %d partitions; --partitions %d changes nothing\n", replay->options->topic, partitions,
                replay->options->partitions);
    rd_kafka_metadata_destroy(metadata);
    return 0;
}

/* The result of a CreateTopics event: an existing topic is fine. */
static int created_read(rd_kafka_event_t *event, const char *topic)
{
    size_t count = 0;
    if (!event) {
        return err_set(ERR_KAFKA, "creating topic %s: no answer", topic);
    }
    if (rd_kafka_event_error(event)) {
        return err_set(ERR_KAFKA, "creating topic %s: %s", topic, rd_kafka_event_error_string(event));
    }
    const rd_kafka_topic_result_t **results = rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count);
    rd_kafka_resp_err_t error = count ? rd_kafka_topic_result_error(results[0]) : 0;
    if (error && error != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) {
        return err_set(ERR_KAFKA, "creating topic %s: %s", topic, rd_kafka_topic_result_error_string(results[0]));
    }
    return 0;
}

static int topic_create(struct replay *replay)
{
    char why[256];
    const struct options *options = replay->options;
    rd_kafka_NewTopic_t *wanted = rd_kafka_NewTopic_new(options->topic, options->partitions, -1, why, sizeof why);
    if (!wanted) {
        return err_set(ERR_KAFKA, "creating topic %s: %s", options->topic, why);
    }
    rd_kafka_queue_t *queue = rd_kafka_queue_new(replay->rk);
    rd_kafka_CreateTopics(replay->rk, &wanted, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, ANSWER_MS * 3);
    int error = created_read(event, options->topic);
    if (event) {
        rd_kafka_event_destroy(event);
    }
    rd_kafka_queue_destroy(queue);
    rd_kafka_NewTopic_destroy(wanted);
    return error;
}

/* ---- the command */

static void help(FILE *out)
{
    fputs("usage: esteem replay --topic TOPIC [options] FILE...\n"
          "\n"
          "Sends recorded events into Kafka: JSON Lines, or CSV (by a name that ends in .csv; each row an object of\n"
          "strings, which a mapping turns into events). FILE - is standard input. All events of an interaction go to one\n"
          "partition.\n"
          "\n"
          "  --topic TOPIC        where to\n"
          "  -c, --config FILE    kafka.brokers, kafka.properties (SASL, TLS) and mappings of a configuration\n"
          "  --brokers LIST       host:port, comma separated (127.0.0.1:9092)\n"
          "  --rate R             events a second; 0, the default, is as fast as they go\n"
          "  --mapping NAME       run FOLDER/NAME.jq on each line or row\n"
          "  --mappings FOLDER    where mappings are (schemas/mappings)\n"
          "  --partitions N       create the topic with N partitions if it does not exist\n"
          "  --help               this text\n"
          "\n"
          "Exit status: 0 all were sent, 1 something failed, 2 wrong usage.\n",
          out);
}

static int usage(const char *what)
{
    fprintf(stderr, "esteem replay: %s; `esteem replay --help` lists the options\n", what);
    return 2;
}

static bool number_read(const char *text, double low, double high, double *number)
{
    char *end;
    errno = 0;
    *number = strtod(text, &end);
    return end != text && !*end && errno == 0 && *number >= low && *number <= high;
}

/* Returns -1 to go on, or an exit status. */
static int options_read(int argc, char **argv, struct options *options)
{
    static const struct option rows[] = {
        {"topic", required_argument, NULL, 't'},    {"brokers", required_argument, NULL, 'b'},
        {"rate", required_argument, NULL, 'r'},     {"mapping", required_argument, NULL, 'm'},
        {"mappings", required_argument, NULL, 'f'}, {"partitions", required_argument, NULL, 'p'},
        {"config", required_argument, NULL, 'c'},   {"help", no_argument, NULL, 'h'},
        {0},
    };
    double number;
    optind = 0; /* glibc: start anew */
    opterr = 0;
    for (int option; (option = getopt_long(argc, argv, ":c:h", rows, NULL)) != -1;) {
        char what[160];
        switch (option) {
        case 't':
            options->topic = optarg;
            break;
        case 'c':
            if (options->path)
                return usage("-c twice: name one configuration file");
            options->path = optarg;
            break;
        case 'b':
            options->brokers = optarg;
            break;
        case 'm':
            options->mapping = optarg;
            break;
        case 'f':
            options->mappings = optarg;
            break;
        case 'r':
            if (!number_read(optarg, 0, 1e9, &options->rate)) {
                return usage("--rate takes events a second, as in --rate 5000");
            }
            break;
        case 'p':
            if (!number_read(optarg, 1, 10000, &number) || number != (double)(int)number) {
                return usage("--partitions takes a whole number from 1 to 10000");
            }
            options->partitions = (int)number;
            break;
        case 'h':
            help(stdout);
            return 0;
        default:
            (void)snprintf(what, sizeof what, "%s %.100s", option == ':' ? "a value is missing after" : "unknown option",
                           argv[optind - 1]);
            return usage(what);
        }
    }
    if (!options->topic || !*options->topic) {
        return usage("where to? add --topic TOPIC");
    }
    return optind < argc ? -1 : usage("what? name the files to send, or - for standard input");
}

/* Sums the files' sizes for the progress line; a file that cannot be read is told before anything is sent. */
static int files_check(struct replay *replay, char **paths, int count)
{
    bool known = true;
    for (int i = 0; i < count; i++) {
        struct source source;
        int64_t done, total;
        if (strcmp(paths[i], "-") == 0) {
            known = false;
            continue;
        }
        if (access(paths[i], R_OK) != 0) {
            return err_set(ERR_IO, "%s: %s", paths[i], strerror(errno));
        }
        int error = known ? file_source_open((const char *const *)&paths[i], 1, &source) : 0;
        if (error) {
            return error;
        }
        if (known) {
            file_source_progress(&source, &done, &total);
            source.close(source.state);
            replay->total_bytes += total;
            known = total > 0;
        }
    }
    replay->total_bytes = known ? replay->total_bytes : 0;
    return 0;
}

static int replay_run(struct replay *replay, char **paths, int count)
{
    const struct options *options = replay->options;
    int error = files_check(replay, paths, count);
    replay->decoder = decoder_new(FILE_LINE_MAX, NULL, 0);
    error = error ? error : replay->decoder ? 0 : (int)err_code();
    if (!error && options->mapping) {
        replay->mapping = mapping_new(options->mappings, options->mapping);
        error = replay->mapping ? 0 : err_code();
    }
    error = error ? error : producer_open(replay);
    if (!error && options->partitions) {
        error = topic_create(replay);
    }
    error = error ? error : topic_open(replay);
    error = error ? error : broker_ask(replay);
    replay->started_ms = now_ms();
    for (int i = 0; i < count && !error && !stop_asked; i++) {
        error = file_send(replay, paths[i]);
    }
    if (replay->rk && replay->offered) { /* each message ends within SEND_MS, so this does too */
        (void)rd_kafka_flush(replay->rk, stop_asked ? ANSWER_MS : SEND_MS + ANSWER_MS);
    }
    return error;
}

static void replay_close(struct replay *replay)
{
    if (replay->topic) {
        rd_kafka_topic_destroy(replay->topic);
    }
    if (replay->rk) {
        (void)rd_kafka_purge(replay->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        rd_kafka_destroy(replay->rk);
    }
    mapping_free(replay->mapping);
    decoder_free(replay->decoder);
}

/* What the command line does not say is the configuration's, or the default. */
static int options_fill(struct options *options, struct config **config)
{
    int error = options->path ? config_load(options->path, stderr, config) : config_parse("defaults", "", 0, NULL, config);
    if (error) {
        return error;
    }
    options->config = *config;
    options->brokers = options->brokers ? options->brokers : (*config)->kafka_brokers;
    options->mappings = options->mappings ? options->mappings : (*config)->mappings;
    return 0;
}

int replay_main(int argc, char **argv)
{
    struct options options = {0};
    struct config *config;
    int status = options_read(argc, argv, &options);
    if (status >= 0) {
        return status;
    }
    if (options_fill(&options, &config) != 0) {
        return 2;
    }
    struct replay replay = {.options = &options, .terminal = isatty(STDERR_FILENO)};
    struct sigaction stop = {.sa_handler = stop_ask}, old_int, old_term;
    stop_asked = 0;
    sigaction(SIGINT, &stop, &old_int);
    sigaction(SIGTERM, &stop, &old_term);
    int error = replay_run(&replay, argv + optind, argc - optind);
    if (replay.terminal) {
        fputs("\r\033[K", stderr);
    }
    if (error) {
        fprintf(stderr, "esteem replay: %s\n", err_text());
    }
    replay_close(&replay);
    uint64_t failed = replay.refused + replay.offered - replay.sent; /* what was not confirmed until now never will be */
    if (!error || replay.offered) {
        printf("%" PRIu64 " events sent, %" PRIu64 " failed%s\n", replay.sent, failed, stop_asked ? ", stopped early" : "");
    }
    if (replay.unkeyed) {
        fprintf(stderr, "esteem replay: %" PRIu64 " of them are no events as they stand, and went to any partition: they are refused, or a mapping reads them, "
                "and then their topic needs keyed: false\n", replay.unkeyed);
    }
    sigaction(SIGINT, &old_int, NULL);
    sigaction(SIGTERM, &old_term, NULL);
    config_free(config);
    return error || failed || stop_asked ? 1 : 0;
}
