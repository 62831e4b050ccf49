/* shadow_feed: which part of the topics a shadow reads: for each partition the first offset of --from, and that of --to or the end that it
 * has now. They are asked for once, before anything runs; a broker that does not answer within ASK_MS ends it with a word. */
#include <stdlib.h>
#include <string.h>

#include <librdkafka/rdkafka.h>

#include "esteem/err.h"
#include "esteem/kafka.h"
#include "publish/producer.h"
#include "shadow_parts.h"

enum { ASK_MS = 15000 };

struct ask {
    rd_kafka_t *rk;
    struct run_span *span;
    int spans;
};

static int failed(const char *topic, rd_kafka_resp_err_t error)
{
    return err_set(ERR_KAFKA, "topic %s: %s", topic, rd_kafka_err2str(error));
}

/* ---- which partitions there are ---- */

static int add_topic(struct ask *ask, const char *topic)
{
    const struct rd_kafka_metadata *metadata;
    rd_kafka_topic_t *handle = rd_kafka_topic_new(ask->rk, topic, NULL);
    if (handle == NULL)
        return failed(topic, rd_kafka_last_error());
    rd_kafka_resp_err_t error = rd_kafka_metadata(ask->rk, 0, handle, &metadata, ASK_MS);
    rd_kafka_topic_destroy(handle);
    if (error)
        return failed(topic, error);
    error = metadata->topic_cnt == 1 ? metadata->topics[0].err : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    int count = error ? 0 : metadata->topics[0].partition_cnt;
    rd_kafka_metadata_destroy(metadata);
    if (error)
        return failed(topic, error);
    ask->span = realloc(ask->span, (size_t)(ask->spans + count + 1) * sizeof *ask->span);
    ensure(ask->span != NULL, "the machine has memory left");
    for (int32_t p = 0; p < count; p++)
        ask->span[ask->spans++] = (struct run_span){.topic = topic, .partition = p};
    return 0;
}

/* ---- where they begin and end ---- */

static int ask_watermarks(struct ask *ask)
{
    for (int i = 0; i < ask->spans; i++) {
        struct run_span *span = &ask->span[i];
        rd_kafka_resp_err_t error = rd_kafka_query_watermark_offsets(ask->rk, span->topic, span->partition, &span->from, &span->until, ASK_MS);
        if (error)
            return failed(span->topic, error);
    }
    return 0;
}

/* The first offsets since an instant; a partition that has none since stays at its end. */
static int ask_times(struct ask *ask, int64_t ms, int64_t *offset)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(ask->spans);
    for (int i = 0; i < ask->spans; i++)
        rd_kafka_topic_partition_list_add(list, ask->span[i].topic, ask->span[i].partition)->offset = ms;
    rd_kafka_resp_err_t error = rd_kafka_offsets_for_times(ask->rk, list, ASK_MS);
    int result = error ? err_set(ERR_KAFKA, "asking for the offsets of an instant: %s", rd_kafka_err2str(error)) : 0;
    for (int i = 0; i < ask->spans && result == 0; i++) {
        const rd_kafka_topic_partition_t *at = &list->elems[i];
        if (at->err)
            result = failed(at->topic, at->err);
        offset[i] = at->offset >= 0 && at->offset < ask->span[i].until ? at->offset : ask->span[i].until;
    }
    rd_kafka_topic_partition_list_destroy(list);
    return result;
}

static int take_times(struct ask *ask, const struct shadow *shadow)
{
    int64_t *from = calloc((size_t)ask->spans + 1, sizeof *from), *until = calloc((size_t)ask->spans + 1, sizeof *until);
    ensure(from && until, "the machine has memory left");
    int result = shadow->from_ms != INT64_MIN ? ask_times(ask, shadow->from_ms, from) : 0;
    if (result == 0 && shadow->to_ms != INT64_MAX)
        result = ask_times(ask, shadow->to_ms, until);
    for (int i = 0; i < ask->spans && result == 0; i++) {
        if (shadow->from_ms != INT64_MIN)
            ask->span[i].from = from[i];
        if (shadow->to_ms != INT64_MAX)
            ask->span[i].until = until[i];
    }
    free(from);
    free(until);
    return result;
}

int shadow_spans(const struct shadow *shadow, struct run_span **span, int *spans)
{
    struct ask ask = {0};
    int result = consumer_open(shadow->config, "esteem-shadow", &ask.rk);
    if (result != 0)
        return result;
    for (int t = 0; t < shadow->config->topic_count && result == 0; t++)
        result = add_topic(&ask, shadow->config->topic[t].name);
    if (result == 0)
        result = ask_watermarks(&ask);
    if (result == 0)
        result = take_times(&ask, shadow);
    consumer_close(ask.rk);
    if (result == 0 && ask.spans == 0)
        result = err_set(ERR_KAFKA, "the topics have no partitions");
    *span = ask.span;
    *spans = ask.spans;
    if (result != 0) {
        free(ask.span);
        *span = NULL;
    }
    return result;
}

int64_t shadow_messages(const struct run_span *span, int spans)
{
    int64_t messages = 0;
    for (int i = 0; i < spans; i++)
        messages += span[i].until > span[i].from ? span[i].until - span[i].from : 0;
    return messages;
}
