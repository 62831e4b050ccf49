/* kafka_inputs: which partitions are read and from where. Mostly nothing happens here: a partition is taken up, and its messages
 * come one behind the other. The rest is what a partition can do besides, and each begins it again at another offset:
 *
 *   its offset is gone        REWIND   from the first offset there is; the first message tells what was lost, or that all is new
 *   it may have been deleted  CHECK    from the last message, which is known by its time and length; another one: the topic is new
 *   it cannot be fetched      SEARCH   doubling steps, then halves, to the first offset behind the damage
 *
 * To begin again is to unassign and, RESTART_MS later, to assign: rd_kafka_seek refuses a partition whose offset was reset, and
 * librdkafka 2.0.2 ends the process when it is to stop a partition that it is stopping. Nothing here waits for a broker. */
#include <stdlib.h>

#include "esteem/err.h"
#include "esteem/log.h"
#include "kafka_parts.h"

enum {
    RESTART_MS = 100, /* from unassigned to assigned; a stop takes librdkafka's main thread microseconds */
    LAG_MS = 1000,
    RETRY_MS = 1000,  /* after an answer of the broker that was an error */
};

static const char *name_of(const struct kafka_source *source, const struct input *input)
{
    return source->config->topic[input->topic].name;
}

struct input *input_of(struct kafka_source *source, const rd_kafka_message_t *rkm)
{
    const struct topic *topic = rkm->rkt ? rd_kafka_topic_opaque(rkm->rkt) : NULL;
    bool ours = topic && rkm->partition >= 0 && rkm->partition < topic->taken && topic->input[rkm->partition] >= 0;
    return ours ? &source->input[topic->input[rkm->partition]] : NULL;
}

/* ---- to begin and to stop ---- */

/* Drops what was fetched of it and not handed out. It stays assigned until it begins again: see inputs_close for what librdkafka does
 * with a partition that is unassigned while it is gone. */
static void input_stop(struct kafka_source *source, struct input *input)
{
    source->due_count -= input->place == INPUT_DUE;
    input->place = INPUT_AWAY;
    held_drop(source, input);
    for (size_t i = source->batch_next; i < source->batch_count; i++) {
        if (source->batch[i] && input_of(source, source->batch[i]) == input) {
            rd_kafka_message_destroy(source->batch[i]);
            source->batch[i] = NULL;
        }
    }
}

/* librdkafka drops what it has queued of it. */
static void input_unassign(struct kafka_source *source, struct input *input)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, name_of(source, input), input->partition);
    rd_kafka_error_t *error = rd_kafka_incremental_unassign(source->rk, list);
    ensure(!error, "what is unassigned was assigned before");
    rd_kafka_topic_partition_list_destroy(list);
    input->assigned = false;
    rd_kafka_queue_destroy(input->queue);
    input->queue = NULL;
}

static void input_begin(struct kafka_source *source, struct input *input, enum input_purpose purpose, int64_t from, int after_ms)
{
    input_stop(source, input);
    if (input->assigned) {
        input_unassign(source, input);
    }
    input->place = INPUT_DUE;
    input->purpose = purpose;
    input->from = from;
    input->due_ms = coarse_ms() + after_ms;
    input->at_end = false;
    source->due_count++;
}

static void inputs_assign(struct kafka_source *source)
{
    if (!source->due_count) {
        return;
    }
    int64_t now_ms = coarse_ms();
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(16);
    for (int i = 0; i < source->input_count; i++) {
        struct input *input = &source->input[i];
        if (input->place == INPUT_DUE && now_ms >= input->due_ms) {
            rd_kafka_topic_partition_list_add(list, name_of(source, input), input->partition)->offset = input->from;
            input->place = INPUT_HERE;
            input->assigned = true;
            source->due_count--;
        }
    }
    if (list->cnt) {
        rd_kafka_error_t *error = rd_kafka_incremental_assign(source->rk, list);
        ensure(!error, "partitions of our own are assigned by hand, at any time");
    }
    rd_kafka_topic_partition_list_destroy(list);
    for (int i = 0; i < source->input_count; i++) {
        struct input *input = &source->input[i];
        if (input->assigned && !input->queue) {
            input->queue = rd_kafka_queue_get_partition(source->rk, name_of(source, input), input->partition);
        }
    }
}

/* librdkafka before 2.1.1 leaves a mark in the queue of a partition that stops, and the mark refers to the partition: if that is gone
 * from the cluster, nobody takes the mark out, and rd_kafka_destroy waits for ever. So all are stopped, and the marks taken out.
 * To ask librdkafka's main thread for the assignment is to wait until it has done what it was told before; twice, as the first
 * answer may overtake the last stop. */
void inputs_close(struct kafka_source *source)
{
    (void)rd_kafka_assign(source->rk, NULL);
    for (int i = 0; i < 2; i++) {
        rd_kafka_topic_partition_list_t *list;
        if (rd_kafka_assignment(source->rk, &list) == 0) {
            rd_kafka_topic_partition_list_destroy(list);
        }
    }
    for (int i = 0; i < source->input_count; i++) {
        rd_kafka_message_t *rkm;
        while (source->input[i].queue && (rkm = rd_kafka_consume_queue(source->input[i].queue, 0)) != NULL) {
            rd_kafka_message_destroy(rkm);
        }
        if (source->input[i].queue) {
            rd_kafka_queue_destroy(source->input[i].queue);
        }
    }
}

/* ---- partitions come and go ---- */

/* Makes room in the topic's table and in the inputs for partitions up to `found`. */
static bool room_make(struct kafka_source *source, struct topic *topic, int32_t found)
{
    int *by_partition = realloc(topic->input, (size_t)found * sizeof *by_partition);
    if (!by_partition) {
        return false;
    }
    topic->input = by_partition;
    size_t inputs = (size_t)(source->input_count + found - topic->taken);
    struct input *input = realloc(source->input, inputs * sizeof *input);
    if (!input) {
        return false;
    }
    source->input = input;
    return true;
}

static void input_add(struct kafka_source *source, struct topic *topic, int32_t partition)
{
    const char *name = source->config->topic[topic->index].name;
    int64_t offset = source->from ? source->from(source->from_context, name, partition) : KAFKA_FROM_START;
    bool end = source->config->kafka_start == KAFKA_START_END && !topic->begun && offset != KAFKA_FROM_BEGINNING;
    struct input *input = &source->input[source->input_count];
    int64_t until = source->until ? source->until(source->until_context, name, partition) : KAFKA_NO_END;
    *input = (struct input){.topic = topic->index, .partition = partition, .next = OFFSET_UNKNOWN, .committed = OFFSET_UNKNOWN,
                            .until = until == KAFKA_NO_END ? INT64_MAX : until};
    if (offset >= 0) {
        input->next = offset;
    } else {
        offset = end ? RD_KAFKA_OFFSET_END : RD_KAFKA_OFFSET_BEGINNING;
    }
    topic->input[partition] = source->input_count++;
    input_begin(source, input, INPUT_READ, offset, 0);
}

/* The partition is there again, or still. */
static void input_return(struct kafka_source *source, struct input *input)
{
    if (input->next <= 0) {
        input_begin(source, input, INPUT_READ, RD_KAFKA_OFFSET_BEGINNING, RESTART_MS);
    } else if (input->last_known) {
        input_begin(source, input, INPUT_CHECK, input->next - 1, RESTART_MS);
    } else {
        input_begin(source, input, INPUT_READ, input->next, RESTART_MS);
    }
}

/* Partitions of one topic that are new become inputs. */
static int topic_grow(struct kafka_source *source, struct topic *topic, int32_t found)
{
    if (found > topic->taken && !room_make(source, topic, found)) {
        return err_set(ERR_MEMORY, "no memory for %d partitions", found);
    }
    int before = source->input_count;
    for (; topic->taken < found; topic->taken++) {
        topic->input[topic->taken] = -1;
        if (topic->taken % source->shards != source->shard) {
            continue;
        }
        if (source->input_count == SOURCE_INPUT_MAX) {
            return err_set(ERR_KAFKA, "more than %d partitions in one shard; use more shards", SOURCE_INPUT_MAX);
        }
        input_add(source, topic, topic->taken);
    }
    if (source->input_count > before) {
        log_info("kafka.assigned", "shard %d reads %d partitions more, %d in all", source->shard, source->input_count - before,
                 source->input_count);
    }
    topic->begun = topic->begun || found != FOUND_NOT_YET;
    return 0;
}

/* What the watcher knows now of one topic. A partition that is gone is at its end: it holds nobody up. */
static int topic_take(struct kafka_source *source, struct topic *topic)
{
    int32_t found = atomic_load_explicit(&topic->found, memory_order_relaxed);
    unsigned shrunk = atomic_load_explicit(&topic->shrunk, memory_order_relaxed);
    bool settled = atomic_load_explicit(&topic->settled, memory_order_relaxed) == topic->doubts;
    for (int32_t p = 0; p < topic->taken; p++) {
        struct input *input = topic->input[p] < 0 ? NULL : &source->input[topic->input[p]];
        if (input && shrunk != topic->shrunk_seen) {
            input_stop(source, input);
        }
        if (input && input->place == INPUT_AWAY && settled && p < found) {
            input_return(source, input);
        } else if (input && input->place == INPUT_AWAY && settled) {
            input->at_end = input->was_at_end = true;
        }
    }
    topic->shrunk_seen = shrunk;
    return topic_grow(source, topic, found);
}

void topic_doubt(struct kafka_source *source, struct topic *topic)
{
    topic->doubt = source->doubt = true;
}

/* Nothing of a topic in doubt is read until the watcher has had an answer: a new topic of the same name would go on at the old
 * one's offsets. */
static void doubts_take(struct kafka_source *source)
{
    source->doubt = false;
    for (int t = 0; t < source->topic_count; t++) {
        struct topic *topic = &source->topic[t];
        if (!topic->doubt) {
            continue;
        }
        topic->doubt = false;
        for (int32_t p = 0; p < topic->taken; p++) {
            if (topic->input[p] >= 0) {
                input_stop(source, &source->input[topic->input[p]]);
            }
        }
        atomic_store_explicit(&topic->asked, ++topic->doubts, memory_order_relaxed);
    }
    watcher_look(source);
}

int inputs_serve(struct kafka_source *source)
{
    if (source->doubt) {
        doubts_take(source);
    }
    /* acquire: sees what topic_answer stored before it */
    unsigned generation = atomic_load_explicit(&source->generation, memory_order_acquire);
    int result = 0;
    for (int i = 0; i < source->topic_count && generation != source->generation_seen && !result; i++) {
        result = topic_take(source, &source->topic[i]);
    }
    if (!result) {
        source->generation_seen = generation;
    }
    inputs_assign(source);
    return result;
}

/* ---- offsets that are gone ---- */

static void input_rewind(struct kafka_source *source, struct input *input)
{
    input_begin(source, input, INPUT_REWIND, RD_KAFKA_OFFSET_BEGINNING, RESTART_MS);
}

/* Its first offset is known: 70 was expected and it is 100, so 30 are lost; 0, and it is another topic. */
static void rewind_end(struct kafka_source *source, struct input *input, int64_t first)
{
    int64_t lost = first - input->next;
    if (lost > 0) {
        atomic_fetch_add_explicit(&source->lost, (uint64_t)lost, memory_order_relaxed);
        log_error("kafka.lost", "topic %s [%d]: %lld messages were deleted before they were read, offsets %lld to %lld; raise the topic's "
                  "retention, or catch up sooner", name_of(source, input), input->partition, (long long)lost, (long long)input->next,
                  (long long)first - 1);
    } else if (lost < 0) {
        atomic_fetch_add_explicit(&source->recreated, 1, memory_order_relaxed);
        log_warn("kafka.recreated", "topic %s [%d]: offset %lld lies behind its end: it was deleted and created anew, or has lost its end. "
                 "It is read from its beginning, offset %lld", name_of(source, input), input->partition, (long long)input->next,
                 (long long)first);
    }
    input->next = first;
    input->purpose = INPUT_READ;
}

static void input_renewed(struct kafka_source *source, struct input *input)
{
    atomic_fetch_add_explicit(&source->recreated, 1, memory_order_relaxed);
    log_warn("kafka.recreated", "topic %s [%d] was deleted and created anew: offset %lld holds another message now. It is read from its "
             "beginning", name_of(source, input), input->partition, (long long)input->next - 1);
    input->next = 0;
    input->last_known = false;
    input_begin(source, input, INPUT_READ, RD_KAFKA_OFFSET_BEGINNING, RESTART_MS);
}

/* ---- what cannot be fetched ---- */

/* The broker or librdkafka has messages that cannot be read: a checksum that is wrong, a codec that fails. They are at the same
 * offset at the next fetch, and for ever. */
static bool error_says_damaged(rd_kafka_resp_err_t error)
{
    return error == RD_KAFKA_RESP_ERR__BAD_MSG || error == RD_KAFKA_RESP_ERR__BAD_COMPRESSION ||
           error == RD_KAFKA_RESP_ERR__NOT_IMPLEMENTED || error == RD_KAFKA_RESP_ERR_INVALID_MSG ||
           error == RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE || error == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
}

static void search_begin(struct kafka_source *source, struct input *input, int64_t offset)
{
    input->bad = offset > input->next ? offset : input->next;
    input->low = input->bad;
    input->high = OFFSET_UNKNOWN;
    input_begin(source, input, INPUT_SEARCH, input->low + 1, RESTART_MS);
}

/* Damage from 40 to 46: 41 is damaged, so is 42, 44; 48 is whole; then 46 is damaged, 47 whole: go on there. A batch has one
 * checksum, so a whole message behind damage is the first of a batch, and nothing whole is passed over. */
static void search_step(struct kafka_source *source, struct input *input)
{
    if (input->high == OFFSET_UNKNOWN) {
        input_begin(source, input, INPUT_SEARCH, input->low + (input->low - input->bad ? input->low - input->bad : 1), RESTART_MS);
        return;
    }
    if (input->high - input->low > 1) {
        input_begin(source, input, INPUT_SEARCH, input->low + (input->high - input->low) / 2, RESTART_MS);
        return;
    }
    int64_t count = input->high - input->bad;
    atomic_fetch_add_explicit(&source->unfetchable, (uint64_t)count, memory_order_relaxed);
    log_error("kafka.unfetchable", "topic %s [%d]: %lld messages are damaged on the broker and were passed over, offsets %lld to %lld; "
              "look at the broker's disk, and send them again", name_of(source, input), input->partition, (long long)count,
              (long long)input->bad, (long long)input->high - 1);
    input->next = input->high;
    input->last_known = false;
    input_begin(source, input, INPUT_READ, input->next, RESTART_MS);
}

/* `base`: where the damaged batch begins, as far as it is known. Behind the last one that is known to be damaged: another batch. */
static void search_damaged(struct kafka_source *source, struct input *input, rd_kafka_resp_err_t error, int64_t base)
{
    bool batch = error == RD_KAFKA_RESP_ERR__BAD_MSG || error == RD_KAFKA_RESP_ERR__BAD_COMPRESSION;
    if (batch && base > input->low && base <= input->from) {
        input->high = base;
    } else {
        input->low = input->from;
    }
    search_step(source, input);
}

static void search_whole(struct kafka_source *source, struct input *input)
{
    input->high = input->from;
    search_step(source, input);
}

/* ---- what comes ---- */

/* Out of range, or the broker did not say what the first or last offset is. Once in a while it speaks of an offset that was given
 * up in the meantime: then again from where we are. */
static void offset_refused(struct kafka_source *source, struct input *input, int64_t offset)
{
    if (offset < 0) {
        input_begin(source, input, input->purpose, input->from, RETRY_MS);
    } else if (input->purpose == INPUT_SEARCH && offset == input->from) {
        search_whole(source, input); /* behind the end: the damage ends before */
    } else if (input->purpose == INPUT_SEARCH || input->next == OFFSET_UNKNOWN) {
        input_begin(source, input, input->purpose, input->from, RESTART_MS);
    } else if (input->purpose != INPUT_READ || offset == input->next) {
        input_rewind(source, input);
    } else {
        input_begin(source, input, INPUT_READ, input->next, RESTART_MS);
    }
}

static void end_reached(struct kafka_source *source, struct input *input, int64_t offset)
{
    if (input->purpose == INPUT_SEARCH) {
        search_whole(source, input);
        return;
    }
    if (input->purpose == INPUT_CHECK && offset < input->next) {
        input_rewind(source, input);
        return;
    }
    if (input->purpose == INPUT_REWIND) {
        rewind_end(source, input, offset);
    }
    input->purpose = INPUT_READ;
    offset = offset < input->until ? offset : input->until;
    input->next = offset > input->next ? offset : input->next; /* what lies between are a transaction's marks */
    input->at_end = input->was_at_end = true;
}

static void damage_found(struct kafka_source *source, struct input *input, rd_kafka_resp_err_t error, int64_t offset)
{
    if (input->purpose == INPUT_SEARCH) {
        search_damaged(source, input, error, offset);
    } else if (input->purpose == INPUT_CHECK) {
        input_begin(source, input, INPUT_READ, input->next, RESTART_MS); /* the last message is damaged now; that cannot tell anything */
    } else if (offset >= 0 && input->purpose == INPUT_REWIND) {
        rewind_end(source, input, offset);
        search_begin(source, input, offset);
    } else if (offset >= 0) {
        search_begin(source, input, offset);
    }
}

/* The pause makes librdkafka drop what it has fetched beyond, and fetch no more of it. */
void input_ended(struct kafka_source *source, struct input *input)
{
    input->at_end = input->was_at_end = true;
    if (input->ended) {
        return;
    }
    input->ended = true;
    input->next = input->until > input->next ? input->until : input->next;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, name_of(source, input), input->partition);
    (void)rd_kafka_pause_partitions(source->rk, list);
    rd_kafka_topic_partition_list_destroy(list);
}

/* librdkafka knows a partition's end from its last answer; nobody is asked. */
static struct lag_entry input_lag(const struct kafka_source *source, const struct input *input)
{
    struct lag_entry entry = {{input->topic, input->partition, -1}, -1};
    int64_t low = -1, high = -1;
    rd_kafka_resp_err_t error = rd_kafka_get_watermark_offsets(source->rk, name_of(source, input), input->partition, &low, &high);
    if (!error && high >= 0) {
        entry.next = input->next == OFFSET_UNKNOWN ? low : input->next;
        entry.lag.messages = entry.next < 0 ? -1 : entry.next < high ? high - entry.next : 0;
    }
    if (input->at_end) {
        entry.next = input->next == OFFSET_UNKNOWN ? entry.next : input->next;
        entry.lag.messages = 0;
    }
    return entry;
}

void inputs_tell_lag(struct kafka_source *source)
{
    int64_t now_ms = coarse_ms();
    if (source->lag_ms && now_ms - source->lag_ms < LAG_MS) {
        return;
    }
    source->lag_ms = now_ms;
    pthread_mutex_lock(&source->lag_lock);
    if (source->input_count > source->lag_room) {
        source->lag_room = source->input_count * 2;
        source->lag = realloc(source->lag, (size_t)source->lag_room * sizeof *source->lag);
        ensure(source->lag != NULL, "the machine has memory left");
    }
    for (int i = 0; i < source->input_count; i++) {
        const struct input *input = &source->input[i];
        source->lag[i] = input_lag(source, input);
    }
    source->lags = source->input_count;
    pthread_mutex_unlock(&source->lag_lock);
}

int64_t inputs_left(const struct kafka_source *source)
{
    int64_t left = 0;
    for (int i = 0; i < source->input_count; i++) {
        const struct input *input = &source->input[i];
        if (input->until != INT64_MAX && !input->at_end && input->until > input->next) {
            left += input->until - input->next;
        }
    }
    return left;
}

void input_notice(struct kafka_source *source, struct input *input, const rd_kafka_message_t *rkm)
{
    if (input->place != INPUT_HERE || input->ended) {
        return;
    }
    if (rkm->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        end_reached(source, input, rkm->offset);
    } else if (rkm->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET) {
        offset_refused(source, input, rkm->offset);
    } else if (error_says_damaged(rkm->err)) {
        damage_found(source, input, rkm->err, rkm->offset);
    } else if (error_says_gone(rkm->err)) {
        topic_doubt(source, &source->topic[input->topic]);
    }
}

static bool message_known(const struct input *input, const rd_kafka_message_t *rkm)
{
    return rd_kafka_message_timestamp(rkm, NULL) == input->last_ms && rkm->len == input->last_length;
}

bool input_message(struct kafka_source *source, struct input *input, const rd_kafka_message_t *rkm)
{
    if (input->place != INPUT_HERE) {
        return false;
    }
    switch (input->purpose) {
    case INPUT_READ:
        return rkm->offset >= input->next; /* below: fetched again after a fault; it was handed out before */
    case INPUT_REWIND:
        rewind_end(source, input, rkm->offset);
        return true;
    case INPUT_SEARCH:
        search_whole(source, input);
        return false;
    case INPUT_CHECK:
        if (rkm->offset < input->next && !message_known(input, rkm)) {
            input_renewed(source, input);
            return false;
        }
        input->purpose = INPUT_READ;
        return rkm->offset >= input->next;
    }
    return false;
}
