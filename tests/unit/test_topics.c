/* The sink of the metric topics and the dead letters, against librdkafka's mock cluster in the same process. */
#include <criterion/criterion.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "esteem/deadletter.h"
#include "esteem/row.h"
#include "esteem/topics.h"

#define START_MS INT64_C(1795356000000) /* 2026-11-22T14:00:00Z */
#define HOUR_MS INT64_C(3600000)
#define PRODUCE 0 /* the request's number in the Kafka protocol */

static rd_kafka_t *host; /* of the mock cluster */
static rd_kafka_mock_cluster_t *cluster;
static struct config *config;
static struct sink sink;
static struct deadletter *letters;
static int64_t now_ms = START_MS;

static void config_make(const char *brokers, const char *more)
{
    char text[512];
    (void)snprintf(text, sizeof text, "kafka: {brokers: \"%s\"%s}\n", brokers, more);
    cr_assert_eq(config_parse("test", text, strlen(text), stderr, &config), 0);
}

static void given_cluster(void)
{
    char why[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    (void)rd_kafka_conf_set(conf, "client.id", "host", why, sizeof why);
    host = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    cluster = rd_kafka_mock_cluster_new(host, 1);
    cr_assert(cluster != NULL);
}

static void steps_until_generation(uint64_t generation)
{
    for (int i = 0; i < 10000 && sink.generation(sink.state) < generation; i++) {
        sink.step(sink.state, now_ms);
        usleep(1000);
    }
    cr_assert_eq(sink.generation(sink.state), generation);
}

static void given_sink(void)
{
    given_cluster();
    config_make(rd_kafka_mock_cluster_bootstraps(cluster), "");
    cr_assert_eq(topics_sink_open(config, &sink), 0);
    steps_until_generation(1);
}

static void given_letters(void)
{
    given_cluster();
    config_make(rd_kafka_mock_cluster_bootstraps(cluster), ", properties: {message.max.bytes: 20000}");
    cr_assert_eq(deadletter_open(config, &letters), 0);
}

static void done(void)
{
    topics_sink_close(&sink);
    deadletter_close(letters);
    config_free(config);
    rd_kafka_mock_cluster_destroy(cluster);
    rd_kafka_destroy(host);
}

TestSuite(topics, .init = given_sink, .fini = done, .timeout = 60);
TestSuite(topics_cluster, .init = given_cluster, .fini = done, .timeout = 60);
TestSuite(deadletter, .init = given_letters, .fini = done, .timeout = 60);

static void settle(void)
{
    for (int i = 0; i < 20000 && sink.pending(sink.state); i++) {
        sink.step(sink.state, now_ms);
        usleep(500);
    }
    cr_assert_eq(sink.pending(sink.state), 0);
}

/* ---- rows ---- */

static struct row *row_of(bool rolling, int64_t answers, int64_t handled)
{
    struct row head = {.config = config, .start_ms = START_MS, .end_ms = START_MS + HOUR_MS, .rolling = rolling, .window = CALENDAR_HOUR,
                       .window_name = rolling ? "1h" : "hour", .tenant = "acme", .scope = "queue=billing", .value_count = 1,
                       .value_dimension = {DIMENSION_queue}, .value = {"billing"}};
    struct tally_run run;
    tally_run_begin(&run);
    tally_run_put(&run, MEASURE_handled, handled);
    tally_run_put(&run, MEASURE_talk_ms, handled * 231000);
    tally_run_put(&run, MEASURE_csat_n, answers);
    tally_run_put(&run, MEASURE_csat_top, answers ? answers - 2 : 0);
    tally_run_end(&run);
    return row_new(&head, run.bytes, run.length);
}

static enum sink_result put(struct row *row)
{
    enum sink_result result = sink.put(sink.state, row);
    row_free(row);
    return result;
}

/* ---- reading ---- */

struct seen {
    int count;
    char key[512], value[4096], headers[1024];
    size_t length;
};

static void headers_read(rd_kafka_message_t *message, struct seen *seen)
{
    rd_kafka_headers_t *headers;
    const char *name;
    const void *value;
    size_t size, used = 0;
    if (rd_kafka_message_headers(message, &headers) != 0)
        return;
    for (size_t i = 0; rd_kafka_header_get_all(headers, i, &name, &value, &size) == 0; i++)
        used += (size_t)snprintf(seen->headers + used, sizeof seen->headers - used, "%s=%.*s ", name, (int)size, (const char *)value);
}

/* All messages of a topic; the last one's key, value and headers. `expected`: so many, or 0 of a topic that is not there. */
static struct seen read_topic(const char *topic, int expected)
{
    static struct seen seen;
    char why[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    (void)rd_kafka_conf_set(conf, "bootstrap.servers", rd_kafka_mock_cluster_bootstraps(cluster), why, sizeof why);
    (void)rd_kafka_conf_set(conf, "group.id", "test", why, sizeof why);
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why);
    rd_kafka_poll_set_consumer(rk);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(4);
    for (int p = 0; p < 4; p++) /* the mock's default number of partitions */
        rd_kafka_topic_partition_list_add(list, topic, p)->offset = RD_KAFKA_OFFSET_BEGINNING;
    rd_kafka_assign(rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    memset(&seen, 0, sizeof seen);
    for (int waits = 0; seen.count < expected || waits < 3;) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(rk, seen.count < expected ? 500 : 100);
        cr_assert(seen.count >= expected || waits < 40, "%s has %d messages, not %d", topic, seen.count, expected);
        if (message == NULL || message->err) {
            waits++;
        } else {
            seen.count++;
            (void)snprintf(seen.key, sizeof seen.key, "%.*s", (int)message->key_len, (const char *)message->key);
            (void)snprintf(seen.value, sizeof seen.value, "%.*s", (int)message->len, (const char *)message->payload);
            seen.length = message->len;
            headers_read(message, &seen);
        }
        if (message)
            rd_kafka_message_destroy(message);
    }
    rd_kafka_consumer_close(rk);
    rd_kafka_destroy(rk);
    cr_expect_eq(seen.count, expected, "%s", topic);
    return seen;
}

/* A week ago there were contacts, now there is none, but something else: the change stands in the family of contacts all the same. */
Test(topics, sends_a_family_that_has_a_comparison_alone)
{
    struct row *row = row_of(false, 12, 0), head = *row;
    head.across.week_earlier_closed = 5;
    cr_assert_eq(put(row_new(&head, row->runs, row->runs_length)), SINK_TAKEN);
    row_free(row);
    settle();
    cr_expect_not_null(strstr(read_topic("esteem.contact", 1).value, "\"metrics\":{\"volume_change\":{\"value\":-100,\"n\":0"));
}

Test(topics, tells_an_alert_under_its_goal_and_scope)
{
    static const char yaml[] = "goals: [{name: csat, metric: csat, scope: [queue], window: hour, target: 80}]";
    struct config *goals;
    cr_assert_eq(config_parse("test", yaml, strlen(yaml), stderr, &goals), 0);
    struct row *row = row_of(false, 0, 0), head = *row;
    head.config = goals;
    head.goal = "csat";
    head.alert = (struct row_alert){.state = ROW_ALERT_MISSED, .value = 70, .n = 20, .since_ms = START_MS, .at_ms = START_MS + 60000};
    cr_assert_eq(put(row_new(&head, NULL, 0)), SINK_TAKEN);
    row_free(row);
    settle();
    struct seen seen = read_topic("esteem.alerts", 1);
    cr_expect_str_eq(seen.key, "acme|csat|queue=billing");
    cr_expect(strstr(seen.value, "{\"v\":1,\"state\":\"missed\",\"goal\":\"csat\",\"tenant\":\"acme\",\"scope\":{\"queue\":\"billing\"},\"window\":\"hour\"") == seen.value);
    cr_expect_eq(topics_counts(&sink).messages, 1);
    config_free(goals);
}

Test(topics, sends_a_row_to_each_family_that_has_something)
{
    cr_assert_eq(put(row_of(false, 12, 40)), SINK_TAKEN);
    sink.batch_end(sink.state, now_ms);
    settle();
    cr_expect_eq(topics_counts(&sink).messages, 2);
    struct seen csat = read_topic("esteem.csat", 1);
    cr_expect_str_eq(csat.key, "acme|queue=billing|hour|2026-11-22T14:00:00Z");
    cr_expect(strstr(csat.value, "\"measures\":{\"csat_n\":12,\"csat_top\":10},\"metrics\":{\"csat\":{\"value\":83.333333,"));
    cr_expect_not(strstr(csat.value, "handled"));
    struct seen aht = read_topic("esteem.aht", 1);
    cr_expect(strstr(aht.value, "\"measures\":{\"handled\":40,\"talk_ms\":9240000}"));
}

Test(topics, keys_a_rolling_row_without_its_start)
{
    cr_assert_eq(put(row_of(true, 12, 0)), SINK_TAKEN);
    settle();
    cr_expect_str_eq(read_topic("esteem.csat", 1).key, "acme|queue=billing|1h");
}

Test(topics, sends_a_family_that_has_become_empty_once_more)
{
    cr_assert_eq(put(row_of(true, 12, 40)), SINK_TAKEN);
    cr_assert_eq(put(row_of(true, 0, 40)), SINK_TAKEN);
    cr_assert_eq(put(row_of(true, 0, 40)), SINK_TAKEN);
    settle();
    cr_expect(strstr(read_topic("esteem.csat", 2).value, "\"measures\":{},\"metrics\":{}}"));
    cr_expect_eq(topics_counts(&sink).messages, 5);
}

Test(topics, says_full_at_its_bound_and_goes_on_after_deliveries)
{
    rd_kafka_mock_broker_set_down(cluster, 1);
    uint64_t taken = 0;
    while (put(row_of(true, 12, 40)) == SINK_TAKEN)
        taken++;
    cr_expect_gt(taken, TOPICS_QUEUE_MAX / 2 - FAMILY_COUNT);
    cr_expect_leq(sink.pending(sink.state), TOPICS_QUEUE_MAX);
    rd_kafka_mock_broker_set_up(cluster, 1);
    settle();
    cr_expect_eq(put(row_of(true, 12, 40)), SINK_TAKEN);
    cr_expect_eq(topics_counts(&sink).errors, 0);
}

Test(topics, waits_longer_before_sending_everything_again_while_failures_go_on)
{
    for (uint64_t generation = 1; generation <= 2; generation++) {
        rd_kafka_mock_push_request_errors(cluster, PRODUCE, 1, RD_KAFKA_RESP_ERR_POLICY_VIOLATION);
        cr_assert_eq(put(row_of(true, 12, 0)), SINK_TAKEN);
        for (int i = 0; i < 10000 && topics_counts(&sink).errors < generation; i++, usleep(1000))
            sink.step(sink.state, now_ms);
        now_ms += TOPICS_PAUSE_MS;
        sink.step(sink.state, now_ms);
        cr_expect_eq(sink.generation(sink.state), 2, "after 1 s, then after 2 s");
    }
    cr_expect_eq(put(row_of(true, 13, 0)), SINK_TAKEN, "newer rows go on meanwhile");
    now_ms += TOPICS_PAUSE_MS;
    steps_until_generation(3);
}

Test(topics, sends_everything_again_after_a_failed_delivery)
{
    rd_kafka_mock_push_request_errors(cluster, PRODUCE, 1, RD_KAFKA_RESP_ERR_POLICY_VIOLATION);
    cr_assert_eq(put(row_of(true, 12, 0)), SINK_TAKEN);
    for (int i = 0; i < 10000 && topics_counts(&sink).errors == 0; i++) {
        sink.step(sink.state, now_ms);
        usleep(1000);
    }
    cr_expect_eq(topics_counts(&sink).errors, 1);
    cr_expect_eq(sink.pending(sink.state), 1, "the row is not delivered");
    cr_expect_eq(put(row_of(true, 12, 0)), SINK_FULL, "a pause");
    now_ms += TOPICS_PAUSE_MS;
    steps_until_generation(2);
    cr_assert_eq(put(row_of(true, 12, 0)), SINK_TAKEN);
    settle();
    cr_expect_eq(topics_counts(&sink).messages, 1);
}

/* A sink whose producer has these properties as well. */
static void given_sink_with(const char *properties)
{
    char more[256];
    (void)snprintf(more, sizeof more, ", properties: {%s}", properties);
    config_make(rd_kafka_mock_cluster_bootstraps(cluster), more);
    cr_assert_eq(topics_sink_open(config, &sink), 0);
    steps_until_generation(1);
}

static void in_time_generation(uint64_t generation)
{
    for (int i = 0; i < 10000 && sink.generation(sink.state) < generation; i++, now_ms += 10) {
        sink.step(sink.state, now_ms);
        usleep(1000);
    }
    cr_assert_eq(sink.generation(sink.state), generation);
}

/* The record that was lost is the one that took the family's figures away. */
Test(topics, sends_an_emptied_family_again_whose_last_record_was_lost)
{
    cr_assert_eq(put(row_of(true, 12, 0)), SINK_TAKEN);
    settle();
    rd_kafka_mock_push_request_errors(cluster, PRODUCE, 1, RD_KAFKA_RESP_ERR_POLICY_VIOLATION);
    cr_assert_eq(put(row_of(true, 0, 0)), SINK_TAKEN);
    for (int i = 0; i < 10000 && topics_counts(&sink).errors == 0; i++, usleep(1000))
        sink.step(sink.state, now_ms);
    now_ms += TOPICS_PAUSE_MS;
    steps_until_generation(2);
    cr_assert_eq(put(row_of(true, 0, 0)), SINK_TAKEN);
    settle();
    struct seen seen = read_topic("esteem.csat", 2);
    cr_expect(strstr(seen.value, "\"measures\":{}"), "%s", seen.value);
    cr_assert_eq(put(row_of(true, 0, 0)), SINK_TAKEN);
    settle();
    cr_expect_eq(read_topic("esteem.csat", 2).count, 2, "once is enough");
}

/* A sink held this row before the start; which families of it, nobody knows. */
Test(topics, sends_every_family_once_of_a_row_that_was_told_before_the_start)
{
    cr_assert_eq(put(row_of(true, 0, 40)), SINK_TAKEN);
    settle();
    for (int times = 0; times < 2; times++) {
        struct row *row = row_of(true, 0, 40);
        row->restored = true;
        cr_assert_eq(put(row), SINK_TAKEN);
        settle();
        struct seen seen = read_topic("esteem.csat", 1);
        cr_expect(seen.count == 1 && strstr(seen.value, "\"measures\":{}"), "%d %s", seen.count, seen.value);
    }
}

Test(topics_cluster, does_not_send_again_what_is_too_large_for_the_broker)
{
    given_sink_with("batch.size: 100"); /* the row stands alone */
    rd_kafka_mock_push_request_errors(cluster, PRODUCE, 1, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
    cr_assert_eq(put(row_of(true, 12, 0)), SINK_TAKEN);
    settle();
    cr_expect_eq(topics_counts(&sink).errors, 1);
    now_ms += TOPICS_PAUSE_MAX_MS;
    sink.step(sink.state, now_ms);
    cr_expect_eq(sink.generation(sink.state), 1);
    cr_expect_eq(put(row_of(true, 12, 0)), SINK_TAKEN, "others go on");
    settle();
    cr_expect_eq(topics_counts(&sink).messages, 1);
}

Test(topics, believes_no_row_too_large_that_may_have_shared_a_batch)
{
    rd_kafka_mock_push_request_errors(cluster, PRODUCE, 1, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
    cr_assert_eq(put(row_of(true, 12, 0)), SINK_TAKEN);
    for (int i = 0; i < 10000 && topics_counts(&sink).errors == 0; i++, usleep(1000))
        sink.step(sink.state, now_ms);
    cr_expect_eq(sink.pending(sink.state), 1);
    in_time_generation(2);
    cr_assert_eq(put(row_of(true, 12, 0)), SINK_TAKEN);
    settle();
    cr_expect_eq(topics_counts(&sink).messages, 1);
}

Test(topics, tries_what_it_may_not_write_five_minutes_later)
{
    rd_kafka_mock_push_request_errors(cluster, PRODUCE, 1, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
    cr_assert_eq(put(row_of(true, 12, 0)), SINK_TAKEN);
    settle();
    cr_expect_eq(topics_counts(&sink).errors, 1);
    now_ms += TOPICS_HEAL_MS - 1;
    sink.step(sink.state, now_ms);
    cr_expect_eq(sink.generation(sink.state), 1, "nothing waits for it");
    now_ms += 1;
    steps_until_generation(2);
}

Test(topics_cluster, sends_the_other_families_while_a_topic_is_missing_and_that_one_when_it_is_there)
{
    given_sink_with("topic.metadata.propagation.max.ms: 100, topic.metadata.refresh.interval.ms: 200");
    rd_kafka_mock_topic_set_error(cluster, "esteem.csat", RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
    for (int i = 0; i < 20000 && topics_counts(&sink).errors == 0; i++, now_ms += 10) {
        (void)put(row_of(true, 12, 40));
        sink.step(sink.state, now_ms);
        usleep(1000);
    }
    cr_expect_geq(topics_counts(&sink).errors, 1);
    for (int i = 0; i < 10000 && topics_counts(&sink).messages == 0; i++, usleep(1000))
        sink.step(sink.state, now_ms);
    cr_expect_geq(topics_counts(&sink).messages, 1);
    cr_expect_gt(sink.pending(sink.state), 0);
    rd_kafka_mock_topic_set_error(cluster, "esteem.csat", RD_KAFKA_RESP_ERR_NO_ERROR);
    in_time_generation(sink.generation(sink.state) + 1);
    uint64_t errors;
    do {
        errors = topics_counts(&sink).errors;
        in_time_generation(sink.generation(sink.state) + (sink.pending(sink.state) > 0));
        cr_assert_neq(put(row_of(true, 13, 40)), SINK_AWAY);
        for (int i = 0; i < 3000 && sink.pending(sink.state) && topics_counts(&sink).errors == errors; i++, usleep(1000))
            sink.step(sink.state, now_ms);
        now_ms += 10000;
    } while (topics_counts(&sink).errors > errors);
    settle();
}

Test(topics_cluster, sends_the_newest_after_the_broker_was_away_for_longer_than_a_message_waits)
{
    given_sink_with("message.timeout.ms: 1000");
    rd_kafka_mock_broker_set_down(cluster, 1);
    cr_assert_eq(put(row_of(true, 12, 0)), SINK_TAKEN);
    for (int i = 0; i < 20000 && topics_counts(&sink).errors == 0; i++, usleep(1000))
        sink.step(sink.state, now_ms);
    cr_expect_eq(topics_counts(&sink).errors, 1);
    cr_expect_eq(sink.pending(sink.state), 1);
    rd_kafka_mock_broker_set_up(cluster, 1);
    in_time_generation(2);
    uint64_t generation = 2;
    cr_assert_eq(put(row_of(true, 13, 0)), SINK_TAKEN);
    for (int i = 0; i < 20000 && sink.pending(sink.state); i++, now_ms += 10, usleep(1000)) {
        sink.step(sink.state, now_ms);
        if (sink.generation(sink.state) != generation) { /* the broker was not back yet */
            generation = sink.generation(sink.state);
            cr_assert_eq(put(row_of(true, 13, 0)), SINK_TAKEN);
        }
    }
    cr_expect(strstr(read_topic("esteem.csat", 1).value, "\"csat_n\":13"));
}

Test(topics_cluster, takes_a_producer_without_idempotence)
{
    given_sink_with("enable.idempotence: false");
    cr_assert_eq(put(row_of(true, 12, 0)), SINK_TAKEN);
    settle();
    cr_expect_eq(topics_counts(&sink).messages, 1);
}

Test(topics_cluster, names_a_property_that_is_wrong)
{
    config_make("127.0.0.1:1", ", properties: {acks: 0}"); /* right by itself, but not with idempotence */
    cr_expect_eq(topics_sink_open(config, &sink), -1);
}

Test(topics_cluster, is_away_until_a_broker_answers)
{
    config_make("127.0.0.1:1", "");
    cr_assert_eq(topics_sink_open(config, &sink), 0);
    for (int i = 0; i < 50; i++, usleep(1000))
        sink.step(sink.state, now_ms);
    cr_expect_eq(sink.generation(sink.state), 0);
    cr_expect_eq(put(row_of(true, 12, 40)), SINK_AWAY);
}

/* ---- dead letters ---- */

static struct deadletter_message letter(const char *bytes, size_t length)
{
    return (struct deadletter_message){.bytes = bytes, .length = length, .key = "c-1", .key_length = 3, .topic = "contacts",
                                       .partition = 3, .offset = 4711, .reason = "bad_field", .field = "csat",
                                       .config_id = "5f1c9a02"};
}

static void deliver(uint64_t delivered)
{
    for (int i = 0; i < 10000 && deadletter_counts(letters).delivered < delivered; i++) {
        deadletter_step(letters, now_ms);
        usleep(1000);
    }
    cr_assert_eq(deadletter_counts(letters).delivered, delivered);
    cr_assert_eq(deadletter_counts(letters).pending, 0);
}

Test(deadletter, keeps_the_original_bytes_and_says_why)
{
    const char bytes[] = "{\"id\":\0\xff";
    struct deadletter_message message = letter(bytes, sizeof bytes - 1);
    cr_assert_eq(deadletter_put(letters, &message), DEADLETTER_TAKEN);
    deliver(1);
    struct seen seen = read_topic("esteem.deadletter", 1);
    cr_expect_eq(seen.length, sizeof bytes - 1);
    cr_expect_str_eq(seen.key, "c-1");
    cr_expect_str_eq(seen.headers, "esteem-topic=contacts esteem-partition=3 esteem-offset=4711 esteem-reason=bad_field "
                                   "esteem-field=csat esteem-config=5f1c9a02 ");
}

Test(deadletter, of_a_binary_CloudEvent_keeps_the_headers_that_make_it_one)
{
    struct event_headers own = {.id = {"e\x01", 2}, .type = {"agent.state", 11}, .given = true};
    struct deadletter_message message = letter("{}", 2);
    message.headers = &own;
    cr_assert_eq(deadletter_put(letters, &message), DEADLETTER_TAKEN);
    deliver(1);
    struct seen seen = read_topic("esteem.deadletter", 1);
    cr_expect_str_eq(strstr(seen.headers, "ce_"), "ce_specversion=1.0 ce_id=e\x01 ce_type=agent.state ");
}

Test(deadletter, cuts_what_is_longer_than_the_producer_takes)
{
    char *bytes = calloc(1, 30000);
    struct deadletter_message message = letter(bytes, 30000);
    cr_assert_eq(deadletter_put(letters, &message), DEADLETTER_TAKEN);
    deliver(1);
    struct seen seen = read_topic("esteem.deadletter", 1);
    cr_expect_gt(seen.length, 10000);
    cr_expect_lt(seen.length, 20000);
    cr_expect(strstr(seen.headers, "esteem-truncated=true esteem-length=30000 "));
    cr_expect_eq(deadletter_counts(letters).truncated, 1);
    free(bytes);
}

Test(deadletter, halves_what_the_broker_finds_too_large)
{
    rd_kafka_resp_err_t large = RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
    rd_kafka_mock_push_request_errors(cluster, PRODUCE, 2, large, large);
    char bytes[8000] = "";
    struct deadletter_message message = letter(bytes, sizeof bytes);
    cr_assert_eq(deadletter_put(letters, &message), DEADLETTER_TAKEN);
    deliver(1);
    struct seen seen = read_topic("esteem.deadletter", 1);
    cr_expect_eq(seen.length, 2000);
    cr_expect(strstr(seen.headers, "esteem-truncated=true esteem-length=8000 "));
    cr_expect_eq(deadletter_counts(letters).truncated, 1);
}

Test(deadletter, counts_a_letter_that_the_broker_refuses_for_good)
{
    rd_kafka_mock_push_request_errors(cluster, PRODUCE, 1, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
    struct deadletter_message message = letter("x", 1);
    cr_assert_eq(deadletter_put(letters, &message), DEADLETTER_TAKEN);
    cr_expect_eq(deadletter_counts(letters).pending, 1);
    for (int i = 0; i < 10000 && deadletter_counts(letters).pending; i++, usleep(1000))
        deadletter_step(letters, now_ms);
    cr_expect_eq(deadletter_counts(letters).lost, 1);
}

Test(deadletter, sends_again_what_failed_for_now_and_keeps_it_pending)
{
    rd_kafka_resp_err_t policy = RD_KAFKA_RESP_ERR_POLICY_VIOLATION;
    rd_kafka_mock_push_request_errors(cluster, PRODUCE, 3, policy, policy, policy);
    struct deadletter_message message = letter("abc", 3);
    cr_assert_eq(deadletter_put(letters, &message), DEADLETTER_TAKEN);
    for (int i = 0; i < 300; i++, usleep(1000)) {
        deadletter_step(letters, now_ms);
        cr_assert_eq(deadletter_counts(letters).pending, 1);
    }
    for (int i = 0; i < 10000 && deadletter_counts(letters).pending; i++, now_ms += 10, usleep(1000))
        deadletter_step(letters, now_ms);
    cr_expect_eq(deadletter_counts(letters).delivered, 1);
    cr_expect_eq(deadletter_counts(letters).lost, 0);
    struct seen seen = read_topic("esteem.deadletter", 1);
    cr_expect_str_eq(seen.value, "abc");
    cr_expect_str_eq(seen.key, "c-1");
    cr_expect(strstr(seen.headers, "esteem-offset=4711 "));
}

Test(deadletter, loses_none_when_the_queue_is_full_of_letters_that_are_too_large)
{
    for (int i = 0; i < 20; i++)
        rd_kafka_mock_push_request_errors(cluster, PRODUCE, 1, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
    rd_kafka_mock_broker_set_down(cluster, 1);
    char bytes[6000] = "";
    struct deadletter_message message = letter(bytes, sizeof bytes);
    uint64_t taken = 0;
    while (deadletter_put(letters, &message) == DEADLETTER_TAKEN)
        taken++;
    rd_kafka_mock_broker_set_up(cluster, 1);
    for (int i = 0; i < 20000 && deadletter_counts(letters).pending; i++, now_ms += 10, usleep(1000))
        deadletter_step(letters, now_ms);
    cr_expect_eq(deadletter_counts(letters).delivered, taken);
    cr_expect_geq(deadletter_counts(letters).truncated, 20);
}

Test(deadletter, sends_what_is_left_when_it_is_closed)
{
    rd_kafka_mock_push_request_errors(cluster, PRODUCE, 1, RD_KAFKA_RESP_ERR_POLICY_VIOLATION);
    struct deadletter_message message = letter("x", 1);
    cr_assert_eq(deadletter_put(letters, &message), DEADLETTER_TAKEN);
    for (int i = 0; i < 200; i++, usleep(1000))
        deadletter_step(letters, now_ms);
    deadletter_close(letters); /* it is sent once more then */
    letters = NULL;
    cr_expect_str_eq(read_topic("esteem.deadletter", 1).value, "x");
}

Test(deadletter, is_full_at_its_bound_and_takes_more_when_the_broker_is_back)
{
    rd_kafka_mock_broker_set_down(cluster, 1);
    struct deadletter_message message = letter("x", 1);
    uint64_t taken = 0;
    while (deadletter_put(letters, &message) == DEADLETTER_TAKEN)
        taken++;
    cr_expect_eq(taken, DEADLETTER_QUEUE_MAX);
    rd_kafka_mock_broker_set_up(cluster, 1);
    deliver(taken);
    cr_expect_eq(deadletter_put(letters, &message), DEADLETTER_TAKEN);
}

Test(deadletter, goes_nowhere_without_a_topic)
{
    free(config->deadletter);
    config->deadletter = strdup("");
    struct deadletter *none;
    cr_assert_eq(deadletter_open(config, &none), 0);
    struct deadletter_message message = letter("x", 1);
    cr_expect_eq(deadletter_put(none, &message), DEADLETTER_TAKEN);
    cr_expect_eq(deadletter_step(none, now_ms), 0);
    cr_expect_eq(deadletter_counts(none).pending, 0);
    deadletter_close(none);
}
