/* kafka: librdkafka behind source.h.
 *
 *   watcher thread ──metadata──> found[topic] ──> poll: takes up new partitions, begins others again
 *   broker threads (librdkafka) ──fetch──> queue ──batch──> poll ──each──> the shard
 *
 * Batches, not librdkafka's callback queue: rd_kafka_yield puts the rest of the queue back, but while the callback runs the fetchers
 * see an empty queue and go on fetching. With a consumer slower than the broker and a bound of 64 MiB the process grew to 1.1 GiB
 * (2 M events of 390 bytes, librdkafka 2.0.2, 22 Nov 2026); the batch stayed at 0.2 GiB, at equal CPU.
 *
 * A pause only stops handing out. rd_kafka_pause_partitions would drop what is queued and fetch it again. */
#include <stdio.h>
#include <stdlib.h>

#include "esteem/err.h"
#include "esteem/log.h"
#include "kafka_parts.h"

enum {
    COMMIT_WAIT_MS = 1000, /* so long may close wait for a commit on its way */
    DESTROY_WAIT_S = 3,    /* and for librdkafka to end */
    AHEAD = 3,             /* messages that are fetched into the cache before their turn */
    PROBE = 64,            /* messages of each partition whose headers are read in full */
    PAGE = 4096,           /* bytes; the smallest there is */
};

/* ---- messages ---- */

/* True when the byte behind the value says that there are no headers. In Kafka's record format (v2, since 0.11) that byte is the
 * number of headers, and librdkafka hands out values where the broker's answer holds them. Its own rd_kafka_message_headers allocates
 * and frees a buffer to find that 0: some 200 ns of 1,000 an event (3 M events of feed R, librdkafka 2.0.2, 22 Nov 2026). The byte is only
 * read when it lies in the same page as the value's last one. */
static bool headers_none(const rd_kafka_message_t *rkm)
{
    const unsigned char *behind = (const unsigned char *)rkm->payload + rkm->len;
    return rkm->payload && (uintptr_t)behind % PAGE != 0 && *behind == 0;
}

/* The headers of a binary CloudEvent; without ce_specversion it is none. The first messages of each partition prove the shortcut. */
static void headers_read(struct kafka_source *source, const rd_kafka_message_t *rkm, struct input *input, struct event_headers *headers)
{
    rd_kafka_headers_t *list;
    const void *value;
    size_t length;
    bool none = headers_none(rkm);
    if (none && input->probed == PROBE && !source->probe_only) {
        return;
    }
    rd_kafka_resp_err_t error = rd_kafka_message_headers(rkm, &list);
    source->probe_only = source->probe_only || (none && !error);
    input->probed += input->probed < PROBE;
    if (error || rd_kafka_header_get_last(list, "ce_specversion", &value, &length)) {
        return;
    }
    headers->given = true;
    const struct {
        const char *name;
        struct text *text;
    } rows[] = {{"ce_id", &headers->id}, {"ce_type", &headers->type}, {"ce_time", &headers->time}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (!rd_kafka_header_get_last(list, rows[i].name, &value, &length) && value) {
            *rows[i].text = (struct text){.at = value, .length = (uint32_t)length};
        }
    }
}

/* Something that is no message: the end of a partition, or an error of one. */
static void notice_take(struct kafka_source *source, const rd_kafka_message_t *rkm, struct input *input)
{
    if (input) {
        input_notice(source, input, rkm);
    }
    if (rkm->err == RD_KAFKA_RESP_ERR__PARTITION_EOF || rkm->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET) {
        return;
    }
    char text[512];
    (void)snprintf(text, sizeof text, "%s [%d]: %s", rkm->rkt ? rd_kafka_topic_name(rkm->rkt) : "", rkm->partition,
                   rd_kafka_message_errstr(rkm));
    error_tell(source, rkm->err, text);
}

/* Hands one message to `each`. Returns 1, or 0 when it was none; `*more` becomes false when `each` has had enough. */
static int message_hand(struct kafka_source *source, const rd_kafka_message_t *rkm, source_each *each, void *context, bool *more)
{
    struct input *input = input_of(source, rkm);
    if (rkm->err || !input) {
        notice_take(source, rkm, input);
        return 0;
    }
    bool next = input->place == INPUT_HERE && input->purpose == INPUT_READ && rkm->offset >= input->next;
    if (!next && !input_message(source, input, rkm)) {
        return 0;
    }
    if (rkm->offset >= input->until) {
        input_ended(source, input);
        return 0;
    }
    struct message message = {.at = rkm->payload, .length = rkm->len, .topic = input->topic, .partition = rkm->partition,
                              .input = (int)(input - source->input), .offset = rkm->offset,
                              .key = {rkm->key, (uint32_t)rkm->key_len}};
    headers_read(source, rkm, input, &message.headers);
    input->next = rkm->offset + 1;
    input->last_ms = rd_kafka_message_timestamp(rkm, NULL);
    input->last_length = rkm->len;
    input->last_known = true;
    input->at_end = false;
    *more = each(context, &message);
    return 1;
}

/* Fills the batch when it is used up; waits for the first message only. False when there is none. */
static bool batch_fill(struct kafka_source *source, int wait_ms)
{
    if (source->batch_next < source->batch_count) {
        return true;
    }
    source->batch_next = 0;
    ssize_t count = rd_kafka_consume_batch_queue(source->queue, 0, source->batch, KAFKA_BATCH);
    if (count <= 0 && wait_ms > 0) {
        source->batch[0] = rd_kafka_consume_queue(source->queue, wait_ms);
        count = source->batch[0] != NULL;
    }
    source->batch_count = count > 0 ? (size_t)count : 0;
    if (source->doubt) { /* librdkafka has said so meanwhile, and what is in the batch may be of another topic */
        (void)inputs_serve(source);
    }
    return source->batch_count > 0;
}

static bool kafka_ready(void *state)
{
    const struct kafka_source *source = state;
    for (int i = 0; i < source->topic_count; i++) {
        if (atomic_load_explicit(&source->topic[i].found, memory_order_relaxed) == FOUND_NOT_YET) {
            return false;
        }
    }
    return atomic_load_explicit(&source->generation, memory_order_relaxed) == source->generation_seen;
}

static bool kafka_whole(void *state)
{
    const struct kafka_source *source = state;
    for (int i = 0; i < source->topic_count; i++) {
        if (atomic_load_explicit(&source->topic[i].found, memory_order_relaxed) <= 0) {
            return false;
        }
    }
    return true;
}

static bool is_paused(const struct kafka_source *source)
{
    return atomic_load_explicit(&source->paused, memory_order_relaxed); /* relaxed: the shard itself stores it */
}

static int kafka_poll(void *state, int most, int wait_ms, source_each *each, void *context)
{
    struct kafka_source *source = state;
    (void)rd_kafka_poll(source->rk, is_paused(source) ? wait_ms : 0);
    int result = inputs_serve(source);
    if (result || is_paused(source)) {
        return result;
    }
    int done = 0;
    bool more = true;
    for (rd_kafka_message_t *rkm; more && done < most && (rkm = held_take(source)) != NULL;) {
        done += message_hand(source, rkm, each, context, &more);
        rd_kafka_message_destroy(rkm);
    }
    while (more && done < most && batch_fill(source, done ? 0 : wait_ms)) {
        wait_ms = 0; /* one wait a poll, also when it ended with a notice */
        while (more && done < most && source->batch_next < source->batch_count) {
            size_t next = source->batch_next++;
            rd_kafka_message_t *rkm = source->batch[next];
            if (next + AHEAD < source->batch_count && source->batch[next + AHEAD]) {
                __builtin_prefetch(source->batch[next + AHEAD]->payload);
            }
            if (rkm && !held_put(source, rkm)) {
                done += message_hand(source, rkm, each, context, &more);
                rd_kafka_message_destroy(rkm);
            }
        }
    }
    if (done) {
        errors_forget(source);
    }
    inputs_tell_lag(source);
    if (source->until && kafka_ready(source)) {
        atomic_store_explicit(&source->left, inputs_left(source), memory_order_relaxed);
    }
    return done;
}

static int kafka_inputs(void *state)
{
    return ((struct kafka_source *)state)->input_count;
}

static bool kafka_at_end(void *state, int input)
{
    return ((struct kafka_source *)state)->input[input].at_end;
}

static bool kafka_was_at_end(void *state, int input)
{
    return ((struct kafka_source *)state)->input[input].was_at_end;
}

static void kafka_pause(void *state, bool pause)
{
    struct kafka_source *source = state;
    if (pause && !is_paused(source)) { /* from here on the watcher goes by what is written now */
        source->lag_ms = 0;
        inputs_tell_lag(source);
    }
    atomic_store_explicit(&source->paused, pause, memory_order_release); /* release: the watcher's acquire */
    if (pause) {
        watcher_look(source);
    }
}

/* ---- commits and the end ---- */

static void commit_come(rd_kafka_t *rk, rd_kafka_resp_err_t error, rd_kafka_topic_partition_list_t *list, void *context)
{
    (void)rk;
    (void)list;
    struct kafka_source *source = context;
    source->committing = false;
    if (error && error != RD_KAFKA_RESP_ERR__NO_OFFSET) {
        error_tell(source, error, "committing offsets for lag tools");
    }
}

/* One commit at a time: the next one has the newer offsets. */
static void kafka_commit(void *state, const int64_t *next, int count)
{
    struct kafka_source *source = state;
    if (source->committing) {
        return;
    }
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(16);
    for (int i = 0; i < count && i < source->input_count; i++) {
        struct input *input = &source->input[i];
        if (next[i] >= 0 && next[i] != input->committed && input->place != INPUT_AWAY) {
            const char *name = source->config->topic[input->topic].name;
            rd_kafka_topic_partition_list_add(list, name, input->partition)->offset = next[i];
            input->committed = next[i];
        }
    }
    if (list->cnt) {
        source->committing = rd_kafka_commit_queue(source->rk, list, source->replies, commit_come, source) == 0;
    }
    rd_kafka_topic_partition_list_destroy(list);
}

static void kafka_position(void *state, int input, struct source_position *out)
{
    const struct kafka_source *source = state;
    ensure(input >= 0 && input < source->input_count, "inputs are numbered from 0");
    const struct input *one = &source->input[input];
    *out = (struct source_position){.topic = one->topic, .partition = one->partition, .next = one->next};
}

static void *destroy_run(void *rk)
{
    rd_kafka_destroy_flags(rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE); /* there is no group to leave */
    return NULL;
}

/* After a broker has come back, librdkafka 2.0.2 may take up to a minute to end, over a commit that nobody answers. The process need not
 * wait for it: offsets are in the checkpoint. */
static bool destroy_client(rd_kafka_t *rk)
{
    pthread_t thread;
    struct timespec until;
    if (pthread_create(&thread, NULL, destroy_run, rk) != 0) {
        return false;
    }
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += DESTROY_WAIT_S;
    if (pthread_timedjoin_np(thread, NULL, &until) == 0) {
        return true;
    }
    pthread_detach(thread);
    log_info("kafka.slow_close", "librdkafka has not ended within %d s; it ends with the process", DESTROY_WAIT_S);
    return false;
}

static void kafka_close(void *state)
{
    struct kafka_source *source = state;
    watcher_stop(source);
    for (int waited = 0; source->committing && waited < COMMIT_WAIT_MS; waited += 50) {
        (void)rd_kafka_poll(source->rk, 50);
    }
    for (; source->batch_next < source->batch_count; source->batch_next++) {
        if (source->batch[source->batch_next]) {
            rd_kafka_message_destroy(source->batch[source->batch_next]);
        }
    }
    for (int i = 0; i < source->input_count; i++) {
        held_drop(source, &source->input[i]);
        free(source->input[i].held);
    }
    if (source->rk) {
        inputs_close(source);
    }
    for (int i = 0; i < source->topic_count; i++) {
        rd_kafka_topic_destroy(source->topic[i].handle);
        free(source->topic[i].input);
    }
    if (source->rk) {
        rd_kafka_queue_destroy(source->queue);
        rd_kafka_queue_destroy(source->replies);
        if (!destroy_client(source->rk)) {
            return; /* its callbacks may still come to `source`, which ends with the process */
        }
    }
    free(source->input);
    free(source->lag);
    pthread_mutex_destroy(&source->lag_lock);
    free(source);
}

int kafka_source_open(const struct config *config, int shard, int shards, struct source *source)
{
    struct kafka_source *state = calloc(1, sizeof *state);
    if (!state) {
        return err_set(ERR_MEMORY, "no memory for a Kafka source");
    }
    state->config = config;
    state->shard = shard;
    state->shards = shards;
    atomic_init(&state->left, -1);
    pthread_mutex_init(&state->lag_lock, NULL);
    int error = client_open(state);
    if (!error) {
        error = topics_open(state);
    }
    if (!error) {
        error = watcher_start(state);
    }
    if (error) {
        kafka_close(state);
        return error;
    }
    *source = (struct source){.state = state, .poll = kafka_poll, .ready = kafka_ready, .inputs = kafka_inputs, .at_end = kafka_at_end,
                              .was_at_end = kafka_was_at_end, .whole = kafka_whole, .pause = kafka_pause, .hold = kafka_hold, .commit = kafka_commit, .position = kafka_position,
                              .close = kafka_close};
    return 0;
}

void kafka_source_begin(struct source *source, kafka_from *from, void *context)
{
    struct kafka_source *state = source->state;
    state->from = from;
    state->from_context = context;
}

void kafka_source_end(struct source *source, kafka_until *until, void *context)
{
    struct kafka_source *state = source->state;
    state->until = until;
    state->until_context = context;
}

int kafka_source_lag(const struct source *source, struct kafka_lag *lag, int most)
{
    struct kafka_source *state = source->state;
    pthread_mutex_lock(&state->lag_lock);
    int count = state->lags;
    for (int i = 0; i < count && i < most; i++) {
        lag[i] = state->lag[i].lag;
    }
    pthread_mutex_unlock(&state->lag_lock);
    return count;
}

struct kafka_counts kafka_source_counts(const struct source *source)
{
    const struct kafka_source *state = source->state;
    return (struct kafka_counts){.errors = atomic_load_explicit(&state->errors, memory_order_relaxed),
                                 .lost = atomic_load_explicit(&state->lost, memory_order_relaxed),
                                 .unfetchable = atomic_load_explicit(&state->unfetchable, memory_order_relaxed),
                                 .recreated = atomic_load_explicit(&state->recreated, memory_order_relaxed),
                                 .left = atomic_load_explicit(&state->left, memory_order_relaxed)};
}
