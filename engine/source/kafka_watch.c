/* kafka_watch: the thread that asks which partitions there are, so that poll never has to wait for a broker. Every 30 s; every
 * second while a topic is missing, no broker answers, the source is paused or the shard has asked (watcher_look). While it is paused it also
 * asks how far partitions have grown. */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "esteem/err.h"
#include "esteem/log.h"
#include "kafka_parts.h"

enum {
    WATCH_MS = 30000,        /* pace of the watcher */
    WATCH_MISSING_MS = 1000, /* while a topic is missing, no broker answers or the source is paused */
    WATCH_TIMEOUT_MS = 1000, /* so long may the watcher wait for an answer, and close for the watcher */
};

/* Runs on: watcher. What one answer says of a topic: its partitions, or FOUND_NOT_YET. */
static int32_t topic_count_read(struct kafka_source *source, struct topic *topic, const struct rd_kafka_metadata *metadata)
{
    const char *name = source->config->topic[topic->index].name;
    if (metadata->topic_cnt != 1) {
        return FOUND_NOT_YET;
    }
    rd_kafka_resp_err_t error = metadata->topics[0].err;
    bool missing = error == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    if (missing != topic->missing) {
        topic->missing = missing;
        if (missing && topic->was_there) {
            log_warn("kafka.topic_gone", "topic %s was deleted; it is read from its beginning when it is there again", name);
        } else if (missing) {
            log_warn("kafka.topic_missing", "topic %s does not exist yet; it is read when it does, and rows of an earlier life stay until then", name);
        } else {
            log_info("kafka.topic_found", "topic %s is there now", name);
        }
    }
    if (missing) {
        return 0;
    }
    if (error) {
        error_tell(source, error, name);
        return FOUND_NOT_YET;
    }
    topic->was_there = true;
    return metadata->topics[0].partition_cnt;
}

/* Runs on: watcher. Writes down the answer to a question that was put when `asked` was that. */
static void topic_answer(struct kafka_source *source, struct topic *topic, int32_t found, unsigned asked)
{
    int32_t before = atomic_load_explicit(&topic->found, memory_order_relaxed);
    if (found == FOUND_NOT_YET || (found == before && asked == atomic_load_explicit(&topic->settled, memory_order_relaxed))) {
        return;
    }
    if (found < before) { /* partitions are only ever added: it was deleted, and maybe created anew */
        atomic_fetch_add_explicit(&topic->shrunk, 1, memory_order_relaxed);
    }
    atomic_store_explicit(&topic->found, found, memory_order_relaxed);
    atomic_store_explicit(&topic->settled, asked, memory_order_relaxed);
    /* release: the three are visible to inputs_serve's acquire */
    atomic_fetch_add_explicit(&source->generation, 1, memory_order_release);
}

/* Runs on: watcher. Asks for each topic by its handle: a request for several could create those that are missing. False when the
 * next round should come soon. */
static bool watch_round(struct kafka_source *source)
{
    bool settled = true;
    for (int i = 0; i < source->topic_count; i++) {
        struct topic *topic = &source->topic[i];
        const struct rd_kafka_metadata *metadata;
        unsigned asked = atomic_load_explicit(&topic->asked, memory_order_relaxed);
        rd_kafka_resp_err_t error = rd_kafka_metadata(source->rk, 0, topic->handle, &metadata, WATCH_TIMEOUT_MS);
        if (error) {
            if (!source->away) {
                error_tell(source, error, "no broker answers");
            }
            source->away = true;
            return false;
        }
        source->away = false;
        int32_t found = topic_count_read(source, topic, metadata);
        rd_kafka_metadata_destroy(metadata);
        settled = settled && found > 0;
        topic_answer(source, topic, found, asked);
    }
    return settled;
}

/* Runs on: watcher. A source that is paused fetches no more than its queue holds, so librdkafka hears of no newer end: the broker is asked. */
static void ends_ask(struct kafka_source *source)
{
    for (int i = 0; atomic_load_explicit(&source->paused, memory_order_acquire); i++) {
        pthread_mutex_lock(&source->lag_lock);
        struct lag_entry entry = {.next = -1};
        bool more = i < source->lags;
        if (more) {
            entry = source->lag[i];
        }
        pthread_mutex_unlock(&source->lag_lock);
        if (!more) {
            return;
        }
        int64_t low, high;
        const char *name = source->config->topic[entry.lag.topic].name;
        if (rd_kafka_query_watermark_offsets(source->rk, name, entry.lag.partition, &low, &high, WATCH_TIMEOUT_MS)) {
            continue;
        }
        int64_t next = entry.next < 0 ? low : entry.next; /* nothing of it was handed out yet */
        pthread_mutex_lock(&source->lag_lock);
        if (atomic_load_explicit(&source->paused, memory_order_acquire) && i < source->lags && source->lag[i].lag.partition == entry.lag.partition &&
            source->lag[i].lag.topic == entry.lag.topic) {
            source->lag[i].lag.messages = high > next ? high - next : 0;
        }
        pthread_mutex_unlock(&source->lag_lock);
    }
}

static struct timespec deadline(int wait_ms)
{
    struct timespec at;
    (void)clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += wait_ms / 1000;
    at.tv_nsec += wait_ms % 1000 * 1000000L;
    if (at.tv_nsec >= 1000000000L) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000L;
    }
    return at;
}

static void *watcher_run(void *context)
{
    struct kafka_source *source = context;
    bool stop = false;
    while (!stop) {
        bool settled = watch_round(source);
        if (settled) {
            ends_ask(source);
        }
        bool soon = !settled || atomic_load_explicit(&source->paused, memory_order_relaxed);
        struct timespec until = deadline(soon ? WATCH_MISSING_MS : WATCH_MS);
        pthread_mutex_lock(&source->lock);
        while (!source->stop && !source->look && pthread_cond_timedwait(&source->wake, &source->lock, &until) != ETIMEDOUT) {
        }
        stop = source->stop;
        source->look = false;
        pthread_mutex_unlock(&source->lock);
    }
    return NULL;
}

int watcher_start(struct kafka_source *source)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&source->lock, NULL);
    pthread_cond_init(&source->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    int error = pthread_create(&source->watcher, NULL, watcher_run, source);
    source->watching = error == 0;
    return error ? err_set(ERR_KAFKA, "no thread: %s", strerror(error)) : 0;
}

void watcher_stop(struct kafka_source *source)
{
    if (!source->watching) {
        return;
    }
    pthread_mutex_lock(&source->lock);
    source->stop = true;
    pthread_cond_signal(&source->wake);
    pthread_mutex_unlock(&source->lock);
    pthread_join(source->watcher, NULL);
    pthread_cond_destroy(&source->wake);
    pthread_mutex_destroy(&source->lock);
}

void watcher_look(struct kafka_source *source)
{
    pthread_mutex_lock(&source->lock); /* held for a moment only, never during a question */
    source->look = true;
    pthread_cond_signal(&source->wake);
    pthread_mutex_unlock(&source->lock);
}
