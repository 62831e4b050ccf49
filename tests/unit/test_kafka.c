/* The Kafka source against librdkafka's mock cluster in the same process. What the mock cannot do (delete a topic, add partitions,
 * damage a batch) is in tests/system/sources.sh. */
#include <criterion/criterion.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "esteem/kafka.h"

enum { BROKERS = 3, PARTITIONS = 4, MESSAGES_MAX = 4096, WITHIN_MS = 30000, WAIT_MS = 10 };

static rd_kafka_t *producer;
static rd_kafka_mock_cluster_t *cluster;
static struct config *config;
static struct source source;
static int64_t begin_at; /* what a restored state knows of every partition */

static struct {
    int count, twice, gaps;
    int64_t first[PARTITIONS], next[PARTITIONS];
    char last[64];
} seen;

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool see(void *context, const struct message *message)
{
    (void)context;
    int p = message->partition;
    if (seen.next[p] < 0)
        seen.first[p] = message->offset;
    else {
        seen.twice += message->offset < seen.next[p];
        seen.gaps += message->offset > seen.next[p];
    }
    seen.next[p] = message->offset + 1;
    snprintf(seen.last, sizeof seen.last, "%.*s", (int)message->length, message->at);
    seen.count++;
    return true;
}

/* A step is never longer than a second, whatever the brokers do: the source waits 10 ms for a message and for nothing else. */
static void step(void)
{
    int64_t begun_ms = now_ms();
    cr_assert_geq(source.poll(source.state, MESSAGES_MAX, WAIT_MS, see, NULL), 0);
    cr_assert_lt(now_ms() - begun_ms, 1000, "poll took %lld ms", (long long)(now_ms() - begun_ms));
}

static bool all_at_end(void)
{
    bool end = source.ready(source.state) && source.inputs(source.state) > 0;
    for (int i = 0; end && i < source.inputs(source.state); i++)
        end = source.at_end(source.state, i);
    return end;
}

static void steps_until_count(int count)
{
    for (int64_t until_ms = now_ms() + WITHIN_MS; seen.count < count && now_ms() < until_ms;)
        step();
    cr_assert_eq(seen.count, count, "%d messages, not %d", seen.count, count);
}

static void steps_until_some(int count)
{
    for (int64_t until_ms = now_ms() + WITHIN_MS; seen.count < count && now_ms() < until_ms;)
        step();
    cr_assert_geq(seen.count, count);
}

static void steps_until_end(void)
{
    for (int64_t until_ms = now_ms() + WITHIN_MS; !all_at_end() && now_ms() < until_ms;)
        step();
    cr_assert(all_at_end());
}

static void steps_for(int ms)
{
    for (int64_t until_ms = now_ms() + ms; now_ms() < until_ms;)
        step();
}

static int64_t from_saved(void *context, const char *topic, int32_t partition)
{
    (void)context, (void)topic, (void)partition;
    return begin_at;
}

static void open_topics(const char *topics, const char *more)
{
    char text[512];
    snprintf(text, sizeof text, "kafka: {brokers: \"%s\", group: test, topics: [%s]%s}\n", rd_kafka_mock_cluster_bootstraps(cluster), topics, more);
    cr_assert_eq(config_parse("test", text, strlen(text), stderr, &config), 0);
    cr_assert_eq(kafka_source_open(config, 0, 1, &source), 0);
    kafka_source_begin(&source, from_saved, NULL);
}

static void open_source(const char *more)
{
    open_topics("contacts", more);
}

static void produce(int partition, size_t length, int count)
{
    char *text = calloc(1, length);
    for (int i = 0; i < count; i++) {
        snprintf(text, length, "%d", i);
        cr_assert_eq(rd_kafka_producev(producer, RD_KAFKA_V_TOPIC("contacts"), RD_KAFKA_V_PARTITION(partition), RD_KAFKA_V_VALUE(text, length),
                                       RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END), 0);
    }
    cr_assert_eq(rd_kafka_flush(producer, WITHIN_MS), 0);
    free(text);
}

static void given_cluster(void)
{
    char why[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "test.mock.num.brokers", "3", why, sizeof why);
    rd_kafka_conf_set(conf, "linger.ms", "1", why, sizeof why);
    rd_kafka_conf_set(conf, "log_level", "2", why, sizeof why);
    rd_kafka_conf_set(conf, "batch.num.messages", "100", why, sizeof why);
    producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    cr_assert(producer != NULL, "%s", why);
    cluster = rd_kafka_handle_mock_cluster(producer);
    rd_kafka_mock_topic_create(cluster, "contacts", PARTITIONS, BROKERS);
    memset(&seen, 0, sizeof seen);
    for (int p = 0; p < PARTITIONS; p++)
        seen.first[p] = seen.next[p] = -1;
    begin_at = KAFKA_FROM_START;
}

static void done(void)
{
    if (source.close)
        source.close(source.state);
    config_free(config);
    rd_kafka_destroy(producer);
}

TestSuite(kafka, .init = given_cluster, .fini = done, .timeout = 120);

/* ---- brokers ---- */

Test(kafka, hands_out_each_message_once_while_leaders_change)
{
    open_source("");
    for (int round = 0; round < 4; round++) {
        for (int p = 0; p < PARTITIONS; p++)
            produce(p, 100, 50);
        steps_until_some(round * 200 + 100);
        for (int p = 0; p < PARTITIONS; p++)
            rd_kafka_mock_partition_set_leader(cluster, "contacts", p, (round + p) % BROKERS + 1);
        steps_until_count((round + 1) * 200);
    }
    cr_assert_eq(seen.twice + seen.gaps, 0);
    struct kafka_counts counts = kafka_source_counts(&source);
    cr_assert_eq(counts.lost + counts.recreated + counts.unfetchable, 0);
}

Test(kafka, hands_out_each_message_once_when_brokers_go_and_come)
{
    produce(0, 100, 300);
    open_source("");
    steps_until_count(300);
    for (int b = 1; b <= BROKERS; b++)
        rd_kafka_mock_broker_set_down(cluster, b);
    steps_for(1500);
    cr_assert_gt(kafka_source_counts(&source).errors, 0);
    for (int b = 1; b <= BROKERS; b++)
        rd_kafka_mock_broker_set_up(cluster, b);
    produce(0, 100, 300);
    steps_until_count(600);
    cr_assert_eq(seen.twice + seen.gaps, 0);
}

Test(kafka, poll_waits_for_no_broker)
{
    for (int b = 1; b <= BROKERS; b++)
        rd_kafka_mock_broker_set_down(cluster, b);
    open_source("");
    for (int i = 0; i < 100; i++)
        step();
    cr_assert_not(source.ready(source.state));
    source.pause(source.state, true);
    for (int i = 0; i < 20; i++)
        step();
}

/* ---- offsets that are gone ---- */

/* The mock keeps 5 MiB a partition: of 8 MiB the older part is gone. */
Test(kafka, says_how_many_messages_were_deleted_before_they_were_read)
{
    produce(1, 8192, 1024);
    begin_at = 3;
    open_source("");
    steps_until_end();
    int64_t lost = (int64_t)kafka_source_counts(&source).lost;
    cr_assert_gt(lost, 0);
    cr_assert_eq(lost, seen.first[1] - 3);
    cr_assert_eq(seen.count + 3 + lost, 1024);
    cr_assert_eq(seen.next[1], 1024);
    cr_assert_eq(seen.twice + seen.gaps, 0);
}

/* Three partitions are empty, and one has 10: nothing of them is what a state was saved for that had read 500 of each. */
Test(kafka, reads_a_topic_from_its_beginning_when_the_saved_offset_lies_behind_its_end)
{
    produce(2, 100, 10);
    begin_at = 500;
    open_source("");
    steps_until_count(10);
    steps_until_end();
    cr_assert_eq(seen.first[2], 0);
    cr_assert_eq(kafka_source_counts(&source).recreated, PARTITIONS);
    cr_assert_eq(kafka_source_counts(&source).lost, 0);
    struct source_position position;
    source.position(source.state, 2, &position);
    cr_assert_eq(position.next, 10);
    produce(2, 100, 5);
    steps_until_count(15);
}

Test(kafka, the_saved_offset_may_be_the_end)
{
    produce(2, 100, 10);
    begin_at = 10;
    produce(0, 100, 10), produce(1, 100, 10), produce(3, 100, 10);
    open_source("");
    steps_until_end();
    produce(2, 100, 5);
    steps_until_count(5);
    cr_assert_eq(seen.first[2], 10);
    cr_assert_eq(kafka_source_counts(&source).recreated, 0);
}

/* ---- a topic that is away ---- */

static void topic_goes(void)
{
    rd_kafka_mock_topic_set_error(cluster, "contacts", RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
    for (int i = 0; i < 200 && kafka_source_counts(&source).errors == 0; i++) { /* so that librdkafka asks */
        rd_kafka_mock_partition_set_leader(cluster, "contacts", 0, i % BROKERS + 1);
        steps_for(100);
    }
    cr_assert_gt(kafka_source_counts(&source).errors, 0);
    steps_for(1500);
}

/* librdkafka 2.0.2 keeps references of partitions that are gone, and would wait for them for ever. */
Test(kafka, closes_while_a_topic_is_away)
{
    produce(1, 100, 100);
    open_source("");
    steps_until_count(100);
    topic_goes();
}

Test(kafka, a_topic_that_was_only_away_goes_on_at_the_same_message)
{
    for (int p = 0; p < PARTITIONS; p++)
        produce(p, 100, 100);
    open_source("");
    steps_until_count(400);
    topic_goes();
    steps_until_end(); /* a topic that is gone holds nobody up */
    rd_kafka_mock_topic_set_error(cluster, "contacts", RD_KAFKA_RESP_ERR_NO_ERROR);
    for (int p = 0; p < PARTITIONS; p++)
        produce(p, 100, 100);
    steps_until_count(800);
    steps_until_end();
    cr_assert_eq(seen.count, 800);
    cr_assert_eq(seen.twice + seen.gaps, 0);
    cr_assert_eq(kafka_source_counts(&source).recreated, 0);
}

/* What an earlier life told of the other topic would be emptied otherwise. */
Test(kafka, is_not_whole_while_a_topic_is_missing)
{
    produce(0, 100, 10);
    rd_kafka_mock_topic_create(cluster, "chats", 1, 1);
    rd_kafka_mock_topic_set_error(cluster, "chats", RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
    open_topics("contacts, chats", "");
    steps_until_count(10);
    steps_for(1500);
    cr_expect_not(source.whole(source.state));
    rd_kafka_mock_topic_set_error(cluster, "chats", RD_KAFKA_RESP_ERR_NO_ERROR);
    for (int64_t until_ms = now_ms() + WITHIN_MS; !source.whole(source.state) && now_ms() < until_ms;)
        step();
    cr_expect(source.whole(source.state));
}

/* ---- positions and commits ---- */

Test(kafka, a_position_is_what_was_saved_until_a_message_comes)
{
    produce(1, 100, 10);
    begin_at = 7;
    open_source("");
    for (int64_t until_ms = now_ms() + WITHIN_MS; source.inputs(source.state) == 0 && now_ms() < until_ms;)
        cr_assert_geq(source.poll(source.state, 0, 0, see, NULL), 0);
    struct source_position position;
    source.position(source.state, 1, &position);
    cr_assert_eq(position.topic, 0);
    cr_assert_eq(position.partition, 1);
    cr_assert_eq(position.next, 7);
    steps_until_count(3);
    source.position(source.state, 1, &position);
    cr_assert_eq(position.next, 10);
}

Test(kafka, a_position_is_not_known_until_a_message_or_the_end_comes)
{
    produce(1, 100, 10);
    open_source(", start: end");
    for (int64_t until_ms = now_ms() + WITHIN_MS; source.inputs(source.state) == 0 && now_ms() < until_ms;)
        cr_assert_geq(source.poll(source.state, 0, 0, see, NULL), 0);
    struct source_position position;
    source.position(source.state, 1, &position);
    cr_assert_eq(position.next, -1);
    steps_until_end();
    source.position(source.state, 1, &position);
    cr_assert_eq(position.next, 10);
    source.position(source.state, 0, &position);
    cr_assert_eq(position.next, 0);
    cr_assert_eq(seen.count, 0);
}

static int64_t committed(int partition)
{
    char why[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", rd_kafka_mock_cluster_bootstraps(cluster), why, sizeof why);
    rd_kafka_conf_set(conf, "group.id", "test", why, sizeof why);
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, "contacts", partition);
    cr_assert_eq(rd_kafka_committed(rk, list, WITHIN_MS), 0);
    int64_t offset = list->elems[0].offset;
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_destroy(rk);
    return offset;
}

Test(kafka, commits_the_offsets_that_it_is_given)
{
    for (int p = 0; p < PARTITIONS; p++)
        produce(p, 100, 100);
    open_source("");
    steps_until_count(400);
    source.commit(source.state, (int64_t[]){40, -1, 60}, 3);
    source.commit(source.state, (int64_t[]){41, 1, 61}, 3); /* one is on its way */
    steps_for(500);
    for (int64_t until_ms = now_ms() + WITHIN_MS; committed(2) != 60 && now_ms() < until_ms;)
        step();
    cr_assert_eq(committed(0), 40);
    cr_assert_eq(committed(1), RD_KAFKA_OFFSET_INVALID);
    cr_assert_eq(committed(2), 60);
    cr_assert_eq(committed(3), RD_KAFKA_OFFSET_INVALID);
    for (int64_t until_ms = now_ms() + WITHIN_MS; committed(1) != 1 && now_ms() < until_ms;) {
        source.commit(source.state, (int64_t[]){41, 1, 61}, 3);
        steps_for(200);
    }
    cr_assert_eq(committed(1), 1);
    cr_assert_eq(committed(2), 61);
}

/* ---- pauses ---- */

Test(kafka, a_paused_source_keeps_its_place)
{
    open_source("");
    produce(0, 100, 100);
    steps_until_count(100);
    source.pause(source.state, true);
    produce(0, 100, 100);
    steps_for(500);
    cr_assert_eq(seen.count, 100);
    source.pause(source.state, false);
    steps_until_count(200);
    cr_assert_eq(seen.twice + seen.gaps, 0);
}

static bool lags_by(int64_t messages)
{
    struct kafka_lag lag[8];
    int64_t sum = 0;
    int count = kafka_source_lag(&source, lag, 8);
    for (int i = 0; i < count && i < 8; i++)
        sum += lag[i].messages;
    return sum == messages;
}

/* librdkafka alone would hear of what its queue has room for. */
Test(kafka, a_paused_source_knows_how_much_waits)
{
    open_source("");
    produce(0, 100, 100);
    steps_until_count(100);
    source.pause(source.state, true);
    produce(0, 100, 300);
    produce(1, 100, 50);
    for (int i = 0; i < 100 && !lags_by(350); i++)
        steps_for(100);
    cr_expect(lags_by(350));
    cr_expect_eq(seen.count, 100);
    source.pause(source.state, false);
    steps_until_count(450);
    for (int i = 0; i < 100 && !lags_by(0); i++)
        steps_for(100);
    cr_expect(lags_by(0));
}

/* ---- what is held back ---- */

static int input_of_partition(int partition)
{
    struct source_position at;
    for (int i = 0; i < source.inputs(source.state); i++) {
        source.position(source.state, i, &at);
        if (at.partition == partition)
            return i;
    }
    return -1;
}

Test(kafka, an_input_that_is_held_back_waits_while_others_come)
{
    open_source("");
    produce(0, 100, 10);
    produce(1, 100, 10);
    steps_until_count(20);
    source.hold(source.state, input_of_partition(0), true);
    produce(0, 100, 50);
    produce(1, 100, 50);
    steps_until_some(70);
    steps_for(300);
    cr_assert_eq(seen.count, 70);
    cr_expect_eq(seen.next[0], 10);
    cr_expect_not(source.at_end(source.state, input_of_partition(0)), "it has messages that were not handed out");
    source.hold(source.state, input_of_partition(0), false);
    steps_until_count(120);
    steps_until_end();
    cr_assert_eq(seen.twice + seen.gaps, 0);
}

/* limits.memory 64 MiB: 2 MiB may be held. 4 MB of one partition come, which librdkafka is not to fetch whole (the mock keeps 5). */
Test(kafka, more_than_may_be_held_stays_on_the_broker_and_nothing_is_lost)
{
    open_source("}\nlimits: {memory: 64MiB");
    produce(0, 10000, 1);
    produce(1, 10000, 1);
    steps_until_count(2);
    for (int round = 0; round < 3; round++) {
        source.hold(source.state, input_of_partition(0), true);
        produce(0, 10000, 400);
        produce(1, 10000, 400);
        steps_until_some(2 + round * 800 + 400);
        steps_for(500);
        cr_assert_eq(seen.count, 2 + round * 800 + 400);
        source.hold(source.state, input_of_partition(0), false);
        steps_until_count(2 + (round + 1) * 800);
    }
    steps_until_end();
    cr_assert_eq(seen.twice + seen.gaps, 0, "%d twice, %d gaps", seen.twice, seen.gaps);
}

Test(kafka, closes_while_something_is_held)
{
    open_source("}\nlimits: {memory: 64MiB");
    produce(0, 10000, 1);
    steps_until_count(1);
    source.hold(source.state, input_of_partition(0), true);
    produce(0, 10000, 400);
    steps_for(1000);
    cr_assert_eq(seen.count, 1);
}
