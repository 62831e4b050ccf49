/* raw: what librdkafka alone costs. Reads a topic from its beginning to its end with N consumers, one a thread, partition p at
 * consumer p mod N, with the settings of engine/source/kafka.c, and does nothing with the messages. The engine's rate is measured
 * against this one.
 *
 *   raw --topic TOPIC [--brokers LIST] [--threads N] [--live SECONDS]      --live: from its end on, what comes within those seconds */
#include <getopt.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <librdkafka/rdkafka.h>

enum { BATCH = 1024, THREADS_MAX = 64, WAIT_MS = 100 };

struct reader {
    pthread_t thread;
    rd_kafka_t *rk;
    int partitions; /* still to be read to their ends */
    double until;   /* seconds; 0: the ends */
    uint64_t events, bytes;
};

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "raw: %s: %s\n", what, why);
    exit(1);
}

static rd_kafka_t *consumer_open(const char *brokers)
{
    const char *rows[][2] = {
        {"bootstrap.servers", brokers},
        {"group.id", "esteem-raw"},
        {"enable.auto.commit", "false"},
        {"enable.auto.offset.store", "false"},
        {"enable.partition.eof", "true"},
        {"queued.min.messages", "1000000"},
        {"queued.max.messages.kbytes", "131072"},
        {"fetch.message.max.bytes", "4194304"},
        {"fetch.min.bytes", "16384"},
        {"fetch.wait.max.ms", "20"},
    };
    char why[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rd_kafka_conf_set(conf, rows[i][0], rows[i][1], why, sizeof why) != RD_KAFKA_CONF_OK) {
            fail(rows[i][0], why);
        }
    }
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why);
    if (!rk) {
        fail("librdkafka", why);
    }
    return rk;
}

static int partitions_count(rd_kafka_t *rk, const char *topic)
{
    const struct rd_kafka_metadata *metadata;
    rd_kafka_topic_t *handle = rd_kafka_topic_new(rk, topic, NULL);
    rd_kafka_resp_err_t error = rd_kafka_metadata(rk, 0, handle, &metadata, 10000);
    if (error) {
        fail("asking for the topic", rd_kafka_err2str(error));
    }
    int count = metadata->topics[0].partition_cnt;
    if (!count) {
        fail(topic, rd_kafka_err2str(metadata->topics[0].err));
    }
    rd_kafka_metadata_destroy(metadata);
    rd_kafka_topic_destroy(handle);
    return count;
}

static double seconds(clockid_t clock)
{
    struct timespec now;
    (void)clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void *reader_run(void *context)
{
    struct reader *reader = context;
    rd_kafka_message_t *batch[BATCH];
    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(reader->rk);
    while (reader->until ? seconds(CLOCK_MONOTONIC) < reader->until : reader->partitions > 0) {
        ssize_t count = rd_kafka_consume_batch_queue(queue, WAIT_MS, batch, BATCH);
        for (ssize_t i = 0; i < count; i++) {
            if (!batch[i]->err) {
                reader->events++;
                reader->bytes += batch[i]->len;
            } else if (batch[i]->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
                reader->partitions--;
            }
            rd_kafka_message_destroy(batch[i]);
        }
    }
    rd_kafka_queue_destroy(queue);
    return NULL;
}

int main(int argc, char **argv)
{
    static const struct option rows[] = {
        {"topic", required_argument, NULL, 't'}, {"brokers", required_argument, NULL, 'b'}, {"threads", required_argument, NULL, 'n'}, {"live", required_argument, NULL, 'l'},
        {0}};
    static struct reader reader[THREADS_MAX];
    const char *topic = NULL, *brokers = "127.0.0.1:9092";
    int threads = 1, live_s = 0;
    for (int option; (option = getopt_long(argc, argv, "", rows, NULL)) != -1;) {
        topic = option == 't' ? optarg : topic;
        brokers = option == 'b' ? optarg : brokers;
        threads = option == 'n' ? atoi(optarg) : threads;
        live_s = option == 'l' ? atoi(optarg) : live_s;
        if (option == '?') {
            return 2;
        }
    }
    if (!topic || threads < 1 || threads > THREADS_MAX) {
        fprintf(stderr, "usage: raw --topic TOPIC [--brokers LIST] [--threads 1..%d] [--live SECONDS]\n", THREADS_MAX);
        return 2;
    }
    for (int i = 0; i < threads; i++) {
        reader[i].rk = consumer_open(brokers);
    }
    int partitions = partitions_count(reader[0].rk, topic);
    double wall = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    for (int i = 0; i < threads; i++) {
        rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(partitions);
        for (int p = i; p < partitions; p += threads) {
            rd_kafka_topic_partition_list_add(list, topic, p)->offset = live_s ? RD_KAFKA_OFFSET_END : RD_KAFKA_OFFSET_BEGINNING;
        }
        reader[i].partitions = list->cnt;
        reader[i].until = live_s ? wall + live_s : 0;
        rd_kafka_assign(reader[i].rk, list);
        rd_kafka_topic_partition_list_destroy(list);
        if (pthread_create(&reader[i].thread, NULL, reader_run, &reader[i])) {
            fail("thread", "cannot be made");
        }
    }
    uint64_t events = 0, bytes = 0;
    for (int i = 0; i < threads; i++) {
        pthread_join(reader[i].thread, NULL);
        events += reader[i].events;
        bytes += reader[i].bytes;
    }
    wall = seconds(CLOCK_MONOTONIC) - wall;
    cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    double per = events ? (double)events : 1;
    printf("events %llu\nbytes_per_event %.1f\nwall_s %.3f\ncpu_s %.3f\nevents_per_s %.0f\nevents_per_cpu_s %.0f\ncpu_ns_per_event %.0f\n",
           (unsigned long long)events, (double)bytes / per, wall, cpu, per / wall, per / cpu, cpu * 1e9 / per);
    for (int i = 0; i < threads; i++) {
        rd_kafka_destroy_flags(reader[i].rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    }
    return 0;
}
