/* recall_topics: the names on the metric topics, read by a consumer of its own:
 *
 *   look (partitions, ends, where `since` begins) ─> read up to the ends ─> look at the ends once more ─> read up to them
 *
 * The second look is for an older instance that this one has taken over from: it stops within a second, and until then it may write. Most
 * records only say again what is known of their key, so a table of hashes keeps them from going on: which families have something
 * under it. Beyond its bound names go on each time, which costs time and nothing else. */
#include <librdkafka/rdkafka.h>
#include <stdlib.h>
#include <string.h>

#include "esteem/err.h"
#include "esteem/log.h"
#include "esteem/recall.h"
#include "esteem/row.h"
#include "key_memory.h"
#include "producer.h"

enum {
    ASK_MS = 1000,       /* so long may a broker take to answer */
    RETRY_MS = 1000,
    BATCH = 1024,
    WAIT_MS = 100,
    OVERLAP_MS = 3000,   /* an older instance has ended by then */
    KEYS_MOST = 3 << 20,
    TOPIC_NAME_MAX = 250,
};
_Static_assert(FAMILY_COUNT < 15, "a family has a bit beside RECALL_REDIS");

struct part {
    int family;
    int32_t partition;
    int64_t next, end;
    bool begun;
};

enum phase { LOOK, READ };

struct topics {
    const struct config *config;
    int64_t since_ms;
    rd_kafka_t *rk;
    rd_kafka_queue_t *queue;
    rd_kafka_topic_t *topic[FAMILY_COUNT];
    char name[FAMILY_COUNT][TOPIC_NAME_MAX];
    struct part *part;
    int parts;
    enum phase phase;
    bool again;      /* this is the second time */
    bool told;       /* the log has said what is wrong */
    int64_t begun_ms, due_ms;
    struct key_memory known; /* word[0]: families that have something */
    rd_kafka_message_t *batch[BATCH];
};

/* ---- looking ---- */

static int failed(struct topics *topics, const char *what, rd_kafka_resp_err_t error)
{
    if (!topics->told)
        log_warn("recall.topics", "%s: %s; trying again", what, rd_kafka_err2str(error));
    topics->told = true;
    return ERR_KAFKA;
}

static void forbidden(const char *name)
{
    log_warn("recall.topics", "%s may not be read: what only an earlier life had told stays there; grant this user Read and Describe of it", name);
}

static void part_add(struct topics *topics, int family, int32_t partition)
{
    topics->part = realloc(topics->part, (size_t)(topics->parts + 1) * sizeof *topics->part);
    ensure(topics->part != NULL, "the machine has memory left");
    topics->part[topics->parts++] = (struct part){.family = family, .partition = partition};
}

static int find_parts(struct topics *topics)
{
    topics->parts = 0;
    for (int f = 0; f < FAMILY_COUNT; f++) {
        const struct rd_kafka_metadata *metadata;
        if (topics->topic[f] == NULL)
            topics->topic[f] = rd_kafka_topic_new(topics->rk, topics->name[f], NULL);
        ensure(topics->topic[f] != NULL, "names were checked when the sink was opened");
        rd_kafka_resp_err_t error = rd_kafka_metadata(topics->rk, 0, topics->topic[f], &metadata, ASK_MS);
        if (error)
            return failed(topics, topics->name[f], error);
        error = metadata->topic_cnt == 1 ? metadata->topics[0].err : RD_KAFKA_RESP_ERR_UNKNOWN;
        for (int p = 0; !error && p < metadata->topics[0].partition_cnt; p++)
            part_add(topics, f, metadata->topics[0].partitions[p].id);
        rd_kafka_metadata_destroy(metadata);
        if (error == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED)
            forbidden(topics->name[f]);
        else if (error && !producer_unknown_topic(error)) /* where there is no topic nothing was told */
            return failed(topics, topics->name[f], error);
    }
    return 0;
}

static int find_ends(struct topics *topics)
{
    for (int i = 0; i < topics->parts; i++) {
        struct part *part = &topics->part[i];
        int64_t low, high;
        rd_kafka_resp_err_t error = rd_kafka_query_watermark_offsets(topics->rk, topics->name[part->family], part->partition, &low, &high, ASK_MS);
        if (error)
            return failed(topics, topics->name[part->family], error);
        part->next = topics->again ? part->next : low;
        part->end = high;
    }
    return 0;
}

/* Where the records of since_ms begin. */
static int find_since(struct topics *topics)
{
    if (topics->since_ms == INT64_MIN || topics->parts == 0)
        return 0;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(topics->parts);
    for (int i = 0; i < topics->parts; i++)
        rd_kafka_topic_partition_list_add(list, topics->name[topics->part[i].family], topics->part[i].partition)->offset = topics->since_ms;
    rd_kafka_resp_err_t error = rd_kafka_offsets_for_times(topics->rk, list, ASK_MS);
    for (int i = 0; i < topics->parts && !error; i++) {
        struct part *part = &topics->part[i];
        const rd_kafka_topic_partition_t *found = rd_kafka_topic_partition_list_find(list, topics->name[part->family], part->partition);
        ensure(found != NULL, "librdkafka answers in the list that it was given");
        error = found->err;
        part->next = found->offset < 0 ? part->end : found->offset > part->next ? found->offset : part->next;
    }
    rd_kafka_topic_partition_list_destroy(list);
    return error ? failed(topics, "offsets by time", error) : 0;
}

static int look(struct topics *topics)
{
    if (topics->again)
        return find_ends(topics);
    int error = find_parts(topics);
    if (!error)
        error = find_ends(topics);
    return error ? error : find_since(topics);
}

static int begin_parts(struct topics *topics)
{
    for (int i = 0; i < topics->parts; i++) {
        struct part *part = &topics->part[i];
        if (part->begun || part->next >= part->end)
            continue;
        if (rd_kafka_consume_start_queue(topics->topic[part->family], part->partition, part->next, topics->queue) != 0)
            return failed(topics, topics->name[part->family], rd_kafka_last_error());
        part->begun = true;
    }
    return 0;
}

/* ---- reading ---- */

static struct part *part_of(struct topics *topics, const rd_kafka_message_t *message)
{
    for (int i = 0; message->rkt && i < topics->parts; i++)
        if (topics->topic[topics->part[i].family] == message->rkt && topics->part[i].partition == message->partition)
            return &topics->part[i];
    return NULL;
}

static bool has_figures(const rd_kafka_message_t *message)
{
    static const char none[] = "\"measures\":{}";
    return message->len > 0 && memmem(message->payload, message->len, none, sizeof none - 1) == NULL;
}

/* Whether this is not known yet of the key. */
static bool news(struct topics *topics, const rd_kafka_message_t *message, unsigned family, bool figures)
{
    uint64_t hash = key_memory_hash(message->key, message->key_len, 0), bit = UINT64_C(1) << family;
    struct key_known *known = key_memory_find(&topics->known, hash, 0);
    uint64_t word = known ? known->word[0] : 0;
    if ((word & bit) == (figures ? bit : 0))
        return false;
    if (known == NULL && (known = key_memory_put(&topics->known, hash, 0)) == NULL)
        return true;
    *known = (struct key_known){hash, INT64_MAX, {figures ? word | bit : word & ~bit}};
    return true;
}

static void take_record(struct topics *topics, struct recall *recall, const rd_kafka_message_t *message, int family)
{
    struct recall_name name;
    bool figures = has_figures(message);
    if (message->key_len == 0 || !news(topics, message, (unsigned)family, figures) || !recall_topic_key(message->key, message->key_len, &name))
        return;
    struct recalled *row = recalled_new(topics->config, &name);
    if (row == NULL)
        return;
    row->record = (uint16_t)(1u << family);
    row->emptied = !figures;
    recall_put(recall, row);
}

static void take_message(struct topics *topics, struct recall *recall, const rd_kafka_message_t *message)
{
    struct part *part = part_of(topics, message);
    if (part && message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        part->next = message->offset > part->next ? message->offset : part->next;
    } else if (part && message->err == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED) {
        if (part->next < part->end)
            forbidden(topics->name[part->family]);
        part->next = part->end;
    } else if (message->err) {
        (void)failed(topics, part ? topics->name[part->family] : "reading", message->err);
    } else if (part) {
        take_record(topics, recall, message, part->family);
        part->next = message->offset + 1;
    }
}

static enum recall_progress read_some(struct topics *topics, struct recall *recall)
{
    ssize_t count = rd_kafka_consume_batch_queue(topics->queue, WAIT_MS, topics->batch, BATCH);
    for (ssize_t i = 0; i < count; i++) {
        take_message(topics, recall, topics->batch[i]);
        rd_kafka_message_destroy(topics->batch[i]);
    }
    return RECALL_WORKS;
}

static bool at_ends(const struct topics *topics)
{
    for (int i = 0; i < topics->parts; i++)
        if (topics->part[i].next < topics->part[i].end)
            return false;
    return true;
}

/* ---- life ---- */

static int client_open(struct topics *topics)
{
    if (topics->rk)
        return 0;
    if (consumer_open(topics->config, "esteem-recall", &topics->rk) != 0) {
        if (!topics->told)
            log_warn("recall.topics", "%s; trying again", err_text());
        topics->told = true;
        err_clear();
        return ERR_KAFKA;
    }
    topics->queue = rd_kafka_queue_new(topics->rk);
    return 0;
}

static void client_close(struct topics *topics)
{
    for (int i = 0; i < topics->parts; i++)
        if (topics->part[i].begun)
            (void)rd_kafka_consume_stop(topics->topic[topics->part[i].family], topics->part[i].partition);
    topics->parts = 0;
    for (int f = 0; f < FAMILY_COUNT; f++) {
        if (topics->topic[f])
            rd_kafka_topic_destroy(topics->topic[f]);
        topics->topic[f] = NULL;
    }
    if (topics->queue)
        rd_kafka_queue_destroy(topics->queue);
    if (topics->rk)
        consumer_close(topics->rk);
    topics->queue = NULL;
    topics->rk = NULL;
    key_memory_clear(&topics->known);
}

static enum recall_progress step(void *state, struct recall *recall, int64_t now_ms)
{
    struct topics *topics = state;
    if (now_ms < topics->due_ms)
        return RECALL_WAITS;
    if (topics->begun_ms == 0)
        topics->begun_ms = now_ms;
    if (topics->phase == LOOK) {
        if (client_open(topics) != 0 || look(topics) != 0 || begin_parts(topics) != 0) {
            topics->due_ms = now_ms + RETRY_MS;
            return RECALL_WAITS;
        }
        topics->phase = READ;
        topics->told = false;
    }
    if (!at_ends(topics))
        return read_some(topics, recall);
    if (topics->again) {
        client_close(topics);
        return RECALL_DONE;
    }
    topics->again = true;
    topics->phase = LOOK;
    topics->due_ms = topics->begun_ms + OVERLAP_MS;
    return RECALL_WORKS;
}

static void topics_close(void *state)
{
    struct topics *topics = state;
    client_close(topics);
    key_memory_close(&topics->known);
    free(topics->part);
    free(topics);
}

int recall_topics_open(const struct config *config, int64_t since_ms, struct recall_reader *reader)
{
    struct topics *topics = calloc(1, sizeof *topics);
    ensure(topics != NULL, "the machine has memory left");
    topics->config = config;
    topics->since_ms = since_ms;
    key_memory_init(&topics->known, KEYS_MOST);
    for (int f = 0; f < FAMILY_COUNT; f++)
        (void)snprintf(topics->name[f], sizeof topics->name[f], "%s%s", config->topics_prefix, family_names[f]);
    *reader = (struct recall_reader){"topics", topics, step, topics_close};
    return 0;
}
