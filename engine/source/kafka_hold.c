/* kafka_hold: messages of inputs that are not to be handed out for now. They wait here, in their order and with what else librdkafka has to say
 * of their partition; beyond `held_most` bytes librdkafka is told to fetch no more of it, which drops what it has queued and begins it
 * again, at the message behind the last one here, when this is used up. */
#include <stdlib.h>

#include "esteem/err.h"
#include "kafka_parts.h"

enum { MESSAGE_BYTES = 400 /* that librdkafka takes for a message besides its own */ };

static size_t bytes_of(const rd_kafka_message_t *rkm)
{
    return rkm->len + MESSAGE_BYTES;
}

/* librdkafka's main thread answers; no broker is asked. */
static void input_fetches(struct kafka_source *source, struct input *input, bool fetches)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, source->config->topic[input->topic].name, input->partition);
    (void)(fetches ? rd_kafka_resume_partitions : rd_kafka_pause_partitions)(source->rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    input->unfetched = !fetches;
}

static void held_end(struct kafka_source *source, struct input *input)
{
    source->held_inputs -= input->held_count > 0;
    input->held_count = input->held_next = 0;
    if (input->unfetched) {
        input_fetches(source, input, true);
    }
}

bool held_put(struct kafka_source *source, rd_kafka_message_t *rkm)
{
    struct input *input = input_of(source, rkm);
    bool behind = input && input->held_count; /* of what is held already */
    bool hold = input && input->hold && input->place == INPUT_HERE && input->purpose == INPUT_READ && !input->ended;
    if (!behind && !hold) {
        return false;
    }
    if (input->held_count == input->held_room) {
        input->held_room = input->held_room ? input->held_room * 2 : 64;
        input->held = realloc(input->held, input->held_room * sizeof *input->held);
        ensure(input->held != NULL, "the machine has memory left");
    }
    source->held_inputs += input->held_count == 0;
    source->held_bytes += bytes_of(rkm);
    input->held[input->held_count++] = rkm;
    input->at_end = false;
    if (source->held_bytes > source->held_most && !input->unfetched) {
        input_fetches(source, input, false);
    }
    return true;
}

rd_kafka_message_t *held_take(struct kafka_source *source)
{
    for (int i = 0; source->held_inputs && i < source->input_count; i++) {
        struct input *input = &source->input[i];
        if (input->held_count == 0 || input->hold) {
            continue;
        }
        rd_kafka_message_t *rkm = input->held[input->held_next++];
        source->held_bytes -= bytes_of(rkm);
        if (input->held_next == input->held_count) {
            held_end(source, input);
        }
        return rkm;
    }
    return NULL;
}

void held_drop(struct kafka_source *source, struct input *input)
{
    for (size_t i = input->held_next; i < input->held_count; i++) {
        source->held_bytes -= bytes_of(input->held[i]);
        rd_kafka_message_destroy(input->held[i]);
    }
    held_end(source, input);
}

void kafka_hold(void *state, int input, bool hold)
{
    struct kafka_source *source = state;
    source->input[input].hold = hold;
}
