/* The Redis sink, against a redis-server of its own on a unix socket. Time is by hand: step(now) moves it. */
#include <criterion/criterion.h>
#include <hiredis/hiredis.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "esteem/err.h"
#include "esteem/recall.h"
#include "esteem/redis.h"
#include "esteem/row.h"
#include "support/fake_redis.h"

#define START_MS INT64_C(1795356000000) /* 2026-11-22T14:00:00Z */
#define HOUR_MS INT64_C(3600000)

static char folder[] = "/tmp/esteem-redis-XXXXXX";
static char socket_path[64];
static pid_t server;
static redisContext *look; /* the test's own connection */
static struct config *config;
static struct sink sink;
static int64_t now_ms = START_MS;

/* ---- the server ---- */

static void server_start(void)
{
    server = fork();
    cr_assert_geq(server, 0);
    if (server == 0) {
        (void)!freopen("/dev/null", "w", stdout);
        execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", socket_path, "--save", "", "--appendonly", "no",
               "--dir", folder, (char *)NULL);
        _exit(127);
    }
    for (int i = 0; i < 500; i++) {
        look = redisConnectUnix(socket_path);
        if (look && !look->err)
            return;
        redisFree(look);
        usleep(10000);
    }
    cr_assert(false, "redis-server did not start");
}

static void server_stop(void)
{
    redisFree(look);
    kill(server, SIGCONT);
    kill(server, SIGKILL);
    waitpid(server, NULL, 0);
    unlink(socket_path);
}

/* The reply as text: "nil", "OK", "12", or of an array its elements with blanks between. */
static const char *ask(const char *format, ...) __attribute__((format(printf, 1, 2)));
static const char *ask(const char *format, ...)
{
    static char text[1 << 16];
    va_list arguments;
    va_start(arguments, format);
    redisReply *reply = redisvCommand(look, format, arguments);
    va_end(arguments);
    cr_assert(reply != NULL, "the test's own connection broke: %s", look->errstr);
    size_t used = 0;
    text[0] = '\0';
    if (reply->type == REDIS_REPLY_INTEGER)
        (void)snprintf(text, sizeof text, "%lld", reply->integer);
    else if (reply->type == REDIS_REPLY_NIL)
        strcpy(text, "nil");
    else if (reply->type == REDIS_REPLY_ARRAY)
        for (size_t i = 0; i < reply->elements; i++)
            used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", i ? " " : "", reply->element[i]->str);
    else
        (void)snprintf(text, sizeof text, "%s", reply->str);
    freeReplyObject(reply);
    return text;
}

/* ---- the sink ---- */

static void steps(int count)
{
    for (int i = 0; i < count; i++) {
        sink.step(sink.state, now_ms);
        usleep(500);
    }
}

static void pass(int64_t ms)
{
    now_ms += ms;
    steps(1);
}

/* Steps until nothing waits any more, two seconds at most. */
static void settle(void)
{
    for (int i = 0; i < 20000 && (sink.pending(sink.state) || i < 20); i++) /* ten seconds: the machine may be full */
        steps(1);
    cr_assert_eq(sink.pending(sink.state), 0);
}

static void until_generation(uint64_t generation)
{
    for (int i = 0; i < 20000 && sink.generation(sink.state) < generation; i++)
        steps(1);
    cr_assert_eq(sink.generation(sink.state), generation);
}

/* The same, and time goes by: at first fast, then about as fast as it does for Redis, which on a busy machine answers late. */
static void in_time_generation(uint64_t generation)
{
    for (int i = 0; i < 1000 && sink.generation(sink.state) < generation; i++) {
        now_ms += 100;
        steps(i < 100 ? 3 : 100);
    }
    cr_assert_eq(sink.generation(sink.state), generation);
}

static void sink_start(const char *more)
{
    char text[512];
    (void)snprintf(text, sizeof text, "redis: {socket: %s%s}\n", socket_path, more);
    cr_assert_eq(config_parse("test", text, strlen(text), stderr, &config), 0);
    cr_assert_eq(redis_sink_open(config, &sink), 0);
}

static void given_redis(void)
{
    if (system("command -v redis-server >/dev/null") != 0)
        cr_skip_test("redis-server is not installed");
    cr_assert(mkdtemp(folder) != NULL);
    (void)snprintf(socket_path, sizeof socket_path, "%s/redis.sock", folder);
    server_start();
}

static void given_sink(void)
{
    given_redis();
    sink_start("");
    until_generation(1);
}

static void done(void)
{
    if (server == 0)
        return;
    redis_sink_close(&sink);
    config_free(config);
    server_stop();
    char command[64];
    (void)snprintf(command, sizeof command, "rm -r %s", folder);
    cr_assert_eq(system(command), 0);
}

TestSuite(redis, .init = given_sink, .fini = done, .timeout = 60);
TestSuite(redis_server, .init = given_redis, .fini = done, .timeout = 60);

/* ---- rows ---- */

/* Five minutes of a queue, with so many CSAT answers and contacts handled. */
static struct row *row_of(const char *tenant, const char *queue, int64_t answers, int64_t handled)
{
    static const uint8_t dimension[] = {DIMENSION_queue};
    char scope[ROW_SCOPE_MAX];
    struct row head = {.config = config, .start_ms = now_ms - 300000, .end_ms = now_ms, .rolling = true, .window_name = "5m", .tenant = tenant,
                       .scope = scope, .value_count = 1, .value_dimension = {DIMENSION_queue}, .value = {queue}};
    struct tally_run run;
    tally_run_begin(&run);
    tally_run_put(&run, MEASURE_handled, handled);
    tally_run_put(&run, MEASURE_talk_ms, handled * 231000);
    tally_run_put(&run, MEASURE_csat_n, answers);
    tally_run_put(&run, MEASURE_csat_top, answers ? answers - 2 : 0);
    tally_run_end(&run);
    row_scope_text(config, dimension, head.value, 1, scope, sizeof scope);
    return row_new(&head, run.bytes, run.length);
}

static struct row *calendar_row(bool running, bool last)
{
    struct row *row = row_of("acme", "billing", 12, 40), head = *row;
    head.rolling = false;
    head.window = CALENDAR_HOUR;
    head.window_name = "hour";
    head.running = running;
    head.last = last;
    head.start_ms = START_MS;
    head.end_ms = START_MS + HOUR_MS;
    struct row *calendar = row_new(&head, row->runs, row->runs_length);
    row_free(row);
    return calendar;
}

/* Takes the row. */
static enum sink_result put(struct row *row)
{
    enum sink_result result = sink.put(sink.state, row);
    row_free(row);
    return result;
}

static void put_and_settle(struct row *row)
{
    cr_assert_eq(put(row), SINK_TAKEN);
    sink.batch_end(sink.state, now_ms);
    settle();
}

#define KEY "esteem:v1:{acme}:queue=billing:5m"

Test(redis, writes_a_row_as_a_hash_with_its_metrics_and_its_json)
{
    put_and_settle(row_of("acme", "billing", 12, 40));
    cr_expect_str_eq(ask("HMGET " KEY " csat csat_n csat_low csat_high csat_small aht_ms aht_ms_n"),
                     "83.333333 12 55.196914 95.303486 (null) 231000 40");
    cr_expect_str_eq(ask("HMGET " KEY " start end revision final partial"),
                     "2026-11-22T13:55:00Z 2026-11-22T14:00:00Z 0 false false");
    cr_expect_str_eq(ask("HGET " KEY " config"), config->id);
    const char *json = ask("HGET " KEY " row");
    cr_expect(strstr(json, "{\"v\":1,\"tenant\":\"acme\",\"scope\":{\"queue\":\"billing\"},\"window\":\"5m\",") == json);
    cr_expect_eq(redis_counts(&sink).rows, 1);
    cr_expect_eq(redis_counts(&sink).errors, 0);
}

Test(redis, keeps_the_running_calendar_window_and_the_last_one_closed_apart)
{
    put_and_settle(calendar_row(true, false));
    put_and_settle(calendar_row(false, true));
    cr_expect_str_eq(ask("EXISTS esteem:v1:{acme}:queue=billing:hour"), "1");
    cr_expect_str_eq(ask("EXISTS esteem:v1:{acme}:queue=billing:hour:last"), "1");
}

Test(redis, does_not_write_a_calendar_row_that_is_neither_running_nor_last)
{
    put_and_settle(calendar_row(false, false));
    cr_expect_str_eq(ask("KEYS *billing*"), "");
    cr_expect_eq(redis_counts(&sink).rows, 0);
}

static void reload(const char *yaml);

static struct row *now_row(int64_t waiting)
{
    struct row *row = row_of("acme", "billing", 0, 0), head = *row;
    struct tally_run run;
    tally_run_begin(&run);
    tally_run_put(&run, MEASURE_waiting, waiting);
    tally_run_put(&run, MEASURE_longest_wait_ms, waiting * 1000);
    tally_run_end(&run);
    head.rolling = false;
    head.now = head.running = true;
    head.window_name = "now";
    head.start_ms = head.end_ms;
    struct row *now = row_new(&head, run.bytes, run.length);
    row_free(row);
    return now;
}

Test(redis, writes_what_is_now_with_all_its_gauges_and_a_short_time_to_live)
{
    reload("goals: [{name: most, metric: aht_ms, scope: [queue], window: hour, target: 5}]\n");
    put_and_settle(now_row(3));
#define NOW_KEY "esteem:v1:{acme}:queue=billing:now"
    cr_expect_str_eq(ask("HMGET " NOW_KEY " waiting longest_wait_ms in_progress agents_away start end csat"),
                     "3 3000 0 0 2026-11-22T14:00:00Z 2026-11-22T14:00:00Z (null)");
    cr_expect(strstr(ask("HGET " NOW_KEY " row"), "\"measures\":{\"waiting\":3,\"longest_wait_ms\":3000},\"metrics\":{}}"));
    cr_expect(atoll(ask("PTTL " NOW_KEY)) > 590000 && atoll(ask("PTTL " NOW_KEY)) <= 600000);
    put_and_settle(now_row(0));
    cr_expect_str_eq(ask("HMGET " NOW_KEY " waiting longest_wait_ms"), "0 0");
    cr_expect(strstr(ask("HGET " NOW_KEY " row"), "\"measures\":{}"));
    cr_expect_str_eq(ask("ZRANGE esteem:v1:{acme}:scopes 0 -1"), "queue=billing");
    cr_expect_str_eq(ask("EXISTS esteem:v1:{acme}:goals"), "0");
    cr_expect_eq(redis_counts(&sink).errors, 0);
}

Test(redis, takes_out_a_metric_that_lost_its_denominator)
{
    put_and_settle(row_of("acme", "billing", 12, 40));
    put_and_settle(row_of("acme", "billing", 0, 40));
    cr_expect_str_eq(ask("HMGET " KEY " csat csat_n csat_low aht_ms"), "(null) (null) (null) 231000");
    cr_expect_gt(atoll(ask("PTTL " KEY)), 1190000);
}

Test(redis, takes_out_the_mark_small_when_n_has_grown)
{
    put_and_settle(row_of("acme", "billing", 9, 40));
    cr_expect_str_eq(ask("HGET " KEY " csat_small"), "true");
    put_and_settle(row_of("acme", "billing", 10, 40));
    cr_expect_str_eq(ask("HMGET " KEY " csat_n csat_small"), "10 (null)");
}

Test(redis, keeps_the_mark_small_while_n_stays_small)
{
    put_and_settle(row_of("acme", "billing", 8, 40));
    put_and_settle(row_of("acme", "billing", 9, 40));
    cr_expect_str_eq(ask("HMGET " KEY " csat_n csat_small"), "9 true");
    put_and_settle(row_of("acme", "billing", 10, 40));
    put_and_settle(row_of("acme", "billing", 9, 40));
    cr_expect_str_eq(ask("HMGET " KEY " csat_n csat_small"), "9 true", "small once more");
}

Test(redis, clears_what_an_earlier_process_left_in_a_key)
{
    (void)ask("HSET " KEY " gone 1 csat 2");
    put_and_settle(row_of("acme", "billing", 0, 40));
    cr_expect_str_eq(ask("HMGET " KEY " gone csat aht_ms"), "(null) (null) 231000");
}

Test(redis, gives_a_key_twice_its_window_and_renews_that_at_half_life)
{
    put_and_settle(row_of("acme", "billing", 12, 40));
    cr_expect_leq(atoll(ask("PTTL " KEY)), 1200000);
    cr_expect_gt(atoll(ask("PTTL " KEY)), 1190000);
    (void)ask("PEXPIRE " KEY " 700000");
    pass(599000);
    put_and_settle(row_of("acme", "billing", 13, 40));
    cr_expect_leq(atoll(ask("PTTL " KEY)), 700000, "more than half is left: not renewed");
    pass(2000);
    put_and_settle(row_of("acme", "billing", 14, 40));
    cr_expect_gt(atoll(ask("PTTL " KEY)), 1190000, "less than half is left: renewed");
}

Test(redis, gives_a_key_that_redis_dropped_its_time_to_live_and_marks_again)
{
    put_and_settle(row_of("acme", "billing", 9, 40));
    (void)ask("DEL " KEY);
    put_and_settle(row_of("acme", "billing", 9, 40));
    cr_expect_str_eq(ask("PTTL " KEY), "-1");
    put_and_settle(row_of("acme", "billing", 9, 40));
    cr_expect_gt(atoll(ask("PTTL " KEY)), 1190000);
    cr_expect_str_eq(ask("HMGET " KEY " csat_n csat_small"), "9 true");
}

Test(redis, encodes_tenants_and_values)
{
    put_and_settle(row_of("a{c}me", "billing, north:\xc0\x80", 12, 40));
    cr_expect_str_eq(ask("EXISTS esteem:v1:{a%%7Bc%%7Dme}:queue=billing%%2C%%20north%%3A%%00:5m"), "1");
}

Test(redis, lists_live_scopes_by_the_newest_instant_of_their_rows)
{
    put_and_settle(row_of("acme", "billing", 12, 40));
    put_and_settle(calendar_row(true, false)); /* ends later, but has not reached its end */
    cr_expect_str_eq(ask("ZSCORE esteem:v1:{acme}:scopes queue=billing"), "1795356000000");
    now_ms += 60000;
    put_and_settle(row_of("acme", "billing", 12, 40));
    cr_expect_str_eq(ask("ZSCORE esteem:v1:{acme}:scopes queue=billing"), "1795356060000");
}

Test(redis, takes_dead_scopes_out_of_the_list)
{
    put_and_settle(row_of("acme", "billing", 12, 40));
    now_ms += 80 * 24 * HOUR_MS;
    put_and_settle(row_of("acme", "sales", 12, 40));
    cr_expect_str_eq(ask("ZRANGE esteem:v1:{acme}:scopes 0 -1"), "queue=sales");
}

Test(redis, writes_the_catalogue)
{
    settle();
    cr_expect_str_eq(ask("HGET esteem:v1:catalogue csat_mean"),
                     "{\"unit\":\"scale\",\"formula\":\"(csat_sum) / (csat_n)\",\"direction\":\"up\","
                     "\"meaning\":\"mean satisfaction, 1 to 5\",\"family\":\"csat\"}");
    cr_expect_eq(atoi(ask("HLEN esteem:v1:catalogue")), METRIC_COUNT);
}

/* ---- goals and leaderboards ---- */

#define GOALS "windows: {rolling: [5m], calendar: [hour, day]}\ngoals: [{name: csat, metric: csat, scope: [queue], window: 5m, target: 80},\n" \
              "{name: aht, metric: aht_ms, scope: [queue], window: 5m, target: 200000}]\n" \
              "leaderboards: [{metric: csat, scope: [queue], window: 5m}, {metric: aht_ms, scope: [queue], window: hour}]\n"

/* Rows come under another configuration from now on, as after a reload. The sink keeps its own. */
static struct config *reloaded;
static void reload(const char *yaml)
{
    config_free(reloaded);
    cr_assert_eq(config_parse("test", yaml, strlen(yaml), stderr, &reloaded), 0);
}

static struct row *row_under(struct config *under, const char *queue, int64_t answers, int64_t handled)
{
    struct config *own = config;
    config = under;
    struct row *row = row_of("acme", queue, answers, handled);
    config = own;
    return row;
}

Test(redis, tells_who_misses_which_goal_and_by_how_much)
{
    reload(GOALS);
    put_and_settle(row_under(reloaded, "billing", 12, 40)); /* csat 83.3, aht 231 s: 15.5 % too long */
    cr_expect_str_eq(ask("ZREVRANGE esteem:v1:{acme}:goals 0 -1 WITHSCORES"), "aht|queue=billing 15.5");
    cr_expect_str_eq(ask("HMGET " KEY " goal.csat goal.csat_n goal.csat_met goal.aht goal.aht_met goal.aht_small"), "104.166667 12 true 115.5 false false");
    put_and_settle(row_under(reloaded, "sales", 8, 40)); /* 8 answers are too few */
    cr_expect_str_eq(ask("ZREVRANGE esteem:v1:{acme}:goals 0 -1"), "aht|queue=sales aht|queue=billing");
    put_and_settle(row_under(reloaded, "sales", 10, 0)); /* 8 of 10 are just enough, and nobody handled anything */
    cr_expect_str_eq(ask("ZREVRANGE esteem:v1:{acme}:goals 0 -1"), "aht|queue=billing");
    put_and_settle(row_under(reloaded, "billing", 0, 0));
    cr_expect_str_eq(ask("EXISTS esteem:v1:{acme}:goals"), "0");
    config_free(reloaded);
}

Test(redis, keeps_leaderboards_of_rows_with_enough)
{
    reload(GOALS);
    put_and_settle(row_under(reloaded, "billing", 10, 40));
    put_and_settle(row_under(reloaded, "sales", 20, 40));
    put_and_settle(row_under(reloaded, "few", 9, 40));
    cr_expect_str_eq(ask("ZREVRANGE esteem:v1:{acme}:top:csat:queue:5m 0 -1 WITHSCORES"), "queue=sales 90 queue=billing 80");
    cr_expect_str_eq(ask("EXISTS esteem:v1:{acme}:top:aht_ms:queue:hour"), "0");
    cr_expect_gt(atoll(ask("PTTL esteem:v1:{acme}:top:csat:queue:5m")), 1190000);
    put_and_settle(row_under(reloaded, "sales", 0, 40));
    cr_expect_str_eq(ask("ZRANGE esteem:v1:{acme}:top:csat:queue:5m 0 -1"), "queue=billing");
    config_free(reloaded);
}

/* What a life before, or a configuration before, has left there is not taken out by anybody. */
Test(redis, begins_its_sets_anew_with_each_life_and_each_reload)
{
    (void)ask("ZADD esteem:v1:{acme}:goals 50 csat|queue=gone");
    (void)ask("ZADD esteem:v1:{acme}:top:csat:queue:5m 50 queue=gone");
    reload(GOALS);
    put_and_settle(row_under(reloaded, "billing", 12, 40));
    cr_expect_str_eq(ask("ZRANGE esteem:v1:{acme}:goals 0 -1"), "aht|queue=billing");
    cr_expect_str_eq(ask("ZRANGE esteem:v1:{acme}:top:csat:queue:5m 0 -1"), "queue=billing");
    struct row *before = row_under(reloaded, "late", 12, 40);
    struct config *old = reloaded;
    reloaded = NULL;
    reload("windows: {rolling: [5m]}\ngoals: [{name: other, metric: csat, scope: [queue], window: 5m, target: 99}]\n");
    put_and_settle(row_under(reloaded, "billing", 12, 40));
    cr_expect_str_eq(ask("ZRANGE esteem:v1:{acme}:goals 0 -1"), "other|queue=billing");
    cr_expect_str_eq(ask("HMGET " KEY " goal.csat goal.aht goal.other_met"), "(null) (null) false");
    put_and_settle(before); /* a fold that has not heard of the reload yet */
    cr_expect_str_eq(ask("ZRANGE esteem:v1:{acme}:goals 0 -1"), "other|queue=billing");
    put_and_settle(row_under(reloaded, "late", 12, 40));
    cr_expect_str_eq(ask("HMGET esteem:v1:{acme}:queue=late:5m goal.csat goal.aht goal.other_met"), "(null) (null) false");
    config_free(old);
    config_free(reloaded);
}

/* ---- what a batch tells ---- */

static redisContext *subscribed(void)
{
    redisContext *listener = redisConnectUnix(socket_path);
    redisReply *reply = redisCommand(listener, "SUBSCRIBE esteem:v1:{acme}:changed");
    freeReplyObject(reply);
    redisSetTimeout(listener, (struct timeval){5, 0});
    return listener;
}

static void expect_told(redisContext *listener, const char *keys)
{
    redisReply *reply = NULL;
    cr_assert_eq(redisGetReply(listener, (void **)&reply), REDIS_OK);
    cr_expect_str_eq(reply->element[2]->str, keys);
    freeReplyObject(reply);
}

Test(redis, tells_the_keys_that_a_batch_has_changed)
{
    redisContext *listener = subscribed();
    cr_assert_eq(put(row_of("acme", "billing", 12, 40)), SINK_TAKEN);
    cr_assert_eq(put(row_of("other", "sales", 12, 40)), SINK_TAKEN);
    put_and_settle(row_of("acme", "sales", 12, 40));
    expect_told(listener, KEY "\nesteem:v1:{acme}:queue=sales:5m");
    put_and_settle(row_of("acme", "billing", 12, 40));
    expect_told(listener, KEY);
    redisFree(listener);
}

/* As a tick's rows come: whenever a transaction is full the next one begins. */
static void put_tick(int keys)
{
    char queue[16];
    for (int i = 0; i < keys; i++) {
        (void)snprintf(queue, sizeof queue, "q%d", i);
        for (int tries = 0; put(row_of("acme", queue, 12, 40)) == SINK_FULL; tries++) {
            steps(tries > 0); /* a transaction that was answered before the next one began would end the tick */
            sink.batch_end(sink.state, now_ms);
        }
    }
    sink.batch_end(sink.state, now_ms);
    settle();
}

/* How many keys the next message names; 0: `*`. */
static int names_told(redisContext *listener)
{
    redisReply *reply = NULL;
    cr_assert_eq(redisGetReply(listener, (void **)&reply), REDIS_OK);
    const char *keys = reply->element[2]->str;
    int names = strcmp(keys, "*") != 0;
    for (; *keys; keys++)
        names += *keys == '\n';
    freeReplyObject(reply);
    return names;
}

Test(redis, tells_a_thousand_keys_of_a_tick_by_name)
{
    redisContext *listener = subscribed();
    for (int tick = 0; tick < 2; tick++) {
        int told = 0;
        put_tick(REDIS_CHANGED_MAX);
        for (int names = 1; names && told < REDIS_CHANGED_MAX; told += names)
            names = names_told(listener);
        cr_expect_eq(told, REDIS_CHANGED_MAX);
    }
    put_and_settle(row_of("acme", "billing", 12, 40));
    expect_told(listener, KEY);
    redisFree(listener);
}

Test(redis, tells_a_star_for_what_a_tick_changes_above_a_thousand_keys)
{
    redisContext *listener = subscribed();
    int told = 0, names, stars = 1;
    put_tick(4 * REDIS_ROWS_MAX);
    put_and_settle(row_of("acme", "billing", 12, 40));
    while ((names = names_told(listener)) > 0)
        told += names;
    for (; (names = names_told(listener)) == 0; stars++)
        ;
    cr_expect(told > REDIS_CHANGED_MAX - REDIS_ROWS_MAX && told <= REDIS_CHANGED_MAX, "%d", told);
    cr_expect_geq(stars, 2);
    cr_expect_eq(names, 1, "the next tick is told by name again");
    cr_expect_eq(redis_counts(&sink).rows, 4 * REDIS_ROWS_MAX + 1);
    redisFree(listener);
}

/* ---- alerts ---- */

static struct row *alert_row(enum row_alert_state state, double value)
{
    struct row *row = row_under(reloaded, "billing", 0, 0), head = *row;
    head.goal = "csat";
    head.alert = (struct row_alert){.state = (uint8_t)state, .goal = 0, .value = value, .n = 20, .since_ms = START_MS, .at_ms = START_MS + 60000};
    struct row *alert = row_new(&head, NULL, 0);
    row_free(row);
    return alert;
}

#define ALERT(state, value) "{\"v\":1,\"state\":\"" state "\",\"goal\":\"csat\",\"tenant\":\"acme\",\"scope\":{\"queue\":\"billing\"},\"window\":\"5m\"," \
    "\"start\":\"2026-11-22T13:55:00Z\",\"end\":\"2026-11-22T14:00:00Z\",\"metric\":\"csat\",\"value\":" value ",\"target\":80,\"n\":20," \
    "\"since\":\"2026-11-22T14:00:00Z\",\"at\":\"2026-11-22T14:01:00Z\",\"config\":\"%s\"}"

Test(redis, tells_alerts_on_their_channel_and_keeps_the_newest_of_each)
{
    char want[512];
    redisContext *listener = redisConnectUnix(socket_path);
    freeReplyObject(redisCommand(listener, "SUBSCRIBE esteem:v1:{acme}:alerts"));
    redisSetTimeout(listener, (struct timeval){5, 0});
    reload(GOALS);
    put_and_settle(alert_row(ROW_ALERT_MISSED, 70));
    (void)snprintf(want, sizeof want, ALERT("missed", "70"), reloaded->id);
    expect_told(listener, want);
    cr_expect_str_eq(ask("HGET esteem:v1:{acme}:alerts csat|queue=billing"), want);
    cr_assert_eq(put(row_under(reloaded, "billing", 12, 40)), SINK_TAKEN); /* beside a row, in one transaction */
    put_and_settle(alert_row(ROW_ALERT_MET, 87.5));
    (void)snprintf(want, sizeof want, ALERT("met", "87.5"), reloaded->id);
    expect_told(listener, want);
    cr_expect_str_eq(ask("HLEN esteem:v1:{acme}:alerts"), "1");
    cr_expect_str_eq(ask("HGET esteem:v1:{acme}:alerts csat|queue=billing"), want);
    cr_expect_gt(atoll(ask("PTTL esteem:v1:{acme}:alerts")), 1190000);
    cr_expect_str_eq(ask("HGET " KEY " csat_n"), "12");
    cr_expect_eq(redis_counts(&sink).rows, 3);
    put_and_settle(alert_row(ROW_ALERT_REMOVED, 0));
    (void)snprintf(want, sizeof want, "{\"v\":1,\"state\":\"removed\",\"goal\":\"csat\",\"tenant\":\"acme\",\"scope\":{\"queue\":\"billing\"},"
                   "\"at\":\"2026-11-22T14:01:00Z\",\"config\":\"%s\"}", reloaded->id);
    expect_told(listener, want);
    cr_expect_str_eq(ask("HLEN esteem:v1:{acme}:alerts"), "0");
    redisFree(listener);
    config_free(reloaded);
}

/* ---- fence ---- */

static const char *own_fence(void)
{
    static char text[32];
    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)redis_counts(&sink).fence);
    return text;
}

/* Another esteem on another machine, as far as Redis can see. */
static void a_newer_instance_starts(void)
{
    (void)ask("INCR esteem:v1:fence");
}

static void break_connection(void)
{
    (void)ask("CLIENT KILL TYPE normal SKIPME yes");
}

Test(redis, numbers_instances_in_the_order_of_their_start)
{
    struct sink newer;
    cr_expect_str_eq(ask("GET esteem:v1:fence"), own_fence());
    cr_assert_eq(redis_sink_open(config, &newer), 0);
    for (int i = 0; i < 20000 && newer.generation(newer.state) == 0; i++, usleep(500))
        newer.step(newer.state, now_ms);
    cr_expect_gt(redis_counts(&newer).fence, redis_counts(&sink).fence);
    cr_expect_not(redis_fenced(newer.state));
    redis_sink_close(&newer);
}

Test(redis_server, takes_a_number_above_the_one_that_is_there)
{
    (void)ask("SET esteem:v1:fence 9000000000000000");
    sink_start("");
    until_generation(1);
    cr_expect_eq(redis_counts(&sink).fence, UINT64_C(9000000000000001));
}

Test(redis, writes_no_row_after_a_newer_instance_has_started)
{
    put_and_settle(row_of("acme", "billing", 12, 40));
    steps(5);
    cr_assert_eq(put(row_of("acme", "billing", 13, 40)), SINK_TAKEN); /* the fence was seen to be ours */
    a_newer_instance_starts();
    sink.batch_end(sink.state, now_ms);
    settle();
    cr_expect(redis_fenced(sink.state));
    cr_expect_eq(put(row_of("acme", "billing", 14, 40)), SINK_AWAY);
    now_ms += 60000;
    steps(20);
    cr_expect_str_eq(ask("HGET " KEY " csat_n"), "12");
    cr_expect_eq(sink.generation(sink.state), 1, "for good");
}

Test(redis, learns_of_a_newer_instance_while_it_has_nothing_to_write)
{
    settle();
    a_newer_instance_starts();
    pass(REDIS_FENCE_MS);
    steps(20);
    cr_expect(redis_fenced(sink.state));
}

Test(redis, learns_of_a_newer_instance_before_it_writes_when_it_was_away)
{
    put_and_settle(row_of("acme", "billing", 12, 40));
    cr_assert_eq(put(row_of("acme", "billing", 13, 40)), SINK_TAKEN);
    break_connection();
    a_newer_instance_starts();
    (void)ask("HSET " KEY " csat_n 99");
    sink.batch_end(sink.state, now_ms);
    for (int i = 0; i < 200 && !redis_fenced(sink.state); i++)
        pass(100);
    cr_expect(redis_fenced(sink.state));
    cr_expect_str_eq(ask("HGET " KEY " csat_n"), "99");
}

Test(redis, puts_its_number_back_where_a_new_primary_has_an_older_one)
{
    put_and_settle(row_of("acme", "billing", 12, 40));
    (void)ask("SET esteem:v1:fence 7");
    break_connection();
    for (int i = 0; i < 200 && sink.generation(sink.state) < 2; i++)
        pass(100);
    put_and_settle(row_of("acme", "billing", 13, 40));
    cr_expect_str_eq(ask("GET esteem:v1:fence"), own_fence());
    cr_expect_str_eq(ask("HGET " KEY " csat_n"), "13");
    cr_expect_not(redis_fenced(sink.state));
}

Test(redis, notices_within_a_second_that_redis_lost_its_data_though_it_has_nothing_to_write)
{
    put_and_settle(row_of("acme", "billing", 12, 40));
    (void)ask("FLUSHALL");
    pass(REDIS_FENCE_MS);
    until_generation(2);
    settle();
    cr_expect_str_eq(ask("GET esteem:v1:fence"), own_fence());
}

Test(redis, writes_everything_again_when_redis_has_lost_its_data)
{
    put_and_settle(row_of("acme", "billing", 12, 40));
    (void)ask("FLUSHALL");
    put_and_settle(row_of("acme", "sales", 12, 40));
    cr_expect_eq(sink.generation(sink.state), 2);
    settle();
    cr_expect_str_eq(ask("GET esteem:v1:fence"), own_fence());
    cr_expect_eq(atoi(ask("HLEN esteem:v1:catalogue")), METRIC_COUNT);
    put_and_settle(row_of("acme", "billing", 12, 40));
    cr_expect_gt(atoll(ask("PTTL " KEY)), 1190000);
    cr_expect_eq(sink.generation(sink.state), 2);
}

/* ---- faults ---- */

Test(redis, comes_back_when_redis_does_and_writes_everything_again)
{
    put_and_settle(row_of("acme", "billing", 12, 40));
    server_stop();
    steps(5);
    cr_expect_eq(put(row_of("acme", "billing", 13, 40)), SINK_AWAY);
    now_ms += 200;
    steps(5);
    server_start();
    now_ms += 5000;
    until_generation(2);
    put_and_settle(row_of("acme", "billing", 14, 40));
    cr_expect_str_eq(ask("HGET " KEY " csat_n"), "14");
    cr_expect_str_eq(ask("GET esteem:v1:fence"), own_fence());
    cr_expect_eq(redis_counts(&sink).reconnects, 1);
}

Test(redis, keeps_rows_in_doubt_pending_until_it_is_back)
{
    cr_assert_eq(put(row_of("acme", "billing", 12, 40)), SINK_TAKEN);
    server_stop();
    sink.batch_end(sink.state, now_ms);
    steps(5);
    cr_expect_eq(sink.pending(sink.state), 1);
    server_start();
    now_ms += 5000;
    until_generation(2);
    cr_expect_eq(sink.pending(sink.state), 0);
}

Test(redis, says_full_at_its_bound_and_goes_on_when_answers_come)
{
    kill(server, SIGSTOP);
    uint64_t taken = 0;
    enum sink_result result;
    while ((result = put(row_of("acme", "billing", 12, 40))) == SINK_TAKEN && taken <= REDIS_ROWS_MAX)
        taken++;
    cr_expect_eq(result, SINK_FULL);
    cr_expect_eq(taken, REDIS_ROWS_MAX);
    cr_expect_eq(sink.pending(sink.state), taken);
    kill(server, SIGCONT);
    sink.batch_end(sink.state, now_ms);
    settle();
    cr_expect_eq(put(row_of("acme", "billing", 12, 40)), SINK_TAKEN);
}

Test(redis, takes_a_connection_without_answers_for_a_broken_one)
{
    kill(server, SIGSTOP);
    cr_assert_eq(put(row_of("acme", "billing", 12, 40)), SINK_TAKEN);
    sink.batch_end(sink.state, now_ms);
    now_ms += 5000;
    steps(2);
    cr_expect_eq(put(row_of("acme", "billing", 12, 40)), SINK_TAKEN, "5 s are allowed");
    now_ms += 1;
    steps(1);
    cr_expect_eq(put(row_of("acme", "billing", 12, 40)), SINK_AWAY, "more are not");
    kill(server, SIGCONT);
    now_ms += 5000;
    until_generation(2);
}

Test(redis, does_not_count_idle_time_as_silence)
{
    settle();
    now_ms += 3600000;
    cr_assert_eq(put(row_of("acme", "billing", 12, 40)), SINK_TAKEN);
    sink.batch_end(sink.state, now_ms);
    sink.step(sink.state, now_ms);
    settle();
    cr_expect_eq(sink.generation(sink.state), 1);
}

Test(redis, counts_an_error_and_writes_everything_again_after_a_second)
{
    put_and_settle(row_of("acme", "billing", 12, 40));
    (void)ask("CONFIG SET maxmemory 1");
    cr_assert_eq(put(row_of("acme", "billing", 13, 40)), SINK_TAKEN);
    sink.batch_end(sink.state, now_ms);
    steps(40);
    cr_expect_geq(redis_counts(&sink).errors, 1);
    cr_expect_eq(sink.pending(sink.state), 1, "the row is not written");
    cr_expect_eq(put(row_of("acme", "billing", 14, 40)), SINK_FULL, "a pause");
    (void)ask("CONFIG SET maxmemory 0");
    in_time_generation(2);
    put_and_settle(row_of("acme", "billing", 14, 40));
    cr_expect_str_eq(ask("HGET " KEY " csat_n"), "14");
}

Test(redis, tries_one_small_write_a_second_while_redis_is_full)
{
    (void)ask("CONFIG SET maxmemory 1");
    cr_assert_eq(put(row_of("acme", "billing", 13, 40)), SINK_TAKEN);
    sink.batch_end(sink.state, now_ms);
    steps(20);
    uint64_t errors = redis_counts(&sink).errors;
    for (int second = 0; second < 30; second++, now_ms += REDIS_PAUSE_MS)
        steps(10);
    cr_expect_eq(sink.generation(sink.state), 1, "nothing is written again meanwhile");
    cr_expect_eq(put(row_of("acme", "billing", 14, 40)), SINK_FULL);
    cr_expect_geq(redis_counts(&sink).errors, errors + 29);
    cr_expect_leq(redis_counts(&sink).errors, errors + 31 * 4);
    (void)ask("CONFIG SET maxmemory 0");
    in_time_generation(2);
    settle();
}

/* A user without the right to write one key: the small write succeeds, the rows do not. */
/* A second: up to the refusal of a row, or to the claim that is on its way instead. The clock is by hand, and Redis may be late. */
static void put_until_refused(void)
{
    uint64_t generation = sink.generation(sink.state);
    cr_expect_neq(put(row_of("acme", "billing", 12, 40)), SINK_AWAY);
    sink.batch_end(sink.state, now_ms);
    steps(5);
    for (int i = 0; i < 20000 && redis_counts(&sink).up && sink.generation(sink.state) == generation; i++)
        steps(1);
    now_ms += 1000;
}

Test(redis_server, waits_longer_while_rows_fail_though_a_small_write_succeeds)
{
    (void)ask("ACL SETUSER esteem on >secret ~esteem:v1:fence ~esteem:v1:catalogue &* +@all");
    sink_start(", user: esteem, password: secret, timeout: 10m");
    until_generation(1);
    for (int second = 0; second < 70; second++)
        put_until_refused();
    uint64_t generation = sink.generation(sink.state);
    cr_expect_geq(generation, 4);
    cr_expect_leq(generation, 7, "after 1, 2, 4, 8, 16, 32 s");
    for (int second = 0; second < 2 && redis_counts(&sink).up; second++)
        put_until_refused();
    cr_assert(!redis_counts(&sink).up, "it pauses: nothing is on its way that the new right would let through");
    generation = sink.generation(sink.state);
    (void)ask("ACL SETUSER esteem ~esteem:*");
    now_ms += REDIS_PAUSE_MAX_MS - 1000;
    in_time_generation(generation + 1);
    put_and_settle(row_of("acme", "billing", 12, 40));
    cr_expect_str_eq(ask("HGET " KEY " csat_n"), "12");
}

static struct recall *recall_of_redis(void)
{
    struct recall_setup setup = {.folds = 1, .readers = 1};
    cr_assert_eq(recall_redis_open(config, &setup.reader[0]), 0);
    return recall_new(&setup);
}

/* Reads to the end; the one name that there is, or NULL. */
static struct recalled *only_name(void)
{
    struct recall *recall = recall_of_redis();
    for (int i = 0; i < 5000 && !recall_ended(recall); i++, usleep(1000))
        (void)recall_step(recall, now_ms += 1);
    cr_expect(recall_ended(recall));
    struct recalled *row = recall_take(recall, 0);
    cr_expect_null(recall_take(recall, 0));
    recall_free(recall);
    return row;
}

/* As the README lists them. */
Test(redis_server, needs_no_more_rights_than_the_manual_lists)
{
    (void)ask("ACL SETUSER esteem on >secret ~esteem:* &esteem:* +auth +select +watch +get +set +multi +exec +hset +hdel +del +pexpire"
              " +zadd +zrem +zremrangebyscore +publish +scan +hget");
    sink_start(", user: esteem, password: secret");
    until_generation(1);
    put_and_settle(row_of("acme", "billing", 12, 40));
    put_and_settle(row_of("acme", "billing", 0, 40));
    cr_expect_eq(redis_counts(&sink).rows, 2);
    cr_expect_eq(redis_counts(&sink).errors, 0);
    struct recalled *row = only_name();
    cr_assert_not_null(row, "and the names can be read back");
    cr_expect_str_eq(row->key.value[0], "billing");
    recalled_free(row);
}

Test(redis_server, ends_recall_with_a_word_where_the_user_may_not_scan)
{
    (void)ask("ACL SETUSER esteem on >secret ~esteem:* &esteem:* +@all -scan");
    sink_start(", user: esteem, password: secret");
    until_generation(1);
    put_and_settle(row_of("acme", "billing", 12, 40));
    cr_expect_null(only_name());
}

/* More keys than an answer of SCAN has, rows and others; the connection breaks on the way. */
Test(redis_server, recall_finds_every_row_whatever_happens_to_its_connection)
{
    enum { ROWS = 3000 };
    sink_start("");
    until_generation(1);
    for (int i = 0; i < ROWS; i++)
        (void)ask("HSET esteem:v1:{acme}:queue=q%d:%s start 2026-11-22T14:00:00Z row {}", i, i % 2 ? "hour" : "hour:last");
    (void)ask("SET esteem:v1:{acme}:queue=x:hour no-row");
    (void)ask("ZADD esteem:v1:{acme}:scopes 1 all");
    bool *found = calloc(ROWS, sizeof *found);
    struct recall *recall = recall_of_redis();
    int names = 0;
    for (int i = 0; i < 20000 && !recall_ended(recall); i++) {
        if (i == 8)
            (void)ask("CLIENT KILL TYPE normal SKIPME yes");
        (void)recall_step(recall, now_ms += 10);
        for (struct recalled *row; (row = recall_take(recall, 0)) != NULL; recalled_free(row)) {
            int q = atoi(row->key.value[0] + 1);
            cr_assert(q >= 0 && q < ROWS && row->running == (q % 2 == 1) && row->last == (q % 2 == 0));
            names += !found[q];
            found[q] = true;
        }
        usleep(200);
    }
    cr_expect(recall_ended(recall));
    cr_expect_eq(names, ROWS);
    recall_free(recall);
    free(found);
}

Test(redis_server, writes_rows_of_a_user_who_may_not_publish)
{
    (void)ask("ACL SETUSER esteem on >secret ~esteem:* resetchannels +@all");
    sink_start(", user: esteem, password: secret");
    until_generation(1);
    put_and_settle(row_of("acme", "billing", 12, 40));
    cr_expect_str_eq(ask("HGET " KEY " csat_n"), "12");
    cr_expect_eq(redis_counts(&sink).errors, 1);
}

Test(redis, leaves_a_replica_and_comes_back_when_it_is_promoted)
{
    put_and_settle(row_of("acme", "billing", 12, 40));
    (void)ask("REPLICAOF 127.0.0.1 1");
    cr_assert_eq(put(row_of("acme", "billing", 13, 40)), SINK_TAKEN);
    sink.batch_end(sink.state, now_ms);
    for (int i = 0; i < 2000 && redis_counts(&sink).errors == 0; i++)
        steps(1);
    steps(2);
    cr_expect_eq(put(row_of("acme", "billing", 14, 40)), SINK_AWAY);
    uint64_t errors = redis_counts(&sink).errors;
    for (int i = 0; i < 300; i++, now_ms += 100) /* half a minute */
        steps(3);
    cr_expect_eq(sink.generation(sink.state), 1, "it looked, and wrote nothing");
    cr_expect_geq(redis_counts(&sink).errors, errors + 3);
    cr_expect_leq(redis_counts(&sink).errors, errors + 12 * 4, "every 5 s at last");
    (void)ask("REPLICAOF NO ONE");
    in_time_generation(2);
    put_and_settle(row_of("acme", "billing", 14, 40));
    cr_expect_str_eq(ask("HGET " KEY " csat_n"), "14");
}

Test(redis, replaces_what_another_program_keeps_under_its_key)
{
    put_and_settle(row_of("acme", "billing", 12, 40));
    (void)ask("DEL " KEY);
    (void)ask("SET " KEY " mine");
    cr_assert_eq(put(row_of("acme", "billing", 13, 40)), SINK_TAKEN);
    sink.batch_end(sink.state, now_ms);
    steps(40);
    cr_expect_eq(sink.pending(sink.state), 1, "the row is not written");
    now_ms += REDIS_PAUSE_MS;
    until_generation(2);
    put_and_settle(row_of("acme", "billing", 13, 40));
    cr_expect_str_eq(ask("HGET " KEY " csat_n"), "13");
}

Test(redis, writes_everything_again_when_keys_were_dropped)
{
    put_and_settle(row_of("acme", "billing", 12, 40));
    (void)ask("DEL " KEY);
    put_and_settle(row_of("acme", "billing", 13, 40));
    now_ms += REDIS_HEAL_MS - 1;
    steps(5);
    cr_expect_eq(sink.generation(sink.state), 1);
    now_ms += 1;
    until_generation(2);
}

Test(redis, counts_a_row_whose_transaction_was_refused)
{
    (void)ask("CONFIG SET maxmemory 1");
    cr_assert_eq(put(row_of("acme", "billing", 13, 40)), SINK_TAKEN); /* unknown key: MULTI */
    sink.batch_end(sink.state, now_ms);
    steps(40);
    cr_expect_eq(sink.pending(sink.state), 1);
    cr_expect_eq(redis_counts(&sink).rows, 0);
    (void)ask("CONFIG SET maxmemory 0");
    in_time_generation(2);
}

Test(redis_server, waits_for_a_server_that_is_not_there_yet)
{
    server_stop();
    sink_start("");
    steps(20);
    cr_expect_eq(sink.generation(sink.state), 0);
    cr_expect_eq(put(row_of("acme", "billing", 12, 40)), SINK_AWAY);
    server_start();
    now_ms += 5000;
    until_generation(1);
    cr_expect_eq(redis_counts(&sink).reconnects, 0);
}

Test(redis_server, opens_with_user_password_and_database)
{
    (void)ask("ACL SETUSER esteem on >secret ~* &* +@all");
    (void)ask("CONFIG SET requirepass other");
    sink_start(", user: esteem, password: secret, database: 3");
    until_generation(1);
    put_and_settle(row_of("acme", "billing", 12, 40));
    (void)ask("SELECT 3");
    cr_expect_str_eq(ask("HGET " KEY " csat_n"), "12");
}

Test(redis_server, stays_away_with_a_wrong_password)
{
    (void)ask("CONFIG SET requirepass other");
    sink_start(", password: wrong");
    for (int i = 0; i < 10; i++, now_ms += 5000)
        steps(10);
    cr_expect_eq(sink.generation(sink.state), 0);
    cr_expect_geq(redis_counts(&sink).errors, 2);
}

Test(redis_server, waits_for_a_password_that_is_not_wanted_any_more)
{
    (void)ask("CONFIG SET requirepass secret");
    sink_start("");
    for (int i = 0; i < 10; i++, now_ms += 1000)
        steps(10);
    cr_expect_eq(sink.generation(sink.state), 0);
    cr_expect_eq(put(row_of("acme", "billing", 12, 40)), SINK_AWAY);
    (void)ask("CONFIG SET requirepass %s", "");
    in_time_generation(1);
}

/* ---- a Redis that fails to order ---- */

static struct fake_redis fake;

static void given_fake(void)
{
    cr_assert(mkdtemp(folder) != NULL);
    (void)snprintf(socket_path, sizeof socket_path, "%s/redis.sock", folder);
    fake_redis_start(&fake, socket_path);
    sink_start("");
}

static void fake_done(void)
{
    redis_sink_close(&sink);
    config_free(config);
    fake_redis_stop(&fake);
    unlink(socket_path);
    cr_assert_eq(rmdir(folder), 0);
}

TestSuite(redis_fake, .init = given_fake, .fini = fake_done, .timeout = 60);

Test(redis_fake, waits_while_redis_loads_its_data)
{
    fake.error = "LOADING Redis is loading the dataset in memory";
    for (int i = 0; i < 100; i++)
        pass(100);
    cr_expect_eq(sink.generation(sink.state), 0);
    cr_expect_geq(redis_counts(&sink).errors, 4);
    cr_expect_leq(fake.connections, 9, "100 ms, doubling to 5 s");
    fake.error = NULL;
    in_time_generation(1);
}

Test(redis_fake, refuses_rows_while_redis_loads_its_data_again)
{
    until_generation(1);
    put_and_settle(row_of("acme", "billing", 12, 40));
    fake.error = "LOADING Redis is loading the dataset in memory";
    cr_assert_eq(put(row_of("acme", "billing", 13, 40)), SINK_TAKEN);
    sink.batch_end(sink.state, now_ms);
    for (int i = 0; i < 100; i++)
        pass(100);
    cr_expect_eq(sink.generation(sink.state), 1);
    cr_expect_eq(sink.pending(sink.state), 1);
    cr_expect_eq(put(row_of("acme", "billing", 13, 40)), SINK_FULL);
    fake.error = NULL;
    in_time_generation(2);
    put_and_settle(row_of("acme", "billing", 13, 40));
    cr_expect_eq(redis_counts(&sink).rows, 2);
    cr_expect_eq(fake.connections, 1);
}

/* The batch's replies have 160 bytes or so: it closes within each of them in turn. */
Test(redis_fake, believes_no_row_written_whose_answer_was_cut)
{
    until_generation(1);
    for (int cut = 0; cut < 120; cut += 7) {
        uint64_t rows = redis_counts(&sink).rows, generation = sink.generation(sink.state);
        settle();
        fake.cut = cut;
        cr_assert_eq(put(row_of("acme", "billing", 12, 40)), SINK_TAKEN);
        sink.batch_end(sink.state, now_ms);
        for (int i = 0; i < 4000 && put(row_of("acme", "billing", 12, 40)) != SINK_AWAY; i++)
            steps(1);
        cr_expect(sink.pending(sink.state) > 0 || redis_counts(&sink).rows > rows, "after %d bytes", cut);
        fake.cut = -1;
        in_time_generation(generation + 1);
        put_and_settle(row_of("acme", "billing", 12, 40));
    }
}

static uint64_t rows_until_full(void)
{
    uint64_t taken = 0;
    while (taken <= REDIS_ROWS_MAX && put(row_of("acme", "billing", 1, 40)) == SINK_TAKEN)
        taken++;
    return taken;
}

Test(redis_fake, a_transaction_has_fewer_rows_while_redis_is_slow)
{
    until_generation(1);
    settle();
    for (uint64_t most = REDIS_ROWS_MAX; most > REDIS_ROWS_MAX / 4; most /= 2) {
        fake.stalled = true;
        cr_expect_eq(rows_until_full(), most);
        sink.batch_end(sink.state, now_ms);
        now_ms += 3 * REDIS_BUSY_MS;
        fake.stalled = false;
        settle();
    }
    for (uint64_t most = REDIS_ROWS_MAX / 4; most < REDIS_ROWS_MAX; most *= 2) {
        cr_expect_eq(rows_until_full(), most);
        sink.batch_end(sink.state, now_ms);
        settle();
    }
    cr_expect_eq(rows_until_full(), REDIS_ROWS_MAX);
}

Test(redis_fake, sends_the_newest_when_a_slow_redis_answers_at_last)
{
    until_generation(1);
    settle();
    steps(20);
    fake.stalled = true;
    cr_assert_eq(put(row_of("acme", "billing", 1, 40)), SINK_TAKEN);
    sink.batch_end(sink.state, now_ms);
    uint64_t taken = 1;
    for (int i = 0; i < 3 * REDIS_ROWS_MAX; i++)
        taken += put(row_of("acme", "billing", 2, 40)) == SINK_TAKEN;
    cr_expect_eq(taken, 1 + REDIS_ROWS_MAX, "one transaction is on its way, one waits, no more");
    now_ms += 4000;
    steps(5);
    cr_expect_eq(sink.pending(sink.state), taken);
    fake.stalled = false;
    now_ms += 1001; /* redis.timeout is over */
    in_time_generation(2);
    settle();
}

/* ---- another Redis ---- */

static struct config *database_3(void)
{
    struct config *other;
    char text[256];
    (void)snprintf(text, sizeof text, "redis: {socket: %s, database: 3}\n", socket_path);
    cr_assert_eq(config_parse("test", text, strlen(text), stderr, &other), 0);
    return other;
}

Test(redis, a_reload_moves_to_another_place_and_everything_is_written_there)
{
    put_and_settle(row_of("acme", "billing", 12, 40));
    struct config *old = config;
    config = database_3();
    cr_assert_eq(put(row_of("acme", "billing", 13, 41)), SINK_TAKEN); /* on its way to the old place */
    sink.reload(sink.state, config);
    until_generation(2);
    put_and_settle(row_of("acme", "billing", 14, 42));
    cr_expect(strstr(ask("HGET " KEY " row"), "\"handled\":40,"), "nothing more is written to the old place");
    ask("SELECT 3");
    cr_expect(strstr(ask("HGET " KEY " row"), "\"handled\":42,"));
    config_free(old);
}

Test(redis, a_reload_of_anything_else_leaves_the_connection)
{
    char text[256];
    struct config *old = config;
    (void)snprintf(text, sizeof text, "redis: {socket: %s, timeout: 9s}\n", socket_path);
    cr_assert_eq(config_parse("test", text, strlen(text), stderr, &config), 0);
    sink.reload(sink.state, config);
    put_and_settle(row_of("acme", "billing", 12, 40));
    cr_expect_eq(sink.generation(sink.state), 1);
    config_free(old);
}

/* ---- host names ---- */

/* Nobody listens on port 1, at any of its addresses: what matters is how it ends. */
static const char *after_looking_up(const char *host)
{
    char text[256];
    (void)snprintf(text, sizeof text, "redis: {host: %s, port: 1, timeout: 10s}\n", host);
    cr_assert_eq(config_parse("test", text, strlen(text), stderr, &config), 0);
    cr_assert_eq(redis_sink_open(config, &sink), 0);
    err_clear();
    for (int i = 0; i < 4000 && err_code() == 0; i++)
        steps(1);
    redis_sink_close(&sink);
    config_free(config);
    return err_text();
}

Test(redis_host, looks_a_name_up_and_connects_to_its_address, .timeout = 60)
{
    cr_expect_str_eq(after_looking_up("localhost"), "Connection refused");
    cr_expect_str_eq(after_looking_up("127.0.0.1"), "Connection refused");
}

Test(redis_host, says_so_when_there_is_no_such_name, .timeout = 60)
{
    cr_expect(strstr(after_looking_up("no.such.host.invalid"), "looking up no.such.host.invalid: ") != NULL);
}

Test(redis_host, can_be_closed_while_it_looks_a_name_up, .timeout = 60)
{
    cr_assert_eq(config_parse("test", "redis: {host: some.other.host.invalid}\n", 39, stderr, &config), 0);
    cr_assert_eq(redis_sink_open(config, &sink), 0);
    sink.step(sink.state, now_ms);
    redis_sink_close(&sink);
    config_free(config);
}
