/* esteem demo: everything on this machine and nothing left behind but the feed: librdkafka's mock cluster inside the process, a
 * private redis-server on a unix socket, a seeded feed, the same engine as `run`, and a view of a few figures out of Redis.
 * At its end every row in Redis is held against compute over the recorded feed. */
#include <errno.h>
#include <getopt.h>
#include <hiredis/hiredis.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "demo_view.h"
#include "esteem/command.h"
#include "esteem/demo_check.h"
#include "esteem/demo_feed.h"
#include "esteem/err.h"
#include "esteem/log.h"
#include "esteem/run.h"

enum { PARTITIONS = 4, HISTORY_MS = 1200000, AHEAD_MOST = 4000, STEP_MS = 50, REDIS_TRIES = 100, SETTLE_TRIES = 400 };
static const double contacts_per_second = 4;

static const char help[] =
    "usage: esteem demo [--seconds N] [--seed N]\n"
    "\n"
    "Starts an embedded broker, a private redis-server and a made-up feed, and shows live figures until Ctrl-C, or for N seconds.\n"
    "Then it holds every row in Redis against compute over the same feed: exit 0 when all are equal.\n"
    "\n"
    "  --seconds N  ends by itself after N seconds, up to 86400; 0, the default: not before Ctrl-C. Without it the variable\n"
    "               DEMO_SECONDS of the environment says N, so that `DEMO_SECONDS=120 make demo` ends\n"
    "  --seed N     another feed; default 7\n";

struct demo {
    char folder[64], socket[128], feed_path[128], config_path[128];
    uint64_t seed;
    int seconds; /* 0: until Ctrl-C */
    pid_t redis;
    rd_kafka_t *producer;
    struct demo_feed *feed;
    FILE *record;
    struct config *config;
    struct run *run;
    uint64_t produced;
};

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

static void nap_ms(long ms)
{
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

/* ---- what it runs on ---- */

static int start_folder(struct demo *demo)
{
    snprintf(demo->folder, sizeof demo->folder, "/tmp/esteem-demo.XXXXXX");
    if (mkdtemp(demo->folder) == NULL)
        return err_set(ERR_IO, "%s: %s", demo->folder, strerror(errno));
    snprintf(demo->socket, sizeof demo->socket, "%s/redis.sock", demo->folder);
    snprintf(demo->feed_path, sizeof demo->feed_path, "%s/feed.jsonl", demo->folder);
    snprintf(demo->config_path, sizeof demo->config_path, "%s/esteem.yaml", demo->folder);
    demo->record = fopen(demo->feed_path, "w");
    return demo->record ? 0 : err_set(ERR_IO, "%s: %s", demo->feed_path, strerror(errno));
}

static void exec_redis(const struct demo *demo)
{
    char log[160];
    snprintf(log, sizeof log, "%s/redis.log", demo->folder);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setpgid(0, 0); /* Ctrl-C is for us: Redis is needed until the end */
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", demo->socket, "--save", "", "--appendonly", "no", "--logfile", log,
           (char *)NULL);
    _exit(127);
}

static int start_redis(struct demo *demo)
{
    demo->redis = fork();
    if (demo->redis == 0)
        exec_redis(demo);
    for (int i = 0; i < REDIS_TRIES; i++) {
        redisContext *redis = redisConnectUnix(demo->socket);
        bool up = redis && redis->err == 0;
        if (redis)
            redisFree(redis);
        if (up)
            return 0;
        if (waitpid(demo->redis, NULL, WNOHANG) == demo->redis) {
            demo->redis = 0;
            return err_set(ERR_REDIS, "redis-server did not start; install it: deploy/install-deps.sh");
        }
        nap_ms(50);
    }
    return err_set(ERR_REDIS, "redis-server did not come up within 5 s");
}

static int start_broker(struct demo *demo)
{
    char error[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "test.mock.num.brokers", "1", error, sizeof error);
    rd_kafka_conf_set(conf, "linger.ms", "20", error, sizeof error);
    rd_kafka_conf_set(conf, "log_level", "3", error, sizeof error);
    demo->producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof error);
    if (demo->producer == NULL)
        return err_set(ERR_KAFKA, "the embedded broker does not start: %s", error);
    rd_kafka_mock_topic_create(rd_kafka_handle_mock_cluster(demo->producer), "contacts", PARTITIONS, 1);
    return 0;
}

static int write_config(struct demo *demo)
{
    FILE *file = fopen(demo->config_path, "w");
    if (file == NULL)
        return err_set(ERR_IO, "%s: %s", demo->config_path, strerror(errno));
    fprintf(file,
            "# made by esteem demo\n"
            "kafka: {brokers: \"%s\", group: demo-%d, topics: [contacts]}\n"
            "state: {folder: \"\"}\n"
            "control: {socket: %s/control.sock}\n"
            "redis: {socket: %s}\n"
            "time: {out_of_order: 2s, lateness: 1m, idle_after: 5s}\n"
            "metrics: {service_level: {threshold: 20s, short_abandon: 5s}}\n"
            "scopes: [[], [queue], [channel], [channel, queue], [site], [team], [brand], [language], [reason], [element]]\n"
            "goals:\n"
            "  - {name: adoption, metric: adoption, scope: [team], window: 1h, target: 80}\n"
            "  - {name: handle_time, metric: aht_ms, scope: [language], window: 1h, target: 32000}\n"
            "leaderboards: [{metric: usage_rate, scope: [team], window: 1h}]\n"
            "threads: {shards: 2, folds: 2}\n"
            "log: {level: warn}\n",
            rd_kafka_mock_cluster_bootstraps(rd_kafka_handle_mock_cluster(demo->producer)), (int)getpid(), demo->folder, demo->socket);
    fclose(file);
    return config_load(demo->config_path, stderr, &demo->config);
}

/* ---- the feed ---- */

static void produce(void *context, const char *key, const char *json, size_t length)
{
    struct demo *demo = context;
    fwrite(json, 1, length, demo->record);
    putc('\n', demo->record);
    demo->produced++;
    while (rd_kafka_producev(demo->producer, RD_KAFKA_V_TOPIC("contacts"), RD_KAFKA_V_KEY(key, strlen(key)),
                             RD_KAFKA_V_VALUE((void *)(uintptr_t)json, length), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                             RD_KAFKA_V_END) == RD_KAFKA_RESP_ERR__QUEUE_FULL)
        rd_kafka_poll(demo->producer, 10);
}

static uint64_t settled(struct demo *demo)
{
    struct pipeline_counts counts = pipeline_counts(run_pipeline(demo->run));
    return counts.shards.applied + counts.shards.duplicates + counts.shards.refused;
}

/* Waits until at most `ahead` events are on their way: the mock cluster forgets its oldest messages. */
static bool settle(struct demo *demo, uint64_t ahead)
{
    for (int i = 0; i < SETTLE_TRIES; i++) {
        rd_kafka_poll(demo->producer, 0);
        if (demo->produced - settled(demo) <= ahead)
            return true;
        nap_ms(STEP_MS);
    }
    return false;
}

/* The last 20 minutes at once, so that the windows are not empty when the view begins. */
static void produce_history(struct demo *demo, int64_t from_ms, int64_t to_ms)
{
    for (int64_t at_ms = from_ms; at_ms < to_ms; at_ms += 20000) {
        demo_feed_until(demo->feed, at_ms, produce, demo);
        settle(demo, AHEAD_MOST);
    }
}

/* ---- its course ---- */

static volatile sig_atomic_t stopped;

static void on_signal(int number)
{
    (void)number;
    stopped = 1;
}

static int play(struct demo *demo)
{
    int64_t start_ms = now_ms();
    demo->feed = demo_feed_new(demo->seed, start_ms - HISTORY_MS, contacts_per_second);
    struct demo_view *view = demo_view_new(demo->socket);
    demo_feed_until(demo->feed, start_ms - HISTORY_MS, produce, demo);
    settle(demo, 0); /* contacts are derived under the roster that is known then */
    produce_history(demo, start_ms - HISTORY_MS, start_ms);
    int64_t until_ms = demo->seconds ? now_ms() + demo->seconds * INT64_C(1000) : INT64_MAX;
    while (!stopped && now_ms() < until_ms) {
        demo_feed_until(demo->feed, now_ms(), produce, demo);
        rd_kafka_poll(demo->producer, 0);
        demo_view_draw(view, now_ms(), settled(demo), demo->seconds ? (until_ms - now_ms()) / 1000 : -1);
        int result = run_check(demo->run);
        if (result != 0)
            return result;
        nap_ms(STEP_MS);
    }
    demo_view_free(view);
    fflush(demo->record);
    rd_kafka_flush(demo->producer, 10000);
    return settle(demo, 0) ? 0 : err_set(ERR_KAFKA, "%llu of %llu events did not arrive within 20 s",
                                         (unsigned long long)(demo->produced - settled(demo)), (unsigned long long)demo->produced);
}

static int check(struct demo *demo)
{
    struct demo_check checked;
    int result = demo_check(demo->config, demo->feed_path, &checked, stdout);
    if (result != 0)
        return result;
    if (checked.rows == 0 || checked.different || checked.missing)
        return err_set(ERR_DATA, "of %llu rows in Redis %llu differ from compute, and %llu are missing", (unsigned long long)checked.rows,
                       (unsigned long long)checked.different, (unsigned long long)checked.missing);
    printf("%llu rows in Redis equal compute\n", (unsigned long long)checked.equal);
    return 0;
}

static void close_demo(struct demo *demo)
{
    if (demo->redis > 0) {
        kill(demo->redis, SIGTERM);
        waitpid(demo->redis, NULL, 0);
    }
    demo_feed_free(demo->feed);
    if (demo->record)
        fclose(demo->record);
    config_free(demo->config);
    if (demo->producer)
        rd_kafka_destroy(demo->producer);
}

static int read_arguments(int argc, char **argv, struct demo *demo)
{
    static const struct option options[] = {{"seconds", required_argument, NULL, 's'}, {"seed", required_argument, NULL, 'e'},
                                            {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
    const char *seconds = getenv("DEMO_SECONDS");
    char *end = NULL;
    for (int option; (option = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        if (option == 's')
            seconds = optarg;
        else if (option == 'e') {
            demo->seed = strtoull(optarg, &end, 10);
            if (end == optarg || *end)
                return command_usage("demo", "--seed %s: not a whole number", optarg);
        } else if (option == 'h') {
            fputs(help, stdout);
            return -1;
        } else
            return command_usage("demo", "see above");
    }
    if (optind < argc)
        return command_usage("demo", "%s: nothing goes behind the options; --seconds N says how long", argv[optind]);
    long long length = seconds && *seconds ? strtoll(seconds, &end, 10) : 0;
    if (seconds && *seconds && (*end || length < 0 || length > 86400))
        return command_usage("demo", "%s: not a number of seconds up to 86400", seconds);
    demo->seconds = (int)length;
    return 0;
}

int command_demo(int argc, char **argv)
{
    struct demo demo = {.seed = 7};
    int code = read_arguments(argc, argv, &demo);
    if (code != 0)
        return code < 0 ? EXIT_DONE : code;
    signal(SIGPIPE, SIG_IGN);
    sigaction(SIGINT, &(struct sigaction){.sa_handler = on_signal}, NULL);
    sigaction(SIGTERM, &(struct sigaction){.sa_handler = on_signal}, NULL);
    log_level_set(LOG_WARN);
    int (*const steps[])(struct demo *) = {start_folder, start_redis, start_broker, write_config};
    int result = 0;
    for (int i = 0; i < 4 && result == 0; i++)
        result = steps[i](&demo);
    if (result == 0)
        result = run_start(demo.config, NULL, &demo.run);
    if (result == 0)
        result = play(&demo);
    if (demo.run) {
        int stopped_well = run_stop(demo.run, END_REFRESH, result ? 0 : 20000);
        result = result ? result : stopped_well;
    }
    if (result == 0)
        result = check(&demo);
    if (result != 0)
        fprintf(stderr, "esteem demo: %s\n", err_text());
    if (demo.record)
        printf("The feed is kept: %s; its configuration: %s\n", demo.feed_path, demo.config_path);
    close_demo(&demo);
    return result == 0 ? EXIT_DONE : EXIT_FAILED;
}
